/* check: `kanhed --check`: what the configuration would do, without doing it. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "member/keys.h"
#include "app/daemon.h"
#include "member/genesis_json.h"
#include "process/privilege.h"

static int wrong_cnt;

static void wrong(const char *what)
{
    printf("  wrong: %s\n", what);
    wrong_cnt++;
}

static void readable(const char *what, const char *path)
{
    char why[700];
    printf("%-16s %s\n", what, path);
    if (access(path, R_OK) == 0) return;
    (void)snprintf(why, sizeof why, "%s: %s", path, strerror(errno));
    wrong(why);
}

static void check_data(const kh_config *c)
{
    char path[KH_CONFIG_PATH_MAX + 8];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/format", c->data);
    bool there = stat(c->data, &st) == 0, made = there && access(path, F_OK) == 0;
    printf("%-16s %s (%s)\n", "data", c->data, made ? "a data directory" : "is made a data directory");
    if (there && !S_ISDIR(st.st_mode)) wrong("data is no directory");
}

/* The PIN may stand in the URI: it is not shown. */
static void check_key(const kh_config *c, const kh_who *who)
{
    char why[700];
    if (kh_config_is_token(c)) {
        printf("%-16s in a PKCS#11 token\n", "key");
        return;
    }
    printf("%-16s %s\n", "key", c->key);
    if (!kh_privilege_secret(c->key, who->uid, why, sizeof why)) wrong(why);
}

static void check_hubs(const kh_config *c)
{
    for (uint32_t i = 0; i < c->cluster.hub_cnt; i++)
        printf("%-16s %u at %s\n", "  hub", c->cluster.hubs[i].member, c->cluster.hubs[i].at);
}

/* Secrets are looked at, and dropped again. */
static void check_cluster(const kh_config *c, const kh_who *who)
{
    char why[700];
    kh_genesis genesis;
    kh_cluster_keys keys;
    if (!c->cluster.on) return;
    printf("%-16s member %u, CometBFT at %s\n", "cluster", c->cluster.member, c->cluster.abci);
    printf("%-16s %s\n", "  genesis", c->cluster.genesis);
    if (!kh_genesis_json_load(c->cluster.genesis, &genesis, why, sizeof why)) wrong(why);
    else {
        printf("%-16s %s\n", "  keys", c->cluster.keys);
        if (!kh_cluster_keys_read(genesis.suite, c->cluster.keys, who->uid, &keys, why, sizeof why)) wrong(why);
        else kh_cluster_keys_drop(&keys);
        kh_genesis_free(&genesis);
    }
    printf("%-16s %s\n", "  links", c->cluster.links.listen);
    readable("  links.ca", c->cluster.links.ca);
    if (c->cluster.links.crl[0] != '\0') readable("  links.crl", c->cluster.links.crl);
    readable("  certificate", c->cluster.links.certificate);
    if (!kh_privilege_secret(c->cluster.links.key, who->uid, why, sizeof why)) wrong(why);
    for (uint32_t i = 0; i < c->cluster.links.peer_cnt; i++)
        printf("%-16s %u at %s\n", "  peer", c->cluster.links.peers[i].member, c->cluster.links.peers[i].at);
    check_hubs(c);
}

int kh_daemon_check(const kh_config *config)
{
    const kh_config *c = config;
    char why[700];
    kh_who who = {.uid = geteuid()};
    wrong_cnt = 0;
    check_data(c);
    printf("%-16s https://%s\n", "listen", c->listen);
    printf("%-16s %s%s%s\n", "datagrams", c->datagrams.listen[0] != '\0' ? c->datagrams.listen : "none",
           c->datagrams.dpdk[0] != '\0' ? " through DPDK: " : "", c->datagrams.dpdk);
    printf("%-16s %s\n", "user", c->user[0] != '\0' ? c->user : "whoever starts it");
    if (!kh_privilege_who(c->user, &who, why, sizeof why)) wrong(why);
    readable("ca", c->ca);
    if (c->crl[0] != '\0') readable("crl", c->crl);
    readable("certificate", c->certificate);
    check_key(c, &who);
    if (c->openapi[0] != '\0') readable("openapi", c->openapi);
    check_cluster(c, &who);
    printf("%-16s probe %s, query %s, operation %s, address %s\n", "limits", c->limits.probe, c->limits.query,
           c->limits.operation, c->limits.address);
    printf("%-16s at most %u, of one unproven address %u\n", "connections", c->max_connections, c->max_connections_per_address);
    printf("%-16s %s\n", "metrics", c->metrics_listen[0] != '\0' ? c->metrics_listen : "at /metrics, for the regulator");
    printf("%-16s %s%s\n", "log", c->log[0] != '\0' ? c->log : "stderr", c->log_requests ? ", each request" : "");
    printf("%-16s %s\n", "sandbox", c->sandbox ? "Landlock and seccomp, where the kernel has them" : "off");
    if (wrong_cnt == 0) puts("well");
    else printf("%d wrong\n", wrong_cnt);
    return wrong_cnt == 0 ? 0 : 2;
}
