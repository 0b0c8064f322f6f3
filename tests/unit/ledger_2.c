/* ledger: documents: amendments, versions, statuses, LRN and MRN, waiting messages, red letters, corrected invoices, alerts. */
#include "ledger_fixture.h"

TestSuite(ledger_documents, .init = fixture_start, .fini = fixture_stop);

static const kh_receipt *send(kh_op op) { return world_one(w, &op); }
static kh_op invoice(const char *number, uint64_t base)
{
    return doc_op(KH_DOC_PUT, KH_KIND_INVOICE, number, "OWNER1", USD, base);
}
static kh_op credit(const char *number, const char *blue, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, KH_KIND_CREDIT_NOTE, number, "OWNER1", USD, base);
    doc_ref(&op, KH_REF_CORRECTS, KH_KIND_INVOICE, blue);
    return op;
}
static kh_code hold_invoice(uint32_t bank, uint64_t id, const char *number, uint64_t amount)
{
    kh_op_line lines[1];
    part p = {KH_KIND_INVOICE, number, amount, 0, 0};
    kh_op op = apply_op(bank, id, USD, amount, &p, 1, lines);
    return world_one(w, &op)->code;
}
static kh_balance_view inv(const char *number) { return doc_view(w, KH_KIND_INVOICE, number, 0).balances[0]; }

Test(ledger_documents, amendments_and_earlier_versions)
{
    declare(w, 1, USD, 100);
    const kh_receipt *r = declare(w, 1, USD, 80);
    cr_assert(r->effect == KH_EFFECT_AMENDED && r->version == 2 && w->out[0].line[0].amount == 80 &&
              w->out[0].line[0].allocated == 100);
    r = declare(w, 1, USD, 100);
    cr_assert(r->effect == KH_EFFECT_UNCHANGED && balance(w, 1, 0).base == 80);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    op.document.flags = KH_DOCF_FORCE;
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED && balance(w, 1, 0).base == 100);
    op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER2", USD, 100);
    r = send(op);
    cr_assert(r->code == KH_C_CONFLICT && r->mismatch == KH_FIELD_OWNER);
    for (uint64_t base = 200; base < 209; base++) declare(w, 1, USD, base); /* nine versions later the first is forgotten */
    cr_assert(declare(w, 1, USD, 80)->effect == KH_EFFECT_AMENDED);
}

Test(ledger_documents, issue_time_and_version_decide)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    op.document.issue_time = 1000;
    send(op);
    op.document.issue_time = 2000;
    op.document.balances[0].base = 90;
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED);
    op.document.issue_time = 1500;
    op.document.balances[0].base = 70;
    cr_assert(send(op)->effect == KH_EFFECT_UNCHANGED && balance(w, 1, 0).base == 90);
    op.document.issue_time = 3000;
    op.document.balances[0].base = 100; /* a true return to earlier content */
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED && balance(w, 1, 0).base == 100);
    op.document.doc_version = 5;
    send(op);
    op.document.doc_version = 4;
    op.document.issue_time = 9000;
    op.document.balances[0].base = 60;
    cr_assert(send(op)->effect == KH_EFFECT_UNCHANGED && balance(w, 1, 0).base == 100);
}

static kh_status declared_status(void) { return doc_view(w, EXPORT, decl(1), 0).status; }

/* What is said of a status makes no content old that was issued before it and comes after it. */
Test(ledger_documents, content_and_status_have_an_order_each)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    op.document.issue_time = 1000;
    op.document.status = KH_STATUS_ACCEPTED;
    send(op);
    kh_op status = doc_op(KH_DOC_STATUS, EXPORT, decl(1), "", 0, 0);
    status.document.status = KH_STATUS_CLEARED;
    status.document.issue_time = 3000;
    cr_assert(send(status)->effect == KH_EFFECT_STATUS && declared_status() == KH_STATUS_CLEARED);
    kh_op amend = doc_op(KH_DOC_AMEND, EXPORT, decl(1), "OWNER1", USD, 90);
    amend.document.issue_time = 2000;
    cr_assert(send(amend)->effect == KH_EFFECT_AMENDED && balance(w, 1, 0).base == 90);
    status.document.status = KH_STATUS_REJECTED; /* said before it was cleared */
    status.document.issue_time = 2500;
    cr_assert(send(status)->effect == KH_EFFECT_UNCHANGED && declared_status() == KH_STATUS_CLEARED);
    op.document.issue_time = 2700; /* newer content that states an older status */
    op.document.status = KH_STATUS_REVOKED;
    op.document.balances[0].base = 80;
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED && balance(w, 1, 0).base == 80 && declared_status() == KH_STATUS_CLEARED);
    status.document.status = KH_STATUS_EXITED;
    status.document.issue_time = 3500;
    cr_assert(send(status)->effect == KH_EFFECT_STATUS && declared_status() == KH_STATUS_EXITED);
    amend.document.issue_time = 2600;
    amend.document.balances[0].base = 70;
    cr_assert(send(amend)->effect == KH_EFFECT_UNCHANGED && balance(w, 1, 0).base == 80);
}

