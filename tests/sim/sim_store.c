/* sim_store: a whole data directory on the simulated disk.
 *
 * cuts     for every k of a short run of real operations (init, parties, declarations, reserves, images, closing and opening
 *          again, going back behind an image) power fails in its k-th changing disk call, and again somewhere in the recovery
 * faults   the k-th call answers EIO or ENOSPC: nothing is acknowledged any more, the state stays readable; then the power goes
 * After each: every acknowledged batch is there, none is half there, what was ordered away is gone as a whole, the audit finds
 * nothing, and the directory can be written on.
 *
 * begun    the same of a directory that is made from a checkpoint instead of from nothing
 *
 * sim_store [--begun] [--lie] [--seed N] [--cut K]     prints what failed with the line that repeats it, and "N passed, M
 * failed". */
#include "../unit/store_ops.h"
#include "sim_disk.h"

#define DIR "data"
#define DOCS 8u
#define BATCH 5u
#define START_NS (UINT64_C(1790000000) * KH_NS_PER_S)

#define BEGUN_BATCHES 3u /* of reserves, that a checkpoint has */

static uint64_t passed, failed, now_ns;
static uint8_t checkpoint[1u << 20]; /* what directories are begun from */
static size_t checkpoint_sz, checkpoint_at;
static uint64_t sim_now(void *self) { return *(uint64_t *)self; }
static kh_err sim_fill(void *self, void *p, size_t n)
{
    (void)self;
    memset(p, 7, n);
    return KH_OK;
}

typedef struct scenario {
    sim_disk *sd;
    kh_disk disk;
    kh_clock clock;
    kh_entropy entropy;
    kh_store_options options;
    uint64_t seed, k;
    bool created, documents;   /* acknowledged */
    uint64_t submitted, acked; /* batches of reserves */
    uint64_t away, away_end;   /* those that were ordered away, away <= n < away_end; */
    bool is_away;              /* and that was durable */
    const char *wrong;
    char detail[420];
} scenario;

static void wrong(scenario *r, const char *what, const char *where, const char *why)
{
    if (r->wrong != NULL) return;
    r->wrong = what;
    snprintf(r->detail, sizeof r->detail, "%s %s", where, why);
}

typedef struct answer {
    uint32_t good, bad;
    bool done;
} answer;
static void take(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    answer *a = ctx;
    (void)time_ns;
    (void)op_index;
    if (receipt == NULL) a->done = height != 0;
    else if (receipt->code == KH_C_OK) a->good++;
    else a->bad++;
}

static kh_err send(scenario *r, kh_store *s, ops_buf *b, answer *a)
{
    uint64_t ticket;
    *a = (answer){0};
    kh_err err =
        kh_store_submit(s, &(kh_store_batch){.ops = b->p, .ops_sz = b->n, .op_cnt = b->cnt, .reply = take, .ctx = a}, &ticket);
    if (err == KH_OK) err = kh_store_wait(s, ticket);
    if (err == KH_OK && (!a->done || a->good != b->cnt)) wrong(r, "a wrong answer", "", "");
    b->n = b->cnt = 0;
    return err;
}

static kh_err reserves(scenario *r, kh_store *s, uint32_t batches)
{
    ops_buf b = {0};
    kh_err err = KH_OK;
    for (uint32_t n = 0; n < batches && err == KH_OK; n++) {
        answer a;
        for (uint32_t i = 0; i < BATCH; i++) ops_reserve(&b, r->submitted * BATCH + i + 1, (i + n) % DOCS, 1);
        r->submitted++;
        now_ns += KH_NS_PER_S / 10;
        err = send(r, s, &b, &a);
        if (a.done) r->acked = r->submitted;
    }
    free(b.p);
    return err;
}

static uint32_t there_of(const kh_ledger *l, uint64_t batch)
{
    static kh_fin_view view;
    uint32_t there = 0;
    for (uint32_t i = 0; i < BATCH; i++) there += kh_ledger_financing(l, OPS_BANK, batch * BATCH + i + 1, &view);
    return there;
}

static void all_away(scenario *r, kh_store *s)
{
    const kh_ledger *l = kh_store_read_begin(s);
    for (uint64_t n = r->away; n < r->away_end; n++)
        if (there_of(l, n) != 0) wrong(r, "what was ordered away is there", "", "");
    kh_store_read_end(s);
}

static kh_err checkpoint_write(void *ctx, const void *p, size_t n)
{
    (void)ctx;
    if (sizeof checkpoint - checkpoint_sz < n) return KH_E_NOSPACE;
    memcpy(checkpoint + checkpoint_sz, p, n);
    checkpoint_sz += n;
    return KH_OK;
}

