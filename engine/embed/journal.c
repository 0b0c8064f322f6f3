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

/* places: of a chain, what a page shows: the oldest `most` of those that were added, newest first. */
typedef struct places {
    kh_place *p;
    uint64_t added, cap, most; /* most 0: all */
} places;

static kh_err places_begin(places *all, const kh_page *page)
{
    *all = (places){.most = page != NULL && page->limit != 0 ? (uint64_t)page->limit + 1 : 0};
    all->cap = all->most != 0 ? all->most : 256;
    all->p = malloc(all->cap * sizeof *all->p);
    return all->p != NULL ? KH_OK : KH_E_NOMEM;
}

static kh_err places_add(places *all, kh_place place)
{
    if (all->most == 0 && all->added == all->cap) {
        kh_place *p = realloc(all->p, all->cap * 2 * sizeof *p);
        if (p == NULL) return KH_E_NOMEM;
        all->p = p;
        all->cap *= 2;
    }
    all->p[all->added++ % all->cap] = place;
    return KH_OK;
}

/* places_next takes the oldest one off. */
static bool places_next(places *all, kh_place *ret)
{
    if (all->added == 0) return false;
    *ret = all->p[--all->added % all->cap];
    return true;
}

static bool behind(kh_place place, const uint64_t after[KH_PAGE_NUMBERS])
{
    return place.height > after[0] || (place.height == after[0] && place.index > after[1]);
}

static void page_ends(kh_page *page, kh_place last)
{
    const uint64_t numbers[KH_PAGE_NUMBERS] = {last.height, last.index};
    kh_page_more(page, 2, numbers);
}

static bool may_see(const kh_principal *who, const kh_journal_item *item)
{
    if (item->is_notice) return kh_access_may_see_outcome(who, true, 0, item->notice.party);
    return kh_access_may_see_outcome(who, false, item->receipt.type, item->receipt.party);
}

/* gather_history walks the document's chain down to the page's begin. */
static kh_err gather_history(kh_engine *e, const kh_doc_view *doc, const kh_principal *who, const uint64_t after[KH_PAGE_NUMBERS],
                             kh_journal_item *item, places *all)
{
    kh_err err = KH_OK;
    kh_key key = doc->key;
    for (kh_place at = doc->last; err == KH_OK && at.height != 0 && behind(at, after);) {
        err = kh_store_journal_read(e->store, at, item);
        if (err == KH_OK && may_see(who, item)) err = places_add(all, at);
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
    places all = {0};
    kh_place at, last = {0};
    kh_journal_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? places_begin(&all, page) : KH_E_NOMEM;
    if (err == KH_OK) err = gather_history(e, &doc, &who, after, item, &all);
    for (; err == KH_OK && places_next(&all, &at); given++, last = at) {
        if (kh_page_full(page, given)) {
            page_ends(page, last);
            break;
        }
        err = kh_store_journal_read(e->store, at, item);
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

typedef struct scan {
    kh_engine *e;
    const kh_result_sink *sink;
    kh_page *page;
    uint64_t after[KH_PAGE_NUMBERS], given;
    kh_place last;
} scan;

/* each_item: KH_E_FULL ends the walk at the page's end. */
static kh_err each_item(void *ctx, const kh_journal_item *item)
{
    scan *s = ctx;
    if (!is_alert(item) || !behind(item->place, s->after)) return KH_OK;
    if (kh_page_full(s->page, s->given)) {
        page_ends(s->page, s->last);
        return KH_E_FULL;
    }
    give_alert(s->e, item, s->sink);
    s->given++;
    s->last = item->place;
    return KH_OK;
}

/* own_alerts follows the party's chain, down to the page's begin, and gives what is found. */
static kh_err own_alerts(scan *s, uint32_t party)
{
    kh_party_view self = {0};
    kh_key key = {{0}};
    places all = {0};
    kh_journal_item *item = malloc(sizeof *item);
    kh_err err = item != NULL ? places_begin(&all, s->page) : KH_E_NOMEM;
    kh_store32(key.b, party);
    const kh_ledger *l = kh_store_read_begin(s->e->store);
    (void)kh_ledger_party(l, party, &self);
    kh_store_read_end(s->e->store);
    for (kh_place at = self.last; err == KH_OK && at.height != 0 && behind(at, s->after);) {
        err = kh_store_journal_read(s->e->store, at, item);
        if (err == KH_OK && is_alert(item) && item->notice.party == party) err = places_add(&all, at);
        if (err == KH_OK) at = kh_store_journal_prev(item, 2, &key);
    }
    for (kh_place at; err == KH_OK && places_next(&all, &at);) {
        err = kh_store_journal_read(s->e->store, at, item);
        if (err == KH_OK) err = each_item(s, item);
    }
    free(all.p);
    free(item);
    return err;
}

kh_result kh_alerts(kh_engine *e, const char *as, kh_page *page, const kh_result_sink *sink)
{
    kh_principal who;
    scan s = {.e = e, .sink = sink, .page = page};
    kh_result result = kh_page_begin(e, page, 2, s.after);
    if (result == KH_DONE) result = kh_embed_enter(e, KH_READING, as, KH_ASK_ALERTS, sink, &who);
    if (result != KH_DONE) return result;
    bool all = (kh_access_rights(&who, KH_ASK_ALERTS) & KH_OWN_ONLY) == 0;
    kh_err err = all ? kh_store_journal_scan(e->store, s.after[0], each_item, &s) : own_alerts(&s, who.party);
    return err == KH_OK || err == KH_E_FULL ? KH_DONE : kh_embed_environment(e, err, "read the journal");
}
