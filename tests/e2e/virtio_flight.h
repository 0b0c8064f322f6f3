/* virtio_flight: datagrams kept in flight through a virtio_port, for programs whose only work that is. */
#ifndef KH_TESTS_VIRTIO_FLIGHT_H
#define KH_TESTS_VIRTIO_FLIGHT_H
#include "virtio_port.h"
#include <time.h>

/* The program's own: the next datagram to send (its headers by virtio_head), or NULL without a buffer; and what it says of a
 * frame of n bytes that came. */
static struct rte_mbuf *make(void);
static void check(uint8_t *frame, uint32_t n);

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Keeps `window` datagrams in flight for so many seconds; says "loaded" when `first` answers are there. How many came in all. */
static uint64_t virtio_load(uint32_t window, double seconds, uint64_t first)
{
    uint64_t got = 0;
    uint32_t flying = 0;
    double end = now_s() + seconds, moved = now_s();
    while (now_s() < end) {
        struct rte_mbuf *ms[32];
        uint32_t n = 0;
        while (n < 32 && flying + n < window && (ms[n] = make()) != NULL) n++;
        uint32_t went = rte_eth_tx_burst(0, 0, ms, (uint16_t)n);
        rte_pktmbuf_free_bulk(ms + went, n - went);
        flying += went;
        n = rte_eth_rx_burst(0, 0, ms, 32);
        for (uint32_t i = 0; i < n; i++) check(rte_pktmbuf_mtod(ms[i], uint8_t *), ms[i]->data_len);
        rte_pktmbuf_free_bulk(ms, n);
        if (n > 0) moved = now_s();
        else if (now_s() - moved > 0.05) flying = 0, moved = now_s(); /* some were dropped */
        flying -= n < flying ? n : flying;
        if (got < first && got + n >= first) {
            printf("loaded\n");
            fflush(stdout);
        }
        got += n;
    }
    return got;
}
#endif
