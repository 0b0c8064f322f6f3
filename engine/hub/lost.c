/* lost: bodies that officers order lost. A batch is lost from its own place on, though that is said later. Who has executed
 * it goes back to what was before its block: what banks were given is taken back first, then the store is told (DIR/back), and
 * this hub ends; opened again, the store has the entries before, and all is executed anew. A crash on the way comes here again,
 * since what banks were given begins before the block that calls the batch lost. */
#include <stdlib.h>
#include "hub/parts.h"

static kh_err note(kh_hub *h, const kh_kept_block *b)
{
    for (uint32_t i = 0; i < b->item_cnt; i++) {
        if (b->items[i].kind != KH_ITEM_LOST) continue;
        if (h->lost_cnt == h->lost_cap) {
            uint32_t cap = h->lost_cap != 0 ? 2 * h->lost_cap : 16;
            kh_lost *p = realloc(h->lost, (size_t)cap * sizeof *p);
            if (p == NULL) return KH_E_NOMEM;
            h->lost = p;
            h->lost_cap = cap;
        }
        kh_lost *lost = &h->lost[h->lost_cnt++];
        *lost = (kh_lost){.height = b->items[i].sequence, .until = b->height};
        memcpy(lost->digest, b->items[i].digest, 32);
    }
    return KH_OK;
}

kh_err kh_hub_lost(kh_hub *h, const uint8_t digest[32], kh_lost **ret)
{
    kh_kept_block *b = NULL;
    kh_err err;
    while ((err = kh_kept_after(h->options.kept, h->lost_upto, &b)) == KH_OK) {
        err = note(h, b);
        if (err == KH_OK) h->lost_upto = b->height;
        kh_kept_block_free(b);
        if (err != KH_OK) break;
    }
    if (err != KH_E_NOT_FOUND) return err;
    *ret = NULL;
    for (uint32_t i = 0; i < h->lost_cnt && *ret == NULL; i++)
        if (memcmp(h->lost[i].digest, digest, 32) == 0) *ret = &h->lost[i];
    return KH_OK;
}

uint32_t kh_lost_counted(const kh_hub *h, uint64_t height)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->lost_cnt; i++) {
        const kh_lost *lost = &h->lost[i];
        if (lost->height == 0 || lost->height > height || lost->until <= height) continue;
        if (!lost->executed) return KH_LOSSES_UNSAID;
        cnt++;
    }
    return cnt;
}

kh_err kh_lost_turn(kh_hub *h, const kh_kept_block *block, uint64_t fed, uint64_t *ret_again)
{
    uint64_t height = UINT64_MAX;
    for (uint32_t i = 0; i < block->item_cnt; i++) {
        kh_lost *lost = NULL;
        if (block->items[i].kind != KH_ITEM_LOST) continue;
        kh_err err = kh_hub_lost(h, block->items[i].digest, &lost);
        if (err != KH_OK) return err;
        if (lost != NULL && !lost->executed && lost->height != 0 && lost->height <= fed) height = kh_min64(height, lost->height);
    }
    if (height == UINT64_MAX) return KH_OK;
    kh_err err = kh_hub_settle(h, 0);
    if (err == KH_OK && kh_hub_first_above(h, height - 1, h->next_number - 1) <= kh_store_begins(h->options.store)) {
        h->options.alert(h->options.ctx, "LOST_BEFORE_STATE", 0, height); /* nothing is taken back that cannot be made again */
        return KH_E_NOT_FOUND;
    }
    if (err == KH_OK) err = kh_banks_cut(h, height - 1);
    if (err == KH_OK) err = kh_checkpoints_cut(h, height - 1);
    if (err != KH_OK) return err;
    h->recorded = h->next_number - 1;
    h->next_number = kh_hub_first_above(h, height - 1, h->recorded);
    atomic_store_explicit(&h->executed, height - 1, memory_order_release);
    *ret_again = height - 1;
    return KH_OK;
}

/* ---- the store's own record ---- */

typedef struct looked {
    uint64_t number;
    uint32_t op_index;
    bool lost;
} looked;

static kh_err look(void *ctx, const kh_journal_item *item)
{
    looked *l = ctx;
    if (item->place.height != l->number) return KH_E_EXISTS; /* seen enough */
    if (item->is_notice || item->op_index != l->op_index) return KH_OK;
    l->lost = item->receipt.type == KH_OP_REFUSED && item->receipt.code == KH_C_BODY_LOST;
    return KH_E_EXISTS;
}

kh_err kh_lost_was(kh_hub *h, uint64_t height, uint32_t op_index)
{
    looked l = {.number = h->next_number, .op_index = op_index};
    if (l.number > h->recorded) return KH_OK; /* it is executed now */
    kh_err err = kh_store_journal_scan(h->options.store, l.number, look, &l);
    if (err != KH_OK && err != KH_E_EXISTS) return err;
    if (l.lost) return KH_OK;
    err = kh_store_go_back(h->options.store, kh_hub_first_above(h, height - 1, h->recorded) - 1);
    h->goes_back = err == KH_OK;
    return err == KH_OK ? KH_E_CLOSED : err;
}
