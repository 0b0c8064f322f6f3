/* log_4: logs that begin behind an entry. */
#include "host/host.h"
#include "log/log.h"
#include "log/wal_format.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/kh-log-XXXXXX";
static kh_disk disk;
static const uint8_t digest[32] = "the digest of the entry before..";
enum { BEGINS = 70, TIME = 5000 };
static uint64_t last_time = TIME;

static void setup(void)
{
    cr_assert(mkdtemp(dir) != NULL && kh_host_disk_open(false, &disk) == KH_OK);
    cr_assert(kh_log_create_behind(&disk, dir, BEGINS, TIME, digest) == KH_OK);
}

static void teardown(void)
{
    char cmd[64];
    kh_host_disk_close(&disk);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    cr_assert(system(cmd) == 0);
}

static kh_log *open_log(bool read_only, uint64_t floor, bool cuts, uint64_t height)
{
    kh_log_open_report r = {.begins = BEGINS, .durable_floor = floor, .cuts = cuts};
    kh_log *log = NULL;
    kh_err err = kh_log_open(&disk, dir, read_only, &r, &log);
    cr_assert(err == KH_OK, "%s: %s", r.where, r.why);
    cr_assert(r.height == height && memcmp(kh_log_begin_digest(log), digest, 32) == 0);
    return log;
}

static void add(kh_log *log, uint64_t n)
{
    kh_entry e;
    uint32_t got = 0;
    uint8_t body[3000] = {1, 2, 3};
    for (uint64_t i = 0; i < n; i++) {
        cr_assert(kh_log_submit(log, ++last_time, body, sizeof body, 1, &e) == KH_OK);
        for (got = 0; got == 0;) cr_assert(kh_log_poll_decided(log, &e, 1, KH_NS_PER_S, &got) == KH_OK);
    }
}

static kh_err each(void *ctx, const kh_entry *e)
{
    uint64_t *next = ctx;
    cr_assert(e->height == *next);
    ++*next;
    return KH_OK;
}

static void replays(kh_log *log, uint64_t from, uint64_t first, uint64_t end)
{
    kh_log_open_report r;
    cr_assert(kh_log_replay(log, from, UINT64_MAX, each, &first, &r) == KH_OK && first == end);
}

Test(log_4, entries_go_on_behind_it, .init = setup, .fini = teardown)
{
    kh_log *log = open_log(false, 0, false, BEGINS);
    cr_assert(kh_log_bytes_since(log, 0) == 0 && kh_log_durable_upto(log) == BEGINS);
    replays(log, 1, 71, 71);
    add(log, 400); /* over several segments */
    kh_log_close(log);
    log = open_log(true, 0, false, 470);
    replays(log, 1, 71, 471);
    replays(log, BEGINS, 71, 471);
    replays(log, 300, 300, 471);
    cr_assert(kh_log_bytes_since(log, 0) == kh_log_bytes_since(log, BEGINS) && kh_log_bytes_since(log, 0) > 400 * 3000);
    kh_log_close(log);
    log = open_log(false, 75, true, 75); /* taken back, then to where it begins: the mark stays */
    add(log, 3);
    kh_log_close(log);
    log = open_log(false, BEGINS, true, BEGINS);
    kh_log_close(log);
    log = open_log(false, 0, false, BEGINS);
    add(log, 2);
    kh_log_close(log);
    log = open_log(true, 72, false, 72);
    replays(log, 1, 71, 73);
    kh_log_close(log);
}

static kh_err opening(uint64_t begins, bool read_only, kh_log_open_report *r)
{
    kh_log *log = NULL;
    *r = (kh_log_open_report){.begins = begins};
    kh_err err = kh_log_open(&disk, dir, read_only, r, &log);
    if (err == KH_OK) kh_log_close(log);
    return err;
}

Test(log_4, it_must_begin_where_its_directory_does, .init = setup, .fini = teardown)
{
    kh_log_open_report r;
    for (int read_only = 0; read_only < 2; read_only++) {
        cr_assert(opening(0, read_only, &r) == KH_E_DAMAGED && strstr(r.why, "begins behind height 70") != NULL, "%s", r.why);
        cr_assert(opening(71, read_only, &r) == KH_E_DAMAGED && strstr(r.where, "at byte 4096") != NULL);
        cr_assert(opening(BEGINS, read_only, &r) == KH_OK);
    }
}

/* Whatever of the mark is lost, the log is not taken for an empty one, and nothing is written into it. */
Test(log_4, a_lost_mark_is_damage, .init = setup, .fini = teardown)
{
    char path[96];
    kh_log_open_report r;
    uint8_t zeros[4096] = {0}, mark[4096];
    snprintf(path, sizeof path, "%s/0000000000000000.wal", dir);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pread(fd, mark, sizeof mark, 4096) == sizeof mark);
    for (size_t at = 0; at < KH_WAL_HEADER_SZ + 8; at++) {
        uint8_t bad = mark[at] ^ 0x10;
        cr_assert(pwrite(fd, &bad, 1, 4096 + (off_t)at) == 1);
        cr_assert(opening(BEGINS, false, &r) == KH_E_DAMAGED, "byte %zu", at);
        cr_assert(pwrite(fd, &mark[at], 1, 4096 + (off_t)at) == 1);
    }
    cr_assert(pwrite(fd, zeros, sizeof zeros, 4096) == sizeof zeros);
    cr_assert(opening(BEGINS, false, &r) == KH_E_DAMAGED && strstr(r.why, "is not there") != NULL, "%s", r.why);
    cr_assert(pwrite(fd, mark, sizeof mark, 4096) == sizeof mark);
    cr_assert(opening(BEGINS, false, &r) == KH_OK);
    close(fd);
}

Test(log_4, a_height_of_zero_is_no_beginning, .init = setup, .fini = teardown)
{
    cr_assert(kh_log_create_behind(&disk, dir, 0, TIME, digest) == KH_E_ARG);
}
