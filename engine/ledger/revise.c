/* revise: one document made or changed: which content is newer, what is an amendment, a conflict or nothing new. Checks first;
 * the records are changed here, what follows for others is settled after the receipt. */
#include "ledger/machine.h"

bool kh_status_of_kind(kh_kind kind, kh_status status)
{
    if (kh_kind_is_declaration(kind)) return status >= KH_STATUS_LODGED && status <= KH_STATUS_REJECTED;
    if (kind == KH_KIND_INVOICE || kind == KH_KIND_CREDIT_NOTE)
        return status >= KH_STATUS_NORMAL && status <= KH_STATUS_LOST_CONTROL;
    return status == KH_STATUS_NORMAL || status == KH_STATUS_VOID;
}

static bool ends(kh_status status) { return status == KH_STATUS_REVOKED || status == KH_STATUS_VOID; }
static bool freezes(kh_status status) { return status == KH_STATUS_ABNORMAL || status == KH_STATUS_LOST_CONTROL; }
static bool cap_is_zero(kh_status status) { return status == KH_STATUS_VOID || status == KH_STATUS_RED_FULL; }

bool kh_revise_room(const kh_ledger *l, const kh_op_document *d)
{
    return kh_rows_left(l, KH_R_COLD, KH_DOC_BALANCES_MAX + 4) && kh_rows_left(l, KH_R_EXTRA, 1) && kh_refs_room(l, d->ref_cnt) &&
           kh_texts_room(l, d->number.n + d->issuer.n + d->owner.n + d->lrn.n + d->lrn_issuer.n) &&
           kh_rows_left(l, KH_R_CONTRACT, 1);
}

static void content_of(const kh_op_document *d, kh_content *ret)
{
    *ret = (kh_content){.n = d->balance_cnt, .date = d->date, .contract = d->contract};
    for (uint32_t i = 0; i < d->balance_cnt; i++) ret->balances[i] = d->balances[i];
}

/* A line a balance: its new base and the old one. */
static void answer_balances(kh_ledger *l, const kh_content *old, kh_doc_result *r)
{
    kh_content now;
    kh_records_content(l, r->first, &now);
    r->line_cnt = now.n;
    for (uint32_t i = 0; i < now.n; i++) {
        uint64_t before = KH_AMOUNT_NONE;
        for (uint32_t k = 0; old != NULL && k < old->n; k++)
            if (old->balances[k].currency == now.balances[i].currency) before = old->balances[k].base;
        l->receipt_lines[i] = (kh_receipt_line){.key = kh_rec(l, r->first)->key,
                                                .currency = now.balances[i].currency,
                                                .amount = now.balances[i].base,
                                                .allocated = before};
    }
}

/* Content and status have an order each: what customs says of a declaration's status does not make an amendment old that was
 * issued before and comes after it. */
static void keep_order(kh_ledger *l, const kh_op_document *d, uint32_t cold)
{
    if (d->issue_time == 0 && d->doc_version == 0) return;
    kh_extra *x = &l->extra[kh_records_extra(l, cold)];
    if (d->status != KH_STATUS_NONE && d->issue_time > x->status_time) x->status_time = d->issue_time;
    if (d->action == KH_DOC_STATUS) return;
    if (d->issue_time > x->issue_time) x->issue_time = d->issue_time;
    if (d->doc_version > x->doc_version) x->doc_version = d->doc_version;
}

void kh_revise_supersede(kh_ledger *l, uint32_t cold, uint64_t digest)
{
    kh_extra *x = &l->extra[kh_records_extra(l, cold)];
    x->superseded[x->superseded_at] = digest;
    x->superseded_at = (uint8_t)((x->superseded_at + 1) % KH_SUPERSEDED_MAX);
    if (x->superseded_cnt < KH_SUPERSEDED_MAX) x->superseded_cnt++;
}

static bool was_superseded(const kh_ledger *l, uint32_t cold, uint64_t digest)
{
    const kh_extra *x = &l->extra[l->cold[cold].extra];
    for (uint32_t i = 0; i < x->superseded_cnt; i++)
        if (x->superseded[i] == digest) return true;
    return false;
}

