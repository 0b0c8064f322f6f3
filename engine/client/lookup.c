/* lookup: questions in bulk over sealed datagrams. The session's keys are exported from the TLS connection that asked for it,
 * while the answer is being read. */
#include "client/lookup.h"
#include "client/session.h"
#include "doc/kind.h"
#include "doc/number.h"
#include "formats/formats.h"
#include <stdio.h>
#include <stdlib.h>

#define GROUP 65536u
#define RENEW_BEFORE_S 60.0 /* or a quarter of a short session */

struct kh_lookup_session {
    kh_channel *channel;
    double until_s;
};

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

void kh_lookup_session_close(kh_lookup_session *session)
{
    if (session == NULL) return;
    kh_channel_close(session->channel);
    free(session);
}

static kh_result open_session(kh_client *c)
{
    kh_session_opened opened;
    kh_channel *channel = NULL;
    kh_result result = kh_client_session(c, &opened);
    if (result == KH_DONE && kh_channel_open(&opened.channel, &channel) != KH_OK)
        result = kh_client_say(c, KH_FAILED, "no datagrams can be sent to %s: see the network", opened.address);
    kh_session_opened_wipe(&opened);
    if (result != KH_DONE) return result;
    kh_lookup_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        kh_channel_close(channel);
        return kh_client_say(c, KH_FAILED, "out of memory");
    }
    session->channel = channel;
    double lives_s = (double)opened.expires_s, before_s = lives_s / 4 < RENEW_BEFORE_S ? lives_s / 4 : RENEW_BEFORE_S;
    session->until_s = kh_client_now_s() + lives_s - before_s;
    kh_lookup_session_close(c->session);
    c->session = session;
    return KH_DONE;
}

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
        if (c->session == NULL || again > 0 || kh_client_now_s() > c->session->until_s) {
            kh_result result = open_session(c);
            if (result != KH_DONE) return result;
        }
        kh_err err = kh_channel_verify(c->session->channel, queries, n, is_long, answers, as_of, NULL, NULL);
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
