/* holds: the state of a checkpoint that this node holds: told to the order by a transaction, again and again until the order
 * has it or wants it no more. */
#include "cluster/parts.h"

#define TELL_AGAIN_NS (1000 * KH_MS)

void kh_holds_tick(kh_node *n)
{
    kh_held_state *h = &n->holds;
    uint64_t now = kh_node_monotonic(n);
    if (h->height == 0 || !kh_node_is_validator(n) || (h->at_ns != 0 && now - h->at_ns < TELL_AGAIN_NS)) return;
    h->at_ns = now;
    /* The order may not be there yet; or have it, and not count it any more when this validator left and came back. */
    if (kh_order_offerable(n->order, h->tx, sizeof h->tx, kh_order_time(n->order)) == KH_R_OK)
        kh_node_offer(n, h->tx, sizeof h->tx);
}

void kh_node_holds(kh_node *n, uint64_t height)
{
    kh_held_state *h = &n->holds;
    uint8_t tx[KH_HOLDS_SZ];
    kh_node_enter(n);
    if (n->options.ack != NULL && height > h->height &&
        kh_holds_make(n->options.ack, n->chain_id, height, n->options.self, tx) == KH_OK) {
        h->height = height;
        h->at_ns = 0;
        memcpy(h->tx, tx, sizeof tx);
    }
    kh_holds_tick(n);
    kh_node_leave(n);
}
