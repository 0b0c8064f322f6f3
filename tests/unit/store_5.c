/* store, driven: submissions go to the driver; decided entries are executed, told with their outcome chain, and found again by
 * the cluster's heights. */
#include "store/parts.h"
#include "store_fixture.h"
#include <stdatomic.h>

static fixture f;
static kh_disk below;
static atomic_bool broken;

static kh_err faulty_submit(void *self, kh_file *file, uint64_t offset, const void *p, size_t n, uint64_t tag)
{
    return atomic_load(&broken) ? KH_E_IO : below.submit_write(self, file, offset, p, n, tag);
}

static void setup(void)
{
    fixture_setup(&f);
    fixture_create(&f);
    below = f.disk;
    f.disk.submit_write = faulty_submit;
}
static void teardown(void)
{
    f.disk.submit_write = below.submit_write;
    fixture_teardown(&f);
}
TestSuite(store_driven, .init = setup, .fini = teardown);

typedef struct asked {
    uint32_t submits, waits, op_cnt;
    bool may_wait;
} asked;
static kh_err driver_submit(void *self, const kh_store_batch *batch, bool may_wait, uint64_t *ret_ticket)
{
    asked *a = self;
    a->submits++;
    a->op_cnt = batch->op_cnt;
    a->may_wait = may_wait;
    *ret_ticket = 4711;
    return KH_OK;
}
static kh_err driver_wait(void *self, uint64_t ticket)
{
    ((asked *)self)->waits++;
    return ticket == 4711 ? KH_OK : KH_E_ARG;
}
static asked told;
static const kh_store_driver driver = {.self = &told, .submit = driver_submit, .wait = driver_wait};

typedef struct run { /* what one execution gave */
    atomic_uint ended;
    uint64_t number;
    uint32_t n, notices;
    uint8_t chain[32];
    kh_receipt receipts[64];
    kh_receipt_line line;
    uint32_t ops[64];
} run;
static void take(void *ctx, uint64_t number, const kh_outcome *o, const uint8_t chain[32])
{
    run *r = ctx;
    cr_assert(atomic_load(&r->ended) == 0 && (r->number == 0 || r->number == number));
    r->number = number;
    if (o == NULL) {
        if (chain != NULL) memcpy(r->chain, chain, 32);
        atomic_store(&r->ended, 1);
        return;
    }
    if (o->is_notice) {
        r->notices++;
        return;
    }
    r->ops[r->n] = o->op_index;
    r->receipts[r->n++] = *o->receipt;
    if (o->receipt->line_cnt != 0) r->line = o->receipt->lines[0];
}

static void op_block(ops_buf *b, uint64_t height) { ops_add(b, &(kh_op){.type = KH_OP_BLOCK, .block = {height, 0, 0}}); }

static kh_err execute(kh_store *s, const ops_buf *b, uint64_t time_ns, run *r)
{
    const kh_store_execution x = {time_ns, b->p, b->n, b->cnt, take, r};
    *r = (run){0};
    return kh_store_execute(s, &x);
}
static void wait_for(run *r)
{
    for (uint32_t i = 0; atomic_load(&r->ended) == 0 && i < 120000; i++) usleep(500);
    cr_assert(atomic_load(&r->ended) == 1);
}

static void block_of_reserves(kh_store *s, uint64_t height, uint64_t time_ns, uint64_t first, uint32_t n, run *r)
{
    ops_buf b = {0};
    op_block(&b, height);
    for (uint32_t i = 0; i < n; i++) ops_reserve(&b, first + i, (uint32_t)((first + i) % 8), 100);
    cr_assert(execute(s, &b, time_ns, r) == KH_OK);
    free(b.p);
}

Test(store_driven, submissions_are_the_drivers)
{
    kh_store *s = fixture_open(&f);
    cr_assert(!kh_store_is_driven(s) && kh_store_last_block(s) == 0 && kh_store_block_of(s, 5) == 5);
    fixture_documents(s, 8);
    uint64_t height = kh_store_durable_upto(s), ticket = 0;
    kh_store_drive(s, &driver);
    ops_buf b = {0};
    ops_reserve(&b, 1, 1, 100);
    const kh_store_batch batch = {.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt};
    cr_assert(kh_store_submit(s, &batch, &ticket) == KH_OK && ticket == 4711 && told.submits == 1 && told.op_cnt == 1);
    cr_assert(told.may_wait && kh_store_try_submit(s, &batch, &ticket) == KH_OK && !told.may_wait);
    cr_assert(kh_store_wait(s, 4711) == KH_OK && kh_store_wait(s, 1) == KH_E_ARG && told.waits == 2);
    b.n = b.cnt = 0;
    op_block(&b, 9);
    const kh_store_batch forged = {.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt};
    cr_assert(kh_store_submit(s, &forged, &ticket) == KH_E_ARG && told.submits == 2);
    f.now += UINT64_C(9) * 86400 * KH_NS_PER_S;
    cr_assert(kh_store_tick(s) == KH_OK);
    cr_assert(kh_store_durable_upto(s) == height);
    kh_store_drive(s, NULL);
    cr_assert(kh_store_submit(s, &forged, &ticket) == KH_E_ARG); /* alone too */
    run r;
    cr_assert(execute(s, &b, f.now, &r) == KH_E_ARG);
    kh_store_close(s);
    free(b.p);
}

