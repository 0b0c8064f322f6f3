/* node: what it offers, CometBFT's side, bodies that lack, bytes from anywhere, parcels. */
#include "node_fixture.h"
#include "cluster/parts.h"

TestSuite(pending, .fini = fx_end);
TestSuite(chain, .fini = fx_end);
TestSuite(bodies, .fini = fx_end);
TestSuite(node, .fini = fx_end);

/* ---- pending ---- */

static kh_ack ack_in(const kh_tx_span *span)
{
    kh_ack ack;
    kh_ack_decode(span->p + 4, &ack);
    return ack;
}

static uint64_t pending(void)
{
    kh_node_counts c;
    kh_node_count(fx.node, &c);
    return c.pending;
}

Test(pending, each_sender_in_order_and_a_fair_share_of_bytes)
{
    const kh_tx_span *txs = NULL;
    fx_start(1);
    for (uint64_t i = 8; i >= 1; i--) (void)tell_certificate(12, i, 1000000); /* a loud one, first and backwards */
    for (uint64_t i = 1; i <= 4; i++) (void)tell_certificate(14, i, 1000);
    uint32_t n = kh_node_prepare(fx.node, 1, START_NS, 1u << 20, &txs);
    cr_assert(n == 12 && kh_node_process(fx.node, 1, START_NS, txs, n));
    uint64_t next[2] = {1, 1};
    for (uint32_t i = 0; i < n; i++) {
        kh_ack ack = ack_in(&txs[i]);
        cr_assert(ack.sequence == next[ack.sender == 14]++);
        if (ack.sender == 14) cr_assert(i <= 5); /* before the loud one's second */
    }
    size_t room = 3 * (3 + txs[0].n); /* three of them, each with its tag and length */
    cr_assert(kh_node_prepare(fx.node, 1, START_NS, room - 1, &txs) == 2);
    cr_assert(kh_node_prepare(fx.node, 1, START_NS, room, &txs) == 3);
}

Test(pending, nothing_behind_a_gap_or_an_expired_one_is_offered)
{
    const kh_tx_span *txs = NULL;
    fx_start(1);
    (void)tell_certificate(12, 2, 100);
    cr_assert(pending() == 1 && kh_node_prepare(fx.node, 1, START_NS, 1u << 20, &txs) == 0);
    (void)tell_certificate(12, 1, 100);
    cr_assert(kh_node_prepare(fx.node, 1, START_NS, 1u << 20, &txs) == 2);
    cr_assert(kh_node_prepare(fx.node, 1, START_NS + KH_NS_PER_S + 1, 1u << 20, &txs) == 0);
    for (uint64_t i = 1; i <= 3; i += 2) { /* the first and the third have longer, the second is between them */
        uint8_t tx[1024];
        kh_ack ack = tell_certificate(12, i, 100);
        ack.expires_ns += KH_NS_PER_S;
        tell_tx(13, tx, fx_certificate(&ack, tx, sizeof tx));
    }
    cr_assert(kh_node_prepare(fx.node, 1, START_NS + KH_NS_PER_S, 1u << 20, &txs) == 3);
    cr_assert(kh_node_prepare(fx.node, 1, START_NS + KH_NS_PER_S + 1, 1u << 20, &txs) == 1 && ack_in(txs).sequence == 1);
}

Test(pending, kept_until_it_is_seen_in_a_block)
{
    const kh_tx_span *txs = NULL;
    fx_start(1);
    (void)tell_certificate(12, 1, 100);
    for (int i = 0; i < 5; i++) cr_assert(kh_node_prepare(fx.node, 1, START_NS, 1u << 20, &txs) == 1);
    cr_assert(pending() == 1);
    (void)fx_block(NULL, 0);
    cr_assert(pending() == 1 && kh_node_prepare(fx.node, 2, START_NS, 1u << 20, &txs) == 1);
    (void)fx_block(txs, 1);
    cr_assert(pending() == 0);
    (void)tell_certificate(12, 1, 100); /* what was ordered does not come back */
    cr_assert(pending() == 0);
    (void)tell_certificate(12, 2, 100);
    fx.time_ns = START_NS + KH_NS_PER_S + 1;
    (void)fx_block(NULL, 0);
    cr_assert(pending() == 0); /* expired */
}

