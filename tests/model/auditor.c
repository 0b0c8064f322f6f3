/* auditor: parties, rules, rates, and the answers to verification questions. */
#include "auditor.h"

static bool regulator_speaks(const auditor *a, uint32_t id)
{
    const party *p = auditor_find_party(a, id);
    return id == 0 || (p != NULL && p->role == KH_ROLE_REGULATOR);
}

static bool rule_is(kh_text name, const char *word) { return name.n == strlen(word) && memcmp(name.p, word, name.n) == 0; }

static uint32_t number_of(kh_text value)
{
    uint32_t v = 0;
    for (uint32_t i = 0; i < value.n; i++) v = v * 10 + (uint32_t)(value.p[i] - '0');
    return v;
}

/* The generator makes sound values only; this knows the rules that it sets. */
static void set_rule(auditor *a, kh_text name, kh_text value)
{
    bool off = rule_is(value, "off");
    if (rule_is(name, "hold_ttl_applied")) KH_ASSERT(kh_duration_parse(value, &a->ttl_applied_s));
    else if (rule_is(name, "hold_ttl_accepted")) KH_ASSERT(kh_duration_parse(value, &a->ttl_accepted_s));
    else if (rule_is(name, "restore_on_own_funds")) a->restore_on_own_funds = !off;
    else if (rule_is(name, "apply_needs_total")) a->apply_needs_total = !off;
    else if (rule_is(name, "ratio_bp.product.export_order")) a->ratio_product = number_of(value);
    else if (rule_is(name, "ratio_bp.kind.invoice")) a->ratio_kind[KH_KIND_INVOICE] = number_of(value);
    else if (rule_is(name, "ratio_bp.kind.export_declaration")) a->ratio_kind[KH_KIND_EXPORT_DECLARATION] = number_of(value);
    else if (rule_is(name, "max_age.invoice")) KH_ASSERT(kh_duration_parse(value, &a->max_age_s[KH_KIND_INVOICE]));
    else if (rule_is(name, "risk_free_queries")) a->risk_free = number_of(value);
    else if (rule_is(name, "risk_queries_per_entry")) a->risk_per_entry = number_of(value);
    else if (rule_is(name, "currencies")) {
        a->currency_cnt = 0;
        a->currencies_all = rule_is(value, "all");
        for (uint32_t i = 0; !a->currencies_all && i + 3 <= value.n; i += 4)
            KH_ASSERT(kh_currency_of_text((kh_text){value.p + i, 3}, &a->currencies[a->currency_cnt++]));
    }
}

void auditor_operation(auditor *a, const kh_op *op, outcome *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->fin = -1;
    switch (op->type) {
    case KH_OP_DOCUMENT: auditor_document(a, op, ret); return;
    case KH_OP_APPLY: auditor_apply(a, op, ret); return;
    case KH_OP_EVENT: auditor_event(a, op, ret); return;
    case KH_OP_GRANT:
    case KH_OP_GRANT_REVOKE:
    case KH_OP_CREDIT_LOOKUP:
    case KH_OP_RISK_ADD:
    case KH_OP_RISK_REMOVE:
    case KH_OP_RISK_ASK: auditor_consent(a, op, ret); return;
    default: break;
    }
    if (!regulator_speaks(a, op->party)) {
        ret->code = KH_C_NOT_AUTHORISED;
        return;
    }
    if (op->type == KH_OP_PARTY_ADD) {
        party *p = &a->parties[a->party_cnt++];
        *p = (party){.id = op->party_add.id, .role = (kh_role)op->party_add.role};
        memcpy(p->name, op->party_add.name.p, op->party_add.name.n);
        if (op->party_add.uscc.n != 0) memcpy(p->uscc, op->party_add.uscc.p, op->party_add.uscc.n);
    } else if (op->type == KH_OP_PARTY_STATUS) {
        ret->code = KH_C_NOT_FOUND;
        for (uint32_t i = 0; i < a->party_cnt; i++) {
            if (a->parties[i].id != op->party_status.id) continue;
            bool thaws = op->party_status.frozen == 0;
            ret->code = a->parties[i].expelled && thaws ? KH_C_BAD_STATE : KH_C_OK;
            if (!a->parties[i].expelled) a->parties[i].frozen = !thaws;
        }
    } else if (op->type == KH_OP_EXPELLED) {
        for (uint32_t i = 0; i < a->party_cnt; i++)
            if (a->parties[i].id == op->expelled.id) a->parties[i].frozen = a->parties[i].expelled = true;
        auditor_expelled(a, op->expelled.id);
    } else if (op->type == KH_OP_RULE_SET) {
        set_rule(a, op->rule_set.name, op->rule_set.value);
    } else {
        KH_ASSERT(a->rate_cnt < RATES_MAX);
        a->rates[a->rate_cnt++] = op->rate_set;
    }
}

/* The first that applies: format, existence, owner, direction, fields, state, amended since, balance. */
void auditor_question(const auditor *a, const kh_question *q, kh_verdict *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->free = KH_AMOUNT_NONE;
    if (q->number_code == KH_C_FORMAT) {
        ret->code = KH_C_FORMAT;
        return;
    }
    const party *bank = auditor_find_party(a, q->bank);
    if (bank != NULL && bank->frozen) {
        ret->code = KH_C_FROZEN;
        return;
    }
    int at = auditor_find_doc(a, &q->key);
    if (at < 0) {
        ret->code = KH_C_NOT_FOUND;
        return;
    }
    const document *d = &a->docs[at];
    if (q->owner_check != 0 && q->owner_check != d->owner_check) {
        ret->code = KH_C_OWNER_MISMATCH;
        return;
    }
    int direction = d->kind == KH_KIND_EXPORT_DECLARATION ? 1 : d->kind == KH_KIND_IMPORT_DECLARATION ? -1 : 0;
    if (q->direction != 0 && direction != 0 && q->direction != direction) {
        ret->code = KH_C_DIRECTION;
        return;
    }
    int bal = auditor_balance_meant(d, q->currency);
    if (bal < 0) ret->mismatch |= KH_FIELD_CURRENCY;
    else if (q->amount != KH_AMOUNT_NONE && (bal < 0 || d->balances[bal].base != q->amount || d->balances[bal].currency == 0))
        ret->mismatch |= KH_FIELD_AMOUNT;
    if (q->date != 0 && q->date != d->date) ret->mismatch |= KH_FIELD_DATE;
    if (q->contract != 0 && q->contract != d->contract) ret->mismatch |= KH_FIELD_CONTRACT_NO;
    if (ret->mismatch != 0) {
        ret->code = KH_C_FIELD_MISMATCH;
        return;
    }
    ret->status = d->status;
    ret->version = d->version;
    ret->currency = bal >= 0 ? d->balances[bal].currency : 0;
    ret->free = bal >= 0 ? auditor_free_of(a, at, bal) : 0;
    kh_code state = kh_status_code(d->status);
    if (state != KH_C_OK && !kh_code_is_warning(state)) ret->code = state;
    else if (q->version != 0 && q->version != d->version) ret->code = KH_C_AMENDED_SINCE;
    else if (auditor_too_old(a, d)) ret->code = KH_C_TOO_OLD;
    else if (bal >= 0 && d->balances[bal].currency != 0 && !auditor_currency_allowed(a, d->balances[bal].currency))
        ret->code = KH_C_CURRENCY;
    else if (ret->free == 0 || (q->want != KH_AMOUNT_NONE && q->want > ret->free))
        ret->code = auditor_shortage(a, at, bal, q->bank);
    else ret->code = state;
}
