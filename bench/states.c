/* bench states: what the state of a checkpoint costs: made and sealed by a hub, fetched by another node, opened and begun with.
 * One JSON line a figure: {"name","value","unit","against","ratio"}. Each step is a process of its own, so that its memory is
 * its own; peak: the most that it held at once, the file cache not counted.
 *
 *   bench_states [--quick] [--dir DIR]   1 M documents, 300,000 financings; --quick: a tenth */
#include "host/host.h"
#include "keys.h"
#include "states/states.h"
#include "clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HUB = 1, OTHER = 2, HEIGHT = 7 };
static kh_clock clock_;
static kh_entropy entropy;
static char dir[256];
static uint32_t doc_cnt = 1000000, fin_cnt = 300000;
static kh_signer *sign;
static kh_box *box;

static double peak_mib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

static void figure(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.4g}\n", name, value, unit, against,
           ratio);
    fflush(stdout);
}

static void need(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "bench_states: %s\n", what);
    exit(1);
}

static void path_of(const char *name, char ret[300]) { (void)snprintf(ret, 300, "%s/%s", dir, name); }

/* Each in a process of its own. */
static void step(void (*run)(kh_disk *disk))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        kh_disk disk;
        need(kh_host_disk_open(false, &disk) == KH_OK, "no disk");
        run(&disk);
        fflush(stdout);
        _exit(0);
    }
    int status = 1;
    need(waitpid(pid, &status, 0) == pid && status == 0, "a step failed");
}

/* ---- the store ---- */

static kh_store_report report;

static kh_store *open_store(kh_disk *disk)
{
    char path[300];
    kh_store *s;
    const kh_store_options o = {.clock = &clock_, .disk = disk, .entropy = &entropy, .long_running = true};
    path_of("store", path);
    need(kh_store_open(&o, path, &report, &s) == KH_OK, report.why);
    return s;
}

static void flush(kh_store *s, ops_buf *b, bool last, uint64_t *ticket)
{
    if (b->n < (1u << 18) - KH_OP_MAX_SZ && !last) return;
    need(kh_store_submit(s, &(kh_store_batch){.ops = b->p, .ops_sz = b->n, .op_cnt = b->cnt}, ticket) == KH_OK, "submit");
    b->n = b->cnt = 0;
}

static void fill(kh_disk *disk)
{
    char path[300];
    kh_store_report r;
    const kh_store_options o = {.clock = &clock_, .disk = disk, .entropy = &entropy};
    ops_buf b = {0};
    uint64_t ticket = 0;
    path_of("store", path);
    need(kh_store_create(&o, path, NULL, &r) == KH_OK, r.why);
    kh_store *s = open_store(disk);
    ops_parties(&b);
    for (uint32_t i = 0; i < doc_cnt; i++) {
        ops_declaration(&b, i, 1000000000);
        flush(s, &b, false, &ticket);
    }
    for (uint32_t i = 0; i < fin_cnt; i++) {
        ops_reserve(&b, i + 1, i % doc_cnt, 1);
        flush(s, &b, i + 1 == fin_cnt, &ticket);
    }
    need(kh_store_wait(s, ticket) == KH_OK, "wait");
    kh_store_close(s);
}

static kh_err count(void *ctx, const void *p, size_t n)
{
    (void)p;
    *(uint64_t *)ctx += n;
    return KH_OK;
}

static void export_alone(kh_disk *disk)
{
    uint64_t bytes = 0;
    kh_checkpoint c;
    kh_store *s = open_store(disk);
    const kh_checkpoint_sink to = {count, &bytes};
    double before = peak_mib(), began = clock_now(), cpu = clock_of_process();
    need(kh_store_export(s, 0, &to, &c) == KH_OK, "export");
    figure("states_export", clock_now() - began, "s", "", 0);
    figure("states_export_cpu", clock_of_process() - cpu, "s", "", 0);
    figure("states_export_bytes", (double)bytes / 1048576, "MiB", "of it journals", (double)c.blocks_sz / (double)bytes);
    figure("states_export_leaves", (double)c.leaf_cnt, "leaves", "", 0);
    figure("states_export_peak", peak_mib(), "MiB", "the store alone", peak_mib() / before);
}

