/* lookup_narrow: the three stages of a group of keys on any processor; with AVX2 the tags of a bucket are matched at once. */
#ifndef KH_INDEX_LOOKUP_NARROW_H
#define KH_INDEX_LOOKUP_NARROW_H

#include "index/lookup_group.h"

enum { AHEAD_MATCH = 8, AHEAD_COMPARE = 14 }; /* turns after a group was hashed */

struct group {
    _Alignas(64) uint64_t offset[GROUP]; /* of the bucket, from the first segment */
    _Alignas(64) uint32_t record[GROUP];
    _Alignas(64) uint32_t filter[GROUP]; /* its bit in the overflow word */
    _Alignas(32) uint16_t tag[GROUP];
    uint32_t again; /* after stage_compare, bit i: if record[i] is not the one sought, a second look is needed */
};

static inline __attribute__((always_inline)) void stage_hash(const kh_index *ix, const kh_key keys[GROUP], uint64_t mask,
                                                             group *g, bool near)
{
    for (uint32_t i = 0; i < GROUP; i++) {
        uint64_t hash = hash_of(&ix->key, &keys[i]);
        uint32_t entry = kh_directory_get(ix, hash, mask);
        const kh_bucket *b = kh_bucket_at(ix, entry & KH_SEGMENT_MASK, kh_hash_bucket(hash));
        fetch(b, near);
        g->offset[i] = (uint64_t)((const uint8_t *)b - (const uint8_t *)ix->segments);
        g->tag[i] = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
        g->filter[i] = kh_hash_filter(hash);
    }
}

static inline __attribute__((always_inline)) void stage_match(const kh_index *ix, group *g, bool near)
{
    uint32_t again = 0;
    for (uint32_t i = 0; i < GROUP; i++) {
        const kh_bucket *b = (const kh_bucket *)((const uint8_t *)ix->segments + g->offset[i]);
        uint32_t m = match_tags(b, g->tag[i]);
        /* No match reads slot 0 and drops it; a mask, so that no branch is made of it. */
        uint32_t slot = (uint32_t)__builtin_ctz(m | 0x400), kept = (uint32_t) - (int32_t)(m != 0);
        uint32_t rec = kh_slot_get(b, slot & kept) & kept;
        fetch(&ix->records[rec], near);
        g->record[i] = rec;
        again |= (uint32_t)(((m & (m - 1)) | (__atomic_load_n(&b->overflow, __ATOMIC_ACQUIRE) & g->filter[i])) != 0) << i;
    }
    g->again = again;
}

/* fetch_neighbours: the bucket after those that need a second look. */
static inline __attribute__((always_inline)) void fetch_neighbours(const kh_index *ix, const group *g, bool near)
{
    for (uint32_t m = g->again; m != 0; m &= m - 1) fetch((const uint8_t *)ix->segments + g->offset[__builtin_ctz(m)] + 64, near);
}

/* stage_compare returns which of the group are present, and sets g->record to 0 for the others. */
static inline __attribute__((always_inline)) uint32_t stage_compare(const kh_index *ix, const kh_key keys[GROUP], group *g)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < GROUP; i++) {
        uint32_t rec = g->record[i], hit = (uint32_t)(key_is(&ix->records[rec], &keys[i]) & (rec != 0));
        g->record[i] = rec & (uint32_t) - (int32_t)hit;
        hits |= hit << i;
    }
    return hits;
}

/* stages: one turn of a look-up in bulk, as turn says. A bucket is fetched when its key is hashed. */
static inline __attribute__((always_inline)) uint32_t stages(const kh_index *ix, uint64_t mask, const turn *t)
{
    if (t->hash != NULL) stage_hash(ix, t->keys, mask, t->hash, false);
    if (t->match != NULL) stage_match(ix, t->match, false);
    return t->compare != NULL ? stage_compare(ix, t->sought, t->compare) : 0;
}

static inline __attribute__((always_inline)) void give_pointers(const kh_index *ix, const group *g, uint32_t cnt,
                                                                const kh_record *ret[])
{
    for (uint32_t i = 0; i < cnt; i++) ret[i] = &ix->records[g->record[i]];
}

static inline __attribute__((always_inline)) void give_numbers(const group *g, uint32_t cnt, uint32_t ret[])
{
    memcpy(ret, g->record, cnt * sizeof *ret);
}

#endif
