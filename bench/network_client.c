/* The other end of bench_network: a process of its own on a core of its own, that keeps a window of datagrams in flight. */
#include "network.h"
#include "papers.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include "../tests/e2e/virtio_port.h"
#include "client/datagram.h"
#include "clock.h"

enum { QUERIES = 1 << 20, TIMES_MAX = 1 << 20, HEAD = HEAD_SZ, SLOTS = 32 };

static const network_run *run;
static kh_lane lane;
static kh_query *queries;
static uint32_t next_query;
static uint64_t got, bad, looked;

static void draw_queries(void)
{
    uint64_t seed = 88172645463325252ull + run->lane;
    queries = malloc(QUERIES * sizeof *queries);
    if (queries == NULL) exit(1);
    for (uint32_t i = 0; i < QUERIES; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        papers_query(seed % run->documents, &queries[i]);
    }
}

static uint32_t request(uint8_t *p)
{
    uint64_t counter;
    uint32_t n;
    if (next_query + run->per > QUERIES) next_query = 0;
    if (run->plain) {
        const kh_request_head head = {.counter = lane.counter++, .form = KH_FORM_QUERY};
        kh_request_head_encode(&head, p);
        kh_query_encode(&queries[next_query], false, p + KH_REQUEST_HEAD_SZ);
        n = KH_REQUEST_HEAD_SZ + KH_QUERY_SZ;
    } else {
        n = kh_lane_seal(&lane, queries + next_query, run->per, false, p, &counter);
    }
    next_query += run->per;
    return n;
}

/* Every 64th reply is opened and read. */
static void reply(uint8_t *p, uint32_t n)
{
    kh_reply_head head;
    uint64_t as_of;
    uint32_t cnt = 1;
    const uint8_t *body = p + KH_REPLY_HEAD_SZ + 8;
    kh_query_answer a;
    if (got++ % 64 != 0) return;
    looked++;
    bool good =
        run->plain ? n >= KH_REPLY_HEAD_SZ + 8 + KH_ANSWER_SZ : kh_lane_open_reply(&lane, p, n, &head, &as_of, &body, &cnt);
    good = good && cnt == run->per && kh_query_answer_decode(body, &a) == KH_OK && a.code == KH_C_OK;
    bad += !good;
}

/* ---- the two ways there ---- */

static int fd;
static uint8_t buffers[SLOTS][2048], replies[SLOTS][2048], head_of_frames[64];

static void udp_start(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int size = 4 << 20;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (fd < 0 || connect(fd, (void *)&to, sizeof to) != 0) exit(1);
}

static uint32_t udp_send(uint32_t n)
{
    struct mmsghdr m[SLOTS];
    struct iovec v[SLOTS];
    memset(m, 0, sizeof m);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = (struct iovec){buffers[i], request(buffers[i])};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(fd, m, n, 0);
    return sent > 0 ? (uint32_t)sent : 0;
}

static uint32_t udp_receive(void)
{
    struct mmsghdr m[SLOTS];
    struct iovec v[SLOTS];
    memset(m, 0, sizeof m);
    for (uint32_t i = 0; i < SLOTS; i++) {
        v[i] = (struct iovec){replies[i], sizeof replies[i]};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    int n = recvmmsg(fd, m, SLOTS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) reply(replies[i], m[i].msg_len);
    return n > 0 ? (uint32_t)n : 0;
}

static void vhost_start(void)
{
    virtio_open(run->path);
    uint8_t scratch[2048];
    virtio_head(head_of_frames, request(scratch)); /* every request of a run is equally long */
}

static uint32_t vhost_send(uint32_t n)
{
    struct rte_mbuf *m[SLOTS];
    if (rte_pktmbuf_alloc_bulk(virtio_pool, m, n) != 0) return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *frame = rte_pktmbuf_mtod(m[i], uint8_t *);
        memcpy(frame, head_of_frames, HEAD);
        m[i]->data_len = (uint16_t)(HEAD + request(frame + HEAD));
        m[i]->pkt_len = m[i]->data_len;
    }
    uint32_t sent = rte_eth_tx_burst(0, 0, m, (uint16_t)n);
    rte_pktmbuf_free_bulk(m + sent, n - sent);
    return sent;
}

static uint32_t vhost_receive(void)
{
    struct rte_mbuf *m[SLOTS];
    uint32_t n = rte_eth_rx_burst(0, 0, m, SLOTS);
    for (uint32_t i = 0; i < n; i++) reply(rte_pktmbuf_mtod(m[i], uint8_t *) + HEAD, m[i]->data_len - HEAD);
    rte_pktmbuf_free_bulk(m, n);
    return n;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Prints: replies a second, replies that were looked at, those that were wrong, lost ones; of a window of one p50 and p99 in µs.
 */
int network_client(const network_run *r)
{
    static float times[TIMES_MAX];
    uint32_t time_cnt = 0, flying = 0, lost = 0;
    cpu_set_t one;
    run = r;
    CPU_ZERO(&one);
    CPU_SET(1, &one);
    draw_queries();
    if (kh_lane_open(r->session, (uint8_t)r->lane, r->up, r->down, &lane) != KH_OK) return 1;
    if (r->path != NULL) vhost_start();
    else udp_start();
    (void)sched_setaffinity(0, sizeof one, &one);
    double began = clock_now(), end = began + r->seconds, warm = began + r->seconds * 0.2, moved = began, sent_at = began;
    uint64_t before = 0;
    while (true) {
        double now = clock_now();
        if (now >= end) break;
        if (now >= warm && before == 0) before = got, began = now;
        uint32_t n = r->window - flying < SLOTS ? r->window - flying : SLOTS;
        if (n >= 16 || (n > 0 && r->window < 16)) {
            sent_at = r->window == 1 ? clock_now() : now;
            flying += r->path != NULL ? vhost_send(n) : udp_send(n);
        }
        n = r->path != NULL ? vhost_receive() : udp_receive();
        flying -= n < flying ? n : flying;
        if (n > 0) {
            moved = clock_now();
            if (r->window == 1 && time_cnt < TIMES_MAX) times[time_cnt++] = (float)((moved - sent_at) * 1e6);
        } else if (now - moved > 0.05) {
            lost += flying;
            flying = 0;
            moved = now;
        }
    }
    qsort(times, time_cnt, sizeof times[0], ascending);
    printf("%.6g %llu %llu %u %.4g %.4g\n", (double)(got - before) / (end - began), (unsigned long long)looked,
           (unsigned long long)bad, lost, time_cnt ? times[time_cnt / 2] : 0, time_cnt ? times[time_cnt * 99 / 100] : 0);
    return 0;
}
