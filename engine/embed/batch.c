/* batch: operations gathered, submitted and answered together. */
#include "embed/embed.h"
#include <stdlib.h>

kh_err kh_batch_init(kh_batch *b)
{
    *b = (kh_batch){.cap = KH_BATCH_BYTES + KH_OP_MAX_SZ, .op_cap = KH_BATCH_OPS};
    b->bytes = malloc(b->cap);
    b->answers = calloc(b->op_cap, sizeof *b->answers);
    return b->bytes != NULL && b->answers != NULL ? KH_OK : KH_E_NOMEM;
}

void kh_batch_reset(kh_batch *b)
{
    for (uint32_t i = 0; i < b->op_cnt; i++) {
        free(b->answers[i].lines);
        b->answers[i] = (kh_answer){0};
    }
    b->n = 0;
    b->op_cnt = 0;
    b->submitted = false;
}

void kh_batch_release(kh_batch *b)
{
    if (b->answers != NULL) kh_batch_reset(b);
    free(b->bytes);
    free(b->answers);
    *b = (kh_batch){0};
}

kh_err kh_batch_add(kh_batch *b, const kh_op *op)
{
    if (b->op_cnt == b->op_cap || b->n >= KH_BATCH_BYTES) return KH_E_FULL;
    size_t n;
    kh_err err = kh_op_encode(op, b->bytes + b->n, b->cap - b->n, &n);
    if (err != KH_OK) return err;
    b->n += n;
    b->op_cnt++;
    return KH_OK;
}

/* reply runs in the engine's thread while readers are kept out: it copies and returns. */
static void reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    (void)time_ns;
    kh_batch *b = ctx;
    if (op_index >= b->op_cnt || receipt == NULL) return;
    kh_answer *a = &b->answers[op_index];
    a->receipt = *receipt;
    a->height = receipt->ref_height != 0 ? receipt->ref_height : height;
    a->receipt.lines = NULL;
    if (receipt->line_cnt > 0 && (receipt->type == KH_OP_APPLY || receipt->type == KH_OP_EVENT)) {
        a->lines = malloc(receipt->line_cnt * sizeof *a->lines);
        if (a->lines != NULL) memcpy(a->lines, receipt->lines, receipt->line_cnt * sizeof *a->lines);
        else a->receipt.line_cnt = 0;
    }
    a->done = true;
}

kh_err kh_batch_submit(kh_engine *e, kh_batch *b)
{
    kh_store_batch batch = {.ops = b->bytes, .ops_sz = b->n, .op_cnt = b->op_cnt, .reply = reply, .ctx = b};
    kh_err err = kh_store_submit(e->store, &batch, &b->ticket);
    b->submitted = err == KH_OK;
    return err;
}

kh_err kh_batch_wait(kh_engine *e, kh_batch *b)
{
    if (!b->submitted) return KH_OK;
    kh_err err = kh_store_wait(e->store, b->ticket);
    for (uint32_t i = 0; i < b->op_cnt && err == KH_OK; i++)
        if (!b->answers[i].done) err = KH_E_CLOSED;
    return err;
}

kh_result kh_embed_one(kh_engine *e, kh_batch *b, const kh_op *op, kh_answer **ret)
{
    if (kh_batch_init(b) != KH_OK) return kh_embed_environment(e, KH_E_NOMEM, "gather an operation");
    kh_err err = kh_batch_add(b, op);
    if (err == KH_E_ARG) return kh_embed_fail(e, KH_MISUSE, "a text is too long, holds a control character, or a number is out of range");
    if (err == KH_OK) err = kh_batch_submit(e, b);
    if (err == KH_OK) err = kh_batch_wait(e, b);
    if (err == KH_E_CLOCK) {
        uint64_t now, last;
        kh_store_clock_report(e->store, &now, &last);
        return kh_embed_fail(e, KH_FAILED, "the clock (%llu) is too far from the log's last entry (%llu, ns since 1970): set the clock, or say --accept-time",
                             (unsigned long long)now, (unsigned long long)last);
    }
    if (err != KH_OK) return kh_embed_environment(e, err, "write");
    *ret = &b->answers[0];
    return KH_DONE;
}
