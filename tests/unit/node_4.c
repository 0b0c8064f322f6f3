/* node: an order that peers gave in place of the genesis': taken where it is this chain's and nothing stands behind, and gone on
 * from. */
#include "node_fixture.h"

TestSuite(given, .fini = fx_end);

static uint8_t *saved, given_hash[32];
static size_t saved_n;
static uint64_t given_height;
static uint32_t begun;
static kh_err begin_says;

static kh_err on_begin(void *ctx, kh_order *order)
{
    cr_assert(ctx == &begun && kh_order_height(order) == given_height);
    begun++;
    return begin_says;
}

static kh_err adopt(void) { return kh_node_adopt(fx.node, saved, saved_n, given_height, given_hash, on_begin, &begun); }

static void keep_order(void)
{
    free(saved);
    cr_assert(kh_node_save(fx.node, &saved, &saved_n, &given_height) == KH_OK);
    kh_node_kept(fx.node, given_height);
    (void)kh_node_kept_height(fx.node, given_hash);
}

/* A node gives its order as of block `batches` (of bank 12 and, every other, of SELF), and another one begins with the genesis.
 */
static kh_node *giver;
static void give(uint64_t batches, bool own)
{
    fx_start(3);
    for (uint64_t i = 1; i <= batches; i++) {
        fx_batch b = fx_batch_of(own ? SELF : 12, 1, i, START_NS + KH_NS_PER_S, 100);
        order_one(&b);
    }
    keep_order();
    giver = fx.node;
    fx.node = fx_node(NULL, 0);
    fx_forget_sent();
}
static void end_giver(void)
{
    kh_node_free(giver);
    free(saved);
    giver = NULL;
    saved = NULL;
}

static uint64_t kept_height(void) { return kh_node_kept_height(fx.node, (uint8_t[32]){0}); }

Test(given, goes_on_as_the_giver_does)
{
    uint8_t hash[32];
    give(5, false);
    cr_assert(adopt() == KH_OK && begun == 1);
    cr_assert(kh_node_kept_height(fx.node, hash) == 5 && memcmp(hash, given_hash, 32) == 0);
    for (uint64_t i = 6; i < 10; i++) {
        uint8_t tx[1024];
        const kh_order_block *a = NULL, *b = NULL;
        fx_batch batch = fx_batch_of(12, 1, i, START_NS + KH_NS_PER_S, 100);
        const kh_tx_span span = {tx, fx_certificate(&batch.ack, tx, sizeof tx)};
        cr_assert(kh_node_finalize(fx.node, i, fx.time_ns, &span, 1, &a) == KH_OK && a->codes[0] == KH_R_OK);
        cr_assert(kh_node_finalize(giver, i, fx.time_ns, &span, 1, &b) == KH_OK);
        cr_assert(memcmp(a->app_hash, b->app_hash, 32) == 0);
        kh_node_commit(fx.node);
        kh_node_commit(giver);
    }
    end_giver();
}

Test(given, what_is_another_is_not_taken)
{
    uint8_t *good = NULL;
    give(5, false);
    good = malloc(saved_n);
    memcpy(good, saved, saved_n);
    for (size_t at = 0; at < saved_n; at += 97) {
        saved[at] ^= 1;
        cr_assert(adopt() == KH_E_FORMAT, "byte %zu", at);
        saved[at] ^= 1;
    }
    given_height++;
    cr_assert(adopt() == KH_E_FORMAT);
    given_height--;
    given_hash[0] ^= 1;
    cr_assert(adopt() == KH_E_FORMAT);
    given_hash[0] ^= 1;
    saved_n--;
    cr_assert(adopt() == KH_E_FORMAT);
    saved_n++;
    begin_says = KH_E_IO; /* the disk does not have it: the order stays what it was */
    cr_assert(adopt() == KH_E_IO && begun == 1 && kept_height() == 0);
    begin_says = KH_OK;
    fx.height = 0;
    (void)fx_block(NULL, 0);
    cr_assert(adopt() == KH_E_EXISTS && begun == 1); /* a block stands already */
    free(good);
    end_giver();
}

Test(given, another_in_its_place_until_a_block_stands)
{
    kh_node *taker;
    give(5, false);
    uint8_t *older = malloc(saved_n), older_hash[32];
    size_t older_n = saved_n;
    memcpy(older, saved, saved_n);
    memcpy(older_hash, given_hash, 32);
    cr_assert(adopt() == KH_OK && adopt() == KH_OK); /* the same again: CometBFT had not come through */
    taker = fx.node;
    fx.node = giver;
    fx.height = 5;
    fx_batch b = fx_batch_of(12, 1, 6, START_NS + KH_NS_PER_S, 100);
    order_one(&b);
    keep_order();
    fx.node = taker;
    cr_assert(adopt() == KH_OK && kept_height() == 6);
    cr_assert(kh_node_adopt(fx.node, older, older_n, 5, older_hash, on_begin, &begun) == KH_E_EXISTS && begun == 3);
    fx.height = 6;
    (void)fx_block(NULL, 0);
    cr_assert(adopt() == KH_E_EXISTS);
    free(older);
    end_giver();
}

