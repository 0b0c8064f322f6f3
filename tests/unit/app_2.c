/* app: what a node of a cluster is configured with: its group of keys, genesis.json, key files; questions to its CometBFT. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "member/keys.h"
#include "member/comet_rpc.h"
#include "process/config.h"
#include "member/genesis_json.h"

#define MINIMUM "data = \"d\"; listen = \"127.0.0.1:0\"; ca = \"ca.pem\"; certificate = \"/etc/c.pem\"; key = \"k.pem\";\n"
#define LINKS "links = { listen = \"127.0.0.2:27000\"; ca = \"l.pem\"; certificate = \"c\"; key = \"k\"; peers = ( %s ); };"
#define HEAD "member = 11; genesis = \"g.json\"; keys = \"keys\"; abci = \"a.sock\";"
static kh_config c;
static char why[400];

static bool parse(const char *text) { return kh_config_parse(text, "/etc/kanhe", "node.conf", &c, why, sizeof why); }

/* ---- configuration ---- */

Test(app_cluster, its_group_is_read)
{
    char text[2000];
    cr_assert(parse(MINIMUM) && !c.cluster.on);
    (void)snprintf(text, sizeof text,
                   MINIMUM "cluster = { " HEAD " cometbft_rpc = \"http://127.0.0.1:26657\"; " LINKS
                           " hubs = ( { member = 901; url = \"https://192.0.2.9:8443\"; } ); };",
                   "{ member = 12; address = \"127.0.0.3:1\"; }, { address = \"[::1]:2\"; member = 4000000000L; }");
    cr_assert(parse(text), "%s", why);
    cr_assert(c.cluster.on && c.cluster.member == 11 && c.cluster.links.peer_cnt == 2 && c.cluster.hub_cnt == 1);
    cr_assert_str_eq(c.cluster.genesis, "/etc/kanhe/g.json");
    cr_assert_str_eq(c.cluster.links.key, "/etc/kanhe/k");
    cr_assert_str_eq(c.cluster.links.peers[0].at, "127.0.0.3:1");
    cr_assert(c.cluster.links.peers[1].member == 4000000000u);
    cr_assert_str_eq(c.cluster.hubs[0].at, "https://192.0.2.9:8443");
}

Test(app_cluster, what_is_wrong_in_it_is_named)
{
    static const struct {
        const char *head, *peers, *more, *says;
    } cases[] = {
        {"member = 11;", "", "", "the key \"cluster.genesis\" is missing"},
        {HEAD "membr = 1;", "", "", "there is no key \"cluster.membr\""},
        {HEAD, "{ member = 12; }", "", "\"cluster.links.peers\" holds something that is not"},
        {HEAD, "{ member = 0; address = \"127.0.0.1:1\"; }", "", "\"cluster.links.peers\" holds something that is not"},
        {HEAD, "{ member = 12; address = \"127.0.0.1:1\"; x = 1; }", "", "\"cluster.links.peers\" holds something that is not"},
        {HEAD, "12", "", "\"cluster.links.peers\" holds something that is not"},
        {HEAD, "{ member = 12; address = \"bank:1\"; }", "", "is an address and a port"},
        {HEAD, "{ member = 12; address = \"127.0.0.1:1\"; }, { member = 12; address = \"127.0.0.1:2\"; }", "",
         "names member 12 twice"},
        {HEAD, "{ member = 11; address = \"127.0.0.1:1\"; }", "", "names this node itself"},
        {HEAD "cometbft_rpc = \"127.0.0.1:1\";", "", "", "is http://, an address and a port"},
        {HEAD "hubs = ( { member = 9; url = \"http://127.0.0.1:1\"; } );", "", "", "is https://, an address and a port"},
        {HEAD "hubs = 5;", "", "", "is a list of up to 16"},
        {HEAD, "", "links = 5;", "node.conf:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char links[600], text[2000];
        (void)snprintf(links, sizeof links, LINKS, cases[i].peers);
        (void)snprintf(text, sizeof text, "%scluster = { %s %s %s };\n", MINIMUM, cases[i].head, links, cases[i].more);
        cr_assert(!parse(text), "taken: %s", text);
        cr_assert(strstr(why, cases[i].says) != NULL, "%s: %s", text, why);
    }
    cr_assert(!parse(MINIMUM "cluster = { " HEAD " };") && strstr(why, "\"cluster.links\" is missing") != NULL, "%s", why);
    cr_assert(!parse(MINIMUM "links = { };") && strstr(why, "there is no key \"links\"") != NULL, "%s", why);
}

Test(app_cluster, the_samples_are_taken)
{
    static const char *const names[] = {"node", "cluster-hub", "hub"};
    const char *root = getenv("KH_SOURCE_ROOT");
    for (size_t i = 0; i < 3; i++) {
        char path[400];
        (void)snprintf(path, sizeof path, "%s/conf/%s.conf", root != NULL ? root : ".", names[i]);
        cr_assert(kh_config_load(path, &c, why, sizeof why), "%s", why);
        cr_assert(c.cluster.on == (i < 2) && (i == 2 || c.cluster.links.peer_cnt == 4));
    }
}

/* ---- genesis.json ---- */

static uint8_t secret_of(uint8_t n, uint8_t ret[KH_SECRET_SZ])
{
    memset(ret, n, KH_SECRET_SZ);
    return n;
}

static void sign_key(uint8_t n, uint8_t ret[KH_PUBLIC_SZ])
{
    uint8_t secret[KH_SECRET_SZ];
    kh_signer *signer;
    secret_of(n, secret);
    cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &signer) == KH_OK);
    kh_signer_public(signer, ret);
    kh_signer_free(signer);
}

