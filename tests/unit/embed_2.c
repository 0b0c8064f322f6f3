/* embed, credit: an enterprise is looked at while applications go on: the walks let them in, and what they find is whole. */
#include <criterion/criterion.h>
#include <kanhe/kanhe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DOCS = 40000, BATCH = 64 };
static const char *const owners[2] = {"91350211M000100Y43", "91350100M0001TGQXM"};

typedef struct seen {
    uint32_t rows, wrong;
    uint64_t count, code;
    char last[64];
} seen;

static const kh_result_field *field(const kh_result_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (strcmp(row->fields[i].name, name) == 0) return &row->fields[i];
    return NULL;
}

static void look_at(void *ctx, const kh_result_row *row)
{
    seen *s = ctx;
    s->rows++;
    if (field(row, "code") != NULL) s->code = field(row, "code")->number;
    if (field(row, "count") != NULL) s->count += field(row, "count")->number;
    if (field(row, "number") == NULL) return;
    const char *number = field(row, "number")->text;
    if (strcmp(s->last, number) >= 0 || strcmp(field(row, "owner")->text, owners[0]) != 0) s->wrong++;
    (void)snprintf(s->last, sizeof s->last, "%s", number);
}

static kh_engine *filled(const char *dir)
{
    kh_options options = kh_options_default(dir);
    char message[400], path[300];
    kh_engine *e;
    seen s = {0};
    kh_result_sink sink = {.row = look_at, .ctx = &s};
    cr_assert(kh_create(&options, NULL, NULL, message, sizeof message) == KH_DONE, "%s", message);
    options.embedded = true;
    cr_assert(kh_engine_new(&options, &e) == KH_DONE);
    cr_assert(kh_party_add(e, 11, "bank", "Bank A", NULL, &sink) == KH_DONE);
    cr_assert(kh_party_add(e, 12, "bank", "Bank B", NULL, &sink) == KH_DONE);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert(kh_party_add(e, 101 + i, "enterprise", i == 0 ? "Exporter" : "Importer", owners[i], &sink) == KH_DONE);
    (void)snprintf(path, sizeof path, "%s.csv", dir);
    FILE *f = fopen(path, "w");
    (void)fputs("kind,number,owner_id,currency,amount,date\n", f);
    for (uint32_t i = 0; i < DOCS; i++)
        (void)fprintf(f, "export_declaration,310120260%09u,%s,USD,1000.00,2026-08-01\n", i, owners[i % 2]);
    (void)fclose(f);
    cr_assert(kh_import(e, path, &(kh_import_options){0}, &sink) == KH_DONE, "%s", kh_message(e));
    (void)unlink(path);
    return e;
}

typedef struct applier {
    kh_engine *e;
    _Atomic bool stop;
    _Atomic uint64_t done;
} applier;

static void *apply_on(void *arg)
{
    applier *a = arg;
    kh_reserve requests[BATCH];
    kh_reserved got[BATCH];
    char name[64];
    for (uint64_t id = 1; !atomic_load(&a->stop); id += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            requests[i] = (kh_reserve){.id = id + i, .amount = 1, .bank = 12, .enterprise = 101, .currency = 840, .product = "x"};
            (void)snprintf(name, sizeof name, "export_declaration:310120260%09u", (uint32_t)((id + i) % (DOCS / 2) * 2));
            if (!kh_document_id(name, &requests[i].document)) return NULL;
        }
        if (kh_submit(a->e, requests, BATCH, got) != KH_DONE) return NULL;
        for (uint32_t i = 0; i < BATCH; i++)
            if (got[i].code == 0) atomic_fetch_add(&a->done, 1);
    }
    return NULL;
}

