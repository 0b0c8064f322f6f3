/* leaf_copy: the leaves of a ledger, kept in memory one behind another, and ledgers made from such. */
#ifndef LEAF_COPY_H
#define LEAF_COPY_H
#include <stdlib.h>
#include "ledger/ledger.h"

typedef struct leaf_copy {
    uint8_t *bytes;
    size_t n, cap;
    size_t *ends; /* of each leaf, in bytes */
    size_t cnt, ends_cap;
} leaf_copy;

static inline void leaf_copy_bytes(void *ctx, const void *p, size_t n)
{
    leaf_copy *c = ctx;
    if (c->cap - c->n < n) {
        c->cap = (c->n + n) * 2;
        c->bytes = realloc(c->bytes, c->cap);
        KH_ASSERT(c->bytes != NULL);
    }
    memcpy(c->bytes + c->n, p, n);
    c->n += n;
}

static inline void leaf_copy_end(void *ctx)
{
    leaf_copy *c = ctx;
    if (c->cnt == c->ends_cap) {
        c->ends_cap = 2 * c->ends_cap + 64;
        c->ends = realloc(c->ends, c->ends_cap * sizeof *c->ends);
        KH_ASSERT(c->ends != NULL);
    }
    c->ends[c->cnt++] = c->n;
}

static inline void leaf_copy_take(leaf_copy *c, const kh_ledger *l)
{
    const kh_leaves to = {leaf_copy_bytes, leaf_copy_end, c};
    void *scratch = malloc(kh_ledger_checkpoint_scratch(l));
    KH_ASSERT(scratch != NULL);
    c->n = c->cnt = 0;
    kh_ledger_checkpoint(l, scratch, &to);
    free(scratch);
}

static inline void leaf_copy_free(leaf_copy *c)
{
    free(c->bytes);
    free(c->ends);
    *c = (leaf_copy){.n = 0};
}

static inline bool leaf_copy_same(const leaf_copy *a, const leaf_copy *b)
{
    return a->n == b->n && a->cnt == b->cnt && memcmp(a->bytes, b->bytes, a->n) == 0 &&
           memcmp(a->ends, b->ends, a->cnt * sizeof *a->ends) == 0;
}

/* ---- a ledger of its own ---- */

typedef struct leaf_ledger {
    kh_state state;
    kh_index *index;
    kh_ledger *l;
    void *index_mem, *ledger_mem;
} leaf_ledger;

static inline void leaf_ledger_open(leaf_ledger *m, const uint8_t secret[16])
{
    kh_region_spec specs[KH_REGION_MAX];
    m->index_mem = aligned_alloc(64, (kh_index_footprint() + 63) / 64 * 64);
    m->ledger_mem = aligned_alloc(64, (kh_ledger_footprint() + 63) / 64 * 64);
    KH_ASSERT(m->index_mem != NULL && m->ledger_mem != NULL &&
              kh_state_init(&m->state, specs, kh_ledger_regions(specs)) == KH_OK);
    KH_ASSERT(kh_index_open(&m->state, secret, m->index_mem, &m->index) == KH_OK);
    kh_index_reclaim_none(m->index);
    KH_ASSERT(kh_ledger_open(&m->state, m->index, secret, m->ledger_mem, &m->l) == KH_OK);
}

static inline void leaf_ledger_close(leaf_ledger *m)
{
    kh_state_release(&m->state);
    free(m->index_mem);
    free(m->ledger_mem);
}

typedef struct leaf_reading {
    const leaf_copy *c;
    size_t next, at;
    void *lent;
} leaf_reading;

static inline kh_err leaf_reading_next(void *ctx, uint64_t *ret_sz)
{
    leaf_reading *r = ctx;
    if (r->next == r->c->cnt) return KH_E_NOT_FOUND;
    r->at = r->next == 0 ? 0 : r->c->ends[r->next - 1];
    *ret_sz = r->c->ends[r->next++] - r->at;
    return KH_OK;
}

static inline kh_err leaf_reading_read(void *ctx, void *p, size_t n)
{
    leaf_reading *r = ctx;
    KH_ASSERT(r->c->ends[r->next - 1] - r->at >= n);
    memcpy(p, r->c->bytes + r->at, n);
    r->at += n;
    return KH_OK;
}

static inline void *leaf_reading_lend(void *ctx, size_t n) { return ((leaf_reading *)ctx)->lent = malloc(n); }

static inline kh_err leaf_copy_rebuild(const leaf_copy *c, kh_ledger *l, kh_leaf_fault *ret_fault)
{
    leaf_reading r = {.c = c};
    const kh_leaf_source from = {leaf_reading_next, leaf_reading_read, leaf_reading_lend, &r};
    kh_err err = kh_ledger_rebuild(l, &from, ret_fault);
    free(r.lent);
    return err;
}

/* leaf_ledger_equal: what two ledgers hold, whatever their secrets: all leaves, and the bytes of the content digest. */
static inline bool leaf_ledger_equal(const kh_ledger *a, const kh_ledger *b)
{
    leaf_copy x = {.n = 0}, y = {.n = 0};
    leaf_copy_take(&x, a);
    leaf_copy_take(&y, b);
    bool same = leaf_copy_same(&x, &y);
    const kh_ledger *both[2] = {a, b};
    leaf_copy *copies[2] = {&x, &y};
    for (int i = 0; i < 2; i++) {
        void *scratch = malloc(kh_ledger_content_scratch(both[i]) + 1);
        KH_ASSERT(scratch != NULL);
        copies[i]->n = 0;
        kh_ledger_content(both[i], scratch, leaf_copy_bytes, copies[i]);
        free(scratch);
    }
    same = same && x.n == y.n && memcmp(x.bytes, y.bytes, x.n) == 0;
    leaf_copy_free(&x);
    leaf_copy_free(&y);
    return same;
}
#endif
