/* papers: balance, history and alerts: what is known of a document, as far as the asker may see it. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

/* find resolves the asker and the document: *ret_code is OK, or NOT_FOUND both where there is none and where the proof fails. */
static kh_result find(kh_engine *e, const kh_paper *paper, kh_ask ask, kh_paper_name *ret_name, kh_principal *ret_who,
                      kh_doc_view *ret_doc, kh_code *ret_code)
{
    char why[300], owner[KH_ISSUER_MAX + 1];
    uint32_t owner_n = 0;
    kh_code code;
    if (!kh_embed_paper(paper->document, paper->issuer, paper->owner, ret_name, why, sizeof why))
        return kh_embed_fail(e, KH_MISUSE, "%s", why);
    kh_result result = kh_embed_open(e, KH_READING);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(e->store);
    result = kh_embed_principal(e, l, paper->as, ask, ret_who, &code);
    if (result == KH_DONE && code == KH_C_OK) {
        uint32_t rights = kh_access_rights(ret_who, ask);
        if (ret_name->code == KH_C_FORMAT) code = KH_C_FORMAT;
        else if (!kh_ledger_document(l, &ret_name->key, ret_who->role == KH_ROLE_BANK ? ret_who->party : 0, ret_doc))
            code = KH_C_NOT_FOUND;
        else if (ret_who->role == KH_ROLE_ENTERPRISE) {
            kh_party_view self;
            if (!kh_ledger_party(l, ret_who->party, &self) || self.uscc[0] == '\0' || strcmp(self.uscc, ret_doc->owner) != 0)
                code = KH_C_NOT_FOUND;
        } else if (rights & KH_NEEDS_PROOF) {
            if (paper->owner == NULL || kh_owner_canonical(kh_text_of(paper->owner), owner, &owner_n) == KH_C_FORMAT) owner_n = 0;
            if (!kh_access_proven(ret_doc, (kh_text){owner, owner_n}, paper->amount)) code = KH_C_NOT_FOUND;
        }
    }
    kh_store_read_end(e->store);
    if (result != KH_DONE) return result;
    kh_embed_log_lookup(e, ret_who, ask == KH_ASK_BALANCE ? "balance" : "history", paper->document);
    if (code == KH_C_OK) kh_access_show_document(ret_who, ret_doc);
    *ret_code = code;
    return KH_DONE;
}

static kh_result refused(kh_engine *e, const kh_paper_name *name, kh_code code, const kh_result_sink *sink)
{
    kh_row_not_found(sink, name, code);
    return kh_embed_fail(e, KH_DONE_NOT_OK, "%s", kh_code_name(code));
}

static void document_head(kh_row_builder *b, const kh_doc_view *doc)
{
    kh_row_begin(b);
    kh_row_text(b, "kind", kh_kind_word(doc->kind));
    kh_row_text(b, "number", doc->number);
    kh_row_issuer(b, doc->issuer);
    kh_row_text(b, "owner", doc->owner[0] != '\0' ? doc->owner : NULL);
    kh_row_text(b, "status", kh_status_word(doc->status));
    kh_row_date(b, "date", doc->date);
    kh_row_number(b, "version", doc->version);
}

void kh_embed_give_document(const kh_doc_view *doc, const kh_result_sink *sink)
{
    kh_row_builder b;
    for (uint32_t i = 0; i < doc->balance_cnt || i == 0; i++) {
        static const kh_balance_view none; /* a document without any amount: genuine, not financeable */
        const kh_balance_view *v = i < doc->balance_cnt ? &doc->balances[i] : &none;
        document_head(&b, doc);
        kh_row_text(&b, "currency", v->currency != 0 ? kh_currency_alpha(v->currency) : NULL);
        kh_row_amount(&b, "base", v->base, v->currency);
        kh_row_amount(&b, "cap", v->cap, v->currency);
        kh_row_amount(&b, "held", v->held, v->currency);
        kh_row_amount(&b, "used", v->used, v->currency);
        kh_row_amount(&b, "consumed", v->consumed, v->currency);
        kh_row_amount(&b, "free", v->free, v->currency);
        if (v->over_limit) kh_row_bool(&b, "over_limit", true);
        if (doc->similar) kh_row_bool(&b, "similar", true);
        kh_row_give(&b, "balance", sink);
    }
}

