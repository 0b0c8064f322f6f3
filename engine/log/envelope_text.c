/* envelope_text: the sections of a text, and bundles that a party signed itself. Each section is whole by its own size; the
 * frames in it are whoever executes them's to judge. */
#include "log/envelope.h"
#include <stdlib.h>

enum {
    SIGNED_ZEROS_AT = 8,
    STATEMENT_AT = 15, /* so that the frames stand at a multiple of 8 */
    TAG_SZ = 13,
    CHAIN_AT = STATEMENT_AT + TAG_SZ,
    PARTY_AT = CHAIN_AT + 32,
    NUMBER_AT = PARTY_AT + 4,
    FRAMES_AT = NUMBER_AT + 8,
    SIGNED_SZ = FRAMES_AT + KH_SIGNATURE_SZ /* without frames */
};
_Static_assert(FRAMES_AT == 72, "docs/CLUSTER.md");
static const char tag[TAG_SZ] = "kanhe/bundle";

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}

static bool own_read(const uint8_t *p, size_t size, kh_section *ret)
{
    if (size < KH_SECTION_HEAD_SZ || !is_zero(p + 8, 8)) return false;
    *ret = (kh_section){
        .kind = KH_SECTION_OWN, .frames = p + KH_SECTION_HEAD_SZ, .frames_sz = (uint32_t)(size - KH_SECTION_HEAD_SZ)};
    return true;
}

static bool signed_read(const uint8_t *p, size_t size, kh_section *ret)
{
    if (size < SIGNED_SZ || !is_zero(p + SIGNED_ZEROS_AT, STATEMENT_AT - SIGNED_ZEROS_AT) ||
        memcmp(p + STATEMENT_AT, tag, TAG_SZ) != 0)
        return false;
    *ret = (kh_section){.kind = KH_SECTION_SIGNED,
                        .frames = p + FRAMES_AT,
                        .frames_sz = (uint32_t)(size - SIGNED_SZ),
                        .party = kh_load32(p + PARTY_AT),
                        .number = kh_load64(p + NUMBER_AT),
                        .chain = p + CHAIN_AT,
                        .signature = p + size - KH_SIGNATURE_SZ,
                        .statement = p + STATEMENT_AT,
                        .statement_sz = (uint32_t)(size - KH_SIGNATURE_SZ - STATEMENT_AT)};
    return true;
}

kh_err kh_section_next(const uint8_t *text, size_t n, size_t *at, kh_section *ret)
{
    if (*at == n) return KH_E_NOT_FOUND;
    if (*at > n || n - *at < 8) return KH_E_FORMAT;
    const uint8_t *p = text + *at;
    size_t size = kh_load32(p);
    uint32_t kind = kh_load32(p + 4);
    if (size > n - *at) return KH_E_FORMAT;
    bool good = kind == KH_SECTION_OWN ? own_read(p, size, ret) : kind == KH_SECTION_SIGNED && signed_read(p, size, ret);
    if (!good) return KH_E_FORMAT;
    *at += size;
    return KH_OK;
}

void kh_section_own(uint32_t frames_sz, uint8_t ret[KH_SECTION_HEAD_SZ])
{
    KH_ASSERT(frames_sz <= UINT32_MAX - KH_SECTION_HEAD_SZ);
    memset(ret, 0, KH_SECTION_HEAD_SZ);
    kh_store32(ret, KH_SECTION_HEAD_SZ + frames_sz);
    kh_store32(ret + 4, KH_SECTION_OWN);
}

kh_err kh_bundle_make(const kh_signer *signer, const uint8_t chain[32], uint32_t party, uint64_t number, const uint8_t *frames,
                      uint32_t frames_sz, uint8_t **ret, size_t *ret_n)
{
    if (frames_sz > KH_ENVELOPE_TEXT_MAX - SIGNED_SZ) return KH_E_ARG;
    size_t size = SIGNED_SZ + (size_t)frames_sz;
    uint8_t *p = calloc(1, size);
    if (p == NULL) return KH_E_NOMEM;
    kh_store32(p, (uint32_t)size);
    kh_store32(p + 4, KH_SECTION_SIGNED);
    memcpy(p + STATEMENT_AT, tag, TAG_SZ);
    memcpy(p + CHAIN_AT, chain, 32);
    kh_store32(p + PARTY_AT, party);
    kh_store64(p + NUMBER_AT, number);
    if (frames_sz > 0) memcpy(p + FRAMES_AT, frames, frames_sz);
    kh_err err = kh_sign(signer, p + STATEMENT_AT, size - KH_SIGNATURE_SZ - STATEMENT_AT, p + size - KH_SIGNATURE_SZ);
    if (err != KH_OK) {
        free(p);
        return err;
    }
    *ret = p;
    *ret_n = size;
    return KH_OK;
}

bool kh_bundle_signed_by(kh_suite suite, const kh_section *section, const uint8_t public_key[KH_PUBLIC_SZ])
{
    return section->kind == KH_SECTION_SIGNED &&
           kh_verify_signature(suite, public_key, section->statement, section->statement_sz, section->signature);
}
