/* node: bodies of other senders, and this node's own batches. */
#include "node_fixture.h"

/* ---- others' bodies ---- */
TestSuite(acks, .fini = fx_end);
TestSuite(sender, .fini = fx_end);

Test(acks, a_body_is_acknowledged_when_it_is_durable)
{
    fx_start(1);
    fx.slow_disk = true;
    fx_batch b = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100);
    fx_tell_body(&b);
    kh_node_tick(fx.node);
    cr_assert(fx_count(12, KH_MSG_ACK) == 0);
    fx_disk_done(0);
    const fx_message *m = fx_last(12, KH_MSG_ACK);
    cr_assert(m != NULL && m->n == KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ);
    kh_ack said;
    kh_ack_decode(m->p, &said);
    cr_assert(memcmp(&said, &b.ack, sizeof said) == 0);
    cr_assert(kh_ack_signed_by(KH_SUITE_INTL, &b.ack, fx.members[0].ack, m->p + KH_ACK_STATEMENT_SZ));
    fx_tell_body(&b); /* again: at once, nothing is stored twice */
    cr_assert(fx_count(12, KH_MSG_ACK) == 2 && fx.token_cnt == 1);
}

Test(acks, a_validator_without_the_key_acknowledges_nothing)
{
    fx_start(1);
    kh_node_free(fx.node);
    const kh_node_options without = fx_options(SELF, 0);
    cr_assert(kh_node_new(&without, NULL, 0, &fx.node) == KH_OK);
    fx_batch b = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100);
    fx_tell_body(&b);
    kh_node_tick(fx.node);
    cr_assert(fx_count(0, KH_MSG_ACK) == 0);
}

static bool refused(const fx_batch *b, uint32_t from)
{
    uint32_t acks = fx_count(0, KH_MSG_ACK), stored = fx.token_cnt;
    kh_node_received(fx.node, from, KH_MSG_BODY, b->message, b->n);
    return fx_count(0, KH_MSG_ACK) == acks && fx.token_cnt == stored;
}

Test(acks, what_is_not_stored_for_anybody)
{
    fx_start(1);
    const uint64_t soon = START_NS + KH_NS_PER_S;
    fx_batch good = fx_batch_of(12, 1, 1, soon, 100), other;
    cr_assert(refused(&good, 13)); /* of another sender's link */
    cr_assert(refused(&good, 99)); /* of nobody's */
    good.message[good.n - 1] ^= 1;
    cr_assert(refused(&good, 12));
    cr_assert_str_eq(fx.alert, "BAD_SIGNATURE");
    cr_assert(fx.alert_member == 12);
    good.message[good.n - 1] ^= 1;
    good.message[8 + 8] ^= 1; /* another chain */
    cr_assert(refused(&good, 12));
    good.message[8 + 8] ^= 1;
    kh_store64(good.message, START_NS - 1);
    cr_assert(refused(&good, 12)); /* its time has passed */
    kh_store64(good.message, START_NS + KH_EXPIRES_MAX_NS + 1);
    cr_assert(refused(&good, 12)); /* too far away */
    other = fx_batch_of(12, 2, 1, soon, 100);
    cr_assert(refused(&other, 12)); /* an incarnation that is not */
    other = fx_batch_of(12, 1, 0, soon, 100);
    cr_assert(refused(&other, 12)); /* ordered, or never to be */
    other = fx_batch_of(12, 1, 2000, soon, 100);
    cr_assert(refused(&other, 12)); /* far ahead */
    for (size_t n = 0; n < good.n; n += 7) {
        fx_batch cut = good;
        cut.n = n;
        cr_assert(refused(&cut, 12));
    }
    kh_store64(good.message, START_NS + KH_EXPIRES_MAX_NS);
    cr_assert(!refused(&good, 12));
}

Test(acks, one_digest_a_sequence_until_its_time_has_passed)
{
    fx_start(1);
    fx_batch first = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100),
             second = fx_batch_of(12, 1, 1, START_NS + 9 * KH_NS_PER_S, 100);
    fx_tell_body(&first);
    cr_assert(fx_count(12, KH_MSG_ACK) == 1);
    cr_assert(refused(&second, 12));
    kh_store64(first.message, START_NS + 3 * KH_NS_PER_S); /* the same one, later: at any time, and stored for longer first */
    fx.slow_disk = true;
    fx_tell_body(&first);
    cr_assert(fx_count(12, KH_MSG_ACK) == 1);
    fx_disk_done(fx.token_cnt - 1);
    cr_assert(fx_count(12, KH_MSG_ACK) == 2);
    fx.slow_disk = false;
    cr_assert(fx_find(first.digest)->name.expires_ns == START_NS + 3 * KH_NS_PER_S);
    fx.time_ns = START_NS + 3 * KH_NS_PER_S;
    (void)fx_block(NULL, 0);
    cr_assert(refused(&second, 12));
    fx.time_ns++;
    (void)fx_block(NULL, 0);
    cr_assert(!refused(&second, 12));
}

