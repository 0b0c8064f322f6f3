/* lookup_vaes: the three stages with AVX2 and VAES: two keys are hashed at once, and a group's keys are worked on four at a time.
 * About 30 instructions a key.
 *
 * Whether a second look is needed is asked only of a group that misses something, from the bucket as it is then: newer than what
 * was matched, so a key that a put had left there before the look-up began is either matched, or found by the second look. */
#ifndef KH_INDEX_LOOKUP_VAES_H
#define KH_INDEX_LOOKUP_VAES_H

#include "index/lookup_group.h"

enum { AHEAD_MATCH = 8, AHEAD_COMPARE = 14 }; /* turns after a group was hashed */

struct group {
    _Alignas(64) uint64_t offset[GROUP]; /* of the bucket, from the first segment */
    _Alignas(64) uint64_t hash[GROUP];
    _Alignas(64) uint64_t tag[GROUP];    /* in the low 16 bits */
    _Alignas(64) uint64_t record[GROUP]; /* its offset from the null record */
    uint32_t again; /* after stage_compare, bit i: if record[i] is not the one sought, a second look is needed */
};

static inline __attribute__((always_inline)) __m256i all_four(uint64_t v) { return _mm256_set1_epi64x((long long)v); }

/* The low halves of the hashes of four keys, in their order. */
static inline __attribute__((always_inline)) __m256i hash_four(const __m256i round[5], const kh_key keys[4])
{
    __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)keys), round[0]),
            b = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(keys + 2)), round[0]);
    for (int r = 1; r < 5; r++) {
        a = _mm256_aesenc_epi128(a, round[r]);
        b = _mm256_aesenc_epi128(b, round[r]);
    }
    return _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), 0xd8);
}

static inline __attribute__((always_inline)) __m256i entries(const kh_index *ix, __m256i at)
{
    __m128i low = _mm256_castsi256_si128(at), high = _mm256_extracti128_si256(at, 1);
    uint32_t e[4] = {__atomic_load_n(&ix->directory[_mm_cvtsi128_si64(low)], __ATOMIC_ACQUIRE),
                     __atomic_load_n(&ix->directory[_mm_extract_epi64(low, 1)], __ATOMIC_ACQUIRE),
                     __atomic_load_n(&ix->directory[_mm_cvtsi128_si64(high)], __ATOMIC_ACQUIRE),
                     __atomic_load_n(&ix->directory[_mm_extract_epi64(high, 1)], __ATOMIC_ACQUIRE)};
    return _mm256_cvtepu32_epi64(_mm_setr_epi32((int)e[0], (int)e[1], (int)e[2], (int)e[3]));
}

static inline __attribute__((always_inline)) void stage_hash(const kh_index *ix, const kh_key keys[GROUP], uint64_t mask,
                                                             group *g, bool near)
{
    const uint8_t *base = (const uint8_t *)ix->segments;
    __m256i round[5];
    for (int r = 0; r < 5; r++) round[r] = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)ix->key.round[r]));
    for (uint32_t i = 0; i < GROUP; i += 4) {
        __m256i hash = hash_four(round, keys + i), e = entries(ix, _mm256_and_si256(hash, all_four(mask)));
        __m256i segment = _mm256_slli_epi64(_mm256_and_si256(e, all_four(KH_SEGMENT_MASK)), 16);
        __m256i bucket = _mm256_and_si256(_mm256_srli_epi64(hash, 48 - 6), all_four((KH_SEGMENT_BUCKETS - 1) * 64));
        _mm256_store_si256((__m256i *)(g->offset + i), _mm256_add_epi64(segment, bucket));
        for (uint32_t k = i; k < i + 4; k++) fetch(base + g->offset[k], near);
        __m256i window = _mm256_slli_epi64(_mm256_srli_epi64(e, KH_WINDOW_SHIFT), 3);
        _mm256_store_si256((__m256i *)(g->tag + i), _mm256_srlv_epi64(hash, window));
        _mm256_store_si256((__m256i *)(g->hash + i), hash);
    }
}

static inline __attribute__((always_inline)) const kh_bucket *bucket_of(const kh_index *ix, const group *g, uint32_t i)
{
    return (const kh_bucket *)((const uint8_t *)ix->segments + g->offset[i]);
}

