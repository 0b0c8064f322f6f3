/* front: what a front end is to ingest, and ingest to a front end.
 *
 * A front end opens its sockets or ports for queue_cnt queues, then runs one loop a queue, each on a thread that ingest makes,
 * until `stopping` is set. What it does with a burst goes through the table `work`: the service's pollers, or in tests another's.
 * The DPDK front end is a shared module with one symbol, KH_FRONT_SYMBOL, a kh_front. */
#ifndef KH_INGEST_FRONT_H
#define KH_INGEST_FRONT_H
#include "ingest/frame.h"
#include "ingest/ingest.h"

#include <stdatomic.h>

#define KH_FRONT_BURST 32u
#define KH_FRONT_VERSION 1u
#define KH_FRONT_SYMBOL "kh_front_dpdk"

/* The calls of poller.h. */
typedef struct kh_front_work {
    void (*begin)(kh_poller *poller);
    void (*end)(kh_poller *poller);
    void (*burst)(kh_poller *poller, kh_packet *const packets[], uint32_t n, uint64_t now_ns);
    uint32_t (*late_cnt)(const kh_poller *poller);
    bool (*late)(kh_poller *poller, kh_packet *ret);
    void (*sleep)(kh_poller *poller);
    void (*wake)(kh_poller *poller);
    int (*event_fd)(const kh_poller *poller);
} kh_front_work;

/* Counters of one queue, each written by its thread alone (DEVICE: by kh_ingest_metrics). A frame's reason to be dropped counts
   at KH_COUNT_FRAME + reason. */
typedef enum kh_count {
    KH_COUNT_RX,
    KH_COUNT_RX_BYTES,
    KH_COUNT_TX,
    KH_COUNT_TX_BYTES,
    KH_COUNT_LATE,
    KH_COUNT_BURSTS,
    KH_COUNT_EMPTY,
    KH_COUNT_SLEEPS,
    KH_COUNT_BUSY_NS,    /* rounds that found something, from one reading of the clock to the next */
    KH_COUNT_NEIGHBOURS, /* ARP, neighbour discovery and echo requests answered */
    KH_COUNT_DROPPED_LONG,
    KH_COUNT_DROPPED_SEND,
    KH_COUNT_DROPPED_DEVICE,
    KH_COUNT_FRAME,
    KH_COUNT_CNT = KH_COUNT_FRAME + KH_FRAME_REASON_CNT
} kh_count;
typedef struct kh_front_counters {
    _Alignas(KH_CACHE_LINE) _Atomic uint64_t v[KH_COUNT_CNT];
} kh_front_counters;

/* kh_front_count: one writer, so no read-modify-write; readers want no more than each figure by itself: relaxed. */
static inline void kh_front_count(kh_front_counters *counters, uint32_t which, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&counters->v[which], memory_order_relaxed);
    atomic_store_explicit(&counters->v[which], v + n, memory_order_relaxed);
}

typedef struct kh_front_options {
    const kh_frame_address *addresses;
    uint32_t address_cnt;
    uint16_t port;
    uint32_t queue_cnt;
    const char *dpdk;
    bool trust_peers;
    uint64_t spin_ns; /* UINT64_MAX: never sleep */
    const kh_clock *clock;
    const kh_front_work *work;
    kh_poller *const *pollers;   /* queue_cnt */
    kh_front_counters *counters; /* queue_cnt */
    const atomic_bool *stopping; /* set before stop_fd becomes readable */
    int stop_fd;
} kh_front_options;

typedef struct kh_front {
    uint32_t version; /* KH_FRONT_VERSION, of the program and of the module */
    /* open: options and what they point to stay there until close. why: a sentence. */
    kh_err (*open)(const kh_front_options *options, char *why, size_t cap, void **ret);
    void (*run)(void *front, uint32_t queue); /* on the queue's own thread; returns when stopping */
    uint16_t (*port)(const void *front);
    uint64_t (*device_drops)(const void *front, uint32_t queue); /* what the kernel or device dropped so far; any thread */
    void (*close)(void *front);                                  /* after every run returned */
} kh_front;

extern const kh_front kh_front_udp;

/* kh_ingest_start_with is kh_ingest_start with pollers and calls of the caller's, who frees them after kh_ingest_stop. */
KH_MUST kh_err kh_ingest_start_with(const kh_ingest_options *options, const kh_front_work *work, kh_poller *const pollers[],
                                    char *why, size_t cap, kh_ingest **ret);
/* kh_ingest_own: pollers that kh_ingest_stop frees with `drop`. */
void kh_ingest_own(kh_ingest *ingest, void (*drop)(kh_poller *poller));
#endif
