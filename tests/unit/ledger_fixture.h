/* ledger_fixture: a ledger over an empty state, and a short hand for operations and what came out of them. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "ledger/ledger.h"

#define USD 840
#define EUR 978
#define JPY 392
#define DAY (86400 * KH_NS_PER_S)
#define T0 (UINT64_C(1790000000) * KH_NS_PER_S)
#define OUT_MAX 20000

typedef struct outcome {
    bool is_notice;
    kh_receipt receipt;
    kh_receipt_line line[4];
    kh_notice notice;
    uint32_t touch_cnt;
} outcome;

typedef struct world {
    kh_state state;
    kh_index *index;
    kh_ledger *l;
    void *index_mem, *ledger_mem;
    uint8_t ops[4 << 20];
    size_t ops_sz;
    uint32_t op_cnt;
    uint64_t now;
    outcome *out;
    uint32_t out_cnt;
    uint64_t all_outcomes; /* a digest over all outcome bytes */
    uint64_t sequence;
} world;

static const uint8_t *fixture_secret = (const uint8_t *)"0123456789abcde";

static inline void world_bind(world *w)
{
    w->index_mem = aligned_alloc(64, (kh_index_footprint() + 63) / 64 * 64);
    w->ledger_mem = aligned_alloc(64, (kh_ledger_footprint() + 63) / 64 * 64);
    cr_assert(kh_index_open(&w->state, fixture_secret, w->index_mem, &w->index) == KH_OK);
    kh_index_reclaim_none(w->index);
    cr_assert(kh_ledger_open(&w->state, w->index, fixture_secret, w->ledger_mem, &w->l) == KH_OK);
}

static inline world *world_new(void)
{
    world *w = calloc(1, sizeof *w);
    kh_region_spec specs[KH_REGION_MAX];
    w->out = calloc(OUT_MAX, sizeof *w->out);
    w->now = T0;
    cr_assert(kh_state_init(&w->state, specs, kh_ledger_regions(specs)) == KH_OK);
    world_bind(w);
    return w;
}

static inline void world_free(world *w)
{
    kh_state_release(&w->state);
    free(w->index_mem);
    free(w->ledger_mem);
    free(w->out);
    free(w);
}

static inline void world_emit(void *self, const kh_outcome *o)
{
    world *w = self;
    w->all_outcomes = w->all_outcomes * 31 + kh_xxh3(o->bytes, o->bytes_sz);
    if (w->out_cnt == OUT_MAX) return;
    outcome *out = &w->out[w->out_cnt++];
    memset(out, 0, sizeof *out);
    out->is_notice = o->is_notice;
    out->touch_cnt = o->touch_cnt;
    if (o->is_notice) {
        out->notice = *o->notice;
        return;
    }
    out->receipt = *o->receipt;
    for (uint32_t i = 0; i < o->receipt->line_cnt && i < 4; i++) out->line[i] = o->receipt->lines[i];
}

/* world_run applies what was added as one entry; outcomes of it alone are kept. */
static inline void world_run(world *w)
{
    kh_sink sink = {world_emit, w};
    w->out_cnt = 0;
    kh_ledger_apply(w->l, kh_ledger_height(w->l) + 1, w->now, w->ops, w->ops_sz, w->op_cnt, &sink);
    w->ops_sz = 0;
    w->op_cnt = 0;
}

static inline void world_sound(world *w)
{
    const char *broken = kh_ledger_verify_invariants(w->l);
    cr_assert(broken == NULL, "%s", broken);
}

static inline void world_add(world *w, kh_op *op)
{
    size_t n;
    op->sequence = ++w->sequence;
    cr_assert(kh_op_encode(op, w->ops + w->ops_sz, sizeof w->ops - w->ops_sz, &n) == KH_OK);
    w->ops_sz += n;
    w->op_cnt++;
}

/* world_one runs one operation as an entry of its own and gives its receipt. */
static inline const kh_receipt *world_one(world *w, kh_op *op)
{
    world_add(w, op);
    world_run(w);
    for (uint32_t i = 0; i < w->out_cnt; i++)
        if (!w->out[i].is_notice) return &w->out[i].receipt;
    cr_assert(false);
    return NULL;
}

