/* pieces: see pieces.h. The rows of `formats` say where a line of the file ends; so both sides cut alike. */
#include "client/pieces.h"
#include "formats/formats.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_MAX 1024
static const char bom[] = "\xEF\xBB\xBF";
/* Every column that a header may name: it is known by one of them. */
static const char *const columns[] = {"kind",         "number",    "owner_id",    "currency", "amount",      "date",
                                      "issuer_id",    "direction", "contract_no", "status",   "want_amount", "version",
                                      "invoice_code", "refers_to", "id",          "event",    "issuer",      "enterprise",
                                      "product",      "allocated", "total",       "source",   "doc_currency"};

struct kh_pieces {
    int fd;
    bool close_fd, begun, ended;
    uint64_t size, read;
    uint8_t *head; /* what was read to see how long the file is */
    size_t head_n, head_at;
    kh_bytes_source source;
    kh_rows *rows;
    const char *keys[8]; /* the columns `together` */
    uint32_t key_cnt;
    char *key_words;
    kh_row_view row; /* the first of the next piece, when has_row */
    bool has_row, cut;
    char key[KEY_MAX]; /* of the row before */
    size_t key_n;
};

static kh_err read_some(int fd, uint8_t *p, size_t cap, size_t *ret_n)
{
    ssize_t n;
    do n = read(fd, p, cap);
    while (n < 0 && errno == EINTR);
    *ret_n = n > 0 ? (size_t)n : 0;
    return n < 0 ? KH_E_IO : KH_OK;
}

static kh_err fill_head(kh_pieces *s, size_t cap)
{
    uint8_t *more = realloc(s->head, cap);
    if (more == NULL) return KH_E_NOMEM;
    s->head = more;
    while (s->head_n < cap) {
        size_t n;
        kh_err err = read_some(s->fd, s->head + s->head_n, cap - s->head_n, &n);
        if (err != KH_OK) return err;
        if (n == 0) break;
        s->head_n += n;
        s->read += n;
    }
    return KH_OK;
}

/* read_source gives the head again and then the rest of the file. */
static kh_err read_source(void *self, void *p, size_t cap, size_t *ret_n)
{
    kh_pieces *s = self;
    if (s->head_at < s->head_n) {
        size_t n = s->head_n - s->head_at < cap ? s->head_n - s->head_at : cap;
        memcpy(p, s->head + s->head_at, n);
        s->head_at += n;
        *ret_n = n;
        return KH_OK;
    }
    kh_err err = read_some(s->fd, p, cap, ret_n);
    s->read += *ret_n;
    return err;
}

static bool keys_of(kh_pieces *s, const char *together)
{
    if (together == NULL) return true;
    s->key_words = strdup(together);
    if (s->key_words == NULL) return false;
    char *rest = NULL;
    for (char *word = strtok_r(s->key_words, " ", &rest); word != NULL && s->key_cnt < 8; word = strtok_r(NULL, " ", &rest))
        s->keys[s->key_cnt++] = word;
    return true;
}

kh_err kh_pieces_open(const char *path, const char *together, kh_pieces **ret)
{
    struct stat about;
    kh_pieces *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->close_fd = strcmp(path, "-") != 0;
    s->fd = s->close_fd ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    kh_err err = s->fd < 0 ? KH_E_NOT_FOUND : keys_of(s, together) ? KH_OK : KH_E_NOMEM;
    if (err == KH_OK && fstat(s->fd, &about) == 0) {
        if (S_ISREG(about.st_mode)) s->size = (uint64_t)about.st_size;
        else if (S_ISDIR(about.st_mode)) {
            err = KH_E_NOT_FOUND;
            errno = EISDIR;
        }
    }
    if (err == KH_OK) err = fill_head(s, KH_PIECE_SZ + 1);
    if (err != KH_OK) {
        int why = errno;
        kh_pieces_close(s);
        errno = why;
        return err;
    }
    *ret = s;
    return KH_OK;
}

void kh_pieces_close(kh_pieces *s)
{
    if (s == NULL) return;
    kh_rows_close(s->rows);
    if (s->close_fd && s->fd >= 0) (void)close(s->fd);
    free(s->head);
    free(s->key_words);
    free(s);
}

/* type_of tells by the first bytes: a byte-order mark of UTF-8 or UTF-16, blanks, and what a format begins with. */
static const char *type_of(const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (at < n && memchr(" \t\r\n\0\xEF\xBB\xBF\xFF\xFE", p[at], 10) != NULL) at++;
    if (at < n && p[at] == '{') return "application/x-ndjson";
    if (at < n && p[at] == '<') return "application/xml";
    bool edifact = n - at > 3 && memcmp(p + at, "UN", 2) == 0 && memchr("ABH", p[at + 2], 3) != NULL;
    return edifact ? "application/edifact" : "text/csv";
}

/* whole gives all that there is, as it stands. */
static bool whole(kh_pieces *s, kh_piece *ret, kh_err *ret_err)
{
    if (s->head_n > KH_PIECE_SZ && (*ret_err = fill_head(s, KH_PIECE_WHOLE_MAX_SZ)) != KH_OK) return false;
    *ret = (kh_piece){.p = (char *)s->head, .n = s->head_n, .done = s->read, .size = s->size, .first = true, .last = true};
    ret->content_type = type_of(s->head, s->head_n);
    s->head = NULL;
    s->ended = true;
    return true;
}

static bool put(kh_piece *piece, size_t *cap, const char *p, size_t n)
{
    if (piece->n + n + 1 > *cap) {
        size_t larger = (piece->n + n + 1) * 2;
        char *more = realloc(piece->p, larger);
        if (more == NULL) return false;
        piece->p = more;
        *cap = larger;
    }
    if (n > 0) memcpy(piece->p + piece->n, p, n);
    piece->n += n;
    return true;
}

