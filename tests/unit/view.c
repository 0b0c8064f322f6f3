/* Unit tests of the view: with a node of the test's own (view_2.c): what is taken, what is not and whom that names, answers, the
 * disk and what a restart in the middle finds, packages out of order. */
#include "attest/attest.h"
#include "crypto/digest.h"
#include "host/host.h"
#include "view_fake.h"
#include "cluster/view.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BANK = 11, OTHER = 12, HUB = 21, HUB2 = 22 };
static const uint32_t parties[2] = {BANK, OTHER};
static uint8_t chain[32], secret[32], disk_secret[32];
static kh_disk disk;
static kh_entropy entropy;
static char dir[64];
static kh_view *v;
static kh_suite suite = KH_SUITE_INTL;
static uint64_t snapshot_sz;

typedef struct given { /* to one submission */
    uint64_t height, time_ns;
    uint32_t cnt, done, lost;
    uint64_t financings[64];
    kh_code codes[64];
} given;
static void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    given *g = ctx;
    if (op_index == UINT32_MAX) {
        g->done++;
        g->lost += height == 0;
        return;
    }
    cr_assert_eq(op_index, g->cnt);
    g->height = height;
    g->time_ns = time_ns;
    g->codes[g->cnt] = receipt->code;
    g->financings[g->cnt++] = receipt->financing;
}

static struct {
    char word[32];
    uint32_t member;
    uint64_t height;
} alerts[64];
static uint32_t alert_cnt, sent_cnt, sent_to[256];
static uint64_t sent_above[256];
static void on_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    (void)ctx;
    snprintf(alerts[alert_cnt].word, sizeof alerts[0].word, "%s", word);
    alerts[alert_cnt].member = member;
    alerts[alert_cnt++].height = height;
}
static void on_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx;
    cr_assert_eq(type, KH_MSG_OUTPUTS_FROM);
    cr_assert_eq(n, 8);
    sent_above[sent_cnt % 256] = kh_load64(p);
    sent_to[sent_cnt++ % 256] = to;
}

static void open_view(void)
{
    char why[200] = "";
    static int box, node, kept;
    kh_view_options o = {.node = (kh_node *)&node,
                         .kept = (kh_kept *)&kept,
                         .disk = &disk,
                         .entropy = &entropy,
                         .dir = dir,
                         .party = BANK,
                         .suite = suite,
                         .box = (kh_box *)&box,
                         .disk_secret = disk_secret,
                         .inline_work = true,
                         .snapshot_sz = snapshot_sz,
                         .alert = on_alert,
                         .send = on_send};
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &v), KH_OK, "%s", why);
}

