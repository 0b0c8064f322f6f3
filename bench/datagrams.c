/* bench_datagrams: sealed datagrams through a poller, packets in memory (a ring, no wire), one core.
 *
 *   bench_datagrams [--quick] [--documents N] [--rounds N]      one JSON object a figure on stdout, the story on stderr
 *
 * 10 M declarations are stored; every query draws its document over all of them. A round's requests are sealed anew beforehand (a
 * counter passes once), many more than the caches hold; bursts of 32 are timed, by the thread's own processor time, every check
 * on: session, seal (AES-256-GCM), replay window, access, limits. Making requests is not timed, nor is opening and reading
 * replies afterwards. Packets lie as in a pool of buffers of DPDK: what describes one before its bytes, an odd number of lines
 * from one to the next (a power of two would leave most of every cache unused). The stages are timed alone on the same data: what
 * they add up to is more than the path takes, since look-ups wait while packets are decrypted. Volatile. */
#include "papers.h"
#include "client/datagram.h"
#include "host/host.h"
#include "index/flow.h"
#include "index/reader.h"
#include "service/limits.h"
#include "service/poller_plain.h"
#include "service/session.h"
#include "store/parts.h"
#include "clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    PACKETS = 32768,
    QUERIES = PACKETS * 32,
    BURST = 32,
    SINGLES = 5,                       /* rounds of single queries for one of 32: they are over in some milliseconds */
    PACKET = 64,                       /* within an element of the pool: what describes it, as an mbuf does, */
    BYTES = PACKET + 128 + 128 + 42,   /* and its payload behind the headroom and the headers */
    STRIDE = PACKET + 128 + 128 + 2048 /* 37 lines */
};

static struct kh_store store;
static uint64_t documents = 10000000, seed = 88172645463325252ull;
static uint8_t *memory;
static kh_packet *pointers[PACKETS];
static kh_lane lane;
static uint8_t keys[2][KH_AEAD_KEY_SZ];

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t n)
{
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

static void say(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.5g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.3f}\n", name, value, unit, against,
           ratio);
    (void)fflush(stdout);
    fprintf(stderr, "  %-52s %12.5g %s\n", name, value, unit);
}

/* ---- the requests ---- */

static kh_query *all_queries; /* drawn once; every round asks them in another order */

static void requests(uint32_t per_packet, bool plain)
{
    uint64_t counter;
    for (uint32_t i = PACKETS; i > 1; i--) { /* as buffers come out of a pool that has been used for a while */
        uint32_t k = (uint32_t)(draw() % i);
        kh_packet *p = pointers[k];
        pointers[k] = pointers[i - 1];
        pointers[i - 1] = p;
    }
    for (uint32_t i = 0; i < PACKETS; i++) {
        const kh_query *q = all_queries + draw() % (QUERIES - per_packet);
        kh_packet *p = pointers[i];
        p->p = (uint8_t *)p + (BYTES - PACKET);
        p->cap = STRIDE - BYTES;
        p->n = kh_lane_seal(&lane, q, per_packet, false, p->p, &counter);
        if (!plain) continue;
        kh_query_encode(q, false, p->p + KH_REQUEST_HEAD_SZ);
        p->n = KH_REQUEST_HEAD_SZ + KH_QUERY_SZ;
    }
}

static kh_service *service;

static void count(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    (void)ctx, (void)help, (void)labels;
    if (value != 0) fprintf(stderr, "  %s %llu\n", name, (unsigned long long)value);
}

static void check(uint32_t per_packet, bool plain)
{
    for (uint32_t i = 0; i < PACKETS; i++) {
        kh_reply_head head;
        uint64_t as_of;
        kh_packet *p = pointers[i];
        const uint8_t *body = p->p + KH_REPLY_HEAD_SZ + 8;
        uint32_t cnt = 1;
        if (plain ? p->n != KH_REPLY_HEAD_SZ + 8 + KH_ANSWER_SZ
                  : !kh_lane_open_reply(&lane, p->p, p->n, &head, &as_of, &body, &cnt)) {
            fprintf(stderr, "packet %u: no sound reply (%u bytes)\n", i, p->n);
            kh_service_metrics(service, count, NULL);
            abort();
        }
        if (cnt != per_packet) abort();
        for (uint32_t k = 0; k < cnt; k++) {
            kh_query_answer a;
            if (kh_query_answer_decode(body + k * KH_ANSWER_SZ, &a) != KH_OK || a.code != KH_C_OK || a.free < 100000) {
                fprintf(stderr, "packet %u answer %u: code %u\n", i, k, a.code);
                abort();
            }
        }
    }
}

