/* bench_datagrams: sealed datagrams through a poller, packets in memory (a ring, no wire), one core.
 *
 *   bench_datagrams [--quick] [--documents N] [--rounds N]      one JSON object a figure on stdout, the story on stderr
 *
 * 10 M declarations are stored; every query draws its document over all of them. A round's requests are sealed anew beforehand (a
 * counter passes once), many more than the caches hold; bursts of 32 are timed, by the thread's own processor time, every check
 * on: session, seal (AES-256-GCM), replay window, access, limits. Making requests is not timed, nor is opening and reading
 * replies afterwards (ring.h). The stages are timed alone on the same data: what
 * they add up to is more than the path takes, since look-ups wait while packets are decrypted. Volatile. */
#include "papers.h"
#include "ring.h"
#include "host/host.h"
#include "index/flow.h"
#include "index/reader.h"
#include "service/limits.h"
#include "service/session.h"
#include "store/parts.h"
#include "clock.h"
#include "median.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    SINGLES = 5, /* rounds of single queries for one of 32: they are over in some milliseconds */
    ROUNDS_MAX = RING_ROUNDS_MAX / SINGLES
};

static struct kh_store store;
static uint64_t documents = 10000000;
static kh_lane lane;
static ring packets;
static uint8_t keys[2][KH_AEAD_KEY_SZ];

static void say(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.5g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.3f}\n", name, value, unit, against,
           ratio);
    (void)fflush(stdout);
    fprintf(stderr, "  %-52s %12.5g %s\n", name, value, unit);
}

/* ---- the stages alone ---- */

static void stages(uint32_t rounds)
{
    double opens[ROUNDS_MAX], finds[ROUNDS_MAX], verifies[ROUNDS_MAX], seals[ROUNDS_MAX];
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
        ring_requests(&packets, 32, false);
        double began = clock_of_thread();
        for (uint32_t i = 0; i < RING_PACKETS; i++) {
            kh_request_head head;
            uint32_t cnt;
            if (kh_request_head_decode(packets.packets[i]->p, packets.packets[i]->n, &head, &cnt) != KH_OK) abort();
            kh_request_nonce(head.counter, head.lane, nonce);
            uint8_t *body = packets.packets[i]->p + KH_REQUEST_HEAD_SZ;
            if (!kh_aead_open(up, 0, nonce, packets.packets[i]->p, KH_REQUEST_HEAD_SZ, body, 1024, body + 1024)) abort();
        }
        opens[round] = (clock_of_thread() - began) / RING_PACKETS * 1e9;
        finds[round] = verifies[round] = 0;
        for (uint32_t at = 0; at + RING_BURST <= RING_PACKETS / 4; at += RING_BURST) {
            for (uint32_t i = 0; i < 1024; i++) {
                kh_query q;
                if (kh_query_decode(packets.packets[at + i / 32]->p + KH_REQUEST_HEAD_SZ + (i % 32) * KH_QUERY_SZ, false, &q) !=
                    KH_OK)
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
        finds[round] *= 1e9 / (RING_PACKETS / 4);
        verifies[round] *= 1e9 / (RING_PACKETS / 4);
        began = clock_of_thread();
        for (uint32_t i = 0; i < RING_PACKETS; i++) {
            kh_reply_nonce(i, 0, nonce);
            kh_aead_seal(up, 0, nonce, packets.packets[i]->p, KH_REPLY_HEAD_SZ, packets.packets[i]->p + KH_REPLY_HEAD_SZ, 520,
                         tag);
        }
        seals[round] = (clock_of_thread() - began) / RING_PACKETS * 1e9;
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
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) rounds = (uint32_t)strtoul(argv[++i], NULL, 10) % ROUNDS_MAX;
        else return fprintf(stderr, "usage: bench_datagrams [--quick] [--documents N] [--rounds N]\n"), 2;
    }
    fprintf(stderr, "datagrams: storing %llu documents\n", (unsigned long long)documents);
    papers_store(&store, documents);
    kh_clock clock_ = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    kh_limits *limits;
    kh_service *service;
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
    ring_open(&packets, service, &lane, documents);
    double sealed = ring_run(&packets, poller, 32, false, rounds) * 32,
           one = ring_run(&packets, poller, 1, false, rounds * SINGLES),
           plain = ring_run(&packets, poller, 1, true, rounds * SINGLES);
    say("sealed datagrams 32", sealed, "queries/s", "target 20,000,000", sealed / 20e6);
    say("sealed datagrams 32, a datagram", 32e9 / sealed, "ns", "", 0);
    say("sealed datagrams 1", one, "queries/s", "plain single-query datagrams", one / plain);
    say("plain single-query datagrams", plain, "packets/s", "target 12,000,000", plain / 12e6);
    stages(rounds);
    kh_poller_end(poller);
    kh_poller_free(poller);
    ring_close(&packets);
    kh_lane_close(&lane);
    kh_service_free(service);
    kh_limits_free(limits);
    kh_machine_release(&store.machine);
    return 0;
}
