/* xml: the XML half of the readers: UBL, CII, WCO declarations and notifications, single-window DecMessage and its receipts.
 *
 * A whole file is lent as bytes; documents are found inside any envelope, several in one file, by local name and namespace,
 * never by prefix. Each comes out as one kh_item: a document, or a refusal of that document alone. What is not well-formed
 * XML ends the file with one refusal at its line and byte; the documents before it have been given.
 *
 * Safety   no network, no external files, no entity or DTD declarations (refused), depth <= KH_XML_DEPTH_MAX.
 * Cost     linear in the bytes: what libxml2 compares each with each, attributes and namespaces, is bounded in number.
 * Memory   besides the lent bytes at most KH_XML_MEMORY for one document being read; a larger one is refused alone.
 * Threads  a reader is one thread's. */
#ifndef KH_FORMATS_XML_H
#define KH_FORMATS_XML_H
#include "formats/formats.h"

#define KH_XML_DEPTH_MAX 128u
#define KH_XML_ATTRIBUTES_MAX 256u /* of one tag, with the namespaces that it declares */
#define KH_XML_SPACES_MAX 512u     /* namespaces declared around an element */
#define KH_XML_MEMORY (24u << 20)

typedef struct kh_xml kh_xml;

/* kh_xml_detect looks at the first bytes of a file (64 KiB are enough): true if it is XML (in any encoding that it declares,
   UTF-16 too); *ret is then its format, or KH_FORMAT_AUTO where what has been seen so far carries no known document:
   kh_xml_open takes that too and refuses the file with a sentence if nothing turns up. */
KH_MUST bool kh_xml_detect(const uint8_t *p, size_t n, kh_format *ret);

/* kh_xml_open begins a file of n bytes at p, which stay lent until kh_xml_close. hint KH_FORMAT_AUTO takes every known format;
   another, which the user said (not a detected
   one), refuses documents that are of a different one. feed may be NULL (the defaults of kh_feed_default). KH_E_NOMEM. */
KH_MUST kh_err kh_xml_open(const uint8_t *p, size_t n, kh_format hint, const kh_feed *feed, kh_xml **ret);
/* kh_xml_next: true with the next item (texts lent until the next call), false at the end; a file in which nothing was found
   gives one refusal. Environment failures (KH_E_NOMEM): false and *ret_err. */
bool kh_xml_next(kh_xml *x, kh_item *ret, kh_err *ret_err);
/* kh_xml_format: of the documents seen so far; KH_FORMAT_AUTO when none was recognised. */
kh_format kh_xml_format(const kh_xml *x);
void kh_xml_close(kh_xml *x);
#endif
