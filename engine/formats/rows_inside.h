/* rows_inside: what rows.c, rows_header.c, rows_csv.c and rows_json.c share. Not for other folders. */
#ifndef KH_FORMATS_ROWS_INSIDE_H
#define KH_FORMATS_ROWS_INSIDE_H
#include "formats/columns.h"
#include "formats/input.h"

#define KH_CELLS_MAX 256     /* cells of a CSV record, known columns or not */
#define KH_RAW_MAX 4096      /* of a refused line, kept to be shown */
#define KH_JSON_DEPTH_MAX 32 /* of a value under a key that nobody asked for */
#define KH_WARNING_MAX 512

struct kh_rows {
    kh_input *input;
    bool owns_input, json, header_read, stopped, skipping;
    char delimiter, separator; /* separator: what a line "sep=;" before the header says, else 0 */
    const char *const *columns;
    uint32_t column_cnt;
    uint64_t needed;               /* columns that a header must name */
    int16_t meaning[KH_CELLS_MAX]; /* CSV: cell -> column, -1 unknown; JSON: the same for the last object's keys */
    kh_text keys[KH_CELLS_MAX];    /* JSON: keys of the last object, to find their columns without looking them up again */
    uint32_t key_cnt;
    char key_bytes[KH_CELLS_MAX * KH_COLUMN_NAME_MAX];
    uint32_t cell_cnt, named_cnt; /* CSV: cells of the header; up to the last that has a name */
    kh_number_form number_form;
    kh_text values[KH_ROW_COLUMNS_MAX];
    char *scratch; /* KH_LINE_MAX_SZ bytes: what quotes and escapes were taken out of */
    uint32_t scratch_n;
    uint64_t line; /* of the window's begin */
    char *header;  /* of a CSV, from the text's begin on */
    uint32_t header_n;
    kh_text record; /* the last row's */
    uint64_t record_offset;
    char raw[KH_RAW_MAX];
    char why[256];
    char warning[KH_WARNING_MAX]; /* the columns that are ignored */
    uint32_t warning_n, ignored_cnt;
    char *ignored[KH_CELLS_MAX]; /* JSON: keys already named */
    const char *warnings[2];
};

/* The outcome of scanning one record at the window's begin. */
typedef enum kh_scan { KH_SCAN_OK, KH_SCAN_MORE, KH_SCAN_REFUSED, KH_SCAN_LONG } kh_scan;

/* kh_csv_record splits a record of at most n bytes; cells[] lend from p or the scratch. `last`: nothing comes after p + n. OK:
   *ret_n bytes and *ret_lines lines are the record with its newline. MORE: it goes on beyond n. REFUSED (r->why): the first line
   alone is refused, *ret_n bytes. LONG: beyond KH_LINE_MAX_SZ. */
kh_scan kh_csv_record(kh_rows *r, const char *p, size_t n, bool last, kh_text cells[KH_CELLS_MAX], uint32_t *ret_cell_cnt,
                      size_t *ret_n, uint32_t *ret_lines);
/* kh_json_record reads one line that holds a flat object into r->values. */
kh_scan kh_json_record(kh_rows *r, const char *p, size_t n);
/* kh_rows_ignored names a column that is ignored, once. */
void kh_rows_ignored(kh_rows *r, kh_text column);

/* ---- rows_header.c ---- */
/* kh_rows_separator: spreadsheets may say before the header what parts the cells: sep=; alone in a line, in quotes or not. What
   it says, and the line's length; 0: the text does not begin with such a whole line. */
char kh_rows_separator(const char *p, size_t n, size_t *ret_n);
/* kh_rows_delimiter: some write semicolons, tabs or bars: without a comma, what the header has most of outside quotes. */
char kh_rows_delimiter(const char *p, size_t n);
/* kh_rows_bare_cr: a carriage return outside quotes that ends neither a CRLF nor the record: a line end of old Macintosh systems,
   which are not read. kh_rows_say_bare_cr says so in r->why, and is false. */
bool kh_rows_bare_cr(const char *p, size_t n);
bool kh_rows_say_bare_cr(kh_rows *r);
/* kh_rows_read_header learns what the cells mean; false: r->why says what is wrong with them. */
bool kh_rows_read_header(kh_rows *r, const kh_text cells[], uint32_t cnt);
/* kh_rows_keep_header: as it can stand before other lines; the lines before it, blank or a separator's, are lines too. */
void kh_rows_keep_header(kh_rows *r, uint32_t lines);
#endif
