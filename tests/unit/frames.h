/* frames: builds frames for tests, by a way of its own: everything is put byte by byte, sums are made the slow way. */
#ifndef KH_TESTS_FRAMES_H
#define KH_TESTS_FRAMES_H
#include <stdint.h>
#include <string.h>

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, their_mac[6] = {2, 0, 0, 0, 0, 9};
static const uint8_t our_ip4[4] = {10, 77, 0, 1}, their_ip4[4] = {10, 77, 0, 2};
static const uint8_t our_ip6[16] = {0xfd, 0x77, [15] = 1}, their_ip6[16] = {0xfd, 0x77, [15] = 2};
#define OUR_PORT 8444

static uint32_t slow_sum(uint32_t sum, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}
static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static void ether_head(uint8_t *f, const uint8_t *to, uint32_t type)
{
    memcpy(f, to, 6);
    memcpy(f + 6, their_mac, 6);
    put16(f + 12, type);
}
static void ip4_sum(uint8_t *f)
{
    put16(f + 24, 0);
    put16(f + 24, ~slow_sum(0, f + 14, 20) & 0xffff);
}
static uint32_t ip4_frame(uint8_t *f, uint8_t protocol, const void *body, uint32_t n)
{
    ether_head(f, our_mac, 0x0800);
    memset(f + 14, 0, 20);
    f[14] = 0x45;
    put16(f + 16, 20 + n);
    f[22] = 63;
    f[23] = protocol;
    memcpy(f + 26, their_ip4, 4);
    memcpy(f + 30, our_ip4, 4);
    ip4_sum(f);
    memcpy(f + 34, body, n);
    return 34 + n;
}
static uint32_t ip6_sum_of(const uint8_t *f, uint32_t n, uint8_t protocol)
{
    uint8_t tail[8] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, protocol};
    return slow_sum(slow_sum(slow_sum(0, f + 22, 32), tail, 8), f + 54, n);
}
static uint32_t ip6_frame(uint8_t *f, uint8_t protocol, const void *body, uint32_t n)
{
    ether_head(f, our_mac, 0x86dd);
    memset(f + 14, 0, 40);
    f[14] = 0x60;
    put16(f + 18, n);
    f[20] = protocol;
    f[21] = 255;
    memcpy(f + 22, their_ip6, 16);
    memcpy(f + 38, our_ip6, 16);
    memcpy(f + 54, body, n);
    return 54 + n;
}
static uint32_t udp4_frame(uint8_t *f, const void *text, uint32_t n)
{
    uint8_t body[1600];
    put16(body, 5555);
    put16(body + 2, OUR_PORT);
    put16(body + 4, 8 + n);
    put16(body + 6, 0);
    memcpy(body + 8, text, n);
    return ip4_frame(f, 17, body, 8 + n);
}
static uint32_t udp6_frame(uint8_t *f, const void *text, uint32_t n)
{
    uint8_t body[1600];
    put16(body, 5555);
    put16(body + 2, OUR_PORT);
    put16(body + 4, 8 + n);
    put16(body + 6, 0);
    memcpy(body + 8, text, n);
    uint32_t all = ip6_frame(f, 17, body, 8 + n);
    put16(f + 60, ~ip6_sum_of(f, 8 + n, 17) & 0xffff);
    return all;
}
static uint32_t arp_frame(uint8_t *f)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, head[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    ether_head(f, all, 0x0806);
    memcpy(f + 14, head, 8);
    memcpy(f + 22, their_mac, 6);
    memcpy(f + 28, their_ip4, 4);
    memset(f + 32, 0, 6);
    memcpy(f + 38, our_ip4, 4);
    return 42;
}
static uint32_t echo4_frame(uint8_t *f, uint32_t n)
{
    uint8_t body[1500] = {8};
    for (uint32_t i = 4; i < n; i++) body[i] = (uint8_t)(i * 7);
    put16(body + 2, ~slow_sum(0, body, n) & 0xffff);
    return ip4_frame(f, 1, body, n);
}
static uint32_t echo6_frame(uint8_t *f, uint32_t n)
{
    uint8_t body[1500] = {128};
    for (uint32_t i = 4; i < n; i++) body[i] = (uint8_t)(i * 5);
    uint32_t all = ip6_frame(f, 58, body, n);
    put16(f + 56, ~ip6_sum_of(f, n, 58) & 0xffff);
    return all;
}
static void neighbour_sum(uint8_t *f, uint32_t n)
{
    put16(f + 56, 0);
    put16(f + 56, ~ip6_sum_of(f, n, 58) & 0xffff);
}
static uint32_t neighbour_frame(uint8_t *f)
{
    static const uint8_t group_mac[6] = {0x33, 0x33, 0xff, 0, 0, 1}, group[16] = {0xff, 2, [11] = 1, 0xff, 0, 0, 1};
    uint8_t body[32] = {135, [24] = 1, 1};
    memcpy(body + 8, our_ip6, 16);
    memcpy(body + 26, their_mac, 6);
    uint32_t all = ip6_frame(f, 58, body, 32);
    memcpy(f, group_mac, 6);
    memcpy(f + 38, group, 16);
    neighbour_sum(f, 32);
    return all;
}
#endif
