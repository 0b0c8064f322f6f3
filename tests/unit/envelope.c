/* Unit tests of envelope: round trips, and everything that must be one and the same "no". The bytes are also made by hand here,
 * from docs/CLUSTER.md alone, to put what no maker would put: bounds that lie, commitments to another key, wraps for another
 * head. */
#include "log/envelope.h"
#include "crypto/digest.h"
#include "host/host.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <zstd.h>

static const kh_suite suites[2] = {KH_SUITE_INTL, KH_SUITE_GM};

typedef struct cast { /* who plays */
    kh_suite suite;
    kh_entropy entropy;
    kh_signer *sender, *thief;
    kh_box *group, *own, *stranger;
    uint8_t sender_public[64], thief_public[64], group_public[64], own_public[64];
    kh_envelope_head head;
} cast;

static kh_box *box_of(kh_suite suite, uint8_t first, uint8_t ret_public[64])
{
    uint8_t secret[32] = {0, first}; /* X25519 does not look at the three lowest bits */
    kh_box *box;
    cr_assert(kh_box_new(suite, secret, &box) == KH_OK);
    kh_box_public(box, ret_public);
    return box;
}

static kh_signer *signer_of(kh_suite suite, uint8_t first, uint8_t ret_public[64])
{
    uint8_t secret[32] = {first, 6};
    kh_signer *signer;
    cr_assert(kh_signer_new(suite, secret, &signer) == KH_OK);
    kh_signer_public(signer, ret_public);
    return signer;
}

static cast cast_of(kh_suite suite)
{
    cast c = {.suite = suite, .entropy = kh_host_entropy()};
    uint8_t unused[64];
    c.sender = signer_of(suite, 1, c.sender_public);
    c.thief = signer_of(suite, 2, c.thief_public);
    c.group = box_of(suite, 3, c.group_public);
    c.own = box_of(suite, 4, c.own_public);
    c.stranger = box_of(suite, 5, unused);
    c.head = (kh_envelope_head){.suite = suite, .chain = {9, 8, 7}, .epoch = 2, .sender = 11, .incarnation = 3, .sequence = 77};
    return c;
}

static void cast_free(cast *c)
{
    kh_signer_free(c->sender);
    kh_signer_free(c->thief);
    kh_box_free(c->group);
    kh_box_free(c->own);
    kh_box_free(c->stranger);
}

static uint8_t *make(cast *c, const uint8_t *text, size_t n, size_t *ret_n)
{
    uint8_t *p, digest[32], want[32];
    cr_assert(kh_envelope_make(&c->head, c->sender, c->group_public, c->own_public, &c->entropy, text, n, &p, ret_n, digest) ==
              KH_OK);
    kh_sha256(p, *ret_n, want);
    cr_assert(memcmp(digest, want, 32) == 0);
    return p;
}

/* Opens alike by the group and by the sender, or by neither. */
static bool opens(cast *c, const uint8_t *p, size_t n, uint8_t **ret, size_t *ret_n)
{
    uint8_t *a = NULL, *b = NULL;
    size_t a_n = 0, b_n = 0;
    bool by_group = kh_envelope_open(p, n, c->group, false, &a, &a_n), by_own = kh_envelope_open(p, n, c->own, true, &b, &b_n);
    cr_assert(by_group == by_own);
    if (by_group) cr_assert(a_n == b_n && memcmp(a, b, a_n) == 0);
    free(b);
    if (by_group && ret != NULL) *ret = a, *ret_n = a_n;
    else free(a);
    return by_group;
}

static void fill(uint8_t *p, size_t n, uint64_t seed) /* does not pack */
{
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)((seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 56);
}

