/* finance_files: REQUESTS.csv and EVENTS.csv: a financing a group of lines, a receipt each, printed when durable. */
#include "embed/embed.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PENDING = 1024 };

typedef struct pending {
    uint64_t id, line;
    uint32_t first_paper, paper_cnt;
    kh_code refused;
    char why[160];
    uint32_t op;
    kh_currency currency;
    kh_probe probe;
} pending;

typedef struct runner {
    kh_engine *e;
    kh_principal who; /* the bank */
    uint64_t line_offset;
    const kh_result_sink *sink;
    kh_batch batch;
    pending requests[PENDING];
    uint32_t n;
    kh_paper_name *papers;
    uint32_t paper_cnt, paper_cap;
    bool not_ok;
} runner;

static kh_err flush(runner *r)
{
    if (r->n == 0) return KH_OK;
    kh_err err = r->batch.op_cnt > 0 ? kh_batch_submit(r->e, &r->batch) : KH_OK;
    if (err == KH_OK && r->batch.op_cnt > 0) err = kh_batch_wait(r->e, &r->batch);
    if (err != KH_OK) return err;
    for (uint32_t i = 0; i < r->n; i++) {
        pending *p = &r->requests[i];
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

static bool number_of(kh_text text, uint64_t *ret)
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

/* flush_before sends what is gathered; the papers of a request that is not yet in the batch move to the front. */
static kh_err flush_before(runner *r, pending *p)
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

/* put adds r->requests[r->n], whose operation is *op (NULL: it was refused). */
static kh_err put(runner *r, const kh_op *op)
{
    pending *p = &r->requests[r->n];
    if (p->refused == 0) {
        kh_err err = kh_batch_add(&r->batch, op);
        if (err == KH_E_FULL) {
            pending keep = *p;
            err = flush_before(r, &keep);
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
    return r->n == PENDING ? flush(r) : KH_OK;
}

static void refuse(pending *p, kh_code code, const char *why)
{
    if (p->refused != 0) return;
    p->refused = code;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
}

static kh_paper_name *new_paper(runner *r)
{
    if (r->paper_cnt == r->paper_cap) {
        uint32_t cap = r->paper_cap == 0 ? 2048 : r->paper_cap * 2;
        kh_paper_name *more = realloc(r->papers, cap * sizeof *more);
        if (more == NULL) return NULL;
        r->papers = more;
        r->paper_cap = cap;
    }
    return &r->papers[r->paper_cnt++];
}

/* ---- requests ---- */

typedef struct request { /* the financing being gathered from consecutive lines */
    bool open, partial;
    kh_op op;
    kh_op_line lines[KH_LINES_MAX];
    char product[KH_PRODUCT_MAX + 1];
    char enterprise[KH_ISSUER_MAX + 1], owner[KH_ISSUER_MAX + 1];
    pending p;
} request;

/* may_ask takes the tokens of the probe rule. Those of what is gathered come back first where they are missing. */
static kh_err may_ask(runner *r, request *q)
{
    kh_err err = KH_OK;
    uint32_t n = q->op.apply.line_cnt, granted = kh_probe_take(r->e, &r->who, n, &q->p.probe);
    if (granted < n && r->n > 0) {
        kh_probe_end(&q->p.probe, 0);
        err = flush_before(r, &q->p);
        granted = err == KH_OK ? kh_probe_take(r->e, &r->who, n, &q->p.probe) : n;
    }
    if (granted < n)
        refuse(&q->p, KH_C_RATE_LIMITED, "too many applications for papers that are others' or not there; ask later");
    return err;
}

static kh_err close_request(runner *r, request *q)
{
    if (!q->open) return KH_OK;
    q->open = false;
    q->op.apply.lines = q->lines;
    q->op.apply.product = kh_text_of(q->product);
    kh_err err = q->p.refused == 0 ? may_ask(r, q) : KH_OK;
    if (err == KH_OK && q->p.refused == 0) {
        /* both the enrolment of a new enterprise and the application go into one batch */
        if (r->batch.op_cnt + 2 > KH_BATCH_OPS || r->batch.n + 2 * KH_OP_MAX_SZ > KH_BATCH_BYTES) err = flush_before(r, &q->p);
        if (err == KH_OK)
            q->op.apply.enterprise = kh_embed_enterprise(r->e, &r->batch, &r->who, q->enterprise, &q->lines[0].key, &err);
        if (err == KH_E_CLOSED && kh_viewed(r->e)) {
            refuse(&q->p, KH_C_NOT_CHECKED, KH_EMBED_NO_HUB);
            err = KH_OK;
        }
    }
    if (err != KH_OK) return err;
    r->requests[r->n] = q->p;
    return put(r, &q->op);
}

static void open_request(runner *r, request *q, const kh_row_view *row, uint64_t id, bool partial)
{
    *q = (request){.open = true, .p = {.id = id, .line = row->line, .first_paper = r->paper_cnt}};
    q->op = (kh_op){.type = KH_OP_APPLY, .party = r->who.party, .sequence = id};
    kh_op_apply *a = &q->op.apply;
    a->id = id;
    a->allow_partial = partial;
    kh_text currency = row->get(row, "currency"), product = row->get(row, "product"), enterprise = row->get(row, "enterprise");
    if (!kh_currency_of_text(currency, &a->currency)) refuse(&q->p, KH_C_FORMAT, "currency: not in ISO 4217");
    if (kh_amount_parse(row->get(row, "amount"), a->currency, &a->amount) != KH_C_OK || a->amount == KH_AMOUNT_NONE) {
        a->amount = 0;
        refuse(&q->p, KH_C_FORMAT, "amount: not digits with at most the currency's decimals");
    }
    if (product.n > KH_PRODUCT_MAX) refuse(&q->p, KH_C_FORMAT, "product: too long");
    else memcpy(q->product, product.p != NULL ? product.p : "", product.n);
    if (enterprise.n > KH_ISSUER_MAX) enterprise.n = 0;
    memcpy(q->enterprise, enterprise.p != NULL ? enterprise.p : "", enterprise.n);
    const kh_ledger *l = kh_store_read_begin(r->e->store);
    kh_embed_owner(r->e, l, &r->who, q->enterprise, q->owner);
    kh_store_read_end(r->e->store);
    q->p.currency = a->currency;
}

static void add_line(runner *r, request *q, const kh_row_view *row)
{
    kh_op_apply *a = &q->op.apply;
    kh_kind kind;
    kh_paper_name *paper = new_paper(r);
    if (a->line_cnt == KH_LINES_MAX) {
        refuse(&q->p, KH_C_CAPACITY, "more than 256 lines");
        return;
    }
    if (paper == NULL || !kh_kind_of_columns(row, KH_KIND_ANY, &kind)) {
        refuse(&q->p, KH_C_FORMAT, "kind: no kind of document");
        return;
    }
    q->p.paper_cnt++;
    /* a malformed number goes on under a key that nothing has: the ledger refuses that line alone */
    (void)kh_embed_paper_of(kind, row->get(row, "number"), row->get(row, "issuer"), kh_text_of(q->owner), paper);
    kh_op_line *line = &q->lines[a->line_cnt++];
    *line = (kh_op_line){.key = paper->key, .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    kh_text doc_currency = row->get(row, "doc_currency");
    if (doc_currency.n > 0 && !kh_currency_of_text(doc_currency, &line->currency))
        refuse(&q->p, KH_C_FORMAT, "doc_currency: not in ISO 4217");
    if (kh_amount_parse(row->get(row, "allocated"), a->currency, &line->allocated) != KH_C_OK)
        refuse(&q->p, KH_C_FORMAT, "allocated: no amount");
    if (kh_amount_parse(row->get(row, "total"), line->currency != 0 ? line->currency : a->currency, &line->total) != KH_C_OK)
        refuse(&q->p, KH_C_FORMAT, "total: no amount");
}

/* agree refuses a financing whose lines say different things of the whole; what a later line leaves out, the first has said. */
static void agree(request *q, const kh_row_view *row)
{
    const kh_op_apply *a = &q->op.apply;
    kh_text amount = row->get(row, "amount"), currency = row->get(row, "currency"), product = row->get(row, "product"),
            enterprise = row->get(row, "enterprise");
    kh_currency in;
    uint64_t whole;
    if (currency.n > 0 && (!kh_currency_of_text(currency, &in) || in != a->currency))
        refuse(&q->p, KH_C_FORMAT, "currency: the lines of one financing differ");
    if (amount.n > 0 && (kh_amount_parse(amount, a->currency, &whole) != KH_C_OK || whole != a->amount))
        refuse(&q->p, KH_C_FORMAT, "amount: the lines of one financing differ; it is the total of all of them");
    if (product.n > 0 && !kh_text_equal(product, kh_text_of(q->product)))
        refuse(&q->p, KH_C_FORMAT, "product: the lines of one financing differ");
    if (enterprise.n > 0 && !kh_text_equal(enterprise, kh_text_of(q->enterprise)))
        refuse(&q->p, KH_C_FORMAT, "enterprise: the lines of one financing differ");
}

static const char *const request_columns[] = {"id",     "enterprise", "product",   "amount", "currency",    "kind",
                                              "number", "issuer",     "allocated", "total",  "doc_currency"};
static const char *const event_columns[] = {"id", "event", "amount", "source", "reason", "expect"};

static kh_err request_row(runner *r, request *q, const kh_row_view *row, bool partial)
{
    uint64_t id = 0;
    bool sound = row->code == KH_C_OK && number_of(row->get(row, "id"), &id);
    if (sound && q->open && q->p.id == id) {
        agree(q, row);
        add_line(r, q, row);
        return KH_OK;
    }
    kh_err err = close_request(r, q);
    if (err != KH_OK) return err;
    if (sound) {
        open_request(r, q, row, id, partial);
        add_line(r, q, row);
        return KH_OK;
    }
    pending *p = &r->requests[r->n];
    *p = (pending){.line = row->line, .first_paper = r->paper_cnt};
    refuse(p, KH_C_FORMAT, row->code != KH_C_OK ? row->why : "id: a number that the bank chooses");
    return put(r, NULL);
}

/* ---- events ---- */

static kh_err event_row(runner *r, const kh_row_view *row)
{
    pending *p = &r->requests[r->n];
    *p = (pending){.line = row->line, .first_paper = r->paper_cnt};
    kh_op op = {.type = KH_OP_EVENT, .party = r->who.party};
    kh_op_event *v = &op.event;
    kh_op_line none[1];
    v->amount = KH_AMOUNT_NONE;
    v->lines = none;
    kh_event event = KH_EV_NONE;
    kh_repay_source source = KH_SRC_UNKNOWN;
    kh_reason reason = KH_REASON_NONE;
    if (row->code != KH_C_OK) refuse(p, KH_C_FORMAT, row->why);
    else if (!number_of(row->get(row, "id"), &p->id)) refuse(p, KH_C_FORMAT, "id: a number");
    else {
        kh_text amount = row->get(row, "amount"), source_text = row->get(row, "source"), reason_text = row->get(row, "reason"),
                expect = row->get(row, "expect");
        if (!kh_event_of_word(row->get(row, "event"), &event))
            refuse(p, KH_C_FORMAT, "event: accept approve reject withdraw disburse repay reverse");
        if (source_text.n > 0 && !kh_repay_source_of_word(source_text, &source))
            refuse(p, KH_C_FORMAT, "source: collection or own-funds");
        if (reason_text.n > 0 && !kh_reason_of_word(reason_text, &reason))
            refuse(p, KH_C_FORMAT, "reason: not one of the reason codes");
        if ((event == KH_EV_REJECT || event == KH_EV_WITHDRAW) && reason == KH_REASON_NONE)
            refuse(p, KH_C_FORMAT, "reason: reject and withdraw need one");
        uint64_t version = 0;
        if (expect.n > 0 && (!number_of(expect, &version) || version > UINT32_MAX)) refuse(p, KH_C_FORMAT, "expect: a version");
        v->has_expect = expect.n > 0;
        v->expect = (uint32_t)version;
        if (amount.n > 0 && p->refused == 0) {
            kh_currency currency = kh_embed_currency_of(r->e, r->who.party, p->id, NULL); /* the amount is in the financing's */
            p->currency = currency;
            if (kh_amount_parse(amount, currency, &v->amount) != KH_C_OK)
                refuse(p, KH_C_FORMAT, "amount: not digits with at most the currency's decimals");
        }
    }
    op.sequence = p->id;
    v->id = p->id;
    v->event = (uint8_t)event;
    v->source = (uint8_t)source;
    v->reason = (uint8_t)reason;
    return put(r, &op);
}

static kh_result run(kh_engine *engine, const char *as, const kh_input *input, bool events, bool partial,
                     const kh_result_sink *sink)
{
    kh_input_source source;
    kh_input_source_begin(&source, input);
    runner *r = calloc(1, sizeof *r);
    request *q = calloc(1, sizeof *q);
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
                     : kh_rows_open(&source.source, request_columns, sizeof request_columns / sizeof request_columns[0], &rows);
    kh_row_view row;
    uint64_t read = 0;
    while (rows != NULL && err == KH_OK && kh_rows_next(rows, &row, &err)) {
        if (++read % 8192 == 0 && sink->progress != NULL) sink->progress(sink->ctx, input->name, source.done, input->size);
        kh_err step = events ? event_row(r, &row) : request_row(r, q, &row, partial);
        if (step != KH_OK) err = step;
    }
    if (err == KH_OK && rows != NULL && !events) err = close_request(r, q);
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
