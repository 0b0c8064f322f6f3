/* formats_6: shapes that other systems give these papers: self-billed and cancelled invoices, references in lines, totals of a
   tax rate alone, times and prices of other versions of the WCO model. */
#include "formats_text.h"
#include "formats_xml.h"

#include <criterion/criterion.h>

static xml_outcome outcome;

static void expect(const char *xml, const char *const lines[], uint32_t cnt)
{
    xml_read((const uint8_t *)xml, strlen(xml), KH_FORMAT_AUTO, NULL, &outcome);
    cr_assert_eq(outcome.good + outcome.refused, cnt, "%u items", outcome.good + outcome.refused);
    for (uint32_t i = 0; i < cnt; i++)
        cr_assert_str_eq(outcome.lines[i], lines[i], "%s\ninstead of\n%s", outcome.lines[i], lines[i]);
}
#define EXPECT(xml, ...)                                                                                                         \
    expect(xml, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

#define UBL(root, head, tail)                                                                                                    \
    "<x:" root " xmlns:x='urn:oasis:names:specification:ubl:schema:xsd:" root                                                    \
    "-2' xmlns='urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2'><ID>N1</ID>"                               \
    "<IssueDate>2024-02-29</IssueDate>" head "<AccountingSupplierParty><Party><PartyName><Name>Koks</Name></PartyName></Party>"  \
    "</AccountingSupplierParty><LegalMonetaryTotal><PayableAmount "                                                              \
    "currencyID='EUR'>9.00</PayableAmount></LegalMonetaryTotal>" tail "</x:" root ">"
#define REFERS(element, number) "<BillingReference><" element "><ID>" number "</ID></" element "></BillingReference>"
#define TO(number) REFERS("InvoiceDocumentReference", number)
#define INVOICE "put invoice N1@koks owner=koks 2024-02-29 EUR 9.00"
#define CREDIT "put credit_note N1@koks owner=koks 2024-02-29 EUR 9.00"

/* UBL 2.x has roots of its own for what the buyer writes; the seller is the same party in them. */
Test(shapes_invoice, self_billed_roots)
{
    EXPECT(UBL("SelfBilledInvoice", "", ""), INVOICE);
    EXPECT(UBL("SelfBilledCreditNote", REFERS("SelfBilledInvoiceDocumentReference", "S1"), ""), CREDIT " -invoice:S1@koks");
    EXPECT(UBL("CreditNote", REFERS("CreditNoteDocumentReference", "C1"), ""), CREDIT);
    EXPECT(UBL("DebitNote", "", ""), "refused 10 @1");
    EXPECT(UBL("Reminder", "", ""), "refused 10 @1");
}

/* Some name what they correct in their lines alone; the header counts where it says it. */
Test(shapes_invoice, references_of_lines)
{
#define LINE(number) "<CreditNoteLine><ID>1</ID>" TO(number) "</CreditNoteLine>"
    EXPECT(UBL("CreditNote", "", LINE("F2") LINE("F1") LINE("F2")), CREDIT " -invoice:F2@koks -invoice:F1@koks");
    EXPECT(UBL("CreditNote", TO("F3"), LINE("F1")), CREDIT " -invoice:F3@koks");
    EXPECT(UBL("Invoice", "<InvoiceTypeCode>384</InvoiceTypeCode>", "<InvoiceLine>" TO("F1") "</InvoiceLine>"),
           INVOICE " -invoice:F1@koks");
    EXPECT(UBL("Invoice", "", "<InvoiceLine>" TO("F1") "</InvoiceLine>"), INVOICE);
#undef LINE
    EXPECT("<CrossIndustryInvoice xmlns='urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100'><ExchangedDocument>"
           "<ID>N1</ID><TypeCode>381</TypeCode><IssueDateTime><DateTimeString>20240229</DateTimeString></IssueDateTime>"
           "</ExchangedDocument><SupplyChainTradeTransaction><IncludedSupplyChainTradeLineItem><SpecifiedLineTradeSettlement>"
           "<InvoiceReferencedDocument><IssuerAssignedID>F1</IssuerAssignedID></InvoiceReferencedDocument>"
           "</SpecifiedLineTradeSettlement></IncludedSupplyChainTradeLineItem><ApplicableHeaderTradeAgreement><SellerTradeParty>"
           "<Name>Koks</Name></SellerTradeParty></ApplicableHeaderTradeAgreement><ApplicableHeaderTradeSettlement>"
           "<InvoiceCurrencyCode>EUR</InvoiceCurrencyCode><SpecifiedTradeSettlementHeaderMonetarySummation><DuePayableAmount>9"
           "</DuePayableAmount></SpecifiedTradeSettlementHeaderMonetarySummation></ApplicableHeaderTradeSettlement>"
           "</SupplyChainTradeTransaction></CrossIndustryInvoice>",
           CREDIT " -invoice:F1@koks");
}

/* A final invoice may name any number of prepayments: only where the references count are too many of them refused. */
Test(shapes_invoice, many_preceding_invoices)
{
#define FOUR(a) TO(a "1") TO(a "2") TO(a "3") TO(a "4")
#define SEVENTEEN FOUR("A") FOUR("B") FOUR("C") FOUR("D") TO("E1")
    EXPECT(UBL("Invoice", SEVENTEEN, ""), INVOICE);
    EXPECT(UBL("Invoice", "<InvoiceTypeCode>384</InvoiceTypeCode>" SEVENTEEN, ""), INVOICE " -invoice:A1@koks");
    EXPECT(UBL("CreditNote", SEVENTEEN, ""), "refused 76 @1");
#undef SEVENTEEN
#undef FOUR
}

Test(shapes_invoice, a_number_within_words)
{
    EXPECT(UBL("CreditNote", TO("Invoice Number: 354; Invoice Issue Date: 2021-02-10"), ""), CREDIT " -invoice:354@koks");
    EXPECT(UBL("CreditNote", TO("?invoice number:SME-7?; x"), ""), CREDIT " -invoice:SME-7?@koks");
    EXPECT(UBL("CreditNote", TO("Invoice Number:"), ""), CREDIT " -invoice:INVOICENUMBER:@koks");
}

/* The reversal of a debit cancels what it names, in whatever sign. */
Test(shapes_invoice, a_reversal_is_no_receivable)
{
    EXPECT(UBL("Invoice", "<InvoiceTypeCode>457</InvoiceTypeCode>" TO("F1"), ""), CREDIT " -invoice:F1@koks");
}

#define EDIFACT(type, head, lines, money)                                                                                        \
    "UNH+1+INVOIC:D:96A:UN'BGM+" type "+N1+9'DTM+137:20240229:102'" head "NAD+SU+++Koks'CUX+2:EUR:4'" lines "UNS+S'" money       \
    "UNT+0+1'"

static void expect_edifact(const char *text, const char *said)
{
    const char *is = text_say(text, strlen(text), KH_KIND_ANY, 0), *end = strchr(is, '\n');
    cr_assert(end != NULL && (size_t)(end - is) == strlen(said) && strncmp(is, said, strlen(said)) == 0, "%s\ninstead of\n%s", is,
              said);
}

Test(shapes_edifact, references_of_lines)
{
    expect_edifact(EDIFACT("381", "", "LIN+1'RFF+IV:F1'LIN+2'RFF+IV:F2'RFF+ON:X'LIN+3'RFF+OI:F1'", "MOA+9:9'"),
                   "1:credit_note N1@koks koks EUR9.00 2024-02-29 -invoice:F2@koks -invoice:F1@koks");
    expect_edifact(EDIFACT("381", "RFF+IV:F3'", "LIN+1'RFF+IV:F1'", "MOA+9:9'"),
                   "1:credit_note N1@koks koks EUR9.00 2024-02-29 -invoice:F3@koks");
    expect_edifact(EDIFACT("380", "", "LIN+1'RFF+IV:F1'", "MOA+9:9'"), "1:invoice N1@koks koks EUR9.00 2024-02-29");
    expect_edifact(EDIFACT("457", "RFF+OI:F1'", "LIN+1'", "MOA+77:9'"),
                   "1:credit_note N1@koks koks EUR9.00 2024-02-29 -invoice:F1@koks");
}

/* The location that supplies and the office that is registered: one seller, whoever states the VAT number. */
Test(shapes_edifact, the_vat_number_of_the_corporate_office)
{
#define SPANISH(office, own)                                                                                                     \
    "UNH+1+INVOIC:D:93A:UN'BGM+380+N1'DTM+137:20240229:102'" office "NAD+SU+8412345000010::9'" own                               \
    "CUX+2:EUR'UNS+S'MOA+9:9'UNT+0+1'"
#define OFFICE "NAD+SCO+8412345000027::9++Koks+++++ES'RFF+VA:A7808436'"
    expect_edifact(SPANISH(OFFICE, ""), "1:invoice N1@ESA7808436 ESA7808436 EUR9.00 2024-02-29");
    expect_edifact(SPANISH("", OFFICE), "1:invoice N1@ESA7808436 ESA7808436 EUR9.00 2024-02-29");
    expect_edifact(SPANISH("", "RFF+VA:ESB1'" OFFICE), "1:invoice N1@ESB1 ESB1 EUR9.00 2024-02-29");
    expect_edifact(SPANISH("NAD+BY+1'RFF+VA:FR1'", ""), "1:invoice N1@8412345000010 8412345000010 EUR9.00 2024-02-29");
    expect_edifact("UNH+1+INVOIC:D:93A:UN'BGM+380+N1'DTM+137:20240229:102'" OFFICE "UNS+S'UNT+0+1'", "1:FORMAT");
#undef OFFICE
#undef SPANISH
}

/* After a TAX or ALC the amounts are those of that rate or allowance. */
Test(shapes_edifact, amounts_of_a_tax_rate_are_no_total)
{
    expect_edifact(EDIFACT("380", "", "", "MOA+79:10'TAX+7+VAT+++:::19'MOA+128:7'TAX+7+VAT+++:::7'MOA+128:5'"),
                   "1:invoice N1@koks koks 2024-02-29");
    expect_edifact(EDIFACT("380", "", "", "MOA+128:12'TAX+7+VAT+++:::19'MOA+128:7'"),
                   "1:invoice N1@koks koks EUR12.00 2024-02-29");
    expect_edifact(EDIFACT("380", "", "", "ALC+C++++FC'MOA+388:1'TAX+7+VAT'MOA+124:2'MOA+77:12'"),
                   "1:invoice N1@koks koks EUR12.00 2024-02-29");
    expect_edifact(EDIFACT("380", "", "", "MOA+77:12'TAX+7+VAT'MOA+77:7'MOA+113:3'"),
                   "1:invoice N1@koks koks EUR12.00 2024-02-29");
}

/* As in XML: what states the total and stands there twice, differently, is not guessed. */
Test(shapes_edifact, a_total_that_stands_twice)
{
    expect_edifact(EDIFACT("380", "", "", "MOA+9:100'MOA+9:802'"), "1:FORMAT");
    expect_edifact(EDIFACT("380", "", "", "MOA+77:100'MOA+77:802'"), "1:FORMAT");
    expect_edifact(EDIFACT("380", "", "", "MOA+9:802'MOA+9:802,00'MOA+77:1'MOA+77:2'"),
                   "1:invoice N1@koks koks EUR802.00 2024-02-29");
    expect_edifact(EDIFACT("380", "", "", "MOA+77:10'MOA+113:1'MOA+113:2'"), "1:FORMAT");
    expect_edifact(EDIFACT("380", "", "", "MOA+9:'MOA+9:802'MOA+9:9:SEK'"), "1:invoice N1@koks koks EUR802.00 2024-02-29");
    expect_edifact(EDIFACT("380", "", "", "MOA+9:10'MOA+9:100'"), "1:FORMAT"); /* zeros before the point count */
}

/* A file that comes along in a package (UNO to UNP) is no message, whatever its bytes; how long it is, some count wrong. */
Test(shapes_edifact, packages_are_passed_over)
{
#define INVOICE_HERE EDIFACT("380", "", "", "MOA+9:9'")
#define READ "1:invoice N1@koks koks EUR9.00 2024-02-29\n"
#define OPENED "UNB+UNOW:4+A+B+240229:1000+1'"
    static const char *const files[] = {OPENED INVOICE_HERE
                                        "UNO+P1+1:Doc1+13:application/pdf+13'JVBE'UNP+?+Rk=UNP+13+P1'UNZ+2+1'",
                                        OPENED "UNO+P1+1:Doc1+13:x+99'" INVOICE_HERE "UNP+99+P1'" INVOICE_HERE "UNZ+2+1'",
                                        OPENED "UNO+P1+1:Doc1+13:x'A'UNP+0+P1'" INVOICE_HERE "UNZ+2+1'"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *is = text_say(files[i], strlen(files[i]), KH_KIND_ANY, 0);
        cr_assert(strncmp(is, READ, strlen(READ)) == 0 && strstr(is + 1, "\n1:") == NULL && strstr(is, "UNZ") == NULL, "%zu: %s",
                  i, is);
    }
    static const char cut[] = OPENED INVOICE_HERE "UNO+P1+1:Doc1+13:x+9'ABC'";
    const char *is = text_say(cut, strlen(cut), KH_KIND_ANY, 0);
    cr_assert(strncmp(is, READ "1:FORMAT\n", strlen(READ "1:FORMAT\n")) == 0, "%s", is);
#undef OPENED
#undef READ
#undef INVOICE_HERE
}

/* Where the end of one message and the head of the next are lost, one's number and the other's seller are no invoice. */
Test(shapes_edifact, a_message_that_begins_twice) { expect_edifact(EDIFACT("380", "BGM+380+N2+9'", "", "MOA+9:9'"), "1:FORMAT"); }

#define DEC(head, items)                                                                                                         \
    "<Declaration xmlns='urn:wco:datamodel:WCO:Declaration:1'><FunctionCode>9</FunctionCode><ID>24GB0YVJ3EXXES8AA0</ID>"         \
    "<TypeCode>IMA</TypeCode>" head "<Importer><ID>GB1</ID></Importer><GoodsShipment>" items "</GoodsShipment></Declaration>"
#define SAYS "put import_declaration 24GB0YVJ3EXXES8AA0 owner=GB1"
#define PRICE(amount) "<InvoiceLine><ItemChargeAmount currencyID='CAD'>" amount "</ItemChargeAmount></InvoiceLine>"

/* Older versions of the model have a time as the element's own text. */
Test(shapes_wco, times_without_an_element_of_their_own)
{
    EXPECT(DEC("<AcceptanceDateTime>2020-04-09</AcceptanceDateTime>", ""), SAYS " 2020-04-09");
    EXPECT(DEC("<IssueDateTime formatCode='204'>20150925161034</IssueDateTime>", ""), SAYS " 2015-09-25 t1443197434");
    EXPECT(DEC("<AcceptanceDateTime>soon</AcceptanceDateTime>", ""), "refused 10 @1");
    EXPECT("<Response xmlns='urn:wco:datamodel:WCO:ResponseModel:1'><FunctionCode>09</FunctionCode><IssueDateTime>20150925161034"
           "</IssueDateTime><Declaration><ID>24GB0YVJ3EXXES8AA0</ID></Declaration></Response>",
           "status any 24GB0YVJ3EXXES8AA0 cleared t1443197434");
}

/* An item may hold several commodities, and a commodity several invoice lines: each price counts. */
Test(shapes_wco, every_price_of_an_item)
{
#define ITEM(number, inside)                                                                                                     \
    "<GovernmentAgencyGoodsItem><SequenceNumeric>" number "</SequenceNumeric>" inside "</GovernmentAgencyGoodsItem>"
#define GOODS(inside) "<Commodity>" inside "</Commodity>"
#define AMEND(items)                                                                                                             \
    "<Declaration><FunctionCode>13</FunctionCode><TypeCode>COR</TypeCode><ID>24GB0YVJ3EXXES8AA0</ID><GoodsShipment>" items       \
    "</GoodsShipment></Declaration>"
    EXPECT(DEC("", ITEM("1", GOODS(PRICE("100")) GOODS(PRICE("200") PRICE("3"))) ITEM("2", GOODS("") PRICE("40"))),
           SAYS " CAD 343.00");
    EXPECT(AMEND(ITEM("1", GOODS(PRICE("100")) GOODS(PRICE("200")))), "amend any 24GB0YVJ3EXXES8AA0 CAD 300.00");
    EXPECT(AMEND(ITEM("1", GOODS(PRICE("100")) GOODS(""))), "refused 10 @1");
    EXPECT(AMEND(ITEM("1", GOODS(PRICE("100"))) ITEM("2", "")), "refused 10 @1");
    EXPECT(AMEND(ITEM("1", GOODS("")) ITEM("2", "")), "amend any 24GB0YVJ3EXXES8AA0");
#undef AMEND
#undef GOODS
#undef ITEM
}

/* The model has a class for the commercial invoice; papers with a placeholder for a number are no group. */
Test(shapes_wco, invoices_and_placeholders)
{
#define PAPER(type, id) "<AdditionalDocument><TypeCode>" type "</TypeCode><ID>" id "</ID></AdditionalDocument>"
    EXPECT(DEC("", "<Invoice><ID>INV-7</ID></Invoice><Invoice><ID>P-1</ID><TypeCode>325</TypeCode></Invoice>"),
           SAYS " +invoice:INV-7@GB1");
    EXPECT(DEC("", "<Invoice><ID>INV-7</ID><TypeCode>380</TypeCode></Invoice>" PAPER("705", "NIL") PAPER("705", "BL5")
                       PAPER("380", "n/a")),
           SAYS " +invoice:INV-7@GB1 +bill_of_lading:BL5");
#undef PAPER
}

Test(shapes_decmessage, receipts_and_placeholders)
{
    kh_feed feed;
    kh_feed_default(&feed);
    static const char receipt[] = "<DEC_DATA><DEC_RESULT><SEQ_NO>I20240000000000001</SEQ_NO><ENTRY_ID/><NOTICE_DATE>"
                                  "20240131T10203055</NOTICE_DATE><CHANNEL>R</CHANNEL></DEC_RESULT><RESULT_INFO/></DEC_DATA>";
    xml_read((const uint8_t *)receipt, strlen(receipt), KH_FORMAT_AUTO, &feed, &outcome);
    cr_assert_str_eq(outcome.lines[0], "status any I20240000000000001 cleared t1706667630 lrn-key", "%s", outcome.lines[0]);
    EXPECT("<DecMessage xmlns='http://www.chinaport.gov.cn/dec'><DecHead><EntryId>310120240000000001</EntryId>"
           "<TradeCoScc>91350100M0001TGQXM</TradeCoScc><BillNo>*</BillNo></DecHead></DecMessage>",
           "put export_declaration 310120240000000001 owner=91350100M0001TGQXM");
    EXPECT(
        "<DecMessage><DecHead><EntryId>0</EntryId><SeqNo>I20240000000000001</SeqNo><IEFlag>I</IEFlag><TradeCoScc>X1</TradeCoScc>"
        "</DecHead></DecMessage>",
        "put import_declaration I20240000000000001@X1 owner=X1 lrn-key");
    EXPECT("<DecMessage><DecHead><EntryId>0</EntryId><IEFlag>I</IEFlag><TradeCoScc>X1</TradeCoScc></DecHead></DecMessage>",
           "refused 10 @1");
}

/* A column of states under another name is one: a void invoice is not stored as a sound one. */
Test(shapes_csv, states_by_their_other_names)
{
    static const char text[] = "发票号码,统一社会信用代码,币种,价税合计,开票日期,发票状态\n"
                               "24312000000000000017,91350100M0001TGQXM,CNY,113.00,2024-03-01,已红冲-全额\n"
                               "24312000000000000018,91350100M0001TGQXM,CNY,113.00,2024-03-01,已红冲-部分\n"
                               "24312000000000000019,91350100M0001TGQXM,CNY,113.00,2024-03-01,已作废\n";
    cr_assert_str_eq(text_say(text, strlen(text), KH_KIND_ANY, 0),
                     "2:invoice 24312000000000000017 91350100M0001TGQXM CNY113.00 2024-03-01 red_full\n"
                     "3:invoice 24312000000000000018 91350100M0001TGQXM CNY113.00 2024-03-01 red_part\n"
                     "4:invoice 24312000000000000019 91350100M0001TGQXM CNY113.00 2024-03-01 void\n");
    static const char cleared[] = "报关单号,统一社会信用代码,币制,总价,申报日期,报关单状态\n"
                                  "310120240000000001,91350100M0001TGQXM,USD,1,2024-03-01,released\n";
    cr_assert_str_eq(text_say(cleared, strlen(cleared), KH_KIND_ANY, 0),
                     "2:export_declaration 310120240000000001 91350100M0001TGQXM USD1.00 2024-03-01 released\n");
}

/* Tabs part the cells here, beside quotes too: an empty cell is one. */
Test(shapes_csv, tabs_beside_quotes)
{
#define TSV_HEAD "kind\tnumber\towner_id\tcurrency\tamount\tdate\tcontract_no\tstatus\n"
    static const char text[] = TSV_HEAD "invoice\tA1\tX1\tUSD\t\t2024-03-01\t\"K 1\"\t\n"
                                        "\"invoice\"\t\"A2\"\t\"X1\"\t\"USD\"\t\"5\"\t\"2024-03-01\"\t\"\"\t\"void\"\n"
                                        "\"invoice\" \t A3 \t \"X1\" \tUSD\t5\t\t\t \"void\"\n";
    cr_assert_str_eq(text_say(text, strlen(text), KH_KIND_ANY, 0), "2:invoice A1@X1 X1 2024-03-01 contract=K 1\n"
                                                                   "3:invoice A2@X1 X1 USD5.00 2024-03-01 void\n"
                                                                   "4:invoice A3@X1 X1 USD5.00  void\n");
    static const char quoted[] =
        "\"kind\"\t\"number\"\t\"owner_id\"\t\"currency\"\t\"amount\"\t\"date\"\ninvoice\tA1\tX1\tUSD\t5\t\n";
    cr_assert_str_eq(text_say(quoted, strlen(quoted), KH_KIND_ANY, 0), "2:invoice A1@X1 X1 USD5.00 \n");
#undef TSV_HEAD
}

/* What states the seller, the total or what a message is, and stands there twice with different contents, is not guessed. */
Test(shapes_xml, what_counts_stands_once)
{
#define CII(money)                                                                                                               \
    "<CrossIndustryInvoice xmlns='urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100'><ExchangedDocument>"             \
    "<ID>N1</ID><TypeCode>380</TypeCode><IssueDateTime><DateTimeString>20240229</DateTimeString></IssueDateTime>"                \
    "</ExchangedDocument><SupplyChainTradeTransaction><ApplicableHeaderTradeAgreement><SellerTradeParty><Name>Koks</Name>"       \
    "</SellerTradeParty></ApplicableHeaderTradeAgreement><ApplicableHeaderTradeSettlement><InvoiceCurrencyCode>EUR"              \
    "</InvoiceCurrencyCode>" money "</ApplicableHeaderTradeSettlement></SupplyChainTradeTransaction></CrossIndustryInvoice>"
#define SUMS(inside)                                                                                                             \
    "<SpecifiedTradeSettlementHeaderMonetarySummation>" inside "</SpecifiedTradeSettlementHeaderMonetarySummation>"
#define DUE(attribute, amount) "<DuePayableAmount" attribute ">" amount "</DuePayableAmount>"
    EXPECT(CII(SUMS(DUE("", "9.00") DUE("", "8.00"))), "refused 10 @1");
    EXPECT(CII(SUMS(DUE("", "9.00") DUE(" currencyID='EUR'", "8.00"))), "refused 10 @1");
    EXPECT(CII(SUMS(DUE(" currencyID='SEK'", "8.00") DUE(" currencyID='EUR'", "9.00") DUE("", "9.00"))), INVOICE);
    EXPECT(CII(SUMS("<GrandTotalAmount>9</GrandTotalAmount><GrandTotalAmount>8</GrandTotalAmount>")), "refused 10 @1");
    EXPECT(CII(SUMS(DUE("", "9.00")) SUMS(DUE("", "8.00"))), "refused 10 @1");
#undef DUE
#undef SUMS
#undef CII
    EXPECT("<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'><ID>N1</ID><IssueDate>2024-02-29</IssueDate>"
           "<AccountingSupplierParty><Party><PartyName><Name>A</Name></PartyName></Party><Party><PartyName><Name>B</Name>"
           "</PartyName></Party></AccountingSupplierParty></Invoice>",
           "refused 10 @1");
    EXPECT(DEC("<Exporter><ID>GB2</ID></Exporter>", ""), SAYS);
    EXPECT(DEC("<FunctionCode>1</FunctionCode>", ""), "refused 10 @1");
    EXPECT(DEC("<TypeCode>EXA</TypeCode>", ""), "refused 10 @1");
    EXPECT(DEC("<Importer><ID>GB2</ID></Importer>", ""), "refused 10 @1");
    EXPECT(DEC("", "<Importer><ID>GB1</ID></Importer><Importer><ID>GB2</ID></Importer>"), "refused 10 @1");
}
