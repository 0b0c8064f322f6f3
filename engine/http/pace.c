/* pace: answers that say RATE_LIMITED go out one after another, KH_HTTP_PACE_NS apart for each party, so that who goes on asking
 * beyond its limit takes no more of the hub than that. What waits is its own: it counts against its quota (quota.c). Parties fall
 * together by a hash: they then share a line. */
#include "http/inside.h"
#include <stdlib.h>
#include <time.h>

#define LINES 256u

struct kh_pace {
    pthread_mutex_t lock;
    pthread_cond_t some;
    pthread_t thread;
    bool running, end;
    kh_request *first;       /* by when they may go */
    uint64_t next_ns[LINES]; /* when the party's next one may */
    void (*done)(kh_request *r);
};

static void *run(void *ctx)
{
    kh_pace *p = ctx;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        kh_request *r = p->first;
        uint64_t now = kh_http_now_ns();
        if (r != NULL && (p->end || r->goes_ns <= now)) {
            p->first = r->next;
            (void)pthread_mutex_unlock(&p->lock);
            p->done(r);
            (void)pthread_mutex_lock(&p->lock);
        } else if (p->end) {
            break;
        } else if (r == NULL) {
            (void)pthread_cond_wait(&p->some, &p->lock);
        } else {
            struct timespec until = {.tv_sec = (time_t)(r->goes_ns / KH_NS_PER_S), .tv_nsec = (long)(r->goes_ns % KH_NS_PER_S)};
            (void)pthread_cond_timedwait(&p->some, &p->lock, &until);
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

kh_err kh_pace_new(void (*done)(kh_request *r), kh_pace **ret)
{
    kh_pace *p = calloc(1, sizeof *p);
    pthread_condattr_t monotonic;
    if (p == NULL) return KH_E_NOMEM;
    p->done = done;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->some, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    p->running = pthread_create(&p->thread, NULL, run, p) == 0;
    if (!p->running) {
        free(p);
        return KH_E_NOMEM;
    }
    *ret = p;
    return KH_OK;
}

bool kh_pace_add(kh_pace *p, kh_request *r)
{
    uint64_t now = kh_http_now_ns(), *next = &p->next_ns[r->who.party % LINES];
    (void)pthread_mutex_lock(&p->lock);
    if (p->end) {
        (void)pthread_mutex_unlock(&p->lock);
        return false;
    }
    *next = kh_max64(*next, now) + KH_HTTP_PACE_NS;
    r->goes_ns = *next;
    kh_request **at = &p->first;
    while (*at != NULL && (*at)->goes_ns <= r->goes_ns) at = &(*at)->next;
    r->next = *at;
    *at = r;
    (void)pthread_cond_signal(&p->some);
    (void)pthread_mutex_unlock(&p->lock);
    return true;
}

void kh_pace_flush(kh_pace *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->end = true;
    (void)pthread_cond_signal(&p->some);
    (void)pthread_mutex_unlock(&p->lock);
    if (p->running) (void)pthread_join(p->thread, NULL);
    p->running = false;
}

void kh_pace_free(kh_pace *p)
{
    if (p == NULL) return;
    kh_pace_flush(p);
    free(p);
}
