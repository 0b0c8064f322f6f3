/* formats: text in lines: CSV and JSON Lines as documents. (formats_2, _4: XML; _3: EDIFACT; _5: hostile text, rows, generator.)
 */
#include "formats_text.h"

#include <criterion/criterion.h>

#define HEAD "kind,number,owner_id,currency,amount,date\n"
#define N1 "530120260000000123"
#define N2 "530120260000000124"
#define OWNER "91350211M0000XUF46"

/* Whatever the size of the reads, the same comes out. */
static void expect_kind(const char *text, size_t n, kh_kind kind, const char *wanted)
{
    for (size_t step = 0; step <= 7; step += 7) {
        const char *got = text_say(text, n, kind, step);
        cr_assert(strcmp(got, wanted) == 0, "got\n%swanted\n%s", got, wanted);
    }
}
static void expect(const char *text, const char *wanted) { expect_kind(text, strlen(text), KH_KIND_ANY, wanted); }

Test(text_csv, plain_lines)
{
    expect(HEAD "export_declaration," N1 "," OWNER ",USD,1234.5,2026-10-01\r\ninvoice,INV-7,DE123456789,JPY,1000,20261002",
           "2:export_declaration " N1 " " OWNER
           " USD1234.50 2026-10-01 cleared\n3:invoice INV-7@DE123456789 DE123456789 JPY1000 2026-10-02\n");
}

Test(text_csv, header_in_any_order_case_and_language)
{
    expect("\xEF\xBB\xBF"
           "Amount, Currency ,DATE,Owner ID,Number,KIND\n12.00,usd,,de1,b/l 7,bill_of_lading\n",
           "2:bill_of_lading B/L7 DE1 USD12.00 \n");
    expect("海关编号,统一社会信用代码,币制,总价,申报日期,合同号\n" N1 "," OWNER ",USD,5,2026年10月1日,HT-1\n",
           "2:export_declaration " N1 " " OWNER " USD5.00 2026-10-01 cleared contract=HT-1\n");
    expect("发票代码,发票号码,统一社会信用代码,币种,价税合计,开票日期,状态\n3100212130,12345678," OWNER
           ",CNY,9.90,2026/10/01,normal\n",
           "2:invoice 310021213012345678 " OWNER " CNY9.90 2026-10-01 normal\n");
    expect("kind|number|owner_id|currency|amount|date\nexport_declaration|" N1 "|" OWNER "|USD|5|\n",
           "2:export_declaration " N1 " " OWNER " USD5.00  cleared\n");
    expect("kind;number;owner_id;currency;amount;date\nexport_declaration;" N1 ";" OWNER ";USD;5;\n",
           "2:export_declaration " N1 " " OWNER " USD5.00  cleared\n");
}

Test(text_csv, a_date_may_have_a_time)
{
    static const char *const days[] = {"2026-10-01 10:20:30", "2026/10/1 0:00",    "2026-10-01T23:59:59.5+08:00",
                                       "20261001102030",      "202610011020",      "2026年10月1日 09:30",
                                       "2026-10-01T00:00Z",   " 2026-10-01  1:02 "};
    static const char *const none[] = {"2026-10-01 25:00", "2026-10-01T",     "2026-10-01 noon", "2026-10-01 10:61",
                                       "20261001 1",       "2026-10-0110:20", "202610011060",    "10:20:30",
                                       "2026-02-30 10:20", "2026-10-01 +0800"};
    char line[400];
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        snprintf(line, sizeof line, HEAD "order,O1,DE1,USD,5,%s\n", days[i]);
        expect(line, "2:order O1 DE1 USD5.00 2026-10-01\n");
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        snprintf(line, sizeof line, HEAD "order,O1,DE1,USD,5,%s\n", none[i]);
        expect(line, "2:FORMAT\n");
    }
}

Test(text_csv, unknown_columns_are_said_once_and_known_ones_may_not_repeat)
{
    expect("kind,number,owner_id,currency,amount,date,colour,colour\nexport_declaration," N1 "," OWNER ",USD,5,,red,red\n",
           "2:export_declaration " N1 " " OWNER " USD5.00  cleared\n! Columns that mean nothing here and are ignored: colour\n");
    expect("kind,number,owner_id,currency,amount,金额,date\n", "1:FORMAT\n");
    expect("kind,number,owner_id,currency,date\nexport_declaration," N1 "," OWNER ",USD,\n", "1:FORMAT\n");
    expect(HEAD, "1:FORMAT\n");
}

