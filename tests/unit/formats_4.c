/* The XML readers on hostile files, and on the sample files by others where these are there. */
#include "formats_xml.h"

#include <criterion/criterion.h>
#include <ftw.h>

static xml_outcome outcome;

static void read_text(const char *text) { xml_read((const uint8_t *)text, strlen(text), KH_FORMAT_AUTO, NULL, &outcome); }

#define GOOD                                                                                                                     \
    "<Declaration><FunctionCode>9</FunctionCode><ID>A1</ID><TypeCode>EXA</TypeCode><Declarant><ID>X1</ID></Declarant></"         \
    "Declaration>"

Test(xml_hostile, entities_and_declarations_are_refused_at_once)
{
    read_text("<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><Declaration>&b;</Declaration>");
    cr_assert(outcome.refused == 1 && outcome.good == 0 && outcome.line == 2);
    cr_assert(strstr(outcome.why, "document type definition") != NULL, "%s", outcome.why);
    read_text("<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]>" GOOD);
    cr_assert(outcome.refused == 1 && outcome.good == 0);
    read_text("<!DOCTYPE a [<!ATTLIST Declaration x CDATA 'y'>]>" GOOD);
    cr_assert(outcome.refused == 1 && outcome.good == 0);
    read_text("<Declaration><ID>&foo;</ID></Declaration>");
    cr_assert(outcome.refused == 1 && outcome.good == 0);
    read_text("<!DOCTYPE Declaration SYSTEM 'http://nowhere.invalid/x.dtd'>" GOOD);
    cr_assert(outcome.refused == 0 && outcome.good == 1, "a DOCTYPE alone is harmless");
    read_text("<Declaration><FunctionCode>9</FunctionCode><ID>A&amp;&#66;</ID><TypeCode>EXA</TypeCode><Declarant><ID>X1</ID></"
              "Declarant></Declaration>");
    cr_assert(outcome.good == 1 && strstr(outcome.lines[0], "A&B") != NULL, "%s", outcome.lines[0]);
}

/* before, then `piece` until the file has n bytes, then after */
static void read_repeated(const char *before, const char *piece, const char *after, size_t n)
{
    size_t head = strlen(before), tail = strlen(after), each = strlen(piece), at = head;
    char *p = malloc(n + each + tail + 1);
    memcpy(p, before, head);
    for (; at < n; at += each) memcpy(p + at, piece, each);
    memcpy(p + at, after, tail);
    xml_read((uint8_t *)p, at + tail, KH_FORMAT_AUTO, NULL, &outcome);
    free(p);
}

Test(xml_hostile, large_and_deep_files_are_answered)
{
    size_t big = 31u << 20;
    read_repeated("<Declaration ", "abcdefg='1' ", "/>", big); /* one tag of 31 MB */
    cr_assert(outcome.refused == 1 && outcome.good == 0);
    read_repeated("<Declaration a='", "xxxxxxxxxxxxxxxx", "'/>", big);
    cr_assert(outcome.refused == 1 && outcome.good == 0);
    read_repeated("", "<a>", "", 3000000);
    cr_assert(outcome.refused == 1 && strstr(outcome.why, "deeply") != NULL, "%s", outcome.why);
    read_repeated("<x><Declaration>", "<a/>", "</Declaration>" GOOD "</x>", big);
    cr_assert(outcome.refused == 1 && outcome.good == 1 && strstr(outcome.why, "too large") != NULL, "%s", outcome.why);
    read_repeated("<x><Declaration><Note>", "xxxxxxxxxxxxxxxx", "</Note></Declaration>" GOOD "</x>", big);
    cr_assert(outcome.refused == 1 && outcome.good == 1, "a long text harms no other document: %s", outcome.why);
    read_repeated("<x>", GOOD, "</x>", 4u << 20);
    cr_assert(outcome.refused == 0 && outcome.good > 30000);
    read_repeated("<x>", "<Response/>", "</x>", 4u << 20);
    cr_assert(outcome.good == 0 && outcome.refused > 300000);
}

Test(xml_hostile, many_different_names_are_bounded)
{
    size_t cap = 8u << 20, n = 0;
    char *p = malloc(cap);
    n += (size_t)snprintf(p, cap, "<x>");
    for (uint32_t i = 0; n + 32 < cap; i++) n += (size_t)snprintf(p + n, cap - n, "<n%u/>", i);
    xml_read((uint8_t *)p, n, KH_FORMAT_AUTO, NULL, &outcome);
    cr_assert(outcome.refused == 1 && strstr(outcome.why, "names") != NULL, "%s", outcome.why);
    free(p);
}

