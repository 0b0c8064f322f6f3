/* link: what link.h offers: begins and ends the loop, keeps the peers, puts messages into their queues. */
#include "link/inside.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { QUEUE_USUAL_SZ = 128 << 20, BESIDE_SZ = 128 << 10 /* larger ones are copied outside the peer's lock */ };

bool kh_link_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_n)
{
    char host[64];
    const char *port = strrchr(text, ':');
    size_t n = port != NULL ? (size_t)(port - text) : 0;
    if (n == 0 || n >= sizeof host) return false;
    bool bracketed = text[0] == '[' && text[n - 1] == ']';
    n -= bracketed ? 2 : 0;
    memcpy(host, text + bracketed, n);
    host[n] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port + 1, &hints, &found) != 0) return false;
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_n = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

void kh_link_wake(kh_link *link, uint32_t slot)
{
    uint64_t one = 1;
    /* release: what the peer's lock guards is written; acquired by look_at_dirty */
    if (atomic_fetch_or_explicit(&link->dirty, UINT64_C(1) << slot, memory_order_acq_rel) == 0)
        (void)!write(link->wake, &one, sizeof one);
}

/* ---- beginning and end ---- */

static kh_err failed(const char *doing, const char *what, char *why, size_t cap)
{
    (void)snprintf(why, cap, "%s %s: %s", doing, what, strerror(errno));
    return errno == ENOMEM ? KH_E_NOMEM : KH_E_IO;
}

static kh_err open_listener(kh_link *link, const char *address, char *why, size_t cap)
{
    int on = 1;
    if (address == NULL || !kh_link_address(address, &link->listen, &link->listen_n)) {
        (void)snprintf(why, cap, "the link's address is no ADDRESS:PORT");
        return KH_E_ARG;
    }
    link->listener = socket(link->listen.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->listener < 0 || setsockopt(link->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(link->listener, (struct sockaddr *)&link->listen, link->listen_n) != 0 || listen(link->listener, SOMAXCONN) != 0)
        return failed("the link cannot listen at", address, why, cap);
    return KH_OK;
}

static kh_err open_loop(kh_link *link, char *why, size_t cap)
{
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &link->wake};
    struct epoll_event enter = {.events = EPOLLIN | EPOLLET, .data.ptr = &link->listener};
    link->epoll = epoll_create1(EPOLL_CLOEXEC);
    link->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (link->epoll < 0 || link->wake < 0 || epoll_ctl(link->epoll, EPOLL_CTL_ADD, link->wake, &wake) != 0 ||
        epoll_ctl(link->epoll, EPOLL_CTL_ADD, link->listener, &enter) != 0)
        return failed("the link's", "epoll", why, cap);
    return KH_OK;
}

static void release(kh_link *link)
{
    for (uint32_t i = 0; i < KH_LINK_PEERS_MAX; i++) {
        (void)kh_link_queue_clear(&link->peers[i].queue);
        (void)pthread_mutex_destroy(&link->peers[i].lock);
    }
    if (link->listener >= 0) (void)close(link->listener);
    if (link->epoll >= 0) (void)close(link->epoll);
    if (link->wake >= 0) (void)close(link->wake);
    kh_link_crl_free(link->crl);
    kh_link_crl_free(atomic_load_explicit(&link->crl_next, memory_order_relaxed)); /* the loop has ended */
    kh_link_tls_close(link);
    (void)pthread_mutex_destroy(&link->lock);
    free(link);
}

kh_err kh_link_start(const kh_link_options *options, char *why, size_t cap, kh_link **ret)
{
    kh_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        (void)snprintf(why, cap, "%s", kh_err_text(KH_E_NOMEM));
        return KH_E_NOMEM;
    }
    link->options = *options;
    if (link->options.queue_sz == 0) link->options.queue_sz = QUEUE_USUAL_SZ;
    link->epoll = link->wake = link->listener = -1;
    link->next_due = UINT64_MAX;
    link->now = kh_link_now();
    TAILQ_INIT(&link->all);
    TAILQ_INIT(&link->run);
    (void)pthread_mutex_init(&link->lock, NULL);
    for (uint32_t i = 0; i < KH_LINK_PEERS_MAX; i++) (void)pthread_mutex_init(&link->peers[i].lock, NULL);
    kh_err err = kh_link_tls_open(link, options, why, cap);
    if (err == KH_OK && options->crl != NULL) err = kh_link_crl_load(link, options->crl, why, cap, &link->crl);
    if (err == KH_OK) err = open_listener(link, options->listen, why, cap);
    if (err == KH_OK) err = open_loop(link, why, cap);
    if (err == KH_OK && (errno = pthread_create(&link->thread, NULL, kh_link_loop, link)) != 0)
        err = failed("the link's", "thread", why, cap);
    if (err == KH_OK) *ret = link;
    else release(link);
    return err;
}

kh_err kh_link_renew(kh_link *link, char *why, size_t cap)
{
    uint64_t one = 1;
    kh_link_crl *next = NULL;
    if (link->options.crl == NULL) return KH_OK;
    kh_err err = kh_link_crl_load(link, link->options.crl, why, cap, &next);
    if (err != KH_OK) return err;
    /* release: the list is written; acquired by look_at_crl, or here by who reads the next one */
    kh_link_crl_free(atomic_exchange_explicit(&link->crl_next, next, memory_order_acq_rel));
    (void)!write(link->wake, &one, sizeof one);
    return KH_OK;
}

