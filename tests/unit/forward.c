/* Unit tests of the forwarder: against small HTTPS servers in this process that say what the test wants: fail-over, time-outs,
 * quorums, the bank's own certificate. */
#include "member/forward.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct server {
    int fd;
    char url[64];
    SSL_CTX *tls;
    pthread_t thread;
    _Atomic bool end, silent;
    _Atomic(const char *) answer; /* body of a 200; NULL: 503 */
    _Atomic uint32_t asked, open;
    char request[2048], peer[100];
} server;

static char dir[64];
static char *path(const char *name)
{
    static char paths[8][128];
    static uint32_t n;
    char *p = paths[n++ % 8];
    snprintf(p, 128, "%s/%s", dir, name);
    return p;
}

static void serve(server *s, SSL *ssl)
{
    char text[4096], head[256];
    int n = 0;
    while (n < (int)sizeof text - 1) {
        struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLIN};
        while (!s->end && SSL_pending(ssl) == 0 && poll(&p, 1, 10) == 0) continue;
        if (s->end) return;
        int got = SSL_read(ssl, text + n, (int)sizeof text - 1 - n);
        if (got <= 0) return;
        n += got;
        text[n] = '\0';
        const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (body == NULL || (length != NULL && text + n < body + 4 + atoi(length + 16))) continue;
        atomic_fetch_add(&s->asked, 1);
        memcpy(s->request, text, (size_t)n < sizeof s->request ? (size_t)n + 1 : sizeof s->request - 1);
        while (s->silent && !s->end) usleep(5000);
        const char *answer = s->answer;
        int m = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n",
                         answer != NULL ? "200 OK" : "503 Busy", answer != NULL ? strlen(answer) : 0);
        if (SSL_write(ssl, head, m) <= 0 || (answer != NULL && SSL_write(ssl, answer, (int)strlen(answer)) <= 0)) return;
        n = 0;
    }
}

typedef struct served {
    server *s;
    int fd;
} served;
static void *run_one(void *ctx)
{
    served *one = ctx;
    SSL *ssl = SSL_new(one->s->tls);
    (void)SSL_set_fd(ssl, one->fd);
    if (SSL_accept(ssl) == 1) {
        X509 *peer = SSL_get1_peer_certificate(ssl);
        if (peer != NULL) X509_NAME_oneline(X509_get_subject_name(peer), one->s->peer, sizeof one->s->peer);
        X509_free(peer);
        serve(one->s, ssl);
    }
    SSL_free(ssl);
    close(one->fd);
    atomic_fetch_sub(&one->s->open, 1);
    free(one);
    return NULL;
}
static void *run(void *ctx)
{
    server *s = ctx;
    while (!s->end) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0) continue;
        served *one = malloc(sizeof *one);
        *one = (served){s, accept(s->fd, NULL, NULL)};
        pthread_t thread;
        atomic_fetch_add(&s->open, 1);
        pthread_create(&thread, NULL, run_one, one);
        pthread_detach(thread);
    }
    return NULL;
}

static void start(server *s, const char *answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    memset(s, 0, sizeof *s);
    s->answer = answer;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&a, n), 0);
    cr_assert_eq(listen(s->fd, 16), 0);
    getsockname(s->fd, (struct sockaddr *)&a, &n);
    snprintf(s->url, sizeof s->url, "https://127.0.0.1:%u", ntohs(a.sin_port));
    s->tls = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_certificate_file(s->tls, path("hub.pem"), SSL_FILETYPE_PEM), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey_file(s->tls, path("hub.key"), SSL_FILETYPE_PEM), 1);
    cr_assert_eq(SSL_CTX_load_verify_locations(s->tls, path("ca.pem"), NULL), 1);
    SSL_CTX_set_verify(s->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    cr_assert_eq(pthread_create(&s->thread, NULL, run, s), 0);
}
static void stop(server *s)
{
    s->end = true;
    (void)pthread_join(s->thread, NULL);
    close(s->fd);
    while (atomic_load(&s->open) != 0) usleep(1000); /* its connections end */
}

static void make(const char *command, ...) __attribute__((format(printf, 1, 2)));
static void make(const char *command, ...)
{
    char line[2000], text[1500];
    va_list list;
    va_start(list, command);
    vsnprintf(text, sizeof text, command, list);
    va_end(list);
    snprintf(line, sizeof line, "cd %s && (%s) >/dev/null 2>&1", dir, text);
    cr_assert_eq(system(line), 0, "%s", line);
}

