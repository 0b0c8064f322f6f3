/* lookup: the read path, compiled once for each kind of processor (KH_LOOKUP names the variant; see meson.build).
 *
 * Keys pass in groups through three stages without data-dependent branches: (1) hash, read the directory, prefetch the bucket;
 * (2) match the tags, prefetch the record; (3) compare the key. Stage 1 runs two groups ahead of stage 2. What needs a second
 * look (a displaced entry, two equal tags) goes to a list and is looked up the plain way afterwards. */
#include "index/layout.h"
#if defined(__AVX2__) || defined(__AES__)
#include <immintrin.h>
#endif

enum { GROUP = 16, AHEAD_MATCH = 2, AHEAD_COMPARE = 3, RING = 64, RETRY = 64 };

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
#if defined(__AVX512BW__) && !defined(KH_TSAN)
    return _mm256_mask_cmpeq_epi16_mask(0x3ff, _mm256_load_si256((const __m256i *)b), _mm256_set1_epi16((short)tag));
#elif defined(__AVX2__) && !defined(KH_TSAN)
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

static uint32_t in_bucket(const kh_index *ix, const kh_bucket *b, uint16_t tag, const kh_key *key)
{
    for (uint32_t m = match_tags(b, tag); m != 0; m &= m - 1) {
        uint32_t rec = kh_slot_get(b, (uint32_t)__builtin_ctz(m));
        if (rec != 0 && key_is(&ix->records[rec], key)) return rec;
    }
    return 0;
}

/* find_plain looks one key up with branches: the home bucket, then, if the filter says so, its neighbours. */
static __attribute__((noinline)) uint32_t find_plain(const kh_index *ix, const kh_key *key)
{
    uint64_t hash = hash_of(&ix->key, key), mask;
    uint32_t found;
    do {
        mask = __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE);
        uint32_t entry = kh_directory_get(ix, hash, mask), segment = entry & KH_SEGMENT_MASK;
        uint16_t tag = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
        const kh_bucket *home = kh_bucket_at(ix, segment, kh_hash_bucket(hash));
        found = in_bucket(ix, home, tag, key);
        if (found == 0 && (__atomic_load_n(&home->overflow, __ATOMIC_ACQUIRE) & kh_hash_filter(hash)) != 0)
            for (uint32_t i = 1; i <= KH_NEIGHBOURS && found == 0; i++)
                found = in_bucket(ix, kh_bucket_at(ix, segment, kh_hash_bucket(hash) + i), tag, key);
    } while (found == 0 && mask != __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE));
    return found;
}

/* What a key carries from stage to stage. */
typedef struct staged {
    const kh_bucket *bucket;
    uint32_t record;
    uint32_t filter;
    uint16_t tag;
    bool again; /* a second look is needed if the record is not the one sought */
} staged;

typedef struct output {
    const kh_record **recs; /* or NULL: */
    uint32_t *records;
} output;

static inline __attribute__((always_inline)) void give(const kh_index *ix, output out, uint32_t i, uint32_t record)
{
    if (out.recs != NULL) out.recs[i] = &ix->records[record];
    else out.records[i] = record;
}

static inline __attribute__((always_inline)) void stage_hash(const kh_index *ix, const kh_key *key, uint64_t mask, staged *s)
{
    uint64_t hash = hash_of(&ix->key, key);
    uint32_t entry = kh_directory_get(ix, hash, mask);
    s->bucket = kh_bucket_at(ix, entry & KH_SEGMENT_MASK, kh_hash_bucket(hash));
    __builtin_prefetch(s->bucket, 0, 3);
    s->tag = kh_hash_tag(hash, entry >> KH_WINDOW_SHIFT);
    s->filter = kh_hash_filter(hash);
}

