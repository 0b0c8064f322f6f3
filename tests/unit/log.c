/* Unit tests of the write-ahead log on the real disk: order, reopening, torn tails, damage, and the bytes themselves. */
#include "log_fixture.h"
#include "log/wal_format.h"
#include <fcntl.h>
#include <sys/stat.h>

static uint8_t body_buf[KH_ENTRY_MAX_SZ];

/* The body of an entry is a function of its height. */
static uint32_t body_of(uint64_t height, uint32_t sz)
{
    uint64_t x = height * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (uint32_t i = 0; i < sz; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        body_buf[i] = (uint8_t)(x >> 32);
    }
    return sz;
}

static uint32_t size_of(uint64_t height) { return (uint32_t)(height * 7919 % 9001); }

static kh_log *open_log(bool read_only, uint64_t floor, kh_log_open_report *report, kh_err want)
{
    kh_log *log = NULL;
    memset(report, 0, sizeof *report);
    report->durable_floor = floor;
    kh_err err = kh_log_open(&disk, dir, read_only, report, &log);
    cr_assert(err == want, "%d: %s, %s", err, report->why, report->where);
    return log;
}

static void put(kh_log *log, uint64_t height, uint32_t sz)
{
    kh_entry entry, done[4];
    uint32_t n = 0;
    body_of(height, sz);
    kh_err err;
    while ((err = kh_log_submit(log, 1000 + height, body_buf, sz, 3, &entry)) == KH_E_AGAIN)
        cr_assert(kh_log_poll_decided(log, done, 4, KH_NS_PER_S, &n) == KH_OK);
    cr_assert(err == KH_OK);
    cr_assert(entry.height == height);
}

static void settle(kh_log *log)
{
    kh_entry done[8];
    uint32_t n;
    while (kh_log_in_flight(log) > 0) cr_assert(kh_log_poll_decided(log, done, 8, KH_NS_PER_S, &n) == KH_OK);
}

typedef struct expect {
    uint64_t next;
    uint32_t fixed_sz; /* 0: size_of */
} expect;

static kh_err check_entry(void *ctx, const kh_entry *entry)
{
    expect *e = ctx;
    cr_assert(entry->height == e->next && entry->time_ns == 1000 + e->next && entry->op_cnt == 3);
    uint32_t sz = body_of(e->next, e->fixed_sz != 0 ? e->fixed_sz : size_of(e->next));
    cr_assert(entry->body_sz == sz && memcmp(entry->body, body_buf, sz) == 0);
    e->next++;
    return KH_OK;
}

static void fill(uint64_t n)
{
    kh_log_open_report report;
    kh_log *log = open_log(false, 0, &report, KH_OK);
    for (uint64_t h = report.height + 1, last = report.height + n; h <= last; h++) put(log, h, size_of(h));
    settle(log);
    kh_log_close(log);
}

static void check_all(uint64_t from, uint64_t upto)
{
    kh_log_open_report report;
    kh_log *log = open_log(true, upto, &report, KH_OK);
    cr_assert(report.height == upto && report.time_ns == 1000 + upto);
    expect e = {.next = from};
    cr_assert(kh_log_replay(log, from, UINT64_MAX, check_entry, &e, &report) == KH_OK, "%s %s", report.why, report.where);
    cr_assert(e.next == upto + 1);
    kh_log_close(log);
}

static void flip(const char *name, uint64_t offset)
{
    char path[128];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1);
    byte ^= 0x10;
    cr_assert(pwrite(fd, &byte, 1, (off_t)offset) == 1);
    close(fd);
}

static const char first_name[] = "0000000000000000.wal";

TestSuite(log, .init = begin, .fini = end);

Test(log, empty)
{
    kh_log_open_report report;
    kh_log *log = open_log(false, 0, &report, KH_OK);
    cr_assert(report.height == 0 && report.cut_bytes == 0 && kh_log_durable_upto(log) == 0 && kh_log_bytes_since(log, 0) == 0);
    kh_log_close(log);
    log = open_log(true, 0, &report, KH_OK);
    kh_entry entry;
    cr_assert(kh_log_submit(log, 1, body_buf, 1, 1, &entry) == KH_E_CLOSED, "a reader does not write");
    kh_log_close(log);
}

