/* invoice: what EN 16931 means to us, whatever the syntax (UBL, CII, EDIFACT): the facts of an invoice -> a document.
 *
 * One place for the rules of DOMAIN §5 and §6: who the issuer is, when it is a credit note, what a corrected invoice amends,
 * so that the same invoice in three syntaxes is one document. */
#ifndef KH_FORMATS_INVOICE_H
#define KH_FORMATS_INVOICE_H
#include "formats/item.h"

typedef struct kh_invoice {
    kh_text number, date;               /* BT-1, BT-2 (20130630, 2013-06-30; a time or zone after it is ignored) */
    kh_text type_code;                  /* BT-3, UN/EDIFACT 1001: 380, 381, 384 … ; may be none */
    bool credit_note;                   /* the syntax itself says so (a UBL CreditNote) */
    kh_text currency, payable_currency; /* BT-5; the currency beside the amount, may be none, must not differ */
    kh_text payable;                    /* BT-115; none: what total, prepaid and rounding give */
    kh_text total, prepaid, rounding;   /* BT-112, 113, 114, in the currency of the payable; no total either: without an amount */
    kh_text vat, registration, identifier, country, seller_name; /* BT-31, BT-30, BT-29, BT-40, BT-27; each may be none */
    kh_text contract;                                            /* BT-12 */
    kh_text preceding[KH_DOC_REFS_MAX];                          /* BT-25 */
    uint32_t preceding_cnt;
    bool too_many_preceding;        /* it names more; refused where that matters */
    kh_text bills[KH_DOC_REFS_MAX]; /* numbers of bills of lading that it names */
    uint32_t bill_cnt;
} kh_invoice;

/* kh_invoice_scheme_is_vat: whether a tax scheme's code is that of the VAT (UN/EDIFACT 5153: VAT; 1153: VA). */
bool kh_invoice_scheme_is_vat(kh_text scheme);

/* kh_invoice_add_preceding adds the number of a preceding invoice: none is none, the same one twice is one. */
void kh_invoice_add_preceding(kh_invoice *invoice, kh_text number);

/* kh_invoice_item fills an item that kh_item_begin has begun. False: refused (item->code, item->why). */
bool kh_invoice_item(const kh_invoice *invoice, kh_item_texts *texts, kh_item *item);
#endif
