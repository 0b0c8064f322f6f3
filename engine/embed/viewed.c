/* viewed: what a bank's node answers out of its own view: financings, alerts; and what it knows of a request's words without a
 * ledger that holds documents and enterprises. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

#define STEP 64u /* rows built while the view is held */

bool kh_viewed(const kh_engine *e) { return e->view != NULL; }
uint32_t kh_viewed_party(const kh_engine *e) { return kh_view_party(e->view); }

static bool may_see(const kh_engine *e, const kh_principal *who)
{
    return kh_access_may_see_financing(who, kh_viewed_party(e), 0) && (who->party == 0 || who->party == kh_viewed_party(e));
}

/* What lacks is not answered as if it had never been. */
static kh_result not_whole(kh_engine *e, const kh_view_gap *gap, const kh_result_sink *sink)
{
    kh_result result = kh_embed_refuse(e, KH_C_NOT_READY, sink);
    if (result != KH_DONE_NOT_OK) return result;
    return kh_embed_fail(
        e, result,
        "NOT_READY: this node began with a snapshot of height %llu, and what its bank was told before is not all here%s "
        "(docs/OPERATIONS.md, \"A node without its past\")",
        (unsigned long long)gap->base, gap->coming ? " yet" : ", nor at any hub: ask a hub");
}

static void text_of(const char *p, uint32_t n, char *ret)
{
    memcpy(ret, p, n);
    ret[n] = '\0';
}

/* paper_of: what a line is called; false: the key alone says it. */
static bool paper_of(const kh_key *key, const kh_paper_text *text, kh_paper_name *ret)
{
    if (text->number_n == 0) return false;
    *ret = (kh_paper_name){.kind = (kh_kind)text->kind, .key = *key};
    text_of(text->number, text->number_n, ret->number);
    text_of(text->issuer, text->issuer_n, ret->issuer);
    return true;
}

/* ---- one financing's words ---- */

typedef struct papers {
    kh_paper_name *of;
    uint32_t cnt;
} papers;

static void take_papers(void *ctx, const kh_view_financing *f)
{
    papers *all = ctx;
    all->of = malloc((f->line_cnt + (size_t)1) * sizeof *all->of);
    for (uint32_t i = 0; all->of != NULL && i < f->line_cnt; i++)
        all->cnt += paper_of(&f->lines[i].line.key, &f->lines[i].paper, &all->of[all->cnt]);
}

void kh_viewed_papers(kh_engine *e, uint64_t id, kh_paper_name **ret, uint32_t *ret_cnt)
{
    papers all = {0};
    (void)kh_view_find(e->view, id, take_papers, &all);
    *ret = all.of;
    *ret_cnt = all.cnt;
}

typedef struct worth {
    kh_currency currency;
    uint64_t amount;
} worth;

static void take_worth(void *ctx, const kh_view_financing *f) { *(worth *)ctx = (worth){f->currency, f->amount}; }

kh_currency kh_embed_currency_of(kh_engine *e, uint32_t bank, uint64_t id, char *ret_owner, uint64_t *ret_amount)
{
    worth is = {0};
    if (ret_owner != NULL) ret_owner[0] = '\0';
    if (kh_viewed(e)) {
        (void)kh_view_find(e->view, id, take_worth, &is);
        if (ret_amount != NULL) *ret_amount = is.amount;
        return is.currency;
    }
    kh_fin_view *view = malloc(sizeof *view);
    kh_party_view enterprise;
    const kh_ledger *l = kh_store_read_begin(e->store);
    if (view != NULL && kh_ledger_financing(l, bank, id, view)) {
        is = (worth){view->currency, view->amount};
        if (ret_owner != NULL && kh_ledger_party(l, view->enterprise, &enterprise))
            memcpy(ret_owner, enterprise.uscc, sizeof enterprise.uscc);
    }
    kh_store_read_end(e->store);
    free(view);
    if (ret_amount != NULL) *ret_amount = is.amount;
    return is.currency;
}

