/* snapshots: see snapshots.h. A file: head {KHSN, 0 4, XXH3-64 of the bytes 8}, then the saved order. */
#include "kept/snapshots.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "crypto/digest.h"

enum { HEAD_SZ = 16, PATH_SZ = 1024 };
static const char magic[4] = {'K', 'H', 'S', 'N'};

struct kh_snapshots {
    const kh_disk *disk;
    char dir[PATH_SZ - 64];
    pthread_mutex_t lock;
    kh_snapshot of[KH_SNAPSHOTS_MAX + 1]; /* ascending; one more than stays */
    uint32_t cnt;
    uint64_t pins[KH_SNAPSHOTS_PINS];
};

static size_t chunk_sz(size_t n, uint32_t chunk)
{
    size_t at = (size_t)chunk * KH_SNAPSHOT_CHUNK_SZ;
    return n - at < KH_SNAPSHOT_CHUNK_SZ ? n - at : KH_SNAPSHOT_CHUNK_SZ;
}

kh_err kh_snapshot_of(uint64_t height, const uint8_t *p, size_t n, kh_snapshot *ret)
{
    if (n == 0 || n > KH_ORDER_SAVED_MAX_SZ) return KH_E_ARG;
    ret->height = height;
    ret->chunks = (uint32_t)((n + KH_SNAPSHOT_CHUNK_SZ - 1) / KH_SNAPSHOT_CHUNK_SZ);
    for (uint32_t i = 0; i < ret->chunks; i++) kh_sha256(p + (size_t)i * KH_SNAPSHOT_CHUNK_SZ, chunk_sz(n, i), ret->metadata[i]);
    kh_sha256(ret->metadata, ret->chunks * (size_t)32, ret->hash);
    return KH_OK;
}

/* ---- files ---- */

static const char *path_of(const kh_snapshots *s, uint64_t height, const char *more, char ret[PATH_SZ])
{
    (void)snprintf(ret, PATH_SZ, "%s/%llu%s", s->dir, (unsigned long long)height, more);
    return ret;
}