/* `cnt` numbered pieces between a head and a tail; wide: in UTF-16. */
static void read_numbered(const char *head, const char *piece, uint32_t cnt, const char *tail, bool wide)
{
    size_t cap = 64 + strlen(head) + strlen(tail) + cnt * 8 * strlen(piece), n = 0; /* a # becomes eight digits */
    char *p = malloc(2 * cap);
    n += (size_t)snprintf(p, cap, "%s", head);
    for (uint32_t i = 0; i < cnt; i++) {
        char one[64];
        snprintf(one, sizeof one, "%08u", i);
        for (const char *c = piece; *c != 0; c++)
            if (*c == '#') n += (size_t)snprintf(p + n, cap - n, "%s", one);
            else p[n++] = *c;
    }
    n += (size_t)snprintf(p + n, cap - n, "%s", tail);
    for (size_t i = n; wide && i-- > 0;) {
        p[2 * i] = p[i];
        p[2 * i + 1] = 0;
    }
    xml_read((uint8_t *)p, wide ? 2 * n : n, KH_FORMAT_AUTO, NULL, &outcome);
    free(p);
}

/* libxml2 compares each attribute with each, and looks a prefix up among all that are declared: minutes, were they not bounded.
 */
Test(xml_hostile, attributes_and_namespaces_are_bounded)
{
#define XML "<?xml version='1.0'?>" /* by which UTF-16 without a mark is known */
    for (int wide = 0; wide < 2; wide++) {
        read_numbered(XML "<x>" GOOD "<y ", "a#='' ", 256, "/>" GOOD "</x>", wide);
        cr_assert(outcome.good == 2 && outcome.refused == 0, "%s", outcome.why);
        read_numbered(XML "<x>" GOOD "<y ", "a#='' ", 257, "/>" GOOD "</x>", wide);
        cr_assert(outcome.good == 1 && outcome.refused == 1 && strstr(outcome.why, "attributes") != NULL, "%s", outcome.why);
        read_numbered(XML "<x>" GOOD "<y ", "a#='' ", 400000, "/></x>", wide);
        cr_assert(outcome.good == 1 && outcome.refused == 1 && strstr(outcome.why, "attributes") != NULL, "%s", outcome.why);
    }
#undef XML
    read_numbered("<x ", "xmlns:n#='u' ", 400000, "/>", false);
    cr_assert(outcome.good == 0 && outcome.refused == 1 && strstr(outcome.why, "attributes") != NULL, "%s", outcome.why);
    read_numbered("<x>" GOOD, "<y xmlns:a#='u' xmlns:b#='u' xmlns:c#='u' xmlns:d#='u' xmlns:e#='u' xmlns:f#='u'>", 90, "", false);
    cr_assert(outcome.good == 1 && outcome.refused == 1 && strstr(outcome.why, "namespaces") != NULL, "%s", outcome.why);
    read_numbered("<x>" GOOD, "<y xmlns:a#='u' xmlns:b#='u' xmlns:c#='u'/>", 20000, GOOD "</x>", false);
    cr_assert(outcome.good == 2 && outcome.refused == 0, "one beside the other they are as many as you like: %s", outcome.why);
}

/* What looks like attributes and is none: in texts, values, comments, sections, instructions. */
Test(xml_hostile, equal_signs_are_no_attributes)
{
    static const char *const frames[][2] = {
        {"<y>", "</y>"}, {"<y a=\">", "\"/>"}, {"<!-- > \"<y ", "-->"}, {"<y><![CDATA[> <y ", "]]></y>"}, {"<?y > <y ", "?>"}};
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        char head[512], tail[512];
        snprintf(head, sizeof head, "<x>" GOOD "%s", frames[i][0]);
        snprintf(tail, sizeof tail, "%s" GOOD "</x>", frames[i][1]);
        read_numbered(head, "a#='' ", 1000, tail, false);
        cr_assert(outcome.good == 2 && outcome.refused == 0, "%zu: %s", i, outcome.why);
    }
}

