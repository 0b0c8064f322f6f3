/* hash: the keyed hash's round keys, and the AES round for machines without the instruction.
 *
 * The hash of a key is its 16 bytes under four keyed AES rounds, the low 64 bits of that. Nobody who does not know the secret can
 * choose keys that fall together. Every machine computes the same, so that an image fits them all. */
#include "index/layout.h"

static uint8_t times2(uint8_t x) { return (uint8_t)((x << 1) ^ ((x >> 7) * 0x1b)); }

static uint8_t times(uint8_t a, uint8_t b)
{
    uint8_t sum = 0;
    for (int i = 0; i < 8; i++, b = (uint8_t)(b >> 1), a = times2(a)) sum ^= (uint8_t)(a * (b & 1));
    return sum;
}

/* FIPS 197 5.1.1: the inverse in GF(2^8), which is x^254, and an affine map. */
static uint8_t substitute(uint8_t x)
{
    uint8_t power = x, inverse = 1;
    for (int i = 1; i < 8; i++) {
        power = times(power, power);
        inverse = times(inverse, power);
    }
    unsigned v = inverse, r = v ^ (v << 1) ^ (v << 2) ^ (v << 3) ^ (v << 4);
    return (uint8_t)((r ^ (r >> 8)) ^ 0x63);
}

void kh_aes_round(uint8_t state[16], const uint8_t round[16])
{
    uint8_t t[16];
    for (int column = 0; column < 4; column++)
        for (int row = 0; row < 4; row++) t[4 * column + row] = substitute(state[4 * ((column + row) & 3) + row]);
    for (int column = 0; column < 4; column++) {
        const uint8_t *c = t + 4 * column;
        uint8_t all = (uint8_t)(c[0] ^ c[1] ^ c[2] ^ c[3]);
        for (int row = 0; row < 4; row++)
            state[4 * column + row] =
                (uint8_t)(c[row] ^ all ^ times2((uint8_t)(c[row] ^ c[(row + 1) & 3])) ^ round[4 * column + row]);
    }
}

void kh_hash_expand(const uint8_t secret[16], kh_hash_key *ret_key)
{
    memcpy(ret_key->round[0], secret, 16);
    for (uint8_t i = 1; i < 5; i++) {
        uint8_t state[16], constant[16];
        memcpy(state, secret, 16);
        for (uint8_t k = 0; k < 16; k++) constant[k] = (uint8_t)(16 * i + k);
        for (int r = 0; r < 6; r++) {
            kh_aes_round(state, constant);
            for (int k = 0; k < 16; k++) state[k] ^= secret[k];
        }
        memcpy(ret_key->round[i], state, 16);
    }
}