static void box_key(uint8_t n, uint8_t ret[KH_PUBLIC_SZ])
{
    uint8_t secret[KH_SECRET_SZ];
    kh_box *box;
    secret_of(n, secret);
    cr_assert(kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK);
    kh_box_public(box, ret);
    kh_box_free(box);
}

static kh_genesis *sample(void)
{
    static kh_member members[3];
    static kh_public_leaf leaf;
    static kh_genesis g;
    uint8_t consensus[KH_PUBLIC_SZ];
    g = (kh_genesis){.chain_id = "kanhe-test",
                     .suite = KH_SUITE_INTL,
                     .initial_height = 77,
                     .time_ns = 18446744073709551615u >> 1,
                     .officer_k = 1,
                     .officer_cnt = 2,
                     .member_cnt = 3,
                     .members = members,
                     .public_cnt = 1,
                     .publics = &leaf,
                     .hubs_speak = true};
    sign_key(1, g.officers[0]);
    sign_key(2, g.officers[1]);
    box_key(3, g.group);
    memset(g.checkpoint, 9, 32);
    members[0] = (kh_member){.id = 1, .role = KH_MEMBER_REGULATOR, .name_n = 9, .name = "Regulator"};
    members[1] = (kh_member){.id = 11, .role = KH_MEMBER_BANK, .flags = KH_MEMBER_VALIDATOR, .name_n = 6, .name = "玉港"};
    members[2] = (kh_member){.id = 4000000000u, .role = KH_MEMBER_HUB, .name_n = 3, .name = "Hub"};
    sign_key(4, members[1].sender);
    sign_key(5, members[1].ack);
    box_key(6, members[1].box);
    sign_key(7, consensus);
    memcpy(members[1].consensus, consensus, 32);
    sign_key(8, members[2].attest);
    leaf = (kh_public_leaf){.key_n = 16, .value_n = 4, .value = (const uint8_t *)"4320"};
    memcpy(leaf.key, "rmax_age.invoice", 16);
    return &g;
}

static char *wrapped(const char *state)
{
    char *json = malloc(strlen(state) + 64);
    (void)sprintf(json, "{\"chain_id\":\"kanhe-test\",\"app_state\":%s}", state);
    return json;
}

Test(app_cluster, genesis_there_and_back)
{
    uint8_t *before, *after;
    size_t before_n, after_n;
    kh_genesis back;
    char *state = kh_genesis_state_write(sample()), *json = wrapped(state);
    cr_assert(kh_genesis_encode(sample(), &before, &before_n) == KH_OK);
    for (int whole = 0; whole < 2; whole++) {
        cr_assert(whole ? kh_genesis_json_read(json, strlen(json), &back, why, sizeof why)
                        : kh_genesis_state_read(state, strlen(state), &back, why, sizeof why),
                  "%s", why);
        cr_assert(kh_genesis_encode(&back, &after, &after_n) == KH_OK);
        cr_assert(after_n == before_n && memcmp(after, before, before_n) == 0);
        free(after);
        kh_genesis_free(&back);
    }
    free(before);
    free(json);
    free(state);
}

