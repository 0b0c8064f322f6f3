/* fins: financings by bank and id. Buckets of one cache line hold seven entries, each a row and 32 bits of its hash, filled from
 * the front; what does not fit is a chain through the rows. Nothing is ever taken out.
 *
 * Linear hashing, three entries a bucket on average, so that few buckets overflow: one bucket splits every third insertion, by
 * the bits it holds, without a look at the rows. Placement is keyed by the directory's secret. */
#include "ledger/machine.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define FIRST_LEVEL 4u
#define PER_BUCKET 3u
#define SLOTS ((1u << KH_FIN_SLOTS) - 1)
_Static_assert(KH_CAPACITY_FINANCINGS_MAX / 2 < UINT64_C(1) << 32, "an entry's 32 bits of hash choose any bucket");

void kh_fins_init(kh_ledger *l)
{
    l->head->fins = (kh_table_head){.level = FIRST_LEVEL};
    l->state->regions[KH_R_FIN_TABLE].row_cnt = UINT64_C(1) << FIRST_LEVEL;
}

static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return kh_fins_hash(l, l->fin[row].bank, l->fin[row].id); }

static bool is(const kh_fin *f, uint32_t bank, uint64_t id) { return f->id == id && f->bank == bank; }

/* A bit for each slot whose entry has this hash, and for each that is empty; an empty one has hash 0, too. No branches: where in
 * a bucket an entry lies is chance. */
#if defined(__AVX2__)
static uint32_t matches(const kh_fin_bucket *b, uint64_t hash)
{
    const __m256i *half = (const __m256i *)(const void *)b, sought = _mm256_set1_epi32((int)(uint32_t)hash);
    __m256i low = _mm256_cmpeq_epi32(_mm256_loadu_si256(half), sought),
            high = _mm256_cmpeq_epi32(_mm256_loadu_si256(half + 1), sought);
    return (uint32_t)(_mm256_movemask_pd(_mm256_castsi256_pd(low)) | _mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4) & SLOTS;
}
static uint32_t empties(const kh_fin_bucket *b)
{
    const __m256i *half = (const __m256i *)(const void *)b, zero = _mm256_setzero_si256();
    __m256i low = _mm256_cmpeq_epi64(_mm256_loadu_si256(half), zero),
            high = _mm256_cmpeq_epi64(_mm256_loadu_si256(half + 1), zero);
    return (uint32_t)(_mm256_movemask_pd(_mm256_castsi256_pd(low)) | _mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4) & SLOTS;
}
#else
static uint32_t matches(const kh_fin_bucket *b, uint64_t hash)
{
    uint32_t m = 0;
    for (uint32_t i = 0; i < KH_FIN_SLOTS; i++) m |= (uint32_t)((uint32_t)(b->slot[i] >> 32) == (uint32_t)hash) << i;
    return m;
}
static uint32_t empties(const kh_fin_bucket *b)
{
    uint32_t m = 0;
    for (uint32_t i = 0; i < KH_FIN_SLOTS; i++) m |= (uint32_t)(b->slot[i] == 0) << i;
    return m;
}
#endif

/* A set bit above the chain's first row says that no row of the chain has it: most searches for what is not there end without a
 * look at a row, which nothing has fetched. All 0, as in older images: nothing is known. */
static uint32_t chain_bit(uint64_t hash) { return (uint32_t)(hash >> 59); }
static bool may_be_chained(uint64_t more, uint64_t hash) { return (more >> 32 >> chain_bit(hash) & 1) == 0; }

uint32_t kh_fins_find_hashed(const kh_ledger *l, uint64_t hash, uint32_t bank, uint64_t id)
{
    const kh_fin_bucket *b = kh_fins_bucket(l, hash);
    for (uint32_t m = matches(b, hash); m != 0; m &= m - 1) {
        uint32_t row = (uint32_t)b->slot[__builtin_ctz(m)];
        if (row != 0 && is(&l->fin[row], bank, id)) return row;
    }
    uint32_t row = may_be_chained(b->more, hash) ? (uint32_t)b->more : 0;
    while (KH_UNLIKELY(row != 0) && !is(&l->fin[row], bank, id)) row = l->fin[row].hash_next;
    return row;
}

