/* sim_bodies: the store of bodies on the simulated disk: for every k of a short run power fails in its k-th changing call, and
 * again in the recovery. Then every body that was acknowledged and may not be forgotten is there with its bytes, what is there
 * was put, and the store can be written on.
 *
 * The same with a k-th call that fails, and then a power cut.
 *
 * sim_bodies [--lie] [--seed N] [--cut K] [--fault K] [--every N]     prints what failed with the line that repeats it. With
 * --lie the disk does not do what it says: then some checks must fail. */
#include "log/bodies_inside.h"
#include "crypto/digest.h"
#include "sim_disk.h"
#include <stdio.h>
#include <stdlib.h>

#define DIR "bodies"
enum { BODIES = 60, BODY_MAX = 3000, QUOTA = 1 << 20, FILE_MAX = 20000 };

typedef struct scenario {
    sim_disk *sd;
    kh_disk disk;
    uint64_t seed, now;
    bool put[BODIES], acked[BODIES], ordered[BODIES], expired[BODIES];
    const char *wrong;
    uint64_t wrong_number;
} scenario;

static uint64_t passed, failed;

static void wrong(scenario *r, const char *what, uint64_t number)
{
    if (r->wrong != NULL) return;
    r->wrong = what;
    r->wrong_number = number;
}

