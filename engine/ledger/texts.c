/* texts: owners, issuers, numbers, names and words, each stored once and named by a reference. They are never given back: what
 * they belong to is never deleted. */
#include "ledger/machine.h"

#define BYTES_AT offsetof(kh_text_row, bytes)

static kh_text_row *row_at(const kh_ledger *l, uint32_t ref)
{
    return (kh_text_row *)(void *)(l->text + (size_t)ref * KH_TEXT_UNIT);
}
static uint64_t units_of(uint64_t n) { return (BYTES_AT + n + KH_TEXT_UNIT - 1) / KH_TEXT_UNIT; }
static uint32_t *next_of(const kh_ledger *l, uint32_t ref) { return &row_at(l, ref)->hash_next; }
static uint64_t hash_of(const kh_ledger *l, uint32_t ref) { return kh_keyed_hash(l, row_at(l, ref)->bytes, row_at(l, ref)->n); }

const kh_table kh_texts_table = {KH_R_TEXT_TABLE, next_of, hash_of};

static uint32_t find(const kh_ledger *l, kh_text text, uint64_t hash)
{
    uint32_t ref = kh_table_first(l, &kh_texts_table, &l->head->texts, hash);
    while (ref != 0) {
        const kh_text_row *row = row_at(l, ref);
        if (row->n == text.n && memcmp(row->bytes, text.p, text.n) == 0) return ref;
        ref = row->hash_next;
    }
    return 0;
}

const void *kh_texts_candidate(const kh_ledger *l, uint64_t hash)
{
    return row_at(l, kh_table_first(l, &kh_texts_table, &l->head->texts, hash));
}

uint32_t kh_texts_find(const kh_ledger *l, kh_text text)
{
    return text.n == 0 ? 0 : find(l, text, kh_keyed_hash(l, text.p, text.n));
}

uint32_t kh_texts_intern(kh_ledger *l, kh_text text)
{
    if (text.n == 0) return 0;
    uint64_t hash = kh_keyed_hash(l, text.p, text.n);
    uint32_t ref = find(l, text, hash);
    if (ref != 0) return ref;
    kh_region *r = &l->state->regions[KH_R_TEXT];
    KH_ASSERT(r->row_max - r->row_cnt >= units_of(text.n));
    ref = (uint32_t)r->row_cnt;
    (void)kh_region_grow(r, units_of(text.n));
    kh_text_row *row = row_at(l, ref);
    row->n = (uint16_t)text.n;
    memcpy((uint8_t *)row + BYTES_AT, text.p, text.n);
    kh_table_add(l, &kh_texts_table, &l->head->texts, hash, ref);
    return ref;
}

uint32_t kh_texts_owner_check(kh_ledger *l, uint32_t ref)
{
    if (ref == 0) return 0;
    kh_text_row *row = row_at(l, ref);
    if (row->owner_check == 0) row->owner_check = kh_owner_check(kh_texts_get(l, ref));
    return row->owner_check;
}
