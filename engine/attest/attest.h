/* attest: outputs and what hubs sign of them: payloads, leaves, chains, the two-level tree, and the package that a bank gets
 * (docs/CLUSTER.md, byte by byte). Pure; used by hubs to make, by banks and in proofs to check.
 *
 * An output is a receipt of an operation or a notice, of one party; or, in the package that a bank's view begins with where a
 * directory moved up (height 0, the checkpoint digest for the chain), a financing as it stood then. A party's outputs are
 * numbered from 1 without gaps and chained: head' = SHA-256("kanhe/output\0" || head || SHA-256(payload)). At a height each bank
 * has a subtree: leaf 0 its hidden head {salt, party, count, head}, then a leaf an output, then salted filling up to a power of
 * two; the outputs root is the tree over {party, subtree root} of all banks that are members, ascending, filled up to a power of
 * two by {0, zeros}: so that no other number of leaves leads to its root. All trees are crypto/merkle.h's. */
#ifndef KH_ATTEST_ATTEST_H
#define KH_ATTEST_ATTEST_H
#include "crypto/merkle.h"
#include "crypto/suite.h"
#include "doc/number.h"
#include "wire/wire.h"

#define KH_SALT_SZ 16u
#define KH_PAYLOAD_PAPER_SZ (4u + KH_NUMBER_MAX + KH_ISSUER_MAX)
#define KH_PAYLOAD_MAX_SZ (KH_RECEIPT_MAX_SZ + 80u + KH_LINES_MAX * KH_PAYLOAD_PAPER_SZ)
#define KH_OUTPUTS_MAX (1u << 24) /* of a party at one height */

/* ---- salts and posted digests: hubs alone know the secret ---- */
/* kh_attest_secret: what hubs share in an epoch: HMAC-SHA-256(group secret, "kanhe/hubs\0"). */
void kh_attest_secret(const uint8_t group_secret[KH_SECRET_SZ], uint8_t ret[32]);
void kh_attest_salt_seed(const uint8_t secret[32], uint64_t height, uint32_t party, uint8_t ret[32]);
void kh_attest_salt(const uint8_t seed[32], uint32_t leaf, uint8_t ret[KH_SALT_SZ]); /* SHA-256(seed || leaf)[0..16] */
/* kh_attest_posted: HMAC-SHA-256(secret, "posted\0" || height 8 || outcome chain 32 || checkpoint 32 where there is one). */
void kh_attest_posted(const uint8_t secret[32], uint64_t height, const uint8_t chain[32], const uint8_t *checkpoint,
                      uint8_t ret[32]);

/* ---- one output ---- */
typedef enum kh_output_kind { KH_OUTPUT_RECEIPT = 1, KH_OUTPUT_NOTICE = 2, KH_OUTPUT_OPENING = 3 } kh_output_kind;
typedef struct kh_paper_text { /* a document's name as texts */
    uint8_t kind, number_n, issuer_n, reserved;
    char number[KH_NUMBER_MAX], issuer[KH_ISSUER_MAX];
} kh_paper_text;
typedef struct kh_output { /* decoded, or to be encoded */
    kh_output_kind kind;
    uint8_t batch[32];     /* RECEIPT: digest of the envelope */
    uint32_t op_index;     /* in the batch */
    uint8_t op_digest[32]; /* SHA-256 of the operation's frame */
    kh_receipt receipt;    /* lines in `lines`; what was answered before is filled in, its reference kept */
    kh_notice notice;
    kh_receipt_line lines[KH_LINES_MAX];
    char product[KH_PRODUCT_MAX + 1]; /* APPLY */
    uint32_t paper_cnt;               /* receipts of APPLY, OPENING: a line each; of EVENT: 0; notices with a key: 1 */
    kh_paper_text papers[KH_LINES_MAX];
    /* OPENING: receipt is as of an APPLY, with the financing as it stands, `moved`: what was repaid of it; hold_ns: block time at
       which its hold began, 0: none; since: height of its last change */
    uint64_t hold_ns, since;
} kh_output;
/* kh_payload_encode: the bytes that outcome and chain cover: {kind, 0 0 0, paper_cnt 4, receipt or notice bytes, of APPLY the
 * product, of OPENING hold_ns 8 and since 8, papers}. */
size_t kh_payload_encode(const kh_output *output, uint8_t buf[KH_PAYLOAD_MAX_SZ]);
KH_MUST kh_err kh_payload_decode(const uint8_t *p, size_t n, kh_output *ret); /* all but batch, op_index, op_digest */

