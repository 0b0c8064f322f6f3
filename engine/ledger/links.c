/* links: one trade on several kinds of paper. A document that names one invoice or bill of lading of the same owner forms a link
 * group with it, currency by currency; members are balances, at most KH_GROUP_MAX. The group's cap is the largest, over its
 * kinds, of the summed caps of that kind; its exposure the sum of what its members have taken. */
#include "ledger/machine.h"

unsigned __int128 kh_group_cap(const kh_ledger *l, const kh_group *g)
{
    unsigned __int128 of_kind[KH_KIND_CNT] = {0}, best = 0;
    for (uint32_t i = 0; i < g->cnt; i++) {
        const kh_record *rec = kh_rec(l, l->active[g->members[i]].record);
        of_kind[kh_doc_key_kind(&rec->key)] += rec->cap;
    }
    for (uint32_t k = 0; k < KH_KIND_CNT; k++)
        if (of_kind[k] > best) best = of_kind[k];
    return best;
}

unsigned __int128 kh_group_exposure(const kh_ledger *l, const kh_group *g, bool without_held)
{
    unsigned __int128 sum = 0;
    for (uint32_t i = 0; i < g->cnt; i++) {
        const kh_active *a = &l->active[g->members[i]];
        sum += (without_held ? 0 : a->held) + a->used + a->consumed;
    }
    return sum;
}

static bool links_with(const kh_ref *ref)
{
    return ref->role == KH_REF_LINK && (ref->kind == KH_KIND_INVOICE || ref->kind == KH_KIND_BILL_OF_LADING);
}

static uint32_t balance_of(const kh_ledger *l, uint32_t first, kh_currency currency)
{
    while (first != KH_RECORD_NONE && kh_rec(l, first)->currency != currency) first = kh_rec(l, first)->next;
    return first;
}

/* Members that a balance would be joined with, counted before anything is changed. */
typedef struct joined {
    uint32_t total, group_cnt, single_cnt;
    uint32_t groups[KH_GROUP_MAX + 1], singles[KH_GROUP_MAX + 1];
} joined;

static void count(const kh_ledger *l, uint32_t record, joined *j)
{
    uint32_t active = l->cold[kh_rec(l, record)->cold].active, group = active == 0 ? 0 : l->active[active].group;
    uint32_t *list = group != 0 ? j->groups : j->singles, *n = group != 0 ? &j->group_cnt : &j->single_cnt,
             value = group != 0 ? group : record;
    for (uint32_t i = 0; i < *n; i++)
        if (list[i] == value) return;
    if (*n > KH_GROUP_MAX) return;
    list[(*n)++] = value;
    j->total += group != 0 ? l->group[group].cnt : 1;
}

static void count_partner(const kh_ledger *l, const kh_key *key, uint32_t self, uint32_t owner, kh_currency currency, joined *j)
{
    kh_key meant;
    uint32_t partner = kh_identity_follow(l, key, &meant);
    if (partner == KH_RECORD_NONE || partner == self || owner == 0 || l->cold[kh_rec(l, partner)->cold].owner != owner) return;
    uint32_t record = balance_of(l, partner, currency);
    if (record != KH_RECORD_NONE) count(l, record, j);
}

bool kh_links_fit(const kh_ledger *l, const kh_op_document *d, const kh_key *key, uint32_t first, uint32_t owner,
                  const kh_content *c)
{
    uint32_t extra = first == KH_RECORD_NONE ? 0 : l->cold[kh_rec(l, first)->cold].extra, incoming = kh_refs_first(l, key);
    if (d->ref_cnt == 0 && incoming == 0 && (extra == 0 || l->extra[extra].refs == 0)) return true;
    for (uint32_t i = 0; i < c->n; i++) {
        kh_currency currency = c->balances[i].currency;
        joined j = {0};
        uint32_t own = first == KH_RECORD_NONE ? KH_RECORD_NONE : balance_of(l, first, currency);
        if (own == KH_RECORD_NONE) j.total = 1;
        else count(l, own, &j);
        for (uint32_t k = 0; k < d->ref_cnt; k++) {
            kh_ref ref = {.role = d->refs[k].role, .kind = d->refs[k].key.b[0]};
            if (links_with(&ref)) count_partner(l, &d->refs[k].key, first, owner, currency, &j);
        }
        for (uint32_t row = extra == 0 ? 0 : l->extra[extra].refs; row != 0; row = l->ref[row].next)
            if (links_with(&l->ref[row])) count_partner(l, &l->ref[row].target, first, owner, currency, &j);
        for (uint32_t row = incoming; row != 0; row = l->ref[row].hash_next)
            if (links_with(&l->ref[row]) && kh_key_equal(&l->ref[row].target, key))
                count_partner(l, &l->ref[row].from, first, owner, currency, &j);
        if (j.total > KH_GROUP_MAX) return false;
    }
    return true;
}

