/* heights: records by rising height; see heights.h. */
#include "kept/heights.h"
#include "base/spool.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SPARSE 64u
#define COPY_SZ (1u << 20)
#define STEP_SZ (2u << 20) /* of a drop, and twice what came since the step before: so it ends */
#define OPEN_FLAGS (KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_STREAM)
enum { AT_SIZE = 4, AT_CHECK = 8, AT_HEIGHT = 16, AT_ZERO = 24 };

typedef struct mark {
    uint64_t height, at;
} mark;

struct kh_heights {
    const kh_disk *disk;
    char path[1024], magic[4];
    kh_file *file;
    kh_spool out;          /* of who writes */
    pthread_rwlock_t lock; /* readers keep what they read from being cut or dropped */
    mark *marks;           /* of the first record and of every 64th or so */
    uint64_t end, newest;
    size_t mark_cnt, mark_cap;
    uint32_t since_mark; /* records, the marked one too */
    uint32_t recent_cnt;
    mark recent[SPARSE]; /* the last records, none of them left out: those are looked for, again and again */
    kh_file *to;         /* what stays, written anew while a drop goes on; NULL: none does */
    uint64_t from;       /* where it begins here, */
    uint64_t copied;     /* and up to where it is written */
    uint64_t seen;       /* the end at the last step */
};

typedef struct head {
    uint64_t height, check;
    uint32_t size;
} head;

static kh_err read_exact(const kh_heights *h, uint64_t at, void *p, size_t n)
{
    size_t got = 0;
    kh_err err = h->disk->read(h->disk->self, h->file, at, p, n, &got);
    return err == KH_OK && got != n ? KH_E_DAMAGED : err;
}

static kh_err read_head(const kh_heights *h, uint64_t at, head *ret)
{
    uint8_t p[KH_HEIGHTS_HEAD_SZ];
    kh_err err = read_exact(h, at, p, sizeof p);
    if (err != KH_OK) return err;
    *ret = (head){kh_load64(p + AT_HEIGHT), kh_load64(p + AT_CHECK), kh_load32(p + AT_SIZE)};
    bool good = memcmp(p, h->magic, 4) == 0 && ret->size >= KH_HEIGHTS_HEAD_SZ && ret->size <= KH_HEIGHTS_RECORD_MAX_SZ &&
                kh_load64(p + AT_ZERO) == 0;
    return good ? KH_OK : KH_E_DAMAGED;
}

/* The whole record, malloc'ed, its check compared. */
static kh_err read_record(const kh_heights *h, uint64_t at, const head *of, uint8_t **ret)
{
    uint8_t *p = malloc(of->size);
    if (p == NULL) return KH_E_NOMEM;
    kh_err err = read_exact(h, at, p, of->size);
    if (err == KH_OK && kh_xxh3(p + AT_HEIGHT, of->size - AT_HEIGHT) != of->check) err = KH_E_DAMAGED;
    if (err == KH_OK) *ret = p;
    else free(p);
    return err;
}

static kh_err note(kh_heights *h, uint64_t height, uint64_t at, uint32_t size)
{
    if (h->mark_cnt == 0 || h->since_mark >= SPARSE) {
        if (h->mark_cnt == h->mark_cap) {
            size_t cap = h->mark_cap != 0 ? h->mark_cap * 2 : 64;
            mark *p = realloc(h->marks, cap * sizeof *p);
            if (p == NULL) return KH_E_NOMEM;
            h->marks = p;
            h->mark_cap = cap;
        }
        h->marks[h->mark_cnt++] = (mark){height, at};
        h->since_mark = 0;
    }
    h->since_mark++;
    if (h->recent_cnt == SPARSE) {
        h->recent_cnt /= 2;
        memcpy(h->recent, h->recent + h->recent_cnt, h->recent_cnt * sizeof *h->recent);
    }
    h->recent[h->recent_cnt++] = (mark){height, at};
    h->end = at + size;
    h->newest = height;
    return KH_OK;
}

