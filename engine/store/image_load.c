/* image, loading: into a machine's own memory on all cores, or as a private map; either way every chunk has passed its XXH3
 * before anything looks at it. Passing over a map costs 30 to 60 ms a GB, so a file that passed is marked: with the boot, the
 * file and its last change. A short command of the same boot takes the mark of an unchanged file for the passing; whatever wrote
 * to the file since has changed that. The mark is an extended attribute, which copies do not take along; where there are none
 * each open passes. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "store/parts.h"

#define PIECE_CHUNKS 16u
#define WORKERS_MAX 8u
#define ALONE_MAX_CHUNKS 512u /* 32 MiB: below this a second thread costs more than it brings */

typedef struct loading {
    const kh_disk *disk;
    kh_file *file;
    const uint8_t *table;
    const kh_manifest *manifest;
    uint8_t *bases[KH_REGION_MAX]; /* NULL: only check */
    bool mapped;
    _Atomic uint64_t next; /* chunk */
    _Atomic uint64_t bad;  /* the first one found wrong, UINT64_MAX = none */
    _Atomic int err;
} loading;

/* Checks the n chunks of file [offset, …), which begin at byte `done` of region r. */
static kh_err pass(loading *l, uint32_t r, uint64_t chunk, uint32_t n, uint8_t *buffer)
{
    const kh_image_region *region = &l->manifest->regions[r];
    uint64_t offset = (chunk + 1) * KH_CHUNK_SZ, done = offset - region->offset;
    size_t want = (size_t)n * KH_CHUNK_SZ, used = (size_t)kh_min64(want, region->bytes - done), got;
    uint8_t *p = l->bases[r] != NULL && used == want ? l->bases[r] + done : buffer;
    if (l->mapped && used == want) { /* already there */
    } else {
        kh_err err = l->disk->read(l->disk->self, l->file, offset, p, want, &got);
        if (err != KH_OK) return err;
        if (got != want) return KH_E_DAMAGED;
    }
    for (uint32_t i = 0; i < n; i++)
        if (kh_xxh3(p + (size_t)i * KH_CHUNK_SZ, KH_CHUNK_SZ) != kh_load64(l->table + (chunk + i) * 8)) {
            atomic_store_explicit(&l->bad, chunk + i, memory_order_relaxed);
            return KH_E_DAMAGED;
        }
    if (l->bases[r] != NULL && !l->mapped && p == buffer) memcpy(l->bases[r] + done, buffer, used);
    return KH_OK;
}

static void *work(void *arg)
{
    loading *l = arg;
    uint8_t *buffer = aligned_alloc(4096, (size_t)PIECE_CHUNKS * KH_CHUNK_SZ);
    kh_err err = buffer != NULL ? KH_OK : KH_E_NOMEM;
    uint32_t r = 0;
    while (err == KH_OK && atomic_load_explicit(&l->err, memory_order_relaxed) == 0) {
        uint64_t chunk = atomic_fetch_add_explicit(&l->next, PIECE_CHUNKS, memory_order_relaxed);
        if (chunk >= l->manifest->chunk_cnt) break;
        uint64_t end = kh_min64(chunk + PIECE_CHUNKS, l->manifest->chunk_cnt);
        while (chunk < end && err == KH_OK) { /* a piece may lie across regions */
            const kh_image_region *region;
            for (;; r++) {
                region = &l->manifest->regions[r];
                if ((chunk + 1) * KH_CHUNK_SZ < region->offset + region->bytes) break;
            }
            uint64_t region_end = (region->offset + region->bytes + KH_CHUNK_SZ - 1) / KH_CHUNK_SZ - 1;
            uint32_t n = (uint32_t)(kh_min64(end, region_end) - chunk);
            err = pass(l, r, chunk, n, buffer);
            chunk += n;
        }
    }
    free(buffer);
    if (err != KH_OK) atomic_store_explicit(&l->err, err, memory_order_relaxed);
    return NULL;
}

