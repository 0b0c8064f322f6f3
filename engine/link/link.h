/* link: messages between the nodes of a cluster over mutually authenticated TLS 1.3 (OpenSSL).
 *
 * A node dials every peer and sends on its own connection; what peers send comes in on theirs. The peer's certificate is signed
 * by the cluster's authority and its common name is the node's member number ("CN=11"): what comes in is told with that number.
 * One that is in `crl` is nobody's: neither let in nor sent to. Only peers named by kh_link_peer are let in; a peer that comes
 * again replaces its older connection.
 *
 * Order    messages of one peer come in the order sent, while the connection lasts. Best effort: messages queued for a peer
 *          beyond the bound, or on a connection that breaks, are dropped and counted: who needs an answer asks again.
 * Frame    {size 4, type 1, 0 0 0} and the body, size <= KH_LINK_MESSAGE_MAX; little-endian. Type 0, empty, is the link's own:
 *          the dialler asks each second whether the peer is there, the peer answers, and once unasked when it has let the
 *          dialler in: then the peer is up. 10 s without an answer and without a byte taken: it is away.
 * Threads  one of its own for all peers (epoll). `received` and `connected` are called from it and must not wait long; they may
 *          call all but kh_link_stop. The rest may be called by any.
 * Bounds   queue_sz bytes waiting a peer, and a message that comes in; 64 peers; 4 unproven connections an address, 256 in all,
 *          5 s for a handshake. */
#ifndef KH_LINK_LINK_H
#define KH_LINK_LINK_H
#include "base/base.h"

#define KH_LINK_MESSAGE_MAX (64u << 20) /* a parcel of all that a block executes for one bank */
#define KH_LINK_PEERS_MAX 64u
typedef struct kh_link kh_link;
typedef struct kh_link_options {
    const char *listen;                 /* ADDRESS:PORT, [ADDRESS]:PORT; peers are dialled from this address */
    const char *ca, *certificate, *key; /* PEM files */
    const char *crl;                    /* PEM: certificates that the authority took back; NULL: none. Stays until the stop */
    uint32_t self;
    size_t queue_sz; /* a peer; 0: 128 MiB. A message that is larger is never sent */
    void (*received)(void *ctx, uint32_t from, uint8_t type, const uint8_t *p, size_t n);
    void (*connected)(void *ctx, uint32_t to, bool up); /* our connection to a peer; may be NULL */
    void *ctx;
} kh_link_options;
KH_MUST kh_err kh_link_start(const kh_link_options *options, char *why, size_t cap, kh_link **ret);
/* kh_link_peer adds or moves a peer: address ADDRESS:PORT (numbers, no names); NULL: not any more. Dialled again every 100 ms to
 * 2 s while it is away. */
KH_MUST kh_err kh_link_peer(kh_link *link, uint32_t peer, const char *address);
/* kh_link_renew reads `crl` again: connections of who stands there end, before anything more of them is told. KH_E_ARG with a
 * sentence in why: the list before is still used. */
KH_MUST kh_err kh_link_renew(kh_link *link, char *why, size_t cap);
/* kh_link_send copies; type 1 to 255. KH_E_FULL: dropped; KH_E_NOT_FOUND: no such peer; KH_E_AGAIN: not connected, dropped. */
KH_MUST kh_err kh_link_send(kh_link *link, uint32_t to, uint8_t type, const uint8_t *p, size_t n);
bool kh_link_is_up(kh_link *link, uint32_t peer);
typedef struct kh_link_counts {
    uint64_t sent, received, bytes_out, bytes_in, dropped_full, dropped_down, refused, handshakes_failed;
} kh_link_counts;
/* sent: whole with TLS; dropped_down: for a peer that was not up, or waiting when its connection broke; refused: connections
 * beyond the bounds, and those that were ended for a frame that is none. bytes: of frames. */
void kh_link_count(kh_link *link, kh_link_counts *ret);
void kh_link_stop(kh_link *link);
#endif
