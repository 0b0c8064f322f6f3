/* fold: UTF-8 in, one code point at a time, with the compatibility forms that trade papers bear folded as NFKC does (full-width
 * and half-width Latin, ideographic blank, ligatures, superscripts, circled digits, letter-like signs) and simple case folding
 * for Latin, Greek and Cyrillic. Limits: no canonical composition beyond Latin letters with one mark; other scripts pass
 * unchanged (docs/ARCHITECTURE.md, "What is judged and who sees it"). Pure. */
#ifndef KH_DOC_FOLD_H
#define KH_DOC_FOLD_H
#include "base/base.h"

#define KH_FOLD_MAX 4 /* code points that one may fold to */

/* kh_fold_next reads the code point at *at and advances; ret holds cnt folded ones. false on bytes that are not UTF-8. */
bool kh_fold_next(kh_text text, uint32_t *at, uint32_t ret[KH_FOLD_MAX], uint32_t *ret_cnt);
/* kh_fold_put appends a code point to buf as UTF-8; false, and nothing written, beyond max bytes. */
bool kh_fold_put(uint32_t c, char *buf, uint32_t max, uint32_t *n);
uint32_t kh_fold_case(uint32_t c, uint32_t ret[KH_FOLD_MAX]);
bool kh_fold_is_blank(uint32_t c);
/* kh_fold_is_unseen: marks of direction, joiners, soft hyphens, variation selectors and tags, which come along when a number is
   copied out of a document or a window, and would make another number that looks the same. */
bool kh_fold_is_unseen(uint32_t c);
bool kh_fold_is_letter(uint32_t c); /* beyond ASCII: not punctuation, a symbol or a blank */
/* kh_utf8_valid: well-formed (no overlong forms, no surrogates). */
bool kh_utf8_valid(kh_text text);
/* kh_utf8_whole takes what is no UTF-8 out of a string: what a precision (%.40s) leaves of a user's word, and bytes of other
 * sets. */
void kh_utf8_whole(char *text);
#endif