Test(envelope, round_trips)
{
    static const size_t sizes[] = {0, 1, 16, 1000, 1008, 1009, 5000, 100000, 1 << 20};
    for (int i = 0; i < 2; i++) {
        cast c = cast_of(suites[i]);
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            for (int packs = 0; packs < 2; packs++) {
                uint8_t *text = calloc(1, sizes[k] + 1), *back, digest[32], other[32];
                size_t n, back_n;
                kh_envelope_head head;
                if (packs == 0) fill(text, sizes[k], k);
                uint8_t *p = make(&c, text, sizes[k], &n);
                cr_assert(kh_envelope_read(p, n, &head) == KH_OK && head.suite == suites[i] && head.epoch == 2);
                cr_assert(head.sender == 11 && head.incarnation == 3 && head.sequence == 77);
                cr_assert(memcmp(head.chain, c.head.chain, 32) == 0);
                cr_assert(kh_envelope_signed_by(p, n, c.sender_public) && !kh_envelope_signed_by(p, n, c.thief_public));
                kh_sha256(p, n, digest);
                cr_assert(kh_envelope_verify(p, n, c.sender_public, other) && memcmp(digest, other, 32) == 0);
                cr_assert(opens(&c, p, n, &back, &back_n) && back_n == sizes[k] && memcmp(back, text, back_n) == 0);
                free(back);
                back = NULL;
                cr_assert(!kh_envelope_open(p, n, c.stranger, false, &back, &back_n));
                cr_assert(!kh_envelope_open(p, n, c.group, true, &back, &back_n), "the group's key opens the group's wrap alone");
                cr_assert(!kh_envelope_open(p, n, c.own, false, &back, &back_n) && back == NULL);
                free(p);
                free(text);
            }
        }
        cast_free(&c);
    }
}

Test(envelope, sizes_tell_the_class_alone)
{
    cast c = cast_of(KH_SUITE_INTL);
    uint8_t text[3000];
    size_t n, smallest = 96 + 160 + 1024 + 16 + 64;
    fill(text, sizeof text, 1);
    for (size_t k = 0; k < 900; k += 150) {
        free(make(&c, text, k, &n));
        cr_assert(n == smallest);
    }
    free(make(&c, text, 1200, &n));
    cr_assert(n == smallest + 512);
    free(make(&c, text, 1900, &n));
    cr_assert(n == smallest + 1024);
    free(make(&c, text, 2500, &n));
    cr_assert(n == smallest + 2048);
    cast_free(&c);
}

Test(envelope, what_is_not_made)
{
    cast c = cast_of(KH_SUITE_INTL);
    uint8_t *text = calloc(1, KH_ENVELOPE_TEXT_MAX + 1), *p = NULL, digest[32], bad[64] = {0}, *back;
    size_t n, back_n;
    const kh_entropy *e = &c.entropy;
    cr_assert(kh_envelope_make(&c.head, c.sender, c.group_public, c.own_public, e, text, KH_ENVELOPE_TEXT_MAX + 1, &p, &n,
                               digest) == KH_E_FULL);
    cr_assert(kh_envelope_make(&c.head, c.sender, c.group_public, c.own_public, e, text, KH_ENVELOPE_TEXT_MAX, &p, &n, digest) ==
              KH_OK);
    cr_assert(opens(&c, p, n, &back, &back_n) && back_n == KH_ENVELOPE_TEXT_MAX);
    free(back);
    free(p);
    p = NULL;
    fill(text, KH_ENVELOPE_TEXT_MAX, 3);
    cr_assert(kh_envelope_make(&c.head, c.sender, c.group_public, c.own_public, e, text, KH_ENVELOPE_TEXT_MAX, &p, &n, digest) ==
              KH_E_FULL);
    cr_assert(kh_envelope_make(&c.head, c.sender, bad, c.own_public, e, text, 1, &p, &n, digest) == KH_E_ARG);
    cr_assert(kh_envelope_make(&c.head, c.sender, c.group_public, bad, e, text, 1, &p, &n, digest) == KH_E_ARG);
    c.head.suite = (kh_suite)3;
    cr_assert(kh_envelope_make(&c.head, c.sender, c.group_public, c.own_public, e, text, 1, &p, &n, digest) == KH_E_ARG &&
              p == NULL);
    free(text);
    cast_free(&c);
}

