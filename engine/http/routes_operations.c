/* routes_operations: sessions for sealed datagrams, operations as wire frames, and bundles of them that their party signed.
 *
 * Operations take no worker: the polling thread submits them, the store's thread writes the receipts into the answer and lets the
 * connection go on. A polling thread never waits for room: the bytes under way are bounded, in all and for one party, and where
 * the store's queue is full of others' the request is refused. Where a party's own operations under way hold the tokens that a
 * request needs, it waits for its turn (turns.c): who sends more than is answered is slowed down, not read and refused. */
#include "doc/code.h"
#include "http/inside.h"
#include "service/limits.h"
#include "service/session.h"
#include "service/submit.h"
#include "wire/query.h"
#include <stdio.h>

#define RECEIPT_GUESS 192u /* bytes of an operation's whole answer */

void kh_route_session_open(kh_request *r)
{
    kh_http *h = r->http;
    kh_session_grant grant;
    char id[2 * KH_SESSION_ID_SZ + 1];
    gnutls_session_t session = MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
    if (h->datagram_address == NULL || h->o.forward != NULL) { /* a bank's node has no ledger to look documents up in */
        kh_answer_refuse(r, MHD_HTTP_NOT_FOUND, NULL, "this hub takes no datagrams");
        return;
    }
    uint64_t now = kh_http_now_ns();
    kh_err err = kh_session_open(h->o.service, &r->who, kh_tls_exporter, session, now, &grant);
    if (err == KH_OK) kh_session_certificate(h->o.service, grant.id, r->conn->certificate);
    if (err == KH_OK && kh_tls_revoked(atomic_load_explicit(&h->tls, memory_order_acquire), r->conn->certificate)) {
        kh_session_close(h->o.service, grant.id, r->who.party); /* meanwhile: who ends sessions may have passed this one by */
        err = KH_E_ARG;
    }
    if (err == KH_E_ARG) {
        kh_answer_refuse_code(r, MHD_HTTP_FORBIDDEN, KH_C_NOT_AUTHORISED, "this party may have no session");
        return;
    }
    if (err != KH_OK) {
        r->retry_after_s = 5;
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "no session can be had now; try again");
        return;
    }
    for (uint32_t i = 0; i < KH_SESSION_ID_SZ; i++) (void)snprintf(id + 2 * (size_t)i, 3, "%02x", grant.id[i]);
    kh_result_field fields[] = {
        {.name = "session", .type = KH_FIELD_TEXT, .text = id},
        {.name = "suite", .type = KH_FIELD_TEXT, .text = grant.suite},
        {.name = "lanes", .type = KH_FIELD_NUMBER, .number = grant.lanes},
        {.name = "max_queries", .type = KH_FIELD_NUMBER, .number = grant.max_queries},
        {.name = "expires_in",
         .type = KH_FIELD_NUMBER,
         .number = grant.expires_ns > now ? (grant.expires_ns - now) / KH_NS_PER_S : 0},
        {.name = "address", .type = KH_FIELD_TEXT, .text = h->datagram_address},
    };
    kh_result_sink sink = kh_answer_sink(r);
    sink.row(sink.ctx, &(kh_result_row){"session", fields, sizeof fields / sizeof fields[0]});
    kh_answer_end(r, KH_DONE, "", NULL);
}

void kh_route_session_close(kh_request *r)
{
    const char *text = kh_request_path(r, "session");
    uint8_t id[KH_SESSION_ID_SZ];
    bool sound = strlen(text) == 2 * KH_SESSION_ID_SZ && strspn(text, "0123456789abcdef") == 2 * KH_SESSION_ID_SZ;
    if (!sound) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "session", "session must be 16 hexadecimal digits");
        return;
    }
    for (uint32_t i = 0; i < KH_SESSION_ID_SZ; i++) {
        unsigned byte = 0;
        (void)sscanf(text + 2 * (size_t)i, "%2x", &byte);
        id[i] = (uint8_t)byte;
    }
    /* the same answer whether there was one: nobody learns of another's */
    kh_session_close(r->http->o.service, id, r->who.party);
    kh_answer_end(r, KH_DONE, "", NULL);
}

