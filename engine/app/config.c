/* config: the table of keys, and how each is read and checked. */
#include "app/config.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "service/limits.h"

typedef enum value_kind { V_TEXT, V_PATH, V_KEY, V_ADDRESS, V_ADDRESSES, V_RATE, V_COUNT, V_BOOL, V_CPUS, V_URL } value_kind;
typedef struct key {
    const char *name;
    value_kind kind;
    size_t offset, size;
    uint64_t least, most; /* of a count */
    bool needed;
} key;
#define AT(field) offsetof(kh_config, field), sizeof(((kh_config *)0)->field)

static const key top_keys[] = {
    {"data", V_PATH, AT(data), 0, 0, true},
    {"listen", V_ADDRESS, AT(listen), 0, 0, true},
    {"url", V_URL, AT(url), 0, 0, false},
    {"ca", V_PATH, AT(ca), 0, 0, true},
    {"certificate", V_PATH, AT(certificate), 0, 0, true},
    {"key", V_KEY, AT(key), 0, 0, true},
    {"max_connections", V_COUNT, AT(max_connections), 1, 1000000, false},
    {"max_connections_per_address", V_COUNT, AT(max_connections_per_address), 1, 1000000, false},
    {"idle_s", V_COUNT, AT(idle_s), 1, 86400, false},
    {"workers", V_COUNT, AT(workers), 1, 256, false},
    {"max_body", V_COUNT, AT(max_body), 4096, UINT64_C(1) << 30, false},
    {"queue", V_COUNT, AT(queue), 1, 1000000, false},
    {"metrics_listen", V_ADDRESS, AT(metrics_listen), 0, 0, false},
    {"openapi", V_PATH, AT(openapi), 0, 0, false},
    {"user", V_TEXT, AT(user), 0, 0, false},
    {"log", V_PATH, AT(log), 0, 0, false},
    {"log_requests", V_BOOL, AT(log_requests), 0, 0, false},
    {"sandbox", V_BOOL, AT(sandbox), 0, 0, false},
};
static const key datagram_keys[] = {
    {"listen", V_ADDRESSES, AT(datagrams.listen), 0, 0, true},
    {"address", V_ADDRESS, AT(datagrams.address), 0, 0, false},
    {"pollers", V_COUNT, AT(datagrams.pollers), 1, KH_CONFIG_CPUS_MAX, false},
    {"cpus", V_CPUS, AT(datagrams.cpus), 0, 4095, false},
    {"dpdk", V_TEXT, AT(datagrams.dpdk), 0, 0, false},
    {"trust_peers", V_BOOL, AT(datagrams.trust_peers), 0, 0, false},
    {"spin_us", V_COUNT, AT(datagrams.spin_us), 0, UINT32_MAX, false},
    {"max_sessions", V_COUNT, AT(datagrams.max_sessions), 1, 1000000, false},
    {"session_s", V_COUNT, AT(datagrams.session_s), 10, 3600, false},
};
static const key limit_keys[] = {
    {"probe_limit", V_RATE, AT(limits.probe), 0, 0, false},
    {"query_limit", V_RATE, AT(limits.query), 0, 0, false},
    {"operation_limit", V_RATE, AT(limits.operation), 0, 0, false},
    {"address_limit", V_RATE, AT(limits.address), 0, 0, false},
};
static const struct {
    const char *name;
    const key *keys;
    size_t n;
} groups[] = {
    {"", top_keys, sizeof top_keys / sizeof top_keys[0]},
    {"datagrams", datagram_keys, sizeof datagram_keys / sizeof datagram_keys[0]},
    {"limits", limit_keys, sizeof limit_keys / sizeof limit_keys[0]},
};

typedef struct reading {
    const char *folder, *name;
    kh_config *config;
    char *why;
    size_t cap;
} reading;

static bool wrong(const reading *r, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool wrong(const reading *r, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = line != 0 ? snprintf(r->why, r->cap, "%s:%u: ", r->name, line) : snprintf(r->why, r->cap, "%s: ", r->name);
    if (n > 0 && (size_t)n < r->cap) (void)vsnprintf(r->why + n, r->cap - (size_t)n, format, args);
    va_end(args);
    return false;
}

bool kh_config_is_token(const kh_config *config) { return strncmp(config->key, "pkcs11:", 7) == 0; }

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
static bool next_address(const char **at, char ret[KH_CONFIG_ADDRESS_MAX])
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
        if (n == 4 || !next_address(&at, address) || !kh_config_split(address, host, &port) || (n != 0 && port != first))
            return false;
        first = port;
    }
    return n != 0;
}

void kh_config_told(const kh_config *config, char ret[KH_CONFIG_ADDRESS_MAX])
{
    const char *at = config->datagrams.address[0] != '\0' ? config->datagrams.address : config->datagrams.listen;
    bool good = next_address(&at, ret);
    KH_ASSERT(good);
}

static bool is_wildcard(const char *host) { return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0; }

