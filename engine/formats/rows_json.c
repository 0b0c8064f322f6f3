/* rows_json: one line of JSON Lines: a flat object. Numbers are taken as they are written, never through floating point; the
 * grammar is RFC 8259's, with bounds. */
#include "formats/rows_inside.h"

#include <stdio.h>

typedef struct cursor {
    const char *p, *end;
    kh_rows *r;
} cursor;

static bool fail(cursor *c, const char *why)
{
    snprintf(c->r->why, sizeof c->r->why, "%s", why);
    return false;
}

static void blanks(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r')) c->p++;
}

static bool hex4(cursor *c, uint32_t *ret)
{
    uint32_t v = 0;
    if (c->end - c->p < 4) return false;
    for (int i = 0; i < 4; i++) {
        char h = *c->p++;
        if (h >= '0' && h <= '9') v = v << 4 | (uint32_t)(h - '0');
        else if ((h >= 'a' && h <= 'f') || (h >= 'A' && h <= 'F')) v = v << 4 | (uint32_t)((h | 32) - 'a' + 10);
        else return false;
    }
    *ret = v;
    return true;
}

static void put(cursor *c, uint32_t u)
{
    char *to = c->r->scratch + c->r->scratch_n;
    uint32_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (uint32_t i = n - 1; i > 0; i--, u >>= 6) to[i] = (char)(0x80 | (u & 0x3F));
    to[0] = (char)(n == 1 ? u : lead[n] | u);
    c->r->scratch_n += n; /* an escape is never shorter than what it stands for */
}

static bool escape(cursor *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t u = 0, low = 0;
    if (c->p == c->end) return fail(c, "A text is not closed.");
    char e = *c->p++;
    const char *known = e != 0 ? strchr(from, e) : NULL;
    if (known != NULL) {
        put(c, (uint8_t)to[known - from]);
        return true;
    }
    if (e != 'u' || !hex4(c, &u)) return fail(c, "A backslash is followed by nothing that JSON knows.");
    if (u >= 0xD800 && u < 0xDC00) {
        if (c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u') return fail(c, "Half of a surrogate pair stands alone.");
        c->p += 2;
        if (!hex4(c, &low) || low < 0xDC00 || low > 0xDFFF) return fail(c, "Half of a surrogate pair stands alone.");
        u = 0x10000 + ((u - 0xD800) << 10) + (low - 0xDC00);
    } else if (u >= 0xDC00 && u < 0xE000) return fail(c, "Half of a surrogate pair stands alone.");
    if (u == 0) return fail(c, "The line has a NUL character.");
    put(c, u);
    return true;
}

static bool string(cursor *c, kh_text *ret)
{
    const char *start = ++c->p;
    while (c->p < c->end && *c->p != '"' && *c->p != '\\' && (uint8_t)*c->p >= 0x20) c->p++;
    if (c->p < c->end && *c->p == '"') {
        *ret = (kh_text){start, (uint32_t)(c->p++ - start)};
        return true;
    }
    uint32_t begin = c->r->scratch_n, plain = (uint32_t)(c->p - start);
    memcpy(c->r->scratch + begin, start, plain);
    c->r->scratch_n += plain;
    for (;;) {
        if (c->p == c->end) return fail(c, "A text is not closed.");
        char b = *c->p++;
        if (b == '"') break;
        if ((uint8_t)b < 0x20) return fail(c, "A text holds a control character.");
        if (b != '\\') c->r->scratch[c->r->scratch_n++] = b;
        else if (!escape(c)) return false;
    }
    *ret = (kh_text){c->r->scratch + begin, c->r->scratch_n - begin};
    return true;
}

static bool is_digit(const cursor *c) { return c->p < c->end && *c->p >= '0' && *c->p <= '9'; }

static bool digits(cursor *c)
{
    if (!is_digit(c)) return fail(c, "A number is not one that JSON knows.");
    while (is_digit(c)) c->p++;
    return true;
}

static bool number(cursor *c, kh_text *ret)
{
    const char *start = c->p;
    if (*c->p == '-') c->p++;
    bool zero = c->p < c->end && *c->p == '0';
    const char *first = c->p;
    if (!digits(c)) return false;
    if (zero && c->p - first > 1) return fail(c, "A number begins with a zero; write it as a text.");
    if (c->p < c->end && *c->p == '.') {
        c->p++;
        if (!digits(c)) return false;
    }
    if (c->p < c->end && (*c->p == 'e' || *c->p == 'E')) {
        c->p++;
        if (c->p < c->end && (*c->p == '+' || *c->p == '-')) c->p++;
        if (!digits(c)) return false;
    }
    *ret = (kh_text){start, (uint32_t)(c->p - start)};
    return true;
}

static bool word(cursor *c, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, w, n) != 0) return false;
    c->p += n;
    return true;
}

static bool scalar(cursor *c, kh_text *ret)
{
    const char *start = c->p;
    *ret = (kh_text){NULL, 0};
    if (c->p == c->end) return fail(c, "The line ends within an object.");
    if (*c->p == '"') return string(c, ret);
    if (*c->p == '-' || is_digit(c)) return number(c, ret);
    if (word(c, "null")) return true;
    if (!word(c, "true") && !word(c, "false")) return fail(c, "A value is not one that JSON knows.");
    *ret = (kh_text){start, (uint32_t)(c->p - start)};
    return true;
}

