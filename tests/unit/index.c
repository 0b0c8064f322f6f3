/* index: the map against an obvious model, growth, record numbers in log order, the quad, and the image round trip. */
#include "index/layout.h"
#include "index/reader.h"
#include <criterion/criterion.h>
#include <stdlib.h>

typedef struct table {
    kh_state state;
    kh_index *ix;
    void *mem;
} table;

static const uint8_t secret[16] = "0123456789abcdef";

static kh_key key_of(uint64_t i)
{
    kh_key k;
    uint64_t w[2] = {i, i / 3};
    memcpy(k.b, w, 16);
    return k;
}

/* The index points to its state: a table stays where it was made. */
static void make(table *t, uint64_t documents)
{
    memset(t, 0, sizeof *t);
    kh_region_spec specs[8];
    uint32_t n = kh_index_regions(documents, specs);
    cr_assert_eq(kh_state_init(&t->state, specs, n), KH_OK);
    t->mem = aligned_alloc(64, kh_index_footprint());
    cr_assert_eq(kh_index_open(&t->state, secret, t->mem, &t->ix), KH_OK);
}

static void drop(table *t)
{
    kh_state_release(&t->state);
    free(t->mem);
}

static uint32_t add(kh_index *ix, uint64_t i, uint64_t height)
{
    uint32_t record = kh_index_alloc(ix, height);
    if (record == KH_RECORD_NONE) return record;
    kh_record *r = kh_index_record(ix, record);
    r->key = key_of(i);
    r->base = i;
    if (kh_index_put(ix, record) != KH_OK) return KH_RECORD_NONE;
    return record;
}

Test(index, round_of_aes_is_the_instruction)
{
    /* FIPS 197 appendix B, first round: the state after AddRoundKey, and the state at the start of round 2. */
    uint8_t state[16] = {0x19, 0x3d, 0xe3, 0xbe, 0xa0, 0xf4, 0xe2, 0x2b, 0x9a, 0xc6, 0x8d, 0x2a, 0xe9, 0xf8, 0x48, 0x08};
    const uint8_t round[16] = {0xa0, 0xfa, 0xfe, 0x17, 0x88, 0x54, 0x2c, 0xb1, 0x23, 0xa3, 0x39, 0x39, 0x2a, 0x6c, 0x76, 0x05};
    const uint8_t want[16] = {0xa4, 0x9c, 0x7f, 0xf2, 0x68, 0x9f, 0x35, 0x2b, 0x6b, 0x5b, 0xea, 0x43, 0x02, 0x6a, 0x50, 0x49};
    kh_aes_round(state, round);
    cr_assert_arr_eq(state, want, 16);
}

Test(index, variants_hash_alike)
{
    kh_hash_key hk;
    kh_hash_expand(secret, &hk);
    for (uint64_t i = 0; i < 200; i++) {
        kh_key k = key_of(i * UINT64_C(0x9e3779b97f4a7c15));
        uint64_t plain = kh_lookup_portable.hash(&hk, &k);
        if (__builtin_cpu_supports("aes")) cr_assert_eq(plain, kh_lookup_aes.hash(&hk, &k));
        cr_assert_eq(plain, kh_lookup_choose().hash(&hk, &k));
    }
}

