/* auditor_documents: what a document's arrival, amendment, cancellation or notice does. */
#include "auditor.h"
#include <stdlib.h>

auditor *auditor_new(void)
{
    auditor *a = calloc(1, sizeof *a);
    KH_ASSERT(a != NULL);
    a->fins = calloc(FINS_MAX, sizeof *a->fins);
    KH_ASSERT(a->fins != NULL);
    for (int k = 0; k < KH_KIND_CNT; k++) a->ratio_kind[k] = 10000;
    a->ttl_applied_s = 3 * 86400;
    a->risk_free = 100;
    a->risk_per_entry = 50;
    a->ttl_accepted_s = 10 * 86400;
    a->restore_on_own_funds = a->currencies_all = true;
    return a;
}

void auditor_free(auditor *a)
{
    free(a->fins);
    free(a);
}

static content content_of(const kh_op_document *d)
{
    content c;
    memset(&c, 0, sizeof c);
    c.date = d->date;
    c.contract = d->contract;
    c.balance_cnt = d->balance_cnt;
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        c.balances[i].currency = d->balances[i].currency;
        c.balances[i].base = d->balances[i].base;
    }
    return c;
}

static bool same_content(const content *x, const content *y)
{
    if (x->date != y->date || x->balance_cnt != y->balance_cnt || x->contract != y->contract) return false;
    for (uint32_t i = 0; i < x->balance_cnt; i++)
        if (x->balances[i].currency != y->balances[i].currency || x->balances[i].base != y->balances[i].base) return false;
    return true;
}

static bool is_superseded(const document *d, const content *c)
{
    for (uint32_t i = 0; i < d->superseded_cnt; i++)
        if (same_content(&d->superseded[i], c)) return true;
    return false;
}

/* A balance that was ever held or is linked outlives the amendment that no longer declares it, with base 0. */
static bool outlives(const auditor *a, int doc, int bal)
{
    if (a->docs[doc].balances[bal].group >= 0) return true;
    for (uint32_t i = 0; i < a->fin_cnt; i++)
        for (uint32_t j = 0; j < a->fins[i].line_cnt; j++)
            if (a->fins[i].lines[j].doc == doc && a->fins[i].lines[j].bal == bal) return true;
    return false;
}

static balance *balance_for(document *d, kh_currency currency)
{
    uint32_t j = 0;
    while (j < d->balance_cnt && d->balances[j].currency != currency) j++;
    if (j == d->balance_cnt) d->balances[d->balance_cnt++] = (balance){.currency = currency, .group = -1};
    d->balances[j].gone = false;
    return &d->balances[j];
}

/* take_content puts new amounts in place. No amount at all is a balance without a currency. */
static void take_content(const auditor *a, int doc, document *d, const content *c)
{
    uint32_t there = 0;
    d->now = *c;
    d->date = c->date;
    d->contract = c->contract;
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        d->balances[i].base = 0;
        d->balances[i].gone = !outlives(a, doc, (int)i);
    }
    for (uint32_t i = 0; i < c->balance_cnt; i++) balance_for(d, c->balances[i].currency)->base = c->balances[i].base;
    for (uint32_t i = 0; i < d->balance_cnt; i++) there += !d->balances[i].gone;
    if (there == 0) balance_for(d, 0);
}

static balance *balance_in(document *d, kh_currency currency)
{
    for (uint32_t i = 0; currency != 0 && i < d->balance_cnt; i++)
        if (d->balances[i].currency == currency && !d->balances[i].gone) return &d->balances[i];
    return NULL;
}

/* recap: caps anew; those that fell cost APPLIED lines while the balance is over. */
static void recap(auditor *a, int doc)
{
    document *d = &a->docs[doc];
    uint64_t before[KH_DOC_BALANCES_MAX];
    for (uint32_t i = 0; i < d->balance_cnt; i++) before[i] = d->balances[i].cap;
    auditor_recap(a, doc);
    auditor_add_up(a);
    for (uint32_t i = 0; i < d->balance_cnt; i++)
        if (d->balances[i].cap < before[i]) {
            bool was_over = d->balances[i].over;
            auditor_amended(a, doc, (int)i);
            if (was_over && auditor_over(a, doc, (int)i)) auditor_alert(a, doc, (int)i, KH_NOTICE_OVER_LIMIT);
        }
}

static bool is_red_to_the_end(const document *invoice)
{
    for (uint32_t i = 0; i < invoice->balance_cnt; i++)
        if (!invoice->balances[i].gone && invoice->balances[i].red < invoice->balances[i].base) return false;
    return true;
}

/* Credit notes lower the invoice that they name, in the order in which they came, each whole and only while it fits. One that
 * counted counts on when the invoice is corrected, then with what is left. Fully red is left only when a note that made it so is
 * taken back. */
