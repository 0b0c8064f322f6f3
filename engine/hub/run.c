/* run: one entry of the store: what it is made of, its execution, or the outcomes that the store's journal has of it. */
#include "hub/parts.h"
#include <stdlib.h>

enum { RESULT_HEAD_SZ = 16 };

kh_run *kh_run_new(kh_hub *h, kh_work *w, uint32_t part)
{
    kh_run *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->hub = h;
    r->work = w;
    w->refs++;
    r->part = part;
    return r;
}

void kh_run_free(kh_run *r)
{
    if (r == NULL) return;
    free(r->ops);
    free(r->origins);
    kh_work_drop(r->work);
    free(r->results);
    free(r);
}

static bool room(uint8_t **p, size_t *cap, size_t used, size_t more)
{
    if (*cap - used >= more) return true;
    size_t wanted = *cap * 2 > used + more ? *cap * 2 : used + more + 4096;
    uint8_t *bigger = realloc(*p, wanted);
    if (bigger == NULL) return false;
    *p = bigger;
    *cap = wanted;
    return true;
}

kh_err kh_run_add(kh_run *r, const uint8_t *op, size_t n, const kh_origin *origin)
{
    if (r->op_cnt == r->op_cap) {
        uint32_t cap = r->op_cap != 0 ? r->op_cap * 2 : 256;
        kh_origin *p = realloc(r->origins, cap * sizeof *p);
        if (p == NULL) return KH_E_NOMEM;
        r->origins = p;
        r->op_cap = cap;
    }
    if (!room(&r->ops, &r->ops_cap, r->ops_sz, n)) return KH_E_NOMEM;
    kh_origin *o = &r->origins[r->op_cnt++];
    *o = *origin;
    o->frame_at = (uint32_t)r->ops_sz;
    memcpy(r->ops + r->ops_sz, op, n);
    r->ops_sz += n;
    return KH_OK;
}

static void result(kh_run *r, uint32_t op_index, bool is_notice, const uint8_t *bytes, size_t n)
{
    if (r->failed || !room(&r->results, &r->results_cap, r->results_sz, RESULT_HEAD_SZ + n)) {
        r->failed = true;
        return;
    }
    uint8_t *p = r->results + r->results_sz;
    kh_store32(p, op_index);
    kh_store32(p + 4, is_notice);
    kh_store32(p + 8, (uint32_t)n);
    kh_store32(p + 12, 0);
    memcpy(p + RESULT_HEAD_SZ, bytes, n);
    r->results_sz += RESULT_HEAD_SZ + n;
}

static void filled_in(kh_run *r, uint32_t op_index, const kh_receipt *receipt)
{
    uint8_t bytes[KH_RECEIPT_MAX_SZ];
    result(r, op_index, false, bytes, kh_receipt_encode(receipt, bytes));
}

/* From the engine's thread. */
static void outcome(void *ctx, uint64_t number, const kh_outcome *o, const uint8_t chain[32])
{
    kh_run *r = ctx;
    kh_hub *h = r->hub;
    if (o != NULL) {
        if (!o->is_notice && o->receipt->ref_height != 0) filled_in(r, o->op_index, o->receipt);
        else result(r, o->op_index, o->is_notice, o->bytes, o->bytes_sz);
        return;
    }
    r->number = number;
    if (number == 0) r->failed = true;
    else memcpy(r->chain, chain, 32);
    /* With the lock: a hub that ends takes it once more behind its last run, and so is there until it is let go here. */
    (void)pthread_mutex_lock(&h->lock);
    atomic_store_explicit(&r->done, true, memory_order_release); /* partner: kh_hub_settle */
    h->nudged = true;
    (void)pthread_cond_broadcast(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
}

/* ---- from the journal ---- */
typedef struct recorded {
    kh_run *run;
    uint64_t number;
    bool block_seen, wrong;
} recorded;

static kh_err answered_before(kh_hub *h, const kh_journal_item *item, kh_receipt *ret)
{
    kh_journal_item *first = h->item;
    kh_err err = kh_store_journal_read(h->options.store, (kh_place){item->receipt.ref_height, item->receipt.ref_index, 0}, first);
    if (err != KH_OK || first->is_notice) {
        *ret = item->receipt;
        return err;
    }
    *ret = first->receipt;
    ret->party = item->receipt.party;
    ret->sequence = item->receipt.sequence;
    ret->ref_height = item->receipt.ref_height;
    ret->ref_index = item->receipt.ref_index;
    return KH_OK;
}

static kh_err take_item(void *ctx, const kh_journal_item *item)
{
    recorded *rec = ctx;
    kh_run *r = rec->run;
    uint8_t bytes[KH_RECEIPT_MAX_SZ];
    if (item->place.height != rec->number) return KH_E_EXISTS; /* the next entry's: enough */
    if (item->is_notice) {
        result(r, item->op_index, true, bytes, kh_notice_encode(&item->notice, bytes));
        return KH_OK;
    }
    kh_receipt receipt = item->receipt;
    receipt.lines = item->lines;
    if (receipt.type == KH_OP_BLOCK) {
        rec->block_seen = true;
        rec->wrong |=
            receipt.amount != r->work->height || receipt.version != r->part || (receipt.state == KH_BLOCK_MORE) == r->last;
    }
    rec->wrong |= item->op_index >= r->op_cnt;
    if (receipt.ref_height != 0) {
        kh_err err = answered_before(r->hub, item, &receipt);
        if (err != KH_OK) return err;
    }
    result(r, item->op_index, false, bytes, kh_receipt_encode(&receipt, bytes));
    return KH_OK;
}

static kh_err from_journal(kh_run *r)
{
    kh_hub *h = r->hub;
    recorded rec = {r, h->next_number, false, false};
    kh_err err = kh_store_journal_scan(h->options.store, rec.number, take_item, &rec);
    if (err == KH_E_EXISTS) err = KH_OK;
    if (err == KH_OK && (rec.wrong || !rec.block_seen)) err = KH_E_DAMAGED; /* the store executed something else */
    if (err == KH_OK) err = kh_store_chain_at(h->options.store, rec.number, r->chain);
    r->number = rec.number;
    atomic_store_explicit(&r->done, true, memory_order_release);
    return err;
}

kh_err kh_run_start(kh_run *r)
{
    kh_hub *h = r->hub;
    kh_err err = kh_hub_settle(h, KH_RUNS_MAX - 1);
    if (err == KH_OK) {
        r->recorded = h->next_number <= h->recorded;
        h->runs[(h->run_first + h->run_cnt++) % KH_RUNS_MAX] = r;
        h->last_time = kh_max64(h->last_time, r->work->time_ns);
        const kh_store_execution x = {h->last_time, r->ops, r->ops_sz, r->op_cnt, outcome, r};
        err = r->recorded ? from_journal(r) : kh_store_execute(h->options.store, &x);
        if (err != KH_OK && !r->recorded) {
            r->failed = true;
            atomic_store_explicit(&r->done, true, memory_order_release);
        }
        h->next_number++;
        return err;
    }
    kh_run_free(r);
    return err;
}
