/* bench peers: durable check-and-reserve on the same rows in the same minutes: Kanhe's store, Redis, PostgreSQL, SQLite, LMDB.
 * Framing is said with each figure: a batch of 1,000 in one transaction, and single operations with 256 in flight.
 *
 *   bench_peers [--quick] [--dir DIR]      --quick: 100,000 rows and short runs instead of 1 M */
#include "host/host.h"
#include "keys.h"
#include "peers.h"
#include "prepare.h"
#include "window.h"
#include "clock.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

double peer_now(void) { return clock_now(); }

uint32_t peer_random(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = (*state ^ *state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)(z >> 32);
}

static void figure(const char *name, double value, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"reserves/s\",\"against\":\"%s\",\"ratio\":%.4g}\n", name, value, against,
           ratio);
    fflush(stdout);
}

typedef struct flow {
    _Atomic uint64_t done;
    window batches;
} flow;
typedef struct ticket {
    flow *f;
    uint32_t n;
} ticket;

static void answered(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    (void)height;
    (void)time_ns;
    (void)op_index;
    ticket *t = ctx;
    if (receipt != NULL) {
        if (receipt->code != KH_C_OK) abort();
        return;
    }
    atomic_fetch_add(&t->f->done, t->n);
    window_leave(&t->f->batches);
    free(t);
}

static double ours(kh_store *s, const kh_key *keys, uint32_t rows, uint32_t batch, uint32_t depth, double seconds, uint64_t *id)
{
    flow f = {0};
    ops_buf b = {0};
    uint64_t wait = 0;
    window_open(&f.batches, depth);
    double began = peer_now();
    while (peer_now() - began < seconds) {
        b.n = b.cnt = 0;
        for (uint32_t i = 0; i < batch; i++) ++*id, ops_apply_key(&b, OPS_BANK, OPS_ENTERPRISE, *id, keys_of(keys, rows, *id), 1);
        window_enter(&f.batches);
        ticket *t = malloc(sizeof *t);
        *t = (ticket){&f, batch};
        if (kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt, .reply = answered, .ctx = t},
                            &wait) != KH_OK)
            exit(1);
    }
    if (kh_store_wait(s, wait) != KH_OK) exit(1);
    double took = peer_now() - began;
    free(b.p);
    return (double)atomic_load(&f.done) / took;
}

static kh_store *filled(const char *dir, uint32_t rows, double seconds, kh_disk *disk, kh_clock *clock_, kh_entropy *entropy)
{
    static kh_store_options o;
    o = (kh_store_options){.clock = clock_, .disk = disk, .entropy = entropy, .long_running = true};
    kh_store_report r;
    kh_store *s;
    uint64_t wait = 0;
    ops_buf b = {0};
    if (kh_host_disk_open(false, disk) != KH_OK || kh_store_create(&o, dir, NULL, &r) != KH_OK ||
        kh_store_open(&o, dir, &r, &s) != KH_OK)
        exit(1);
    ops_parties(&b);
    for (uint32_t i = 0; i < rows; i++) {
        ops_declaration(&b, i, 1000000000);
        if (b.n < (1u << 19) && i + 1 < rows) continue;
        if (kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &wait) != KH_OK) exit(1);
        b.n = b.cnt = 0;
    }
    if (kh_store_wait(s, wait) != KH_OK) exit(1);
    free(b.p);
    prepare(s, seconds);
    return s;
}

int main(int argc, char **argv)
{
    uint32_t rows = 1000000;
    double seconds = 5;
    const char *base = "/var/tmp";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) rows = 100000, seconds = 2;
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) base = argv[++i];
        else return fprintf(stderr, "usage: bench_peers [--quick] [--dir DIR]\n"), 2;
    }
    char dir[300], data[400], command[512];
    (void)snprintf(dir, sizeof dir, "%s/kanhe-peers-XXXXXX", base);
    if (mkdtemp(dir) == NULL) return 1;
    (void)snprintf(data, sizeof data, "%s/kanhe", dir);
    kh_disk disk;
    kh_clock clock_ = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    uint64_t id = 0;
    fprintf(stderr, "peers: %u rows, %g s each\n", rows, seconds);
    kh_store *s = filled(data, rows, 3 * seconds, &disk, &clock_, &entropy);
    kh_key *keys = keys_make(rows);
    double batched = ours(s, keys, rows, 1000, 4, seconds, &id), wide = ours(s, keys, rows, 8192, 4, seconds, &id),
           single = ours(s, keys, rows, 1, 256, seconds, &id);
    free(keys);
    kh_store_close(s);
    kh_host_disk_close(&disk);
    struct {
        const char *name;
        double (*run)(const char *, uint32_t, uint32_t, double);
    } peers[] = {{"redis AOF always", peer_redis},
                 {"postgresql synchronous", peer_postgres},
                 {"sqlite FULL", peer_sqlite},
                 {"lmdb synced", peer_lmdb}};
    double best = 0;
    const char *best_name = "";
    char name[120], redis_dir[400];
    for (uint32_t i = 0; i < 4; i++) {
        double rate = peers[i].run(dir, rows, 1000, seconds);
        (void)snprintf(name, sizeof name, "peer durable reserve batch 1000, %s", peers[i].name);
        if (rate > 0) figure(name, rate, "", 0);
        if (rate > best) best = rate, best_name = peers[i].name;
    }
    (void)snprintf(redis_dir, sizeof redis_dir, "%s/redis1", dir);
    (void)snprintf(command, sizeof command, "mkdir -p %s", redis_dir);
    (void)!system(command);
    double redis_single = peer_redis(redis_dir, rows, 1, seconds);
    figure("peer durable reserve single, 256 in flight, redis AOF always", redis_single, "", 0);
    figure("durable reserve batch 1000", batched, best_name, best > 0 ? batched / best : 0);
    figure("durable reserve batch 8192", wide, best_name, best > 0 ? wide / best : 0);
    figure("durable reserve batch 8192 against TigerBeetle pending transfers", wide, "93,000/s recorded, 1 M accounts",
           wide / 93000);
    figure("durable reserve single, 256 in flight", single, "redis AOF always, 256 in flight",
           redis_single > 0 ? single / redis_single : 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    (void)!system(command);
    return 0;
}