Test(index, finds_what_was_put)
{
    table t;
    make(&t, 400000);
    enum { N = 300000 };
    for (uint64_t i = 0; i < N; i++) cr_assert_neq(add(t.ix, i, 1 + i / 100), KH_RECORD_NONE);
    cr_assert_eq(kh_index_count(t.ix), N);
    cr_assert(t.ix->head->depth >= 5);
    const kh_record *recs[KH_BULK_MAX];
    kh_key keys[KH_BULK_MAX];
    for (uint64_t i = 0; i < N + 1000; i += 61) {
        uint32_t n = (uint32_t)(1 + i % KH_BULK_MAX), numbers[KH_BULK_MAX];
        for (uint32_t j = 0; j < n; j++) keys[j] = key_of(i + j * (uint64_t)(j % 2 == 0 ? 1 : N));
        uint64_t hits = kh_index_get_bulk(t.ix, keys, n, recs);
        kh_index_find_bulk(t.ix, keys, n, numbers);
        if (n < 64) cr_assert_eq(hits >> n, 0);
        for (uint32_t j = 0; j < n; j++) {
            uint64_t id = i + j * (uint64_t)(j % 2 == 0 ? 1 : N);
            bool present = id < N;
            cr_assert_eq(hits >> j & 1, present, "key %llu", (unsigned long long)id);
            cr_assert_eq(numbers[j] != KH_RECORD_NONE, present);
            if (present) cr_assert_eq(recs[j]->base, id);
            else cr_assert_eq(recs[j], kh_index_null(t.ix));
            cr_assert_eq(kh_index_find(t.ix, &keys[j]), numbers[j]);
        }
    }
    drop(&t);
}

/* All steps with growth between them: what was there before is found, whatever splits; what came meanwhile may be. */
Test(index, a_search_in_steps_outlives_growth)
{
    enum { BEFORE = 9000, STEP = 60000, SOUGHT = 64 };
    table t;
    make(&t, 200000);
    for (uint64_t i = 0; i < BEFORE; i++) (void)add(t.ix, i, 1);
    kh_key keys[SOUGHT];
    kh_search searches[SOUGHT];
    uint32_t numbers[SOUGHT], depth = t.ix->head->depth;
    for (uint64_t i = 0; i < SOUGHT; i++) keys[i] = key_of(i % 2 == 0 ? i * 100 : UINT64_C(1) << 40 | i);
    kh_index_search_begin(t.ix, keys, SOUGHT, searches);
    for (uint64_t i = 0; i < STEP; i++) (void)add(t.ix, BEFORE + i, 1);
    kh_index_search_match(t.ix, SOUGHT, searches);
    for (uint64_t i = 0; i < STEP; i++) (void)add(t.ix, BEFORE + STEP + i, 1);
    kh_index_search_end(t.ix, keys, SOUGHT, searches, numbers);
    cr_assert(t.ix->head->depth > depth + 2);
    for (uint32_t i = 0; i < SOUGHT; i++) cr_assert_eq(numbers[i], kh_index_find(t.ix, &keys[i]), "key %u", i);
    drop(&t);
}

Test(index, a_number_comes_back_in_order_and_not_before)
{
    table t;
    make(&t, 1000);
    kh_index_reclaim_none(t.ix);
    uint32_t a = add(t.ix, 1, 1), b = add(t.ix, 2, 1);
    kh_key key = key_of(1);
    kh_index_remove(t.ix, a);
    kh_index_remove(t.ix, b);
    kh_index_retire(t.ix, b, 5);
    kh_index_retire(t.ix, a, 6);
    cr_assert_eq(kh_index_find(t.ix, &key), KH_RECORD_NONE);
    cr_assert_eq(kh_index_alloc(t.ix, 4 + KH_RECORD_REUSE_AFTER), 3);
    kh_index_record(t.ix, b)->cap = 7;
    cr_assert_eq(kh_index_alloc(t.ix, 5 + KH_RECORD_REUSE_AFTER), b);
    cr_assert_eq(kh_index_record(t.ix, b)->cap, 0);
    cr_assert_eq(kh_index_alloc(t.ix, 5 + KH_RECORD_REUSE_AFTER), 4);
    cr_assert_eq(kh_index_alloc(t.ix, 6 + KH_RECORD_REUSE_AFTER), a);
    drop(&t);
}

Test(index, freed_numbers_outgrow_their_ring)
{
    table t;
    make(&t, 6000);
    kh_index_reclaim_none(t.ix);
    uint32_t first[600], all[5000];
    for (uint32_t i = 0; i < 600; i++) first[i] = kh_index_alloc(t.ix, 1);
    for (uint32_t i = 0; i < 600; i++) kh_index_retire(t.ix, first[i], 1);
    for (uint32_t i = 0; i < 600; i++) cr_assert_eq(kh_index_alloc(t.ix, 100), first[i]);
    for (uint32_t i = 0; i < 5000; i++) all[i] = kh_index_alloc(t.ix, 100);
    for (uint32_t i = 0; i < 5000; i++) kh_index_retire(t.ix, all[i], 100);
    for (uint32_t i = 0; i < 5000; i++) cr_assert_eq(kh_index_alloc(t.ix, 200), all[i]);
    drop(&t);
}

