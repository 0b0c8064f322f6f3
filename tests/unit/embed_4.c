/* embed: handles of parties on one engine: lists in pages, enrolments that meet. */
#include "embed_fixture.h"

TestSuite(meetings, .init = begin, .fini = end);

/* ---- pages ---- */

typedef kh_result list_call(kh_engine *e, kh_page *page);
static kh_result parties(kh_engine *e, kh_page *page) { return kh_party_list(e, page, &sink); }
static kh_result financings(kh_engine *e, kh_page *page) { return kh_finance_list(e, NULL, "APPLIED", page, &sink); }
static kh_result alerts(kh_engine *e, kh_page *page) { return kh_alerts(e, NULL, page, &sink); }
static kh_result history(kh_engine *e, kh_page *page)
{
    kh_paper paper = {.document = "export_declaration:310120260000000000", .owner = exporter, .amount = "1000.00"};
    return kh_history(e, &paper, page, &sink);
}

static kh_result grants(kh_engine *e, kh_page *page) { return kh_grant_list(e, NULL, page, &sink); }
static kh_result lookups(kh_engine *e, kh_page *page) { return kh_grant_lookups(e, NULL, page, &sink); }
static kh_result accounts(kh_engine *e, kh_page *page) { return kh_risk_account(e, NULL, page, &sink); }

static uint32_t check_pages(kh_engine *e, list_call *list)
{
    static char all[1 << 19], pieces[1 << 19];
    ASK(KH_DONE, list(e, NULL));
    (void)snprintf(all, sizeof all, "%s", rows());
    uint32_t cnt = out.rows;
    for (uint32_t limit = 1; limit <= cnt + 1; limit++) {
        char after[64] = "";
        uint32_t calls = 0;
        kh_page page = {.after = after, .limit = limit};
        pieces[0] = '\0';
        do {
            ASK(KH_DONE, list(e, &page));
            cr_assert(out.rows <= limit && (page.next[0] == '\0' || out.rows == limit));
            strcat(pieces, rows());
            strcpy(after, page.next);
            calls++;
        } while (after[0] != '\0');
        cr_assert(strcmp(all, pieces) == 0, "pages of %u:\n%s---\n%s", limit, all, pieces);
        cr_assert(calls == (cnt == 0 ? 1 : (cnt + limit - 1) / limit), "%u pages of %u", calls, limit); /* none that is empty */
    }
    static const char *const wrong[] = {"x", "1.2.3", "-1", "1 ", "99999999999999999999999", ".", "1."};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        kh_page page = {.after = wrong[i], .limit = 1};
        ASK(KH_MISUSE, list(e, &page));
    }
    return cnt;
}

Test(meetings, pages)
{
    kh_engine *a = as(BANK_A), *regulator = as(REGULATOR);
    cr_assert(check_pages(regulator, parties) == 7);
    cr_assert(check_pages(a, parties) == 4); /* itself, the regulator and the sources */
    kh_engine *enterprise = as(EXPORTER);
    for (uint64_t i = 1; i <= 6; i++) {
        kh_grant_request grant = {.bank = i < 5 ? "11" : "12", .scope = "credit", .until = "2099-12-31", .id = i};
        ASK(KH_DONE, kh_grant_add(enterprise, &grant, &sink));
        kh_credit_request credit = {.enterprise = "101", .grant = i};
        ASK(i < 5 ? KH_DONE : KH_DONE_NOT_OK, kh_credit(a, &credit, &sink));
    }
    cr_assert(check_pages(enterprise, grants) == 6 && check_pages(a, grants) == 4 && check_pages(regulator, grants) == 6);
    cr_assert(check_pages(enterprise, lookups) == 4 && check_pages(regulator, lookups) == 4);
    cr_assert(check_pages(regulator, accounts) == 2 && check_pages(a, accounts) == 1);
    ASK(KH_DONE, kh_grant_list(enterprise, NULL, &(kh_page){.after = "18446744073709551615", .limit = 9}, &sink));
    cr_assert(out.rows == 0);
    kh_engine_close(enterprise);
    for (uint32_t i = 0; i < 9; i++) apply(a, i + 1, i, "100.00");
    kh_engine *b = as(BANK_B);
    for (uint32_t i = 0; i < 5; i++) apply(b, i + 1, 0, "100.00");
    kh_event_request reject = {.event = "reject", .reason = "other", .id = 3};
    ASK(KH_DONE, kh_finance_event(a, &reject, &sink));
    cr_assert(check_pages(a, financings) == 8);
    cr_assert(check_pages(regulator, financings) == 13);
    cr_assert(check_pages(b, history) == 6);
    cr_assert(check_pages(regulator, history) == 7);
    kh_input input = text("kind,number,owner_id,currency,amount,date,status\n" /* the papers go: alerts for who lent on them */
                          "export_declaration,310120260000000000,91350211M000100Y43,USD,1000.00,2026-08-01,revoked\n"
                          "export_declaration,310120260000000001,91350211M000100Y43,USD,1000.00,2026-08-01,revoked\n"
                          "export_declaration,310120260000000005,91350211M000100Y43,USD,1000.00,2026-08-01,revoked\n");
    ASK(KH_DONE, kh_import_input(engine, &input, &(kh_import_options){0}, &sink));
    uint32_t own = check_pages(a, alerts), others = check_pages(b, alerts), all = check_pages(regulator, alerts);
    cr_assert(own > 0 && others > 0 && all == own + others, "%u and %u of %u alerts", own, others, all);
    kh_engine_close(a);
    kh_engine_close(b);
    kh_engine_close(regulator);
}

