/* wal_replay: giving entries again, in order and without copying; and how much of a log lies behind a height. */
#include "log/wal.h"

#define REPLAY_STEP_SZ (UINT32_C(2) << 20)

kh_err kh_log_replay(kh_log *log, uint64_t from, uint64_t upto, kh_err (*each)(void *ctx, const kh_entry *entry), void *ctx,
                     kh_log_open_report *report)
{
    kh_wal_window w;
    kh_wal_break at = {0};
    uint64_t last = kh_min64(upto, log->end.height);
    if (from == 0) from = 1;
    if (from > last) return KH_OK;
    const kh_wal_cursor *near = kh_wal_index_find(log, from);
    kh_wal_cursor cursor = near != NULL ? *near : kh_wal_first();
    kh_err err = kh_wal_window_init(&w, log, REPLAY_STEP_SZ);
    if (err != KH_OK) return err;
    while (err == KH_OK && cursor.height < last) {
        kh_wal_record record;
        /* Below `from` nothing is given, and the headers alone carry the chain. */
        err = kh_wal_next(&w, cursor.height + 1 < from ? KH_WAL_HEADERS : KH_WAL_CHAIN, &cursor, &record, &at);
        if (err == KH_E_NOT_FOUND) {
            kh_wal_say(log, report, at.why, at.at);
            err = KH_E_DAMAGED;
        }
        if (err != KH_OK || record.header.kind != KH_WAL_ENTRY || record.header.height < from) continue;
        kh_entry entry = {.height = record.header.height,
                          .time_ns = record.header.time_ns,
                          .op_cnt = record.header.op_cnt,
                          .body_sz = record.header.body_sz,
                          .body = record.body};
        memcpy(entry.digest, record.header.digest, 32);
        err = each(ctx, &entry);
    }
    kh_wal_window_free(&w);
    return err;
}

uint64_t kh_log_bytes_since(const kh_log *log, uint64_t from)
{
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
