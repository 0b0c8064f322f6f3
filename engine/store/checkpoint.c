/* checkpoint: images made beside the engine: a thread of low priority with a state of its own, which follows the log (follow.c),
 * writes the next one; the engine and the readers do nothing for it. The reclaiming thread lives here too. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "store/parts.h"

#define TAIL_MIN_SZ (UINT64_C(256) << 20) /* half a second to a second of replay; below it, images cost more than they save */
#define TAIL_PART 4u                      /* of the image's bytes: what is written for images is at most four times the log */
#define IMAGE_BYTES_PER_S 1000000000u
#define FOLLOWER_IDLE_S 30 /* without an image to make: then its memory is given back */
#define RECLAIM_EVERY 16u  /* entries */
#define RECLAIM_NAP_NS 5000000u

/* The tail that is worth an image. */
uint64_t kh_checkpoint_due(kh_store *s)
{
    return kh_max64(TAIL_MIN_SZ, atomic_load_explicit(&s->image_bytes, memory_order_relaxed) / TAIL_PART);
}

static kh_err finish(kh_store *s, const kh_machine *m, kh_image_stand *stand, uint64_t rate)
{
    uint8_t chain[32];
    /* The journals up to the image are durable before it is: no later opening may have to make them from before it. */
    kh_err err = kh_journal_flush(&s->journal, stand->height);
    if (err == KH_OK) err = kh_journal_chain_at(&s->journal, stand->height, chain);
    if (err == KH_OK && memcmp(chain, stand->chain, 32) != 0) err = KH_E_DAMAGED;
    if (err == KH_OK) err = kh_image_write(&s->home, m, stand, rate);
    if (err == KH_OK) err = kh_journal_sync(&s->journal);
    (void)pthread_mutex_lock(&s->side_lock); /* as it is now: the image took its time */
    const kh_image_keep keep = s->keep;
    (void)pthread_mutex_unlock(&s->side_lock);
    if (err == KH_OK) err = kh_image_publish(&s->home, stand->height, &keep);
    if (err != KH_OK) return err;
    uint64_t bytes = kh_state_bytes(&m->state);
    atomic_store_explicit(&s->image_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&s->image_at, stand->height, memory_order_relaxed);
    return KH_OK;
}

/* digest: the checkpoint digest is made too, of a state that may be older than the newest image; NULL: no. warm: a follower that
 * goes on from where it is, or begins here, and stays; NULL, or beyond the height: one that is made and taken down again. */
static kh_err make(kh_store *s, uint64_t height, uint8_t *digest, kh_follower *warm)
{
    kh_follower own = {0}, *f = warm != NULL && (!warm->up || warm->stand.height <= height) ? warm : &own;
    if (height == 0 || (digest == NULL && height == atomic_load_explicit(&s->image_at, memory_order_relaxed))) return KH_OK;
    kh_err err = kh_follow_to(s, f, height);
    if (err == KH_OK && height > atomic_load_explicit(&s->image_at, memory_order_relaxed))
        err = finish(s, &f->machine, &f->stand, IMAGE_BYTES_PER_S);
    if (err == KH_OK && digest != NULL) err = kh_machine_checkpoint_digest(f->machine.ledger, digest);
    if (err != KH_OK || f == &own) kh_follow_drop(f);
    return err;
}

/* From the settled state itself, when nothing moves: a stopped engine's or an inline one's. The regions are a function of the log
   alone (record numbers included), so these are the bytes that a replay would give; tests/unit/store_2.c compares them. */
kh_err kh_checkpoint_own(kh_store *s)
{
    kh_image_stand stand = {.height = kh_ledger_height(s->machine.ledger), .time_ns = kh_ledger_time(s->machine.ledger)};
    if (stand.height == 0 || stand.height == atomic_load_explicit(&s->image_at, memory_order_relaxed)) return KH_OK;
    memcpy(stand.log_digest, s->log_digest, 32);
    kh_err err = kh_journal_flush(&s->journal, stand.height);
    if (err != KH_OK) return err;
    kh_journal_chain(&s->journal, stand.chain);
    return finish(s, &s->machine, &stand, 0);
}

