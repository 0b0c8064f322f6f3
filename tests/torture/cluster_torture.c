/* cluster_torture: two banks' nodes and a hub, wired as kanhed wires them (app/cluster.h), with all their threads: links, beats,
 * bodies, execution, views; and the program's own: one that plays CometBFT, clients of each bank, and readers of everything. What
 * was granted is in the bank's view and nothing else, nobody is alarmed. Plain, so that it runs under TSan.
 * cluster_torture [SECONDS] */
#include "../unit/link_fixture.h"
#include "../unit/store_ops.h"
#include "member/parts.h"
#include "crypto/digest.h"
#include "host/host.h"

enum { BANK_A = 11, BANK_B = 12, HUB = 90, REGULATOR = 1, SOURCE = 50, NODES = 3, MEMBERS = 5, CLIENTS = 2, PAPERS = 200 };
#define FIRST_HEIGHT 100u

typedef struct place { /* a node and what it is made of */
    char dir[200];
    kh_config config;
    kh_cluster_keys keys;
    credentials credentials;
    kh_disk disk;
    kh_store *store;
    kh_cluster *cluster;
} place;
typedef struct client {
    place *at;
    uint32_t bank, nth;
    _Atomic uint64_t answered, granted, lost;
} client;

static place places[NODES];
static client clients[2 * CLIENTS];
static kh_member members[MEMBERS];
static kh_genesis genesis;
static kh_clock clock_;
static kh_entropy entropy;
static kh_logging *logging;
static authority ca;
static _Atomic bool stop, stop_blocks;
static _Atomic uint64_t blocks, looked;

/* ---- who takes part ---- */
static void secret_of(uint32_t nth, uint8_t use, uint8_t ret[KH_SECRET_SZ]) { memset(ret, (int)(10 * nth + use), KH_SECRET_SZ); }

static kh_signer *signer(uint32_t nth, uint8_t use, uint8_t ret_public[KH_PUBLIC_SZ])
{
    uint8_t secret[KH_SECRET_SZ];
    kh_signer *s;
    secret_of(nth, use, secret);
    KH_ASSERT(kh_signer_new(KH_SUITE_INTL, secret, &s) == KH_OK);
    kh_signer_public(s, ret_public);
    return s;
}

static kh_box *box(uint32_t nth, uint8_t use, uint8_t ret_public[KH_PUBLIC_SZ])
{
    uint8_t secret[KH_SECRET_SZ];
    kh_box *b;
    secret_of(nth, use, secret);
    KH_ASSERT(kh_box_new(KH_SUITE_INTL, secret, &b) == KH_OK);
    kh_box_public(b, ret_public);
    return b;
}

static void make_member(uint32_t nth, uint32_t id, kh_member_role role, place *at)
{
    kh_member *m = &members[nth];
    uint8_t key[KH_PUBLIC_SZ];
    *m = (kh_member){.id = id, .role = (uint8_t)role};
    m->name_n = (uint8_t)snprintf(m->name, sizeof m->name, "Member %u", id);
    if (at == NULL) {
        kh_signer_free(signer(nth, 1, m->sender));
        return;
    }
    at->keys.sender = signer(nth, 1, m->sender);
    at->keys.box = box(nth, 4, m->box);
    if (role == KH_MEMBER_HUB) {
        at->keys.attest = signer(nth, 2, m->attest);
        at->keys.groups[0] = box(20, 1, genesis.group);
        secret_of(20, 1, at->keys.group_secrets[0]);
        at->keys.epoch_cnt = 1;
        return;
    }
    at->keys.ack = signer(nth, 2, m->ack);
    at->keys.has_disk = true;
    kh_signer_free(signer(nth, 3, key));
    memcpy(m->consensus, key, 32);
    m->flags = KH_MEMBER_VALIDATOR;
}

static void make_genesis(void)
{
    genesis = (kh_genesis){.chain_id = "kanhe-torture",
                           .suite = KH_SUITE_INTL,
                           .initial_height = FIRST_HEIGHT,
                           .time_ns = clock_.now(clock_.self),
                           .officer_k = 1,
                           .officer_cnt = 1,
                           .member_cnt = MEMBERS,
                           .members = members,
                           .hubs_speak = true};
    kh_signer_free(signer(21, 1, genesis.officers[0]));
    make_member(0, REGULATOR, KH_MEMBER_REGULATOR, NULL);
    make_member(1, BANK_A, KH_MEMBER_BANK, &places[0]);
    make_member(2, BANK_B, KH_MEMBER_BANK, &places[1]);
    make_member(3, SOURCE, KH_MEMBER_SOURCE, NULL);
    make_member(4, HUB, KH_MEMBER_HUB, &places[2]);
}

