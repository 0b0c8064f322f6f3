/* beat: the thread that keeps a node going, and what it saves. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "member/parts.h"

#define BEAT_MS 10u
#define VIEW_BEATS 10u
#define SAVE_EVERY_NS KH_NS_PER_S

/* ---- saving ---- */

/* kept_height moves with it: CometBFT replays what is above. */
static void save(kh_cluster *c, uint64_t now)
{
    uint8_t *saved = NULL;
    size_t n = 0;
    uint64_t height = 0;
    bool entries = atomic_exchange_explicit(&c->entries, false, memory_order_relaxed);
    kh_err err = kh_node_save(c->node, &saved, &n, &height);
    if (err == KH_OK) err = kh_kept_save(c->kept, saved, n, height);
    free(saved);
    if (err == KH_OK) {
        kh_node_kept(c->node, height);
        c->saved_height = height;
        c->saved_at_ns = now;
    } else {
        if (entries) atomic_store_explicit(&c->entries, true, memory_order_relaxed);
        if (err != KH_E_AGAIN) kh_cluster_fail(c, "order", err); /* AGAIN: between finalize and commit */
    }
}

void kh_cluster_save(kh_cluster *c, uint64_t now)
{
    (void)pthread_mutex_lock(&c->saving);
    kh_cluster_snapshot_write(c);
    save(c, now);
    (void)pthread_mutex_unlock(&c->saving);
}

static void consider_saving(kh_cluster *c)
{
    kh_node_counts counts;
    uint64_t now = c->options.clock->monotonic(c->options.clock->self);
    kh_node_count(c->node, &counts);
    (void)pthread_mutex_lock(&c->saving);
    uint64_t height = c->saved_height, at_ns = c->saved_at_ns;
    (void)pthread_mutex_unlock(&c->saving);
    bool due = atomic_load_explicit(&c->entries, memory_order_relaxed) && now - at_ns >= SAVE_EVERY_NS;
    if (counts.height > height && (due || counts.height - height >= KH_CLUSTER_SAVE_BLOCKS)) kh_cluster_save(c, now);
}

/* ---- the beat ---- */

bool kh_cluster_pauses(kh_cluster *c, uint32_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= (long)KH_NS_PER_S) until.tv_sec++, until.tv_nsec -= (long)KH_NS_PER_S;
    (void)pthread_mutex_lock(&c->beat_lock);
    for (int rc = 0; !c->ending && rc != ETIMEDOUT;) rc = pthread_cond_timedwait(&c->beat_end, &c->beat_lock, &until);
    bool goes_on = !c->ending;
    (void)pthread_mutex_unlock(&c->beat_lock);
    return goes_on;
}

static void *beat(void *arg)
{
    kh_cluster *c = arg;
    for (uint32_t n = 0; kh_cluster_pauses(c, n != 0 ? BEAT_MS : 0); n++) {
        kh_node_tick(c->node);
        if (c->view != NULL && n % VIEW_BEATS == 0) kh_view_tick(c->view);
        if (!atomic_load(&c->failed)) consider_saving(c);
        kh_cluster_bodies_tick(c);
    }
    return NULL;
}

bool kh_cluster_beat(kh_cluster *c, char *why, size_t cap)
{
    c->beats = pthread_create(&c->beat, NULL, beat, c) == 0;
    return c->beats || kh_cluster_say(why, cap, "no thread could be made");
}

void kh_cluster_tell_end(kh_cluster *c)
{
    (void)pthread_mutex_lock(&c->beat_lock);
    c->ending = true;
    (void)pthread_cond_broadcast(&c->beat_end);
    (void)pthread_mutex_unlock(&c->beat_lock);
}

void kh_cluster_still(kh_cluster *c)
{
    if (!c->beats) return;
    kh_cluster_tell_end(c);
    (void)pthread_join(c->beat, NULL);
    c->beats = false;
}
