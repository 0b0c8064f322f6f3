/* credit: what a bank reads of an enterprise under its grant: the look-up goes into the log first, then all financings, or all
 * documents, are walked in pieces, with the applier let in between two. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

enum { PIECE_ROWS = 16384, FOUND_MAX = 256, LIMIT_USUAL = 1000, LIMIT_MAX = 65536, CURRENCIES = 1000 };

/* In a cluster: for how long a bank may read what its node filed that it looks at, and how far back that is looked for. */
#define FILED_NS (600 * KH_NS_PER_S)
#define FILED_ITEMS 4096u

static kh_result refused(kh_engine *e, kh_code code, const kh_result_sink *sink)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_code(&b, code);
    kh_row_give(&b, "refused", sink);
    return kh_embed_fail(e, KH_DONE_NOT_OK, "%s (%s)", kh_code_name(code), kh_code_term_zh(code));
}

/* look files the look-up; what the ledger says of it is the answer. */
static kh_result look(kh_engine *e, uint32_t bank, uint32_t enterprise, uint64_t grant, uint8_t scope, const kh_result_sink *sink)
{
    kh_batch batch = {0};
    kh_answer *a;
    kh_op op = {.type = KH_OP_CREDIT_LOOKUP, .party = bank, .credit_lookup = {grant, enterprise, scope}};
    kh_result result = kh_embed_one(e, &batch, &op, &a);
    if (result != KH_DONE) return result;
    kh_code code = a->receipt.code;
    kh_batch_release(&batch);
    return code == KH_C_OK ? KH_DONE : refused(e, code, sink);
}

/* filed: at a hub: did the bank's own node file this look-up just now? A hub speaks for no bank. The enterprise's chain says it.
 */
static bool filed(kh_engine *e, uint32_t bank, const kh_party_view *enterprise, uint64_t grant, uint8_t scope)
{
    kh_key key = {{0}};
    bool found = false;
    kh_journal_item *item = malloc(sizeof *item);
    kh_place at = enterprise->last;
    kh_store32(key.b, enterprise->id);
    kh_store_stats stats;
    kh_store_get_stats(e->store, &stats);
    for (uint32_t i = 0; item != NULL && at.height != 0 && i < FILED_ITEMS && !found; i++) {
        if (kh_store_journal_read(e->store, at, item) != KH_OK || item->time_ns + FILED_NS < stats.time_ns) break;
        const kh_notice *n = &item->notice;
        found = item->is_notice && n->type == KH_NOTICE_LOOKUP && n->party == enterprise->id && n->version == bank &&
                n->financing == grant && n->state == scope;
        at = kh_store_journal_prev(item, 2, &key);
    }
    free(item);
    return found;
}

/* ---- the credit record ---- */

typedef struct sum {
    uint64_t count, amount, repaid;
} sum;

/* A sum beyond 64 bits is not told. */
static void add_up(uint64_t *total, uint64_t more)
{
    if (*total == KH_AMOUNT_NONE || !kh_add64(*total, more, total)) *total = KH_AMOUNT_NONE;
}

static void gather_credit(kh_engine *e, uint32_t enterprise, sum sums[CURRENCIES][KH_FIN_STATE_CNT])
{
    kh_credit_item items[FOUND_MAX];
    for (uint64_t cursor = 0; cursor != KH_WALK_END;) {
        const kh_ledger *l = kh_store_read_begin(e->store);
        uint32_t n = kh_ledger_credit_walk(l, &cursor, PIECE_ROWS, enterprise, items, FOUND_MAX);
        kh_store_read_end(e->store);
        for (uint32_t i = 0; i < n; i++) {
            sum *s = &sums[items[i].currency][items[i].state];
            s->count++;
            add_up(&s->amount, items[i].amount);
            add_up(&s->repaid, items[i].repaid);
        }
    }
}

