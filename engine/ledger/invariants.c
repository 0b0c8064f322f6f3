/* invariants: a walk over everything that checks what must always be true: balances within their caps or flagged, totals equal to
 * their banks' parts and to their open lines, counters and the running check equal to what the rows say. */
#include "ledger/machine.h"

static const char *check_shares(const kh_ledger *l, const kh_active *a)
{
    uint32_t banks[KH_DOC_BANKS_MAX + 1], n = kh_balance_banks(l, a, banks);
    kh_parts sum = {0, 0, 0};
    for (uint32_t i = 0; i < n; i++) {
        kh_parts p = kh_balance_share(l, a, banks[i]);
        sum.held += p.held;
        sum.used += p.used;
        sum.consumed += p.consumed;
    }
    if (n != a->bank_cnt) return "a balance counts other banks than it has";
    if (sum.held != a->held || sum.used != a->used || sum.consumed != a->consumed)
        return "a balance is not the sum of its banks' parts";
    return NULL;
}

static const char *check_lines(const kh_ledger *l, uint32_t active)
{
    const kh_active *a = &l->active[active];
    uint64_t held = 0, used = 0;
    uint32_t cnt = 0, prev = 0;
    for (uint32_t at = a->lines; at != 0; prev = at, at = l->line[at].next, cnt++) {
        const kh_line *line = &l->line[at];
        kh_fin_state state = (kh_fin_state)l->fin[line->fin].state;
        if (line->active != active || line->prev != prev || !line->open) return "an open line stands in another balance's list";
        if (!kh_fin_is_open(state)) return "a financing that ended has an open line";
        *(kh_fin_holds(state) ? &held : &used) += kh_line_amount(l, line);
        if (cnt > KH_DOC_LINES_MAX) return "a balance's list of lines does not end";
    }
    if (cnt != a->line_cnt) return "a balance counts other lines than it has";
    if (held != a->held || used != a->used) return "held or used is not the sum of the open lines";
    return NULL;
}

static const char *check_balance(const kh_ledger *l, uint32_t record)
{
    const kh_record *rec = kh_rec(l, record);
    uint32_t active = l->cold[rec->cold].active;
    const kh_active *a = &l->active[active];
    bool over = rec->quad.taken > rec->cap, grouped = active != 0 && a->group != 0;
    const char *broken = NULL;
    if (grouped) over |= kh_group_exposure(l, &l->group[a->group], false) > kh_group_cap(l, &l->group[a->group]);
    if (over != ((rec->quad.flags & KH_REC_OVER_LIMIT) != 0)) return "OVER_LIMIT does not say whether a balance is over its cap";
    if (grouped != ((rec->quad.flags & KH_REC_GROUP) != 0)) return "a record's group flag is wrong";
    if (active == 0) return rec->quad.taken == 0 ? NULL : "a balance that nobody has is taken";
    if (a->record != record) return "an active row names another record";
    if (rec->quad.taken != a->held + a->used + a->consumed) return "taken is not held + used + consumed";
    broken = check_shares(l, a);
    return broken != NULL ? broken : check_lines(l, active);
}

static const char *check_group(const kh_ledger *l, uint32_t group)
{
    const kh_group *g = &l->group[group];
    if (g->cnt > KH_GROUP_MAX) return "a link group has too many members";
    for (uint32_t i = 0; i < g->cnt; i++)
        if (l->active[g->members[i]].group != group) return "a member of a link group names another group";
    return NULL;
}

typedef struct sums {
    uint64_t documents, balances, aliases, check;
} sums;

static const char *walk_records(const kh_ledger *l, sums *s)
{
    uint64_t cnt = l->state->regions[KH_REGION_INDEX_RECORDS].row_cnt;
    for (uint64_t at = 0; at < cnt; at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->cold == 0 || kh_index_find(l->index, &rec->key) != at) continue;
        if (rec->quad.flags & KH_REC_ALIAS) {
            s->aliases++;
            s->check += kh_record_check(l, rec);
            continue;
        }
        s->documents++;
        if (l->cold[rec->cold].version == 0) return "a document has no version";
        for (uint32_t one = (uint32_t)at; one != KH_RECORD_NONE; one = kh_rec(l, one)->next) {
            const char *broken = check_balance(l, one);
            if (broken != NULL) return broken;
            s->balances++;
            s->check += kh_record_check(l, kh_rec(l, one));
            if (kh_rec(l, one)->quad.status != rec->quad.status) return "a document's balances have different statuses";
        }
    }
    return NULL;
}

static const char *walk_financings(const kh_ledger *l, uint64_t *check)
{
    uint64_t open = 0, lines = 0, placed = 0, cnt = l->state->regions[KH_R_FIN].row_cnt;
    for (uint64_t at = 1; at < cnt; at++) {
        const kh_fin *f = &l->fin[at];
        uint64_t sum = 0, own_open = 0;
        for (uint32_t i = 0; i <= f->last_line; i++) {
            const kh_line *line = &l->line[f->first_line + i];
            if (line->fin != at || line->repaid > line->allocated)
                return "a line is not its financing's, or is repaid beyond its part";
            sum += line->allocated;
            own_open += line->open;
        }
        bool is_open = kh_fin_is_open((kh_fin_state)f->state);
        if (sum != f->amount) return "a financing's amount is not the sum of its lines";
        if (is_open != (own_open != 0)) return "a financing that is open has no open line, or the other way round";
        if (f->deadline_ns != 0 && !kh_fin_holds((kh_fin_state)f->state))
            return "a deadline stands for a financing that holds nothing";
        if (kh_fins_find(l, f->bank, f->id) != at) return "a financing is not found under its id";
        if (f->apply_place <= placed) return "financings' rows are not in the order of the log";
        placed = f->apply_place;
        bool gone = l->party[kh_parties_find(l, f->bank)].frozen == KH_PARTY_EXPELLED;
        if (gone && kh_fin_holds((kh_fin_state)f->state) && (l->head->expelled_at == 0 || at < l->head->expelled_at))
            return "who was expelled holds something";
        open += is_open;
        lines += own_open;
        *check += kh_fin_check(l, f);
    }
    if (open != l->head->open_financings || lines != l->head->open_lines || cnt - 1 != l->head->financings)
        return "counters of financings are wrong";
    return NULL;
}

const char *kh_ledger_verify_invariants(const kh_ledger *l)
{
    sums s = {0, 0, 0, 0};
    const char *broken = walk_records(l, &s);
    if (broken == NULL) broken = walk_financings(l, &s.check);
    if (broken == NULL) broken = kh_grants_invariants(l, &s.check);
    if (broken == NULL) broken = kh_risks_invariants(l, &s.check);
    for (uint32_t g = 1; broken == NULL && g < l->state->regions[KH_R_GROUP].row_cnt; g++) broken = check_group(l, g);
    if (broken != NULL) return broken;
    if (s.documents != l->head->documents || s.balances != l->head->balances || s.aliases != l->head->aliases)
        return "counters of documents are wrong";
    return s.check == l->head->check ? NULL : "the running check is not that of the rows";
}
