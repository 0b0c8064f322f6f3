/* Unit tests of order: what officers change. */
#include "order_fixture.h"
#include <criterion/criterion.h>
#include "order/inside.h"

static chain c;

static uint16_t done(void)
{
    cr_assert(c.n == 1);
    kh_order_code offered = kh_order_offerable(c.order, c.spans[0].p, c.spans[0].n, c.time + 10000000);
    fx_next(&c, 10);
    cr_assert(offered == c.block.codes[0]);
    return c.block.codes[0];
}

static uint16_t member_becomes(const kh_member *m)
{
    fx_change_member(&c, m);
    return done();
}

static bool leaf_is(const void *key, uint8_t key_n, const void *value, size_t value_n)
{
    kh_public_leaf leaf;
    uint32_t index, cnt, path_n;
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    return kh_order_public(c.order, key, key_n, &leaf, &index, &cnt, path, &path_n) && leaf.value_n == value_n &&
           memcmp(leaf.value, value, value_n) == 0;
}

static const uint8_t no_key[KH_PUBLIC_SZ];

Test(order_changes, officers_and_numbers)
{
    uint8_t key[KH_PUBLIC_SZ], body[8 + 3 * KH_PUBLIC_SZ];
    fx_begin(&c);
    fx_public(c.suite, 1, USE_GROUP, 1, key);
    static const struct {
        uint64_t number;
        uint32_t who;
        uint8_t turn;
        kh_order_code code;
        bool voted;
    } cases[] = {{2, 3, 0, KH_R_BAD_SEQUENCE, true},
                 {0, 3, 0, KH_R_BAD_SEQUENCE, true},
                 {1, 1, 0, KH_R_NOT_AUTHORISED, false},
                 {1, 7, 0, KH_R_NOT_AUTHORISED, false},
                 {1, 3, 1, KH_R_NOT_AUTHORISED, false},
                 {1, 9, 0, KH_R_NOT_AUTHORISED, false},
                 {1, 6, 0, KH_R_OK, true},
                 {1, 6, 0, KH_R_BAD_SEQUENCE, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fx_change_by(&c, cases[i].number, KH_CHANGE_EPOCH, key, sizeof key, cases[i].who, cases[i].turn);
        cr_assert(fx_process(&c) == cases[i].voted);
        cr_assert(done() == cases[i].code);
        cr_assert(kh_order_change_number(c.order) == (i < 6 ? 1 : 2));
    }
    /* Two in a block; the second is signed by the officers that the first brings. */
    kh_store32(body, 1);
    kh_store32(body + 4, 2);
    for (uint32_t i = 0; i < 2; i++) fx_public(c.suite, i, USE_OFFICER, 1, body + 8 + i * KH_PUBLIC_SZ);
    fx_change_by(&c, 2, KH_CHANGE_OFFICERS, body, 8 + 2 * KH_PUBLIC_SZ, 3, 0);
    fx_public(c.suite, 1, USE_GROUP, 2, key);
    fx_change_by(&c, 3, KH_CHANGE_EPOCH, key, sizeof key, 2, 1);
    cr_assert(fx_process(&c));
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_OK && c.block.codes[1] == KH_R_OK && kh_order_change_number(c.order) == 4);
    /* The old ones are nobody now. */
    fx_public(c.suite, 1, USE_GROUP, 3, key);
    fx_change_by(&c, 4, KH_CHANGE_EPOCH, key, sizeof key, 3, 0);
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    /* k of none, more than there are, two alike, a key that is none. */
    for (int i = 0; i < 4; i++) {
        kh_store32(body, i == 0 ? 0 : i == 1 ? 3 : 2);
        if (i == 2) memcpy(body + 8, body + 8 + KH_PUBLIC_SZ, KH_PUBLIC_SZ);
        if (i == 3) memset(body + 8, 0, KH_PUBLIC_SZ);
        fx_change_by(&c, 4, KH_CHANGE_OFFICERS, body, 8 + 2 * KH_PUBLIC_SZ, 1, 1);
        cr_assert(done() == KH_R_MALFORMED);
    }
    fx_end(&c);
}

