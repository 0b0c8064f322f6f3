/* kind: document kinds, their statuses and the tables of which status may follow which; roles; life-cycle words. */
#ifndef KH_DOC_KIND_H
#define KH_DOC_KIND_H
#include "doc/code.h"

typedef enum kh_kind {
    KH_KIND_ANY = 0, /* in messages: any declaration */
    KH_KIND_EXPORT_DECLARATION = 1,
    KH_KIND_IMPORT_DECLARATION = 2,
    KH_KIND_INVOICE = 3,
    KH_KIND_CREDIT_NOTE = 4,
    KH_KIND_ORDER = 5,
    KH_KIND_RECEIVABLE = 6,
    KH_KIND_BILL_OF_LADING = 7,
    KH_KIND_WAREHOUSE_RECEIPT = 8,
    KH_KIND_TAX_FILING = 9,
    KH_KIND_CAPITAL_VOUCHER = 10,
    KH_KIND_CNT = 11
} kh_kind;
const char *kh_kind_word(kh_kind kind); /* "export_declaration"; "any" for 0 */
KH_MUST bool kh_kind_of_word(kh_text word,
                             kh_kind *ret); /* exact word; also Chinese: 出口报关单, 进口报关单, 发票, 提单, 仓单, … */
static inline bool kh_kind_is_declaration(kh_kind k)
{
    return k == KH_KIND_EXPORT_DECLARATION || k == KH_KIND_IMPORT_DECLARATION;
}

typedef enum kh_status {
    KH_STATUS_NONE = 0, /* missing: changes none */
    KH_STATUS_LODGED = 1,
    KH_STATUS_ACCEPTED = 2,
    KH_STATUS_RELEASED = 3,
    KH_STATUS_CLEARED = 4,
    KH_STATUS_EXITED = 5,
    KH_STATUS_REVOKED = 6,
    KH_STATUS_REJECTED = 7,
    KH_STATUS_NORMAL = 8,
    KH_STATUS_VOID = 9,
    KH_STATUS_RED_PENDING = 10,
    KH_STATUS_RED_PART = 11,
    KH_STATUS_RED_FULL = 12,
    KH_STATUS_ABNORMAL = 13,
    KH_STATUS_LOST_CONTROL = 14,
    KH_STATUS_CNT = 15
} kh_status;
const char *kh_status_word(kh_status status);
KH_MUST bool kh_status_of_word(kh_kind kind, kh_text word, kh_status *ret); /* only those the kind may have; Chinese words too */
/* kh_status_initial: what a document without a status has: declarations from CSV cleared (the reader says so), invoices normal.
 */
kh_status kh_status_initial(kh_kind kind);
/* kh_status_may_follow: the table of moves (equal is allowed). */
bool kh_status_may_follow(kh_kind kind, kh_status from, kh_status to);
/* kh_status_code: KH_C_OK if usable, KH_C_RED_PART (warning), else NOT_READY, REVOKED, VOID, RED_FULL, ABNORMAL, LOST_CONTROL. */
kh_code kh_status_code(kh_status status);
/* kh_status_usable: kh_status_code is KH_C_OK. */
static inline bool kh_status_usable(kh_status status)
{
    const uint32_t usable = 1u << KH_STATUS_RELEASED | 1u << KH_STATUS_CLEARED | 1u << KH_STATUS_EXITED | 1u << KH_STATUS_NORMAL;
    return (usable >> ((uint32_t)status & 31) & 1) != 0;
}

typedef enum kh_role { KH_ROLE_REGULATOR = 1, KH_ROLE_BANK = 2, KH_ROLE_ENTERPRISE = 3, KH_ROLE_SOURCE = 4 } kh_role;
const char *kh_role_word(kh_role role);
KH_MUST bool kh_role_of_word(kh_text word, kh_role *ret);

typedef enum kh_fin_state {
    KH_FIN_NONE = 0,
    KH_FIN_APPLIED = 1,
    KH_FIN_ACCEPTED = 2,
    KH_FIN_APPROVED = 3,
    KH_FIN_DISBURSED = 4,
    KH_FIN_PART_REPAID = 5,
    KH_FIN_SETTLED = 6,
    KH_FIN_REJECTED = 7,
    KH_FIN_WITHDRAWN = 8,
    KH_FIN_LAPSED = 9,
    KH_FIN_REVERSED = 10,
    KH_FIN_OVERDUE = 11,
    KH_FIN_WRITTEN_OFF = 12,
    KH_FIN_STATE_CNT = 13
} kh_fin_state;
const char *kh_fin_state_word(kh_fin_state state); /* "APPLIED" */
const char *kh_fin_state_zh(kh_fin_state state);   /* 申请 … */
KH_MUST bool kh_fin_state_of_word(kh_text word, kh_fin_state *ret);

typedef enum kh_event {
    KH_EV_NONE = 0,
    KH_EV_ACCEPT = 1,
    KH_EV_APPROVE = 2,
    KH_EV_REJECT = 3,
    KH_EV_WITHDRAW = 4,
    KH_EV_DISBURSE = 5,
    KH_EV_REPAY = 6,
    KH_EV_REVERSE = 7,
    KH_EV_LAPSE = 8,
    KH_EV_APPLY = 9,
    KH_EV_CANCEL_LINE = 10,
    KH_EV_CNT = 11
} kh_event;
const char *kh_event_word(kh_event event); /* "accept" */
KH_MUST bool kh_event_of_word(kh_text word, kh_event *ret);

typedef enum kh_repay_source { KH_SRC_UNKNOWN = 0, KH_SRC_COLLECTION = 1, KH_SRC_OWN_FUNDS = 2 } kh_repay_source;
const char *kh_repay_source_word(kh_repay_source source); /* "collection", "own-funds", "unknown" */
KH_MUST bool kh_repay_source_of_word(kh_text word,
                                     kh_repay_source *ret); /* own-funds, own_funds, OWN_FUNDS, refinancing = own funds */

typedef enum kh_reason {
    KH_REASON_NONE = 0,
    KH_REASON_CUSTOMER_REQUEST = 1,
    KH_REASON_DOCUMENTS_INCOMPLETE = 2,
    KH_REASON_CREDIT_DECLINED = 3,
    KH_REASON_DUPLICATE = 4,
    KH_REASON_FRAUD_SUSPECTED = 5,
    KH_REASON_LAPSED = 6,
    KH_REASON_OTHER = 7,
    KH_REASON_CNT = 8
} kh_reason;
const char *kh_reason_word(kh_reason reason);
KH_MUST bool kh_reason_of_word(kh_text word, kh_reason *ret);

/* Fields that a FIELD_MISMATCH names, as bits. */
enum {
    KH_FIELD_CURRENCY = 1,
    KH_FIELD_AMOUNT = 2,
    KH_FIELD_DATE = 4,
    KH_FIELD_CONTRACT_NO = 8,
    KH_FIELD_TOTAL = 16,
    KH_FIELD_OWNER = 32,
    KH_FIELD_DIRECTION = 64,
    KH_FIELD_TYPE = 128
};
const char *kh_field_word(uint32_t bit); /* "currency" */
#endif
