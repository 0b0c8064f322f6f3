/* frame: reads frames and writes the headers of replies. A peer is one byte of the caller's, the family, and then the whole
 * headers of the reply but for its lengths and sums. */
#include "ingest/frame_bytes.h"

enum { PEER_FAMILY = 1, PEER_HEAD = 2 };
_Static_assert(PEER_HEAD + KH_FRAME_HEAD6_SZ == KH_FRAME_PEER_SZ, "a peer has room for the longer headers");

const char *kh_frame_reason_word(kh_frame_reason reason)
{
    static const char *const words[KH_FRAME_REASON_CNT] = {"short",  "not_ours", "type", "header",  "fragment",
                                                           "source", "protocol", "port", "checksum"};
    return words[reason];
}

static bool drop(kh_frame_found *ret, kh_frame_reason reason)
{
    ret->reason = reason;
    return false;
}

/* An IPv4 source that nobody can be: none, loopback, group, reserved, broadcast (RFC 1122, 3.2.1.3). */
static bool is_odd4(const uint8_t *a) { return a[0] == 0 || a[0] == 127 || a[0] >= 224; }

/* The same of IPv6: none, loopback, group, an IPv4 address in disguise. */
static bool is_odd6(const uint8_t *a)
{
    static const uint8_t zeros[10];
    return a[0] == 0xff || memcmp(a, zeros, sizeof zeros) == 0;
}

/* The headers of the reply: everything the other way round. */
static void begin_peer(uint8_t family, const uint8_t *frame, uint8_t *peer)
{
    uint8_t *head = peer + PEER_HEAD;
    memset(peer, 0, KH_FRAME_PEER_SZ);
    peer[PEER_FAMILY] = family;
    memcpy(head + MAC_TO, frame + MAC_FROM, 6);
    memcpy(head + MAC_FROM, frame + MAC_TO, 6);
    memcpy(head + ETHER_TYPE, frame + ETHER_TYPE, 2);
}

static void peer_udp(const uint8_t *udp, uint8_t *reply)
{
    memcpy(reply + UDP_FROM, udp + UDP_TO, 2);
    memcpy(reply + UDP_TO, udp + UDP_FROM, 2);
}

/* n: what follows the IP header. */
static bool read_udp(const kh_frame_host *host, const uint8_t *udp, uint32_t n, kh_frame_found *ret)
{
    if (n < UDP_SZ || kh_be16(udp + UDP_LENGTH) != n) return drop(ret, KH_FRAME_SHORT);
    if (kh_be16(udp + UDP_TO) != host->port) return drop(ret, KH_FRAME_PORT);
    if (kh_be16(udp + UDP_FROM) == 0) return drop(ret, KH_FRAME_SOURCE);
    ret->n = n - UDP_SZ;
    return true;
}

/* Whole and consistent IPv4 to us; *ret_n: what follows its header. */
static bool check_ip4(const kh_frame_host *host, const uint8_t *ip, uint32_t n, uint32_t *ret_n, kh_frame_found *ret)
{
    if (n < IP4_SZ) return drop(ret, KH_FRAME_SHORT);
    if (ip[0] != 0x45 || kh_sum_end(kh_sum(0, ip, IP4_SZ)) != 0) return drop(ret, KH_FRAME_HEADER);
    uint32_t length = kh_be16(ip + IP4_LENGTH);
    if (length < IP4_SZ || length > n) return drop(ret, KH_FRAME_SHORT);
    if (!kh_frame_is_ours(host, 4, ip + IP4_TO)) return drop(ret, KH_FRAME_NOT_OURS);
    if ((kh_be16(ip + IP4_FRAGMENT) & 0x3fff) != 0) return drop(ret, KH_FRAME_FRAGMENT);
    if (is_odd4(ip + IP4_FROM)) return drop(ret, KH_FRAME_SOURCE);
    *ret_n = length - IP4_SZ;
    return true;
}

static kh_frame_kind read_ip4(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint8_t *ret_peer, kh_frame_found *ret)
{
    uint8_t *ip = frame + ETHER_SZ, *reply = ret_peer + PEER_HEAD + ETHER_SZ;
    uint32_t body;
    if (!check_ip4(host, ip, n - ETHER_SZ, &body, ret)) return KH_FRAME_DROP;
    if (ip[IP4_PROTOCOL] == PROTOCOL_ICMP) {
        ret->n = kh_frame_answer_icmp(frame, body, &ret->reason);
        return ret->n != 0 ? KH_FRAME_ANSWER : KH_FRAME_DROP;
    }
    if (ip[IP4_PROTOCOL] != PROTOCOL_UDP) return ret->reason = KH_FRAME_PROTOCOL, KH_FRAME_DROP;
    if (!read_udp(host, ip + IP4_SZ, body, ret)) return KH_FRAME_DROP;
    ret->offset = KH_FRAME_HEAD4_SZ;
    begin_peer(4, frame, ret_peer);
    reply[0] = 0x45;
    reply[IP4_FRAGMENT] = 0x40; /* do not fragment: then the identification may be 0 (RFC 6864) */
    reply[IP4_TTL] = 64;
    reply[IP4_PROTOCOL] = PROTOCOL_UDP;
    memcpy(reply + IP4_FROM, ip + IP4_TO, 4);
    memcpy(reply + IP4_TO, ip + IP4_FROM, 4);
    peer_udp(ip + IP4_SZ, reply + IP4_SZ);
    return KH_FRAME_DATAGRAM;
}

