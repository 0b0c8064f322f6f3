/* item: see item.h. */
#include "formats/item.h"
#include "doc/fold.h"

#include <stdarg.h>
#include <stdio.h>

void kh_item_begin(kh_item *ret, uint64_t line, uint64_t byte, const kh_feed *feed)
{
    memset(ret, 0, sizeof *ret);
    ret->line = line;
    ret->byte = byte;
    ret->document.source = feed != NULL ? feed->source : 0;
}

bool kh_item_refuse(kh_item *item, kh_item_texts *texts, kh_code code, const char *sentence, ...)
{
    va_list args;
    va_start(args, sentence);
    vsnprintf(texts->why, sizeof texts->why, sentence, args);
    va_end(args);
    kh_utf8_whole(texts->why); /* it quotes the paper, cut, and becomes JSON */
    item->code = code;
    item->why = texts->why;
    return false;
}

bool kh_item_number(kh_item *item, kh_item_texts *texts, kh_kind kind, kh_text number)
{
    uint32_t n = 0;
    kh_code code = kh_number_canonical(kind, number, (kh_text){NULL, 0}, texts->number, &n);
    if (code != KH_C_OK && code != KH_C_CHECK_DIGIT)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "The document's number \"%.*s\" is not a number of this kind; correct it.",
                              number.n > 120 ? 120 : (int)number.n, number.p != NULL ? number.p : "");
    item->document.number = (kh_text){texts->number, n};
    if (code == KH_C_CHECK_DIGIT) {
        item->code = KH_C_CHECK_DIGIT;
        item->document.flags |= KH_DOCF_CHECK_DIGIT;
    }
    return true;
}

bool kh_item_owner(kh_item *item, kh_item_texts *texts, kh_text id, const char *what)
{
    uint32_t n = 0;
    kh_code code = kh_owner_canonical(id, texts->owner, &n);
    if ((code != KH_C_OK && code != KH_C_CHECK_DIGIT) || n == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT, "%s is no usable identifier (letters and digits, at most %d).", what,
                              KH_ISSUER_MAX);
    item->document.owner = (kh_text){texts->owner, n};
    item->odd_owner = code == KH_C_CHECK_DIGIT;
    return true;
}

/* A local reference follows no form of its own: where the declaration's form refuses it, the free form of a receivable is used.
 */
static bool local_reference(kh_text lrn, char *buf, uint32_t *ret_n)
{
    kh_code code = kh_number_canonical(KH_KIND_EXPORT_DECLARATION, lrn, (kh_text){NULL, 0}, buf, ret_n);
    if (code == KH_C_FORMAT) code = kh_number_canonical(KH_KIND_RECEIVABLE, lrn, (kh_text){NULL, 0}, buf, ret_n);
    return code == KH_C_OK || code == KH_C_CHECK_DIGIT;
}

bool kh_item_declaration_number(kh_item *item, kh_item_texts *texts, kh_text mrn, kh_text lrn, kh_text declarant)
{
    kh_op_document *d = &item->document;
    uint32_t n = 0, declarant_n = 0;
    if (mrn.n == 0 && lrn.n == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "The declaration has neither an MRN (ID) nor a local reference (FunctionalReferenceID).");
    if (declarant.n != 0) {
        kh_code code = kh_owner_canonical(declarant, texts->lrn_issuer, &declarant_n);
        if (code != KH_C_OK && code != KH_C_CHECK_DIGIT)
            return kh_item_refuse(item, texts, KH_C_FORMAT, "The declarant's identifier is not letters and digits; correct it.");
    }
    if (lrn.n != 0 && !local_reference(lrn, texts->lrn, &n))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The local reference is longer than %d characters or malformed.",
                              KH_NUMBER_MAX);
    if (mrn.n == 0) {
        memcpy(texts->number, texts->lrn, n);
        memcpy(texts->issuer, texts->lrn_issuer, declarant_n);
        d->number = (kh_text){texts->number, n};
        if (declarant_n != 0) d->issuer = (kh_text){texts->issuer, declarant_n};
        d->flags |= KH_DOCF_LRN_KEY;
        return true;
    }
    if (!kh_item_number(item, texts, KH_KIND_EXPORT_DECLARATION, mrn)) return false;
    if (n != 0) {
        d->lrn = (kh_text){texts->lrn, n};
        if (declarant_n != 0) d->lrn_issuer = (kh_text){texts->lrn_issuer, declarant_n};
    }
    return true;
}

