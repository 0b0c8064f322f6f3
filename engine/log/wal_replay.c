/* wal_replay: giving entries again, in order and without copying; and how much of a log lies behind a height. */
#include "log/wal.h"

#define REPLAY_STEP_SZ (UINT32_C(2) << 20)

#define PIPE_MIN_SZ (UINT64_C(4) << 20) /* a shorter tail is not worth a thread */

kh_err kh_wal_walk_next(kh_wal_walk *walk, kh_entry *ret, bool *ret_end)
{
    kh_wal_cursor *c = &walk->cursor;
    while (c->height < walk->last) {
        kh_wal_record record;
        /* Below `from` nothing is given, and the headers alone carry the chain. */
        kh_wal_depth depth = c->height + 1 < walk->from ? KH_WAL_HEADERS : KH_WAL_CHAIN;
        kh_err err = kh_wal_next(&walk->window, depth, c, &record, &walk->end);
        if (err == KH_E_NOT_FOUND) walk->broken = true;
        if (err != KH_OK) return walk->broken ? KH_E_DAMAGED : err;
        if (record.header.kind != KH_WAL_ENTRY || record.header.height < walk->from) continue;
        *ret = (kh_entry){.height = record.header.height,
                          .time_ns = record.header.time_ns,
                          .op_cnt = record.header.op_cnt,
                          .body_sz = record.header.body_sz,
                          .body = record.body};
        memcpy(ret->digest, record.header.digest, 32);
        *ret_end = false;
        return KH_OK;
    }
    *ret_end = true;
    return KH_OK;
}

static kh_err one_by_one(kh_wal_walk *walk, kh_err (*each)(void *ctx, const kh_entry *entry), void *ctx)
{
    kh_entry entry;
    bool end = false;
    kh_err err = KH_OK;
    while (err == KH_OK) {
        err = kh_wal_walk_next(walk, &entry, &end);
        if (err != KH_OK || end) break;
        err = each(ctx, &entry);
    }
    return err;
}

kh_err kh_log_replay(kh_log *log, uint64_t from, uint64_t upto, kh_err (*each)(void *ctx, const kh_entry *entry), void *ctx,
                     kh_log_open_report *report)
{
    kh_wal_walk walk = {.from = kh_max64(from, log->begin.height + 1), .last = kh_min64(upto, log->end.height)};
    if (walk.from > walk.last) return KH_OK;
    const kh_wal_cursor *near = kh_wal_index_find(log, walk.from);
    walk.cursor = near != NULL ? *near : log->begin;
    kh_err err = kh_wal_window_init(&walk.window, log, REPLAY_STEP_SZ);
    if (err != KH_OK) return err;
    walk.window.uncached = log->uncached;
    bool pipes = log->reads_ahead && kh_log_bytes_since(log, walk.from) >= PIPE_MIN_SZ;
    err = pipes ? kh_wal_pipe(&walk, each, ctx) : one_by_one(&walk, each, ctx);
    if (walk.broken && err == KH_E_DAMAGED) kh_wal_say(log, report, walk.end.why, walk.end.at);
    kh_wal_window_free(&walk.window);
    return err;
}

uint64_t kh_log_bytes_since(const kh_log *log, uint64_t from)
{
    from = kh_max64(from, log->begin.height);
    if (from >= log->end.height) return 0;
    uint64_t end = kh_wal_bytes_upto(log, log->end.at);
    const kh_wal_cursor *near = kh_wal_index_find(log, from + 1);
    if (near == NULL) return end;
    /* Between two remembered places the heights are taken to be evenly spread. */
    bool is_last = near == &log->index[log->index_cnt - 1];
    const kh_wal_cursor *next = is_last ? &log->end : near + 1;
    uint64_t begin = kh_wal_bytes_upto(log, near->at), bytes = kh_wal_bytes_upto(log, next->at) - begin;
    begin += bytes / (next->height - near->height) * (from - near->height);
    return end - begin;
}
