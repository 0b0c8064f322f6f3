/* fuzz_ledger: any bytes as entries of a log. The first byte says how: 0, the rest is one entry as it stands, so that nothing
 * decided can break the ledger; else the bytes choose among a few parties, papers and sums, so that operations meet each other:
 * 1 without grants and the risk list, 2 and up with them.
 * Every operation must get its receipt, and the invariants must hold after every entry. */
#include "ledger/ledger.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 64
#define ENTRY_OPS_MAX 16
#define T0 (UINT64_C(1790000000) * KH_NS_PER_S)

typedef struct choices {
    const uint8_t *p, *end;
    bool consent;
} choices;

typedef struct entry {
    uint8_t ops[ENTRY_OPS_MAX * 4096];
    size_t n;
    uint32_t cnt;
} entry;

typedef struct machine {
    kh_state state;
    kh_index *index;
    kh_ledger *ledger;
    void *index_mem, *ledger_mem;
    uint64_t time;
    uint32_t receipt_cnt;
} machine;

static uint32_t choose(choices *c, uint32_t n) { return c->p < c->end ? *c->p++ % n : 0; }

static void count_receipt(void *self, const kh_outcome *o)
{
    machine *m = self;
    m->receipt_cnt += o->is_notice ? 0 : 1;
    KH_ASSERT(o->bytes_sz > 0 && (o->receipt != NULL) != (o->notice != NULL));
}

static void apply(machine *m, const uint8_t *ops, size_t n, uint32_t cnt)
{
    kh_sink sink = {count_receipt, m};
    m->receipt_cnt = 0;
    kh_ledger_apply(m->ledger, kh_ledger_height(m->ledger) + 1, m->time, ops, n, cnt, &sink);
    KH_ASSERT(m->receipt_cnt == cnt);
    const char *broken = kh_ledger_verify_invariants(m->ledger);
    if (broken != NULL) fprintf(stderr, "%s\n", broken);
    KH_ASSERT(broken == NULL);
}

static const char *const owners[2] = {"91350211M000100Y43", "91350100M0001TGQXM"};
static const kh_currency currencies[3] = {840, 978, 392};

typedef struct paper {
    kh_kind kind;
    kh_text number, issuer;
    char number_text[24];
} paper;

/* One of twelve papers: exports, imports, invoices of either owner, bills of lading. */
static void choose_paper(choices *c, paper *p)
{
    static const kh_kind kinds[4] = {KH_KIND_EXPORT_DECLARATION, KH_KIND_IMPORT_DECLARATION, KH_KIND_INVOICE,
                                     KH_KIND_BILL_OF_LADING};
    uint32_t which = choose(c, 12);
    p->kind = kinds[which % 4];
    int n = snprintf(p->number_text, sizeof p->number_text, p->kind <= KH_KIND_IMPORT_DECLARATION ? "31012026%d%09u" : "%.0dN%u",
                     p->kind == KH_KIND_IMPORT_DECLARATION, which);
    p->number = (kh_text){p->number_text, (uint32_t)n};
    p->issuer = p->kind == KH_KIND_INVOICE ? kh_text_of(owners[which / 4 % 2]) : (kh_text){NULL, 0};
}

static uint64_t choose_amount(choices *c) { return choose(c, 8) == 0 ? KH_AMOUNT_NONE : UINT64_C(100) * choose(c, 64); }

static void choose_document(choices *c, kh_op *op)
{
    static const uint8_t statuses[8] = {0,
                                        KH_STATUS_CLEARED,
                                        KH_STATUS_RELEASED,
                                        KH_STATUS_REVOKED,
                                        KH_STATUS_NORMAL,
                                        KH_STATUS_VOID,
                                        KH_STATUS_RED_PENDING,
                                        KH_STATUS_ABNORMAL};
    static paper p, other;
    kh_op_document *d = &op->document;
    op->type = KH_OP_DOCUMENT;
    choose_paper(c, &p);
    d->action = choose(c, 4) == 0 ? (uint8_t)(1 + choose(c, 4)) : KH_DOC_PUT;
    d->kind = (uint8_t)(p.kind == KH_KIND_INVOICE && choose(c, 4) == 0 ? KH_KIND_CREDIT_NOTE : p.kind);
    d->status = statuses[choose(c, 8)];
    d->flags = (uint8_t)(choose(c, 8) == 0 ? 1u << choose(c, 6) : 0);
    d->number = p.number;
    d->issuer = p.issuer;
    d->owner = choose(c, 16) == 0 ? (kh_text){NULL, 0} : p.issuer.n != 0 ? p.issuer : kh_text_of(owners[choose(c, 2)]);
    d->date = (kh_date)(9700 + choose(c, 4));
    d->doc_version = choose(c, 4);
    d->issue_time = choose(c, 3);
    d->contract = choose(c, 3);
    uint64_t amount = choose_amount(c);
    if (amount != KH_AMOUNT_NONE) d->balances[d->balance_cnt++] = (kh_op_balance){currencies[choose(c, 2)], amount};
    if (choose(c, 3) != 0) return;
    choose_paper(c, &other);
    d->refs[d->ref_cnt++] = (kh_op_ref){(uint8_t)(d->kind == KH_KIND_CREDIT_NOTE ? KH_REF_CORRECTS : KH_REF_LINK),
                                        (uint8_t)other.kind, kh_doc_key(other.kind, other.number, other.issuer)};
}