static kh_result give_credit(kh_engine *e, uint32_t enterprise, const kh_result_sink *sink)
{
    sum(*sums)[KH_FIN_STATE_CNT] = calloc(CURRENCIES, sizeof *sums);
    kh_row_builder b;
    if (sums == NULL) return kh_embed_environment(e, KH_E_NOMEM, "look");
    gather_credit(e, enterprise, sums);
    for (kh_currency currency = 0; currency < CURRENCIES; currency++)
        for (uint32_t state = 0; state < KH_FIN_STATE_CNT; state++) {
            const sum *s = &sums[currency][state];
            if (s->count == 0) continue;
            kh_row_begin(&b);
            kh_row_number(&b, "enterprise", enterprise);
            kh_row_text(&b, "currency", kh_currency_alpha(currency));
            kh_row_text(&b, "state", kh_fin_state_word((kh_fin_state)state));
            kh_row_number(&b, "count", s->count);
            kh_row_amount(&b, "amount", s->amount, currency);
            kh_row_amount(&b, "repaid", s->repaid, currency);
            kh_row_give(&b, "credit", sink);
        }
    free(sums);
    return KH_DONE;
}

/* ---- the documents ---- */

/* By kind; then numbers that an id packs by rising number (an id is a little-endian integer behind its first two bytes). */
static int by_key(const void *a, const void *b)
{
    const kh_key *x = a, *y = b;
    int kinds = memcmp(x->b, y->b, 2);
    uint64_t x_high = kh_load64(x->b + 8), y_high = kh_load64(y->b + 8), x_low = kh_load64(x->b) >> 16,
             y_low = kh_load64(y->b) >> 16;
    if (kinds != 0) return kinds;
    if (x_high != y_high) return x_high < y_high ? -1 : 1;
    return x_low < y_low ? -1 : x_low > y_low;
}

typedef struct page { /* the lowest keys behind `after`: twice `limit` have room, then the upper half goes */
    kh_key *keys, after;
    bool has_after;
    uint32_t n, limit;
} page;

/* tidy sorts, and drops what was met twice and what is beyond the limit. */
static void tidy(page *p)
{
    uint32_t kept = 0;
    if (p->n > 1) qsort(p->keys, p->n, sizeof *p->keys, by_key);
    for (uint32_t i = 0; i < p->n && kept < p->limit; i++)
        if (kept == 0 || by_key(&p->keys[kept - 1], &p->keys[i]) != 0) p->keys[kept++] = p->keys[i];
    p->n = kept;
}

static void gather_documents(kh_engine *e, kh_text owner, page *p)
{
    kh_key found[FOUND_MAX];
    for (uint64_t cursor = 0; cursor != KH_WALK_END;) {
        const kh_ledger *l = kh_store_read_begin(e->store);
        uint32_t n = kh_ledger_owner_walk(l, &cursor, PIECE_ROWS, owner, found, FOUND_MAX);
        kh_store_read_end(e->store);
        for (uint32_t i = 0; i < n; i++) {
            if (p->has_after && by_key(&found[i], &p->after) <= 0) continue;
            if (p->n == 2 * p->limit) tidy(p);
            p->keys[p->n++] = found[i];
        }
    }
    tidy(p);
}

static kh_result give_documents(kh_engine *e, const kh_principal *who, const kh_party_view *enterprise, page *p,
                                const kh_result_sink *sink)
{
    kh_text owner = kh_text_of(enterprise->uscc);
    p->keys = owner.n == 0 ? NULL : aligned_alloc(_Alignof(kh_key), 2 * (size_t)p->limit * sizeof *p->keys);
    if (owner.n == 0) return KH_DONE; /* without an id it owns no paper */
    if (p->keys == NULL) return kh_embed_environment(e, KH_E_NOMEM, "look");
    gather_documents(e, owner, p);
    for (uint32_t i = 0; i < p->n; i++) {
        kh_doc_view doc;
        const kh_ledger *l = kh_store_read_begin(e->store);
        bool its = kh_ledger_document(l, &p->keys[i], who->role == KH_ROLE_BANK ? who->party : 0, &doc) &&
                   kh_text_equal(owner, (kh_text){doc.owner, doc.owner_n});
        kh_store_read_end(e->store);
        if (!its) continue;
        kh_access_show_document(who, &doc);
        kh_embed_give_document(e, &doc, sink);
    }
    free(p->keys);
    return KH_DONE;
}

/* ---- the question ---- */