/* With side_lock held, which is free meanwhile. */
static void make_digest(kh_store *s, kh_follower *warm)
{
    uint64_t number = s->digest_wanted;
    uint8_t digest[32] = {0};
    (void)pthread_mutex_unlock(&s->side_lock);
    kh_err err = make(s, number, digest, warm);
    (void)pthread_mutex_lock(&s->side_lock);
    memcpy(s->digest, digest, 32);
    s->digest_err = err;
    s->digest_made = number;
}

kh_err kh_store_checkpoint_at(kh_store *s, uint64_t number, uint8_t ret[32])
{
    if (s->options.read_only) return KH_E_ARG;
    if (number == 0 || number < s->home.start.number || number > atomic_load_explicit(&s->applied, memory_order_acquire))
        return KH_E_NOT_FOUND;
    if (!s->checkpoint_runs) return make(s, number, ret, NULL);
    (void)pthread_mutex_lock(&s->side_lock);
    kh_err err = s->digest_made == number ? s->digest_err : KH_E_AGAIN;
    if (err == KH_OK) memcpy(ret, s->digest, 32);
    else if (err == KH_E_AGAIN && s->digest_wanted == s->digest_made) { /* else one is under way */ s->digest_wanted = number;
        (void)pthread_cond_broadcast(&s->side_work);
    }
    (void)pthread_mutex_unlock(&s->side_lock);
    return err;
}

void kh_store_keep(kh_store *s, const uint64_t *numbers, uint32_t cnt)
{
    (void)pthread_mutex_lock(&s->side_lock);
    s->keep = (kh_image_keep){.cnt = cnt < KH_STORE_KEEPS ? cnt : KH_STORE_KEEPS};
    if (cnt != 0) memcpy(s->keep.numbers, numbers, s->keep.cnt * sizeof *numbers);
    (void)pthread_mutex_unlock(&s->side_lock);
}

static bool nothing_to_make(const kh_store *s)
{
    return !s->side_stop && !s->image_due && s->image_wanted == s->image_served && s->digest_wanted == s->digest_made;
}

/* With side_lock held. A follower that nobody needs for a while, or whose memory others want, is taken down. */
static void wait_for_work(kh_store *s, kh_follower *warm)
{
    const struct timespec until = kh_store_until(FOLLOWER_IDLE_S * KH_NS_PER_S);
    if (warm->up && kh_machine_fits(kh_state_bytes(&warm->machine.state)) != KH_OK) kh_follow_drop(warm);
    while (nothing_to_make(s)) {
        int rc = warm->up ? pthread_cond_timedwait(&s->side_work, &s->side_lock, &until)
                          : pthread_cond_wait(&s->side_work, &s->side_lock);
        if (rc == ETIMEDOUT) kh_follow_drop(warm);
    }
}

static void *images(void *arg)
{
    kh_store *s = arg;
    kh_follower warm = {0};
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid),
                      19); /* this thread only; without it images are made all the same */
    (void)pthread_mutex_lock(&s->side_lock);
    for (;;) {
        wait_for_work(s, &warm);
        if (s->side_stop) break;
        if (s->digest_wanted != s->digest_made) {
            make_digest(s, &warm);
            continue;
        }
        uint64_t wanted = s->image_wanted, height = atomic_load_explicit(&s->applied, memory_order_acquire);
        (void)pthread_mutex_unlock(&s->side_lock);
        kh_err err = make(s, height, NULL, &warm);
        (void)pthread_mutex_lock(&s->side_lock);
        s->image_due = false;
        s->image_err = err;
        s->image_height = height;
        s->image_served = wanted;
        (void)pthread_cond_broadcast(&s->side_done);
    }
    (void)pthread_mutex_unlock(&s->side_lock);
    kh_follow_drop(&warm);
    return NULL;
}