/* Whoever takes a paper back may name it as it was. */
Test(ledger_documents, a_cancellation_that_names_superseded_content_cancels)
{
    declare(w, 1, USD, 100);
    declare(w, 1, USD, 80);
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    op.document.status = KH_STATUS_REVOKED;
    cr_assert(send(op)->effect == KH_EFFECT_REVOKED && balance(w, 1, 0).base == 80);
    cr_assert(declared_status() == KH_STATUS_REVOKED);
}

Test(ledger_documents, other_content_of_an_invoice_is_a_conflict)
{
    cr_assert(send(invoice("A1", 100))->code == KH_C_OK);
    const kh_receipt *r = send(invoice("A1", 101));
    cr_assert(r->code == KH_C_CONFLICT && r->mismatch == KH_FIELD_AMOUNT && inv("A1").base == 100);
    kh_op op = doc_op(KH_DOC_PUT, KH_KIND_INVOICE, "A2", "OWNER1", 0, 0);
    cr_assert(send(op)->code == KH_C_OK);
    cr_assert(send(invoice("A2", 70))->effect == KH_EFFECT_AMENDED && inv("A2").cap == 70);
    cr_assert(send(op)->effect == KH_EFFECT_UNCHANGED && inv("A2").cap == 70);
}

Test(ledger_documents, an_amendment_cancels_newest_first_and_alerts)
{
    declare(w, 1, USD, 1000);
    disbursed(w, 2, 1, 1, 400);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK && hold(w, 1, 2, 1, 100) == KH_C_OK && hold(w, 1, 3, 1, 100) == KH_C_OK);
    cr_assert(event(w, 1, 3, KH_EV_ACCEPT, ALL) == KH_C_OK);
    declare(w, 1, USD, 600);
    cr_assert(world_notices(w, KH_NOTICE_LINE_CANCELLED) == 1 && world_notice(w, KH_NOTICE_LINE_CANCELLED, 1)->financing == 2);
    cr_assert(fin_view(w, 1, 2).state == KH_FIN_LAPSED && fin_view(w, 1, 2).amount == 0 &&
              world_notices(w, KH_NOTICE_OVER_LIMIT) == 0);
    declare(w, 1, USD, 300);
    cr_assert(world_notice(w, KH_NOTICE_OVER_LIMIT, 1)->moved == 100 && world_notice(w, KH_NOTICE_OVER_LIMIT, 2)->moved == 400);
    cr_assert(balance(w, 1, 0).over_limit && balance(w, 1, 0).free == 0 && balance(w, 1, 0).held == 100);
    cr_assert(event(w, 1, 3, KH_EV_APPROVE, ALL) == KH_C_OK && event(w, 1, 3, KH_EV_DISBURSE, ALL) == KH_C_INSUFFICIENT);
    cr_assert(event(w, 1, 3, KH_EV_WITHDRAW, ALL) == KH_C_OK && balance(w, 1, 0).over_limit);
    cr_assert(repay(w, 2, 1, 100, KH_SRC_OWN_FUNDS) == KH_C_OK);
    cr_assert(world_notices(w, KH_NOTICE_WITHIN_LIMIT) == 1 && !balance(w, 1, 0).over_limit);
}

