/* channel: a lane over a socket: datagrams in flight, sent again when their time is over, matched by the counter that a reply
 * names. */
#include "client/channel_inside.h"
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW_USUAL = 64, SOCKET_SZ = 1 << 20, NONE = UINT32_MAX };

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

static kh_err connect_to(const char *address, int *ret_fd)
{
    char host[64], *port = strrchr(address, ':');
    size_t n = port != NULL ? (size_t)(port - address) : 0;
    if (n == 0 || n >= sizeof host) return KH_E_ARG;
    bool bracketed = address[0] == '[' && address[n - 1] == ']';
    if (bracketed) n -= 2;
    memcpy(host, address + bracketed, n);
    host[n] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    if (getaddrinfo(host, port + 1, &hints, &found) != 0) return KH_E_ARG;
    int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SOCKET_SZ;
    bool ok = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!ok) {
        if (fd >= 0) (void)close(fd);
        return KH_E_IO;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    *ret_fd = fd;
    return KH_OK;
}

kh_err kh_channel_open(const kh_channel_options *options, kh_channel **ret)
{
    kh_channel *c = calloc(1, sizeof *c);
    if (c == NULL) return KH_E_NOMEM;
    c->fd = -1;
    c->max_queries = options->max_queries == 0 || options->max_queries > KH_QUERIES_MAX ? KH_QUERIES_MAX : options->max_queries;
    c->window = options->window == 0 ? WINDOW_USUAL : options->window > KH_WINDOW_MAX ? KH_WINDOW_MAX : options->window;
    c->timeout_ns = (options->timeout_ms == 0 ? 500 : options->timeout_ms) * UINT64_C(1000000);
    c->op_timeout_ns = (options->op_timeout_ms == 0 ? 2000 : options->op_timeout_ms) * UINT64_C(1000000);
    kh_err err = kh_lane_open(options->session, options->lane, options->up, options->down, &c->lane);
    if (err == KH_OK) err = connect_to(options->address, &c->fd);
    if (err == KH_OK && (c->inbox = kh_inbox_new(c->fd)) == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) *ret = c;
    else kh_channel_close(c);
    return err;
}

void kh_channel_close(kh_channel *c)
{
    if (c == NULL) return;
    if (c->fd >= 0) (void)close(c->fd);
    kh_lane_close(&c->lane);
    kh_inbox_free(c->inbox);
    free(c);
}

void kh_channel_get_stats(const kh_channel *c, kh_channel_stats *ret) { *ret = c->stats; }

/* ---- sending ---- */

typedef struct outgoing {
    struct iovec parts[KH_AT_ONCE];
    uint32_t flights[KH_AT_ONCE], n;
} outgoing;

/* What the kernel does not take now is as good as lost: its time will run out. */
static void send_all(kh_channel *c, outgoing *o)
{
    for (uint32_t i = 0, length; i < o->n; i += length) {
        length = c->apart ? 1 : kh_runs_length(o->parts + i, o->n - i);
        for (uint32_t k = 0; k < length; k++) c->flights[o->flights[i + k]].in_run = length > 1;
    }
    if (o->n != 0) kh_runs_send(c->fd, o->parts, o->n, &c->apart);
    c->stats.sent += o->n;
    o->n = 0;
}

static bool send_job(kh_channel *c, kh_work *w, uint32_t f, outgoing *o)
{
    kh_flight *fl = &c->flights[f];
    uint64_t counter;
    uint32_t n = w->seal(w, c, fl, c->out[o->n], &counter);
    if (n == 0) return false;
    fl->tries++;
    fl->sent_ns = now_ns();
    c->counters[counter % KH_COUNTERS].counter = counter;
    c->counters[counter % KH_COUNTERS].flight = f;
    c->counters[counter % KH_COUNTERS].job = fl->job;
    o->parts[o->n] = (struct iovec){c->out[o->n], n};
    o->flights[o->n] = f;
    if (++o->n == KH_AT_ONCE) send_all(c, o);
    return true;
}

