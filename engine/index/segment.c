/* segment: the writer's side of the buckets: put, swap, remove, and growth by splitting one segment at a time. */
#include "index/layout.h"

/* Segments split at different fills, 62 to 78 %, by a mix of what they hold, so that they do not all split at once. */
uint32_t kh_index_segment_limit(uint64_t prefix, uint32_t depth)
{
    uint64_t mixed = (prefix * 64 + depth + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(KH_SEGMENT_SLOTS * 62 / 100 + (mixed >> 32) % (KH_SEGMENT_SLOTS * 16 / 100));
}

uint32_t kh_index_segment_take(kh_index *ix)
{
    kh_index_head *h = ix->head;
    uint32_t segment = h->segment_oldest;
    if (segment != KH_SEGMENT_NONE && ix->info[segment].freed_height + KH_SEGMENT_REUSE_AFTER <= h->height) {
        kh_index_await(ix, ix->info[segment].freed_height);
        h->segment_oldest = ix->info[segment].next_freed;
        if (h->segment_oldest == KH_SEGMENT_NONE) h->segment_newest = KH_SEGMENT_NONE;
        memset(&ix->segments[segment], 0, sizeof(kh_segment));
        ix->info[segment] = (kh_segment_info){0};
        return segment;
    }
    kh_region *r = &ix->state->regions[KH_REGION_INDEX_SEGMENTS];
    if (r->row_cnt == r->row_max || r->row_cnt > KH_SEGMENT_MASK) return KH_SEGMENT_NONE;
    segment = (uint32_t)r->row_cnt;
    __atomic_store_n(&r->row_cnt, r->row_cnt + 1, __ATOMIC_RELAXED); /* a helper may populate ahead of it */
    __atomic_store_n(&ix->state->regions[KH_REGION_INDEX_SEGMENT_INFO].row_cnt, r->row_cnt, __ATOMIC_RELAXED);
    return segment;
}

static void free_segment(kh_index *ix, uint32_t segment)
{
    kh_index_head *h = ix->head;
    ix->info[segment].freed_height = ix->last_freed = h->height;
    ix->info[segment].next_freed = KH_SEGMENT_NONE;
    if (h->segment_newest == KH_SEGMENT_NONE) h->segment_oldest = segment;
    else ix->info[h->segment_newest].next_freed = segment;
    h->segment_newest = segment;
}

static uint32_t empty_slot(const kh_bucket *b)
{
    uint32_t slot = 0;
    while (slot < KH_BUCKET_SLOTS && b->record[slot] != 0) slot++;
    return slot;
}

static void fill_slot(kh_bucket *b, uint32_t slot, uint16_t tag, uint32_t record)
{
    __atomic_store_n(&b->tag[slot], tag, __ATOMIC_RELAXED);
    __atomic_store_n(&b->record[slot], record, __ATOMIC_RELEASE);
}

/* place puts an entry into its home bucket or, displaced, into a near one; false when all are full. */
static bool place(kh_index *ix, uint32_t segment, uint64_t hash, uint16_t tag, uint32_t record)
{
    kh_bucket *home = kh_bucket_at(ix, segment, kh_hash_bucket(hash));
    uint32_t slot = empty_slot(home);
    if (KH_LIKELY(slot < KH_BUCKET_SLOTS)) {
        fill_slot(home, slot, tag, record);
        return true;
    }
    for (uint32_t i = 1; i <= KH_NEIGHBOURS; i++) {
        kh_bucket *b = kh_bucket_at(ix, segment, kh_hash_bucket(hash) + i);
        slot = empty_slot(b);
        if (slot == KH_BUCKET_SLOTS) continue;
        __atomic_store_n(&b->overflow, b->overflow | UINT32_C(1) << (KH_FILTER_BITS + slot), __ATOMIC_RELAXED);
        fill_slot(b, slot, tag, record);
        __atomic_store_n(&home->overflow, home->overflow | kh_hash_filter(hash), __ATOMIC_RELEASE);
        return true;
    }
    return false;
}

typedef struct halves {
    uint32_t segment[2];
    uint32_t cnt[2];
    uint32_t window;
    uint32_t bit; /* of the hash, that they differ in */
} halves;

static bool place_by_key(kh_index *ix, halves *to, uint32_t record)
{
    uint64_t hash = ix->lookup.hash(&ix->key, &ix->records[record].key);
    uint32_t side = (uint32_t)(hash >> to->bit) & 1;
    to->cnt[side]++;
    return place(ix, to->segment[side], hash, kh_hash_tag(hash, to->window), record);
}

/* copy_halves passes once over a segment. Entries in their home bucket go by the bit in their tag; guests, and all entries when
   the tags are renewed, by their keys. */
static bool copy_halves(kh_index *ix, const kh_segment *from, halves *to, bool renew)
{
    uint32_t tag_bit = to->bit % KH_WINDOW_BITS;
    for (uint32_t i = 0; i < KH_SEGMENT_BUCKETS; i++) {
        const kh_bucket *b = &from->bucket[i];
        uint32_t filled[2] = {0, 0}, guests = b->overflow >> KH_FILTER_BITS;
        if (renew && i + 4 < KH_SEGMENT_BUCKETS)
            for (uint32_t s = 0; s < KH_BUCKET_SLOTS; s++) kh_fetch_near(&ix->records[b[4].record[s]]);
        for (uint32_t s = 0; s < KH_BUCKET_SLOTS; s++) {
            if (b->record[s] == 0) continue;
            if (renew || (guests >> s & 1) != 0) {
                kh_fetch_near(&ix->records[b->record[s]]);
                continue;
            }
            uint32_t side = (uint32_t)(b->tag[s] >> tag_bit) & 1, slot = filled[side]++;
            kh_bucket *target = kh_bucket_at(ix, to->segment[side], i);
            target->tag[slot] = b->tag[s];
            target->record[slot] = b->record[s];
        }
        to->cnt[0] += filled[0];
        to->cnt[1] += filled[1];
    }
    for (uint32_t i = 0; i < KH_SEGMENT_BUCKETS; i++) {
        const kh_bucket *b = &from->bucket[i];
        uint32_t guests = b->overflow >> KH_FILTER_BITS;
        if (!renew && guests == 0) continue;
        for (uint32_t s = 0; s < KH_BUCKET_SLOTS; s++)
            if (b->record[s] != 0 && (renew || (guests >> s & 1) != 0) && !place_by_key(ix, to, b->record[s])) return false;
    }
    return true;
}

static void double_directory(kh_index *ix)
{
    uint32_t *directory = kh_row(ix->state, KH_REGION_INDEX_DIRECTORY, 0);
    uint64_t cnt = UINT64_C(1) << ix->head->depth;
    memcpy(directory + cnt, directory, cnt * sizeof *directory);
    ix->head->depth++;
    /* partner: whoever looks ahead of the rows in use (kh_state_populate) */
    __atomic_store_n(&ix->state->regions[KH_REGION_INDEX_DIRECTORY].row_cnt, cnt * 2, __ATOMIC_RELAXED);
    __atomic_store_n(&ix->directory_mask, cnt * 2 - 1, __ATOMIC_RELEASE);
}

/* split replaces the segment of `hash` by two. False when there is no room; then nothing has changed for readers. */
static bool split(kh_index *ix, uint64_t hash)
{
    uint32_t old = kh_directory_get(ix, hash, ix->directory_mask) & KH_SEGMENT_MASK, depth = ix->info[old].depth;
    uint64_t prefix = hash & ((UINT64_C(1) << depth) - 1);
    if (depth == ix->head->depth &&
        (depth == KH_DEPTH_MAX || UINT64_C(2) << depth > ix->state->regions[KH_REGION_INDEX_DIRECTORY].row_max))
        return false;
    halves to = {.segment = {KH_SEGMENT_NONE, KH_SEGMENT_NONE}, .window = (depth + 1) / KH_WINDOW_BITS, .bit = depth};
    bool done = true;
    for (uint32_t i = 0; i < 2; i++) {
        to.segment[i] = kh_index_segment_take(ix);
        done = done && to.segment[i] != KH_SEGMENT_NONE;
    }
    done = done && copy_halves(ix, &ix->segments[old], &to, to.window != depth / KH_WINDOW_BITS);
    if (!done) {
        for (uint32_t i = 0; i < 2; i++)
            if (to.segment[i] != KH_SEGMENT_NONE) free_segment(ix, to.segment[i]);
        return false;
    }
    if (depth == ix->head->depth) double_directory(ix);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t half = prefix | (uint64_t)i << depth;
        ix->info[to.segment[i]] =
            (kh_segment_info){.entry_cnt = to.cnt[i], .entry_limit = kh_index_segment_limit(half, depth + 1), .depth = depth + 1};
        uint32_t entry = to.segment[i] | to.window << KH_WINDOW_SHIFT,
                 *directory = kh_row(ix->state, KH_REGION_INDEX_DIRECTORY, 0);
        for (uint64_t at = half; at <= ix->directory_mask; at += UINT64_C(2) << depth)
            __atomic_store_n(&directory[at], entry, __ATOMIC_RELEASE);
    }
    free_segment(ix, old);
    return true;
}

