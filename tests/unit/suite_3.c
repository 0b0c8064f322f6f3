/* Unit tests of merkle: the vectors of Certificate Transparency's reference tree (RFC 6962; CometBFT's tree is held against the
 * same), paths of every leaf of every small tree, and paths that are not theirs. */
#include "crypto/merkle.h"
#include "suite_keys.h"
#include <criterion/criterion.h>

#define LEAVES_MAX 70

static const char *const inputs[8] = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
static const char *const roots[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

Test(merkle, published_roots)
{
    for (uint32_t n = 0; n <= 8; n++) {
        uint8_t leaves[8][32], want[32], got[32], data[16];
        for (uint32_t i = 0; i < n; i++) kh_merkle_leaf(data, unhex(inputs[i], data), leaves[i]);
        unhex(roots[n], want);
        kh_merkle_root(leaves, n, got);
        cr_assert(memcmp(want, got, 32) == 0, "%u leaves", n);
    }
}

/* The recursion as the RFC writes it. */
static void by_recursion(uint8_t (*leaves)[32], uint32_t n, uint8_t ret[32])
{
    if (n == 1) {
        memcpy(ret, leaves[0], 32);
        return;
    }
    uint32_t k = 1;
    while (2 * k < n) k *= 2;
    uint8_t left[32], right[32];
    by_recursion(leaves, k, left);
    by_recursion(leaves + k, n - k, right);
    kh_merkle_node(left, right, ret);
}

static void leaves_of(uint32_t n, uint8_t (*ret)[32])
{
    for (uint32_t i = 0; i < n; i++) kh_merkle_leaf(&i, sizeof i, ret[i]);
}

Test(merkle, every_leaf_has_its_path_and_no_other)
{
    for (uint32_t n = 1; n <= LEAVES_MAX; n++) {
        uint8_t leaves[LEAVES_MAX][32], kept[LEAVES_MAX][32], root[32], got[32], path[KH_MERKLE_PATH_MAX][32];
        leaves_of(n, kept);
        by_recursion(kept, n, root);
        memcpy(leaves, kept, sizeof leaves);
        kh_merkle_root(leaves, n, got);
        cr_assert(memcmp(got, root, 32) == 0, "%u leaves", n);
        for (uint32_t i = 0; i < n; i++) {
            memcpy(leaves, kept, sizeof leaves);
            uint32_t path_n = kh_merkle_path(leaves, n, i, path);
            const uint8_t(*p)[32] = (const uint8_t(*)[32])path;
            cr_assert(kh_merkle_fold(kept[i], i, n, p, path_n, got) && memcmp(got, root, 32) == 0, "%u of %u", i, n);
            for (uint32_t j = 0; j < n; j++) {
                if (j == i) continue;
                cr_assert(!kh_merkle_fold(kept[i], j, n, p, path_n, got) || memcmp(got, root, 32) != 0, "as leaf %u", j);
            }
            cr_assert(!kh_merkle_fold(kept[i], i, n, p, path_n + 1, got), "a neighbour too many");
            cr_assert(path_n == 0 || !kh_merkle_fold(kept[i], i, n, p, path_n - 1, got), "a neighbour too few");
            cr_assert(!kh_merkle_fold(kept[i], n, n, p, path_n, got) && !kh_merkle_fold(kept[i], 0, 0, p, 0, got));
            for (uint32_t k = 0; k < path_n; k++) {
                path[k][k] ^= 1;
                cr_assert(kh_merkle_fold(kept[i], i, n, p, path_n, got) && memcmp(got, root, 32) != 0);
                path[k][k] ^= 1;
            }
        }
    }
}
