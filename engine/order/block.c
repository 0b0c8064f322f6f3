/* block: one block's way through the order: judged before the vote, executed after it, and the app hash over it. */
#include <stdlib.h>
#include "order/inside.h"

static const char app_tag[] = "kanhe/app", app_genesis_tag[] = "kanhe/app0";

void kh_app_genesis(const kh_order *o, const uint8_t public_root[32], uint8_t ret[32])
{
    kh_sha256_state sha;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, app_genesis_tag, sizeof app_genesis_tag);
    kh_sha256_update(&sha, o->chain, 32);
    kh_sha256_update(&sha, public_root, 32);
    kh_sha256_final(&sha, ret);
}

void kh_app_next(const uint8_t previous[32], uint64_t height, const uint8_t entries_root[32], const uint8_t public_root[32],
                 uint8_t ret[32])
{
    uint8_t h[8];
    kh_sha256_state sha;
    kh_store64(h, height);
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, app_tag, sizeof app_tag);
    kh_sha256_update(&sha, previous, 32);
    kh_sha256_update(&sha, h, sizeof h);
    kh_sha256_update(&sha, entries_root, 32);
    kh_sha256_update(&sha, public_root, 32);
    kh_sha256_final(&sha, ret);
}

/* ---- before the vote ---- */

static int by_digest(const void *a, const void *b) { return memcmp(a, b, 32); }

static void digest_of(const kh_tx_span *tx, uint8_t ret[32]) { kh_sha256(tx->n > 0 ? tx->p : (const uint8_t *)"", tx->n, ret); }

bool kh_order_process(kh_order *o, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n)
{
    if (o->broken || height != o->height + 1 || time_ns < o->time_ns || n > KH_ORDER_TXS_MAX) return false;
    if (!kh_order_version_known(o, height)) return false;
    uint8_t(*all)[32] = n > 0 ? malloc((size_t)n * 32) : NULL;
    bool good = n == 0 || all != NULL;
    for (uint32_t i = 0; i < n && good; i++) {
        kh_at at = {.height = height, .time_ns = time_ns};
        digest_of(&txs[i], all[i]);
        good = kh_judge(o, &at, &txs[i], all[i]) != KH_R_MALFORMED && !at.forged;
    }
    if (good && n > 1) qsort(all, n, 32, by_digest);
    for (uint32_t i = 1; i < n && good; i++) good = memcmp(all[i], all[i - 1], 32) != 0;
    free(all);
    return good;
}

kh_order_code kh_order_offerable(kh_order *o, const uint8_t *tx, size_t n, uint64_t time_ns)
{
    kh_tx_span span = {tx, n};
    kh_at at = {.height = o->height + 1, .time_ns = kh_max64(time_ns, o->time_ns)};
    uint8_t digest[32];
    digest_of(&span, digest);
    kh_order_code code = kh_judge(o, &at, &span, digest);
    return at.effect ? KH_R_OK : code;
}

/* ---- after it ---- */

kh_err kh_built_item(kh_order *o, const kh_order_item *item)
{
    void *grown = kh_grow(o->built.items, o->built.item_cnt, &o->built.item_cap, sizeof *item);
    if (grown == NULL) return KH_E_NOMEM;
    o->built.items = grown;
    o->built.items[o->built.item_cnt++] = *item;
    return KH_OK;
}

kh_err kh_built_ops(kh_order *o, const uint8_t *frames, size_t n, uint32_t cnt)
{
    kh_order_item item = {.kind = KH_ITEM_OPS, .size = (uint32_t)o->built.ops.n, .ops_sz = (uint32_t)n, .op_cnt = cnt};
    kh_put(&o->built.ops, frames, n);
    return o->built.ops.failed ? KH_E_NOMEM : kh_built_item(o, &item); /* size: where its frames begin, until the block ends */
}

kh_err kh_built_liar(kh_order *o, uint32_t hub, uint64_t height, bool proven)
{
    struct kh_built *b = &o->built;
    for (uint32_t i = 0; i < b->liar_cnt; i++)
        if (b->liars[i].hub == hub && b->liars[i].height == height) {
            b->liars[i].proven |= proven;
            return KH_OK;
        }
    void *grown = kh_grow(b->liars, b->liar_cnt, &b->liar_cap, sizeof *b->liars);
    if (grown == NULL) return KH_E_NOMEM;
    b->liars = grown;
    b->liars[b->liar_cnt++] = (struct kh_order_liar){hub, proven, height};
    return KH_OK;
}

