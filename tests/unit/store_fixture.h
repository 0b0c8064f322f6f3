/* store_fixture: a data directory of a test's own, a clock that the test sets, and answers remembered. */
#ifndef KH_TESTS_STORE_FIXTURE_H
#define KH_TESTS_STORE_FIXTURE_H
#include "host/host.h"
#include "store_ops.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_NS (UINT64_C(1790000000) * KH_NS_PER_S)

typedef struct fixture {
    char root[64], dir[96];
    kh_clock clock;
    kh_disk disk;
    kh_entropy entropy;
    kh_store_options options;
    kh_store_report report;
    uint64_t now;
} fixture;

static inline uint64_t fixture_now(void *self) { return *(uint64_t *)self; }

static inline void fixture_setup(fixture *f)
{
    *f = (fixture){.root = "/tmp/kh-store-XXXXXX", .now = START_NS};
    cr_assert(mkdtemp(f->root) != NULL);
    snprintf(f->dir, sizeof f->dir, "%s/data", f->root);
    f->clock = (kh_clock){fixture_now, fixture_now, &f->now};
    f->entropy = kh_host_entropy();
    cr_assert(kh_host_disk_open(false, &f->disk) == KH_OK);
    f->options = (kh_store_options){.clock = &f->clock, .disk = &f->disk, .entropy = &f->entropy, .inline_engine = true};
}

static inline void fixture_teardown(fixture *f)
{
    char cmd[128];
    kh_host_disk_close(&f->disk);
    snprintf(cmd, sizeof cmd, "rm -rf %s", f->root);
    cr_assert(system(cmd) == 0);
}

static inline void fixture_create(fixture *f)
{
    kh_err err = kh_store_create(&f->options, f->dir, (const uint8_t *)"0123456789abcdef", &f->report);
    cr_assert(err == KH_OK, "%d %s %s", err, f->report.where, f->report.why);
}

static inline kh_store *fixture_open(fixture *f)
{
    kh_store *s = NULL;
    kh_err err = kh_store_open(&f->options, f->dir, &f->report, &s);
    cr_assert(err == KH_OK, "%d %s %s", err, f->report.where, f->report.why);
    return s;
}

typedef struct answers {
    uint32_t n, ended;
    uint64_t height;
    kh_code codes[4096];
    kh_receipt last;
    kh_receipt_line line;
} answers;

static inline void take_answer(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    answers *a = ctx;
    (void)time_ns;
    a->height = height;
    if (receipt == NULL) {
        a->ended++;
        return;
    }
    if (op_index < 4096) a->codes[op_index] = receipt->code;
    a->last = *receipt;
    if (receipt->line_cnt != 0) a->line = receipt->lines[0];
    a->n++;
}

static inline kh_err fixture_send(kh_store *s, const ops_buf *b, answers *a)
{
    uint64_t ticket = 0;
    kh_store_batch batch = {.ops = b->p, .ops_sz = b->n, .op_cnt = b->cnt, .reply = a != NULL ? take_answer : NULL, .ctx = a};
    kh_err err = kh_store_submit(s, &batch, &ticket);
    return err == KH_OK ? kh_store_wait(s, ticket) : err;
}

static inline void fixture_documents(kh_store *s, uint32_t n)
{
    ops_buf b = {0};
    ops_parties(&b);
    for (uint32_t i = 0; i < n; i++) ops_declaration(&b, i, 1000000);
    cr_assert(fixture_send(s, &b, NULL) == KH_OK);
    free(b.p);
}

static inline void fixture_reserves(kh_store *s, uint64_t from, uint32_t n, uint32_t docs)
{
    for (uint32_t i = 0; i < n; i += 16) {
        ops_buf b = {0};
        answers a = {0};
        for (uint32_t k = i; k < n && k < i + 16; k++) ops_reserve(&b, from + k, (uint32_t)((from + k) % docs), 100);
        cr_assert(fixture_send(s, &b, &a) == KH_OK);
        for (uint32_t k = 0; k < a.n; k++) cr_assert(a.codes[k] == KH_C_OK, "code %u", a.codes[k]);
        free(b.p);
    }
}

static inline kh_audit_result fixture_audit(fixture *f)
{
    kh_audit_result r = {0};
    kh_err err = kh_store_audit(&f->options, f->dir, NULL, NULL, &r);
    cr_assert(err == KH_OK, "%d", err);
    return r;
}

static inline off_t fixture_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static inline void fixture_flip(const char *path, off_t at)
{
    uint8_t b;
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pread(fd, &b, 1, at) == 1);
    b ^= 0x40;
    cr_assert(pwrite(fd, &b, 1, at) == 1);
    close(fd);
}
#endif
