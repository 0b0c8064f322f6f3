/* hub_fixture: a hub between a store, a kept order and a node that the test plays: it makes the blocks, hands out the bodies, and
 * hears the attestations and what is sent to the banks. */
#ifndef KH_TESTS_HUB_FIXTURE_H
#define KH_TESTS_HUB_FIXTURE_H
#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>
#include "hub/hub.h"
#include "crypto/digest.h"
#include "host/host.h"
#include "store_ops.h"

enum { REGULATOR = 1, BANK_A = 10, BANK_B = 11, SOURCE = 50, HUB = 90, BODIES_MAX = 1024, POSTS_MAX = 1024, PARCELS_MAX = 4096 };
#define FIRST_HEIGHT 100
#define GENESIS_NS (UINT64_C(1790000000) * KH_NS_PER_S)

/* ---- the node that the test plays: each file of the program has these functions, and the linker takes one ---- */
#define IN_PLACE __attribute__((weak))
struct kh_node {
    pthread_mutex_t lock;
    kh_order *order;
    uint32_t body_cnt, post_cnt, tick_cnt, sub_cnt, again_cnt, again_to;
    struct {
        uint8_t digest[32], *p;
        size_t n;
        bool hidden;
    } bodies[BODIES_MAX];
    uint64_t bodies_gone; /* given up to this height */
    kh_attestation posts[POSTS_MAX];
    struct {
        uint64_t tag;
        uint8_t *p;
        size_t n;
        uint32_t op_cnt;
    } subs[64];
    bool withhold, lie;              /* no quorum yet; the quorum says something else */
    kh_attestation words[POSTS_MAX]; /* of other hubs, and of this one before it lost all */
    uint32_t word_cnt, other_hubs;
};
typedef struct parcel {
    uint32_t bank;
    uint8_t *p;
    size_t n;
} parcel;

static struct kh_node node;
static parcel parcels[PARCELS_MAX];
static uint32_t parcel_cnt, alert_cnt;
static bool alert_given_up; /* one of them said so */

