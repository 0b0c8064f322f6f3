/* digest_two: SHA-256 of two texts beside each other. Each instruction that does two rounds waits for the one before it, so that
 * one text leaves the processor idle half of the time; a second one fits in between. Without those instructions: one by one. */
#include "crypto/digest.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

static const uint32_t round_k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

typedef struct lane {
    __m128i abef, cdgh, w[4];
} lane;

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3"), always_inline)) static inline

WITH_SHA void lane_load(lane *l, const uint32_t h[8])
{
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)h), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(h + 4)), 0x1b);
    l->abef = _mm_alignr_epi8(cdab, efgh, 8);
    l->cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

WITH_SHA void lane_store(const lane *l, uint32_t h[8])
{
    __m128i feba = _mm_shuffle_epi32(l->abef, 0x1b), dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Words 4g to 4g+3 of the schedule, and their four rounds. */
WITH_SHA void lane_rounds(lane *l, const uint8_t *block, int g)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *w = l->w;
    if (g < 4) w[g] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + (size_t)16 * (size_t)g)), swap);
    else {
        __m128i before = w[(g + 3) & 3], sum = _mm_alignr_epi8(before, w[(g + 2) & 3], 4);
        sum = _mm_add_epi32(sum, _mm_sha256msg1_epu32(w[g & 3], w[(g + 1) & 3]));
        w[g & 3] = _mm_sha256msg2_epu32(sum, before);
    }
    __m128i m = _mm_add_epi32(w[g & 3], _mm_load_si128((const __m128i *)(round_k + (size_t)4 * (size_t)g)));
    l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, m);
    l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(m, 0x0e));
}

__attribute__((target("sha,sse4.1,ssse3"))) static void two_blocks(uint32_t ha[8], const uint8_t *a, uint32_t hb[8],
                                                                   const uint8_t *b)
{
    lane x, y;
    lane_load(&x, ha);
    lane_load(&y, hb);
    __m128i x0 = x.abef, x1 = x.cdgh, y0 = y.abef, y1 = y.cdgh;
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
        lane_rounds(&x, a, g);
        lane_rounds(&y, b, g);
    }
    x.abef = _mm_add_epi32(x.abef, x0), x.cdgh = _mm_add_epi32(x.cdgh, x1);
    y.abef = _mm_add_epi32(y.abef, y0), y.cdgh = _mm_add_epi32(y.cdgh, y1);
    lane_store(&x, ha);
    lane_store(&y, hb);
}

typedef struct text { /* whole blocks where they lie, then the rest, padded */
    uint32_t h[8];
    const uint8_t *p;
    size_t whole, blocks;
    uint8_t rest[128];
} text;

static void text_begin(text *t, const kh_sha256_text *of)
{
    static const uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t left = of->n % 64, rest = left < 56 ? 64 : 128;
    uint64_t bits = __builtin_bswap64((uint64_t)of->n * 8);
    memcpy(t->h, h, sizeof h);
    t->p = of->p;
    t->whole = of->n / 64;
    t->blocks = t->whole + rest / 64;
    memset(t->rest, 0, sizeof t->rest);
    if (left > 0) memcpy(t->rest, t->p + of->n - left, left);
    t->rest[left] = 0x80;
    memcpy(t->rest + rest - 8, &bits, 8);
}

static const uint8_t *block_of(const text *t, size_t i) { return i < t->whole ? t->p + 64 * i : t->rest + 64 * (i - t->whole); }

static void text_end(const text *t, uint8_t ret[32])
{
    uint32_t words[8];
    for (int i = 0; i < 8; i++) words[i] = __builtin_bswap32(t->h[i]);
    memcpy(ret, words, sizeof words);
}

static void two(const kh_sha256_text *a, const kh_sha256_text *b)
{
    text x, y;
    text_begin(&x, a);
    text_begin(&y, b);
    size_t i = 0, both = x.blocks < y.blocks ? x.blocks : y.blocks;
    uint32_t nobody[8] = {0}; /* goes beside what one has more */
    for (; i < both; i++) two_blocks(x.h, block_of(&x, i), y.h, block_of(&y, i));
    for (size_t j = i; j < x.blocks; j++) two_blocks(x.h, block_of(&x, j), nobody, block_of(&x, j));
    for (size_t j = i; j < y.blocks; j++) two_blocks(y.h, block_of(&y, j), nobody, block_of(&y, j));
    text_end(&x, a->ret);
    text_end(&y, b->ret);
}

static bool usable(void)
{
    static atomic_int known; /* 0: not asked yet; asking is slow in a virtual machine */
    int state = atomic_load_explicit(&known, memory_order_relaxed);
    if (state == 0) {
        unsigned a, b, c, d;
        bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
        sha = sha && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
        state = sha ? 1 : 2;
        atomic_store_explicit(&known, state, memory_order_relaxed);
    }
    return state == 1;
}
#else
static bool usable(void) { return false; }
static void two(const kh_sha256_text *a, const kh_sha256_text *b) { (void)a, (void)b; }
#endif

void kh_sha256_each(const kh_sha256_text *texts, uint32_t cnt)
{
    uint32_t i = 0;
    if (cnt > 1 && usable())
        for (; i + 1 < cnt; i += 2) two(&texts[i], &texts[i + 1]);
    for (; i < cnt; i++) kh_sha256(texts[i].p, texts[i].n, texts[i].ret);
}