/* Each row of a list is given while anybody may write: a row's receiver writes itself, and waits for it. */
Test(meetings, rows_are_given_with_the_gate_open)
{
    kh_engine *a = as(BANK_A), *regulator = as(REGULATOR);
    apply(a, 1, 0, "100.00");
    apply(a, 2, 0, "100.00");
    list_call *const lists[] = {parties, financings, history, alerts};
    out.also = engine;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) ASK(KH_DONE, lists[i](i == 2 ? a : regulator, NULL));
    ASK(KH_DONE, kh_rule_list(a, &sink));
    ASK(KH_DONE, kh_rate_list(a, &sink));
    ASK(KH_DONE, kh_finance_show(a, "1", NULL, &sink));
    ASK(KH_DONE, kh_finance_show(regulator, "1", NULL, &sink));
    ASK(KH_DONE, kh_stats(regulator, &sink));
    kh_input input = text("kind,number,owner_id,currency,amount,date\n"
                          "export_declaration,310120260000000000,91350211M000100Y43,USD,1000.00,2026-08-01\n");
    ASK(KH_DONE, kh_verify_input(a, &input, NULL, &sink));
    out.also = NULL;
    kh_engine_close(a);
    kh_engine_close(regulator);
}

/* ---- enrolments ---- */

static uint32_t enrolled_id(const char *owner) { return 0x80000000u | (uint32_t)kh_xxh3(owner, strlen(owner)); }
typedef struct candidate {
    uint32_t id, i;
} candidate;
static int by_id(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}
static void owner_text(uint32_t i, char ret[32]) { (void)snprintf(ret, 32, "FGN%07u", i); }

/* Two foreign ids whose enrolments would take one id: about 2^31 pairs are needed, 200,000 texts have ten times as many. */
static void two_of_one_id(char first[32], char second[32])
{
    enum { N = 200000 };
    candidate *c = malloc(N * sizeof *c);
    for (uint32_t i = 0; i < N; i++) {
        owner_text(i, first);
        c[i] = (candidate){enrolled_id(first), i};
    }
    qsort(c, N, sizeof *c, by_id);
    uint32_t at = 1;
    while (at < N && c[at].id != c[at - 1].id) at++;
    cr_assert(at < N);
    owner_text(c[at - 1].i, first);
    owner_text(c[at].i, second);
    free(c);
}

