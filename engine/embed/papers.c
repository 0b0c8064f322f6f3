/* papers: balance, history and alerts: questions about single documents and what happened to them. */
#include "embed/embed.h"
#include <stdlib.h>

/* found opens, resolves who asks, logs, finds the document and checks the proof. KH_DONE: *doc is to be shown, and the ledger is held
   (kh_store_read_end is the caller's); anything else: already answered. */
static kh_result found(kh_engine *e, const kh_paper *paper, kh_ask ask, const kh_result_sink *sink, kh_principal *who, kh_doc_view *doc)
{
    kh_paper_name name;
    char why[500];
    if (!kh_embed_paper(paper->document, paper->issuer, &name, why, sizeof why)) {
        if (name.code == KH_C_FORMAT && strchr(paper->document, ':') != NULL && name.kind != 0) {
            kh_row_not_found(sink, &name, KH_C_FORMAT);
            return kh_embed_fail(e, KH_DONE_NOT_OK, "%s", why);
        }
        return kh_embed_fail(e, KH_MISUSE, "%s", why);
    }
    kh_result result = kh_embed_open(e, KH_READING);
    if (result != KH_DONE) return result;
    const kh_ledger *l = kh_store_read_begin(e->store);
    result = kh_embed_principal(e, l, paper->as, ask, who);
    if (result == KH_DONE) kh_embed_log_lookup(e, who, ask == KH_ASK_BALANCE ? "balance" : "history", paper->document);
    bool show = result == KH_DONE && kh_ledger_document(l, &name.key, who->role == KH_ROLE_BANK ? who->party : 0, doc);
    if (show && (kh_access_rights(who, ask) & KH_NEEDS_PROOF) != 0) {
        char owner[KH_ISSUER_MAX + 1];
        uint32_t n = 0;
        kh_party_view self;
        bool owns = who->role == KH_ROLE_ENTERPRISE && kh_ledger_party(l, who->party, &self) && strcmp(self.uscc, doc->owner) == 0;
        bool stated = paper->owner != NULL && kh_owner_canonical(kh_text_of(paper->owner), owner, &n) != KH_C_FORMAT;
        show = owns || (stated && kh_access_proven(doc, (kh_text){owner, n}, paper->amount));
    }
    if (show) return KH_DONE;
    kh_store_read_end(e->store);
    if (result == KH_DONE) {
        kh_row_not_found(sink, &name, KH_C_NOT_FOUND);
        result = kh_embed_fail(e, KH_DONE_NOT_OK, "NOT_FOUND (查无此单)%s",
                               who->role == KH_ROLE_BANK ? ": or the proof is missing: a bank states --owner and --amount of the paper it holds" : "");
    } else if (result == KH_DONE_NOT_OK) kh_row_not_found(sink, &name, who->frozen ? KH_C_FROZEN : KH_C_NOT_AUTHORISED);
    return result;
}

kh_result kh_balance(kh_engine *engine, const kh_paper *paper, const kh_result_sink *sink)
{
    kh_principal who;
    kh_doc_view doc;
    kh_result result = found(engine, paper, KH_ASK_BALANCE, sink, &who, &doc);
    if (result != KH_DONE) return result;
    kh_store_read_end(engine->store);
    kh_access_show_document(&who, &doc);
    uint32_t cnt = doc.balance_cnt > 0 ? doc.balance_cnt : 1;
    for (uint32_t i = 0; i < cnt; i++) {
        kh_balance_view none = {0}, *v = doc.balance_cnt > 0 ? &doc.balances[i] : &none;
        kh_row_builder b;
        kh_row_begin(&b);
        kh_row_text(&b, "kind", kh_kind_word(doc.kind));
        kh_row_text(&b, "number", doc.number);
        kh_row_issuer(&b, doc.issuer);
        kh_row_text(&b, "owner", doc.owner);
        kh_row_text(&b, "status", kh_status_word(doc.status));
        kh_row_date(&b, "date", doc.date);
        kh_row_number(&b, "version", doc.version);
        kh_row_text(&b, "currency", v->currency != 0 ? kh_currency_alpha(v->currency) : NULL);
        kh_row_amount(&b, "base", v->base, v->currency);
        kh_row_amount(&b, "cap", v->cap, v->currency);
        kh_row_amount(&b, "held", v->held, v->currency);
        kh_row_amount(&b, "used", v->used, v->currency);
        kh_row_amount(&b, "consumed", v->consumed, v->currency);
        kh_row_amount(&b, "free", v->free, v->currency);
        if (v->over_limit) kh_row_bool(&b, "over_limit", true);
        if (doc.frozen) kh_row_bool(&b, "frozen", true);
        if (doc.similar && who.role == KH_ROLE_REGULATOR) kh_row_bool(&b, "similar", true);
        kh_row_give(&b, "balance", sink);
    }
    return KH_DONE;
}

