/* udp: what the two halves of the kernel sockets' front end share: the sockets (udp_socket.c) and the loop on them (udp.c). */
#ifndef KH_INGEST_UDP_H
#define KH_INGEST_UDP_H
#include <netinet/in.h>
#include <sys/socket.h>
#include "ingest/front.h"

#define KH_UDP_MESSAGES 32u                        /* received at once */
#define KH_UDP_MESSAGE_SZ (64u << 10)              /* a run that came together, at most; a datagram that is too long is seen */
#define KH_UDP_ROOM_SZ (KH_UDP_MESSAGE_SZ + 2112u) /* from one to the next: of equal places in all, few fit a cache at once */

/* Where a reply goes, inside kh_packet.peer. */
typedef struct __attribute__((may_alias)) kh_udp_peer {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } to;
    uint8_t from[16]; /* our address, where control says so */
    uint8_t socket, control;
    uint8_t zero[2];
} kh_udp_peer;
_Static_assert(sizeof(kh_udp_peer) <= KH_PACKET_PEER_SZ, "a peer fits a packet");

typedef union kh_udp_control {
    struct cmsghdr head;
    uint8_t room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
} kh_udp_control;

typedef struct kh_udp_queue {
    int fds[KH_INGEST_ADDRESSES_MAX];
    int epoll;
    bool one_by_one; /* this system takes no runs of datagrams */
    kh_front_counters *counters;
    uint8_t *rooms; /* KH_UDP_MESSAGES of KH_UDP_ROOM_SZ: a page of each, until runs come */
    kh_udp_peer peers[KH_UDP_MESSAGES];
    struct mmsghdr in[KH_UDP_MESSAGES], out[KH_FRONT_BURST];
    struct iovec in_iov[KH_UDP_MESSAGES], out_iov[KH_FRONT_BURST];
    kh_udp_control in_control[KH_UDP_MESSAGES], out_control[KH_FRONT_BURST];
    kh_packet packets[KH_FRONT_BURST], late[KH_FRONT_BURST];
    _Alignas(KH_CACHE_LINE) uint8_t late_bytes[KH_FRONT_BURST][KH_DATAGRAM_MAX_SZ];
} kh_udp_queue;

typedef struct kh_udp_front {
    const kh_front_options *o;
    uint16_t port;
    kh_udp_queue *queues;
} kh_udp_front;

/* kh_udp_spin: how long a poller looks before it sleeps next: longer where the sleep it woke from was so short that looking, for
   most_ns at the longest, would have found what came; half as long where it was not. Processors are shared with who sends, and
   with who answers. most_ns UINT64_MAX: it never sleeps. */
uint64_t kh_udp_spin(uint64_t spin_ns, uint64_t most_ns, uint64_t slept_ns);

kh_err kh_udp_open(const kh_front_options *options, char *why, size_t cap, void **ret);
void kh_udp_close(void *front);
#endif
