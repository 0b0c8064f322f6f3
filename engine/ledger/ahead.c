/* ahead: what the next operations will touch, on its way into the cache: stage by stage over a group of them, so that the misses
 * of one stage overlap, and while the groups before are a stage further or applied, so that nobody waits for what was just asked
 * for. What a stage found is kept for the operation's turn: hashes, rows that stay what they are, and records as long as the
 * index has taken none away. Between a stage and the turn operations are applied: nothing else that a stage read may be relied
 * upon. */
#include "ledger/machine.h"

#define LINES_AHEAD 8 /* lines of one operation that are worth it */
_Static_assert(KH_AHEAD *LINES_AHEAD <= KH_AHEAD_KEYS, "there is room for the keys of a group");

static void fetch_row(const void *p, size_t sz)
{
    kh_fetch(p);
    if (sz > KH_CACHE_LINE) kh_fetch((const uint8_t *)p + KH_CACHE_LINE); /* it may lie on three */
    kh_fetch((const uint8_t *)p + sz - 1);
}

static void take_keys(kh_ahead *a, const kh_op *op, kh_found *f)
{
    f->first_key = a->key_cnt;
    f->key_cnt = 0;
    if (op->type == KH_OP_APPLY) {
        uint32_t cnt = (uint32_t)kh_min64(op->apply.line_cnt, LINES_AHEAD);
        for (uint32_t k = 0; k < cnt; k++) a->keys[a->key_cnt + k] = op->apply.lines[k].key;
        f->key_cnt = cnt;
    } else if (op->type == KH_OP_DOCUMENT) {
        a->keys[a->key_cnt] = kh_doc_key((kh_kind)op->document.kind, op->document.number, op->document.issuer);
        f->key_cnt = 1;
    }
    a->key_cnt += f->key_cnt;
}

/* Stage 0: buckets: of the documents and their owners, the financings of events, the enterprises. */
static void fetch_buckets(kh_ledger *l, kh_ahead *a)
{
    a->key_cnt = 0;
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        const kh_op *op = &a->ops[i];
        kh_found *f = &a->found[i];
        f->type = op->type;
        f->fin = f->enterprise = 0;
        take_keys(a, op, f);
        if (op->type == KH_OP_DOCUMENT) {
            f->owner_hash = kh_keyed_hash(l, op->document.owner.p, op->document.owner.n);
            kh_table_prefetch(l, &kh_texts_table, &l->head->texts, f->owner_hash);
        }
        if (op->type != KH_OP_APPLY && op->type != KH_OP_EVENT) continue;
        f->fin_hash = kh_fins_hash(l, op->party, op->type == KH_OP_APPLY ? op->apply.id : op->event.id);
        if (op->type == KH_OP_EVENT) {
            kh_fetch(kh_fins_bucket(l, f->fin_hash));
            continue;
        }
        f->enterprise_id = op->apply.enterprise;
        f->enterprise_hash = kh_parties_hash(l, f->enterprise_id);
        kh_table_prefetch(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
    }
    a->records_moved = l->records_moved; /* before anything of the map is read */
    kh_index_search_begin(l->index, a->keys, a->key_cnt, a->searches);
}

static void fetch_enterprise(const kh_ledger *l, kh_found *f)
{
    f->enterprise = kh_table_first(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
    kh_fetch(&l->party[f->enterprise]);
}

/* Where the row is another's that fell into the same bucket: on to the next. Which one it is is chance: no branch. */
static void follow_enterprise(const kh_ledger *l, kh_found *f)
{
    const kh_party_row *row = &l->party[f->enterprise]; /* none: row 0, which has none behind it */
    uint32_t other = (uint32_t) - (int32_t)(row->id != f->enterprise_id);
    f->enterprise = (row->hash_next & other) | (f->enterprise & ~other);
    kh_fetch(&l->party[f->enterprise]);
}

static void follow_enterprises(const kh_ledger *l, kh_ahead *a)
{
    for (uint32_t i = 0; a->application_cnt != 0 && i < a->op_cnt; i++)
        if (a->found[i].type == KH_OP_APPLY) follow_enterprise(l, &a->found[i]);
}

/* Stage 1: what stands in the buckets: records, owners, enterprises, the financings of events: an application's is not there yet,
 * as a rule. */
static void fetch_rows(kh_ledger *l, kh_ahead *a)
{
    kh_index_search_match(l->index, a->key_cnt, a->searches);
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        kh_found *f = &a->found[i];
        if (f->type == KH_OP_EVENT) fetch_row(&l->fin[kh_fins_candidate(l, f->fin_hash)], sizeof(kh_fin));
        else if (f->type == KH_OP_APPLY) fetch_enterprise(l, f);
        else if (f->type == KH_OP_DOCUMENT) kh_fetch(kh_texts_candidate(l, f->owner_hash));
    }
}

static const kh_line *first_line(const kh_ledger *l, const kh_found *f) { return &l->line[l->fin[f->fin].first_line]; }

