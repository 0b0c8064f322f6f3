/* model_ledger: feeds the same random operations to the ledger and to the auditor, and compares all that they say.
 *
 *   model_ledger [OPERATIONS [SEED [WORLD]]]     OPERATIONS in all, in worlds of WORLD operations each with a seed of its own
 * A difference prints the seed, the operation, and the line that runs just that world again; the exit status is 1. */
#include "auditor.h"
#include "generate.h"
#include "leaves.h"
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

enum { SHORT_OPS_MAX = 6, ENTRY_OPS_MAX = 240, OUTCOMES_MAX = 4096 }; /* long ones fill look-ahead's pipeline */

typedef struct captured {
    bool is_notice;
    uint32_t index;
    kh_receipt receipt;
    kh_receipt_line lines[16];
    kh_notice notice;
} captured;

typedef struct world {
    uint64_t seed, entry_time, height, compared;
    uint32_t entries;
    uint64_t fast; /* verdicts that the records alone gave */
    kh_state state;
    void *index_mem, *ledger_mem;
    kh_index *index;
    kh_ledger *ledger;
    auditor *auditor;
    generator gen;
    captured *got;
    uint32_t got_cnt;
    uint8_t entry[ENTRY_OPS_MAX * 4096];
    size_t at[ENTRY_OPS_MAX + 1];
    uint32_t op_cnt, op_now;
    twin twin;
    bool failed, trace; /* trace: every operation is printed (a run of one world) */
} world;

static uint64_t codes_seen[128];
static const uint8_t secret[16] = "model of ledger";

static void differ(world *w, const char *what, uint64_t by_ledger, uint64_t by_auditor)
{
    if (!w->failed)
        printf("seed %llu, operation %llu: %s: ledger %llu, auditor %llu\n  again: model_ledger 1 %llu\n",
               (unsigned long long)w->seed, (unsigned long long)(w->compared), what, (unsigned long long)by_ledger,
               (unsigned long long)by_auditor, (unsigned long long)w->seed);
    w->failed = true;
}
#define SAME(what, x, y)                                                                                                         \
    do {                                                                                                                         \
        if ((uint64_t)(x) != (uint64_t)(y)) differ(w, what, (uint64_t)(x), (uint64_t)(y));                                       \
    } while (0)

static void capture(void *self, const kh_outcome *o)
{
    world *w = self;
    KH_ASSERT(w->got_cnt < OUTCOMES_MAX);
    captured *c = &w->got[w->got_cnt++];
    twin_note(&w->twin, o);
    memset(c, 0, sizeof *c);
    c->is_notice = o->is_notice != 0;
    c->index = o->index;
    size_t n = 0;
    if (c->is_notice) {
        if (kh_notice_decode(o->bytes, o->bytes_sz, &c->notice, &n) != KH_OK || n != o->bytes_sz)
            differ(w, "notice bytes", n, o->bytes_sz);
        return;
    }
    static kh_receipt_line lines[KH_LINES_MAX];
    if (kh_receipt_decode(o->bytes, o->bytes_sz, lines, &c->receipt, &n) != KH_OK || n != o->bytes_sz)
        differ(w, "receipt bytes", n, o->bytes_sz);
    for (uint32_t i = 0; i < c->receipt.line_cnt && i < 16; i++) c->lines[i] = lines[i];
}

static bool open_world(world *w, uint64_t seed)
{
    kh_region_spec specs[KH_REGION_MAX];
    uint32_t n = kh_ledger_regions(specs);
    captured *got = w->got;
    bool trace = w->trace;
    memset(w, 0, sizeof *w);
    w->trace = trace;
    w->got = got;
    w->seed = seed;
    w->entry_time = UINT64_C(1796000000) * KH_NS_PER_S; /* 2026-11-30 */
    w->index_mem = aligned_alloc(64, (kh_index_footprint() + 63) / 64 * 64);
    w->ledger_mem = aligned_alloc(64, (kh_ledger_footprint() + 63) / 64 * 64);
    if (w->index_mem == NULL || w->ledger_mem == NULL || kh_state_init(&w->state, specs, n) != KH_OK ||
        kh_index_open(&w->state, secret, w->index_mem, &w->index) != KH_OK ||
        kh_ledger_open(&w->state, w->index, secret, w->ledger_mem, &w->ledger) != KH_OK)
        return false;
    kh_index_reclaim_none(w->index);
    w->auditor = auditor_new();
    generator_init(&w->gen, seed);
    return true;
}

