/* bench store: durable reserves a second, restarts, and what making an image does to the worst batch. One JSON line a figure:
 * {"name","value","unit","against","ratio"}. All rates here are durable: counted when the answer has been given.
 *
 *   bench_store [--quick] [--load] [--dir DIR]      --quick: 1 M documents instead of 10 M, shorter runs
 *                                                   --load: the durable rates of one sender alone
 *   bench_store [--quick] --build DIR | --open DIR  the restart after a SIGKILL by itself, in two steps: DIR, which must not be
 *                                                   there, is filled, put under load and killed; it is opened, and stays as it is
 */
#include "host/host.h"
#include "keys.h"
#include "prepare.h"
#include "window.h"
#include "clock.h"
#include "median.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static kh_clock clock_;
static kh_entropy entropy;
static char dir[256];
static uint32_t doc_cnt = 10000000;
static double run_s = 4;
static kh_key *keys; /* of all documents */

static void figure(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.4g}\n", name, value, unit, against,
           ratio);
    fflush(stdout);
}

static kh_store_report report;

static kh_store *open_store(kh_disk *disk, bool inline_engine)
{
    kh_store_options o = {
        .clock = &clock_, .disk = disk, .entropy = &entropy, .inline_engine = inline_engine, .long_running = true};
    kh_store *s;
    if (kh_store_open(&o, dir, &report, &s) == KH_OK) return s;
    fprintf(stderr, "bench_store: %s %s\n", report.where, report.why);
    exit(1);
}

/* Answers of one submitter: how many wait, how many came, how long each batch took. */
typedef struct sender {
    kh_store *s;
    uint64_t id, id_step;
    uint32_t batch;
    double until;
    double per_s; /* operations at most; 0: as many as the engine takes */
    _Atomic uint64_t done;
    window batches;
    double *times; /* of batches */
    uint32_t time_cnt, time_max;
} sender;
typedef struct sent {
    sender *from;
    double at;
    uint32_t n;
} sent;

static void answered(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    sent *b = ctx;
    (void)height;
    (void)time_ns;
    (void)op_index;
    if (receipt != NULL) return;
    sender *from = b->from;
    if (from->time_cnt < from->time_max) from->times[from->time_cnt++] = clock_now() - b->at;
    atomic_fetch_add_explicit(&from->done, b->n, memory_order_relaxed);
    window_leave(&from->batches);
    free(b);
}

/* Sleeps until the next batch is due. Who is late sends at once, as far as the window lets it. */
static void keep_pace(const sender *me, double began, uint64_t sent)
{
    double early = me->per_s == 0 ? 0 : began + (double)sent / me->per_s - clock_now();
    if (early > 0) usleep((useconds_t)(early * 1e6));
}

static void *send_all(void *arg)
{
    sender *me = arg;
    ops_buf b = {0};
    double began = clock_now();
    for (uint64_t first = me->id; clock_now() < me->until; keep_pace(me, began, me->id - first)) {
        uint64_t ticket;
        b.n = b.cnt = 0;
        for (uint32_t i = 0; i < me->batch; i++, me->id++)
            ops_apply_key(&b, OPS_BANK, OPS_ENTERPRISE, me->id, keys_of(keys, doc_cnt, me->id), 1);
        window_enter(&me->batches);
        sent *x = malloc(sizeof *x);
        *x = (sent){me, clock_now(), me->batch};
        if (kh_store_submit(me->s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt, .reply = answered, .ctx = x},
                            &ticket) != KH_OK)
            break;
    }
    window_drain(&me->batches);
    free(b.p);
    return NULL;
}

static double run_cpu_us; /* processor time a reserve of the last run, the sender's share included */

static double pace_per_s; /* of each sender of the next runs; 0: none */

