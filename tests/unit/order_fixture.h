/* A chain to test the order with: regulator 1, banks 11 to 14 (validators), source 31, hubs 51 to 53, three officers of whom two
 * sign; bank 15 is no validator. Keys come from their holder's number and use, so that every run has the same bytes. */
#ifndef KH_TESTS_ORDER_FIXTURE_H
#define KH_TESTS_ORDER_FIXTURE_H
#include "crypto/digest.h"
#include "order/order.h"
#include "wire/wire.h"
#include <stdio.h>
#include <stdlib.h>

#define T0 (UINT64_C(1790000000) * KH_NS_PER_S)
enum { USE_SENDER = 1, USE_ACK = 2, USE_ATTEST = 3, USE_BOX = 4, USE_CONSENSUS = 5, USE_OFFICER = 6, USE_GROUP = 7 };

static inline void fx_secret(uint32_t id, uint8_t use, uint8_t turn, uint8_t ret[KH_SECRET_SZ])
{
    uint8_t seed[8] = {(uint8_t)id, (uint8_t)(id >> 8), use, turn};
    kh_sha256(seed, sizeof seed, ret);
    ret[0] &= 0x7f; /* below SM2's order */
}

static inline kh_signer *fx_signer(kh_suite suite, uint32_t id, uint8_t use, uint8_t turn)
{
    uint8_t secret[KH_SECRET_SZ];
    kh_signer *signer;
    fx_secret(id, use, turn, secret);
    KH_ASSERT(kh_signer_new(suite, secret, &signer) == KH_OK);
    return signer;
}

static inline void fx_public(kh_suite suite, uint32_t id, uint8_t use, uint8_t turn, uint8_t ret[KH_PUBLIC_SZ])
{
    uint8_t secret[KH_SECRET_SZ];
    fx_secret(id, use, turn, secret);
    if (use == USE_BOX || use == USE_GROUP) {
        kh_box *box;
        KH_ASSERT(kh_box_new(suite, secret, &box) == KH_OK);
        kh_box_public(box, ret);
        kh_box_free(box);
    } else {
        kh_signer *signer = fx_signer(suite, id, use, turn);
        kh_signer_public(signer, ret);
        kh_signer_free(signer);
    }
}

static inline void fx_member(kh_suite suite, uint32_t id, uint8_t role, uint8_t flags, kh_member *ret)
{
    uint8_t consensus[KH_PUBLIC_SZ];
    memset(ret, 0, sizeof *ret);
    ret->id = id;
    ret->role = role;
    ret->flags = flags;
    ret->name_n = (uint8_t)snprintf(ret->name, sizeof ret->name, "Member %u", id);
    fx_public(suite, id, USE_SENDER, 0, ret->sender);
    fx_public(suite, id, USE_BOX, 0, ret->box);
    if (role == KH_MEMBER_HUB) fx_public(suite, id, USE_ATTEST, 0, ret->attest);
    if (role != KH_MEMBER_BANK && role != KH_MEMBER_HUB) return;
    fx_public(suite, id, USE_ACK, 0, ret->ack);
    fx_public(KH_SUITE_INTL, id, USE_CONSENSUS, 0, consensus);
    memcpy(ret->consensus, consensus, 32);
}

static inline void fx_genesis(kh_suite suite, uint32_t hubs, uint8_t **ret, size_t *ret_n)
{
    static kh_member members[16];
    kh_public_leaf leaf = {.key_n = 17, .value_n = 3, .value = (const uint8_t *)"30d"};
    kh_genesis g = {
        .chain_id = "test-chain", .suite = suite, .initial_height = 5, .time_ns = T0, .officer_k = 2, .officer_cnt = 3};
    memcpy(leaf.key, "rhold_ttl_applied", 17);
    g.members = members;
    fx_member(suite, 1, KH_MEMBER_REGULATOR, 0, &members[g.member_cnt++]);
    for (uint32_t id = 11; id <= 15; id++)
        fx_member(suite, id, KH_MEMBER_BANK, id < 15 ? KH_MEMBER_VALIDATOR : 0, &members[g.member_cnt++]);
    fx_member(suite, 31, KH_MEMBER_SOURCE, 0, &members[g.member_cnt++]);
    for (uint32_t i = 0; i < hubs; i++) fx_member(suite, 51 + i, KH_MEMBER_HUB, 0, &members[g.member_cnt++]);
    for (uint32_t i = 0; i < 3; i++) fx_public(suite, i, USE_OFFICER, 0, g.officers[i]);
    fx_public(suite, 1, USE_GROUP, 0, g.group);
    memset(g.checkpoint, 0xc1, 32);
    g.public_cnt = 1;
    g.publics = &leaf;
    KH_ASSERT(kh_genesis_encode(&g, ret, ret_n) == KH_OK);
}

/* ---- a chain that moves ---- */
typedef struct chain {
    kh_suite suite;
    uint8_t *genesis;
    size_t genesis_n;
    kh_order *order;
    uint64_t time;
    uint8_t *txs[64]; /* of the block that is being gathered */
    kh_tx_span spans[64];
    uint32_t n;
    kh_order_block block; /* the last */
} chain;

