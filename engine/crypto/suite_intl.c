/* suite_intl: Ed25519 (RFC 8032), X25519 (RFC 7748), HKDF-SHA-256 (RFC 5869), AES-256-GCM.
 *
 * Signatures are verified by libsodium, in half of OpenSSL's time: every node looks at several for each batch. Both hold
 * [S]B - [h]A against R byte for byte, without a cofactor (tests/unit/suite.c holds them against each other).
 *
 * Our own rules come before the library's, so that an upgrade of it changes no answer: a point is written with y (or u) below p
 * = 2^255 - 19 and is not of small order, S is below L. Numbers here are 32 bytes, the lowest first. */
#include "crypto/aead.h"
#include "crypto/suite_inside.h"
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <sodium/crypto_sign.h>

enum { TAG_SZ = KH_AEAD_TAG_SZ, WRAP_SZ = 32 + 32 + TAG_SZ };

static const uint8_t prime[32] = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
/* L, the order of the base point (RFC 8032, 5.1). */
static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                  0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
/* y of the eight points of Ed25519 whose order divides 8; the sign of x is not looked at. */
static const uint8_t small_y[5][32] = {
    {0},
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}};
/* u of the points of Curve25519 and its twist whose order divides 8 (RFC 7748, 6.1 tells why they are refused). */
static const uint8_t small_u[5][32] = {
    {0},
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
     0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57}};

static bool is_below(const uint8_t x[32], const uint8_t bound[32])
{
    for (int i = 31; i >= 0; i--)
        if (x[i] != bound[i]) return x[i] < bound[i];
    return false;
}

static bool is_one_of(const uint8_t x[32], const uint8_t (*small)[32])
{
    for (int i = 0; i < 5; i++)
        if (memcmp(x, small[i], 32) == 0) return true;
    return false;
}

static bool zeros_behind(const uint8_t public_key[KH_PUBLIC_SZ])
{
    static const uint8_t zeros[32];
    return memcmp(public_key + 32, zeros, 32) == 0;
}

/* Written canonically, and not of small order: of a public key and of a signature's R. */
static bool ed_point_sound(const uint8_t p[32])
{
    uint8_t y[32];
    memcpy(y, p, 32);
    y[31] &= 0x7f;
    return is_below(y, prime) && !is_one_of(y, small_y);
}

static bool x_point_sound(const uint8_t u[32]) { return is_below(u, prime) && !is_one_of(u, small_u); }

/* Is there an x for this y? x^2 = (y^2 - 1) / (d y^2 + 1), and u / v is a square where u v is one. */
static bool ed_point_on_curve(const uint8_t p[32])
{
    /* d = -121665 / 121666 */
    static const char d_hex[] = "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3";
    uint8_t bytes[32];
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *d = NULL;
    bool good = false;
    memcpy(bytes, p, 32);
    bytes[31] &= 0x7f;
    if (ctx == NULL) return false;
    BN_CTX_start(ctx);
    BIGNUM *m = BN_CTX_get(ctx), *y = BN_CTX_get(ctx), *u = BN_CTX_get(ctx), *v = BN_CTX_get(ctx);
    if (v != NULL && BN_hex2bn(&d, d_hex) != 0 && BN_lebin2bn(prime, 32, m) != NULL && BN_lebin2bn(bytes, 32, y) != NULL &&
        BN_mod_sqr(y, y, m, ctx) == 1 && BN_copy(u, y) != NULL && BN_sub_word(u, 1) == 1 && BN_mod_mul(v, d, y, m, ctx) == 1 &&
        BN_add_word(v, 1) == 1 && BN_mod_mul(u, u, v, m, ctx) == 1)
        good = BN_kronecker(u, m, ctx) == 1;
    BN_free(d);
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return good;
}

static bool public_sound(bool box, const uint8_t public_key[KH_PUBLIC_SZ])
{
    if (!zeros_behind(public_key)) return false;
    return box ? x_point_sound(public_key) : ed_point_sound(public_key) && ed_point_on_curve(public_key);
}

static kh_err key_new(bool box, const uint8_t secret[KH_SECRET_SZ], kh_suite_key *ret)
{
    size_t n = 32;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(box ? EVP_PKEY_X25519 : EVP_PKEY_ED25519, NULL, secret, KH_SECRET_SZ);
    if (key == NULL) return KH_E_NOMEM; /* every 32 bytes are a key */
    memset(ret->public_key, 0, KH_PUBLIC_SZ);
    if (EVP_PKEY_get_raw_public_key(key, ret->public_key, &n) != 1 || n != 32) {
        EVP_PKEY_free(key);
        return KH_E_NOMEM;
    }
    ret->key = key;
    return KH_OK;
}

static kh_err sign(const kh_suite_key *key, const void *message, size_t n, uint8_t ret[KH_SIGNATURE_SZ])
{
    size_t signature_n = KH_SIGNATURE_SZ;
    uint8_t signature[KH_SIGNATURE_SZ];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->key) == 1 &&
                EVP_DigestSign(ctx, signature, &signature_n, message, n) == 1 && signature_n == KH_SIGNATURE_SZ;
    EVP_MD_CTX_free(ctx);
    if (good) memcpy(ret, signature, KH_SIGNATURE_SZ);
    return good ? KH_OK : KH_E_NOMEM;
}

