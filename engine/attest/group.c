/* group: salts, leaves and chain of several outputs at once, so that their texts are hashed beside each other. */
#include "attest/inside.h"
#include "crypto/digest.h"

enum { SALT_TEXT_SZ = 32 + 4, CHAIN_TAG_SZ = 13, CHAIN_TEXT_SZ = CHAIN_TAG_SZ + 64, LEAF_TEXT_SZ = 1 + KH_LEAF_RECEIPT_SZ };
_Static_assert(KH_LEAF_RECEIPT_SZ >= KH_LEAF_NOTICE_SZ && KH_LEAF_RECEIPT_SZ >= KH_LEAF_FILL_SZ, "any leaf fits");

typedef struct group {
    uint8_t salt_texts[KH_ATTEST_GROUP][SALT_TEXT_SZ], salts[KH_ATTEST_GROUP][32]; /* a salt is the beginning of its digest */
    uint8_t payloads[KH_ATTEST_GROUP][32];                                         /* their digests */
    uint8_t chain_texts[KH_ATTEST_GROUP][CHAIN_TEXT_SZ], leaf_texts[KH_ATTEST_GROUP][LEAF_TEXT_SZ];
    kh_sha256_text row[KH_ATTEST_GROUP], texts[2 * KH_ATTEST_GROUP];
} group;

/* The texts of n salts, from that of leaf `first` on. */
static void salt_texts(group *g, const uint8_t seed[32], uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        memcpy(g->salt_texts[i], seed, 32);
        kh_store32(g->salt_texts[i] + 32, first + i);
        g->texts[i] = (kh_sha256_text){g->salt_texts[i], SALT_TEXT_SZ, g->salts[i]};
    }
}

static void leaf_text(group *g, uint32_t i, size_t n, uint8_t ret[32])
{
    g->leaf_texts[i][0] = 0; /* a leaf's, as kh_merkle_leaf has it */
    g->texts[i] = (kh_sha256_text){g->leaf_texts[i], 1 + n, ret};
}

static const uint8_t *behind(const uint8_t *item) { return item + KH_PACKAGE_ITEM_SZ + kh_load32(item + KH_PACKAGE_SIZE_AT); }

size_t kh_attest_group(const uint8_t seed[32], uint32_t first, const uint8_t chain[32], uint64_t height, const uint8_t *items,
                       uint32_t n, uint8_t (*ret_salts)[KH_SALT_SZ], uint8_t head[32], uint8_t (*leaves)[32])
{
    group g;
    const uint8_t *item = items;
    KH_ASSERT(n != 0 && n <= KH_ATTEST_GROUP);
    salt_texts(&g, seed, first, n);
    for (uint32_t i = 0; i < n; i++, item = behind(item))
        g.texts[n + i] = (kh_sha256_text){item + KH_PACKAGE_ITEM_SZ, kh_load32(item + KH_PACKAGE_SIZE_AT), g.payloads[i]};
    size_t used = (size_t)(item - items);
    kh_sha256_beside(NULL, 0, g.texts, (size_t)2 * n);
    item = items;
    for (uint32_t i = 0; i < n; i++, item = behind(item)) {
        bool receipt = kh_load32(item) == KH_OUTPUT_RECEIPT;
        if (receipt) kh_leaf_of_item(g.salts[i], chain, height, item, g.payloads[i], g.leaf_texts[i] + 1);
        else kh_leaf_notice(g.salts[i], chain, height, g.payloads[i], g.leaf_texts[i] + 1);
        leaf_text(&g, i, receipt ? KH_LEAF_RECEIPT_SZ : KH_LEAF_NOTICE_SZ, leaves[first + i]);
        memcpy(g.chain_texts[i], "kanhe/output", CHAIN_TAG_SZ); /* with its NUL */
        memcpy(g.chain_texts[i] + CHAIN_TAG_SZ + 32, g.payloads[i], 32);
        g.row[i] = (kh_sha256_text){g.chain_texts[i], CHAIN_TEXT_SZ, i + 1 < n ? g.chain_texts[i + 1] + CHAIN_TAG_SZ : head};
        if (ret_salts != NULL) memcpy(ret_salts[i], g.salts[i], KH_SALT_SZ);
    }
    memcpy(g.chain_texts[0] + CHAIN_TAG_SZ, head, 32);
    kh_sha256_beside(g.row, n, g.texts, n);
    return used;
}

void kh_attest_fill(const uint8_t seed[32], uint32_t from, uint32_t end, uint8_t (*leaves)[32])
{
    group g;
    for (uint32_t n; from < end; from += n) {
        n = end - from < KH_ATTEST_GROUP ? end - from : KH_ATTEST_GROUP;
        salt_texts(&g, seed, from, n);
        kh_sha256_beside(NULL, 0, g.texts, n);
        for (uint32_t i = 0; i < n; i++) {
            kh_leaf_fill(g.salts[i], g.leaf_texts[i] + 1);
            leaf_text(&g, i, KH_LEAF_FILL_SZ, leaves[from + i]);
        }
        kh_sha256_beside(NULL, 0, g.texts, n);
    }
}
