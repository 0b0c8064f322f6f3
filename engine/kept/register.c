/* register: see register.h. */
#include "kept/register.h"
#include <pthread.h>
#include <stdlib.h>

#define OP_MAX_SZ 1024u /* of what officers and the genesis say */

struct kh_register {
    kh_store *store;
    uint64_t first, done; /* the first height there is; the newest whose operations are queued */
    bool begun;           /* the store has an entry, or one is queued */
    bool only_genesis;    /* nothing but the genesis is queued: `done` is open for more */
    uint8_t *ops;
    size_t ops_sz, ops_cap;
    uint32_t op_cnt;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t idle;
    uint32_t under_way;
    bool stopped;
};

/* ---- what the genesis says ---- */

/* whole: what a store may know otherwise is said, too: that a member is not frozen. */
static kh_err party(const kh_member *m, bool whole, kh_err (*each)(void *ctx, const kh_op *op), void *ctx)
{
    const kh_op add = {.type = KH_OP_PARTY_ADD, .party_add = {m->id, m->role, {m->name, m->name_n}, {m->uscc, m->uscc_n}}};
    bool frozen = (m->flags & KH_MEMBER_FROZEN) != 0;
    const kh_op freeze = {.type = KH_OP_PARTY_STATUS, .party_status = {m->id, frozen}};
    const kh_op expel = {.type = KH_OP_EXPELLED, .expelled = {m->id}};
    if (m->role == KH_MEMBER_HUB) return KH_OK;
    kh_err err = each(ctx, &add);
    if (err == KH_OK && (m->flags & KH_MEMBER_EXPELLED) != 0) return each(ctx, &expel);
    return err == KH_OK && (frozen || whole) ? each(ctx, &freeze) : err;
}

static kh_err leaf(const kh_public_leaf *l, kh_err (*each)(void *ctx, const kh_op *op), void *ctx)
{
    kh_op op = {.type = KH_OP_RULE_SET};
    if (l->key[0] == 'x' && l->key_n == 7 && l->value_n >= 9) {
        op.type = KH_OP_RATE_SET;
        op.rate_set = (kh_op_rate_set){.from = (kh_currency)(l->key[1] << 8 | l->key[2]),
                                       .to = (kh_currency)(l->key[3] << 8 | l->key[4]),
                                       .date = (kh_date)(l->key[5] << 8 | l->key[6]),
                                       .rate = {.mantissa = kh_load64(l->value), .scale = l->value[8]},
                                       .source = {(const char *)l->value + 9, (uint32_t)l->value_n - 9}};
    } else {
        op.rule_set.name = (kh_text){(const char *)l->key + 1, (uint32_t)l->key_n - 1};
        op.rule_set.value = (kh_text){(const char *)l->value, l->value_n};
    }
    return each(ctx, &op);
}

kh_err kh_genesis_ops(const kh_genesis *genesis, kh_err (*each)(void *ctx, const kh_op *op), void *ctx)
{
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < genesis->member_cnt && err == KH_OK; i++) err = party(&genesis->members[i], false, each, ctx);
    for (uint32_t i = 0; i < genesis->public_cnt && err == KH_OK; i++) err = leaf(&genesis->publics[i], each, ctx);
    return err;
}

static bool is_said(const kh_public_leaf *l) /* a rule or a rate */
{
    return (l->key[0] == 'r' && l->key_n > 1) || (l->key[0] == 'x' && l->key_n == 7);
}

static kh_err order_ops(const kh_order *order, kh_err (*each)(void *ctx, const kh_op *op), void *ctx)
{
    kh_err err = KH_OK;
    const kh_member *m;
    kh_public_leaf l;
    for (uint32_t i = 0; err == KH_OK && (m = kh_order_member_at(order, i)) != NULL; i++) err = party(m, true, each, ctx);
    for (uint32_t i = 0; err == KH_OK && kh_order_leaf_at(order, i, &l); i++)
        if (is_said(&l)) err = leaf(&l, each, ctx);
    return err;
}

/* ---- an entry ---- */

static kh_err add_frames(kh_register *r, const uint8_t *p, size_t n, uint32_t cnt)
{
    if (r->ops_sz + n > KH_ENTRY_MAX_SZ) return KH_E_FULL;
    if (r->ops_sz + n > r->ops_cap) {
        size_t cap = 2 * (r->ops_sz + n);
        uint8_t *more = realloc(r->ops, cap);
        if (more == NULL) return KH_E_NOMEM;
        r->ops = more;
        r->ops_cap = cap;
    }
    memcpy(r->ops + r->ops_sz, p, n);
    r->ops_sz += n;
    r->op_cnt += cnt;
    return KH_OK;
}

static kh_err add_op(void *ctx, const kh_op *op)
{
    uint8_t bytes[OP_MAX_SZ];
    size_t n;
    kh_err err = kh_op_encode(op, bytes, sizeof bytes, &n);
    return err == KH_OK ? add_frames(ctx, bytes, n, 1) : err;
}

static kh_err begin(kh_register *r, uint64_t height)
{
    const kh_op block = {.type = KH_OP_BLOCK, .block = {.height = height}};
    r->ops_sz = r->op_cnt = 0;
    return add_op(r, &block);
}

