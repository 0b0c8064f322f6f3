/* Unit tests of suite: what is refused, each rule by itself, and that no byte may change. */
#include "crypto/suite.h"
#include "crypto/suite_gm_der.h"
#include "crypto/suite_inside.h"
#include "host/host.h"
#include "suite_keys.h"
#include <criterion/criterion.h>

static const kh_suite suites[2] = {KH_SUITE_INTL, KH_SUITE_GM};

/* p = 2^255 - 19 and L, the lowest byte first; p and n of SM2, the highest first */
#define ED_P "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
#define ED_L "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"
#define SM2_P "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"
#define SM2_N "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"

Test(suite_refused, ed25519_points)
{
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", /* order 4 */
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000", /* order 1 */
        "0100000000000000000000000000000000000000000000000000000000000080", /* the same, x = -0 */
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* order 2 */
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", /* order 8 */
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        ED_P,                                                               /* 0, not canonical */
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* 1, not canonical */
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* 3, on the curve, not canonical */
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0200000000000000000000000000000000000000000000000000000000000000", /* not on the curve */
        "0700000000000000000000000000000000000000000000000000000000000080",
    };
    uint8_t key[64] = {3}, signature[64] = {3};
    cr_assert(kh_public_sound(KH_SUITE_INTL, false, key), "y = 3 is on the curve");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(key, 0, sizeof key);
        unhex(bad[i], key);
        cr_assert(!kh_public_sound(KH_SUITE_INTL, false, key), "%s", bad[i]);
        cr_assert(!kh_verify_signature(KH_SUITE_INTL, key, "", 0, signature));
    }
    for (size_t i = 32; i < 64; i++) { /* zeros behind the 32 bytes */
        memset(key, 0, sizeof key);
        key[0] = 3;
        key[i] = 1;
        cr_assert(!kh_public_sound(KH_SUITE_INTL, false, key) && !kh_public_sound(KH_SUITE_INTL, true, key));
    }
}

/* With a public key of order 1, R = S B holds for every message: a library that does not look would take it. */
Test(suite_refused, a_signature_that_fits_every_message)
{
    uint8_t key[64] = {1}, signature[64] = {0};
    signature[0] = 1; /* R = the identity, S = 0 */
    cr_assert(!kh_verify_signature(KH_SUITE_INTL, key, "any", 3, signature));
}

