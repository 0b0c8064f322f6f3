/* auditor_consent: consent and the risk list, by what enterprises and banks are promised. */
#include "auditor.h"

static bool has_role(const auditor *a, uint32_t id, kh_role role)
{
    const party *p = auditor_find_party(a, id);
    return p != NULL && p->role == role;
}

static bool is_frozen(const auditor *a, uint32_t id)
{
    const party *p = auditor_find_party(a, id);
    return p != NULL && p->frozen;
}

static bool is_regulator(const auditor *a, uint32_t id) { return id == 0 || has_role(a, id, KH_ROLE_REGULATOR); }

/* ---- consent ---- */

static consent *find_consent(auditor *a, uint32_t enterprise, uint64_t id)
{
    for (uint32_t i = 0; i < a->consent_cnt; i++)
        if (a->consents[i].grant.enterprise == enterprise && a->consents[i].grant.id == id) return &a->consents[i];
    return NULL;
}

/* The enterprise itself, unless it is frozen, or the regulator for it. */
static kh_code may_consent(const auditor *a, uint32_t speaker, uint32_t enterprise)
{
    if (is_regulator(a, speaker)) return KH_C_OK;
    if (!has_role(a, speaker, KH_ROLE_ENTERPRISE)) return KH_C_NOT_AUTHORISED;
    if (is_frozen(a, speaker)) return KH_C_FROZEN;
    return speaker == enterprise ? KH_C_OK : KH_C_NOT_AUTHORISED;
}

static kh_code do_grant(auditor *a, const kh_op *op, outcome *ret)
{
    const kh_op_grant *g = &op->grant;
    kh_code code = may_consent(a, op->party, g->enterprise);
    if (code != KH_C_OK) return code;
    const consent *c = find_consent(a, g->enterprise, g->id);
    if (c != NULL) {
        bool same = c->grant.bank == g->bank && c->grant.scope == g->scope && c->grant.from_ns == g->from_ns &&
                    c->grant.until_ns == g->until_ns;
        if (!same) return KH_C_BAD_STATE;
        ret->effect = KH_EFFECT_UNCHANGED;
        ret->state = c->revoked ? KH_GRANT_REVOKED : KH_GRANT_OPEN;
        return KH_C_OK;
    }
    if (!has_role(a, g->enterprise, KH_ROLE_ENTERPRISE) || !has_role(a, g->bank, KH_ROLE_BANK)) return KH_C_NOT_FOUND;
    if (is_frozen(a, g->enterprise)) return KH_C_FROZEN;
    KH_ASSERT(a->consent_cnt < GRANTS_MAX);
    a->consents[a->consent_cnt++] = (consent){.grant = *g};
    ret->effect = KH_EFFECT_STORED;
    ret->state = KH_GRANT_OPEN;
    return KH_C_OK;
}

static kh_code do_revoke(auditor *a, const kh_op *op, outcome *ret)
{
    kh_code code = may_consent(a, op->party, op->grant_revoke.enterprise);
    if (code != KH_C_OK) return code;
    consent *c = find_consent(a, op->grant_revoke.enterprise, op->grant_revoke.id);
    if (c == NULL) return KH_C_NOT_FOUND;
    ret->effect = c->revoked ? KH_EFFECT_UNCHANGED : KH_EFFECT_REVOKED;
    ret->state = KH_GRANT_REVOKED;
    c->revoked = true;
    return KH_C_OK;
}

static kh_code do_look(auditor *a, const kh_op *op)
{
    const kh_op_credit_lookup *q = &op->credit_lookup;
    if (!has_role(a, op->party, KH_ROLE_BANK)) return KH_C_NOT_AUTHORISED;
    if (is_frozen(a, op->party)) return KH_C_FROZEN;
    const consent *c = find_consent(a, q->enterprise, q->grant);
    if (c == NULL || c->revoked || c->grant.bank != op->party) return KH_C_NO_CONSENT;
    if (a->time < c->grant.from_ns || a->time > c->grant.until_ns) return KH_C_CONSENT_EXPIRED;
    for (uint8_t bit = 1; bit <= KH_SCOPE_ALL; bit = (uint8_t)(bit * 2))
        if ((q->scope & bit) != 0 && (c->grant.scope & bit) == 0) return KH_C_NO_CONSENT;
    if (is_frozen(a, q->enterprise)) return KH_C_FROZEN;
    kh_notice *n = auditor_notice(a, KH_NOTICE_LOOKUP, q->enterprise);
    n->financing = q->grant;
    n->version = op->party;
    n->state = q->scope;
    return KH_C_OK;
}

/* ---- the risk list ---- */

uint64_t auditor_contributed(const auditor *a, uint32_t bank)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < a->risk_cnt; i++) n += a->risks[i].bank == bank;
    return n;
}

