/* embed_torture: parties' handles on one engine, each on a thread of its own: a source imports, banks apply, verify and look,
 * enterprises are enrolled by several banks at once, regulator and operator list, change rules, make images and audit. Plain
 * main: runs under TSan. embed_torture SECONDS [SEED] */
#include "embed/embed.h"
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SOURCE = 201, REGULATOR = 1, BANK_A = 11, BANK_B = 12, DOCS = 64, OWNERS = 40 };

static kh_engine *engine;
static uint64_t seed;
static _Atomic bool stop;
static _Atomic uint32_t imported, wrong, files;
static _Atomic uint64_t rounds[8];

#define EXPECT(condition, ...)                                                                                                   \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            (void)fprintf(stderr, "wrong, line %d (%s): ", __LINE__, #condition);                                                \
            (void)fprintf(stderr, __VA_ARGS__);                                                                                  \
            (void)fputc('\n', stderr);                                                                                           \
            wrong++;                                                                                                             \
            stop = true;                                                                                                         \
        }                                                                                                                        \
    } while (0)

typedef struct text_input {
    char text[64 << 10];
    size_t n, at;
} text_input;
static int64_t read_text(void *ctx, void *p, size_t cap)
{
    text_input *t = ctx;
    size_t n = t->n - t->at < cap ? t->n - t->at : cap;
    memcpy(p, t->text + t->at, n);
    t->at += n;
    return (int64_t)n;
}
static void put(text_input *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(text_input *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->text + t->n, sizeof t->text - t->n, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof t->text - t->n) t->n += (size_t)n;
}

typedef struct worker { /* one thread */
    kh_engine *e;
    uint32_t party, number;
    uint64_t random;
    text_input *text;
    kh_input input;
    uint32_t rows, ok, refused; /* of the last call */
    uint64_t row_bank;          /* all rows of financings are this bank's; 0: any */
    uint64_t last_height;
} worker;

static uint32_t any(worker *w, uint32_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->random >> 33) % n;
}

static const kh_result_field *field(const kh_result_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (strcmp(row->fields[i].name, name) == 0) return &row->fields[i];
    return NULL;
}

static void on_row(void *ctx, const kh_result_row *row)
{
    worker *w = ctx;
    const kh_result_field *code = field(row, "code"), *bank = field(row, "bank"), *height = field(row, "height");
    w->rows++;
    if (code != NULL && code->number == 0) w->ok++;
    if (code != NULL && code->number != 0) w->refused++;
    if (w->row_bank != 0 && bank != NULL && bank->type == KH_FIELD_NUMBER)
        EXPECT(bank->number == w->row_bank, "party %u sees bank %llu in a %s", w->party, (unsigned long long)bank->number,
               row->what);
    if (strcmp(row->what, "alert") == 0 || strcmp(row->what, "event") == 0) {
        EXPECT(height->number >= w->last_height, "%s: height goes back", row->what);
        w->last_height = height->number;
    }
    if ((w->rows & 15) == 0) { /* a slow reader of rows: nobody may wait for it */
        struct timespec nap = {0, 20000};
        (void)nanosleep(&nap, NULL);
    }
}

static kh_result_sink begin(worker *w)
{
    w->rows = w->ok = w->refused = 0;
    w->last_height = 0;
    return (kh_result_sink){.row = on_row, .ctx = w};
}

static void text_begin(worker *w)
{
    w->text->n = w->text->at = 0;
    w->input = (kh_input){.name = "input", .read = read_text, .ctx = w->text};
}

/* Owners get a check digit that need not be right: a foreign id. */
static void owner_of(uint32_t i, char ret[32]) { (void)snprintf(ret, 32, "FOREIGN%05u", i % OWNERS); }
static void number_of(uint32_t i, char ret[32]) { (void)snprintf(ret, 32, "310120260%09u", i); }

