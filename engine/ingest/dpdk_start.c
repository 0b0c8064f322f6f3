/* dpdk_start: starts EAL and its ports. A poller has one receive and one send queue of every port, and a pool of buffers of its
 * own, so that pollers share nothing; the device spreads clients over the queues by their addresses and ports (RSS) where it can.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include "ingest/dpdk.h"

#define RING_SZ 1024u       /* descriptors a queue */
#define POOL_PER_PORT 4096u /* buffers a queue: both rings full, a cache, a burst or two */

__attribute__((format(printf, 4, 5))) static kh_err failed(kh_err err, char *why, size_t cap, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(why, cap, format, list);
    va_end(list);
    return err;
}

static bool has_huge_pages(void)
{
    char line[128];
    unsigned long pages = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f != NULL && pages == 0 && fgets(line, sizeof line, f) != NULL) (void)sscanf(line, "HugePages_Free: %lu", &pages);
    if (f != NULL) (void)fclose(f);
    return pages > 0;
}

/* EAL binds the thread that starts it to one processor: that is undone. */
static kh_err start_eal(kh_dpdk_front *f, char *why, size_t cap)
{
    static atomic_flag started = ATOMIC_FLAG_INIT;
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0) return failed(KH_E_IO, why, cap, "DPDK: no processors");
    kh_dpdk_facts facts = {.huge_pages = has_huge_pages(), .pid = (int)getpid()};
    while (facts.cpu < CPU_SETSIZE - 1 && !CPU_ISSET(facts.cpu, &before)) facts.cpu++;
    if (!kh_dpdk_args_make(f->o->dpdk, &facts, &f->args)) return failed(KH_E_ARG, why, cap, "DPDK's arguments are too many");
    if (atomic_flag_test_and_set(&started)) return failed(KH_E_ARG, why, cap, "DPDK can be started once in a process");
    int rc = rte_eal_init(f->args.argc, f->args.argv);
    int error = rte_errno;
    (void)sched_setaffinity(0, sizeof before, &before);
    if (rc < 0) return failed(KH_E_IO, why, cap, "DPDK does not start with \"%s\": %s", f->o->dpdk, rte_strerror(error));
    return KH_OK;
}

static kh_err make_pools(kh_dpdk_front *f, uint32_t port_cnt, char *why, size_t cap)
{
    for (uint32_t q = 0; q < f->o->queue_cnt; q++) {
        char name[32];
        (void)snprintf(name, sizeof name, "kanhe_%u", q);
        f->pools[q] =
            rte_pktmbuf_pool_create(name, POOL_PER_PORT * port_cnt - 1, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
        if (f->pools[q] == NULL)
            return failed(KH_E_NOMEM, why, cap, "DPDK has no memory for %u buffers (-m): %s", POOL_PER_PORT * port_cnt,
                          rte_strerror(rte_errno));
    }
    return KH_OK;
}

/* Frames for groups must reach us where neighbours ask for an IPv6 address. */
static bool hears_groups(uint16_t id) { return rte_eth_allmulticast_enable(id) == 0 || rte_eth_promiscuous_enable(id) == 0; }

static kh_err start_port(kh_dpdk_front *f, uint16_t id, char *why, size_t cap)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {0};
    kh_dpdk_port *port = &f->ports[f->port_cnt];
    uint16_t queues = (uint16_t)f->o->queue_cnt, in_sz = RING_SZ, out_sz = RING_SZ;
    struct rte_ether_addr mac;
    if (rte_eth_dev_info_get(id, &info) != 0) return failed(KH_E_IO, why, cap, "DPDK port %u tells nothing of itself", id);
    if (strcmp(info.driver_name, "net_memif") == 0 && !f->o->trust_peers)
        return failed(KH_E_ARG, why, cap, "DPDK port %u is a net_memif, whose peer could crash kanhed by leaving: use net_vhost",
                      id);
    if (info.max_rx_queues < queues || info.max_tx_queues < queues)
        return failed(KH_E_ARG, why, cap, "DPDK port %u (%s) has %u queues in and %u out, pollers are %u", id, info.driver_name,
                      info.max_rx_queues, info.max_tx_queues, queues);
    uint64_t hashes = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    if (queues > 1 && hashes != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hashes;
    }
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    int rc = rte_eth_dev_configure(id, queues, queues, &conf);
    if (rc == 0) rc = rte_eth_dev_adjust_nb_rx_tx_desc(id, &in_sz, &out_sz);
    for (uint16_t q = 0; rc == 0 && q < queues; q++) {
        rc = rte_eth_rx_queue_setup(id, q, in_sz, (unsigned)rte_eth_dev_socket_id(id), NULL, f->pools[q]);
        if (rc == 0) rc = rte_eth_tx_queue_setup(id, q, out_sz, (unsigned)rte_eth_dev_socket_id(id), NULL);
    }
    if (rc == 0) rc = rte_eth_dev_start(id);
    if (rc == 0) rc = rte_eth_macaddr_get(id, &mac);
    if (rc != 0)
        return failed(KH_E_IO, why, cap, "DPDK port %u (%s) does not start: %s", id, info.driver_name, rte_strerror(-rc));
    port->id = id;
    port->host = (kh_frame_host){.port = f->o->port, .address_cnt = f->o->address_cnt};
    memcpy(port->host.mac, mac.addr_bytes, 6);
    memcpy(port->host.addresses, f->o->addresses, f->o->address_cnt * sizeof f->o->addresses[0]);
    f->port_cnt++;
    for (uint32_t i = 0; i < f->o->address_cnt; i++)
        if (f->o->addresses[i].family == 6 && !hears_groups(id))
            return failed(KH_E_IO, why, cap, "DPDK port %u (%s) cannot hear groups, which IPv6 needs", id, info.driver_name);
    return KH_OK;
}

void kh_dpdk_close(void *front)
{
    kh_dpdk_front *f = front;
    for (uint32_t i = 0; i < f->port_cnt; i++) {
        (void)rte_eth_dev_stop(f->ports[i].id);
        (void)rte_eth_dev_close(f->ports[i].id);
    }
    (void)rte_eal_cleanup();
    free(f);
}

kh_err kh_dpdk_open(const kh_front_options *o, char *why, size_t cap, void **ret)
{
    kh_dpdk_front *f = calloc(1, sizeof *f);
    if (f == NULL) return failed(KH_E_NOMEM, why, cap, "DPDK: no memory");
    f->o = o;
    kh_err err = start_eal(f, why, cap);
    if (err != KH_OK) {
        free(f);
        return err;
    }
    uint32_t port_cnt = rte_eth_dev_count_avail();
    if (port_cnt == 0 || port_cnt > KH_DPDK_PORTS_MAX) err = failed(KH_E_ARG, why, cap, "DPDK has %u ports: 1 to 8", port_cnt);
    if (err == KH_OK) err = make_pools(f, port_cnt, why, cap);
    for (uint64_t id = rte_eth_find_next(0); err == KH_OK && id < RTE_MAX_ETHPORTS; id = rte_eth_find_next((uint16_t)(id + 1)))
        err = start_port(f, (uint16_t)id, why, cap);
    if (err == KH_OK) *ret = f;
    else kh_dpdk_close(f);
    return err;
}
