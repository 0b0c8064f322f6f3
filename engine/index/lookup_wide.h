/* lookup_wide: the same three stages with AVX-512 and VAES: four keys are hashed at once, a bucket is one register, and a group's
 * keys are compared four at a time. About 25 instructions a key. */
#ifndef KH_INDEX_LOOKUP_WIDE_H
#define KH_INDEX_LOOKUP_WIDE_H

#include "index/lookup_group.h"

typedef struct group {
    _Alignas(64) uint64_t offset[GROUP]; /* of the bucket, from the first segment */
    _Alignas(64) uint32_t record[GROUP];
    _Alignas(64) uint32_t filter[GROUP]; /* its bit in the overflow word */
    _Alignas(32) uint16_t tag[GROUP];
    _Alignas(64) uint32_t matched[GROUP];
    uint32_t overflow[GROUP];
    uint32_t again; /* after stage_compare, bit i: if record[i] is not the one sought, a second look is needed */
} group;

/* The low halves of the hashes of eight keys, in their order. */
static inline __attribute__((always_inline)) __m512i hash_eight(const __m512i round[5], const kh_key keys[8])
{
    const __m512i low = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    __m512i a = _mm512_xor_si512(_mm512_loadu_si512(keys), round[0]),
            b = _mm512_xor_si512(_mm512_loadu_si512(keys + 4), round[0]);
    for (int r = 1; r < 5; r++) {
        a = _mm512_aesenc_epi128(a, round[r]);
        b = _mm512_aesenc_epi128(b, round[r]);
    }
    return _mm512_permutex2var_epi64(a, low, b);
}

static inline __attribute__((always_inline)) int entry(const kh_index *ix, uint64_t at)
{
    return (int)__atomic_load_n(&ix->directory[at], __ATOMIC_ACQUIRE);
}

static inline __attribute__((always_inline)) void stage_hash(const kh_index *ix, const kh_key keys[GROUP], uint64_t mask,
                                                             group *g, bool near)
{
    const uint8_t *base = (const uint8_t *)ix->segments;
    __m512i round[5];
    for (int r = 0; r < 5; r++) round[r] = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)ix->key.round[r]));
    for (uint32_t half = 0; half < GROUP; half += 8) {
        _Alignas(64) uint64_t at[8];
        __m512i hash = hash_eight(round, keys + half);
        _mm512_store_si512(at, _mm512_and_si512(hash, _mm512_set1_epi64((long long)mask)));
        __m512i e =
            _mm512_cvtepu32_epi64(_mm256_setr_epi32(entry(ix, at[0]), entry(ix, at[1]), entry(ix, at[2]), entry(ix, at[3]),
                                                    entry(ix, at[4]), entry(ix, at[5]), entry(ix, at[6]), entry(ix, at[7])));
        __m512i segment = _mm512_slli_epi64(_mm512_and_si512(e, _mm512_set1_epi64(KH_SEGMENT_MASK)), 16);
        __m512i bucket = _mm512_and_si512(_mm512_srli_epi64(hash, 48 - 6), _mm512_set1_epi64((KH_SEGMENT_BUCKETS - 1) * 64));
        _mm512_store_si512(g->offset + half, _mm512_add_epi64(segment, bucket));
        for (uint32_t i = half; i < half + 8; i++) fetch(base + g->offset[i], near);
        __m512i window = _mm512_slli_epi64(_mm512_srli_epi64(e, KH_WINDOW_SHIFT), 3);
        _mm_store_si128((__m128i *)(g->tag + half), _mm512_cvtepi64_epi16(_mm512_srlv_epi64(hash, window)));
        __m512i filter = _mm512_srli_epi64(_mm512_mullo_epi64(_mm512_srli_epi64(hash, 58), _mm512_set1_epi64(KH_FILTER_BITS)), 6);
        filter = _mm512_sllv_epi64(_mm512_set1_epi64(1), filter);
        _mm256_store_si256((__m256i *)(g->filter + half), _mm512_cvtepi64_epi32(filter));
    }
}

static inline __attribute__((always_inline)) void stage_match(const kh_index *ix, group *g, bool near)
{
    const uint8_t *base = (const uint8_t *)ix->segments;
    for (uint32_t i = 0; i < GROUP; i++) {
        const kh_bucket *b = (const kh_bucket *)(base + g->offset[i]);
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
}

/* fetch_neighbours: the bucket after those that need a second look; one word at a time, for the reason below. */
static inline __attribute__((always_inline)) void fetch_neighbours(const kh_index *ix, const group *g, bool near)
{
    for (uint32_t i = 0; i < GROUP; i++)
        if ((g->overflow[i] & g->filter[i]) != 0) fetch((const uint8_t *)ix->segments + g->offset[i] + 64, near);
}

/* Vectors over what stage_match stored word by word are loaded here only: there the stores would still be on their way. */
static inline __attribute__((always_inline)) uint32_t stage_compare(const kh_index *ix, const kh_key keys[GROUP], group *g)
{
    uint32_t halves = 0;
    for (uint32_t i = 0; i < GROUP; i += 4) {
        __m512i k = _mm512_castsi128_si512(_mm_load_si128((const __m128i *)ix->records[g->record[i]].key.b));
        k = _mm512_inserti64x2(k, _mm_load_si128((const __m128i *)ix->records[g->record[i + 1]].key.b), 1);
        k = _mm512_inserti64x2(k, _mm_load_si128((const __m128i *)ix->records[g->record[i + 2]].key.b), 2);
        k = _mm512_inserti64x2(k, _mm_load_si128((const __m128i *)ix->records[g->record[i + 3]].key.b), 3);
        halves |= (uint32_t)_mm512_cmpeq_epi64_mask(k, _mm512_loadu_si512(keys + i)) << (2 * i);
    }
    __m512i rec = _mm512_load_si512(g->record), m = _mm512_load_si512(g->matched);
    __m512i more = _mm512_and_si512(m, _mm512_sub_epi32(m, _mm512_set1_epi32(1)));
    __m512i displaced = _mm512_and_si512(_mm512_load_si512(g->overflow), _mm512_load_si512(g->filter));
    g->again = _mm512_test_epi32_mask(_mm512_or_si512(more, displaced), _mm512_or_si512(more, displaced));
    uint32_t hits = _pext_u32(halves & (halves >> 1), 0x55555555) & _mm512_test_epi32_mask(rec, rec);
    _mm512_store_si512(g->record, _mm512_maskz_mov_epi32((__mmask16)hits, rec));
    return hits;
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
