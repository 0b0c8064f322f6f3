/* lookup_wide: the same three stages with AVX-512 and VAES: four keys are hashed at once, a bucket is one register, and a group's
 * keys are compared four at a time. About 25 instructions a key. */
#ifndef KH_INDEX_LOOKUP_WIDE_H
#define KH_INDEX_LOOKUP_WIDE_H

#include "index/lookup_group.h"

enum { AHEAD_MATCH = 6, AHEAD_COMPARE = 12 }; /* turns after a group was hashed */

struct group {
    _Alignas(64) uint64_t offset[GROUP]; /* of the bucket, from the first segment */
    _Alignas(64) uint32_t record[GROUP];
    _Alignas(64) uint32_t filter[GROUP]; /* its bit in the overflow word */
    _Alignas(32) uint16_t tag[GROUP];
    _Alignas(64) uint32_t matched[GROUP];
    uint32_t overflow[GROUP];
    uint32_t again; /* after stage_compare, bit i: if record[i] is not the one sought, a second look is needed */
};

static inline __attribute__((always_inline)) __m256i all_four(uint64_t v) { return _mm256_set1_epi64x((long long)v); }

static inline __attribute__((always_inline)) int entry(const kh_index *ix, long long at)
{
    return (int)__atomic_load_n(&ix->directory[at], __ATOMIC_ACQUIRE);
}

/* Keys are worked on four at a time, from number q of a group on. */
static inline __attribute__((always_inline)) void hash_four(const kh_index *ix, const kh_key keys[GROUP], uint64_t mask, group *g,
                                                            uint32_t q)
{
    const __m512i low = _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6);
    const __m128i *round = (const __m128i *)ix->key.round;
    __m512i x = _mm512_xor_si512(_mm512_loadu_si512(keys + q), _mm512_broadcast_i32x4(_mm_load_si128(round)));
    for (int r = 1; r < 5; r++) x = _mm512_aesenc_epi128(x, _mm512_broadcast_i32x4(_mm_load_si128(round + r)));
    __m256i hash = _mm512_castsi512_si256(_mm512_permutexvar_epi64(low, x));
    __m256i at = _mm256_and_si256(hash, all_four(mask));
    __m128i front = _mm256_castsi256_si128(at), back = _mm256_extracti128_si256(at, 1);
    __m256i e = _mm256_cvtepu32_epi64(_mm_setr_epi32(entry(ix, _mm_cvtsi128_si64(front)), entry(ix, _mm_extract_epi64(front, 1)),
                                                     entry(ix, _mm_cvtsi128_si64(back)), entry(ix, _mm_extract_epi64(back, 1))));
    __m256i segment = _mm256_slli_epi64(_mm256_and_si256(e, all_four(KH_SEGMENT_MASK)), 16);
    __m256i bucket = _mm256_and_si256(_mm256_srli_epi64(hash, 48 - 6), all_four((KH_SEGMENT_BUCKETS - 1) * 64));
    _mm256_store_si256((__m256i *)(g->offset + q), _mm256_add_epi64(segment, bucket));
    __m256i window = _mm256_slli_epi64(_mm256_srli_epi64(e, KH_WINDOW_SHIFT), 3);
    _mm_storel_epi64((__m128i *)(g->tag + q), _mm256_cvtepi64_epi16(_mm256_srlv_epi64(hash, window)));
    __m256i filter = _mm256_srli_epi64(_mm256_mul_epu32(_mm256_srli_epi64(hash, 58), all_four(KH_FILTER_BITS)), 6);
    filter = _mm256_sllv_epi64(all_four(1), filter);
    _mm_store_si128((__m128i *)(g->filter + q), _mm256_cvtepi64_epi32(filter));
}

static inline __attribute__((always_inline)) void fetch_bucket(const kh_index *ix, const group *g, uint32_t i, bool near)
{
    fetch((const uint8_t *)ix->segments + g->offset[i], near);
}

static inline __attribute__((always_inline)) void match_one(const kh_index *ix, group *g, uint32_t i, bool near)
{
    const kh_bucket *b = (const kh_bucket *)((const uint8_t *)ix->segments + g->offset[i]);
    __m512i line = _mm512_load_si512(b);
    __mmask32 m = _mm512_mask_cmpeq_epi16_mask(0x3ff, line, _mm512_set1_epi16((short)g->tag[i]));
    /* Words 6 to 15 of the line are the numbers: the first whose tag matches moves to the front; none leaves 0. */
    __m512i front = _mm512_maskz_compress_epi32((__mmask16)(m << 6), line);
    uint32_t rec = (uint32_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(front));
    fetch(&ix->records[rec], near);
    g->record[i] = rec;
    g->matched[i] = m;
    g->overflow[i] = b->overflow;
}

