/* suite_gm: SM2 signatures and public-key encryption (GB/T 32918.2, .4, the curve of .5), SM3 (GB/T 32905), SM4 (GB/T 32907).
 *
 * Numbers are 32 bytes, the highest first, as the standard writes them. The library wants DER, so it is made and taken apart
 * here. SM2 takes its randomness from the library: the caller's entropy is not used. Bodies: two keys of the content key,
 *   SM4 key = HMAC-SM3(K, "kanhe/sm4\0")[0..16], MAC key = HMAC-SM3(K, "kanhe/mac\0"),
 * SM4-CTR from counter 0 (a content key seals one body), then HMAC-SM3 over {length of the AAD 8, little-endian}, AAD, sealed
 * text. */
#include "crypto/aead.h"
#include "crypto/suite_gm_der.h"
#include "crypto/suite_inside.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>

enum { TAG_SZ = 32, WRAP_SZ = 64 + 32 + 32 };

/* The curve y^2 = x^3 + a x + b over p, with a = p - 3, of order n (GB/T 32918.5, 2). */
static const uint8_t prime[32] = {0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t curve_b[32] = {0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e,
                                    0x4b, 0xcf, 0x65, 0x09, 0xa7, 0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab,
                                    0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93};
static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0x72, 0x03, 0xdf, 0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x23};
static const uint8_t zero[32];

static bool is_below(const uint8_t x[32], const uint8_t bound[32]) { return memcmp(x, bound, 32) < 0; }

/* 0 < x < n */
static bool is_in_order(const uint8_t x[32]) { return memcmp(x, zero, 32) != 0 && is_below(x, order); }

/* Both coordinates below p, and on the curve; the point at infinity has no such form. */
static bool point_sound(const uint8_t p[64])
{
    if (!is_below(p, prime) || !is_below(p + 32, prime)) return false;
    BN_CTX *ctx = BN_CTX_new();
    if (ctx == NULL) return false;
    BN_CTX_start(ctx);
    BIGNUM *m = BN_CTX_get(ctx), *b = BN_CTX_get(ctx), *x = BN_CTX_get(ctx), *y = BN_CTX_get(ctx), *right = BN_CTX_get(ctx);
    bool good = right != NULL && BN_bin2bn(prime, 32, m) != NULL && BN_bin2bn(curve_b, 32, b) != NULL &&
                BN_bin2bn(p, 32, x) != NULL && BN_bin2bn(p + 32, 32, y) != NULL && BN_mod_sqr(y, y, m, ctx) == 1 &&
                BN_mod_sqr(right, x, m, ctx) == 1 && BN_sub_word(right, 3) == 1 && BN_mod_mul(right, right, x, m, ctx) == 1 &&
                BN_mod_add(right, right, b, m, ctx) == 1 && BN_cmp(y, right) == 0;
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return good;
}

static bool public_sound(bool box, const uint8_t public_key[KH_PUBLIC_SZ])
{
    (void)box; /* the order is a prime: no point but infinity has a small one */
    return point_sound(public_key);
}

/* d G; the library's ladder takes the same steps for every d. */
static bool public_of(const uint8_t secret[32], uint8_t ret[64])
{
    uint8_t point[65];
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
    EC_POINT *p = group != NULL ? EC_POINT_new(group) : NULL;
    BIGNUM *d = BN_secure_new();
    bool good = p != NULL && d != NULL && BN_bin2bn(secret, 32, d) != NULL && EC_POINT_mul(group, p, d, NULL, NULL, NULL) == 1 &&
                EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL) == sizeof point;
    if (good) memcpy(ret, point + 1, 64);
    BN_clear_free(d);
    EC_POINT_free(p);
    EC_GROUP_free(group);
    return good;
}

/* secret NULL: a public key alone. */
static EVP_PKEY *pkey_of(const uint8_t *secret, const uint8_t public_key[64])
{
    char group[] = "SM2";
    uint8_t point[65] = {POINT_CONVERSION_UNCOMPRESSED}, scalar[32];
    OSSL_PARAM params[4], *at = params;
    EVP_PKEY *key = NULL;
    memcpy(point + 1, public_key, 64);
    *at++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    *at++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
    if (secret != NULL) {
        for (int i = 0; i < 32; i++) scalar[i] = secret[31 - i]; /* parameters are in the machine's order */
        *at++ = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, scalar, sizeof scalar);
    }
    *at = OSSL_PARAM_construct_end();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    bool good = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
                EVP_PKEY_fromdata(ctx, &key, secret != NULL ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    kh_aead_wipe(scalar, sizeof scalar);
    return good ? key : NULL;
}

static kh_err key_new(bool box, const uint8_t secret[KH_SECRET_SZ], kh_suite_key *ret)
{
    uint8_t last[32];
    (void)box;
    memcpy(last, order, 32);
    last[31]--; /* n - 1 is no key: signing divides by 1 + d */
    if (memcmp(secret, zero, 32) == 0 || !is_below(secret, last)) return KH_E_ARG;
    if (!public_of(secret, ret->public_key)) return KH_E_NOMEM;
    ret->key = pkey_of(secret, ret->public_key);
    return ret->key != NULL ? KH_OK : KH_E_NOMEM;
}

static const char identity[] = "1234567812345678"; /* the default that GM/T 0009 names */