Test(acks, a_restart_remembers_what_was_said)
{
    fx_start(1);
    fx_batch first = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100),
             second = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100);
    fx_tell_body(&first);
    kh_node_free(fx.node);
    fx.node = fx_node(NULL, 0);
    cr_assert(refused(&second, 12));
}

Test(acks, a_sender_has_a_bound)
{
    fx_start(1);
    for (uint64_t i = 1; i <= 65; i++) {
        fx_batch b = fx_batch_of(12, 1, i, START_NS + KH_NS_PER_S, 10);
        cr_assert(refused(&b, 12) == (i > 64), "%llu", (unsigned long long)i);
    }
    for (uint64_t i = 1; i <= 17; i++) { /* and bytes: 96 MiB */
        fx_batch b = fx_batch_of(13, 1, i, START_NS + KH_NS_PER_S, (5u << 20) + 1000);
        cr_assert(b.n > (6u << 20) && refused(&b, 13) == (i > 15), "%llu", (unsigned long long)i);
    }
    fx_batch b = fx_batch_of(14, 1, 1, START_NS + KH_NS_PER_S, 10);
    cr_assert(!refused(&b, 14));
}

/* ---- own batches ---- */

static void submit(uint64_t tag, size_t n)
{
    uint8_t *frames = calloc(1, n + 1);
    cr_assert(kh_node_submit(fx.node, frames, n, 1, false, tag) == KH_OK);
    free(frames);
}

static void acknowledge(const fx_message *body, uint32_t id)
{
    uint8_t message[KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ];
    kh_envelope_head head;
    cr_assert(kh_envelope_read(body->p + 8, body->n - 8, &head) == KH_OK);
    kh_ack ack = {.set = 1,
                  .sender = SELF,
                  .incarnation = head.incarnation,
                  .length = (uint32_t)(body->n - 8),
                  .sequence = head.sequence,
                  .expires_ns = kh_load64(body->p)};
    memcpy(ack.chain, fx.chain, 32);
    kh_sha256(body->p + 8, body->n - 8, ack.digest);
    cr_assert(kh_ack_sign(fx.ack[place(id)], &ack, message + KH_ACK_STATEMENT_SZ) == KH_OK);
    kh_ack_encode(&ack, message);
    kh_node_received(fx.node, id, KH_MSG_ACK, message, sizeof message);
}

Test(sender, stored_then_sent_then_certified_by_a_quorum)
{
    fx_start(1);
    fx.slow_disk = true;
    submit(7, 100);
    kh_node_tick(fx.node);
    cr_assert(fx.sent_cnt == 0);
    fx_disk_done(0);
    cr_assert(fx_count(0, KH_MSG_BODY) == 4 && fx_count(15, KH_MSG_BODY) == 1); /* validators and hubs */
    const fx_message *body = fx_last(12, KH_MSG_BODY);
    acknowledge(body, 12);
    acknowledge(body, 12); /* the same one twice is one */
    cr_assert(fx_count(0, KH_MSG_TX) == 0);
    uint8_t wrong[KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ] = {0};
    kh_node_received(fx.node, 13, KH_MSG_ACK, wrong, sizeof wrong);
    kh_node_received(fx.node, 15, KH_MSG_ACK, wrong, sizeof wrong);
    cr_assert(fx_count(0, KH_MSG_TX) == 0);
    acknowledge(body, 14);
    cr_assert(fx_count(0, KH_MSG_TX) == 3 && fx_count(15, KH_MSG_TX) == 0);
    const fx_message *tx = fx_last(12, KH_MSG_TX);
    kh_order *o = NULL;
    cr_assert(kh_order_new(fx.genesis_bytes, fx.genesis_n, &o) == KH_OK);
    cr_assert(kh_order_offerable(o, tx->p, tx->n, START_NS) == KH_R_OK);
    kh_order_free(o);
    kh_tx_span span = {tx->p, tx->n};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
    cr_assert(fx.ordered_cnt == 1 && fx.ordered_tags[0] == 7);
}

Test(sender, an_acknowledgement_is_held_against_its_key)
{
    fx_start(1);
    submit(7, 100);
    fx_message body = *fx_last(12, KH_MSG_BODY);
    kh_signer *key = fx.ack[1];
    fx.ack[1] = fx.ack[2];
    acknowledge(&body, 12);
    fx.ack[1] = key;
    cr_assert(fx.alert_member == 12);
    acknowledge(&body, 13);
    cr_assert(fx_count(0, KH_MSG_TX) == 0);
    acknowledge(&body, 12);
    cr_assert(fx_count(0, KH_MSG_TX) == 3);
}

