/* ahead: what the next operations will touch, on its way into the cache: stage by stage over all of them, so that the misses of
 * one stage overlap. Nothing is decided here and nothing is kept; operations look up again what they need. */
#include "ledger/machine.h"

#define LINES_AHEAD 8 /* lines of one operation that are worth it */

static bool names_financing(const kh_op *op) { return op->type == KH_OP_APPLY || op->type == KH_OP_EVENT; }
static uint64_t id_of(const kh_op *op) { return op->type == KH_OP_APPLY ? op->apply.id : op->event.id; }

static void fetch_rows(const void *p, size_t sz)
{
    __builtin_prefetch(p, 1);
    __builtin_prefetch((const uint8_t *)p + sz - 1, 1);
}

/* The financings' table splits its buckets in order; of those that have several rows the rows are looked at: the first ones of
   the buckets after the next n, the second ones of the next n. */
static void fetch_splits(const kh_ledger *l, uint32_t n)
{
    const kh_table_head *h = &l->head->fins;
    const uint64_t *heads = kh_table_heads(l, &kh_fins_table);
    uint64_t end = UINT64_C(1) << h->level;
    for (uint64_t b = h->split; b < h->split + 2 * (uint64_t)n + 2 && b < end; b++) {
        if ((heads[b] & KH_TABLE_MORE) == 0) continue;
        const kh_fin *f = &l->fin[(uint32_t)heads[b]];
        fetch_rows(b < h->split + n + 1 ? &l->fin[f->hash_next] : f, offsetof(kh_fin, first_line));
    }
}

static uint32_t fetch_keys(const kh_ledger *l, uint32_t n, const kh_frame frames[], uint32_t records[KH_AHEAD_KEYS])
{
    kh_key keys[KH_AHEAD_KEYS];
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t left = KH_AHEAD_KEYS - cnt;
        if (l->ahead[i].type != KH_OP_APPLY) {
            if (l->ahead[i].type == KH_OP_DOCUMENT)
                cnt += kh_op_peek_keys(frames[i].p, frames[i].n, keys + cnt, left < 2 ? left : 2);
            continue;
        }
        const kh_op_apply *a = &l->ahead[i].apply;
        for (uint32_t k = 0; k < a->line_cnt && k < LINES_AHEAD && k < left; k++) keys[cnt++] = a->lines[k].key;
    }
    if (cnt > 0) kh_index_find_bulk(l->index, keys, cnt, records);
    return cnt;
}

/* A new line stands before the newest of its balance, which then names it. */
static void fetch_newest(const kh_ledger *l, uint32_t cnt, const uint32_t records[])
{
    for (uint32_t i = 0; i < cnt; i++) {
        uint32_t active = records[i] == KH_RECORD_NONE ? 0 : l->cold[kh_rec(l, records[i])->cold].active;
        if (active != 0 && l->active[active].lines != 0) __builtin_prefetch(&l->line[l->active[active].lines].prev, 1);
    }
}

void kh_ahead_fetch(const kh_ledger *l, uint32_t n, const kh_frame frames[KH_AHEAD])
{
    uint32_t records[KH_AHEAD_KEYS], lines[KH_AHEAD] = {0}, events = 0, applications = 0;
    uint64_t hashes[KH_AHEAD];
    for (uint32_t i = 0; i < n; i++) {
        const kh_op *op = &l->ahead[i];
        if (!names_financing(op)) continue;
        hashes[i] = kh_fins_hash(l, op->party, id_of(op));
        kh_table_prefetch(l, &kh_fins_table, &l->head->fins, hashes[i]);
        if (op->type == KH_OP_APPLY) kh_parties_prefetch(l, op->apply.enterprise, false);
        events += op->type == KH_OP_EVENT;
        applications += op->type == KH_OP_APPLY;
    }
    if (applications > 0) fetch_splits(l, 2 * applications);
    uint32_t cnt = fetch_keys(l, n, frames, records);
    for (uint32_t i = 0; i < cnt; i++)
        if (records[i] != KH_RECORD_NONE) __builtin_prefetch(&l->cold[kh_rec(l, records[i])->cold], 1);
    for (uint32_t i = 0; i < n; i++) {
        const kh_op *op = &l->ahead[i];
        if (!names_financing(op)) continue;
        fetch_rows(&l->fin[kh_table_first(l, &kh_fins_table, &l->head->fins, hashes[i])], sizeof(kh_fin));
        if (op->type == KH_OP_APPLY) kh_parties_prefetch(l, op->apply.enterprise, true);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        uint32_t active = records[i] == KH_RECORD_NONE ? 0 : l->cold[kh_rec(l, records[i])->cold].active;
        if (active != 0) fetch_rows(&l->active[active], sizeof(kh_active));
    }
    fetch_newest(l, cnt, records);
    if (events == 0) return;
    for (uint32_t i = 0; i < n; i++) { /* events: from the financing to its first line, its balance, record and cold row */
        const kh_op *op = &l->ahead[i];
        uint32_t fin = op->type == KH_OP_EVENT ? kh_fins_find(l, op->party, op->event.id) : 0;
        if (fin == 0) continue;
        lines[i] = l->fin[fin].first_line;
        fetch_rows(&l->line[lines[i]], sizeof(kh_line));
        kh_parties_prefetch(l, l->fin[fin].enterprise, false);
    }
    for (uint32_t i = 0; i < n; i++)
        if (lines[i] != 0) fetch_rows(&l->active[l->line[lines[i]].active], sizeof(kh_active));
    for (uint32_t i = 0; i < n; i++)
        if (lines[i] != 0) {
            __builtin_prefetch(kh_rec(l, l->active[l->line[lines[i]].active].record), 1);
            kh_parties_prefetch(l, l->fin[l->line[lines[i]].fin].enterprise, true);
        }
    for (uint32_t i = 0; i < n; i++)
        if (lines[i] != 0) __builtin_prefetch(&l->cold[kh_rec(l, l->active[l->line[lines[i]].active].record)->cold], 1);
}
