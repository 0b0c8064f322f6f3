/* store: opening and closing a data directory, and reading the live state. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "store/parts.h"

#define MAP_TAIL_MAX_SZ (UINT64_C(1) << 20) /* about 8,000 operations: a longer tail is faster on memory of one's own */
#define GROW_TAIL_SZ (UINT64_C(4) << 20)    /* a tail that is worth a thread which makes memory ready */
#define FORGET_TAIL_SZ (UINT64_C(64) << 20) /* a tail whose rows are worth more than the image in the file cache */
#define CLOSE_IMAGE_TAIL_SZ (UINT64_C(1) << 20)

kh_err kh_store_create(const kh_store_options *options, const char *dir, const uint8_t *secret, kh_store_report *report)
{
    kh_home home;
    char path[KH_PATH_MAX];
    if (report != NULL) memset(report, 0, sizeof *report);
    kh_err err = kh_home_make(options, dir, secret, report, &home);
    if (err != KH_OK) return err;
    err = kh_log_create(home.disk, kh_home_path(&home, "log", path));
    if (err != KH_OK) kh_say(report, dir, "cannot be made a data directory: %s", kh_err_text(err));
    return err == KH_OK ? kh_home_seal(&home, report) : err;
}

/* A reader takes the word as it is where that is of this boot and not below the images; else somebody must recover the log first.
 */
static kh_err reader_upto(kh_store *s, const char *dir, uint64_t *ret_upto, kh_store_report *report)
{
    bool recovered = false;
    uint64_t began = s->options.clock->monotonic(s->options.clock->self), image = 0;
    for (;;) {
        uint32_t n = 0;
        kh_err err = kh_image_heights(&s->home, &image, 1, &n);
        if (err != KH_OK) return err;
        if (kh_head_open(&s->home, true, &s->head) == KH_OK && kh_head_known(&s->head, ret_upto) &&
            (n == 0 || *ret_upto >= image))
            return KH_OK;
        kh_head_close(&s->head);
        /* this machine tells no boot id, or this user may write nothing: the log itself says how far it goes */
        if (recovered || kh_lock_is_closed(&s->home)) {
            *ret_upto = UINT64_MAX;
            return KH_OK;
        }
        kh_store_options writer = s->options;
        kh_store *recovering = NULL;
        writer.read_only = writer.long_running = false;
        writer.inline_engine = writer.accept_time = true;
        writer.wait_lock_ms = 0;
        err = kh_store_open(&writer, dir, report, &recovering);
        kh_store_close(recovering);
        recovered = err == KH_OK;
        uint64_t waited = s->options.clock->monotonic(s->options.clock->self) - began;
        if (err == KH_E_BUSY &&
            waited / 1000000 < s->options.wait_lock_ms) { /* a writer is just starting: it will set the word */
            struct timespec nap = {0, 5000000};
            (void)nanosleep(&nap, NULL);
            if (report != NULL) report->why[0] = '\0';
        } else if (err != KH_OK) return err;
    }
}

static const kh_sink *before(void *ctx, const kh_entry *entry) { return kh_engine_replay_sink(ctx, entry); }
static kh_err after(void *ctx, const kh_entry *entry) { return kh_engine_replayed(ctx, entry); }

