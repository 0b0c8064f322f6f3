/* wal_segment: the log's files. Each is made under a temporary name, all zeros behind its head block, synced, and only then
 * renamed: a segment that can be seen is whole. Zeros ahead mean that a commit never waits for the file system's journal. */
#include "log/wal.h"
#include <stdio.h>
#include <stdlib.h>

kh_err kh_wal_path(const char *dir, uint64_t number, bool making, char ret[KH_WAL_PATH_SZ])
{
    int n = snprintf(ret, KH_WAL_PATH_SZ, "%s/%016llx.%s", dir, (unsigned long long)number, making ? "new" : "wal");
    return n > 0 && n < KH_WAL_PATH_SZ ? KH_OK : KH_E_ARG;
}

static kh_err add(kh_log *log, uint64_t size)
{
    if (log->segment_cnt == log->segment_cap) {
        uint64_t cap = log->segment_cap == 0 ? 16 : 2 * log->segment_cap;
        kh_wal_segment *more = realloc(log->segments, cap * sizeof *more);
        if (more == NULL) return KH_E_NOMEM;
        log->segments = more;
        log->segment_cap = cap;
    }
    uint64_t start = 0;
    if (log->segment_cnt > 0) start = log->segments[log->segment_cnt - 1].start + log->segments[log->segment_cnt - 1].size;
    log->segments[log->segment_cnt++] = (kh_wal_segment){.size = size, .start = start};
    return KH_OK;
}

/* The numbers found in the directory: how many, and the highest. */
typedef struct found {
    uint64_t cnt, highest;
} found;

static void note_name(void *ctx, const char *name)
{
    found *f = ctx;
    uint64_t number = 0;
    if (strlen(name) != 20 || strcmp(name + 16, ".wal") != 0) return;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9') number = number << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f') number = number << 4 | (uint64_t)(c - 'a' + 10);
        else return;
    }
    f->cnt++;
    f->highest = kh_max64(f->highest, number);
}

static kh_err load_one(kh_log *log, uint64_t number, kh_log_open_report *report)
{
    char path[KH_WAL_PATH_SZ];
    uint8_t block[KH_WAL_BLOCK_SZ];
    kh_file *file;
    uint64_t file_sz = 0, size = 0, named = 0;
    size_t n = 0;
    kh_wal_place at = {.segment = number};
    kh_err err = kh_wal_path(log->dir, number, false, path);
    if (err == KH_OK) err = log->disk.open(log->disk.self, path, KH_OPEN_READ, &file);
    if (err == KH_E_NOT_FOUND) {
        kh_wal_say(log, report, "a segment of the log is missing", at);
        return KH_E_DAMAGED;
    }
    if (err != KH_OK) return err;
    err = log->disk.size(log->disk.self, file, &file_sz);
    if (err == KH_OK) err = log->disk.read(log->disk.self, file, 0, block, sizeof block, &n);
    log->disk.close(log->disk.self, file);
    if (err != KH_OK) return err;
    err = n == sizeof block ? kh_wal_segment_decode(block, &named, &size) : KH_E_FORMAT;
    if (err == KH_E_VERSION) {
        kh_wal_say(log, report, "the log was written by another version of the format", at);
        return err;
    }
    if (err != KH_OK || named != number) {
        kh_wal_say(log, report, "the head block of a segment is not what was written", at);
        return KH_E_DAMAGED;
    }
    if (file_sz < size) {
        at.offset = file_sz;
        kh_wal_say(log, report, "a segment is shorter than its head block says", at);
        return KH_E_DAMAGED;
    }
    return add(log, size);
}

kh_err kh_wal_segments_load(kh_log *log, kh_log_open_report *report)
{
    found f = {0};
    kh_err err = log->disk.list(log->disk.self, log->dir, note_name, &f);
    if (err != KH_OK) return err;
    if (f.cnt == 0) {
        kh_wal_say(log, report, "there is no log", (kh_wal_place){0});
        return KH_E_NOT_FOUND;
    }
    if (f.highest >= UINT32_MAX) {
        kh_wal_say(log, report, "a segment has a number that no log reaches", (kh_wal_place){.segment = f.highest});
        return KH_E_DAMAGED;
    }
    for (uint64_t i = log->segment_cnt; i <= f.highest && err == KH_OK; i++) err = load_one(log, i, report);
    return err;
}

static kh_err zeros_ready(kh_log *log)
{
    if (log->zeros == NULL) log->zeros = aligned_alloc(KH_WAL_BLOCK_SZ, KH_WAL_ZERO_STEP_SZ);
    if (log->zeros == NULL) return KH_E_NOMEM;
    memset(log->zeros, 0, KH_WAL_ZERO_STEP_SZ);
    return KH_OK;
}

static uint64_t size_of_next(const kh_log *log, uint64_t need_sz)
{
    uint64_t size = log->segment_cnt < 6 ? KH_WAL_SEGMENT_FIRST_SZ << log->segment_cnt : KH_WAL_SEGMENT_MAX_SZ;
    while (size < need_sz + KH_WAL_BLOCK_SZ) size *= 2;
    return size;
}

