/* edifact_invoice: what the segments of an INVOIC message mean for us: BGM, DTM, CUX, NAD and RFF, DOC, MOA. */
#include "doc/fold.h"
#include "formats/edifact_inside.h"

#include <iconv.h>

#define CNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))
#define TEXT(k) ((kh_text){(k).n != 0 ? (k).p : NULL, (k).n})

static kh_edifact_kept kept(const kh_edifact *e, const kh_edifact_segment *s, uint32_t element, uint32_t component)
{
    kh_edifact_kept v;
    v.n = kh_edifact_value(e, s, element, component, v.p, sizeof v.p);
    return v;
}

static bool is(const kh_edifact_kept *v, const char *word) { return kh_text_equal((kh_text){v->p, v->n}, kh_text_of(word)); }

/* The place of a word in a list, from 1; 0: not there. */
static uint32_t rank_of(const kh_edifact_kept *v, const char *const words[], uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (is(v, words[i])) return i + 1;
    return 0;
}

void kh_edifact_invoice_begin(kh_edifact_invoice *v) { memset(v, 0, sizeof *v); }

/* How a format of UN/EDIFACT 2379 writes the day; * is a time. The other formats that are read begin with CCYYMMDD. */
static const char *day_of_format(const kh_edifact_kept *format)
{
    static const struct {
        const char *code, *day;
    } table[] = {{"2", "DDMMYY"},    {"3", "MMDDYY"},      {"4", "DDMMCCYY"},   {"5", "DDMMCCYY*"},
                 {"101", "YYMMDD"},  {"201", "YYMMDD*"},   {"202", "YYMMDD*"},  {"301", "YYMMDD*"},
                 {"302", "YYMMDD*"}, {"303", "CCYYMMDD*"}, {"304", "CCYYMMDD*"}};
    for (uint32_t i = 0; i < CNT(table); i++)
        if (is(format, table[i].code)) return table[i].day;
    return NULL;
}

/* Turns a date round to CCYYMMDD and leaves its time out; of the years of two digits 70 to 99 are those of the last century. A
   text of another length than its format's stays as it is. */
static void turn_date(kh_edifact_kept *text, const char *day)
{
    char out[9] = "20000000";
    uint32_t n = (uint32_t)strcspn(day, "*"), at[128] = {['C'] = 0, ['Y'] = 2, ['M'] = 4, ['D'] = 6};
    if (text->n < n || (text->n > n && day[n] != '*')) return;
    for (uint32_t i = 0; i < n; i++) out[at[(unsigned char)day[i]]++] = text->p[i];
    if (strchr(day, 'C') == NULL && out[2] >= '7') memcpy(out, "19", 2);
    memcpy(text->p, out, text->n = 8);
}

/* 137: the document's date; 3: the invoice's, where there is no 137. */
static void read_date(kh_edifact *e, const kh_edifact_segment *s)
{
    kh_edifact_kept qualifier = kept(e, s, 1, 0), text = kept(e, s, 1, 1), format = kept(e, s, 1, 2);
    kh_edifact_kept *to = is(&qualifier, "137") ? &e->invoice.date : is(&qualifier, "3") ? &e->invoice.other_date : NULL;
    if (to == NULL || to->n != 0) return;
    const char *day = day_of_format(&format);
    if (day != NULL) turn_date(&text, day);
    *to = text;
}

/* The invoicing currency (role 4), whichever its usage; else the reference currency (usage 2). Payment and tax currencies are not
   what the invoice is in. */
static void read_currency(kh_edifact *e, const kh_edifact_segment *s)
{
    kh_edifact_invoice *v = &e->invoice;
    for (uint32_t element = 1; element <= 2; element++) {
        kh_edifact_kept usage = kept(e, s, element, 0), code = kept(e, s, element, 1), role = kept(e, s, element, 2);
        bool invoicing = is(&role, "4");
        if (code.n == 0 || v->currency_is_sure || (!invoicing && (!is(&usage, "2") || v->currency.n != 0))) continue;
        v->currency = code;
        v->currency_is_sure = invoicing;
    }
}

/* A name of several parts (C080: 3036, five times), blanks between; the sixth is its format. */
static kh_edifact_kept joined(const kh_edifact *e, const kh_edifact_segment *s, uint32_t element)
{
    kh_edifact_kept all = kept(e, s, element, 0);
    for (uint32_t component = 1; component < 5; component++) {
        kh_edifact_kept part = kept(e, s, element, component);
        if (part.n == 0) continue;
        if (all.n != 0 && all.n < sizeof all.p) all.p[all.n++] = ' ';
        uint32_t n = part.n < sizeof all.p - all.n ? part.n : (uint32_t)sizeof all.p - all.n;
        memcpy(all.p + all.n, part.p, n);
        all.n += n;
    }
    return all;
}

