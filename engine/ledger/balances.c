/* balances: what a document is worth, what is taken of it and by whom; and, on a shortage, which code says why.
 *
 * A record's `taken` is held + used + consumed of its active row; a bank's part of these lies in the active row itself while it
 * is the only one, else in rows of shares. Every change of a record passes kh_record_set or kh_record_take, which keep the
 * running check. */
#include "ledger/machine.h"

/* floor((base - red) * ratio / 10000), exact in 64 bits. */
uint64_t kh_balance_ratio(uint64_t base, uint64_t red, uint64_t ratio_bp)
{
    uint64_t rest = base > red ? base - red : 0;
    return rest / 10000 * ratio_bp + rest % 10000 * ratio_bp / 10000;
}

uint64_t kh_balance_cap(const kh_ledger *l, kh_kind kind, kh_status status, uint64_t base, uint64_t red)
{
    if (kind == KH_KIND_CREDIT_NOTE || status == KH_STATUS_VOID || status == KH_STATUS_RED_FULL) return 0;
    return kh_balance_ratio(base, red, l->head->rules[KH_RULE_RATIO_KIND + (uint32_t)kind].value);
}

uint64_t kh_record_check(const kh_ledger *l, const kh_record *rec)
{
    return kh_check_with(l, rec, kh_check_identity(l, rec), rec->quad.taken, kh_check_state(kh_record_word(rec)));
}

static uint64_t clamp(unsigned __int128 v) { return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v; }

void kh_balance_room(const kh_ledger *l, const kh_record *rec, uint64_t group_pending, kh_room *ret)
{
    ret->own_free = rec->cap > rec->quad.taken ? rec->cap - rec->quad.taken : 0;
    ret->group_free = UINT64_MAX;
    if (rec->quad.flags & KH_REC_GROUP) {
        const kh_group *g = &l->group[l->active[l->cold[rec->cold].active].group];
        unsigned __int128 cap = kh_group_cap(l, g), taken = kh_group_exposure(l, g, false) + group_pending;
        ret->group_free = cap > taken ? clamp(cap - taken) : 0;
    }
    ret->group_limits = ret->group_free < ret->own_free;
    ret->free = ret->group_limits ? ret->group_free : ret->own_free;
}

kh_parts kh_balance_share(const kh_ledger *l, const kh_active *a, uint32_t bank)
{
    if (a->shares == 0) return bank != 0 && a->bank == bank ? (kh_parts){a->held, a->used, a->consumed} : (kh_parts){0, 0, 0};
    for (uint32_t s = a->shares; s != 0; s = l->share[s].next)
        if (l->share[s].bank == bank) return (kh_parts){l->share[s].held, l->share[s].used, l->share[s].consumed};
    return (kh_parts){0, 0, 0};
}

uint32_t kh_balance_banks(const kh_ledger *l, const kh_active *a, uint32_t ret_banks[KH_DOC_BANKS_MAX + 1])
{
    uint32_t n = 0;
    if (a->shares == 0 && a->bank != 0) ret_banks[n++] = a->bank;
    for (uint32_t s = a->shares; s != 0; s = l->share[s].next) {
        uint32_t at = n++;
        for (; at > 0 && ret_banks[at - 1] > l->share[s].bank; at--) ret_banks[at] = ret_banks[at - 1];
        ret_banks[at] = l->share[s].bank;
    }
    return n;
}

bool kh_balance_bank_fits(const kh_ledger *l, const kh_active *a, uint32_t bank)
{
    if (a->bank_cnt < KH_DOC_BANKS_MAX) return true;
    for (uint32_t s = a->shares; s != 0; s = l->share[s].next)
        if (l->share[s].bank == bank) return true;
    return a->shares == 0 && a->bank == bank;
}

static void look(const kh_ledger *l, const kh_active *a, uint32_t bank, bool *used_other, bool *held_other, bool *own)
{
    uint32_t banks[KH_DOC_BANKS_MAX + 1], n = kh_balance_banks(l, a, banks);
    for (uint32_t i = 0; i < n; i++) {
        kh_parts p = kh_balance_share(l, a, banks[i]);
        if (banks[i] == bank) {
            *own |= p.held + p.used > 0;
        } else {
            *used_other |= p.used > 0;
            *held_other |= p.held > 0;
        }
    }
}