Test(envelope, no_byte_may_change)
{
    for (int i = 0; i < 2; i++) {
        cast c = cast_of(suites[i]);
        uint8_t text[300] = {1, 2, 3};
        size_t n, signature_at;
        kh_envelope_head head;
        uint8_t *p = make(&c, text, sizeof text, &n), *q = malloc(n + 1);
        signature_at = n - KH_SIGNATURE_SZ;
        for (size_t at = 0; at < n; at++) {
            p[at] ^= 0x10;
            cr_assert(!kh_envelope_signed_by(p, n, c.sender_public), "%s: byte %zu", kh_suite_word(suites[i]), at);
            /* intl: a change in either wrap is in the AAD of the body too, so that nobody can break one of them only. */
            if (at < signature_at) cr_assert(!opens(&c, p, n, NULL, NULL), "%s: byte %zu", kh_suite_word(suites[i]), at);
            p[at] ^= 0x10;
        }
        cr_assert(opens(&c, p, n, NULL, NULL));
        for (size_t k = 0; k < n; k++) {
            uint8_t *cut = malloc(k + 1);
            memcpy(cut, p, k);
            cr_assert(kh_envelope_read(cut, k, &head) == KH_E_FORMAT && !opens(&c, cut, k, NULL, NULL));
            cr_assert(!kh_envelope_signed_by(cut, k, c.sender_public));
            free(cut);
        }
        memcpy(q, p, n);
        q[n] = 0;
        cr_assert(kh_envelope_read(q, n + 1, &head) == KH_E_FORMAT && !opens(&c, q, n + 1, NULL, NULL));
        free(p);
        free(q);
        cast_free(&c);
    }
}

/* --- by hand --- */

typedef struct hand { /* what a liar may choose; zeros: as it should be */
    const uint8_t *packed;
    size_t packed_n;
    uint32_t text_sz, packed_sz;
    uint8_t zero_at_8, padding, flip_commitment;
    uint8_t group_key_differs;
    uint32_t wrapped_for; /* the sender that the wraps' head names */
} hand;

static uint8_t *by_hand(cast *c, const hand *h, size_t *ret_n)
{
    size_t w = kh_wrap_sz(c->suite), t = kh_seal_tag_sz(c->suite), body_at = 96 + 2 * w, n = body_at + 1024 + t + 64;
    uint8_t *p = calloc(1, n), key[32] = {0x42, 1}, other[32] = {0x43, 1}, label[13 + 32], info[10 + 1 + 96], statement[15 + 32];
    memcpy(p, "KHE1", 4);
    p[4] = (uint8_t)c->suite;
    memcpy(p + 8, c->head.chain, 32);
    kh_store32(p + 40, c->head.epoch);
    kh_store32(p + 44, c->head.sender);
    kh_store32(p + 48, c->head.incarnation);
    kh_store64(p + 56, c->head.sequence);
    memcpy(label, "kanhe/commit", 13);
    memcpy(label + 13, key, 32);
    kh_sha256(label, sizeof label, p + 64);
    p[64] ^= h->flip_commitment;
    for (uint8_t whose = 1; whose <= 2; whose++) {
        memcpy(info, "kanhe/key", 10);
        info[10] = whose;
        memcpy(info + 11, p, 96);
        if (h->wrapped_for != 0) kh_store32(info + 11 + 44, h->wrapped_for);
        cr_assert(kh_wrap(c->suite, whose == 1 ? c->group_public : c->own_public, &c->entropy, info, sizeof info,
                          whose == 1 && h->group_key_differs ? other : key, p + 96 + (whose - 1) * w) == KH_OK);
    }
    uint8_t *body = p + body_at;
    kh_store32(body, h->text_sz);
    kh_store32(body + 4, h->packed_sz != 0 ? h->packed_sz : (uint32_t)h->packed_n);
    body[8] = h->zero_at_8;
    memcpy(body + 16, h->packed, h->packed_n);
    body[1023] |= h->padding;
    cr_assert(kh_seal(c->suite, key, p, body_at, body, 1024, body + 1024) == KH_OK);
    memcpy(statement, "kanhe/envelope", 15);
    kh_sha256(p, n - 64, statement + 15);
    cr_assert(kh_sign(c->sender, statement, sizeof statement, p + n - 64) == KH_OK);
    *ret_n = n;
    return p;
}

static bool hand_opens(cast *c, hand h)
{
    size_t n;
    uint8_t *p = by_hand(c, &h, &n);
    kh_envelope_head head;
    cr_assert(kh_envelope_read(p, n, &head) == KH_OK && kh_envelope_signed_by(p, n, c->sender_public));
    bool good = opens(c, p, n, NULL, NULL);
    free(p);
    return good;
}

