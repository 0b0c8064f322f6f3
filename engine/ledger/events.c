/* events: what a bank reports of its financing: accept, approve, reject, withdraw, disburse, repay, reverse. Checked first, as a
 * whole; then the lines move; then the receipt; then flags that fell are told. */
#include "ledger/machine.h"

typedef struct parts {
    uint64_t of[KH_LINES_MAX];
} parts;

static bool needs_reason(kh_event e) { return e == KH_EV_REJECT || e == KH_EV_WITHDRAW; }
static bool moves_money(kh_event e) { return e == KH_EV_DISBURSE || e == KH_EV_REPAY; }

static bool well_formed(const kh_op_event *e)
{
    if (e->event < KH_EV_ACCEPT || e->event > KH_EV_REVERSE || e->source > KH_SRC_OWN_FUNDS || e->reason >= KH_REASON_CNT)
        return false;
    if (needs_reason((kh_event)e->event) && (e->reason == KH_REASON_NONE || e->reason == KH_REASON_LAPSED)) return false;
    return e->line_cnt == 0 || (moves_money((kh_event)e->event) && e->line_cnt <= KH_LINES_MAX);
}

/* What a line can still give: before disbursing all of it, then what is owed. */
static uint64_t left_of(const kh_line *line) { return line->open ? line->allocated - line->repaid : 0; }

/* The financing's line that an allotment names. */
static kh_code find_line(const kh_ledger *l, const kh_fin *f, const kh_op_line *said, uint32_t *ret)
{
    kh_key key;
    uint32_t found = 0, at = 0;
    if (kh_identity_follow(l, &said->key, &key) == KH_RECORD_NONE) return KH_C_NOT_FOUND;
    for (uint32_t i = 0; i <= f->last_line; i++) {
        const kh_record *rec = kh_rec(l, l->active[l->line[f->first_line + i].active].record);
        if (!kh_key_equal(&rec->key, &key) || (said->currency != 0 && said->currency != rec->currency)) continue;
        found++;
        at = i;
    }
    if (found != 1) return found == 0 ? KH_C_NOT_FOUND : KH_C_FORMAT;
    *ret = at;
    return KH_C_OK;
}

static kh_code allot(const kh_ledger *l, const kh_fin *f, const kh_op_event *e, uint64_t *ret_amount, parts *ret)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < e->line_cnt; i++) {
        uint32_t at;
        kh_code code = find_line(l, f, &e->lines[i], &at);
        if (code != KH_C_OK) return code;
        uint64_t part = e->lines[i].allocated;
        if (part == KH_AMOUNT_NONE || ret->of[at] != 0) return KH_C_FORMAT;
        if (part == 0 || part > left_of(&l->line[f->first_line + at])) return KH_C_BAD_STATE;
        ret->of[at] = part;
        sum += part;
    }
    if (e->amount != KH_AMOUNT_NONE && e->amount != sum) return KH_C_FORMAT;
    *ret_amount = sum;
    return KH_C_OK;
}

/* Divides the event's amount over the lines: as the call allots it, else in the order of the request, each down to zero. */
static kh_code divide(const kh_ledger *l, const kh_fin *f, const kh_op_event *e, uint64_t *ret_amount, parts *ret)
{
    uint64_t all = 0;
    memset(ret->of, 0, ((size_t)f->last_line + 1) * sizeof ret->of[0]);
    for (uint32_t i = 0; i <= f->last_line; i++) all += left_of(&l->line[f->first_line + i]);
    if (e->line_cnt != 0) return allot(l, f, e, ret_amount, ret);
    uint64_t amount = e->amount == KH_AMOUNT_NONE ? all : e->amount, rest = amount;
    if (amount == 0 || amount > all) return KH_C_BAD_STATE;
    for (uint32_t i = 0; i <= f->last_line; i++) {
        ret->of[i] = kh_min64(rest, left_of(&l->line[f->first_line + i]));
        rest -= ret->of[i];
    }
    *ret_amount = amount;
    return KH_C_OK;
}

