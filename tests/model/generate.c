/* generate: what a random party may do next, and what it should not. */
#include "generate.h"
#include <stdio.h>

const uint32_t generator_banks[3] = {11, 12, 13};
const kh_currency generator_currencies[4] = {840, 156, 392, 414}; /* USD CNY JPY KWD: exponents 2 2 0 3 */
static const char *const owners[3] = {"91350100M0001TGQXM", "91350211M0000XUF46", "NO123456789MVA"};
static const uint32_t enterprises[3] = {21, 22, 23};
static const char *const products[3] = {"export_receivable", "export_order", "import_payment"};

uint64_t generator_random(generator *g, uint64_t below)
{
    g->random += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64, Steele, Lea and Flood 2014 */
    uint64_t z = g->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % below;
}

static bool chance(generator *g, uint32_t percent) { return generator_random(g, 100) < percent; }

void generator_init(generator *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    g->random = seed;
}

/* The cast. In each group of six of one owner, the declaration names the invoice (1) or the bill of lading (2). */
kh_kind generator_doc_kind(uint32_t doc)
{
    static const kh_kind kinds[6] = {KH_KIND_EXPORT_DECLARATION, KH_KIND_INVOICE,     KH_KIND_BILL_OF_LADING,
                                     KH_KIND_IMPORT_DECLARATION, KH_KIND_CREDIT_NOTE, KH_KIND_RECEIVABLE};
    return kinds[doc % 6];
}

kh_text generator_doc_owner(uint32_t doc) { return kh_text_of(owners[doc / 6 % 3]); }

static kh_text number_of(uint32_t doc, char buf[64])
{
    bool declaration = kh_kind_is_declaration(generator_doc_kind(doc));
    int n = declaration ? snprintf(buf, 64, "22012026%c%09u", doc % 6 == 0 ? '0' : '1', doc) : snprintf(buf, 64, "INV-%u", doc);
    return (kh_text){buf, (uint32_t)n};
}

static kh_text issuer_of(uint32_t doc)
{
    kh_kind kind = generator_doc_kind(doc);
    return kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE ? generator_doc_owner(doc) : (kh_text){NULL, 0};
}

kh_key generator_doc_key(uint32_t doc)
{
    char buf[64];
    return kh_doc_key(generator_doc_kind(doc), number_of(doc, buf), issuer_of(doc));
}

static kh_text corrected_number(uint32_t doc, uint32_t k, char buf[64])
{
    return (kh_text){buf, (uint32_t)snprintf(buf, 64, "INV-%u-C%u", doc, k)};
}

kh_key generator_corrected_key(uint32_t doc, uint32_t k)
{
    char buf[64];
    return kh_doc_key(KH_KIND_INVOICE, corrected_number(doc, k, buf), issuer_of(doc));
}

uint64_t generator_step_ns(generator *g)
{
    uint64_t kind = generator_random(g, 100);
    if (kind < 70) return generator_random(g, 1000) * 1000000;
    if (kind < 97) return generator_random(g, 6 * 3600) * KH_NS_PER_S;
    return generator_random(g, 6 * 86400) * KH_NS_PER_S;
}

static uint64_t some_amount(generator *g, uint64_t around)
{
    switch (generator_random(g, 5)) {
    case 0: return 1 + generator_random(g, 50);
    case 1: return around > 0 ? around : 1;
    case 2: return around + 1;
    case 3: return 1 + generator_random(g, around + 1);
    default: return 1 + generator_random(g, around / 4 + 10);
    }
}

/* ---- the opening ---- */

enum { SETUP_PARTIES = 8, SETUP_RATES = 6 };
uint32_t generator_setup_cnt(void) { return SETUP_PARTIES + SETUP_RATES; }

