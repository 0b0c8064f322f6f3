/* Unit tests of the real clock, entropy and disk, the last by both of its methods. */
#include "host/host.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/kh_host_XXXXXX";
static char path_buf[4][128];

static const char *path_of(int i, const char *name)
{
    snprintf(path_buf[i], sizeof path_buf[i], "%s/%s", dir, name);
    return path_buf[i];
}

static void make_dir(void) { cr_assert(mkdtemp(dir) != NULL); }

static void count_names(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

static void files_work(bool plain)
{
    kh_disk disk;
    kh_file *f = NULL;
    cr_assert(kh_host_disk_open(plain, &disk) == KH_OK);
    if (plain) cr_assert_str_eq(kh_host_disk_method(&disk), "pwrite+fdatasync");
    void *self = disk.self;
    const char *sub = path_of(0, "sub"), *a = path_of(1, "sub/a"), *b = path_of(2, "sub/b");
    cr_assert(disk.make_dir(self, sub) == KH_OK);
    cr_assert(disk.make_dir(self, sub) == KH_E_EXISTS);
    cr_assert(disk.open(self, a, KH_OPEN_READ, &f) == KH_E_NOT_FOUND);
    cr_assert(f == NULL, "untouched on failure");
    int flags = KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_EXCLUSIVE;
    cr_assert(disk.open(self, a, flags, &f) == KH_OK);
    kh_file *again = NULL;
    cr_assert(disk.open(self, a, flags, &again) == KH_E_EXISTS);
    cr_assert(disk.write(self, f, 10, "halves", 6) == KH_OK);
    cr_assert(disk.sync(self, f) == KH_OK);
    uint64_t size = 0;
    cr_assert(disk.size(self, f, &size) == KH_OK && size == 16);
    char buf[64];
    size_t n = 0;
    cr_assert(disk.read(self, f, 8, buf, sizeof buf, &n) == KH_OK && n == 8);
    cr_assert(memcmp(buf, "\0\0halves", 8) == 0);
    cr_assert(disk.truncate(self, f, 12) == KH_OK);
    cr_assert(disk.size(self, f, &size) == KH_OK && size == 12);
    disk.close(self, f);
    cr_assert(disk.rename(self, a, b) == KH_OK);
    cr_assert(disk.rename(self, a, b) == KH_E_NOT_FOUND);
    cr_assert(disk.sync_dir(self, sub) == KH_OK);
    int names = 0;
    cr_assert(disk.list(self, sub, count_names, &names) == KH_OK && names == 1);
    cr_assert(disk.remove(self, sub) == KH_E_EXISTS, "not empty");
    cr_assert(disk.remove(self, b) == KH_OK);
    cr_assert(disk.remove(self, sub) == KH_OK);
    cr_assert(disk.list(self, sub, count_names, &names) == KH_E_NOT_FOUND);
    cr_assert(disk.write != NULL && disk.poll(self, NULL, 0, 0) == 0);
    kh_host_disk_close(&disk);
}

static void durable_writes_work(bool plain)
{
    enum { writes = 64 + 5, sz = 8192 };
    kh_disk disk;
    kh_file *f = NULL;
    uint8_t *bufs = aligned_alloc(4096, (size_t)writes * sz), *back = aligned_alloc(4096, sz);
    bool done[writes] = {false};
    cr_assert(bufs != NULL && back != NULL);
    cr_assert(kh_host_disk_open(plain, &disk) == KH_OK);
    const char *path = path_of(3, plain ? "plain" : "ring");
    cr_assert(disk.open(disk.self, path, KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_DURABLE, &f) == KH_OK);
    uint32_t ended = 0, sent = 0;
    bool was_full = false;
    while (ended < writes) {
        while (sent < writes) {
            memset(bufs + (size_t)sent * sz, (int)sent + 1, sz);
            kh_err err = disk.submit_write(disk.self, f, (uint64_t)sent * sz, bufs + (size_t)sent * sz, sz, sent);
            if (err == KH_E_AGAIN) {
                was_full = true;
                break;
            }
            cr_assert(err == KH_OK);
            sent++;
        }
        kh_disk_done ends[7];
        uint32_t n = disk.poll(disk.self, ends, 7, KH_NS_PER_S);
        for (uint32_t i = 0; i < n; i++) {
            cr_assert(ends[i].err == KH_OK && ends[i].tag < writes && !done[ends[i].tag]);
            done[ends[i].tag] = true;
        }
        ended += n;
    }
    cr_assert(was_full, "the bound is told, not exceeded");
    cr_assert(disk.write(disk.self, f, (uint64_t)writes * sz, bufs, sz) == KH_OK);
    for (uint64_t i = 0; i < writes; i++) {
        size_t n = 0;
        cr_assert(disk.read(disk.self, f, i * sz, back, sz, &n) == KH_OK && n == sz);
        cr_assert(memcmp(back, bufs + i * sz, sz) == 0);
    }
    disk.close(disk.self, f);
    cr_assert(disk.open(disk.self, path, KH_OPEN_READ, &f) == KH_OK);
    kh_disk_done end;
    cr_assert(disk.submit_write(disk.self, f, 0, bufs, sz, 77) == KH_OK);
    cr_assert(disk.poll(disk.self, &end, 1, KH_NS_PER_S) == 1 && end.tag == 77 && end.err == KH_E_IO, "a refused write is told");
    disk.close(disk.self, f);
    cr_assert(disk.remove(disk.self, path) == KH_OK);
    kh_host_disk_close(&disk);
    free(bufs);
    free(back);
}

/* Pieces of many lengths one behind the other, at places that suit and that do not: what is read is what was written. */
static void streams_work(void)
{
    static const size_t sizes[] = {
        1, KH_STREAM_LEAST_SZ, 3, KH_STREAM_LEAST_SZ + 4095, KH_STREAM_LEAST_SZ - 1, 4096, (1u << 20) + 17, 5000, 4095, 2u << 20};
    enum { all_sz = 8 << 20 };
    kh_disk disk;
    kh_file *f = NULL;
    uint8_t *want = malloc(all_sz), *back = malloc(all_sz), *room = aligned_alloc(4096, all_sz);
    size_t end = 0, n = 0;
    cr_assert(want != NULL && back != NULL && room != NULL && kh_host_disk_open(true, &disk) == KH_OK);
    const char *path = path_of(3, "stream");
    int flags = KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_STREAM;
    cr_assert(disk.open(disk.self, path, flags, &f) == KH_OK);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t *p = room + (end + (size_t)round) % 4096; /* the second round's places do not suit */
            for (size_t k = 0; k < sizes[i]; k++) p[k] = want[end + k] = (uint8_t)((end + k) * 31 + (end + k) / 4096);
            cr_assert(disk.write(disk.self, f, end, p, sizes[i]) == KH_OK);
            end += sizes[i];
            cr_assert(disk.read(disk.self, f, 0, back, all_sz, &n) == KH_OK && n == end && memcmp(back, want, end) == 0);
        }
    cr_assert(disk.sync(disk.self, f) == KH_OK);
    cr_assert(disk.truncate(disk.self, f, 100000) == KH_OK);
    memset(room, 7, 4096 + KH_STREAM_LEAST_SZ);
    memset(want + 100000, 7, KH_STREAM_LEAST_SZ);
    cr_assert(disk.write(disk.self, f, 100000, room + 100000 % 4096, KH_STREAM_LEAST_SZ) == KH_OK);
    disk.close(disk.self, f);
    cr_assert(disk.open(disk.self, path, KH_OPEN_READ | KH_OPEN_STREAM, &f) == KH_OK, "advice where nothing is written");
    cr_assert(disk.read(disk.self, f, 0, back, all_sz, &n) == KH_OK && n == 100000 + KH_STREAM_LEAST_SZ);
    cr_assert(memcmp(back, want, n) == 0);
    disk.close(disk.self, f);
    cr_assert(disk.remove(disk.self, path) == KH_OK);
    kh_host_disk_close(&disk);
    free(want);
    free(back);
    free(room);
}

