/* hub_client: a hub's answers into rows, however their bytes are cut, and bytes that are no answer. */
#include "client/answer.h"
#include "client/row.h"
#include <criterion/criterion.h>
#include <kanhe/client.h>
#include <stdlib.h>
#include <string.h>

static bool decode(kh_row_decoder *d, const char *text, kh_result_row *ret)
{
    static char line[65536];
    (void)snprintf(line, sizeof line, "%s", text);
    return kh_row_decode(d, line, strlen(line), ret);
}

Test(row, fields_in_order)
{
    kh_row_decoder d = {0};
    kh_result_row row;
    cr_assert(decode(
        &d,
        " {\"row\":\"verdict\",\"line\":18446744073709551615,\"issuer\":null,\"mismatch\":[\"amount\",\"date\"],\"none\":[],"
        "\"ok\":true,\"no\":false,\"name\":\"a\\u00e9\\u4e2d\\ud83d\\ude00\\\"\\\\\\/\\n\",\"documents\":[] } ",
        &row));
    cr_assert_str_eq(row.what, "verdict");
    cr_assert_eq(row.field_cnt, 8);
    const char *const names[] = {"line", "issuer", "mismatch", "none", "ok", "no", "name", "documents"};
    const kh_result_type types[] = {KH_FIELD_NUMBER, KH_FIELD_NULL, KH_FIELD_WORDS, KH_FIELD_WORDS,
                                    KH_FIELD_BOOL,   KH_FIELD_BOOL, KH_FIELD_TEXT,  KH_FIELD_ROWS};
    for (int i = 0; i < 8; i++) {
        cr_assert_str_eq(row.fields[i].name, names[i]);
        cr_assert_eq(row.fields[i].type, types[i], "%s", names[i]);
    }
    cr_assert_eq(row.fields[0].number, UINT64_MAX);
    cr_assert_str_eq(row.fields[2].text, "amount date");
    cr_assert_str_eq(row.fields[3].text, "");
    cr_assert_eq(row.fields[4].number, 1);
    cr_assert_str_eq(row.fields[6].text, "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\"\\/\n");
    cr_assert_eq(kh_row_field(&row, "ok"), &row.fields[4]);
    cr_assert_null(kh_row_field(&row, "row"));
    kh_row_decoder_free(&d);
}

Test(row, rows_in_rows)
{
    kh_row_decoder d = {0};
    kh_result_row row;
    for (int again = 0; again < 3; again++) {
        cr_assert(decode(
            &d, "{\"id\":1,\"documents\":[{\"number\":\"a\",\"x\":[{\"y\":2}]},{\"number\":\"b\",\"code\":7}],\"z\":3}", &row));
        cr_assert_eq(row.field_cnt, 3);
        const kh_result_field *f = kh_row_field(&row, "documents");
        cr_assert_eq(f->row_cnt, 2);
        cr_assert_str_eq(f->rows[0].fields[0].text, "a");
        cr_assert_eq(f->rows[0].fields[1].rows[0].fields[0].number, 2);
        cr_assert_str_eq(f->rows[1].fields[0].text, "b");
        cr_assert_eq(f->rows[1].fields[1].number, 7);
        cr_assert_eq(row.fields[2].number, 3);
    }
    kh_row_decoder_free(&d);
}

Test(row, what_is_none)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}x",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":-1}",
                                      "{\"a\":1.5}",
                                      "{\"a\":18446744073709551616}",
                                      "{\"a\":\"\x01\"}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\ud800\\u0041\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"b}",
                                      "{\"a\":[\"b\",1]}",
                                      "{\"a\":[1]}",
                                      "{\"a\":[{\"b\":1},\"c\"]}",
                                      "{\"a\":tru}",
                                      "{\"a\":{\"b\":1}}",
                                      "{\"a\":[{\"a\":[{\"a\":[{\"a\":[{\"a\":[{\"a\":1}]}]}]}]}]}"};
    kh_row_decoder d = {0};
    kh_result_row row;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert_not(decode(&d, bad[i], &row), "%s", bad[i]);
    cr_assert(decode(&d, "{}", &row));
    kh_row_decoder_free(&d);
}

static uint32_t rows_seen;
static void count(void *ctx, kh_result_row *row)
{
    (void)ctx;
    cr_assert_str_eq(row->what, "x");
    cr_assert_eq(row->fields[0].number, rows_seen++);
}

