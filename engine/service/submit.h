/* submit: raw operation frames (wire.h) of one party into the store, from HTTPS bodies and datagrams; and bundles that the party
 * signed itself, which a cluster's hub passes on whole. */
#ifndef KH_SERVICE_SUBMIT_H
#define KH_SERVICE_SUBMIT_H
#include "service/service.h"

/* kh_submit_check looks at the frames without submitting: KH_C_OK; FORMAT where they are not whole frames of known types, or
   none; NOT_AUTHORISED where one is of another party, of a type the role may not, a source's document in another's name, or
   freezes its sender, who could not lift that again.
   *ret_op_cnt: how many. A frame whose body is junk passes: its receipt says FORMAT. */
kh_code kh_submit_check(const kh_principal *who, const uint8_t *frames, size_t n, uint32_t *ret_op_cnt);
/* kh_submit_admit checks, takes from the operation limit, and from the probe limit a token for each document applied for. KH_OK
   with *ret_code OK: how many operations there are, and the tokens that kh_submit_answered is told of in the end. KH_OK with
   another *ret_code: refused, nothing was taken (also RATE_LIMITED; FORMAT where there are fewer than op_least or more than
   op_most). KH_E_BUSY with RATE_LIMITED: the probe tokens that it wants are not there, which the party's own operations under way
   may be about to give back. */
KH_MUST kh_err kh_submit_admit(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_least,
                               uint32_t op_most, uint32_t *ret_op_cnt, uint32_t *ret_tokens, kh_code *ret_code);
/* kh_submit_frames admits op_cnt operations and submits them, waiting for nothing. KH_OK with *ret_code OK: reply will be called
   as kh_store_batch says; else nothing was submitted: as kh_submit_admit, or the store's error, KH_E_AGAIN where its queue is
   full. *ret_tokens is written before the first reply. */
KH_MUST kh_err kh_submit_frames(kh_service *service, const kh_principal *who, const uint8_t *frames, size_t n, uint32_t op_cnt,
                                kh_store_reply reply, void *ctx, uint32_t *ret_tokens, kh_code *ret_code);
/* kh_submit_check_bundle: the same of a bundle that the party signed (a SIGNED section, whole and nothing behind it): grants and
   removals from the risk list are taken there too. A bank signs none: its node does. The signature, chain and number are
   execution's to judge. */
kh_code kh_submit_check_bundle(const kh_principal *who, const uint8_t *section, size_t n, uint32_t *ret_op_cnt);
/* kh_submit_bundle submits what was checked, of op_cnt operations; never waits. KH_OK with *ret_code RATE_LIMITED: nothing was
   submitted. KH_E_AGAIN: full. KH_E_ARG: this store is no hub's of a cluster, or the bundle is too long. */
KH_MUST kh_err kh_submit_bundle(kh_service *service, const kh_principal *who, const uint8_t *section, size_t n, uint32_t op_cnt,
                                kh_store_reply reply, void *ctx, kh_code *ret_code);
/* kh_submit_answered, once all is answered: gives back the tokens of what was no probe (limits.h: kh_limit_probes). */
void kh_submit_answered(kh_service *service, const kh_principal *who, uint32_t tokens, uint32_t probes);
#endif