static bool verify(const uint8_t public_key[KH_PUBLIC_SZ], const void *message, size_t n,
                   const uint8_t signature[KH_SIGNATURE_SZ])
{
    if (!zeros_behind(public_key) || !ed_point_sound(public_key)) return false;
    if (!ed_point_sound(signature) || !is_below(signature + 32, order)) return false;
    return crypto_sign_verify_detached(signature, message, n, public_key) == 0;
}

/* The key and nonce that a wrap is sealed with: of the shared secret, both public keys and what the caller binds. */
static bool wrap_key(EVP_PKEY *own, const uint8_t peer[32], const uint8_t ephemeral[32], const uint8_t public_key[32],
                     const uint8_t info[32], uint8_t ret[KH_AEAD_KEY_SZ + KH_AEAD_NONCE_SZ])
{
    static const char salt[] = "kanhe/wrap";
    static const uint8_t zeros[32];
    uint8_t shared[32], bound[96];
    size_t n = sizeof shared;
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, 32);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    bool good = other != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
                EVP_PKEY_derive(ctx, shared, &n) == 1 && n == sizeof shared && CRYPTO_memcmp(shared, zeros, sizeof shared) != 0;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(other);
    if (good) {
        memcpy(bound, ephemeral, 32);
        memcpy(bound + 32, public_key, 32);
        memcpy(bound + 64, info, 32);
        kh_hkdf_sha256(salt, sizeof salt, shared, sizeof shared, bound, sizeof bound, ret, KH_AEAD_KEY_SZ + KH_AEAD_NONCE_SZ);
    }
    kh_aead_wipe(shared, sizeof shared);
    return good;
}

/* One message under a key of its own. */
static kh_err seal_once(const uint8_t key[32], const uint8_t nonce[KH_AEAD_NONCE_SZ], const void *aad, size_t aad_n,
                        uint8_t *text, size_t n, uint8_t *ret_tag)
{
    kh_aead_key *k;
    kh_err err = kh_aead_key_new(KH_AEAD_BEST, key, 1, &k);
    if (err != KH_OK) return err;
    kh_aead_seal(k, 0, nonce, aad, aad_n, text, n, ret_tag);
    kh_aead_key_free(k);
    return KH_OK;
}

static bool open_once(const uint8_t key[32], const uint8_t nonce[KH_AEAD_NONCE_SZ], const void *aad, size_t aad_n, uint8_t *text,
                      size_t n, const uint8_t *tag)
{
    kh_aead_key *k;
    if (kh_aead_key_new(KH_AEAD_BEST, key, 1, &k) != KH_OK) return false;
    bool good = kh_aead_open(k, 0, nonce, aad, aad_n, text, n, tag);
    kh_aead_key_free(k);
    return good;
}

static kh_err wrap(const uint8_t public_key[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t info[32],
                   const uint8_t secret[32], uint8_t *ret)
{
    uint8_t scalar[32], key[KH_AEAD_KEY_SZ + KH_AEAD_NONCE_SZ], made[WRAP_SZ];
    kh_suite_key ephemeral;
    kh_err err = entropy->fill(entropy->self, scalar, sizeof scalar);
    if (err == KH_OK) err = key_new(true, scalar, &ephemeral);
    kh_aead_wipe(scalar, sizeof scalar);
    if (err != KH_OK) return err;
    memcpy(made, ephemeral.public_key, 32);
    memcpy(made + 32, secret, 32);
    if (!wrap_key(ephemeral.key, public_key, made, public_key, info, key)) err = KH_E_ARG;
    if (err == KH_OK) err = seal_once(key, key + KH_AEAD_KEY_SZ, NULL, 0, made + 32, 32, made + 64);
    EVP_PKEY_free(ephemeral.key);
    if (err == KH_OK) memcpy(ret, made, sizeof made);
    kh_aead_wipe(key, sizeof key);
    kh_aead_wipe(made, sizeof made);
    return err;
}

static bool unwrap(const kh_suite_key *box, const uint8_t info[32], const uint8_t *wrapped, uint8_t ret_secret[32])
{
    uint8_t key[KH_AEAD_KEY_SZ + KH_AEAD_NONCE_SZ], secret[32];
    if (!x_point_sound(wrapped)) return false;
    memcpy(secret, wrapped + 32, 32);
    bool good = wrap_key(box->key, wrapped, wrapped, box->public_key, info, key) &&
                open_once(key, key + KH_AEAD_KEY_SZ, NULL, 0, secret, sizeof secret, wrapped + 64);
    if (good) memcpy(ret_secret, secret, sizeof secret);
    kh_aead_wipe(key, sizeof key);
    kh_aead_wipe(secret, sizeof secret);
    return good;
}

static const uint8_t nonce_0[KH_AEAD_NONCE_SZ]; /* a key seals one message */

static kh_err seal(const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, uint8_t *ret_tag)
{
    return seal_once(key, nonce_0, aad, aad_n, text, n, ret_tag);
}

static bool unseal(const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, const uint8_t *tag)
{
    return open_once(key, nonce_0, aad, aad_n, text, n, tag);
}

const kh_suite_vtable kh_suite_intl = {"intl", WRAP_SZ, TAG_SZ, key_new, public_sound, sign, verify, wrap, unwrap, seal, unseal};