static void settle_credit_notes(auditor *a, int blue)
{
    document *invoice = &a->docs[blue];
    bool changed = false, taken_back = false, was_red_to_the_end = is_red_to_the_end(invoice);
    for (uint32_t i = 0; i < a->doc_cnt; i++) {
        document *note = &a->docs[i];
        if (note->kind != KH_KIND_CREDIT_NOTE || !note->has_corrects || !kh_key_equal(&note->corrects, &invoice->key)) continue;
        if (note->owner_check != invoice->owner_check) continue;
        balance *b = balance_in(invoice, note->now.balances[0].currency);
        bool counted = note->red_taken;
        uint64_t before = note->red, amount = note->now.balances[0].base;
        if (counted && b != NULL) b->red -= before;
        uint64_t left = b == NULL || b->base < b->red ? 0 : b->base - b->red;
        note->red_taken = b != NULL && note->status != KH_STATUS_VOID && (counted || amount <= left);
        note->red = !note->red_taken ? 0 : amount < left ? amount : left;
        if (note->red_taken) b->red += note->red;
        changed = changed || counted != note->red_taken || before != note->red;
        taken_back = taken_back || (counted && !note->red_taken);
    }
    if (!changed) return;
    bool any = false, stays = invoice->status == KH_STATUS_RED_FULL && !(was_red_to_the_end && taken_back);
    for (uint32_t i = 0; i < invoice->balance_cnt; i++)
        any = any || (!invoice->balances[i].gone && invoice->balances[i].red != 0);
    if (!stays && (invoice->status == KH_STATUS_NORMAL ||
                   (invoice->status >= KH_STATUS_RED_PENDING && invoice->status <= KH_STATUS_RED_FULL))) {
        kh_status to = !any ? KH_STATUS_NORMAL : is_red_to_the_end(invoice) ? KH_STATUS_RED_FULL : KH_STATUS_RED_PART;
        if (to != invoice->status && kh_status_may_follow(invoice->kind, to, invoice->status))
            invoice->had |= 1u << invoice->status;
        invoice->status = to;
    }
    recap(a, blue);
}

/* New content of an invoice still has the currency of every credit note that counts. */
static bool notes_stay(const auditor *a, const document *invoice, const content *c)
{
    for (uint32_t i = 0; i < a->doc_cnt; i++) {
        const document *note = &a->docs[i];
        bool there = !note->red_taken || !kh_key_equal(&note->corrects, &invoice->key);
        for (uint32_t j = 0; j < c->balance_cnt; j++) there = there || c->balances[j].currency == note->now.balances[0].currency;
        if (!there) return false;
    }
    return true;
}

/* A credit note of more than is left of its invoice, or in another currency, is in conflict with it. */
static bool red_fits(auditor *a, const kh_op_document *d)
{
    if (d->kind != KH_KIND_CREDIT_NOTE || d->balance_cnt == 0 || d->status == KH_STATUS_VOID || d->ref_cnt == 0) return true;
    int blue = auditor_find_doc(a, &d->refs[0].key);
    if (blue < 0 || a->docs[blue].now.balance_cnt == 0) return true;
    const balance *b = balance_in(&a->docs[blue], d->balances[0].currency);
    return b != NULL && kh_owner_check(d->owner) == a->docs[blue].owner_check && b->red + d->balances[0].base <= b->base;
}

static void settle(auditor *a, int doc, bool new_cap)
{
    auditor_link(a, doc);
    if (new_cap) recap(a, doc);
    else auditor_add_up(a);
    if (a->docs[doc].kind == KH_KIND_INVOICE) settle_credit_notes(a, doc);
    if (a->docs[doc].has_corrects) {
        int blue = auditor_find_doc(a, &a->docs[doc].corrects);
        if (blue >= 0) settle_credit_notes(a, blue);
    }
    auditor_flags(a);
}

static void answer(const document *d, uint8_t effect, outcome *ret)
{
    ret->effect = effect;
    ret->state = (uint8_t)d->status;
    ret->version = d->version;
}

/* What the paper says of its own order, where both carry it: -1 earlier than what is stored, 1 later, 0 it does not say. */
static int paper_order(const document *have, const kh_op_document *d)
{
    if (d->action == KH_DOC_STATUS) { /* of its own */
        if (d->issue_time == 0 || have->status_time == 0 || d->issue_time == have->status_time) return 0;
        return d->issue_time < have->status_time ? -1 : 1;
    }
    if (d->doc_version != 0 && have->paper_version != 0 && d->doc_version != have->paper_version)
        return d->doc_version < have->paper_version ? -1 : 1;
    if (d->issue_time != 0 && have->paper_time != 0 && d->issue_time != have->paper_time)
        return d->issue_time < have->paper_time ? -1 : 1;
    return 0;
}

