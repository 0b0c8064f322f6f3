/* financing: rows of financings and their lines: finding, changing with the running check kept, opening and closing lines. */
#include "ledger/machine.h"

uint64_t kh_fin_check(const kh_ledger *l, const kh_fin *f)
{
    return kh_mix(kh_mix(f->id ^ l->secret[1], (uint64_t)f->bank << 32 | f->version), f->amount ^ (uint64_t)f->state << 56);
}

void kh_fin_set(kh_ledger *l, uint32_t fin, kh_fin_state state, uint64_t amount, bool raise)
{
    kh_fin *f = &l->fin[fin];
    bool was_open = kh_fin_is_open((kh_fin_state)f->state), is_open = kh_fin_is_open(state);
    uint64_t before = f->version != 0 ? kh_fin_check(l, f) : 0;
    if (was_open != is_open) l->head->open_financings += is_open ? UINT64_C(1) : UINT64_MAX;
    f->state = (uint8_t)state;
    f->amount = amount;
    f->version += raise;
    l->head->check += kh_fin_check(l, f) - before;
}

/* What remains of the line's allocation, converted at its own rate and rounded up. A part of what once converted converts. */
uint64_t kh_line_amount(const kh_ledger *l, const kh_line *line)
{
    uint64_t amount = 0;
    bool ok = kh_rates_convert(l, line->rate, line->allocated - line->repaid, &amount);
    KH_ASSERT(ok);
    return amount;
}

void kh_line_open(kh_ledger *l, uint32_t line)
{
    kh_line *row = &l->line[line];
    kh_active *a = &l->active[row->active];
    row->prev = 0;
    row->next = a->lines;
    if (row->next != 0) l->line[row->next].prev = line;
    a->lines = line;
    a->line_cnt++;
    row->open = 1;
    l->head->open_lines++;
}

void kh_line_close(kh_ledger *l, uint32_t line)
{
    kh_line *row = &l->line[line];
    kh_active *a = &l->active[row->active];
    if (!row->open) return;
    if (row->prev != 0) l->line[row->prev].next = row->next;
    else a->lines = row->next;
    if (row->next != 0) l->line[row->next].prev = row->prev;
    row->open = 0;
    row->next = row->prev = 0;
    a->line_cnt--;
    l->head->open_lines--;
}

void kh_fin_release(kh_ledger *l, uint32_t fin)
{
    const kh_fin *f = &l->fin[fin];
    for (uint32_t i = 0; i <= f->last_line; i++) {
        kh_line *line = &l->line[f->first_line + i];
        if (!line->open) continue;
        kh_balance_move(l, line->active, f->bank, -(int64_t)kh_line_amount(l, line), 0, 0);
        kh_line_close(l, f->first_line + i);
    }
}

void kh_fin_refresh_limits(kh_ledger *l, uint32_t fin)
{
    const kh_fin *f = &l->fin[fin];
    for (uint32_t i = 0; i <= f->last_line; i++) {
        uint32_t active = l->line[f->first_line + i].active;
        if (kh_rec(l, l->active[active].record)->quad.flags & KH_REC_OVER_LIMIT) kh_limit_refresh(l, active, false);
    }
}

static uint64_t standing_amount(const kh_ledger *l, const kh_line *line) { return line->open ? kh_line_amount(l, line) : 0; }

uint32_t kh_fin_receipt_lines(kh_ledger *l, const kh_fin *f)
{
    for (uint32_t i = 0; i <= f->last_line; i++) {
        const kh_line *line = &l->line[f->first_line + i];
        const kh_record *rec = kh_rec(l, l->active[line->active].record);
        l->receipt_lines[i] = (kh_receipt_line){
            .key = rec->key, .currency = rec->currency, .amount = standing_amount(l, line), .allocated = line->allocated};
    }
    return (uint32_t)f->last_line + 1;
}

/* The operation's own bytes without its sequence (bytes 16 to 23 of the frame), which its sender is free to change. */
uint64_t kh_frame_digest(kh_frame frame)
{
    uint64_t digest = kh_mix(kh_xxh3(frame.p, 16), kh_xxh3(frame.p + 24, frame.n - 24));
    return digest == 0 ? 1 : digest;
}

/* ---- reading ---- */

static void view(const kh_ledger *l, const kh_fin *f, kh_fin_view *ret)
{
    kh_text product = kh_texts_get(l, f->product);
    *ret = (kh_fin_view){.bank = f->bank,
                         .enterprise = f->enterprise,
                         .id = f->id,
                         .state = (kh_fin_state)f->state,
                         .version = f->version,
                         .currency = f->currency,
                         .amount = f->amount,
                         .deadline_ns = f->deadline_ns,
                         .line_cnt = (uint32_t)f->last_line + 1,
                         .last = kh_place_unpack(f->last)};
    if (product.n != 0) memcpy(ret->product, product.p, product.n);
    for (uint32_t i = 0; i < ret->line_cnt; i++) {
        const kh_line *line = &l->line[f->first_line + i];
        const kh_record *rec = kh_rec(l, l->active[line->active].record);
        ret->lines[i] = (kh_fin_line_view){
            .key = rec->key, .currency = rec->currency, .amount = standing_amount(l, line), .allocated = line->allocated};
        ret->repaid += line->repaid;
    }
}

bool kh_ledger_financing(const kh_ledger *l, uint32_t bank, uint64_t id, kh_fin_view *ret)
{
    uint32_t row = kh_fins_find(l, bank, id);
    if (row != 0) view(l, &l->fin[row], ret);
    return row != 0;
}

bool kh_ledger_financing_next(const kh_ledger *l, uint64_t *cursor, kh_fin_view *ret)
{
    if (*cursor >= l->state->regions[KH_R_FIN].row_cnt - 1) return false; /* row 0 is none */
    view(l, &l->fin[++*cursor], ret);
    return true;
}

uint32_t kh_ledger_credit_walk(const kh_ledger *l, uint64_t *cursor, uint32_t rows, uint32_t enterprise, kh_credit_item ret[],
                               uint32_t max)
{
    uint64_t cnt = l->state->regions[KH_R_FIN].row_cnt, at = *cursor + 1, end = kh_min64(cnt, at + rows);
    uint32_t n = 0;
    for (; at < end && n < max; at++) {
        const kh_fin *f = &l->fin[at];
        if (f->enterprise != enterprise) continue;
        ret[n] = (kh_credit_item){.currency = f->currency, .state = (kh_fin_state)f->state, .amount = f->amount};
        for (uint32_t i = 0; i <= f->last_line; i++) ret[n].repaid += l->line[f->first_line + i].repaid;
        n++;
    }
    *cursor = at >= cnt ? KH_WALK_END : at - 1;
    return n;
}