static void several_under_way(bool threads)
{
    enum { BLOCKS = 40 };
    f.options.inline_engine = !threads;
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    uint64_t before = kh_store_durable_upto(s);
    kh_store_drive(s, &driver);
    static run runs[BLOCKS];
    for (uint32_t i = 0; i < BLOCKS; i++)
        block_of_reserves(s, 1000 + 3 * i, START_NS + i * KH_NS_PER_S, 1 + 10 * i, 10, &runs[i]);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        wait_for(&runs[i]);
        cr_assert(runs[i].number == before + 1 + i && runs[i].n == 11 && runs[i].ops[10] == 10);
        cr_assert(runs[i].receipts[0].type == KH_OP_BLOCK && runs[i].receipts[0].amount == 1000 + 3 * i);
        for (uint32_t k = 1; k < 11; k++) cr_assert(runs[i].receipts[k].code == KH_C_OK);
    }
    uint64_t image;
    cr_assert(kh_store_last_block(s) == 1000 + 3 * (BLOCKS - 1));
    cr_assert(kh_store_snapshot(s, &image) == KH_OK);
    cr_assert(kh_store_block_of(s, before) == before && kh_store_block_of(s, before + 2) == 1003);
    kh_store_close(s);
    kh_audit_result audit = fixture_audit(&f);
    cr_assert(audit.ok && memcmp(audit.digest, runs[BLOCKS - 1].chain, 32) == 0, "%s %s", audit.at, audit.why);
    s = fixture_open(&f);
    cr_assert(kh_store_last_block(s) == 1000 + 3 * (BLOCKS - 1));
    for (uint64_t n = 1; n <= before + BLOCKS; n++)
        cr_assert(kh_store_block_of(s, n) == (n <= before ? n : 1000 + 3 * (n - before - 1)));
    kh_store_drive(s, &driver); /* the chain goes on behind what was there */
    run more;
    block_of_reserves(s, 2000, START_NS + BLOCKS * KH_NS_PER_S, 1, 1, &more);
    wait_for(&more);
    kh_store_close(s);
    audit = fixture_audit(&f);
    cr_assert(audit.ok && memcmp(audit.digest, more.chain, 32) == 0);
}
Test(store_driven, several_under_way_inline) { several_under_way(false); }
Test(store_driven, several_under_way_threads) { several_under_way(true); }

/* The digest of an earlier state, made beside, is the one that was there; whatever images there are by then. */
static void earlier_states(bool threads)
{
    enum { BLOCKS = 6 };
    static uint8_t digests[BLOCKS][32];
    uint8_t now[32];
    uint64_t before, image = 0;
    f.options.inline_engine = !threads;
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    before = kh_store_durable_upto(s);
    kh_store_drive(s, &driver);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        static run r;
        block_of_reserves(s, 1000 + i, START_NS + i * KH_NS_PER_S, 1 + 10 * i, 10, &r);
        wait_for(&r);
        cr_assert(kh_store_checkpoint_digest(s, digests[i]) == KH_OK);
        cr_assert(i == 0 || memcmp(digests[i], digests[i - 1], 32) != 0);
    }
    const uint32_t asked[] = {1, 4, 4, 2, BLOCKS - 1, 0};
    for (uint32_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        kh_err err = KH_E_AGAIN;
        for (uint32_t k = 0; k < 120000 && (err = kh_store_checkpoint_at(s, before + 1 + asked[i], now)) == KH_E_AGAIN; k++) {
            cr_assert(threads);
            usleep(500);
        }
        cr_assert(err == KH_OK && memcmp(now, digests[asked[i]], 32) == 0, "%u: %d", asked[i], err);
    }
    kh_store_stats stats;
    kh_store_get_stats(s, &stats);
    cr_assert(stats.image_height == before + BLOCKS); /* and its image is left behind, never an older one than there was */
    cr_assert(kh_store_checkpoint_at(s, before + BLOCKS + 1, now) == KH_E_NOT_FOUND);
    cr_assert(kh_store_checkpoint_at(s, 0, now) == KH_E_NOT_FOUND);
    cr_assert(kh_store_snapshot(s, &image) == KH_OK && image == before + BLOCKS);
    kh_store_close(s);
    kh_audit_result audit = fixture_audit(&f);
    cr_assert(audit.ok && memcmp(audit.checkpoint_digest, digests[BLOCKS - 1], 32) == 0, "%s %s", audit.at, audit.why);
}
Test(store_driven, earlier_states_inline) { earlier_states(false); }
Test(store_driven, earlier_states_threads) { earlier_states(true); }

