/* request: the life of a request: asked, checked, body, run, answered. */
#include "http/inside.h"
#include "service/limits.h"
#include "service/service.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define STRANGER_DRAIN (64u << 10) /* of a refused body that is read before the answer goes, so that the answer arrives */
#define PARTY_DRAIN (32u << 20)

static const char *header(kh_request *r, const char *name) { return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name); }

/* known: who asks, and may they ask at all? */
static bool known(kh_request *r)
{
    kh_http *h = r->http;
    kh_connection *conn = r->conn;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    kh_tls_identify(conn, atomic_load_explicit(&h->tls, memory_order_acquire), info->tls_session); /* partner: kh_http_renew */
    if (conn->trust == KH_TRUST_PARTY && kh_service_principal(h->o.service, conn->party, conn->role, &r->who)) {
        if (!conn->proven) kh_connections_proven(h->connections, conn);
        return true;
    }
    if (conn->trust >= KH_TRUST_NAMELESS) {
        char why[400] = "", said[480] = "the certificate names no party of this hub, or another role";
        const kh_http_cluster *cluster = h->o.cluster;
        if (conn->trust == KH_TRUST_PARTY && cluster != NULL && cluster->follows != NULL)
            cluster->follows(cluster->self, why, sizeof why);
        bool follows = why[0] != '\0';
        if (follows) (void)snprintf(said, sizeof said, "this node follows, and knows no party: %s", why);
        r->retry_after_s = follows ? 1 : r->retry_after_s;
        kh_answer_refuse_code(r, follows ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_FORBIDDEN,
                              follows ? KH_C_NOT_READY : KH_C_NOT_AUTHORISED, said);
        return false;
    }
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (h->o.limits != NULL && !kh_connections_limit(h->o.limits, address->client_addr)) {
        r->retry_after_s = 1;
        kh_answer_refuse_code(r, MHD_HTTP_TOO_MANY_REQUESTS, KH_C_RATE_LIMITED, "too many requests from this address");
        return false;
    }
    if (r->route != NULL && (r->route->flags & KH_R_OPEN) != 0) return true;
    kh_answer_refuse(r, MHD_HTTP_UNAUTHORIZED, NULL, "%s",
                     conn->trust == KH_TRUST_BAD ? conn->why : "a client certificate is needed");
    return false;
}

static bool content_type_fits(kh_request *r)
{
    static const char *const files[] = {"text/csv",
                                        "text/plain",
                                        "application/json",
                                        "application/x-ndjson",
                                        "application/jsonl",
                                        "application/xml",
                                        "text/xml",
                                        "application/edifact",
                                        "application/csv",
                                        "application/x-jsonlines",
                                        "application/octet-stream"};
    const char *type = header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t n = type != NULL ? strcspn(type, "; \t") : 0;
    if (r->route->body == KH_BODY_FIELDS) {
        if (r->body_cap == 0 || (n == 16 && strncasecmp(type, "application/json", n) == 0)) return true;
        kh_answer_refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Type", "the body must be application/json");
        return false;
    }
    if (r->route->body == KH_BODY_FRAMES) {
        if (n == 24 && strncasecmp(type, "application/octet-stream", n) == 0) return true;
        kh_answer_refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Type", "the body must be application/octet-stream");
        return false;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (n == strlen(files[i]) && strncasecmp(type, files[i], n) == 0) return true;
    kh_answer_refuse(
        r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Type",
        "the body's type must be said: text/csv, application/json, application/x-ndjson, application/xml, text/plain or "
        "application/octet-stream");
    return false;
}

/* length_fits reads Content-Length into body_cap. */
static bool length_fits(kh_request *r)
{
    const char *length = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n = 0;
    if (header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL) {
        kh_answer_refuse(r, MHD_HTTP_LENGTH_REQUIRED, "Content-Length", "the body's length must be said; chunks are not taken");
        return false;
    }
    if (length != NULL && !kh_number_parse(length, strlen(length), &n)) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, "Content-Length", "Content-Length must be a whole number");
        return false;
    }
    r->body_cap = n;
    if (length == NULL && (r->route->body == KH_BODY_FILE || r->route->body == KH_BODY_FRAMES)) {
        kh_answer_refuse(r, MHD_HTTP_LENGTH_REQUIRED, "Content-Length", "the body's length must be said");
        return false;
    }
    uint32_t most = r->http->o.max_body;
    if (r->route->body == KH_BODY_FIELDS && most > KH_HTTP_FIELDS_SZ) most = KH_HTTP_FIELDS_SZ;
    if (n > most) {
        kh_answer_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, NULL, "the body passes %u bytes: send it in parts", most);
        return false;
    }
    if (n > 0 && r->route->body == KH_BODY_NONE) {
        kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "%s %s takes no body", r->route->method, r->route->path);
        return false;
    }
    return true;
}

