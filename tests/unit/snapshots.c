/* snapshots: those that a node gives, over restarts and damage, and one that it takes from givers that lie. */
#include "kept/snapshots.h"
#include "crypto/digest.h"
#include "host/host.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SZ = 2 * (int)KH_SNAPSHOT_CHUNK_SZ + 777 };
static char dir[64], why[256];
static kh_disk disk;
static kh_snapshots *s;
static uint8_t *bytes;

static void open_all(void) { cr_assert(kh_snapshots_open(&disk, dir, why, sizeof why, &s) == KH_OK, "%s", why); }
static void reopen(void)
{
    kh_snapshots_close(s);
    open_all();
}
static void setup(void)
{
    strcpy(dir, "/tmp/kh_snapshots_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL && kh_host_disk_open(false, &disk) == KH_OK);
    bytes = malloc(SZ);
    for (size_t i = 0; i < SZ; i++) bytes[i] = (uint8_t)(i * 7 + i / 251);
    open_all();
}
static void teardown(void)
{
    char command[128];
    kh_snapshots_close(s);
    kh_host_disk_close(&disk);
    free(bytes);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
}
TestSuite(snapshots, .init = setup, .fini = teardown);

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/snapshots/%s", dir, name);
    return path;
}

/* One of a height, its bytes beginning with that. */
static void add(uint64_t height, size_t n)
{
    kh_store64(bytes, height);
    cr_assert(kh_snapshots_add(s, height, bytes, n) == KH_OK);
}

static void expect(const uint64_t *heights, uint32_t n)
{
    kh_snapshot of[KH_SNAPSHOTS_MAX];
    cr_assert(kh_snapshots_list(s, of) == n);
    for (uint32_t i = 0; i < n; i++) cr_assert(of[i].height == heights[i]);
}

static void same_bytes(uint64_t height, size_t n)
{
    kh_snapshot one;
    uint8_t *p = NULL, digest[32];
    size_t got = 0, at = 0;
    kh_store64(bytes, height);
    cr_assert(kh_snapshot_of(height, bytes, n, &one) == KH_OK);
    for (uint32_t i = 0; i < one.chunks; i++, at += got) {
        cr_assert(kh_snapshots_chunk(s, height, i, &p, &got) == KH_OK && at + got <= n && memcmp(p, bytes + at, got) == 0);
        kh_sha256(p, got, digest);
        cr_assert(memcmp(digest, one.metadata[i], 32) == 0);
        free(p);
    }
    cr_assert(at == n && kh_snapshots_chunk(s, height, one.chunks, &p, &got) == KH_E_NOT_FOUND);
}

Test(snapshots, the_newest_stay)
{
    uint8_t *p = NULL;
    size_t n = 0;
    expect(NULL, 0);
    for (uint64_t h = 10; h <= 60; h += 10) add(h, 1000 + h);
    for (int round = 0; round < 2; round++) {
        expect((uint64_t[]){30, 40, 50, 60}, 4);
        for (uint64_t h = 30; h <= 60; h += 10) same_bytes(h, 1000 + h);
        cr_assert(kh_snapshots_chunk(s, 20, 0, &p, &n) == KH_E_NOT_FOUND && access(path_of("20"), F_OK) != 0);
        reopen();
    }
    add(60, 1060); /* again, after a crash */
    expect((uint64_t[]){30, 40, 50, 60}, 4);
}

static void pin(uint64_t a, uint64_t b, uint64_t c) { cr_assert(kh_snapshots_pin(s, (uint64_t[]){a, b, c}) == KH_OK); }

Test(snapshots, pinned_ones_stay)
{
    for (uint64_t h = 10; h <= 40; h += 10) add(h, 1000 + h);
    pin(25, 9, 0); /* 20; there is none for 9 */
    for (uint64_t h = 50; h <= 90; h += 10) add(h, 1000 + h);
    expect((uint64_t[]){20, 60, 70, 80, 90}, 5);
    pin(25, 75, 69); /* 70 is among the newest, and 60 too, for now */
    for (uint64_t h = 100; h <= 130; h += 10) add(h, 1000 + h);
    expect((uint64_t[]){20, 60, 70, 100, 110, 120, 130}, 7);
    for (int round = 0; round < 2; round++) {
        reopen(); /* nobody has said again what stays: nothing goes */
        expect((uint64_t[]){20, 60, 70, 100, 110, 120, 130}, 7);
        for (uint64_t h = 100; h <= 130; h += 10) same_bytes(h, 1000 + h);
    }
    pin(25, 75, 69);
    add(140, 1140);
    expect((uint64_t[]){20, 60, 70, 110, 120, 130, 140}, 7);
    pin(75, 139, 0);
    expect((uint64_t[]){70, 110, 120, 130, 140}, 5);
    cr_assert(access(path_of("20"), F_OK) != 0 && access(path_of("60"), F_OK) != 0);
    pin(0, 0, 0);
    expect((uint64_t[]){110, 120, 130, 140}, 4);
    pin(UINT64_MAX, 1, 5);
    expect((uint64_t[]){110, 120, 130, 140}, 4);
}

Test(snapshots, one_more_than_stays_is_found)
{
    char command[300];
    for (uint64_t h = 10; h <= 70; h += 10) {
        if (h == 40) pin(10, 20, 30);
        add(h, 1000 + h);
    }
    expect((uint64_t[]){10, 20, 30, 40, 50, 60, 70}, 7);
    (void)snprintf(command, sizeof command, "cp %s/snapshots/70 %s/snapshots/80", dir, dir);
    cr_assert(system(command) == 0); /* a crash after it was written, before the one that does not stay went */
    reopen();
    expect((uint64_t[]){20, 30, 40, 50, 60, 70, 80}, 7); /* as many as who lists has room for */
    pin(10, 20, 30);
    expect((uint64_t[]){10, 20, 30, 50, 60, 70, 80}, 7); /* none that stays went */
}

