/* digest_pairs: SHA-256 of many texts, two at a time. A step of it needs what the step before gave, and the processor's
 * instructions for it take several cycles each, so that one text leaves their unit idle half of the time; the steps of two, by
 * turns, fill it. */
#include "crypto/digest.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#define SHA __attribute__((target("sha,ssse3,sse4.1")))

enum { BLOCK_SZ = 64, LENGTH_SZ = 8 };

static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

typedef struct words { /* of a state or of a block, as the instructions want them */
    __m128i abef, cdgh;
} words;

typedef struct lane { /* a text on its way */
    words state;
    const uint8_t *at; /* its next whole block */
    size_t left;       /* whole blocks left there */
    uint8_t tail[2 * BLOCK_SZ];
    uint32_t tail_at, tail_n; /* blocks of the tail: what is over, and the padding */
    uint8_t *ret;
} lane;

SHA static void begin(lane *l, const kh_sha256_text *text)
{
    size_t over = text->n % BLOCK_SZ;
    uint64_t bits = __builtin_bswap64((uint64_t)text->n * 8);
    l->state.abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    l->state.cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    l->at = text->p;
    l->left = text->n / BLOCK_SZ;
    l->tail_at = 0;
    l->tail_n = over < BLOCK_SZ - LENGTH_SZ ? 1 : 2;
    l->ret = text->ret;
    memset(l->tail, 0, sizeof l->tail);
    if (over != 0) memcpy(l->tail, l->at + l->left * BLOCK_SZ, over);
    l->tail[over] = 0x80;
    memcpy(l->tail + l->tail_n * BLOCK_SZ - LENGTH_SZ, &bits, LENGTH_SZ);
}

static bool ended(const lane *l) { return l->tail_at == l->tail_n; }

static const uint8_t *next(lane *l)
{
    if (l->left == 0) return l->tail + BLOCK_SZ * (size_t)l->tail_at++;
    l->left--;
    l->at += BLOCK_SZ;
    return l->at - BLOCK_SZ;
}

SHA static __m128i swapped(__m128i x) { return _mm_shuffle_epi8(x, _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203)); }

SHA static void end(const lane *l)
{
    __m128i feba = _mm_shuffle_epi32(l->state.abef, 0x1b), dchg = _mm_shuffle_epi32(l->state.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)l->ret, swapped(_mm_blend_epi16(feba, dchg, 0xf0)));
    _mm_storeu_si128((__m128i *)(l->ret + 16), swapped(_mm_alignr_epi8(dchg, feba, 8)));
}

/* Step i of sixteen, four rounds each, of the state s; w: the sixteen words of the schedule in use, w[i % 4] the step's own. */
#define STEP(s, w, i)                                                                                                            \
    do {                                                                                                                         \
        if ((i) >= 4)                                                                                                            \
            w[(i) % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[(i) % 4], w[((i) + 1) % 4]),                  \
                                                            _mm_alignr_epi8(w[((i) + 3) % 4], w[((i) + 2) % 4], 4)),             \
                                              w[((i) + 3) % 4]);                                                                 \
        __m128i wk = _mm_add_epi32(w[(i) % 4], _mm_load_si128((const __m128i *)(constants + (size_t)4 * (i))));                  \
        s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, wk);                                                                      \
        s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(wk, 0x0e));                                             \
    } while (0)
#define FOUR(step, i)                                                                                                            \
    step(i);                                                                                                                     \
    step((i) + 1);                                                                                                               \
    step((i) + 2);                                                                                                               \
    step((i) + 3)
#define SIXTEEN(step)                                                                                                            \
    FOUR(step, 0);                                                                                                               \
    FOUR(step, 4);                                                                                                               \
    FOUR(step, 8);                                                                                                               \
    FOUR(step, 12)

SHA static void load(const uint8_t *p, __m128i w[4])
{
    for (uint32_t i = 0; i < 4; i++) w[i] = swapped(_mm_loadu_si128((const __m128i *)(p + (size_t)16 * i)));
}

SHA static void add(words *to, const words *more)
{
    to->abef = _mm_add_epi32(to->abef, more->abef);
    to->cdgh = _mm_add_epi32(to->cdgh, more->cdgh);
}

SHA static void block(lane *l)
{
    __m128i w[4];
    words s = l->state;
    load(next(l), w);
#define ONE(i) STEP(s, w, i)
    SIXTEEN(ONE);
    add(&l->state, &s);
}

SHA static void block_each(lane *l, lane *m)
{
    __m128i w[4], x[4];
    words s = l->state, t = m->state;
    load(next(l), w);
    load(next(m), x);
#define TWO(i)                                                                                                                   \
    STEP(s, w, i);                                                                                                               \
    STEP(t, x, i)
    SIXTEEN(TWO);
    add(&l->state, &s);
    add(&m->state, &t);
}

typedef struct queue { /* what waits for a lane */
    const kh_sha256_text *row, *others;
    size_t row_n, n;
} queue;

/* take begins the next text in the lane: of the row in the first one alone, where those before have ended. False: none. */
SHA static bool take(lane *l, queue *q, bool first)
{
    if (first && q->row_n != 0) {
        begin(l, q->row++);
        q->row_n--;
        return true;
    }
    if (q->n == 0) return false;
    begin(l, q->others++);
    q->n--;
    return true;
}

SHA static void pairs(queue q)
{
    lane lanes[2];
    bool busy[2] = {take(&lanes[0], &q, true), take(&lanes[1], &q, false)};
    while (busy[0] && busy[1]) {
        block_each(&lanes[0], &lanes[1]);
        for (uint32_t i = 0; i < 2; i++) {
            if (!ended(&lanes[i])) continue;
            end(&lanes[i]);
            busy[i] = take(&lanes[i], &q, i == 0);
        }
    }
    for (uint32_t i = 0; i < 2; i++)
        while (busy[i]) {
            block(&lanes[i]);
            if (!ended(&lanes[i])) continue;
            end(&lanes[i]);
            busy[i] = take(&lanes[i], &q, i == 0);
        }
}

/* Bit 29 of EBX of CPUID leaf 7: not every compiler's __builtin_cpu_supports knows its name. */
static bool has_sha(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
}

static bool usable(void)
{
    static _Atomic uint32_t known; /* 0: not looked yet; else 1 and whether */
    uint32_t is = atomic_load_explicit(&known, memory_order_relaxed);
    if (is == 0) {
        is = 1 + has_sha();
        atomic_store_explicit(&known, is, memory_order_relaxed); /* whoever looks finds the same */
    }
    return is == 2;
}
#endif

void kh_sha256_beside(const kh_sha256_text *row, size_t row_n, const kh_sha256_text *others, size_t n)
{
#if defined(__x86_64__)
    if (usable()) {
        pairs((queue){row, others, row_n, n});
        return;
    }
#endif
    for (size_t i = 0; i < row_n; i++) kh_sha256(row[i].p, row[i].n, row[i].ret);
    for (size_t i = 0; i < n; i++) kh_sha256(others[i].p, others[i].n, others[i].ret);
}
