/* vet: carried journals, held against the outcome chain and the state (vet.h). */
#include "store/vet.h"
#include <stdlib.h>

#define OUTCOMES_MAX (UINT32_C(1) << 24)

kh_err kh_vet_begin(kh_vet *v, const uint8_t secret[16])
{
    memset(v, 0, sizeof *v);
    memcpy(v->secret, secret, 16);
    v->item = malloc(sizeof *v->item);
    return v->item != NULL ? KH_OK : KH_E_NOMEM;
}

void kh_vet_free(kh_vet *v)
{
    free(v->item);
    free(v->block.bytes);
    free(v->block.offsets);
    v->item = NULL;
    v->block = (kh_block){0};
}

static void add(const kh_vet *v, uint64_t sum[2], uint8_t what, const kh_key *key, kh_place place)
{
    uint8_t p[56] = {0};
    memcpy(p, v->secret, 16);
    p[16] = what;
    if (what != 1) memcpy(p + 24, key->b, 16);
    kh_store64(p + 40, place.height);
    kh_store32(p + 48, place.index);
    sum[0] += kh_xxh3(p, sizeof p);
    p[17] = 1; /* a second, for 128 bits in all */
    sum[1] += kh_xxh3(p, sizeof p);
}

static kh_err refuse(kh_vet *v, const char *why)
{
    v->why = why;
    return KH_E_DAMAGED;
}

static const char *links_of(kh_vet *v, uint32_t index)
{
    const kh_journal_item *item = v->item;
    for (uint32_t i = 0; i < item->touch_cnt; i++) {
        const kh_touch *t = &item->touches[i];
        bool earlier = t->prev.height < v->block.height || (t->prev.height == v->block.height && t->prev.index < index);
        if (t->what < 1 || t->what > 3) return "an outcome joins a chain of no kind";
        if (!earlier || (t->prev.height == 0 && t->prev.index != 0)) return "an outcome links to one that is not before it";
        add(v, v->joined, t->what, &t->key, (kh_place){v->block.height, index, 0});
        if (t->prev.height != 0) add(v, v->linked, t->what, &t->key, t->prev);
    }
    return NULL;
}

/* The block again, from what was read of it. */
static kh_err again(kh_vet *v, const uint8_t *p, const kh_block_head *head)
{
    kh_entry entry = {.height = head->height, .time_ns = head->time_ns};
    kh_journal_item *item = v->item;
    uint32_t op_index = 0;
    uint64_t at = KH_BLOCK_HEAD_SZ;
    memcpy(entry.digest, head->entry_digest, 32);
    kh_block_begin(&v->block, &entry);
    for (uint32_t i = 0; i < head->item_cnt; i++) {
        if (at >= head->offsets_at ||
            kh_item_decode(p + at, head->offsets_at - at, head->height, i, head->time_ns, item) != KH_OK)
            return refuse(v, "an outcome is not as it was written");
        if (item->op_index < op_index) return refuse(v, "outcomes are not in the order of their operations");
        op_index = item->op_index;
        item->receipt.lines = item->lines;
        const kh_outcome outcome = {.is_notice = item->is_notice,
                                    .index = i,
                                    .op_index = item->op_index,
                                    .bytes = p + at + KH_ITEM_HEAD_SZ,
                                    .bytes_sz = kh_load32(p + at + 12),
                                    .receipt = item->is_notice ? NULL : &item->receipt,
                                    .notice = item->is_notice ? &item->notice : NULL,
                                    .touches = item->touches,
                                    .touch_cnt = item->touch_cnt};
        if (outcome.bytes_sz % 8 != 0) return refuse(v, "an outcome is not as it was written");
        kh_block_append(&v->block, &outcome);
        const char *why = links_of(v, i);
        if (why != NULL) return refuse(v, why);
        at += kh_load32(p + at);
    }
    kh_err err = kh_block_end(&v->block);
    if (err == KH_OK) kh_block_seal(&v->block, v->chain);
    return err;
}

kh_err kh_vet_block(kh_vet *v, const uint8_t *p, size_t n)
{
    kh_block_head head;
    if (kh_block_head_read(p, n, &head) != KH_OK || head.size != n) return refuse(v, "no head of a block");
    if (head.height != v->height + 1) return refuse(v, "a block's height does not follow");
    if (head.time_ns < v->time_ns) return refuse(v, "time goes back");
    if (head.item_cnt > OUTCOMES_MAX) return refuse(v, "a block has more outcomes than an entry can");
    kh_err err = again(v, p, &head);
    if (err != KH_OK) return err;
    if (v->block.size != n || memcmp(v->block.bytes, p, n) != 0)
        return refuse(v, memcmp(v->block.bytes + KH_BLOCK_SEALED_AT, p + KH_BLOCK_SEALED_AT, 32) != 0
                             ? "the outcome chain does not cover this block"
                             : "a block is not as it would be written");
    v->height = head.height;
    v->time_ns = head.time_ns;
    memcpy(v->log_digest, head.entry_digest, 32);
    return KH_OK;
}

static void newest(void *ctx, uint8_t what, const kh_key *key, kh_place place)
{
    kh_vet *v = ctx;
    add(v, v->linked, what, key, place);
}

kh_err kh_vet_end(kh_vet *v, const kh_start *start, const kh_ledger *ledger)
{
    if (v->height != start->number) return refuse(v, "the journals end before the checkpoint's entry");
    if (memcmp(v->chain, start->chain, 32) != 0) return refuse(v, "the outcome chain of the journals is not the checkpoint's");
    if (memcmp(v->log_digest, start->log_digest, 32) != 0) return refuse(v, "the log's digest is not the last block's");
    if (v->time_ns != start->time_ns) return refuse(v, "the checkpoint's time is not the last block's");
    kh_ledger_newest(ledger, newest, v);
    if (memcmp(v->joined, v->linked, sizeof v->joined) != 0)
        return refuse(v, "the links between the outcomes are not those of the state");
    return KH_OK;
}