static void begin(void)
{
    fake_reset();
    memset(chain, 0x11, 32);
    memset(secret, 0x22, 32);
    memset(disk_secret, 0x33, 32);
    cr_assert_eq(kh_host_disk_open(true, &disk), KH_OK);
    entropy = kh_host_entropy();
    strcpy(dir, "/tmp/kh_view_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    open_view();
}

static void end(void)
{
    char line[200];
    kh_view_close(v);
    snprintf(line, sizeof line, "rm -rf %s", dir);
    cr_assert_eq(system(line), 0);
}

/* ---- the hub ---- */
static uint64_t counts[2];
static uint8_t heads[2][32];
typedef struct made {
    uint8_t *package, *parcel, root[32];
    size_t n, parcel_n;
    uint64_t height;
} made;
static kh_output out;

static kh_output *applied(const uint8_t digest[32], uint32_t index, uint64_t id)
{
    memset(&out, 0, sizeof out);
    out.kind = KH_OUTPUT_RECEIPT;
    memcpy(out.batch, digest, 32);
    out.op_index = index;
    out.receipt = (kh_receipt){.type = KH_OP_APPLY,
                               .state = KH_FIN_APPLIED,
                               .event = KH_EV_APPLY,
                               .party = BANK,
                               .version = 1,
                               .financing = id,
                               .amount = 5000,
                               .currency = 156,
                               .enterprise = 77,
                               .line_cnt = 2};
    strcpy(out.product, "invoice");
    out.paper_cnt = 2;
    for (uint32_t i = 0; i < 2; i++) {
        out.lines[i] = (kh_receipt_line){.currency = 156, .amount = 5000 * (1 - i), .allocated = 5000 * (1 - i)};
        memset(out.lines[i].key.b, (int)(id + i), 16);
        out.papers[i] = (kh_paper_text){.kind = 3, .number_n = 3, .issuer_n = 2};
        memcpy(out.papers[i].number, "N01", 3);
        memcpy(out.papers[i].issuer, "CN", 2);
    }
    return &out;
}

static kh_output *event(const uint8_t digest[32], uint32_t index, uint64_t id, kh_event e, kh_fin_state state, uint32_t version,
                        uint64_t amount, uint64_t moved)
{
    (void)applied(digest, index, id);
    out.receipt.type = KH_OP_EVENT;
    out.receipt.event = (uint8_t)e;
    out.receipt.state = (uint8_t)state;
    out.receipt.version = version;
    out.receipt.amount = amount;
    out.receipt.moved = moved;
    out.receipt.line_cnt = 1;
    out.lines[0].amount = amount - moved;
    out.lines[0].allocated = amount;
    out.paper_cnt = 0;
    return &out;
}

static kh_output *notice(kh_notice_type type, uint64_t id, kh_fin_state state, uint32_t version)
{
    memset(&out, 0, sizeof out);
    out.kind = KH_OUTPUT_NOTICE;
    out.notice = (kh_notice){.type = (uint8_t)type,
                             .state = (uint8_t)state,
                             .party = BANK,
                             .financing = id,
                             .has_financing = 1,
                             .has_key = 1,
                             .currency = 156,
                             .version = version,
                             .amount = 5000,
                             .moved = 5000};
    memset(out.notice.key.b, (int)id, 16);
    out.paper_cnt = 1;
    out.papers[0] = (kh_paper_text){.kind = 3, .number_n = 3};
    memcpy(out.papers[0].number, "N01", 3);
    return &out;
}

static kh_maker *maker;
static void height_begin(uint64_t height)
{
    if (maker == NULL) cr_assert_eq(kh_maker_new(&maker), KH_OK);
    kh_maker_begin(maker, chain, secret, height, parties, counts, (const uint8_t(*)[32])heads, 2);
}
static void put(const kh_output *o) { cr_assert_eq(kh_maker_add(maker, BANK, o), KH_OK); }
static made height_end(uint64_t height, bool keep)
{
    made m = {.height = height};
    cr_assert_eq(kh_maker_end(maker, m.root), KH_OK);
    cr_assert_eq(kh_maker_package(maker, 0, &m.package, &m.n), KH_OK);
    cr_assert_eq(kh_parcel_make(suite, NULL, NULL, chain, BANK, height, m.package, m.n, &m.parcel, &m.parcel_n), KH_OK);
    for (uint32_t i = 0; keep && i < 2; i++) kh_maker_head(maker, i, &counts[i], heads[i]);
    return m;
}

static kh_attestation attestation(const made *m)
{
    kh_attestation a = {.height = m->height, .hub = HUB};
    memset(a.app_hash, (int)m->height, 32);
    memcpy(a.outputs_root, m->root, 32);
    return a;
}
static void attest(const made *m)
{
    kh_attestation a = attestation(m);
    kh_view_attested(v, &a);
}
static void deliver(const made *m, uint32_t hub) { kh_view_outputs(v, hub, m->parcel, m->parcel_n); }

/* ---- the bank's submissions ---- */
static uint32_t ordered_upto;
static uint64_t submit(uint32_t cnt, given *g)
{
    static uint8_t bytes[1 << 16];
    size_t n = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        kh_op_line line = {.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("220120260123456789"), (kh_text){NULL, 0}),
                           .allocated = KH_AMOUNT_NONE,
                           .total = KH_AMOUNT_NONE};
        kh_op op = {.type = KH_OP_APPLY, .party = BANK, .sequence = i};
        op.apply = (kh_op_apply){.id = i, .enterprise = 77, .currency = 156, .amount = 5000, .line_cnt = 1, .lines = &line};
        size_t used;
        cr_assert_eq(kh_op_encode(&op, bytes + n, sizeof bytes - n, &used), KH_OK);
        n += used;
    }
    const kh_store_driver *d = kh_view_driver(v);
    kh_store_batch batch = {.ops = bytes, .ops_sz = n, .op_cnt = cnt, .reply = on_reply, .ctx = g};
    uint64_t ticket = 0;
    memset(g, 0, sizeof *g);
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_OK);
    return ticket;
}

/* order puts all that was submitted since into one batch of this height; tell: the view is told. */
static void order(uint64_t height, uint8_t ret_digest[32], bool tell)
{
    uint64_t tags[64];
    uint32_t cnts[64], n = 0;
    for (; ordered_upto < fake.submitted_cnt; ordered_upto++, n++) {
        tags[n] = fake.submitted[ordered_upto].tag;
        cnts[n] = fake.submitted[ordered_upto].op_cnt;
    }
    memset(ret_digest, (int)(0x70 + height), 32);
    kh_kept_block *b = fake_block(height);
    kh_kept_item *item = &b->items[b->item_cnt++];
    *item = (kh_kept_item){.kind = KH_ITEM_BATCH, .sender = BANK};
    memcpy(item->digest, ret_digest, 32);
    if (tell) kh_view_ordered(v, ret_digest, height, tags, cnts, n);
}

static void forget(made *m)
{
    free(m->package);
    free(m->parcel);
}

/* one grants a financing `id` at a height, all as it should be. */
static made one(uint64_t height, uint64_t id, given *g)
{
    uint8_t digest[32];
    (void)submit(1, g);
    order(height, digest, true);
    height_begin(height);
    put(applied(digest, 0, id));
    made m = height_end(height, true);
    attest(&m);
    deliver(&m, HUB);
    return m;
}

static kh_view_financing seen;
static kh_view_line seen_lines[KH_LINES_MAX];
static void on_found(void *ctx, const kh_view_financing *f)
{
    (void)ctx;
    seen = *f;
    memcpy(seen_lines, f->lines, f->line_cnt * sizeof *f->lines);
}
static bool find(uint64_t id) { return kh_view_find(v, id, on_found, NULL); }