static void on_outcome(void *ctx, uint64_t number, const kh_outcome *outcome, const uint8_t chain[32])
{
    kh_register *r = ctx;
    (void)chain;
    if (outcome != NULL && number != 0) return;
    (void)pthread_mutex_lock(&r->lock);
    r->under_way--;
    if (number == 0) r->stopped = true;
    (void)pthread_cond_broadcast(&r->idle);
    (void)pthread_mutex_unlock(&r->lock);
}

static kh_err execute(kh_register *r, uint64_t time_ns)
{
    const kh_store_execution x = {
        .time_ns = time_ns, .ops = r->ops, .ops_sz = r->ops_sz, .op_cnt = r->op_cnt, .outcome = on_outcome, .ctx = r};
    (void)pthread_mutex_lock(&r->lock);
    bool stopped = r->stopped;
    if (!stopped) r->under_way++;
    (void)pthread_mutex_unlock(&r->lock);
    if (stopped) return KH_E_CLOSED;
    kh_err err = kh_store_execute(r->store, &x);
    if (err == KH_OK) return KH_OK;
    (void)pthread_mutex_lock(&r->lock);
    r->under_way--;
    (void)pthread_mutex_unlock(&r->lock);
    return err;
}

static bool wait_idle(kh_register *r)
{
    (void)pthread_mutex_lock(&r->lock);
    while (r->under_way != 0) (void)pthread_cond_wait(&r->idle, &r->lock);
    bool good = !r->stopped;
    (void)pthread_mutex_unlock(&r->lock);
    return good;
}

/* ---- blocks ---- */

static bool was_done(const kh_register *r, uint64_t height)
{
    return height < r->done || (height == r->done && !r->only_genesis);
}

static kh_err finish(kh_register *r, uint64_t height, uint64_t time_ns)
{
    if (r->op_cnt == 1) return KH_OK; /* the block alone */
    kh_err err = execute(r, time_ns);
    if (err != KH_OK) return err;
    r->done = height;
    r->only_genesis = false;
    return KH_OK;
}

kh_err kh_register_decided(kh_register *r, const kh_order_block *block)
{
    if (was_done(r, block->height)) return KH_OK;
    kh_err err = begin(r, block->height);
    for (uint32_t i = 0; i < block->item_cnt && err == KH_OK; i++) {
        const kh_order_item *item = &block->items[i];
        if (item->kind == KH_ITEM_OPS) err = add_frames(r, item->ops, item->ops_sz, item->op_cnt);
    }
    return err == KH_OK ? finish(r, block->height, block->time_ns) : err;
}

static kh_err catch_up(kh_register *r, kh_kept *kept)
{
    kh_kept_block *block = NULL;
    uint64_t above = r->only_genesis ? r->first - 1 : r->done;
    kh_err err;
    while ((err = kh_kept_after(kept, above, &block)) == KH_OK) {
        above = block->height;
        err = begin(r, above);
        for (uint32_t i = 0; i < block->item_cnt && err == KH_OK; i++) {
            const kh_kept_item *item = &block->items[i];
            if (item->kind == KH_ITEM_OPS) err = add_frames(r, item->ops, item->ops_sz, item->op_cnt);
        }
        if (err == KH_OK) err = finish(r, above, block->time_ns);
        kh_kept_block_free(block);
        if (err != KH_OK) return err;
    }
    return err == KH_E_NOT_FOUND ? KH_OK : err;
}

static kh_err begin_with(kh_register *r, const kh_genesis *genesis)
{
    kh_err err = begin(r, r->first);
    if (err == KH_OK) err = kh_genesis_ops(genesis, add_op, r);
    return err == KH_OK ? execute(r, genesis->time_ns) : err;
}

kh_err kh_register_given(kh_register *r, const kh_order *order)
{
    uint64_t height = kh_order_height(order);
    if (r->begun && was_done(r, height)) return KH_OK;
    kh_err err = begin(r, height);
    if (err == KH_OK) err = order_ops(order, add_op, r);
    if (err == KH_OK) err = finish(r, height, kh_order_time(order));
    if (err == KH_OK) r->begun = true;
    return err;
}

kh_err kh_register_open(kh_store *store, kh_kept *kept, const kh_genesis *genesis, const kh_order *order, kh_register **ret)
{
    uint64_t base = kh_kept_base(kept);
    kh_store_stats stats;
    kh_store_get_stats(store, &stats);
    kh_register *r = calloc(1, sizeof *r);
    if (r == NULL) return KH_E_NOMEM;
    r->store = store;
    r->first = genesis->initial_height;
    r->only_genesis = stats.height <= 1;
    r->done = stats.height == 0 ? r->first : kh_store_last_block(store);
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->idle, NULL);
    r->begun = stats.height != 0;
    kh_store_keep(store, NULL, 0); /* no state is made of it */
    bool given = base != 0 && (!r->begun || r->done < base);
    kh_err err = KH_OK;
    if (given) err = order != NULL ? kh_register_given(r, order) : KH_E_ARG;
    else if (!r->begun) err = begin_with(r, genesis);
    r->begun = r->begun || err == KH_OK;
    if (err == KH_OK) err = catch_up(r, kept);
    if (!wait_idle(r) && err == KH_OK) err = KH_E_CLOSED;
    if (err == KH_OK) *ret = r;
    else kh_register_close(r);
    return err;
}

void kh_register_close(kh_register *r)
{
    if (r == NULL) return;
    (void)wait_idle(r);
    (void)pthread_cond_destroy(&r->idle);
    (void)pthread_mutex_destroy(&r->lock);
    free(r->ops);
    free(r);
}