Test(ledger_documents, a_cancelled_line_lowers_its_financing)
{
    declare(w, 1, USD, 100);
    declare(w, 2, USD, 100);
    kh_op_line lines[2];
    part p[2] = {{EXPORT, decl(1), 60, 0, 0}, {EXPORT, decl(2), 40, 0, 0}};
    kh_op op = apply_op(1, 1, USD, 100, p, 2, lines);
    world_one(w, &op);
    declare(w, 1, USD, 0);
    cr_assert(fin_view(w, 1, 1).state == KH_FIN_APPLIED && fin_view(w, 1, 1).amount == 40 && fin_view(w, 1, 1).version == 2);
    cr_assert(world_notice(w, KH_NOTICE_LINE_CANCELLED, 1)->moved == 60 && balance(w, 2, 0).held == 40);
}

Test(ledger_documents, revoked)
{
    declare(w, 1, USD, 1000);
    disbursed(w, 2, 1, 1, 400);
    cr_assert(hold(w, 1, 1, 1, 100) == KH_C_OK && event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_OK &&
              event(w, 1, 1, KH_EV_APPROVE, ALL) == KH_C_OK);
    kh_op op = doc_op(KH_DOC_CANCEL, KH_KIND_ANY, decl(1), NULL, 0, 0);
    const kh_receipt *r = send(op);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_REVOKED && r->version == 1);
    cr_assert(world_notices(w, KH_NOTICE_REVOKED) == 2 && fin_view(w, 1, 1).state == KH_FIN_LAPSED);
    cr_assert(balance(w, 1, 0).used == 400 && balance(w, 1, 0).held == 0 && hold(w, 1, 2, 1, 1) == KH_C_REVOKED);
    cr_assert(send(op)->effect == KH_EFFECT_UNCHANGED);
    cr_assert(declare(w, 1, USD, 1000)->effect == KH_EFFECT_UNCHANGED &&
              doc_view(w, EXPORT, decl(1), 0).status == KH_STATUS_REVOKED);
    declare(w, 2, USD, 5);
    op.document.number = kh_text_of(decl(2));
    send(op);
    cr_assert(world_notice(w, KH_NOTICE_REVOKED, 0) != NULL);
}

Test(ledger_documents, statuses_of_invoices)
{
    send(invoice("S1", 100));
    cr_assert(hold_invoice(1, 1, "S1", 40) == KH_C_OK);
    kh_op op = doc_op(KH_DOC_STATUS, KH_KIND_INVOICE, "S1", NULL, 0, 0);
    op.document.status = KH_STATUS_ABNORMAL;
    const kh_receipt *r = send(op);
    cr_assert(r->effect == KH_EFFECT_STATUS && world_notice(w, KH_NOTICE_FROZEN_DOCUMENT, 1)->moved == 40);
    cr_assert(hold_invoice(2, 1, "S1", 1) == KH_C_ABNORMAL && inv("S1").held == 40);
    op.document.status = KH_STATUS_NORMAL;
    cr_assert(send(op)->effect == KH_EFFECT_STATUS && hold_invoice(2, 1, "S1", 1) == KH_C_OK);
    op.document.status = KH_STATUS_RED_PENDING;
    cr_assert(send(op)->code == KH_C_OK && hold_invoice(2, 2, "S1", 1) == KH_C_NOT_READY);
    op.document.status = KH_STATUS_NORMAL;
    cr_assert(send(op)->code == KH_C_OK);
    op.document.status = KH_STATUS_LOST_CONTROL;
    cr_assert(send(op)->code == KH_C_OK && hold_invoice(2, 2, "S1", 1) == KH_C_LOST_CONTROL);
    send(invoice("S2", 100));
    cr_assert(hold_invoice(1, 2, "S2", 40) == KH_C_OK);
    op = doc_op(KH_DOC_CANCEL, KH_KIND_INVOICE, "S2", NULL, 0, 0);
    cr_assert(send(op)->effect == KH_EFFECT_REVOKED && inv("S2").cap == 0 && inv("S2").held == 0 &&
              hold_invoice(1, 3, "S2", 1) == KH_C_VOID);
    op.document.action = KH_DOC_STATUS;
    op.document.status = KH_STATUS_NORMAL;
    cr_assert(send(op)->code == KH_C_BAD_STATE);
    op = doc_op(KH_DOC_PUT, EXPORT, decl(9), "OWNER1", USD, 10);
    op.document.status = KH_STATUS_LODGED;
    send(op);
    cr_assert(hold(w, 1, 9, 9, 1) == KH_C_NOT_READY);
}