Test(view, answers_when_final)
{
    begin();
    given a, b, c;
    uint8_t digest[32];
    uint64_t last = 0;
    (void)submit(2, &a);
    (void)submit(1, &b);
    order(5, digest, true);
    last = submit(1, &c);
    height_begin(5);
    for (uint32_t i = 0; i < 3; i++) put(applied(digest, i, 100 + i));
    made m = height_end(5, true);
    deliver(&m, HUB);
    cr_assert_eq(a.cnt + b.cnt, 0); /* not attested: not final */
    cr_assert_eq(kh_view_height(v), 0);
    attest(&m);
    cr_assert_eq(a.cnt, 2);
    cr_assert_eq(a.done, 1);
    cr_assert_eq(a.height, 5);
    cr_assert_eq(a.time_ns, 5000);
    cr_assert_eq(a.financings[1], 101);
    cr_assert_eq(b.cnt, 1);
    cr_assert_eq(b.financings[0], 102);
    cr_assert_eq(c.cnt, 0);
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m);
    order(6, digest, true);
    height_begin(6);
    put(applied(digest, 0, 103));
    m = height_end(6, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(c.done, 1);
    const kh_store_driver *d = kh_view_driver(v);
    cr_assert_eq(d->wait(d->self, last), KH_OK);
    cr_assert_eq(alert_cnt, 0);
    forget(&m);
    end();
}

Test(view, financings_follow_their_receipts)
{
    begin();
    given g;
    made m = one(5, 100, &g);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_APPLIED);
    cr_assert_eq(seen.hold_ns, 5000);
    cr_assert_eq(seen.height, 5);
    cr_assert_eq(seen.line_cnt, 1); /* the line that got nothing is none of it */
    cr_assert_eq(seen_lines[0].paper.kind, 3);
    cr_assert_eq(memcmp(seen_lines[0].paper.number, "N01", 3), 0);
    cr_assert_eq(seen_lines[0].line.amount, 5000);
    cr_assert_str_eq(seen.product, "invoice");
    forget(&m);
    static const struct {
        kh_event e;
        kh_fin_state state;
        uint64_t amount, moved;
    } steps[] = {{KH_EV_ACCEPT, KH_FIN_ACCEPTED, 5000, 0},
                 {KH_EV_APPROVE, KH_FIN_APPROVED, 5000, 0},
                 {KH_EV_DISBURSE, KH_FIN_DISBURSED, 5000, 5000},
                 {KH_EV_REPAY, KH_FIN_PART_REPAID, 5000, 2000},
                 {KH_EV_REPAY, KH_FIN_SETTLED, 5000, 3000}};
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t digest[32];
        (void)submit(1, &g);
        order(6 + i, digest, true);
        height_begin(6 + i);
        put(event(digest, 0, 100, steps[i].e, steps[i].state, 2 + i, steps[i].amount, steps[i].moved));
        m = height_end(6 + i, true);
        deliver(&m, HUB);
        attest(&m);
        forget(&m);
        cr_assert(find(100));
        cr_assert_eq(seen.state, steps[i].state);
        cr_assert_eq(seen.version, 2 + i);
        cr_assert_eq(seen.height, 6 + i);
        cr_assert_eq(seen.hold_ns, i == 0 ? 6000 : 0);
        cr_assert_eq(seen.line_cnt, 1);
        cr_assert_eq(memcmp(seen_lines[0].paper.number, "N01", 3), 0); /* an event's receipt does not say it: kept */
    }
    cr_assert_eq(seen.repaid, 5000);
    /* a refused event, and an answer given before, change nothing */
    uint8_t digest[32];
    (void)submit(2, &g);
    order(20, digest, true);
    height_begin(20);
    kh_output *o = event(digest, 0, 100, KH_EV_REVERSE, KH_FIN_REVERSED, 9, 1, 0);
    o->receipt.code = KH_C_BAD_STATE;
    put(o);
    o = event(digest, 1, 100, KH_EV_ACCEPT, KH_FIN_ACCEPTED, 2, 5000, 0);
    o->receipt.ref_height = 6;
    put(o);
    m = height_end(20, true);
    deliver(&m, HUB);
    attest(&m);
    cr_assert_eq(g.done, 1);
    cr_assert_eq(g.codes[0], KH_C_BAD_STATE);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_SETTLED);
    cr_assert(!find(101));
    forget(&m);
    end();
}

static uint32_t told_cnt;
static kh_view_alert told[8];
static bool on_told(void *ctx, const kh_view_alert *a)
{
    (void)ctx;
    told[told_cnt++] = *a;
    return true;
}

Test(view, notices_change_and_alert)
{
    begin();
    given g;
    made m = one(5, 100, &g), n = one(6, 101, &g);
    fake_block(7);
    height_begin(7);
    put(notice(KH_NOTICE_LAPSED, 100, KH_FIN_LAPSED, 2));
    put(notice(KH_NOTICE_LINE_CANCELLED, 101, KH_FIN_LAPSED, 2));
    put(notice(KH_NOTICE_LINKED, 101, 0, 0)); /* history: no alert */
    made l = height_end(7, true);
    deliver(&l, HUB);
    attest(&l);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_LAPSED);
    cr_assert_eq(seen.hold_ns, 0);
    cr_assert_eq(seen_lines[0].line.amount, 0);
    cr_assert_eq(seen_lines[0].line.allocated, 5000);
    cr_assert(find(101));
    cr_assert_eq(seen_lines[0].line.allocated, 0);
    kh_view_alerts(v, 0, on_told, NULL);
    cr_assert_eq(told_cnt, 2);
    cr_assert_eq(told[0].number, 3);
    cr_assert_eq(told[0].height, 7);
    cr_assert_eq(told[0].time_ns, 7000);
    cr_assert_eq(told[1].notice.type, KH_NOTICE_LINE_CANCELLED);
    cr_assert_eq(memcmp(told[1].paper.number, "N01", 3), 0);
    told_cnt = 0;
    kh_view_alerts(v, 3, on_told, NULL);
    cr_assert_eq(told_cnt, 1);
    forget(&m), forget(&n), forget(&l);
    end();
}