/* Passes over an array or object under a key that nobody asked for: brackets must match, nothing is kept. */
static bool nested(cursor *c)
{
    char open[KH_JSON_DEPTH_MAX];
    uint32_t depth = 0;
    kh_text ignored;
    do {
        blanks(c);
        if (c->p == c->end) return fail(c, "The line ends within an object.");
        uint32_t scratch_n = c->r->scratch_n;
        switch (*c->p) {
        case '[':
        case '{':
            if (depth == KH_JSON_DEPTH_MAX) return fail(c, "Values are nested more than 32 deep.");
            open[depth++] = *c->p++;
            break;
        case ']':
        case '}':
            if (depth == 0 || open[--depth] != (*c->p == ']' ? '[' : '{')) return fail(c, "Brackets do not match.");
            c->p++;
            break;
        case ',':
        case ':': c->p++; break;
        default:
            if (!scalar(c, &ignored)) return false;
        }
        c->r->scratch_n = scratch_n;
    } while (depth > 0);
    return true;
}

/* An array of texts under a known key is their list, parted by semicolons (several `refers_to`). */
static bool list(cursor *c, kh_text *ret)
{
    kh_text parts[KH_DOC_REFS_MAX];
    uint32_t cnt = 0;
    c->p++;
    for (;;) {
        blanks(c);
        if (c->p < c->end && *c->p == ']' && cnt == 0) break;
        if (cnt == KH_DOC_REFS_MAX) return fail(c, "A list has more than 16 entries.");
        if (c->p < c->end && (*c->p == '[' || *c->p == '{')) return fail(c, "A column holds something nested.");
        if (!scalar(c, &parts[cnt++])) return false;
        blanks(c);
        if (c->p < c->end && *c->p == ',') {
            c->p++;
            continue;
        }
        if (c->p < c->end && *c->p == ']') break;
        return fail(c, "A list is not closed.");
    }
    c->p++;
    uint32_t begin = c->r->scratch_n;
    for (uint32_t i = 0; i < cnt; i++) {
        if (i > 0) c->r->scratch[c->r->scratch_n++] = ';';
        if (parts[i].n != 0) memmove(c->r->scratch + c->r->scratch_n, parts[i].p, parts[i].n);
        c->r->scratch_n += parts[i].n;
    }
    uint32_t n = c->r->scratch_n - begin;
    *ret = n == 0 ? (kh_text){NULL, 0} : (kh_text){c->r->scratch + begin, n};
    return true;
}

/* The column of the i-th key, which mostly is the one that it was in the line before. */
static int column_of(kh_rows *r, uint32_t i, kh_text key)
{
    if (i < r->key_cnt && kh_text_equal(r->keys[i], key)) return r->meaning[i];
    kh_number_form form;
    int column = kh_column_find(key, r->columns, r->column_cnt, &form);
    if (column >= 0 && form != KH_FORM_ANY) r->number_form = form;
    if (column < 0) kh_rows_ignored(r, key);
    if (form == KH_FORM_ANY && i < KH_CELLS_MAX && i <= r->key_cnt && key.n <= KH_COLUMN_NAME_MAX) {
        char *copy = r->key_bytes + i * KH_COLUMN_NAME_MAX;
        memcpy(copy, key.p, key.n);
        r->keys[i] = (kh_text){copy, key.n};
        r->meaning[i] = (int16_t)column;
        r->key_cnt = i + 1;
    }
    return column;
}

static bool object(cursor *c)
{
    uint64_t seen = 0;
    blanks(c);
    if (c->p == c->end || *c->p != '{') return fail(c, "The line is not a JSON object.");
    c->p++;
    blanks(c);
    for (uint32_t i = 0; c->p < c->end && *c->p != '}'; i++) {
        kh_text key, value = {NULL, 0};
        if (*c->p != '"') return fail(c, "A key is not a text.");
        if (!string(c, &key)) return false;
        blanks(c);
        if (c->p == c->end || *c->p != ':') return fail(c, "A key has no value.");
        c->p++;
        blanks(c);
        int column = column_of(c->r, i, key);
        if (c->p < c->end && *c->p == '[' && column >= 0) {
            if (!list(c, &value)) return false;
        } else if (c->p < c->end && (*c->p == '{' || *c->p == '[')) {
            if (column >= 0) return fail(c, "A column holds something nested.");
            if (!nested(c)) return false;
        } else if (!scalar(c, &value)) return false;
        if (column >= 0) {
            if (seen >> column & 1) return fail(c, "A column is named twice.");
            seen |= UINT64_C(1) << column;
            c->r->values[column] = value.n == 0 ? (kh_text){NULL, 0} : value;
        }
        blanks(c);
        if (c->p < c->end && *c->p == ',') {
            c->p++;
            blanks(c);
            if (c->p == c->end || *c->p != '"') return fail(c, "A comma is followed by no key.");
        } else if (c->p == c->end || *c->p != '}') return fail(c, "The object is not closed.");
    }
    if (c->p == c->end) return fail(c, "The line ends within an object.");
    c->p++;
    blanks(c);
    return c->p == c->end || fail(c, "Something follows the object.");
}

kh_scan kh_json_record(kh_rows *r, const char *p, size_t n)
{
    cursor c = {p, p + n, r};
    r->scratch_n = 0;
    r->number_form = KH_FORM_ANY;
    memset(r->values, 0, r->column_cnt * sizeof r->values[0]);
    return object(&c) ? KH_SCAN_OK : KH_SCAN_REFUSED;
}