/* ---- nodes ---- */
static void place_make(place *p, uint32_t id)
{
    char name[16];
    kh_config *c = &p->config;
    kh_store_report report;
    (void)snprintf(name, sizeof name, "%u", id);
    (void)snprintf(p->dir, sizeof p->dir, "%s/data%u", fixture_dir, id);
    p->credentials = make_credentials(name, name, &ca, 10);
    (void)snprintf(c->data, sizeof c->data, "%s", p->dir);
    c->cluster.on = true;
    c->cluster.member = id;
    (void)snprintf(c->cluster.genesis, sizeof c->cluster.genesis, "genesis");
    (void)snprintf(c->cluster.keys, sizeof c->cluster.keys, "%s/nowhere", fixture_dir);
    (void)snprintf(c->cluster.abci, sizeof c->cluster.abci, "%s/%u.sock", fixture_dir, id);
    (void)snprintf(c->cluster.links.listen, sizeof c->cluster.links.listen, "127.0.0.1:%u", free_port());
    (void)snprintf(c->cluster.links.ca, sizeof c->cluster.links.ca, "%s", ca.pem);
    (void)snprintf(c->cluster.links.certificate, sizeof c->cluster.links.certificate, "%s", p->credentials.certificate);
    KH_ASSERT(kh_host_disk_open(true, &p->disk) == KH_OK);
    const kh_store_options options = {
        .clock = &clock_, .disk = &p->disk, .entropy = &entropy, .accept_time = true, .driven = true};
    KH_ASSERT(kh_store_create(&options, p->dir, NULL, NULL) == KH_OK);
    KH_ASSERT(kh_store_open(&options, p->dir, &report, &p->store) == KH_OK);
}

static void place_start(place *p)
{
    char why[500] = "";
    for (uint32_t i = 0; i < NODES; i++) {
        kh_config_member *peer = &p->config.cluster.links.peers[p->config.cluster.links.peer_cnt];
        if (&places[i] == p) continue;
        peer->member = places[i].config.cluster.member;
        (void)snprintf(peer->at, sizeof peer->at, "%s", places[i].config.cluster.links.listen);
        p->config.cluster.links.peer_cnt++;
    }
    const kh_cluster_options options = {.config = &p->config,
                                        .genesis = &genesis,
                                        .keys = &p->keys,
                                        .link_key = p->credentials.key,
                                        .store = p->store,
                                        .clock = &clock_,
                                        .entropy = &entropy,
                                        .logging = logging};
    bool good = kh_cluster_start(&options, why, sizeof why, &p->cluster);
    if (!good) (void)fprintf(stderr, "%s\n", why);
    KH_ASSERT(good);
}

static void place_end(place *p)
{
    kh_cluster_stop(p->cluster);
    kh_store_close(p->store);
    kh_host_disk_close(&p->disk);
    kh_cluster_keys_drop(&p->keys);
}

/* ---- CometBFT: the nodes propose in turn, all take part in each block ---- */
typedef struct txs { /* as a request has them: field 1, repeated */
    uint8_t p[4 << 20];
    size_t n;
    uint32_t cnt;
} txs;

static void txs_add(txs *t, const uint8_t *p, size_t n)
{
    KH_ASSERT(t->n + n + 8 < sizeof t->p);
    t->p[t->n++] = 1 << 3 | 2;
    for (size_t left = n;; left >>= 7) {
        t->p[t->n++] = (uint8_t)(left & 127) | (left > 127 ? 128 : 0);
        if (left <= 127) break;
    }
    memcpy(t->p + t->n, p, n);
    t->n += n;
    t->cnt++;
}

