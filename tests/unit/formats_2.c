/* The XML readers on files of our own: what each syntax says is read as DOMAIN §5 and §6 say. */
#include "formats_xml.h"

#include <criterion/criterion.h>

static xml_outcome outcome;

static void golden(const char *name, kh_format hint, const kh_feed *feed)
{
    char path[1024];
    size_t n = 0;
    const char *root = getenv("KH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/formats/%s", root != NULL ? root : ".", name);
    uint8_t *p = xml_slurp(path, &n);
    cr_assert(p != NULL, "%s cannot be read", path);
    xml_read(p, n, hint, feed, &outcome);
    free(p);
}

static void expect(const char *const lines[], uint32_t cnt)
{
    cr_assert_eq(outcome.good + outcome.refused, cnt, "%u items", outcome.good + outcome.refused);
    for (uint32_t i = 0; i < cnt; i++) cr_assert_str_eq(outcome.lines[i], lines[i]);
}
#define EXPECT(...) expect((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

#define TWIN                                                                                                                     \
    "put invoice INV2024/7@NO123456789MVA owner=NO123456789MVA 2024-03-01 contract=C-77 EUR 1125.50 +bill_of_lading:COSU6001"

Test(xml_invoice, one_invoice_in_two_syntaxes_is_one_document)
{
    golden("ubl_invoice.xml", KH_FORMAT_AUTO, NULL);
    EXPECT(TWIN);
    cr_assert_eq(outcome.format, KH_FORMAT_UBL);
    golden("cii_invoice.xml", KH_FORMAT_AUTO, NULL);
    EXPECT(TWIN);
    cr_assert_eq(outcome.format, KH_FORMAT_CII);
}

/* What a document has once stands there twice, in front of what it has: refused, by name; the same text again is no harm. */
Test(xml_invoice, what_counts_stands_once)
{
    static const struct {
        const char *file, *before, *text, *name;
    } twice[] = {
        {"ubl_invoice.xml", "<b:PayableAmount ", "<b:PayableAmount currencyID=\"EUR\">1.00</b:PayableAmount>", "PayableAmount"},
        {"ubl_invoice.xml", "<b:PayableAmount ", "<b:PayableAmount currencyID=\"EUR\"> 1125.5 </b:PayableAmount>", NULL},
        {"cii_invoice.xml", "<m:InvoiceCurrencyCode>", "<m:InvoiceCurrencyCode>USD</m:InvoiceCurrencyCode>",
         "InvoiceCurrencyCode"},
        {"cii_invoice.xml", "<m:SellerTradeParty>", "<m:SellerTradeParty><m:Name>X</m:Name></m:SellerTradeParty>",
         "SellerTradeParty"},
    };
    const char *root = getenv("KH_SOURCE_ROOT");
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
        char path[1024];
        size_t n = 0, more = strlen(twice[i].text);
        snprintf(path, sizeof path, "%s/tests/golden/formats/%s", root != NULL ? root : ".", twice[i].file);
        uint8_t *p = xml_slurp(path, &n);
        cr_assert(p != NULL && (p = realloc(p, n + more + 1)) != NULL);
        p[n] = 0;
        char *at = strstr((char *)p, twice[i].before);
        cr_assert(at != NULL, "%s", twice[i].before);
        memmove(at + more, at, n - (size_t)(at - (char *)p));
        memcpy(at, twice[i].text, more);
        xml_read(p, n + more, KH_FORMAT_AUTO, NULL, &outcome);
        cr_assert_eq(outcome.refused, twice[i].name != NULL);
        if (twice[i].name != NULL)
            cr_assert(strncmp(outcome.why, twice[i].name, strlen(twice[i].name)) == 0 && strstr(outcome.why, "twice") != NULL,
                      "%s", outcome.why);
        free(p);
    }
}

