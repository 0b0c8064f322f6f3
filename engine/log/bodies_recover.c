/* bodies_recover: every file is walked from record to record. In all but the newest each record must stand; in the newest the
 * bytes are held against their sums too, and what does not stand is either the end, torn by a power cut and never acknowledged,
 * or damage: then a later record says that all before its group was durable. */
#include "log/bodies_inside.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct walk {
    kh_bodies *b;
    kh_body_file *file;
    kh_file *open;
    uint64_t size, at;
    char path[KH_BODIES_PATH_SZ];
} walk;

typedef struct numbers {
    uint32_t *items;
    uint32_t cnt, cap;
    bool full;
} numbers;

static void note_name(void *ctx, const char *name)
{
    numbers *f = ctx;
    uint32_t number = 0;
    if (strlen(name) != 15 || strcmp(name + 8, ".bodies") != 0) return;
    for (int i = 0; i < 8; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9') number = number << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f') number = number << 4 | (uint32_t)(c - 'a' + 10);
        else return;
    }
    if (f->cnt == f->cap) {
        uint32_t cap = f->cap == 0 ? 64 : 2 * f->cap;
        uint32_t *more = realloc(f->items, cap * sizeof *more);
        if (more == NULL) {
            f->full = true;
            return;
        }
        f->items = more;
        f->cap = cap;
    }
    f->items[f->cnt++] = number;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = kh_load32(a), y = kh_load32(b);
    return x < y ? -1 : x > y;
}

/* KH_E_NOT_FOUND: no record stands here. */
static kh_err read_head(const walk *w, kh_body_record *ret)
{
    uint8_t head[KH_BODY_HEAD_SZ];
    size_t n = 0;
    kh_err err = w->b->disk.read(w->b->disk.self, w->open, w->at, head, sizeof head, &n);
    if (err != KH_OK) return err;
    if (n < sizeof head || !kh_body_head_decode(head, w->file->number, w->at, ret)) return KH_E_NOT_FOUND;
    return kh_body_record_sz(ret->name.size) > w->size - w->at ? KH_E_NOT_FOUND : KH_OK;
}

static kh_err read_bytes(const walk *w, const kh_body_record *record)
{
    size_t n = 0;
    uint8_t *p = malloc(record->name.size);
    if (p == NULL) return KH_E_NOMEM;
    kh_err err = w->b->disk.read(w->b->disk.self, w->open, w->at + KH_BODY_HEAD_SZ, p, record->name.size, &n);
    if (err == KH_OK && (n < record->name.size || kh_xxh3(p, n) != record->check)) err = KH_E_NOT_FOUND;
    free(p);
    return err;
}

/* Of several records of one body the one that is good longest counts. */
static kh_err note_record(const walk *w, const kh_body_record *record)
{
    kh_bodies *b = w->b;
    kh_body *body = kh_bodies_find(b, record->name.digest);
    if (body == NULL) body = kh_bodies_add(b, &record->name);
    if (body == NULL) return KH_E_NOMEM;
    if (body->file != NULL && body->name.expires_ns >= record->name.expires_ns) return KH_OK;
    kh_bodies_place(body, w->file, w->at, record->name.expires_ns);
    b->earliest_ns = kh_min64(b->earliest_ns, record->name.expires_ns);
    return kh_bodies_charge(b, body, kh_body_record_sz(record->name.size), false);
}

static kh_err damaged(const walk *w, char *why, size_t cap)
{
    (void)snprintf(
        why, cap,
        "%s at byte %llu: a stored body is not what was written; put this file aside: what was in it is asked of the other nodes",
        w->path, (unsigned long long)w->at);
    return KH_E_DAMAGED;
}

/* Is there, behind what does not stand, a record that was written when all of this was durable? */
static kh_err is_proven(const walk *w, bool *ret)
{
    size_t rest = (size_t)(w->size - w->at), n = 0;
    kh_body_record record;
    uint8_t *p = malloc(rest);
    if (p == NULL) return KH_E_NOMEM;
    kh_err err = w->b->disk.read(w->b->disk.self, w->open, w->at, p, rest, &n);
    *ret = false;
    for (size_t i = 8; err == KH_OK && !*ret && i + KH_BODY_HEAD_SZ <= n; i += 8)
        *ret = kh_body_head_decode(p + i, w->file->number, w->at + i, &record) && record.group > w->at;
    free(p);
    return err;
}

static kh_err cut_tail(walk *w, char *why, size_t cap)
{
    bool proven;
    kh_err err = is_proven(w, &proven);
    if (err != KH_OK) return err;
    if (proven) return damaged(w, why, cap);
    err = w->b->disk.truncate(w->b->disk.self, w->open, w->at);
    if (err == KH_OK) w->size = w->at;
    return err;
}

static kh_err walk_file(walk *w, bool newest, char *why, size_t cap)
{
    kh_body_record record;
    kh_err err = KH_OK;
    while (w->at < w->size && err == KH_OK) {
        err = read_head(w, &record);
        if (err == KH_OK && newest) err = read_bytes(w, &record);
        if (err == KH_OK) err = note_record(w, &record);
        if (err == KH_OK) w->at += kh_body_record_sz(record.name.size);
    }
    if (err == KH_E_NOT_FOUND) err = newest ? cut_tail(w, why, cap) : damaged(w, why, cap);
    return err;
}

static kh_err recover_file(kh_bodies *b, uint32_t number, bool newest, char *why, size_t cap)
{
    walk w = {.b = b};
    kh_err err = kh_bodies_path(b, number, w.path);
    if (err == KH_OK) err = b->disk.open(b->disk.self, w.path, newest ? KH_OPEN_READ | KH_OPEN_WRITE : KH_OPEN_READ, &w.open);
    if (err != KH_OK) return err;
    w.file = kh_bodies_file_add(b, number);
    err = w.file != NULL ? b->disk.size(b->disk.self, w.open, &w.size) : KH_E_NOMEM;
    if (err == KH_OK) err = walk_file(&w, newest, why, cap);
    /* What was read may have been written by a process that ended before its sync. */
    if (err == KH_OK && newest) err = b->disk.sync(b->disk.self, w.open);
    if (err == KH_OK) {
        w.file->size = w.size;
        atomic_fetch_add_explicit(&b->bytes, w.size, memory_order_relaxed);
    }
    if (err == KH_OK && newest) b->open = w.open;
    else b->disk.close(b->disk.self, w.open);
    return err;
}

kh_err kh_bodies_recover(kh_bodies *b, char *why, size_t cap)
{
    numbers f = {0};
    kh_err err = b->disk.list(b->disk.self, b->dir, note_name, &f);
    if (err == KH_OK && f.full) err = KH_E_NOMEM;
    if (f.cnt > 0) qsort(f.items, f.cnt, sizeof *f.items, by_number);
    for (uint32_t i = 0; i < f.cnt && err == KH_OK; i++) err = recover_file(b, f.items[i], i + 1 == f.cnt, why, cap);
    /* The newest name may be from a run that ended before it was durable: what is acknowledged from here on stands on it. */
    if (err == KH_OK && f.cnt > 0) err = b->disk.sync_dir(b->disk.self, b->dir);
    free(f.items);
    if (err != KH_OK && why[0] == '\0') (void)snprintf(why, cap, "%s: %s", b->dir, kh_err_text(err));
    return err;
}
