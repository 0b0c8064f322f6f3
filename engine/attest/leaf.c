/* leaf: the data of each kind of leaf, and its hash. */
#include "attest/inside.h"

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

void kh_leaf_notice(const uint8_t salt[KH_SALT_SZ], const uint8_t chain[32], uint64_t height, const uint8_t payload_digest[32],
                    uint8_t ret[KH_LEAF_NOTICE_SZ])
{
    uint8_t *at = begin(ret, KH_OUTPUT_NOTICE, salt);
    memcpy(at, chain, 32);
    kh_store64(at + 32, height);
    memcpy(at + 40, payload_digest, 32);
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

void kh_attest_output_leaf(const uint8_t seed[32], uint32_t leaf, const uint8_t chain[32], uint64_t height, kh_output_kind kind,
                           const uint8_t batch[32], uint32_t op_index, const uint8_t op_digest[32],
                           const uint8_t payload_digest[32], uint8_t ret[32])
{
    uint8_t salt[KH_SALT_SZ], data[KH_LEAF_RECEIPT_SZ];
    kh_attest_salt(seed, leaf, salt);
    if (kind == KH_OUTPUT_RECEIPT) {
        leaf_receipt(salt, chain, height, batch, op_index, op_digest, payload_digest, data);
        kh_merkle_leaf(data, KH_LEAF_RECEIPT_SZ, ret);
    } else {
        kh_leaf_notice(salt, chain, height, payload_digest, data);
        kh_merkle_leaf(data, KH_LEAF_NOTICE_SZ, ret);
    }
}

void kh_attest_head_leaf(const uint8_t seed[32], uint32_t party, uint64_t count, const uint8_t head[32], uint8_t ret[32])
{
    uint8_t salt[KH_SALT_SZ], data[KH_LEAF_HEAD_SZ];
    kh_attest_salt(seed, 0, salt);
    kh_leaf_head(salt, party, count, head, data);
    kh_merkle_leaf(data, sizeof data, ret);
}

void kh_attest_fill_leaf(const uint8_t seed[32], uint32_t leaf, uint8_t ret[32])
{
    uint8_t salt[KH_SALT_SZ], data[KH_LEAF_FILL_SZ];
    kh_attest_salt(seed, leaf, salt);
    kh_leaf_fill(salt, data);
    kh_merkle_leaf(data, sizeof data, ret);
}

void kh_attest_top_leaf(uint32_t party, const uint8_t root[32], uint8_t ret[32])
{
    static const uint8_t zeros[32];
    uint8_t data[36];
    kh_leaf_party(party, root != NULL ? root : zeros, data);
    kh_merkle_leaf(data, sizeof data, ret);
}
