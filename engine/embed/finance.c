/* finance: single applications and events, and looking at financings. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

/* bank_of opens for writing and resolves --as, which must name a bank. */
static kh_result bank_of(kh_engine *e, const char *as, uint64_t id, const kh_result_sink *sink, uint32_t *ret)
{
    kh_principal who;
    kh_fin_asked asked = {.id = id};
    if (as == NULL) return kh_embed_fail(e, KH_MISUSE, "say which bank acts: --as BANK");
    kh_result result = kh_embed_open(e, KH_WRITING);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(e->store);
    result = kh_embed_principal(e, l, as, KH_DO_FINANCE, &who, &asked.code);
    kh_store_read_end(e->store);
    if (result != KH_DONE) return result;
    *ret = who.party;
    if (asked.code == KH_C_OK) return KH_DONE;
    (void)kh_embed_give_receipt(e, who.party, NULL, &asked, sink);
    return kh_embed_fail(e, KH_DONE_NOT_OK, "%s: only a bank finances (无权操作)", kh_code_name(asked.code));
}

/* No two texts of one id make two parties: a new party's id follows from the text, above the ids that people choose. */
uint32_t kh_embed_enterprise(kh_engine *e, kh_batch *b, const char *text, const kh_key *document, kh_err *ret_err)
{
    kh_party_view party;
    kh_doc_view doc;
    char uscc[KH_ISSUER_MAX + 1];
    uint32_t n, id = 0;
    *ret_err = KH_OK;
    const kh_ledger *l = kh_store_read_begin(e->store);
    if (kh_embed_party(l, text, &party)) id = party.id;
    else if (kh_owner_canonical(kh_text_of(text), uscc, &n) != KH_C_FORMAT && kh_ledger_document(l, document, 0, &doc) &&
             kh_text_equal((kh_text){uscc, n}, (kh_text){doc.owner, doc.owner_n})) {
        id = 0x80000000u | (uint32_t)kh_xxh3(uscc, n);
        while (kh_ledger_party(l, id, &party)) id = 0x80000000u | (id + 1);
        kh_op op = {.type = KH_OP_PARTY_ADD,
                    .party_add = {.id = id, .role = KH_ROLE_ENTERPRISE, .name = {uscc, n}, .uscc = {uscc, n}}};
        for (uint32_t i = 0; i < b->op_cnt; i++)
            if (b->enrolled[i] == id) op.type = 0; /* already in this batch */
        if (op.type != 0) {
            *ret_err = kh_batch_add(b, &op);
            if (*ret_err == KH_OK) b->enrolled[b->op_cnt - 1] = id;
        }
    }
    kh_store_read_end(e->store);
    return id;
}

static bool parse_line(const char *text, const char *owner, kh_currency currency, kh_paper_name *paper, kh_op_line *ret,
                       char *why, size_t cap)
{
    if (!kh_embed_paper(text, NULL, owner, paper, why, cap)) return false;
    *ret = (kh_op_line){.key = paper->key, .currency = paper->currency, .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    if (paper->amount[0] == '\0' || kh_amount_parse(kh_text_of(paper->amount), currency, &ret->allocated) == KH_C_OK) return true;
    (void)snprintf(why, cap, "\"%s\": the part behind = is no amount of %s", text, kh_currency_alpha(currency));
    return false;
}

/* give_last submits the batch whose last operation is the one asked about, and gives its answer. */
static kh_result give_last(kh_engine *e, kh_batch *b, const kh_op *op, uint32_t bank, const kh_fin_asked *asked,
                           const kh_result_sink *sink)
{
    kh_err err = kh_batch_add(b, op);
    if (err == KH_E_ARG)
        return kh_embed_fail(e, KH_MISUSE, "a text is too long, holds a control character, or a number is out of range");
    if (err == KH_OK) err = kh_batch_submit(e, b);
    if (err == KH_OK) err = kh_batch_wait(e, b);
    if (err != KH_OK) return kh_embed_write_failed(e, err);
    kh_code code = kh_embed_give_receipt(e, bank, &b->answers[b->op_cnt - 1], asked, sink);
    return kh_embed_code_ok(code) ? KH_DONE
                                  : kh_embed_fail(e, KH_DONE_NOT_OK, "%s (%s)", kh_code_name(code), kh_code_term_zh(code));
}

kh_result kh_finance_apply(kh_engine *engine, const kh_apply_request *request, const kh_result_sink *sink)
{
    uint32_t bank = 0;
    kh_result result = bank_of(engine, request->as, request->id, sink, &bank);
    if (result != KH_DONE) return result;
    kh_op op = {.type = KH_OP_APPLY, .party = bank};
    kh_op_apply *a = &op.apply;
    if (!kh_currency_of_text(kh_text_of(request->currency), &a->currency))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no ISO 4217 currency",
                             request->currency != NULL ? request->currency : "");
    if (kh_amount_parse(kh_text_of(request->amount), a->currency, &a->amount) != KH_C_OK || a->amount == KH_AMOUNT_NONE)
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no amount of %s", request->amount != NULL ? request->amount : "",
                             kh_currency_alpha(a->currency));
    if (request->document_cnt == 0 || request->document_cnt > KH_LINES_MAX)
        return kh_embed_fail(engine, KH_MISUSE, "a financing names 1 to %d documents (--doc)", KH_LINES_MAX);
    a->id = request->id;
    a->allow_partial = request->allow_partial;
    a->product = kh_text_of(request->product);
    a->line_cnt = request->document_cnt;
    kh_paper_name *papers = calloc(request->document_cnt, sizeof *papers);
    a->lines = calloc(request->document_cnt, sizeof *a->lines);
    if (papers == NULL || a->lines == NULL) result = kh_embed_environment(engine, KH_E_NOMEM, "read the request");
    char why[500], owner[KH_ISSUER_MAX + 1] = "";
    const kh_ledger *l = kh_store_read_begin(engine->store);
    if (request->enterprise != NULL) kh_embed_owner(l, request->enterprise, owner);
    kh_store_read_end(engine->store);
    for (uint32_t i = 0; i < request->document_cnt && result == KH_DONE; i++)
        if (!parse_line(request->documents[i], owner, a->currency, &papers[i], &a->lines[i], why, sizeof why))
            result = kh_embed_fail(engine, KH_MISUSE, "%s", why);
    kh_batch batch = {0};
    kh_err err = result == KH_DONE ? kh_batch_init(&batch) : KH_OK;
    if (result == KH_DONE && err == KH_OK)
        a->enterprise =
            request->enterprise != NULL ? kh_embed_enterprise(engine, &batch, request->enterprise, &papers[0].key, &err) : 0;
    if (err != KH_OK) result = kh_embed_environment(engine, err, "gather the request");
    if (result == KH_DONE) {
        kh_fin_asked asked = {.id = request->id,
                              .currency = a->currency,
                              .amount = a->amount,
                              .papers = papers,
                              .paper_cnt = request->document_cnt};
        result = give_last(engine, &batch, &op, bank, &asked, sink);
    }
    kh_batch_release(&batch);
    free(papers);
    free(a->lines);
    return result;
}