IN_PLACE kh_err kh_node_body(kh_node *n, const uint8_t digest[32], uint64_t height, uint8_t **ret, size_t *ret_n)
{
    (void)pthread_mutex_lock(&n->lock);
    kh_err err = height <= n->bodies_gone ? KH_E_NOT_FOUND : KH_E_AGAIN;
    for (uint32_t i = 0; i < n->body_cnt; i++) {
        if (memcmp(n->bodies[i].digest, digest, 32) != 0 || n->bodies[i].hidden) continue;
        *ret = malloc(n->bodies[i].n + 1);
        memcpy(*ret, n->bodies[i].p, n->bodies[i].n);
        *ret_n = n->bodies[i].n;
        err = KH_OK;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return err;
}

IN_PLACE kh_err kh_node_submit(kh_node *n, const uint8_t *frames, size_t sz, uint32_t op_cnt, bool signed_section, uint64_t tag)
{
    (void)signed_section;
    (void)pthread_mutex_lock(&n->lock);
    if (op_cnt == 0) n->tick_cnt++;
    else {
        uint8_t *p = malloc(sz);
        memcpy(p, frames, sz);
        n->subs[n->sub_cnt].tag = tag;
        n->subs[n->sub_cnt].p = p;
        n->subs[n->sub_cnt].n = sz;
        n->subs[n->sub_cnt++].op_cnt = op_cnt;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return KH_OK;
}

IN_PLACE kh_err kh_node_attest(kh_node *n, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                               const uint8_t root[32], uint32_t flags)
{
    kh_attestation a = {.height = height, .flags = flags, .hub = HUB, .epoch = 1};
    memcpy(a.app_hash, app_hash, 32);
    memcpy(a.posted, posted, 32);
    memcpy(a.outputs_root, root, 32);
    (void)pthread_mutex_lock(&n->lock);
    if (n->post_cnt < POSTS_MAX) n->posts[n->post_cnt++] = a;
    (void)pthread_mutex_unlock(&n->lock);
    return KH_OK;
}

/* again_cnt counts what is said again as it was said before. */
IN_PLACE kh_err kh_node_attest_again(kh_node *n, uint32_t to, uint64_t height, const uint8_t app_hash[32],
                                     const uint8_t posted[32], const uint8_t root[32], uint32_t flags)
{
    (void)pthread_mutex_lock(&n->lock);
    for (uint32_t i = 0; i < n->post_cnt; i++) {
        const kh_attestation *a = &n->posts[i];
        if (a->height != height || memcmp(a->app_hash, app_hash, 32) != 0 || memcmp(a->posted, posted, 32) != 0 ||
            memcmp(a->outputs_root, root, 32) != 0 || a->flags != flags)
            continue;
        n->again_to = to;
        n->again_cnt++;
        break;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return KH_OK;
}

/* What was posted so far; the hub goes on beside. */
static inline uint32_t posts_now(kh_attestation ret[POSTS_MAX])
{
    (void)pthread_mutex_lock(&node.lock);
    uint32_t cnt = node.post_cnt;
    memcpy(ret, node.posts, cnt * sizeof *ret);
    (void)pthread_mutex_unlock(&node.lock);
    return cnt;
}

static inline bool post_in(struct kh_node *n, uint64_t height, uint32_t flags, kh_attestation *ret)
{
    bool found = false;
    (void)pthread_mutex_lock(&n->lock);
    for (uint32_t i = 0; i < n->post_cnt; i++)
        if (n->posts[i].height == height && n->posts[i].flags == flags) *ret = n->posts[i], found = true;
    (void)pthread_mutex_unlock(&n->lock);
    return found;
}

static inline bool post_of(uint64_t height, kh_attestation *ret) { return post_in(&node, height, 0, ret); }
static inline bool checkpoint_of(uint64_t height, kh_attestation *ret)
{
    return post_in(&node, height, KH_ATTEST_CHECKPOINT, ret);
}

IN_PLACE bool kh_node_attested_root(kh_node *n, uint64_t height, kh_attestation *ret)
{
    if (n->withhold || !post_in(n, height, 0, ret)) return false;
    if (n->lie) ret->outputs_root[0] ^= 1;
    return true;
}

/* What this hub posted here is in the order, too. */
IN_PLACE void kh_node_words(kh_node *n, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                            const uint8_t root[32], uint32_t flags, kh_node_said *ret)
{
    kh_attestation a = {.height = height, .flags = flags, .epoch = 1}, other = {0};
    memcpy(a.app_hash, app_hash, 32);
    memcpy(a.posted, posted, 32);
    memcpy(a.outputs_root, root, 32);
    *ret = (kh_node_said){.others = n->other_hubs, .quorum = (n->other_hubs + 1) / 2 + 1};
    (void)pthread_mutex_lock(&n->lock);
    for (uint32_t i = 0; i < n->post_cnt && !ret->own; i++) ret->own = kh_attestation_agree(&n->posts[i], &a);
    ret->same = ret->own;
    for (uint32_t i = 0; i < n->word_cnt; i++) {
        kh_attestation *word = &n->words[i];
        if (word->height != height || word->flags != flags || (word->hub == HUB && ret->own)) continue;
        if (kh_attestation_agree(word, &a)) ret->same++, ret->own |= word->hub == HUB;
        else ret->differ += ret->differ == 0 || kh_attestation_agree(word, &other), other = *word;
    }
    (void)pthread_mutex_unlock(&n->lock);
}

IN_PLACE void kh_node_read(kh_node *n, void (*f)(void *ctx, kh_order *order), void *ctx) { f(ctx, n->order); }

/* ---- who takes part ---- */
typedef struct keys {
    kh_signer *sender, *ack, *consensus;
    kh_box *box;
} keys;

typedef struct world {
    char root[64], store_dir[96];
    kh_disk disk;
    kh_clock clock;
    kh_entropy entropy;
    kh_genesis genesis;
    kh_member members[5];
    keys keys[5];
    uint8_t *genesis_bytes, chain[32], group_secret[1][KH_SECRET_SZ];
    size_t genesis_sz;
    kh_box *group;
    const kh_box *groups[1];
    kh_store *store;
    kh_kept *kept;
    kh_hub *hub;
    uint64_t height, time_ns, sequence[5], checkpoint_blocks, posts_sz, packages_sz, patience_ns;
} world;
static world w;

static inline void secret_of(uint8_t seed, uint8_t ret[KH_SECRET_SZ]) { memset(ret, seed, KH_SECRET_SZ); }
static inline kh_signer *signer_of(uint8_t seed)
{
    uint8_t secret[KH_SECRET_SZ];
    kh_signer *s = NULL;
    secret_of(seed, secret);
    cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &s) == KH_OK);
    return s;
}
static inline kh_box *box_of(uint8_t seed)
{
    uint8_t secret[KH_SECRET_SZ];
    kh_box *b = NULL;
    secret_of(seed, secret);
    cr_assert(kh_box_new(KH_SUITE_INTL, secret, &b) == KH_OK);
    return b;
}

static inline void member(uint32_t i, uint32_t id, kh_member_role role, const char *name)
{
    kh_member *m = &w.members[i];
    keys *k = &w.keys[i];
    uint8_t key[KH_PUBLIC_SZ];
    *m = (kh_member){.id = id, .role = (uint8_t)role, .name_n = (uint8_t)strlen(name)};
    memcpy(m->name, name, strlen(name));
    *k = (keys){signer_of((uint8_t)(10 * i + 1)), signer_of((uint8_t)(10 * i + 2)), signer_of((uint8_t)(10 * i + 3)),
                box_of((uint8_t)(10 * i + 4))};
    kh_signer_public(k->sender, m->sender);
    kh_box_public(k->box, m->box);
    kh_signer_public(k->ack, m->ack);
    if (role == KH_MEMBER_HUB) kh_signer_public(k->ack, m->attest);
    if (role != KH_MEMBER_BANK) return;
    kh_signer_public(k->consensus, key);
    memcpy(m->consensus, key, 32);
    m->flags = KH_MEMBER_VALIDATOR;
}

static inline uint32_t nth(uint32_t id)
{
    for (uint32_t i = 0; i < 5; i++)
        if (w.members[i].id == id) return i;
    cr_assert(false, "no member %u", id);
    return 0;
}

static inline void world_genesis(bool hubs_speak)
{
    static kh_public_leaf rule = {.key_n = 16, .value_n = 2, .key = "rhold_ttl_applied", .value = (const uint8_t *)"3d"};
    rule.key_n = (uint8_t)strlen((const char *)rule.key);
    member(0, REGULATOR, KH_MEMBER_REGULATOR, "SAFE");
    member(1, BANK_A, KH_MEMBER_BANK, "Bank A");
    member(2, BANK_B, KH_MEMBER_BANK, "Bank B");
    member(3, SOURCE, KH_MEMBER_SOURCE, "Customs");
    member(4, HUB, KH_MEMBER_HUB, "Hub");
    secret_of(200, w.group_secret[0]);
    w.group = box_of(200);
    w.groups[0] = w.group;
    w.genesis = (kh_genesis){.chain_id = "kanhe-test",
                             .suite = KH_SUITE_INTL,
                             .initial_height = FIRST_HEIGHT,
                             .time_ns = GENESIS_NS,
                             .officer_k = 1,
                             .officer_cnt = 1,
                             .member_cnt = 5,
                             .members = w.members,
                             .public_cnt = 1,
                             .publics = &rule,
                             .hubs_speak = hubs_speak};
    kh_signer *officer = signer_of(240);
    kh_signer_public(officer, w.genesis.officers[0]);
    kh_signer_free(officer);
    kh_box_public(w.group, w.genesis.group);
    cr_assert(kh_genesis_encode(&w.genesis, &w.genesis_bytes, &w.genesis_sz) == KH_OK);
    cr_assert(kh_order_new(w.genesis_bytes, w.genesis_sz, &node.order) == KH_OK);
    kh_order_chain(node.order, w.chain);
}

static inline void hub_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx;
    if (type != KH_MSG_OUTPUTS) return;
    (void)pthread_mutex_lock(&node.lock);
    if (parcel_cnt < PARCELS_MAX) {
        uint8_t *copy = malloc(n);
        memcpy(copy, p, n);
        parcels[parcel_cnt++] = (parcel){to, copy, n};
    }
    (void)pthread_mutex_unlock(&node.lock);
}
static inline void hub_alert(void *ctx, const char *word, uint32_t who, uint64_t height)
{
    (void)ctx, (void)who, (void)height;
    alert_given_up |= strcmp(word, "BODY_GIVEN_UP") == 0;
    alert_cnt++;
}