bool kh_item_add_amount(kh_item *item, kh_item_texts *texts, kh_currency currency, uint64_t amount)
{
    kh_op_document *d = &item->document;
    uint32_t at = 0;
    while (at < d->balance_cnt && d->balances[at].currency < currency) at++;
    if (at < d->balance_cnt && d->balances[at].currency == currency) {
        if (!kh_add64(d->balances[at].base, amount, &d->balances[at].base) || d->balances[at].base > KH_AMOUNT_MAX)
            return kh_item_refuse(item, texts, KH_C_FORMAT, "The amounts in %s add up to more than 18 digits.",
                                  kh_currency_alpha(currency));
        return true;
    }
    if (d->balance_cnt == KH_DOC_BALANCES_MAX)
        return kh_item_refuse(item, texts, KH_C_CAPACITY, "The document has amounts in more than %d currencies.",
                              KH_DOC_BALANCES_MAX);
    memmove(&d->balances[at + 1], &d->balances[at], (d->balance_cnt - at) * sizeof d->balances[0]);
    d->balances[at] = (kh_op_balance){currency, amount};
    d->balance_cnt++;
    return true;
}

/* The text of a part of KIND:NUMBER@ISSUER: the characters that have a meaning there are written %XX. */
static size_t escaped(char *to, size_t cap, kh_text text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (uint32_t i = 0; i < text.n && n + 4 < cap; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '%' || c == '@' || c == '/' || c == '=') {
            to[n++] = '%';
            to[n++] = hex[c >> 4];
            to[n++] = hex[c & 15];
        } else to[n++] = (char)c;
    }
    to[n] = 0;
    return n;
}

bool kh_item_add_ref(kh_item *item, kh_item_texts *texts, kh_ref_role role, kh_kind kind, kh_text number, kh_text issuer)
{
    kh_op_document *d = &item->document;
    char canonical[KH_NUMBER_MAX + 1];
    uint32_t n = 0, at = 0;
    if (number.n == 0) return true;
    kh_code code = kh_number_canonical(kind, number, (kh_text){NULL, 0}, canonical, &n);
    if (code != KH_C_OK && code != KH_C_CHECK_DIGIT)
        return kh_item_refuse(item, texts, KH_C_FORMAT, "It names the %s \"%.*s\", which is not a possible number.",
                              kh_kind_word(kind), number.n > 120 ? 120 : (int)number.n, number.p);
    kh_op_ref ref = {(uint8_t)role, (uint8_t)kind, kh_doc_key(kind, (kh_text){canonical, n}, issuer)};
    for (; at < d->ref_cnt; at++) {
        int order =
            d->refs[at].role != ref.role ? (int)d->refs[at].role - (int)ref.role : memcmp(d->refs[at].key.b, ref.key.b, 16);
        if (order == 0) return true;
        if (order > 0) break;
    }
    if (d->ref_cnt == KH_DOC_REFS_MAX)
        return kh_item_refuse(item, texts, KH_C_CAPACITY, "The document names more than %d other documents.", KH_DOC_REFS_MAX);
    memmove(&d->refs[at + 1], &d->refs[at], (d->ref_cnt - at) * sizeof d->refs[0]);
    memmove(&item->ref_texts[at + 1], &item->ref_texts[at], (d->ref_cnt - at) * sizeof item->ref_texts[0]);
    d->refs[at] = ref;
    d->ref_cnt++;
    char *text = item->ref_texts[at];
    size_t cap = sizeof item->ref_texts[0], used = (size_t)snprintf(text, cap, "%s:", kh_kind_word(kind));
    used += escaped(text + used, cap - used, (kh_text){canonical, n});
    if (issuer.n != 0 && used + 2 < cap) {
        text[used++] = '@';
        escaped(text + used, cap - used, issuer);
    }
    return true;
}

bool kh_item_add_link(kh_item *item, kh_item_texts *texts, kh_kind kind, kh_text number, kh_text issuer)
{
    bool some = false;
    for (uint32_t i = 0; i < number.n; i++)
        some = some || (number.p[i] >= '0' && number.p[i] <= '9') || (number.p[i] & 0x80) != 0;
    return !some || kh_item_add_ref(item, texts, KH_REF_LINK, kind, number, issuer);
}

void kh_item_contract(kh_item *item, kh_text contract)
{
    if (contract.n == 0) return;
    item->contract_text = contract;
    item->document.contract = kh_contract_digest(contract);
}

