/* dpdk: the front end of DPDK ports. A poller has one receive and one send queue of every port, and a pool of buffers of its own,
 * so that pollers share nothing; the device spreads clients over the queues by their addresses and ports (RSS) where it can.
 *
 * A reply is written into the buffer that its request came in: the service turns the payload around, frame.c writes the headers
 * before it. Pollers are threads of ingest's own that register with EAL, which gives them a cache of every pool. */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include "ingest/dpdk_args.h"
#include "ingest/front.h"

#define PORTS_MAX 8u
#define RING_SZ 1024u         /* descriptors a queue */
#define POOL_PER_PORT 4096u   /* buffers a queue: both rings full, a cache, a burst or two */
#define DOZE_LEAST_NS 100000u /* a sleep between empty rounds; each one in a row is twice the last, up to */
#define DOZE_MOST_NS 1000000u
#define PAUSES 16u /* between two empty rounds */

typedef struct dpdk_port {
    uint16_t id;
    kh_frame_host host;
} dpdk_port;

typedef struct dpdk_front {
    const kh_front_options *o;
    uint32_t port_cnt;
    dpdk_port ports[PORTS_MAX];
    struct rte_mempool *pools[KH_INGEST_POLLERS_MAX];
    kh_dpdk_args args;
} dpdk_front;

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
static kh_err start_eal(dpdk_front *f, char *why, size_t cap)
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

static kh_err make_pools(dpdk_front *f, uint32_t port_cnt, char *why, size_t cap)
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

static kh_err start_port(dpdk_front *f, uint16_t id, char *why, size_t cap)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = {0};
    dpdk_port *port = &f->ports[f->port_cnt];
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

static void dpdk_close(void *front)
{
    dpdk_front *f = front;
    for (uint32_t i = 0; i < f->port_cnt; i++) {
        (void)rte_eth_dev_stop(f->ports[i].id);
        (void)rte_eth_dev_close(f->ports[i].id);
    }
    (void)rte_eal_cleanup();
    free(f);
}

static kh_err dpdk_open(const kh_front_options *o, char *why, size_t cap, void **ret)
{
    dpdk_front *f = calloc(1, sizeof *f);
    if (f == NULL) return failed(KH_E_NOMEM, why, cap, "DPDK: no memory");
    f->o = o;
    kh_err err = start_eal(f, why, cap);
    if (err != KH_OK) {
        free(f);
        return err;
    }
    uint32_t port_cnt = rte_eth_dev_count_avail();
    if (port_cnt == 0 || port_cnt > PORTS_MAX) err = failed(KH_E_ARG, why, cap, "DPDK has %u ports: 1 to 8", port_cnt);
    if (err == KH_OK) err = make_pools(f, port_cnt, why, cap);
    for (uint64_t id = rte_eth_find_next(0); err == KH_OK && id < RTE_MAX_ETHPORTS; id = rte_eth_find_next((uint16_t)(id + 1)))
        err = start_port(f, (uint16_t)id, why, cap);
    if (err == KH_OK) *ret = f;
    else dpdk_close(f);
    return err;
}

/* One burst of one queue of one port on its way through. */
typedef struct flight {
    const dpdk_port *port;
    kh_front_counters *counters;
    uint32_t in_cnt, out_cnt;
    kh_packet packets[KH_FRONT_BURST];
    struct rte_mbuf *in[KH_FRONT_BURST]; /* of packets */
    struct rte_mbuf *out[KH_FRONT_BURST];
} flight;

