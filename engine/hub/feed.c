/* feed: a block of the order becomes runs: each batch is waited for, opened, judged operation by operation, and laid behind
 * the ones before it. Where a run is full, the block goes on in the next. */
#include "hub/parts.h"
#include "kept/register.h"
#include <stdlib.h>
#include "crypto/digest.h"

enum { TYPE_AT = 4, SEQUENCE_AT = 16, BODY_WAIT_MS = 5, FRAME_SMALL_SZ = 64, DIGESTS_AT_ONCE = 16 };

typedef struct feed {
    kh_hub *h;
    kh_work *w;
    kh_run *run;
    uint32_t parts;
} feed;

/* ---- what a block is judged by ---- */

kh_err kh_work_new(kh_hub *h, const kh_kept_block *b, kh_work **ret)
{
    enum { EPOCH_BEFORE_AT = 8 + KH_PUBLIC_SZ, UNTIL_AT = EPOCH_BEFORE_AT + 4, HUBS_AT = UNTIL_AT + 8 };
    if (b->hubs_n < HUBS_AT) return KH_E_DAMAGED;
    kh_work *w = calloc(1, sizeof *w);
    if (w == NULL) return KH_E_NOMEM;
    w->refs = 1;
    w->height = b->height;
    w->time_ns = b->time_ns;
    memcpy(w->app_hash, b->app_hash, 32);
    w->epoch = kh_load32(b->hubs_value);
    w->epoch_before = kh_load32(b->hubs_value + EPOCH_BEFORE_AT);
    w->before_until = kh_load64(b->hubs_value + UNTIL_AT);
    kh_err err = kh_kept_members(h->options.kept, b->height, &w->members, &w->member_cnt);
    if (err == KH_OK && (w->spent = calloc(w->member_cnt + 1, sizeof *w->spent)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) *ret = w;
    else kh_work_drop(w);
    return err;
}

void kh_work_drop(kh_work *w)
{
    if (w == NULL || --w->refs != 0) return;
    free(w->members);
    free(w->spent);
    free(w->batches);
    free(w);
}

/* ---- runs ---- */

static kh_err add_op(feed *f, const kh_op *op, const kh_origin *origin)
{
    uint8_t bytes[1024];
    size_t n;
    kh_err err = kh_op_encode(op, bytes, sizeof bytes, &n);
    return err == KH_OK ? kh_run_add(f->run, bytes, n, origin) : err;
}

static const kh_origin no_origin = {.batch = KH_NO_BATCH};

static kh_err begin(feed *f)
{
    const kh_op block = {.type = KH_OP_BLOCK, .block = {f->w->height, KH_BLOCK_MORE, f->parts}};
    f->run = kh_run_new(f->h, f->w, f->parts);
    if (f->run == NULL) return KH_E_NOMEM;
    f->parts++;
    return add_op(f, &block, &no_origin);
}

/* The block's first operation says that more follow; the last run's does not. */
static kh_err flush(feed *f, bool last)
{
    enum { FLAGS_AT = 24 + 8 };
    kh_run *r = f->run;
    f->run = NULL;
    r->last = last;
    if (last) kh_store32(r->ops + FLAGS_AT, 0);
    return kh_run_start(r);
}

/* Room for cnt operations of n bytes that stand together. */
static kh_err make_room(feed *f, size_t n, uint32_t cnt)
{
    bool fits = f->run->ops_sz + n <= KH_RUN_SZ && f->run->op_cnt + cnt <= KH_RUN_OPS;
    if (fits || f->run->op_cnt == 1) return KH_OK;
    kh_err err = flush(f, false);
    return err == KH_OK ? begin(f) : err;
}

static kh_err refuse(feed *f, uint32_t sender, uint64_t sequence, kh_code code, const kh_origin *origin)
{
    const kh_op op = {.type = KH_OP_REFUSED, .party = sender, .sequence = sequence, .refused = {code}};
    return add_op(f, &op, origin);
}

/* ---- batches ---- */

typedef struct batch {
    const kh_kept_item *item;
    const kh_kept_member *sender;
    uint32_t nth, op_index; /* in the work's list; the next operation */
} batch;

static kh_err note_batch(kh_hub *h, kh_work *w, const uint8_t digest[32], uint32_t *ret)
{
    if (w->batch_cnt == w->batch_cap) {
        uint32_t cap = w->batch_cap != 0 ? w->batch_cap * 2 : 16;
        kh_work_batch *p = realloc(w->batches, cap * sizeof *p);
        if (p == NULL) return KH_E_NOMEM;
        w->batches = p;
        w->batch_cap = cap;
    }
    memcpy(w->batches[w->batch_cnt].digest, digest, 32);
    w->batches[w->batch_cnt].own = kh_driver_owns(h, digest);
    *ret = w->batch_cnt++;
    return KH_OK;
}

static kh_err refuse_whole(feed *f, const batch *b, kh_code code)
{
    const kh_origin origin = {.batch = b->nth};
    kh_err err = make_room(f, FRAME_SMALL_SZ, 1);
    if (err == KH_OK && code == KH_C_BODY_LOST) err = kh_lost_was(f->h, f->w->height, f->run->op_cnt);
    return err == KH_OK ? refuse(f, b->item->sender, 0, code, &origin) : err;
}

static kh_code judge(feed *f, const batch *b, const kh_section *s, bool bundle_good, const uint8_t *frame, size_t n)
{
    kh_op_scratch scratch;
    kh_op op;
    size_t used;
    if (kh_op_decode(frame, n, &scratch, &op, &used) != KH_OK || kh_op_of_execution(op.type)) return KH_C_FORMAT;
    if (s->kind == KH_SECTION_OWN) return kh_judge_own(f->h, f->w, b->sender, &op);
    if (s->frames_sz > KH_BUNDLE_MAX_SZ) return KH_C_CAPACITY;
    return bundle_good ? kh_judge_bundled(f->w, s->party, &op) : KH_C_NOT_AUTHORISED;
}

/* Who is told of a refusal: who sent it; of what stands in a bundle whoever may sign one: not who carried it, nor who is named.
 */
static uint32_t hears(const kh_work *w, const batch *b, const kh_section *s)
{
    if (s->kind == KH_SECTION_OWN) return b->item->sender;
    const kh_kept_member *m = kh_work_member(w, s->party);
    return m != NULL && (m->role == KH_MEMBER_REGULATOR || m->role == KH_MEMBER_SOURCE) ? m->id : 0;
}

/* Digests of the section's next frames. */
static void digest_frames(const kh_section *s, size_t at, uint8_t ret[DIGESTS_AT_ONCE][32])
{
    kh_sha256_text texts[DIGESTS_AT_ONCE];
    uint32_t cnt = 0;
    for (; cnt < DIGESTS_AT_ONCE && at < s->frames_sz; at += texts[cnt++].n)
        texts[cnt] = (kh_sha256_text){s->frames + at, kh_load32(s->frames + at), ret[cnt]};
    kh_sha256_each(texts, cnt);
}

static kh_err feed_frame(feed *f, batch *b, const kh_section *s, const uint8_t *frame, size_t n, const uint8_t digest[32],
                         kh_code code)
{
    kh_origin origin = {.batch = b->nth, .op_index = b->op_index++};
    memcpy(origin.digest, digest, 32);
    if (code != KH_C_OK) return refuse(f, hears(f->w, b, s), kh_load64(frame + SEQUENCE_AT), code, &origin);
    if (frame[TYPE_AT] == KH_OP_PARTY_KEY) f->h->key_block = f->w->height;
    return kh_run_add(f->run, frame, n, &origin);
}

/* Room for a bundle as a whole, and its head in front, which counts what the ledger is given of it; nothing: it need not stand
 * together. */
static kh_err bundle_head(feed *f, const batch *b, const kh_section *s, bool *ret_together)
{
    uint32_t cnt = 0, given = 0;
    for (size_t at = 0; at < s->frames_sz; at += kh_load32(s->frames + at), cnt++)
        given += judge(f, b, s, true, s->frames + at, kh_load32(s->frames + at)) == KH_C_OK;
    *ret_together = given != 0;
    if (given == 0) return KH_OK;
    const kh_op head = {.type = KH_OP_BUNDLE, .party = s->party, .bundle = {s->number, given}};
    kh_err err = make_room(f, s->frames_sz + (size_t)(cnt + 1) * FRAME_SMALL_SZ, cnt + 1);
    return err == KH_OK ? add_op(f, &head, &no_origin) : err;
}

static kh_err feed_section(feed *f, batch *b, const kh_section *s)
{
    bool small = s->kind == KH_SECTION_SIGNED && s->frames_sz <= KH_BUNDLE_MAX_SZ, together = false, good = false;
    kh_err err = small ? kh_judge_bundle(f->h, f->w, s, &good) : KH_OK;
    if (err == KH_OK && good) err = bundle_head(f, b, s, &together);
    uint8_t digests[DIGESTS_AT_ONCE][32];
    uint32_t nth = 0;
    for (size_t at = 0; at < s->frames_sz && err == KH_OK; nth++) {
        const uint8_t *frame = s->frames + at;
        size_t n = kh_load32(frame);
        if (nth % DIGESTS_AT_ONCE == 0) digest_frames(s, at, digests);
        if (!together) err = make_room(f, n + FRAME_SMALL_SZ, 1);
        if (err == KH_OK) err = feed_frame(f, b, s, frame, n, digests[nth % DIGESTS_AT_ONCE], judge(f, b, s, good, frame, n));
        at += n;
    }
    return err;
}

/* What is ready meanwhile goes on; nothing, where the batch is ordered lost or the hub stops. */
static kh_err wait_body(feed *f, const kh_kept_item *item, uint8_t **ret, size_t *ret_n)
{
    const kh_hub_options *o = &f->h->options;
    for (;;) {
        kh_lost *lost = NULL;
        kh_err err = kh_hub_lost(f->h, item->digest, &lost);
        if (lost != NULL) lost->executed = true;
        if (err != KH_OK || lost != NULL) return err;
        err = kh_node_body(o->node, item->digest, f->w->height, ret, ret_n);
        if (err == KH_E_NOT_FOUND) o->alert(o->ctx, "BODY_GIVEN_UP", item->sender, f->w->height);
        if (err != KH_E_AGAIN) return err;
        err = kh_hub_settle(f->h, KH_RUNS_MAX);
        if (err != KH_OK) return err;
        if (kh_hub_stops(f->h)) return KH_E_CLOSED;
        if (o->body_lacks != NULL) o->body_lacks(o->ctx, item->digest, item->sender, f->w->height);
        kh_hub_sleep(f->h, BODY_WAIT_MS);
    }
}

static kh_err feed_batch(feed *f, const kh_kept_item *item)
{
    batch b = {.item = item, .sender = kh_work_member(f->w, item->sender)};
    uint8_t *body = NULL, *text = NULL;
    size_t n = 0, text_n = 0, at = 0;
    bool good = false;
    kh_err err = note_batch(f->h, f->w, item->digest, &b.nth);
    if (err == KH_OK) err = wait_body(f, item, &body, &n);
    if (err != KH_OK) return err;
    if (body == NULL) return refuse_whole(f, &b, KH_C_BODY_LOST);
    err = kh_judge_open(f->h, f->w, item, body, n, &good, &text, &text_n);
    free(body);
    if (err != KH_OK) return err;
    if (!good) return refuse_whole(f, &b, KH_C_UNOPENABLE);
    uint32_t *spent = &f->w->spent[b.sender - f->w->members];
    kh_section section;
    if (text_n > KH_SENDER_TEXT_MAX - *spent) err = refuse_whole(f, &b, KH_C_CAPACITY);
    else {
        *spent += (uint32_t)text_n;
        while (err == KH_OK && kh_section_next(text, text_n, &at, &section) == KH_OK) err = feed_section(f, &b, &section);
    }
    free(text);
    return err;
}

/* ---- what officers and the genesis say ---- */

static kh_err feed_ops(feed *f, const uint8_t *p, size_t n)
{
    kh_err err = KH_OK;
    for (size_t at = 0; at < n && err == KH_OK;) {
        size_t size = n - at >= 24 ? kh_load32(p + at) : 0;
        if (size < 24 || size > n - at) return KH_E_DAMAGED;
        err = make_room(f, size, 1);
        if (err == KH_OK) err = kh_run_add(f->run, p + at, size, &no_origin);
        at += size;
    }
    return err;
}

static kh_err feed_op(void *ctx, const kh_op *op)
{
    feed *f = ctx;
    kh_err err = make_room(f, 1024, 1);
    return err == KH_OK ? add_op(f, op, &no_origin) : err;
}

static bool executes(const kh_kept_block *b)
{
    for (uint32_t i = 0; i < b->item_cnt; i++)
        if (b->items[i].kind != KH_ITEM_LOST) return true;
    return false;
}

kh_err kh_feed_block(kh_hub *h, const kh_kept_block *block)
{
    feed f = {.h = h};
    if (!executes(block)) return KH_OK;
    kh_err err = kh_work_new(h, block, &f.w);
    if (err != KH_OK) return err;
    err = kh_hub_group(h, f.w->epoch);
    if (err == KH_OK && f.w->epoch_before != 0 && f.w->height <= f.w->before_until) err = kh_hub_group(h, f.w->epoch_before);
    if (err == KH_OK) err = begin(&f);
    if (err == KH_OK && h->next_number == 1) err = kh_genesis_ops(h->options.genesis, feed_op, &f);
    for (uint32_t i = 0; i < block->item_cnt && err == KH_OK; i++) {
        const kh_kept_item *item = &block->items[i];
        if (item->kind == KH_ITEM_BATCH) err = feed_batch(&f, item);
        else if (item->kind == KH_ITEM_OPS) err = feed_ops(&f, item->ops, item->ops_sz);
    }
    if (err == KH_OK) err = flush(&f, true);
    kh_run_free(f.run);
    kh_work_drop(f.w);
    return err;
}
