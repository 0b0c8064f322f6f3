/* Unit tests of a bank's node behind the engine's functions: applications and events are answered when they are final, out of the
 * view; lists, alerts, audits and receipts; what only a hub could answer is NOT_CHECKED. */
#include "embed/embed.h"
#include "view_fake.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BANK = 11, HUB = 21 };
static char dir[64];
static kh_engine *engine, *bank;
static kh_view *view;
static uint8_t chain[32], secret[32];

/* ---- rows as text ---- */
static char rows[65536];
static void on_row(void *ctx, const kh_result_row *row)
{
    size_t n = strlen(rows);
    (void)ctx;
    n += kh_row_json(row, false, rows + n, sizeof rows - n);
    if (n + 1 < sizeof rows) strcpy(rows + n, "\n");
}
static const kh_result_sink sink = {.row = on_row};
static bool says(const char *text) { return strstr(rows, text) != NULL; }
static void ask(void) { rows[0] = '\0'; }

/* ---- the cluster around ---- */
static kh_cluster_state state;
static kh_err on_state(void *self, uint64_t height, kh_cluster_state *ret)
{
    (void)self;
    if (height > state.height) return KH_E_NOT_FOUND;
    *ret = state;
    if (height != 0) {
        ret->height = height;
        memset(ret->app_hash, (int)height, 32);
    }
    return KH_OK;
}
static kh_err on_prove(void *self, uint32_t party, uint64_t financing, void (*give)(void *ctx, const char *text, size_t n),
                       void *ctx)
{
    (void)self;
    uint64_t height;
    uint32_t item;
    uint8_t *package;
    size_t n;
    cr_assert_eq(party, BANK);
    kh_err err = kh_view_proof(view, financing, &height, &item, &package, &n);
    if (err != KH_OK) return err;
    free(package);
    give(ctx, "{\"kanhe_receipt\":\"1\"}", 21);
    return KH_OK;
}
static bool no_hub;
static kh_err on_enterprise(void *self, const char *uscc, uint32_t *ret)
{
    (void)self;
    if (no_hub) return KH_E_CLOSED;
    if (strcmp(uscc, "91350211M000100Y43") != 0) return KH_E_NOT_FOUND;
    *ret = 77;
    return KH_OK;
}
static const kh_cluster_info info = {.state = on_state, .prove = on_prove, .enterprise = on_enterprise};

/* ---- the hub: answers whatever was submitted, in a block of its own ---- */
static pthread_t hub;
static volatile bool hub_end;
static uint64_t counts[1], height = 10;
static uint8_t heads[1][32];
static kh_maker *maker;
static kh_output out;

static void answer_op(const kh_op *op, const uint8_t digest[32], uint32_t index)
{
    memset(&out, 0, sizeof out);
    out.kind = KH_OUTPUT_RECEIPT;
    memcpy(out.batch, digest, 32);
    out.op_index = index;
    kh_receipt *r = &out.receipt;
    *r = (kh_receipt){.type = op->type, .party = op->party, .sequence = op->sequence, .currency = 840, .line_cnt = 1};
    if (op->type == KH_OP_APPLY) {
        r->financing = op->apply.id;
        r->enterprise = op->apply.enterprise;
        r->event = KH_EV_APPLY;
        r->code = op->apply.enterprise == 77 ? KH_C_OK : KH_C_OWNER_MISMATCH;
        r->state = r->code == KH_C_OK ? KH_FIN_APPLIED : 0;
        r->version = r->code == KH_C_OK;
        r->amount = r->code == KH_C_OK ? op->apply.amount : 0;
        memcpy(out.product, op->apply.product.p, op->apply.product.n);
        out.paper_cnt = 1;
        out.papers[0] = (kh_paper_text){.kind = (uint8_t)kh_doc_key_kind(&op->apply.lines[0].key)};
        out.papers[0].number_n = (uint8_t)kh_doc_key_number(&op->apply.lines[0].key, out.papers[0].number);
        out.lines[0] = (kh_receipt_line){
            .key = op->apply.lines[0].key, .currency = 840, .code = r->code, .amount = r->amount, .allocated = r->amount};
    } else if (op->type == KH_OP_CREDIT_LOOKUP) {
        r->line_cnt = 0;
        r->financing = op->credit_lookup.grant;
        r->enterprise = op->credit_lookup.enterprise;
    } else {
        r->financing = op->event.id;
        r->event = op->event.event;
        r->state = KH_FIN_ACCEPTED;
        r->version = 2;
        r->amount = op->event.amount == KH_AMOUNT_NONE ? 100000 : op->event.amount;
        out.lines[0] =
            (kh_receipt_line){.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("310120260123456789"), (kh_text){0}),
                              .currency = 840,
                              .amount = r->amount,
                              .allocated = r->amount};
    }
    cr_assert_eq(kh_maker_add(maker, BANK, &out), KH_OK);
}

