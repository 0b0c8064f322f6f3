/* consent: what an enterprise may let a bank look at (授权范围), as bits, and the words for them. */
#ifndef KH_DOC_CONSENT_H
#define KH_DOC_CONSENT_H
#include "base/base.h"

enum {
    KH_SCOPE_DOCUMENTS = 1, /* its documents: number, status, balances */
    KH_SCOPE_CREDIT = 2,    /* its credit record: sums over all banks, none of them named */
    KH_SCOPE_ALL = 3
};
#define KH_SCOPE_WORDS_MAX 32 /* bytes of all words with a separator between */

/* kh_scope_of_words reads words separated by commas or blanks ("documents,credit"; 单证, 信用 are understood); false on another
   word, or none. */
KH_MUST bool kh_scope_of_words(kh_text words, uint8_t *ret);
/* kh_scope_words writes the words of a set with blanks between, NUL-terminated. */
void kh_scope_words(uint8_t scope, char ret[KH_SCOPE_WORDS_MAX]);

/* kh_grant_period: from the beginning of the one date to the end of the other, ns since 1970; from NULL: always. NULL, or the
   sentence that says what is wrong. */
const char *kh_grant_period(kh_text from, kh_text until, uint64_t *ret_from_ns, uint64_t *ret_until_ns);

typedef enum kh_grant_state { KH_GRANT_NONE = 0, KH_GRANT_OPEN = 1, KH_GRANT_REVOKED = 2 } kh_grant_state;
#endif