Test(index, settle_never_hangs_without_a_reclaimer)
{
    table t;
    make(&t, 1000);
    for (uint64_t h = 1; h < 300; h++) {
        uint32_t r = add(t.ix, 1, h);
        kh_index_remove(t.ix, r);
        kh_index_retire(t.ix, r, h);
        kh_index_settle(t.ix, h);
    }
    cr_assert(t.state.regions[KH_REGION_INDEX_RECORDS].row_cnt <= 2 + KH_RECORD_REUSE_AFTER);
    cr_assert(kh_index_reclaim_step(t.ix));
    cr_assert_not(kh_index_reclaim_step(t.ix));
    drop(&t);
}

Test(index, swap_replaces)
{
    table t;
    make(&t, 1000);
    uint32_t a = add(t.ix, 9, 1), b = kh_index_alloc(t.ix, 1);
    kh_key key = key_of(9);
    *kh_index_record(t.ix, b) = *kh_index_record(t.ix, a);
    kh_index_swap(t.ix, a, b);
    cr_assert_eq(kh_index_find(t.ix, &key), b);
    cr_assert_eq(kh_index_count(t.ix), 1);
    drop(&t);
}

Test(index, full_is_said)
{
    table t;
    make(&t, 50);
    for (uint64_t i = 0; i < 50; i++) cr_assert_neq(add(t.ix, i, 1), KH_RECORD_NONE);
    cr_assert_eq(add(t.ix, 50, 1), KH_RECORD_NONE);
    drop(&t);
}

Test(index, full_segments_are_said)
{
    table t;
    make(&t, 200000);
    t.state.regions[KH_REGION_INDEX_SEGMENTS].row_max = 1; /* no room to split: fills up, then says so */
    uint64_t stored = 0;
    while (add(t.ix, stored, 1) != KH_RECORD_NONE) stored++;
    cr_assert(stored > KH_SEGMENT_SLOTS * 7 / 10 && stored <= KH_SEGMENT_SLOTS);
    for (uint64_t i = 0; i < stored; i++) {
        kh_key key = key_of(i);
        cr_assert_neq(kh_index_find(t.ix, &key), KH_RECORD_NONE);
    }
    cr_assert_eq(kh_index_count(t.ix), stored);
    drop(&t);
}

Test(index, quad_is_what_was_stored)
{
    kh_record r = {0};
    kh_quad q = {.taken = 0x1122334455667788, .updates = 3, .version = 4, .status = 5, .flags = KH_REC_ACTIVE};
    kh_quad_store(&r, q);
    kh_quad back = kh_quad_load(&r);
    cr_assert_eq(memcmp(&q, &back, sizeof q), 0);
    cr_assert_eq(memcmp(&q, &r.quad, sizeof q), 0);
}

/* work drives an index by its seed only: inserts, removals, swaps over many heights. */
static void work(kh_index *ix, uint64_t seed, uint64_t from, uint64_t until)
{
    for (uint64_t h = from; h < until; h++) {
        for (uint64_t i = 0; i < 200; i++) (void)add(ix, h * 200 + i, h);
        for (uint64_t i = 0; i < 40; i++) {
            kh_key key = key_of((h * 2654435761u + i * 40503 + seed) % ((h + 1) * 200));
            uint32_t old = kh_index_find(ix, &key);
            if (old == KH_RECORD_NONE) continue;
            if (i % 3 == 0) {
                kh_index_remove(ix, old);
            } else {
                uint32_t fresh = kh_index_alloc(ix, h);
                *kh_index_record(ix, fresh) = *kh_index_record(ix, old);
                kh_index_swap(ix, old, fresh);
            }
            kh_index_retire(ix, old, h);
        }
        kh_index_settle(ix, h);
    }
}