static inline void fx_begin_with(chain *c, kh_suite suite, uint32_t hubs)
{
    memset(c, 0, sizeof *c);
    c->suite = suite;
    c->time = T0;
    fx_genesis(suite, hubs, &c->genesis, &c->genesis_n);
    KH_ASSERT(kh_order_new(c->genesis, c->genesis_n, &c->order) == KH_OK);
}
static inline void fx_begin(chain *c) { fx_begin_with(c, KH_SUITE_INTL, 3); }

static inline void fx_clear(chain *c)
{
    for (uint32_t i = 0; i < c->n; i++) free(c->txs[i]);
    c->n = 0;
}

static inline void fx_end(chain *c)
{
    fx_clear(c);
    kh_order_free(c->order);
    free(c->genesis);
}

static inline uint32_t fx_add(chain *c, const uint8_t *p, size_t n)
{
    KH_ASSERT(c->n < 64);
    uint8_t *copy = malloc(n > 0 ? n : 1); /* exactly as many, so that a sanitizer sees one read too many */
    memcpy(copy, p, n);
    c->txs[c->n] = copy;
    c->spans[c->n] = (kh_tx_span){copy, n};
    return c->n++;
}

static inline void fx_digest(uint32_t sender, uint32_t incarnation, uint64_t sequence, uint8_t ret[32])
{
    uint8_t seed[16];
    kh_store32(seed, sender);
    kh_store32(seed + 4, incarnation);
    kh_store64(seed + 8, sequence);
    kh_sha256(seed, sizeof seed, ret);
}

static inline kh_ack fx_ack(const chain *c, uint32_t sender, uint64_t sequence)
{
    kh_order_validators v;
    kh_order_validator_set(c->order, &v);
    kh_ack ack = {.set = v.set_id, .sender = sender, .incarnation = 1, .length = 4096, .sequence = sequence};
    kh_order_chain(c->order, ack.chain);
    ack.expires_ns = c->time + 60 * KH_NS_PER_S;
    fx_digest(sender, 1, sequence, ack.digest);
    return ack;
}

/* A certificate by the validators at `places` of the set (members 11 + place). */
static inline size_t fx_certify(const chain *c, const kh_ack *ack, const uint16_t *places, uint32_t cnt, uint8_t *buf, size_t cap)
{
    kh_tx_signature signatures[8];
    for (uint32_t i = 0; i < cnt; i++) {
        kh_signer *signer = fx_signer(c->suite, 11u + places[i], USE_ACK, 0);
        signatures[i].index = places[i];
        KH_ASSERT(kh_ack_sign(signer, ack, signatures[i].signature) == KH_OK);
        kh_signer_free(signer);
    }
    return kh_certificate_encode(ack, signatures, cnt, buf, cap);
}

static const uint16_t three[3] = {0, 1, 3};

static inline uint32_t fx_add_ack(chain *c, const kh_ack *ack)
{
    uint8_t buf[1024];
    return fx_add(c, buf, fx_certify(c, ack, three, 3, buf, sizeof buf));
}

static inline uint32_t fx_batch(chain *c, uint32_t sender, uint64_t sequence)
{
    kh_ack ack = fx_ack(c, sender, sequence);
    return fx_add_ack(c, &ack);
}

static inline kh_attestation fx_word(const chain *c, uint32_t hub, uint64_t height)
{
    kh_attestation a = {.height = height, .epoch = 1, .hub = hub};
    kh_order_chain(c->order, a.chain);
    kh_order_app_hash(c->order, a.app_hash);
    memset(a.posted, 0x90 + (int)(height & 15), 32);
    memset(a.outputs_root, 0x0f, 32);
    return a;
}

static inline uint32_t fx_add_word(chain *c, kh_attestation *a)
{
    uint8_t buf[KH_ATTESTATION_SZ];
    kh_signer *signer = fx_signer(c->suite, a->hub, USE_ATTEST, 0);
    KH_ASSERT(kh_attestation_make(signer, a, buf) == KH_OK);
    kh_signer_free(signer);
    return fx_add(c, buf, sizeof buf);
}

static inline uint32_t fx_attest(chain *c, uint32_t hub, uint64_t height)
{
    kh_attestation a = fx_word(c, hub, height);
    return fx_add_word(c, &a);
}

/* A change signed by the officers of `who` (bits), turn: which keys they have. */
static inline uint32_t fx_change_by(chain *c, uint64_t number, uint32_t kind, const void *body, size_t n, uint32_t who,
                                    uint8_t turn)
{
    static uint8_t buf[KH_TX_MAX_SZ], statement[KH_TX_MAX_SZ];
    kh_change change = {.number = number, .kind = kind, .body_sz = (uint32_t)n, .body = body};
    kh_order_chain(c->order, change.chain);
    size_t statement_n = kh_change_statement(&change, statement, sizeof statement);
    for (uint16_t i = 0; i < 16; i++) {
        if ((who >> i & 1) == 0) continue;
        kh_signer *signer = fx_signer(c->suite, i, USE_OFFICER, turn);
        kh_tx_signature *s = &change.signatures[change.signature_cnt++];
        s->index = i;
        KH_ASSERT(kh_sign(signer, statement, statement_n, s->signature) == KH_OK);
        kh_signer_free(signer);
    }
    return fx_add(c, buf, kh_change_encode(&change, buf, sizeof buf));
}

