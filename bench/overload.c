/* bench_overload: who asks too much, and who is asking beside it, on a running hub. bench/overload.py starts the hub, puts these
 * together and says what the figures mean. Requests and their texts are made before the clock runs.
 *
 *   bench_overload WHAT URL CA CERT KEY SECONDS [N] [FILE]
 *     calls       one caller: a balance and the verdicts of FILE by turns, one after another
 *     reserves    N callers, four batches of 256 applications under way each, on a connection of its own each
 *     document    N callers that reserve on one document, one application a call, as fast as they are answered
 *     probe       N callers that ask after the numbers of FILE, which do not exist, as fast as they are answered
 *     datagrams   one application a datagram, N a second whether answered or not; N = 0: 256 in flight. What counts is what was
 *                 answered by the end, and the time until then
 * prints what was done (and refused, and sent), in how many seconds, and how long 50 % and 99 % of the calls took at most. */
#include "client/runs.h"
#include "client/session.h"
#include "doc/code.h"
#include "kanhe/client.h"
#include "wire/wire.h"
#include "reserve.h"
#include "median.h"
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 100000, ENTERPRISE = 101, THREADS_MAX = 64, TIMES_MAX = 1 << 20, BURST = 64, WINDOW = 256, WAITS = 1 << 14 };

static kh_client_options options;
static const char *file;
static uint32_t me;
static double seconds, ends_at;
static double *times;
static _Atomic uint32_t time_cnt;
static _Atomic uint64_t done, refused;
static pthread_barrier_t ready, go; /* each caller has its connections; the clock runs */

static void fail(const char *what)
{
    fprintf(stderr, "bench_overload: %s\n", what);
    exit(3);
}

static kh_client *open_client(void)
{
    kh_client *c;
    char why[600];
    if (kh_client_open(&options, why, sizeof why, &c) != KH_DONE) fail(why);
    return c;
}

/* Connections are made once and kept, as any caller does: what their handshakes cost is none of what the load gets done. */
static void begin_together(void)
{
    (void)pthread_barrier_wait(&ready);
    (void)pthread_barrier_wait(&go);
}

static void took(double since)
{
    uint32_t i = time_cnt++;
    if (i < TIMES_MAX) times[i] = (kh_client_now_s() - since) * 1e3;
}

static void say(double took_s, uint64_t sent)
{
    uint32_t n = time_cnt < TIMES_MAX ? time_cnt : TIMES_MAX;
    sort_figures(times, n);
    printf("{\"done\":%llu,\"refused\":%llu,\"sent\":%llu,\"seconds\":%.6f,\"p50_ms\":%.4f,\"p99_ms\":%.4f}\n",
           (unsigned long long)done, (unsigned long long)refused, (unsigned long long)sent, took_s, n > 0 ? times[n / 2] : 0,
           n > 0 ? times[n / 100 * 99 + n % 100 * 99 / 100] : 0);
}

static kh_id document(uint32_t i)
{
    char name[64];
    kh_id id;
    (void)snprintf(name, sizeof name, "export_declaration:310120260%09u", i);
    if (!kh_client_document_id(name, &id)) abort();
    return id;
}

/* Ids of financings that nobody else uses: of this second, this party, this caller. */
static uint64_t first_id(uint32_t caller)
{
    return ((uint64_t)time(NULL) << 28) + ((uint64_t)(me % 16) << 24) + ((uint64_t)caller << 18);
}

static kh_reserve reserve(uint64_t id, kh_id on)
{
    return (kh_reserve){.id = id,
                        .amount = 1,
                        .document = on,
                        .bank = me,
                        .enterprise = ENTERPRISE,
                        .currency = 840,
                        .product = "export_receivable"};
}

/* ---- callers ---- */

static void no_row(void *ctx, const kh_result_row *row)
{
    uint64_t *limited = ctx;
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (row->fields[i].type == KH_FIELD_TEXT && row->fields[i].text != NULL &&
            strcmp(row->fields[i].text, "RATE_LIMITED") == 0)
            ++*limited;
}

