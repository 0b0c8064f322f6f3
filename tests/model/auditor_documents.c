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

static bool same_content(const content *x, const content *y, bool with_contract)
{
    if (x->date != y->date || x->balance_cnt != y->balance_cnt || (with_contract && x->contract != y->contract)) return false;
    for (uint32_t i = 0; i < x->balance_cnt; i++)
        if (x->balances[i].currency != y->balances[i].currency || x->balances[i].base != y->balances[i].base) return false;
    return true;
}

static bool is_superseded(const document *d, const content *c)
{
    for (uint32_t i = 0; i < d->superseded_cnt; i++)
        if (same_content(&d->superseded[i], c, true)) return true;
    return false;
}

/* take_content puts new amounts in place; a currency that is no longer declared keeps its balance, with base 0. */
static void take_content(document *d, const content *c)
{
    d->now = *c;
    d->date = c->date;
    d->contract = c->contract;
    for (uint32_t i = 0; i < d->balance_cnt; i++) d->balances[i].base = 0;
    for (uint32_t i = 0; i < c->balance_cnt; i++) {
        uint32_t j = 0;
        while (j < d->balance_cnt && d->balances[j].currency != c->balances[i].currency) j++;
        if (j == d->balance_cnt && d->balance_cnt == 1 && d->balances[0].currency == 0) d->balance_cnt = j = 0;
        if (j == d->balance_cnt) d->balances[d->balance_cnt++] = (balance){.currency = c->balances[i].currency, .group = -1};
        d->balances[j].base = c->balances[i].base;
    }
    if (d->balance_cnt == 0) d->balances[d->balance_cnt++] = (balance){.group = -1};
}

/* A credit note lowers the invoice that it names, once both are there and of one owner. */
static void settle_credit_notes(auditor *a)
{
    for (uint32_t i = 0; i < a->doc_cnt; i++) {
        document *note = &a->docs[i];
        if (note->kind != KH_KIND_CREDIT_NOTE || !note->has_corrects || note->red_taken) continue;
        int blue = auditor_find_doc(a, &note->corrects);
        if (blue < 0) continue;
        document *invoice = &a->docs[blue];
        for (uint32_t j = 0; j < invoice->balance_cnt; j++) {
            balance *b = &invoice->balances[j];
            uint64_t red = note->balances[0].base;
            if (b->currency != note->balances[0].currency || b->currency == 0 || b->red + red > b->base) continue;
            b->red += red;
            note->red_taken = true;
            kh_status to = b->red == b->base ? KH_STATUS_RED_FULL : KH_STATUS_RED_PART;
            if (kh_status_may_follow(invoice->kind, invoice->status, to)) invoice->status = to;
            auditor_recap(a, blue);
            auditor_amended(a, blue);
        }
    }
}

static void settle(auditor *a, int doc)
{
    auditor_recap(a, doc);
    auditor_link(a, doc);
    auditor_add_up(a);
    auditor_amended(a, doc);
    settle_credit_notes(a);
    auditor_flags(a);
}

static void answer(const document *d, uint8_t effect, outcome *ret)
{
    ret->effect = effect;
    ret->state = (uint8_t)d->status;
    ret->version = d->version;
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
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        if (d->refs[i].role == KH_REF_LINK) n->named[n->named_cnt++] = d->refs[i].key;
        else {
            n->corrects = d->refs[i].key;
            n->has_corrects = true;
        }
    }
    content c = content_of(d);
    take_content(n, &c);
    settle(a, (int)a->doc_cnt - 1);
    answer(n, KH_EFFECT_STORED, ret);
}