Test(ledger_documents, red_letters)
{
    send(invoice("R1", 100));
    cr_assert(hold_invoice(1, 1, "R1", 80) == KH_C_OK && event(w, 1, 1, KH_EV_ACCEPT, ALL) == KH_C_OK);
    cr_assert(send(credit("C1", "R1", 30))->code == KH_C_OK);
    cr_assert(inv("R1").red == 30 && inv("R1").cap == 70 && inv("R1").over_limit &&
              world_notice(w, KH_NOTICE_OVER_LIMIT, 1)->moved == 80);
    cr_assert(doc_view(w, KH_KIND_INVOICE, "R1", 0).status == KH_STATUS_RED_PART &&
              doc_view(w, KH_KIND_INVOICE, "R1", 0).version == 1);
    const kh_receipt *r = send(credit("C2", "R1", 71));
    cr_assert(r->code == KH_C_CONFLICT && r->mismatch == KH_FIELD_AMOUNT);
    cr_assert(send(credit("C1", "R1", 30))->effect == KH_EFFECT_UNCHANGED && inv("R1").red == 30);
    cr_assert(event(w, 1, 1, KH_EV_REJECT, ALL) == KH_C_OK && hold_invoice(1, 2, "R1", 10) == KH_C_OK);
    cr_assert(w->out[0].receipt.warning == KH_C_RED_PART);
    cr_assert(send(credit("C3", "R1", 70))->code == KH_C_OK && inv("R1").cap == 0 && inv("R1").held == 0);
    cr_assert(hold_invoice(1, 3, "R1", 1) == KH_C_RED_FULL);
    kh_op op = doc_op(KH_DOC_CANCEL, KH_KIND_CREDIT_NOTE, "C3", NULL, 0, 0);
    cr_assert(send(op)->effect == KH_EFFECT_REVOKED && inv("R1").cap == 70);
    kh_op_line lines[1];
    part p = {KH_KIND_CREDIT_NOTE, "C1", 1, 0, 0};
    op = apply_op(1, 9, USD, 1, &p, 1, lines);
    cr_assert(world_one(w, &op)->code == KH_C_EXHAUSTED);
}

Test(ledger_documents, a_red_letter_waits_for_its_invoice)
{
    cr_assert(send(credit("C1", "R9", 30))->code == KH_C_OK);
    cr_assert(send(invoice("R9", 100))->code == KH_C_OK);
    cr_assert(inv("R9").cap == 70 && world_notices(w, KH_NOTICE_LINKED) == 1);
    kh_op op = credit("C5", "R9", 10);
    op.document.owner = kh_text_of("OWNER2");
    const kh_receipt *r = send(op);
    cr_assert(r->code == KH_C_CONFLICT && r->mismatch == KH_FIELD_OWNER);
}

static kh_op corrected(const char *number, const char *old, uint64_t base)
{
    kh_op op = invoice(number, base);
    doc_ref(&op, KH_REF_CORRECTS, KH_KIND_INVOICE, old);
    return op;
}

Test(ledger_documents, a_corrected_invoice_is_no_second_receivable)
{
    send(invoice("P1", 100));
    cr_assert(hold_invoice(1, 1, "P1", 60) == KH_C_OK);
    const kh_receipt *r = send(corrected("P2", "P1", 90));
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_AMENDED && inv("P1").base == 90 && inv("P2").held == 60);
    cr_assert_str_eq(doc_view(w, KH_KIND_INVOICE, "P2", 0).number, "P1");
    cr_assert(send(corrected("P2", "P1", 90))->effect == KH_EFFECT_UNCHANGED &&
              send(invoice("P1", 100))->effect == KH_EFFECT_UNCHANGED);
    cr_assert(send(corrected("P2", "P1", 95))->code == KH_C_CONFLICT);
    cr_assert(hold_invoice(2, 1, "P2", 31) == KH_C_INSUFFICIENT && hold_invoice(2, 1, "P2", 30) == KH_C_OK);
    kh_ledger_stats stats;
    kh_ledger_get_stats(w->l, &stats);
    cr_assert(stats.documents == 1);
}

static kh_status red_status(const char *number) { return doc_view(w, KH_KIND_INVOICE, number, 0).status; }

