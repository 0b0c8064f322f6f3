/* index: its regions, opening, and the look-ups' doors (lookup.c does the work). */
#include "index/flow.h"
#include "index/layout.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { FREED_ROWS_FIRST = 1024, INDEX_VERSION = 1 };

static uint64_t power_of_two(uint64_t at_least)
{
    uint64_t v = 1;
    while (v < at_least) v <<= 1;
    return v;
}

uint32_t kh_index_regions(uint64_t documents, kh_region_spec ret_specs[8])
{
    uint64_t records = kh_min64(documents, UINT32_MAX - 2) + 1; /* with the null record */
    /* A segment is at least 31 % full on average just after its splits; twice that, and some, for the ones that wait to be
     * reused. */
    uint64_t segments = records / 1250 + 128;
    uint64_t directory = kh_min64(power_of_two(segments * 4), UINT64_C(1) << KH_DEPTH_MAX);
    const kh_region_spec specs[] = {
        {KH_REGION_INDEX_HEAD, sizeof(kh_index_head), 1},
        {KH_REGION_INDEX_DIRECTORY, sizeof(uint32_t), directory},
        {KH_REGION_INDEX_SEGMENTS, sizeof(kh_segment), segments},
        {KH_REGION_INDEX_RECORDS, sizeof(kh_record), records},
        {KH_REGION_INDEX_FREED, sizeof(kh_freed), kh_max64(power_of_two(records), FREED_ROWS_FIRST)},
        {KH_REGION_INDEX_SEGMENT_INFO, sizeof(kh_segment_info), segments},
    };
    memcpy(ret_specs, specs, sizeof specs);
    return sizeof specs / sizeof specs[0];
}

void kh_index_headroom(const kh_index *ix, uint64_t n, uint64_t ret_bytes[8])
{
    const kh_region *r = ix->state->regions;
    uint64_t segments = r[KH_REGION_INDEX_SEGMENTS].row_cnt;
    uint64_t rows[8] = {0};
    rows[KH_REGION_INDEX_RECORDS] = n;
    rows[KH_REGION_INDEX_SEGMENTS] = rows[KH_REGION_INDEX_SEGMENT_INFO] = 2 * (kh_min64(n, segments) + n / 3000);
    rows[KH_REGION_INDEX_DIRECTORY] = r[KH_REGION_INDEX_DIRECTORY].row_cnt;
    rows[KH_REGION_INDEX_FREED] = kh_max64(ix->head->freed_rows, n);
    memset(ret_bytes, 0, 8 * sizeof *ret_bytes);
    for (uint32_t i = KH_REGION_INDEX_HEAD; i <= KH_REGION_INDEX_SEGMENT_INFO; i++)
        ret_bytes[i] = kh_min64(rows[i], r[i].row_max - r[i].row_cnt) * r[i].row_sz;
}

size_t kh_index_footprint(void) { return sizeof(kh_index); }

#if defined(__x86_64__)
/* VAES is bit 9 of ECX of CPUID leaf 7; not every compiler's __builtin_cpu_supports knows its name. */
static bool has_vaes(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 9 & 1) != 0;
}
#endif

kh_lookup kh_lookup_choose(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        has_vaes())
        return kh_lookup_avx512;
    if (__builtin_cpu_supports("avx2") && has_vaes()) return kh_lookup_vaes;
    if (__builtin_cpu_supports("aes")) return kh_lookup_aes;
#endif
    return kh_lookup_portable;
}

/* What a loaded head says must fit the regions that came with it. */
static kh_err check_loaded(const kh_index *ix)
{
    const kh_index_head *h = ix->head;
    const kh_region *r = ix->state->regions;
    if (h->version != INDEX_VERSION) return KH_E_VERSION;
    if (h->depth > KH_DEPTH_MAX || r[KH_REGION_INDEX_DIRECTORY].row_cnt != UINT64_C(1) << h->depth) return KH_E_DAMAGED;
    uint64_t segments = r[KH_REGION_INDEX_SEGMENTS].row_cnt;
    if (segments == 0 || r[KH_REGION_INDEX_SEGMENT_INFO].row_cnt != segments) return KH_E_DAMAGED;
    if (h->entry_cnt >= r[KH_REGION_INDEX_RECORDS].row_cnt) return KH_E_DAMAGED;
    if (h->freed_rows == 0 || (h->freed_rows & (h->freed_rows - 1)) != 0 || r[KH_REGION_INDEX_FREED].row_cnt != h->freed_rows ||
        h->freed_cnt > h->freed_rows)
        return KH_E_DAMAGED;
    return KH_OK;
}

static kh_err make_empty(kh_index *ix, uint64_t secret_check)
{
    kh_region *r = ix->state->regions;
    *ix->head = (kh_index_head){.version = INDEX_VERSION,
                                .secret_check = secret_check,
                                .freed_rows = FREED_ROWS_FIRST,
                                .segment_oldest = KH_SEGMENT_NONE,
                                .segment_newest = KH_SEGMENT_NONE};
    r[KH_REGION_INDEX_HEAD].row_cnt = 1;
    r[KH_REGION_INDEX_FREED].row_cnt = FREED_ROWS_FIRST;
    r[KH_REGION_INDEX_RECORDS].row_cnt = 1;
    r[KH_REGION_INDEX_DIRECTORY].row_cnt = 1;
    uint32_t first = kh_index_segment_take(ix);
    KH_ASSERT(first == 0);
    ix->info[first].entry_limit = kh_index_segment_limit(0, 0);
    *(uint32_t *)kh_row(ix->state, KH_REGION_INDEX_DIRECTORY, 0) = first;
    return KH_OK;
}

