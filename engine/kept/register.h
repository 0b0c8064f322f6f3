/* register: the public part of the state in a node's own store: members, rules and rates, as the genesis says and officers change
 * them. At a hub execution does it with everything else; at any other node this does it, so that it knows who asks.
 *
 * The store is driven (store.h). Each block with such operations is an entry of its own, begun by KH_OP_BLOCK; a restart goes on
 * behind the newest. Threads  kh_register_decided: one at a time. */
#ifndef KH_KEPT_REGISTER_H
#define KH_KEPT_REGISTER_H
#include "kept/kept.h"
#include "store/store.h"

/* kh_genesis_ops tells the operations that a store without an entry begins with, while each is KH_OK. Hubs are no parties. */
KH_MUST kh_err kh_genesis_ops(const kh_genesis *genesis, kh_err (*each)(void *ctx, const kh_op *op), void *ctx);

typedef struct kh_register kh_register;
/* kh_register_open executes the genesis where the store has no entry, and what kept blocks have more, and waits for it. order: as
   of the newest kept block: where the kept order was given and the store is not as far, its members and leaves are executed
   instead (kh_register_given). */
KH_MUST kh_err kh_register_open(kh_store *store, kh_kept *kept, const kh_genesis *genesis, const kh_order *order,
                                kh_register **ret);
/* kh_register_given queues what an order that was given says of members, rules and rates, as an entry of its newest block:
   whatever the store holds of them becomes so. One that is no newer than the store is passed over. */
KH_MUST kh_err kh_register_given(kh_register *r, const kh_order *order);
/* kh_register_decided queues a committed block's; one that was executed before is passed over. KH_E_CLOSED: the store stopped. */
KH_MUST kh_err kh_register_decided(kh_register *r, const kh_order_block *block);
void kh_register_close(kh_register *r); /* waits for what is queued; the store is still open */
#endif