static uint64_t converted(const kh_ledger *l, const kh_line *line, uint64_t amount)
{
    uint64_t ret = 0;
    bool ok = kh_rates_convert(l, line->rate, amount, &ret);
    KH_ASSERT(ok);
    return ret;
}

/* A disbursement may not bring used + consumed above a cap, nor the group's above the group's cap; nor use a frozen document. */
static kh_code may_disburse(const kh_ledger *l, const kh_fin *f, const parts *p)
{
    for (uint32_t i = 0; i <= f->last_line; i++) {
        const kh_line *line = &l->line[f->first_line + i];
        if (p->of[i] == 0) continue;
        const kh_active *a = &l->active[line->active];
        const kh_record *rec = kh_rec(l, a->record);
        if (rec->quad.flags & KH_REC_FROZEN) return kh_status_code((kh_status)rec->quad.status);
        if ((rec->quad.flags & KH_REC_OVER_LIMIT) == 0) continue;
        if (a->used + a->consumed + converted(l, line, p->of[i]) > rec->cap) return KH_C_INSUFFICIENT;
        if (a->group == 0) continue;
        unsigned __int128 sum = kh_group_exposure(l, &l->group[a->group], true);
        for (uint32_t k = 0; k <= f->last_line; k++) {
            const kh_line *other = &l->line[f->first_line + k];
            if (p->of[k] != 0 && l->active[other->active].group == a->group) sum += converted(l, other, p->of[k]);
        }
        if (sum > kh_group_cap(l, &l->group[a->group])) return KH_C_INSUFFICIENT;
    }
    return KH_C_OK;
}

static void disburse(kh_ledger *l, kh_fin *f, const parts *p)
{
    for (uint32_t i = 0; i <= f->last_line; i++) {
        kh_line *line = &l->line[f->first_line + i];
        if (!line->open) continue;
        uint64_t held = kh_line_amount(l, line);
        line->allocated = p->of[i];
        kh_balance_move(l, line->active, f->bank, -(int64_t)held, (int64_t)kh_line_amount(l, line), 0);
        if (line->allocated == 0) kh_line_close(l, f->first_line + i);
    }
}

static void repay(kh_ledger *l, kh_fin *f, const parts *p, bool gives_back)
{
    for (uint32_t i = 0; i <= f->last_line; i++) {
        kh_line *line = &l->line[f->first_line + i];
        if (p->of[i] == 0) continue;
        uint64_t before = kh_line_amount(l, line);
        line->repaid += p->of[i];
        int64_t moved = (int64_t)(before - kh_line_amount(l, line));
        kh_balance_move(l, line->active, f->bank, 0, -moved, gives_back ? 0 : moved);
        if (line->repaid == line->allocated) kh_line_close(l, f->first_line + i);
    }
}

static void reverse(kh_ledger *l, kh_fin *f)
{
    for (uint32_t i = 0; i <= f->last_line; i++) {
        kh_line *line = &l->line[f->first_line + i];
        if (!line->open) continue;
        kh_balance_move(l, line->active, f->bank, 0, -(int64_t)kh_line_amount(l, line), 0);
        kh_line_close(l, f->first_line + i);
    }
}

static bool all_repaid(const kh_ledger *l, const kh_fin *f)
{
    for (uint32_t i = 0; i <= f->last_line; i++)
        if (l->line[f->first_line + i].open) return false;
    return true;
}