static size_t body_of(const scenario *r, uint64_t number, uint8_t *ret, kh_body_name *name)
{
    uint64_t x = (r->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (number + 1) * UINT64_C(0xd1342543de82ef95);
    size_t n = 1 + (x >> 33) % BODY_MAX;
    for (size_t i = 0; i < n; i++) ret[i] = (uint8_t)((x = x * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 56);
    *name = (kh_body_name){
        .sender = 11 + (uint32_t)(number % 3), .incarnation = 1, .sequence = number, .expires_ns = 100 + 10 * number};
    kh_sha256(ret, n, name->digest);
    return n;
}

static kh_err open_store(scenario *r, kh_bodies **ret)
{
    char why[256];
    kh_err err = kh_bodies_open(&r->disk, DIR, QUOTA, true, why, sizeof why, ret);
    if (err == KH_E_DAMAGED) wrong(r, "damage where there is none", 0);
    if (err != KH_OK) return err;
    (*ret)->file_max_sz = FILE_MAX;
    for (uint64_t i = 0; i < BODIES; i++) { /* the order tells again */
        uint8_t bytes[BODY_MAX];
        kh_body_name name;
        (void)body_of(r, i, bytes, &name);
        if (r->ordered[i]) kh_bodies_ordered(*ret, name.digest, name.sender);
    }
    return KH_OK;
}

static void noted(void *ctx, kh_err err)
{
    if (err == KH_OK) *(bool *)ctx = true;
}

static kh_err put_some(scenario *r, kh_bodies *b, uint64_t from, uint64_t upto)
{
    for (uint64_t i = from; i < upto; i++) {
        uint8_t bytes[BODY_MAX];
        kh_body_name name;
        size_t n = body_of(r, i, bytes, &name);
        if (i % 4 == 1) { /* the order may know it first */
            kh_bodies_ordered(b, name.digest, name.sender);
            r->ordered[i] = true;
        }
        r->put[i] = true;
        b->inline_writer = i % 5 == 4 || i % 8 == 7; /* else it waits, and one that does not writes all of the group */
        kh_err err = kh_bodies_put(b, &name, bytes, n, noted, &r->acked[i]);
        bool alone = b->inline_writer;
        b->inline_writer = true;
        if (err != KH_OK) return err;
        if (alone && !r->acked[i]) return KH_E_IO;
        if (i % 4 == 2) {
            kh_bodies_ordered(b, name.digest, name.sender);
            r->ordered[i] = true;
        }
        if (i % 8 == 7) {
            r->now = 100 + 10 * (i - 6);
            kh_bodies_expire(b, r->now);
            for (uint64_t k = 0; k <= i; k++) r->expired[k] |= !r->ordered[k] && 100 + 10 * k < r->now;
        }
    }
    return KH_OK;
}

static void check(scenario *r, kh_bodies *b)
{
    for (uint64_t i = 0; i < BODIES; i++) {
        uint8_t bytes[BODY_MAX], *got;
        size_t got_n;
        kh_body_name name;
        size_t n = body_of(r, i, bytes, &name);
        kh_err err = kh_bodies_get(b, name.digest, &got, &got_n);
        if (err == KH_OK) {
            if (!r->put[i]) wrong(r, "a body that nobody put", i);
            if (got_n != n || memcmp(got, bytes, n) != 0) wrong(r, "other bytes", i);
            free(got);
        } else if (err != KH_E_NOT_FOUND) {
            wrong(r, "a body cannot be read", i);
        } else if (r->acked[i] && !r->expired[i]) {
            wrong(r, "an acknowledged body is lost", i);
        }
    }
}

static void run(scenario *r)
{
    kh_bodies *b;
    for (uint64_t part = 0; part < 2; part++) {
        if (open_store(r, &b) != KH_OK) return;
        kh_err err = put_some(r, b, part * 25, part * 25 + 25);
        if (err == KH_OK) check(r, b);
        kh_bodies_close(b);
        if (err != KH_OK) return;
    }
}

static void start(scenario *r, uint64_t seed, bool lie)
{
    *r = (scenario){.seed = seed, .sd = sim_disk_new(seed)};
    r->disk = sim_disk_table(r->sd);
    if (r->disk.make_dir(r->disk.self, DIR) != KH_OK || r->disk.sync_dir(r->disk.self, "") != KH_OK) abort();
    sim_disk_lie(r->sd, lie);
}

static void finish(scenario *r, uint64_t k, const char *what)
{
    sim_disk_free(r->sd);
    if (r->wrong == NULL) {
        passed++;
        return;
    }
    failed++;
    printf("# failed: %s (body %llu); repeat: sim_bodies --seed %llu --%s %llu\n", r->wrong, (unsigned long long)r->wrong_number,
           (unsigned long long)r->seed, what, (unsigned long long)k);
}

static void cut_round(uint64_t seed, uint64_t k, bool lie)
{
    static scenario r;
    kh_bodies *b;
    start(&r, seed, lie);
    sim_disk_cut_after(r.sd, k);
    run(&r);
    sim_disk_restart(r.sd);
    for (uint64_t i = sim_disk_random(r.sd) % 4; i > 0; i--) { /* in the recovery too */
        sim_disk_cut_after(r.sd, sim_disk_random(r.sd) % 4);
        if (open_store(&r, &b) == KH_OK) kh_bodies_close(b);
        sim_disk_restart(r.sd);
    }
    if (open_store(&r, &b) == KH_OK) {
        check(&r, b);
        if (put_some(&r, b, 50, BODIES) != KH_OK) wrong(&r, "the store cannot be written on", 50);
        kh_bodies_close(b);
        sim_disk_restart(r.sd);
        if (open_store(&r, &b) == KH_OK) {
            check(&r, b);
            kh_bodies_close(b);
        } else {
            wrong(&r, "the store cannot be opened a second time", 0);
        }
    } else {
        wrong(&r, "the store cannot be opened", 0);
    }
    finish(&r, k, "cut");
}

/* A call fails, the process ends and begins again; what the store then says that it has, it has after a power cut too. */
static void fault_round(uint64_t seed, uint64_t k)
{
    static scenario r;
    kh_bodies *b;
    start(&r, seed, false);
    sim_disk_fail_after(r.sd, k, KH_E_IO, k % 2 == 0);
    run(&r);
    sim_disk_fail_after(r.sd, UINT32_MAX, KH_E_IO, false);
    for (int round = 0; round < 2; round++) {
        if (open_store(&r, &b) != KH_OK) {
            wrong(&r, "the store cannot be opened after a fault", k);
            break;
        }
        check(&r, b);
        for (uint64_t i = 0; i < BODIES; i++) {
            uint8_t bytes[BODY_MAX];
            kh_body_name name;
            (void)body_of(&r, i, bytes, &name);
            if (!kh_bodies_has(b, name.digest)) continue;
            r.acked[i] = true;
            r.expired[i] = false;
        }
        kh_bodies_close(b);
        sim_disk_restart(r.sd);
    }
    finish(&r, k, "fault");
}

static uint64_t calls_of_run(uint64_t seed)
{
    static scenario r;
    start(&r, seed, false);
    run(&r);
    uint64_t calls = sim_disk_calls(r.sd);
    if (!r.acked[49]) wrong(&r, "the run without faults did not end", 49);
    finish(&r, 0, "cut");
    return calls;
}

int main(int argc, char **argv)
{
    bool lie = false;
    uint64_t seed = 0, cut = UINT64_MAX, fault = UINT64_MAX, every = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lie") == 0) lie = true;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--cut") == 0 && i + 1 < argc) cut = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--fault") == 0 && i + 1 < argc) fault = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--every") == 0 && i + 1 < argc) every = kh_max64(1, strtoull(argv[++i], NULL, 10));
    }
    printf("# seed %llu\n", (unsigned long long)seed);
    if (cut != UINT64_MAX) {
        cut_round(seed, cut, lie);
    } else if (fault != UINT64_MAX) {
        fault_round(seed, fault);
    } else {
        for (uint64_t s = seed; s < seed + 8; s++) {
            uint64_t calls = calls_of_run(s);
            for (uint64_t k = s % every; k < calls; k += every) cut_round(s, k, lie);
            for (uint64_t k = s % every; k < calls && !lie; k += every) fault_round(s, k);
        }
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return lie ? failed == 0 : failed != 0;
}
