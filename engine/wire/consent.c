/* consent: the bodies of grants, look-ups under them, and the risk list. */
#include "wire/fields.h"

enum { GRANT_SZ = 40, REVOKE_SZ = 16, LOOKUP_SZ = 16, RISK_SZ = 24, ASK_FIXED_SZ = 8, SUBJECT_SZ = 16 };

static bool scope_sound(uint8_t scope) { return scope != 0 && (scope & ~KH_SCOPE_ALL) == 0; }
static bool category_sound(uint8_t category) { return category != KH_RISK_NONE && category < KH_RISK_CNT; }

static bool sound(const kh_op *op)
{
    switch (op->type) {
    case KH_OP_GRANT:
        return op->grant.enterprise != 0 && op->grant.bank != 0 && scope_sound(op->grant.scope) &&
               op->grant.from_ns <= op->grant.until_ns;
    case KH_OP_GRANT_REVOKE: return op->grant_revoke.enterprise != 0;
    case KH_OP_CREDIT_LOOKUP: return op->credit_lookup.enterprise != 0 && scope_sound(op->credit_lookup.scope);
    case KH_OP_RISK_ADD: return category_sound(op->risk_add.category);
    case KH_OP_RISK_REMOVE: return category_sound(op->risk_remove.category);
    default: return op->risk_ask.subject_cnt != 0 && op->risk_ask.subject_cnt <= KH_SUBJECTS_MAX;
    }
}

/* ---- out ---- */

static void out_grant(kh_fields_out *out, const kh_op_grant *b)
{
    uint8_t *p = kh_out_zeroed(out, GRANT_SZ);
    if (p == NULL) return;
    kh_store64(p, b->id);
    kh_store64(p + 8, b->from_ns);
    kh_store64(p + 16, b->until_ns);
    kh_store32(p + 24, b->enterprise);
    kh_store32(p + 28, b->bank);
    p[32] = b->scope;
}

static void out_revoke(kh_fields_out *out, const kh_op_grant_revoke *b)
{
    uint8_t *p = kh_out_zeroed(out, REVOKE_SZ);
    if (p == NULL) return;
    kh_store64(p, b->id);
    kh_store32(p + 8, b->enterprise);
}

static void out_lookup(kh_fields_out *out, const kh_op_credit_lookup *b)
{
    uint8_t *p = kh_out_zeroed(out, LOOKUP_SZ);
    if (p == NULL) return;
    kh_store64(p, b->grant);
    kh_store32(p + 8, b->enterprise);
    p[12] = b->scope;
}

static void out_risk(kh_fields_out *out, const kh_key *subject, uint32_t contributor, uint8_t category)
{
    uint8_t *p = kh_out_zeroed(out, RISK_SZ);
    if (p == NULL) return;
    memcpy(p, subject->b, SUBJECT_SZ);
    kh_store32(p + 16, contributor);
    p[20] = category;
}

static void out_ask(kh_fields_out *out, const kh_op_risk_ask *b)
{
    uint8_t *p = kh_out_zeroed(out, ASK_FIXED_SZ);
    if (p == NULL) return;
    kh_store32(p, b->subject_cnt);
    p = kh_out_zeroed(out, (size_t)b->subject_cnt * SUBJECT_SZ);
    if (p != NULL) memcpy(p, b->subjects, (size_t)b->subject_cnt * SUBJECT_SZ);
}

bool kh_out_consent(kh_fields_out *out, const kh_op *op)
{
    if (op->type < KH_OP_GRANT || op->type > KH_OP_RISK_ASK) return false;
    if (!sound(op)) {
        out->bad = true;
        return true;
    }
    switch (op->type) {
    case KH_OP_GRANT: out_grant(out, &op->grant); break;
    case KH_OP_GRANT_REVOKE: out_revoke(out, &op->grant_revoke); break;
    case KH_OP_CREDIT_LOOKUP: out_lookup(out, &op->credit_lookup); break;
    case KH_OP_RISK_ADD: out_risk(out, &op->risk_add.subject, 0, op->risk_add.category); break;
    case KH_OP_RISK_REMOVE: out_risk(out, &op->risk_remove.subject, op->risk_remove.contributor, op->risk_remove.category); break;
    default: out_ask(out, &op->risk_ask); break;
    }
    return true;
}