static void do_import(worker *w)
{
    char owner[32], number[32];
    uint32_t file = files++;
    text_begin(w);
    put(w->text, "kind,number,owner_id,currency,amount,date\n");
    for (uint32_t i = file * DOCS; i < (file + 1) * DOCS; i++) {
        owner_of(i, owner);
        number_of(i, number);
        put(w->text, "export_declaration,%s,%s,USD,1000.00,2026-08-01\n", number, owner);
    }
    put(w->text, "export_declaration,310120260999999999,X,USD,much,2026-08-01\n");
    kh_result_sink sink = begin(w);
    kh_result result = kh_import_input(w->e, &w->input, &(kh_import_options){0}, &sink);
    EXPECT(result == KH_DONE_NOT_OK && w->refused == 1, "import: %d %s, %u refused", (int)result, kh_message(w->e), w->refused);
    while (!stop && imported != file * DOCS) (void)sched_yield();
    imported = (file + 1) * DOCS;
}

static uint32_t some_document(worker *w)
{
    uint32_t n = imported;
    return n == 0 ? 0 : any(w, n);
}

static void do_apply(worker *w)
{
    static _Atomic uint64_t ids = 1;
    char owner[32], number[32];
    uint32_t n = imported;
    if (n == 0) return;
    text_begin(w);
    put(w->text, "id,enterprise,product,amount,currency,kind,number\n");
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t doc = n - 1 - any(w, n < 200 ? n : 200);
        owner_of(doc, owner);
        number_of(doc, number);
        put(w->text, "%llu,%s,export_receivable,%u.00,USD,export_declaration,%s\n", (unsigned long long)ids++, owner,
            1 + any(w, 100), number);
    }
    w->row_bank = w->party;
    kh_result_sink sink = begin(w);
    kh_result result = kh_finance_apply_input(w->e, NULL, &w->input, true, &sink);
    EXPECT(result <= KH_DONE_NOT_OK && w->rows == 16, "apply: %d %s", (int)result, kh_message(w->e));
    EXPECT(w->ok > 0 || n > 400, "nothing of 16 was granted");
}

static void do_verify(worker *w)
{
    char owner[32], number[32];
    text_begin(w);
    put(w->text, "kind,number,owner_id,currency,amount,date\n");
    uint32_t n = imported == 0 ? 0 : 100, bad = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t doc = some_document(w);
        bool lie = any(w, 8) == 0;
        owner_of(doc + lie, owner);
        number_of(doc, number);
        bad += lie;
        put(w->text, "export_declaration,%s,%s,USD,1000.00,2026-08-01\n", number, owner);
    }
    kh_result_sink sink = begin(w);
    kh_result result = kh_verify_input(w->e, &w->input, NULL, &sink);
    EXPECT(result == (bad > 0 || n == 0 ? KH_DONE_NOT_OK : KH_DONE) && w->rows == n && w->refused == bad,
           "verify: %d %s: %u of %u refused, not %u", (int)result, kh_message(w->e), w->refused, n, bad);
}

static void do_paper(worker *w)
{
    char owner[32], number[32], name[64], as_text[16];
    uint32_t doc = some_document(w);
    if (imported == 0) return;
    owner_of(doc, owner);
    number_of(doc, number);
    (void)snprintf(name, sizeof name, "export_declaration:%s", number);
    kh_paper paper = {.document = name, .owner = owner, .amount = "1000.00"};
    w->row_bank = w->party == REGULATOR ? 0 : w->party;
    kh_result_sink sink = begin(w);
    kh_result result = kh_balance(w->e, &paper, &sink);
    EXPECT(result == KH_DONE && w->rows == 1, "balance: %d %s", (int)result, kh_message(w->e));
    kh_page page = {.limit = 1 + any(w, 4)};
    char after[64] = "";
    uint32_t seen = 0;
    do {
        page.after = after;
        sink = begin(w);
        result = kh_history(w->e, &paper, &page, &sink);
        EXPECT(result == KH_DONE && w->rows <= page.limit, "history: %d %s", (int)result, kh_message(w->e));
        (void)snprintf(after, sizeof after, "%s", page.next);
        seen += w->rows;
    } while (page.next[0] != '\0' && !stop);
    EXPECT(seen > 0 || stop, "no history");
    (void)snprintf(as_text, sizeof as_text, "%u", w->party == BANK_A ? BANK_B : BANK_A);
    paper.as = as_text;
    sink = begin(w);
    result = kh_balance(w->e, &paper, &sink);
    EXPECT(result == KH_DONE_NOT_OK && w->refused == 1, "as another: %d", (int)result);
}

