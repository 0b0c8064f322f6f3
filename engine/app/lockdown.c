/* lockdown: applies privilege.h to what the configuration asks for. */
#include <dirent.h>
#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "app/parts.h"

#define DEVICE_FOLDERS 8u  /* of paths in EAL's arguments */
#define FILES_BESIDE 1024u /* descriptors for what is no connection: segments, images, requests' files */

static bool failed(kh_daemon *d, const char *path, const char *doing)
{
    (void)snprintf(d->why, sizeof d->why, "%s: %s: %s", path, doing, strerror(errno));
    return false;
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    uint32_t names = 0;
    if (dir == NULL) return false;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        names += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    (void)closedir(dir);
    return names == 0;
}

/* The data directory is there, and while it is empty it is given to the user. */
static bool own_directory(kh_daemon *d)
{
    const char *path = d->config->data;
    struct stat st;
    if (mkdir(path, 0750) != 0 && errno != EEXIST) return failed(d, path, "the data directory cannot be made");
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return failed(d, path, "is no directory");
    d->fresh = is_empty(path);
    if (d->fresh && d->who.changes && st.st_uid != d->who.uid && chown(path, d->who.uid, d->who.gid) != 0)
        return failed(d, path, "the data directory cannot be given to kanhed's user");
    return true;
}

/* The C library loads a module for each character set that files come in; once the filter is on no code can be loaded. The
   converters stay open, so that the modules stay loaded. Returns how many sets there are. */
static uint32_t load_character_sets(void)
{
    static const char *const sets[] = {
        "GB18030",      "GBK",          "GB2312",      "BIG5",        "UTF-16",      "UTF-32",      "ISO-8859-1",
        "ISO-8859-2",   "ISO-8859-3",   "ISO-8859-4",  "ISO-8859-5",  "ISO-8859-6",  "ISO-8859-7",  "ISO-8859-8",
        "ISO-8859-9",   "ISO-8859-10",  "ISO-8859-13", "ISO-8859-14", "ISO-8859-15", "ISO-8859-16", "WINDOWS-1250",
        "WINDOWS-1251", "WINDOWS-1252", "SHIFT_JIS",   "EUC-JP",      "EUC-KR"};
    static iconv_t converters[2 * sizeof sets / sizeof sets[0]];
    uint32_t cnt = 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        iconv_t *pair = &converters[2 * i];
        pair[0] = iconv_open("UTF-8", sets[i]);
        pair[1] = iconv_open(sets[i], "UTF-8");
        cnt += pair[0] != (iconv_t)-1 && pair[1] != (iconv_t)-1;
    }
    return cnt;
}

static uint32_t kept_capabilities(const kh_config *c)
{
    char host[KH_CONFIG_ADDRESS_MAX], told[KH_CONFIG_ADDRESS_MAX];
    uint16_t port = 0;
    uint32_t keep = 0;
    if (kh_config_split(c->listen, host, &port) && port != 0 && port < 1024) keep |= KH_KEEP_BIND;
    if (c->datagrams.listen[0] != '\0') {
        kh_config_told(c, told);
        if (kh_config_split(told, host, &port) && port != 0 && port < 1024) keep |= KH_KEEP_BIND;
    }
    if (c->cluster.on && kh_config_split(c->cluster.links.listen, host, &port) && port != 0 && port < 1024) keep |= KH_KEEP_BIND;
    if (strstr(c->datagrams.dpdk, "af_packet") != NULL || strstr(c->datagrams.dpdk, "af_xdp") != NULL)
        keep |= KH_KEEP_NET_RAW | KH_KEEP_NET_ADMIN;
    if (c->datagrams.dpdk[0] != '\0') keep |= KH_KEEP_IPC_LOCK;
    return keep;
}

/* The folder that a path is in; the log's, so that it can be opened again after it was moved. */
static const char *folder_of(const char *path, char ret[KH_CONFIG_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(ret, KH_CONFIG_PATH_MAX, "%.*s",
                   slash == NULL   ? 1
                   : slash == path ? 1
                                   : (int)(slash - path),
                   slash == NULL ? "." : path);
    return ret;
}

/* The folders that EAL's arguments name: a vhost-user socket's, a huge page mount, a capture's. Returns how many. */
static uint32_t folders_of_devices(const char *dpdk, char ret[DEVICE_FOLDERS][KH_CONFIG_PATH_MAX])
{
    uint32_t cnt = 0;
    struct stat st;
    for (const char *p = dpdk; (p = strchr(p, '/')) != NULL && cnt < DEVICE_FOLDERS;) {
        char path[KH_CONFIG_PATH_MAX];
        size_t n = strcspn(p, ", \t\r\n");
        if (p > dpdk && strchr("= \t\r\n", p[-1]) != NULL && n < sizeof path) {
            (void)snprintf(path, sizeof path, "%.*s", (int)n, p);
            if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) memcpy(ret[cnt], path, n + 1);
            else (void)folder_of(path, ret[cnt]);
            cnt++;
        }
        p += n;
    }
    return cnt;
}

