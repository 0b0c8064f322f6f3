/* ledger, consent and risks: grants, look-ups under them, the risk list with its metering, and what of them stands in digests. */
#include "ledger_fixture.h"

TestSuite(ledger_consent, .init = fixture_start, .fini = fixture_stop);

#define ALWAYS UINT64_MAX

static kh_op grant_op(uint32_t speaks, uint32_t enterprise, uint64_t id, uint32_t bank, uint8_t scope, uint64_t from,
                      uint64_t until)
{
    return (kh_op){.type = KH_OP_GRANT, .party = speaks, .grant = {id, from, until, enterprise, bank, scope}};
}
static const kh_receipt *grant(uint64_t id, uint32_t bank, uint8_t scope)
{
    kh_op op = grant_op(100, 100, id, bank, scope, 0, ALWAYS);
    return world_one(w, &op);
}
static const kh_receipt *revoke(uint32_t speaks, uint64_t id)
{
    kh_op op = {.type = KH_OP_GRANT_REVOKE, .party = speaks, .grant_revoke = {id, 100}};
    return world_one(w, &op);
}
static const kh_receipt *look(uint32_t bank, uint32_t enterprise, uint64_t id, uint8_t scope)
{
    kh_op op = {.type = KH_OP_CREDIT_LOOKUP, .party = bank, .credit_lookup = {id, enterprise, scope}};
    return world_one(w, &op);
}

Test(ledger_consent, a_grant_is_named_and_harmless_twice)
{
    const kh_receipt *r = grant(7, 1, KH_SCOPE_CREDIT);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_STORED && r->state == KH_GRANT_OPEN && r->financing == 7 &&
              r->enterprise == 100);
    r = grant(7, 1, KH_SCOPE_CREDIT);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_UNCHANGED);
    cr_assert(grant(7, 2, KH_SCOPE_CREDIT)->code == KH_C_BAD_STATE);
    cr_assert(grant(7, 1, KH_SCOPE_ALL)->code == KH_C_BAD_STATE);
    kh_op op = grant_op(101, 101, 7, 2, KH_SCOPE_DOCUMENTS, 5, 9); /* another enterprise's 7 is another grant */
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    kh_grant_view v;
    cr_assert(kh_ledger_grant(w->l, 100, 7, &v) && v.bank == 1 && v.scope == KH_SCOPE_CREDIT && v.state == KH_GRANT_OPEN);
    cr_assert(kh_ledger_grant(w->l, 101, 7, &v) && v.bank == 2 && v.from_ns == 5 && v.until_ns == 9);
    cr_assert(!kh_ledger_grant(w->l, 100, 8, &v));
    r = revoke(100, 7);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_REVOKED && r->state == KH_GRANT_REVOKED);
    cr_assert(revoke(100, 7)->code == KH_C_OK && revoke(100, 7)->effect == KH_EFFECT_UNCHANGED);
    cr_assert(revoke(100, 8)->code == KH_C_NOT_FOUND);
    r = grant(7, 1, KH_SCOPE_CREDIT); /* comes again late: the revocation stands */
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_UNCHANGED && r->state == KH_GRANT_REVOKED);
    cr_assert(look(1, 100, 7, KH_SCOPE_CREDIT)->code == KH_C_NO_CONSENT);
}

Test(ledger_consent, who_may_grant)
{
    kh_op op = grant_op(101, 100, 1, 1, KH_SCOPE_CREDIT, 0, ALWAYS); /* another enterprise */
    cr_assert(world_one(w, &op)->code == KH_C_NOT_AUTHORISED);
    op.party = 1; /* the bank itself */
    cr_assert(world_one(w, &op)->code == KH_C_NOT_AUTHORISED);
    op.party = 50;
    cr_assert(world_one(w, &op)->code == KH_C_NOT_AUTHORISED);
    op.party = 0; /* the operator, for it */
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    cr_assert(party(w, 3, KH_ROLE_REGULATOR, "R", NULL) == KH_C_OK);
    op = grant_op(3, 100, 2, 1, KH_SCOPE_CREDIT, 0, ALWAYS);
    cr_assert(world_one(w, &op)->code == KH_C_OK && w->out[0].touch_cnt == 2); /* the enterprise's chain has it too */
    cr_assert(revoke(101, 2)->code == KH_C_NOT_AUTHORISED && revoke(1, 2)->code == KH_C_NOT_AUTHORISED);
    cr_assert(revoke(3, 2)->code == KH_C_OK);
    op = grant_op(0, 1, 1, 1, KH_SCOPE_CREDIT, 0, ALWAYS); /* no enterprise; no bank */
    cr_assert(world_one(w, &op)->code == KH_C_NOT_FOUND);
    op = grant_op(0, 100, 9, 50, KH_SCOPE_CREDIT, 0, ALWAYS);
    cr_assert(world_one(w, &op)->code == KH_C_NOT_FOUND);
    cr_assert(freeze(w, 100, true) == KH_C_OK);
    cr_assert(grant(10, 1, KH_SCOPE_CREDIT)->code == KH_C_FROZEN);
    op = grant_op(0, 100, 10, 1, KH_SCOPE_CREDIT, 0, ALWAYS);
    cr_assert(world_one(w, &op)->code == KH_C_FROZEN);
}

