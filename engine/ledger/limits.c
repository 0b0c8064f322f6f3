/* limits: what happens when a cap falls below what is taken: lines of APPLIED financings are cancelled, newest first; if that is
 * not enough the balance (or every member of its link group) is flagged OVER_LIMIT until it fits again; banks are told their own
 * part. */
#include "ledger/machine.h"

static kh_notice about(const kh_ledger *l, uint32_t record, kh_notice_type type)
{
    const kh_record *rec = kh_rec(l, record);
    return (kh_notice){.type = (uint8_t)type, .has_key = 1, .key = rec->key, .currency = rec->currency};
}

static void tell(kh_ledger *l, uint32_t record, kh_notice *n)
{
    kh_outcome_begin(l);
    if (n->party != 0) kh_touch_party(l, n->party);
    kh_touch_document(l, record);
    kh_emit_notice(l, n);
}

/* Each bank that holds or uses a part gets its own; where there is none, the regulator alone is told. */
void kh_limit_alert(kh_ledger *l, uint32_t record, kh_notice_type type)
{
    kh_notice n = about(l, record, type);
    uint32_t active = l->cold[kh_rec(l, record)->cold].active;
    bool told = false;
    if (active != 0) {
        uint32_t banks[KH_DOC_BANKS_MAX + 1], cnt = kh_balance_banks(l, &l->active[active], banks);
        for (uint32_t i = 0; i < cnt; i++) {
            kh_parts part = kh_balance_share(l, &l->active[active], banks[i]);
            if (part.held + part.used == 0) continue;
            n.party = banks[i];
            n.moved = part.held + part.used;
            tell(l, record, &n);
            told = true;
        }
    }
    if (told) return;
    n.party = 0;
    n.moved = 0;
    tell(l, record, &n);
}

static bool own_over(const kh_record *rec) { return rec->quad.taken > rec->cap; }

static bool group_over(const kh_ledger *l, uint32_t group)
{
    return group != 0 && kh_group_exposure(l, &l->group[group], false) > kh_group_cap(l, &l->group[group]);
}

static void set_flag(kh_ledger *l, uint32_t record, bool over, bool alert_again)
{
    kh_record *rec = kh_rec(l, record);
    bool was = (rec->quad.flags & KH_REC_OVER_LIMIT) != 0;
    if (over != was) kh_record_set(l, rec, rec->quad.taken, kh_record_word(rec) ^ kh_word_of_flags(KH_REC_OVER_LIMIT));
    if (over && (!was || alert_again)) kh_limit_alert(l, record, KH_NOTICE_OVER_LIMIT);
    if (was && !over) {
        kh_notice n = about(l, record, KH_NOTICE_WITHIN_LIMIT);
        tell(l, record, &n);
    }
}

void kh_limit_refresh(kh_ledger *l, uint32_t active, bool alert_again)
{
    const kh_active *a = &l->active[active];
    uint32_t group = a->group;
    bool over = group_over(l, group);
    if (group == 0) {
        set_flag(l, a->record, own_over(kh_rec(l, a->record)), alert_again);
        return;
    }
    for (uint32_t i = 0; i < l->group[group].cnt; i++) {
        uint32_t member = l->group[group].members[i], record = l->active[member].record;
        set_flag(l, record, over || own_over(kh_rec(l, record)), alert_again && member == active);
    }
}

static void cancel_line(kh_ledger *l, uint32_t line)
{
    kh_line *row = &l->line[line];
    kh_fin *f = &l->fin[row->fin];
    uint32_t fin = row->fin, active = row->active;
    uint64_t amount = kh_line_amount(l, row), left = f->amount - row->allocated;
    kh_line_close(l, line);
    kh_balance_move(l, active, f->bank, -(int64_t)amount, 0, 0);
    row->allocated = 0;
    kh_fin_state state = left == 0 ? KH_FIN_LAPSED : (kh_fin_state)f->state;
    if (state == KH_FIN_LAPSED) kh_expiry_take(l, fin);
    kh_fin_set(l, fin, state, left, true);
    kh_notice n = about(l, l->active[active].record, KH_NOTICE_LINE_CANCELLED);
    n.party = f->bank;
    n.financing = f->id;
    n.has_financing = 1;
    n.state = f->state;
    n.version = f->version;
    n.amount = f->amount;
    n.moved = amount;
    kh_outcome_begin(l);
    kh_touch_party(l, f->bank);
    kh_touch_fin(l, fin);
    kh_touch_document(l, l->active[active].record);
    kh_emit_notice(l, &n);
}

void kh_limit_lowered(kh_ledger *l, uint32_t active)
{
    const kh_active *a = &l->active[active];
    for (uint32_t line = a->lines, next; line != 0; line = next) {
        next = l->line[line].next;
        if (!own_over(kh_rec(l, a->record)) && !group_over(l, a->group)) break;
        if (l->fin[l->line[line].fin].state == KH_FIN_APPLIED) cancel_line(l, line);
    }
    kh_limit_refresh(l, active, true);
}

void kh_limit_cancel_unpaid(kh_ledger *l, uint32_t active)
{
    for (uint32_t line = l->active[active].lines, next; line != 0; line = next) {
        next = l->line[line].next;
        if (kh_fin_holds((kh_fin_state)l->fin[l->line[line].fin].state)) cancel_line(l, line);
    }
}