static inline uint32_t world_notices(const world *w, kh_notice_type type)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->out_cnt; i++) n += w->out[i].is_notice && w->out[i].notice.type == type;
    return n;
}

static inline const kh_notice *world_notice(const world *w, kh_notice_type type, uint32_t party)
{
    for (uint32_t i = 0; i < w->out_cnt; i++)
        if (w->out[i].is_notice && w->out[i].notice.type == type && w->out[i].notice.party == party) return &w->out[i].notice;
    return NULL;
}

/* ---- short hands ---- */
static inline kh_code party(world *w, uint32_t id, kh_role role, const char *name, const char *uscc)
{
    kh_op op = {.type = KH_OP_PARTY_ADD, .party_add = {id, (uint8_t)role, kh_text_of(name), kh_text_of(uscc)}};
    return world_one(w, &op)->code;
}
static inline kh_code freeze(world *w, uint32_t id, bool frozen)
{
    kh_op op = {.type = KH_OP_PARTY_STATUS, .party_status = {id, frozen}};
    return world_one(w, &op)->code;
}
static inline kh_code rule(world *w, const char *name, const char *value)
{
    kh_op op = {.type = KH_OP_RULE_SET, .rule_set = {kh_text_of(name), kh_text_of(value)}};
    kh_code code = world_one(w, &op)->code;
    cr_assert(code == KH_C_CAPACITY || code == kh_ledger_rule_fits(op.rule_set.name, op.rule_set.value));
    return code;
}
static inline kh_code rate(world *w, kh_currency from, kh_currency to, const char *value, kh_date date)
{
    kh_rate r;
    cr_assert(kh_rate_parse(kh_text_of(value), &r));
    kh_op op = {.type = KH_OP_RATE_SET, .rate_set = {from, to, r, date, kh_text_of("test")}};
    return world_one(w, &op)->code;
}

/* A document operation: fill in more of it before doc_send. */
static inline kh_op doc_op(kh_doc_action action, kh_kind kind, const char *number, const char *owner, kh_currency currency,
                           uint64_t base)
{
    kh_op op = {.type = KH_OP_DOCUMENT};
    op.document.action = (uint8_t)action;
    op.document.kind = (uint8_t)kind;
    op.document.number = kh_text_of(number);
    op.document.owner = kh_text_of(owner);
    op.document.date = 9700;
    if (kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE) op.document.issuer = kh_text_of("SELLER");
    if (action == KH_DOC_PUT && (kind == KH_KIND_EXPORT_DECLARATION || kind == KH_KIND_IMPORT_DECLARATION))
        op.document.status = KH_STATUS_CLEARED;
    if (currency != 0) {
        op.document.balance_cnt = 1;
        op.document.balances[0] = (kh_op_balance){currency, base};
    }
    return op;
}
static inline kh_key key_of(kh_kind kind, const char *number)
{
    bool issued = kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE;
    return kh_doc_key(kind, kh_text_of(number), issued ? kh_text_of("SELLER") : (kh_text){NULL, 0});
}
static inline void doc_ref(kh_op *op, kh_ref_role role, kh_kind kind, const char *number)
{
    op->document.refs[op->document.ref_cnt++] = (kh_op_ref){(uint8_t)role, (uint8_t)kind, key_of(kind, number)};
}
#define EXPORT KH_KIND_EXPORT_DECLARATION
static inline const char *decl(uint32_t n)
{
    static char text[8][32];
    static uint32_t turn;
    char *p = text[turn++ % 8];
    snprintf(p, 32, "010120260%09u", n);
    return p;
}
static inline const kh_receipt *declare(world *w, uint32_t n, kh_currency currency, uint64_t base)
{
    kh_op op = doc_op(KH_DOC_PUT, EXPORT, decl(n), "OWNER1", currency, base);
    return world_one(w, &op);
}
static inline kh_doc_view doc_view(const world *w, kh_kind kind, const char *number, uint32_t bank)
{
    kh_doc_view v;
    kh_key key = key_of(kind, number);
    cr_assert(kh_ledger_document(w->l, &key, bank, &v), "%s is not there", number);
    return v;
}
static inline kh_balance_view balance(const world *w, uint32_t n, uint32_t bank)
{
    return doc_view(w, EXPORT, decl(n), bank).balances[0];
}