static bool put_many(kh_piece *piece, size_t *cap, char c, uint64_t n)
{
    bool well = true;
    for (; n > 0 && well; n--) well = put(piece, cap, &c, 1);
    return well;
}

static bool is_number(kh_text text)
{
    bool digits = true;
    for (uint32_t i = 0; i < text.n; i++) digits = digits && text.p[i] >= '0' && text.p[i] <= '9';
    return digits;
}

/* same_as_before: does this row agree with the one before in the columns that hold lines together? Remembers it. One that shows
   none of them, because it cannot be read or its id is no number, stays with those before it; so do those behind it that agree
   with them. */
static bool same_as_before(kh_pieces *s)
{
    char key[KEY_MAX];
    size_t n = 0, shown = 0;
    for (uint32_t i = 0; i < s->key_cnt; i++) {
        kh_text text = s->row.get(&s->row, s->keys[i]);
        if (strcmp(s->keys[i], "id") == 0 && !is_number(text)) text.n = 0;
        shown += text.n;
        size_t m = text.n < KEY_MAX / 8 - 1 ? text.n : KEY_MAX / 8 - 1;
        if (m > 0) memcpy(key + n, text.p, m);
        n += m;
        key[n++] = '\x1f';
    }
    if (shown == 0) return s->key_cnt > 0;
    bool same = n > 0 && n == s->key_n && memcmp(key, s->key, n) == 0;
    memcpy(s->key, key, n);
    s->key_n = n;
    return same;
}

static uint64_t lines_in(kh_text text)
{
    uint64_t lines = 0;
    for (uint32_t i = 0; i < text.n; i++) lines += text.p[i] == '\n';
    return lines;
}

/* begin opens the rows and reads the first; false where they cannot be told apart: then the file goes whole. */
static bool begin(kh_pieces *s, kh_err *ret_err)
{
    const char *type = type_of(s->head, s->head_n);
    s->begun = true;
    if (strcmp(type, "application/xml") == 0 || strcmp(type, "application/edifact") == 0) return false;
    s->source = (kh_bytes_source){read_source, s};
    *ret_err = kh_rows_open(&s->source, columns, sizeof columns / sizeof columns[0], &s->rows);
    if (*ret_err == KH_OK) s->has_row = kh_rows_next(s->rows, &s->row, ret_err);
    if (*ret_err != KH_OK) return false;
    uint64_t offset;
    uint32_t header_n = kh_rows_header(s->rows).n;
    (void)kh_rows_record(s->rows, &offset);
    bool json = header_n == 0 && strcmp(type, "application/x-ndjson") == 0;
    if (s->has_row && (json || (header_n > 0 && offset >= header_n))) {
        (void)same_as_before(s);
        return true;
    }
    /* a header that is none: what was read of the file beyond its head is put back */
    kh_rows_close(s->rows);
    s->rows = NULL;
    s->head_at = 0;
    if (lseek(s->fd, (off_t)s->head_n, SEEK_SET) == (off_t)s->head_n) s->read = s->head_n;
    return false;
}

/* piece gathers rows; the first that belongs to the next piece stays in s->row. */
static bool piece(kh_pieces *s, kh_piece *ret, kh_err *ret_err)
{
    kh_text header = kh_rows_header(s->rows);
    size_t cap = 0;
    uint64_t offset, next_line = s->row.line, next_offset;
    kh_text record = kh_rows_record(s->rows, &offset);
    next_offset = offset;
    ret->line_offset = s->row.line - 1 - lines_in(header);
    ret->byte_offset = (int64_t)offset - (int64_t)header.n;
    bool well = put(ret, &cap, bom, 3) && put(ret, &cap, header.p, header.n);
    for (bool first = true; s->has_row && well; first = false) {
        bool same = first || same_as_before(s);
        if (!first && (s->cut || (ret->n >= KH_PIECE_SZ && !same) || ret->n >= KH_PIECE_MAX_SZ)) break;
        record = kh_rows_record(s->rows, &offset);
        uint64_t blank = s->row.line - next_line;
        well = put_many(ret, &cap, ' ', offset - next_offset > blank ? offset - next_offset - blank : 0) &&
               put_many(ret, &cap, '\n', blank) && put(ret, &cap, record.p, record.n);
        s->cut = record.n > KH_LINE_MAX_SZ || record.n == 0 || record.p[record.n - 1] != '\n';
        if (s->cut && well) well = put(ret, &cap, "\n", 1); /* cut short, or the last one */
        next_line = s->row.line + lines_in(record) + (s->cut ? 1 : 0);
        next_offset = offset + record.n;
        s->has_row = kh_rows_next(s->rows, &s->row, ret_err);
    }
    s->cut = false;
    if (!well) *ret_err = KH_E_NOMEM;
    return well && *ret_err == KH_OK;
}

bool kh_pieces_next(kh_pieces *s, kh_piece *ret, kh_err *ret_err)
{
    if (s->ended) return false;
    bool first = !s->begun;
    if (first && (s->head_n <= KH_PIECE_SZ || !begin(s, ret_err))) return *ret_err == KH_OK && whole(s, ret, ret_err);
    *ret = (kh_piece){.first = first, .content_type = kh_rows_header(s->rows).n > 0 ? "text/csv" : "application/x-ndjson"};
    ret->header_lines = lines_in(kh_rows_header(s->rows));
    if (!piece(s, ret, ret_err)) {
        free(ret->p);
        return false;
    }
    s->ended = ret->last = !s->has_row;
    ret->done = s->read;
    ret->size = s->size;
    return true;
}