#define ORDER(number) ":order " number " DE1 USD5.00 \n"

Test(text_csv, a_line_may_say_what_parts_the_cells)
{
    static const char *const heads[] = {"sep=;\n", "\nSEP=;\r\n", "\xEF\xBB\xBF\"sep=;\"\n"};
    char text[400];
    expect("sep=;\nkind;number;owner_id;currency;amount;date;note, long\norder;O1;DE1;USD;5;;x\n",
           "3" ORDER("O1") "! Columns that mean nothing here and are ignored: note, long\n");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        snprintf(text, sizeof text, "%skind;number;owner_id;currency;amount;date\norder;O1;DE1;USD;5;\n", heads[i]);
        expect(text, i == 1 ? "4" ORDER("O1") : "3" ORDER("O1"));
    }
    expect("sep=\"\n" HEAD "order,O1,DE1,USD,5,\n", "1:FORMAT\n");
    expect("sep=;;\n" HEAD "order,O1,DE1,USD,5,\n", "1:FORMAT\n");
}

Test(text_csv, rows_and_cells_that_hold_nothing)
{
    expect(HEAD ",,,,,\n \n\"\", ,,,,\norder,O1,DE1,USD,5,,,\n,,,\n", "5" ORDER("O1"));
    /* cells under no name at the end of the header may be left out, all or some, or be there */
    expect("kind,number,owner_id,currency,amount,date,,\norder,O1,DE1,USD,5,\norder,O2,DE1,USD,5,,\norder,O3,DE1,USD,5,,,x\n",
           "2" ORDER("O1") "3" ORDER("O2") "4" ORDER("O3"));
    expect("kind,number,owner_id,currency,amount,date,,\norder,O1,DE1,USD,5\norder,O1,DE1,USD,5,,,,x\n", "2:FORMAT\n3:FORMAT\n");
}

Test(text_csv, numbers_that_a_spreadsheet_keeps_or_spoils)
{
    expect(HEAD "export_declaration,\"=\"\"" N1 "\"\"\"," OWNER ",USD,5,\nexport_declaration,=\"" N1 "\", =\"" OWNER
                "\",USD,5,\n",
           "2:export_declaration " N1 " " OWNER " USD5.00  cleared\n3:export_declaration " N1 " " OWNER " USD5.00  cleared\n");
    expect(HEAD "export_declaration,5.3012E+17," OWNER ",USD,5,\ninvoice,5E+17," OWNER ",USD,5,\ninvoice,'" N1 "," OWNER
                ",USD,5,\ninvoice,=" N1 "," OWNER ",USD,5,\n",
           "2:FORMAT\n3:FORMAT\n4:FORMAT\n5:FORMAT\n");
    expect(HEAD "order,5.3E17,DE1,USD,5,\norder,5-E+17,DE1,USD,5,\n", "2" ORDER("5.3E17") "3" ORDER("5-E+17"));
}

Test(text_csv, kinds_and_statuses_in_any_case)
{
    expect(HEAD "Bill of Lading,B1,DE1,USD,5,\nBILL-OF-LADING,B2,DE1,USD,5,\n",
           "2:bill_of_lading B1 DE1 USD5.00 \n3:bill_of_lading B2 DE1 USD5.00 \n");
    expect("kind,number,owner_id,currency,amount,date,status\nInvoice,I1,DE1234,EUR,5,,Lost Control\n"
           "Invoice,I1,DE1234,EUR,5,,Lost\n",
           "3:FORMAT\n2:invoice I1@DE1234 DE1234 EUR5.00  lost_control\n");
}

