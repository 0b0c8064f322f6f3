/* proof: is a receipt proven? From the receipt's text and the cluster's genesis.json alone, step by step as docs/PROOFS.md says.
 *
 * It shares nothing with the code that orders, executes and attests: crypto, and jansson for genesis.json.
 * Pure in effect; allocates. Threads  any. Errors  KH_E_NOMEM alone; whatever the bytes are, there is a verdict.
 * Cost  a few milliseconds: some ten signatures. */
#ifndef KH_PROOF_PROOF_H
#define KH_PROOF_PROOF_H
#include "base/base.h"

#define KH_PROOF_MAX_SZ (8u << 20)          /* of a receipt's text */
#define KH_PROOF_GENESIS_MAX_SZ (16u << 20) /* of genesis.json */

typedef enum kh_proof_step { /* what failed; PROVEN: nothing */
                             KH_PROOF_PROVEN = 0,
                             KH_PROOF_GENESIS,
                             KH_PROOF_FORM,
                             KH_PROOF_CHAIN,
                             KH_PROOF_ENTRY,
                             KH_PROOF_APP_HASH,
                             KH_PROOF_HUBS,
                             KH_PROOF_ATTESTATIONS,
                             KH_PROOF_OUTPUT,
                             KH_PROOF_PAYLOAD,
                             KH_PROOF_VALIDATORS,
                             KH_PROOF_COMMIT,
                             KH_PROOF_HUB_SIGNATURES,
                             KH_PROOF_STEP_CNT
} kh_proof_step;
const char *kh_proof_step_word(kh_proof_step step); /* "proven", "genesis", "form", ... */

typedef struct kh_proof_result {
    kh_proof_step step;
    char why[160];     /* a sentence; "" where proven */
    uint8_t chain[32]; /* digest of genesis, where that was sound */
    /* where proven: */
    uint32_t bank;
    uint16_t code;         /* the outcome; 0 is OK */
    const char *operation; /* "apply", "approve", ... */
    uint64_t financing, height;
} kh_proof_result;
KH_MUST kh_err kh_proof_check(const char *receipt, size_t receipt_n, const char *genesis, size_t genesis_n, kh_proof_result *ret);
#endif
