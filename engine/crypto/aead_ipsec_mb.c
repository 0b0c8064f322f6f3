/* aead_ipsec_mb: the library's direct calls. Its manager is made once and only read afterwards; the key data is of one key, for
 * any number of users, and each message has its context on the stack. */
#include "crypto/aead_inside.h"
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <pthread.h>

static IMB_MGR *manager;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_manager(void)
{
    IMB_ARCH arch = IMB_ARCH_NONE;
    manager = alloc_mb_mgr(0);
    if (manager == NULL) return;
    init_mb_mgr_auto(manager, &arch);
    if (arch >= IMB_ARCH_SSE && imb_get_errno(manager) == 0) return;
    free_mb_mgr(manager);
    manager = NULL;
}

bool kh_aead_ipsec_mb_usable(void)
{
    (void)pthread_once(&once, make_manager);
    return manager != NULL;
}

static size_t size(uint32_t users)
{
    (void)users;
    return sizeof(struct gcm_key_data);
}

static kh_err init(void *own, uint32_t users, const uint8_t key[KH_AEAD_KEY_SZ])
{
    (void)users;
    if (!kh_aead_ipsec_mb_usable()) return KH_E_ARG;
    IMB_AES256_GCM_PRE(manager, key, own);
    return KH_OK;
}

static void release(void *own, uint32_t users)
{
    (void)users;
    kh_aead_wipe(own, sizeof(struct gcm_key_data));
}

static void seal(void *own, uint32_t user, const kh_aead_text *m, uint8_t ret_tag[KH_AEAD_TAG_SZ])
{
    struct gcm_context_data ctx;
    (void)user;
    IMB_AES256_GCM_ENC(manager, own, &ctx, m->text, m->text, m->n, m->nonce, m->aad, m->aad_n, ret_tag, KH_AEAD_TAG_SZ);
}

static bool open_(void *own, uint32_t user, const kh_aead_text *m, const uint8_t tag[KH_AEAD_TAG_SZ])
{
    struct gcm_context_data ctx;
    uint8_t should[KH_AEAD_TAG_SZ];
    (void)user;
    IMB_AES256_GCM_DEC(manager, own, &ctx, m->text, m->text, m->n, m->nonce, m->aad, m->aad_n, should, KH_AEAD_TAG_SZ);
    return CRYPTO_memcmp(should, tag, KH_AEAD_TAG_SZ) == 0;
}

const kh_aead_vtable kh_aead_ipsec_mb = {size, init, release, seal, open_};