/* Log, image, journals, tail: the state at height `upto`. */
static kh_err rebuild(kh_store *s, uint64_t upto, kh_store_report *report)
{
    kh_image_stand stand;
    uint64_t listed, bytes = 0, ops = 0;
    uint8_t chain[32];
    char path[KH_PATH_MAX];
    kh_err err = kh_journal_open(&s->journal, &s->home, s->options.read_only, report);
    if (err != KH_OK) return err;
    s->journal_open = true;
    err = kh_journal_length(&s->journal, &listed);
    if (err == KH_OK && listed < s->home.start.number) {
        kh_say(report, kh_home_path(&s->home, "journal/table", path),
               "the journals end at height %llu; this directory begins behind %llu, and nothing makes those before it anew",
               (unsigned long long)listed, (unsigned long long)s->home.start.number);
        err = KH_E_DAMAGED;
    }
    bool map = !s->options.long_running;
    for (uint64_t max = kh_min64(upto, listed); err == KH_OK;) {
        err = kh_replay_base(&s->home, max, map, &s->machine, &stand, &bytes, report);
        if (err != KH_OK) return err;
        if (map && stand.height != 0 && kh_log_bytes_since(s->log, stand.height) > MAP_TAIL_MAX_SZ) {
            kh_machine_release(&s->machine);
            map = false;
            continue;
        }
        /* The journals must reach the image with the outcomes that it stands for; else they are made anew from before it. */
        err = kh_journal_chain_at(&s->journal, stand.height, chain);
        if (err == KH_OK && (stand.height == 0 || memcmp(chain, stand.chain, 32) == 0)) break;
        if (err != KH_OK && err != KH_E_DAMAGED) return err;
        err = KH_OK;
        max = stand.height - 1;
        kh_machine_release(&s->machine);
    }
    if (err != KH_OK) return err;
    err = kh_journal_recover(&s->journal, stand.height, upto, !s->same_boot, stand.chain);
    if (err != KH_OK) return err;
    if (report != NULL) report->image_height = stand.height;
    atomic_store(&s->image_at, stand.height);
    atomic_store(&s->image_bytes, bytes);
    if (s->options.read_only || s->options.inline_engine)
        kh_index_reclaim_none(s->machine.index); /* no reader stands beside an applier */
    const kh_replay_each each = {before, after, s};
    kh_replay_growth growth = {0};
    uint64_t tail_sz = s->log != NULL ? kh_log_bytes_since(s->log, stand.height) : 0;
    /* What the tail adds needs memory, and this machine has just used that of the image's pages: on a virtual machine, other
     * memory is got from its host at a tenth of the speed. */
    if (!map && s->options.long_running && !s->options.private_disk && tail_sz >= FORGET_TAIL_SZ && stand.height != 0)
        kh_image_forget(&s->home, stand.height);
    if (!map && !s->options.private_disk && tail_sz >= GROW_TAIL_SZ) kh_replay_grow(&growth, &s->machine);
    err = kh_replay_tail(s->log, &s->machine, &stand, upto, &each, &ops, report);
    kh_replay_grown(&growth);
    if (report != NULL) report->tail_ops = ops;
    memcpy(s->log_digest, stand.log_digest, 32);
    s->last_time = s->last_tick = stand.time_ns;
    s->marked_height = stand.height;
    atomic_store(&s->applied, stand.height);
    atomic_store(&s->applied_time, stand.time_ns);
    if (s->log != NULL) atomic_store(&s->log_bytes, kh_log_bytes_since(s->log, 0));
    /* Journals made anew below an image must be as durable as the image that says they are there. */
    uint64_t newest = 0;
    uint32_t n = 0;
    if (err == KH_OK && !s->options.read_only) err = kh_image_heights(&s->home, &newest, 1, &n);
    if (err == KH_OK && n != 0 && newest > s->journal.base) {
        err = kh_journal_flush(&s->journal, upto);
        if (err == KH_OK) err = kh_journal_sync(&s->journal);
    }
    return err == KH_OK ? kh_driven_open(s) : err;
}

static kh_err open_log(kh_store *s, uint64_t floor, bool cuts, kh_store_report *report, uint64_t *ret_height)
{
    kh_log_open_report r = {.durable_floor = floor, .cuts = cuts, .reads_ahead = !s->home.private_disk};
    kh_err err = kh_home_log(&s->home, s->options.read_only, &r, report, &s->log);
    if (err != KH_OK) return err;
    if (report != NULL) report->cut_bytes = r.cut_bytes;
    s->last_time = r.time_ns;
    *ret_height = r.height;
    return KH_OK;
}

