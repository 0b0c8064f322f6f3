/* channel_inside: a channel, and what its calls give it to do: jobs, one a datagram. */
#ifndef KH_CLIENT_CHANNEL_INSIDE_H
#define KH_CLIENT_CHANNEL_INSIDE_H
#include "client/datagram.h"
#include "client/runs.h"

enum {
    KH_WINDOW_MAX = 1024,
    KH_COUNTERS = 4096, /* of which the flight is remembered: KH_TRIES for each in the window */
    KH_AT_ONCE = 64     /* datagrams a system call */
};
_Static_assert(KH_WINDOW_MAX *KH_TRIES < KH_COUNTERS, "an answer to any try is known");

typedef struct kh_flight {
    uint32_t job, cnt, tries; /* cnt: the call's own; tries 0: free, or not sent yet */
    uint64_t sent_ns;
    bool in_run; /* its last try went with others */
} kh_flight;

struct kh_channel {
    int fd;
    kh_lane lane;
    uint32_t max_queries, window;
    uint64_t timeout_ns, op_timeout_ns;
    kh_channel_stats stats;
    kh_flight flights[KH_WINDOW_MAX];
    uint32_t in_flight, free_cnt, free_flights[KH_WINDOW_MAX];
    struct {
        uint64_t counter;
        uint32_t flight, job;
    } counters[KH_COUNTERS];
    bool apart, runs_come; /* this way takes no runs of datagrams; one of a run was answered */
    kh_inbox *inbox;
    uint8_t out[KH_AT_ONCE][KH_DATAGRAM_MAX_SZ];
};

/* What a call does, the first member of a struct of its own. No job is under way twice. */
typedef struct kh_work kh_work;
struct kh_work {
    uint32_t window; /* in flight at most, <= KH_WINDOW_MAX */
    uint32_t left;   /* until it is 0 */
    uint64_t timeout_ns;
    bool (*next)(kh_work *work, uint32_t *ret_job); /* false: none now */
    /* seal makes the datagram of a job, for the first time or again; its bytes; 0: it cannot, the call is over. */
    uint32_t (*seal)(kh_work *work, kh_channel *c, kh_flight *flight, uint8_t *buf, uint64_t *ret_counter);
    /* take: how much of `left` the answer is; 0: it is none to that job. */
    uint32_t (*take)(kh_work *work, const kh_flight *flight, const uint8_t *body, uint32_t cnt, uint64_t as_of);
};
/* kh_channel_run: KH_E_CLOSED: a job was silent KH_TRIES times, or the lane's counters are used up. KH_E_ARG: seal could not. */
kh_err kh_channel_run(kh_channel *c, kh_work *work);
/* kh_channel_receipts decodes an answer to `ops` operations: false: it is none. *ret_refused: they were not taken, ret[0] says
   why. */
bool kh_channel_receipts(const uint8_t *body, uint32_t cnt, uint32_t ops, kh_op_answer ret[KH_DATAGRAM_OPS_MAX],
                         bool *ret_refused);
#endif