static void finish(kh_request *r)
{
    kh_quota_give_back(r->http->frames, r->who.party, r->body_n);
    kh_http_done(r);
}

static void refuse(kh_request *r, kh_code code)
{
    if (code == KH_C_FORMAT)
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "the body is not one or more whole frames of known operations");
    else if (code == KH_C_RATE_LIMITED) {
        r->retry_after_s = 1;
        kh_answer_refuse_code(
            r, MHD_HTTP_TOO_MANY_REQUESTS, code,
            "too many operations at once, or too many for papers that are not there or another's; send fewer, later");
    } else kh_answer_refuse_code(r, MHD_HTTP_FORBIDDEN, code, "an operation is of another party, or not this role's");
    finish(r);
}

static void busy(kh_request *r)
{
    kh_metrics_dropped(r->http->metrics, KH_RD_QUEUE);
    r->retry_after_s = 1;
    kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the hub is busy; try again");
}

static void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index);

/* The tokens are back before the next one tries. It tries on a worker: the store's thread has work of its own. Where no worker
 * takes it, nor is one taken of those that would wait for its answer. A request keeps the hub until it is finished. */
static void answered(kh_request *r)
{
    kh_http *h = r->http;
    uint32_t party = r->who.party;
    kh_submit_answered(h->o.service, &r->who, r->tokens, r->probes);
    kh_request *next = kh_turns_end(h->turns, party);
    finish(r);
    while (next != NULL && !kh_workers_add(h->workers, next)) {
        r = next;
        next = kh_turns_left(h->turns, party);
        busy(r);
        finish(r);
    }
}

/* What a datagram would say of it (wire/query.h): a quarter of the bytes, which TLS, TCP and the caller move. */
static void put_short(kh_answer_text *a, uint64_t height, const kh_receipt *receipt)
{
    kh_op_answer answer;
    if (!kh_answer_room(a, KH_OP_ANSWER_SZ)) return;
    kh_op_answer_of_receipt(receipt, height, &answer);
    kh_op_answer_encode(&answer, (uint8_t *)a->p + a->n);
    a->n += KH_OP_ANSWER_SZ;
}

static void put_whole(kh_answer_text *a, uint64_t height, const kh_receipt *receipt)
{
    size_t most = 12 + KH_RECEIPT_MAX_SZ - KH_LINES_MAX * 48u + (size_t)receipt->line_cnt * 48u;
    if (!kh_answer_room(a, most)) return;
    size_t n = kh_receipt_encode(receipt, (uint8_t *)a->p + a->n + 12);
    kh_store64(a->p + a->n, height);
    kh_store32(a->p + a->n + 8, (uint32_t)n);
    a->n += 12 + n;
}

/* on_reply runs on the store's thread. */
static void on_reply(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    kh_request *r = ctx;
    kh_answer_text *a = &r->out;
    (void)time_ns;
    if (op_index != UINT32_MAX) {
        r->probes += kh_limit_probes(receipt);
        if (r->short_answers) put_short(a, height, receipt);
        else put_whole(a, height, receipt);
        return;
    }
    if (height == 0) {
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the hub stopped before this was decided: send it again");
        r->retry_after_s = 1;
    } else if (a->no_memory || a->too_long) {
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "done, but there was no memory for the receipts: send it again");
    } else {
        r->status = MHD_HTTP_OK;
        r->content_type = "application/octet-stream";
    }
    answered(r);
}

typedef enum outcome { AT_STORE, WAITS, REFUSED } outcome; /* REFUSED: it is answered */

