/* wire: operations, receipts and notices: what they hold, and their bytes in the log and the journals.
 *
 * An operation on the wire: {size 4 (whole frame, multiple of 8), type 1, flags 1, reserved 2, party 4, reserved 4, sequence 8}
 * then the body (docs/FORMAT.md, byte by byte). Encoding is canonical: decode(encode(x)) == x and encode(decode(b)) == b, and
 * padding, reserved bytes and unknown flags must be zero, else KH_E_FORMAT. Decoding never reads past n, never allocates, and
 * its result points into the bytes and the caller's scratch.
 * Pure: used inside the ledger. */
#ifndef KH_WIRE_WIRE_H
#define KH_WIRE_WIRE_H
#include "base/base.h"
#include "doc/code.h"
#include "doc/consent.h"
#include "doc/kind.h"
#include "doc/money.h"
#include "doc/number.h"
#include "doc/risk.h"

#define KH_OP_MAX_SZ (64u << 10) /* bytes of one operation */
#define KH_LINES_MAX 256         /* lines of one financing */
#define KH_DOC_BALANCES_MAX 16   /* currencies of one document */
#define KH_DOC_REFS_MAX 16       /* references of one document */
#define KH_PRODUCT_MAX 40
#define KH_RULE_TEXT_MAX 64
#define KH_SUBJECTS_MAX 256 /* subjects of one question to the risk list */

typedef enum kh_op_type {
    KH_OP_PARTY_ADD = 1,
    KH_OP_PARTY_STATUS = 2,
    KH_OP_RULE_SET = 3,
    KH_OP_RATE_SET = 4,
    KH_OP_DOCUMENT = 5,
    KH_OP_APPLY = 6,
    KH_OP_EVENT = 7,
    KH_OP_GRANT = 8,
    KH_OP_GRANT_REVOKE = 9,
    KH_OP_CREDIT_LOOKUP = 10,
    KH_OP_RISK_ADD = 11,
    KH_OP_RISK_REMOVE = 12,
    KH_OP_RISK_ASK = 13,
    /* Execution alone writes these into the log (cluster); from outside they are refused: */
    KH_OP_BLOCK = 14,
    KH_OP_REFUSED = 15,
    KH_OP_BUNDLE = 16,
    KH_OP_PARTY_KEY = 17, /* from outside, as 1 to 13 */
    KH_OP_EXPELLED = 18,  /* execution's, as 14 to 16 */
    KH_OP_TYPE_CNT = 19
} kh_op_type;

typedef struct kh_op_party_add {
    uint32_t id;
    uint8_t role;
    kh_text name, uscc;
} kh_op_party_add; /* uscc: canonical, may be none */
typedef struct kh_op_party_status {
    uint32_t id;
    uint8_t frozen;
} kh_op_party_status;
#define KH_PARTY_KEY_SZ 64u
/* An enterprise's own key, by which a cluster's hubs know what it signed; all zeros: it has none any more. */
typedef struct kh_op_party_key {
    uint32_t id;
    uint8_t key[KH_PARTY_KEY_SZ];
} kh_op_party_key;
typedef struct kh_op_rule_set {
    kh_text name, value;
} kh_op_rule_set;
typedef struct kh_op_rate_set {
    kh_currency from, to;
    kh_rate rate;
    kh_date date;
    kh_text source;
} kh_op_rate_set;