static void publish(void)
{
    uint8_t root[32], *package, *parcel;
    size_t n, parcel_n;
    cr_assert_eq(kh_maker_end(maker, root), KH_OK);
    cr_assert_eq(kh_maker_package(maker, 0, &package, &n), KH_OK);
    cr_assert_eq(kh_parcel_make(KH_SUITE_INTL, NULL, NULL, chain, BANK, height, package, n, &parcel, &parcel_n), KH_OK);
    kh_maker_head(maker, 0, &counts[0], heads[0]);
    kh_attestation a = {.height = height, .hub = HUB};
    memset(a.app_hash, (int)height, 32);
    memcpy(a.outputs_root, root, 32);
    state.height = state.attested_height = height;
    kh_view_outputs(view, HUB, parcel, parcel_n);
    kh_view_attested(view, &a);
    free(package), free(parcel);
}

static void block_begin(void)
{
    static const uint32_t parties[1] = {BANK};
    height++;
    (void)fake_block(height);
    kh_maker_begin(maker, chain, secret, height, parties, counts, (const uint8_t(*)[32])heads, 1);
}

static void *run_hub(void *ctx)
{
    (void)ctx;
    for (uint32_t done = 0; !hub_end;) {
        if (done == __atomic_load_n(&fake.submitted_cnt, __ATOMIC_ACQUIRE)) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            continue;
        }
        const fake_submitted *s = &fake.submitted[done++];
        uint8_t digest[32];
        memset(digest, (int)(100 + done), 32);
        block_begin();
        kh_kept_block *b = fake_block(height);
        kh_kept_item *item = &b->items[b->item_cnt++];
        *item = (kh_kept_item){.kind = KH_ITEM_BATCH, .sender = BANK};
        memcpy(item->digest, digest, 32);
        kh_view_ordered(view, digest, height, &s->tag, &s->op_cnt, 1);
        static kh_op_scratch scratch;
        size_t at = 0;
        for (uint32_t i = 0; i < s->op_cnt; i++) {
            kh_op op;
            size_t used;
            cr_assert_eq(kh_op_decode(s->bytes + at, s->n - at, &scratch, &op, &used), KH_OK);
            at += used;
            answer_op(&op, digest, i);
        }
        publish();
    }
    return NULL;
}

