/* Unit tests of crypto: AES-256-GCM by each method against the published vectors (McGrew and Viega, "The Galois/Counter Mode of
 * Operation", test cases 13 to 16, which NIST's GCM submission carries), against the other method, and with every bit altered. */
#include "crypto/aead.h"
#include "crypto/digest.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static const kh_aead_method methods[] = {KH_AEAD_OPENSSL, KH_AEAD_IPSEC_MB};

static size_t unhex(const char *hex, uint8_t *ret)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

#define KEY_15 "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define TEXT_16                                                                                                                  \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define SEALED_16                                                                                                                \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
static const struct {
    const char *key, *nonce, *aad, *text, *sealed, *tag;
} vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {KEY_15, "cafebabefacedbaddecaf888", "", TEXT_16 "1aafd255", SEALED_16 "898015ad", "b094dac5d93471bdec1a502270e3cc6c"},
    {KEY_15, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", TEXT_16, SEALED_16,
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

Test(crypto, published_vectors)
{
    cr_assert(kh_aead_has(KH_AEAD_OPENSSL));
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < sizeof vectors / sizeof vectors[0] && kh_aead_has(methods[m]); i++) {
            uint8_t key_bytes[32], nonce[12], aad[32], text[64], sealed[64], tag[16], made[16];
            kh_aead_key *key;
            unhex(vectors[i].key, key_bytes);
            unhex(vectors[i].nonce, nonce);
            size_t aad_n = unhex(vectors[i].aad, aad), n = unhex(vectors[i].text, text);
            unhex(vectors[i].sealed, sealed);
            unhex(vectors[i].tag, tag);
            cr_assert(kh_aead_key_new(methods[m], key_bytes, 1, &key) == KH_OK);
            kh_aead_seal(key, 0, nonce, aad, aad_n, text, n, made);
            cr_assert(memcmp(text, sealed, n) == 0, "%s, vector %zu", kh_aead_method_word(methods[m]), i);
            cr_assert(memcmp(made, tag, 16) == 0, "%s, tag %zu", kh_aead_method_word(methods[m]), i);
            cr_assert(kh_aead_open(key, 0, nonce, aad, aad_n, text, n, tag));
            unhex(vectors[i].text, sealed);
            cr_assert(memcmp(text, sealed, n) == 0);
            kh_aead_key_free(key);
        }
}

static void random_bytes(uint8_t *p, size_t n)
{
    static uint64_t x = 20261125;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)((x = x * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 33);
}

Test(crypto, the_methods_agree)
{
    if (!kh_aead_has(KH_AEAD_IPSEC_MB)) return; /* the library was not there when this was built */
    uint8_t key[32], nonce[12], aad[24], text[1500], copy[1500], plain[1500], tag[16], other[16];
    for (uint32_t round = 0; round < 2000; round++) {
        kh_aead_key *a, *b;
        size_t n = round < 200 ? round : (round * 37u) % sizeof text, aad_n = round % 25;
        random_bytes(key, sizeof key);
        random_bytes(nonce, sizeof nonce);
        random_bytes(aad, sizeof aad);
        random_bytes(plain, n);
        memcpy(text, plain, n);
        memcpy(copy, plain, n);
        cr_assert(kh_aead_key_new(KH_AEAD_OPENSSL, key, 2, &a) == KH_OK &&
                  kh_aead_key_new(KH_AEAD_IPSEC_MB, key, 2, &b) == KH_OK);
        kh_aead_seal(a, round % 2, nonce, aad, aad_n, text, n, tag);
        kh_aead_seal(b, 0, nonce, aad, aad_n, copy, n, other);
        cr_assert(memcmp(text, copy, n) == 0 && memcmp(tag, other, 16) == 0, "length %zu", n);
        cr_assert(kh_aead_open(b, 1, nonce, aad, aad_n, text, n, tag) && memcmp(text, plain, n) == 0);
        cr_assert(kh_aead_open(a, 0, nonce, aad, aad_n, copy, n, tag) && memcmp(copy, plain, n) == 0);
        kh_aead_key_free(a);
        kh_aead_key_free(b);
    }
}