/* Runs `threads` senders; returns reserves a second and the p99.9 of a batch in seconds. */
static double run(kh_store *s, uint64_t *id, uint32_t threads, uint32_t batch, uint32_t depth, double seconds, double *ret_p999)
{
    static sender senders[4];
    pthread_t ids[4];
    double began = clock_now(), cpu = clock_of_process();
    uint64_t total = 0;
    for (uint32_t i = 0; i < threads; i++) {
        memset(&senders[i], 0, sizeof senders[i]);
        senders[i] =
            (sender){.s = s, .id = *id + (uint64_t)i * 1000000000, .batch = batch, .until = began + seconds, .per_s = pace_per_s};
        window_open(&senders[i].batches, depth);
        senders[i].times = malloc((senders[i].time_max = 4000000) * sizeof(double));
        pthread_create(&ids[i], NULL, send_all, &senders[i]);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        total += atomic_load(&senders[i].done);
    }
    double took = clock_now() - began;
    run_cpu_us = total != 0 ? (clock_of_process() - cpu) * 1e6 / (double)total : 0;
    for (uint32_t i = 0; i < threads; i++) n += senders[i].time_cnt;
    double *all = malloc((n + 1) * sizeof *all);
    n = 0;
    for (uint32_t i = 0; i < threads; i++) {
        memcpy(all + n, senders[i].times, senders[i].time_cnt * sizeof *all);
        n += senders[i].time_cnt;
        free(senders[i].times);
    }
    sort_figures(all, n);
    *ret_p999 = n != 0 ? all[(uint64_t)n * 999 / 1000] : 0;
    free(all);
    *id += 4000000000u;
    return (double)total / took;
}

static void fill(void)
{
    kh_disk disk;
    kh_store_options o = {.clock = &clock_, .disk = &disk, .entropy = &entropy};
    kh_store_report r;
    if (kh_host_disk_open(false, &disk) != KH_OK || kh_store_create(&o, dir, NULL, &r) != KH_OK) exit(1);
    kh_store *s = open_store(&disk, false);
    ops_buf b = {0};
    uint64_t ticket = 0;
    double began = clock_now();
    ops_parties(&b);
    for (uint32_t i = 0; i < doc_cnt; i++) {
        ops_declaration(&b, i, 1000000000);
        if (b.n < (1u << 19) && i + 1 < doc_cnt) continue;
        if (kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) != KH_OK) exit(1);
        b.n = b.cnt = 0;
    }
    if (kh_store_wait(s, ticket) != KH_OK) exit(1);
    figure("store_insert_durable", (double)doc_cnt / (clock_now() - began), "documents/s", "", 0);
    kh_store_close(s);
    kh_host_disk_close(&disk);
    free(b.p);
}

/* What is written by one process and opened again by another, as it is in life. *ret_tail: operations replayed. */
static double restart(uint64_t *ret_tail)
{
    int fds[2];
    double took = 0;
    *ret_tail = 0;
    if (pipe(fds) != 0) exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        kh_disk disk;
        if (kh_host_disk_open(false, &disk) != KH_OK) _exit(1);
        double began = clock_now();
        (void)open_store(&disk, false);
        took = clock_now() - began;
        if (write(fds[1], &took, sizeof took) != (ssize_t)sizeof took) _exit(1);
        if (write(fds[1], &report.tail_ops, sizeof report.tail_ops) != (ssize_t)sizeof report.tail_ops) _exit(1);
        _exit(0); /* no close: the directory stays as it was found */
    }
    close(fds[1]);
    if (read(fds[0], &took, sizeof took) != (ssize_t)sizeof took) took = -1;
    if (read(fds[0], ret_tail, sizeof *ret_tail) != (ssize_t)sizeof *ret_tail) took = -1;
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return took;
}

/* The time under load begins when the store is open. The load is the one that the target names, 1 M reserves a second, since how
 * much is to be replayed is how much came behind the newest image: a faster engine would else have the longer restart. */
static void under_load_killed(uint64_t *id)
{
    int fds[2];
    char open = 0;
    if (pipe(fds) != 0) exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        kh_disk disk;
        double p;
        if (kh_host_disk_open(false, &disk) != KH_OK) _exit(1);
        kh_store *s = open_store(&disk, false);
        if (write(fds[1], &open, 1) != 1) _exit(1);
        pace_per_s = 1e6;
        (void)run(s, id, 1, 8192, 4, 3600, &p);
        _exit(0);
    }
    close(fds[1]);
    if (read(fds[0], &open, 1) != 1) exit(1);
    close(fds[0]);
    usleep((useconds_t)(run_s * 1e6) + 2000000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    *id += 4000000000u;
}

static void *snapshots(void *arg)
{
    kh_store *s = arg;
    uint64_t height;
    if (kh_store_snapshot(s, &height) != KH_OK) fprintf(stderr, "bench_store: no image\n");
    return NULL;
}

