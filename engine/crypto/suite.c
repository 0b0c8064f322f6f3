/* suite: which suite it is, and what both have in common: keys that are copied and wiped, and the library's list of errors left
 * as it was found (whoever drives TLS on the same thread reads it). */
#include "crypto/digest.h"
#include "crypto/suite_inside.h"
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>

struct kh_signer {
    const kh_suite_vtable *suite;
    kh_suite_key key;
};
struct kh_box {
    const kh_suite_vtable *suite;
    kh_suite_key key;
};

static const kh_suite_vtable *vtable_of(kh_suite suite)
{
    return suite == KH_SUITE_INTL ? &kh_suite_intl : suite == KH_SUITE_GM ? &kh_suite_gm : NULL;
}

const char *kh_suite_word(kh_suite suite)
{
    const kh_suite_vtable *v = vtable_of(suite);
    return v != NULL ? v->word : NULL;
}

bool kh_suite_of(const char *word, kh_suite *ret)
{
    for (kh_suite s = KH_SUITE_INTL; s <= KH_SUITE_GM; s++) {
        if (strcmp(word, kh_suite_word(s)) != 0) continue;
        *ret = s;
        return true;
    }
    return false;
}

kh_err kh_signer_new(kh_suite suite, const uint8_t secret[KH_SECRET_SZ], kh_signer **ret)
{
    const kh_suite_vtable *v = vtable_of(suite);
    if (v == NULL) return KH_E_ARG;
    kh_signer *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->suite = v;
    (void)ERR_set_mark();
    kh_err err = v->key_new(false, secret, &s->key);
    (void)ERR_pop_to_mark();
    if (err == KH_OK) *ret = s;
    else free(s);
    return err;
}

void kh_signer_free(kh_signer *signer)
{
    if (signer == NULL) return;
    EVP_PKEY_free(signer->key.key); /* wipes */
    free(signer);
}

void kh_signer_public(const kh_signer *signer, uint8_t ret[KH_PUBLIC_SZ]) { memcpy(ret, signer->key.public_key, KH_PUBLIC_SZ); }

kh_err kh_sign(const kh_signer *signer, const void *message, size_t n, uint8_t ret[KH_SIGNATURE_SZ])
{
    (void)ERR_set_mark();
    kh_err err = signer->suite->sign(&signer->key, message, n, ret);
    (void)ERR_pop_to_mark();
    return err;
}

bool kh_verify_signature(kh_suite suite, const uint8_t public_key[KH_PUBLIC_SZ], const void *message, size_t n,
                         const uint8_t signature[KH_SIGNATURE_SZ])
{
    const kh_suite_vtable *v = vtable_of(suite);
    if (v == NULL) return false;
    (void)ERR_set_mark();
    bool good = v->verify(public_key, message, n, signature);
    (void)ERR_pop_to_mark();
    return good;
}

bool kh_public_sound(kh_suite suite, bool box, const uint8_t public_key[KH_PUBLIC_SZ])
{
    const kh_suite_vtable *v = vtable_of(suite);
    return v != NULL && v->public_sound(box, public_key);
}

kh_err kh_box_new(kh_suite suite, const uint8_t secret[KH_SECRET_SZ], kh_box **ret)
{
    const kh_suite_vtable *v = vtable_of(suite);
    if (v == NULL) return KH_E_ARG;
    kh_box *b = calloc(1, sizeof *b);
    if (b == NULL) return KH_E_NOMEM;
    b->suite = v;
    (void)ERR_set_mark();
    kh_err err = v->key_new(true, secret, &b->key);
    (void)ERR_pop_to_mark();
    if (err == KH_OK) *ret = b;
    else free(b);
    return err;
}

void kh_box_free(kh_box *box)
{
    if (box == NULL) return;
    EVP_PKEY_free(box->key.key);
    free(box);
}

kh_suite kh_box_suite(const kh_box *box) { return box->suite == &kh_suite_gm ? KH_SUITE_GM : KH_SUITE_INTL; }

void kh_box_public(const kh_box *box, uint8_t ret[KH_PUBLIC_SZ]) { memcpy(ret, box->key.public_key, KH_PUBLIC_SZ); }

size_t kh_wrap_sz(kh_suite suite)
{
    const kh_suite_vtable *v = vtable_of(suite);
    return v != NULL ? v->wrap_sz : 0;
}

static void digest_of(const void *p, size_t n, uint8_t ret[32]) { kh_sha256(n > 0 ? p : "", n, ret); }

kh_err kh_wrap(kh_suite suite, const uint8_t public_key[KH_PUBLIC_SZ], const kh_entropy *entropy, const void *info, size_t info_n,
               const uint8_t secret[32], uint8_t *ret)
{
    const kh_suite_vtable *v = vtable_of(suite);
    uint8_t digest[32];
    if (v == NULL || !v->public_sound(true, public_key)) return KH_E_ARG;
    digest_of(info, info_n, digest);
    (void)ERR_set_mark();
    kh_err err = v->wrap(public_key, entropy, digest, secret, ret);
    (void)ERR_pop_to_mark();
    return err;
}

bool kh_unwrap(const kh_box *box, const void *info, size_t info_n, const uint8_t *wrap, uint8_t ret_secret[32])
{
    uint8_t digest[32];
    digest_of(info, info_n, digest);
    (void)ERR_set_mark();
    bool good = box->suite->unwrap(&box->key, digest, wrap, ret_secret);
    (void)ERR_pop_to_mark();
    return good;
}

size_t kh_seal_tag_sz(kh_suite suite)
{
    const kh_suite_vtable *v = vtable_of(suite);
    return v != NULL ? v->tag_sz : 0;
}

kh_err kh_seal(kh_suite suite, const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, uint8_t *ret_tag)
{
    const kh_suite_vtable *v = vtable_of(suite);
    if (v == NULL || n > INT_MAX || aad_n > INT_MAX) return KH_E_ARG;
    (void)ERR_set_mark();
    kh_err err = v->seal(key, aad, aad_n, text, n, ret_tag);
    (void)ERR_pop_to_mark();
    return err;
}

bool kh_unseal(kh_suite suite, const uint8_t key[32], const void *aad, size_t aad_n, uint8_t *text, size_t n, const uint8_t *tag)
{
    const kh_suite_vtable *v = vtable_of(suite);
    if (v == NULL || n > INT_MAX || aad_n > INT_MAX) return false;
    (void)ERR_set_mark();
    bool good = v->unseal(key, aad, aad_n, text, n, tag);
    (void)ERR_pop_to_mark();
    return good;
}
