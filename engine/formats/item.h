/* item: building one kh_item: canonical texts, balances in order, references in order, refusals with a sentence.
 *
 * A kh_item_texts holds what the item's texts point to; it is the reader's and is reused for the next item. Readers of every
 * syntax use these, so that the same paper gives the same document whatever it was written in. Pure but for the sentence. */
#ifndef KH_FORMATS_ITEM_H
#define KH_FORMATS_ITEM_H
#include "formats/formats.h"

typedef struct kh_item_texts {
    char number[KH_NUMBER_MAX + 1], lrn[KH_NUMBER_MAX + 1];
    char issuer[KH_ISSUER_MAX + 1], owner[KH_ISSUER_MAX + 1], lrn_issuer[KH_ISSUER_MAX + 1];
    char why[512];
} kh_item_texts;

/* kh_item_begin clears *ret and gives it its place and the feed's party. feed may be NULL. */
void kh_item_begin(kh_item *ret, uint64_t line, uint64_t byte, const kh_feed *feed);
/* kh_item_refuse makes it a refusal; the sentence is cut to fit. Returns false, so that a reader can `return kh_item_refuse(…)`.
 */
bool kh_item_refuse(kh_item *item, kh_item_texts *texts, kh_code code, const char *sentence, ...)
    __attribute__((format(printf, 4, 5)));

/* kh_item_number makes `number` canonical for the kind and sets document.number; false: refused. */
bool kh_item_number(kh_item *item, kh_item_texts *texts, kh_kind kind, kh_text number);
/* kh_item_owner sets document.owner; false: refused. `what` names the element in the sentence. */
bool kh_item_owner(kh_item *item, kh_item_texts *texts, kh_text id, const char *what);
/* kh_item_declaration_number sets number, issuer, lrn, lrn_issuer and LRN_KEY of a declaration from its MRN (or customs number),
   its local reference and its declarant; each may be none, not both numbers. False: refused. */
bool kh_item_declaration_number(kh_item *item, kh_item_texts *texts, kh_text mrn, kh_text lrn, kh_text declarant);
/* kh_item_add_amount adds to the balance of a currency, which stays in ascending order; false: refused (overflow, too many). */
bool kh_item_add_amount(kh_item *item, kh_item_texts *texts, kh_currency currency, uint64_t amount);
/* kh_item_add_ref adds a reference to (kind, number, issuer), issuer canonical or none; the same one twice is one, an empty
   number none. False: refused (malformed number, more than KH_DOC_REFS_MAX). */
bool kh_item_add_ref(kh_item *item, kh_item_texts *texts, kh_ref_role role, kh_kind kind, kh_text number, kh_text issuer);
/* kh_item_add_link adds a link to a document that the paper names: a number without a digit ("NIL", "*") stands for none, and the
   papers that have it are no group. */
bool kh_item_add_link(kh_item *item, kh_item_texts *texts, kh_kind kind, kh_text number, kh_text issuer);
/* kh_item_contract sets the contract number; none is none. */
void kh_item_contract(kh_item *item, kh_text contract);
/* kh_item_bill_of_lading_code: the UN/EDIFACT 1001 code of a bill of lading (704, 705, 706, 709, 714; with or without `N`). */
bool kh_item_bill_of_lading_code(kh_text code);

/* kh_when_parse reads "20130630", "2013-06-30", and these with a time ("20191113172216Z", "2019-11-13T17:22:16+01:00", hours and
   minutes alone too). *ret_date is the written day; *ret_seconds the instant, an unwritten zone being `zone_s` east of UTC, and 0
   when there is no time of day. False: not a date. Empty: both 0. */
KH_MUST bool kh_when_parse(kh_text text, int zone_s, kh_date *ret_date, uint64_t *ret_seconds);
/* kh_day_parse reads what kh_date_parse reads, and these with a time of day behind them ("2026/10/1 0:00", as spreadsheets write
   it, "2026-10-01T10:20:30+08:00", "20261001102030"): the written day; the time must be one and is left out. Empty: 0. */
KH_MUST bool kh_day_parse(kh_text text, kh_date *ret);
#endif