/* A state is made long after its entry, and the store makes images meanwhile. */
static void export_later(kh_disk *disk)
{
    uint64_t bytes = 0, number, ticket = 0, image;
    kh_checkpoint c;
    kh_store_stats stats;
    ops_buf b = {0};
    double took[2];
    kh_store *s = open_store(disk);
    const kh_checkpoint_sink to = {count, &bytes};
    kh_store_get_stats(s, &stats);
    number = stats.height;
    kh_store_keep(s, &number, 1);
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < 2; i++) {
            ops_reserve(&b, 100000000 + 2 * k + i, 1, 1);
            flush(s, &b, true, &ticket);
            need(kh_store_wait(s, ticket) == KH_OK && kh_store_snapshot(s, &image) == KH_OK, "snapshot");
        }
        double began = clock_now();
        need(kh_store_export(s, number, &to, &c) == KH_OK, "export");
        took[k] = clock_now() - began;
        kh_store_keep(s, NULL, 0);
    }
    figure("states_export_later", took[0], "s", "without the image before it", took[1] / took[0]);
}

/* ---- two nodes ---- */

static kh_states *nodes[3];
static _Atomic bool is_held;

static void look(void *ctx, kh_states_people *ret)
{
    uint32_t self = *(uint32_t *)ctx;
    memset(ret, 0, sizeof *ret);
    ret->peer_cnt = 1;
    ret->peers[0] = HUB + OTHER - self;
    ret->member_cnt = 2;
    ret->members[0] = HUB;
    ret->members[1] = OTHER;
    ret->hub_cnt = 1;
    ret->hubs[0].id = HUB;
    kh_signer_public(sign, ret->hubs[0].attest);
    ret->place = UINT32_MAX;
}

static void send_to(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    if (nodes[to] != NULL) kh_states_received(nodes[to], *(uint32_t *)ctx, type, p, n);
}

static void held(void *ctx, uint64_t height) { (void)ctx, (void)height, atomic_store(&is_held, true); }

static void alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    (void)ctx, (void)member, (void)height;
    need(false, word);
}

static void open_states(kh_disk *disk, uint32_t id)
{
    static uint32_t ids[3] = {0, HUB, OTHER};
    char path[300], why[300];
    path_of(id == HUB ? "hub" : "other", path);
    (void)mkdir(path, 0700);
    const kh_states_options o = {.self = id,
                                 .suite = KH_SUITE_INTL,
                                 .sign = id == HUB ? sign : NULL,
                                 .disk = disk,
                                 .dir = path,
                                 .entropy = &entropy,
                                 .clock = &clock_,
                                 .look = look,
                                 .send = send_to,
                                 .held = held,
                                 .alert = alert,
                                 .ctx = &ids[id]};
    need(kh_states_open(&o, why, sizeof why, &nodes[id]) == KH_OK, why);
}

static kh_err seal(void *ctx, const void *p, size_t n) { return kh_state_maker_write(ctx, p, n); }

static void make(kh_disk *disk)
{
    uint8_t group[KH_PUBLIC_SZ];
    kh_checkpoint c;
    kh_state_maker *m = NULL;
    kh_states_counts counts;
    kh_store *s = open_store(disk);
    kh_box_public(box, group);
    open_states(disk, HUB);
    need(kh_states_make(nodes[HUB], HEIGHT, 1, group, &m) == KH_OK, "make");
    const kh_checkpoint_sink to = {seal, m};
    double before = peak_mib(), began = clock_now(), cpu = clock_of_process();
    need(kh_store_export(s, 0, &to, &c) == KH_OK && kh_state_maker_end(m) == KH_OK, "make");
    kh_states_count(nodes[HUB], &counts);
    figure("states_make", clock_now() - began, "s", "", 0);
    figure("states_make_cpu", clock_of_process() - cpu, "s", "", 0);
    figure("states_make_file", (double)counts.bytes / 1048576, "MiB", "", 0);
    figure("states_make_peak", peak_mib(), "MiB", "the store alone", peak_mib() / before);
}

