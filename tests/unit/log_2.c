/* More of the log: the golden bytes, and damage that only the hash chain or the epoch can show. */
#include "log/log.h"
#include "log/wal_format.h"
#include "crypto/digest.h"
#include "host/host.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static kh_disk disk;
static char dir[64], path[100];

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/kh_log_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/0000000000000000.wal", dir);
    cr_assert(kh_host_disk_open(true, &disk) == KH_OK);
    cr_assert(kh_log_create(&disk, dir) == KH_OK);
}

static void end(void)
{
    cr_assert(remove(path) == 0 && rmdir(dir) == 0);
    kh_host_disk_close(&disk);
}

TestSuite(log_bytes, .init = begin, .fini = end);

static void blocks(bool write, uint64_t first, uint32_t n, uint8_t *bytes)
{
    kh_file *f;
    size_t got = 0, sz = (size_t)n * KH_WAL_BLOCK_SZ;
    uint64_t at = first * KH_WAL_BLOCK_SZ;
    cr_assert(disk.open(disk.self, path, KH_OPEN_READ | KH_OPEN_WRITE, &f) == KH_OK);
    if (write) cr_assert(disk.write(disk.self, f, at, bytes, sz) == KH_OK);
    else cr_assert(disk.read(disk.self, f, at, bytes, sz, &got) == KH_OK && got == sz);
    disk.close(disk.self, f);
}

/* Three entries of one block each, then a mark: blocks 1, 2, 3 and 4. */
static void fill(void)
{
    kh_log *log;
    kh_entry entry;
    kh_log_open_report report = {0};
    cr_assert(kh_log_open(&disk, dir, false, &report, &log) == KH_OK);
    for (uint64_t h = 1; h <= 3; h++) cr_assert(kh_log_submit(log, h, (const uint8_t *)"tallies", 7, 1, &entry) == KH_OK);
    kh_log_close(log);
}

static kh_err nothing(void *ctx, const kh_entry *entry)
{
    (void)ctx, (void)entry;
    return KH_OK;
}

/* Someone who can compute checksums changes a body: the hash chain, or the entry after it, tells. */
Test(log_bytes, forged_body)
{
    for (int also_digest = 0; also_digest < 2; also_digest++) {
        uint8_t block[KH_WAL_BLOCK_SZ], saved[KH_WAL_BLOCK_SZ];
        kh_wal_header h;
        kh_log *log;
        kh_log_open_report report = {.durable_floor = 3};
        if (also_digest == 0) fill();
        blocks(false, 2, 1, block);
        memcpy(saved, block, sizeof block);
        cr_assert(kh_wal_header_decode(block, &h) == KH_OK && h.height == 2);
        block[KH_WAL_HEADER_SZ] = 'w';
        h.body_check = kh_xxh3(block + KH_WAL_HEADER_SZ, h.body_sz);
        if (also_digest) kh_wal_digest(&h, block + KH_WAL_HEADER_SZ, h.digest);
        kh_wal_header_encode(&h, block);
        blocks(true, 2, 1, block);
        kh_err err = kh_log_open(&disk, dir, true, &report, &log);
        if (err == KH_OK) {
            err = kh_log_replay(log, 1, UINT64_MAX, nothing, NULL, &report);
            kh_log_close(log);
        }
        cr_assert(err == KH_E_DAMAGED);
        cr_assert(strstr(report.why, "hash chain") != NULL, "%s", report.why);
        cr_assert_str_eq(report.where,
                         also_digest ? "log/0000000000000000.wal at byte 12288" : "log/0000000000000000.wal at byte 8192");
        blocks(true, 2, 1, saved);
    }
}

/* A tail torn in its middle: all behind it becomes zeros and a higher epoch, and stays so. */
Test(log_bytes, cut_tail_is_zeroed)
{
    uint8_t bytes[3 * KH_WAL_BLOCK_SZ] = {0};
    kh_wal_header h;
    kh_log *log;
    kh_log_open_report report = {0};
    fill();
    blocks(true, 4, 1, bytes); /* no mark */
    blocks(true, 2, 1, bytes); /* entry 2 is lost, entry 3 is there */
    cr_assert(kh_log_open(&disk, dir, false, &report, &log) == KH_OK, "%s", report.why);
    cr_assert(report.height == 1 && report.cut_bytes == KH_WAL_BLOCK_SZ && report.epoch == 2);
    kh_log_close(log);
    blocks(false, 2, 3, bytes);
    cr_assert(kh_wal_header_decode(bytes, &h) == KH_OK && h.kind == KH_WAL_MARK && h.epoch == 2 && h.height == 1);
    cr_assert(kh_wal_is_zero(bytes + KH_WAL_BLOCK_SZ, 2 * KH_WAL_BLOCK_SZ), "what was cut is zero");
}

