/* journal: blocks wait in memory, are sealed (outcome chain, checksum) and written behind the engine: by a thread of their own,
 * or inside kh_journal_flush where there is none. The files are derived from the log: never ahead of it, synced only for an
 * image. A reader's journal writes nothing and keeps what the files lack. */
#include <stdlib.h>
#include "store/parts.h"

#define GATHER_SZ (2u << 20)
#define ROWS_MAX 64u
#define KEPT_SZ (UINT64_C(64) << 20) /* of the newest blocks in the file cache: memory that is used again and again */
#define PASS_SZ (UINT64_C(8) << 20)
#define SPARE_MAX_SZ (8u << 20) /* blocks above this are not kept to be built in again */

kh_err kh_journal_open(kh_journal *j, const kh_home *home, bool read_only, kh_store_report *report)
{
    char path[KH_PATH_MAX];
    const kh_disk *d = home->disk;
    int flags = read_only ? KH_OPEN_READ : KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE;
    memset(j, 0, sizeof *j);
    j->disk = d;
    j->read_only = read_only;
    kh_err err = d->open(d->self, kh_home_path(home, "journal/blocks", path), flags, &j->blocks);
    if (err == KH_E_NOT_FOUND && read_only) j->blocks = NULL, err = KH_OK;
    if (err == KH_E_NOT_FOUND) { /* a copy without its journals: they are made anew */
        err = d->make_dir(d->self, kh_home_path(home, "journal", path));
        if (err == KH_OK) err = d->open(d->self, kh_home_path(home, "journal/blocks", path), flags, &j->blocks);
    }
    if (err == KH_OK) {
        err = d->open(d->self, kh_home_path(home, "journal/table", path), flags, &j->table);
        if (err == KH_E_NOT_FOUND && read_only) j->table = NULL, err = KH_OK;
    }
    if (err == KH_OK && !read_only) err = d->sync_dir(d->self, kh_home_path(home, "journal", path));
    if (err != KH_OK) {
        kh_say(report, path, "%s", kh_err_text(err));
        if (j->blocks != NULL) d->close(d->self, j->blocks);
        if (j->table != NULL) d->close(d->self, j->table);
        return err;
    }
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_cond_init(&j->work, NULL);
    (void)pthread_cond_init(&j->room, NULL);
    return KH_OK;
}

kh_err kh_journal_length(kh_journal *j, uint64_t *ret)
{
    uint64_t size = 0;
    kh_err err = KH_OK;
    if (j->blocks != NULL && j->table != NULL) err = j->disk->size(j->disk->self, j->table, &size);
    if (err == KH_OK) *ret = size / KH_TABLE_ROW_SZ;
    return err;
}

static kh_err row_of(kh_journal *j, uint64_t height, uint64_t *ret_at, uint64_t *ret_size)
{
    uint8_t row[KH_TABLE_ROW_SZ];
    size_t got;
    kh_err err = j->disk->read(j->disk->self, j->table, (height - 1) * KH_TABLE_ROW_SZ, row, sizeof row, &got);
    if (err != KH_OK) return err;
    if (got != sizeof row) return KH_E_DAMAGED;
    *ret_at = kh_load64(row);
    *ret_size = kh_load64(row + 8);
    return KH_OK;
}

/* Whether the block of `height` is whole, begins where the one before ended, and (if asked) has its checksum. */
static kh_err sound(kh_journal *j, uint64_t height, uint64_t begin, bool whole, uint64_t *ret_end, uint8_t chain[32])
{
    uint64_t at, size, file_sz;
    size_t got;
    kh_block_head head;
    uint8_t bytes[KH_BLOCK_HEAD_SZ], *p = NULL;
    kh_err err = row_of(j, height, &at, &size);
    if (err == KH_OK) err = j->disk->size(j->disk->self, j->blocks, &file_sz);
    if (err != KH_OK) return err;
    if (at != begin || size < KH_BLOCK_HEAD_SZ || at > file_sz || size > file_sz - at) return KH_E_DAMAGED;
    if (whole && (p = malloc(size)) == NULL) return KH_E_NOMEM;
    size_t n = whole ? size : sizeof bytes;
    const uint8_t *q = whole ? p : bytes;
    err = j->disk->read(j->disk->self, j->blocks, at, whole ? p : bytes, n, &got);
    if (err == KH_OK && got != n) err = KH_E_DAMAGED;
    if (err == KH_OK) err = kh_block_head_read(q, n, &head);
    if (err == KH_OK && (head.size != size || head.height != height)) err = KH_E_DAMAGED;
    if (err == KH_OK && whole && kh_block_check(p, size) != NULL) err = KH_E_DAMAGED;
    free(p);
    if (err != KH_OK) return err;
    memcpy(chain, head.chain, 32);
    *ret_end = at + size;
    return KH_OK;
}

