/* sign: bundles that parties sign, as a hub judges them: an enterprise's own by the key that the regulator registered; replays,
 * forgeries, other chains, and a hub that speaks for others without being allowed to. */
#include "hub_fixture.h"

enum { EXPORTER = OPS_ENTERPRISE };

static void sign_start(void)
{
    (void)given_to, (void)given_free; /* the banks' side is looked at elsewhere */
    world_begin(false);
}
static void sign_stop(void) { world_end(); }
TestSuite(sign, .init = sign_start, .fini = sign_stop);

static uint8_t exporter_secret(uint32_t nth) { return (uint8_t)(150 + nth); }

static kh_op key_op(uint32_t nth)
{
    kh_op op = {.type = KH_OP_PARTY_KEY, .party = REGULATOR, .party_key = {.id = EXPORTER}};
    kh_signer *s = signer_of(exporter_secret(nth));
    kh_signer_public(s, op.party_key.key);
    kh_signer_free(s);
    return op;
}

static kh_op grant_op(uint64_t id)
{
    kh_op op = {.type = KH_OP_GRANT, .party = EXPORTER, .sequence = id};
    op.grant = (kh_op_grant){.id = id, .until_ns = UINT64_MAX, .enterprise = EXPORTER, .bank = BANK_A, .scope = KH_SCOPE_CREDIT};
    return op;
}

/* A bundle of the exporter with a grant in it, signed by its key number nth. */
static void add_grant(text *t, uint32_t nth, const uint8_t chain[32], uint64_t number, uint64_t id)
{
    uint8_t frame[256], *p = NULL;
    size_t frame_n, n = 0;
    const kh_op op = grant_op(id);
    kh_signer *s = signer_of(exporter_secret(nth));
    cr_assert(kh_op_encode(&op, frame, sizeof frame, &frame_n) == KH_OK);
    cr_assert(kh_bundle_make(s, chain, EXPORTER, number, frame, (uint32_t)frame_n, &p, &n) == KH_OK);
    text_add(t, p, n);
    free(p);
    kh_signer_free(s);
}

static bool granted(uint64_t id)
{
    kh_grant_view g;
    const kh_ledger *l = kh_store_read_begin(w.store);
    bool found = kh_ledger_grant(l, EXPORTER, id, &g);
    kh_store_read_end(w.store);
    return found;
}

/* A block with one batch of `sender`; waits until it is executed. */
static void send(uint32_t sender, text *t)
{
    block b = {0};
    block_batch(&b, sender, t);
    wait_executed(decide(&b));
}

static void send_key(uint64_t number, uint32_t nth)
{
    text t = {0};
    ops_buf ops = {0};
    const kh_op op = key_op(nth);
    ops_add(&ops, &op);
    text_bundle(&t, REGULATOR, REGULATOR, number, &ops);
    send(HUB, &t);
}

Test(sign, an_enterprise_speaks_by_its_registered_key)
{
    text t = {0};
    (void)begin_with_papers();
    add_grant(&t, 0, w.chain, 1, 1);
    send(HUB, &t);
    cr_assert(!granted(1)); /* no key yet */
    send_key(2, 0);
    add_grant(&t, 1, w.chain, 2, 2); /* another's signature */
    add_grant(&t, 0, w.chain, 3, 3);
    send(HUB, &t);
    cr_assert(!granted(2) && granted(3));
    add_grant(&t, 0, w.chain, 3, 4); /* the same number again, by a bank that got hold of one */
    send(BANK_B, &t);
    cr_assert(!granted(4));
    add_grant(&t, 0, w.chain, 5, 5);
    send(BANK_B, &t); /* whoever carries it: the signature counts */
    cr_assert(granted(5));
}

Test(sign, of_another_chain_nothing_counts)
{
    uint8_t other[32];
    text t = {0};
    (void)begin_with_papers();
    send_key(2, 0);
    memcpy(other, w.chain, 32);
    other[31] ^= 1;
    add_grant(&t, 0, other, 2, 2);
    send(HUB, &t);
    cr_assert(!granted(2));
}