static void close_world(world *w)
{
    twin_drop(&w->twin);
    auditor_free(w->auditor);
    kh_state_release(&w->state);
    free(w->index_mem);
    free(w->ledger_mem);
}

/* ---- comparing ---- */

/* describe_documents prints both sides' balances of all documents. */
static void describe_documents(const world *w)
{
    static kh_doc_view view;
    for (uint32_t i = 0; i < w->auditor->doc_cnt; i++) {
        const document *d = &w->auditor->docs[i];
        if (!kh_ledger_document(w->ledger, &d->key, 0, &view)) continue;
        printf("  %s %.*s %02x%02x %s group %u\n", kh_kind_word(d->kind), (int)view.number_n, view.number, d->key.b[14],
               d->key.b[15], kh_status_word(view.status), view.link_group);
        for (uint32_t j = 0; j < view.balance_cnt; j++) {
            const kh_balance_view *v = &view.balances[j];
            printf("    ledger  %s base %llu red %llu cap %llu held %llu used %llu consumed %llu free %llu over %d\n",
                   kh_currency_alpha(v->currency), (unsigned long long)v->base, (unsigned long long)v->red,
                   (unsigned long long)v->cap, (unsigned long long)v->held, (unsigned long long)v->used,
                   (unsigned long long)v->consumed, (unsigned long long)v->free, v->over_limit);
        }
        for (uint32_t j = 0; j < d->balance_cnt; j++) {
            const balance *b = &d->balances[j];
            printf("    auditor %s base %llu red %llu cap %llu held %llu used %llu consumed %llu free %llu over %d group %d\n",
                   kh_currency_alpha(b->currency), (unsigned long long)b->base, (unsigned long long)b->red,
                   (unsigned long long)b->cap, (unsigned long long)b->sum.held, (unsigned long long)b->sum.used,
                   (unsigned long long)b->sum.consumed, (unsigned long long)auditor_free_of(w->auditor, (int)i, (int)j), b->over,
                   b->group);
        }
    }
}

/* describe prints the operation that the two disagree on. */
static void describe(const kh_op *op)
{
    if (op->type == KH_OP_DOCUMENT) {
        const kh_op_document *d = &op->document;
        printf("  party %u %s %.*s action %d status %s date %u flags %d", op->party, kh_kind_word((kh_kind)d->kind),
               (int)d->number.n, d->number.p, d->action, kh_status_word((kh_status)d->status), d->date, d->flags);
        for (uint32_t i = 0; i < d->balance_cnt; i++)
            printf(" %s=%llu", kh_currency_alpha(d->balances[i].currency), (unsigned long long)d->balances[i].base);
    } else if (op->type == KH_OP_APPLY || op->type == KH_OP_EVENT) {
        bool apply = op->type == KH_OP_APPLY;
        const kh_op_line *lines = apply ? op->apply.lines : op->event.lines;
        if (apply)
            printf("  bank %u applies id %llu enterprise %u %s %lld %.*s partial %d", op->party, (unsigned long long)op->apply.id,
                   op->apply.enterprise, kh_currency_alpha(op->apply.currency), (long long)op->apply.amount,
                   (int)op->apply.product.n, op->apply.product.p, op->apply.allow_partial);
        else
            printf("  bank %u %s id %llu amount %lld source %d reason %d expect %d %u", op->party,
                   kh_event_word((kh_event)op->event.event), (unsigned long long)op->event.id, (long long)op->event.amount,
                   op->event.source, op->event.reason, op->event.has_expect, op->event.expect);
        uint32_t cnt = apply ? op->apply.line_cnt : op->event.line_cnt;
        for (uint32_t i = 0; i < cnt; i++) {
            char number[64];
            uint32_t n = kh_doc_key_number(&lines[i].key, number);
            printf("\n    %s %.*s %02x%02x cur %u allocated %lld total %lld", kh_kind_word((kh_kind)lines[i].key.b[0]), (int)n,
                   number, lines[i].key.b[14], lines[i].key.b[15], lines[i].currency, (long long)lines[i].allocated,
                   (long long)lines[i].total);
        }
    } else {
        printf("  party %u, operation of type %u", op->party, op->type);
    }
    printf("\n");
}