Test(order_changes, validators_one_at_a_time)
{
    kh_order_validators v;
    kh_ack old, mixed;
    fx_begin(&c);
    kh_order_validator_set(c.order, &v);
    cr_assert(v.set_id == 1 && v.cnt == 4 && v.quorum == 3);
    old = fx_ack(&c, 11, 1);
    old.expires_ns = c.time + KH_EXPIRES_MAX_NS;
    mixed = fx_ack(&c, 11, 2);
    fx_change_validator(&c, 15, 1);
    cr_assert(done() == KH_R_OK);
    uint64_t changed_at = c.time;
    cr_assert(c.block.validator_cnt == 1 && c.block.validators[0].votes);
    cr_assert(memcmp(c.block.validators[0].consensus, kh_order_member(c.order, 15)->consensus, 32) == 0);
    kh_order_validator_set(c.order, &v);
    cr_assert(v.set_id == 2 && v.cnt == 5 && v.quorum == 3 && v.ids[4] == 15);
    cr_assert((kh_order_member(c.order, 15)->flags & KH_MEMBER_VALIDATOR) != 0);
    fx_change_validator(&c, 14, 0); /* too soon */
    cr_assert(done() == KH_R_BUSY && c.block.validator_cnt == 0 && kh_order_change_number(c.order) == 2);
    fx_add_ack(&c, &old); /* the set before is good */
    cr_assert(done() == KH_R_OK);
    fx_add_ack(&c, &mixed);
    cr_assert(done() == KH_R_OK);
    /* … until its time: an honest one has expired by then, one that has not is void. */
    old = fx_ack(&c, 11, 3);
    old.set = 1;
    old.expires_ns = changed_at + KH_EXPIRES_MAX_NS + 1000;
    c.time = changed_at + KH_EXPIRES_MAX_NS - 10000000;
    fx_add_ack(&c, &old);
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_OK);
    old.sequence = 4;
    fx_add_ack(&c, &old);
    c.time += 1;
    fx_next(&c, 0);
    cr_assert(c.block.codes[0] == KH_R_NOT_AUTHORISED);
    /* With the next change the set before the one before is gone. */
    fx_change_validator(&c, 14, 0);
    cr_assert(done() == KH_R_OK && !c.block.validators[0].votes);
    old = fx_ack(&c, 11, 4);
    cr_assert(old.set == 3);
    old.set = 1;
    fx_add_ack(&c, &old);
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    fx_end(&c);
}

