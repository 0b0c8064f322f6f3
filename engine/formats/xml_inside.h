/* xml_inside: the readers of single documents, one a syntax, as xml.c calls them. Each fills an item that kh_item_begin has
 * begun, from the tree's document at `root`; false: refused. Nobody but xml.c and these files includes it. */
#ifndef KH_FORMATS_XML_INSIDE_H
#define KH_FORMATS_XML_INSIDE_H
#include "formats/invoice.h"
#include "formats/xml_tree.h"

bool kh_ubl_item(const kh_xml_tree *t, uint32_t root, bool credit_note, kh_item_texts *texts, kh_item *item);
bool kh_cii_item(const kh_xml_tree *t, uint32_t root, kh_item_texts *texts, kh_item *item);
bool kh_wco_item(const kh_xml_tree *t, uint32_t root, const kh_feed *feed, kh_item_texts *texts, kh_item *item);
bool kh_decmessage_item(const kh_xml_tree *t, uint32_t root, kh_item_texts *texts, kh_item *item);
bool kh_decresult_item(const kh_xml_tree *t, uint32_t root, const kh_feed *feed, kh_item_texts *texts, kh_item *item);

/* A notification may give several items: one for each declaration that it names, and for a correction (07) that states amounts
   an amendment after it. *step is 0 at first; *ret_more says that there is another, to be asked for with the step left there. */
bool kh_wco_response_item(const kh_xml_tree *t, uint32_t root, uint32_t *step, bool *ret_more, kh_item_texts *texts,
                          kh_item *item);

/* kh_xml_stands_once refuses the item (false) where one of names (kh_xml_given_twice) stands twice under node. */
bool kh_xml_stands_once(const kh_xml_tree *t, uint32_t node, const char *names, kh_item_texts *texts, kh_item *item);

/* kh_wco_amounts adds the amounts that a declaration states. partial: it is an amendment, which may state only some items: they
   count only where they can be all there are (see wco.c); else refused. False: refused. */
bool kh_wco_amounts(const kh_xml_tree *t, uint32_t declaration, bool partial, kh_item_texts *texts, kh_item *item);
bool kh_wco_states_amounts(const kh_xml_tree *t, uint32_t declaration);
/* kh_wco_when: the text of a point in time of this name: in a DateTimeString or DateTime, else its own. */
kh_text kh_wco_when(const kh_xml_tree *t, uint32_t node, const char *name);
#endif