static void setup(generator *g, kh_op *op)
{
    static const uint32_t ids[SETUP_PARTIES] = {1, 11, 12, 13, 21, 22, 23, 31};
    static const kh_op_rate_set rates[SETUP_RATES] = {
        {840, 156, {7100, 3}, 9400, {"boc", 3}},  {156, 840, {1408, 4}, 9400, {"boc", 3}},
        {840, 392, {14975, 2}, 9400, {"boc", 3}}, {392, 840, {66780, 7}, 9400, {"boc", 3}},
        {840, 414, {30712, 5}, 9400, {"boc", 3}}, {414, 840, {325600, 5}, 20000, {"boc", 3}}};
    uint32_t n = g->made;
    if (n < SETUP_PARTIES) {
        op->type = KH_OP_PARTY_ADD;
        kh_role role = n == 0 ? KH_ROLE_REGULATOR : n < 4 ? KH_ROLE_BANK : n < 7 ? KH_ROLE_ENTERPRISE : KH_ROLE_SOURCE;
        op->party_add = (kh_op_party_add){.id = ids[n], .role = (uint8_t)role};
        op->party_add.name = (kh_text){g->texts[0], (uint32_t)snprintf(g->texts[0], 64, "Party %u", n)};
        if (role == KH_ROLE_ENTERPRISE) op->party_add.uscc = kh_text_of(owners[n - 4]);
    } else {
        op->type = KH_OP_RATE_SET;
        op->rate_set = rates[n - SETUP_PARTIES];
    }
}

/* ---- documents ---- */

static void some_balances(generator *g, kh_op_document *d, uint32_t doc)
{
    bool used[4] = {false};
    uint32_t cnt = !g->declared[doc] && chance(g, 8) ? 0 : doc % 6 != 1 && doc % 4 == 1 ? 2 : 1;
    bool note = d->kind == KH_KIND_CREDIT_NOTE;
    if (kh_kind_is_declaration((kh_kind)d->kind) && chance(g, 6))
        cnt = (uint32_t)generator_random(g, 2); /* an amendment takes some out */
    if (cnt == 0 && d->action == KH_DOC_AMEND) d->flags |= KH_DOCF_NO_AMOUNT;
    if (note) cnt = 1;
    for (uint32_t i = 0; i < cnt; i++) used[((doc / 6 == 3 ? 2 : doc / 6 == 1 ? 1 : 0) + i * (1 + doc % 3)) % 4] = true;
    static const uint8_t by_number[4] = {1, 2, 3, 0}; /* ascending by ISO numeric: 156 392 414 840 */
    for (uint32_t i = 0; i < 4; i++) {
        if (!used[by_number[i]]) continue;
        uint64_t base = chance(g, 5) ? 0 : generator_random(g, 100000);
        if (note) base = 1 + generator_random(g, 20000);
        if (note && g->base[doc - 3] > 0 && chance(g, 50)) base = g->base[doc - 3]; /* all of its invoice */
        d->balances[d->balance_cnt++] = (kh_op_balance){generator_currencies[by_number[i]], base};
        g->base[doc] = base;
    }
    g->declared[doc] = g->declared[doc] || d->balance_cnt != 0;
    g->balance_cnt[doc] = d->balance_cnt;
    memcpy(g->balances[doc], d->balances, d->balance_cnt * sizeof *d->balances);
}

static kh_status some_status(generator *g, kh_kind kind)
{
    if (chance(g, 75)) return kh_kind_is_declaration(kind) ? KH_STATUS_CLEARED : KH_STATUS_NORMAL;
    static const kh_status declaration[] = {KH_STATUS_LODGED, KH_STATUS_RELEASED, KH_STATUS_EXITED, KH_STATUS_NONE,
                                            KH_STATUS_REVOKED};
    static const kh_status invoice[] = {KH_STATUS_NORMAL, KH_STATUS_ABNORMAL, KH_STATUS_LOST_CONTROL, KH_STATUS_NONE,
                                        KH_STATUS_VOID};
    if (kh_kind_is_declaration(kind)) return declaration[generator_random(g, chance(g, 20) ? 5 : 4)];
    if (kind == KH_KIND_INVOICE) return invoice[generator_random(g, chance(g, 20) ? 5 : 4)];
    return KH_STATUS_NORMAL;
}

