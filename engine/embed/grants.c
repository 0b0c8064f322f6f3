/* grants: giving and taking back consent, and seeing what was done under it. */
#include "embed/embed.h"
#include <stdio.h>

#define DAY_NS (86400 * KH_NS_PER_S)

static kh_result times_of(kh_engine *e, const kh_grant_request *request, kh_op_grant *ret)
{
    const char *wrong = kh_grant_period(kh_text_of(request->from), kh_text_of(request->until), &ret->from_ns, &ret->until_ns);
    return wrong == NULL ? KH_DONE : kh_embed_fail(e, KH_MISUSE, "%s", wrong);
}

static bool own_only(const kh_engine *e, const kh_principal *who)
{
    return e->party != 0 && (kh_access_rights(who, KH_DO_GRANT) & KH_OWN_ONLY) != 0;
}

/* party_of resolves a party that the request names. Whether there is one the ledger tells who may not see all. */
static kh_result party_of(kh_engine *e, const kh_principal *who, const char *text, uint32_t *ret)
{
    if (text == NULL) return kh_embed_fail(e, KH_MISUSE, "which bank may look?");
    const kh_ledger *l = kh_store_read_begin(e->store);
    kh_party_view party;
    bool found = kh_embed_party(e, l, who, text, &party);
    *ret = kh_embed_party_id(e, l, who, text);
    kh_store_read_end(e->store);
    return found || own_only(e, who)
               ? KH_DONE
               : kh_embed_fail(e, KH_MISUSE,
                               "there is no party \"%s\", or several are called so; `kanhe party list` shows their ids", text);
}

/* enterprise_of: whose grant it is: as said, else the enterprise that speaks; one that speaks for another is refused. */
static kh_result enterprise_of(kh_engine *e, const kh_principal *who, const char *enterprise, const kh_result_sink *sink,
                               uint32_t *ret)
{
    *ret = who->party;
    if (enterprise != NULL) {
        kh_result result = party_of(e, who, enterprise, ret);
        if (result != KH_DONE || !own_only(e, who) || *ret == who->party) return result;
        return kh_embed_refuse(e, KH_C_NOT_AUTHORISED, sink);
    }
    return who->role == KH_ROLE_ENTERPRISE ? KH_DONE
                                           : kh_embed_fail(e, KH_MISUSE, "say whose grant: --as ENTERPRISE, or --enterprise");
}

static void row_moment(kh_row_builder *b, const char *name, uint64_t time_ns, bool is_end)
{
    uint64_t edge = is_end ? time_ns + 1 : time_ns;
    if (time_ns == 0 || time_ns == UINT64_MAX) kh_row_null(b, name);
    else if (edge % DAY_NS == 0 && kh_date_of_time(time_ns) != 0) kh_row_date(b, name, kh_date_of_time(time_ns));
    else kh_row_time(b, name, time_ns);
}

static void row_scope(kh_row_builder *b, uint8_t scope)
{
    char words[KH_SCOPE_WORDS_MAX];
    kh_scope_words(scope & KH_SCOPE_ALL, words);
    kh_row_words(b, "scope", words);
}

static const char *state_word(const kh_grant_view *g, uint64_t now)
{
    if (g->state == KH_GRANT_REVOKED) return "revoked";
    return now < g->from_ns ? "not_begun" : now > g->until_ns ? "expired" : "open";
}

static void row_grant(kh_row_builder *b, const kh_grant_view *g, uint64_t now)
{
    kh_row_begin(b);
    kh_row_number(b, "enterprise", g->enterprise);
    kh_row_number(b, "id", g->id);
    kh_row_number(b, "bank", g->bank);
    row_scope(b, g->scope);
    row_moment(b, "from", g->from_ns, false);
    row_moment(b, "until", g->until_ns, true);
    kh_row_text(b, "state", state_word(g, now));
}

/* now: what the block time of an entry made now would be, as far as we know. */
static uint64_t now_of(kh_engine *e, const kh_ledger *l) { return kh_max64(kh_ledger_time(l), e->clock.now(e->clock.self)); }

/* give_answer submits the operation and gives the grant as it is then. */
static kh_result give_answer(kh_engine *e, const kh_op *op, uint32_t enterprise, uint64_t id, const kh_result_sink *sink)
{
    kh_batch batch = {0};
    kh_answer *a;
    kh_row_builder b;
    kh_grant_view g = {.enterprise = enterprise, .id = id};
    kh_result result = kh_embed_one(e, &batch, op, &a);
    if (result != KH_DONE) return result;
    kh_code code = a->receipt.code;
    const kh_ledger *l = kh_store_read_begin(e->store);
    bool found = code == KH_C_OK && kh_ledger_grant(l, enterprise, id, &g);
    uint64_t now = now_of(e, l);
    kh_store_read_end(e->store);
    if (found) {
        row_grant(&b, &g, now);
    } else {
        kh_row_begin(&b);
        kh_row_number(&b, "enterprise", enterprise);
        kh_row_number(&b, "id", id);
    }
    kh_row_code(&b, code);
    kh_row_number(&b, "height", a->height);
    kh_row_give(&b, "grant", sink);
    kh_batch_release(&batch);
    return code == KH_C_OK ? KH_DONE : kh_embed_fail(e, KH_DONE_NOT_OK, "%s (%s)", kh_code_name(code), kh_code_term_zh(code));
}

