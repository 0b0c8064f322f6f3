/* dpdk: the front end of DPDK ports: the loop.
 *
 * A reply is written into the buffer that its request came in: the service turns the payload around, frame.c writes the headers
 * before it. Pollers are threads of ingest's own that register with EAL, which gives them a cache of every pool. */
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include "ingest/dpdk.h"

#define DOZE_LEAST_NS 100000u /* a sleep between empty rounds; each one in a row is twice the last, up to */
#define DOZE_MOST_NS 1000000u
#define PAUSES 16u /* between two empty rounds */

/* One burst of one queue of one port on its way through. */
typedef struct flight {
    const kh_dpdk_port *port;
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

static uint32_t serve(kh_dpdk_front *f, uint32_t queue, flight *t, uint64_t now_ns)
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
    f->o->work->burst(f->o->pollers[queue], packets, t->in_cnt, now_ns);
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

static const kh_dpdk_port *port_of(const kh_dpdk_front *f, const kh_packet *packet)
{
    uint32_t i = 0;
    while (i < f->port_cnt && f->ports[i].id != packet->peer[0]) i++;
    KH_ASSERT(i < f->port_cnt); /* it came from one */
    return &f->ports[i];
}

static uint32_t send_late(kh_dpdk_front *f, uint32_t queue, flight *t)
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
static void doze(kh_dpdk_front *f, uint32_t queue, uint64_t ns)
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
    kh_dpdk_front *f = front;
    kh_poller *poller = f->o->pollers[queue];
    flight t = {.counters = &f->o->counters[queue]};
    uint64_t idle_since = 0, doze_ns = DOZE_LEAST_NS, now_ns = 0;
    uint32_t got = 0;
    (void)rte_thread_register(); /* where it cannot, pools work without a cache */
    f->o->work->begin(poller);
    while (!atomic_load_explicit(f->o->stopping, memory_order_relaxed)) { /* the word alone matters */
        uint64_t before_ns = now_ns;
        now_ns = f->o->clock->monotonic(f->o->clock->self);
        if (got > 0) kh_front_count(t.counters, KH_COUNT_BUSY_NS, now_ns - before_ns);
        got = send_late(f, queue, &t);
        for (uint32_t i = 0; i < f->port_cnt; i++) {
            t.port = &f->ports[i];
            got += serve(f, queue, &t, now_ns);
        }
        if (got > 0) {
            idle_since = 0;
            doze_ns = DOZE_LEAST_NS;
            continue;
        }
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

static uint16_t dpdk_port_number(const void *front) { return ((const kh_dpdk_front *)front)->o->port; }

static uint64_t dpdk_device_drops(const void *front, uint32_t queue)
{
    const kh_dpdk_front *f = front;
    uint64_t drops = 0;
    for (uint32_t i = 0; queue == 0 && i < f->port_cnt; i++) {
        struct rte_eth_stats stats;
        if (rte_eth_stats_get(f->ports[i].id, &stats) == 0) drops += stats.imissed + stats.rx_nombuf;
    }
    return drops;
}

__attribute__((visibility("default"))) extern const kh_front kh_front_dpdk;
const kh_front kh_front_dpdk = {.version = KH_FRONT_VERSION,
                                .open = kh_dpdk_open,
                                .run = dpdk_run,
                                .port = dpdk_port_number,
                                .device_drops = dpdk_device_drops,
                                .close = kh_dpdk_close};
