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

typedef struct lane { /* a text: whole blocks where they lie, then the rest, padded */
    __m128i abef, cdgh;
    const uint8_t *p;
    size_t whole, left; /* blocks that lie there still; all that are to be done */
    const uint8_t *end;
    uint8_t *ret;
    uint8_t rest[128];
} lane;

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

WITH_SHA __attribute__((always_inline)) static inline __m128i swapped(__m128i words)
{
    return _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
}

/* Words 4g to 4g+3 of the schedule, and their four rounds. */
WITH_SHA __attribute__((always_inline)) static inline void rounds(__m128i *abef, __m128i *cdgh, __m128i w[4],
                                                                  const uint8_t *block, int g)
{
    if (g < 4) w[g] = swapped(_mm_loadu_si128((const __m128i *)(block + (size_t)16 * (size_t)g)));
    else {
        __m128i before = w[(g + 3) & 3], sum = _mm_alignr_epi8(before, w[(g + 2) & 3], 4);
        sum = _mm_add_epi32(sum, _mm_sha256msg1_epu32(w[g & 3], w[(g + 1) & 3]));
        w[g & 3] = _mm_sha256msg2_epu32(sum, before);
    }
    __m128i m = _mm_add_epi32(w[g & 3], _mm_load_si128((const __m128i *)(round_k + (size_t)4 * (size_t)g)));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, m);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(m, 0x0e));
}

static const uint8_t *block_next(lane *l)
{
    if (l->whole > 0) {
        const uint8_t *block = l->p;
        l->p += 64;
        l->whole--;
        l->left--;
        return block;
    }
    return l->end - 64 * l->left--;
}

/* The next block of each. */
WITH_SHA static void step(lane *x, lane *y)
{
    const uint8_t *a = block_next(x), *b = block_next(y);
    __m128i x0 = x->abef, x1 = x->cdgh, y0 = y->abef, y1 = y->cdgh, wx[4], wy[4];
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
        rounds(&x0, &x1, wx, a, g);
        rounds(&y0, &y1, wy, b, g);
    }
    x->abef = _mm_add_epi32(x->abef, x0), x->cdgh = _mm_add_epi32(x->cdgh, x1);
    y->abef = _mm_add_epi32(y->abef, y0), y->cdgh = _mm_add_epi32(y->cdgh, y1);
}

WITH_SHA static void begin(lane *l, const kh_sha256_text *of)
{
    size_t left = of->n % 64, rest = left < 56 ? 64 : 128;
    uint64_t bits = __builtin_bswap64((uint64_t)of->n * 8);
    l->abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85u, 0x510e527f, (int)0x9b05688cu);
    l->cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53au, 0x1f83d9ab, 0x5be0cd19);
    l->p = of->p;
    l->whole = of->n / 64;
    l->left = l->whole + rest / 64;
    l->end = l->rest + rest;
    l->ret = of->ret;
    memset(l->rest, 0, rest);
    if (left > 0) memcpy(l->rest, l->p + 64 * l->whole, left);
    l->rest[left] = 0x80;
    memcpy(l->rest + rest - 8, &bits, 8);
}

WITH_SHA static void end(const lane *l)
{
    __m128i feba = _mm_shuffle_epi32(l->abef, 0x1b), dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)l->ret, swapped(_mm_blend_epi16(feba, dchg, 0xf0)));
    _mm_storeu_si128((__m128i *)(l->ret + 16), swapped(_mm_alignr_epi8(dchg, feba, 8)));
}

typedef struct queue {
    const kh_sha256_text *chain, *each;
    uint32_t chain_cnt, cnt;
} queue;

static bool next(queue *q, bool chained, lane *l)
{
    if (chained && q->chain_cnt > 0) begin(l, q->chain++), q->chain_cnt--;
    else if (q->cnt > 0) begin(l, q->each++), q->cnt--;
    else return false;
    return true;
}

/* The one that still has blocks when the other has no text any more goes beside nobody. */
WITH_SHA static void alone(queue *q, bool chained, lane *l)
{
    static const uint8_t nothing[128];
    lane nobody;
    do {
        while (l->left > 0) {
            nobody.abef = nobody.cdgh = _mm_setzero_si128();
            nobody.whole = 0;
            nobody.left = 1;
            nobody.end = nothing + sizeof nothing;
            step(l, &nobody);
        }
        end(l);
    } while (next(q, chained, l));
}

static void both(queue q)
{
    lane x, y;
    bool has_x = next(&q, true, &x), has_y = next(&q, false, &y);
    while (has_x && has_y) {
        for (size_t n = x.left < y.left ? x.left : y.left; n > 0; n--) step(&x, &y);
        if (x.left == 0) {
            end(&x);
            has_x = next(&q, true, &x);
        }
        if (y.left == 0) {
            end(&y);
            has_y = next(&q, false, &y);
        }
    }
    if (has_x) alone(&q, true, &x);
    if (has_y) alone(&q, false, &y);
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
typedef struct queue {
    const kh_sha256_text *chain, *each;
    uint32_t chain_cnt, cnt;
} queue;
static void both(queue q) { (void)q; }
#endif

static void one_by_one(const kh_sha256_text *texts, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++) kh_sha256(texts[i].p, texts[i].n, texts[i].ret);
}

void kh_sha256_beside(const kh_sha256_text *chain, uint32_t chain_cnt, const kh_sha256_text *texts, uint32_t cnt)
{
    if (cnt + chain_cnt > 1 && usable()) both((queue){chain, texts, chain_cnt, cnt});
    else {
        one_by_one(chain, chain_cnt);
        one_by_one(texts, cnt);
    }
}

void kh_sha256_each(const kh_sha256_text *texts, uint32_t cnt) { kh_sha256_beside(NULL, 0, texts, cnt); }
