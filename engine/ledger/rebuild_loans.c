/* rebuild_loans: financings from their leaves. They come by bank and id, and stand in the order of the log, which their
 * applications' places give: an order in which holds of who was expelled are looked at, lines are cancelled and pages go. So
 * rows and lines are read first; behind the last leaf the rows are put in that order, and lines, rates, deadlines are tied. */
#include "ledger/rebuild.h"

/* Which rate a line has: until it is looked for, what it says stands in the line as 64 bits under this ledger's secret. */
static uint64_t rate_mark(const kh_ledger *l, const kh_rate_row *row)
{
    uint64_t words[4] = {(uint64_t)row->from << 32 | (uint64_t)row->to << 16 | row->date, row->mantissa,
                         (uint64_t)row->scale << 8 | row->replaced, row->source};
    return kh_keyed_hash(l, words, sizeof words);
}

static void read_rate(kh_rebuild *r, kh_line *line)
{
    char buf[KH_REBUILD_TEXT_MAX];
    kh_op_rate_set op;
    bool replaced;
    kh_rebuild_rate(r, &op, &replaced, buf);
    const kh_rate_row row = {.mantissa = op.rate.mantissa,
                             .source = kh_texts_find(r->l, op.source),
                             .from = op.from,
                             .to = op.to,
                             .date = op.date,
                             .scale = op.rate.scale,
                             .replaced = replaced};
    uint64_t mark = rate_mark(r->l, &row);
    line->rate = 1;
    line->next = (uint32_t)mark;
    line->prev = (uint32_t)(mark >> 32);
}

static void read_line(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    kh_key key = kh_rebuild_key(r);
    uint64_t currency = kh_rebuild_up_to(r, UINT16_MAX);
    kh_line line = {.allocated = kh_rebuild_number(r)};
    line.repaid = kh_rebuild_number(r);
    line.open = (uint8_t)kh_rebuild_up_to(r, 1);
    if (kh_rebuild_up_to(r, 1) != 0) read_rate(r, &line);
    if (!kh_rebuild_rows(r, KH_R_LINE, 1) || !kh_rebuild_rows(r, KH_R_ACTIVE, 1)) return;
    uint32_t record = kh_rebuild_balance(l, &key, currency);
    if (record == KH_RECORD_NONE) {
        kh_rebuild_refuse(r, "a line names a balance that is not there");
        return;
    }
    line.active = kh_balance_active(l, record);
    l->line[kh_rows_take(l, KH_R_LINE)] = line;
}

void kh_rebuild_loan(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    kh_fin f = {.bank = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX)};
    f.id = kh_rebuild_number(r);
    kh_rebuild_order(r, (uint64_t)f.bank + 1, f.id);
    f.enterprise = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX);
    f.amount = kh_rebuild_number(r);
    uint64_t state = kh_rebuild_number(r);
    f.version = (uint32_t)(state >> 32);
    f.currency = (uint16_t)(state >> 16);
    f.state = (uint8_t)(state >> 8);
    f.last_line = (uint8_t)state;
    if (f.version == 0 || f.state == KH_FIN_NONE || f.state >= KH_FIN_STATE_CNT) kh_rebuild_refuse(r, "a financing of no state");
    f.product = kh_rebuild_intern(r, KH_PRODUCT_MAX);
    f.deadline_ns = kh_rebuild_number(r);
    f.queue_stamp = (uint32_t)kh_rebuild_up_to(r, f.deadline_ns != 0 ? UINT32_MAX : 0);
    f.last = kh_rebuild_number(r);
    f.apply_place = kh_rebuild_number(r);
    f.apply_digest = kh_rebuild_number(r);
    f.event_place = kh_rebuild_number(r);
    f.event_digest = kh_rebuild_number(r);
    f.first_line = (uint32_t)l->state->regions[KH_R_LINE].row_cnt;
    for (uint32_t i = 0; i <= f.last_line && kh_rebuild_sound(r); i++) read_line(r);
    if (kh_rebuild_rows(r, KH_R_FIN, 1)) l->fin[kh_rows_take(l, KH_R_FIN)] = f;
}

/* ---- behind the last leaf ---- */

/* items[i].row: which row is to stand at i + 1. Each circle of rows moves on by one. */
static void rearrange(kh_ledger *l, kh_sorted *items, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const kh_fin first = l->fin[i + 1];
        uint64_t at = i;
        while (items[at].row != i + 1) {
            uint64_t from = items[at].row - 1;
            l->fin[at + 1] = l->fin[from + 1];
            items[at].row = at + 1;
            at = from;
        }
        l->fin[at + 1] = first;
        items[at].row = at + 1;
    }
}