static void compare_receipt(world *w, const kh_op *op, const captured *c, const outcome *o)
{
    const kh_receipt *r = &c->receipt;
    if (r->code < 128) codes_seen[r->code]++;
    SAME("code", r->code, o->code);
    SAME("answered before", r->ref_height != 0, o->again);
    if (o->again) {
        SAME("height of the first", r->ref_height, o->first.height);
        SAME("index of the first", r->ref_index, o->first.index);
        return;
    }
    if (op->type == KH_OP_DOCUMENT && (o->code == KH_C_OK || o->code == KH_C_NOT_FOUND)) SAME("effect", r->effect, o->effect);
    bool consents = op->type >= KH_OP_GRANT, risks = op->type >= KH_OP_RISK_ADD;
    if (consents) SAME("effect", r->effect, o->effect);
    if (risks && o->code != KH_C_NOT_AUTHORISED) {
        SAME("contributions", r->version, o->version);
        SAME("asked", r->amount, o->amount);
        SAME("may ask", r->moved, o->moved);
    }
    if (o->code != KH_C_OK) return;
    SAME("state", r->state, o->state);
    SAME("version", r->version, o->version);
    if (risks) {
        SAME("subjects", r->line_cnt, o->line_cnt);
        for (uint32_t i = 0; i < o->line_cnt && i < 8; i++) {
            SAME("subject", kh_key_equal(&c->lines[i].key, &o->lines[i].key), true);
            SAME("categories", c->lines[i].amount, o->lines[i].amount);
        }
    }
    if (op->type != KH_OP_APPLY && op->type != KH_OP_EVENT) return;
    SAME("amount", r->amount, o->amount);
    SAME("currency", r->currency, o->currency);
    if (op->type == KH_OP_EVENT && (op->event.event == KH_EV_DISBURSE || op->event.event == KH_EV_REPAY))
        SAME("moved", r->moved, o->moved);
    SAME("lines", r->line_cnt, o->line_cnt);
    for (uint32_t i = 0; i < r->line_cnt && i < o->line_cnt && i < 8; i++) {
        const kh_receipt_line *x = &c->lines[i];
        const fin_line *y = &o->lines[i];
        SAME("line key", kh_key_equal(&x->key, &y->key), true);
        SAME("line allocated", x->allocated, y->allocated);
        SAME("line amount", x->amount, y->amount);
        SAME("line code", x->code, y->code);
        if (y->bal >= 0) SAME("line currency", x->currency, y->currency);
    }
}

static bool compared_kind(const kh_notice *n)
{
    if (n->type == KH_NOTICE_LAPSED || n->type == KH_NOTICE_LINE_CANCELLED || n->type == KH_NOTICE_LOOKUP) return true;
    return n->party != 0 &&
           (n->type == KH_NOTICE_REVOKED || n->type == KH_NOTICE_FROZEN_DOCUMENT || n->type == KH_NOTICE_OVER_LIMIT);
}

static bool same_notice(const kh_notice *x, const kh_notice *y)
{
    if (x->type != y->type || x->party != y->party) return false;
    if (x->type == KH_NOTICE_LAPSED || x->type == KH_NOTICE_LINE_CANCELLED)
        return x->financing == y->financing && x->version == y->version && x->amount == y->amount && x->state == y->state &&
               (x->type == KH_NOTICE_LAPSED || (x->moved == y->moved && kh_key_equal(&x->key, &y->key)));
    if (x->type == KH_NOTICE_LOOKUP && (x->financing != y->financing || x->version != y->version || x->state != y->state))
        return false;
    return kh_key_equal(&x->key, &y->key);
}

