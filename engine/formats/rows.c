/* rows: streaming rows of named columns from CSV or JSON Lines; see formats.h. */
#include "formats/rows_open.h"
#include "formats/rows_inside.h"
#include "doc/fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kh_err kh_rows_open_input(kh_input *input, kh_format format, const char *const columns[], uint32_t column_cnt, kh_rows **ret)
{
    if (column_cnt == 0 || column_cnt > KH_ROW_COLUMNS_MAX) return KH_E_ARG;
    kh_rows *r = calloc(1, sizeof *r);
    if (r == NULL) return KH_E_NOMEM;
    r->scratch = malloc(2 * KH_LINE_MAX_SZ + 64); /* a JSON list is joined beside its parts */
    if (r->scratch == NULL) {
        free(r);
        return KH_E_NOMEM;
    }
    r->input = input;
    r->json = format == KH_FORMAT_JSONL;
    r->columns = columns;
    r->column_cnt = column_cnt;
    r->line = 1;
    r->delimiter = ',';
    *ret = r;
    return KH_OK;
}

kh_err kh_rows_open(const kh_bytes_source *source, const char *const columns[], uint32_t column_cnt, kh_rows **ret)
{
    kh_input *input;
    kh_err err = kh_input_open(source, &input);
    if (err != KH_OK) return err;
    err = kh_input_begin_text(input);
    if (err == KH_OK) {
        kh_format format = kh_rows_detect(input, columns, column_cnt);
        err = kh_input_err(input);
        if (err == KH_OK)
            err =
                kh_rows_open_input(input, format == KH_FORMAT_JSONL ? KH_FORMAT_JSONL : KH_FORMAT_CSV, columns, column_cnt, ret);
    }
    if (err != KH_OK) kh_input_close(input);
    return err;
}

void kh_rows_close(kh_rows *r)
{
    if (r == NULL) return;
    kh_input_close(r->input);
    for (uint32_t i = 0; i < r->ignored_cnt; i++) free(r->ignored[i]);
    free(r->header);
    free(r->scratch);
    free(r);
}

kh_text kh_rows_header(const kh_rows *r) { return (kh_text){r->header, r->header_n}; }
kh_text kh_rows_record(const kh_rows *r, uint64_t *ret_offset)
{
    *ret_offset = r->record_offset;
    return r->record;
}

void kh_rows_need(kh_rows *r, uint64_t columns) { r->needed = columns; }
const char *const *kh_rows_warnings(const kh_rows *r) { return r->warnings; }
kh_text kh_rows_value(const kh_rows *r, uint32_t column) { return r->values[column]; }
kh_number_form kh_rows_number_form(const kh_rows *r) { return r->number_form; }
uint64_t kh_rows_offset(const kh_rows *r) { return kh_input_offset(r->input); }

void kh_rows_ignored(kh_rows *r, kh_text column)
{
    if (column.n == 0 || column.n > KH_COLUMN_NAME_MAX || r->ignored_cnt == KH_CELLS_MAX || !kh_utf8_valid(column)) return;
    for (uint32_t i = 0; i < r->ignored_cnt; i++)
        if (kh_text_equal(kh_text_of(r->ignored[i]), column)) return;
    char *copy = strndup(column.p, column.n);
    if (copy == NULL) return;
    r->ignored[r->ignored_cnt++] = copy;
    uint32_t at = r->warning_n;
    if (at + column.n + 64 > KH_WARNING_MAX) return;
    r->warning_n += (uint32_t)snprintf(r->warning + at, KH_WARNING_MAX - at, "%s%s",
                                       at == 0 ? "Columns that mean nothing here and are ignored: " : ", ", copy);
    r->warnings[0] = r->warning;
}

static kh_text value_of(const kh_row_view *row, const char *column)
{
    const kh_rows *r = row->self;
    for (uint32_t i = 0; i < r->column_cnt; i++)
        if (r->columns[i] == column || (r->columns[i][0] == column[0] && strcmp(r->columns[i], column) == 0)) return r->values[i];
    return (kh_text){NULL, 0};
}

bool kh_rows_is(const kh_row_view *row, const char *const columns[])
{
    return row->get == value_of && ((const kh_rows *)row->self)->columns == columns;
}

kh_number_form kh_rows_form_of(const kh_row_view *row)
{
    return row->get == value_of ? ((const kh_rows *)row->self)->number_form : KH_FORM_ANY;
}

