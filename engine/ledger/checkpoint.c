/* checkpoint: everything that decides what comes of later operations, as leaves of canonical bytes, in key order or in the order
 * of the log, for the checkpoint digest: deadlines, versions and places in the log included; record numbers, chains of hash
 * tables, free rows and whatever follows from the rest left out. Each leaf reads in one way only, by itself: what is repeated
 * is counted, or fills the leaf. docs/FORMAT.md has them. */
#include "ledger/machine.h"
#include "ledger/sorted.h"

typedef struct writer {
    const kh_leaves *to;
    uint32_t n;
    uint8_t buf[512];
} writer;

static void flush(writer *w)
{
    if (w->n != 0) w->to->bytes(w->to->ctx, w->buf, w->n);
    w->n = 0;
}

static void put(writer *w, const void *p, uint32_t n)
{
    if (w->n + n > sizeof w->buf) flush(w);
    if (n > sizeof w->buf) w->to->bytes(w->to->ctx, p, n);
    else if (n != 0) memcpy(w->buf + w->n, p, n);
    w->n += n > sizeof w->buf ? 0 : n;
}

static void put64(writer *w, uint64_t v)
{
    uint8_t bytes[8];
    kh_store64(bytes, v);
    put(w, bytes, sizeof bytes);
}

static void put_text(writer *w, const kh_ledger *l, uint32_t ref)
{
    kh_text text = kh_texts_get(l, ref);
    put64(w, text.n);
    put(w, text.p, text.n);
}

static void begin(writer *w, const char kind[8]) { put(w, kind, 8); }

static void end(writer *w)
{
    flush(w);
    w->to->end(w->to->ctx);
}

static uint64_t rows(const kh_ledger *l, uint32_t region) { return l->state->regions[region].row_cnt; }

/* ---- rules, rates, counters ---- */

static void write_head(const kh_ledger *l, writer *w)
{
    const kh_head *h = l->head;
    begin(w, "head\0\0\0");
    put64(w, h->height);
    put64(w, h->time_ns);
    put64(w, h->wait_stamp);
    put64(w, h->queue_stamp);
    put64(w, h->operator_last);
    for (uint32_t i = 0; i < KH_KIND_CNT; i++) put64(w, h->watermark[i]);
    for (uint32_t i = 0; i < 16; i++) put64(w, h->currencies[i]);
    end(w);
}

/* What is left of letting the holds of who was expelled lapse: how many financings were looked at, in the order of the log. */
static void write_expelled(const kh_ledger *l, writer *w)
{
    if (l->head->expelled_at == 0) return;
    begin(w, "expel\0\0");
    put64(w, l->head->expelled_at - 1);
    end(w);
}

static void write_rules(const kh_ledger *l, writer *w)
{
    for (uint32_t i = 0; i < KH_RULE_CNT; i++) {
        const kh_rule *rule = kh_rules_get(l, i);
        begin(w, "rule\0\0\0");
        put64(w, i);
        put64(w, rule->value);
        put64(w, rule->value_2);
        put64(w, rule->since);
        put_text(w, l, rule->text);
        end(w);
    }
    for (uint64_t i = 1; i < rows(l, KH_R_PRODUCT); i++) { /* a product is named once, in the order of the log */
        begin(w, "product");
        put_text(w, l, l->product[i].name);
        put_text(w, l, l->product[i].value);
        put64(w, l->product[i].ratio_bp);
        put64(w, l->product[i].since);
        end(w);
    }
}

static void put_rate(const kh_ledger *l, uint32_t row, writer *w)
{
    const kh_rate_row *r = &l->rate[row];
    put64(w, (uint64_t)r->from << 32 | (uint64_t)r->to << 16 | r->date);
    put64(w, r->mantissa);
    put64(w, (uint64_t)r->scale << 8 | r->replaced);
    put_text(w, l, r->source);
}

static void write_rates(const kh_ledger *l, writer *w)
{
    for (uint32_t i = 1; i < rows(l, KH_R_RATE); i++) {
        begin(w, "rate\0\0\0");
        put_rate(l, i, w);
        end(w);
    }
}

/* ---- parties ---- */