static kh_err pass_all(const kh_home *home, loading *l)
{
    pthread_t threads[WORKERS_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = 0, want = cores < 1 ? 1 : (uint32_t)cores;
    if (want > WORKERS_MAX) want = WORKERS_MAX;
    if (home->private_disk || l->manifest->chunk_cnt < ALONE_MAX_CHUNKS) want = 1;
    while (n + 1 < want && pthread_create(&threads[n], NULL, work, l) == 0) n++;
    (void)work(l);
    for (uint32_t i = 0; i < n; i++) (void)pthread_join(threads[i], NULL);
    return (kh_err)atomic_load_explicit(&l->err, memory_order_relaxed);
}

/* Reads and checks manifest and table. *ret_table is malloc'ed. */
static kh_err open_image(const kh_home *home, const char *path, uint64_t height, kh_manifest *ret, uint8_t **ret_table,
                         kh_file **ret_file, kh_store_report *report)
{
    const kh_disk *d = home->disk;
    kh_file *f;
    uint8_t *head = NULL, *table = NULL, digest[32];
    uint64_t file_sz = 0;
    size_t got = 0;
    kh_err err = d->open(d->self, path, home->uncached ? KH_OPEN_READ | KH_OPEN_DURABLE : KH_OPEN_READ, &f);
    if (err != KH_OK) return err;
    err = d->size(d->self, f, &file_sz);
    if (err == KH_OK && (head = aligned_alloc(4096, KH_CHUNK_SZ)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = d->read(d->self, f, 0, head, KH_CHUNK_SZ, &got);
    if (err == KH_OK) err = got == KH_CHUNK_SZ ? kh_manifest_decode(head, ret) : KH_E_DAMAGED;
    if (err == KH_OK && (ret->height != height || memcmp(ret->home_id, home->id, 16) != 0)) err = KH_E_DAMAGED;
    if (err == KH_E_DAMAGED) kh_say(report, path, "byte 0: the manifest is not as it was written, or not this directory's");
    if (err == KH_OK && ret->file_sz != file_sz) {
        kh_say(report, path, "byte %llu: the file should be %llu bytes", (unsigned long long)file_sz,
               (unsigned long long)ret->file_sz);
        err = KH_E_DAMAGED;
    }
    if (err == KH_OK) {
        size_t n = ret->file_sz - ret->table_offset;
        table = aligned_alloc(4096, n != 0 ? n : 4096);
        err = table != NULL ? d->read(d->self, f, ret->table_offset, table, n, &got) : KH_E_NOMEM;
        if (err == KH_OK) kh_sha256(table, n, digest);
        if (err == KH_OK && (got != n || memcmp(digest, ret->table_digest, 32) != 0)) {
            kh_say(report, path, "byte %llu: the table of checksums is not as it was written",
                   (unsigned long long)ret->table_offset);
            err = KH_E_DAMAGED;
        }
    }
    free(head);
    if (err == KH_OK) {
        *ret_table = table;
        *ret_file = f;
        return KH_OK;
    }
    free(table);
    d->close(d->self, f);
    return err;
}

typedef struct mark { /* what the file was when all of its chunks passed */
    uint8_t boot_id[16], table_digest[32];
    uint64_t inode, size, changed_ns;
} mark;
static const char mark_name[] = "user.kanhe.passed";

static bool mark_of(const char *path, const kh_manifest *manifest, mark *ret)
{
    struct stat st;
    memset(ret, 0, sizeof *ret);
    if (stat(path, &st) != 0 || !kh_boot_id(ret->boot_id)) return false;
    memcpy(ret->table_digest, manifest->table_digest, 32);
    ret->inode = st.st_ino;
    ret->size = (uint64_t)st.st_size;
    ret->changed_ns = (uint64_t)st.st_mtim.tv_sec * KH_NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
    return true;
}

static bool passed_before(const char *path, const kh_manifest *manifest)
{
    mark now, then;
    return mark_of(path, manifest, &now) && getxattr(path, mark_name, &then, sizeof then) == (ssize_t)sizeof then &&
           memcmp(&now, &then, sizeof now) == 0;
}

/* mark_passed: `before` was taken before the passing, so that a change meanwhile is not taken for passed. */
static void mark_passed(const char *path, const mark *before) { (void)setxattr(path, mark_name, before, sizeof *before, 0); }

static kh_err map_regions(const char *path, const kh_manifest *manifest, kh_machine *m)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return KH_E_IO;
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < KH_REGION_MAX && err == KH_OK; i++)
        if (manifest->regions[i].row_cnt != 0)
            err = kh_state_map_file(&m->state, i, fd, manifest->regions[i].offset, manifest->regions[i].row_cnt);
    (void)close(fd);
    return err;
}

static kh_err load(const kh_home *home, uint64_t height, bool map, kh_machine *m, kh_manifest *ret, kh_store_report *report)
{
    char path[KH_PATH_MAX];
    kh_manifest *manifest = calloc(1, sizeof *manifest);
    loading *l = calloc(1, sizeof *l);
    uint8_t *table = NULL;
    kh_file *file = NULL;
    kh_err err = manifest != NULL && l != NULL ? KH_OK : KH_E_NOMEM;
    if (err == KH_OK) err = open_image(home, kh_image_path(home, height, path), height, manifest, &table, &file, report);
    if (err == KH_OK) {
        *l = (loading){.disk = home->disk, .file = file, .table = table, .manifest = manifest, .mapped = map && m != NULL};
        l->bad = UINT64_MAX;
        for (uint32_t i = 0; i < KH_REGION_MAX && m != NULL && err == KH_OK; i++) {
            const kh_image_region *r = &manifest->regions[i];
            bool newer = r->row_sz == 0 && r->row_cnt == 0; /* a region that came after this image: empty */
            if (!newer && (r->row_sz != m->state.regions[i].row_sz || r->row_cnt > m->state.regions[i].row_max)) {
                kh_say(report, path, "region %u has rows of %u bytes: written by another version", i, r->row_sz);
                err = KH_E_VERSION;
            }
            l->bases[i] = m->state.regions[i].base;
        }
        if (err == KH_OK && m != NULL && map) err = map_regions(path, manifest, m);
        if (err == KH_OK && m != NULL && !map) {
            err = kh_machine_fits(manifest->file_sz); /* a clear word instead of the out-of-memory killer */
            kh_state_use_huge_pages(&m->state);
        }
        mark before;
        bool marks = l->mapped && mark_of(path, manifest, &before);
        if (err == KH_OK && !(marks && passed_before(path, manifest))) {
            err = pass_all(home, l);
            if (err == KH_OK && marks) mark_passed(path, &before);
        }
        if (err == KH_E_DAMAGED) {
            uint64_t bad = atomic_load(&l->bad);
            kh_say(report, path, "byte %llu: a chunk does not have its checksum", (unsigned long long)((bad + 1) * KH_CHUNK_SZ));
        }
        for (uint32_t i = 0; i < KH_REGION_MAX && m != NULL && err == KH_OK; i++) {
            m->state.regions[i].row_cnt = manifest->regions[i].row_cnt;
            m->backed[i] = manifest->regions[i].bytes;
        }
        home->disk->close(home->disk->self, file);
        if (err == KH_OK) *ret = *manifest;
    }
    free(table);
    free(l);
    free(manifest);
    if (err != KH_OK) kh_say(report, path, "%s", kh_err_text(err));
    return err;
}

kh_err kh_image_load(const kh_home *home, uint64_t height, bool map, kh_machine *m, kh_manifest *ret, kh_store_report *report)
{
    return load(home, height, map && !home->private_disk, m, ret, report);
}

kh_err kh_image_check(const kh_home *home, uint64_t height, kh_manifest *ret, kh_store_report *report)
{
    return load(home, height, false, NULL, ret, report);
}

void kh_image_forget(const kh_home *home, uint64_t height)
{
    char path[KH_PATH_MAX];
    const kh_disk *d = home->disk;
    kh_file *f;
    uint64_t sz;
    if (d->pass == NULL || d->open(d->self, kh_image_path(home, height, path), KH_OPEN_READ, &f) != KH_OK) return;
    if (d->size(d->self, f, &sz) == KH_OK) d->pass(d->self, f, 0, sz, true);
    d->close(d->self, f);
}