static bool feed(kh_answer_reader *r, const char *type, const char *text, size_t step)
{
    kh_transfer t = {0};
    bool well = true;
    (void)snprintf(t.content_type, sizeof t.content_type, "%s", type);
    *r = (kh_answer_reader){.transfer = &t, .row = count};
    rows_seen = 0;
    for (size_t at = 0, n = strlen(text); at < n && well; at += step)
        well = kh_answer_feed(r, text + at, n - at < step ? n - at : step);
    well = well && kh_answer_finish(r);
    kh_answer_free(r);
    return well;
}

Test(answer, however_it_is_cut)
{
    static const char lines[] =
        "{\"row\":\"x\",\"n\":0}\n\n{\"row\":\"x\",\"n\":1}\r\n{\"end\":true,\"status\":1,\"message\":\"so\",\"next\":\"c\"}\n";
    static const char document[] =
        "{\"results\":[\n{\"row\":\"x\",\"n\":0},\n{\"row\":\"x\",\"n\":1}\n],\"status\":1,\"message\":\"so\",\"next\":\"c\"}\n";
    kh_answer_reader r;
    for (size_t step = 1; step < sizeof lines; step++) {
        cr_assert(feed(&r, "application/x-ndjson", lines, step));
        cr_assert(rows_seen == 2 && r.status == KH_DONE_NOT_OK && strcmp(r.message, "so") == 0 && strcmp(r.next, "c") == 0);
        cr_assert(feed(&r, "application/json", document, step));
        cr_assert(rows_seen == 2 && r.status == KH_DONE_NOT_OK && strcmp(r.message, "so") == 0 && strcmp(r.next, "c") == 0);
    }
    cr_assert(feed(&r, "application/x-ndjson", "{\"end\":true,\"status\":0,\"message\":\"\"}", 9),
              "the last line may lack its end");
    cr_assert_not(feed(&r, "application/x-ndjson", "{\"row\":\"x\",\"n\":0}\n", 99), "no end");
    cr_assert_not(feed(&r, "application/x-ndjson", "{\"end\":true,\"status\":4}\n", 99), "no such status");
    cr_assert_not(feed(&r, "application/x-ndjson", "{\"end\":true,\"status\":0}\n{\"row\":\"x\",\"n\":0}\n", 99),
                  "a row behind the end");
    cr_assert_not(feed(&r, "application/json", "{\"results\":[]}", 99), "no status");
    cr_assert_not(feed(&r, "application/json", "[]", 99), "no object");
    cr_assert_not(feed(&r, "text/html", "hello", 99), "a page");
}

Test(client, document_id)
{
    kh_id a, b;
    cr_assert(kh_client_document_id("export_declaration:310120260123456789", &a));
    cr_assert(kh_client_document_id("export_declaration:３１０１20260123456789", &b));
    cr_assert_arr_eq(a.bytes, b.bytes, 16);
    cr_assert(kh_client_document_id("invoice:A%2F1@DE 123", &a));
    cr_assert_not(kh_client_document_id("export_declaration:123456789", &a));
    cr_assert_not(kh_client_document_id("nonsense", &a));
    cr_assert_str_eq(kh_client_code_word(52), "DUP_FINANCED_OTHER");
}

Test(client, options)
{
    kh_client *c;
    char why[300];
    kh_client_options o = kh_client_options_default("http://x");
    cr_assert_eq(kh_client_open(&o, why, sizeof why, &c), KH_MISUSE);
    cr_assert(strstr(why, "https://") != NULL);
    o.url = "https://127.0.0.1:1/";
    o.timeout_s = 0;
    cr_assert_eq(kh_client_open(&o, NULL, 0, &c), KH_MISUSE);
    o.timeout_s = 10;
    o.ca = "/nonexistent";
    cr_assert_eq(kh_client_open(&o, why, sizeof why, &c), KH_MISUSE);
    cr_assert(strstr(why, "/nonexistent cannot be read") != NULL);
    o.ca = NULL;
    cr_assert_eq(kh_client_open(&o, why, sizeof why, &c), KH_DONE);
    char text[64];
    cr_assert(kh_client_escape("a b/中%", text, sizeof text));
    cr_assert_str_eq(text, "a%20b%2F%E4%B8%AD%25");
    cr_assert_not(kh_client_escape("a b/中%", text, 8));
    kh_client_close(c);
    kh_client_close(NULL);
}
