/* node: attestations: a quorum's, those that differ, and what a body ordered lost makes of them. */
#include "node_fixture.h"

TestSuite(attestations, .fini = fx_end);

static uint8_t own_hash[32];
static void attested_with(uint32_t losses, uint32_t hub, uint64_t height, const uint8_t hash[32], uint8_t root)
{
    uint8_t tx[KH_ATTESTATION_SZ];
    kh_attestation a = {.height = height, .epoch = 1, .hub = hub, .flags = kh_attest_flags(losses, 0)};
    memcpy(a.chain, fx.chain, 32);
    memcpy(a.app_hash, hash, 32);
    memset(a.outputs_root, root, 32);
    cr_assert(kh_attestation_make(fx.attest[place(hub)], &a, tx) == KH_OK);
    kh_node_received(fx.node, hub, KH_MSG_ATTESTATION, tx, sizeof tx);
}
static void attested_from(uint32_t hub, uint64_t height, const uint8_t hash[32], uint8_t root)
{
    attested_with(0, hub, height, hash, root);
}

static uint8_t body_digest[32]; /* of the batch at height 1 */
static void order_first(void)
{
    fx_batch b = fx_batch_of(12, 1, 1, START_NS + KH_NS_PER_S, 100);
    memcpy(body_digest, b.digest, 32);
    fx_tell_body(&b);
    order_one(&b);
}
/* It is ordered lost, in a block of its own. */
static void order_lost(void)
{
    uint8_t tx[1024], statement[1024];
    kh_change c = {.number = 1, .kind = KH_CHANGE_LOST, .body = body_digest, .body_sz = 32, .signature_cnt = 1};
    memcpy(c.chain, fx.chain, 32);
    size_t n = kh_change_statement(&c, statement, sizeof statement);
    cr_assert(kh_sign(fx.officer, statement, n, c.signatures[0].signature) == KH_OK);
    const kh_tx_span span = {tx, kh_change_encode(&c, tx, sizeof tx)};
    cr_assert(fx_block(&span, 1)->codes[0] == KH_R_OK);
}
static void know_hash(void) /* as of now */
{
    uint8_t *saved = NULL;
    size_t n = 0;
    uint64_t height;
    cr_assert(kh_node_save(fx.node, &saved, &n, &height) == KH_OK);
    free(saved);
    kh_node_kept(fx.node, height);
    (void)kh_node_kept_height(fx.node, own_hash);
}
static void start_attesting(uint32_t hubs)
{
    fx_start(hubs);
    order_first();
    know_hash();
}

Test(attestations, a_quorum_is_told_once)
{
    kh_attestation held[3], root;
    start_attesting(3);
    attested_from(16, 1, own_hash, 5);
    attested_from(16, 1, own_hash, 5);
    cr_assert(fx.attested_cnt == 0 && !kh_node_attested_root(fx.node, 1, &root));
    attested_from(15, 1, own_hash, 5);
    cr_assert(fx.attested_cnt == 1 && fx.attested_height == 1 && fx.alert_cnt == 0);
    attested_from(17, 1, own_hash, 5);
    cr_assert(fx.attested_cnt == 1);
    cr_assert(kh_node_attested_root(fx.node, 1, &root) && root.outputs_root[0] == 5);
    cr_assert(kh_node_attestations(fx.node, 1, held, 3) == 2 && held[0].hub == 15 && held[1].hub == 16);
    const kh_tx_span *txs = NULL; /* and they are offered */
    cr_assert(kh_node_prepare(fx.node, 2, START_NS, 1u << 20, &txs) == 3);
}

/* A proposer that waits for what is urgent looks again when the count moves, and only then. */
Test(attestations, are_proposed_and_hurry_nobody)
{
    const kh_tx_span *txs = NULL;
    start_attesting(1);
    uint64_t before = kh_node_urgent(fx.node);
    attested_from(15, 1, own_hash, 5);
    uint32_t n = kh_node_prepare(fx.node, 2, START_NS, 1u << 20, &txs);
    cr_assert(n == 1 && !kh_node_is_urgent(txs, n) && !kh_node_is_urgent(txs, 0) && kh_node_urgent(fx.node) == before);
    (void)tell_certificate(12, 2, 100);
    cr_assert(kh_node_urgent(fx.node) == before + 1);
    n = kh_node_prepare(fx.node, 2, START_NS, 1u << 20, &txs);
    cr_assert(n == 2 && kh_node_is_urgent(txs, n));
    (void)tell_certificate(12, 2, 100); /* known */
    cr_assert(kh_node_urgent(fx.node) == before + 1);
}