/* ---- hubs that lie ---- */

static void expect_alert(const char *word, uint32_t hub, uint64_t height)
{
    cr_assert_eq(alert_cnt, 1, "%u alerts", alert_cnt);
    cr_assert_str_eq(alerts[0].word, word);
    cr_assert_eq(alerts[0].member, hub);
    cr_assert_eq(alerts[0].height, height);
    alert_cnt = 0;
}

Test(view, an_altered_package_is_not_taken)
{
    begin();
    fake.hub_cnt = 2;
    fake.hubs[1] = HUB2;
    given g;
    uint8_t digest[32];
    (void)submit(1, &g);
    order(5, digest, true);
    height_begin(5);
    kh_output *o = applied(digest, 0, 100);
    o->receipt.amount = 9999; /* what the lying hub says */
    o->lines[0].amount = 9999;
    put(o);
    made lie = height_end(5, false);
    height_begin(5);
    put(applied(digest, 0, 100));
    made truth = height_end(5, true);
    attest(&truth);
    kh_view_tick(v); /* the first tells all hubs where this view stands */
    sent_cnt = 0;
    deliver(&lie, HUB);
    expect_alert("DIFFERING_OUTPUTS", HUB, 5);
    cr_assert_eq(kh_view_height(v), 0);
    cr_assert(!find(100));
    cr_assert_eq(g.done, 0);
    kh_view_tick(v);
    cr_assert_eq(sent_cnt, 1);
    cr_assert_eq(sent_to[0], HUB2); /* another is asked */
    deliver(&truth, HUB2);
    cr_assert_eq(g.done, 1);
    cr_assert(find(100));
    cr_assert_eq(seen.amount, 5000);
    /* bytes changed on the way: not even a package */
    made next = one(6, 101, &g);
    next.parcel[next.parcel_n / 2] ^= 1;
    deliver(&next, HUB);
    cr_assert_eq(alert_cnt, 1);
    cr_assert_str_eq(alerts[0].word, "BAD_PACKAGE");
    forget(&lie), forget(&truth), forget(&next);
    end();
}

/* It comes before its statement: held, and judged when that comes. */
Test(view, an_early_lie_is_found_out)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(1, &g);
    order(5, digest, true);
    height_begin(5);
    put(applied(digest, 0, 999));
    made lie = height_end(5, false);
    height_begin(5);
    put(applied(digest, 0, 100));
    made truth = height_end(5, true);
    deliver(&lie, HUB);
    deliver(&truth, HUB2);
    cr_assert_eq(alert_cnt, 0);
    attest(&truth);
    expect_alert("DIFFERING_OUTPUTS", HUB, 5);
    cr_assert_eq(g.financings[0], 100);
    cr_assert(!find(999));
    forget(&lie), forget(&truth);
    end();
}

Test(view, a_missing_receipt_names_the_hub)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(3, &g);
    order(5, digest, true);
    for (uint32_t left_out = 0; left_out < 5; left_out++) { /* any of the three; all; one in the place of another */
        height_begin(5);
        for (uint32_t i = 0; i < 3; i++)
            if (left_out != 3 && i != left_out) put(applied(digest, left_out == 4 && i == 2 ? 1 : i, 100 + i));
        made lie = height_end(5, false);
        kh_attestation a = attestation(&lie); /* the only hub: its lie is what was attested */
        kh_view_close(v);
        memset(&g, 0, sizeof g);
        open_view();
        ordered_upto = fake.submitted_cnt;
        (void)submit(3, &g);
        fake_block(5)->item_cnt = 0;
        order(5, digest, true);
        kh_view_attested(v, &a);
        deliver(&lie, HUB);
        expect_alert("MISSING_RECEIPT", HUB, 5);
        cr_assert_eq(kh_view_height(v), 0);
        cr_assert(!find(100) && !find(101) && !find(102));
        cr_assert_eq(g.cnt, 0);
        forget(&lie);
    }
    /* a batch of which nothing is said: also where the submissions are not known any more */
    kh_view_close(v);
    open_view();
    height_begin(5);
    made lie = height_end(5, false);
    attest(&lie);
    deliver(&lie, HUB);
    expect_alert("MISSING_RECEIPT", HUB, 5);
    forget(&lie);
    /* and a height that was ordered in between and passed over */
    height_begin(7);
    fake_block(7);
    lie = height_end(7, false);
    attest(&lie);
    deliver(&lie, HUB);
    expect_alert("MISSING_RECEIPT", HUB, 7);
    forget(&lie);
    height_begin(7); /* nor told of another height than it was ordered at */
    for (uint32_t i = 0; i < 3; i++) put(applied(digest, i, 100 + i));
    lie = height_end(7, false);
    kh_view_close(v);
    open_view();
    attest(&lie);
    deliver(&lie, HUB);
    expect_alert("MISSING_RECEIPT", HUB, 7);
    forget(&lie);
    end();
}

