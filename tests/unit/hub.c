/* hub: batches in, outputs out: who may say what, what cannot be opened, what banks get, and that nothing of it is the hub's own.
 */
#include <sys/stat.h>
#include <time.h>
#include "hub_fixture.h"

static void setup(void) { world_begin(false); }
static void teardown(void) { world_end(); }
TestSuite(hub, .init = setup, .fini = teardown);

static void own_applies(block *b, uint32_t bank, uint64_t first, uint32_t n, uint32_t doc, uint64_t amount)
{
    ops_buf ops = {0};
    text t = {0};
    for (uint32_t i = 0; i < n; i++) ops_apply(&ops, bank, OPS_ENTERPRISE, first + i, doc, amount);
    text_own(&t, &ops);
    block_batch(b, bank, &t);
}

Test(hub, batches_in_outputs_out)
{
    static given a, b;
    uint64_t first = begin_with_papers(), height;
    given_to(BANK_A, first, &a);
    cr_assert(a.cnt == 0 && a.package.count == 0);
    given_free(&a);
    for (uint32_t round = 0; round < 3; round++) {
        block k = {0};
        own_applies(&k, BANK_A, 1 + 2 * round, 2, round, 300);
        wait_executed(height = decide(&k));
        given_to(BANK_A, height, &a);
        given_to(BANK_B, height, &b);
        cr_assert(a.cnt == 2 && a.package.count_before == 2 * round && a.package.count == 2 * round + 2);
        cr_assert(b.cnt == 0 && b.package.count == 0);
        for (uint32_t i = 0; i < 2; i++) {
            const kh_output *o = &a.outputs[i];
            const kh_package_item *item = &a.package.items[i];
            cr_assert(o->kind == KH_OUTPUT_RECEIPT && o->receipt.code == KH_C_OK && o->receipt.financing == 1 + 2 * round + i);
            cr_assert(item->op_index == i && memcmp(item->batch, k.items[0].digest, 32) == 0);
            cr_assert(strcmp(o->product, "export_receivable") == 0 && o->paper_cnt == 1);
            char number[32];
            kh_text wanted = ops_number(number, round);
            cr_assert(o->papers[0].kind == KH_KIND_EXPORT_DECLARATION && o->papers[0].number_n == wanted.n &&
                      memcmp(o->papers[0].number, wanted.p, wanted.n) == 0);
            uint8_t digest[32];
            ops_buf one = {0};
            ops_apply(&one, BANK_A, OPS_ENTERPRISE, 1 + 2 * round + i, round, 300);
            kh_sha256(one.p, one.n, digest);
            cr_assert(memcmp(item->op_digest, digest, 32) == 0);
            free(one.p);
        }
        given_free(&a);
        given_free(&b);
    }
    cr_assert(alert_cnt == 0 && kh_store_last_block(w.store) == height && kh_store_block_of(w.store, 1) == first);
}

/* In a batch of more frames than are hashed at once, some of them refused: each output is of its own frame. */
Test(hub, each_output_is_of_its_frame)
{
    enum { cnt = 53 };
    static given a;
    begin_with_papers();
    block k = {0};
    ops_buf ops = {0}, all = {0};
    text t = {0};
    for (uint32_t i = 0; i < cnt; i++) {
        if (i % 7 == 3) ops_add(&ops, &(kh_op){.type = KH_OP_REFUSED, .party = BANK_A, .sequence = i, .refused = {KH_C_FROZEN}});
        else ops_apply(&ops, BANK_A, OPS_ENTERPRISE, i + 1, i % 3, 10);
    }
    all.p = malloc(ops.n);
    all.n = ops.n;
    memcpy(all.p, ops.p, ops.n);
    text_own(&t, &ops);
    block_batch(&k, BANK_A, &t);
    uint64_t height = decide(&k);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    cr_assert(a.cnt == cnt, "%u", a.cnt);
    size_t at = 0;
    for (uint32_t i = 0; i < cnt; at += kh_load32(all.p + at), i++) {
        uint8_t digest[32];
        kh_sha256(all.p + at, kh_load32(all.p + at), digest);
        cr_assert(a.package.items[i].op_index == i && memcmp(a.package.items[i].op_digest, digest, 32) == 0, "output %u", i);
    }
    given_free(&a);
    free(all.p);
}

