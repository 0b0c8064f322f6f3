/* service: the access table, each role and question, and what a bank is shown of another's business. */
#include "service/access.h"
#include <criterion/criterion.h>

static const kh_principal operator_ = {0, KH_ROLE_REGULATOR, false}, regulator = {1, KH_ROLE_REGULATOR, false},
                          bank = {11, KH_ROLE_BANK, false}, enterprise = {101, KH_ROLE_ENTERPRISE, false},
                          source = {201, KH_ROLE_SOURCE, false};

Test(service, table)
{
    for (kh_ask ask = 0; ask < KH_ASK_CNT; ask++) {
        cr_assert((kh_access_ask(&operator_, ask) == KH_C_OK) == (ask != KH_DO_FINANCE), "operator, question %d", (int)ask);
        cr_assert((kh_access_rights(&operator_, ask) & KH_LOGGED) == 0);
    }
    cr_assert((kh_access_rights(&regulator, KH_ASK_BALANCE) & KH_LOGGED) != 0);
    cr_assert(kh_access_ask(&bank, KH_DO_FINANCE) == KH_C_OK);
    cr_assert(kh_access_ask(&bank, KH_DO_IMPORT) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_ask(&bank, KH_DO_REGISTER) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_ask(&bank, KH_ASK_DIRECTORY) == KH_C_NOT_AUTHORISED);
    cr_assert((kh_access_rights(&bank, KH_ASK_BALANCE) & KH_NEEDS_PROOF) != 0);
    cr_assert(kh_access_ask(&source, KH_DO_IMPORT) == KH_C_OK);
    cr_assert(kh_access_ask(&source, KH_ASK_BALANCE) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_ask(&enterprise, KH_DO_FINANCE) == KH_C_NOT_AUTHORISED);
    kh_principal nobody = {77, (kh_role)0, false};
    for (kh_ask ask = 0; ask < KH_ASK_CNT; ask++) cr_assert(kh_access_ask(&nobody, ask) == KH_C_NOT_AUTHORISED);
}

Test(service, consent_and_risks)
{
    cr_assert(kh_access_ask(&enterprise, KH_DO_GRANT) == KH_C_OK && kh_access_ask(&bank, KH_DO_GRANT) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_rights(&enterprise, KH_DO_GRANT) & KH_OWN_ONLY);
    cr_assert(kh_access_rights(&bank, KH_ASK_CREDIT) & KH_NEEDS_GRANT);
    cr_assert((kh_access_rights(&regulator, KH_ASK_CREDIT) & (KH_NEEDS_GRANT | KH_LOGGED)) == KH_LOGGED);
    cr_assert((kh_access_rights(&enterprise, KH_ASK_CREDIT) & (KH_NEEDS_GRANT | KH_OWN_ONLY)) == KH_OWN_ONLY);
    cr_assert(kh_access_ask(&source, KH_ASK_CREDIT) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_ask(&bank, KH_DO_RISK) == KH_C_OK && kh_access_ask(&bank, KH_ASK_RISK) == KH_C_OK);
    cr_assert(kh_access_ask(&enterprise, KH_DO_RISK) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_ask(&enterprise, KH_ASK_RISK) == KH_C_NOT_AUTHORISED);
    cr_assert(kh_access_ask(&source, KH_ASK_RISK) == KH_C_NOT_AUTHORISED && kh_access_ask(&source, KH_ASK_GRANT) != KH_C_OK);
    cr_assert(kh_access_may_see_grant(&enterprise, 101, 12) && !kh_access_may_see_grant(&enterprise, 102, 12));
    cr_assert(kh_access_may_see_grant(&bank, 102, 11) && !kh_access_may_see_grant(&bank, 11, 12));
    cr_assert(kh_access_may_see_grant(&operator_, 102, 12) && !kh_access_may_see_grant(&source, 201, 201));
    kh_principal frozen = bank;
    frozen.frozen = true;
    cr_assert(kh_access_ask(&frozen, KH_ASK_CREDIT) == KH_C_FROZEN && kh_access_ask(&frozen, KH_ASK_RISK) == KH_C_FROZEN);
}

