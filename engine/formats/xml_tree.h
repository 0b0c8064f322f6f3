/* xml_tree: XML bytes -> the known documents in them, each as a small tree, in bounded memory. Inside of xml.h's readers.
 *
 * The file is pushed through libxml2's SAX in pieces; of each known document (outermost element that is one) a tree of names,
 * texts and the few attributes that matter is kept until the caller has taken it. Elements of foreign namespaces are left out. */
#ifndef KH_FORMATS_XML_TREE_H
#define KH_FORMATS_XML_TREE_H
#include "formats/xml.h"

#define KH_XML_TEXT_MAX 1024u /* of one element's text; what is longer is cut: nothing that we read is */

typedef enum kh_xml_kind {
    KH_XML_NONE = 0,
    KH_XML_UBL_INVOICE,
    KH_XML_UBL_CREDIT_NOTE,
    KH_XML_CII,
    KH_XML_WCO_DECLARATION,
    KH_XML_WCO_RESPONSE,
    KH_XML_DEC_MESSAGE,
    KH_XML_DEC_RESULT,
    KH_XML_INVENTORY,
    KH_XML_REPORT,
    KH_XML_OLD_CII,
    KH_XML_KIND_CNT
} kh_xml_kind;
kh_format kh_xml_kind_format(kh_xml_kind kind); /* KH_FORMAT_AUTO for those that are no documents */

typedef struct kh_xml_node {
    const char *name;                   /* local name, libxml2's dictionary's */
    uint32_t parent, first, last, next; /* node numbers, 0 none */
    uint32_t text, text_n;              /* offsets into the texts */
    uint32_t currency, currency_n;      /* attribute currencyID */
    uint32_t scheme, scheme_n;          /* attribute schemeID */
    uint32_t line;
} kh_xml_node;

typedef struct kh_xml_found { /* one document */
    kh_xml_kind kind;
    uint32_t root; /* its node */
    uint64_t line, byte;
    bool too_large;
    bool no_space; /* its element has no namespace */
    char name[64]; /* of the root element */
} kh_xml_found;

typedef struct kh_xml_tree kh_xml_tree;
KH_MUST kh_err kh_xml_tree_open(const uint8_t *p, size_t n, kh_xml_tree **ret);
void kh_xml_tree_close(kh_xml_tree *t);
/* kh_xml_tree_next: the next document; its nodes are valid until the next call. False at the end of what can be read. */
bool kh_xml_tree_next(kh_xml_tree *t, kh_xml_found *ret);
/* After the end: what was wrong (NULL: nothing), and where; the name of the file's root element. */
const char *kh_xml_tree_error(const kh_xml_tree *t, uint64_t *ret_line, uint64_t *ret_byte);
const char *kh_xml_tree_root_name(const kh_xml_tree *t);
bool kh_xml_tree_out_of_memory(const kh_xml_tree *t);

/* Walking. Node 0 is no node and has no children and no text. */
uint32_t kh_xml_child(const kh_xml_tree *t, uint32_t node, const char *name);       /* the first of that name */
uint32_t kh_xml_again(const kh_xml_tree *t, uint32_t node);                         /* the next sibling of the same name */
uint32_t kh_xml_path(const kh_xml_tree *t, uint32_t node, const char *path);        /* "A/B/C": first A's first B's first C */
uint32_t kh_xml_loose_child(const kh_xml_tree *t, uint32_t node, const char *name); /* ignoring case and underscores */
/* kh_xml_given_twice: the first of names (words with a blank between) that node has more than one child of, with another text or
   currency, or with children; NULL: none. Whoever reads such a file may take either. */
const char *kh_xml_given_twice(const kh_xml_tree *t, uint32_t node, const char *names);
const kh_xml_node *kh_xml_at(const kh_xml_tree *t, uint32_t node);
kh_text kh_xml_text(const kh_xml_tree *t, uint32_t node); /* blanks around cut */
kh_text kh_xml_path_text(const kh_xml_tree *t, uint32_t node, const char *path);
kh_text kh_xml_currency(const kh_xml_tree *t, uint32_t node);
kh_text kh_xml_scheme(const kh_xml_tree *t, uint32_t node);
#endif
