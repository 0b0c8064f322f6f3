/* handshakes: connections whose handshake waits for more of the other side's bytes.
 *
 * libmicrohttpd (0.9.75, with epoll) tries a handshake that found nothing to read again at once, until more has come: a stranger
 * who sends three bytes has a core for as long as the connection may live, and at each handshake one spins while the client
 * computes. So GnuTLS reads by a function of ours: where it finds nothing, the connection leaves its polling thread, and a thread
 * of this file lets it go on when its socket can be read or was shut down (connections.c, at its deadline). */
#include "http/inside.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64

struct kh_handshakes {
    kh_http *http;
    int epoll, end_fd;
    pthread_t thread;
    bool running;
    _Atomic uint32_t waiting;
};

static void go_on(kh_handshakes *s, const kh_connection *conn)
{
    (void)atomic_fetch_sub_explicit(&s->waiting, 1, memory_order_relaxed);
    kh_http_resume(s->http, conn->mhd); /* the connection may be gone from here on */
}

static void *watch(void *ctx)
{
    kh_handshakes *s = ctx;
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            const kh_connection *conn = events[i].data.ptr;
            if (conn == NULL) return NULL;
            (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
            go_on(s, conn);
        }
    }
}

kh_err kh_handshakes_new(kh_http *h, kh_handshakes **ret)
{
    kh_handshakes *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    struct epoll_event end = {.events = EPOLLIN};
    s->http = h;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->end_fd = eventfd(0, EFD_CLOEXEC);
    bool ok = s->epoll >= 0 && s->end_fd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->end_fd, &end) == 0;
    s->running = ok && pthread_create(&s->thread, NULL, watch, s) == 0;
    if (!s->running) {
        kh_handshakes_free(s);
        return KH_E_NOMEM;
    }
    *ret = s;
    return KH_OK;
}

void kh_handshakes_free(kh_handshakes *s)
{
    if (s == NULL) return;
    if (s->running) {
        KH_ASSERT(eventfd_write(s->end_fd, 1) == 0);
        (void)pthread_join(s->thread, NULL);
    }
    if (s->epoll >= 0) (void)close(s->epoll);
    if (s->end_fd >= 0) (void)close(s->end_fd);
    free(s);
}

uint32_t kh_handshakes_waiting(const kh_handshakes *s) { return atomic_load_explicit(&s->waiting, memory_order_relaxed); }

static void wait_for_more(kh_handshakes *s, kh_connection *conn)
{
    struct epoll_event more = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = conn};
    if (!kh_http_suspend(s->http, conn->mhd)) return;
    (void)atomic_fetch_add_explicit(&s->waiting, 1, memory_order_relaxed);
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, conn->fd, &more) != 0) go_on(s, conn); /* no memory: it is asked again */
}

/* What GnuTLS reads by. [polling thread] */
static ssize_t pull(gnutls_transport_ptr_t transport, void *p, size_t n)
{
    kh_connection *conn = transport;
    ssize_t got = recv(conn->fd, p, n, MSG_DONTWAIT);
    if (got >= 0 || errno != EAGAIN) return got;
    if (!conn->shaken) wait_for_more(conn->handshakes, conn);
    errno = EAGAIN;
    return -1;
}

/* The other side's last message is here. */
static int finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *message)
{
    (void)type, (void)when, (void)message;
    if (incoming) ((kh_connection *)gnutls_transport_get_ptr(session))->shaken = true;
    return 0;
}

void kh_handshakes_begin(kh_handshakes *s, kh_connection *conn, struct MHD_Connection *mhd, gnutls_session_t session)
{
    conn->handshakes = s;
    conn->mhd = mhd;
    gnutls_transport_set_ptr2(session, conn, gnutls_transport_get_ptr(session));
    gnutls_transport_set_pull_function(session, pull);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, finished);
}