Test(sender, gathers_while_others_are_under_way)
{
    fx_start(1);
    submit(1, 100);
    cr_assert(fx_count(12, KH_MSG_BODY) == 1); /* at once: nothing was under way */
    submit(2, 100);
    submit(3, 100);
    cr_assert(fx_count(12, KH_MSG_BODY) == 1);
    fx.now += 5000000;
    kh_node_tick(fx.node);
    cr_assert(fx_count(12, KH_MSG_BODY) == 2); /* the two together, after 5 ms */
    submit(4, KH_NODE_GATHER_SZ / 2);
    cr_assert(fx_count(12, KH_MSG_BODY) == 2);
    submit(5, KH_NODE_GATHER_SZ / 2);
    cr_assert(fx_count(12, KH_MSG_BODY) == 3); /* enough */
    submit(5, 0);                              /* an empty batch is one */
    for (uint64_t i = 0; i < 6; i++) submit(6 + i, KH_NODE_GATHER_SZ);
    cr_assert(fx_count(12, KH_MSG_BODY) == KH_NODE_WINDOW);
    uint32_t more = 0;
    uint8_t *large = calloc(1, 1u << 20);
    while (kh_node_submit(fx.node, large, 1u << 20, 1, false, 100) == KH_OK) more++;
    cr_assert(more >= 30 && more <= 32);
    cr_assert(kh_node_submit(fx.node, large, 1u << 20, 1, false, 100) == KH_E_AGAIN);
    cr_assert(kh_node_submit(fx.node, large, (7u << 20) + 1, 1, false, 100) == KH_E_ARG);
    free(large);
}

Test(sender, asks_again_with_a_later_expiry_and_the_same_digest)
{
    fx_start(1);
    submit(1, 100);
    fx_message first = *fx_last(12, KH_MSG_BODY);
    fx.time_ns = kh_load64(first.p);
    (void)fx_block(NULL, 0);
    kh_node_tick(fx.node);
    cr_assert(kh_load64(fx_last(12, KH_MSG_BODY)->p) == kh_load64(first.p));
    fx.time_ns++;
    (void)fx_block(NULL, 0);
    kh_node_tick(fx.node);
    const fx_message *again = fx_last(12, KH_MSG_BODY);
    cr_assert(kh_load64(again->p) > fx.time_ns && kh_load64(again->p) <= fx.time_ns + KH_EXPIRES_MAX_NS);
    cr_assert(again->n == first.n && memcmp(again->p + 8, first.p + 8, first.n - 8) == 0);
}

static void order_change(kh_change_kind kind, const uint8_t *body, uint32_t body_sz)
{
    static uint8_t tx[2048];
    uint8_t statement[1024];
    kh_change c = {.number = 1, .kind = (uint32_t)kind, .body_sz = body_sz, .body = body, .signature_cnt = 1};
    memcpy(c.chain, fx.chain, 32);
    size_t n = kh_change_statement(&c, statement, sizeof statement);
    cr_assert(kh_sign(fx.officer, statement, n, c.signatures[0].signature) == KH_OK);
    kh_tx_span span = {tx, kh_change_encode(&c, tx, sizeof tx)};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
}

static void begin_epoch(void)
{
    uint8_t key[KH_PUBLIC_SZ];
    kh_box *next = fx_box(KH_SUITE_INTL, 2, 8);
    kh_box_public(next, key);
    kh_box_free(next);
    order_change(KH_CHANGE_EPOCH, key, sizeof key);
}

Test(sender, another_digest_only_when_the_expiry_has_passed)
{
    fx_start(1);
    submit(1, 100);
    fx_message first = *fx_last(12, KH_MSG_BODY);
    begin_epoch();
    fx.now += 10 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(memcmp(fx_last(12, KH_MSG_BODY)->p + 8, first.p + 8, first.n - 8) == 0); /* of the old epoch still */
    fx.time_ns = kh_load64(first.p) + 1;
    (void)fx_block(NULL, 0);
    kh_node_tick(fx.node);
    kh_envelope_head head;
    const fx_message *again = fx_last(12, KH_MSG_BODY);
    cr_assert(kh_envelope_read(again->p + 8, again->n - 8, &head) == KH_OK);
    cr_assert(head.epoch == 2 && head.sequence == 1 && head.incarnation == 1);
}

