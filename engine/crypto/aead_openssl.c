/* aead_openssl: EVP contexts kept per user, key schedule and all; a message sets its nonce and direction only. */
#include "crypto/aead_inside.h"
#include <openssl/evp.h>

static size_t size(uint32_t users) { return users * sizeof(EVP_CIPHER_CTX *); }

static void release(void *own, uint32_t users)
{
    EVP_CIPHER_CTX **ctx = own;
    for (uint32_t i = 0; i < users; i++) EVP_CIPHER_CTX_free(ctx[i]); /* wipes */
}

static kh_err init(void *own, uint32_t users, const uint8_t key[KH_AEAD_KEY_SZ])
{
    EVP_CIPHER_CTX **ctx = own;
    for (uint32_t i = 0; i < users; i++) {
        ctx[i] = EVP_CIPHER_CTX_new();
        if (ctx[i] == NULL || EVP_CipherInit_ex(ctx[i], EVP_aes_256_gcm(), NULL, key, NULL, 1) != 1) {
            release(own, i + 1);
            return KH_E_NOMEM;
        }
    }
    return KH_OK;
}

static bool pass(EVP_CIPHER_CTX *ctx, const kh_aead_text *m, int sealing)
{
    int n;
    return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, m->nonce, sealing) == 1 &&
           (m->aad_n == 0 || EVP_CipherUpdate(ctx, NULL, &n, m->aad, (int)m->aad_n) == 1) &&
           (m->n == 0 || EVP_CipherUpdate(ctx, m->text, &n, m->text, (int)m->n) == 1);
}

static void seal(void *own, uint32_t user, const kh_aead_text *message, uint8_t ret_tag[KH_AEAD_TAG_SZ])
{
    EVP_CIPHER_CTX *ctx = ((EVP_CIPHER_CTX **)own)[user];
    uint8_t none[16];
    int n;
    KH_ASSERT(pass(ctx, message, 1) && EVP_CipherFinal_ex(ctx, none, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, KH_AEAD_TAG_SZ, ret_tag) == 1);
}

/* The library compares the tags, in constant time. */
static bool open_(void *own, uint32_t user, const kh_aead_text *message, const uint8_t tag[KH_AEAD_TAG_SZ])
{
    EVP_CIPHER_CTX *ctx = ((EVP_CIPHER_CTX **)own)[user];
    uint8_t none[16], wanted[KH_AEAD_TAG_SZ];
    int n;
    memcpy(wanted, tag, sizeof wanted);
    return pass(ctx, message, 0) && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, KH_AEAD_TAG_SZ, wanted) == 1 &&
           EVP_CipherFinal_ex(ctx, none, &n) == 1;
}

const kh_aead_vtable kh_aead_openssl = {size, init, release, seal, open_};