Test(xml_hostile, a_damaged_file_keeps_what_came_before_the_damage)
{
    read_text("<x>\n" GOOD "\n" GOOD "<<");
    cr_assert(outcome.good == 2 && outcome.refused == 1 && outcome.line == 3, "%u %u %llu", outcome.good, outcome.refused,
              (unsigned long long)outcome.line);
    read_text("<Declaration><ID>\xff\xfe\xfa</ID></Declaration>");
    cr_assert(outcome.refused == 1 && outcome.good == 0 && outcome.byte >= 13 && outcome.byte <= 20);
    read_text("<?xml version='1.0' encoding='klingon'?><Declaration/>");
    cr_assert(outcome.refused == 1 && outcome.good == 0);
    read_text("<?xml version='1.0' encoding='GB18030'?><Declaration><ID>\xff\xff</ID></Declaration>");
    cr_assert(outcome.refused == 1 && outcome.good == 0 && strstr(outcome.why, "encoding") != NULL, "%s", outcome.why);
    read_text("");
    cr_assert(outcome.refused == 1 && strstr(outcome.why, "empty") != NULL, "%s", outcome.why);
    read_text("<html><body/></html>");
    cr_assert(outcome.refused == 1 && strstr(outcome.why, "html") != NULL, "%s", outcome.why);
}

Test(xml_hostile, an_envelope_may_be_called_as_a_document)
{
    read_text("<Response><Status>OK</Status><DecMessage><DecHead><EntryId>310120240000000001</EntryId><TradeCoScc>X1</TradeCoScc>"
              "</DecHead></DecMessage></Response>");
    cr_assert_str_eq(outcome.lines[0], "put export_declaration 310120240000000001 owner=X1");
    cr_assert(outcome.good == 1 && outcome.refused == 0);
    read_text("<Response><s:Body "
              "xmlns:s='urn:soap'><DEC_RESULT><ENTRY_ID>310120240000000001</ENTRY_ID><CHANNEL>@@</CHANNEL></DEC_RESULT>"
              "</s:Body></Response>");
    cr_assert(outcome.refused == 1 && strstr(outcome.why, "CHANNEL") != NULL, "%s", outcome.why);
    read_text(
        "<Response xmlns:q='urn:q'><q:FunctionCode>10</q:FunctionCode><FunctionCode>9</FunctionCode><q:Declaration><ID>X</ID>"
        "</q:Declaration><Declaration><ID>A1</ID></Declaration></Response>");
    cr_assert_str_eq(outcome.lines[0], "status any A1 cleared");
    read_text("<x><Response><a/><b><DecMessage/></b></Response>" GOOD "</x>");
    cr_assert(outcome.good == 1 && outcome.refused == 1);
}

Test(xml_hostile, cut_at_every_byte)
{
    static const char *const files[] = {"ubl_invoice.xml", "wco_notices.xml", "decmessage_gb.xml", "decmessage_utf16.xml"};
    for (size_t f = 0; f < 4; f++) {
        char path[1024];
        size_t n = 0;
        const char *root = getenv("KH_SOURCE_ROOT");
        snprintf(path, sizeof path, "%s/tests/golden/formats/%s", root != NULL ? root : ".", files[f]);
        uint8_t *p = xml_slurp(path, &n);
        cr_assert(p != NULL);
        size_t whole = n;
        while (whole > 0 && (p[whole - 1] == '\n' || p[whole - 1] == 0)) whole--;
        for (size_t cut = 0; cut < whole; cut++) {
            uint8_t *exact = malloc(cut + 1); /* so that reading beyond is seen by the sanitizer */
            memcpy(exact, p, cut);
            exact = realloc(exact, cut > 0 ? cut : 1);
            kh_format format;
            (void)!kh_xml_detect(exact, cut, &format);
            xml_read(exact, cut, KH_FORMAT_AUTO, NULL, &outcome);
            cr_assert(outcome.refused >= 1, "%s cut at %zu is taken for whole", files[f], cut);
            free(exact);
        }
        free(p);
    }
}

/* ---- samples by others ---- */

static char samples[1024];
static uint32_t files_cnt, items_cnt[5], refused_cnt, kinds_cnt[KH_KIND_CNT], statuses_cnt[KH_STATUS_CNT], notices_cnt;

static bool samples_there(void)
{
    const char *env = getenv("KH_SAMPLES"), *root = getenv("KH_SOURCE_ROOT");
    if (env != NULL) snprintf(samples, sizeof samples, "%s", env);
    else snprintf(samples, sizeof samples, "%s/../shared/samples", root != NULL ? root : ".");
    FILE *f = fopen(samples, "r");
    if (f == NULL) return false;
    fclose(f);
    return true;
}

