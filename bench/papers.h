/* papers: the declarations that the benchmarks of datagrams store and ask about. */
#ifndef KH_BENCH_PAPERS_H
#define KH_BENCH_PAPERS_H
#include "wire/query.h"

enum { PAPERS_BANK = 11 }; /* the one party that is registered */

struct kh_store;
/* papers_store makes a store's machine by hand (no directory, no log, huge pages) and applies n declarations, of a thousand
 * owners. */
void papers_store(struct kh_store *store, uint64_t n);
/* papers_query: a question about declaration i that such a store answers OK. */
void papers_query(uint64_t i, kh_query *ret);
#endif