static uint32_t choose_lines(choices *c, kh_op_line *lines, uint32_t least, bool totals)
{
    uint32_t cnt = least + choose(c, 4);
    for (uint32_t i = 0; i < cnt; i++) {
        paper p;
        choose_paper(c, &p);
        lines[i] = (kh_op_line){kh_doc_key(p.kind, p.number, p.issuer), choose(c, 2) ? currencies[choose(c, 3)] : 0,
                                choose_amount(c), totals ? choose_amount(c) : KH_AMOUNT_NONE};
    }
    return cnt;
}

static void choose_consent(choices *c, kh_op *op)
{
    static uint8_t subjects[4 * 16];
    uint32_t enterprise = 101 + choose(c, 3), id = choose(c, 4);
    uint8_t scope = (uint8_t)(1 + choose(c, 3)), category = (uint8_t)(1 + choose(c, KH_RISK_CNT - 1));
    kh_key subject = {{(uint8_t)choose(c, 4)}};
    op->type = (uint8_t)(KH_OP_GRANT + choose(c, 6));
    switch (op->type) {
    case KH_OP_GRANT:
        op->party = choose(c, 4) == 0 ? 0 : enterprise;
        op->grant = (kh_op_grant){
            id,   T0 + choose(c, 3) * KH_NS_PER_S, T0 + (2 + choose(c, 8)) * 86400 * KH_NS_PER_S, enterprise, 11 + choose(c, 3),
            scope};
        break;
    case KH_OP_GRANT_REVOKE:
        op->party = choose(c, 4) == 0 ? 0 : enterprise;
        op->grant_revoke = (kh_op_grant_revoke){id, enterprise};
        break;
    case KH_OP_CREDIT_LOOKUP: op->credit_lookup = (kh_op_credit_lookup){id, enterprise, scope}; break;
    case KH_OP_RISK_ADD: op->risk_add = (kh_op_risk_add){subject, category}; break;
    case KH_OP_RISK_REMOVE: op->risk_remove = (kh_op_risk_remove){subject, choose(c, 3) == 0 ? 11 : 0, category}; break;
    default:
        op->risk_ask = (kh_op_risk_ask){1 + choose(c, 4), subjects};
        for (uint32_t i = 0; i < 4; i++) subjects[16 * i] = (uint8_t)choose(c, 4);
    }
}

static void choose_operation(choices *c, kh_op *op, kh_op_scratch *scratch)
{
    static const char *const rules[][2] = {{"ratio_bp.kind.invoice", "8000"},     {"hold_ttl_applied", "1d"},
                                           {"apply_needs_total", "on"},           {"currencies", "USD"},
                                           {"max_age.export_declaration", "90d"}, {"refusal_limit", "2/1"},
                                           {"restore_on_own_funds", "off"},       {"ratio_bp.product.p", "5000"}};
    op->party = choose(c, 8) == 0 ? 0 : 11 + choose(c, 3);
    if (c->consent && choose(c, 3) == 0) {
        choose_consent(c, op);
        return;
    }
    switch (choose(c, 8)) {
    case 0:
    case 1: choose_document(c, op); break;
    case 2:
    case 3:
        op->type = KH_OP_APPLY;
        op->apply = (kh_op_apply){.id = choose(c, 8),
                                  .enterprise = 101 + choose(c, 3),
                                  .currency = currencies[choose(c, 3)],
                                  .allow_partial = (uint8_t)choose(c, 2),
                                  .amount = 100 * choose(c, 64),
                                  .product = kh_text_of(choose(c, 2) ? "p" : "q"),
                                  .lines = scratch->lines};
        op->apply.line_cnt = choose_lines(c, scratch->lines, 1, true);
        break;
    case 4:
    case 5:
        op->type = KH_OP_EVENT;
        op->event = (kh_op_event){.id = choose(c, 8),
                                  .event = (uint8_t)(1 + choose(c, 7)),
                                  .source = (uint8_t)choose(c, 3),
                                  .reason = (uint8_t)choose(c, 8),
                                  .has_expect = (uint8_t)choose(c, 2),
                                  .amount = choose_amount(c),
                                  .lines = scratch->lines};
        if (op->event.has_expect) op->event.expect = choose(c, 6);
        if (choose(c, 4) == 0) op->event.line_cnt = choose_lines(c, scratch->lines, 0, false);
        break;
    case 6: {
        uint32_t i = choose(c, 8);
        op->type = KH_OP_RULE_SET;
        op->party = 0;
        op->rule_set = (kh_op_rule_set){kh_text_of(rules[i][0]), kh_text_of(rules[i][1])};
        break;
    }
    default:
        op->party = 0;
        if (choose(c, 2) == 0) {
            op->type = KH_OP_RATE_SET;
            op->rate_set = (kh_op_rate_set){currencies[choose(c, 3)],
                                            currencies[choose(c, 3)],
                                            {1 + choose(c, 200), (uint8_t)choose(c, 3)},
                                            (kh_date)(9700 + choose(c, 8)),
                                            kh_text_of("s")};
        } else {
            op->type = KH_OP_PARTY_STATUS;
            op->party_status = (kh_op_party_status){choose(c, 2) ? 11 : 101, (uint8_t)choose(c, 2)};
            if (op->party_status.id == 11 && choose(c, 4) == 3) *op = (kh_op){.type = KH_OP_EXPELLED, .expelled = {11}};
        }
    }
}

