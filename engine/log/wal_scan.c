/* wal_scan: walking the records of a log through a window on its segments; used by recovery and by replay. */
#include "log/wal.h"
#include <stdio.h>
#include <stdlib.h>

kh_err kh_wal_window_init(kh_wal_window *window, const kh_log *log, size_t step_sz)
{
    kh_wal_window w = {.log = log, .segment = UINT64_MAX, .step_sz = step_sz, .cap = step_sz};
    w.buf = aligned_alloc(KH_WAL_BLOCK_SZ, w.cap); /* a read past the file cache wants it so */
    if (w.buf == NULL) return KH_E_NOMEM;
    *window = w;
    return KH_OK;
}

void kh_wal_window_free(kh_wal_window *window)
{
    if (window->file != NULL) window->log->disk.close(window->log->disk.self, window->file);
    free(window->buf);
    *window = (kh_wal_window){0};
}

static kh_err enter(kh_wal_window *w, uint64_t segment)
{
    char path[KH_WAL_PATH_SZ];
    kh_file *file;
    kh_err err = kh_wal_path(w->log->dir, segment, false, path);
    int flags = w->uncached ? KH_OPEN_READ | KH_OPEN_DURABLE : KH_OPEN_READ;
    if (err == KH_OK) err = w->log->disk.open(w->log->disk.self, path, flags, &file);
    if (err != KH_OK) return err;
    if (w->file != NULL) w->log->disk.close(w->log->disk.self, w->file);
    w->file = file;
    w->segment = segment;
    w->at = 0;
    w->n = 0;
    return KH_OK;
}

kh_err kh_wal_window_get(kh_wal_window *w, kh_wal_place at, size_t n, const uint8_t **ret)
{
    kh_err err = KH_OK;
    uint64_t size = w->log->segments[at.segment].size;
    KH_ASSERT(at.offset <= size && n <= size - at.offset);
    if (w->segment != at.segment) err = enter(w, at.segment);
    if (err != KH_OK) return err;
    if (at.offset >= w->at && at.offset + n <= w->at + w->n) {
        *ret = w->buf + (at.offset - w->at);
        return KH_OK;
    }
    size_t want = (size_t)kh_min64(kh_max64(n, w->step_sz), size - at.offset), kept = 0, got = 0;
    uint8_t *buf = want > w->cap ? aligned_alloc(KH_WAL_BLOCK_SZ, want) : w->buf;
    if (buf == NULL) return KH_E_NOMEM;
    if (at.offset >= w->at && at.offset < w->at + w->n) {
        kept = (size_t)(w->at + w->n - at.offset);
        memmove(buf, w->buf + (at.offset - w->at), kept);
    }
    if (buf != w->buf) {
        free(w->buf);
        w->buf = buf;
        w->cap = want;
    }
    w->n = 0;
    err = w->log->disk.read(w->log->disk.self, w->file, at.offset + kept, w->buf + kept, want - kept, &got);
    if (err != KH_OK) return err;
    if (got < want - kept) memset(w->buf + kept + got, 0, want - kept - got); /* cut off outside: it reads as nothing written */
    w->at = at.offset;
    w->n = want;
    *ret = w->buf;
    return KH_OK;
}

static const char segment_ends[] = "the segment ends here";
static const char nothing_written[] = "nothing was written here";

/* Does this header continue the chain? The reason if not. */
static const char *continues(const kh_wal_header *h, const kh_wal_cursor *c, kh_wal_place at)
{
    if (h->position != (at.segment << 32 | at.offset)) return "a record stands where it was not written";
    if (h->sequence != c->sequence + 1) return "a record's sequence does not follow";
    if (h->height != c->height + (h->kind == KH_WAL_ENTRY ? 1 : 0)) return "a record's height does not follow";
    if (h->epoch < c->epoch) return "a record is of an earlier epoch";
    if (h->time_ns < c->time_ns) return "time goes back";
    if (memcmp(h->previous, c->digest, 32) != 0) return "the hash chain is broken";
    if (h->kind == KH_WAL_MARK && memcmp(h->digest, h->previous, 32) != 0) return "a mark changes the hash chain";
    return NULL;
}

static kh_err broken(kh_wal_break *ret, const char *why, kh_wal_place at)
{
    ret->why = why;
    ret->at = at;
    return KH_E_NOT_FOUND;
}

/* The first byte behind the body that is not zero, or the record's size. */
static uint64_t padding_end(const uint8_t *bytes, uint64_t from, uint64_t sz)
{
    while (from < sz && bytes[from] == 0) from++;
    return from;
}