typedef struct prepared { /* an application of an enterprise to be enrolled, made and not yet sent */
    kh_batch batch;
    kh_op op;
    kh_op_line line;
} prepared;
static void prepare(prepared *p, kh_engine *bank, const char *owner, const char *number)
{
    kh_paper_name paper;
    char name[100], why[200];
    kh_err err;
    const kh_principal who = {.party = bank->party, .role = KH_ROLE_BANK};
    (void)snprintf(name, sizeof name, "export_declaration:%s", number);
    cr_assert(kh_embed_paper(name, NULL, owner, &paper, why, sizeof why));
    p->line = (kh_op_line){.key = paper.key, .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    p->op = (kh_op){.type = KH_OP_APPLY, .party = bank->party};
    p->op.apply = (kh_op_apply){
        .id = 1, .currency = 840, .amount = 100, .product = kh_text_of("export_receivable"), .line_cnt = 1, .lines = &p->line};
    cr_assert(kh_batch_init(&p->batch) == KH_OK);
    p->op.apply.enterprise = kh_embed_enterprise(bank, &p->batch, &who, owner, &paper.key, &err);
    cr_assert(err == KH_OK && p->op.apply.enterprise != 0);
    cr_assert(kh_batch_add(&p->batch, &p->op) == KH_OK);
}
static void send_prepared(prepared *p, kh_engine *bank)
{
    cr_assert(kh_batch_submit(bank, &p->batch) == KH_OK && kh_batch_wait(bank, &p->batch) == KH_OK);
    kh_code code = p->batch.answers[p->batch.op_cnt - 1].receipt.code;
    cr_assert(code == KH_C_OK, "%s", kh_code_name(code));
    kh_batch_release(&p->batch);
}
static uint32_t enterprise_of(kh_engine *bank)
{
    ASK(KH_DONE, kh_finance_show(bank, "1", NULL, &sink));
    const char *at = strstr(rows(), " enterprise=");
    cr_assert(at != NULL);
    return (uint32_t)strtoul(at + strlen(" enterprise="), NULL, 10);
}
static void store_two(const char *first, const char *second)
{
    char csv[400];
    (void)snprintf(csv, sizeof csv,
                   "kind,number,owner_id,currency,amount,date\nexport_declaration,310120260900000001,%s,USD,9.00,2026-08-01\n"
                   "export_declaration,310120260900000002,%s,USD,9.00,2026-08-01\n",
                   first, second);
    kh_input input = text(csv);
    ASK(KH_DONE, kh_import_input(engine, &input, &(kh_import_options){0}, &sink));
}

Test(meetings, two_banks_enrol_one_enterprise)
{
    kh_engine *a = as(BANK_A), *b = as(BANK_B);
    prepared pa, pb;
    store_two("FGN0000001", "FGN0000001");
    prepare(&pa, a, "FGN0000001", "310120260900000001");
    prepare(&pb, b, "FGN0000001", "310120260900000002");
    send_prepared(&pa, a);
    send_prepared(&pb, b);
    cr_assert(enterprise_of(a) == enterprise_of(b));
    ASK(KH_DONE, kh_party_list(engine, NULL, &sink));
    cr_assert(out.rows == 8 && count("FGN0000001") == 2); /* as name and as USCC */
    kh_engine_close(a);
    kh_engine_close(b);
}

Test(meetings, two_enterprises_that_hash_to_one_id)
{
    char first[32], second[32];
    two_of_one_id(first, second);
    kh_engine *a = as(BANK_A), *b = as(BANK_B);
    prepared pa, pb;
    store_two(first, second);
    prepare(&pa, a, first, "310120260900000001");
    prepare(&pb, b, second, "310120260900000002");
    cr_assert(pa.op.apply.enterprise == pb.op.apply.enterprise); /* neither knows of the other */
    send_prepared(&pa, a);
    send_prepared(&pb, b);
    uint32_t one = enterprise_of(a), other = enterprise_of(b);
    cr_assert(one != other && one == enrolled_id(first) && other == one + 1, "%u %u", one, other);
    kh_engine_close(a);
    kh_engine_close(b);
}

Test(meetings, two_that_hash_to_one_id_in_one_file)
{
    char first[32], second[32], csv[400];
    two_of_one_id(first, second);
    kh_engine *a = as(BANK_A);
    store_two(first, second);
    (void)snprintf(csv, sizeof csv,
                   "id,enterprise,product,amount,currency,kind,number\n1,%s,export_receivable,1.00,USD,export_declaration,"
                   "310120260900000001\n"
                   "2,%s,export_receivable,1.00,USD,export_declaration,310120260900000002\n",
                   first, second);
    kh_input input = text(csv);
    ASK(KH_DONE, kh_finance_apply_input(a, NULL, &input, false, &sink));
    cr_assert(out.rows == 2 && count("name=OK") >= 2, "%s", rows());
    kh_engine_close(a);
}

Test(meetings, the_operator_registers_who_is_being_enrolled)
{
    kh_engine *a = as(BANK_A);
    prepared pa;
    store_two("FGN0000001", "FGN0000001");
    prepare(&pa, a, "FGN0000001", "310120260900000001");
    ASK(KH_DONE, kh_party_add(engine, 500, "enterprise", "Registered", "FGN0000001", &sink));
    send_prepared(&pa, a);
    cr_assert(enterprise_of(a) == 500);
    kh_engine_close(a);
}
