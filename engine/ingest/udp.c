/* udp: the front end of kernel sockets: the loop.
 *
 * Datagrams are answered in the buffers that they are received into: a reply is no longer than its request. Where a socket
 * listens on a wildcard, the kernel tells which address a request was sent to, and the reply leaves from that one. Datagrams of
 * one length go through the kernel's layers as one message: replies to one peer are cut into datagrams at the end (UDP_SEGMENT,
 * Linux 4.18), and what a peer sent so, or a card or the kernel laid together again, is cut here (UDP_GRO, Linux 5.0). */
#include <errno.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <linux/sock_diag.h>
#include "ingest/udp.h"

#define RUN_MAX_SZ 60000u /* bytes of a message, below what IP can carry */

/* What the control messages say: which address of ours it came to, and, of a run, how long each datagram is; 0: it is one. */
static uint32_t read_control(struct msghdr *m, kh_udp_peer *peer)
{
    int each = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(peer->from, &info.ipi_spec_dst, 4);
            peer->control = 4;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(peer->from, &info.ipi6_addr, 16);
            peer->control = 6;
        } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&each, CMSG_DATA(c), sizeof each);
        }
    }
    return each > 0 ? (uint32_t)each : 0;
}

static size_t put_control(const kh_udp_peer *peer, kh_udp_control *c)
{
    memset(c, 0, sizeof *c);
    if (peer->control == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, peer->from, 4);
        c->head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        memcpy(CMSG_DATA(&c->head), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    struct in6_pktinfo info = {0};
    memcpy(&info.ipi6_addr, peer->from, 16);
    c->head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(&c->head), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
}

/* A run that the kernel refuses, one datagram after another; returns how many of them were lost. */
static uint32_t send_apart(int fd, const struct msghdr *run, size_t address_sz)
{
    uint32_t lost = 0;
    for (size_t i = 0; i < run->msg_iovlen; i++) {
        struct msghdr one = *run;
        one.msg_iov = &run->msg_iov[i];
        one.msg_iovlen = 1;
        one.msg_controllen = address_sz;
        if (address_sz == 0) one.msg_control = NULL;
        lost += sendmsg(fd, &one, MSG_DONTWAIT) < 0;
    }
    return lost;
}

/* Sends q->out[0 .. n - 1] through one socket. */
static void send_out(kh_udp_queue *q, int fd, uint32_t n)
{
    uint32_t at = 0, lost = 0;
    uint64_t bytes = 0, datagrams = 0;
    for (uint32_t i = 0; i < n; i++) datagrams += q->out[i].msg_hdr.msg_iovlen;
    while (at < n) {
        const struct msghdr *first = &q->out[at].msg_hdr;
        int took = sendmmsg(fd, q->out + at, n - at, MSG_DONTWAIT);
        if (took > 0) {
            for (; took > 0; took--, at++) bytes += q->out[at].msg_len;
        } else if (errno != EINTR) { /* the first one cannot go: it is lost, as any may be, and the rest have their turn */
            if (first->msg_iovlen > 1 && errno != EAGAIN) {
                q->one_by_one = true;
                lost += send_apart(fd, first, first->msg_controllen - CMSG_SPACE(sizeof(uint16_t)));
            } else lost += (uint32_t)first->msg_iovlen;
            at++;
        }
    }
    kh_front_count(q->counters, KH_COUNT_TX, datagrams - lost);
    kh_front_count(q->counters, KH_COUNT_TX_BYTES, bytes);
    kh_front_count(q->counters, KH_COUNT_DROPPED_SEND, lost);
}

static socklen_t name_sz(const kh_udp_peer *peer)
{
    return peer->to.any.sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static bool same_peer(const kh_udp_peer *a, const kh_udp_peer *b)
{
    return a->socket == b->socket && a->control == b->control && a->to.any.sa_family == b->to.any.sa_family &&
           memcmp(&a->to, &b->to, name_sz(a)) == 0 &&
           (a->control == 0 || memcmp(a->from, b->from, a->control == 4 ? 4 : sizeof a->from) == 0);
}

/* The message's control: from which address, and that it is a run. */
static void finish_message(kh_udp_queue *q, uint32_t at, const kh_udp_peer *peer)
{
    struct msghdr *m = &q->out[at].msg_hdr;
    size_t n = peer->control != 0 ? put_control(peer, &q->out_control[at]) : 0;
    if (m->msg_iovlen > 1) {
        uint16_t each = (uint16_t)m->msg_iov[0].iov_len;
        struct cmsghdr head = {.cmsg_len = CMSG_LEN(sizeof each), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
        memcpy(q->out_control[at].room + n, &head, sizeof head);
        memcpy(q->out_control[at].room + n + CMSG_LEN(0), &each, sizeof each);
        n += CMSG_SPACE(sizeof each);
    }
    m->msg_control = n != 0 ? &q->out_control[at] : NULL;
    m->msg_controllen = n;
}

/* Sends those of n <= KH_FRONT_BURST packets that have a length: what goes to one peer and is as long as the one before, in one
 * message with it. */
static void send_burst(kh_udp_queue *q, kh_packet *const packets[], uint32_t n)
{
    uint32_t messages = 0, parts = 0, run_sz = 0;
    kh_udp_peer *last = NULL;
    for (uint32_t i = 0; i < n; i++) {
        kh_udp_peer *peer = (void *)packets[i]->peer;
        if (packets[i]->n == 0) continue;
        struct iovec *part = &q->out_iov[parts];
        *part = (struct iovec){packets[i]->p, packets[i]->n};
        bool joins = last != NULL && !q->one_by_one && part->iov_len == part[-1].iov_len &&
                     run_sz + part->iov_len <= RUN_MAX_SZ && same_peer(last, peer);
        if (joins) {
            q->out[messages - 1].msg_hdr.msg_iovlen++;
            run_sz += packets[i]->n;
            parts++;
            continue;
        }
        if (last != NULL) finish_message(q, messages - 1, last);
        if (last != NULL && last->socket != peer->socket) {
            send_out(q, q->fds[last->socket], messages);
            messages = parts = 0;
            q->out_iov[0] = *part;
            part = &q->out_iov[0];
        }
        q->out[messages++].msg_hdr =
            (struct msghdr){.msg_name = &peer->to, .msg_namelen = name_sz(peer), .msg_iov = part, .msg_iovlen = 1};
        run_sz = packets[i]->n;
        parts++;
        last = peer;
    }
    if (last == NULL) return;
    finish_message(q, messages - 1, last);
    send_out(q, q->fds[last->socket], messages);
}

static void work(kh_udp_front *f, uint32_t number, uint32_t n, uint64_t now_ns)
{
    kh_udp_queue *q = &f->queues[number];
    kh_packet *packets[KH_FRONT_BURST];
    if (n == 0) return;
    for (uint32_t i = 0; i < n; i++) packets[i] = &q->packets[i];
    f->o->work->burst(f->o->pollers[number], packets, n, now_ns);
    kh_front_count(q->counters, KH_COUNT_BURSTS, 1);
    send_burst(q, packets, n);
}

/* A message's datagrams, from packet n on; what fills a burst goes. Returns how many packets wait. */
static uint32_t cut(kh_udp_front *f, uint32_t number, uint32_t message, uint32_t n, uint64_t now_ns)
{
    kh_udp_queue *q = &f->queues[number];
    kh_udp_peer *peer = &q->peers[message];
    uint32_t size = q->in[message].msg_len, each = read_control(&q->in[message].msg_hdr, peer), at = 0, cnt = 0;
    if (each == 0) each = size;
    do {
        uint32_t part = size - at < each ? size - at : each;
        kh_packet *packet = &q->packets[n];
        cnt++;
        if (part > KH_DATAGRAM_MAX_SZ) kh_front_count(q->counters, KH_COUNT_DROPPED_LONG, 1);
        else {
            packet->p = (uint8_t *)q->in_iov[message].iov_base + at;
            packet->n = packet->cap = part;
            memcpy(packet->peer, peer, sizeof *peer);
            n++;
        }
        if (n == KH_FRONT_BURST) {
            work(f, number, n, now_ns);
            n = 0;
        }
        at += part;
    } while (at < size);
    kh_front_count(q->counters, KH_COUNT_RX, cnt);
    kh_front_count(q->counters, KH_COUNT_RX_BYTES, size);
    return n;
}

/* Takes what came through one socket; returns how much. */
static uint32_t serve(kh_udp_front *f, uint32_t number, uint32_t socket, uint64_t now_ns)
{
    kh_udp_queue *q = &f->queues[number];
    for (uint32_t i = 0; i < KH_UDP_MESSAGES; i++) {
        q->peers[i].socket = (uint8_t)socket;
        q->peers[i].control = 0;
        q->in[i].msg_hdr = (struct msghdr){.msg_name = &q->peers[i].to,
                                           .msg_namelen = sizeof(struct sockaddr_in6),
                                           .msg_iov = &q->in_iov[i],
                                           .msg_iovlen = 1,
                                           .msg_control = &q->in_control[i],
                                           .msg_controllen = sizeof q->in_control[i]};
    }
    int got = recvmmsg(q->fds[socket], q->in, KH_UDP_MESSAGES, MSG_DONTWAIT, NULL);
    uint32_t n = 0;
    for (int i = 0; i < got; i++) n = cut(f, number, (uint32_t)i, n, now_ns);
    work(f, number, n, now_ns);
    return got > 0 ? (uint32_t)got : 0;
}

static uint32_t send_late(kh_udp_front *f, uint32_t number)
{
    kh_udp_queue *q = &f->queues[number];
    kh_packet *packets[KH_FRONT_BURST];
    uint32_t n = 0;
    if (f->o->work->late_cnt(f->o->pollers[number]) == 0) return 0;
    for (; n < KH_FRONT_BURST; n++) {
        packets[n] = &q->late[n];
        if (!f->o->work->late(f->o->pollers[number], packets[n])) break;
    }
    kh_front_count(q->counters, KH_COUNT_LATE, n);
    send_burst(q, packets, n);
    return n;
}

static void doze(kh_udp_front *f, uint32_t number)
{
    struct epoll_event e;
    f->o->work->sleep(f->o->pollers[number]);
    (void)epoll_wait(f->queues[number].epoll, &e, 1, -1);
    f->o->work->wake(f->o->pollers[number]);
    kh_front_count(f->queues[number].counters, KH_COUNT_SLEEPS, 1);
}

uint64_t kh_udp_spin(uint64_t spin_ns, uint64_t most_ns, uint64_t slept_ns)
{
    if (most_ns == UINT64_MAX) return most_ns;
    return slept_ns <= most_ns ? kh_min64(most_ns, spin_ns * 2 + most_ns / 8) : spin_ns / 2;
}

static void udp_run(void *front, uint32_t number)
{
    kh_udp_front *f = front;
    kh_poller *poller = f->o->pollers[number];
    kh_front_counters *counters = f->queues[number].counters;
    uint64_t idle_since = 0, now_ns = 0, asleep_since = 0, spin_ns = f->o->spin_ns;
    uint32_t got = 0;
    f->o->work->begin(poller);
    while (!atomic_load_explicit(f->o->stopping, memory_order_relaxed)) { /* the word alone matters */
        uint64_t before_ns = now_ns;
        now_ns = f->o->clock->monotonic(f->o->clock->self);
        if (asleep_since != 0) spin_ns = kh_udp_spin(spin_ns, f->o->spin_ns, now_ns - asleep_since);
        asleep_since = 0;
        if (got > 0) kh_front_count(counters, KH_COUNT_BUSY_NS, now_ns - before_ns);
        got = send_late(f, number);
        for (uint32_t i = 0; i < f->o->address_cnt; i++) got += serve(f, number, i, now_ns);
        if (got > 0) {
            idle_since = 0;
            continue;
        }
        kh_front_count(counters, KH_COUNT_EMPTY, 1);
        f->o->work->burst(poller, NULL, 0, now_ns);
        if (idle_since == 0) idle_since = now_ns;
        if (now_ns - idle_since < spin_ns) continue;
        asleep_since = now_ns;
        doze(f, number);
        idle_since = 0;
    }
    f->o->work->end(poller);
}

static uint16_t udp_port(const void *front) { return ((const kh_udp_front *)front)->port; }

static uint64_t udp_device_drops(const void *front, uint32_t number)
{
    const kh_udp_front *f = front;
    uint64_t drops = 0;
    for (uint32_t i = 0; i < f->o->address_cnt; i++) {
        uint32_t of_socket[SK_MEMINFO_VARS];
        socklen_t n = sizeof of_socket;
        if (getsockopt(f->queues[number].fds[i], SOL_SOCKET, SO_MEMINFO, of_socket, &n) == 0)
            drops += of_socket[SK_MEMINFO_DROPS];
    }
    return drops;
}

const kh_front kh_front_udp = {.version = KH_FRONT_VERSION,
                               .open = kh_udp_open,
                               .run = udp_run,
                               .port = udp_port,
                               .device_drops = udp_device_drops,
                               .close = kh_udp_close};
