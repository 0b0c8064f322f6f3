/* node: the checkpoint's state that it holds, told until it is ordered, and what others say of theirs; bodies that were given up.
 */
#include "node_fixture.h"
#include "cluster/parts.h"

TestSuite(holds, .fini = fx_end);
TestSuite(given_up, .fini = fx_end);

#define DAY_NS (UINT64_C(86400) * KH_NS_PER_S)

static kh_order_state states[KH_STATES];
static uint64_t gone;

static void look_at(void *ctx, kh_order *order)
{
    (void)ctx;
    kh_order_states(order, states);
    gone = kh_order_bodies_gone(order);
}

static void look(void) { kh_node_read(fx.node, look_at, NULL); }

static void app_hash_of(void *ctx, kh_order *order) { kh_order_app_hash(order, ctx); }

/* The hub's word that the last block's state is a checkpoint, ordered `later` after it. */
static uint64_t order_checkpoint(uint64_t later_ns)
{
    uint8_t tx[KH_ATTESTATION_SZ];
    kh_attestation a = {.height = fx.height, .epoch = 1, .hub = 15, .flags = KH_ATTEST_CHECKPOINT};
    memcpy(a.chain, fx.chain, 32);
    kh_node_read(fx.node, app_hash_of, a.app_hash);
    cr_assert(kh_attestation_make(fx.attest[place(15)], &a, tx) == KH_OK);
    kh_tx_span span = {tx, sizeof tx};
    fx.time_ns += later_ns;
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
    return a.height;
}

static kh_tx_span holds_of(uint32_t member, uint64_t height, uint8_t buf[KH_HOLDS_SZ])
{
    cr_assert(kh_holds_make(fx.ack[place(member)], fx.chain, height, member, buf) == KH_OK);
    return (kh_tx_span){buf, KH_HOLDS_SZ};
}

static void order_holds(uint64_t height)
{
    uint8_t txs[3][KH_HOLDS_SZ];
    kh_tx_span spans[3];
    for (uint32_t i = 0; i < 3; i++) spans[i] = holds_of(12 + i, height, txs[i]);
    const kh_order_block *b = fx_block(spans, 3);
    cr_assert(b->codes[0] == KH_R_OK && b->codes[1] == KH_R_OK && b->codes[2] == KH_R_OK);
}

/* A batch of bank 12; *there: its body came. */
static void order_batch(uint64_t sequence, bool there, uint8_t ret_digest[32])
{
    fx_batch b = fx_batch_of(12, 1, sequence, fx.time_ns + KH_NS_PER_S, 100);
    memcpy(ret_digest, b.digest, 32);
    if (there) fx_tell_body(&b);
    order_one(&b);
}

static uint64_t pending(void)
{
    kh_node_counts c;
    kh_node_count(fx.node, &c);
    return c.pending;
}

/* ---- what this node holds ---- */

static uint64_t start_wanted(void)
{
    uint8_t digest[32];
    fx_start(1);
    order_batch(1, true, digest);
    uint64_t height = order_checkpoint(KH_NS_PER_S);
    look();
    cr_assert(states[KH_STATE_WANTED].height == height);
    fx_forget_sent();
    return height;
}

Test(holds, told_again_until_it_is_ordered)
{
    const kh_tx_span *txs = NULL;
    uint64_t height = start_wanted(), urgent = kh_node_urgent(fx.node);
    uint8_t want[KH_HOLDS_SZ];
    kh_node_tick(fx.node);
    cr_assert(fx.sent_cnt == 0 && pending() == 0);
    kh_node_holds(fx.node, height);
    (void)holds_of(SELF, height, want);
    for (uint32_t id = 12; id <= 14; id++) {
        const fx_message *m = fx_last(id, KH_MSG_TX);
        cr_assert(m != NULL && m->n == KH_HOLDS_SZ && memcmp(m->p, want, KH_HOLDS_SZ) == 0);
    }
    cr_assert(fx.sent_cnt == 3 && pending() == 1 && kh_node_urgent(fx.node) == urgent); /* hubs do not vote here */
    kh_node_tick(fx.node);
    kh_node_holds(fx.node, height);
    cr_assert(fx.sent_cnt == 3);
    fx.now += 2 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(fx.sent_cnt == 6 && pending() == 1);
    cr_assert(kh_node_prepare(fx.node, fx.height + 1, fx.time_ns, 1u << 20, &txs) == 1 && txs[0].p[0] == KH_TX_HOLDS);
    cr_assert(!kh_node_is_urgent(txs, 1));
    cr_assert(fx_block(txs, 1)->codes[0] == KH_R_OK);
    look();
    cr_assert(states[KH_STATE_WANTED].holder_cnt == 1 && pending() == 0);
    for (int i = 0; i < 3; i++) fx.now += 2 * KH_NS_PER_S, kh_node_tick(fx.node);
    cr_assert(fx.sent_cnt == 6);
}

