/* wal: the local write-ahead log as the rest of the engine sees it: create, open, submit, acknowledge in order, mark, close. */
#include "log/wal.h"
#include <stdlib.h>

static kh_err new_log(const kh_disk *disk, const char *dir, kh_log **ret)
{
    kh_log *log = calloc(1, sizeof *log);
    if (log == NULL) return KH_E_NOMEM;
    log->disk = *disk;
    log->dir = strdup(dir);
    if (log->dir == NULL) {
        free(log);
        return KH_E_NOMEM;
    }
    *ret = log;
    return KH_OK;
}

void kh_wal_free(kh_log *log)
{
    kh_wal_ahead_drop(log);
    for (uint64_t i = 0; i < log->segment_cnt; i++) kh_wal_segment_retire(log, i);
    for (uint32_t i = 0; i < KH_WAL_SLOT_CNT; i++) free(log->slots[i].buf);
    free(log->zeros);
    free(log->index);
    free(log->segments);
    free(log->dir);
    free(log);
}

kh_err kh_log_create(const kh_disk *disk, const char *dir)
{
    kh_log *log;
    kh_err err = new_log(disk, dir, &log);
    if (err != KH_OK) return err;
    err = kh_wal_segment_make(log, 0);
    kh_wal_free(log);
    return err;
}

kh_err kh_log_create_behind(const kh_disk *disk, const char *dir, uint64_t height, uint64_t time_ns, const uint8_t digest[32])
{
    kh_log *log;
    if (height == 0) return KH_E_ARG;
    kh_err err = new_log(disk, dir, &log);
    if (err != KH_OK) return err;
    err = kh_wal_segment_make(log, 0);
    log->end = (kh_wal_cursor){
        .at = {.segment = 0, .offset = KH_WAL_BLOCK_SZ}, .height = height, .time_ns = time_ns, .sequence = 0, .epoch = 1};
    memcpy(log->end.digest, digest, 32);
    atomic_store_explicit(&log->durable_upto, height, memory_order_relaxed);
    if (err == KH_OK) err = kh_wal_mark_write(log);
    kh_wal_free(log);
    return err;
}

const uint8_t *kh_log_begin_digest(const kh_log *log) { return log->begin.digest; }

kh_err kh_log_open(const kh_disk *disk, const char *dir, bool read_only, kh_log_open_report *report, kh_log **ret)
{
    kh_log *log;
    report->why[0] = '\0';
    report->where[0] = '\0';
    kh_err err = new_log(disk, dir, &log);
    if (err != KH_OK) return err;
    log->read_only = read_only;
    log->uncached = report->uncached;
    log->reads_ahead = report->reads_ahead;
    err = kh_wal_recover(log, report);
    if (err != KH_OK) {
        kh_wal_free(log);
        return err;
    }
    *ret = log;
    return KH_OK;
}

static kh_wal_slot *slot_at(kh_log *log, uint32_t i) { return &log->slots[(log->first + i) % KH_WAL_SLOT_CNT]; }

static kh_err fail(kh_log *log, kh_err err)
{
    log->failed = true;
    return err;
}

/* Takes what ended; then as much as is written without a gap counts as durable. */
static void pump(kh_log *log, uint64_t wait_ns)
{
    kh_disk_done done[KH_WAL_SLOT_CNT];
    uint32_t n = log->disk.poll(log->disk.self, done, KH_WAL_SLOT_CNT, wait_ns);
    for (uint32_t i = 0; i < n; i++) {
        if (done[i].tag == KH_WAL_TAG_ZEROS) {
            kh_wal_ahead_done(log, done[i].err);
            continue;
        }
        KH_ASSERT(done[i].tag < KH_WAL_SLOT_CNT && log->slots[done[i].tag].state == KH_WAL_WRITING);
        kh_wal_slot *slot = &log->slots[done[i].tag];
        slot->state = KH_WAL_WRITTEN;
        slot->err = done[i].err;
        if (slot->err != KH_OK) log->failed = true;
        log->segments[slot->segment].in_flight--;
        if (slot->segment != log->end.at.segment) kh_wal_segment_retire(log, slot->segment);
    }
    for (uint32_t i = 0; i < log->in_flight; i++) {
        const kh_wal_slot *slot = slot_at(log, i);
        if (slot->state != KH_WAL_WRITTEN || slot->err != KH_OK) break;
        if (slot->entry.height > atomic_load_explicit(&log->durable_upto, memory_order_relaxed))
            atomic_store_explicit(&log->durable_upto, slot->entry.height, memory_order_release);
    }
}

