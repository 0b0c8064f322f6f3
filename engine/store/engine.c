/* engine: gathers go to the log, decided entries into the state, answers to who asked. One thread, or the caller's when inline.
 * Order: durable, then DIR/head, then applied, then answered. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "store/parts.h"

#define BEHIND_MAX_NS (600 * KH_NS_PER_S) /* the clock may be this much behind the newest entry */
#define MARK_AFTER_NS (KH_NS_PER_S / 5)   /* idle this long: the log gets its commit mark */
#define TICK_EVERY_NS KH_NS_PER_S
#define LOOK_EVERY_NS 100000 /* at the queue, while the disk is at work */
#define POLL_MAX 8u

kh_err kh_engine_clock(kh_store *s, uint64_t *ret_now)
{
    uint64_t now = s->options.clock->now(s->options.clock->self), step = kh_ledger_clock_step_ns(s->machine.ledger);
    atomic_store_explicit(&s->clock_step, step, memory_order_relaxed);
    if (s->last_time != 0 && !s->options.accept_time && !s->options.driven) {
        if (now + BEHIND_MAX_NS < s->last_time) return KH_E_CLOCK;
        if (step != 0 && now > s->last_time && now - s->last_time > step) return KH_E_CLOCK;
    }
    *ret_now = kh_max64(now, s->last_time);
    return KH_OK;
}

void kh_store_clock_report(kh_store *s, uint64_t *ret_clock_ns, uint64_t *ret_last_ns)
{
    *ret_clock_ns = s->options.clock->now(s->options.clock->self);
    *ret_last_ns = atomic_load_explicit(&s->clock_last, memory_order_relaxed);
}

static void tell_unknown(kh_gather *g)
{
    for (; g != NULL; g = g->next) {
        if (g->executes) g->outcome(g->ctx, 0, NULL, NULL);
        for (; g->told < g->batch_cnt; g->told++) {
            const kh_batch_ref *b = &g->batches[g->told];
            if (b->reply != NULL) b->reply(b->ctx, 0, 0, NULL, UINT32_MAX);
        }
    }
}

void kh_engine_stop_with(kh_store *s, kh_err err)
{
    if (err == KH_OK || err == KH_E_AGAIN) return;
    if (err != KH_E_CLOCK && err != KH_E_NOMEM) err = KH_E_CLOSED;
    (void)pthread_mutex_lock(&s->queue_lock);
    bool first = s->stop_err == KH_OK;
    if (first) s->stop_err = err;
    kh_gather *waiting = first ? s->waiting : NULL;
    (void)pthread_mutex_unlock(&s->queue_lock);
    if (!first) return;
    tell_unknown(s->flying);
    tell_unknown(waiting);
    (void)pthread_mutex_lock(&s->queue_lock);
    s->told = true;
    (void)pthread_cond_broadcast(&s->done);
    (void)pthread_mutex_unlock(&s->queue_lock);
}

/* The receipt of what was answered before names the place of that answer; here it becomes that answer. */
static const kh_receipt *filled_in(kh_store *s, const kh_receipt *receipt)
{
    kh_journal_item *item = s->first_answer;
    kh_place place = {receipt->ref_height, receipt->ref_index, 0};
    kh_err err;
    if (s->block != NULL && place.height == s->block->height) {
        const kh_block *b = s->block;
        if (place.index >= b->item_cnt) return receipt;
        size_t at = (size_t)b->offsets[place.index] * 8;
        err = kh_item_decode(b->bytes + at, b->size - at, place.height, place.index, s->answering_time, item);
    } else err = kh_journal_read(&s->journal, place, item);
    /* A journal that cannot be read takes no answer away: the place is still told. */
    if (err != KH_OK || item->is_notice) return receipt;
    item->receipt.party = receipt->party;
    item->receipt.sequence = receipt->sequence;
    item->receipt.ref_height = receipt->ref_height;
    item->receipt.ref_index = receipt->ref_index;
    item->receipt.lines = item->lines;
    return &item->receipt;
}