static void put_keys(const kh_ledger *l, uint32_t row, writer *w)
{
    for (; row != 0; row = l->party_key[row].before) {
        put64(w, l->party_key[row].since);
        put64(w, l->party_key[row].bundle);
        put(w, l->party_key[row].key, KH_PARTY_KEY_SZ);
    }
}

static void write_parties(const kh_ledger *l, writer *w)
{
    const uint32_t *order = (const uint32_t *)(const void *)l->state->regions[KH_R_PARTY_ORDER].base;
    for (uint64_t i = 0; i < rows(l, KH_R_PARTY_ORDER); i++) {
        const kh_party_row *p = &l->party[order[i]];
        begin(w, "party\0\0");
        put64(w, (uint64_t)p->id << 32 | (uint64_t)p->role << 8 | p->frozen);
        put_text(w, l, p->name);
        put_text(w, l, p->uscc);
        put64(w, p->last);
        put64(w, p->refusals_ns);
        put64(w, p->refusals_at);
        put64(w, (uint64_t)p->given << 32 | p->open_grants);
        if (p->role == KH_ROLE_ENTERPRISE) put_keys(l, p->key, w);
        else put64(w, p->role == KH_ROLE_BANK ? p->asked : p->bundle);
        end(w);
    }
}

/* ---- documents ---- */

static void put_balance_name(const kh_ledger *l, uint32_t active, writer *w)
{
    const kh_record *rec = kh_rec(l, l->active[active].record);
    put(w, rec->key.b, 16);
    put64(w, rec->currency);
}

static void put_active(const kh_ledger *l, const kh_active *a, writer *w)
{
    uint32_t banks[KH_DOC_BANKS_MAX + 1], n = kh_balance_banks(l, a, banks);
    put64(w, a->flags);
    put64(w, n);
    for (uint32_t i = 0; i < n; i++) {
        kh_parts p = kh_balance_share(l, a, banks[i]);
        put64(w, banks[i]);
        put64(w, p.held);
        put64(w, p.used);
        put64(w, p.consumed);
    }
    put64(w, a->line_cnt); /* open lines, the newest first: the order in which they are cancelled */
    for (uint32_t line = a->lines; line != 0; line = l->line[line].next) {
        const kh_fin *f = &l->fin[l->line[line].fin];
        put64(w, f->bank);
        put64(w, f->id);
        put64(w, line - f->first_line);
    }
    uint32_t members = a->group != 0 ? l->group[a->group].cnt : 0;
    put64(w, members);
    for (uint32_t i = 0; i < members; i++) put_balance_name(l, l->group[a->group].members[i], w);
}

static void put_extra(const kh_ledger *l, const kh_extra *x, writer *w)
{
    put64(w, x->issue_time);
    put64(w, x->status_time);
    put64(w, x->contract);
    put64(w, (uint64_t)x->doc_version << 32 | (uint64_t)x->had_statuses << 16 | x->flags);
    put64(w, (uint64_t)x->superseded_cnt << 8 | x->superseded_at);
    for (uint32_t i = 0; i < KH_SUPERSEDED_MAX; i++) put64(w, x->superseded[i]);
    for (uint32_t row = x->refs; row != 0; row = l->ref[row].next) {
        put(w, l->ref[row].target.b, 16);
        put64(w, l->ref[row].role);
    }
}

static void write_document(const kh_ledger *l, uint32_t first, writer *w)
{
    const kh_cold *c = &l->cold[kh_rec(l, first)->cold];
    begin(w, "paper\0\0");
    put(w, kh_rec(l, first)->key.b, 16);
    put_text(w, l, c->number);
    put_text(w, l, c->issuer);
    put_text(w, l, c->owner);
    put64(w, c->version);
    put64(w, c->last);
    uint64_t balances = 0;
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) balances++;
    put64(w, balances);
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        const kh_record *rec = kh_rec(l, at);
        put64(w, (uint64_t)rec->quad.version << 16 | (uint64_t)rec->quad.status << 8 | rec->quad.flags);
        put64(w, (uint64_t)rec->currency << 48 | (uint64_t)rec->date << 32 | rec->owner_check);
        put64(w, rec->base);
        put64(w, rec->cap);
        put64(w, rec->quad.taken);
        put_active(l, &l->active[l->cold[rec->cold].active], w);
    }
    if (c->extra != 0) put_extra(l, &l->extra[c->extra], w);
    end(w);
}

