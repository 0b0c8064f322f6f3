/* The RFC 6962 tree and HMAC for the unit tests of attest, as plainly as they can be written. */
#include "crypto/digest.h"
#include "crypto/merkle.h"
#include "crypto/suite.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

void kh_merkle_leaf(const void *data, size_t n, uint8_t ret[32])
{
    kh_sha256_state s;
    kh_sha256_init(&s);
    kh_sha256_update(&s, "\0", 1);
    kh_sha256_update(&s, data, n);
    kh_sha256_final(&s, ret);
}
void kh_merkle_node(const uint8_t left[32], const uint8_t right[32], uint8_t ret[32])
{
    kh_sha256_state s;
    kh_sha256_init(&s);
    kh_sha256_update(&s, "\1", 1);
    kh_sha256_update(&s, left, 32);
    kh_sha256_update(&s, right, 32);
    kh_sha256_final(&s, ret);
}
static uint32_t left_of(uint32_t n)
{
    uint32_t k = 1;
    while (k * 2 < n) k *= 2;
    return k;
}
void kh_merkle_root(uint8_t (*leaves)[32], uint32_t n, uint8_t ret[32])
{
    if (n == 0) {
        kh_sha256("", 0, ret);
        return;
    }
    if (n == 1) {
        memmove(ret, leaves[0], 32);
        return;
    }
    uint8_t l[32], r[32];
    kh_merkle_root(leaves, left_of(n), l);
    kh_merkle_root(leaves + left_of(n), n - left_of(n), r);
    kh_merkle_node(l, r, ret);
}
uint32_t kh_merkle_path(uint8_t (*leaves)[32], uint32_t n, uint32_t index, uint8_t ret[KH_MERKLE_PATH_MAX][32])
{
    if (n <= 1) return 0;
    uint32_t k = left_of(n), used;
    if (index < k) {
        used = kh_merkle_path(leaves, k, index, ret);
        kh_merkle_root(leaves + k, n - k, ret[used]);
    } else {
        used = kh_merkle_path(leaves + k, n - k, index - k, ret);
        kh_merkle_root(leaves, k, ret[used]);
    }
    return used + 1;
}
bool kh_merkle_fold(const uint8_t leaf[32], uint32_t index, uint32_t n, const uint8_t (*path)[32], uint32_t path_n,
                    uint8_t ret[32])
{
    if (index >= n) return false;
    if (n == 1) {
        memcpy(ret, leaf, 32);
        return path_n == 0;
    }
    if (path_n == 0) return false;
    uint32_t k = left_of(n);
    uint8_t below[32];
    if (!(index < k ? kh_merkle_fold(leaf, index, k, path, path_n - 1, below)
                    : kh_merkle_fold(leaf, index - k, n - k, path, path_n - 1, below)))
        return false;
    if (index < k) kh_merkle_node(below, path[path_n - 1], ret);
    else kh_merkle_node(path[path_n - 1], below, ret);
    return true;
}
void kh_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, uint8_t ret[32])
{
    unsigned int size = 32;
    KH_ASSERT(HMAC(EVP_sha256(), key, (int)key_n, p, n, ret, &size) != NULL);
}
