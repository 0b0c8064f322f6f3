/* xml_kind: which documents an XML file may hold, by their root elements, and whose elements are part of one. */
#include "formats/xml_tree_inside.h"
#include <strings.h>

static bool begins(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

kh_format kh_xml_kind_format(kh_xml_kind kind)
{
    switch (kind) {
    case KH_XML_UBL_INVOICE:
    case KH_XML_UBL_CREDIT_NOTE: return KH_FORMAT_UBL;
    case KH_XML_CII: return KH_FORMAT_CII;
    case KH_XML_WCO_DECLARATION:
    case KH_XML_WCO_RESPONSE: return KH_FORMAT_WCO;
    case KH_XML_DEC_MESSAGE:
    case KH_XML_DEC_RESULT: return KH_FORMAT_DECMESSAGE;
    default: return KH_FORMAT_AUTO;
    }
}

/* What HMRC's information service answers: extracts of declarations. */
static bool is_report(const char *name)
{
    return strcmp(name, "DeclarationVersionResponse") == 0 || strcmp(name, "DeclarationStatusResponse") == 0 ||
           strcmp(name, "DeclarationSearchResponse") == 0;
}

/* Which document an element begins. Names alone distinguish where they are unmistakable; Invoice, Declaration and Response need
   their namespace (the WCO ones are met without any, and with its colons lost). */
kh_xml_kind kh_xml_kind_of(const char *name, const char *uri)
{
    bool wco = uri[0] == 0 || strcasestr(uri, "wco") != NULL;
    if (strcmp(name, "Invoice") == 0 || strcmp(name, "SelfBilledInvoice") == 0)
        return begins(uri, KH_XML_UBL) ? KH_XML_UBL_INVOICE : KH_XML_NONE;
    if (strcmp(name, "CreditNote") == 0 || strcmp(name, "SelfBilledCreditNote") == 0)
        return begins(uri, KH_XML_UBL) ? KH_XML_UBL_CREDIT_NOTE : KH_XML_NONE;
    if (strcmp(name, "CrossIndustryInvoice") == 0) return begins(uri, KH_XML_UNCEFACT) ? KH_XML_CII : KH_XML_NONE;
    if (strcmp(name, "CrossIndustryDocument") == 0) return KH_XML_OLD_CII;
    if (strcmp(name, "Declaration") == 0) return wco ? KH_XML_WCO_DECLARATION : KH_XML_NONE;
    if (strcmp(name, "Response") == 0) return wco ? KH_XML_WCO_RESPONSE : KH_XML_NONE;
    if (strcasecmp(name, "DecMessage") == 0) return KH_XML_DEC_MESSAGE;
    if (strcasecmp(name, "DEC_RESULT") == 0 || strcasecmp(name, "DecResult") == 0) return KH_XML_DEC_RESULT;
    if (strncasecmp(name, "inventoryLinking", 16) == 0) return KH_XML_INVENTORY;
    if (is_report(name)) return KH_XML_REPORT;
    return KH_XML_NONE;
}

/* Elements of other vocabularies inside a document (extensions, signatures) are no part of it. */
bool kh_xml_is_foreign(kh_xml_kind kind, const char *uri)
{
    if (uri[0] == 0) return false;
    switch (kind) {
    case KH_XML_UBL_INVOICE:
    case KH_XML_UBL_CREDIT_NOTE: return !begins(uri, KH_XML_UBL) || strstr(uri, "Extension") != NULL;
    case KH_XML_CII: return !begins(uri, KH_XML_UNCEFACT);
    case KH_XML_WCO_DECLARATION:
    case KH_XML_WCO_RESPONSE: return strcasestr(uri, "wco") == NULL;
    default: return false;
    }
}