Test(ledger_documents, a_corrected_invoice_does_not_forget_its_red_letters)
{
    send(invoice("F1", 100));
    send(credit("C1", "F1", 100));
    cr_assert(send(corrected("F2", "F1", 90))->effect == KH_EFFECT_AMENDED);
    cr_assert(red_status("F2") == KH_STATUS_RED_FULL && inv("F1").base == 90 && inv("F1").red == 90 && inv("F1").cap == 0);
    cr_assert(hold_invoice(1, 1, "F2", 1) == KH_C_RED_FULL);
    cr_assert(send(corrected("F3", "F1", 130))->effect == KH_EFFECT_AMENDED); /* nor does a higher amount revive it */
    cr_assert(red_status("F1") == KH_STATUS_RED_FULL && inv("F1").red == 100 && inv("F1").cap == 0);
    cr_assert(send(credit("C2", "F3", 10))->code == KH_C_OK && inv("F1").red == 110);
    cr_assert(red_status("F1") == KH_STATUS_RED_FULL && inv("F1").cap == 0 && hold_invoice(1, 1, "F1", 1) == KH_C_RED_FULL);
}

Test(ledger_documents, a_corrected_invoice_below_its_red_letters_is_fully_red)
{
    send(invoice("G1", 100));
    send(credit("C1", "G1", 60));
    send(credit("C2", "G1", 30));
    cr_assert(send(corrected("G2", "G1", 50))->code == KH_C_OK);
    cr_assert(red_status("G1") == KH_STATUS_RED_FULL && inv("G1").red == 50 && inv("G1").cap == 0);
    cr_assert(send(corrected("G3", "G1", 80))->code == KH_C_OK); /* both letters count still */
    cr_assert(red_status("G1") == KH_STATUS_RED_FULL && inv("G1").red == 80 && inv("G1").cap == 0);
    cr_assert(send(doc_op(KH_DOC_CANCEL, KH_KIND_CREDIT_NOTE, "C1", NULL, 0, 0))->effect == KH_EFFECT_REVOKED);
    cr_assert(red_status("G1") == KH_STATUS_RED_PART && inv("G1").red == 30 && inv("G1").cap == 50);
}

Test(ledger_documents, a_corrected_invoice_keeps_the_currency_of_its_red_letters)
{
    send(invoice("H1", 100));
    send(credit("C1", "H1", 100));
    kh_op op = corrected("H2", "H1", 90);
    op.document.balances[0].currency = EUR;
    const kh_receipt *r = send(op);
    cr_assert(r->code == KH_C_CONFLICT && r->mismatch == KH_FIELD_CURRENCY);
    cr_assert(red_status("H1") == KH_STATUS_RED_FULL && inv("H1").base == 100 && inv("H1").red == 100);
    op = corrected("H2", "H1", 90); /* nor without an amount */
    op.document.balance_cnt = 0;
    cr_assert(send(op)->code == KH_C_CONFLICT);
}

Test(ledger_documents, what_the_source_calls_fully_red_is_not_revived_by_a_part)
{
    kh_op op = invoice("I1", 100);
    op.document.status = KH_STATUS_RED_FULL;
    send(op);
    cr_assert(send(credit("C1", "I1", 10))->code == KH_C_OK);
    cr_assert(red_status("I1") == KH_STATUS_RED_FULL && inv("I1").cap == 0);
    cr_assert(send(doc_op(KH_DOC_CANCEL, KH_KIND_CREDIT_NOTE, "C1", NULL, 0, 0))->code == KH_C_OK);
    cr_assert(red_status("I1") == KH_STATUS_RED_FULL && inv("I1").cap == 0);
}

static uint64_t digest_of_content(void)
{
    extern void content_hash(void *ctx, const void *p, size_t n);
    uint64_t digest = 0;
    void *scratch = malloc(kh_ledger_content_scratch(w->l));
    kh_ledger_content(w->l, scratch, content_hash, &digest);
    free(scratch);
    return digest;
}
void content_hash(void *ctx, const void *p, size_t n)
{
    uint64_t *digest = ctx;
    for (size_t i = 0; i < n; i++) *digest = *digest * UINT64_C(1099511628211) + ((const uint8_t *)p)[i] + 1;
}

Test(ledger_documents, a_corrected_invoice_that_came_first)
{
    send(corrected("P2", "P1", 90));
    cr_assert(hold_invoice(1, 1, "P2", 60) == KH_C_OK);
    cr_assert(send(invoice("P1", 100))->code == KH_C_OK);
    cr_assert(inv("P1").base == 90 && inv("P1").held == 60 && inv("P2").held == 60);
    cr_assert(send(invoice("P1", 100))->effect == KH_EFFECT_UNCHANGED);
    uint64_t late = digest_of_content();
    world_sound(w);
    world_free(w);
    fixture_start();
    send(invoice("P1", 100));
    send(corrected("P2", "P1", 90));
    cr_assert(hold_invoice(1, 1, "P2", 60) == KH_C_OK);
    cr_assert(digest_of_content() == late);
}

