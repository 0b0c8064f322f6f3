/* content: the canonical bytes of all documents and financings in key order, and of grants and the risk list where there are
 * any, for the content digest: free of versions, heights, times, placement and row numbers, so that two logs that lead to the
 * same business lead to the same bytes. docs/FORMAT.md has them. */
#include "ledger/machine.h"
#include "ledger/sorted.h"

typedef struct writer {
    void (*bytes)(void *ctx, const void *p, size_t n);
    void *ctx;
} writer;

size_t kh_ledger_content_scratch(const kh_ledger *l)
{
    uint64_t most = kh_max64(l->head->documents, l->head->financings);
    most = kh_max64(most, kh_max64(l->consent->grants.rows, l->consent->risks.rows));
    most = kh_max64(most, l->state->regions[KH_R_PARTY_KEY].row_cnt);
    return (size_t)(most + 1) * sizeof(kh_sorted);
}

static void put64(const writer *w, uint64_t v)
{
    uint8_t bytes[8];
    kh_store64(bytes, v);
    w->bytes(w->ctx, bytes, sizeof bytes);
}

static void put_text(const writer *w, const char *p, uint32_t n)
{
    put64(w, n);
    if (n != 0) w->bytes(w->ctx, p, n);
}

static void write_document(const kh_ledger *l, uint32_t first, const writer *w)
{
    kh_doc_view v;
    const kh_key key = kh_rec(l, first)->key;
    bool there = kh_ledger_document(l, &key, 0, &v);
    KH_ASSERT(there);
    w->bytes(w->ctx, key.b, 16);
    put_text(w, v.number, v.number_n);
    put_text(w, v.issuer, v.issuer_n);
    put_text(w, v.owner, v.owner_n);
    put64(w, (uint64_t)v.status << 32 | v.date);
    put64(w, v.contract);
    put64(w, v.balance_cnt);
    for (uint32_t i = 0; i < v.balance_cnt; i++) {
        const kh_balance_view *b = &v.balances[i];
        put64(w, b->currency);
        put64(w, b->base);
        put64(w, b->red);
        put64(w, b->cap);
        put64(w, b->held);
        put64(w, b->used);
        put64(w, b->consumed);
        uint32_t at = first, banks[KH_DOC_BANKS_MAX + 1];
        while (kh_rec(l, at)->currency != b->currency) at = kh_rec(l, at)->next;
        const kh_active *a = &l->active[l->cold[kh_rec(l, at)->cold].active];
        uint32_t n = kh_balance_banks(l, a, banks);
        put64(w, n);
        for (uint32_t k = 0; k < n; k++) {
            kh_parts p = kh_balance_share(l, a, banks[k]);
            put64(w, banks[k]);
            put64(w, p.held);
            put64(w, p.used);
            put64(w, p.consumed);
        }
    }
}

static void write_financing(const kh_ledger *l, const kh_fin *f, const writer *w)
{
    kh_text product = kh_texts_get(l, f->product);
    put64(w, f->bank);
    put64(w, f->id);
    put64(w, f->enterprise);
    put_text(w, product.p, product.n);
    put64(w, (uint64_t)f->currency << 32 | f->state);
    put64(w, f->amount);
    put64(w, (uint64_t)f->last_line + 1);
    for (uint32_t i = 0; i <= f->last_line; i++) {
        const kh_line *line = &l->line[f->first_line + i];
        const kh_record *rec = kh_rec(l, l->active[line->active].record);
        w->bytes(w->ctx, rec->key.b, 16);
        put64(w, rec->currency);
        put64(w, line->allocated);
        put64(w, line->repaid);
        put64(w, line->open ? kh_line_amount(l, line) : 0);
    }
}

static void write_grants(const kh_ledger *l, kh_sorted *items, const writer *w)
{
    size_t n = 0;
    for (uint64_t at = 1; at < l->state->regions[KH_R_GRANT].row_cnt; at++)
        items[n++] = (kh_sorted){l->grant[at].enterprise, l->grant[at].id, at};
    if (n == 0) return;
    kh_sorted_sort(items, n);
    w->bytes(w->ctx, "grants\0", 8);
    put64(w, n);
    for (size_t i = 0; i < n; i++) {
        const kh_grant *g = &l->grant[items[i].row];
        put64(w, g->enterprise);
        put64(w, g->id);
        put64(w, g->bank);
        put64(w, (uint64_t)g->scope << 32 | g->state);
        put64(w, g->from_ns);
        put64(w, g->until_ns);
    }
}