static bool busy(kh_request *r, kh_request_dropped why, const char *message)
{
    kh_metrics_dropped(r->http->metrics, why);
    r->retry_after_s = 1;
    kh_answer_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "%s", message);
    return false;
}

/* admitted: rights, rates and room that are known before the body is. */
static bool admitted(kh_request *r)
{
    kh_http *h = r->http;
    if (r->route->flags & KH_R_OPEN) return true;
    if ((r->route->flags & KH_R_REGULATOR) != 0 && r->who.role != KH_ROLE_REGULATOR) {
        kh_answer_refuse_code(r, MHD_HTTP_FORBIDDEN, KH_C_NOT_AUTHORISED, "the regulator alone may ask this");
        return false;
    }
    if (r->who.frozen && (r->route->flags & KH_R_FROZEN) == 0) {
        kh_answer_refuse_code(r, MHD_HTTP_FORBIDDEN, KH_C_FROZEN, "this party is frozen");
        return false;
    }
    if (atomic_load_explicit(&h->stopping, memory_order_relaxed)) return busy(r, KH_RD_STOPPING, "the hub is stopping");
    if (!kh_quota_take(h->quota, r->who.party, r->body_cap)) return busy(r, KH_RD_MEMORY, "the hub is busy; try again");
    r->quota = r->body_cap + 1;
    if (r->body_cap > 0 && (r->body = malloc(r->body_cap)) == NULL) return busy(r, KH_RD_MEMORY, "the hub is busy; try again");
    return true;
}

static bool check(kh_request *r, const char *method)
{
    const char *why;
    char *query = strchr(r->uri, '?'), allow[64];
    if (query != NULL) *query++ = '\0';
    r->route = kh_route_find(r, method, r->uri, allow, &why);
    if (!known(r) || !kh_headers_fit(r)) return false;
    if (why != NULL) kh_answer_refuse(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why);
    else if (r->route == NULL && allow[0] == '\0') kh_answer_refuse(r, MHD_HTTP_NOT_FOUND, NULL, "there is no such path");
    else if (r->route == NULL) {
        memcpy(r->allow, allow, sizeof allow);
        kh_answer_refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "this path takes %s alone", allow);
    } else if (!kh_answer_accept(r, header(r, MHD_HTTP_HEADER_ACCEPT))) {
        kh_answer_refuse(r, MHD_HTTP_NOT_ACCEPTABLE, "Accept", "answers are application/json or application/x-ndjson%s",
                         r->route->body == KH_BODY_FRAMES     ? "; here application/octet-stream"
                         : (r->route->flags & KH_R_TEXT) != 0 ? "; here text/plain"
                                                              : "");
    } else {
        return kh_route_query(r, query) && length_fits(r) && (r->route->body == KH_BODY_NONE || content_type_fits(r)) &&
               admitted(r);
    }
    return false;
}