/* The code of free = 0. Where the link group is the limit all its members count. pending_own: an earlier line of the same
   application takes of the group. */
kh_code kh_balance_shortage(const kh_ledger *l, const kh_record *rec, bool group_limits, uint32_t bank, bool pending_own)
{
    bool used_other = false, held_other = false, own = pending_own;
    const kh_active *a = &l->active[l->cold[rec->cold].active];
    if (group_limits) {
        const kh_group *g = &l->group[a->group];
        for (uint32_t i = 0; i < g->cnt; i++) look(l, &l->active[g->members[i]], bank, &used_other, &held_other, &own);
    } else if (l->cold[rec->cold].active != 0) {
        look(l, a, bank, &used_other, &held_other, &own);
    }
    if (used_other) return KH_C_DUP_FINANCED_OTHER;
    if (held_other) return KH_C_DUP_HELD_OTHER;
    return own ? KH_C_DUP_OWN : KH_C_EXHAUSTED;
}

static uint64_t moved(uint64_t value, int64_t by)
{
    uint64_t after = value + (uint64_t)by;
    KH_ASSERT(by >= 0 ? after >= value : after < value);
    return after;
}

static kh_share *share_new(kh_ledger *l, kh_active *a, uint32_t bank)
{
    uint32_t row = kh_rows_take_reused(l, KH_R_SHARE, &l->head->free_shares);
    KH_ASSERT(row != 0);
    l->share[row] = (kh_share){.next = a->shares, .bank = bank};
    a->shares = row;
    return &l->share[row];
}

/* A bank without any part left gives its row back. */
static void share_drop(kh_ledger *l, kh_active *a, uint32_t bank)
{
    uint32_t *at = &a->shares;
    while (l->share[*at].bank != bank) at = &l->share[*at].next;
    uint32_t row = *at;
    *at = l->share[row].next;
    kh_rows_give(l, KH_R_SHARE, &l->head->free_shares, row);
    a->bank_cnt--;
}

static void share_move(kh_ledger *l, kh_active *a, uint32_t bank, int64_t held, int64_t used, int64_t consumed)
{
    if (a->shares == 0 && a->bank_cnt == 0) {
        a->bank = bank;
        a->bank_cnt = 1;
    }
    if (a->shares == 0 && a->bank == bank) return; /* the totals, moved by the caller, are its own */
    if (a->shares == 0) {
        kh_share *first = share_new(l, a, a->bank);
        first->held = a->held;
        first->used = a->used;
        first->consumed = a->consumed;
        a->bank = 0;
    }
    kh_share *s = NULL;
    for (uint32_t row = a->shares; row != 0 && s == NULL; row = l->share[row].next)
        if (l->share[row].bank == bank) s = &l->share[row];
    if (s == NULL) {
        s = share_new(l, a, bank);
        a->bank_cnt++;
    }
    s->held = moved(s->held, held);
    s->used = moved(s->used, used);
    s->consumed = moved(s->consumed, consumed);
    if (s->held + s->used + s->consumed == 0) share_drop(l, a, bank);
}

void kh_balance_move(kh_ledger *l, uint32_t active, uint32_t bank, int64_t held, int64_t used, int64_t consumed)
{
    kh_active *a = &l->active[active];
    kh_record *rec = kh_rec(l, a->record);
    share_move(l, a, bank, held, used, consumed);
    a->held = moved(a->held, held);
    a->used = moved(a->used, used);
    a->consumed = moved(a->consumed, consumed);
    uint64_t taken = a->held + a->used + a->consumed, active_flag = kh_word_of_flags(KH_REC_ACTIVE),
             word = kh_record_word(rec) & ~active_flag;
    if (taken == 0 && a->shares == 0) {
        a->bank = 0;
        a->bank_cnt = 0;
    }
    kh_record_take(l, rec, taken, taken != 0 ? word | active_flag : word);
}