Test(text_csv, gb18030_as_excel_writes_it)
{
    /* 海关编号,统一社会信用代码,币种,金额,日期,备注 and a remark in Chinese, in GB18030 */
    expect("\xba\xa3\xb9\xd8\xb1\xe0\xba\xc5,\xcd\xb3\xd2\xbb\xc9\xe7\xbb\xe1\xd0\xc5\xd3\xc3\xb4\xfa\xc2\xeb,\xb1\xd2\xd6\xd6,"
           "\xbd\xf0\xb6\xee,\xc8\xd5\xc6\xda,\xb1\xb8\xd7\xa2\r\n" N1 "," OWNER ",USD,7.00,2026-10-01,\xd6\xd0\xb9\xfa\r\n" N2
           "," OWNER ",USD,8.00,2026-10-01,\xff\r\n",
           "3:FORMAT\n2:export_declaration " N1 " " OWNER
           " USD7.00 2026-10-01 cleared\n! Columns that mean nothing here and are ignored: 备注\n");
}

/* A name in Latin-1 is no reason to take the whole file for Chinese: its line alone is refused. */
Test(text_csv, one_letter_of_another_set_is_not_gb18030)
{
    static const char text[] = HEAD "order,O1,M\xFCller 1,USD,1,\norder,O2,X1,USD,1,\n";
    expect_kind(text, sizeof text - 1, KH_KIND_ANY, "2:FORMAT\n3:order O2 X1 USD1.00 \n");
}

Test(text_csv, utf16_with_a_mark)
{
    static const char ascii[] = HEAD "export_declaration," N1 "," OWNER ",USD,7.00,2026-10-01\n";
    char wide[2 * sizeof ascii] = {(char)0xFF, (char)0xFE};
    for (size_t i = 0; i + 1 < sizeof ascii; i++) wide[2 + 2 * i] = ascii[i];
    expect_kind(wide, 2 * sizeof ascii, KH_KIND_ANY, "2:export_declaration " N1 " " OWNER " USD7.00 2026-10-01 cleared\n");
}

Test(text_csv, quotes)
{
    expect(HEAD "\"export_declaration\",\"" N1 "\",\"" OWNER "\",\"USD\",\"7.00\",\"2026-10-01\"\n"
                "bill_of_lading,\"A\"\"B\nC\",X1,USD,1,\r\n" /* lines 3 and 4 */
                "bill_of_lading,5\"x,X1,USD,1,\n",
           "3:FORMAT\n2:export_declaration " N1 " " OWNER " USD7.00 2026-10-01 cleared\n5:bill_of_lading 5\"X X1 USD1.00 \n");
    expect("kind,number,owner_id,currency,amount,date,remark\nbill_of_lading,B1,X1,USD,1,,\"two\nlines, "
           "\"\"quoted\"\"\"\nbill_of_lading,B2,X1,USD,1,,\n",
           "2:bill_of_lading B1 X1 USD1.00 \n4:bill_of_lading B2 X1 USD1.00 \n! Columns that mean nothing here and are ignored: "
           "remark\n");
}

Test(text_csv, a_quote_that_is_not_closed_takes_only_its_line)
{
    expect(HEAD "bill_of_lading,\"B1,X1,USD,1,\nbill_of_lading,B2,X1,USD,1,\nbill_of_lading,B3,X1,USD,1,\n",
           "2:FORMAT\n3:bill_of_lading B2 X1 USD1.00 \n4:bill_of_lading B3 X1 USD1.00 \n");
    expect(HEAD "bill_of_lading,\"B1\"x,X1,USD,1,\nbill_of_lading,B2,X1,USD,1,\n", "2:FORMAT\n3:bill_of_lading B2 X1 USD1.00 \n");
}