static inline uint32_t fx_change(chain *c, uint32_t kind, const void *body, size_t n)
{
    return fx_change_by(c, kh_order_change_number(c->order), kind, body, n, 3, 0);
}

static inline uint32_t fx_change_validator(chain *c, uint32_t id, uint32_t power)
{
    uint8_t body[8];
    kh_store32(body, id);
    kh_store32(body + 4, power);
    return fx_change(c, KH_CHANGE_VALIDATOR, body, sizeof body);
}

static inline uint32_t fx_change_version(chain *c, uint32_t version, uint64_t from)
{
    uint8_t body[16] = {0};
    kh_store32(body, version);
    kh_store64(body + 8, from);
    return fx_change(c, KH_CHANGE_VERSION, body, sizeof body);
}

static inline kh_member fx_member_now(const chain *c, uint32_t id)
{
    const kh_member *m = kh_order_member(c->order, id);
    KH_ASSERT(m != NULL);
    return *m;
}

static inline uint32_t fx_change_member(chain *c, const kh_member *m)
{
    uint8_t body[1024] = {0};
    size_t n = 8;
    kh_store32(body, m->id);
    body[4] = m->role, body[5] = m->flags, body[6] = m->name_n, body[7] = m->uscc_n;
    memcpy(body + n, m->name, m->name_n), n += m->name_n;
    memcpy(body + n, m->uscc, m->uscc_n), n += m->uscc_n;
    memcpy(body + n, m->sender, 64);
    memcpy(body + n + 64, m->ack, 64);
    memcpy(body + n + 128, m->attest, 64);
    memcpy(body + n + 192, m->box, 64);
    memcpy(body + n + 256, m->consensus, 32);
    return fx_change(c, KH_CHANGE_MEMBER, body, n + 288);
}

static inline uint32_t fx_change_op(chain *c, const kh_op *op)
{
    uint8_t body[1024];
    size_t n;
    KH_ASSERT(kh_op_encode(op, body, sizeof body, &n) == KH_OK);
    return fx_change(c, KH_CHANGE_OPS, body, n);
}

static inline uint32_t fx_incarnate(chain *c, uint32_t sender, uint32_t incarnation, uint8_t turn)
{
    uint8_t buf[KH_INCARNATION_SZ], chain_digest[32];
    kh_signer *signer = fx_signer(c->suite, sender, USE_SENDER, turn);
    kh_order_chain(c->order, chain_digest);
    KH_ASSERT(kh_incarnation_make(signer, chain_digest, sender, incarnation, buf) == KH_OK);
    kh_signer_free(signer);
    return fx_add(c, buf, sizeof buf);
}

static inline uint32_t fx_rule(chain *c, const char *name, const char *value)
{
    kh_op op = {.type = KH_OP_RULE_SET, .rule_set = {kh_text_of(name), kh_text_of(value)}};
    return fx_change_op(c, &op);
}

/* A member says that it holds the state of a checkpoint; turn: with which of its keys. */
static inline uint32_t fx_holds(chain *c, uint32_t member, uint64_t height, uint8_t turn)
{
    uint8_t buf[KH_HOLDS_SZ], chain_digest[32];
    kh_signer *signer = fx_signer(c->suite, member, USE_ACK, turn);
    kh_order_chain(c->order, chain_digest);
    KH_ASSERT(kh_holds_make(signer, chain_digest, height, member, buf) == KH_OK);
    kh_signer_free(signer);
    return fx_add(c, buf, sizeof buf);
}

/* Two hubs of three attest the last block's state as a checkpoint. */
static inline void fx_checkpoint(chain *c)
{
    for (uint32_t hub = 51; hub <= 52; hub++) {
        kh_attestation a = fx_word(c, hub, kh_order_height(c->order));
        a.flags = KH_ATTEST_CHECKPOINT;
        fx_add_word(c, &a);
    }
}

/* fx_process: would the gathered block be voted for? fx_next executes it, ms later than the one before. */
static inline bool fx_process(const chain *c)
{
    return kh_order_process(c->order, kh_order_height(c->order) + 1, c->time, c->spans, c->n);
}

static inline void fx_next(chain *c, uint64_t ms)
{
    c->time += ms * 1000000;
    KH_ASSERT(kh_order_finalize(c->order, kh_order_height(c->order) + 1, c->time, c->spans, c->n, &c->block) == KH_OK);
    KH_ASSERT(c->block.tx_cnt == c->n);
    fx_clear(c);
}
#endif
