/* turns: requests with operations that wait for their party's probe tokens, which its own operations under way hold. Each answer
 * gives tokens back and lets the first of them try again, in the order they came. Parties fall together by a hash: they then
 * share a line. Bounded by the bytes of operations that may be in memory (quota.c). */
#include "http/inside.h"
#include <stdlib.h>

#define LINES 256u

typedef struct line {
    kh_request *first, *last;
    uint32_t under_way; /* requests at the store */
} line;
struct kh_turns {
    pthread_mutex_t lock;
    line lines[LINES];
};

kh_err kh_turns_new(kh_turns **ret)
{
    kh_turns *t = calloc(1, sizeof *t);
    if (t == NULL) return KH_E_NOMEM;
    (void)pthread_mutex_init(&t->lock, NULL);
    *ret = t;
    return KH_OK;
}

void kh_turns_free(kh_turns *t) { free(t); }

static line *line_of(kh_turns *t, uint32_t party) { return &t->lines[party % LINES]; }

void kh_turns_begin(kh_turns *t, uint32_t party)
{
    (void)pthread_mutex_lock(&t->lock);
    line_of(t, party)->under_way++;
    (void)pthread_mutex_unlock(&t->lock);
}

void kh_turns_cancel(kh_turns *t, uint32_t party)
{
    (void)pthread_mutex_lock(&t->lock);
    line_of(t, party)->under_way--;
    (void)pthread_mutex_unlock(&t->lock);
}

static kh_request *pop(line *l)
{
    kh_request *r = l->first;
    if (r == NULL) return NULL;
    l->first = r->next;
    if (l->first == NULL) l->last = NULL;
    r->next = NULL;
    return r;
}

bool kh_turns_wait(kh_turns *t, kh_request *r)
{
    (void)pthread_mutex_lock(&t->lock);
    line *l = line_of(t, r->who.party);
    bool waits = l->under_way > 0;
    if (waits && r->in_turn) { /* it was the first: it stays that */
        r->next = l->first;
        l->first = r;
        if (l->last == NULL) l->last = r;
    } else if (waits) {
        r->in_turn = true;
        r->next = NULL;
        if (l->last != NULL) l->last->next = r;
        else l->first = r;
        l->last = r;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return waits;
}

kh_request *kh_turns_end(kh_turns *t, uint32_t party)
{
    (void)pthread_mutex_lock(&t->lock);
    line *l = line_of(t, party);
    l->under_way--;
    kh_request *r = pop(l);
    (void)pthread_mutex_unlock(&t->lock);
    return r;
}

kh_request *kh_turns_next(kh_turns *t, uint32_t party)
{
    (void)pthread_mutex_lock(&t->lock);
    kh_request *r = pop(line_of(t, party));
    (void)pthread_mutex_unlock(&t->lock);
    return r;
}

kh_request *kh_turns_left(kh_turns *t, uint32_t party)
{
    (void)pthread_mutex_lock(&t->lock);
    line *l = line_of(t, party);
    kh_request *r = l->under_way == 0 ? pop(l) : NULL;
    (void)pthread_mutex_unlock(&t->lock);
    return r;
}