Test(suite_refused, ed25519_signatures)
{
    uint8_t secret[32] = {5}, key[64], good[64], s[64], order[32], other[64];
    kh_signer *signer;
    unhex(ED_L, order);
    cr_assert(kh_signer_new(KH_SUITE_INTL, secret, &signer) == KH_OK);
    kh_signer_public(signer, key);
    cr_assert(kh_sign(signer, "m", 1, good) == KH_OK && kh_verify_signature(KH_SUITE_INTL, key, "m", 1, good));
    kh_signer_free(signer);
    memcpy(s, good, 64); /* S + L: the same number mod L */
    for (uint32_t i = 0, carry = 0; i < 32; i++) {
        carry += s[32 + i] + order[i];
        s[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    cr_assert(!kh_verify_signature(KH_SUITE_INTL, key, "m", 1, s));
    memcpy(s, good, 64);
    memcpy(s + 32, order, 32);
    cr_assert(!kh_verify_signature(KH_SUITE_INTL, key, "m", 1, s));
    for (size_t bit = 0; bit < 512; bit++) {
        memcpy(s, good, 64);
        s[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!kh_verify_signature(KH_SUITE_INTL, key, "m", 1, s), "bit %zu of the signature", bit);
        memcpy(other, key, 64);
        other[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!kh_verify_signature(KH_SUITE_INTL, other, "m", 1, good), "bit %zu of the key", bit);
    }
    cr_assert(!kh_verify_signature(KH_SUITE_INTL, key, "n", 1, good) && !kh_verify_signature((kh_suite)0, key, "m", 1, good));
}

/* Points of Curve25519 that are refused: of small order first, of which every secret makes zeros. */
enum { SMALL_POINTS = 7, BAD_POINTS = 9 };
static const char *const bad_points[BAD_POINTS] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ED_P,
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* 9, not canonical */
    "0900000000000000000000000000000000000000000000000000000000000080", /* the highest bit, which the RFC masks */
};

Test(suite_refused, x25519_points)
{
    uint8_t key[64] = {9}, secret[32] = {1}, wrap[80], back[32];
    kh_entropy entropy = kh_host_entropy();
    kh_box *box;
    cr_assert(kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK);
    cr_assert(kh_public_sound(KH_SUITE_INTL, true, key));
    for (size_t i = 0; i < BAD_POINTS; i++) {
        memset(key, 0, sizeof key);
        unhex(bad_points[i], key);
        cr_assert(!kh_public_sound(KH_SUITE_INTL, true, key), "%s", bad_points[i]);
        cr_assert(kh_wrap(KH_SUITE_INTL, key, &entropy, "", 0, secret, wrap) == KH_E_ARG);
        memset(wrap, 0, sizeof wrap);
        memcpy(wrap, key, 32);
        cr_assert(!kh_unwrap(box, "", 0, wrap, back));
    }
    kh_box_free(box);
}

/* Of a point of small order every secret comes to the same zeros, which anybody knows: no key is made of them, though whoever
 * asks has not looked at the point before. */
Test(suite_refused, x25519_agreement_on_zeros)
{
    uint8_t key[KH_PUBLIC_SZ] = {9}, secret[32] = {1}, info[32] = {0}, wrap[80], none[80] = {0};
    kh_entropy entropy = kh_host_entropy();
    cr_assert(kh_suite_intl.wrap(key, &entropy, info, secret, wrap) == KH_OK);
    for (size_t i = 0; i < SMALL_POINTS; i++) {
        memset(wrap, 0, sizeof wrap);
        memset(key, 0, sizeof key);
        unhex(bad_points[i], key);
        cr_assert(kh_suite_intl.wrap(key, &entropy, info, secret, wrap) == KH_E_ARG, "%s", bad_points[i]);
        cr_assert(memcmp(wrap, none, sizeof wrap) == 0);
    }
}

Test(suite_refused, sm2_keys_and_points)
{
    static const char *const bad_secrets[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                              "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122", /* n - 1 */
                                              SM2_N, "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    static const char last_secret[] = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54121"; /* n - 2 */
    uint8_t secret[32], key[64], p[32], other[64];
    kh_signer *signer;
    kh_box *box;
    for (size_t i = 0; i < 4; i++) {
        unhex(bad_secrets[i], secret);
        cr_assert(kh_signer_new(KH_SUITE_GM, secret, &signer) == KH_E_ARG && kh_box_new(KH_SUITE_GM, secret, &box) == KH_E_ARG);
    }
    unhex(last_secret, secret);
    cr_assert(kh_signer_new(KH_SUITE_GM, secret, &signer) == KH_OK);
    kh_signer_free(signer);
    unhex(SM2_PUBLIC, key);
    unhex(SM2_P, p);
    for (size_t bit = 0; bit < 512; bit++) { /* off the curve, all but by the rarest chance */
        memcpy(other, key, 64);
        other[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!kh_public_sound(KH_SUITE_GM, false, other), "bit %zu", bit);
    }
    memset(other, 0, 64);
    cr_assert(!kh_public_sound(KH_SUITE_GM, true, other), "what stands for no point");
    /* x = 0 has a point: y^2 = b. Written as x = p it is the same point, and refused. */
    unhex("0000000000000000000000000000000000000000000000000000000000000000"
          "fd4511e81736a60f07e88a83d6cf5a167fae6d1a9c9330e76e232e00f5cdc154",
          other);
    cr_assert(kh_public_sound(KH_SUITE_GM, false, other));
    memcpy(other, p, 32);
    cr_assert(!kh_public_sound(KH_SUITE_GM, false, other));
}

Test(suite_refused, sm2_signatures)
{
    uint8_t key[64], good[64], s[64];
    unhex(SM2_PUBLIC, key);
    unhex(SM2_SIGNATURE, good);
    cr_assert(kh_verify_signature(KH_SUITE_GM, key, "message digest", 14, good));
    for (int half = 0; half < 2; half++) {
        memcpy(s, good, 64);
        memset(s + 32 * half, 0, 32);
        cr_assert(!kh_verify_signature(KH_SUITE_GM, key, "message digest", 14, s), "zero");
        unhex(SM2_N, s + 32 * half);
        cr_assert(!kh_verify_signature(KH_SUITE_GM, key, "message digest", 14, s), "n");
        memset(s + 32 * half, 0xff, 32);
        cr_assert(!kh_verify_signature(KH_SUITE_GM, key, "message digest", 14, s), "above n");
    }
    for (size_t bit = 0; bit < 512; bit += 7) {
        memcpy(s, good, 64);
        s[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!kh_verify_signature(KH_SUITE_GM, key, "message digest", 14, s), "bit %zu", bit);
    }
}

Test(suite_refused, wraps_and_bodies_with_a_changed_byte)
{
    kh_entropy entropy = kh_host_entropy();
    for (int i = 0; i < 2; i++) {
        uint8_t secret[32] = {0x31, 4}, other_secret[32] = {0x27, 1}, public_key[64], wrap[KH_WRAP_MAX_SZ], back[32];
        uint8_t text[50], sealed[50], tag[KH_SEAL_TAG_MAX_SZ], aad[20] = {1};
        size_t wrap_n = kh_wrap_sz(suites[i]), tag_n = kh_seal_tag_sz(suites[i]);
        kh_box *box, *other;
        cr_assert(kh_box_new(suites[i], secret, &box) == KH_OK && kh_box_new(suites[i], other_secret, &other) == KH_OK);
        kh_box_public(box, public_key);
        cr_assert(kh_wrap(suites[i], public_key, &entropy, "info", 4, secret, wrap) == KH_OK);
        cr_assert(kh_unwrap(box, "info", 4, wrap, back) && memcmp(back, secret, 32) == 0);
        cr_assert(!kh_unwrap(other, "info", 4, wrap, back), "another's key");
        for (size_t at = 0; at < wrap_n; at++) {
            wrap[at] ^= 0x40;
            cr_assert(!kh_unwrap(box, "info", 4, wrap, back), "%s: byte %zu of the wrap", kh_suite_word(suites[i]), at);
            wrap[at] ^= 0x40;
        }
        memset(text, 7, sizeof text);
        cr_assert(kh_seal(suites[i], secret, aad, sizeof aad, text, sizeof text, tag) == KH_OK);
        memcpy(sealed, text, sizeof text);
        for (size_t at = 0; at < sizeof text + tag_n + sizeof aad + 32; at++) {
            uint8_t *p = at < sizeof text                ? &text[at]
                         : at < sizeof text + tag_n      ? &tag[at - sizeof text]
                         : at < sizeof text + tag_n + 32 ? &secret[at - sizeof text - tag_n]
                                                         : &aad[at - sizeof text - tag_n - 32];
            *p ^= 2;
            cr_assert(!kh_unseal(suites[i], secret, aad, sizeof aad, text, sizeof text, tag), "place %zu", at);
            memcpy(text, sealed, sizeof text);
            if (at >= sizeof text) *p ^= 2;
        }
        cr_assert(!kh_unseal(suites[i], secret, aad, sizeof aad - 1, text, sizeof text, tag));
        memcpy(text, sealed, sizeof text);
        cr_assert(!kh_unseal(suites[i], secret, aad, sizeof aad, text, sizeof text - 1, tag));
        memcpy(text, sealed, sizeof text);
        cr_assert(kh_unseal(suites[i], secret, aad, sizeof aad, text, sizeof text, tag) && text[0] == 7);
        kh_box_free(box);
        kh_box_free(other);
    }
}

Test(suite_refused, der_that_is_not_canonical)
{
    uint8_t plain[128], back[128], der[KH_GM_WRAP_DER_MAX], bad[KH_GM_WRAP_DER_MAX + 1] = {0};
    for (size_t i = 0; i < 128; i++) plain[i] = (uint8_t)(i * 7 + 1);
    for (int form = 0; form < 3; form++) { /* high bit, plain, leading zeros */
        plain[0] = form == 0 ? 0x90 : form == 1 ? 0x10 : 0;
        plain[1] = form == 2 ? 0 : 0x80;
        size_t n = kh_gm_wrap_to_der(plain, der);
        cr_assert(kh_gm_wrap_of_der(der, n, back) && memcmp(plain, back, 128) == 0);
        n = kh_gm_signature_to_der(plain, der);
        cr_assert(kh_gm_signature_of_der(der, n, back) && memcmp(plain, back, 64) == 0);
        for (size_t cut = 0; cut < n; cut++) cr_assert(!kh_gm_signature_of_der(der, cut, back));
        memcpy(bad, der, n);
        cr_assert(!kh_gm_signature_of_der(bad, n + 1, back), "bytes behind it");
        bad[0] ^= 1;
        cr_assert(!kh_gm_signature_of_der(bad, n, back), "another tag");
    }
    static const uint8_t padded[] = {0x30, 7, 2, 2, 0, 1, 2, 1, 1}, negative[] = {0x30, 6, 2, 1, 0x81, 2, 1, 1},
                         empty[] = {0x30, 5, 2, 0, 2, 1, 1}, longer[] = {0x30, 0x81, 6, 2, 1, 1, 2, 1, 1},
                         fine[] = {0x30, 6, 2, 1, 1, 2, 1, 1};
    cr_assert(!kh_gm_signature_of_der(padded, sizeof padded, back) && !kh_gm_signature_of_der(negative, sizeof negative, back));
    cr_assert(!kh_gm_signature_of_der(empty, sizeof empty, back) && !kh_gm_signature_of_der(longer, sizeof longer, back));
    cr_assert(kh_gm_signature_of_der(fine, sizeof fine, back) && back[31] == 1 && back[63] == 1);
}