static void some_document(generator *g, kh_op *op)
{
    bool opening = g->made < generator_setup_cnt() + WORLD_DOCS;
    uint32_t doc = opening && chance(g, 90) ? g->made - generator_setup_cnt() : (uint32_t)generator_random(g, WORLD_DOCS);
    kh_op_document *d = &op->document;
    memset(d, 0, sizeof *d);
    op->type = KH_OP_DOCUMENT;
    if (chance(g, 30)) op->party = 31;
    if (chance(g, 2)) op->party = 12; /* a bank may not */
    d->kind = (uint8_t)generator_doc_kind(doc);
    d->number = number_of(doc, g->texts[0]);
    d->issuer = issuer_of(doc);
    d->owner = generator_doc_owner(chance(g, 2) ? doc + 6 : doc);
    d->action = KH_DOC_PUT;
    d->status = (uint8_t)some_status(g, (kh_kind)d->kind);
    d->date = (kh_date)(9790 + (doc % 7) + (chance(g, kh_kind_is_declaration((kh_kind)d->kind) ? 10 : 2) ? 1 : 0));
    if (kh_kind_is_declaration((kh_kind)d->kind) && chance(g, 30)) {
        d->action = (uint8_t)(chance(g, 10) ? KH_DOC_CANCEL : chance(g, 50) ? KH_DOC_AMEND : KH_DOC_STATUS);
        if (d->action == KH_DOC_CANCEL) d->status = 0;
    }
    bool corrects = doc % 6 == 1 && g->stored[doc] && chance(g, 30);
    bool again =
        !corrects && g->stored[doc] && chance(g, kh_kind_is_declaration((kh_kind)d->kind) ? 15 : 90) && g->balance_cnt[doc] != 0;
    if (again) { /* the same paper once more */
        d->balance_cnt = g->balance_cnt[doc];
        memcpy(d->balances, g->balances[doc], d->balance_cnt * sizeof *d->balances);
        d->date = (kh_date)(9790 + doc % 7);
    } else if (d->action == KH_DOC_PUT || d->action == KH_DOC_AMEND) {
        some_balances(g, d, doc);
    }
    if (d->action > KH_DOC_AMEND) d->balance_cnt = 0;
    if (d->action > KH_DOC_AMEND) d->date = 0;
    if (chance(g, 15)) d->doc_version = 1 + (uint32_t)generator_random(g, 6) + g->made / 300;
    if (chance(g, 10)) d->issue_time = 1796000000 + generator_random(g, 2000) + g->made;
    if (d->action == KH_DOC_PUT && chance(g, 4)) d->flags |= KH_DOCF_FORCE;
    if (d->action != KH_DOC_PUT) return;
    uint32_t group = doc - doc % 6;
    if (doc % 6 == 0 || doc % 6 == 5) { /* the declaration names the invoice, the receivable the bill of lading */
        uint32_t named = group + (doc % 6 == 0 ? 1 : 2);
        if (doc >= 12)
            d->refs[d->ref_cnt++] = (kh_op_ref){KH_REF_LINK, (uint8_t)generator_doc_kind(named), generator_doc_key(named)};
    }
    if (corrects) {
        d->number = corrected_number(doc, (uint32_t)generator_random(g, 8), g->texts[0]);
        d->refs[d->ref_cnt++] = (kh_op_ref){KH_REF_CORRECTS, KH_KIND_INVOICE, generator_doc_key(doc)};
    }
    if (doc % 6 == 4) d->refs[d->ref_cnt++] = (kh_op_ref){KH_REF_CORRECTS, KH_KIND_INVOICE, generator_doc_key(group + 1)};
}

/* ---- financings ---- */

static void some_application(generator *g, kh_op *op)
{
    uint32_t bank = (uint32_t)generator_random(g, 3), firm = (uint32_t)generator_random(g, 3);
    kh_op_apply *b = &op->apply;
    memset(b, 0, sizeof *b);
    op->type = KH_OP_APPLY;
    op->party = chance(g, 1) ? 31 : generator_banks[bank];
    b->id = chance(g, 3) && g->next_fin[bank] > 0 ? 1 + generator_random(g, g->next_fin[bank]) : ++g->next_fin[bank];
    b->enterprise = chance(g, 1) ? 99 : enterprises[firm];
    b->currency = generator_currencies[chance(g, 60) ? (firm == 1 ? 1 : 0) : generator_random(g, 4)];
    b->allow_partial = chance(g, 30);
    b->product = kh_text_of(products[generator_random(g, 3)]);
    b->lines = g->lines;
    b->line_cnt = chance(g, 60) ? 1 : 1 + (uint32_t)generator_random(g, 8);
    bool parts = chance(g, 60);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->line_cnt; i++) {
        uint32_t doc = firm * 6 + (uint32_t)generator_random(g, 6);
        if (firm == 0 && chance(g, 40)) doc += 18;
        if (chance(g, 3)) doc = (uint32_t)generator_random(g, WORLD_DOCS);
        kh_op_line *l = &g->lines[i];
        uint64_t around = g->base[doc] / b->line_cnt;
        *l = (kh_op_line){.key = generator_doc_key(doc), .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
        for (uint32_t j = 0; j < i; j++)
            if (kh_key_equal(&g->lines[j].key, &l->key)) { /* one line a document */
                b->line_cnt = i;
                break;
            }
        if (b->line_cnt == i) break;
        if (chance(g, 10)) l->currency = generator_currencies[generator_random(g, 4)];
        if (chance(g, 20)) l->total = chance(g, 90) ? g->base[doc] : g->base[doc] + 1;
        uint64_t part = chance(g, 35) && g->base[doc] > 0 ? g->base[doc] : some_amount(g, around);
        if (parts) l->allocated = part;
        sum += part;
    }
    b->amount = parts && chance(g, 2) ? sum + 1 : sum;
}