kh_err kh_journal_recover(kh_journal *j, uint64_t trusted, uint64_t upto, bool whole, const uint8_t chain[32])
{
    uint64_t listed = 0, end = 0, at, size;
    kh_err err = kh_journal_length(j, &listed);
    if (err != KH_OK) return err;
    uint64_t height = kh_min64(trusted, upto);
    KH_ASSERT(height <= listed);
    memcpy(j->chain, chain, 32);
    if (height != 0) {
        err = row_of(j, height, &at, &size);
        if (err != KH_OK) return err;
        end = at + size;
    }
    while (height < listed && height < upto) {
        err = sound(j, height + 1, end, whole, &end, j->chain);
        if (err == KH_E_DAMAGED) break;
        if (err != KH_OK) return err;
        height++;
    }
    j->written = j->built = j->base = height;
    j->end = end;
    if (j->read_only) return KH_OK;
    /* What lies behind is cut, so that a later, shorter run of blocks never looks as if it went on. */
    err = j->disk->truncate(j->disk->self, j->table, height * KH_TABLE_ROW_SZ);
    if (err == KH_OK) err = j->disk->truncate(j->disk->self, j->blocks, end);
    return err;
}

kh_block *kh_journal_take(kh_journal *j)
{
    (void)pthread_mutex_lock(&j->lock);
    kh_block *b = j->spare;
    if (b != NULL) j->spare = b->next;
    (void)pthread_mutex_unlock(&j->lock);
    return b != NULL ? b : calloc(1, sizeof *b);
}

/* What lies far behind the end leaves the file cache, in steps: pages that are used again are cheaper than ever new ones, and the
 * journals are written a thousand times as often as they are read. */
static void pass(const kh_journal *j, uint64_t was, uint64_t end)
{
    if (j->disk->pass == NULL) return;
    for (uint64_t at = was / PASS_SZ * PASS_SZ; at + PASS_SZ <= end; at += PASS_SZ) {
        j->disk->pass(j->disk->self, j->blocks, at, PASS_SZ, false);
        if (at >= KEPT_SZ) j->disk->pass(j->disk->self, j->blocks, at - KEPT_SZ, PASS_SZ, true);
    }
}

/* Writes the sealed blocks first..last, in as few calls as their size allows. No lock held: nothing behind `last` is looked at.
 */
static kh_err write_out(kh_journal *j, const kh_block *first, const kh_block *last, uint64_t *end_at)
{
    uint8_t rows[ROWS_MAX * KH_TABLE_ROW_SZ];
    if (j->gather == NULL) j->gather = malloc(GATHER_SZ);
    if (j->gather == NULL) return KH_E_NOMEM;
    for (const kh_block *b = first;;) {
        const uint8_t *p = b->bytes;
        uint64_t height = b->height;
        size_t n = 0;
        uint32_t cnt = 0;
        bool end = false;
        while (!end && cnt < ROWS_MAX && (cnt == 0 || n + b->size <= GATHER_SZ)) {
            kh_store64(rows + (size_t)cnt * KH_TABLE_ROW_SZ, *end_at + n);
            kh_store64(rows + (size_t)cnt * KH_TABLE_ROW_SZ + 8, b->size);
            bool large = cnt == 0 && b->size > GATHER_SZ / 2;
            if (!large) {
                memcpy(j->gather + n, b->bytes, b->size);
                p = j->gather;
            }
            n += b->size;
            cnt++;
            end = b == last;
            if (!end) b = b->next;
            if (large) break;
        }
        kh_err err = j->disk->write(j->disk->self, j->blocks, *end_at, p, n);
        if (err == KH_OK)
            err = j->disk->write(j->disk->self, j->table, (height - 1) * KH_TABLE_ROW_SZ, rows, (size_t)cnt * KH_TABLE_ROW_SZ);
        if (err != KH_OK) return err;
        *end_at += n;
        if (end) return KH_OK;
    }
}