static void log_request(const kh_request *r, uint64_t us)
{
    char detail[256];
    if (r->http->o.log == NULL) return;
    (void)snprintf(detail, sizeof detail, "method=%s route=%s status=%u us=%llu party=%u",
                   r->route != NULL ? r->route->method : "-", r->route != NULL ? r->route->path : "-", r->status,
                   (unsigned long long)us, r->who.party);
    r->http->o.log(r->http->o.log_ctx, "request", detail);
}

/* run answers a request on a worker (or, for what waits for nothing, at once). */
static void run(kh_request *r)
{
    if (r->route->body != KH_BODY_FIELDS || kh_body_fields(r)) {
        kh_result result = KH_DONE;
        if ((r->route->flags & (KH_R_OPEN | KH_R_ASYNC)) == 0) result = kh_engine_as(r->http->o.engine, r->who.party, &r->engine);
        bool files = (r->route->flags & KH_R_FILED) != 0 && r->http->o.forward != NULL;
        bool older = (r->route->flags & KH_R_OLDER) != 0 && r->http->o.forward != NULL;
        if (result == KH_DONE) {
            if (files || older || !kh_forwarded(r)) r->route->run(r);
            if ((files && r->first_code == KH_C_NOT_CHECKED) ||
                (older && (r->first_code == KH_C_NOT_FOUND || r->first_is_unattested)))
                (void)kh_forwarded(r);
        } else kh_answer_end(r, KH_FAILED, "no handle on the engine", NULL);
    }
    if (r->engine != NULL) kh_engine_close(r->engine);
    r->engine = NULL;
}

void kh_request_run(kh_request *r)
{
    bool goes_on = (r->route->flags & KH_R_ASYNC) != 0; /* whose turn came: it is answered when the store has */
    run(r);
    if (!goes_on) kh_http_done(r);
}

void kh_http_done(kh_request *r)
{
    kh_http *h = r->http;
    /* the body has done its work; the answer may be long in going out */
    free(r->body);
    r->body = NULL;
    json_decref(r->json);
    r->json = NULL;
    if (r->quota > 0) {
        kh_quota_grow(h->quota, r->who.party, r->out.cap);
        r->quota += r->out.cap;
    }
    if (!r->limited || !kh_pace_add(h->pace, r)) kh_http_release(r);
}

void kh_http_release(kh_request *r)
{
    r->done = true;
    kh_http_resume(r->http, r->mhd); /* the request may be gone from here on */
}

static enum MHD_Result answer(kh_request *r)
{
    kh_connections_phase(r->http->connections, r->conn, KH_PH_ANSWER, r->out.n);
    return kh_answer_queue(r);
}

/* within_rate: a request passes while its party has any token left, and takes as many as its file has lines. Operations as frames
   are counted where they are submitted. */
static bool within_rate(kh_request *r)
{
    kh_limits *limits = r->http->o.limits;
    uint32_t n = 1;
    if ((r->route->flags & (KH_R_OPEN | KH_R_ASYNC)) != 0 || !kh_limit_applies(limits, &r->who)) return true;
    if (r->route->body == KH_BODY_FILE)
        for (const uint8_t *at = r->body, *end = at + r->body_n; at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL;
             at++)
            n++;
    kh_limit what = (r->route->flags & KH_R_CHANGES) != 0 ? KH_LIMIT_OPERATION : KH_LIMIT_QUERY;
    if (kh_limits_take(limits, what, r->who.party, n, kh_http_now_ns()) > 0) return true;
    r->retry_after_s = 1;
    kh_answer_refuse_code(r, MHD_HTTP_TOO_MANY_REQUESTS, KH_C_RATE_LIMITED, "this party's rate is used up; try again later");
    return false;
}