Test(service, frozen)
{
    kh_principal frozen = bank;
    frozen.frozen = true;
    cr_assert(kh_access_ask(&frozen, KH_ASK_BALANCE) == KH_C_FROZEN);
    cr_assert(kh_access_ask(&frozen, KH_ASK_FINANCING) == KH_C_FROZEN);
    cr_assert(kh_access_ask(&frozen, KH_DO_FINANCE) == KH_C_OK); /* the ledger lets repayments through */
}

static kh_doc_view paper(void)
{
    kh_doc_view doc = {.owner = "91350211M000100Y43", .owner_n = 18, .balance_cnt = 1};
    doc.balances[0] = (kh_balance_view){.currency = 840,
                                        .base = 100000,
                                        .cap = 100000,
                                        .held = 7,
                                        .used = 500,
                                        .consumed = 20,
                                        .free = 99473,
                                        .own_held = 1,
                                        .own_used = 2,
                                        .own_consumed = 3};
    return doc;
}

Test(service, proof)
{
    kh_doc_view doc = paper();
    kh_text owner = kh_text_of("91350211M000100Y43");
    cr_assert(kh_access_proven(&doc, owner, "1000.00"));
    cr_assert(kh_access_proven(&doc, owner, "1000"));
    cr_assert(!kh_access_proven(&doc, owner, "1000.01"));
    cr_assert(!kh_access_proven(&doc, owner, NULL));
    cr_assert(!kh_access_proven(&doc, owner, ""));
    cr_assert(!kh_access_proven(&doc, kh_text_of("91350211M000100Y44"), "1000.00"));
    cr_assert(!kh_access_proven(&doc, (kh_text){0}, "1000.00"));
}

Test(service, what_is_shown)
{
    kh_doc_view doc = paper();
    kh_access_show_document(&bank, &doc);
    cr_assert(doc.balances[0].held == 1 && doc.balances[0].used == 2 && doc.balances[0].consumed == 3 &&
              doc.balances[0].free == 99473);
    doc = paper();
    kh_access_show_document(&operator_, &doc);
    cr_assert(doc.balances[0].held == 7 && doc.balances[0].used == 500);
    cr_assert(kh_access_may_see_financing(&bank, 11, 101));
    cr_assert(!kh_access_may_see_financing(&bank, 12, 101));
    cr_assert(kh_access_may_see_financing(&enterprise, 12, 101));
    cr_assert(kh_access_may_see_financing(&regulator, 12, 101));
    cr_assert(kh_access_may_see_outcome(&bank, false, KH_OP_DOCUMENT, 1));
    cr_assert(!kh_access_may_see_outcome(&bank, false, KH_OP_APPLY, 12));
    cr_assert(kh_access_may_see_outcome(&bank, false, KH_OP_APPLY, 11));
    cr_assert(!kh_access_may_see_outcome(&bank, true, 0, 12));
    cr_assert(kh_access_may_see_outcome(&regulator, true, 0, 12));
}

Test(service, a_question_without_amount)
{
    kh_question q = {.amount = KH_AMOUNT_NONE};
    kh_verdict match = {.status = KH_STATUS_CLEARED, .currency = 840, .free = 500}, mismatch = {.code = KH_C_OWNER_MISMATCH},
               no_amount = {.status = KH_STATUS_CLEARED};
    cr_assert(kh_access_unproven(&q, &match));
    cr_assert(!kh_access_unproven(&q, &mismatch));
    cr_assert(!kh_access_unproven(&q, &no_amount)); /* a paper that states none: there is nothing to prove, and nothing free */
    q.amount = 0;
    cr_assert(!kh_access_unproven(&q, &match));
}
