/* document_of_columns: one row of the import columns (DOMAIN §7) -> a document in canonical form, or a refusal. */
#include "formats/columns.h"
#include "formats/item.h"
#include "formats/rows_open.h"

#include <stdio.h>

typedef struct texts {
    kh_item_texts item;
    char contract[256];
} texts;
_Static_assert(sizeof(texts) <= KH_COLUMNS_TEXT_SZ, "what a caller lends must hold the item's texts");

typedef struct line {
    const kh_row_view *row;
    bool direct; /* the row is one of ours with exactly the import columns: no need to look for names */
    kh_item *item;
    texts *texts;
} line;

static kh_text column(const line *l, uint32_t i)
{
    return l->direct ? kh_rows_value(l->row->self, i) : l->row->get(l->row, kh_import_columns[i]);
}

static int shown(kh_text t) { return t.n > 100 ? 100 : (int)t.n; }

static bool equal_word(kh_text t, const char *word)
{
    uint32_t n = (uint32_t)strlen(word);
    if (t.n != n) return false;
    for (uint32_t i = 0; i < n; i++)
        if ((t.p[i] >= 'A' && t.p[i] <= 'Z' ? t.p[i] | 32 : t.p[i]) != word[i]) return false;
    return true;
}

#define WORD_MAX 64

/* A word as users write it, as the tables have it: lower case, underscores for blanks and hyphens. A longer one stays. */
static kh_text folded(kh_text word, char buf[WORD_MAX])
{
    if (word.n == 0 || word.n > WORD_MAX) return word;
    for (uint32_t i = 0; i < word.n; i++) {
        char c = word.p[i];
        buf[i] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c == ' ' || c == '-' ? '_' : c;
    }
    return (kh_text){buf, word.n};
}

/* +1 export, -1 import, 0 not said. False: a word that is neither. */
static bool direction_of_word(kh_text t, int *ret)
{
    static const char *const out[] = {"export", "e", "出口", "0"}, *const in[] = {"import", "i", "进口", "1"};
    *ret = 0;
    for (int i = 0; i < 4 && *ret == 0; i++) *ret = equal_word(t, out[i]) ? 1 : equal_word(t, in[i]) ? -1 : 0;
    return *ret != 0 || t.n == 0;
}

static bool direction_of(const line *l, int *ret)
{
    kh_text t = column(l, KH_COL_DIRECTION);
    return direction_of_word(t, ret) || kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT,
                                                       "The direction \"%.*s\" is neither export nor import.", shown(t), t.p);
}

bool kh_kind_of_columns(const kh_row_view *row, kh_kind default_kind, kh_kind *ret)
{
    kh_text word = row->get(row, "kind");
    kh_kind kind = default_kind;
    if (word.n != 0) {
        char buf[WORD_MAX];
        if ((!kh_kind_of_word(word, &kind) && !kh_kind_of_word(folded(word, buf), &kind)) || kind == KH_KIND_ANY) return false;
    } else if (kind == KH_KIND_ANY) {
        kh_number_form form = kh_rows_form_of(row);
        char number[KH_NUMBER_MAX + 1];
        uint32_t n = 0;
        int direction = 0;
        if (form == KH_FORM_INVOICE) kind = KH_KIND_INVOICE;
        if (form == KH_FORM_DECLARATION) (void)direction_of_word(row->get(row, "direction"), &direction);
        if (form == KH_FORM_DECLARATION && direction == 0 &&
            kh_number_canonical(KH_KIND_ANY, row->get(row, "number"), (kh_text){NULL, 0}, number, &n) != KH_C_FORMAT)
            direction = kh_number_direction((kh_text){number, n});
        if (direction != 0) kind = direction > 0 ? KH_KIND_EXPORT_DECLARATION : KH_KIND_IMPORT_DECLARATION;
    }
    if (kind == KH_KIND_ANY) return false;
    *ret = kind;
    return true;
}

static bool kind_of(const line *l, kh_kind default_kind, kh_kind *ret)
{
    if (kh_kind_of_columns(l->row, default_kind, ret)) return true;
    kh_text word = column(l, KH_COL_KIND);
    if (word.n != 0)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "\"%.*s\" is no kind of document.", shown(word), word.p);
    return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT,
                          "The line says no kind of document, and none was given for the file.");
}

