/* bodies: what is called from outside, and the writer: puts wait in a queue; a group of them is written and made durable
 * together, then entered into the table, then told. */
#include "log/bodies_inside.h"
#include "crypto/digest.h"
#include <stdio.h>
#include <stdlib.h>

/* --- the writer --- */

/* Takes a group off the queue; with lock held. */
static kh_body_job *take(kh_bodies *b)
{
    kh_body_job *first = b->first, *last = first;
    uint64_t n = 0;
    if (first == NULL) return NULL;
    for (n = last->n; last->next != NULL && n + last->next->n <= KH_BODIES_GROUP_SZ; last = last->next) n += last->next->n;
    b->first = last->next;
    if (b->first == NULL) b->last = NULL;
    last->next = NULL;
    return first;
}

/* A written body gets its place, or what was to be written is forgotten; with lock held. */
static void settle(kh_bodies *b, kh_body_job *job, kh_err err)
{
    if (job->file != NULL) job->file->holds--;
    b->queue_sz -= job->n + sizeof *job;
    if (job->p == NULL) return;
    kh_body *body = kh_bodies_find(b, job->record.name.digest);
    KH_ASSERT(body != NULL && body->queued > 0); /* what is queued is not forgotten */
    body->queued--;
    if (err == KH_OK && (body->file == NULL || job->record.name.expires_ns > body->name.expires_ns))
        kh_bodies_place(body, job->file, job->offset, job->record.name.expires_ns);
    if (body->queued == 0 && (body->dropped || (body->file == NULL && !body->name.ordered))) kh_bodies_remove(b, body);
}

static void write_group(kh_bodies *b)
{
    (void)pthread_mutex_lock(&b->writing);
    (void)pthread_mutex_lock(&b->lock);
    kh_body_job *jobs = take(b);
    bool failed = b->failed;
    (void)pthread_mutex_unlock(&b->lock);
    kh_err err = failed ? KH_E_CLOSED : kh_bodies_write(b, jobs);
    (void)pthread_mutex_lock(&b->lock);
    if (err != KH_OK) b->failed = true;
    for (kh_body_job *job = jobs; job != NULL; job = job->next) settle(b, job, err);
    kh_body_file *gone = kh_bodies_reap(b);
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_mutex_unlock(&b->writing);
    kh_bodies_unlink(b, gone);
    for (kh_body_job *next; jobs != NULL; jobs = next) {
        next = jobs->next;
        jobs->done(jobs->ctx, err);
        free(jobs->p);
        free(jobs);
    }
}

static void *writer(void *ctx)
{
    kh_bodies *b = ctx;
    for (;;) {
        (void)pthread_mutex_lock(&b->lock);
        while (b->first == NULL && !b->stop) (void)pthread_cond_wait(&b->work, &b->lock);
        bool more = b->first != NULL;
        (void)pthread_mutex_unlock(&b->lock);
        if (!more) return NULL;
        write_group(b);
    }
}

/* --- opening and closing --- */

static void release(kh_bodies *b)
{
    if (b->open != NULL) b->disk.close(b->disk.self, b->open);
    for (kh_body_file *f = b->files, *next; f != NULL; f = next) {
        next = f->next;
        free(f);
    }
    kh_bodies_table_free(b);
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_mutex_destroy(&b->writing);
    (void)pthread_cond_destroy(&b->work);
    free(b->dir);
    free(b);
}

/* Makes the directory where there is none, its name durable. */
static kh_err make_dir(kh_bodies *b)
{
    char above[KH_BODIES_PATH_SZ];
    kh_err err = b->disk.make_dir(b->disk.self, b->dir);
    if (err == KH_E_EXISTS) return KH_OK;
    if (err != KH_OK) return err;
    const char *slash = strrchr(b->dir, '/');
    size_t n = slash == NULL ? 0 : slash == b->dir ? 1 : (size_t)(slash - b->dir);
    if (n >= sizeof above) return KH_E_ARG;
    memcpy(above, n > 0 ? b->dir : ".", n > 0 ? n : 1);
    above[n > 0 ? n : 1] = '\0';
    return b->disk.sync_dir(b->disk.self, above);
}