/* Walks from the beginning through height `last` and byte `whole`; sound: up to the first record that is not. */
static kh_err walk(kh_heights *h, uint64_t last, uint64_t whole, bool sound)
{
    uint64_t size = 0;
    kh_err err = h->disk->size(h->disk->self, h->file, &size);
    h->end = h->newest = 0;
    h->mark_cnt = h->recent_cnt = 0;
    while (err == KH_OK && h->end < (sound ? size : whole)) {
        head of = {0};
        uint8_t *p = NULL;
        err = read_head(h, h->end, &of);
        if (err == KH_OK && (of.height <= h->newest || of.size > kh_min64(size, sound ? size : whole) - h->end))
            err = KH_E_DAMAGED;
        if (err == KH_OK && of.height > last) break;
        if (err == KH_OK && sound) err = read_record(h, h->end, &of, &p);
        free(p);
        if (err == KH_OK) err = note(h, of.height, h->end, of.size);
    }
    return sound && err == KH_E_DAMAGED ? KH_OK : err;
}

kh_err kh_heights_open(const kh_disk *disk, const char *path, const char magic[4], uint64_t whole, uint64_t *ret_at,
                       kh_heights **ret)
{
    *ret_at = 0;
    if (strlen(path) + 8 > sizeof((kh_heights *)0)->path) return KH_E_ARG;
    kh_heights *h = calloc(1, sizeof *h);
    if (h == NULL) return KH_E_NOMEM;
    h->disk = disk;
    memcpy(h->path, path, strlen(path) + 1);
    memcpy(h->magic, magic, 4);
    (void)pthread_rwlock_init(&h->lock, NULL);
    kh_err err = disk->open(disk->self, path, OPEN_FLAGS, &h->file);
    if (err == KH_OK) err = walk(h, UINT64_MAX, whole, whole == KH_HEIGHTS_SOUND);
    if (err == KH_OK) err = disk->truncate(disk->self, h->file, h->end);
    if (err == KH_OK) {
        *ret = h;
        return KH_OK;
    }
    *ret_at = h->end;
    kh_heights_close(h);
    return err;
}

void kh_heights_close(kh_heights *h)
{
    if (h == NULL) return;
    kh_heights_drop_stop(h);
    if (h->file != NULL) h->disk->close(h->disk->self, h->file);
    (void)pthread_rwlock_destroy(&h->lock);
    kh_spool_free(&h->out);
    free(h->marks);
    free(h);
}

kh_err kh_heights_add(kh_heights *h, uint64_t height, const void *a, size_t a_n, const void *b, size_t b_n)
{
    if (height <= h->newest || a_n > KH_HEIGHTS_RECORD_MAX_SZ / 2 || b_n > KH_HEIGHTS_RECORD_MAX_SZ / 2 - KH_HEIGHTS_HEAD_SZ)
        return KH_E_ARG;
    size_t n = KH_HEIGHTS_HEAD_SZ + a_n + b_n;
    uint8_t *p = kh_spool_at(&h->out, h->end, n);
    if (p == NULL) return KH_E_NOMEM;
    memcpy(p, h->magic, 4);
    kh_store32(p + AT_SIZE, (uint32_t)n);
    kh_store64(p + AT_HEIGHT, height);
    kh_store64(p + AT_ZERO, 0);
    if (a_n != 0) memcpy(p + KH_HEIGHTS_HEAD_SZ, a, a_n);
    if (b_n != 0) memcpy(p + KH_HEIGHTS_HEAD_SZ + a_n, b, b_n);
    kh_store64(p + AT_CHECK, kh_xxh3(p + AT_HEIGHT, n - AT_HEIGHT));
    kh_err err = h->disk->write(h->disk->self, h->file, h->end, p, n);
    kh_spool_done(&h->out);
    if (err != KH_OK) return err;
    (void)pthread_rwlock_wrlock(&h->lock);
    err = note(h, height, h->end, (uint32_t)n);
    (void)pthread_rwlock_unlock(&h->lock);
    return err;
}

kh_err kh_heights_sync(kh_heights *h) { return h->disk->sync(h->disk->self, h->file); }

