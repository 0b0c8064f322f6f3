/* parties: who takes part: by id, by USCC or foreign id, in order of id; and how many refused applications each still has to work
 * off. */
#include "ledger/machine.h"

static uint32_t *next_of(const kh_ledger *l, uint32_t row) { return &l->party[row].hash_next; }
static uint32_t *uscc_next_of(const kh_ledger *l, uint32_t row) { return &l->party[row].uscc_next; }
static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return kh_parties_hash(l, l->party[row].id); }
static uint64_t uscc_hash_of(const kh_ledger *l, uint32_t row) { return kh_parties_hash(l, l->party[row].uscc); }

const kh_table kh_parties_table = {KH_R_PARTY_TABLE, next_of, hash_of};
const kh_table kh_usccs_table = {KH_R_USCC_TABLE, uscc_next_of, uscc_hash_of};

uint32_t kh_parties_find(const kh_ledger *l, uint32_t id)
{
    uint32_t row = kh_table_first(l, &kh_parties_table, &l->head->parties, kh_parties_hash(l, id));
    while (row != 0 && l->party[row].id != id) row = l->party[row].hash_next;
    return row;
}

static uint32_t *order(const kh_ledger *l) { return (uint32_t *)(void *)l->state->regions[KH_R_PARTY_ORDER].base; }

