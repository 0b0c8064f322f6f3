/* server: listens on a unix socket; a thread a connection reads frames, asks the handler, answers in order.
 *
 * CometBFT writes a call and a flush together: whatever has come is answered before the answers are written, in one go. */
#include "abci/abci.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16u
#define READ_SZ (64u << 10)      /* the least room that is read into */
#define WRITE_AT_SZ (256u << 10) /* answers wait for the rest of the input up to here */
#define KEPT_SZ (2u << 20)       /* of a buffer that once was larger */

typedef struct connection {
    kh_abci_server *server;
    pthread_t thread;
    int fd;           /* -1: this place is free */
    atomic_bool over; /* released by the thread as its last act; acquired by the listener, which joins it */
    uint8_t *in;
    size_t in_n, in_cap;
    kh_abci_buffer out;
} connection;

struct kh_abci_server {
    kh_abci_handler handler;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int listening, stop; /* stop: an eventfd */
    atomic_bool stopping;
    pthread_t thread;
    connection connections[CONNECTIONS_MAX]; /* the listener's thread alone takes and frees places */
};

/* ---- a connection ---- */

static bool write_out(connection *c)
{
    for (size_t done = 0; done < c->out.n;) {
        ssize_t n = send(c->fd, c->out.p + done, c->out.n - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    c->out.n = 0;
    if (c->out.cap > KEPT_SZ) {
        free(c->out.p);
        c->out = (kh_abci_buffer){0};
    }
    return true;
}

/* False: nothing more is read from this connection; what stands in `out` is still written. */
static bool answer(connection *c, const uint8_t *p, size_t n)
{
    const kh_abci_handler *h = &c->server->handler;
    kh_abci_request request;
    kh_abci_answer a = {0};
    bool good = kh_abci_read(p, n, &request) == KH_OK;
    if (!good) {
        request.call = KH_ABCI_FLUSH; /* any: the exception stands outside it */
        a.exception = "this frame holds no request that is known here";
    } else if (request.call == KH_ABCI_ECHO) {
        a.value = request.data;
    } else if (request.call != KH_ABCI_FLUSH) {
        good = h->call(h->self, &request, &a);
        if (!good && a.exception == NULL) a.exception = "the application cannot go on";
    }
    return kh_abci_write(request.call, &a, &c->out) == KH_OK && good;
}

/* Answers every whole frame of the input. *ret_more: how many bytes the next one takes in all, as far as is known. */
static bool answer_all(connection *c, size_t *ret_more)
{
    size_t at = 0, head = 0, n = 0;
    bool good = true;
    *ret_more = 0;
    while (good) {
        kh_err err = kh_abci_frame(c->in + at, c->in_n - at, &head, &n);
        if (err == KH_E_AGAIN) break;
        if (err != KH_OK) return false;
        if (head + n > c->in_n - at) {
            *ret_more = head + n;
            break;
        }
        good = answer(c, c->in + at + head, n);
        at += head + n;
        if (good && c->out.n >= WRITE_AT_SZ) good = write_out(c);
    }
    if (at != 0) memmove(c->in, c->in + at, c->in_n - at);
    c->in_n -= at;
    return good;
}

/* Room for `frame` bytes, or for some; what a large frame took is given back when it is over. */
static bool make_room(connection *c, size_t frame)
{
    size_t want = frame > c->in_n + READ_SZ ? frame : c->in_n + READ_SZ;
    if (want <= c->in_cap && (c->in_cap <= KEPT_SZ || want > KEPT_SZ)) return true;
    uint8_t *p = realloc(c->in, want);
    if (p == NULL) return false;
    c->in = p;
    c->in_cap = want;
    return true;
}

static void *run(void *arg)
{
    connection *c = arg;
    size_t frame = 0;
    for (bool good = true; good;) {
        if (!make_room(c, frame)) break;
        ssize_t n = recv(c->fd, c->in + c->in_n, c->in_cap - c->in_n, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        c->in_n += (size_t)n;
        good = answer_all(c, &frame);
        if (!write_out(c)) break;
    }
    (void)shutdown(c->fd, SHUT_RDWR);
    const kh_abci_handler *h = &c->server->handler;
    if (!atomic_load_explicit(&c->server->stopping, memory_order_acquire) && h->lost != NULL) h->lost(h->self);
    atomic_store_explicit(&c->over, true, memory_order_release);
    return NULL;
}

static void end(connection *c)
{
    if (c->fd < 0) return;
    (void)pthread_join(c->thread, NULL);
    (void)close(c->fd);
    free(c->in);
    free(c->out.p);
    *c = (connection){.fd = -1};
}

/* ---- the listener ---- */

static void take(kh_abci_server *s, int fd)
{
    connection *c = NULL;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection *each = &s->connections[i];
        if (each->fd >= 0 && atomic_load_explicit(&each->over, memory_order_acquire)) end(each);
        if (each->fd < 0 && c == NULL) c = each;
    }
    if (c != NULL) {
        c->server = s;
        c->fd = fd;
        if (pthread_create(&c->thread, NULL, run, c) == 0) return;
        c->fd = -1;
    }
    (void)close(fd);
}

static void *listen_on(void *arg)
{
    kh_abci_server *s = arg;
    struct pollfd fds[2] = {{.fd = s->listening, .events = POLLIN}, {.fd = s->stop, .events = POLLIN}};
    while (!atomic_load_explicit(&s->stopping, memory_order_acquire)) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) break;
        if (fds[0].revents == 0) continue;
        int fd = accept4(s->listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) take(s, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) (void)poll(&fds[1], 1, 100);
    }
    return NULL;
}