static kh_err checkpoint_read(void *ctx, void *p, size_t n, size_t *ret_n)
{
    (void)ctx;
    *ret_n = kh_min64(n, checkpoint_sz - checkpoint_at);
    memcpy(p, checkpoint + checkpoint_at, *ret_n);
    checkpoint_at += *ret_n;
    return KH_OK;
}

static kh_err make(scenario *r, kh_store_report *report)
{
    kh_checkpoint c;
    const kh_checkpoint_source from = {checkpoint_read, NULL};
    if (checkpoint_sz == 0) return kh_store_create(&r->options, DIR, NULL, report);
    checkpoint_at = 0;
    kh_err err = kh_store_begin(&r->options, DIR, NULL, &from, NULL, NULL, &c, report);
    if (err != KH_OK) return err;
    r->documents = true;
    r->submitted = r->acked = BEGUN_BATCHES;
    return KH_OK;
}

/* The program under test; ends at the first error. */
static void run(scenario *r)
{
    kh_store_report report;
    kh_store *s;
    uint64_t height;
    if (make(r, &report) != KH_OK) return;
    r->created = true;
    for (int round = 0; round < 3; round++) {
        kh_err err = kh_store_open(&r->options, DIR, &report, &s);
        if (err != KH_OK) return;
        if (r->is_away) all_away(r, s);
        uint64_t number = kh_store_durable_upto(s), first = r->submitted;
        if (!r->documents) {
            ops_buf b = {0};
            answer a;
            ops_parties(&b);
            for (uint32_t i = 0; i < DOCS; i++) ops_declaration(&b, i, 1000000);
            err = send(r, s, &b, &a);
            r->documents = a.done;
            free(b.p);
        }
        if (err == KH_OK) err = reserves(r, s, 4);
        if (err == KH_OK && round < 2) err = kh_store_snapshot(s, &height);
        if (err == KH_OK) err = reserves(r, s, 2);
        static kh_fin_view view; /* whatever happened, what is applied can be read */
        uint64_t last = r->is_away && r->acked == r->away_end ? r->away : r->acked;
        if (last != 0 && !kh_ledger_financing(kh_store_read_begin(s), OPS_BANK, last * BATCH, &view))
            wrong(r, "the state is not readable", "", "");
        if (last != 0) kh_store_read_end(s);
        if (err == KH_OK && round == 1) {
            r->away = first;
            r->away_end = r->submitted;
            err = kh_store_go_back(s, number);
            r->is_away = err == KH_OK;
        }
        kh_store_close(s);
        if (err != KH_OK) return;
    }
}

static void recover_and_check(scenario *r)
{
    kh_store_report report = {0};
    kh_audit_result audit;
    kh_store *s;
    kh_err err = kh_store_open(&r->options, DIR, &report, &s);
    if (err != KH_OK && !r->created) return; /* the power went before init was done */
    if (err != KH_OK) {
        wrong(r, "cannot be opened", report.where, report.why);
        return;
    }
    const kh_ledger *l = kh_store_read_begin(s);
    bool ordered = r->away_end != 0, gone = ordered && there_of(l, r->away) == 0;
    if (r->is_away && !gone) wrong(r, "what was ordered away is there", "", "");
    for (uint64_t n = 0; n < r->submitted; n++) {
        uint32_t there = there_of(l, n);
        bool away = ordered && n >= r->away && n < r->away_end;
        if (away && (there == 0) != gone) wrong(r, "a part of what was ordered away is there", "", "");
        if (there != BATCH && n < r->acked && !away) wrong(r, "an acknowledged reserve is lost", "", "");
        if (there != 0 && there != BATCH) wrong(r, "a batch is half there", "", "");
    }
    const char *broken = kh_ledger_verify_invariants(l);
    if (broken != NULL) wrong(r, "the invariants are broken", "", broken);
    kh_store_read_end(s);
    if (r->documents && r->wrong == NULL && reserves(r, s, 1) != KH_OK) wrong(r, "cannot be written on", "", "");
    kh_store_close(s);
    if (r->wrong != NULL) return;
    err = kh_store_audit(&r->options, DIR, NULL, NULL, &audit);
    if (err != KH_OK || !audit.ok) wrong(r, "the audit found damage", audit.at, audit.why);
}