uint64_t auditor_may_ask(const auditor *a, uint32_t bank)
{
    return a->risk_free + a->risk_per_entry * auditor_contributed(a, bank);
}

/* drop takes contributions of a bank (0: of everybody) away; returns how many there were. */
static uint32_t drop(auditor *a, const kh_key *subject, uint8_t category, uint32_t bank)
{
    uint32_t kept = 0, cnt = a->risk_cnt;
    for (uint32_t i = 0; i < cnt; i++) {
        const contribution *c = &a->risks[i];
        bool meant = kh_key_equal(&c->subject, subject) && c->category == category && (bank == 0 || c->bank == bank);
        if (!meant) a->risks[kept++] = *c;
    }
    a->risk_cnt = kept;
    return cnt - kept;
}

static uint64_t categories_of(const auditor *a, const uint8_t *subject)
{
    uint64_t categories = 0;
    for (uint32_t i = 0; i < a->risk_cnt; i++)
        if (memcmp(a->risks[i].subject.b, subject, 16) == 0) categories |= UINT64_C(1) << a->risks[i].category;
    return categories;
}

static kh_code do_ask(auditor *a, const kh_op_risk_ask *q, party *bank, outcome *ret)
{
    if (bank != NULL) {
        if (bank->asked + q->subject_cnt > auditor_may_ask(a, bank->id)) return KH_C_RATE_LIMITED;
        bank->asked += q->subject_cnt;
    }
    ret->line_cnt = q->subject_cnt;
    for (uint32_t i = 0; i < q->subject_cnt && i < 8; i++) {
        memcpy(ret->lines[i].key.b, q->subjects + 16 * (size_t)i, 16);
        ret->lines[i].amount = categories_of(a, q->subjects + 16 * (size_t)i);
    }
    return KH_C_OK;
}

static kh_code do_add(auditor *a, const kh_op *op, outcome *ret)
{
    const kh_op_risk_add *b = &op->risk_add;
    ret->effect = KH_EFFECT_UNCHANGED;
    for (uint32_t i = 0; i < a->risk_cnt; i++) {
        const contribution *c = &a->risks[i];
        if (c->bank == op->party && c->category == b->category && kh_key_equal(&c->subject, &b->subject)) return KH_C_OK;
    }
    KH_ASSERT(a->risk_cnt < RISKS_MAX);
    a->risks[a->risk_cnt++] = (contribution){b->subject, op->party, b->category};
    ret->effect = KH_EFFECT_STORED;
    return KH_C_OK;
}

static kh_code do_remove(auditor *a, const kh_op *op, bool regulator, outcome *ret)
{
    const kh_op_risk_remove *b = &op->risk_remove;
    if (!regulator && b->contributor != 0 && b->contributor != op->party) return KH_C_NOT_AUTHORISED;
    uint32_t whose = regulator ? b->contributor : op->party;
    ret->effect = drop(a, &b->subject, b->category, whose) > 0 ? KH_EFFECT_REVOKED : KH_EFFECT_UNCHANGED;
    return KH_C_OK;
}

static kh_code do_risk(auditor *a, const kh_op *op, outcome *ret)
{
    bool regulator = is_regulator(a, op->party), is_bank = has_role(a, op->party, KH_ROLE_BANK);
    if (!is_bank && (!regulator || op->type == KH_OP_RISK_ADD)) return KH_C_NOT_AUTHORISED;
    party *bank = NULL;
    for (uint32_t i = 0; i < a->party_cnt; i++)
        if (is_bank && a->parties[i].id == op->party) bank = &a->parties[i];
    kh_code code = KH_C_FROZEN;
    if (bank == NULL || !bank->frozen)
        code = op->type == KH_OP_RISK_ADD      ? do_add(a, op, ret)
               : op->type == KH_OP_RISK_REMOVE ? do_remove(a, op, regulator, ret)
                                               : do_ask(a, &op->risk_ask, bank, ret);
    if (bank != NULL) {
        ret->version = (uint32_t)auditor_contributed(a, bank->id);
        ret->amount = bank->asked;
        ret->moved = auditor_may_ask(a, bank->id);
    }
    return code;
}

void auditor_consent(auditor *a, const kh_op *op, outcome *ret)
{
    switch (op->type) {
    case KH_OP_GRANT: ret->code = do_grant(a, op, ret); break;
    case KH_OP_GRANT_REVOKE: ret->code = do_revoke(a, op, ret); break;
    case KH_OP_CREDIT_LOOKUP: ret->code = do_look(a, op); break;
    default: ret->code = do_risk(a, op, ret); break;
    }
    if (ret->code != KH_C_OK) ret->effect = KH_EFFECT_NONE;
}