uint32_t kh_fins_find(const kh_ledger *l, uint32_t bank, uint64_t id)
{
    return kh_fins_find_hashed(l, kh_fins_hash(l, bank, id), bank, id);
}

uint32_t kh_fins_candidate(const kh_ledger *l, uint64_t hash)
{
    const kh_fin_bucket *b = kh_fins_bucket(l, hash);
    uint32_t m = matches(b, hash);
    return m != 0 ? (uint32_t)b->slot[__builtin_ctz(m)] : (uint32_t)b->more;
}

static void chain(const kh_ledger *l, kh_fin_bucket *b, uint64_t hash, uint32_t row)
{
    uint64_t absent = b->more != 0 ? b->more >> 32 : UINT32_MAX;
    l->fin[row].hash_next = (uint32_t)b->more;
    b->more = (absent & ~(UINT64_C(1) << chain_bit(hash))) << 32 | row;
}

static void put(const kh_ledger *l, kh_fin_bucket *b, uint64_t hash, uint32_t row)
{
    uint32_t free = empties(b);
    if (KH_LIKELY(free != 0)) b->slot[__builtin_ctz(free)] = hash << 32 | row;
    else chain(l, b, hash, row);
}

static void fetch_in_chain(const kh_fin *f)
{
    kh_fetch(&f->id);
    kh_fetch(&f->hash_next); /* it may lie on the next line */
}

/* Buckets split in order, so what will be split soon is known: the buckets, and the first two rows of their chains. There are 16
 * buckets at least, so those asked are in use; where there is no chain it is row 0 that is fetched, which is in the cache. */
static void fetch_ahead(const kh_ledger *l, const kh_fin_bucket *stays, const kh_fin_bucket *goes)
{
    kh_fetch(stays + 16);
    kh_fetch(goes + 8);
    fetch_in_chain(&l->fin[(uint32_t)stays[10].more]);
    fetch_in_chain(&l->fin[l->fin[(uint32_t)stays[5].more].hash_next]);
}

static void split(kh_ledger *l, kh_region *r)
{
    kh_table_head *h = &l->head->fins;
    kh_fin_bucket *stays = (kh_fin_bucket *)(void *)r->base + h->split, *goes = stays + (UINT64_C(1) << h->level), old = *stays;
    uint32_t cnt[2] = {0, 0};
    uint64_t *to[2] = {stays->slot, goes->slot};
    fetch_ahead(l, stays, goes);
    (void)kh_region_grow(r, 1);
    *stays = (kh_fin_bucket){.more = 0};
    for (uint32_t i = 0; i < KH_FIN_SLOTS && old.slot[i] != 0; i++) {
        uint32_t side = (uint32_t)(old.slot[i] >> (32 + h->level)) & 1;
        to[side][cnt[side]++] = old.slot[i];
    }
    for (uint32_t row = (uint32_t)old.more, next; row != 0; row = next) {
        uint64_t hash = hash_of(l, row);
        next = l->fin[row].hash_next;
        l->fin[row].hash_next = 0;
        put(l, (hash >> h->level & 1) != 0 ? goes : stays, hash, row);
    }
    if (++h->split == UINT32_C(1) << h->level) {
        h->level++;
        h->split = 0;
    }
}

void kh_fins_add(kh_ledger *l, uint64_t hash, uint32_t row)
{
    kh_region *r = &l->state->regions[KH_R_FIN_TABLE];
    put(l, kh_fins_bucket(l, hash), hash, row);
    if (++l->head->fins.rows > PER_BUCKET * r->row_cnt && r->row_cnt < r->row_max) split(l, r); /* else chains grow longer */
}
