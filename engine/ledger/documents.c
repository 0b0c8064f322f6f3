/* documents: what a document operation means: an original, an amendment, a cancellation or a status notice; whom it is about; its
 * receipt; and then what follows for others: cancelled lines, alerts, links, red letters, and messages that waited for it. */
#include "ledger/machine.h"

static bool well_formed(const kh_op_document *d)
{
    if (d->action < KH_DOC_PUT || d->action >= KH_DOC_ACTION_CNT || d->kind >= KH_KIND_CNT || d->status >= KH_STATUS_CNT)
        return false;
    if (d->kind == KH_KIND_ANY && d->action == KH_DOC_PUT) return false;
    if (d->number.n > KH_NUMBER_MAX || d->issuer.n > KH_ISSUER_MAX || d->owner.n > KH_ISSUER_MAX || d->lrn.n > KH_NUMBER_MAX ||
        d->lrn_issuer.n > KH_ISSUER_MAX || d->balance_cnt > KH_DOC_BALANCES_MAX || d->ref_cnt > KH_DOC_REFS_MAX)
        return false;
    if (d->number.n == 0 && (d->action == KH_DOC_PUT || d->lrn.n == 0)) return false;
    if (d->kind != KH_KIND_ANY && d->status != KH_STATUS_NONE && !kh_status_of_kind((kh_kind)d->kind, (kh_status)d->status))
        return false;
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        if (d->balances[i].base > KH_AMOUNT_MAX || d->balances[i].currency == 0) return false;
        if (i > 0 && d->balances[i].currency <= d->balances[i - 1].currency) return false;
    }
    return true;
}

static kh_code admit(const kh_ledger *l, const kh_op *op)
{
    const kh_op_document *d = &op->document;
    if (!well_formed(d)) return KH_C_FORMAT;
    if (d->source == 0) return KH_C_OK;
    if (kh_parties_find(l, d->source) == 0) return KH_C_NOT_AUTHORISED;
    uint32_t row = op->party == 0 ? 0 : kh_parties_find(l, op->party);
    return row != 0 && l->party[row].role == KH_ROLE_SOURCE && d->source != op->party ? KH_C_NOT_AUTHORISED : KH_C_OK;
}

/* The LRN's declaration takes the MRN that a message names. */
static bool take_mrn(kh_ledger *l, const kh_op_document *d, kh_doc_result *r)
{
    const kh_key now = kh_rec(l, r->first)->key;
    kh_key key = kh_doc_key(kh_doc_key_kind(&now), d->number, d->issuer);
    if (d->number.n == 0 || kh_key_equal(&key, &now) || kh_index_find(l->index, &key) != KH_RECORD_NONE) return true;
    if (!kh_identity_move(l, r->first, &key, d->number, d->issuer, &r->first)) return false;
    r->key = key;
    return true;
}

/* The invoice that a corrected one amends. */
static uint32_t predecessor(const kh_ledger *l, const kh_op_document *d)
{
    kh_key meant;
    for (uint32_t i = 0; d->kind == KH_KIND_INVOICE && i < d->ref_cnt; i++)
        if (d->refs[i].role == KH_REF_CORRECTS && d->refs[i].key.b[0] == KH_KIND_INVOICE)
            return kh_identity_follow(l, &d->refs[i].key, &meant);
    return KH_RECORD_NONE;
}

/* An invoice whose correction came before it: that one is the receivable, and takes the older number; this content is an earlier
 * one. */
static bool corrected_before(kh_ledger *l, const kh_op_document *d, const kh_key *key, kh_doc_result *r)
{
    uint32_t first = d->kind == KH_KIND_INVOICE ? kh_refs_corrector(l, key) : KH_RECORD_NONE;
    kh_content content = {.n = d->balance_cnt, .date = d->date, .contract = d->contract};
    if (first == KH_RECORD_NONE || !kh_text_equal(kh_texts_get(l, l->cold[kh_rec(l, first)->cold].owner), d->owner)) return false;
    memcpy(content.balances, d->balances, sizeof content.balances);
    r->code = KH_C_CAPACITY;
    if (!kh_revise_room(l, d)) return true;
    kh_identity_clear(l, key);
    if (!kh_identity_move(l, first, key, d->number, d->issuer, &r->first)) return true;
    kh_revise_supersede(l, kh_rec(l, r->first)->cold, kh_content_digest(&content));
    r->links = kh_refs_add(l, d, r->first) != 0;
    r->code = KH_C_OK;
    r->effect = KH_EFFECT_STORED;
    r->key = *key;
    r->new_document = true;
    return true;
}