static kh_err sign(const kh_suite_key *key, const void *message, size_t n, uint8_t ret[KH_SIGNATURE_SZ])
{
    uint8_t der[KH_GM_SIGNATURE_DER_MAX], signature[KH_SIGNATURE_SZ];
    size_t der_n = sizeof der;
    EVP_PKEY_CTX *about = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestSignInit(ctx, &about, EVP_sm3(), NULL, key->key) == 1 &&
                EVP_PKEY_CTX_set1_id(about, identity, (int)strlen(identity)) == 1 &&
                EVP_DigestSign(ctx, der, &der_n, message, n) == 1 && kh_gm_signature_of_der(der, der_n, signature);
    EVP_MD_CTX_free(ctx);
    if (good) memcpy(ret, signature, KH_SIGNATURE_SZ);
    return good ? KH_OK : KH_E_NOMEM;
}

static bool verify(const uint8_t public_key[KH_PUBLIC_SZ], const void *message, size_t n,
                   const uint8_t signature[KH_SIGNATURE_SZ])
{
    uint8_t der[KH_GM_SIGNATURE_DER_MAX];
    if (!is_in_order(signature) || !is_in_order(signature + 32) || !point_sound(public_key)) return false;
    size_t der_n = kh_gm_signature_to_der(signature, der);
    EVP_PKEY_CTX *about = NULL;
    EVP_PKEY *key = pkey_of(NULL, public_key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, &about, EVP_sm3(), NULL, key) == 1 &&
                EVP_PKEY_CTX_set1_id(about, identity, (int)strlen(identity)) == 1 &&
                EVP_DigestVerify(ctx, der, der_n, message, n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good;
}

static kh_err wrap(const uint8_t public_key[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t info[32],
                   const uint8_t secret[32], uint8_t *ret)
{
    uint8_t der[KH_GM_WRAP_DER_MAX], made[WRAP_SZ];
    size_t der_n = sizeof der;
    (void)entropy, (void)info;
    EVP_PKEY *key = pkey_of(NULL, public_key);
    EVP_PKEY_CTX *ctx = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool good = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_encrypt(ctx, der, &der_n, secret, 32) == 1 &&
                kh_gm_wrap_of_der(der, der_n, made);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (good) memcpy(ret, made, sizeof made);
    return good ? KH_OK : KH_E_NOMEM;
}

static bool unwrap(const kh_suite_key *box, const uint8_t info[32], const uint8_t *wrapped, uint8_t ret_secret[32])
{
    uint8_t der[KH_GM_WRAP_DER_MAX], secret[64];
    size_t n = sizeof secret;
    (void)info;
    if (!point_sound(wrapped)) return false;
    size_t der_n = kh_gm_wrap_to_der(wrapped, der);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(box->key, NULL);
    bool good = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_decrypt(ctx, secret, &n, der, der_n) == 1 && n == 32;
    EVP_PKEY_CTX_free(ctx);
    if (good) memcpy(ret_secret, secret, 32);
    kh_aead_wipe(secret, sizeof secret);
    return good;
}

typedef struct piece {
    const void *p;
    size_t n;
} piece;

static bool hmac_sm3(const uint8_t key[32], const piece pieces[], size_t piece_cnt, uint8_t ret[32])
{
    char digest[] = "SM3";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    size_t n = 0;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    bool good = ctx != NULL && EVP_MAC_init(ctx, key, 32, params) == 1;
    for (size_t i = 0; i < piece_cnt && good; i++) good = pieces[i].n == 0 || EVP_MAC_update(ctx, pieces[i].p, pieces[i].n) == 1;
    good = good && EVP_MAC_final(ctx, ret, &n, 32) == 1 && n == 32;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return good;
}

static bool body_tag(const uint8_t key[32], const void *aad, size_t aad_n, const uint8_t *text, size_t n, uint8_t ret[TAG_SZ])
{
    static const char label[] = "kanhe/mac";
    uint8_t mac_key[32], length[8];
    kh_store64(length, aad_n);
    bool good = hmac_sm3(key, &(piece){label, sizeof label}, 1, mac_key) &&
                hmac_sm3(mac_key, (const piece[]){{length, 8}, {aad, aad_n}, {text, n}}, 3, ret);
    kh_aead_wipe(mac_key, sizeof mac_key);
    return good;
}

/* SM4-CTR goes both ways. */
static bool body_pass(const uint8_t key[32], uint8_t *text, size_t n)
{
    static const char label[] = "kanhe/sm4";
    uint8_t sm4_key[32];
    int put = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx != NULL && hmac_sm3(key, &(piece){label, sizeof label}, 1, sm4_key) &&
                EVP_EncryptInit_ex(ctx, EVP_sm4_ctr(), NULL, sm4_key, zero) == 1 &&
                (n == 0 || (EVP_EncryptUpdate(ctx, text, &put, text, (int)n) == 1 && put == (int)n));
    EVP_CIPHER_CTX_free(ctx);
    kh_aead_wipe(sm4_key, sizeof sm4_key);
    return good;
}

static kh_err seal(const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, uint8_t *ret_tag)
{
    return body_pass(key, text, n) && body_tag(key, aad, aad_n, text, n, ret_tag) ? KH_OK : KH_E_NOMEM;
}

static bool unseal(const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, const uint8_t *tag)
{
    uint8_t want[TAG_SZ];
    return body_tag(key, aad, aad_n, text, n, want) && CRYPTO_memcmp(want, tag, TAG_SZ) == 0 && body_pass(key, text, n);
}

const kh_suite_vtable kh_suite_gm = {"gm", WRAP_SZ, TAG_SZ, key_new, public_sound, sign, verify, wrap, unwrap, seal, unseal};
