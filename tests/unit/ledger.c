/* ledger: the life of a financing, its balances, and the codes of applications and events. */
#include "ledger_fixture.h"

TestSuite(ledger, .init = fixture_start, .fini = fixture_stop);

Test(ledger, a_declaration_is_stored_and_seen)
{
    const kh_receipt *r = declare(w, 1, USD, 10000);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_STORED && r->version == 1 && r->line_cnt == 1);
    cr_assert(declare(w, 1, USD, 10000)->effect == KH_EFFECT_UNCHANGED);
    kh_doc_view v = doc_view(w, EXPORT, decl(1), 0);
    cr_assert_str_eq(v.number, decl(1));
    cr_assert_str_eq(v.owner, "OWNER1");
    cr_assert(v.status == KH_STATUS_CLEARED && v.balance_cnt == 1 && v.balances[0].cap == 10000 && v.balances[0].free == 10000);
}

Test(ledger, the_whole_life)
{
    declare(w, 1, USD, 10000);
    cr_assert(hold(w, 1, 7, 1, 6000) == KH_C_OK);
    cr_assert(balance(w, 1, 1).held == 6000 && balance(w, 1, 1).own_held == 6000 && balance(w, 1, 1).free == 4000);
    cr_assert(fin_view(w, 1, 7).deadline_ns == T0 + 3 * DAY);
    w->now += DAY;
    cr_assert(event(w, 1, 7, KH_EV_ACCEPT, ALL) == KH_C_OK);
    cr_assert(fin_view(w, 1, 7).deadline_ns == T0 + 11 * DAY);
    cr_assert(event(w, 1, 7, KH_EV_APPROVE, ALL) == KH_C_OK);
    cr_assert(fin_view(w, 1, 7).deadline_ns == T0 + 11 * DAY);
    cr_assert(event(w, 1, 7, KH_EV_DISBURSE, 6001) == KH_C_BAD_STATE);
    cr_assert(event(w, 1, 7, KH_EV_DISBURSE, 0) == KH_C_BAD_STATE);
    cr_assert(event(w, 1, 7, KH_EV_DISBURSE, 5000) == KH_C_OK);
    cr_assert(balance(w, 1, 1).held == 0 && balance(w, 1, 1).used == 5000 && balance(w, 1, 1).free == 5000);
    cr_assert(fin_view(w, 1, 7).amount == 5000 && fin_view(w, 1, 7).deadline_ns == 0);
    cr_assert(repay(w, 1, 7, 2000, KH_SRC_COLLECTION) == KH_C_OK);
    cr_assert(balance(w, 1, 1).used == 3000 && balance(w, 1, 1).consumed == 2000 && balance(w, 1, 1).free == 5000);
    cr_assert(event(w, 1, 7, KH_EV_REVERSE, ALL) == KH_C_BAD_STATE);
    cr_assert(repay(w, 1, 7, 1000, KH_SRC_OWN_FUNDS) == KH_C_OK);
    cr_assert(balance(w, 1, 1).used == 2000 && balance(w, 1, 1).free == 6000);
    cr_assert(repay(w, 1, 7, 2001, KH_SRC_UNKNOWN) == KH_C_BAD_STATE);
    cr_assert(repay(w, 1, 7, ALL, KH_SRC_UNKNOWN) == KH_C_OK);
    cr_assert(balance(w, 1, 1).used == 0 && balance(w, 1, 1).consumed == 4000 && fin_view(w, 1, 7).state == KH_FIN_SETTLED);
    cr_assert(fin_view(w, 1, 7).version == 7 && fin_view(w, 1, 7).amount == 5000 && fin_view(w, 1, 7).repaid == 5000);
}

Test(ledger, restore_on_own_funds_can_be_off)
{
    declare(w, 1, USD, 10000);
    disbursed(w, 1, 1, 1, 4000);
    cr_assert(rule(w, "restore_on_own_funds", "off") == KH_C_OK);
    cr_assert(repay(w, 1, 1, 1000, KH_SRC_OWN_FUNDS) == KH_C_OK);
    cr_assert(balance(w, 1, 0).consumed == 1000 && balance(w, 1, 0).free == 6000);
}

