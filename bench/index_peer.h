/* index_peer: other hash tables behind one face, for the index's benchmark. Keys of 16 bytes, a pointer each. */
#ifndef KH_BENCH_INDEX_PEER_H
#define KH_BENCH_INDEX_PEER_H

#include "base/base.h"

typedef struct index_peer {
    const char *name;
    bool (*open)(uint64_t entries);
    bool (*add)(const kh_key *key, void *value);
    /* n <= 64; returns how many are present */
    uint32_t (*bulk)(const kh_key keys[], uint32_t n, void *ret_values[]);
    void (*close)(void);
} index_peer;

extern const index_peer index_peer_rte_hash, index_peer_cds_lfht;

#endif
