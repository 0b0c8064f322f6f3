/* bodies: ordered bodies on disk: which are kept, told to their store at the start; and those that the order has given up
 * (kh_order_bodies_gone), let go in the background, some with each beat. A hub keeps what it has not executed durably. */
#include <stdlib.h>
#include "member/parts.h"

#define BLOCKS_A_BEAT 256u
#define BODIES_A_BEAT 64u

/* ---- at the start ---- */

/* By the order as it was saved; what is wrong with that the node says when it takes it. */
static uint64_t given_up_when_saved(kh_cluster *c)
{
    uint8_t *saved = NULL;
    size_t n = 0;
    kh_order *order;
    uint64_t gone = 0;
    if (kh_kept_saved(c->kept, &saved, &n) == KH_OK && n != 0 &&
        kh_order_load(c->genesis, c->genesis_sz, saved, n, &order) == KH_OK) {
        gone = kh_order_bodies_gone(order);
        kh_order_free(order);
    }
    free(saved);
    return gone;
}

/* Of those that were given up only what is still here is marked, and the beat begins with the first of them. */
static void mark(kh_cluster *c, const kh_kept_block *block, uint64_t gone, bool *found)
{
    for (uint32_t i = 0; i < block->item_cnt; i++) {
        const kh_kept_item *item = &block->items[i];
        if (item->kind != KH_ITEM_BATCH) continue;
        if (block->height <= gone) {
            if (!kh_bodies_has(c->bodies, item->digest)) continue;
            if (!*found) c->bodies_gone = block->height - 1;
            *found = true;
        }
        kh_bodies_ordered(c->bodies, item->digest, item->sender);
    }
}

bool kh_cluster_bodies_mark(kh_cluster *c, char *why, size_t cap)
{
    kh_kept_block *block = NULL;
    uint64_t height = 0, gone = given_up_when_saved(c);
    bool found = false;
    kh_err err;
    for (; (err = kh_kept_after(c->kept, height, &block)) == KH_OK; kh_kept_block_free(block)) {
        height = block->height;
        if (kh_cluster_note(c, height, block->types, block->codes, block->tx_cnt) != KH_OK)
            return kh_kept_block_free(block), kh_cluster_say(why, cap, "out of memory");
        mark(c, block, gone, &found);
    }
    if (!found) c->bodies_gone = gone;
    return err == KH_E_NOT_FOUND || kh_cluster_say(why, cap, "%s/order: %s", c->options.config->data, kh_err_text(err));
}

static void bodies_gone(void *ctx, kh_order *order) { *(uint64_t *)ctx = kh_order_bodies_gone(order); }

bool kh_cluster_bodies_want(kh_cluster *c, char *why, size_t cap)
{
    kh_kept_block *block = NULL;
    uint64_t height = 0;
    kh_err err;
    kh_node_read(c->node, bodies_gone, &height); /* what was given up nobody has to have */
    for (; (err = kh_kept_after(c->kept, height, &block)) == KH_OK; kh_kept_block_free(block)) {
        height = block->height;
        for (uint32_t i = 0; i < block->item_cnt; i++) {
            const kh_kept_item *item = &block->items[i];
            uint8_t *body = NULL;
            size_t n;
            if (item->kind == KH_ITEM_BATCH && !kh_bodies_has(c->bodies, item->digest) &&
                kh_node_body(c->node, item->digest, height, &body, &n) == KH_OK)
                free(body);
        }
    }
    return err == KH_E_NOT_FOUND || kh_cluster_say(why, cap, "%s/order: %s", c->options.config->data, kh_err_text(err));
}

/* ---- with each beat ---- */

static uint32_t drop(kh_cluster *c, const kh_kept_block *block)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < block->item_cnt; i++) {
        if (block->items[i].kind != KH_ITEM_BATCH) continue;
        kh_bodies_drop(c->bodies, block->items[i].digest);
        cnt++;
    }
    return cnt;
}

/* Who executes nothing yet, a hub that is to begin, may need them all. */
static uint64_t may_go(kh_cluster *c)
{
    uint64_t gone = 0;
    if (c->hub == NULL && c->members == NULL) return 0;
    kh_node_read(c->node, bodies_gone, &gone);
    if (gone > c->bodies_gone && c->hub != NULL) gone = kh_min64(gone, kh_hub_spares(c->hub, gone));
    return gone;
}

void kh_cluster_bodies_tick(kh_cluster *c)
{
    uint64_t gone = may_go(c);
    kh_err err = KH_OK;
    if (gone <= c->bodies_gone) return;
    for (uint32_t blocks = 0, bodies = 0; blocks < BLOCKS_A_BEAT && bodies < BODIES_A_BEAT && err == KH_OK; blocks++) {
        kh_kept_block *block = NULL;
        err = kh_kept_after(c->kept, c->bodies_gone, &block);
        if (err != KH_OK) break;
        if (block->height > gone) err = KH_E_NOT_FOUND;
        else bodies += drop(c, block), c->bodies_gone = block->height;
        kh_kept_block_free(block);
    }
    if (err == KH_OK) return;
    c->bodies_gone = gone; /* where the disk fails, they stay until kanhed is started again */
    KH_LOG(c->options.logging, err == KH_E_NOT_FOUND ? KH_LEVEL_INFO : KH_LEVEL_WARNING, "bodies_given_up",
           {"height", NULL, gone}, {"kept_bytes", NULL, kh_bodies_bytes(c->bodies)},
           {"why",
            err == KH_E_NOT_FOUND ? "validators hold two newer checkpoints, and body_retention has passed" : kh_err_text(err),
            0});
}
