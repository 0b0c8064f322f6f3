/* Unit tests of bodies, on a real disk (with a writer of its own) and on the simulated one (inline): what is put is there, also
 * after opening again; torn tails and damage; quotas; expiry and files given back; many threads. */
#include "log/bodies_inside.h"
#include "crypto/digest.h"
#include "host/host.h"
#include "sim_disk.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DIR "bodies"
#define QUOTA (1u << 20)

typedef struct place {
    sim_disk *sd;
    kh_disk disk;
    kh_bodies *b;
    char why[256];
} place;

static place sim_place(void)
{
    place p = {.sd = sim_disk_new(1)};
    p.disk = sim_disk_table(p.sd);
    cr_assert(p.disk.make_dir(p.disk.self, DIR) == KH_OK && p.disk.sync_dir(p.disk.self, "") == KH_OK);
    return p;
}

static kh_err open_again(place *p)
{
    kh_bodies_close(p->b);
    p->b = NULL;
    return kh_bodies_open(&p->disk, DIR, QUOTA, true, p->why, sizeof p->why, &p->b);
}

static place sim_open(void)
{
    place p = sim_place();
    cr_assert(open_again(&p) == KH_OK, "%s", p.why);
    return p;
}

static void close_all(place *p)
{
    kh_bodies_close(p->b);
    sim_disk_free(p->sd);
}

/* A body is a function of its number. */
static kh_body_name body_of(uint64_t number, size_t n, uint8_t *ret)
{
    kh_body_name name = {.sender = 11, .incarnation = 1, .sequence = number, .expires_ns = 1000 + number};
    for (size_t i = 0; i < n; i++) ret[i] = (uint8_t)((number >> 8 * (i % 8)) + i * 7 + (i >> 8));
    kh_sha256(ret, n, name.digest);
    return name;
}

static void noted(void *ctx, kh_err err) { *(int *)ctx = err == KH_OK ? 1 : (int)err; }

static kh_err put(place *p, uint64_t number, size_t n)
{
    uint8_t *bytes = malloc(n);
    int done = 0;
    kh_body_name name = body_of(number, n, bytes);
    kh_err err = kh_bodies_put(p->b, &name, bytes, n, noted, &done);
    if (err == KH_OK) cr_assert(done == 1);
    else cr_assert(done == 0);
    free(bytes);
    return err;
}

static kh_err get(place *p, uint64_t number, size_t n)
{
    uint8_t *want = malloc(n), *got = NULL;
    size_t got_n = 0;
    kh_body_name name = body_of(number, n, want);
    kh_err err = kh_bodies_get(p->b, name.digest, &got, &got_n);
    cr_assert(kh_bodies_has(p->b, name.digest) == (err == KH_OK));
    if (err == KH_OK) cr_assert(got_n == n && memcmp(got, want, n) == 0, "body %llu", (unsigned long long)number);
    free(got);
    free(want);
    return err;
}

static void ordered(place *p, uint64_t number, size_t n)
{
    uint8_t *bytes = malloc(n);
    kh_bodies_ordered(p->b, body_of(number, n, bytes).digest, 11);
    free(bytes);
}

Test(bodies, put_and_opened_again)
{
    place p = sim_open();
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert(put(&p, i, 1 + i * 37) == KH_OK && get(&p, i, 1 + i * 37) == KH_OK);
        bytes += kh_body_record_sz(1 + i * 37);
    }
    cr_assert(kh_bodies_bytes(p.b) == bytes);
    cr_assert(put(&p, 7, 1 + 7 * 37) == KH_OK && kh_bodies_bytes(p.b) == bytes, "it is there already");
    for (int round = 0; round < 3; round++) {
        cr_assert(open_again(&p) == KH_OK, "%s", p.why);
        for (uint64_t i = 0; i < 50; i++) cr_assert(get(&p, i, 1 + i * 37) == KH_OK);
        cr_assert(get(&p, 50, 10) == KH_E_NOT_FOUND && kh_bodies_bytes(p.b) == bytes);
    }
    cr_assert(put(&p, 50, 10) == KH_OK && open_again(&p) == KH_OK && get(&p, 50, 10) == KH_OK &&
              get(&p, 49, 1 + 49 * 37) == KH_OK);
    cr_assert(kh_bodies_put(p.b, &(kh_body_name){0}, NULL, 0, noted, NULL) == KH_E_ARG);
    close_all(&p);
}

typedef struct seen {
    kh_body_name names[16];
    uint32_t cnt;
} seen;

static void see(void *ctx, const kh_body_name *name)
{
    seen *s = ctx;
    s->names[s->cnt++] = *name;
}

