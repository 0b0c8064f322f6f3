/* prepare: memory made ready for what a benchmark will add, as an operator's hub has it (prepare_financings). */
#ifndef KH_BENCH_PREPARE_H
#define KH_BENCH_PREPARE_H
#include "store/store.h"
#include <unistd.h>

#define PREPARED_PER_S 1600000 /* financings a second of a run, more than come */

/* prepare waits until it is ready; a machine that has not so much goes on without. */
static inline void prepare(kh_store *s, double seconds)
{
    kh_store_stats stats;
    if (kh_store_prepare(s, 0, (uint64_t)(seconds * PREPARED_PER_S)) != KH_OK) return;
    do {
        (void)usleep(20000);
        kh_store_get_stats(s, &stats);
    } while (stats.unprepared_bytes != 0);
}
#endif
