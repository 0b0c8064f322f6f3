/* watch: see watch.h. */
#include "process/watch.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

struct kh_watch {
    kh_store *store;
    kh_service *service;
    kh_logging *logging;
    const kh_notify *notify;
    char dir[512];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool ending;
    bool low, stalled;           /* as last told; the thread's own */
    uint64_t durable, looked_at; /* heights */
    uint32_t still_s;            /* seconds without anything durable while operations wait */
    _Atomic bool ready;
    bool failed; /* and that was told; the thread's own */
    _Atomic uint64_t free_bytes;
};

const char *kh_watch_advice(kh_err err)
{
    if (err == KH_E_CLOCK)
        return "the clock is too far from the log's last entry: set it right and start kanhed again, or once with --accept-time";
    if (err == KH_E_NOMEM) return "the machine has not enough memory for this directory: give it more and start kanhed again";
    return "a write to the disk failed: look at the free space of the data directory and at the kernel's log, then start kanhed "
           "again; what was acknowledged is safe";
}

static void look_at_disk(kh_watch *w)
{
    struct statvfs fs;
    if (statvfs(w->dir, &fs) != 0) return;
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    atomic_store_explicit(&w->free_bytes, left, memory_order_relaxed);
    bool low = left < KH_WATCH_LOW_SZ;
    if (low && !w->low)
        KH_LOG(w->logging, KH_LEVEL_WARNING, "disk_low", {"dir", w->dir, 0}, {"free_bytes", NULL, left},
               {"do", "make room: when the disk is full the log stops", 0});
    if (!low && w->low) KH_LOG(w->logging, KH_LEVEL_INFO, "disk_well", {"dir", w->dir, 0}, {"free_bytes", NULL, left});
    w->low = low;
}

static void look_at_log(kh_watch *w)
{
    kh_store_stats stats;
    kh_err err = kh_store_condition(w->store);
    if (err != KH_OK && !w->failed) {
        w->failed = true;
        KH_LOG(w->logging, KH_LEVEL_ERROR, "log_failed", {"dir", w->dir, 0}, {"why", kh_err_text(err), 0},
               {"free_bytes", NULL, kh_watch_free_bytes(w)}, {"do", kh_watch_advice(err), 0});
        kh_notify_say(w->notify, "STATUS=The log has failed: questions are answered, operations refused. See the journal.");
    }
    kh_store_get_stats(w->store, &stats);
    uint64_t durable = kh_store_durable_upto(w->store);
    w->still_s = stats.queue_bytes != 0 && durable == w->durable ? w->still_s + 1 : 0;
    w->durable = durable;
    bool stalled = w->still_s >= KH_WATCH_STALLED_S;
    if (stalled && !w->stalled)
        KH_LOG(w->logging, KH_LEVEL_ERROR, "log_stalled", {"dir", w->dir, 0}, {"seconds", NULL, w->still_s},
               {"do", "operations wait and the disk does not finish: look at the disk", 0});
    if (!stalled && w->stalled) KH_LOG(w->logging, KH_LEVEL_INFO, "log_goes_on", {"dir", w->dir, 0});
    w->stalled = stalled;
    atomic_store_explicit(&w->ready, !stalled, memory_order_relaxed);
}

/* A party's status changes by an entry: where none has come there is nothing to look for. */
static void look_at_parties(kh_watch *w)
{
    if (w->durable == w->looked_at) return;
    w->looked_at = w->durable;
    kh_session_end_frozen(w->service);
}

static void *run(void *arg)
{
    kh_watch *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    for (bool last = false; !last;) { /* once more at the end: nothing that happened stays untold */
        last = w->ending;
        (void)pthread_mutex_unlock(&w->lock);
        look_at_disk(w);
        look_at_log(w);
        look_at_parties(w);
        kh_notify_say(w->notify, "WATCHDOG=1");
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        (void)pthread_mutex_lock(&w->lock);
        for (int rc = 0; !w->ending && rc != ETIMEDOUT;) rc = pthread_cond_timedwait(&w->end, &w->lock, &until);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

kh_err kh_watch_start(kh_store *store, kh_service *service, const char *dir, kh_logging *logging, const kh_notify *notify,
                      kh_watch **ret)
{
    kh_watch *w = calloc(1, sizeof *w);
    pthread_condattr_t attr;
    if (w == NULL) return KH_E_NOMEM;
    w->store = store;
    w->service = service;
    w->logging = logging;
    w->notify = notify;
    w->ready = true;
    (void)snprintf(w->dir, sizeof w->dir, "%s", dir);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->end, &attr);
    (void)pthread_condattr_destroy(&attr);
    look_at_disk(w);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        free(w);
        return KH_E_NOMEM;
    }
    *ret = w;
    return KH_OK;
}

void kh_watch_stop(kh_watch *w)
{
    if (w == NULL) return;
    (void)pthread_mutex_lock(&w->lock);
    w->ending = true;
    (void)pthread_cond_signal(&w->end);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_cond_destroy(&w->end);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

bool kh_watch_ready(const kh_watch *w)
{
    return atomic_load_explicit(&w->ready, memory_order_relaxed) && kh_store_condition(w->store) == KH_OK;
}

uint64_t kh_watch_free_bytes(const kh_watch *w) { return atomic_load_explicit(&w->free_bytes, memory_order_relaxed); }