Test(bodies, told_by_sequence)
{
    place p = sim_open();
    uint8_t bytes[64];
    int done;
    for (uint64_t i = 0; i < 6; i++) {
        kh_body_name name = body_of((i * 5) % 6, 64, bytes);
        name.sender = i % 2 == 0 ? 11 : 12;
        cr_assert(kh_bodies_put(p.b, &name, bytes, 64, noted, &done) == KH_OK);
    }
    ordered(&p, 99, 64); /* a mark without a body */
    for (int round = 0; round < 2; round++) {
        seen s = {0};
        cr_assert(kh_bodies_each(p.b, 0, see, &s) == KH_OK && s.cnt == 6);
        s.cnt = 0;
        cr_assert(kh_bodies_each(p.b, 11, see, &s) == KH_OK && s.cnt == 3);
        for (uint32_t i = 0; i < 3; i++) {
            const kh_body_name *n = &s.names[i];
            cr_assert(n->sender == 11 && n->size == 64 && n->incarnation == 1 && n->expires_ns == 1000 + n->sequence &&
                      !n->ordered);
            cr_assert(i == 0 || n->sequence > s.names[i - 1].sequence);
        }
        cr_assert(open_again(&p) == KH_OK);
    }
    close_all(&p);
}

Test(bodies, quota_of_what_was_not_ordered)
{
    place p = sim_open();
    size_t n = QUOTA / 4 - 1024;
    uint8_t *bytes = malloc(n);
    int done = 0;
    for (uint64_t i = 0; i < 4; i++) cr_assert(put(&p, i, n) == KH_OK);
    cr_assert(put(&p, 4, n) == KH_E_FULL && get(&p, 4, n) == KH_E_NOT_FOUND);
    cr_assert(put(&p, 3, n) == KH_OK, "one that is there costs nothing");
    kh_body_name other = body_of(5, n, bytes);
    other.sender = 12;
    cr_assert(kh_bodies_put(p.b, &other, bytes, n, noted, &done) == KH_OK && done == 1, "another sender has its own");
    other = body_of(6, n, bytes);
    other.ordered = true;
    cr_assert(kh_bodies_put(p.b, &other, bytes, n, noted, &done) == KH_OK, "one that was ordered is kept in any case");
    ordered(&p, 7, n);
    cr_assert(put(&p, 7, n) == KH_OK, "the order came before the body");
    ordered(&p, 0, n);
    cr_assert(put(&p, 4, n) == KH_OK, "what was ordered is not counted");
    cr_assert(put(&p, 8, n) == KH_E_FULL);
    kh_bodies_expire(p.b, 1002); /* body 1; 0 is older and ordered */
    cr_assert(get(&p, 1, n) == KH_E_NOT_FOUND && get(&p, 0, n) == KH_OK && get(&p, 2, n) == KH_OK);
    cr_assert(put(&p, 8, n) == KH_OK && put(&p, 9, n) == KH_E_FULL);
    free(bytes);
    close_all(&p);
}

Test(bodies, expired_and_ordered)
{
    place p = sim_open();
    for (uint64_t i = 0; i < 10; i++) cr_assert(put(&p, i, 100) == KH_OK);
    for (uint64_t i = 0; i < 10; i += 2) ordered(&p, i, 100);
    kh_bodies_expire(p.b, 1005); /* those up to 1004 */
    for (uint64_t i = 0; i < 10; i++)
        cr_assert(get(&p, i, 100) == (i % 2 == 0 || i >= 5 ? KH_OK : KH_E_NOT_FOUND), "body %u", (unsigned)i);
    cr_assert(put(&p, 1, 100) == KH_OK && get(&p, 1, 100) == KH_OK, "it may come again");
    cr_assert(open_again(&p) == KH_OK);
    cr_assert(get(&p, 3, 100) == KH_OK, "the file has it still");
    for (uint64_t i = 0; i < 10; i += 2) ordered(&p, i, 100);
    kh_bodies_expire(p.b, UINT64_MAX);
    for (uint64_t i = 0; i < 10; i++) cr_assert(get(&p, i, 100) == (i % 2 == 0 ? KH_OK : KH_E_NOT_FOUND));
    uint8_t bytes[100];
    kh_bodies_drop(p.b, body_of(0, 100, bytes).digest);
    cr_assert(get(&p, 0, 100) == KH_E_NOT_FOUND && get(&p, 2, 100) == KH_OK);
    close_all(&p);
}

