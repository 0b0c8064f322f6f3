/* inside: what the parts of attest share: the leaf of a receipt by its fields, a leaf hash from its data. */
#ifndef KH_ATTEST_INSIDE_H
#define KH_ATTEST_INSIDE_H
#include "attest/attest.h"

#define KH_PACKAGE_HEAD_SZ (4u + 4u + 8u + 32u + 8u + 32u + 12u) /* before the upper path */
#define KH_PACKAGE_ITEM_SZ (4u + 4u + 32u + 32u + 4u)            /* before a payload */
#define KH_PACKAGE_TOP_PATH_MAX 16u                              /* the upper tree has at most 65,536 leaves */

/* kh_attest_output_leaf: the hash of an output's leaf; batch, op_index, op_digest: of a receipt. */
void kh_attest_output_leaf(const uint8_t seed[32], uint32_t leaf, const uint8_t chain[32], uint64_t height, kh_output_kind kind,
                           const uint8_t batch[32], uint32_t op_index, const uint8_t op_digest[32],
                           const uint8_t payload_digest[32], uint8_t ret[32]);
void kh_attest_head_leaf(const uint8_t seed[32], uint32_t party, uint64_t count, const uint8_t head[32], uint8_t ret[32]);
void kh_attest_fill_leaf(const uint8_t seed[32], uint32_t leaf, uint8_t ret[32]);
/* kh_attest_top_leaf: of the upper tree; party 0 fills it up to a power of two, with a root of zeros. */
void kh_attest_top_leaf(uint32_t party, const uint8_t root[32], uint8_t ret[32]);
uint32_t kh_attest_power(uint32_t n); /* the power of two >= n; n <= 2^31 */
#endif