static void put(kh_ledger *l, const kh_op_document *d, bool again, kh_doc_result *r)
{
    bool known = !again && l->now->key_cnt != 0; /* look-ahead made the key */
    kh_key key = known ? l->turn->keys[l->now->first_key] : kh_doc_key((kh_kind)d->kind, d->number, d->issuer), meant;
    uint32_t own = kh_index_find(l->index, &key), first = own == KH_RECORD_NONE ? own : kh_identity_follow(l, &key, &meant);
    r->key = key;
    if (own != KH_RECORD_NONE && first != KH_RECORD_NONE) {
        if (!kh_identity_same_text(l, kh_rec(l, own)->cold, d->number, d->issuer)) {
            r->code = KH_C_CONFLICT;
            return;
        }
        kh_revise(l, d, first, false, r);
        return;
    }
    bool by_lrn = false;
    first = kh_kind_is_declaration((kh_kind)d->kind) && d->lrn.n != 0 ? kh_identity_resolve(l, d, &by_lrn) : KH_RECORD_NONE;
    if (first != KH_RECORD_NONE && kh_rec(l, first)->cold != 0) {
        bool is_lrn = l->cold[kh_rec(l, first)->cold].extra == 0 || by_lrn;
        if (is_lrn) {
            kh_revise(l, d, first, false, r);
            if (r->code == KH_C_OK && !take_mrn(l, d, r)) r->code = KH_C_CAPACITY;
            return;
        }
    }
    first = predecessor(l, d);
    if (first != KH_RECORD_NONE) {
        kh_revise(l, d, first, true, r);
        if (r->code == KH_C_OK) kh_identity_alias(l, &key, &r->key, d->number, d->issuer);
        return;
    }
    if (corrected_before(l, d, &key, r)) return;
    kh_revise_create(l, d, &key, own != KH_RECORD_NONE, r);
}

static void wait_for_document(kh_ledger *l, const kh_op *op, kh_frame frame, bool again, kh_doc_result *r)
{
    r->code = KH_C_NOT_FOUND;
    if (again) return;
    if (kh_waiting_keep(l, op, frame, NULL)) r->effect = KH_EFFECT_WAITING;
    else r->code = KH_C_CAPACITY;
}

/* A notice sets the oldest waiting request of its sort in force: invalidated a cancellation, any other an amendment. */
static void notice(kh_ledger *l, const kh_op_document *d, kh_doc_result *r)
{
    kh_op_document said = *d;
    const kh_key key = kh_rec(l, r->first)->key;
    bool invalidated = said.status == KH_STATUS_REVOKED || said.status == KH_STATUS_VOID;
    if (!kh_waiting_take(l, &key, invalidated ? KH_DOC_CANCEL : KH_DOC_AMEND)) {
        kh_revise(l, &said, r->first, false, r);
        return;
    }
    kh_op_document request = l->message_op.document;
    if (invalidated || said.status != KH_STATUS_NONE) request.status = said.status;
    kh_revise(l, &request, r->first, false, r);
}

static void message(kh_ledger *l, const kh_op *op, kh_frame frame, bool again, kh_doc_result *r)
{
    kh_op_document d = op->document;
    bool by_lrn;
    r->first = kh_identity_resolve(l, &d, &by_lrn);
    if (r->first == KH_RECORD_NONE) {
        wait_for_document(l, op, frame, again, r);
        return;
    }
    r->key = kh_rec(l, r->first)->key;
    if (!kh_revise_room(l, &d) || !take_mrn(l, &d, r)) {
        r->code = KH_C_CAPACITY;
        return;
    }
    if (d.action == KH_DOC_STATUS && d.lrn.n != 0) kh_identity_tie(l, &d, r->first);
    if (d.action == KH_DOC_CANCEL)
        d.status = kh_kind_is_declaration(kh_doc_key_kind(&r->key)) ? KH_STATUS_REVOKED : KH_STATUS_VOID;
    if (d.action != KH_DOC_STATUS && d.flags & KH_DOCF_AWAITS_NOTICE) {
        if (kh_waiting_keep(l, op, frame, &r->key)) r->effect = KH_EFFECT_WAITING;
        else r->code = KH_C_CAPACITY;
        return;
    }
    if (d.action == KH_DOC_CANCEL || d.action == KH_DOC_STATUS) { /* these change a status and nothing else */
        d.balance_cnt = 0;
        d.flags &= (uint8_t)~KH_DOCF_NO_AMOUNT;
        d.date = 0;
        d.contract = 0;
        d.owner = (kh_text){NULL, 0};
    }
    if (d.action == KH_DOC_STATUS && d.flags & KH_DOCF_NOTICE) notice(l, &d, r);
    else kh_revise(l, &d, r->first, false, r);
}