static void finish_batch(const kh_store *s)
{
    const kh_batch_ref *b = &s->answering->batches[s->answering->told++];
    if (b->reply != NULL) b->reply(b->ctx, s->answering->height, s->answering_time, NULL, UINT32_MAX);
}

static void execute_outcome(kh_store *s, const kh_outcome *outcome)
{
    kh_outcome given = *outcome;
    if (!given.is_notice && given.receipt->ref_height != 0) given.receipt = filled_in(s, given.receipt);
    if (!given.is_notice && given.receipt->type == KH_OP_BLOCK) kh_driven_block(s, s->block->height, given.receipt->amount);
    s->answering->outcome(s->answering->ctx, s->block->height, &given, NULL);
}

static void emit(void *self, const kh_outcome *outcome)
{
    kh_store *s = self;
    kh_block_append(s->block, outcome);
    if (s->answering != NULL && s->answering->executes) {
        execute_outcome(s, outcome);
        return;
    }
    if (outcome->is_notice || s->answering == NULL || s->answering->batch_cnt == 0) return;
    const kh_batch_ref *b = &s->answering->batches[s->answering->told];
    for (; outcome->op_index >= b->first_op + b->op_cnt; b++) finish_batch(s); /* those behind it need not be waited for */
    if (b->reply == NULL) return;
    const kh_receipt *receipt = outcome->receipt;
    if (receipt->ref_height != 0) receipt = filled_in(s, receipt);
    b->reply(b->ctx, s->answering->height, s->answering_time, receipt, outcome->op_index - b->first_op);
}

/* Applies one entry with its outcomes going into the journal. Both happen behind the gate: who sees in the state that an outcome
 * is there finds it in the journal. */
static kh_err apply(kh_store *s, const kh_entry *entry)
{
    const kh_sink sink = {emit, s};
    s->block = kh_journal_take(&s->journal);
    if (s->block == NULL) return KH_E_NOMEM;
    s->answering_time = entry->time_ns;
    kh_block_begin(s->block, entry);
    (void)pthread_rwlock_wrlock(&s->gate);
    kh_err err = kh_machine_apply(&s->machine, entry, &sink);
    kh_block *b = s->block;
    s->block = NULL;
    if (err == KH_OK) err = kh_block_end(b);
    if (err == KH_OK && s->answering->executes) kh_block_seal(b, s->chain); /* told at once */
    if (err == KH_OK) {
        kh_journal_give(&s->journal, b);
        memcpy(s->log_digest, entry->digest, 32);
        atomic_store_explicit(&s->applied_time, entry->time_ns, memory_order_relaxed);
        atomic_store_explicit(&s->applied, entry->height, memory_order_release);
    }
    (void)pthread_rwlock_unlock(&s->gate);
    if (err == KH_OK) return kh_journal_room(&s->journal);
    kh_block_free(b);
    return err;
}

const kh_sink *kh_engine_replay_sink(kh_store *s, const kh_entry *entry)
{
    static _Thread_local kh_sink sink;
    if (entry->height <= s->journal.base) return &kh_sink_none;
    s->block = kh_journal_take(&s->journal);
    if (s->block == NULL) return NULL;
    kh_block_begin(s->block, entry);
    sink = (kh_sink){emit, s};
    return &sink;
}

kh_err kh_engine_replayed(kh_store *s, const kh_entry *entry)
{
    (void)entry;
    kh_block *b = s->block;
    s->block = NULL;
    if (b == NULL) return KH_OK;
    kh_err err = kh_block_end(b);
    if (err != KH_OK) {
        kh_block_free(b);
        return err;
    }
    kh_journal_give(&s->journal, b);
    return kh_journal_room(&s->journal);
}