kh_err kh_viewed_enterprise(kh_engine *e, const char *text, uint32_t *ret)
{
    char *end, uscc[KH_ISSUER_MAX + 1];
    uint32_t n;
    unsigned long long id = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    *ret = 0;
    if (id > 0 && *end == '\0' && id <= UINT32_MAX) {
        *ret = (uint32_t)id;
        return KH_OK;
    }
    if (kh_owner_canonical(kh_text_of(text), uscc, &n) == KH_C_FORMAT) return KH_OK;
    kh_err err =
        e->cluster != NULL && e->cluster->enterprise != NULL ? e->cluster->enterprise(e->cluster->self, uscc, ret) : KH_E_CLOSED;
    return err == KH_E_NOT_FOUND ? KH_OK : err;
}

/* ---- rows ---- */

typedef struct holds { /* how long they last, by the rules in force */
    uint64_t applied_ns, accepted_ns;
} holds;

static holds holds_of(kh_engine *e)
{
    holds ret = {0};
    char name[KH_RULE_TEXT_MAX + 1], value[KH_RULE_TEXT_MAX + 1];
    bool is_default;
    uint64_t cursor = 0, since;
    const kh_ledger *l = kh_store_read_begin(e->store);
    while (kh_ledger_rule_next(l, &cursor, name, value, &is_default, &since)) {
        uint64_t *ns = strcmp(name, "hold_ttl_applied") == 0    ? &ret.applied_ns
                       : strcmp(name, "hold_ttl_accepted") == 0 ? &ret.accepted_ns
                                                                : NULL;
        if (ns != NULL) *ns = kh_duration_parse(kh_text_of(value), ns) ? *ns * KH_NS_PER_S : 0;
    }
    kh_store_read_end(e->store);
    return ret;
}

typedef struct build {
    const kh_engine *e;
    holds holds;
    kh_fin_state state; /* NONE: any */
    kh_fin_view *view;  /* scratch */
    kh_paper_name *names;
    kh_fin_row *rows[STEP];
    uint64_t last, as_of;
    uint32_t n;
    kh_err err;
} build;

static bool build_begin(build *b, kh_engine *e, kh_fin_state state)
{
    *b = (build){.e = e,
                 .holds = holds_of(e),
                 .state = state,
                 .view = malloc(sizeof *b->view),
                 .names = malloc(KH_LINES_MAX * sizeof *b->names),
                 .as_of = kh_view_height(e->view)};
    return b->view != NULL && b->names != NULL;
}

static void build_end(build *b)
{
    free(b->view);
    free(b->names);
}

static void build_one(void *ctx, const kh_view_financing *f)
{
    build *b = ctx;
    kh_fin_view *view = b->view;
    kh_fin_asked names = {.known = b->names};
    uint64_t ttl_ns = f->state == KH_FIN_APPLIED ? b->holds.applied_ns : b->holds.accepted_ns;
    *view = (kh_fin_view){.bank = kh_viewed_party(b->e),
                          .enterprise = f->enterprise,
                          .id = f->id,
                          .state = (kh_fin_state)f->state,
                          .version = f->version,
                          .currency = f->currency,
                          .amount = f->amount,
                          .repaid = f->repaid,
                          .deadline_ns = f->hold_ns != 0 && ttl_ns != 0 ? f->hold_ns + ttl_ns : 0,
                          .line_cnt = f->line_cnt};
    memcpy(view->product, f->product, sizeof view->product);
    for (uint32_t i = 0; i < f->line_cnt; i++) {
        const kh_receipt_line *line = &f->lines[i].line;
        view->lines[i] = (kh_fin_line_view){
            .key = line->key, .currency = line->currency, .amount = line->amount, .allocated = line->allocated};
        names.known_cnt += paper_of(&line->key, &f->lines[i].paper, &b->names[names.known_cnt]);
    }
    kh_final final = {.told = true, .attested = f->whole, .as_of = b->as_of};
    b->rows[b->n] = kh_embed_financing_row(NULL, view, &names, f->height, &final);
    if (b->rows[b->n] == NULL) b->err = KH_E_NOMEM;
    else b->n++;
}