void kh_link_stop(kh_link *link)
{
    uint64_t one = 1;
    if (link == NULL) return;
    atomic_store_explicit(&link->stop, true, memory_order_release); /* acquired by the loop's condition */
    (void)!write(link->wake, &one, sizeof one);
    (void)pthread_join(link->thread, NULL);
    release(link);
}

/* ---- peers ---- */

static kh_peer *find(kh_link *link, uint32_t id)
{
    for (uint32_t i = 0; i < KH_LINK_PEERS_MAX; i++)
        if (atomic_load_explicit(&link->peers[i].id, memory_order_acquire) == id) return &link->peers[i];
    return NULL;
}

static void set_address(kh_peer *peer, const struct sockaddr_storage *address, socklen_t n)
{
    (void)pthread_mutex_lock(&peer->lock);
    bool same = !peer->gone && peer->address_n == n && memcmp(&peer->address, address, n) == 0;
    peer->gone = n == 0;
    peer->changed = peer->changed || !same;
    peer->address = *address;
    peer->address_n = n;
    (void)pthread_mutex_unlock(&peer->lock);
}

kh_err kh_link_peer(kh_link *link, uint32_t peer, const char *address)
{
    struct sockaddr_storage to = {0};
    socklen_t n = 0;
    if (peer == 0 || peer == link->options.self) return KH_E_ARG;
    if (address != NULL && !kh_link_address(address, &to, &n)) return KH_E_ARG;
    (void)pthread_mutex_lock(&link->lock);
    kh_peer *slot = find(link, peer);
    kh_err err = KH_OK;
    if (slot == NULL && address == NULL) err = KH_E_NOT_FOUND;
    else if (slot == NULL && (slot = find(link, 0)) == NULL) err = KH_E_FULL;
    if (err == KH_OK) {
        if (atomic_load_explicit(&slot->id, memory_order_relaxed) == 0) slot->address_n = 0;
        set_address(slot, &to, n);
        atomic_store_explicit(&slot->id, peer, memory_order_release);
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (err == KH_OK) kh_link_wake(link, (uint32_t)(slot - link->peers));
    return err;
}

bool kh_link_is_up(kh_link *link, uint32_t peer)
{
    kh_peer *slot = peer != 0 ? find(link, peer) : NULL;
    if (slot == NULL) return false;
    (void)pthread_mutex_lock(&slot->lock);
    bool up = slot->up && !slot->gone;
    (void)pthread_mutex_unlock(&slot->lock);
    return up;
}

/* ---- sending ---- */

/* May a frame of n bytes wait for this peer? Lock held. */
static kh_err admit(const kh_link *link, const kh_peer *peer, uint32_t id, size_t n)
{
    if (peer->gone || atomic_load_explicit(&peer->id, memory_order_relaxed) != id) return KH_E_NOT_FOUND;
    if (!peer->up) return KH_E_AGAIN;
    return n > link->options.queue_sz - kh_min64(peer->queue.bytes + peer->queue.promised, link->options.queue_sz) ? KH_E_FULL
                                                                                                                   : KH_OK;
}

/* A large frame is copied while others may send to the peer; its place in the order is where it is appended. */
static kh_err put_beside(kh_peer *peer, uint32_t id, uint8_t type, const uint8_t *p, size_t n)
{
    kh_queue built;
    peer->queue.promised += n + KH_LINK_HEAD_SZ;
    (void)pthread_mutex_unlock(&peer->lock);
    kh_err err = kh_link_queue_build(&built, type, p, n);
    (void)pthread_mutex_lock(&peer->lock);
    peer->queue.promised -= n + KH_LINK_HEAD_SZ;
    if (err == KH_OK && atomic_load_explicit(&peer->id, memory_order_relaxed) != id) err = KH_E_NOT_FOUND;
    if (err == KH_OK && !peer->up) err = KH_E_AGAIN;
    if (err == KH_OK) kh_link_queue_append(&peer->queue, &built);
    else (void)kh_link_queue_clear(&built);
    return err;
}

kh_err kh_link_send(kh_link *link, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    if (n > KH_LINK_MESSAGE_MAX || type == KH_LINK_TYPE_ALIVE) return KH_E_ARG;
    kh_peer *peer = to != 0 ? find(link, to) : NULL;
    if (peer == NULL) return KH_E_NOT_FOUND;
    (void)pthread_mutex_lock(&peer->lock);
    kh_err err = admit(link, peer, to, n + KH_LINK_HEAD_SZ);
    if (err == KH_OK) err = n < BESIDE_SZ ? kh_link_queue_put(&peer->queue, type, p, n) : put_beside(peer, to, type, p, n);
    (void)pthread_mutex_unlock(&peer->lock);
    if (err == KH_OK) kh_link_wake(link, (uint32_t)(peer - link->peers));
    else if (err == KH_E_AGAIN) kh_link_add(&link->counts.dropped_down, 1);
    else if (err != KH_E_NOT_FOUND) kh_link_add(&link->counts.dropped_full, 1);
    return err;
}

void kh_link_count(kh_link *link, kh_link_counts *ret)
{
#define KH_GET(field) .field = atomic_load_explicit(&link->counts.field, memory_order_relaxed)
    *ret = (kh_link_counts){KH_GET(sent),         KH_GET(received),     KH_GET(bytes_out), KH_GET(bytes_in),
                            KH_GET(dropped_full), KH_GET(dropped_down), KH_GET(refused),   KH_GET(handshakes_failed)};
#undef KH_GET
}