static void remove_dir(void) { cr_assert(rmdir(dir) == 0); }

Test(host, files, .init = make_dir, .fini = remove_dir) { files_work(false); }
Test(host, files_plain, .init = make_dir, .fini = remove_dir) { files_work(true); }
Test(host, durable_writes, .init = make_dir, .fini = remove_dir) { durable_writes_work(false); }
Test(host, durable_writes_plain, .init = make_dir, .fini = remove_dir) { durable_writes_work(true); }

Test(host, durable_without_direct)
{
    kh_disk disk;
    kh_file *f = NULL;
    char path[] = "/dev/shm/kh_host_XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    cr_assert(kh_host_disk_open(false, &disk) == KH_OK);
    cr_assert(disk.open(disk.self, path, KH_OPEN_READ | KH_OPEN_WRITE | KH_OPEN_DURABLE, &f) == KH_OK);
    static _Alignas(4096) uint8_t page[4096] = {1};
    kh_disk_done end = {0};
    cr_assert(disk.submit_write(disk.self, f, 0, page, sizeof page, 5) == KH_OK);
    cr_assert(disk.poll(disk.self, &end, 1, KH_NS_PER_S) == 1 && end.tag == 5 && end.err == KH_OK);
    disk.close(disk.self, f);
    cr_assert(disk.remove(disk.self, path) == KH_OK);
    kh_host_disk_close(&disk);
}

Test(host, clock_and_entropy)
{
    kh_clock clock = kh_host_clock();
    uint64_t first = clock.monotonic(clock.self);
    cr_assert(clock.monotonic(clock.self) >= first);
    cr_assert(clock.now(clock.self) > 1700000000 * KH_NS_PER_S);
    kh_entropy entropy = kh_host_entropy();
    uint8_t a[32] = {0}, b[32] = {0};
    cr_assert(entropy.fill(entropy.self, a, 32) == KH_OK && entropy.fill(entropy.self, b, 32) == KH_OK);
    cr_assert(memcmp(a, b, 32) != 0);
}

#ifdef KH_HAVE_URING
#include "host/disk.h"

Test(host, the_ring_does_nothing_but_write)
{
    kh_disk disk;
    kh_file *f;
    make_dir();
    cr_assert(kh_host_disk_open(false, &disk) == KH_OK);
    cr_assert(disk.open(disk.self, path_of(0, "a"), KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_DURABLE, &f) == KH_OK);
    kh_host_disk *inside = disk.self;
    if (!inside->plain) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&inside->ring);
        struct io_uring_cqe *cqe;
        io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
        cr_assert(io_uring_submit(&inside->ring) == 1 && io_uring_wait_cqe(&inside->ring, &cqe) == 0);
        cr_assert(cqe->res == -EACCES, "%d", cqe->res);
        io_uring_cqe_seen(&inside->ring, cqe);
    }
    disk.close(disk.self, f);
    cr_assert(disk.remove(disk.self, path_of(0, "a")) == KH_OK && rmdir(dir) == 0);
    kh_host_disk_close(&disk);
}
#endif
Test(host, streams, .init = make_dir, .fini = remove_dir) { streams_work(); }
