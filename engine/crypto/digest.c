/* digest: SHA-256 by OpenSSL's low-level functions, which neither fetch nor allocate (EVP does both). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/digest.h"

void kh_sha256_init(kh_sha256_state *state) { KH_ASSERT(SHA256_Init(&state->ctx) == 1); }
void kh_sha256_update(kh_sha256_state *state, const void *p, size_t n) { KH_ASSERT(SHA256_Update(&state->ctx, p, n) == 1); }
void kh_sha256_final(kh_sha256_state *state, uint8_t ret[32]) { KH_ASSERT(SHA256_Final(ret, &state->ctx) == 1); }

void kh_sha256(const void *p, size_t n, uint8_t ret[32])
{
    kh_sha256_state state;
    kh_sha256_init(&state);
    kh_sha256_update(&state, p, n);
    kh_sha256_final(&state, ret);
}

void kh_hex(const uint8_t *p, size_t n, char *buf)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        buf[2 * i] = digits[p[i] >> 4];
        buf[2 * i + 1] = digits[p[i] & 15];
    }
    buf[2 * n] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kh_hex_read(const char *text, size_t text_n, uint8_t *ret, size_t n)
{
    if (text_n != 2 * n) return false;
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