static int count_file(const char *path, const struct stat *st, int type)
{
    size_t len = strlen(path), n = 0;
    (void)st;
    if (type != FTW_F || len < 4 || (strcmp(path + len - 4, ".xml") != 0 && strcmp(path + len - 4, ".XML") != 0)) return 0;
    uint8_t *p = xml_slurp(path, &n);
    kh_format format;
    kh_xml *x = NULL;
    kh_err err = KH_OK;
    static kh_item item;
    cr_assert(p != NULL && kh_xml_detect(p, n, &format));
    cr_assert_eq(kh_xml_open(p, n, KH_FORMAT_AUTO, NULL, &x), KH_OK);
    files_cnt++;
    while (kh_xml_next(x, &item, &err)) {
        if (item.code != KH_C_OK && item.code != KH_C_CHECK_DIGIT) {
            refused_cnt++;
            continue;
        }
        items_cnt[item.document.action]++;
        statuses_cnt[item.document.status]++;
        notices_cnt += (item.document.flags & KH_DOCF_NOTICE) != 0;
        if (item.document.action == KH_DOC_PUT) kinds_cnt[item.document.kind]++;
        cr_assert(item.document.number.n > 0);
        if (item.document.action == KH_DOC_PUT) cr_assert(item.document.owner.n > 0, "%s", path);
    }
    kh_xml_close(x);
    free(p);
    return 0;
}

Test(xml_samples, every_file_has_its_outcome)
{
    if (!samples_there()) cr_skip_test("the samples are not here");
    cr_assert_eq(ftw(samples, count_file, 32), 0);
    cr_assert_eq(files_cnt, 428, "%u files", files_cnt);
    cr_assert_eq(refused_cnt, 23, "%u refused",
                 refused_cnt); /* 20 movement messages, a report, a damaged file, one item's price */
    cr_assert_eq(items_cnt[KH_DOC_PUT], 163, "%u", items_cnt[KH_DOC_PUT]);
    cr_assert_eq(items_cnt[KH_DOC_AMEND], 10, "%u", items_cnt[KH_DOC_AMEND]);
    cr_assert_eq(items_cnt[KH_DOC_CANCEL], 1);
    cr_assert_eq(items_cnt[KH_DOC_STATUS], 233, "%u", items_cnt[KH_DOC_STATUS]);
    cr_assert(kinds_cnt[KH_KIND_EXPORT_DECLARATION] == 26 && kinds_cnt[KH_KIND_IMPORT_DECLARATION] == 123);
    cr_assert(kinds_cnt[KH_KIND_INVOICE] == 13 && kinds_cnt[KH_KIND_CREDIT_NOTE] == 1);
    cr_assert(statuses_cnt[KH_STATUS_ACCEPTED] == 49 && statuses_cnt[KH_STATUS_CLEARED] == 49 &&
              statuses_cnt[KH_STATUS_RELEASED] == 3);
    cr_assert(statuses_cnt[KH_STATUS_EXITED] == 5 && statuses_cnt[KH_STATUS_REJECTED] == 4 &&
              statuses_cnt[KH_STATUS_REVOKED] == 1);
    cr_assert_eq(notices_cnt, 7);
}

