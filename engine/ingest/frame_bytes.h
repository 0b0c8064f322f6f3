/* frame_bytes: where the fields of Ethernet, IP, UDP, ARP and ICMP lie (RFC 826, 791, 8200, 768, 792, 4443, 4861), and the
 * Internet checksum (RFC 1071). */
#ifndef KH_INGEST_FRAME_BYTES_H
#define KH_INGEST_FRAME_BYTES_H
#include "ingest/frame.h"

enum { MAC_TO = 0, MAC_FROM = 6, ETHER_TYPE = 12, ETHER_SZ = 14 };
enum { TYPE_IP4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IP6 = 0x86dd };
enum { PROTOCOL_ICMP = 1, PROTOCOL_UDP = 17, PROTOCOL_FRAGMENT = 44, PROTOCOL_ICMP6 = 58 };
/* within an IPv4 header */
enum { IP4_LENGTH = 2, IP4_FRAGMENT = 6, IP4_TTL = 8, IP4_PROTOCOL = 9, IP4_SUM = 10, IP4_FROM = 12, IP4_TO = 16, IP4_SZ = 20 };
/* within an IPv6 header */
enum { IP6_LENGTH = 4, IP6_NEXT = 6, IP6_HOPS = 7, IP6_FROM = 8, IP6_TO = 24, IP6_SZ = 40 };
enum { UDP_FROM = 0, UDP_TO = 2, UDP_LENGTH = 4, UDP_SUM = 6, UDP_SZ = 8 };

static inline uint16_t kh_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline void kh_put_be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* kh_sum adds n bytes to a running sum of big-endian halves' native form; kh_sum_end folds it into what is stored, by memcpy. */
static inline uint64_t kh_sum(uint64_t sum, const uint8_t *p, uint32_t n)
{
    for (; n >= 4; p += 4, n -= 4) sum += kh_load32(p);
    if (n >= 2) sum += kh_load16(p), p += 2, n -= 2;
    return n != 0 ? sum + *p : sum;
}
static inline uint16_t kh_sum_end(uint64_t sum)
{
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}
/* kh_sum_pseudo: the pseudo-header of IPv6 (RFC 8200, 8.1): both addresses, the length, the protocol. */
static inline uint64_t kh_sum_pseudo(const uint8_t *ip6, uint32_t n, uint8_t protocol)
{
    const uint8_t tail[8] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, protocol};
    return kh_sum(kh_sum(0, ip6 + IP6_FROM, 32), tail, sizeof tail);
}

static inline bool kh_frame_is_ours(const kh_frame_host *host, uint8_t family, const uint8_t *address)
{
    for (uint32_t i = 0; i < host->address_cnt; i++)
        if (host->addresses[i].family == family && memcmp(host->addresses[i].b, address, family == 4 ? 4 : 16) == 0) return true;
    return false;
}

/* What asks this host something itself (frame_answer.c): returns the answer's length in the same buffer, or 0 and why not. The
   frame's headers below are known to be whole and consistent; `n` is the length of what follows the IP header. */
uint32_t kh_frame_answer_arp(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap, kh_frame_reason *ret);
uint32_t kh_frame_answer_icmp(uint8_t *frame, uint32_t n, kh_frame_reason *ret);
uint32_t kh_frame_answer_icmp6(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap, kh_frame_reason *ret);
#endif