static kh_err make_room(struct kh_built *b, uint32_t n)
{
    b->item_cnt = b->liar_cnt = b->validator_cnt = 0;
    b->ops.n = 0;
    b->ops.failed = b->attested_moved = false;
    if (n <= b->tx_cap) return KH_OK;
    void *codes = realloc(b->codes, (size_t)n * sizeof *b->codes);
    if (codes != NULL) b->codes = codes;
    void *digests = realloc(b->digests, (size_t)n * 32);
    if (digests != NULL) b->digests = digests;
    void *types = realloc(b->types, n);
    if (types != NULL) b->types = types;
    void *leaves = realloc(b->leaves, (size_t)n * 32);
    if (leaves != NULL) b->leaves = leaves;
    if (codes == NULL || digests == NULL || types == NULL || leaves == NULL) return KH_E_NOMEM;
    b->tx_cap = n;
    return KH_OK;
}

static kh_err execute(kh_order *o, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n)
{
    struct kh_built *b = &o->built;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t leaf[36] = {0};
        kh_at at = {.height = height, .time_ns = time_ns, .apply = true};
        digest_of(&txs[i], b->digests[i]);
        b->types[i] = txs[i].n > 0 ? txs[i].p[0] : 0;
        b->codes[i] = i < KH_ORDER_TXS_MAX ? (uint16_t)kh_judge(o, &at, &txs[i], b->digests[i]) : KH_R_MALFORMED;
        if (at.err != KH_OK) return at.err;
        leaf[0] = b->types[i];
        kh_store16(leaf + 2, b->codes[i]);
        memcpy(leaf + 4, b->digests[i], 32);
        kh_merkle_leaf(leaf, sizeof leaf, b->leaves[i]);
    }
    for (uint32_t i = 0; i < b->item_cnt; i++)
        if (b->items[i].kind == KH_ITEM_OPS) {
            b->items[i].ops = b->ops.p + b->items[i].size;
            b->items[i].size = 0;
        }
    return KH_OK;
}

/* What is remembered of the past is under the public root like the rest; a block without transactions leaves it alone. */
static kh_err remember(kh_order *o, uint64_t time_ns)
{
    kh_apps_turn(o);
    o->entries_time_ns = time_ns;
    return kh_public_past(o);
}

kh_err kh_order_finalize(kh_order *o, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n, kh_order_block *ret)
{
    struct kh_built *b = &o->built;
    uint8_t previous[32], entries_root[32], public_root[32];
    uint64_t checkpoint = o->checkpoint;
    if (o->broken) return KH_E_CLOSED;
    if (height != o->height + 1 || time_ns < o->time_ns) return KH_E_ARG;
    if (!kh_order_version_known(o, height)) return KH_E_VERSION;
    kh_err err = make_room(b, n);
    if (err != KH_OK) return err;
    memcpy(previous, o->app_hash, 32);
    err = execute(o, height, time_ns, txs, n);
    if (err == KH_OK && n > 0) err = kh_states_turn(o, time_ns, o->checkpoint > checkpoint);
    if (err == KH_OK && n > 0) err = remember(o, time_ns);
    if (err != KH_OK) {
        o->broken = true;
        return err;
    }
    kh_merkle_root(b->leaves, n, entries_root);
    kh_tree_root(&o->tree, public_root);
    o->height = height;
    o->time_ns = time_ns;
    if (n > 0) {
        kh_app_next(previous, height, entries_root, public_root, o->app_hash);
        memcpy(o->previous, previous, 32);
        memcpy(o->entries_root, entries_root, 32);
        o->entries_height = height;
        kh_apps_add(o, height, o->app_hash);
    }
    uint32_t next_version = kh_order_version(o, height + 1);
    *ret = (kh_order_block){.height = height,
                            .time_ns = time_ns,
                            .tx_cnt = n,
                            .codes = b->codes,
                            .digests = (const uint8_t(*)[32])b->digests,
                            .types = b->types,
                            .item_cnt = b->item_cnt,
                            .items = b->items,
                            .validator_cnt = b->validator_cnt,
                            .validators = b->validators,
                            .next_version = next_version != kh_order_version(o, height) ? next_version : 0,
                            .attested_moved = b->attested_moved,
                            .liar_cnt = b->liar_cnt,
                            .liars = b->liars};
    memcpy(ret->previous, previous, 32);
    memcpy(ret->app_hash, o->app_hash, 32);
    memcpy(ret->entries_root, entries_root, 32);
    memcpy(ret->public_root, public_root, 32);
    return KH_OK;
}