/* dispatch starts the work once the body is here. */
static enum MHD_Result dispatch(kh_request *r)
{
    kh_http *h = r->http;
    r->dispatched = true;
    if (r->body_n < r->body_cap) return MHD_NO; /* libmicrohttpd gives all of Content-Length, or ends the connection */
    if (!within_rate(r)) {
        if (!kh_http_suspend(h, r->mhd)) return answer(r);
        kh_http_done(r);
        return MHD_YES;
    }
    kh_connections_phase(h->connections, r->conn, KH_PH_WORK, 0);
    if (r->route->flags & KH_R_INLINE) {
        run(r);
        r->done = true;
        return kh_answer_queue(r);
    }
    if (!kh_http_suspend(h, r->mhd)) {
        (void)busy(r, KH_RD_STOPPING, "the hub is stopping");
        return answer(r);
    }
    if (r->route->flags & KH_R_ASYNC) {
        r->route->run(r);
        return MHD_YES;
    }
    if (!kh_workers_add(h->workers, r)) {
        (void)busy(r, KH_RD_QUEUE, "the hub is busy; try again");
        kh_http_done(r);
    }
    return MHD_YES;
}

static enum MHD_Result begin(kh_request *r, struct MHD_Connection *mhd, const char *method)
{
    kh_http *h = r->http;
    r->begun = true;
    r->mhd = mhd;
    r->begun_ns = kh_http_now_ns();
    r->conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (r->conn == NULL) return MHD_NO;
    (void)atomic_fetch_add_explicit(&h->in_flight, 1, memory_order_relaxed);
    if (!check(r, method)) {
        uint64_t drain = r->conn->proven ? PARTY_DRAIN : STRANGER_DRAIN, length = 0;
        const char *text = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
        bool waits = header(r, MHD_HTTP_HEADER_EXPECT) != NULL || header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
        if (text != NULL && !kh_number_parse(text, strlen(text), &length)) waits = true;
        if (waits || r->closes || length > drain) return answer(r);
        r->body_cap = length;
    }
    kh_connections_phase(h->connections, r->conn, KH_PH_BODY, r->body_cap);
    return MHD_YES;
}

enum MHD_Result kh_request_access(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                                  const char *data, size_t *data_n, void **request)
{
    kh_request *r = *request;
    (void)ctx, (void)url, (void)version;
    if (r == NULL) return MHD_NO;
    if (!r->begun) return begin(r, mhd, method);
    if (*data_n > 0) {
        size_t n = *data_n;
        if (r->body != NULL) {
            if (n > r->body_cap - r->body_n) return MHD_NO;
            memcpy(r->body + r->body_n, data, n);
            r->body_n += n;
        }
        *data_n = 0;
        return MHD_YES;
    }
    if (r->queued) return MHD_YES;
    if (r->refused || r->done) return answer(r);
    return r->dispatched ? MHD_YES : dispatch(r);
}

/* on_uri begins a request: what stood behind the method, as it came. */
void *kh_request_uri(void *ctx, const char *uri, struct MHD_Connection *mhd)
{
    kh_request *r = calloc(1, sizeof *r);
    (void)mhd;
    if (r == NULL) return NULL;
    r->http = ctx;
    r->uri = strdup(uri);
    if (r->http->o.forward != NULL) r->asked = strdup(uri);
    if (r->uri == NULL || (r->http->o.forward != NULL && r->asked == NULL)) {
        free(r->uri);
        free(r->asked);
        free(r);
        return NULL;
    }
    return r;
}

void kh_request_completed(void *ctx, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode code)
{
    kh_http *h = ctx;
    kh_request *r = *request;
    (void)mhd, (void)code;
    if (r == NULL) return;
    *request = NULL;
    if (r->begun && r->conn != NULL) {
        uint64_t us = (kh_http_now_ns() - r->begun_ns) / 1000;
        if (r->status != 0) {
            kh_metrics_request(h->metrics, r->route, r->status, us);
            log_request(r, us);
        }
        kh_connections_phase(h->connections, r->conn, KH_PH_IDLE, 0);
        (void)atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_release);
    }
    if (r->quota > 0) kh_quota_give_back(h->quota, r->who.party, r->quota - 1);
    json_decref(r->json);
    free(r->body);
    free(r->out.p);
    free(r->uri);
    free(r->asked);
    free(r);
}
