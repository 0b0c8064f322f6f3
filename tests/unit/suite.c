/* Unit tests of suite: vectors of the standards, what an independent implementation made from the same bytes, round trips, use
 * from many threads. suite_2.c: what is refused.
 *
 * Sources: RFC 8032 section 7.1, RFC 7748 section 6.1, RFC 4231, RFC 5869 appendix A, GB/T 32918.5 annexes A and C (a signature
 * and an encryption with the key of annex A). */
#include "crypto/suite.h"
#include "host/host.h"
#include "suite_keys.h"
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>

Test(suite, words)
{
    kh_suite s;
    cr_assert(kh_suite_of("intl", &s) && s == KH_SUITE_INTL && kh_suite_of("gm", &s) && s == KH_SUITE_GM);
    cr_assert(!kh_suite_of("", &s) && !kh_suite_of("GM", &s));
    cr_assert(strcmp(kh_suite_word(KH_SUITE_GM), "gm") == 0 && kh_suite_word((kh_suite)3) == NULL && kh_suite_word(0) == NULL);
    cr_assert(kh_wrap_sz(KH_SUITE_INTL) == 80 && kh_wrap_sz(KH_SUITE_GM) == 128 && kh_wrap_sz((kh_suite)3) == 0);
    cr_assert(kh_seal_tag_sz(KH_SUITE_INTL) == 16 && kh_seal_tag_sz(KH_SUITE_GM) == 32 && kh_seal_tag_sz(0) == 0);
}

static const struct {
    const char *secret, *public_key, *message, *signature;
} ed25519[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7"
     "a1"
     "00b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612b"
     "b0"
     "c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1"
     "ec"
     "40a"},
};

Test(suite, ed25519_of_rfc_8032)
{
    for (size_t i = 0; i < sizeof ed25519 / sizeof ed25519[0]; i++) {
        uint8_t secret[32], public_key[64] = {0}, message[8], signature[64], mine[64];
        kh_signer *signer;
        unhex(ed25519[i].secret, secret);
        unhex(ed25519[i].public_key, public_key);
        unhex(ed25519[i].signature, signature);
        size_t n = unhex(ed25519[i].message, message);
        cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &signer) == KH_OK);
        kh_signer_public(signer, mine);
        cr_assert(memcmp(mine, public_key, 64) == 0);
        cr_assert(kh_sign(signer, message, n, mine) == KH_OK && memcmp(mine, signature, 64) == 0, "vector %zu", i);
        cr_assert(kh_verify_signature(KH_SUITE_INTL, public_key, message, n, signature));
        cr_assert(!kh_verify_signature(KH_SUITE_GM, public_key, message, n, signature));
        cr_assert(kh_public_sound(KH_SUITE_INTL, false, public_key));
        kh_signer_free(signer);
    }
}

/* The shared secret itself is not seen from outside: the public keys are, and a wrap that was made elsewhere. */
Test(suite, x25519_of_rfc_7748_and_a_wrap_made_elsewhere)
{
    static const char *const pairs[2][2] = {{ALICE_SECRET, ALICE_PUBLIC}, {BOB_SECRET, BOB_PUBLIC}};
    uint8_t secret[32], public_key[64] = {0}, mine[64], wrap[80], want[32];
    kh_box *box = NULL;
    for (int i = 0; i < 2; i++) {
        kh_box_free(box);
        unhex(pairs[i][0], secret);
        unhex(pairs[i][1], public_key);
        cr_assert(kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK);
        kh_box_public(box, mine);
        cr_assert(memcmp(mine, public_key, 64) == 0);
        cr_assert(kh_public_sound(KH_SUITE_INTL, true, public_key));
    }
    for (int i = 0; i < 32; i++) want[i] = (uint8_t)i;
    unhex(WRAP_TO_BOB, wrap);
    cr_assert(kh_unwrap(box, "info", 4, wrap, secret) && memcmp(secret, want, 32) == 0);
    cr_assert(!kh_unwrap(box, "Info", 4, wrap, secret));
    kh_box_free(box);
}