static bool read_text(const reading *r, const key *k, const config_setting_t *s, const char *named)
{
    char *to = (char *)r->config + k->offset;
    const char *text = config_setting_get_string(s), *folder = "", *slash = "";
    char host[KH_CONFIG_ADDRESS_MAX];
    uint16_t port;
    kh_limit_rate rate;
    unsigned line = config_setting_source_line(s);
    if (text == NULL) return wrong(r, line, "\"%s\" is a text in quotes", named);
    if (text[0] == '\0') return wrong(r, line, "\"%s\" is empty: leave the key out instead", named);
    if (k->kind == V_ADDRESS && !kh_config_split(text, host, &port))
        return wrong(r, line, "\"%s\" is an address and a port, as 127.0.0.1:8443 or [::1]:8443", named);
    if (k->kind == V_ADDRESSES && !are_addresses(text))
        return wrong(r, line, "\"%s\" is an address and a port, as 127.0.0.1:8444, or up to four of one port with commas between",
                     named);
    if (k->kind == V_RATE && !kh_limit_rate_parse(text, &rate))
        return wrong(r, line, "\"%s\" is \"BURST/PER_SECOND\", as 10000/100, or \"off\"", named);
    if (k->kind == V_URL && strncmp(text, "https://", 8) != 0) return wrong(r, line, "\"%s\" begins with https://", named);
    bool path = k->kind == V_PATH || (k->kind == V_KEY && strncmp(text, "pkcs11:", 7) != 0);
    if (path && text[0] != '/' && strcmp(r->folder, ".") != 0) folder = r->folder, slash = "/";
    int n = snprintf(to, k->size, "%s%s%s", folder, slash, text);
    if (n < 0 || (size_t)n >= k->size) return wrong(r, line, "\"%s\" has more than %zu characters", named, k->size - 1);
    return true;
}

static bool whole_number(const config_setting_t *s, uint64_t least, uint64_t most, uint64_t *ret)
{
    int type = config_setting_type(s);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) return false;
    long long value = config_setting_get_int64(s);
    if (value < 0 || (uint64_t)value < least || (uint64_t)value > most) return false;
    *ret = (uint64_t)value;
    return true;
}

static bool read_cpus(const reading *r, const key *k, const config_setting_t *s, const char *named)
{
    int n = config_setting_is_aggregate(s) ? config_setting_length(s) : -1;
    if (n < 1 || n > (int)KH_CONFIG_CPUS_MAX)
        return wrong(r, config_setting_source_line(s), "\"%s\" is a list of 1 to %u processor numbers, as [ 1, 2 ]", named,
                     KH_CONFIG_CPUS_MAX);
    for (int i = 0; i < n; i++) {
        uint64_t cpu;
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
        if (!whole_number(item, k->least, k->most, &cpu))
            return wrong(r, config_setting_source_line(item), "\"%s\" holds something that is no processor number", named);
        r->config->datagrams.cpus[i] = (int)cpu;
    }
    r->config->datagrams.cpu_cnt = (uint32_t)n;
    return true;
}

static bool read_value(const reading *r, const key *k, const config_setting_t *s, const char *named)
{
    uint64_t number;
    switch (k->kind) {
    case V_COUNT:
        if (!whole_number(s, k->least, k->most, &number))
            return wrong(r, config_setting_source_line(s), "\"%s\" is a whole number from %llu to %llu", named,
                         (unsigned long long)k->least, (unsigned long long)k->most);
        *(uint32_t *)((char *)r->config + k->offset) = (uint32_t)number;
        return true;
    case V_BOOL:
        if (config_setting_type(s) != CONFIG_TYPE_BOOL)
            return wrong(r, config_setting_source_line(s), "\"%s\" is true or false", named);
        *(bool *)((char *)r->config + k->offset) = config_setting_get_bool(s) != 0;
        return true;
    case V_CPUS: return read_cpus(r, k, s, named);
    default: return read_text(r, k, s, named);
    }
}

static const char *full_name(size_t group, const char *name, char ret[128])
{
    (void)snprintf(ret, 128, "%s%s%.80s", groups[group].name, group != 0 ? "." : "", name);
    return ret;
}

static size_t group_of(const char *name)
{
    for (size_t i = 1; i < sizeof groups / sizeof groups[0]; i++)
        if (strcmp(groups[i].name, name) == 0) return i;
    return 0;
}

/* read_group reads every key of a group, and the groups that the topmost one holds. */
static bool read_group(const reading *r, const config_setting_t *group, size_t number)
{
    uint64_t seen = 0;
    char named[128];
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(s);
        size_t inner = number == 0 ? group_of(name) : 0, k = 0;
        if (inner != 0) {
            if (!config_setting_is_group(s))
                return wrong(r, config_setting_source_line(s), "\"%s\" is a group: %s = { … };", name, name);
            if (!read_group(r, s, inner)) return false;
            continue;
        }
        while (k < groups[number].n && strcmp(groups[number].keys[k].name, name) != 0) k++;
        if (k == groups[number].n)
            return wrong(r, config_setting_source_line(s), "there is no key \"%s\"", full_name(number, name, named));
        if (!read_value(r, &groups[number].keys[k], s, full_name(number, name, named))) return false;
        seen |= UINT64_C(1) << k;
    }
    for (size_t k = 0; k < groups[number].n; k++)
        if (groups[number].keys[k].needed && (seen >> k & 1) == 0)
            return wrong(r, number != 0 ? config_setting_source_line(group) : 0, "the key \"%s\" is missing",
                         full_name(number, groups[number].keys[k].name, named));
    return true;
}

