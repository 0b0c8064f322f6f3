/* finance_rows: financings and receipts as rows. */
#include "embed/embed.h"
#include <stdlib.h>

static void line_row(kh_row_builder *b, const kh_ledger *l, const kh_key *key, kh_currency currency, kh_currency financing_currency, uint64_t amount,
                     uint64_t allocated, kh_code code, const struct kh_fin_named *named)
{
    kh_doc_view doc;
    char number[KH_NUMBER_MAX + 1];
    kh_row_begin(b);
    kh_row_text(b, "kind", kh_kind_word(kh_doc_key_kind(key)));
    const char *text = NULL, *issuer = NULL;
    if (kh_ledger_document(l, key, 0, &doc)) {
        text = doc.number;
        issuer = doc.issuer;
    } else if (kh_doc_key_number(key, number) > 0) text = number;
    for (uint32_t i = 0; named != NULL && i < named->cnt && text == NULL; i++)
        if (kh_key_equal(&named->papers[i].key, key)) {
            text = named->papers[i].number;
            issuer = named->papers[i].issuer;
        }
    kh_row_text(b, "number", text);
    kh_row_issuer(b, issuer);
    kh_row_text(b, "currency", currency != 0 ? kh_currency_alpha(currency) : NULL);
    kh_row_amount(b, "amount", amount, currency);
    kh_row_amount(b, "allocated", allocated, financing_currency);
    kh_row_code(b, code);
}

/* One allocation for the rows of lines: a financing has up to 256. */
typedef struct line_rows { kh_result_row rows[KH_LINES_MAX]; kh_row_builder builders[]; } line_rows;

void kh_embed_give_receipt(kh_engine *e, const kh_ledger *l, uint32_t bank, const kh_answer *a, const char *bank_name, uint64_t id,
                           const struct kh_fin_named *named, const kh_result_sink *sink)
{
    const kh_receipt *r = &a->receipt;
    line_rows *lines = malloc(sizeof *lines + (r->line_cnt + 1) * sizeof lines->builders[0]);
    kh_row_builder b;
    (void)e;
    kh_row_begin(&b);
    kh_row_number(&b, "id", id);
    kh_row_number(&b, "bank", bank);
    kh_row_text(&b, "bank_name", bank_name);
    kh_row_code(&b, r->code);
    kh_row_text(&b, "state", r->state != 0 ? kh_fin_state_word((kh_fin_state)r->state) : NULL);
    kh_row_number(&b, "version", r->version);
    kh_row_text(&b, "currency", r->currency != 0 ? kh_currency_alpha(r->currency) : NULL);
    kh_row_amount(&b, "amount", r->currency != 0 ? r->amount : KH_AMOUNT_NONE, r->currency);
    kh_row_number(&b, "height", a->height);
    if (r->warning != 0) kh_row_text(&b, "warning", kh_code_name(r->warning));
    if (r->mismatch != 0) kh_row_mismatch(&b, r->mismatch);
    uint32_t n = lines != NULL && a->lines != NULL ? r->line_cnt : 0;
    for (uint32_t i = 0; i < n; i++) {
        const kh_receipt_line *line = &a->lines[i];
        line_row(&lines->builders[i], l, &line->key, line->currency, r->currency, line->amount, line->allocated, line->code, named);
        lines->rows[i] = (kh_result_row){"document", lines->builders[i].fields, lines->builders[i].n};
    }
    kh_row_rows(&b, "documents", lines != NULL ? lines->rows : NULL, n);
    kh_row_give(&b, "financing", sink);
    free(lines);
}

void kh_embed_give_financing(kh_engine *e, const kh_ledger *l, const kh_fin_view *f, const kh_result_sink *sink)
{
    line_rows *lines = malloc(sizeof *lines + (f->line_cnt + 1) * sizeof lines->builders[0]);
    kh_party_view party;
    kh_row_builder b;
    (void)e;
    kh_row_begin(&b);
    kh_row_number(&b, "id", f->id);
    kh_row_number(&b, "bank", f->bank);
    kh_row_text(&b, "bank_name", kh_ledger_party(l, f->bank, &party) ? party.name : NULL);
    kh_row_code(&b, KH_C_OK);
    kh_row_text(&b, "state", kh_fin_state_word(f->state));
    kh_row_number(&b, "version", f->version);
    kh_row_text(&b, "currency", kh_currency_alpha(f->currency));
    kh_row_amount(&b, "amount", f->amount, f->currency);
    kh_row_number(&b, "height", f->last.height);
    kh_row_number(&b, "enterprise", f->enterprise);
    kh_row_text(&b, "product", f->product);
    kh_row_amount(&b, "repaid", f->repaid, f->currency);
    kh_row_time(&b, "deadline", f->deadline_ns);
    uint32_t n = lines != NULL ? f->line_cnt : 0;
    for (uint32_t i = 0; i < n; i++) {
        const kh_fin_line_view *line = &f->lines[i];
        line_row(&lines->builders[i], l, &line->key, line->currency, f->currency, line->amount, line->allocated, line->code, NULL);
        lines->rows[i] = (kh_result_row){"document", lines->builders[i].fields, lines->builders[i].n};
    }
    kh_row_rows(&b, "documents", lines != NULL ? lines->rows : NULL, n);
    kh_row_give(&b, "financing", sink);
    free(lines);
}