static kh_code check(const kh_ledger *l, const kh_op *op, const kh_fin *f, uint64_t *ret_amount, parts *p)
{
    const kh_op_event *e = &op->event;
    if (!well_formed(e)) return KH_C_FORMAT;
    if (e->event == KH_EV_ACCEPT || e->event == KH_EV_APPROVE || e->event == KH_EV_DISBURSE) {
        if (l->party[l->speaker].frozen || l->party[kh_ahead_party(l, f->enterprise)].frozen) return KH_C_FROZEN;
    }
    if (e->has_expect && e->expect != f->version) return KH_C_BAD_STATE;
    if (kh_move_to(f->state, (kh_event)e->event) == KH_FIN_NONE) return KH_C_BAD_STATE;
    if (!moves_money((kh_event)e->event)) return KH_C_OK;
    kh_code code = divide(l, f, e, ret_amount, p);
    return code != KH_C_OK || e->event == KH_EV_REPAY ? code : may_disburse(l, f, p);
}

static void act(kh_ledger *l, uint32_t fin, const kh_op_event *e, uint64_t amount, const parts *p)
{
    kh_fin *f = &l->fin[fin];
    kh_fin_state state = kh_move_to(f->state, (kh_event)e->event);
    bool gives_back = e->source == KH_SRC_OWN_FUNDS && l->head->rules[KH_RULE_RESTORE].value != 0;
    uint64_t after = e->event == KH_EV_DISBURSE ? amount : f->amount;
    if (e->event != KH_EV_APPROVE) kh_expiry_take(l, fin);
    switch (e->event) {
    case KH_EV_ACCEPT: kh_expiry_put(l, fin, l->head->queue_accepted, l->head->rules[KH_RULE_TTL_ACCEPTED].value); break;
    case KH_EV_REJECT:
    case KH_EV_WITHDRAW: kh_fin_release(l, fin); break;
    case KH_EV_DISBURSE: disburse(l, f, p); break;
    case KH_EV_REPAY:
        repay(l, f, p, gives_back);
        if (all_repaid(l, f)) state = KH_FIN_SETTLED;
        break;
    case KH_EV_REVERSE: reverse(l, f); break;
    default: break;
    }
    kh_fin_set(l, fin, state, after, true);
}

void kh_fin_event(kh_ledger *l, const kh_op *op, kh_frame frame)
{
    const kh_op_event *e = &op->event;
    uint32_t fin = l->now->fin != 0 ? l->now->fin : kh_fins_find_hashed(l, l->now->fin_hash, op->party, e->id);
    kh_receipt receipt = {.type = KH_OP_EVENT, .party = op->party, .sequence = op->sequence};
    kh_outcome_begin(l);
    kh_touch_party(l, op->party);
    kh_fin *f = &l->fin[fin];
    uint64_t digest = kh_frame_digest(frame), amount = 0;
    if (fin != 0 && e->has_expect && f->event_digest == digest) {
        kh_place first = kh_place_unpack(f->event_place);
        receipt.ref_height = first.height;
        receipt.ref_index = first.index;
        kh_emit_receipt(l, &receipt);
        return;
    }
    receipt.event = e->event;
    receipt.reason = e->reason;
    receipt.source = e->source;
    receipt.financing = e->id;
    if (fin == 0) {
        receipt.code = KH_C_NOT_FOUND;
        kh_emit_receipt(l, &receipt);
        return;
    }
    parts p;
    receipt.code = check(l, op, f, &amount, &p);
    if (receipt.code == KH_C_OK) {
        act(l, fin, e, amount, &p);
        f->event_digest = digest;
        f->event_place = l->here;
        receipt.moved = e->event == KH_EV_REVERSE ? f->amount : amount;
    }
    receipt.state = f->state;
    receipt.version = f->version;
    receipt.amount = f->amount;
    receipt.currency = f->currency;
    receipt.enterprise = f->enterprise;
    receipt.line_cnt = kh_fin_receipt_lines(l, f);
    receipt.lines = l->receipt_lines;
    kh_touch_fin(l, fin);
    for (uint32_t i = 0; i <= f->last_line; i++) kh_touch_document(l, l->active[l->line[f->first_line + i].active].record);
    kh_emit_receipt(l, &receipt);
    if (receipt.code == KH_C_OK) kh_fin_refresh_limits(l, fin);
}