kh_err kh_wal_make_room(kh_log *log, uint64_t sz, kh_wal_place *ret)
{
    kh_wal_place at = log->end.at;
    while (at.offset + sz > log->segments[at.segment].size) {
        if (at.segment + 1 == log->segment_cnt) {
            while (log->ahead.writing) pump(log, KH_NS_PER_S);
            kh_err err = kh_wal_segment_make(log, sz);
            if (err != KH_OK) return err;
        }
        at = (kh_wal_place){.segment = at.segment + 1, .offset = KH_WAL_BLOCK_SZ};
    }
    kh_err err = kh_wal_segment_open(log, at.segment);
    if (err != KH_OK) return err;
    *ret = at;
    return KH_OK;
}

/* The header of the next record, complete but for its body's checksum and digest. */
static kh_wal_header next_header(const kh_log *log, kh_wal_kind kind, kh_wal_place at)
{
    kh_wal_header h = {.kind = kind,
                       .height = log->end.height + (kind == KH_WAL_ENTRY ? 1 : 0),
                       .time_ns = log->end.time_ns,
                       .sequence = log->end.sequence + 1,
                       .durable_upto = atomic_load_explicit(&log->durable_upto, memory_order_relaxed),
                       .position = at.segment << 32 | at.offset,
                       .epoch = log->end.epoch};
    memcpy(h.previous, log->end.digest, 32);
    memcpy(h.digest, log->end.digest, 32);
    return h;
}

static void move_end(kh_log *log, const kh_wal_header *h, kh_wal_place at)
{
    uint64_t left = log->end.at.segment;
    kh_wal_index_add(log, &log->end);
    log->end.at = (kh_wal_place){.segment = at.segment, .offset = at.offset + kh_wal_record_sz(h->body_sz)};
    log->end.height = h->height;
    log->end.time_ns = h->time_ns;
    log->end.sequence = h->sequence;
    log->end.marked = h->kind == KH_WAL_MARK;
    memcpy(log->end.digest, h->digest, 32);
    if (left != at.segment) kh_wal_segment_retire(log, left);
}

kh_err kh_wal_mark_write(kh_log *log)
{
    kh_wal_place at;
    kh_err err = kh_wal_make_room(log, KH_WAL_BLOCK_SZ, &at);
    if (err != KH_OK) return err;
    uint8_t *block = aligned_alloc(KH_WAL_BLOCK_SZ, KH_WAL_BLOCK_SZ);
    if (block == NULL) return KH_E_NOMEM;
    memset(block, 0, KH_WAL_BLOCK_SZ);
    kh_wal_header h = next_header(log, KH_WAL_MARK, at);
    h.body_check = kh_xxh3(NULL, 0);
    kh_wal_header_encode(&h, block);
    err = log->disk.write(log->disk.self, log->segments[at.segment].file, at.offset, block, KH_WAL_BLOCK_SZ);
    free(block);
    if (err == KH_OK) move_end(log, &h, at);
    return err;
}

static kh_err slot_grow(kh_wal_slot *slot, uint64_t sz)
{
    if (slot->buf_sz >= sz) return KH_OK;
    uint64_t want = UINT64_C(16) << 10;
    while (want < sz) want *= 2;
    uint8_t *buf = aligned_alloc(KH_WAL_BLOCK_SZ, want);
    if (buf == NULL) return KH_E_NOMEM;
    free(slot->buf);
    slot->buf = buf;
    slot->buf_sz = want;
    return KH_OK;
}

