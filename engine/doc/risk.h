/* risk: what banks tell each other of whom to beware (风险名单): the categories, and the digest that a subject is known by.
 *
 * A subject is a text (a USCC or foreign id, an account number) as letters and digits, upper case; the list holds the first 16
 * bytes of SHA-256 over (tag, text) alone, so that it cannot be read off. Who can guess a text can still ask for it: that is what
 * the metering of questions is for. Pure; no allocation. */
#ifndef KH_DOC_RISK_H
#define KH_DOC_RISK_H
#include "doc/code.h"

#define KH_RISK_SUBJECT_MAX 64 /* bytes of a canonical subject */

typedef enum kh_risk { /* append only: on the wire and in the log */
                       KH_RISK_NONE = 0,
                       KH_RISK_FRAUD = 1,
                       KH_RISK_HIGH_RISK_ACCOUNT = 2,
                       KH_RISK_FORGED_DOCUMENT = 3,
                       KH_RISK_DEFAULT = 4,
                       KH_RISK_OTHER = 5,
                       KH_RISK_CNT = 6
} kh_risk;
const char *kh_risk_word(kh_risk risk);                   /* "high_risk_account"; NULL for none */
KH_MUST bool kh_risk_of_word(kh_text word, kh_risk *ret); /* 欺诈, 高风险账户, 伪造单证, 违约, 其他 too */

/* kh_risk_canonical keeps letters and digits (full-width folded), upper case; separators go. FORMAT where nothing is left, where
   it is longer than KH_RISK_SUBJECT_MAX, or holds letters beyond ASCII. buf: KH_RISK_SUBJECT_MAX + 1 bytes. */
kh_code kh_risk_canonical(kh_text subject, char *buf, uint32_t *ret_n);
/* kh_risk_subject: the digest of a canonical subject (docs/FORMAT.md). */
kh_key kh_risk_subject(kh_text canonical);
#endif