/* The currency of an event's amounts is its financing's, and its enterprise owns the documents; a financing that is not there is
   the ledger's to refuse. */
static kh_currency currency_of(kh_engine *e, uint32_t bank, uint64_t id, char ret_owner[KH_ISSUER_MAX + 1])
{
    kh_fin_view *view = malloc(sizeof *view);
    kh_currency currency = 0;
    kh_party_view enterprise;
    ret_owner[0] = '\0';
    const kh_ledger *l = kh_store_read_begin(e->store);
    if (view != NULL && kh_ledger_financing(l, bank, id, view)) {
        currency = view->currency;
        if (kh_ledger_party(l, view->enterprise, &enterprise)) memcpy(ret_owner, enterprise.uscc, sizeof enterprise.uscc);
    }
    kh_store_read_end(e->store);
    free(view);
    return currency;
}

kh_result kh_finance_event(kh_engine *engine, const kh_event_request *request, const kh_result_sink *sink)
{
    uint32_t bank = 0;
    kh_event event;
    if (!kh_event_of_word(kh_text_of(request->event), &event))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no event: accept approve reject withdraw disburse repay reverse",
                             request->event);
    kh_result result = bank_of(engine, request->as, request->id, sink, &bank);
    if (result != KH_DONE) return result;
    char owner[KH_ISSUER_MAX + 1];
    kh_currency currency = currency_of(engine, bank, request->id, owner);
    kh_op op = {.type = KH_OP_EVENT, .party = bank};
    kh_op_event *v = &op.event;
    *v = (kh_op_event){.id = request->id, .event = (uint8_t)event, .amount = KH_AMOUNT_NONE, .line_cnt = request->allot_cnt};
    kh_repay_source source = KH_SRC_UNKNOWN;
    kh_reason reason = KH_REASON_NONE;
    char *end = NULL;
    if (request->amount != NULL && kh_amount_parse(kh_text_of(request->amount), currency, &v->amount) != KH_C_OK)
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no amount of %s", request->amount, kh_currency_alpha(currency));
    if (request->source != NULL && !kh_repay_source_of_word(kh_text_of(request->source), &source))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no source: collection or own-funds", request->source);
    if (request->reason != NULL && !kh_reason_of_word(kh_text_of(request->reason), &reason))
        return kh_embed_fail(
            engine, KH_MISUSE,
            "\"%s\" is no reason: customer_request documents_incomplete credit_declined duplicate fraud_suspected other",
            request->reason);
    if ((event == KH_EV_REJECT || event == KH_EV_WITHDRAW) && (reason == KH_REASON_NONE || reason == KH_REASON_LAPSED))
        return kh_embed_fail(
            engine, KH_MISUSE,
            "%s needs --reason: customer_request documents_incomplete credit_declined duplicate fraud_suspected other",
            request->event);
    if (request->expect != NULL) {
        unsigned long long expect = strtoull(request->expect, &end, 10);
        if (*request->expect == '\0' || *end != '\0' || expect > UINT32_MAX)
            return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no version", request->expect);
        v->has_expect = 1;
        v->expect = (uint32_t)expect;
    }
    if (request->allot_cnt > KH_LINES_MAX) return kh_embed_fail(engine, KH_MISUSE, "at most %d --allot", KH_LINES_MAX);
    v->source = (uint8_t)source;
    v->reason = (uint8_t)reason;
    kh_op_line lines[KH_LINES_MAX];
    char why[500];
    v->lines = lines;
    for (uint32_t i = 0; i < request->allot_cnt; i++) {
        kh_paper_name paper;
        if (!parse_line(request->allot[i], owner, currency, &paper, &lines[i], why, sizeof why))
            return kh_embed_fail(engine, KH_MISUSE, "%s", why);
    }
    kh_batch batch = {0};
    kh_fin_asked asked = {.id = request->id, .currency = currency};
    result = kh_batch_init(&batch) == KH_OK ? give_last(engine, &batch, &op, bank, &asked, sink)
                                            : kh_embed_environment(engine, KH_E_NOMEM, "gather the event");
    kh_batch_release(&batch);
    return result;
}

