/* keys: of the documents that senders ask for, made before anything is measured: to hash a number is the asker's work. */
#ifndef KH_BENCH_KEYS_H
#define KH_BENCH_KEYS_H
#include "../tests/unit/store_ops.h"

/* keys_make: malloc'ed, of documents 0 to cnt - 1. */
static inline kh_key *keys_make(uint32_t cnt)
{
    kh_key *keys = malloc(((size_t)cnt + 1) * sizeof *keys);
    if (keys == NULL) abort();
    for (uint32_t i = 0; i < cnt; i++) keys[i] = ops_key(i);
    return keys;
}
#endif