#define PORTS_MAX (KH_CONFIG_PEERS_MAX + KH_CONFIG_HUBS_MAX + 2)

/* The ports of peers, hubs, CometBFT's, and this node's for links: peers that come later have that one as a rule. Returns how
 * many. */
static uint32_t ports_of_cluster(const kh_config *c, uint16_t ret[PORTS_MAX])
{
    char host[KH_CONFIG_ADDRESS_MAX];
    uint32_t cnt = 0;
    if (c->cluster.on && kh_config_split(c->cluster.links.listen, host, &ret[cnt])) cnt++;
    for (uint32_t i = 0; i < c->cluster.links.peer_cnt; i++)
        if (kh_config_split(c->cluster.links.peers[i].at, host, &ret[cnt])) cnt++;
    for (uint32_t i = 0; i < c->cluster.hub_cnt; i++)
        if (kh_config_split(c->cluster.hubs[i].at + strlen("https://"), host, &ret[cnt])) cnt++;
    if (c->cluster.cometbft_rpc[0] != '\0' && kh_config_split(c->cluster.cometbft_rpc + strlen("http://"), host, &ret[cnt]))
        cnt++;
    return cnt;
}

static bool confine(kh_daemon *d)
{
    const kh_config *c = d->config;
    char log_folder[KH_CONFIG_PATH_MAX], named[DEVICE_FOLDERS][KH_CONFIG_PATH_MAX];
    const char *folders[DEVICE_FOLDERS + 8] = {c->data};
    size_t n = 1;
    if (c->log[0] != '\0') folders[n++] = folder_of(c->log, log_folder);
    if (d->dpdk) {
        static const char *const devices[] = {"/dev", "/sys", "/run", "/tmp"};
        for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
            if (access(devices[i], F_OK) == 0) folders[n++] = devices[i];
        uint32_t cnt = folders_of_devices(c->datagrams.dpdk, named);
        for (uint32_t i = 0; i < cnt; i++) folders[n++] = named[i];
    }
    char socket_folder[KH_CONFIG_PATH_MAX];
    uint16_t ports[PORTS_MAX];
    const kh_confine asked = {.folders = folders,
                              .connects = kh_config_is_token(c),
                              .sockets = c->cluster.on ? folder_of(c->cluster.abci, socket_folder) : NULL,
                              .ports = ports,
                              .port_cnt = ports_of_cluster(c, ports),
                              .devices = d->dpdk};
    return kh_privilege_confine(&asked, &d->landlock, d->why, sizeof d->why);
}

bool kh_daemon_drop(kh_daemon *d)
{
    const kh_config *c = d->config;
    if (!own_directory(d)) return false;
    d->character_sets = load_character_sets();
    if (!kh_privilege_harden((uint64_t)c->max_connections + FILES_BESIDE, &d->files, d->why, sizeof d->why)) return false;
    if (!kh_privilege_become(&d->who, kept_capabilities(c), d->why, sizeof d->why)) return false;
    if (access(c->data, R_OK | W_OK | X_OK) != 0)
        return failed(d, c->data, "kanhed's user cannot write to the data directory: `chown -R` it");
    if (c->sandbox && !confine(d)) return false;
    if (d->files < (uint64_t)c->max_connections + FILES_BESIDE)
        KH_LOG(d->logging, KH_LEVEL_WARNING, "few_files", {"may_open", NULL, d->files},
               {"max_connections", NULL, c->max_connections}, {"do", "raise the limit of open files (LimitNOFILE)", 0});
    if (d->who.uid == 0)
        KH_LOG(d->logging, KH_LEVEL_WARNING, "runs_as_root", {"do", "name a user of its own with the key \"user\"", 0});
    return true;
}

bool kh_daemon_filter(kh_daemon *d)
{
    /* The devices are set up. What they needed, no thread needs any more. */
    if (d->dpdk && !kh_privilege_drop(kept_capabilities(d->config) & KH_KEEP_BIND, d->why, sizeof d->why)) return false;
    bool good = !d->config->sandbox || kh_privilege_filter(kh_config_is_token(d->config), &d->seccomp, d->why, sizeof d->why);
    if (good)
        KH_LOG(d->logging, KH_LEVEL_INFO, "rights_dropped", {"uid", NULL, d->who.uid}, {"landlock", NULL, (uint64_t)d->landlock},
               {"seccomp", NULL, d->seccomp}, {"character_sets", NULL, d->character_sets});
    return good;
}