Test(xml_samples, the_known_traps_are_read_right)
{
    static const struct {
        const char *file, *first;
    } table[] = {
        {"invoices/ubl/ubl-tc434-example8.xml",
         "put invoice 1100512149@NL809561074B01 owner=NL809561074B01 2014-11-10 EUR 1099.78"},
        {"invoices/cii/CII_example8.xml", "put invoice 1100512149@NL809561074B01 owner=NL809561074B01 2014-11-10 EUR 1099.78"},
        {"invoices/ubl/ubl-tc434-example2.xml",
         "put invoice TOSL108@NO123456789MVA owner=NO123456789MVA 2013-06-30 contract=Contract321 NOK 801.78"},
        {"invoices/cii/CII_example2.xml",
         "put invoice TOSL108@NO123456789MVA owner=NO123456789MVA 2013-06-30 contract=Contract321 NOK 801.78"},
        {"invoices/ubl/ubl-tc434-example3.xml",
         "put invoice TOSL108@DK16356706 owner=DK16356706 2013-04-10 contract=SUBSCR571 DKK 2005.00"},
        {"invoices/cii/CII_example3.xml",
         "put invoice TOSL108@DK16356706 owner=DK16356706 2013-04-10 contract=SUBSCR571 DKK 1125.00"},
        {"invoices/ubl/ubl-tc434-example5.xml",
         "put invoice TOSL110@NL16356706 owner=NL16356706 2013-04-10 contract=2013-05 DKK 2337.50"},
        {"invoices/cii/CII_example5.xml",
         "put invoice TOSL110@NL16356706 owner=NL16356706 2013-04-10 contract=2013-05 DKK 2337.50"},
        {"invoices/ubl/guide-example1.xml", "put invoice 12115118@NL820098395B01 owner=NL820098395B01 2015-01-09 EUR 250.33"},
        {"invoices/ubl/ubl-tc434-creditnote1.xml",
         "put credit_note 018304/28865@BE0000000196 owner=BE0000000196 2019-09-23 EUR 100.11"},
        {"wco-declarations/TT_EX023a/Step1_TT_EX023a.xml",
         "put export_declaration 7849431M4IK3@GB896458895023 owner=GB896458895023 2024-04-25 t1714035763 lrn-key JPY 15000"},
        {"wco-declarations/TT_IM184a/Step1_TT_IM184a.xml",
         "put import_declaration U.7847344SQRMK@GB603202734852 owner=GB553202734852 2025-11-11 lrn-key GBP 12100.00 "
         "+invoice:12345@GB553202734852"},
        {"wco-declarations/TT_EX024a/Step1_TT_EX024a.xml",
         "put export_declaration 7849431OSIOO@GB427168118378 owner=GB427168118378 2024-03-12 t1710239365 lrn-key"},
        {"wco-declarations/TT_IM059a/Step1_TT_IM059a.xml",
         "put import_declaration U.78675230H61T@XI553202734852 owner=XI553202734852 lrn-key GBP 1200.00 "
         "+invoice:12345@XI553202734852"},
        {"wco-declarations/TT_IM011a/TT_IM011a.xml",
         "put import_declaration 7849431M0ZUP@GB427168118378 owner=GB427168118378 lrn-key"},
        {"wco-declarations/TT_IM011a/TT_IM011a_Amendment.xml", "amend any 24GBA4ZYBWXU1BSA00 lrn=7849431M0ZUP"},
        {"wco-declarations/TT_IM011a/TT_IM011a_Cancellation.xml", "cancel any 24GBA4ZYBWXU1BSA00 lrn=7849431M0ZUP"},
        {"wco-declarations/TT_IM082a/TT_IM002b_Amendment.xml", "amend any 25GB3POHWIVZSF9AR0 lrn=U.78475764QX0M GBP 999.00"},
        {"wco-declarations/TT_IM168a/Step1_TT_IM168a.xml",
         "put import_declaration U.7867523GLJ4C@XI603202734852 owner=XI553202734852 lrn-key GBP 120.00 +bill_of_lading:0054047"},
        {"wco-declarations/TT_IM222a/Step1_TT_IM222a.xml",
         "put import_declaration U.7867523YQA0I@GB553202734852 owner=GB553202734852 lrn-key GBP 150.00 "
         "+invoice:0054038@GB553202734852"},
        {"wco-declarations/TT_IM084a/TT_IM084a.xml", "refused 10 @164"},
        {"wco-declarations/TT_IM082a/DIS_Report/TT_IM082a_DIS_Report.xml", "refused 10 @1"},
        {"wco-declarations/TT_IM077a/Movement_Messages/Step2_GPN.xml", "status any 25GB13GP6SYGRXAA01 lrn=U.7847767797YA"},
        {"wco-declarations/TT_IM017b/08._DMSRES.xml", "status any 21GB7X9245J99OX4R0 lrn=TT_IM17B_190721_01 t1626708403 notice"},
    };
    if (!samples_there()) cr_skip_test("the samples are not here");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char path[1200];
        size_t n = 0;
        snprintf(path, sizeof path, "%s/%s", samples, table[i].file);
        uint8_t *p = xml_slurp(path, &n);
        cr_assert(p != NULL, "%s", path);
        xml_read(p, n, KH_FORMAT_AUTO, NULL, &outcome);
        cr_assert_str_eq(outcome.lines[0], table[i].first);
        free(p);
    }
    cr_assert_str_eq(outcome.lines[1], "amend any 21GB7X9245J99OX4R0 lrn=TT_IM17B_190721_01 t1626708403 GBP 100.00");
}
