/* hub: one thread that takes the order's blocks, keeps entries of several under way in the store, and finishes them in order.
 * What it cannot go on from (a store that executed something else, a group key that it lacks, a disk that fails) stops it, with
 * an alert; the order goes on without it. */
#include "hub/opening.h"
#include "hub/parts.h"
#include <stdlib.h>

enum { IDLE_MS = 100 };

uint64_t kh_hub_clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

bool kh_hub_stops(kh_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    bool stops = h->stopping;
    (void)pthread_mutex_unlock(&h->lock);
    return stops;
}

void kh_hub_nudge(kh_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->nudged = true;
    (void)pthread_cond_broadcast(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
}

void kh_hub_sleep(kh_hub *h, uint32_t ms)
{
    uint64_t end = kh_hub_clock_ns(CLOCK_MONOTONIC) + ms * UINT64_C(1000000);
    struct timespec until = {(time_t)(end / KH_NS_PER_S), (long)(end % KH_NS_PER_S)};
    (void)pthread_mutex_lock(&h->lock);
    int rc = 0;
    while (!h->nudged && rc == 0) rc = pthread_cond_timedwait(&h->work, &h->lock, &until);
    h->nudged = false;
    (void)pthread_mutex_unlock(&h->lock);
}

void kh_hub_decided(kh_hub *h, uint64_t height)
{
    (void)height;
    kh_hub_nudge(h);
}

void kh_hub_attested(kh_hub *h, const kh_attestation *attestation)
{
    (void)attestation; /* the node tells it again when it is looked for */
    kh_hub_nudge(h);
}

uint64_t kh_hub_executed_height(kh_hub *h) { return atomic_load_explicit(&h->executed, memory_order_acquire); }

uint64_t kh_hub_spares(kh_hub *h, uint64_t height)
{
    atomic_store_explicit(&h->given_up, height, memory_order_relaxed); /* the thread comes by with its next step */
    return atomic_load_explicit(&h->spared, memory_order_acquire);     /* partner: spare */
}

/* Outputs are not synced with each block: what a power cut takes of them is executed again. A hub that catches up below what is
   given up comes by with each. */
static kh_err spare(kh_hub *h)
{
    uint64_t height = kh_min64(atomic_load_explicit(&h->given_up, memory_order_relaxed), kh_hub_executed_height(h));
    if (height <= atomic_load_explicit(&h->spared, memory_order_relaxed)) return KH_OK;
    uint64_t now = kh_hub_clock_ns(CLOCK_MONOTONIC);
    if (h->last_spare != 0 && now - h->last_spare < KH_NS_PER_S) return KH_OK;
    h->last_spare = now;
    kh_err err = kh_banks_sync(h);
    if (err == KH_OK) atomic_store_explicit(&h->spared, height, memory_order_release);
    return err;
}

/* ---- runs ---- */

static kh_err finish(kh_hub *h, kh_run *r)
{
    kh_err err = r->failed ? KH_E_CLOSED : kh_outputs_take(h, r);
    h->run_first = (h->run_first + 1) % KH_RUNS_MAX;
    h->run_cnt--;
    kh_run_free(r);
    return err;
}

kh_err kh_hub_settle(kh_hub *h, uint32_t leave)
{
    while (h->run_cnt != 0) {
        kh_run *r = h->runs[h->run_first];
        if (!atomic_load_explicit(&r->done, memory_order_acquire)) { /* partner: outcome in hub/run.c */
            if (h->run_cnt <= leave) return KH_OK;
            kh_hub_sleep(h, IDLE_MS);
            continue;
        }
        kh_err err = finish(h, r);
        if (err != KH_OK) return err;
    }
    return KH_OK;
}

/* ---- the group's keys ---- */

kh_err kh_hub_group(kh_hub *h, uint32_t epoch)
{
    const kh_hub_options *o = &h->options;
    while (epoch == 0 || epoch > o->epoch_cnt || o->groups[epoch - 1] == NULL) {
        if (epoch == 0 || o->group_wanted == NULL) return KH_E_NOT_FOUND;
        if (o->group_wanted(o->ctx, epoch)) {
            h->options.epoch_cnt = epoch > o->epoch_cnt ? epoch : o->epoch_cnt;
            continue;
        }
        kh_err err = kh_hub_settle(h, KH_RUNS_MAX);
        if (err != KH_OK) return err;
        kh_driver_answer(h);
        kh_banks_answer(h);
        if (kh_hub_stops(h)) return KH_E_CLOSED;
        kh_hub_sleep(h, IDLE_MS);
    }
    return KH_OK;
}

/* ---- where to begin ---- */

/* The newest entry's block, and whether that one is whole. */
typedef struct newest {
    uint64_t number, height;
    bool more;
} newest;

static kh_err look_at(void *ctx, const kh_journal_item *item)
{
    newest *n = ctx;
    if (item->place.height != n->number) return KH_E_EXISTS;
    if (item->is_notice || item->receipt.type != KH_OP_BLOCK) return KH_OK;
    n->height = item->receipt.amount;
    n->more = item->receipt.state == KH_BLOCK_MORE;
    return KH_E_EXISTS; /* seen enough */
}

uint64_t kh_hub_first_above(kh_hub *h, uint64_t height, uint64_t upto)
{
    uint64_t low = 0, high = upto + 1;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (kh_store_block_of(h->options.store, middle) <= height) low = middle;
        else high = middle;
    }
    return high;
}

