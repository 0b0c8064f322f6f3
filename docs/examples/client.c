/* A bank's program over libkanhe-client: one paper's balance, a batch verified, two applications, and papers looked up in bulk.
   cc client.c $(pkg-config --cflags --libs kanhe-client) -o client && ./client URL CA CERT KEY BATCH.csv KIND:NUMBER OWNER AMOUNT
 */
#include <kanhe/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row is a list of named fields: print those that this program wants. */
static void on_row(void *wanted, const kh_result_row *row)
{
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        if (strstr(wanted, f->name) == NULL) continue;
        if (f->type == KH_FIELD_TEXT) printf("%s=%s ", f->name, f->text);
        if (f->type == KH_FIELD_NUMBER) printf("%s=%llu ", f->name, (unsigned long long)f->number);
    }
    printf("\n");
}

static int failed(kh_client *client)
{
    fprintf(stderr, "%s\n", kh_client_message(client)); /* what happened, and what to do */
    kh_client_close(client);
    return KH_FAILED;
}

int main(int argc, char *argv[])
{
    if (argc != 9) return fprintf(stderr, "client URL CA CERT KEY BATCH.csv KIND:NUMBER OWNER AMOUNT\n"), KH_MISUSE;
    kh_client_options options = kh_client_options_default(argv[1]);
    options.ca = argv[2], options.cert = argv[3], options.key = argv[4];
    char why[600];
    kh_client *client;
    if (kh_client_open(&options, why, sizeof why, &client) != KH_DONE) return fprintf(stderr, "%s\n", why), KH_MISUSE;

    /* KH_DONE_NOT_OK is an answer too: some line was not OK. Owner and amount prove that we hold the paper. */
    kh_result_sink balance = {.row = on_row, .ctx = "free currency"}, verdicts = {.row = on_row, .ctx = "line name free"};
    kh_paper paper = {.document = argv[6], .owner = argv[7], .amount = argv[8]};
    if (kh_client_balance(client, &paper, &balance) >= KH_MISUSE) return failed(client);
    if (kh_client_verify_file(client, argv[5], &verdicts) >= KH_MISUSE) return failed(client);

    /* The same application twice is harmless: both answer the first outcome, durable at the hub. */
    kh_result_sink financings = {.row = on_row, .ctx = "id name state"};
    kh_apply_request apply = {
        .enterprise = argv[7], .product = "export_receivable", .amount = "1.00", .currency = "USD", .id = 900001};
    apply.documents = (const char *const[]){argv[6]}, apply.document_cnt = 1;
    for (int i = 0; i < 2; i++)
        if (kh_client_apply(client, &apply, &financings) >= KH_MISUSE) return failed(client);

    /* In bulk, over sealed datagrams: ids that anyone can compute, amounts in minor units. */
    kh_lookup_question question = {.amount = KH_NO_AMOUNT, .want = KH_NO_AMOUNT, .owner = argv[7]};
    kh_lookup_question questions[64];
    kh_lookup_answer answers[64];
    if (!kh_client_document_id(argv[6], &question.id)) return KH_MISUSE;
    question.amount = (uint64_t)(strtod(argv[8], NULL) * 100 + 0.5), question.currency = 840;
    for (int i = 0; i < 64; i++) questions[i] = question;
    if (kh_client_lookup(client, questions, 64, answers) >= KH_MISUSE) return failed(client);
    printf("looked up: %s\n", kh_client_code_word(answers[63].code));
    kh_client_close(client);
    return 0;
}
