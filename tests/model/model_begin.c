/* model_begin: random operations executed by a store and by a descendant of it, which was made from a checkpoint at some entry
 * under another secret, and by that one's descendant in its place later: every outcome, the outcome chain, every checkpoint, the
 * journals and the audits must be the same bytes. On the simulated disk; opened again, and given images, in between.
 *
 *   model_begin [OPERATIONS [SEED]]      a difference prints the line that runs it again; the exit status is 1. */
#include "../sim/sim_disk.h"
#include "generate.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>

enum { ENTRY_OPS_MAX = 12 };

typedef struct side { /* a store on a disk of its own, and what it said of this entry */
    sim_disk *sd;
    kh_disk disk;
    char dir[16];
    kh_store *s;
    kh_store_options options;
    kh_entropy entropy;
    uint64_t secret;
    uint64_t said, outcomes;
    uint8_t chain[32];
} side;

typedef struct bytes {
    uint8_t *p;
    size_t n, cap, at;
} bytes;

static uint64_t now_ns = UINT64_C(1796000000) * KH_NS_PER_S, seed, entries, descendants;
static const char *wrong;
static char detail[512];

static void differ(const char *what, const char *where, const char *why)
{
    if (wrong != NULL) return;
    wrong = what;
    (void)snprintf(detail, sizeof detail, "%s %s", where, why);
}

static uint64_t clock_now(void *self) { return *(uint64_t *)self; }
static kh_err fill(void *self, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)(++*(uint64_t *)self * 37);
    return KH_OK;
}

static void take(void *ctx, uint64_t number, const kh_outcome *o, const uint8_t chain[32])
{
    side *x = ctx;
    if (o == NULL) {
        x->outcomes += number != 0;
        memcpy(x->chain, chain, 32);
        return;
    }
    uint64_t d = x->said * 31 + kh_xxh3(o->bytes, o->bytes_sz) + o->index + o->op_index + number;
    static uint8_t again[KH_RECEIPT_MAX_SZ];
    if (!o->is_notice) d = d * 31 + kh_xxh3(again, kh_receipt_encode(o->receipt, again)); /* as filled in from the journal */
    for (uint32_t i = 0; i < o->touch_cnt; i++) {
        const kh_touch *t = &o->touches[i];
        d = d * 31 + kh_xxh3(t->key.b, sizeof t->key.b) + t->what;
        d = d * 31 + (t->prev.height << 24 | t->prev.index);
    }
    x->said = d;
}

static kh_err submit_nothing(void *self, const kh_store_batch *batch, bool may_wait, uint64_t *ret_ticket)
{
    (void)self, (void)batch, (void)may_wait, (void)ret_ticket;
    return KH_E_CLOSED;
}

static kh_err wait_for_nothing(void *self, uint64_t ticket)
{
    (void)self, (void)ticket;
    return KH_E_CLOSED;
}

static const kh_store_driver driver = {.submit = submit_nothing, .wait = wait_for_nothing}; /* entries are executed alone */

static void up(side *x)
{
    kh_store_report report = {0};
    if (kh_store_open(&x->options, x->dir, &report, &x->s) != KH_OK) differ("cannot be opened", report.where, report.why);
    else kh_store_drive(x->s, &driver);
}

static void down(side *x)
{
    kh_store_close(x->s);
    x->s = NULL;
}

static kh_err bytes_write(void *ctx, const void *p, size_t n)
{
    bytes *b = ctx;
    if (b->cap - b->n < n) b->p = realloc(b->p, b->cap = 2 * (b->n + n));
    if (b->p == NULL) abort();
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return KH_OK;
}

static kh_err bytes_read(void *ctx, void *p, size_t n, size_t *ret_n)
{
    bytes *b = ctx;
    *ret_n = kh_min64(n, b->n - b->at);
    memcpy(p, b->p + b->at, *ret_n);
    b->at += *ret_n;
    return KH_OK;
}

static void checkpoint_of(side *x, bytes *b)
{
    kh_checkpoint c;
    const kh_checkpoint_sink to = {bytes_write, b};
    b->n = b->at = 0;
    if (kh_store_export(x->s, 0, &to, &c) != KH_OK) differ("no checkpoint", x->dir, "");
}

