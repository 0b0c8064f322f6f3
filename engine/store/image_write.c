/* image, writing: a machine's regions go to a file under a temporary name, chunk by chunk with durable writes, the manifest last.
 */
#include <stdlib.h>
#include <time.h>
#include "store/parts.h"

#define PIECE_SZ (1u << 20)
#define REST_MAX_NS (KH_NS_PER_S / 20)

typedef struct writer {
    const kh_disk *disk;
    kh_file *file;
    uint8_t *buffer; /* one piece, aligned: the end of a region, and what is not in a region */
    uint8_t *table;
    uint64_t at, chunk, bytes_per_s, began;
} writer;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Never faster than asked, and never more than half of the time: log writes pass beside this, on whatever disk. */
static void pace(const writer *w, uint64_t piece_began)
{
    if (w->bytes_per_s == 0) return;
    uint64_t due = w->began + (uint64_t)((double)w->at / (double)w->bytes_per_s * 1e9), now = now_ns();
    uint64_t wait = kh_max64(due > now ? due - now : 0, kh_min64(now - piece_began, REST_MAX_NS));
    struct timespec nap = {(time_t)(wait / KH_NS_PER_S), (long)(wait % KH_NS_PER_S)};
    (void)nanosleep(&nap, NULL);
}

static kh_err write_region(writer *w, const uint8_t *base, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes; done += PIECE_SZ) {
        size_t n = (size_t)kh_min64(PIECE_SZ, bytes - done), padded = (n + KH_CHUNK_SZ - 1) & ~(size_t)(KH_CHUNK_SZ - 1);
        const uint8_t *p = base + done;
        if (padded != n) {
            memcpy(w->buffer, p, n);
            memset(w->buffer + n, 0, padded - n);
            p = w->buffer;
        }
        for (size_t i = 0; i < padded; i += KH_CHUNK_SZ) kh_store64(w->table + w->chunk++ * 8, kh_xxh3(p + i, KH_CHUNK_SZ));
        uint64_t began = w->bytes_per_s == 0 ? 0 : now_ns();
        kh_err err = w->disk->write(w->disk->self, w->file, w->at, p, padded);
        if (err != KH_OK) return err;
        w->at += padded;
        pace(w, began);
    }
    return KH_OK;
}

kh_err kh_image_write(const kh_home *home, const kh_machine *m, const kh_image_stand *stand, uint64_t bytes_per_s)
{
    char path[KH_PATH_MAX];
    kh_manifest manifest = {.height = stand->height, .time_ns = stand->time_ns, .ledger_check = kh_ledger_check(m->ledger)};
    memcpy(manifest.log_digest, stand->log_digest, 32);
    memcpy(manifest.chain, stand->chain, 32);
    memcpy(manifest.home_id, home->id, 16);
    uint64_t offset = KH_CHUNK_SZ;
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        const kh_region *r = &m->state.regions[i];
        uint64_t bytes = r->row_cnt * r->row_sz, chunks = (bytes + KH_CHUNK_SZ - 1) / KH_CHUNK_SZ;
        manifest.regions[i] = (kh_image_region){r->row_sz, r->row_cnt, offset, bytes};
        manifest.chunk_cnt += chunks;
        offset += chunks * KH_CHUNK_SZ;
    }
    uint64_t table_sz = (manifest.chunk_cnt * 8 + 4095) & ~UINT64_C(4095);
    manifest.table_offset = offset;
    manifest.file_sz = offset + table_sz;

    kh_image_clean(home);
    writer w = {.disk = home->disk, .at = KH_CHUNK_SZ, .bytes_per_s = bytes_per_s, .began = now_ns()};
    kh_err err = w.disk->open(w.disk->self, kh_home_path(home, "image/new.tmp", path),
                              KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_DURABLE, &w.file);
    if (err != KH_OK) return err;
    w.buffer = aligned_alloc(4096, PIECE_SZ);
    w.table = aligned_alloc(4096, table_sz != 0 ? table_sz : 4096);
    if (w.buffer == NULL || w.table == NULL) err = KH_E_NOMEM;
    else memset(w.table, 0, table_sz);
    for (uint32_t i = 0; i < KH_REGION_MAX && err == KH_OK; i++)
        err = write_region(&w, m->state.regions[i].base, manifest.regions[i].bytes);
    if (err == KH_OK && table_sz != 0) err = w.disk->write(w.disk->self, w.file, manifest.table_offset, w.table, table_sz);
    if (err == KH_OK) {
        kh_sha256(w.table, table_sz, manifest.table_digest);
        kh_manifest_encode(&manifest, w.buffer);
        err = w.disk->write(w.disk->self, w.file, 0, w.buffer, KH_CHUNK_SZ);
    }
    if (err == KH_OK) err = w.disk->sync(w.disk->self, w.file);
    w.disk->close(w.disk->self, w.file);
    free(w.buffer);
    free(w.table);
    if (err != KH_OK) kh_image_clean(home);
    return err;
}