Test(attestations, another_hash_than_ones_own_counts_for_nothing_and_is_named_at_once)
{
    uint8_t wrong[32] = {9};
    start_attesting(1);
    attested_from(15, 1, wrong, 5);
    cr_assert(fx.attested_cnt == 0 && fx.alert_cnt == 1 && fx.alert_member == 15);
    cr_assert_str_eq(fx.alert, "DIFFERING_ATTESTATION");
}

Test(attestations, two_stories_of_one_hub_are_named_at_once)
{
    start_attesting(3);
    attested_from(16, 1, own_hash, 5);
    attested_from(16, 1, own_hash, 6);
    cr_assert(fx.alert_cnt == 1 && fx.alert_member == 16);
}

Test(attestations, who_differs_from_a_quorum_is_named_and_nobody_else)
{
    start_attesting(3);
    attested_from(16, 1, own_hash, 6);
    attested_from(15, 1, own_hash, 5);
    cr_assert(fx.alert_cnt == 0);
    attested_from(17, 1, own_hash, 5);
    cr_assert(fx.attested_cnt == 1 && fx.alert_cnt == 1 && fx.alert_member == 16);
    (void)fx_block(NULL, 0);
    cr_assert(fx.alert_cnt == 1);
}

Test(attestations, without_a_quorum_those_who_differ_are_named_with_the_next_block)
{
    start_attesting(3);
    attested_from(16, 1, own_hash, 6);
    attested_from(15, 1, own_hash, 5);
    cr_assert(fx.alert_cnt == 0);
    (void)fx_block(NULL, 0);
    (void)fx_block(NULL, 0);
    cr_assert(fx.alert_cnt == 2 && fx.attested_cnt == 0);
}

/* What was said without a loss accuses nobody and counts for nothing, whoever tells it again; nor does what counts one that is
 * not ordered. Of those that count it, two stories are two stories. */
Test(attestations, what_was_said_of_what_is_lost_is_void)
{
    kh_attestation root, held[3];
    const kh_tx_span *txs = NULL;
    start_attesting(3);
    attested_from(16, 1, own_hash, 5);
    attested_with(1, 17, 1, own_hash, 5);
    attested_with(1, 15, 1, own_hash, 5);
    cr_assert(fx.attested_cnt == 0 && kh_node_prepare(fx.node, 2, START_NS, 1u << 20, &txs) == 1);
    order_lost();
    attested_with(1, 16, 1, own_hash, 6); /* it went back, and says something else */
    cr_assert(fx.alert_cnt == 0 && fx.attested_cnt == 0);
    attested_from(16, 1, own_hash, 5);
    attested_from(17, 1, own_hash, 5);
    attested_from(15, 1, own_hash, 5);
    cr_assert(fx.alert_cnt == 0 && fx.attested_cnt == 0);
    attested_with(1, 15, 1, own_hash, 6);
    cr_assert(fx.alert_cnt == 0 && fx.attested_cnt == 1 && kh_node_attested_root(fx.node, 1, &root) && root.outputs_root[0] == 6);
    cr_assert(kh_node_attestations(fx.node, 1, held, 3) == 2 && kh_attest_losses(held[0].flags) == 1);
    cr_assert(kh_node_prepare(fx.node, 3, START_NS, 1u << 20, &txs) == 2); /* what is void is not offered */
    attested_from(16, 1, own_hash, 7);
    cr_assert(fx.alert_cnt == 0);
    attested_with(1, 16, 1, own_hash, 7);
    cr_assert(fx.alert_cnt == 1 && fx.alert_member == 16);
}

