/* auditor_limits: balances, caps, link groups, shortages, cancelled lines, flags: all by adding up. */
#include "auditor.h"

int auditor_balance_meant(const document *d, kh_currency currency)
{
    int found = -1, declared = 0;
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        if (d->balances[i].gone) continue;
        declared++;
        if (currency == 0 || d->balances[i].currency == currency) found = (int)i;
    }
    return currency == 0 && declared != 1 ? -1 : found;
}

int auditor_find_doc(const auditor *a, const kh_key *key)
{
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        if (kh_key_equal(&a->docs[i].key, key)) return (int)i;
    for (uint32_t i = 0; i < a->other_name_cnt; i++)
        if (kh_key_equal(&a->other_names[i].name, key)) return auditor_find_doc(a, &a->other_names[i].meant);
    return -1;
}

const party *auditor_find_party(const auditor *a, uint32_t id)
{
    for (uint32_t i = 0; i < a->party_cnt; i++)
        if (a->parties[i].id == id) return &a->parties[i];
    return NULL;
}

int auditor_find_fin(const auditor *a, uint32_t bank, uint64_t id)
{
    for (uint32_t i = 0; i < a->fin_cnt; i++)
        if (a->fins[i].bank == bank && a->fins[i].id == id) return (int)i;
    return -1;
}

bool auditor_is_held(kh_fin_state state)
{
    return state == KH_FIN_APPLIED || state == KH_FIN_ACCEPTED || state == KH_FIN_APPROVED;
}
bool auditor_is_used(kh_fin_state state) { return state == KH_FIN_DISBURSED || state == KH_FIN_PART_REPAID; }

exposure auditor_exposure(const auditor *a, int doc, int bal, uint32_t bank, bool others)
{
    exposure sum = {0, 0, 0};
    for (uint32_t i = 0; i < a->fin_cnt; i++) {
        const financing *f = &a->fins[i];
        if (bank != 0 && (f->bank == bank) == others) continue;
        for (uint32_t j = 0; j < f->line_cnt; j++) {
            const fin_line *l = &f->lines[j];
            if (l->doc != doc || l->bal != bal) continue;
            if (auditor_is_held(f->state)) sum.held += l->amount;
            if (auditor_is_used(f->state)) sum.used += l->amount;
            sum.consumed += l->consumed;
        }
    }
    return sum;
}

void auditor_add_up(auditor *a)
{
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        for (uint32_t j = 0; j < a->docs[i].balance_cnt; j++) a->docs[i].balances[j].sum = (exposure){0, 0, 0};
    for (uint32_t i = 0; i < a->fin_cnt; i++)
        for (uint32_t j = 0; j < a->fins[i].line_cnt; j++) {
            const fin_line *l = &a->fins[i].lines[j];
            if (l->doc < 0 || l->bal < 0) continue;
            exposure *sum = &a->docs[l->doc].balances[l->bal].sum;
            if (auditor_is_held(a->fins[i].state)) sum->held += l->amount;
            if (auditor_is_used(a->fins[i].state)) sum->used += l->amount;
            sum->consumed += l->consumed;
        }
}

void auditor_recap(auditor *a, int doc)
{
    document *d = &a->docs[doc];
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        balance *b = &d->balances[i];
        uint64_t left = b->base > b->red ? b->base - b->red : 0;
        b->cap = (uint64_t)((unsigned __int128)left * a->ratio_kind[d->kind] / 10000);
        if (d->status == KH_STATUS_VOID || d->status == KH_STATUS_RED_FULL || d->kind == KH_KIND_CREDIT_NOTE) b->cap = 0;
    }
}

static uint64_t sum_of(exposure e) { return e.held + e.used + e.consumed; }

/* The group's cap: the largest, over kinds, of the summed caps of that kind. Its exposure: the sum of all members'. */
static void group_sums(const auditor *a, int group, uint64_t *ret_cap, uint64_t *ret_settled, uint64_t *ret_all)
{
    uint64_t by_kind[KH_KIND_CNT] = {0}, settled = 0, all = 0, cap = 0;
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        for (uint32_t j = 0; j < a->docs[i].balance_cnt; j++) {
            if (a->docs[i].balances[j].group != group) continue;
            by_kind[a->docs[i].kind] += a->docs[i].balances[j].cap;
            exposure e = a->docs[i].balances[j].sum;
            settled += e.used + e.consumed;
            all += sum_of(e);
        }
    for (int k = 0; k < KH_KIND_CNT; k++) cap = kh_max64(cap, by_kind[k]);
    *ret_cap = cap;
    *ret_settled = settled;
    *ret_all = all;
}

static __int128 own_left(const auditor *a, int doc, int bal)
{
    return (__int128)a->docs[doc].balances[bal].cap - sum_of(a->docs[doc].balances[bal].sum);
}

__int128 auditor_left_of_group(const auditor *a, int doc, int bal)
{
    uint64_t cap, settled, all;
    int group = a->docs[doc].balances[bal].group;
    if (group < 0) return (__int128)1 << 100;
    group_sums(a, group, &cap, &settled, &all);
    return (__int128)cap - all;
}

uint64_t auditor_free_of(const auditor *a, int doc, int bal)
{
    __int128 own = own_left(a, doc, bal), group = auditor_left_of_group(a, doc, bal);
    __int128 left = own < group ? own : group;
    return left > 0 ? (uint64_t)left : 0;
}

bool auditor_over(const auditor *a, int doc, int bal)
{
    return own_left(a, doc, bal) < 0 || auditor_left_of_group(a, doc, bal) < 0;
}