static bool same_bytes(const kh_state *a, const kh_state *b)
{
    for (uint32_t i = 1; i < KH_REGION_LEDGER_FIRST; i++) {
        const kh_region *x = &a->regions[i], *y = &b->regions[i];
        if (x->row_cnt != y->row_cnt || (x->row_sz != 0 && memcmp(x->base, y->base, x->row_cnt * x->row_sz) != 0)) return false;
    }
    return true;
}

Test(index, same_log_same_bytes_also_from_an_image)
{
    table a, b, image;
    make(&a, 400000);
    make(&b, 400000);
    work(a.ix, 1, 1, 600);
    kh_region_spec specs[8];
    memset(&image, 0, sizeof image);
    cr_assert_eq(kh_state_init(&image.state, specs, kh_index_regions(400000, specs)), KH_OK);
    for (uint32_t i = 1; i < KH_REGION_LEDGER_FIRST; i++) {
        kh_region *from = &a.state.regions[i], *to = &image.state.regions[i];
        if (from->row_sz == 0) continue;
        memcpy(to->base, from->base, from->row_cnt * from->row_sz);
        to->row_cnt = from->row_cnt;
    }
    image.mem = aligned_alloc(64, kh_index_footprint());
    cr_assert_eq(kh_index_open(&image.state, secret, image.mem, &image.ix), KH_OK);
    cr_assert_eq(kh_index_count(image.ix), kh_index_count(a.ix));
    work(b.ix, 1, 1, 1200);
    work(a.ix, 1, 600, 1200);
    work(image.ix, 1, 600, 1200);
    cr_assert(same_bytes(&a.state, &b.state));
    cr_assert(same_bytes(&a.state, &image.state));
    uint64_t present = 0;
    for (uint64_t i = 0; i < 1200 * 200; i++) {
        kh_key key = key_of(i);
        uint32_t r = kh_index_find(image.ix, &key);
        if (r == KH_RECORD_NONE) continue;
        present++;
        cr_assert(kh_key_equal(&kh_index_at(image.ix, r)->key, &key));
    }
    cr_assert_eq(present, kh_index_count(image.ix));
    drop(&a);
    drop(&b);
    drop(&image);
}

Test(index, headroom_is_enough)
{
    table t;
    make(&t, 400000);
    for (uint64_t h = 1, i = 0; h < 100; h++) {
        uint64_t bytes[8], before[8];
        kh_index_headroom(t.ix, 2000, bytes);
        for (uint32_t r = 1; r < 8; r++) before[r] = t.state.regions[r].row_cnt * t.state.regions[r].row_sz;
        for (uint64_t end = i + 2000; i < end; i++) cr_assert_neq(add(t.ix, i, h), KH_RECORD_NONE);
        for (uint32_t r = 1; r < 8; r++)
            cr_assert(t.state.regions[r].row_cnt * t.state.regions[r].row_sz <= before[r] + bytes[r], "region %u", r);
    }
    drop(&t);
}

Test(index, a_foreign_secret_or_damaged_head_is_refused)
{
    table t;
    make(&t, 1000);
    kh_index *again = NULL;
    (void)add(t.ix, 1, 1);
    cr_assert_eq(kh_index_open(&t.state, (const uint8_t *)"another secret..", t.mem, &again), KH_E_ARG);
    cr_assert_eq(kh_index_open(&t.state, secret, t.mem, &again), KH_OK);
    again->head->depth = 3;
    cr_assert_eq(kh_index_open(&t.state, secret, t.mem, &again), KH_E_DAMAGED);
    again->head->version = 99;
    cr_assert_eq(kh_index_open(&t.state, secret, t.mem, &again), KH_E_VERSION);
    drop(&t);
}

Test(index, a_thousand_million_documents_open_in_no_memory)
{
    table t;
    make(&t, 1000000000);
    cr_assert(kh_state_bytes(&t.state) < 256 * 1024);
    drop(&t);
}
