/* keyed: HMAC (RFC 2104) and HKDF (RFC 5869) with SHA-256, on the functions of digest.h: nothing is fetched or allocated. */
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/suite.h"

enum { BLOCK_SZ = 64 };

typedef struct keyed {
    kh_sha256_state inner;
    uint8_t outer[BLOCK_SZ];
} keyed;

static void keyed_begin(keyed *k, const void *key, size_t key_n)
{
    uint8_t block[BLOCK_SZ] = {0};
    if (key_n > BLOCK_SZ) kh_sha256(key, key_n, block);
    else if (key_n > 0) memcpy(block, key, key_n);
    for (int i = 0; i < BLOCK_SZ; i++) {
        k->outer[i] = block[i] ^ 0x5c;
        block[i] ^= 0x36;
    }
    kh_sha256_init(&k->inner);
    kh_sha256_update(&k->inner, block, BLOCK_SZ);
    kh_aead_wipe(block, sizeof block);
}

static void keyed_add(keyed *k, const void *p, size_t n)
{
    if (n > 0) kh_sha256_update(&k->inner, p, n);
}

static void keyed_end(keyed *k, uint8_t ret[32])
{
    uint8_t inner[32];
    kh_sha256_final(&k->inner, inner);
    kh_sha256_init(&k->inner);
    kh_sha256_update(&k->inner, k->outer, BLOCK_SZ);
    kh_sha256_update(&k->inner, inner, sizeof inner);
    kh_sha256_final(&k->inner, ret);
    kh_aead_wipe(k, sizeof *k);
    kh_aead_wipe(inner, sizeof inner);
}

void kh_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, uint8_t ret[32])
{
    keyed k;
    keyed_begin(&k, key, key_n);
    keyed_add(&k, p, n);
    keyed_end(&k, ret);
}

void kh_hkdf_sha256(const void *salt, size_t salt_n, const void *secret, size_t secret_n, const void *info, size_t info_n,
                    uint8_t *ret, size_t n)
{
    uint8_t extracted[32], step[32];
    KH_ASSERT(n <= 255 * 32);
    kh_hmac_sha256(salt, salt_n, secret, secret_n, extracted); /* no salt: HMAC's padding makes the zeros that the RFC wants */
    for (size_t at = 0, number = 1; at < n; at += 32, number++) {
        uint8_t last = (uint8_t)number;
        keyed k;
        keyed_begin(&k, extracted, sizeof extracted);
        if (number > 1) keyed_add(&k, step, sizeof step);
        keyed_add(&k, info, info_n);
        keyed_add(&k, &last, 1);
        keyed_end(&k, step);
        memcpy(ret + at, step, n - at < 32 ? n - at : 32);
    }
    kh_aead_wipe(extracted, sizeof extracted);
    kh_aead_wipe(step, sizeof step);
}