kh_err kh_bodies_open(const kh_disk *disk, const char *dir, uint64_t quota_per_sender, bool inline_writer, char *why, size_t cap,
                      kh_bodies **ret)
{
    if (cap == 0) return KH_E_ARG;
    why[0] = '\0';
    kh_bodies *b = calloc(1, sizeof *b);
    if (b == NULL) return KH_E_NOMEM;
    b->disk = *disk;
    b->quota = quota_per_sender;
    b->file_max_sz = KH_BODIES_FILE_SZ;
    b->inline_writer = inline_writer;
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_mutex_init(&b->writing, NULL);
    (void)pthread_cond_init(&b->work, NULL);
    b->dir = strdup(dir);
    kh_err err = b->dir != NULL && kh_bodies_table_init(b) ? make_dir(b) : KH_E_NOMEM;
    if (err == KH_OK) err = kh_bodies_recover(b, why, cap);
    if (err == KH_OK && !inline_writer && pthread_create(&b->writer, NULL, writer, b) != 0) err = KH_E_NOMEM;
    if (err == KH_OK) *ret = b;
    else release(b);
    return err;
}

void kh_bodies_close(kh_bodies *b)
{
    if (b == NULL) return;
    if (!b->inline_writer) {
        (void)pthread_mutex_lock(&b->lock);
        b->stop = true;
        (void)pthread_cond_signal(&b->work);
        (void)pthread_mutex_unlock(&b->lock);
        (void)pthread_join(b->writer, NULL);
    }
    release(b);
}

/* --- putting --- */

static kh_err enqueue(kh_bodies *b, const kh_body_record *record, const uint8_t *p, kh_body_done done, void *ctx)
{
    size_t n = p != NULL ? kh_body_record_sz(record->name.size) : 0;
    if (b->queue_sz > 0 && b->queue_sz + n + sizeof(kh_body_job) > KH_BODIES_QUEUE_SZ) return KH_E_AGAIN;
    kh_body_job *job = calloc(1, sizeof *job);
    uint8_t *copy = p != NULL ? malloc(n) : NULL;
    if (job == NULL || (p != NULL && copy == NULL)) {
        free(job);
        free(copy);
        return KH_E_NOMEM;
    }
    if (copy != NULL) { /* the head is made when its place is known */
        memset(copy + n - 8, 0, 8);
        memcpy(copy + KH_BODY_HEAD_SZ, p, record->name.size);
    }
    *job = (kh_body_job){.record = *record, .done = done, .ctx = ctx, .p = copy, .n = n};
    if (b->last != NULL) b->last->next = job;
    else b->first = job;
    b->last = job;
    b->queue_sz += n + sizeof *job;
    return KH_OK;
}

/* A body that is not stored, or not for long enough. */
static kh_err put_new(kh_bodies *b, kh_body *body, const kh_body_record *record, const uint8_t *p, kh_body_done done, void *ctx)
{
    const kh_body_name *name = &record->name;
    bool fresh = body == NULL, nowhere = fresh || (body->file == NULL && body->queued == 0);
    if (fresh) body = kh_bodies_add(b, name);
    if (body == NULL) return KH_E_NOMEM;
    if (nowhere) { /* an entry that is a mark of being ordered knows its digest alone */
        bool ordered = body->name.ordered;
        body->name = *name;
        body->name.ordered = ordered;
        body->name.expires_ns = 0;
    }
    if (name->ordered) kh_bodies_mark_ordered(b, body);
    uint64_t before = body->charged;
    kh_err err = body->name.ordered ? KH_OK : kh_bodies_charge(b, body, kh_body_record_sz(name->size), true);
    if (err == KH_OK) err = enqueue(b, record, p, done, ctx);
    if (err != KH_OK) kh_bodies_refund(b, body, body->charged - before);
    if (err == KH_OK) {
        body->queued++;
        body->queued_expires_ns = kh_max64(body->queued_expires_ns, name->expires_ns);
        b->earliest_ns = kh_min64(b->earliest_ns, name->expires_ns);
    } else if (fresh && !body->name.ordered) {
        kh_bodies_remove(b, body);
    }
    return err;
}

