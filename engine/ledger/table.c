/* table: rows and hash tables in regions. A table's heads are one region of row numbers; chains run through the rows themselves.
 *
 * Linear hashing: one insertion splits at most one bucket, so nothing ever stalls. Placement is keyed by the directory's secret;
 * nothing outside depends on it. */
#include "ledger/machine.h"

#define FIRST_LEVEL 6u

uint64_t kh_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xd1b54a32d192ed03));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t kh_keyed_hash(const kh_ledger *l, const void *p, uint32_t n)
{
    const uint8_t *at = p;
    uint64_t h = l->secret[0] ^ n;
    for (; n >= 8; at += 8, n -= 8) h = kh_mix(h ^ kh_load64(at), l->secret[1]);
    if (n != 0) {
        uint64_t rest = 0;
        memcpy(&rest, at, n);
        h = kh_mix(h ^ rest, l->secret[1]);
    }
    return kh_mix(h, l->secret[0]);
}

uint64_t kh_key_hash(const kh_ledger *l, const kh_key *key)
{
    return kh_mix(kh_mix(kh_load64(key->b) ^ l->secret[0], l->secret[1]) ^ kh_load64(key->b + 8), l->secret[0]);
}

uint32_t kh_rows_take(kh_ledger *l, uint32_t region)
{
    kh_region *r = &l->state->regions[region];
    if (r->row_cnt >= r->row_max) return 0;
    return (uint32_t)r->row_cnt++;
}

bool kh_rows_left(const kh_ledger *l, uint32_t region, uint64_t cnt)
{
    const kh_region *r = &l->state->regions[region];
    return r->row_max - r->row_cnt >= cnt;
}

/* A row that waits for reuse begins with the number of the next one. */
uint32_t kh_rows_take_reused(kh_ledger *l, uint32_t region, uint32_t *free_list)
{
    uint32_t row = *free_list;
    if (row == 0) return kh_rows_take(l, region);
    uint8_t *p = kh_row(l->state, region, row);
    *free_list = kh_load32(p);
    memset(p, 0, l->state->regions[region].row_sz);
    return row;
}

void kh_rows_give(kh_ledger *l, uint32_t region, uint32_t *free_list, uint32_t row)
{
    uint8_t *p = kh_row(l->state, region, row);
    memset(p, 0, l->state->regions[region].row_sz);
    kh_store32(p, *free_list);
    *free_list = row;
}

static uint32_t *heads(const kh_ledger *l, const kh_table *t) { return (uint32_t *)(void *)l->state->regions[t->region].base; }

static uint64_t bucket_of(const kh_table_head *h, uint64_t hash)
{
    uint64_t bucket = hash & ((UINT64_C(1) << h->level) - 1);
    return bucket < h->split ? hash & ((UINT64_C(2) << h->level) - 1) : bucket;
}

void kh_table_init(kh_ledger *l, const kh_table *t, kh_table_head *h)
{
    *h = (kh_table_head){.level = FIRST_LEVEL};
    l->state->regions[t->region].row_cnt = UINT64_C(1) << FIRST_LEVEL;
}

bool kh_table_has_room(const kh_ledger *l, const kh_table *t) { return kh_rows_left(l, t->region, 64); }

static void split_one(kh_ledger *l, const kh_table *t, kh_table_head *h)
{
    kh_region *r = &l->state->regions[t->region];
    if (r->row_cnt >= r->row_max) return; /* chains grow longer instead */
    uint32_t *head = heads(l, t), row = head[h->split];
    uint64_t to = h->split + (UINT64_C(1) << h->level), mask = (UINT64_C(2) << h->level) - 1;
    uint32_t *stay = &head[h->split], *go = &head[to];
    r->row_cnt++;
    while (row != 0) {
        uint32_t *next = t->next(l, row), after = *next;
        uint32_t **list = (t->hash(l, row) & mask) == to ? &go : &stay;
        **list = row;
        *list = next;
        row = after;
    }
    *stay = 0;
    *go = 0;
    if (++h->split == UINT32_C(1) << h->level) {
        h->level++;
        h->split = 0;
    }
}

void kh_table_add(kh_ledger *l, const kh_table *t, kh_table_head *h, uint64_t hash, uint32_t row)
{
    uint32_t *head = &heads(l, t)[bucket_of(h, hash)];
    *t->next(l, row) = *head;
    *head = row;
    if (++h->rows > l->state->regions[t->region].row_cnt) split_one(l, t, h);
}

void kh_table_drop(kh_ledger *l, const kh_table *t, kh_table_head *h, uint64_t hash, uint32_t row)
{
    uint32_t *at = &heads(l, t)[bucket_of(h, hash)];
    while (*at != row) {
        KH_ASSERT(*at != 0);
        at = t->next(l, *at);
    }
    *at = *t->next(l, row);
    h->rows--;
}

uint32_t kh_table_first(const kh_ledger *l, const kh_table *t, const kh_table_head *h, uint64_t hash)
{
    return heads(l, t)[bucket_of(h, hash)];
}

void kh_table_prefetch(const kh_ledger *l, const kh_table *t, const kh_table_head *h, uint64_t hash)
{
    __builtin_prefetch(&heads(l, t)[bucket_of(h, hash)]);
}
