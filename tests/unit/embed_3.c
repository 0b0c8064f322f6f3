/* embed: handles of parties on one engine: what each may ask and do, inputs, the probe rule. */
#include "embed_fixture.h"

TestSuite(handles, .init = begin, .fini = end);

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
