/* submit: raw operation frames (wire.h) of one party into the store, from HTTPS bodies and datagrams. */
#ifndef KH_SERVICE_SUBMIT_H
#define KH_SERVICE_SUBMIT_H
#include "service/service.h"

/* kh_submit_check looks at the frames without submitting: KH_C_OK; FORMAT where they are not whole frames of known types, or
   none; NOT_AUTHORISED where one is of another party, of a type the role may not, or a source's document in another's name.
   *ret_op_cnt: how many. A frame whose body is junk passes: its receipt says FORMAT. */
kh_code kh_submit_check(const kh_principal *who, const uint8_t *frames, size_t n, uint32_t *ret_op_cnt);
/* kh_submit_frames checks, takes from the operation limit, and submits. Returns KH_OK with *ret_code OK: reply will be called as
   kh_store_batch says; KH_OK with another *ret_code: refused, nothing was submitted (also RATE_LIMITED); an error: the store's.
   op_cnt is what the caller says there are: FORMAT where it differs. May block for back-pressure: never on a polling thread. */
KH_MUST kh_err kh_submit_frames(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_cnt,
                                kh_store_reply reply, void *ctx, kh_code *ret_code);
#endif