uint64_t kh_heights_newest(kh_heights *h)
{
    (void)pthread_rwlock_rdlock(&h->lock);
    uint64_t newest = h->newest;
    (void)pthread_rwlock_unlock(&h->lock);
    return newest;
}

uint64_t kh_heights_bytes(kh_heights *h)
{
    (void)pthread_rwlock_rdlock(&h->lock);
    uint64_t bytes = h->end;
    (void)pthread_rwlock_unlock(&h->lock);
    return bytes;
}

/* The place of the newest marked record at or below height, else of the first. */
static uint64_t start_of(const kh_heights *h, uint64_t height)
{
    size_t low = 0, high = h->mark_cnt;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (h->marks[middle].height <= height) low = middle;
        else high = middle;
    }
    return h->mark_cnt != 0 ? h->marks[low].at : 0;
}

/* Where the first record above height begins; *ret_at the newest one at or below it, UINT64_MAX: none. */
static kh_err place_of(const kh_heights *h, uint64_t height, uint64_t *ret_at, uint64_t *ret_above)
{
    uint64_t at = start_of(h, height), found = UINT64_MAX;
    if (h->recent_cnt != 0 && h->recent[0].height <= height) {
        uint32_t i = h->recent_cnt;
        while (h->recent[i - 1].height > height) i--;
        *ret_at = h->recent[i - 1].at;
        *ret_above = i < h->recent_cnt ? h->recent[i].at : h->end;
        return KH_OK;
    }
    while (at < h->end) {
        head of;
        kh_err err = read_head(h, at, &of);
        if (err != KH_OK) return err;
        if (of.height > height) break;
        found = at;
        at += of.size;
    }
    *ret_at = found;
    *ret_above = at;
    return KH_OK;
}

kh_err kh_heights_bytes_upto(kh_heights *h, uint64_t height, uint64_t *ret)
{
    uint64_t at = 0, above = 0;
    (void)pthread_rwlock_rdlock(&h->lock);
    kh_err err = h->newest <= height ? KH_OK : place_of(h, height, &at, &above);
    if (err == KH_OK) *ret = h->newest <= height ? h->end : above;
    (void)pthread_rwlock_unlock(&h->lock);
    return err;
}

static kh_err find(kh_heights *h, uint64_t height, bool above, uint64_t *ret_height, uint8_t **ret, size_t *ret_n)
{
    uint64_t at = 0, next = 0;
    uint8_t *p = NULL;
    head of = {0};
    (void)pthread_rwlock_rdlock(&h->lock);
    kh_err err = place_of(h, height, &at, &next);
    if (err == KH_OK && (above ? next >= h->end : at == UINT64_MAX)) err = KH_E_NOT_FOUND;
    if (above) at = next;
    if (err == KH_OK) err = read_head(h, at, &of);
    if (err == KH_OK) err = read_record(h, at, &of, &p);
    (void)pthread_rwlock_unlock(&h->lock);
    if (err != KH_OK) return err;
    memmove(p, p + KH_HEIGHTS_HEAD_SZ, of.size - KH_HEIGHTS_HEAD_SZ);
    *ret_height = of.height;
    *ret = p;
    *ret_n = of.size - KH_HEIGHTS_HEAD_SZ;
    return KH_OK;
}

kh_err kh_heights_at(kh_heights *h, uint64_t height, uint64_t *ret_height, uint8_t **ret, size_t *ret_n)
{
    return find(h, height, false, ret_height, ret, ret_n);
}

kh_err kh_heights_after(kh_heights *h, uint64_t height, uint64_t *ret_height, uint8_t **ret, size_t *ret_n)
{
    return find(h, height, true, ret_height, ret, ret_n);
}

kh_err kh_heights_cut(kh_heights *h, uint64_t height)
{
    kh_heights_drop_stop(h);
    (void)pthread_rwlock_wrlock(&h->lock);
    kh_err err = height < h->newest ? walk(h, height, h->end, false) : KH_OK;
    if (err == KH_OK) err = h->disk->truncate(h->disk->self, h->file, h->end);
    (void)pthread_rwlock_unlock(&h->lock);
    return err;
}

/* ---- taking away from the front ---- */

