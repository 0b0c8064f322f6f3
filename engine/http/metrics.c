/* metrics: what the hub counts of requests and connections, and Prometheus' text of it all. Nothing names a party or a document.
 */
#include "http/inside.h"
#include "service/service.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const uint32_t bounds_us[] = {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 10000000};
#define BUCKETS (sizeof bounds_us / sizeof bounds_us[0])
#define CLASSES 4 /* 2xx .. 5xx */
#define NO_ROUTE KH_HTTP_ROUTES_MAX

typedef struct line {
    _Atomic uint64_t classes[CLASSES], buckets[BUCKETS + 1], sum_us;
} line;
struct kh_metrics {
    line lines[KH_HTTP_ROUTES_MAX + 1];
    _Atomic uint64_t dropped[KH_RD_CNT];
};

kh_err kh_metrics_new(kh_metrics **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret != NULL ? KH_OK : KH_E_NOMEM;
}

void kh_metrics_free(kh_metrics *m) { free(m); }

static void add(_Atomic uint64_t *counter, uint64_t n) { atomic_fetch_add_explicit(counter, n, memory_order_relaxed); }
static uint64_t get(const _Atomic uint64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

void kh_metrics_request(kh_metrics *m, const kh_route *route, unsigned http_status, uint64_t us)
{
    line *l = &m->lines[route != NULL ? route - kh_routes : NO_ROUTE];
    uint32_t bucket = 0, class = http_status / 100;
    while (bucket < BUCKETS && us > bounds_us[bucket]) bucket++;
    if (class >= 2 && class < 2 + CLASSES) add(&l->classes[class - 2], 1);
    add(&l->buckets[bucket], 1);
    add(&l->sum_us, us);
}

void kh_metrics_dropped(kh_metrics *m, kh_request_dropped why) { add(&m->dropped[why], 1); }

static void each_route(kh_metrics *m, uint32_t i, kh_http_metric_each each, void *ctx)
{
    char labels[256], route[128] = "none";
    const line *l = &m->lines[i];
    if (i < kh_route_cnt) (void)snprintf(route, sizeof route, "%s %s", kh_routes[i].method, kh_routes[i].path);
    for (uint32_t k = 0; k < CLASSES; k++) {
        (void)snprintf(labels, sizeof labels, "route=\"%s\",class=\"%uxx\"", route, k + 2);
        if (get(&l->classes[k]) > 0)
            each(ctx, "kanhe_http_requests_total", "Requests answered, by route and class of status.", labels,
                 get(&l->classes[k]));
    }
}

static void each_duration(kh_metrics *m, uint32_t i, kh_http_metric_each each, void *ctx)
{
    static const char help[] = "Microseconds from a request's header to the end of its answer.";
    char labels[256], route[128] = "none";
    const line *l = &m->lines[i];
    uint64_t count = 0;
    if (i < kh_route_cnt) (void)snprintf(route, sizeof route, "%s %s", kh_routes[i].method, kh_routes[i].path);
    for (uint32_t k = 0; k <= BUCKETS; k++) count += get(&l->buckets[k]);
    if (count == 0) return;
    count = 0;
    for (uint32_t k = 0; k <= BUCKETS; k++) {
        count += get(&l->buckets[k]);
        if (k < BUCKETS) (void)snprintf(labels, sizeof labels, "route=\"%s\",le=\"%u\"", route, bounds_us[k]);
        else (void)snprintf(labels, sizeof labels, "route=\"%s\",le=\"+Inf\"", route);
        each(ctx, "kanhe_http_request_microseconds_bucket", help, labels, count);
    }
    (void)snprintf(labels, sizeof labels, "route=\"%s\"", route);
    each(ctx, "kanhe_http_request_microseconds_sum", help, labels, get(&l->sum_us));
    each(ctx, "kanhe_http_request_microseconds_count", help, labels, count);
}

void kh_metrics_each(kh_metrics *m, kh_http_metric_each each, void *ctx)
{
    static const char *const why[KH_RD_CNT] = {
        [KH_RD_QUEUE] = "why=\"queue\"", [KH_RD_MEMORY] = "why=\"memory\"", [KH_RD_STOPPING] = "why=\"stopping\""};
    for (uint32_t i = 0; i <= KH_HTTP_ROUTES_MAX; i++) each_route(m, i, each, ctx);
    for (uint32_t i = 0; i <= KH_HTTP_ROUTES_MAX; i++) each_duration(m, i, each, ctx);
    for (uint32_t i = 0; i < KH_RD_CNT; i++)
        each(ctx, "kanhe_http_requests_dropped_total", "Requests answered 503 because a bound was reached.", why[i],
             get(&m->dropped[i]));
}

void kh_http_metrics(kh_http *h, kh_http_metric_each each, void *ctx)
{
    static const char *const why[KH_DROP_CNT] = {
        [KH_DROP_FULL] = "why=\"full\"",         [KH_DROP_ADDRESS] = "why=\"address\"",
        [KH_DROP_PARTY] = "why=\"party\"",       [KH_DROP_EVICTED] = "why=\"idle_longest\"",
        [KH_DROP_DEADLINE] = "why=\"deadline\"", [KH_DROP_REVOKED] = "why=\"revoked\""};
    kh_connection_counts counts;
    kh_connections_count(h->connections, &counts);
    kh_metrics_each(h->metrics, each, ctx);
    each(ctx, "kanhe_http_connections_total", "Connections accepted.", "", counts.accepted);
    each(ctx, "kanhe_http_connections", "Connections that are open.", "state=\"proven\"", counts.proven);
    each(ctx, "kanhe_http_connections", "Connections that are open.", "state=\"unproven\"", counts.unproven);
    each(ctx, "kanhe_http_handshakes_waiting", "Connections whose handshake waits for the other side's bytes.", "",
         kh_handshakes_waiting(h->handshakes));
    for (uint32_t i = 0; i < KH_DROP_CNT; i++)
        each(ctx, "kanhe_http_connections_dropped_total", "Connections refused or closed because a bound was reached.", why[i],
             counts.dropped[i]);
}

typedef struct text_writer {
    kh_answer_text *out;
    char family[128];
} text_writer;

static bool ends(const char *text, const char *end, size_t *ret_n)
{
    size_t n = strlen(text), end_n = strlen(end);
    if (n <= end_n || strcmp(text + n - end_n, end) != 0) return false;
    *ret_n = n - end_n;
    return true;
}

static void write_one(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    text_writer *w = ctx;
    size_t n = strlen(name);
    const char *type = "gauge";
    if (ends(name, "_bucket", &n) || ends(name, "_sum", &n) || ends(name, "_count", &n)) type = "histogram";
    else if (ends(name, "_total", &n)) type = "counter", n = strlen(name);
    if (strlen(w->family) != n || strncmp(w->family, name, n) != 0) {
        (void)snprintf(w->family, sizeof w->family, "%.*s", (int)n, name);
        kh_answer_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", w->family, help, w->family, type);
    }
    kh_answer_printf(w->out, "%s%s%s%s %llu\n", name, labels[0] != '\0' ? "{" : "", labels, labels[0] != '\0' ? "}" : "",
                     (unsigned long long)value);
}

void kh_metrics_text(kh_http *h, kh_answer_text *ret)
{
    text_writer w = {.out = ret};
    kh_http_metrics(h, write_one, &w);
    if (h->o.metrics != NULL) h->o.metrics(h->o.metrics_ctx, write_one, &w);
    else kh_service_metrics(h->o.service, write_one, &w);
}

/* ---- the scraper's own port: plain HTTP, one path ---- */

static enum MHD_Result on_scrape(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                                 const char *data, size_t *data_n, void **seen)
{
    kh_http *h = ctx;
    kh_answer_text out = {0};
    (void)version, (void)data;
    if (*seen == NULL) {
        *seen = h;
        return MHD_YES;
    }
    *data_n = 0;
    bool right = strcmp(url, "/metrics") == 0 && strcmp(method, MHD_HTTP_METHOD_GET) == 0;
    if (right) kh_metrics_text(h, &out);
    struct MHD_Response *response = MHD_create_response_from_buffer(out.n, out.p, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result queued = kh_library_queue(mhd, right ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND, response);
    MHD_destroy_response(response);
    return queued;
}

kh_err kh_metrics_listen(kh_http *h, const char *listen, char *why, size_t cap)
{
    int fd;
    kh_err err = kh_http_listen(listen, why, cap, &fd, &h->plain_port);
    if (err != KH_OK) return err;
    h->plain =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_scrape, h, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, 16u, MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    if (h->plain != NULL) return KH_OK;
    (void)close(fd);
    (void)snprintf(why, cap, "the metrics do not start on %s", listen);
    return KH_E_IO;
}
