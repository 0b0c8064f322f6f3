/* package: what a bank is given of a height: read, its chain and trees computed anew. */
#include "attest/inside.h"
#include "crypto/digest.h"
#include <stdlib.h>

static bool read_head(const uint8_t *p, size_t n, kh_package *ret)
{
    if (n < KH_PACKAGE_HEAD_SZ || memcmp(p, "KHP1", 4) != 0) return false;
    ret->party = kh_load32(p + 4);
    ret->height = kh_load64(p + 8);
    ret->count_before = kh_load64(p + 48);
    memcpy(ret->head_before, p + 56, 32);
    ret->top_index = kh_load32(p + 88);
    ret->top_cnt = kh_load32(p + 92);
    ret->top_path_n = kh_load32(p + 96);
    /* A power of two: else several numbers of leaves would lead to one root. */
    if (ret->party == 0 || ret->top_path_n > KH_PACKAGE_TOP_PATH_MAX || ret->top_cnt != 1u << ret->top_path_n ||
        ret->top_index >= ret->top_cnt)
        return false;
    size_t path_sz = (size_t)32 * ret->top_path_n;
    if (n - KH_PACKAGE_HEAD_SZ < path_sz + 4) return false;
    memcpy(ret->top_path, p + KH_PACKAGE_HEAD_SZ, path_sz);
    ret->item_cnt = kh_load32(p + KH_PACKAGE_HEAD_SZ + path_sz);
    return ret->item_cnt <= KH_OUTPUTS_MAX && ret->count_before <= UINT64_MAX - ret->item_cnt;
}

/* What a view begins with is of height 0, and nothing else is. */
static bool read_item(const uint8_t **at, size_t *left, uint64_t height, kh_package_item *item)
{
    static const uint8_t zeros[68];
    const uint8_t *p = *at;
    if (*left < KH_PACKAGE_ITEM_SZ) return false;
    uint32_t kind = kh_load32(p);
    item->payload_sz = kh_load32(p + 72);
    item->payload = p + KH_PACKAGE_ITEM_SZ;
    *left -= KH_PACKAGE_ITEM_SZ;
    if (item->payload_sz < 4 || item->payload_sz > *left || kh_load32(item->payload) != kind ||
        (kind != KH_OUTPUT_RECEIPT && kind != KH_OUTPUT_NOTICE && kind != KH_OUTPUT_OPENING) ||
        (kind == KH_OUTPUT_OPENING) != (height == 0) || (kind != KH_OUTPUT_RECEIPT && memcmp(p + 4, zeros, 68) != 0))
        return false;
    item->kind = (kh_output_kind)kind;
    item->op_index = kh_load32(p + 4);
    memcpy(item->batch, p + 8, 32);
    memcpy(item->op_digest, p + 40, 32);
    *left -= item->payload_sz;
    *at = item->payload + item->payload_sz;
    return true;
}

/* take reads the outputs, and computes the chain and, where leaves is not NULL, the leaves; leaves must have room. */
static bool take(const uint8_t *p, size_t n, const uint8_t chain[32], kh_package *ret, uint8_t (*leaves)[32])
{
    const uint8_t *seed = p + 16, *at = p + KH_PACKAGE_HEAD_SZ + (size_t)32 * ret->top_path_n + 4;
    size_t left = n - (size_t)(at - p);
    memcpy(ret->head, ret->head_before, 32);
    for (uint32_t i = 0; i < ret->item_cnt;) {
        kh_attest_item hashed[KH_ATTEST_AT_ONCE];
        uint32_t cnt = 0, first = i;
        for (; cnt < KH_ATTEST_AT_ONCE && i < ret->item_cnt; cnt++, i++) {
            const uint8_t *item = at;
            if (!read_item(&at, &left, ret->height, &ret->items[i])) return false;
            kh_attest_item_at(item, &hashed[cnt]);
            ret->items[i].leaf = hashed[cnt].leaf = i + 1;
            hashed[cnt].ret_leaf = leaves[i + 1];
        }
        kh_attest_items(seed, chain, ret->height, hashed, cnt, ret->head);
        for (uint32_t k = 0; k < cnt; k++) memcpy(ret->items[first + k].salt, hashed[k].salt, KH_SALT_SZ);
    }
    ret->count = ret->count_before + ret->item_cnt;
    kh_attest_salt(seed, 0, ret->head_salt);
    kh_attest_head_leaf(seed, ret->party, ret->count, ret->head, leaves[0]);
    kh_attest_fill_leaves(seed, ret->item_cnt + 1, kh_attest_padded(ret->item_cnt), leaves);
    return left == 0;
}

/* read_leaves reads all but the roots; *ret_leaves is malloc'ed. */
static kh_err read_leaves(const uint8_t *p, size_t n, const uint8_t chain[32], kh_package *ret, uint8_t (**ret_leaves)[32])
{
    memset(ret, 0, sizeof *ret);
    if (!read_head(p, n, ret) || ret->item_cnt > n / KH_PACKAGE_ITEM_SZ) return KH_E_FORMAT;
    uint8_t(*leaves)[32] = malloc((size_t)kh_attest_padded(ret->item_cnt) * 32);
    ret->items = malloc((ret->item_cnt + (size_t)1) * sizeof *ret->items);
    kh_err err = leaves == NULL || ret->items == NULL ? KH_E_NOMEM : take(p, n, chain, ret, leaves) ? KH_OK : KH_E_FORMAT;
    if (err == KH_OK) {
        *ret_leaves = leaves;
        return KH_OK;
    }
    free(leaves);
    kh_package_free(ret);
    return err;
}

kh_err kh_package_read(const uint8_t *p, size_t n, const uint8_t chain[32], kh_package *ret)
{
    kh_package package;
    uint8_t(*leaves)[32], top[32];
    kh_err err = read_leaves(p, n, chain, &package, &leaves);
    if (err != KH_OK) return err;
    kh_merkle_root(leaves, kh_attest_padded(package.item_cnt), package.subtree);
    free(leaves);
    kh_attest_top_leaf(package.party, package.subtree, top);
    if (!kh_merkle_fold(top, package.top_index, package.top_cnt, (const uint8_t(*)[32])package.top_path, package.top_path_n,
                        package.root)) {
        kh_package_free(&package);
        return KH_E_FORMAT;
    }
    *ret = package;
    return KH_OK;
}

void kh_package_free(kh_package *package)
{
    free(package->items);
    package->items = NULL;
    package->item_cnt = 0;
}

kh_err kh_package_path(const uint8_t *p, size_t n, const uint8_t chain[32], uint32_t item, uint8_t ret[KH_MERKLE_PATH_MAX][32],
                       uint32_t *ret_n)
{
    kh_package package;
    uint8_t(*leaves)[32];
    kh_err err = read_leaves(p, n, chain, &package, &leaves);
    if (err != KH_OK) return err;
    if (item >= package.item_cnt) err = KH_E_ARG;
    else *ret_n = kh_merkle_path(leaves, kh_attest_padded(package.item_cnt), item + 1, ret);
    free(leaves);
    kh_package_free(&package);
    return err;
}
