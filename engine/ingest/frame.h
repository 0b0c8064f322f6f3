/* frame: Ethernet frames as bytes: what a host needs to answer datagrams without a kernel.
 *
 *   UDP over IPv4 and IPv6 to an address and port of ours    handed on, with the headers of its reply ready
 *   ARP requests, IPv6 neighbour solicitations, ICMP and     answered in place
 *   ICMPv6 echo requests for an address of ours
 *   all else                                                 dropped, for a stated reason
 *
 * No routing and no neighbour table: a reply goes back to the hardware address that its request came from. Fragments, IPv4
 * options, IPv6 extension headers and VLAN tags are not taken. The IPv4 header's checksum and those of neighbour solicitations
 * are checked; UDP's is not: datagrams are sealed, and a kernel's virtual interface hands frames on whose sum is still to be
 * made. A sum of zero over IPv6 is dropped (RFC 8200, 8.1). Replies carry no UDP sum over IPv4 (RFC 768) and the right one over
 * IPv6.
 *
 * Pure: any thread; nothing is allocated, nothing is read beyond n or written beyond cap. */
#ifndef KH_INGEST_FRAME_H
#define KH_INGEST_FRAME_H
#include "base/base.h"

#define KH_FRAME_HEAD4_SZ 42u /* Ethernet 14, IPv4 20, UDP 8 */
#define KH_FRAME_HEAD6_SZ 62u /* Ethernet 14, IPv6 40, UDP 8 */
#define KH_FRAME_LEAST_SZ 60u /* an Ethernet frame without its check sequence */
#define KH_FRAME_PEER_SZ 64u
#define KH_FRAME_ADDRESSES_MAX 4u

typedef struct kh_frame_address {
    uint8_t family; /* 4, 6 */
    uint8_t b[16];  /* 4: the first four */
} kh_frame_address;

typedef struct kh_frame_host {
    uint8_t mac[6];
    uint16_t port; /* UDP */
    uint32_t address_cnt;
    kh_frame_address addresses[KH_FRAME_ADDRESSES_MAX];
} kh_frame_host;

/* Why a frame is dropped; each is a counter. */
typedef enum kh_frame_reason {
    KH_FRAME_SHORT,    /* ends before its headers do, or its lengths contradict each other */
    KH_FRAME_NOT_OURS, /* another hardware or network address */
    KH_FRAME_TYPE,     /* neither ARP nor IP */
    KH_FRAME_HEADER,   /* version, IPv4 options, header checksum */
    KH_FRAME_FRAGMENT,
    KH_FRAME_SOURCE,   /* a source that cannot be answered: group, loopback or no address, port 0 */
    KH_FRAME_PROTOCOL, /* not UDP, and no question that is answered here */
    KH_FRAME_PORT,
    KH_FRAME_CHECKSUM, /* missing over IPv6, or wrong in a neighbour solicitation */
    KH_FRAME_REASON_CNT
} kh_frame_reason;
const char *kh_frame_reason_word(kh_frame_reason reason); /* "short", "not_ours" … */

typedef enum kh_frame_kind { KH_FRAME_DROP, KH_FRAME_DATAGRAM, KH_FRAME_ANSWER } kh_frame_kind;
typedef struct kh_frame_found {
    kh_frame_reason reason; /* DROP */
    uint32_t offset, n;     /* DATAGRAM: of the payload. ANSWER: 0 and the length of the frame to send */
} kh_frame_found;

/* kh_frame_read looks at one frame of n bytes in a buffer of cap >= n. DATAGRAM: ret_peer says how its reply travels.
   ANSWER: the frame was turned into its answer. */
KH_MUST kh_frame_kind kh_frame_read(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap,
                                    uint8_t ret_peer[KH_FRAME_PEER_SZ], kh_frame_found *ret);
/* kh_frame_head writes the headers of a reply of n bytes (n <= 1472) before its payload, which has KH_FRAME_HEAD6_SZ bytes to
   spare there; returns how many it took. The frame may be shorter than KH_FRAME_LEAST_SZ. */
uint32_t kh_frame_head(const uint8_t peer[KH_FRAME_PEER_SZ], uint8_t *payload, uint32_t n);
/* The first byte of a peer is the caller's to use: which port it came from. */
#endif