static kh_disk disk;
static kh_entropy entropy;
static void begin(void)
{
    static int node, kept, box;
    static uint8_t disk_secret[32];
    char why[200];
    fake_reset();
    memset(chain, 0x11, 32);
    entropy = kh_host_entropy();
    cr_assert_eq(kh_host_disk_open(true, &disk), KH_OK);
    strcpy(dir, "/tmp/kh_bank_XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    kh_options o = kh_options_default(dir);
    o.embedded = true;
    cr_assert_eq(kh_create(&o, NULL, NULL, why, sizeof why), KH_DONE, "%s", why);
    cr_assert_eq(kh_engine_new(&o, &engine), KH_DONE);
    cr_assert_eq(kh_party_add(engine, BANK, "bank", "First Bank", NULL, &sink), KH_DONE);
    cr_assert_eq(kh_party_add(engine, 12, "bank", "Second Bank", NULL, &sink), KH_DONE);
    kh_view_options v = {.node = (kh_node *)&node,
                         .kept = (kh_kept *)&kept,
                         .disk = &disk,
                         .entropy = &entropy,
                         .dir = dir,
                         .party = BANK,
                         .suite = KH_SUITE_INTL,
                         .box = (kh_box *)&box,
                         .disk_secret = disk_secret};
    cr_assert_eq(kh_view_open(&v, why, sizeof why, &view), KH_OK, "%s", why);
    kh_store_drive(kh_embed_store(engine), kh_view_driver(view));
    kh_embed_set_view(engine, view);
    kh_embed_set_cluster(engine, &info);
    cr_assert_eq(kh_engine_as(engine, BANK, &bank), KH_DONE);
    cr_assert_eq(kh_maker_new(&maker), KH_OK);
    cr_assert_eq(pthread_create(&hub, NULL, run_hub, NULL), 0);
    ask();
}

static void end(void)
{
    hub_end = true;
    (void)pthread_join(hub, NULL);
    kh_engine_close(bank);
    kh_store_drive(kh_embed_store(engine), NULL);
    kh_view_close(view);
    kh_engine_close(engine);
    kh_maker_free(maker);
    char line[100];
    snprintf(line, sizeof line, "rm -rf %s", dir);
    cr_assert_eq(system(line), 0);
}

static kh_result apply(uint64_t id, const char *enterprise)
{
    const char *documents[] = {"export_declaration:310120260123456789"};
    kh_apply_request q = {.id = id,
                          .enterprise = enterprise,
                          .product = "receivable",
                          .amount = "1000.00",
                          .currency = "USD",
                          .documents = documents,
                          .document_cnt = 1};
    ask();
    return kh_finance_apply(bank, &q, &sink);
}

Test(bank, applications_are_answered_when_final)
{
    begin();
    cr_assert_eq(apply(1, "77"), KH_DONE, "%s %s", kh_message(bank), rows);
    cr_assert(says("\"height\":11,\"attested\":true"), "%s", rows);
    cr_assert(says("\"state\":\"APPLIED\"") && says("\"number\":\"310120260123456789\""), "%s", rows);
    cr_assert_eq(apply(2, "91350211M000100Y43"), KH_DONE, "%s", rows);          /* a hub says whose that is */
    cr_assert_eq(apply(3, "91350211M000100Y99"), KH_DONE_NOT_OK);               /* nobody's: the ledger's to answer */
    cr_assert(says("OWNER_MISMATCH") && says("\"attested\":true"), "%s", rows); /* a refusal is final too */
    no_hub = true;
    cr_assert_eq(apply(4, "91350211M000100Y43"), KH_DONE_NOT_OK);
    cr_assert(says("NOT_CHECKED") && says("\"attested\":false") && says("\"reason\":\"hub\""), "%s", rows);
    cr_assert_eq(apply(5, "77"), KH_DONE); /* ids always work */
    ask();
    kh_event_request e = {.id = 1, .event = "accept"};
    cr_assert_eq(kh_finance_event(bank, &e, &sink), KH_DONE);
    cr_assert(says("\"state\":\"ACCEPTED\"") && says("310120260123456789") && says("\"attested\":true"), "%s", rows);
    end();
}

Test(bank, its_own_business_comes_from_the_view)
{
    begin();
    for (uint64_t id = 1; id <= 5; id++) cr_assert_eq(apply(id * 10, "77"), KH_DONE);
    ask();
    cr_assert_eq(kh_finance_show(bank, "30", NULL, &sink), KH_DONE);
    cr_assert(says("\"id\":30") && says("\"attested\":true") && says("\"as_of\":15") && says("\"enterprise\":77") &&
                  says("\"amount\":\"1000.00\"") && says("\"deadline\":\"1970-01-04T"),
              "%s", rows); /* 3 days behind its block's time */
    ask();
    cr_assert_eq(kh_finance_show(bank, "31", NULL, &sink), KH_DONE_NOT_OK);
    cr_assert(says("NOT_FOUND"));
    ask();
    kh_page page = {.limit = 2};
    cr_assert_eq(kh_finance_list(bank, NULL, NULL, &page, &sink), KH_DONE);
    cr_assert(says("\"id\":10") && says("\"id\":20") && !says("\"id\":30"), "%s", rows);
    cr_assert_str_eq(page.next, "20");
    ask();
    kh_page rest = {.limit = 10, .after = "20"};
    cr_assert_eq(kh_finance_list(bank, NULL, "APPLIED", &rest, &sink), KH_DONE);
    cr_assert(!says("\"id\":20") && says("\"id\":30") && says("\"id\":50"));
    cr_assert_str_eq(rest.next, "");
    ask();
    cr_assert_eq(kh_finance_list(bank, NULL, "SETTLED", NULL, &sink), KH_DONE);
    cr_assert_str_eq(rows, "");
    /* another bank sees nothing of it */
    kh_engine *other;
    cr_assert_eq(kh_engine_as(engine, 12, &other), KH_DONE);
    cr_assert_eq(kh_finance_list(other, NULL, NULL, NULL, &sink), KH_DONE);
    cr_assert_str_eq(rows, "");
    cr_assert_eq(kh_finance_show(other, "30", NULL, &sink), KH_DONE_NOT_OK);
    kh_engine_close(other);
    end();
}

Test(bank, alerts_say_what_they_stand_for)
{
    begin();
    cr_assert_eq(apply(1, "77"), KH_DONE);
    hub_end = true;
    (void)pthread_join(hub, NULL);
    block_begin();
    memset(&out, 0, sizeof out);
    out.kind = KH_OUTPUT_NOTICE;
    out.notice = (kh_notice){.type = KH_NOTICE_LAPSED,
                             .state = KH_FIN_LAPSED,
                             .party = BANK,
                             .financing = 1,
                             .has_financing = 1,
                             .has_key = 1,
                             .currency = 840,
                             .version = 2,
                             .amount = 100000,
                             .moved = 100000};
    out.notice.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of("310120260123456789"), (kh_text){0});
    out.paper_cnt = 1;
    out.papers[0] = (kh_paper_text){.kind = KH_KIND_EXPORT_DECLARATION, .number_n = 18};
    memcpy(out.papers[0].number, "310120260123456789", 18);
    for (uint32_t i = 0; i < 70; i++) cr_assert_eq(kh_maker_add(maker, BANK, &out), KH_OK); /* more than one piece */
    publish();
    while (kh_view_height(view) < height) (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ask();
    kh_page page = {.limit = 69};
    cr_assert_eq(kh_alerts(bank, NULL, &page, &sink), KH_DONE);
    cr_assert(says("\"alert\":\"LAPSED\"") && says("\"number\":\"310120260123456789\"") && says("\"attested\":true") &&
                  says("\"as_of\":12"),
              "%s", rows);
    ask();
    kh_page rest = {.after = page.next};
    cr_assert_neq(page.next[0], '\0');
    cr_assert_eq(kh_alerts(bank, NULL, &rest, &sink), KH_DONE);
    uint32_t n = 0;
    for (const char *at = rows; (at = strchr(at, '\n')) != NULL; at++) n++;
    cr_assert_eq(n, 1);
    ask();
    cr_assert_eq(kh_finance_show(bank, "1", NULL, &sink), KH_DONE);
    cr_assert(says("LAPSED") && says("\"deadline\":null"), "%s", rows);
    cr_assert_eq(pthread_create(&hub, NULL, run_hub, NULL), 0);
    end();
}

static int64_t read_text(void *ctx, void *p, size_t cap)
{
    const char **text = ctx;
    size_t n = strlen(*text) < cap ? strlen(*text) : cap;
    memcpy(p, *text, n);
    *text += n;
    return (int64_t)n;
}

Test(bank, what_only_hubs_know_is_not_checked)
{
    begin();
    const char *text = "kind,number,owner_id,currency,amount,date\n"
                       "export_declaration,310120260123456789,91350211M000100Y43,USD,1000.00,2026-01-23\n"
                       "export_declaration,310120260123456788,91350211M000100Y43,USD,1000.00,2026-01-23\n";
    kh_input input = {.name = "body", .read = read_text, .ctx = &text};
    cr_assert_eq(kh_verify_input(bank, &input, NULL, &sink), KH_DONE_NOT_OK);
    uint32_t n = 0;
    for (const char *at = rows; (at = strstr(at, "\"code\":90,\"name\":\"NOT_CHECKED\"")) != NULL; at++) n++;
    cr_assert_eq(n, 2, "%s", rows);
    cr_assert(says("\"line\":2") && says("\"attested\":false"));
    kh_paper paper = {.document = "export_declaration:310120260123456789", .owner = "91350211M000100Y43", .amount = "1000.00"};
    ask();
    cr_assert_eq(kh_balance(bank, &paper, &sink), KH_DONE_NOT_OK);
    cr_assert(says("\"code\":90"), "%s", rows);
    ask();
    cr_assert_eq(kh_history(bank, &paper, NULL, &sink), KH_DONE_NOT_OK);
    cr_assert(says("\"code\":90"));
    ask();
    uint32_t before = fake.submitted_cnt;
    cr_assert_eq(kh_credit(bank, &(kh_credit_request){.enterprise = "77", .grant = 1}, &sink), KH_DONE_NOT_OK);
    cr_assert(says("\"code\":90"));
    cr_assert_eq(fake.submitted_cnt, before + 1); /* filed, for a hub to answer */
    ask();
    cr_assert_eq(kh_grant_list(bank, NULL, NULL, &sink), KH_DONE_NOT_OK);
    cr_assert(says("\"code\":90"));
    ask();
    cr_assert_eq(kh_risk_account(bank, NULL, NULL, &sink), KH_DONE_NOT_OK);
    cr_assert(says("\"code\":90"));
    end();
}

static char proof[100];
static void on_proof(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    snprintf(proof, sizeof proof, "%.*s", (int)n, text);
}

Test(bank, audits_and_receipts)
{
    begin();
    cr_assert_eq(apply(1, "77"), KH_DONE);
    ask();
    cr_assert_eq(kh_audit(bank, &sink), KH_DONE, "%s", kh_message(bank));
    cr_assert(says("\"height\":11") && says("\"attested_height\":11") && says("\"state_digest\":\"") && !says("content_digest"),
              "%s", rows);
    ask();
    cr_assert_eq(kh_audit_at(bank, 10, &sink), KH_DONE);
    cr_assert(says("\"height\":10,\"digest\":\"0a0a0a"), "%s", rows);
    cr_assert_eq(kh_audit_at(bank, 99, &sink), KH_MISUSE);
    cr_assert_eq(kh_finance_prove(bank, 1, on_proof, NULL), KH_DONE);
    cr_assert_str_eq(proof, "{\"kanhe_receipt\":\"1\"}");
    cr_assert_eq(kh_finance_prove(bank, 2, on_proof, NULL), KH_DONE_NOT_OK);
    cr_assert_eq(kh_finance_prove(engine, 1, on_proof, NULL), KH_MISUSE);
    end();
}

/* At a hub: rows say what is attested, and the operator's audit replays. */
Test(bank, at_a_hub)
{
    begin();
    kh_embed_set_view(engine, NULL);
    kh_engine *regulator;
    state.height = 20;
    state.attested_height = 20;
    ask();
    cr_assert_eq(kh_audit(engine, &sink), KH_DONE, "%s", kh_message(engine));
    cr_assert(says("\"ok\":true") && says("\"content_digest\":\"") && says("\"executed_height\":") && says("\"height\":20"), "%s",
              rows);
    cr_assert_eq(kh_engine_as(engine, 12, &regulator), KH_DONE); /* a bank at a hub: heights alone */
    ask();
    cr_assert_eq(kh_audit(regulator, &sink), KH_DONE);
    cr_assert(!says("content_digest"));
    kh_engine_close(regulator);
    end();
}