/* Each of the auditor's notices must be among the ledger's since `from`, and none of the compared kinds too many. */
static void compare_notices(world *w, uint32_t from)
{
    auditor *a = w->auditor;
    for (uint32_t i = 0; i < a->notice_cnt; i++) {
        bool found = false;
        if (!compared_kind(&a->notices[i])) continue;
        for (uint32_t j = from; j < w->got_cnt && !found; j++)
            found = w->got[j].is_notice && same_notice(&w->got[j].notice, &a->notices[i]);
        if (!found) differ(w, "a notice is missing, type", a->notices[i].party, a->notices[i].type);
    }
    for (uint32_t j = from; j < w->got_cnt; j++) {
        bool found = false;
        if (!w->got[j].is_notice || !compared_kind(&w->got[j].notice)) continue;
        for (uint32_t i = 0; i < a->notice_cnt && !found; i++) found = same_notice(&w->got[j].notice, &a->notices[i]);
        if (!found) differ(w, "a notice too many, type", w->got[j].notice.type, w->got[j].notice.party);
    }
}

static bool is_declared(const document *d, kh_currency currency)
{
    for (uint32_t i = 0; i < d->now.balance_cnt; i++)
        if (d->now.balances[i].currency == currency) return true;
    return false;
}

static void compare_documents(world *w)
{
    static kh_doc_view view;
    const auditor *a = w->auditor;
    for (uint32_t i = 0; i < a->doc_cnt && !w->failed; i++) {
        const document *d = &a->docs[i];
        uint32_t bank = generator_banks[i % 3];
        if (!kh_ledger_document(w->ledger, &d->key, bank, &view)) {
            differ(w, "document missing", 0, i);
            continue;
        }
        bool sound = !w->failed;
        SAME("document status", view.status, d->status);
        SAME("document version", view.version, d->version);
        SAME("document date", view.date, d->date);
        for (uint32_t j = 0; j < d->balance_cnt; j++) {
            const balance *b = &d->balances[j];
            if (b->currency == 0) continue;
            const kh_balance_view *v = NULL;
            for (uint32_t k = 0; k < view.balance_cnt; k++)
                if (view.balances[k].currency == b->currency) v = &view.balances[k];
            if (v == NULL && b->base == 0 && b->sum.held + b->sum.used + b->sum.consumed == 0 && !is_declared(d, b->currency))
                continue;
            if (v == NULL) {
                differ(w, "balance missing, currency", 0, b->currency);
                continue;
            }
            exposure own = auditor_exposure(a, (int)i, (int)j, bank, false);
            SAME("base", v->base, b->base);
            SAME("red", v->red, b->red);
            SAME("cap", v->cap, b->cap);
            SAME("held", v->held, b->sum.held);
            SAME("used", v->used, b->sum.used);
            SAME("consumed", v->consumed, b->sum.consumed);
            SAME("own held", v->own_held, own.held);
            SAME("own used", v->own_used, own.used);
            SAME("own consumed", v->own_consumed, own.consumed);
            SAME("over limit", v->over_limit, b->over);
            SAME("free", v->free, auditor_free_of(a, (int)i, (int)j));
        }
        if (sound && w->failed) printf("  %s %.*s\n", kh_kind_word(d->kind), (int)view.number_n, view.number);
    }
}

static void compare_financings(world *w)
{
    static kh_fin_view view;
    for (uint32_t i = 0; i < w->auditor->fin_cnt && !w->failed; i++) {
        const financing *f = &w->auditor->fins[i];
        if (!kh_ledger_financing(w->ledger, f->bank, f->id, &view)) {
            differ(w, "financing missing", f->bank, f->id);
            continue;
        }
        SAME("financing state", view.state, f->state);
        SAME("financing version", view.version, f->version);
        SAME("financing amount", view.amount, f->amount);
        SAME("financing repaid", view.repaid, f->repaid);
        if (auditor_is_held(f->state)) SAME("deadline", view.deadline_ns, f->deadline);
    }
}

