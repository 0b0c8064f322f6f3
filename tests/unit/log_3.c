/* The log as those read it who follow a writer, and with a thread that reads ahead: the same entries in the same order, the same
 * damage at the same place. */
#include "log_fixture.h"
#include <fcntl.h>

enum { ENTRY_CNT = 120, BODY_SZ = 60000 };
static uint8_t body[BODY_SZ];

TestSuite(log_following, .init = begin, .fini = end);

static uint32_t body_of(uint64_t height)
{
    memset(body, (int)(height % 251), sizeof body);
    return (uint32_t)(BODY_SZ - height * 97 % 5000);
}

static void put(kh_log *log, uint64_t from, uint64_t upto)
{
    kh_entry entry, done[4];
    uint32_t n;
    for (uint64_t h = from; h <= upto; h++) {
        kh_err err;
        uint32_t sz = body_of(h);
        while ((err = kh_log_submit(log, h, body, sz, 1, &entry)) == KH_E_AGAIN)
            cr_assert(kh_log_poll_decided(log, done, 4, KH_NS_PER_S, &n) == KH_OK);
        cr_assert(err == KH_OK && entry.height == h);
    }
    while (kh_log_in_flight(log) > 0) cr_assert(kh_log_poll_decided(log, done, 4, KH_NS_PER_S, &n) == KH_OK);
}

typedef struct taken {
    uint64_t next, stop_at; /* stop_at: refused there with KH_E_NOMEM; 0: nowhere */
} taken;

static kh_err take(void *ctx, const kh_entry *entry)
{
    taken *t = ctx;
    cr_assert(entry->height == t->next && entry->body_sz == body_of(t->next));
    cr_assert(memcmp(entry->body, body, entry->body_sz) == 0);
    if (entry->height == t->stop_at) return KH_E_NOMEM;
    t->next++;
    return KH_OK;
}

static kh_log *open_log(bool read_only, uint64_t floor, bool uncached, bool reads_ahead)
{
    kh_log *log = NULL;
    kh_log_open_report report = {.durable_floor = floor, .uncached = uncached, .reads_ahead = reads_ahead};
    cr_assert(kh_log_open(&disk, dir, read_only, &report, &log) == KH_OK);
    return log;
}

/* Over the ends of several segments, past the file cache, and never further than it is told. */
Test(log_following, a_reader_goes_on_beside_a_writer)
{
    kh_log_open_report report;
    kh_log *writer = open_log(false, 0, false, false);
    put(writer, 1, 20);
    kh_log *reader = open_log(true, 10, true, false);
    taken t = {.next = 1};
    cr_assert(kh_log_replay(reader, 1, UINT64_MAX, take, &t, &report) == KH_OK && t.next == 11);
    put(writer, 21, ENTRY_CNT);
    for (uint64_t upto = 12; upto <= ENTRY_CNT; upto += 27) {
        cr_assert(kh_log_advance(reader, upto) == KH_OK && kh_log_durable_upto(reader) == upto);
        cr_assert(kh_log_replay(reader, t.next, UINT64_MAX, take, &t, &report) == KH_OK && t.next == upto + 1);
    }
    cr_assert(kh_log_advance(reader, 5) == KH_OK && kh_log_durable_upto(reader) > 100); /* never back */
    cr_assert(kh_log_advance(reader, ENTRY_CNT + 1) == KH_E_DAMAGED);
    cr_assert(kh_log_advance(writer, ENTRY_CNT) == KH_E_ARG);
    kh_log_close(reader);
    kh_log_close(writer);
}

Test(log_following, reading_ahead_gives_the_same)
{
    kh_log_open_report report;
    kh_log *log = open_log(false, 0, false, false);
    put(log, 1, ENTRY_CNT);
    kh_log_close(log);
    for (int ahead = 0; ahead < 2; ahead++) {
        log = open_log(true, 0, false, ahead == 1);
        taken t = {.next = 3};
        cr_assert(kh_log_replay(log, 3, UINT64_MAX, take, &t, &report) == KH_OK && t.next == ENTRY_CNT + 1);
        t = (taken){.next = 1};
        cr_assert(kh_log_replay(log, 1, 117, take, &t, &report) == KH_OK && t.next == 118);
        for (uint64_t stop = 1; stop <= ENTRY_CNT; stop += 17) {
            t = (taken){.next = 1, .stop_at = stop};
            cr_assert(kh_log_replay(log, 1, UINT64_MAX, take, &t, &report) == KH_E_NOMEM && t.next == stop);
        }
        kh_log_close(log);
    }
}

Test(log_following, reading_ahead_finds_the_same_damage)
{
    kh_log_open_report reports[2];
    taken t[2] = {{.next = 1}, {.next = 1}};
    kh_log *logs[2], *log = open_log(false, 0, false, false);
    put(log, 1, ENTRY_CNT);
    kh_log_close(log);
    for (int i = 0; i < 2; i++) logs[i] = open_log(true, 0, false, i == 1);
    char path[128];
    snprintf(path, sizeof path, "%s/0000000000000002.wal", dir);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pwrite(fd, "?", 1, 1500000) == 1);
    close(fd);
    for (int i = 0; i < 2; i++) {
        cr_assert(kh_log_replay(logs[i], 1, UINT64_MAX, take, &t[i], &reports[i]) == KH_E_DAMAGED);
        kh_log_close(logs[i]);
    }
    cr_assert(t[0].next > 10 && t[0].next < ENTRY_CNT && t[1].next == t[0].next);
    cr_assert(strcmp(reports[0].why, reports[1].why) == 0 && strcmp(reports[0].where, reports[1].where) == 0);
    cr_assert(strstr(reports[1].where, "0000000000000002.wal") != NULL);
}