/* Its neighbours in the queue of deadlines, which most events leave, and the first line. */
static void fetch_of_financing(const kh_ledger *l, const kh_found *f)
{
    const kh_fin *fin = &l->fin[f->fin];
    fetch_row(first_line(l, f), sizeof(kh_line));
    if ((fin->queue_prev & KH_QUEUE_END) == 0) kh_fetch(&l->fin[fin->queue_prev].queue_next);
    if ((fin->queue_next & KH_QUEUE_END) == 0) kh_fetch(&l->fin[fin->queue_next].queue_prev);
}

/* The k-th document's cold row. Without a document it is that of the null record, row 0, which like row 0 of the others is zero:
 * whether there is a row is chance, and what is fetched for none is in the cache. */
static uint32_t cold_of(const kh_ledger *l, const kh_ahead *a, uint32_t k)
{
    uint32_t record = a->records[k], some = (uint32_t) - (int32_t)(record != KH_RECORD_NONE);
    return kh_rec(l, record & some)->cold;
}

/* Stage 2: documents: the cold row. Events: from the financing to its first line, its neighbours and its enterprise's bucket. */
static void fetch_colds(kh_ledger *l, kh_ahead *a)
{
    kh_index_search_end(l->index, a->keys, a->key_cnt, a->searches, a->records);
    follow_enterprises(l, a);
    for (uint32_t k = 0; k < a->key_cnt; k++) {
        a->colds[k] = cold_of(l, a, k);
        kh_fetch(&l->cold[a->colds[k]]);
    }
    for (uint32_t i = 0; a->event_cnt != 0 && i < a->op_cnt; i++) {
        const kh_op *op = &a->ops[i];
        kh_found *f = &a->found[i];
        if (op->type != KH_OP_EVENT) continue;
        f->fin = kh_fins_find_hashed(l, f->fin_hash, op->party, op->event.id);
        if (f->fin == 0) continue;
        fetch_of_financing(l, f);
        f->enterprise_id = l->fin[f->fin].enterprise;
        f->enterprise_hash = kh_parties_hash(l, f->enterprise_id);
        kh_table_prefetch(l, &kh_parties_table, &l->head->parties, f->enterprise_hash);
    }
}

static bool is_found_event(const kh_ahead *a, uint32_t i) { return a->found[i].fin != 0; }

/* Stage 3: active rows, and the enterprises of events. */
static void fetch_balances(kh_ledger *l, kh_ahead *a)
{
    for (uint32_t k = 0; k < a->key_cnt; k++) fetch_row(&l->active[l->cold[a->colds[k]].active], sizeof(kh_active));
    follow_enterprises(l, a);
    for (uint32_t i = 0; a->event_cnt != 0 && i < a->op_cnt; i++) {
        if (!is_found_event(a, i)) continue;
        fetch_row(&l->active[first_line(l, &a->found[i])->active], sizeof(kh_active));
        fetch_enterprise(l, &a->found[i]);
    }
}

/* Stage 4: documents: the balance's newest line, which the next one will name. Events: the balance's record. */
static void fetch_lines(kh_ledger *l, kh_ahead *a)
{
    for (uint32_t k = 0; k < a->key_cnt; k++) kh_fetch(&l->line[l->active[l->cold[a->colds[k]].active].lines].prev);
    for (uint32_t i = 0; a->event_cnt != 0 && i < a->op_cnt; i++) {
        if (!is_found_event(a, i)) continue;
        kh_fetch(kh_rec(l, l->active[first_line(l, &a->found[i])->active].record));
        follow_enterprise(l, &a->found[i]);
    }
}

/* The rows that the group will write anew lie behind one another. */
static void fetch_new(const kh_ledger *l, const kh_ahead *a)
{
    const struct {
        uint32_t region, cnt;
    } news[] = {{KH_R_FIN, a->application_cnt}, {KH_R_LINE, a->line_cnt}, {KH_R_ACTIVE, a->line_cnt}};
    for (uint32_t i = 0; i < sizeof news / sizeof news[0]; i++) {
        const kh_region *r = &l->state->regions[news[i].region];
        const uint8_t *from = r->base + r->row_cnt * r->row_sz, *to = from + (uint64_t)news[i].cnt * r->row_sz;
        for (; from < to; from += KH_CACHE_LINE) kh_fetch(from);
    }
}

/* Stage 5: applications: the financing's bucket, which only their turn looks at. Events: the document's cold row. */
static void fetch_last(kh_ledger *l, kh_ahead *a)
{
    for (uint32_t i = 0; i < a->op_cnt; i++) {
        if (a->found[i].type == KH_OP_APPLY) kh_fetch(kh_fins_bucket(l, a->found[i].fin_hash));
        if (!is_found_event(a, i)) continue;
        uint32_t record = l->active[first_line(l, &a->found[i])->active].record;
        kh_fetch(&l->cold[kh_rec(l, record)->cold]);
    }
    fetch_new(l, a);
}

void kh_ahead_fetch(kh_ledger *l, kh_ahead *a, uint32_t stage)
{
    static void (*const stages[KH_AHEAD_STAGES])(kh_ledger *, kh_ahead *) = {fetch_buckets,  fetch_rows,  fetch_colds,
                                                                             fetch_balances, fetch_lines, fetch_last};
    stages[stage](l, a);
}