/* Puts `to` in the place of the first `from`. */
static char *changed(const char *json, const char *from, const char *to)
{
    const char *at = strstr(json, from);
    cr_assert(at != NULL, "%s", from);
    char *ret = malloc(strlen(json) + strlen(to) + 1);
    (void)sprintf(ret, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
    return ret;
}

Test(app_cluster, what_is_no_genesis)
{
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"intl\"", "\"rsa\"", "\"suite\""},
        {"\"hubs_speak\": true", "\"hubs_speak\": 1", "\"hubs_speak\""},
        {"\"hubs_speak\": true", "\"hubs_speak\": true, \"more\": 1", "\"more\" that is not known"},
        {"\"chain_id\"", "\"chain\"", "that is not known"},
        {"\"77\"", "77", "\"initial_height\""},
        {"\"77\"", "\"077\"", "\"initial_height\""},
        {"\"77\"", "\"18446744073709551616\"", "\"initial_height\""},
        {"\"77\"", "\"7 \"", "\"initial_height\""},
        {"\"checkpoint\": \"09", "\"checkpoint\": \"0G", "\"checkpoint\""},
        {"\"checkpoint\": \"09", "\"checkpoint\": \"", "\"checkpoint\""},
        {"\"k\": 1", "\"k\": -1", "\"k\""},
        {"\"id\": 11", "\"id\": 4294967296", "\"id\""},
        {"\"bank\"", "\"banker\"", "\"role\""},
        {"\"flags\": 4", "\"flags\": 256", "\"flags\""},
        {"\"name\": \"Hub\"", "\"name\": 5", "\"name\""},
        {"\"uscc\": \"\"", "\"uscc\": \"0123456789012345678901234567890123456\"", "\"uscc\""},
        {"\"value\": \"34", "\"value\": \"3", "\"value\""},
        {"\"public\": [", "\"public\": 5, \"x\": [", "that is not known"},
        {"\"kanhe\"", "\"kahne\"", "\"app_state.kanhe\" is no object"},
    };
    kh_genesis back;
    char *state = kh_genesis_state_write(sample());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *inside = changed(state, cases[i].from, cases[i].to), *bad = wrapped(inside);
        cr_assert(!kh_genesis_json_read(bad, strlen(bad), &back, why, sizeof why), "taken: %s", cases[i].to);
        cr_assert(strstr(why, cases[i].says) != NULL, "%s: %s", cases[i].to, why);
        free(bad);
        free(inside);
    }
    cr_assert(!kh_genesis_json_read("{", 1, &back, why, sizeof why) && strstr(why, "no JSON") != NULL);
    cr_assert(!kh_genesis_json_load("/nonexistent", &back, why, sizeof why) && strstr(why, "/nonexistent") != NULL);
    free(state);
}

/* CometBFT's validators beside it: votes that weigh otherwise are another cluster's. */
Test(app_cluster, genesis_of_another_power)
{
    static const struct {
        const char *validators;
        bool good;
    } cases[] = {
        {"[]", true},
        {"[{\"power\":\"3\"},{\"power\":\"3\"}]", true},
        {"[{\"power\":\"1\"},{\"power\":\"1\"}]", false},
        {"[{\"power\":\"3\"},{\"power\":\"30\"}]", false},
        {"[{\"power\":3}]", false},
        {"[{}]", false},
    };
    kh_genesis back;
    char *state = kh_genesis_state_write(sample()), *json = wrapped(state);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char to[200];
        (void)snprintf(to, sizeof to, "{\"validators\":%s,\"chain_id\"", cases[i].validators);
        char *with = changed(json, "{\"chain_id\"", to);
        bool good = kh_genesis_json_read(with, strlen(with), &back, why, sizeof why);
        cr_assert(good == cases[i].good, "%s", cases[i].validators);
        cr_assert(good || strstr(why, "power \"3\"") != NULL, "%s", why);
        if (good) kh_genesis_free(&back);
        free(with);
    }
    free(json);
    free(state);
}

/* ---- key files ---- */

static char folder[] = "/tmp/kanhe-keys-XXXXXX";