static kh_err open_writer(kh_store *s, kh_store_report *report)
{
    uint64_t floor = 0, height = 0, now, number = 0;
    bool back = false;
    kh_err err = kh_lock_take(&s->home, s->options.wait_lock_ms, report, &s->lock);
    if (err != KH_OK) return err;
    s->locked = true;
    err = kh_head_open(&s->home, false, &s->head);
    s->same_boot = err == KH_OK && kh_head_known(&s->head, &floor);
    if (!s->same_boot) floor = 0;
    if (err == KH_OK) err = kh_back_begin(&s->home, &back, &number);
    if (back) {
        kh_head_forget(&s->head);
        s->same_boot = false;
        floor = number;
    }
    if (err == KH_OK) err = open_log(s, floor, back, report, &height);
    if (err != KH_OK) return err;
    kh_image_clean(&s->home);
    err = rebuild(s, height, report);
    if (err == KH_OK && back) err = kh_journal_sync(&s->journal);
    if (err == KH_OK && back) err = kh_back_end(&s->home);
    if (err != KH_OK) return err;
    kh_head_start(&s->head, height);
    atomic_store(&s->clock_last, s->last_time);
    err = kh_engine_clock(s, &now);
    if (err == KH_E_CLOCK) {
        uint64_t clock_ns, last_ns;
        kh_store_clock_report(s, &clock_ns, &last_ns);
        if (report != NULL) report->clock_ns = clock_ns, report->last_ns = last_ns;
        kh_say(report, NULL, "the clock and the newest entry's time are too far apart; --accept-time goes on all the same");
    }
    if (err != KH_OK || s->options.inline_engine) return err;
    err = kh_journal_start_thread(&s->journal);
    if (err == KH_OK) err = kh_checkpoint_start(s);
    if (err == KH_OK) err = kh_engine_start(s);
    return err;
}

/* Where the word was not known and is by now, a writer began meanwhile, and the log has more than is durable: then once more. */
static bool writer_came(const kh_store *s)
{
    kh_head head;
    uint64_t upto;
    bool known = kh_head_open(&s->home, true, &head) == KH_OK && kh_head_known(&head, &upto);
    kh_head_close(&head);
    return known;
}

static kh_err open_reader(kh_store *s, const char *dir, kh_store_report *report)
{
    for (;;) {
        uint64_t upto = 0, height = 0;
        kh_err err = reader_upto(s, dir, &upto, report);
        s->same_boot = upto != UINT64_MAX;
        /* The floor of 0 would mean "unknown", and a log without an entry has nothing to read. */
        if (err == KH_OK && upto != 0) err = open_log(s, upto == UINT64_MAX ? 0 : upto, false, report, &height);
        if (err != KH_OK) return err;
        if (upto != UINT64_MAX || !writer_came(s)) return rebuild(s, kh_min64(height, upto), report);
        kh_log_close(s->log);
        s->log = NULL;
    }
}