/* What an earlier epoch left behind is no witness against this one; the same record of this epoch is. */
Test(log_bytes, old_epochs_are_no_witness)
{
    uint8_t bytes[3 * KH_WAL_BLOCK_SZ] = {0};
    kh_log *log;
    kh_log_open_report report = {0};
    fill();
    blocks(true, 4, 1, bytes);
    blocks(true, 2, 1, bytes);
    cr_assert(kh_log_open(&disk, dir, false, &report, &log) == KH_OK);
    kh_log_close(log); /* now: entry 1, a mark of epoch 2, zeros */
    for (uint32_t epoch = 2; epoch >= 1; epoch--) {
        kh_wal_header h = {
            .kind = KH_WAL_MARK, .height = 9, .sequence = 20, .durable_upto = 9, .position = 6 * KH_WAL_BLOCK_SZ, .epoch = epoch};
        memset(bytes, 0, sizeof bytes);
        kh_wal_header_encode(&h, bytes);
        blocks(true, 6, 1, bytes);
        report = (kh_log_open_report){0};
        kh_err err = kh_log_open(&disk, dir, false, &report, &log);
        cr_assert(err == (epoch == 2 ? KH_E_DAMAGED : KH_OK), "epoch %u: %s", epoch, report.why);
        if (err == KH_OK) kh_log_close(log);
    }
    cr_assert(report.cut_bytes == KH_WAL_BLOCK_SZ && report.height == 1 && report.epoch == 3);
}

static kh_err check_golden(void *ctx, const kh_entry *entry)
{
    /* SHA-256(previous, height, time, operations, length, body), computed by another program */
    static const char *const digests[3] = {"098d01f6a4bf51f3a58fec28ea02c0e804283ffa8723340d2e7ff1cf9e15cb31",
                                           "1fa26bad933038c83cea836a73360fed0434c10ee6d3b0241b01069e49fb5ab2",
                                           "0195bd2a779b8ed023b6ac5384ec13df4d54fe17432e1dde4e6679212e031a01"};
    static const struct {
        uint64_t after_ns;
        uint32_t op_cnt, body_sz;
    } want[3] = {{0, 1, 16}, {1, 0, 0}, {KH_NS_PER_S, 40, 5000}};
    uint64_t *next = ctx;
    char hex[65];
    kh_hex(entry->digest, 32, hex);
    cr_assert(*next < 3 && entry->height == *next + 1);
    cr_assert_str_eq(hex, digests[*next]);
    cr_assert(entry->time_ns == UINT64_C(1767225600000000000) + want[*next].after_ns);
    cr_assert(entry->op_cnt == want[*next].op_cnt && entry->body_sz == want[*next].body_sz);
    if (*next == 0) cr_assert(memcmp(entry->body, "the halves match", 16) == 0);
    for (int i = 0; *next == 2 && i < 5000; i++) cr_assert(entry->body[i] == (uint8_t)(i * 37 + 11));
    ++*next;
    return KH_OK;
}

Test(log_bytes, golden)
{
    const char *root = getenv("KH_SOURCE_ROOT");
    char golden_dir[4000];
    snprintf(golden_dir, sizeof golden_dir, "%s/tests/golden/wal_v1", root != NULL ? root : ".");
    kh_log *log;
    kh_log_open_report report = {0};
    uint64_t given = 0;
    cr_assert(kh_log_open(&disk, golden_dir, true, &report, &log) == KH_OK, "%s", report.why);
    cr_assert(report.height == 3 && report.epoch == 1);
    cr_assert(kh_log_replay(log, 1, UINT64_MAX, check_golden, &given, &report) == KH_OK && given == 3);
    kh_log_close(log);
}

/* Writing the same entries gives the same bytes. */
Test(log_bytes, golden_again)
{
    static uint8_t mine[6 * KH_WAL_BLOCK_SZ], theirs[6 * KH_WAL_BLOCK_SZ], body[5000];
    const char *root = getenv("KH_SOURCE_ROOT");
    char name[4100];
    kh_log *log;
    kh_entry entry;
    kh_log_open_report report = {0};
    uint64_t t = UINT64_C(1767225600000000000);
    for (int i = 0; i < 5000; i++) body[i] = (uint8_t)(i * 37 + 11);
    cr_assert(kh_log_open(&disk, dir, false, &report, &log) == KH_OK);
    cr_assert(kh_log_submit(log, t, (const uint8_t *)"the halves match", 16, 1, &entry) == KH_OK);
    cr_assert(kh_log_submit(log, t + 1, NULL, 0, 0, &entry) == KH_OK);
    cr_assert(kh_log_submit(log, t + KH_NS_PER_S, body, 5000, 40, &entry) == KH_OK);
    kh_log_close(log);
    blocks(false, 0, 6, mine);
    snprintf(name, sizeof name, "%s/tests/golden/wal_v1/0000000000000000.wal", root != NULL ? root : ".");
    FILE *f = fopen(name, "rb");
    cr_assert(f != NULL && fread(theirs, 1, sizeof theirs, f) == sizeof theirs);
    fclose(f);
    cr_assert(memcmp(mine + KH_WAL_BLOCK_SZ, theirs + KH_WAL_BLOCK_SZ, sizeof mine - KH_WAL_BLOCK_SZ) == 0);
    uint64_t number, size;
    cr_assert(kh_wal_segment_decode(theirs, &number, &size) == KH_OK && number == 0 && size == 7 * KH_WAL_BLOCK_SZ);
    cr_assert(kh_wal_segment_decode(mine, &number, &size) == KH_OK && number == 0 && size == KH_WAL_SEGMENT_FIRST_SZ);
}