static inline kh_err world_start(void)
{
    const kh_hub_options hub = {.node = &node,
                                .kept = w.kept,
                                .store = w.store,
                                .disk = &w.disk,
                                .dir = w.root,
                                .entropy = &w.entropy,
                                .genesis = &w.genesis,
                                .groups = w.groups,
                                .group_secrets = (const uint8_t(*)[KH_SECRET_SZ])w.group_secret,
                                .epoch_cnt = 1,
                                .checkpoint_blocks = w.checkpoint_blocks,
                                .posts_sz = w.posts_sz,
                                .packages_sz = w.packages_sz,
                                .patience_ns = w.patience_ns,
                                .alert = hub_alert,
                                .send = hub_send};
    return kh_hub_start(&hub, &w.hub);
}

static inline void world_open(void)
{
    char why[256];
    kh_store_report report;
    const kh_store_options options = {
        .clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy, .accept_time = true, .driven = true};
    kh_err err = kh_store_open(&options, w.store_dir, &report, &w.store);
    cr_assert(err == KH_OK, "%d %s", err, report.why);
    if (w.kept == NULL) cr_assert(kh_kept_open(&w.disk, w.root, why, sizeof why, &w.kept) == KH_OK, "%s", why);
    err = world_start();
    cr_assert(err == KH_OK, "%d", err);
}
static inline void world_close(void)
{
    kh_hub_stop(w.hub);
    kh_store_close(w.store);
    w.hub = NULL;
    w.store = NULL;
}

