/* row: one row as JSON, as a hub sends it, back into named fields: their order and types are those of the embedded engine's rows.
 *
 * {"row":"verdict","line":2,"mismatch":["date"],"documents":[{...}]}: a list of texts is WORDS, a list of objects ROWS; an empty
 * list is WORDS unless its name is "documents".
 * Memory   fields lie in the decoder until its next call; texts lie in the line itself, which is changed.
 * Errors   false: it is no such object, nests deeper than 4, or memory ran out. */
#ifndef KH_CLIENT_ROW_H
#define KH_CLIENT_ROW_H
#include <kanhe/rows.h>

typedef struct kh_row_decoder {
    kh_result_field *fields; /* gathered, innermost last */
    size_t field_cnt, field_cap;
    kh_result_row *rows;
    size_t row_cnt, row_cap;
    void **kept; /* of the last row */
    size_t kept_cnt, kept_cap;
} kh_row_decoder;

void kh_row_decoder_free(kh_row_decoder *d);
/* kh_row_decode reads line[0, n); line[n] must be writable. `what` is the value of the field "row", which is left out; "" where
   there is none. */
bool kh_row_decode(kh_row_decoder *d, char *line, size_t n, kh_result_row *ret);
/* kh_row_field finds a field by its name; NULL: there is none. */
const kh_result_field *kh_row_field(const kh_result_row *row, const char *name);
#endif
