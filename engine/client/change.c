/* change: see change.h. */
#include "client/change.h"
#include "client/answer.h"
#include "client/row.h"
#include "client/secret.h"
#include "crypto/digest.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = KH_CHANGE_BODY_SZ + 256 };

typedef struct change_text { /* a change as the text has it */
    kh_change change;
    kh_suite suite;
    uint8_t body[KH_CHANGE_BODY_SZ];
} change_text;

/* ---- the text ---- */

static char *write_text(const change_text *t)
{
    char hex[2 * KH_CHANGE_BODY_SZ + 1];
    json_t *o = json_object(), *signatures = json_array();
    kh_hex(t->change.chain, 32, hex);
    (void)json_object_set_new(o, "chain", json_string(hex));
    (void)json_object_set_new(o, "suite", json_string(kh_suite_word(t->suite)));
    (void)json_object_set_new(o, "number", json_integer((json_int_t)t->change.number));
    (void)json_object_set_new(o, "kind", json_integer(t->change.kind));
    kh_hex(t->body, t->change.body_sz, hex);
    (void)json_object_set_new(o, "body", json_string(hex));
    for (uint32_t i = 0; i < t->change.signature_cnt; i++) {
        json_t *s = json_object();
        (void)json_object_set_new(s, "officer", json_integer(t->change.signatures[i].index + 1));
        kh_hex(t->change.signatures[i].signature, KH_SIGNATURE_SZ, hex);
        (void)json_object_set_new(s, "signature", json_string(hex));
        (void)json_array_append_new(signatures, s);
    }
    (void)json_object_set_new(o, "signatures", signatures);
    char *text = json_dumps(o, JSON_INDENT(1));
    json_decref(o);
    return text;
}

static bool hex_of(const json_t *o, const char *name, uint8_t *ret, size_t n)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL && kh_hex_read(text, strlen(text), ret, n);
}

static bool read_signatures(const json_t *list, kh_change *c)
{
    if (!json_is_array(list) || json_array_size(list) > sizeof c->signatures / sizeof c->signatures[0]) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        json_int_t officer = json_integer_value(json_object_get(s, "officer"));
        if (officer < 1 || officer > UINT16_MAX || (i > 0 && officer - 1 <= c->signatures[i - 1].index)) return false;
        c->signatures[i].index = (uint16_t)(officer - 1);
        if (!hex_of(s, "signature", c->signatures[i].signature, KH_SIGNATURE_SZ)) return false;
    }
    c->signature_cnt = (uint32_t)json_array_size(list);
    return true;
}

static bool read_object(const json_t *o, change_text *t)
{
    const char *suite = json_string_value(json_object_get(o, "suite")), *body = json_string_value(json_object_get(o, "body"));
    json_int_t number = json_integer_value(json_object_get(o, "number")), kind = json_integer_value(json_object_get(o, "kind"));
    if (suite == NULL || !kh_suite_of(suite, &t->suite) || body == NULL || number < 0 || kind < 1 || kind > UINT32_MAX)
        return false;
    size_t n = strlen(body) / 2;
    if (n > sizeof t->body || !kh_hex_read(body, strlen(body), t->body, n) || !hex_of(o, "chain", t->change.chain, 32))
        return false;
    t->change.number = (uint64_t)number;
    t->change.kind = (uint32_t)kind;
    t->change.body = t->body;
    t->change.body_sz = (uint32_t)n;
    return read_signatures(json_object_get(o, "signatures"), &t->change);
}

static bool read_text(const char *json, change_text *t)
{
    json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    memset(t, 0, sizeof *t);
    bool good = json_is_object(o) && read_object(o, t);
    json_decref(o);
    return good;
}

size_t kh_change_text_encode(const char *json, uint8_t *ret, size_t cap)
{
    change_text t;
    return read_text(json, &t) ? kh_change_encode(&t.change, ret, cap) : 0;
}

/* ---- making one ---- */

typedef struct now { /* what the order says */
    change_text *t;
    bool chain, suite, number;
} now;

static void on_cluster(void *ctx, const kh_result_row *row)
{
    now *n = ctx;
    const kh_result_field *chain = kh_row_field(row, "chain"), *suite = kh_row_field(row, "suite"),
                          *number = kh_row_field(row, "next_change");
    n->chain =
        chain != NULL && chain->type == KH_FIELD_TEXT && kh_hex_read(chain->text, strlen(chain->text), n->t->change.chain, 32);
    n->suite = suite != NULL && suite->type == KH_FIELD_TEXT && kh_suite_of(suite->text, &n->t->suite);
    n->number = number != NULL && number->type == KH_FIELD_NUMBER;
    if (n->number) n->t->change.number = number->number;
}

