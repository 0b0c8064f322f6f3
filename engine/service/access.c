/* access: the table and what follows from it. */
#include "service/access.h"

#define ALL KH_MAY
static const uint8_t table[5][KH_ASK_CNT] = {
    [KH_ROLE_REGULATOR] = {[KH_ASK_VERIFY] = ALL | KH_LOGGED,
                           [KH_ASK_BALANCE] = ALL | KH_LOGGED,
                           [KH_ASK_HISTORY] = ALL | KH_LOGGED,
                           [KH_ASK_FINANCING] = ALL | KH_LOGGED,
                           [KH_ASK_ALERTS] = ALL,
                           [KH_ASK_REGISTER] = ALL,
                           [KH_ASK_DIRECTORY] = ALL,
                           [KH_DO_REGISTER] = ALL,
                           [KH_DO_IMPORT] = ALL,
                           [KH_DO_GRANT] = ALL,
                           [KH_ASK_GRANT] = ALL,
                           [KH_ASK_CREDIT] = ALL | KH_LOGGED,
                           [KH_DO_RISK] = ALL,
                           [KH_ASK_RISK] = ALL},
    [KH_ROLE_BANK] = {[KH_ASK_VERIFY] = KH_MAY | KH_NEEDS_PROOF,
                      [KH_ASK_BALANCE] = KH_MAY | KH_NEEDS_PROOF | KH_OWN_ONLY,
                      [KH_ASK_HISTORY] = KH_MAY | KH_NEEDS_PROOF | KH_OWN_ONLY,
                      [KH_ASK_FINANCING] = KH_MAY | KH_OWN_ONLY,
                      [KH_ASK_ALERTS] = KH_MAY | KH_OWN_ONLY,
                      [KH_ASK_REGISTER] = KH_MAY | KH_OWN_ONLY,
                      [KH_DO_FINANCE] = KH_MAY | KH_OWN_ONLY,
                      [KH_ASK_GRANT] = KH_MAY | KH_OWN_ONLY,
                      [KH_ASK_CREDIT] = KH_MAY | KH_NEEDS_GRANT,
                      [KH_DO_RISK] = KH_MAY | KH_OWN_ONLY,
                      [KH_ASK_RISK] = KH_MAY | KH_OWN_ONLY},
    /* An enterprise proves by being the owner: what is its own it may see, without the banks' parts. */
    [KH_ROLE_ENTERPRISE] = {[KH_ASK_VERIFY] = KH_MAY | KH_NEEDS_PROOF,
                            [KH_ASK_BALANCE] = KH_MAY | KH_NEEDS_PROOF | KH_OWN_ONLY,
                            [KH_ASK_HISTORY] = KH_MAY | KH_NEEDS_PROOF | KH_OWN_ONLY,
                            [KH_ASK_FINANCING] = KH_MAY | KH_OWN_ONLY,
                            [KH_ASK_ALERTS] = KH_MAY | KH_OWN_ONLY,
                            [KH_ASK_REGISTER] = KH_MAY | KH_OWN_ONLY,
                            [KH_DO_GRANT] = KH_MAY | KH_OWN_ONLY,
                            [KH_ASK_GRANT] = KH_MAY | KH_OWN_ONLY,
                            [KH_ASK_CREDIT] = KH_MAY | KH_OWN_ONLY},
    [KH_ROLE_SOURCE] = {[KH_DO_IMPORT] = KH_MAY, [KH_ASK_REGISTER] = KH_MAY | KH_OWN_ONLY},
};

uint32_t kh_access_rights(const kh_principal *who, kh_ask ask)
{
    if ((uint32_t)ask >= KH_ASK_CNT || (uint32_t)who->role > KH_ROLE_SOURCE) return 0;
    uint32_t rights = table[who->role][ask];
    return who->party == 0 ? rights & ~(uint32_t)KH_LOGGED : rights;
}

kh_code kh_access_ask(const kh_principal *who, kh_ask ask)
{
    if ((kh_access_rights(who, ask) & KH_MAY) == 0) return KH_C_NOT_AUTHORISED;
    /* what a frozen party may still do (repay, reject, withdraw, reverse) the ledger decides */
    return who->frozen && ask != KH_DO_FINANCE ? KH_C_FROZEN : KH_C_OK;
}

bool kh_access_proven(const kh_doc_view *doc, kh_text owner, const char *amount)
{
    if (owner.n == 0 || !kh_text_equal(owner, (kh_text){doc->owner, doc->owner_n})) return false;
    if (amount == NULL) return false;
    for (uint32_t i = 0; i < doc->balance_cnt; i++) {
        uint64_t minor;
        if (kh_amount_parse(kh_text_of(amount), doc->balances[i].currency, &minor) == KH_C_OK && minor == doc->balances[i].base)
            return true;
    }
    return false;
}

void kh_access_show_document(const kh_principal *who, kh_doc_view *doc)
{
    if ((kh_access_rights(who, KH_ASK_BALANCE) & KH_OWN_ONLY) == 0) return;
    for (uint32_t i = 0; i < doc->balance_cnt; i++) {
        kh_balance_view *b = &doc->balances[i];
        b->held = b->own_held;
        b->used = b->own_used;
        b->consumed = b->own_consumed;
    }
}

bool kh_access_may_see_party(const kh_principal *who, uint32_t party, kh_role role)
{
    uint32_t rights = kh_access_rights(who, KH_ASK_REGISTER);
    if ((rights & KH_MAY) == 0) return false;
    return (rights & KH_OWN_ONLY) == 0 || party == who->party || role == KH_ROLE_REGULATOR || role == KH_ROLE_SOURCE;
}

bool kh_access_may_see_financing(const kh_principal *who, uint32_t bank, uint32_t enterprise)
{
    uint32_t rights = kh_access_rights(who, KH_ASK_FINANCING);
    if ((rights & KH_MAY) == 0) return false;
    return (rights & KH_OWN_ONLY) == 0 || who->party == bank || (who->role == KH_ROLE_ENTERPRISE && who->party == enterprise);
}

bool kh_access_may_see_grant(const kh_principal *who, uint32_t enterprise, uint32_t bank)
{
    uint32_t rights = kh_access_rights(who, KH_ASK_GRANT);
    if ((rights & KH_MAY) == 0) return false;
    return (rights & KH_OWN_ONLY) == 0 || who->party == (who->role == KH_ROLE_BANK ? bank : enterprise);
}

bool kh_access_may_see_outcome(const kh_principal *who, bool is_notice, uint8_t op_type, uint32_t party)
{
    uint32_t rights = kh_access_rights(who, KH_ASK_HISTORY);
    if ((rights & KH_MAY) == 0) return false;
    return (rights & KH_OWN_ONLY) == 0 || (!is_notice && op_type == KH_OP_DOCUMENT) || party == who->party;
}
