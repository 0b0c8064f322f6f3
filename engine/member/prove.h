/* prove: makes a receipt that proves (docs/PROOFS.md) of what a bank's own node holds: its view's package, the kept order, the
 * attestations, and three answers of its own CometBFT. Nobody but the financing's bank has the package. Threads  any. */
#ifndef KH_MEMBER_PROVE_H
#define KH_MEMBER_PROVE_H
#include "kept/kept.h"
#include "proof/comet.h"

typedef struct kh_prove_change {
    const char *commit; /* /commit?height=H of a header that announces another set (next_validators_hash) */
    size_t commit_n;
    const kh_comet_set *next; /* /validators?height=H+1 (proof/rpc.h), sorted */
} kh_prove_change;
typedef struct kh_prove_options {
    const char *genesis; /* genesis.json */
    size_t genesis_n;
    const uint8_t *package; /* kh_view_proof */
    size_t package_n;
    uint32_t item;
    const kh_kept_block *block;         /* kh_kept_at of the package's height */
    const kh_attestation *attestations; /* kh_node_attestations of it, ascending by hub */
    uint32_t attestation_cnt;
    const char *block_json; /* /block?height= of it */
    size_t block_n;
    const char *commit; /* /commit?height= of the next */
    size_t commit_n;
    const kh_prove_change *changes; /* since genesis, ascending heights, all of them below the commit's */
    uint32_t change_cnt;
} kh_prove_options;
/* kh_prove gives the text, malloc'ed, which kh_proof_check has found proven. KH_E_FORMAT, KH_E_NOT_FOUND with a sentence in
   `why`: what was given does not make a receipt (another height, no quorum, pruned blocks, ...); KH_E_NOMEM. */
KH_MUST kh_err kh_prove_make(const kh_prove_options *options, char *why, size_t cap, char **ret, size_t *ret_n);
#endif