static void read_party(kh_edifact *e, const kh_edifact_segment *s)
{
    static const char *const sellers[] = {"SE", "SU", "II", "MS"};
    kh_edifact_seller *seller = &e->invoice.seller;
    kh_edifact_kept role = kept(e, s, 1, 0);
    uint32_t rank = rank_of(&role, sellers, CNT(sellers));
    e->invoice.part = KH_EDIFACT_PARTIES;
    e->invoice.in_seller = rank != 0 && (seller->rank == 0 || rank < seller->rank);
    e->invoice.in_office = is(&role, "SCO");
    if (e->invoice.in_office) e->invoice.office_country = kept(e, s, 9, 0);
    if (!e->invoice.in_seller) return;
    memset(seller, 0, sizeof *seller);
    seller->rank = rank;
    seller->identifier = kept(e, s, 2, 0);
    seller->name = joined(e, s, 4);
    if (seller->name.n == 0) seller->name = kept(e, s, 3, 0);
    seller->country = kept(e, s, 9, 0);
}

/* The same number twice is one. */
static void add(kh_edifact_kept list[KH_DOC_REFS_MAX], uint32_t *cnt, kh_edifact_kept value, bool *too_many)
{
    if (value.n == 0) return;
    for (uint32_t i = 0; i < *cnt; i++)
        if (kh_text_equal(TEXT(list[i]), TEXT(value))) return;
    if (*cnt == KH_DOC_REFS_MAX) *too_many = true;
    else list[(*cnt)++] = value;
}

/* The invoices that lines refer to count where the header names none. */
static void read_preceding(kh_edifact_invoice *v, kh_edifact_kept value)
{
    if (v->part != KH_EDIFACT_HEADER && v->preceding_cnt == 0) v->preceding_of_lines = true;
    if (v->part != KH_EDIFACT_HEADER && !v->preceding_of_lines) return;
    add(v->preceding, &v->preceding_cnt, value, &v->too_many_preceding);
}

/* Before the parties: of the invoice. After the seller: his. After others: theirs. In the lines: of the line. */
static void read_reference(kh_edifact *e, const kh_edifact_segment *s)
{
    static const char *const precedings[] = {"IV", "OI"}, *const bills[] = {"BM", "MB", "BH"};
    kh_edifact_invoice *v = &e->invoice;
    kh_edifact_kept qualifier = kept(e, s, 1, 0), value = kept(e, s, 1, 1);
    if (v->part == KH_EDIFACT_PARTIES && v->in_seller) {
        kh_edifact_kept *to = NULL;
        if (is(&qualifier, "VA")) to = &v->seller.vat;
        if (is(&qualifier, "GN") || is(&qualifier, "XA")) to = &v->seller.registration;
        if (to != NULL && to->n == 0) *to = value;
    }
    if (v->part == KH_EDIFACT_PARTIES && v->in_office && is(&qualifier, "VA") && v->office_vat.n == 0) v->office_vat = value;
    bool names_preceding = rank_of(&qualifier, precedings, CNT(precedings)) != 0;
    if (names_preceding && (v->part == KH_EDIFACT_HEADER || v->part == KH_EDIFACT_LINES)) read_preceding(v, value);
    if (v->part != KH_EDIFACT_HEADER) return;
    if (is(&qualifier, "CT") && v->contract.n == 0) v->contract = value;
    if (rank_of(&qualifier, bills, CNT(bills)) != 0) add(v->bills, &v->bill_cnt, value, &v->too_many_bills);
}

static void read_paper(kh_edifact *e, const kh_edifact_segment *s)
{
    kh_edifact_kept code = kept(e, s, 1, 0);
    kh_edifact_invoice *v = &e->invoice;
    if (kh_item_bill_of_lading_code(TEXT(code))) add(v->bills, &v->bill_cnt, kept(e, s, 2, 0), &v->too_many_bills);
}

/* A decimal point for a comma, and no zeros at the end behind it where they are many: 802,00 and 802.0 are one amount. */
static kh_text plain_amount(const kh_edifact_kept *v)
{
    kh_text t = {v->p, v->n};
    if (t.n == 0 || memchr(t.p, '.', t.n) == NULL) return t;
    while (t.n > 0 && t.p[t.n - 1] == '0') t.n--;
    if (t.n > 0 && t.p[t.n - 1] == '.') t.n--;
    return t;
}

