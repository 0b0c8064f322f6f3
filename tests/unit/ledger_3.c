/* ledger: link groups, exchange rates, rules, verification; and that the same log gives the same state and any bytes an answer.
 */
#include "ledger/state_layout.h"
#include "ledger_fixture.h"

TestSuite(ledger_rules, .init = fixture_start, .fini = fixture_stop);

static const kh_receipt *send(kh_op op) { return world_one(w, &op); }
static kh_op linked(uint32_t n, const char *number, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(n), "OWNER1", USD, base);
    doc_ref(&op, KH_REF_LINK, KH_KIND_INVOICE, number);
    return op;
}
static kh_op invoice(const char *number, uint64_t base)
{
    return doc_op(KH_DOC_PUT, KH_KIND_INVOICE, number, "OWNER1", USD, base);
}
static kh_code hold_invoice(uint32_t bank, uint64_t id, const char *number, uint64_t amount)
{
    kh_op_line lines[1];
    part p = {KH_KIND_INVOICE, number, amount, 0, 0};
    kh_op op = apply_op(bank, id, USD, amount, &p, 1, lines);
    return world_one(w, &op)->code;
}

Test(ledger_rules, a_group_is_financed_once)
{
    send(invoice("I1", 100));
    send(linked(1, "I1", 60));
    send(linked(2, "I1", 50)); /* caps: declarations 110, invoice 100: the group's is 110 */
    cr_assert(hold_invoice(1, 1, "I1", 100) == KH_C_OK);
    cr_assert(balance(w, 1, 0).free == 10 && hold(w, 2, 1, 1, 11) == KH_C_INSUFFICIENT && hold(w, 2, 1, 1, 10) == KH_C_OK);
    cr_assert(hold(w, 2, 2, 2, 1) == KH_C_DUP_HELD_OTHER);
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_OK && event(w, 1, 1, KH_EV_APPROVE, ALL) == KH_C_OK &&
              event(w, 1, 1, KH_EV_DISBURSE, ALL) == KH_C_OK);
    cr_assert(hold(w, 2, 2, 2, 1) == KH_C_DUP_FINANCED_OTHER);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(3), "OWNER2", USD, 500);
    doc_ref(&op, KH_REF_LINK, KH_KIND_INVOICE, "I1");
    send(op);
    cr_assert(doc_view(w, EXPORT, decl(3), 0).link_group == 0 && doc_view(w, EXPORT, decl(1), 0).link_group != 0);
}

Test(ledger_rules, a_late_link_cancels_nothing_and_flags_all)
{
    send(linked(1, "I1", 100));
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK);
    send(invoice("I2", 100));
    cr_assert(hold_invoice(2, 1, "I2", 80) == KH_C_OK);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    doc_ref(&op, KH_REF_LINK, KH_KIND_INVOICE, "I2");
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED);
    cr_assert(world_notices(w, KH_NOTICE_OVER_LIMIT) == 2 && world_notices(w, KH_NOTICE_LINE_CANCELLED) == 0);
    cr_assert(balance(w, 1, 0).over_limit && doc_view(w, KH_KIND_INVOICE, "I2", 0).balances[0].over_limit);
    cr_assert(event(w, 1, 1, KH_EV_WITHDRAW, ALL) == KH_C_OK && !balance(w, 1, 0).over_limit &&
              world_notices(w, KH_NOTICE_WITHIN_LIMIT) == 2);
    send(invoice("I1", 10)); /* the invoice that was named first comes late */
    cr_assert(world_notices(w, KH_NOTICE_LINKED) == 1 &&
              doc_view(w, KH_KIND_INVOICE, "I1", 0).link_group == doc_view(w, EXPORT, decl(1), 0).link_group);
}

Test(ledger_rules, a_65th_member_is_refused)
{
    send(invoice("I1", 100));
    for (uint32_t n = 1; n <= 63; n++) cr_assert(send(linked(n, "I1", 10))->code == KH_C_OK);
    cr_assert(send(linked(64, "I1", 10))->code == KH_C_CAPACITY);
    kh_key key = key_of(EXPORT, decl(64));
    kh_doc_view v;
    cr_assert(!kh_ledger_document(w->l, &key, 0, &v));
}

