/* ahead: what the next operations will touch, on its way into the cache: stage by stage over a group of them, so that the misses
 * of one stage overlap, and while the groups before are a stage further or applied, so that nobody waits for what was just asked
 * for. What a stage found is kept for the operation's turn: hashes, rows that stay what they are, and records as long as the
 * index has taken none away. Between a stage and the turn operations are applied: nothing else that a stage read may be relied
 * upon. */
#include "ledger/machine.h"

#define LINES_AHEAD 8 /* lines of one operation that are worth it */

static void fetch_row(const void *p, size_t sz)
{
    __builtin_prefetch(p, 1);
    __builtin_prefetch((const uint8_t *)p + sz - 1, 1);
}

static void take_keys(kh_ahead *a, const kh_op *op, kh_found *f)
{
    f->first_key = a->key_cnt;
    f->key_cnt = 0;
    if (op->type == KH_OP_APPLY) {
        uint32_t cnt = (uint32_t)kh_min64(kh_min64(op->apply.line_cnt, LINES_AHEAD), KH_AHEAD_KEYS - a->key_cnt);
        for (uint32_t k = 0; k < cnt; k++) a->keys[a->key_cnt + k] = op->apply.lines[k].key;
        f->key_cnt = cnt;
    } else if (op->type == KH_OP_DOCUMENT && a->key_cnt < KH_AHEAD_KEYS) {
        a->keys[a->key_cnt] = kh_doc_key((kh_kind)op->document.kind, op->document.number, op->document.issuer);
        f->key_cnt = 1;
    }
    a->key_cnt += f->key_cnt;
}

/* Stage 0: buckets: of the financings, of the enterprises; the documents' records are found by the index in stages of its own. */
static void fetch_buckets(kh_ledger *l, kh_ahead *a)
{
    a->key_cnt = 0;
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        const kh_op *op = &a->ops[i];
        kh_found *f = &a->found[i];
        f->fin = f->enterprise = 0;
        take_keys(a, op, f);
        if (op->type != KH_OP_APPLY && op->type != KH_OP_EVENT) continue;
        f->fin_hash = kh_fins_hash(l, op->party, op->type == KH_OP_APPLY ? op->apply.id : op->event.id);
        __builtin_prefetch(kh_fins_bucket(l, f->fin_hash), 1);
        if (op->type == KH_OP_EVENT) continue;
        f->enterprise_hash = kh_parties_hash(l, op->apply.enterprise);
        kh_table_prefetch(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
    }
    a->records_moved = l->records_moved;
    if (a->key_cnt > 0) kh_index_find_bulk(l->index, a->keys, a->key_cnt, a->records);
}

/* Stage 1: what stands in the buckets, and the documents' cold rows. */
static void fetch_rows(kh_ledger *l, kh_ahead *a)
{
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        const kh_op *op = &a->ops[i];
        kh_found *f = &a->found[i];
        if (op->type == KH_OP_EVENT) { /* an application's is not there yet, as a rule */
            fetch_row(&l->fin[kh_fins_candidate(l, f->fin_hash)], sizeof(kh_fin));
        } else if (op->type == KH_OP_APPLY) {
            f->enterprise = kh_table_first(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
            __builtin_prefetch(&l->party[f->enterprise]);
        }
    }
    for (uint32_t k = 0; k < a->key_cnt; k++)
        if (a->records[k] != KH_RECORD_NONE) __builtin_prefetch(&l->cold[kh_rec(l, a->records[k])->cold], 1);
}

/* The active row of the k-th document, 0: it has none. */
static uint32_t active_of(const kh_ledger *l, const kh_ahead *a, uint32_t k)
{
    return a->records[k] == KH_RECORD_NONE ? 0 : l->cold[kh_rec(l, a->records[k])->cold].active;
}

static const kh_line *first_line(const kh_ledger *l, const kh_found *f) { return &l->line[l->fin[f->fin].first_line]; }

/* Stage 2: documents: from the cold row to the active one. Events: from the financing to its first line and that one's balance.
 */
static void fetch_balances(kh_ledger *l, kh_ahead *a)
{
    for (uint32_t k = 0; k < a->key_cnt; k++) {
        uint32_t active = active_of(l, a, k);
        if (active != 0) fetch_row(&l->active[active], sizeof(kh_active));
    }
    if (a->event_cnt == 0) return;
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        const kh_op *op = &a->ops[i];
        kh_found *f = &a->found[i];
        if (op->type != KH_OP_EVENT) continue;
        f->fin = kh_fins_find_hashed(l, f->fin_hash, op->party, op->event.id);
        if (f->fin == 0) continue;
        fetch_row(first_line(l, f), sizeof(kh_line));
        f->enterprise_hash = kh_parties_hash(l, l->fin[f->fin].enterprise);
        kh_table_prefetch(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
    }
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        const kh_found *f = &a->found[i];
        if (a->ops[i].type == KH_OP_EVENT && f->fin != 0) fetch_row(&l->active[first_line(l, f)->active], sizeof(kh_active));
    }
}

/* Stage 3: documents: the balance's newest line, which the next one will name. Events: the balance's record and cold row, and the
 * enterprise. */
static void fetch_lines(kh_ledger *l, kh_ahead *a)
{
    for (uint32_t k = 0; k < a->key_cnt; k++) {
        uint32_t active = active_of(l, a, k);
        if (active != 0 && l->active[active].lines != 0) __builtin_prefetch(&l->line[l->active[active].lines].prev, 1);
    }
    if (a->event_cnt == 0) return;
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        kh_found *f = &a->found[i];
        if (a->ops[i].type != KH_OP_EVENT || f->fin == 0) continue;
        __builtin_prefetch(kh_rec(l, l->active[first_line(l, f)->active].record), 1);
        f->enterprise = kh_table_first(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
        __builtin_prefetch(&l->party[f->enterprise]);
    }
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        const kh_found *f = &a->found[i];
        if (a->ops[i].type != KH_OP_EVENT || f->fin == 0) continue;
        __builtin_prefetch(&l->cold[kh_rec(l, l->active[first_line(l, f)->active].record)->cold], 1);
    }
}

void kh_ahead_fetch_new(const kh_ledger *l, const kh_ahead *a)
{
    const struct {
        uint32_t region, cnt;
    } news[] = {{KH_R_FIN, a->application_cnt}, {KH_R_LINE, a->line_cnt}, {KH_R_ACTIVE, a->line_cnt}};
    if (a->application_cnt == 0) return;
    for (uint32_t i = 0; i < sizeof news / sizeof news[0]; i++) {
        const kh_region *r = &l->state->regions[news[i].region];
        const uint8_t *from = r->base + r->row_cnt * r->row_sz, *to = from + (uint64_t)news[i].cnt * r->row_sz;
        for (; from < to; from += KH_CACHE_LINE) __builtin_prefetch(from, 1);
    }
}

void kh_ahead_fetch(kh_ledger *l, kh_ahead *a, uint32_t stage)
{
    static void (*const stages[KH_AHEAD_STAGES])(kh_ledger *, kh_ahead *) = {fetch_buckets, fetch_rows, fetch_balances,
                                                                             fetch_lines};
    stages[stage](l, a);
}
