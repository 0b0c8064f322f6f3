/* ubl: UBL 2.x Invoice and CreditNote, and both as the buyer writes them -> the facts of an invoice (EN 16931's UBL binding). */
#include "formats/xml_inside.h"

/* The invoices that a document, or one of its lines, refers to. */
static void preceding(const kh_xml_tree *t, uint32_t node, kh_invoice *v)
{
    for (uint32_t b = kh_xml_child(t, node, "BillingReference"); b != 0; b = kh_xml_again(t, b)) {
        kh_invoice_add_preceding(v, kh_xml_path_text(t, b, "InvoiceDocumentReference/ID"));
        kh_invoice_add_preceding(v, kh_xml_path_text(t, b, "SelfBilledInvoiceDocumentReference/ID"));
    }
}

static void preceding_of_lines(const kh_xml_tree *t, uint32_t root, const char *name, kh_invoice *v)
{
    for (uint32_t line = kh_xml_child(t, root, name); line != 0; line = kh_xml_again(t, line)) preceding(t, line, v);
}

static void seller(const kh_xml_tree *t, uint32_t party, kh_invoice *v)
{
    for (uint32_t tax = kh_xml_child(t, party, "PartyTaxScheme"); tax != 0 && v->vat.n == 0; tax = kh_xml_again(t, tax))
        if (kh_invoice_scheme_is_vat(kh_xml_path_text(t, tax, "TaxScheme/ID"))) v->vat = kh_xml_path_text(t, tax, "CompanyID");
    for (uint32_t e = kh_xml_child(t, party, "PartyLegalEntity"); e != 0; e = kh_xml_again(t, e)) {
        if (v->registration.n == 0) v->registration = kh_xml_path_text(t, e, "CompanyID");
        if (v->seller_name.n == 0) v->seller_name = kh_xml_path_text(t, e, "RegistrationName");
    }
    for (uint32_t id = kh_xml_child(t, party, "PartyIdentification"); id != 0 && v->identifier.n == 0; id = kh_xml_again(t, id)) {
        uint32_t value = kh_xml_child(t, id, "ID");
        kh_text scheme = value != 0 ? kh_xml_scheme(t, value) : (kh_text){NULL, 0};
        if (!kh_text_equal(scheme, kh_text_of("SEPA")))
            v->identifier = kh_xml_text(t, value); /* SEPA: a bank's creditor number */
    }
    if (v->seller_name.n == 0) v->seller_name = kh_xml_path_text(t, party, "PartyName/Name");
    v->country = kh_xml_path_text(t, party, "PostalAddress/Country/IdentificationCode");
}

bool kh_ubl_item(const kh_xml_tree *t, uint32_t root, bool credit_note, kh_item_texts *texts, kh_item *item)
{
    uint32_t total = kh_xml_child(t, root, "LegalMonetaryTotal"), payable = kh_xml_child(t, total, "PayableAmount");
    uint32_t supplier = kh_xml_child(t, root, "AccountingSupplierParty");
    if (!kh_xml_stands_once(
            t, root,
            "ID IssueDate InvoiceTypeCode CreditNoteTypeCode DocumentCurrencyCode AccountingSupplierParty LegalMonetaryTotal",
            texts, item) ||
        !kh_xml_stands_once(t, supplier, "Party", texts, item) || !kh_xml_stands_once(t, total, "PayableAmount", texts, item))
        return false;
    kh_invoice v = {.number = kh_xml_path_text(t, root, "ID"),
                    .date = kh_xml_path_text(t, root, "IssueDate"),
                    .credit_note = credit_note,
                    .type_code = kh_xml_path_text(t, root, credit_note ? "CreditNoteTypeCode" : "InvoiceTypeCode"),
                    .currency = kh_xml_path_text(t, root, "DocumentCurrencyCode"),
                    .payable = kh_xml_text(t, payable),
                    .payable_currency = kh_xml_currency(t, payable),
                    .contract = kh_xml_path_text(t, root, "ContractDocumentReference/ID")};
    seller(t, kh_xml_child(t, supplier, "Party"), &v);
    preceding(t, root, &v);
    if (v.preceding_cnt == 0) preceding_of_lines(t, root, credit_note ? "CreditNoteLine" : "InvoiceLine", &v);
    for (uint32_t a = kh_xml_child(t, root, "AdditionalDocumentReference"); a != 0; a = kh_xml_again(t, a)) {
        if (!kh_item_bill_of_lading_code(kh_xml_path_text(t, a, "DocumentTypeCode"))) continue;
        if (v.bill_cnt == KH_DOC_REFS_MAX)
            return kh_item_refuse(item, texts, KH_C_CAPACITY, "The invoice names more than %d bills of lading.", KH_DOC_REFS_MAX);
        v.bills[v.bill_cnt++] = kh_xml_path_text(t, a, "ID");
    }
    return kh_invoice_item(&v, texts, item);
}