bool kh_item_bill_of_lading_code(kh_text code)
{
    if (code.n == 4 && (code.p[0] == 'N' || code.p[0] == 'n')) code = (kh_text){code.p + 1, 3};
    if (code.n != 3 || code.p[0] != '7') return false;
    int tail = (code.p[1] - '0') * 10 + (code.p[2] - '0');
    return tail == 4 || tail == 5 || tail == 6 || tail == 9 || tail == 14;
}

static bool digits(const char **at, const char *end, int cnt, int *ret)
{
    int v = 0;
    if (end - *at < cnt) return false;
    for (int i = 0; i < cnt; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9') return false;
        v = v * 10 + ((*at)[i] - '0');
    }
    *at += cnt;
    *ret = v;
    return true;
}

/* The zone at the end of a time: nothing, Z, +01, +0100 or +01:00. */
static bool zone(const char *at, const char *end, int *zone_s)
{
    if (at == end) return true;
    if (*at == 'Z' || *at == 'z') {
        *zone_s = 0;
        return at + 1 == end;
    }
    if (*at != '+' && *at != '-') return false;
    int sign = *at++ == '-' ? -1 : 1, hours, minutes = 0;
    if (!digits(&at, end, 2, &hours)) return false;
    if (at < end && *at == ':') at++;
    if (at < end && !digits(&at, end, 2, &minutes)) return false;
    if (at != end || hours > 18 || minutes > 59) return false;
    *zone_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool kh_when_parse(kh_text text, int zone_s, kh_date *ret_date, uint64_t *ret_seconds)
{
    int year, month, day, hour = 0, minute = 0, second = 0;
    kh_date date = 0;
    if (text.n == 0) {
        *ret_date = 0;
        *ret_seconds = 0;
        return true;
    }
    const char *at = text.p, *end = text.p + text.n;
    if (!digits(&at, end, 4, &year)) return false;
    bool dashes = at < end && *at == '-';
    if (dashes) at++;
    if (!digits(&at, end, 2, &month) || (dashes && (at == end || *at++ != '-')) || !digits(&at, end, 2, &day)) return false;
    if (!kh_date_make(year, month, day, &date)) return false;
    if (at < end && (*at == 'T' || *at == ' ')) at++;
    bool timed = digits(&at, end, 2, &hour);
    if (timed) {
        if (at < end && *at == ':') at++;
        if (digits(&at, end, 2, &minute)) {
            if (at < end && *at == ':') at++;
            if (digits(&at, end, 2, &second) && at < end && *at == '.')
                for (at++; at < end && *at >= '0' && *at <= '9'; at++) {}
        }
    }
    if (hour > 24 || minute > 59 || second > 60 || !zone(at, end, &zone_s)) return false;
    *ret_date = date;
    *ret_seconds = 0;
    if (timed) { /* kh_date counts from 2000-01-01, which is 10,957 days after 1970-01-01 */
        int64_t s = ((int64_t)date + 10957) * 86400 + hour * 3600 + minute * 60 + second - zone_s;
        *ret_seconds = s > 0 ? (uint64_t)s : 0;
    }
    return true;
}

static kh_text cut(kh_text t)
{
    while (t.n > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) t.p++, t.n--;
    while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) t.n--;
    return t;
}

bool kh_day_parse(kh_text text, kh_date *ret)
{
    char time[48] = "20010101T0"; /* a time is read as that of any day */
    kh_text t = cut(text), rest;
    kh_date day, ignored;
    uint64_t seconds = 0;
    uint32_t n = 0;
    if (kh_date_parse(t, ret)) return true;
    while (n < t.n && t.p[n] != 'T' && t.p[n] != ' ') n++;
    if (n == t.n && (n == 12 || n == 14)) n = 8; /* CCYYMMDDHHMM[SS] */
    rest = cut((kh_text){t.p + n, t.n - n});
    if (rest.n != 0 && rest.p[0] == 'T') rest.p++, rest.n--;
    if (rest.n < 4 || rest.n > 32 || n == 0 || !kh_date_parse((kh_text){t.p, n}, &day)) return false;
    uint32_t at = rest.p[1] == ':' ? 10 : 9;
    memcpy(time + at, rest.p, rest.n);
    if (!kh_when_parse((kh_text){time, at + rest.n}, 0, &ignored, &seconds) || seconds == 0) return false;
    *ret = day;
    return true;
}
