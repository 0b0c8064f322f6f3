/* comet: what CometBFT hashes and signs: a header's hash, a validator set's hash, the bytes under a precommit's signature
 * (docs/PROOFS.md, steps "validators" and "commit"). Pure, no allocation. Source: CometBFT v0.40.0, types/block.go,
 * types/validator.go, types/canonical.go and their protobuf. */
#ifndef KH_PROOF_COMET_H
#define KH_PROOF_COMET_H
#include "base/base.h"

#define KH_COMET_CHAIN_ID_MAX 50u
#define KH_COMET_VALIDATORS_MAX 256u
/* KH_COMET_POWER: what each validator's vote weighs. Not 1: CometBFT divides the whole by 3, rounds down, and has a node whose
   power is not below that leave its block sync early, as if there were no blocks without it. Of 3 each a third of n validators is
   n. */
#define KH_COMET_POWER 3

typedef struct kh_comet_block_id {
    uint8_t hash[32], part_hash[32];
    uint32_t total;
} kh_comet_block_id;
typedef struct kh_comet_header { /* all but the chain id, which is the chain's */
    uint64_t version_block, version_app, height, time_s;
    uint32_t time_ns;
    kh_comet_block_id last_block_id;
    uint8_t last_commit_hash[32], data_hash[32], validators_hash[32], next_validators_hash[32], consensus_hash[32], app_hash[32],
        last_results_hash[32], evidence_hash[32], proposer[20];
} kh_comet_header;
typedef struct kh_comet_signature {
    uint32_t index, time_ns;
    uint64_t time_s;
    uint8_t signature[64];
} kh_comet_signature;
typedef struct kh_comet_commit {
    uint32_t round, signature_cnt;
    kh_comet_block_id block_id;
    kh_comet_signature signatures[KH_COMET_VALIDATORS_MAX]; /* ascending indexes */
} kh_comet_commit;
typedef struct kh_comet_set { /* validators, KH_COMET_POWER each, ascending addresses */
    uint32_t cnt;
    uint8_t keys[KH_COMET_VALIDATORS_MAX][32];
} kh_comet_set;

void kh_comet_header_hash(const kh_comet_header *header, const char *chain_id, uint8_t ret[32]);
/* kh_comet_set_sort puts keys in the order of their addresses; false: two are the same. */
KH_MUST bool kh_comet_set_sort(kh_comet_set *set);
KH_MUST bool kh_comet_set_sorted(const kh_comet_set *set); /* strictly ascending addresses */
void kh_comet_set_hash(const kh_comet_set *set, uint8_t ret[32]);
/* kh_comet_quorum: the least number of n validators of one power that is more than two thirds. */
uint32_t kh_comet_quorum(uint32_t n);
/* kh_comet_sign_bytes: what the signature's validator signed for block_id at height and round; returns the size. */
#define KH_COMET_SIGN_BYTES_MAX 200u
size_t kh_comet_sign_bytes(const char *chain_id, uint64_t height, const kh_comet_commit *commit,
                           const kh_comet_signature *signature, uint8_t ret[KH_COMET_SIGN_BYTES_MAX]);
#endif
