/* node_fixture: one node of a cluster of four banks (11 to 14, all vote) and three hubs (15 to 17), with everybody's keys at
 * hand: what it sends is noted, what it stores is kept here, time and blocks are the test's. */
#ifndef NODE_FIXTURE_H
#define NODE_FIXTURE_H
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "cluster/node.h"
#include "crypto/digest.h"

#define BANKS 4u
#define MEMBERS 7u
#define SELF 11u
#define START_NS (UINT64_C(1800000000) * KH_NS_PER_S)

typedef struct fx_message {
    uint32_t to;
    uint8_t type, *p;
    size_t n;
} fx_message;
typedef struct fx_body {
    kh_body_name name;
    uint8_t *p;
    bool there;
} fx_body;
static struct fixture {
    kh_signer *sender[MEMBERS], *ack[MEMBERS], *attest[MEMBERS], *officer;
    kh_box *box[MEMBERS], *group;
    kh_member members[MEMBERS];
    kh_genesis genesis;
    uint8_t *genesis_bytes, chain[32];
    size_t genesis_n;
    kh_node_effects effects;
    kh_node *node;
    uint64_t now, time_ns, height;
    fx_message sent[8192];
    uint32_t sent_cnt;
    fx_body bodies[512];
    uint32_t body_cnt;
    bool slow_disk; /* puts end when the test says so */
    uint64_t tokens[512];
    uint8_t token_digests[512][32];
    uint32_t token_cnt;
    char alert[64];
    uint32_t alert_member, alert_cnt, attested_cnt, ordered_cnt, decided_cnt;
    uint32_t checkpoint_cnt, wanted_cnt, outputs_cnt;
    uint64_t wanted_above;
    uint64_t attested_height, checkpoint_height, ordered_tags[512];
    void *made[512]; /* freed at the end */
    uint32_t made_cnt;
} fx;

static uint32_t place(uint32_t id) { return id - SELF; }

static void fx_send(void *self, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)self;
    if (fx.sent_cnt == sizeof fx.sent / sizeof fx.sent[0]) return;
    fx_message *m = &fx.sent[fx.sent_cnt++];
    *m = (fx_message){to, type, malloc(n + 1), n};
    memcpy(m->p, p, n);
}
static uint64_t fx_now(void *self) { return (void)self, fx.now; }
static kh_err fx_entropy(void *self, void *p, size_t n)
{
    (void)self;
    return getentropy(p, n) == 0 ? KH_OK : KH_E_IO;
}
static fx_body *fx_find(const uint8_t digest[32])
{
    for (uint32_t i = 0; i < fx.body_cnt; i++)
        if (memcmp(fx.bodies[i].name.digest, digest, 32) == 0) return &fx.bodies[i];
    return NULL;
}
static void fx_disk_done(uint32_t i)
{
    fx_body *b = fx_find(fx.token_digests[i]);
    if (b != NULL) b->there = true;
    kh_node_stored(fx.node, fx.tokens[i], KH_OK);
}
static kh_err fx_put(void *self, const kh_body_name *name, const uint8_t *p, size_t n, uint64_t token)
{
    (void)self;
    fx_body *b = fx_find(name->digest);
    if (b == NULL) {
        cr_assert(fx.body_cnt < 512);
        b = &fx.bodies[fx.body_cnt++];
        *b = (fx_body){*name, malloc(n), false};
        memcpy(b->p, p, n);
    }
    b->name.expires_ns = kh_max64(b->name.expires_ns, name->expires_ns);
    uint32_t i = fx.token_cnt++ % 512;
    fx.tokens[i] = token;
    memcpy(fx.token_digests[i], name->digest, 32);
    if (!fx.slow_disk) fx_disk_done(i);
    return KH_OK;
}
static bool fx_has(void *self, const uint8_t digest[32])
{
    (void)self;
    const fx_body *b = fx_find(digest);
    return b != NULL && b->there;
}
static kh_err fx_get(void *self, const uint8_t digest[32], uint8_t **ret, size_t *ret_n)
{
    if (!fx_has(self, digest)) return KH_E_NOT_FOUND;
    const fx_body *b = fx_find(digest);
    *ret = malloc(b->name.size);
    memcpy(*ret, b->p, b->name.size);
    *ret_n = b->name.size;
    return KH_OK;
}
static void fx_body_ordered(void *self, const uint8_t digest[32], uint32_t sender)
{
    (void)self, (void)sender;
    fx_body *b = fx_find(digest);
    if (b != NULL) b->name.ordered = true;
}
static void fx_expire(void *self, uint64_t now_ns) { (void)self, (void)now_ns; }
static void fx_each(void *self, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx)
{
    (void)self;
    for (uint32_t i = 0; i < fx.body_cnt; i++)
        if (fx.bodies[i].there && (sender == 0 || fx.bodies[i].name.sender == sender)) each(ctx, &fx.bodies[i].name);
}
static void fx_decided(void *self, const kh_order_block *b) { (void)self, (void)b, fx.decided_cnt++; }
static void fx_attested(void *self, const kh_attestation *a)
{
    (void)self;
    fx.attested_cnt++;
    fx.attested_height = a->height;
}
static void fx_checkpoint(void *self, const kh_attestation *a)
{
    (void)self;
    fx.checkpoint_cnt++;
    fx.checkpoint_height = a->height;
}
static void fx_outputs(void *self, uint32_t hub, const uint8_t *p, size_t n)
{
    (void)self, (void)hub, (void)p, (void)n;
    fx.outputs_cnt++;
}
static void fx_wanted(void *self, uint32_t bank, uint64_t above)
{
    (void)self, (void)bank;
    fx.wanted_cnt++;
    fx.wanted_above = above;
}
static void fx_alert(void *self, const char *word, uint32_t member, uint64_t height)
{
    (void)self, (void)height;
    snprintf(fx.alert, sizeof fx.alert, "%s", word);
    fx.alert_member = member;
    fx.alert_cnt++;
}
static void fx_ordered(void *self, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                       uint32_t n)
{
    (void)self, (void)digest, (void)height, (void)op_cnts;
    for (uint32_t i = 0; i < n; i++) fx.ordered_tags[fx.ordered_cnt++ % 512] = tags[i];
}