/* What each enterprise granted, what each bank may ask, and what the walks find of each enterprise. */
static void compare_consent(world *w)
{
    const auditor *a = w->auditor;
    uint64_t cursor = 0;
    uint32_t cnt = 0;
    for (kh_grant_view v; kh_ledger_grant_next(w->ledger, &cursor, 0, &v) && !w->failed; cnt++) {
        if (cnt >= a->consent_cnt) break;
        const consent *c = &a->consents[cnt];
        SAME("grant", v.id, c->grant.id);
        SAME("grant's enterprise", v.enterprise, c->grant.enterprise);
        SAME("grant's bank", v.bank, c->grant.bank);
        SAME("grant's scope", v.scope, c->grant.scope);
        SAME("grant's time", v.until_ns - v.from_ns, c->grant.until_ns - c->grant.from_ns);
        SAME("grant revoked", v.state == KH_GRANT_REVOKED, c->revoked);
    }
    SAME("grants", cnt, a->consent_cnt);
    for (uint32_t i = 0; i < a->party_cnt; i++) {
        const party *p = &a->parties[i];
        kh_risk_view account;
        SAME("has an account", kh_ledger_risk_account(w->ledger, p->id, &account), p->role == KH_ROLE_BANK);
        if (p->role == KH_ROLE_BANK) {
            SAME("contributed", account.contributed, auditor_contributed(a, p->id));
            SAME("asked", account.asked, p->asked);
            SAME("allowed", account.allowed, auditor_may_ask(a, p->id));
        }
        uint64_t sum = 0, wanted_sum = 0;
        uint32_t found = 0, wanted = 0;
        kh_credit_item items[5];
        for (cursor = 0; cursor != KH_WALK_END;) {
            uint32_t n = kh_ledger_credit_walk(w->ledger, &cursor, 7, p->id, items, 5);
            for (uint32_t k = 0; k < n; k++, found++) sum += items[k].amount * 3 + items[k].repaid + items[k].state;
        }
        for (uint32_t k = 0; k < a->fin_cnt; k++) {
            const financing *f = &a->fins[k];
            if (f->enterprise != p->id) continue;
            wanted++;
            wanted_sum += f->amount * 3 + f->repaid + f->state;
        }
        SAME("financings of an enterprise", found, wanted);
        SAME("sums of an enterprise", sum, wanted_sum);
        kh_key keys[3];
        found = wanted = 0;
        for (cursor = 0; p->uscc[0] != '\0' && cursor != KH_WALK_END;)
            found += kh_ledger_owner_walk(w->ledger, &cursor, 5, kh_text_of(p->uscc), keys, 3);
        for (uint32_t k = 0; k < a->doc_cnt && p->uscc[0] != '\0'; k++) wanted += strcmp(a->docs[k].owner, p->uscc) == 0;
        SAME("documents of an owner", found, wanted);
    }
}

