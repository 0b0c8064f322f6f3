/* fuzz_reader: any bytes as a file of any format, detected. Every item is looked at whole; what is good must encode as an
 * operation of the wire, for that is what it becomes. */
#include "formats/formats.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    const uint8_t *p;
    size_t n;
} bytes;

static kh_err read_bytes(void *self, void *p, size_t cap, size_t *ret_n)
{
    bytes *b = self;
    size_t n = b->n < cap ? b->n : cap;
    if (n != 0) memcpy(p, b->p, n);
    b->p += n;
    b->n -= n;
    *ret_n = n;
    return KH_OK;
}

static void look_at(const kh_item *item)
{
    static uint8_t frame[KH_OP_MAX_SZ], again[KH_OP_MAX_SZ];
    static kh_op_scratch scratch;
    size_t n = 0, used = 0, again_n = 0;
    volatile uint64_t seen = item->raw_n != 0 ? kh_xxh3(item->raw, item->raw_n) : 0;
    KH_ASSERT(item->line > 0);
    if (item->code != KH_C_OK && item->code != KH_C_CHECK_DIGIT) {
        KH_ASSERT(item->why != NULL && item->why[0] != '\0' && item->raw_n <= 4096);
        return;
    }
    if (item->contract_text.n != 0) seen += kh_xxh3(item->contract_text.p, item->contract_text.n);
    for (uint32_t i = 0; i < item->document.ref_cnt; i++)
        KH_ASSERT(memchr(item->ref_texts[i], '\0', sizeof item->ref_texts[i]) != NULL && item->ref_texts[i][0] != '\0');
    (void)seen;
    kh_op op = {.type = KH_OP_DOCUMENT, .document = item->document}, back;
    KH_ASSERT(kh_op_encode(&op, frame, sizeof frame, &n) == KH_OK);
    KH_ASSERT(kh_op_decode(frame, n, &scratch, &back, &used) == KH_OK && used == n);
    KH_ASSERT(kh_op_encode(&back, again, sizeof again, &again_n) == KH_OK && again_n == n && memcmp(frame, again, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kh_item item;
    if (size == 0) return 0;
    bytes from = {data + 1, size - 1};
    kh_bytes_source source = {read_bytes, &from};
    kh_format format = (kh_format)(data[0] % (2 * KH_FORMAT_CNT)); /* half of the time detected */
    kh_kind kind = (kh_kind)(data[0] / 16 % KH_KIND_CNT);
    kh_reader *r;
    kh_err err = KH_OK;
    uint64_t items = 0;
    if (format >= KH_FORMAT_CNT) format = KH_FORMAT_AUTO;
    if (kh_reader_open(&source, format, kind, NULL, &r) != KH_OK) return 0;
    while (kh_reader_next(r, &item, &err)) {
        items++;
        look_at(&item);
    }
    KH_ASSERT(err == KH_OK && items > 0); /* even an empty file has an answer */
    for (const char *const *w = kh_reader_warnings(r); *w != NULL; w++) KH_ASSERT((*w)[0] != '\0');
    KH_ASSERT(kh_format_word(kh_reader_format(r))[0] != '\0');
    kh_reader_close(r);
    return 0;
}