Test(pending, a_forged_one_is_not_kept_and_one_place_is_one)
{
    uint8_t tx[1024];
    fx_start(1);
    kh_ack ack = tell_certificate(12, 1, 100);
    size_t n = fx_certificate(&ack, tx, sizeof tx);
    cr_assert(pending() == 1);
    ack.sequence = 7;
    kh_ack_encode(&ack, tx + 4);
    tell_tx(13, tx, n);
    cr_assert(pending() == 1 && fx.alert_member == 13);
    ack.sequence = 1;
    ack.expires_ns++;
    n = fx_certificate(&ack, tx, sizeof tx); /* the same with a later expiry takes its place */
    tell_tx(13, tx, n);
    cr_assert(pending() == 1);
    const kh_tx_span *txs = NULL;
    cr_assert(kh_node_prepare(fx.node, 1, START_NS + KH_NS_PER_S + 1, 1u << 20, &txs) == 1);
    for (uint64_t i = 2; i < 300; i++) (void)tell_certificate(12, i, 100);
    cr_assert(pending() == 256);
}

/* Nobody can look at the signatures of a change to come: whoever tells many of them must not keep out the next one. */
Test(pending, changes_that_nobody_signed_leave_room_for_the_next)
{
    uint8_t tx[1024], statement[1024], body[8 + KH_PUBLIC_SZ] = {0};
    const kh_tx_span *txs = NULL;
    fx_start(1);
    kh_store32(body, 1);
    kh_store32(body + 4, 1);
    memcpy(body + 8, fx.genesis.officers[0], KH_PUBLIC_SZ);
    kh_change c = {.number = 2, .kind = KH_CHANGE_OFFICERS, .body = body, .body_sz = sizeof body, .signature_cnt = 1};
    memcpy(c.chain, fx.chain, 32);
    for (; c.number < 600; c.number++) tell_tx(13, tx, kh_change_encode(&c, tx, sizeof tx));
    cr_assert(pending() == 256);
    c.number = 1;
    size_t n = kh_change_statement(&c, statement, sizeof statement);
    cr_assert(kh_sign(fx.officer, statement, n, c.signatures[0].signature) == KH_OK);
    n = kh_change_encode(&c, tx, sizeof tx);
    tell_tx(12, tx, n);
    cr_assert(pending() == 256);
    cr_assert(kh_node_prepare(fx.node, 1, START_NS, 1u << 20, &txs) == 1);
    cr_assert(txs[0].n == n && memcmp(txs[0].p, tx, n) == 0);
}

/* ---- CometBFT ---- */

