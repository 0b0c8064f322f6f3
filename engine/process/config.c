/* config: the table of keys, groups, and what belongs together. */
#include "process/config_inside.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AT(field) offsetof(kh_config, field), sizeof(((kh_config *)0)->field)

static const kh_config_key top_keys[] = {
    {"data", V_PATH, AT(data), 0, 0, true},
    {"listen", V_ADDRESS, AT(listen), 0, 0, true},
    {"url", V_URL, AT(url), 0, 0, false},
    {"ca", V_PATH, AT(ca), 0, 0, true},
    {"crl", V_PATH, AT(crl), 0, 0, false},
    {"certificate", V_PATH, AT(certificate), 0, 0, true},
    {"key", V_KEY, AT(key), 0, 0, true},
    {"max_connections", V_COUNT, AT(max_connections), 1, 1000000, false},
    {"max_connections_per_address", V_COUNT, AT(max_connections_per_address), 1, 1000000, false},
    {"idle_s", V_COUNT, AT(idle_s), 1, 86400, false},
    {"workers", V_COUNT, AT(workers), 1, 256, false},
    {"max_body", V_COUNT, AT(max_body), 4096, UINT64_C(1) << 30, false},
    {"queue", V_COUNT, AT(queue), 1, 1000000, false},
    {"prepare_documents", V_COUNT, AT(prepare_documents), 0, UINT32_MAX, false},
    {"prepare_financings", V_COUNT, AT(prepare_financings), 0, UINT32_MAX, false},
    {"metrics_listen", V_ADDRESS, AT(metrics_listen), 0, 0, false},
    {"openapi", V_PATH, AT(openapi), 0, 0, false},
    {"user", V_TEXT, AT(user), 0, 0, false},
    {"log", V_PATH, AT(log), 0, 0, false},
    {"log_requests", V_BOOL, AT(log_requests), 0, 0, false},
    {"sandbox", V_BOOL, AT(sandbox), 0, 0, false},
};
static const kh_config_key datagram_keys[] = {
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
static const kh_config_key limit_keys[] = {
    {"probe_limit", V_RATE, AT(limits.probe), 0, 0, false},
    {"query_limit", V_RATE, AT(limits.query), 0, 0, false},
    {"operation_limit", V_RATE, AT(limits.operation), 0, 0, false},
    {"address_limit", V_RATE, AT(limits.address), 0, 0, false},
};
static const kh_config_key cluster_keys[] = {
    {"member", V_COUNT, AT(cluster.member), 1, UINT32_MAX, true},
    {"genesis", V_PATH, AT(cluster.genesis), 0, 0, true},
    {"keys", V_PATH, AT(cluster.keys), 0, 0, true},
    {"abci", V_PATH, AT(cluster.abci), 0, 0, true},
    {"cometbft_rpc", V_RPC, AT(cluster.cometbft_rpc), 0, 0, false},
    {"snapshot_blocks", V_COUNT, AT(cluster.snapshot_blocks), 1, UINT32_MAX, false},
    {"checkpoint_blocks", V_COUNT, AT(cluster.checkpoint_blocks), 1, UINT32_MAX, false},
    {"hubs", V_HUBS, AT(cluster.hubs), 0, KH_CONFIG_HUBS_MAX, false},
};
static const kh_config_key link_keys[] = {
    {"listen", V_ADDRESS, AT(cluster.links.listen), 0, 0, true},
    {"ca", V_PATH, AT(cluster.links.ca), 0, 0, true},
    {"crl", V_PATH, AT(cluster.links.crl), 0, 0, false},
    {"certificate", V_PATH, AT(cluster.links.certificate), 0, 0, true},
    {"key", V_PATH, AT(cluster.links.key), 0, 0, true},
    {"peers", V_PEERS, AT(cluster.links.peers), 0, KH_CONFIG_PEERS_MAX, false},
};
/* By full name: a group within another has a dot. */
static const struct {
    const char *name;
    const kh_config_key *keys;
    size_t n;
} groups[] = {
    {"", top_keys, sizeof top_keys / sizeof top_keys[0]},
    {"datagrams", datagram_keys, sizeof datagram_keys / sizeof datagram_keys[0]},
    {"limits", limit_keys, sizeof limit_keys / sizeof limit_keys[0]},
    {"cluster", cluster_keys, sizeof cluster_keys / sizeof cluster_keys[0]},
    {"cluster.links", link_keys, sizeof link_keys / sizeof link_keys[0]},
};

void kh_config_told(const kh_config *config, char ret[KH_CONFIG_ADDRESS_MAX])
{
    const char *at = config->datagrams.address[0] != '\0' ? config->datagrams.address : config->datagrams.listen;
    bool good = kh_config_first_address(&at, ret);
    KH_ASSERT(good);
}

bool kh_config_is_token(const kh_config *config) { return strncmp(config->key, "pkcs11:", 7) == 0; }

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

/* read_group reads every key of a group, and the groups that it holds. */
static bool read_group(const kh_reading *r, const config_setting_t *group, size_t number)
{
    uint64_t seen = 0;
    char named[128];
    if (groups[number].keys == cluster_keys) r->config->cluster.on = true;
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(s);
        size_t inner = group_of(full_name(number, name, named)), k = 0;
        if (inner != 0) {
            if (!config_setting_is_group(s))
                return kh_config_wrong(r, config_setting_source_line(s), "\"%s\" is a group: %s = { … };", named, name);
            if (!read_group(r, s, inner)) return false;
            continue;
        }
        while (k < groups[number].n && strcmp(groups[number].keys[k].name, name) != 0) k++;
        if (k == groups[number].n)
            return kh_config_wrong(r, config_setting_source_line(s), "there is no key \"%s\"", full_name(number, name, named));
        if (!kh_config_value(r, &groups[number].keys[k], s, full_name(number, name, named))) return false;
        seen |= UINT64_C(1) << k;
    }
    for (size_t k = 0; k < groups[number].n; k++)
        if (groups[number].keys[k].needed && (seen >> k & 1) == 0)
            return kh_config_wrong(r, number != 0 ? config_setting_source_line(group) : 0, "the key \"%s\" is missing",
                                   full_name(number, groups[number].keys[k].name, named));
    return true;
}