Test(log, no_log)
{
    kh_log_open_report report;
    char path[100];
    snprintf(path, sizeof path, "%s/%s", dir, first_name);
    cr_assert(remove(path) == 0);
    open_log(true, 0, &report, KH_E_NOT_FOUND);
}

Test(log, reopen_and_replay)
{
    fill(700);
    check_all(1, 700);
    fill(1);
    fill(800);
    check_all(1, 1501);
    check_all(1501, 1501);
    for (uint64_t from = 1; from <= 1501; from += 211) check_all(from, 1501);
}

Test(log, acknowledges_in_order)
{
    kh_log_open_report report;
    kh_log *log = open_log(false, 0, &report, KH_OK);
    uint64_t next = 1, acked = 0;
    while (acked < 300) {
        kh_entry entry, done[KH_LOG_IN_FLIGHT_MAX];
        while (next <= 300) {
            body_of(next, size_of(next));
            kh_err err = kh_log_submit(log, 1000 + next, body_buf, size_of(next), 3, &entry);
            if (err == KH_E_AGAIN) break;
            cr_assert(err == KH_OK && entry.height == next);
            next++;
        }
        cr_assert(kh_log_in_flight(log) <= KH_LOG_IN_FLIGHT_MAX);
        uint32_t n;
        cr_assert(kh_log_poll_decided(log, done, 5, KH_NS_PER_S, &n) == KH_OK);
        for (uint32_t i = 0; i < n; i++) {
            expect e = {.next = ++acked};
            cr_assert(check_entry(&e, &done[i]) == KH_OK);
        }
        cr_assert(kh_log_durable_upto(log) >= acked);
    }
    kh_entry entry;
    cr_assert(kh_log_submit(log, 1000, body_buf, 0, 0, &entry) == KH_E_ARG, "time never falls");
    cr_assert(kh_log_submit(log, 5000, body_buf, KH_ENTRY_MAX_SZ + 1, 0, &entry) == KH_E_ARG);
    kh_log_close(log);
    check_all(1, 300);
}

Test(log, largest_entries)
{
    kh_log_open_report report;
    kh_log *log = open_log(false, 0, &report, KH_OK);
    for (uint64_t h = 1; h <= 40; h++) put(log, h, KH_ENTRY_MAX_SZ);
    settle(log);
    cr_assert(kh_log_mark(log) == KH_OK && kh_log_mark(log) == KH_OK);
    uint64_t bytes = kh_log_bytes_since(log, 20), each_sz = kh_wal_record_sz(KH_ENTRY_MAX_SZ);
    cr_assert(bytes >= 20 * each_sz && bytes < 24 * each_sz);
    kh_log_close(log);
    log = open_log(false, 40, &report, KH_OK);
    expect e = {.next = 3, .fixed_sz = KH_ENTRY_MAX_SZ};
    cr_assert(kh_log_replay(log, 3, 39, check_entry, &e, &report) == KH_OK && e.next == 40);
    kh_log_close(log);
}

/* A live writer's entries above the floor are nothing to a reader, whole or torn. */
Test(log, reader_stops_at_the_floor)
{
    fill(20);
    kh_log_open_report report;
    kh_log *log = open_log(true, 11, &report, KH_OK);
    cr_assert(report.height == 11 && report.time_ns == 1011);
    kh_log_close(log);
    open_log(true, 21, &report, KH_E_DAMAGED);
    cr_assert(strstr(report.why, "21 was durable") != NULL);
}

static uint64_t offset_of(uint64_t height) /* in the first segment, of a log made by one fill() */
{
    uint64_t offset = KH_WAL_BLOCK_SZ;
    for (uint64_t h = 1; h < height; h++) offset += kh_wal_record_sz(size_of(h));
    return offset;
}