Test(holds, waits_for_the_order_and_forgets_what_is_not_wanted)
{
    uint8_t digest[32];
    fx_start(1);
    order_batch(1, true, digest);
    fx_forget_sent();
    kh_node_holds(fx.node, 1); /* it is ahead of its order */
    cr_assert(fx.sent_cnt == 0 && pending() == 0);
    cr_assert(order_checkpoint(KH_NS_PER_S) == 1);
    fx.now += 2 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(fx.sent_cnt == 3 && fx_last(13, KH_MSG_TX)->p[0] == KH_TX_HOLDS && pending() == 1);
    order_holds(1); /* the others are enough */
    cr_assert(pending() == 0);
    fx.now += 2 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    kh_node_holds(fx.node, 1);
    cr_assert(fx.sent_cnt == 3);
}

Test(holds, who_does_not_vote_says_nothing)
{
    kh_node_options o;
    uint64_t height = start_wanted();
    uint8_t *saved = NULL;
    size_t n = 0;
    cr_assert(kh_node_save(fx.node, &saved, &n, &height) == KH_OK);
    kh_node_free(fx.node);
    o = fx_options(15, place(15)); /* a hub without a vote */
    o.ack = fx.ack[place(15)];
    cr_assert(kh_node_new(&o, saved, n, &fx.node) == KH_OK);
    free(saved);
    look();
    kh_node_holds(fx.node, states[KH_STATE_WANTED].height);
    kh_node_tick(fx.node);
    cr_assert(fx.sent_cnt == 0);
}

/* ---- what others say ---- */

Test(holds, lies_are_not_kept)
{
    uint8_t tx[KH_HOLDS_SZ];
    uint64_t height = start_wanted();
    (void)holds_of(15, height, tx); /* a hub that does not vote */
    tell_tx(15, tx, sizeof tx);
    (void)holds_of(13, height, tx); /* in another's name */
    kh_store32(tx + 44, 14);
    tell_tx(13, tx, sizeof tx);
    (void)holds_of(13, height, tx); /* signed for another height */
    kh_store64(tx + 36, height + 1);
    tell_tx(13, tx, sizeof tx);
    (void)holds_of(13, height - 1, tx); /* of one that nobody wants */
    tell_tx(13, tx, sizeof tx);
    (void)holds_of(13, height, tx);
    tell_tx(13, tx, sizeof tx - 1);
    tx[4] ^= 1;
    tell_tx(13, tx, sizeof tx);
    cr_assert(pending() == 0 && fx_dropped() == 6);
    (void)holds_of(13, height, tx);
    for (int i = 0; i < 3; i++) tell_tx(14, tx, sizeof tx); /* whoever passes it on, and again */
    cr_assert(pending() == 1);
    order_holds(height);
    cr_assert(pending() == 0);
    tell_tx(13, tx, sizeof tx);
    cr_assert(pending() == 0);
    look();
    cr_assert(states[KH_STATE_HELD].height == height && states[KH_STATE_HELD].holder_cnt == 3);
}

/* Heights to come cannot be told from lies: a flood of them has a bound, and does not keep the true one out. */
Test(holds, a_flood_of_heights_to_come)
{
    uint8_t tx[KH_HOLDS_SZ];
    const kh_tx_span *txs = NULL;
    uint64_t height = start_wanted();
    for (uint64_t i = 1; i <= KH_PENDING_OF_SENDER + 100u; i++) {
        (void)holds_of(13, height + i, tx);
        tell_tx(13, tx, sizeof tx);
    }
    cr_assert(pending() == KH_PENDING_OF_SENDER);
    (void)holds_of(13, height, tx);
    tell_tx(13, tx, sizeof tx);
    (void)holds_of(14, height, tx);
    tell_tx(14, tx, sizeof tx);
    cr_assert(pending() == KH_PENDING_OF_SENDER + 1);
    cr_assert(kh_node_prepare(fx.node, fx.height + 1, fx.time_ns, 1u << 20, &txs) == 2); /* those that have an effect */
    fx_block(txs, 2);
    look();
    cr_assert(states[KH_STATE_WANTED].holder_cnt == 2);
}

