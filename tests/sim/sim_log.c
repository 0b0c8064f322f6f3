/* sim_log: the write-ahead log on the simulated disk.
 *
 * cuts     for every k of a short run power fails in its k-th changing call, and again somewhere in the recovery
 * faults   seeded runs in which a call fails (EIO, ENOSPC, a part of a write, a read), then the process or the power goes
 * rot      seeded runs in which a stored byte changes: it is found, or the log is as it was
 * After each: every acknowledged entry is there with its bytes, nothing is there that was not submitted, the chain holds, the
 * log can be written on and read again. With --lie the disk does not do what it says: then some checks must fail.
 *
 * sim_log [--lie] [--seed N] [--cut K]     prints what failed with the line that repeats it, and "N passed, M failed". */
#include "log/log.h"
#include "sim_disk.h"
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES_MAX 4096
#define DIR "log"

static uint64_t passed, failed;
static uint8_t body_buf[KH_ENTRY_MAX_SZ];

/* What the program promised and did in one round. */
typedef struct scenario {
    sim_disk *sd;
    kh_disk disk;
    uint64_t seed;
    bool created;
    uint64_t acked, submitted;
    uint8_t digests[ENTRIES_MAX][32]; /* as submit answered, by height */
    const char *wrong;                /* the first check that failed */
    uint64_t wrong_height;
} scenario;

static void wrong(scenario *r, const char *what, uint64_t height)
{
    if (r->wrong != NULL) return;
    r->wrong = what;
    r->wrong_height = height;
}