/* ---- in ---- */

/* The bytes [at, n) of a body that must be zero. */
static void zero(kh_fields_in *in, const uint8_t *p, size_t at, size_t n)
{
    for (; at < n; at++)
        if (p[at] != 0) in->bad = true;
}

static void in_grant(kh_fields_in *in, kh_op_grant *b)
{
    const uint8_t *p = kh_in_take(in, GRANT_SZ);
    if (p == NULL) return;
    *b = (kh_op_grant){.id = kh_load64(p),
                       .from_ns = kh_load64(p + 8),
                       .until_ns = kh_load64(p + 16),
                       .enterprise = kh_load32(p + 24),
                       .bank = kh_load32(p + 28),
                       .scope = p[32]};
    zero(in, p, 33, GRANT_SZ);
}

static void in_revoke(kh_fields_in *in, kh_op_grant_revoke *b)
{
    const uint8_t *p = kh_in_take(in, REVOKE_SZ);
    if (p == NULL) return;
    *b = (kh_op_grant_revoke){.id = kh_load64(p), .enterprise = kh_load32(p + 8)};
    zero(in, p, 12, REVOKE_SZ);
}

static void in_lookup(kh_fields_in *in, kh_op_credit_lookup *b)
{
    const uint8_t *p = kh_in_take(in, LOOKUP_SZ);
    if (p == NULL) return;
    *b = (kh_op_credit_lookup){.grant = kh_load64(p), .enterprise = kh_load32(p + 8), .scope = p[12]};
    zero(in, p, 13, LOOKUP_SZ);
}

static void in_risk_add(kh_fields_in *in, kh_op_risk_add *b)
{
    const uint8_t *p = kh_in_take(in, RISK_SZ);
    if (p == NULL) return;
    memcpy(b->subject.b, p, SUBJECT_SZ);
    b->category = p[20];
    zero(in, p, 16, 20);
    zero(in, p, 21, RISK_SZ);
}

static void in_risk_remove(kh_fields_in *in, kh_op_risk_remove *b)
{
    const uint8_t *p = kh_in_take(in, RISK_SZ);
    if (p == NULL) return;
    memcpy(b->subject.b, p, SUBJECT_SZ);
    b->contributor = kh_load32(p + 16);
    b->category = p[20];
    zero(in, p, 21, RISK_SZ);
}

static void in_ask(kh_fields_in *in, kh_op_risk_ask *b)
{
    const uint8_t *p = kh_in_take(in, ASK_FIXED_SZ);
    if (p == NULL) return;
    b->subject_cnt = kh_load32(p);
    zero(in, p, 4, ASK_FIXED_SZ);
    if (b->subject_cnt > KH_SUBJECTS_MAX) in->bad = true;
    else b->subjects = kh_in_take(in, (size_t)b->subject_cnt * SUBJECT_SZ);
}

bool kh_in_consent(kh_fields_in *in, kh_op *ret)
{
    switch (ret->type) {
    case KH_OP_GRANT: in_grant(in, &ret->grant); break;
    case KH_OP_GRANT_REVOKE: in_revoke(in, &ret->grant_revoke); break;
    case KH_OP_CREDIT_LOOKUP: in_lookup(in, &ret->credit_lookup); break;
    case KH_OP_RISK_ADD: in_risk_add(in, &ret->risk_add); break;
    case KH_OP_RISK_REMOVE: in_risk_remove(in, &ret->risk_remove); break;
    case KH_OP_RISK_ASK: in_ask(in, &ret->risk_ask); break;
    default: return false;
    }
    if (!in->bad && !sound(ret)) in->bad = true;
    return true;
}
