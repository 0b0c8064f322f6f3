/* embed: handles of parties on one engine: what each may ask and do, pages, inputs, the probe rule, enrolments that meet. */
#include "embed/embed.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REGULATOR = 1,
    BANK_A = 11,
    BANK_B = 12,
    EXPORTER = 101,
    OTHER_EXPORTER = 102,
    SOURCE = 201,
    OTHER_SOURCE = 202,
    DOCS = 20
};
static const char exporter[] = "91350211M000100Y43";

/* The rows of a call as text, a line each. */
typedef struct said {
    char text[1 << 20];
    size_t n;
    uint32_t rows;
    kh_engine *also; /* asked from inside each row */
} said;
static said out;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    out.n += (size_t)vsnprintf(out.text + out.n, sizeof out.text - out.n, format, args);
    va_end(args);
    cr_assert(out.n < sizeof out.text);
}
static void say_row(const kh_result_row *row)
{
    say("%s", row->what);
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        if (f->type == KH_FIELD_NUMBER || f->type == KH_FIELD_BOOL) say(" %s=%llu", f->name, (unsigned long long)f->number);
        else if (f->type == KH_FIELD_TEXT || f->type == KH_FIELD_WORDS) say(" %s=%s", f->name, f->text);
        else if (f->type == KH_FIELD_ROWS)
            for (uint32_t k = 0; k < f->row_cnt; k++) {
                say(" [");
                say_row(&f->rows[k]);
                say("]");
            }
    }
}
static void on_row(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    out.rows++;
    say_row(row);
    say("\n");
    if (out.also != NULL) {
        kh_result_sink none = {0};
        cr_assert(kh_rule_set(out.also, "refusal_limit", "off", &none) == KH_DONE, "%s", kh_message(out.also));
    }
}
static const kh_result_sink sink = {.row = on_row};
static const char *rows(void) { return out.text; }
static void fresh(void)
{
    out.n = out.rows = 0;
    out.text[0] = '\0';
}
#define ASK(expected, call)                                                                                                      \
    do {                                                                                                                         \
        fresh();                                                                                                                 \
        kh_result got_ = (call);                                                                                                 \
        cr_assert(got_ == (expected), "%s: %d\n%s", #call, (int)got_, rows());                                                   \
    } while (0)
static bool has(const char *text) { return strstr(out.text, text) != NULL; }

typedef struct text_input {
    const char *text;
    size_t at, piece;
} text_input;
static int64_t read_text(void *ctx, void *p, size_t cap)
{
    text_input *t = ctx;
    size_t n = strlen(t->text + t->at);
    if (n > cap) n = cap;
    if (t->piece != 0 && n > t->piece) n = t->piece;
    memcpy(p, t->text + t->at, n);
    t->at += n;
    return (int64_t)n;
}
static text_input bytes;
static kh_input text(const char *what)
{
    bytes = (text_input){.text = what};
    return (kh_input){.name = "a text", .read = read_text, .ctx = &bytes};
}

static char dir[64];
static kh_engine *engine;
static kh_limits *limits;

static void number_of(uint32_t i, char ret[64]) { (void)snprintf(ret, 64, "export_declaration:310120260%09u", i); }

static void begin(void)
{
    char message[600], line[200];
    static char csv[20000];
    strcpy(dir, "/tmp/kanhe-embed-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    kh_options options = kh_options_default(dir);
    options.embedded = true;
    cr_assert(kh_create(&options, NULL, NULL, message, sizeof message) == KH_DONE, "%s", message);
    cr_assert(kh_engine_new(&options, &engine) == KH_DONE);
    ASK(KH_DONE, kh_party_add(engine, REGULATOR, "regulator", "Office", NULL, &sink));
    ASK(KH_DONE, kh_party_add(engine, BANK_A, "bank", "Bank A", NULL, &sink));
    ASK(KH_DONE, kh_party_add(engine, BANK_B, "bank", "Bank B", NULL, &sink));
    ASK(KH_DONE, kh_party_add(engine, EXPORTER, "enterprise", "Exporter", exporter, &sink));
    ASK(KH_DONE, kh_party_add(engine, OTHER_EXPORTER, "enterprise", "Other", "FOREIGN1", &sink));
    ASK(KH_DONE, kh_party_add(engine, SOURCE, "source", "Customs", NULL, &sink));
    ASK(KH_DONE, kh_party_add(engine, OTHER_SOURCE, "source", "Tax", NULL, &sink));
    strcpy(csv, "kind,number,owner_id,currency,amount,date\n");
    for (uint32_t i = 0; i < DOCS; i++) {
        (void)snprintf(line, sizeof line, "export_declaration,310120260%09u,%s,USD,1000.00,2026-08-01\n", i, exporter);
        strcat(csv, line);
    }
    kh_input input = text(csv);
    ASK(KH_DONE, kh_import_input(engine, &input, &(kh_import_options){0}, &sink));
}

static void end(void)
{
    char command[100];
    kh_engine_close(engine);
    kh_limits_free(limits);
    limits = NULL;
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
}
TestSuite(handles, .init = begin, .fini = end);

static kh_engine *as(uint32_t party)
{
    kh_engine *e;
    cr_assert(kh_engine_as(engine, party, &e) == KH_DONE, "%s", kh_message(engine));
    return e;
}

static void apply(kh_engine *bank, uint64_t id, uint32_t document, const char *amount)
{
    char name[64];
    const char *documents[1] = {name};
    number_of(document, name);
    kh_apply_request r = {.enterprise = "101", .product = "export_receivable", .amount = amount, .currency = "USD", .id = id};
    r.documents = documents;
    r.document_cnt = 1;
    ASK(KH_DONE, kh_finance_apply(bank, &r, &sink));
}

Test(handles, another_party_is_refused_whether_there_is_one_or_not)
{
    static const char *const others[] = {"12", "Bank B", "99", "no such bank", "1", "Office"};
    kh_engine *a = as(BANK_A), *b = as(BANK_B);
    char first[2000], name[64];
    number_of(0, name);
    const char *documents[1] = {name};
    kh_paper paper = {.document = name, .owner = exporter, .amount = "1000.00"};
    apply(b, 7, 0, "100.00");
    kh_apply_request r = {.enterprise = "101",
                          .product = "export_receivable",
                          .amount = "1.00",
                          .currency = "USD",
                          .id = 5,
                          .documents = documents,
                          .document_cnt = 1};
    kh_event_request v = {.event = "accept", .id = 7};
    for (int call = 0; call < 9; call++)
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            kh_input input = text("kind,number,owner_id,currency,amount,date\ninvoice,1,FOREIGN1,USD,1,2026-08-01\n");
            paper.as = r.as = v.as = others[i];
            fresh();
            kh_result result = call == 0   ? kh_balance(a, &paper, &sink)
                               : call == 1 ? kh_history(a, &paper, NULL, &sink)
                               : call == 2 ? kh_alerts(a, others[i], NULL, &sink)
                               : call == 3 ? kh_finance_list(a, others[i], NULL, NULL, &sink)
                               : call == 4 ? kh_finance_show(a, "7", others[i], &sink)
                               : call == 5 ? kh_finance_apply(a, &r, &sink)
                               : call == 6 ? kh_finance_event(a, &v, &sink)
                               : call == 7 ? kh_verify_input(a, &input, others[i], &sink)
                                           : kh_finance_apply_input(a, others[i], &input, false, &sink);
            cr_assert(result == KH_DONE_NOT_OK && out.rows == 1 && has(" code=70 name=NOT_AUTHORISED"), "call %d as %s: %d\n%s",
                      call, others[i], (int)result, rows());
            if (i == 0) (void)snprintf(first, sizeof first, "%s", rows());
            else cr_assert(strcmp(first, rows()) == 0, "call %d as %s:\n%s%s", call, others[i], first, rows());
        }
    paper.as = "Bank A"; /* itself */
    ASK(KH_DONE, kh_balance(a, &paper, &sink));
    ASK(KH_DONE, kh_finance_show(b, "7", "12", &sink));
    kh_engine_close(a);
    kh_engine_close(b);
}

Test(handles, what_is_others_is_as_if_it_were_not_there)
{
    kh_engine *a = as(BANK_A), *b = as(BANK_B), *enterprise = as(EXPORTER), *other = as(OTHER_EXPORTER);
    apply(b, 7, 0, "100.00");
    apply(a, 7, 1, "100.00");
    apply(b, 9, 0, "100.00");
    char gone[2000], name[64];
    ASK(KH_DONE_NOT_OK, kh_finance_show(a, "12:9", NULL, &sink));
    (void)snprintf(gone, sizeof gone, "%s", rows());
    cr_assert(has("name=NOT_FOUND"));
    static const char *const nothing[] = {"12:9", "9", "11:9", "99:9", "Nobody:9"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        ASK(KH_DONE_NOT_OK, kh_finance_show(a, nothing[i], NULL, &sink));
        cr_assert(strcmp(gone, rows()) == 0, "%s: %s", nothing[i], rows());
    }
    ASK(KH_DONE, kh_finance_list(a, NULL, NULL, NULL, &sink));
    cr_assert(out.rows == 1 && has("bank=11") && !has("bank=12"));
    /* one of two of a number is an enterprise's, or both, or none */
    ASK(KH_MISUSE, kh_finance_show(enterprise, "7", NULL, &sink));
    ASK(KH_DONE, kh_finance_show(enterprise, "9", NULL, &sink));
    ASK(KH_DONE_NOT_OK, kh_finance_show(other, "7", NULL, &sink));
    /* a paper without its proof, and none at all */
    number_of(0, name);
    kh_paper paper = {.document = name, .owner = exporter, .amount = "999.00"};
    ASK(KH_DONE_NOT_OK, kh_balance(a, &paper, &sink));
    cr_assert(has("name=NOT_FOUND"));
    ASK(KH_DONE_NOT_OK, kh_history(a, &paper, NULL, &sink));
    cr_assert(has("name=NOT_FOUND"));
    paper.amount = "1000.00";
    ASK(KH_DONE, kh_history(a, &paper, NULL, &sink));
    cr_assert(!has("bank=12") && !has("financing=9"), "%s", rows());
    ASK(KH_DONE, kh_balance(enterprise, &paper, &sink));
    ASK(KH_DONE_NOT_OK, kh_balance(other, &paper, &sink));
    cr_assert(has("name=NOT_FOUND"));
    kh_event_request v = {.event = "accept", .id = 9}; /* of bank B */
    ASK(KH_DONE_NOT_OK, kh_finance_event(a, &v, &sink));
    cr_assert(has("name=NOT_FOUND"), "%s", rows());
    kh_engine_close(a);
    kh_engine_close(b);
    kh_engine_close(enterprise);
    kh_engine_close(other);
}

Test(handles, roles)
{
    static const struct {
        uint32_t party;
        bool registers, imports, directory, asks_register;
    } may[] = {{REGULATOR, true, true, true, true}, {BANK_A, false, false, false, true}, {EXPORTER, false, false, false, true},
               {SOURCE, false, true, false, true},  {77, false, false, false, false},    {0, true, true, true, true}};
    for (size_t i = 0; i < sizeof may / sizeof may[0]; i++) {
        kh_engine *e = as(may[i].party);
        kh_result reg = may[i].registers ? KH_DONE : KH_DONE_NOT_OK, dir_ = may[i].directory ? KH_DONE : KH_DONE_NOT_OK,
                  list = may[i].asks_register ? KH_DONE : KH_DONE_NOT_OK;
        ASK(reg, kh_party_add(e, 300 + (uint32_t)i, "bank", (char[]){'N', (char)('a' + i), 0}, NULL, &sink));
        ASK(reg, kh_rule_set(e, "refusal_limit", "off", &sink));
        ASK(reg, kh_rate_set(e, "USD", "CNY", "7.1", "2026-08-01", "PBOC", &sink));
        ASK(reg, kh_party_freeze(e, "102", true, &sink));
        ASK(reg, kh_party_freeze(e, "102", false, &sink));
        ASK(dir_, kh_stats(e, &sink));
        ASK(dir_, kh_audit(e, &sink));
        ASK(dir_, kh_snapshot(e, &sink));
        ASK(list, kh_party_list(e, NULL, &sink));
        ASK(list, kh_rule_list(e, &sink));
        ASK(list, kh_rate_list(e, &sink));
        char line[200];
        (void)snprintf(line, sizeof line,
                       "kind,number,owner_id,currency,amount,date\ninvoice,INV%zu,FOREIGN1,USD,5.00,2026-08-01\n", i);
        kh_input input = text(line);
        ASK(may[i].imports ? KH_DONE : KH_DONE_NOT_OK, kh_import_input(e, &input, &(kh_import_options){0}, &sink));
        cr_assert(has(may[i].imports ? "stored=1" : "name=NOT_AUTHORISED"), "party %u: %s", may[i].party, rows());
        kh_engine_close(e);
    }
    kh_engine *handle = as(BANK_A), *none;
    ASK(KH_MISUSE, kh_engine_as(handle, BANK_B, &none)); /* no handle on a handle */
    kh_engine_close(handle);
}

Test(handles, a_source_is_its_own_feed)
{
    kh_engine *e = as(SOURCE), *regulator = as(REGULATOR);
    static const char line[] = "kind,number,owner_id,currency,amount,date\ninvoice,F%d,FOREIGN1,USD,5.00,2026-08-01\n";
    char csv[200];
    static const char *const itself[] = {"Customs", "201", NULL}, *const other[] = {"Tax", "202", "1", "Nobody"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(csv, sizeof csv, line, i);
        kh_input input = text(csv);
        ASK(KH_DONE, kh_import_input(e, &input, &(kh_import_options){.source = itself[i]}, &sink));
        cr_assert(has("stored=1"));
    }
    for (int i = 0; i < 4; i++) {
        kh_input input = text(line);
        ASK(KH_DONE_NOT_OK, kh_import_input(e, &input, &(kh_import_options){.source = other[i]}, &sink));
        cr_assert(out.rows == 1 && has("name=NOT_AUTHORISED"), "%s", rows());
    }
    ASK(KH_DONE, kh_party_freeze(regulator, "201", true, &sink));
    kh_input input = text(line);
    ASK(KH_DONE_NOT_OK, kh_import_input(e, &input, &(kh_import_options){0}, &sink));
    cr_assert(has("name=FROZEN"), "%s", rows());
    kh_engine_close(e);
    kh_engine_close(regulator);
}

Test(handles, bulk)
{
    kh_engine *a = as(BANK_A), *source = as(SOURCE), *regulator = as(REGULATOR);
    kh_lookup_question q = {.amount = 100000, .want = KH_NO_AMOUNT, .owner = exporter, .currency = 840};
    kh_lookup_answer answer;
    kh_reserved got;
    cr_assert(kh_document_id("export_declaration:310120260000000003", &q.id));
    cr_assert(kh_lookup(a, 0, &q, 1, &answer) == KH_DONE && answer.code == 0 && answer.free == 100000);
    cr_assert(kh_lookup(a, BANK_A, &q, 1, &answer) == KH_DONE && answer.code == 0);
    cr_assert(kh_lookup(a, BANK_B, &q, 1, &answer) == KH_DONE && answer.code == KH_C_NOT_AUTHORISED);
    cr_assert(kh_lookup(source, 0, &q, 1, &answer) == KH_DONE && answer.code == KH_C_NOT_AUTHORISED);
    kh_reserve r = {
        .id = 1, .amount = 60000, .bank = BANK_B, .enterprise = EXPORTER, .currency = 840, .product = "export_receivable"};
    r.document = q.id;
    cr_assert(kh_submit(a, &r, 1, &got) == KH_DONE && got.code == 0);
    ASK(KH_DONE, kh_finance_show(a, "11:1", NULL, &sink)); /* whoever the request names */
    cr_assert(kh_submit(source, &r, 1, &got) == KH_DONE && got.code == KH_C_NOT_AUTHORISED);
    cr_assert(kh_lookup(regulator, 0, &q, 1, &answer) == KH_DONE && answer.code == 0);
    char path[100], log[1000] = "";
    (void)snprintf(path, sizeof path, "%s/lookups/log", dir);
    kh_paper paper = {.document = "export_declaration:310120260000000004"};
    ASK(KH_DONE, kh_balance(regulator, &paper, &sink));
    kh_input input = text("kind,number,owner_id,currency,amount,date\nexport_declaration,310120260000000005,,,,\n"
                          "export_declaration,310120260000000006,,,,\n");
    ASK(KH_DONE, kh_verify_input(regulator, &input, NULL, &sink));
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL && fread(log, 1, sizeof log - 1, f) > 0);
    (void)fclose(f);
    cr_assert(strstr(log, "party 1 verify export_declaration:310120260000000003\n") != NULL &&
                  strstr(log, "party 1 balance export_declaration:310120260000000004\n") != NULL &&
                  strstr(log, "party 1 verify export_declaration:310120260000000005 export_declaration:310120260000000006\n") !=
                      NULL,
              "%s", log);
    kh_engine_close(a);
    kh_engine_close(source);
    kh_engine_close(regulator);
}

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

