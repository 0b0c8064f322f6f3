/* bench_hub: load on a running hub over loopback, by libkanhe-client and, for datagrams, by lanes of our own. bench/hub.py starts
 * the hub and says what each figure means.
 *
 *   bench_hub batch|https|single|verify URL CA CERT KEY SECONDS [MORE]     prints what was done, and in how many seconds
 *             MORE  verify: the file; batch, https: the caller's number, 0 to 15, of several at a time; single: operations in
 * flight, and the most that share a datagram, 1 to 24 (24: as many as fit) bench_hub redis DIR SECONDS */
#include "client/runs.h"
#include "client/session.h"
#include "peers.h"
#include "wire/wire.h"
#include "reserve.h"
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ROWS = 100000,
    BANK = 11,
    ENTERPRISE = 101,
    IN_FLIGHT = 256,
    IN_FLIGHT_MAX = 1024,
    BATCH = 256,
    BATCHES = 4,
    PER_CALL = 262144
};

double peer_now(void) { return kh_client_now_s(); }

uint32_t peer_random(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = (*state ^ *state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)(z >> 32);
}

static kh_id documents[ROWS];

/* The same numbers as bench/hub.py imports. */
static void number_documents(void)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "export_declaration:310120260%09u", i);
        if (!kh_client_document_id(name, &documents[i])) abort();
    }
}

static void die(kh_client *c)
{
    fprintf(stderr, "bench_hub: %s\n", kh_client_message(c));
    exit(3);
}

static void said(uint64_t done, double took) { printf("{\"done\":%llu,\"seconds\":%.6f}\n", (unsigned long long)done, took); }

/* Ids of financings that no run before has used. */
static uint64_t first_id(void) { return (uint64_t)time(NULL) << 28; }

static void batches(kh_client *c, double seconds, uint32_t caller)
{
    kh_reserve *requests = calloc(PER_CALL, sizeof *requests);
    kh_reserved *answers = calloc(PER_CALL, sizeof *answers);
    uint64_t id = first_id() + ((uint64_t)caller << 24), seed = id, done = 0;
    double began = peer_now();
    while (peer_now() - began < seconds) {
        for (uint32_t i = 0; i < PER_CALL; i++)
            requests[i] = (kh_reserve){.id = ++id,
                                       .amount = 1,
                                       .document = documents[peer_random(&seed) % ROWS],
                                       .bank = BANK,
                                       .enterprise = ENTERPRISE,
                                       .currency = 840,
                                       .product = "export_receivable"};
        if (kh_client_submit(c, requests, PER_CALL, BATCH, BATCHES, answers) != KH_DONE) die(c);
        for (uint32_t i = 0; i < PER_CALL; i++) done += answers[i].code == KH_C_OK;
    }
    said(done, peer_now() - began);
    free(requests);
    free(answers);
}

/* ---- frames of one operation each, so many in flight; what may go at once shares datagrams ---- */

static int socket_to(const char *address)
{
    char host[80];
    const char *colon = strrchr(address, ':');
    struct addrinfo *found, hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (host[0] == '[') {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = '\0';
    }
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) exit(3);
    int fd = socket(found->ai_family, SOCK_DGRAM, 0), sz = 4 << 20;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &sz, sizeof sz);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) exit(3);
    freeaddrinfo(found);
    return fd;
}

typedef struct datagram {
    uint32_t n, op_cnt;
    uint8_t bytes[KH_DATAGRAM_MAX_SZ];
} datagram;

typedef struct load {
    kh_lane lane;
    int fd;
    uint64_t id, seed, done, lost;
    uint32_t in_flight, most, per; /* operations; a datagram's at most */
    bool apart;
    kh_inbox *inbox;
    /* sealed while the hub is at work, to be sent when as many are answered, as the calls to Redis are: a ring */
    uint32_t made_first, made_cnt, made_ops;
    datagram made[IN_FLIGHT_MAX];
} load;

static size_t reserve_frame(load *l, uint8_t *frame, size_t cap)
{
    return reserve_encode(BANK, ENTERPRISE, ++l->id, documents[peer_random(&l->seed) % ROWS].bytes, frame, cap);
}

static void make_some(load *l)
{
    while (l->made_ops < l->most) {
        datagram *d = &l->made[(l->made_first + l->made_cnt++) % IN_FLIGHT_MAX];
        uint8_t frames[KH_FRAMES_MAX_SZ];
        size_t frames_n = 0, last_n = 0; /* one is as long as another */
        uint64_t counter;
        for (d->op_cnt = 0; d->op_cnt < l->per && l->made_ops < l->most && frames_n + last_n <= sizeof frames; l->made_ops++) {
            frames_n += last_n = reserve_frame(l, frames + frames_n, sizeof frames - frames_n);
            d->op_cnt++;
        }
        d->n = kh_lane_seal_frames(&l->lane, frames, (uint32_t)frames_n, d->bytes, &counter);
    }
}