/* Seals and writes all that is pending now, and takes it off the list. Called with the lock held; lets it go meanwhile. */
static void drain(kh_journal *j)
{
    kh_block *first = j->first, *last = j->last;
    uint64_t end_at = j->end;
    kh_err err = KH_OK;
    (void)pthread_mutex_unlock(&j->lock);
    for (kh_block *b = first;; b = b->next) {
        if (!b->sealed) kh_block_seal(b, j->chain);
        else memcpy(j->chain, b->bytes + KH_BLOCK_SEALED_AT, 32);
        if (b == last) break;
    }
    if (!j->read_only) err = write_out(j, first, last, &end_at);
    if (err == KH_OK) pass(j, j->end, end_at);
    (void)pthread_mutex_lock(&j->lock);
    j->end = end_at;
    if (err != KH_OK) j->err = err; /* final; what is pending stays readable */
    if (j->read_only || err != KH_OK) return;
    j->written = last->height;
    j->first = last->next;
    if (j->first == NULL) j->last = NULL;
    last->next = NULL;
    for (kh_block *b = first, *next; b != NULL; b = next) {
        next = b->next;
        j->pending_sz -= b->size;
        if (b->cap > SPARE_MAX_SZ) kh_block_free(b);
        else b->next = j->spare, j->spare = b;
    }
}

static void *write_behind(void *arg)
{
    kh_journal *j = arg;
    (void)pthread_mutex_lock(&j->lock);
    for (;;) {
        while ((j->first == NULL || j->err != KH_OK) && !j->stop) (void)pthread_cond_wait(&j->work, &j->lock);
        if (j->first == NULL || j->err != KH_OK) break;
        drain(j);
        (void)pthread_cond_broadcast(&j->room);
    }
    (void)pthread_mutex_unlock(&j->lock);
    return NULL;
}

kh_err kh_journal_start_thread(kh_journal *j)
{
    j->running = pthread_create(&j->thread, NULL, write_behind, j) == 0;
    return j->running ? KH_OK : KH_E_NOMEM;
}

void kh_journal_give(kh_journal *j, kh_block *b)
{
    (void)pthread_mutex_lock(&j->lock);
    KH_ASSERT(b->height == j->built + 1);
    b->next = NULL;
    if (j->last != NULL) j->last->next = b;
    else j->first = b;
    j->last = b;
    j->pending_sz += b->size;
    j->built = b->height;
    if (j->running) (void)pthread_cond_signal(&j->work);
    (void)pthread_mutex_unlock(&j->lock);
}

kh_err kh_journal_room(kh_journal *j)
{
    (void)pthread_mutex_lock(&j->lock);
    if (!j->running && !j->read_only && j->pending_sz > GATHER_SZ) drain(j);
    while (j->running && j->pending_sz > KH_JOURNAL_PENDING_SZ && j->err == KH_OK) (void)pthread_cond_wait(&j->room, &j->lock);
    kh_err err = j->err;
    (void)pthread_mutex_unlock(&j->lock);
    return err;
}

kh_err kh_journal_flush(kh_journal *j, uint64_t height)
{
    (void)pthread_mutex_lock(&j->lock);
    if (!j->running && j->first != NULL) drain(j);
    while (j->running && j->written < height && j->err == KH_OK) (void)pthread_cond_wait(&j->room, &j->lock);
    kh_err err = j->err;
    (void)pthread_mutex_unlock(&j->lock);
    return err;
}

kh_err kh_journal_sync(kh_journal *j)
{
    kh_err err = j->disk->sync(j->disk->self, j->blocks);
    if (err == KH_OK) err = j->disk->sync(j->disk->self, j->table);
    return err;
}

void kh_journal_chain(kh_journal *j, uint8_t ret[32])
{
    (void)pthread_mutex_lock(&j->lock);
    memcpy(ret, j->chain, 32);
    (void)pthread_mutex_unlock(&j->lock);
}

void kh_journal_close(kh_journal *j)
{
    if (j->running) {
        (void)pthread_mutex_lock(&j->lock);
        j->stop = true;
        (void)pthread_cond_broadcast(&j->work);
        (void)pthread_mutex_unlock(&j->lock);
        (void)pthread_join(j->thread, NULL);
        j->running = false;
    }
    for (kh_block *b = j->first, *next; b != NULL; b = next) next = b->next, kh_block_free(b);
    for (kh_block *b = j->spare, *next; b != NULL; b = next) next = b->next, kh_block_free(b);
    free(j->gather);
    if (j->blocks != NULL) j->disk->close(j->disk->self, j->blocks);
    if (j->table != NULL) j->disk->close(j->disk->self, j->table);
    (void)pthread_cond_destroy(&j->room);
    (void)pthread_cond_destroy(&j->work);
    (void)pthread_mutex_destroy(&j->lock);
    memset(j, 0, sizeof *j);
}