Test(ledger, reverse_frees_and_reject_and_withdraw_release)
{
    declare(w, 1, USD, 10000);
    disbursed(w, 1, 1, 1, 4000);
    cr_assert(event(w, 1, 1, KH_EV_REVERSE, ALL) == KH_C_OK);
    cr_assert(fin_view(w, 1, 1).state == KH_FIN_REVERSED && balance(w, 1, 0).free == 10000);
    cr_assert(hold(w, 1, 2, 1, 10000) == KH_C_OK);
    kh_op op = event_op(1, 2, KH_EV_REJECT, ALL);
    op.event.reason = KH_REASON_NONE;
    cr_assert(world_one(w, &op)->code == KH_C_FORMAT);
    op.event.reason = KH_REASON_LAPSED;
    cr_assert(world_one(w, &op)->code == KH_C_FORMAT);
    cr_assert(event(w, 1, 2, KH_EV_REJECT, ALL) == KH_C_OK && balance(w, 1, 0).free == 10000);
    cr_assert(hold(w, 1, 3, 1, 10000) == KH_C_OK);
    cr_assert(event(w, 1, 3, KH_EV_ACCEPT, ALL) == KH_C_OK && event(w, 1, 3, KH_EV_APPROVE, ALL) == KH_C_OK);
    cr_assert(event(w, 1, 3, KH_EV_REJECT, ALL) == KH_C_BAD_STATE);
    cr_assert(event(w, 1, 3, KH_EV_WITHDRAW, ALL) == KH_C_OK && balance(w, 1, 0).held == 0);
    cr_assert(event(w, 1, 99, KH_EV_ACCEPT, ALL) == KH_C_NOT_FOUND);
}

Test(ledger, shortages_say_why)
{
    declare(w, 1, USD, 10000);
    cr_assert(hold(w, 1, 1, 1, 6000) == KH_C_OK);
    cr_assert(hold(w, 2, 1, 1, 4001) == KH_C_INSUFFICIENT);
    cr_assert(hold(w, 2, 1, 1, 4000) == KH_C_OK); /* the refused id may be used again */
    cr_assert(hold(w, 2, 2, 1, 1) == KH_C_DUP_HELD_OTHER);
    declare(w, 2, USD, 100);
    disbursed(w, 1, 2, 2, 100);
    cr_assert(hold(w, 2, 3, 2, 1) == KH_C_DUP_FINANCED_OTHER);
    cr_assert(hold(w, 1, 3, 2, 1) == KH_C_DUP_OWN);
    cr_assert(repay(w, 1, 2, ALL, KH_SRC_COLLECTION) == KH_C_OK);
    cr_assert(hold(w, 2, 3, 2, 1) == KH_C_EXHAUSTED);
    declare(w, 3, 0, 0);
    cr_assert(hold(w, 2, 3, 3, 1) == KH_C_EXHAUSTED);
}

Test(ledger, who_may_and_whose)
{
    declare(w, 1, USD, 10000);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(2), "OWNER2", USD, 5);
    op.party = 1;
    cr_assert(world_one(w, &op)->code == KH_C_NOT_AUTHORISED);
    op.party = 50;
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    op.document.source = 1;
    cr_assert(world_one(w, &op)->code == KH_C_NOT_AUTHORISED);
    op = doc_op(KH_DOC_PUT, EXPORT, decl(3), "OWNER2", USD, 5);
    op.document.source = 999;
    cr_assert(world_one(w, &op)->code == KH_C_NOT_AUTHORISED);
    cr_assert(hold(w, 1, 1, 2, 5) == KH_C_OWNER_MISMATCH);
    cr_assert(hold(w, 1, 1, 77, 5) == KH_C_NOT_FOUND);
    cr_assert(hold(w, 50, 1, 1, 5) == KH_C_NOT_AUTHORISED);
    cr_assert(hold(w, 0, 1, 1, 5) == KH_C_NOT_AUTHORISED);
    cr_assert(party(w, 1, KH_ROLE_BANK, "Bank A", NULL) == KH_C_OK);
    cr_assert(party(w, 1, KH_ROLE_BANK, "Bank Z", NULL) == KH_C_CONFLICT);
    cr_assert(freeze(w, 12345, true) == KH_C_NOT_FOUND);
}