Test(given, after_a_restart_nothing_stands_behind_it_either)
{
    give(5, false);
    kh_node_free(fx.node);
    fx.node = NULL;
    kh_node_options o = fx_options(SELF, 0);
    o.ack = fx.ack[0];
    o.adopted = 5;
    cr_assert(kh_node_new(&o, saved, saved_n, &fx.node) == KH_OK);
    cr_assert(adopt() == KH_OK);
    kh_node_free(fx.node);
    o.adopted = 0; /* it came here by blocks */
    cr_assert(kh_node_new(&o, saved, saved_n, &fx.node) == KH_OK);
    cr_assert(adopt() == KH_E_EXISTS);
    end_giver();
}

Test(given, a_hub_cannot_begin_so)
{
    kh_node *hub = NULL;
    give(5, false);
    const kh_node_options o = fx_options(SELF + BANKS, BANKS);
    cr_assert(kh_node_new(&o, NULL, 0, &hub) == KH_OK);
    cr_assert(kh_node_adopt(hub, saved, saved_n, given_height, given_hash, on_begin, &begun) == KH_E_CLOSED && begun == 0);
    kh_node_free(hub);
    end_giver();
}

static void read_due(void *ctx, kh_order *order)
{
    bool *due = ctx;
    for (uint64_t distance = 0; distance < 8; distance++) due[distance] = kh_order_snapshot_due(order, distance);
}

/* Of block 5, blocks 1 to 5 having transactions, and of a loaded order alike; behind an empty block none is. */
Test(given, a_snapshot_is_due_at_the_first_block_behind_a_multiple)
{
    static const bool want[8] = {false, true, false, false, false, true, false, false};
    bool due[8];
    give(5, false);
    kh_node_read(giver, read_due, due);
    cr_assert(memcmp(due, want, sizeof due) == 0);
    cr_assert(adopt() == KH_OK);
    kh_node_read(fx.node, read_due, due);
    cr_assert(memcmp(due, want, sizeof due) == 0);
    fx.height = 5;
    (void)fx_block(NULL, 0);
    kh_node_read(fx.node, read_due, due);
    for (uint32_t i = 0; i < 8; i++) cr_assert(!due[i]);
    end_giver();
}

/* Bodies that a hub may still ask for are asked for. */
Test(given, bodies_above_the_attested_height_are_wanted)
{
    give(5, false);
    cr_assert(adopt() == KH_OK);
    kh_node_tick(fx.node);
    cr_assert(fx_count(0, KH_MSG_WANT) == 5);
    end_giver();
}

static uint32_t sent_sequences(uint32_t incarnation)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < fx.sent_cnt; i++) {
        kh_envelope_head head;
        if (fx.sent[i].type != KH_MSG_BODY || fx.sent[i].to != 12) continue;
        cr_assert(kh_envelope_read(fx.sent[i].p + 8, fx.sent[i].n - 8, &head) == KH_OK);
        cnt += head.incarnation == incarnation;
    }
    return cnt;
}

static void order_incarnation(void)
{
    const fx_message *m = NULL;
    for (uint32_t i = 0; i < fx.sent_cnt; i++)
        if (fx.sent[i].type == KH_MSG_TX && fx.sent[i].p[0] == KH_TX_INCARNATION) m = &fx.sent[i];
    cr_assert(m != NULL, "no incarnation is asked for");
    const kh_tx_span span = {m->p, m->n};
    fx.height = given_height;
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
}

/* Its store is empty, and the order has batches of its own: it sends again, behind an incarnation; also what was submitted
 * before. */
Test(given, own_batches_take_a_new_incarnation)
{
    static const uint8_t frames[100] = {1};
    give(4, true);
    cr_assert(kh_node_submit(fx.node, frames, sizeof frames, 1, false, 77) == KH_OK);
    kh_node_tick(fx.node);
    cr_assert(adopt() == KH_OK);
    fx_forget_sent();
    fx.now += 10 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(sent_sequences(1) == 0);
    order_incarnation();
    for (int i = 0; i < 3; i++) fx.now += KH_NS_PER_S, kh_node_tick(fx.node);
    cr_assert(sent_sequences(2) > 0 && sent_sequences(1) == 0);
    end_giver();
}

/* One that never sent goes on where it is. */
Test(given, who_never_sent_goes_on)
{
    static const uint8_t frames[100] = {1};
    give(4, false);
    cr_assert(kh_node_submit(fx.node, frames, sizeof frames, 1, false, 77) == KH_OK);
    kh_node_tick(fx.node);
    cr_assert(adopt() == KH_OK);
    fx_forget_sent();
    for (int i = 0; i < 3; i++) fx.now += 10 * KH_NS_PER_S, kh_node_tick(fx.node);
    cr_assert(sent_sequences(1) > 0);
    end_giver();
}
