/* bench_cluster: load on a running cluster, by libkanhe-client; and on CometBFT's own key-value store, by its RPC.
 * bench/cluster.py starts both and says what the figures mean.
 *
 *   bench_cluster reserves URL CA CERT KEY SECONDS BATCH LANES RATE
 *     LANES callers of one bank, each with a batch of BATCH applications under way, on documents that no other batch under way
 * has; RATE applications a second in all, whether answered or not, at times with some chance in them (0: as fast as answered).
 *     Prints what was done, refused and failed, in how many seconds; how long 50 % and 99 % of the batches took at most from when
 *     they were due; the longest time without an answer
 *   bench_cluster lookups URL CA CERT KEY SECONDS      questions in bulk over sealed datagrams
 *   bench_cluster kvstore HOST PORT SECONDS CALLERS sync|async      ten transactions a call; prints those that were taken */
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "client/connection.h"
#include "doc/code.h"
#include "kanhe/client.h"
#include "median.h"

enum { ROWS = 100000, BANKS = 4, ENTERPRISE = 101, LANES_MAX = 64, TIMES_MAX = 1 << 20, LOOKUPS = 65536, TXS = 10 };

static kh_client_options options;
static uint32_t me, batch, lanes;
static double rate, began, ends_at;
static double took_ms[TIMES_MAX], ended_at[TIMES_MAX];
static atomic_uint time_cnt;
static atomic_ullong done, refused, failed;
static pthread_barrier_t all_ready;

static void fail(const char *what)
{
    fprintf(stderr, "bench_cluster: %s\n", what);
    exit(3);
}

static void no_row(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    (void)row;
}
static const kh_result_sink nobody = {.row = no_row};

static void sleep_until(double at)
{
    double left = at - kh_client_now_s();
    struct timespec t = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
    if (left > 0) (void)nanosleep(&t, NULL);
}

/* One that has its connection. */
static kh_client *open_client(void)
{
    kh_client *c;
    char why[600];
    if (kh_client_open(&options, why, sizeof why, &c) != KH_DONE) fail(why);
    for (uint32_t tries = 0; kh_client_me(c, &nobody) != KH_DONE; tries++) {
        if (tries == 20) fail(kh_client_message(c));
        sleep_until(kh_client_now_s() + 0.1);
    }
    return c;
}

static kh_id document(uint32_t i)
{
    char name[64];
    kh_id id;
    (void)snprintf(name, sizeof name, "export_declaration:310120260%09u", i);
    if (!kh_client_document_id(name, &id)) abort();
    return id;
}

static double chance(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53);
}

/* ---- applications ---- */

static void *lane(void *number)
{
    uint32_t own = *(const uint32_t *)number, share = ROWS / BANKS / lanes, at = 0;
    uint64_t id = (((uint64_t)time(NULL) & 0x7fffff) << 40) + ((uint64_t)(me % 256) << 32) + ((uint64_t)own << 26), seed = id;
    kh_reserve *requests = calloc(batch, sizeof *requests);
    kh_reserved *answers = calloc(batch, sizeof *answers);
    kh_id *documents = calloc(share, sizeof *documents);
    if (requests == NULL || answers == NULL || documents == NULL) fail("no memory");
    for (uint32_t i = 0; i < share; i++) documents[i] = document((me % BANKS) * (ROWS / BANKS) + own * share + i);
    kh_client *c = open_client();
    (void)pthread_barrier_wait(&all_ready);
    /* The first may be due before the beginning, and is left out: as many are due at any time. */
    double every = rate > 0 ? batch * lanes / rate : 0, due = began + every * own / lanes - every;
    while (kh_client_now_s() < ends_at) {
        double since = every > 0 ? due + every * chance(&seed) : kh_client_now_s();
        due += every;
        if (since >= ends_at) break;
        if (every > 0 && since < began) continue;
        sleep_until(since);
        for (uint32_t i = 0; i < batch; i++, at = (at + 1) % share)
            requests[i] = (kh_reserve){++id, 1, documents[at], me, ENTERPRISE, 840, "export_receivable"};
        while (kh_client_submit(c, requests, batch, batch, 1, answers) != KH_DONE && kh_client_now_s() < ends_at) {
            if (failed++ == 0) fprintf(stderr, "bench_cluster: %s\n", kh_client_message(c));
            sleep_until(kh_client_now_s() + 0.05);
        }
        double now = kh_client_now_s();
        if (now > ends_at && every <= 0) break;
        uint32_t n = time_cnt++;
        if (n < TIMES_MAX) took_ms[n] = (now - since) * 1e3, ended_at[n] = now;
        for (uint32_t i = 0; i < batch; i++)
            if (answers[i].code == KH_C_OK) done++;
            else refused++;
    }
    kh_client_close(c);
    free(requests);
    free(answers);
    free(documents);
    return NULL;
}