static void *tick(void *arg)
{
    while (!atomic_load(&is_held)) {
        kh_states_tick(arg);
        (void)usleep(20000);
    }
    return NULL;
}

static void fetch(kh_disk *disk)
{
    pthread_t threads[2];
    kh_states_counts counts;
    double began = clock_now();
    open_states(disk, HUB);
    figure("states_open", clock_now() - began, "s", "", 0);
    open_states(disk, OTHER);
    kh_states_want(nodes[OTHER], HEIGHT);
    began = clock_now();
    double cpu = clock_of_process();
    for (uint32_t i = 0; i < 2; i++) need(pthread_create(&threads[i], NULL, tick, nodes[HUB + i]) == 0, "thread");
    for (uint32_t i = 0; i < 2; i++) (void)pthread_join(threads[i], NULL);
    double took = clock_now() - began;
    kh_states_count(nodes[OTHER], &counts);
    figure("states_fetch", (double)counts.bytes / 1048576 / took, "MiB/s", "what a peer is given at most",
           (double)counts.bytes / took / KH_STATES_A_SECOND);
    figure("states_fetch_cpu", clock_of_process() - cpu, "s", "", 0);
    figure("states_fetch_peak", peak_mib(), "MiB", "", 0);
}

/* ---- beginning with it ---- */

static const kh_box *box_of(void *ctx, uint32_t epoch) { return (void)ctx, (void)epoch, box; }
static kh_err read_on(void *ctx, void *p, size_t n, size_t *ret_n) { return kh_state_reader_read(ctx, p, n, ret_n); }

static void read_alone(kh_disk *disk)
{
    static uint8_t part[1 << 16];
    size_t n = 1;
    kh_state_reader *r = NULL;
    open_states(disk, OTHER);
    double began = clock_now();
    need(kh_states_read(nodes[OTHER], HEIGHT, box_of, NULL, NULL, &r) == KH_OK, "read");
    while (n != 0) need(kh_state_reader_read(r, part, sizeof part, &n) == KH_OK, "read");
    figure("states_read", clock_now() - began, "s", "", 0);
    kh_state_reader_close(r);
}

static void begin(kh_disk *disk)
{
    char path[300];
    kh_checkpoint c;
    kh_state_reader *r = NULL;
    const kh_store_options o = {.clock = &clock_, .disk = disk, .entropy = &entropy};
    path_of("begun", path);
    open_states(disk, OTHER);
    double began = clock_now(), cpu = clock_of_process();
    need(kh_states_read(nodes[OTHER], HEIGHT, box_of, NULL, NULL, &r) == KH_OK, "read");
    const kh_checkpoint_source from = {read_on, r};
    need(kh_store_begin(&o, path, NULL, &from, NULL, NULL, &c, &report) == KH_OK, report.why);
    figure("states_begin", clock_now() - began, "s", "", 0);
    figure("states_begin_cpu", clock_of_process() - cpu, "s", "", 0);
    figure("states_begin_peak", peak_mib(), "MiB", "", 0);
}

int main(int argc, char **argv)
{
    const char *at = NULL;
    char command[400];
    uint8_t secret[KH_SECRET_SZ] = {0, 9};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) doc_cnt /= 10, fin_cnt /= 10;
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) at = argv[++i];
        else need(false, "[--quick] [--dir DIR]");
    }
    (void)snprintf(dir, sizeof dir, "%s/kanhe-states-XXXXXX", at != NULL ? at : "/var/tmp");
    need(mkdtemp(dir) != NULL, "no directory");
    clock_ = kh_host_clock();
    entropy = kh_host_entropy();
    need(kh_signer_new(KH_SUITE_INTL, secret, &sign) == KH_OK && kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK, "keys");
    step(fill);
    step(export_alone);
    step(export_later);
    step(make);
    step(fetch);
    step(read_alone);
    step(begin);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0;
}