kh_code auditor_shortage(const auditor *a, int doc, int bal, uint32_t bank)
{
    if (auditor_free_of(a, doc, bal) > 0) return KH_C_INSUFFICIENT;
    int group = own_left(a, doc, bal) > 0 ? a->docs[doc].balances[bal].group : -1; /* the group is the limit */
    exposure mine = {0, 0, 0}, other = {0, 0, 0};
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        for (uint32_t j = 0; j < a->docs[i].balance_cnt; j++) {
            bool counts = group >= 0 ? a->docs[i].balances[j].group == group : (int)i == doc && (int)j == bal;
            if (!counts) continue;
            exposure o = auditor_exposure(a, (int)i, (int)j, bank, bank != 0);
            other.held += o.held;
            other.used += o.used;
            if (bank == 0) continue;
            exposure m = auditor_exposure(a, (int)i, (int)j, bank, false);
            mine.held += m.held;
            mine.used += m.used;
        }
    if (other.used > 0) return KH_C_DUP_FINANCED_OTHER;
    if (other.held > 0) return KH_C_DUP_HELD_OTHER;
    if (mine.held > 0 || mine.used > 0) return KH_C_DUP_OWN;
    return KH_C_EXHAUSTED;
}

kh_notice *auditor_notice(auditor *a, kh_notice_type type, uint32_t bank)
{
    KH_ASSERT(a->notice_cnt < NOTICES_MAX);
    kh_notice *n = &a->notices[a->notice_cnt++];
    memset(n, 0, sizeof *n);
    n->type = (uint8_t)type;
    n->party = bank;
    return n;
}

/* Each bank with something on the document, and the regulator (0), is told. */
void auditor_alert(auditor *a, int doc, int bal, kh_notice_type type)
{
    auditor_notice(a, type, 0)->key = a->docs[doc].key;
    for (uint32_t i = 0; i < a->party_cnt; i++) {
        uint32_t bank = a->parties[i].id;
        if (a->parties[i].role != KH_ROLE_BANK) continue;
        exposure e = {0, 0, 0};
        for (uint32_t j = 0; j < a->docs[doc].balance_cnt; j++) {
            if (bal >= 0 && (int)j != bal) continue;
            exposure x = auditor_exposure(a, doc, (int)j, bank, false);
            e.held += x.held;
            e.used += x.used;
        }
        if (e.held + e.used > 0) auditor_notice(a, type, bank)->key = a->docs[doc].key;
    }
}

void auditor_flags(auditor *a)
{
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        for (uint32_t j = 0; j < a->docs[i].balance_cnt; j++) {
            bool over = auditor_over(a, (int)i, (int)j);
            if (over && !a->docs[i].balances[j].over) auditor_alert(a, (int)i, (int)j, KH_NOTICE_OVER_LIMIT);
            a->docs[i].balances[j].over = over;
        }
}

static void join(auditor *a, int doc, int other)
{
    document *d = &a->docs[doc], *o = &a->docs[other];
    if (d->owner_check != o->owner_check) return;
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        int j = d->balances[i].currency != 0 && !d->balances[i].gone ? auditor_balance_meant(o, d->balances[i].currency) : -1;
        if (j < 0) continue;
        int g = d->balances[i].group, h = o->balances[j].group;
        if (g < 0 && h < 0) d->balances[i].group = o->balances[j].group = (int)a->group_cnt++;
        else if (g < 0) d->balances[i].group = h;
        else if (h < 0) o->balances[j].group = g;
        else if (g != h)
            for (uint32_t x = 0; x < a->doc_cnt; x++)
                for (uint32_t y = 0; y < a->docs[x].balance_cnt; y++)
                    if (a->docs[x].balances[y].group == h) a->docs[x].balances[y].group = g;
    }
}

void auditor_link(auditor *a, int doc)
{
    for (uint32_t i = 0; i < a->doc_cnt; i++)
        for (uint32_t n = 0; n < a->docs[i].named_cnt; n++) {
            int other = auditor_find_doc(a, &a->docs[i].named[n]);
            if (other >= 0 && other != (int)i && ((int)i == doc || other == doc)) join(a, (int)i, other);
        }
}

void auditor_cancel_line(auditor *a, financing *f, fin_line *line)
{
    kh_notice *n = auditor_notice(a, KH_NOTICE_LINE_CANCELLED, f->bank);
    n->financing = f->id;
    n->has_financing = n->has_key = 1;
    n->key = line->key;
    n->moved = line->amount;
    f->amount -= line->allocated;
    line->allocated = line->remaining = line->amount = 0;
    f->version++;
    if (f->amount == 0) {
        f->state = KH_FIN_LAPSED;
        f->deadline = 0;
    }
    auditor_add_up(a);
    n->state = (uint8_t)f->state;
    n->version = f->version;
    n->amount = f->amount;
}

void auditor_amended(auditor *a, int doc, int bal)
{
    for (uint32_t i = a->fin_cnt; i-- > 0 && auditor_over(a, doc, bal);) {
        financing *f = &a->fins[i];
        for (uint32_t j = f->line_cnt; j-- > 0 && auditor_over(a, doc, bal);)
            if (f->state == KH_FIN_APPLIED && f->lines[j].doc == doc && f->lines[j].bal == bal && f->lines[j].amount > 0)
                auditor_cancel_line(a, f, &f->lines[j]);
    }
}

void auditor_revoked(auditor *a, int doc)
{
    auditor_alert(a, doc, -1, KH_NOTICE_REVOKED);
    for (uint32_t i = a->fin_cnt; i-- > 0;) {
        financing *f = &a->fins[i];
        for (uint32_t j = f->line_cnt; j-- > 0;)
            if (auditor_is_held(f->state) && f->lines[j].doc == doc && f->lines[j].amount > 0)
                auditor_cancel_line(a, f, &f->lines[j]);
    }
}
