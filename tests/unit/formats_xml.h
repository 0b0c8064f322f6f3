/* formats_xml: reading a file with the XML readers and saying each item in one line, for formats_2.c and formats_4.c. */
#ifndef KH_TESTS_FORMATS_XML_H
#define KH_TESTS_FORMATS_XML_H
#include "formats/xml.h"

#include <stdio.h>
#include <stdlib.h>

static inline uint8_t *xml_slurp(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) return NULL;
    uint8_t *p = NULL;
    size_t n = 0, cap = 0, got;
    do {
        if (n + 65536 > cap) p = realloc(p, cap = cap * 2 + 65536);
        got = fread(p + n, 1, 65536, f);
        n += got;
    } while (got > 0);
    fclose(f);
    *ret_n = n;
    return p;
}

static inline const char *xml_action(uint8_t action)
{
    static const char *const words[] = {"?", "put", "amend", "cancel", "status"};
    return action < 5 ? words[action] : "?";
}

/* "put import_declaration 24GB… owner=GB333 lrn=LRN-2@GB111 date=2024-01-25 GBP 11.50 +invoice:77@GB333", or "refused 10 @line"
 */
static inline void xml_say(const kh_item *item, char *to, size_t cap)
{
    const kh_op_document *d = &item->document;
    size_t n = 0;
    char amount[40], date[16];
#define SAY(...) (n += n < cap ? (size_t)snprintf(to + n, cap - n, __VA_ARGS__) : 0)
#define TEXT(t) (int)(t).n, (t).n != 0 ? (t).p : ""
    to[0] = 0;
    if (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT) {
        SAY("refused %u @%llu", item->code, (unsigned long long)item->line);
        return;
    }
    SAY("%s %s %.*s", xml_action(d->action), kh_kind_word((kh_kind)d->kind), TEXT(d->number));
    if (d->issuer.n != 0) SAY("@%.*s", TEXT(d->issuer));
    if (d->owner.n != 0) SAY(" owner=%.*s", TEXT(d->owner));
    if (d->lrn.n != 0) SAY(" lrn=%.*s", TEXT(d->lrn));
    if (d->lrn_issuer.n != 0) SAY("@%.*s", TEXT(d->lrn_issuer));
    if (d->status != 0) SAY(" %s", kh_status_word((kh_status)d->status));
    if (d->date != 0) {
        kh_date_format(d->date, date);
        SAY(" %s", date);
    }
    if (d->issue_time != 0) SAY(" t%llu", (unsigned long long)d->issue_time);
    if (d->flags & KH_DOCF_LRN_KEY) SAY(" lrn-key");
    if (d->flags & KH_DOCF_NOTICE) SAY(" notice");
    if (d->flags & KH_DOCF_AWAITS_NOTICE) SAY(" awaits");
    if (item->contract_text.n != 0) SAY(" contract=%.*s", TEXT(item->contract_text));
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        kh_amount_format(d->balances[i].base, d->balances[i].currency, amount);
        SAY(" %s %s", kh_currency_alpha(d->balances[i].currency), amount);
    }
    for (uint32_t i = 0; i < d->ref_cnt; i++) SAY(" %c%s", d->refs[i].role == KH_REF_LINK ? '+' : '-', item->ref_texts[i]);
#undef SAY
#undef TEXT
}

typedef struct xml_outcome {
    uint32_t good, refused;
    char lines[64][320];
    char why[512];
    uint64_t line, byte;
    kh_format format;
} xml_outcome;

static inline void xml_read(const uint8_t *p, size_t n, kh_format hint, const kh_feed *feed, xml_outcome *ret)
{
    kh_xml *x = NULL;
    kh_err err = KH_OK;
    static kh_item item;
    memset(ret, 0, sizeof *ret);
    if (kh_xml_open(p, n, hint, feed, &x) != KH_OK) abort();
    while (kh_xml_next(x, &item, &err)) {
        uint32_t at = ret->good + ret->refused;
        if (at < 64) xml_say(&item, ret->lines[at], sizeof ret->lines[0]);
        if (item.code == KH_C_OK || item.code == KH_C_CHECK_DIGIT) ret->good++;
        else {
            ret->refused++;
            snprintf(ret->why, sizeof ret->why, "%s", item.why);
            ret->line = item.line;
            ret->byte = item.byte;
        }
    }
    if (err != KH_OK) abort();
    ret->format = kh_xml_format(x);
    kh_xml_close(x);
}
#endif
