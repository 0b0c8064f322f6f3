/* suite: what a cluster's nodes and officers sign, wrap and seal with: `intl` (Ed25519, X25519, HKDF-SHA-256, AES-256-GCM) and
 * `gm` (SM2, SM3, SM4: GB/T 32918, 32905, 32907).
 *
 * Digests that name and chain things are SHA-256 in both suites (crypto/digest.h, crypto/merkle.h).
 * Keys     a public key is KH_PUBLIC_SZ bytes: intl 32 and zeros behind; gm x || y, 64. A signature is KH_SIGNATURE_SZ bytes:
 * Ed25519 R || S; SM2 r || s (default id "1234567812345678"). Lengths, zeros, ranges and canonical form (S < L, 0 < r,s < n, the
 * point on the curve and not at infinity, coordinates < p) are checked here before the library sees them.
 * intl refuses points of small order too (public keys, a signature's R, a wrap's ephemeral key) and an all-zero shared secret;
 * gm an SM2 private key of 0 or above n - 2.
 * Threads  any number may use one key. Errors: verify and open: false, without a reason; else KH_E_NOMEM, and what is named.
 * Cost     Ed25519: some 100 us a signature made or checked; SM2 several times that. */
#ifndef KH_CRYPTO_SUITE_H
#define KH_CRYPTO_SUITE_H
#include "base/base.h"
#include "base/effects.h"

typedef enum kh_suite { KH_SUITE_INTL = 1, KH_SUITE_GM = 2 } kh_suite;
#define KH_PUBLIC_SZ 64u
#define KH_SIGNATURE_SZ 64u
#define KH_SECRET_SZ 32u /* a private key as it is kept: Ed25519 seed, X25519 scalar, SM2 scalar */
#define KH_WRAP_MAX_SZ 128u
#define KH_SEAL_TAG_MAX_SZ 32u

const char *kh_suite_word(kh_suite suite); /* "intl", "gm"; NULL for a number that is none */
bool kh_suite_of(const char *word, kh_suite *ret);

/* ---- signing ---- */
typedef struct kh_signer kh_signer;
/* kh_signer_new: KH_E_ARG where the secret is out of range. The secret is copied and wiped when freed. */
KH_MUST kh_err kh_signer_new(kh_suite suite, const uint8_t secret[KH_SECRET_SZ], kh_signer **ret);
void kh_signer_free(kh_signer *signer);
void kh_signer_public(const kh_signer *signer, uint8_t ret[KH_PUBLIC_SZ]);
KH_MUST kh_err kh_sign(const kh_signer *signer, const void *message, size_t n, uint8_t ret[KH_SIGNATURE_SZ]);
KH_MUST bool kh_verify_signature(kh_suite suite, const uint8_t public_key[KH_PUBLIC_SZ], const void *message, size_t n,
                                 const uint8_t signature[KH_SIGNATURE_SZ]);
/* kh_public_sound: may this be a public key of the suite? box: of wrapping (X25519: not of small order), else of signing. */
KH_MUST bool kh_public_sound(kh_suite suite, bool box, const uint8_t public_key[KH_PUBLIC_SZ]);

/* ---- wrapping 32 bytes to a public key ---- */
typedef struct kh_box kh_box; /* a private key that unwraps */
KH_MUST kh_err kh_box_new(kh_suite suite, const uint8_t secret[KH_SECRET_SZ], kh_box **ret);
void kh_box_free(kh_box *box);
kh_suite kh_box_suite(const kh_box *box);
void kh_box_public(const kh_box *box, uint8_t ret[KH_PUBLIC_SZ]);
size_t kh_wrap_sz(kh_suite suite); /* intl 80: ephemeral key 32, sealed secret 32, tag 16; gm 128: C1 64, C3 32, C2 32 */
/* kh_wrap: info is bound to it (intl: HKDF's info; gm: not bound here: the caller binds it by the AAD of what the secret seals).
   entropy: intl's ephemeral key; gm takes the library's. KH_E_ARG: not a sound public key. Writes kh_wrap_sz bytes. */
KH_MUST kh_err kh_wrap(kh_suite suite, const uint8_t public_key[KH_PUBLIC_SZ], const kh_entropy *entropy, const void *info,
                       size_t info_n, const uint8_t secret[32], uint8_t *ret);
KH_MUST bool kh_unwrap(const kh_box *box, const void *info, size_t info_n, const uint8_t *wrap, uint8_t ret_secret[32]);

/* ---- sealing a body, in place, under a key that is used once; aad_n, n <= INT_MAX; after a false, text is not to be used ----
 */
size_t kh_seal_tag_sz(kh_suite suite); /* intl 16 (AES-256-GCM, nonce 0), gm 32 (SM4-CTR, then HMAC-SM3 over aad_n, aad, text) */
KH_MUST kh_err kh_seal(kh_suite suite, const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n,
                       uint8_t *ret_tag);
KH_MUST bool kh_unseal(kh_suite suite, const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n,
                       const uint8_t *tag);

/* ---- keyed digests ---- */
void kh_hmac_sha256(const void *key, size_t key_n, const void *p, size_t n, uint8_t ret[32]);
void kh_hkdf_sha256(const void *salt, size_t salt_n, const void *secret, size_t secret_n, const void *info, size_t info_n,
                    uint8_t *ret, size_t n); /* RFC 5869; n <= 255 * 32 */
#endif