/* Each qualifier in the invoice's currency, or in one that is not said. ISO 9735 has both decimal marks and no grouping. */
static void read_amount(kh_edifact *e, const kh_edifact_segment *s)
{
    static const char *const qualifiers[KH_MOA_CNT] = {"9", "77", "39", "86", "388", "128", "113"};
    kh_edifact_invoice *v = &e->invoice;
    kh_edifact_kept qualifier = kept(e, s, 1, 0), text = kept(e, s, 1, 1), beside = kept(e, s, 1, 2);
    uint32_t rank = rank_of(&qualifier, qualifiers, KH_MOA_CNT);
    bool other = beside.n != 0 && v->currency.n != 0 && !kh_text_equal(TEXT(beside), TEXT(v->currency));
    if (rank-- == 0 || other || text.n == 0 || (v->in_group && (rank >= KH_MOA_RATES || v->amount[rank].n != 0))) return;
    for (uint32_t i = 0; i < text.n; i++)
        if (text.p[i] == ',') text.p[i] = '.';
    if (v->amount[rank].n != 0) {
        v->differs[rank] = v->differs[rank] || !kh_text_equal(plain_amount(&v->amount[rank]), plain_amount(&text));
        return;
    }
    v->amount[rank] = text;
    v->amount_currency[rank] = beside;
}

void kh_edifact_invoice_segment(kh_edifact *e, const kh_edifact_segment *s)
{
    kh_edifact_invoice *v = &e->invoice;
    if (kh_edifact_is(s, "UNS")) {
        kh_edifact_kept section = kept(e, s, 1, 0);
        v->part = is(&section, "D") ? KH_EDIFACT_LINES : KH_EDIFACT_SUMMARY;
    }
    if (v->part == KH_EDIFACT_SUMMARY && (kh_edifact_is(s, "TAX") || kh_edifact_is(s, "ALC"))) v->in_group = true;
    if (v->part == KH_EDIFACT_SUMMARY && kh_edifact_is(s, "MOA")) read_amount(e, s);
    if (kh_edifact_is(s, "LIN") && v->part != KH_EDIFACT_SUMMARY) v->part = KH_EDIFACT_LINES;
    if (v->part == KH_EDIFACT_LINES && kh_edifact_is(s, "RFF")) read_reference(e, s);
    if (v->part >= KH_EDIFACT_LINES) return;
    if (kh_edifact_is(s, "BGM")) {
        v->begun_twice = v->begun;
        v->begun = true;
        v->type_code = kept(e, s, 1, 0);
        v->number = kept(e, s, 2, 0);
        v->function = kept(e, s, 3, 0);
    }
    if (kh_edifact_is(s, "DTM")) read_date(e, s);
    if (kh_edifact_is(s, "CUX")) read_currency(e, s);
    if (kh_edifact_is(s, "NAD")) read_party(e, s);
    if (kh_edifact_is(s, "RFF")) read_reference(e, s);
    if (kh_edifact_is(s, "DOC")) read_paper(e, s);
}

/* Makes a kept value UTF-8: as it is where it is that already, else from the set that UNB names (ISO 8859-1 where it names
   none). False: it cannot be. */
static bool to_utf8(const kh_edifact *e, kh_edifact_kept *v)
{
    static const char letters[] = "CDEFGHIJKL";
    static const char *const sets[] = {"ISO-8859-1", "ISO-8859-2", "ISO-8859-5", "ISO-8859-7", "ISO-8859-3",
                                       "ISO-8859-4", "ISO-8859-6", "ISO-8859-8", "ISO-8859-9", "ISO-8859-15"};
    char copy[KH_EDIFACT_VALUE_MAX], *from = copy, *to = v->p;
    size_t from_n = v->n, to_n = sizeof v->p;
    if (v->n == 0 || kh_utf8_valid(TEXT(*v))) return true;
    char letter = e->charset_n == 4 ? e->charset[3] : 'A';
    if (letter == 'W' || letter == 'X' || letter == 'Y') return false;
    const char *set = letter != '\0' ? strchr(letters, letter) : NULL;
    memcpy(copy, v->p, v->n);
    iconv_t converter = iconv_open("UTF-8", set != NULL ? sets[set - letters] : "ISO-8859-1");
    if (converter == (iconv_t)-1) return false;
    size_t done = iconv(converter, &from, &from_n, &to, &to_n);
    iconv_close(converter);
    v->n = (uint32_t)(to - v->p);
    return done != (size_t)-1;
}