/* Asked again with a later time: that one is promised too, and is as durable. */
Test(bodies, a_later_expiry_is_durable)
{
    place p = sim_open();
    uint8_t bytes[200];
    int done = 0;
    kh_body_name name = body_of(1, 200, bytes);
    cr_assert(put(&p, 1, 200) == KH_OK);
    name.expires_ns = 5000;
    cr_assert(kh_bodies_put(p.b, &name, bytes, 200, noted, &done) == KH_OK && done == 1);
    name.expires_ns = 3000;
    cr_assert(kh_bodies_put(p.b, &name, bytes, 200, noted, &done) == KH_OK);
    cr_assert(kh_bodies_bytes(p.b) == 2 * kh_body_record_sz(200));
    for (int round = 0; round < 2; round++) {
        kh_bodies_expire(p.b, 5000);
        cr_assert(get(&p, 1, 200) == KH_OK);
        cr_assert(open_again(&p) == KH_OK);
    }
    kh_bodies_expire(p.b, 5001);
    cr_assert(get(&p, 1, 200) == KH_E_NOT_FOUND);
    close_all(&p);
}

static bool file_is_there(place *p, uint32_t number)
{
    char path[64];
    kh_file *f;
    snprintf(path, sizeof path, DIR "/%08x.bodies", number);
    if (p->disk.open(p->disk.self, path, KH_OPEN_READ, &f) != KH_OK) return false;
    p->disk.close(p->disk.self, f);
    return true;
}

Test(bodies, files_are_given_back)
{
    place p = sim_open();
    p.b->file_max_sz = 4096;
    for (uint64_t i = 0; i < 40; i++) cr_assert(put(&p, i, 900) == KH_OK); /* four a file */
    cr_assert(file_is_there(&p, 9) && !file_is_there(&p, 10));
    ordered(&p, 5, 900);
    kh_bodies_expire(p.b, 1000 + 17);
    for (uint32_t f = 0; f < 10; f++) cr_assert(file_is_there(&p, f) == (f == 1 || f >= 4), "file %u", f);
    cr_assert(kh_bodies_bytes(p.b) == 28 * kh_body_record_sz(900));
    cr_assert(get(&p, 5, 900) == KH_OK && get(&p, 17, 900) == KH_OK && get(&p, 16, 900) == KH_E_NOT_FOUND);
    cr_assert(open_again(&p) == KH_OK, "%s", p.why);
    cr_assert(get(&p, 5, 900) == KH_OK && get(&p, 39, 900) == KH_OK && get(&p, 0, 900) == KH_E_NOT_FOUND);
    uint8_t bytes[900];
    kh_bodies_drop(p.b, body_of(5, 900, bytes).digest);
    kh_bodies_expire(p.b, UINT64_MAX);
    for (uint32_t f = 0; f < 10; f++) cr_assert(file_is_there(&p, f) == (f == 9), "the newest stays");
    cr_assert(put(&p, 50, 900) == KH_OK && open_again(&p) == KH_OK && get(&p, 50, 900) == KH_OK);
    close_all(&p);
}

static void overwrite(place *p, uint32_t number, uint64_t offset, const void *bytes, size_t n, uint64_t size)
{
    char path[64];
    kh_file *f;
    snprintf(path, sizeof path, DIR "/%08x.bodies", number);
    cr_assert(p->disk.open(p->disk.self, path, KH_OPEN_WRITE, &f) == KH_OK);
    if (n > 0) cr_assert(p->disk.write(p->disk.self, f, offset, bytes, n) == KH_OK);
    if (size != UINT64_MAX) cr_assert(p->disk.truncate(p->disk.self, f, size) == KH_OK);
    p->disk.close(p->disk.self, f);
}

Test(bodies, a_torn_tail_is_cut)
{
    uint64_t record = kh_body_record_sz(500);
    for (uint64_t left = 0; left < record; left += 7) {
        place p = sim_open();
        for (uint64_t i = 0; i < 3; i++) cr_assert(put(&p, i, 500) == KH_OK);
        overwrite(&p, 0, 0, NULL, 0, 2 * record + left);
        cr_assert(open_again(&p) == KH_OK, "%s", p.why);
        cr_assert(get(&p, 1, 500) == KH_OK && get(&p, 2, 500) == KH_E_NOT_FOUND && kh_bodies_bytes(p.b) == 2 * record);
        cr_assert(put(&p, 3, 500) == KH_OK && open_again(&p) == KH_OK);
        cr_assert(get(&p, 0, 500) == KH_OK && get(&p, 1, 500) == KH_OK && get(&p, 3, 500) == KH_OK);
        close_all(&p);
    }
}