Test(hub, one_paper_financed_at_two_banks)
{
    static given a, b;
    begin_with_papers();
    block k = {0};
    own_applies(&k, BANK_A, 1, 1, 3, 1000);
    own_applies(&k, BANK_B, 1, 1, 3, 1000);
    own_applies(&k, BANK_A, 1, 1, 3, 1000); /* the same again: its first answer */
    own_applies(&k, BANK_A, 2, 1, 3, 1000);
    uint64_t height = decide(&k);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    given_to(BANK_B, height, &b);
    cr_assert(a.cnt == 3 && b.cnt == 1);
    cr_assert(a.outputs[0].receipt.code == KH_C_OK && a.outputs[0].receipt.amount == 1000);
    cr_assert(b.outputs[0].receipt.code == KH_C_DUP_HELD_OTHER, "%u", b.outputs[0].receipt.code);
    cr_assert(a.outputs[1].receipt.code == KH_C_OK && a.outputs[1].receipt.ref_height == height &&
              a.outputs[1].receipt.amount == 1000 && a.outputs[1].receipt.line_cnt == 1 && a.outputs[1].lines[0].amount == 1000);
    cr_assert(a.outputs[2].receipt.code == KH_C_DUP_OWN, "%u", a.outputs[2].receipt.code);
    cr_assert(b.outputs[0].papers[0].number_n == 0); /* no names of what it holds nothing of */
    given_free(&a);
    given_free(&b);
}

Test(hub, a_node_speaks_for_its_own_bank_alone)
{
    static given a, b;
    begin_with_papers();
    block k = {0};
    text t = {0};
    ops_buf ops = {0};
    ops_apply(&ops, BANK_B, OPS_ENTERPRISE, 7, 1, 100); /* in Bank A's batch */
    ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_STATUS, .party = 0, .party_status = {BANK_B, 1}});
    ops_add(&ops, &(kh_op){.type = KH_OP_BLOCK, .block = {5000, 0, 0}});
    ops_add(&ops, &(kh_op){.type = KH_OP_BUNDLE, .party = BANK_A, .bundle = {5000, 9}});
    ops_add(&ops, &(kh_op){.type = KH_OP_REFUSED, .party = BANK_B, .refused = {KH_C_FROZEN}});
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 8, 1, 100);
    ops.p[ops.n - 30] ^= 0xff; /* a product that is no text */
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 9, 1, 100);
    text_own(&t, &ops);
    block_batch(&k, BANK_A, &t);
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 11, 2,
              100); /* a batch that a hub made in the bank's name, or the bank in the hub's */
    text_own(&t, &ops);
    block_batch_signed(&k, BANK_A, HUB, w.sequence[nth(BANK_A)], &t);
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 12, 2, 100);
    ops_add(
        &ops,
        &(kh_op){.type = KH_OP_PARTY_ADD, .party = REGULATOR, .party_add = {77, KH_ROLE_ENTERPRISE, kh_text_of("Forged"), {0}}});
    text_own(&t, &ops);
    block_batch(&k, HUB, &t);
    uint64_t height = decide(&k);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    given_to(BANK_B, height, &b);
    const kh_code wanted[] = {KH_C_NOT_AUTHORISED, KH_C_NOT_AUTHORISED, KH_C_FORMAT, KH_C_FORMAT,
                              KH_C_FORMAT,         KH_C_FORMAT,         KH_C_OK,     KH_C_UNOPENABLE};
    cr_assert(a.cnt == 8 && b.cnt == 0, "%u %u", a.cnt, b.cnt);
    for (uint32_t i = 0; i < 8; i++) cr_assert(a.outputs[i].receipt.code == wanted[i], "%u: %u", i, a.outputs[i].receipt.code);
    cr_assert(a.outputs[0].receipt.type == KH_OP_REFUSED && a.outputs[0].receipt.sequence == 7 &&
              a.package.items[6].op_index == 6);
    kh_party_view v;
    cr_assert(!kh_ledger_party(kh_store_read_begin(w.store), 77, &v));
    kh_store_read_end(w.store);
    given_free(&a);
    given_free(&b);
}