/* ---- bodies ---- */

static uint8_t first[32], second[32], third[32];

/* Three batches whose bodies lack here; two states are held, of the first and the second, and the second's is behind by now. */
static void start_given_up(void)
{
    fx_start(1);
    order_batch(1, false, first);
    uint64_t height = order_checkpoint(KH_NS_PER_S);
    order_holds(height);
    order_batch(2, false, second);
    height = order_checkpoint(4 * DAY_NS);
    order_holds(height);
    order_batch(3, false, third);
    look();
    cr_assert(gone == 0 && states[KH_STATE_HELD_BEFORE].height == 1 && states[KH_STATE_HELD].height == height);
}

/* kh_node_tick until nobody would be asked that was not; was this one asked for? */
static bool is_asked_for(const uint8_t digest[32])
{
    bool asked = false;
    fx_forget_sent();
    for (int i = 0; i < 20; i++) fx.now += KH_NS_PER_S, kh_node_tick(fx.node);
    for (uint32_t i = 0; i < fx.sent_cnt; i++) asked |= fx.sent[i].type == KH_MSG_WANT && memcmp(fx.sent[i].p, digest, 32) == 0;
    return asked;
}

static void pass(uint64_t ns)
{
    static uint8_t nothing;
    const kh_tx_span span = {&nothing, 1};
    nothing++;
    fx.time_ns += ns;
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_MALFORMED);
    look();
}

Test(given_up, are_not_asked_for_any_more)
{
    uint8_t *p = NULL;
    size_t n = 0;
    start_given_up();
    cr_assert(is_asked_for(first) && is_asked_for(second) && is_asked_for(third));
    cr_assert(kh_node_body(fx.node, first, 1, &p, &n) == KH_E_AGAIN);
    pass(25 * DAY_NS); /* 29 days since the first was wanted */
    cr_assert(gone == 0 && is_asked_for(first));
    pass(DAY_NS);
    cr_assert(gone == 1);
    cr_assert(!is_asked_for(first) && is_asked_for(second) && is_asked_for(third));
    cr_assert(kh_node_body(fx.node, first, 1, &p, &n) == KH_E_NOT_FOUND && !is_asked_for(first));
    cr_assert(kh_node_body(fx.node, second, 5, &p, &n) == KH_E_AGAIN);
    pass(90 * DAY_NS); /* nothing is held above the second's */
    cr_assert(gone == 1 && is_asked_for(second));
}

Test(given_up, nor_after_a_restart)
{
    uint8_t *saved = NULL, *p = NULL;
    size_t n = 0, body_n = 0;
    uint64_t height;
    start_given_up();
    pass(26 * DAY_NS);
    cr_assert(gone == 1 && kh_node_save(fx.node, &saved, &n, &height) == KH_OK);
    kh_node_free(fx.node);
    fx.node = fx_node(saved, n);
    free(saved);
    look();
    cr_assert(gone == 1);
    cr_assert(kh_node_body(fx.node, first, 1, &p, &body_n) == KH_E_NOT_FOUND && !is_asked_for(first));
    cr_assert(kh_node_body(fx.node, second, 5, &p, &body_n) == KH_E_AGAIN && is_asked_for(second));
}

/* One that is here all the same, a file that has others too, is given. */
Test(given_up, what_is_still_here_is_had)
{
    uint8_t digest[32], *p = NULL;
    size_t n = 0;
    fx_start(1);
    order_batch(1, true, digest);
    uint64_t height = order_checkpoint(KH_NS_PER_S);
    order_holds(height);
    height = order_checkpoint(4 * DAY_NS);
    order_holds(height);
    pass(30 * DAY_NS);
    cr_assert(gone == 1 && kh_node_body(fx.node, digest, 1, &p, &n) == KH_OK);
    free(p);
}