Test(handles, pages)
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
Test(handles, rows_are_given_with_the_gate_open)
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

/* ---- inputs ---- */

static int64_t broken(void *ctx, void *p, size_t cap)
{
    (void)ctx;
    (void)p;
    (void)cap;
    return -1;
}

Test(handles, inputs)
{
    kh_engine *a = as(BANK_A), *source = as(SOURCE);
    kh_input input = text("kind,number,owner_id,currency,amount,date\ninvoice,A1,FOREIGN1,USD,1.00,2026-08-01\ninvoice,A2,"
                          "FOREIGN1,USD,much,2026-08-01\n");
    input.line_offset = 1000;
    bytes.piece = 7;
    ASK(KH_DONE_NOT_OK, kh_import_input(source, &input, &(kh_import_options){0}, &sink));
    cr_assert(has("refused file=a text line=1003 ") && has(" byte=") && has(" text=invoice,A2,FOREIGN1,USD,much,2026-08-01") &&
                  has("stored=1"),
              "%s", rows());
    bytes.at = 0;
    ASK(KH_DONE_NOT_OK, kh_show_input(a, &input, NULL, NULL, &sink));
    cr_assert(has("line=1003"), "%s", rows());
    bytes.at = 0;
    ASK(KH_DONE_NOT_OK, kh_verify_input(a, &input, NULL, &sink));
    cr_assert(has("line=1002") && has("line=1003"), "%s", rows());
    input = text("id,enterprise,product,amount,currency,kind,number\n8,101,export_receivable,1.00,USD,export_declaration,"
                 "310120260000000002\n");
    input.line_offset = 50;
    ASK(KH_DONE, kh_finance_apply_input(a, NULL, &input, false, &sink));
    cr_assert(has("line=52"), "%s", rows());
    input = text("id,event\n8,accept\n");
    input.line_offset = 9;
    ASK(KH_DONE, kh_finance_events_input(a, NULL, &input, &sink));
    cr_assert(has("line=11") && has("state=ACCEPTED"), "%s", rows());
    input.read = broken;
    ASK(KH_FAILED, kh_verify_input(a, &input, NULL, &sink));
    ASK(KH_FAILED, kh_import_input(source, &input, &(kh_import_options){0}, &sink));
    kh_engine_close(a);
    kh_engine_close(source);
}