Test(hub, what_does_not_open_is_one_answer)
{
    static given a;
    begin_with_papers();
    block k = {0};
    uint8_t junk[300];
    text t = {0};
    ops_buf ops = {0};
    memset(junk, 7, sizeof junk);
    block_body(&k, BANK_A, junk, sizeof junk); /* no envelope */
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 1, 1, 100);
    text_own(&t, &ops);
    block_batch_signed(&k, BANK_A, BANK_A, 99, &t); /* another sequence than was ordered */
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 2, 1, 100);
    text_own(&t, &ops);
    kh_store32(t.p + 16, 25); /* a frame's size that is none */
    block_batch(&k, BANK_A, &t);
    text_add(&t, junk, 100); /* no section */
    block_batch(&k, BANK_A, &t);
    own_applies(&k, BANK_A, 3, 1, 1, 100); /* and the next goes on */
    uint64_t height = decide(&k);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    cr_assert(a.cnt == 5, "%u", a.cnt);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(a.outputs[i].receipt.code == KH_C_UNOPENABLE && a.package.items[i].op_index == 0);
        cr_assert(memcmp(a.package.items[i].batch, k.items[i].digest, 32) == 0);
    }
    cr_assert(a.outputs[4].receipt.code == KH_C_OK);
    given_free(&a);
}

Test(hub, bundles_count_once_and_are_their_partys_own)
{
    begin_with_papers();
    for (uint32_t round = 0; round < 5; round++) {
        block k = {0};
        text t = {0};
        ops_buf ops = {0};
        uint32_t id = 200 + round;
        char name[16], uscc[16];
        snprintf(name, sizeof name, "E%u", id);
        snprintf(uscc, sizeof uscc, "OWNER%u", id);
        ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_ADD,
                               .party = REGULATOR,
                               .party_add = {id, KH_ROLE_ENTERPRISE, kh_text_of(name), kh_text_of(uscc)}});
        if (round == 0)
            ops_add(&ops, &(kh_op){.type = KH_OP_RULE_SET,
                                   .party = REGULATOR,
                                   .rule_set = {kh_text_of("hold_ttl_applied"), kh_text_of("9d")}});
        if (round == 0) ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_STATUS, .party = REGULATOR, .party_status = {BANK_B, 1}});
        if (round == 0)
            ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_ADD,
                                   .party = REGULATOR,
                                   .party_add = {300, KH_ROLE_BANK, kh_text_of("Bank X"), {0}}});
        if (round == 0)
            ops_add(
                &ops,
                &(kh_op){.type = KH_OP_PARTY_ADD, .party = SOURCE, .party_add = {301, KH_ROLE_ENTERPRISE, kh_text_of("Y"), {0}}});
        /* good; the same number; an older one; signed by another; good, carried by a bank */
        const uint64_t numbers[] = {5, 5, 2, 6, 7};
        text_bundle(&t, REGULATOR, round == 3 ? HUB : REGULATOR, numbers[round], &ops);
        if (round == 4) { /* beside one of a party that may sign none, and one that is forged */
            ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_STATUS, .party = BANK_B, .party_status = {id, 1}});
            text_bundle(&t, BANK_B, BANK_B, 1, &ops);
            ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_STATUS, .party = REGULATOR, .party_status = {200, 1}});
            text_bundle(&t, REGULATOR, BANK_A, 9, &ops);
        }
        block_batch(&k, round == 4 ? BANK_A : HUB, &t);
        uint64_t height = decide(&k);
        wait_executed(height);
        for (uint32_t bank = BANK_A; bank <= BANK_B; bank++) { /* neither who carried it nor who is named hears of it */
            static given g;
            given_to(bank, height, &g);
            cr_assert(g.cnt == 0, "%u at %u", g.cnt, round);
            given_free(&g);
        }
    }
    const kh_ledger *l = kh_store_read_begin(w.store);
    kh_party_view v;
    for (uint32_t i = 0; i < 5; i++) cr_assert(kh_ledger_party(l, 200 + i, &v) == (i == 0 || i == 4), "%u", 200 + i);
    cr_assert(kh_ledger_party(l, 200, &v) && !v.frozen);
    cr_assert(!kh_ledger_party(l, 300, &v) && !kh_ledger_party(l, 301, &v));
    cr_assert(kh_ledger_party(l, BANK_B, &v) && !v.frozen);
    char rule[KH_RULE_TEXT_MAX + 1], value[KH_RULE_TEXT_MAX + 1];
    uint64_t cursor = 0, since;
    bool is_default;
    while (kh_ledger_rule_next(l, &cursor, rule, value, &is_default, &since))
        if (strcmp(rule, "hold_ttl_applied") == 0) cr_assert(strcmp(value, "3d") == 0, "%s", value);
    kh_store_read_end(w.store);
}