Test(ledger_rules, another_currency_is_converted_up)
{
    kh_date today = kh_date_of_time(T0);
    declare(w, 1, EUR, 1000);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_NOT_CHECKED);
    cr_assert(rate(w, USD, EUR, "0.5", (kh_date)(today + 1)) == KH_C_OK && hold(w, 1, 1, 1, 100) == KH_C_NOT_CHECKED);
    cr_assert(rate(w, USD, EUR, "0.9", (kh_date)(today - 2)) == KH_C_OK &&
              rate(w, USD, EUR, "0.333", (kh_date)(today - 1)) == KH_C_OK);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK && balance(w, 1, 0).held == 34); /* 33.3 up */
    cr_assert(rate(w, USD, EUR, "2", today) == KH_C_OK);                        /* kept with the line, never revalued */
    cr_assert(event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_OK && event(w, 1, 1, KH_EV_APPROVE, ALL) == KH_C_OK &&
              event(w, 1, 1, KH_EV_DISBURSE, 90) == KH_C_OK);
    cr_assert(balance(w, 1, 0).held == 0 && balance(w, 1, 0).used == 30);
    cr_assert(repay(w, 1, 1, 1, KH_SRC_COLLECTION) == KH_C_OK && balance(w, 1, 0).used == 30 && balance(w, 1, 0).consumed == 0);
    cr_assert(repay(w, 1, 1, 89, KH_SRC_COLLECTION) == KH_C_OK && balance(w, 1, 0).used == 0 && balance(w, 1, 0).consumed == 30);
    kh_op_line lines[1];
    part p = {EXPORT, decl(1), ALL, 0, 0};
    declare(w, 2, EUR, 101);
    p.number = decl(2);
    kh_op op = apply_op(1, 2, USD, 51, &p, 1, lines);
    op.apply.allow_partial = 1;
    cr_assert(world_one(w, &op)->amount == 50 && balance(w, 2, 0).held == 100);
}

Test(ledger_rules, rules_bite)
{
    declare(w, 1, USD, 1001);
    cr_assert(rule(w, "no_such_rule", "1") == KH_C_NOT_FOUND && rule(w, "ratio_bp.kind.invoice", "10001") == KH_C_FORMAT);
    cr_assert(rule(w, "ratio_bp.kind.export_declaration", "8000") == KH_C_OK && balance(w, 1, 0).cap == 1001);
    cr_assert(declare(w, 1, USD, 1003)->code == KH_C_OK && balance(w, 1, 0).cap == 802);
    cr_assert(rule(w, "ratio_bp.product.export_receivable", "5000") == KH_C_OK);
    cr_assert(hold(w, 1, 1, 1, 502) == KH_C_INSUFFICIENT && hold(w, 1, 1, 1, 501) == KH_C_OK &&
              hold(w, 1, 2, 1, 1) == KH_C_INSUFFICIENT);
    cr_assert(rule(w, "ratio_bp.product.export_receivable", "none") == KH_C_OK && hold(w, 1, 2, 1, 1) == KH_C_OK);
    cr_assert(rule(w, "currencies", "EUR, JPY") == KH_C_OK && hold(w, 1, 3, 1, 1) == KH_C_CURRENCY &&
              rule(w, "currencies", "all") == KH_C_OK);
    cr_assert(rule(w, "max_age.export_declaration", "1d") == KH_C_OK);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(2), "OWNER1", USD, 100);
    op.document.date = (kh_date)(kh_date_of_time(T0) - 2);
    send(op);
    cr_assert(hold(w, 1, 3, 2, 1) == KH_C_TOO_OLD);
    op.document.number = kh_text_of(decl(3));
    op.document.date = (kh_date)(kh_date_of_time(T0) - 1);
    send(op);
    cr_assert(hold(w, 1, 3, 3, 1) == KH_C_OK && rule(w, "max_age.export_declaration", "off") == KH_C_OK);
    cr_assert(rule(w, "apply_needs_total", "on") == KH_C_OK && hold(w, 1, 4, 3, 1) == KH_C_FIELD_MISMATCH);
    kh_op_line lines[1];
    part p = {EXPORT, decl(3), 1, 0, 81};
    op = apply_op(1, 4, USD, 1, &p, 1, lines);
    cr_assert(world_one(w, &op)->mismatch == KH_FIELD_TOTAL);
    lines[0].total = 100;
    cr_assert(world_one(w, &op)->code == KH_C_OK && rule(w, "apply_needs_total", "off") == KH_C_OK);
    uint64_t cursor = 0, since;
    char name[KH_RULE_TEXT_MAX + 1], value[KH_RULE_TEXT_MAX + 1], before[KH_RULE_TEXT_MAX + 1] = "";
    bool usual;
    uint32_t n = 0;
    for (; kh_ledger_rule_next(w->l, &cursor, name, value, &usual, &since); n++) {
        cr_assert(strcmp(before, name) < 0);
        memcpy(before, name, sizeof before);
        if (strcmp(name, "hold_ttl_applied") == 0) cr_assert(usual && strcmp(value, "3d") == 0);
        if (strcmp(name, "ratio_bp.kind.export_declaration") == 0) cr_assert(!usual && strcmp(value, "8000") == 0 && since > 0);
    }
    cr_assert(n == 33);
}

