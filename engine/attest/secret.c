/* secret: salts and posted digests, from what the hubs alone know. */
#include "attest/inside.h"
#include "crypto/digest.h"

void kh_attest_secret(const uint8_t group_secret[KH_SECRET_SZ], uint8_t ret[32])
{
    static const char tag[] = "kanhe/hubs";
    kh_hmac_sha256(group_secret, KH_SECRET_SZ, tag, sizeof tag, ret);
}

void kh_attest_salt_seed(const uint8_t secret[32], uint64_t height, uint32_t party, uint8_t ret[32])
{
    uint8_t message[5 + 8 + 4] = "salts";
    kh_store64(message + 5, height);
    kh_store32(message + 13, party);
    kh_hmac_sha256(secret, 32, message, sizeof message, ret);
}

void kh_attest_salt_text(const uint8_t seed[32], uint32_t leaf, uint8_t ret[KH_SALT_TEXT_SZ])
{
    memcpy(ret, seed, 32);
    kh_store32(ret + 32, leaf);
}

void kh_attest_salt(const uint8_t seed[32], uint32_t leaf, uint8_t ret[KH_SALT_SZ])
{
    uint8_t message[KH_SALT_TEXT_SZ], digest[32];
    kh_attest_salt_text(seed, leaf, message);
    kh_sha256(message, sizeof message, digest);
    memcpy(ret, digest, KH_SALT_SZ);
}

void kh_attest_posted(const uint8_t secret[32], uint64_t height, const uint8_t chain[32], const uint8_t *checkpoint,
                      uint8_t ret[32])
{
    uint8_t message[7 + 8 + 32 + 32] = "posted"; /* with its NUL */
    kh_store64(message + 7, height);
    memcpy(message + 15, chain, 32);
    if (checkpoint != NULL) memcpy(message + 47, checkpoint, 32);
    kh_hmac_sha256(secret, 32, message, checkpoint != NULL ? 79 : 47, ret);
}
