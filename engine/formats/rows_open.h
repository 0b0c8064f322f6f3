/* rows_open: rows over an input that a reader has already looked at. Not for other folders. */
#ifndef KH_FORMATS_ROWS_OPEN_H
#define KH_FORMATS_ROWS_OPEN_H
#include "formats/columns.h"
#include "formats/input.h"

/* kh_rows_open_input: the input, begun as text, becomes the rows' when it is OK. format: CSV or JSONL. */
KH_MUST kh_err kh_rows_open_input(kh_input *input, kh_format format, const char *const columns[], uint32_t column_cnt,
                                  kh_rows **ret);
/* kh_rows_detect: CSV, JSONL, or AUTO where the text begins with neither a known column's name nor an object. */
kh_format kh_rows_detect(kh_input *input, const char *const columns[], uint32_t column_cnt);
/* kh_rows_value: the value of the i-th of the columns, without looking for its name. */
kh_text kh_rows_value(const kh_rows *r, uint32_t column);
kh_number_form kh_rows_number_form(const kh_rows *r);
/* kh_rows_form_of: the same of any view; ANY for one that is not from rows. */
kh_number_form kh_rows_form_of(const kh_row_view *row);
/* kh_rows_is: the view is one of these rows', opened with exactly these columns. */
bool kh_rows_is(const kh_row_view *row, const char *const columns[]);
uint64_t kh_rows_offset(const kh_rows *r); /* of the next record */
#endif