static void take(flight *t, struct rte_mbuf *m)
{
    kh_packet *packet = &t->packets[t->in_cnt];
    kh_frame_found found;
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t cap = (uint32_t)m->buf_len - m->data_off;
    kh_frame_kind kind = KH_FRAME_DROP;
    uint32_t counted = KH_COUNT_DROPPED_LONG;
    if (m->nb_segs == 1) {
        kind = kh_frame_read(&t->port->host, frame, m->data_len, cap, packet->peer, &found);
        if (kind == KH_FRAME_DROP) counted = KH_COUNT_FRAME + found.reason;
        else if (kind == KH_FRAME_DATAGRAM && found.n > KH_DATAGRAM_MAX_SZ) kind = KH_FRAME_DROP;
    }
    if (kind == KH_FRAME_DROP) {
        kh_front_count(t->counters, counted, 1);
        rte_pktmbuf_free(m);
    } else if (kind == KH_FRAME_ANSWER) {
        kh_front_count(t->counters, KH_COUNT_NEIGHBOURS, 1);
        m->data_len = (uint16_t)found.n;
        m->pkt_len = found.n;
        t->out[t->out_cnt++] = m;
    } else {
        packet->peer[0] = (uint8_t)(t->port->id);
        packet->p = frame + found.offset;
        packet->n = found.n;
        packet->cap = KH_DATAGRAM_MAX_SZ;
        t->in[t->in_cnt++] = m;
    }
}

/* The frame of a reply around its payload. */
static void wrap(struct rte_mbuf *m, const kh_packet *packet)
{
    uint32_t head = kh_frame_head(packet->peer, packet->p, packet->n), n = head + packet->n;
    uint8_t *frame = packet->p - head;
    if (n < KH_FRAME_LEAST_SZ) {
        memset(frame + n, 0, KH_FRAME_LEAST_SZ - n);
        n = KH_FRAME_LEAST_SZ;
    }
    m->data_off = (uint16_t)(frame - (uint8_t *)m->buf_addr);
    m->data_len = (uint16_t)n;
    m->pkt_len = n;
}

static void send_out(flight *t, uint32_t queue)
{
    uint64_t bytes = 0;
    if (t->out_cnt == 0) return;
    for (uint32_t i = 0; i < t->out_cnt; i++) bytes += t->out[i]->pkt_len; /* before they go: then they are the device's */
    uint32_t sent = rte_eth_tx_burst(t->port->id, (uint16_t)queue, t->out, (uint16_t)t->out_cnt);
    if (sent < t->out_cnt) {
        kh_front_count(t->counters, KH_COUNT_DROPPED_SEND, t->out_cnt - sent);
        for (uint32_t i = sent; i < t->out_cnt; i++) bytes -= t->out[i]->pkt_len;
        rte_pktmbuf_free_bulk(t->out + sent, t->out_cnt - sent);
    }
    kh_front_count(t->counters, KH_COUNT_TX, sent);
    kh_front_count(t->counters, KH_COUNT_TX_BYTES, bytes);
    t->out_cnt = 0;
}

static uint32_t serve(dpdk_front *f, uint32_t queue, flight *t)
{
    struct rte_mbuf *got[KH_FRONT_BURST];
    kh_packet *packets[KH_FRONT_BURST];
    uint64_t bytes = 0;
    uint32_t n = rte_eth_rx_burst(t->port->id, (uint16_t)queue, got, KH_FRONT_BURST);
    if (n == 0) return 0;
    for (uint32_t i = 0; i < n; i++) rte_prefetch0(rte_pktmbuf_mtod(got[i], void *));
    t->in_cnt = 0;
    for (uint32_t i = 0; i < n; i++) {
        bytes += got[i]->pkt_len;
        packets[i] = &t->packets[i];
        take(t, got[i]);
    }
    f->o->work->burst(f->o->pollers[queue], packets, t->in_cnt, f->o->clock->monotonic(f->o->clock->self));
    for (uint32_t i = 0; i < t->in_cnt; i++) {
        if (t->packets[i].n == 0) {
            rte_pktmbuf_free(t->in[i]);
            continue;
        }
        wrap(t->in[i], &t->packets[i]);
        t->out[t->out_cnt++] = t->in[i];
    }
    kh_front_count(t->counters, KH_COUNT_RX, n);
    kh_front_count(t->counters, KH_COUNT_RX_BYTES, bytes);
    kh_front_count(t->counters, KH_COUNT_BURSTS, 1);
    send_out(t, queue);
    return n;
}

static const dpdk_port *port_of(const dpdk_front *f, const kh_packet *packet)
{
    for (uint32_t i = 0; i < f->port_cnt; i++)
        if (f->ports[i].id == packet->peer[0]) return &f->ports[i];
    KH_ASSERT(!"a packet came from a port");
}

