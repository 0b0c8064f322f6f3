/* aead: which method, and the keys that it made. */
#include "crypto/aead_inside.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { TRIAL_SZ = 1024, TRIALS = 64, ROUNDS = 3 };

static const kh_aead_vtable *vtable_of(kh_aead_method method)
{
#if defined(KH_HAVE_IPSEC_MB)
    if (method == KH_AEAD_IPSEC_MB) return kh_aead_ipsec_mb_usable() ? &kh_aead_ipsec_mb : NULL;
#endif
    return method == KH_AEAD_OPENSSL ? &kh_aead_openssl : NULL;
}

bool kh_aead_has(kh_aead_method method) { return vtable_of(method) != NULL; }

const char *kh_aead_method_word(kh_aead_method method)
{
    return method == KH_AEAD_IPSEC_MB ? "ipsec-mb" : method == KH_AEAD_OPENSSL ? "openssl" : "best";
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The shortest of a few rounds; UINT64_MAX where the method is not here. */
static uint64_t trial(kh_aead_method method)
{
    static const uint8_t zero[KH_AEAD_KEY_SZ];
    uint8_t text[TRIAL_SZ] = {0}, nonce[KH_AEAD_NONCE_SZ] = {0}, tag[KH_AEAD_TAG_SZ];
    kh_aead_key *key;
    uint64_t best = UINT64_MAX;
    if (kh_aead_key_new(method, zero, 1, &key) != KH_OK) return best;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t began = now_ns();
        for (uint32_t i = 0; i < TRIALS; i++) {
            kh_store32(nonce, i);
            kh_aead_seal(key, 0, nonce, NULL, 0, text, sizeof text, tag);
        }
        best = kh_min64(best, now_ns() - began);
    }
    kh_aead_key_free(key);
    return best;
}

static kh_aead_method best_method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    uint64_t other = kh_aead_has(KH_AEAD_IPSEC_MB) ? trial(KH_AEAD_IPSEC_MB) : UINT64_MAX;
    best_method = other < trial(KH_AEAD_OPENSSL) ? KH_AEAD_IPSEC_MB : KH_AEAD_OPENSSL;
}

kh_aead_method kh_aead_best(void)
{
    (void)pthread_once(&once, choose);
    return best_method;
}

static void *own_of(const kh_aead_key *key) { return (uint8_t *)(uintptr_t)key + KH_AEAD_HEAD_SZ; }

kh_err kh_aead_key_new(kh_aead_method method, const uint8_t key[KH_AEAD_KEY_SZ], uint32_t users, kh_aead_key **ret)
{
    if (method == KH_AEAD_BEST) method = kh_aead_best();
    const kh_aead_vtable *v = vtable_of(method);
    if (v == NULL || users == 0) return KH_E_ARG;
    size_t n = (KH_AEAD_HEAD_SZ + v->size(users) + 63) & ~(size_t)63;
    kh_aead_key *k = aligned_alloc(64, n);
    if (k == NULL) return KH_E_NOMEM;
    memset(k, 0, n);
    k->method = method;
    k->users = users;
    kh_err err = v->init(own_of(k), users, key);
    if (err != KH_OK) {
        free(k);
        return err;
    }
    *ret = k;
    return KH_OK;
}

void kh_aead_key_free(kh_aead_key *key)
{
    if (key == NULL) return;
    vtable_of(key->method)->release(own_of(key), key->users);
    free(key);
}

void kh_aead_seal(const kh_aead_key *key, uint32_t user, const uint8_t nonce[KH_AEAD_NONCE_SZ], const uint8_t *aad, size_t aad_n,
                  uint8_t *text, size_t n, uint8_t ret_tag[KH_AEAD_TAG_SZ])
{
    const kh_aead_text message = {nonce, aad, aad_n, text, n};
    KH_ASSERT(user < key->users);
#if defined(KH_HAVE_IPSEC_MB)
    if (KH_LIKELY(key->method == KH_AEAD_IPSEC_MB)) {
        kh_aead_ipsec_mb.seal(own_of(key), user, &message, ret_tag);
        return;
    }
#endif
    kh_aead_openssl.seal(own_of(key), user, &message, ret_tag);
}

bool kh_aead_open(const kh_aead_key *key, uint32_t user, const uint8_t nonce[KH_AEAD_NONCE_SZ], const uint8_t *aad, size_t aad_n,
                  uint8_t *text, size_t n, const uint8_t tag[KH_AEAD_TAG_SZ])
{
    const kh_aead_text message = {nonce, aad, aad_n, text, n};
    KH_ASSERT(user < key->users);
#if defined(KH_HAVE_IPSEC_MB)
    if (KH_LIKELY(key->method == KH_AEAD_IPSEC_MB)) return kh_aead_ipsec_mb.open(own_of(key), user, &message, tag);
#endif
    return kh_aead_openssl.open(own_of(key), user, &message, tag);
}

void kh_aead_wipe(void *p, size_t n) { OPENSSL_cleanse(p, n); }
