/* code: the answers of the domain. On the wire and in the log: append only, never renumbered. */
#ifndef KH_DOC_CODE_H
#define KH_DOC_CODE_H
#include "base/base.h"

typedef uint16_t kh_code;
enum {
    KH_C_OK = 0,
    KH_C_FORMAT = 10,
    KH_C_CHECK_DIGIT = 11,
    KH_C_NOT_FOUND = 20,
    KH_C_OWNER_MISMATCH = 21,
    KH_C_DIRECTION = 22,
    KH_C_FIELD_MISMATCH = 23,
    KH_C_CONFLICT = 24,
    KH_C_NOT_READY = 30,
    KH_C_REVOKED = 31,
    KH_C_AMENDED_SINCE = 32,
    KH_C_VOID = 33,
    KH_C_RED_FULL = 34,
    KH_C_RED_PART = 35,
    KH_C_ABNORMAL = 36,
    KH_C_LOST_CONTROL = 37,
    KH_C_INSUFFICIENT = 40,
    KH_C_EXHAUSTED = 41,
    KH_C_TOO_OLD = 42,
    KH_C_CURRENCY = 43,
    KH_C_DUP_OWN = 50,
    KH_C_DUP_HELD_OTHER = 51,
    KH_C_DUP_FINANCED_OTHER = 52,
    KH_C_SIMILAR = 53,
    KH_C_NO_CONSENT = 60,
    KH_C_CONSENT_EXPIRED = 61,
    KH_C_NOT_AUTHORISED = 70,
    KH_C_FROZEN = 71,
    KH_C_RATE_LIMITED = 72,
    KH_C_BAD_STATE = 73,
    KH_C_BAD_SEQUENCE = 74,
    KH_C_EXPIRED = 75,
    KH_C_CAPACITY = 76,
    KH_C_UNOPENABLE = 77,
    KH_C_BODY_LOST = 78,
    KH_C_NOT_CHECKED = 90
};
/* kh_code_name gives the word ("DUP_OWN"), "UNKNOWN" for a number that is none. kh_code_term_zh the Chinese term. */
const char *kh_code_name(kh_code code);
const char *kh_code_term_zh(kh_code code);
/* kh_code_is_warning: CHECK_DIGIT, SIMILAR, RED_PART: OK for the exit status and no bar to an application. */
bool kh_code_is_warning(kh_code code);
#endif
