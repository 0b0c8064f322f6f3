/* crash_store: a child writes to the real disk and promises through a pipe what was acknowledged; the parent kills it at a random
 * moment, opens the directory and looks for every promise. Many rounds on one directory, images being made all the while.
 *
 *   crash_store [SECONDS [SEED]]      prints its seed; the same seed makes the same kills (not the same moments of the disk) */
#include "../unit/store_ops.h"
#include "host/host.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DOCS 20000u
#define BATCH 256u
#define IN_FLIGHT 4u

static char root[] = "/tmp/kh-crash-XXXXXX";
static char dir[64];
static kh_clock clock_;
static kh_entropy entropy;
static kh_disk disk;

static __attribute__((noreturn)) void fail(const char *what, const kh_store_report *r)
{
    fprintf(stderr, "crash_store: %s (%s %s); the directory stays: %s\n", what, r != NULL ? r->where : "",
            r != NULL ? r->why : "", dir);
    exit(1);
}

static kh_store *open_store(bool inline_engine, bool long_running)
{
    kh_store_options o = {.clock = &clock_,
                          .disk = &disk,
                          .entropy = &entropy,
                          .inline_engine = inline_engine,
                          .long_running = long_running,
                          .wait_lock_ms = 10000};
    kh_store_report r;
    kh_store *s;
    if (kh_store_open(&o, dir, &r, &s) != KH_OK) fail("cannot be opened", &r);
    return s;
}

typedef struct promise {
    uint64_t first, n;
    int pipe;
    bool whole;
} promise;
static _Atomic uint32_t in_flight;

static void answered(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    promise *p = ctx;
    (void)time_ns;
    (void)op_index;
    if (receipt != NULL) {
        if (receipt->code != KH_C_OK) _exit(3);
        return;
    }
    uint64_t words[2] = {p->first, p->n};
    if (height != 0 && write(p->pipe, words, sizeof words) != (ssize_t)sizeof words) _exit(4);
    free(p);
    (void)atomic_fetch_sub_explicit(&in_flight, 1, memory_order_release);
}

static __attribute__((noreturn)) void child(uint64_t from, int pipe_fd, bool snapshots)
{
    if (kh_host_disk_open(false, &disk) != KH_OK) _exit(5);
    kh_store *s = open_store(false, true);
    ops_buf b = {0};
    for (uint64_t id = from, round = 0;; id += BATCH, round++) {
        uint64_t ticket, height;
        b.n = b.cnt = 0;
        for (uint32_t i = 0; i < BATCH; i++) ops_reserve(&b, id + i, (uint32_t)((id + i) % DOCS), 1);
        promise *p = malloc(sizeof *p);
        *p = (promise){id, BATCH, pipe_fd, true};
        while (atomic_load_explicit(&in_flight, memory_order_acquire) >= IN_FLIGHT) usleep(20);
        (void)atomic_fetch_add_explicit(&in_flight, 1, memory_order_relaxed);
        if (kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt, .reply = answered, .ctx = p},
                            &ticket) != KH_OK)
            _exit(6);
        if (snapshots && round % 64 == 63 && kh_store_snapshot(s, &height) != KH_OK) _exit(7);
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 15;
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL);
    printf("crash_store: seed %u\n", seed);
    clock_ = kh_host_clock();
    entropy = kh_host_entropy();
    if (mkdtemp(root) == NULL || kh_host_disk_open(true, &disk) != KH_OK) return 1;
    snprintf(dir, sizeof dir, "%s/data", root);
    kh_store_options o = {.clock = &clock_, .disk = &disk, .entropy = &entropy};
    kh_store_report r;
    if (kh_store_create(&o, dir, NULL, &r) != KH_OK) fail("cannot be made", &r);
    kh_store *s = open_store(true, false);
    ops_buf b = {0};
    uint64_t ticket = 0, next = 1, promised_total = 0;
    ops_parties(&b);
    for (uint32_t i = 0; i < DOCS; i++) {
        ops_declaration(&b, i, 1000000000);
        if (b.n < (1u << 20) && i + 1 < DOCS) continue;
        if (kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) != KH_OK) return 1;
        b.n = b.cnt = 0;
    }
    if (kh_store_wait(s, ticket) != KH_OK) return 1;
    kh_store_close(s);

    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    int rounds = 0;
    for (bool last = false; !last; rounds++) {
        int fds[2];
        if (pipe(fds) != 0) return 1;
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            child(next, fds[1], rounds % 2 == 1);
        }
        close(fds[1]);
        seed = seed * 1103515245u + 12345u;
        usleep(20000 + (seed >> 8) % 400000);
        kill(pid, SIGKILL);
        uint64_t words[2], upto = next;
        while (read(fds[0], words, sizeof words) == (ssize_t)sizeof words) {
            if (words[0] != upto) fail("promises out of order", NULL);
            upto = words[0] + words[1];
        }
        close(fds[0]);
        int status;
        if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) fail("the child stopped by itself", NULL);
        s = open_store(rounds % 3 != 0, rounds % 5 == 0);
        const kh_ledger *l = kh_store_read_begin(s);
        static kh_fin_view view;
        for (uint64_t id = next; id < upto; id++)
            if (!kh_ledger_financing(l, OPS_BANK, id, &view) || view.amount != 1) fail("an acknowledged reserve is lost", NULL);
        promised_total += upto - next;
        /* What was not acknowledged may be there too, but whole batches only. */
        next = upto;
        while (kh_ledger_financing(l, OPS_BANK, next, &view)) next++;
        if ((next - upto) % BATCH != 0) fail("a batch is half there", NULL);
        const char *broken = kh_ledger_verify_invariants(l);
        if (broken != NULL) fail(broken, NULL);
        kh_store_read_end(s);
        kh_store_close(s);
        clock_gettime(CLOCK_MONOTONIC, &now);
        last = (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9 >= seconds;
        if (last || rounds % 8 == 0) {
            kh_audit_result a;
            if (kh_store_audit(&o, dir, NULL, NULL, &a) != KH_OK || !a.ok) {
                fprintf(stderr, "%s %s\n", a.at, a.why);
                fail("the audit found damage", NULL);
            }
        }
    }
    printf("crash_store: %d kills, %llu acknowledged reserves, none lost\n", rounds, (unsigned long long)promised_total);
    free(b.p);
    char cmd[64];
    snprintf(cmd, sizeof cmd, "rm -rf %s", root);
    return system(cmd) == 0 && promised_total > 0 ? 0 : 1;
}