static const char *operation_word(const kh_journal_item *item)
{
    static const char *const words[KH_OP_TYPE_CNT] = {"unreadable", "party_add", "party_status", "rule_set", "rate_set", "document", "apply", "event"};
    if (item->is_notice) return kh_notice_word((kh_notice_type)item->notice.type);
    if (item->receipt.type == KH_OP_EVENT) return kh_event_word((kh_event)item->receipt.event);
    if (item->receipt.type == KH_OP_DOCUMENT) {
        static const char *const effects[] = {"refused", "stored", "unchanged", "amended", "revoked", "status", "waiting"};
        return item->receipt.effect < 7 ? effects[item->receipt.effect] : "document";
    }
    return item->receipt.type < KH_OP_TYPE_CNT ? words[item->receipt.type] : "unknown";
}

/* changed adds what an item of a document's chain did to that document. */
static void changed(kh_row_builder *b, const kh_journal_item *item, const kh_doc_view *doc, kh_result_row *rows, kh_row_builder *lines)
{
    if (item->is_notice) {
        if (item->notice.has_financing) kh_row_number(b, "financing", item->notice.financing);
        kh_row_text(b, "currency", item->notice.currency != 0 ? kh_currency_alpha(item->notice.currency) : NULL);
        kh_row_amount(b, "amount", item->notice.moved, item->notice.currency);
        return;
    }
    const kh_receipt *r = &item->receipt;
    if (r->type == KH_OP_DOCUMENT) {
        kh_row_text(b, "status", kh_status_word((kh_status)r->state));
        kh_row_number(b, "version", r->version);
        uint32_t n = r->line_cnt < 8 ? r->line_cnt : 8;
        for (uint32_t i = 0; i < n; i++) {
            kh_row_begin(&lines[i]);
            kh_row_text(&lines[i], "currency", kh_currency_alpha(r->lines[i].currency));
            kh_row_amount(&lines[i], "base", r->lines[i].amount, r->lines[i].currency);
            kh_row_amount(&lines[i], "before", r->lines[i].allocated, r->lines[i].currency);
            rows[i] = (kh_result_row){"balance", lines[i].fields, lines[i].n};
        }
        kh_row_rows(b, "balances", rows, n);
        return;
    }
    if (r->type != KH_OP_APPLY && r->type != KH_OP_EVENT) return;
    kh_row_number(b, "financing", r->financing);
    kh_row_text(b, "state", kh_fin_state_word((kh_fin_state)r->state));
    for (uint32_t i = 0; i < r->line_cnt; i++) {
        if (!kh_key_equal(&r->lines[i].key, &doc->key)) continue;
        kh_row_text(b, "currency", kh_currency_alpha(r->lines[i].currency));
        kh_row_amount(b, "amount", r->lines[i].amount, r->lines[i].currency);
        break;
    }
}

/* The chain runs from the newest to the oldest; it is shown oldest first. */
#define HISTORY_MAX 65536u
static kh_result places_of(kh_engine *e, kh_place last, uint8_t what, const kh_key *key, kh_place **ret, uint32_t *ret_n, kh_journal_item *item)
{
    kh_place *places = NULL;
    uint32_t n = 0, cap = 0;
    for (kh_place at = last; at.height != 0 && n < HISTORY_MAX;) {
        if (n == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            kh_place *more = realloc(places, cap * sizeof *places);
            if (more == NULL) break;
            places = more;
        }
        places[n++] = at;
        kh_err err = kh_store_journal_read(e->store, at, item);
        if (err != KH_OK) {
            free(places);
            return kh_embed_environment(e, err, "read the journal");
        }
        at = kh_store_journal_prev(item, what, key);
    }
    *ret = places;
    *ret_n = n;
    return KH_DONE;
}