Test(order_changes, who_may_vote)
{
    fx_begin(&c);
    static const struct {
        uint32_t id, power;
        kh_order_code code;
    } cases[] = {{11, 1, KH_R_REFUSED},   {15, 0, KH_R_REFUSED}, {1, 1, KH_R_REFUSED}, {99, 1, KH_R_REFUSED},
                 {15, 2, KH_R_MALFORMED}, {11, 0, KH_R_OK},      {12, 0, KH_R_OK},     {13, 0, KH_R_OK},
                 {14, 0, KH_R_REFUSED},   {51, 1, KH_R_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fx_change_validator(&c, cases[i].id, cases[i].power);
        cr_assert(done() == cases[i].code, "case %zu", i);
        fx_next(&c, 10);
        fx_next(&c, 10);
    }
    kh_member m = fx_member_now(&c, 15);
    memset(m.ack, 0, sizeof m.ack);
    cr_assert(member_becomes(&m) == KH_R_OK);
    fx_change_validator(&c, 15, 1); /* it could acknowledge nothing */
    cr_assert(done() == KH_R_REFUSED);
    fx_end(&c);
}

Test(order_changes, a_member_joins_and_sends)
{
    kh_member m;
    kh_op_scratch scratch;
    kh_op op;
    size_t n;
    uint32_t incarnation;
    uint64_t sequence;
    fx_begin(&c);
    fx_member(c.suite, 16, KH_MEMBER_BANK, 0, &m);
    memcpy(m.uscc, "91350211M000100Y43", 18);
    m.uscc_n = 18;
    cr_assert(!kh_order_next(c.order, 16, &incarnation, &sequence));
    cr_assert(member_becomes(&m) == KH_R_OK);
    cr_assert(memcmp(kh_order_member(c.order, 16), &m, sizeof m) == 0);
    cr_assert(kh_order_next(c.order, 16, &incarnation, &sequence) && incarnation == 1 && sequence == 1);
    /* Execution is told of the party. */
    cr_assert(c.block.item_cnt == 1 && c.block.items[0].kind == KH_ITEM_OPS && c.block.items[0].op_cnt == 1);
    cr_assert(kh_op_decode(c.block.items[0].ops, c.block.items[0].ops_sz, &scratch, &op, &n) == KH_OK);
    cr_assert(op.type == KH_OP_PARTY_ADD && op.party == 0 && op.party_add.id == 16 && op.party_add.role == 2);
    fx_batch(&c, 16, 1);
    cr_assert(done() == KH_R_OK);
    /* Another with the same USCC, or a key that must be one member's alone. */
    kh_member other;
    fx_member(c.suite, 17, KH_MEMBER_BANK, 0, &other);
    memcpy(other.uscc, m.uscc, 18);
    other.uscc_n = 18;
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    other.uscc_n = 0;
    memcpy(other.ack, m.ack, sizeof m.ack);
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    fx_public(c.suite, 17, USE_ACK, 0, other.ack);
    memcpy(other.consensus, m.consensus, sizeof m.consensus);
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    memset(other.consensus, 0, sizeof other.consensus);
    other.sender[40] = 1; /* no key of the suite */
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    fx_public(c.suite, 17, USE_SENDER, 0, other.sender);
    other.role = 3;
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    other.role = KH_MEMBER_BANK;
    other.name[2] = 1;
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    other.name[2] = 'm';
    other.flags = KH_MEMBER_EXPELLED;
    cr_assert(member_becomes(&other) == KH_R_REFUSED);
    other.flags = KH_MEMBER_VALIDATOR; /* not a member's record's to say */
    cr_assert(member_becomes(&other) == KH_R_OK && kh_order_member(c.order, 17)->flags == 0);
    fx_change(&c, KH_CHANGE_MEMBER, "x", 1);
    cr_assert(done() == KH_R_MALFORMED);
    fx_end(&c);
}

Test(order_changes, keys_rotate)
{
    fx_begin(&c);
    /* A sender's. */
    kh_member m = fx_member_now(&c, 15);
    fx_public(c.suite, 15, USE_SENDER, 1, m.sender);
    cr_assert(member_becomes(&m) == KH_R_OK && c.block.item_cnt == 0);
    fx_incarnate(&c, 15, 2, 0);
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    fx_incarnate(&c, 15, 2, 1);
    cr_assert(done() == KH_R_OK);
    /* A validator's acknowledgement key: another set. */
    kh_order_validators v;
    kh_ack before = fx_ack(&c, 11, 1);
    m = fx_member_now(&c, 12);
    fx_public(c.suite, 12, USE_ACK, 1, m.ack);
    m.flags = 0;
    cr_assert(member_becomes(&m) == KH_R_OK && c.block.validator_cnt == 0);
    kh_order_validator_set(c.order, &v);
    cr_assert(v.set_id == 2 && v.cnt == 4 && (kh_order_member(c.order, 12)->flags & KH_MEMBER_VALIDATOR) != 0);
    fx_batch(&c, 11, 1); /* 12 signed it with the old key, for the new set */
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    fx_add_ack(&c, &before);
    cr_assert(done() == KH_R_OK);
    /* And its consensus key: the old goes, the new comes, in one block. */
    uint8_t consensus[KH_PUBLIC_SZ];
    fx_public(KH_SUITE_INTL, 12, USE_CONSENSUS, 1, consensus);
    m = fx_member_now(&c, 12);
    uint8_t old[32];
    memcpy(old, m.consensus, 32);
    memcpy(m.consensus, consensus, 32);
    cr_assert(member_becomes(&m) == KH_R_OK && c.block.validator_cnt == 2);
    cr_assert(memcmp(c.block.validators[0].consensus, old, 32) == 0 && !c.block.validators[0].votes);
    cr_assert(memcmp(c.block.validators[1].consensus, consensus, 32) == 0 && c.block.validators[1].votes);
    memset(m.consensus, 0, 32); /* a validator without one */
    cr_assert(member_becomes(&m) == KH_R_REFUSED);
    /* A name is for ever. */
    m = fx_member_now(&c, 13);
    m.name[0] = 'N';
    cr_assert(member_becomes(&m) == KH_R_REFUSED);
    /* A hub's attestation key: at once. */
    m = fx_member_now(&c, 51);
    fx_public(c.suite, 51, USE_ATTEST, 1, m.attest);
    cr_assert(member_becomes(&m) == KH_R_OK);
    fx_attest(&c, 51, 5);
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    fx_end(&c);
}

Test(order_changes, expelled_and_frozen)
{
    kh_order_hubs h;
    kh_op_scratch scratch;
    kh_op op;
    size_t n;
    fx_begin(&c);
    kh_member m = fx_member_now(&c, 11);
    m.flags |= KH_MEMBER_FROZEN;
    cr_assert(member_becomes(&m) == KH_R_OK);
    cr_assert(c.block.item_cnt == 1 && kh_op_decode(c.block.items[0].ops, c.block.items[0].ops_sz, &scratch, &op, &n) == KH_OK);
    cr_assert(op.type == KH_OP_PARTY_STATUS && op.party_status.id == 11 && op.party_status.frozen == 1);
    fx_batch(&c, 11, 1); /* still sends */
    cr_assert(done() == KH_R_OK);
    m.flags = KH_MEMBER_EXPELLED | KH_MEMBER_FROZEN;
    cr_assert(member_becomes(&m) == KH_R_OK); /* frozen before, and told all the same */
    cr_assert(c.block.item_cnt == 1 && kh_op_decode(c.block.items[0].ops, c.block.items[0].ops_sz, &scratch, &op, &n) == KH_OK);
    cr_assert(op.type == KH_OP_EXPELLED && op.party == 0 && op.expelled.id == 11);
    fx_batch(&c, 11, 2);
    cr_assert(fx_process(&c));
    cr_assert(done() == KH_R_NOT_AUTHORISED && c.block.item_cnt == 0);
    fx_incarnate(&c, 11, 2, 0);
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    m.flags = 0; /* for ever */
    cr_assert(member_becomes(&m) == KH_R_REFUSED);
    op = (kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {11, 0}};
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_REFUSED);
    m.flags = KH_MEMBER_EXPELLED;
    cr_assert(member_becomes(&m) == KH_R_OK && c.block.item_cnt == 0); /* no more to be said of it */
    op = (kh_op){.type = KH_OP_EXPELLED, .expelled = {12}};            /* not by an operation in the open */
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_MALFORMED);
    fx_change_validator(&c, 11, 0);
    cr_assert(done() == KH_R_OK);
    fx_next(&c, 10);
    fx_change_validator(&c, 11, 1);
    cr_assert(done() == KH_R_REFUSED);
    /* A hub: its word ends at once, and the quorum is of those who stay. */
    m = fx_member_now(&c, 53);
    m.flags = KH_MEMBER_EXPELLED;
    cr_assert(member_becomes(&m) == KH_R_OK && c.block.item_cnt == 0);
    kh_order_hub_set(c.order, &h);
    cr_assert(h.cnt == 2 && h.quorum == 2 && h.ids[1] == 52 && h.epoch == 1);
    fx_attest(&c, 53, kh_order_height(c.order));
    cr_assert(done() == KH_R_NOT_AUTHORISED);
    m = fx_member_now(&c, 52);
    m.flags = KH_MEMBER_EXPELLED;
    cr_assert(member_becomes(&m) == KH_R_OK);
    m = fx_member_now(&c, 51);
    m.flags = KH_MEMBER_EXPELLED; /* the last */
    cr_assert(member_becomes(&m) == KH_R_REFUSED);
    fx_end(&c);
}

