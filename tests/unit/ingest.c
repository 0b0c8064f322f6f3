/* Frames as bytes, addresses, DPDK's arguments. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "frames.h"
#include "ingest/address.h"
#include "ingest/dpdk_args.h"
#include "ingest/frame.h"

static kh_frame_host host(void)
{
    kh_frame_host h = {.port = OUR_PORT, .address_cnt = 2, .addresses = {{.family = 4}, {.family = 6}}};
    memcpy(h.mac, our_mac, 6);
    memcpy(h.addresses[0].b, our_ip4, 4);
    memcpy(h.addresses[1].b, our_ip6, 16);
    return h;
}

typedef struct seen {
    kh_frame_kind kind;
    kh_frame_found found;
    uint8_t peer[KH_FRAME_PEER_SZ], frame[2048];
} seen;

/* In memory of exactly its size, so that a sanitizer sees a byte too many; cap is what frames really have where room says so. */
static seen look(const uint8_t *frame, uint32_t n, uint32_t room)
{
    seen s = {0};
    kh_frame_host h = host();
    uint8_t *p = malloc(n + room > 0 ? n + room : 1);
    memcpy(p, frame, n);
    s.kind = kh_frame_read(&h, p, n, n + room, s.peer, &s.found);
    memcpy(s.frame, p, n + room);
    free(p);
    return s;
}

static void is_dropped(const uint8_t *frame, uint32_t n, kh_frame_reason reason, int line)
{
    seen s = look(frame, n, 100);
    cr_assert(s.kind == KH_FRAME_DROP, "line %d: kind %d", line, s.kind);
    cr_assert(s.found.reason == reason, "line %d: %s", line, kh_frame_reason_word(s.found.reason));
}
#define DROPPED(frame, n, reason) is_dropped(frame, n, reason, __LINE__)

static uint8_t f[2048], golden[2048];

Test(frame, udp4_golden)
{
    uint32_t n = udp4_frame(f, "hello", 5);
    memset(f + n, 0xee, 13); /* Ethernet's padding is no payload */
    seen s = look(f, 60, 0);
    cr_assert(s.kind == KH_FRAME_DATAGRAM && s.found.offset == 42 && s.found.n == 5);
    static const uint8_t want[] = {
        2,    0,  0, 0,  0,    9,    2,    0,    0,  0,  0,    1,    8,   0, /* to them, from us, IPv4 */
        0x45, 0,  0, 31, 0,    0,    0x40, 0,    64, 17, 0x26, 0x32, 10,  77,  0,  1,
        10,   77, 0, 2,  0x20, 0xfc, 0x15, 0xb3, 0,  11, 0,    0,    'b', 'y', 'e'};
    uint8_t out[128];
    memcpy(out + 62, "bye", 3);
    cr_assert(kh_frame_head(s.peer, out + 62, 3) == 42);
    cr_assert(memcmp(out + 20, want, sizeof want) == 0);
    cr_assert(slow_sum(0, out + 34, 20) == 0xffff);
}

Test(frame, udp6_golden)
{
    uint32_t n = udp6_frame(f, "hello", 5);
    seen s = look(f, n, 0);
    cr_assert(s.kind == KH_FRAME_DATAGRAM && s.found.offset == 62 && s.found.n == 5);
    uint8_t out[256] = {0};
    memcpy(out + 62, "answer!", 7);
    cr_assert(kh_frame_head(s.peer, out + 62, 7) == 62);
    static const uint8_t head[] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 15, 17, 64};
    cr_assert(memcmp(out, head, sizeof head) == 0);
    cr_assert(memcmp(out + 22, our_ip6, 16) == 0 && memcmp(out + 38, their_ip6, 16) == 0);
    cr_assert(out[54] == 0x20 && out[55] == 0xfc && out[56] == 0x15 && out[57] == 0xb3 && out[59] == 15);
    cr_assert(ip6_sum_of(out, 15, 17) == 0xffff);
}

