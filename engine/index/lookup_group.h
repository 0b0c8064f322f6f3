/* lookup_group: the parts that look-ups of a group of keys share with those of one. Included by lookup.c's variants only. */
#ifndef KH_INDEX_LOOKUP_GROUP_H
#define KH_INDEX_LOOKUP_GROUP_H

#include "index/layout.h"
#if defined(__AVX2__) || defined(__AES__)
#include <immintrin.h>
#endif

enum { GROUP = 16 };

typedef struct group group; /* what is known of so many keys; each variant's own */

/* One turn of a look-up in bulk: a group of keys to hash, and groups that are further on (NULL: none). */
typedef struct turn {
    const kh_key *keys;
    group *hash, *fetch, *match, *compare;
    const kh_key *sought; /* the keys of `compare` */
} turn;

/* A core has twice as many misses under way into its second cache as into the first, where fetches queue up: bulk get and flows
   fetch there. near: into the first, for who has little else to do until they come. */
static inline __attribute__((always_inline)) void fetch(const void *line, bool near)
{
    if (near) kh_fetch_near(line);
    else kh_fetch_far(line);
}

static inline __attribute__((always_inline)) uint64_t hash_of(const kh_hash_key *k, const kh_key *key)
{
#if defined(__AES__)
    const __m128i *r = (const __m128i *)k->round;
    __m128i x = _mm_xor_si128(_mm_loadu_si128((const __m128i *)key->b), r[0]);
    x = _mm_aesenc_si128(x, r[1]);
    x = _mm_aesenc_si128(x, r[2]);
    x = _mm_aesenc_si128(x, r[3]);
    x = _mm_aesenc_si128(x, r[4]);
    return (uint64_t)_mm_cvtsi128_si64(x);
#else
    uint8_t x[16];
    for (int i = 0; i < 16; i++) x[i] = key->b[i] ^ k->round[0][i];
    for (int i = 1; i < 5; i++) kh_aes_round(x, k->round[i]);
    return kh_load64(x);
#endif
}

/* match_tags gives one bit per slot whose tag is the one sought. */
static inline __attribute__((always_inline)) uint32_t match_tags(const kh_bucket *b, uint16_t tag)
{
#if defined(__AVX2__) && !defined(KH_TSAN)
    __m256i same = _mm256_cmpeq_epi16(_mm256_load_si256((const __m256i *)b), _mm256_set1_epi16((short)tag));
    __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(same), _mm256_extracti128_si256(same, 1));
    return (uint32_t)_mm_movemask_epi8(bytes) & 0x3ff;
#else
    uint32_t m = 0;
    for (uint32_t i = 0; i < KH_BUCKET_SLOTS; i++) m |= (uint32_t)(__atomic_load_n(&b->tag[i], __ATOMIC_RELAXED) == tag) << i;
    return m;
#endif
}

static inline __attribute__((always_inline)) bool key_is(const kh_record *rec, const kh_key *key)
{
#if defined(__AVX2__)
    __m128i differ = _mm_xor_si128(_mm_load_si128((const __m128i *)rec->key.b), _mm_loadu_si128((const __m128i *)key->b));
    return _mm_testz_si128(differ, differ);
#else
    return kh_key_equal(&rec->key, key);
#endif
}

#endif