static kh_result read_page(kh_engine *e, const kh_credit_request *request, uint8_t *ret_scope, page *ret)
{
    kh_paper_name after;
    char why[300];
    *ret_scope = KH_SCOPE_CREDIT;
    *ret = (page){.limit = request->limit != 0 ? request->limit : LIMIT_USUAL, .has_after = request->after != NULL};
    if (request->scope != NULL && !kh_scope_of_words(kh_text_of(request->scope), ret_scope))
        return kh_embed_fail(e, KH_MISUSE, "\"%s\" is no scope (授权范围): documents or credit", request->scope);
    if (request->limit > LIMIT_MAX) return kh_embed_fail(e, KH_MISUSE, "at most %d documents at once", LIMIT_MAX);
    if (request->after == NULL) return KH_DONE;
    if (!kh_embed_paper(request->after, NULL, NULL, &after, why, sizeof why)) return kh_embed_fail(e, KH_MISUSE, "%s", why);
    if (after.code == KH_C_FORMAT) return kh_embed_fail(e, KH_MISUSE, "\"%s\" is no number of its kind", request->after);
    ret->after = after.key;
    return KH_DONE;
}

kh_result kh_credit(kh_engine *engine, const kh_credit_request *request, const kh_result_sink *sink)
{
    kh_principal who;
    kh_party_view enterprise;
    uint8_t scope;
    page p;
    if (request->enterprise == NULL) return kh_embed_fail(engine, KH_MISUSE, "which enterprise?");
    kh_result result = read_page(engine, request, &scope, &p);
    if (result == KH_DONE) result = kh_embed_open(engine, KH_READING);
    if (result != KH_DONE) return result;
    kh_code code;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    result = kh_embed_principal(engine, l, request->as, KH_ASK_CREDIT, &who, &code);
    bool found = kh_embed_party(engine, l, &who, request->enterprise, &enterprise) && enterprise.role == KH_ROLE_ENTERPRISE;
    uint32_t meant = kh_embed_party_id(engine, l, &who, request->enterprise);
    kh_store_read_end(engine->store);
    if (result != KH_DONE) return result;
    if (code != KH_C_OK) return kh_embed_refuse(engine, code, sink);
    uint32_t rights = kh_access_rights(&who, KH_ASK_CREDIT);
    if (kh_viewed(engine) && rights & KH_NEEDS_GRANT) { /* a bank's node files it; a hub then answers */
        kh_err err = kh_viewed_enterprise(engine, request->enterprise, &meant);
        if (err != KH_OK && err != KH_E_CLOSED) return kh_embed_environment(engine, err, "look at an enterprise");
        if (err == KH_OK) result = look(engine, who.party, meant, request->grant, scope, sink);
        return result != KH_DONE ? result : kh_embed_refuse(engine, KH_C_NOT_CHECKED, sink);
    }
    if (rights & KH_NEEDS_GRANT && engine->cluster != NULL) {
        if (!found || !filed(engine, who.party, &enterprise, request->grant, scope))
            return kh_embed_refuse(engine, KH_C_NOT_CHECKED, sink);
    } else if (rights & KH_NEEDS_GRANT) { /* filed in any case: an enterprise that there is not gave no consent */
        result = kh_embed_open(engine, KH_WRITING);
        if (result == KH_DONE) result = look(engine, who.party, meant, request->grant, scope, sink);
        if (result == KH_DONE && !found) result = refused(engine, KH_C_NO_CONSENT, sink);
    } else if (rights & KH_OWN_ONLY && (!found || enterprise.id != who.party)) {
        result = refused(engine, KH_C_NO_CONSENT, sink);
    } else if (!found) {
        result = kh_embed_fail(engine, KH_MISUSE, "there is no enterprise \"%s\"", request->enterprise);
    }
    if (result != KH_DONE) return result;
    if (rights & KH_LOGGED) kh_embed_log_lookup(engine, &who, "credit", request->enterprise);
    if (scope & KH_SCOPE_CREDIT) result = give_credit(engine, enterprise.id, sink);
    if (result == KH_DONE && scope & KH_SCOPE_DOCUMENTS) result = give_documents(engine, &who, &enterprise, &p, sink);
    return result;
}