/* A sum that comes out as zero is sent as its other form. */
Test(frame, udp6_sum_is_never_zero)
{
    uint32_t n = udp6_frame(f, "x", 1);
    seen s = look(f, n, 0);
    uint8_t out[128] = {0};
    for (uint32_t v = 0; v < 0x10000; v++) {
        put16(out + 62, v);
        kh_frame_head(s.peer, out + 62, 2);
        cr_assert(out[60] != 0 || out[61] != 0);
        cr_assert(ip6_sum_of(out, 10, 17) == 0xffff);
    }
}

Test(frame, every_length)
{
    uint8_t text[1453], out[2048];
    memset(text, 'x', sizeof text);
    for (uint32_t n = 0; n <= 1452; n++) {
        uint32_t all = udp6_frame(f, text, n);
        seen s = look(f, all, 0);
        cr_assert(s.kind == KH_FRAME_DATAGRAM && s.found.n == n);
        memcpy(out + 62, text, n);
        kh_frame_head(s.peer, out + 62, n);
        cr_assert(ip6_sum_of(out, n + 8, 17) == 0xffff);
    }
}

Test(frame, cut_anywhere)
{
    uint32_t n = udp4_frame(f, "hello", 5);
    for (uint32_t i = 0; i < n; i++) cr_assert(look(f, i, 0).kind == KH_FRAME_DROP);
    n = udp6_frame(f, "hello", 5);
    for (uint32_t i = 0; i < n; i++) cr_assert(look(f, i, 0).kind == KH_FRAME_DROP);
    n = arp_frame(f);
    for (uint32_t i = 0; i < n; i++) cr_assert(look(f, i, 100).kind == KH_FRAME_DROP);
    n = neighbour_frame(f);
    for (uint32_t i = 0; i < n; i++) cr_assert(look(f, i, 100).kind == KH_FRAME_DROP);
    cr_assert(look(f, n, 0).kind == KH_FRAME_ANSWER);
    n = arp_frame(f);
    cr_assert(look(f, n, 0).kind == KH_FRAME_DROP, "no room for an answer");
}

#define CHANGED4(at, v, reason)                                                                                                  \
    do {                                                                                                                         \
        uint32_t n_ = udp4_frame(f, "hello", 5);                                                                                 \
        f[at] = v;                                                                                                               \
        ip4_sum(f);                                                                                                              \
        DROPPED(f, n_, reason);                                                                                                  \
    } while (0)

Test(frame, ethernet_errors)
{
    CHANGED4(0, 4, KH_FRAME_NOT_OURS);
    CHANGED4(0, 3, KH_FRAME_NOT_OURS); /* a group */
    CHANGED4(6, 3, KH_FRAME_SOURCE);
    CHANGED4(12, 0x81, KH_FRAME_TYPE); /* VLAN */
    udp4_frame(f, "hello", 5);
    DROPPED(f, 13, KH_FRAME_SHORT);
}

Test(frame, ip4_errors)
{
    CHANGED4(14, 0x46, KH_FRAME_HEADER); /* options */
    CHANGED4(14, 0x44, KH_FRAME_HEADER);
    CHANGED4(14, 0x65, KH_FRAME_HEADER);
    CHANGED4(17, 19, KH_FRAME_SHORT);
    CHANGED4(17, 200, KH_FRAME_SHORT);
    CHANGED4(17, 32, KH_FRAME_SHORT);      /* UDP's length disagrees */
    CHANGED4(20, 0x20, KH_FRAME_FRAGMENT); /* more follow */
    CHANGED4(21, 1, KH_FRAME_FRAGMENT);
    CHANGED4(33, 9, KH_FRAME_NOT_OURS);
    CHANGED4(26, 0, KH_FRAME_SOURCE);
    CHANGED4(26, 127, KH_FRAME_SOURCE);
    CHANGED4(26, 224, KH_FRAME_SOURCE);
    CHANGED4(26, 255, KH_FRAME_SOURCE);
    CHANGED4(23, 6, KH_FRAME_PROTOCOL); /* TCP */
    CHANGED4(37, 1, KH_FRAME_PORT);
    CHANGED4(39, 7, KH_FRAME_SHORT);
    CHANGED4(39, 12, KH_FRAME_SHORT);
    uint32_t n = udp4_frame(f, "hello", 5);
    f[25] ^= 1;
    DROPPED(f, n, KH_FRAME_HEADER);
    n = udp4_frame(f, "hello", 5);
    put16(f + 34, 0);
    DROPPED(f, n, KH_FRAME_SOURCE);
    DROPPED(f, 33, KH_FRAME_SHORT);
    n = udp4_frame(f, "hello", 5);
    f[20] = 0x40; /* "do not fragment" is no fragment */
    ip4_sum(f);
    cr_assert(look(f, n, 0).kind == KH_FRAME_DATAGRAM);
}