typedef struct part {
    kh_kind kind;
    const char *number;
    uint64_t allocated;
    kh_currency currency;
    uint64_t total;
} part;
static inline kh_op apply_op(uint32_t bank, uint64_t id, kh_currency currency, uint64_t amount, const part *parts, uint32_t n,
                             kh_op_line *lines)
{
    kh_op op = {.type = KH_OP_APPLY, .party = bank};
    op.apply = (kh_op_apply){.id = id,
                             .enterprise = 100,
                             .currency = currency,
                             .amount = amount,
                             .product = kh_text_of("export_receivable"),
                             .line_cnt = n,
                             .lines = lines};
    for (uint32_t i = 0; i < n; i++)
        lines[i] = (kh_op_line){key_of(parts[i].kind, parts[i].number), parts[i].currency, parts[i].allocated,
                                parts[i].total == 0 ? KH_AMOUNT_NONE : parts[i].total};
    return op;
}
static inline kh_code hold(world *w, uint32_t bank, uint64_t id, uint32_t doc, uint64_t amount)
{
    kh_op_line lines[1];
    part p = {EXPORT, decl(doc), amount, 0, 0};
    kh_op op = apply_op(bank, id, USD, amount, &p, 1, lines);
    return world_one(w, &op)->code;
}
static inline kh_op event_op(uint32_t bank, uint64_t id, kh_event e, uint64_t amount)
{
    kh_op op = {.type = KH_OP_EVENT, .party = bank};
    op.event = (kh_op_event){.id = id, .event = (uint8_t)e, .amount = amount};
    if (e == KH_EV_REJECT || e == KH_EV_WITHDRAW) op.event.reason = KH_REASON_OTHER;
    return op;
}
static inline kh_code event(world *w, uint32_t bank, uint64_t id, kh_event e, uint64_t amount)
{
    kh_op op = event_op(bank, id, e, amount);
    return world_one(w, &op)->code;
}
static inline kh_code repay(world *w, uint32_t bank, uint64_t id, uint64_t amount, kh_repay_source source)
{
    kh_op op = event_op(bank, id, KH_EV_REPAY, amount);
    op.event.source = (uint8_t)source;
    return world_one(w, &op)->code;
}
#define ALL KH_AMOUNT_NONE
static inline void disbursed(world *w, uint32_t bank, uint64_t id, uint32_t doc, uint64_t amount)
{
    cr_assert(hold(w, bank, id, doc, amount) == KH_C_OK);
    cr_assert(event(w, bank, id, KH_EV_ACCEPT, ALL) == KH_C_OK);
    cr_assert(event(w, bank, id, KH_EV_APPROVE, ALL) == KH_C_OK);
    cr_assert(event(w, bank, id, KH_EV_DISBURSE, ALL) == KH_C_OK);
}
static inline kh_fin_view fin_view(const world *w, uint32_t bank, uint64_t id)
{
    static kh_fin_view v;
    cr_assert(kh_ledger_financing(w->l, bank, id, &v));
    return v;
}

/* Banks 1 and 2, enterprise 100 (OWNER1) and 101 (OWNER2), source 50. */
static inline void world_people(world *w)
{
    cr_assert(party(w, 1, KH_ROLE_BANK, "Bank A", NULL) == KH_C_OK);
    cr_assert(party(w, 2, KH_ROLE_BANK, "Bank B", NULL) == KH_C_OK);
    cr_assert(party(w, 50, KH_ROLE_SOURCE, "Customs", NULL) == KH_C_OK);
    cr_assert(party(w, 100, KH_ROLE_ENTERPRISE, "Maker", "OWNER1") == KH_C_OK);
    cr_assert(party(w, 101, KH_ROLE_ENTERPRISE, "Trader", "OWNER2") == KH_C_OK);
}
static world *w;
static inline void fixture_start(void)
{
    w = world_new();
    world_people(w);
}
static inline void fixture_stop(void)
{
    world_sound(w);
    world_free(w);
}
#endif