kh_err kh_log_submit(kh_log *log, uint64_t time_ns, const uint8_t *body, uint32_t body_sz, uint32_t op_cnt, kh_entry *ret)
{
    kh_wal_place at;
    if (log->read_only || log->failed) return KH_E_CLOSED;
    if (body_sz > KH_ENTRY_MAX_SZ || time_ns < log->end.time_ns) return KH_E_ARG;
    if (log->in_flight == KH_LOG_IN_FLIGHT_MAX) return KH_E_AGAIN;
    kh_wal_slot *slot = slot_at(log, log->in_flight);
    uint64_t sz = kh_wal_record_sz(body_sz);
    kh_err err = slot_grow(slot, sz);
    if (err != KH_OK) return err;
    err = kh_wal_make_room(log, sz, &at);
    if (err != KH_OK) return fail(log, err);
    kh_wal_header h = next_header(log, KH_WAL_ENTRY, at);
    h.time_ns = time_ns;
    h.op_cnt = op_cnt;
    h.body_sz = body_sz;
    h.body_check = kh_xxh3(body, body_sz);
    kh_wal_digest(&h, body, h.digest);
    kh_wal_header_encode(&h, slot->buf);
    if (body_sz > 0) memcpy(slot->buf + KH_WAL_HEADER_SZ, body, body_sz);
    memset(slot->buf + KH_WAL_HEADER_SZ + body_sz, 0, sz - KH_WAL_HEADER_SZ - body_sz);
    kh_wal_segment *segment = &log->segments[at.segment];
    uint64_t tag = (uint64_t)(slot - log->slots);
    err = log->disk.submit_write(log->disk.self, segment->file, at.offset, slot->buf, sz, tag);
    if (err == KH_E_AGAIN) return err;
    if (err != KH_OK) return fail(log, err);
    segment->in_flight++;
    slot->state = KH_WAL_WRITING;
    slot->segment = at.segment;
    slot->entry = (kh_entry){
        .height = h.height, .time_ns = time_ns, .op_cnt = op_cnt, .body_sz = body_sz, .body = slot->buf + KH_WAL_HEADER_SZ};
    memcpy(slot->entry.digest, h.digest, 32);
    log->in_flight++;
    move_end(log, &h, at);
    kh_wal_ahead_step(log);
    *ret = slot->entry;
    return KH_OK;
}

kh_err kh_log_poll_decided(kh_log *log, kh_entry *ret, uint32_t max, uint64_t wait_ns, uint32_t *ret_n)
{
    uint32_t n = 0;
    if (max > KH_LOG_IN_FLIGHT_MAX) max = KH_LOG_IN_FLIGHT_MAX; /* so that the lent and the next ones have slots */
    for (; log->lent > 0; log->lent--) slot_at(log, KH_WAL_SLOT_CNT - log->lent)->state = KH_WAL_FREE;
    pump(log, 0);
    if (log->in_flight > 0 && slot_at(log, 0)->state == KH_WAL_WRITING && wait_ns > 0) pump(log, wait_ns);
    while (n < max && log->in_flight > 0) {
        kh_wal_slot *slot = slot_at(log, 0);
        if (slot->state != KH_WAL_WRITTEN || slot->err != KH_OK) break;
        slot->state = KH_WAL_LENT;
        ret[n++] = slot->entry;
        log->first = (log->first + 1) % KH_WAL_SLOT_CNT;
        log->in_flight--;
        log->lent++;
    }
    if (!log->failed) kh_wal_ahead_step(log);
    if (n == 0 && log->failed) return KH_E_CLOSED;
    *ret_n = n;
    return KH_OK;
}

uint32_t kh_log_in_flight(const kh_log *log) { return log->in_flight; }

uint64_t kh_log_durable_upto(const kh_log *log) { return atomic_load_explicit(&log->durable_upto, memory_order_acquire); }

kh_err kh_log_mark(kh_log *log)
{
    if (log->read_only || log->failed) return KH_E_CLOSED;
    if (log->in_flight > 0) return KH_E_AGAIN;
    if (log->end.marked || log->end.height == 0) return KH_OK;
    kh_err err = kh_wal_mark_write(log);
    return err == KH_OK ? KH_OK : fail(log, err);
}

static bool is_writing(const kh_log *log)
{
    if (log->ahead.writing) return true;
    for (uint32_t i = 0; i < KH_WAL_SLOT_CNT; i++)
        if (log->slots[i].state == KH_WAL_WRITING) return true;
    return false;
}

void kh_log_close(kh_log *log)
{
    while (is_writing(log)) pump(log, KH_NS_PER_S);
    bool quiet = !log->read_only && !log->failed && log->end.height > 0 && !log->end.marked;
    if (quiet && kh_wal_mark_write(log) != KH_OK) log->failed = true; /* a log without its mark is still a log */
    kh_wal_free(log);
}