typedef enum kh_doc_action {
    KH_DOC_PUT = 1,    /* an original (or the whole document anew: an amendment for declarations) */
    KH_DOC_AMEND = 2,  /* a message that changes the fields that it states and leaves the rest */
    KH_DOC_CANCEL = 3, /* a message that revokes */
    KH_DOC_STATUS = 4, /* a notice: status only, and ties LRN to MRN when it names both */
    KH_DOC_ACTION_CNT = 5
} kh_doc_action;
enum {                            /* kh_op_document.flags */
       KH_DOCF_FORCE = 1,         /* import --force: an earlier version may come again as the newest */
       KH_DOCF_LRN_KEY = 2,       /* number is an LRN (issuer = declarant); the MRN is not known yet */
       KH_DOCF_AWAITS_NOTICE = 4, /* AMEND, CANCEL: of a source whose requests act only on a notice (10, 07) */
       KH_DOCF_NOTICE = 8,        /* STATUS: a notice that sets a waiting request in force (10 invalidated, 07 corrected) */
       KH_DOCF_CHECK_DIGIT = 16,  /* the number's check digit is odd: a warning in the receipt */
       KH_DOCF_NO_AMOUNT = 32     /* AMEND only: states that there is no amount (else "no balances" leaves them as they are) */
};
typedef enum kh_ref_role {
    KH_REF_LINK = 1,
    KH_REF_CORRECTS = 2
} kh_ref_role; /* belongs to invoice / B/L; the one it lowers or amends */
typedef struct kh_op_ref {
    uint8_t role, kind;
    kh_key key;
} kh_op_ref;
typedef struct kh_op_balance {
    kh_currency currency;
    uint64_t base;
} kh_op_balance;
typedef struct kh_op_document {
    uint8_t action, kind, status, flags; /* kind KH_KIND_ANY: either declaration kind, found by number */
    uint8_t balance_cnt, ref_cnt;
    kh_date date;
    uint32_t doc_version;                        /* the version that the paper itself carries, 0 = none */
    uint32_t source;                             /* party id of the feed; 0 none */
    uint64_t issue_time;                         /* seconds since 1970 that the paper carries, 0 = none */
    uint64_t contract;                           /* kh_contract_digest, 0 = none */
    kh_text number, issuer;                      /* canonical; issuer none where the kind needs none */
    kh_text owner;                               /* canonical; none: unknown (in messages: unchanged) */
    kh_text lrn, lrn_issuer;                     /* LRN beside an MRN, with the declarant when known */
    kh_op_balance balances[KH_DOC_BALANCES_MAX]; /* distinct currencies, ascending */
    kh_op_ref refs[KH_DOC_REFS_MAX];             /* distinct, ascending by (role, key bytes) */
} kh_op_document;

typedef struct kh_op_line {
    kh_key key;
    kh_currency currency; /* 0 = not said */
    uint64_t allocated;   /* minor units of the financing's currency; KH_AMOUNT_NONE = not said */
    uint64_t total;       /* the document's total as the applicant states it; KH_AMOUNT_NONE = not said (APPLY only) */
} kh_op_line;
typedef struct kh_op_apply { /* op.party is the bank */
    uint64_t id;
    uint32_t enterprise;
    kh_currency currency;
    uint8_t allow_partial;
    uint64_t amount;
    kh_text product;
    uint32_t line_cnt; /* 1..KH_LINES_MAX */
    kh_op_line *lines; /* in the scratch; order is meaning */
} kh_op_apply;
typedef struct kh_op_event {
    uint64_t id;
    uint8_t event, source, reason;
    uint8_t has_expect;
    uint32_t expect;
    uint64_t amount;   /* KH_AMOUNT_NONE = not said: all that is approved / owed */
    uint32_t line_cnt; /* allotments, 0..KH_LINES_MAX; their `allocated` is the part, `total` is NONE */
    kh_op_line *lines;
} kh_op_event;

/* A grant (授权书) is named by its enterprise and a number that the enterprise chooses. */
typedef struct kh_op_grant {
    uint64_t id;
    uint64_t from_ns, until_ns; /* of block time, both included; from <= until */
    uint32_t enterprise, bank;
    uint8_t scope; /* KH_SCOPE_*, at least one */
} kh_op_grant;
typedef struct kh_op_grant_revoke {
    uint64_t id;
    uint32_t enterprise;
} kh_op_grant_revoke;
typedef struct kh_op_credit_lookup { /* op.party is the bank */
    uint64_t grant;
    uint32_t enterprise;
    uint8_t scope;
} kh_op_credit_lookup;
typedef struct kh_op_risk_add { /* op.party is the contributor */
    kh_key subject;
    uint8_t category;
} kh_op_risk_add;
typedef struct kh_op_risk_remove {
    kh_key subject;
    uint32_t contributor; /* 0: the party that speaks; of the regulator: everybody's */
    uint8_t category;
} kh_op_risk_remove;
typedef struct kh_op_risk_ask {
    uint32_t subject_cnt;    /* 1..KH_SUBJECTS_MAX; order is meaning */
    const uint8_t *subjects; /* 16 bytes each; decoded ones lie in the frame */
} kh_op_risk_ask;

/* The block of the cluster's order whose operations follow, to the end of the entry. party 0. A block with more than one entry
   holds is executed in parts: all but the last say that more follow. */
