/* document: the body of a document operation. */
#include "wire/fields.h"

enum { DOCUMENT_FIXED_SZ = 48, FLAGS_ALL = 63 };

static bool sound(const kh_op_document *d)
{
    if (d->action < KH_DOC_PUT || d->action >= KH_DOC_ACTION_CNT || d->kind >= KH_KIND_CNT || d->status >= KH_STATUS_CNT ||
        (d->flags & ~FLAGS_ALL) != 0 || d->balance_cnt > KH_DOC_BALANCES_MAX || d->ref_cnt > KH_DOC_REFS_MAX)
        return false;
    if ((d->kind == KH_KIND_ANY && d->action == KH_DOC_PUT) || d->number.n == 0 || (d->action == KH_DOC_PUT && d->owner.n == 0))
        return false;
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        if (!kh_wire_currency(d->balances[i].currency) || d->balances[i].currency == 0 || d->balances[i].base > KH_AMOUNT_MAX)
            return false;
        if (i > 0 && d->balances[i].currency <= d->balances[i - 1].currency) return false;
    }
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        const kh_op_ref *r = &d->refs[i];
        if ((r->role != KH_REF_LINK && r->role != KH_REF_CORRECTS) || r->kind == 0 || r->kind >= KH_KIND_CNT ||
            r->key.b[0] != r->kind)
            return false;
        if (i == 0) continue;
        const kh_op_ref *before = &d->refs[i - 1];
        if (r->role < before->role || (r->role == before->role && memcmp(r->key.b, before->key.b, 16) <= 0)) return false;
    }
    return true;
}

void kh_in_document(kh_fields_in *in, kh_op_document *ret)
{
    const uint8_t *p = kh_in_take(in, DOCUMENT_FIXED_SZ);
    if (p == NULL) return;
    kh_op_document *d = ret;
    d->action = p[0];
    d->kind = p[1];
    d->status = p[2];
    d->flags = p[3];
    d->balance_cnt = p[4];
    d->ref_cnt = p[5];
    d->date = kh_load16(p + 6);
    d->doc_version = kh_load32(p + 8);
    d->source = kh_load32(p + 12);
    d->issue_time = kh_load64(p + 16);
    d->contract = kh_load64(p + 24);
    if (d->balance_cnt > KH_DOC_BALANCES_MAX || d->ref_cnt > KH_DOC_REFS_MAX || kh_load16(p + 42) != 0 ||
        kh_load32(p + 44) != 0) {
        in->bad = true;
        return;
    }
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        const uint8_t *b = kh_in_take(in, KH_BALANCE_SZ);
        if (b == NULL) return;
        d->balances[i] = (kh_op_balance){.base = kh_load64(b), .currency = kh_load16(b + 8)};
        if (kh_load16(b + 10) != 0 || kh_load32(b + 12) != 0) in->bad = true;
    }
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        const uint8_t *r = kh_in_take(in, KH_REF_SZ);
        if (r == NULL) return;
        memcpy(d->refs[i].key.b, r, 16);
        d->refs[i].role = r[16];
        d->refs[i].kind = r[17];
        if (kh_load16(r + 18) != 0 || kh_load32(r + 20) != 0) in->bad = true;
    }
    d->number = kh_in_text(in, kh_load16(p + 32), KH_NUMBER_MAX);
    d->issuer = kh_in_text(in, kh_load16(p + 34), KH_ISSUER_MAX);
    d->owner = kh_in_text(in, kh_load16(p + 36), KH_ISSUER_MAX);
    d->lrn = kh_in_text(in, kh_load16(p + 38), KH_NUMBER_MAX);
    d->lrn_issuer = kh_in_text(in, kh_load16(p + 40), KH_ISSUER_MAX);
    if (!in->bad && !sound(d)) in->bad = true;
}

void kh_out_document(kh_fields_out *out, const kh_op_document *d)
{
    if (!sound(d)) {
        out->bad = true;
        return;
    }
    uint8_t *p = kh_out_zeroed(out, DOCUMENT_FIXED_SZ);
    if (p == NULL) return;
    p[0] = d->action;
    p[1] = d->kind;
    p[2] = d->status;
    p[3] = d->flags;
    p[4] = d->balance_cnt;
    p[5] = d->ref_cnt;
    kh_store16(p + 6, d->date);
    kh_store32(p + 8, d->doc_version);
    kh_store32(p + 12, d->source);
    kh_store64(p + 16, d->issue_time);
    kh_store64(p + 24, d->contract);
    kh_store16(p + 32, (uint16_t)d->number.n);
    kh_store16(p + 34, (uint16_t)d->issuer.n);
    kh_store16(p + 36, (uint16_t)d->owner.n);
    kh_store16(p + 38, (uint16_t)d->lrn.n);
    kh_store16(p + 40, (uint16_t)d->lrn_issuer.n);
    for (uint32_t i = 0; i < d->balance_cnt; i++) {
        uint8_t *b = kh_out_zeroed(out, KH_BALANCE_SZ);
        if (b == NULL) return;
        kh_store64(b, d->balances[i].base);
        kh_store16(b + 8, d->balances[i].currency);
    }
    for (uint32_t i = 0; i < d->ref_cnt; i++) {
        uint8_t *r = kh_out_zeroed(out, KH_REF_SZ);
        if (r == NULL) return;
        memcpy(r, d->refs[i].key.b, 16);
        r[16] = d->refs[i].role;
        r[17] = d->refs[i].kind;
    }
    kh_out_text(out, d->number, KH_NUMBER_MAX);
    kh_out_text(out, d->issuer, KH_ISSUER_MAX);
    kh_out_text(out, d->owner, KH_ISSUER_MAX);
    kh_out_text(out, d->lrn, KH_NUMBER_MAX);
    kh_out_text(out, d->lrn_issuer, KH_ISSUER_MAX);
}
