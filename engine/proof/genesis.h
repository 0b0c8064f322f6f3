/* genesis: what a proof needs of genesis.json: the chain's digest, and who validated first (docs/PROOFS.md, step "genesis"). */
#ifndef KH_PROOF_GENESIS_H
#define KH_PROOF_GENESIS_H
#include "crypto/suite.h"
#include "proof/comet.h"

typedef struct kh_proof_genesis {
    kh_suite suite;
    char chain_id[KH_COMET_CHAIN_ID_MAX + 1];
    uint64_t initial_height;
    uint8_t chain[32];
    kh_comet_set validators;
} kh_proof_genesis;
/* kh_proof_genesis_read: KH_E_FORMAT with a sentence in `why` (cap bytes), KH_E_NOMEM. */
KH_MUST kh_err kh_proof_genesis_read(const char *json, size_t n, char *why, size_t cap, kh_proof_genesis *ret);
#endif