/* The same of declarations and notices: `%s` stands behind what it says again. */
Test(xml_wco, what_counts_stands_once)
{
#define DEC(head, behind) "<DecMessage><DecHead>" head "</DecHead>" behind "</DecMessage>"
#define DEC_HEAD "<EntryId>310120240000000001</EntryId><SeqNo>I1</SeqNo><IEFlag>E</IEFlag><TradeCoScc>X1</TradeCoScc>%s"
#define WCO(more)                                                                                                                \
    "<Declaration><FunctionCode>9</FunctionCode><ID>24GB0YVJ3EXXES8AA0</ID><FunctionalReferenceID>LRN-2</FunctionalReferenceID>" \
    "<TypeCode>EXA</TypeCode><InvoiceAmount currencyID='GBP'>5</InvoiceAmount>" more "<Declarant><ID>GB111</ID></Declarant>"     \
    "</Declaration>"
#define NOTE(more)                                                                                                               \
    "<Declaration><FunctionCode>13</FunctionCode><ID>24GB0YVJ3EXXES8AA0</ID><FunctionalReferenceID>LRN-2"                        \
    "</FunctionalReferenceID><TypeCode>GPR</TypeCode>" more "</Declaration>"
#define ANSWER(more)                                                                                                             \
    "<Response><FunctionCode>01</FunctionCode><Declaration><ID>24GB0YVJ3EXXES8AA0</ID><FunctionalReferenceID>LRN-2"              \
    "</FunctionalReferenceID>" more "</Declaration></Response>"
    static const struct {
        const char *form, *same, *other, *name;
    } twice[] = {
        {DEC(DEC_HEAD, ""), "<EntryId>310120240000000001</EntryId>", "<EntryId>310120240000000002</EntryId>", "EntryId"},
        {DEC(DEC_HEAD, ""), "<SeqNo>I1</SeqNo>", "<SeqNo>I2</SeqNo>", "SeqNo"},
        {DEC(DEC_HEAD, ""), "<IEFlag>E</IEFlag>", "<IEFlag>I</IEFlag>", "IEFlag"},
        {DEC(DEC_HEAD, ""), "<TradeCoScc>X1</TradeCoScc>", "<TradeCoScc>X2</TradeCoScc>", "TradeCoScc"},
        {DEC("<EntryId>310120240000000001</EntryId><IEFlag>E</IEFlag><TradeCoScc>X1</TradeCoScc>", "%s"), "",
         "<DecHead><EntryId>310120240000000002</EntryId></DecHead>", "DecHead"},
        {WCO("%s"), "<ID>24GB0YVJ3EXXES8AA0</ID>", "<ID>24GB0YVJ3EXXES8AA1</ID>", "ID"},
        {WCO("%s"), "<FunctionalReferenceID>LRN-2</FunctionalReferenceID>",
         "<FunctionalReferenceID>LRN-3</FunctionalReferenceID>", "FunctionalReferenceID"},
        {WCO("%s"), "<InvoiceAmount currencyID='GBP'>5</InvoiceAmount>", "<InvoiceAmount currencyID='USD'>5</InvoiceAmount>",
         "InvoiceAmount"},
        {NOTE("%s"), "<ID>24GB0YVJ3EXXES8AA0</ID>", "<ID>24GB0YVJ3EXXES8AA1</ID>", "ID"},
        {ANSWER("%s"), "<ID>24GB0YVJ3EXXES8AA0</ID>", "<ID>24GB0YVJ3EXXES8AA1</ID>", "ID"},
        {ANSWER("%s"), "<FunctionalReferenceID>LRN-2</FunctionalReferenceID>",
         "<FunctionalReferenceID>LRN-3</FunctionalReferenceID>", "FunctionalReferenceID"},
    };
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++)
        for (int lies = 0; lies < 2; lies++) {
            char text[1024];
            int n = snprintf(text, sizeof text, twice[i].form, lies ? twice[i].other : twice[i].same);
            xml_read((const uint8_t *)text, (size_t)n, KH_FORMAT_AUTO, NULL, &outcome);
            cr_assert(outcome.refused == (uint32_t)lies && outcome.good == (uint32_t)!lies, "%s: %s", text, outcome.why);
            if (lies)
                cr_assert(strncmp(outcome.why, twice[i].name, strlen(twice[i].name)) == 0 && strstr(outcome.why, "twice") != NULL,
                          "%s: %s", text, outcome.why);
        }
}

Test(xml_invoice, credit_notes_corrections_and_refusals)
{
    golden("ubl_credit_notes.xml", KH_FORMAT_AUTO, NULL);
    EXPECT("put credit_note CN1@NL57151520 owner=NL57151520 2024-03-05 JPY 500 -invoice:INV9@NL57151520",
           "put credit_note NEG1@NL1 owner=NL1 2024-03-05 EUR 12.30 -invoice:INV9@NL1",
           "put invoice COR1@NL1 owner=NL1 2024-03-05 EUR 80.00 -invoice:INV9@NL1",
           "put invoice PAID1@de koks maat owner=de koks maat 2024-03-05 EUR 0.00", "refused 10 @6", "refused 10 @7",
           "put invoice 12345678901234567890 owner=91350100M0001TGQXM 2024-03-05");
}