static void *agree(void *arg)
{
    static txs t;
    (void)arg;
    for (uint64_t h = FIRST_HEIGHT; !atomic_load(&stop_blocks); h++, sleep_ms(2)) {
        kh_abci_request r = {.call = KH_ABCI_PREPARE,
                             .height = (int64_t)h,
                             .max_tx_bytes = 1 << 20,
                             .time_ns = clock_.now(clock_.self),
                             .tx_field = 1};
        kh_abci_answer a = {0};
        KH_ASSERT(kh_cluster_call(places[h % 2].cluster, &r, &a));
        t.n = t.cnt = 0;
        for (uint32_t i = 0; i < a.tx_cnt; i++) txs_add(&t, a.txs[i].p, a.txs[i].n);
        r.txs = (kh_span){t.p, t.n};
        r.tx_cnt = t.cnt;
        uint8_t hash[32];
        for (uint32_t i = 0; i < NODES; i++) {
            r.call = KH_ABCI_PROCESS;
            a = (kh_abci_answer){0};
            KH_ASSERT(kh_cluster_call(places[i].cluster, &r, &a) && a.accept);
            r.call = KH_ABCI_FINALIZE;
            KH_ASSERT(kh_cluster_call(places[i].cluster, &r, &a));
            if (i == 0) memcpy(hash, a.app_hash, 32);
            KH_ASSERT(memcmp(hash, a.app_hash, 32) == 0);
            r.call = KH_ABCI_COMMIT;
            KH_ASSERT(kh_cluster_call(places[i].cluster, &r, &a));
        }
        atomic_fetch_add(&blocks, 1);
    }
    return NULL;
}

/* ---- clients ---- */
static void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    client *c = ctx;
    (void)time_ns;
    if (op_index == UINT32_MAX) {
        if (height == 0) atomic_fetch_add(&c->lost, 1);
        return;
    }
    atomic_fetch_add(&c->answered, 1);
    if (receipt->code == KH_C_OK) atomic_fetch_add(&c->granted, 1);
}

static void ask(client *c, kh_store *store, ops_buf *ops)
{
    uint64_t ticket;
    const kh_store_batch batch = {.ops = ops->p, .ops_sz = ops->n, .op_cnt = ops->cnt, .reply = on_reply, .ctx = c};
    KH_ASSERT(kh_store_submit(store, &batch, &ticket) == KH_OK);
    KH_ASSERT(kh_store_wait(store, ticket) == KH_OK);
    ops->n = ops->cnt = 0;
}

static void *run(void *arg)
{
    client *c = arg;
    ops_buf ops = {0};
    for (uint64_t id = 1 + (uint64_t)c->nth * 1000000; !atomic_load(&stop);) {
        uint32_t n = 1 + (uint32_t)id % 40;
        for (uint32_t i = 0; i < n; i++, id++)
            ops_apply(&ops, c->bank, OPS_ENTERPRISE, id, (uint32_t)id % PAPERS, 100 + id % 900);
        ask(c, c->at->store, &ops);
    }
    free(ops.p);
    return NULL;
}

/* By the hub's own door, whose hubs speak here: what there is to finance. */
static void bring_papers(void)
{
    client source = {0};
    ops_buf ops = {0};
    ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_ADD,
                           .party = REGULATOR,
                           .party_add = {OPS_ENTERPRISE, KH_ROLE_ENTERPRISE, kh_text_of("Exporter"), kh_text_of(ops_owner)}});
    for (uint32_t i = 0; i < PAPERS; i++) ops_paper(&ops, SOURCE, i, i, 100000);
    uint32_t cnt = ops.cnt;
    ask(&source, places[2].store, &ops);
    KH_ASSERT(atomic_load(&source.granted) == cnt);
    free(ops.p);
}

/* ---- readers ---- */
typedef struct listing {
    uint64_t cnt, last;
} listing;
static void on_found(void *ctx, const kh_view_financing *f) { *(uint64_t *)ctx += f->amount + f->line_cnt; }
static bool on_each(void *ctx, const kh_view_financing *f)
{
    listing *l = ctx;
    KH_ASSERT(l->cnt == 0 || f->id > l->last);
    l->last = f->id;
    l->cnt++;
    return true;
}
static bool on_alert(void *ctx, const kh_view_alert *a)
{
    *(uint64_t *)ctx += a->number;
    return true;
}

