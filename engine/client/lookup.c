/* lookup: questions in bulk over sealed datagrams. The session's keys are exported from the TLS connection that asked for it,
 * while the answer is being read. */
#include "client/lookup.h"
#include "client/connection.h"
#include "client/answer.h"
#include "client/datagram.h"
#include "doc/kind.h"
#include "doc/number.h"
#include "formats/formats.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define LABEL "EXPORTER-kanhe-datagram" /* docs/PROTOCOL.md */
#define SUITE_AES_256_GCM 1
#define GROUP 65536u
#define RENEW_BEFORE_S 60

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

/* ---- opening a session ---- */

typedef struct opening {
    CURL *easy;
    kh_channel_options channel;
    char address[80];
    uint64_t expires_s;
    bool well;
} opening;

static bool export_key(SSL *ssl, const uint8_t id[8], uint8_t direction, uint8_t ret[KH_AEAD_KEY_SZ])
{
    uint8_t context[10];
    memcpy(context, id, 8);
    context[8] = SUITE_AES_256_GCM;
    context[9] = direction;
    return SSL_export_keying_material(ssl, ret, KH_AEAD_KEY_SZ, LABEL, strlen(LABEL), context, sizeof context, 1) == 1;
}

static bool id_of(const char *hex, uint8_t ret[8])
{
    if (strlen(hex) != 16 || strspn(hex, "0123456789abcdefABCDEF") != 16) return false;
    for (size_t i = 0; i < 8; i++) {
        const char byte[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return true;
}

/* granted is called while the answer is read: the connection is the session's, alive. */
static void granted(void *ctx, kh_result_row *row)
{
    opening *o = ctx;
    struct curl_tlssessioninfo *tls = NULL;
    const kh_result_field *id = kh_row_field(row, "session"), *address = kh_row_field(row, "address"),
                          *queries = kh_row_field(row, "max_queries"), *expires = kh_row_field(row, "expires_in");
    if (id == NULL || id->type != KH_FIELD_TEXT || address == NULL || address->type != KH_FIELD_TEXT || queries == NULL ||
        expires == NULL || !id_of(id->text, o->channel.session))
        return;
    (void)snprintf(o->address, sizeof o->address, "%s", address->text);
    o->channel.address = o->address;
    o->channel.max_queries = (uint32_t)queries->number;
    o->expires_s = expires->number;
    if (curl_easy_getinfo(o->easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || tls == NULL || tls->internals == NULL) return;
    o->well = export_key(tls->internals, o->channel.session, 0, o->channel.up) &&
              export_key(tls->internals, o->channel.session, 1, o->channel.down);
}

static kh_result open_session(kh_client *c)
{
    opening o = {0};
    kh_transfer t = {0};
    kh_answer_reader answer = {.transfer = &t, .row = granted, .ctx = &o};
    kh_channel *channel = NULL;
    t.give = kh_answer_feed;
    t.ctx = &answer;
    kh_result result = kh_transfer_begin(c, &t, "POST", "/v1/sessions", "application/x-ndjson", "application/json", "{}", 2);
    o.easy = t.easy;
    while (result == KH_DONE && !t.ended) kh_transfers_step(c, 1.0);
    if (result == KH_DONE) result = kh_transfer_say(c, &t);
    if (result == KH_DONE && kh_answer_finish(&answer) && answer.status != KH_DONE)
        result = kh_client_say(c, answer.status, "%s", answer.message);
    if (result == KH_DONE && (!answer.ended || !o.well))
        result = kh_client_say(c, KH_FAILED, "%s opens no session for datagrams (HTTP status %ld): use kh_client_verify_file",
                               c->url, t.http_status);
    kh_transfer_end(c, &t);
    kh_answer_free(&answer);
    if (result == KH_DONE && kh_channel_open(&o.channel, &channel) != KH_OK)
        result = kh_client_say(c, KH_FAILED, "no datagrams can be sent to %s: see the network", o.address);
    OPENSSL_cleanse(o.channel.up, sizeof o.channel.up);
    OPENSSL_cleanse(o.channel.down, sizeof o.channel.down);
    if (result != KH_DONE) return result;
    kh_lookup_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        kh_channel_close(channel);
        return kh_client_say(c, KH_FAILED, "out of memory");
    }
    session->channel = channel;
    session->until_s = kh_client_now_s() + (double)o.expires_s - RENEW_BEFORE_S;
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
