/* outputs: what an executed block gives: outputs of each bank, the tree over them, packages, and the attestation. Nothing in
 * it is this hub's own: all hubs make the same bytes, and so does one that makes them again from its journal. */
#include "hub/parts.h"
#include <stdlib.h>

enum { RESULT_HEAD_SZ = 16, AHEAD = 16 };

static kh_err begin(kh_hub *h, const kh_work *w)
{
    kh_outputs *o = &h->outputs;
    uint8_t secret[32];
    uint32_t cnt = 0;
    if (w->epoch == 0 || w->epoch > h->options.epoch_cnt || h->options.groups[w->epoch - 1] == NULL) return KH_E_NOT_FOUND;
    uint32_t *parties = realloc(o->parties, (w->member_cnt + (size_t)1) * sizeof *parties);
    if (parties != NULL) o->parties = parties;
    uint64_t *counts = calloc(w->member_cnt + (size_t)1, sizeof *counts);
    uint8_t(*heads)[32] = calloc(w->member_cnt + (size_t)1, 32);
    kh_err err = parties == NULL || counts == NULL || heads == NULL ? KH_E_NOMEM : KH_OK;
    for (uint32_t i = 0; i < w->member_cnt && err == KH_OK; i++) {
        kh_bank *bank;
        if (w->members[i].role != KH_MEMBER_BANK || (w->members[i].flags & KH_MEMBER_EXPELLED) != 0) continue;
        err = kh_bank_of(h, w->members[i].id, &bank);
        if (err != KH_OK) break;
        parties[cnt] = bank->id;
        counts[cnt] = bank->count;
        memcpy(heads[cnt++], bank->head, 32);
    }
    if (err == KH_OK) {
        kh_attest_secret(h->options.group_secrets[w->epoch - 1], secret);
        kh_maker_begin(o->maker, h->chain, secret, w->height, parties, counts, heads, cnt);
        explicit_bzero(secret, sizeof secret);
        o->bank_cnt = cnt;
        o->height = w->height;
    }
    free(counts);
    free(heads);
    return err;
}

static bool is_bank(const kh_outputs *o, uint32_t party)
{
    uint32_t low = 0, high = o->bank_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (o->parties[middle] < party) low = middle + 1;
        else high = middle;
    }
    return low < o->bank_cnt && o->parties[low] == party;
}

/* ---- one outcome ---- */

void kh_outputs_paper(const kh_ledger *l, const kh_key *key, kh_paper_text *ret)
{
    kh_paper_view v;
    memset(ret, 0, sizeof *ret);
    if (!kh_ledger_paper(l, key, &v)) return;
    ret->kind = (uint8_t)v.kind;
    ret->number_n = (uint8_t)v.number_n;
    ret->issuer_n = (uint8_t)v.issuer_n;
    memcpy(ret->number, v.number, v.number_n);
    memcpy(ret->issuer, v.issuer, v.issuer_n);
}

static void name_paper(kh_hub *h, const kh_key *key, kh_paper_text *ret)
{
    kh_outputs_paper(kh_store_read_begin(h->options.store), key, ret);
    kh_store_read_end(h->options.store);
}

static void add_names(kh_hub *h, const kh_run *r, const kh_origin *origin)
{
    kh_output *o = &h->outputs.output;
    kh_op_scratch scratch;
    kh_op op;
    size_t used;
    o->paper_cnt = 0;
    memset(o->product, 0, sizeof o->product);
    if (o->receipt.type != KH_OP_APPLY) return;
    o->paper_cnt = o->receipt.line_cnt;
    for (uint32_t i = 0; i < o->paper_cnt; i++) {
        const kh_receipt_line *line = &o->receipt.lines[i];
        if (line->code == KH_C_OK && line->allocated != 0) name_paper(h, &line->key, &o->papers[i]);
        else memset(&o->papers[i], 0, sizeof o->papers[i]);
    }
    const uint8_t *frame = r->ops + origin->frame_at;
    if (kh_op_decode(frame, kh_load32(frame), &scratch, &op, &used) == KH_OK && op.type == KH_OP_APPLY && op.apply.product.n != 0)
        memcpy(o->product, op.apply.product.p, op.apply.product.n);
}