static kh_err ahead_begin(kh_log *log, uint64_t need_sz)
{
    char path[KH_WAL_PATH_SZ];
    kh_err err = zeros_ready(log);
    if (err == KH_OK) err = kh_wal_path(log->dir, log->segment_cnt, true, path);
    if (err != KH_OK) return err;
    kh_wal_ahead made = {.size = size_of_next(log, need_sz)};
    int flags = KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_DURABLE;
    err = log->disk.open(log->disk.self, path, flags, &made.file);
    if (err != KH_OK) return err;
    log->ahead = made;
    return KH_OK;
}

/* Head block, sync, rename, sync of the directory: from here on the segment is there. */
static kh_err ahead_publish(kh_log *log)
{
    char from[KH_WAL_PATH_SZ], to[KH_WAL_PATH_SZ];
    kh_wal_ahead *a = &log->ahead;
    void *self = log->disk.self;
    kh_wal_segment_encode(log->segment_cnt, a->size, log->zeros);
    kh_err err = log->disk.write(self, a->file, 0, log->zeros, KH_WAL_BLOCK_SZ);
    memset(log->zeros, 0, KH_WAL_BLOCK_SZ);
    if (err == KH_OK) err = log->disk.truncate(self, a->file, a->size); /* a left-over of an earlier try may have been longer */
    if (err == KH_OK) err = log->disk.sync(self, a->file);
    if (err == KH_OK) err = kh_wal_path(log->dir, log->segment_cnt, true, from);
    if (err == KH_OK) err = kh_wal_path(log->dir, log->segment_cnt, false, to);
    if (err == KH_OK) err = log->disk.rename(self, from, to);
    if (err == KH_OK) err = log->disk.sync_dir(self, log->dir);
    if (err == KH_OK) err = add(log, a->size);
    if (err != KH_OK) return err;
    log->segments[log->segment_cnt - 1].file = a->file;
    *a = (kh_wal_ahead){0};
    return KH_OK;
}

kh_err kh_wal_segment_make(kh_log *log, uint64_t need_sz)
{
    kh_wal_ahead *a = &log->ahead;
    kh_err err = KH_OK;
    KH_ASSERT(!a->writing);
    if (a->file != NULL && (a->err != KH_OK || a->size < need_sz + KH_WAL_BLOCK_SZ)) kh_wal_ahead_drop(log);
    if (a->file == NULL) err = ahead_begin(log, need_sz);
    while (err == KH_OK && a->written < a->size) {
        uint64_t n = kh_min64(KH_WAL_ZERO_STEP_SZ, a->size - a->written);
        err = log->disk.write(log->disk.self, a->file, a->written, log->zeros, n);
        a->written += n;
    }
    if (err == KH_OK) err = ahead_publish(log);
    if (err != KH_OK) kh_wal_ahead_drop(log);
    return err;
}

void kh_wal_ahead_step(kh_log *log)
{
    kh_wal_ahead *a = &log->ahead;
    const kh_wal_segment *now = &log->segments[log->end.at.segment];
    bool wanted = log->end.at.segment + 1 == log->segment_cnt && log->end.at.offset > now->size / 2;
    if (!wanted || a->writing || a->err != KH_OK) return;
    if (a->file == NULL && ahead_begin(log, 0) != KH_OK)
        return; /* whoever needs the segment meets the same error and reports it */
    if (a->written == a->size) return;
    uint64_t n = kh_min64(KH_WAL_ZERO_STEP_SZ, a->size - a->written);
    kh_err err = log->disk.submit_write(log->disk.self, a->file, a->written, log->zeros, n, KH_WAL_TAG_ZEROS);
    if (err == KH_E_AGAIN) return;
    a->err = err;
    if (err != KH_OK) return;
    a->writing = true;
    a->written += n;
}

void kh_wal_ahead_done(kh_log *log, kh_err err)
{
    log->ahead.writing = false;
    log->ahead.err = err;
}

void kh_wal_ahead_drop(kh_log *log)
{
    char path[KH_WAL_PATH_SZ];
    if (log->ahead.file == NULL) return;
    KH_ASSERT(!log->ahead.writing);
    log->disk.close(log->disk.self, log->ahead.file);
    log->ahead = (kh_wal_ahead){0};
    /* Left behind, it would only be overwritten by the next one: a failure here is none. */
    if (kh_wal_path(log->dir, log->segment_cnt, true, path) == KH_OK && log->disk.remove(log->disk.self, path) != KH_OK) return;
}

kh_err kh_wal_segment_open(kh_log *log, uint64_t number)
{
    char path[KH_WAL_PATH_SZ];
    kh_wal_segment *s = &log->segments[number];
    if (s->file != NULL) return KH_OK;
    kh_err err = kh_wal_path(log->dir, number, false, path);
    if (err != KH_OK) return err;
    return log->disk.open(log->disk.self, path, KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_DURABLE, &s->file);
}

void kh_wal_segment_retire(kh_log *log, uint64_t number)
{
    kh_wal_segment *s = &log->segments[number];
    if (s->file == NULL || s->in_flight > 0) return;
    log->disk.close(log->disk.self, s->file);
    s->file = NULL;
}