Test(ledger, frozen)
{
    declare(w, 1, USD, 10000);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK && hold(w, 1, 2, 1, 100) == KH_C_OK);
    disbursed(w, 1, 3, 1, 100);
    cr_assert(freeze(w, 100, true) == KH_C_OK);
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_FROZEN && hold(w, 1, 9, 1, 1) == KH_C_FROZEN);
    cr_assert(freeze(w, 100, false) == KH_C_OK && freeze(w, 1, true) == KH_C_OK);
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_FROZEN && hold(w, 1, 9, 1, 1) == KH_C_FROZEN);
    cr_assert(event(w, 1, 1, KH_EV_REJECT, ALL) == KH_C_OK && event(w, 1, 2, KH_EV_WITHDRAW, ALL) == KH_C_OK);
    cr_assert(repay(w, 1, 3, 10, KH_SRC_COLLECTION) == KH_C_OK);
    kh_question q = {.key = key_of(EXPORT, decl(1)), .kind = EXPORT, .bank = 1, .amount = ALL, .want = ALL};
    kh_verdict v;
    kh_ledger_verify(w->l, &q, 1, &v);
    cr_assert(v.code == KH_C_FROZEN && v.status == KH_STATUS_NONE);
}

Test(ledger, the_same_again_answers_the_first)
{
    declare(w, 1, USD, 10000);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK);
    uint64_t height = kh_ledger_height(w->l);
    kh_op_line lines[1];
    part p = {EXPORT, decl(1), 100, 0, 0};
    kh_op op = apply_op(1, 1, USD, 100, &p, 1, lines);
    const kh_receipt *r = world_one(w, &op);
    cr_assert(r->code == KH_C_OK && r->ref_height == height && r->ref_index == 0 && r->financing == 0);
    cr_assert(hold(w, 1, 1, 1, 101) == KH_C_BAD_STATE);
    op = event_op(1, 1, KH_EV_ACCEPT, ALL);
    op.event.has_expect = 1;
    op.event.expect = 1;
    cr_assert(world_one(w, &op)->ref_height == 0);
    height = kh_ledger_height(w->l);
    r = world_one(w, &op);
    cr_assert(r->code == KH_C_OK && r->ref_height == height);
    op.event.event = KH_EV_APPROVE;
    cr_assert(world_one(w, &op)->code == KH_C_BAD_STATE);
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_BAD_STATE);
    cr_assert(balance(w, 1, 0).held == 100);
}

Test(ledger, several_documents_all_or_nothing_or_in_part)
{
    declare(w, 1, USD, 100);
    declare(w, 2, USD, 50);
    kh_op_line lines[3];
    part p[3] = {{EXPORT, decl(1), 100, 0, 0}, {EXPORT, decl(2), 60, 0, 0}, {EXPORT, decl(9), 10, 0, 0}};
    kh_op op = apply_op(1, 1, USD, 170, p, 3, lines);
    const kh_receipt *r = world_one(w, &op);
    cr_assert(r->code == KH_C_INSUFFICIENT && r->line_cnt == 3 && w->out[0].line[2].code == KH_C_NOT_FOUND &&
              balance(w, 1, 0).held == 0);
    op.apply.allow_partial = 1;
    r = world_one(w, &op);
    cr_assert(r->code == KH_C_OK && r->amount == 100 && w->out[0].line[1].code == KH_C_INSUFFICIENT);
    cr_assert(fin_view(w, 1, 1).line_cnt == 1 && balance(w, 2, 0).held == 0);
    cr_assert(event(w, 1, 1, KH_EV_WITHDRAW, ALL) == KH_C_OK);
    p[0].allocated = p[1].allocated = ALL;
    op = apply_op(1, 2, USD, 120, p, 2, lines);
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    cr_assert(w->out[0].line[0].allocated == 100 && w->out[0].line[1].allocated == 20);
    op = apply_op(1, 3, USD, 31, p, 2, lines);
    cr_assert(world_one(w, &op)->code == KH_C_DUP_OWN); /* the first line got nothing, the second 30 of 31 */
    op = apply_op(1, 3, USD, 30, p, 2, lines);
    cr_assert(world_one(w, &op)->code == KH_C_OK && fin_view(w, 1, 3).line_cnt == 1);
    p[0].allocated = 10, p[1].allocated = 10;
    op = apply_op(1, 4, USD, 21, p, 2, lines);
    cr_assert(world_one(w, &op)->code == KH_C_FORMAT);
    op = apply_op(1, 4, USD, 0, p, 2, lines);
    cr_assert(world_one(w, &op)->code == KH_C_BAD_STATE);
}

