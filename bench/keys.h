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

static inline uint32_t keys_place(uint32_t cnt, uint64_t id)
{
    id = (id ^ id >> 31) * UINT64_C(0x9E3779B97F4A7C15);
    id = (id ^ id >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)((id >> 32) * cnt >> 32);
}

/* keys_of: the key for an id, as good as random. Who goes through ids in turn does not wait for the table's memory: that of the
 * one 16 further is fetched meanwhile. */
static inline kh_key keys_of(const kh_key *keys, uint32_t cnt, uint64_t id)
{
    __builtin_prefetch(&keys[keys_place(cnt, id + 16)]);
    return keys[keys_place(cnt, id)];
}
#endif
