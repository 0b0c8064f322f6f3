/* driver: submissions of the hub's own clients: ordered as this hub's batches, executed with everybody's, answered when q
 * attestations of their height are held and say what this hub found. */
#include "hub/parts.h"
#include <stdlib.h>
#include <time.h>

#define SUBS_MAX 65536u
#define AGAIN_NS 5000000L

typedef struct answer {
    kh_receipt receipt;
    bool there;
} answer;

struct kh_sub {
    kh_sub *next;
    uint64_t ticket, height, time_ns;
    uint32_t op_cnt, first_op; /* in its batch */
    kh_store_reply reply;
    void *ctx;
    bool ordered, executed, unknown; /* unknown: of its operations nothing can be told */
    uint8_t digest[32], posted[32], root[32];
    answer *answers;
};

static void free_sub(kh_sub *s)
{
    for (uint32_t i = 0; i < s->op_cnt; i++)
        if (s->answers[i].there) free((void *)(uintptr_t)s->answers[i].receipt.lines);
    free(s->answers);
    free(s);
}

static void take_out(kh_driver *d, kh_sub *sub)
{
    kh_sub **at = &d->first, *before = NULL;
    while (*at != sub) before = *at, at = &(*at)->next;
    *at = sub->next;
    if (d->last == sub) d->last = before;
    d->met = NULL;
    d->cnt--;
}

/* ---- the store's side ---- */

