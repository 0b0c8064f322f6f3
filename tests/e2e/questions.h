/* questions: what the programs that ask a hub by datagrams ask, and what they must hear. The hub's declarations are 1 to COUNT,
 * each of 1,000.00 USD, owned by one enterprise; a question's number says which of them it is about and what is wrong in it. */
#ifndef KH_TESTS_QUESTIONS_H
#define KH_TESTS_QUESTIONS_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "doc/number.h"
#include "kanhe/client.h"
#include "wire/query.h"

#define THE_OWNER "91350211M000100Y46"
#define ANOTHER_OWNER "91350100M0001TGQXM"
#define THE_AMOUNT UINT64_C(100000)
#define USD 840

static inline kh_lookup_question question_make(uint32_t number)
{
    char document[64];
    uint32_t wrong = number % 4;
    kh_lookup_question q = {.amount = THE_AMOUNT + (wrong == 1),
                            .want = KH_NO_AMOUNT,
                            .currency = USD,
                            .owner = wrong == 3 ? ANOTHER_OWNER : THE_OWNER};
    (void)snprintf(document, sizeof document, "export_declaration:310120260%09u", number + (wrong == 2 ? 500000000u : 0));
    if (!kh_client_document_id(document, &q.id)) abort();
    return q;
}

/* The same as a datagram's query. */
static inline kh_query question_query(uint32_t number)
{
    kh_lookup_question q = question_make(number);
    kh_query query = {
        .amount = q.amount, .currency = q.currency, .want = KH_AMOUNT_NONE, .owner_check = kh_owner_check(kh_text_of(q.owner))};
    memcpy(query.key.b, q.id.bytes, sizeof q.id.bytes);
    return query;
}

/* Is the answer the one that the question's number asks for? */
static inline bool question_answered(uint32_t number, uint16_t code, uint64_t free_amount)
{
    static const char *const names[4] = {"OK", "FIELD_MISMATCH", "NOT_FOUND", "OWNER_MISMATCH"};
    return strcmp(kh_client_code_word(code), names[number % 4]) == 0 && (number % 4 != 0 || free_amount == THE_AMOUNT);
}
#endif