static void keep_order(document *have, const kh_op_document *d)
{
    bool says_status = d->status != KH_STATUS_NONE || d->action == KH_DOC_CANCEL;
    if (says_status && d->issue_time > have->status_time) have->status_time = d->issue_time;
    if (d->action == KH_DOC_STATUS) return;
    if (d->doc_version > have->paper_version) have->paper_version = d->doc_version;
    if (d->issue_time > have->paper_time) have->paper_time = d->issue_time;
}

static void store(auditor *a, const kh_op_document *d, const kh_key *key, outcome *ret)
{
    KH_ASSERT(a->doc_cnt < DOCS_MAX);
    document *n = &a->docs[a->doc_cnt++];
    memset(n, 0, sizeof *n);
    n->key = *key;
    n->kind = (kh_kind)d->kind;
    n->owner_check = kh_owner_check(d->owner);
    memcpy(n->owner, d->owner.p, d->owner.n);
    n->status = d->status != KH_STATUS_NONE ? (kh_status)d->status : kh_status_initial((kh_kind)d->kind);
    n->version = 1;
    keep_order(n, d);
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        if (d->refs[i].role == KH_REF_LINK) n->named[n->named_cnt++] = d->refs[i].key;
        else {
            n->corrects = d->refs[i].key;
            n->has_corrects = true;
        }
    }
    content c = content_of(d);
    take_content(a, (int)a->doc_cnt - 1, n, &c);
    answer(n, KH_EFFECT_STORED, ret);
    settle(a, (int)a->doc_cnt - 1, true);
}

/* next_status: false where a message asks for a move that the table does not have. An original never does: an earlier or
   impossible status coming with it undoes nothing. */
static bool next_status(const document *d, const kh_op_document *op, bool later, kh_status *ret)
{
    kh_status to = (kh_status)op->status;
    *ret = d->status;
    if (op->action == KH_DOC_CANCEL) to = kh_kind_is_declaration(d->kind) ? KH_STATUS_REVOKED : KH_STATUS_VOID;
    if (to == KH_STATUS_NONE || to == d->status) return true;
    bool allowed = kh_status_may_follow(d->kind, d->status, to), was_before = ((d->had >> to) & 1) != 0;
    bool old = op->issue_time != 0 && op->issue_time < d->status_time;
    if (op->action == KH_DOC_PUT && (!allowed || (was_before && !later) || old)) return true;
    if (allowed) *ret = to;
    return allowed;
}

/* A later rule changes no stored cap: it is made anew with a version, a red letter, or where the status makes it nothing. */
static bool no_cap(kh_status status) { return status == KH_STATUS_VOID || status == KH_STATUS_RED_FULL; }

/* change brings a document to new content, or a new status, or both. */
static void change(auditor *a, int at, const kh_op_document *op, const content *c, bool later, outcome *ret)
{
    document *d = &a->docs[at];
    bool anew = !same_content(c, &d->now);
    kh_status to, was = d->status;
    if (!next_status(d, op, later, &to)) {
        ret->code = KH_C_BAD_STATE;
        return;
    }
    if (anew && !notes_stay(a, d, c)) {
        ret->code = KH_C_CONFLICT;
        return;
    }
    keep_order(d, op);
    if (anew) {
        if (d->superseded_cnt == SUPERSEDED_MAX) {
            memmove(&d->superseded[0], &d->superseded[1], (SUPERSEDED_MAX - 1) * sizeof d->superseded[0]);
            d->superseded_cnt--;
        }
        d->superseded[d->superseded_cnt++] = d->now;
        take_content(a, at, d, c);
        d->version++;
    }
    d->status = to;
    if (to != was) {
        if (kh_status_may_follow(d->kind, to, was)) d->had |= 1u << was;
        if (to == KH_STATUS_REVOKED || to == KH_STATUS_VOID) auditor_revoked(a, at);
        if (to == KH_STATUS_ABNORMAL || to == KH_STATUS_LOST_CONTROL) auditor_alert(a, at, -1, KH_NOTICE_FROZEN_DOCUMENT);
    }
    bool revoked = to != was && (to == KH_STATUS_REVOKED || to == KH_STATUS_VOID);
    answer(d, revoked ? KH_EFFECT_REVOKED : anew ? KH_EFFECT_AMENDED : to != was ? KH_EFFECT_STATUS : KH_EFFECT_UNCHANGED, ret);
    if (anew || to != was) settle(a, at, anew || (to != was && (no_cap(to) || no_cap(was))));
}