Test(hub, a_source_brings_its_own_feed_alone)
{
    begin_with_papers();
    const char *numbers[] = {"310120260000900001", "310120260000900002", "310120260000900003"};
    const uint32_t feeds[] = {SOURCE, 0, SOURCE + 1};
    kh_doc_view found;
    block k = {0};
    text t = {0};
    ops_buf ops = {0};
    for (uint32_t i = 0; i < 3; i++) {
        kh_op op = {.type = KH_OP_DOCUMENT, .party = SOURCE, .sequence = 100 + i};
        op.document = (kh_op_document){.action = KH_DOC_PUT,
                                       .kind = KH_KIND_EXPORT_DECLARATION,
                                       .status = KH_STATUS_CLEARED,
                                       .date = 9000,
                                       .source = feeds[i],
                                       .balance_cnt = 1,
                                       .number = kh_text_of(numbers[i]),
                                       .owner = kh_text_of(ops_owner)};
        op.document.balances[0] = (kh_op_balance){OPS_USD, 1000};
        ops_add(&ops, &op);
    }
    text_bundle(&t, SOURCE, SOURCE, 2, &ops);
    block_batch(&k, HUB, &t);
    wait_executed(decide(&k));
    const kh_ledger *l = kh_store_read_begin(w.store);
    for (uint32_t i = 0; i < 3; i++) {
        kh_key key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of(numbers[i]), (kh_text){0});
        cr_assert(kh_ledger_document(l, &key, 0, &found) == (i == 0), "%s", numbers[i]);
    }
    kh_store_read_end(w.store);
}

Test(hub, officers_say_who_is_frozen)
{
    static given a;
    begin_with_papers();
    block k = {0};
    ops_buf ops = {0};
    ops_add(&ops, &(kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {BANK_A, 1}});
    k.items[k.cnt++] = (kh_order_item){.kind = KH_ITEM_OPS, .ops = ops.p, .ops_sz = (uint32_t)ops.n, .op_cnt = 1};
    own_applies(&k, BANK_A, 1, 1, 1, 100);
    uint64_t height = decide(&k);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    cr_assert(a.cnt == 1 && a.outputs[0].receipt.code == KH_C_FROZEN);
    given_free(&a);
    free(ops.p);
}

