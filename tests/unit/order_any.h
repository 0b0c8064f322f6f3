/* Any transactions: good ones, odd ones and garbage, as a source of choices says. Used by a test with random choices and by the
 * fuzzer with its bytes. */
#ifndef KH_TESTS_ORDER_ANY_H
#define KH_TESTS_ORDER_ANY_H
#include "order_fixture.h"

typedef struct choices {
    uint32_t (*pick)(struct choices *self, uint32_t n); /* 0 .. n - 1 */
    uint64_t random;
    const uint8_t *p, *end;
} choices;

static inline uint32_t pick_random(choices *self, uint32_t n)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (uint32_t)((self->random >> 32) % n);
}

static inline uint32_t pick_bytes(choices *self, uint32_t n) { return self->p < self->end ? *self->p++ % n : 0; }

static const uint32_t any_ids[] = {11, 12, 13, 14, 15, 51, 52, 53, 1, 31, 16, 17, 99};
static inline uint32_t any_id(choices *x) { return any_ids[x->pick(x, sizeof any_ids / sizeof any_ids[0])]; }

static inline void any_batch(chain *c, choices *x)
{
    uint32_t id = any_id(x), incarnation = 1;
    uint64_t next = 1;
    uint8_t buf[1024];
    static const uint16_t all[4] = {0, 1, 2, 3};
    (void)kh_order_next(c->order, id, &incarnation, &next);
    kh_ack ack = fx_ack(c, id, next);
    ack.incarnation = incarnation;
    uint32_t n = 3;
    switch (x->pick(x, 12)) {
    case 0: ack.sequence += x->pick(x, 4); break;
    case 1: ack.expires_ns = c->time - 5 + x->pick(x, 10); break;
    case 2: ack.expires_ns += x->pick(x, 2) * KH_EXPIRES_MAX_NS; break;
    case 3: ack.set -= x->pick(x, 3); break;
    case 4: ack.incarnation += x->pick(x, 2); break;
    case 5: ack.length = x->pick(x, 2) * (20u << 20); break;
    case 6: n = 1 + x->pick(x, 4); break;
    default: break;
    }
    fx_digest(id, ack.incarnation, ack.sequence, ack.digest);
    fx_add(c, buf, fx_certify(c, &ack, n == 3 ? three : all, n, buf, sizeof buf));
}

static inline void any_word(chain *c, choices *x)
{
    uint64_t height = kh_order_height(c->order), back = x->pick(x, 3);
    kh_attestation a = fx_word(c, 51 + x->pick(x, 3), height > back ? height - back : height);
    a.epoch += x->pick(x, 2);
    uint32_t losses = kh_order_losses(c->order, a.height), odd = x->pick(x, 16);
    a.flags = kh_attest_flags(odd == 1 ? losses + 1 : odd == 2 && losses != 0 ? losses - 1 : losses, x->pick(x, 2));
    if (x->pick(x, 4) == 0) a.posted[0] ^= 1;
    if (x->pick(x, 8) == 0) a.app_hash[0] ^= 1;
    fx_add_word(c, &a);
}

static inline void any_member(chain *c, choices *x)
{
    uint32_t id = any_id(x);
    const kh_member *there = kh_order_member(c->order, id);
    kh_member m;
    if (there != NULL) m = *there;
    else fx_member(c->suite, id, KH_MEMBER_BANK, 0, &m);
    switch (x->pick(x, 5)) {
    case 0: m.flags ^= KH_MEMBER_FROZEN; break;
    case 1: fx_public(c->suite, id, USE_SENDER, (uint8_t)x->pick(x, 2), m.sender); break;
    case 2: fx_public(c->suite, id, USE_ACK, (uint8_t)x->pick(x, 2), m.ack); break;
    case 3: fx_public(c->suite, id, USE_ATTEST, (uint8_t)x->pick(x, 2), m.attest); break;
    default:
        if (x->pick(x, 8) == 0) m.flags |= KH_MEMBER_EXPELLED;
    }
    fx_change_member(c, &m);
}

