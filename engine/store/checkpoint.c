/* checkpoint: images made beside the engine: a thread of low priority with memory of its own loads the newest image, replays the
 * log and writes the next one. It is a restart, done all day; the engine and the readers do nothing for it. The reclaiming thread
 * lives here too. */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "store/parts.h"

#define TAIL_MIN_SZ (UINT64_C(64) << 20) /* half a second of replay; below it, images cost more than they save */
#define IMAGE_BYTES_PER_S 1000000000u
#define REST_MAX_NS (KH_NS_PER_S / 50)
#define RECLAIM_EVERY 16u /* entries */
#define RECLAIM_NAP_NS 5000000L

typedef struct chain_of {
    uint8_t chain[32];
    kh_block *block;
    kh_store *store;
    uint64_t began_ns;  /* the entry being replayed */
    uint64_t log_bytes; /* of the engine's log, when it was last looked at */
    uint64_t hurry_at;  /* from this length on without rests: else the tail would grow faster than images are made */
} chain_of;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The tail that is worth an image. */
static uint64_t tail_due(kh_store *s)
{
    return kh_max64(TAIL_MIN_SZ, atomic_load_explicit(&s->image_bytes, memory_order_relaxed) / 2);
}

/* While the engine writes entries this thread rests after each of its own as long as that took: half a core and half of the
 * memory's speed at most. */
static void rest(chain_of *c)
{
    uint64_t log_bytes = atomic_load_explicit(&c->store->log_bytes, memory_order_relaxed), now = now_ns();
    bool busy = log_bytes != c->log_bytes && log_bytes < c->hurry_at;
    c->log_bytes = log_bytes;
    if (!busy) return;
    struct timespec nap = {0, (long)kh_min64(now - c->began_ns, REST_MAX_NS)};
    (void)nanosleep(&nap, NULL);
}

static void collect(void *self, const kh_outcome *outcome)
{
    chain_of *c = self;
    kh_block_append(c->block, outcome);
}

/* The replay of a checkpoint makes the outcome chain anew, without looking at what the engine made of it. */
static const kh_sink *before(void *ctx, const kh_entry *entry)
{
    static _Thread_local kh_sink sink;
    chain_of *c = ctx;
    c->began_ns = now_ns();
    sink = (kh_sink){collect, c};
    kh_block_begin(c->block, entry);
    return &sink;
}

static kh_err after(void *ctx, const kh_entry *entry)
{
    chain_of *c = ctx;
    (void)entry;
    kh_err err = kh_block_end(c->block);
    if (err == KH_OK) kh_block_seal(c->block, c->chain);
    rest(c);
    return err;
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
    if (err == KH_OK) err = kh_image_publish(&s->home, stand->height);
    if (err != KH_OK) return err;
    uint64_t bytes = kh_state_bytes(&m->state);
    atomic_store_explicit(&s->image_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&s->image_at, stand->height, memory_order_relaxed);
    return KH_OK;
}

