/* aead: AES-256-GCM (NIST SP 800-38D), sealed and opened in place: 12-byte nonce, 16-byte tag.
 *
 * Two methods with the same bytes: intel-ipsec-mb, where it was found when building, and OpenSSL's EVP with contexts kept per key
 * and user, so that a message only sets its nonce. kh_aead_best() measures both once and says which is faster here. ipsec-mb
 * gains nothing from several GCM messages at once (its job interface was measured slower than the direct call), so there is no
 * bulk call.
 *
 * Threads  any number use one key, each under a user number of its own (0 .. users - 1). Memory: taken by key_new only; free
 * wipes. Errors   open: false when the tag is wrong; what lies in `text` is then not to be used. Tags are compared in constant
 * time. */
#ifndef KH_CRYPTO_AEAD_H
#define KH_CRYPTO_AEAD_H
#include "base/base.h"

#define KH_AEAD_KEY_SZ 32u
#define KH_AEAD_NONCE_SZ 12u
#define KH_AEAD_TAG_SZ 16u
#define KH_AEAD_SUITE "AES-256-GCM"

typedef enum kh_aead_method { KH_AEAD_BEST = 0, KH_AEAD_OPENSSL = 1, KH_AEAD_IPSEC_MB = 2 } kh_aead_method;
bool kh_aead_has(kh_aead_method method);
kh_aead_method kh_aead_best(void);
const char *kh_aead_method_word(kh_aead_method method); /* "openssl", "ipsec-mb" */

typedef struct kh_aead_key kh_aead_key;
/* kh_aead_key_new: KH_E_NOMEM; KH_E_ARG where the method is not here or users is 0. */
KH_MUST kh_err kh_aead_key_new(kh_aead_method method, const uint8_t key[KH_AEAD_KEY_SZ], uint32_t users, kh_aead_key **ret);
void kh_aead_key_free(kh_aead_key *key); /* NULL is nothing */
void kh_aead_seal(const kh_aead_key *key, uint32_t user, const uint8_t nonce[KH_AEAD_NONCE_SZ], const uint8_t *aad, size_t aad_n,
                  uint8_t *text, size_t n, uint8_t ret_tag[KH_AEAD_TAG_SZ]);
KH_MUST bool kh_aead_open(const kh_aead_key *key, uint32_t user, const uint8_t nonce[KH_AEAD_NONCE_SZ], const uint8_t *aad,
                          size_t aad_n, uint8_t *text, size_t n, const uint8_t tag[KH_AEAD_TAG_SZ]);
/* kh_aead_wipe clears secrets in a way that the compiler keeps. */
void kh_aead_wipe(void *p, size_t n);
#endif
