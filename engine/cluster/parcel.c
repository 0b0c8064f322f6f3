/* parcel: a bank's package of a height, sealed to its box: what a hub sends over the links (docs/CLUSTER.md). */
#include <stdlib.h>
#include "cluster/node.h"

#define HEAD_SZ 16u /* magic 4, party 4, height 8 */
static const uint8_t magic[4] = {'K', 'H', 'Q', '1'}, tag[] = "kanhe/parcel";

/* Tag, chain, party and height: what the wrap is bound to (and the body, before the head and the wrap themselves). */
#define INFO_SZ (sizeof tag + 32 + 4 + 8)
static void info_of(const uint8_t chain[32], uint32_t party, uint64_t height, uint8_t ret[INFO_SZ])
{
    memcpy(ret, tag, sizeof tag);
    memcpy(ret + sizeof tag, chain, 32);
    kh_store32(ret + sizeof tag + 32, party);
    kh_store64(ret + sizeof tag + 36, height);
}

kh_err kh_parcel_make(kh_suite suite, const uint8_t box_public[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t chain[32],
                      uint32_t party, uint64_t height, const uint8_t *package, size_t n, uint8_t **ret, size_t *ret_n)
{
    uint8_t info[INFO_SZ], aad[INFO_SZ + HEAD_SZ + KH_WRAP_MAX_SZ], key[32];
    size_t wrap_n = kh_wrap_sz(suite), before = HEAD_SZ + wrap_n, tag_n = kh_seal_tag_sz(suite);
    uint8_t *p = malloc(before + n + tag_n);
    if (p == NULL) return KH_E_NOMEM;
    memcpy(p, magic, sizeof magic);
    kh_store32(p + 4, party);
    kh_store64(p + 8, height);
    info_of(chain, party, height, info);
    kh_err err = entropy->fill(entropy->self, key, sizeof key);
    if (err == KH_OK) err = kh_wrap(suite, box_public, entropy, info, sizeof info, key, p + HEAD_SZ);
    if (err == KH_OK) {
        memcpy(aad, info, sizeof info);
        memcpy(aad + sizeof info, p, before);
        if (n != 0) memcpy(p + before, package, n);
        err = kh_seal(suite, key, aad, sizeof info + before, p + before, n, p + before + n);
    }
    explicit_bzero(key, sizeof key);
    if (err != KH_OK) {
        free(p);
        return err;
    }
    *ret = p;
    *ret_n = before + n + tag_n;
    return KH_OK;
}

bool kh_parcel_open(kh_suite suite, const kh_box *box, const uint8_t chain[32], uint32_t party, const uint8_t *p, size_t n,
                    uint64_t *ret_height, uint8_t **ret, size_t *ret_n)
{
    uint8_t info[INFO_SZ], aad[INFO_SZ + HEAD_SZ + KH_WRAP_MAX_SZ], key[32];
    size_t before = HEAD_SZ + kh_wrap_sz(suite), tag_n = kh_seal_tag_sz(suite);
    if (n < before + tag_n || memcmp(p, magic, sizeof magic) != 0 || kh_load32(p + 4) != party) return false;
    uint64_t height = kh_load64(p + 8);
    info_of(chain, party, height, info);
    if (!kh_unwrap(box, info, sizeof info, p + HEAD_SZ, key)) return false;
    size_t sz = n - before - tag_n;
    uint8_t *text = malloc(sz + 1);
    bool good = text != NULL;
    if (good) {
        memcpy(aad, info, sizeof info);
        memcpy(aad + sizeof info, p, before);
        memcpy(text, p + before, sz);
        good = kh_unseal(suite, key, aad, sizeof info + before, text, sz, p + before + sz);
    }
    explicit_bzero(key, sizeof key);
    if (!good) {
        free(text);
        return false;
    }
    *ret_height = height;
    *ret = text;
    *ret_n = sz;
    return true;
}
