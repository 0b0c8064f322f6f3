/* envelope: sealing a text, and opening one: which bytes stand where is in docs/CLUSTER.md.
 *
 * What is inside is checked in an order in which nothing unproven is used: form, wrap, commitment, seal, bounds, then the packed
 * bytes, whose own header must promise what the sealed one does. */
#include "log/envelope.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    AT_SUITE = 4,
    AT_CLASS = 5,
    AT_CHAIN = 8,
    AT_EPOCH = 40,
    AT_SENDER = 44,
    AT_INCARNATION = 48,
    AT_ZERO = 52,
    AT_SEQUENCE = 56,
    AT_COMMITMENT = 64,
    AT_WRAPS = 96,
    INSIDE_SZ = 16, /* {text_sz 4, packed_sz 4, 0 8} before the packed text */
    CLASS_FIRST_SZ = 1024,
    CLASS_CNT = 27, /* 1 KiB, 1.5 KiB, 2 KiB, ... 8 MiB */
    PACK_LEVEL = 1
};
static const uint8_t magic[4] = {'K', 'H', 'E', '1'};

static size_t class_size(uint32_t number)
{
    size_t power = (size_t)CLASS_FIRST_SZ << number / 2;
    return number % 2 == 0 ? power : power + power / 2;
}

static uint32_t class_of(size_t n) /* CLASS_CNT: none holds n */
{
    uint32_t number = 0;
    while (number < CLASS_CNT && class_size(number) < n) number++;
    return number;
}

/* Where the parts of an envelope are. */
typedef struct parts {
    kh_suite suite;
    size_t wrap_sz, body_at, body_sz, tag_at, signature_at, size;
} parts;

static parts parts_of(kh_suite suite, uint32_t size_class)
{
    parts s = {.suite = suite, .wrap_sz = kh_wrap_sz(suite), .body_sz = class_size(size_class)};
    s.body_at = AT_WRAPS + 2 * s.wrap_sz;
    s.tag_at = s.body_at + s.body_sz;
    s.signature_at = s.tag_at + kh_seal_tag_sz(suite);
    s.size = s.signature_at + KH_SIGNATURE_SZ;
    return s;
}

static bool parts_read(const uint8_t *p, size_t n, parts *ret)
{
    if (n < AT_WRAPS || memcmp(p, magic, sizeof magic) != 0 || p[AT_CLASS] >= CLASS_CNT) return false;
    if (kh_suite_word((kh_suite)p[AT_SUITE]) == NULL) return false;
    if (kh_load16(p + AT_CLASS + 1) != 0 || kh_load32(p + AT_ZERO) != 0) return false;
    *ret = parts_of((kh_suite)p[AT_SUITE], p[AT_CLASS]);
    return n == ret->size;
}

static void commitment_of(const uint8_t key[32], uint8_t ret[32])
{
    static const char label[] = "kanhe/commit";
    uint8_t buf[sizeof label + 32];
    memcpy(buf, label, sizeof label);
    memcpy(buf + sizeof label, key, 32);
    kh_sha256(buf, sizeof buf, ret);
    kh_aead_wipe(buf, sizeof buf);
}

/* What a wrap is bound to: whose it is, and the head up to the wraps. */
enum { WRAP_GROUP = 1, WRAP_OWN = 2, WRAP_INFO_SZ = 10 + 1 + AT_WRAPS };
static void wrap_info(const uint8_t *head, uint8_t whose, uint8_t ret[WRAP_INFO_SZ])
{
    memcpy(ret, "kanhe/key", 10);
    ret[10] = whose;
    memcpy(ret + 11, head, AT_WRAPS);
}

/* What is signed: a tag and SHA-256 of all before the signature. ret_digest: of all, the signature too; NULL: not asked. */
enum { STATEMENT_SZ = 15 + 32 };
static void digests_of(const uint8_t *p, const parts *s, uint8_t ret_statement[STATEMENT_SZ], uint8_t *ret_digest)
{
    kh_sha256_state state, rest;
    kh_sha256_init(&state);
    kh_sha256_update(&state, p, s->signature_at);
    rest = state;
    memcpy(ret_statement, "kanhe/envelope", 15);
    kh_sha256_final(&state, ret_statement + 15);
    if (ret_digest == NULL) return;
    kh_sha256_update(&rest, p + s->signature_at, KH_SIGNATURE_SZ);
    kh_sha256_final(&rest, ret_digest);
}