static bool risk_before(const kh_risk_row *a, const kh_risk_row *b)
{
    return a->category != b->category ? a->category < b->category : a->bank < b->bank;
}

/* The contributions to one subject, [0, n), by category and bank. */
static void sort_subject(const kh_ledger *l, kh_sorted *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        kh_sorted one = items[i];
        size_t at = i;
        for (; at > 0 && risk_before(&l->risk[one.row], &l->risk[items[at - 1].row]); at--) items[at] = items[at - 1];
        items[at] = one;
    }
}

static void write_risks(const kh_ledger *l, kh_sorted *items, const writer *w)
{
    size_t n = 0;
    for (uint64_t at = 1; at < l->state->regions[KH_R_RISK].row_cnt; at++)
        if (l->risk[at].bank != 0) items[n++] = kh_sorted_of(l->risk[at].subject.b, at);
    if (n == 0) return;
    kh_sorted_sort(items, n);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && !kh_sorted_less(&items[i], &items[end]); end++) {}
        sort_subject(l, items + i, end - i);
    }
    w->bytes(w->ctx, "risks\0\0", 8);
    put64(w, n);
    for (size_t i = 0; i < n; i++) {
        const kh_risk_row *r = &l->risk[items[i].row];
        w->bytes(w->ctx, r->subject.b, 16);
        put64(w, r->category);
        put64(w, r->bank);
    }
}

/* The keys that enterprises have now. */
static void write_keys(const kh_ledger *l, kh_sorted *items, const writer *w)
{
    static const uint8_t none[KH_PARTY_KEY_SZ];
    size_t n = 0;
    if (l->state->regions[KH_R_PARTY_KEY].row_cnt <= 1) return;
    for (uint64_t at = 1; at < l->state->regions[KH_R_PARTY].row_cnt; at++) {
        const kh_party_row *p = &l->party[at];
        bool has = p->role == KH_ROLE_ENTERPRISE && p->key != 0;
        if (has && memcmp(l->party_key[p->key].key, none, sizeof none) != 0) items[n++] = (kh_sorted){p->id, 0, p->key};
    }
    if (n == 0) return;
    kh_sorted_sort(items, n);
    w->bytes(w->ctx, "keys\0\0\0", 8);
    put64(w, n);
    for (size_t i = 0; i < n; i++) {
        put64(w, items[i].high);
        w->bytes(w->ctx, l->party_key[items[i].row].key, KH_PARTY_KEY_SZ);
    }
}

void kh_ledger_content(const kh_ledger *l, void *scratch, void (*bytes)(void *ctx, const void *p, size_t n), void *ctx)
{
    kh_sorted *items = scratch;
    const writer w = {bytes, ctx};
    size_t n = 0;
    uint64_t records = l->state->regions[KH_REGION_INDEX_RECORDS].row_cnt, fins = l->state->regions[KH_R_FIN].row_cnt;
    for (uint64_t at = 0; at < records && n <= l->head->documents; at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->quad.flags & KH_REC_ALIAS || rec->cold == 0 || kh_index_find(l->index, &rec->key) != at) continue;
        items[n++] = kh_sorted_of(rec->key.b, at);
    }
    kh_sorted_sort(items, n);
    put64(&w, n);
    for (size_t i = 0; i < n; i++) write_document(l, (uint32_t)items[i].row, &w);
    n = 0;
    for (uint64_t at = 1; at < fins; at++) items[n++] = (kh_sorted){l->fin[at].bank, l->fin[at].id, at};
    kh_sorted_sort(items, n);
    put64(&w, n);
    for (size_t i = 0; i < n; i++) write_financing(l, &l->fin[items[i].row], &w);
    write_grants(l, items, &w);
    write_risks(l, items, &w);
    write_keys(l, items, &w);
}