Test(chain, what_is_above_the_durable_height_is_answered_again)
{
    uint8_t tx[1024], hash[32], first[32], *saved = NULL;
    size_t saved_n = 0;
    uint64_t height = 0;
    const kh_order_block *b = NULL;
    fx_start(1);
    cr_assert(kh_node_kept_height(fx.node, hash) == 0);
    kh_node_init_hash(fx.node, first);
    fx_batch one = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100);
    kh_tx_span spans[2] = {{tx, fx_certificate(&one.ack, tx, sizeof tx)}, {tx, 20}};
    cr_assert(kh_node_finalize(fx.node, 1, START_NS, spans, 2, &b) == KH_OK);
    cr_assert(b->tx_cnt == 2 && b->codes[0] == KH_R_OK && b->codes[1] == KH_R_MALFORMED && memcmp(b->previous, first, 32) == 0);
    memcpy(hash, b->app_hash, 32);
    cr_assert(kh_node_save(fx.node, &saved, &saved_n, &height) == KH_E_AGAIN); /* not committed */
    cr_assert(fx.decided_cnt == 0);
    kh_node_commit(fx.node);
    cr_assert(fx.decided_cnt == 1);
    cr_assert(kh_node_finalize(fx.node, 2, START_NS, NULL, 0, &b) == KH_OK);
    kh_node_commit(fx.node);
    cr_assert(kh_node_finalize(fx.node, 1, START_NS, spans, 2, &b) == KH_OK);
    cr_assert(b->tx_cnt == 2 && b->codes[1] == KH_R_MALFORMED && memcmp(b->app_hash, hash, 32) == 0);
    kh_node_commit(fx.node);
    cr_assert(fx.decided_cnt == 2);
    cr_assert(kh_node_finalize(fx.node, 1, START_NS, spans, 1, &b) == KH_E_ARG); /* another block */
    cr_assert(kh_node_finalize(fx.node, 4, START_NS, NULL, 0, &b) == KH_E_ARG);
    cr_assert(kh_node_save(fx.node, &saved, &saved_n, &height) == KH_OK && height == 2);
    cr_assert(kh_node_kept_height(fx.node, first) == 0);
    kh_node_kept(fx.node, 2);
    cr_assert(kh_node_kept_height(fx.node, first) == 2 && memcmp(first, hash, 32) == 0);
    kh_node_free(fx.node);
    fx.node = fx_node(saved, saved_n);
    free(saved);
    cr_assert(kh_node_kept_height(fx.node, first) == 2 && memcmp(first, hash, 32) == 0);
    cr_assert(kh_node_finalize(fx.node, 3, START_NS, NULL, 0, &b) == KH_OK);
}

/* CometBFT alone began anew, and gives again what is above the height that it was told: the order may be saved in the middle. */
Test(chain, what_becomes_durable_while_it_is_given_again)
{
    uint8_t tx[4] = {9}, hash[32];
    const kh_tx_span spans[3] = {{tx, 4}, {tx, 3}, {tx, 2}};
    const kh_order_block *b = NULL;
    fx_start(1);
    for (uint64_t height = 1; height <= 2; height++) {
        cr_assert(kh_node_finalize(fx.node, height, START_NS, spans, 3, &b) == KH_OK);
        kh_node_commit(fx.node);
    }
    cr_assert(kh_node_kept_height(fx.node, hash) == 0);
    cr_assert(kh_node_finalize(fx.node, 1, START_NS, spans, 3, &b) == KH_OK);
    kh_node_kept(fx.node, 2);
    for (uint32_t i = 0; i < 3; i++) cr_assert(b->codes[i] == KH_R_MALFORMED); /* not written to CometBFT yet */
    kh_node_commit(fx.node);
    cr_assert(kh_node_kept_height(fx.node, hash) == 2);
    cr_assert(kh_node_finalize(fx.node, 2, START_NS, spans, 3, &b) == KH_OK && b->tx_cnt == 3);
    kh_node_commit(fx.node);
    cr_assert(fx.decided_cnt == 2);
    cr_assert(kh_node_finalize(fx.node, 3, START_NS, spans, 3, &b) == KH_OK);
    kh_node_commit(fx.node);
    cr_assert(fx.decided_cnt == 3);
    cr_assert(kh_node_finalize(fx.node, 2, START_NS, spans, 3, &b) == KH_E_ARG); /* it has gone on from there */
    cr_assert(kh_node_finalize(fx.node, 3, START_NS, spans, 3, &b) == KH_OK);
}

/* ---- bodies ---- */

static void give(uint32_t from, const uint8_t digest[32], const uint8_t *p, size_t n)
{
    uint8_t *m = malloc(32 + n);
    memcpy(m, digest, 32);
    if (n != 0) memcpy(m + 32, p, n);
    kh_node_received(fx.node, from, KH_MSG_GIVE, m, 32 + n);
    free(m);
}