Test(suite, sm2_of_the_standard)
{
    static const char message[] = "message digest";
    uint8_t secret[32], public_key[64], signature[64], mine[64], wrap[128], want[32];
    kh_signer *signer;
    kh_box *box;
    unhex(SM2_SECRET, secret);
    unhex(SM2_PUBLIC, public_key);
    unhex(SM2_SIGNATURE, signature);
    unhex(WRAP_TO_SM2, wrap);
    cr_assert(kh_signer_new(KH_SUITE_GM, secret, &signer) == KH_OK);
    kh_signer_public(signer, mine);
    cr_assert(memcmp(mine, public_key, 64) == 0);
    cr_assert(kh_public_sound(KH_SUITE_GM, false, public_key) && kh_public_sound(KH_SUITE_GM, true, public_key));
    cr_assert(kh_verify_signature(KH_SUITE_GM, public_key, message, strlen(message), signature));
    cr_assert(!kh_verify_signature(KH_SUITE_GM, public_key, message, strlen(message) - 1, signature));
    cr_assert(kh_sign(signer, message, strlen(message), mine) == KH_OK);
    cr_assert(kh_verify_signature(KH_SUITE_GM, public_key, message, strlen(message), mine));
    cr_assert(!kh_verify_signature(KH_SUITE_INTL, public_key, message, strlen(message), mine));
    kh_signer_free(signer);
    cr_assert(kh_box_new(KH_SUITE_GM, secret, &box) == KH_OK);
    kh_box_public(box, mine);
    cr_assert(memcmp(mine, public_key, 64) == 0);
    for (int i = 0; i < 32; i++) want[i] = (uint8_t)i;
    cr_assert(kh_unwrap(box, NULL, 0, wrap, secret) && memcmp(secret, want, 32) == 0);
    kh_box_free(box);
}

Test(suite, keyed_digests)
{
    /* RFC 4231, cases 1, 2, 6; RFC 5869, cases 1 and 3 */
    static const struct {
        const char *key, *data, *want;
    } hmacs[] = {{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
                 {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"}};
    uint8_t key[131], data[64], got[82], want[82];
    for (size_t i = 0; i < 2; i++) {
        size_t key_n = unhex(hmacs[i].key, key), n = unhex(hmacs[i].data, data);
        unhex(hmacs[i].want, want);
        kh_hmac_sha256(key, key_n, data, n, got);
        cr_assert(memcmp(got, want, 32) == 0, "case %zu", i);
    }
    memset(key, 0xaa, sizeof key);
    kh_hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, got);
    unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", want);
    cr_assert(memcmp(got, want, 32) == 0);
    memset(key, 0x0b, 22);
    unhex("000102030405060708090a0b0c", data);
    unhex("f0f1f2f3f4f5f6f7f8f9", data + 32);
    kh_hkdf_sha256(data, 13, key, 22, data + 32, 10, got, 42);
    unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", want);
    cr_assert(memcmp(got, want, 42) == 0);
    kh_hkdf_sha256(NULL, 0, key, 22, NULL, 0, got, 42);
    unhex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8", want);
    cr_assert(memcmp(got, want, 42) == 0);
}

static const kh_suite suites[2] = {KH_SUITE_INTL, KH_SUITE_GM};

Test(suite, bodies_sealed_elsewhere)
{
    static const char *const sealed[2] = {SEALED_INTL, SEALED_GM};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(SEALED_TEXT), tag_n = kh_seal_tag_sz(suites[i]);
        uint8_t key[32], want[128], text[64], tag[32];
        for (int k = 0; k < 32; k++) key[k] = (uint8_t)k;
        cr_assert(unhex(sealed[i], want) == n + tag_n);
        memcpy(text, SEALED_TEXT, n);
        cr_assert(kh_seal(suites[i], key, "head", 4, text, n, tag) == KH_OK);
        cr_assert(memcmp(text, want, n) == 0 && memcmp(tag, want + n, tag_n) == 0, "%s", kh_suite_word(suites[i]));
        cr_assert(kh_unseal(suites[i], key, "head", 4, text, n, tag) && memcmp(text, SEALED_TEXT, n) == 0);
    }
}

/* One key, many threads: every answer is as on one. */
typedef struct shared {
    kh_suite suite;
    const kh_signer *signer;
    const kh_box *box;
    uint32_t first, wrong;
} shared;

static void *use(void *ctx)
{
    shared *s = ctx;
    kh_entropy entropy = kh_host_entropy();
    uint8_t public_key[64], box_public[64];
    kh_signer_public(s->signer, public_key);
    kh_box_public(s->box, box_public);
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t message[8], signature[64], wrap[KH_WRAP_MAX_SZ], secret[32], back[32];
        kh_store64(message, s->first + i);
        if (entropy.fill(entropy.self, secret, 32) != KH_OK) s->wrong++;
        if (kh_sign(s->signer, message, 8, signature) != KH_OK ||
            !kh_verify_signature(s->suite, public_key, message, 8, signature))
            s->wrong++;
        if (kh_wrap(s->suite, box_public, &entropy, message, 8, secret, wrap) != KH_OK) s->wrong++;
        if (!kh_unwrap(s->box, message, 8, wrap, back) || memcmp(secret, back, 32) != 0) s->wrong++;
    }
    return NULL;
}