static void write_alias(const kh_ledger *l, const kh_record *rec, writer *w)
{
    begin(w, "alias\0\0");
    put(w, rec->key.b, 16);
    put64(w, rec->cap); /* the key meant */
    put64(w, rec->base);
    put_text(w, l, l->cold[rec->cold].number);
    put_text(w, l, l->cold[rec->cold].issuer);
    end(w);
}

static void write_papers(const kh_ledger *l, kh_sorted *items, writer *w)
{
    size_t n = 0;
    for (uint64_t at = 1; at < rows(l, KH_REGION_INDEX_RECORDS); at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->cold != 0 && kh_index_find(l->index, &rec->key) == at) items[n++] = kh_sorted_of(rec->key.b, at);
    }
    kh_sorted_sort(items, n);
    for (size_t i = 0; i < n; i++) {
        const kh_record *rec = kh_rec(l, (uint32_t)items[i].row);
        if (rec->quad.flags & KH_REC_ALIAS) write_alias(l, rec, w);
        else write_document(l, (uint32_t)items[i].row, w);
    }
}

/* In the order of the log, which decides which of several comes first. */
static void write_refs(const kh_ledger *l, writer *w)
{
    for (uint64_t at = 1; at < rows(l, KH_R_REF); at++) {
        const kh_ref *r = &l->ref[at];
        begin(w, "ref\0\0\0\0");
        put(w, r->target.b, 16);
        put(w, r->from.b, 16);
        put64(w, r->red);
        put64(w, (uint64_t)r->red_currency << 32 | (uint64_t)r->role << 8 | r->kind);
        end(w);
    }
    for (uint64_t at = 1; at < rows(l, KH_R_CONTRACT); at++) {
        begin(w, "deal\0\0\0");
        put(w, l->contract[at].from.b, 16);
        put64(w, l->contract[at].digest);
        put_text(w, l, l->contract[at].owner);
        end(w);
    }
}

/* What waits for a notice is found under its paper's key, which is nowhere else: items {stamp, record, wait}. */
static size_t gather_waiting(const kh_ledger *l, kh_sorted *items)
{
    size_t n = 0;
    bool notices = false;
    for (uint64_t at = 1; at < rows(l, KH_R_WAIT); at++) {
        if (l->wait[at].message == 0) continue;
        if (l->wait[at].for_notice) notices = true;
        else items[n++] = (kh_sorted){l->wait[at].stamp, 0, at};
    }
    for (uint64_t at = 1; notices && at < rows(l, KH_REGION_INDEX_RECORDS); at++) {
        const kh_record *rec = kh_rec(l, (uint32_t)at);
        if (rec->cold == 0 || rec->quad.flags & KH_REC_ALIAS || kh_index_find(l->index, &rec->key) != at) continue;
        uint32_t cursor = 0;
        for (uint32_t wait; (wait = kh_waiting_for_notice(l, &rec->key, &cursor)) != 0;)
            items[n++] = (kh_sorted){l->wait[wait].stamp, at, wait};
    }
    return n;
}

static void write_waiting(const kh_ledger *l, kh_sorted *items, writer *w)
{
    size_t n = gather_waiting(l, items);
    kh_sorted_sort(items, n);
    for (size_t i = 0; i < n; i++) {
        const kh_wait *wait = &l->wait[items[i].row];
        begin(w, "waits\0\0");
        put64(w, wait->stamp);
        put64(w, (uint64_t)wait->source << 32 | wait->for_notice);
        if (wait->for_notice) put(w, kh_rec(l, (uint32_t)items[i].low)->key.b, 16);
        uint32_t left = wait->size;
        put64(w, left);
        for (uint32_t cell = wait->message; cell != 0 && left != 0; cell = l->cell[cell].next) {
            uint32_t part = (uint32_t)kh_min64(left, KH_MESSAGE_CELL - 4);
            put(w, l->cell[cell].bytes, part);
            left -= part;
        }
        end(w);
    }
}

/* ---- financings ---- */