/* Opened for a cluster no image goes before it was said which are wanted. */
Test(store_driven, images_stay_until_somebody_says_which)
{
    enum { IMAGES = 6 };
    uint64_t heights[IMAGES] = {0};
    char path[160];
    f.options.driven = true;
    kh_store *s = fixture_open(&f);
    kh_store_drive(s, &driver);
    for (uint32_t i = 0; i < IMAGES; i++) {
        run r;
        if (i == IMAGES - 1) kh_store_keep(s, &heights[1], 1);
        block_of_reserves(s, 50 + i, START_NS, 10 * i, 1, &r);
        wait_for(&r);
        cr_assert(kh_store_snapshot(s, &heights[i]) == KH_OK);
        for (uint32_t k = 0; k <= i; k++) {
            snprintf(path, sizeof path, "%s/image/%016llx.img", f.dir, (unsigned long long)heights[k]);
            cr_assert((fixture_size(path) > 0) == (i < IMAGES - 1 || k == 1 || k >= IMAGES - 2), "%u %u", i, k);
        }
    }
    kh_store_close(s);
}

Test(store_driven, an_answer_given_before_is_told_whole)
{
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    kh_store_drive(s, &driver);
    run r;
    block_of_reserves(s, 50, START_NS, 7, 1, &r);
    uint64_t first = r.number;
    for (uint32_t i = 0; i < 2; i++) {
        block_of_reserves(s, 51 + i, START_NS, 7, 1, &r);
        wait_for(&r);
        cr_assert(r.receipts[1].code == KH_C_OK && r.receipts[1].ref_height == first && r.receipts[1].ref_index == 1);
        cr_assert(r.receipts[1].amount == 100 && r.receipts[1].line_cnt == 1 && r.line.amount == 100);
    }
    kh_store_close(s);
    kh_audit_result audit = fixture_audit(&f);
    cr_assert(audit.ok && memcmp(audit.digest, r.chain, 32) == 0);
}

/* What was due before a block stands in front of it in the journal. */
Test(store_driven, heights_are_found_behind_notices)
{
    kh_store *s = fixture_open(&f);
    fixture_documents(s, 8);
    kh_store_drive(s, &driver);
    run r;
    block_of_reserves(s, 70, START_NS, 1, 37, &r);
    uint64_t late = START_NS + UINT64_C(4) * 86400 * KH_NS_PER_S;
    block_of_reserves(s, 90, late, 100, 2, &r);
    wait_for(&r);
    cr_assert(r.notices == 37 && r.n == 3);
    ops_buf b = {0};
    cr_assert(execute(s, &b, late - 1, &r) == KH_E_ARG); /* time never falls */
    op_block(&b, 91);
    cr_assert(execute(s, &b, late, &r) == KH_OK);
    wait_for(&r);
    uint64_t number = r.number;
    f.now = late;
    kh_store_close(s);
    s = fixture_open(&f);
    cr_assert(kh_store_last_block(s) == 91 && kh_store_block_of(s, number) == 91 && kh_store_block_of(s, number - 1) == 90 &&
              kh_store_block_of(s, number - 2) == 70);
    kh_store_close(s);
    f.options.read_only = true;
    s = fixture_open(&f);
    cr_assert(kh_store_last_block(s) == 91 && kh_store_block_of(s, number - 1) == 90);
    kh_store_close(s);
    free(b.p);
}

Test(store_driven, where_the_log_fails_it_is_told)
{
    f.options.inline_engine = false;
    kh_store *s = fixture_open(&f);
    kh_store_drive(s, &driver);
    ops_buf b = {0};
    run r;
    op_block(&b, 1);
    atomic_store(&broken, true);
    cr_assert(execute(s, &b, START_NS, &r) == KH_OK);
    wait_for(&r);
    cr_assert(r.number == 0 && r.n == 0);
    cr_assert(execute(s, &b, START_NS, &r) == KH_E_CLOSED);
    kh_store_close(s);
    free(b.p);
}