static inline void world_begin(bool hubs_speak)
{
    memset(&w, 0, sizeof w);
    memset(&node, 0, sizeof node);
    parcel_cnt = alert_cnt = 0;
    (void)pthread_mutex_init(&node.lock, NULL);
    strcpy(w.root, "/tmp/kh-hub-XXXXXX");
    cr_assert(mkdtemp(w.root) != NULL);
    snprintf(w.store_dir, sizeof w.store_dir, "%s/data", w.root);
    w.clock = kh_host_clock();
    w.entropy = kh_host_entropy();
    cr_assert(kh_host_disk_open(false, &w.disk) == KH_OK);
    w.height = FIRST_HEIGHT - 1;
    w.time_ns = GENESIS_NS;
    for (uint32_t i = 0; i < 5; i++) w.sequence[i] = 1;
    world_genesis(hubs_speak);
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    cr_assert(kh_store_create(&options, w.store_dir, NULL, NULL) == KH_OK);
    world_open();
}

static inline void world_end(void)
{
    char cmd[128];
    world_close();
    kh_kept_close(w.kept);
    kh_host_disk_close(&w.disk);
    kh_order_free(node.order);
    for (uint32_t i = 0; i < 5; i++) {
        kh_signer_free(w.keys[i].sender);
        kh_signer_free(w.keys[i].ack);
        kh_signer_free(w.keys[i].consensus);
        kh_box_free(w.keys[i].box);
    }
    kh_box_free(w.group);
    free(w.genesis_bytes);
    for (uint32_t i = 0; i < node.body_cnt; i++) free(node.bodies[i].p);
    for (uint32_t i = 0; i < node.sub_cnt; i++) free(node.subs[i].p);
    for (uint32_t i = 0; i < parcel_cnt; i++) free(parcels[i].p);
    snprintf(cmd, sizeof cmd, "rm -rf %s", w.root);
    cr_assert(system(cmd) == 0);
}