Test(bodies, damage_is_told_with_its_place)
{
    uint64_t record = kh_body_record_sz(500);
    for (uint64_t at = 0; at < 4 * record; at += 5) { /* the newest file: heads and bytes */
        place p = sim_open();
        for (uint64_t i = 0; i < 4; i++) cr_assert(put(&p, i, 500) == KH_OK);
        cr_assert(sim_disk_rot(p.sd, DIR "/00000000.bodies", at, 0x20));
        kh_err err = open_again(&p);
        bool padding = at % record >= KH_BODY_HEAD_SZ + 500;
        if (at >= 3 * record || padding) {
            cr_assert(err == KH_OK, "%s", p.why); /* the last group: as if torn */
            cr_assert(get(&p, 2, 500) == KH_OK && get(&p, 3, 500) == (padding ? KH_OK : KH_E_NOT_FOUND));
        } else {
            char want[64];
            snprintf(want, sizeof want, "00000000.bodies at byte %llu", (unsigned long long)(at / record * record));
            cr_assert(err == KH_E_DAMAGED && strstr(p.why, want) != NULL, "byte %u: %s", (unsigned)at, p.why);
        }
        close_all(&p);
    }
    for (uint64_t at = 0; at < 2 * record; at += 5) { /* an older file: heads when opened, bytes when read */
        place p = sim_open();
        p.b->file_max_sz = 2 * record;
        for (uint64_t i = 0; i < 4; i++) cr_assert(put(&p, i, 500) == KH_OK);
        cr_assert(sim_disk_rot(p.sd, DIR "/00000000.bodies", at, 0x20));
        kh_err err = open_again(&p);
        if (at % record < KH_BODY_HEAD_SZ) {
            cr_assert(err == KH_E_DAMAGED && strstr(p.why, "at byte") != NULL);
        } else {
            uint64_t hit = at / record;
            cr_assert(err == KH_OK && get(&p, 2, 500) == KH_OK && get(&p, 1 - hit, 500) == KH_OK);
            if (at % record < KH_BODY_HEAD_SZ + 500) {
                uint8_t bytes[500], *got = NULL;
                size_t n;
                kh_body_name name = body_of(hit, 500, bytes);
                cr_assert(kh_bodies_has(p.b, name.digest));
                cr_assert(kh_bodies_get(p.b, name.digest, &got, &n) == KH_E_DAMAGED && got == NULL);
                cr_assert(!kh_bodies_has(p.b, name.digest) && put(&p, hit, 500) == KH_OK && get(&p, hit, 500) == KH_OK);
            }
        }
        close_all(&p);
    }
}

Test(bodies, a_failed_write_ends_it)
{
    place p = sim_open();
    cr_assert(put(&p, 0, 500) == KH_OK);
    sim_disk_fail_after(p.sd, 0, KH_E_NOSPACE, true);
    uint8_t bytes[500];
    int done = 0;
    kh_body_name name = body_of(1, 500, bytes);
    cr_assert(kh_bodies_put(p.b, &name, bytes, 500, noted, &done) == KH_OK && done == KH_E_NOSPACE);
    cr_assert(!kh_bodies_has(p.b, name.digest));
    cr_assert(put(&p, 2, 500) == KH_E_CLOSED && get(&p, 0, 500) == KH_OK);
    cr_assert(open_again(&p) == KH_OK && get(&p, 0, 500) == KH_OK && get(&p, 1, 500) == KH_E_NOT_FOUND &&
              put(&p, 1, 500) == KH_OK);
    close_all(&p);
}

/* --- the real disk, a writer of its own, many threads --- */

static void finished(void *ctx, kh_err err)
{
    cr_assert(err == KH_OK);
    atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
}

