/* grants: an enterprise's consent that a bank looks at its papers or its credit record, for a time; and the look-ups, each an
 * operation of its own that the enterprise is told of. A number once used stays taken, so that a grant that comes again late
 * does not undo its revocation. */
#include "ledger/machine.h"

static uint32_t *next_of(const kh_ledger *l, uint32_t row) { return &l->grant[row].hash_next; }
static uint64_t grant_hash(const kh_ledger *l, uint32_t enterprise, uint64_t id)
{
    return kh_mix(kh_mix(id ^ l->secret[1], enterprise), l->secret[0]);
}
static uint64_t hash_of(const kh_ledger *l, uint32_t row) { return grant_hash(l, l->grant[row].enterprise, l->grant[row].id); }

const kh_table kh_grants_table = {KH_R_GRANT_TABLE, next_of, hash_of};

void kh_consent_start(kh_ledger *l)
{
    const uint32_t rows[] = {KH_R_CONSENT, KH_R_GRANT, KH_R_RISK};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) l->state->regions[rows[i]].row_cnt = 1;
    kh_table_init(l, &kh_grants_table, &l->consent->grants);
    kh_table_init(l, &kh_risks_table, &l->consent->risks);
    kh_rules_init(l, KH_RULE_HEAD_CNT, KH_RULE_CNT);
    l->consent->format = KH_CONSENT_FORMAT;
}

static uint32_t find(const kh_ledger *l, uint32_t enterprise, uint64_t id)
{
    uint32_t row = kh_table_first(l, &kh_grants_table, &l->consent->grants, grant_hash(l, enterprise, id));
    while (row != 0 && (l->grant[row].id != id || l->grant[row].enterprise != enterprise)) row = l->grant[row].hash_next;
    return row;
}

uint64_t kh_grant_check(const kh_ledger *l, const kh_grant *g)
{
    uint64_t name = kh_mix(g->id ^ l->secret[0], (uint64_t)g->enterprise << 32 | g->bank);
    return kh_mix(name, kh_mix(g->from_ns ^ l->secret[1], g->until_ns) ^ (uint64_t)g->scope << 8 ^ g->state);
}

static bool has_role(const kh_ledger *l, uint32_t row, kh_role role) { return row != 0 && l->party[row].role == role; }

static bool speaks_for(const kh_ledger *l, const kh_op *op, uint32_t enterprise)
{
    if (op->party == enterprise) return true;
    return op->party == 0 || has_role(l, kh_parties_find(l, op->party), KH_ROLE_REGULATOR);
}

/* ---- granting and revoking ---- */

static bool same_grant(const kh_grant *g, const kh_op_grant *op)
{
    return g->bank == op->bank && g->scope == op->scope && g->from_ns == op->from_ns && g->until_ns == op->until_ns;
}

uint32_t kh_grants_put(kh_ledger *l, const kh_grant *g)
{
    uint32_t row = kh_rows_take(l, KH_R_GRANT);
    kh_party_row *p = &l->party[kh_parties_find(l, g->enterprise)];
    l->grant[row] = *g;
    l->grant[row].next = p->newest_grant;
    kh_table_add(l, &kh_grants_table, &l->consent->grants, grant_hash(l, g->enterprise, g->id), row);
    p->newest_grant = row;
    if (g->state == KH_GRANT_OPEN) p->open_grants++;
    p->given++;
    l->head->check += kh_grant_check(l, g);
    return row;
}

static kh_code grant_new(kh_ledger *l, const kh_op_grant *op, uint32_t *ret_row)
{
    uint32_t party = kh_parties_find(l, op->enterprise);
    if (!has_role(l, party, KH_ROLE_ENTERPRISE) || !has_role(l, kh_parties_find(l, op->bank), KH_ROLE_BANK))
        return KH_C_NOT_FOUND;
    const kh_party_row *p = &l->party[party];
    if (p->frozen) return KH_C_FROZEN;
    if (p->open_grants >= KH_GRANTS_OPEN_MAX || p->given >= KH_GRANTS_EVER_MAX || !kh_rows_left(l, KH_R_GRANT, 1))
        return KH_C_CAPACITY;
    const kh_grant g = {.id = op->id,
                        .from_ns = op->from_ns,
                        .until_ns = op->until_ns,
                        .enterprise = op->enterprise,
                        .bank = op->bank,
                        .scope = op->scope,
                        .state = KH_GRANT_OPEN};
    *ret_row = kh_grants_put(l, &g);
    return KH_C_OK;
}

static kh_code grant(kh_ledger *l, const kh_op *op, kh_receipt *r)
{
    uint32_t row = 0;
    r->financing = op->grant.id;
    r->enterprise = op->grant.enterprise;
    r->event = op->grant.scope;
    if (!speaks_for(l, op, op->grant.enterprise)) return KH_C_NOT_AUTHORISED;
    row = find(l, op->grant.enterprise, op->grant.id);
    r->effect = row != 0 ? KH_EFFECT_UNCHANGED : KH_EFFECT_STORED;
    if (row != 0 && !same_grant(&l->grant[row], &op->grant)) return KH_C_BAD_STATE;
    kh_code code = row != 0 ? KH_C_OK : grant_new(l, &op->grant, &row);
    if (code == KH_C_OK) r->state = l->grant[row].state;
    return code;
}

