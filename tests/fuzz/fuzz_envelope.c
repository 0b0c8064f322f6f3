/* fuzz_envelope: any bytes as an envelope, as the body of one that is sealed well around them, and as the text of sections.
 * Nothing may crash; what opens is within its bound, and what the sections say lies inside the text. The first byte says which of
 * the three. */
#include "crypto/digest.h"
#include "log/envelope.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static kh_box *box;
static kh_signer *signer;
static uint8_t box_public[KH_PUBLIC_SZ], signer_public[KH_PUBLIC_SZ];

static kh_err same_bytes(void *self, void *p, size_t n)
{
    (void)self;
    memset(p, 0x55, n);
    return KH_OK;
}
static const kh_entropy entropy = {.fill = same_bytes};

static void prepare(void)
{
    static const uint8_t secret[KH_SECRET_SZ] = {0, 1};
    if (box != NULL) return;
    if (kh_box_new(KH_SUITE_INTL, secret, &box) != KH_OK || kh_signer_new(KH_SUITE_INTL, secret, &signer) != KH_OK) abort();
    kh_box_public(box, box_public);
    kh_signer_public(signer, signer_public);
}

static void sections(const uint8_t *text, size_t n)
{
    size_t at = 0;
    kh_section s;
    while (kh_section_next(text, n, &at, &s) == KH_OK) {
        KH_ASSERT(at <= n && s.frames >= text && s.frames + s.frames_sz <= text + at);
        if (s.kind != KH_SECTION_SIGNED) continue;
        KH_ASSERT(s.statement >= text && s.statement + s.statement_sz == s.signature &&
                  s.signature + KH_SIGNATURE_SZ == text + at);
        KH_ASSERT(!kh_bundle_signed_by(KH_SUITE_INTL, &s, signer_public));
    }
}

static bool open_any(const uint8_t *p, size_t n, bool own)
{
    uint8_t *text;
    size_t text_n;
    if (!kh_envelope_open(p, n, box, own, &text, &text_n)) return false;
    KH_ASSERT(text_n <= KH_ENVELOPE_TEXT_MAX);
    sections(text, text_n);
    free(text);
    return true;
}

static void envelope(const uint8_t *p, size_t n)
{
    kh_envelope_head head;
    uint8_t digest[32];
    bool formed = kh_envelope_read(p, n, &head) == KH_OK;
    KH_ASSERT(!kh_envelope_verify(p, n, signer_public, digest));
    if (open_any(p, n, false) || open_any(p, n, true)) KH_ASSERT(formed);
}

/* The smallest envelope with these bytes where {text_sz, packed_sz, 0}, the packed text and the padding stand. */
static void body(const uint8_t *p, size_t n)
{
    static uint8_t made[96 + 160 + 1024 + 16 + KH_SIGNATURE_SZ];
    uint8_t key[32] = {7}, commit[13 + 32] = "kanhe/commit", info[10 + 1 + 96] = "kanhe/key";
    memset(made, 0, sizeof made);
    memcpy(made, "KHE1", 4);
    made[4] = KH_SUITE_INTL;
    memcpy(commit + 13, key, 32);
    kh_sha256(commit, sizeof commit, made + 64);
    for (uint8_t whose = 1; whose <= 2; whose++) {
        info[10] = whose;
        memcpy(info + 11, made, 96);
        if (kh_wrap(KH_SUITE_INTL, box_public, &entropy, info, sizeof info, key, made + 96 + 80 * (whose - 1)) != KH_OK) abort();
    }
    memcpy(made + 256, p, n < 1024 ? n : 1024);
    if (kh_seal(KH_SUITE_INTL, key, made, 256, made + 256, 1024, made + 256 + 1024) != KH_OK) abort();
    bool by_group = open_any(made, sizeof made, false);
    KH_ASSERT(by_group == open_any(made, sizeof made, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    if (size == 0) return 0;
    if (data[0] % 3 == 0) envelope(data + 1, size - 1);
    else if (data[0] % 3 == 1) body(data + 1, size - 1);
    else sections(data + 1, size - 1);
    return 0;
}