Test(hub, what_an_expelled_member_holds_lapses_there)
{
    static given a, b;
    begin_with_papers();
    block k = {0};
    ops_buf ops = {0};
    own_applies(&k, BANK_A, 1, 1, 1, 1000);
    ops_add(&ops, &(kh_op){.type = KH_OP_EXPELLED, .expelled = {BANK_A}});
    k.items[k.cnt++] = (kh_order_item){.kind = KH_ITEM_OPS, .ops = ops.p, .ops_sz = (uint32_t)ops.n, .op_cnt = 1};
    own_applies(&k, BANK_B, 1, 1, 1, 1000);
    uint64_t height = decide(&k);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    given_to(BANK_B, height, &b);
    cr_assert(a.cnt == 2 && a.outputs[0].receipt.code == KH_C_OK && a.outputs[1].kind == KH_OUTPUT_NOTICE);
    cr_assert(a.outputs[1].notice.type == KH_NOTICE_LAPSED && a.outputs[1].notice.financing == 1);
    cr_assert(b.cnt == 1 && b.outputs[0].receipt.code == KH_C_OK, "%u", b.outputs[0].receipt.code);
    given_free(&a);
    given_free(&b);
    free(ops.p);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t answers(void)
{
    (void)pthread_mutex_lock(&node.lock);
    uint32_t n = node.again_cnt;
    (void)pthread_mutex_unlock(&node.lock);
    return n;
}

/* An answer counts as 64 KiB at least: 1,024 at once, then 256 a second; nobody else waits for that. */
Test(hub, who_asks_for_old_outputs_without_end_waits)
{
    begin_with_papers();
    uint64_t began = now_ms(), last;
    uint32_t cnt = 0, before;
    do {
        before = answers();
        kh_hub_outputs_wanted(w.hub, BANK_A, 0);
        for (uint32_t i = 0; i < 50 && answers() == before; i++) usleep(100);
        cnt = answers();
        last = now_ms();
        cr_assert(cnt <= 1024 + 1 + (last - began) * 256 / 1000 + 1, "%u answers in %lu ms", cnt, (unsigned long)(last - began));
    } while (cnt < 1200 && last - began < 60000);
    cr_assert(cnt >= 1024, "%u", cnt); /* and none is lost that may be given */
    kh_hub_outputs_wanted(w.hub, BANK_A, 0);
    for (uint32_t i = 0; i < 8; i++) { /* another bank's are answered meanwhile */
        before = answers();
        node.again_to = 0;
        kh_hub_outputs_wanted(w.hub, BANK_B, 0);
        for (uint32_t k = 0; k < 60000 && node.again_to != BANK_B; k++) usleep(1000);
        cr_assert(node.again_to == BANK_B);
    }
    before = answers();
    kh_hub_outputs_wanted(w.hub, BANK_A, 0); /* and its newest question in its turn */
    for (uint32_t k = 0; k < 60000 && answers() == before; k++) usleep(1000);
    cr_assert(answers() > before);
}

Test(hub, a_body_is_waited_for_or_lost)
{
    static given a;
    begin_with_papers();
    block k = {0}, later = {0};
    own_applies(&k, BANK_A, 1, 1, 1, 100);
    own_applies(&k, BANK_A, 2, 1, 2, 100);
    node.bodies[node.body_cnt - 2].hidden = node.bodies[node.body_cnt - 1].hidden = true;
    uint64_t height = decide(&k);
    own_applies(&later, BANK_B, 1, 1, 3, 100);
    decide(&later);
    usleep(100000);
    cr_assert(kh_hub_executed_height(w.hub) < height);
    node.bodies[node.body_cnt - 3].hidden = false; /* the first comes */
    usleep(50000);
    cr_assert(kh_hub_executed_height(w.hub) < height);
    block lost = {.cnt = 1, .items = {{.kind = KH_ITEM_LOST}}};
    memcpy(lost.items[0].digest, k.items[1].digest, 32);
    uint64_t last = decide(&lost);
    wait_executed(last);
    given_to(BANK_A, height, &a);
    cr_assert(a.cnt == 2 && a.outputs[0].receipt.code == KH_C_OK && a.outputs[1].receipt.code == KH_C_BODY_LOST);
    given_free(&a);
    given_to(BANK_B, height + 1, &a);
    cr_assert(a.cnt == 1 && a.outputs[0].receipt.code == KH_C_OK);
    given_free(&a);
    kh_attestation none;
    cr_assert(!post_of(last, &none)); /* nothing was executed there */
}

/* What the order gave up and this hub has not executed it keeps; what it has, it gives up when that is on the disk. */
static uint32_t sync_cnt;
static kh_err (*sync_of)(void *self, kh_file *file);
static kh_err counted_sync(void *self, kh_file *file)
{
    sync_cnt++;
    return sync_of(self, file);
}

static uint64_t spared(uint64_t upto, uint64_t want)
{
    uint64_t height = 0;
    for (uint32_t i = 0; i < 120000 && (height = kh_hub_spares(w.hub, upto)) < want; i++) usleep(500);
    return height;
}

Test(hub, what_it_has_not_executed_it_does_not_spare)
{
    begin_with_papers();
    wait_executed(w.height);
    uint64_t before = w.height;
    sync_of = w.disk.sync;
    w.disk.sync = counted_sync;
    cr_assert(spared(before - 1, before - 1) == before - 1 && sync_cnt >= 2);
    uint32_t synced = sync_cnt;
    usleep(1100000); /* it does so once a second, and not while it waits for a body */
    cr_assert(spared(before + 6, before) == before && sync_cnt > synced);
    block k = {0};
    own_applies(&k, BANK_A, 1, 1, 1, 100);
    node.bodies[node.body_cnt - 1].hidden = true;
    uint64_t height = decide(&k);
    cr_assert(height == before + 1);
    usleep(100000);
    cr_assert(kh_hub_spares(w.hub, height + 5) == before);
    node.bodies[node.body_cnt - 1].hidden = false;
    wait_executed(height);
    cr_assert(spared(height + 5, height) == height);
    w.disk.sync = sync_of;
}

/* A hub that catches up below what is given up syncs now and then, not with each block. */
Test(hub, it_spares_once_a_second)
{
    enum { BLOCKS = 50 };
    begin_with_papers();
    cr_assert(spared(UINT64_MAX, w.height) == w.height);
    struct timespec from, to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    uint32_t steps = 0;
    uint64_t height = w.height, last = height;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        block k = {0};
        own_applies(&k, BANK_A, 1 + i, 1, i % 10, 10);
        wait_executed(height = decide(&k));
        uint64_t now = kh_hub_spares(w.hub, UINT64_MAX);
        steps += now != last;
        last = now;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    cr_assert(steps <= 1 + (uint32_t)(to.tv_sec - from.tv_sec), "%u", steps);
    cr_assert(spared(UINT64_MAX, height) == height);
}

Test(hub, a_body_that_was_given_up_stops_it_with_a_word)
{
    begin_with_papers();
    block k = {0};
    own_applies(&k, BANK_A, 1, 1, 1, 100);
    node.bodies[node.body_cnt - 1].hidden = true;
    uint64_t height = decide(&k);
    usleep(50000);
    cr_assert(alert_cnt == 0);
    (void)pthread_mutex_lock(&node.lock);
    node.bodies_gone = height;
    (void)pthread_mutex_unlock(&node.lock);
    for (uint32_t i = 0; i < 120000 && alert_cnt < 2; i++) usleep(500);
    cr_assert(alert_given_up && alert_cnt == 2 && kh_hub_executed_height(w.hub) < height);
}

Test(hub, what_lapses_is_told_and_ticks_are_asked_for)
{
    static given a;
    begin_with_papers();
    block k = {0}, tick = {0};
    text empty = {0};
    own_applies(&k, BANK_A, 1, 2, 1, 100);
    wait_executed(decide(&k));
    for (uint32_t i = 0; i < 120000 && node.tick_cnt == 0; i++) usleep(500); /* this machine's clock is past the deadline */
    cr_assert(node.tick_cnt >= 1);
    w.time_ns += UINT64_C(4) * 86400 * KH_NS_PER_S;
    text_add(&empty, "", 0);
    block_batch(&tick, HUB, &empty);
    uint64_t height = decide(&tick);
    wait_executed(height);
    given_to(BANK_A, height, &a);
    cr_assert(a.cnt == 2 && a.outputs[0].kind == KH_OUTPUT_NOTICE && a.outputs[0].notice.type == KH_NOTICE_LAPSED);
    given_free(&a);
    cr_assert(node.tick_cnt < 8);
}

/* A block of attestations and the like alone: were it attested, that would be ordered, and attested, and so on without end. */
Test(hub, of_a_block_that_changes_nothing_nothing_is_said)
{
    kh_attestation a;
    begin_with_papers();
    uint64_t still = decide(&(block){0});
    wait_executed(still);
    block k = {0};
    own_applies(&k, BANK_A, 1, 1, 1, 100);
    uint64_t height = decide(&k);
    wait_executed(height);
    for (uint32_t i = 0; i < 120000 && !post_of(height, &a); i++) usleep(500);
    cr_assert(post_of(height, &a) && !post_of(still, &a));
}

/* The last package of a height is on its way: a hub has executed it before it sends what it made. */
static bool is_sent(uint64_t height)
{
    const parcel *last = parcel_cnt != 0 ? &parcels[parcel_cnt - 1] : NULL;
    return last != NULL && last->bank == BANK_B && kh_load64(last->p + 8) == height;
}

Test(hub, packages_are_sent_again)
{
    uint64_t first = begin_with_papers(), height = 0;
    for (uint32_t i = 0; i < 5; i++) {
        block k = {0};
        own_applies(&k, BANK_A, 1 + i, 1, i, 100);
        wait_executed(height = decide(&k));
    }
    for (uint32_t i = 0; i < 120000 && !is_sent(height); i++) usleep(500);
    uint32_t before = parcel_cnt;
    kh_hub_outputs_wanted(w.hub, BANK_A, first + 2);
    kh_hub_outputs_wanted(w.hub, 4711, 0);
    for (uint32_t i = 0; i < 120000 && (parcel_cnt < before + 3 || node.again_cnt < 3); i++) usleep(500);
    usleep(20000);
    cr_assert(parcel_cnt == before + 3);
    cr_assert(node.again_cnt == 3 && node.again_to == BANK_A); /* of each what was attested: the bank may have forgotten */
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t *p;
        size_t n;
        uint64_t h;
        cr_assert(parcels[before + i].bank == BANK_A);
        cr_assert(kh_parcel_open(KH_SUITE_INTL, w.keys[nth(BANK_A)].box, w.chain, BANK_A, parcels[before + i].p,
                                 parcels[before + i].n, &h, &p, &n));
        cr_assert(h == first + 3 + i);
        free(p);
    }
    cr_assert(height == first + 5);
}

