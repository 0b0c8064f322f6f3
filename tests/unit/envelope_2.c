/* Unit tests of a text's sections and of bundles that a party signed itself. */
#include "log/envelope.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static const uint8_t chain[32] = {1, 2, 3}, frames[48] = {48, 0, 0, 0, 9};

static kh_signer *signer_of(kh_suite suite, uint8_t ret_public[64])
{
    uint8_t secret[32] = {8, 1};
    kh_signer *signer;
    cr_assert(kh_signer_new(suite, secret, &signer) == KH_OK);
    kh_signer_public(signer, ret_public);
    return signer;
}

Test(sections, walked)
{
    uint8_t public_key[64], text[1024], *bundle;
    size_t bundle_n, n = 0, at = 0;
    kh_signer *signer = signer_of(KH_SUITE_INTL, public_key);
    kh_section s;
    cr_assert(kh_section_next(text, 0, &at, &s) == KH_E_NOT_FOUND);
    kh_section_own(sizeof frames, text);
    memcpy(text + KH_SECTION_HEAD_SZ, frames, sizeof frames);
    n = KH_SECTION_HEAD_SZ + sizeof frames;
    cr_assert(kh_bundle_make(signer, chain, 21, 7, frames, sizeof frames, &bundle, &bundle_n) == KH_OK);
    memcpy(text + n, bundle, bundle_n);
    n += bundle_n;
    kh_section_own(0, text + n);
    n += KH_SECTION_HEAD_SZ;
    cr_assert(kh_section_next(text, n, &at, &s) == KH_OK && s.kind == KH_SECTION_OWN && s.frames_sz == sizeof frames);
    cr_assert(s.frames == text + 16 && !kh_bundle_signed_by(KH_SUITE_INTL, &s, public_key));
    cr_assert(kh_section_next(text, n, &at, &s) == KH_OK && s.kind == KH_SECTION_SIGNED && s.frames_sz == sizeof frames);
    cr_assert(memcmp(s.frames, frames, sizeof frames) == 0 && (s.frames - text) % 8 == 0);
    cr_assert(s.party == 21 && s.number == 7 && memcmp(s.chain, chain, 32) == 0);
    cr_assert(kh_bundle_signed_by(KH_SUITE_INTL, &s, public_key));
    cr_assert(kh_section_next(text, n, &at, &s) == KH_OK && s.kind == KH_SECTION_OWN && s.frames_sz == 0);
    cr_assert(kh_section_next(text, n, &at, &s) == KH_E_NOT_FOUND && at == n);
    kh_signer_free(signer);
    free(bundle);
}

Test(sections, a_bundle_with_a_changed_byte)
{
    static const kh_suite suites[2] = {KH_SUITE_INTL, KH_SUITE_GM};
    for (int i = 0; i < 2; i++) {
        uint8_t public_key[64], *p;
        size_t n;
        kh_signer *signer = signer_of(suites[i], public_key);
        kh_section s;
        cr_assert(kh_bundle_make(signer, chain, 21, 7, frames, sizeof frames, &p, &n) == KH_OK);
        for (size_t at = 0; at <= n; at++) {
            size_t from = 0;
            if (at < n) p[at] ^= 4;
            bool good = kh_section_next(p, n, &from, &s) == KH_OK && from == n && kh_bundle_signed_by(suites[i], &s, public_key);
            cr_assert(good == (at == n), "%s: byte %zu", kh_suite_word(suites[i]), at);
            if (at < n) p[at] ^= 4;
        }
        kh_signer_free(signer);
        free(p);
    }
}

Test(sections, malformed)
{
    uint8_t public_key[64], *bundle;
    size_t n, at;
    kh_signer *signer = signer_of(KH_SUITE_INTL, public_key);
    kh_section s;
    cr_assert(kh_bundle_make(signer, chain, 21, 7, NULL, 0, &bundle, &n) == KH_OK);
    cr_assert(kh_bundle_make(signer, chain, 21, 7, frames, UINT32_MAX, &bundle, &n) == KH_E_ARG);
    for (size_t cut = 1; cut < n; cut++) {
        uint8_t *p = malloc(cut);
        memcpy(p, bundle, cut);
        at = 0;
        cr_assert(kh_section_next(p, cut, &at, &s) == KH_E_FORMAT && at == 0, "%zu bytes of it", cut);
        if (cut >= 4) kh_store32(p, (uint32_t)cut);
        cr_assert(kh_section_next(p, cut, &at, &s) == KH_E_FORMAT, "%zu bytes, and it says so", cut);
        free(p);
    }
    for (uint32_t size = 0; size < 40; size++) { /* OWN */
        uint8_t own[24] = {0};
        at = 0;
        kh_store32(own, size);
        kh_store32(own + 4, KH_SECTION_OWN);
        cr_assert((kh_section_next(own, sizeof own, &at, &s) == KH_OK) == (size >= 16 && size <= 24), "size %u", size);
        own[12] = 1;
        at = 0;
        cr_assert(kh_section_next(own, sizeof own, &at, &s) == KH_E_FORMAT);
        own[12] = 0;
        for (uint32_t kind = 0; kind < 5; kind++) {
            kh_store32(own, 24);
            kh_store32(own + 4, kind);
            at = 0;
            cr_assert((kh_section_next(own, sizeof own, &at, &s) == KH_OK) == (kind == KH_SECTION_OWN), "kind %u", kind);
        }
    }
    at = n + 1;
    cr_assert(kh_section_next(bundle, n, &at, &s) == KH_E_FORMAT);
    kh_signer_free(signer);
    free(bundle);
}