static uint32_t send_late(dpdk_front *f, uint32_t queue, flight *t)
{
    uint32_t n = 0;
    while (n < KH_FRONT_BURST && f->o->work->late_cnt(f->o->pollers[queue]) > 0) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(f->pools[queue]);
        if (m == NULL) break; /* the answer waits */
        kh_packet packet = {.p = rte_pktmbuf_mtod(m, uint8_t *) + KH_FRAME_HEAD6_SZ, .cap = KH_DATAGRAM_MAX_SZ};
        if (!f->o->work->late(f->o->pollers[queue], &packet)) {
            rte_pktmbuf_free(m);
            break;
        }
        n++;
        if (packet.n == 0) {
            rte_pktmbuf_free(m);
            continue;
        }
        wrap(m, &packet);
        t->port = port_of(f, &packet);
        t->out[t->out_cnt++] = m;
        send_out(t, queue);
    }
    kh_front_count(t->counters, KH_COUNT_LATE, n);
    return n;
}

/* Sleeps until an answer is late, the end, or `ns` are over: a port has no way to wake us that every driver knows. */
static void doze(dpdk_front *f, uint32_t queue, uint64_t ns)
{
    kh_poller *poller = f->o->pollers[queue];
    const struct timespec least = {.tv_nsec = (long)ns};
    struct pollfd fds[2] = {{.fd = f->o->stop_fd, .events = POLLIN}, {.fd = f->o->work->event_fd(poller), .events = POLLIN}};
    f->o->work->sleep(poller);
    (void)ppoll(fds, 2, &least, NULL);
    f->o->work->wake(poller);
    kh_front_count(&f->o->counters[queue], KH_COUNT_SLEEPS, 1);
}

static void dpdk_run(void *front, uint32_t queue)
{
    dpdk_front *f = front;
    kh_poller *poller = f->o->pollers[queue];
    flight t = {.counters = &f->o->counters[queue]};
    uint64_t idle_since = 0, doze_ns = DOZE_LEAST_NS;
    (void)rte_thread_register(); /* where it cannot, pools work without a cache */
    f->o->work->begin(poller);
    while (!atomic_load_explicit(f->o->stopping, memory_order_relaxed)) { /* the word alone matters */
        uint32_t got = send_late(f, queue, &t);
        for (uint32_t i = 0; i < f->port_cnt; i++) {
            t.port = &f->ports[i];
            got += serve(f, queue, &t);
        }
        if (got > 0) {
            idle_since = 0;
            doze_ns = DOZE_LEAST_NS;
            continue;
        }
        uint64_t now_ns = f->o->clock->monotonic(f->o->clock->self);
        kh_front_count(t.counters, KH_COUNT_EMPTY, 1);
        f->o->work->burst(poller, NULL, 0, now_ns);
        if (idle_since == 0) idle_since = now_ns;
        if (now_ns - idle_since < f->o->spin_ns) {
            for (uint32_t i = 0; i < PAUSES; i++) rte_pause();
            continue;
        }
        doze(f, queue, doze_ns);
        doze_ns = kh_min64(doze_ns * 2, DOZE_MOST_NS);
    }
    f->o->work->end(poller);
    rte_thread_unregister();
}

static uint16_t dpdk_port_number(const void *front) { return ((const dpdk_front *)front)->o->port; }

static uint64_t dpdk_device_drops(const void *front, uint32_t queue)
{
    const dpdk_front *f = front;
    uint64_t drops = 0;
    for (uint32_t i = 0; queue == 0 && i < f->port_cnt; i++) {
        struct rte_eth_stats stats;
        if (rte_eth_stats_get(f->ports[i].id, &stats) == 0) drops += stats.imissed + stats.rx_nombuf;
    }
    return drops;
}

__attribute__((visibility("default"))) extern const kh_front kh_front_dpdk;
const kh_front kh_front_dpdk = {.version = KH_FRONT_VERSION,
                                .open = dpdk_open,
                                .run = dpdk_run,
                                .port = dpdk_port_number,
                                .device_drops = dpdk_device_drops,
                                .close = dpdk_close};
