/* loop: the link's thread: edge-triggered epoll, a list of connections that can go on, and a time when to look at the clock's. */
#include "link/inside.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 128, ACCEPTS_MAX = 64 };

uint64_t kh_link_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

void kh_link_due(kh_link *link, uint64_t at) { link->next_due = kh_min64(link->next_due, at); }

void kh_link_runnable(kh_connection *c)
{
    if (c->runnable) return;
    c->runnable = true;
    TAILQ_INSERT_TAIL(&c->link->run, c, run);
}

/* ---- peers go up and down ---- */

static void set_up(kh_peer *peer, bool up, kh_link *link)
{
    (void)pthread_mutex_lock(&peer->lock);
    bool was = peer->up;
    peer->up = up;
    if (!up) kh_link_add(&link->counts.dropped_down, kh_link_queue_clear(&peer->queue));
    (void)pthread_mutex_unlock(&peer->lock);
    uint32_t id = atomic_load_explicit(&peer->id, memory_order_relaxed);
    if (was != up && link->options.connected != NULL) link->options.connected(link->options.ctx, id, up);
}

void kh_link_close(kh_connection *c)
{
    kh_link *link = c->link;
    kh_peer *peer = c->peer;
    if (c->runnable) TAILQ_REMOVE(&link->run, c, run);
    TAILQ_REMOVE(&link->all, c, all);
    if (!c->dialled && c->state < KH_PROVEN) link->unproven--;
    if (c->state == KH_SHAKING || c->state == KH_PROVEN) kh_link_add(&link->counts.handshakes_failed, 1);
    if (peer != NULL && peer->in == c) peer->in = NULL;
    if (peer != NULL && peer->out == c) {
        peer->out = NULL;
        peer->backoff_ns = c->state == KH_UP ? KH_LINK_REDIAL_MIN_NS : kh_min64(2 * peer->backoff_ns, KH_LINK_REDIAL_MAX_NS);
        peer->redial_at = link->now + peer->backoff_ns;
        kh_link_due(link, peer->redial_at);
        set_up(peer, false, link);
    }
    kh_connection_free(c);
}

static kh_peer *peer_of(kh_link *link, uint32_t id)
{
    for (uint32_t i = 0; i < KH_LINK_PEERS_MAX; i++) {
        kh_peer *peer = &link->peers[i];
        if (id == 0 || atomic_load_explicit(&peer->id, memory_order_acquire) != id) continue;
        (void)pthread_mutex_lock(&peer->lock);
        bool gone = peer->gone;
        (void)pthread_mutex_unlock(&peer->lock);
        return gone ? NULL : peer;
    }
    return NULL;
}

static bool is_revoked(const kh_connection *c) { return kh_link_crl_has(c->link->crl, SSL_get0_peer_certificate(c->ssl)); }

bool kh_link_admit(kh_connection *c)
{
    uint32_t id = kh_link_tls_member(c->ssl);
    if (is_revoked(c)) return false;
    if (c->dialled) {
        if (id != atomic_load_explicit(&c->peer->id, memory_order_relaxed)) return false;
        c->state = KH_PROVEN; /* the deadline stays: it must say that it has taken us in */
        return true;
    }
    kh_peer *peer = peer_of(c->link, id);
    if (peer == NULL) return false;
    if (peer->in != NULL) kh_link_close(peer->in); /* the peer has begun anew; the old one is dead, whatever TCP thinks */
    peer->in = c;
    c->peer = peer;
    c->state = KH_UP;
    c->link->unproven--;
    c->deadline = c->link->now + 2 * KH_LINK_PATIENCE_NS;
    kh_link_due(c->link, c->deadline);
    return true;
}

void kh_link_welcome(kh_connection *c)
{
    c->state = KH_UP;
    c->deadline = UINT64_MAX;
    set_up(c->peer, true, c->link);
}

/* ---- connections begin ---- */

static void adopt(kh_link *link, kh_connection *c)
{
    int on = 1, patience_ms = (int)(KH_LINK_PATIENCE_NS / KH_LINK_MS), ahead = 1 << 20;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &ahead, sizeof ahead); /* an answer is never long behind */
    c->deadline = link->now + KH_LINK_HANDSHAKE_NS;
    kh_link_due(link, c->deadline);
    TAILQ_INSERT_TAIL(&link->all, c, all);
    if (!c->dialled) link->unproven++;
    if (epoll_ctl(link->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) kh_link_close(c);
}

