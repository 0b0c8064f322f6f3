/* rows_json: a row as one JSON object: what the command prints and the HTTPS API answers. */
#include <kanhe/kanhe.h>
#include <string.h>

typedef struct writer {
    char *p;
    size_t n, cap; /* n goes on counting beyond cap */
} writer;

static void put(writer *w, const char *text, size_t n)
{
    if (w->n < w->cap) memcpy(w->p + w->n, text, n < w->cap - w->n ? n : w->cap - w->n);
    w->n += n;
}

#define PUT(w, literal) put(w, literal, sizeof(literal) - 1)

static const bool escaped_characters[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, [0x7f] = true, [0xC2] = true, /* perhaps */[0xE2] = true};

/* What is no ASCII and must be escaped all the same: U+0080 to U+009F, which steer terminals, and U+2028 and U+2029, which some
   take for the end of a line. Its length in UTF-8; 0: it stands for itself. */
static size_t control_beyond_ascii(const char *text, size_t n, uint32_t *ret)
{
    const unsigned char *c = (const unsigned char *)text;
    if (n >= 2 && c[0] == 0xC2 && c[1] < 0xA0) {
        *ret = c[1];
        return 2;
    }
    if (n < 3 || c[0] != 0xE2 || c[1] != 0x80 || (c[2] | 1) != 0xA9) return 0;
    *ret = 0x2000u + (c[2] & 0x3Fu);
    return 3;
}

static void put_text(writer *w, const char *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    PUT(w, "\"");
    for (size_t i = 0, begin = 0;; i++) {
        if (i < n && !escaped_characters[(unsigned char)text[i]]) continue;
        uint32_t c = i < n ? (unsigned char)text[i] : 0;
        size_t len = c < 0x80 ? 1 : control_beyond_ascii(text + i, n - i, &c);
        if (len == 0) continue;
        put(w, text + begin, i - begin);
        if (i == n) break;
        char escaped[6] = {'\\', 'u', digits[c >> 12], digits[c >> 8 & 15], digits[c >> 4 & 15], digits[c & 15]};
        if (c == '"' || c == '\\') escaped[1] = (char)c;
        put(w, escaped, c == '"' || c == '\\' ? 2 : 6);
        begin = i + len;
        i += len - 1;
    }
    PUT(w, "\"");
}

/* put_name: names of fields are our own words and hold nothing to escape. */
static void put_name(writer *w, const char *name)
{
    size_t n = strlen(name);
    if (n + 3 > w->cap || w->n > w->cap - n - 3) {
        PUT(w, "\"");
        put(w, name, n);
        PUT(w, "\":");
        return;
    }
    char *p = w->p + w->n;
    p[0] = '"';
    memcpy(p + 1, name, n);
    memcpy(p + 1 + n, "\":", 2);
    w->n += n + 3;
}

static void put_number(writer *w, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    put(w, digits + at, sizeof digits - at);
}

static void put_words(writer *w, const char *words)
{
    PUT(w, "[");
    for (bool first = true; *words != '\0'; first = false) {
        size_t n = strcspn(words, " ");
        if (!first) PUT(w, ",");
        put_text(w, words, n);
        words += n;
        while (*words == ' ') words++;
    }
    PUT(w, "]");
}

static void put_row(writer *w, const kh_result_row *row, bool named)
{
    PUT(w, "{");
    if (named) {
        PUT(w, "\"row\":");
        put_text(w, row->what, strlen(row->what));
    }
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        if (i > 0 || named) PUT(w, ",");
        put_name(w, f->name);
        switch (f->type) {
        case KH_FIELD_TEXT: put_text(w, f->text, strlen(f->text)); break;
        case KH_FIELD_NUMBER: put_number(w, f->number); break;
        case KH_FIELD_BOOL: f->number != 0 ? PUT(w, "true") : PUT(w, "false"); break;
        case KH_FIELD_WORDS: put_words(w, f->text); break;
        case KH_FIELD_ROWS:
            PUT(w, "[");
            for (uint32_t k = 0; k < f->row_cnt; k++) {
                if (k > 0) PUT(w, ",");
                put_row(w, &f->rows[k], false);
            }
            PUT(w, "]");
            break;
        case KH_FIELD_NULL: PUT(w, "null"); break;
        }
    }
    PUT(w, "}");
}

size_t kh_row_json(const kh_result_row *row, bool named, char *p, size_t cap)
{
    writer w = {p, 0, cap};
    put_row(&w, row, named);
    return w.n;
}

size_t kh_text_json(const char *text, char *p, size_t cap)
{
    writer w = {p, 0, cap};
    put_text(&w, text, strlen(text));
    return w.n;
}