kh_result kh_history(kh_engine *engine, const kh_paper *paper, const kh_result_sink *sink)
{
    kh_principal who;
    kh_doc_view doc;
    kh_result result = found(engine, paper, KH_ASK_HISTORY, sink, &who, &doc);
    if (result != KH_DONE) return result;
    kh_store_read_end(engine->store);
    kh_journal_item *item = malloc(sizeof *item);
    kh_row_builder *lines = malloc(8 * sizeof *lines);
    kh_place *places = NULL;
    uint32_t n = 0;
    if (item == NULL || lines == NULL) result = kh_embed_environment(engine, KH_E_NOMEM, "read the history");
    else result = places_of(engine, doc.last, 1, &doc.key, &places, &n, item);
    for (uint32_t i = n; i-- > 0 && result == KH_DONE;) {
        kh_err err = kh_store_journal_read(engine->store, places[i], item);
        if (err != KH_OK) {
            result = kh_embed_environment(engine, err, "read the journal");
            break;
        }
        uint32_t party = item->is_notice ? item->notice.party : item->receipt.party;
        if (!kh_access_may_see_outcome(&who, item->is_notice, item->receipt.type, party)) continue;
        kh_row_builder b;
        kh_result_row rows[8];
        kh_row_begin(&b);
        kh_row_number(&b, "height", item->place.height);
        kh_row_time(&b, "time", item->time_ns);
        kh_row_text(&b, "operation", operation_word(item));
        kh_row_number(&b, "party", party);
        kh_row_code(&b, item->is_notice ? KH_C_OK : item->receipt.code);
        changed(&b, item, &doc, rows, lines);
        kh_row_give(&b, "event", sink);
    }
    free(places);
    free(lines);
    free(item);
    return result;
}

/* ---- alerts ---- */

typedef struct alert_walk {
    kh_engine *e;
    const kh_ledger *l;
    const kh_principal *who;
    const kh_result_sink *sink;
} alert_walk;

static kh_err alert(void *ctx, const kh_journal_item *item)
{
    alert_walk *w = ctx;
    const kh_notice *n = &item->notice;
    if (!item->is_notice || n->type > KH_NOTICE_SIMILAR) return KH_OK;
    bool own_only = (kh_access_rights(w->who, KH_ASK_ALERTS) & KH_OWN_ONLY) != 0;
    if (own_only && n->party != w->who->party) return KH_OK;
    kh_row_builder b;
    kh_doc_view doc;
    kh_row_begin(&b);
    kh_row_number(&b, "height", item->place.height);
    kh_row_time(&b, "time", item->time_ns);
    kh_row_text(&b, "alert", kh_notice_word((kh_notice_type)n->type));
    if (n->party != 0) kh_row_number(&b, "bank", n->party);
    else kh_row_null(&b, "bank");
    if (n->has_financing) kh_row_number(&b, "financing", n->financing);
    else kh_row_null(&b, "financing");
    const kh_ledger *l = kh_store_read_begin(w->e->store);
    bool known = n->has_key && kh_ledger_document(l, &n->key, 0, &doc);
    kh_store_read_end(w->e->store);
    kh_row_text(&b, "kind", known ? kh_kind_word(doc.kind) : NULL);
    kh_row_text(&b, "number", known ? doc.number : NULL);
    kh_row_issuer(&b, known ? doc.issuer : NULL);
    if (n->currency != 0) {
        kh_row_text(&b, "currency", kh_currency_alpha(n->currency));
        kh_row_amount(&b, "amount", n->moved, n->currency);
    }
    kh_row_give(&b, "alert", w->sink);
    return KH_OK;
}

kh_result kh_alerts(kh_engine *engine, const char *as, const kh_result_sink *sink)
{
    kh_result result = kh_embed_open(engine, KH_READING);
    if (result != KH_DONE) return result;
    kh_principal who;
    const kh_ledger *l = kh_store_read_begin(engine->store);
    result = kh_embed_principal(engine, l, as, KH_ASK_ALERTS, &who);
    kh_party_view self = {0};
    if (result == KH_DONE && who.party != 0) (void)kh_ledger_party(l, who.party, &self);
    kh_store_read_end(engine->store);
    if (result != KH_DONE) return result;
    alert_walk walk = {engine, l, &who, sink};
    if (who.role == KH_ROLE_REGULATOR) {
        kh_err err = kh_store_journal_scan(engine->store, 1, alert, &walk);
        return err == KH_OK ? KH_DONE : kh_embed_environment(engine, err, "read the journal");
    }
    /* a party walks its own chain */
    kh_journal_item *item = malloc(sizeof *item);
    kh_place *places = NULL;
    uint32_t n = 0;
    kh_key chain = {{0}};
    kh_store32(chain.b, who.party);
    if (item == NULL) return kh_embed_environment(engine, KH_E_NOMEM, "read the alerts");
    result = places_of(engine, self.last, 2, &chain, &places, &n, item);
    for (uint32_t i = n; i-- > 0 && result == KH_DONE;) {
        kh_err err = kh_store_journal_read(engine->store, places[i], item);
        if (err == KH_OK) err = alert(&walk, item);
        if (err != KH_OK) result = kh_embed_environment(engine, err, "read the journal");
    }
    free(places);
    free(item);
    return result;
}