Test(sender, after_a_restart_the_expiry_signed_before_is_not_known)
{
    fx_start(1);
    submit(1, 100);
    fx_message first = *fx_last(12, KH_MSG_BODY);
    kh_node_free(fx.node);
    fx.node = fx_node(NULL, 0);
    begin_epoch();
    for (int i = 0; i < 2; i++) { /* no expiry was further away than ten minutes */
        fx.time_ns = i == 0 ? kh_load64(fx_last(12, KH_MSG_BODY)->p) + 1 : START_NS + KH_EXPIRES_MAX_NS;
        (void)fx_block(NULL, 0);
        kh_node_tick(fx.node);
        cr_assert(kh_load64(fx_last(12, KH_MSG_BODY)->p) > fx.time_ns);
        cr_assert(memcmp(fx_last(12, KH_MSG_BODY)->p + 8, first.p + 8, first.n - 8) == 0, "%d", i);
    }
    fx.time_ns = kh_load64(fx_last(12, KH_MSG_BODY)->p) + 1;
    (void)fx_block(NULL, 0);
    kh_node_tick(fx.node);
    cr_assert(memcmp(fx_last(12, KH_MSG_BODY)->p + 8, first.p + 8, first.n - 8) != 0);
}

Test(sender, a_restart_sends_what_is_stored_and_goes_on_behind_it)
{
    fx_start(1);
    submit(1, 100);
    submit(2, KH_NODE_GATHER_SZ);
    fx_message second = *fx_last(12, KH_MSG_BODY);
    kh_node_free(fx.node);
    fx.node = fx_node(NULL, 0);
    cr_assert(fx_count(12, KH_MSG_BODY) == 4);
    cr_assert(memcmp(fx_last(12, KH_MSG_BODY)->p + 8, second.p + 8, second.n - 8) == 0);
    submit(3, KH_NODE_GATHER_SZ);
    kh_envelope_head head;
    const fx_message *third = fx_last(12, KH_MSG_BODY);
    cr_assert(kh_envelope_read(third->p + 8, third->n - 8, &head) == KH_OK && head.sequence == 3);
}

Test(sender, without_its_store_orders_an_incarnation_first)
{
    static uint8_t tx[1024];
    fx_start(1);
    fx_batch lost = fx_batch_of(SELF, 1, 1, START_NS + KH_NS_PER_S, 100);
    submit(1, 100); /* at the same sequence: the order decides */
    kh_tx_span span = {tx, fx_certificate(&lost.ack, tx, sizeof tx)};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
    cr_assert(fx.ordered_cnt == 0);
    fx_forget_sent();
    kh_node_tick(fx.node);
    cr_assert(fx_count(12, KH_MSG_TX) == 1 && fx_count(0, KH_MSG_BODY) == 0);
    fx_message incarnation = *fx_last(12, KH_MSG_TX);
    cr_assert(incarnation.n == KH_INCARNATION_SZ && incarnation.p[0] == KH_TX_INCARNATION);
    span = (kh_tx_span){incarnation.p, incarnation.n};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
    kh_envelope_head head;
    const fx_message *body = fx_last(12, KH_MSG_BODY);
    cr_assert(body != NULL && kh_envelope_read(body->p + 8, body->n - 8, &head) == KH_OK);
    cr_assert(head.incarnation == 2 && head.sequence == 1);
    acknowledge(body, 12);
    acknowledge(body, 13);
    span = (kh_tx_span){fx_last(12, KH_MSG_TX)->p, fx_last(12, KH_MSG_TX)->n};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
    cr_assert(fx.ordered_cnt == 1 && fx.ordered_tags[0] == 1);
}

/* Nobody acknowledges what is signed by the key of before, and nobody waits ten minutes for it. */
Test(sender, with_another_key_what_is_stored_is_sealed_anew_in_another_incarnation)
{
    uint8_t record[1024], *saved = NULL;
    size_t n = 0;
    uint64_t height = 0;
    fx_start(1);
    submit(1, 100);
    kh_signer *other = fx_signer(SELF, 7);
    kh_member self = fx.members[0];
    kh_signer_public(other, self.sender);
    order_change(KH_CHANGE_MEMBER, record, (uint32_t)kh_member_encode(&self, record, sizeof record));
    cr_assert(kh_node_save(fx.node, &saved, &n, &height) == KH_OK);
    kh_node_free(fx.node);
    kh_signer_free(fx.sender[0]);
    fx.sender[0] = other;
    fx_forget_sent();
    fx.node = fx_node(saved, n);
    free(saved);
    kh_node_tick(fx.node);
    cr_assert(fx_count(0, KH_MSG_BODY) == 0);
    fx_message incarnation = *fx_last(12, KH_MSG_TX);
    cr_assert(incarnation.n == KH_INCARNATION_SZ && incarnation.p[0] == KH_TX_INCARNATION);
    kh_tx_span span = {incarnation.p, incarnation.n};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
    kh_envelope_head head;
    const fx_message *body = fx_last(12, KH_MSG_BODY);
    cr_assert(body != NULL && kh_envelope_read(body->p + 8, body->n - 8, &head) == KH_OK);
    cr_assert(head.incarnation == 2 && head.sequence == 1 && kh_envelope_signed_by(body->p + 8, body->n - 8, self.sender));
}