Test(text_csv, a_bad_line_is_refused_alone)
{
    static const char text[] = HEAD "bill_of_lading,B1,X1,USD,1\n"    /* a cell is missing */
                                    "bill_of_lading,B1,X1,USD,1,,,\n" /* empty ones too many: good */
                                    "bill_of_lading,B2,X1,USD,1,,x\n" /* one too many */
                                    "bill_of_lading,B3,X\xC3\x28,USD,1,\n"
                                    "bill_of_lading,B\0,X1,USD,1,\n"
                                    "\n  \r\n"
                                    "nonsense,B4,X1,USD,1,\n"
                                    "bill_of_lading,,X1,USD,1,\n"
                                    "bill_of_lading,B5,,USD,1,\n"
                                    "bill_of_lading,B6,X1,XYZ,1,\n"
                                    "bill_of_lading,B7,X1,USD,1.234,\n"
                                    "bill_of_lading,B8,X1,USD,1e3,\n"
                                    "bill_of_lading,B9,X1,USD,-1,\n"
                                    "bill_of_lading,B10,X1,USD,\"1,000\",\n"
                                    "bill_of_lading,B11,X1,USD,+1,\n"
                                    "bill_of_lading,B12,X1,USD,1,2026-02-30\n"
                                    "export_declaration,123456789,X1,USD,1,\n"
                                    "bill_of_lading,B13,X1,,,\n";
    expect_kind(text, sizeof text - 1, KH_KIND_ANY,
                "2:FORMAT\n4:FORMAT\n5:FORMAT\n6:FORMAT\n9:FORMAT\n10:FORMAT\n11:FORMAT\n12:FORMAT\n13:FORMAT\n14:FORMAT\n15:"
                "FORMAT\n16:FORMAT\n17:FORMAT\n18:FORMAT\n19:FORMAT\n"
                "3:bill_of_lading B1 X1 USD1.00 \n20:bill_of_lading B13 X1 \n");
}

/* Lines that end with CR alone: a file of them is refused whole, one among others alone; within quotes it is a blank. */
Test(text_csv, a_carriage_return_alone_ends_no_line)
{
    static const char *const old[] = {"kind,number,owner_id,currency,amount,date\rbill_of_lading,B1,X1,USD,1,\r",
                                      "sep=;\rkind;number;owner_id;currency;amount;date\rbill_of_lading;B1;X1;USD;1;\r",
                                      HEAD
                                      "bill_of_lading,B1,X1,USD,1,\rbill_of_lading,B2,X1,USD,1,\nbill_of_lading,B3,X1,USD,1,\n"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        text_bytes bytes = {old[i], strlen(old[i]), 0, 0};
        kh_bytes_source source = {text_read, &bytes};
        kh_reader *r = NULL;
        kh_err err = KH_OK;
        kh_item item;
        cr_assert(kh_reader_open(&source, KH_FORMAT_CSV, KH_KIND_ANY, NULL, &r) == KH_OK && kh_reader_next(r, &item, &err));
        cr_assert(item.code == KH_C_FORMAT && item.line == (i < 2 ? 1 : 2) && strstr(item.why, "CR alone") != NULL, "%s",
                  item.why);
        cr_assert(kh_reader_next(r, &item, &err) == (i == 2) && err == KH_OK);
        kh_reader_close(r);
    }
    expect("\"kind\",number,owner_id,currency,amount,date,\"of\rwhat\"\r\nbill_of_lading,B1,X1,USD,1,,\"a\rb\"\r",
           "2:bill_of_lading B1 X1 USD1.00 \n! Columns that mean nothing here and are ignored: of\rwhat\n");
}

Test(text_csv, a_nul_in_a_column_that_is_ignored)
{
    static const char text[] =
        "kind,number,owner_id,currency,amount,date,remark\nbill_of_lading,B1,X1,USD,1,,a\0b\nbill_of_lading,B2,X1,USD,1,,ab\n";
    expect_kind(text, sizeof text - 1, KH_KIND_ANY,
                "2:FORMAT\n3:bill_of_lading B2 X1 USD1.00 \n! Columns that mean nothing here and are ignored: remark\n");
}

Test(text_columns, direction_contradicts)
{
    expect("kind,number,owner_id,currency,amount,date,direction\nimport_declaration," N1
           ",X1,USD,1,,\nexport_declaration,AB12,X1,USD,1,,进口\n"
           "export_declaration," N1 ",X1,USD,1,,E\nexport_declaration," N2 ",X1,USD,1,,up\n",
           "2:DIRECTION\n3:DIRECTION\n5:FORMAT\n4:export_declaration " N1 " X1 USD1.00  cleared\n");
}

Test(text_columns, kind_from_the_caller_or_the_line)
{
    const char *text = "number,owner_id,currency,amount,date\n" N1 ",X1,USD,1,\n";
    expect_kind(text, strlen(text), KH_KIND_EXPORT_DECLARATION, "2:export_declaration " N1 " X1 USD1.00  cleared\n");
    expect(text, "1:FORMAT\n");
    text = "{\"number\":\"" N1 "\",\"owner_id\":\"X1\"}\n";
    expect_kind(text, strlen(text), KH_KIND_EXPORT_DECLARATION, "1:export_declaration " N1 " X1  cleared\n");
    expect(text, "1:FORMAT\n");
}

