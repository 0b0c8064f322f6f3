/* workers: a small pool that runs requests. One party occupies at most half of it and of the queue. */
#include "http/inside.h"
#include <stdlib.h>

struct kh_workers {
    pthread_mutex_t lock;
    pthread_cond_t some;
    void (*run)(kh_request *r);
    pthread_t *threads;
    uint32_t *busy_with; /* by thread: the party it works for, 0 none */
    uint32_t thread_cnt, thread_max, queue_max, queued;
    kh_request *first, *last;
    bool end;
};

static uint32_t share(uint32_t all) { return all > 1 ? all / 2 : 1; }

static uint32_t busy_for(const kh_workers *w, uint32_t party)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->thread_max; i++) n += w->busy_with[i] == party;
    return n;
}

/* take gives the first request whose party has a thread left; NULL: none. */
static kh_request *take(kh_workers *w)
{
    kh_request *before = NULL;
    for (kh_request *r = w->first; r != NULL; before = r, r = r->next) {
        if (busy_for(w, r->who.party) >= share(w->thread_max)) continue;
        if (before != NULL) before->next = r->next;
        else w->first = r->next;
        if (w->last == r) w->last = before;
        r->next = NULL;
        w->queued--;
        return r;
    }
    return NULL;
}

static void *work(void *ctx)
{
    kh_workers *w = ctx;
    (void)pthread_mutex_lock(&w->lock);
    uint32_t self = w->thread_cnt++;
    for (;;) {
        kh_request *r = take(w);
        if (r == NULL) {
            if (w->end && w->first == NULL) break;
            (void)pthread_cond_wait(&w->some, &w->lock);
            continue;
        }
        w->busy_with[self] = r->who.party;
        (void)pthread_mutex_unlock(&w->lock);
        w->run(r);
        (void)pthread_mutex_lock(&w->lock);
        w->busy_with[self] = 0;
        if (w->first != NULL || w->end) (void)pthread_cond_broadcast(&w->some);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

kh_err kh_workers_new(uint32_t threads, uint32_t queue, void (*run)(kh_request *r), kh_workers **ret)
{
    kh_workers *w = calloc(1, sizeof *w);
    if (w == NULL) return KH_E_NOMEM;
    w->threads = calloc(threads, sizeof *w->threads);
    w->busy_with = calloc(threads, sizeof *w->busy_with);
    w->run = run;
    w->queue_max = queue;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->some, NULL);
    bool ok = w->threads != NULL && w->busy_with != NULL;
    uint32_t started = 0;
    w->thread_max = ok ? threads : 0;
    while (ok && started < threads) {
        ok = pthread_create(&w->threads[started], NULL, work, w) == 0;
        if (ok) started++;
    }
    if (!ok) {
        (void)pthread_mutex_lock(&w->lock);
        w->thread_max = started;
        (void)pthread_mutex_unlock(&w->lock);
        kh_workers_free(w);
        return KH_E_NOMEM;
    }
    *ret = w;
    return KH_OK;
}

bool kh_workers_add(kh_workers *w, kh_request *r)
{
    uint32_t of_party = 0;
    (void)pthread_mutex_lock(&w->lock);
    bool may = w->queued < w->queue_max;
    if (may && w->queued >= share(w->queue_max) / 2) {
        for (const kh_request *q = w->first; q != NULL; q = q->next) of_party += q->who.party == r->who.party;
        may = of_party < share(w->queue_max);
    }
    if (may) {
        r->next = NULL;
        if (w->last != NULL) w->last->next = r;
        else w->first = r;
        w->last = r;
        w->queued++;
        (void)pthread_cond_signal(&w->some);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return may;
}

void kh_workers_free(kh_workers *w)
{
    if (w == NULL) return;
    (void)pthread_mutex_lock(&w->lock);
    w->end = true;
    (void)pthread_cond_broadcast(&w->some);
    uint32_t n = w->thread_max;
    (void)pthread_mutex_unlock(&w->lock);
    for (uint32_t i = 0; i < n; i++) (void)pthread_join(w->threads[i], NULL);
    free(w->threads);
    free(w->busy_with);
    free(w);
}