/* Given up while it is written: it is forgotten when that is over, and its file is given back. */
Test(bodies, dropped_while_it_is_written)
{
    char dir[] = "/tmp/kh_bodies_XXXXXX", why[256], path[64], file[80];
    kh_disk disk;
    uint8_t bytes[500];
    place p = {0};
    _Atomic uint32_t done = 0;
    cr_assert(mkdtemp(dir) != NULL && kh_host_disk_open(true, &disk) == KH_OK);
    snprintf(path, sizeof path, "%s/b", dir);
    cr_assert(kh_bodies_open(&disk, path, QUOTA, false, why, sizeof why, &p.b) == KH_OK, "%s", why);
    p.b->file_max_sz = 500; /* a body a file */
    for (uint64_t i = 0; i < 4; i++) {
        kh_body_name name = body_of(i, 500, bytes);
        name.ordered = true;
        (void)pthread_mutex_lock(&p.b->writing); /* the writer waits */
        cr_assert(kh_bodies_put(p.b, &name, bytes, 500, finished, &done) == KH_OK);
        if (i < 3) kh_bodies_drop(p.b, name.digest);
        if (i == 1) kh_bodies_ordered(p.b, name.digest, 11);
        if (i == 2) cr_assert(kh_bodies_put(p.b, &name, bytes, 500, finished, &done) == KH_OK);
        (void)pthread_mutex_unlock(&p.b->writing);
        while (done < (i < 2 ? i + 1 : i + 2)) (void)sched_yield();
        cr_assert(get(&p, i, 500) == (i == 0 ? KH_E_NOT_FOUND : KH_OK), "wanted again, body %u stays", (unsigned)i);
    }
    cr_assert(kh_bodies_bytes(p.b) == 3 * kh_body_record_sz(500));
    kh_bodies_close(p.b);
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(file, sizeof file, "%s/%08x.bodies", path, i);
        cr_assert((unlink(file) == 0) == (i > 0), "file %u", i);
    }
    cr_assert(rmdir(path) == 0 && rmdir(dir) == 0);
    kh_host_disk_close(&disk);
}

enum { THREADS = 4, EACH = 200 };
typedef struct putter {
    kh_bodies *b;
    uint64_t from;
    _Atomic uint32_t done, wrong;
} putter;

static void counted(void *ctx, kh_err err)
{
    putter *p = ctx;
    if (err != KH_OK) p->wrong++;
    p->done++;
}

static void *put_many(void *ctx)
{
    putter *p = ctx;
    uint8_t bytes[1500], *got;
    size_t n;
    for (uint64_t i = 0; i < EACH; i++) {
        kh_body_name name = body_of(i < EACH / 2 ? i : p->from + i, 1500, bytes); /* the first half is everybody's */
        kh_err err = kh_bodies_put(p->b, &name, bytes, 1500, counted, p);
        if (err != KH_OK) p->wrong++;
        if (i % 3 == 0) kh_bodies_ordered(p->b, name.digest, 11);
        if (i % 16 == 0) kh_bodies_expire(p->b, 1); /* nothing is that old */
        err = kh_bodies_get(p->b, name.digest, &got, &n);
        if (err == KH_OK) {
            if (n != 1500 || memcmp(got, bytes, n) != 0) p->wrong++;
            free(got);
        } else if (err != KH_E_NOT_FOUND) {
            p->wrong++;
        }
    }
    return NULL;
}

Test(bodies, many_threads_on_a_real_disk)
{
    char dir[] = "/tmp/kh_bodies_XXXXXX", why[256], path[64], file[80];
    kh_disk disk;
    kh_bodies *b;
    pthread_t threads[THREADS];
    putter each[THREADS] = {0};
    cr_assert(mkdtemp(dir) != NULL && kh_host_disk_open(true, &disk) == KH_OK);
    snprintf(path, sizeof path, "%s/b", dir);
    cr_assert(kh_bodies_open(&disk, path, 64u << 20, false, why, sizeof why, &b) == KH_OK, "%s", why);
    b->file_max_sz = 100000;
    for (uint64_t t = 0; t < THREADS; t++) {
        each[t].b = b;
        each[t].from = 10000 * (t + 1);
        cr_assert(pthread_create(&threads[t], NULL, put_many, &each[t]) == 0);
    }
    for (uint64_t t = 0; t < THREADS; t++) cr_assert(pthread_join(threads[t], NULL) == 0);
    kh_bodies_close(b); /* tells all that waits */
    for (uint64_t t = 0; t < THREADS; t++) cr_assert(each[t].wrong == 0 && each[t].done == EACH);
    cr_assert(kh_bodies_open(&disk, path, 64u << 20, false, why, sizeof why, &b) == KH_OK, "%s", why);
    place p = {.b = b};
    for (uint64_t i = 0; i < EACH / 2; i++) cr_assert(get(&p, i, 1500) == KH_OK);
    for (uint64_t t = 1; t <= THREADS; t++)
        for (uint64_t i = EACH / 2; i < EACH; i++) cr_assert(get(&p, 10000 * t + i, 1500) == KH_OK);
    cr_assert(kh_bodies_bytes(b) == (EACH / 2 + THREADS * EACH / 2) * kh_body_record_sz(1500), "each was written once");
    kh_bodies_close(b);
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(file, sizeof file, "%s/%08x.bodies", path, i);
        (void)unlink(file);
    }
    cr_assert(rmdir(path) == 0 && rmdir(dir) == 0);
    kh_host_disk_close(&disk);
}