/* ---- leaves: data whose kh_merkle_leaf is the leaf ---- */
#define KH_LEAF_HEAD_SZ (4u + KH_SALT_SZ + 4u + 8u + 32u) /* kind 0; salt; party; count; head */
#define KH_LEAF_RECEIPT_SZ                                                                                                       \
    (4u + KH_SALT_SZ + 32u + 8u + 32u + 4u + 32u +                                                                               \
     32u) /* kind 1; salt; chain; height; batch; op index; op digest; payload digest */
#define KH_LEAF_NOTICE_SZ (4u + KH_SALT_SZ + 32u + 8u + 32u) /* kind 2, or 3 of OPENING; salt; chain; height; payload digest */
#define KH_LEAF_FILL_SZ (4u + KH_SALT_SZ)                    /* kind 255; salt */
void kh_leaf_head(const uint8_t salt[KH_SALT_SZ], uint32_t party, uint64_t count, const uint8_t head[32],
                  uint8_t ret[KH_LEAF_HEAD_SZ]);
void kh_leaf_receipt(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const kh_output *output,
                     const uint8_t payload_digest[32], uint8_t ret[KH_LEAF_RECEIPT_SZ]);
void kh_leaf_notice(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const uint8_t payload_digest[32],
                    uint8_t ret[KH_LEAF_NOTICE_SZ]);
void kh_leaf_opening(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const uint8_t payload_digest[32],
                     uint8_t ret[KH_LEAF_NOTICE_SZ]);
void kh_leaf_fill(const uint8_t salt[KH_SALT_SZ], uint8_t ret[KH_LEAF_FILL_SZ]);
void kh_leaf_party(uint32_t party, const uint8_t root[32], uint8_t ret[36]); /* of the upper tree */
uint32_t kh_attest_padded(uint32_t output_cnt); /* leaves of a subtree: the power of two >= 1 + outputs */

/* ---- making: one height at a hub ---- */
typedef struct kh_maker kh_maker; /* gathers a height's outputs, party by party, in execution order */
KH_MUST kh_err kh_maker_new(kh_maker **ret);
void kh_maker_free(kh_maker *m);
/* parties: the bank members, ascending; counts and heads: as of before this height. What fails here, end says. */
void kh_maker_begin(kh_maker *m, const uint8_t chain[32], const uint8_t secret[32], uint64_t height, const uint32_t *parties,
                    const uint64_t *counts, const uint8_t (*heads)[32], uint32_t n);
/* kh_maker_add: an output of a party; of one that is no bank member: nothing is done. */
KH_MUST kh_err kh_maker_add(kh_maker *m, uint32_t party, const kh_output *output);
bool kh_maker_has(const kh_maker *m, uint32_t party); /* a bank member, behind begin */
KH_MUST kh_err kh_maker_end(kh_maker *m, uint8_t ret_root[32]);
void kh_maker_head(const kh_maker *m, uint32_t nth, uint64_t *ret_count, uint8_t ret_head[32]); /* after end */
/* kh_maker_package: what party nth is given of this height (malloc'ed): docs/CLUSTER.md. */
KH_MUST kh_err kh_maker_package(const kh_maker *m, uint32_t nth, uint8_t **ret, size_t *ret_n);

/* ---- checking: the package at a bank ---- */
typedef struct kh_package_item {
    uint8_t salt[KH_SALT_SZ];
    uint8_t batch[32], op_digest[32];
    uint32_t op_index, leaf; /* leaf: its place in the subtree */
    kh_output_kind kind;
    const uint8_t *payload;
    uint32_t payload_sz;
} kh_package_item;
typedef struct kh_package {
    uint64_t height, count_before, count;
    uint32_t party, item_cnt;
    uint8_t head_before[32], head[32], head_salt[KH_SALT_SZ];
    uint8_t subtree[32], root[32]; /* computed from what is in it */
    uint32_t top_index, top_cnt, top_path_n;
    uint8_t top_path[KH_MERKLE_PATH_MAX][32];
    kh_package_item *items; /* malloc'ed; payloads point into the bytes */
} kh_package;
/* kh_package_read checks form, chain and trees, and computes the root that hubs must have attested. KH_E_FORMAT. */
KH_MUST kh_err kh_package_read(const uint8_t *p, size_t n, const uint8_t chain[32], kh_package *ret);
void kh_package_free(kh_package *package);
/* kh_package_path: the neighbours of an item's leaf in the subtree (the whole package's salts must be there: it is asked of `p`).
 */
KH_MUST kh_err kh_package_path(const uint8_t *p, size_t n, const uint8_t chain[32], uint32_t item,
                               uint8_t ret[KH_MERKLE_PATH_MAX][32], uint32_t *ret_n);
#endif
