/* inside: what the parts of attest share: the bytes of a package, the leaves of outputs. */
#ifndef KH_ATTEST_INSIDE_H
#define KH_ATTEST_INSIDE_H
#include "attest/attest.h"

#define KH_PACKAGE_HEAD_SZ (4u + 4u + 8u + 32u + 8u + 32u + 12u) /* before the upper path */
#define KH_PACKAGE_ITEM_SZ (4u + 4u + 32u + 32u + 4u)            /* before a payload */
#define KH_PACKAGE_SIZE_AT 72u                                   /* of an item: its payload's size */
#define KH_PACKAGE_TOP_PATH_MAX 16u                              /* the upper tree has at most 65,536 leaves */

#define KH_ATTEST_GROUP 32u /* outputs that are hashed at once */

/* kh_leaf_of_item: the data of a receipt's leaf, of what a package has of it. */
void kh_leaf_of_item(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const uint8_t *item,
                     const uint8_t payload_digest[32], uint8_t ret[KH_LEAF_RECEIPT_SZ]);
/* kh_attest_group hashes n (1 .. KH_ATTEST_GROUP) outputs, as a package has them, from leaf `first` on: their salts, their leaves
 * into leaves[first] and on, and the chain over them, from head to head. ret_salts may be NULL. Returns how many bytes they are.
 */
size_t kh_attest_group(const uint8_t seed[32], uint32_t first, const uint8_t chain[32], uint64_t height, const uint8_t *items,
                       uint32_t n, uint8_t (*ret_salts)[KH_SALT_SZ], uint8_t head[32], uint8_t (*leaves)[32]);
void kh_attest_head_leaf(const uint8_t seed[32], uint32_t party, uint64_t count, const uint8_t head[32], uint8_t ret[32]);
/* kh_attest_fill: leaves[from] to leaves[end - 1] as those of no output. */
void kh_attest_fill(const uint8_t seed[32], uint32_t from, uint32_t end, uint8_t (*leaves)[32]);
/* kh_attest_top_leaf: of the upper tree; party 0 fills it up to a power of two, with a root of zeros. */
void kh_attest_top_leaf(uint32_t party, const uint8_t root[32], uint8_t ret[32]);
uint32_t kh_attest_power(uint32_t n); /* the power of two >= n; n <= 2^31 */
#endif