enum { KH_BLOCK_MORE = 1 };
typedef struct kh_op_block {
    uint64_t height;
    uint32_t flags, part; /* KH_BLOCK_*; 0, 1, ... */
} kh_op_block;
/* An operation that execution may not give to the ledger: party is who sent it, sequence its own. Changes nothing. */
typedef struct kh_op_refused {
    kh_code code; /* not OK */
} kh_op_refused;
/* The next op_cnt operations of the entry came in the party's signed bundle of this number: where the party had one of this or a
   higher number before, each is BAD_SEQUENCE. The party is the regulator, a source, or an enterprise with a key. */
typedef struct kh_op_bundle {
    uint64_t number; /* from 1 */
    uint32_t op_cnt;
} kh_op_bundle;
/* Officers expelled a member: it is frozen for good, and its holds lapse (kh_ledger_next_due tells whether some are left). */
typedef struct kh_op_expelled {
    uint32_t id;
} kh_op_expelled;
static inline bool kh_op_of_execution(uint8_t type)
{
    return (type >= KH_OP_BLOCK && type <= KH_OP_BUNDLE) || type == KH_OP_EXPELLED;
}

typedef struct kh_op {
    uint8_t type;
    uint32_t party;    /* who speaks; 0 = the operator (the regulator's rights) */
    uint64_t sequence; /* the client's, to tell its receipts apart */
    union {
        kh_op_party_add party_add;
        kh_op_party_status party_status;
        kh_op_party_key party_key;
        kh_op_rule_set rule_set;
        kh_op_rate_set rate_set;
        kh_op_document document;
        kh_op_apply apply;
        kh_op_event event;
        kh_op_grant grant;
        kh_op_grant_revoke grant_revoke;
        kh_op_credit_lookup credit_lookup;
        kh_op_risk_add risk_add;
        kh_op_risk_remove risk_remove;
        kh_op_risk_ask risk_ask;
        kh_op_block block;
        kh_op_refused refused;
        kh_op_bundle bundle;
        kh_op_expelled expelled;
    };
} kh_op;
typedef struct kh_op_scratch {
    kh_op_line lines[KH_LINES_MAX];
} kh_op_scratch;

/* kh_op_encode writes the frame into buf; KH_E_FULL if cap is too small (nothing usable written), KH_E_ARG if a field is out of
 * range. */
KH_MUST kh_err kh_op_encode(const kh_op *op, uint8_t *buf, size_t cap, size_t *ret_n);
/* kh_op_decode reads one frame at p (n bytes available). KH_E_FORMAT otherwise. *ret_n: bytes of the frame. If even the
   frame's size is unusable, *ret_n is 0: the rest of the batch cannot be told apart. */
KH_MUST kh_err kh_op_decode(const uint8_t *p, size_t n, kh_op_scratch *scratch, kh_op *ret, size_t *ret_n);
/* kh_op_peek_keys gives the document keys an operation will touch, for look-ahead, at most max; wrong is harmless. */
uint32_t kh_op_peek_keys(const uint8_t *p, size_t n, kh_key *ret_keys, uint32_t max);
/* kh_op_peek_asked: how many documents a frame of n bytes asks about: the lines of an application, 0 of anything else. */
uint32_t kh_op_peek_asked(const uint8_t *p, size_t n);

/* ---- outcomes ---- */
typedef enum kh_effect {
    KH_EFFECT_NONE = 0,
    KH_EFFECT_STORED = 1,
    KH_EFFECT_UNCHANGED = 2,
    KH_EFFECT_AMENDED = 3,
    KH_EFFECT_REVOKED = 4,
    KH_EFFECT_STATUS = 5,
    KH_EFFECT_WAITING = 6 /* a message kept for another try */
} kh_effect;

/* One line of a financing, or of a document's change, in a receipt or notice; of RISK_ASK: key the subject, amount the categories
   that it is listed under, as bits 1 << kh_risk. */
typedef struct kh_receipt_line {
    kh_key key;
    kh_currency currency; /* the document's balance */
    kh_code code;
    uint32_t flags;     /* 0 */
    uint64_t amount;    /* what the line still holds or uses, in the document's currency */
    uint64_t allocated; /* granted, then disbursed, in the financing's currency */
} kh_receipt_line;

