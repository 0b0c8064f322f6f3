/* image: what an image file holds and which ones there are. Layout in docs/FORMAT.md: a manifest of one chunk, the regions'
 * chunks, the table of their XXH3. */
#include <stdio.h>
#include <stdlib.h>
#include "store/parts.h"

#define VERSION 1u
static const char magic[8] = {'K', 'H', 'I', 'M', 'A', 'G', 'E', '1'};
enum {
    AT_VERSION = 8,
    AT_REGIONS_CNT = 12,
    AT_HEIGHT = 16,
    AT_TIME = 24,
    AT_LOG = 32,
    AT_CHAIN = 64,
    AT_CHECK = 96,
    AT_CHUNKS = 104,
    AT_TABLE = 112,
    AT_FILE = 120,
    AT_HOME = 128,
    AT_TABLE_DIGEST = 144,
    AT_REGIONS = 256,
    REGION_SZ = 32,
    AT_SUM = KH_CHUNK_SZ - 32
};

void kh_manifest_encode(const kh_manifest *m, uint8_t p[KH_CHUNK_SZ])
{
    memset(p, 0, KH_CHUNK_SZ);
    memcpy(p, magic, sizeof magic);
    kh_store32(p + AT_VERSION, VERSION);
    kh_store32(p + AT_REGIONS_CNT, KH_REGION_MAX);
    kh_store64(p + AT_HEIGHT, m->height);
    kh_store64(p + AT_TIME, m->time_ns);
    memcpy(p + AT_LOG, m->log_digest, 32);
    memcpy(p + AT_CHAIN, m->chain, 32);
    kh_store64(p + AT_CHECK, m->ledger_check);
    kh_store64(p + AT_CHUNKS, m->chunk_cnt);
    kh_store64(p + AT_TABLE, m->table_offset);
    kh_store64(p + AT_FILE, m->file_sz);
    memcpy(p + AT_HOME, m->home_id, 16);
    memcpy(p + AT_TABLE_DIGEST, m->table_digest, 32);
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        uint8_t *q = p + AT_REGIONS + i * REGION_SZ;
        kh_store32(q, m->regions[i].row_sz);
        kh_store64(q + 8, m->regions[i].row_cnt);
        kh_store64(q + 16, m->regions[i].offset);
        kh_store64(q + 24, m->regions[i].bytes);
    }
    kh_sha256(p, AT_SUM, p + AT_SUM);
}

/* Every region has the place that follows from the sizes before it; nothing is taken on trust. */
static bool places_right(const kh_manifest *m)
{
    uint64_t offset = KH_CHUNK_SZ, chunks = 0;
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        const kh_image_region *r = &m->regions[i];
        uint64_t bytes;
        if (__builtin_mul_overflow(r->row_cnt, (uint64_t)r->row_sz, &bytes) || bytes != r->bytes) return false;
        if (bytes > UINT64_MAX / 4 || r->offset != offset) return false;
        uint64_t n = (bytes + KH_CHUNK_SZ - 1) / KH_CHUNK_SZ;
        if (!kh_add64(offset, n * KH_CHUNK_SZ, &offset)) return false;
        chunks += n;
    }
    uint64_t table_sz = (chunks * 8 + 4095) & ~UINT64_C(4095);
    return m->chunk_cnt == chunks && m->table_offset == offset && m->file_sz == offset + table_sz;
}

