/* finance_requests: REQUESTS.csv: a financing a group of lines; see finance_files.h. */
#include "embed/finance_files.h"
#include <stdio.h>
#include <stdlib.h>

const char *const kh_request_columns[KH_REQUEST_COLUMN_CNT] = {
    "id", "enterprise", "product", "amount", "currency", "kind", "number", "issuer", "allocated", "total", "doc_currency"};
/* id to number: what stands in issuer and allocated may be left out for a line, and so for all of them */
const uint64_t kh_request_needed = (UINT64_C(1) << 7) - 1;

static kh_paper_name *new_paper(kh_file_run *r)
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

/* may_ask takes the tokens of the probe rule. Those of what is gathered come back first where they are missing. */
static kh_err may_ask(kh_file_run *r, kh_file_request *q)
{
    kh_err err = KH_OK;
    uint32_t n = q->op.apply.line_cnt, granted = kh_probe_take(r->e, &r->who, n, &q->p.probe);
    if (granted < n && r->n > 0) {
        kh_probe_end(&q->p.probe, 0);
        err = kh_file_flush_before(r, &q->p);
        granted = err == KH_OK ? kh_probe_take(r->e, &r->who, n, &q->p.probe) : n;
    }
    if (granted < n)
        kh_file_refuse(&q->p, KH_C_RATE_LIMITED, "too many applications for papers that are others' or not there; ask later");
    return err;
}

kh_err kh_file_request_end(kh_file_run *r, kh_file_request *q)
{
    if (!q->open) return KH_OK;
    q->open = false;
    q->op.apply.lines = q->lines;
    q->op.apply.product = kh_text_of(q->product);
    kh_err err = q->p.refused == 0 ? may_ask(r, q) : KH_OK;
    if (err == KH_OK && q->p.refused == 0) {
        /* both the enrolment of a new enterprise and the application go into one batch */
        if (r->batch.op_cnt + 2 > KH_BATCH_OPS || r->batch.n + 2 * KH_OP_MAX_SZ > KH_BATCH_BYTES)
            err = kh_file_flush_before(r, &q->p);
        if (err == KH_OK)
            q->op.apply.enterprise = kh_embed_enterprise(r->e, &r->batch, &r->who, q->enterprise, &q->lines[0].key, &err);
        if (err == KH_E_CLOSED && kh_viewed(r->e)) {
            kh_file_refuse(&q->p, KH_C_NOT_CHECKED, KH_EMBED_NO_HUB);
            err = KH_OK;
        }
    }
    if (err != KH_OK) return err;
    r->requests[r->n] = q->p;
    err = kh_file_put(r, &q->op);
    for (uint32_t i = 0; i < q->behind_cnt && err == KH_OK; i++) {
        r->requests[r->n] = q->behind[i];
        err = kh_file_put(r, NULL);
    }
    return err;
}

/* begin: what is long is not cleared, but written as it comes. */
static void begin(kh_file_run *r, kh_file_request *q, const kh_row_view *row, uint64_t id)
{
    memset(q, 0, offsetof(kh_file_request, behind));
    q->open = true;
    q->p.id = id;
    q->p.line = row->line;
    q->p.first_paper = r->paper_cnt;
}

static void open_request(kh_file_run *r, kh_file_request *q, const kh_row_view *row, uint64_t id, bool partial)
{
    begin(r, q, row, id);
    q->op = (kh_op){.type = KH_OP_APPLY, .party = r->who.party, .sequence = id};
    kh_op_apply *a = &q->op.apply;
    a->id = id;
    a->allow_partial = partial;
    kh_text currency = row->get(row, "currency"), product = row->get(row, "product"), enterprise = row->get(row, "enterprise");
    if (!kh_currency_of_text(currency, &a->currency)) kh_file_refuse(&q->p, KH_C_FORMAT, "currency: not in ISO 4217");
    if (kh_amount_parse(row->get(row, "amount"), a->currency, &a->amount) != KH_C_OK || a->amount == KH_AMOUNT_NONE) {
        a->amount = 0;
        kh_file_refuse(&q->p, KH_C_FORMAT, "amount: not digits with at most the currency's decimals");
    }
    if (product.n > KH_PRODUCT_MAX) kh_file_refuse(&q->p, KH_C_FORMAT, "product: too long");
    else memcpy(q->product, product.p != NULL ? product.p : "", product.n);
    if (enterprise.n > KH_ISSUER_MAX) enterprise.n = 0;
    memcpy(q->enterprise, enterprise.p != NULL ? enterprise.p : "", enterprise.n);
    const kh_ledger *l = kh_store_read_begin(r->e->store);
    kh_embed_owner(r->e, l, &r->who, q->enterprise, q->owner);
    kh_store_read_end(r->e->store);
    q->p.currency = a->currency;
}