Test(text_columns, issuer)
{
    expect("kind,number,owner_id,currency,amount,date,issuer_id\ninvoice,A-1,no 123,USD,1,,\ninvoice,A-1,no 123,USD,1,,NO "
           "987654\ncredit_note,C1,no123,USD,1,,\n"
           "invoice,26312000000000000001," OWNER ",CNY,1,,\ninvoice,26312000000000000002," OWNER ",CNY,1,," OWNER
           "\nexport_declaration," N1 "," OWNER ",CNY,1,,X9\n",
           "2:invoice A-1@NO123 NO123 USD1.00 \n3:invoice A-1@NO987654 NO123 USD1.00 \n4:credit_note C1@NO123 NO123 USD1.00 \n"
           "5:invoice 26312000000000000001 " OWNER " CNY1.00 \n6:invoice 26312000000000000002 " OWNER " CNY1.00 \n"
           "7:export_declaration " N1 " " OWNER " CNY1.00  cleared\n");
}

Test(text_columns, status_version_issue_and_references)
{
    expect("kind,number,owner_id,currency,amount,date,status,version,issued,refers_to\n"
           "export_declaration," N1 ",X1,USD,1,,released,3,2026-10-01T08:00:00Z,invoice:A%2F1@NO123;bill_of_lading:B1\n"
           "credit_note,C1,NO1,USD,1,,,,,invoice:A1\nexport_declaration," N2 ",X1,USD,1,,void,,,\nexport_declaration," N2
           ",X1,USD,1,,,x,,\n"
           "export_declaration," N2 ",X1,USD,1,,,,,order:7\nexport_declaration," N2
           ",X1,USD,1,,,,,invoice:%4\nexport_declaration," N2 ",X1,USD,1,,,,yesterday,\n",
           "2:export_declaration " N1 " X1 USD1.00  released v3 t1790841600 +invoice:A%2F1@NO123 +bill_of_lading:B1\n"
           "4:FORMAT\n5:FORMAT\n6:FORMAT\n7:FORMAT\n8:FORMAT\n3:credit_note C1@NO1 NO1 USD1.00  -invoice:A1@NO1\n");
}

Test(text_lines, consecutive_currencies_are_one_document)
{
    expect(HEAD "export_declaration," N1 ",X1,USD,1,\nexport_declaration," N1 ",X1,EUR,2,\nnonsense,,,,,\nexport_declaration," N1
                ",X1,JPY,3,\n"
                "export_declaration," N2 ",X1,USD,1,\n",
           "4:FORMAT\n2:export_declaration " N1 " X1 JPY3 USD1.00 EUR2.00  cleared\n6:export_declaration " N2
           " X1 USD1.00  cleared\n");
    /* a currency again: the document anew */
    expect(HEAD "export_declaration," N1 ",X1,USD,1,\nexport_declaration," N1 ",X1,USD,2,\n",
           "2:export_declaration " N1 " X1 USD1.00  cleared\n3:export_declaration " N1 " X1 USD2.00  cleared\n");
    /* joins, but disagrees */
    expect(HEAD "export_declaration," N1 ",X1,USD,1,\nexport_declaration," N1 ",X2,EUR,2,\nexport_declaration," N1
                ",X1,HKD,2,2026-01-01\n",
           "3:CONFLICT\n4:CONFLICT\n2:export_declaration " N1 " X1 USD1.00  cleared\n");
    /* a document without an amount that gets one is amended */
    expect(HEAD "invoice,7,X1,,,\ninvoice,7,X1,USD,2,\n", "2:invoice 7@X1 X1 \n3:invoice 7@X1 X1 USD2.00 \n");
}