Test(ledger, no_currency_is_none_of_those_known_from_the_first_application_on)
{
    kh_op_line lines[1];
    declare(w, 1, USD, 100);
    part p[1] = {{EXPORT, decl(1), 30, 0, 0}};
    for (uint64_t id = 1; id <= 3; id++) { /* as the first one since the start, again, and after one that named a currency */
        kh_op op = apply_op(1, id, 0, 30, p, 1, lines);
        cr_assert(world_one(w, &op)->code == KH_C_FORMAT);
        op = apply_op(1, 10 + id, USD, 30, p, 1, lines);
        if (id == 2) cr_assert(world_one(w, &op)->code == KH_C_OK);
    }
}

Test(ledger, disbursing_and_repaying_over_several_documents)
{
    for (uint32_t i = 1; i <= 3; i++) declare(w, i, USD, 100);
    kh_op_line lines[3], allot[2];
    part p[3] = {{EXPORT, decl(1), 100, 0, 0}, {EXPORT, decl(2), 100, 0, 0}, {EXPORT, decl(3), 100, 0, 0}};
    kh_op op = apply_op(1, 1, USD, 300, p, 3, lines);
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_OK && event(w, 1, 1, KH_EV_APPROVE, ALL) == KH_C_OK);
    cr_assert(event(w, 1, 1, KH_EV_DISBURSE, 150) == KH_C_OK);
    cr_assert(balance(w, 1, 0).used == 100 && balance(w, 2, 0).used == 50 && balance(w, 3, 0).free == 100);
    op = event_op(1, 1, KH_EV_REPAY, 40);
    op.event.source = KH_SRC_OWN_FUNDS;
    op.event.line_cnt = 1;
    op.event.lines = allot;
    allot[0] = (kh_op_line){key_of(EXPORT, decl(2)), 0, 40, ALL};
    cr_assert(world_one(w, &op)->code == KH_C_OK && balance(w, 2, 0).used == 10);
    allot[0].allocated = 11;
    op.event.amount = 11;
    cr_assert(world_one(w, &op)->code == KH_C_BAD_STATE);
    allot[0].key = key_of(EXPORT, decl(9));
    cr_assert(world_one(w, &op)->code == KH_C_NOT_FOUND);
    allot[0] = (kh_op_line){key_of(EXPORT, decl(2)), 0, 5, ALL};
    cr_assert(world_one(w, &op)->code == KH_C_FORMAT);
    cr_assert(repay(w, 1, 1, 105, KH_SRC_OWN_FUNDS) == KH_C_OK && balance(w, 1, 0).used == 0 && balance(w, 2, 0).used == 5);
    cr_assert(repay(w, 1, 1, ALL, KH_SRC_OWN_FUNDS) == KH_C_OK && fin_view(w, 1, 1).state == KH_FIN_SETTLED);
}

Test(ledger, lapses_by_block_time_in_order)
{
    declare(w, 1, USD, 10000);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK);
    cr_assert(rule(w, "hold_ttl_applied", "1d") == KH_C_OK);
    w->now += KH_NS_PER_S;
    cr_assert(hold(w, 2, 2, 1, 200) == KH_C_OK && hold(w, 2, 3, 1, 300) == KH_C_OK);
    cr_assert(event(w, 2, 3, KH_EV_ACCEPT, ALL) == KH_C_OK);
    cr_assert(kh_ledger_next_due(w->l) == T0 + DAY + KH_NS_PER_S);
    w->now = T0 + 3 * DAY - 1;
    world_run(w);
    cr_assert(w->out_cnt == 1 && world_notice(w, KH_NOTICE_LAPSED, 2)->financing == 2 && balance(w, 1, 0).held == 400);
    w->now = T0 + 3 * DAY;
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_BAD_STATE); /* what is due goes first */
    cr_assert(w->out[0].is_notice && fin_view(w, 1, 1).state == KH_FIN_LAPSED && fin_view(w, 1, 1).version == 2);
    w->now = T0 + 30 * DAY;
    world_run(w);
    cr_assert(w->out_cnt == 1 && balance(w, 1, 0).held == 0 && kh_ledger_next_due(w->l) == UINT64_MAX);
    w->now = T0; /* a time that falls is the last one */
    world_run(w);
    cr_assert(kh_ledger_time(w->l) == T0 + 30 * DAY);
}

