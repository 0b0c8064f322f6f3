/* leaf: the data of each kind of leaf, and its hash. */
#include "attest/inside.h"
#include "crypto/digest.h"

enum { LEAF_HEAD = 0, LEAF_FILL = 255 };

static uint8_t *begin(uint8_t *ret, uint8_t kind, const uint8_t salt[KH_SALT_SZ])
{
    kh_store32(ret, kind);
    memcpy(ret + 4, salt, KH_SALT_SZ);
    return ret + 4 + KH_SALT_SZ;
}

void kh_leaf_head(const uint8_t salt[KH_SALT_SZ], uint32_t party, uint64_t count, const uint8_t head[32],
                  uint8_t ret[KH_LEAF_HEAD_SZ])
{
    uint8_t *at = begin(ret, LEAF_HEAD, salt);
    kh_store32(at, party);
    kh_store64(at + 4, count);
    memcpy(at + 12, head, 32);
}

static void leaf_receipt(const uint8_t *salt, const uint8_t *chain, uint64_t height, const uint8_t *batch, uint32_t op_index,
                         const uint8_t *op_digest, const uint8_t *payload_digest, uint8_t ret[KH_LEAF_RECEIPT_SZ])
{
    uint8_t *at = begin(ret, KH_OUTPUT_RECEIPT, salt);
    memcpy(at, chain, 32);
    kh_store64(at + 32, height);
    memcpy(at + 40, batch, 32);
    kh_store32(at + 72, op_index);
    memcpy(at + 76, op_digest, 32);
    memcpy(at + 108, payload_digest, 32);
}

void kh_leaf_receipt(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const kh_output *output,
                     const uint8_t payload_digest[32], uint8_t ret[KH_LEAF_RECEIPT_SZ])
{
    leaf_receipt(salt, chain, height, output->batch, output->op_index, output->op_digest, payload_digest, ret);
}

static void leaf_other(uint8_t kind, const uint8_t *salt, const uint8_t *chain, uint64_t height, const uint8_t *payload_digest,
                       uint8_t ret[KH_LEAF_NOTICE_SZ])
{
    uint8_t *at = begin(ret, kind, salt);
    memcpy(at, chain, 32);
    kh_store64(at + 32, height);
    memcpy(at + 40, payload_digest, 32);
}

void kh_leaf_notice(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const uint8_t payload_digest[32],
                    uint8_t ret[KH_LEAF_NOTICE_SZ])
{
    leaf_other(KH_OUTPUT_NOTICE, salt, chain, height, payload_digest, ret);
}

void kh_leaf_opening(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const uint8_t payload_digest[32],
                     uint8_t ret[KH_LEAF_NOTICE_SZ])
{
    leaf_other(KH_OUTPUT_OPENING, salt, chain, height, payload_digest, ret);
}

void kh_leaf_fill(const uint8_t salt[KH_SALT_SZ], uint8_t ret[KH_LEAF_FILL_SZ]) { (void)begin(ret, LEAF_FILL, salt); }

void kh_leaf_party(uint32_t party, const uint8_t root[32], uint8_t ret[36])
{
    kh_store32(ret, party);
    memcpy(ret + 4, root, 32);
}

uint32_t kh_attest_power(uint32_t n)
{
    uint32_t power = 1;
    while (power < n) power *= 2;
    return power;
}

uint32_t kh_attest_padded(uint32_t output_cnt) { return kh_attest_power(output_cnt + 1); }

/* ---- hashes ---- */

void kh_attest_item_at(const uint8_t *p, kh_attest_item *ret)
{
    ret->kind = (kh_output_kind)kh_load32(p);
    ret->op_index = kh_load32(p + 4);
    ret->batch = p + 8;
    ret->op_digest = p + 40;
    ret->payload_sz = kh_load32(p + 72);
    ret->payload = p + KH_PACKAGE_ITEM_SZ;
}