kh_err kh_bodies_put(kh_bodies *b, const kh_body_name *name, const uint8_t *p, size_t n, kh_body_done done, void *ctx)
{
    if (n == 0 || n > KH_ENVELOPE_MAX_SZ) return KH_E_ARG;
    kh_body_record record = {.name = *name, .check = kh_xxh3(p, n)};
    record.name.size = (uint32_t)n;
    bool there = false;
    (void)pthread_mutex_lock(&b->lock);
    kh_err err = b->failed ? KH_E_CLOSED : KH_OK;
    kh_body *body = err == KH_OK ? kh_bodies_find(b, name->digest) : NULL;
    if (body != NULL) body->dropped = false; /* it is wanted again */
    if (body != NULL && name->ordered) kh_bodies_mark_ordered(b, body);
    if (body != NULL && body->file != NULL && (body->name.ordered || name->expires_ns <= body->name.expires_ns)) there = true;
    else if (body != NULL && body->queued > 0 && (body->name.ordered || name->expires_ns <= body->queued_expires_ns))
        err = enqueue(b, &record, NULL, done, ctx);
    else if (err == KH_OK) err = put_new(b, body, &record, p, done, ctx);
    if (err == KH_OK && !there && !b->inline_writer) (void)pthread_cond_signal(&b->work);
    (void)pthread_mutex_unlock(&b->lock);
    if (there) done(ctx, KH_OK);
    else if (err == KH_OK && b->inline_writer) write_group(b);
    return err;
}

/* --- looking --- */

bool kh_bodies_has(kh_bodies *b, const uint8_t digest[32])
{
    (void)pthread_mutex_lock(&b->lock);
    const kh_body *body = kh_bodies_find(b, digest);
    bool has = body != NULL && body->file != NULL;
    (void)pthread_mutex_unlock(&b->lock);
    return has;
}

/* KH_E_DAMAGED: fewer bytes, or others. */
static kh_err read_body(kh_bodies *b, const kh_body *place, uint8_t **ret)
{
    char path[KH_BODIES_PATH_SZ];
    kh_file *file;
    uint8_t digest[32];
    size_t n = 0;
    kh_err err = kh_bodies_path(b, place->file->number, path);
    if (err == KH_OK) err = b->disk.open(b->disk.self, path, KH_OPEN_READ, &file);
    if (err != KH_OK) return err == KH_E_NOT_FOUND ? KH_E_DAMAGED : err;
    uint8_t *p = malloc(place->name.size);
    err = p != NULL ? b->disk.read(b->disk.self, file, place->offset + KH_BODY_HEAD_SZ, p, place->name.size, &n) : KH_E_NOMEM;
    b->disk.close(b->disk.self, file);
    if (err == KH_OK && n == place->name.size) kh_sha256(p, n, digest);
    if (err == KH_OK && (n != place->name.size || memcmp(digest, place->name.digest, 32) != 0)) err = KH_E_DAMAGED;
    if (err == KH_OK) *ret = p;
    else free(p);
    return err;
}

/* What is damaged is as if it had never been put. */
static void forget_place(kh_bodies *b, const kh_body *place)
{
    kh_body *body = kh_bodies_find(b, place->name.digest);
    if (body == NULL || body->file != place->file || body->offset != place->offset) return;
    kh_bodies_unplace(body);
    if (body->queued == 0 && !body->name.ordered) kh_bodies_remove(b, body);
}

kh_err kh_bodies_get(kh_bodies *b, const uint8_t digest[32], uint8_t **ret, size_t *ret_n)
{
    (void)pthread_mutex_lock(&b->lock);
    const kh_body *body = kh_bodies_find(b, digest);
    if (body == NULL || body->file == NULL) {
        (void)pthread_mutex_unlock(&b->lock);
        return KH_E_NOT_FOUND;
    }
    kh_body place = *body;
    place.file->holds++;
    (void)pthread_mutex_unlock(&b->lock);
    kh_err err = read_body(b, &place, ret);
    if (err == KH_OK) *ret_n = place.name.size;
    (void)pthread_mutex_lock(&b->lock);
    if (err == KH_E_DAMAGED) forget_place(b, &place);
    place.file->holds--;
    kh_body_file *gone = kh_bodies_reap(b);
    (void)pthread_mutex_unlock(&b->lock);
    kh_bodies_unlink(b, gone);
    return err;
}