static void write_financing(const kh_ledger *l, const kh_fin *f, writer *w)
{
    begin(w, "loan\0\0\0");
    put64(w, f->bank);
    put64(w, f->id);
    put64(w, f->enterprise);
    put64(w, f->amount);
    put64(w, (uint64_t)f->version << 32 | (uint64_t)f->currency << 16 | (uint64_t)f->state << 8 | f->last_line);
    put_text(w, l, f->product);
    put64(w, f->deadline_ns);
    put64(w, f->deadline_ns != 0 ? f->queue_stamp : 0);
    put64(w, f->last);
    put64(w, f->apply_place);
    put64(w, f->apply_digest);
    put64(w, f->event_place);
    put64(w, f->event_digest);
    for (uint32_t i = 0; i <= f->last_line; i++) {
        const kh_line *line = &l->line[f->first_line + i];
        put_balance_name(l, line->active, w);
        put64(w, line->allocated);
        put64(w, line->repaid);
        put64(w, line->open);
        put64(w, line->rate != 0);
        if (line->rate != 0) put_rate(l, line->rate, w);
    }
    end(w);
}

static void write_financings(const kh_ledger *l, kh_sorted *items, writer *w)
{
    size_t n = 0;
    for (uint64_t at = 1; at < rows(l, KH_R_FIN); at++) items[n++] = (kh_sorted){l->fin[at].bank, l->fin[at].id, at};
    kh_sorted_sort(items, n);
    for (size_t i = 0; i < n; i++) write_financing(l, &l->fin[items[i].row], w);
}

/* ---- grants, the risk list ---- */

static void write_grants(const kh_ledger *l, kh_sorted *items, writer *w)
{
    size_t n = 0;
    for (uint64_t at = 1; at < rows(l, KH_R_GRANT); at++) items[n++] = (kh_sorted){l->grant[at].enterprise, l->grant[at].id, at};
    kh_sorted_sort(items, n);
    for (size_t i = 0; i < n; i++) {
        const kh_grant *g = &l->grant[items[i].row];
        begin(w, "grant\0\0");
        put64(w, g->enterprise);
        put64(w, g->id);
        put64(w, g->bank);
        put64(w, (uint64_t)g->scope << 32 | g->state);
        put64(w, g->from_ns);
        put64(w, g->until_ns);
        end(w);
    }
}

static bool risk_before(const kh_risk_row *a, const kh_risk_row *b)
{
    int way = memcmp(a->subject.b, b->subject.b, sizeof a->subject.b);
    if (way != 0) return way < 0;
    return a->category != b->category ? a->category < b->category : a->bank < b->bank;
}

static void write_risks(const kh_ledger *l, kh_sorted *items, writer *w)
{
    size_t n = 0;
    for (uint64_t at = 1; at < rows(l, KH_R_RISK); at++)
        if (l->risk[at].bank != 0) items[n++] = kh_sorted_of(l->risk[at].subject.b, at);
    kh_sorted_sort(items, n);
    for (size_t i = 1; i < n; i++) { /* contributions to one subject, few, by category and bank */
        kh_sorted one = items[i];
        size_t at = i;
        for (; at > 0 && risk_before(&l->risk[one.row], &l->risk[items[at - 1].row]); at--) items[at] = items[at - 1];
        items[at] = one;
    }
    for (size_t i = 0; i < n; i++) {
        const kh_risk_row *r = &l->risk[items[i].row];
        begin(w, "risk\0\0\0");
        put(w, r->subject.b, 16);
        put64(w, (uint64_t)r->category << 32 | r->bank);
        end(w);
    }
}

/* ---- all of it ---- */

size_t kh_ledger_checkpoint_scratch(const kh_ledger *l)
{
    uint64_t most = kh_max64(rows(l, KH_REGION_INDEX_RECORDS), rows(l, KH_R_FIN));
    most = kh_max64(most, kh_max64(rows(l, KH_R_GRANT), kh_max64(rows(l, KH_R_RISK), rows(l, KH_R_WAIT))));
    return (size_t)(most + 1) * sizeof(kh_sorted);
}

void kh_ledger_checkpoint(const kh_ledger *l, void *scratch, const kh_leaves *to)
{
    writer w = {.to = to};
    write_head(l, &w);
    write_expelled(l, &w);
    write_rules(l, &w);
    write_rates(l, &w);
    write_parties(l, &w);
    write_papers(l, scratch, &w);
    write_refs(l, &w);
    write_waiting(l, scratch, &w);
    write_financings(l, scratch, &w);
    write_grants(l, scratch, &w);
    write_risks(l, scratch, &w);
}