/* --- making --- */

/* The body as it is before sealing, packed and padded, at its place in a buffer that begins with the head's room. */
static kh_err body_make(kh_suite suite, const uint8_t *text, size_t n, uint8_t **ret, parts *ret_parts, uint8_t *ret_class)
{
    uint32_t roomy = class_of(INSIDE_SZ + ZSTD_compressBound(n));
    size_t packed = 0;
    parts s = parts_of(suite, roomy < CLASS_CNT ? roomy : CLASS_CNT - 1);
    uint8_t *p = malloc(s.size);
    if (p == NULL) return KH_E_NOMEM;
    uint8_t *body = p + s.body_at;
    if (n > 0) packed = ZSTD_compress(body + INSIDE_SZ, s.body_sz - INSIDE_SZ, text, n, PACK_LEVEL);
    if (ZSTD_isError(packed)) {
        free(p);
        return KH_E_FULL; /* it does not get small enough */
    }
    uint32_t size_class = class_of(INSIDE_SZ + packed);
    s = parts_of(suite, size_class);
    kh_store32(body, (uint32_t)n);
    kh_store32(body + 4, (uint32_t)packed);
    memset(body + 8, 0, INSIDE_SZ - 8);
    memset(body + INSIDE_SZ + packed, 0, s.body_sz - INSIDE_SZ - packed);
    *ret = p;
    *ret_parts = s;
    *ret_class = (uint8_t)size_class;
    return KH_OK;
}

static void head_make(const kh_envelope_head *head, uint8_t size_class, const uint8_t key[32], uint8_t *p)
{
    memcpy(p, magic, sizeof magic);
    p[AT_SUITE] = (uint8_t)head->suite;
    p[AT_CLASS] = size_class;
    kh_store16(p + AT_CLASS + 1, 0);
    memcpy(p + AT_CHAIN, head->chain, 32);
    kh_store32(p + AT_EPOCH, head->epoch);
    kh_store32(p + AT_SENDER, head->sender);
    kh_store32(p + AT_INCARNATION, head->incarnation);
    kh_store32(p + AT_ZERO, 0);
    kh_store64(p + AT_SEQUENCE, head->sequence);
    commitment_of(key, p + AT_COMMITMENT);
}

static kh_err wrap_make(const uint8_t *public_key, const kh_entropy *entropy, uint8_t whose, const uint8_t key[32],
                        const parts *s, uint8_t *p)
{
    uint8_t info[WRAP_INFO_SZ];
    wrap_info(p, whose, info);
    return kh_wrap(s->suite, public_key, entropy, info, sizeof info, key, p + AT_WRAPS + (whose - WRAP_GROUP) * s->wrap_sz);
}

