/* wco: declarations of the WCO data model (DEC): originals, amendments, cancellations.
 *
 * What an amendment states of prices: an InvoiceAmount is the new total. Item prices are a total only if they can be all that
 * there are: the items are numbered 1 to k without a gap, and a stated GoodsItemQuantity is k. An amendment of item 3 alone
 * says nothing of the total, and keeping the old one could leave it too high: such a message is refused, with what to do. */
#include "formats/xml_inside.h"

#include <strings.h>

typedef enum direction { DIRECTION_UNKNOWN, DIRECTION_EXPORT, DIRECTION_IMPORT } direction;

static bool is(kh_text text, const char *word) { return kh_text_equal(text, kh_text_of(word)); }

/* The whole of a small number; -1 if it is not one. */
static int64_t whole(kh_text text)
{
    int64_t v = 0;
    if (text.n == 0 || text.n > 9) return -1;
    for (uint32_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return -1;
        v = v * 10 + (text.p[i] - '0');
    }
    return v;
}

/* Requested procedures: 10-31 export, outward processing, re-export; 01-07 and 40-78 free circulation, special procedures,
   warehousing. Additional procedures (three characters) say nothing of it. */
static direction direction_of_procedure(const kh_xml_tree *t, uint32_t declaration)
{
    for (uint32_t g = kh_xml_child(t, declaration, "GoodsShipment"); g != 0; g = kh_xml_again(t, g))
        for (uint32_t i = kh_xml_child(t, g, "GovernmentAgencyGoodsItem"); i != 0; i = kh_xml_again(t, i))
            for (uint32_t p = kh_xml_child(t, i, "GovernmentProcedure"); p != 0; p = kh_xml_again(t, p)) {
                kh_text code = kh_xml_path_text(t, p, "CurrentCode");
                if ((code.n != 2 && code.n != 4) || whole(code) <= 0) continue;
                if (code.p[0] >= '1' && code.p[0] <= '3') return DIRECTION_EXPORT;
                if (code.p[0] == '0' || (code.p[0] >= '4' && code.p[0] <= '7')) return DIRECTION_IMPORT;
            }
    return DIRECTION_UNKNOWN;
}

static direction direction_of(const kh_xml_tree *t, uint32_t declaration)
{
    kh_text type = kh_xml_path_text(t, declaration, "TypeCode");
    if (type.n >= 2 && strncasecmp(type.p, "EX", 2) == 0) return DIRECTION_EXPORT;
    if (type.n >= 2 && strncasecmp(type.p, "IM", 2) == 0) return DIRECTION_IMPORT;
    return direction_of_procedure(t, declaration);
}

static kh_text party(const kh_xml_tree *t, uint32_t declaration, const char *direct, const char *in_shipment)
{
    kh_text id = kh_xml_path_text(t, declaration, direct);
    return id.n != 0 ? id : kh_xml_path_text(t, declaration, in_shipment);
}
static kh_text exporter(const kh_xml_tree *t, uint32_t d) { return party(t, d, "Exporter/ID", "GoodsShipment/Exporter/ID"); }
static kh_text importer(const kh_xml_tree *t, uint32_t d) { return party(t, d, "Importer/ID", "GoodsShipment/Importer/ID"); }

static bool add_amount(const kh_xml_tree *t, uint32_t node, kh_item_texts *texts, kh_item *item)
{
    kh_text text = kh_xml_text(t, node), word = kh_xml_currency(t, node);
    const char *name = kh_xml_at(t, node)->name;
    kh_currency currency;
    uint64_t amount;
    if (text.n == 0) return true;
    if (!kh_currency_of_text(word, &currency)) {
        item->line = kh_xml_at(t, node)->line;
        return kh_item_refuse(item, texts, KH_C_FORMAT, "%s has no currencyID that is an ISO 4217 code.", name);
    }
    if (kh_amount_parse(text, currency, &amount) != KH_C_OK) {
        item->line = kh_xml_at(t, node)->line;
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "%s \"%.*s\" is not a plain decimal with at most %d digits after the point (%s) and 18 in all.",
                              name, text.n > 70 ? 70 : (int)text.n, text.p, kh_currency_exponent(currency),
                              kh_currency_alpha(currency));
    }
    return kh_item_add_amount(item, texts, currency, amount);
}

/* The prices of a commodity, or of an item that has its invoice lines itself. *ret_some: there is one that is not empty. */
static bool add_prices(const kh_xml_tree *t, uint32_t node, kh_item_texts *texts, kh_item *item, bool *ret_some)
{
    for (uint32_t l = kh_xml_child(t, node, "InvoiceLine"); l != 0; l = kh_xml_again(t, l)) {
        uint32_t price = kh_xml_child(t, l, "ItemChargeAmount");
        if (kh_xml_text(t, price).n == 0) continue;
        *ret_some = true;
        if (!add_amount(t, price, texts, item)) return false;
    }
    return true;
}

