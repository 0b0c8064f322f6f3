/* newest: the newest outcome of every chain that outcomes join: parties', documents', financings'. */
#include "ledger/machine.h"

typedef struct giver {
    void (*each)(void *ctx, uint8_t what, const kh_key *key, kh_place place);
    void *ctx;
} giver;

static void give(const giver *g, uint8_t what, const kh_key *key, kh_packed last)
{
    if (last != 0) g->each(g->ctx, what, key, kh_place_unpack(last));
}

static kh_key key_of(uint64_t low, uint64_t high)
{
    kh_key key;
    kh_store64(key.b, low);
    kh_store64(key.b + 8, high);
    return key;
}

void kh_ledger_newest(const kh_ledger *l, void (*each)(void *ctx, uint8_t what, const kh_key *key, kh_place place), void *ctx)
{
    const giver g = {each, ctx};
    kh_key key = key_of(0, 0);
    give(&g, 2, &key, l->head->operator_last);
    const uint32_t *parties = (const uint32_t *)(const void *)l->state->regions[KH_R_PARTY_ORDER].base;
    for (uint64_t i = 0; i < l->state->regions[KH_R_PARTY_ORDER].row_cnt; i++) {
        key = key_of(l->party[parties[i]].id, 0);
        give(&g, 2, &key, l->party[parties[i]].last);
    }
    for (uint64_t at = 1; at < l->state->regions[KH_REGION_INDEX_RECORDS].row_cnt; at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->cold == 0 || (rec->quad.flags & KH_REC_ALIAS) || kh_index_find(l->index, &rec->key) != at) continue;
        give(&g, 1, &rec->key, l->cold[rec->cold].last);
    }
    for (uint64_t at = 1; at < l->state->regions[KH_R_FIN].row_cnt; at++) {
        key = key_of(l->fin[at].bank, l->fin[at].id);
        give(&g, 3, &key, l->fin[at].last);
    }
}
