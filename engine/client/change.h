/* change: an officers' change of a cluster as a text: {"chain","suite","number","kind","body","signatures"}; numbers as they are,
 * the rest in lower-case hex. The signatures are over docs/CLUSTER.md's statement, not over this text. */
#ifndef KH_CLIENT_CHANGE_H
#define KH_CLIENT_CHANGE_H
#include "client/connection.h"
#include "order/tx.h"

#define KH_CHANGE_BODY_SZ 4096u
/* change_body.c: the body of a kind, from named fields. NULL, or the sentence that says what is wrong. */
const char *kh_change_body(const char *kind, const kh_client_param fields[], uint32_t field_cnt, uint32_t *ret_kind,
                           uint8_t ret[KH_CHANGE_BODY_SZ], uint32_t *ret_n);
/* kh_change_text_encode: the transaction of a change as a text; 0: it is none, or nobody has signed it. */
size_t kh_change_text_encode(const char *json, uint8_t *ret, size_t cap);
#endif