/* ---- texts and batches ---- */
typedef struct text {
    uint8_t *p;
    size_t n;
} text;

static inline void text_add(text *t, const void *p, size_t n)
{
    t->p = realloc(t->p, t->n + n + 1);
    memcpy(t->p + t->n, p, n);
    t->n += n;
}
static inline void text_own(text *t, ops_buf *b)
{
    uint8_t head[KH_SECTION_HEAD_SZ];
    kh_section_own((uint32_t)b->n, head);
    text_add(t, head, sizeof head);
    text_add(t, b->p, b->n);
    free(b->p);
    *b = (ops_buf){0};
}
static inline void text_bundle(text *t, uint32_t party, uint32_t signs, uint64_t number, ops_buf *b)
{
    uint8_t *p = NULL;
    size_t n = 0;
    cr_assert(kh_bundle_make(w.keys[nth(signs)].sender, w.chain, party, number, b->p, (uint32_t)b->n, &p, &n) == KH_OK);
    text_add(t, p, n);
    free(p);
    free(b->p);
    *b = (ops_buf){0};
}

typedef struct block {
    uint32_t cnt;
    kh_order_item items[32];
} block;

static inline void block_body(block *b, uint32_t sender, const uint8_t *p, size_t n)
{
    kh_order_item *item = &b->items[b->cnt++];
    *item = (kh_order_item){
        .kind = KH_ITEM_BATCH, .sender = sender, .incarnation = 1, .size = (uint32_t)n, .sequence = w.sequence[nth(sender)]++};
    kh_sha256(p, n, item->digest);
    (void)pthread_mutex_lock(&node.lock);
    uint8_t *copy = malloc(n + 1);
    memcpy(copy, p, n);
    node.bodies[node.body_cnt].p = copy;
    node.bodies[node.body_cnt].n = n;
    memcpy(node.bodies[node.body_cnt++].digest, item->digest, 32);
    (void)pthread_mutex_unlock(&node.lock);
}

static inline void block_batch_signed(block *b, uint32_t sender, uint32_t signs, uint64_t sequence, text *t)
{
    uint8_t *p = NULL, digest[32];
    size_t n = 0;
    kh_envelope_head head = {.suite = KH_SUITE_INTL, .epoch = 1, .sender = sender, .incarnation = 1, .sequence = sequence};
    memcpy(head.chain, w.chain, 32);
    kh_err err = kh_envelope_make(&head, w.keys[nth(signs)].sender, w.genesis.group, w.members[nth(sender)].box, &w.entropy, t->p,
                                  t->n, &p, &n, digest);
    cr_assert(err == KH_OK, "%d", err);
    block_body(b, sender, p, n);
    cr_assert(memcmp(digest, b->items[b->cnt - 1].digest, 32) == 0);
    free(p);
    free(t->p);
    *t = (text){0};
}
static inline void block_batch(block *b, uint32_t sender, text *t)
{
    block_batch_signed(b, sender, sender, w.sequence[nth(sender)], t);
}

