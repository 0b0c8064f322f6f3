/* network: what the two processes of bench_network share. */
#ifndef KH_BENCH_NETWORK_H
#define KH_BENCH_NETWORK_H
#include "crypto/aead.h"
#include "wire/query.h"

typedef struct network_run {
    const char *path; /* of the vhost-user socket; NULL: kernel sockets */
    uint32_t port, per, window, lane;
    bool plain;
    double seconds;
    uint64_t documents;
    uint8_t session[8], up[KH_AEAD_KEY_SZ], down[KH_AEAD_KEY_SZ];
} network_run;

int network_client(const network_run *run);
#endif
