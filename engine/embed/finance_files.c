/* finance_files: REQUESTS.csv and EVENTS.csv: a financing a group of lines, a receipt each, printed when durable. */
#include "embed/finance_files.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static kh_err flush(kh_file_run *r)
{
    if (r->n == 0) return KH_OK;
    kh_err err = r->batch.op_cnt > 0 ? kh_batch_submit(r->e, &r->batch) : KH_OK;
    if (err == KH_OK && r->batch.op_cnt > 0) err = kh_batch_wait(r->e, &r->batch);
    if (err != KH_OK) return err;
    for (uint32_t i = 0; i < r->n; i++) {
        kh_file_answer *p = &r->requests[i];
        kh_fin_asked asked = {.line = p->line + r->line_offset,
                              .id = p->id,
                              .currency = p->currency,
                              .code = p->refused,
                              .papers = r->papers + p->first_paper,
                              .paper_cnt = p->paper_cnt};
        (void)snprintf(asked.why, sizeof asked.why, "%s", p->why);
        kh_code code =
            kh_embed_give_receipt(r->e, r->who.party, p->refused != 0 ? NULL : &r->batch.answers[p->op], &asked, r->sink);
        r->not_ok = r->not_ok || !kh_embed_code_ok(code);
        kh_probe_end(&p->probe, p->refused != 0 ? 0 : kh_limit_probes(&r->batch.answers[p->op].receipt));
    }
    kh_batch_reset(&r->batch);
    r->n = 0;
    r->paper_cnt = 0;
    return KH_OK;
}

bool kh_file_number(kh_text text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.n == 0 || text.n > 20) return false;
    for (uint32_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9' || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.p[i] - '0'), &v))
            return false;
    *ret = v;
    return true;
}

kh_err kh_file_flush_before(kh_file_run *r, kh_file_answer *p)
{
    uint32_t first = p->first_paper, cnt = r->paper_cnt - first;
    kh_paper_name *mine = malloc((cnt + 1) * sizeof *mine);
    if (mine == NULL) return KH_E_NOMEM;
    if (cnt > 0) memcpy(mine, r->papers + first, cnt * sizeof *mine);
    kh_err err = flush(r);
    if (cnt > 0) memcpy(r->papers, mine, cnt * sizeof *mine);
    free(mine);
    r->paper_cnt = cnt;
    p->first_paper = 0;
    return err;
}

kh_err kh_file_put(kh_file_run *r, const kh_op *op)
{
    kh_file_answer *p = &r->requests[r->n];
    if (p->refused == 0) {
        kh_err err = kh_batch_add(&r->batch, op);
        if (err == KH_E_FULL) {
            kh_file_answer keep = *p;
            err = kh_file_flush_before(r, &keep);
            if (err != KH_OK) return err;
            r->requests[0] = keep;
            p = &r->requests[0];
            err = kh_batch_add(&r->batch, op);
        }
        if (err == KH_E_ARG || err == KH_E_FULL) {
            p->refused = KH_C_FORMAT;
            (void)snprintf(p->why, sizeof p->why, "a text is too long, holds a control character, or a number is out of range");
        } else if (err != KH_OK) return err;
        else p->op = r->batch.op_cnt - 1;
    }
    r->n++;
    return r->n == KH_FILE_ANSWERS ? flush(r) : KH_OK;
}

void kh_file_refuse(kh_file_answer *p, kh_code code, const char *why)
{
    if (p->refused != 0) return;
    p->refused = code;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
}

/* ---- events ---- */

static const char *const event_columns[] = {"id", "event", "amount", "source", "reason", "expect"};
enum { EVENT_ID, EVENT_EVENT }; /* the needed ones stand first */

static kh_err event_row(kh_file_run *r, const kh_row_view *row)
{
    kh_file_answer *p = &r->requests[r->n];
    *p = (kh_file_answer){.line = row->line, .first_paper = r->paper_cnt};
    kh_op op = {.type = KH_OP_EVENT, .party = r->who.party};
    kh_op_event *v = &op.event;
    kh_op_line none[1];
    v->amount = KH_AMOUNT_NONE;
    v->lines = none;
    kh_event event = KH_EV_NONE;
    kh_repay_source source = KH_SRC_UNKNOWN;
    kh_reason reason = KH_REASON_NONE;
    if (row->code != KH_C_OK) kh_file_refuse(p, KH_C_FORMAT, row->why);
    else if (!kh_file_number(row->get(row, "id"), &p->id)) kh_file_refuse(p, KH_C_FORMAT, "id: a number");
    else {
        kh_text amount = row->get(row, "amount"), source_text = row->get(row, "source"), reason_text = row->get(row, "reason"),
                expect = row->get(row, "expect");
        if (!kh_event_of_word(row->get(row, "event"), &event))
            kh_file_refuse(p, KH_C_FORMAT, "event: accept approve reject withdraw disburse repay reverse");
        if (source_text.n > 0 && !kh_repay_source_of_word(source_text, &source))
            kh_file_refuse(p, KH_C_FORMAT, "source: collection or own-funds");
        if (reason_text.n > 0 && !kh_reason_of_word(reason_text, &reason))
            kh_file_refuse(p, KH_C_FORMAT, "reason: not one of the reason codes");
        if ((event == KH_EV_REJECT || event == KH_EV_WITHDRAW) && reason == KH_REASON_NONE)
            kh_file_refuse(p, KH_C_FORMAT, "reason: reject and withdraw need one");
        uint64_t version = 0;
        if (expect.n > 0 && (!kh_file_number(expect, &version) || version > UINT32_MAX))
            kh_file_refuse(p, KH_C_FORMAT, "expect: a version");
        v->has_expect = expect.n > 0;
        v->expect = (uint32_t)version;
        if (amount.n > 0 && p->refused == 0) {
            kh_currency currency =
                kh_embed_currency_of(r->e, r->who.party, p->id, NULL, NULL); /* the amount is in the financing's */
            p->currency = currency;
            if (kh_amount_parse(amount, currency, &v->amount) != KH_C_OK)
                kh_file_refuse(p, KH_C_FORMAT, "amount: not digits with at most the currency's decimals");
        }
    }
    op.sequence = p->id;
    v->id = p->id;
    v->event = (uint8_t)event;
    v->source = (uint8_t)source;
    v->reason = (uint8_t)reason;
    return kh_file_put(r, &op);
}

