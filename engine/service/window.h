/* window: which counters of a lane have been taken: each at most once, by any number of pollers at a time.
 *
 * A word holds 32 counters: their bits below, and above them which block of 16,384 counters they are of. Taking a counter is one
 * compare-and-swap on its word: of two copies one wins. A word that has gone on to a newer block refuses the older ones: a
 * counter is refused unseen only if one at least KH_WINDOW_LEAST above it was taken. Order: none is needed between words; the
 * swap is relaxed. */
#ifndef KH_SERVICE_WINDOW_H
#define KH_SERVICE_WINDOW_H
#include "wire/query.h"
#include <stdatomic.h>

#define KH_WINDOW_WORDS 512u
#define KH_WINDOW_LEAST (KH_WINDOW_WORDS * 32u - 31u)
_Static_assert(KH_WINDOW_LEAST >= 8192 && (KH_COUNTER_MAX >> 14) <= UINT32_MAX, "a block's number fits its half of the word");

typedef struct kh_window {
    _Atomic uint64_t word[KH_WINDOW_WORDS];
} kh_window;

typedef enum kh_taken { KH_TAKEN, KH_TAKEN_BEFORE, KH_TAKEN_TOO_OLD } kh_taken;

static inline kh_taken kh_window_take(kh_window *window, uint64_t counter)
{
    _Atomic uint64_t *word = &window->word[(counter >> 5) % KH_WINDOW_WORDS];
    uint64_t block = counter >> 14, bit = UINT64_C(1) << (counter & 31), seen = atomic_load_explicit(word, memory_order_relaxed),
             next;
    do {
        if ((seen >> 32) > block) return KH_TAKEN_TOO_OLD;
        if ((seen >> 32) == block && (seen & bit) != 0) return KH_TAKEN_BEFORE;
        next = (seen >> 32) == block ? seen | bit : block << 32 | bit;
    } while (!atomic_compare_exchange_weak_explicit(word, &seen, next, memory_order_relaxed, memory_order_relaxed));
    return KH_TAKEN;
}
#endif
