/* dpdk: what the two halves of the DPDK front end share: the ports (dpdk_start.c) and the loop on them (dpdk.c). */
#ifndef KH_INGEST_DPDK_H
#define KH_INGEST_DPDK_H
#include <rte_mbuf.h>
#include "ingest/dpdk_args.h"
#include "ingest/front.h"

#define KH_DPDK_PORTS_MAX 8u

typedef struct kh_dpdk_port {
    uint16_t id;
    kh_frame_host host;
} kh_dpdk_port;

typedef struct kh_dpdk_front {
    const kh_front_options *o;
    uint32_t port_cnt;
    kh_dpdk_port ports[KH_DPDK_PORTS_MAX];
    struct rte_mempool *pools[KH_INGEST_POLLERS_MAX];
    kh_dpdk_args args;
} kh_dpdk_front;

kh_err kh_dpdk_open(const kh_front_options *options, char *why, size_t cap, void **ret);
void kh_dpdk_close(void *front);
#endif