static void add_line(kh_file_run *r, kh_file_request *q, const kh_row_view *row)
{
    kh_op_apply *a = &q->op.apply;
    kh_kind kind;
    if (a->line_cnt == KH_LINES_MAX) kh_file_refuse(&q->p, KH_C_CAPACITY, "more than 256 lines");
    if (q->p.refused != 0) return;
    kh_paper_name *paper = new_paper(r);
    if (paper == NULL || !kh_kind_of_columns(row, KH_KIND_ANY, &kind)) {
        kh_file_refuse(&q->p, KH_C_FORMAT, "kind: no kind of document");
        return;
    }
    q->p.paper_cnt++;
    /* a malformed number goes on under a key that nothing has: the ledger refuses that line alone */
    (void)kh_embed_paper_of(kind, row->get(row, "number"), row->get(row, "issuer"), kh_text_of(q->owner), paper);
    kh_op_line *line = &q->lines[a->line_cnt++];
    *line = (kh_op_line){.key = paper->key, .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    kh_text doc_currency = row->get(row, "doc_currency");
    if (doc_currency.n > 0 && !kh_currency_of_text(doc_currency, &line->currency))
        kh_file_refuse(&q->p, KH_C_FORMAT, "doc_currency: not in ISO 4217");
    if (kh_amount_parse(row->get(row, "allocated"), a->currency, &line->allocated) != KH_C_OK)
        kh_file_refuse(&q->p, KH_C_FORMAT, "allocated: no amount");
    if (kh_amount_parse(row->get(row, "total"), line->currency != 0 ? line->currency : a->currency, &line->total) != KH_C_OK)
        kh_file_refuse(&q->p, KH_C_FORMAT, "total: no amount");
}

/* agree refuses a financing whose lines say different things of the whole; what a later line leaves out, the first has said. */
static void agree(kh_file_request *q, const kh_row_view *row)
{
    const kh_op_apply *a = &q->op.apply;
    kh_text amount = row->get(row, "amount"), currency = row->get(row, "currency"), product = row->get(row, "product"),
            enterprise = row->get(row, "enterprise");
    kh_currency in;
    uint64_t whole;
    if (currency.n > 0 && (!kh_currency_of_text(currency, &in) || in != a->currency))
        kh_file_refuse(&q->p, KH_C_FORMAT, "currency: the lines of one financing differ");
    if (amount.n > 0 && (kh_amount_parse(amount, a->currency, &whole) != KH_C_OK || whole != a->amount))
        kh_file_refuse(&q->p, KH_C_FORMAT, "amount: the lines of one financing differ; it is the total of all of them");
    if (product.n > 0 && !kh_text_equal(product, kh_text_of(q->product)))
        kh_file_refuse(&q->p, KH_C_FORMAT, "product: the lines of one financing differ");
    if (enterprise.n > 0 && !kh_text_equal(enterprise, kh_text_of(q->enterprise)))
        kh_file_refuse(&q->p, KH_C_FORMAT, "enterprise: the lines of one financing differ");
}

/* open_refused begins a financing with a line that cannot be read but shows whose it is: nothing of it is done. */
static void open_refused(kh_file_run *r, kh_file_request *q, const kh_row_view *row, uint64_t id)
{
    begin(r, q, row, id);
    kh_file_refuse(&q->p, KH_C_FORMAT, row->why);
}

/* put_unread answers a line by itself, beside the financing that is being gathered. */
static kh_err put_unread(kh_file_run *r, kh_file_request *q, const kh_row_view *row, uint64_t id)
{
    kh_file_answer p = {.id = id, .line = row->line};
    kh_file_refuse(&p, KH_C_FORMAT, row->code != KH_C_OK ? row->why : "id: a number that the bank chooses");
    if (q->open && q->behind_cnt < KH_FILE_BEHIND) {
        q->behind[q->behind_cnt++] = p;
        return KH_OK;
    }
    kh_err err = q->open && r->n + 1 == KH_FILE_ANSWERS ? kh_file_flush_before(r, &q->p) : KH_OK;
    if (err != KH_OK) return err;
    r->requests[r->n] = p;
    if (!q->open) return kh_file_put(r, NULL);
    r->n++;
    return KH_OK;
}

static void lacks(const kh_file_run *r, kh_file_request *q, uint64_t line)
{
    char why[sizeof q->p.why];
    (void)snprintf(why, sizeof why, "line %llu, which is of this financing, cannot be read: nothing of it was done",
                   (unsigned long long)(line + r->line_offset));
    kh_file_refuse(&q->p, KH_C_FORMAT, why);
}

kh_err kh_file_request_row(kh_file_run *r, kh_file_request *q, const kh_row_view *row, bool partial)
{
    uint64_t id = 0;
    bool named = kh_file_number(row->get(row, "id"), &id), sound = row->code == KH_C_OK && named;
    bool goes_on = q->open && (!named || q->p.id == id);
    kh_err err = goes_on ? KH_OK : kh_file_request_end(r, q);
    if (err != KH_OK) return err;
    if (!sound && (goes_on || !named)) {
        if (named) lacks(r, q, row->line);
        else if (q->unread == 0) q->unread = row->line;
        return put_unread(r, q, row, id);
    }
    if (!sound) open_refused(r, q, row, id);
    else if (!goes_on) open_request(r, q, row, id, partial);
    else agree(q, row);
    if (q->unread != 0) lacks(r, q, q->unread);
    if (sound) add_line(r, q, row);
    return KH_OK;
}
