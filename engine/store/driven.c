/* driven: a store whose order comes from elsewhere: entries that are executed as decided, and the heights that a cluster knows
 * them by. Each executed entry begins with its KH_OP_BLOCK; from the first such entry on every entry has one. */
#include <stdlib.h>
#include "store/parts.h"

void kh_store_drive(kh_store *s, const kh_store_driver *driver)
{
    if (driver != NULL) {
        /* What fails here stops the engine at its next entry. */
        kh_err err = kh_journal_flush(&s->journal, atomic_load_explicit(&s->applied, memory_order_acquire));
        (void)err;
        kh_journal_chain(&s->journal, s->chain);
    }
    atomic_store_explicit(&s->driver, driver, memory_order_release); /* partners: submit, kh_store_wait */
}

uint32_t kh_store_party(const kh_store *s)
{
    const kh_store_driver *driver = atomic_load_explicit(&s->driver, memory_order_acquire);
    return driver != NULL ? driver->party : 0;
}

bool kh_store_is_driven(const kh_store *s)
{
    return s->options.driven || atomic_load_explicit(&s->driver, memory_order_acquire) != NULL;
}

kh_err kh_store_execute(kh_store *s, const kh_store_execution *x)
{
    if (s->options.read_only || !kh_store_is_driven(s) || x->ops_sz > KH_ENTRY_MAX_SZ || x->outcome == NULL ||
        !kh_queue_frames(x->ops, x->ops_sz, x->op_cnt, false))
        return KH_E_ARG;
    (void)pthread_mutex_lock(&s->queue_lock);
    while (kh_queue_full(s, x->ops_sz)) (void)pthread_cond_wait(&s->done, &s->queue_lock);
    kh_err err = s->stop_err;
    uint64_t last = kh_max64(s->execute_time, atomic_load_explicit(&s->clock_last, memory_order_relaxed));
    if (err == KH_OK && x->time_ns < last) err = KH_E_ARG;
    kh_gather *g = err == KH_OK ? kh_queue_gather(s, x->ops_sz, true) : NULL;
    if (err == KH_OK && g == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) {
        if (x->ops_sz != 0) memcpy(g->bytes, x->ops, x->ops_sz);
        g->size = x->ops_sz;
        g->op_cnt = x->op_cnt;
        g->time_ns = s->execute_time = x->time_ns;
        g->outcome = x->outcome;
        g->ctx = x->ctx;
        s->waiting_sz += x->ops_sz;
        if (s->engine_sleeps) (void)pthread_cond_signal(&s->work);
    }
    (void)pthread_mutex_unlock(&s->queue_lock);
    while (err == KH_OK && s->options.inline_engine && (s->waiting != NULL || s->flying != NULL)) {
        err = kh_engine_pump(s, true, KH_NS_PER_S);
        kh_engine_stop_with(s, err);
    }
    return err;
}

/* ---- heights ---- */

static void remember(kh_blocks *b, uint64_t number, uint64_t height)
{
    (void)pthread_mutex_lock(&b->lock);
    b->cached[number % KH_BLOCKS_CACHED].number = number;
    b->cached[number % KH_BLOCKS_CACHED].height = height;
    (void)pthread_mutex_unlock(&b->lock);
}

void kh_driven_block(kh_store *s, uint64_t number, uint64_t height)
{
    kh_blocks *b = &s->blocks;
    remember(b, number, height);
    atomic_store_explicit(&b->last, height, memory_order_release);
    if (atomic_load_explicit(&b->first, memory_order_relaxed) == 0)
        atomic_store_explicit(&b->first, number, memory_order_release);
}

/* The height that an entry's first operation names; 0: it names none. In front of that one's receipt stand only notices of what
 * was due before it, which may be many. */
static kh_err named(kh_store *s, uint64_t number, uint64_t *ret)
{
    uint32_t cnt = 0, low = 0;
    kh_err err = kh_journal_count(&s->journal, number, &cnt);
    kh_journal_item *item = err == KH_OK ? malloc(sizeof *item) : NULL;
    if (item == NULL) return err != KH_OK ? err : KH_E_NOMEM;
    *ret = 0;
    for (uint32_t high = cnt, at = 0; low < high && err == KH_OK; at = low + (high - low) / 2) {
        err = kh_journal_read(&s->journal, (kh_place){number, at, 0}, item);
        if (err != KH_OK) break;
        if (item->is_notice && item->op_index == 0) low = at + 1;
        else high = at;
    }
    if (err == KH_OK && low < cnt) err = kh_journal_read(&s->journal, (kh_place){number, low, 0}, item);
    if (err == KH_OK && low < cnt && !item->is_notice && item->op_index == 0 && item->receipt.type == KH_OP_BLOCK)
        *ret = item->receipt.amount;
    free(item);
    return err;
}

kh_err kh_driven_open(kh_store *s)
{
    uint64_t high = atomic_load_explicit(&s->applied, memory_order_relaxed), low = 0, height = 0;
    if (high == 0) return KH_OK;
    kh_err err = named(s, high, &height);
    if (err != KH_OK || height == 0) return err;
    atomic_store_explicit(&s->blocks.last, height, memory_order_release);
    while (high - low > 1 && err == KH_OK) { /* low has none, or is 0; high has one */
        uint64_t middle = low + (high - low) / 2;
        err = named(s, middle, &height);
        if (height != 0) high = middle;
        else low = middle;
    }
    atomic_store_explicit(&s->blocks.first, high, memory_order_release);
    return err;
}

uint64_t kh_store_block_of(kh_store *s, uint64_t number)
{
    kh_blocks *b = &s->blocks;
    uint64_t first = atomic_load_explicit(&b->first, memory_order_acquire), height = 0;
    if (first == 0 || number < first) return number;
    (void)pthread_mutex_lock(&b->lock);
    if (b->cached[number % KH_BLOCKS_CACHED].number == number) height = b->cached[number % KH_BLOCKS_CACHED].height;
    (void)pthread_mutex_unlock(&b->lock);
    if (height != 0) return height;
    if (named(s, number, &height) != KH_OK || height == 0) return number;
    remember(b, number, height);
    return height;
}

kh_err kh_store_chain_at(kh_store *s, uint64_t number, uint8_t ret[32])
{
    if (number == 0 || number > atomic_load_explicit(&s->applied, memory_order_acquire)) return KH_E_NOT_FOUND;
    kh_err err = kh_journal_flush(&s->journal, number);
    return err == KH_OK ? kh_journal_chain_at(&s->journal, number, ret) : err;
}

uint64_t kh_store_last_block(kh_store *s) { return atomic_load_explicit(&s->blocks.last, memory_order_acquire); }