/* A party's chain is one text behind the other, so its links go beside the leaves, as two lanes of which neither waits. */
void kh_attest_items(const uint8_t seed[32], const uint8_t chain[32], uint64_t height, kh_attest_item *items, uint32_t cnt,
                     uint8_t head[32])
{
    enum { HEAD_AT = 13, DIGEST_AT = HEAD_AT + 32, LINK_SZ = DIGEST_AT + 32 };
    kh_sha256_text texts[KH_ATTEST_AT_ONCE], links[KH_ATTEST_AT_ONCE];
    uint8_t salts[KH_ATTEST_AT_ONCE][KH_SALT_TEXT_SZ], digests[KH_ATTEST_AT_ONCE][32],
        leaves[KH_ATTEST_AT_ONCE][1 + KH_LEAF_RECEIPT_SZ], messages[KH_ATTEST_AT_ONCE][LINK_SZ];
    KH_ASSERT(cnt <= KH_ATTEST_AT_ONCE);
    if (cnt == 0) return;
    for (uint32_t i = 0; i < cnt; i++) {
        kh_attest_salt_text(seed, items[i].leaf, salts[i]);
        texts[i] = (kh_sha256_text){salts[i], KH_SALT_TEXT_SZ, digests[i]};
    }
    kh_sha256_each(texts, cnt);
    for (uint32_t i = 0; i < cnt; i++) {
        memcpy(items[i].salt, digests[i], KH_SALT_SZ);
        memcpy(messages[i], "kanhe/output", HEAD_AT); /* with its NUL */
        texts[i] = (kh_sha256_text){items[i].payload, items[i].payload_sz, messages[i] + DIGEST_AT};
    }
    kh_sha256_each(texts, cnt);
    memcpy(messages[0] + HEAD_AT, head, 32);
    for (uint32_t i = 0; i < cnt; i++) {
        const kh_attest_item *item = &items[i];
        const uint8_t *digest = messages[i] + DIGEST_AT;
        bool receipt = item->kind == KH_OUTPUT_RECEIPT;
        leaves[i][0] = 0; /* as kh_merkle_leaf has it */
        if (receipt) leaf_receipt(item->salt, chain, height, item->batch, item->op_index, item->op_digest, digest, leaves[i] + 1);
        else leaf_other((uint8_t)item->kind, item->salt, chain, height, digest, leaves[i] + 1);
        texts[i] = (kh_sha256_text){leaves[i], 1 + (receipt ? KH_LEAF_RECEIPT_SZ : KH_LEAF_NOTICE_SZ), item->ret_leaf};
        links[i] = (kh_sha256_text){messages[i], LINK_SZ, i + 1 < cnt ? messages[i + 1] + HEAD_AT : head};
    }
    kh_sha256_beside(links, cnt, texts, cnt);
}

void kh_attest_head_leaf(const uint8_t seed[32], uint32_t party, uint64_t count, const uint8_t head[32], uint8_t ret[32])
{
    uint8_t salt[KH_SALT_SZ], data[KH_LEAF_HEAD_SZ];
    kh_attest_salt(seed, 0, salt);
    kh_leaf_head(salt, party, count, head, data);
    kh_merkle_leaf(data, sizeof data, ret);
}

void kh_attest_fill_leaves(const uint8_t seed[32], uint32_t from, uint32_t cnt, uint8_t (*ret_leaves)[32])
{
    kh_sha256_text texts[KH_ATTEST_AT_ONCE];
    uint8_t salts[KH_ATTEST_AT_ONCE][KH_SALT_TEXT_SZ], digests[KH_ATTEST_AT_ONCE][32],
        leaves[KH_ATTEST_AT_ONCE][1 + KH_LEAF_FILL_SZ];
    for (uint32_t n; from < cnt; from += n) {
        n = cnt - from < KH_ATTEST_AT_ONCE ? cnt - from : KH_ATTEST_AT_ONCE;
        for (uint32_t i = 0; i < n; i++) {
            kh_attest_salt_text(seed, from + i, salts[i]);
            texts[i] = (kh_sha256_text){salts[i], KH_SALT_TEXT_SZ, digests[i]};
        }
        kh_sha256_each(texts, n);
        for (uint32_t i = 0; i < n; i++) {
            leaves[i][0] = 0; /* as kh_merkle_leaf has it */
            kh_leaf_fill(digests[i], leaves[i] + 1);
            texts[i] = (kh_sha256_text){leaves[i], sizeof leaves[i], ret_leaves[from + i]};
        }
        kh_sha256_each(texts, n);
    }
}

void kh_attest_top_leaf(uint32_t party, const uint8_t root[32], uint8_t ret[32])
{
    static const uint8_t zeros[32];
    uint8_t data[36];
    kh_leaf_party(party, root != NULL ? root : zeros, data);
    kh_merkle_leaf(data, sizeof data, ret);
}
