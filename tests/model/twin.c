/* twin: see twin.h. */
#include "twin.h"

static void note(uint64_t *digest, const kh_outcome *o)
{
    uint64_t d = *digest * 31 + kh_xxh3(o->bytes, o->bytes_sz);
    d = d * 31 + o->index * 2 + o->is_notice + ((uint64_t)o->op_index << 32);
    for (uint32_t i = 0; i < o->touch_cnt; i++) {
        const kh_touch *t = &o->touches[i];
        d = d * 31 + kh_xxh3(t->key.b, sizeof t->key.b) + t->what;
        d = d * 31 + (t->prev.height << 24 | t->prev.index);
    }
    *digest = d;
}

void twin_note(twin *t, const kh_outcome *o) { note(&t->of_first, o); }

static void emit(void *self, const kh_outcome *o) { note(&((twin *)self)->of_twin, o); }

const char *twin_apply(twin *t, uint64_t height, uint64_t time_ns, const uint8_t *ops, size_t ops_sz, uint32_t op_cnt)
{
    const kh_sink sink = {emit, t};
    if (t->up) {
        kh_ledger_apply(t->m.l, height, time_ns, ops, ops_sz, op_cnt, &sink);
        kh_index_settle(t->m.index, height);
    }
    bool same = !t->up || t->of_first == t->of_twin;
    t->of_first = t->of_twin = 0;
    return same ? NULL : "a ledger made from leaves answers otherwise";
}

const char *twin_compare(const twin *t, const kh_ledger *first)
{
    if (!t->up) return NULL;
    const char *broken = kh_ledger_verify_invariants(t->m.l);
    if (broken != NULL) return broken;
    return leaf_ledger_equal(first, t->m.l) ? NULL : "a ledger made from leaves has other leaves";
}

static const char *make(twin *t, const leaf_copy *leaves, const uint8_t secret[16])
{
    kh_leaf_fault fault;
    leaf_ledger_open(&t->m, secret);
    t->up = true;
    return leaf_copy_rebuild(leaves, t->m.l, &fault) == KH_OK ? NULL : fault.why;
}

const char *twin_make(twin *t, const kh_ledger *first, const uint8_t secret[16])
{
    leaf_copy leaves = {.n = 0};
    twin_drop(t);
    leaf_copy_take(&leaves, first);
    const char *why = make(t, &leaves, secret);
    if (why == NULL) why = twin_compare(t, first);
    leaf_copy_free(&leaves);
    return why;
}

void twin_drop(twin *t)
{
    if (t->up) leaf_ledger_close(&t->m);
    t->up = false;
}
