/* merkle: the SHA-256 tree of RFC 6962 section 2.1, as CometBFT has it: leaf SHA-256(0x00 || data), inner SHA-256(0x01 || l ||
 * r), the left part the largest power of two below n, the empty tree SHA-256(""). Pure, no allocation. */
#ifndef KH_CRYPTO_MERKLE_H
#define KH_CRYPTO_MERKLE_H
#include "base/base.h"

#define KH_MERKLE_PATH_MAX 32u

void kh_merkle_leaf(const void *data, size_t n, uint8_t ret[32]);
void kh_merkle_node(const uint8_t left[32], const uint8_t right[32], uint8_t ret[32]);
/* kh_merkle_root folds n leaf hashes; leaves are overwritten. */
void kh_merkle_root(uint8_t (*leaves)[32], uint32_t n, uint8_t ret[32]);
/* kh_merkle_path writes the neighbours of leaf `index`, from the leaf up; returns their number. leaves are overwritten. */
uint32_t kh_merkle_path(uint8_t (*leaves)[32], uint32_t n, uint32_t index, uint8_t ret[KH_MERKLE_PATH_MAX][32]);
/* kh_merkle_fold gives the root that a path leads to; false where the path's length is not the one of (index, n). */
KH_MUST bool kh_merkle_fold(const uint8_t leaf[32], uint32_t index, uint32_t n, const uint8_t (*path)[32], uint32_t path_n,
                            uint8_t ret[32]);
#endif