static inline __attribute__((always_inline)) void stage_match(const kh_index *ix, group *g, bool near)
{
    enum { LAST = 2 * (KH_BUCKET_SLOTS - 1) };
    for (uint32_t i = 0; i < GROUP; i++) {
        const kh_bucket *b = bucket_of(ix, g, i);
        __m256i same = _mm256_cmpeq_epi16(_mm256_load_si256((const __m256i *)b), _mm256_set1_epi16((short)g->tag[i]));
        uint32_t m = (uint32_t)_mm256_movemask_epi8(same) & 0xfffff; /* two bits a slot */
        /* No match reads the last slot and drops it; a mask, so that no branch is made of it. */
        uint32_t twice = (uint32_t)__builtin_ctz(m | 1 << LAST), kept = (uint32_t) - (int32_t)(m != 0);
        uint64_t rec = (uint64_t)(kh_slot_get(b, twice / 2) & kept) * sizeof(kh_record);
        fetch((const uint8_t *)ix->records + rec, near);
        g->record[i] = rec;
    }
}

static inline __attribute__((always_inline)) bool displaced(const kh_index *ix, const group *g, uint32_t i)
{
    return (__atomic_load_n(&bucket_of(ix, g, i)->overflow, __ATOMIC_ACQUIRE) & kh_hash_filter(g->hash[i])) != 0;
}

/* fetch_neighbours: the bucket after those that need a second look. */
static inline __attribute__((always_inline)) void fetch_neighbours(const kh_index *ix, const group *g, bool near)
{
    for (uint32_t i = 0; i < GROUP; i++)
        if (displaced(ix, g, i)) fetch(bucket_of(ix, g, i) + 1, near);
}

static inline __attribute__((always_inline)) __m256i keys_of(const kh_index *ix, const uint64_t record[2])
{
    const uint8_t *records = (const uint8_t *)ix->records;
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128((const __m128i *)(records + record[0]))),
                                   _mm_load_si128((const __m128i *)(records + record[1])), 1);
}

/* stage_compare returns which of the group are present, and sets g->record to 0 for the others. */
static inline __attribute__((always_inline)) uint32_t stage_compare(const kh_index *ix, const kh_key keys[GROUP], group *g)
{
    uint32_t missing = 0, again = 0;
    for (uint32_t i = 0; i < GROUP; i += 4) {
        __m256i a = _mm256_cmpeq_epi64(keys_of(ix, g->record + i), _mm256_loadu_si256((const __m256i *)(keys + i)));
        __m256i b = _mm256_cmpeq_epi64(keys_of(ix, g->record + i + 2), _mm256_loadu_si256((const __m256i *)(keys + i + 2)));
        __m256i same = _mm256_and_si256(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        __m256i *record = (__m256i *)(g->record + i), found = _mm256_and_si256(_mm256_permute4x64_epi64(same, 0xd8), *record);
        _mm256_store_si256(record, found);
        missing |= (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(found, _mm256_setzero_si256()))) << i;
    }
    if (missing != 0) /* a tag that matches may stand before the one that is meant */
        for (uint32_t i = 0; i < GROUP; i++)
            again |= ((uint32_t)(match_tags(bucket_of(ix, g, i), (uint16_t)g->tag[i]) != 0) | (uint32_t)displaced(ix, g, i)) << i;
    g->again = again;
    return missing ^ ((UINT32_C(1) << GROUP) - 1);
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
    const __m256i null = all_four((uintptr_t)ix->records);
    for (uint32_t i = 0; i + 4 <= cnt; i += 4)
        _mm256_storeu_si256((__m256i *)(ret + i), _mm256_add_epi64(_mm256_load_si256((const __m256i *)(g->record + i)), null));
    for (uint32_t i = cnt & ~3u; i < cnt; i++) ret[i] = ix->records + g->record[i] / sizeof(kh_record);
}

static inline __attribute__((always_inline)) void give_numbers(const group *g, uint32_t cnt, uint32_t ret[])
{
    for (uint32_t i = 0; i < cnt; i++) ret[i] = (uint32_t)(g->record[i] / sizeof(kh_record));
}

#endif