/* compare_four gives two bits a key, of its halves. */
static inline __attribute__((always_inline)) uint32_t compare_four(const kh_index *ix, const kh_key keys[GROUP], const group *g,
                                                                   uint32_t q)
{
    __m512i k = _mm512_castsi128_si512(_mm_load_si128((const __m128i *)ix->records[g->record[q]].key.b));
    k = _mm512_inserti64x2(k, _mm_load_si128((const __m128i *)ix->records[g->record[q + 1]].key.b), 1);
    k = _mm512_inserti64x2(k, _mm_load_si128((const __m128i *)ix->records[g->record[q + 2]].key.b), 2);
    k = _mm512_inserti64x2(k, _mm_load_si128((const __m128i *)ix->records[g->record[q + 3]].key.b), 3);
    return (uint32_t)_mm512_cmpeq_epi64_mask(k, _mm512_loadu_si512(keys + q)) << (2 * q);
}

/* Vectors over what match_one stored word by word are loaded here only: there the stores would still be on their way. */
static inline __attribute__((always_inline)) uint32_t compared(group *g, uint32_t halves)
{
    __m512i rec = _mm512_load_si512(g->record), m = _mm512_load_si512(g->matched);
    __m512i more = _mm512_and_si512(m, _mm512_sub_epi32(m, _mm512_set1_epi32(1)));
    __m512i displaced = _mm512_and_si512(_mm512_load_si512(g->overflow), _mm512_load_si512(g->filter));
    g->again = _mm512_test_epi32_mask(_mm512_or_si512(more, displaced), _mm512_or_si512(more, displaced));
    uint32_t hits = _pext_u32(halves & (halves >> 1), 0x55555555) & _mm512_test_epi32_mask(rec, rec);
    _mm512_store_si512(g->record, _mm512_maskz_mov_epi32((__mmask16)hits, rec));
    return hits;
}

/* stages: one turn of a look-up in bulk, as turn says. Fetches, and the work that needs none, alternate: a core has only so many
   misses under way, and one that has come is room for the next; a stretch without fetches leaves that room empty. A bucket is
   fetched a turn after its key was hashed, so that no fetch waits for a hash. */
static inline __attribute__((always_inline)) uint32_t stages(const kh_index *ix, uint64_t mask, const turn *t)
{
    uint32_t halves = 0;
    for (uint32_t q = 0; q < GROUP; q += 4) {
        if (t->hash != NULL) hash_four(ix, t->keys, mask, t->hash, q);
        for (uint32_t i = q; i < q + 4; i++) {
            if (t->fetch != NULL) fetch_bucket(ix, t->fetch, i, false);
            if (t->match != NULL) match_one(ix, t->match, i, false);
        }
        if (t->compare != NULL) halves |= compare_four(ix, t->sought, t->compare, q);
    }
    return t->compare != NULL ? compared(t->compare, halves) : 0;
}

/* The stages alone, for flows. */
static inline __attribute__((always_inline)) void stage_hash(const kh_index *ix, const kh_key keys[GROUP], uint64_t mask,
                                                             group *g, bool near)
{
    for (uint32_t q = 0; q < GROUP; q += 4) hash_four(ix, keys, mask, g, q);
    for (uint32_t i = 0; i < GROUP; i++) fetch_bucket(ix, g, i, near);
}

static inline __attribute__((always_inline)) void stage_match(const kh_index *ix, group *g, bool near)
{
    for (uint32_t i = 0; i < GROUP; i++) match_one(ix, g, i, near);
}

static inline __attribute__((always_inline)) uint32_t stage_compare(const kh_index *ix, const kh_key keys[GROUP], group *g)
{
    uint32_t halves = 0;
    for (uint32_t q = 0; q < GROUP; q += 4) halves |= compare_four(ix, keys, g, q);
    return compared(g, halves);
}

/* fetch_neighbours: the bucket after those that need a second look; one word at a time, for the reason below. */
static inline __attribute__((always_inline)) void fetch_neighbours(const kh_index *ix, const group *g, bool near)
{
    for (uint32_t i = 0; i < GROUP; i++)
        if ((g->overflow[i] & g->filter[i]) != 0) fetch((const uint8_t *)ix->segments + g->offset[i] + 64, near);
}

static inline __attribute__((always_inline)) void give_pointers(const kh_index *ix, const group *g, uint32_t cnt,
                                                                const kh_record *ret[])
{
    uint32_t wanted = (UINT32_C(1) << cnt) - 1;
    for (uint32_t half = 0; half < GROUP; half += 8) {
        __m512i rec = _mm512_cvtepu32_epi64(_mm256_load_si256((const __m256i *)(g->record + half)));
        __m512i at = _mm512_add_epi64(_mm512_slli_epi64(rec, 6), _mm512_set1_epi64((long long)(uintptr_t)ix->records));
        _mm512_mask_storeu_epi64(ret + half, (__mmask8)(wanted >> half), at);
    }
}

static inline __attribute__((always_inline)) void give_numbers(const group *g, uint32_t cnt, uint32_t ret[])
{
    memcpy(ret, g->record, cnt * sizeof *ret);
}

#endif
