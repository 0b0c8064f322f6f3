/* digest: SHA-256, one-shot and streaming, and hexadecimal digits. No allocation (OpenSSL's low-level functions), pure in effect;
 * used by doc and ledger.
 */
#ifndef KH_CRYPTO_DIGEST_H
#define KH_CRYPTO_DIGEST_H
#include "base/base.h"
#include <openssl/sha.h>

typedef struct kh_sha256_state {
    SHA256_CTX ctx;
} kh_sha256_state;
void kh_sha256_init(kh_sha256_state *state);
void kh_sha256_update(kh_sha256_state *state, const void *p, size_t n);
void kh_sha256_final(kh_sha256_state *state, uint8_t ret[32]);
void kh_sha256(const void *p, size_t n, uint8_t ret[32]);
/* kh_sha256_each: each text by itself, two at a time: in little more than half of the time of one after the other.
   A digest is written when its text is done: no text may lie where another's goes. */
typedef struct kh_sha256_text {
    const void *p;
    size_t n;
    uint8_t *ret; /* 32 bytes */
} kh_sha256_text;
void kh_sha256_each(const kh_sha256_text *texts, uint32_t cnt);
/* kh_sha256_beside: the same, beside a chain, whose texts are done in their order: each may hold the
   digest of the one before it, which is written there first. */
void kh_sha256_beside(const kh_sha256_text *chain, uint32_t chain_cnt, const kh_sha256_text *texts, uint32_t cnt);
/* kh_hex writes 2n lower-case characters and a NUL. */
void kh_hex(const uint8_t *p, size_t n, char *buf);
/* kh_hex_read takes text_n characters as n bytes: lower case, exactly 2n of them. False: they are not; some of ret may be
 * written. */
bool kh_hex_read(const char *text, size_t text_n, uint8_t *ret, size_t n);
#endif
