/* leaf_tree: a tree that grows leaf by leaf (leaf_tree.h). */
#include "store/leaf_tree.h"
#include <string.h>
#include "crypto/merkle.h"

static void begin_leaf(kh_leaf_tree *t)
{
    kh_sha256_init(&t->leaf);
    kh_sha256_update(&t->leaf, "\0", 1);
}

void kh_leaf_tree_begin(kh_leaf_tree *t)
{
    memset(t, 0, sizeof *t);
    begin_leaf(t);
}

void kh_leaf_tree_bytes(void *tree, const void *p, size_t n) { kh_sha256_update(&((kh_leaf_tree *)tree)->leaf, p, n); }

static void join(kh_leaf_tree *t)
{
    kh_merkle_node(t->roots[t->root_cnt - 2], t->roots[t->root_cnt - 1], t->roots[t->root_cnt - 2]);
    t->root_cnt--;
}

void kh_leaf_tree_end(void *tree)
{
    kh_leaf_tree *t = tree;
    kh_sha256_final(&t->leaf, t->roots[t->root_cnt++]);
    for (uint64_t full = t->cnt++; full & 1; full >>= 1) join(t);
    begin_leaf(t);
}

void kh_leaf_tree_root(kh_leaf_tree *t, uint8_t ret[32])
{
    while (t->root_cnt > 1) join(t);
    memcpy(ret, t->roots[0], 32);
}
