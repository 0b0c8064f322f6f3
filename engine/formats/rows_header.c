/* rows_header: what stands before the lines of a CSV: the separator's line, the header, its columns. */
#include "formats/rows_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool kh_rows_bare_cr(const char *p, size_t n)
{
    bool quoted = false;
    for (size_t i = 0; i + 1 < n; i++) {
        if (p[i] == '"') quoted = !quoted;
        if (!quoted && p[i] == '\r' && p[i + 1] != '\n') return true;
    }
    return false;
}

bool kh_rows_say_bare_cr(kh_rows *r)
{
    snprintf(r->why, sizeof r->why, "A line ends with CR alone, as on old Macintosh systems: save the file with LF or CRLF.");
    return false;
}

char kh_rows_delimiter(const char *p, size_t n)
{
    size_t commas = 0, semicolons = 0, tabs = 0, bars = 0;
    bool quoted = false;
    for (size_t i = 0; i < n && (quoted || p[i] != '\n'); i++) {
        if (p[i] == '"') quoted = !quoted;
        if (quoted) continue;
        commas += p[i] == ',';
        semicolons += p[i] == ';';
        tabs += p[i] == '\t';
        bars += p[i] == '|';
    }
    if (commas > 0 || semicolons + tabs + bars == 0) return ',';
    if (semicolons >= tabs && semicolons >= bars) return ';';
    return tabs >= bars ? '\t' : '|';
}

char kh_rows_separator(const char *p, size_t n, size_t *ret_n)
{
    const char *newline = memchr(p, '\n', n < 16 ? n : 16), *end = newline;
    if (newline == NULL) return 0;
    if (end > p && end[-1] == '\r') end--;
    bool quoted = end - p == 7 && p[0] == '"' && end[-1] == '"';
    const char *word = quoted ? p + 1 : p;
    if (end - p != (quoted ? 7 : 5) || strncasecmp(word, "sep=", 4) != 0 || memchr(",;\t|:^~", word[4], 7) == NULL) return 0;
    *ret_n = (size_t)(newline - p) + 1;
    return word[4];
}

/* False, with their names in r->why: needed columns are not there. The name of the number's column may say the kind. */
static bool has_needed(kh_rows *r, uint64_t seen)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->column_cnt; i++) {
        bool known = strcmp(r->columns[i], "kind") == 0 && r->number_form != KH_FORM_ANY;
        if ((r->needed & ~seen) >> i & 1 && !known && n < sizeof r->why)
            n += (uint32_t)snprintf(r->why + n, sizeof r->why - n, "%s%s", n == 0 ? "The header has no column " : ", ",
                                    r->columns[i]);
    }
    return n == 0;
}

bool kh_rows_read_header(kh_rows *r, const kh_text cells[], uint32_t cnt)
{
    uint64_t seen = 0;
    if (kh_rows_bare_cr(r->record.p, r->record.n)) return kh_rows_say_bare_cr(r);
    r->cell_cnt = cnt;
    for (uint32_t i = 0; i < cnt; i++) {
        kh_number_form form;
        if (cells[i].n != 0) r->named_cnt = i + 1;
        int column = kh_column_find(cells[i], r->columns, r->column_cnt, &form);
        r->meaning[i] = (int16_t)column;
        if (column < 0) {
            kh_rows_ignored(r, cells[i]);
            continue;
        }
        if (seen >> column & 1) {
            snprintf(r->why, sizeof r->why, "The header names the column %s twice.", r->columns[column]);
            return false;
        }
        seen |= UINT64_C(1) << column;
        if (form != KH_FORM_ANY) r->number_form = form;
    }
    if (seen == 0) snprintf(r->why, sizeof r->why, "The first line names no known column; it must be the header.");
    return seen != 0 && has_needed(r, seen);
}

void kh_rows_keep_header(kh_rows *r, uint32_t lines)
{
    uint64_t before = r->line - lines - 1;
    uint32_t n = 0;
    r->header_n = 0;
    if (before > KH_LINE_MAX_SZ || (r->header = malloc(before + r->record.n + 8)) == NULL) return;
    if (r->separator != 0) n = (uint32_t)sprintf(r->header, "sep=%c", r->separator);
    memset(r->header + n, '\n', before);
    n += (uint32_t)before;
    memcpy(r->header + n, r->record.p, r->record.n);
    r->header_n = n + r->record.n;
    if (r->header[r->header_n - 1] != '\n') r->header[r->header_n++] = '\n';
}