/* The block that calls it lost, and what is above, are of after the loss: nothing that was said of them is void. */
Test(attestations, a_loss_touches_heights_below_its_block_alone)
{
    start_attesting(3);
    attested_from(16, 2, own_hash, 5);
    attested_from(15, 3, own_hash, 5);
    order_lost();
    know_hash();
    cr_assert(fx.alert_cnt == 1 && fx.alert_member == 16); /* it was over another hash, and is still there */
    attested_with(1, 17, 2, own_hash, 5);
    attested_from(17, 2, own_hash, 5);
    attested_from(15, 2, own_hash, 5);
    cr_assert(fx.attested_cnt == 1 && fx.attested_height == 2);
}

/* A hub does not go on telling what it said of what is lost; what it says anew is told as any other, once a second. */
Test(attestations, a_hub_tells_again_what_it_said_last)
{
    const uint8_t first[32] = {1}, then[32] = {2};
    const uint32_t anew = kh_attest_flags(1, 0);
    start_attesting(3);
    kh_node_free(fx.node);
    kh_node_options o = fx_options(15, 4);
    o.attest = fx.attest[4];
    cr_assert(kh_node_new(&o, NULL, 0, &fx.node) == KH_OK);
    fx.height = 0;
    order_first();
    know_hash();
    cr_assert(kh_node_attest(fx.node, 1, own_hash, first, first, 0) == KH_OK);
    cr_assert(kh_node_attest(fx.node, 1, own_hash, then, then, 0) == KH_E_EXISTS);
    order_lost();
    fx_forget_sent();
    fx.now += 2 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(fx_count(0, KH_MSG_ATTESTATION) == 0);
    cr_assert(kh_node_attest(fx.node, 1, own_hash, then, then, anew) == KH_OK && fx.alert_cnt == 0);
    cr_assert(kh_node_attest(fx.node, 1, own_hash, first, first, anew) == KH_E_EXISTS);
    cr_assert(fx_count(11, KH_MSG_ATTESTATION) == 1);
    fx.now += 2 * KH_NS_PER_S;
    kh_node_tick(fx.node);
    cr_assert(fx_count(11, KH_MSG_ATTESTATION) == 2);
}

Test(attestations, a_checkpoint_is_another_statement_of_its_height)
{
    kh_attestation held[3], a = {.height = 1, .epoch = 1, .flags = KH_ATTEST_CHECKPOINT};
    uint8_t tx[KH_ATTESTATION_SZ];
    start_attesting(3);
    attested_from(16, 1, own_hash, 5);
    attested_from(15, 1, own_hash, 5);
    memcpy(a.chain, fx.chain, 32);
    memcpy(a.app_hash, own_hash, 32);
    for (uint32_t hub = 15; hub <= 17; hub++) {
        a.hub = hub;
        a.posted[0] = hub == 17;
        cr_assert(kh_attestation_make(fx.attest[place(hub)], &a, tx) == KH_OK);
        cr_assert(fx.checkpoint_cnt == (hub == 17) && fx.alert_cnt == 0);
        kh_node_received(fx.node, hub, KH_MSG_ATTESTATION, tx, sizeof tx);
    }
    cr_assert(fx.checkpoint_cnt == 1 && fx.checkpoint_height == 1 && fx.attested_cnt == 1);
    cr_assert(fx.alert_cnt == 1 && fx.alert_member == 17);
    cr_assert(kh_node_attestations(fx.node, 1, held, 3) == 2 && held[0].flags == 0 && held[1].flags == 0);
    const kh_tx_span *txs = NULL; /* none takes the place of another */
    cr_assert(kh_node_prepare(fx.node, 2, START_NS, 1u << 20, &txs) == 5);
}

Test(attestations, one_that_comes_before_its_block_waits_for_it)
{
    uint8_t tx[KH_ATTESTATION_SZ];
    start_attesting(1);
    attested_from(15, 2, own_hash, 5); /* an empty block: the hash stays */
    cr_assert(fx.attested_cnt == 0);
    (void)fx_block(NULL, 0);
    cr_assert(fx.attested_cnt == 1 && fx.attested_height == 2);
    fx_attestation(15, 2, own_hash, 5, tx);
    tx[KH_ATTESTATION_SZ - 1] ^= 1;
    tx[36 + 0] = 1; /* height 1, and no signature of it */
    kh_node_received(fx.node, 13, KH_MSG_ATTESTATION, tx, sizeof tx);
    cr_assert(fx.attested_cnt == 1 && fx.alert_member == 13);
}

