/* forward: see forward.h. */
#include "member/forward.h"
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ANSWER_MAX (64u << 20)
#define FILE_MAX (1u << 20)
#define IDLE_MAX 16u /* connections kept */
#define ROUNDS 4u    /* hubs that are a block apart are asked again */
#define ROUND_WAIT                                                                                                               \
    (struct timespec) { .tv_nsec = 150000000 }

typedef struct pem {
    char *p;
    size_t n;
} pem;

struct kh_forward {
    uint32_t party;
    long connect_ms, timeout_ms;
    pem ca, certificate, key;
    pthread_mutex_t lock;
    char *urls[KH_FORWARD_HUBS_MAX]; /* the one that answered last first */
    uint32_t url_cnt;
    CURL *idle[IDLE_MAX];
    uint32_t idle_cnt;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void start_curl(void) { (void)curl_global_init(CURL_GLOBAL_DEFAULT); }

static bool read_pem(const char *path, pem *ret, char *why, size_t cap)
{
    FILE *f = fopen(path, "rb");
    ret->p = f != NULL ? malloc(FILE_MAX) : NULL;
    if (ret->p != NULL) ret->n = fread(ret->p, 1, FILE_MAX, f);
    bool well = ret->p != NULL && ret->n > 0 && ret->n < FILE_MAX;
    if (f != NULL) (void)fclose(f);
    if (!well) (void)snprintf(why, cap, "%s cannot be read", path);
    return well;
}

kh_err kh_forward_new(const kh_forward_options *options, char *why, size_t cap, kh_forward **ret)
{
    (void)pthread_once(&once, start_curl);
    kh_forward *f = calloc(1, sizeof *f);
    if (f == NULL) {
        (void)snprintf(why, cap, "%s", kh_err_text(KH_E_NOMEM));
        return KH_E_NOMEM;
    }
    f->party = options->party;
    f->connect_ms = options->connect_ms != 0 ? (long)options->connect_ms : 2000;
    f->timeout_ms = options->timeout_ms != 0 ? (long)options->timeout_ms : 30000;
    (void)pthread_mutex_init(&f->lock, NULL);
    if (!read_pem(options->ca, &f->ca, why, cap) || !read_pem(options->certificate, &f->certificate, why, cap) ||
        !read_pem(options->key, &f->key, why, cap)) {
        kh_forward_free(f);
        return KH_E_NOT_FOUND;
    }
    *ret = f;
    return KH_OK;
}

static void drop_urls(kh_forward *f)
{
    for (uint32_t i = 0; i < f->url_cnt; i++) free(f->urls[i]);
    f->url_cnt = 0;
}

void kh_forward_free(kh_forward *f)
{
    if (f == NULL) return;
    for (uint32_t i = 0; i < f->idle_cnt; i++) curl_easy_cleanup(f->idle[i]);
    drop_urls(f);
    if (f->key.p != NULL) explicit_bzero(f->key.p, f->key.n);
    free(f->ca.p);
    free(f->certificate.p);
    free(f->key.p);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

kh_err kh_forward_hubs(kh_forward *f, const char *const *urls, uint32_t n)
{
    if (n > KH_FORWARD_HUBS_MAX) return KH_E_FULL;
    kh_err err = KH_OK;
    (void)pthread_mutex_lock(&f->lock);
    drop_urls(f);
    for (uint32_t i = 0; i < n && err == KH_OK; i++) {
        if ((f->urls[f->url_cnt] = strdup(urls[i])) == NULL) err = KH_E_NOMEM;
        else f->url_cnt++;
    }
    (void)pthread_mutex_unlock(&f->lock);
    return err;
}

/* ---- one hub ---- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    kh_http_answer *a = ctx;
    n *= size;
    if (a->body_n + n > ANSWER_MAX) return 0;
    uint8_t *body = realloc(a->body, a->body_n + n + 1);
    if (body == NULL) return 0;
    memcpy(body + a->body_n, p, n);
    a->body = body;
    a->body_n += n;
    body[a->body_n] = 0;
    return n;
}

static CURL *take_handle(kh_forward *f)
{
    (void)pthread_mutex_lock(&f->lock);
    CURL *easy = f->idle_cnt > 0 ? f->idle[--f->idle_cnt] : NULL;
    (void)pthread_mutex_unlock(&f->lock);
    return easy != NULL ? easy : curl_easy_init();
}

static void give_handle(kh_forward *f, CURL *easy)
{
    curl_easy_reset(easy); /* its connections stay */
    (void)pthread_mutex_lock(&f->lock);
    bool kept = f->idle_cnt < IDLE_MAX;
    if (kept) f->idle[f->idle_cnt++] = easy;
    (void)pthread_mutex_unlock(&f->lock);
    if (!kept) curl_easy_cleanup(easy);
}

static void set_blob(CURL *easy, CURLoption option, const pem *text)
{
    struct curl_blob blob = {.data = text->p, .len = text->n, .flags = CURL_BLOB_NOCOPY};
    (void)curl_easy_setopt(easy, option, &blob);
}

static bool header(struct curl_slist **list, const char *name, const char *value)
{
    char line[200];
    (void)snprintf(line, sizeof line, "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more != NULL) *list = more;
    return more != NULL;
}

/* on_socket: a hub that was cut off says nothing, on a connection that was kept either. What its machine does not acknowledge for
 * as long as a new connection may take has not reached it; and then, not at timeout_ms, another is asked. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    const kh_forward *f = ctx;
    unsigned patience_ms = (unsigned)f->connect_ms;
    (void)purpose;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
    return CURL_SOCKOPT_OK;
}

static void set_up(kh_forward *f, CURL *easy, const kh_http_question *q, const char *url, struct curl_slist *headers,
                   kh_http_answer *ret)
{
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, f->connect_ms);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, f->timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, f);
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, ret);
    if (q->body_n > 0 || strcmp(q->method, "GET") != 0) {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_n);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, q->body_n > 0 ? (const char *)q->body : "");
    }
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    set_blob(easy, CURLOPT_CAINFO_BLOB, &f->ca);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, &f->certificate);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, &f->key);
}

/* ask_one: KH_E_CLOSED: this hub gives no answer now. */
static kh_err ask_one(kh_forward *f, const char *hub, const kh_http_question *q, kh_http_answer *ret)
{
    CURL *easy = take_handle(f);
    struct curl_slist *headers = NULL;
    char *url = NULL;
    kh_http_answer answer = {0};
    bool ready = easy != NULL && asprintf(&url, "%s%s", hub, q->uri) >= 0 && header(&headers, "Accept", q->accept) &&
                 header(&headers, "Expect", "") && (q->content_type == NULL || header(&headers, "Content-Type", q->content_type));
    kh_err err = ready ? KH_OK : KH_E_NOMEM;
    if (ready) {
        const char *type = NULL;
        long status = 0;
        curl_off_t retry_s = 0;
        set_up(f, easy, q, url, headers, &answer);
        if (curl_easy_perform(easy) != CURLE_OK) err = KH_E_CLOSED;
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
        (void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_s);
        if (status < 200 || (status >= 500 && status != 501)) err = KH_E_CLOSED;
        answer.status = (unsigned)status;
        answer.retry_after_s = retry_s > 0 ? (uint32_t)retry_s : 0;
        (void)snprintf(answer.content_type, sizeof answer.content_type, "%s", type != NULL ? type : "");
    }
    curl_slist_free_all(headers);
    free(url);
    if (easy != NULL) give_handle(f, easy);
    if (err == KH_OK) *ret = answer;
    else free(answer.body);
    return err;
}

/* ---- the hubs ---- */

typedef struct hubs { /* as they stood: they may change while one is asked */
    char *urls[KH_FORWARD_HUBS_MAX];
    uint32_t cnt;
} hubs;

static kh_err hubs_of(kh_forward *f, hubs *ret)
{
    kh_err err = KH_OK;
    ret->cnt = 0;
    (void)pthread_mutex_lock(&f->lock);
    for (uint32_t i = 0; i < f->url_cnt && err == KH_OK; i++) {
        if ((ret->urls[ret->cnt] = strdup(f->urls[i])) == NULL) err = KH_E_NOMEM;
        else ret->cnt++;
    }
    (void)pthread_mutex_unlock(&f->lock);
    return err;
}

static void hubs_end(hubs *h)
{
    for (uint32_t i = 0; i < h->cnt; i++) free(h->urls[i]);
}

/* moved puts a hub first that answered, or last that did not. */
static void moved(kh_forward *f, const char *url, bool answered)
{
    (void)pthread_mutex_lock(&f->lock);
    for (uint32_t i = 0; i < f->url_cnt; i++) {
        if (strcmp(f->urls[i], url) != 0) continue;
        char *it = f->urls[i];
        if (answered) memmove(f->urls + 1, f->urls, i * sizeof f->urls[0]);
        else memmove(f->urls + i, f->urls + i + 1, (f->url_cnt - i - 1) * sizeof f->urls[0]);
        f->urls[answered ? 0 : f->url_cnt - 1] = it;
        break;
    }
    (void)pthread_mutex_unlock(&f->lock);
}

static kh_err ask_any(kh_forward *f, const hubs *all, const kh_http_question *q, kh_http_answer *ret)
{
    kh_err err = KH_E_CLOSED;
    for (uint32_t i = 0; i < all->cnt && err == KH_E_CLOSED; i++) {
        err = ask_one(f, all->urls[i], q, ret);
        if (err == KH_E_CLOSED || i > 0) moved(f, all->urls[i], err == KH_OK);
    }
    return err;
}

/* ---- a quorum ---- */

/* skip_as_of passes over `"as_of":DIGITS`; in JSON text no string can hold that: its quotes would be escaped. */
static size_t skip_as_of(const kh_http_answer *a, size_t at)
{
    static const char name[] = "\"as_of\":";
    if (a->body_n - at < sizeof name - 1 || memcmp(a->body + at, name, sizeof name - 1) != 0) return at;
    at += sizeof name - 1;
    while (at < a->body_n && a->body[at] >= '0' && a->body[at] <= '9') at++;
    return at;
}

static bool equal(const kh_http_answer *a, const kh_http_answer *b)
{
    if (a->status != b->status) return false;
    size_t i = 0, k = 0;
    while (i < a->body_n && k < b->body_n) {
        size_t past_i = skip_as_of(a, i), past_k = skip_as_of(b, k);
        if ((past_i == i) != (past_k == k)) return false;
        if (past_i != i) {
            i = past_i;
            k = past_k;
        } else if (a->body[i++] != b->body[k++]) return false;
    }
    return i == a->body_n && k == b->body_n;
}

/* say_attested: what a quorum says alike is more than one hub's word. */
static void say_attested(kh_http_answer *a)
{
    static const char no[] = "\"attested\":false", yes[] = "\"attested\":true";
    size_t to = 0;
    for (size_t at = 0; at < a->body_n;) {
        if (a->body_n - at >= sizeof no - 1 && memcmp(a->body + at, no, sizeof no - 1) == 0) {
            memcpy(a->body + to, yes, sizeof yes - 1);
            to += sizeof yes - 1;
            at += sizeof no - 1;
        } else a->body[to++] = a->body[at++];
    }
    a->body_n = to;
}

/* ask_round asks all hubs once, until a quorum of answers are equal. */
static kh_err ask_round(kh_forward *f, const hubs *all, const kh_http_question *q, kh_http_answer *ret)
{
    kh_http_answer answers[KH_FORWARD_HUBS_MAX];
    uint32_t cnt = 0, quorum = all->cnt / 2 + 1, best = 0, most = 0;
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < all->cnt && most < quorum && err == KH_OK; i++) {
        err = ask_one(f, all->urls[i], q, &answers[cnt]);
        if (err == KH_E_CLOSED) {
            moved(f, all->urls[i], false);
            err = KH_OK;
            continue;
        }
        if (err != KH_OK) break;
        cnt++;
        for (uint32_t k = 0; k < cnt; k++) {
            uint32_t alike = 0;
            for (uint32_t m = 0; m < cnt; m++) alike += equal(&answers[k], &answers[m]);
            if (alike > most) {
                most = alike;
                best = k;
            }
        }
    }
    if (err == KH_OK && most < quorum) err = cnt == 0 ? KH_E_CLOSED : cnt < quorum ? KH_E_AGAIN : KH_E_DAMAGED;
    for (uint32_t i = 0; i < cnt; i++)
        if (err != KH_OK || i != best) free(answers[i].body);
    if (err == KH_OK) *ret = answers[best];
    return err;
}

kh_err kh_forward_ask(void *ctx, const kh_http_question *question, kh_http_answer *ret)
{
    kh_forward *f = ctx;
    hubs all;
    if (question->party != f->party) return KH_E_ARG;
    kh_err err = hubs_of(f, &all);
    if (err == KH_OK && !question->attested) err = ask_any(f, &all, question, ret);
    else if (err == KH_OK) {
        err = KH_E_DAMAGED;
        for (uint32_t i = 0; i < ROUNDS && err == KH_E_DAMAGED; i++) {
            if (i > 0) (void)nanosleep(&ROUND_WAIT, NULL);
            err = ask_round(f, &all, question, ret);
        }
        if (err == KH_OK) say_attested(ret);
    }
    hubs_end(&all);
    return err;
}

kh_err kh_forward_enterprise(void *ctx, const char *uscc, uint32_t *ret)
{
    kh_forward *f = ctx;
    char uri[700] = "/v1/parties/";
    size_t n = strlen(uri);
    for (const char *at = uscc; *at != '\0' && n + 4 < sizeof uri; at++)
        n += (size_t)snprintf(uri + n, 4, "%%%02X", (unsigned char)*at);
    kh_http_question question = {.party = f->party, .method = "GET", .uri = uri, .accept = "application/x-ndjson"};
    kh_http_answer answer = {0};
    kh_err err = kh_forward_ask(f, &question, &answer);
    if (err != KH_OK) return err;
    const char *id = answer.status == 200 && answer.body != NULL ? strstr((const char *)answer.body, "\"id\":") : NULL;
    const char *role = id != NULL ? strstr(id, "\"role\":\"enterprise\"") : NULL;
    char *end;
    unsigned long long number = role != NULL ? strtoull(id + 5, &end, 10) : 0;
    bool found = number > 0 && number <= UINT32_MAX;
    if (found) *ret = (uint32_t)number;
    err = found ? KH_OK : answer.status == 404 || answer.status == 200 ? KH_E_NOT_FOUND : KH_E_CLOSED;
    free(answer.body);
    return err;
}
