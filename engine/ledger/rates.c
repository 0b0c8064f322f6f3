/* rates: exchange rates by pair and date, and conversion by one of them. Rows are kept for ever: lines name them. */
#include "ledger/machine.h"

/* The newest row of a pair; pairs are a short list. */
static uint32_t pair_find(const kh_ledger *l, kh_currency from, kh_currency to)
{
    uint32_t row = l->head->rate_pairs;
    while (row != 0 && (l->rate[row].from != from || l->rate[row].to != to)) row = l->rate[row].pair_next;
    return row;
}

kh_code kh_rates_set(kh_ledger *l, const kh_op_rate_set *op)
{
    if (!kh_currency_known(op->from) || !kh_currency_known(op->to) || op->from == op->to || op->rate.mantissa == 0 ||
        op->rate.scale > 12 || op->rate.mantissa > KH_AMOUNT_MAX || op->date == 0 || op->source.n > KH_RULE_TEXT_MAX)
        return KH_C_FORMAT;
    if (!kh_rows_left(l, KH_R_RATE, 1) || !kh_texts_room(l, op->source.n)) return KH_C_CAPACITY;
    uint32_t head = pair_find(l, op->from, op->to), row = kh_rows_take(l, KH_R_RATE);
    kh_rate_row *r = &l->rate[row];
    *r = (kh_rate_row){.mantissa = op->rate.mantissa,
                       .scale = op->rate.scale,
                       .from = op->from,
                       .to = op->to,
                       .date = op->date,
                       .source = kh_texts_intern(l, op->source)};
    /* The list of a pair is by falling date; its first row stands in the list of pairs. */
    if (head == 0) {
        r->pair_next = l->head->rate_pairs;
        l->head->rate_pairs = row;
        return KH_C_OK;
    }
    if (l->rate[head].date <= op->date) {
        uint32_t *at = &l->head->rate_pairs;
        while (*at != head) at = &l->rate[*at].pair_next;
        *at = row;
        r->pair_next = l->rate[head].pair_next;
        r->next = head;
        l->rate[head].pair_next = 0;
        l->rate[head].replaced = l->rate[head].date == op->date;
        return KH_C_OK;
    }
    uint32_t before = head;
    while (l->rate[before].next != 0 && l->rate[l->rate[before].next].date > op->date) before = l->rate[before].next;
    r->next = l->rate[before].next;
    l->rate[before].next = row;
    if (r->next != 0) l->rate[r->next].replaced |= l->rate[r->next].date == op->date;
    return KH_C_OK;
}

uint32_t kh_rates_find(const kh_ledger *l, kh_currency from, kh_currency to, kh_date today)
{
    uint32_t row = pair_find(l, from, to);
    while (row != 0 && l->rate[row].date > today) row = l->rate[row].next;
    return row;
}

bool kh_rates_convert_by(const kh_ledger *l, uint32_t rate, uint64_t amount, uint64_t *ret)
{
    const kh_rate_row *r = &l->rate[rate];
    return kh_convert_up(amount, r->from, r->to, (kh_rate){r->mantissa, r->scale}, ret);
}

bool kh_ledger_rate_next(const kh_ledger *l, uint64_t *cursor, kh_op_rate_set *ret)
{
    uint64_t row = *cursor + 1;
    while (row < l->state->regions[KH_R_RATE].row_cnt && l->rate[row].replaced) row++;
    *cursor = row;
    if (row >= l->state->regions[KH_R_RATE].row_cnt) return false;
    const kh_rate_row *r = &l->rate[row];
    *ret = (kh_op_rate_set){r->from, r->to, {r->mantissa, r->scale}, r->date, kh_texts_get(l, r->source)};
    return true;
}
