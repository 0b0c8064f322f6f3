/* suite_gm_der: SEQUENCE of INTEGERs and OCTET STRINGs of at most 33 bytes (X.690; GM/T 0009 names the sequences). */
#include "crypto/suite_gm_der.h"

enum { INTEGER = 0x02, OCTETS = 0x04, SEQUENCE = 0x30 };

static uint8_t *put_integer(uint8_t *at, const uint8_t x[32])
{
    size_t skip = 0;
    while (skip < 31 && x[skip] == 0) skip++;
    bool high = (x[skip] & 0x80) != 0;
    *at++ = INTEGER;
    *at++ = (uint8_t)(32 - skip + high);
    if (high) *at++ = 0;
    memcpy(at, x + skip, 32 - skip);
    return at + 32 - skip;
}

static uint8_t *put_octets(uint8_t *at, const uint8_t x[32])
{
    *at++ = OCTETS;
    *at++ = 32;
    memcpy(at, x, 32);
    return at + 32;
}

static size_t put_sequence(const uint8_t *inside, size_t n, uint8_t *ret)
{
    uint8_t *at = ret;
    *at++ = SEQUENCE;
    if (n >= 0x80) *at++ = 0x81;
    *at++ = (uint8_t)n;
    memcpy(at, inside, n);
    return (size_t)(at - ret) + n;
}

typedef struct cursor {
    const uint8_t *p;
    size_t n;
} cursor;

/* The whole of der is one sequence; *ret is what is inside. */
static bool get_sequence(const uint8_t *der, size_t n, cursor *ret)
{
    if (n < 2 || der[0] != SEQUENCE) return false;
    size_t head = der[1] == 0x81 ? 3 : 2;
    if (n < head || (head == 2 && der[1] >= 0x80) || (head == 3 && der[2] < 0x80)) return false;
    *ret = (cursor){der + head, n - head};
    return der[head - 1] == ret->n;
}

static bool get(cursor *c, uint8_t tag, cursor *ret)
{
    if (c->n < 2 || c->p[0] != tag || c->p[1] >= 0x80 || c->p[1] > c->n - 2) return false;
    *ret = (cursor){c->p + 2, c->p[1]};
    c->p += 2 + ret->n;
    c->n -= 2 + ret->n;
    return true;
}

static bool get_integer(cursor *c, uint8_t ret[32])
{
    cursor x;
    if (!get(c, INTEGER, &x) || x.n == 0 || (x.p[0] & 0x80) != 0) return false;
    if (x.n > 1 && x.p[0] == 0) {
        if ((x.p[1] & 0x80) == 0) return false; /* longer than need be */
        x.p++, x.n--;
    }
    if (x.n > 32) return false;
    memset(ret, 0, 32 - x.n);
    memcpy(ret + 32 - x.n, x.p, x.n);
    return true;
}

static bool get_octets(cursor *c, uint8_t ret[32])
{
    cursor x;
    if (!get(c, OCTETS, &x) || x.n != 32) return false;
    memcpy(ret, x.p, 32);
    return true;
}

size_t kh_gm_signature_to_der(const uint8_t signature[64], uint8_t ret[KH_GM_SIGNATURE_DER_MAX])
{
    uint8_t inside[70];
    const uint8_t *end = put_integer(put_integer(inside, signature), signature + 32);
    return put_sequence(inside, (size_t)(end - inside), ret);
}

bool kh_gm_signature_of_der(const uint8_t *der, size_t n, uint8_t ret[64])
{
    cursor c;
    return get_sequence(der, n, &c) && get_integer(&c, ret) && get_integer(&c, ret + 32) && c.n == 0;
}

size_t kh_gm_wrap_to_der(const uint8_t wrap[128], uint8_t ret[KH_GM_WRAP_DER_MAX])
{
    uint8_t inside[138];
    const uint8_t *end = put_octets(put_octets(put_integer(put_integer(inside, wrap), wrap + 32), wrap + 64), wrap + 96);
    return put_sequence(inside, (size_t)(end - inside), ret);
}

bool kh_gm_wrap_of_der(const uint8_t *der, size_t n, uint8_t ret[128])
{
    cursor c;
    return get_sequence(der, n, &c) && get_integer(&c, ret) && get_integer(&c, ret + 32) && get_octets(&c, ret + 64) &&
           get_octets(&c, ret + 96) && c.n == 0;
}