void kh_revise_create(kh_ledger *l, const kh_op_document *d, const kh_key *key, bool alias, kh_doc_result *r)
{
    kh_content content;
    content_of(d, &content);
    kh_kind kind = (kh_kind)d->kind;
    kh_status status = d->status == KH_STATUS_NONE ? kh_status_initial(kind) : (kh_status)d->status;
    uint32_t owner = kh_texts_find(l, d->owner);
    r->code = kh_red_fits(l, d, key, owner, &content, &r->mismatch);
    if (r->code != KH_C_OK) return;
    r->code = KH_C_CAPACITY;
    if (l->head->documents >= l->head->rules[KH_RULE_DOCUMENTS].value || !kh_revise_room(l, d)) return;
    if (!kh_links_fit(l, d, key, KH_RECORD_NONE, owner, &content)) return;
    if (alias) kh_identity_clear(l, key);
    uint32_t cold = kh_rows_take_reused(l, KH_R_COLD, &l->head->free_colds);
    l->cold[cold].owner = owner != 0 ? owner : kh_texts_intern(l, d->owner);
    l->cold[cold].version = 1;
    if (!kh_records_store(l, KH_RECORD_NONE, key, &content, status, cold, &r->first)) {
        kh_rows_give(l, KH_R_COLD, &l->head->free_colds, cold);
        r->first = KH_RECORD_NONE;
        return;
    }
    r->code = KH_C_OK;
    kh_identity_texts(l, cold, key, d->number, d->issuer);
    l->head->documents++;
    if (d->contract != 0) {
        l->extra[kh_records_extra(l, cold)].contract = d->contract;
        kh_contracts_add(l, d->contract, key, l->cold[cold].owner);
    }
    keep_order(l, d, cold);
    if (freezes(status)) kh_records_flags(l, r->first, KH_REC_FROZEN, 0);
    r->links = kh_refs_add(l, d, r->first) != 0;
    r->new_document = r->changed = true;
    r->effect = KH_EFFECT_STORED;
    r->key = *key;
    answer_balances(l, NULL, r);
}

static int compare_times(uint64_t comes, uint64_t stored)
{
    return comes == 0 || stored == 0 || comes == stored ? 0 : comes < stored ? -1 : 1;
}

/* What the paper says of its own order: -1 earlier than what is stored, +1 later, 0 not decided. */
static int order_of(const kh_ledger *l, const kh_op_document *d, uint32_t cold)
{
    const kh_extra *x = &l->extra[l->cold[cold].extra];
    if (l->cold[cold].extra == 0) return 0;
    if (d->action == KH_DOC_STATUS) return compare_times(d->issue_time, x->status_time);
    if (d->doc_version != 0 && x->doc_version != 0 && d->doc_version != x->doc_version)
        return d->doc_version < x->doc_version ? -1 : 1;
    return compare_times(d->issue_time, x->issue_time);
}

static bool older_status(const kh_ledger *l, const kh_op_document *d, uint32_t cold)
{
    uint32_t extra = l->cold[cold].extra;
    return extra != 0 && compare_times(d->issue_time, l->extra[extra].status_time) < 0;
}

/* The content that the operation asks for: a message leaves what it does not state; of an original a missing date or contract
 * too. */
static void wanted(const kh_op_document *d, const kh_content *now, kh_content *ret)
{
    bool message = d->action != KH_DOC_PUT;
    content_of(d, ret);
    if (message && d->balance_cnt == 0 && (d->flags & KH_DOCF_NO_AMOUNT) == 0) {
        ret->n = now->n;
        memcpy(ret->balances, now->balances, sizeof ret->balances);
    }
    if (d->date == 0) ret->date = now->date;
    if (d->contract == 0 || (!kh_kind_is_declaration((kh_kind)d->kind) && d->kind != KH_KIND_ANY && now->contract != 0))
        ret->contract = now->contract;
}

static bool same_balances(const kh_content *a, const kh_content *b)
{
    if (a->n != b->n) return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->balances[i].currency != b->balances[i].currency || a->balances[i].base != b->balances[i].base) return false;
    return true;
}