static kh_err take_receipt(kh_hub *h, const kh_run *r, const kh_origin *origin, const uint8_t *p, size_t n)
{
    static const uint8_t zeros[32];
    kh_outputs *all = &h->outputs;
    kh_output *o = &all->output;
    size_t used;
    if (origin->batch == KH_NO_BATCH) return KH_OK;
    if (kh_receipt_decode(p, n, o->lines, &o->receipt, &used) != KH_OK) return KH_E_DAMAGED;
    o->receipt.lines = o->lines;
    if (o->receipt.ref_height != 0) o->receipt.ref_height = kh_store_block_of(h->options.store, o->receipt.ref_height);
    const kh_work_batch *batch = &r->work->batches[origin->batch];
    if (batch->own && memcmp(origin->digest, zeros, 32) == 0) kh_driver_whole(h, batch->digest);
    else if (batch->own) kh_driver_receipt(h, batch->digest, origin->op_index, &o->receipt);
    if (!is_bank(all, o->receipt.party)) return KH_OK;
    o->kind = KH_OUTPUT_RECEIPT;
    memcpy(o->batch, batch->digest, 32);
    o->op_index = origin->op_index;
    memcpy(o->op_digest, origin->digest, 32);
    add_names(h, r, origin);
    return kh_maker_add(all->maker, o->receipt.party, o);
}

static kh_err take_notice(kh_hub *h, const uint8_t *p, size_t n)
{
    kh_output *o = &h->outputs.output;
    size_t used;
    if (kh_notice_decode(p, n, &o->notice, &used) != KH_OK) return KH_E_DAMAGED;
    if (!is_bank(&h->outputs, o->notice.party)) return KH_OK;
    o->kind = KH_OUTPUT_NOTICE;
    memset(o->batch, 0, 32);
    memset(o->op_digest, 0, 32);
    memset(o->product, 0, sizeof o->product);
    o->op_index = 0;
    o->paper_cnt = o->notice.has_key;
    if (o->notice.has_key) name_paper(h, &o->notice.key, &o->papers[0]);
    return kh_maker_add(h->outputs.maker, o->notice.party, o);
}

/* ---- the block's end ---- */

static kh_err keep(kh_hub *h, const kh_work *w, uint32_t nth, uint8_t **ret_parcel, size_t *ret_n)
{
    uint8_t *package = NULL, head[32];
    size_t n = 0;
    uint64_t count;
    kh_bank *bank;
    kh_err err = kh_bank_of(h, h->outputs.parties[nth], &bank);
    const kh_kept_member *m = kh_work_member(w, h->outputs.parties[nth]);
    if (err == KH_OK) err = kh_maker_package(h->outputs.maker, nth, &package, &n);
    if (err != KH_OK) return err;
    kh_maker_head(h->outputs.maker, nth, &count, head);
    err = kh_bank_keep(h, bank, w->height, m->box, count, head, package, n, ret_parcel, ret_n);
    free(package);
    return err;
}

static void attest(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ])
{
    uint32_t losses = kh_load32(post + 96);
    if (losses == KH_LOSSES_UNSAID || !kh_given_may_say(h, height, post, 0)) return;
    /* Where the node cannot say it now, a restart says it again. */
    kh_err err = kh_node_attest(h->options.node, height, post, post + 32, post + 64, kh_attest_flags(losses, 0));
    (void)err;
}

