/* edifact_inside: what edifact.c (messages and segments) and edifact_invoice.c (their meaning) share. Nobody else includes it. */
#ifndef KH_FORMATS_EDIFACT_INSIDE_H
#define KH_FORMATS_EDIFACT_INSIDE_H
#include "formats/edifact.h"
#include "formats/invoice.h"

#define KH_EDIFACT_VALUE_MAX 400u /* of a value that is kept; a longer one is cut, and longer than may be then too */

typedef struct kh_edifact_marks {
    char component, element, release, terminator; /* release 0: none */
} kh_edifact_marks;

typedef struct kh_edifact_segment {
    const char *p; /* with its tag, without its terminator */
    size_t n;
    uint64_t line, byte;
    char tag[4]; /* line ends within it left out; "" where it is not three characters */
} kh_edifact_segment;

typedef struct kh_edifact_kept { /* a value that outlives its segment */
    char p[KH_EDIFACT_VALUE_MAX];
    uint32_t n;
} kh_edifact_kept;

typedef struct kh_edifact_seller {
    uint32_t rank; /* 1 NAD+SE, 2 +SU, 3 +II, 4 +MS; 0 none yet */
    kh_edifact_kept vat, registration, identifier, country, name;
} kh_edifact_seller;

/* The qualifiers of MOA that are read, in the order in which they count as the total. From KH_MOA_RATES on they may stand in the
   summary's groups of a tax or an allowance too, for that alone. */
enum { KH_MOA_DUE = 0, KH_MOA_RATES = 4, KH_MOA_PREPAID = 6, KH_MOA_CNT = 7 };

typedef struct kh_edifact_invoice { /* the message being read */
    enum { KH_EDIFACT_HEADER, KH_EDIFACT_PARTIES, KH_EDIFACT_LINES, KH_EDIFACT_SUMMARY } part;
    kh_edifact_kept number, type_code, function, date, other_date, currency, contract;
    kh_edifact_seller seller;
    bool currency_is_sure, in_seller, in_office; /* whose the last NAD was: the seller's, or that of its corporate office */
    kh_edifact_kept office_vat, office_country;
    bool begun, begun_twice; /* it has two BGM: the end of one message and the beginning of the next were lost between them */
    bool in_group;           /* of a tax or an allowance, in the summary */
    kh_edifact_kept amount[KH_MOA_CNT], amount_currency[KH_MOA_CNT];
    bool differs[KH_MOA_CNT]; /* it stands twice, with different amounts */
    uint32_t preceding_cnt, bill_cnt;
    kh_edifact_kept preceding[KH_DOC_REFS_MAX], bills[KH_DOC_REFS_MAX]; /* preceding: the lines' where the header has none */
    bool preceding_of_lines, too_many_preceding, too_many_bills;
} kh_edifact_invoice;

enum kh_edifact_warning { KH_EDIFACT_UNT, KH_EDIFACT_UNZ, KH_EDIFACT_NO_UNZ, KH_EDIFACT_WARNING_CNT };

struct kh_edifact {
    const char *p;
    size_t n, at;
    uint64_t line, message_cnt, group_cnt, given;
    kh_edifact_marks marks;
    kh_edifact_segment cut_in; /* the segment within which the bytes end, where `cut` */
    bool cut, cut_said, open, ended;
    bool no_unp[256]; /* by the element mark: the rest of the bytes has none, and is not searched again */
    char charset[8];  /* UNB's: UNOA … */
    uint32_t charset_n;
    kh_feed feed;
    kh_item_texts texts;
    kh_edifact_invoice invoice;
    bool warned[KH_EDIFACT_WARNING_CNT];
    uint32_t warning_cnt;
    char warning_texts[KH_EDIFACT_WARNING_CNT][160];
    const char *warnings[KH_EDIFACT_WARNING_CNT + 1];
};

/* kh_edifact_value copies a component, its releases undone, blanks around and line ends cut, at most cap bytes; its length.
   Element 0 is the tag. */
uint32_t kh_edifact_value(const kh_edifact *e, const kh_edifact_segment *s, uint32_t element, uint32_t component, char *buf,
                          uint32_t cap);
bool kh_edifact_is(const kh_edifact_segment *s, const char *tag);

void kh_edifact_invoice_begin(kh_edifact_invoice *v);
void kh_edifact_invoice_segment(kh_edifact *e, const kh_edifact_segment *s);
bool kh_edifact_invoice_item(kh_edifact *e, kh_item *item); /* false: refused */
#endif
