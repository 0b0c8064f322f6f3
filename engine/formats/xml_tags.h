/* xml_tags: counts the attributes of each tag before the parser has the whole of it, for that compares each with each.
 *
 * Fed with the same bytes, piece by piece, in any encoding that has ASCII as ASCII, or in UTF-16. What is not well-formed is
 * counted somehow: it is the parser that refuses it. */
#ifndef KH_FORMATS_XML_TAGS_H
#define KH_FORMATS_XML_TAGS_H
#include "base/base.h"

typedef struct kh_xml_tags {
    enum {
        KH_XML_IN_TEXT,
        KH_XML_IN_OPENING, /* behind '<' */
        KH_XML_IN_TAG,
        KH_XML_IN_VALUE,
        KH_XML_IN_MARK, /* behind "<!" */
        KH_XML_IN_COMMENT,
        KH_XML_IN_CDATA,
        KH_XML_IN_INSTRUCTION,
        KH_XML_IN_DECLARATION
    } in;
    uint32_t attributes; /* of the tag */
    uint8_t quote, before[2];
    bool wide, high_first; /* UTF-16, and its order */
    uint8_t half[2];
    uint32_t half_n;
} kh_xml_tags;

/* kh_xml_tags_begin looks at the first bytes, for UTF-16. */
void kh_xml_tags_begin(kh_xml_tags *s, const uint8_t *p, size_t n);
/* kh_xml_tags_feed gives how many of the n bytes the parser may have: all, or those before the first tag with more than
   KH_XML_ATTRIBUTES_MAX attributes, the namespaces among them, as far as it begins here. */
KH_MUST size_t kh_xml_tags_feed(kh_xml_tags *s, const uint8_t *p, size_t n);
#endif