Test(order_changes, key_epochs)
{
    uint8_t key[KH_PUBLIC_SZ];
    kh_order_hubs h;
    kh_member m;
    fx_begin(&c);
    fx_member(c.suite, 54, KH_MEMBER_HUB, 0, &m);
    cr_assert(member_becomes(&m) == KH_R_OK);
    kh_order_hub_set(c.order, &h);
    cr_assert(h.cnt == 3 && h.epoch_before == 0); /* it joins with the next epoch */
    fx_public(c.suite, 1, USE_GROUP, 0, key);
    fx_change(&c, KH_CHANGE_EPOCH, key, sizeof key);
    cr_assert(done() == KH_R_REFUSED); /* the same key again */
    fx_change(&c, KH_CHANGE_EPOCH, no_key, sizeof no_key);
    cr_assert(done() == KH_R_MALFORMED);
    fx_public(c.suite, 1, USE_GROUP, 1, key);
    fx_change(&c, KH_CHANGE_EPOCH, key, sizeof key);
    cr_assert(done() == KH_R_OK);
    kh_order_hub_set(c.order, &h);
    cr_assert(h.epoch == 2 && h.epoch_before == 1 && h.cnt == 4 && h.quorum == 3 && memcmp(h.group, key, sizeof key) == 0);
    uint64_t until = kh_order_height(c.order) + KH_SEALED_AFTER_EPOCH;
    kh_attestation a = fx_word(&c, 54, kh_order_height(c.order));
    fx_add_word(&c, &a); /* of the epoch before */
    cr_assert(done() == KH_R_OK);
    a.hub = 53;
    a.epoch = 2;
    fx_add_word(&c, &a);
    cr_assert(done() == KH_R_OK);
    while (kh_order_height(c.order) < until) fx_next(&c, 1);
    kh_order_hub_set(c.order, &h);
    cr_assert(h.epoch_before == 1);
    fx_next(&c, 1);
    kh_order_hub_set(c.order, &h);
    cr_assert(h.epoch_before == 0);
    fx_end(&c);
}

