/* bodies_file: records, appended in groups to the newest file. Before a new file is begun the one before is durable, so only the
 * newest can end in a torn group. */
#include "log/bodies_inside.h"
#include <stdio.h>
#include <stdlib.h>

static const uint8_t magic[4] = {'K', 'H', 'B', '1'};

/* The place is in the sum: a record is good only where it was put. */
static uint64_t head_check(const uint8_t p[KH_BODY_HEAD_SZ], uint32_t file_number, uint64_t offset)
{
    uint8_t buf[KH_BODY_HEAD_SZ - 8 + 16];
    memcpy(buf, p, KH_BODY_HEAD_SZ - 8);
    kh_store64(buf + KH_BODY_HEAD_SZ - 8, file_number);
    kh_store64(buf + KH_BODY_HEAD_SZ, offset);
    return kh_xxh3(buf, sizeof buf);
}

void kh_body_head_encode(const kh_body_record *record, uint32_t file_number, uint64_t offset, uint8_t ret[KH_BODY_HEAD_SZ])
{
    const kh_body_name *name = &record->name;
    memcpy(ret, magic, sizeof magic);
    kh_store32(ret + 4, name->size);
    kh_store32(ret + 8, name->sender);
    kh_store32(ret + 12, name->incarnation);
    kh_store64(ret + 16, name->sequence);
    kh_store64(ret + 24, name->expires_ns);
    memcpy(ret + 32, name->digest, 32);
    kh_store64(ret + 64, record->group);
    kh_store64(ret + 72, record->check);
    kh_store64(ret + 80, head_check(ret, file_number, offset));
}

bool kh_body_head_decode(const uint8_t p[KH_BODY_HEAD_SZ], uint32_t file_number, uint64_t offset, kh_body_record *ret)
{
    kh_body_record r = {.name = {.sender = kh_load32(p + 8),
                                 .incarnation = kh_load32(p + 12),
                                 .sequence = kh_load64(p + 16),
                                 .expires_ns = kh_load64(p + 24),
                                 .size = kh_load32(p + 4)},
                        .group = kh_load64(p + 64),
                        .check = kh_load64(p + 72)};
    if (memcmp(p, magic, sizeof magic) != 0 || kh_load64(p + 80) != head_check(p, file_number, offset)) return false;
    if (r.name.size == 0 || r.name.size > KH_ENVELOPE_MAX_SZ || r.group > offset) return false;
    memcpy(r.name.digest, p + 32, 32);
    *ret = r;
    return true;
}

kh_err kh_bodies_path(const kh_bodies *b, uint32_t number, char ret[KH_BODIES_PATH_SZ])
{
    int n = snprintf(ret, KH_BODIES_PATH_SZ, "%s/%08x.bodies", b->dir, (unsigned)number);
    return n > 0 && n < KH_BODIES_PATH_SZ ? KH_OK : KH_E_ARG;
}

kh_body_file *kh_bodies_file_add(kh_bodies *b, uint32_t number)
{
    kh_body_file *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->number = number;
    if (b->newest != NULL) b->newest->next = f;
    else b->files = f;
    b->newest = f;
    return f;
}

/* Begins the next file. That its name lasts is the group's end's business. */
static kh_err next_file(kh_bodies *b)
{
    char path[KH_BODIES_PATH_SZ];
    kh_file *file;
    uint32_t number = b->newest != NULL ? b->newest->number + 1 : 0;
    if (number == 0 && b->newest != NULL) return KH_E_FULL;
    kh_err err = kh_bodies_path(b, number, path);
    if (err == KH_OK)
        err = b->disk.open(b->disk.self, path, KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_EXCLUSIVE, &file);
    if (err != KH_OK) return err;
    (void)pthread_mutex_lock(&b->lock);
    bool added = kh_bodies_file_add(b, number) != NULL;
    (void)pthread_mutex_unlock(&b->lock);
    if (!added) {
        b->disk.close(b->disk.self, file);
        return KH_E_NOMEM;
    }
    if (b->open != NULL) b->disk.close(b->disk.self, b->open);
    b->open = file;
    return KH_OK;
}

static kh_err sync_newest(kh_bodies *b, uint64_t end)
{
    kh_err err = b->disk.sync(b->disk.self, b->open);
    if (err != KH_OK) return err;
    (void)pthread_mutex_lock(&b->lock);
    atomic_fetch_add_explicit(&b->bytes, end - b->newest->size, memory_order_relaxed);
    b->newest->size = end;
    (void)pthread_mutex_unlock(&b->lock);
    return KH_OK;
}

kh_err kh_bodies_write(kh_bodies *b, kh_body_job *jobs)
{
    kh_err err = KH_OK;
    bool name_is_new = false;
    uint64_t end = b->open != NULL ? b->newest->size : 0, group = end;
    for (kh_body_job *job = jobs; job != NULL && err == KH_OK; job = job->next) {
        if (job->p == NULL) continue;
        if (b->open == NULL || (end > 0 && end + job->n > b->file_max_sz)) {
            if (end > group) err = sync_newest(b, end);
            if (err == KH_OK) err = next_file(b);
            if (err != KH_OK) break;
            name_is_new = true;
            end = group = 0;
        }
        job->record.group = group;
        kh_body_head_encode(&job->record, b->newest->number, end, job->p);
        err = b->disk.write(b->disk.self, b->open, end, job->p, job->n);
        if (err != KH_OK) break;
        (void)pthread_mutex_lock(&b->lock);
        b->newest->holds++;
        (void)pthread_mutex_unlock(&b->lock);
        job->file = b->newest;
        job->offset = end;
        end += job->n;
    }
    if (err == KH_OK && end > group) err = sync_newest(b, end);
    if (err == KH_OK && name_is_new) err = b->disk.sync_dir(b->disk.self, b->dir);
    return err;
}

kh_body_file *kh_bodies_reap(kh_bodies *b)
{
    kh_body_file *gone = NULL, **at = &b->files;
    while (*at != NULL && *at != b->newest) {
        kh_body_file *f = *at;
        if (f->body_cnt > 0 || f->holds > 0) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        atomic_fetch_sub_explicit(&b->bytes, f->size, memory_order_relaxed);
        f->next = gone;
        gone = f;
    }
    return gone;
}

void kh_bodies_unlink(kh_bodies *b, kh_body_file *files)
{
    for (kh_body_file *next; files != NULL; files = next) {
        char path[KH_BODIES_PATH_SZ];
        next = files->next;
        /* One that stays is found when the store is opened again, and what is in it expires again. */
        if (kh_bodies_path(b, files->number, path) == KH_OK && b->disk.remove(b->disk.self, path) != KH_OK) next = files->next;
        free(files);
    }
}