static inline __attribute__((always_inline)) void stage_match(const kh_index *ix, staged *s)
{
    const kh_bucket *b = s->bucket;
    uint32_t m = match_tags(b, s->tag);
    /* No match reads slot 0 and drops it. The mask keeps the compiler from making a branch of it. */
    uint32_t rec = kh_slot_get(b, (uint32_t)__builtin_ctz(m | 0x400) % KH_BUCKET_SLOTS) & (uint32_t) - (int32_t)(m != 0);
    __builtin_prefetch(&ix->records[rec], 0, 3);
    s->record = rec;
    s->again = ((m & (m - 1)) | (__atomic_load_n(&b->overflow, __ATOMIC_ACQUIRE) & s->filter)) != 0;
}

static inline __attribute__((always_inline)) uint64_t look_up(const kh_index *ix, const kh_key keys[], uint32_t n, output out)
{
    staged ring[RING];
    uint32_t retry[RETRY + GROUP], retry_cnt = 0;
    uint64_t hits = 0, mask = __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE);
    bool counting = n > KH_BULK_MAX;
    for (uint32_t begin = 0; begin < n + AHEAD_COMPARE * GROUP; begin += GROUP) {
        for (uint32_t i = begin; i < n && i < begin + GROUP; i++) stage_hash(ix, &keys[i], mask, &ring[i % RING]);
        if (begin >= AHEAD_MATCH * GROUP)
            for (uint32_t i = begin - AHEAD_MATCH * GROUP, end = i + GROUP; i < n && i < end; i++)
                stage_match(ix, &ring[i % RING]);
        if (begin < AHEAD_COMPARE * GROUP) continue;
        uint32_t first = begin - AHEAD_COMPARE * GROUP;
        uint64_t group_hits = 0;
        for (uint32_t i = first; i < n && i < first + GROUP; i++) {
            const staged *s = &ring[i % RING];
            uint32_t hit = (uint32_t)(key_is(&ix->records[s->record], &keys[i]) & (s->record != 0));
            give(ix, out, i, s->record & (uint32_t) - (int32_t)hit);
            group_hits |= (uint64_t)hit << (i - first);
            retry[retry_cnt] = i;
            retry_cnt += (hit ^ 1) & s->again;
        }
        hits = counting ? hits + (uint64_t)__builtin_popcountll(group_hits) : hits | group_hits << (first % 64);
        if (retry_cnt < RETRY && begin + GROUP < n + AHEAD_COMPARE * GROUP) continue;
        for (uint32_t k = 0; k < retry_cnt; k++) {
            uint32_t rec = find_plain(ix, &keys[retry[k]]);
            give(ix, out, retry[k], rec);
            if (counting) hits += rec != 0;
            else hits |= (uint64_t)(rec != 0) << (retry[k] % 64);
        }
        retry_cnt = 0;
    }
    if (KH_LIKELY(mask == __atomic_load_n(&ix->directory_mask, __ATOMIC_ACQUIRE))) return hits;
    for (uint32_t i = 0; i < n; i++) {
        bool missed = out.recs != NULL ? out.recs[i] == ix->records : out.records[i] == 0;
        uint32_t rec = missed ? find_plain(ix, &keys[i]) : 0;
        if (rec == 0) continue;
        give(ix, out, i, rec);
        if (counting) hits++;
        else hits |= UINT64_C(1) << (i % 64);
    }
    return hits;
}

static uint64_t hash_one(const kh_hash_key *k, const kh_key *key) { return hash_of(k, key); }

static uint64_t bulk(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[])
{
    return look_up(ix, keys, n, (output){.recs = ret_recs});
}

static uint64_t find(const kh_index *ix, const kh_key keys[], uint32_t n, uint32_t ret_records[])
{
    if (n > 1) return look_up(ix, keys, n, (output){.records = ret_records});
    ret_records[0] = find_plain(ix, &keys[0]);
    return ret_records[0] != 0;
}

const kh_lookup KH_LOOKUP = {.hash = hash_one, .bulk = bulk, .find = find};