kh_err kh_index_open(kh_state *state, const uint8_t secret[16], void *mem, kh_index **ret_index)
{
    kh_index *ix = mem;
    const kh_key zero = {0};
    for (uint32_t i = KH_REGION_INDEX_HEAD; i <= KH_REGION_INDEX_SEGMENT_INFO; i++)
        if (state->regions[i].row_sz == 0) return KH_E_ARG;
    if ((uintptr_t)mem % 64 != 0) return KH_E_ARG;
    memset(ix, 0, sizeof *ix);
    ix->state = state;
    ix->directory = kh_row(state, KH_REGION_INDEX_DIRECTORY, 0);
    ix->segments = kh_row(state, KH_REGION_INDEX_SEGMENTS, 0);
    ix->records = kh_row(state, KH_REGION_INDEX_RECORDS, 0);
    ix->head = kh_row(state, KH_REGION_INDEX_HEAD, 0);
    ix->info = kh_row(state, KH_REGION_INDEX_SEGMENT_INFO, 0);
    ix->freed = kh_row(state, KH_REGION_INDEX_FREED, 0);
    ix->lookup = kh_lookup_choose();
    kh_hash_expand(secret, &ix->key);
    uint64_t check = ix->lookup.hash(&ix->key, &zero);
    kh_err err = KH_OK;
    if (state->regions[KH_REGION_INDEX_HEAD].row_cnt == 0) err = make_empty(ix, check);
    else {
        err = check_loaded(ix);
        if (err == KH_OK && ix->head->secret_check != check) err = KH_E_ARG;
    }
    if (err != KH_OK) return err;
    ix->directory_mask = (UINT64_C(1) << ix->head->depth) - 1;
    /* Nobody can still read what was freed before this process opened the state. */
    ix->pending = ix->covered = ix->last_freed = ix->head->height;
    *ret_index = ix;
    return KH_OK;
}

uint64_t kh_index_get_bulk(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[])
{
    return ix->lookup.bulk(ix, keys, n, ret_recs);
}

uint64_t kh_index_get_many(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[])
{
    if (n > KH_BULK_MAX) return ix->lookup.bulk(ix, keys, n, ret_recs);
    return (uint64_t)__builtin_popcountll(ix->lookup.bulk(ix, keys, n, ret_recs));
}

void kh_flow_begin(kh_flow *flow, const kh_index *ix) { ix->lookup.flow_begin(ix, flow); }

bool kh_flow_step(kh_flow *flow, const kh_key keys[KH_FLOW_GROUP], const kh_record *ret_recs[KH_FLOW_GROUP])
{
    return flow->ix->lookup.flow_step(flow, keys, ret_recs);
}

void kh_flow_fetch(kh_flow *flow) { flow->ix->lookup.flow_fetch(flow); }

void kh_index_search_begin(const kh_index *ix, const kh_key keys[], uint32_t n, kh_search searches[])
{
    ix->lookup.search_begin(ix, keys, n, searches);
}

void kh_index_search_match(const kh_index *ix, uint32_t n, kh_search searches[]) { ix->lookup.search_match(ix, n, searches); }

void kh_index_search_end(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_search searches[], uint32_t ret_records[])
{
    ix->lookup.search_end(ix, keys, n, searches, ret_records);
}

const kh_record *kh_index_null(const kh_index *ix) { return ix->records; }

void kh_index_find_bulk(const kh_index *ix, const kh_key keys[], uint32_t n, uint32_t ret_records[])
{
    (void)ix->lookup.find(ix, keys, n, ret_records);
    for (uint32_t i = 0; i < n; i++)
        if (ret_records[i] == 0) ret_records[i] = KH_RECORD_NONE;
}

uint32_t kh_index_find(const kh_index *ix, const kh_key *key)
{
    uint32_t record;
    kh_index_find_bulk(ix, key, 1, &record);
    return record;
}

void kh_index_prefetch_bucket(const kh_index *ix, const kh_key *key)
{
    uint64_t hash = ix->lookup.hash(&ix->key, key);
    uint32_t entry = kh_directory_get(ix, hash, ix->directory_mask);
    kh_fetch_near(kh_bucket_at(ix, entry & KH_SEGMENT_MASK, kh_hash_bucket(hash)));
}

void kh_index_prefetch_record(const kh_index *ix, const kh_key *key)
{
    uint64_t hash = ix->lookup.hash(&ix->key, key);
    uint32_t entry = kh_directory_get(ix, hash, ix->directory_mask);
    uint16_t tag = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
    const kh_bucket *b = kh_bucket_at(ix, entry & KH_SEGMENT_MASK, kh_hash_bucket(hash));
    for (uint32_t i = 0; i < KH_BUCKET_SLOTS; i++)
        if (b->tag[i] == tag) kh_fetch_near(&ix->records[b->record[i]]);
}

kh_record *kh_index_record(const kh_index *ix, uint32_t record) { return &ix->records[record]; }

const kh_record *kh_index_at(const kh_index *ix, uint32_t record) { return &ix->records[record]; }

uint64_t kh_index_count(const kh_index *ix) { return ix->head->entry_cnt; }
