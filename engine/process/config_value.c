/* config_value: how each kind of value is read and checked. */
#include "process/config_inside.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "service/limits.h"

bool kh_config_wrong(const kh_reading *r, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = line != 0 ? snprintf(r->why, r->cap, "%s:%u: ", r->name, line) : snprintf(r->why, r->cap, "%s: ", r->name);
    if (n > 0 && (size_t)n < r->cap) (void)vsnprintf(r->why + n, r->cap - (size_t)n, format, args);
    va_end(args);
    return false;
}

bool kh_config_split(const char *address, char ret_host[KH_CONFIG_ADDRESS_MAX], uint16_t *ret_port)
{
    char host[KH_CONFIG_ADDRESS_MAX];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strlen(address) >= KH_CONFIG_ADDRESS_MAX) return false;
    size_t n = (size_t)(colon - address);
    bool six = address[0] == '[' && colon[-1] == ']' && n > 2;
    if (six) address++, n -= 2;
    memcpy(host, address, n);
    host[n] = '\0';
    uint8_t bytes[16];
    if (inet_pton(six ? AF_INET6 : AF_INET, host, bytes) != 1) return false;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0') return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port > 65535) return false;
    memcpy(ret_host, host, n + 1);
    *ret_port = (uint16_t)port;
    return true;
}

/* next_address copies the address at *at and moves on behind the comma; false where there is none or it is too long. */
bool kh_config_first_address(const char **at, char ret[KH_CONFIG_ADDRESS_MAX])
{
    const char *from = *at + strspn(*at, " ");
    size_t n = strcspn(from, ", ");
    const char *behind = from + n + strspn(from + n, " ");
    if (n == 0 || n >= KH_CONFIG_ADDRESS_MAX || (behind[0] != ',' && behind[0] != '\0')) return false;
    memcpy(ret, from, n);
    ret[n] = '\0';
    *at = behind + (behind[0] == ',');
    return behind[0] == '\0' || (*at)[0] != '\0';
}

static bool are_addresses(const char *text)
{
    char address[KH_CONFIG_ADDRESS_MAX], host[KH_CONFIG_ADDRESS_MAX];
    uint16_t first = 0, port;
    uint32_t n = 0;
    for (const char *at = text; at[0] != '\0'; n++) {
        if (n == 4 || !kh_config_first_address(&at, address) || !kh_config_split(address, host, &port) ||
            (n != 0 && port != first))
            return false;
        first = port;
    }
    return n != 0;
}

bool kh_config_wildcard(const char *host) { return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0; }

static bool read_text(const kh_reading *r, const kh_config_key *k, const config_setting_t *s, const char *named)
{
    char *to = (char *)r->config + k->offset;
    const char *text = config_setting_get_string(s), *folder = "", *slash = "";
    char host[KH_CONFIG_ADDRESS_MAX];
    uint16_t port;
    kh_limit_rate rate;
    unsigned line = config_setting_source_line(s);
    if (text == NULL) return kh_config_wrong(r, line, "\"%s\" is a text in quotes", named);
    if (text[0] == '\0') return kh_config_wrong(r, line, "\"%s\" is empty: leave the key out instead", named);
    if (k->kind == V_ADDRESS && !kh_config_split(text, host, &port))
        return kh_config_wrong(r, line, "\"%s\" is an address and a port, as 127.0.0.1:8443 or [::1]:8443", named);
    if (k->kind == V_ADDRESSES && !are_addresses(text))
        return kh_config_wrong(
            r, line, "\"%s\" is an address and a port, as 127.0.0.1:8444, or up to four of one port with commas between", named);
    if (k->kind == V_RATE && !kh_limit_rate_parse(text, &rate))
        return kh_config_wrong(r, line, "\"%s\" is \"BURST/PER_SECOND\", as 10000/100, or \"off\"", named);
    if (k->kind == V_RPC && (strncmp(text, "http://", 7) != 0 || !kh_config_split(text + 7, host, &port)))
        return kh_config_wrong(r, line, "\"%s\" is http://, an address and a port, as http://127.0.0.1:26657", named);
    if (k->kind == V_URL && strncmp(text, "https://", 8) != 0)
        return kh_config_wrong(r, line, "\"%s\" begins with https://", named);
    bool path = k->kind == V_PATH || (k->kind == V_KEY && strncmp(text, "pkcs11:", 7) != 0);
    if (path && text[0] != '/' && strcmp(r->folder, ".") != 0) folder = r->folder, slash = "/";
    int n = snprintf(to, k->size, "%s%s%s", folder, slash, text);
    if (n < 0 || (size_t)n >= k->size) return kh_config_wrong(r, line, "\"%s\" has more than %zu characters", named, k->size - 1);
    return true;
}

/* libconfig keeps 32 bits of a number, with their sign, unless it is told that there are more */
#define WITH_L " (above 2147483647 with L behind it: 4000000000L)"