static bool refuse(char *why, size_t cap, const char *path, const char *doing)
{
    (void)snprintf(why, cap, "%s: %s: %s", path, doing, strerror(errno));
    return false;
}

static bool bind_to(kh_abci_server *s, const char *path, char *why, size_t cap)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return refuse(why, cap, path, "a socket's path");
    }
    memcpy(at.sun_path, path, n + 1);
    if (lstat(path, &st) == 0 && (!S_ISSOCK(st.st_mode) || unlink(path) != 0)) {
        if (!S_ISSOCK(st.st_mode)) errno = EEXIST;
        return refuse(why, cap, path, "the socket cannot be put there");
    }
    s->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The file gets the mode that the socket has when it is bound (Linux): nobody else can connect at any moment. */
    if (s->listening < 0 || fchmod(s->listening, 0600) != 0 || bind(s->listening, (const struct sockaddr *)&at, sizeof at) != 0)
        return refuse(why, cap, path, "the socket cannot be made");
    memcpy(s->path, path, n + 1);
    if (listen(s->listening, (int)CONNECTIONS_MAX) != 0) return refuse(why, cap, path, "cannot be listened on");
    return true;
}

static void release(kh_abci_server *s)
{
    if (s->path[0] != '\0') (void)unlink(s->path);
    if (s->listening >= 0) (void)close(s->listening);
    if (s->stop >= 0) (void)close(s->stop);
    free(s);
}

kh_err kh_abci_listen(const char *path, const kh_abci_handler *handler, char *why, size_t cap, kh_abci_server **ret)
{
    kh_abci_server *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->handler = *handler;
    s->listening = -1;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) s->connections[i].fd = -1;
    s->stop = eventfd(0, EFD_CLOEXEC);
    bool good = s->stop >= 0 || refuse(why, cap, path, "no descriptor");
    good = good && bind_to(s, path, why, cap);
    if (good && pthread_create(&s->thread, NULL, listen_on, s) != 0) good = refuse(why, cap, path, "no thread");
    if (!good) {
        release(s);
        return KH_E_IO;
    }
    *ret = s;
    return KH_OK;
}

void kh_abci_stop(kh_abci_server *server)
{
    atomic_store_explicit(&server->stopping, true, memory_order_release);
    ssize_t told = write(server->stop, &(uint64_t){1}, sizeof(uint64_t));
    KH_ASSERT(told == (ssize_t)sizeof(uint64_t));
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection *c = &server->connections[i];
        if (c->fd >= 0) (void)shutdown(c->fd, SHUT_RDWR);
        end(c);
    }
    release(server);
}