static uint64_t posts_bytes(void)
{
    char path[128];
    struct stat st = {0};
    snprintf(path, sizeof path, "%s/outputs/posts", w.root);
    (void)stat(path, &st);
    return (uint64_t)st.st_size;
}

/* A bank tells that it has all up to a height, and hears what was attested of the `n` above it. */
static void tells(uint32_t bank, uint64_t height, uint32_t n)
{
    uint32_t before = answers();
    kh_hub_outputs_wanted(w.hub, bank, height);
    for (uint32_t i = 0; i < 120000 && answers() < before + n; i++) usleep(500);
    cr_assert_eq(answers(), before + n, "of %u heights", answers() - before);
}

/* What was attested of a height stays while a member lacks that height, however much comes after it. */
Test(hub, what_was_attested_stays_until_all_have_it)
{
    enum { BLOCKS = 40, KEPT = 8, RECORD_SZ = 132 };
    uint64_t first = begin_with_papers(), last = 0;
    world_close();
    w.posts_sz = 2 * KEPT * RECORD_SZ;
    world_open();
    for (uint32_t i = 0; i < BLOCKS; i++) {
        block k = {0};
        own_applies(&k, BANK_A, 1 + i, 1, i, 100);
        wait_executed(last = decide(&k));
    }
    tells(BANK_B, last - 1, 1); /* of the other it is not known what it has */
    tells(BANK_A, first + 2, BLOCKS - 2);
    tells(BANK_B, last - 1, 1);
    tells(BANK_A, first + 2, BLOCKS - 2);
    cr_assert(posts_bytes() >= (BLOCKS - 2) * RECORD_SZ);
    tells(BANK_A, last - 1, 1);
    tells(BANK_A, last - 1, 1); /* what was done with the first is done */
    cr_assert_eq(posts_bytes(), KEPT * RECORD_SZ, "%lu", (unsigned long)posts_bytes());
}