static double path(kh_poller *p, uint32_t per_packet, bool plain, uint32_t rounds)
{
    static double rates[SINGLES * 64];
    const kh_principal bank = {PAPERS_BANK, KH_ROLE_BANK, false};
    for (uint32_t round = 0; round < rounds; round++) {
        requests(per_packet, plain);
        double began = clock_of_thread();
        for (uint32_t at = 0; at < PACKETS; at += BURST)
            if (plain) kh_poller_burst_plain(p, &bank, pointers + at, BURST, 1);
            else kh_poller_burst(p, pointers + at, BURST, 1);
        rates[round] = PACKETS / (clock_of_thread() - began);
        check(per_packet, plain);
    }
    return median(rates, rounds);
}

/* ---- the stages alone ---- */

static void stages(uint32_t rounds)
{
    double opens[64], finds[64], verifies[64], seals[64];
    const kh_ledger *l = store.machine.ledger;
    uint8_t nonce[12], tag[16];
    kh_aead_key *up;
    static kh_flow flow;
    static const kh_record *records[1024];
    static kh_question questions[1024];
    static kh_verdict verdicts[1024];
    uint64_t known = 0;
    if (kh_aead_key_new(KH_AEAD_BEST, keys[KH_TO_SERVER], 1, &up) != KH_OK) abort();
    for (uint32_t round = 0; round < rounds; round++) {
        requests(32, false);
        double began = clock_of_thread();
        for (uint32_t i = 0; i < PACKETS; i++) {
            kh_request_head head;
            uint32_t cnt;
            if (kh_request_head_decode(pointers[i]->p, pointers[i]->n, &head, &cnt) != KH_OK) abort();
            kh_request_nonce(head.counter, head.lane, nonce);
            uint8_t *body = pointers[i]->p + KH_REQUEST_HEAD_SZ;
            if (!kh_aead_open(up, 0, nonce, pointers[i]->p, KH_REQUEST_HEAD_SZ, body, 1024, body + 1024)) abort();
        }
        opens[round] = (clock_of_thread() - began) / PACKETS * 1e9;
        finds[round] = verifies[round] = 0;
        for (uint32_t at = 0; at + BURST <= PACKETS / 4; at += BURST) {
            for (uint32_t i = 0; i < 1024; i++) {
                kh_query q;
                if (kh_query_decode(pointers[at + i / 32]->p + KH_REQUEST_HEAD_SZ + (i % 32) * KH_QUERY_SZ, false, &q) != KH_OK)
                    abort();
                questions[i] = (kh_question){.key = q.key,
                                             .kind = KH_KIND_EXPORT_DECLARATION,
                                             .bank = PAPERS_BANK,
                                             .owner_check = q.owner_check,
                                             .amount = q.amount,
                                             .currency = q.currency,
                                             .date = q.date,
                                             .want = KH_AMOUNT_NONE};
            }
            static kh_key group[1024];
            for (uint32_t i = 0; i < 1024; i++) group[i] = questions[i].key;
            began = clock_of_thread();
            kh_flow_begin(&flow, kh_ledger_index(l));
            uint32_t out = 0;
            for (uint32_t i = 0; out < 1024; i += KH_FLOW_GROUP) {
                if (kh_flow_step(&flow, i < 1024 ? group + i : NULL, records + out)) out += KH_FLOW_GROUP;
                kh_flow_fetch(&flow);
            }
            double found = clock_of_thread();
            kh_moment moment = kh_ledger_moment(l);
            for (uint32_t i = 0; i < 1024; i += KH_FLOW_GROUP)
                known += kh_ledger_verify_found(l, moment, questions + i, records + i, KH_FLOW_GROUP, verdicts + i);
            verifies[round] += clock_of_thread() - found;
            finds[round] += found - began;
            kh_reader_quiesce();
        }
        finds[round] *= 1e9 / (PACKETS / 4);
        verifies[round] *= 1e9 / (PACKETS / 4);
        began = clock_of_thread();
        for (uint32_t i = 0; i < PACKETS; i++) {
            kh_reply_nonce(i, 0, nonce);
            kh_aead_seal(up, 0, nonce, pointers[i]->p, KH_REPLY_HEAD_SZ, pointers[i]->p + KH_REPLY_HEAD_SZ, 520, tag);
        }
        seals[round] = (clock_of_thread() - began) / PACKETS * 1e9;
    }
    kh_aead_key_free(up);
    if (known == 0) abort();
    say("datagram of 32, alone: open", median(opens, rounds), "ns", "", 0);
    say("datagram of 32, alone: look-ups", median(finds, rounds), "ns", "", 0);
    say("datagram of 32, alone: verdicts", median(verifies, rounds), "ns", "", 0);
    say("datagram of 32, alone: seal", median(seals, rounds), "ns", "", 0);
}