/* What belongs together. */
static bool check_whole(const kh_reading *r)
{
    const kh_config *c = r->config;
    char host[KH_CONFIG_ADDRESS_MAX];
    uint16_t port;
    if (c->cluster.on && c->cluster.links.listen[0] == '\0') return kh_config_wrong(r, 0, "the key \"cluster.links\" is missing");
    for (uint32_t i = 0; i < c->cluster.links.peer_cnt; i++)
        if (c->cluster.links.peers[i].member == c->cluster.member)
            return kh_config_wrong(r, 0, "\"cluster.links.peers\" names this node itself (%u)", c->cluster.member);
    if (c->datagrams.cpu_cnt != 0 && c->datagrams.cpu_cnt != c->datagrams.pollers)
        return kh_config_wrong(r, 0, "\"datagrams.cpus\" names %u processors for %u \"datagrams.pollers\"", c->datagrams.cpu_cnt,
                               c->datagrams.pollers);
    if (c->datagrams.listen[0] != '\0' && c->datagrams.address[0] == '\0' && kh_config_split(c->datagrams.listen, host, &port) &&
        kh_config_wildcard(host))
        return kh_config_wrong(r, 0,
                               "\"datagrams.listen\" is every address of this machine: \"datagrams.address\" tells clients one");
    if (c->max_connections_per_address > c->max_connections)
        return kh_config_wrong(r, 0, "\"max_connections_per_address\" (%u) is above \"max_connections\" (%u)",
                               c->max_connections_per_address, c->max_connections);
    if (c->metrics_listen[0] == '\0') return true;
    if (!kh_config_split(c->metrics_listen, host, &port) || (strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0))
        return kh_config_wrong(r, 0, "\"metrics_listen\" speaks without TLS: it may only be a loopback address");
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
    const kh_reading r = {folder, name, ret, why, cap};
    config_t tree;
    *ret = defaults();
    if (strstr(text, "@include") != NULL) return kh_config_wrong(&r, 0, "a configuration is one file: @include is not taken");
    config_init(&tree);
    bool good = config_read_string(&tree, text) == CONFIG_TRUE;
    if (!good) (void)kh_config_wrong(&r, (unsigned)config_error_line(&tree), "%s", config_error_text(&tree));
    if (good) good = read_group(&r, config_root_setting(&tree), 0) && check_whole(&r);
    config_destroy(&tree);
    return good;
}

bool kh_config_load(const char *path, kh_config *ret, char *why, size_t cap)
{
    char folder[KH_CONFIG_PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 0;
    if (strlen(path) >= sizeof ret->file) {
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
    if (good) (void)snprintf(ret->file, sizeof ret->file, "%s", path);
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
    if (kh_config_wildcard(host)) (void)snprintf(host, sizeof host, "localhost");
    const char *six = strchr(host, ':') != NULL ? "[" : "", *end = six[0] != '\0' ? "]" : "";
    (void)snprintf(ret, cap, "https://%s%s%s:%u", six, host, end, port);
}