static outcome refused(kh_request *r, kh_err err, kh_code code)
{
    if (err == KH_OK || err == KH_E_BUSY) {
        refuse(r, code);
        return REFUSED;
    }
    if (err == KH_E_AGAIN) busy(r);
    else if (err == KH_E_ARG)
        kh_answer_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, NULL, "too many operations in one body: send it in parts");
    else {
        r->retry_after_s = 1;
        kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the hub takes no operations now");
    }
    finish(r);
    return REFUSED;
}

static outcome submit(kh_request *r)
{
    kh_http *h = r->http;
    uint32_t party = r->who.party;
    kh_code code;
    kh_err err = KH_E_BUSY;
    for (int tries = 0; tries < 2 && err == KH_E_BUSY; tries++) { /* what it waited for may have come in between */
        kh_turns_begin(h->turns, party);
        err = kh_submit_frames(h->o.service, &r->who, r->body, r->body_n, r->op_cnt, on_reply, r, &r->tokens, &code);
        if (err == KH_OK && code == KH_C_OK) return AT_STORE; /* the request is the store's now */
        kh_turns_cancel(h->turns, party);
        if (err == KH_E_BUSY && kh_turns_wait(h->turns, r)) return WAITS;
    }
    return refused(r, err, code);
}

static outcome first_try(kh_request *r)
{
    if (!kh_quota_take(r->http->frames, r->who.party, r->body_n)) {
        busy(r);
        kh_http_done(r);
        return REFUSED;
    }
    kh_code code = kh_submit_check(&r->who, r->body, r->body_n, &r->op_cnt);
    if (code != KH_C_OK) return refused(r, KH_OK, code);
    const char *brief = kh_query_text(r, "short");
    r->short_answers = brief != NULL && strcmp(brief, "true") == 0;
    (void)kh_answer_room(&r->out, (size_t)r->op_cnt * (r->short_answers ? KH_OP_ANSWER_SZ : RECEIPT_GUESS));
    return submit(r);
}

void kh_route_operations(kh_request *r)
{
    kh_turns *turns = r->http->turns;
    uint32_t party = r->who.party;
    bool first = !r->in_turn;
    outcome got = first ? first_try(r) : submit(r);
    if (first && got == AT_STORE) return;
    /* while there is room those behind it follow, and who is refused leaves nobody waiting for it */
    while (got != WAITS && (r = kh_turns_next(turns, party)) != NULL) got = submit(r);
}

/* A bundle takes no tokens of the probe limit: banks sign none. */
static void bundle(kh_request *r)
{
    kh_http *h = r->http;
    kh_code code = kh_submit_check_bundle(&r->who, r->body, r->body_n, &r->op_cnt);
    if (code != KH_C_OK) {
        (void)refused(r, KH_OK, code);
        return;
    }
    (void)kh_answer_room(&r->out, (size_t)r->op_cnt * RECEIPT_GUESS);
    kh_turns_begin(h->turns, r->who.party);
    kh_err err = kh_submit_bundle(h->o.service, &r->who, r->body, r->body_n, r->op_cnt, on_reply, r, &code);
    if (err == KH_OK && code == KH_C_OK) return; /* the request is the store's now */
    kh_turns_cancel(h->turns, r->who.party);
    if (err == KH_E_ARG) {
        kh_answer_refuse(r, MHD_HTTP_NOT_FOUND, NULL,
                         "signed bundles of 2 MiB at most are for a hub of a cluster: this is none, or the bundle is too long");
        finish(r);
    } else (void)refused(r, err, code);
}

void kh_route_bundles(kh_request *r)
{
    kh_turns *turns = r->http->turns;
    uint32_t party = r->who.party;
    if (!kh_quota_take(r->http->frames, party, r->body_n)) {
        busy(r);
        kh_http_done(r);
        return;
    }
    bundle(r);
    while ((r = kh_turns_left(turns, party)) != NULL && submit(r) != WAITS) {
    } /* who waited for the answer of one that is refused */
}