static void add(entry *e, const kh_op *op)
{
    size_t n = 0;
    if (kh_op_encode(op, e->ops + e->n, sizeof e->ops - e->n, &n) != KH_OK) return; /* what cannot be written cannot be sent */
    e->n += n;
    e->cnt++;
}

static void add_parties(entry *e)
{
    static const struct {
        uint32_t id;
        uint8_t role;
        const char *name, *uscc;
    } parties[] = {{1, KH_ROLE_REGULATOR, "r", NULL},
                   {11, KH_ROLE_BANK, "a", NULL},
                   {12, KH_ROLE_BANK, "b", NULL},
                   {13, KH_ROLE_BANK, "c", NULL},
                   {101, KH_ROLE_ENTERPRISE, "x", "91350211M000100Y43"},
                   {102, KH_ROLE_ENTERPRISE, "y", "91350100M0001TGQXM"}};
    for (size_t i = 0; i < sizeof parties / sizeof parties[0]; i++) {
        kh_op op = {.type = KH_OP_PARTY_ADD};
        op.party_add =
            (kh_op_party_add){parties[i].id, parties[i].role, kh_text_of(parties[i].name), kh_text_of(parties[i].uscc)};
        add(e, &op);
    }
}

static void begin(machine *m)
{
    static const uint8_t secret[16] = "0123456789abcde";
    kh_region_spec specs[KH_REGION_MAX];
    memset(m, 0, sizeof *m);
    m->time = T0;
    if (kh_state_init(&m->state, specs, kh_ledger_regions(specs)) != KH_OK) abort();
    m->index_mem = aligned_alloc(64, (kh_index_footprint() + 63) / 64 * 64);
    m->ledger_mem = aligned_alloc(64, (kh_ledger_footprint() + 63) / 64 * 64);
    if (m->index_mem == NULL || m->ledger_mem == NULL || kh_index_open(&m->state, secret, m->index_mem, &m->index) != KH_OK)
        abort();
    kh_index_reclaim_none(m->index);
    if (kh_ledger_open(&m->state, m->index, secret, m->ledger_mem, &m->ledger) != KH_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static entry e;
    static kh_op_scratch scratch;
    static machine m;
    if (size == 0) return 0;
    begin(&m);
    e.n = e.cnt = 0;
    add_parties(&e);
    apply(&m, e.ops, e.n, e.cnt);
    if (data[0] == 0) apply(&m, data + 1, size - 1, 1 + (uint32_t)(size % 5));
    choices c = {data + 1, data + (data[0] == 0 ? 1 : size), data[0] > 1};
    for (int entries = 0; c.p < c.end && entries < ENTRIES_MAX; entries++) {
        e.n = e.cnt = 0;
        for (uint32_t i = choose(&c, ENTRY_OPS_MAX); i > 0 && c.p < c.end; i--) {
            kh_op op = {.sequence = i};
            choose_operation(&c, &op, &scratch);
            add(&e, &op);
        }
        static const uint64_t steps[4] = {0, 1, 3600, 86400 * 2};
        m.time += steps[choose(&c, 4)] * KH_NS_PER_S;
        apply(&m, e.ops, e.n, e.cnt);
    }
    kh_state_release(&m.state);
    free(m.index_mem);
    free(m.ledger_mem);
    return 0;
}