static void whole_file(const side *x, const char *name, bytes *b)
{
    const kh_disk *d = &x->disk;
    char path[64];
    kh_file *f;
    uint64_t size = 0;
    (void)snprintf(path, sizeof path, "%s/%s", x->dir, name);
    b->n = 0;
    if (d->open(d->self, path, KH_OPEN_READ, &f) != KH_OK) return;
    if (d->size(d->self, f, &size) != KH_OK) size = 0;
    if (b->cap < size) b->p = realloc(b->p, b->cap = size);
    if (b->p == NULL || d->read(d->self, f, 0, b->p, size, &b->n) != KH_OK) abort();
    d->close(d->self, f);
}

/* Both closed: the audits, and the journals byte by byte. */
static void compare_closed(const side *a, const side *b)
{
    static const char *const files[] = {"journal/blocks", "journal/table"};
    kh_audit_result x = {0}, y = {0};
    if (kh_store_audit(&a->options, a->dir, NULL, NULL, &x) != KH_OK || !x.ok) differ("the audit found damage", x.at, x.why);
    if (kh_store_audit(&b->options, b->dir, NULL, NULL, &y) != KH_OK || !y.ok) differ("the audit found damage", y.at, y.why);
    if (x.height != y.height || memcmp(x.log_digest, y.log_digest, 32) != 0 || memcmp(x.digest, y.digest, 32) != 0 ||
        memcmp(x.content_digest, y.content_digest, 32) != 0 || memcmp(x.checkpoint_digest, y.checkpoint_digest, 32) != 0)
        differ("the audits differ", b->dir, "");
    bytes p = {0}, q = {0};
    for (int i = 0; i < 2; i++) {
        whole_file(a, files[i], &p);
        whole_file(b, files[i], &q);
        if (p.n == 0 || p.n != q.n || memcmp(p.p, q.p, p.n) != 0) differ("the journals differ", b->dir, files[i]);
    }
    free(p.p);
    free(q.p);
}

/* A new descendant in the place of the old one, of which it is made where there is one, else of the first. */
static void descend(side *a, side *b, bytes *of_first, bytes *of_other)
{
    kh_store_report report = {0};
    kh_checkpoint c;
    checkpoint_of(a, of_first);
    if (b->s != NULL) {
        checkpoint_of(b, of_other);
        if (of_other->n != of_first->n || memcmp(of_other->p, of_first->p, of_first->n) != 0)
            differ("the checkpoints differ", b->dir, "");
        down(a);
        down(b);
        compare_closed(a, b);
        up(a);
    }
    b->secret = ++descendants * 1000;
    (void)snprintf(b->dir, sizeof b->dir, "b%llu", (unsigned long long)descendants);
    const kh_checkpoint_source from = {bytes_read, of_first};
    if (kh_store_begin(&b->options, b->dir, NULL, &from, NULL, NULL, &c, &report) != KH_OK)
        differ("cannot be begun", report.where, report.why);
    else up(b);
}

/* What the generator aims at: documents that are there, and financings that are open. */
static void aim(generator *g, side *a)
{
    static kh_fin_view f;
    static kh_doc_view doc;
    const kh_ledger *l = kh_store_read_begin(a->s);
    for (uint32_t i = 0; i < WORLD_DOCS; i++) {
        kh_key key = generator_doc_key(i);
        g->stored[i] = kh_ledger_document(l, &key, 0, &doc);
    }
    g->target_cnt = 0;
    for (uint64_t cursor = 0; kh_ledger_financing_next(l, &cursor, &f);) {
        if (f.line_cnt > 8 || (f.state != KH_FIN_APPLIED && f.state != KH_FIN_ACCEPTED && f.state != KH_FIN_APPROVED &&
                               f.state != KH_FIN_DISBURSED))
            continue;
        target *t = &g->targets[g->target_cnt++ % TARGETS];
        *t = (target){.bank = f.bank, .version = f.version, .id = f.id, .state = (uint8_t)f.state, .line_cnt = f.line_cnt};
        for (uint32_t i = 0; i < f.line_cnt; i++)
            t->lines[i] = (kh_op_line){.key = f.lines[i].key,
                                       .currency = f.lines[i].currency,
                                       .allocated = f.lines[i].allocated,
                                       .total = KH_AMOUNT_NONE};
    }
    if (g->target_cnt > TARGETS) g->target_cnt = TARGETS;
    kh_store_read_end(a->s);
}