Test(view, another_app_hash_is_not_taken)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(1, &g);
    order(5, digest, true);
    height_begin(5);
    put(applied(digest, 0, 100));
    made m = height_end(5, true);
    kh_attestation a = attestation(&m);
    a.app_hash[0] ^= 1;
    kh_view_attested(v, &a);
    deliver(&m, HUB);
    expect_alert("DIFFERING_APP_HASH", HUB, 5);
    cr_assert_eq(kh_view_height(v), 0);
    forget(&m);
    end();
}

/* The hubs are ahead of this node: it waits for its own block. */
Test(view, waits_for_its_own_block)
{
    begin();
    fake_block(3);
    height_begin(5);
    made m = height_end(5, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(kh_view_height(v), 0);
    cr_assert_eq(alert_cnt, 0);
    fake_block(5);
    kh_view_tick(v);
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m);
    end();
}

Test(view, a_gap_is_waited_for_then_named)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(1, &g);
    order(5, digest, true);
    height_begin(5);
    put(applied(digest, 0, 100));
    made first = height_end(5, true);
    fake_block(6);
    height_begin(6);
    put(notice(KH_NOTICE_LAPSED, 100, KH_FIN_LAPSED, 2));
    made second = height_end(6, true);
    attest(&first);
    attest(&second);
    deliver(&second, HUB);
    cr_assert_eq(kh_view_height(v), 0);
    for (uint32_t i = 0; i < 10; i++) kh_view_tick(v);
    cr_assert_eq(alert_cnt, 0);
    cr_assert(sent_cnt > 1);
    for (uint32_t i = 0; i < 20; i++) kh_view_tick(v);
    expect_alert("WITHHELD_OUTPUTS", HUB, 6);
    deliver(&second, HUB);
    deliver(&first, HUB); /* what lacked: both are taken, in order */
    cr_assert_eq(kh_view_height(v), 6);
    cr_assert(find(100));
    cr_assert_eq(seen.state, KH_FIN_LAPSED);
    forget(&first), forget(&second);
    end();
}

/* Two attested stories that do not go together. */
Test(view, a_broken_chain_is_not_taken)
{
    begin();
    given g;
    made m = one(5, 100, &g);
    heads[0][3] ^= 1;
    fake_block(6);
    height_begin(6);
    put(notice(KH_NOTICE_LAPSED, 100, KH_FIN_LAPSED, 2));
    made n = height_end(6, false);
    attest(&n);
    deliver(&n, HUB);
    expect_alert("BROKEN_CHAIN", HUB, 6);
    heads[0][3] ^= 1;
    counts[0] = 0;
    height_begin(6);
    made o = height_end(6, false);
    kh_attestation a = attestation(&o);
    fake.held[fake.held_cnt++] = a;
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m), forget(&n), forget(&o);
    end();
}

Test(view, out_of_order_and_again)
{
    begin();
    given g[8];
    uint8_t digest[32];
    made m[8];
    for (uint32_t i = 0; i < 8; i++) {
        (void)submit(1, &g[i]);
        order(10 + i, digest, true);
        height_begin(10 + i);
        put(applied(digest, 0, 100 + i));
        m[i] = height_end(10 + i, true);
        attest(&m[i]);
    }
    static const uint32_t way[] = {3, 3, 1, 7, 0, 5, 0, 2, 6, 4, 1};
    for (uint32_t i = 0; i < sizeof way / sizeof way[0]; i++) deliver(&m[way[i]], i % 2 == 0 ? HUB : HUB2);
    cr_assert_eq(kh_view_height(v), 17);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(g[i].done, 1);
        cr_assert_eq(g[i].height, 10 + i);
        cr_assert(find(100 + i));
        forget(&m[i]);
    }
    cr_assert_eq(alert_cnt, 0);
    end();
}

/* What is attested but did not reach this view in time: the node has it. */
Test(view, statements_come_from_the_node)
{
    begin();
    fake_block(5);
    height_begin(5);
    made m = height_end(5, true);
    fake.held[fake.held_cnt++] = attestation(&m);
    deliver(&m, HUB);
    cr_assert_eq(kh_view_height(v), 0);
    kh_view_tick(v);
    cr_assert_eq(kh_view_height(v), 5);
    forget(&m);
    end();
}