Test(embed_credit, walks_beside_applications)
{
    char dir[] = "/tmp/kanhe-credit-XXXXXX", command[64];
    cr_assert(mkdtemp(dir) != NULL);
    kh_engine *e = filled(dir);
    applier a = {.e = e};
    pthread_t thread;
    seen s = {0};
    kh_result_sink sink = {.row = look_at, .ctx = &s};
    kh_grant_request grant = {.as = "101", .bank = "11", .scope = "documents,credit", .until = "2099-12-31", .id = 1};
    cr_assert(kh_grant_add(e, &grant, &sink) == KH_DONE, "%s", kh_message(e));
    cr_assert(pthread_create(&thread, NULL, apply_on, &a) == 0);
    while (atomic_load(&a.done) == 0) usleep(1000);
    uint64_t before = 0, counted = 0;
    for (uint32_t round = 0; round < 5; round++) {
        kh_credit_request credit = {.as = "11", .enterprise = "101", .grant = 1};
        before = atomic_load(&a.done);
        s = (seen){0};
        cr_assert(kh_credit(e, &credit, &sink) == KH_DONE, "%s", kh_message(e));
        cr_assert(s.count >= before && s.count >= counted); /* all that were done before it began */
        counted = s.count;
        credit.scope = "documents";
        credit.limit = DOCS;
        s = (seen){0};
        cr_assert(kh_credit(e, &credit, &sink) == KH_DONE, "%s", kh_message(e));
        cr_assert(s.rows == DOCS / 2 && s.wrong == 0, "%u rows, %u wrong", s.rows, s.wrong);
    }
    atomic_store(&a.stop, true);
    cr_assert(pthread_join(thread, NULL) == 0);
    cr_assert(atomic_load(&a.done) > before);
    s = (seen){0};
    cr_assert(kh_grant_lookups(e, "101", NULL, &sink) == KH_DONE && s.rows == 10);
    kh_engine_close(e);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
}

Test(embed_credit, requests_that_make_no_sense)
{
    char dir[] = "/tmp/kanhe-credit-XXXXXX", command[64], message[400];
    cr_assert(mkdtemp(dir) != NULL);
    kh_options options = kh_options_default(dir);
    kh_engine *e;
    seen s = {0};
    kh_result_sink sink = {.row = look_at, .ctx = &s};
    cr_assert(kh_create(&options, NULL, NULL, message, sizeof message) == KH_DONE);
    cr_assert(kh_engine_new(&options, &e) == KH_DONE);
    cr_assert(kh_party_add(e, 11, "bank", "Bank A", NULL, &sink) == KH_DONE);
    cr_assert(kh_credit(e, &(kh_credit_request){.as = "11"}, &sink) == KH_MISUSE);
    cr_assert(kh_credit(e, &(kh_credit_request){.as = "11", .enterprise = "x", .scope = "x"}, &sink) == KH_MISUSE);
    cr_assert(kh_credit(e, &(kh_credit_request){.as = "11", .enterprise = "x", .limit = 65537}, &sink) == KH_MISUSE);
    cr_assert(kh_credit(e, &(kh_credit_request){.as = "11", .enterprise = "x", .after = "nonsense"}, &sink) == KH_MISUSE);
    cr_assert(kh_credit(e, &(kh_credit_request){.as = "11", .enterprise = "x", .after = "export_declaration:123456789"}, &sink) ==
              KH_MISUSE);
    cr_assert(kh_credit(e, &(kh_credit_request){.as = "11", .enterprise = "x"}, &sink) == KH_DONE_NOT_OK && s.code == 60);
    cr_assert(kh_grant_add(e, &(kh_grant_request){.bank = "11", .scope = "credit", .until = "2026-01-01"}, &sink) == KH_MISUSE);
    cr_assert(kh_grant_add(e, &(kh_grant_request){.bank = "11", .scope = NULL, .until = "2026-01-01"}, &sink) == KH_MISUSE);
    cr_assert(kh_grant_add(e, &(kh_grant_request){.bank = "11", .scope = "credit"}, &sink) == KH_MISUSE);
    cr_assert(kh_risk_ask(e, "11", NULL, 0, &sink) == KH_MISUSE);
    cr_assert(kh_risk_ask(e, "11", (const char *const[]){NULL}, 1, &sink) == KH_MISUSE);
    cr_assert(kh_risk_add(e, "11", "A", NULL, &sink) == KH_MISUSE && kh_risk_add(e, "11", NULL, "fraud", &sink) == KH_MISUSE);
    cr_assert(kh_risk_remove(e, NULL, "A", "fraud", "nobody", &sink) == KH_MISUSE);
    kh_engine_close(e);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
}