static uint16_t differences(const kh_content *a, const kh_content *b)
{
    uint16_t bits = a->date != b->date ? KH_FIELD_DATE : 0;
    if (same_balances(a, b)) return bits;
    bool currencies = a->n != b->n;
    for (uint32_t i = 0; i < a->n && i < b->n; i++) currencies |= a->balances[i].currency != b->balances[i].currency;
    return (uint16_t)(bits | (currencies ? KH_FIELD_CURRENCY : KH_FIELD_AMOUNT));
}

/* Other content of a paper that is no declaration: only an amount for one that had none, or its first contract number, is no
 * conflict. */
static bool may_amend(const kh_content *now, const kh_content *want)
{
    return want->date == now->date && (same_balances(now, want) || (now->n == 0 && want->n > 0));
}

static void change_status(kh_ledger *l, uint32_t first, kh_status from, kh_status to, kh_doc_result *r)
{
    uint32_t cold = kh_rec(l, first)->cold;
    if (kh_status_may_follow(kh_doc_key_kind(&kh_rec(l, first)->key), to, from) && kh_rows_left(l, KH_R_EXTRA, 1))
        l->extra[kh_records_extra(l, cold)].had_statuses |= (uint16_t)(1u << from);
    r->revoked = ends(to);
    r->frozen = freezes(to);
    kh_records_status(l, first, to);
    kh_records_flags(l, first, freezes(to) ? KH_REC_FROZEN : 0, freezes(to) ? 0 : KH_REC_FROZEN);
}

/* Writes new records and notes which caps fell. */
static bool rewrite(kh_ledger *l, uint32_t first, const kh_content *content, kh_status status, kh_doc_result *r)
{
    struct {
        kh_currency currency;
        uint64_t cap;
    } before[KH_DOC_BALANCES_MAX];
    uint32_t n = 0, cold = kh_rec(l, first)->cold;
    const kh_key key = kh_rec(l, first)->key;
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        before[n].currency = kh_rec(l, at)->currency;
        before[n++].cap = kh_rec(l, at)->cap;
    }
    if (!kh_records_store(l, first, &key, content, status, cold, &r->first)) return false;
    for (uint32_t at = r->first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next)
        for (uint32_t i = 0; i < n; i++)
            if (before[i].currency == kh_rec(l, at)->currency && kh_rec(l, at)->cap < before[i].cap)
                r->lowered[r->lowered_cnt++] = before[i].currency;
    return true;
}

/* Which status the operation leads to; false: it asks for a move that the table does not have. */
static bool next_status(const kh_ledger *l, const kh_op_document *d, uint32_t first, bool later, kh_status *ret)
{
    const kh_record *rec = kh_rec(l, first);
    kh_status now = (kh_status)rec->quad.status, to = (kh_status)d->status;
    *ret = now;
    if (to == KH_STATUS_NONE || to == now) return true;
    bool allowed = kh_status_of_kind(kh_doc_key_kind(&rec->key), to) && kh_status_may_follow(kh_doc_key_kind(&rec->key), now, to);
    bool seen = (l->extra[l->cold[rec->cold].extra].had_statuses >> to & 1) != 0;
    if (d->action == KH_DOC_PUT && (!allowed || (seen && !later) || older_status(l, d, rec->cold)))
        return true; /* an earlier status coming again undoes nothing */
    if (allowed) *ret = to;
    return allowed;
}