Test(view, told_late_that_it_was_ordered)
{
    begin();
    given g;
    uint8_t digest[32];
    (void)submit(2, &g);
    order(5, digest, false);
    height_begin(5);
    put(applied(digest, 0, 100));
    put(applied(digest, 1, 101));
    made m = height_end(5, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(kh_view_height(v), 5);
    cr_assert_eq(g.done, 0);
    kh_view_ordered(v, digest, 5, &fake.submitted[0].tag, &fake.submitted[0].op_cnt, 1);
    cr_assert_eq(g.done, 1);
    cr_assert_eq(g.cnt, 2);
    forget(&m);
    end();
}

Test(view, an_unopenable_batch_answers_all)
{
    begin();
    given a, b;
    uint8_t digest[32];
    (void)submit(3, &a);
    (void)submit(1, &b);
    order(5, digest, true);
    height_begin(5);
    memset(&out, 0, sizeof out);
    out.kind = KH_OUTPUT_RECEIPT;
    memcpy(out.batch, digest, 32);
    out.receipt = (kh_receipt){.type = KH_OP_REFUSED, .code = KH_C_UNOPENABLE, .party = BANK};
    put(&out);
    made m = height_end(5, true);
    attest(&m);
    deliver(&m, HUB);
    cr_assert_eq(a.cnt, 3);
    cr_assert_eq(a.codes[2], KH_C_UNOPENABLE);
    cr_assert_eq(a.done, 1);
    cr_assert_eq(b.done, 1);
    cr_assert_eq(alert_cnt, 0);
    forget(&m);
    end();
}

Test(view, a_full_node_and_others_operations)
{
    begin();
    given g;
    uint8_t bytes[256];
    size_t n;
    kh_op_line line = {.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("220120260123456789"), (kh_text){NULL, 0}),
                       .allocated = KH_AMOUNT_NONE,
                       .total = KH_AMOUNT_NONE};
    kh_op op = {.type = KH_OP_APPLY, .party = OTHER};
    op.apply = (kh_op_apply){.currency = 156, .amount = 1, .line_cnt = 1, .lines = &line};
    cr_assert_eq(kh_op_encode(&op, bytes, sizeof bytes, &n), KH_OK);
    const kh_store_driver *d = kh_view_driver(v);
    kh_store_batch batch = {.ops = bytes, .ops_sz = n, .op_cnt = 1, .reply = on_reply, .ctx = &g};
    uint64_t ticket;
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_E_ARG); /* another's */
    kh_store32(bytes + 8, BANK);
    batch.op_cnt = 2;
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_E_ARG); /* not so many */
    batch.op_cnt = 1;
    fake.node_full = true;
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_E_AGAIN);
    fake.node_full = false;
    memset(&g, 0, sizeof g);
    cr_assert_eq(d->submit(d->self, &batch, false, &ticket), KH_OK);
    kh_view_close(v); /* nothing is known of it */
    cr_assert_eq(g.lost, 1);
    open_view();
    end();
}

/* ---- the disk ---- */

static uint32_t each_cnt;
static uint64_t each_ids[4096];
static bool on_each(void *ctx, const kh_view_financing *f)
{
    each_ids[each_cnt++] = f->id;
    return ctx == NULL || each_cnt < *(uint32_t *)ctx;
}

static uint64_t state_sum(void) /* of all that can be asked */
{
    uint64_t sum = kh_view_height(v);
    each_cnt = told_cnt = 0;
    kh_view_each(v, true, 0, on_each, NULL);
    for (uint32_t i = 0; i < each_cnt; i++) {
        cr_assert(find(each_ids[i]));
        seen.lines = NULL;
        uint64_t parts[] = {seen.id,
                            seen.amount,
                            seen.repaid,
                            seen.height,
                            seen.hold_ns,
                            seen.enterprise,
                            seen.version,
                            seen.line_cnt,
                            seen.currency,
                            seen.state,
                            kh_xxh3(seen.product, strlen(seen.product)),
                            kh_xxh3(seen_lines[0].paper.number, seen_lines[0].paper.number_n),
                            seen_lines[0].line.amount};
        sum = sum * 31 + kh_xxh3(parts, sizeof parts);
    }
    kh_view_alerts(v, 0, on_told, NULL);
    for (uint32_t i = 0; i < told_cnt; i++) sum = sum * 31 + told[i].number + told[i].notice.financing + told[i].paper.number_n;
    return sum;
}

static void check_proof(uint64_t id, uint64_t height)
{
    uint64_t at;
    uint32_t item;
    uint8_t *bytes;
    size_t n;
    kh_package p;
    cr_assert_eq(kh_view_proof(v, id, &at, &item, &bytes, &n), KH_OK);
    cr_assert_eq(at, height);
    cr_assert_eq(kh_package_read(bytes, n, chain, &p), KH_OK);
    cr_assert(item < p.item_cnt);
    cr_assert_eq(kh_payload_decode(p.items[item].payload, p.items[item].payload_sz, &out), KH_OK);
    cr_assert_eq(out.receipt.financing, id);
    kh_package_free(&p);
    free(bytes);
}

static void restart_with(kh_suite of)
{
    suite = of;
    begin();
    given g;
    made m;
    for (uint64_t i = 0; i < 20; i++) {
        m = one(10 + i, 1000 - i * 7, &g);
        cr_assert_eq(g.done, 1);
        forget(&m);
        if (i == 7) { /* all of it on disk */
            uint64_t sum = state_sum();
            for (uint32_t k = 0; k < 10; k++) kh_view_tick(v);
            kh_view_counts c;
            kh_view_count(v, &c);
            cr_assert_eq(c.durable_height, 17);
            kh_view_close(v);
            open_view();
            cr_assert_eq(state_sum(), sum);
            check_proof(1000, 10);
            check_proof(1000 - 49, 17);
        }
    }
    fake_block(40);
    height_begin(40);
    put(notice(KH_NOTICE_LAPSED, 1000, KH_FIN_LAPSED, 2));
    m = height_end(40, true);
    attest(&m);
    deliver(&m, HUB);
    forget(&m);
    uint64_t sum = state_sum();
    check_proof(1000, 10); /* its newest receipt, not the notice */
    check_proof(1000 - 19 * 7, 29);
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    check_proof(1000 - 19 * 7, 29);
    uint64_t at;
    uint32_t item;
    uint8_t *bytes;
    size_t n;
    cr_assert_eq(kh_view_proof(v, 5, &at, &item, &bytes, &n), KH_E_NOT_FOUND);
    /* ids ascending, from anywhere */
    uint32_t most = 3;
    each_cnt = 0;
    kh_view_each(v, false, 1000 - 5 * 7, on_each, &most);
    cr_assert_eq(each_cnt, 3);
    cr_assert_eq(each_ids[0], 1000 - 4 * 7);
    cr_assert_eq(each_ids[2], 1000 - 2 * 7);
    end();
}
Test(view, a_restart_finds_it_again) { restart_with(KH_SUITE_INTL); }
Test(view, a_restart_finds_it_again_gm) { restart_with(KH_SUITE_GM); }