Test(ledger_consent, a_look_up_is_judged_by_block_time)
{
    kh_op op = grant_op(100, 100, 1, 1, KH_SCOPE_CREDIT, T0 + DAY, T0 + 2 * DAY);
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    w->now = T0 + DAY - 1;
    cr_assert(look(1, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_CONSENT_EXPIRED);
    cr_assert(world_notices(w, KH_NOTICE_LOOKUP) == 0);
    w->now = T0 + DAY;
    const kh_receipt *r = look(1, 100, 1, KH_SCOPE_CREDIT);
    cr_assert(r->code == KH_C_OK && r->financing == 1 && r->enterprise == 100 && r->event == KH_SCOPE_CREDIT);
    const kh_notice *n = world_notice(w, KH_NOTICE_LOOKUP, 100);
    cr_assert(n != NULL && n->version == 1 && n->financing == 1 && n->state == KH_SCOPE_CREDIT && n->has_financing == 0);
    kh_party_view enterprise, bank;
    cr_assert(kh_ledger_party(w->l, 100, &enterprise) && kh_ledger_party(w->l, 1, &bank));
    cr_assert(enterprise.last.height == kh_ledger_height(w->l) && enterprise.last.index == 1); /* the notice, in its chain */
    cr_assert(bank.last.height == kh_ledger_height(w->l) && bank.last.index == 0);
    w->now = T0 + 2 * DAY;
    cr_assert(look(1, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_OK);
    w->now = T0 + 2 * DAY + 1;
    cr_assert(look(1, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_CONSENT_EXPIRED);
}

Test(ledger_consent, a_look_up_needs_the_grant)
{
    cr_assert(grant(1, 1, KH_SCOPE_CREDIT)->code == KH_C_OK);
    cr_assert(look(2, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_NO_CONSENT); /* another bank's */
    cr_assert(look(1, 101, 1, KH_SCOPE_CREDIT)->code == KH_C_NO_CONSENT); /* another enterprise */
    cr_assert(look(1, 999, 1, KH_SCOPE_CREDIT)->code == KH_C_NO_CONSENT);
    cr_assert(look(1, 100, 2, KH_SCOPE_CREDIT)->code == KH_C_NO_CONSENT);
    cr_assert(look(1, 100, 1, KH_SCOPE_DOCUMENTS)->code == KH_C_NO_CONSENT);
    cr_assert(look(1, 100, 1, KH_SCOPE_ALL)->code == KH_C_NO_CONSENT);
    cr_assert(look(0, 100, 1, KH_SCOPE_CREDIT)->code ==
              KH_C_NOT_AUTHORISED); /* the regulator needs none, and has no such operation */
    cr_assert(look(100, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_NOT_AUTHORISED);
    cr_assert(world_notices(w, KH_NOTICE_LOOKUP) == 0);
    cr_assert(freeze(w, 1, true) == KH_C_OK);
    cr_assert(look(1, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_FROZEN);
    cr_assert(freeze(w, 1, false) == KH_C_OK && freeze(w, 100, true) == KH_C_OK);
    cr_assert(look(1, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_FROZEN);
    cr_assert(look(2, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_NO_CONSENT); /* who has no consent does not learn of the freeze */
    cr_assert(freeze(w, 100, false) == KH_C_OK);
    cr_assert(look(1, 100, 1, KH_SCOPE_CREDIT)->code == KH_C_OK);
}

Test(ledger_consent, open_grants_are_bounded)
{
    for (uint64_t id = 1; id <= 1024; id++) {
        kh_op op = grant_op(100, 100, id, 1, KH_SCOPE_CREDIT, 0, ALWAYS);
        world_add(w, &op);
    }
    world_run(w);
    for (uint32_t i = 0; i < w->out_cnt; i++) cr_assert(w->out[i].receipt.code == KH_C_OK);
    cr_assert(grant(2000, 1, KH_SCOPE_CREDIT)->code == KH_C_CAPACITY);
    cr_assert(grant(5, 1, KH_SCOPE_CREDIT)->code == KH_C_OK); /* again: still harmless */
    cr_assert(revoke(100, 5)->code == KH_C_OK);
    cr_assert(grant(2000, 1, KH_SCOPE_CREDIT)->code == KH_C_OK);
    uint64_t cursor = 0, n = 0, all = 0;
    kh_grant_view v;
    for (; kh_ledger_grant_next(w->l, &cursor, 100, &v); n++) cr_assert(v.enterprise == 100 && (n != 0 || v.id == 2000));
    for (cursor = 0; kh_ledger_grant_next(w->l, &cursor, 0, &v); all++) cr_assert(all != 0 || v.id == 1);
    cr_assert(n == 1025 && all == 1025);
    cursor = 0;
    cr_assert(!kh_ledger_grant_next(w->l, &cursor, 101, &v));
    cursor = 0;
    cr_assert(!kh_ledger_grant_next(w->l, &cursor, 1, &v)); /* a bank has none of its own */
}

/* Many operations as few entries; returns how many were OK. */
static uint32_t ok_of(void)
{
    uint32_t ok = 0;
    world_run(w);
    for (uint32_t i = 0; i < w->out_cnt; i++) ok += !w->out[i].is_notice && w->out[i].receipt.code == KH_C_OK;
    return ok;
}

Test(ledger_consent, numbers_of_grants_are_bounded)
{
    for (uint64_t round = 0; round < 64; round++) {
        for (uint64_t id = 1024 * round; id < 1024 * (round + 1); id++) {
            kh_op op = grant_op(100, 100, id, 1, KH_SCOPE_CREDIT, 0, ALWAYS);
            world_add(w, &op);
            op = (kh_op){.type = KH_OP_GRANT_REVOKE, .party = 100, .grant_revoke = {id, 100}};
            world_add(w, &op);
        }
        cr_assert(ok_of() == 2048);
    }
    cr_assert(grant(65536, 1, KH_SCOPE_CREDIT)->code == KH_C_CAPACITY);
    cr_assert(grant(65535, 1, KH_SCOPE_CREDIT)->code == KH_C_OK);
    kh_op op = grant_op(101, 101, 65536, 1, KH_SCOPE_CREDIT, 0, ALWAYS); /* another enterprise's are its own */
    cr_assert(world_one(w, &op)->code == KH_C_OK);
}

Test(ledger_consent, a_banks_contributions_are_bounded)
{
    for (uint32_t done = 0; done < 1 << 20; done += 1 << 14) {
        for (uint32_t i = 0; i < 1 << 14; i++) {
            kh_op op = {.type = KH_OP_RISK_ADD, .party = 1, .risk_add = {.category = KH_RISK_OTHER}};
            kh_store32(op.risk_add.subject.b, done + i);
            world_add(w, &op);
        }
        cr_assert(ok_of() == 1 << 14);
    }
    kh_op op = {.type = KH_OP_RISK_ADD, .party = 1, .risk_add = {.category = KH_RISK_OTHER}};
    kh_store32(op.risk_add.subject.b, 1 << 20);
    cr_assert(world_one(w, &op)->code == KH_C_CAPACITY);
    op.party = 2;
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    op = (kh_op){.type = KH_OP_RISK_REMOVE, .party = 1, .risk_remove = {.category = KH_RISK_OTHER}};
    cr_assert(world_one(w, &op)->code == KH_C_OK);
    op = (kh_op){.type = KH_OP_RISK_ADD, .party = 1, .risk_add = {.category = KH_RISK_OTHER}};
    kh_store32(op.risk_add.subject.b, 1 << 20);
    cr_assert(world_one(w, &op)->code == KH_C_OK);
}

/* ---- the walks ---- */

Test(ledger_consent, the_credit_record_is_gathered_over_all_banks)
{
    for (uint32_t i = 1; i <= 20; i++) cr_assert(declare(w, i, USD, 100000)->code == KH_C_OK);
    for (uint32_t i = 1; i <= 20; i++) disbursed(w, 1 + i % 2, i, i, 1000 + i);
    cr_assert(repay(w, 1, 2, 100, KH_SRC_COLLECTION) == KH_C_OK);
    kh_credit_item items[4];
    uint64_t cursor = 0, sum = 0, repaid = 0;
    uint32_t n = 0, pieces = 0, part = 0;
    while (cursor != KH_WALK_END) {
        uint32_t got = kh_ledger_credit_walk(w->l, &cursor, 7, 100, items, 4);
        cr_assert(got <= 4 && ++pieces < 100);
        for (uint32_t i = 0; i < got; i++, n++) {
            sum += items[i].amount;
            repaid += items[i].repaid;
            part += items[i].state == KH_FIN_PART_REPAID;
            cr_assert(items[i].currency == USD);
        }
    }
    cr_assert(n == 20 && sum == 20 * 1000 + 210 && repaid == 100 && part == 1);
    cursor = 0;
    cr_assert(kh_ledger_credit_walk(w->l, &cursor, 1000, 101, items, 4) == 0 && cursor == KH_WALK_END);
}

Test(ledger_consent, an_owners_documents_are_found)
{
    for (uint32_t i = 1; i <= 30; i++) {
        kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(i), i % 3 == 0 ? "OWNER2" : "OWNER1", USD, 100);
        if (i % 5 == 0) op.document.balances[op.document.balance_cnt++] = (kh_op_balance){EUR, 100};
        cr_assert(world_one(w, &op)->code == KH_C_OK);
        if (i % 4 == 0) { /* amended: it moved to another record */
            op.document.balances[0].base = 200;
            cr_assert(world_one(w, &op)->code == KH_C_OK);
        }
    }
    kh_key keys[3];
    uint64_t cursor = 0;
    uint32_t n = 0;
    bool seen[31] = {false};
    while (cursor != KH_WALK_END) {
        uint32_t got = kh_ledger_owner_walk(w->l, &cursor, 8, kh_text_of("OWNER1"), keys, 3);
        for (uint32_t i = 0; i < got; i++, n++) {
            char number[64];
            number[kh_doc_key_number(&keys[i], number)] = '\0';
            unsigned long serial = strtoul(number + 9, NULL, 10);
            cr_assert(serial % 3 != 0 && serial <= 30 && !seen[serial]);
            seen[serial] = true;
        }
    }
    cr_assert(n == 20);
    cursor = 0;
    cr_assert(kh_ledger_owner_walk(w->l, &cursor, 8, kh_text_of("NOBODY"), keys, 3) == 0 && cursor == KH_WALK_END);
}

/* ---- the risk list ---- */

static kh_key subject(const char *text) { return kh_risk_subject(kh_text_of(text)); }
static const kh_receipt *risk_add(uint32_t bank, const char *text, kh_risk category)
{
    kh_op op = {.type = KH_OP_RISK_ADD, .party = bank, .risk_add = {subject(text), (uint8_t)category}};
    return world_one(w, &op);
}
static const kh_receipt *risk_remove(uint32_t who, const char *text, kh_risk category, uint32_t of)
{
    kh_op op = {.type = KH_OP_RISK_REMOVE, .party = who, .risk_remove = {subject(text), of, (uint8_t)category}};
    return world_one(w, &op);
}
static const kh_receipt *risk_ask(uint32_t who, uint32_t n)
{
    static uint8_t subjects[KH_SUBJECTS_MAX * 16];
    for (uint32_t i = 0; i < n; i++) {
        char text[16];
        snprintf(text, sizeof text, "S%u", i);
        kh_key key = subject(text);
        memcpy(subjects + 16 * i, key.b, 16);
    }
    kh_op op = {.type = KH_OP_RISK_ASK, .party = who, .risk_ask = {n, subjects}};
    return world_one(w, &op);
}
static uint64_t listed(uint32_t who) { return risk_ask(who, 1)->code == KH_C_OK ? w->out[0].line[0].amount : UINT64_MAX; }

Test(ledger_consent, a_subject_is_listed_while_somebody_contributes)
{
    cr_assert(listed(2) == 0);
    const kh_receipt *r = risk_add(1, "S0", KH_RISK_FRAUD);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_STORED && r->version == 1 && r->moved == 150);
    r = risk_add(1, "S0", KH_RISK_FRAUD);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_UNCHANGED && r->version == 1);
    cr_assert(risk_add(2, "S0", KH_RISK_FRAUD)->effect == KH_EFFECT_STORED);
    cr_assert(risk_add(2, "S0", KH_RISK_DEFAULT)->effect == KH_EFFECT_STORED);
    cr_assert(risk_add(2, "S1", KH_RISK_OTHER)->effect == KH_EFFECT_STORED);
    cr_assert(listed(1) == (1 << KH_RISK_FRAUD | 1 << KH_RISK_DEFAULT) && listed(2) == listed(1));
    cr_assert(risk_ask(0, 3)->code == KH_C_OK && w->out[0].receipt.line_cnt == 3 &&
              w->out[0].line[1].amount == 1 << KH_RISK_OTHER && w->out[0].line[2].amount == 0);
    cr_assert(risk_remove(1, "S0", KH_RISK_FRAUD, 0)->effect == KH_EFFECT_REVOKED);
    cr_assert(risk_remove(1, "S0", KH_RISK_FRAUD, 0)->effect == KH_EFFECT_UNCHANGED);
    cr_assert(listed(1) == (1 << KH_RISK_FRAUD | 1 << KH_RISK_DEFAULT)); /* the other bank's stands */
    cr_assert(risk_remove(1, "S0", KH_RISK_DEFAULT, 2)->code == KH_C_NOT_AUTHORISED);
    cr_assert(risk_remove(1, "S0", KH_RISK_DEFAULT, 1)->effect == KH_EFFECT_UNCHANGED);
    cr_assert(risk_remove(2, "S0", KH_RISK_FRAUD, 2)->effect == KH_EFFECT_REVOKED);
    cr_assert(listed(1) == 1 << KH_RISK_DEFAULT);
    cr_assert(risk_remove(0, "S0", KH_RISK_DEFAULT, 1)->effect ==
              KH_EFFECT_UNCHANGED); /* the operator: of bank 1, which has none */
    cr_assert(risk_remove(0, "S0", KH_RISK_DEFAULT, 2)->effect == KH_EFFECT_REVOKED);
    cr_assert(listed(1) == 0);
    for (uint32_t bank = 1; bank <= 2; bank++) cr_assert(risk_add(bank, "S0", KH_RISK_FRAUD)->code == KH_C_OK);
    cr_assert(risk_add(1, "S0", KH_RISK_OTHER)->code == KH_C_OK);
    cr_assert(risk_remove(0, "S0", KH_RISK_FRAUD, 0)->effect == KH_EFFECT_REVOKED); /* everybody's */
    cr_assert(listed(1) == 1 << KH_RISK_OTHER);
    kh_risk_view a;
    cr_assert(kh_ledger_risk_account(w->l, 1, &a) && a.contributed == 1 && a.allowed == 150);
    cr_assert(kh_ledger_risk_account(w->l, 2, &a) && a.contributed == 1 && !kh_ledger_risk_account(w->l, 100, &a));
}

Test(ledger_consent, who_may_use_the_risk_list)
{
    cr_assert(risk_add(0, "S0", KH_RISK_FRAUD)->code == KH_C_NOT_AUTHORISED); /* the regulator contributes nothing */
    cr_assert(risk_add(100, "S0", KH_RISK_FRAUD)->code == KH_C_NOT_AUTHORISED);
    cr_assert(risk_ask(100, 1)->code == KH_C_NOT_AUTHORISED && risk_ask(50, 1)->code == KH_C_NOT_AUTHORISED);
    cr_assert(risk_remove(100, "S0", KH_RISK_FRAUD, 0)->code == KH_C_NOT_AUTHORISED);
    cr_assert(freeze(w, 1, true) == KH_C_OK);
    cr_assert(risk_add(1, "S0", KH_RISK_FRAUD)->code == KH_C_FROZEN && risk_ask(1, 1)->code == KH_C_FROZEN);
    cr_assert(risk_remove(1, "S0", KH_RISK_FRAUD, 0)->code == KH_C_FROZEN);
}

Test(ledger_consent, questions_are_metered_against_contributions)
{
    kh_risk_view a;
    cr_assert(rule(w, "risk_free_queries", "10") == KH_C_OK && rule(w, "risk_queries_per_entry", "3") == KH_C_OK);
    cr_assert(rule(w, "risk_free_queries", "x") == KH_C_FORMAT);
    cr_assert(risk_ask(1, 8)->code == KH_C_OK);
    const kh_receipt *r = risk_ask(1, 3); /* two are left: nothing is asked, nothing counted */
    cr_assert(r->code == KH_C_RATE_LIMITED && r->line_cnt == 0 && r->amount == 8 && r->moved == 10);
    cr_assert(risk_ask(1, 2)->code == KH_C_OK && risk_ask(1, 1)->code == KH_C_RATE_LIMITED);
    cr_assert(risk_ask(2, 10)->code == KH_C_OK); /* a bank's own matter */
    cr_assert(risk_add(1, "S0", KH_RISK_FRAUD)->code == KH_C_OK);
    cr_assert(risk_ask(1, 2)->code == KH_C_OK);
    cr_assert(risk_remove(1, "S0", KH_RISK_FRAUD, 0)->code == KH_C_OK); /* lowers what is allowed, gives nothing back */
    cr_assert(kh_ledger_risk_account(w->l, 1, &a) && a.contributed == 0 && a.asked == 12 && a.allowed == 10);
    cr_assert(risk_ask(1, 1)->code == KH_C_RATE_LIMITED);
    cr_assert(risk_add(1, "S0", KH_RISK_FRAUD)->code == KH_C_OK);
    cr_assert(risk_ask(1, 1)->code == KH_C_OK && risk_ask(1, 1)->code == KH_C_RATE_LIMITED);
    for (int i = 0; i < 20; i++) cr_assert(risk_ask(0, KH_SUBJECTS_MAX)->code == KH_C_OK); /* the regulator is not metered */
}

Test(ledger_consent, a_subject_has_a_bounded_number_of_contributions)
{
    for (uint32_t bank = 1000; bank < 1000 + 256; bank++) {
        char name[16];
        snprintf(name, sizeof name, "B%u", bank);
        cr_assert(party(w, bank, KH_ROLE_BANK, name, NULL) == KH_C_OK);
        for (uint32_t category = 1; category <= 4; category++)
            cr_assert(risk_add(bank, "S0", (kh_risk)category)->code == KH_C_OK);
    }
    cr_assert(risk_add(1, "S0", KH_RISK_FRAUD)->code == KH_C_CAPACITY);
    cr_assert(risk_add(1000, "S0", KH_RISK_FRAUD)->effect == KH_EFFECT_UNCHANGED);
    cr_assert(risk_add(1, "S1", KH_RISK_FRAUD)->code == KH_C_OK);
    cr_assert(risk_remove(0, "S0", KH_RISK_FRAUD, 0)->code == KH_C_OK); /* 256 rows at once, and their numbers again */
    cr_assert(risk_add(1, "S0", KH_RISK_FRAUD)->code == KH_C_OK);
    cr_assert(listed(1) == (1 << 1 | 1 << 2 | 1 << 3 | 1 << 4));
}

/* ---- digests ---- */

static void mix(void *ctx, const void *p, size_t n)
{
    uint64_t *sum = ctx;
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) *sum = (*sum ^ b[i]) * UINT64_C(0x100000001b3);
}
static uint64_t content(void)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    void *scratch = malloc(kh_ledger_content_scratch(w->l));
    kh_ledger_content(w->l, scratch, mix, &sum);
    free(scratch);
    return sum;
}

Test(ledger_consent, content_says_what_stands_and_not_how_it_came)
{
    uint64_t nothing = content(), check = kh_ledger_check(w->l);
    cr_assert(risk_add(1, "S0", KH_RISK_FRAUD)->code == KH_C_OK);
    uint64_t one = content();
    cr_assert(one != nothing && kh_ledger_check(w->l) != check);
    cr_assert(risk_remove(1, "S0", KH_RISK_FRAUD, 0)->code == KH_C_OK);
    cr_assert(content() == nothing && kh_ledger_check(w->l) == check); /* as if it had never been */
    for (uint32_t i = 0; i < 60; i++) {
        char text[16];
        snprintf(text, sizeof text, "S%u", i % 20);
        (void)risk_add(1 + i % 2, text, (kh_risk)(1 + i / 20));
        (void)grant(i, 1 + i % 2, KH_SCOPE_ALL);
        if (i % 3 == 0) (void)revoke(100, i);
    }
    uint64_t forth = content();
    fixture_stop();
    fixture_start();
    for (uint32_t i = 60; i-- > 0;) {
        char text[16];
        snprintf(text, sizeof text, "S%u", i % 20);
        (void)grant(i, 1 + i % 2, KH_SCOPE_ALL);
        if (i % 3 == 0) (void)revoke(100, i);
        (void)risk_add(2, "GONE", KH_RISK_OTHER);
        (void)risk_add(1 + i % 2, text, (kh_risk)(1 + i / 20));
        (void)risk_remove(0, "GONE", KH_RISK_OTHER, 0);
    }
    cr_assert(content() == forth);
    (void)revoke(100, 1);
    cr_assert(content() != forth);
}
