/* rows: building one row of named fields; its texts lie in the builder. */
#include "crypto/digest.h"
#include "embed/embed.h"
#include <stdio.h>
#include <time.h>

void kh_row_begin(kh_row_builder *b)
{
    b->n = 0;
    b->used = 0;
}

static kh_result_field *field(kh_row_builder *b, const char *name, kh_result_type type)
{
    KH_ASSERT(b->n < KH_ROW_FIELDS);
    kh_result_field *f = &b->fields[b->n++];
    *f = (kh_result_field){.name = name, .type = type};
    return f;
}

/* keep copies n bytes into the builder; a text that does not fit (none of ours) is cut. */
static const char *keep(kh_row_builder *b, const char *text, size_t n)
{
    size_t room = sizeof b->text - b->used;
    if (n + 1 > room) n = room > 0 ? room - 1 : 0;
    char *at = b->text + b->used;
    memcpy(at, text, n);
    at[n] = '\0';
    b->used += (uint32_t)n + 1;
    return at;
}

void kh_row_text_n(kh_row_builder *b, const char *name, const char *text, uint32_t n)
{
    field(b, name, KH_FIELD_TEXT)->text = keep(b, text, n);
}

void kh_row_text(kh_row_builder *b, const char *name, const char *text)
{
    if (text == NULL) kh_row_null(b, name);
    else kh_row_text_n(b, name, text, (uint32_t)strlen(text));
}

void kh_row_words(kh_row_builder *b, const char *name, const char *words)
{
    field(b, name, KH_FIELD_WORDS)->text = keep(b, words, strlen(words));
}
void kh_row_number(kh_row_builder *b, const char *name, uint64_t number) { field(b, name, KH_FIELD_NUMBER)->number = number; }
void kh_row_bool(kh_row_builder *b, const char *name, bool value) { field(b, name, KH_FIELD_BOOL)->number = value; }
void kh_row_null(kh_row_builder *b, const char *name) { (void)field(b, name, KH_FIELD_NULL); }

void kh_row_amount(kh_row_builder *b, const char *name, uint64_t amount, kh_currency currency)
{
    char text[32];
    if (amount == KH_AMOUNT_NONE) {
        kh_row_null(b, name);
        return;
    }
    uint32_t n = kh_amount_format(amount, currency, text);
    kh_row_text_n(b, name, text, n);
}

void kh_row_time(kh_row_builder *b, const char *name, uint64_t time_ns)
{
    if (time_ns == 0) {
        kh_row_null(b, name);
        return;
    }
    time_t seconds = (time_t)(time_ns / KH_NS_PER_S);
    struct tm tm;
    char day[32], text[64];
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text, sizeof text, "%s.%09uZ", day, (unsigned)(time_ns % KH_NS_PER_S));
    kh_row_text(b, name, text);
}

void kh_row_date(kh_row_builder *b, const char *name, kh_date date)
{
    char text[32];
    uint32_t n = kh_date_format(date, text);
    if (n == 0) kh_row_null(b, name);
    else kh_row_text_n(b, name, text, n);
}

void kh_row_hex(kh_row_builder *b, const char *name, const uint8_t *p, uint32_t n)
{
    char text[129];
    KH_ASSERT(n <= 64);
    kh_hex(p, n, text);
    kh_row_text_n(b, name, text, 2 * n);
}

void kh_row_code(kh_row_builder *b, kh_code code)
{
    kh_row_number(b, "code", code);
    kh_row_text(b, "name", kh_code_name(code));
}

void kh_row_mismatch(kh_row_builder *b, uint32_t fields)
{
    char words[160] = "";
    for (uint32_t bit = 1; bit <= KH_FIELD_TYPE; bit <<= 1) {
        if ((fields & bit) == 0) continue;
        if (words[0] != '\0') strcat(words, " ");
        strcat(words, kh_field_word(bit));
    }
    kh_row_words(b, "mismatch", words);
}

void kh_row_rows(kh_row_builder *b, const char *name, const kh_result_row *rows, uint32_t n)
{
    kh_result_field *f = field(b, name, KH_FIELD_ROWS);
    f->rows = rows;
    f->row_cnt = n;
}

void kh_row_give(kh_row_builder *b, const char *what, const kh_result_sink *sink)
{
    kh_result_row row = {what, b->fields, b->n};
    sink->row(sink->ctx, &row);
}

void kh_row_issuer(kh_row_builder *b, const char *issuer)
{
    kh_row_text(b, "issuer", issuer != NULL && issuer[0] != '\0' ? issuer : NULL);
}

void kh_row_not_found(const kh_result_sink *sink, const kh_paper_name *paper, kh_code code)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_text(&b, "kind", kh_kind_word(paper->kind));
    kh_row_text(&b, "number", paper->number);
    kh_row_code(&b, code);
    if (code == KH_C_NOT_CHECKED) kh_row_text(&b, "reason", "hub");
    kh_row_give(&b, "not_found", sink);
}