Test(snapshots, chunks)
{
    add(5, SZ);
    same_bytes(5, SZ);
    add(6, KH_SNAPSHOT_CHUNK_SZ);
    same_bytes(6, KH_SNAPSHOT_CHUNK_SZ);
    cr_assert(kh_snapshots_add(s, 7, bytes, 0) == KH_E_ARG);
    cr_assert(kh_snapshots_add(s, 7, bytes, KH_ORDER_SAVED_MAX_SZ + 1u) == KH_E_ARG);
}

Test(snapshots, what_is_damaged_or_cut_off_goes)
{
    for (uint64_t h = 1; h <= 3; h++) add(h, 5000);
    cr_assert(truncate(path_of("1"), 4000) == 0);
    FILE *f = fopen(path_of("2"), "r+");
    cr_assert(f != NULL && fseek(f, 3000, SEEK_SET) == 0 && fputc(7, f) == 7 && fputc(8, f) == 8 && fclose(f) == 0);
    f = fopen(path_of("4.new"), "w");
    cr_assert(f != NULL && fclose(f) == 0);
    f = fopen(path_of("notes"), "w"); /* somebody else's stays */
    cr_assert(f != NULL && fclose(f) == 0);
    reopen();
    expect((uint64_t[]){3}, 1);
    cr_assert(access(path_of("1"), F_OK) != 0 && access(path_of("2"), F_OK) != 0 && access(path_of("4.new"), F_OK) != 0);
    cr_assert(access(path_of("notes"), F_OK) == 0);
}

/* ---- taking ---- */

static kh_snapshot offered;
static kh_taking *begin(void)
{
    kh_taking *t = NULL;
    cr_assert(kh_snapshot_of(9, bytes, SZ, &offered) == KH_OK && offered.chunks == 3);
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, 3, offered.hash, 32, offered.metadata[0], 96, &t) == KH_OK);
    cr_assert(kh_taking_height(t) == 9);
    return t;
}
static const uint8_t *part(uint32_t i, size_t *n)
{
    *n = i < 2 ? KH_SNAPSHOT_CHUNK_SZ : 777;
    return bytes + (size_t)i * KH_SNAPSHOT_CHUNK_SZ;
}

Test(snapshots, taken_in_any_order)
{
    kh_taking *t = begin();
    size_t n;
    bool whole = true;
    static const uint32_t order[] = {2, 0, 0, 2, 1};
    for (uint32_t i = 0; i < 5; i++) {
        const uint8_t *p = part(order[i], &n);
        cr_assert(kh_taking_chunk(t, order[i], p, n, &whole) == KH_OK && whole == (i == 4));
    }
    const uint8_t *p = kh_taking_bytes(t, &n);
    cr_assert(n == SZ && memcmp(p, bytes, SZ) == 0);
    kh_taking_free(t);
}

Test(snapshots, a_chunk_that_is_another_is_not_taken)
{
    kh_taking *t = begin();
    size_t n;
    bool whole = false;
    const uint8_t *p = part(0, &n);
    uint8_t *lie = malloc(KH_SNAPSHOT_CHUNK_SZ + 1u);
    memcpy(lie, p, n);
    lie[500] ^= 1;
    cr_assert(kh_taking_chunk(t, 0, lie, n, &whole) == KH_E_FORMAT);
    cr_assert(kh_taking_chunk(t, 1, p, n, &whole) == KH_E_FORMAT); /* in another's place */
    cr_assert(kh_taking_chunk(t, 0, p, n - 1, &whole) == KH_E_FORMAT && kh_taking_chunk(t, 0, p, 0, &whole) == KH_E_FORMAT);
    cr_assert(kh_taking_chunk(t, 0, lie, n + 1, &whole) == KH_E_FORMAT && kh_taking_chunk(t, 3, p, n, &whole) == KH_E_FORMAT);
    cr_assert(!whole);
    for (uint32_t i = 0; i < 3; i++) { /* the true ones are */
        p = part(i, &n);
        cr_assert(kh_taking_chunk(t, i, p, n, &whole) == KH_OK);
    }
    cr_assert(whole);
    free(lie);
    kh_taking_free(t);
}

Test(snapshots, an_offer_that_is_none)
{
    kh_taking *t = NULL;
    kh_taking_free(begin());
    const uint8_t *m = offered.metadata[0];
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT + 1, 3, offered.hash, 32, m, 96, &t) == KH_E_VERSION);
    cr_assert(kh_taking_begin(0, KH_SNAPSHOT_FORMAT, 3, offered.hash, 32, m, 96, &t) == KH_E_FORMAT);
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, 0, offered.hash, 32, m, 0, &t) == KH_E_FORMAT);
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, 2, offered.hash, 32, m, 96, &t) == KH_E_FORMAT);
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, 3, offered.hash, 31, m, 96, &t) == KH_E_FORMAT);
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, 2, offered.hash, 32, m, 64, &t) == KH_E_FORMAT); /* hash of other metadata */
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, UINT32_MAX, offered.hash, 32, m, 96, &t) == KH_E_FORMAT);
    uint8_t *many = calloc(KH_SNAPSHOT_CHUNKS_MAX + 1, 32), hash[32];
    kh_sha256(many, (KH_SNAPSHOT_CHUNKS_MAX + 1) * (size_t)32, hash);
    cr_assert(kh_taking_begin(9, KH_SNAPSHOT_FORMAT, KH_SNAPSHOT_CHUNKS_MAX + 1, hash, 32, many,
                              (KH_SNAPSHOT_CHUNKS_MAX + 1) * (size_t)32, &t) == KH_E_FORMAT);
    free(many);
}