/* ---- the probe rule ---- */

static void limit(uint32_t burst)
{
    const kh_limit_rate rates[KH_LIMIT_CNT] = {[KH_LIMIT_PROBE] = {burst, 1}}, address = {0, 0};
    cr_assert(kh_limits_new(rates, address, &limits) == KH_OK);
    kh_embed_set_limits(engine, limits);
}
static uint32_t count(const char *what)
{
    uint32_t n = 0;
    for (const char *p = out.text; (p = strstr(p, what)) != NULL; p++) n++;
    return n;
}

Test(handles, guessing_costs_and_knowing_does_not)
{
    static char csv[100000];
    char line[200];
    limit(100);
    kh_engine *a = as(BANK_A), *b = as(BANK_B), *regulator = as(REGULATOR);
    for (int round = 0; round < 50; round++) { /* 1,000 questions about papers that it holds */
        strcpy(csv, "kind,number,owner_id,currency,amount,date\n");
        for (uint32_t i = 0; i < DOCS; i++) {
            (void)snprintf(line, sizeof line, "export_declaration,310120260%09u,%s,USD,1000.00,2026-08-01\n", i, exporter);
            strcat(csv, line);
        }
        kh_input input = text(csv);
        ASK(KH_DONE, kh_verify_input(a, &input, NULL, &sink));
    }
    strcpy(csv, "kind,number,owner_id,currency,amount,date\n");
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(line, sizeof line, "export_declaration,310120260%09u,%s,USD,1000.00,2026-08-01\n",
                       i % 2 ? 500 + i : i % DOCS, exporter);
        strcat(csv, line);
    }
    kh_input input = text(csv);
    ASK(KH_DONE_NOT_OK, kh_verify_input(a, &input, NULL, &sink));
    cr_assert(count("name=NOT_FOUND") >= 90 && count("name=NOT_FOUND") <= 102 && count("name=RATE_LIMITED") > 50, "%u, %u",
              count("name=NOT_FOUND"), count("name=RATE_LIMITED"));
    /* no other door is open */
    kh_paper paper = {.document = "export_declaration:310120260000000000", .owner = exporter, .amount = "1.00"};
    const char *documents[1] = {"export_declaration:310120260000000777"};
    kh_apply_request r = {.enterprise = "101", .product = "export_receivable", .amount = "1.00", .currency = "USD", .id = 5};
    r.documents = documents;
    r.document_cnt = 1;
    for (int i = 0; i < 3; i++) { /* a second may bring one back */
        (void)kh_balance(a, &paper, &sink);
        (void)kh_finance_show(a, "77", NULL, &sink);
        (void)kh_finance_apply(a, &r, &sink);
    }
    ASK(KH_DONE_NOT_OK, kh_balance(a, &paper, &sink));
    cr_assert(has("name=RATE_LIMITED"), "%s", rows());
    ASK(KH_DONE_NOT_OK, kh_history(a, &paper, NULL, &sink));
    cr_assert(has("name=RATE_LIMITED"), "%s", rows());
    ASK(KH_DONE_NOT_OK, kh_finance_show(a, "77", NULL, &sink));
    cr_assert(has("name=RATE_LIMITED"), "%s", rows());
    ASK(KH_DONE_NOT_OK, kh_finance_apply(a, &r, &sink));
    cr_assert(has("name=RATE_LIMITED"), "%s", rows());
    input = text("id,enterprise,product,amount,currency,kind,number\n8,101,export_receivable,1.00,USD,export_declaration,"
                 "310120260000000777\n");
    ASK(KH_DONE_NOT_OK, kh_finance_apply_input(a, NULL, &input, false, &sink));
    cr_assert(has("name=RATE_LIMITED"), "%s", rows());
    kh_lookup_question q = {.amount = 100000, .want = KH_NO_AMOUNT, .owner = exporter, .currency = 840};
    kh_lookup_answer answer;
    cr_assert(kh_document_id("export_declaration:310120260000000777", &q.id) && kh_lookup(a, 0, &q, 1, &answer) == KH_DONE);
    cr_assert(answer.code == KH_C_RATE_LIMITED);
    /* it is that bank's matter alone */
    ASK(KH_DONE_NOT_OK, kh_balance(b, &paper, &sink));
    cr_assert(has("name=NOT_FOUND"));
    for (int i = 0; i < 300; i++) ASK(KH_DONE_NOT_OK, kh_finance_show(regulator, "77", NULL, &sink));
    cr_assert(has("name=NOT_FOUND"));
    kh_engine_close(a);
    kh_engine_close(b);
    kh_engine_close(regulator);
}

