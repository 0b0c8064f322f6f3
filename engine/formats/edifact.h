/* edifact: EDIFACT INVOIC (D.93A to D.21B, syntax 3 and 4) -> invoices. Inside formats; reader.c drives it.
 *
 * A whole file of interchanges is lent as bytes; each message comes out as one kh_item: an invoice, or a refusal of that message
 * alone. UNA may redefine every separator of the interchange behind it. A decimal comma and point are both taken, as ISO 9735
 * says. Texts that are not UTF-8 are read in the character set that UNB names. Threads  a reader is one thread's. Memory: besides
 * the lent bytes a few KiB. */
#ifndef KH_FORMATS_EDIFACT_H
#define KH_FORMATS_EDIFACT_H
#include "formats/formats.h"

typedef struct kh_edifact kh_edifact;

/* kh_edifact_detect: the bytes begin (after blanks or a BOM) with UNA, UNB or UNH as an interchange does. */
KH_MUST bool kh_edifact_detect(const uint8_t *p, size_t n);
/* kh_edifact_open begins n bytes at p, lent until kh_edifact_close. feed may be NULL. KH_E_NOMEM. */
KH_MUST kh_err kh_edifact_open(const uint8_t *p, size_t n, const kh_feed *feed, kh_edifact **ret);
/* kh_edifact_next: true with the next item (texts lent until the next call); where there is no message, one refusal. */
bool kh_edifact_next(kh_edifact *e, kh_item *ret);
/* kh_edifact_warnings: wrong counts in UNT and UNZ, a missing UNZ; each said once. NULL-terminated, lent. */
const char *const *kh_edifact_warnings(const kh_edifact *e);
void kh_edifact_close(kh_edifact *e);
#endif
