/* sorted: rows by a 16-byte key, for walks in key order; scratch is the caller's. Nothing here is visible outside engine/ledger.
 */
#ifndef KH_LEDGER_SORTED_H
#define KH_LEDGER_SORTED_H
#include "base/base.h"

typedef struct kh_sorted {
    uint64_t high, low; /* the key as big-endian words */
    uint64_t row;
} kh_sorted;
static inline kh_sorted kh_sorted_of(const uint8_t key[16], uint64_t row)
{
    return (kh_sorted){__builtin_bswap64(kh_load64(key)), __builtin_bswap64(kh_load64(key + 8)), row};
}
static inline bool kh_sorted_less(const kh_sorted *a, const kh_sorted *b)
{
    return a->high != b->high ? a->high < b->high : a->low < b->low;
}
void kh_sorted_sort(kh_sorted *items, size_t n);
#endif
