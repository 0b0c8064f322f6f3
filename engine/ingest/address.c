/* address: reads listening addresses. */
#include "ingest/address.h"

#include <arpa/inet.h>

static bool parse_port(const char *p, size_t n, uint16_t *ret)
{
    uint32_t v = 0;
    if (n == 0 || n > 5) return false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        v = v * 10 + (uint32_t)(p[i] - '0');
    }
    *ret = (uint16_t)v;
    return v <= 65535;
}

static bool parse_one(const char *p, size_t n, kh_frame_address *ret, uint16_t *ret_port)
{
    char host[64];
    bool six = n > 0 && p[0] == '[';
    size_t end = n;
    while (end > 0 && p[end - 1] != ':') end--;
    if (end == 0 || !parse_port(p + end, n - end, ret_port)) return false;
    size_t host_n = end - 1;
    if (six) {
        if (host_n < 2 || p[host_n - 1] != ']') return false;
        p++;
        host_n -= 2;
    }
    if (host_n == 0 || host_n >= sizeof host) return false;
    memcpy(host, p, host_n);
    host[host_n] = '\0';
    *ret = (kh_frame_address){.family = six ? 6 : 4};
    return inet_pton(six ? AF_INET6 : AF_INET, host, ret->b) == 1;
}

bool kh_address_parse_list(const char *text, kh_frame_address ret[KH_FRAME_ADDRESSES_MAX], uint32_t *ret_cnt, uint16_t *ret_port)
{
    uint32_t cnt = 0;
    uint16_t port = 0, first = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        if (cnt == KH_FRAME_ADDRESSES_MAX || !parse_one(p, n, &ret[cnt], &port)) return false;
        if (cnt++ == 0) first = port;
        if (port != first) return false;
        p += n;
        if (*p == '\0') break;
    }
    *ret_cnt = cnt;
    *ret_port = first;
    return true;
}

bool kh_address_is_wildcard(const kh_frame_address *address)
{
    static const uint8_t none[16];
    return memcmp(address->b, none, address->family == 4 ? 4 : 16) == 0;
}
