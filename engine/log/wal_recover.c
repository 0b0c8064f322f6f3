/* wal_recover: opening a log. The longest valid chain is taken; what stands behind it decides: a later record of this epoch
 * which says that more was durable makes it damage, else it is a torn tail, never acknowledged, and is cut.
 *
 * A crash at any point of this leaves a log that recovers to the same chain: zeros first, the mark with the new epoch last. */
#include "log/wal.h"
#include <stdio.h>
#include <stdlib.h>

#define SCAN_STEP_SZ (UINT32_C(1) << 20)
#define HOP_STEP_SZ (UINT32_C(64) << 10)

/* What stands behind the chain. */
typedef struct tail {
    uint64_t cut_bytes;
    uint32_t epoch;        /* the highest seen */
    uint64_t durable_upto; /* the highest that a record of this epoch claims */
    kh_wal_place witness;  /* that record */
} tail;

/* The chain as the first record of a segment says that it stood before it; false if that record cannot be read. */
static bool cursor_of_segment(kh_wal_window *w, uint64_t number, kh_wal_cursor *ret, uint64_t *ret_durable)
{
    const uint8_t *bytes;
    kh_wal_header h;
    kh_wal_place at = {.segment = number, .offset = KH_WAL_BLOCK_SZ};
    if (kh_wal_window_get(w, at, KH_WAL_BLOCK_SZ, &bytes) != KH_OK) return false;
    if (kh_wal_header_decode(bytes, &h) != KH_OK || h.position != (at.segment << 32 | at.offset)) return false;
    if (h.sequence == 0 || (h.kind == KH_WAL_ENTRY && h.height == 0)) return false;
    *ret = (kh_wal_cursor){
        .at = at, .height = h.kind == KH_WAL_ENTRY ? h.height - 1 : h.height, .sequence = h.sequence - 1, .epoch = h.epoch};
    memcpy(ret->digest, h.previous, 32);
    *ret_durable = h.durable_upto;
    return true;
}

/* The log's beginning must be the one that the caller knows of: else it is not looked at any further, nor written to. */
static kh_err find_begin(kh_log *log, uint64_t height, kh_log_open_report *report)
{
    kh_wal_window w;
    kh_err err = kh_wal_window_init(&w, log, KH_WAL_BLOCK_SZ);
    if (err != KH_OK) return err;
    err = kh_wal_begin(&w, &log->begin);
    kh_wal_window_free(&w);
    if (err != KH_OK || log->begin.height == height) return err;
    char why[sizeof report->why];
    if (log->begin.height == 0)
        (void)snprintf(why, sizeof why, "the mark of height %llu, which this log begins behind, is not there",
                       (unsigned long long)height);
    else
        (void)snprintf(why, sizeof why, "the log begins behind height %llu, and should behind %llu",
                       (unsigned long long)log->begin.height, (unsigned long long)height);
    kh_wal_say(log, report, why, (kh_wal_place){.segment = 0, .offset = KH_WAL_BLOCK_SZ});
    return KH_E_DAMAGED;
}

/* Where to begin reading: the last segment whose first record lies at or below what is known to be durable anyway. All before
   it is checked by whoever replays it. Fills the index with the segments' starts up to there. */
static kh_err find_start(kh_log *log, uint64_t floor, bool cuts, kh_wal_cursor *ret)
{
    kh_wal_window w;
    kh_err err = kh_wal_window_init(&w, log, KH_WAL_BLOCK_SZ);
    if (err != KH_OK) return err;
    kh_wal_cursor *starts = calloc(log->segment_cnt, sizeof *starts);
    if (starts == NULL) {
        kh_wal_window_free(&w);
        return KH_E_NOMEM;
    }
    uint64_t cnt = 0, known = 0, durable;
    starts[cnt++] = log->begin;
    for (uint64_t i = 1; i < log->segment_cnt; i++) {
        kh_wal_cursor c;
        if (!cursor_of_segment(&w, i, &c, &durable)) continue;
        const kh_wal_cursor *last = &starts[cnt - 1];
        if (c.epoch < last->epoch || c.sequence <= last->sequence || c.height < last->height)
            continue; /* left over, or damaged */
        starts[cnt++] = c;
        known = durable;
    }
    if ((log->read_only && floor > 0) || cuts) known = floor;
    for (uint64_t i = 0; i < cnt && (i == 0 || starts[i].height < known); i++) {
        kh_wal_index_add(log, &starts[i]);
        *ret = starts[i];
    }
    free(starts);
    kh_wal_window_free(&w);
    return KH_OK;
}

