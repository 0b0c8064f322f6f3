/* embed: the library as a program uses it: bulk applications and look-ups from several threads, closing and opening again. */
#include <criterion/criterion.h>
#include <kanhe/kanhe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DOCS = 400, LOOKERS = 3 };
static const char owner[] = "91350211M000100Y43";

static void nothing(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    (void)row;
}
static const kh_result_sink quiet = {.row = nothing};

static char *temp_dir(void)
{
    char *dir = strdup("/tmp/kanhe-embed-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    return dir;
}

static void remove_dir(char *dir)
{
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
    free(dir);
}

static kh_engine *opened(const char *dir)
{
    kh_options options = kh_options_default(dir);
    kh_engine *e;
    options.embedded = true;
    cr_assert(kh_engine_new(&options, &e) == KH_DONE);
    return e;
}

static void document(uint32_t i, char name[64]) { (void)snprintf(name, 64, "export_declaration:310120260%09u", i); }

static kh_engine *filled(const char *dir)
{
    kh_options options = kh_options_default(dir);
    char message[400], path[300];
    cr_assert(kh_create(&options, NULL, NULL, message, sizeof message) == KH_DONE, "%s", message);
    kh_engine *e = opened(dir);
    cr_assert(kh_party_add(e, 11, "bank", "Bank A", NULL, &quiet) == KH_DONE);
    cr_assert(kh_party_add(e, 12, "bank", "Bank B", NULL, &quiet) == KH_DONE);
    cr_assert(kh_party_add(e, 101, "enterprise", "Exporter", owner, &quiet) == KH_DONE);
    (void)snprintf(path, sizeof path, "%s.csv", dir);
    FILE *f = fopen(path, "w");
    (void)fputs("kind,number,owner_id,currency,amount,date\n", f);
    for (uint32_t i = 0; i < DOCS; i++)
        (void)fprintf(f, "export_declaration,310120260%09u,%s,USD,1000.00,2026-08-01\n", i, owner);
    (void)fclose(f);
    cr_assert(kh_import(e, path, &(kh_import_options){0}, &quiet) == KH_DONE, "%s", kh_message(e));
    (void)unlink(path);
    return e;
}

typedef struct looker {
    kh_engine *e;
    bool stop;
    uint32_t rounds, wrong;
} looker;

static void *look(void *arg)
{
    looker *me = arg;
    kh_lookup_question questions[DOCS];
    kh_lookup_answer answers[DOCS];
    for (uint32_t i = 0; i < DOCS; i++) {
        char name[64];
        document(i, name);
        questions[i] = (kh_lookup_question){.amount = 100000, .want = KH_NO_AMOUNT, .owner = owner, .currency = 840};
        if (!kh_document_id(name, &questions[i].id)) me->wrong++;
    }
    while (!__atomic_load_n(&me->stop, __ATOMIC_ACQUIRE) || me->rounds == 0) {
        if (kh_lookup(me->e, 12, questions, DOCS, answers) != KH_DONE) me->wrong++;
        for (uint32_t i = 0; i < DOCS; i++) /* free is whole, or what bank A's one reserve leaves: never anything between */
            if (answers[i].code != 0 || (answers[i].free != 100000 && answers[i].free != 40000)) me->wrong++;
        me->rounds++;
    }
    return NULL;
}

Test(embed, bulk_from_several_threads)
{
    char *dir = temp_dir();
    kh_engine *e = filled(dir);
    looker lookers[LOOKERS] = {0};
    pthread_t threads[LOOKERS];
    for (uint32_t t = 0; t < LOOKERS; t++) {
        lookers[t].e = e;
        cr_assert(pthread_create(&threads[t], NULL, look, &lookers[t]) == 0);
    }
    for (uint32_t at = 0; at < DOCS; at += 50) {
        kh_reserve requests[50];
        kh_reserved got[50];
        for (uint32_t i = 0; i < 50; i++) {
            char name[64];
            document(at + i, name);
            requests[i] = (kh_reserve){.id = at + i + 1,
                                       .amount = 60000,
                                       .bank = 11,
                                       .enterprise = 101,
                                       .currency = 840,
                                       .product = "export_receivable"};
            cr_assert(kh_document_id(name, &requests[i].document));
        }
        cr_assert(kh_submit(e, requests, 50, got) == KH_DONE, "%s", kh_message(e));
        for (uint32_t i = 0; i < 50; i++) cr_assert(got[i].code == 0 && got[i].amount == 60000 && got[i].height > 0);
    }
    for (uint32_t t = 0; t < LOOKERS; t++) {
        __atomic_store_n(&lookers[t].stop, true, __ATOMIC_RELEASE);
        (void)pthread_join(threads[t], NULL);
        cr_assert(lookers[t].wrong == 0 && lookers[t].rounds > 0);
    }
    kh_engine_close(e);
    e = opened(dir); /* everything that was answered is still there */
    kh_lookup_question q = {.amount = 100000, .want = 50000, .owner = owner, .currency = 840};
    kh_lookup_answer a;
    cr_assert(kh_document_id("export_declaration:310120260000000007", &q.id));
    cr_assert(kh_lookup(e, 12, &q, 1, &a) == KH_DONE && a.code == 40 && a.free == 40000, "code %u free %llu", a.code,
              (unsigned long long)a.free);
    q.want = 40000;
    cr_assert(kh_lookup(e, 12, &q, 1, &a) == KH_DONE && a.code == 0);
    q.owner = "91350211M000100Y44";
    cr_assert(kh_lookup(e, 12, &q, 1, &a) == KH_DONE && a.code == 21 && a.free == KH_NO_AMOUNT); /* a mismatch tells no balance */
    q.owner = NULL;
    cr_assert(kh_lookup(e, 12, &q, 1, &a) == KH_DONE && a.code == 10);
    cr_assert(kh_lookup(e, 99, &q, 1, &a) == KH_DONE && a.code == 70); /* no such party */
    kh_reserve again = {.id = 8, .amount = 60000, .bank = 11, .enterprise = 101, .currency = 840, .product = "export_receivable"},
               more = again;
    kh_reserved got;
    again.document = more.document = q.id;
    cr_assert(kh_submit(e, &again, 1, &got) == KH_DONE && got.code == 0); /* sent again: the first outcome, nothing new */
    more.id = 9000;
    cr_assert(kh_submit(e, &more, 1, &got) == KH_DONE && got.code == 40);
    kh_engine_close(e);
    remove_dir(dir);
}

Test(embed, misuse_is_said)
{
    char message[300];
    kh_engine *e;
    kh_options options = kh_options_default("/nonexistent/kanhe");
    kh_lookup_question q = {0};
    kh_lookup_answer a;
    kh_id id;
    cr_assert(kh_engine_new(&options, &e) == KH_DONE);
    cr_assert(kh_stats(e, &quiet) == KH_FAILED && kh_message(e)[0] != '\0');
    cr_assert(kh_lookup(e, 0, &q, 1, &a) == KH_MISUSE); /* not opened as embedded */
    kh_engine_close(e);
    cr_assert(!kh_document_id("export_declaration", &id) && !kh_document_id("teapot:1", &id) &&
              !kh_document_id("export_declaration:123456789", &id));
    cr_assert(kh_create(&options, "no_such_rule 1\n", NULL, message, sizeof message) != KH_DONE && message[0] != '\0');
}