static kh_signer *fx_signer(uint32_t id, uint8_t use)
{
    uint8_t secret[32];
    kh_signer *s = NULL;
    memset(secret, use, sizeof secret);
    kh_store32(secret + 8, id);
    cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &s) == KH_OK);
    return s;
}
static kh_box *fx_box(kh_suite suite, uint32_t id, uint8_t use)
{
    uint8_t secret[32];
    kh_box *b = NULL;
    memset(secret, use, sizeof secret);
    kh_store32(secret + 8, id);
    cr_assert(kh_box_new(suite, secret, &b) == KH_OK);
    return b;
}

/* Of the member whose keys are the n-th. */
static kh_node_options fx_options(uint32_t self, uint32_t n)
{
    return (kh_node_options){.self = self,
                             .genesis = &fx.genesis,
                             .genesis_bytes = fx.genesis_bytes,
                             .genesis_sz = fx.genesis_n,
                             .sender = fx.sender[n],
                             .box = fx.box[n],
                             .effects = &fx.effects};
}

static kh_node *fx_node(const uint8_t *saved, size_t saved_n)
{
    kh_node *node = NULL;
    fx.effects = (kh_node_effects){NULL,        fx_send,       fx_now,          fx_now,    fx_entropy, fx_put,
                                   fx_has,      fx_get,        fx_body_ordered, fx_expire, fx_each,    fx_decided,
                                   fx_attested, fx_checkpoint, fx_outputs,      fx_wanted, fx_alert,   fx_ordered};
    kh_node_options o = fx_options(SELF, 0);
    o.ack = fx.ack[0];
    cr_assert(kh_node_new(&o, saved, saved_n, &node) == KH_OK);
    return node;
}