void kh_documents_do(kh_ledger *l, const kh_op *op, kh_frame frame, bool again, kh_doc_result *r)
{
    const kh_op_document *d = &op->document;
    r->first = KH_RECORD_NONE;
    r->code = again ? KH_C_OK : admit(l, op);
    if (r->code != KH_C_OK) return;
    if (d->action != KH_DOC_PUT) {
        message(l, op, frame, again, r);
        return;
    }
    put(l, d, again, r);
    if (r->code != KH_C_OK) return;
    kh_identity_tie(l, d, r->first);
    __atomic_store_n(&l->head->watermark[d->kind], l->head->time_ns, __ATOMIC_RELAXED); /* partner: kh_ledger_watermark */
}

/* Tells the banks of each balance; where none has a part, the regulator once. */
static void alert_all(kh_ledger *l, uint32_t first, kh_notice_type type)
{
    bool any = false;
    for (uint32_t at = first; at != KH_RECORD_NONE; at = kh_rec(l, at)->next) {
        const kh_active *a = &l->active[l->cold[kh_rec(l, at)->cold].active];
        if (a->held + a->used == 0) continue;
        kh_limit_alert(l, at, type);
        any = true;
    }
    if (!any) kh_limit_alert(l, first, type);
}

void kh_documents_settle(kh_ledger *l, const kh_op_document *d, kh_doc_result *r)
{
    if (r->code != KH_C_OK || r->first == KH_RECORD_NONE) return;
    const kh_key key = r->key;
    if (r->revoked) alert_all(l, r->first, KH_NOTICE_REVOKED);
    if (r->frozen) alert_all(l, r->first, KH_NOTICE_FROZEN_DOCUMENT);
    for (uint32_t at = r->first; (r->changed || r->revoked || r->lowered_cnt != 0) && at != KH_RECORD_NONE;
         at = kh_rec(l, at)->next) {
        uint32_t active = l->cold[kh_rec(l, at)->cold].active;
        bool lowered = false;
        for (uint32_t i = 0; i < r->lowered_cnt; i++) lowered |= r->lowered[i] == kh_rec(l, at)->currency;
        if (active == 0) continue;
        if (r->revoked) kh_limit_cancel_unpaid(l, active);
        if (lowered) kh_limit_lowered(l, active);
        else kh_limit_refresh(l, active, false);
    }
    if (r->changed || r->links || r->new_document) kh_links_close(l, r->first, true);
    if (kh_doc_key_kind(&key) == KH_KIND_CREDIT_NOTE) kh_red_send(l, r->first);
    else if (r->changed || r->new_document) kh_red_refresh(l, r->first);
    kh_key meant;
    uint32_t first = kh_identity_follow(l, &key, &meant);
    if (first == KH_RECORD_NONE) return;
    if (r->changed) kh_contracts_flag(l, first, false);
    if (d != NULL && l->head->waiting != 0) kh_waiting_arrived(l, d, first);
}

void kh_documents_apply(kh_ledger *l, const kh_op *op, kh_frame frame)
{
    const kh_op_document *d = &op->document;
    kh_doc_result r = {.code = KH_C_OK};
    kh_documents_do(l, op, frame, false, &r);
    kh_receipt receipt = {.type = KH_OP_DOCUMENT,
                          .party = op->party,
                          .sequence = op->sequence,
                          .event = d->action,
                          .code = r.code,
                          .effect = r.effect,
                          .mismatch = r.mismatch,
                          .key = r.key};
    kh_outcome_begin(l);
    kh_touch_party(l, op->party);
    if (r.code != KH_C_OK) receipt.effect = r.effect == KH_EFFECT_WAITING ? r.effect : KH_EFFECT_NONE;
    if (r.first != KH_RECORD_NONE) {
        const kh_record *rec = kh_rec(l, r.first);
        receipt.key = rec->key;
        receipt.currency = rec->currency;
        receipt.state = rec->quad.status;
        receipt.version = l->cold[rec->cold].version;
        kh_touch_document(l, r.first);
    }
    if (r.code == KH_C_OK && d->flags & KH_DOCF_CHECK_DIGIT) receipt.warning = KH_C_CHECK_DIGIT;
    if (r.code == KH_C_OK && receipt.warning == 0 && r.changed && kh_contracts_similar(l, r.first))
        receipt.warning = KH_C_SIMILAR;
    if (r.code == KH_C_OK) {
        receipt.line_cnt = r.line_cnt;
        receipt.lines = l->receipt_lines;
    }
    kh_emit_receipt(l, &receipt);
    kh_documents_settle(l, d, &r);
}
