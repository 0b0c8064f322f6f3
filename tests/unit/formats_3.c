/* EDIFACT INVOIC: separators, what the segments say, several messages, cut and miscounted interchanges. */
#include "formats_text.h"
#include "formats_xml.h"

#include <criterion/criterion.h>

#define HEAD "UNB+UNOC:3+SENDER+RECEIVER+260101:1200+1'"
#define OPENING(number) "UNH+" number "+INVOIC:D:96A:UN'BGM+380+INV" number "+9'DTM+137:20260101:102'"
#define SELLER "NAD+SE+4000001000005::9++Koks Maat+Street 1+Town++1000+DE'RFF+VA:DE 123.456.789'"
#define PLAIN(number) OPENING(number) SELLER "CUX+2:EUR:4'LIN+1'MOA+203:99'UNS+S'MOA+9:12.50'UNT+11+" number "'"
#define SAID(number) "1:invoice INV" number "@DE123456789 DE123456789 EUR12.50 2026-01-01\n"
#define MISCOUNT(has) "! The message that ends in line 1 says that it has 5 segments (UNT); it has " has ".\n"

static const char *say(const char *text) { return text_say(text, strlen(text), KH_KIND_ANY, 0); }

static void expect(const char *text, const char *said)
{
    const char *is = say(text);
    cr_assert_str_eq(is, said, "%s\ninstead of\n%s", is, said);
}

static void expect_part(const char *text, const char *part)
{
    const char *is = say(text);
    cr_assert(strstr(is, part) != NULL, "%s\nwithout\n%s", is, part);
}

Test(text_edifact, a_plain_message) { expect(HEAD PLAIN("1") "UNZ+1+1'", SAID("1")); }

Test(text_edifact, without_an_envelope_and_over_several_lines)
{
    expect("UNH+1+INVOIC:D:14B:UN'\r\nBGM+380+I\r\nNV1+9'\nDTM+137:20260101:102'\n" SELLER
           "\nCUX+2:EUR'\nUNS+S'\nMOA+9:12.5'\nUNT+9+1'\n",
           SAID("1"));
}

Test(text_edifact, separators_may_be_any)
{
    expect("UNA|*,\\ ~\r\nUNB*UNOC|3*A*B*260101|1200*1~\r\nUNH*1*INVOIC|D|96A|UN~BGM*380*A+B\\*C:\\\\*9~DTM*137|20260101|102~"
           "NAD*SE***X~RFF*VA|DE123456789~CUX*2|EUR~UNS*S~MOA*9|12,50~UNT*9*1~UNZ*1*1~",
           "3:invoice A+B*C:\\@DE123456789 DE123456789 EUR12.50 2026-01-01\n");
    /* no release character: a question mark is itself, and so is the blank that says so */
    expect("UNA:+.  'UNH+1+INVOIC:D:96A:UN'BGM+380+A?+9'DTM+137:20260101:102'NAD+SE+++Koks Maat'UNS+S'UNT+6+1'",
           "1:invoice A?@koks maat koks maat 2026-01-01\n");
}

/* Each interchange of a file has marks of its own: those of the UNA before it, else the usual ones. */
Test(text_edifact, several_interchanges_in_a_file)
{
#define OWN                                                                                                                      \
    "UNA|*,\\ "                                                                                                                  \
    "~UNB*UNOC|3*S*R*260101|1200*1~UNH*1*INVOIC|D|96A|UN~BGM*380*OWN*9~DTM*137|20260101|102~NAD*SE***X~UNS*S~UNT*6*1~UNZ*1*1~"
#define OWN_SAID "1:invoice OWN@x x 2026-01-01\n"
    expect(HEAD PLAIN("1") "UNZ+1+1'" HEAD PLAIN("2") "UNZ+1+1'", SAID("1") SAID("2"));
    expect(HEAD PLAIN("1") "UNZ+1+1'" OWN "UNA:+.? '" HEAD PLAIN("2") "UNZ+1+1'" OWN HEAD PLAIN("3") "UNZ+1+1'",
           SAID("1") OWN_SAID SAID("2") OWN_SAID SAID("3"));
#undef OWN
#undef OWN_SAID
}

