/* invoice: see invoice.h. */
#include "formats/invoice.h"

#include <strings.h>

/* The codes of UN/EDIFACT 1001 that stand for a credit note (EN 16931's list), and the reversal of a debit (457), by which an
   invoice is cancelled: EN 16931 has it among the invoices, but it claims nothing. */
static bool is_credit_code(kh_text code)
{
    static const char *const codes[] = {"381", "81",  "83",  "261", "262", "296", "308",
                                        "396", "420", "457", "458", "532", "502", "503"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (kh_text_equal(code, kh_text_of(codes[i]))) return true;
    return false;
}

/* The codes of an invoice that corrects another: the plain one, the self-billed, the factored, both. */
static bool is_corrected_code(kh_text code)
{
    static const char *const codes[] = {"384", "471", "472", "473"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (kh_text_equal(code, kh_text_of(codes[i]))) return true;
    return false;
}

/* The issuer of an invoice number: none where the number is a Chinese one of a Chinese seller, which is unique by itself. */
static kh_text issuer_for(kh_text number, kh_text issuer)
{
    return kh_number_is_chinese_invoice(number) && kh_uscc_shape(issuer) ? (kh_text){NULL, 0} : issuer;
}

void kh_invoice_add_preceding(kh_invoice *v, kh_text number)
{
    if (number.n == 0) return;
    for (uint32_t i = 0; i < v->preceding_cnt; i++)
        if (kh_text_equal(v->preceding[i], number)) return;
    if (v->preceding_cnt == KH_DOC_REFS_MAX) v->too_many_preceding = true;
    else v->preceding[v->preceding_cnt++] = number;
}

/* "Invoice Number: 354; Invoice Issue Date: 2021-02-10", as Saudi invoices have it, in whatever quotes -> "354". */
static kh_text number_alone(kh_text text)
{
    static const char before[] = "Invoice Number:";
    uint32_t n = (uint32_t)sizeof before - 1, at = 0;
    while (at < text.n && at < 4 && (text.p[at] < 'A' || text.p[at] > 'z')) at++;
    if (text.n - at <= n || strncasecmp(text.p + at, before, n) != 0) return text;
    kh_text number = {text.p + at + n, text.n - at - n};
    const char *end = memchr(number.p, ';', number.n);
    if (end != NULL) number.n = (uint32_t)(end - number.p);
    while (number.n > 0 && number.p[0] == ' ') number.p++, number.n--;
    return number.n != 0 ? number : text;
}

static bool add_preceding(kh_item *item, kh_item_texts *texts, kh_text number)
{
    char canonical[KH_NUMBER_MAX + 1];
    uint32_t n = 0;
    kh_text issuer = item->document.owner;
    number = number_alone(number);
    if (kh_number_canonical(KH_KIND_INVOICE, number, (kh_text){NULL, 0}, canonical, &n) == KH_C_OK)
        issuer = issuer_for((kh_text){canonical, n}, issuer);
    return kh_item_add_ref(item, texts, KH_REF_CORRECTS, KH_KIND_INVOICE, number, issuer);
}

static bool set_seller(const kh_invoice *v, kh_item_texts *texts, kh_item *item)
{
    uint32_t n = 0;
    kh_code code = kh_issuer_of_seller(v->vat, v->registration, v->identifier, v->country, v->seller_name, texts->issuer, &n);
    if ((code != KH_C_OK && code != KH_C_CHECK_DIGIT) || n == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "The seller has no usable VAT number, registration, identifier or name; one of them is needed.");
    memcpy(texts->owner, texts->issuer, n);
    item->odd_owner = code == KH_C_CHECK_DIGIT;
    item->document.owner = (kh_text){texts->owner, n};
    item->document.issuer = issuer_for(item->document.number, (kh_text){texts->issuer, n});
    return true;
}

/* A proforma invoice (325) looks like an invoice and claims no payment: nothing that it says can be financed. */
static bool is_proforma(kh_text code) { return kh_text_equal(code, kh_text_of("325")); }

/* What is due where a syntax does not have to say it: the total, less what is prepaid, with its rounding (EN 16931, BR-CO-16). */
static bool due_of(const kh_invoice *v, kh_currency currency, bool *ret_negative, uint64_t *ret)
{
    const kh_text parts[3] = {v->total, v->prepaid, v->rounding};
    int64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        bool negative = false;
        uint64_t part = 0;
        if (kh_amount_parse_signed(parts[i], currency, &negative, &part) != KH_C_OK) return false;
        if (part == KH_AMOUNT_NONE) continue;
        sum += negative == (i == 1) ? (int64_t)part : -(int64_t)part;
    }
    *ret_negative = sum < 0;
    *ret = (uint64_t)(sum < 0 ? -sum : sum);
    return *ret <= KH_AMOUNT_MAX;
}

static bool set_amount(const kh_invoice *v, kh_item_texts *texts, kh_item *item, bool *ret_negative)
{
    kh_text word = v->currency.n != 0 ? v->currency : v->payable_currency;
    kh_currency currency, beside;
    uint64_t amount = KH_AMOUNT_NONE;
    *ret_negative = false;
    if (v->payable.n == 0 && v->total.n == 0) return true;
    if (!kh_currency_of_text(word, &currency))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The invoice currency \"%.*s\" is not an ISO 4217 code.",
                              word.n > 40 ? 40 : (int)word.n, word.n != 0 ? word.p : "");
    if (v->payable_currency.n != 0 && (!kh_currency_of_text(v->payable_currency, &beside) || beside != currency))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The amount due is in another currency than the invoice (%s).",
                              kh_currency_alpha(currency));
    if (v->payable.n == 0) {
        if (!due_of(v, currency, ret_negative, &amount))
            return kh_item_refuse(
                item, texts, KH_C_FORMAT,
                "The total, what is prepaid or the rounding is not a plain decimal with at most %d digits after "
                "the point (%s) and 18 in all.",
                kh_currency_exponent(currency), kh_currency_alpha(currency));
    } else if (kh_amount_parse_signed(v->payable, currency, ret_negative, &amount) != KH_C_OK)
        return kh_item_refuse(
            item, texts, KH_C_FORMAT,
            "The amount due \"%.*s\" is not a plain decimal with at most %d digits after the point (%s) and 18 in all.",
            v->payable.n > 70 ? 70 : (int)v->payable.n, v->payable.p, kh_currency_exponent(currency),
            kh_currency_alpha(currency));
    if (amount == KH_AMOUNT_NONE) return true;
    if (amount == 0) *ret_negative = false;
    return kh_item_add_amount(item, texts, currency, amount);
}

