/* wal_pipe: entries for a replay, read and checked by a thread of its own while the caller applies those before. */
#include "log/wal.h"
#include <pthread.h>
#include <stdlib.h>

#define BATCH_CNT 4u
#define BATCH_SZ (UINT32_C(2) << 20)
#define BATCH_ENTRIES 64u

typedef struct batch {
    uint8_t *bytes;
    size_t size, cap;
    uint32_t n;
    kh_entry entries[BATCH_ENTRIES];
} batch;

typedef struct pipe {
    kh_wal_walk *walk;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t filled, emptied; /* batches; under the lock. Those between belong to the caller, the others to the thread */
    bool ended, stop;
    kh_err err; /* of the thread, behind all that it filled */
    batch batches[BATCH_CNT];
} pipe;

static kh_err take_in(batch *b, const kh_entry *entry)
{
    if (b->size + entry->body_sz > b->cap) { /* the first of a batch, and larger than any before */
        KH_ASSERT(b->n == 0);
        size_t cap = (size_t)kh_max64(entry->body_sz, BATCH_SZ);
        uint8_t *bytes = malloc(cap);
        if (bytes == NULL) return KH_E_NOMEM;
        free(b->bytes);
        b->bytes = bytes;
        b->cap = cap;
    }
    kh_entry *own = &b->entries[b->n++];
    *own = *entry;
    own->body = b->bytes + b->size;
    if (entry->body_sz != 0) memcpy(b->bytes + b->size, entry->body, entry->body_sz);
    b->size += (entry->body_sz + 63u) & ~63u;
    return KH_OK;
}

static bool has_room(const batch *b, const kh_entry *entry)
{
    return b->n == 0 || (b->n < BATCH_ENTRIES && b->size + entry->body_sz <= b->cap);
}

/* A batch to fill, or NULL: the caller wants no more. */
static batch *wait_for_room(pipe *p)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->filled - p->emptied == BATCH_CNT && !p->stop) (void)pthread_cond_wait(&p->moved, &p->lock);
    batch *b = p->stop ? NULL : &p->batches[p->filled % BATCH_CNT];
    (void)pthread_mutex_unlock(&p->lock);
    if (b != NULL) b->n = 0, b->size = 0;
    return b;
}

static void hand_over(pipe *p, bool ended, kh_err err)
{
    (void)pthread_mutex_lock(&p->lock);
    p->filled++;
    p->ended = ended;
    p->err = err;
    (void)pthread_cond_signal(&p->moved);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *fill(void *arg)
{
    pipe *p = arg;
    kh_entry entry;
    bool ended = false, held = false; /* held: read, and not yet in a batch */
    kh_err err = KH_OK;
    for (batch *b; !ended && (b = wait_for_room(p)) != NULL; hand_over(p, ended, err))
        while (!ended) {
            if (!held) err = kh_wal_walk_next(p->walk, &entry, &ended);
            held = err == KH_OK && !ended;
            if (held && !has_room(b, &entry)) break; /* its body stays in the walk's window until the next step */
            if (held) err = take_in(b, &entry), held = false;
            ended = ended || err != KH_OK;
        }
    return NULL;
}

static const batch *wait_for_batch(pipe *p, bool *ret_last, kh_err *ret_err)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->filled == p->emptied) (void)pthread_cond_wait(&p->moved, &p->lock);
    *ret_last = p->ended && p->emptied + 1 == p->filled;
    *ret_err = *ret_last ? p->err : KH_OK;
    (void)pthread_mutex_unlock(&p->lock);
    return &p->batches[p->emptied % BATCH_CNT];
}

static void give_back(pipe *p, bool stop)
{
    (void)pthread_mutex_lock(&p->lock);
    p->emptied++;
    p->stop = stop;
    (void)pthread_cond_signal(&p->moved);
    (void)pthread_mutex_unlock(&p->lock);
}

kh_err kh_wal_pipe(kh_wal_walk *walk, kh_err (*each)(void *ctx, const kh_entry *entry), void *ctx)
{
    pthread_t thread;
    pipe *p = calloc(1, sizeof *p);
    if (p == NULL) return KH_E_NOMEM;
    p->walk = walk;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->moved, NULL);
    kh_err err = pthread_create(&thread, NULL, fill, p) == 0 ? KH_OK : KH_E_NOMEM;
    bool runs = err == KH_OK, last = false;
    while (err == KH_OK && !last) {
        kh_err read_err;
        const batch *b = wait_for_batch(p, &last, &read_err);
        for (uint32_t i = 0; i < b->n && err == KH_OK; i++) err = each(ctx, &b->entries[i]);
        if (err == KH_OK) err = read_err;
        give_back(p, err != KH_OK);
    }
    if (runs) (void)pthread_join(thread, NULL);
    for (uint32_t i = 0; i < BATCH_CNT; i++) free(p->batches[i].bytes);
    (void)pthread_cond_destroy(&p->moved);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    return err;
}