static kh_err check_at(kh_wal_window *w, kh_wal_depth depth, const kh_wal_cursor *c, kh_wal_place at, kh_wal_record *ret,
                       kh_wal_break *ret_break)
{
    const uint8_t *bytes;
    kh_wal_header h;
    uint64_t size = w->log->segments[at.segment].size;
    if (at.offset + KH_WAL_BLOCK_SZ > size) return broken(ret_break, segment_ends, at);
    kh_err err = kh_wal_window_get(w, at, KH_WAL_BLOCK_SZ, &bytes);
    if (err != KH_OK) return err;
    if (kh_wal_header_decode(bytes, &h) != KH_OK)
        return broken(ret_break,
                      kh_wal_is_zero(bytes, KH_WAL_BLOCK_SZ) ? nothing_written : "a record's header is not what was written", at);
    const char *why = continues(&h, c, at);
    if (why != NULL) return broken(ret_break, why, at);
    uint64_t sz = kh_wal_record_sz(h.body_sz);
    if (sz > size - at.offset) return broken(ret_break, "a record reaches behind its segment", at);
    const uint8_t *body = NULL;
    if (depth != KH_WAL_HEADERS) {
        err = kh_wal_window_get(w, at, sz, &bytes);
        if (err != KH_OK) return err;
        body = bytes + KH_WAL_HEADER_SZ;
        kh_wal_place body_at = {.segment = at.segment, .offset = at.offset + KH_WAL_HEADER_SZ};
        if (kh_xxh3(body, h.body_sz) != h.body_check)
            return broken(ret_break, "an entry's body is not what was written", body_at);
        uint64_t end = padding_end(bytes, (uint64_t)KH_WAL_HEADER_SZ + h.body_sz, sz);
        if (end < sz)
            return broken(ret_break, "the zeros behind an entry are not zero",
                          (kh_wal_place){.segment = at.segment, .offset = at.offset + end});
        if (depth == KH_WAL_CHAIN && h.kind == KH_WAL_ENTRY) {
            uint8_t digest[32];
            kh_wal_digest(&h, body, digest);
            if (memcmp(digest, h.digest, 32) != 0) return broken(ret_break, "the hash chain does not cover this entry", at);
        }
    }
    *ret = (kh_wal_record){.header = h, .at = at, .body = body};
    return KH_OK;
}

kh_err kh_wal_next(kh_wal_window *window, kh_wal_depth depth, kh_wal_cursor *cursor, kh_wal_record *ret, kh_wal_break *ret_break)
{
    kh_wal_break here = {0}, there = {0};
    kh_err err = check_at(window, depth, cursor, cursor->at, ret, &here);
    /* What did not fit into the rest of a segment stands at the start of the next one that holds it. */
    bool nothing_here = here.why == segment_ends || here.why == nothing_written, passed = true;
    for (uint64_t i = cursor->at.segment + 1; err == KH_E_NOT_FOUND && passed && i < window->log->segment_cnt; i++) {
        err = check_at(window, depth, cursor, (kh_wal_place){.segment = i, .offset = KH_WAL_BLOCK_SZ}, ret, &there);
        passed = there.why == nothing_written;
        if (err == KH_E_NOT_FOUND && nothing_here && !passed) here = there;
    }
    if (err == KH_E_NOT_FOUND) *ret_break = here;
    if (err != KH_OK) return err;
    const kh_wal_header *h = &ret->header;
    cursor->at = (kh_wal_place){.segment = ret->at.segment, .offset = ret->at.offset + kh_wal_record_sz(h->body_sz)};
    cursor->height = h->height;
    cursor->time_ns = h->time_ns;
    cursor->sequence = h->sequence;
    cursor->epoch = h->epoch;
    cursor->marked = h->kind == KH_WAL_MARK;
    memcpy(cursor->digest, h->digest, 32);
    return KH_OK;
}

kh_err kh_wal_begin(kh_wal_window *window, kh_wal_cursor *ret)
{
    const uint8_t *bytes;
    kh_wal_header h;
    kh_wal_cursor c = {.at = {.segment = 0, .offset = KH_WAL_BLOCK_SZ}, .epoch = 1};
    kh_err err = kh_wal_window_get(window, c.at, KH_WAL_BLOCK_SZ, &bytes);
    if (err != KH_OK) return err;
    bool is_mark = kh_wal_header_decode(bytes, &h) == KH_OK && h.kind == KH_WAL_MARK && h.height != 0 && h.sequence == 1 &&
                   h.epoch == c.epoch && h.durable_upto == h.height && h.position == c.at.offset && h.body_sz == 0 &&
                   memcmp(h.digest, h.previous, 32) == 0 &&
                   padding_end(bytes, KH_WAL_HEADER_SZ, KH_WAL_BLOCK_SZ) == KH_WAL_BLOCK_SZ;
    if (is_mark) {
        c = (kh_wal_cursor){.at = {.segment = 0, .offset = 2 * KH_WAL_BLOCK_SZ},
                            .height = h.height,
                            .time_ns = h.time_ns,
                            .sequence = h.sequence,
                            .epoch = h.epoch,
                            .marked = true};
        memcpy(c.digest, h.digest, 32);
    }
    *ret = c;
    return KH_OK;
}

void kh_wal_index_add(kh_log *log, const kh_wal_cursor *before)
{
    if (log->index_cnt > 0) {
        const kh_wal_cursor *last = &log->index[log->index_cnt - 1];
        if (before->height <= last->height) return;
        if (kh_wal_bytes_upto(log, before->at) < kh_wal_bytes_upto(log, last->at) + KH_WAL_INDEX_STEP_SZ) return;
    }
    if (log->index_cnt == log->index_cap) {
        uint64_t cap = log->index_cap == 0 ? 64 : 2 * log->index_cap;
        kh_wal_cursor *more = realloc(log->index, cap * sizeof *more);
        if (more == NULL) return;
        log->index = more;
        log->index_cap = cap;
    }
    log->index[log->index_cnt++] = *before;
}

const kh_wal_cursor *kh_wal_index_find(const kh_log *log, uint64_t height)
{
    uint64_t low = 0, high = log->index_cnt;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        if (log->index[middle].height < height) low = middle;
        else high = middle;
    }
    return log->index_cnt > 0 ? &log->index[low] : NULL;
}

void kh_wal_say(const kh_log *log, kh_log_open_report *report, const char *why, kh_wal_place at)
{
    (void)log;
    (void)snprintf(report->why, sizeof report->why, "%s", why);
    (void)snprintf(report->where, sizeof report->where, "log/%016llx.wal at byte %llu", (unsigned long long)at.segment,
                   (unsigned long long)at.offset);
}