/* The text of a record as it can be shown: without its newline, cut. */
static void keep_raw(kh_rows *r, kh_row_view *ret, const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r')) n--;
    if (n > KH_RAW_MAX) n = KH_RAW_MAX;
    if (n != 0) memcpy(r->raw, p, n);
    ret->raw = r->raw;
    ret->raw_n = (uint32_t)n;
}

static bool refuse(kh_rows *r, kh_row_view *ret, uint64_t line, const char *p, size_t n)
{
    memset(r->values, 0, r->column_cnt * sizeof r->values[0]);
    ret->line = line;
    ret->code = KH_C_FORMAT;
    ret->why = r->why;
    keep_raw(r, ret, p, n);
    return true;
}

/* Bytes that no text may have; r->why says which. */
static bool is_text(kh_rows *r, const char *p, size_t n)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++) all |= (uint8_t)p[i];
    if (memchr(p, 0, n) != NULL) snprintf(r->why, sizeof r->why, "The line holds a NUL byte.");
    else if (all >= 0x80 && !kh_utf8_valid((kh_text){p, (uint32_t)n}))
        snprintf(r->why, sizeof r->why, "The line holds bytes that are not text in the encoding of the file.");
    else return true;
    return false;
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r' && p[i] != '\n') return false;
    return true;
}

static bool all_empty(const kh_text cells[], uint32_t cnt)
{
    while (cnt > 0 && cells[cnt - 1].n == 0) cnt--;
    return cnt == 0;
}

static bool take_cells(kh_rows *r, const kh_text cells[], uint32_t cnt)
{
    while (cnt > r->cell_cnt && cells[cnt - 1].n == 0) cnt--;
    if (cnt > r->cell_cnt || cnt < r->named_cnt) { /* cells under no name may be left out at the end */
        if (kh_rows_bare_cr(r->record.p, r->record.n)) return kh_rows_say_bare_cr(r);
        snprintf(r->why, sizeof r->why, "The line has %u cells, the header %u.", cnt, r->cell_cnt);
        return false;
    }
    for (uint32_t i = 0; i < cnt; i++)
        if (r->meaning[i] >= 0) r->values[r->meaning[i]] = cells[i];
    return true;
}

/* What a line with another number of cells than the header shows all the same. */
static void show_cells(kh_rows *r, const kh_text cells[], uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt && i < r->cell_cnt; i++)
        if (r->meaning[i] >= 0) r->values[r->meaning[i]] = cells[i];
}

/* Leaves what remains of an over-long line, in bounded memory. False: the file ended with it. */
static bool skip_line(kh_rows *r)
{
    for (;;) {
        size_t n;
        const char *p = kh_input_at(r->input, &n), *newline = memchr(p, '\n', n);
        kh_input_take(r->input, newline != NULL ? (size_t)(newline - p) + 1 : n);
        if (newline != NULL) {
            r->line++;
            return true;
        }
        if (!kh_input_more(r->input)) return false;
    }
}

static bool too_long(kh_rows *r, kh_row_view *ret, const char *p, size_t n)
{
    r->record = (kh_text){p, (uint32_t)(n <= KH_LINE_MAX_SZ ? n : KH_LINE_MAX_SZ + 1)};
    r->record_offset = kh_input_offset(r->input);
    if (!r->json && !r->header_read && kh_rows_bare_cr(p, r->record.n)) (void)kh_rows_say_bare_cr(r);
    else snprintf(r->why, sizeof r->why, "The line is longer than %u bytes.", KH_LINE_MAX_SZ);
    refuse(r, ret, r->line, p, n);
    r->skipping = true;
    return true;
}

static kh_scan scan_record(kh_rows *r, const char *p, size_t n, bool last, kh_text cells[], uint32_t *ret_cnt, size_t *ret_n,
                           uint32_t *ret_lines)
{
    if (!r->json) return kh_csv_record(r, p, n, last, cells, ret_cnt, ret_n, ret_lines);
    const char *newline = memchr(p, '\n', n < KH_LINE_MAX_SZ ? n : KH_LINE_MAX_SZ);
    if (newline == NULL && n > KH_LINE_MAX_SZ) return KH_SCAN_LONG;
    if (newline == NULL && !last) return KH_SCAN_MORE;
    size_t line_n = newline != NULL ? (size_t)(newline - p) : n;
    *ret_n = line_n + (newline != NULL ? 1 : 0);
    *ret_lines = 1;
    return is_blank(p, line_n) ? KH_SCAN_OK : kh_json_record(r, p, line_n);
}