kh_result kh_viewed_show(kh_engine *e, const kh_principal *who, uint64_t id, const kh_result_sink *sink)
{
    build b;
    char number[24];
    kh_view_gap gap;
    bool whole = kh_view_whole(e->view, &gap);
    if (gap.coming) return not_whole(e, &gap, sink);
    bool well = build_begin(&b, e, KH_FIN_NONE);
    if (well && may_see(e, who)) (void)kh_view_find(e->view, id, build_one, &b);
    build_end(&b);
    if (!well || b.err != KH_OK) return kh_embed_environment(e, KH_E_NOMEM, "look");
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    if (b.n == 0 && !whole && may_see(e, who)) return not_whole(e, &gap, sink);
    if (b.n == 0) return kh_embed_financing_not_found(e, number, id, KH_C_NOT_FOUND, sink);
    kh_embed_give_financing(b.rows[0], sink);
    return KH_DONE;
}

static bool build_step(void *ctx, const kh_view_financing *f)
{
    build *b = ctx;
    if (b->state == KH_FIN_NONE || f->state == b->state) build_one(b, f);
    b->last = f->id;
    return b->n < STEP && b->err == KH_OK;
}

kh_result kh_viewed_list(kh_engine *e, const kh_principal *who, kh_fin_state state, uint64_t after, kh_page *page,
                         const kh_result_sink *sink)
{
    build b;
    kh_view_gap gap;
    if (!kh_view_whole(e->view, &gap)) return not_whole(e, &gap, sink);
    if (!build_begin(&b, e, state)) {
        build_end(&b);
        return kh_embed_environment(e, KH_E_NOMEM, "list");
    }
    bool first = page == NULL || page->after == NULL || page->after[0] == '\0', more = may_see(e, who), full = false;
    uint64_t given = 0, shown = after;
    for (b.last = after; more && !full && b.err == KH_OK; first = false) {
        b.n = 0;
        kh_view_each(e->view, first, b.last, build_step, &b);
        more = b.n == STEP;
        for (uint32_t i = 0; i < b.n; i++) {
            full = full || kh_page_full(page, given);
            if (full) {
                kh_embed_financing_free(b.rows[i]);
                continue;
            }
            shown = kh_embed_financing_id(b.rows[i]);
            kh_embed_give_financing(b.rows[i], sink);
            given++;
        }
    }
    const uint64_t numbers[KH_PAGE_NUMBERS] = {shown};
    if (full) kh_page_more(page, 1, numbers);
    build_end(&b);
    return b.err == KH_OK ? KH_DONE : kh_embed_environment(e, b.err, "list");
}

/* ---- alerts ---- */

typedef struct gathered {
    kh_view_alert of[STEP];
    uint32_t n;
} gathered;

static bool gather(void *ctx, const kh_view_alert *alert)
{
    gathered *g = ctx;
    g->of[g->n++] = *alert;
    return g->n < STEP;
}

static void give_alert(const kh_view_alert *a, uint64_t as_of, const kh_result_sink *sink)
{
    kh_paper_name paper;
    bool named = a->notice.has_key && paper_of(&a->notice.key, &a->paper, &paper);
    kh_alert_row row = {.height = a->height,
                        .time_ns = a->time_ns,
                        .notice = &a->notice,
                        .kind = named ? kh_kind_word(paper.kind) : NULL,
                        .number = named ? paper.number : NULL,
                        .issuer = named ? paper.issuer : NULL};
    kh_embed_give_alert(&row, &(kh_final){.told = true, .attested = true, .as_of = as_of}, sink);
}

kh_result kh_viewed_alerts(kh_engine *e, const kh_principal *who, uint64_t after, kh_page *page, const kh_result_sink *sink)
{
    kh_view_gap gap;
    if (!kh_view_whole(e->view, &gap) && (gap.coming || after < gap.lacking)) return not_whole(e, &gap, sink);
    gathered *g = malloc(sizeof *g);
    if (g == NULL) return kh_embed_environment(e, KH_E_NOMEM, "list");
    uint64_t given = 0, as_of = kh_view_height(e->view);
    bool more = may_see(e, who), full = false;
    while (more && !full) {
        g->n = 0;
        kh_view_alerts(e->view, after, gather, g);
        more = g->n == STEP;
        for (uint32_t i = 0; i < g->n && !(full = kh_page_full(page, given)); i++, given++) {
            give_alert(&g->of[i], as_of, sink);
            after = g->of[i].number;
        }
    }
    const uint64_t numbers[KH_PAGE_NUMBERS] = {after, 0};
    if (full) kh_page_more(page, 2, numbers);
    free(g);
    return KH_DONE;
}