/* Most numbers and owners are already as doc would make them; these are not taken through its folding. */
static bool is_plain(kh_text t, bool letters_too)
{
    bool plain = true;
    for (uint32_t i = 0; i < t.n; i++) {
        bool digit = t.p[i] >= '0' && t.p[i] <= '9', letter = t.p[i] >= 'A' && t.p[i] <= 'Z';
        plain = plain && (digit || (letters_too && letter));
    }
    return plain;
}

static kh_code canonical_number(kh_kind kind, kh_text number, kh_text code, char *buf, uint32_t *ret_n)
{
    if (number.n == (kh_kind_is_declaration(kind) ? 18 : 20) && code.n == 0 && is_plain(number, false)) {
        memcpy(buf, number.p, number.n);
        *ret_n = number.n;
        return KH_C_OK;
    }
    return kh_number_canonical(kind, number, code, buf, ret_n);
}

static bool number_of(const line *l, kh_kind kind, int direction)
{
    kh_text number = column(l, KH_COL_NUMBER), code = column(l, KH_COL_INVOICE_CODE);
    kh_op_document *d = &l->item->document;
    uint32_t n = 0;
    if (number.n == 0) return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The line has no number.");
    if (kind != KH_KIND_INVOICE && kind != KH_KIND_CREDIT_NOTE) code = (kh_text){NULL, 0};
    kh_code said = canonical_number(kind, number, code, l->texts->item.number, &n);
    if (said != KH_C_OK && said != KH_C_CHECK_DIGIT)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT,
                              "The number \"%.*s\" is not one that a document of the kind %s can have.", shown(number), number.p,
                              kh_kind_word(kind));
    d->number = (kh_text){l->texts->item.number, n};
    if (said == KH_C_CHECK_DIGIT) {
        l->item->code = KH_C_CHECK_DIGIT;
        d->flags |= KH_DOCF_CHECK_DIGIT;
    }
    if (!kh_kind_is_declaration(kind)) return true;
    int wanted = kind == KH_KIND_EXPORT_DECLARATION ? 1 : -1, own = kh_number_direction(d->number);
    if ((own != 0 && own != wanted) || (direction != 0 && direction != wanted))
        return kh_item_refuse(l->item, &l->texts->item, KH_C_DIRECTION, "The %s contradicts the kind %s.",
                              own != 0 && own != wanted ? "ninth character of the number" : "direction", kh_kind_word(kind));
    return true;
}

/* Whether a number needs no issuer beside it: a Chinese invoice number of a Chinese seller is unique by itself. */
static bool stands_alone(kh_text number, kh_text issuer)
{
    return kh_number_is_chinese_invoice(number) && (issuer.n == 0 || kh_uscc_shape(issuer));
}

kh_code kh_issuer_of_columns(kh_kind kind, kh_text number, kh_text issuer, kh_text owner, char *buf, uint32_t *ret_n)
{
    bool invoice = kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE;
    char out[KH_ISSUER_MAX + 1];
    uint32_t n = 0;
    kh_code code = KH_C_OK;
    if (kh_kind_is_declaration(kind) && (kh_number_direction(number) != 0 || kh_number_is_mrn(number)))
        issuer = (kh_text){NULL, 0};
    else if (issuer.n != 0) code = kh_issuer_canonical(issuer, out, &n);
    else if (invoice && owner.n != 0 && !kh_number_is_chinese_invoice(number)) code = kh_owner_canonical(owner, out, &n);
    if (code != KH_C_OK && code != KH_C_CHECK_DIGIT) return KH_C_FORMAT;
    if (invoice && stands_alone(number, (kh_text){out, n})) n = 0;
    memcpy(buf, out, n);
    buf[n] = '\0';
    *ret_n = n;
    return KH_C_OK;
}

static bool parties_of(const line *l, kh_kind kind)
{
    kh_op_document *d = &l->item->document;
    kh_text owner = column(l, KH_COL_OWNER_ID), issuer = column(l, KH_COL_ISSUER_ID);
    uint32_t n = 0;
    if (owner.n == 0) return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The line names no owner.");
    if (owner.n <= KH_ISSUER_MAX && is_plain(owner, true)) {
        memcpy(l->texts->item.owner, owner.p, owner.n);
        d->owner = (kh_text){l->texts->item.owner, owner.n};
        l->item->odd_owner = kh_uscc_is_odd(d->owner);
    } else if (!kh_item_owner(l->item, &l->texts->item, owner, "The owner")) return false;
    if (kh_issuer_of_columns(kind, d->number, issuer, d->owner, l->texts->item.issuer, &n) != KH_C_OK)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The issuer is no usable identifier or name.");
    if (n != 0) d->issuer = (kh_text){l->texts->item.issuer, n};
    if (n != 0 && kh_kind_is_declaration(kind)) d->flags |= KH_DOCF_LRN_KEY;
    return true;
}

