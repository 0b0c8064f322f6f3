/* session: see session.h. */
#include "client/session.h"
#include "client/answer.h"
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define LABEL "EXPORTER-kanhe-datagram" /* docs/PROTOCOL.md */
#define SUITE_AES_256_GCM 1
#define RENEW_BEFORE_S 60.0 /* or a quarter of a short session */

struct kh_session_kept {
    kh_channel *channel;
    double until_s;
};

typedef struct opening {
    CURL *easy;
    kh_session_opened *to;
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
        expires == NULL || !id_of(id->text, o->to->channel.session))
        return;
    (void)snprintf(o->to->address, sizeof o->to->address, "%s", address->text);
    o->to->channel.address = o->to->address;
    o->to->channel.max_queries = (uint32_t)queries->number;
    o->to->expires_s = expires->number;
    if (curl_easy_getinfo(o->easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || tls == NULL || tls->internals == NULL) return;
    o->well = export_key(tls->internals, o->to->channel.session, 0, o->to->channel.up) &&
              export_key(tls->internals, o->to->channel.session, 1, o->to->channel.down);
}

void kh_session_opened_wipe(kh_session_opened *opened)
{
    OPENSSL_cleanse(opened->channel.up, sizeof opened->channel.up);
    OPENSSL_cleanse(opened->channel.down, sizeof opened->channel.down);
}

kh_result kh_client_session(kh_client *c, kh_session_opened *ret)
{
    kh_transfer t = {0};
    opening o = {.to = ret};
    kh_answer_reader answer = {.transfer = &t, .row = granted, .ctx = &o};
    *ret = (kh_session_opened){0};
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
    return result;
}

void kh_session_kept_close(kh_session_kept *session)
{
    if (session == NULL) return;
    kh_channel_close(session->channel);
    free(session);
}

static kh_result keep_session(kh_client *c)
{
    kh_session_opened opened;
    kh_channel *channel = NULL;
    kh_result result = kh_client_session(c, &opened);
    if (result == KH_DONE && kh_channel_open(&opened.channel, &channel) != KH_OK)
        result = kh_client_say(c, KH_FAILED, "no datagrams can be sent to %s: see the network", opened.address);
    kh_session_opened_wipe(&opened);
    if (result != KH_DONE) return result;
    kh_session_kept *session = calloc(1, sizeof *session);
    if (session == NULL) {
        kh_channel_close(channel);
        return kh_client_say(c, KH_FAILED, "out of memory");
    }
    session->channel = channel;
    double lives_s = (double)opened.expires_s, before_s = lives_s / 4 < RENEW_BEFORE_S ? lives_s / 4 : RENEW_BEFORE_S;
    session->until_s = kh_client_now_s() + lives_s - before_s;
    kh_session_kept_close(c->session);
    c->session = session;
    return KH_DONE;
}

kh_result kh_client_channel(kh_client *c, bool anew, kh_channel **ret)
{
    kh_result result = KH_DONE;
    if (c->session == NULL || anew || kh_client_now_s() > c->session->until_s) result = keep_session(c);
    if (result == KH_DONE) *ret = c->session->channel;
    return result;
}