static kh_forward *forward;
static void begin(void)
{
    char why[200] = "";
    signal(SIGPIPE, SIG_IGN);
    strcpy(dir, "/tmp/kh_forward_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    make("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2");
    make("printf 'subjectAltName=IP:127.0.0.1' > san");
    for (uint32_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "hub" : "bank", *subject = i == 0 ? "/CN=hub" : "/O=Kanhe/OU=bank/CN=11";
        make("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key -out %s.csr -subj %s && openssl x509 "
             "-req "
             "-in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out %s.pem -days 2 -extfile san",
             name, name, subject, name, name);
    }
    kh_forward_options o = {.party = 11,
                            .ca = path("ca.pem"),
                            .certificate = path("bank.pem"),
                            .key = path("bank.key"),
                            .connect_ms = 10000,
                            .timeout_ms = 10000};
    cr_assert_eq(kh_forward_new(&o, why, sizeof why, &forward), KH_OK, "%s", why);
    make("rm bank.key"); /* it was read */
}
static void end(void)
{
    kh_forward_free(forward);
    make("rm -rf %s", dir);
}

static kh_http_answer answer;
static kh_err ask_with(bool attested, uint32_t party, const char *body)
{
    kh_http_question q = {.party = party,
                          .method = body != NULL ? "POST" : "GET",
                          .uri = "/v1/balance?document=x",
                          .accept = "application/x-ndjson",
                          .content_type = body != NULL ? "text/csv" : NULL,
                          .body = (const uint8_t *)body,
                          .body_n = body != NULL ? strlen(body) : 0,
                          .attested = attested};
    free(answer.body);
    answer = (kh_http_answer){0};
    return kh_forward_ask(forward, &q, &answer);
}
static bool said(const char *text) { return answer.body_n == strlen(text) && memcmp(answer.body, text, answer.body_n) == 0; }

Test(forward, fails_over_in_the_order_of_last_success)
{
    begin();
    server a, b;
    start(&a, "A");
    start(&b, "B");
    cr_assert_eq(kh_forward_hubs(forward, (const char *[]){a.url, b.url}, 2), KH_OK);
    cr_assert_eq(ask_with(false, 11, NULL), KH_OK);
    cr_assert(said("A") && answer.status == 200);
    cr_assert_str_eq(answer.content_type, "application/x-ndjson");
    cr_assert(strstr(a.request, "GET /v1/balance?document=x HTTP/1.1") == a.request);
    cr_assert(strstr(a.peer, "CN=11") != NULL, "%s", a.peer); /* as the bank */
    cr_assert_eq(ask_with(false, 12, NULL), KH_E_ARG);        /* and for it alone */
    a.answer = NULL;
    cr_assert_eq(ask_with(false, 11, "kind,number\nx,y\n"), KH_OK);
    cr_assert(said("B"));
    cr_assert(strstr(b.request, "kind,number\nx,y\n") != NULL && strstr(b.request, "text/csv") != NULL);
    a.answer = "A";
    uint32_t before = a.asked;
    cr_assert_eq(ask_with(false, 11, NULL), KH_OK);
    cr_assert(said("B") && a.asked == before); /* who answered last is asked first */
    b.silent = true;                           /* takes too long */
    cr_assert_eq(ask_with(false, 11, NULL), KH_OK);
    cr_assert(said("A"));
    stop(&b);
    stop(&a);
    cr_assert_eq(ask_with(false, 11, NULL), KH_E_CLOSED);
    cr_assert_eq(kh_forward_hubs(forward, NULL, 0), KH_OK);
    cr_assert_eq(ask_with(false, 11, NULL), KH_E_CLOSED);
    free(answer.body);
    end();
}

Test(forward, attested_answers_are_a_quorums)
{
    begin();
    server s[3];
    const char *urls[3];
    for (uint32_t i = 0; i < 3; i++) {
        start(&s[i], "{\"free\":\"5\",\"as_of\":10,\"attested\":false}");
        urls[i] = s[i].url;
    }
    cr_assert_eq(kh_forward_hubs(forward, urls, 3), KH_OK);
    cr_assert_eq(ask_with(true, 11, NULL), KH_OK);
    cr_assert(said("{\"free\":\"5\",\"as_of\":10,\"attested\":true}"), "%.*s", (int)answer.body_n, answer.body);
    s[0].answer = "{\"free\":\"9\",\"as_of\":10,\"attested\":false}"; /* one lies: two others agree, a block apart */
    s[1].answer = "{\"free\":\"5\",\"as_of\":9,\"attested\":false}";
    cr_assert_eq(ask_with(true, 11, NULL), KH_OK);
    cr_assert(memmem(answer.body, answer.body_n, "\"free\":\"5\"", 10) != NULL);
    s[1].answer = "{\"free\":\"7\",\"as_of\":9,\"attested\":false}"; /* three stories */
    cr_assert_eq(ask_with(true, 11, NULL), KH_E_DAMAGED);
    s[1].answer = s[2].answer = NULL; /* one hub is no quorum */
    cr_assert_eq(ask_with(true, 11, NULL), KH_E_AGAIN);
    s[0].answer = NULL;
    cr_assert_eq(ask_with(true, 11, NULL), KH_E_CLOSED);
    for (uint32_t i = 0; i < 3; i++) stop(&s[i]);
    free(answer.body);
    end();
}

Test(forward, whose_uscc)
{
    begin();
    server a;
    uint32_t id = 0;
    start(&a, "{\"row\":{\"id\":101,\"role\":\"enterprise\"}}\n{\"end\":true,\"status\":0,\"message\":\"\"}\n");
    cr_assert_eq(kh_forward_hubs(forward, (const char *[]){a.url}, 1), KH_OK);
    cr_assert_eq(kh_forward_enterprise(forward, "9135 &", &id), KH_OK);
    cr_assert_eq(id, 101);
    cr_assert(strstr(a.request, "GET /v1/parties/%39%31%33%35%20%26 HTTP/1.1") == a.request, "%s", a.request);
    a.answer = "{\"row\":{\"code\":20,\"name\":\"NOT_FOUND\"}}\n{\"end\":true,\"status\":1,\"message\":\"\"}\n";
    cr_assert_eq(kh_forward_enterprise(forward, "91350211M000100Y43", &id), KH_E_NOT_FOUND);
    a.answer = NULL;
    cr_assert_eq(kh_forward_enterprise(forward, "91350211M000100Y43", &id), KH_E_CLOSED);
    stop(&a);
    end();
}

/* A server that another authority signed is not believed, nor one of another name. */
Test(forward, strangers_are_not_believed)
{
    begin();
    server a;
    make(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout hub.key -out hub.pem -subj /CN=hub -days 2 "
        "-addext subjectAltName=IP:127.0.0.1");
    start(&a, "A");
    cr_assert_eq(kh_forward_hubs(forward, (const char *[]){a.url}, 1), KH_OK);
    cr_assert_eq(ask_with(false, 11, NULL), KH_E_CLOSED);
    cr_assert_eq(a.asked, 0);
    stop(&a);
    end();
}