kh_result kh_client_change_make(kh_client *c, const char *kind, const kh_client_param fields[], uint32_t field_cnt,
                                char **ret_json)
{
    change_text t = {0};
    now n = {.t = &t};
    const kh_result_sink sink = {.row = on_cluster, .ctx = &n};
    const char *wrong = kh_change_body(kind, fields, field_cnt, &t.change.kind, t.body, &t.change.body_sz);
    if (wrong != NULL) return kh_client_say(c, KH_MISUSE, "%s", wrong);
    kh_result result = kh_client_call(c, &(kh_client_request){.method = "GET", .path = "/v1/cluster"}, &sink);
    if (result != KH_DONE) return result;
    if (!n.chain && !n.suite && !n.number)
        return kh_client_say(c, KH_MISUSE,
                             "%s is of no cluster: rules, rates and parties of its own are set with kanhe rule, rate and party",
                             c->url);
    if (!n.chain || !n.suite || !n.number) return kh_client_say(c, KH_FAILED, "%s does not say of which chain it is", c->url);
    char *text = write_text(&t);
    if (text == NULL) return kh_client_say(c, KH_FAILED, "out of memory");
    *ret_json = text;
    return KH_DONE;
}

/* ---- signing: the signatures stand in the order of the officers ---- */

static void put_signature(kh_change *c, uint16_t index, const uint8_t signature[KH_SIGNATURE_SZ])
{
    uint32_t at = 0;
    while (at < c->signature_cnt && c->signatures[at].index < index) at++;
    if (at == c->signature_cnt || c->signatures[at].index != index) {
        memmove(&c->signatures[at + 1], &c->signatures[at], (c->signature_cnt - at) * sizeof c->signatures[0]);
        c->signature_cnt++;
    }
    c->signatures[at].index = index;
    memcpy(c->signatures[at].signature, signature, KH_SIGNATURE_SZ);
}

kh_result kh_client_change_sign(const char *json, uint32_t officer, const char *key_file, char *ret_message, size_t cap,
                                char **ret_json)
{
    enum { MOST = sizeof((kh_change *)NULL)->signatures / sizeof((kh_change *)NULL)->signatures[0] };
    change_text t;
    kh_signer *signer = NULL;
    uint8_t statement[TEXT_MAX], signature[KH_SIGNATURE_SZ];
    ret_message[0] = '\0';
    if (!read_text(json, &t) || (t.change.signature_cnt == MOST && officer > MOST)) {
        (void)snprintf(ret_message, cap, "this is no change: `kanhe change KIND -o FILE` makes one");
        return KH_MISUSE;
    }
    if (officer < 1 || officer > MOST) {
        (void)snprintf(ret_message, cap, "officers are counted from 1 to %d", (int)MOST);
        return KH_MISUSE;
    }
    kh_result result = kh_secret_read(key_file, t.suite, &signer, ret_message, cap);
    if (result != KH_DONE) return result;
    size_t n = kh_change_statement(&t.change, statement, sizeof statement);
    bool signed_well = n != 0 && kh_sign(signer, statement, n, signature) == KH_OK;
    kh_signer_free(signer);
    if (signed_well) put_signature(&t.change, (uint16_t)(officer - 1), signature);
    char *text = signed_well ? write_text(&t) : NULL;
    if (text == NULL) {
        (void)snprintf(ret_message, cap, "the change could not be signed");
        return KH_FAILED;
    }
    *ret_json = text;
    return KH_DONE;
}

/* ---- submitting ---- */

static void pass_on(void *ctx, kh_result_row *row)
{
    const kh_result_sink *sink = ctx;
    sink->row(sink->ctx, row);
}

kh_result kh_client_change_submit(kh_client *c, const char *json, const kh_result_sink *sink)
{
    uint8_t tx[TEXT_MAX + 16 * (KH_SIGNATURE_SZ + 4)];
    size_t n = kh_change_text_encode(json, tx, sizeof tx);
    if (n == 0) return kh_client_say(c, KH_MISUSE, "this is no change that an officer has signed: `kanhe change sign` signs one");
    kh_answer_reader answer = {.row = pass_on, .ctx = (void *)(uintptr_t)sink};
    kh_transfer transfer = {.give = kh_answer_feed, .ctx = &answer};
    answer.transfer = &transfer;
    kh_result result =
        kh_transfer_begin(c, &transfer, "POST", "/v1/changes", "application/x-ndjson", "application/octet-stream", tx, n);
    while (result == KH_DONE && !transfer.ended) kh_transfers_step(c, 1.0);
    if (result == KH_DONE) result = kh_transfer_say(c, &transfer);
    if (result == KH_DONE)
        result = kh_answer_finish(&answer) ? kh_client_say(c, answer.status, "%s", answer.message)
                                           : kh_client_say(c, KH_FAILED, "%s does not answer as a hub does", c->url);
    kh_transfer_end(c, &transfer);
    kh_answer_free(&answer);
    return result;
}