static void do_lists(worker *w)
{
    static kh_result (*const lists[])(kh_engine *, const char *, kh_page *, const kh_result_sink *) = {kh_alerts};
    char after[64] = "";
    kh_page page = {.limit = 50};
    w->row_bank = w->party == REGULATOR ? 0 : w->party;
    for (uint32_t list = 0; list < 3; list++) {
        after[0] = '\0';
        for (uint32_t i = 0; i < 20 && !stop; i++) {
            page.after = after;
            kh_result_sink sink = begin(w);
            kh_result result = list == 0   ? lists[0](w->e, NULL, &page, &sink)
                               : list == 1 ? kh_finance_list(w->e, NULL, NULL, &page, &sink)
                                           : kh_party_list(w->e, &page, &sink);
            EXPECT(result == KH_DONE && w->rows <= 50, "list %u: %d %s", list, (int)result, kh_message(w->e));
            (void)snprintf(after, sizeof after, "%s", page.next);
            if (after[0] == '\0') break;
        }
    }
}

static void do_lookups(worker *w)
{
    kh_lookup_question q[DOCS];
    kh_lookup_answer a[DOCS];
    char owners[DOCS][32], number[32], name[64];
    if (imported == 0) return;
    for (uint32_t i = 0; i < DOCS; i++) {
        uint32_t doc = some_document(w);
        owner_of(doc, owners[i]);
        number_of(doc, number);
        (void)snprintf(name, sizeof name, "export_declaration:%s", number);
        q[i] = (kh_lookup_question){.amount = 100000, .want = KH_NO_AMOUNT, .owner = owners[i], .currency = 840};
        EXPECT(kh_document_id(name, &q[i].id), "%s", name);
    }
    EXPECT(kh_lookup(w->e, 0, q, DOCS, a) == KH_DONE, "%s", kh_message(w->e));
    for (uint32_t i = 0; i < DOCS; i++) EXPECT(a[i].code == 0 || a[i].code == 40, "look-up: code %u", a[i].code);
}

static void do_directory(worker *w, uint32_t round)
{
    kh_result_sink sink = begin(w);
    EXPECT(kh_stats(w->e, &sink) == KH_DONE && kh_rule_list(w->e, &sink) == KH_DONE && kh_rate_list(w->e, &sink) == KH_DONE, "%s",
           kh_message(w->e));
    char value[32];
    (void)snprintf(value, sizeof value, "7.%u", 1 + round % 1000);
    EXPECT(kh_rate_set(w->e, "USD", "CNY", value, "2026-08-01", "PBOC", &sink) == KH_DONE, "%s", kh_message(w->e));
    if (round % 4 == 1) EXPECT(kh_snapshot(w->e, &sink) == KH_DONE, "%s", kh_message(w->e));
    if (round % 8 == 2) EXPECT(kh_audit(w->e, &sink) == KH_DONE, "%s", kh_message(w->e));
}

