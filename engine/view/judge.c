/* judge: whether a package may be taken: the root that q hubs attested, this node's own app hash, the chain, and a receipt
 * for each own operation that was ordered. */
#include <stdlib.h>
#include "view/parts.h"

/* own_hash: KH_OK: the app hash of this height is this node's own, and *ret_time its block's, 0 where it is not known;
   KH_E_AGAIN: the block is not here yet; KH_E_DAMAGED: it is another. Of blocks before all that a node knows which began with a
   given order, the quorum of hubs alone speaks. */
static kh_err own_hash(kh_view *v, const kh_attestation *a, uint64_t *ret_time_ns)
{
    kh_kept_hash at;
    kh_kept_block *behind = NULL;
    *ret_time_ns = 0;
    kh_err err = kh_kept_hash_at(v->options.kept, a->height, &at);
    if (err != KH_OK) return err == KH_E_NOT_FOUND ? KH_OK : err;
    bool same = memcmp(at.app_hash, a->app_hash, 32) == 0, there = at.height == a->height || at.base;
    *ret_time_ns = at.time_ns;
    if (same) return KH_OK;
    if (!there && kh_kept_after(v->options.kept, a->height, &behind) == KH_OK) {
        kh_kept_block_free(behind);
        there = true;
    }
    return there ? KH_E_DAMAGED : KH_E_AGAIN;
}

bool kh_view_for_all(const kh_receipt *receipt)
{
    return receipt->type == KH_OP_REFUSED &&
           (receipt->code == KH_C_UNOPENABLE || receipt->code == KH_C_BODY_LOST || receipt->code == KH_C_CAPACITY);
}

static bool item_for_all(kh_view *v, const kh_package_item *item)
{
    return kh_payload_decode(item->payload, item->payload_sz, &v->output) == KH_OK && kh_view_for_all(&v->output.receipt);
}

/* answered: does the package hold a receipt for each operation of this batch? Where the submissions are not known any more (they
   were made before a restart): for one at least, and from the first on without a gap. */
static bool answered(kh_view *v, const kh_package *package, const uint8_t digest[32])
{
    const kh_view_batch *batch = kh_view_batch_of(v, digest);
    uint32_t piece = 0, begin = 0, next = 0, seen = 0; /* next: the index that comes */
    for (uint32_t i = 0; i < package->item_cnt; i++) {
        const kh_package_item *item = &package->items[i];
        if (item->kind != KH_OUTPUT_RECEIPT || memcmp(item->batch, digest, 32) != 0) continue;
        if (seen++ == 0 && item_for_all(v, item)) return true;
        while (batch != NULL && piece < batch->n && (!batch->pieces[piece].own || next == begin + batch->pieces[piece].op_cnt)) {
            begin += batch->pieces[piece].op_cnt; /* what others signed has its receipts elsewhere */
            next = begin;
            piece++;
        }
        if (item->op_index != next) return false;
        next++;
    }
    if (batch == NULL) return seen > 0;
    for (; piece < batch->n; piece++) {
        if (batch->pieces[piece].own && next != begin + batch->pieces[piece].op_cnt) return false;
        next = begin += batch->pieces[piece].op_cnt;
    }
    return true;
}

/* receipts: KH_OK where all that was ordered of this bank above what was taken, up to this height, is answered in this package;
   KH_E_NOT_FOUND where something is not. */
static kh_err receipts(kh_view *v, const kh_package *package)
{
    for (uint64_t at = v->height;;) {
        kh_kept_block *block = NULL;
        kh_err err = kh_kept_after(v->options.kept, at, &block);
        if (err == KH_E_NOT_FOUND) return KH_OK;
        if (err != KH_OK) return err;
        at = block->height;
        for (uint32_t i = 0; at <= package->height && i < block->item_cnt && err == KH_OK; i++) {
            const kh_kept_item *item = &block->items[i];
            if (item->kind != KH_ITEM_BATCH || item->sender != v->options.party) continue;
            if (at != package->height || !answered(v, package, item->digest)) err = KH_E_NOT_FOUND;
        }
        kh_kept_block_free(block);
        if (err != KH_OK || at >= package->height) return err;
    }
}

kh_view_verdict kh_view_judge(kh_view *v, const kh_view_held *held, const char **ret_word, uint64_t *ret_time_ns)
{
    const kh_package *package = &held->package;
    const kh_attestation *a = kh_view_statement(v, package->height);
    if (a == NULL) return KH_VIEW_WAIT;
    if (memcmp(a->outputs_root, package->root, 32) != 0) {
        /* Where a loss touches the height it may have been made, honestly, before that was ordered. */
        *ret_word = kh_attest_losses(a->flags) == 0 ? "DIFFERING_OUTPUTS" : NULL;
        return KH_VIEW_DROP;
    }
    kh_err err = own_hash(v, a, ret_time_ns);
    if (err == KH_E_DAMAGED) {
        *ret_word = "DIFFERING_APP_HASH";
        return KH_VIEW_DROP;
    }
    if (err != KH_OK) return KH_VIEW_WAIT;
    if (package->count_before > v->count) return KH_VIEW_GAP;
    if (package->count_before < v->count || memcmp(package->head_before, v->head, 32) != 0) {
        *ret_word = "BROKEN_CHAIN";
        return KH_VIEW_DROP;
    }
    err = receipts(v, package);
    if (err == KH_E_NOT_FOUND) {
        *ret_word = "MISSING_RECEIPT";
        return KH_VIEW_DROP;
    }
    return err == KH_OK ? KH_VIEW_TAKE : KH_VIEW_WAIT;
}
