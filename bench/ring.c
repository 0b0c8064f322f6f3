#include "ring.h"
#include "papers.h"
#include "clock.h"
#include "median.h"
#include "service/poller_plain.h"
#include "service/service.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Packets lie as in a pool of buffers of DPDK: what describes one before its bytes, an odd number of lines from one to the next
 * (a power of two would leave most of every cache unused). */
enum {
    QUERIES = RING_PACKETS * 32,
    PACKET = 64,                        /* within an element of the pool: what describes it, as an mbuf does, */
    BYTES = PACKET + 128 + 128 + 42,    /* and its payload behind the headroom and the headers */
    STRIDE = PACKET + 128 + 128 + 2048, /* 37 lines */
    MEMORY = RING_PACKETS * STRIDE
};

uint64_t ring_draw(void)
{
    static uint64_t seed = 88172645463325252ull;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

void ring_open(ring *r, kh_service *service, kh_lane *lane, uint64_t documents)
{
    *r = (ring){.lane = lane, .service = service, .now_ns = 1, .clock = CLOCK_THREAD_CPUTIME_ID};
    r->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r->queries = malloc((size_t)QUERIES * sizeof *r->queries);
    if (r->memory == MAP_FAILED || r->queries == NULL) abort();
    (void)madvise(r->memory, MEMORY, MADV_HUGEPAGE);
    for (uint32_t i = 0; i < QUERIES; i++) papers_query(ring_draw() % documents, &r->queries[i]);
    for (uint32_t i = 0; i < RING_PACKETS; i++) r->packets[i] = (kh_packet *)(r->memory + (size_t)i * STRIDE + PACKET);
}

void ring_close(ring *r)
{
    free(r->queries);
    (void)munmap(r->memory, MEMORY);
}

void ring_requests(ring *r, uint32_t per_packet, bool plain)
{
    uint64_t counter;
    for (uint32_t i = RING_PACKETS; i > 1; i--) { /* as buffers come out of a pool that has been used for a while */
        uint32_t k = (uint32_t)(ring_draw() % i);
        kh_packet *p = r->packets[k];
        r->packets[k] = r->packets[i - 1];
        r->packets[i - 1] = p;
    }
    for (uint32_t i = 0; i < RING_PACKETS; i++) {
        const kh_query *q = r->queries + ring_draw() % (QUERIES - per_packet);
        kh_packet *p = r->packets[i];
        p->p = (uint8_t *)p + (BYTES - PACKET);
        p->cap = STRIDE - BYTES;
        p->n = kh_lane_seal(r->lane, q, per_packet, false, p->p, &counter);
        if (!plain) continue;
        kh_query_encode(q, false, p->p + KH_REQUEST_HEAD_SZ);
        p->n = KH_REQUEST_HEAD_SZ + KH_QUERY_SZ;
    }
}

static void count(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    (void)ctx, (void)help, (void)labels;
    if (value != 0) fprintf(stderr, "  %s %llu\n", name, (unsigned long long)value);
}

static void check(const ring *r, uint32_t per_packet, bool plain)
{
    for (uint32_t i = 0; i < RING_PACKETS; i++) {
        kh_reply_head head;
        uint64_t as_of;
        kh_packet *p = r->packets[i];
        const uint8_t *body = p->p + KH_REPLY_HEAD_SZ + 8;
        uint32_t cnt = 1;
        if (plain ? p->n != KH_REPLY_HEAD_SZ + 8 + KH_ANSWER_SZ
                  : !kh_lane_open_reply(r->lane, p->p, p->n, &head, &as_of, &body, &cnt)) {
            fprintf(stderr, "packet %u: no sound reply (%u bytes)\n", i, p->n);
            kh_service_metrics(r->service, count, NULL);
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

double ring_run(ring *r, kh_poller *p, uint32_t per_packet, bool plain, uint32_t rounds)
{
    static double rates[RING_ROUNDS_MAX];
    const kh_principal bank = {PAPERS_BANK, KH_ROLE_BANK, false};
    for (uint32_t round = 0; round < rounds; round++) {
        ring_requests(r, per_packet, plain);
        double began = clock_of(r->clock);
        for (uint32_t at = 0; at < RING_PACKETS; at += RING_BURST)
            if (plain) kh_poller_burst_plain(p, &bank, r->packets + at, RING_BURST, r->now_ns);
            else kh_poller_burst(p, r->packets + at, RING_BURST, r->now_ns);
        rates[round] = RING_PACKETS / (clock_of(r->clock) - began);
        check(r, per_packet, plain);
    }
    return median(rates, rounds);
}