static bool whole_number(const config_setting_t *s, uint64_t least, uint64_t most, uint64_t *ret)
{
    int type = config_setting_type(s);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) return false;
    long long value = config_setting_get_int64(s);
    if (value < 0 || (uint64_t)value < least || (uint64_t)value > most) return false;
    *ret = (uint64_t)value;
    return true;
}

static bool read_cpus(const kh_reading *r, const kh_config_key *k, const config_setting_t *s, const char *named)
{
    int n = config_setting_is_aggregate(s) ? config_setting_length(s) : -1;
    if (n < 1 || n > (int)KH_CONFIG_CPUS_MAX)
        return kh_config_wrong(r, config_setting_source_line(s), "\"%s\" is a list of 1 to %u processor numbers, as [ 1, 2 ]",
                               named, KH_CONFIG_CPUS_MAX);
    for (int i = 0; i < n; i++) {
        uint64_t cpu;
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
        if (!whole_number(item, k->least, k->most, &cpu))
            return kh_config_wrong(r, config_setting_source_line(item), "\"%s\" holds something that is no processor number",
                                   named);
        r->config->datagrams.cpus[i] = (int)cpu;
    }
    r->config->datagrams.cpu_cnt = (uint32_t)n;
    return true;
}

/* One of ( { member = 12; address = "127.0.0.3:27000"; }, … ). */
static bool read_member(const kh_reading *r, const config_setting_t *s, const char *named, bool hub, kh_config_member *ret)
{
    const char *where = hub ? "url" : "address", *at = NULL;
    const config_setting_t *id = config_setting_is_group(s) ? config_setting_get_member(s, "member") : NULL;
    char host[KH_CONFIG_ADDRESS_MAX];
    uint64_t member;
    uint16_t port;
    if (id == NULL || config_setting_length(s) != 2 || !whole_number(id, 1, UINT32_MAX, &member) ||
        config_setting_lookup_string(s, where, &at) != CONFIG_TRUE)
        return kh_config_wrong(r, config_setting_source_line(s),
                               "\"%s\" holds something that is not { member = …; %s = \"…\"; }%s", named, where, WITH_L);
    bool good = hub ? strncmp(at, "https://", 8) == 0 && kh_config_split(at + 8, host, &port) : kh_config_split(at, host, &port);
    if (!good)
        return kh_config_wrong(r, config_setting_source_line(s), "\"%s\": \"%s\" %s", named, where,
                               hub ? "is https://, an address and a port, as https://192.0.2.9:8443"
                                   : "is an address and a port, as 192.0.2.12:27000");
    int n = snprintf(ret->at, sizeof ret->at, "%s", at);
    if (n < 0 || (size_t)n >= sizeof ret->at)
        return kh_config_wrong(r, config_setting_source_line(s), "\"%s\": a %s is too long", named, where);
    ret->member = (uint32_t)member;
    return true;
}

static bool read_members(const kh_reading *r, const kh_config_key *k, const config_setting_t *s, const char *named)
{
    bool hubs = k->kind == V_HUBS;
    kh_config_member *to = hubs ? r->config->cluster.hubs : r->config->cluster.links.peers;
    int n = config_setting_type(s) == CONFIG_TYPE_LIST ? config_setting_length(s) : -1;
    if (n < 0 || (uint64_t)n > k->most)
        return kh_config_wrong(r, config_setting_source_line(s), "\"%s\" is a list of up to %llu: ( { … }, { … } )", named,
                               (unsigned long long)k->most);
    for (int i = 0; i < n; i++) {
        if (!read_member(r, config_setting_get_elem(s, (unsigned)i), named, hubs, &to[i])) return false;
        for (int j = 0; j < i; j++)
            if (to[j].member == to[i].member)
                return kh_config_wrong(r, config_setting_source_line(s), "\"%s\" names member %u twice", named, to[i].member);
    }
    *(hubs ? &r->config->cluster.hub_cnt : &r->config->cluster.links.peer_cnt) = (uint32_t)n;
    return true;
}

bool kh_config_value(const kh_reading *r, const kh_config_key *k, const config_setting_t *s, const char *named)
{
    uint64_t number;
    switch (k->kind) {
    case V_COUNT:
        if (!whole_number(s, k->least, k->most, &number))
            return kh_config_wrong(r, config_setting_source_line(s), "\"%s\" is a whole number from %llu to %llu%s", named,
                                   (unsigned long long)k->least, (unsigned long long)k->most, k->most > INT32_MAX ? WITH_L : "");
        *(uint32_t *)((char *)r->config + k->offset) = (uint32_t)number;
        return true;
    case V_BOOL:
        if (config_setting_type(s) != CONFIG_TYPE_BOOL)
            return kh_config_wrong(r, config_setting_source_line(s), "\"%s\" is true or false", named);
        *(bool *)((char *)r->config + k->offset) = config_setting_get_bool(s) != 0;
        return true;
    case V_CPUS: return read_cpus(r, k, s, named);
    case V_PEERS:
    case V_HUBS: return read_members(r, k, s, named);
    default: return read_text(r, k, s, named);
    }
}
