/* rpc: what a receipt takes from CometBFT's RPC answers (JSON as its HTTP gives it, with or without the envelope "result"):
 * a header with just enough of its commit, a block's transactions, a validator set. Nothing in them is believed: hashes and
 * signatures are checked. Errors  KH_E_FORMAT: not such an answer, or it does not hold together; KH_E_NOMEM. */
#ifndef KH_PROOF_RPC_H
#define KH_PROOF_RPC_H
#include "proof/comet.h"

/* kh_proof_rpc_commit: of /commit?height=H. ret_commit gets the first signatures by `set`, by ascending index, that are good and
   together pass two thirds; KH_E_NOT_FOUND where there are fewer. */
KH_MUST kh_err kh_proof_rpc_commit(const char *json, size_t n, const char *chain_id, const kh_comet_set *set,
                                   kh_comet_header *ret_header, kh_comet_commit *ret_commit);
/* kh_proof_rpc_block: of /block?height=H: calls f with each transaction in order, while it returns true. */
KH_MUST kh_err kh_proof_rpc_block(const char *json, size_t n,
                                  bool (*f)(void *ctx, uint32_t index, const uint8_t *tx, size_t tx_n), void *ctx);
/* kh_proof_rpc_validators: of one page of /validators?height=H: adds its keys to *set (cnt 0 before the first page). Behind the
   last page the caller sorts them (kh_comet_set_sort). KH_E_FORMAT too where a power is not KH_COMET_POWER; KH_E_FULL. */
KH_MUST kh_err kh_proof_rpc_validators(const char *json, size_t n, kh_comet_set *set);
#endif
