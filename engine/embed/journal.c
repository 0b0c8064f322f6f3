/* journal: history and alerts: what happened, told from the beginning. A chain of outcomes is walked from its newest one; a list
 * of all of them from the oldest. */
#include "embed/embed.h"
#include <stdio.h>
#include <stdlib.h>

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

static void give_history(kh_store *store, const kh_journal_item *item, const kh_principal *who, const kh_key *key,
                         const kh_result_sink *sink)
{
    char changes[1200];
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", kh_store_block_of(store, item->place.height));
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

static bool may_see(const kh_principal *who, const kh_journal_item *item)
{
    if (item->is_notice) return kh_access_may_see_outcome(who, true, 0, item->notice.party);
    return kh_access_may_see_outcome(who, false, item->receipt.type, item->receipt.party);
}

/* gather_history walks the document's chain down to the page's begin. */
static kh_err gather_history(kh_engine *e, const kh_doc_view *doc, const kh_principal *who, const uint64_t after[KH_PAGE_NUMBERS],
                             kh_journal_item *item, kh_places *all)
{
    kh_err err = KH_OK;
    kh_key key = doc->key;
    for (kh_place at = doc->last; err == KH_OK && at.height != 0 && kh_place_behind(at, after);) {
        err = kh_store_journal_read(e->store, at, item);
        if (err == KH_OK && may_see(who, item)) err = kh_places_add(all, at);
        if (err == KH_OK) at = previous(item, &key);
    }
    return err;
}

kh_result kh_history(kh_engine *e, const kh_paper *paper, kh_page *page, const kh_result_sink *sink)
{
    kh_paper_name name;
    kh_principal who;
    kh_doc_view doc;
    kh_code code;
    uint64_t after[KH_PAGE_NUMBERS], given = 0;
    kh_result result = kh_page_begin(e, page, 2, after);
    if (result == KH_DONE) result = kh_embed_find(e, paper, KH_ASK_HISTORY, &name, &who, &doc, &code);
    if (result != KH_DONE) return result;
    if (code != KH_C_OK) return kh_embed_not_found(e, &name, code, sink);
    kh_places all = {0};
    kh_place at, last = {0};
    kh_journal_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? kh_places_begin(&all, page) : KH_E_NOMEM;
    if (err == KH_OK) err = gather_history(e, &doc, &who, after, item, &all);
    for (; err == KH_OK && kh_places_next(&all, &at); given++, last = at) {
        if (kh_page_full(page, given)) {
            kh_page_ends(page, last);
            break;
        }
        err = kh_store_journal_read(e->store, at, item);
        if (err == KH_OK) give_history(e->store, item, &who, &doc.key, sink);
    }
    free(all.p);
    free(item);
    return err == KH_OK ? KH_DONE : kh_embed_environment(e, err, "read the journal");
}

/* ---- alerts ---- */

void kh_embed_give_alert(const kh_alert_row *alert, const kh_final *final, const kh_result_sink *sink)
{
    const kh_notice *n = alert->notice;
    kh_row_builder b;
    kh_row_begin(&b);
    kh_row_number(&b, "height", alert->height);
    kh_row_time(&b, "time", alert->time_ns);
    kh_row_text(&b, "alert", kh_notice_word((kh_notice_type)n->type));
    if (n->party != 0) kh_row_number(&b, "bank", n->party);
    else kh_row_null(&b, "bank");
    if (n->has_financing) kh_row_number(&b, "financing", n->financing);
    else kh_row_null(&b, "financing");
    kh_row_text(&b, "kind", alert->kind);
    kh_row_text(&b, "number", alert->number);
    kh_row_issuer(&b, alert->issuer);
    kh_row_text(&b, "currency", n->currency != 0 ? kh_currency_alpha(n->currency) : NULL);
    kh_row_amount(&b, "amount", n->moved, n->currency);
    if (n->has_financing) kh_row_text(&b, "state", kh_fin_state_word((kh_fin_state)n->state));
    kh_row_final(&b, final);
    kh_row_give(&b, "alert", sink);
}

static void give_alert(kh_walk *walk, const kh_journal_item *item)
{
    const kh_notice *n = &item->notice;
    kh_doc_view doc;
    bool found = false;
    if (n->has_key) {
        const kh_ledger *l = kh_store_read_begin(walk->e->store);
        found = kh_ledger_document(l, &n->key, 0, &doc);
        kh_store_read_end(walk->e->store);
    }
    kh_alert_row row = {.height = kh_store_block_of(walk->e->store, item->place.height), .time_ns = item->time_ns, .notice = n};
    if (found) {
        row.kind = kh_kind_word(doc.kind);
        row.number = doc.number;
        row.issuer = doc.issuer;
    }
    kh_final final;
    kh_embed_final(walk->e, &final);
    kh_embed_give_alert(&row, &final, walk->sink);
}

static bool is_alert(uint32_t party, const kh_journal_item *item)
{
    return item->is_notice && item->notice.type >= KH_NOTICE_LAPSED && item->notice.type <= KH_NOTICE_SIMILAR &&
           (party == 0 || item->notice.party == party);
}

kh_result kh_alerts(kh_engine *e, const char *as, kh_page *page, const kh_result_sink *sink)
{
    kh_principal who;
    kh_walk walk = {.e = e, .sink = sink, .page = page, .wanted = is_alert, .give = give_alert};
    kh_result result = kh_page_begin(e, page, 2, walk.after);
    if (result == KH_DONE) result = kh_embed_enter(e, KH_READING, as, KH_ASK_ALERTS, sink, &who);
    if (result != KH_DONE) return result;
    if (kh_viewed(e)) return kh_viewed_alerts(e, &who, walk.after[0], page, sink);
    bool own = (kh_access_rights(&who, KH_ASK_ALERTS) & KH_OWN_ONLY) != 0;
    return kh_embed_walk(&walk, own ? who.party : 0);
}