/* The prices of an item: it may hold several commodities. *ret_all: each has one. */
static bool add_item(const kh_xml_tree *t, uint32_t goods, kh_item_texts *texts, kh_item *item, bool *ret_some, bool *ret_all)
{
    uint32_t commodity = kh_xml_child(t, goods, "Commodity");
    bool own = false;
    *ret_some = false;
    *ret_all = commodity != 0;
    for (; commodity != 0; commodity = kh_xml_again(t, commodity)) {
        bool some = false;
        if (!add_prices(t, commodity, texts, item, &some)) return false;
        *ret_some = *ret_some || some;
        *ret_all = *ret_all && some;
    }
    if (*ret_some) return true;
    if (!add_prices(t, goods, texts, item, &own)) return false;
    *ret_some = *ret_all = own;
    return true;
}

static bool has_price(const kh_xml_tree *t, uint32_t node)
{
    for (uint32_t l = kh_xml_child(t, node, "InvoiceLine"); l != 0; l = kh_xml_again(t, l))
        if (kh_xml_child(t, l, "ItemChargeAmount") != 0) return true;
    return false;
}

bool kh_wco_states_amounts(const kh_xml_tree *t, uint32_t declaration)
{
    if (kh_xml_child(t, declaration, "InvoiceAmount") != 0) return true;
    for (uint32_t g = kh_xml_child(t, declaration, "GoodsShipment"); g != 0; g = kh_xml_again(t, g))
        for (uint32_t i = kh_xml_child(t, g, "GovernmentAgencyGoodsItem"); i != 0; i = kh_xml_again(t, i)) {
            if (has_price(t, i)) return true;
            for (uint32_t c = kh_xml_child(t, i, "Commodity"); c != 0; c = kh_xml_again(t, c))
                if (has_price(t, c)) return true;
        }
    return false;
}

bool kh_wco_amounts(const kh_xml_tree *t, uint32_t declaration, bool partial, kh_item_texts *texts, kh_item *item)
{
    uint32_t header = kh_xml_child(t, declaration, "InvoiceAmount");
    int64_t items = 0, stated = whole(kh_xml_path_text(t, declaration, "GoodsItemQuantity"));
    bool in_order = true, any = false; /* in_order: numbered 1 to k, each with its price */
    if (kh_xml_text(t, header).n != 0) return add_amount(t, header, texts, item);
    for (uint32_t g = kh_xml_child(t, declaration, "GoodsShipment"); g != 0; g = kh_xml_again(t, g))
        for (uint32_t i = kh_xml_child(t, g, "GovernmentAgencyGoodsItem"); i != 0; i = kh_xml_again(t, i)) {
            bool some, all;
            if (whole(kh_xml_path_text(t, i, "SequenceNumeric")) != ++items) in_order = false;
            if (!add_item(t, i, texts, item, &some, &all)) return false;
            any = any || some;
            if (!all) in_order = false;
        }
    if (partial && any && (!in_order || (stated > 0 && stated != items)))
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "The amendment states the price of some items only, so the new total is not known; "
                              "send the InvoiceAmount, or the whole declaration again.");
    return true;
}

/* "12345/19.01.2024" (number and date, as UK declarations write it) -> "12345". */
static kh_text without_date(kh_text id)
{
    static const char form[] = "/99.99.9999";
    uint32_t n = (uint32_t)sizeof form - 1;
    if (id.n <= n) return id;
    const char *tail = id.p + id.n - n;
    for (uint32_t i = 0; i < n; i++) {
        if (form[i] == '9' && (tail[i] < '0' || tail[i] > '9')) return id;
        if (form[i] == '.' && tail[i] != '.' && tail[i] != '/') return id;
        if (form[i] == '/' && tail[i] != '/') return id;
    }
    return (kh_text){id.p, id.n - n};
}

/* A document that the declaration names: an invoice (380; 935, "on which the value is declared"; an Invoice without a type), a
   bill of lading, a contract (315). Its issuer, for an invoice, is the seller. */