static kh_err submit(kh_store *s, kh_gather *g)
{
    uint64_t time_ns = g->time_ns;
    kh_entry entry;
    kh_err err = g->executes ? KH_OK : kh_engine_clock(s, &time_ns);
    /* Memory before the log promises what needs it. */
    if (err == KH_OK) err = kh_machine_back(&s->machine, g->op_cnt, g->size);
    if (err == KH_OK) err = kh_log_submit(s->log, time_ns, g->bytes, (uint32_t)g->size, g->op_cnt, &entry);
    if (err == KH_OK) {
        g->height = entry.height;
        s->last_time = time_ns;
        atomic_store_explicit(&s->clock_last, time_ns, memory_order_relaxed);
    }
    g->next = NULL; /* refused ones too: they are told with the rest */
    if (s->flying_last != NULL) s->flying_last->next = g;
    else s->flying = g;
    s->flying_last = g;
    return err;
}

static kh_err decided(kh_store *s, const kh_entry *entry)
{
    kh_gather *g = s->flying;
    KH_ASSERT(g != NULL && g->height == entry->height);
    s->answering = g;
    kh_err err = apply(s, entry);
    if (err == KH_OK)
        while (g->told < g->batch_cnt) finish_batch(s);
    if (err == KH_OK && g->executes) g->outcome(g->ctx, entry->height, NULL, s->chain);
    s->answering = NULL;
    if (err != KH_OK) return err;
    s->flying = g->next;
    if (s->flying == NULL) s->flying_last = NULL;
    kh_queue_recycle(s, g, g->batch_cnt != 0);
    return KH_OK;
}

kh_err kh_engine_pump(kh_store *s, bool flush, uint64_t wait_ns)
{
    kh_entry entries[POLL_MAX];
    uint32_t n = 0;
    kh_err err = s->stop_err;
    while (err == KH_OK && kh_log_in_flight(s->log) < KH_LOG_IN_FLIGHT_MAX) {
        kh_gather *g = kh_queue_take(s, kh_log_in_flight(s->log), flush);
        if (g == NULL) break;
        err = submit(s, g);
    }
    if (err == KH_OK && s->flying != NULL) err = kh_log_poll_decided(s->log, entries, POLL_MAX, wait_ns, &n);
    if (err == KH_OK && n != 0) kh_head_publish(&s->head, entries[n - 1].height);
    for (uint32_t i = 0; i < n && err == KH_OK; i++) err = decided(s, &entries[i]);
    if (err == KH_OK && n != 0) {
        s->last_entry_at = s->options.clock->monotonic(s->options.clock->self);
        uint64_t tail = kh_log_bytes_since(s->log, atomic_load_explicit(&s->image_at, memory_order_relaxed));
        atomic_store_explicit(&s->log_bytes, kh_log_bytes_since(s->log, 0), memory_order_relaxed);
        if (s->checkpoint_runs) {
            kh_reclaim_nudge(s);
            kh_checkpoint_consider(s, tail);
        }
    }
    return err;
}

kh_err kh_engine_tick(kh_store *s)
{
    if (kh_store_is_driven(s) || kh_store_last_block(s) != 0) return KH_OK; /* a cluster's time is its blocks' */
    uint64_t now = s->options.clock->now(s->options.clock->self);
    if (s->flying != NULL || kh_ledger_next_due(s->machine.ledger) > kh_max64(now, s->last_time)) return KH_OK;
    if (now < s->last_tick + TICK_EVERY_NS) return KH_OK;
    kh_gather *g = calloc(1, sizeof *g);
    if (g == NULL) return KH_E_NOMEM;
    kh_err err = submit(s, g);
    if (err == KH_OK) s->last_tick = now;
    while (err == KH_OK && s->flying != NULL) err = kh_engine_pump(s, true, KH_NS_PER_S);
    return err;
}

struct timespec kh_store_until(uint64_t ns)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    ns += (uint64_t)t.tv_nsec;
    return (struct timespec){t.tv_sec + (time_t)(ns / KH_NS_PER_S), (long)(ns % KH_NS_PER_S)};
}