Test(ledger, equal_deadlines_lapse_in_the_order_in_which_they_were_set)
{
    declare(w, 1, USD, 10000);
    cr_assert(rule(w, "hold_ttl_accepted", "3d") == KH_C_OK);
    cr_assert(hold(w, 1, 2, 1, 100) == KH_C_OK && event(w, 1, 2, KH_EV_ACCEPT, ALL) == KH_C_OK &&
              hold(w, 1, 3, 1, 100) == KH_C_OK);
    w->now += 3 * DAY;
    world_run(w);
    cr_assert(w->out_cnt == 2 && w->out[0].notice.financing == 2 && w->out[1].notice.financing == 3);
}

Test(ledger, two_banks_share_a_document)
{
    declare(w, 1, USD, 1000);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK && hold(w, 2, 1, 1, 200) == KH_C_OK && hold(w, 1, 2, 1, 300) == KH_C_OK);
    cr_assert(balance(w, 1, 1).own_held == 400 && balance(w, 1, 2).own_held == 200 && balance(w, 1, 0).held == 600);
    cr_assert(event(w, 1, 1, KH_EV_REJECT, ALL) == KH_C_OK && event(w, 1, 2, KH_EV_REJECT, ALL) == KH_C_OK);
    cr_assert(balance(w, 1, 1).own_held == 0 && balance(w, 1, 2).own_held == 200);
}

Test(ledger, bounds_are_answers)
{
    declare(w, 1, USD, 1000000);
    for (uint32_t bank = 200; bank < 265; bank++) {
        char name[16];
        snprintf(name, sizeof name, "B%u", bank);
        cr_assert(party(w, bank, KH_ROLE_BANK, name, NULL) == KH_C_OK);
        cr_assert(hold(w, bank, 1, 1, 1) == (bank < 264 ? KH_C_OK : KH_C_CAPACITY));
    }
    cr_assert(event(w, 200, 1, KH_EV_WITHDRAW, ALL) == KH_C_OK && hold(w, 264, 1, 1, 1) == KH_C_OK);
    declare(w, 2, USD, 1000000);
    for (uint64_t id = 1000; id < 1000 + 4097; id++) {
        kh_code code = hold(w, 1, id, 2, 1);
        cr_assert(code == (id < 1000 + 4096 ? KH_C_OK : KH_C_CAPACITY));
    }
    cr_assert(rule(w, "capacity_documents", "2") == KH_C_OK && declare(w, 3, USD, 1)->code == KH_C_CAPACITY);
    cr_assert(rule(w, "capacity_financings", "1") == KH_C_OK && hold(w, 1, 9000, 1, 1) == KH_C_CAPACITY);
}

/* Applications and events, and now and then an amendment, which gives its document another record and so little, or so much, that
 * the answers change; in entries of `most` operations. */
static uint64_t outcomes_in_entries_of(uint32_t most)
{
    world *v = world_new();
    kh_op_line lines[2];
    world_people(v);
    for (uint32_t i = 0; i < 1600; i++) {
        bool amends = i % 89 == 88;
        uint32_t doc = amends ? i / 89 % 2 + 1 : i * 7 % 5 + 1, bank = i % 13 < 9 ? 1 : 2, of = i < 60 ? i : i - 3 - i % 47;
        uint64_t base = amends && i / 89 / 2 % 2 == 0 ? 5 : 100000 + i;
        kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(doc), "OWNER1", USD, base);
        part parts[2] = {{EXPORT, decl(doc), 10, 0, 0}, {EXPORT, decl(doc % 5 + 1), 10, 0, 0}};
        uint32_t n = i % 10 == 3 ? 2 : 1;
        if (i > 5 && !amends) op = apply_op(bank, i, USD, 10 * n, parts, n, lines);
        if (i > 60 && i % 5 == 1 && !amends)
            op = event_op(of % 13 < 9 ? 1 : 2, of, i % 2 == 0 ? KH_EV_ACCEPT : KH_EV_WITHDRAW, ALL);
        world_add(v, &op);
        if (v->op_cnt == most) world_run(v);
    }
    world_run(v);
    world_sound(v);
    uint64_t digest = v->all_outcomes * 31 + kh_ledger_check(v->l);
    world_free(v);
    return digest;
}

/* What look-ahead learned while earlier operations of the entry were still to come is nobody's word. */
Test(ledger, many_in_one_entry_are_answered_as_one_by_one)
{
    uint64_t alone = outcomes_in_entries_of(1);
    for (uint32_t most = 2; most < 120; most += 9) cr_assert(outcomes_in_entries_of(most) == alone, "entries of %u", most);
    cr_assert(outcomes_in_entries_of(1000) == alone);
}
