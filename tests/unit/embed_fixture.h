/* embed_fixture: an engine with parties and documents, handles of its parties, and the rows of a call as text. */
#ifndef EMBED_FIXTURE_H
#define EMBED_FIXTURE_H
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

static inline void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    out.n += (size_t)vsnprintf(out.text + out.n, sizeof out.text - out.n, format, args);
    va_end(args);
    cr_assert(out.n < sizeof out.text);
}
static inline void say_row(const kh_result_row *row)
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
static inline void on_row(void *ctx, const kh_result_row *row)
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
static inline const char *rows(void) { return out.text; }
static inline void fresh(void)
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
static inline bool has(const char *text) { return strstr(out.text, text) != NULL; }

typedef struct text_input {
    const char *text;
    size_t at, piece;
} text_input;
static inline int64_t read_text(void *ctx, void *p, size_t cap)
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
static inline kh_input text(const char *what)
{
    bytes = (text_input){.text = what};
    return (kh_input){.name = "a text", .read = read_text, .ctx = &bytes};
}

static char dir[64];
static kh_engine *engine;
static kh_limits *limits;

static inline void number_of(uint32_t i, char ret[64]) { (void)snprintf(ret, 64, "export_declaration:310120260%09u", i); }

static inline void begin(void)
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

static inline void end(void)
{
    char command[100];
    kh_engine_close(engine);
    kh_limits_free(limits);
    limits = NULL;
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(system(command) == 0);
}
static inline kh_engine *as(uint32_t party)
{
    kh_engine *e;
    cr_assert(kh_engine_as(engine, party, &e) == KH_DONE, "%s", kh_message(engine));
    return e;
}

static inline void apply(kh_engine *bank, uint64_t id, uint32_t document, const char *amount)
{
    char name[64];
    const char *documents[1] = {name};
    number_of(document, name);
    kh_apply_request r = {.enterprise = "101", .product = "export_receivable", .amount = amount, .currency = "USD", .id = id};
    r.documents = documents;
    r.document_cnt = 1;
    ASK(KH_DONE, kh_finance_apply(bank, &r, &sink));
}

/* How often it stands in the rows. */
static inline uint32_t count(const char *what)
{
    uint32_t n = 0;
    for (const char *p = out.text; (p = strstr(p, what)) != NULL; p++) n++;
    return n;
}
#endif
