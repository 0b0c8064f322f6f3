/* rebuild_parties: parties with their keys, grants and the risk list, from their leaves. How many grants and contributions there
 * are is counted again; the order in which an enterprise granted is not in the leaves, and only orders a page. */
#include "ledger/rebuild.h"

/* An enterprise's own, the newest first. */
static void read_keys(kh_rebuild *r, kh_party_row *p)
{
    uint32_t *link = &p->key;
    while (kh_rebuild_more(r) && kh_rebuild_rows(r, KH_R_PARTY_KEY, 1)) {
        uint32_t row = kh_rows_take(r->l, KH_R_PARTY_KEY);
        kh_party_key *k = &r->l->party_key[row];
        k->since = kh_rebuild_number(r);
        k->bundle = kh_rebuild_number(r);
        kh_rebuild_take(r, k->key, sizeof k->key);
        *link = row;
        link = &k->before;
    }
}

void kh_rebuild_party(kh_rebuild *r)
{
    kh_ledger *l = r->l;
    char name[KH_REBUILD_TEXT_MAX], uscc[KH_REBUILD_TEXT_MAX];
    uint64_t id = kh_rebuild_number(r);
    uint8_t frozen = (uint8_t)id;
    kh_op_party_add op = {.id = (uint32_t)(id >> 32), .role = (uint8_t)(id >> 8)};
    if ((id & UINT64_C(0xffff0000)) != 0 || frozen > KH_PARTY_EXPELLED) kh_rebuild_refuse(r, "a number is above its bound");
    kh_rebuild_order(r, op.id, 0);
    op.name = kh_rebuild_text(r, KH_NAME_MAX, name);
    op.uscc = kh_rebuild_text(r, KH_ISSUER_MAX, uscc);
    if (!kh_rebuild_sound(r)) return;
    kh_code code = kh_parties_add(l, &op);
    if (code == KH_C_CAPACITY) kh_rebuild_full(r);
    else if (code != KH_C_OK) kh_rebuild_refuse(r, "a party that could not be added");
    if (!kh_rebuild_sound(r)) return;
    kh_party_row *p = &l->party[kh_parties_find(l, op.id)];
    p->frozen = frozen;
    if (op.role == KH_ROLE_BANK && frozen != 0) l->head->frozen_banks++;
    p->last = kh_rebuild_number(r);
    p->refusals_ns = kh_rebuild_number(r);
    p->refusals_at = kh_rebuild_number(r);
    if ((uint32_t)kh_rebuild_number(r) > UINT16_MAX) kh_rebuild_refuse(r, "a number is above its bound");
    if (op.role == KH_ROLE_ENTERPRISE) read_keys(r, p);
    else if (op.role == KH_ROLE_BANK) p->asked = kh_rebuild_number(r);
    else p->bundle = kh_rebuild_number(r);
}

static const kh_party_row *party_of(kh_rebuild *r, uint32_t id, kh_role role)
{
    const kh_party_row *p = &r->l->party[kh_parties_find(r->l, id)]; /* row 0 has no role */
    if (kh_rebuild_sound(r) && p->role != role)
        kh_rebuild_refuse(r, "a leaf names a party that is not there, or is something else");
    return p;
}

void kh_rebuild_grant(kh_rebuild *r)
{
    kh_grant g = {.enterprise = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX)};
    g.id = kh_rebuild_number(r);
    g.bank = (uint32_t)kh_rebuild_up_to(r, UINT32_MAX);
    uint64_t scope = kh_rebuild_number(r);
    g.from_ns = kh_rebuild_number(r);
    g.until_ns = kh_rebuild_number(r);
    g.scope = (uint8_t)(scope >> 32);
    g.state = (uint8_t)scope;
    if (scope >> 40 != 0 || (uint32_t)scope < KH_GRANT_OPEN || (uint32_t)scope > KH_GRANT_REVOKED)
        kh_rebuild_refuse(r, "a grant is neither open nor revoked");
    kh_rebuild_order(r, (uint64_t)g.enterprise + 1, g.id);
    const kh_party_row *p = party_of(r, g.enterprise, KH_ROLE_ENTERPRISE);
    if (kh_rebuild_sound(r) && p->given >= KH_GRANTS_EVER_MAX) kh_rebuild_refuse(r, "an enterprise has more grants than it can");
    if (kh_rebuild_rows(r, KH_R_GRANT, 1)) (void)kh_grants_put(r->l, &g);
}

void kh_rebuild_risk(kh_rebuild *r)
{
    kh_risk_row row = {.subject = kh_rebuild_key(r)};
    uint64_t category = kh_rebuild_up_to(r, UINT64_C(0xffffffffff));
    row.category = (uint8_t)(category >> 32);
    row.bank = (uint32_t)category;
    int way = memcmp(row.subject.b, r->last.b, sizeof row.subject.b);
    if (way < 0) kh_rebuild_refuse(r, "a leaf is not behind the one before it");
    if (way != 0) r->last_high = r->last_low = 0;
    r->last = row.subject;
    kh_rebuild_order(r, category + 1, 0);
    const kh_party_row *p = party_of(r, row.bank, KH_ROLE_BANK);
    bool room = kh_rebuild_rows(r, KH_R_RISK, 1);
    if (room && p->given >= KH_RISKS_OF_BANK_MAX) kh_rebuild_refuse(r, "a bank contributed more than it can");
    if (kh_rebuild_sound(r)) kh_risks_put(r->l, &row);
}
