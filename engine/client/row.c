/* row: see row.h. Recursive descent; what belongs to an object is gathered on a stack and kept when the object is closed. */
#include "client/row.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 4, FIELDS_MAX = 4096 };

typedef struct cursor {
    kh_row_decoder *d;
    char *p, *end;
} cursor;

static bool grow(void **p, size_t *cap, size_t cnt, size_t size)
{
    if (cnt < *cap) return true;
    size_t more = *cap == 0 ? 64 : *cap * 2;
    void *larger = realloc(*p, more * size);
    if (larger == NULL) return false;
    *p = larger;
    *cap = more;
    return true;
}

/* keep copies the top of a stack to where it stays until the next row. */
static void *keep(kh_row_decoder *d, const void *from, size_t n)
{
    if (!grow((void **)&d->kept, &d->kept_cap, d->kept_cnt, sizeof *d->kept)) return NULL;
    void *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL) return NULL;
    if (n > 0) memcpy(copy, from, n);
    return d->kept[d->kept_cnt++] = copy;
}

static void forget(kh_row_decoder *d)
{
    for (size_t i = 0; i < d->kept_cnt; i++) free(d->kept[i]);
    d->kept_cnt = d->field_cnt = d->row_cnt = 0;
}

void kh_row_decoder_free(kh_row_decoder *d)
{
    forget(d);
    free(d->fields);
    free(d->rows);
    free(d->kept);
    *d = (kh_row_decoder){0};
}

static void blanks(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n')) c->p++;
}

static bool take(cursor *c, char wanted)
{
    blanks(c);
    if (c->p == c->end || *c->p != wanted) return false;
    c->p++;
    return true;
}

static bool hex4(cursor *c, uint32_t *ret)
{
    uint32_t v = 0;
    if (c->end - c->p < 4) return false;
    for (int i = 0; i < 4; i++) {
        char ch = *c->p++;
        if (ch >= '0' && ch <= '9') v = v << 4 | (uint32_t)(ch - '0');
        else if (ch >= 'a' && ch <= 'f') v = v << 4 | (uint32_t)(ch - 'a' + 10);
        else if (ch >= 'A' && ch <= 'F') v = v << 4 | (uint32_t)(ch - 'A' + 10);
        else return false;
    }
    *ret = v;
    return true;
}

/* put_utf8 writes a character over the escape that stood for it, which is longer. */
static char *put_utf8(char *at, uint32_t v)
{
    if (v < 0x80) *at++ = (char)v;
    else if (v < 0x800) {
        *at++ = (char)(0xC0 | v >> 6);
        *at++ = (char)(0x80 | (v & 63));
    } else if (v < 0x10000) {
        *at++ = (char)(0xE0 | v >> 12);
        *at++ = (char)(0x80 | (v >> 6 & 63));
        *at++ = (char)(0x80 | (v & 63));
    } else {
        *at++ = (char)(0xF0 | v >> 18);
        *at++ = (char)(0x80 | (v >> 12 & 63));
        *at++ = (char)(0x80 | (v >> 6 & 63));
        *at++ = (char)(0x80 | (v & 63));
    }
    return at;
}

static bool escape(cursor *c, char **at)
{
    static const char plain[] = "\"\\/", letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    if (c->p == c->end) return false;
    char ch = *c->p++;
    if (ch == 'u') {
        uint32_t v, low;
        if (!hex4(c, &v) || v == 0) return false;
        if (v >= 0xD800 && v < 0xDC00) {
            if (c->end - c->p < 2 || c->p[0] != '\\' || c->p[1] != 'u') return false;
            c->p += 2;
            if (!hex4(c, &low) || low < 0xDC00 || low > 0xDFFF) return false;
            v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
        }
        *at = put_utf8(*at, v);
        return true;
    }
    if (strchr(plain, ch) != NULL && ch != '\0') {
        *(*at)++ = ch;
        return true;
    }
    const char *letter = ch != '\0' ? strchr(letters, ch) : NULL;
    if (letter == NULL) return false;
    *(*at)++ = meant[letter - letters];
    return true;
}

/* string reads a text behind its opening quote to *into (NULL: where it stands). No NUL is put: *ret_end is where it belongs. */
static bool string(cursor *c, char *into, char **ret_end)
{
    char *at = into != NULL ? into : c->p;
    for (;;) {
        if (c->p == c->end) return false;
        char ch = *c->p++;
        if (ch == '"') break;
        if (ch == '\\') {
            if (!escape(c, &at)) return false;
        } else if ((unsigned char)ch < 0x20) return false;
        else *at++ = ch;
    }
    *ret_end = at;
    return true;
}