/* Decides a block; the hub hears of it. */
static inline uint64_t decide(const block *b)
{
    uint16_t codes[1] = {0};
    uint8_t types[1] = {KH_TX_CERTIFICATE}, digests[1][32] = {{1}};
    kh_order_block o = {.height = ++w.height,
                        .time_ns = w.time_ns += KH_NS_PER_S,
                        .tx_cnt = 1,
                        .codes = codes,
                        .types = types,
                        .item_cnt = b->cnt,
                        .items = b->items};
    o.digests = (const uint8_t(*)[32])digests;
    kh_store64(o.app_hash, w.height * 77);
    cr_assert(kh_kept_add(w.kept, &o, node.order) == KH_OK);
    if (w.hub != NULL) kh_hub_decided(w.hub, w.height);
    return w.height;
}
static inline void wait_executed(uint64_t height)
{
    for (uint32_t i = 0; i < 120000 && kh_hub_executed_height(w.hub) < height; i++) usleep(500);
    cr_assert(kh_hub_executed_height(w.hub) >= height, "height %lu", (unsigned long)height);
}

/* ---- what banks were given ---- */
typedef struct given {
    kh_package package;
    uint8_t *bytes;
    size_t n;
    kh_output outputs[64];
    uint32_t cnt;
} given;

static inline bool parcel_of(uint32_t bank, uint64_t height, given *ret)
{
    bool found = false;
    (void)pthread_mutex_lock(&node.lock);
    for (uint32_t i = parcel_cnt; i > 0 && !found; i--) {
        uint64_t h = 0;
        if (parcels[i - 1].bank != bank) continue;
        cr_assert(kh_parcel_open(KH_SUITE_INTL, w.keys[nth(bank)].box, w.chain, bank, parcels[i - 1].p, parcels[i - 1].n, &h,
                                 &ret->bytes, &ret->n));
        if (h == height) found = true;
        else free(ret->bytes);
    }
    (void)pthread_mutex_unlock(&node.lock);
    return found;
}

/* The newest parcel of a bank for a height, opened and checked against what was attested. A hub says that it has executed a
   height before it sends the last of them. */
static inline void given_to(uint32_t bank, uint64_t height, given *ret)
{
    bool found = false;
    kh_attestation a;
    memset(ret, 0, sizeof *ret);
    for (uint32_t i = 0; i < 120000 && !(found = parcel_of(bank, height, ret)); i++) usleep(500);
    cr_assert(found, "nothing for %u at %lu", bank, (unsigned long)height);
    cr_assert(kh_package_read(ret->bytes, ret->n, w.chain, &ret->package) == KH_OK);
    cr_assert(post_of(height, &a) && memcmp(a.outputs_root, ret->package.root, 32) == 0);
    cr_assert(ret->package.height == height && ret->package.party == bank);
    for (uint32_t i = 0; i < ret->package.item_cnt && i < 64; i++, ret->cnt++) {
        const kh_package_item *item = &ret->package.items[i];
        cr_assert(kh_payload_decode(item->payload, item->payload_sz, &ret->outputs[i]) == KH_OK);
    }
}
static inline void given_free(given *g)
{
    kh_package_free(&g->package);
    free(g->bytes);
}

/* ---- what all tests begin with: the exporter by the regulator's bundle, ten papers by the source's ---- */
static inline void bundle_exporter(text *t)
{
    ops_buf ops = {0};
    ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_ADD,
                           .party = REGULATOR,
                           .party_add = {OPS_ENTERPRISE, KH_ROLE_ENTERPRISE, kh_text_of("Exporter"), kh_text_of(ops_owner)}});
    text_bundle(t, REGULATOR, REGULATOR, 1, &ops);
}

/* The source's bundle `number`: cnt papers from the first on, each of this amount. */
static inline void bundle_papers(text *t, uint64_t number, uint32_t first, uint32_t cnt, uint64_t amount)
{
    ops_buf ops = {0};
    for (uint32_t i = 0; i < cnt; i++) ops_paper(&ops, SOURCE, i, first + i, amount);
    text_bundle(t, SOURCE, SOURCE, number, &ops);
}

static inline uint64_t begin_with_papers(void)
{
    block b = {0};
    text t = {0};
    bundle_exporter(&t);
    bundle_papers(&t, 1, 0, 10, 1000);
    block_batch(&b, HUB, &t);
    uint64_t height = decide(&b);
    wait_executed(height);
    return height;
}
#endif