static void compare_verdicts(world *w)
{
    kh_question q[16];
    kh_verdict got[16], want;
    memset(q, 0, sizeof q);
    for (int i = 0; i < 16; i++) {
        generator *g = &w->gen;
        uint32_t doc = (uint32_t)generator_random(g, WORLD_DOCS);
        q[i].key = generator_doc_key(doc);
        if (doc % 6 == 1 && generator_random(g, 4) == 0)
            q[i].key = generator_corrected_key(doc, (uint32_t)generator_random(g, 8));
        q[i].kind = generator_doc_kind(doc);
        q[i].bank = generator_banks[generator_random(g, 3)];
        q[i].owner_check = kh_owner_check(generator_doc_owner(generator_random(g, 10) == 0 ? doc + 6 : doc));
        q[i].amount = generator_random(g, 10) == 0 ? 77 : g->base[doc];
        int at = auditor_find_doc(w->auditor, &q[i].key);
        const document *d = at >= 0 ? &w->auditor->docs[at] : NULL;
        q[i].currency = d != NULL && generator_random(g, 10) != 0 ? d->now.balances[0].currency
                                                                  : generator_currencies[generator_random(g, 4)];
        if (d != NULL && generator_random(g, 4) != 0) q[i].amount = d->now.balances[0].base;
        if (q[i].currency == 0) q[i].amount = KH_AMOUNT_NONE;
        q[i].date = d != NULL && generator_random(g, 10) != 0 ? d->date : 0;
        q[i].want = generator_random(g, 2) == 0 ? KH_AMOUNT_NONE : generator_random(g, g->base[doc] + 2);
        q[i].version = generator_random(g, 3) == 0 ? 1 : 0;
    }
    kh_verdict fast[16];
    uint64_t enough = kh_ledger_verify_fast(w->ledger, q, 16, fast);
    kh_ledger_verify(w->ledger, q, 16, got);
    for (int i = 0; i < 16; i++) {
        if ((enough >> i & 1) == 0) continue;
        SAME("fast verdict code", fast[i].code, got[i].code);
        SAME("fast verdict mismatch", fast[i].mismatch, got[i].mismatch);
        SAME("fast verdict free", fast[i].free, got[i].free);
        SAME("fast verdict status", fast[i].status, got[i].status);
        SAME("fast verdict version", fast[i].version, got[i].version);
        SAME("fast verdict currency", fast[i].currency, got[i].currency);
    }
    w->fast += (uint64_t)__builtin_popcountll(enough);
    for (int i = 0; i < 16; i++) {
        auditor_question(w->auditor, &q[i], &want);
        SAME("verdict code", got[i].code, want.code);
        SAME("verdict mismatch", got[i].mismatch, want.mismatch);
        SAME("verdict free", got[i].free, want.free);
        SAME("verdict status", got[i].status, want.status);
        SAME("verdict version", got[i].version, want.version);
        if (!w->failed) continue;
        printf("  %s %02x%02x bank %u currency %u amount %lld date %u want %lld version %u: ledger mismatch %u, auditor %u\n",
               kh_kind_word(q[i].kind), q[i].key.b[14], q[i].key.b[15], q[i].bank, q[i].currency, (long long)q[i].amount,
               q[i].date, (long long)q[i].want, q[i].version, got[i].mismatch, want.mismatch);
        return;
    }
}

/* ---- one entry ---- */

static void add_target(target *t, const financing *f)
{
    *t = (target){.bank = f->bank, .version = f->version, .id = f->id, .state = (uint8_t)f->state, .line_cnt = f->line_cnt};
    for (uint32_t i = 0; i < f->line_cnt; i++)
        t->lines[i] = (kh_op_line){.key = f->lines[i].key,
                                   .currency = f->lines[i].currency,
                                   .allocated = f->lines[i].remaining,
                                   .total = KH_AMOUNT_NONE};
}

/* The generator is told which financings are open, the newest first. */
static void keep_targets(world *w)
{
    generator *g = &w->gen;
    g->target_cnt = 0;
    for (uint32_t i = w->auditor->fin_cnt; i-- > 0 && g->target_cnt < TARGETS;) {
        const financing *f = &w->auditor->fins[i];
        if (auditor_is_held(f->state) || auditor_is_used(f->state)) add_target(&g->targets[g->target_cnt++], f);
    }
}

/* From now and then on, with another secret, until the next; with the same secret the running checks are the same too. */
static void go_on_from_leaves(world *w)
{
    uint8_t other[16];
    for (int i = 0; i < 16; i++) other[i] = (uint8_t)generator_random(&w->gen, 256);
    const char *broken = twin_compare(&w->twin, w->ledger);
    if (broken == NULL) broken = twin_make(&w->twin, w->ledger, secret);
    if (broken == NULL)
        SAME("running check of a ledger made from leaves", kh_ledger_check(w->twin.m.l), kh_ledger_check(w->ledger));
    if (broken == NULL) broken = twin_make(&w->twin, w->ledger, other);
    if (broken == NULL) return;
    printf("%s\n", broken);
    differ(w, "made from leaves", 1, 0);
}