static void reserves(double seconds)
{
    pthread_t threads[LANES_MAX];
    uint32_t numbers[LANES_MAX];
    if (lanes == 0 || lanes > LANES_MAX || batch == 0) fail("how many lanes, of how many?");
    /* The node knows this address: it takes any number of connections from one that has shown a good certificate. */
    kh_client *known = open_client();
    (void)pthread_barrier_init(&all_ready, NULL, lanes + 1);
    for (uint32_t i = 0; i < lanes; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, lane, &numbers[i]) != 0) fail("thread");
    }
    began = kh_client_now_s() + 0.5;
    ends_at = began + seconds;
    (void)pthread_barrier_wait(&all_ready);
    for (uint32_t i = 0; i < lanes; i++) (void)pthread_join(threads[i], NULL);
    kh_client_close(known);
    uint32_t n = time_cnt < TIMES_MAX ? time_cnt : TIMES_MAX;
    double gap = 0;
    sort_figures(took_ms, n);
    sort_figures(ended_at, n);
    for (uint32_t i = 1; i < n; i++)
        if (ended_at[i] - ended_at[i - 1] > gap) gap = ended_at[i] - ended_at[i - 1];
    printf("{\"done\":%llu,\"refused\":%llu,\"failed\":%llu,\"seconds\":%.6f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"gap_s\":%.4f}\n",
           (unsigned long long)done, (unsigned long long)refused, (unsigned long long)failed, seconds, n > 0 ? took_ms[n / 2] : 0,
           n > 0 ? took_ms[(uint64_t)n * 99 / 100] : 0, gap);
}

/* ---- questions ---- */

static void lookups(double seconds)
{
    kh_lookup_question *questions = calloc(LOOKUPS, sizeof *questions);
    kh_lookup_answer *answers = calloc(LOOKUPS, sizeof *answers);
    uint64_t asked = 0;
    if (questions == NULL || answers == NULL) fail("no memory");
    for (uint32_t i = 0; i < LOOKUPS; i++)
        questions[i] = (kh_lookup_question){.id = document((i * 7919u) % ROWS), .currency = 840};
    kh_client *c = open_client();
    for (began = kh_client_now_s(); kh_client_now_s() - began < seconds; asked += LOOKUPS)
        if (kh_client_lookup(c, questions, LOOKUPS, answers) != KH_DONE) fail(kh_client_message(c));
    printf("{\"done\":%llu,\"seconds\":%.6f}\n", (unsigned long long)asked, kh_client_now_s() - began);
    kh_client_close(c);
    free(questions);
    free(answers);
}

/* ---- CometBFT's key-value store ---- */

static struct {
    const char *host, *port, *method;
} kvstore;

/* n is a multiple of three. */
static size_t base64(const char *p, size_t n, char *ret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *q = ret;
    for (; n >= 3; n -= 3, p += 3, q += 4) {
        uint32_t v = (uint32_t)(uint8_t)p[0] << 16 | (uint32_t)(uint8_t)p[1] << 8 | (uint8_t)p[2];
        for (int i = 0; i < 4; i++) q[i] = digits[v >> (18 - 6 * i) & 63];
    }
    return (size_t)(q - ret);
}