kh_err kh_index_put(kh_index *ix, uint32_t record)
{
    uint64_t hash = ix->lookup.hash(&ix->key, &ix->records[record].key);
    for (bool may_split = true;;) {
        uint32_t entry = kh_directory_get(ix, hash, ix->directory_mask), segment = entry & KH_SEGMENT_MASK;
        kh_segment_info *info = &ix->info[segment];
        /* At its limit a segment splits; where it cannot, it takes more until a place is really missing. */
        if (KH_UNLIKELY(info->entry_cnt >= info->entry_limit) && may_split) {
            may_split = split(ix, hash);
            if (may_split) continue;
        }
        if (place(ix, segment, hash, kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT), record)) {
            info->entry_cnt++;
            ix->head->entry_cnt++;
            return KH_OK;
        }
        if (!may_split || !split(ix, hash)) return KH_E_FULL;
    }
}

/* slot_of finds the slot that holds a record which is present. */
static kh_bucket *slot_of(const kh_index *ix, uint32_t record, uint32_t *ret_segment, uint32_t *ret_slot)
{
    uint64_t hash = ix->lookup.hash(&ix->key, &ix->records[record].key);
    uint32_t segment = kh_directory_get(ix, hash, ix->directory_mask) & KH_SEGMENT_MASK;
    for (uint32_t i = 0; i <= KH_NEIGHBOURS; i++) {
        kh_bucket *b = kh_bucket_at(ix, segment, kh_hash_bucket(hash) + i);
        for (uint32_t s = 0; s < KH_BUCKET_SLOTS; s++)
            if (b->record[s] == record) {
                *ret_segment = segment;
                *ret_slot = s;
                return b;
            }
    }
    bool record_is_in_the_map = false;
    KH_ASSERT(record_is_in_the_map);
    return NULL;
}

void kh_index_swap(kh_index *ix, uint32_t old_record, uint32_t new_record)
{
    uint32_t segment, slot;
    KH_ASSERT(kh_key_equal(&ix->records[old_record].key, &ix->records[new_record].key));
    kh_bucket *b = slot_of(ix, old_record, &segment, &slot);
    __atomic_store_n(&b->record[slot], new_record, __ATOMIC_RELEASE);
}

void kh_index_remove(kh_index *ix, uint32_t record)
{
    uint32_t segment, slot;
    kh_bucket *b = slot_of(ix, record, &segment, &slot);
    __atomic_store_n(&b->record[slot], 0, __ATOMIC_RELEASE);
    __atomic_store_n(&b->overflow, b->overflow & ~(UINT32_C(1) << (KH_FILTER_BITS + slot)), __ATOMIC_RELAXED);
    ix->info[segment].entry_cnt--;
    ix->head->entry_cnt--;
}