/* Old systems wrap their lines wherever they are full, and fill up the last record. */
Test(text_edifact, wrapped_at_any_column_and_filled_up)
{
    static const char text[] = "UNB+UNOC:3+S+R+260101:1200+1'UNH+1+INVOIC:D:96A:UN'BGM+380+A?'?+?:??B+9'DTM+137:20260101:102'"
                               "NAD+SE+++Koks Maat'CUX+2:EUR:4'UNS+S'MOA+9:12.50'UNT+8+1'UNZ+1+1'";
    for (size_t width = 5; width < 90; width++) {
        for (int crlf = 0; crlf < 2; crlf++) {
            char wrapped[1024];
            size_t n = 0;
            for (size_t i = 0; i < sizeof text - 1; i++) {
                if (i > 0 && i % width == 0 && crlf) wrapped[n++] = '\r';
                if (i > 0 && i % width == 0) wrapped[n++] = '\n';
                wrapped[n++] = text[i];
            }
            memcpy(wrapped + n, "\r\n\x1A\0\0", 5);
            const char *said = strchr(text_say(wrapped, n + 5, KH_KIND_ANY, 0), ':');
            cr_assert_str_eq(said, ":invoice A'+:?B@koks maat koks maat EUR12.50 2026-01-01\n", "width %zu", width);
        }
    }
}

Test(text_edifact, a_message_without_a_summary_is_refused)
{
    expect(HEAD OPENING("1") SELLER "CUX+2:EUR:4'LIN+1'MOA+203:99'MOA+9:12.50'UNT+10+1'UNZ+1+1'", "1:FORMAT\n");
    expect(HEAD OPENING("1") SELLER "CUX+2:EUR:4'UNS+D'LIN+1'MOA+9:99'UNS+S'MOA+9:12.50'UNT+12+1'UNZ+1+1'",
           "1:invoice INV1@DE123456789 DE123456789 EUR12.50 2026-01-01\n");
}

Test(text_edifact, dates_in_every_format_that_ends_in_a_day)
{
    static const char *const dates[] = {"20240229:102",
                                        "20240229",
                                        "202402291200:203",
                                        "20240229120000:204",
                                        "240229:101",
                                        "290224:2",
                                        "022924:3",
                                        "29022024:4",
                                        "290220241200:5",
                                        "2402291200:201",
                                        "240229120000:202",
                                        "2402291200UTC:301",
                                        "240229120000UTC:302",
                                        "202402291200:303",
                                        "202402291200UTC:303",
                                        "20240229120000+01:304"};
    char text[256];
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        snprintf(text, sizeof text, "UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:%s'NAD+SE+++X'UNS+S'UNT+6+1'", dates[i]);
        expect(text, "1:invoice N@x x 2024-02-29\n");
    }
    expect("UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:29022023:4'NAD+SE+++X'UNS+S'UNT+6+1'", "1:FORMAT\n");
    /* two digits of a year from 70 on are of the last century, which no date here can be */
    expect("UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:970831:101'NAD+SE+++X'UNS+S'UNT+6+1'", "1:FORMAT\n");
    expect("UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:690831:101'NAD+SE+++X'UNS+S'UNT+6+1'", "1:invoice N@x x 2069-08-31\n");
}

Test(text_edifact, which_identifier_names_the_seller)
{
#define WITH(nad) "UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:20260101:102'" nad "UNS+S'UNT+5+1'"
    expect(WITH("NAD+SE+++X+S+T++1+NO'RFF+GN:57151520'RFF+VA:123456789MVA'"),
           "1:invoice N@NO123456789MVA NO123456789MVA 2026-01-01\n" MISCOUNT("8"));
    expect(WITH("NAD+SE+++X+S+T++1+NL'RFF+GN:57151520'NAD+BY'RFF+VA:NL99'"),
           "1:invoice N@NL57151520 NL57151520 2026-01-01\n" MISCOUNT("9"));
    expect(WITH("NAD+SE+400::9++X+S+T++1+NL'"), "1:invoice N@NL400 NL400 2026-01-01\n" MISCOUNT("6"));
    expect_part(WITH("NAD+SE+++De  Koksmaat:BV'"), "N@de koksmaat bv de koksmaat bv");
    expect_part(WITH("NAD+SE+++Koks Maat:& Zonen:::B.V.:1'"), "N@koks maat & zonen b.v. koks maat & zonen b.v. ");
    expect_part(WITH("NAD+SE++Other:Street 1'"), "N@other other ");
    expect_part(WITH("NAD+SU+++Supplier'RFF+VA:DE1'NAD+BY+++B'"), "N@DE1 ");
    expect_part(WITH("NAD+SU+++Supplier'RFF+VA:DE1'NAD+SE+++S'RFF+VA:DE2'"), "N@DE2 ");
    expect(WITH("NAD+BY+++Buyer'RFF+VA:DE1'"), "1:FORMAT\n" MISCOUNT("7"));
    /* the sender of the message, where no other party is the seller; not where the buyer writes the invoice */
    expect_part(WITH("NAD+MS+990::293'RFF+VA:DE1'NAD+MR+991::293'RFF+VA:DE2'"), "N@DE1 ");
    expect_part(WITH("NAD+MS+990::293'RFF+VA:DE1'NAD+SU+++S'RFF+VA:DE2'"), "N@DE2 ");
    expect_part("UNH+1+INVOIC:D:96A:UN'BGM+389+N'DTM+137:20260101:102'NAD+MS+990::293'RFF+VA:DE1'UNS+S'UNT+7+1'", "1:FORMAT\n");
#undef WITH
}