Test(order_changes, a_lost_body)
{
    uint8_t digest[32], other[32] = {1};
    fx_begin(&c);
    fx_digest(11, 1, 1, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_REFUSED); /* it was never ordered */
    fx_batch(&c, 11, 1);
    fx_next(&c, 10);
    uint64_t ordered = kh_order_height(c.order);
    fx_change(&c, KH_CHANGE_LOST, other, 32);
    cr_assert(done() == KH_R_REFUSED);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_OK && c.block.item_cnt == 1 && c.block.items[0].kind == KH_ITEM_LOST);
    cr_assert(memcmp(c.block.items[0].digest, digest, 32) == 0 && c.block.items[0].sequence == ordered);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_REFUSED); /* once */
    fx_batch(&c, 11, 2);
    fx_next(&c, 10);
    uint64_t height = kh_order_height(c.order);
    fx_attest(&c, 51, height);
    fx_attest(&c, 52, height);
    fx_next(&c, 10);
    fx_digest(11, 1, 2, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_REFUSED && c.block.item_cnt == 0); /* a quorum attested that height */
    fx_batch(&c, 11, 3);
    fx_next(&c, 10);
    for (uint32_t hub = 51; hub <= 52; hub++) {
        kh_attestation a = fx_word(&c, hub, kh_order_height(c.order));
        a.flags = KH_ATTEST_CHECKPOINT;
        fx_add_word(&c, &a);
    }
    fx_next(&c, 10);
    fx_digest(11, 1, 3, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_REFUSED); /* a quorum attested the state there */
    fx_end(&c);
}

static kh_order_code says(kh_attestation *a, uint32_t losses, uint32_t checkpoint)
{
    a->flags = kh_attest_flags(losses, checkpoint);
    fx_add_word(&c, a);
    fx_next(&c, 10);
    return c.block.codes[0];
}

/* A hub that executed what is then ordered lost says something else of that height, and is no liar by it: not either where what
 * it said before comes after the block that calls it lost. */