#define CHANGED6(at, v, reason)                                                                                                  \
    do {                                                                                                                         \
        uint32_t n_ = udp6_frame(f, "hello", 5);                                                                                 \
        f[at] = v;                                                                                                               \
        DROPPED(f, n_, reason);                                                                                                  \
    } while (0)

Test(frame, ip6_errors)
{
    CHANGED6(14, 0x45, KH_FRAME_HEADER);
    CHANGED6(19, 14, KH_FRAME_SHORT);
    CHANGED6(19, 12, KH_FRAME_SHORT);
    CHANGED6(18, 9, KH_FRAME_SHORT);
    CHANGED6(20, 44, KH_FRAME_FRAGMENT);
    CHANGED6(20, 0, KH_FRAME_PROTOCOL); /* hop-by-hop */
    CHANGED6(20, 6, KH_FRAME_PROTOCOL);
    CHANGED6(53, 9, KH_FRAME_NOT_OURS);
    CHANGED6(22, 0xff, KH_FRAME_SOURCE);
    CHANGED6(57, 1, KH_FRAME_PORT);
    CHANGED6(0, 0x33, KH_FRAME_NOT_OURS);
    uint32_t n = udp6_frame(f, "hello", 5);
    memset(f + 22, 0, 16);
    DROPPED(f, n, KH_FRAME_SOURCE);
    n = udp6_frame(f, "hello", 5);
    put16(f + 60, 0);
    DROPPED(f, n, KH_FRAME_CHECKSUM);
    n = udp6_frame(f, "hello", 5);
    put16(f + 54, 0);
    DROPPED(f, n, KH_FRAME_SOURCE);
    DROPPED(f, 53, KH_FRAME_SHORT);
}

Test(frame, arp)
{
    uint32_t n = arp_frame(f);
    seen s = look(f, n, 18);
    static const uint8_t want[60] = {2, 0, 0, 0, 0, 9, 2, 0,  0,  0, 0, 1, 8, 6, 0, 1, 8, 0,  6,  4, 0,
                                     2, 2, 0, 0, 0, 0, 1, 10, 77, 0, 1, 2, 0, 0, 0, 0, 9, 10, 77, 0, 2};
    cr_assert(s.kind == KH_FRAME_ANSWER && s.found.n == 60 && s.found.offset == 0);
    cr_assert(memcmp(s.frame, want, 60) == 0);
    f[21] = 2; /* an answer asks nothing */
    DROPPED(f, n, KH_FRAME_PROTOCOL);
    arp_frame(f);
    f[41] = 9;
    DROPPED(f, n, KH_FRAME_NOT_OURS);
    arp_frame(f);
    f[18] = 8;
    DROPPED(f, n, KH_FRAME_PROTOCOL);
    DROPPED(f, 41, KH_FRAME_SHORT);
}