Test(crypto, no_bit_may_change)
{
    for (size_t m = 0; m < 2; m++) {
        if (!kh_aead_has(methods[m])) continue;
        uint8_t key_bytes[32] = {9}, all[12 + 16 + 80 + 16], good[sizeof all]; /* nonce, aad, text, tag */
        kh_aead_key *key;
        cr_assert(kh_aead_key_new(methods[m], key_bytes, 1, &key) == KH_OK);
        random_bytes(good, sizeof good);
        kh_aead_seal(key, 0, good, good + 12, 16, good + 28, 80, good + 108);
        for (size_t bit = 0; bit <= sizeof all * 8; bit++) {
            memcpy(all, good, sizeof all);
            if (bit < sizeof all * 8) all[bit / 8] ^= (uint8_t)(1 << bit % 8);
            bool ok = kh_aead_open(key, 0, all, all + 12, 16, all + 28, 80, all + 108);
            cr_assert(ok == (bit == sizeof all * 8), "%s, bit %zu", kh_aead_method_word(methods[m]), bit);
        }
        kh_aead_key_free(key);
    }
}

Test(crypto, what_is_refused)
{
    uint8_t key[32] = {0};
    kh_aead_key *k = NULL;
    cr_assert(kh_aead_key_new(KH_AEAD_OPENSSL, key, 0, &k) == KH_E_ARG && k == NULL);
    cr_assert(kh_aead_key_new((kh_aead_method)9, key, 1, &k) == KH_E_ARG);
    cr_assert(kh_aead_has(kh_aead_best()));
    kh_aead_key_free(NULL);
}

/* A chain beside texts of other lengths: each link is of the digest before it, whatever number of either there is. */
Test(crypto, sha256_beside)
{
    enum { max = 9, link_sz = 77, digest_at = 13 };
    uint8_t bytes[1024], links[max][link_sz], heads[max + 1][32], found[max][32], want[32];
    kh_sha256_text chain[max], texts[max];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 59 + i / 256);
    for (uint32_t chain_cnt = 0; chain_cnt <= max; chain_cnt++)
        for (uint32_t cnt = 0; cnt <= max; cnt++) {
            for (uint32_t i = 0; i < chain_cnt; i++) {
                memset(links[i], (int)i, link_sz);
                chain[i] = (kh_sha256_text){links[i], link_sz, i + 1 < chain_cnt ? links[i + 1] + digest_at : heads[chain_cnt]};
            }
            for (uint32_t i = 0; i < cnt; i++) texts[i] = (kh_sha256_text){bytes + i, (size_t)i * 100, found[i]};
            kh_sha256_beside(chain, chain_cnt, texts, cnt);
            for (uint32_t i = 0; i < chain_cnt; i++) {
                uint8_t link[link_sz];
                memset(link, (int)i, link_sz);
                if (i > 0) memcpy(link + digest_at, heads[i], 32);
                kh_sha256(link, link_sz, i + 1 < chain_cnt ? heads[i + 1] : want);
            }
            cr_assert(chain_cnt == 0 || memcmp(heads[chain_cnt], want, 32) == 0, "%u links beside %u", chain_cnt, cnt);
            for (uint32_t i = 0; i < cnt; i++) {
                kh_sha256(texts[i].p, texts[i].n, want);
                cr_assert(memcmp(found[i], want, 32) == 0, "%u links beside %u, the %u.", chain_cnt, cnt, i);
            }
        }
}

/* Two at a time is one by one: every pair of lengths around the blocks' ends, where they lie, and an odd one behind. */
Test(crypto, sha256_each)
{
    static const size_t sizes[] = {0, 1, 31, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 177, 200, 1000};
    enum { cnt = sizeof sizes / sizeof sizes[0] };
    uint8_t bytes[2048], found[3][32], want[32];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 167 + i / 256);
    for (size_t a = 0; a < cnt; a++)
        for (size_t b = 0; b < cnt; b++) {
            const kh_sha256_text texts[3] = {
                {bytes + a, sizes[a], found[0]}, {bytes + 1000 + b, sizes[b], found[1]}, {bytes + 7, sizes[a], found[2]}};
            kh_sha256_each(texts, 3);
            for (int i = 0; i < 3; i++) {
                kh_sha256(texts[i].p, texts[i].n, want);
                cr_assert(memcmp(found[i], want, 32) == 0, "%zu beside %zu, the %d.", sizes[a], sizes[b], i);
            }
        }
}