Test(envelope, lies_inside)
{
    for (int i = 0; i < 2; i++) {
        cast c = cast_of(suites[i]);
        uint8_t text[500] = "the text", packed[700], two[700], *zeros = calloc(1, KH_ENVELOPE_TEXT_MAX + 1);
        size_t n = ZSTD_compress(packed, sizeof packed, text, sizeof text, 1);
        cr_assert(hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500}), "the hand makes what the maker makes");
        cr_assert(hand_opens(&c, (hand){.packed = packed, .packed_n = 0, .text_sz = 0}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 499}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 501}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 0}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = 0, .text_sz = 500}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .packed_sz = (uint32_t)n - 1}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .packed_sz = (uint32_t)n + 1}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .packed_sz = 1009}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .packed_sz = UINT32_MAX}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .zero_at_8 = 1}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .padding = 1}));
        /* a commitment to another key; two keys, one for the hubs and one for the sender */
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .flip_commitment = 1}));
        size_t sz;
        uint8_t *p = by_hand(&c, &(hand){.packed = packed, .packed_n = n, .text_sz = 500, .group_key_differs = 1}, &sz), *back;
        cr_assert(!kh_envelope_open(p, sz, c.group, false, &back, &sz));
        free(p);
        /* what is packed unpacks to more than the bound, says so or does not; bytes that are no frame; two frames */
        n = ZSTD_compress(packed, sizeof packed, zeros, KH_ENVELOPE_TEXT_MAX + 1, 1);
        cr_assert(!ZSTD_isError(n));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = KH_ENVELOPE_TEXT_MAX + 1}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500}));
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = KH_ENVELOPE_TEXT_MAX}));
        n = ZSTD_compress(packed, sizeof packed, zeros, KH_ENVELOPE_TEXT_MAX, 1);
        cr_assert(hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = KH_ENVELOPE_TEXT_MAX}),
                  "the bound itself is good");
        ZSTD_CCtx *z = ZSTD_createCCtx();
        cr_assert(z != NULL && !ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0)));
        n = ZSTD_compress2(z, packed, sizeof packed, text, sizeof text);
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500}), "a frame that does not say its size");
        ZSTD_freeCCtx(z);
        n = ZSTD_compress(two, 300, text, 250, 1);
        size_t m = ZSTD_compress(two + n, 300, text + 250, 250, 1);
        cr_assert(!hand_opens(&c, (hand){.packed = two, .packed_n = n + m, .text_sz = 500}));
        fill(packed, 300, 5);
        cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = 300, .text_sz = 500}));
        free(zeros);
        cast_free(&c);
    }
}

/* Another takes an envelope that it cannot read, puts its own name on it and signs: the hubs open nothing. */
Test(envelope, stolen)
{
    for (int i = 0; i < 2; i++) {
        cast c = cast_of(suites[i]);
        uint8_t text[100] = "apply", statement[15 + 32];
        size_t n;
        uint8_t *p = make(&c, text, sizeof text, &n);
        kh_envelope_head head;
        kh_store32(p + 44, 12);
        memcpy(statement, "kanhe/envelope", 15);
        kh_sha256(p, n - 64, statement + 15);
        cr_assert(kh_sign(c.thief, statement, sizeof statement, p + n - 64) == KH_OK);
        cr_assert(kh_envelope_read(p, n, &head) == KH_OK && head.sender == 12 && kh_envelope_signed_by(p, n, c.thief_public));
        cr_assert(!opens(&c, p, n, NULL, NULL));
        free(p);
        cast_free(&c);
    }
    /* intl: wraps made for another head do not open here even where everything else is right */
    cast c = cast_of(KH_SUITE_INTL);
    uint8_t text[500] = "the text", packed[700];
    size_t n = ZSTD_compress(packed, sizeof packed, text, sizeof text, 1);
    cr_assert(!hand_opens(&c, (hand){.packed = packed, .packed_n = n, .text_sz = 500, .wrapped_for = 12}));
    cast_free(&c);
}

Test(envelope, a_box_of_the_other_suite)
{
    cast a = cast_of(KH_SUITE_INTL), b = cast_of(KH_SUITE_GM);
    uint8_t text[10] = {0}, *back;
    size_t n, back_n;
    uint8_t *p = make(&a, text, sizeof text, &n);
    cr_assert(!kh_envelope_open(p, n, b.group, false, &back, &back_n) && !kh_envelope_signed_by(p, n, b.sender_public));
    free(p);
    cast_free(&a);
    cast_free(&b);
}