static bool is_wildcard(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) return ((const struct sockaddr_in *)a)->sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* We call from the address that we listen at, so that peers on one machine are told apart. */
static void bind_source(const kh_link *link, int fd, sa_family_t family)
{
    struct sockaddr_storage from = link->listen;
    int on = 1;
    if (from.ss_family != family || is_wildcard(&from)) return;
    if (family == AF_INET) ((struct sockaddr_in *)&from)->sin_port = 0;
    else ((struct sockaddr_in6 *)&from)->sin6_port = 0;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    (void)bind(fd, (struct sockaddr *)&from, link->listen_n); /* where it cannot be, the kernel chooses */
}

static void dial(kh_link *link, kh_peer *peer)
{
    struct sockaddr_storage to;
    (void)pthread_mutex_lock(&peer->lock);
    socklen_t n = peer->address_n;
    to = peer->address;
    (void)pthread_mutex_unlock(&peer->lock);
    peer->backoff_ns = kh_max64(peer->backoff_ns, KH_LINK_REDIAL_MIN_NS / 2);
    peer->redial_at = link->now + peer->backoff_ns;
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    kh_connection *c = fd >= 0 ? kh_connection_new(link, fd, true) : NULL;
    if (c == NULL) {
        if (fd >= 0) (void)close(fd);
        kh_link_due(link, peer->redial_at);
        return;
    }
    bind_source(link, fd, to.ss_family);
    c->peer = peer;
    peer->out = c;
    bool begun = connect(fd, (struct sockaddr *)&to, n) == 0 || errno == EINPROGRESS;
    adopt(link, c);
    if (!begun && peer->out != NULL) kh_link_close(peer->out);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
}

static bool may_enter(const kh_link *link, const struct sockaddr_storage *from)
{
    const kh_connection *c;
    uint32_t same = 0;
    if (link->unproven >= KH_LINK_UNPROVEN_MAX) return false;
    TAILQ_FOREACH(c, &link->all, all) same += !c->dialled && c->state < KH_PROVEN && same_host(&c->from, from);
    return same < KH_LINK_UNPROVEN_ADDRESS_MAX;
}

static void take_in(kh_link *link)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage from;
        socklen_t n = sizeof from;
        int fd = accept4(link->listener, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0) {
            link->accepting = errno != EAGAIN && errno != EWOULDBLOCK; /* no descriptor, no memory: again, later */
            link->accept_at = link->now + KH_LINK_REDIAL_MIN_NS;
            if (link->accepting) kh_link_due(link, link->accept_at);
            return;
        }
        kh_connection *c = may_enter(link, &from) ? kh_connection_new(link, fd, false) : NULL;
        if (c == NULL || !kh_link_tls_start(c)) {
            kh_link_add(&link->counts.refused, 1);
            if (c != NULL) kh_connection_free(c);
            else (void)close(fd);
            continue;
        }
        c->from = from;
        adopt(link, c);
    }
}

/* ---- what others want, and what time brings ---- */

/* A peer that was added, moved or removed. What was seen first is what is done: removed or back since, it is dirty again. */
static void change(kh_link *link, kh_peer *peer)
{
    (void)pthread_mutex_lock(&peer->lock);
    bool changed = peer->changed;
    peer->changed = false;
    bool gone = peer->gone;
    (void)pthread_mutex_unlock(&peer->lock);
    if (!changed) return;
    if (peer->out != NULL) kh_link_close(peer->out);
    if (gone && peer->in != NULL) kh_link_close(peer->in);
    peer->backoff_ns = 0;
    peer->redial_at = gone ? UINT64_MAX : link->now;
    kh_link_due(link, peer->redial_at);
    (void)pthread_mutex_lock(&link->lock);
    (void)pthread_mutex_lock(&peer->lock);
    if (gone && peer->gone) { /* nothing of it is connected */
        (void)kh_link_queue_clear(&peer->queue);
        peer->gone = peer->changed = false;
        atomic_store_explicit(&peer->id, 0, memory_order_release);
    }
    (void)pthread_mutex_unlock(&peer->lock);
    (void)pthread_mutex_unlock(&link->lock);
}

static void look_at_dirty(kh_link *link)
{
    uint64_t dirty = atomic_exchange_explicit(&link->dirty, 0, memory_order_acquire); /* of kh_link_wake's release */
    for (; dirty != 0; dirty &= dirty - 1) {
        kh_peer *peer = &link->peers[__builtin_ctzll(dirty)];
        change(link, peer);
        if (peer->out != NULL) kh_link_runnable(peer->out);
    }
}

