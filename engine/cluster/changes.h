/* changes: what officers signed, on its way from a client into the order: offered through the node, answered with the result that
 * the block says which holds it.
 *
 * Threads  put: any, waiting inside; decided: the one that gives decided blocks, with the node's lock held or not. */
#ifndef KH_CLUSTER_CHANGES_H
#define KH_CLUSTER_CHANGES_H
#include "cluster/node.h"

#define KH_CHANGES_WAITING_MAX 16u

typedef struct kh_changes kh_changes;
KH_MUST kh_err kh_changes_new(kh_node *node, kh_changes **ret);
void kh_changes_free(kh_changes *c); /* nobody is inside put any more; NULL: nothing */
/* kh_changes_put: *ret_height is the block's; 0: it was not offered, *ret_code says why. KH_E_AGAIN: not ordered within
   timeout_ns, it may be yet; or too many wait. KH_E_CLOSED: stopping. KH_E_ARG: the bytes are no change. */
KH_MUST kh_err kh_changes_put(kh_changes *c, const uint8_t *tx, size_t n, uint64_t timeout_ns, kh_order_code *ret_code,
                              uint64_t *ret_height);
void kh_changes_decided(kh_changes *c, const kh_order_block *block);
void kh_changes_stop(kh_changes *c); /* whoever waits goes, and nobody may wait again */
#endif