static kh_err read_whole(kh_snapshots *s, uint64_t height, uint8_t **ret, size_t *ret_n)
{
    char path[PATH_SZ];
    const kh_disk *d = s->disk;
    kh_file *f = NULL;
    uint64_t size = 0;
    size_t got = 0;
    uint8_t *p = NULL;
    kh_err err = d->open(d->self, path_of(s, height, "", path), KH_OPEN_READ, &f);
    if (err == KH_OK) err = d->size(d->self, f, &size);
    if (err == KH_OK && (size <= HEAD_SZ || size > HEAD_SZ + (uint64_t)KH_ORDER_SAVED_MAX_SZ)) err = KH_E_DAMAGED;
    if (err == KH_OK && (p = malloc(size)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = d->read(d->self, f, 0, p, size, &got);
    if (err == KH_OK && (got != size || memcmp(p, magic, 4) != 0 || kh_load32(p + 4) != 0 ||
                         kh_load64(p + 8) != kh_xxh3(p + HEAD_SZ, size - HEAD_SZ)))
        err = KH_E_DAMAGED;
    if (f != NULL) d->close(d->self, f);
    if (err != KH_OK) {
        free(p);
        return err;
    }
    *ret_n = size - HEAD_SZ;
    memmove(p, p + HEAD_SZ, *ret_n);
    *ret = p;
    return KH_OK;
}

static kh_err write_whole(kh_snapshots *s, uint64_t height, const uint8_t *p, size_t n)
{
    char path[PATH_SZ], new_path[PATH_SZ];
    uint8_t head[HEAD_SZ] = {0};
    const kh_disk *d = s->disk;
    kh_file *f = NULL;
    memcpy(head, magic, 4);
    kh_store64(head + 8, kh_xxh3(p, n));
    kh_err err = d->open(d->self, path_of(s, height, ".new", new_path), KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE, &f);
    if (err == KH_OK) err = d->truncate(d->self, f, 0);
    if (err == KH_OK) err = d->write(d->self, f, 0, head, sizeof head);
    if (err == KH_OK) err = d->write(d->self, f, sizeof head, p, n);
    if (err == KH_OK) err = d->sync(d->self, f);
    if (f != NULL) d->close(d->self, f);
    if (err == KH_OK) err = d->rename(d->self, new_path, path_of(s, height, "", path));
    return err == KH_OK ? d->sync_dir(d->self, s->dir) : err;
}

static kh_err remove_one(kh_snapshots *s, uint64_t height)
{
    char path[PATH_SZ];
    kh_err err = s->disk->remove(s->disk->self, path_of(s, height, "", path));
    return err == KH_E_NOT_FOUND ? KH_OK : err;
}

/* ---- the list ---- */

/* put: it stands in its place; *ret_gone: the one that has to go for it, 0: none. */
static void put(kh_snapshots *s, const kh_snapshot *one, uint64_t *ret_gone)
{
    *ret_gone = 0;
    if (s->cnt == KH_SNAPSHOTS_MAX + 1) {
        if (one->height < s->of[0].height) {
            *ret_gone = one->height;
            return;
        }
        *ret_gone = s->of[0].height;
        memmove(s->of, s->of + 1, --s->cnt * sizeof *s->of);
    }
    uint32_t at = s->cnt++;
    for (; at > 0 && s->of[at - 1].height > one->height; at--) s->of[at] = s->of[at - 1];
    s->of[at] = *one;
}

static const kh_snapshot *find(const kh_snapshots *s, uint64_t height)
{
    for (uint32_t i = 0; i < s->cnt; i++)
        if (s->of[i].height == height) return &s->of[i];
    return NULL;
}

/* The newest, and the newest that is not above each pin. */
static bool stays(const kh_snapshots *s, uint32_t at)
{
    bool newest = s->cnt - at <= KH_SNAPSHOTS_KEPT;
    for (uint32_t i = 0; i < KH_SNAPSHOTS_PINS && !newest; i++)
        newest = s->of[at].height <= s->pins[i] && s->of[at + 1].height > s->pins[i];
    return newest;
}

static kh_err tidy(kh_snapshots *s)
{
    kh_err err = KH_OK;
    for (uint32_t i = s->cnt; i-- > 0 && err == KH_OK;) {
        if (stays(s, i)) continue;
        err = remove_one(s, s->of[i].height);
        s->cnt--;
        memmove(s->of + i, s->of + i + 1, (s->cnt - i) * sizeof *s->of);
    }
    return err;
}

/* A directory of ours has KH_SNAPSHOTS_MAX and what a crash left; where somebody put more, those beyond are left for another
 * opening. */
enum { NAMES_MAX = 64 };
typedef struct names {
    uint64_t of[NAMES_MAX];
    uint32_t cnt;
} names;

static void take_name(void *ctx, const char *name)
{
    names *all = ctx;
    char again[32], *end;
    uint64_t height = strtoull(name, &end, 10);
    (void)snprintf(again, sizeof again, "%llu", (unsigned long long)height);
    if (height == 0 || (strcmp(name, again) != 0 && strcmp(end, ".new") != 0)) return; /* none of ours */
    if (all->cnt < NAMES_MAX) all->of[all->cnt++] = height;
}

static kh_err look_at(kh_snapshots *s, uint64_t height)
{
    char path[PATH_SZ];
    uint8_t *p = NULL;
    size_t n = 0;
    uint64_t gone = 0;
    kh_snapshot one;
    kh_err err = s->disk->remove(s->disk->self, path_of(s, height, ".new", path)); /* cut off by a crash */
    if (err != KH_OK && err != KH_E_NOT_FOUND) return err;
    if (find(s, height) != NULL) return KH_OK;
    err = read_whole(s, height, &p, &n);
    if (err == KH_E_NOT_FOUND) return KH_OK;
    if (err == KH_OK) err = kh_snapshot_of(height, p, n, &one);
    free(p);
    if (err == KH_E_DAMAGED) return remove_one(s, height);
    if (err == KH_OK) put(s, &one, &gone);
    return err == KH_OK && gone != 0 ? remove_one(s, gone) : err;
}

kh_err kh_snapshots_open(const kh_disk *disk, const char *dir, char *why, size_t cap, kh_snapshots **ret)
{
    names all = {.cnt = 0};
    kh_snapshots *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->disk = disk;
    (void)pthread_mutex_init(&s->lock, NULL);
    int len = snprintf(s->dir, sizeof s->dir, "%s/snapshots", dir);
    kh_err err = len > 0 && (size_t)len < sizeof s->dir ? disk->make_dir(disk->self, s->dir) : KH_E_ARG;
    if (err == KH_E_EXISTS) err = KH_OK;
    if (err == KH_OK) err = disk->list(disk->self, s->dir, take_name, &all);
    for (uint32_t i = 0; i < all.cnt && err == KH_OK; i++) err = look_at(s, all.of[i]);
    if (err == KH_OK) *ret = s;
    else {
        (void)snprintf(why, cap, "%s/snapshots: %s", dir, kh_err_text(err));
        kh_snapshots_close(s);
    }
    return err;
}

void kh_snapshots_close(kh_snapshots *s)
{
    if (s == NULL) return;
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

kh_err kh_snapshots_add(kh_snapshots *s, uint64_t height, const uint8_t *p, size_t n)
{
    kh_snapshot one;
    uint64_t gone = 0;
    kh_err err = kh_snapshot_of(height, p, n, &one);
    if (err != KH_OK) return err;
    (void)pthread_mutex_lock(&s->lock);
    bool there = find(s, height) != NULL;
    (void)pthread_mutex_unlock(&s->lock);
    if (there) return KH_OK;
    err = write_whole(s, height, p, n);
    if (err != KH_OK) return err;
    (void)pthread_mutex_lock(&s->lock);
    put(s, &one, &gone);
    if (gone != 0) err = remove_one(s, gone);
    if (err == KH_OK) err = tidy(s);
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}

kh_err kh_snapshots_pin(kh_snapshots *s, const uint64_t heights[KH_SNAPSHOTS_PINS])
{
    (void)pthread_mutex_lock(&s->lock);
    memcpy(s->pins, heights, sizeof s->pins);
    kh_err err = tidy(s);
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}

uint32_t kh_snapshots_list(kh_snapshots *s, kh_snapshot ret[KH_SNAPSHOTS_MAX])
{
    (void)pthread_mutex_lock(&s->lock);
    uint32_t over = s->cnt > KH_SNAPSHOTS_MAX ? s->cnt - KH_SNAPSHOTS_MAX : 0, cnt = s->cnt - over;
    memcpy(ret, s->of + over, cnt * sizeof *ret);
    (void)pthread_mutex_unlock(&s->lock);
    return cnt;
}

kh_err kh_snapshots_chunk(kh_snapshots *s, uint64_t height, uint32_t chunk, uint8_t **ret, size_t *ret_n)
{
    uint8_t *p = NULL;
    size_t n = 0;
    (void)pthread_mutex_lock(&s->lock);
    const kh_snapshot *one = find(s, height);
    kh_err err = one != NULL && chunk < one->chunks ? read_whole(s, height, &p, &n) : KH_E_NOT_FOUND;
    (void)pthread_mutex_unlock(&s->lock);
    if (err != KH_OK) return err;
    *ret_n = chunk_sz(n, chunk);
    memmove(p, p + (size_t)chunk * KH_SNAPSHOT_CHUNK_SZ, *ret_n);
    *ret = p;
    return KH_OK;
}

/* ---- taking one ---- */

struct kh_taking {
    uint64_t height;
    uint32_t chunks, there_cnt;
    size_t last_sz;
    uint8_t metadata[KH_SNAPSHOT_CHUNKS_MAX][32];
    bool there[KH_SNAPSHOT_CHUNKS_MAX];
    uint8_t *bytes;
};

kh_err kh_taking_begin(uint64_t height, uint32_t format, uint32_t chunks, const uint8_t *hash, size_t hash_n,
                       const uint8_t *metadata, size_t metadata_n, kh_taking **ret)
{
    uint8_t digest[32];
    if (format != KH_SNAPSHOT_FORMAT) return KH_E_VERSION;
    if (height == 0 || chunks == 0 || chunks > KH_SNAPSHOT_CHUNKS_MAX || hash_n != 32 || metadata_n != chunks * (size_t)32)
        return KH_E_FORMAT;
    kh_sha256(metadata, metadata_n, digest);
    if (memcmp(digest, hash, 32) != 0) return KH_E_FORMAT;
    kh_taking *t = calloc(1, sizeof *t);
    if (t == NULL || (t->bytes = malloc((size_t)chunks * KH_SNAPSHOT_CHUNK_SZ)) == NULL) {
        free(t);
        return KH_E_NOMEM;
    }
    t->height = height;
    t->chunks = chunks;
    memcpy(t->metadata, metadata, metadata_n);
    *ret = t;
    return KH_OK;
}

void kh_taking_free(kh_taking *t)
{
    if (t == NULL) return;
    free(t->bytes);
    free(t);
}

uint64_t kh_taking_height(const kh_taking *t) { return t->height; }

kh_err kh_taking_chunk(kh_taking *t, uint32_t chunk, const uint8_t *p, size_t n, bool *ret_whole)
{
    uint8_t digest[32];
    if (chunk >= t->chunks) return KH_E_FORMAT;
    bool last = chunk + 1 == t->chunks;
    if (n == 0 || n > KH_SNAPSHOT_CHUNK_SZ || (!last && n != KH_SNAPSHOT_CHUNK_SZ)) return KH_E_FORMAT;
    kh_sha256(p, n, digest);
    if (memcmp(digest, t->metadata[chunk], 32) != 0) return KH_E_FORMAT;
    if (!t->there[chunk]) {
        memcpy(t->bytes + (size_t)chunk * KH_SNAPSHOT_CHUNK_SZ, p, n);
        t->there[chunk] = true;
        t->there_cnt++;
        if (last) t->last_sz = n;
    }
    *ret_whole = t->there_cnt == t->chunks;
    return KH_OK;
}

const uint8_t *kh_taking_bytes(const kh_taking *t, size_t *ret_n)
{
    KH_ASSERT(t->there_cnt == t->chunks);
    *ret_n = (size_t)(t->chunks - 1) * KH_SNAPSHOT_CHUNK_SZ + t->last_sz;
    return t->bytes;
}