static void run_entry(world *w, uint32_t left)
{
    static kh_op_scratch scratch;
    w->op_cnt = 1 + (uint32_t)generator_random(&w->gen, generator_random(&w->gen, 32) == 0 ? ENTRY_OPS_MAX : SHORT_OPS_MAX);
    if (w->op_cnt > left) w->op_cnt = left;
    w->at[0] = 0;
    for (uint32_t i = 0; i < w->op_cnt; i++) w->at[i + 1] = w->at[i] + generator_next(&w->gen, w->entry + w->at[i]);
    w->entry_time += generator_step_ns(&w->gen);
    w->got_cnt = 0;
    kh_sink sink = {capture, w};
    kh_ledger_apply(w->ledger, ++w->height, w->entry_time, w->entry, w->at[w->op_cnt], w->op_cnt, &sink);
    kh_index_settle(w->index, w->height);
    const char *otherwise = twin_apply(&w->twin, w->height, w->entry_time, w->entry, w->at[w->op_cnt], w->op_cnt);
    if (otherwise != NULL) differ(w, otherwise, 1, 0);
    w->auditor->notice_cnt = 0;
    auditor_begin_entry(w->auditor, w->entry_time);
    uint32_t next = 0;
    bool lost = false; /* after a frame without a usable size */
    for (uint32_t i = 0; i < w->op_cnt && !w->failed; i++) {
        kh_op op;
        outcome o = {.fin = -1, .code = KH_C_FORMAT};
        size_t n = 0;
        bool sound = !lost && kh_op_decode(w->entry + w->at[i], w->at[i + 1] - w->at[i], &scratch, &op, &n) == KH_OK;
        lost = lost || n == 0;
        if (sound) auditor_operation(w->auditor, &op, &o);
        else op.type = 0;
        while (next < w->got_cnt && w->got[next].is_notice) next++;
        if (next == w->got_cnt) {
            differ(w, "receipts", i, w->op_cnt);
            break;
        }
        compare_receipt(w, &op, &w->got[next], &o);
        if (w->failed || w->trace) {
            printf("%llu: code %u effect %u version %u", (unsigned long long)w->compared, w->got[next].receipt.code,
                   w->got[next].receipt.effect, w->got[next].receipt.version);
            describe(&op);
        }
        auditor_placed(w->auditor, &o, (kh_place){w->height, w->got[next].index, 0});
        next++;
        w->compared++;
    }
    if (w->failed) return;
    compare_notices(w, 0);
    for (uint32_t i = 0; i < WORLD_DOCS; i++) {
        kh_key key = generator_doc_key(i);
        w->gen.stored[i] = auditor_find_doc(w->auditor, &key) >= 0;
    }
    keep_targets(w);
    if (++w->entries % 8 != 0) return;
    compare_documents(w);
    compare_financings(w);
    compare_verdicts(w);
    compare_consent(w);
    if (w->entries % 32 == 8) go_on_from_leaves(w);
    if (w->entries % 64 != 0) return;
    const char *broken = kh_ledger_verify_invariants(w->ledger);
    if (broken != NULL) {
        printf("%s\n", broken);
        differ(w, "invariants", 1, 0);
    }
    const char *unread = leaves_read(w->ledger);
    if (unread != NULL) {
        printf("checkpoint's leaf: %s\n", unread);
        differ(w, "leaves", 1, 0);
    }
}

int main(int argc, char **argv)
{
    uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint32_t size = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1000;
    printf("model_ledger: seed %llu, %llu operations\n", (unsigned long long)seed, (unsigned long long)total);
    static world w;
    w.trace = total == 1; /* as the line that a failure prints runs it */
    w.got = calloc(OUTCOMES_MAX, sizeof *w.got);
    for (uint64_t done = 0; done < total; seed++) {
        if (w.got == NULL || !open_world(&w, seed)) {
            fprintf(stderr, "model_ledger: no memory\n");
            return 2;
        }
        while (w.compared < size && !w.failed) run_entry(&w, size - (uint32_t)w.compared);
        done += w.compared;
        if (w.failed) {
            describe_documents(&w);
            return 1;
        }
        close_world(&w);
    }
    for (int i = 0; i < 128; i++)
        if (codes_seen[i] != 0) printf("%s %llu\n", kh_code_name((kh_code)i), (unsigned long long)codes_seen[i]);
    free(w.got);
    return 0;
}
