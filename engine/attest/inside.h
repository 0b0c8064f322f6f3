/* inside: what the parts of attest share: the leaf of a receipt by its fields, a leaf hash from its data. */
#ifndef KH_ATTEST_INSIDE_H
#define KH_ATTEST_INSIDE_H
#include "attest/attest.h"

#define KH_PACKAGE_HEAD_SZ (4u + 4u + 8u + 32u + 8u + 32u + 12u) /* before the upper path */
#define KH_PACKAGE_ITEM_SZ (4u + 4u + 32u + 32u + 4u)            /* before a payload */
#define KH_PACKAGE_TOP_PATH_MAX 16u                              /* the upper tree has at most 65,536 leaves */

/* One output as it is hashed; batch, op_index, op_digest: of a receipt. */
typedef struct kh_attest_item {
    uint32_t leaf, op_index;
    kh_output_kind kind;
    const uint8_t *batch, *op_digest, *payload;
    size_t payload_sz;
    uint8_t *ret_leaf; /* the leaf's hash */
    uint8_t salt[KH_SALT_SZ];
} kh_attest_item;
#define KH_ATTEST_AT_ONCE 16u
/* kh_attest_item_at: what a package holds at p, whose payload lies behind it; the leaf is the caller's. */
void kh_attest_item_at(const uint8_t *p, kh_attest_item *ret);
/* kh_attest_items hashes up to KH_ATTEST_AT_ONCE outputs of a party: salts, digests of payloads, leaves, and its chain of them,
   whose head moves on. */
void kh_attest_items(const uint8_t seed[32], const uint8_t chain[32], uint64_t height, kh_attest_item *items, uint32_t cnt,
                     uint8_t head[32]);
#define KH_SALT_TEXT_SZ 36u
void kh_attest_salt_text(const uint8_t seed[32], uint32_t leaf, uint8_t ret[KH_SALT_TEXT_SZ]); /* what a salt is the hash of */
void kh_attest_head_leaf(const uint8_t seed[32], uint32_t party, uint64_t count, const uint8_t head[32], uint8_t ret[32]);
/* kh_attest_fill_leaves: those from `from` up to cnt. */
void kh_attest_fill_leaves(const uint8_t seed[32], uint32_t from, uint32_t cnt, uint8_t (*ret_leaves)[32]);
/* kh_attest_top_leaf: of the upper tree; party 0 fills it up to a power of two, with a root of zeros. */
void kh_attest_top_leaf(uint32_t party, const uint8_t root[32], uint8_t ret[32]);
uint32_t kh_attest_power(uint32_t n); /* the power of two >= n; n <= 2^31 */
#endif
