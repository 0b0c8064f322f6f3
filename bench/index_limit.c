/* index_limit: the calibration kernels. */
#include "index_limit.h"
#include <string.h>

enum { AHEAD = 32, RING = 128 };

static inline uint64_t next_random(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 32;
}

static inline const uint8_t *line(const uint8_t *base, uint64_t cnt, uint64_t random32)
{
    return base + (random32 * cnt >> 32) * 64;
}

static inline uint64_t word(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p + 24, sizeof v);
    return v;
}

static inline __attribute__((always_inline)) uint64_t raw1(const limit_arrays *a, uint64_t reads, uint64_t seed, int locality)
{
    const uint8_t *ring[RING];
    uint64_t sum = 0;
    for (uint64_t i = 0; i < reads + AHEAD; i++) {
        const uint8_t *now = ring[(i - AHEAD) % RING];
        const uint8_t *next = ring[i % RING] = line(a->second, a->second_cnt, next_random(&seed));
        if (locality == 3) __builtin_prefetch(next, 0, 3);
        else __builtin_prefetch(next, 0, 2);
        if (i >= AHEAD) sum += word(now);
    }
    return sum;
}

static inline __attribute__((always_inline)) uint64_t raw2(const limit_arrays *a, uint64_t reads, uint64_t seed, int locality)
{
    const uint8_t *firsts[RING], *seconds[RING];
    uint64_t sum = 0;
    for (uint64_t i = 0; i < reads + 2 * AHEAD; i++) {
        const uint8_t *next = firsts[i % RING] = line(a->first, a->first_cnt, next_random(&seed));
        if (locality == 3) __builtin_prefetch(next, 0, 3);
        else __builtin_prefetch(next, 0, 2);
        if (i < AHEAD) continue;
        uint64_t picked = (word(firsts[(i - AHEAD) % RING]) + i) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
        next = seconds[(i - AHEAD) % RING] = line(a->second, a->second_cnt, picked);
        if (locality == 3) __builtin_prefetch(next, 0, 3);
        else __builtin_prefetch(next, 0, 2);
        if (i >= 2 * AHEAD) sum += word(seconds[(i - 2 * AHEAD) % RING]);
    }
    return sum;
}

uint64_t limit_raw1(const limit_arrays *a, uint64_t reads, uint64_t seed, bool to_l2)
{
    return to_l2 ? raw1(a, reads, seed, 2) : raw1(a, reads, seed, 3);
}

uint64_t limit_raw2(const limit_arrays *a, uint64_t reads, uint64_t seed, bool to_l2)
{
    return to_l2 ? raw2(a, reads, seed, 2) : raw2(a, reads, seed, 3);
}