Test(xml_invoice, a_wrong_hint_is_said)
{
    golden("cii_invoice.xml", KH_FORMAT_UBL, NULL);
    EXPECT("refused 10 @2");
    cr_assert(strstr(outcome.why, "ubl") != NULL && strstr(outcome.why, "cii") != NULL, "%s", outcome.why);
}

Test(xml_invoice, the_scheme_of_a_vat_number_is_vat_or_va)
{
    static const char *const schemes[] = {"VAT", "VA", "vat"};
    char xml[1024];
    for (size_t i = 0; i < 3; i++) {
        int n = snprintf(
            xml, sizeof xml,
            "<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'><ID>1</ID><IssueDate>2024-02-29</IssueDate>"
            "<AccountingSupplierParty><Party><PartyTaxScheme><CompanyID>NO1</CompanyID><TaxScheme><ID>%s</ID></TaxScheme>"
            "</PartyTaxScheme></Party></AccountingSupplierParty></Invoice>",
            schemes[i]);
        xml_read((const uint8_t *)xml, (size_t)n, KH_FORMAT_AUTO, NULL, &outcome);
        EXPECT("put invoice 1@NO1 owner=NO1 2024-02-29");
    }
}

#define CII(type, amounts)                                                                                                       \
    "<CrossIndustryInvoice xmlns='urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100'><ExchangedDocument><ID>1</ID>"   \
    "<TypeCode>" type "</TypeCode><IssueDateTime><DateTimeString>20240229</DateTimeString></IssueDateTime></ExchangedDocument>"  \
    "<SupplyChainTradeTransaction><ApplicableHeaderTradeAgreement><SellerTradeParty><Name>N</Name></SellerTradeParty>"           \
    "</ApplicableHeaderTradeAgreement><ApplicableHeaderTradeSettlement><InvoiceCurrencyCode>EUR</InvoiceCurrencyCode>"           \
    "<SpecifiedTradeSettlementHeaderMonetarySummation>" amounts "</SpecifiedTradeSettlementHeaderMonetarySummation>"             \
    "</ApplicableHeaderTradeSettlement></SupplyChainTradeTransaction></CrossIndustryInvoice>"

#define CORRECTED(type)                                                                                                          \
    "<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'><ID>2</ID><IssueDate>2024-02-29</IssueDate>"        \
    "<InvoiceTypeCode>" type "</InvoiceTypeCode><DocumentCurrencyCode>EUR</DocumentCurrencyCode><BillingReference>"              \
    "<InvoiceDocumentReference><ID>1</ID></InvoiceDocumentReference></BillingReference><AccountingSupplierParty><Party>"         \
    "<PartyName><Name>N</Name></PartyName></Party></AccountingSupplierParty><LegalMonetaryTotal><PayableAmount>9"                \
    "</PayableAmount></LegalMonetaryTotal></Invoice>"