static inline void any_change(chain *c, choices *x)
{
    uint8_t body[KH_PUBLIC_SZ];
    uint32_t incarnation = 1;
    uint64_t next = 1;
    char text[4] = {(char)('0' + x->pick(x, 10)), 'd', 0};
    static const char *const retentions[] = {"1s", "2s", "off", "1x"};
    kh_op op = {.type = KH_OP_RULE_SET, .rule_set = {kh_text_of("max_age.invoice"), kh_text_of(text)}};
    switch (x->pick(x, 8)) {
    case 7: fx_rule(c, "body_retention", retentions[x->pick(x, 4)]); break;
    case 0: fx_change_validator(c, any_id(x), x->pick(x, 2)); break;
    case 1: any_member(c, x); break;
    case 2:
        fx_public(c->suite, 1, USE_GROUP, (uint8_t)x->pick(x, 4), body);
        fx_change(c, KH_CHANGE_EPOCH, body, sizeof body);
        break;
    case 3:
        (void)kh_order_next(c->order, 11, &incarnation, &next);
        fx_digest(11, incarnation, next - 1, body);
        fx_change(c, KH_CHANGE_LOST, body, 32);
        break;
    case 4:
        fx_change_version(c, 1 + x->pick(x, 2), x->pick(x, 2) * (kh_order_height(c->order) + 9 + 100000 * x->pick(x, 3)));
        break;
    case 5:
        if (x->pick(x, 2) == 0) op = (kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {any_id(x), (uint8_t)x->pick(x, 2)}};
        fx_change_op(c, &op);
        break;
    default:
        op.rule_set.name.n = 8 + x->pick(x, 8);
        fx_change_by(c, kh_order_change_number(c->order) + x->pick(x, 2), KH_CHANGE_OPS, body,
                     kh_op_encode(&op, body, sizeof body, &(size_t){0}) == KH_OK ? kh_load32(body) : 0, 3, 0);
    }
}

/* Mostly of the one that is wanted. */
static inline void any_holds(chain *c, choices *x)
{
    kh_order_state states[KH_STATES];
    kh_order_states(c->order, states);
    uint64_t height = states[KH_STATE_WANTED].height;
    if (x->pick(x, 8) == 0) height = states[x->pick(x, KH_STATES)].height + x->pick(x, 3);
    fx_holds(c, x->pick(x, 4) == 0 ? any_id(x) : 11 + x->pick(x, 4), height, x->pick(x, 8) == 0);
}

static inline void any_garbage(chain *c, choices *x)
{
    uint8_t bytes[300];
    size_t n = x->pick(x, 256);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)x->pick(x, 256);
    if (n > 36 && x->pick(x, 2) == 0) {
        bytes[0] = (uint8_t)(1 + x->pick(x, 5)), bytes[1] = 1, bytes[2] = bytes[3] = 0;
        kh_order_chain(c->order, bytes + 4);
    }
    fx_add(c, bytes, n);
}

/* The last one again: whole, shorter, or with a bit altered. */
static inline void any_again(chain *c, choices *x)
{
    if (c->n == 0) return;
    kh_tx_span last = c->spans[c->n - 1];
    uint32_t i = fx_add(c, last.p, x->pick(x, 3) > 0 || last.n == 0 ? last.n : last.n - 1);
    if (last.n > 0 && c->spans[i].n > 0 && x->pick(x, 2) == 0)
        c->txs[i][(x->pick(x, 256) * 256 + x->pick(x, 256)) % c->spans[i].n] ^= (uint8_t)(1 << x->pick(x, 8));
}

static inline void any_transaction(chain *c, choices *x)
{
    uint32_t incarnation = 1;
    uint64_t next;
    switch (x->pick(x, 11)) {
    case 0:
    case 1:
    case 2:
    case 3: any_batch(c, x); break;
    case 10: any_holds(c, x); break;
    case 4:
    case 5: any_word(c, x); break;
    case 6: any_change(c, x); break;
    case 7: {
        uint32_t id = any_id(x);
        (void)kh_order_next(c->order, id, &incarnation, &next);
        fx_incarnate(c, id, incarnation + x->pick(x, 2), (uint8_t)x->pick(x, 2));
        break;
    }
    case 8: any_garbage(c, x); break;
    default: any_again(c, x);
    }
}

/* any_step gathers a block and executes it here and on another instance that never saw a proposal, and after it was saved and
   loaded where the choices say so; everything must be the same. What honest nodes would offer must be voted for. */
