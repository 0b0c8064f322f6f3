/* table: rows and hash tables in regions. A table's heads are one region of 8 bytes each: the first row of the chain, 31 bits of
 * its hash, so that most searches and splits need not look at rows, and a bit that says whether the chain goes on, through the
 * rows themselves.
 *
 * Linear hashing: one insertion splits at most two buckets, so nothing ever stalls. Placement is keyed by the directory's secret;
 * nothing outside depends on it. */
#include "ledger/machine.h"

#define FIRST_LEVEL 6u

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

void kh_table_init(kh_ledger *l, const kh_table *t, kh_table_head *h)
{
    *h = (kh_table_head){.level = FIRST_LEVEL};
    l->state->regions[t->region].row_cnt = UINT64_C(1) << FIRST_LEVEL;
}

bool kh_table_has_room(const kh_ledger *l, const kh_table *t) { return kh_rows_left(l, t->region, 64); }

/* The chain's first row leaves its hash and place to the new one. */
static void push(const kh_ledger *l, const kh_table *t, uint64_t *head, uint64_t hash, uint32_t row)
{
    *t->next(l, row) = (uint32_t)*head;
    *head = row | (hash & UINT64_C(0x7fffffff)) << 32 | (*head != 0 ? KH_TABLE_MORE : 0);
}

/* Buckets split in order, so the rows of chains that will be split soon are known: each is on its way into the cache before its
 * turn. */
static void fetch_ahead(const kh_ledger *l, const kh_table *t, const uint64_t *heads, uint64_t split, uint64_t cnt)
{
    enum { FIRST = 12, SECOND = 6 };
    if (split + FIRST >= cnt) return;
    uint64_t first = heads[split + FIRST], second = heads[split + SECOND];
    if ((first & KH_TABLE_MORE) != 0) kh_fetch_near(t->next(l, (uint32_t)first));
    if ((second & KH_TABLE_MORE) != 0) kh_fetch_near(t->next(l, *t->next(l, (uint32_t)second)));
}

/* A chain is dealt out row by row. */
static void deal(const kh_ledger *l, const kh_table *t, uint64_t *stays, uint64_t *goes, uint64_t bit)
{
    uint32_t row = (uint32_t)*stays;
    *stays = 0;
    for (uint32_t next; row != 0; row = next) {
        uint64_t hash = t->hash(l, row);
        next = *t->next(l, row);
        push(l, t, (hash & bit) != 0 ? goes : stays, hash, row);
    }
}

static void split_one(kh_ledger *l, const kh_table *t, kh_table_head *h, kh_region *r)
{
    uint64_t *heads = (uint64_t *)(void *)r->base, bit = UINT64_C(1) << h->level;
    uint64_t *stays = &heads[h->split], *goes = stays + bit, old = *stays;
    fetch_ahead(l, t, heads, h->split, kh_region_grow(r, 1));
    if ((old & KH_TABLE_MORE) == 0 && h->level < KH_TABLE_KNOWN_BITS) { /* one row, whose hash we know well enough, or none */
        uint64_t moves = (uint64_t) - (int64_t)((old >> 32 & bit) != 0);
        *stays = old & ~moves;
        *goes = old & moves;
    } else {
        deal(l, t, stays, goes, bit);
    }
    if (++h->split == bit) {
        h->level++;
        h->split = 0;
    }
}

void kh_table_add(kh_ledger *l, const kh_table *t, kh_table_head *h, uint64_t hash, uint32_t row)
{
    push(l, t, &kh_table_heads(l, t)[kh_table_bucket(h, hash)], hash, row);
    h->rows++; /* half full: then most chains are one row, whose hash stands in the head; at its bound they grow longer */
    kh_region *r = &l->state->regions[t->region];
    for (uint32_t i = 0; i < 2 && h->rows * 2 > r->row_cnt && r->row_cnt < r->row_max; i++) split_one(l, t, h, r);
}

void kh_table_drop(kh_ledger *l, const kh_table *t, kh_table_head *h, uint64_t hash, uint32_t row)
{
    uint64_t *head = &kh_table_heads(l, t)[kh_table_bucket(h, hash)];
    uint32_t at = (uint32_t)*head, kept = 0, next;
    *head = 0;
    for (; at != 0; at = next) { /* the others again, in the order in which they stood */
        next = *t->next(l, at);
        if (at == row) continue;
        *t->next(l, at) = kept;
        kept = at;
    }
    for (; kept != 0; kept = next) {
        next = *t->next(l, kept);
        push(l, t, head, t->hash(l, kept), kept);
    }
    h->rows--;
}