static void put(const char *name, const char *text, mode_t mode)
{
    char path[100];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

static bool read_keys(kh_cluster_keys *ret)
{
    return kh_cluster_keys_read(KH_SUITE_INTL, folder, getuid(), ret, why, sizeof why);
}

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

Test(app_cluster, keys_of_files)
{
    kh_cluster_keys k;
    uint8_t public[KH_PUBLIC_SZ], want[KH_PUBLIC_SZ];
    char command[100];
    cr_assert(mkdtemp(folder) != NULL);
    cr_assert(read_keys(&k) && k.sender == NULL && k.box == NULL && k.epoch_cnt == 0 && !k.has_disk, "%s", why);
    put("sender.key", "0404040404040404040404040404040404040404040404040404040404040404\n", 0600);
    put("group.1.key", HEX "\n", 0600);
    put("group.3.key", HEX, 0400);
    put("disk.key", HEX "\n", 0600);
    put("box.old.key", HEX "\n", 0600);
    cr_assert(read_keys(&k), "%s", why);
    cr_assert(k.box == NULL && k.box_old != NULL);
    cr_assert(k.sender != NULL && k.ack == NULL && k.groups[0] != NULL && k.groups[1] == NULL && k.groups[2] != NULL);
    cr_assert(k.epoch_cnt == 3 && k.has_disk && k.disk[31] == 0x1f && k.group_secrets[2][1] == 1);
    kh_signer_public(k.sender, public);
    sign_key(4, want);
    cr_assert(memcmp(public, want, KH_PUBLIC_SZ) == 0);
    kh_cluster_keys_drop(&k);
    cr_assert(k.sender == NULL && k.box_old == NULL && k.disk[31] == 0);
    static const struct {
        const char *text;
        mode_t mode;
    } bad[] = {{HEX "\n", 0640},
               {HEX "\n\n", 0600},
               {"00", 0600},
               {"", 0600},
               {HEX "20", 0600},
               {"g0"
                "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                0600}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("ack.key", bad[i].text, bad[i].mode);
        cr_assert(!read_keys(&k) && strstr(why, "ack.key") != NULL, "%zu: %s", i, why);
        cr_assert(strstr(why, "0102") == NULL); /* nothing of a key is said */
    }
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert(system(command) == 0);
}

/* ---- questions to CometBFT ---- */

static int door;
static void *answer_once(void *text)
{
    char asked[400];
    int fd = accept(door, NULL, NULL);
    ssize_t n = recv(fd, asked, sizeof asked - 1, 0);
    asked[n > 0 ? n : 0] = '\0';
    if (strncmp(asked, "GET /block?height=5 HTTP/1.0\r\n", 30) == 0) (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)close(fd);
    return NULL;
}

static kh_err ask(const char *answer, char **ret, size_t *ret_n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    char rpc[64];
    pthread_t thread;
    door = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(door, (struct sockaddr *)&at, size) == 0 && listen(door, 1) == 0);
    cr_assert(getsockname(door, (struct sockaddr *)&at, &size) == 0);
    cr_assert(pthread_create(&thread, NULL, answer_once, (void *)(uintptr_t)answer) == 0);
    (void)snprintf(rpc, sizeof rpc, "http://127.0.0.1:%u", ntohs(at.sin_port));
    kh_err err = kh_comet_get(rpc, "/block?height=5", ret, ret_n);
    (void)pthread_join(thread, NULL);
    (void)close(door);
    return err;
}

Test(app_cluster, cometbft_is_asked)
{
    char *text = NULL;
    size_t n = 0;
    cr_assert(ask("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":1}", &text, &n) == KH_OK);
    cr_assert(n == 7 && memcmp(text, "{\"a\":1}", 7) == 0);
    free(text);
    cr_assert(ask("HTTP/1.0 500 Internal Server Error\r\n\r\n{}", &text, &n) == KH_E_NOT_FOUND);
    cr_assert(ask("HTTP/1.0 200 OK\r\nX", &text, &n) == KH_E_CLOSED);
    cr_assert(ask("", &text, &n) == KH_E_CLOSED);
    cr_assert(kh_comet_get("http://127.0.0.1:1", "/", &text, &n) == KH_E_CLOSED);
    cr_assert(kh_comet_get("http://nowhere", "/", &text, &n) == KH_E_CLOSED);
}
