/* fins: financings by bank and id. Buckets of one cache line hold seven entries, each a row and 32 bits of its hash, filled from
 * the front; what does not fit is a chain through the rows. Nothing is ever taken out.
 *
 * Linear hashing, three entries a bucket on average, so that few buckets overflow: one bucket splits every third insertion, by
 * the bits it holds, without a look at the rows. Placement is keyed by the directory's secret. */
#include "ledger/machine.h"

#define FIRST_LEVEL 4u
#define PER_BUCKET 3u
_Static_assert(KH_CAPACITY_FINANCINGS_MAX / 2 < UINT64_C(1) << 32, "an entry's 32 bits of hash choose any bucket");

void kh_fins_init(kh_ledger *l)
{
    l->head->fins = (kh_table_head){.level = FIRST_LEVEL};
    l->state->regions[KH_R_FIN_TABLE].row_cnt = UINT64_C(1) << FIRST_LEVEL;
}

static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return kh_fins_hash(l, l->fin[row].bank, l->fin[row].id); }

static bool is(const kh_fin *f, uint32_t bank, uint64_t id) { return f->id == id && f->bank == bank; }

/* A bit for each slot whose entry has this hash; an empty one counts when the hash is 0. No branches: where in a bucket an entry
 * lies is chance. */
static uint32_t matches(const kh_fin_bucket *b, uint64_t hash)
{
    uint32_t m = 0;
    for (uint32_t i = 0; i < KH_FIN_SLOTS; i++) m |= (uint32_t)((uint32_t)(b->slot[i] >> 32) == (uint32_t)hash) << i;
    return m;
}

uint32_t kh_fins_find_hashed(const kh_ledger *l, uint64_t hash, uint32_t bank, uint64_t id)
{
    const kh_fin_bucket *b = kh_fins_bucket(l, hash);
    for (uint32_t m = matches(b, hash); m != 0; m &= m - 1) {
        uint32_t row = (uint32_t)b->slot[__builtin_ctz(m)];
        if (row != 0 && is(&l->fin[row], bank, id)) return row;
    }
    uint32_t row = (uint32_t)b->more;
    while (row != 0 && !is(&l->fin[row], bank, id)) row = l->fin[row].hash_next;
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

static void chain(const kh_ledger *l, kh_fin_bucket *b, uint32_t row)
{
    l->fin[row].hash_next = (uint32_t)b->more;
    b->more = row;
}

static void put(const kh_ledger *l, kh_fin_bucket *b, uint64_t entry)
{
    uint32_t i = 0;
    for (uint32_t k = 0; k < KH_FIN_SLOTS; k++) i += b->slot[k] != 0;
    if (KH_LIKELY(i < KH_FIN_SLOTS)) b->slot[i] = entry;
    else chain(l, b, (uint32_t)entry);
}

static void split(kh_ledger *l, kh_region *r)
{
    kh_table_head *h = &l->head->fins;
    kh_fin_bucket *stays = (kh_fin_bucket *)(void *)r->base + h->split, *goes = stays + (UINT64_C(1) << h->level), old = *stays;
    uint32_t cnt[2] = {0, 0};
    uint64_t *to[2] = {stays->slot, goes->slot};
    kh_fetch_near(stays + 8);
    kh_fetch_near(goes + 8);
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
        put(l, (hash >> h->level & 1) != 0 ? goes : stays, hash << 32 | row);
    }
    if (++h->split == UINT32_C(1) << h->level) {
        h->level++;
        h->split = 0;
    }
}

void kh_fins_add(kh_ledger *l, uint64_t hash, uint32_t row)
{
    kh_region *r = &l->state->regions[KH_R_FIN_TABLE];
    put(l, kh_fins_bucket(l, hash), hash << 32 | row);
    if (++l->head->fins.rows > PER_BUCKET * r->row_cnt && r->row_cnt < r->row_max) split(l, r); /* else chains grow longer */
}