static kh_err execute(side *x, const uint8_t *ops, size_t n, uint32_t cnt)
{
    x->said = x->outcomes = 0;
    const kh_store_execution e = {.time_ns = now_ns, .ops = ops, .ops_sz = n, .op_cnt = cnt, .outcome = take, .ctx = x};
    return kh_store_execute(x->s, &e);
}

static uint32_t run_entry(generator *g, side *a, side *b)
{
    static uint8_t ops[ENTRY_OPS_MAX * 4096 + 64];
    uint32_t cnt = 1 + (uint32_t)generator_random(g, ENTRY_OPS_MAX);
    size_t n = 0, size = 0;
    bool blocks = entries >= 40; /* from then on a cluster's heights */
    kh_op block = {.type = KH_OP_BLOCK, .block = {.height = 2 * entries}};
    if (blocks && kh_op_encode(&block, ops, sizeof ops, &n) != KH_OK) abort();
    for (uint32_t i = 0; i < cnt; i++) {
        do size = generator_next(g, ops + n);
        while (size < 24 || size % 8 != 0 || kh_load32(ops + n) != size); /* the store takes whole frames */
        n += size;
    }
    now_ns += generator_step_ns(g);
    kh_err err = execute(a, ops, n, cnt + blocks);
    if (err != KH_OK || a->outcomes != 1) differ("cannot be executed", a->dir, "");
    if (b->s == NULL || wrong != NULL) return cnt;
    if (execute(b, ops, n, cnt + blocks) != KH_OK || b->outcomes != 1 || a->said != b->said ||
        memcmp(a->chain, b->chain, 32) != 0)
        differ("a descendant answers otherwise", b->dir, "");
    if (kh_store_last_block(a->s) != kh_store_last_block(b->s)) differ("a descendant knows other heights", b->dir, "");
    return cnt;
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : 4000, done = 0, height;
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    kh_clock clock = {clock_now, clock_now, &now_ns};
    side a = {.dir = "a", .secret = seed}, b = {.s = NULL};
    for (int i = 0; i < 2; i++) {
        side *x = i == 0 ? &a : &b;
        x->sd = sim_disk_new(seed + i);
        x->disk = sim_disk_table(x->sd);
        x->entropy = (kh_entropy){fill, &x->secret};
        x->options = (kh_store_options){.clock = &clock,
                                        .disk = &x->disk,
                                        .entropy = &x->entropy,
                                        .inline_engine = true,
                                        .driven = true,
                                        .accept_time = true,
                                        .private_disk = true};
    }
    static generator g;
    generator_init(&g, seed);
    bytes one = {0}, two = {0};
    kh_store_report report = {0};
    if (kh_store_create(&a.options, a.dir, NULL, &report) != KH_OK) differ("cannot be made", report.where, report.why);
    else up(&a);
    while (wrong == NULL && done < operations) {
        done += run_entry(&g, &a, &b);
        entries++;
        if (wrong == NULL) aim(&g, &a);
        if (wrong == NULL && entries % 61 == 3) descend(&a, &b, &one, &two);
        if (wrong == NULL && entries % 19 == 7 && b.s != NULL && kh_store_snapshot(b.s, &height) != KH_OK)
            differ("no image", b.dir, "");
        if (wrong == NULL && entries % 23 == 11 && b.s != NULL) down(&b), up(&b);
    }
    if (wrong == NULL) {
        down(&a);
        down(&b);
        compare_closed(&a, &b);
    }
    printf("model_begin: %llu operations in %llu entries, %llu descendants\n", (unsigned long long)done,
           (unsigned long long)entries, (unsigned long long)descendants);
    if (wrong != NULL)
        printf("%s: %s\n  again: model_begin %llu %llu\n", wrong, detail, (unsigned long long)operations,
               (unsigned long long)seed);
    kh_store_close(a.s);
    kh_store_close(b.s);
    free(one.p);
    free(two.p);
    sim_disk_free(a.sd);
    sim_disk_free(b.sd);
    return wrong != NULL;
}
