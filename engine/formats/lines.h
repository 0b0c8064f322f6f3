/* lines: documents out of rows (CSV, JSON Lines): consecutive lines with one key and different currencies are one document.
 *
 * A document is given when the line after it has shown that it is whole; lines refused meanwhile are given before it. A line
 * that repeats a currency, or states another version or time of issue, begins the document anew (an amendment, or the same
 * again: the ledger decides); one that would join but disagrees in another field is refused (CONFLICT).
 * Threads  one. Memory: the rows' and two documents. */
#ifndef KH_FORMATS_LINES_H
#define KH_FORMATS_LINES_H
#include "formats/input.h"

typedef struct kh_lines kh_lines;

/* kh_lines_open takes the input, begun as text, in any case. feed is lent until kh_lines_close. */
KH_MUST kh_err kh_lines_open(kh_input *input, kh_format format, kh_kind kind, const kh_feed *feed, kh_lines **ret);
bool kh_lines_next(kh_lines *l, kh_item *ret, kh_err *ret_err);
const char *const *kh_lines_warnings(const kh_lines *l);
void kh_lines_close(kh_lines *l);
#endif
