/* server: the life of the daemon: its socket, its threads, its connections. */
#include "http/inside.h"
#include "service/service.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define POLLERS_MAX 8u
#define CONNECTION_MEMORY (64u << 10)
#define STOP_WAIT_S 10u
#define FRAMES_SZ (KH_STORE_QUEUE_SZ / 2) /* operations under way; the store's queue has as much again for everybody else */

uint64_t kh_http_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- connections ---- */

bool kh_http_suspend(kh_http *h, struct MHD_Connection *mhd)
{
    /* pairs with kh_http_stop, which says closed first and waits for suspended then: one of the two sees the other */
    (void)atomic_fetch_add_explicit(&h->suspended, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&h->closed, memory_order_seq_cst)) {
        (void)atomic_fetch_sub_explicit(&h->suspended, 1, memory_order_release);
        return false;
    }
    MHD_suspend_connection(mhd);
    return true;
}

void kh_http_resume(kh_http *h, struct MHD_Connection *mhd)
{
    MHD_resume_connection(mhd);
    (void)atomic_fetch_sub_explicit(&h->suspended, 1, memory_order_release);
}

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t n)
{
    kh_http *h = ctx;
    (void)n;
    return kh_connections_accept(h->connections, address) ? MHD_YES : MHD_NO;
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    kh_http *h = ctx;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        gnutls_session_t session = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
        kh_tls_begin(atomic_load_explicit(&h->tls, memory_order_acquire), session);
        *socket_context = kh_connections_begin(h->connections, fd);
        if (*socket_context == NULL) (void)shutdown(fd, SHUT_RDWR);
        else kh_handshakes_begin(h->handshakes, *socket_context, mhd, session);
    } else if (*socket_context != NULL) {
        kh_connections_end(h->connections, *socket_context);
        *socket_context = NULL;
    }
}

/* libmicrohttpd speaks of each broken handshake: that is a stranger's doing and no news. */
static void on_library_log(void *ctx, const char *format, va_list list) { (void)ctx, (void)format, (void)list; }

/* ---- life ---- */

kh_err kh_http_listen(const char *text, char *why, size_t cap, int *ret_fd, uint16_t *ret_port)
{
    char host[128];
    const char *colon = strrchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : 0;
    if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof host) {
        (void)snprintf(why, cap, "%s: an address to listen on is ADDRESS:PORT", text);
        return KH_E_ARG;
    }
    memcpy(host, text, n);
    host[n] = '\0';
    struct addrinfo want = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, colon + 1, &want, &found) != 0) {
        (void)snprintf(why, cap, "%s: no address to listen on (numbers, not names)", text);
        return KH_E_ARG;
    }
    int one = 1, fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage bound;
    socklen_t bound_n = sizeof bound;
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
              (found->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 4096) == 0 &&
              getsockname(fd, (struct sockaddr *)&bound, &bound_n) == 0;
    freeaddrinfo(found);
    if (!ok) {
        (void)snprintf(why, cap, "%s: %s", text, strerror(errno));
        if (fd >= 0) (void)close(fd);
        return KH_E_IO;
    }
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    *ret_fd = fd;
    return KH_OK;
}

static kh_err load_openapi(kh_http *h, const char *path, char *why, size_t cap)
{
    if (path == NULL) return KH_OK;
    FILE *f = fopen(path, "rb");
    if (f == NULL || (h->openapi = malloc(1u << 20)) == NULL || (h->openapi_n = fread(h->openapi, 1, 1u << 20, f)) == 0) {
        (void)snprintf(why, cap, "%s: cannot be read", path);
        if (f != NULL) (void)fclose(f);
        return KH_E_IO;
    }
    (void)fclose(f);
    return KH_OK;
}

/* Sockets need numbers; the soft limit is often 1,024. Twice the connections, for those on their way out, where that may be had.
 */
static kh_err files_for(uint32_t connections, char *why, size_t cap)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)connections + 1024, want = (rlim_t)connections * 2 + 2048;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) return KH_OK;
    if (limit.rlim_max < need) {
        (void)snprintf(why, cap, "%u connections need %llu open files and the limit is %llu (ulimit -Hn, LimitNOFILE=)",
                       connections, (unsigned long long)need, (unsigned long long)limit.rlim_max);
        return KH_E_FULL;
    }
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? KH_OK : KH_E_IO;
}

static void defaults(kh_http_options *o)
{
    uint32_t cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (o->max_connections == 0) o->max_connections = 8192;
    if (o->max_connections_per_address == 0) o->max_connections_per_address = 16;
    if (o->idle_s == 0) o->idle_s = 120;
    if (o->workers == 0) o->workers = cpus * 4 > 8 ? cpus * 4 : 8; /* most of their time is waiting for a commit */
    if (o->max_body == 0) o->max_body = 8u << 20;
    if (o->queue == 0) o->queue = 1024;
}