static kh_err look_behind(kh_wal_window *w, const kh_wal_cursor *end, tail *ret)
{
    const kh_log *log = w->log;
    tail t = {.epoch = end->epoch};
    for (uint64_t i = end->at.segment; i < log->segment_cnt; i++) {
        kh_wal_place at = {.segment = i, .offset = i == end->at.segment ? end->at.offset : KH_WAL_BLOCK_SZ};
        while (at.offset < log->segments[i].size) {
            const uint8_t *bytes;
            size_t n = (size_t)kh_min64(SCAN_STEP_SZ, log->segments[i].size - at.offset);
            kh_err err = kh_wal_window_get(w, at, n, &bytes);
            if (err != KH_OK) return err;
            if (kh_wal_is_zero(bytes, n)) {
                at.offset += n;
                continue;
            }
            for (size_t b = 0; b < n; b += KH_WAL_BLOCK_SZ, at.offset += KH_WAL_BLOCK_SZ) {
                kh_wal_header h;
                if (kh_wal_is_zero(bytes + b, KH_WAL_BLOCK_SZ)) continue;
                t.cut_bytes += KH_WAL_BLOCK_SZ;
                if (kh_wal_header_decode(bytes + b, &h) != KH_OK || h.position != (at.segment << 32 | at.offset)) continue;
                if (h.epoch > t.epoch) t.epoch = h.epoch;
                if (h.epoch < end->epoch || h.durable_upto <= t.durable_upto) continue;
                t.durable_upto = h.durable_upto;
                t.witness = at;
            }
        }
    }
    *ret = t;
    return KH_OK;
}

static kh_err zero_behind(kh_log *log, kh_wal_window *w, const kh_wal_cursor *end)
{
    uint8_t *zeros = aligned_alloc(KH_WAL_BLOCK_SZ, SCAN_STEP_SZ);
    if (zeros == NULL) return KH_E_NOMEM;
    memset(zeros, 0, SCAN_STEP_SZ);
    kh_err err = KH_OK;
    for (uint64_t i = end->at.segment; i < log->segment_cnt && err == KH_OK; i++) {
        kh_wal_place at = {.segment = i, .offset = i == end->at.segment ? end->at.offset : KH_WAL_BLOCK_SZ};
        while (at.offset < log->segments[i].size && err == KH_OK) {
            const uint8_t *bytes;
            size_t n = (size_t)kh_min64(SCAN_STEP_SZ, log->segments[i].size - at.offset);
            err = kh_wal_window_get(w, at, n, &bytes);
            if (err == KH_OK && !kh_wal_is_zero(bytes, n)) {
                err = kh_wal_segment_open(log, i);
                if (err == KH_OK) err = log->disk.write(log->disk.self, log->segments[i].file, at.offset, zeros, n);
            }
            at.offset += n;
        }
        if (i != end->at.segment) kh_wal_segment_retire(log, i);
    }
    free(zeros);
    return err;
}

/* What a killed process wrote may still be in the machine's cache only, where the file system has no O_DIRECT. */
static kh_err sync_chain(kh_log *log, uint64_t from)
{
    kh_err err = KH_OK;
    for (uint64_t i = from; i <= log->end.at.segment && err == KH_OK; i++) {
        err = kh_wal_segment_open(log, i);
        if (err == KH_OK) err = log->disk.sync(log->disk.self, log->segments[i].file);
        if (i != log->end.at.segment) kh_wal_segment_retire(log, i);
    }
    return err;
}

static kh_err walk(kh_log *log, kh_wal_window *w, kh_wal_depth depth, uint64_t upto, kh_wal_cursor *cursor,
                   kh_wal_break *ret_break)
{
    kh_err err = KH_OK;
    while (err == KH_OK && cursor->height < upto) {
        kh_wal_record record;
        kh_wal_cursor before = *cursor;
        err = kh_wal_next(w, depth, cursor, &record, ret_break);
        if (err == KH_OK) kh_wal_index_add(log, &before);
    }
    return err == KH_E_NOT_FOUND ? KH_OK : err;
}

/* Walks on and looks behind the end. A live writer beside a reader may write between the two: then the chain has grown. */
static kh_err read_all(kh_log *log, kh_wal_window *w, kh_wal_cursor *cursor, tail *ret_tail, kh_wal_break *ret_break)
{
    for (;;) {
        uint64_t sequence = cursor->sequence;
        w->n = 0; /* read anew */
        kh_err err = walk(log, w, KH_WAL_BODIES, UINT64_MAX, cursor, ret_break);
        bool grown = cursor->sequence != sequence;
        if (err == KH_OK) err = look_behind(w, cursor, ret_tail);
        if (err != KH_OK) return err;
        if (!log->read_only || !grown || ret_tail->durable_upto <= cursor->height) return KH_OK;
    }
}