static void enter(kh_ledger *l, uint32_t group, uint32_t active)
{
    kh_group *g = &l->group[group];
    KH_ASSERT(g->cnt < KH_GROUP_MAX);
    g->members[g->cnt++] = active;
    l->active[active].group = group;
    kh_record *rec = kh_rec(l, l->active[active].record);
    kh_record_set(l, rec, rec->quad.taken, kh_record_word(rec) | kh_word_of_flags(KH_REC_GROUP));
}

/* Row 0, of a balance without an active one, is in no group. */
static uint32_t group_of(const kh_ledger *l, uint32_t record) { return l->active[l->cold[kh_rec(l, record)->cold].active].group; }

/* Joins two balances; false if they were joined before or cannot be (no room, or 65 members after later joins): then nothing is
   changed, since an active row that neither a line nor a group needed is in no leaf of the checkpoint. */
static bool join(kh_ledger *l, uint32_t a_record, uint32_t b_record)
{
    if (!kh_rows_left(l, KH_R_ACTIVE, 2) || !kh_rows_left(l, KH_R_GROUP, 1)) return false;
    uint32_t group = group_of(l, a_record), other = group_of(l, b_record);
    if (a_record == b_record || (group != 0 && group == other)) return false;
    uint32_t sum = (group == 0 ? 1 : l->group[group].cnt) + (other == 0 ? 1 : l->group[other].cnt);
    if (sum > KH_GROUP_MAX) return false;
    uint32_t a = kh_balance_active(l, a_record), b = kh_balance_active(l, b_record);
    if (group == 0 && other != 0) {
        uint32_t swap = a;
        a = b;
        b = swap;
        group = other;
        other = 0;
    }
    if (group == 0) {
        group = kh_rows_take_reused(l, KH_R_GROUP, &l->head->free_groups);
        l->head->groups++;
        enter(l, group, a);
    }
    if (other == 0) {
        enter(l, group, b);
        return true;
    }
    kh_group gone = l->group[other];
    for (uint32_t i = 0; i < gone.cnt; i++) enter(l, group, gone.members[i]);
    kh_rows_give(l, KH_R_GROUP, &l->head->free_groups, other);
    l->head->groups--;
    return true;
}

/* Joins every balance of `first` with the same currency's of the partner. */
static bool join_documents(kh_ledger *l, uint32_t first, uint32_t partner)
{
    uint32_t owner = l->cold[kh_rec(l, first)->cold].owner;
    bool any = false;
    if (partner == KH_RECORD_NONE || partner == first || owner == 0 || l->cold[kh_rec(l, partner)->cold].owner != owner)
        return false;
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        uint32_t record = kh_rec(l, at)->currency == 0 ? KH_RECORD_NONE : balance_of(l, partner, kh_rec(l, at)->currency);
        if (record == KH_RECORD_NONE || !join(l, at, record)) continue;
        kh_limit_refresh(l, l->cold[kh_rec(l, at)->cold].active, false);
        any = true;
    }
    return any;
}

/* The next reference to a key in the order in which they came. */
static uint32_t next_incoming(const kh_ledger *l, const kh_key *key, uint32_t after)
{
    uint32_t best = 0;
    for (uint32_t row = kh_refs_first(l, key); row != 0; row = l->ref[row].hash_next)
        if (row > after && (best == 0 || row < best) && links_with(&l->ref[row]) && kh_key_equal(&l->ref[row].target, key))
            best = row;
    return best;
}

void kh_links_close(kh_ledger *l, uint32_t first, bool late)
{
    const kh_key self = kh_rec(l, first)->key;
    uint32_t extra = l->cold[kh_rec(l, first)->cold].extra;
    kh_key meant;
    for (uint32_t row = extra == 0 ? 0 : l->extra[extra].refs; row != 0; row = l->ref[row].next)
        if (links_with(&l->ref[row])) (void)join_documents(l, first, kh_identity_follow(l, &l->ref[row].target, &meant));
    for (uint32_t row = next_incoming(l, &self, 0); row != 0; row = next_incoming(l, &self, row)) {
        uint32_t partner = kh_identity_follow(l, &l->ref[row].from, &meant);
        if (!join_documents(l, first, partner) || !late) continue;
        kh_notice n = {.type = KH_NOTICE_LINKED, .has_key = 1, .key = meant, .currency = kh_rec(l, partner)->currency};
        kh_outcome_begin(l);
        kh_touch_document(l, partner);
        kh_emit_notice(l, &n);
    }
}