bool kh_rows_next(kh_rows *r, kh_row_view *ret, kh_err *ret_err)
{
    *ret = (kh_row_view){.get = value_of, .self = r};
    if (r->skipping && !skip_line(r)) r->stopped = true;
    r->skipping = false;
    while (!r->stopped) {
        kh_text cells[KH_CELLS_MAX];
        uint32_t cnt = 0, lines = 1;
        size_t n, record_n = 0;
        const char *p = kh_input_at(r->input, &n);
        bool last = kh_input_ended(r->input);
        if (n == 0) {
            if (kh_input_more(r->input)) continue;
            break;
        }
        if (!r->json && !r->header_read) {
            char said = r->separator == 0 ? kh_rows_separator(p, n, &record_n) : 0;
            if (said != 0) {
                r->separator = said;
                r->line++;
                kh_input_take(r->input, record_n);
                continue;
            }
            r->delimiter = r->separator != 0 ? r->separator : kh_rows_delimiter(p, n < KH_LINE_MAX_SZ ? n : KH_LINE_MAX_SZ);
        }
        kh_scan scan = scan_record(r, p, n, last, cells, &cnt, &record_n, &lines);
        if (scan == KH_SCAN_MORE) {
            if (kh_input_more(r->input) || kh_input_ended(r->input)) continue;
            break;
        }
        if (scan == KH_SCAN_LONG) return too_long(r, ret, p, n);
        uint64_t line = r->line;
        r->record = (kh_text){p, (uint32_t)record_n};
        r->record_offset = kh_input_offset(r->input);
        kh_input_take(r->input, record_n);
        r->line += lines;
        if (is_blank(p, record_n)) continue;
        if (!is_text(r, p, record_n)) {
            r->stopped = !r->json && !r->header_read;
            return refuse(r, ret, line, p, record_n);
        }
        if (scan == KH_SCAN_OK && !r->json && cells[0].n == 0 && all_empty(cells, cnt)) continue;
        if (scan == KH_SCAN_OK && !r->json && !r->header_read) {
            r->header_read = true;
            kh_rows_keep_header(r, lines);
            if (kh_rows_read_header(r, cells, cnt)) continue;
            scan = KH_SCAN_REFUSED;
            r->stopped = true;
        } else if (scan == KH_SCAN_REFUSED && !r->json && !r->header_read) r->stopped = true;
        bool taken = scan != KH_SCAN_OK || r->json || take_cells(r, cells, cnt);
        if (scan == KH_SCAN_REFUSED || !taken) (void)refuse(r, ret, line, p, record_n);
        if (!taken) show_cells(r, cells, cnt);
        if (scan == KH_SCAN_REFUSED || !taken) return true;
        ret->line = line;
        ret->raw = p;
        while (record_n > 0 && (p[record_n - 1] == '\n' || p[record_n - 1] == '\r')) record_n--;
        ret->raw_n = (uint32_t)(record_n < KH_RAW_MAX ? record_n : KH_RAW_MAX);
        return true;
    }
    if (kh_input_err(r->input) != KH_OK) *ret_err = kh_input_err(r->input);
    return false;
}

kh_format kh_rows_detect(kh_input *input, const char *const columns[], uint32_t column_cnt)
{
    size_t n, at = 0;
    const char *p = kh_input_at(input, &n);
    if (n == 0) (void)kh_input_more(input);
    p = kh_input_at(input, &n);
    while (at < n && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r' || p[at] == '\n')) at++;
    if (at == n) return KH_FORMAT_AUTO;
    if (p[at] == '{') return KH_FORMAT_JSONL;
    if (p[at] == '[') return KH_FORMAT_AUTO; /* an array, of which a line may look like a header */
    size_t separator_n = 0;
    char separator = kh_rows_separator(p + at, n - at, &separator_n);
    at += separator_n;
    char delimiter = separator != 0 ? separator : kh_rows_delimiter(p + at, n - at);
    for (size_t begin = at; at <= n; at++) {
        if (at < n && p[at] != delimiter && p[at] != '\n' && p[at] != '\r' && p[at] != '"') continue;
        kh_number_form form;
        if (at - begin > 0 && at - begin <= KH_COLUMN_NAME_MAX &&
            kh_column_find((kh_text){p + begin, (uint32_t)(at - begin)}, columns, column_cnt, &form) >= 0)
            return KH_FORMAT_CSV;
        begin = at + 1;
        if (at == n || p[at] == '\n') break;
    }
    return KH_FORMAT_AUTO;
}
