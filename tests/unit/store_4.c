/* store, the queue: what it promises to who submits when it is full, and when the log fails. */
#include "store/parts.h"
#include "store_fixture.h"
#include <pthread.h>
#include <stdatomic.h>

/* The disk of this machine, whose log writes can be held up, or fail. */
static fixture f;
static kh_disk below;
static atomic_bool held, broken;
static atomic_uint telling, told;

static kh_err faulty_submit(void *self, kh_file *file, uint64_t offset, const void *p, size_t n, uint64_t tag)
{
    while (atomic_load(&held)) usleep(1000);
    return atomic_load(&broken) ? KH_E_IO : below.submit_write(self, file, offset, p, n, tag);
}

static void setup(void)
{
    fixture_setup(&f);
    fixture_create(&f);
    below = f.disk;
    f.disk.submit_write = faulty_submit;
    f.options.inline_engine = false;
}
static void teardown(void)
{
    f.disk.submit_write = below.submit_write;
    fixture_teardown(&f);
}
TestSuite(store_queue, .init = setup, .fini = teardown);

/* Operations that the ledger will call junk: their sizes are all that the queue looks at. */
enum { JUNK_CNT = 16, JUNK_SZ = JUNK_CNT * KH_OP_MAX_SZ };
static uint8_t *junk(void)
{
    uint8_t *p = calloc(1, JUNK_SZ);
    for (uint32_t i = 0; i < JUNK_CNT; i++) kh_store32(p + i * (size_t)KH_OP_MAX_SZ, KH_OP_MAX_SZ);
    return p;
}

Test(store_queue, who_never_waits_is_told_that_it_is_full)
{
    kh_store *s = fixture_open(&f);
    uint8_t *p = junk();
    uint64_t ticket = 0, last = 0;
    kh_err err = KH_OK;
    kh_store_batch batch = {.ops = p, .ops_sz = JUNK_SZ, .op_cnt = JUNK_CNT};
    atomic_store(&held, true);
    for (uint32_t i = 0; err == KH_OK && i < 2 * KH_STORE_QUEUE_SZ / JUNK_SZ; i++) {
        err = kh_store_try_submit(s, &batch, &ticket);
        if (err == KH_OK) last = ticket;
    }
    cr_assert(err == KH_E_AGAIN, "%d", err);
    atomic_store(&held, false);
    cr_assert(kh_store_wait(s, last) == KH_OK);
    cr_assert(kh_store_try_submit(s, &batch, &ticket) == KH_OK && kh_store_wait(s, ticket) == KH_OK); /* there is room again */
    kh_store_close(s);
    free(p);
}

/* Nor does who offers wait for another thread, or do the disk's work itself. */
Test(store_queue, who_offers_waits_for_nobody)
{
    kh_store *s = fixture_open(&f);
    uint8_t *p = junk();
    const kh_store_batch batch = {.ops = p, .ops_sz = JUNK_SZ, .op_cnt = JUNK_CNT};
    (void)pthread_mutex_lock(&s->queue_lock);
    cr_assert(kh_store_offer(s, &batch) == KH_E_AGAIN);
    (void)pthread_mutex_unlock(&s->queue_lock);
    atomic_store(&held, true);
    kh_err err = KH_OK;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 2 * KH_STORE_QUEUE_SZ / JUNK_SZ; i++) {
        while ((err = kh_store_offer(s, &batch)) == KH_E_AGAIN && !kh_queue_full(s, JUNK_SZ)) {} /* the engine is at the queue */
        if (err != KH_OK) break;
        taken++;
    }
    cr_assert(err == KH_E_AGAIN && taken >= KH_STORE_QUEUE_SZ / JUNK_SZ, "%d %u", err, taken);
    atomic_store(&held, false);
    cr_assert(kh_store_wait(s, s->next_ticket) == KH_OK);
    kh_store_close(s);
    f.options.inline_engine = true;
    s = fixture_open(&f);
    cr_assert(kh_store_offer(s, &batch) == KH_E_AGAIN);
    kh_store_close(s);
    free(p);
}

static void slow_answer(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    (void)ctx, (void)height, (void)time_ns, (void)receipt, (void)op_index;
    atomic_store(&telling, 1);
    usleep(200000);
    atomic_store(&told, 1);
}

