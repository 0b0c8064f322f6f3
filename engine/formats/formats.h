/* formats: files by others -> documents. Streaming, bounded memory; one bad line or message is refused alone with its place.
 *
 * A reader never looks at the state: it turns bytes into kh_op_document views (wire.h) in canonical form, or into a refusal.
 * Threads  a reader is one thread's. Memory: one reader holds at most KH_FORMATS_MEMORY bytes whatever the file.
 * Errors   kh_err for the environment only; content is answered by refusals. */
#ifndef KH_FORMATS_FORMATS_H
#define KH_FORMATS_FORMATS_H
#include "wire/wire.h"

#define KH_FORMATS_MEMORY (64u << 20)
#define KH_LINE_MAX_SZ (1u << 20)     /* a text line; longer is refused alone (FORMAT) */
#define KH_MESSAGE_MAX_SZ (32u << 20) /* an XML file or EDIFACT interchange message; longer is refused */

typedef enum kh_format {
    KH_FORMAT_AUTO = 0,
    KH_FORMAT_CSV = 1,
    KH_FORMAT_JSONL = 2,
    KH_FORMAT_UBL = 3,
    KH_FORMAT_CII = 4,
    KH_FORMAT_EDIFACT = 5,
    KH_FORMAT_WCO = 6,
    KH_FORMAT_DECMESSAGE = 7,
    KH_FORMAT_CNT = 8
} kh_format;
const char *kh_format_word(kh_format format); /* "csv" "jsonl" "ubl" "cii" "edifact" "wco" "decmessage" */
KH_MUST bool kh_format_of_word(kh_text word, kh_format *ret);

/* Per-source settings: the status codes of DecMessage receipts are per source; some sources' requests need a notice. */
typedef struct kh_feed {
    uint32_t source; /* party id, 0 none */
    bool requests_need_notice;
    struct {
        char channel[8];
        uint8_t status;
    } channels[64]; /* DecMessage CHANNEL code -> kh_status */
    uint32_t channel_cnt;
} kh_feed;
void kh_feed_default(kh_feed *feed); /* the single window's usual codes */
/* kh_feed_load reads the section of a source from a file as conf/sources.conf (libconfig) over the defaults; `source` stays.
   KH_E_NOT_FOUND: it has no such section; KH_E_IO: the file cannot be read; KH_E_FORMAT: it is not such a file. *feed is touched
   only when OK. */
KH_MUST kh_err kh_feed_load(const char *path, const char *name, kh_feed *feed);

typedef struct kh_item {     /* one thing found in a file */
    uint64_t line;           /* text formats: the line it begins on, from 1 (header is 1); XML, EDIFACT: line of the message */
    uint64_t byte;           /* offset of the place where reading failed or the item began */
    kh_code code;            /* OK or CHECK_DIGIT: `document` is valid; else refused */
    bool odd_owner;          /* the owner's USCC has check digits that do not fit: a warning, not stored */
    const char *why;         /* a sentence, for refusals; lent until the next call */
    kh_op_document document; /* texts lent until the next call */
    const char *raw;
    uint32_t raw_n;                                                      /* the refused line itself, cut to 4096 bytes */
    kh_text contract_text;                                               /* for `show` */
    char ref_texts[KH_DOC_REFS_MAX][KH_NUMBER_MAX + KH_ISSUER_MAX + 32]; /* KIND:NUMBER[@ISSUER] of document.refs, for `show` */
} kh_item;

typedef struct kh_reader kh_reader;
/* read callback: like read(2): bytes, 0 at the end, negative kh_err. */
typedef struct kh_bytes_source {
    kh_err (*read)(void *self, void *p, size_t cap, size_t *ret_n);
    void *self;
} kh_bytes_source;

/* kh_reader_open looks at the first 64 KiB to detect format and encoding. kind: default kind for CSV/JSONL lines without one (0
 * none). feed may be NULL: the defaults. A file that is empty or of no known format opens well and gives one refusal. */
KH_MUST kh_err kh_reader_open(const kh_bytes_source *source, kh_format format, kh_kind kind, const kh_feed *feed,
                              kh_reader **ret);