kh_err kh_envelope_make(const kh_envelope_head *head, const kh_signer *signer, const uint8_t group_public[KH_PUBLIC_SZ],
                        const uint8_t own_public[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t *text, size_t n,
                        uint8_t **ret, size_t *ret_n, uint8_t ret_digest[32])
{
    uint8_t key[32], statement[STATEMENT_SZ], size_class, *p;
    parts s;
    if (kh_suite_word(head->suite) == NULL) return KH_E_ARG;
    if (n > KH_ENVELOPE_TEXT_MAX) return KH_E_FULL;
    kh_err err = body_make(head->suite, text, n, &p, &s, &size_class);
    if (err != KH_OK) return err;
    err = entropy->fill(entropy->self, key, sizeof key);
    if (err == KH_OK) {
        head_make(head, size_class, key, p);
        err = wrap_make(group_public, entropy, WRAP_GROUP, key, &s, p);
    }
    if (err == KH_OK) err = wrap_make(own_public, entropy, WRAP_OWN, key, &s, p);
    if (err == KH_OK) err = kh_seal(s.suite, key, p, s.body_at, p + s.body_at, s.body_sz, p + s.tag_at);
    kh_aead_wipe(key, sizeof key);
    if (err == KH_OK) {
        digests_of(p, &s, statement, NULL);
        err = kh_sign(signer, statement, sizeof statement, p + s.signature_at);
    }
    if (err != KH_OK) {
        free(p);
        return err;
    }
    digests_of(p, &s, statement, ret_digest);
    *ret = p;
    *ret_n = s.size;
    return KH_OK;
}

/* --- reading --- */

kh_err kh_envelope_read(const uint8_t *p, size_t n, kh_envelope_head *ret)
{
    parts s;
    if (!parts_read(p, n, &s)) return KH_E_FORMAT;
    *ret = (kh_envelope_head){.suite = s.suite,
                              .epoch = kh_load32(p + AT_EPOCH),
                              .sender = kh_load32(p + AT_SENDER),
                              .incarnation = kh_load32(p + AT_INCARNATION),
                              .sequence = kh_load64(p + AT_SEQUENCE)};
    memcpy(ret->chain, p + AT_CHAIN, 32);
    return KH_OK;
}

bool kh_envelope_verify(const uint8_t *p, size_t n, const uint8_t sender_public[KH_PUBLIC_SZ], uint8_t ret_digest[32])
{
    uint8_t statement[STATEMENT_SZ], digest[32];
    parts s;
    if (!parts_read(p, n, &s)) return false;
    digests_of(p, &s, statement, digest);
    if (!kh_verify_signature(s.suite, sender_public, statement, sizeof statement, p + s.signature_at)) return false;
    memcpy(ret_digest, digest, 32);
    return true;
}

bool kh_envelope_signed_by(const uint8_t *p, size_t n, const uint8_t sender_public[KH_PUBLIC_SZ])
{
    uint8_t digest[32];
    return kh_envelope_verify(p, n, sender_public, digest);
}

/* A hub without memory must end: one that called a batch unopenable which the others open would contradict them. */
static void *must(void *p)
{
    KH_ASSERT(p != NULL);
    return p;
}

/* One zstd frame of exactly packed_sz bytes that says itself how long its text is: so one call without a window of its own. */
static bool unpack(const uint8_t *packed, size_t packed_sz, size_t text_sz, uint8_t **ret)
{
    if ((text_sz == 0) != (packed_sz == 0)) return false;
    if (text_sz > 0 &&
        (ZSTD_getFrameContentSize(packed, packed_sz) != text_sz || ZSTD_findFrameCompressedSize(packed, packed_sz) != packed_sz))
        return false;
    uint8_t *text = must(malloc(text_sz > 0 ? text_sz : 1));
    size_t n = text_sz > 0 ? ZSTD_decompress(text, text_sz, packed, packed_sz) : 0;
    KH_ASSERT(ZSTD_getErrorCode(n) != ZSTD_error_memory_allocation);
    if (n != text_sz) {
        free(text);
        return false;
    }
    *ret = text;
    return true;
}

static bool body_read(const uint8_t *body, size_t n, uint8_t **ret, size_t *ret_n)
{
    size_t text_sz = kh_load32(body), packed_sz = kh_load32(body + 4);
    if (kh_load64(body + 8) != 0 || text_sz > KH_ENVELOPE_TEXT_MAX || packed_sz > n - INSIDE_SZ) return false;
    for (size_t i = INSIDE_SZ + packed_sz; i < n; i++)
        if (body[i] != 0) return false;
    if (!unpack(body + INSIDE_SZ, packed_sz, text_sz, ret)) return false;
    *ret_n = text_sz;
    return true;
}

static bool key_of(const uint8_t *p, const parts *s, const kh_box *box, uint8_t whose, uint8_t ret[32])
{
    uint8_t info[WRAP_INFO_SZ], commitment[32];
    wrap_info(p, whose, info);
    if (!kh_unwrap(box, info, sizeof info, p + AT_WRAPS + (whose - WRAP_GROUP) * s->wrap_sz, ret)) return false;
    commitment_of(ret, commitment);
    return memcmp(commitment, p + AT_COMMITMENT, 32) == 0;
}

bool kh_envelope_open(const uint8_t *p, size_t n, const kh_box *box, bool own, uint8_t **ret, size_t *ret_n)
{
    uint8_t key[32];
    parts s;
    if (!parts_read(p, n, &s) || kh_box_suite(box) != s.suite) return false;
    uint8_t *body = must(malloc(s.body_sz));
    memcpy(body, p + s.body_at, s.body_sz);
    bool good = key_of(p, &s, box, own ? WRAP_OWN : WRAP_GROUP, key) &&
                kh_unseal(s.suite, key, p, s.body_at, body, s.body_sz, p + s.tag_at) && body_read(body, s.body_sz, ret, ret_n);
    kh_aead_wipe(key, sizeof key);
    free(body);
    return good;
}
