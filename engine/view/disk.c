/* disk: what a view keeps on disk: files of sealed records, and the packages in them. */
#include <stdio.h>
#include <stdlib.h>
#include "view/parts.h"

#define FILE_MAGIC 0x3156484bu   /* "KHV1" */
#define RECORD_MAGIC 0x5256484bu /* "KHVR" */
#define CLOSING_SZ (1u << 20)    /* since the last snapshot: closing makes one */

char *kh_view_path(const kh_view *v, const char *name, char ret[512])
{
    (void)snprintf(ret, 512, "%s%s%s", v->dir, name[0] != '\0' ? "/" : "", name);
    return ret;
}

void kh_view_segment_name(uint32_t segment, char ret[32]) { (void)snprintf(ret, 32, "%08x.view", segment); }

/* ---- files ---- */

kh_err kh_view_file_new(kh_view *v, const char *name, kh_view_segment *ret)
{
    const kh_disk *d = v->options.disk;
    char path[512];
    uint8_t head[KH_VIEW_HEAD_SZ] = {0};
    kh_view_segment file = {.end = KH_VIEW_HEAD_SZ};
    kh_err err = v->options.entropy->fill(v->options.entropy->self, file.id, sizeof file.id);
    if (err == KH_OK)
        err = d->open(d->self, kh_view_path(v, name, path), KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_STREAM,
                      &file.file);
    if (err != KH_OK) return err;
    kh_store32(head, FILE_MAGIC);
    memcpy(head + 8, file.id, sizeof file.id);
    err = d->truncate(d->self, file.file, 0);
    if (err == KH_OK) err = d->write(d->self, file.file, 0, head, sizeof head);
    if (err == KH_OK) err = d->sync_dir(d->self, kh_view_path(v, "", path));
    if (err != KH_OK) {
        d->close(d->self, file.file);
        return err;
    }
    *ret = file;
    return KH_OK;
}

kh_err kh_view_file_open(kh_view *v, const char *name, kh_view_segment *ret)
{
    const kh_disk *d = v->options.disk;
    char path[512];
    uint8_t head[KH_VIEW_HEAD_SZ];
    size_t n = 0;
    kh_view_segment file = {0};
    kh_err err = d->open(d->self, kh_view_path(v, name, path), KH_OPEN_READ, &file.file);
    if (err != KH_OK) return err;
    err = d->size(d->self, file.file, &file.end);
    if (err == KH_OK) err = d->read(d->self, file.file, 0, head, sizeof head, &n);
    if (err == KH_OK && (n < sizeof head || kh_load32(head) != FILE_MAGIC)) err = n < sizeof head ? KH_E_AGAIN : KH_E_DAMAGED;
    if (err != KH_OK) {
        d->close(d->self, file.file);
        return err;
    }
    memcpy(file.id, head + 8, sizeof file.id);
    *ret = file;
    return KH_OK;
}

void kh_view_file_close(kh_view *v, kh_view_segment *file)
{
    if (file->file != NULL) v->options.disk->close(v->options.disk->self, file->file);
    file->file = NULL;
}

/* ---- records ---- */

static void key_of(const kh_view *v, const kh_view_segment *file, uint64_t number, uint8_t ret[32])
{
    uint8_t info[11 + 8] = "kanhe/view"; /* with its NUL */
    kh_store64(info + 11, number);
    kh_hkdf_sha256(file->id, sizeof file->id, v->disk_secret, sizeof v->disk_secret, info, sizeof info, ret, 32);
}

static void head_of(uint64_t number, size_t n, uint8_t ret[KH_VIEW_RECORD_SZ])
{
    kh_store32(ret, RECORD_MAGIC);
    kh_store32(ret + 4, (uint32_t)n);
    kh_store64(ret + 8, number);
    kh_store64(ret + 16, kh_xxh3(ret, 16));
}

static void aad_of(const kh_view *v, const uint8_t head[KH_VIEW_RECORD_SZ], uint8_t ret[KH_VIEW_RECORD_SZ + 36])
{
    memcpy(ret, head, KH_VIEW_RECORD_SZ);
    memcpy(ret + KH_VIEW_RECORD_SZ, v->chain, 32);
    kh_store32(ret + KH_VIEW_RECORD_SZ + 32, v->options.party);
}

static size_t head_sz_of(const kh_view *v) { return KH_VIEW_RECORD_SZ + kh_seal_tag_sz(v->options.suite); }

/* Behind the room for the head, so that both are written at once. */
uint8_t *kh_view_record_room(kh_view *v, const kh_view_segment *file, size_t n)
{
    uint8_t *at = n <= KH_VIEW_TEXT_MAX ? kh_spool_at(&v->out, file->end, head_sz_of(v) + n) : NULL;
    return at != NULL ? at + head_sz_of(v) : NULL;
}

