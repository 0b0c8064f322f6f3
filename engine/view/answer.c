/* answer: the bank's own submissions: given to the node, found again when they are ordered, answered out of the package of
 * that height when it is taken. */
#include <stdlib.h>
#include <time.h>
#include "view/parts.h"

#define RETRY_NS 5000000L /* until a full queue is tried again */
_Static_assert(RETRY_NS < 1000000000L, "a part of a second");

static kh_view_submission *submission_of(const kh_view *v, uint64_t ticket)
{
    kh_view_submission *s = v->submissions;
    while (s != NULL && s->ticket < ticket) s = s->next;
    return s != NULL && s->ticket == ticket ? s : NULL;
}

static void submission_end(kh_view *v, kh_view_submission *gone)
{
    kh_view_submission **at = &v->submissions;
    while (*at != gone) at = &(*at)->next;
    *at = gone->next;
    if (v->submissions_end == &gone->next) v->submissions_end = at;
    free(gone);
    (void)pthread_cond_broadcast(&v->done);
}

/* ---- the driver ---- */

static bool own_frames(const kh_view *v, const kh_store_batch *batch)
{
    size_t at = 0;
    uint32_t cnt = 0;
    for (; at < batch->ops_sz; cnt++) {
        if (batch->ops_sz - at < 16) return false;
        uint32_t size = kh_load32(batch->ops + at);
        if (size < 16 || size > batch->ops_sz - at || kh_load32(batch->ops + at + 8) != v->options.party) return false;
        at += size;
    }
    return cnt == batch->op_cnt;
}

