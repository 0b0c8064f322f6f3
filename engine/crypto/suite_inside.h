/* suite_inside: what a suite offers to suite.c. Each checks lengths, ranges and canonical form itself, then asks the library. */
#ifndef KH_CRYPTO_SUITE_INSIDE_H
#define KH_CRYPTO_SUITE_INSIDE_H
#include "crypto/suite.h"
#include <openssl/evp.h>

typedef struct kh_suite_key { /* of signing or of unwrapping */
    EVP_PKEY *key;
    uint8_t public_key[KH_PUBLIC_SZ];
} kh_suite_key;

typedef struct kh_suite_vtable {
    const char *word;
    size_t wrap_sz, tag_sz;
    KH_MUST kh_err (*key_new)(bool box, const uint8_t secret[KH_SECRET_SZ], kh_suite_key *ret);
    KH_MUST bool (*public_sound)(bool box, const uint8_t public_key[KH_PUBLIC_SZ]);
    KH_MUST kh_err (*sign)(const kh_suite_key *key, const void *message, size_t n, uint8_t ret[KH_SIGNATURE_SZ]);
    KH_MUST bool (*verify)(const uint8_t public_key[KH_PUBLIC_SZ], const void *message, size_t n,
                           const uint8_t signature[KH_SIGNATURE_SZ]);
    KH_MUST kh_err (*wrap)(const uint8_t public_key[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t info[32],
                           const uint8_t secret[32], uint8_t *ret); /* info: its SHA-256 */
    KH_MUST bool (*unwrap)(const kh_suite_key *box, const uint8_t info[32], const uint8_t *wrap, uint8_t ret_secret[32]);
    KH_MUST kh_err (*seal)(const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, uint8_t *ret_tag);
    KH_MUST bool (*unseal)(const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, const uint8_t *tag);
} kh_suite_vtable;
extern const kh_suite_vtable kh_suite_intl, kh_suite_gm;
#endif
