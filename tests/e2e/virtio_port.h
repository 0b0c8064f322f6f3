/* virtio_port: a client's end of a vhost-user socket: a virtio-user port, frames made by hand. For programs that are nothing
 * else: a function that cannot go on ends the program. */
#ifndef KH_TESTS_VIRTIO_PORT_H
#define KH_TESTS_VIRTIO_PORT_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include "../unit/frames.h"

#define HEAD_SZ 42u
static struct rte_mempool *virtio_pool;
static uint8_t hub_mac[6];

static void virtio_fail(const char *what)
{
    fprintf(stderr, "virtio: %s\n", what);
    exit(1);
}

/* Sends one frame, waits for what comes back; its length, or 0 after a second. */
static uint32_t virtio_ask(const uint8_t *frame, uint32_t n, uint8_t *ret, uint32_t cap)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(virtio_pool);
    if (m == NULL) virtio_fail("no buffer");
    memcpy(rte_pktmbuf_mtod(m, void *), frame, n);
    m->data_len = (uint16_t)n;
    m->pkt_len = n;
    if (rte_eth_tx_burst(0, 0, &m, 1) != 1) rte_pktmbuf_free(m);
    for (int i = 0; i < 10000; i++) {
        if (rte_eth_rx_burst(0, 0, &m, 1) == 1) {
            n = m->data_len < cap ? m->data_len : cap;
            memcpy(ret, rte_pktmbuf_mtod(m, void *), n);
            rte_pktmbuf_free(m);
            return n;
        }
        usleep(100);
    }
    return 0;
}

/* Opens the port and asks who has the hub's address (ARP). */
static void virtio_open(const char *path)
{
    char device[300], prefix[64];
    static const struct rte_eth_conf conf;
    uint8_t asked[64], answer[64];
    snprintf(device, sizeof device, "--vdev=net_virtio_user0,path=%s,queues=1,queue_size=1024", path);
    snprintf(prefix, sizeof prefix, "--file-prefix=v%d", (int)getpid());
    char *args[] = {"virtio", "-l",  "1",           "--no-pci",       "--no-huge",
                    "-m",     "256", "--no-shconf", "--no-telemetry", "--log-level=error",
                    prefix,   device};
    if (rte_eal_init((int)(sizeof args / sizeof args[0]), args) < 0) virtio_fail("EAL does not start");
    virtio_pool = rte_pktmbuf_pool_create("virtio", 8191, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (virtio_pool == NULL || rte_eth_dev_configure(0, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(0, 0, 1024, 0, NULL, virtio_pool) != 0 || rte_eth_tx_queue_setup(0, 0, 1024, 0, NULL) != 0 ||
        rte_eth_dev_start(0) != 0)
        virtio_fail("the port does not start");
    for (int i = 0; i < 5; i++) {
        if (virtio_ask(asked, arp_frame(asked), answer, sizeof answer) < 42) continue;
        if (answer[21] != 2 || memcmp(answer + 28, our_ip4, 4) != 0) virtio_fail("not an answer to ARP");
        memcpy(hub_mac, answer + 22, 6);
        return;
    }
    virtio_fail("nobody answers ARP");
}

/* The headers of a datagram whose payload of n bytes stands at frame + HEAD_SZ. */
static void virtio_head(uint8_t *frame, uint32_t n)
{
    uint8_t udp[8];
    put16(udp, 5555);
    put16(udp + 2, OUR_PORT);
    put16(udp + 4, 8 + n);
    put16(udp + 6, 0);
    ip4_frame(frame, 17, udp, 8);
    put16(frame + 16, 28 + n);
    ip4_sum(frame);
    memcpy(frame, hub_mac, 6);
}
#endif