/* Sleeps until there is work, a tick may be due, or the log wants its mark. */
static void sleep_until_work(kh_store *s)
{
    const struct timespec until = kh_store_until(MARK_AFTER_NS);
    (void)pthread_mutex_lock(&s->queue_lock);
    s->engine_sleeps = true;
    int rc = 0;
    while (s->waiting == NULL && !s->stopping && s->tick_asked == s->tick_served && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->work, &s->queue_lock, &until);
    s->engine_sleeps = false;
    (void)pthread_mutex_unlock(&s->queue_lock);
}

static void *run(void *arg)
{
    kh_store *s = arg;
    for (;;) {
        kh_err err = kh_engine_pump(s, false, LOOK_EVERY_NS);
        (void)pthread_mutex_lock(&s->queue_lock);
        bool idle = s->waiting == NULL && s->flying == NULL, leave = s->stopping && (idle || s->stop_err != KH_OK);
        uint64_t asked = s->tick_asked;
        (void)pthread_mutex_unlock(&s->queue_lock);
        if (leave) break;
        if (err == KH_OK && idle) {
            err = kh_engine_tick(s);
            uint64_t height = kh_log_durable_upto(s->log);
            if (err == KH_OK && s->marked_height != height &&
                s->options.clock->monotonic(s->options.clock->self) - s->last_entry_at >= MARK_AFTER_NS) {
                err = kh_log_mark(s->log);
                s->marked_height = height;
            }
        }
        kh_engine_stop_with(s, err);
        (void)pthread_mutex_lock(&s->queue_lock);
        if (idle) s->tick_served = asked;
        (void)pthread_cond_broadcast(&s->done);
        while (s->stop_err != KH_OK && !s->stopping) {
            s->tick_served = s->tick_asked;
            (void)pthread_cond_broadcast(&s->done);
            (void)pthread_cond_wait(&s->work, &s->queue_lock);
        }
        (void)pthread_mutex_unlock(&s->queue_lock);
        if (idle && err == KH_OK) sleep_until_work(s);
    }
    return NULL;
}

kh_err kh_store_tick(kh_store *s)
{
    if (s->options.read_only) return KH_E_ARG;
    if (!s->engine_runs) {
        kh_err err = KH_OK;
        while (err == KH_OK && (s->waiting != NULL || s->flying != NULL)) err = kh_engine_pump(s, true, KH_NS_PER_S);
        if (err == KH_OK) err = kh_engine_tick(s);
        kh_engine_stop_with(s, err);
        return err;
    }
    (void)pthread_mutex_lock(&s->queue_lock);
    uint64_t mine = ++s->tick_asked;
    (void)pthread_cond_signal(&s->work);
    while (s->tick_served < mine && s->stop_err == KH_OK) (void)pthread_cond_wait(&s->done, &s->queue_lock);
    kh_err err = s->stop_err;
    (void)pthread_mutex_unlock(&s->queue_lock);
    return err;
}

kh_err kh_engine_start(kh_store *s)
{
    s->engine_runs = pthread_create(&s->engine_thread, NULL, run, s) == 0;
    return s->engine_runs ? KH_OK : KH_E_NOMEM;
}

void kh_engine_finish(kh_store *s)
{
    if (!s->engine_runs) {
        kh_err err = KH_OK;
        while (err == KH_OK && s->log != NULL && (s->waiting != NULL || s->flying != NULL))
            err = kh_engine_pump(s, true, KH_NS_PER_S);
        kh_engine_stop_with(s, err);
        return;
    }
    (void)pthread_mutex_lock(&s->queue_lock);
    s->stopping = true;
    (void)pthread_cond_broadcast(&s->work);
    (void)pthread_mutex_unlock(&s->queue_lock);
    (void)pthread_join(s->engine_thread, NULL);
    s->engine_runs = false;
}