static void new_path(const kh_heights *h, char path[1032]) { (void)snprintf(path, 1032, "%s.new", h->path); }

void kh_heights_drop_stop(kh_heights *h)
{
    char path[1032];
    if (h->to == NULL) return;
    h->disk->close(h->disk->self, h->to);
    h->to = NULL;
    new_path(h, path);
    kh_err err = h->disk->remove(h->disk->self, path);
    (void)err; /* the next drop writes over it */
}

bool kh_heights_drops(const kh_heights *h) { return h->to != NULL; }

kh_err kh_heights_drop_begin(kh_heights *h, uint64_t height)
{
    char path[1032];
    uint64_t at, above = 0;
    const kh_disk *d = h->disk;
    kh_heights_drop_stop(h);
    kh_err err = place_of(h, height, &at, &above);
    if (err != KH_OK || above == 0) return err;
    new_path(h, path);
    err = d->open(d->self, path, OPEN_FLAGS, &h->to);
    if (err == KH_OK) err = d->truncate(d->self, h->to, 0);
    h->from = h->copied = above;
    h->seen = h->end;
    if (err != KH_OK) kh_heights_drop_stop(h);
    return err;
}

static kh_err copy(kh_heights *h, uint64_t most)
{
    kh_err err = KH_OK;
    for (uint64_t upto = h->copied + kh_min64(most, h->end - h->copied); err == KH_OK && h->copied < upto;) {
        size_t n = (size_t)kh_min64(COPY_SZ, upto - h->copied);
        uint8_t *p = kh_spool_at(&h->out, h->copied - h->from, n);
        if (p == NULL) return KH_E_NOMEM;
        err = read_exact(h, h->copied, p, n);
        if (err == KH_OK) err = h->disk->write(h->disk->self, h->to, h->copied - h->from, p, n);
        if (err == KH_OK) h->copied += n;
    }
    return err;
}

kh_err kh_heights_drop_step(kh_heights *h, uint64_t *ret_left)
{
    kh_err err = copy(h, STEP_SZ + 2 * (h->end - h->seen));
    h->seen = h->end;
    *ret_left = h->end - h->copied;
    if (err != KH_OK) kh_heights_drop_stop(h);
    return err;
}

/* The marks of what stays: that of its first record, and those behind it. */
static void begin_at(kh_heights *h, const head *first)
{
    size_t kept = 0;
    if (h->from < h->end) h->marks[kept++] = (mark){first->height, 0};
    for (size_t i = 1; i < h->mark_cnt; i++)
        if (h->marks[i].at > h->from) h->marks[kept++] = (mark){h->marks[i].height, h->marks[i].at - h->from};
    h->mark_cnt = kept;
    kept = 0;
    for (uint32_t i = 0; i < h->recent_cnt; i++)
        if (h->recent[i].at >= h->from) h->recent[kept++] = (mark){h->recent[i].height, h->recent[i].at - h->from};
    h->recent_cnt = (uint32_t)kept;
    h->end -= h->from;
    if (h->mark_cnt == 0) h->newest = 0;
}

kh_err kh_heights_drop_end(kh_heights *h)
{
    char path[1032];
    head first = {0};
    const kh_disk *d = h->disk;
    if (h->to == NULL) return KH_OK;
    new_path(h, path);
    kh_err err = copy(h, UINT64_MAX);
    if (err == KH_OK && h->from < h->end) err = read_head(h, h->from, &first);
    if (err == KH_OK) err = d->sync(d->self, h->to);
    (void)pthread_rwlock_wrlock(&h->lock);
    if (err == KH_OK) err = d->rename(d->self, path, h->path);
    if (err == KH_OK) {
        d->close(d->self, h->file);
        h->file = h->to;
        h->to = NULL;
        begin_at(h, &first);
    }
    (void)pthread_rwlock_unlock(&h->lock);
    if (err != KH_OK) kh_heights_drop_stop(h);
    return err;
}

kh_err kh_heights_drop(kh_heights *h, uint64_t height)
{
    kh_err err = kh_heights_drop_begin(h, height);
    return err == KH_OK ? kh_heights_drop_end(h) : err;
}