/* A bundle whose operations are all refused need not stand together; one beyond the bound is refused; neither stops anything. */
Test(hub, large_bundles)
{
    begin_with_papers();
    block k = {0};
    uint8_t *frames = calloc(1, 2200000);
    for (uint32_t round = 0; round < 3; round++) {
        size_t n = round == 2 ? 2160000 : 1920000;
        text t = {0};
        for (size_t at = 0; at < n; at += 24) kh_store32(frames + at, 24); /* frames of no type */
        for (uint32_t i = 0; i < (round == 1 ? 3 : 1); i++) {
            ops_buf ops = {.p = malloc(n), .n = n};
            memcpy(ops.p, frames, n);
            text_bundle(&t, REGULATOR, REGULATOR, 10 + 3 * round + i, &ops);
        }
        block_batch(&k, HUB, &t);
    }
    own_applies(&k, BANK_A, 1, 1, 1, 100);
    uint64_t height = decide(&k);
    wait_executed(height);
    static given a;
    given_to(BANK_A, height, &a);
    cr_assert(a.cnt == 1 && a.outputs[0].receipt.code == KH_C_OK && alert_cnt == 0);
    given_free(&a);
    free(frames);
}

/* What one sender brings in one block has a bound: the rest is refused as wholes. */
Test(hub, a_senders_share_of_a_block)
{
    begin_with_papers();
    block k = {0};
    for (uint32_t i = 0; i < 5; i++) {
        text t = {0};
        ops_buf ops = {0};
        ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 1 + i, i, 100);
        text_own(&t, &ops);
        size_t n = 4 << 20, at = t.n;
        t.p = realloc(t.p, at + n);
        uint8_t head[KH_SECTION_HEAD_SZ];
        kh_section_own((uint32_t)(n - KH_SECTION_HEAD_SZ), head); /* junk frames, large ones */
        memset(t.p + at, 0, n);
        memcpy(t.p + at, head, sizeof head);
        for (size_t f = at + KH_SECTION_HEAD_SZ; f < at + n; f += 65520)
            kh_store32(t.p + f, at + n - f < 65520 ? (uint32_t)(at + n - f) : 65520);
        t.n = at + n;
        block_batch(&k, BANK_A, &t);
    }
    uint64_t height = decide(&k);
    wait_executed(height);
    kh_attestation post;
    cr_assert(post_of(height, &post) && alert_cnt == 0);
    const kh_ledger *l = kh_store_read_begin(w.store);
    static kh_fin_view v;
    for (uint32_t i = 0; i < 5; i++) cr_assert(kh_ledger_financing(l, BANK_A, 1 + i, &v) == (i < 3), "%u", i);
    kh_store_read_end(w.store);
}