kh_result kh_balance(kh_engine *e, const kh_paper *paper, const kh_result_sink *sink)
{
    kh_paper_name name;
    kh_principal who;
    kh_doc_view doc;
    kh_code code = KH_C_OK;
    kh_result result = find(e, paper, KH_ASK_BALANCE, &name, &who, &doc, &code);
    if (result != KH_DONE) return result;
    if (code != KH_C_OK) return refused(e, &name, code, sink);
    kh_embed_give_document(&doc, sink);
    return KH_DONE;
}

static const char *operation_word(const kh_journal_item *item)
{
    static const char *const documents[KH_DOC_ACTION_CNT] = {"document", "document", "amendment", "cancellation", "status"};
    static const char *const notices[] = {"notice",          "lapse",   "cancel_line", "over_limit",   "revoked",
                                          "frozen_document", "similar", "linked",      "within_limit", "message_applied"};
    const kh_receipt *r = &item->receipt;
    if (item->is_notice) return item->notice.type < sizeof notices / sizeof notices[0] ? notices[item->notice.type] : notices[0];
    if (r->type == KH_OP_DOCUMENT) return r->event < KH_DOC_ACTION_CNT ? documents[r->event] : documents[0];
    return kh_event_word((kh_event)r->event);
}

static const char *effect_word(uint8_t effect)
{
    static const char *const words[] = {NULL, "stored", "unchanged", "amended", "revoked", "status", "waiting"};
    return effect < sizeof words / sizeof words[0] ? words[effect] : NULL;
}

/* give_notice adds what a notice changed. */
static void add_notice(kh_row_builder *b, const kh_notice *n)
{
    kh_row_null(b, "party");
    kh_row_code(b, KH_C_OK);
    kh_row_text(b, "alert", kh_notice_word((kh_notice_type)n->type));
    if (n->has_financing) {
        kh_row_number(b, "bank", n->party);
        kh_row_number(b, "financing", n->financing);
        kh_row_text(b, "state", kh_fin_state_word((kh_fin_state)n->state));
        kh_row_number(b, "version", n->version);
    } else if (n->party != 0) {
        kh_row_number(b, "bank", n->party);
    }
    kh_row_text(b, "currency", n->currency != 0 ? kh_currency_alpha(n->currency) : NULL);
    kh_row_amount(b, "moved", n->moved, n->currency);
}

static void add_document_change(kh_row_builder *b, const kh_receipt *r, char changes[], size_t cap)
{
    kh_row_text(b, "effect", effect_word(r->effect));
    kh_row_text(b, "status", r->state != 0 ? kh_status_word((kh_status)r->state) : NULL);
    kh_row_number(b, "version", r->version);
    changes[0] = '\0';
    for (uint32_t i = 0; i < r->line_cnt; i++) {
        char now[32], before[32], one[100];
        (void)kh_amount_format(r->lines[i].amount, r->lines[i].currency, now);
        if (r->lines[i].allocated == KH_AMOUNT_NONE) strcpy(before, "");
        else (void)kh_amount_format(r->lines[i].allocated, r->lines[i].currency, before);
        (void)snprintf(one, sizeof one, "%s%s:%s>%s", i > 0 ? " " : "", kh_currency_alpha(r->lines[i].currency), before, now);
        if (strlen(changes) + strlen(one) < cap) strcat(changes, one);
    }
    kh_row_words(b, "base", changes);
}