static kh_err export_key(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    (void)ctx, (void)label, (void)context_n;
    for (size_t i = 0; i < n; i++) ret[i] = (uint8_t)(i * 7 + context[9] + 1);
    memcpy(keys[context[9]], ret, n);
    return KH_OK;
}

int main(int argc, char **argv)
{
    uint32_t rounds = 15;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) rounds = 7;
        else if (strcmp(argv[i], "--documents") == 0 && i + 1 < argc) documents = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) rounds = (uint32_t)strtoul(argv[++i], NULL, 10) % 64;
        else return fprintf(stderr, "usage: bench_datagrams [--quick] [--documents N] [--rounds N]\n"), 2;
    }
    fprintf(stderr, "datagrams: storing %llu documents\n", (unsigned long long)documents);
    papers_store(&store, documents);
    memory = mmap(NULL, (size_t)PACKETS * STRIDE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    (void)madvise(memory, (size_t)PACKETS * STRIDE, MADV_HUGEPAGE);
    all_queries = malloc((size_t)QUERIES * sizeof *all_queries);
    if (all_queries == NULL) return 1;
    for (uint32_t i = 0; i < QUERIES; i++) papers_query(draw() % documents, &all_queries[i]);
    for (uint32_t i = 0; i < PACKETS; i++) pointers[i] = (kh_packet *)(memory + (size_t)i * STRIDE + PACKET);

    kh_clock clock_ = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    kh_limits *limits;
    const kh_limit_rate rates[KH_LIMIT_CNT] = {{10000, 100}, {KH_LIMIT_BURST_MAX, KH_LIMIT_PER_S_MAX}, {10000, 10000}};
    kh_poller *poller;
    kh_session_grant grant;
    const kh_principal bank = {PAPERS_BANK, KH_ROLE_BANK, false};
    if (kh_limits_new(rates, (kh_limit_rate){100, 100}, &limits) != KH_OK) return 1;
    const kh_service_options options = {
        .store = &store, .limits = limits, .clock = &clock_, .entropy = &entropy, .poller_cnt = 1};
    if (kh_service_new(&options, &service) != KH_OK || kh_session_open(service, &bank, export_key, NULL, 0, &grant) != KH_OK ||
        kh_poller_new(service, 0, &poller) != KH_OK ||
        kh_lane_open(grant.id, 0, keys[KH_TO_SERVER], keys[KH_TO_CLIENT], &lane) != KH_OK)
        return 1;
    fprintf(stderr, "datagrams: AES-256-GCM by %s\n", kh_aead_method_word(kh_aead_best()));
    kh_poller_begin(poller);
    double sealed = path(poller, 32, false, rounds) * 32, one = path(poller, 1, false, rounds * SINGLES),
           plain = path(poller, 1, true, rounds * SINGLES);
    say("sealed datagrams 32", sealed, "queries/s", "target 20,000,000", sealed / 20e6);
    say("sealed datagrams 32, a datagram", 32e9 / sealed, "ns", "", 0);
    say("sealed datagrams 1", one, "queries/s", "plain single-query datagrams", one / plain);
    say("plain single-query datagrams", plain, "packets/s", "target 12,000,000", plain / 12e6);
    stages(rounds);
    kh_poller_end(poller);
    kh_poller_free(poller);
    kh_lane_close(&lane);
    kh_service_free(service);
    kh_limits_free(limits);
    kh_machine_release(&store.machine);
    return 0;
}