/* What belongs together. */
static bool check_whole(const reading *r)
{
    const kh_config *c = r->config;
    char host[KH_CONFIG_ADDRESS_MAX];
    uint16_t port;
    if (c->datagrams.cpu_cnt != 0 && c->datagrams.cpu_cnt != c->datagrams.pollers)
        return wrong(r, 0, "\"datagrams.cpus\" names %u processors for %u \"datagrams.pollers\"", c->datagrams.cpu_cnt,
                     c->datagrams.pollers);
    if (c->datagrams.listen[0] != '\0' && c->datagrams.address[0] == '\0' && kh_config_split(c->datagrams.listen, host, &port) &&
        is_wildcard(host))
        return wrong(r, 0, "\"datagrams.listen\" is every address of this machine: \"datagrams.address\" tells clients one");
    if (c->max_connections_per_address > c->max_connections)
        return wrong(r, 0, "\"max_connections_per_address\" (%u) is above \"max_connections\" (%u)",
                     c->max_connections_per_address, c->max_connections);
    if (c->metrics_listen[0] == '\0') return true;
    if (!kh_config_split(c->metrics_listen, host, &port) || (strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0))
        return wrong(r, 0, "\"metrics_listen\" speaks without TLS: it may only be a loopback address");
    return true;
}

static kh_config defaults(void)
{
    kh_config c = {.max_connections = 8192,
                   .max_connections_per_address = 16,
                   .idle_s = 60,
                   .max_body = 8u << 20,
                   .queue = 1024,
                   .log_requests = false,
                   .sandbox = true};
    c.datagrams.pollers = 1;
    c.datagrams.max_sessions = 4096;
    c.datagrams.session_s = 3600;
    (void)snprintf(c.limits.probe, sizeof c.limits.probe, "10000/100");
    (void)snprintf(c.limits.query, sizeof c.limits.query, "off");
    (void)snprintf(c.limits.operation, sizeof c.limits.operation, "off");
    (void)snprintf(c.limits.address, sizeof c.limits.address, "2000/500");
    return c;
}

bool kh_config_parse(const char *text, const char *folder, const char *name, kh_config *ret, char *why, size_t cap)
{
    const reading r = {folder, name, ret, why, cap};
    config_t tree;
    *ret = defaults();
    if (strstr(text, "@include") != NULL) return wrong(&r, 0, "a configuration is one file: @include is not taken");
    config_init(&tree);
    bool good = config_read_string(&tree, text) == CONFIG_TRUE;
    if (!good) (void)wrong(&r, (unsigned)config_error_line(&tree), "%s", config_error_text(&tree));
    if (good) good = read_group(&r, config_root_setting(&tree), 0) && check_whole(&r);
    config_destroy(&tree);
    return good;
}

bool kh_config_load(const char *path, kh_config *ret, char *why, size_t cap)
{
    char folder[KH_CONFIG_PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) {
        (void)snprintf(why, cap, "the configuration's path is too long");
        return false;
    }
    if (n != 0) memcpy(folder, path, n), folder[n] = '\0';
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        (void)snprintf(why, cap, "%s: %s", path, strerror(errno));
        return false;
    }
    char *text = malloc(KH_CONFIG_FILE_MAX_SZ + 1);
    size_t got = text != NULL ? fread(text, 1, KH_CONFIG_FILE_MAX_SZ + 1, f) : 0;
    bool good = text != NULL && ferror(f) == 0 && got <= KH_CONFIG_FILE_MAX_SZ;
    (void)fclose(f);
    if (good) text[got] = '\0';
    good = good && strlen(text) == got;
    if (!good) (void)snprintf(why, cap, "%s: cannot be read, holds a NUL byte or is larger than 1 MiB", path);
    good = good && kh_config_parse(text, folder, path, ret, why, cap);
    free(text);
    return good;
}

void kh_config_url(const kh_config *config, uint16_t port, char *ret, size_t cap)
{
    char host[KH_CONFIG_ADDRESS_MAX] = "localhost";
    uint16_t asked;
    if (config->url[0] != '\0') {
        (void)snprintf(ret, cap, "%s", config->url);
        return;
    }
    bool good = kh_config_split(config->listen, host, &asked);
    KH_ASSERT(good);
    if (is_wildcard(host)) (void)snprintf(host, sizeof host, "localhost");
    const char *six = strchr(host, ':') != NULL ? "[" : "", *end = six[0] != '\0' ? "]" : "";
    (void)snprintf(ret, cap, "https://%s%s%s:%u", six, host, end, port);
}
