/* cii: UN/CEFACT Cross Industry Invoice (D16B) -> the facts of an invoice (EN 16931's CII binding). */
#include "formats/xml_inside.h"

static void seller(const kh_xml_tree *t, uint32_t party, kh_invoice *v)
{
    for (uint32_t tax = kh_xml_child(t, party, "SpecifiedTaxRegistration"); tax != 0 && v->vat.n == 0; tax = kh_xml_again(t, tax))
        for (uint32_t id = kh_xml_child(t, tax, "ID"); id != 0 && v->vat.n == 0; id = kh_xml_again(t, id))
            if (kh_invoice_scheme_is_vat(kh_xml_scheme(t, id))) v->vat = kh_xml_text(t, id);
    v->registration = kh_xml_path_text(t, party, "SpecifiedLegalOrganization/ID");
    v->identifier = kh_xml_path_text(t, party, "ID");
    if (v->identifier.n == 0) v->identifier = kh_xml_path_text(t, party, "GlobalID");
    v->seller_name = kh_xml_path_text(t, party, "Name");
    if (v->seller_name.n == 0) v->seller_name = kh_xml_path_text(t, party, "SpecifiedLegalOrganization/TradingBusinessName");
    v->country = kh_xml_path_text(t, party, "PostalTradeAddress/CountryID");
}

/* The invoices that a settlement, the document's or a line's, refers to. */
static void preceding(const kh_xml_tree *t, uint32_t settlement, kh_invoice *v)
{
    for (uint32_t r = kh_xml_child(t, settlement, "InvoiceReferencedDocument"); r != 0; r = kh_xml_again(t, r))
        kh_invoice_add_preceding(v, kh_xml_path_text(t, r, "IssuerAssignedID"));
}

/* An amount may be stated in the tax currency too: the invoice's own is meant, or the one that names none. *twice: there are two
   of these that differ. */
static uint32_t amount_of(const kh_xml_tree *t, uint32_t summation, const char *name, kh_text currency, const char **twice)
{
    uint32_t first = kh_xml_child(t, summation, name), meant = 0;
    for (uint32_t a = first; a != 0; a = kh_xml_again(t, a)) {
        kh_text beside = kh_xml_currency(t, a);
        if (beside.n != 0 && !kh_text_equal(beside, currency)) continue;
        if (meant == 0) meant = a;
        else if (!kh_text_equal(kh_xml_text(t, meant), kh_xml_text(t, a))) *twice = name;
    }
    return meant != 0 ? meant : first;
}

bool kh_cii_item(const kh_xml_tree *t, uint32_t root, kh_item_texts *texts, kh_item *item)
{
    uint32_t document = kh_xml_child(t, root, "ExchangedDocument"), trade = kh_xml_child(t, root, "SupplyChainTradeTransaction");
    uint32_t agreement = kh_xml_child(t, trade, "ApplicableHeaderTradeAgreement");
    uint32_t settlement = kh_xml_child(t, trade, "ApplicableHeaderTradeSettlement");
    uint32_t sums = kh_xml_child(t, settlement, "SpecifiedTradeSettlementHeaderMonetarySummation");
    const char *twice = NULL;
    if (!kh_xml_stands_once(t, root, "ExchangedDocument SupplyChainTradeTransaction", texts, item) ||
        !kh_xml_stands_once(t, document, "ID TypeCode IssueDateTime", texts, item) ||
        !kh_xml_stands_once(t, trade, "ApplicableHeaderTradeAgreement ApplicableHeaderTradeSettlement", texts, item) ||
        !kh_xml_stands_once(t, agreement, "SellerTradeParty", texts, item) ||
        !kh_xml_stands_once(t, settlement, "InvoiceCurrencyCode SpecifiedTradeSettlementHeaderMonetarySummation", texts, item))
        return false;
    kh_invoice v = {.number = kh_xml_path_text(t, document, "ID"),
                    .type_code = kh_xml_path_text(t, document, "TypeCode"),
                    .date = kh_xml_path_text(t, document, "IssueDateTime/DateTimeString"),
                    .currency = kh_xml_path_text(t, settlement, "InvoiceCurrencyCode"),
                    .contract = kh_xml_path_text(t, agreement, "ContractReferencedDocument/IssuerAssignedID")};
    if (v.date.n == 0) v.date = kh_xml_path_text(t, document, "IssueDateTime/DateTime");
    uint32_t due = amount_of(t, sums, "DuePayableAmount", v.currency, &twice);
    v.payable = kh_xml_text(t, due);
    if (v.payable.n == 0) { /* CII does not demand it, as EN 16931 does */
        due = amount_of(t, sums, "GrandTotalAmount", v.currency, &twice);
        v.total = kh_xml_text(t, due);
        v.prepaid = kh_xml_text(t, amount_of(t, sums, "TotalPrepaidAmount", v.currency, &twice));
        v.rounding = kh_xml_text(t, amount_of(t, sums, "RoundingAmount", v.currency, &twice));
    }
    if (twice != NULL)
        return kh_item_refuse(item, texts, KH_C_FORMAT, "%s stands twice with different amounts: which one counts is not known.",
                              twice);
    v.payable_currency = kh_xml_currency(t, due);
    seller(t, kh_xml_child(t, agreement, "SellerTradeParty"), &v);
    preceding(t, settlement, &v);
    if (v.preceding_cnt == 0)
        for (uint32_t l = kh_xml_child(t, trade, "IncludedSupplyChainTradeLineItem"); l != 0; l = kh_xml_again(t, l))
            preceding(t, kh_xml_child(t, l, "SpecifiedLineTradeSettlement"), &v);
    for (uint32_t a = kh_xml_child(t, agreement, "AdditionalReferencedDocument"); a != 0; a = kh_xml_again(t, a)) {
        if (!kh_item_bill_of_lading_code(kh_xml_path_text(t, a, "TypeCode"))) continue;
        if (v.bill_cnt == KH_DOC_REFS_MAX)
            return kh_item_refuse(item, texts, KH_C_CAPACITY, "The invoice names more than %d bills of lading.", KH_DOC_REFS_MAX);
        v.bills[v.bill_cnt++] = kh_xml_path_text(t, a, "IssuerAssignedID");
    }
    return kh_invoice_item(&v, texts, item);
}