typedef struct listed {
    kh_body_name *items;
    size_t cnt;
} listed;

static int by_sequence(const void *x, const void *y)
{
    const kh_body_name *a = x, *b = y;
    if (a->sender != b->sender) return a->sender < b->sender ? -1 : 1;
    if (a->incarnation != b->incarnation) return a->incarnation < b->incarnation ? -1 : 1;
    if (a->sequence != b->sequence) return a->sequence < b->sequence ? -1 : 1;
    return memcmp(a->digest, b->digest, 32);
}

kh_err kh_bodies_each(kh_bodies *b, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx)
{
    listed l = {0};
    (void)pthread_mutex_lock(&b->lock);
    l.items = malloc((b->body_cnt + 1) * sizeof *l.items);
    for (uint64_t i = 0; l.items != NULL && i < b->bucket_cnt; i++)
        for (const kh_body *at = b->buckets[i]; at != NULL; at = at->next)
            if (at->file != NULL && (sender == 0 || at->name.sender == sender)) l.items[l.cnt++] = at->name;
    (void)pthread_mutex_unlock(&b->lock);
    if (l.items == NULL) return KH_E_NOMEM;
    qsort(l.items, l.cnt, sizeof *l.items, by_sequence);
    for (size_t i = 0; i < l.cnt; i++) each(ctx, &l.items[i]);
    free(l.items);
    return KH_OK;
}

uint64_t kh_bodies_bytes(const kh_bodies *b) { return atomic_load_explicit(&b->bytes, memory_order_relaxed); }

/* --- what is needed --- */

void kh_bodies_ordered(kh_bodies *b, const uint8_t digest[32], uint32_t sender)
{
    (void)pthread_mutex_lock(&b->lock);
    kh_body *body = kh_bodies_find(b, digest);
    if (body != NULL) {
        body->dropped = false;
        kh_bodies_mark_ordered(b, body);
    } else {
        kh_body_name name = {.sender = sender, .ordered = true};
        memcpy(name.digest, digest, 32);
        if (kh_bodies_add(b, &name) == NULL) b->keep_all = true;
    }
    (void)pthread_mutex_unlock(&b->lock);
}

void kh_bodies_drop(kh_bodies *b, const uint8_t digest[32])
{
    (void)pthread_mutex_lock(&b->lock);
    kh_body *body = kh_bodies_find(b, digest);
    const kh_body_file *file = body != NULL ? body->file : NULL;
    if (body != NULL && body->queued == 0) kh_bodies_remove(b, body);
    else if (body != NULL) body->dropped = true;
    kh_body_file *gone = file != NULL && file->body_cnt == 0 ? kh_bodies_reap(b) : NULL;
    (void)pthread_mutex_unlock(&b->lock);
    kh_bodies_unlink(b, gone);
}

void kh_bodies_expire(kh_bodies *b, uint64_t now_ns)
{
    kh_body_file *gone = NULL;
    (void)pthread_mutex_lock(&b->lock);
    if (!b->keep_all && b->earliest_ns < now_ns) {
        b->earliest_ns = UINT64_MAX;
        for (kh_body *at = b->unordered, *behind; at != NULL; at = behind) {
            behind = at->behind;
            uint64_t expires_ns = kh_max64(at->name.expires_ns, at->queued_expires_ns);
            if (expires_ns < now_ns && at->queued == 0) kh_bodies_remove(b, at);
            else b->earliest_ns = kh_min64(b->earliest_ns, expires_ns);
        }
        gone = kh_bodies_reap(b);
    }
    (void)pthread_mutex_unlock(&b->lock);
    kh_bodies_unlink(b, gone);
}
