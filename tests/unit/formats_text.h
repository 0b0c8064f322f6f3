/* formats_text: bytes from memory or made on the fly as a source, and what a reader makes of them in one line an item. */
#ifndef KH_TESTS_FORMATS_TEXT_H
#define KH_TESTS_FORMATS_TEXT_H
#include "formats/formats.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct text_bytes {
    const char *p;
    size_t n, at, step; /* step: at most so many a read; 0 all */
} text_bytes;

static inline kh_err text_read(void *self, void *p, size_t cap, size_t *ret_n)
{
    text_bytes *b = self;
    size_t n = b->n - b->at < cap ? b->n - b->at : cap;
    if (b->step != 0 && n > b->step) n = b->step;
    memcpy(p, b->p + b->at, n);
    b->at += n;
    *ret_n = n;
    return KH_OK;
}

static inline void text_say_item(const kh_item *item, char *to, size_t cap)
{
    const kh_op_document *d = &item->document;
    size_t n = 0;
    char amount[40], date[16];
#define TEXT_SAY(...) (n += n < cap ? (size_t)snprintf(to + n, cap - n, __VA_ARGS__) : 0)
    TEXT_SAY("%llu:", (unsigned long long)item->line);
    if (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT) {
        TEXT_SAY("%s\n", kh_code_name(item->code));
        return;
    }
    TEXT_SAY("%s %.*s", kh_kind_word((kh_kind)d->kind), (int)d->number.n, d->number.p);
    if (d->issuer.n != 0) TEXT_SAY("@%.*s", (int)d->issuer.n, d->issuer.p);
    if (d->owner.n != 0) TEXT_SAY(" %.*s", (int)d->owner.n, d->owner.p);
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        kh_amount_format(d->balances[i].base, d->balances[i].currency, amount);
        TEXT_SAY(" %s%s", kh_currency_alpha(d->balances[i].currency), amount);
    }
    kh_date_format(d->date, date);
    TEXT_SAY(" %s%s%s", date, d->status != 0 ? " " : "", d->status != 0 ? kh_status_word((kh_status)d->status) : "");
    if (d->doc_version != 0) TEXT_SAY(" v%u", d->doc_version);
    if (d->issue_time != 0) TEXT_SAY(" t%llu", (unsigned long long)d->issue_time);
    if (item->contract_text.n != 0) TEXT_SAY(" contract=%.*s", (int)item->contract_text.n, item->contract_text.p);
    for (uint32_t i = 0; i < d->ref_cnt; i++)
        TEXT_SAY(" %s%s", d->refs[i].role == KH_REF_CORRECTS ? "-" : "+", item->ref_texts[i]);
    if (item->code == KH_C_CHECK_DIGIT) TEXT_SAY(" check-digit");
    TEXT_SAY("\n");
#undef TEXT_SAY
}

/* Everything that a reader makes of n bytes, one line an item; the warnings at the end as "! …". Kept until the next call. */
static inline const char *text_say(const char *p, size_t n, kh_kind kind, size_t step)
{
    static char said[1 << 16];
    static kh_item item;
    text_bytes bytes = {p, n, 0, step};
    kh_bytes_source source = {text_read, &bytes};
    kh_reader *r = NULL;
    kh_err err = kh_reader_open(&source, KH_FORMAT_AUTO, kind, NULL, &r);
    size_t at = 0;
    said[0] = 0;
    if (err != KH_OK) return kh_err_text(err);
    while (at + 4096 < sizeof said && kh_reader_next(r, &item, &err)) {
        text_say_item(&item, said + at, sizeof said - at);
        at += strlen(said + at);
    }
    for (const char *const *w = kh_reader_warnings(r); *w != NULL && at + 4096 < sizeof said; w++)
        at += (size_t)snprintf(said + at, sizeof said - at, "! %s\n", *w);
    kh_reader_close(r);
    return said;
}
#endif
