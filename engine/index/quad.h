/* quad: kh_quad_load without a call, for loops that read many records. The same access as index.h's. */
#ifndef KH_INDEX_QUAD_H
#define KH_INDEX_QUAD_H
#include "index/index.h"
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
#else
static inline kh_quad kh_quad_peek(const kh_record *rec) { return kh_quad_load(rec); }
#endif
#endif