kh_err kh_store_open(const kh_store_options *options, const char *dir, kh_store_report *report, kh_store **ret)
{
    kh_store_report own;
    if (report == NULL) report = &own;
    memset(report, 0, sizeof *report);
    kh_store *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->options = *options;
    s->keep.all = options->driven;
    s->lock.fd = -1;
    s->head.file = &s->head.own;
    pthread_rwlockattr_t attr;
    (void)pthread_rwlockattr_init(&attr);
    (void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&s->gate, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    (void)pthread_mutex_init(&s->queue_lock, NULL);
    (void)pthread_mutex_init(&s->side_lock, NULL);
    pthread_condattr_t monotonic; /* kh_store_until */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->work, &monotonic);
    (void)pthread_cond_init(&s->side_work, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_cond_init(&s->done, NULL);
    (void)pthread_cond_init(&s->side_done, NULL);
    s->first_answer = malloc(sizeof *s->first_answer);
    (void)pthread_mutex_init(&s->blocks.lock, NULL);
    kh_err err = s->first_answer != NULL ? kh_home_load(options, dir, report, &s->home) : KH_E_NOMEM;
    if (err == KH_OK) err = options->read_only ? open_reader(s, dir, report) : open_writer(s, report);
    if (err != KH_OK) {
        kh_say(report, dir, "%s", kh_err_text(err));
        s->stop_err = err;
        kh_store_close(s);
        return err;
    }
    *ret = s;
    return KH_OK;
}

kh_err kh_store_announce(kh_store *s, const char *url) { return kh_lock_announce(&s->lock, url); }

void kh_store_close(kh_store *s)
{
    if (s == NULL) return;
    bool sound = s->stop_err == KH_OK && !s->options.read_only;
    if (sound || s->engine_runs) kh_engine_finish(s);
    if (s->checkpoint_runs || s->reclaim_runs) kh_checkpoint_finish(s);
    if (sound && s->stop_err == KH_OK) {
        /* What fails here is only slower next time: the log has everything. */
        bool image = s->options.long_running && kh_log_bytes_since(s->log, atomic_load(&s->image_at)) > CLOSE_IMAGE_TAIL_SZ;
        kh_err err = image ? kh_checkpoint_own(s) : kh_journal_flush(&s->journal, kh_ledger_height(s->machine.ledger));
        (void)err;
    }
    if (s->log != NULL) kh_log_close(s->log);
    if (s->block != NULL) kh_block_free(s->block);
    if (s->journal_open) kh_journal_close(&s->journal);
    kh_machine_release(&s->machine);
    kh_head_close(&s->head);
    if (s->locked) kh_lock_drop(&s->lock);
    kh_queue_free(s);
    free(s->first_answer);
    (void)pthread_mutex_destroy(&s->blocks.lock);
    (void)pthread_cond_destroy(&s->side_done);
    (void)pthread_cond_destroy(&s->side_work);
    (void)pthread_cond_destroy(&s->done);
    (void)pthread_cond_destroy(&s->work);
    (void)pthread_mutex_destroy(&s->side_lock);
    (void)pthread_mutex_destroy(&s->queue_lock);
    (void)pthread_rwlock_destroy(&s->gate);
    free(s);
}

const kh_ledger *kh_store_read_begin(kh_store *s)
{
    (void)pthread_rwlock_rdlock(&s->gate);
    return s->machine.ledger;
}

const kh_ledger *kh_store_read_try(kh_store *s) { return pthread_rwlock_tryrdlock(&s->gate) == 0 ? s->machine.ledger : NULL; }

void kh_store_read_end(kh_store *s) { (void)pthread_rwlock_unlock(&s->gate); }

const kh_ledger *kh_store_ledger(const kh_store *s) { return s->machine.ledger; }

kh_err kh_store_journal_read(kh_store *s, kh_place place, kh_journal_item *ret)
{
    kh_err err = kh_journal_read(&s->journal, place, ret);
    if (err == KH_OK && !ret->is_notice) ret->receipt.lines = ret->lines;
    return err;
}

kh_place kh_store_journal_prev(const kh_journal_item *item, uint8_t what, const kh_key *key)
{
    for (uint32_t i = 0; i < item->touch_cnt; i++)
        if (item->touches[i].what == what && kh_key_equal(&item->touches[i].key, key)) return item->touches[i].prev;
    return (kh_place){0, 0, 0};
}

kh_err kh_store_journal_scan(kh_store *s, uint64_t from_height, kh_err (*each)(void *ctx, const kh_journal_item *item), void *ctx)
{
    /* The entry that is being applied may have answered somebody, who finds its outcome here. */
    (void)kh_store_read_begin(s);
    uint64_t upto = atomic_load_explicit(&s->applied, memory_order_acquire);
    kh_store_read_end(s);
    return kh_journal_scan(&s->journal, from_height, upto, each, ctx);
}

uint64_t kh_store_durable_upto(const kh_store *s)
{
    return s->options.read_only || s->log == NULL ? atomic_load_explicit(&s->applied, memory_order_acquire)
                                                  : kh_log_durable_upto(s->log);
}

void kh_store_get_stats(kh_store *s, kh_store_stats *ret)
{
    (void)pthread_mutex_lock(&s->journal.lock);
    uint64_t journal = s->journal.end;
    (void)pthread_mutex_unlock(&s->journal.lock);
    (void)pthread_mutex_lock(&s->queue_lock);
    uint64_t queue = s->waiting_sz;
    (void)pthread_mutex_unlock(&s->queue_lock);
    *ret = (kh_store_stats){.height = atomic_load(&s->applied),
                            .time_ns = atomic_load(&s->applied_time),
                            .log_bytes = atomic_load(&s->log_bytes),
                            .journal_bytes = journal,
                            .image_height = atomic_load(&s->image_at),
                            .image_bytes = atomic_load(&s->image_bytes),
                            .queue_bytes = queue,
                            .unprepared_bytes = kh_machine_prepare_left(&s->machine)};
}

kh_err kh_store_condition(kh_store *s)
{
    (void)pthread_mutex_lock(&s->queue_lock);
    kh_err err = s->stop_err;
    (void)pthread_mutex_unlock(&s->queue_lock);
    return err;
}