static void add_financing_event(kh_row_builder *b, const kh_receipt *r, const kh_key *key)
{
    kh_row_number(b, "bank", r->party);
    kh_row_number(b, "financing", r->financing);
    kh_row_text(b, "state", r->state != 0 ? kh_fin_state_word((kh_fin_state)r->state) : NULL);
    kh_row_number(b, "version", r->version);
    kh_row_text(b, "currency", r->currency != 0 ? kh_currency_alpha(r->currency) : NULL);
    kh_row_amount(b, "moved", r->moved, r->currency);
    if (r->reason != 0) kh_row_text(b, "reason", kh_reason_word((kh_reason)r->reason));
    if (r->event == KH_EV_REPAY) kh_row_text(b, "source", kh_repay_source_word((kh_repay_source)r->source));
    char held[KH_DOC_BALANCES_MAX * 40] = "";
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->line_cnt && n < KH_DOC_BALANCES_MAX; i++) {
        const kh_receipt_line *line = &r->lines[i];
        char amount[32];
        if (!kh_key_equal(&line->key, key)) continue;
        if (n == 0) {
            kh_row_text(b, "document_currency", line->currency != 0 ? kh_currency_alpha(line->currency) : NULL);
            kh_row_amount(b, "amount", line->amount, line->currency);
            kh_row_amount(b, "allocated", line->allocated, r->currency);
        }
        (void)kh_amount_format(line->amount, line->currency, amount);
        size_t at = strlen(held);
        (void)snprintf(held + at, sizeof held - at, "%s%s:%s", n > 0 ? " " : "", kh_currency_alpha(line->currency), amount);
        n++;
    }
    if (n > 1) kh_row_words(b, "amounts", held); /* each of the document's balances */
}

static void give_history(const kh_journal_item *item, const kh_principal *who, const kh_key *key, const kh_result_sink *sink)
{
    char changes[1200];
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", item->place.height);
    kh_row_time(&b, "time", item->time_ns);
    kh_row_text(&b, "operation", operation_word(item));
    if (item->is_notice) {
        add_notice(&b, &item->notice);
    } else {
        const kh_receipt *r = &item->receipt;
        bool own_only = (kh_access_rights(who, KH_ASK_HISTORY) & KH_OWN_ONLY) != 0 && r->party != who->party;
        if (own_only) kh_row_null(&b, "party");
        else kh_row_number(&b, "party", r->party);
        kh_row_code(&b, r->code);
        if (r->type == KH_OP_DOCUMENT) add_document_change(&b, r, changes, sizeof changes);
        else add_financing_event(&b, r, key);
    }
    kh_row_give(&b, "event", sink);
}

/* previous follows the document's chain; where the document was moved under another key the older items bear the older one. */
static kh_place previous(const kh_journal_item *item, kh_key *key)
{
    kh_place place = kh_store_journal_prev(item, 1, key);
    if (place.height != 0) return place;
    const kh_touch *other = NULL;
    for (uint32_t i = 0; i < item->touch_cnt; i++) {
        if (item->touches[i].what != 1) continue;
        if (kh_key_equal(&item->touches[i].key, key)) return place;
        if (other == NULL) other = &item->touches[i];
    }
    if (other == NULL) return place;
    *key = other->key;
    return other->prev;
}

/* A chain is walked from its newest item; places are gathered first, so that history is told from the beginning. */
typedef struct places {
    kh_place *p;
    size_t n, cap;
} places;
static bool places_add(places *all, kh_place place)
{
    if (all->n == all->cap) {
        size_t cap = all->cap == 0 ? 256 : all->cap * 2;
        kh_place *p = realloc(all->p, cap * sizeof *p);
        if (p == NULL) return false;
        all->p = p;
        all->cap = cap;
    }
    all->p[all->n++] = place;
    return true;
}

static bool may_see(const kh_principal *who, const kh_journal_item *item)
{
    if (item->is_notice) return kh_access_may_see_outcome(who, true, 0, item->notice.party);
    return kh_access_may_see_outcome(who, false, item->receipt.type, item->receipt.party);
}

kh_result kh_history(kh_engine *e, const kh_paper *paper, const kh_result_sink *sink)
{
    kh_paper_name name;
    kh_principal who;
    kh_doc_view doc;
    kh_code code = KH_C_OK;
    kh_result result = find(e, paper, KH_ASK_HISTORY, &name, &who, &doc, &code);
    if (result != KH_DONE) return result;
    if (code != KH_C_OK) return refused(e, &name, code, sink);
    kh_journal_item *item = malloc(sizeof *item);
    places all = {0};
    kh_err err = item == NULL ? KH_E_NOMEM : KH_OK;
    kh_key key = doc.key;
    for (kh_place at = doc.last; err == KH_OK && at.height != 0;) {
        err = kh_store_journal_read(e->store, at, item);
        if (err == KH_OK && may_see(&who, item) && !places_add(&all, at)) err = KH_E_NOMEM;
        if (err == KH_OK) at = previous(item, &key);
    }
    for (size_t i = all.n; err == KH_OK && i > 0; i--) {
        err = kh_store_journal_read(e->store, all.p[i - 1], item);
        if (err == KH_OK) give_history(item, &who, &doc.key, sink);
    }
    free(all.p);
    free(item);
    return err == KH_OK ? KH_DONE : kh_embed_environment(e, err, "read the journal");
}

