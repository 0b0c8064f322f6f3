/* aead_inside: what a method offers to aead.c. */
#ifndef KH_CRYPTO_AEAD_INSIDE_H
#define KH_CRYPTO_AEAD_INSIDE_H
#include "crypto/aead.h"

struct kh_aead_key {
    kh_aead_method method;
    uint32_t users;
    /* the method's own follows, aligned to 64 bytes */
};
#define KH_AEAD_HEAD_SZ 64u

typedef struct kh_aead_text { /* one message, in place */
    const uint8_t *nonce, *aad;
    size_t aad_n;
    uint8_t *text;
    size_t n;
} kh_aead_text;

typedef struct kh_aead_vtable {
    size_t (*size)(uint32_t users); /* of the method's own part */
    KH_MUST kh_err (*init)(void *own, uint32_t users, const uint8_t key[KH_AEAD_KEY_SZ]);
    void (*release)(void *own, uint32_t users);
    void (*seal)(void *own, uint32_t user, const kh_aead_text *message, uint8_t ret_tag[KH_AEAD_TAG_SZ]);
    KH_MUST bool (*open)(void *own, uint32_t user, const kh_aead_text *message, const uint8_t tag[KH_AEAD_TAG_SZ]);
} kh_aead_vtable;
extern const kh_aead_vtable kh_aead_openssl;
#if defined(KH_HAVE_IPSEC_MB)
extern const kh_aead_vtable kh_aead_ipsec_mb;
bool kh_aead_ipsec_mb_usable(void); /* the processor has what the library wants */
#endif
#endif
