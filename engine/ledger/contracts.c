/* contracts: documents of one owner that name one contract. Where one of them is held or financed the others are SIMILAR: a flag,
 * no block. The newest KH_SIMILAR_LOOK of a contract are compared; members of one link group are the same trade and not
 * suspicious. */
#include "ledger/machine.h"

static uint32_t *next_of(const kh_ledger *l, uint32_t row) { return &l->contract[row].hash_next; }
static uint64_t contract_hash(const kh_ledger *l, uint64_t digest, uint32_t owner)
{
    return kh_mix(digest ^ l->secret[0], l->secret[1] ^ owner);
}
static uint64_t hash_of(const kh_ledger *l, uint32_t row)
{
    return contract_hash(l, l->contract[row].digest, l->contract[row].owner);
}

const kh_table kh_contracts_table = {KH_R_CONTRACT_TABLE, next_of, hash_of};

void kh_contracts_add(kh_ledger *l, uint64_t digest, const kh_key *from, uint32_t owner)
{
    uint32_t row = digest == 0 || owner == 0 ? 0 : kh_rows_take(l, KH_R_CONTRACT);
    if (row == 0) return;
    l->contract[row] = (kh_contract){.from = *from, .digest = digest, .owner = owner};
    kh_table_add(l, &kh_contracts_table, &l->head->contracts, contract_hash(l, digest, owner), row);
}

typedef struct others {
    uint32_t n;
    uint32_t rows[KH_SIMILAR_LOOK];
} others;

/* The contract's newest rows, newest first, whatever the chain's order. */
static void gather(const kh_ledger *l, uint64_t digest, uint32_t owner, others *ret)
{
    ret->n = 0;
    for (uint32_t row = kh_table_first(l, &kh_contracts_table, &l->head->contracts, contract_hash(l, digest, owner)); row != 0;
         row = l->contract[row].hash_next) {
        if (l->contract[row].digest != digest || l->contract[row].owner != owner) continue;
        if (ret->n == KH_SIMILAR_LOOK && ret->rows[ret->n - 1] > row) continue;
        uint32_t at = ret->n < KH_SIMILAR_LOOK ? ret->n++ : ret->n - 1;
        for (; at > 0 && ret->rows[at - 1] < row; at--) ret->rows[at] = ret->rows[at - 1];
        ret->rows[at] = row;
    }
}

static bool same_group(const kh_ledger *l, uint32_t a, uint32_t b)
{
    for (uint32_t x = a; x != KH_RECORD_NONE; x = kh_rec(l, x)->next) {
        uint32_t group = l->active[l->cold[kh_rec(l, x)->cold].active].group;
        for (uint32_t y = b; group != 0 && y != KH_RECORD_NONE; y = kh_rec(l, y)->next)
            if (l->active[l->cold[kh_rec(l, y)->cold].active].group == group) return true;
    }
    return false;
}

static bool is_taken(const kh_ledger *l, uint32_t first)
{
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next)
        if (kh_rec(l, at)->quad.taken != 0) return true;
    return false;
}

/* Walks the other documents of the contract; sets the flag on them where asked; returns whether one is taken. */
static bool walk(const kh_ledger *l, uint32_t record, kh_ledger *flag_them)
{
    const kh_key self = kh_rec(l, record)->key;
    uint32_t cold = kh_records_cold(l, record), extra = l->cold[cold].extra;
    kh_key meant;
    bool found = false;
    if (extra == 0 || l->extra[extra].contract == 0 || l->cold[cold].owner == 0) return false;
    others all;
    gather(l, l->extra[extra].contract, l->cold[cold].owner, &all);
    uint32_t own_first = kh_index_find(l->index, &self);
    for (uint32_t i = 0; i < all.n; i++) {
        uint32_t first = kh_identity_follow(l, &l->contract[all.rows[i]].from, &meant);
        if (first == KH_RECORD_NONE || first == own_first || same_group(l, own_first, first)) continue;
        uint32_t its = l->cold[kh_rec(l, first)->cold].extra;
        if (its == 0 || l->extra[its].contract != l->extra[extra].contract) continue;
        found |= is_taken(l, first);
        if (flag_them != NULL && (kh_rec(l, first)->quad.flags & KH_REC_SIMILAR) == 0)
            kh_records_flags(flag_them, first, KH_REC_SIMILAR, 0);
    }
    return found;
}

bool kh_contracts_similar(const kh_ledger *l, uint32_t record)
{
    return kh_contracts_may_name(l, record) && walk(l, record, NULL);
}

void kh_contracts_flag(kh_ledger *l, uint32_t record, bool financed_now)
{
    if (!kh_contracts_may_name(l, record) || !walk(l, record, financed_now ? l : NULL)) return;
    if (kh_rec(l, record)->quad.flags & KH_REC_SIMILAR) {
        if (!financed_now) return;
    }
    uint32_t first = kh_index_find(l->index, &kh_rec(l, record)->key);
    kh_records_flags(l, first, KH_REC_SIMILAR, 0);
    kh_notice n = {
        .type = KH_NOTICE_SIMILAR, .has_key = 1, .key = kh_rec(l, first)->key, .currency = kh_rec(l, record)->currency};
    kh_outcome_begin(l);
    kh_touch_document(l, first);
    kh_emit_notice(l, &n);
}