static kh_frame_kind read_ip6(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap, uint8_t *ret_peer,
                              kh_frame_found *ret)
{
    uint8_t *ip = frame + ETHER_SZ, *reply = ret_peer + PEER_HEAD + ETHER_SZ;
    ret->reason = KH_FRAME_SHORT;
    if (n - ETHER_SZ < IP6_SZ) return KH_FRAME_DROP;
    uint32_t body = kh_be16(ip + IP6_LENGTH);
    if (ip[0] >> 4 != 6) return ret->reason = KH_FRAME_HEADER, KH_FRAME_DROP;
    if (body > n - ETHER_SZ - IP6_SZ) return KH_FRAME_DROP;
    if (ip[IP6_NEXT] == PROTOCOL_ICMP6) {
        ret->n = kh_frame_answer_icmp6(host, frame, body, cap, &ret->reason);
        return ret->n != 0 ? KH_FRAME_ANSWER : KH_FRAME_DROP;
    }
    if ((frame[MAC_TO] & 1) != 0 || !kh_frame_is_ours(host, 6, ip + IP6_TO))
        return ret->reason = KH_FRAME_NOT_OURS, KH_FRAME_DROP;
    if (ip[IP6_NEXT] == PROTOCOL_FRAGMENT) return ret->reason = KH_FRAME_FRAGMENT, KH_FRAME_DROP;
    if (ip[IP6_NEXT] != PROTOCOL_UDP) return ret->reason = KH_FRAME_PROTOCOL, KH_FRAME_DROP;
    if (is_odd6(ip + IP6_FROM)) return ret->reason = KH_FRAME_SOURCE, KH_FRAME_DROP;
    if (!read_udp(host, ip + IP6_SZ, body, ret)) return KH_FRAME_DROP;
    if (kh_load16(ip + IP6_SZ + UDP_SUM) == 0) return ret->reason = KH_FRAME_CHECKSUM, KH_FRAME_DROP;
    ret->offset = KH_FRAME_HEAD6_SZ;
    begin_peer(6, frame, ret_peer);
    reply[0] = 0x60;
    reply[IP6_NEXT] = PROTOCOL_UDP;
    reply[IP6_HOPS] = 64;
    memcpy(reply + IP6_FROM, ip + IP6_TO, 16);
    memcpy(reply + IP6_TO, ip + IP6_FROM, 16);
    peer_udp(ip + IP6_SZ, reply + IP6_SZ);
    return KH_FRAME_DATAGRAM;
}

kh_frame_kind kh_frame_read(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap,
                            uint8_t ret_peer[KH_FRAME_PEER_SZ], kh_frame_found *ret)
{
    *ret = (kh_frame_found){.reason = KH_FRAME_SHORT};
    if (n < ETHER_SZ) return KH_FRAME_DROP;
    bool group = (frame[MAC_TO] & 1) != 0;
    ret->reason = KH_FRAME_NOT_OURS;
    if (!group && memcmp(frame + MAC_TO, host->mac, 6) != 0) return KH_FRAME_DROP;
    ret->reason = KH_FRAME_SOURCE;
    if ((frame[MAC_FROM] & 1) != 0) return KH_FRAME_DROP;
    switch (kh_be16(frame + ETHER_TYPE)) {
    case TYPE_IP4:
        if (!group) return read_ip4(host, frame, n, ret_peer, ret);
        ret->reason = KH_FRAME_NOT_OURS;
        return KH_FRAME_DROP;
    case TYPE_IP6: return read_ip6(host, frame, n, cap, ret_peer, ret);
    case TYPE_ARP:
        ret->n = kh_frame_answer_arp(host, frame, n, cap, &ret->reason);
        return ret->n != 0 ? KH_FRAME_ANSWER : KH_FRAME_DROP;
    default: ret->reason = KH_FRAME_TYPE; return KH_FRAME_DROP;
    }
}

uint32_t kh_frame_head(const uint8_t peer[KH_FRAME_PEER_SZ], uint8_t *payload, uint32_t n)
{
    bool six = peer[PEER_FAMILY] == 6;
    uint32_t head_n = six ? KH_FRAME_HEAD6_SZ : KH_FRAME_HEAD4_SZ, udp_n = UDP_SZ + n;
    const uint8_t *from = peer + PEER_HEAD, *from_ip = from + ETHER_SZ;
    uint8_t *frame = payload - head_n, *ip = frame + ETHER_SZ, *udp = payload - UDP_SZ;
    uint16_t sum;
    if (six) memcpy(frame, from, KH_FRAME_HEAD6_SZ);
    else memcpy(frame, from, KH_FRAME_HEAD4_SZ);
    kh_put_be16(udp + UDP_LENGTH, udp_n);
    if (six) {
        kh_put_be16(ip + IP6_LENGTH, udp_n);
        sum = kh_sum_end(kh_sum(kh_sum_pseudo(from_ip, udp_n, PROTOCOL_UDP), udp, udp_n));
        if (sum == 0) sum = 0xffff; /* the same number; 0 would mean that there is none */
        memcpy(udp + UDP_SUM, &sum, 2);
    } else { /* summed where it came from, whose length is 0: what was stored just now would be waited for */
        uint8_t length[2];
        kh_put_be16(length, IP4_SZ + udp_n);
        memcpy(ip + IP4_LENGTH, length, 2);
        sum = kh_sum_end(kh_sum(kh_sum(0, from_ip, IP4_SZ), length, 2));
        memcpy(ip + IP4_SUM, &sum, 2);
    }
    return head_n;
}
