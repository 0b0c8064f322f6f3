/* ring: sealed requests that lie in memory as a ring of buffers of DPDK's holds them (no wire, no kernel), taken through a poller
 * by the calling thread. bench_datagrams measures this path alone, bench_network beside its front ends. */
#ifndef KH_BENCH_RING_H
#define KH_BENCH_RING_H
#include "client/datagram.h"
#include "service/poller.h"
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
    RING_PACKETS = 32768, /* many more than caches hold */
    RING_BURST = 32,
    RING_ROUNDS_MAX = 320
};

struct kh_service;
typedef struct ring {
    kh_packet *packets[RING_PACKETS];
    kh_query *queries; /* drawn once over all documents; every round asks them in another order */
    kh_lane *lane;     /* the caller's, of the bank PAPERS_BANK: the caller closes it */
    struct kh_service *service;
    uint64_t now_ns; /* what the poller is told, 1 unless the caller says another */
    clockid_t clock; /* what time is measured with: the thread's own, unless the caller says another */
    uint8_t *memory;
} ring;

/* ring_open: buffers for RING_PACKETS requests, questions drawn over the first n documents of papers_store. Ends the program
 * where there is no memory. */
void ring_open(ring *r, struct kh_service *service, kh_lane *lane, uint64_t documents);
void ring_close(ring *r);
/* ring_draw: a number, the same sequence in every run of a program. */
uint64_t ring_draw(void);
/* ring_requests: RING_PACKETS requests of per_packet questions, sealed anew (a counter passes once), or plain ones of one. */
void ring_requests(ring *r, uint32_t per_packet, bool plain);
/* ring_run: rounds (at most RING_ROUNDS_MAX) of all packets through p, whose thread the caller is; the median of packets a
 * second. Making requests is not timed, nor is opening and reading all replies, which ends the program if one is not what it
 * should be. */
double ring_run(ring *r, kh_poller *p, uint32_t per_packet, bool plain, uint32_t rounds);
#endif