static kh_err end(kh_hub *h, const kh_run *r)
{
    kh_outputs *o = &h->outputs;
    const kh_work *w = r->work;
    uint8_t post[KH_POST_SZ], secret[32];
    uint8_t **parcels = calloc(o->bank_cnt + (size_t)1, sizeof *parcels);
    size_t *sizes = calloc(o->bank_cnt + (size_t)1, sizeof *sizes);
    kh_err err = parcels == NULL || sizes == NULL ? KH_E_NOMEM : KH_OK;
    memcpy(post, w->app_hash, 32);
    kh_attest_secret(h->options.group_secrets[w->epoch - 1], secret);
    kh_attest_posted(secret, w->height, r->chain, NULL, post + 32);
    explicit_bzero(secret, sizeof secret);
    if (err == KH_OK) err = kh_maker_end(o->maker, post + 64);
    kh_store32(post + 96, kh_lost_counted(h, w->height));
    if (err == KH_OK) err = kh_given_compare(h, w->height, post);
    for (uint32_t i = 0; i < o->bank_cnt && err == KH_OK; i++) err = keep(h, w, i, &parcels[i], &sizes[i]);
    uint64_t before = kh_heights_newest(h->banks.posts);
    if (err == KH_OK) err = kh_heights_add(h->banks.posts, w->height, post, sizeof post, NULL, 0);
    if (err == KH_OK) {
        kh_driver_executed(h, w->height, w->time_ns, post + 32, post + 64);
        atomic_store_explicit(&h->executed, w->height, memory_order_release);
        attest(h, w->height, post);
        kh_checkpoints_executed(h, before, w->height, r->number);
    }
    for (uint32_t i = 0; i < o->bank_cnt && parcels != NULL; i++) {
        if (err == KH_OK && sizes[i] != 0 && kh_given_sure(h))
            h->options.send(h->options.ctx, o->parties[i], KH_MSG_OUTPUTS, parcels[i], sizes[i]);
        free(parcels[i]);
    }
    free(parcels);
    free(sizes);
    o->height = 0;
    return err;
}

/* fetch_names fetches where the papers' names of the next AHEAD outcomes are found, all of them at once; returns where these end.
 */
static size_t fetch_names(kh_hub *h, const kh_run *r, size_t at)
{
    kh_key keys[AHEAD];
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < AHEAD && at < r->results_sz; i++) {
        const uint8_t *p = r->results + at;
        uint32_t n = kh_load32(p + 8);
        if (kh_load32(p + 4) == 0 && kh_receipt_first_key(p + RESULT_HEAD_SZ, n, &keys[cnt])) cnt++;
        at += RESULT_HEAD_SZ + n;
    }
    kh_ledger_papers_ahead(kh_store_read_begin(h->options.store), keys, cnt);
    kh_store_read_end(h->options.store);
    return at;
}

kh_err kh_outputs_take(kh_hub *h, kh_run *r)
{
    size_t fetched = 0;
    kh_err err = h->outputs.height == 0 ? begin(h, r->work) : KH_OK;
    for (size_t at = 0; at < r->results_sz && err == KH_OK;) {
        if (at == fetched) fetched = fetch_names(h, r, at);
        const uint8_t *p = r->results + at;
        uint32_t op_index = kh_load32(p), n = kh_load32(p + 8);
        err = kh_load32(p + 4) != 0 ? take_notice(h, p + RESULT_HEAD_SZ, n)
                                    : take_receipt(h, r, &r->origins[op_index], p + RESULT_HEAD_SZ, n);
        at += RESULT_HEAD_SZ + n;
    }
    return err == KH_OK && r->last ? end(h, r) : err;
}

/* ---- at the start ---- */

static void attested_so_far(void *ctx, kh_order *order)
{
    uint8_t posted[32];
    *(uint64_t *)ctx = kh_order_attested(order, posted);
}

void kh_outputs_again(kh_hub *h)
{
    uint64_t height = 0;
    kh_node_read(h->options.node, attested_so_far, &height);
    for (;;) {
        uint8_t *p = NULL;
        size_t n = 0;
        if (kh_heights_after(h->banks.posts, height, &height, &p, &n) != KH_OK) return;
        if (n == KH_POST_SZ) attest(h, height, p);
        free(p);
    }
}