static bool text(cursor *c, const char **ret)
{
    char *begin = c->p, *end;
    if (!string(c, NULL, &end)) return false;
    *end = '\0'; /* at the latest over the closing quote */
    *ret = begin;
    return true;
}

static bool number(cursor *c, uint64_t *ret)
{
    uint64_t v = 0;
    const char *begin = c->p;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) || __builtin_add_overflow(v, (uint64_t)(*c->p - '0'), &v)) return false;
    *ret = v;
    return c->p > begin;
}

static bool word(cursor *c, const char *wanted)
{
    size_t n = strlen(wanted);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, wanted, n) != 0) return false;
    c->p += n;
    return true;
}

static bool object(cursor *c, int depth, kh_result_row *ret);

/* words joins a list of texts by blanks, over the list itself; c->p is behind its first quote. */
static bool words(cursor *c, kh_result_field *f)
{
    char *begin = c->p, *at = begin;
    for (;;) {
        if (!string(c, at, &at)) return false;
        if (take(c, ']')) break;
        if (!take(c, ',') || !take(c, '"')) return false;
        *at++ = ' ';
    }
    *at = '\0';
    f->type = KH_FIELD_WORDS;
    f->text = begin;
    return true;
}

static bool rows(cursor *c, int depth, kh_result_field *f)
{
    kh_row_decoder *d = c->d;
    size_t base = d->row_cnt;
    for (;;) {
        kh_result_row row;
        if (!object(c, depth, &row) || !grow((void **)&d->rows, &d->row_cap, d->row_cnt, sizeof *d->rows)) return false;
        d->rows[d->row_cnt++] = row;
        if (take(c, ']')) break;
        if (!take(c, ',') || !take(c, '{')) return false;
    }
    f->type = KH_FIELD_ROWS;
    f->row_cnt = (uint32_t)(d->row_cnt - base);
    f->rows = keep(d, d->rows + base, (d->row_cnt - base) * sizeof *d->rows);
    d->row_cnt = base;
    return f->rows != NULL;
}

static bool list(cursor *c, int depth, kh_result_field *f)
{
    if (take(c, '"')) return words(c, f);
    if (take(c, '{')) return depth < DEPTH_MAX && rows(c, depth + 1, f);
    if (!take(c, ']')) return false;
    bool of_rows = strcmp(f->name, "documents") == 0;
    f->type = of_rows ? KH_FIELD_ROWS : KH_FIELD_WORDS;
    f->text = "";
    return true;
}

static bool value(cursor *c, int depth, kh_result_field *f)
{
    if (take(c, '"')) {
        f->type = KH_FIELD_TEXT;
        return text(c, &f->text);
    }
    if (take(c, '[')) return list(c, depth, f);
    if (c->p == c->end) return false;
    if (*c->p >= '0' && *c->p <= '9') {
        f->type = KH_FIELD_NUMBER;
        return number(c, &f->number);
    }
    f->type = *c->p == 'n' ? KH_FIELD_NULL : KH_FIELD_BOOL;
    f->number = *c->p == 't';
    return word(c, *c->p == 'n' ? "null" : *c->p == 't' ? "true" : "false");
}

/* object reads the fields behind its opening brace. */
static bool object(cursor *c, int depth, kh_result_row *ret)
{
    kh_row_decoder *d = c->d;
    size_t base = d->field_cnt;
    *ret = (kh_result_row){.what = ""};
    for (bool first = true; !take(c, '}'); first = false) {
        kh_result_field f = {0};
        if ((!first && !take(c, ',')) || !take(c, '"') || !text(c, &f.name) || !take(c, ':') || !value(c, depth, &f))
            return false;
        if (f.type == KH_FIELD_TEXT && strcmp(f.name, "row") == 0) {
            ret->what = f.text;
            continue;
        }
        if (d->field_cnt - base == FIELDS_MAX || !grow((void **)&d->fields, &d->field_cap, d->field_cnt, sizeof *d->fields))
            return false;
        d->fields[d->field_cnt++] = f;
    }
    ret->field_cnt = (uint32_t)(d->field_cnt - base);
    ret->fields = keep(d, d->fields + base, (d->field_cnt - base) * sizeof *d->fields);
    d->field_cnt = base;
    return ret->fields != NULL;
}

bool kh_row_decode(kh_row_decoder *d, char *line, size_t n, kh_result_row *ret)
{
    cursor c = {d, line, line + n};
    forget(d);
    if (!take(&c, '{') || !object(&c, 0, ret)) return false;
    blanks(&c);
    return c.p == c.end;
}

const kh_result_field *kh_row_field(const kh_result_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (strcmp(row->fields[i].name, name) == 0) return &row->fields[i];
    return NULL;
}