Test(text_jsonl, numbers_are_exact_and_texts_unescaped)
{
    expect("{\"kind\":\"export_declaration\",\"number\":" N1 ",\"owner_id\":\"" OWNER
           "\",\"currency\":\"USD\",\"amount\":9999999999999999.99,\"date\":\"2026-10-01\"}\r\n\n"
           "{\"kind\" : \"bill_of_lading\", \"number\":\"B\\u002f\\t1\", \"owner\":\"\\u00c5\\ud83d\\ude00 "
           "7\",\"amount\":\"\",\"date\":null,\"more\":{\"a\":[1,{}]},\"币种\":\"USD\"}\n",
           "1:export_declaration " N1 " " OWNER " USD9999999999999999.99 2026-10-01 cleared\n3:bill_of_lading B/1 Å😀7 \n! "
           "Columns that mean nothing here and are ignored: more\n");
    expect("{\"kind\":\"receivable\",\"number\":\"R1\",\"owner_id\":\"x\\u0031\",\"currency\":\"JPY\",\"金额\":70,\"refers_to\":["
           "\"invoice:1@Z1\",\"bill_of_lading:2\"]}\n",
           "1:receivable R1 X1 JPY70  +invoice:1@Z1 +bill_of_lading:2\n");
}

#define R1 "\"kind\":\"receivable\",\"number\":\"R1\",\"owner_id\":\"X1\""

/* Each of these would be a good line but for the one thing. */
Test(text_jsonl, what_is_not_a_flat_object_is_refused_alone)
{
    static const char *const bad[] = {"{" R1 ",}",
                                      "{" R1,
                                      "{" R1 "}x",
                                      "{" R1 ",\"a\" 1}",
                                      "{" R1 ",\"a\":01}",
                                      "{" R1 ",\"a\":1.}",
                                      "{" R1 ",\"a\":\"\\x\"}",
                                      "{" R1 ",\"a\":\"\\ud800\"}",
                                      "{" R1 ",\"a\":\"\\udc00\"}",
                                      "{" R1 ",\"a\":\"\\u0000\"}",
                                      "{" R1 ",\"a\":tru}",
                                      "{" R1 ",\"a\":\"b}",
                                      "[{" R1 "}]",
                                      "{" R1 ",\"a\":\"\x01\"}",
                                      "{" R1 ",\"a\":[1}}",
                                      "{" R1 ",a:1}",
                                      "{" R1 ",\"date\":{}}",
                                      "{" R1 ",\"number\":\"2\"}",
                                      "{" R1 ",\"refers_to\":[[]]}",
                                      "{" R1 ",\"a\":\"\xC3\x28\"}",
                                      "{" R1 ",\"amount\":1e3,\"currency\":\"USD\"}",
                                      "{" R1 ",\"amount\":-1,\"currency\":\"USD\"}",
                                      "{" R1 ",\"a\":-}",
                                      "{" R1 ",\"a\":1e}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "{" R1 "}\n%s\n{" R1 "}\n", bad[i]);
        const char *got = text_say(text, strlen(text), KH_KIND_ANY, 0), *warning = strstr(got, "! ");
        size_t n = warning != NULL ? (size_t)(warning - got) : strlen(got);
        static const char wanted[] = "2:FORMAT\n1:receivable R1 X1 \n3:receivable R1 X1 \n";
        cr_assert(n == strlen(wanted) && memcmp(got, wanted, n) == 0, "%s: got\n%s", bad[i], got);
    }
}

Test(text_reader, what_is_none_of_the_formats)
{
    expect("", "1:FORMAT\n");
    expect("   \n\n", "1:FORMAT\n");
    expect("PK\x03\x04 zip", "1:FORMAT\n");
    expect("Dear Sir,\nplease find enclosed\n", "1:FORMAT\n");
}

static char *slurp(const char *name, const char *end, size_t *ret_n)
{
    char path[1024];
    const char *root = getenv("KH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/formats/%s%s", root != NULL ? root : ".", name, end);
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL, "%s", path);
    char *p = malloc(65536);
    *ret_n = fread(p, 1, 65535, f);
    p[*ret_n] = 0;
    fclose(f);
    return p;
}

Test(text_golden, files_are_read_as_ever)
{
    static const char *const names[] = {"excel_gb18030.csv", "utf8_bom.csv", "bad_lines.csv", "documents.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n, wanted_n;
        char *text = slurp(names[i], "", &n), *wanted = slurp(names[i], ".read", &wanted_n);
        expect_kind(text, n, KH_KIND_ANY, wanted);
        free(text);
        free(wanted);
    }
}
