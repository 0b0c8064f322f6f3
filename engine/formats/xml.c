/* xml: see xml.h. Takes the documents out of the tree one by one and gives each to the reader of its syntax. */
#include "formats/xml_inside.h"

#include <stdlib.h>

struct kh_xml {
    kh_xml_tree *tree;
    kh_feed feed;
    kh_format hint, format;
    kh_item_texts texts;
    kh_xml_found found; /* the document whose items are being given */
    uint32_t step;      /* of a notification with several */
    bool more, ended;
    uint64_t given;
    const uint8_t *p;
    size_t n;
};

bool kh_xml_stands_once(const kh_xml_tree *t, uint32_t node, const char *names, kh_item_texts *texts, kh_item *item)
{
    const char *twice = kh_xml_given_twice(t, node, names);
    return twice == NULL || kh_item_refuse(item, texts, KH_C_FORMAT, "%s stands twice in %s: which one counts is not known.",
                                           twice, kh_xml_at(t, node)->name);
}

kh_err kh_xml_open(const uint8_t *p, size_t n, kh_format hint, const kh_feed *feed, kh_xml **ret)
{
    kh_xml *x = calloc(1, sizeof *x);
    if (x == NULL) return KH_E_NOMEM;
    kh_err err = kh_xml_tree_open(p, n, &x->tree);
    if (err != KH_OK) {
        free(x);
        return err;
    }
    if (feed != NULL) x->feed = *feed;
    else kh_feed_default(&x->feed);
    x->hint = hint;
    x->p = n != 0 ? p : (const uint8_t *)"";
    x->n = n;
    *ret = x;
    return KH_OK;
}

void kh_xml_close(kh_xml *x)
{
    if (x == NULL) return;
    kh_xml_tree_close(x->tree);
    free(x);
}

kh_format kh_xml_format(const kh_xml *x) { return x->format; }

static bool refuse_other(kh_xml *x, kh_item *item)
{
    const char *name = x->found.name;
    switch (x->found.kind) {
    case KH_XML_INVENTORY:
        return kh_item_refuse(item, &x->texts, KH_C_FORMAT,
                              "An inventory-linking message (%s) carries no declaration; nothing is stored.", name);
    case KH_XML_REPORT:
        return kh_item_refuse(
            item, &x->texts, KH_C_FORMAT,
            "A report about a declaration (%s) is an extract, not the declaration; import the declaration itself.", name);
    default:
        return kh_item_refuse(item, &x->texts, KH_C_FORMAT,
                              "%s is an older cross industry invoice (before D16B), which is not read.", name);
    }
}

/* A refused document keeps none of what was read of it. */
static void read_found(kh_xml *x, kh_item *item)
{
    const kh_xml_found *f = &x->found;
    kh_format format = kh_xml_kind_format(f->kind);
    bool good = true, first = x->step == 0;
    x->more = false;
    kh_item_begin(item, f->line, f->byte, &x->feed);
    if (format != KH_FORMAT_AUTO && first) x->format = format;
    if (f->too_large)
        good = kh_item_refuse(item, &x->texts, KH_C_FORMAT,
                              "The document (%s) is too large: more than %u MiB of elements and texts.", f->name,
                              KH_XML_MEMORY >> 20);
    else if (format == KH_FORMAT_AUTO) good = refuse_other(x, item);
    else if (x->hint != KH_FORMAT_AUTO && x->hint != format)
        good = kh_item_refuse(item, &x->texts, KH_C_FORMAT, "The file was said to be %s, but here is a document in %s.",
                              kh_format_word(x->hint), kh_format_word(format));
    else switch (f->kind) {
        case KH_XML_UBL_INVOICE:
        case KH_XML_UBL_CREDIT_NOTE:
            good = kh_ubl_item(x->tree, f->root, f->kind == KH_XML_UBL_CREDIT_NOTE, &x->texts, item);
            break;
        case KH_XML_CII: good = kh_cii_item(x->tree, f->root, &x->texts, item); break;
        case KH_XML_WCO_DECLARATION: good = kh_wco_item(x->tree, f->root, &x->feed, &x->texts, item); break;
        case KH_XML_WCO_RESPONSE: good = kh_wco_response_item(x->tree, f->root, &x->step, &x->more, &x->texts, item); break;
        case KH_XML_DEC_MESSAGE: good = kh_decmessage_item(x->tree, f->root, &x->texts, item); break;
        default: good = kh_decresult_item(x->tree, f->root, &x->feed, &x->texts, item); break;
        }
    if (good) return;
    memset(&item->document, 0, sizeof item->document);
    item->contract_text = (kh_text){NULL, 0};
    size_t from = f->byte < x->n ? (size_t)f->byte : x->n;
    item->raw = (const char *)x->p + from;
    item->raw_n = (uint32_t)kh_min64(x->n - from, 4096);
}

bool kh_xml_next(kh_xml *x, kh_item *ret, kh_err *ret_err)
{
    uint64_t line = 1, byte = 0;
    if (x->ended) return false;
    if (!x->more) {
        x->step = 0;
        if (!kh_xml_tree_next(x->tree, &x->found)) {
            x->ended = true;
            if (kh_xml_tree_out_of_memory(x->tree)) {
                *ret_err = KH_E_NOMEM;
                return false;
            }
            const char *why = kh_xml_tree_error(x->tree, &line, &byte);
            if (why == NULL && x->given > 0) return false;
            kh_item_begin(ret, line, byte, &x->feed);
            if (why != NULL) kh_item_refuse(ret, &x->texts, KH_C_FORMAT, "%s", why);
            else
                kh_item_refuse(ret, &x->texts, KH_C_FORMAT,
                               "The XML (root element %s) holds no invoice, declaration, notification or receipt that is read.",
                               kh_xml_tree_root_name(x->tree));
            size_t from = byte < x->n ? (size_t)byte : x->n;
            ret->raw = (const char *)x->p + from;
            ret->raw_n = (uint32_t)kh_min64(x->n - from, 256);
            return true;
        }
    }
    x->given++;
    read_found(x, ret);
    return true;
}
