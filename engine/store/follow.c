/* follow: the machine that images are made of. It begins as a restart does, with the newest image, and replays the log; then it
 * stays where it is and goes on from there for the next one, so that a busy engine's images cost neither the reading of the image
 * before nor fresh memory for all of the state. */
#include <stdlib.h>
#include <time.h>
#include "store/parts.h"

#define REST_MAX_NS (KH_NS_PER_S / 50)
#define REST_TIMES 3u             /* as long as the work before it, while there is time */
#define BUSY_NS (KH_NS_PER_S / 4) /* since the engine wrote: a hub's entries come with blocks, some 50 to 200 ms apart */

typedef struct chain_of {
    uint8_t chain[32];
    kh_block *block;
    kh_store *store;
    uint64_t began_ns;  /* the entry being replayed */
    uint64_t log_bytes; /* of the engine's log, when it was last looked at, */
    uint64_t wrote_ns;  /* and when that was last another number */
    uint64_t even_at;   /* from this length on rests are as long as the work, */
    uint64_t hurry_at;  /* and from this one on there are none: else the tail would grow faster than images are made */
} chain_of;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* While the engine writes entries this thread rests after each of its own three times as long as that took, later as long: a
 * quarter of a core and of the memory's speed, or half of them. Its nice value is the last, but that counts among the threads of
 * one session alone: to other sessions of the machine (sched(7), autogroup) it is as urgent as the engine. */
static void rest(chain_of *c)
{
    uint64_t log_bytes = atomic_load_explicit(&c->store->log_bytes, memory_order_relaxed), now = now_ns();
    if (log_bytes != c->log_bytes) c->wrote_ns = now;
    c->log_bytes = log_bytes;
    if (now - c->wrote_ns >= BUSY_NS || log_bytes >= c->hurry_at) return;
    uint64_t times = log_bytes < c->even_at ? REST_TIMES : 1;
    struct timespec nap = {0, (long)kh_min64(times * (now - c->began_ns), REST_MAX_NS)};
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

static kh_err begin(kh_store *s, kh_follower *f, uint64_t height)
{
    uint64_t bytes;
    kh_log_open_report report = {.durable_floor = height, .uncached = true};
    kh_home home = s->home;
    home.uncached = true;
    f->up = true; /* what there is of it from here on is dropped with it */
    kh_err err = kh_replay_base(&home, height, false, &f->machine, &f->stand, &bytes, NULL);
    if (err != KH_OK) return err;
    kh_index_reclaim_none(f->machine.index); /* nobody else reads this state */
    return kh_home_log(&s->home, true, &report, NULL, &f->log);
}

kh_err kh_follow_to(kh_store *s, kh_follower *f, uint64_t height)
{
    uint64_t ops;
    chain_of c = {.block = &f->block, .store = s, .log_bytes = atomic_load_explicit(&s->log_bytes, memory_order_relaxed)};
    const kh_replay_each each = {before, after, &c};
    c.even_at = c.log_bytes + kh_checkpoint_due(s) / 2;
    c.hurry_at = c.log_bytes + kh_checkpoint_due(s);
    kh_err err = f->up ? kh_log_advance(f->log, height) : begin(s, f, height);
    memcpy(c.chain, f->stand.chain, 32);
    if (err == KH_OK) err = kh_replay_tail(f->log, &f->machine, &f->stand, height, &each, &ops, NULL);
    if (err == KH_OK) memcpy(f->stand.chain, c.chain, 32);
    return err;
}

void kh_follow_drop(kh_follower *f)
{
    if (f->log != NULL) kh_log_close(f->log);
    kh_machine_release(&f->machine);
    free(f->block.bytes);
    free(f->block.offsets);
    memset(f, 0, sizeof *f);
}