Test(text_edifact, names_in_the_set_that_the_envelope_names)
{
#define NAMED(set, name)                                                                                                         \
    "UNB+" set ":3+A+B+260101:1200+1'UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:20260101:102'NAD+SE+++" name                        \
    "'UNS+S'UNT+6+1'UNZ+1+1'"
    expect_part(NAMED("UNOC", "Caf\xE9"), "N@caf\xC3\xA9 ");
    expect_part(NAMED("UNOE", "\xB8\xDC\xDF"), "N@\xD0\xB8\xD0\xBC\xD0\xBF ");
    expect_part(NAMED("UNOL", "\xA4uro"), "N@\xE2\x82\xACuro ");
    expect_part(NAMED("UNOW", "Caf\xC3\xA9"), "N@caf\xC3\xA9 ");
    expect(NAMED("UNOW", "Caf\xE9"), "1:FORMAT\n");
#undef NAMED
}

Test(text_edifact, amounts)
{
#define WITH(currency, money) "UNH+1+INVOIC:D:96A:UN'BGM+380+N'DTM+137:20260101:102'" SELLER currency "UNS+S'" money "UNT+0+1'"
    expect_part(WITH("CUX+2:EUR:4'", "MOA+388:100'MOA+9:80,5'"), "EUR80.50");
    expect_part(WITH("CUX+2:EUR:4'", "MOA+39:100'MOA+113:30'"), "EUR70.00");
    expect_part(WITH("CUX+6:SEK'CUX+2:EUR'", "MOA+9:9:SEK'MOA+9:1:EUR'"), "EUR1.00");
    expect_part(WITH("CUX+2:EUR:9+3:USD:4'", "MOA+9:1'"), "USD1.00");
    expect_part(WITH("", "MOA+9:100:JPY'"), "JPY100 ");
    expect_part(WITH("CUX+2:JPY'", "MOA+9:100.5'"), "1:FORMAT");
    expect_part(WITH("", "MOA+9:100'"), "1:FORMAT");
    expect_part(WITH("CUX+2:EUR'", "MOA+77:1'MOA+113:x'"), "1:FORMAT");
    expect_part(WITH("CUX+2:EUR'", "MOA+9:5'MOA+113:x'"), "EUR5.00");
    expect_part(WITH("CUX+2:EUR'", "MOA+77:10'MOA+113:30'"), "1:credit_note N@DE123456789 DE123456789 EUR20.00");
    expect_part(WITH("CUX+2:CNY'", "MOA+9:100.000'"), "1:FORMAT"); /* a digit beyond the exponent, though a zero */
    expect_part(WITH("CUX+2:EUR'", "MOA+9:-5'"), "1:credit_note N@DE123456789 DE123456789 EUR5.00");
#undef WITH
}

/* It looks like an invoice and claims no payment. */
Test(text_edifact, a_proforma_is_no_receivable)
{
    expect("UNH+1+INVOIC:D:14B:UN'BGM+325+N'DTM+137:20260101:102'" SELLER "CUX+2:EUR'UNS+S'MOA+9:5'UNT+9+1'", "1:FORMAT\n");
}

Test(text_edifact, credit_notes_name_what_they_correct)
{
    expect_part("UNH+1+INVOIC:D:14B:UN'BGM+381+N'DTM+3:260102:101'RFF+CT:C1'RFF+IV:OLD1'RFF+BM:BL1'" SELLER
                "CUX+2:EUR'UNS+S'MOA+9:5'UNT+12+1'",
                "1:credit_note N@DE123456789 DE123456789 EUR5.00 2026-01-02 contract=C1 +bill_of_lading:BL1 "
                "-invoice:OLD1@DE123456789\n");
    expect_part("UNH+1+INVOIC:D:14B:UN'BGM+384+N'DTM+137:020126:2'RFF+OI:OLD1'" SELLER "CUX+2:EUR'UNS+S'MOA+9:5'UNT+10+1'",
                "1:invoice N@DE123456789 DE123456789 EUR5.00 2026-01-02 -invoice:OLD1@DE123456789\n");
}

