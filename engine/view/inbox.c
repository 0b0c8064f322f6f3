/* inbox: what the node brings: packages, statements, own batches that were ordered, kept blocks.
 *
 * It comes with the node's lock held, and agreement must not wait while a package is taken. So it is laid here, under a lock that
 * is held for a few instructions, and who works on the view fetches it. */
#include <stdlib.h>
#include "view/parts.h"

void kh_view_inbox_open(kh_view_inbox *in)
{
    (void)pthread_mutex_init(&in->lock, NULL);
    (void)pthread_cond_init(&in->stir, NULL);
    in->ordered_end = &in->ordered;
    in->statements_end = &in->statements;
}

void kh_view_inbox_close(kh_view_inbox *in)
{
    for (kh_view_parcel *p = in->first, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    for (kh_view_news *s = in->statements, *next; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
    for (kh_view_batch *b = in->ordered, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    (void)pthread_mutex_destroy(&in->lock);
    (void)pthread_cond_destroy(&in->stir);
}

/* ---- the thread that works ---- */

static void end_stirring(kh_view_inbox *in)
{
    in->stirred = true;
    (void)pthread_cond_signal(&in->stir);
    (void)pthread_mutex_unlock(&in->lock);
}

void kh_view_stir(kh_view *v)
{
    (void)pthread_mutex_lock(&v->inbox.lock);
    end_stirring(&v->inbox);
}

void kh_view_rest(kh_view *v)
{
    kh_view_inbox *in = &v->inbox;
    (void)pthread_mutex_lock(&in->lock);
    while (!in->stirred) (void)pthread_cond_wait(&in->stir, &in->lock);
    in->stirred = false;
    (void)pthread_mutex_unlock(&in->lock);
}

kh_view_parcel *kh_view_parcel_next(kh_view *v)
{
    kh_view_inbox *in = &v->inbox;
    (void)pthread_mutex_lock(&in->lock);
    kh_view_parcel *p = in->first;
    if (p != NULL) {
        in->first = p->next;
        if (in->first == NULL) in->last = NULL;
        in->parcel_cnt--;
        in->parcel_sz -= p->n;
    }
    (void)pthread_mutex_unlock(&in->lock);
    return p;
}

void kh_view_fetch(kh_view *v)
{
    kh_view_inbox *in = &v->inbox;
    (void)pthread_mutex_lock(&in->lock);
    kh_view_news *statements = in->statements;
    kh_view_batch *ordered = in->ordered;
    bool no_memory = in->no_memory;
    in->statements = NULL;
    in->statements_end = &in->statements;
    in->statement_cnt = 0;
    in->ordered = NULL;
    in->ordered_end = &in->ordered;
    v->counts.dropped += in->dropped;
    in->dropped = 0;
    (void)pthread_mutex_unlock(&in->lock);
    if (no_memory) v->failed = KH_E_NOMEM;
    for (kh_view_news *next; statements != NULL; statements = next) {
        next = statements->next;
        kh_view_statement_add(v, &statements->said);
        free(statements);
    }
    if (ordered != NULL) kh_view_batches_add(v, ordered);
}

/* ---- what comes ---- */

void kh_view_outputs(kh_view *v, uint32_t hub, const uint8_t *p, size_t n)
{
    kh_view_inbox *in = &v->inbox;
    kh_view_parcel *parcel = malloc(sizeof *parcel + n);
    if (parcel == NULL) return; /* as if it had not come */
    *parcel = (kh_view_parcel){.hub = hub, .n = n};
    memcpy(parcel->bytes, p, n);
    (void)pthread_mutex_lock(&in->lock);
    bool room = in->parcel_cnt < KH_VIEW_WAITING && in->parcel_sz + n <= KH_VIEW_WAITING_SZ;
    if (room) {
        if (in->last != NULL) in->last->next = parcel;
        else in->first = parcel;
        in->last = parcel;
        in->parcel_cnt++;
        in->parcel_sz += n;
    } else in->dropped++;
    end_stirring(in);
    if (!room) free(parcel);
    if (v->options.inline_work) kh_view_work(v);
}

void kh_view_attested(kh_view *v, const kh_attestation *attestation)
{
    kh_view_inbox *in = &v->inbox;
    kh_view_news *news = malloc(sizeof *news);
    (void)pthread_mutex_lock(&in->lock);
    bool room = news != NULL && in->statement_cnt < KH_VIEW_STATEMENTS; /* else the node has it when its package comes */
    if (room) {
        *news = (kh_view_news){.said = *attestation};
        *in->statements_end = news;
        in->statements_end = &news->next;
        in->statement_cnt++;
    }
    end_stirring(in);
    if (!room) free(news);
    if (v->options.inline_work) kh_view_work(v);
}

void kh_view_ordered(kh_view *v, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                     uint32_t n)
{
    kh_view_inbox *in = &v->inbox;
    kh_view_batch *batch = malloc(sizeof *batch + n * sizeof batch->pieces[0]);
    if (batch != NULL) {
        *batch = (kh_view_batch){.height = height, .at_ns = kh_node_clock(v->options.node), .n = n};
        memcpy(batch->digest, digest, 32);
        for (uint32_t i = 0; i < n; i++) batch->pieces[i] = (struct kh_view_piece){.ticket = tags[i], .op_cnt = op_cnts[i]};
    }
    (void)pthread_mutex_lock(&in->lock);
    if (batch != NULL) {
        *in->ordered_end = batch;
        in->ordered_end = &batch->next;
    } else in->no_memory = true;
    end_stirring(in);
    if (v->options.inline_work) kh_view_work(v);
}

void kh_view_decided(kh_view *v)
{
    kh_view_stir(v);
    if (v->options.inline_work) kh_view_work(v);
}