/* Entries are a function of seed and height: mostly small, some of many blocks, one in 16 over half a segment. */
static uint32_t body_of(const scenario *r, uint64_t height)
{
    uint64_t x = (r->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ height * UINT64_C(0xd1342543de82ef95);
    uint32_t how = (uint32_t)(x >> 60), sz = (uint32_t)(x >> 32) % (how == 0 ? 600000 : how < 4 ? 20000 : how < 6 ? 1 : 4000);
    for (uint32_t i = 0; i < sz; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        body_buf[i] = (uint8_t)(x >> 24);
    }
    return sz;
}

static void poll(scenario *r, kh_log *log, uint64_t wait_ns, kh_err *err)
{
    kh_entry done[8];
    uint32_t n = 0;
    *err = kh_log_poll_decided(log, done, 1 + (uint32_t)(sim_disk_random(r->sd) % 8), wait_ns, &n);
    if (*err != KH_OK) return;
    for (uint32_t i = 0; i < n; i++) {
        if (done[i].height != r->acked + 1) wrong(r, "acknowledged out of order", done[i].height);
        r->acked = done[i].height;
    }
    if (kh_log_durable_upto(log) < r->acked) wrong(r, "durable_upto behind an acknowledgement", r->acked);
}

/* Submits up to n entries, polling as it goes, until all are acknowledged or an error. */
static kh_err write_some(scenario *r, kh_log *log, uint32_t n)
{
    kh_err err = KH_OK;
    for (uint32_t i = 0; i < n && err == KH_OK;) {
        uint64_t height = r->submitted + 1;
        kh_entry entry;
        uint32_t sz = body_of(r, height);
        err = kh_log_submit(log, height * 10, body_buf, sz, sz % 7, &entry);
        if (err == KH_OK) {
            if (entry.height != height) wrong(r, "submit gave another height", entry.height);
            memcpy(r->digests[height], entry.digest, 32);
            r->submitted = height;
            i++;
        }
        if (err == KH_E_AGAIN || sim_disk_random(r->sd) % 3 == 0) poll(r, log, err == KH_E_AGAIN ? 1000 : 0, &err);
        if (err == KH_OK && sim_disk_random(r->sd) % 16 == 0) {
            err = kh_log_mark(log);
            if (err == KH_E_AGAIN) err = KH_OK;
        }
    }
    while (err == KH_OK && kh_log_in_flight(log) > 0) poll(r, log, 1000, &err);
    return err;
}

typedef struct reading {
    scenario *r;
    uint64_t next;
} reading;

static kh_err check_entry(void *ctx, const kh_entry *entry)
{
    reading *progress = ctx;
    scenario *r = progress->r;
    uint64_t height = progress->next++;
    if (entry->height != height) wrong(r, "replay gave another height", entry->height);
    if (height > r->submitted) {
        wrong(r, "an entry that nobody submitted", height);
        return KH_OK;
    }
    uint32_t sz = body_of(r, height);
    if (entry->body_sz != sz || memcmp(entry->body, body_buf, sz) != 0) wrong(r, "an entry has other bytes", height);
    if (entry->time_ns != height * 10 || entry->op_cnt != sz % 7) wrong(r, "an entry has another header", height);
    if (memcmp(entry->digest, r->digests[height], 32) != 0) wrong(r, "an entry has another digest", height);
    return KH_OK;
}

/* Opens and reads everything; what was found becomes what is promised. */
static void recover_and_check(scenario *r)
{
    kh_log_open_report report = {0};
    kh_log *log;
    kh_err err = kh_log_open(&r->disk, DIR, false, &report, &log);
    if (err == KH_E_NOT_FOUND && !r->created && r->acked == 0) return;
    if (err != KH_OK) {
        wrong(r, report.why[0] != '\0' ? "recovery refused" : "recovery failed", (uint64_t)-err);
        if (report.why[0] != '\0') printf("# %s: %s\n", report.where, report.why);
        return;
    }
    if (report.height < r->acked) wrong(r, "an acknowledged entry is lost", report.height + 1);
    if (report.height > r->submitted) wrong(r, "the log is longer than what was submitted", report.height);
    reading all = {.r = r, .next = 1};
    if (r->wrong == NULL && kh_log_replay(log, 1, UINT64_MAX, check_entry, &all, &report) != KH_OK)
        wrong(r, "replay failed", all.next);
    if (r->wrong == NULL && all.next != report.height + 1) wrong(r, "replay stopped early", all.next);
    r->acked = r->submitted = report.height;
    if (r->wrong == NULL && write_some(r, log, 3) != KH_OK) wrong(r, "the log cannot be written on", r->submitted);
    kh_log_close(log);
    if (r->wrong != NULL) return;
    report = (kh_log_open_report){.durable_floor = r->acked};
    err = kh_log_open(&r->disk, DIR, true, &report, &log);
    if (err != KH_OK) {
        wrong(r, "a reader cannot open", (uint64_t)-err);
        return;
    }
    uint64_t from = 1 + sim_disk_random(r->sd) % r->acked;
    reading some = {.r = r, .next = from};
    if (kh_log_replay(log, from, UINT64_MAX, check_entry, &some, &report) != KH_OK || some.next != r->acked + 1)
        wrong(r, "a reader cannot read all", some.next);
    kh_log_close(log);
}

/* The program under test: makes a log, writes, closes, opens again and writes more. Ends at the first error. */
static void run(scenario *r, uint32_t n)
{
    kh_log_open_report report = {0};
    kh_log *log;
    if (kh_log_create(&r->disk, DIR) != KH_OK) return;
    r->created = true;
    for (int i = 0; i < 2; i++) {
        report = (kh_log_open_report){.durable_floor = r->acked};
        if (kh_log_open(&r->disk, DIR, false, &report, &log) != KH_OK) return;
        kh_err err = write_some(r, log, n);
        kh_log_close(log);
        if (err != KH_OK) return;
    }
}

static void start(scenario *r, uint64_t seed, bool lie)
{
    memset(r, 0, offsetof(scenario, digests));
    r->wrong = NULL;
    r->seed = seed;
    r->sd = sim_disk_new(seed);
    r->disk = sim_disk_table(r->sd);
    /* The directory is there before the log; that its name lasts is its owner's business. */
    if (r->disk.make_dir(r->disk.self, DIR) != KH_OK || r->disk.sync_dir(r->disk.self, "") != KH_OK) abort();
    sim_disk_lie(r->sd, lie);
}

static void finish(scenario *r, const char *what, uint64_t k)
{
    sim_disk_free(r->sd);
    if (r->wrong == NULL) {
        passed++;
        return;
    }
    failed++;
    printf("# failed: %s at %llu; repeat: sim_log --seed %llu%s%llu\n", r->wrong, (unsigned long long)r->wrong_height,
           (unsigned long long)r->seed, what, (unsigned long long)k);
}

static void cut_round(scenario *r, uint64_t seed, uint64_t k, bool lie)
{
    kh_log_open_report report = {0};
    kh_log *log;
    start(r, seed, lie);
    sim_disk_cut_after(r->sd, k);
    run(r, 24);
    sim_disk_restart(r->sd);
    /* Recovery is cut as well, up to three times; it must not make things worse. */
    for (uint64_t i = sim_disk_random(r->sd) % 4; i > 0; i--) {
        sim_disk_cut_after(r->sd, sim_disk_random(r->sd) % 5);
        if (kh_log_open(&r->disk, DIR, false, &report, &log) == KH_OK) kh_log_close(log);
        sim_disk_restart(r->sd);
    }
    recover_and_check(r);
    finish(r, " --cut ", k);
}

static uint64_t calls_of_run(scenario *r, uint64_t seed)
{
    start(r, seed, false);
    run(r, 24);
    uint64_t calls = sim_disk_calls(r->sd);
    if (r->acked != 48) wrong(r, "the run without faults did not end", r->acked);
    finish(r, " --cut ", 0);
    return calls;
}

static void fault_round(scenario *r, uint64_t seed)
{
    start(r, seed, false);
    uint64_t x = sim_disk_random(r->sd);
    if (x % 8 == 0) sim_disk_fail_read_after(r->sd, x / 64 % 8, KH_E_IO);
    else sim_disk_fail_after(r->sd, x / 64 % 120, x % 3 == 0 ? KH_E_NOSPACE : KH_E_IO, x % 2 == 0);
    run(r, 24);
    if (x >> 20 & 1) sim_disk_restart(r->sd);
    sim_disk_fail_after(r->sd, UINT32_MAX, KH_E_IO, false);
    sim_disk_fail_read_after(r->sd, UINT32_MAX, KH_E_IO);
    recover_and_check(r);
    finish(r, " # fault ", 0);
}

/* One byte of what was written changes; head says how far the log was durable. */
static void rot_round(scenario *r, uint64_t seed)
{
    kh_log_open_report report;
    kh_log *log;
    char path[64];
    start(r, seed, false);
    run(r, 24);
    snprintf(path, sizeof path, "%s/%016x.wal", DIR, (unsigned)(sim_disk_random(r->sd) % 3));
    if (!sim_disk_rot(r->sd, path, sim_disk_random(r->sd) % (1 << 20), (uint8_t)(1 << sim_disk_random(r->sd) % 8))) {
        finish(r, " # rot ", 0);
        return;
    }
    for (int read_only = 1; read_only >= 0; read_only--) {
        report = (kh_log_open_report){.durable_floor = r->acked};
        kh_err err = kh_log_open(&r->disk, DIR, read_only == 1, &report, &log);
        if (err == KH_OK) {
            reading all = {.r = r, .next = 1};
            if (report.height != r->acked) wrong(r, "a changed byte changed the length of the log", report.height);
            err = kh_log_replay(log, 1, UINT64_MAX, check_entry, &all, &report);
            if (err == KH_OK && all.next != r->acked + 1) wrong(r, "replay stopped early", all.next);
            kh_log_close(log);
        }
        if (err != KH_OK && err != KH_E_DAMAGED && err != KH_E_VERSION)
            wrong(r, "a changed byte got another error", (uint64_t)-err);
        if (err != KH_OK && strstr(report.where, "at byte") == NULL) wrong(r, "damage without a place", (uint64_t)-err);
    }
    finish(r, " # rot ", 0);
}

int main(int argc, char **argv)
{
    static scenario r;
    bool lie = false;
    uint64_t seed = 0, cut = UINT64_MAX, every = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lie") == 0) lie = true;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--cut") == 0 && i + 1 < argc) cut = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--every") == 0 && i + 1 < argc) every = kh_max64(1, strtoull(argv[++i], NULL, 10));
    }
    printf("# seed %llu\n", (unsigned long long)seed);
    if (cut != UINT64_MAX) {
        cut_round(&r, seed, cut, lie);
    } else {
        for (uint64_t s = seed; s < seed + 3; s++) {
            uint64_t calls = calls_of_run(&r, s);
            for (uint64_t k = s % every; k < calls; k += every) cut_round(&r, s, k, lie);
        }
        for (uint64_t s = seed; s < seed + 200 && !lie; s++) fault_round(&r, s);
        for (uint64_t s = seed; s < seed + 100 && !lie; s++) rot_round(&r, s);
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return lie ? failed == 0 : failed != 0;
}
