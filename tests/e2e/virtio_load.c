/* virtio_load: loads an echo_hub over vhost-user. virtio_load SOCKET SECONDS
 * Keeps 256 datagrams of all lengths in flight; prints "loaded" after the first 10,000 replies, "replies N" at the end; a reply
 * that is not what was sent ends it with 1. */
#include "virtio_flight.h"

#define WINDOW 256u

static struct rte_mbuf *make(void)
{
    static uint64_t number;
    struct rte_mbuf *m = rte_pktmbuf_alloc(virtio_pool);
    if (m == NULL) return NULL;
    uint32_t n = 9 + (uint32_t)(number % 1400);
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    m->data_len = (uint16_t)(HEAD_SZ + n);
    m->pkt_len = HEAD_SZ + n;
    memset(frame + HEAD_SZ, 'x', n);
    memcpy(frame + HEAD_SZ + 1, &number, 8);
    virtio_head(frame, n);
    number++;
    return m;
}

static void check(uint8_t *frame, uint32_t n)
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
    uint64_t got = virtio_load(WINDOW, atof(argv[2]), 10000);
    printf("replies %llu\n", (unsigned long long)got);
    return got > 0 ? 0 : 1;
}
