/* changes: see changes.h. A waiting change is known by its transaction's digest. */
#include "cluster/changes.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "crypto/digest.h"

typedef struct waiting {
    uint8_t digest[32];
    bool used, ordered;
    kh_order_code code;
    uint64_t height;
} waiting;

struct kh_changes {
    kh_node *node;
    pthread_mutex_t lock; /* never held while the node is called */
    pthread_cond_t moved;
    bool stopping;
    waiting waiting[KH_CHANGES_WAITING_MAX];
};

kh_err kh_changes_new(kh_node *node, kh_changes **ret)
{
    pthread_condattr_t attr;
    kh_changes *c = calloc(1, sizeof *c);
    if (c == NULL) return KH_E_NOMEM;
    c->node = node;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->moved, &attr);
    (void)pthread_condattr_destroy(&attr);
    *ret = c;
    return KH_OK;
}

void kh_changes_free(kh_changes *c)
{
    if (c == NULL) return;
    (void)pthread_cond_destroy(&c->moved);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static waiting *take_place(kh_changes *c, const uint8_t digest[32])
{
    waiting *w = NULL;
    (void)pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < KH_CHANGES_WAITING_MAX && w == NULL; i++)
        if (!c->waiting[i].used) w = &c->waiting[i];
    if (w != NULL) {
        *w = (waiting){.used = true};
        memcpy(w->digest, digest, 32);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return w;
}

/* wait_until gives the place back, whatever came of it. */
static kh_err wait_until(kh_changes *c, waiting *w, uint64_t timeout_ns, kh_order_code *ret_code, uint64_t *ret_height)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t ns = (uint64_t)end.tv_nsec + timeout_ns;
    end.tv_sec += (time_t)(ns / KH_NS_PER_S);
    end.tv_nsec = (long)(ns % KH_NS_PER_S);
    bool late = false;
    (void)pthread_mutex_lock(&c->lock);
    while (!w->ordered && !c->stopping && !late) late = pthread_cond_timedwait(&c->moved, &c->lock, &end) != 0;
    kh_err err = w->ordered ? KH_OK : c->stopping ? KH_E_CLOSED : KH_E_AGAIN;
    if (err == KH_OK) {
        *ret_code = w->code;
        *ret_height = w->height;
    }
    w->used = false;
    (void)pthread_mutex_unlock(&c->lock);
    return err;
}

static void give_back(kh_changes *c, waiting *w)
{
    (void)pthread_mutex_lock(&c->lock);
    w->used = false;
    (void)pthread_mutex_unlock(&c->lock);
}

typedef struct judged {
    const uint8_t *tx;
    size_t n;
    kh_order_code code;
} judged;

static void judge(void *ctx, kh_order *order)
{
    judged *j = ctx;
    j->code = kh_order_offerable(order, j->tx, j->n, kh_order_time(order));
}

kh_err kh_changes_put(kh_changes *c, const uint8_t *tx, size_t n, uint64_t timeout_ns, kh_order_code *ret_code,
                      uint64_t *ret_height)
{
    kh_change change;
    uint8_t digest[32];
    judged j = {tx, n, KH_R_OK};
    if (kh_change_read(tx, n, &change) != KH_OK) return KH_E_ARG;
    kh_sha256(tx, n, digest);
    kh_node_read(c->node, judge, &j);
    if (j.code != KH_R_OK) { /* a number to come, too: nobody waits for what may never be */
        *ret_code = j.code;
        *ret_height = 0;
        return KH_OK;
    }
    waiting *w = take_place(c, digest);
    if (w == NULL) return KH_E_AGAIN;
    kh_err err = kh_node_submit_tx(c->node, tx, n);
    if (err == KH_OK) return wait_until(c, w, timeout_ns, ret_code, ret_height);
    give_back(c, w);
    return err == KH_E_ARG || err == KH_E_FORMAT ? KH_E_AGAIN : err; /* another took its number just now */
}

void kh_changes_decided(kh_changes *c, const kh_order_block *block)
{
    (void)pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < KH_CHANGES_WAITING_MAX; i++) {
        waiting *w = &c->waiting[i];
        for (uint32_t k = 0; k < block->tx_cnt && w->used && !w->ordered; k++) {
            if (block->types[k] != KH_TX_CHANGE || memcmp(block->digests[k], w->digest, 32) != 0) continue;
            w->ordered = true;
            w->code = (kh_order_code)block->codes[k];
            w->height = block->height;
        }
    }
    (void)pthread_cond_broadcast(&c->moved);
    (void)pthread_mutex_unlock(&c->lock);
}

void kh_changes_stop(kh_changes *c)
{
    (void)pthread_mutex_lock(&c->lock);
    c->stopping = true;
    (void)pthread_cond_broadcast(&c->moved);
    (void)pthread_mutex_unlock(&c->lock);
}