static void order_financings(kh_rebuild *r, kh_sorted *items, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) items[i] = (kh_sorted){r->l->fin[i + 1].apply_place, 0, i + 1};
    kh_sorted_sort(items, n);
    for (uint64_t i = 1; i < n; i++)
        if (items[i].high == items[i - 1].high) kh_rebuild_refuse(r, "two financings have one place in the log");
    if (kh_rebuild_sound(r)) rearrange(r->l, items, n);
}

/* A line's mark becomes the number of its rate. Of equal rates any will do. */
static void tie_rates(kh_rebuild *r, kh_sorted *items)
{
    kh_ledger *l = r->l;
    uint64_t rates = l->state->regions[KH_R_RATE].row_cnt - 1, lines = l->state->regions[KH_R_LINE].row_cnt;
    for (uint64_t i = 0; i < rates; i++) items[i] = (kh_sorted){rate_mark(l, &l->rate[i + 1]), 0, i + 1};
    kh_sorted_sort(items, rates);
    for (uint64_t at = 1; at < lines; at++) {
        kh_line *line = &l->line[at];
        uint64_t mark = (uint64_t)line->prev << 32 | line->next, low = 0, high = rates;
        if (line->rate == 0) continue;
        while (low < high) {
            uint64_t middle = (low + high) / 2;
            if (items[middle].high < mark) low = middle + 1;
            else high = middle;
        }
        if (low == rates || items[low].high != mark) {
            kh_rebuild_refuse(r, "a line has a rate that was never set");
            return;
        }
        line->rate = (uint32_t)items[low].row;
        line->next = line->prev = 0;
    }
}

static void tie_lines(kh_rebuild *r, uint32_t fin)
{
    kh_ledger *l = r->l;
    const kh_fin *f = &l->fin[fin];
    for (uint32_t at = f->first_line; at <= f->first_line + f->last_line && kh_rebuild_sound(r); at++) {
        l->line[at].fin = fin;
        if (!l->line[at].open) continue;
        if (l->active[l->line[at].active].line_cnt >= KH_DOC_LINES_MAX)
            kh_rebuild_refuse(r, "a balance has more lines than it can");
        else kh_line_open(l, at); /* in the order of the log: the newest stands first */
    }
}

static void tie_financings(kh_rebuild *r, uint64_t n)
{
    kh_ledger *l = r->l;
    for (uint32_t fin = 1; fin <= n && kh_rebuild_sound(r); fin++) {
        const kh_fin *f = &l->fin[fin];
        tie_lines(r, fin);
        kh_fins_add(l, kh_fins_hash(l, f->bank, f->id), fin);
        l->head->financings++;
        l->head->open_financings += kh_fin_is_open((kh_fin_state)f->state);
        l->head->check += kh_fin_check(l, f);
    }
}

/* All deadlines stand in one queue of their own, by deadline, then in the order in which they were set: new ones need not be
 * behind them. */
static void queue_deadlines(kh_rebuild *r, kh_sorted *items, uint64_t n)
{
    kh_ledger *l = r->l;
    uint64_t cnt = 0;
    for (uint64_t fin = 1; fin <= n; fin++) {
        uint32_t age = l->fin[fin].queue_stamp - l->head->queue_stamp; /* stamps go round; all lie before the next */
        if (l->fin[fin].deadline_ns != 0) items[cnt++] = (kh_sorted){l->fin[fin].deadline_ns, age, fin};
    }
    if (cnt == 0 || !kh_rebuild_rows(r, KH_R_QUEUE, 1)) return;
    kh_sorted_sort(items, cnt);
    uint32_t queue = kh_rows_take(l, KH_R_QUEUE);
    l->queue[queue].used = 1;
    for (uint64_t i = 0; i < cnt; i++) kh_expiry_append(l, (uint32_t)items[i].row, queue);
}

void kh_rebuild_settle(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    uint64_t n = l->state->regions[KH_R_FIN].row_cnt - 1, most = kh_max64(n, l->state->regions[KH_R_RATE].row_cnt);
    kh_sorted *items = r->from->lend(r->from->ctx, (size_t)most * sizeof *items);
    if (items == NULL) {
        kh_rebuild_refuse(r, "there is no memory for it");
        r->err = KH_E_NOMEM;
        return;
    }
    if (r->expelled_looks > n + 1) kh_rebuild_refuse(r, "more financings were looked at than there are");
    l->head->expelled_at = (uint32_t)r->expelled_looks;
    order_financings(r, items, n);
    if (kh_rebuild_sound(r)) tie_rates(r, items);
    if (kh_rebuild_sound(r)) tie_financings(r, n);
    if (kh_rebuild_sound(r)) queue_deadlines(r, items, n);
}