static void *calls(void *number)
{
    kh_client *c = open_client();
    uint64_t limited = 0;
    kh_result_sink sink = {.row = no_row, .ctx = &limited};
    uint32_t seed = 1;
    (void)number;
    begin_together();
    for (uint32_t i = 0; kh_client_now_s() < ends_at; i++) {
        char paper[64];
        seed = seed * 1664525u + 1013904223u;
        (void)snprintf(paper, sizeof paper, "export_declaration:310120260%09u", seed % ROWS);
        kh_client_param query[] = {{"document", paper}, {"owner", "91350211M000100Y46"}, {"amount", "1000000.00"}};
        kh_client_request ask = {.method = "GET", .path = "/v1/balance", .query = query, .query_cnt = 3};
        double since = kh_client_now_s();
        kh_result result = i % 2 != 0 ? kh_client_verify_file(c, file, &sink) : kh_client_call(c, &ask, &sink);
        if (result > KH_DONE_NOT_OK) refused++;
        else done++;
        took(since);
    }
    kh_client_close(c);
    return NULL;
}

enum { PER_CALL = 2048 };
static void *submits(const uint32_t *number, bool one)
{
    kh_client *c = open_client();
    kh_reserve *requests = calloc(PER_CALL, sizeof *requests);
    kh_reserved *answers = calloc(PER_CALL, sizeof *answers);
    uint64_t id = first_id(*number);
    uint32_t n = one ? 64 : PER_CALL;
    kh_id *documents = calloc(PER_CALL, sizeof *documents);
    for (uint32_t i = 0; i < PER_CALL; i++) documents[i] = document((i * 7919u + *number * 104729u) % ROWS);
    for (bool first = true; first || kh_client_now_s() < ends_at; first = false) {
        for (uint32_t i = 0; i < n; i++) requests[i] = reserve(++id, documents[one ? 0 : i]);
        double since = kh_client_now_s();
        kh_result result = kh_client_submit(c, requests, n, one ? 1 : 256, one ? 1 : 4, answers);
        if (first) { /* it opened the connections that the others go over */
            begin_together();
            continue;
        }
        if (result != KH_DONE) {
            if (refused == 0) fprintf(stderr, "bench_overload: %s\n", kh_client_message(c));
            refused += n;
            continue;
        }
        took(since);
        for (uint32_t i = 0; i < n; i++) done += answers[i].code == KH_C_OK;
    }
    free(documents);
    free(requests);
    free(answers);
    kh_client_close(c);
    return NULL;
}
static void *reserves(void *number) { return submits(number, false); }
static void *on_one_document(void *number) { return submits(number, true); }

static void *probes(void *number)
{
    kh_client *c = open_client();
    uint64_t limited = 0;
    kh_result_sink sink = {.row = no_row, .ctx = &limited};
    (void)number;
    begin_together();
    while (kh_client_now_s() < ends_at) {
        limited = 0;
        double since = kh_client_now_s();
        if (kh_client_verify_file(c, file, &sink) > KH_DONE_NOT_OK || limited > 0) refused++;
        else done++;
        took(since);
    }
    kh_client_close(c);
    return NULL;
}

/* ---- datagrams, whether answered or not ---- */

static int socket_to(const char *address)
{
    char host[80];
    const char *colon = strrchr(address, ':');
    struct addrinfo *found, hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) fail("address");
    int fd = socket(found->ai_family, SOCK_DGRAM, 0), sz = 4 << 20;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &sz, sizeof sz);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) fail("socket");
    freeaddrinfo(found);
    return fd;
}

static uint8_t out[BURST][KH_DATAGRAM_MAX_SZ];
static double sent_at[WAITS]; /* by counter */

static void take_reply(void *lane, uint8_t *p, uint32_t n)
{
    kh_reply_head head;
    const uint8_t *body;
    uint64_t as_of;
    uint32_t cnt;
    kh_op_answer answer;
    if (!kh_lane_open_reply(lane, p, n, &head, &as_of, &body, &cnt) || kh_op_answer_decode(body, &answer) != KH_OK) return;
    if (answer.code == KH_C_OK) done++;
    else refused++;
    if (sent_at[head.counter % WAITS] > 0) took(sent_at[head.counter % WAITS]);
}

static uint32_t take(int fd, kh_inbox *inbox, kh_lane *lane, bool wait)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (wait && poll(&ready, 1, 200) <= 0) return UINT32_MAX;
    return kh_runs_receive(fd, inbox, take_reply, lane);
}