/* Where the log fails, who waits gets away only when nobody will speak to it any more. */
Test(store_queue, nobody_is_told_after_a_wait_returned)
{
    kh_store *s = fixture_open(&f);
    uint8_t *p = junk();
    uint64_t ticket;
    kh_store_batch batch = {.ops = p, .ops_sz = JUNK_SZ, .op_cnt = JUNK_CNT, .reply = slow_answer};
    atomic_store(&broken, true);
    cr_assert(kh_store_submit(s, &batch, &ticket) == KH_OK);
    while (!atomic_load(&telling)) usleep(1000);
    cr_assert(kh_store_wait(s, ticket) == KH_E_CLOSED);
    cr_assert(atomic_load(&told) == 1);
    cr_assert(kh_store_submit(s, &batch, &ticket) == KH_E_CLOSED);
    kh_store_close(s);
    free(p);
}

/* Two batches in one entry: the first is answered whole before the second's first operation is applied. */
static char said[64];
static void say(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    char letter = *(const char *)ctx;
    (void)time_ns, (void)op_index;
    cr_assert(height == 2);
    snprintf(said + strlen(said), sizeof said - strlen(said), "%c", receipt != NULL ? letter : letter - 'a' + 'A');
}

Test(store_queue, a_batch_is_answered_when_its_own_operations_are_applied)
{
    ops_buf first = {0}, second = {0};
    uint64_t ticket;
    f.options.inline_engine = true;
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 2);
    for (uint32_t i = 0; i < 2; i++) ops_reserve(&first, 1 + i, 0, 100);
    for (uint32_t i = 0; i < 3; i++) ops_reserve(&second, 11 + i, 1, 100);
    const kh_store_batch a = {.ops = first.p, .ops_sz = first.n, .op_cnt = first.cnt, .reply = say, .ctx = "a"};
    const kh_store_batch b = {.ops = second.p, .ops_sz = second.n, .op_cnt = second.cnt, .reply = say, .ctx = "b"};
    cr_assert(kh_store_submit(s, &a, &ticket) == KH_OK && kh_store_submit(s, &b, &ticket) == KH_OK);
    cr_assert(kh_store_wait(s, ticket) == KH_OK);
    cr_assert_str_eq(said, "aaAbbbB");
    kh_store_close(s);
    free(first.p);
    free(second.p);
}

/* ---- memory made ready ---- */

static uint64_t resident_sz(void)
{
    unsigned long long all, pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    cr_assert(statm != NULL && fscanf(statm, "%llu %llu", &all, &pages) == 2);
    fclose(statm);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t unprepared(kh_store *s)
{
    kh_store_stats stats;
    kh_store_get_stats(s, &stats);
    return stats.unprepared_bytes;
}

static void wait_until_ready(kh_store *s)
{
    for (uint32_t i = 0; unprepared(s) != 0; i++) {
        cr_assert(i < 60000, "%llu bytes are not ready", (unsigned long long)unprepared(s));
        usleep(1000);
    }
}

Test(store_queue, memory_is_there_before_it_is_wanted)
{
    f.options.long_running = true;
    kh_store *s = fixture_open(&f);
    uint64_t before = resident_sz();
    cr_assert(unprepared(s) == 0);
    cr_assert(kh_store_prepare(s, UINT64_C(1) << 32, UINT64_C(1) << 32) == KH_E_NOMEM && unprepared(s) == 0);
    cr_assert(kh_store_prepare(s, 100000, 1500000) == KH_OK && unprepared(s) != 0);
    wait_until_ready(s);
    uint64_t took = resident_sz() - before;
    cr_assert(took > 100000 * 96 + 1500000 * 200 && took < 600u << 20, "%llu bytes", (unsigned long long)took);
    fixture_documents(s, 100);
    fixture_reserves(s, 1, 1000, 100);
    kh_store_close(s);
    kh_audit_result r = fixture_audit(&f);
    cr_assert(r.ok, "%s: %s", r.at, r.why);
}

Test(store_queue, an_inline_engine_prepares_nothing)
{
    f.options.inline_engine = true;
    kh_store *s = fixture_open(&f);
    cr_assert(kh_store_prepare(s, 100000, 100000) == KH_E_ARG && unprepared(s) == 0);
    kh_store_close(s);
}
