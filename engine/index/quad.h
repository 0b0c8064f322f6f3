/* quad: kh_quad_load and kh_quad_store without a call, for loops that read many records and for the applier. The same accesses as
 * index.h's. */
#ifndef KH_INDEX_QUAD_H
#define KH_INDEX_QUAD_H
#include "index/index.h"

#if defined(__SANITIZE_THREAD__)
#define KH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KH_TSAN 1
#endif
#endif

#if defined(__AVX__) && !defined(KH_TSAN)
#include <immintrin.h>

static inline kh_quad kh_quad_peek(const kh_record *rec)
{
    __m128i v;
    kh_quad quad;
    __asm__ volatile("vmovdqa %1, %0" : "=x"(v) : "m"(rec->quad) : "memory");
    memcpy(&quad, &v, sizeof quad);
    return quad;
}
static inline void kh_quad_poke_words(kh_record *rec, uint64_t low, uint64_t high)
{
    __m128i v = _mm_set_epi64x((long long)high, (long long)low);
    __asm__ volatile("vmovdqa %1, %0" : "=m"(rec->quad) : "x"(v) : "memory");
}
#else
static inline void kh_quad_poke_words(kh_record *rec, uint64_t low, uint64_t high) { kh_quad_store_words(rec, low, high); }
static inline kh_quad kh_quad_peek(const kh_record *rec) { return kh_quad_load(rec); }
#endif
static inline void kh_quad_poke(kh_record *rec, kh_quad quad) { kh_quad_poke_words(rec, quad.taken, kh_quad_high(quad)); }
#endif