bool kh_invoice_scheme_is_vat(kh_text scheme)
{
    return (scheme.n == 2 && strncasecmp(scheme.p, "VA", 2) == 0) || (scheme.n == 3 && strncasecmp(scheme.p, "VAT", 3) == 0);
}

bool kh_invoice_item(const kh_invoice *v, kh_item_texts *texts, kh_item *item)
{
    kh_op_document *d = &item->document;
    uint64_t ignored;
    bool negative = false;
    kh_text day = v->date;
    d->action = KH_DOC_PUT;
    d->kind = KH_KIND_INVOICE;
    if (v->number.n == 0) return kh_item_refuse(item, texts, KH_C_FORMAT, "The invoice has no number.");
    if (!kh_item_number(item, texts, KH_KIND_INVOICE, v->number) || !set_seller(v, texts, item)) return false;
    if (day.n > 10 && day.p[4] == '-') day.n = 10; /* an XML date may have a zone */
    if (day.n == 0 || !kh_when_parse(day, 0, &d->date, &ignored))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The issue date \"%.*s\" is missing or not a date from 2000 on.",
                              day.n > 40 ? 40 : (int)day.n, day.n != 0 ? day.p : "");
    if (!set_amount(v, texts, item, &negative)) return false;
    if (is_proforma(v->type_code))
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "A proforma invoice (type 325) claims no payment and is no receivable; send the invoice itself.");
    bool credit = v->credit_note || is_credit_code(v->type_code) || negative;
    if (credit && v->too_many_preceding)
        return kh_item_refuse(item, texts, KH_C_CAPACITY, "The credit note names more than %d preceding invoices.",
                              KH_DOC_REFS_MAX);
    if (credit) {
        d->kind = KH_KIND_CREDIT_NOTE;
        for (uint32_t i = 0; i < v->preceding_cnt; i++)
            if (!add_preceding(item, texts, v->preceding[i])) return false;
    } else if (is_corrected_code(v->type_code) && v->preceding_cnt > 0) {
        if (!add_preceding(item, texts, v->preceding[0])) return false;
    }
    for (uint32_t i = 0; i < v->bill_cnt; i++)
        if (!kh_item_add_link(item, texts, KH_KIND_BILL_OF_LADING, v->bills[i], (kh_text){NULL, 0})) return false;
    kh_item_contract(item, v->contract);
    return true;
}