static kh_code revoke(kh_ledger *l, const kh_op *op, kh_receipt *r)
{
    r->financing = op->grant_revoke.id;
    r->enterprise = op->grant_revoke.enterprise;
    if (!speaks_for(l, op, op->grant_revoke.enterprise)) return KH_C_NOT_AUTHORISED;
    uint32_t row = find(l, op->grant_revoke.enterprise, op->grant_revoke.id);
    if (row == 0) return KH_C_NOT_FOUND;
    kh_grant *g = &l->grant[row];
    r->state = KH_GRANT_REVOKED;
    r->event = g->scope;
    r->effect = g->state == KH_GRANT_OPEN ? KH_EFFECT_REVOKED : KH_EFFECT_UNCHANGED;
    if (g->state != KH_GRANT_OPEN) return KH_C_OK;
    l->head->check -= kh_grant_check(l, g);
    g->state = KH_GRANT_REVOKED;
    l->head->check += kh_grant_check(l, g);
    l->party[kh_parties_find(l, g->enterprise)].open_grants--;
    return KH_C_OK;
}

/* ---- looking ---- */

/* Consent comes before the enterprise's freeze: who has none learns nothing. */
static kh_code lookup(const kh_ledger *l, const kh_op *op, kh_receipt *r)
{
    const kh_op_credit_lookup *q = &op->credit_lookup;
    r->financing = q->grant;
    r->enterprise = q->enterprise;
    r->event = q->scope;
    if (l->party[kh_parties_find(l, op->party)].frozen) return KH_C_FROZEN;
    const kh_grant *g = &l->grant[find(l, q->enterprise, q->grant)];
    if (g->bank != op->party || g->state != KH_GRANT_OPEN) return KH_C_NO_CONSENT;
    if (l->head->time_ns < g->from_ns || l->head->time_ns > g->until_ns) return KH_C_CONSENT_EXPIRED;
    if ((q->scope & ~g->scope) != 0) return KH_C_NO_CONSENT;
    return l->party[kh_parties_find(l, q->enterprise)].frozen ? KH_C_FROZEN : KH_C_OK;
}

static void tell(kh_ledger *l, const kh_op *op)
{
    kh_notice n = {.type = KH_NOTICE_LOOKUP,
                   .state = op->credit_lookup.scope,
                   .party = op->credit_lookup.enterprise,
                   .financing = op->credit_lookup.grant,
                   .version = op->party};
    kh_outcome_begin(l);
    kh_touch_party(l, n.party);
    kh_emit_notice(l, &n);
}

void kh_grants_apply(kh_ledger *l, const kh_op *op)
{
    kh_receipt r = {.type = op->type, .party = op->party, .sequence = op->sequence};
    bool looks = op->type == KH_OP_CREDIT_LOOKUP;
    r.code = looks ? lookup(l, op, &r) : op->type == KH_OP_GRANT ? grant(l, op, &r) : revoke(l, op, &r);
    if (r.code != KH_C_OK) r.effect = KH_EFFECT_NONE;
    kh_outcome_begin(l);
    kh_touch_party(l, op->party);
    if (r.code == KH_C_OK && !looks && op->party != r.enterprise) kh_touch_party(l, r.enterprise);
    kh_emit_receipt(l, &r);
    if (looks && r.code == KH_C_OK) tell(l, op);
}

/* ---- reading ---- */

static void view(const kh_grant *g, kh_grant_view *ret)
{
    *ret = (kh_grant_view){.enterprise = g->enterprise,
                           .bank = g->bank,
                           .id = g->id,
                           .from_ns = g->from_ns,
                           .until_ns = g->until_ns,
                           .scope = g->scope,
                           .state = (kh_grant_state)g->state};
}

bool kh_ledger_grant(const kh_ledger *l, uint32_t enterprise, uint64_t id, kh_grant_view *ret)
{
    uint32_t row = find(l, enterprise, id);
    if (row != 0) view(&l->grant[row], ret);
    return row != 0;
}

bool kh_ledger_grant_next(const kh_ledger *l, uint64_t *cursor, uint32_t enterprise, kh_grant_view *ret)
{
    uint64_t row = *cursor + 1;
    if (*cursor >= l->state->regions[KH_R_GRANT].row_cnt) return false; /* a caller's own invention */
    if (enterprise != 0) {
        uint32_t party = kh_parties_find(l, enterprise);
        if (*cursor != 0) row = l->grant[*cursor].enterprise == enterprise ? l->grant[*cursor].next : 0;
        else row = has_role(l, party, KH_ROLE_ENTERPRISE) ? l->party[party].newest_grant : 0;
    }
    if (row == 0 || row >= l->state->regions[KH_R_GRANT].row_cnt) return false;
    view(&l->grant[row], ret);
    *cursor = row;
    return true;
}

const char *kh_grants_invariants(const kh_ledger *l, uint64_t *check)
{
    uint64_t cnt = l->state->regions[KH_R_GRANT].row_cnt, listed = 0;
    for (uint64_t row = 1; row < cnt; row++) {
        const kh_grant *g = &l->grant[row];
        if (find(l, g->enterprise, g->id) != row) return "a grant is not found under its number";
        *check += kh_grant_check(l, g);
    }
    for (uint64_t at = 1; at < l->state->regions[KH_R_PARTY].row_cnt; at++) {
        const kh_party_row *p = &l->party[at];
        uint32_t open = 0, all = 0;
        if (p->role != KH_ROLE_ENTERPRISE) continue;
        for (uint32_t row = p->newest_grant; row != 0 && all <= KH_GRANTS_EVER_MAX; row = l->grant[row].next, all++) {
            if (l->grant[row].enterprise != p->id) return "a grant stands in another enterprise's list";
            open += l->grant[row].state == KH_GRANT_OPEN;
        }
        if (open != p->open_grants || all != p->given) return "an enterprise counts other grants than it has";
        listed += all;
    }
    return listed == cnt - 1 && listed == l->consent->grants.rows ? NULL : "a grant stands in no enterprise's list";
}