static void send_some(load *l)
{
    struct iovec parts[KH_RUNS_MAX];
    uint32_t n = 0;
    if (l->in_flight + l->most / 8 > l->most) return; /* several by one call */
    for (datagram *d; n < KH_RUNS_MAX && l->made_cnt > 0; n++) {
        d = &l->made[l->made_first];
        if (l->in_flight + d->op_cnt > l->most) break;
        parts[n] = (struct iovec){d->bytes, d->n};
        l->in_flight += d->op_cnt;
        l->made_ops -= d->op_cnt;
        l->made_first = (l->made_first + 1) % IN_FLIGHT_MAX;
        l->made_cnt--;
    }
    if (n > 0) kh_runs_send(l->fd, parts, n, &l->apart);
}

static void take_reply(void *ctx, uint8_t *p, uint32_t n)
{
    load *l = ctx;
    kh_reply_head head;
    const uint8_t *body;
    uint64_t as_of;
    uint32_t cnt;
    if (!kh_lane_open_reply(&l->lane, p, n, &head, &as_of, &body, &cnt)) return;
    for (uint32_t k = 0; k < cnt; k++) {
        kh_op_answer answer;
        if (kh_op_answer_decode(body + k * KH_OP_ANSWER_SZ, &answer) == KH_OK && answer.code == KH_C_OK) l->done++;
        else fprintf(stderr, "bench_hub: %s\n", kh_code_name(answer.code));
    }
    l->in_flight -= cnt < l->in_flight ? cnt : l->in_flight;
}

static void receive_some(load *l)
{
    struct pollfd ready = {.fd = l->fd, .events = POLLIN};
    if (poll(&ready, 1, 1000) > 0) (void)kh_runs_receive(l->fd, l->inbox, take_reply, l);
    else { /* what is lost is not counted; a run with losses says so */ l->lost += l->in_flight;
        l->in_flight = 0;
    }
}

static void singles(kh_client *c, double seconds, uint32_t most, uint32_t per)
{
    kh_session_opened opened;
    load *l = calloc(1, sizeof *l);
    if (kh_client_session(c, &opened) != KH_DONE) die(c);
    if (kh_lane_open(opened.channel.session, 0, opened.channel.up, opened.channel.down, &l->lane) != KH_OK) exit(3);
    l->fd = socket_to(opened.address);
    if ((l->inbox = kh_inbox_new(l->fd)) == NULL) exit(3);
    l->most = most == 0 || most > IN_FLIGHT_MAX ? IN_FLIGHT : most;
    l->per = per;
    l->id = first_id();
    l->seed = l->id;
    make_some(l);
    double began = peer_now();
    while (peer_now() - began < seconds) {
        send_some(l);
        make_some(l);
        receive_some(l);
    }
    while (l->in_flight > 0) receive_some(l);
    said(l->done, peer_now() - began);
    if (l->lost > 0) fprintf(stderr, "bench_hub: %llu operations without an answer\n", (unsigned long long)l->lost);
    kh_lane_close(&l->lane);
    kh_inbox_free(l->inbox);
    (void)close(l->fd);
    free(l);
}

static uint64_t rows_seen;
static void count_row(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    (void)row;
    rows_seen++;
}

static void verify(kh_client *c, const char *file, double seconds)
{
    kh_result_sink sink = {.row = count_row};
    double began = peer_now();
    while (peer_now() - began < seconds)
        if (kh_client_verify_file(c, file, &sink) > KH_DONE_NOT_OK) die(c);
    said(rows_seen, peer_now() - began);
}

int main(int argc, char *argv[])
{
    if (argc == 4 && strcmp(argv[1], "redis") == 0) {
        double seconds = atof(argv[3]), rate = peer_redis(argv[2], ROWS, 1, seconds);
        said(rate > 0 ? (uint64_t)(rate * seconds) : 0, seconds);
        return rate > 0 ? 0 : 3;
    }
    if (argc < 7) return fprintf(stderr, "bench_hub batch|https|single|verify URL CA CERT KEY SECONDS [MORE]\n"), 2;
    kh_client_options options = {.url = argv[2],
                                 .ca = argv[3],
                                 .cert = argv[4],
                                 .key = argv[5],
                                 .timeout_s = 10,
                                 .no_datagrams = strcmp(argv[1], "https") == 0};
    char why[600];
    kh_client *c;
    if (kh_client_open(&options, why, sizeof why, &c) != KH_DONE) return fprintf(stderr, "bench_hub: %s\n", why), 2;
    number_documents();
    if (strcmp(argv[1], "batch") == 0 || options.no_datagrams)
        batches(c, atof(argv[6]), argc > 7 ? (uint32_t)atoi(argv[7]) % 16 : 0);
    else if (strcmp(argv[1], "single") == 0)
        singles(c, atof(argv[6]), argc > 7 ? (uint32_t)atoi(argv[7]) : IN_FLIGHT,
                argc > 8 ? (uint32_t)atoi(argv[8]) : KH_DATAGRAM_OPS_MAX);
    else verify(c, argv[7], atof(argv[6]));
    kh_client_close(c);
    return 0;
}
