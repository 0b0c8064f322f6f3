/* crash_log: a child writes to a log on the real disk and tells each acknowledged height through a pipe; the parent kills it at
 * a random time, opens the log and checks that every promise was kept and that nothing is there that was not written.
 *
 * crash_log [ROUNDS [SEED]]     prints "N passed, M failed" */
#include "host/host.h"
#include "log/log.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY_MAX_SZ (UINT32_C(1) << 20)

static uint8_t body_buf[BODY_MAX_SZ];
static char dir[] = "/tmp/kh_crash_log_XXXXXX";

static uint64_t random_of(uint64_t *x)
{
    *x += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = (*x ^ *x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* An entry is a function of its height, so that whoever wrote it, it can be checked. */
static uint32_t body_of(uint64_t height)
{
    uint64_t x = height, how = random_of(&x);
    uint32_t sz = (uint32_t)(random_of(&x) % (how % 64 == 0 ? BODY_MAX_SZ : how % 8 == 0 ? 65536 : 3000));
    uint8_t base = (uint8_t)random_of(&x);
    for (uint32_t i = 0; i < sz; i++) body_buf[i] = (uint8_t)(base + i * 31 + (i >> 8));
    return sz;
}

_Noreturn static void child(int promises, bool plain)
{
    kh_disk disk;
    kh_log *log;
    kh_log_open_report report = {0};
    if (kh_host_disk_open(plain, &disk) != KH_OK || kh_log_open(&disk, dir, false, &report, &log) != KH_OK) _exit(3);
    uint64_t height = report.height;
    for (;;) {
        kh_entry entry, done[KH_LOG_IN_FLIGHT_MAX];
        uint32_t n, sz = body_of(height + 1);
        kh_err err = kh_log_submit(log, height + 1, body_buf, sz, 1, &entry);
        if (err == KH_OK) height++;
        if (err != KH_OK && err != KH_E_AGAIN) _exit(4);
        if (kh_log_poll_decided(log, done, KH_LOG_IN_FLIGHT_MAX, err == KH_E_AGAIN ? KH_NS_PER_S : 0, &n) != KH_OK) _exit(5);
        for (uint32_t i = 0; i < n; i++)
            if (write(promises, &done[i].height, 8) != 8) _exit(6);
        if (height % 97 == 0) {
            err = kh_log_mark(log);
            if (err != KH_OK && err != KH_E_AGAIN) _exit(7);
        }
    }
}

static kh_err check_entry(void *ctx, const kh_entry *entry)
{
    uint64_t *next = ctx;
    uint32_t sz = body_of(*next);
    bool good =
        entry->height == *next && entry->time_ns == *next && entry->body_sz == sz && memcmp(entry->body, body_buf, sz) == 0;
    ++*next;
    return good ? KH_OK : KH_E_DAMAGED;
}

static bool round_holds(uint64_t *random, uint64_t *acked)
{
    int fds[2], status;
    uint64_t height;
    bool plain = random_of(random) % 4 == 0;
    if (pipe(fds) != 0) return false;
    pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
        (void)close(fds[0]);
        child(fds[1], plain);
    }
    (void)close(fds[1]);
    (void)usleep((useconds_t)(random_of(random) % 40000));
    (void)kill(pid, SIGKILL);
    while (read(fds[0], &height, 8) == 8) *acked = height;
    (void)close(fds[0]);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) {
        printf("# the child ended by itself: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        return false;
    }
    kh_disk disk;
    kh_log *log;
    kh_log_open_report report = {.durable_floor = *acked};
    if (kh_host_disk_open(plain, &disk) != KH_OK) return false;
    bool good = kh_log_open(&disk, dir, false, &report, &log) == KH_OK;
    if (good) {
        uint64_t next = 1;
        good = kh_log_replay(log, 1, UINT64_MAX, check_entry, &next, &report) == KH_OK && next == report.height + 1 &&
               report.height >= *acked;
        if (!good)
            printf("# %llu promised, %llu found, %llu read\n", (unsigned long long)*acked, (unsigned long long)report.height,
                   (unsigned long long)next - 1);
        kh_log_close(log);
    }
    if (report.why[0] != '\0') printf("# %s: %s\n", report.where, report.why);
    kh_host_disk_close(&disk);
    return good;
}

static void remove_name(void *ctx, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
    (void)remove(path);
}

/* A log of its own every 8 rounds, so that reading all of it stays short. */
int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 40, random = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t passed = 0, failed = 0, acked = 0, promised = 0;
    kh_disk disk;
    printf("# seed %llu\n", (unsigned long long)random);
    if (mkdtemp(dir) == NULL || kh_host_disk_open(true, &disk) != KH_OK) return 1;
    for (uint64_t i = 0; i < rounds; i++) {
        if (i % 8 == 0) {
            promised += acked;
            acked = 0;
            if (disk.list(disk.self, dir, remove_name, dir) != KH_OK || kh_log_create(&disk, dir) != KH_OK) return 1;
        }
        if (round_holds(&random, &acked)) passed++;
        else failed++;
    }
    if (disk.list(disk.self, dir, remove_name, dir) != KH_OK || rmdir(dir) != 0) failed++;
    kh_host_disk_close(&disk);
    printf("# %llu entries promised\n", (unsigned long long)(promised + acked));
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed != 0;
}
