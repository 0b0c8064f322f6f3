/* view_fixture: a view between a node, a kept order and parcels of the test's own (view_fake.c) and hubs that the test plays. */
#ifndef KH_TESTS_VIEW_FIXTURE_H
#define KH_TESTS_VIEW_FIXTURE_H
#include "attest/attest.h"
#include "view/view.h"
#include "crypto/digest.h"
#include "host/host.h"
#include "view_fake.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

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
static inline void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
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
static inline void on_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    (void)ctx;
    snprintf(alerts[alert_cnt].word, sizeof alerts[0].word, "%s", word);
    alerts[alert_cnt].member = member;
    alerts[alert_cnt++].height = height;
}
static inline void on_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx;
    cr_assert_eq(type, KH_MSG_OUTPUTS_FROM);
    cr_assert_eq(n, 8);
    sent_above[sent_cnt % 256] = kh_load64(p);
    sent_to[sent_cnt++ % 256] = to;
}

static int box, box_old;
static kh_genesis genesis; /* none: says nothing of what a view begins with */
static char opening[96];

static inline kh_view_options view_options(void)
{
    static int node, kept;
    return (kh_view_options){.node = (kh_node *)&node,
                             .kept = (kh_kept *)&kept,
                             .disk = &disk,
                             .entropy = &entropy,
                             .dir = dir,
                             .genesis = &genesis,
                             .opening = opening,
                             .party = BANK,
                             .suite = suite,
                             .box = (kh_box *)&box,
                             .box_old = (kh_box *)&box_old,
                             .disk_secret = disk_secret,
                             .inline_work = true,
                             .snapshot_sz = snapshot_sz,
                             .alert = on_alert,
                             .send = on_send};
}

static inline void open_view(void)
{
    char why[200] = "";
    const kh_view_options o = view_options();
    cr_assert_eq(kh_view_open(&o, why, sizeof why, &v), KH_OK, "%s", why);
}

static inline void begin(void)
{
    fake_reset();
    memset(chain, 0x11, 32);
    memset(secret, 0x22, 32);
    memset(disk_secret, 0x33, 32);
    cr_assert_eq(kh_host_disk_open(true, &disk), KH_OK);
    entropy = kh_host_entropy();
    strcpy(dir, "/tmp/kh_view_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(opening, sizeof opening, "%s/opening", dir);
    open_view();
}

static inline void end(void)
{
    char line[200];
    kh_view_close(v);
    snprintf(line, sizeof line, "rm -rf %s", dir);
    cr_assert_eq(system(line), 0);
}

static inline void expect_alert(const char *word, uint32_t hub, uint64_t height)
{
    cr_assert_eq(alert_cnt, 1, "%u alerts", alert_cnt);
    cr_assert_str_eq(alerts[0].word, word);
    cr_assert_eq(alerts[0].member, hub);
    cr_assert_eq(alerts[0].height, height);
    alert_cnt = 0;
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

static inline kh_output *applied(const uint8_t digest[32], uint32_t index, uint64_t id)
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

static inline kh_output *event(const uint8_t digest[32], uint32_t index, uint64_t id, kh_event e, kh_fin_state state,
                               uint32_t version, uint64_t amount, uint64_t moved)
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

static inline kh_output *notice(kh_notice_type type, uint64_t id, kh_fin_state state, uint32_t version)
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
static inline void height_begin(uint64_t height)
{
    if (maker == NULL) cr_assert_eq(kh_maker_new(&maker), KH_OK);
    kh_maker_begin(maker, chain, secret, height, parties, counts, (const uint8_t(*)[32])heads, 2);
}
static inline void put(const kh_output *o) { cr_assert_eq(kh_maker_add(maker, BANK, o), KH_OK); }
static inline made height_end(uint64_t height, bool keep)
{
    made m = {.height = height};
    cr_assert_eq(kh_maker_end(maker, m.root), KH_OK);
    cr_assert_eq(kh_maker_package(maker, 0, &m.package, &m.n), KH_OK);
    cr_assert_eq(kh_parcel_make(suite, NULL, NULL, chain, BANK, height, m.package, m.n, &m.parcel, &m.parcel_n), KH_OK);
    for (uint32_t i = 0; keep && i < 2; i++) kh_maker_head(maker, i, &counts[i], heads[i]);
    return m;
}

static inline kh_attestation attestation(const made *m)
{
    kh_attestation a = {.height = m->height, .hub = HUB};
    memset(a.app_hash, (int)m->height, 32);
    memcpy(a.outputs_root, m->root, 32);
    return a;
}
static inline void attest(const made *m)
{
    kh_attestation a = attestation(m);
    kh_view_attested(v, &a);
}
static inline void deliver(const made *m, uint32_t hub) { kh_view_outputs(v, hub, m->parcel, m->parcel_n); }

/* ---- the bank's submissions ---- */
static uint32_t ordered_upto;
static inline uint64_t submit(uint32_t cnt, given *g)
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
static inline void order(uint64_t height, uint8_t ret_digest[32], bool tell)
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

/* A world whose one submission was ordered at 5, of which outputs are about to be made. */
static inline void begin_ordered(given *g, uint8_t ret_digest[32])
{
    begin();
    (void)submit(1, g);
    order(5, ret_digest, true);
    height_begin(5);
}

static inline void forget(made *m)
{
    free(m->package);
    free(m->parcel);
}

/* one grants a financing `id` at a height, all as it should be. */
static inline made one(uint64_t height, uint64_t id, given *g)
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
static inline void on_found(void *ctx, const kh_view_financing *f)
{
    (void)ctx;
    seen = *f;
    memcpy(seen_lines, f->lines, f->line_cnt * sizeof *f->lines);
}
static inline bool find(uint64_t id) { return kh_view_find(v, id, on_found, NULL); }

static uint32_t told_cnt;
static kh_view_alert told[8];
static inline bool on_told(void *ctx, const kh_view_alert *a)
{
    (void)ctx;
    told[told_cnt++] = *a;
    return true;
}

static uint32_t each_cnt;
static uint64_t each_ids[4096];
static inline bool on_each(void *ctx, const kh_view_financing *f)
{
    each_ids[each_cnt++] = f->id;
    return ctx == NULL || each_cnt < *(uint32_t *)ctx;
}

static inline uint64_t state_sum(void) /* of all that can be asked */
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

static inline void check_proof(uint64_t id, uint64_t height)
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
#endif
