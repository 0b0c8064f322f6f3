/* index, look-ups: every variant that this processor runs, through all its doors: bulk, numbers, flow, search. */
#include "index/flow.h"
#include "index/layout.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static const uint8_t secret[16] = "0123456789abcdef";
static kh_state state;
static kh_index *ix;
static void *mem;

static kh_key key_of(uint64_t i)
{
    kh_key k;
    uint64_t w[2] = {i + 1, i == UINT64_MAX ? 0 : i / 3};
    memcpy(k.b, w, 16);
    return k;
}

static void make(uint64_t documents)
{
    kh_region_spec specs[8];
    cr_assert_eq(kh_state_init(&state, specs, kh_index_regions(documents, specs)), KH_OK);
    mem = aligned_alloc(64, kh_index_footprint());
    cr_assert_eq(kh_index_open(&state, secret, mem, &ix), KH_OK);
    kh_index_reclaim_none(ix);
}

static void drop(void)
{
    kh_state_release(&state);
    free(mem);
}

static uint32_t add(uint64_t i)
{
    uint32_t record = kh_index_alloc(ix, 1);
    if (record == KH_RECORD_NONE) return record;
    kh_index_record(ix, record)->key = key_of(i);
    kh_index_record(ix, record)->base = i;
    return kh_index_put(ix, record) == KH_OK ? record : KH_RECORD_NONE;
}

static uint32_t variants(const kh_lookup *ret[4])
{
    uint32_t n = 0;
    ret[n++] = &kh_lookup_portable;
#if defined(__x86_64__)
    const kh_lookup best = kh_lookup_choose();
    bool wide = best.bulk == kh_lookup_avx512.bulk;
    if (__builtin_cpu_supports("aes")) ret[n++] = &kh_lookup_aes;
    if (wide || best.bulk == kh_lookup_vaes.bulk) ret[n++] = &kh_lookup_vaes;
    if (wide) ret[n++] = &kh_lookup_avx512;
#endif
    return n;
}

/* flow gives what a flow of all keys gives; n is a multiple of its group. */
static void flow_all(const kh_lookup *variant, const kh_key *keys, uint32_t n, const kh_record **recs)
{
    kh_flow *flow = aligned_alloc(64, sizeof *flow);
    uint32_t out = 0;
    variant->flow_begin(ix, flow);
    for (uint32_t in = 0; out < n; in += KH_FLOW_GROUP) {
        if (variant->flow_step(flow, in < n ? keys + in : NULL, recs + out)) out += KH_FLOW_GROUP;
        variant->flow_fetch(flow);
    }
    free(flow);
}

/* How many of n keys, a multiple of 8, a search finds under another number than is said; 0 stands for none. */
static uint32_t search_all(const kh_lookup *variant, const kh_key *keys, uint32_t n, const uint32_t *numbers)
{
    kh_search searches[8];
    uint32_t found[8], wrong = 0;
    for (uint32_t i = 0; i < n; i += 8) {
        variant->search_begin(ix, keys + i, 8, searches);
        variant->search_match(ix, 8, searches);
        variant->search_end(ix, keys + i, 8, searches, found);
        for (uint32_t k = 0; k < 8; k++) wrong += found[k] != (numbers[i + k] == 0 ? KH_RECORD_NONE : numbers[i + k]);
    }
    return wrong;
}

/* check asks for ids[0 .. n), of which present[i] says whether it is there, n a multiple of 64. */
static void check(const uint64_t *ids, const bool *present, uint32_t n)
{
    const kh_lookup *all[4];
    kh_key *keys = malloc(n * sizeof *keys);
    const kh_record **recs = malloc(n * sizeof *recs), **flown = malloc(n * sizeof *flown);
    uint32_t *numbers = malloc(n * sizeof *numbers), there = 0;
    for (uint32_t i = 0; i < n; i++) keys[i] = key_of(ids[i]), there += present[i];
    for (uint32_t v = variants(all); v-- > 0;) {
        cr_assert_eq(all[v]->bulk(ix, keys, n, recs), there, "variant %u", v);
        cr_assert_eq(all[v]->find(ix, keys, n, numbers), there);
        flow_all(all[v], keys, n, flown);
        uint32_t wrong = search_all(all[v], keys, n, numbers); /* an assertion is slow */
        for (uint32_t i = 0; i < n; i++) {
            wrong += (recs[i] != kh_index_null(ix)) != present[i] || (present[i] && recs[i]->base != ids[i]);
            wrong += recs[i] != kh_index_at(ix, numbers[i]) || recs[i] != flown[i];
        }
        cr_assert_eq(wrong, 0, "variant %u", v);
        for (uint32_t i = 0; i + 64 <= n; i += 61 + i % 3) {
            uint32_t some = 1 + i % 64;
            uint64_t hits = all[v]->bulk(ix, keys + i, some, flown);
            for (uint32_t k = 0; k < 64; k++) wrong += (hits >> k & 1) != (k < some && present[i + k]);
            wrong += memcmp(flown, recs + i, some * sizeof *recs) != 0;
        }
        cr_assert_eq(wrong, 0, "variant %u, up to 64 keys", v);
    }
    free(keys), free(recs), free(flown), free(numbers);
}