/* ---- beside one statement ---- */

static bool of_hub;
static kh_node_said said_of(uint64_t height, uint8_t root, uint32_t losses)
{
    uint8_t outputs[32], posted[32] = {0};
    kh_node_said said;
    memset(outputs, root, 32);
    kh_node_words(fx.node, height, own_hash, posted, outputs, kh_attest_flags(losses, 0), &said);
    return said;
}

static void restart(void) /* as it is; a hub's, where it was one's */
{
    uint8_t *saved = NULL;
    size_t n = 0;
    uint64_t height;
    kh_node_options o = fx_options(15, 4);
    o.attest = fx.attest[4];
    cr_assert(kh_node_save(fx.node, &saved, &n, &height) == KH_OK);
    kh_node_free(fx.node);
    fx.node = NULL;
    if (!of_hub) fx.node = fx_node(saved, n);
    else cr_assert(kh_node_new(&o, saved, n, &fx.node) == KH_OK);
    free(saved);
}

static void order_all(void)
{
    const kh_tx_span *txs = NULL;
    uint32_t cnt = kh_node_prepare(fx.node, fx.height + 1, START_NS, 1u << 20, &txs);
    (void)fx_block(txs, cnt);
}

/* What was told is known at once, and what was ordered of it after a restart, too; what was a lie is nobody's word. */
Test(attestations, words_beside_a_statement)
{
    start_attesting(3);
    attested_from(15, 1, own_hash, 5);
    attested_from(16, 1, own_hash, 6);
    kh_node_said said = said_of(1, 5, 0);
    cr_assert(said.others == 3 && said.quorum == 2 && said.same == 1 && said.differ == 1 && !said.own);
    cr_assert(said_of(1, 7, 0).same == 0 && said_of(1, 7, 0).differ == 1);
    said = said_of(1, 5, 1); /* none is ordered lost */
    cr_assert(said.same == 0 && said.differ == 0 && said.others == 3);
    order_all();
    restart();
    said = said_of(1, 5, 0);
    cr_assert(said.same == 1 && said.differ == 1 && said_of(1, 6, 0).same == 1);
    cr_assert(said_of(1, 5, 1).same == 0 && said_of(1, 5, 1).differ == 0);
    cr_assert(said_of(2, 5, 0).same == 0 && said_of(2, 5, 0).differ == 0);
    attested_from(17, 1, own_hash, 5);
    cr_assert(said_of(1, 5, 0).same == 2 && said_of(1, 6, 0).differ == 2);
    order_all();
    restart();
    said = said_of(1, 5, 0);
    cr_assert(said.same == 2 && said.differ == 0); /* the quorum proved the third to lie */
    said = said_of(1, 7, 0);
    cr_assert(said.same == 0 && said.differ == 2);
}

/* A restart forgets what it said, the order does not: it never contradicts itself. */
Test(attestations, a_hub_is_held_to_what_is_ordered_of_it)
{
    uint8_t outputs[32], posted[32] = {0};
    of_hub = true;
    start_attesting(3);
    restart();
    memset(outputs, 5, 32);
    cr_assert(kh_node_attest(fx.node, 1, own_hash, posted, outputs, 0) == KH_OK && said_of(1, 5, 0).own);
    const fx_message *told = fx_last(11, KH_MSG_ATTESTATION);
    const kh_tx_span tx = {told->p, told->n};
    cr_assert(fx_block(&tx, 1)->codes[0] == KH_R_OK);
    restart();
    cr_assert(said_of(1, 5, 0).own && said_of(1, 5, 0).others == 2 && !said_of(1, 6, 0).own && said_of(1, 6, 0).differ == 1);
    cr_assert(kh_node_attest_again(fx.node, 11, 1, own_hash, posted, outputs, 0) == KH_OK);
    restart();
    memset(outputs, 6, 32);
    cr_assert(kh_node_attest_again(fx.node, 11, 1, own_hash, posted, outputs, 0) == KH_E_EXISTS);
    cr_assert(kh_node_attest(fx.node, 1, own_hash, posted, outputs, 0) == KH_E_EXISTS);
    of_hub = false;
}