/* One line on a paper from which nothing hangs, of a bank that has financed so before, and no product has a rule of its own. */
Test(ledger_rules, the_commonest_application_is_held_to_them)
{
    for (uint32_t i = 1; i <= 3; i++) declare(w, i, USD, 100);
    cr_assert(hold(w, 1, 1, 1, 80) == KH_C_OK && event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_OK);
    cr_assert(event(w, 1, 1, KH_EV_APPROVE, ALL) == KH_C_OK && event(w, 1, 1, KH_EV_DISBURSE, ALL) == KH_C_OK);
    cr_assert(declare(w, 1, USD, 50)->code == KH_C_OK && balance(w, 1, 1).cap == 50); /* less than is lent on it */
    cr_assert(hold(w, 1, 2, 1, 1) == KH_C_DUP_OWN && hold(w, 1, 2, 2, 1) == KH_C_OK);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(4), "OWNER1", USD, 100);
    op.document.date = (kh_date)(kh_date_of_time(T0) - 2);
    cr_assert(send(op)->code == KH_C_OK && rule(w, "max_age.export_declaration", "1d") == KH_C_OK);
    cr_assert(hold(w, 1, 3, 4, 1) == KH_C_TOO_OLD);
    cr_assert(rule(w, "max_age.export_declaration", "off") == KH_C_OK && hold(w, 1, 3, 4, 1) == KH_C_OK);
    cr_assert(rule(w, "apply_needs_total", "on") == KH_C_OK && hold(w, 1, 4, 3, 1) == KH_C_FIELD_MISMATCH);
    cr_assert(rule(w, "apply_needs_total", "off") == KH_C_OK && rule(w, "capacity_financings", "3") == KH_C_OK);
    cr_assert(hold(w, 1, 4, 3, 1) == KH_C_CAPACITY);
    cr_assert(rule(w, "capacity_financings", "4") == KH_C_OK && hold(w, 1, 4, 3, 1) == KH_C_OK);
}

Test(ledger_rules, refusals_are_limited_by_block_time)
{
    declare(w, 1, USD, 100);
    cr_assert(rule(w, "refusal_limit", "2/1") == KH_C_OK);
    cr_assert(hold(w, 1, 1, 1, 101) == KH_C_INSUFFICIENT && hold(w, 1, 1, 1, 101) == KH_C_INSUFFICIENT &&
              hold(w, 1, 1, 1, 1) == KH_C_RATE_LIMITED);
    cr_assert(hold(w, 2, 1, 1, 1) == KH_C_OK);
    w->now += KH_NS_PER_S;
    cr_assert(hold(w, 1, 1, 1, 1) == KH_C_OK && hold(w, 1, 2, 1, 101) == KH_C_INSUFFICIENT &&
              hold(w, 1, 2, 1, 1) == KH_C_RATE_LIMITED);
}

static kh_verdict ask(kh_question q)
{
    kh_verdict v, fast;
    kh_ledger_verify(w->l, &q, 1, &v);
    if (kh_ledger_verify_fast(w->l, &q, 1, &fast) == 1) {
        cr_assert(v.code == fast.code && v.mismatch == fast.mismatch && v.free == fast.free && v.status == fast.status &&
                  v.version == fast.version);
    }
    return v;
}