static void check_range(uint64_t from, uint64_t until, uint64_t stored)
{
    uint32_t n = (uint32_t)(until - from) / 64 * 64;
    uint64_t *ids = malloc(n * sizeof *ids);
    bool *present = malloc(n);
    for (uint32_t i = 0; i < n; i++) ids[i] = from + i, present[i] = ids[i] < stored;
    check(ids, present, n);
    free(ids), free(present);
}

Test(index_lookup, variants_find_alike)
{
    make(100000);
    for (uint64_t i = 0; i < 50000; i++) cr_assert_neq(add(i), KH_RECORD_NONE);
    check_range(0, 100000, 50000);
    check_range(20, 49020, 50000);
    drop();
}

/* After eight doublings the tags come from other bits of the hash. */
Test(index_lookup, variants_find_by_renewed_tags)
{
    enum { STORED = 2000000 };
    uint32_t failed = 0;
    make(STORED);
    for (uint64_t i = 0; i < STORED; i++) failed += add(i) == KH_RECORD_NONE;
    cr_assert_eq(failed, 0);
    cr_assert(ix->head->depth > KH_WINDOW_BITS);
    check_range(STORED - 6400, STORED + 6400, STORED);
    drop();
}

/* A segment that may not split is full of entries that lie beside their home. */
Test(index_lookup, variants_find_what_is_displaced)
{
    make(20000);
    state.regions[KH_REGION_INDEX_SEGMENTS].row_max = 1;
    uint64_t stored = 0;
    while (add(stored) != KH_RECORD_NONE) stored++;
    cr_assert(stored > KH_SEGMENT_SLOTS * 7 / 10);
    check_range(0, stored, stored);
    check_range(0, stored * 2, stored);
    drop();
}

/* Keys that fall into one bucket with one tag: the first that matches is not the one that is meant. */
typedef struct place {
    uint64_t where, id;
} place;
static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return x->where != y->where ? (x->where > y->where) - (x->where < y->where) : (x->id > y->id) - (x->id < y->id);
}

Test(index_lookup, variants_tell_twins_apart)
{
    enum { KEYS = 1 << 20, PAIRS = 1024 };
    place *places = malloc(KEYS * sizeof *places);
    uint64_t ids[2 * PAIRS + 64] = {0};
    uint32_t records[2 * PAIRS + 64] = {0}, n = 0;
    bool present[2 * PAIRS + 64] = {0};
    make(100000);
    for (uint64_t i = 0; i < KEYS; i++) {
        kh_key key = key_of(i);
        uint64_t hash = ix->lookup.hash(&ix->key, &key);
        places[i] = (place){kh_hash_bucket(hash) << 16 | kh_hash_tag(hash, 0), i};
    }
    qsort(places, KEYS, sizeof *places, by_place);
    for (uint32_t i = 0; i + 1 < KEYS && n < 2 * PAIRS; i++)
        if (places[i].where == places[i + 1].where) ids[n++] = places[i].id, ids[n++] = places[++i].id;
    cr_assert_eq(n, 2 * PAIRS);
    for (uint32_t i = 0; i < 64; i++) ids[n + i] = UINT64_MAX; /* all zero, as is the null record's key */
    for (uint32_t i = 0; i < n; i++) {
        present[i] = i % 8 != 7; /* every fourth pair has one child only */
        if (present[i]) cr_assert_neq(records[i] = add(ids[i]), KH_RECORD_NONE);
    }
    check(ids, present, n + 64);
    for (uint32_t i = 0; i < n; i += 4) { /* every second pair loses the first, whose tag stays behind */
        kh_index_remove(ix, records[i]);
        present[i] = false;
    }
    check(ids, present, n + 64);
    free(places);
    drop();
}