kh_result kh_finance_show(kh_engine *engine, const char *id, const char *as, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_READING, as, KH_ASK_FINANCING, sink, &who);
    if (result != KH_DONE) return result;
    kh_fin_view *view = malloc(sizeof *view);
    if (view == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "look");
    const kh_ledger *l = kh_store_read_begin(engine->store);
    if (result == KH_DONE) {
        kh_embed_log_lookup(engine, &who, "financing", id);
        char bank_text[300], *end;
        const char *colon = strrchr(id, ':'), *number = colon != NULL ? colon + 1 : id;
        kh_party_view bank = {.id = who.role == KH_ROLE_BANK ? who.party : 0};
        if (colon != NULL) {
            (void)snprintf(bank_text, sizeof bank_text, "%.*s", (int)(colon - id), id);
            if (!kh_embed_party(l, bank_text, &bank)) bank.id = UINT32_MAX;
        }
        unsigned long long n = strtoull(number, &end, 10);
        bool found = false;
        if (*number == '\0' || *end != '\0')
            result = kh_embed_fail(engine, KH_MISUSE, "\"%s\": a financing is named by the bank's number, or BANK:NUMBER", id);
        else if (bank.id != 0) found = kh_ledger_financing(l, bank.id, n, view);
        else { /* the only financing of this number, whatever the bank */ uint32_t matches = 0;
            kh_fin_view *each = malloc(sizeof *each);
            for (uint64_t cursor = 0; each != NULL && kh_ledger_financing_next(l, &cursor, each);)
                if (each->id == n) {
                    matches++;
                    *view = *each;
                }
            free(each);
            if (matches > 1)
                result = kh_embed_fail(engine, KH_MISUSE, "several banks have a financing %llu: name it BANK:%llu", n, n);
            found = matches == 1;
        }
        if (result == KH_DONE && found && kh_access_may_see_financing(&who, view->bank, view->enterprise))
            kh_embed_give_financing(l, view, sink);
        else if (result == KH_DONE) {
            kh_row_builder b;
            kh_row_begin(&b);
            kh_row_text(&b, "kind", "financing");
            kh_row_text(&b, "number", number);
            kh_row_number(&b, "id", n);
            kh_row_code(&b, KH_C_NOT_FOUND);
            kh_row_give(&b, "not_found", sink);
            result = kh_embed_fail(engine, KH_DONE_NOT_OK, "NOT_FOUND: there is no such financing");
        }
    }
    kh_store_read_end(engine->store);
    free(view);
    return result;
}

kh_result kh_finance_list(kh_engine *engine, const char *as, const char *state, const kh_result_sink *sink)
{
    kh_fin_state wanted = KH_FIN_NONE;
    if (state != NULL && !kh_fin_state_of_word(kh_text_of(state), &wanted))
        return kh_embed_fail(
            engine, KH_MISUSE,
            "\"%s\" is no state: APPLIED ACCEPTED APPROVED DISBURSED PART_REPAID SETTLED REJECTED WITHDRAWN LAPSED REVERSED",
            state);
    kh_principal who;
    kh_result result = kh_embed_enter(engine, KH_READING, as, KH_ASK_FINANCING, sink, &who);
    if (result != KH_DONE) return result;
    kh_fin_view *view = malloc(sizeof *view);
    if (view == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "look");
    const kh_ledger *l = kh_store_read_begin(engine->store);
    if (result == KH_DONE) kh_embed_log_lookup(engine, &who, "financings", state != NULL ? state : "all");
    for (uint64_t cursor = 0; result == KH_DONE && kh_ledger_financing_next(l, &cursor, view);)
        if ((wanted == KH_FIN_NONE || view->state == wanted) && kh_access_may_see_financing(&who, view->bank, view->enterprise))
            kh_embed_give_financing(l, view, sink);
    kh_store_read_end(engine->store);
    free(view);
    return result;
}
