/* connection: one TLS connection: on a dialled one frames go out and only ALIVE comes back; on one that was taken in, frames come
 * and only ALIVE goes out. Whatever else a peer sends ends the connection. */
#include "link/inside.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

enum { TURN_SZ = 1 << 20 };

/* ---- out ---- */

/* Gives the kernel what is staged. false: the connection is broken. */
static bool flush(kh_connection *c)
{
    while (c->writable && c->stage_at < c->stage_n) {
        ssize_t n = send(c->fd, c->stage + c->stage_at, c->stage_n - c->stage_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) c->writable = false;
        else if (n <= 0) return false;
        else {
            c->stage_at += (size_t)n;
            if (!c->asked_sent) c->last_written = c->link->now;
        }
    }
    if (c->stage_at == c->stage_n) c->stage_at = c->stage_n = 0;
    if (c->stage_n == 0 && c->alive_at == UINT64_MAX && c->asked_left == 0) c->asked_sent = true;
    return true;
}

/* Room for one more record, its head, padding and tag (RFC 8446, 5.2: at most 256 bytes more). */
static bool has_room(const kh_connection *c) { return sizeof c->stage - c->stage_n >= KH_LINK_RECORD_SZ + 256 + 5; }

static bool seal(kh_connection *c, const uint8_t *p, size_t n)
{
    size_t done;
    ERR_clear_error();
    return SSL_write_ex(c->ssl, p, n, &done) == 1 && done == n;
}

static bool answer_alive(kh_connection *c)
{
    static const uint8_t alive[KH_LINK_HEAD_SZ] = {0};
    return has_room(c) && seal(c, alive, sizeof alive); /* no room: it asks and does not read */
}

/* Seals what waits for the peer, a chunk at a time, and sends whenever the stage is full. */
static bool write_queue(kh_connection *c)
{
    kh_peer *peer = c->peer;
    size_t turn = 0;
    while (turn < TURN_SZ) {
        const uint8_t *p = NULL;
        size_t at = 0;
        if (!has_room(c) && !flush(c)) return false;
        if (!has_room(c)) return true;
        (void)pthread_mutex_lock(&peer->lock);
        size_t n = kh_link_queue_peek(&peer->queue, &p);
        (void)pthread_mutex_unlock(&peer->lock);
        if (n == 0) return true;
        while (at < n && has_room(c)) {
            size_t part = kh_min64(n - at, KH_LINK_RECORD_SZ);
            if (!seal(c, p + at, part)) return false;
            at += part;
        }
        (void)pthread_mutex_lock(&peer->lock);
        uint32_t ends = kh_link_queue_take(&peer->queue, at);
        (void)pthread_mutex_unlock(&peer->lock);
        c->asked_left -= kh_min64(c->asked_left, at);
        kh_link_add(&c->link->counts.sent, ends);
        kh_link_add(&c->link->counts.bytes_out, at);
        turn += at;
    }
    return true;
}

static bool has_waiting(kh_connection *c)
{
    (void)pthread_mutex_lock(&c->peer->lock);
    bool waiting = c->peer->queue.bytes != 0;
    (void)pthread_mutex_unlock(&c->peer->lock);
    return waiting;
}

/* ---- in ---- */

/* One frame. false: this peer does not keep to the protocol. */
static bool take_frame(void *ctx, uint8_t type, const uint8_t *p, size_t n)
{
    kh_connection *c = ctx;
    kh_link *link = c->link;
    if (type == KH_LINK_TYPE_ALIVE) {
        if (n != 0) return false;
        if (!c->dialled) return answer_alive(c);
        if (c->state == KH_PROVEN) kh_link_welcome(c);
        c->alive_at = link->now + KH_LINK_ALIVE_NS;
        c->asked_sent = false;
        kh_link_due(link, c->alive_at);
        return true;
    }
    if (c->dialled) return false;
    kh_link_add(&link->counts.received, 1);
    link->options.received(link->options.ctx, atomic_load_explicit(&c->peer->id, memory_order_relaxed), type, p, n);
    return true;
}

static bool read_frames(kh_connection *c)
{
    for (size_t turn = 0; turn < TURN_SZ;) {
        uint8_t *p;
        size_t n, got;
        if (!kh_link_frames_place(&c->frames, &p, &n)) return false;
        ERR_clear_error();
        if (SSL_read_ex(c->ssl, p, n, &got) != 1) {
            int error = SSL_get_error(c->ssl, 0);
            return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
        }
        kh_link_add(&c->link->counts.bytes_in, got);
        turn += got;
        if (!c->dialled) c->deadline = c->link->now + 2 * KH_LINK_PATIENCE_NS; /* the dialler asks each second */
        if (!kh_link_frames_placed(&c->frames, got)) {
            kh_link_add(&c->link->counts.refused, 1);
            return false;
        }
    }
    return true;
}

/* ---- the beginning and the end ---- */

kh_connection *kh_connection_new(kh_link *link, int fd, bool dialled)
{
    kh_connection *c = malloc(sizeof *c);
    if (c == NULL) return NULL;
    memset(c, 0, offsetof(kh_connection, stage));
    c->link = link;
    c->fd = fd;
    c->dialled = dialled;
    c->state = dialled ? KH_CONNECTING : KH_SHAKING;
    c->alive_at = UINT64_MAX;
    c->frames = (kh_frames){.in = c->in, .take = take_frame, .ctx = c};
    c->last_written = link->now;
    return c;
}

void kh_connection_free(kh_connection *c)
{
    SSL_free(c->ssl);
    (void)close(c->fd);
    kh_link_frames_free(&c->frames);
    free(c);
}

static bool connected(kh_connection *c)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) return false;
    c->state = KH_SHAKING;
    return kh_link_tls_start(c);
}

static bool shake(kh_connection *c)
{
    ERR_clear_error();
    int result = SSL_do_handshake(c->ssl);
    if (result != 1) {
        int error = SSL_get_error(c->ssl, result);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
        (void)flush(c); /* the alert says why */
        return false;
    }
    return kh_link_admit(c) && (c->dialled || answer_alive(c));
}

bool kh_connection_run(kh_connection *c)
{
    if (c->state == KH_CONNECTING && c->writable && !connected(c)) return false;
    if (c->state == KH_CONNECTING) return true;
    if (!flush(c) || (c->state == KH_SHAKING && !shake(c))) return false;
    if (c->state >= KH_PROVEN && c->readable && has_room(c) && !read_frames(c)) return false;
    if (c->state == KH_UP && c->dialled && c->writable && !write_queue(c)) return false;
    if (!flush(c)) return false;
    bool more_in = c->state >= KH_PROVEN && c->readable && has_room(c);
    bool more_out = c->state == KH_UP && c->dialled && c->writable && has_waiting(c);
    if (more_in || more_out) kh_link_runnable(c);
    return true;
}