static void datagrams(double rate)
{
    kh_client *c = open_client();
    kh_session_opened opened;
    kh_lane lane;
    struct iovec parts[BURST];
    uint64_t id = first_id(0), sent = 0, in_flight = 0;
    bool apart = false;
    kh_id *documents = calloc(ROWS, sizeof *documents);
    for (uint32_t i = 0; i < ROWS; i++) documents[i] = document(i);
    if (kh_client_session(c, &opened) != KH_DONE) fail(kh_client_message(c));
    if (kh_lane_open(opened.channel.session, 0, opened.channel.up, opened.channel.down, &lane) != KH_OK) fail("lane");
    int fd = socket_to(opened.address);
    kh_inbox *inbox = kh_inbox_new(fd);
    if (inbox == NULL) fail("out of memory");
    double began = kh_client_now_s(), now = began;
    for (ends_at = began + seconds; now < ends_at; now = kh_client_now_s()) {
        uint64_t due = rate > 0 ? (uint64_t)((now - began) * rate) : sent + WINDOW - in_flight;
        uint32_t n = due - sent < BURST ? (uint32_t)(due - sent) : BURST;
        for (uint32_t i = 0; i < n; i++) {
            uint8_t frame[KH_FRAMES_MAX_SZ];
            uint64_t counter;
            size_t frame_n = reserve_encode(me, ENTERPRISE, ++id, documents[(sent + i) * 7919 % ROWS].bytes, frame, sizeof frame);
            parts[i] = (struct iovec){out[i], kh_lane_seal_frames(&lane, frame, (uint32_t)frame_n, out[i], &counter)};
            sent_at[counter % WAITS] = now;
        }
        kh_runs_send(fd, parts, n, &apart);
        sent += n;
        in_flight += n;
        uint32_t got = take(fd, inbox, &lane, rate <= 0);
        in_flight -= got == UINT32_MAX ? in_flight : got < in_flight ? got : in_flight; /* a lost one is sent anew */
    }
    say(now - began, sent); /* what was answered in that time, and no other */
    kh_lane_close(&lane);
    kh_inbox_free(inbox);
    free(documents);
    (void)close(fd);
    kh_client_close(c);
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        void *(*run)(void *number);
    } kinds[] = {{"calls", calls}, {"reserves", reserves}, {"document", on_one_document}, {"probe", probes}};
    uint32_t numbers[THREADS_MAX], n = argc > 7 ? (uint32_t)atoi(argv[7]) : 1;
    pthread_t threads[THREADS_MAX];
    if (argc < 7) return fprintf(stderr, "bench_overload WHAT URL CA CERT KEY SECONDS [N] [FILE]\n"), 2;
    options = (kh_client_options){
        .url = argv[2], .ca = argv[3], .cert = argv[4], .key = argv[5], .timeout_s = 30, .no_datagrams = true};
    const char *name = strrchr(argv[4], '/');
    me = (uint32_t)atoi(name != NULL ? name + 1 : argv[4]); /* tools/hub names certificates by their party */
    file = argc > 8 ? argv[8] : NULL;
    seconds = atof(argv[6]);
    times = calloc(TIMES_MAX, sizeof *times);
    double began = kh_client_now_s();
    ends_at = began + seconds;
    if (strcmp(argv[1], "datagrams") == 0) {
        datagrams(n);
        return 0;
    }
    for (uint32_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if (strcmp(argv[1], kinds[k].name) != 0) continue;
        if (n > THREADS_MAX) n = THREADS_MAX;
        /* The hub knows this address: it takes any number of connections from one that has shown a good certificate. */
        kh_client *known = open_client();
        const kh_result_sink nobody = {.row = no_row, .ctx = &(uint64_t){0}};
        if (kh_client_me(known, &nobody) != KH_DONE) fail(kh_client_message(known));
        if (pthread_barrier_init(&ready, NULL, n + 1) != 0 || pthread_barrier_init(&go, NULL, n + 1) != 0) fail("barrier");
        for (uint32_t i = 0; i < n; i++) {
            numbers[i] = i;
            if (pthread_create(&threads[i], NULL, kinds[k].run, &numbers[i]) != 0) fail("thread");
        }
        (void)pthread_barrier_wait(&ready);
        began = kh_client_now_s();
        ends_at = began + seconds;
        (void)pthread_barrier_wait(&go);
        for (uint32_t i = 0; i < n; i++) (void)pthread_join(threads[i], NULL);
        say(kh_client_now_s() - began, 0);
        kh_client_close(known);
        return 0;
    }
    return fprintf(stderr, "bench_overload: what is %s?\n", argv[1]), 2;
}