/* The key counts from the block after its registration on; the one before it until then. */
Test(sign, a_key_counts_from_the_next_block)
{
    text t = {0};
    ops_buf ops = {0};
    (void)begin_with_papers();
    send_key(2, 0);
    const kh_op op = key_op(1);
    ops_add(&ops, &op);
    text_bundle(&t, REGULATOR, REGULATOR, 3, &ops);
    add_grant(&t, 1, w.chain, 2, 2);
    add_grant(&t, 0, w.chain, 3, 3);
    send(HUB, &t);
    cr_assert(!granted(2) && granted(3));
    add_grant(&t, 0, w.chain, 4, 4);
    add_grant(&t, 1, w.chain, 5, 5);
    send(HUB, &t);
    cr_assert(!granted(4) && granted(5));
}

/* Blocks that come faster than they are executed: the registration is waited for. */
Test(sign, blocks_under_way_are_judged_in_order)
{
    block one = {0}, two = {0}, three = {0};
    text t = {0};
    ops_buf ops = {0};
    (void)begin_with_papers();
    const kh_op op = key_op(0);
    world_close();                          /* the three are decided while the hub is away */
    bundle_papers(&t, 2, 1000, 6000, 1000); /* so much that it is not executed at once */
    ops_add(&ops, &op);
    text_bundle(&t, REGULATOR, REGULATOR, 2, &ops);
    block_batch(&one, HUB, &t);
    (void)decide(&one);
    add_grant(&t, 0, w.chain, 2, 2);
    block_batch(&two, HUB, &t);
    (void)decide(&two);
    add_grant(&t, 0, w.chain, 3, 3);
    block_batch(&three, HUB, &t);
    uint64_t height = decide(&three);
    world_open();
    wait_executed(height);
    cr_assert(granted(2) && granted(3));
}

/* What was refused stays refused when the hub begins again with what it has executed, although the key is known by now. */
Test(sign, a_restart_judges_as_before)
{
    text t = {0};
    char command[160];
    (void)begin_with_papers();
    add_grant(&t, 0, w.chain, 2, 2);
    add_grant(&t, 0, w.chain, 3, 3);
    ops_buf own = {0}; /* behind them, of the bank itself: its answer stands where it stood */
    ops_add(&own, &(kh_op){.type = KH_OP_RULE_SET, .party = BANK_B, .rule_set = {kh_text_of("restore"), kh_text_of("1")}});
    text_own(&t, &own);
    send(BANK_B, &t);
    send_key(2, 0);
    kh_attestation before, after;
    cr_assert(post_of(w.height - 1, &before));
    world_close();
    snprintf(command, sizeof command, "rm -rf %s/outputs", w.root); /* all outputs are made anew */
    cr_assert(system(command) == 0);
    node.post_cnt = 0;
    world_open();
    wait_executed(w.height);
    cr_assert(post_of(w.height - 1, &after) && memcmp(before.posted, after.posted, 32) == 0 &&
              memcmp(before.outputs_root, after.outputs_root, 32) == 0);
    cr_assert(!granted(2) && !granted(3));
}

/* The exporter's frames in a hub's own section: the hub does not speak for anybody. */
Test(sign, a_hub_speaks_for_nobody_unless_genesis_says_so)
{
    text t = {0};
    ops_buf ops = {0};
    (void)begin_with_papers();
    const kh_op grant = grant_op(1), key = key_op(0);
    ops_add(&ops, &grant);
    ops_add(&ops, &key);
    text_own(&t, &ops);
    send(HUB, &t);
    uint64_t cursor = 0, since;
    uint8_t none[KH_PUBLIC_SZ];
    const kh_ledger *l = kh_store_read_begin(w.store);
    bool has = kh_ledger_party_key(l, EXPORTER, &cursor, &since, none);
    kh_store_read_end(w.store);
    cr_assert(!granted(1) && !has);
}
