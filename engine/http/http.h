/* http: the HTTPS API of a hub (docs/openapi.yaml), on libmicrohttpd and GnuTLS.
 *
 * Mutual TLS 1.3. A certificate names a party and its role (CN=<party id>, OU=<role>, O=Kanhe) and is checked when the connection
 * asks its first question; that the party is still there, has that role and is not frozen is checked with every request. Without
 * a certificate only /health and /ready answer.
 *
 * Order    a connection's requests are answered one after the other; an answer about a change is sent when the change is durable.
 * Threads  its own: a few that poll connections, and `workers` that run requests. A worker gets a request when its whole body is
 * here and is free again when the answer is complete in memory: a slow client holds none. Operations (POST /v1/operations) hold
 * no worker: the store's answer sends them on. Bounds   connections, connections of one address that has proven nothing, requests
 * waiting, bytes of bodies and answers in memory, in all and for one party; full: 503 with Retry-After, or the connection idle
 * longest is closed. Every state of a connection (handshake, header, body, answer, idle) has a deadline, however busily its bytes
 * trickle. Errors   start: KH_E_* with a sentence in `why`. Later nothing fails but a request, and that is its answer. */
#ifndef KH_HTTP_HTTP_H
#define KH_HTTP_HTTP_H
#include "base/base.h"
#include <kanhe/kanhe.h>

struct kh_service;
struct kh_limits;
typedef struct kh_http kh_http;

/* kh_http_metric_each is called for each figure. name: without labels; labels: `a="b",c="d"` or "". Histograms come as their
   _bucket, _sum and _count series. */
typedef void (*kh_http_metric_each)(void *ctx, const char *name, const char *help, const char *labels, uint64_t value);

/* At a bank's node: a question that a hub answers. body, and the texts, are lent. */
typedef struct kh_http_question {
    uint32_t party;                                   /* who asks here */
    const char *method, *uri, *accept, *content_type; /* uri: as it came, but for `attested`; content_type NULL: no body */
    const uint8_t *body;
    size_t body_n;
    bool attested; /* equal answers of a quorum of hubs are wanted */
} kh_http_question;
typedef struct kh_http_answer { /* a hub's; body malloc'ed */
    unsigned status;
    uint32_t retry_after_s;
    char content_type[80];
    uint8_t *body;
    size_t body_n;
} kh_http_answer;

/* What a cluster's node tells, and takes, through the API; filled in by who wires it up. Any thread. */
typedef struct kh_http_cluster {
    void *self;
    uint8_t chain[32];
    const char *suite; /* "intl", "gm" */
    bool hubs_speak;   /* hubs speak for those that sign nothing */
    /* show gives the row "cluster". */
    kh_result (*show)(void *self, const kh_result_sink *sink);
    /* change offers what officers signed and waits until it is ordered: *ret_word its result ("OK"; literal), *ret_height the
       block's; 0: it was not offered, and why is the word. KH_E_AGAIN: not ordered for long; it may be yet. */
    KH_MUST kh_err (*change)(void *self, const uint8_t *tx, size_t n, const char **ret_word, uint64_t *ret_height);
    /* follows: why this node is no member of its cluster, and knows no party therefore; "": it is one. NULL: it always is. */
    void (*follows)(void *self, char *ret, size_t cap);
} kh_http_cluster;

typedef struct kh_http_options {
    kh_engine *engine; /* the operator's handle; requests take handles of their own from it */
    struct kh_service *service;
    struct kh_limits *limits;             /* may be NULL: no limits */
    const char *listen;                   /* "127.0.0.1:8443", "[::1]:8443"; port 0: any */
    const char *ca;                       /* PEM: who signs the parties' certificates */
    const char *crl;                      /* PEM: certificates that those took back; NULL: none */
    const char *certificate;              /* PEM, the chain */
    const char *key;                      /* PEM file, or a pkcs11: URI */
    const char *datagram_address;         /* told to clients by POST /v1/sessions; NULL: no sessions */
    const char *openapi_path;             /* served as GET /v1/openapi.yaml; NULL: 404 */
    uint32_t max_connections;             /* 0: 8192 */
    uint32_t max_connections_per_address; /* of an address with no proven connection; 0: 16 */
    uint32_t idle_s;                      /* a proven connection without a request; 0: 120 */
    uint32_t workers;                     /* 0: the processors, at least 2 */
    uint32_t max_body;                    /* bytes; 0: 8 MiB */
    uint32_t queue;                       /* requests that may wait for a worker; 0: 1024 */
    /* log: one event. detail is "key=value ..." and holds no business data: method, route, status, duration, party. Any thread.
     */
    void (*log)(void *ctx, const char *event, const char *detail);
    void *log_ctx;
    const char *metrics_listen; /* plain HTTP, GET /metrics alone, for a scraper on loopback; NULL: none */
    /* metrics: everybody else's figures, shown with our own; NULL: the service's alone. */
    void (*metrics)(void *ctx, kh_http_metric_each each, void *each_ctx);
    void *metrics_ctx;
    bool (*ready)(void *ctx); /* GET /ready; NULL: always */
    void *ready_ctx;
    /* forward: of a bank's node, NULL elsewhere: asks a hub what only a hub knows, on a worker's thread. KH_E_CLOSED: no hub
       answers: the engine then says NOT_CHECKED. KH_E_ARG: not this party's node. Where the question is attested: KH_E_AGAIN:
       fewer than a quorum answer; KH_E_DAMAGED: they answer differently. Such a node has no datagram sessions. */
    KH_MUST kh_err (*forward)(void *ctx, const kh_http_question *question, kh_http_answer *ret);
    void *forward_ctx;
    const kh_http_cluster *cluster; /* outlives the server; NULL: of no cluster */
} kh_http_options;

/* kh_http_start listens and returns; everything in options but engine, service, limits and the callbacks is copied. why: a
   sentence on failure, cap bytes. */
kh_err kh_http_start(const kh_http_options *options, char *why, size_t cap, kh_http **ret) KH_MUST;
uint16_t kh_http_port(const kh_http *http);
uint16_t kh_http_metrics_port(const kh_http *http); /* 0: none */
/* kh_http_renew takes a new certificate and key for connections that begin from now on; those there are go on. Whom we trust (ca)
   stays as it was at the start; what stands in crl is refused from now on: its connections are closed, its datagram sessions end.
   On failure nothing has changed. The starting thread. */
kh_err kh_http_renew(kh_http *http, const char *ca, const char *crl, const char *certificate, const char *key, char *why,
                     size_t cap) KH_MUST;
/* kh_http_end_party closes the party's connections and ends its datagram sessions: its keys are others now. Any thread. */
void kh_http_end_party(kh_http *http, uint32_t party);
/* kh_http_stop takes no more connections and requests, finishes those that were taken, and frees. Before the service and the
 * engine end. */
void kh_http_stop(kh_http *http);
void kh_http_metrics(kh_http *http, kh_http_metric_each each, void *ctx);
#endif
