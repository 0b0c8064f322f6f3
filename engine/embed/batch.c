/* batch: operations gathered, submitted together, and their answers, kept until the asker reads them. The store's thread fills in
 * the answers; kh_batch_wait is where they pass to the asker's thread. */
#include "embed/embed.h"
#include <stdlib.h>

kh_err kh_batch_init(kh_batch *b)
{
    *b = (kh_batch){.cap = KH_BATCH_BYTES, .op_cap = KH_BATCH_OPS};
    b->bytes = malloc(b->cap);
    b->answers = calloc(b->op_cap, sizeof *b->answers);
    b->at = malloc(b->op_cap * sizeof *b->at);
    b->enrolled = calloc(b->op_cap, sizeof *b->enrolled);
    if (b->bytes != NULL && b->answers != NULL && b->at != NULL && b->enrolled != NULL) return KH_OK;
    kh_batch_release(b);
    return KH_E_NOMEM;
}

void kh_batch_reset(kh_batch *b)
{
    for (uint32_t i = 0; i < b->op_cnt; i++) free(b->answers[i].lines);
    if (b->op_cnt > 0) memset(b->answers, 0, b->op_cnt * sizeof *b->answers);
    if (b->op_cnt > 0) memset(b->enrolled, 0, b->op_cnt * sizeof *b->enrolled);
    b->n = 0;
    b->op_cnt = 0;
    b->enrolled_cnt = 0;
    b->submitted = false;
    b->lost = false;
}

void kh_batch_release(kh_batch *b)
{
    if (b->answers != NULL) kh_batch_reset(b);
    free(b->bytes);
    free(b->answers);
    free(b->at);
    free(b->enrolled);
    *b = (kh_batch){0};
}

kh_err kh_batch_add(kh_batch *b, const kh_op *op)
{
    size_t n;
    if (b->op_cnt == b->op_cap) return KH_E_FULL;
    kh_op numbered = *op;
    numbered.sequence = b->op_cnt;
    kh_err err = kh_op_encode(&numbered, b->bytes + b->n, b->cap - b->n, &n);
    if (err != KH_OK) return err;
    b->at[b->op_cnt] = (uint32_t)b->n;
    b->n += n;
    b->op_cnt++;
    return KH_OK;
}

/* on_reply runs on the store's thread; kh_store_wait orders it before the asker's reads. */
static void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    kh_batch *b = ctx;
    (void)time_ns;
    if (op_index == UINT32_MAX) {
        if (height == 0) b->lost = true;
        return;
    }
    kh_answer *a = &b->answers[op_index];
    a->height = receipt->ref_height != 0 ? receipt->ref_height : height;
    a->receipt = *receipt;
    a->receipt.lines = NULL;
    bool wanted = receipt->type == KH_OP_APPLY || receipt->type == KH_OP_EVENT || receipt->type == KH_OP_RISK_ASK;
    if (receipt->line_cnt > 0 && wanted) {
        a->lines = malloc(receipt->line_cnt * sizeof *a->lines);
        if (a->lines == NULL) {
            b->lost = true;
            return;
        }
        memcpy(a->lines, receipt->lines, receipt->line_cnt * sizeof *a->lines);
        a->receipt.lines = a->lines;
    }
    a->done = true;
}

kh_err kh_batch_submit(kh_engine *e, kh_batch *b)
{
    kh_store_batch batch = {.ops = b->bytes, .ops_sz = b->n, .op_cnt = b->op_cnt, .reply = on_reply, .ctx = b};
    if (b->op_cnt == 0) return KH_OK;
    kh_err err = kh_store_submit(e->store, &batch, &b->ticket);
    b->submitted = err == KH_OK;
    return err;
}

kh_err kh_batch_wait(kh_engine *e, kh_batch *b)
{
    if (!b->submitted) return KH_OK;
    kh_err err = kh_store_wait(e->store, b->ticket);
    b->submitted = false;
    if (err == KH_OK && b->lost) err = KH_E_CLOSED;
    return err == KH_OK && b->enrolled_cnt != 0 ? kh_embed_enrolments(e, b) : err;
}

kh_result kh_embed_one(kh_engine *e, kh_batch *b, const kh_op *op, kh_answer **ret)
{
    kh_err err = kh_batch_init(b);
    if (err != KH_OK) return kh_embed_environment(e, err, "prepare the operation");
    err = kh_batch_add(b, op);
    if (err == KH_E_ARG) {
        kh_batch_release(b);
        return kh_embed_fail(e, KH_MISUSE, "a value is out of its range (a text too long, or a number too large)");
    }
    if (err == KH_OK) err = kh_batch_submit(e, b);
    if (err == KH_OK) err = kh_batch_wait(e, b);
    if (err != KH_OK) {
        kh_result result = kh_embed_write_failed(e, err);
        kh_batch_release(b);
        return result;
    }
    *ret = &b->answers[0];
    return KH_DONE;
}
