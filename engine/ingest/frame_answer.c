/* frame_answer: what asks this host itself: ARP, neighbour solicitations, echo requests. Each answer replaces its question. */
#include "ingest/frame_bytes.h"

/* within an ARP packet for Ethernet and IPv4 (RFC 826) */
enum { ARP_OPERATION = 6, ARP_FROM_MAC = 8, ARP_FROM = 14, ARP_TO_MAC = 18, ARP_TO = 24, ARP_SZ = 28 };
/* within ICMP and ICMPv6 */
enum {
    ICMP_CODE = 1,
    ICMP_SUM = 2,
    ECHO_SZ = 8,
    NEIGHBOUR_FLAGS = 4,
    NEIGHBOUR_TARGET = 8,
    NEIGHBOUR_SZ = 24,
    NEIGHBOUR_OPTION = 24
};
enum { ECHO_REQUEST = 8, ECHO_REPLY = 0, ECHO6_REQUEST = 128, ECHO6_REPLY = 129, SOLICITATION = 135, ADVERTISEMENT = 136 };

static uint32_t no(kh_frame_reason reason, kh_frame_reason *ret)
{
    *ret = reason;
    return 0;
}

static void turn_ether(const uint8_t mac[6], uint8_t *frame)
{
    memcpy(frame + MAC_TO, frame + MAC_FROM, 6);
    memcpy(frame + MAC_FROM, mac, 6);
}

uint32_t kh_frame_answer_arp(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap, kh_frame_reason *ret)
{
    static const uint8_t ethernet_ip4[6] = {0, 1, 8, 0, 6, 4};
    uint8_t *arp = frame + ETHER_SZ;
    if (n < ETHER_SZ + ARP_SZ || cap < KH_FRAME_LEAST_SZ) return no(KH_FRAME_SHORT, ret);
    if (memcmp(arp, ethernet_ip4, sizeof ethernet_ip4) != 0 || kh_be16(arp + ARP_OPERATION) != 1)
        return no(KH_FRAME_PROTOCOL, ret);
    if (!kh_frame_is_ours(host, 4, arp + ARP_TO)) return no(KH_FRAME_NOT_OURS, ret);
    uint8_t ours[4];
    memcpy(ours, arp + ARP_TO, 4);
    turn_ether(host->mac, frame);
    kh_put_be16(arp + ARP_OPERATION, 2);
    memcpy(arp + ARP_TO_MAC, arp + ARP_FROM_MAC, 6 + 4);
    memcpy(arp + ARP_FROM_MAC, host->mac, 6);
    memcpy(arp + ARP_FROM, ours, 4);
    memset(arp + ARP_SZ, 0, KH_FRAME_LEAST_SZ - ETHER_SZ - ARP_SZ);
    return KH_FRAME_LEAST_SZ;
}

/* The sum of a message whose first byte alone changes, between two types (RFC 1624). */
static void retype(uint8_t *icmp, uint8_t type)
{
    uint16_t sum;
    memcpy(&sum, icmp + ICMP_SUM, 2);
    uint64_t wide = (uint16_t)~sum + (uint64_t)(uint16_t)~icmp[0] + type;
    icmp[0] = type;
    sum = kh_sum_end(wide);
    memcpy(icmp + ICMP_SUM, &sum, 2);
}

uint32_t kh_frame_answer_icmp(uint8_t *frame, uint32_t n, kh_frame_reason *ret)
{
    uint8_t *ip = frame + ETHER_SZ, *icmp = ip + IP4_SZ, mac[6], ours[4];
    if (n < ECHO_SZ) return no(KH_FRAME_SHORT, ret);
    if (icmp[0] != ECHO_REQUEST || icmp[ICMP_CODE] != 0) return no(KH_FRAME_PROTOCOL, ret);
    memcpy(mac, frame + MAC_TO, 6);
    turn_ether(mac, frame);
    memcpy(ours, ip + IP4_TO, 4);
    memcpy(ip + IP4_TO, ip + IP4_FROM, 4);
    memcpy(ip + IP4_FROM, ours, 4);
    ip[IP4_TTL] = 64;
    memset(ip + IP4_SUM, 0, 2);
    uint16_t sum = kh_sum_end(kh_sum(0, ip, IP4_SZ));
    memcpy(ip + IP4_SUM, &sum, 2);
    retype(icmp, ECHO_REPLY);
    return ETHER_SZ + IP4_SZ + n;
}

static bool is_unspecified(const uint8_t *address)
{
    static const uint8_t none[16];
    return memcmp(address, none, 16) == 0;
}

