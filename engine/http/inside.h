/* inside: what the files of this module share: the server, a connection, a request on its way. */
#ifndef KH_HTTP_INSIDE_H
#define KH_HTTP_INSIDE_H
#include "http/http.h"
#include "service/access.h"
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#define KH_HTTP_PARAMS 10
#define KH_HTTP_PATH_PARAMS 2
#define KH_HTTP_PATH_MAX 512
#define KH_HTTP_PAGE_MAX 10000u
#define KH_HTTP_ANSWER_MAX (64u << 20) /* bytes of one answer */
#define KH_HTTP_FIELDS_SZ (256u << 10) /* a JSON object of fields; as a tree it takes many times its bytes */
#define KH_HTTP_ROUTES_MAX 64

typedef struct kh_request kh_request;

/* ---- route.c: one place says what may be asked ---- */
typedef enum kh_param_type { KH_P_TEXT, KH_P_NUMBER, KH_P_BOOL, KH_P_TEXTS } kh_param_type;
typedef struct kh_param {
    const char *name;
    kh_param_type type;
    bool required;
} kh_param;
typedef enum kh_body_kind {
    KH_BODY_NONE,   /* GET, DELETE */
    KH_BODY_FIELDS, /* a JSON object of `fields`; may be left out where no field is required */
    KH_BODY_FILE,   /* a file's bytes */
    KH_BODY_FRAMES  /* wire frames of operations */
} kh_body_kind;
enum {                      /* what else is true of a route */
       KH_R_OPEN = 1,       /* answers without a certificate */
       KH_R_FROZEN = 2,     /* a frozen party may */
       KH_R_ONE = 4,        /* asks for one thing: where it is not there, 404 */
       KH_R_PAGED = 8,      /* `after` and `limit` */
       KH_R_REGULATOR = 16, /* for the regulator alone */
       KH_R_INLINE = 32,    /* answered by the polling thread: waits for nothing */
       KH_R_ASYNC = 64,     /* started by the polling thread, answered by the store */
       KH_R_TEXT = 128,     /* the answer is text, not rows */
       KH_R_CHANGES = 256,  /* an operation, not a question */
       KH_R_HUB = 512,      /* a hub alone knows: a bank's node asks one; `attested` */
       KH_R_FILED = 1024,   /* of those: runs here first; where that is NOT_CHECKED the hub is asked */
       KH_R_OLDER =
           2048 /* a bank's node answers; a hub, if one can be asked, where it knows none or not all: what began before genesis */
};
typedef struct kh_route {
    const char *method, *path; /* "/v1/parties/{party}/freeze" */
    void (*run)(kh_request *r);
    uint32_t flags;
    kh_body_kind body;
    kh_param params[KH_HTTP_PARAMS]; /* of the query */
    kh_param fields[KH_HTTP_PARAMS]; /* of the JSON body */
} kh_route;
extern const kh_route kh_routes[];
extern const uint32_t kh_route_cnt;
/* kh_route_find takes the path apart (percent-encoding undone in r->path). NULL: *ret_allow tells the methods of that path, ""
   where there is no such path; *ret_why, where not NULL, what is wrong with it. */
const kh_route *kh_route_find(kh_request *r, const char *method, char *path, char ret_allow[64], const char **ret_why);
/* kh_route_query reads the query string by the route's parameters; false after refusing the request. */
bool kh_route_query(kh_request *r, char *query);