static bool amount_of(const line *l)
{
    kh_text amount = column(l, KH_COL_AMOUNT), word = column(l, KH_COL_CURRENCY);
    kh_currency currency = 0;
    uint64_t base = KH_AMOUNT_NONE;
    if (amount.n == 0) return true;
    if (!kh_currency_of_text(word, &currency) || currency == 0)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The currency \"%.*s\" is not an ISO 4217 code.",
                              shown(word), word.n != 0 ? word.p : "");
    if (kh_amount_parse(amount, currency, &base) != KH_C_OK)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT,
                              "The amount \"%.*s\" is not digits with at most %d behind one decimal point (%s) and 18 in all.",
                              shown(amount), amount.p, kh_currency_exponent(currency), kh_currency_alpha(currency));
    return base == KH_AMOUNT_NONE || kh_item_add_amount(l->item, &l->texts->item, currency, base);
}

static bool version_of(const line *l)
{
    kh_text t = column(l, KH_COL_VERSION);
    uint64_t v = 0;
    for (uint32_t i = 0; i < t.n; i++) {
        if (t.p[i] < '0' || t.p[i] > '9' || (v = v * 10 + (uint64_t)(t.p[i] - '0')) > UINT32_MAX)
            return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The version \"%.*s\" is not a number.", shown(t), t.p);
    }
    l->item->document.doc_version = (uint32_t)v;
    return true;
}

static bool state_of(const line *l, kh_kind kind)
{
    kh_op_document *d = &l->item->document;
    kh_text word = column(l, KH_COL_STATUS), date = column(l, KH_COL_DATE), issued = column(l, KH_COL_ISSUED),
            contract = column(l, KH_COL_CONTRACT_NO);
    kh_status status = kh_kind_is_declaration(kind) ? KH_STATUS_CLEARED : KH_STATUS_NONE;
    kh_date ignored;
    char buf[WORD_MAX];
    if (word.n != 0 && !kh_status_of_word(kind, folded(word, buf), &status))
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "\"%.*s\" is no status of the kind %s.", shown(word), word.p,
                              kh_kind_word(kind));
    if (!kh_day_parse(date, &d->date))
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The date \"%.*s\" is not one; write 2026-11-24.",
                              shown(date), date.p);
    if (!kh_when_parse(issued, 0, &ignored, &d->issue_time))
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The time of issue \"%.*s\" is not one.", shown(issued),
                              issued.p);
    d->status = (uint8_t)status;
    if (contract.n > sizeof l->texts->contract)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "The contract number is longer than 256 bytes.");
    if (contract.n != 0) {
        memcpy(l->texts->contract, contract.p, contract.n);
        kh_item_contract(l->item, (kh_text){l->texts->contract, contract.n});
    }
    return version_of(l);
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

/* Takes %XX out. */
static bool unescape(kh_text from, char *to, uint32_t max, uint32_t *ret_n)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < from.n; i++) {
        char c = from.p[i];
        if (c == '%') {
            if (i + 2 >= from.n || hex(from.p[i + 1]) < 0 || hex(from.p[i + 2]) < 0) return false;
            c = (char)(hex(from.p[i + 1]) << 4 | hex(from.p[i + 2]));
            i += 2;
        }
        if (n == max) return false;
        to[n++] = c;
    }
    *ret_n = n;
    return true;
}

bool kh_document_name_parse(kh_text text, kh_document_name *ret)
{
    const char *colon = text.n != 0 ? memchr(text.p, ':', text.n) : NULL;
    kh_document_name name = {.kind = KH_KIND_ANY};
    if (colon == NULL || !kh_kind_of_word((kh_text){text.p, (uint32_t)(colon - text.p)}, &name.kind) || name.kind == KH_KIND_ANY)
        return false;
    kh_text number = {colon + 1, text.n - (uint32_t)(colon + 1 - text.p)}, issuer = {NULL, 0};
    const char *at = number.n != 0 ? memchr(number.p, '@', number.n) : NULL;
    if (at != NULL) {
        issuer = (kh_text){at + 1, number.n - (uint32_t)(at + 1 - number.p)};
        number.n = (uint32_t)(at - number.p);
        if (issuer.n == 0) return false;
    }
    if (number.n == 0 || !unescape(number, name.number, KH_DOCUMENT_NAME_MAX, &name.number_n) ||
        !unescape(issuer, name.issuer, KH_DOCUMENT_NAME_MAX, &name.issuer_n))
        return false;
    *ret = name;
    return true;
}