static bool add_document(const kh_xml_tree *t, uint32_t node, kh_text seller, kh_item_texts *texts, kh_item *item)
{
    kh_text category = kh_xml_path_text(t, node, "CategoryCode"), type = kh_xml_path_text(t, node, "TypeCode");
    kh_text id = kh_xml_path_text(t, node, "ID");
    bool previous = strcmp(kh_xml_at(t, node)->name, "PreviousDocument") == 0;
    if (strcmp(kh_xml_at(t, node)->name, "Invoice") == 0 && type.n == 0) type = kh_text_of("380");
    if (!previous && category.n != 0 && !is(category, "N")) return true; /* Y935 and the like are other lists */
    if (type.n == 4 && (type.p[0] == 'N' || type.p[0] == 'n')) type = (kh_text){type.p + 1, 3};
    if (kh_item_bill_of_lading_code(type)) return kh_item_add_link(item, texts, KH_KIND_BILL_OF_LADING, id, (kh_text){NULL, 0});
    if (is(type, "380") || (is(type, "935") && !previous)) {
        char canonical[KH_NUMBER_MAX + 1], issuer[KH_ISSUER_MAX + 1];
        uint32_t n = 0, issuer_n = 0;
        id = without_date(id);
        kh_code code = kh_number_canonical(KH_KIND_INVOICE, id, (kh_text){NULL, 0}, canonical, &n);
        if (id.n == 0 || (code != KH_C_OK && code != KH_C_CHECK_DIGIT)) return true; /* a remark, not a number */
        if (kh_number_is_chinese_invoice((kh_text){canonical, n}) ||
            (kh_owner_canonical(seller, issuer, &issuer_n) == KH_C_FORMAT))
            issuer_n = 0;
        return kh_item_add_link(item, texts, KH_KIND_INVOICE, id, (kh_text){issuer_n != 0 ? issuer : NULL, issuer_n});
    }
    if (is(type, "315") && item->contract_text.n == 0) kh_item_contract(item, id);
    return true;
}