Test(text_edifact, one_bad_message_harms_no_other)
{
    expect(HEAD PLAIN("1") "UNH+2+DESADV:D:96A:UN'UNT+2+2'" OPENING("3") PLAIN("4") "UNZ+7+1'",
           SAID("1") "1:FORMAT\n1:FORMAT\n" SAID("4") "! The interchange says that it has 7 messages (UNZ); it has 4.\n");
}

/* A UNH that something stands before: its message is refused as one, up to its UNT or where the next begins. */
Test(text_edifact, segments_where_no_message_began)
{
    expect(HEAD PLAIN("1") "\xEF\xBB\xBF" PLAIN("2") PLAIN("3") "UNZ+3+1'", SAID("1") "1:FORMAT\n" SAID("3"));
    expect(HEAD PLAIN("1") "BGM+380+2+9'MOA+9:1'" PLAIN("3") "UNZ+3+1'", SAID("1") "1:FORMAT\n" SAID("3"));
    expect(HEAD PLAIN("1") "BGM+380+2+9'UNZ+2+1'", SAID("1") "1:FORMAT\n");
    expect(HEAD PLAIN("1") "UNT+10+2'" PLAIN("3") "UNZ+2+1'", SAID("1") SAID("3"));
}

Test(text_edifact, the_envelope_counts_groups_where_there_are_some)
{
#define GROUP "UNG+INVOIC+S+R+260101:1200+1+UN+D:96A'" PLAIN("1") PLAIN("2") "UNE+2+1'"
    expect(HEAD GROUP "UNZ+1+1'", SAID("1") SAID("2"));
    expect(HEAD GROUP GROUP "UNZ+4+1'",
           SAID("1") SAID("2") SAID("1") SAID("2") "! The interchange says that it has 4 groups (UNZ); it has 2.\n");
#undef GROUP
}

Test(text_edifact, nothing_in_it)
{
    expect(HEAD "UNZ+0+1'", "1:FORMAT\n");
    expect("UNA:+.? '\n", "1:FORMAT\n");
    expect(HEAD "UNH+1", "1:FORMAT\n! The interchange has no UNZ; it may be cut off after 0 messages.\n");
}

/* Cut anywhere, an interchange of two gives what was whole before the cut, and says that it was cut. */
Test(text_edifact, cut_at_every_byte)
{
    const char *text = HEAD PLAIN("1") PLAIN("2") "UNZ+2+1'";
    size_t first = strlen(HEAD PLAIN("1")), second = first + strlen(PLAIN("2"));
    for (size_t n = 1; n < strlen(text); n++) {
        char *exact = malloc(n); /* so that a sanitizer sees a byte too many */
        memcpy(exact, text, n);
        const char *said = text_say(exact, n, KH_KIND_ANY, 0);
        cr_assert_eq(strncmp(said, SAID("1"), strlen(SAID("1"))) == 0, n >= first, "cut at %zu: %s", n, said);
        cr_assert_eq(strstr(said, SAID("2")) != NULL, n >= second, "cut at %zu: %s", n, said);
        cr_assert(strstr(said, "FORMAT") != NULL || strstr(said, "may be cut off") != NULL, "cut at %zu: %s", n, said);
        free(exact);
    }
}

/* The samples that may be beside the source: the same invoice in two syntaxes is one document. */
Test(text_edifact, twins_of_other_syntaxes)
{
    static const char *const pairs[][2] = {{"edifact/EDIFACT_EXAMPLE1.TXT", "ubl/ubl-tc434-example1.xml"},
                                           {"edifact/EDIFACT_EXAMPLE2.TXT", "cii/CII_example2.xml"},
                                           {"edifact/EDIFACT_EXAMPLE3.TXT", "cii/CII_example3.xml"},
                                           {"edifact/EDIFACT_EXAMPLE8.TXT", "ubl/ubl-tc434-example8.xml"}};
    const char *samples = getenv("KH_SAMPLES"), *root = getenv("KH_SOURCE_ROOT");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char keep[1024] = "", path[1024];
        for (int j = 0; j < 2; j++) {
            size_t n = 0;
            if (samples != NULL) snprintf(path, sizeof path, "%s/invoices/%s", samples, pairs[i][j]);
            else snprintf(path, sizeof path, "%s/../shared/samples/invoices/%s", root != NULL ? root : ".", pairs[i][j]);
            char *p = (char *)xml_slurp(path, &n);
            if (p == NULL) cr_skip("the samples are not here");
            const char *said = strchr(text_say(p, n, KH_KIND_ANY, 0), ':'); /* behind the line's number */
            cr_assert_not_null(said);
            if (j == 0) snprintf(keep, sizeof keep, "%.*s", (int)(strchr(said, '\n') - said), said);
            else cr_assert(strncmp(keep, said, strlen(keep)) == 0, "%s\n%s", keep, said);
            free(p);
        }
    }
}