static void *reclaim(void *arg)
{
    kh_store *s = arg;
    for (;;) {
        bool more = kh_index_reclaim_step(s->machine.index);
        kh_machine_ahead(&s->machine);
        more |= kh_machine_prepare_step(&s->machine);
        (void)pthread_mutex_lock(&s->side_lock);
        if (!more && !s->side_stop) {
            const struct timespec until = kh_store_until(RECLAIM_NAP_NS);
            (void)pthread_cond_timedwait(&s->side_work, &s->side_lock, &until);
        }
        bool stop = s->side_stop;
        (void)pthread_mutex_unlock(&s->side_lock);
        if (stop) break;
    }
    kh_index_reclaim_none(s->machine.index);
    return NULL;
}

kh_err kh_store_prepare(kh_store *s, uint64_t documents, uint64_t financings)
{
    if (!s->reclaim_runs) return KH_E_ARG;
    kh_state_use_huge_pages(&s->machine.state); /* a directory without an image began in small ones */
    kh_err err = kh_machine_prepare(&s->machine, documents, financings);
    (void)pthread_mutex_lock(&s->side_lock);
    (void)pthread_cond_broadcast(&s->side_work);
    (void)pthread_mutex_unlock(&s->side_lock);
    return err;
}

void kh_reclaim_nudge(kh_store *s)
{
    uint64_t height = atomic_load_explicit(&s->applied, memory_order_relaxed);
    if (height - s->reclaim_asked < RECLAIM_EVERY) return;
    s->reclaim_asked = height;
    (void)pthread_cond_broadcast(&s->side_work);
}

void kh_checkpoint_consider(kh_store *s, uint64_t tail_sz)
{
    if (!s->options.long_running || s->image_due) return;
    if (tail_sz < kh_checkpoint_due(s)) return;
    (void)pthread_mutex_lock(&s->side_lock);
    if (s->image_err == KH_OK) s->image_due = true; /* after a failure only a snapshot tries again */
    (void)pthread_cond_broadcast(&s->side_work);
    (void)pthread_mutex_unlock(&s->side_lock);
}

kh_err kh_checkpoint_start(kh_store *s)
{
    s->checkpoint_runs = pthread_create(&s->checkpoint_thread, NULL, images, s) == 0;
    if (!s->checkpoint_runs) return KH_E_NOMEM;
    s->reclaim_runs = pthread_create(&s->reclaim_thread, NULL, reclaim, s) == 0;
    return s->reclaim_runs ? KH_OK : KH_E_NOMEM;
}

void kh_checkpoint_finish(kh_store *s)
{
    (void)pthread_mutex_lock(&s->side_lock);
    s->side_stop = true;
    (void)pthread_cond_broadcast(&s->side_work);
    (void)pthread_mutex_unlock(&s->side_lock);
    if (s->checkpoint_runs) (void)pthread_join(s->checkpoint_thread, NULL);
    if (s->reclaim_runs) (void)pthread_join(s->reclaim_thread, NULL);
    s->checkpoint_runs = s->reclaim_runs = false;
}

kh_err kh_store_snapshot(kh_store *s, uint64_t *ret_height)
{
    if (s->options.read_only) return KH_E_ARG;
    if (!s->checkpoint_runs) {
        kh_err err = KH_OK;
        while (err == KH_OK && (s->waiting != NULL || s->flying != NULL)) err = kh_engine_pump(s, true, KH_NS_PER_S);
        kh_engine_stop_with(s, err);
        if (err == KH_OK) err = kh_checkpoint_own(s);
        if (err == KH_OK) *ret_height = kh_ledger_height(s->machine.ledger);
        return err;
    }
    (void)pthread_mutex_lock(&s->side_lock);
    uint64_t mine = ++s->image_wanted;
    (void)pthread_cond_broadcast(&s->side_work);
    while (s->image_served < mine && !s->side_stop) (void)pthread_cond_wait(&s->side_done, &s->side_lock);
    kh_err err = s->image_served >= mine ? s->image_err : KH_E_CLOSED;
    if (err == KH_OK) *ret_height = s->image_height;
    (void)pthread_mutex_unlock(&s->side_lock);
    return err;
}