kh_err kh_view_record_write(kh_view *v, kh_view_segment *file, uint8_t *text, size_t n)
{
    const kh_disk *d = v->options.disk;
    size_t head_sz = head_sz_of(v);
    uint8_t key[32], *head = text - head_sz, aad[KH_VIEW_RECORD_SZ + 36];
    uint64_t number = file->next_number++; /* not again, whatever becomes of this one */
    if (n > KH_VIEW_TEXT_MAX) return KH_E_ARG;
    key_of(v, file, number, key);
    head_of(number, n, head);
    aad_of(v, head, aad);
    kh_err err = kh_seal(v->options.suite, key, aad, sizeof aad, text, n, head + KH_VIEW_RECORD_SZ);
    if (err == KH_OK) err = d->write(d->self, file->file, file->end, head, head_sz + n);
    if (err == KH_OK) file->end += head_sz + n;
    kh_spool_done(&v->out);
    return err;
}

kh_err kh_view_record_read(kh_view *v, const kh_view_segment *file, uint64_t offset, uint64_t number, uint8_t **ret,
                           size_t *ret_n, uint64_t *ret_next)
{
    const kh_disk *d = v->options.disk;
    uint8_t key[32], head[KH_VIEW_RECORD_SZ + KH_SEAL_TAG_MAX_SZ], aad[KH_VIEW_RECORD_SZ + 36];
    size_t head_sz = KH_VIEW_RECORD_SZ + kh_seal_tag_sz(v->options.suite), n = 0;
    if (offset == file->end) return KH_E_NOT_FOUND;
    if (file->end - offset < head_sz) return KH_E_AGAIN;
    kh_err err = d->read(d->self, file->file, offset, head, head_sz, &n);
    if (err != KH_OK || n != head_sz) return err != KH_OK ? err : KH_E_IO;
    uint64_t size = kh_load32(head + 4), left = file->end - offset - head_sz;
    bool sound = kh_load32(head) == RECORD_MAGIC && kh_load64(head + 8) == number && kh_load64(head + 16) == kh_xxh3(head, 16);
    if (!sound) return KH_E_DAMAGED;
    if (size > left) return KH_E_AGAIN;
    uint8_t *text = malloc(size + 1);
    if (text == NULL) return KH_E_NOMEM;
    err = d->read(d->self, file->file, offset + head_sz, text, size, &n);
    key_of(v, file, number, key);
    aad_of(v, head, aad);
    if (err == KH_OK && n != size) err = KH_E_IO;
    if (err == KH_OK && !kh_unseal(v->options.suite, key, aad, sizeof aad, text, size, head + KH_VIEW_RECORD_SZ))
        err = size == left ? KH_E_AGAIN : KH_E_DAMAGED; /* the last one may have been under way */
    if (err != KH_OK) {
        free(text);
        return err;
    }
    *ret = text;
    *ret_n = size;
    *ret_next = offset + head_sz + size;
    return KH_OK;
}

/* ---- packages ---- */

kh_err kh_view_place_add(kh_view *v, const kh_view_place *place)
{
    if (v->place_cnt == v->place_cap) {
        uint32_t cap = v->place_cap == 0 ? 256 : v->place_cap * 2;
        kh_view_place *places = realloc(v->places, cap * sizeof *places);
        if (places == NULL) return KH_E_NOMEM;
        v->places = places;
        v->place_cap = cap;
    }
    v->places[v->place_cnt++] = *place;
    return KH_OK;
}

kh_err kh_view_package_at(kh_view *v, uint64_t height, uint8_t **ret, size_t *ret_n, uint64_t *ret_time_ns)
{
    uint32_t low = 0, high = v->place_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (v->places[middle].height < height) low = middle + 1;
        else high = middle;
    }
    const kh_view_place *place = &v->places[low];
    if (low == v->place_cnt || place->height != height) return KH_E_NOT_FOUND;
    *ret_time_ns = place->time_ns;
    if (place->bytes != NULL) {
        uint8_t *bytes = malloc(place->size);
        if (bytes == NULL) return KH_E_NOMEM;
        memcpy(bytes, place->bytes, place->size);
        *ret = bytes;
        *ret_n = place->size;
        return KH_OK;
    }
    char name[32];
    kh_view_segment file;
    uint64_t next;
    kh_view_segment_name(place->segment, name);
    kh_err err = kh_view_file_open(v, name, &file);
    if (err != KH_OK) return err;
    err = kh_view_record_read(v, &file, place->offset, place->number, ret, ret_n, &next);
    kh_view_file_close(v, &file);
    if (err != KH_OK) return err == KH_E_AGAIN || err == KH_E_NOT_FOUND ? KH_E_DAMAGED : err;
    *ret_n -= KH_VIEW_TEXT_HEAD_SZ;
    memmove(*ret, *ret + KH_VIEW_TEXT_HEAD_SZ, *ret_n);
    return KH_OK;
}