/* ---- answer.c: what goes back ---- */
typedef struct kh_answer_text {
    char *p;
    size_t n, cap;
    bool too_long, no_memory;
} kh_answer_text;
bool kh_answer_room(kh_answer_text *a, size_t n); /* n more bytes may be put */
void kh_answer_put(kh_answer_text *a, const char *text, size_t n);
void kh_answer_printf(kh_answer_text *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* kh_answer_sink: rows into r's answer. */
kh_result_sink kh_answer_sink(kh_request *r);
/* kh_answer_end closes the answer of a call of the engine: result, message, next; decides the HTTP status. */
void kh_answer_end(kh_request *r, kh_result result, const char *message, const char *next);
/* kh_answer_refuse replaces whatever there is: the request itself is not taken. field: the parameter or field that is wrong, or
 * NULL. */
void kh_answer_refuse(kh_request *r, unsigned http_status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* kh_answer_refuse_code: the same, with the row {code name}: NOT_AUTHORISED, FROZEN, RATE_LIMITED. */
void kh_answer_refuse_code(kh_request *r, unsigned http_status, kh_code code, const char *message);
/* kh_answer_accept reads the Accept header: can this route answer so? Sets r->lines. */
bool kh_answer_accept(kh_request *r, const char *accept);
/* kh_answer_queue hands the answer to libmicrohttpd. [polling thread] */
enum MHD_Result kh_answer_queue(kh_request *r);

/* ---- forward.c: at a bank's node ---- */
/* kh_forwarded: has a hub (or a refusal) answered the request? false: this node answers itself. */
bool kh_forwarded(kh_request *r);
/* kh_forward_uri writes uri without its parameter `attested`. */
void kh_forward_uri(const char *uri, char *ret);

/* ---- library_errors.c: MHD_queue_response of the library itself ---- */
enum MHD_Result kh_library_queue(struct MHD_Connection *mhd, unsigned status, struct MHD_Response *response);

/* ---- body.c ---- */
/* kh_body_fields reads the JSON body by the route's fields; false after refusing the request. */
bool kh_body_fields(kh_request *r);
const char *kh_field(const kh_request *r, const char *name); /* TEXT; NULL where not said */
bool kh_field_number(const kh_request *r, const char *name, uint64_t *ret);
bool kh_field_bool(const kh_request *r, const char *name);
uint32_t kh_field_texts(const kh_request *r, const char *name, const char **ret, uint32_t cap); /* how many there are */
const char *kh_query_text(const kh_request *r, const char *name);
uint64_t kh_query_number(const kh_request *r, const char *name, uint64_t otherwise);
bool kh_number_parse(const char *text, size_t n, uint64_t *ret); /* digits alone */
/* kh_percent_decode in place; false where the encoding is broken, holds a NUL or is no UTF-8. plus: + is a blank. */
bool kh_percent_decode(char *text, bool plus);

/* ---- connections.c: bounds and deadlines of connections ---- */
typedef enum kh_trust { KH_TRUST_UNKNOWN, KH_TRUST_NONE, KH_TRUST_BAD, KH_TRUST_NAMELESS, KH_TRUST_PARTY } kh_trust;
typedef enum kh_phase { KH_PH_IDLE, KH_PH_BODY, KH_PH_WORK, KH_PH_ANSWER } kh_phase;
#define KH_CERTIFICATE_SZ 32u /* by which a certificate is known (crl.c) */
typedef struct kh_connection {
    struct kh_connection *prev, *next; /* of its list: idle and unproven, idle and proven, or none */
    uint64_t deadline_ns;              /* 0: none */
    int fd;
    uint32_t address; /* its entry */
    kh_phase phase;
    bool used, closing, proven;
    /* the polling thread's own */
    struct kh_handshakes *handshakes;
    struct MHD_Connection *mhd;
    bool shaken; /* the other side has done its part of the handshake */
    kh_trust trust;
    uint32_t party;
    kh_role role;
    int64_t expires_s; /* of the certificate */
    const char *why;   /* of KH_TRUST_BAD */
    uint64_t looked;   /* which of kh_tls the certificate was looked up in, whether it was revoked */
    uint8_t certificate[KH_CERTIFICATE_SZ];
} kh_connection;
typedef struct kh_connections kh_connections;
typedef enum kh_dropped {
    KH_DROP_FULL,
    KH_DROP_ADDRESS,
    KH_DROP_PARTY,
    KH_DROP_EVICTED,
    KH_DROP_DEADLINE,
    KH_DROP_REVOKED,
    KH_DROP_CNT
} kh_dropped;
kh_err kh_connections_new(uint32_t max, uint32_t per_address, uint32_t idle_s, kh_connections **ret);
void kh_connections_free(kh_connections *c);
kh_err kh_connections_sweep(kh_connections *c); /* starts the thread that holds connections to their deadlines */
/* kh_connections_accept: may it come in? Makes room if need be, and keeps the place for the same thread's next begin. */
bool kh_connections_accept(kh_connections *c, const struct sockaddr *address);
/* kh_connections_end_those closes those of parties that `ends` says, in whatever they do. */
void kh_connections_end_those(kh_connections *c, bool (*ends)(void *ctx, const kh_connection *conn), void *ctx);
kh_connection *kh_connections_begin(kh_connections *c, int fd);
void kh_connections_end(kh_connections *c, kh_connection *conn);
/* kh_connections_end_unproven closes those that no party has proven, as in the middle of a handshake. */
void kh_connections_end_unproven(kh_connections *c);
/* kh_connections_phase moves on; bytes: what is to be moved in this phase, for its deadline. */
void kh_connections_phase(kh_connections *c, kh_connection *conn, kh_phase phase, uint64_t bytes);
/* kh_connections_proven: a request on it came from conn->party. A party has a quarter of all connections (16 at least): beyond
   that its idle longest goes, or this one where none is idle. */
void kh_connections_proven(kh_connections *c, kh_connection *conn);
typedef struct kh_connection_counts {
    uint64_t accepted, unproven, proven, dropped[KH_DROP_CNT];
} kh_connection_counts;
/* kh_connections_limit takes from the address's bucket of limits.h. */
bool kh_connections_limit(struct kh_limits *limits, const struct sockaddr *address);
void kh_connections_count(kh_connections *c, kh_connection_counts *ret);

/* ---- handshakes.c ---- */
typedef struct kh_handshakes kh_handshakes;
kh_err kh_handshakes_new(kh_http *h, kh_handshakes **ret);
void kh_handshakes_free(kh_handshakes *s); /* none waits any more */
/* kh_handshakes_begin lets session's handshake leave the polling thread while there is nothing to read. [polling thread] */
void kh_handshakes_begin(kh_handshakes *s, kh_connection *conn, struct MHD_Connection *mhd, gnutls_session_t session);
uint32_t kh_handshakes_waiting(const kh_handshakes *s);

/* ---- quota.c: bytes and requests in memory, in all and for one party ---- */
typedef struct kh_quota kh_quota;
kh_err kh_quota_new(uint64_t bytes, uint32_t requests, kh_quota **ret);
void kh_quota_free(kh_quota *q);
bool kh_quota_take(kh_quota *q, uint32_t party, uint64_t bytes);
void kh_quota_grow(kh_quota *q, uint32_t party, uint64_t bytes); /* an answer: it is there, so it counts */
void kh_quota_give_back(kh_quota *q, uint32_t party, uint64_t bytes);

/* ---- turns.c: operations that wait for tokens that their party's own operations hold ---- */
typedef struct kh_turns kh_turns;
kh_err kh_turns_new(kh_turns **ret);
void kh_turns_free(kh_turns *t);
void kh_turns_begin(kh_turns *t, uint32_t party);  /* a request of it goes to the store */
void kh_turns_cancel(kh_turns *t, uint32_t party); /* it was not taken */
/* kh_turns_wait: false: nothing of the party is under way that could make room. Else the request waits, and kh_turns_end or
   kh_turns_next gives it to whoever makes it try again. */
bool kh_turns_wait(kh_turns *t, kh_request *r);
/* kh_turns_end: a request was answered; the one whose turn it is, or NULL. kh_turns_next: one more. kh_turns_left: one more,
   where nothing is under way any more whose answer would be its turn. */
kh_request *kh_turns_end(kh_turns *t, uint32_t party);
kh_request *kh_turns_next(kh_turns *t, uint32_t party);
kh_request *kh_turns_left(kh_turns *t, uint32_t party);

/* ---- pace.c: answers that say RATE_LIMITED ---- */
#define KH_HTTP_PACE_NS UINT64_C(10000000) /* between two of a party */
typedef struct kh_pace kh_pace;
/* kh_pace_new: done is called from a thread of its own when an answer may go. */
kh_err kh_pace_new(void (*done)(kh_request *r), kh_pace **ret);
bool kh_pace_add(kh_pace *p, kh_request *r); /* false: it was flushed: nothing waits any more */
void kh_pace_flush(kh_pace *p);              /* all go at once; then nothing waits any more */
void kh_pace_free(kh_pace *p);

/* ---- workers.c ---- */
typedef struct kh_workers kh_workers;
kh_err kh_workers_new(uint32_t threads, uint32_t queue, void (*run)(kh_request *r), kh_workers **ret);
bool kh_workers_add(kh_workers *w, kh_request *r); /* false: full, or this party has its share */
void kh_workers_free(kh_workers *w);               /* runs what waits, then ends */

/* ---- crl.c ---- */
typedef struct kh_crl kh_crl;
/* kh_crl_load: pem: one list or several; each is signed by one of ca (PEM). KH_E_ARG with *ret_wrong: what is wrong with it. */
kh_err kh_crl_load(const gnutls_datum_t *pem, const gnutls_datum_t *ca, const char **ret_wrong, kh_crl **ret);
void kh_crl_free(kh_crl *c);
bool kh_crl_name(const gnutls_datum_t *der, uint8_t ret[KH_CERTIFICATE_SZ]); /* of a certificate */
bool kh_crl_has(const kh_crl *c, const uint8_t name[KH_CERTIFICATE_SZ]);     /* NULL: none is revoked */
size_t kh_crl_count(const kh_crl *c);

/* ---- tls.c ---- */
typedef struct kh_tls kh_tls;
/* kh_tls_new: crl: NULL: none. */
kh_err kh_tls_new(const char *ca, const char *crl, const char *certificate, const char *key, char *why, size_t cap, kh_tls **ret);
bool kh_tls_revoked(const kh_tls *t, const uint8_t certificate[KH_CERTIFICATE_SZ]);
void kh_tls_free(kh_tls *t);
const char *kh_tls_ca(const kh_tls *t); /* PEM text */
const char *kh_tls_priorities(void);
int kh_tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **ret, unsigned *ret_n,
                    gnutls_ocsp_data_st **ret_ocsp, unsigned *ret_ocsp_n, gnutls_privkey_t *ret_key, unsigned *ret_flags);
void kh_tls_begin(kh_tls *t, gnutls_session_t session); /* a new connection's session, before its handshake */
/* kh_tls_identify looks at the certificate at the connection's first request; at every other one at its end date and, where t is
   another than before, whether it was revoked. t: the newest. */
void kh_tls_identify(kh_connection *conn, const kh_tls *t, gnutls_session_t session);
/* kh_tls_exporter is a kh_exporter (service/session.h); ctx: the session. */
kh_err kh_tls_exporter(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n);

/* ---- metrics.c ---- */
typedef struct kh_metrics kh_metrics;
kh_err kh_metrics_new(kh_metrics **ret);
void kh_metrics_free(kh_metrics *m);
typedef enum kh_request_dropped { KH_RD_QUEUE, KH_RD_MEMORY, KH_RD_STOPPING, KH_RD_CNT } kh_request_dropped;
void kh_metrics_request(kh_metrics *m, const kh_route *route, unsigned http_status, uint64_t us);
void kh_metrics_dropped(kh_metrics *m, kh_request_dropped why);
void kh_metrics_each(kh_metrics *m, kh_http_metric_each each, void *ctx);
/* kh_metrics_text writes everything that the hub counts in Prometheus' text form. */
void kh_metrics_text(kh_http *h, kh_answer_text *ret);
kh_err kh_metrics_listen(kh_http *h, const char *listen, char *why, size_t cap); /* the scraper's own port */

/* ---- the request ---- */
struct kh_request {
    kh_http *http;
    struct MHD_Connection *mhd;
    kh_connection *conn;
    const kh_route *route;
    struct kh_request *next; /* in the workers' queue */
    kh_principal who;
    uint64_t begun_ns;
    uint64_t goes_ns; /* pace.c: not before */
    char *uri;        /* as it came; taken apart in place */
    char *asked;      /* the same, whole; where questions are forwarded */
    char *path[KH_HTTP_PATH_PARAMS];
    char *query[KH_HTTP_PARAMS]; /* by the route's params */
    bool closes;                 /* the connection ends with the answer */
    uint8_t *body;
    size_t body_n, body_cap;
    json_t *json;
    kh_answer_text out;
    kh_engine *engine;       /* this request's own handle */
    uint64_t quota;          /* bytes taken */
    uint32_t op_cnt;         /* of operations as frames */
    uint32_t tokens, probes; /* of operations: tokens of the probe limit taken, and those that stay taken */
    /* of the rows so far */
    uint64_t row_cnt;
    uint32_t code_at; /* where the rows have their code */
    uint32_t first_code;
    bool first_is_code_alone, first_is_unattested; /* the latter of KH_R_OLDER's */
    bool begun, refused, dispatched, done, lines, queued;
    bool limited;       /* the answer says RATE_LIMITED */
    bool in_turn;       /* its operations were looked at, and wait or waited for tokens */
    bool short_answers; /* of operations as frames: answers as a datagram's */
    unsigned status;    /* HTTP */
    unsigned retry_after_s;
    const char *content_type;
    char allow[64];
};
/* request.c: libmicrohttpd's call-backs, and what a worker does. */
void *kh_request_uri(void *ctx, const char *uri, struct MHD_Connection *mhd);
/* kh_headers_fit refuses (false) what another reader on the way could take otherwise, and compressed bodies. */
bool kh_headers_fit(kh_request *r);
enum MHD_Result kh_request_access(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                                  const char *data, size_t *data_n, void **request);
void kh_request_completed(void *ctx, struct MHD_Connection *mhd, void **request, enum MHD_RequestTerminationCode code);
void kh_request_run(kh_request *r);
const char *kh_request_path(const kh_request *r, const char *name); /* a path parameter by its name */
kh_page kh_request_page(const kh_request *r);                       /* `after` and `limit` */

struct kh_http {
    kh_http_options o;
    struct MHD_Daemon *daemon, *plain; /* plain: the scraper's */
    _Atomic(kh_tls *) tls;             /* the newest; it keeps the older ones */
    kh_connections *connections;
    kh_handshakes *handshakes;
    kh_quota *quota;
    kh_quota *frames; /* operations that the store has not answered */
    kh_turns *turns;
    kh_pace *pace;
    kh_workers *workers;
    kh_metrics *metrics;
    char *openapi;
    size_t openapi_n;
    char *datagram_address;
    int listen_fd;
    uint16_t port, plain_port;
    _Atomic bool stopping;      /* no new requests */
    _Atomic bool closed;        /* nothing leaves its polling thread any more */
    _Atomic uint32_t in_flight; /* requests begun and not completed */
    _Atomic uint32_t suspended; /* of them, those that a worker or the store has; and handshakes that wait */
};
uint64_t kh_http_now_ns(void);
/* kh_http_suspend takes the connection out of its polling thread's hands until kh_http_resume; false: the hub is stopping. */
bool kh_http_suspend(kh_http *h, struct MHD_Connection *mhd);
void kh_http_resume(kh_http *h, struct MHD_Connection *mhd); /* any thread */
/* kh_http_done: the answer is complete; any thread. The request is not touched any more by the caller. */
void kh_http_done(kh_request *r);
void kh_http_release(kh_request *r); /* the end of kh_http_done, once the answer may go */
/* kh_http_listen makes the socket of "ADDRESS:PORT". */
kh_err kh_http_listen(const char *text, char *why, size_t cap, int *ret_fd, uint16_t *ret_port);

/* ---- routes_*.c ---- */
#define ROUTE(name) void kh_route_##name(kh_request *r)
ROUTE(health);
ROUTE(ready);
ROUTE(metrics);
ROUTE(openapi);
ROUTE(me);
ROUTE(party_add);
ROUTE(party_list);
ROUTE(party_find);
ROUTE(party_freeze);
ROUTE(party_unfreeze);
ROUTE(party_key);
ROUTE(rule_set);
ROUTE(rule_list);
ROUTE(rate_set);
ROUTE(rate_list);
ROUTE(stats);
ROUTE(audit);
ROUTE(snapshot);
ROUTE(import);
ROUTE(show);
ROUTE(verify);
ROUTE(balance);
ROUTE(history);
ROUTE(alerts);
ROUTE(finance_apply);
ROUTE(finance_apply_file);
ROUTE(finance_event);
ROUTE(finance_events_file);
ROUTE(finance_show);
ROUTE(finance_receipt);
ROUTE(finance_list);
ROUTE(grant_add);
ROUTE(grant_revoke);
ROUTE(grant_list);
ROUTE(grant_lookups);
ROUTE(credit);
ROUTE(risk_add);
ROUTE(risk_remove);
ROUTE(risk_ask);
ROUTE(risk_account);
ROUTE(session_open);
ROUTE(session_close);
ROUTE(operations);
ROUTE(bundles);
ROUTE(cluster);
ROUTE(changes);
#undef ROUTE
#endif