void kh_revise(kh_ledger *l, const kh_op_document *d, uint32_t first, bool corrects, kh_doc_result *r)
{
    const kh_record *rec = kh_rec(l, first);
    const kh_key key = rec->key;
    uint32_t cold = rec->cold;
    kh_content now, want;
    kh_status status, was = (kh_status)rec->quad.status;
    r->first = first;
    r->key = key;
    r->effect = KH_EFFECT_UNCHANGED;
    kh_text owner = kh_texts_get(l, l->cold[cold].owner);
    if (d->owner.n != 0 && owner.n != 0 && !kh_text_equal(d->owner, owner)) {
        r->code = KH_C_CONFLICT;
        r->mismatch = KH_FIELD_OWNER;
        return;
    }
    kh_records_content(l, first, &now);
    wanted(d, &now, &want);
    int order = order_of(l, d, cold);
    bool force = (d->flags & KH_DOCF_FORCE) != 0, later = order > 0 || force, new_owner = d->owner.n != 0 && owner.n == 0;
    if (order < 0 && !force) return;
    uint64_t digest = kh_content_digest(&want), old_digest = kh_content_digest(&now);
    bool changed = digest != old_digest, seen = was_superseded(l, cold, digest);
    if (changed && seen && !later) {
        if (!ends((kh_status)d->status)) return;
        want = now; /* whoever takes a paper back may name it as it was */
        changed = false;
    }
    if (changed && !corrects && !kh_kind_is_declaration(kh_doc_key_kind(&key)) && !may_amend(&now, &want) && !(force && seen)) {
        r->code = KH_C_CONFLICT;
        r->mismatch = differences(&now, &want);
        return;
    }
    if (!next_status(l, d, first, later, &status)) {
        r->code = KH_C_BAD_STATE;
        return;
    }
    uint32_t owner_ref = new_owner ? kh_texts_find(l, d->owner) : l->cold[cold].owner;
    if (changed) r->code = kh_red_fits(l, d, &key, owner_ref, &want, &r->mismatch);
    if (changed && !kh_red_keeps(l, &key, &want)) {
        r->code = KH_C_CONFLICT;
        r->mismatch = KH_FIELD_CURRENCY;
    }
    if (r->code != KH_C_OK) return;
    bool anew = changed || new_owner || (status != was && (cap_is_zero(status) || cap_is_zero(was)));
    r->code = KH_C_CAPACITY;
    if (!kh_revise_room(l, d) || !kh_links_fit(l, d, &key, first, owner_ref, &want)) return;
    uint32_t old_owner = l->cold[cold].owner;
    if (new_owner) l->cold[cold].owner = kh_texts_intern(l, d->owner);
    l->cold[cold].version += changed || new_owner;
    if (anew && !rewrite(l, first, &want, status, r)) {
        l->cold[cold].version -= changed || new_owner;
        l->cold[cold].owner = old_owner;
        r->first = first;
        return;
    }
    r->code = KH_C_OK;
    r->changed = changed || new_owner;
    if (status != was) change_status(l, r->first, was, status, r);
    if (changed) kh_revise_supersede(l, cold, old_digest);
    if (want.contract != now.contract) {
        l->extra[kh_records_extra(l, cold)].contract = want.contract;
        kh_contracts_add(l, want.contract, &key, l->cold[cold].owner);
    }
    keep_order(l, d, cold);
    r->links = kh_refs_add(l, d, r->first) != 0;
    if (r->changed || r->links) r->effect = KH_EFFECT_AMENDED;
    if (status != was && !r->changed) r->effect = KH_EFFECT_STATUS;
    if (r->revoked) r->effect = KH_EFFECT_REVOKED;
    answer_balances(l, &now, r);
}

void kh_revise_red(kh_ledger *l, uint32_t first, bool lifts, kh_doc_result *r)
{
    kh_content content;
    kh_status was = (kh_status)kh_rec(l, first)->quad.status, status = was;
    const kh_key key = kh_rec(l, first)->key;
    uint32_t cold = kh_rec(l, first)->cold;
    bool any = false, all = true;
    kh_records_content(l, first, &content);
    for (uint32_t i = 0; i < content.n; i++) {
        uint64_t red = kh_red_of(l, &key, cold, content.balances[i].currency);
        any |= red != 0;
        all &= red == content.balances[i].base;
    }
    if (was == KH_STATUS_NORMAL || was == KH_STATUS_RED_PENDING || was == KH_STATUS_RED_PART ||
        (was == KH_STATUS_RED_FULL && lifts))
        status = !any ? KH_STATUS_NORMAL : all ? KH_STATUS_RED_FULL : KH_STATUS_RED_PART;
    r->first = first;
    if (rewrite(l, first, &content, status, r) && status != was) {
        bool lowered = r->frozen;
        change_status(l, r->first, was, status, r);
        r->frozen = lowered;
    }
}
