/* flow: look-ups fed sixteen keys at a time by a reader that has other work to do in between.
 *
 * The stages of index.h's bulk get, a piece of them a call, so that what they prefetch arrives while the caller decrypts its next
 * packet. A processor has few misses under way at a time (some two dozen) and stands still at the next: a step prefetches sixteen
 * buckets, a fetch sixteen records, and the caller answers what came out of the step in between. Keys taken in one step come out
 * KH_FLOW_DEPTH steps later. Between begin and the last step the reader announces no quiescent state. [R] */
#ifndef KH_INDEX_FLOW_H
#define KH_INDEX_FLOW_H
#include "index/index.h"

#define KH_FLOW_GROUP 16u
#define KH_FLOW_DEPTH 3u
typedef struct kh_flow {
    const kh_index *ix;
    bool near; /* set by the caller after begin: little is done between two steps, so lines are fetched into the first cache */
    _Alignas(64) uint8_t inside[7 * 1024];
} kh_flow;

/* kh_flow_begin: near is false. */
void kh_flow_begin(kh_flow *flow, const kh_index *ix);
/* kh_flow_step takes the next KH_FLOW_GROUP keys, copying them (NULL: no more; a short group is filled up with any keys), and
   gives the group of KH_FLOW_DEPTH steps ago: ret_recs as kh_index_get_bulk; false while there is none. */
bool kh_flow_step(kh_flow *flow, const kh_key keys[KH_FLOW_GROUP], const kh_record *ret_recs[KH_FLOW_GROUP]);
/* kh_flow_fetch: the second half of every step. */
void kh_flow_fetch(kh_flow *flow);
#endif
