/* fuzz_answer: any bytes as a hub's answer, in pieces: rows or a refusal, never more than the bytes. */
#include "client/answer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void touch(const kh_result_row *row, uint64_t *sum)
{
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        *sum += strlen(f->name) + f->number + (f->text != NULL ? strlen(f->text) : 0);
        for (uint32_t k = 0; k < f->row_cnt; k++) touch(&f->rows[k], sum);
    }
}

static void on_row(void *ctx, kh_result_row *row) { touch(row, ctx); }

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n < 2) return 0;
    uint64_t sum = 0;
    kh_transfer t = {0};
    kh_answer_reader r = {.transfer = &t, .row = on_row, .ctx = &sum};
    size_t step = (size_t)(p[0] >> 1) + 1;
    strcpy(t.content_type, (p[0] & 1) != 0 ? "application/json" : "application/x-ndjson");
    bool well = true;
    for (size_t at = 1; at < n && well; at += step) {
        size_t m = n - at < step ? n - at : step;
        char *copy = malloc(m); /* so that one byte too far is seen */
        memcpy(copy, p + at, m);
        well = kh_answer_feed(&r, copy, m);
        free(copy);
    }
    if (well) (void)kh_answer_finish(&r);
    kh_answer_free(&r);
    return sum == UINT64_MAX;
}
