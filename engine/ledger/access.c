/* access: which role may send which operation. One table; everything else is NOT_AUTHORISED. */
#include "ledger/machine.h"

#define MAY(role) (uint8_t)(1u << (role))
enum {
    REGULATOR = 1u << KH_ROLE_REGULATOR,
    SOURCE = 1u << KH_ROLE_SOURCE,
    BANK = 1u << KH_ROLE_BANK,
    ENTERPRISE = 1u << KH_ROLE_ENTERPRISE
};

static const uint8_t table[KH_OP_TYPE_CNT] = {
    [KH_OP_PARTY_ADD] = REGULATOR,
    [KH_OP_PARTY_STATUS] = REGULATOR,
    [KH_OP_PARTY_KEY] = REGULATOR,
    [KH_OP_RULE_SET] = REGULATOR,
    [KH_OP_RATE_SET] = REGULATOR,
    [KH_OP_DOCUMENT] = REGULATOR | SOURCE,
    [KH_OP_APPLY] = BANK,
    [KH_OP_EVENT] = BANK,
    [KH_OP_GRANT] = REGULATOR | ENTERPRISE,
    [KH_OP_GRANT_REVOKE] = REGULATOR | ENTERPRISE,
    [KH_OP_CREDIT_LOOKUP] = BANK,
    [KH_OP_RISK_ADD] = BANK,
    [KH_OP_RISK_REMOVE] = REGULATOR | BANK,
    [KH_OP_RISK_ASK] = REGULATOR | BANK,
};

/* Party 0 is the operator, with the regulator's rights. That a frozen bank is FROZEN is said later: what it sent before is
 * answered again. */
kh_code kh_access_check(kh_ledger *l, const kh_op *op)
{
    uint8_t role = KH_ROLE_REGULATOR, frozen = 0;
    if (op->party != l->speaker_id || l->speaker == 0) { /* most of what comes together comes from one party */
        l->speaker = op->party == 0 ? 0 : kh_parties_find(l, op->party);
        l->speaker_id = op->party;
    }
    if (op->party != 0) {
        if (l->speaker == 0) return KH_C_NOT_AUTHORISED;
        role = l->party[l->speaker].role;
        frozen = l->party[l->speaker].frozen;
    }
    if ((table[op->type] & MAY(role)) == 0) return KH_C_NOT_AUTHORISED;
    return frozen && role != KH_ROLE_BANK ? KH_C_FROZEN : KH_C_OK;
}
