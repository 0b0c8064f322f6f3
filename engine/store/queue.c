/* queue: batches that wait, already laid together as the bodies of the entries to come. */
#include <stdlib.h>
#include "log/envelope.h"
#include "store/parts.h"

#define FRAME_MIN_SZ 24u
#define TYPE_AT 4u
#define ENTRY_SZ (256u << 10) /* beside others: an entry keeps readers of the settled state out while it is applied */
#define SPARES_MAX_SZ (8u << 20)
#define INLINE_QUEUE_SZ (8u << 20) /* inline: submit waits for the disk beyond this */

/* Whole frames: else one batch could make the next one's operations unreadable. */
bool kh_queue_frames(const uint8_t *p, size_t n, uint32_t cnt, bool outside)
{
    size_t at = 0;
    uint32_t found = 0;
    while (at < n) {
        if (n - at < FRAME_MIN_SZ) return false;
        uint32_t size = kh_load32(p + at);
        if (size < FRAME_MIN_SZ || size % 8 != 0 || size > KH_OP_MAX_SZ || size > n - at) return false;
        if (outside && kh_op_of_execution(p[at + TYPE_AT])) return false;
        at += size;
        found++;
    }
    return found == cnt;
}

static size_t entry_sz(const kh_store *s) { return s->options.inline_engine ? KH_GATHER_SZ : ENTRY_SZ; }

kh_gather *kh_queue_gather(kh_store *s, size_t n, bool alone)
{
    kh_gather *g = s->waiting_last;
    if (g != NULL && !alone && !g->executes && g->cap - g->size >= n && g->size + n <= kh_max64(n, entry_sz(s))) return g;
    g = n <= entry_sz(s) ? s->spare : NULL;
    if (g != NULL) {
        s->spare = g->next;
        s->spare_cnt--;
    } else {
        g = calloc(1, sizeof *g);
        if (g == NULL) return NULL;
        g->cap = n < 4096 && s->options.inline_engine ? 65536 : kh_max64(n, entry_sz(s));
        if ((g->bytes = malloc(g->cap)) == NULL) {
            free(g);
            return NULL;
        }
    }
    g->next = NULL;
    g->executes = alone;
    if (s->waiting_last != NULL) s->waiting_last->next = g;
    else s->waiting = g;
    s->waiting_last = g;
    return g;
}

static kh_gather *gather_for(kh_store *s, size_t n)
{
    kh_gather *g = kh_queue_gather(s, n, false);
    if (g != NULL && g->batch_cnt == g->batch_cap) {
        uint32_t cap = g->batch_cap != 0 ? g->batch_cap * 2 : 16;
        kh_batch_ref *p = realloc(g->batches, cap * sizeof *p);
        if (p == NULL) return NULL;
        g->batches = p;
        g->batch_cap = cap;
    }
    return g;
}

static kh_err clock_looks_right(kh_store *s)
{
    uint64_t last = atomic_load_explicit(&s->clock_last, memory_order_relaxed),
             step = atomic_load_explicit(&s->clock_step, memory_order_relaxed);
    if (s->options.accept_time || last == 0) return KH_OK;
    uint64_t now = s->options.clock->now(s->options.clock->self);
    if (now + 600 * KH_NS_PER_S < last || (step != 0 && now > last && now - last > step)) return KH_E_CLOCK;
    return KH_OK;
}

bool kh_queue_full(const kh_store *s, size_t more)
{
    return s->waiting_sz + more > KH_STORE_QUEUE_SZ && s->stop_err == KH_OK && !s->options.inline_engine;
}

/* A party's signed bundle is passed on as it is; whoever executes it judges it. */
static bool bundle_sound(const kh_store_batch *batch)
{
    kh_section section;
    size_t at = 0;
    return kh_section_next(batch->ops, batch->ops_sz, &at, &section) == KH_OK && at == batch->ops_sz &&
           section.kind == KH_SECTION_SIGNED && kh_queue_frames(section.frames, section.frames_sz, batch->op_cnt, true);
}

typedef enum patience { WAITS_FOR_ROOM, WAITS_FOR_A_LOCK, WAITS_FOR_NOBODY } patience;