static bool add_documents_of(const kh_xml_tree *t, uint32_t parent, kh_text seller, kh_item_texts *texts, kh_item *item)
{
    static const char *const names[] = {"AdditionalDocument", "PreviousDocument", "TransportContractDocument", "Invoice"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        for (uint32_t d = kh_xml_child(t, parent, names[k]); d != 0; d = kh_xml_again(t, d))
            if (!add_document(t, d, seller, texts, item)) return false;
    return true;
}

static bool add_documents(const kh_xml_tree *t, uint32_t declaration, kh_text seller, kh_item_texts *texts, kh_item *item)
{
    if (!add_documents_of(t, declaration, seller, texts, item)) return false;
    if (!add_documents_of(t, kh_xml_child(t, declaration, "Consignment"), seller, texts, item)) return false;
    for (uint32_t g = kh_xml_child(t, declaration, "GoodsShipment"); g != 0; g = kh_xml_again(t, g)) {
        if (!add_documents_of(t, g, seller, texts, item)) return false;
        if (!add_documents_of(t, kh_xml_child(t, g, "Consignment"), seller, texts, item)) return false;
        for (uint32_t i = kh_xml_child(t, g, "GovernmentAgencyGoodsItem"); i != 0; i = kh_xml_again(t, i))
            if (!add_documents_of(t, i, seller, texts, item)) return false;
    }
    return true;
}

kh_text kh_wco_when(const kh_xml_tree *t, uint32_t node, const char *name)
{
    uint32_t when = kh_xml_child(t, node, name);
    kh_text text = kh_xml_path_text(t, when, "DateTimeString");
    if (text.n == 0) text = kh_xml_path_text(t, when, "DateTime");
    return text.n != 0 ? text : kh_xml_text(t, when);
}

static bool set_dates(const kh_xml_tree *t, uint32_t declaration, kh_item_texts *texts, kh_item *item)
{
    uint64_t ignored;
    kh_date issued = 0;
    kh_text accepted = kh_wco_when(t, declaration, "AcceptanceDateTime"), at = kh_wco_when(t, declaration, "IssueDateTime");
    if (!kh_when_parse(at, 0, &issued, &item->document.issue_time) || !kh_when_parse(accepted, 0, &item->document.date, &ignored))
        return kh_item_refuse(item, texts, KH_C_FORMAT, "A date of the declaration is not a date (2024-01-31 or 20240131…).");
    if (item->document.date == 0 && item->document.action == KH_DOC_PUT) item->document.date = issued;
    return true;
}

static bool original(const kh_xml_tree *t, uint32_t declaration, kh_item_texts *texts, kh_item *item)
{
    kh_op_document *d = &item->document;
    direction way = direction_of(t, declaration);
    kh_text declarant = kh_xml_path_text(t, declaration, "Declarant/ID");
    kh_text from = exporter(t, declaration), to = importer(t, declaration),
            version = kh_xml_path_text(t, declaration, "VersionID");
    kh_text owner = way == DIRECTION_EXPORT ? from : to, seller = kh_xml_path_text(t, declaration, "GoodsShipment/Seller/ID");
    d->action = KH_DOC_PUT;
    if (way == DIRECTION_UNKNOWN)
        return kh_item_refuse(item, texts, KH_C_FORMAT,
                              "Neither the TypeCode (EX, IM) nor the procedure code says whether it is an export "
                              "or an import.");
    d->kind = way == DIRECTION_EXPORT ? KH_KIND_EXPORT_DECLARATION : KH_KIND_IMPORT_DECLARATION;
    if (owner.n == 0) owner = declarant;
    if (owner.n == 0)
        return kh_item_refuse(item, texts, KH_C_FORMAT, "The declaration names no %s with an ID and no Declarant.",
                              way == DIRECTION_EXPORT ? "Exporter" : "Importer");
    if (!kh_item_owner(item, texts, owner, way == DIRECTION_EXPORT ? "The Exporter's ID" : "The Importer's ID")) return false;
    if (!kh_item_declaration_number(item, texts, kh_xml_path_text(t, declaration, "ID"),
                                    kh_xml_path_text(t, declaration, "FunctionalReferenceID"),
                                    declarant.n != 0 ? declarant : owner))
        return false;
    if (!kh_wco_amounts(t, declaration, false, texts, item) || !set_dates(t, declaration, texts, item)) return false;
    if (whole(version) > 0) d->doc_version = (uint32_t)whole(version);
    if (way == DIRECTION_EXPORT || (seller.n == 0 && from.n == 0)) seller = owner;
    else if (seller.n == 0) seller = from;
    return add_documents(t, declaration, seller, texts, item);
}

/* A message about a declaration: it changes what it states and leaves the rest. */
static bool message(const kh_xml_tree *t, uint32_t declaration, kh_doc_action action, const kh_feed *feed, kh_item_texts *texts,
                    kh_item *item)
{
    kh_op_document *d = &item->document;
    d->action = (uint8_t)action;
    d->kind = KH_KIND_ANY;
    if (!kh_item_declaration_number(item, texts, kh_xml_path_text(t, declaration, "ID"),
                                    kh_xml_path_text(t, declaration, "FunctionalReferenceID"),
                                    kh_xml_path_text(t, declaration, "Declarant/ID")))
        return false;
    if (action != KH_DOC_STATUS && feed != NULL && feed->requests_need_notice) d->flags |= KH_DOCF_AWAITS_NOTICE;
    if (!set_dates(t, declaration, texts, item)) return false;
    if (action != KH_DOC_AMEND) {
        d->date = 0;
        return true;
    }
    direction way = direction_of_procedure(t, declaration);
    kh_text owner = way == DIRECTION_EXPORT ? exporter(t, declaration) : importer(t, declaration);
    if (way != DIRECTION_UNKNOWN && owner.n != 0 && !kh_item_owner(item, texts, owner, "The owner's ID")) return false;
    return kh_wco_amounts(t, declaration, true, texts, item);
}

/* What the message is, which declaration it means, whose and over how much: none of it twice with different contents. */
static bool states_once(const kh_xml_tree *t, uint32_t declaration, kh_item_texts *texts, kh_item *item)
{
    uint32_t shipment = kh_xml_child(t, declaration, "GoodsShipment");
    return kh_xml_stands_once(t, declaration,
                              "FunctionCode TypeCode ID FunctionalReferenceID InvoiceAmount Declarant Exporter Importer", texts,
                              item) &&
           kh_xml_stands_once(t, shipment, "Exporter Importer Seller", texts, item);
}

bool kh_wco_item(const kh_xml_tree *t, uint32_t root, const kh_feed *feed, kh_item_texts *texts, kh_item *item)
{
    int64_t function = whole(kh_xml_path_text(t, root, "FunctionCode"));
    kh_text type = kh_xml_path_text(t, root, "TypeCode");
    item->document.action = KH_DOC_PUT;
    if (!states_once(t, root, texts, item)) return false;
    if (is(type, "INV") || function == 1) return message(t, root, KH_DOC_CANCEL, feed, texts, item);
    if (is(type, "COR") || function == 4) return message(t, root, KH_DOC_AMEND, feed, texts, item);
    if (is(type, "GPR")) return message(t, root, KH_DOC_STATUS, feed, texts, item); /* goods presented: ties LRN and MRN */
    if (function == 9 || function == 5 || (function < 0 && kh_xml_path_text(t, root, "FunctionCode").n == 0))
        return original(t, root, texts, item);
    return kh_item_refuse(item, texts, KH_C_FORMAT,
                          "A declaration message with FunctionCode \"%.*s\" and TypeCode \"%.*s\" is none that is read "
                          "(9 original; 13 with COR, INV or GPR).",
                          (int)kh_min64(kh_xml_path_text(t, root, "FunctionCode").n, 20),
                          kh_xml_path_text(t, root, "FunctionCode").n != 0 ? kh_xml_path_text(t, root, "FunctionCode").p : "",
                          (int)kh_min64(type.n, 20), type.n != 0 ? type.p : "");
}