kh_format kh_reader_format(const kh_reader *r);
/* kh_reader_warnings: things said once (unknown columns ignored, wrong UNT count); NULL-terminated list, lent. */
const char *const *kh_reader_warnings(const kh_reader *r);
/* kh_reader_next: true with an item; false at the end. Environment failures: *ret_err. In text formats a document comes when the
   line after it has shown that it is whole (several currencies), so lines refused meanwhile come before it. */
bool kh_reader_next(kh_reader *r, kh_item *ret, kh_err *ret_err);
void kh_reader_close(kh_reader *r);

/* ---- rows of named columns (CSV or JSON Lines), for verify, requests and events ---- */
#define KH_ROW_COLUMNS_MAX 64
typedef struct kh_rows kh_rows;
typedef struct kh_row_view {
    uint64_t line;
    kh_code code; /* OK, or FORMAT with why */
    const char *why;
    kh_text (*get)(const struct kh_row_view *row, const char *column); /* canonical column name; {NULL,0} when absent or empty */
    const void *self;
    const char *raw;
    uint32_t raw_n;
} kh_row_view;
/* kh_rows_open: CSV or JSON Lines, by content; columns[] (1 to KH_ROW_COLUMNS_MAX) are lent until kh_rows_close. */
KH_MUST kh_err kh_rows_open(const kh_bytes_source *source, const char *const columns[], uint32_t column_cnt, kh_rows **ret);
/* kh_rows_need: before the first row: a header (CSV) without one of these, bit i the i-th of columns[], is refused by name;
   `kind` may lack where the number's column says it. */
void kh_rows_need(kh_rows *r, uint64_t columns);
/* kh_rows_next: a row's texts are lent until the next call. A header that repeats a column, names none or lacks a needed one is
   one refused row, and the last. A refused row has no values, but for one of too many or too few cells: those under their
   columns. */
bool kh_rows_next(kh_rows *r, kh_row_view *ret, kh_err *ret_err);
const char *const *kh_rows_warnings(const kh_rows *r);
/* kh_rows_header: the header of a CSV as it stands there, with what is before it and its newline; {NULL,0}: JSON Lines, or there
   was none yet. kh_rows_record: the last row likewise, cut behind KH_LINE_MAX_SZ + 1 bytes; lent until the next row. Both are
   UTF-8. *ret_offset: where it begins in the text. */
kh_text kh_rows_header(const kh_rows *r);
kh_text kh_rows_record(const kh_rows *r, uint64_t *ret_offset);
void kh_rows_close(kh_rows *r);
/* A document as users write it, KIND:NUMBER[@ISSUER] with %XX escapes; the parts as written, not yet canonical. */
#define KH_DOCUMENT_NAME_MAX 300
typedef struct kh_document_name {
    kh_kind kind;
    uint32_t number_n, issuer_n;
    char number[KH_DOCUMENT_NAME_MAX], issuer[KH_DOCUMENT_NAME_MAX];
} kh_document_name;
KH_MUST bool kh_document_name_parse(kh_text text, kh_document_name *ret);
/* kh_kind_of_columns: the kind that a row states: the word in `kind`, else default_kind, else what a Chinese name of its number's
   column says (海关编号: a declaration, by `direction` or the number's ninth digit; 发票号码: an invoice). False: none, or no
   such kind. */
KH_MUST bool kh_kind_of_columns(const kh_row_view *row, kh_kind default_kind, kh_kind *ret);
/* kh_issuer_of_columns: the canonical issuer in the key of (kind, canonical number), whoever asks: as named, else the owner for
   an invoice or credit note whose number is not a Chinese one; none where the number stands alone (a declaration's own number, a
   Chinese invoice of a USCC). buf: KH_ISSUER_MAX + 1 bytes. Import, verify, requests and look-ups must all use it. OK or FORMAT.
 */
kh_code kh_issuer_of_columns(kh_kind kind, kh_text number, kh_text issuer, kh_text owner, char *buf, uint32_t *ret_n);
#define KH_COLUMNS_TEXT_SZ 2048 /* text_buf of kh_document_of_columns */
/* kh_document_of_columns builds a document from the import columns of DOMAIN §7 (`get` as above): used by CSV, JSONL and the API.
 */
kh_code kh_document_of_columns(const kh_row_view *row, kh_kind default_kind, const kh_feed *feed, void *text_buf, size_t text_cap,
                               kh_item *ret);
#endif