/* set_status: false where the table of moves forbids it. */
static bool set_status(auditor *a, int at, kh_status to)
{
    document *d = &a->docs[at];
    if (to == KH_STATUS_NONE || to == d->status) return true;
    if (!kh_status_may_follow(d->kind, d->status, to)) return false;
    bool was_frozen = d->status == KH_STATUS_ABNORMAL || d->status == KH_STATUS_LOST_CONTROL;
    d->status = to;
    if (to == KH_STATUS_REVOKED) auditor_revoked(a, at);
    if ((to == KH_STATUS_ABNORMAL || to == KH_STATUS_LOST_CONTROL) && !was_frozen)
        auditor_notice(a, KH_NOTICE_FROZEN_DOCUMENT, 0)->key = d->key;
    return true;
}

static void amend(auditor *a, int at, const content *c, kh_status status, outcome *ret)
{
    document *d = &a->docs[at];
    if (status != KH_STATUS_NONE && status != d->status && !kh_status_may_follow(d->kind, d->status, status)) {
        ret->code = KH_C_BAD_STATE;
        return;
    }
    if (d->superseded_cnt == SUPERSEDED_MAX) {
        memmove(&d->superseded[0], &d->superseded[1], (SUPERSEDED_MAX - 1) * sizeof d->superseded[0]);
        d->superseded_cnt--;
    }
    d->superseded[d->superseded_cnt++] = d->now;
    take_content(d, c);
    d->version++;
    (void)set_status(a, at, status);
    settle(a, at);
    answer(d, d->status == KH_STATUS_REVOKED ? KH_EFFECT_REVOKED : KH_EFFECT_AMENDED, ret);
}

static void only_status(auditor *a, int at, kh_status to, outcome *ret)
{
    document *d = &a->docs[at];
    kh_status before = d->status;
    if (!set_status(a, at, to)) {
        ret->code = KH_C_BAD_STATE;
        return;
    }
    if (d->status == before) {
        answer(d, KH_EFFECT_UNCHANGED, ret);
        return;
    }
    settle(a, at);
    answer(d, d->status == KH_STATUS_REVOKED ? KH_EFFECT_REVOKED : KH_EFFECT_STATUS, ret);
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
    if (at < 0) {
        if (d->action == KH_DOC_PUT) store(a, d, &key, ret);
        else ret->code = KH_C_NOT_FOUND;
        return;
    }
    document *have = &a->docs[at];
    bool declaration = kh_kind_is_declaration(have->kind);
    if (d->owner.n != 0 && kh_owner_check(d->owner) != have->owner_check) {
        ret->code = KH_C_CONFLICT;
        return;
    }
    content c = content_of(d);
    switch (d->action) {
    case KH_DOC_PUT:
        if (same_content(&c, &have->now, declaration)) {
            only_status(a, at, (kh_status)d->status, ret);
        } else if (declaration && (d->flags & KH_DOCF_FORCE) == 0 && is_superseded(have, &c)) {
            answer(have, KH_EFFECT_UNCHANGED, ret);
        } else if (declaration || (have->now.balance_cnt == 0 && c.balance_cnt > 0 && c.date == have->now.date)) {
            amend(a, at, &c, (kh_status)d->status, ret);
        } else {
            ret->code = KH_C_CONFLICT;
        }
        return;
    case KH_DOC_AMEND: {
        content merged = have->now;
        if (d->date != 0) merged.date = d->date;
        if (d->contract != 0) merged.contract = d->contract;
        if (d->balance_cnt != 0 || (d->flags & KH_DOCF_NO_AMOUNT) != 0) {
            merged.balance_cnt = c.balance_cnt;
            memcpy(merged.balances, c.balances, sizeof c.balances);
        }
        if (same_content(&merged, &have->now, true)) only_status(a, at, (kh_status)d->status, ret);
        else if (is_superseded(have, &merged)) answer(have, KH_EFFECT_UNCHANGED, ret);
        else amend(a, at, &merged, (kh_status)d->status, ret);
        return;
    }
    case KH_DOC_CANCEL: only_status(a, at, declaration ? KH_STATUS_REVOKED : KH_STATUS_VOID, ret); return;
    default: only_status(a, at, (kh_status)d->status, ret); return;
    }
}