Test(bodies, what_lacks_is_asked_of_its_signers_in_turn)
{
    fx_start(1);
    fx_batch b = fx_batch_of(14, 1, 1, START_NS + KH_NS_PER_S, 100);
    order_one(&b); /* signed by 11, 12, 13 */
    cr_assert(fx_count(0, KH_MSG_WANT) == 1 && fx_count(12, KH_MSG_WANT) == 1);
    give(13, b.digest, b.message + 8, b.n - 8); /* was not asked */
    cr_assert(fx.body_cnt == 0);
    b.message[200] ^= 1;
    give(12, b.digest, b.message + 8, b.n - 8); /* not what was asked for: the next one, at once */
    cr_assert(fx.body_cnt == 0 && fx_count(13, KH_MSG_WANT) == 1);
    b.message[200] ^= 1;
    fx.now += 600000000; /* no answer: another one */
    kh_node_tick(fx.node);
    kh_node_tick(fx.node);
    cr_assert(fx_count(0, KH_MSG_WANT) == 3);
    uint32_t asked = fx.sent[fx.sent_cnt - 1].to;
    give(asked, b.digest, b.message + 8, b.n - 8);
    cr_assert(fx.body_cnt == 1 && fx_has(NULL, b.digest) && fx.bodies[0].name.ordered && fx.bodies[0].name.sender == 14);
    fx.now += KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(fx_count(0, KH_MSG_WANT) == 3);
    uint8_t *p = NULL;
    size_t n = 0;
    cr_assert(kh_node_body(fx.node, b.digest, 1000, &p, &n) == KH_OK && n == b.n - 8);
    free(p);
}

Test(bodies, nobody_has_it_and_the_others_do_not_wait)
{
    fx_start(1);
    uint8_t digest[32] = {[31] = 1}, *p = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < 100; i++) {
        kh_store32(digest + 4, i);
        kh_store32(digest, i * 7);
        cr_assert(kh_node_body(fx.node, digest, 1000, &p, &n) == KH_E_AGAIN);
    }
    cr_assert(fx_count(0, KH_MSG_WANT) == 16); /* under way at once */
    bool asked[100] = {false};
    for (uint32_t i = 0; i < 20; i++) {
        fx.now += 600000000;
        kh_node_tick(fx.node);
    }
    for (uint32_t i = 0; i < fx.sent_cnt; i++)
        if (fx.sent[i].type == KH_MSG_WANT) asked[kh_load32(fx.sent[i].p + 4)] = true;
    for (uint32_t i = 0; i < 100; i++) cr_assert(asked[i], "%u", i);
    /* Everybody says "not had": it does not go round as fast as the wire. */
    uint32_t before = fx_count(0, KH_MSG_WANT);
    for (uint32_t i = 0; i < fx.sent_cnt && i < 4000; i++)
        if (fx.sent[i].type == KH_MSG_WANT) give(fx.sent[i].to, fx.sent[i].p, NULL, 0);
    cr_assert(fx_count(0, KH_MSG_WANT) - before <= 16 * 5);
}

Test(bodies, a_peer_is_given_so_much_a_second)
{
    fx_start(1);
    fx_batch b = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 5u << 20);
    fx_tell_body(&b);
    for (uint32_t i = 0; i < 50; i++) kh_node_received(fx.node, 13, KH_MSG_WANT, b.digest, 32);
    uint32_t given = fx_count(13, KH_MSG_GIVE);
    cr_assert(given >= 10 && given <= 12);
    cr_assert(fx_last(13, KH_MSG_GIVE)->n == 32 + b.n - 8);
    kh_node_received(fx.node, 14, KH_MSG_WANT, b.digest, 32);
    cr_assert(fx_count(14, KH_MSG_GIVE) == 1);
    fx.now += KH_NS_PER_S;
    kh_node_tick(fx.node);
    kh_node_received(fx.node, 13, KH_MSG_WANT, b.digest, 32);
    cr_assert(fx_count(13, KH_MSG_GIVE) == given + 1);
}

/* ---- outputs ---- */

