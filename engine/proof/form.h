/* form: a receipt's parts and its one canonical text (docs/PROOFS.md, "The text"). One description reads and writes it, so that
 * what is read is what would be written.
 *
 * Memory  kh_proof_parts is large: have it on the heap; `changes` is malloc'ed. */
#ifndef KH_PROOF_FORM_H
#define KH_PROOF_FORM_H
#include "proof/comet.h"

#define KH_PROOF_PATH_MAX 32u
#define KH_PROOF_BYTES_MAX 131072u
#define KH_PROOF_ATTESTATIONS_MAX 256u
#define KH_PROOF_CHANGES_MAX 64u
#define KH_PROOF_ATTESTATION_SZ 220u

typedef struct kh_proof_path { /* neighbours from the leaf up */
    uint32_t n;
    bool left[KH_PROOF_PATH_MAX]; /* stands left of what is proven */
    uint8_t node[KH_PROOF_PATH_MAX][32];
} kh_proof_path;
typedef struct kh_proof_bytes {
    uint32_t n;
    uint8_t p[KH_PROOF_BYTES_MAX];
} kh_proof_bytes;
typedef struct kh_proof_change { /* a header that announces the set from the next height on */
    kh_comet_header header;
    kh_comet_commit commit;
    kh_comet_set next;
} kh_proof_change;
typedef struct kh_proof_parts {
    char chain_id[KH_COMET_CHAIN_ID_MAX + 1];
    uint64_t height;
    kh_comet_header header;
    kh_comet_commit commit;
    uint8_t previous[32], public_root[32];
    kh_proof_path entry_path, hubs_path, bank_path, output_path;
    kh_proof_bytes transaction, hubs, payload;
    uint32_t attestation_cnt;
    uint8_t attestations[KH_PROOF_ATTESTATIONS_MAX][KH_PROOF_ATTESTATION_SZ];
    uint32_t bank, op_index;
    uint8_t salt[16], op_digest[32];
    uint32_t change_cnt;
    kh_proof_change *changes;
} kh_proof_parts;

/* kh_proof_read: KH_E_FORMAT with the byte in *ret_at; KH_E_NOMEM. ret->changes is to be freed either way. */
KH_MUST kh_err kh_proof_read(const char *text, size_t n, kh_proof_parts *ret, size_t *ret_at);
/* kh_proof_write gives the text, malloc'ed, no NUL behind it. Parts in their ranges; counts at least 1 where the form wants it:
   else KH_E_ARG. */
KH_MUST kh_err kh_proof_write(kh_proof_parts *parts, char **ret, size_t *ret_n);
#endif
