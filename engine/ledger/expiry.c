/* expiry: deadlines by block time. A queue for each kind of time to live and version of its rule, first in first out, so that
 * within one deadlines never fall; what is due goes by deadline, then by the order in which deadlines were set. */
#include "ledger/machine.h"

void kh_expiry_append(kh_ledger *l, uint32_t fin, uint32_t queue)
{
    kh_fin *f = &l->fin[fin];
    kh_queue *q = &l->queue[queue];
    f->queue_next = KH_QUEUE_END | queue;
    f->queue_prev = q->tail != 0 ? q->tail : KH_QUEUE_END | queue;
    if (q->tail != 0) l->fin[q->tail].queue_next = fin;
    else q->head = fin;
    q->tail = fin;
}

void kh_expiry_put(kh_ledger *l, uint32_t fin, uint32_t queue, uint64_t ttl_s)
{
    kh_fin *f = &l->fin[fin];
    uint64_t deadline;
    if (ttl_s == 0 || !kh_add64(l->head->time_ns, ttl_s * KH_NS_PER_S, &deadline)) return; /* off: it stands until someone acts */
    f->deadline_ns = deadline;
    f->queue_stamp = l->head->queue_stamp++;
    kh_expiry_append(l, fin, queue);
}

void kh_expiry_take(kh_ledger *l, uint32_t fin)
{
    kh_fin *f = &l->fin[fin];
    if (f->deadline_ns == 0) return;
    uint32_t queue = 0;
    if (f->queue_prev & KH_QUEUE_END) {
        queue = f->queue_prev & ~KH_QUEUE_END;
        l->queue[queue].head = f->queue_next & KH_QUEUE_END ? 0 : f->queue_next;
    } else {
        l->fin[f->queue_prev].queue_next = f->queue_next;
    }
    if (f->queue_next & KH_QUEUE_END) {
        queue = f->queue_next & ~KH_QUEUE_END;
        l->queue[queue].tail = f->queue_prev & KH_QUEUE_END ? 0 : f->queue_prev;
    } else {
        l->fin[f->queue_next].queue_prev = f->queue_prev;
    }
    f->deadline_ns = 0;
    f->queue_next = f->queue_prev = 0;
    if (queue != 0 && l->queue[queue].head == 0 && queue != l->head->queue_applied && queue != l->head->queue_accepted)
        kh_rows_give(l, KH_R_QUEUE, &l->head->free_queues, queue);
}

uint64_t kh_expiry_next(const kh_ledger *l, uint32_t *ret_fin)
{
    uint64_t best = UINT64_MAX;
    uint32_t best_fin = 0, cnt = (uint32_t)l->state->regions[KH_R_QUEUE].row_cnt;
    for (uint32_t q = 1; q < cnt; q++) {
        if (!l->queue[q].used || l->queue[q].head == 0) continue;
        uint32_t fin = l->queue[q].head;
        const kh_fin *f = &l->fin[fin];
        bool earlier =
            f->deadline_ns < best || (f->deadline_ns == best && (int32_t)(f->queue_stamp - l->fin[best_fin].queue_stamp) < 0);
        if (!earlier) continue;
        best = f->deadline_ns;
        best_fin = fin;
    }
    *ret_fin = best_fin;
    return best;
}

void kh_expiry_lapse(kh_ledger *l, uint32_t fin)
{
    kh_fin *f = &l->fin[fin];
    uint32_t at = 0; /* the first line that still holds names the notice */
    while (at < f->last_line && !l->line[f->first_line + at].open) at++;
    const kh_line *line = &l->line[f->first_line + at];
    const kh_record *rec = kh_rec(l, l->active[line->active].record);
    kh_notice n = {.type = KH_NOTICE_LAPSED,
                   .party = f->bank,
                   .financing = f->id,
                   .has_financing = 1,
                   .has_key = 1,
                   .key = rec->key,
                   .currency = rec->currency,
                   .moved = kh_line_amount(l, line)};
    kh_expiry_take(l, fin);
    kh_fin_release(l, fin);
    kh_fin_set(l, fin, kh_move_to(f->state, KH_EV_LAPSE), f->amount, true);
    n.state = f->state;
    n.version = f->version;
    n.amount = f->amount;
    kh_outcome_begin(l);
    kh_touch_party(l, f->bank);
    kh_touch_fin(l, fin);
    for (uint32_t i = 0; i <= f->last_line; i++) kh_touch_document(l, l->active[l->line[f->first_line + i].active].record);
    kh_emit_notice(l, &n);
    kh_fin_refresh_limits(l, fin);
}

void kh_expiry_run(kh_ledger *l)
{
    uint32_t fin;
    while (kh_expiry_next(l, &fin) <= l->head->time_ns) kh_expiry_lapse(l, fin);
}