Test(suite, one_key_in_many_threads)
{
    for (int i = 0; i < 2; i++) {
        uint8_t secret[32] = {7, 1, 2, 3};
        kh_signer *signer;
        kh_box *box;
        pthread_t threads[4];
        shared each[4];
        cr_assert(kh_signer_new(suites[i], secret, &signer) == KH_OK && kh_box_new(suites[i], secret, &box) == KH_OK);
        for (uint32_t t = 0; t < 4; t++) {
            each[t] = (shared){.suite = suites[i], .signer = signer, .box = box, .first = 1000 * t};
            cr_assert(pthread_create(&threads[t], NULL, use, &each[t]) == 0);
        }
        for (int t = 0; t < 4; t++) {
            cr_assert(pthread_join(threads[t], NULL) == 0);
            cr_assert(each[t].wrong == 0);
        }
        kh_signer_free(signer);
        kh_box_free(box);
    }
}

/* ---- libsodium, which verifies, against OpenSSL ---- */
static bool openssl_verifies(const uint8_t public_key[32], const uint8_t *message, size_t n, const uint8_t signature[64])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 && EVP_DigestVerify(ctx, signature, 64, message, n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good;
}

/* A key with a part of order 8: whether a signature holds depends on what is done about the cofactor, and on the message. */
Test(suite, both_libraries_agree_on_keys_with_a_small_part)
{
    uint8_t small[32], secret[64], wide[64], public_key[64] = {0}, r[32], a[32], h[32], signature[64];
    uint32_t good = 0, bad = 0;
    unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", small);
    for (uint32_t i = 0; i < 64; i++) {
        uint8_t message[4], hashed[68];
        kh_store32(message, i);
        memset(secret, (int)i + 1, sizeof secret);
        crypto_core_ed25519_scalar_reduce(a, secret);
        cr_assert(crypto_scalarmult_ed25519_base_noclamp(public_key, a) == 0);
        cr_assert(crypto_core_ed25519_add(public_key, public_key, small) == 0);
        memset(secret, 0x80 + (int)i, sizeof secret);
        crypto_core_ed25519_scalar_reduce(r, secret);
        cr_assert(crypto_scalarmult_ed25519_base_noclamp(signature, r) == 0);
        memcpy(hashed, signature, 32);
        memcpy(hashed + 32, public_key, 32);
        memcpy(hashed + 64, message, 4);
        crypto_hash_sha512(wide, hashed, sizeof hashed);
        crypto_core_ed25519_scalar_reduce(h, wide);
        crypto_core_ed25519_scalar_mul(h, h, a);
        crypto_core_ed25519_scalar_add(signature + 32, h, r);
        bool ours = kh_verify_signature(KH_SUITE_INTL, public_key, message, sizeof message, signature);
        cr_assert(ours == openssl_verifies(public_key, message, sizeof message, signature), "message %u", i);
        if (ours) good++;
        else bad++;
    }
    cr_assert(good > 0 && bad > 0);
}