/* hubs: 1 or 3. */
static void fx_start(uint32_t hubs)
{
    fx.now = fx.time_ns = START_NS;
    fx.officer = fx_signer(1, 9);
    fx.group = fx_box(KH_SUITE_INTL, 1, 8);
    for (uint32_t i = 0; i < BANKS + hubs; i++) {
        kh_member *m = &fx.members[i];
        uint8_t key[KH_PUBLIC_SZ];
        bool hub = i >= BANKS;
        fx.sender[i] = fx_signer(SELF + i, 1);
        fx.ack[i] = fx_signer(SELF + i, 2);
        fx.attest[i] = fx_signer(SELF + i, 3);
        fx.box[i] = fx_box(KH_SUITE_INTL, SELF + i, 4);
        *m = (kh_member){.id = SELF + i, .role = hub ? KH_MEMBER_HUB : KH_MEMBER_BANK, .flags = hub ? 0 : KH_MEMBER_VALIDATOR};
        m->name_n = (uint8_t)snprintf(m->name, sizeof m->name, "member %u", m->id);
        kh_signer_public(fx.sender[i], m->sender);
        if (!hub) kh_signer_public(fx.ack[i], m->ack);
        if (hub) kh_signer_public(fx.attest[i], m->attest);
        kh_box_public(fx.box[i], m->box);
        kh_signer *consensus = fx_signer(SELF + i, 5);
        kh_signer_public(consensus, key);
        memcpy(m->consensus, key, 32);
        kh_signer_free(consensus);
    }
    fx.genesis = (kh_genesis){.chain_id = "unit",
                              .suite = KH_SUITE_INTL,
                              .initial_height = 1,
                              .time_ns = START_NS,
                              .officer_k = 1,
                              .officer_cnt = 1,
                              .member_cnt = BANKS + hubs,
                              .members = fx.members};
    kh_signer_public(fx.officer, fx.genesis.officers[0]);
    kh_box_public(fx.group, fx.genesis.group);
    cr_assert(kh_genesis_encode(&fx.genesis, &fx.genesis_bytes, &fx.genesis_n) == KH_OK);
    kh_order *o = NULL;
    cr_assert(kh_order_new(fx.genesis_bytes, fx.genesis_n, &o) == KH_OK);
    kh_order_chain(o, fx.chain);
    kh_order_free(o);
    fx.node = fx_node(NULL, 0);
}

/* ---- what others make ---- */
typedef struct fx_batch {
    uint8_t *message, digest[32]; /* BODY: expires 8, envelope */
    size_t n;
    kh_ack ack;
} fx_batch;

static fx_batch fx_batch_of(uint32_t id, uint32_t incarnation, uint64_t sequence, uint64_t expires_ns, size_t text_sz)
{
    fx_batch b = {0};
    uint8_t group[KH_PUBLIC_SZ], own[KH_PUBLIC_SZ], *p = NULL, *text = malloc(text_sz + 1);
    size_t n = 0;
    kh_envelope_head head = {KH_SUITE_INTL, {0}, 1, id, incarnation, sequence};
    const kh_entropy entropy = {fx_entropy, NULL};
    memcpy(head.chain, fx.chain, 32);
    cr_assert(getentropy(text, text_sz > 256 ? 256 : text_sz) == 0);
    for (size_t i = 256; i < text_sz; i++) text[i] = (uint8_t)(text[i - 256] * 7 + text[i - 255] + i / 255);
    kh_box_public(fx.group, group);
    kh_box_public(fx.box[place(id)], own);
    cr_assert(kh_envelope_make(&head, fx.sender[place(id)], group, own, &entropy, text, text_sz, &p, &n, b.digest) == KH_OK);
    b.message = malloc(8 + n);
    b.n = 8 + n;
    kh_store64(b.message, expires_ns);
    memcpy(b.message + 8, p, n);
    b.ack = (kh_ack){.set = 1,
                     .sender = id,
                     .incarnation = incarnation,
                     .length = (uint32_t)n,
                     .sequence = sequence,
                     .expires_ns = expires_ns};
    memcpy(b.ack.chain, fx.chain, 32);
    memcpy(b.ack.digest, b.digest, 32);
    free(p);
    free(text);
    cr_assert(fx.made_cnt < 512);
    fx.made[fx.made_cnt++] = b.message;
    return b;
}

