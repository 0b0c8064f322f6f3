/* answers: financings as rows: from a receipt (what the log says of one event) and from the ledger (as it is now). */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

bool kh_embed_code_ok(kh_code code) { return code == KH_C_OK || kh_code_is_warning(code); }

typedef struct one_document {
    kh_paper_name paper;
    kh_currency currency, financing_currency;
    uint64_t amount, allocated;
    kh_code code;
} one_document;

/* name_of finds what a key is called: as the request said, else as it is stored, else the number that the key packs. */
static void name_of(const kh_ledger *l, const kh_key *key, const kh_fin_asked *asked, kh_paper_name *ret)
{
    for (uint32_t i = 0; asked != NULL && i < asked->paper_cnt + asked->known_cnt; i++) {
        const kh_paper_name *paper = i < asked->paper_cnt ? &asked->papers[i] : &asked->known[i - asked->paper_cnt];
        if (!kh_key_equal(&paper->key, key)) continue;
        *ret = *paper;
        return;
    }
    kh_doc_view doc;
    *ret = (kh_paper_name){.kind = kh_doc_key_kind(key), .key = *key};
    if (l != NULL && kh_ledger_document(l, key, 0, &doc)) {
        memcpy(ret->number, doc.number, doc.number_n + 1);
        memcpy(ret->issuer, doc.issuer, doc.issuer_n + 1);
    } else {
        ret->number[kh_doc_key_number(key, ret->number)] = '\0';
    }
}

typedef struct document_rows {
    kh_row_builder *builders;
    kh_result_row *rows;
    uint32_t n;
} document_rows;

static bool rows_init(document_rows *d, uint32_t n)
{
    *d = (document_rows){.n = n, .builders = malloc((n + 1) * sizeof *d->builders), .rows = malloc((n + 1) * sizeof *d->rows)};
    return d->builders != NULL && d->rows != NULL;
}

static void rows_free(document_rows *d)
{
    free(d->builders);
    free(d->rows);
}

/* What could not be checked: the ledger may lack a rate alone, a bank's node a hub. */
static void reason_row(kh_row_builder *b, kh_code code, bool by_ledger)
{
    if (code == KH_C_NOT_CHECKED) kh_row_text(b, "reason", by_ledger ? "rate" : "hub");
}

static void document_row(document_rows *d, uint32_t at, const one_document *doc)
{
    kh_row_builder *b = &d->builders[at];
    kh_row_begin(b);
    kh_row_text(b, "kind", kh_kind_word(doc->paper.kind));
    kh_row_text(b, "number", doc->paper.number);
    kh_row_issuer(b, doc->paper.issuer);
    kh_row_text(b, "currency", doc->currency != 0 ? kh_currency_alpha(doc->currency) : NULL);
    kh_row_amount(b, "amount", doc->amount, doc->currency != 0 ? doc->currency : doc->financing_currency);
    kh_row_amount(b, "allocated", doc->allocated, doc->financing_currency);
    kh_row_code(b, doc->code);
    reason_row(b, doc->code, true);
    d->rows[at] = (kh_result_row){"document", b->fields, b->n};
}

/* line_of gives line `i` of a receipt as a row's content. A malformed number was asked under a key that nothing has: its code is
 * FORMAT. */
static void line_of(const kh_ledger *l, const kh_receipt_line *line, kh_currency currency, const kh_fin_asked *asked,
                    one_document *ret)
{
    name_of(l, &line->key, asked, &ret->paper);
    ret->currency = line->currency;
    ret->financing_currency = currency;
    ret->amount = line->amount == KH_AMOUNT_NONE ? 0 : line->amount;
    ret->allocated = line->allocated == KH_AMOUNT_NONE ? 0 : line->allocated;
    /* an enterprise's id does not tell its USCC to who holds no paper of it */
    if (ret->paper.issuer_by_owner && kh_limit_is_probe(line->code)) ret->paper.issuer[0] = '\0';
    ret->code = line->code == KH_C_NOT_FOUND && ret->paper.code == KH_C_FORMAT ? KH_C_FORMAT : line->code;
}

