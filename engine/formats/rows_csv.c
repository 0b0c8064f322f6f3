/* rows_csv: one record of RFC 4180: quotes, doubled quotes, newlines inside quotes, CRLF or LF. */
#include "formats/rows_inside.h"

#include <stdio.h>

static kh_text trimmed(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) end--;
    return p == end ? (kh_text){NULL, 0} : (kh_text){p, (uint32_t)(end - p)};
}

static kh_scan refused(kh_rows *r, const char *why)
{
    snprintf(r->why, sizeof r->why, "%s", why);
    return KH_SCAN_REFUSED;
}

/* Spreadsheets keep a number from being changed by writing it as a formula that is a text: ="310120260123456789". */
static kh_text formula_text(kh_text cell)
{
    if (cell.n < 3 || cell.p[0] != '=' || cell.p[1] != '"' || cell.p[cell.n - 1] != '"') return cell;
    return trimmed(cell.p + 2, cell.p + cell.n - 1);
}

/* The usual record: one line without a quote. */
static kh_scan plain(kh_rows *r, const char *p, const char *end, kh_text cells[], uint32_t *ret_cnt)
{
    uint32_t cnt = 0;
    for (;;) {
        const char *comma = memchr(p, r->delimiter, (size_t)(end - p));
        if (cnt == KH_CELLS_MAX) return refused(r, "The line has more than 256 cells.");
        cells[cnt++] = trimmed(p, comma != NULL ? comma : end);
        if (comma == NULL) break;
        p = comma + 1;
    }
    *ret_cnt = cnt;
    return KH_SCAN_OK;
}

/* A quoted cell, from its opening quote on. *at ends behind the closing quote. */
static kh_scan quoted(kh_rows *r, const char **at, const char *end, bool last, kh_text *ret, uint32_t *lines)
{
    const char *p = *at + 1, *start = p;
    char *copy = NULL;
    uint32_t copied = r->scratch_n, newlines = 0;
    for (;;) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        const char *stop = quote != NULL ? quote : end;
        for (const char *nl = p; (nl = memchr(nl, '\n', (size_t)(stop - nl))) != NULL; nl++) newlines++;
        if (quote == NULL || (quote + 1 == end && !last)) {
            if (!last) return KH_SCAN_MORE;
            if (quote == NULL) return refused(r, "A quotation mark is opened and never closed.");
        }
        bool doubled = quote + 1 < end && quote[1] == '"';
        size_t piece = (size_t)(quote - p) + (doubled ? 1 : 0);
        if (doubled && copy == NULL) copy = r->scratch + r->scratch_n;
        if (copy != NULL) {
            memcpy(r->scratch + copied, p, piece);
            copied += (uint32_t)piece;
        }
        p = quote + (doubled ? 2 : 1);
        if (doubled) continue;
        *at = p;
        *lines += newlines;
        *ret = copy != NULL ? trimmed(copy, r->scratch + copied) : trimmed(start, quote);
        r->scratch_n = copied;
        return KH_SCAN_OK;
    }
}

/* Blanks around a cell are no part of it; a tab that parts the cells is none. */
static const char *skip_blanks(const kh_rows *r, const char *at, const char *end)
{
    while (at < end && (*at == ' ' || (*at == '\t' && r->delimiter != '\t'))) at++;
    return at;
}

static kh_scan with_quotes(kh_rows *r, const char *p, const char *end, bool last, kh_text cells[], uint32_t *ret_cnt,
                           size_t *ret_n, uint32_t *ret_lines)
{
    const char *at = p;
    uint32_t cnt = 0, lines = 1;
    for (;;) {
        if (cnt == KH_CELLS_MAX || (r->cell_cnt != 0 && cnt > r->cell_cnt + 16))
            return refused(r, "The line has more cells than the header, or a quotation mark is not closed.");
        const char *cell = skip_blanks(r, at, end);
        if (cell == end && !last) return KH_SCAN_MORE;
        if (cell < end && *cell == '"') {
            at = cell;
            kh_scan scan = quoted(r, &at, end, last, &cells[cnt], &lines);
            if (scan != KH_SCAN_OK) return scan;
            cells[cnt] = formula_text(cells[cnt]);
            cnt++;
            at = skip_blanks(r, at, end);
            if (at < end && *at == '\r' && at + 1 < end && at[1] == '\n') at++;
            if (at < end && *at == '\r' && at + 1 == end && last) at++;
            if (at < end && *at != '\n' && *at != r->delimiter) {
                if (*at == '\r' && at + 1 == end) return KH_SCAN_MORE;
                return refused(r, "Something stands between a closing quotation mark and the end of its cell.");
            }
        } else {
            for (at = cell; at < end && *at != r->delimiter && *at != '\n';) at++;
            if (at == end && !last) return KH_SCAN_MORE;
            cells[cnt++] = formula_text(trimmed(cell, at));
        }
        if (at == end) {
            if (!last) return KH_SCAN_MORE;
            break;
        }
        if (*at++ == '\n') break;
    }
    *ret_cnt = cnt;
    *ret_n = (size_t)(at - p);
    *ret_lines = lines;
    return KH_SCAN_OK;
}

kh_scan kh_csv_record(kh_rows *r, const char *p, size_t n, bool last, kh_text cells[KH_CELLS_MAX], uint32_t *ret_cell_cnt,
                      size_t *ret_n, uint32_t *ret_lines)
{
    bool cut = n > KH_LINE_MAX_SZ;
    size_t seen = cut ? KH_LINE_MAX_SZ : n;
    const char *newline = memchr(p, '\n', seen), *line_end = newline != NULL ? newline : p + seen;
    if (newline == NULL && cut) return KH_SCAN_LONG;
    if (newline == NULL && !last) return n >= KH_LINE_MAX_SZ ? KH_SCAN_LONG : KH_SCAN_MORE;
    *ret_n = (size_t)(line_end - p) + (newline != NULL ? 1 : 0);
    *ret_lines = 1;
    r->scratch_n = 0;
    if (memchr(p, '"', (size_t)(line_end - p)) == NULL) return plain(r, p, line_end, cells, ret_cell_cnt);

    size_t record_n = 0;
    uint32_t lines = 1;
    kh_scan scan = with_quotes(r, p, p + seen, last && !cut, cells, ret_cell_cnt, &record_n, &lines);
    if (scan == KH_SCAN_MORE && n >= KH_LINE_MAX_SZ) scan = refused(r, "A quotation mark is opened and not closed within 1 MiB.");
    if (scan == KH_SCAN_OK) {
        *ret_n = record_n;
        *ret_lines = lines;
    }
    return scan;
}