/* Sends what is due again; the time until the next is due in *ret_wait_ns. KH_E_CLOSED: one was silent too often. */
static kh_err send_again(kh_channel *c, kh_work *w, outgoing *o, uint64_t *ret_wait_ns)
{
    uint64_t now = now_ns(), wait = w->timeout_ns;
    for (uint32_t f = 0; f < w->window; f++) {
        kh_flight *fl = &c->flights[f];
        if (fl->tries == 0) continue;
        uint64_t age = now > fl->sent_ns ? now - fl->sent_ns : 0;
        if (age < w->timeout_ns) {
            wait = kh_min64(wait, w->timeout_ns - age);
            continue;
        }
        if (fl->tries == KH_TRIES) return KH_E_CLOSED;
        /* Where a run was never answered it may have come uncut, as over a veth pair to a packet socket. */
        if (fl->in_run && !c->runs_come) c->apart = true;
        c->stats.again++;
        if (!send_job(c, w, f, o)) return KH_E_ARG;
    }
    *ret_wait_ns = wait;
    return KH_OK;
}

/* ---- receiving ---- */

typedef struct taking {
    kh_channel *c;
    kh_work *w;
} taking;

static void take_reply(void *ctx, uint8_t *p, uint32_t n)
{
    kh_channel *c = ((taking *)ctx)->c;
    kh_work *w = ((taking *)ctx)->w;
    kh_reply_head head;
    uint64_t as_of;
    const uint8_t *body;
    uint32_t cnt, f = NONE, job = 0, done = 0;
    if (kh_lane_open_reply(&c->lane, p, n, &head, &as_of, &body, &cnt) &&
        c->counters[head.request_counter % KH_COUNTERS].counter == head.request_counter) {
        f = c->counters[head.request_counter % KH_COUNTERS].flight;
        job = c->counters[head.request_counter % KH_COUNTERS].job;
    }
    /* the flight may be another job's by now, or the job answered: then this is a second answer */
    if (f != NONE && c->flights[f].tries != 0 && c->flights[f].job == job) done = w->take(w, &c->flights[f], body, cnt, as_of);
    if (done == 0) {
        c->stats.stray++;
        return;
    }
    c->runs_come |= c->flights[f].in_run;
    c->flights[f].tries = 0;
    c->free_flights[c->free_cnt++] = f;
    c->in_flight--;
    c->stats.answered++;
    w->left -= done;
}

/* Sends what may go now; false: a job cannot be made. */
static bool send_new(kh_channel *c, kh_work *w, outgoing *o)
{
    uint32_t job;
    while (c->free_cnt > 0 && w->next(w, &job)) {
        uint32_t f = c->free_flights[--c->free_cnt];
        c->flights[f] = (kh_flight){.job = job};
        c->in_flight++;
        if (!send_job(c, w, f, o)) return false;
    }
    return true;
}

kh_err kh_channel_run(kh_channel *c, kh_work *w)
{
    outgoing o = {.n = 0};
    taking t = {c, w};
    kh_err err = KH_OK;
    memset(c->counters, 0xff, sizeof c->counters); /* answers to what was asked before are strays */
    memset(c->flights, 0, sizeof c->flights);
    c->in_flight = c->free_cnt = 0;
    for (uint32_t f = w->window; f > 0; f--) c->free_flights[c->free_cnt++] = f - 1;
    while (w->left > 0 && err == KH_OK) {
        uint64_t wait = 0;
        if (c->lane.counter + KH_WINDOW_MAX * KH_TRIES > KH_COUNTER_MAX) return KH_E_CLOSED;
        if (!send_new(c, w, &o)) err = KH_E_ARG;
        if (err == KH_OK) err = send_again(c, w, &o, &wait);
        send_all(c, &o);
        if (err != KH_OK || w->left == 0) break;
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, (int)(wait / 1000000) + 1) > 0) (void)kh_runs_receive(c->fd, c->inbox, take_reply, &t);
    }
    return err;
}