/* ---- alerts ---- */

static void give_alert(kh_engine *e, const kh_journal_item *item, const kh_result_sink *sink)
{
    const kh_notice *n = &item->notice;
    kh_row_builder b;
    kh_doc_view doc;
    bool found = false;
    if (n->has_key) {
        const kh_ledger *l = kh_store_read_begin(e->store);
        found = kh_ledger_document(l, &n->key, 0, &doc);
        kh_store_read_end(e->store);
    }
    kh_row_begin(&b);
    kh_row_number(&b, "height", item->place.height);
    kh_row_time(&b, "time", item->time_ns);
    kh_row_text(&b, "alert", kh_notice_word((kh_notice_type)n->type));
    if (n->party != 0) kh_row_number(&b, "bank", n->party);
    else kh_row_null(&b, "bank");
    if (n->has_financing) kh_row_number(&b, "financing", n->financing);
    else kh_row_null(&b, "financing");
    kh_row_text(&b, "kind", found ? kh_kind_word(doc.kind) : NULL);
    kh_row_text(&b, "number", found ? doc.number : NULL);
    kh_row_issuer(&b, found ? doc.issuer : NULL);
    kh_row_text(&b, "currency", n->currency != 0 ? kh_currency_alpha(n->currency) : NULL);
    kh_row_amount(&b, "amount", n->moved, n->currency);
    if (n->has_financing) kh_row_text(&b, "state", kh_fin_state_word((kh_fin_state)n->state));
    kh_row_give(&b, "alert", sink);
}

static bool is_alert(const kh_journal_item *item)
{
    return item->is_notice && item->notice.type >= KH_NOTICE_LAPSED && item->notice.type <= KH_NOTICE_SIMILAR;
}

struct scan {
    kh_engine *e;
    const kh_result_sink *sink;
};
static kh_err each_item(void *ctx, const kh_journal_item *item)
{
    struct scan *scan = ctx;
    if (is_alert(item)) give_alert(scan->e, item, scan->sink);
    return KH_OK;
}

kh_result kh_alerts(kh_engine *e, const char *as, const kh_result_sink *sink)
{
    kh_principal who;
    kh_result result = kh_embed_enter(e, KH_READING, as, KH_ASK_ALERTS, sink, &who);
    if (result != KH_DONE) return result;
    kh_err err;
    if ((kh_access_rights(&who, KH_ASK_ALERTS) & KH_OWN_ONLY) == 0) {
        struct scan scan = {e, sink};
        err = kh_store_journal_scan(e->store, 1, each_item, &scan);
        return err == KH_OK ? KH_DONE : kh_embed_environment(e, err, "read the journal");
    }
    kh_journal_item *item = malloc(sizeof *item);
    kh_party_view party = {0};
    kh_key key = {{0}};
    places all = {0};
    kh_store32(key.b, who.party);
    const kh_ledger *l = kh_store_read_begin(e->store);
    (void)kh_ledger_party(l, who.party, &party);
    kh_store_read_end(e->store);
    err = item == NULL ? KH_E_NOMEM : KH_OK;
    for (kh_place at = party.last; err == KH_OK && at.height != 0;) {
        err = kh_store_journal_read(e->store, at, item);
        if (err == KH_OK && is_alert(item) && item->notice.party == who.party && !places_add(&all, at)) err = KH_E_NOMEM;
        if (err == KH_OK) at = kh_store_journal_prev(item, 2, &key);
    }
    for (size_t i = all.n; err == KH_OK && i > 0; i--) {
        err = kh_store_journal_read(e->store, all.p[i - 1], item);
        if (err == KH_OK) give_alert(e, item, sink);
    }
    free(all.p);
    free(item);
    return err == KH_OK ? KH_DONE : kh_embed_environment(e, err, "read the journal");
}