static void some_event(generator *g, kh_op *op)
{
    uint32_t bank = (uint32_t)generator_random(g, 3);
    kh_op_event *e = &op->event;
    memset(e, 0, sizeof *e);
    op->type = KH_OP_EVENT;
    op->party = generator_banks[bank];
    e->id = 1 + generator_random(g, g->next_fin[bank] + 2);
    uint8_t state = 0;
    const target *t = NULL;
    uint32_t version = 1;
    if (g->target_cnt > 0 && chance(g, 95)) {
        t = &g->targets[generator_random(g, g->target_cnt)];
        op->party = t->bank;
        e->id = t->id;
        state = t->state;
        version = t->version;
    }
    uint64_t dice = generator_random(g, 100);
    e->event = (uint8_t)(dice < 25   ? KH_EV_ACCEPT
                         : dice < 45 ? KH_EV_APPROVE
                         : dice < 50 ? KH_EV_REJECT
                         : dice < 55 ? KH_EV_WITHDRAW
                         : dice < 73 ? KH_EV_DISBURSE
                         : dice < 96 ? KH_EV_REPAY
                                     : KH_EV_REVERSE);
    if (state != 0 && chance(g, 70)) { /* what comes next in its life */
        static const uint8_t next[] = {0, KH_EV_ACCEPT, KH_EV_APPROVE, KH_EV_DISBURSE, KH_EV_REPAY, KH_EV_REPAY};
        e->event = next[state];
    }
    e->amount = KH_AMOUNT_NONE;
    if ((e->event == KH_EV_DISBURSE || e->event == KH_EV_REPAY) && chance(g, 60)) e->amount = some_amount(g, 5000);
    if (e->event == KH_EV_REPAY) e->source = (uint8_t)generator_random(g, 3);
    if (e->event == KH_EV_REJECT || e->event == KH_EV_WITHDRAW)
        e->reason = (uint8_t)(chance(g, 90) ? KH_REASON_OTHER : KH_REASON_NONE);
    if (chance(g, 30)) {
        e->has_expect = 1;
        e->expect = chance(g, 70) ? version : 1 + (uint32_t)generator_random(g, 5);
    }
    e->lines = g->lines;
    if (t == NULL || !chance(g, e->event == KH_EV_DISBURSE || e->event == KH_EV_REPAY ? 30 : 1)) return;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->line_cnt; i++) {
        kh_op_line *l = &g->lines[e->line_cnt];
        if (chance(g, 30)) continue;
        *l = t->lines[i];
        if (chance(g, 50)) l->allocated = chance(g, 4) ? l->allocated + 1 : generator_random(g, l->allocated + 1);
        if (chance(g, 3)) l->key = generator_doc_key((uint32_t)generator_random(g, WORLD_DOCS));
        if (chance(g, 60)) l->currency = 0;
        sum += l->allocated;
        e->line_cnt++;
    }
    e->amount = chance(g, 40) ? KH_AMOUNT_NONE : chance(g, 95) ? sum : sum + 1;
}