/* A request is a height, no byte less or more, of a member that is there; outputs come from hubs. */
Test(node, outputs_are_asked_for_by_a_height)
{
    uint8_t bytes[9] = {7};
    fx_start(3);
    for (size_t n = 0; n <= sizeof bytes; n++) kh_node_received(fx.node, 12, KH_MSG_OUTPUTS_FROM, bytes, n);
    cr_assert(fx.wanted_cnt == 1 && fx.wanted_above == 7 && fx_dropped() == 9);
    kh_node_received(fx.node, 99, KH_MSG_OUTPUTS_FROM, bytes, 8);
    cr_assert(fx.wanted_cnt == 1 && fx_dropped() == 10);
    kh_node_received(fx.node, 12, KH_MSG_OUTPUTS, bytes, sizeof bytes);
    cr_assert(fx.outputs_cnt == 0 && fx_dropped() == 11);
    kh_node_received(fx.node, 15, KH_MSG_OUTPUTS, bytes, sizeof bytes);
    cr_assert(fx.outputs_cnt == 1 && fx_dropped() == 11);
}

/* ---- bytes from anywhere ---- */

Test(node, any_bytes_are_harmless)
{
    uint8_t bytes[600];
    fx_start(3);
    srand(7);
    for (uint32_t i = 0; i < 20000; i++) {
        size_t n = (size_t)rand() % sizeof bytes;
        for (size_t k = 0; k < n; k++) bytes[k] = (uint8_t)rand();
        if (n > 36 && i % 2 == 0) { /* begins as a transaction does */
            bytes[0] = (uint8_t)(i / 2 % 6);
            bytes[1] = 1;
            bytes[2] = bytes[3] = 0;
            memcpy(bytes + 4, fx.chain, 32);
        }
        kh_node_received(fx.node, 10 + i % 9, (uint8_t)(i % 11), bytes, n);
    }
    cr_assert(pending() == 0 && fx.body_cnt == 0 && fx.attested_cnt == 0);
    cr_assert(fx_dropped() > 5000);
}

/* ---- parcels ---- */

Test(parcel, opens_for_its_bank_alone_and_whole)
{
    const kh_suite suites[] = {KH_SUITE_INTL, KH_SUITE_GM};
    for (int s = 0; s < 2; s++) {
        const kh_entropy entropy = {fx_entropy, NULL};
        uint8_t chain[32] = {1}, other[32] = {2}, key[KH_PUBLIC_SZ], package[300], *p = NULL, *text = NULL;
        size_t n = 0, text_n = 0;
        uint64_t height = 0;
        kh_box *box = fx_box(suites[s], 1, 1), *wrong = fx_box(suites[s], 2, 1);
        kh_box_public(box, key);
        memset(package, 0x5a, sizeof package);
        cr_assert(kh_parcel_make(suites[s], key, &entropy, chain, 11, 77, package, sizeof package, &p, &n) == KH_OK);
        cr_assert(kh_parcel_open(suites[s], box, chain, 11, p, n, &height, &text, &text_n));
        cr_assert(height == 77 && text_n == sizeof package && memcmp(text, package, text_n) == 0);
        free(text);
        cr_assert(!kh_parcel_open(suites[s], wrong, chain, 11, p, n, &height, &text, &text_n));
        cr_assert(!kh_parcel_open(suites[s], box, other, 11, p, n, &height, &text, &text_n));
        cr_assert(!kh_parcel_open(suites[s], box, chain, 12, p, n, &height, &text, &text_n));
        for (size_t i = 0; i < n; i += 3) {
            p[i] ^= 1;
            cr_assert(!kh_parcel_open(suites[s], box, chain, 11, p, n, &height, &text, &text_n), "%zu", i);
            p[i] ^= 1;
            cr_assert(!kh_parcel_open(suites[s], box, chain, 11, p, i, &height, &text, &text_n));
        }
        free(p);
        cr_assert(kh_parcel_make(suites[s], key, &entropy, chain, 11, 78, NULL, 0, &p, &n) == KH_OK);
        cr_assert(kh_parcel_open(suites[s], box, chain, 11, p, n, &height, &text, &text_n) && text_n == 0);
        free(text);
        free(p);
        kh_box_free(box);
        kh_box_free(wrong);
    }
}