/* CII lets the amount due out: it is the total, less what is prepaid, with its rounding. */
Test(xml_invoice, what_is_due_follows_from_the_total)
{
    static const char *const cases[][2] = {
        {CII("380", "<GrandTotalAmount>100.02</GrandTotalAmount>"), "put invoice 1@n owner=n 2024-02-29 EUR 100.02"},
        {CII("380", "<GrandTotalAmount currencyID='NOK'>1</GrandTotalAmount><GrandTotalAmount currencyID='EUR'>100.02"
                    "</GrandTotalAmount><TotalPrepaidAmount>30</TotalPrepaidAmount><RoundingAmount>-0.02</RoundingAmount>"),
         "put invoice 1@n owner=n 2024-02-29 EUR 70.00"},
        {CII("380", "<GrandTotalAmount>9</GrandTotalAmount><DuePayableAmount>0</DuePayableAmount>"),
         "put invoice 1@n owner=n 2024-02-29 EUR 0.00"},
        {CII("380", "<GrandTotalAmount>-9</GrandTotalAmount>"), "put credit_note 1@n owner=n 2024-02-29 EUR 9.00"},
        {CII("380", "<GrandTotalAmount>9</GrandTotalAmount><TotalPrepaidAmount>1.234</TotalPrepaidAmount>"), "refused 10 @1"},
        {CII("380", "<GrandTotalAmount currencyID='NOK'>9</GrandTotalAmount>"), "refused 10 @1"},
        {CII("380", "<TotalPrepaidAmount>9</TotalPrepaidAmount>"), "put invoice 1@n owner=n 2024-02-29"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        xml_read((const uint8_t *)cases[i][0], strlen(cases[i][0]), KH_FORMAT_AUTO, NULL, &outcome);
        EXPECT(cases[i][1]);
    }
}

/* A corrected invoice amends what it names, whoever wrote it and whoever is paid. */
Test(xml_invoice, every_code_of_a_corrected_invoice)
{
    static const char *const texts[] = {CORRECTED("384"), CORRECTED("471"), CORRECTED("472"), CORRECTED("473")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        xml_read((const uint8_t *)texts[i], strlen(texts[i]), KH_FORMAT_AUTO, NULL, &outcome);
        EXPECT("put invoice 2@n owner=n 2024-02-29 EUR 9.00 -invoice:1@n");
    }
    xml_read((const uint8_t *)CORRECTED("393"), strlen(CORRECTED("393")), KH_FORMAT_AUTO, NULL, &outcome);
    EXPECT("put invoice 2@n owner=n 2024-02-29 EUR 9.00");
}

Test(xml_invoice, a_proforma_is_no_receivable)
{
    static const char text[] = CII("325", "<DuePayableAmount>9</DuePayableAmount>");
    xml_read((const uint8_t *)text, strlen(text), KH_FORMAT_AUTO, NULL, &outcome);
    EXPECT("refused 10 @1");
    cr_assert(strstr(outcome.why, "proforma") != NULL, "%s", outcome.why);
}

Test(xml_encodings, utf16_with_a_declaration_of_any_length)
{
    static const char text[] =
        "<?xml version='1.0' encoding='UTF-16' standalone='yes'     ?><DecMessage><DecHead><IEFlag>E</IEFlag>"
        "<EntryId>310120240000000001</EntryId><TradeCoScc>X1</TradeCoScc></DecHead></DecMessage>";
    for (int form = 0; form < 4; form++) { /* either order of bytes, with a mark and without */
        uint8_t bytes[2 * sizeof text] = {0};
        size_t n = 0, low = form & 1;
        if (form & 2) {
            bytes[low] = 0xFF;
            bytes[low ^ 1] = 0xFE;
            n = 2;
        }
        for (size_t i = 0; i < sizeof text - 1; i++, n += 2) bytes[n + low] = (uint8_t)text[i];
        xml_read(bytes, n, KH_FORMAT_AUTO, NULL, &outcome);
        EXPECT("put export_declaration 310120240000000001 owner=X1");
    }
}

Test(xml_wco, originals_and_messages)
{
    golden("wco_declarations.xml", KH_FORMAT_AUTO, NULL);
    EXPECT(
        "put export_declaration LRN-1@GB111 owner=GB222 lrn-key JPY 15000 +invoice:INV-5@GB222 +bill_of_lading:BL5",
        "put import_declaration 24GB0YVJ3EXXES8AA0 owner=GB333 lrn=LRN-2@GB111 2024-01-25 GBP 11.50 EUR 7.00 +invoice:77@GB333",
        "put import_declaration LRN-3@GB111 owner=GB111 lrn-key", "put export_declaration LRN-4@GB111 owner=GB111 lrn-key",
        "refused 10 @13", "refused 10 @14", "amend any 24GB0YVJ3EXXES8AA0 lrn=LRN-2 GBP 9.00",
        "amend any 24GB0YVJ3EXXES8AA0 GBP 8.00", "refused 10 @17", "amend any 24GB0YVJ3EXXES8AA0",
        "cancel any 24GB0YVJ3EXXES8AA0 lrn=LRN-2", "status any 24GB0YVJ3EXXES8AA0", "refused 10 @21", "refused 10 @22");
}

Test(xml_wco, requests_of_some_sources_wait_for_a_notice)
{
    kh_feed feed;
    kh_feed_default(&feed);
    feed.requests_need_notice = true;
    golden("wco_declarations.xml", KH_FORMAT_AUTO, &feed);
    cr_assert_str_eq(outcome.lines[6], "amend any 24GB0YVJ3EXXES8AA0 lrn=LRN-2 awaits GBP 9.00");
    cr_assert_str_eq(outcome.lines[10], "cancel any 24GB0YVJ3EXXES8AA0 lrn=LRN-2 awaits");
    cr_assert_str_eq(outcome.lines[11], "status any 24GB0YVJ3EXXES8AA0");
}

Test(xml_wco, notifications)
{
    golden("wco_notices.xml", KH_FORMAT_AUTO, NULL);
    EXPECT("status any 19GBCKKCQSXV2FGVA8 lrn=LRN-1 accepted t1573665736", "status any 19GBCKKCQSXV2FGVA8 lrn=LRN-1",
           "status any 19GBCKKCQSXV2FGVA8 revoked t1573665736 notice", "status any 19GBCKKCQSXV2FGVA8 lrn=LRN-1 notice",
           "amend any 19GBCKKCQSXV2FGVA8 lrn=LRN-1 GBP 100.00", "status any 19GBCKKCQSXV2FGVA8 lrn=LRN-1 notice",
           "status any LRN-1 cleared lrn-key", "status any LRN-9 cleared lrn-key", "refused 10 @9", "refused 10 @10");
}

Test(xml_decmessage, declarations_in_chinese_encodings)
{
    golden("decmessage_gb.xml", KH_FORMAT_AUTO, NULL);
    EXPECT(
        "put export_declaration 310120240000000001 owner=91350100M0001TGQXM lrn=I20240000000000001@91350211M0000XUF46 2024-01-31 "
        "contract=HT-1 JPY 7 USD 200.00 +bill_of_lading:COSU123");
    golden("decmessage_utf16.xml", KH_FORMAT_AUTO, NULL);
    EXPECT("refused 10 @2");
    cr_assert(strstr(outcome.why, "7.5") != NULL, "%s", outcome.why);
}

Test(xml_decmessage, receipts_mean_what_the_feed_says)
{
    kh_feed feed = {.source = 7, .channel_cnt = 2};
    strcpy(feed.channels[0].channel, "R");
    feed.channels[0].status = KH_STATUS_CLEARED;
    strcpy(feed.channels[1].channel, "D");
    feed.channels[1].status = KH_STATUS_REVOKED;
    golden("decmessage_receipts.xml", KH_FORMAT_AUTO, &feed);
    EXPECT("status any 310120240000000001 lrn=I20240000000000001 cleared t1706754030",
           "status any I20240000000000002 revoked lrn-key", "refused 10 @4");
    strcpy(feed.channels[0].channel, "D");
    strcpy(feed.channels[1].channel, "R");
    golden("decmessage_receipts.xml", KH_FORMAT_AUTO, &feed);
    cr_assert_str_eq(outcome.lines[0], "status any 310120240000000001 lrn=I20240000000000001 revoked t1706754030");
}

static const char *direction_of(const char *number, const char *flag)
{
    char xml[512];
    int n = snprintf(
        xml, sizeof xml,
        "<DecMessage><DecHead><EntryId>%s</EntryId><IEFlag>%s</IEFlag><TradeCoScc>X1</TradeCoScc></DecHead></DecMessage>", number,
        flag);
    xml_read((const uint8_t *)xml, (size_t)n, KH_FORMAT_AUTO, NULL, &outcome);
    return outcome.lines[0];
}

Test(xml_decmessage, direction_comes_from_flag_and_number_together)
{
    cr_assert_str_eq(direction_of("310120241000000001", ""), "put import_declaration 310120241000000001 owner=X1");
    cr_assert_str_eq(direction_of("310120241000000001", "I"), "put import_declaration 310120241000000001 owner=X1");
    cr_assert_str_eq(direction_of("310120241000000001", "E"), "refused 22 @1");
    cr_assert_str_eq(direction_of("123456789", "E"), "refused 10 @1");
}

Test(xml_detect, finds_the_format_in_any_envelope)
{
    static const struct {
        const char *text;
        bool xml;
        kh_format format;
    } cases[] = {
        {"kind,number\n", false, 0},
        {"{\"kind\":1}", false, 0},
        {"", false, 0},
        {" <a><b>", true, KH_FORMAT_AUTO},
        {"<a><Declaration><x", true, KH_FORMAT_WCO},
        {"<a><Declaration xmlns='urn:other'>", true, KH_FORMAT_AUTO},
        {"<e xmlns:q='urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100'><q:CrossIndustryInvoice>", true,
         KH_FORMAT_CII},
        {"<Invoice>", true, KH_FORMAT_AUTO},
        {"\xEF\xBB\xBF<DecMessage>", true, KH_FORMAT_DECMESSAGE},
        {"<inventoryLinkingMovementRequest>", true, KH_FORMAT_AUTO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kh_format format = KH_FORMAT_CSV;
        bool xml = kh_xml_detect((const uint8_t *)cases[i].text, strlen(cases[i].text), &format);
        cr_assert_eq(xml, cases[i].xml, "%s", cases[i].text);
        if (xml) cr_assert_eq(format, cases[i].format, "%s: %d", cases[i].text, format);
    }
}