static inline void any_step(chain *c, kh_order **other, choices *x)
{
    static uint16_t codes[64];
    kh_order_block block;
    uint8_t *saved, *again;
    size_t saved_n, again_n;
    uint64_t height = kh_order_height(c->order) + 1;
    for (uint32_t n = x->pick(x, 7); n > 0; n--) any_transaction(c, x);
    c->time += x->pick(x, 3) * 50000000;
    if (x->pick(x, 50) == 0) c->time += KH_EXPIRES_MAX_NS / 2;
    kh_tx_span honest[64];
    uint32_t honest_n = 0;
    bool all_good = true;
    for (uint32_t i = 0; i < c->n; i++) {
        kh_order_code code = kh_order_offerable(c->order, c->spans[i].p, c->spans[i].n, c->time);
        bool twice = false;
        for (uint32_t k = 0; k < i; k++)
            twice |= c->spans[k].n == c->spans[i].n && memcmp(c->spans[k].p, c->spans[i].p, c->spans[i].n) == 0;
        all_good &= !twice && code != KH_R_MALFORMED;
        if (!twice && (code == KH_R_OK || code == KH_R_BAD_SEQUENCE || code == KH_R_BUSY)) honest[honest_n++] = c->spans[i];
    }
    KH_ASSERT(kh_order_process(c->order, height, c->time, honest, honest_n));
    KH_ASSERT(all_good || !kh_order_process(c->order, height, c->time, c->spans, c->n));
    KH_ASSERT(kh_order_finalize(c->order, height, c->time, c->spans, c->n, &c->block) == KH_OK);
    if (c->n != 0) memcpy(codes, c->block.codes, c->n * sizeof codes[0]);
    KH_ASSERT(kh_order_finalize(*other, height, c->time, c->spans, c->n, &block) == KH_OK);
    KH_ASSERT((c->n == 0 || memcmp(codes, block.codes, c->n * sizeof codes[0]) == 0) &&
              memcmp(c->block.app_hash, block.app_hash, 32) == 0);
    KH_ASSERT(c->n > 0 || memcmp(block.app_hash, block.previous, 32) == 0);
    KH_ASSERT(block.item_cnt == c->block.item_cnt && block.liar_cnt == c->block.liar_cnt);
    KH_ASSERT(block.validator_cnt == c->block.validator_cnt && block.attested_moved == c->block.attested_moved);
    fx_clear(c);
    if (x->pick(x, 4) != 0) return;
    kh_order *loaded;
    KH_ASSERT(kh_order_save(c->order, &saved, &saved_n) == KH_OK && kh_order_save(*other, &again, &again_n) == KH_OK);
    KH_ASSERT(saved_n == again_n && memcmp(saved, again, saved_n) == 0);
    free(again);
    KH_ASSERT(kh_order_load(c->genesis, c->genesis_n, saved, saved_n, &loaded) == KH_OK);
    KH_ASSERT(kh_order_save(loaded, &again, &again_n) == KH_OK);
    KH_ASSERT(saved_n == again_n && memcmp(saved, again, saved_n) == 0);
    free(saved);
    free(again);
    kh_order_free(*other);
    *other = loaded;
}

/* any_told: a chain on which hubs spoke, bodies were lost, validators changed and held states, with something in each list that
 * the order remembers; saved as of a block with transactions. */
static inline void any_told(chain *c, uint8_t **ret_saved, size_t *ret_n)
{
    uint8_t digest[32];
    fx_begin(c);
    for (uint32_t i = 0; i < 30; i++) {
        uint64_t height = kh_order_height(c->order);
        fx_batch(c, 11 + i % 4, 1 + i / 4);
        if (i == 1) fx_change_validator(c, 15, 1);
        if (i == 5) fx_change_version(c, 2, height + 100000);
        if (i > 0) fx_attest(c, 51, height);
        if (i > 0 && i < 20) fx_attest(c, 52, height);
        if (i == 2) fx_rule(c, "body_retention", "1s");
        if (i == 4 || i == 10 || i == 14 || i == 18 || i == 22 || i == 28) fx_checkpoint(c);
        for (uint32_t id = 11; (i == 8 || i == 11 || i == 15 || i == 19) && id <= 13; id++)
            fx_holds(c, id, kh_order_checkpoint(c->order, digest), 0);
        if (i == 29)
            for (uint32_t id = 12; id <= 13; id++) fx_holds(c, id, kh_order_checkpoint(c->order, digest), 0);
        if (i == 24 || i == 27) {
            fx_digest(11 + (i - 2) % 4, 1, 1 + (i - 2) / 4, digest);
            fx_change(c, KH_CHANGE_LOST, digest, sizeof digest);
        }
        fx_next(c, 60);
        for (uint32_t k = 0; k < c->block.tx_cnt; k++) KH_ASSERT(c->block.codes[k] == KH_R_OK);
    }
    KH_ASSERT(kh_order_save(c->order, ret_saved, ret_n) == KH_OK);
}
#endif