/* Nothing was executed yet: the store must hold what the genesis says that hubs begin with; zeros: it says nothing. */
static kh_err check_beginning(kh_hub *h)
{
    static const uint8_t none[32];
    uint8_t have[32];
    if (memcmp(h->options.genesis->checkpoint, none, sizeof none) == 0) return KH_OK;
    kh_err err = kh_store_checkpoint_digest(h->options.store, have);
    if (err != KH_OK) return err;
    if (memcmp(have, h->options.genesis->checkpoint, sizeof have) != 0) return KH_E_VERSION;
    if (memcmp(h->options.genesis->opening, none, sizeof none) == 0) return KH_OK;
    if (h->options.epoch_cnt == 0 || h->options.groups[0] == NULL) return KH_E_NOT_FOUND;
    return kh_opening_check(h->options.store, h->options.genesis, h->options.group_secrets[0]);
}

/* Goes on behind the newest block whose packages are all written: what the store executed above it is taken from its journal. */
static kh_err find_start(kh_hub *h, uint64_t *ret_fed)
{
    kh_store_stats stats;
    uint64_t packed = 0;
    kh_store_get_stats(h->options.store, &stats);
    newest n = {.number = stats.height};
    kh_err err = n.number != 0 ? kh_store_journal_scan(h->options.store, n.number, look_at, &n) : KH_OK;
    if (err == KH_E_EXISTS) err = KH_OK;
    if (err == KH_OK) err = kh_differs(h);
    if (err == KH_OK) err = kh_banks_open(h, &packed);
    if (err == KH_OK) err = kh_checkpoints_open(h);
    if (err == KH_OK) err = kh_given_open(h);
    if (err != KH_OK) return err;
    uint64_t whole = n.more ? n.height - 1 : n.height;
    if (packed > whole) return KH_E_DAMAGED; /* the store is older than what was given out of it */
    if (n.height == 0) err = check_beginning(h);
    if (err != KH_OK) return err;
    if (n.height == 0) packed = kh_max64(packed, h->options.genesis->initial_height - 1);
    h->recorded = n.number;
    h->next_number =
        n.height != 0 ? kh_hub_first_above(h, kh_max64(packed, h->options.genesis->initial_height - 1), n.number) : n.number + 1;
    h->last_time = stats.time_ns;
    h->lost_upto = packed;
    *ret_fed = packed;
    atomic_store_explicit(&h->executed, packed, memory_order_release);
    kh_checkpoints_keep(h);
    return KH_OK;
}

/* ---- the thread ---- */

/* Something is due: an empty batch makes a block whose time lets it happen. */
static void tick(kh_hub *h)
{
    uint64_t now = kh_hub_clock_ns(CLOCK_MONOTONIC);
    if (h->run_cnt != 0 || now - h->last_tick < KH_NS_PER_S || !kh_driver_idle(h)) return;
    uint64_t due = kh_ledger_next_due(kh_store_read_begin(h->options.store));
    kh_store_read_end(h->options.store);
    if (h->next_number != 1 && due > kh_hub_clock_ns(CLOCK_REALTIME)) return; /* the first block brings the genesis in */
    kh_err err = kh_node_submit(h->options.node, NULL, 0, 0, false, 0);
    if (err == KH_OK) h->last_tick = now;
}

