/* finance: single applications and events. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

/* bank_of opens for writing and resolves the asker, which must be a bank. */
static kh_result bank_of(kh_engine *e, const char *as, uint64_t id, const kh_result_sink *sink, kh_principal *ret)
{
    kh_principal who;
    kh_fin_asked asked = {.id = id};
    if (as == NULL && e->party == 0) return kh_embed_fail(e, KH_MISUSE, "say which bank acts: --as BANK");
    kh_result result = kh_embed_open(e, KH_WRITING);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(e->store);
    result = kh_embed_principal(e, l, as, KH_DO_FINANCE, &who, &asked.code);
    kh_store_read_end(e->store);
    if (result != KH_DONE) return result;
    *ret = who;
    if (asked.code == KH_C_OK && !kh_embed_is_elsewhere(e, &who)) return KH_DONE;
    const char *why = asked.code == KH_C_OK ? "this node is another bank's: ask your own" : "only a bank finances (无权操作)";
    if (asked.code == KH_C_OK) asked.code = KH_C_NOT_AUTHORISED;
    (void)kh_embed_give_receipt(e, who.party, NULL, &asked, sink);
    return kh_embed_fail(e, KH_DONE_NOT_OK, "%s: %s", kh_code_name(asked.code), why);
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

/* What a code of an operation alone does not say. */
static const char *hint_of(const kh_op *op, kh_code code)
{
    bool apply = op->type == KH_OP_APPLY;
    if (code == KH_C_FORMAT)
        return apply ? ": either no document states a part, or the parts add up to the amount; each document stands once"
                     : ": each document of the financing is allotted a part once at most, written =AMOUNT, and the parts add up "
                       "to the amount";
    if (code == KH_C_NOT_CHECKED)
        return ": no rate from the financing's currency to a paper's is dated today or before; `kanhe rate list` shows those "
               "there are";
    if (code == KH_C_FIELD_MISMATCH) return ": a paper has no balance in that currency, or another total than stated";
    if (code != KH_C_BAD_STATE) return "";
    return apply ? ": another financing has this number, or the amount is 0"
                 : ": not in this state or version of the financing, or more than it has left";
}

/* give_last submits the batch whose last operation is the one asked about, and gives its answer. */
static kh_result give_last(kh_engine *e, kh_batch *b, const kh_op *op, const kh_fin_asked *asked, const kh_result_sink *sink)
{
    kh_err err = kh_batch_add(b, op);
    if (err == KH_E_ARG)
        return kh_embed_fail(e, KH_MISUSE, "a text is too long, holds a control character, or a number is out of range");
    if (err == KH_OK) err = kh_batch_submit(e, b);
    if (err == KH_OK) err = kh_batch_wait(e, b);
    if (err != KH_OK) return kh_embed_write_failed(e, err);
    kh_code code = kh_embed_give_receipt(e, op->party, &b->answers[b->op_cnt - 1], asked, sink);
    return kh_embed_code_ok(code)
               ? KH_DONE
               : kh_embed_fail(e, KH_DONE_NOT_OK, "%s (%s)%s", kh_code_name(code), kh_code_term_zh(code), hint_of(op, code));
}

kh_result kh_finance_apply(kh_engine *engine, const kh_apply_request *request, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = bank_of(engine, request->as, request->id, sink, &who);
    if (result != KH_DONE) return result;
    kh_op op = {.type = KH_OP_APPLY, .party = who.party};
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
    if (request->enterprise != NULL) kh_embed_owner(engine, l, &who, request->enterprise, owner);
    kh_store_read_end(engine->store);
    for (uint32_t i = 0; i < request->document_cnt && result == KH_DONE; i++)
        if (!parse_line(request->documents[i], owner, a->currency, &papers[i], &a->lines[i], why, sizeof why))
            result = kh_embed_fail(engine, KH_MISUSE, "%s", why);
    kh_batch batch = {0};
    kh_err err = result == KH_DONE ? kh_batch_init(&batch) : KH_OK;
    if (result == KH_DONE && err == KH_OK)
        a->enterprise = request->enterprise != NULL
                            ? kh_embed_enterprise(engine, &batch, &who, request->enterprise, &papers[0].key, &err)
                            : 0;
    bool no_hub = err == KH_E_CLOSED && kh_viewed(engine);
    if (err != KH_OK && !no_hub) result = kh_embed_environment(engine, err, "gather the request");
    if (result == KH_DONE) {
        kh_fin_asked asked = {.id = request->id,
                              .currency = a->currency,
                              .amount = a->amount,
                              .papers = papers,
                              .paper_cnt = request->document_cnt};
        kh_probe probe;
        if (no_hub) {
            asked.code = KH_C_NOT_CHECKED;
            (void)snprintf(asked.why, sizeof asked.why, KH_EMBED_NO_HUB);
            (void)kh_embed_give_receipt(engine, who.party, NULL, &asked, sink);
            result = kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: %s", kh_code_name(asked.code), asked.why);
        } else if (kh_probe_take(engine, &who, a->line_cnt, &probe) == a->line_cnt) {
            result = give_last(engine, &batch, &op, &asked, sink);
            kh_probe_end(&probe,
                         result != KH_MISUSE && batch.op_cnt > 0 ? kh_limit_probes(&batch.answers[batch.op_cnt - 1].receipt) : 0);
        } else {
            asked.code = KH_C_RATE_LIMITED;
            kh_probe_end(&probe, 0);
            (void)kh_embed_give_receipt(engine, who.party, NULL, &asked, sink);
            result = kh_embed_fail(engine, KH_DONE_NOT_OK,
                                   "%s: too many applications for papers that are others' or not there; ask later",
                                   kh_code_name(asked.code));
        }
    }
    kh_batch_release(&batch);
    free(papers);
    free(a->lines);
    return result;
}

static bool moves_money(kh_event event) { return event == KH_EV_DISBURSE || event == KH_EV_REPAY; }

/* What goes with some events alone; another's is refused, not passed over. */
static kh_result options_of(kh_engine *e, const kh_event_request *request, kh_event event)
{
    bool ends = event == KH_EV_REJECT || event == KH_EV_WITHDRAW || event == KH_EV_REVERSE;
    const char *what = request->allot_cnt > 0 && !moves_money(event) ? "parts for documents (allot) go with disburse and repay"
                       : request->source != NULL && event != KH_EV_REPAY ? "a source goes with repay"
                       : request->reason != NULL && !ends                ? "a reason goes with reject, withdraw and reverse"
                                                                         : NULL;
    return what == NULL ? KH_DONE : kh_embed_fail(e, KH_MISUSE, "%s, not with %s", what, request->event);
}

kh_result kh_finance_event(kh_engine *engine, const kh_event_request *request, const kh_result_sink *sink)
{
    kh_principal who;
    kh_event event;
    if (!kh_event_of_word(kh_text_of(request->event), &event))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no event: accept approve reject withdraw disburse repay reverse",
                             request->event);
    kh_result result = options_of(engine, request, event);
    if (result == KH_DONE) result = bank_of(engine, request->as, request->id, sink, &who);
    if (result != KH_DONE) return result;
    char owner[KH_ISSUER_MAX + 1];
    /* the currency of an event's amounts is its financing's, and its enterprise owns the documents; a financing that is not there
       is the ledger's to refuse */
    uint64_t whole;
    kh_currency currency = kh_embed_currency_of(engine, who.party, request->id, owner, &whole);
    kh_op op = {.type = KH_OP_EVENT, .party = who.party};
    kh_op_event *v = &op.event;
    *v = (kh_op_event){.id = request->id, .event = (uint8_t)event, .amount = KH_AMOUNT_NONE, .line_cnt = request->allot_cnt};
    kh_repay_source source = KH_SRC_UNKNOWN;
    kh_reason reason = KH_REASON_NONE;
    char *end = NULL;
    if (request->amount != NULL && kh_amount_parse(kh_text_of(request->amount), currency, &v->amount) != KH_C_OK)
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no amount%s%s", request->amount, currency != 0 ? " of " : "",
                             kh_currency_alpha(currency));
    if (request->amount != NULL && !moves_money(event)) { /* such an event takes the whole of it */
        char is[32];
        (void)kh_amount_format(whole, currency, is);
        if (currency != 0 && v->amount != whole)
            return kh_embed_fail(engine, KH_MISUSE, "%s takes the whole financing, %s, not %s", request->event, is,
                                 request->amount);
        v->amount = KH_AMOUNT_NONE;
    }
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
    result = kh_batch_init(&batch) == KH_OK ? give_last(engine, &batch, &op, &asked, sink)
                                            : kh_embed_environment(engine, KH_E_NOMEM, "gather the event");
    kh_batch_release(&batch);
    return result;
}