/* digest: the checkpoint digest is made too, of a state that may be older than the newest image; NULL: no. */
static kh_err make(kh_store *s, uint64_t height, uint8_t *digest)
{
    char path[KH_PATH_MAX];
    kh_machine m = {0};
    kh_image_stand stand;
    kh_log *log = NULL;
    kh_log_open_report report = {.durable_floor = height};
    kh_block block = {0};
    chain_of c = {.block = &block, .store = s, .log_bytes = atomic_load_explicit(&s->log_bytes, memory_order_relaxed)};
    uint64_t bytes, ops;
    if (height == 0 || (digest == NULL && height == atomic_load_explicit(&s->image_at, memory_order_relaxed))) return KH_OK;
    const kh_replay_each each = {before, after, &c};
    c.hurry_at = c.log_bytes + tail_due(s);
    kh_err err = kh_replay_base(&s->home, height, false, &m, &stand, &bytes, NULL);
    if (err == KH_OK) {
        kh_index_reclaim_none(m.index); /* nobody else reads this state */
        memcpy(c.chain, stand.chain, 32);
        err = kh_log_open(s->options.disk, kh_home_path(&s->home, "log", path), true, &report, &log);
    }
    if (err == KH_OK) err = kh_replay_tail(log, &m, &stand, height, &each, &ops, NULL);
    if (log != NULL) kh_log_close(log);
    if (err == KH_OK && height > atomic_load_explicit(&s->image_at, memory_order_relaxed)) {
        memcpy(stand.chain, c.chain, 32);
        err = finish(s, &m, &stand, IMAGE_BYTES_PER_S);
    }
    if (err == KH_OK && digest != NULL) err = kh_machine_checkpoint_digest(m.ledger, digest);
    kh_machine_release(&m);
    free(block.bytes);
    free(block.offsets);
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
static void make_digest(kh_store *s)
{
    uint64_t number = s->digest_wanted;
    uint8_t digest[32] = {0};
    (void)pthread_mutex_unlock(&s->side_lock);
    kh_err err = make(s, number, digest);
    (void)pthread_mutex_lock(&s->side_lock);
    memcpy(s->digest, digest, 32);
    s->digest_err = err;
    s->digest_made = number;
}

kh_err kh_store_checkpoint_at(kh_store *s, uint64_t number, uint8_t ret[32])
{
    if (s->options.read_only) return KH_E_ARG;
    if (number == 0 || number > atomic_load_explicit(&s->applied, memory_order_acquire)) return KH_E_NOT_FOUND;
    if (!s->checkpoint_runs) return make(s, number, ret);
    (void)pthread_mutex_lock(&s->side_lock);
    kh_err err = s->digest_made == number ? s->digest_err : KH_E_AGAIN;
    if (err == KH_OK) memcpy(ret, s->digest, 32);
    else if (err == KH_E_AGAIN && s->digest_wanted == s->digest_made) { /* else one is under way */ s->digest_wanted = number;
        (void)pthread_cond_broadcast(&s->side_work);
    }
    (void)pthread_mutex_unlock(&s->side_lock);
    return err;
}

static void *images(void *arg)
{
    kh_store *s = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid),
                      19); /* this thread only; without it images are made all the same */
    (void)pthread_mutex_lock(&s->side_lock);
    for (;;) {
        while (!s->side_stop && !s->image_due && s->image_wanted == s->image_served && s->digest_wanted == s->digest_made)
            (void)pthread_cond_wait(&s->side_work, &s->side_lock);
        if (s->side_stop) break;
        if (s->digest_wanted != s->digest_made) {
            make_digest(s);
            continue;
        }
        uint64_t wanted = s->image_wanted, height = atomic_load_explicit(&s->applied, memory_order_acquire);
        (void)pthread_mutex_unlock(&s->side_lock);
        kh_err err = make(s, height, NULL);
        (void)pthread_mutex_lock(&s->side_lock);
        s->image_due = false;
        s->image_err = err;
        s->image_height = height;
        s->image_served = wanted;
        (void)pthread_cond_broadcast(&s->side_done);
    }
    (void)pthread_mutex_unlock(&s->side_lock);
    return NULL;
}

static void *reclaim(void *arg)
{
    kh_store *s = arg;
    struct timespec until;
    for (;;) {
        bool more = kh_index_reclaim_step(s->machine.index);
        kh_machine_ahead(&s->machine);
        (void)pthread_mutex_lock(&s->side_lock);
        if (!more && !s->side_stop) {
            (void)clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += RECLAIM_NAP_NS;
            if (until.tv_nsec >= (long)KH_NS_PER_S) until.tv_sec++, until.tv_nsec -= (long)KH_NS_PER_S;
            (void)pthread_cond_timedwait(&s->side_work, &s->side_lock, &until);
        }
        bool stop = s->side_stop;
        (void)pthread_mutex_unlock(&s->side_lock);
        if (stop) break;
    }
    kh_index_reclaim_none(s->machine.index);
    return NULL;
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
    if (tail_sz < tail_due(s)) return;
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