Test(ledger_rules, verification_gives_the_first_that_applies)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    op.document.contract = 5;
    send(op);
    kh_question q = {.key = key_of(EXPORT, decl(1)),
                     .kind = EXPORT,
                     .bank = 1,
                     .owner_check = kh_owner_check(kh_text_of("OWNER1")),
                     .amount = 100,
                     .currency = USD,
                     .date = 9700,
                     .want = ALL,
                     .direction = 1,
                     .contract = 5,
                     .version = 1};
    cr_assert(ask(q).code == KH_C_OK && ask(q).free == 100);
    q.contract = 0;
    cr_assert(ask(q).code == KH_C_OK);
    q.want = 101;
    cr_assert(ask(q).code == KH_C_INSUFFICIENT);
    q.want = ALL;
    q.number_code = KH_C_CHECK_DIGIT;
    cr_assert(ask(q).code == KH_C_CHECK_DIGIT);
    q.version = 2;
    cr_assert(ask(q).code == KH_C_AMENDED_SINCE && ask(q).version == 1);
    op = doc_op(KH_DOC_CANCEL, EXPORT, decl(1), NULL, 0, 0);
    send(op);
    cr_assert(ask(q).code == KH_C_REVOKED && ask(q).status == KH_STATUS_REVOKED);
    q.amount = 101;
    q.date = 1;
    q.contract = 6;
    kh_verdict v = ask(q);
    cr_assert(v.code == KH_C_FIELD_MISMATCH && v.mismatch == (KH_FIELD_AMOUNT | KH_FIELD_DATE | KH_FIELD_CONTRACT_NO));
    cr_assert(v.status == KH_STATUS_NONE && v.version == 0 && v.free == ALL);
    q.currency = EUR;
    cr_assert(ask(q).mismatch == (KH_FIELD_CURRENCY | KH_FIELD_DATE | KH_FIELD_CONTRACT_NO));
    q.direction = -1;
    cr_assert(ask(q).code == KH_C_DIRECTION);
    q.key = key_of(KH_KIND_IMPORT_DECLARATION, decl(1));
    cr_assert(ask(q).code == KH_C_DIRECTION);
    q.owner_check++;
    cr_assert(ask(q).code == KH_C_OWNER_MISMATCH);
    q.key = key_of(EXPORT, decl(2));
    cr_assert(ask(q).code == KH_C_NOT_FOUND && ask(q).watermark == T0);
    q.number_code = KH_C_FORMAT;
    cr_assert(ask(q).code == KH_C_FORMAT);
}

Test(ledger_rules, verification_and_shortages)
{
    declare(w, 1, USD, 100);
    disbursed(w, 2, 1, 1, 100);
    kh_question q = {.key = key_of(EXPORT, decl(1)), .kind = EXPORT, .bank = 1, .amount = ALL, .want = ALL};
    cr_assert(ask(q).code == KH_C_DUP_FINANCED_OTHER && ask(q).free == 0);
    q.bank = 2;
    cr_assert(ask(q).code == KH_C_DUP_OWN);
    cr_assert(repay(w, 2, 1, ALL, KH_SRC_COLLECTION) == KH_C_OK && ask(q).code == KH_C_EXHAUSTED);
    kh_op op = doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "V", "OWNER1", USD, 10);
    op.document.status = KH_STATUS_VOID;
    send(op);
    q.key = key_of(KH_KIND_INVOICE, "V");
    q.kind = KH_KIND_INVOICE;
    cr_assert(ask(q).code == KH_C_VOID);
}

/* ---- the same log, the same state; and any bytes ---- */

static uint64_t rolling(uint64_t *seed)
{
    return *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407), *seed >> 33;
}