static void revise(auditor *a, int at, const kh_op *op, bool corrected, outcome *ret)
{
    const kh_op_document *d = &op->document;
    document *have = &a->docs[at];
    bool declaration = kh_kind_is_declaration(have->kind);
    bool only_status = d->action == KH_DOC_CANCEL || d->action == KH_DOC_STATUS; /* these change nothing else */
    if (!only_status && d->owner.n != 0 && kh_owner_check(d->owner) != have->owner_check) {
        ret->code = KH_C_CONFLICT;
        return;
    }
    content c = content_of(d);
    if (d->action != KH_DOC_PUT && d->balance_cnt == 0 && (d->flags & KH_DOCF_NO_AMOUNT) == 0) {
        c.balance_cnt = have->now.balance_cnt;
        memcpy(c.balances, have->now.balances, sizeof c.balances);
    }
    if (d->date == 0) c.date = have->now.date;
    if (d->contract == 0) c.contract = have->now.contract;
    bool first_amount = have->now.balance_cnt == 0 && c.balance_cnt > 0 && c.date == have->now.date;
    bool force = (d->flags & KH_DOCF_FORCE) != 0, seen = is_superseded(have, &c);
    int order = paper_order(have, d);
    bool later = order > 0 || force;
    if (order < 0 && !force) {
        answer(have, KH_EFFECT_UNCHANGED, ret);
        return;
    }
    if (!same_content(&c, &have->now)) {
        bool ends = d->status == KH_STATUS_VOID || d->status == KH_STATUS_REVOKED;
        if (seen && !later && !ends) {
            answer(have, KH_EFFECT_UNCHANGED, ret);
            return;
        }
        if (seen && !later) c = have->now;
        else if (!declaration && !corrected && !first_amount && !(force && seen)) {
            ret->code = KH_C_CONFLICT;
            return;
        }
    }
    change(a, at, d, &c, later, ret);
}

static void keep_waiting(auditor *a, const kh_op *op, const kh_key *key, outcome *ret)
{
    KH_ASSERT(a->waiting_cnt < WAITING_MAX);
    waiting_message *w = &a->waiting[a->waiting_cnt++];
    w->key = *key;
    w->op = *op;
    if (op->document.owner.n != 0) memcpy(w->owner, op->document.owner.p, op->document.owner.n);
    w->op.document.owner.p = w->owner;
    w->op.document.number = w->op.document.issuer = (kh_text){NULL, 0};
    ret->code = KH_C_NOT_FOUND;
    ret->effect = KH_EFFECT_WAITING;
}

/* A document that arrives has its kept messages tried on it, once, in their order. */
static void store_and_try(auditor *a, const kh_op_document *d, const kh_key *key, outcome *ret)
{
    store(a, d, key, ret);
    int at = auditor_find_doc(a, key);
    for (uint32_t i = 0; i < a->waiting_cnt;) {
        if (!kh_key_equal(&a->waiting[i].key, key)) {
            i++;
            continue;
        }
        waiting_message w = a->waiting[i];
        w.op.document.owner.p = w.owner;
        memmove(&a->waiting[i], &a->waiting[i + 1], (a->waiting_cnt - i - 1) * sizeof *a->waiting);
        a->waiting_cnt--;
        for (uint32_t j = i; j < a->waiting_cnt; j++) a->waiting[j].op.document.owner.p = a->waiting[j].owner;
        outcome unheard;
        memset(&unheard, 0, sizeof unheard);
        revise(a, at, &w.op, false, &unheard);
    }
}

void auditor_document(auditor *a, const kh_op *op, outcome *ret)
{
    const kh_op_document *d = &op->document;
    const party *speaker = auditor_find_party(a, op->party);
    if (op->party != 0 && (speaker == NULL || (speaker->role != KH_ROLE_REGULATOR && speaker->role != KH_ROLE_SOURCE))) {
        ret->code = KH_C_NOT_AUTHORISED;
        return;
    }
    kh_key key = kh_doc_key((kh_kind)d->kind, d->number, d->issuer);
    int at = auditor_find_doc(a, &key);
    if (at < 0 && d->kind == KH_KIND_INVOICE && d->ref_cnt != 0 && d->refs[0].role == KH_REF_CORRECTS) {
        revise(a, auditor_find_doc(a, &d->refs[0].key), op, true, ret); /* its number is another name of that invoice */
        KH_ASSERT(a->other_name_cnt < DOCS_MAX);
        if (ret->code == KH_C_OK) a->other_names[a->other_name_cnt++] = (other_name){key, d->refs[0].key};
        return;
    }
    if (at < 0) {
        if (d->action != KH_DOC_PUT) keep_waiting(a, op, &key, ret);
        else if (!red_fits(a, d)) ret->code = KH_C_CONFLICT;
        else store_and_try(a, d, &key, ret);
        return;
    }
    revise(a, at, op, false, ret);
}
