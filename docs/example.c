/* A program over libkanhe: a fresh data directory, an import, bulk look-ups and applications.
   cc example.c $(pkg-config --cflags --libs kanhe) -o example && ./example DIR */
#include <kanhe/kanhe.h>
#include <stdio.h>
#include <string.h>

static void on_row(void *ctx, const kh_result_row *row)
{
    (void)ctx;
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (strcmp(row->fields[i].name, "stored") == 0) printf("stored: %llu\n", (unsigned long long)row->fields[i].number);
}

static int failed(const kh_engine *engine)
{
    fprintf(stderr, "%s\n", kh_message(engine));
    return 3;
}

int main(int argc, char *argv[])
{
    const char *owner = "91350211M000100Y46", *number = "export_declaration:310120260000000001";
    char message[600], path[600];
    kh_engine *engine;
    kh_options options = kh_options_default(argc > 1 ? argv[1] : "example-data");
    options.embedded = true; /* this program stays: threads for the log and the digests */
    if (kh_create(&options, NULL, NULL, message, sizeof message) != KH_DONE) return fprintf(stderr, "%s\n", message), 3;
    if (kh_engine_new(&options, &engine) != KH_DONE) return 3;

    snprintf(path, sizeof path, "%s/../example.csv", options.dir);
    FILE *csv = fopen(path, "w");
    if (csv == NULL) return 3;
    fprintf(csv, "kind,number,owner_id,currency,amount,date\nexport_declaration,310120260000000001,%s,USD,1000.00,2026-11-01\n",
            owner);
    fclose(csv);

    kh_result_sink sink = {.row = on_row};
    kh_import_options how = {0};
    if (kh_party_add(engine, 11, "bank", "First Bank", NULL, &sink) != KH_DONE) return failed(engine);
    if (kh_party_add(engine, 101, "enterprise", "Exporter", owner, &sink) != KH_DONE) return failed(engine);
    if (kh_import(engine, path, &how, &sink) != KH_DONE) return failed(engine);

    /* Reserve 800.00 twice: the second finds too little. Both are durable when kh_submit returns. */
    kh_reserve wish[2] = {
        {.id = 1, .amount = 80000, .bank = 11, .enterprise = 101, .currency = 840, .product = "export_receivable"}};
    kh_reserved got[2];
    if (!kh_document_id(number, &wish[0].document)) return 2;
    wish[1] = wish[0];
    wish[1].id = 2;
    if (kh_submit(engine, wish, 2, got) == KH_FAILED) return failed(engine);
    for (int i = 0; i < 2; i++) printf("application %d: %s\n", i + 1, kh_code_word(got[i].code));

    kh_lookup_question question = {
        .id = wish[0].document, .amount = 100000, .want = KH_NO_AMOUNT, .owner = owner, .currency = 840};
    kh_lookup_answer answer;
    if (kh_lookup(engine, 11, &question, 1, &answer) == KH_FAILED) return failed(engine);
    printf("verify: %s, free %llu minor units\n", kh_code_word(answer.code), (unsigned long long)answer.free);
    kh_engine_close(engine);
    return 0;
}
