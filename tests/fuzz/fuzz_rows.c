/* fuzz_rows: any bytes as rows of CSV or JSON Lines, given in pieces whose size the first byte chooses. Lines must rise, every
 * value must lie in memory, a refusal must have its sentence; the same bytes in other pieces must give the same rows. */
#include "formats/formats.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const columns[] = {"id",     "enterprise", "product",   "amount",   "currency", "kind", "number",
                                      "issuer", "event",      "allocated", "owner_id", "date",     "total"};
enum { COLUMNS = sizeof columns / sizeof *columns };

typedef struct pieces {
    const uint8_t *p;
    size_t n, piece;
} pieces;

static kh_err read_piece(void *self, void *p, size_t cap, size_t *ret_n)
{
    pieces *s = self;
    size_t n = s->piece < cap ? s->piece : cap;
    if (n > s->n) n = s->n;
    if (n != 0) memcpy(p, s->p, n);
    s->p += n;
    s->n -= n;
    *ret_n = n;
    return KH_OK;
}

static uint64_t look_at(const kh_row_view *row)
{
    uint64_t sum = row->code + row->line * 31;
    for (uint32_t i = 0; i < COLUMNS && row->code == KH_C_OK; i++) {
        kh_text t = row->get(row, columns[i]);
        KH_ASSERT((t.p == NULL) == (t.n == 0));
        sum = sum * 1099511628211u + (t.n != 0 ? kh_xxh3(t.p, t.n) : 0);
    }
    KH_ASSERT(row->raw_n <= 4096);
    if (row->code != KH_C_OK) KH_ASSERT(row->code == KH_C_FORMAT && row->why != NULL && row->why[0] != 0);
    return sum + (row->raw_n != 0 ? kh_xxh3(row->raw, row->raw_n) : 0);
}

static uint64_t read_all(const uint8_t *data, size_t size, size_t piece)
{
    pieces from = {data, size, piece};
    kh_bytes_source source = {read_piece, &from};
    kh_rows *r;
    kh_row_view row;
    kh_err err = KH_OK;
    uint64_t sum = 0, line = 0;
    if (kh_rows_open(&source, columns, COLUMNS, &r) != KH_OK) return 0;
    while (kh_rows_next(r, &row, &err)) {
        KH_ASSERT(row.line > line);
        line = row.line;
        sum = sum * 31 + look_at(&row);
    }
    KH_ASSERT(err == KH_OK);
    for (const char *const *w = kh_rows_warnings(r); *w != NULL; w++) KH_ASSERT((*w)[0] != 0);
    kh_rows_close(r);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint64_t whole = read_all(data + 1, size - 1, SIZE_MAX);
    KH_ASSERT(read_all(data + 1, size - 1, (size_t)data[0] + 1) == whole);
    return 0;
}
