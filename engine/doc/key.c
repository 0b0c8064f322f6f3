/* key: the 16-byte document key and the digests that stand for owners and contracts. */
#include "crypto/digest.h"
#include "doc/number.h"

enum { PACK_DIGEST = 0, PACK_DIGITS = 1, PACK_ALNUM = 2, DIGITS_MAX = 33, ALNUM_MAX = 21, WORD_DIGITS_MAX = 18 };

static int value_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : -1;
}

/* pack writes the number as one integer in the given base behind a leading 1 (so that leading zeros and the length are kept): 14
   bytes, little-endian. 2 * 10^33 and 2 * 36^21 are below 2^112. */
static void pack(kh_key *key, uint32_t base, kh_text number)
{
    unsigned __int128 v = 1;
    for (uint32_t i = 0; i < number.n; i++) v = v * base + (unsigned)value_of(number.p[i]);
    memcpy(key->b + 2, &v, 14);
}

/* The same for up to 18 digits, which fit one word with the 1 before them: the numbers of declarations. */
static bool pack_word(kh_key *key, kh_text number)
{
    uint64_t v = 1, bad = 0;
    for (uint32_t i = 0; i < number.n; i++) {
        uint64_t digit = (uint64_t)(uint8_t)number.p[i] - '0';
        bad |= (uint64_t)(digit > 9);
        v = v * 10 + digit;
    }
    if (bad != 0) return false;
    key->b[1] = PACK_DIGITS;
    kh_store64(key->b + 2, v);
    return true;
}

bool kh_doc_key_packs(const kh_key *key) { return key->b[1] == PACK_DIGITS || key->b[1] == PACK_ALNUM; }

kh_key kh_doc_key(kh_kind kind, kh_text number, kh_text issuer)
{
    kh_key key = {{0}};
    key.b[0] = (uint8_t)kind;
    if (issuer.n == 0 && number.n > 0 && number.n <= WORD_DIGITS_MAX && pack_word(&key, number)) return key;
    if (issuer.n == 0 && number.n > 0 && number.n <= DIGITS_MAX) {
        bool digits = true, alnum = number.n <= ALNUM_MAX;
        for (uint32_t i = 0; i < number.n; i++) {
            int v = value_of(number.p[i]);
            digits = digits && v >= 0 && v < 10;
            alnum = alnum && v >= 0;
        }
        if (digits || alnum) {
            key.b[1] = digits ? PACK_DIGITS : PACK_ALNUM;
            pack(&key, digits ? 10 : 36, number);
            return key;
        }
    }
    uint8_t sum[32], head[3] = {(uint8_t)kind}, len[2];
    kh_sha256_state state;
    kh_sha256_init(&state);
    kh_store16(head + 1, (uint16_t)issuer.n);
    kh_sha256_update(&state, head, 3);
    kh_sha256_update(&state, issuer.p, issuer.n);
    kh_store16(len, (uint16_t)number.n);
    kh_sha256_update(&state, len, 2);
    kh_sha256_update(&state, number.p, number.n);
    kh_sha256_final(&state, sum);
    memcpy(key.b + 2, sum, 14);
    return key;
}

/* The digits of v from its end on, while they are above the 1 in front, or whole of them. */
static inline uint32_t digits_of(uint64_t v, uint32_t base, uint32_t whole, char *ret)
{
    uint32_t n = 0;
    for (; whole != 0 ? n < whole : v > 1; v /= base) {
        uint32_t digit = (uint32_t)(v % base);
        ret[n++] = (char)(digit < 10 ? '0' + digit : 'A' + digit - 10);
    }
    return n;
}

/* A division of 128 bits is slow: one takes as many digits off the end as 64 bits hold. */
static inline uint32_t unpack(unsigned __int128 v, uint32_t base, uint64_t power, uint32_t whole, char *ret)
{
    uint32_t n = 0;
    for (; v >> 64 != 0; v /= power) n += digits_of((uint64_t)(v % power), base, whole, ret + n);
    return n + digits_of((uint64_t)v, base, 0, ret + n);
}

uint32_t kh_doc_key_number(const kh_key *key, char *buf)
{
    if (!kh_doc_key_packs(key)) return 0;
    unsigned __int128 v = 0;
    memcpy(&v, key->b + 2, 14);
    char reversed[40]; /* 34 digits of 112 bits */
    uint32_t n = key->b[1] == PACK_DIGITS ? unpack(v, 10, UINT64_C(10000000000000000000), 19, reversed)
                                          : unpack(v, 36, UINT64_C(4738381338321616896), 12, reversed); /* 36^12 */
    for (uint32_t i = 0; i < n; i++) buf[i] = reversed[n - 1 - i];
    buf[n] = '\0';
    return n;
}

uint32_t kh_owner_check(kh_text owner)
{
    if (owner.n == 0) return 0;
    uint8_t sum[32];
    kh_sha256(owner.p, owner.n, sum);
    uint32_t check = kh_load32(sum);
    return check == 0 ? 1 : check;
}

uint64_t kh_contract_digest(kh_text contract_no)
{
    char buf[KH_ISSUER_MAX + 1];
    uint32_t n = 0;
    kh_code code = kh_owner_canonical(contract_no, buf, &n);
    if (contract_no.n == 0 || (code != KH_C_OK && code != KH_C_CHECK_DIGIT)) return 0;
    uint8_t sum[32];
    kh_sha256(buf, n, sum);
    uint64_t digest = kh_load64(sum);
    return digest == 0 ? 1 : digest;
}
