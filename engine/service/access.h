/* access: the one door: who may ask what, with what proof, and what is shown (DOMAIN section 7, "What a bank learns").
 *
 * A principal is who an authenticated caller is: the embedded command's --as, later a session's certificate. One table of (role,
 * question) says what is checked and what is shown; everything that answers a question asks here first and shows only what comes
 * back. Pure; any thread. */
#ifndef KH_SERVICE_ACCESS_H
#define KH_SERVICE_ACCESS_H
#include "ledger/ledger.h"

typedef struct kh_principal {
    uint32_t party; /* 0: the operator, with the regulator's rights */
    kh_role role;
    bool frozen;
} kh_principal;

typedef enum kh_ask {
    KH_ASK_VERIFY = 0, /* a verdict on a paper that is described */
    KH_ASK_BALANCE,    /* balances of a document */
    KH_ASK_HISTORY,    /* what happened to a document */
    KH_ASK_FINANCING,  /* one financing, or a list */
    KH_ASK_ALERTS,
    KH_ASK_REGISTER,  /* parties, rules, rates; own only: of the parties, see kh_access_may_see_party */
    KH_ASK_DIRECTORY, /* stats, audit, snapshot */
    KH_DO_FINANCE,    /* apply and events */
    KH_DO_REGISTER,   /* parties, rules, rates */
    KH_DO_IMPORT,
    KH_DO_GRANT,   /* grant and revoke */
    KH_ASK_GRANT,  /* grants, and what was looked up under them */
    KH_ASK_CREDIT, /* an enterprise's credit record and documents */
    KH_DO_RISK,    /* contribute to the risk list, and remove */
    KH_ASK_RISK,   /* the risk list, and one's own account */
    KH_ASK_CNT
} kh_ask;

enum {                     /* what the table says */
       KH_MAY = 1,         /* allowed at all */
       KH_NEEDS_PROOF = 2, /* owner and amount of the paper */
       KH_OWN_ONLY = 4,    /* the party's own business alone */
       KH_LOGGED = 8,      /* a look-up that is written down */
       KH_NEEDS_GRANT = 16 /* the enterprise's consent: a look-up in the log, which the ledger judges */
};
/* kh_access_rights: the table's entry, bits of KH_MAY...; 0: not allowed. */
uint32_t kh_access_rights(const kh_principal *who, kh_ask ask);
/* kh_access_ask: KH_C_OK, NOT_AUTHORISED, or FROZEN (a frozen party is answered nothing but its repayments and the like, which
   the ledger judges). */
kh_code kh_access_ask(const kh_principal *who, kh_ask ask);
/* kh_access_proven: does the caller hold the paper? owner is the canonical owner id it stated (none: no), amount one of the
   document's bases as a decimal text in that currency's digits. */
bool kh_access_proven(const kh_doc_view *doc, kh_text owner, const char *amount);
/* kh_access_unproven: a question that stated no amount of a document that has one proves nothing: it is answered
 * FIELD_MISMATCH(amount). */
static inline bool kh_access_unproven(const kh_question *question, const kh_verdict *verdict)
{
    return question->amount == KH_AMOUNT_NONE && verdict->status != KH_STATUS_NONE && verdict->currency != 0;
}
/* kh_access_show_document removes from a view what this principal may not see: a bank's held, used and consumed become its own.
 */
void kh_access_show_document(const kh_principal *who, kh_doc_view *doc);
/* kh_access_may_see_party: its row, and its name as a way to mean it: oneself, regulators and sources; all of them the regulator
   alone. Other banks and enterprises are named by id or USCC, and an answer does not tell whether there is one. */
bool kh_access_may_see_party(const kh_principal *who, uint32_t party, kh_role role);
/* kh_access_may_see_financing: own business, or the regulator. */
bool kh_access_may_see_financing(const kh_principal *who, uint32_t bank, uint32_t enterprise);
/* kh_access_may_see_grant: its enterprise, its bank, or the regulator. */
bool kh_access_may_see_grant(const kh_principal *who, uint32_t enterprise, uint32_t bank);
/* kh_access_may_see_outcome: an item of a document's chain: its versions, and the party's own operations and notices. */
bool kh_access_may_see_outcome(const kh_principal *who, bool is_notice, uint8_t op_type, uint32_t party);
#endif