/* Another list of what was taken back: open connections of those end. */
static void look_at_crl(kh_link *link)
{
    kh_connection *c, *next;
    if (atomic_load_explicit(&link->crl_next, memory_order_relaxed) == NULL) return;
    kh_link_crl_free(link->crl);
    link->crl = atomic_exchange_explicit(&link->crl_next, NULL, memory_order_acquire); /* of kh_link_renew's release */
    for (c = TAILQ_FIRST(&link->all); c != NULL; c = next) {
        next = TAILQ_NEXT(c, all);
        if (c->state >= KH_PROVEN && is_revoked(c)) kh_link_close(c);
    }
}

/* Asks, by a frame in the stream, whether the peer still answers. */
static void ask_alive(kh_link *link, kh_connection *c)
{
    kh_peer *peer = c->peer;
    (void)pthread_mutex_lock(&peer->lock);
    bool asked = kh_link_queue_put(&peer->queue, KH_LINK_TYPE_ALIVE, NULL, 0) == KH_OK;
    c->asked_left = peer->queue.bytes;
    (void)pthread_mutex_unlock(&peer->lock);
    c->alive_at = asked ? UINT64_MAX : link->now + KH_LINK_ALIVE_NS;
    c->last_written = link->now;
    kh_link_runnable(c);
}

/* Does a dialled connection still live? Silence counts from when the kernel last took a byte of ours: a long queue is no death.
 */
static uint64_t alive_until(const kh_connection *c)
{
    return c->state == KH_UP && c->dialled && c->alive_at == UINT64_MAX ? c->last_written + KH_LINK_PATIENCE_NS : c->deadline;
}

static void look_at_clock(kh_link *link)
{
    kh_connection *c, *next;
    link->next_due = UINT64_MAX;
    for (c = TAILQ_FIRST(&link->all); c != NULL; c = next) {
        next = TAILQ_NEXT(c, all);
        if (c->state == KH_UP && c->dialled && c->alive_at <= link->now) ask_alive(link, c);
        uint64_t until = alive_until(c);
        if (until <= link->now) kh_link_close(c);
        else kh_link_due(link, kh_min64(until, c->alive_at));
    }
    for (uint32_t i = 0; i < KH_LINK_PEERS_MAX; i++) {
        kh_peer *peer = &link->peers[i];
        if (atomic_load_explicit(&peer->id, memory_order_acquire) == 0 || peer->out != NULL) continue;
        if (peer->redial_at <= link->now) dial(link, peer);
        else kh_link_due(link, peer->redial_at);
    }
}

/* ---- the loop ---- */

static void note(kh_link *link, const struct epoll_event *e)
{
    kh_connection *c = e->data.ptr;
    uint64_t ring;
    if (e->data.ptr == &link->wake) {
        (void)!read(link->wake, &ring, sizeof ring); /* before `dirty` is looked at: a later ring is heard */
        return;
    }
    if (e->data.ptr == &link->listener) {
        link->accepting = true;
        link->accept_at = link->now;
        return;
    }
    if (e->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) c->readable = true;
    if (e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) c->writable = true;
    kh_link_runnable(c);
}

static int wait_ms(const kh_link *link)
{
    if (!TAILQ_EMPTY(&link->run)) return 0;
    if (link->next_due == UINT64_MAX) return -1;
    return link->next_due <= link->now ? 0 : (int)kh_min64((link->next_due - link->now) / KH_LINK_MS + 1, 1000);
}

/* Each that could go on when the turn began gets one go. */
static void run_all(kh_link *link)
{
    kh_connection *c;
    uint32_t n = 0;
    TAILQ_FOREACH(c, &link->run, run) n++;
    for (; n > 0 && (c = TAILQ_FIRST(&link->run)) != NULL; n--) {
        TAILQ_REMOVE(&link->run, c, run);
        c->runnable = false;
        if (!kh_connection_run(c)) kh_link_close(c);
    }
}

void *kh_link_loop(void *ctx)
{
    kh_link *link = ctx;
    struct epoll_event events[EVENTS_MAX];
    while (!atomic_load_explicit(&link->stop, memory_order_acquire)) {
        int n = epoll_wait(link->epoll, events, EVENTS_MAX, wait_ms(link));
        link->now = kh_link_now();
        for (int i = 0; i < n; i++) note(link, &events[i]);
        if (link->accepting && link->accept_at <= link->now) take_in(link);
        look_at_crl(link);
        look_at_dirty(link);
        run_all(link);
        if (link->next_due <= link->now) look_at_clock(link);
    }
    while (!TAILQ_EMPTY(&link->all)) kh_link_close(TAILQ_FIRST(&link->all));
    return NULL;
}