/* One thread: each round is a request of its own, with a handle of its own. */
static void *work(void *arg)
{
    worker *w = arg;
    w->text = malloc(sizeof *w->text);
    for (uint32_t round = 0; !stop && w->text != NULL; round++) {
        if (kh_engine_as(engine, w->party, &w->e) != KH_DONE) {
            wrong++;
            break;
        }
        if (w->party == SOURCE) do_import(w);
        else if (w->party == REGULATOR) {
            do_directory(w, round);
            do_lists(w);
            do_paper(w);
        } else {
            do_apply(w);
            do_verify(w);
            do_paper(w);
            do_lookups(w);
            do_lists(w);
        }
        kh_engine_close(w->e);
        rounds[w->number]++;
    }
    free(w->text);
    return NULL;
}

/* enrolled_once: in the end each owner is one party, whoever applied for it first. */
static void enrolled_once(void *ctx, const kh_result_row *row)
{
    uint32_t *cnt = ctx;
    const kh_result_field *role = field(row, "role");
    if (strcmp(role->text, "enterprise") == 0) ++*cnt;
}

int main(int argc, char *argv[])
{
    static const uint32_t parties[8] = {SOURCE, SOURCE, REGULATOR, BANK_A, BANK_A, BANK_B, BANK_B, BANK_B};
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
    char dir[] = "/tmp/kanhe-torture-XXXXXX", message[600], remove[100];
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    (void)printf("seed %llu\n", (unsigned long long)seed);
    if (mkdtemp(dir) == NULL) return 2;
    kh_options options = kh_options_default(dir);
    options.embedded = true;
    worker none = {0};
    kh_result_sink quiet = begin(&none);
    const kh_limit_rate rates[KH_LIMIT_CNT] = {{100000000, 1000000}, {0, 0}, {0, 0}};
    kh_limits *limits;
    if (kh_create(&options, NULL, NULL, message, sizeof message) != KH_DONE || kh_engine_new(&options, &engine) != KH_DONE ||
        kh_limits_new(rates, (kh_limit_rate){0, 0}, &limits) != KH_OK)
        return 2;
    kh_embed_set_limits(engine, limits);
    EXPECT(kh_party_add(engine, REGULATOR, "regulator", "Office", NULL, &quiet) == KH_DONE &&
               kh_party_add(engine, SOURCE, "source", "Customs", NULL, &quiet) == KH_DONE &&
               kh_party_add(engine, BANK_A, "bank", "Bank A", NULL, &quiet) == KH_DONE &&
               kh_party_add(engine, BANK_B, "bank", "Bank B", NULL, &quiet) == KH_DONE,
           "%s", kh_message(engine));
    worker workers[8];
    pthread_t threads[8];
    for (uint32_t i = 0; i < 8; i++) {
        workers[i] = (worker){.party = parties[i], .number = i, .random = seed + i};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) return 2;
    }
    for (unsigned s = 0; s < seconds * 10 && !stop; s++) {
        struct timespec nap = {0, 100000000};
        (void)nanosleep(&nap, NULL);
    }
    stop = true;
    for (uint32_t i = 0; i < 8; i++) (void)pthread_join(threads[i], NULL);
    stop = false;
    uint32_t enterprises = 0;
    kh_result_sink count = {.row = enrolled_once, .ctx = &enterprises};
    EXPECT(kh_party_list(engine, NULL, &count) == KH_DONE && enterprises > 0 && enterprises <= OWNERS, "%u enterprises",
           enterprises);
    EXPECT(kh_audit(engine, &quiet) == KH_DONE, "%s", kh_message(engine));
    for (uint32_t i = 0; i < 8; i++) {
        (void)printf("party %u: %llu rounds\n", parties[i], (unsigned long long)rounds[i]);
        EXPECT(rounds[i] > 0, "party %u had no turn", parties[i]);
    }
    kh_engine_close(engine);
    kh_limits_free(limits);
    (void)snprintf(remove, sizeof remove, "rm -rf %s", dir);
    if (system(remove) != 0) wrong++;
    (void)printf("%u documents, %u enterprises, %u wrong\n", imported, enterprises, wrong);
    return wrong == 0 ? 0 : 1;
}