static uint32_t files(char names[16][64])
{
    char path[128];
    snprintf(path, sizeof path, "%s/view", dir);
    DIR *d = opendir(path);
    uint32_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strstr(e->d_name, ".view") != NULL) snprintf(names[n++], 64, "%.60s", e->d_name);
    closedir(d);
    return n;
}

static void file_path(const char *name, char ret[256]) { snprintf(ret, 256, "%s/view/%s", dir, name); }

/* Nothing of it can be read on disk. */
Test(view, sealed_on_disk)
{
    begin();
    given g;
    made m = one(5, 0x4142434445464748, &g);
    forget(&m);
    m = one(6, 7, &g);
    forget(&m);
    kh_view_close(v);
    char names[16][64], path[256];
    cr_assert_eq(files(names), 1);
    file_path(names[0], path);
    FILE *f = fopen(path, "r");
    static char bytes[1 << 16];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    cr_assert(n > 200);
    cr_assert(memmem(bytes, n, "N01", 3) == NULL);
    cr_assert(memmem(bytes, n, "HGFEDCBA", 8) == NULL);
    cr_assert(memmem(bytes, n, "invoice", 7) == NULL);
    /* each record has a key of its own: equal bytes at equal places are sealed differently */
    size_t first = 64 + 24 + 16, second = first + kh_load32(bytes + 64 + 4) + 24 + 16;
    cr_assert(second + 64 < n);
    cr_assert_neq(memcmp(bytes + first + 16, bytes + second + 16, 4), 0);
    cr_assert_eq(truncate(path, (off_t)(second - 40)), 0);
    disk_secret[0] ^= 1; /* another secret opens nothing */
    open_view();
    cr_assert(!find(0x4142434445464748));
    kh_view_close(v);
    disk_secret[0] ^= 1;
    open_view();
    cr_assert(find(0x4142434445464748));
    end();
}

/* The disk breaks off anywhere: what is whole is there, the rest comes again, and all is as it was. */
Test(view, a_torn_end_comes_again)
{
    begin();
    given g;
    made m[6];
    for (uint32_t i = 0; i < 6; i++) m[i] = one(10 + i, 100 + i, &g);
    uint64_t sum = state_sum();
    kh_view_close(v);
    char names[16][64], path[256], copy[256];
    cr_assert_eq(files(names), 1);
    file_path(names[0], path);
    snprintf(copy, sizeof copy, "%s/copy", dir);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    char line[1200];
    snprintf(line, sizeof line, "cp %s %s", path, copy);
    cr_assert_eq(system(line), 0);
    uint32_t seen_heights = 0;
    for (off_t cut = 0; cut <= st.st_size; cut += cut < 70 ? 7 : 97) {
        snprintf(line, sizeof line, "rm -f %s/view/*; cp %s %s; truncate -s %ld %s", dir, copy, path, (long)cut, path);
        cr_assert_eq(system(line), 0);
        open_view();
        uint64_t height = kh_view_height(v);
        seen_heights |= 1u << (height % 32);
        for (uint32_t i = 0; i < 6; i++) {
            attest(&m[i]);
            deliver(&m[i], HUB);
        }
        cr_assert_eq(state_sum(), sum, "cut at %ld", (long)cut);
        kh_view_close(v);
        open_view();
        cr_assert_eq(state_sum(), sum, "cut at %ld, again", (long)cut);
        kh_view_close(v);
    }
    cr_assert(__builtin_popcount(seen_heights) >= 6); /* each of the heights was where it broke off */
    /* a changed byte in the middle is told */
    snprintf(line, sizeof line, "rm -f %s/view/*; cp %s %s", dir, copy, path);
    cr_assert_eq(system(line), 0);
    int fd = open(path, O_RDWR);
    uint8_t byte;
    cr_assert_eq(pread(fd, &byte, 1, 300), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(fd, &byte, 1, 300), 1);
    close(fd);
    static int box, node, kept;
    char why[200] = "";
    kh_view *none = NULL;
    kh_view_options o = {.node = (kh_node *)&node,
                         .kept = (kh_kept *)&kept,
                         .disk = &disk,
                         .entropy = &entropy,
                         .dir = dir,
                         .party = BANK,
                         .suite = suite,
                         .box = (kh_box *)&box,
                         .disk_secret = disk_secret,
                         .inline_work = true};
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &none), KH_E_DAMAGED);
    cr_assert(strstr(why, "00000001") != NULL, "%s", why);
    snprintf(line, sizeof line, "rm -f %s/view/*", dir);
    cr_assert_eq(system(line), 0);
    open_view();
    for (uint32_t i = 0; i < 6; i++) forget(&m[i]);
    end();
}