Test(frame, echo4)
{
    for (uint32_t size = 8; size < 1400; size += 111) {
        uint32_t n = echo4_frame(f, size);
        seen s = look(f, n, 0);
        cr_assert(s.kind == KH_FRAME_ANSWER && s.found.n == n);
        cr_assert(s.frame[34] == 0 && slow_sum(0, s.frame + 34, size) == 0xffff && slow_sum(0, s.frame + 14, 20) == 0xffff);
        cr_assert(memcmp(s.frame, their_mac, 6) == 0 && memcmp(s.frame + 6, our_mac, 6) == 0);
        cr_assert(memcmp(s.frame + 26, our_ip4, 4) == 0 && memcmp(s.frame + 30, their_ip4, 4) == 0);
        cr_assert(memcmp(s.frame + 38, f + 38, size - 4) == 0);
    }
    uint32_t n = echo4_frame(f, 40);
    f[34] = 0; /* a reply */
    DROPPED(f, n, KH_FRAME_PROTOCOL);
    n = echo4_frame(f, 7);
    DROPPED(f, n, KH_FRAME_SHORT);
}

Test(frame, echo6)
{
    for (uint32_t size = 8; size < 1400; size += 111) {
        uint32_t n = echo6_frame(f, size);
        seen s = look(f, n, 0);
        cr_assert(s.kind == KH_FRAME_ANSWER && s.found.n == n);
        cr_assert(s.frame[54] == 129 && ip6_sum_of(s.frame, size, 58) == 0xffff && s.frame[21] == 64);
        cr_assert(memcmp(s.frame + 22, our_ip6, 16) == 0 && memcmp(s.frame + 38, their_ip6, 16) == 0);
    }
    uint32_t n = echo6_frame(f, 40);
    f[53] = 7;
    DROPPED(f, n, KH_FRAME_NOT_OURS);
    n = echo6_frame(f, 40);
    memset(f + 22, 0, 16);
    DROPPED(f, n, KH_FRAME_SOURCE);
    n = echo6_frame(f, 40);
    f[54] = 1;
    DROPPED(f, n, KH_FRAME_PROTOCOL);
    n = echo6_frame(f, 40);
    f[0] |= 1;
    DROPPED(f, n, KH_FRAME_NOT_OURS);
}

static void is_advertised(const uint8_t *frame, const uint8_t *to, uint8_t flags)
{
    seen s = look(frame, neighbour_frame(golden), 0);
    cr_assert(s.kind == KH_FRAME_ANSWER && s.found.n == 86);
    cr_assert(s.frame[54] == 136 && s.frame[58] == flags && ip6_sum_of(s.frame, 32, 58) == 0xffff && s.frame[21] == 255);
    cr_assert(memcmp(s.frame + 22, our_ip6, 16) == 0 && memcmp(s.frame + 38, to, 16) == 0);
    cr_assert(memcmp(s.frame + 62, our_ip6, 16) == 0 && s.frame[78] == 2 && s.frame[79] == 1 &&
              memcmp(s.frame + 80, our_mac, 6) == 0);
}

Test(frame, neighbours)
{
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    neighbour_frame(f);
    is_advertised(f, their_ip6, 0x60);
    neighbour_frame(f);
    memcpy(f, our_mac, 6);
    memcpy(f + 38, our_ip6, 16); /* is it still there? */
    neighbour_sum(f, 32);
    is_advertised(f, their_ip6, 0x60);
    neighbour_frame(f);
    memset(f + 22, 0, 16); /* a probe for a double address */
    neighbour_sum(f, 32);
    is_advertised(f, all_nodes, 0x20);
}

#define CHANGED_N(at, v, reason)                                                                                                 \
    do {                                                                                                                         \
        uint32_t n_ = neighbour_frame(f);                                                                                        \
        f[at] = v;                                                                                                               \
        neighbour_sum(f, 32);                                                                                                    \
        DROPPED(f, n_, reason);                                                                                                  \
    } while (0)