typedef struct kh_receipt {
    uint8_t type;   /* kh_op_type; 0 for bytes that did not decode */
    uint8_t effect; /* kh_effect, for documents, grants and risk entries */
    kh_code code;
    kh_code warning; /* CHECK_DIGIT, SIMILAR, RED_PART or 0; where code is OK */
    uint8_t
        state; /* kh_fin_state after, for financings; kh_status after, for documents; kh_grant_state, for grants; KH_BLOCK_* */
    uint8_t event; /* kh_event for EVENT; KH_EV_APPLY for APPLY; kh_doc_action for DOCUMENT; scope for GRANT, CREDIT_LOOKUP */
    uint8_t reason, source; /* as the event said */
    uint32_t party;
    uint64_t sequence;
    uint64_t ref_height; /* not 0: this was answered before, at {height, index}; nothing below is set */
    uint32_t ref_index;
    uint32_t version;   /* of the financing or document after; RISK_*: entries that the bank has in the list; BLOCK: its part */
    uint64_t financing; /* the bank's id; the grant's, for GRANT, GRANT_REVOKE and CREDIT_LOOKUP */
    uint64_t amount;    /* of the financing after; of the event for history in `moved`; RISK_*: subjects asked about so far;
                           BLOCK: the height; BUNDLE: the party's highest number after */
    uint64_t moved;     /* the event's amount, in the financing's currency; RISK_*: subjects that may be asked about in all */
    kh_currency currency;
    uint16_t mismatch; /* KH_FIELD_* */
    uint32_t enterprise;
    kh_key key;        /* DOCUMENT: the document meant */
    uint32_t line_cnt; /* APPLY, EVENT: the lines; DOCUMENT: a line a balance, amount = new base, allocated = old base
                          (KH_AMOUNT_NONE: new) */
    const kh_receipt_line *lines;
} kh_receipt;

typedef enum kh_notice_type {
    KH_NOTICE_LAPSED = 1,
    KH_NOTICE_LINE_CANCELLED = 2,
    KH_NOTICE_OVER_LIMIT = 3,
    KH_NOTICE_REVOKED = 4,
    KH_NOTICE_FROZEN_DOCUMENT = 5,
    KH_NOTICE_SIMILAR = 6,
    KH_NOTICE_LINKED = 7 /* history only, no alert */,
    KH_NOTICE_WITHIN_LIMIT = 8 /* the flag fell; history only */,
    KH_NOTICE_MESSAGE_APPLIED = 9 /* a message that waited took effect; history only */,
    KH_NOTICE_LOOKUP = 10 /* a bank looked at an enterprise under its grant; in the enterprise's chain alone */,
    KH_NOTICE_TYPE_CNT = 11
} kh_notice_type;
const char *kh_notice_word(kh_notice_type type); /* "OVER_LIMIT" */
typedef struct kh_notice {
    uint8_t type;
    uint8_t state;        /* of the financing after; LOOKUP: the scope */
    kh_currency currency; /* of the document's balance */
    uint32_t party;       /* the party addressed; the regulator sees all; 0 = the regulator alone */
    uint64_t financing;   /* 0 with has_financing 0; LOOKUP: the grant */
    uint8_t has_financing;
    uint8_t has_key;
    uint32_t version; /* of the financing after; LOOKUP: the bank that looked */
    uint64_t amount;  /* of the financing after */
    uint64_t moved;   /* what the document's balance lost or the line's amount in the document */
    kh_key key;
} kh_notice;

#define KH_RECEIPT_MAX_SZ (128u + KH_LINES_MAX * 48u)
#define KH_NOTICE_SZ 64u
/* Encoders write canonical little-endian bytes (these are what digests cover); decoders check everything. Sizes are multiples
 * of 8. */
size_t kh_receipt_encode(const kh_receipt *receipt, uint8_t buf[KH_RECEIPT_MAX_SZ]);
KH_MUST kh_err kh_receipt_decode(const uint8_t *p, size_t n, kh_receipt_line lines[KH_LINES_MAX], kh_receipt *ret, size_t *ret_n);
/* kh_receipt_first_key: of the first line of a receipt that was encoded by us; false: it has none. */
bool kh_receipt_first_key(const uint8_t *p, size_t n, kh_key *ret);
size_t kh_notice_encode(const kh_notice *notice, uint8_t buf[KH_NOTICE_SZ]);
KH_MUST kh_err kh_notice_decode(const uint8_t *p, size_t n, kh_notice *ret, size_t *ret_n);
#endif