/* The first place whose party has an id >= the given one. */
static uint64_t order_find(const kh_ledger *l, uint64_t id)
{
    uint64_t low = 0, high = l->state->regions[KH_R_PARTY_ORDER].row_cnt;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (l->party[order(l)[middle]].id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

static uint32_t first_with_uscc(const kh_ledger *l, uint32_t uscc, uint8_t role)
{
    uint32_t best = 0;
    uint32_t row = uscc == 0 ? 0 : kh_table_first(l, &kh_usccs_table, &l->head->usccs, kh_parties_hash(l, uscc));
    for (; row != 0; row = l->party[row].uscc_next) {
        if (l->party[row].uscc != uscc || (role != 0 && l->party[row].role != role)) continue;
        if (best == 0 || l->party[row].id < l->party[best].id) best = row;
    }
    return best;
}

kh_code kh_parties_add(kh_ledger *l, const kh_op_party_add *op)
{
    if (op->id == 0 || op->role < KH_ROLE_REGULATOR || op->role > KH_ROLE_SOURCE || op->name.n == 0 || op->name.n > KH_NAME_MAX ||
        op->uscc.n > KH_ISSUER_MAX)
        return KH_C_FORMAT;
    uint32_t row = kh_parties_find(l, op->id);
    if (row != 0) {
        const kh_party_row *p = &l->party[row];
        bool same = p->role == op->role && kh_text_equal(kh_texts_get(l, p->name), op->name) &&
                    kh_text_equal(kh_texts_get(l, p->uscc), op->uscc);
        return same ? KH_C_OK : KH_C_CONFLICT;
    }
    if (first_with_uscc(l, kh_texts_find(l, op->uscc), op->role) != 0) return KH_C_CONFLICT;
    if (!kh_rows_left(l, KH_R_PARTY, 1) || !kh_rows_left(l, KH_R_PARTY_ORDER, 1) || !kh_texts_room(l, op->name.n + op->uscc.n))
        return KH_C_CAPACITY;
    row = kh_rows_take(l, KH_R_PARTY);
    kh_party_row *p = &l->party[row];
    p->id = op->id;
    p->role = op->role;
    p->name = kh_texts_intern(l, op->name);
    p->uscc = kh_texts_intern(l, op->uscc);
    kh_table_add(l, &kh_parties_table, &l->head->parties, kh_parties_hash(l, p->id), row);
    if (p->uscc != 0) kh_table_add(l, &kh_usccs_table, &l->head->usccs, kh_parties_hash(l, p->uscc), row);
    uint64_t at = order_find(l, p->id), cnt = kh_region_grow(&l->state->regions[KH_R_PARTY_ORDER], 1);
    memmove(order(l) + at + 1, order(l) + at, (cnt - at) * sizeof(uint32_t));
    order(l)[at] = row;
    return KH_C_OK;
}

static void set_frozen(kh_ledger *l, kh_party_row *p, uint8_t frozen)
{
    if (p->role == KH_ROLE_BANK && (p->frozen != 0) != (frozen != 0)) {
        uint32_t banks = frozen != 0 ? l->head->frozen_banks + 1 : l->head->frozen_banks - 1;
        __atomic_store_n(&l->head->frozen_banks, banks, __ATOMIC_RELEASE); /* partner: kh_ledger_verify_fast */
    }
    __atomic_store_n(&p->frozen, frozen, __ATOMIC_RELEASE); /* partner: kh_ledger_party_frozen */
}

kh_code kh_parties_status(kh_ledger *l, const kh_op_party_status *op)
{
    uint32_t row = kh_parties_find(l, op->id);
    if (row == 0) return KH_C_NOT_FOUND;
    if (op->frozen > 1) return KH_C_FORMAT;
    if (l->party[row].frozen == KH_PARTY_EXPELLED) return op->frozen != 0 ? KH_C_OK : KH_C_BAD_STATE;
    set_frozen(l, &l->party[row], op->frozen);
    return KH_C_OK;
}

kh_code kh_parties_expel(kh_ledger *l, const kh_op_expelled *op)
{
    uint32_t row = kh_parties_find(l, op->id);
    if (row == 0) return KH_C_NOT_FOUND;
    if (l->party[row].role == KH_ROLE_ENTERPRISE) return KH_C_NOT_AUTHORISED; /* no member */
    if (l->party[row].frozen == KH_PARTY_EXPELLED) return KH_C_OK;
    set_frozen(l, &l->party[row], KH_PARTY_EXPELLED);
    if (l->party[row].role == KH_ROLE_BANK) l->head->expelled_at = 1;
    return KH_C_OK;
}

/* Keys are kept: what was signed is judged by the key that stood before its block, also when that is long past. */
kh_code kh_parties_key(kh_ledger *l, const kh_op_party_key *op)
{
    uint32_t party = kh_parties_find(l, op->id);
    if (party == 0) return KH_C_NOT_FOUND;
    kh_party_row *p = &l->party[party];
    if (p->role != KH_ROLE_ENTERPRISE) return KH_C_NOT_AUTHORISED; /* members' keys are the officers' to change */
    if (p->key != 0 && memcmp(l->party_key[p->key].key, op->key, KH_PARTY_KEY_SZ) == 0) return KH_C_OK;
    if (!kh_rows_left(l, KH_R_PARTY_KEY, 1)) return KH_C_CAPACITY;
    uint32_t row = kh_rows_take(l, KH_R_PARTY_KEY);
    kh_party_key *k = &l->party_key[row];
    *k = (kh_party_key){.since = l->head->height, .before = p->key, .bundle = p->key != 0 ? l->party_key[p->key].bundle : 0};
    memcpy(k->key, op->key, KH_PARTY_KEY_SZ);
    p->key = row;
    return KH_C_OK;
}

/* Where a party's highest number of a signed bundle stands; NULL: it signs none. */
static uint64_t *bundle_of(const kh_ledger *l, uint32_t party)
{
    uint32_t row = party == 0 ? 0 : kh_parties_find(l, party);
    kh_party_row *p = &l->party[row];
    if (row == 0) return NULL;
    if (p->role == KH_ROLE_REGULATOR || p->role == KH_ROLE_SOURCE) return &p->bundle;
    return p->role == KH_ROLE_ENTERPRISE && p->key != 0 ? &l->party_key[p->key].bundle : NULL;
}

kh_code kh_parties_bundle(kh_ledger *l, uint32_t party, uint64_t number, uint64_t *ret_highest)
{
    uint64_t *highest = bundle_of(l, party);
    if (highest == NULL) return KH_C_NOT_AUTHORISED;
    kh_code code = number > *highest ? KH_C_OK : KH_C_BAD_SEQUENCE;
    *highest = kh_max64(number, *highest);
    *ret_highest = *highest;
    return code;
}

/* Rule refusal_limit BURST/PER_SECOND: a bucket that fills with refusals and runs out by block time. */
static void work_off(kh_ledger *l, kh_party_row *p)
{
    uint64_t passed = l->head->time_ns - p->refusals_at, per_second = l->head->rules[KH_RULE_REFUSALS].value_2;
    unsigned __int128 gone = (unsigned __int128)passed * per_second;
    p->refusals_ns = gone >= p->refusals_ns ? 0 : p->refusals_ns - (uint64_t)gone;
    p->refusals_at = l->head->time_ns;
}

bool kh_parties_exhausted(kh_ledger *l, uint32_t party)
{
    const kh_rule *rule = &l->head->rules[KH_RULE_REFUSALS];
    kh_party_row *p = &l->party[party];
    work_off(l, p);
    return p->refusals_ns + KH_NS_PER_S > rule->value * KH_NS_PER_S;
}

void kh_parties_refused(kh_ledger *l, uint32_t party)
{
    if (l->head->rules[KH_RULE_REFUSALS].value == 0) return;
    work_off(l, &l->party[party]);
    l->party[party].refusals_ns += KH_NS_PER_S;
}

/* ---- reading ---- */

static void view(const kh_ledger *l, uint32_t row, kh_party_view *ret)
{
    const kh_party_row *p = &l->party[row];
    memset(ret, 0, sizeof *ret);
    ret->id = p->id;
    ret->role = (kh_role)p->role;
    ret->frozen = p->frozen;
    kh_text name = kh_texts_get(l, p->name), uscc = kh_texts_get(l, p->uscc);
    if (name.n != 0) memcpy(ret->name, name.p, name.n);
    if (uscc.n != 0) memcpy(ret->uscc, uscc.p, uscc.n);
    ret->last = kh_place_unpack(p->last);
}

bool kh_ledger_party(const kh_ledger *l, uint32_t id, kh_party_view *ret)
{
    uint32_t row = id == 0 ? 0 : kh_parties_find(l, id);
    if (row != 0) view(l, row, ret);
    return row != 0;
}

uint32_t kh_ledger_party_row(const kh_ledger *l, uint32_t id) { return id == 0 ? 0 : kh_parties_find(l, id); }

bool kh_ledger_party_frozen(const kh_ledger *l, uint32_t row)
{
    return __atomic_load_n(&l->party[row].frozen, __ATOMIC_ACQUIRE) != 0; /* partner: kh_parties_status */
}

bool kh_ledger_party_key(const kh_ledger *l, uint32_t id, uint64_t *cursor, uint64_t *ret_since, uint8_t ret[KH_PARTY_KEY_SZ])
{
    uint32_t party = id == 0 ? 0 : kh_parties_find(l, id);
    if (party == 0 || l->party[party].role != KH_ROLE_ENTERPRISE) return false;
    uint32_t row = *cursor == 0 ? l->party[party].key : l->party_key[*cursor].before;
    if (row == 0) return false;
    *cursor = row;
    *ret_since = l->party_key[row].since;
    memcpy(ret, l->party_key[row].key, KH_PARTY_KEY_SZ);
    return true;
}

bool kh_ledger_party_by_uscc(const kh_ledger *l, kh_text uscc, kh_party_view *ret)
{
    uint32_t ref = kh_texts_find(l, uscc), row = first_with_uscc(l, ref, KH_ROLE_ENTERPRISE);
    if (row == 0) row = first_with_uscc(l, ref, 0);
    if (row != 0) view(l, row, ret);
    return row != 0;
}

bool kh_ledger_party_by_name(const kh_ledger *l, kh_text name, kh_party_view *ret)
{
    uint32_t ref = kh_texts_find(l, name), found = 0;
    for (uint64_t i = 0; ref != 0 && i < l->state->regions[KH_R_PARTY_ORDER].row_cnt; i++) {
        uint32_t party = order(l)[i];
        if (l->party[party].name != ref) continue;
        if (found != 0) return false;
        found = party;
    }
    if (found != 0) view(l, found, ret);
    return found != 0;
}

bool kh_ledger_party_next(const kh_ledger *l, uint64_t *cursor, kh_party_view *ret)
{
    uint64_t at = order_find(l, *cursor);
    if (at >= l->state->regions[KH_R_PARTY_ORDER].row_cnt) return false;
    view(l, order(l)[at], ret);
    *cursor = (uint64_t)ret->id + 1;
    return true;
}