/* A restart between being ordered and being answered: the submission is gone, its financing comes. */
Test(view, a_restart_in_the_middle)
{
    begin();
    given g;
    uint8_t digest[32];
    made a = one(5, 100, &g);
    (void)submit(2, &g);
    order(6, digest, true);
    kh_view_close(v);
    cr_assert_eq(g.lost, 1);
    open_view();
    height_begin(6);
    put(applied(digest, 0, 101));
    put(applied(digest, 1, 102));
    made b = height_end(6, true);
    deliver(&a, HUB); /* resent: it is on disk */
    attest(&b);
    deliver(&b, HUB);
    cr_assert_eq(kh_view_height(v), 6);
    cr_assert(find(100) && find(101) && find(102));
    cr_assert_eq(alert_cnt, 0);
    forget(&a), forget(&b);
    end();
}

/* Many financings and a snapshot: found again, also where the snapshot is damaged. */
Test(view, snapshots)
{
    begin();
    given g;
    for (uint64_t h = 10; h < 14; h++) {
        uint8_t digest[32];
        (void)submit(1, &g);
        fake.submitted[fake.submitted_cnt - 1].op_cnt = 1;
        order(h, digest, false);
        height_begin(h);
        for (uint32_t i = 0; i < 1000; i++) put(applied(digest, i, (h * 1000 + i) * 2654435761u % 1000003));
        put(notice(KH_NOTICE_OVER_LIMIT, 7, 0, 0));
        made m = height_end(h, true);
        attest(&m);
        deliver(&m, HUB);
        forget(&m);
    }
    cr_assert_eq(kh_view_height(v), 13);
    uint64_t sum = state_sum();
    cr_assert_eq(each_cnt, 4000);
    for (uint32_t i = 1; i < each_cnt; i++) cr_assert(each_ids[i - 1] < each_ids[i]);
    kh_view_close(v);
    char path[256];
    file_path("snapshot", path);
    cr_assert_eq(access(path, R_OK), 0);
    open_view();
    cr_assert_eq(state_sum(), sum);
    check_proof(11000ull * 2654435761u % 1000003, 11);
    snapshot_sz = 500; /* two packages make one, a third none */
    kh_view_close(v);
    open_view();
    made m = one(20, 42, &g);
    forget(&m);
    m = one(21, 43, &g);
    forget(&m);
    for (uint32_t i = 0; i < 10; i++) kh_view_tick(v);
    m = one(22, 44, &g); /* goes on in a segment of its own */
    snapshot_sz = 0;
    cr_assert_eq(g.done, 1);
    forget(&m);
    sum = state_sum();
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    kh_view_close(v);
    int fd = open(path, O_RDWR);
    uint8_t byte;
    cr_assert_eq(pread(fd, &byte, 1, 5000), 1);
    byte ^= 4;
    cr_assert_eq(pwrite(fd, &byte, 1, 5000), 1);
    close(fd);
    open_view();
    cr_assert_eq(state_sum(), sum);
    end();
}

/* What hubs are told is on disk here is. */
Test(view, hubs_are_told_what_is_on_disk)
{
    begin();
    given g;
    kh_view_tick(v);
    cr_assert_eq(sent_cnt, 1);
    cr_assert_eq(sent_above[0], 0);
    made m = one(5, 100, &g);
    for (uint32_t i = 0; i < 60; i++) kh_view_tick(v);
    cr_assert_eq(sent_cnt, 2);
    cr_assert_eq(sent_above[1], 5);
    fake.attested = 9; /* more is attested than came: asked for */
    for (uint32_t i = 0; i < 3; i++) kh_view_tick(v);
    cr_assert_eq(sent_cnt, 3);
    forget(&m);
    end();
}

/* With its thread. */
Test(view, by_a_thread)
{
    begin();
    kh_view_close(v);
    char why[200];
    static int box, node, kept;
    kh_view_options o = {.node = (kh_node *)&node,
                         .kept = (kh_kept *)&kept,
                         .disk = &disk,
                         .entropy = &entropy,
                         .dir = dir,
                         .party = BANK,
                         .suite = suite,
                         .box = (kh_box *)&box,
                         .disk_secret = disk_secret,
                         .alert = on_alert,
                         .send = on_send};
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &v), KH_OK);
    static given g[100];
    const kh_store_driver *d = kh_view_driver(v);
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t digest[32];
        uint64_t ticket = submit(1, &g[i]);
        order(10 + i, digest, true);
        height_begin(10 + i);
        put(applied(digest, 0, 100 + i));
        made m = height_end(10 + i, true);
        deliver(&m, HUB);
        attest(&m);
        cr_assert_eq(d->wait(d->self, ticket), KH_OK);
        cr_assert_eq(g[i].done, 1);
        kh_view_tick(v);
        forget(&m);
    }
    uint64_t sum = state_sum();
    kh_view_close(v);
    open_view();
    cr_assert_eq(state_sum(), sum);
    cr_assert_eq(alert_cnt, 0);
    end();
}