Test(order_changes, a_lost_body_takes_back_what_was_said)
{
    uint8_t digest[32], posted[32];
    fx_begin(&c);
    fx_batch(&c, 11, 1);
    fx_next(&c, 10);
    kh_attestation before = fx_word(&c, 51, kh_order_height(c.order)); /* below it, a word stands */
    fx_batch(&c, 11, 2);
    fx_next(&c, 10);
    uint64_t ordered = kh_order_height(c.order);
    kh_attestation word = fx_word(&c, 51, ordered), other;
    fx_add_word(&c, &before);
    fx_add_word(&c, &word);
    fx_next(&c, 10);
    cr_assert(c.block.codes[0] == KH_R_OK && c.block.codes[1] == KH_R_OK);
    fx_digest(11, 1, 2, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_OK);
    fx_add_word(&c, &before);
    cr_assert(done() == KH_R_REPEATED);
    other = word;
    other.posted[0] ^= 1;
    for (uint32_t hub = 51; hub <= 52; hub++) {
        word.hub = other.hub = hub;
        cr_assert(says(&word, 0, 0) == KH_R_REPEATED && says(&word, 0, 1) == KH_R_REPEATED);
        cr_assert(says(&other, 2, 0) == KH_R_NOT_AUTHORISED && kh_order_attested(c.order, posted) == 0);
        cr_assert(says(&other, 1, 0) == KH_R_OK && c.block.liar_cnt == 0);
        cr_assert(says(&word, 0, 0) == KH_R_REPEATED && c.block.liar_cnt == 0);
    }
    cr_assert(kh_order_attested(c.order, posted) == ordered && memcmp(posted, other.posted, 32) == 0);
    cr_assert(says(&word, 1, 0) == KH_R_REFUSED && c.block.liar_cnt == 1); /* and from there on as ever */
    fx_end(&c);
}

/* Which heights a loss touches, and that they are touched again by the next one; saved and loaded, all is the same. */
Test(order_changes, losses_are_counted_by_height)
{
    uint8_t digest[32], *saved;
    size_t n;
    kh_order *loaded;
    fx_begin(&c);
    fx_next(&c, 10);
    uint64_t first = kh_order_height(c.order); /* nothing is lost here */
    fx_batch(&c, 11, 1);
    fx_next(&c, 10);
    kh_attestation word = fx_word(&c, 51, first + 1);
    fx_batch(&c, 11, 2);
    fx_next(&c, 10);
    fx_batch(&c, 12, 1); /* lost by the block that orders it: no height is touched */
    fx_digest(12, 1, 1, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    fx_next(&c, 10);
    cr_assert(c.block.codes[1] == KH_R_OK && kh_order_losses(c.order, first + 3) == 0);
    fx_digest(11, 1, 1, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_OK && kh_order_losses(c.order, first + 2) == 1);
    cr_assert(says(&word, 1, 0) == KH_R_OK);
    fx_digest(11, 1, 2, digest);
    fx_change(&c, KH_CHANGE_LOST, digest, 32);
    cr_assert(done() == KH_R_OK && kh_order_height(c.order) == first + 6);
    cr_assert(kh_order_save(c.order, &saved, &n) == KH_OK);
    cr_assert(kh_order_load(c.genesis, c.genesis_n, saved, n, &loaded) == KH_OK);
    const uint64_t heights[] = {first, first + 1, first + 2, first + 3, first + 5, first + 6};
    const uint32_t wanted[] = {0, 1, 2, 2, 1, 0};
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert(kh_order_losses(c.order, heights[i]) == wanted[i], "%u", i);
        cr_assert(kh_order_losses(loaded, heights[i]) == wanted[i], "%u", i);
    }
    saved[n - 1] = 1; /* the last one's block is no height of this order */
    kh_order_free(loaded);
    cr_assert(kh_order_load(c.genesis, c.genesis_n, saved, n, &loaded) == KH_E_FORMAT);
    free(saved);
    word.posted[0] ^= 1;
    cr_assert(says(&word, 1, 0) == KH_R_REFUSED && c.block.liar_cnt == 1); /* the second is behind it: two stories */
    fx_end(&c);
}