static void start(scenario *r, uint64_t seed, uint64_t k, bool lie)
{
    memset(r, 0, sizeof *r);
    now_ns = START_NS;
    r->seed = seed;
    r->k = k;
    r->sd = sim_disk_new(seed * 1000003 + k);
    r->disk = sim_disk_table(r->sd);
    r->clock = (kh_clock){sim_now, sim_now, &now_ns};
    r->entropy = (kh_entropy){sim_fill, NULL};
    r->options = (kh_store_options){
        .clock = &r->clock, .disk = &r->disk, .entropy = &r->entropy, .inline_engine = true, .private_disk = true};
    sim_disk_lie(r->sd, lie);
}

static void finish(scenario *r, const char *what)
{
    sim_disk_free(r->sd);
    if (r->wrong == NULL) {
        passed++;
        return;
    }
    failed++;
    printf("# failed: %s (%s); repeat: sim_store%s --seed %llu %s %llu\n", r->wrong, r->detail,
           checkpoint_sz != 0 ? " --begun" : "", (unsigned long long)r->seed, what, (unsigned long long)r->k);
}

static uint64_t calls_of_a_run(uint64_t seed)
{
    scenario r;
    start(&r, seed, 0, false);
    run(&r);
    uint64_t n = sim_disk_calls(r.sd);
    recover_and_check(&r);
    finish(&r, "--cut");
    return n;
}

static void cut_round(uint64_t seed, uint64_t k, bool lie)
{
    scenario r;
    kh_store_report report;
    kh_store *s;
    start(&r, seed, k, lie);
    sim_disk_cut_after(r.sd, k);
    run(&r);
    sim_disk_restart(r.sd);
    if (sim_disk_random(r.sd) % 2 == 0) {
        sim_disk_cut_after(r.sd, sim_disk_random(r.sd) % 12);
        if (kh_store_open(&r.options, DIR, &report, &s) == KH_OK) kh_store_close(s);
        sim_disk_restart(r.sd);
    }
    recover_and_check(&r);
    finish(&r, "--cut");
}

static void fault_round(uint64_t seed, uint64_t k)
{
    scenario r;
    start(&r, seed, k, false);
    sim_disk_fail_after(r.sd, k, k % 2 == 0 ? KH_E_IO : KH_E_NOSPACE, k % 3 == 0);
    run(&r);
    sim_disk_restart(r.sd);
    recover_and_check(&r);
    finish(&r, "--fault");
}

/* The checkpoint that directories are begun from, of one on another disk. */
static void prepare(uint64_t seed)
{
    scenario r;
    kh_store_report report;
    kh_store *s;
    kh_checkpoint c;
    ops_buf b = {0};
    answer a;
    const kh_checkpoint_sink to = {checkpoint_write, NULL};
    start(&r, seed, 0, false);
    if (kh_store_create(&r.options, DIR, NULL, &report) != KH_OK || kh_store_open(&r.options, DIR, &report, &s) != KH_OK) abort();
    ops_parties(&b);
    for (uint32_t i = 0; i < DOCS; i++) ops_declaration(&b, i, 1000000);
    if (send(&r, s, &b, &a) != KH_OK || reserves(&r, s, BEGUN_BATCHES) != KH_OK) abort();
    if (kh_store_export(s, 0, &to, &c) != KH_OK) abort();
    kh_store_close(s);
    free(b.p);
    finish(&r, "--begun");
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, only = UINT64_MAX, only_fault = UINT64_MAX, every = 1;
    bool lie = false, begun = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lie") == 0) lie = true;
        else if (strcmp(argv[i], "--begun") == 0) begun = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--cut") == 0 && i + 1 < argc) only = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--fault") == 0 && i + 1 < argc) only_fault = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--every") == 0 && i + 1 < argc) every = kh_max64(1, strtoull(argv[++i], NULL, 0));
        else return fprintf(stderr, "usage: sim_store [--begun] [--lie] [--seed N] [--every N | --cut K | --fault K]\n"), 2;
    }
    printf("# seed %llu\n", (unsigned long long)seed);
    if (begun) prepare(seed);
    uint64_t calls = calls_of_a_run(seed);
    if (only != UINT64_MAX) cut_round(seed, only, lie);
    else if (only_fault != UINT64_MAX) fault_round(seed, only_fault);
    else
        for (uint64_t k = 0; k <= calls; k += every) {
            cut_round(seed, k, lie);
            if (!lie) fault_round(seed, k);
        }
    printf("sim_store: %llu disk calls a run, %llu passed, %llu failed\n", (unsigned long long)calls, (unsigned long long)passed,
           (unsigned long long)failed);
    /* A disk that lies must be noticed. */
    return lie ? failed == 0 : failed != 0;
}