static kh_err submit(void *self, const kh_store_batch *batch, bool may_wait, uint64_t *ret_ticket)
{
    kh_view *v = self;
    if (batch->op_cnt == 0 || batch->signed_section || !own_frames(v, batch)) return KH_E_ARG; /* what others sign is a hub's */
    kh_view_submission *s = malloc(sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    (void)pthread_mutex_lock(&v->lock);
    *s = (kh_view_submission){.ticket = ++v->next_ticket,
                              .at_ns = kh_node_clock(v->options.node),
                              .op_cnt = batch->op_cnt,
                              .reply = batch->reply,
                              .ctx = batch->ctx};
    uint64_t ticket = s->ticket;
    bool open = !v->closing && v->failed == KH_OK;
    if (open) {
        *v->submissions_end = s;
        v->submissions_end = &s->next;
    } else free(s);
    (void)pthread_mutex_unlock(&v->lock);
    if (!open) return KH_E_CLOSED;
    kh_err err;
    while ((err = kh_node_submit(v->options.node, batch->ops, batch->ops_sz, batch->op_cnt, false, ticket)) == KH_E_AGAIN &&
           may_wait) {
        (void)pthread_mutex_lock(&v->lock);
        bool closing = v->closing;
        (void)pthread_mutex_unlock(&v->lock);
        if (closing) break;
        (void)nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
    bool ours = true;
    if (err != KH_OK) {
        (void)pthread_mutex_lock(&v->lock);
        ours = (s = submission_of(v, ticket)) != NULL; /* else it was told meanwhile that nothing is known */
        if (ours) submission_end(v, s);
        (void)pthread_mutex_unlock(&v->lock);
    }
    if (err == KH_OK || !ours) *ret_ticket = ticket;
    return ours ? err : KH_OK;
}

static kh_err wait_for(void *self, uint64_t ticket)
{
    kh_view *v = self;
    (void)pthread_mutex_lock(&v->lock);
    while (v->submissions != NULL && v->submissions->ticket <= ticket) (void)pthread_cond_wait(&v->done, &v->lock);
    kh_err err = v->failed != KH_OK || v->closing ? KH_E_CLOSED : KH_OK;
    (void)pthread_mutex_unlock(&v->lock);
    return err;
}

void kh_view_answer_start(kh_view *v)
{
    v->driver = (kh_store_driver){.self = v, .submit = submit, .wait = wait_for, .party = v->options.party};
    v->submissions_end = &v->submissions;
}

/* ---- ordered ---- */

void kh_view_batches_add(kh_view *v, kh_view_batch *first)
{
    kh_view_batch **end = &v->batches;
    while (*end != NULL) end = &(*end)->next;
    *end = first;
    for (kh_view_batch *b = first; b != NULL; b = b->next)
        for (uint32_t i = 0; i < b->n; i++) b->pieces[i].own = submission_of(v, b->pieces[i].ticket) != NULL;
}

const kh_view_batch *kh_view_batch_of(const kh_view *v, const uint8_t digest[32])
{
    const kh_view_batch *b = v->batches;
    while (b != NULL && memcmp(b->digest, digest, 32) != 0) b = b->next;
    return b;
}

/* ---- answers ---- */

typedef struct answers { /* of one batch, in the order of its operations */
    const kh_view_batch *batch;
    uint32_t piece, left; /* left: operations of the piece that have no answer yet */
} answers;

static void begin_piece(answers *a)
{
    while (a->piece < a->batch->n && (a->left == 0 || !a->batch->pieces[a->piece].own)) {
        a->piece++;
        a->left = a->piece < a->batch->n ? a->batch->pieces[a->piece].op_cnt : 0;
    }
}

static void answer_one(kh_view *v, answers *a, uint64_t time_ns, const kh_receipt *receipt)
{
    if (a->piece >= a->batch->n) return;
    kh_view_submission *s = submission_of(v, a->batch->pieces[a->piece].ticket);
    a->left--;
    if (s != NULL) s->reply(s->ctx, a->batch->height, time_ns, receipt, s->told++);
    begin_piece(a);
}

static void answer_batch(kh_view *v, const kh_view_batch *batch, const kh_package *package, uint64_t time_ns)
{
    answers a = {.batch = batch, .left = batch->n > 0 ? batch->pieces[0].op_cnt : 0};
    begin_piece(&a);
    for (uint32_t i = 0; i < package->item_cnt && a.piece < batch->n; i++) {
        const kh_package_item *item = &package->items[i];
        if (item->kind != KH_OUTPUT_RECEIPT || memcmp(item->batch, batch->digest, 32) != 0 ||
            kh_payload_decode(item->payload, item->payload_sz, &v->output) != KH_OK)
            continue;
        v->output.receipt.lines = v->output.lines;
        bool all = kh_view_for_all(&v->output.receipt);
        do answer_one(v, &a, time_ns, &v->output.receipt);
        while (all && a.piece < batch->n);
    }
    for (uint32_t i = 0; i < batch->n; i++) {
        kh_view_submission *s = submission_of(v, batch->pieces[i].ticket);
        if (s == NULL || s->told < s->op_cnt) continue; /* the rest is in a later batch */
        v->counts.replied++;
        v->counts.reply_ns += kh_node_clock(v->options.node) - s->at_ns;
        s->reply(s->ctx, batch->height, time_ns, NULL, UINT32_MAX);
        submission_end(v, s);
    }
}

void kh_view_answer(kh_view *v, const kh_package *package, uint64_t time_ns)
{
    for (kh_view_batch **at = &v->batches; *at != NULL;) {
        kh_view_batch *batch = *at;
        if (batch->height != package->height) {
            at = &batch->next;
            continue;
        }
        answer_batch(v, batch, package, time_ns);
        v->counts.answered++;
        v->counts.answer_ns += kh_node_clock(v->options.node) - batch->at_ns;
        *at = batch->next;
        free(batch);
    }
}

/* answer_height reads the package of a height again. */
static void answer_height(kh_view *v, uint64_t height)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    uint64_t time_ns = 0;
    kh_package package = {.height = height};
    kh_err err = kh_view_package_at(v, height, &bytes, &n, &time_ns);
    if (err == KH_OK) err = kh_package_read(bytes, n, v->chain, &package);
    if (err == KH_OK || err == KH_E_NOT_FOUND) kh_view_answer(v, &package, time_ns);
    else v->failed = err;
    kh_package_free(&package);
    free(bytes);
}

void kh_view_answer_late(kh_view *v)
{
    for (kh_view_batch *b = v->batches; b != NULL && v->failed == KH_OK;) {
        if (b->height > v->height) b = b->next;
        else {
            answer_height(v, b->height);
            b = v->batches;
        }
    }
}

void kh_view_answer_none(kh_view *v)
{
    while (v->submissions != NULL) {
        v->submissions->reply(v->submissions->ctx, 0, 0, NULL, UINT32_MAX);
        submission_end(v, v->submissions);
    }
    while (v->batches != NULL) {
        kh_view_batch *next = v->batches->next;
        free(v->batches);
        v->batches = next;
    }
}