static kh_op lrn_put(const char *lrn, const char *declarant, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, lrn, "OWNER1", USD, base);
    op.document.issuer = kh_text_of(declarant);
    op.document.flags = KH_DOCF_LRN_KEY;
    return op;
}

Test(ledger_documents, an_lrn_takes_its_mrn)
{
    cr_assert(send(lrn_put("LRN1", "AGENT", 100))->code == KH_C_OK);
    kh_op op = doc_op(KH_DOC_STATUS, KH_KIND_ANY, "26NO0000000000001", NULL, 0, 0);
    op.document.lrn = kh_text_of("LRN1");
    op.document.status = KH_STATUS_EXITED;
    cr_assert(send(op)->code == KH_C_OK);
    kh_doc_view by_mrn = doc_view(w, EXPORT, "26NO0000000000001", 0), by_lrn = doc_view(w, EXPORT, "LRN1", 0), full;
    cr_assert(kh_key_equal(&by_mrn.key, &by_lrn.key) && by_mrn.status == KH_STATUS_EXITED);
    cr_assert_str_eq(by_lrn.number, "26NO0000000000001");
    kh_key key = kh_doc_key(EXPORT, kh_text_of("LRN1"), kh_text_of("AGENT"));
    cr_assert(kh_ledger_document(w->l, &key, 0, &full) && kh_key_equal(&full.key, &by_mrn.key));
    cr_assert(send(lrn_put("LRN1", "AGENT", 100))->effect == KH_EFFECT_UNCHANGED);
    send(lrn_put("LRN1", "OTHER", 50)); /* now LRN1 without its declarant means none */
    key = kh_doc_key(EXPORT, kh_text_of("LRN1"), (kh_text){NULL, 0});
    cr_assert(!kh_ledger_document(w->l, &key, 0, &full));
}

Test(ledger_documents, messages_wait_for_their_declaration)
{
    kh_op op = doc_op(KH_DOC_AMEND, KH_KIND_ANY, decl(1), NULL, USD, 70);
    op.document.date = 0;
    const kh_receipt *r = send(op);
    cr_assert(r->code == KH_C_NOT_FOUND && r->effect == KH_EFFECT_WAITING);
    kh_ledger_stats stats;
    kh_ledger_get_stats(w->l, &stats);
    cr_assert(stats.waiting_messages == 1);
    r = declare(w, 1, USD, 100);
    cr_assert(r->effect == KH_EFFECT_STORED && world_notices(w, KH_NOTICE_MESSAGE_APPLIED) == 1 && balance(w, 1, 0).base == 70);
    kh_ledger_get_stats(w->l, &stats);
    cr_assert(stats.waiting_messages == 0 && doc_view(w, EXPORT, decl(1), 0).version == 2);
}

Test(ledger_documents, requests_wait_for_their_notice)
{
    declare(w, 1, USD, 100);
    kh_op op = doc_op(KH_DOC_AMEND, KH_KIND_ANY, decl(1), NULL, USD, 70);
    op.document.flags = KH_DOCF_AWAITS_NOTICE;
    op.document.source = 50;
    const kh_receipt *r = send(op);
    cr_assert(r->code == KH_C_OK && r->effect == KH_EFFECT_WAITING && balance(w, 1, 0).base == 100);
    op.document.action = KH_DOC_CANCEL;
    op.document.balance_cnt = 0;
    cr_assert(send(op)->effect == KH_EFFECT_WAITING);
    op = doc_op(KH_DOC_STATUS, KH_KIND_ANY, decl(1), NULL, 0, 0);
    op.document.flags = KH_DOCF_NOTICE;
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED && balance(w, 1, 0).base == 70);
    op.document.status = KH_STATUS_REVOKED;
    cr_assert(send(op)->effect == KH_EFFECT_REVOKED);
}