Test(frame, neighbour_errors)
{
    CHANGED_N(21, 254, KH_FRAME_HEADER); /* from beyond a router */
    CHANGED_N(55, 1, KH_FRAME_HEADER);
    CHANGED_N(77, 9, KH_FRAME_NOT_OURS);
    CHANGED_N(53, 9, KH_FRAME_NOT_OURS);
    CHANGED_N(22, 0xff, KH_FRAME_SOURCE);
    CHANGED_N(79, 0, KH_FRAME_SHORT); /* an option without length */
    CHANGED_N(79, 2, KH_FRAME_SHORT);
    uint32_t n = neighbour_frame(f);
    f[57] ^= 1;
    DROPPED(f, n, KH_FRAME_CHECKSUM);
    n = neighbour_frame(f);
    memset(f + 22, 0, 16);
    memcpy(f + 38, our_ip6, 16);
    neighbour_sum(f, 32);
    DROPPED(f, n, KH_FRAME_SOURCE);
}

Test(address, lists)
{
    kh_frame_address a[KH_FRAME_ADDRESSES_MAX];
    uint32_t cnt;
    uint16_t port;
    cr_assert(kh_address_parse_list("127.0.0.1:8444", a, &cnt, &port) && cnt == 1 && port == 8444 && a[0].family == 4 &&
              a[0].b[0] == 127);
    cr_assert(kh_address_parse_list("[::1]:0,10.0.0.1:0", a, &cnt, &port) && cnt == 2 && port == 0 && a[0].family == 6 &&
              a[0].b[15] == 1);
    cr_assert(kh_address_parse_list("0.0.0.0:65535", a, &cnt, &port) && kh_address_is_wildcard(&a[0]));
    static const char *const bad[] = {"",
                                      ":1",
                                      "1.2.3.4",
                                      "1.2.3.4:",
                                      "1.2.3.4:65536",
                                      "1.2.3.4:x",
                                      "::1:80",
                                      "[::1:80",
                                      "[]:1",
                                      "[::1]80",
                                      "1.2.3.4:80,",
                                      "1.2.3.4:80,1.2.3.5:81",
                                      "1.2.3:80",
                                      "host:80",
                                      "1.2.3.4:000080",
                                      "1.1.1.1:1,1.1.1.2:1,1.1.1.3:1,1.1.1.4:1,1.1.1.5:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert(!kh_address_parse_list(bad[i], a, &cnt, &port), "%s", bad[i]);
}

static const char *joined(const char *text, bool huge)
{
    static char all[3000];
    static kh_dpdk_args args;
    kh_dpdk_facts facts = {.huge_pages = huge, .cpu = 3, .pid = 77};
    if (!kh_dpdk_args_make(text, &facts, &args)) return "no";
    all[0] = '\0';
    for (int i = 0; i < args.argc; i++) strcat(strcat(all, i > 0 ? " " : ""), args.argv[i]);
    cr_assert(args.argv[args.argc] == NULL);
    return all;
}

Test(dpdk_args, what_is_added)
{
    cr_assert_str_eq(
        joined("--vdev=net_ring0", true),
        "kanhed --vdev=net_ring0 --no-pci -l 3 --in-memory --file-prefix=kanhe77 --no-telemetry --log-level=warning");
    cr_assert_str_eq(joined(" --vdev=net_ring0\t", false), "kanhed --vdev=net_ring0 --no-pci -l 3 --no-huge -m 128 --no-shconf "
                                                           "--file-prefix=kanhe77 --no-telemetry --log-level=warning");
    cr_assert_str_eq(joined("-l 1 -a 0000:3b:00.0 --file-prefix=x --huge-dir=/h --telemetry --log-level=8", true),
                     "kanhed -l 1 -a 0000:3b:00.0 --file-prefix=x --huge-dir=/h --telemetry --log-level=8");
    cr_assert_str_eq(joined("-l1 --no-pci --no-huge -m64 --no-shconf --file-prefix x --no-telemetry --log-level 8", true),
                     "kanhed -l1 --no-pci --no-huge -m64 --no-shconf --file-prefix x --no-telemetry --log-level 8");
}

Test(dpdk_args, bounds)
{
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_assert_str_eq(joined(text, true), "no");
    for (size_t i = 1; i < sizeof text - 1; i += 2) text[i] = ' ';
    cr_assert_str_eq(joined(text, true), "no");
}