static void fx_end(void)
{
    kh_node_free(fx.node);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        kh_signer_free(fx.sender[i]);
        kh_signer_free(fx.ack[i]);
        kh_signer_free(fx.attest[i]);
        kh_box_free(fx.box[i]);
    }
    kh_signer_free(fx.officer);
    kh_box_free(fx.group);
    for (uint32_t i = 0; i < fx.sent_cnt; i++) free(fx.sent[i].p);
    for (uint32_t i = 0; i < fx.body_cnt; i++) free(fx.bodies[i].p);
    for (uint32_t i = 0; i < fx.made_cnt; i++) free(fx.made[i]);
    free(fx.genesis_bytes);
}

__attribute__((unused)) static void fx_tell_body(const fx_batch *b)
{
    kh_node_received(fx.node, b->ack.sender, KH_MSG_BODY, b->message, b->n);
}

/* A certificate of the first three validators. */
static size_t fx_certificate(const kh_ack *ack, uint8_t *buf, size_t cap)
{
    kh_tx_signature s[3];
    for (uint16_t i = 0; i < 3; i++) {
        s[i].index = i;
        cr_assert(kh_ack_sign(fx.ack[i], ack, s[i].signature) == KH_OK);
    }
    return kh_certificate_encode(ack, s, 3, buf, cap);
}

__attribute__((unused)) static void fx_attestation(uint32_t hub, uint64_t height, const uint8_t app_hash[32], uint8_t root,
                                                   uint8_t ret[KH_ATTESTATION_SZ])
{
    kh_attestation a = {.height = height, .epoch = 1, .hub = hub};
    memcpy(a.chain, fx.chain, 32);
    memcpy(a.app_hash, app_hash, 32);
    memset(a.outputs_root, root, 32);
    cr_assert(kh_attestation_make(fx.attest[place(hub)], &a, ret) == KH_OK);
}

/* ---- what it did ---- */
__attribute__((unused)) static void fx_forget_sent(void)
{
    for (uint32_t i = 0; i < fx.sent_cnt; i++) free(fx.sent[i].p);
    fx.sent_cnt = 0;
}
__attribute__((unused)) static uint32_t fx_count(uint32_t to, uint8_t type)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < fx.sent_cnt; i++) cnt += (to == 0 || fx.sent[i].to == to) && fx.sent[i].type == type;
    return cnt;
}
__attribute__((unused)) static const fx_message *fx_last(uint32_t to, uint8_t type)
{
    for (uint32_t i = fx.sent_cnt; i-- > 0;)
        if (fx.sent[i].to == to && fx.sent[i].type == type) return &fx.sent[i];
    return NULL;
}
static const kh_order_block *fx_block(const kh_tx_span *txs, uint32_t n)
{
    const kh_order_block *b = NULL;
    fx.height++;
    cr_assert(kh_node_finalize(fx.node, fx.height, fx.time_ns, txs, n, &b) == KH_OK);
    kh_node_commit(fx.node);
    return b;
}
static void tell_tx(uint32_t from, const uint8_t *tx, size_t n) { kh_node_received(fx.node, from, KH_MSG_TX, tx, n); }
__attribute__((unused)) static kh_ack tell_certificate(uint32_t sender, uint64_t sequence, uint32_t length)
{
    uint8_t tx[1024];
    kh_ack ack = {.set = 1,
                  .sender = sender,
                  .incarnation = 1,
                  .length = length,
                  .sequence = sequence,
                  .expires_ns = START_NS + KH_NS_PER_S};
    memcpy(ack.chain, fx.chain, 32);
    kh_store64(ack.digest, sequence << 8 | sender);
    tell_tx(13, tx, fx_certificate(&ack, tx, sizeof tx));
    return ack;
}
__attribute__((unused)) static void order_one(fx_batch *b)
{
    uint8_t tx[1024];
    kh_tx_span span = {tx, fx_certificate(&b->ack, tx, sizeof tx)};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
}
__attribute__((unused)) static uint64_t fx_dropped(void)
{
    kh_node_counts c;
    kh_node_count(fx.node, &c);
    return c.dropped;
}
#endif