/* Once it is in, whoever ends may answer it, and it is gone: its ticket is told here. */
static kh_err put_in(kh_hub *h, kh_sub *sub, bool may_wait, uint64_t *ret_ticket)
{
    kh_driver *d = &h->driver;
    (void)pthread_mutex_lock(&h->lock);
    while (d->cnt >= SUBS_MAX && may_wait && !d->closed) (void)pthread_cond_wait(&d->changed, &h->lock);
    kh_err err = d->closed ? KH_E_CLOSED : d->cnt >= SUBS_MAX ? KH_E_AGAIN : KH_OK;
    if (err == KH_OK) {
        *ret_ticket = sub->ticket = ++d->next_ticket;
        if (d->last != NULL) d->last->next = sub;
        else d->first = sub;
        d->last = sub;
        d->cnt++;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return err;
}

static kh_err to_node(kh_hub *h, const kh_store_batch *b, uint64_t tag, bool may_wait)
{
    const struct timespec nap = {0, AGAIN_NS};
    kh_err err;
    while ((err = kh_node_submit(h->options.node, b->ops, b->ops_sz, b->op_cnt, b->signed_section, tag)) == KH_E_AGAIN &&
           may_wait && !kh_hub_stops(h))
        (void)nanosleep(&nap, NULL);
    return err;
}

static kh_err submit(void *self, const kh_store_batch *b, bool may_wait, uint64_t *ret_ticket)
{
    kh_hub *h = self;
    kh_sub *sub = calloc(1, sizeof *sub);
    if (sub == NULL) return KH_E_NOMEM;
    sub->op_cnt = b->op_cnt;
    sub->reply = b->reply;
    sub->ctx = b->ctx;
    sub->answers = calloc(b->op_cnt, sizeof *sub->answers);
    uint64_t ticket = 0;
    kh_err err = sub->answers != NULL ? put_in(h, sub, may_wait, &ticket) : KH_E_NOMEM;
    if (err != KH_OK) {
        sub->op_cnt = sub->answers != NULL ? sub->op_cnt : 0;
        free_sub(sub);
        return err;
    }
    err = to_node(h, b, ticket, may_wait);
    if (err == KH_OK) {
        *ret_ticket = ticket;
        return KH_OK;
    }
    (void)pthread_mutex_lock(&h->lock);
    bool ours = !h->driver.closed; /* else it was told meanwhile that nothing is known */
    if (ours) take_out(&h->driver, sub);
    (void)pthread_cond_broadcast(&h->driver.changed);
    (void)pthread_mutex_unlock(&h->lock);
    if (ours) free_sub(sub);
    else *ret_ticket = ticket;
    return ours ? err : KH_OK;
}

static kh_err wait_for(void *self, uint64_t ticket)
{
    kh_hub *h = self;
    kh_driver *d = &h->driver;
    (void)pthread_mutex_lock(&h->lock);
    kh_err err = ticket > d->next_ticket ? KH_E_ARG : KH_OK;
    while (err == KH_OK && d->first != NULL && d->first->ticket <= ticket) (void)pthread_cond_wait(&d->changed, &h->lock);
    if (err == KH_OK && d->closed) err = KH_E_CLOSED;
    (void)pthread_mutex_unlock(&h->lock);
    return err;
}

void kh_driver_init(kh_hub *h)
{
    h->driver.of_store = (kh_store_driver){.self = h, .submit = submit, .wait = wait_for};
    (void)pthread_cond_init(&h->driver.changed, NULL);
}

const kh_store_driver *kh_hub_driver(kh_hub *h) { return &h->driver.of_store; }

bool kh_driver_idle(kh_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    bool idle = h->driver.first == NULL;
    (void)pthread_mutex_unlock(&h->lock);
    return idle;
}

/* ---- from the order and from execution ---- */

/* Tags come nearly in the order of tickets: looked for from where the one before was found. */
static kh_sub *by_ticket(kh_hub *h, kh_sub *from, uint64_t ticket)
{
    kh_sub *s = from;
    while (s != NULL && s->ticket != ticket) s = s->next;
    if (s == NULL)
        for (s = h->driver.first; s != from && s->ticket != ticket;) s = s->next;
    return s != NULL && s->ticket == ticket ? s : NULL;
}

void kh_hub_ordered(kh_hub *h, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                    uint32_t n)
{
    uint32_t first_op = 0;
    (void)pthread_mutex_lock(&h->lock);
    kh_sub *from = h->driver.first;
    for (uint32_t i = 0; i < n; i++) {
        kh_sub *s = tags[i] != 0 ? by_ticket(h, from, tags[i]) : NULL;
        if (s != NULL) {
            from = s;
            memcpy(s->digest, digest, 32);
            s->first_op = first_op;
            s->height = height;
            s->ordered = true;
            s->executed = s->unknown = height == 0; /* its batch ended without being ordered */
        }
        first_op += op_cnts[i];
    }
    h->nudged = true;
    (void)pthread_cond_broadcast(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
}

bool kh_driver_owns(kh_hub *h, const uint8_t batch[32])
{
    (void)pthread_mutex_lock(&h->lock);
    const kh_sub *s = h->driver.first;
    while (s != NULL && (!s->ordered || memcmp(s->digest, batch, 32) != 0)) s = s->next;
    (void)pthread_mutex_unlock(&h->lock);
    return s != NULL;
}

static bool has(const kh_sub *s, const uint8_t batch[32], uint32_t op_index)
{
    return s != NULL && s->ordered && op_index >= s->first_op && op_index - s->first_op < s->op_cnt &&
           memcmp(s->digest, batch, 32) == 0;
}

void kh_driver_receipt(kh_hub *h, const uint8_t batch[32], uint32_t op_index, const kh_receipt *receipt)
{
    kh_driver *d = &h->driver;
    (void)pthread_mutex_lock(&h->lock);
    kh_sub *s = d->met;
    while (s != NULL && !has(s, batch, op_index)) s = s->next;
    if (s == NULL)
        for (s = d->first; s != NULL && !has(s, batch, op_index);) s = s->next;
    if (s != NULL) {
        answer *a = &s->answers[op_index - s->first_op];
        kh_receipt_line *lines = receipt->line_cnt != 0 ? malloc(receipt->line_cnt * sizeof *lines) : NULL;
        if (receipt->line_cnt != 0 && lines == NULL) s->unknown = true;
        else if (!a->there) {
            if (lines != NULL) memcpy(lines, receipt->lines, receipt->line_cnt * sizeof *lines);
            *a = (answer){*receipt, true};
            a->receipt.lines = lines;
        } else free(lines);
        d->met = s;
    }
    (void)pthread_mutex_unlock(&h->lock);
}

void kh_driver_whole(kh_hub *h, const uint8_t batch[32])
{
    (void)pthread_mutex_lock(&h->lock);
    for (kh_sub *s = h->driver.first; s != NULL; s = s->next)
        if (s->ordered && memcmp(s->digest, batch, 32) == 0) s->unknown = true;
    (void)pthread_mutex_unlock(&h->lock);
}

void kh_driver_executed(kh_hub *h, uint64_t height, uint64_t time_ns, const uint8_t posted[32], const uint8_t root[32])
{
    (void)pthread_mutex_lock(&h->lock);
    for (kh_sub *s = h->driver.first; s != NULL; s = s->next) {
        if (!s->ordered || s->executed || s->height != height) continue;
        s->executed = true;
        s->time_ns = time_ns;
        memcpy(s->posted, posted, 32);
        memcpy(s->root, root, 32);
        for (uint32_t i = 0; i < s->op_cnt; i++) s->unknown |= !s->answers[i].there;
    }
    (void)pthread_mutex_unlock(&h->lock);
}

/* ---- answering ---- */

static void tell(const kh_sub *s, bool known)
{
    if (s->reply == NULL) return;
    for (uint32_t i = 0; i < s->op_cnt && known; i++) s->reply(s->ctx, s->height, s->time_ns, &s->answers[i].receipt, i);
    s->reply(s->ctx, known ? s->height : 0, known ? s->time_ns : 0, NULL, UINT32_MAX);
}

/* In order of submission: what stands behind one that waits, waits. */
void kh_driver_answer(kh_hub *h)
{
    for (;;) {
        (void)pthread_mutex_lock(&h->lock);
        kh_sub *s = h->driver.first;
        bool ready = s != NULL && s->executed, known = ready && !s->unknown;
        (void)pthread_mutex_unlock(&h->lock);
        kh_attestation a;
        if (!ready || (known && !kh_node_attested_root(h->options.node, s->height, &a))) return;
        if (known) known = memcmp(a.posted, s->posted, 32) == 0 && memcmp(a.outputs_root, s->root, 32) == 0;
        tell(s, known);
        (void)pthread_mutex_lock(&h->lock);
        take_out(&h->driver, s);
        (void)pthread_cond_broadcast(&h->driver.changed);
        (void)pthread_mutex_unlock(&h->lock);
        free_sub(s);
    }
}

void kh_driver_close(kh_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->driver.closed = true;
    for (kh_sub *s = h->driver.first; s != NULL; s = h->driver.first) {
        (void)pthread_mutex_unlock(&h->lock);
        tell(s, false);
        (void)pthread_mutex_lock(&h->lock);
        take_out(&h->driver, s);
        free_sub(s);
        (void)pthread_cond_broadcast(&h->driver.changed);
    }
    (void)pthread_cond_broadcast(&h->driver.changed);
    (void)pthread_mutex_unlock(&h->lock);
}