Test(order_changes, operations_in_the_open)
{
    fx_begin(&c);
    kh_op op = {.type = KH_OP_RULE_SET, .rule_set = {kh_text_of("hold_ttl_applied"), kh_text_of("5d")}};
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_OK && leaf_is("rhold_ttl_applied", 17, "5d", 2));
    cr_assert(c.block.item_cnt == 1 && c.block.items[0].kind == KH_ITEM_OPS && c.block.items[0].op_cnt == 1);
    op = (kh_op){.type = KH_OP_RATE_SET,
                 .rate_set = {.from = 840, .to = 392, .date = 9800, .rate = {15512, 2}, .source = kh_text_of("ECB")}};
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_OK && leaf_is("x\x03\x48\x01\x88\x26\x48", 7, "\x98\x3c\0\0\0\0\0\0\2ECB", 12));
    op = (kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {12, 1}};
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_OK && (kh_order_member(c.order, 12)->flags & KH_MEMBER_FROZEN) != 0);
    op = (kh_op){.type = KH_OP_PARTY_ADD, .party_add = {12, 2, kh_text_of("Member 12"), {0}}};
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_OK); /* says what is so */
    /* Another name, another role, a party that is no member, a hub; not the officers'; not in the open. */
    static const struct {
        uint32_t id;
        uint8_t role;
        const char *name;
    } adds[] = {{12, 2, "Member 13"}, {12, 4, "Member 12"}, {99, 3, "Enterprise"}, {51, 2, "Member 51"}};
    for (size_t i = 0; i < 4; i++) {
        op = (kh_op){.type = KH_OP_PARTY_ADD, .party_add = {adds[i].id, adds[i].role, kh_text_of(adds[i].name), {0}}};
        fx_change_op(&c, &op);
        cr_assert(done() == KH_R_REFUSED);
    }
    op = (kh_op){.type = KH_OP_RULE_SET, .party = 1, .rule_set = {kh_text_of("hold_ttl_applied"), kh_text_of("6d")}};
    fx_change_op(&c, &op);
    cr_assert(done() == KH_R_MALFORMED && leaf_is("rhold_ttl_applied", 17, "5d", 2));
    op = (kh_op){.type = KH_OP_EVENT, .event = {.id = 1, .event = 2, .amount = 5, .reason = 0, .source = 0}};
    uint8_t body[2048];
    size_t n, more;
    if (kh_op_encode(&op, body, sizeof body, &n) == KH_OK) {
        fx_change(&c, KH_CHANGE_OPS, body, n);
        cr_assert(done() == KH_R_MALFORMED);
    }
    fx_change(&c, KH_CHANGE_OPS, "", 0);
    cr_assert(done() == KH_R_MALFORMED);
    /* All of them or none. */
    op = (kh_op){.type = KH_OP_RULE_SET, .rule_set = {kh_text_of("clock_step"), kh_text_of("7d")}};
    cr_assert(kh_op_encode(&op, body, sizeof body, &n) == KH_OK);
    op = (kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {99, 1}};
    cr_assert(kh_op_encode(&op, body + n, sizeof body - n, &more) == KH_OK);
    uint64_t number = kh_order_change_number(c.order);
    fx_change(&c, KH_CHANGE_OPS, body, n + more);
    cr_assert(done() == KH_R_REFUSED && !leaf_is("rclock_step", 11, "7d", 2) && kh_order_change_number(c.order) == number);
    kh_store32(body + n + 24, 13);
    fx_change(&c, KH_CHANGE_OPS, body, n + more);
    cr_assert(done() == KH_R_OK && leaf_is("rclock_step", 11, "7d", 2) && c.block.items[0].op_cnt == 2);
    cr_assert(c.block.items[0].ops_sz == n + more && memcmp(c.block.items[0].ops, body, n + more) == 0);
    fx_end(&c);
}

/* ---- the app version ---- */

static uint16_t version_becomes(uint32_t version, uint64_t from)
{
    fx_change_version(&c, version, from);
    return done();
}

static kh_order *kept(void) /* as a restart finds it */
{
    uint8_t *p;
    size_t n;
    kh_order *loaded;
    cr_assert(kh_order_save(c.order, &p, &n) == KH_OK);
    cr_assert(kh_order_load(c.genesis, c.genesis_n, p, n, &loaded) == KH_OK);
    free(p);
    return loaded;
}

