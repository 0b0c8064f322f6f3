/* index_limit: what the machine itself can do: random reads without any look-up around them.
 *
 * raw1 reads one random line; raw2 a random line of one array, whose content picks a random line of another: the ideal of a
 * look-up that touches a bucket and a record. Both prefetch `ahead`, into L1 or L2. */
#ifndef KH_BENCH_INDEX_LIMIT_H
#define KH_BENCH_INDEX_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct limit_arrays {
    const uint8_t *first, *second; /* lines of 64 bytes */
    uint64_t first_cnt, second_cnt;
} limit_arrays;

/* Both return a sum that the caller must use. */
uint64_t limit_raw1(const limit_arrays *a, uint64_t reads, uint64_t seed, bool to_l2);
uint64_t limit_raw2(const limit_arrays *a, uint64_t reads, uint64_t seed, bool to_l2);

#endif
