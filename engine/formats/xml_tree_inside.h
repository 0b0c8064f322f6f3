/* xml_tree_inside: what xml_tree.c (reading), xml_refuse.c (what stops it), xml_kind.c (which documents) and xml_walk.c (walking,
 * detecting) share. Nobody else includes it. */
#ifndef KH_FORMATS_XML_TREE_INSIDE_H
#define KH_FORMATS_XML_TREE_INSIDE_H
#include "formats/xml_tags.h"
#include "formats/xml_tree.h"

#include <libxml/parser.h>

#define KH_XML_UBL "urn:oasis:names:specification:ubl:schema:xsd:"
#define KH_XML_UNCEFACT "urn:un:unece:uncefact:"
#define KH_XML_NAMES_MAX_SZ (1u << 20) /* of all different names in a file; a real one has some kilobytes */

struct kh_xml_tree {
    const uint8_t *p;
    size_t n, fed;
    xmlParserCtxtPtr parser;
    kh_xml_node *nodes;
    uint32_t node_n, node_cap;
    char *texts;
    uint32_t text_n, text_cap;
    char gathered[KH_XML_TEXT_MAX + 1]; /* the text of the element being read */
    uint32_t gathered_n;
    uint32_t depth, doing_depth, skip_depth;          /* skip_depth: 0, or all from this depth on is left out */
    uint32_t at;                                      /* the open element's node */
    uint32_t spaces, spaces_of[KH_XML_DEPTH_MAX + 1]; /* namespaces declared by the open elements, and by each of them */
    kh_xml_tags tags;
    kh_xml_found doing;  /* the document being read; kind KH_XML_NONE: none */
    uint32_t doing_text; /* where its texts begin */
    kh_xml_found *found; /* read, not yet taken */
    uint32_t found_n, found_cap, found_at;
    size_t blanks, blank_lines; /* before the first character */
    bool detecting, ended, no_memory;
    char error[256], root_name[64];
    uint64_t error_line, error_byte;
};

/* ---- xml_refuse.c ---- */
/* kh_xml_stop ends the reading here, for the first reason given. kh_xml_byte_now, kh_xml_line_now: how far it has come. */
void kh_xml_stop(kh_xml_tree *t, const char *why);
uint64_t kh_xml_byte_now(const kh_xml_tree *t);
uint64_t kh_xml_line_now(const kh_xml_tree *t);
/* kh_xml_refusals fills in the handlers of what is refused, and of the parser's complaints. */
void kh_xml_refusals(xmlSAXHandler *ret);
/* kh_xml_encoding_error: the conversion to UTF-8 complains to the thread's handler, not the parser's; libxml2's own would print
 * it. */
void kh_xml_encoding_error(void *self, xmlErrorPtr error);

/* ---- xml_kind.c: a name and its namespace's address ---- */
kh_xml_kind kh_xml_kind_of(const char *name, const char *uri); /* of a document's root; KH_XML_NONE: it begins none */
bool kh_xml_is_foreign(kh_xml_kind kind, const char *uri);     /* is an element inside a document none of its own? */
#endif