/* The group that asks for this address: ff02::1:ff and its last three bytes (RFC 4291, 2.7.1). */
static bool is_solicited_group(const uint8_t *group, const uint8_t *address)
{
    static const uint8_t prefix[13] = {0xff, 2, [11] = 1, [12] = 0xff};
    return memcmp(group, prefix, sizeof prefix) == 0 && memcmp(group + 13, address + 13, 3) == 0;
}

static bool has_whole_options(const uint8_t *p, uint32_t n)
{
    while (n > 0) {
        if (n < 8 || p[1] == 0 || p[1] * 8u > n) return false;
        n -= p[1] * 8u;
        p += p[1] * 8u;
    }
    return true;
}

/* RFC 4861, 7.1.1 says what a solicitation must satisfy, 7.2.4 what answers it. */
static uint32_t advertise(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap, kh_frame_reason *ret)
{
    uint8_t *ip = frame + ETHER_SZ, *icmp = ip + IP6_SZ, target[16];
    uint32_t answer_n = NEIGHBOUR_SZ + 8;
    if (n < NEIGHBOUR_SZ || cap < ETHER_SZ + IP6_SZ + answer_n || !has_whole_options(icmp + NEIGHBOUR_OPTION, n - NEIGHBOUR_SZ))
        return no(KH_FRAME_SHORT, ret);
    if (ip[IP6_HOPS] != 255 || icmp[ICMP_CODE] != 0) return no(KH_FRAME_HEADER, ret);
    if (kh_sum_end(kh_sum(kh_sum_pseudo(ip, n, PROTOCOL_ICMP6), icmp, n)) != 0) return no(KH_FRAME_CHECKSUM, ret);
    memcpy(target, icmp + NEIGHBOUR_TARGET, 16);
    bool to_group = is_solicited_group(ip + IP6_TO, target), probe = is_unspecified(ip + IP6_FROM);
    if (!kh_frame_is_ours(host, 6, target) || (!to_group && !kh_frame_is_ours(host, 6, ip + IP6_TO)))
        return no(KH_FRAME_NOT_OURS, ret);
    if (ip[IP6_FROM] == 0xff || (probe && !to_group)) return no(KH_FRAME_SOURCE, ret);

    turn_ether(host->mac, frame);
    memcpy(ip + IP6_TO, ip + IP6_FROM, 16);
    if (probe) { /* somebody is about to take our address: all nodes are told */
        static const uint8_t all_mac[6] = {0x33, 0x33, 0, 0, 0, 1}, all[16] = {0xff, 2, [15] = 1};
        memcpy(frame + MAC_TO, all_mac, 6);
        memcpy(ip + IP6_TO, all, 16);
    }
    memcpy(ip + IP6_FROM, target, 16);
    kh_put_be16(ip + IP6_LENGTH, answer_n);
    memset(icmp, 0, NEIGHBOUR_TARGET);
    icmp[0] = ADVERTISEMENT;
    icmp[NEIGHBOUR_FLAGS] = probe ? 0x20 : 0x60; /* override, and solicited */
    icmp[NEIGHBOUR_OPTION] = 2;                  /* the target's hardware address, in units of eight bytes: */
    icmp[NEIGHBOUR_OPTION + 1] = 1;
    memcpy(icmp + NEIGHBOUR_OPTION + 2, host->mac, 6);
    uint16_t sum = kh_sum_end(kh_sum(kh_sum_pseudo(ip, answer_n, PROTOCOL_ICMP6), icmp, answer_n));
    memcpy(icmp + ICMP_SUM, &sum, 2);
    return ETHER_SZ + IP6_SZ + answer_n;
}

uint32_t kh_frame_answer_icmp6(const kh_frame_host *host, uint8_t *frame, uint32_t n, uint32_t cap, kh_frame_reason *ret)
{
    uint8_t *ip = frame + ETHER_SZ, *icmp = ip + IP6_SZ, ours[16];
    if (n < ECHO_SZ) return no(KH_FRAME_SHORT, ret);
    if (icmp[0] == SOLICITATION) return advertise(host, frame, n, cap, ret);
    if (icmp[0] != ECHO6_REQUEST || icmp[ICMP_CODE] != 0) return no(KH_FRAME_PROTOCOL, ret);
    if ((frame[MAC_TO] & 1) != 0 || !kh_frame_is_ours(host, 6, ip + IP6_TO)) return no(KH_FRAME_NOT_OURS, ret);
    if (ip[IP6_FROM] == 0xff || is_unspecified(ip + IP6_FROM)) return no(KH_FRAME_SOURCE, ret);
    turn_ether(host->mac, frame);
    memcpy(ours, ip + IP6_TO, 16);
    memcpy(ip + IP6_TO, ip + IP6_FROM, 16);
    memcpy(ip + IP6_FROM, ours, 16);
    ip[IP6_HOPS] = 64;
    retype(icmp, ECHO6_REPLY);
    return ETHER_SZ + IP6_SZ + n;
}