static bool texts_are_utf8(kh_edifact *e)
{
    kh_edifact_invoice *v = &e->invoice;
    kh_edifact_kept *const texts[] = {
        &v->number,         &v->contract,   &v->seller.vat, &v->seller.registration, &v->seller.identifier,
        &v->seller.country, &v->seller.name};
    bool good = true;
    for (uint32_t i = 0; i < CNT(texts); i++) good = good && to_utf8(e, texts[i]);
    for (uint32_t i = 0; i < v->preceding_cnt; i++) good = good && to_utf8(e, &v->preceding[i]);
    for (uint32_t i = 0; i < v->bill_cnt; i++) good = good && to_utf8(e, &v->bills[i]);
    return good;
}

/* What is due (MOA 9); in messages of older directories, which have none, the total less what was prepaid. False: what counts
   stands there twice. */
static bool amounts_of(const kh_edifact_invoice *v, kh_invoice *ret)
{
    uint32_t i = KH_MOA_DUE;
    while (i < KH_MOA_PREPAID && v->amount[i].n == 0) i++;
    if (i == KH_MOA_PREPAID) return true;
    ret->payable_currency = TEXT(v->amount_currency[i]);
    if (i == KH_MOA_DUE) ret->payable = TEXT(v->amount[i]);
    else ret->total = TEXT(v->amount[i]);
    ret->prepaid = TEXT(v->amount[KH_MOA_PREPAID]);
    return !v->differs[i] && (i == KH_MOA_DUE || !v->differs[KH_MOA_PREPAID]);
}

/* Whoever sends an invoice is its seller where no other party says so, but not where the buyer writes it. */
static bool is_self_billed(const kh_edifact_kept *type)
{
    static const char *const codes[] = {"389", "261", "471", "473", "500", "501", "502"};
    return rank_of(type, codes, CNT(codes)) != 0;
}

/* A seller may leave its VAT number to its corporate office (SCO), beside its own location. */
static void take_vat_of_office(kh_edifact_invoice *v)
{
    if (v->seller.rank == 0 || v->seller.vat.n != 0 || v->office_vat.n == 0) return;
    v->seller.vat = v->office_vat;
    if (v->seller.country.n == 0) v->seller.country = v->office_country;
}

bool kh_edifact_invoice_item(kh_edifact *e, kh_item *item)
{
    kh_edifact_invoice *v = &e->invoice;
    if (v->part != KH_EDIFACT_SUMMARY)
        return kh_item_refuse(item, &e->texts, KH_C_FORMAT,
                              "The message has no summary (UNS), so its total is not known; send it again whole.");
    if (v->begun_twice)
        return kh_item_refuse(item, &e->texts, KH_C_FORMAT,
                              "The message begins twice (BGM): a part is lost, or two messages are one; send it again whole.");
    if (v->seller.rank == 4 && is_self_billed(&v->type_code)) memset(&v->seller, 0, sizeof v->seller);
    take_vat_of_office(v);
    if (!texts_are_utf8(e))
        return kh_item_refuse(item, &e->texts, KH_C_FORMAT,
                              "The message has texts that are not in the character set that UNB names.");
    if (v->too_many_bills)
        return kh_item_refuse(item, &e->texts, KH_C_CAPACITY, "The invoice names more than %d bills of lading.", KH_DOC_REFS_MAX);
    kh_invoice invoice = {.number = TEXT(v->number),
                          .date = v->date.n != 0 ? TEXT(v->date) : TEXT(v->other_date),
                          .type_code = TEXT(v->type_code),
                          .currency = TEXT(v->currency),
                          .vat = TEXT(v->seller.vat),
                          .registration = TEXT(v->seller.registration),
                          .identifier = TEXT(v->seller.identifier),
                          .country = TEXT(v->seller.country),
                          .seller_name = TEXT(v->seller.name),
                          .contract = TEXT(v->contract),
                          .preceding_cnt = v->preceding_cnt,
                          .too_many_preceding = v->too_many_preceding,
                          .bill_cnt = v->bill_cnt};
    for (uint32_t i = 0; i < v->preceding_cnt; i++) invoice.preceding[i] = TEXT(v->preceding[i]);
    for (uint32_t i = 0; i < v->bill_cnt; i++) invoice.bills[i] = TEXT(v->bills[i]);
    if (!amounts_of(v, &invoice))
        return kh_item_refuse(item, &e->texts, KH_C_FORMAT,
                              "The amount due, or the total, stands twice in the summary (MOA): which one counts is not known.");
    if (!kh_invoice_item(&invoice, &e->texts, item)) return false;
    if (is(&v->function, "1")) item->document.status = KH_STATUS_VOID; /* BGM says: a cancellation */
    return true;
}
