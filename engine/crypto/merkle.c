/* merkle: level by level, a last odd node going up unchanged: the same tree as RFC 6962's recursion. */
#include "crypto/merkle.h"
#include "crypto/digest.h"

void kh_merkle_leaf(const void *data, size_t n, uint8_t ret[32])
{
    kh_sha256_state state;
    kh_sha256_init(&state);
    kh_sha256_update(&state, "\0", 1);
    if (n > 0) kh_sha256_update(&state, data, n);
    kh_sha256_final(&state, ret);
}

enum { NODE_SZ = 65 };
static void node_text(const uint8_t left[32], const uint8_t right[32], uint8_t ret[NODE_SZ])
{
    ret[0] = 1;
    memcpy(ret + 1, left, 32);
    memcpy(ret + 33, right, 32);
}

void kh_merkle_node(const uint8_t left[32], const uint8_t right[32], uint8_t ret[32])
{
    uint8_t text[NODE_SZ];
    node_text(left, right, text);
    kh_sha256(text, sizeof text, ret);
}

/* One level up; returns how many nodes it has. */
static uint32_t level_up(uint8_t (*nodes)[32], uint32_t n)
{
    enum { AT_ONCE = 16 };
    uint8_t bytes[AT_ONCE][NODE_SZ];
    kh_sha256_text texts[AT_ONCE];
    for (uint32_t i = 0, cnt; i < n / 2; i += cnt) {
        for (cnt = 0; cnt < AT_ONCE && i + cnt < n / 2; cnt++) {
            uint32_t up = i + cnt;
            node_text(nodes[2 * up], nodes[2 * up + 1], bytes[cnt]);
            texts[cnt] = (kh_sha256_text){bytes[cnt], NODE_SZ, nodes[up]}; /* written over only after it was read */
        }
        kh_sha256_each(texts, cnt);
    }
    if (n % 2 == 1) memmove(nodes[n / 2], nodes[n - 1], 32);
    return n / 2 + n % 2;
}

void kh_merkle_root(uint8_t (*leaves)[32], uint32_t n, uint8_t ret[32])
{
    if (n == 0) {
        kh_sha256("", 0, ret);
        return;
    }
    while (n > 1) n = level_up(leaves, n);
    memcpy(ret, leaves[0], 32);
}

/* Has node `index` of a level of n a neighbour? Only the last of an odd number has none. */
static bool paired(uint32_t index, uint32_t n) { return index % 2 == 1 || index + 1 < n; }

uint32_t kh_merkle_path(uint8_t (*leaves)[32], uint32_t n, uint32_t index, uint8_t ret[KH_MERKLE_PATH_MAX][32])
{
    uint32_t path_n = 0;
    KH_ASSERT(index < n);
    for (; n > 1; n = level_up(leaves, n), index /= 2)
        if (paired(index, n)) memcpy(ret[path_n++], leaves[index ^ 1], 32);
    return path_n;
}

bool kh_merkle_fold(const uint8_t leaf[32], uint32_t index, uint32_t n, const uint8_t (*path)[32], uint32_t path_n,
                    uint8_t ret[32])
{
    uint8_t node[32];
    uint32_t used = 0;
    if (index >= n) return false;
    memcpy(node, leaf, 32);
    for (; n > 1; n = n / 2 + n % 2, index /= 2) {
        if (!paired(index, n)) continue;
        if (used == path_n) return false;
        const uint8_t *other = path[used++];
        if (index % 2 == 1) kh_merkle_node(other, node, node);
        else kh_merkle_node(node, other, node);
    }
    if (used != path_n) return false;
    memcpy(ret, node, 32);
    return true;
}