/* The whole answer: ten results say "code":0 each where they were taken. */
static uint32_t answered(int fd, char *p, size_t cap)
{
    size_t n = 0, want = SIZE_MAX;
    uint32_t good = 0;
    while (n < want && n + 1 < cap) {
        ssize_t got = recv(fd, p + n, cap - 1 - n, 0);
        if (got <= 0) fail("CometBFT hangs up");
        p[n += (size_t)got] = '\0';
        const char *body = strstr(p, "\r\n\r\n"), *length = strcasestr(p, "content-length:");
        if (want == SIZE_MAX && body != NULL && length != NULL && length < body)
            want = (size_t)(body + 4 - p) + strtoul(length + 15, NULL, 10);
        else if (want == SIZE_MAX && body != NULL && strcasestr(p, "chunked") != NULL && strstr(body, "\r\n0\r\n\r\n") != NULL)
            break;
    }
    for (const char *at = p; (at = strstr(at, "\"code\":0,")) != NULL; at++) good++;
    return good;
}

static void *puts_keys(void *number)
{
    uint32_t own = *(const uint32_t *)number, next = 0;
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    static _Thread_local char body[4096], out[8192], in[65536];
    if (getaddrinfo(kvstore.host, kvstore.port, &hints, &found) != 0) fail("address");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) fail("CometBFT does not answer");
    freeaddrinfo(found);
    while (kh_client_now_s() < ends_at) {
        size_t n = 0;
        for (uint32_t i = 0; i < TXS; i++) {
            char tx[64], text[96];
            int tx_n = snprintf(tx, sizeof tx, "%010u%03u%04u%010u=%08u", (uint32_t)time(NULL), own, (uint32_t)getpid() % 10000,
                                next, next);
            next++;
            text[base64(tx, (size_t)tx_n, text)] = '\0';
            n += (size_t)snprintf(body + n, sizeof body - n,
                                  "%c{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\",\"params\":{\"tx\":\"%s\"}}",
                                  i == 0 ? '[' : ',', i, kvstore.method, text);
        }
        body[n++] = ']';
        int out_n = snprintf(out, sizeof out,
                             "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                             kvstore.host, n, (int)n, body);
        if (send(fd, out, (size_t)out_n, MSG_NOSIGNAL) != out_n) fail("CometBFT hangs up");
        uint32_t good = answered(fd, in, sizeof in);
        done += good;
        if (good == TXS) continue;
        refused += TXS - good;
        sleep_until(kh_client_now_s() + 0.005); /* its mempool is full */
    }
    (void)close(fd);
    return NULL;
}

static void put_keys(double seconds, uint32_t callers)
{
    pthread_t threads[LANES_MAX];
    uint32_t numbers[LANES_MAX];
    if (callers == 0 || callers > LANES_MAX) fail("how many callers?");
    began = kh_client_now_s();
    ends_at = began + seconds;
    for (uint32_t i = 0; i < callers; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, puts_keys, &numbers[i]) != 0) fail("thread");
    }
    for (uint32_t i = 0; i < callers; i++) (void)pthread_join(threads[i], NULL);
    printf("{\"done\":%llu,\"refused\":%llu,\"seconds\":%.6f}\n", (unsigned long long)done, (unsigned long long)refused, seconds);
}

int main(int argc, char *argv[])
{
    if (argc == 7 && strcmp(argv[1], "kvstore") == 0) {
        kvstore.host = argv[2];
        kvstore.port = argv[3];
        kvstore.method = strcmp(argv[6], "sync") == 0 ? "broadcast_tx_sync" : "broadcast_tx_async";
        put_keys(atof(argv[4]), (uint32_t)atoi(argv[5]));
        return 0;
    }
    if (argc < 7) return fprintf(stderr, "bench_cluster reserves|lookups URL CA CERT KEY SECONDS ...\n"), 2;
    options = (kh_client_options){.url = argv[2], .ca = argv[3], .cert = argv[4], .key = argv[5], .timeout_s = 30};
    const char *name = strrchr(argv[4], '/');
    me = (uint32_t)atoi(name != NULL ? name + 1 : argv[4]); /* tools/cluster names certificates by their party */
    if (strcmp(argv[1], "lookups") == 0) lookups(atof(argv[6]));
    else if (strcmp(argv[1], "reserves") == 0 && argc == 10) {
        batch = (uint32_t)atoi(argv[7]);
        lanes = (uint32_t)atoi(argv[8]);
        rate = atof(argv[9]);
        reserves(atof(argv[6]));
    } else return fprintf(stderr, "bench_cluster: what is %s?\n", argv[1]), 2;
    return 0;
}