static void look_at_view(kh_view *v)
{
    listing l = {0};
    uint64_t sum = 0, height;
    uint32_t item;
    uint8_t *package;
    size_t n;
    kh_view_counts counts;
    kh_view_each(v, true, 0, on_each, &l);
    if (l.cnt != 0) KH_ASSERT(kh_view_find(v, l.last, on_found, &sum));
    kh_view_alerts(v, 0, on_alert, &sum);
    if (l.cnt != 0 && kh_view_proof(v, l.last, &height, &item, &package, &n) == KH_OK) free(package);
    kh_view_count(v, &counts);
    KH_ASSERT(counts.financings >= l.cnt && kh_view_height(v) >= counts.height);
}

static void *look(void *arg)
{
    place *p = arg;
    uint64_t heights[4], before = 0;
    while (!atomic_load(&stop_blocks)) {
        kh_cluster_counts counts;
        kh_cluster_count(p->cluster, &counts);
        KH_ASSERT(counts.node.height >= before && kh_cluster_sound(p->cluster));
        before = counts.node.height;
        (void)kh_cluster_changes(p->cluster, heights, 4);
        kh_kept_block *block;
        if (kh_kept_at(kh_cluster_kept(p->cluster), before, &block) == KH_OK) kh_kept_block_free(block);
        kh_attestation a;
        (void)kh_node_attested_root(kh_cluster_node(p->cluster), counts.attested_height, &a);
        if (kh_cluster_view(p->cluster) != NULL) look_at_view(kh_cluster_view(p->cluster));
        atomic_fetch_add(&looked, 1);
        sleep_ms(3);
    }
    return NULL;
}

/* ---- all of it ---- */
static void begin(void)
{
    char why[200];
    fixture_begin();
    make_authority("ca", &ca);
    clock_ = kh_host_clock();
    entropy = kh_host_entropy();
    char path[200];
    (void)snprintf(path, sizeof path, "%s/log", fixture_dir);
    KH_ASSERT(kh_logging_open(path, -1, -1, &logging, why, sizeof why));
    make_genesis();
    place_make(&places[0], BANK_A);
    place_make(&places[1], BANK_B);
    place_make(&places[2], HUB);
    for (uint32_t i = 0; i < NODES; i++) place_start(&places[i]);
}

static void check(void)
{
    uint64_t answered = 0;
    for (uint32_t b = 0; b < 2; b++) {
        kh_view_counts counts;
        kh_cluster_counts all;
        uint64_t granted = 0;
        for (uint32_t i = 0; i < CLIENTS; i++) {
            KH_ASSERT(atomic_load(&clients[b * CLIENTS + i].lost) == 0);
            granted += atomic_load(&clients[b * CLIENTS + i].granted);
            answered += atomic_load(&clients[b * CLIENTS + i].answered);
        }
        kh_view_count(kh_cluster_view(places[b].cluster), &counts);
        kh_cluster_count(places[b].cluster, &all);
        KH_ASSERT(counts.financings == granted && granted > 0);
        KH_ASSERT(all.alerts == 0);
    }
    (void)printf("%llu blocks, %llu applications answered, looked %llu times\n", (unsigned long long)atomic_load(&blocks),
                 (unsigned long long)answered, (unsigned long long)atomic_load(&looked));
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? atol(argv[1]) : 5;
    pthread_t comet, readers[NODES], running[2 * CLIENTS];
    begin();
    KH_ASSERT(pthread_create(&comet, NULL, agree, NULL) == 0);
    bring_papers();
    for (uint32_t i = 0; i < NODES; i++) KH_ASSERT(pthread_create(&readers[i], NULL, look, &places[i]) == 0);
    for (uint32_t i = 0; i < 2 * CLIENTS; i++) {
        clients[i].at = &places[i / CLIENTS];
        clients[i].bank = i / CLIENTS == 0 ? BANK_A : BANK_B;
        clients[i].nth = i;
        KH_ASSERT(pthread_create(&running[i], NULL, run, &clients[i]) == 0);
    }
    sleep_ms(seconds * 1000);
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < 2 * CLIENTS; i++) (void)pthread_join(running[i], NULL);
    check();
    atomic_store(&stop_blocks, true);
    for (uint32_t i = 0; i < NODES; i++) (void)pthread_join(readers[i], NULL);
    (void)pthread_join(comet, NULL);
    for (uint32_t i = 0; i < NODES; i++) place_end(&places[i]);
    kh_logging_close(logging);
    free_authority(&ca);
    fixture_end();
    return 0;
}