kh_code kh_embed_give_receipt(kh_engine *e, uint32_t bank, const kh_answer *a, const kh_fin_asked *asked,
                              const kh_result_sink *sink)
{
    static const kh_receipt nothing;
    const kh_receipt *r = a != NULL ? &a->receipt : &nothing;
    kh_code code = a != NULL ? r->code : asked->code;
    kh_currency currency = r->currency != 0 ? r->currency : asked->currency;
    document_rows documents;
    kh_row_builder *b = malloc(sizeof *b);
    if (!rows_init(&documents, r->line_cnt) || b == NULL) {
        rows_free(&documents);
        free(b);
        (void)kh_embed_environment(e, KH_E_NOMEM, "print an answer");
        return code;
    }
    kh_fin_asked names = *asked;
    kh_paper_name *known = NULL;
    if (kh_viewed(e) && r->line_cnt > 0) kh_viewed_papers(e, asked->id, &known, &names.known_cnt);
    names.known = known;
    if (currency == 0 && r->state == 0) currency = kh_embed_currency_of(e, bank, asked->id, NULL, NULL);
    const kh_ledger *l = kh_store_read_begin(e->store);
    for (uint32_t i = 0; i < r->line_cnt; i++) {
        one_document doc;
        line_of(l, &r->lines[i], currency, &names, &doc);
        if (code == KH_C_NOT_FOUND && doc.code == KH_C_FORMAT && r->lines[i].code == KH_C_NOT_FOUND) code = KH_C_FORMAT;
        document_row(&documents, i, &doc);
    }
    uint64_t height = a != NULL ? a->height : kh_store_block_of(e->store, kh_ledger_height(l));
    kh_store_read_end(e->store);
    free(known);
    /* an answer is given when it is final; what was refused before it was ordered is nobody's word but this node's */
    kh_final final = {.told = kh_store_is_driven(e->store), .attested = a != NULL};
    if (a == NULL && kh_viewed(e)) height = kh_view_height(e->view);
    kh_row_begin(b);
    kh_row_number(b, "id", asked->id);
    kh_row_number(b, "bank", bank);
    kh_row_code(b, code == KH_C_OK && r->warning != 0 ? r->warning : code);
    kh_row_text(b, "state", r->state != 0 ? kh_fin_state_word((kh_fin_state)r->state) : NULL);
    kh_row_number(b, "version", r->version);
    kh_row_text(b, "currency", currency != 0 ? kh_currency_alpha(currency) : NULL);
    kh_row_amount(b, "amount", r->amount, currency);
    kh_row_number(b, "height", height);
    if (final.told) kh_row_bool(b, "attested", final.attested);
    kh_row_rows(b, "documents", documents.rows, r->line_cnt);
    if (asked->line != 0) kh_row_number(b, "line", asked->line);
    if (code == KH_C_FIELD_MISMATCH) kh_row_mismatch(b, r->mismatch);
    reason_row(b, code, a != NULL);
    if (a == NULL && asked->why[0] != '\0') kh_row_text(b, "why", asked->why);
    kh_row_give(b, "financing", sink);
    rows_free(&documents);
    free(b);
    return code;
}

struct kh_fin_row {
    document_rows documents;
    uint64_t id;
    kh_row_builder b;
};

void kh_embed_financing_free(kh_fin_row *row)
{
    if (row == NULL) return;
    rows_free(&row->documents);
    free(row);
}

kh_fin_row *kh_embed_financing_row(const kh_ledger *l, const kh_fin_view *f, const kh_fin_asked *names, uint64_t height,
                                   const kh_final *final)
{
    kh_fin_row *row = calloc(1, sizeof *row);
    if (row == NULL || !rows_init(&row->documents, f->line_cnt)) {
        kh_embed_financing_free(row);
        return NULL;
    }
    kh_row_builder *b = &row->b;
    row->id = f->id;
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        one_document doc = {.currency = f->lines[i].currency,
                            .financing_currency = f->currency,
                            .amount = f->lines[i].amount,
                            .allocated = f->lines[i].allocated,
                            .code = f->lines[i].code};
        name_of(l, &f->lines[i].key, names, &doc.paper);
        document_row(&row->documents, i, &doc);
    }
    kh_row_begin(b);
    kh_row_number(b, "id", f->id);
    kh_row_number(b, "bank", f->bank);
    kh_row_code(b, KH_C_OK);
    kh_row_text(b, "state", kh_fin_state_word(f->state));
    kh_row_number(b, "version", f->version);
    kh_row_text(b, "currency", kh_currency_alpha(f->currency));
    kh_row_amount(b, "amount", f->amount, f->currency);
    kh_row_number(b, "height", height);
    if (final->told) kh_row_bool(b, "attested", final->attested);
    kh_row_rows(b, "documents", row->documents.rows, f->line_cnt);
    kh_row_number(b, "enterprise", f->enterprise);
    kh_row_text(b, "product", f->product);
    kh_row_amount(b, "repaid", f->repaid, f->currency);
    kh_row_time(b, "deadline", f->deadline_ns);
    if (final->told) kh_row_number(b, "as_of", final->as_of);
    return row;
}

uint64_t kh_embed_financing_id(const kh_fin_row *row) { return row->id; }

void kh_embed_give_financing(kh_fin_row *row, const kh_result_sink *sink)
{
    kh_row_give(&row->b, "financing", sink);
    kh_embed_financing_free(row);
}