static kh_result run(kh_engine *engine, const char *as, const kh_input *input, bool events, bool partial,
                     const kh_result_sink *sink)
{
    kh_input_source source;
    kh_input_source_begin(&source, input);
    kh_file_run *r = calloc(1, sizeof *r);
    kh_file_request *q = calloc(1, sizeof *q);
    kh_rows *rows = NULL;
    kh_principal who = {0};
    kh_result result = as == NULL && engine->party == 0 ? kh_embed_fail(engine, KH_MISUSE, "say which bank acts: --as BANK")
                                                        : kh_embed_enter(engine, KH_WRITING, as, KH_DO_FINANCE, sink, &who);
    kh_err err = r != NULL && q != NULL ? KH_OK : KH_E_NOMEM;
    if (result == KH_DONE && err == KH_OK) {
        r->e = engine;
        r->sink = sink;
        r->who = who;
        r->line_offset = input->line_offset;
        err = kh_batch_init(&r->batch);
    }
    if (result == KH_DONE && err == KH_OK)
        err = events ? kh_rows_open(&source.source, event_columns, sizeof event_columns / sizeof event_columns[0], &rows)
                     : kh_rows_open(&source.source, kh_request_columns, KH_REQUEST_COLUMN_CNT, &rows);
    if (rows != NULL) kh_rows_need(rows, events ? UINT64_C(1) << EVENT_ID | UINT64_C(1) << EVENT_EVENT : kh_request_needed);
    kh_row_view row;
    uint64_t read = 0;
    while (rows != NULL && err == KH_OK && kh_rows_next(rows, &row, &err)) {
        if (++read % 8192 == 0 && sink->progress != NULL) sink->progress(sink->ctx, input->name, source.done, input->size);
        kh_err step = events ? event_row(r, &row) : kh_file_request_row(r, q, &row, partial);
        if (step != KH_OK) err = step;
    }
    if (err == KH_OK && rows != NULL && !events) err = kh_file_request_end(r, q);
    if (err == KH_OK && rows != NULL) err = flush(r);
    if (result == KH_DONE && err == KH_E_FORMAT)
        result = kh_embed_fail(engine, KH_MISUSE, "%s: its first line does not name the columns (docs/CLI.md)", input->name);
    else if (result == KH_DONE && err != KH_OK) result = kh_embed_write_failed(engine, err);
    if (result == KH_DONE && r->not_ok) result = kh_embed_fail(engine, KH_DONE_NOT_OK, "some lines are not OK");
    if (result == KH_DONE && read == 0) result = kh_embed_fail(engine, KH_DONE_NOT_OK, "%s: the file holds no line", input->name);
    if (rows != NULL) kh_rows_close(rows);
    if (r != NULL) {
        kh_batch_release(&r->batch);
        free(r->papers);
    }
    free(r);
    free(q);
    return result;
}

static kh_result run_file(kh_engine *engine, const char *as, const char *file, bool events, bool partial,
                          const kh_result_sink *sink)
{
    kh_file_input f;
    if (kh_file_input_open(&f, file) != KH_OK)
        return kh_embed_fail(engine, KH_MISUSE, "%s cannot be read: %s", file, strerror(errno));
    kh_result result = run(engine, as, &f.input, events, partial, sink);
    kh_file_input_close(&f);
    return result;
}

kh_result kh_finance_apply_file(kh_engine *engine, const char *as, const char *file, bool allow_partial,
                                const kh_result_sink *sink)
{
    return run_file(engine, as, file, false, allow_partial, sink);
}

kh_result kh_finance_events_file(kh_engine *engine, const char *as, const char *file, const kh_result_sink *sink)
{
    return run_file(engine, as, file, true, false, sink);
}

kh_result kh_finance_apply_input(kh_engine *engine, const char *as, const kh_input *input, bool allow_partial,
                                 const kh_result_sink *sink)
{
    return run(engine, as, input, false, allow_partial, sink);
}

kh_result kh_finance_events_input(kh_engine *engine, const char *as, const kh_input *input, const kh_result_sink *sink)
{
    return run(engine, as, input, true, false, sink);
}
