/* lookup: questions in bulk over sealed datagrams. */
#include "client/session.h"
#include "doc/kind.h"
#include "doc/number.h"
#include "formats/formats.h"
#include <stdio.h>
#include <stdlib.h>

#define GROUP 65536u

bool kh_client_document_id(const char *document, kh_id *ret)
{
    kh_document_name name;
    char number[KH_NUMBER_MAX + 1], issuer[KH_ISSUER_MAX + 1];
    uint32_t number_n, issuer_n = 0;
    if (!kh_document_name_parse(kh_text_of(document), &name)) return false;
    kh_code code = kh_number_canonical(name.kind, (kh_text){name.number, name.number_n}, (kh_text){0}, number, &number_n);
    if (code != KH_C_OK && code != KH_C_CHECK_DIGIT) return false;
    code = kh_issuer_of_columns(name.kind, (kh_text){number, number_n}, (kh_text){name.issuer, name.issuer_n}, (kh_text){0},
                                issuer, &issuer_n);
    if (code != KH_C_OK && code != KH_C_CHECK_DIGIT) return false;
    kh_key key = kh_doc_key(name.kind, (kh_text){number, number_n}, (kh_text){issuer, issuer_n});
    memcpy(ret->bytes, key.b, 16);
    return true;
}

const char *kh_client_code_word(uint16_t code) { return kh_code_name(code); }

/* ---- asking ---- */

static kh_query query_of(const kh_lookup_question *q)
{
    kh_query query = {.amount = q->amount, .currency = q->currency, .want = q->want};
    char owner[KH_ISSUER_MAX + 1];
    uint32_t n;
    memcpy(query.key.b, q->id.bytes, 16);
    if (q->owner != NULL && kh_owner_canonical(kh_text_of(q->owner), owner, &n) != KH_C_FORMAT)
        query.owner_check = kh_owner_check((kh_text){owner, n});
    return query;
}

static kh_result ask_group(kh_client *c, const kh_query queries[], uint32_t n, bool is_long, kh_query_answer answers[],
                           uint64_t as_of[])
{
    for (int again = 0; again < 2; again++) { /* a session dies with its daemon: once more with a new one */
        kh_channel *channel;
        kh_result result = kh_client_channel(c, again > 0, &channel);
        if (result != KH_DONE) return result;
        kh_err err = kh_channel_verify(channel, queries, n, is_long, answers, as_of, NULL, NULL);
        if (err == KH_OK) return KH_DONE;
        if (err != KH_E_CLOSED) return kh_client_say(c, KH_FAILED, "datagrams cannot be sent or received: see the network");
    }
    return kh_client_say(c, KH_FAILED,
                         "the hub's datagrams do not get through: let its UDP port pass the network, or ask over HTTPS with "
                         "kh_client_verify_file");
}

kh_result kh_client_lookup(kh_client *client, const kh_lookup_question questions[], uint32_t n, kh_lookup_answer ret[])
{
    uint32_t most = n < GROUP ? n : GROUP;
    kh_query *queries = calloc(most + 1, sizeof *queries);
    kh_query_answer *answers = calloc(most + 1, sizeof *answers);
    uint64_t *as_of = calloc(most + 1, sizeof *as_of);
    kh_result result =
        queries != NULL && answers != NULL && as_of != NULL ? KH_DONE : kh_client_say(client, KH_FAILED, "out of memory");
    for (uint32_t at = 0; at < n && result == KH_DONE; at += GROUP) {
        uint32_t cnt = n - at < GROUP ? n - at : GROUP;
        bool is_long = false;
        for (uint32_t i = 0; i < cnt; i++) {
            queries[i] = query_of(&questions[at + i]);
            is_long = is_long || queries[i].want != KH_AMOUNT_NONE;
        }
        result = ask_group(client, queries, cnt, is_long, answers, as_of);
        for (uint32_t i = 0; i < cnt && result == KH_DONE; i++)
            ret[at + i] = (kh_lookup_answer){.code = (uint16_t)answers[i].code,
                                             .currency = answers[i].currency,
                                             .version = answers[i].version,
                                             .free = answers[i].free,
                                             .as_of = as_of[i]};
    }
    free(queries);
    free(answers);
    free(as_of);
    return result;
}
