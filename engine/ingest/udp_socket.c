/* udp_socket: a poller has a socket of its own an address; the kernel spreads clients over them by their address and port
 * (SO_REUSEPORT), so pollers share nothing. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "ingest/address.h"
#include "ingest/udp.h"

#define RECEIVE_SZ (4 << 20) /* bytes that the kernel keeps for a socket */

static kh_err failed(const char *doing, int error, char *why, size_t cap)
{
    (void)snprintf(why, cap, "%s: %s", doing, strerror(error));
    return error == ENOMEM ? KH_E_NOMEM : KH_E_IO;
}

static socklen_t make_name(const kh_frame_address *a, uint16_t port, kh_udp_peer *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->family == 4) {
        ret->to.four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&ret->to.four.sin_addr, a->b, 4);
        return sizeof ret->to.four;
    }
    ret->to.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&ret->to.six.sin6_addr, a->b, 16);
    return sizeof ret->to.six;
}

/* A bound socket, or -1 and errno. */
static int bind_socket(const kh_front_options *o, const kh_frame_address *a, uint16_t port, bool shared)
{
    kh_udp_peer name;
    socklen_t name_n = make_name(a, port, &name);
    int on = 1, apart = o->address_cnt > 1, size = RECEIVE_SZ;
    int fd = socket(name.to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) /* needs a right; else as much as there is */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on); /* an older kernel cuts runs before it hands them on */
    bool good = !shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
    if (a->family == 6) good = good && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &apart, sizeof apart) == 0;
    if (kh_address_is_wildcard(a) && a->family == 4) good = good && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
    if (kh_address_is_wildcard(a) && a->family == 6)
        good = good && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
    if (good && bind(fd, &name.to.any, name_n) == 0) return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static uint16_t port_of(int fd)
{
    kh_udp_peer name;
    socklen_t n = sizeof name.to;
    memset(&name, 0, sizeof name);
    (void)getsockname(fd, &name.to.any, &n);
    return ntohs(name.to.any.sa_family == AF_INET ? name.to.four.sin_port : name.to.six.sin6_port);
}

/* A port that sockets may share could be shared with another process of this user: first one is bound that shares with nobody. It
   also finds the port, where any will do. */
static kh_err claim_port(kh_udp_front *f, char *why, size_t cap)
{
    f->port = f->o->port;
    for (uint32_t i = 0; i < f->o->address_cnt; i++) {
        int fd = bind_socket(f->o, &f->o->addresses[i], f->port, false);
        if (fd < 0) return failed("the datagram address cannot be bound", errno, why, cap);
        f->port = port_of(fd);
        (void)close(fd);
    }
    return KH_OK;
}

static bool watch(const kh_udp_queue *q, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    return fd >= 0 && epoll_ctl(q->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static kh_err open_queue(kh_udp_front *f, uint32_t number, char *why, size_t cap)
{
    kh_udp_queue *q = &f->queues[number];
    q->counters = &f->o->counters[number];
    q->rooms = calloc(KH_UDP_MESSAGES, KH_UDP_ROOM_SZ);
    if (q->rooms == NULL) return failed("datagrams", ENOMEM, why, cap);
    for (uint32_t i = 0; i < KH_UDP_MESSAGES; i++)
        q->in_iov[i] = (struct iovec){q->rooms + i * (size_t)KH_UDP_ROOM_SZ, KH_UDP_MESSAGE_SZ};
    for (uint32_t i = 0; i < KH_FRONT_BURST; i++) q->late[i] = (kh_packet){.p = q->late_bytes[i], .cap = KH_DATAGRAM_MAX_SZ};
    q->epoll = epoll_create1(EPOLL_CLOEXEC);
    bool good = q->epoll >= 0 && watch(q, f->o->stop_fd) && watch(q, f->o->work->event_fd(f->o->pollers[number]));
    for (uint32_t i = 0; good && i < f->o->address_cnt; i++) {
        q->fds[i] = bind_socket(f->o, &f->o->addresses[i], f->port, f->o->queue_cnt > 1);
        good = watch(q, q->fds[i]);
    }
    return good ? KH_OK : failed("a datagram socket", errno, why, cap);
}

void kh_udp_close(void *front)
{
    kh_udp_front *f = front;
    for (uint32_t i = 0; f->queues != NULL && i < f->o->queue_cnt; i++) {
        for (uint32_t s = 0; s < KH_INGEST_ADDRESSES_MAX; s++)
            if (f->queues[i].fds[s] >= 0) (void)close(f->queues[i].fds[s]);
        if (f->queues[i].epoll >= 0) (void)close(f->queues[i].epoll);
        free(f->queues[i].rooms);
    }
    free(f->queues);
    free(f);
}

kh_err kh_udp_open(const kh_front_options *o, char *why, size_t cap, void **ret)
{
    kh_udp_front *f = calloc(1, sizeof *f);
    if (f == NULL) return failed("datagrams", ENOMEM, why, cap);
    f->o = o;
    f->queues = aligned_alloc(KH_CACHE_LINE, o->queue_cnt * sizeof *f->queues);
    if (f->queues == NULL) {
        kh_udp_close(f);
        return failed("datagrams", ENOMEM, why, cap);
    }
    memset(f->queues, 0, o->queue_cnt * sizeof *f->queues);
    for (uint32_t i = 0; i < o->queue_cnt; i++) {
        f->queues[i].epoll = -1;
        for (uint32_t s = 0; s < KH_INGEST_ADDRESSES_MAX; s++) f->queues[i].fds[s] = -1;
    }
    kh_err err = claim_port(f, why, cap);
    for (uint32_t i = 0; err == KH_OK && i < o->queue_cnt; i++) err = open_queue(f, i, why, cap);
    if (err != KH_OK) {
        kh_udp_close(f);
        return err;
    }
    *ret = f;
    return KH_OK;
}