Test(handles, applications_in_a_file_pay_for_their_mismatches_alone)
{
    static char csv[100000];
    char line[200];
    limit(10);
    kh_engine *a = as(BANK_A);
    strcpy(csv, "id,enterprise,product,amount,currency,kind,number\n");
    for (uint32_t i = 0; i < 100; i++) {
        (void)snprintf(line, sizeof line, "%u,101,export_receivable,1.00,USD,export_declaration,310120260%09u\n", i + 1,
                       i % DOCS);
        strcat(csv, line);
    }
    kh_input input = text(csv);
    ASK(KH_DONE, kh_finance_apply_input(a, NULL, &input, false, &sink));
    cr_assert(out.rows == 100);
    strcpy(csv, "id,enterprise,product,amount,currency,kind,number\n");
    for (uint32_t i = 0; i < 100; i++) {
        (void)snprintf(line, sizeof line, "%u,101,export_receivable,1.00,USD,export_declaration,310120260%09u\n", i + 1001,
                       i + 500);
        strcat(csv, line);
    }
    input = text(csv);
    ASK(KH_DONE_NOT_OK, kh_finance_apply_input(a, NULL, &input, false, &sink));
    cr_assert(out.rows == 100 && count("name=RATE_LIMITED") >= 85, "%u", count("name=RATE_LIMITED"));
    kh_engine_close(a);
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

Test(handles, two_banks_enrol_one_enterprise)
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

Test(handles, two_enterprises_that_hash_to_one_id)
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

Test(handles, two_that_hash_to_one_id_in_one_file)
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

Test(handles, the_operator_registers_who_is_being_enrolled)
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