static void rates(kh_store *s, uint64_t *id)
{
    static const struct {
        uint32_t batch, depth;
    } sizes[3] = {{256, 16}, {8192, 4}, {1, 256}};
    char name[64];
    double p, first = run(s, id, 1, 256, 16, run_s, &p);
    figure("store_reserve_durable_256x16_unprepared", first, "reserves/s", "memory as it is wanted", first / 1e6);
    prepare(s, 3 * run_s);
    for (uint32_t i = 0; i < 3; i++) {
        bool single = sizes[i].batch == 1;
        double rate = run(s, id, 1, sizes[i].batch, sizes[i].depth, run_s, &p);
        if (i == 0) first = rate;
        snprintf(name, sizeof name, "store_reserve_durable_%ux%u", sizes[i].batch, sizes[i].depth);
        figure(name, rate, "reserves/s", single ? "batches of 256 x 16" : "target 1 M/s; memory prepared",
               rate / (single ? first : 1e6));
        snprintf(name, sizeof name, "store_reserve_%ux%u_processor", sizes[i].batch, sizes[i].depth);
        figure(name, run_cpu_us, "us/reserve", "", 0);
    }
}

static void restart_killed(void)
{
    char name[64];
    uint64_t tail;
    double seconds = restart(&tail);
    snprintf(name, sizeof name, "store_restart_%uM_killed", doc_cnt / 1000000);
    figure(name, seconds, "s", "target 2.5 s, under 1 M reserves/s", 0);
    snprintf(name, sizeof name, "store_restart_%uM_killed_replayed", doc_cnt / 1000000);
    figure(name, (double)tail, "operations", "", 0);
}

/* What else weighs on it: a second sender, single operations, an image, a SIGKILL. */
static void under_disturbance(kh_store *s, kh_disk *disk, uint64_t *id)
{
    double p, q;
    double rate = run(s, id, 2, 8192, 4, run_s, &p);
    figure("store_reserve_durable_8192x4_2_threads", rate, "reserves/s", "target 1 M/s", rate / 1e6);
    (void)run(s, id, 1, 256, 1, run_s, &q);
    figure("store_batch_256_p999", q * 1e6, "us", "", 0);
    pthread_t maker;
    pthread_create(&maker, NULL, snapshots, s);
    (void)run(s, id, 1, 256, 1, run_s, &p);
    pthread_join(maker, NULL);
    figure("store_batch_256_p999_beside_an_image", p * 1e6, "us", "without", p / q);
    kh_store_close(s);
    kh_host_disk_close(disk);
    under_load_killed(id);
    restart_killed();
}

static void fill_apart(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        fill();
        exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    const char *base = "/tmp";
    const char *build = NULL, *open = NULL;
    bool load = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) doc_cnt = 1000000, run_s = 2;
        else if (strcmp(argv[i], "--load") == 0) load = true;
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) base = argv[++i];
        else if (strcmp(argv[i], "--build") == 0 && i + 1 < argc) build = argv[++i];
        else if (strcmp(argv[i], "--open") == 0 && i + 1 < argc) open = argv[++i];
        else return fprintf(stderr, "usage: bench_store [--quick] [--load] [--dir DIR] [--build DIR | --open DIR]\n"), 2;
    }
    clock_ = kh_host_clock();
    entropy = kh_host_entropy();
    uint64_t id = 1;
    if (build != NULL || open != NULL) {
        snprintf(dir, sizeof dir, "%s", build != NULL ? build : open);
        if (open != NULL) {
            restart_killed();
            return 0;
        }
        if (access(dir, F_OK) != 0) fill_apart();
        keys = keys_make(doc_cnt);
        under_load_killed(&id);
        return 0;
    }
    snprintf(dir, sizeof dir, "%s/kh-bench-store-%d", base, (int)getpid());
    fill_apart();
    keys = keys_make(doc_cnt);
    char name[64];
    snprintf(name, sizeof name, "store_restart_%uM_clean", doc_cnt / 1000000);
    uint64_t tail;
    double first = restart(&tail);
    figure(name, restart(&tail), "s", "the first of two runs", first);
    kh_disk disk;
    if (kh_host_disk_open(false, &disk) != KH_OK) return 1;
    kh_store *s = open_store(&disk, false);
    rates(s, &id);
    if (!load) under_disturbance(s, &disk, &id);
    else {
        kh_store_close(s);
        kh_host_disk_close(&disk);
    }
    char cmd[300];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) == 0 ? 0 : 1;
}