static kh_err step(kh_hub *h, uint64_t *fed)
{
    kh_kept_block *block = NULL;
    kh_err err = kh_kept_after(h->options.kept, *fed, &block);
    if (err == KH_OK) {
        uint64_t again = UINT64_MAX;
        err = kh_lost_turn(h, block, *fed, &again);
        if (err == KH_OK && again == UINT64_MAX) err = kh_feed_block(h, block);
        if (err == KH_OK) *fed = again == UINT64_MAX ? block->height : again;
        kh_kept_block_free(block);
        if (err == KH_OK) err = kh_hub_settle(h, KH_RUNS_MAX);
    } else if (err == KH_E_NOT_FOUND) {
        err = kh_hub_settle(h, KH_RUNS_MAX);
        if (err == KH_OK) tick(h);
        if (err == KH_OK) kh_hub_sleep(h, IDLE_MS);
    }
    if (err == KH_OK && h->run_cnt == 0) atomic_store_explicit(&h->executed, *fed, memory_order_release);
    kh_driver_answer(h);
    kh_banks_answer(h);
    kh_checkpoints_step(h);
    if (err == KH_OK) err = kh_given_look(h);
    if (err == KH_OK) kh_given_say_late(h);
    return err == KH_OK ? spare(h) : err;
}

static void *run(void *arg)
{
    kh_hub *h = arg;
    uint64_t fed = atomic_load_explicit(&h->executed, memory_order_relaxed);
    kh_err err = kh_given_look(h);
    h->given.late = err == KH_OK;
    kh_given_say_late(h);
    while (err == KH_OK && !kh_hub_stops(h)) err = step(h, &fed);
    /* What is under way in the store speaks to its runs until it is done. */
    while (h->run_cnt != 0) {
        kh_run *r = h->runs[h->run_first];
        while (!atomic_load_explicit(&r->done, memory_order_acquire)) kh_hub_sleep(h, 1);
        h->run_first = (h->run_first + 1) % KH_RUNS_MAX;
        h->run_cnt--;
        kh_run_free(r);
    }
    kh_driver_close(h);
    if (h->goes_back) h->options.alert(h->options.ctx, "EXECUTION_GOES_BACK", 0, fed);
    else if (err != KH_OK && !kh_hub_stops(h)) h->options.alert(h->options.ctx, "EXECUTION_STOPPED", 0, fed);
    return NULL;
}

static void chain_of(void *ctx, kh_order *order) { kh_order_chain(order, ctx); }

kh_err kh_hub_start(const kh_hub_options *options, kh_hub **ret)
{
    kh_hub *h = calloc(1, sizeof *h);
    uint64_t fed = 0;
    pthread_condattr_t monotonic; /* a wall clock that is set moves no wait */
    if (h == NULL) return KH_E_NOMEM;
    h->options = *options;
    h->suite = options->genesis->suite;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_mutex_init(&h->dropping, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->work, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    kh_driver_init(h);
    kh_node_read(options->node, chain_of, h->chain);
    h->item = malloc(sizeof *h->item);
    kh_err err = h->item != NULL ? kh_maker_new(&h->outputs.maker) : KH_E_NOMEM;
    if (err == KH_OK && !kh_store_is_driven(options->store)) err = KH_E_ARG; /* it would write entries of its own */
    if (err == KH_OK) err = find_start(h, &fed);
    kh_store_drive(options->store, kh_hub_driver(h));
    if (err == KH_OK && pthread_create(&h->thread, NULL, run, h) != 0) err = KH_E_NOMEM;
    h->runs_thread = err == KH_OK;
    if (err != KH_OK) {
        kh_hub_stop(h);
        return err;
    }
    *ret = h;
    return KH_OK;
}

void kh_hub_end(kh_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->stopping = h->nudged = true;
    (void)pthread_cond_broadcast(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
    if (h->runs_thread) (void)pthread_join(h->thread, NULL);
    h->runs_thread = false;
}

void kh_hub_stop(kh_hub *h)
{
    if (h == NULL) return;
    kh_hub_end(h);
    kh_store_drive(h->options.store, NULL);
    kh_checkpoints_close(h);
    kh_banks_close(h);
    kh_maker_free(h->outputs.maker);
    free(h->outputs.parties);
    free(h->lost);
    free(h->item);
    (void)pthread_cond_destroy(&h->driver.changed);
    (void)pthread_cond_destroy(&h->work);
    (void)pthread_mutex_destroy(&h->dropping);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}