/* Cuts the closing mark and tears the last entries away, as if their writes had been lost. */
static void lose(uint64_t height, uint64_t bytes)
{
    static uint8_t zeros[65536];
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, first_name);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && bytes <= sizeof zeros && pwrite(fd, zeros, bytes, (off_t)offset_of(height)) == (ssize_t)bytes);
    close(fd);
}

Test(log, torn_tail_is_cut)
{
    kh_log_open_report report;
    fill(19);
    lose(20, KH_WAL_BLOCK_SZ); /* the mark */
    kh_log *log = open_log(false, 0, &report, KH_OK);
    cr_assert(report.height == 19 && report.cut_bytes == 0 && report.epoch == 1);
    kh_log_close(log);
    lose(20, KH_WAL_BLOCK_SZ);
    flip(first_name, offset_of(19) + KH_WAL_HEADER_SZ + size_of(19) - 1);
    log = open_log(false, 0, &report, KH_OK);
    cr_assert(report.height == 18 && report.cut_bytes == kh_wal_record_sz(size_of(19)) && report.epoch == 2);
    put(log, 19, size_of(19));
    kh_log_close(log);
    check_all(1, 19);
    log = open_log(false, 19, &report, KH_OK);
    cr_assert(report.cut_bytes == 0 && report.epoch == 2);
    kh_log_close(log);
}

Test(log, lost_entry_before_a_mark_is_damage)
{
    kh_log_open_report report;
    fill(19);
    lose(12, KH_WAL_BLOCK_SZ);
    open_log(false, 0, &report, KH_E_DAMAGED);
    char where[64];
    snprintf(where, sizeof where, "log/%s at byte %llu", first_name, (unsigned long long)offset_of(12));
    cr_assert_str_eq(report.where, where);
    cr_assert(strstr(report.why, "ends at height 11") != NULL && strstr(report.why, "19 was durable") != NULL, "%s", report.why);
}

Test(log, every_flipped_byte_is_found)
{
    kh_log_open_report report;
    fill(6);
    for (uint64_t at = 0, last = offset_of(7) + KH_WAL_HEADER_SZ; at < last; at += at < 6000 ? 13 : 97) {
        if (at > offset_of(7)) at = last - 1; /* in the mark's header only the last byte */
        flip(first_name, at);
        kh_log *log = NULL;
        memset(&report, 0, sizeof report);
        report.durable_floor = 6;
        kh_err err = kh_log_open(&disk, dir, true, &report, &log);
        if (err == KH_OK) {
            expect e = {.next = 1};
            err = kh_log_replay(log, 1, UINT64_MAX, check_entry, &e, &report);
            kh_log_close(log);
        }
        cr_assert(err == (at < offset_of(7) ? KH_E_DAMAGED : KH_OK), "byte %llu", (unsigned long long)at);
        flip(first_name, at);
    }
    check_all(1, 6);
}

Test(log, other_versions_and_missing_segments)
{
    kh_log_open_report report;
    fill(400); /* two segments at least */
    uint8_t block[KH_WAL_BLOCK_SZ];
    kh_wal_segment_encode(0, KH_WAL_SEGMENT_FIRST_SZ, block);
    block[8] = 9;
    kh_store64(block + 32, kh_xxh3(block, 32));
    char path[128], away[128];
    snprintf(path, sizeof path, "%s/%s", dir, first_name);
    snprintf(away, sizeof away, "%s/away", dir);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pwrite(fd, block, sizeof block, 0) == sizeof block);
    close(fd);
    open_log(false, 0, &report, KH_E_VERSION);
    cr_assert(rename(path, away) == 0);
    open_log(false, 0, &report, KH_E_DAMAGED);
    cr_assert_str_eq(report.why, "a segment of the log is missing");
    cr_assert(rename(away, path) == 0);
    cr_assert(truncate(path, 70000) == 0);
    open_log(false, 0, &report, KH_E_VERSION);
}