static void random_op(world *at, uint64_t *seed)
{
    static kh_op_line lines[3];
    static char numbers[4][32];
    uint64_t pick = rolling(seed) % 16;
    uint32_t bank = 1 + (uint32_t)(rolling(seed) % 2);
    uint64_t id = rolling(seed) % 60;
    for (int i = 0; i < 4; i++) snprintf(numbers[i], 32, "010120260%09u", (unsigned)(rolling(seed) % 20));
    kh_op op;
    if (pick < 4) {
        op = doc_op(KH_DOC_PUT, EXPORT, numbers[0], rolling(seed) % 9 ? "OWNER1" : "OWNER2", rolling(seed) % 4 ? USD : EUR,
                    rolling(seed) % 900);
        if (rolling(seed) % 3 == 0) doc_ref(&op, KH_REF_LINK, KH_KIND_INVOICE, numbers[1] + 12);
        op.document.contract = rolling(seed) % 4;
    } else if (pick == 4) {
        op = doc_op(KH_DOC_PUT, KH_KIND_INVOICE, numbers[0] + 12, "OWNER1", USD, 500);
        if (rolling(seed) % 2) doc_ref(&op, KH_REF_CORRECTS, KH_KIND_INVOICE, numbers[1] + 12);
    } else if (pick == 5) {
        op = doc_op(KH_DOC_PUT, KH_KIND_CREDIT_NOTE, numbers[0] + 12, "OWNER1", USD, rolling(seed) % 200);
        doc_ref(&op, KH_REF_CORRECTS, KH_KIND_INVOICE, numbers[1] + 12);
    } else if (pick == 6) {
        op = doc_op(rolling(seed) % 9 ? KH_DOC_STATUS : KH_DOC_CANCEL, rolling(seed) % 2 ? KH_KIND_ANY : EXPORT, numbers[0], NULL,
                    0, 0);
        op.document.status = (uint8_t)(KH_STATUS_LODGED + rolling(seed) % 5);
        if (rolling(seed) % 2) op.document.lrn = kh_text_of(numbers[1]);
    } else if (pick == 7) {
        op = doc_op(KH_DOC_STATUS, KH_KIND_INVOICE, numbers[0] + 12, NULL, 0, 0);
        op.document.status = (uint8_t)(KH_STATUS_NORMAL + rolling(seed) % 7);
    } else if (pick < 11) {
        part p[3] = {{EXPORT, numbers[0], 1 + rolling(seed) % 90, 0, 0},
                     {KH_KIND_INVOICE, numbers[1] + 12, ALL, 0, 0},
                     {EXPORT, numbers[2], ALL, 0, 0}};
        op = apply_op(bank, id, USD, p[0].allocated + rolling(seed) % 200, p, 1 + (uint32_t)(rolling(seed) % 3), lines);
        if (op.apply.line_cnt == 1) op.apply.amount = p[0].allocated;
        op.apply.allow_partial = rolling(seed) % 2;
    } else {
        op = event_op(bank, id, (kh_event)(KH_EV_ACCEPT + rolling(seed) % 7), rolling(seed) % 3 ? ALL : rolling(seed) % 90);
        op.event.source = (uint8_t)(rolling(seed) % 3);
        if (op.event.event != KH_EV_REJECT && op.event.event != KH_EV_WITHDRAW) op.event.reason = 0;
        else op.event.reason = KH_REASON_OTHER;
    }
    world_add(at, &op);
}

static void run_random(world *at, uint64_t *seed, uint32_t entries, bool check)
{
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t n = rolling(seed) % 40;
        for (uint64_t k = 0; k < n; k++) random_op(at, seed);
        at->now += rolling(seed) % 8 == 0 ? DAY : KH_NS_PER_S;
        world_run(at);
        if (check) world_sound(at);
    }
}

static void add_bytes(void *ctx, const void *p, size_t n)
{
    uint64_t *digest = ctx;
    for (size_t i = 0; i < n; i++) *digest = *digest * UINT64_C(1099511628211) + ((const uint8_t *)p)[i] + 1;
}
static uint64_t content(const world *at)
{
    uint64_t digest = 7;
    void *scratch = malloc(kh_ledger_content_scratch(at->l));
    kh_ledger_content(at->l, scratch, add_bytes, &digest);
    free(scratch);
    return digest;
}

Test(ledger_rules, random_operations_keep_every_invariant)
{
    uint64_t seed = 1;
    rate(w, USD, EUR, "0.7777", 9000);
    run_random(w, &seed, 1500, true);
    kh_ledger_stats stats;
    kh_ledger_get_stats(w->l, &stats);
    cr_assert(stats.financings > 50 && stats.link_groups > 0);
}

Test(ledger_rules, the_same_log_gives_the_same_state_from_an_image_too)
{
    uint64_t seed_a = 5, seed_b = 5;
    rate(w, USD, EUR, "0.7777", 9000);
    run_random(w, &seed_a, 300, false);
    world *copy = world_new(), *other = world_new();
    for (uint32_t r = 0; r < KH_REGION_MAX; r++) { /* the image of the first: its regions, bound again */
        copy->state.regions[r].row_cnt = w->state.regions[r].row_cnt;
        if (w->state.regions[r].row_cnt == 0) continue;
        memcpy(copy->state.regions[r].base, w->state.regions[r].base, w->state.regions[r].row_cnt * w->state.regions[r].row_sz);
    }
    free(copy->index_mem);
    free(copy->ledger_mem);
    world_bind(copy);
    copy->now = w->now;
    copy->sequence = w->sequence;
    copy->all_outcomes = w->all_outcomes;
    uint64_t seed_copy = seed_a;
    run_random(w, &seed_a, 300, false);
    run_random(copy, &seed_copy, 300, false);
    world_people(other);
    rate(other, USD, EUR, "0.7777", 9000);
    run_random(other, &seed_b, 600, false);
    cr_assert(w->all_outcomes == copy->all_outcomes && w->all_outcomes == other->all_outcomes);
    cr_assert(content(w) == content(copy) && content(w) == content(other));
    cr_assert(kh_ledger_check(w->l) == kh_ledger_check(copy->l) && kh_ledger_check(w->l) == kh_ledger_check(other->l));
    world_sound(copy);
    world_free(copy);
    world_free(other);
}