kh_result kh_grant_add(kh_engine *engine, const kh_grant_request *request, const kh_result_sink *sink)
{
    kh_principal who;
    kh_op op = {.type = KH_OP_GRANT, .grant = {.id = request->id}};
    if (!kh_scope_of_words(kh_text_of(request->scope), &op.grant.scope))
        return kh_embed_fail(engine, KH_MISUSE, "\"%s\" is no scope (授权范围): documents, credit, or both with a comma between",
                             request->scope != NULL ? request->scope : "");
    kh_result result = times_of(engine, request, &op.grant);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_WRITING, request->as, KH_DO_GRANT, sink, &who);
    if (result == KH_DONE) result = enterprise_of(engine, &who, request->enterprise, sink, &op.grant.enterprise);
    if (result == KH_DONE) result = party_of(engine, &who, request->bank, &op.grant.bank);
    if (result != KH_DONE) return result;
    op.party = who.party;
    return give_answer(engine, &op, op.grant.enterprise, request->id, sink);
}

kh_result kh_grant_revoke(kh_engine *engine, const char *as, const char *enterprise, uint64_t id, const kh_result_sink *sink)
{
    kh_principal who;
    kh_op op = {.type = KH_OP_GRANT_REVOKE, .grant_revoke = {.id = id}};
    kh_result result = kh_embed_enter(engine, KH_WRITING, as, KH_DO_GRANT, sink, &who);
    if (result == KH_DONE) result = enterprise_of(engine, &who, enterprise, sink, &op.grant_revoke.enterprise);
    if (result != KH_DONE) return result;
    op.party = who.party;
    return give_answer(engine, &op, op.grant_revoke.enterprise, id, sink);
}

enum { PIECE = 4096 }; /* grants passed before the applier is let in */

kh_result kh_grant_list(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink)
{
    kh_principal who;
    kh_row_builder b;
    kh_grant_view g;
    uint64_t after[KH_PAGE_NUMBERS], given = 0;
    kh_result result = kh_page_begin(engine, page, 1, after);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_READING, as, KH_ASK_GRANT, sink, &who);
    if (result != KH_DONE) return result;
    uint32_t enterprise = who.role == KH_ROLE_ENTERPRISE ? who.party : 0;
    uint64_t cursor = kh_page_cursor(engine, page, &who, KH_ASK_GRANT, after[0]), last = cursor;
    for (bool more = true; more;) {
        const kh_ledger *l = kh_store_read_begin(engine->store);
        bool wanted = false;
        for (uint32_t i = 0; more && !wanted && i < PIECE; i++) {
            more = kh_ledger_grant_next(l, &cursor, enterprise, &g);
            wanted = more && kh_access_may_see_grant(&who, g.enterprise, g.bank);
        }
        uint64_t now = now_of(engine, l);
        kh_store_read_end(engine->store);
        if (!wanted) continue;
        if (kh_page_full(page, given)) {
            kh_page_more_rows(engine, page, &who, KH_ASK_GRANT, last);
            break;
        }
        row_grant(&b, &g, now);
        kh_row_give(&b, "grant", sink);
        given++;
        last = cursor;
    }
    return KH_DONE;
}

static bool is_lookup(uint32_t party, const kh_journal_item *item)
{
    return item->is_notice && item->notice.type == KH_NOTICE_LOOKUP && (party == 0 || item->notice.party == party);
}

static void give_lookup(kh_walk *walk, const kh_journal_item *item)
{
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", kh_store_block_of(walk->e->store, item->place.height));
    kh_row_time(&b, "time", item->time_ns);
    kh_row_number(&b, "enterprise", item->notice.party);
    kh_row_number(&b, "bank", item->notice.version);
    kh_row_number(&b, "grant", item->notice.financing);
    row_scope(&b, item->notice.state);
    kh_row_give(&b, "lookup", walk->sink);
}

kh_result kh_grant_lookups(kh_engine *engine, const char *as, kh_page *page, const kh_result_sink *sink)
{
    kh_principal who;
    kh_walk walk = {.e = engine, .sink = sink, .page = page, .wanted = is_lookup, .give = give_lookup};
    kh_result result = kh_page_begin(engine, page, 2, walk.after);
    if (result == KH_DONE) result = kh_embed_enter(engine, KH_READING, as, KH_ASK_GRANT, sink, &who);
    if (result != KH_DONE) return result;
    if (who.role == KH_ROLE_BANK) return kh_embed_refuse(engine, KH_C_NOT_AUTHORISED, sink);
    return kh_embed_walk(&walk, who.role == KH_ROLE_ENTERPRISE ? who.party : 0);
}