static void some_rule(generator *g, kh_op *op)
{
    static const char *const rules[][2] = {{"hold_ttl_applied", "3d"},
                                           {"hold_ttl_applied", "12h"},
                                           {"hold_ttl_accepted", "10d"},
                                           {"hold_ttl_accepted", "90m"},
                                           {"restore_on_own_funds", "on"},
                                           {"restore_on_own_funds", "off"},
                                           {"ratio_bp.kind.invoice", "10000"},
                                           {"ratio_bp.kind.invoice", "8000"},
                                           {"ratio_bp.kind.export_declaration", "9333"},
                                           {"ratio_bp.kind.export_declaration", "10000"},
                                           {"ratio_bp.product.export_order", "7000"},
                                           {"ratio_bp.product.export_order", "10000"},
                                           {"max_age.invoice", "off"},
                                           {"max_age.invoice", "30d"},
                                           {"currencies", "all"},
                                           {"currencies", "all"},
                                           {"currencies", "USD,CNY,JPY"},
                                           {"apply_needs_total", "off"},
                                           {"apply_needs_total", "off"},
                                           {"apply_needs_total", "on"},
                                           {"risk_free_queries", "6"},
                                           {"risk_free_queries", "40"},
                                           {"risk_queries_per_entry", "0"},
                                           {"risk_queries_per_entry", "9"}};
    size_t i = generator_random(g, sizeof rules / sizeof *rules);
    op->type = KH_OP_RULE_SET;
    op->party = chance(g, 5) ? 11 : 1;
    op->rule_set = (kh_op_rule_set){kh_text_of(rules[i][0]), kh_text_of(rules[i][1])};
}

static void some_rate(generator *g, kh_op *op)
{
    uint64_t from = generator_random(g, 4), to = (from + 1 + generator_random(g, 3)) % 4;
    op->type = KH_OP_RATE_SET;
    op->rate_set = (kh_op_rate_set){generator_currencies[from],
                                    generator_currencies[to],
                                    {1 + generator_random(g, 5000000), 5},
                                    (kh_date)(9790 + generator_random(g, 60)),
                                    {"desk", 4}};
}

size_t generator_next(generator *g, uint8_t buf[4096])
{
    kh_op op;
    size_t n = 0;
    memset(&op, 0, sizeof op);
    op.sequence = ++g->sequence;
    uint64_t dice = generator_random(g, 1000);
    if (g->made < generator_setup_cnt()) setup(g, &op);
    else if (g->made < generator_setup_cnt() + WORLD_DOCS) some_document(g, &op);
    else if (dice < 5) { /* a frame that holds nothing */ n = 24 + 8 * generator_random(g, 8);
        for (size_t i = 4; i < n; i++) buf[i] = (uint8_t)generator_random(g, 256);
        buf[5] = 1;                        /* reserved: makes it none whatever the rest says */
        if (generator_random(g, 8) == 0) { /* and not even its size is sound: the rest of the entry cannot be told apart */
            kh_store32(buf, 20);
            g->made++;
            return n;
        }
        kh_store32(buf, (uint32_t)n);
        g->made++;
        return n;
    } else if (dice < 45 && g->sent_cnt > 0) { /* sent again */
        uint32_t i = (uint32_t)generator_random(g, g->sent_cnt < REMEMBERED ? g->sent_cnt : REMEMBERED);
        memcpy(buf, g->sent[i].bytes, g->sent[i].n);
        kh_store64(buf + 16, op.sequence);
        g->made++;
        return g->sent[i].n;
    } else if (dice < 240) some_document(g, &op);
    else if (dice < 500) some_application(g, &op);
    else if (dice < 940) some_event(g, &op);
    else if (dice < 980) generator_consent(g, &op);
    else if (dice < 988) some_rule(g, &op);
    else if (dice < 994) some_rate(g, &op);
    else {
        op.type = KH_OP_PARTY_STATUS;
        op.party_status.id = chance(g, 50) ? generator_banks[generator_random(g, 3)] : enterprises[generator_random(g, 3)];
        op.party_status.frozen = chance(g, 10);
        if (chance(g, 5)) op = (kh_op){.type = KH_OP_EXPELLED, .expelled = {generator_banks[generator_random(g, 3)]}};
    }
    KH_ASSERT(kh_op_encode(&op, buf, 4096, &n) == KH_OK);
    bool consents = op.type >= KH_OP_GRANT;
    if (op.type == KH_OP_APPLY || op.type == KH_OP_EVENT || (consents && chance(g, 50))) {
        uint32_t i = g->sent_cnt++ % REMEMBERED;
        memcpy(g->sent[i].bytes, buf, n);
        g->sent[i].n = n;
    }
    g->made++;
    return n;
}