Test(ledger_documents, a_request_waits_on_when_its_document_takes_an_mrn)
{
    send(lrn_put("LRN7", "AGENT", 100));
    kh_op op = doc_op(KH_DOC_AMEND, EXPORT, "LRN7", NULL, USD, 70);
    op.document.issuer = kh_text_of("AGENT");
    op.document.flags = KH_DOCF_AWAITS_NOTICE;
    cr_assert(send(op)->effect == KH_EFFECT_WAITING);
    op = doc_op(KH_DOC_STATUS, KH_KIND_ANY, "26NO0000000000007", NULL, 0, 0);
    op.document.lrn = kh_text_of("LRN7");
    cr_assert(send(op)->code == KH_C_OK);
    op = doc_op(KH_DOC_STATUS, KH_KIND_ANY, "26NO0000000000007", NULL, 0, 0);
    op.document.flags = KH_DOCF_NOTICE;
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED && doc_view(w, EXPORT, "26NO0000000000007", 0).balances[0].base == 70);
}

Test(ledger_documents, a_source_may_have_so_many_messages_waiting)
{
    kh_op op = doc_op(KH_DOC_STATUS, KH_KIND_ANY, "X", NULL, 0, 0);
    op.document.source = 50;
    op.document.status = KH_STATUS_EXITED;
    for (uint32_t i = 0; i < 65536; i++) {
        op.document.number = kh_text_of(decl(i));
        world_add(w, &op);
        if (i % 8192 == 8191) world_run(w);
    }
    const kh_receipt *r = send(op);
    cr_assert(r->code == KH_C_CAPACITY && r->effect == KH_EFFECT_NONE);
    op.document.source = 0;
    cr_assert(send(op)->effect == KH_EFFECT_WAITING);
}

Test(ledger_documents, several_currencies_of_one_document)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", 0, 0);
    op.document.balance_cnt = 2;
    op.document.balances[0] = (kh_op_balance){USD, 100};
    op.document.balances[1] = (kh_op_balance){EUR, 50};
    cr_assert(send(op)->code == KH_C_OK && doc_view(w, EXPORT, decl(1), 0).balance_cnt == 2);
    cr_assert(hold(w, 1, 1, 1, 80) == KH_C_OK);
    op.document.balances[0] = (kh_op_balance){JPY, 7};
    op.document.balances[1] = (kh_op_balance){EUR, 60};
    cr_assert(send(op)->effect == KH_EFFECT_AMENDED);
    cr_assert(doc_view(w, EXPORT, decl(1), 0).balances[0].currency == JPY);
    kh_doc_view v = doc_view(w, EXPORT, decl(1), 0);
    cr_assert(v.balance_cnt == 2 && v.balances[1].base == 60 && fin_view(w, 1, 1).state == KH_FIN_LAPSED);
}

Test(ledger_documents, check_digit_and_similar_warn)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(1), "OWNER1", USD, 100);
    op.document.flags = KH_DOCF_CHECK_DIGIT;
    op.document.contract = 77;
    cr_assert(send(op)->warning == KH_C_CHECK_DIGIT);
    op = doc_op(KH_DOC_PUT, EXPORT, decl(2), "OWNER1", USD, 100);
    op.document.contract = 77;
    cr_assert(send(op)->warning == 0);
    cr_assert(hold(w, 1, 1, 1, 10) == KH_C_OK && w->out[0].receipt.warning == 0 && doc_view(w, EXPORT, decl(2), 0).similar);
    cr_assert(hold(w, 2, 1, 2, 10) == KH_C_OK && w->out[0].receipt.warning == KH_C_SIMILAR &&
              world_notice(w, KH_NOTICE_SIMILAR, 0) != NULL);
    op.document.number = kh_text_of(decl(3));
    cr_assert(send(op)->warning == KH_C_SIMILAR && world_notices(w, KH_NOTICE_SIMILAR) == 1);
}

Test(ledger_documents, a_contract_is_looked_at_whatever_went_before)
{
    declare(w, 3, USD, 100);
    cr_assert(hold(w, 1, 9, 3, 10) == KH_C_OK); /* the next ones are of the same bank, product and currency */
    for (uint32_t i = 1; i <= 2; i++) {
        kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(i), "OWNER1", USD, 100);
        op.document.contract = 77;
        cr_assert(send(op)->code == KH_C_OK);
    }
    cr_assert(hold(w, 1, 1, 1, 10) == KH_C_OK && doc_view(w, EXPORT, decl(2), 0).similar);
}