static kh_err submit(kh_store *s, const kh_store_batch *batch, patience how, uint64_t *ret_ticket)
{
    const kh_store_driver *driver = atomic_load_explicit(&s->driver, memory_order_acquire); /* partner: kh_store_drive */
    bool sound = batch->signed_section ? driver != NULL && bundle_sound(batch)
                                       : kh_queue_frames(batch->ops, batch->ops_sz, batch->op_cnt, true);
    if ((s->options.read_only && driver == NULL) || batch->op_cnt == 0 || batch->ops_sz > KH_ENTRY_MAX_SZ / 2 || !sound)
        return KH_E_ARG;
    if (how == WAITS_FOR_NOBODY && (driver != NULL || s->options.inline_engine)) return KH_E_AGAIN;
    if (driver != NULL) return driver->submit(driver->self, batch, how == WAITS_FOR_ROOM, ret_ticket);
    if (s->options.driven || kh_store_last_block(s) != 0) return KH_E_CLOSED; /* the cluster's order alone writes here */
    kh_err err = clock_looks_right(s);
    if (err != KH_OK) return err;
    if (how != WAITS_FOR_NOBODY) (void)pthread_mutex_lock(&s->queue_lock);
    else if (pthread_mutex_trylock(&s->queue_lock) != 0) return KH_E_AGAIN;
    while (kh_queue_full(s, batch->ops_sz) && how == WAITS_FOR_ROOM) (void)pthread_cond_wait(&s->done, &s->queue_lock);
    err = kh_queue_full(s, batch->ops_sz) ? KH_E_AGAIN : s->stop_err;
    kh_gather *g = err == KH_OK ? gather_for(s, batch->ops_sz) : NULL;
    if (err == KH_OK && g == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) {
        g->batches[g->batch_cnt++] = (kh_batch_ref){g->op_cnt, batch->op_cnt, batch->reply, batch->ctx};
        memcpy(g->bytes + g->size, batch->ops, batch->ops_sz);
        g->size += batch->ops_sz;
        g->op_cnt += batch->op_cnt;
        s->waiting_sz += batch->ops_sz;
        *ret_ticket = g->ticket = ++s->next_ticket;
        if (s->engine_sleeps) (void)pthread_cond_signal(&s->work);
    }
    bool pump = err == KH_OK && s->options.inline_engine && s->waiting->size + 4096 >= KH_GATHER_SZ / 2;
    (void)pthread_mutex_unlock(&s->queue_lock);
    /* Inline: what is full goes to the disk while the caller makes the next; what fails here is told by wait. */
    while (pump) {
        kh_engine_stop_with(s, kh_engine_pump(s, false, s->waiting_sz > INLINE_QUEUE_SZ ? KH_NS_PER_S : 0));
        pump = s->stop_err == KH_OK && s->waiting_sz > INLINE_QUEUE_SZ && s->flying != NULL;
    }
    return err;
}

kh_err kh_store_submit(kh_store *s, const kh_store_batch *batch, uint64_t *ret_ticket)
{
    return submit(s, batch, WAITS_FOR_ROOM, ret_ticket);
}

kh_err kh_store_try_submit(kh_store *s, const kh_store_batch *batch, uint64_t *ret_ticket)
{
    return submit(s, batch, WAITS_FOR_A_LOCK, ret_ticket);
}

kh_err kh_store_offer(kh_store *s, const kh_store_batch *batch)
{
    uint64_t ticket;
    return submit(s, batch, WAITS_FOR_NOBODY, &ticket);
}

/* How small an entry may be: the more are in flight, the longer it gathers. The second goes while the first is being written,
 * since a disk makes several writes durable in the time of one; each costs the processor as much as a hundred operations, though.
 */
static size_t least_size(uint32_t in_flight)
{
    if (in_flight == 0) return 1;
    if (in_flight < 4) return (size_t)(4u << 10) << in_flight;
    if (in_flight < 12) return 64u << 10;
    return ENTRY_SZ / 2;
}

kh_gather *kh_queue_take(kh_store *s, uint32_t in_flight, bool flush)
{
    size_t least = flush ? 1 : s->options.inline_engine ? KH_GATHER_SZ / 2 - 4096 : least_size(in_flight);
    (void)pthread_mutex_lock(&s->queue_lock);
    kh_gather *g = s->waiting;
    if (g != NULL && (g->size >= least || g->next != NULL || g->executes)) {
        s->waiting = g->next;
        if (s->waiting == NULL) s->waiting_last = NULL;
        g->next = NULL;
    } else g = NULL;
    (void)pthread_mutex_unlock(&s->queue_lock);
    return g;
}

void kh_queue_recycle(kh_store *s, kh_gather *g, bool done)
{
    (void)pthread_mutex_lock(&s->queue_lock);
    s->waiting_sz -= g->size;
    if (done) s->done_ticket = g->ticket;
    g->size = g->op_cnt = g->batch_cnt = g->told = 0;
    bool keep = (s->spare_cnt + 1) * g->cap <= SPARES_MAX_SZ && g->cap == entry_sz(s);
    if (keep) {
        g->next = s->spare;
        s->spare = g;
        s->spare_cnt++;
    }
    (void)pthread_cond_broadcast(&s->done);
    (void)pthread_mutex_unlock(&s->queue_lock);
    if (keep) return;
    free(g->bytes);
    free(g->batches);
    free(g);
}

void kh_queue_free(kh_store *s)
{
    kh_gather *lists[3] = {s->waiting, s->flying, s->spare};
    for (uint32_t i = 0; i < 3; i++)
        for (kh_gather *g = lists[i], *next; g != NULL; g = next) {
            next = g->next;
            free(g->bytes);
            free(g->batches);
            free(g);
        }
    s->waiting = s->waiting_last = s->flying = s->flying_last = s->spare = NULL;
}

kh_err kh_store_wait(kh_store *s, uint64_t ticket)
{
    kh_err err = KH_OK;
    const kh_store_driver *driver = atomic_load_explicit(&s->driver, memory_order_acquire); /* partner: kh_store_drive */
    if (driver != NULL) return driver->wait(driver->self, ticket);
    (void)pthread_mutex_lock(&s->queue_lock);
    if (ticket > s->next_ticket) err = KH_E_ARG;
    while (err == KH_OK && s->done_ticket < ticket) {
        if (s->stop_err != KH_OK && s->told) {
            err = s->stop_err;
            break;
        }
        if (!s->options.inline_engine) {
            (void)pthread_cond_wait(&s->done, &s->queue_lock);
            continue;
        }
        (void)pthread_mutex_unlock(&s->queue_lock);
        kh_engine_stop_with(s, kh_engine_pump(s, true, KH_NS_PER_S));
        (void)pthread_mutex_lock(&s->queue_lock);
    }
    (void)pthread_mutex_unlock(&s->queue_lock);
    return err;
}