static bool one_ref(const line *l, kh_kind kind, kh_text text)
{
    kh_op_document *d = &l->item->document;
    kh_document_name name;
    char number[KH_NUMBER_MAX + 1], issuer[KH_ISSUER_MAX + 1];
    uint32_t number_n = 0, issuer_n = 0;
    while (text.n > 0 && text.p[0] == ' ') text.p++, text.n--;
    while (text.n > 0 && text.p[text.n - 1] == ' ') text.n--;
    if (text.n == 0) return true;
    bool ok = kh_document_name_parse(text, &name);
    if (ok && name.kind != KH_KIND_INVOICE && name.kind != KH_KIND_BILL_OF_LADING)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT,
                              "refers_to names \"%.*s\", which is neither an invoice nor a bill of lading.", shown(text), text.p);
    if (ok) {
        kh_code code =
            kh_number_canonical(name.kind, (kh_text){name.number, name.number_n}, (kh_text){NULL, 0}, number, &number_n);
        ok = code == KH_C_OK || code == KH_C_CHECK_DIGIT;
    }
    bool corrects = (kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE) && name.kind == KH_KIND_INVOICE;
    kh_text owner = corrects && d->issuer.n != 0 ? d->issuer : d->owner;
    if (ok)
        ok = kh_issuer_of_columns(name.kind, (kh_text){number, number_n}, (kh_text){name.issuer, name.issuer_n}, owner, issuer,
                                  &issuer_n) == KH_C_OK;
    if (!ok)
        return kh_item_refuse(l->item, &l->texts->item, KH_C_FORMAT, "refers_to is not KIND:NUMBER[@ISSUER]: \"%.*s\".",
                              shown(text), text.p);
    return kh_item_add_ref(l->item, &l->texts->item, corrects ? KH_REF_CORRECTS : KH_REF_LINK, name.kind,
                           (kh_text){number, number_n}, (kh_text){issuer, issuer_n});
}

static bool refs_of(const line *l, kh_kind kind)
{
    kh_text rest = column(l, KH_COL_REFERS_TO);
    while (rest.n > 0) {
        const char *semicolon = memchr(rest.p, ';', rest.n);
        uint32_t n = semicolon != NULL ? (uint32_t)(semicolon - rest.p) : rest.n;
        if (!one_ref(l, kind, (kh_text){rest.p, n})) return false;
        n += semicolon != NULL ? 1 : 0;
        rest = (kh_text){rest.p + n, rest.n - n};
    }
    return true;
}

kh_code kh_document_of_columns(const kh_row_view *row, kh_kind default_kind, const kh_feed *feed, void *text_buf, size_t text_cap,
                               kh_item *ret)
{
    memset(ret, 0, offsetof(kh_item, ref_texts)); /* these are written before they are counted */
    ret->line = row->line;
    ret->raw = row->raw;
    ret->raw_n = row->raw_n;
    ret->document.source = feed != NULL ? feed->source : 0;
    if (text_cap < sizeof(texts)) {
        ret->code = KH_C_CAPACITY;
        ret->why = "The space lent for the document's texts is too small.";
        return ret->code;
    }
    line l = {row, kh_rows_is(row, kh_import_columns), ret, text_buf};
    if (row->code != KH_C_OK) {
        kh_item_refuse(ret, &l.texts->item, row->code, "%s", row->why);
        return ret->code;
    }
    kh_kind kind = KH_KIND_ANY;
    int direction = 0;
    ret->document.action = KH_DOC_PUT;
    if (!direction_of(&l, &direction) || !kind_of(&l, default_kind, &kind)) return ret->code;
    ret->document.kind = (uint8_t)kind;
    if (number_of(&l, kind, direction) && parties_of(&l, kind) && amount_of(&l) && state_of(&l, kind)) (void)refs_of(&l, kind);
    return ret->code;
}