static kh_err start_daemon(kh_http *h, char *why, size_t cap)
{
    uint32_t cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), pollers = cpus < 2 ? 2 : cpus > POLLERS_MAX ? POLLERS_MAX : cpus;
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, on_accept, h,
        kh_request_access, h, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)pollers, MHD_OPTION_CONNECTION_LIMIT, (h->o.max_connections + 512) * 2 * pollers,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_HTTPS_PRIORITIES, kh_tls_priorities(),
        MHD_OPTION_HTTPS_MEM_TRUST, kh_tls_ca(h->tls), MHD_OPTION_HTTPS_CERT_CALLBACK2, kh_tls_retrieve, MHD_OPTION_TLS_NO_ALPN,
        1, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, kh_request_uri, h, MHD_OPTION_NOTIFY_COMPLETED,
        kh_request_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
    if (h->daemon != NULL) return KH_OK;
    (void)snprintf(why, cap, "the HTTPS server does not start on %s", h->o.listen);
    return KH_E_IO;
}

static void free_all(kh_http *h)
{
    if (h->listen_fd >= 0) (void)close(h->listen_fd);
    kh_handshakes_free(h->handshakes);
    kh_connections_free(h->connections);
    kh_quota_free(h->quota);
    kh_quota_free(h->frames);
    kh_turns_free(h->turns);
    kh_pace_free(h->pace);
    kh_metrics_free(h->metrics);
    kh_tls_free(h->tls);
    free(h->openapi);
    free(h->datagram_address);
    free(h);
}

kh_err kh_http_start(const kh_http_options *options, char *why, size_t cap, kh_http **ret)
{
    kh_http *h = calloc(1, sizeof *h);
    if (h == NULL) return KH_E_NOMEM;
    (void)snprintf(why, cap, "out of memory");
    h->o = *options;
    h->listen_fd = -1;
    defaults(&h->o);
    kh_err err = KH_OK;
    if (options->datagram_address != NULL && (h->datagram_address = strdup(options->datagram_address)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) err = files_for(h->o.max_connections, why, cap);
    if (err == KH_OK) err = kh_http_renew(h, options->ca, options->crl, options->certificate, options->key, why, cap);
    if (err == KH_OK) err = load_openapi(h, options->openapi_path, why, cap);
    if (err == KH_OK)
        err = kh_connections_new(h->o.max_connections, h->o.max_connections_per_address, h->o.idle_s, &h->connections);
    if (err == KH_OK) err = kh_handshakes_new(h, &h->handshakes);
    if (err == KH_OK) err = kh_quota_new((uint64_t)h->o.max_body * 16, h->o.queue, &h->quota);
    if (err == KH_OK) err = kh_quota_new(kh_max64(FRAMES_SZ, (uint64_t)h->o.max_body * 4), h->o.queue, &h->frames);
    if (err == KH_OK) err = kh_turns_new(&h->turns);
    if (err == KH_OK) err = kh_pace_new(kh_http_release, &h->pace);
    if (err == KH_OK) err = kh_metrics_new(&h->metrics);
    if (err == KH_OK) err = kh_http_listen(options->listen, why, cap, &h->listen_fd, &h->port);
    if (err == KH_OK) err = kh_connections_sweep(h->connections);
    if (err == KH_OK) err = kh_workers_new(h->o.workers, h->o.queue, kh_request_run, &h->workers);
    if (err == KH_OK) err = start_daemon(h, why, cap);
    if (err == KH_OK && options->metrics_listen != NULL) err = kh_metrics_listen(h, options->metrics_listen, why, cap);
    if (err == KH_OK) {
        *ret = h;
        return KH_OK;
    }
    kh_workers_free(h->workers);
    if (h->daemon != NULL) {
        (void)MHD_quiesce_daemon(h->daemon); /* the socket stays ours to close */
        MHD_stop_daemon(h->daemon);
    }
    free_all(h);
    return err;
}

uint16_t kh_http_port(const kh_http *h) { return h->port; }
uint16_t kh_http_metrics_port(const kh_http *h) { return h->plain_port; }

void kh_http_stop(kh_http *h)
{
    if (h == NULL) return;
    atomic_store_explicit(&h->stopping, true, memory_order_relaxed);
    (void)MHD_quiesce_daemon(h->daemon);
    struct timespec tick = {.tv_nsec = 5000000};
    for (uint32_t i = 0; i < STOP_WAIT_S * 200 && atomic_load_explicit(&h->in_flight, memory_order_acquire) > 0; i++)
        (void)nanosleep(&tick, NULL);
    atomic_store_explicit(&h->closed, true, memory_order_seq_cst);
    kh_pace_flush(h->pace);
    kh_connections_end_unproven(h->connections);
    /* who does not fetch its answer is left; what a worker or the store still has comes back for certain */
    while (atomic_load_explicit(&h->suspended, memory_order_seq_cst) > 0) (void)nanosleep(&tick, NULL);
    kh_workers_free(h->workers);
    if (h->plain != NULL) MHD_stop_daemon(h->plain);
    MHD_stop_daemon(h->daemon);
    free_all(h);
}
