/* virtio_load: loads an echo_hub over vhost-user. virtio_load SOCKET SECONDS
 * Keeps 256 datagrams of all lengths in flight; prints "loaded" after the first 10,000 replies, "replies N" at the end; a reply
 * that is not what was sent ends it with 1. */
#include "virtio_port.h"
#include <time.h>

#define WINDOW 256u

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct rte_mbuf *make(uint64_t number)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(virtio_pool);
    if (m == NULL) return NULL;
    uint32_t n = 9 + (uint32_t)(number % 1400);
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    m->data_len = (uint16_t)(HEAD_SZ + n);
    m->pkt_len = HEAD_SZ + n;
    memset(frame + HEAD_SZ, 'x', n);
    memcpy(frame + HEAD_SZ + 1, &number, 8);
    virtio_head(frame, n);
    return m;
}

static void check(const uint8_t *frame, uint32_t n)
{
    uint64_t number;
    memcpy(&number, frame + HEAD_SZ + 1, 8);
    uint32_t want = HEAD_SZ + 9 + (uint32_t)(number % 1400);
    if (want < 60) want = 60;
    if (n != want || frame[HEAD_SZ] != 'X' || memcmp(frame + 26, our_ip4, 4) != 0 || slow_sum(0, frame + 14, 20) != 0xffff)
        virtio_fail("a reply is not what was sent");
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    virtio_open(argv[1]);
    uint64_t sent = 0, got = 0;
    double end = now_s() + atof(argv[2]), moved = now_s();
    uint32_t flying = 0;
    while (now_s() < end) {
        struct rte_mbuf *ms[32];
        uint32_t n = 0;
        while (n < 32 && flying + n < WINDOW && (ms[n] = make(sent + n)) != NULL) n++;
        uint32_t went = rte_eth_tx_burst(0, 0, ms, (uint16_t)n);
        rte_pktmbuf_free_bulk(ms + went, n - went);
        sent += went;
        flying += went;
        n = rte_eth_rx_burst(0, 0, ms, 32);
        for (uint32_t i = 0; i < n; i++) check(rte_pktmbuf_mtod(ms[i], uint8_t *), ms[i]->data_len);
        rte_pktmbuf_free_bulk(ms, n);
        if (n > 0) moved = now_s();
        else if (now_s() - moved > 0.05) flying = 0, moved = now_s(); /* some were dropped */
        flying -= n < flying ? n : flying;
        if (got < 10000 && got + n >= 10000) {
            printf("loaded\n");
            fflush(stdout);
        }
        got += n;
    }
    printf("replies %llu\n", (unsigned long long)got);
    return got > 0 ? 0 : 1;
}