Test(order_changes, an_app_version_is_announced_and_begins_at_its_height)
{
    uint64_t from = 0, first;
    uint8_t leaf[16], body[16] = {2, 0, 0, 0, 1};
    fx_begin(&c);
    cr_assert(kh_order_version(c.order, 1) == 1 && kh_order_version_ahead(c.order, &from) == 0 && !leaf_is("u", 1, "", 0));
    cr_assert(version_becomes(2, kh_order_height(c.order) + KH_VERSION_NOTICE) == KH_R_REFUSED); /* a block too soon */
    cr_assert(version_becomes(1, kh_order_height(c.order) + 100) == KH_R_REFUSED);
    cr_assert(version_becomes(1, 0) == KH_R_REFUSED); /* nothing to withdraw */
    cr_assert(version_becomes(0, kh_order_height(c.order) + 100) == KH_R_MALFORMED);
    cr_assert(version_becomes(2, UINT64_MAX) == KH_R_MALFORMED);
    fx_change(&c, KH_CHANGE_VERSION, body, sizeof body);
    cr_assert(done() == KH_R_MALFORMED);
    fx_change(&c, KH_CHANGE_VERSION, body, sizeof body - 1);
    cr_assert(done() == KH_R_MALFORMED);

    cr_assert(version_becomes(3, kh_order_height(c.order) + 50) == KH_R_OK && c.block.next_version == 0);
    cr_assert(kh_order_version_ahead(c.order, &from) == 3 && from == kh_order_height(c.order) + 49);
    cr_assert(version_becomes(1, 0) == KH_R_OK && kh_order_version_ahead(c.order, &from) == 0); /* withdrawn */
    cr_assert(version_becomes(1, 0) == KH_R_REFUSED);
    first = kh_order_height(c.order) + 1 + KH_VERSION_NOTICE;
    cr_assert(version_becomes(2, first) == KH_R_OK);
    kh_store32(leaf, 1), kh_store32(leaf + 4, 2), kh_store64(leaf + 8, first);
    cr_assert(leaf_is("u", 1, leaf, sizeof leaf)); /* under the app hash */

    while (kh_order_height(c.order) + 2 < first) {
        fx_next(&c, 1);
        cr_assert(c.block.next_version == 0);
    }
    fx_next(&c, 1);
    cr_assert(c.block.next_version == 2); /* the block before it says so to CometBFT */
    cr_assert(kh_order_version(c.order, first - 1) == 1 && kh_order_version(c.order, first) == 2);

    /* This software does not know it: neither a vote nor a block, and the state stays for one that does. */
    uint8_t before[32], after[32];
    kh_order_block block;
    kh_order_app_hash(c.order, before);
    for (int round = 0; round < 2; round++) {
        kh_order *o = round == 0 ? c.order : kept();
        cr_assert(!kh_order_process(o, first, c.time + 1, NULL, 0));
        cr_assert(kh_order_finalize(o, first, c.time + 1, NULL, 0, &block) == KH_E_VERSION);
        kh_order_app_hash(o, after);
        cr_assert(kh_order_height(o) == first - 1 && memcmp(before, after, 32) == 0);
        if (round == 1) kh_order_free(o);
    }
    c.order->version.known = 2;
    fx_next(&c, 1);
    cr_assert(kh_order_height(c.order) == first && c.block.next_version == 0);
    cr_assert(version_becomes(1, 0) == KH_R_REFUSED && version_becomes(2, 0) == KH_R_REFUSED); /* never back */
    cr_assert(version_becomes(3, kh_order_height(c.order) + 100) == KH_R_OK);
    cr_assert(kh_order_version(c.order, first) == 2 && kh_order_version(c.order, kh_order_height(c.order) + 99) == 3);
    kh_order *again = kept();
    cr_assert(kh_order_version(again, first) == 2 && kh_order_version_ahead(again, &from) == 3);
    kh_order_free(again);
    fx_end(&c);
}