/* ---- saving ---- */

static kh_err segment_ready(kh_view *v)
{
    char name[32];
    kh_err err = KH_OK;
    if (v->segment.file != NULL) {
        if (v->segment.end < KH_VIEW_SEGMENT_SZ) return KH_OK;
        err = v->options.disk->sync(v->options.disk->self, v->segment.file);
        kh_view_file_close(v, &v->segment);
    }
    kh_view_segment_name(v->last_segment + 1, name);
    kh_view_segment file;
    if (err == KH_OK && v->last_segment >= KH_VIEW_SEGMENTS_MAX) err = KH_E_FULL;
    if (err == KH_OK) err = kh_view_file_new(v, name, &file);
    if (err != KH_OK) return err;
    file.name = ++v->last_segment;
    v->segment = file;
    return KH_OK;
}

static kh_err write_next(kh_view *v, uint32_t nth)
{
    (void)pthread_mutex_lock(&v->lock);
    kh_view_place place = v->places[nth]; /* its bytes are freed by who saves alone */
    (void)pthread_mutex_unlock(&v->lock);
    kh_err err = segment_ready(v);
    uint8_t *text = err == KH_OK ? kh_view_record_room(v, &v->segment, (size_t)place.size + KH_VIEW_TEXT_HEAD_SZ) : NULL;
    if (err == KH_OK && text == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) {
        kh_store64(text, place.height);
        kh_store64(text + 8, place.time_ns);
        memcpy(text + KH_VIEW_TEXT_HEAD_SZ, place.bytes, place.size);
        place.segment = v->segment.name;
        place.offset = v->segment.end;
        place.number = v->segment.next_number;
        err = kh_view_record_write(v, &v->segment, text, place.size + KH_VIEW_TEXT_HEAD_SZ);
    }
    if (err != KH_OK) return err;
    (void)pthread_mutex_lock(&v->lock);
    v->places[nth].segment = place.segment;
    v->places[nth].offset = place.offset;
    v->places[nth].number = place.number;
    (void)pthread_mutex_unlock(&v->lock);
    v->since_snapshot += place.size;
    return KH_OK;
}

/* A segment that no record came into goes, and its name is free again: a disk that fails for days leaves no file a second. */
static void segment_fails(kh_view *v)
{
    char name[32], path[512];
    const kh_disk *d = v->options.disk;
    bool empty = v->segment.file != NULL && v->segment.next_number == 0;
    uint32_t segment = v->segment.name;
    kh_view_file_close(v, &v->segment);
    if (!empty || segment != v->last_segment) return;
    kh_view_segment_name(segment, name);
    if (d->remove(d->self, kh_view_path(v, name, path)) == KH_OK) v->last_segment--;
}

/* What could not be written is tried again at the next beat, in a new segment. */
void kh_view_save(kh_view *v)
{
    const kh_disk *d = v->options.disk;
    uint32_t end = v->saved_cnt;
    (void)pthread_mutex_lock(&v->lock);
    uint64_t height = v->height; /* what is below and not among the places had no outputs */
    uint32_t upto = v->place_cnt;
    bool closing = v->closing;
    (void)pthread_mutex_unlock(&v->lock);
    kh_err err = KH_OK;
    for (; end < upto && err == KH_OK; end++) err = write_next(v, end);
    if (err == KH_OK && v->saved_cnt < upto) err = d->sync(d->self, v->segment.file);
    (void)pthread_mutex_lock(&v->lock);
    if (err == KH_OK) {
        for (; v->saved_cnt < upto; v->saved_cnt++) {
            v->unsaved_sz -= v->places[v->saved_cnt].size;
            free(v->places[v->saved_cnt].bytes);
            v->places[v->saved_cnt].bytes = NULL;
        }
        v->counts.durable_height = height;
    } else segment_fails(v);
    bool wanted = v->since_snapshot > (closing && v->options.snapshot_sz > CLOSING_SZ ? CLOSING_SZ : v->options.snapshot_sz);
    if (err == KH_OK && wanted && v->saved_cnt == v->place_cnt && kh_view_snapshot_make(v) == KH_OK) v->since_snapshot = 0;
    (void)pthread_mutex_unlock(&v->lock);
}
