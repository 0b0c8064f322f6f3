/* leaf_tree: the tree of crypto/merkle.h over leaves whose bytes come piece by piece, one leaf after another. Of what is complete
 * the roots are kept, the largest first; bit i of the count says that one of 2^i leaves is there. */
#ifndef KH_STORE_LEAF_TREE_H
#define KH_STORE_LEAF_TREE_H
#include "crypto/digest.h"

typedef struct kh_leaf_tree {
    kh_sha256_state leaf;
    uint64_t cnt;
    uint32_t root_cnt;
    uint8_t roots[64][32];
} kh_leaf_tree;

void kh_leaf_tree_begin(kh_leaf_tree *t);
void kh_leaf_tree_bytes(void *tree, const void *p, size_t n); /* of the leaf that is being written */
void kh_leaf_tree_end(void *tree);                            /* of that leaf */
/* kh_leaf_tree_root: of at least one leaf; the tree is used up. */
void kh_leaf_tree_root(kh_leaf_tree *t, uint8_t ret[32]);
#endif