kh_err kh_manifest_decode(const uint8_t p[KH_CHUNK_SZ], kh_manifest *ret)
{
    uint8_t digest[32];
    kh_sha256(p, AT_SUM, digest);
    if (memcmp(digest, p + AT_SUM, 32) != 0 || memcmp(p, magic, sizeof magic) != 0) return KH_E_DAMAGED;
    if (kh_load32(p + AT_VERSION) != VERSION || kh_load32(p + AT_REGIONS_CNT) != KH_REGION_MAX) return KH_E_VERSION;
    kh_manifest m = {.height = kh_load64(p + AT_HEIGHT),
                     .time_ns = kh_load64(p + AT_TIME),
                     .ledger_check = kh_load64(p + AT_CHECK),
                     .chunk_cnt = kh_load64(p + AT_CHUNKS),
                     .table_offset = kh_load64(p + AT_TABLE),
                     .file_sz = kh_load64(p + AT_FILE)};
    memcpy(m.log_digest, p + AT_LOG, 32);
    memcpy(m.chain, p + AT_CHAIN, 32);
    memcpy(m.table_digest, p + AT_TABLE_DIGEST, 32);
    memcpy(m.home_id, p + AT_HOME, 16);
    for (uint32_t i = 0; i < KH_REGION_MAX; i++) {
        const uint8_t *q = p + AT_REGIONS + i * REGION_SZ;
        m.regions[i] = (kh_image_region){kh_load32(q), kh_load64(q + 8), kh_load64(q + 16), kh_load64(q + 24)};
    }
    if (!places_right(&m)) return KH_E_DAMAGED;
    *ret = m;
    return KH_OK;
}

const char *kh_image_path(const kh_home *home, uint64_t height, char ret[KH_PATH_MAX])
{
    char name[KH_IMAGE_NAME_SZ + 8];
    (void)snprintf(name, sizeof name, "image/%016llx.img", (unsigned long long)height);
    return kh_home_path(home, name, ret);
}

typedef struct listing {
    uint64_t *heights;
    uint32_t max, n;
} listing;

static void take_name(void *ctx, const char *name)
{
    listing *l = ctx;
    char *end;
    if (strlen(name) != 20 || strcmp(name + 16, ".img") != 0) return;
    uint64_t height = strtoull(name, &end, 16);
    if (end != name + 16 || height == 0) return;
    uint32_t at = l->n;
    while (at > 0 && l->heights[at - 1] < height) at--;
    if (at == l->max) return;
    if (l->n == l->max) l->n--;
    memmove(l->heights + at + 1, l->heights + at, (l->n - at) * sizeof *l->heights);
    l->heights[at] = height;
    l->n++;
}

kh_err kh_image_heights(const kh_home *home, uint64_t *ret, uint32_t max, uint32_t *ret_n)
{
    char path[KH_PATH_MAX];
    listing l = {ret, max, 0};
    kh_err err = home->disk->list(home->disk->self, kh_home_path(home, "image", path), take_name, &l);
    if (err == KH_OK) *ret_n = l.n;
    return err;
}

void kh_image_clean(const kh_home *home)
{
    char path[KH_PATH_MAX];
    kh_err err = home->disk->remove(home->disk->self, kh_home_path(home, "image/new.tmp", path));
    (void)err; /* most often there is none; one that stays is written over by the next */
}

/* heights: newest first. */
static bool stays(const kh_image_keep *keep, const uint64_t *heights, uint32_t at)
{
    bool stays = keep->all;
    for (uint32_t i = 0; i < keep->cnt; i++) stays |= heights[at] <= keep->numbers[i] && heights[at - 1] > keep->numbers[i];
    return stays;
}

kh_err kh_image_publish(const kh_home *home, uint64_t height, const kh_image_keep *keep)
{
    char from[KH_PATH_MAX], to[KH_PATH_MAX];
    uint64_t heights[16];
    uint32_t n = 0;
    const kh_disk *d = home->disk;
    kh_err err = d->rename(d->self, kh_home_path(home, "image/new.tmp", from), kh_image_path(home, height, to));
    if (err == KH_OK) err = d->sync_dir(d->self, kh_home_path(home, "image", from));
    if (err == KH_OK) err = kh_image_heights(home, heights, 16, &n);
    /* Two stay: a reader may be about to open the older one, and it is what remains if a bit of the newer one rots. */
    for (uint32_t i = 2; i < n && err == KH_OK; i++)
        if (heights[i] != home->start.number && !stays(keep, heights, i))
            err = d->remove(d->self, kh_image_path(home, heights[i], to));
    return err;
}