static kh_err settle(kh_log *log, kh_wal_window *w, uint64_t from, const tail *t)
{
    kh_err err = KH_OK;
    bool clean = t->cut_bytes == 0 && (log->end.marked || log->end.height == 0);
    if (t->cut_bytes > 0) {
        err = zero_behind(log, w, &log->end);
        log->end.epoch = t->epoch + 1;
    }
    if (err == KH_OK && !clean) err = sync_chain(log, from);
    if (err == KH_OK) err = kh_wal_segment_open(log, log->end.at.segment);
    if (err == KH_OK && !clean) {
        atomic_store_explicit(&log->durable_upto, log->end.height, memory_order_release);
        err = kh_wal_mark_write(log);
    }
    return err;
}

kh_err kh_wal_recover(kh_log *log, kh_log_open_report *report)
{
    kh_wal_window w;
    kh_wal_cursor cursor;
    kh_wal_break end_of_chain = {.why = "the log ends here"};
    tail t = {0};
    uint64_t floor = report->durable_floor;
    bool upto_floor = log->read_only && floor > 0;
    kh_err err = kh_wal_segments_load(log, report);
    if (err == KH_OK) err = find_begin(log, report->begins, report);
    if (err == KH_OK) err = find_start(log, floor, report->cuts, &cursor);
    if (err != KH_OK) return err;
    uint64_t from = cursor.at.segment;
    err = kh_wal_window_init(&w, log, upto_floor ? HOP_STEP_SZ : SCAN_STEP_SZ);
    if (err != KH_OK) return err;
    if (upto_floor) err = walk(log, &w, KH_WAL_HEADERS, floor, &cursor, &end_of_chain);
    else if (report->cuts) {
        err = walk(log, &w, KH_WAL_BODIES, floor, &cursor, &end_of_chain);
        if (err == KH_OK) err = look_behind(&w, &cursor, &t);
        t.durable_upto = 0; /* it was, and is taken back */
    } else err = read_all(log, &w, &cursor, &t, &end_of_chain);
    if (err == KH_OK && (t.durable_upto > cursor.height || floor > cursor.height)) {
        char why[sizeof report->why];
        if (t.durable_upto > cursor.height)
            (void)snprintf(why, sizeof why,
                           "%s; the log ends at height %llu, but log/%016llx.wal at byte %llu says that %llu was durable",
                           end_of_chain.why, (unsigned long long)cursor.height, (unsigned long long)t.witness.segment,
                           (unsigned long long)t.witness.offset, (unsigned long long)t.durable_upto);
        else
            (void)snprintf(why, sizeof why, "%s; the log ends at height %llu, but %llu was durable", end_of_chain.why,
                           (unsigned long long)cursor.height, (unsigned long long)floor);
        kh_wal_say(log, report, why, end_of_chain.at);
        err = KH_E_DAMAGED;
    }
    if (err == KH_OK) {
        log->end = cursor;
        if (!log->read_only) err = settle(log, &w, from, &t);
    }
    kh_wal_window_free(&w);
    if (err != KH_OK) return err;
    atomic_store_explicit(&log->durable_upto, log->end.height, memory_order_release);
    report->height = log->end.height;
    report->time_ns = log->end.time_ns;
    memcpy(report->digest, log->end.digest, 32);
    report->cut_bytes = log->read_only ? 0 : t.cut_bytes;
    report->epoch = log->end.epoch;
    return KH_OK;
}

kh_err kh_log_advance(kh_log *log, uint64_t upto)
{
    kh_wal_window w;
    kh_wal_break end_of_chain = {0};
    kh_log_open_report report;
    if (!log->read_only) return KH_E_ARG;
    if (upto <= log->end.height) return KH_OK;
    kh_err err = kh_wal_segments_load(log, &report);
    if (err == KH_OK) err = kh_wal_window_init(&w, log, HOP_STEP_SZ);
    if (err != KH_OK) return err;
    w.uncached = log->uncached;
    kh_wal_cursor cursor = log->end;
    err = walk(log, &w, KH_WAL_HEADERS, upto, &cursor, &end_of_chain);
    if (err == KH_OK && cursor.height < upto) err = KH_E_DAMAGED;
    if (err == KH_OK) {
        log->end = cursor;
        atomic_store_explicit(&log->durable_upto, cursor.height, memory_order_release);
    }
    kh_wal_window_free(&w);
    return err;
}