static void add_leaf_end(void *ctx) { add_bytes(ctx, "end", 3); }
static uint64_t checkpoint(const world *at)
{
    uint64_t digest = 7;
    const kh_leaves leaves = {add_bytes, add_leaf_end, &digest};
    void *scratch = malloc(kh_ledger_checkpoint_scratch(at->l));
    kh_ledger_checkpoint(at->l, scratch, &leaves);
    free(scratch);
    return digest;
}

static world *with_secret(const char *secret)
{
    const uint8_t *usual = fixture_secret;
    fixture_secret = (const uint8_t *)secret;
    world *other = world_new();
    fixture_secret = usual;
    return other;
}

Test(ledger_rules, a_checkpoint_is_the_same_under_another_secret)
{
    uint64_t seed_a = 11, seed_b = 11;
    world *other = with_secret("another secret!");
    rate(w, USD, EUR, "0.7777", 9000);
    run_random(w, &seed_a, 500, false);
    world_people(other);
    rate(other, USD, EUR, "0.7777", 9000);
    run_random(other, &seed_b, 500, false);
    cr_assert(kh_ledger_check(w->l) != kh_ledger_check(other->l));
    cr_assert(checkpoint(w) == checkpoint(other) && content(w) == content(other));
    world_free(other);
}

static void *row_of(uint32_t region, uint64_t row)
{
    const kh_region *r = &w->state.regions[region];
    cr_assert(row < r->row_cnt);
    return (uint8_t *)r->base + row * r->row_sz;
}

/* What a byte of the state has to do with the checkpoint. */
static bool counts(void *byte)
{
    uint64_t before = checkpoint(w);
    *(uint8_t *)byte ^= 1;
    bool counts = checkpoint(w) != before;
    *(uint8_t *)byte ^= 1;
    cr_assert(checkpoint(w) == before);
    return counts;
}

Test(ledger_rules, a_checkpoint_has_what_decides_and_nothing_of_placement)
{
    declare(w, 1, USD, 1000);
    cr_assert(hold(w, 1, 7, 1, 400) == KH_C_OK && hold(w, 2, 8, 1, 100) == KH_C_OK);
    kh_fin *f = row_of(KH_R_FIN, 1);
    cr_assert(f->deadline_ns != 0);
    cr_assert(counts(&f->deadline_ns) && counts(&f->version) && counts(&f->queue_stamp) && counts(&f->state));
    cr_assert(counts(&f->apply_digest) && counts(&f->apply_place) && counts(&f->enterprise) && counts(&f->amount));
    cr_assert(!counts(&f->hash_next) && !counts(&f->queue_next) && !counts(&f->queue_prev));
    kh_cold *c = row_of(KH_R_COLD, 1);
    cr_assert(counts(&c->version) && counts(&c->last));
    kh_party_row *p = row_of(KH_R_PARTY, 1);
    cr_assert(counts(&p->frozen) && counts(&p->refusals_ns) && counts(&p->asked) && counts(&p->last) && !counts(&p->hash_next));
    kh_line *line = row_of(KH_R_LINE, 1);
    cr_assert(counts(&line->repaid) && counts(&line->open));
}

Test(ledger_rules, any_bytes_get_a_receipt_each)
{
    uint64_t seed = 3;
    for (int round = 0; round < 3000; round++) {
        uint32_t n = 1 + (uint32_t)(rolling(&seed) % 6);
        for (uint32_t i = 0; i < n; i++) random_op(w, &seed);
        for (uint64_t k = rolling(&seed) % 6; k > 0; k--) w->ops[rolling(&seed) % w->ops_sz] = (uint8_t)rolling(&seed);
        if (rolling(&seed) % 4 == 0) w->ops_sz -= rolling(&seed) % w->ops_sz;
        world_run(w);
        uint32_t receipts = 0;
        for (uint32_t i = 0; i < w->out_cnt; i++) receipts += !w->out[i].is_notice;
        cr_assert(receipts == n);
    }
}
