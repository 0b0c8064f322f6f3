/* channel: a lane over a socket: datagrams in flight, sent again when their time is over, matched by the counter that a reply
 * names. */
#include "client/datagram.h"
#include "client/runs.h"
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    WINDOW_USUAL = 64,
    WINDOW_MAX = 1024,
    COUNTERS = 4096, /* of which the flight is remembered: KH_TRIES for each in the window */
    SOCKET_SZ = 1 << 20,
    AT_ONCE = 64, /* datagrams a system call */
    NONE = UINT32_MAX
};
_Static_assert(WINDOW_MAX *KH_TRIES < COUNTERS, "an answer to any try is known");

typedef struct flight {
    uint32_t job, tries; /* tries 0: free */
    uint64_t sent_ns;
    bool in_run; /* its last try went with others */
} flight;

struct kh_channel {
    int fd;
    kh_lane lane;
    uint32_t max_queries, window;
    uint64_t timeout_ns, op_timeout_ns;
    kh_channel_stats stats;
    flight flights[WINDOW_MAX];
    uint32_t in_flight, free_cnt, free_flights[WINDOW_MAX];
    struct {
        uint64_t counter;
        uint32_t flight, job;
    } counters[COUNTERS];
    bool apart, runs_come; /* this way takes no runs of datagrams; one of a run was answered */
    kh_inbox *inbox;
    uint8_t out[AT_ONCE][KH_DATAGRAM_MAX_SZ];
};

/* What is asked, cut into jobs, one a datagram. */
typedef struct work {
    uint32_t job_cnt;
    uint64_t timeout_ns;
    uint32_t (*seal)(struct work *work, kh_channel *c, uint32_t job, uint8_t *buf, uint64_t *ret_counter);
    bool (*take)(struct work *work, kh_channel *c, uint32_t job, const uint8_t *body, uint32_t cnt, uint64_t as_of);
    /* verify */
    const kh_query *queries;
    uint32_t query_cnt, per_job;
    bool is_long;
    kh_query_answer *answers;
    uint64_t *as_of;
    uint32_t answered;
    void (*done)(void *ctx, uint32_t answered, uint32_t of);
    void *ctx;
    /* operate */
    const uint8_t *frames;
    size_t *ends;        /* bytes, by job */
    uint32_t *first_ops; /* by job, and the end */
    kh_op_answer *op_answers;
} work;

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
    c->window = options->window == 0 ? WINDOW_USUAL : options->window > WINDOW_MAX ? WINDOW_MAX : options->window;
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
    struct iovec parts[AT_ONCE];
    uint32_t flights[AT_ONCE], n;
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

static void send_job(kh_channel *c, work *w, uint32_t f, outgoing *o)
{
    flight *fl = &c->flights[f];
    uint64_t counter;
    uint32_t n = w->seal(w, c, fl->job, c->out[o->n], &counter);
    fl->tries++;
    fl->sent_ns = now_ns();
    c->counters[counter % COUNTERS].counter = counter;
    c->counters[counter % COUNTERS].flight = f;
    c->counters[counter % COUNTERS].job = fl->job;
    o->parts[o->n] = (struct iovec){c->out[o->n], n};
    o->flights[o->n] = f;
    if (++o->n == AT_ONCE) send_all(c, o);
}

/* Sends what is due again; the time until the next is due in *ret_wait_ns. KH_E_CLOSED: one was silent too often. */
static kh_err send_again(kh_channel *c, work *w, outgoing *o, uint64_t *ret_wait_ns)
{
    uint64_t now = now_ns(), wait = w->timeout_ns;
    for (uint32_t f = 0; f < c->window; f++) {
        flight *fl = &c->flights[f];
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
        send_job(c, w, f, o);
    }
    *ret_wait_ns = wait;
    return KH_OK;
}

/* ---- receiving ---- */

typedef struct taking {
    kh_channel *c;
    work *w;
    uint32_t left;
} taking;

static void take_reply(void *ctx, uint8_t *p, uint32_t n)
{
    kh_channel *c = ((taking *)ctx)->c;
    work *w = ((taking *)ctx)->w;
    kh_reply_head head;
    uint64_t as_of;
    const uint8_t *body;
    uint32_t cnt, f = NONE, job = 0;
    if (kh_lane_open_reply(&c->lane, p, n, &head, &as_of, &body, &cnt) &&
        c->counters[head.request_counter % COUNTERS].counter == head.request_counter) {
        f = c->counters[head.request_counter % COUNTERS].flight;
        job = c->counters[head.request_counter % COUNTERS].job;
    }
    /* the flight may be another job's by now, or the job answered: then this is a second answer */
    if (f == NONE || c->flights[f].tries == 0 || c->flights[f].job != job || !w->take(w, c, job, body, cnt, as_of)) {
        c->stats.stray++;
        return;
    }
    c->runs_come |= c->flights[f].in_run;
    c->flights[f].tries = 0;
    c->free_flights[c->free_cnt++] = f;
    c->in_flight--;
    c->stats.answered++;
    ((taking *)ctx)->left--;
}

static kh_err run(kh_channel *c, work *w)
{
    outgoing o = {.n = 0};
    uint32_t next = 0;
    taking t = {c, w, w->job_cnt};
    kh_err err = KH_OK;
    memset(c->counters, 0xff, sizeof c->counters); /* answers to what was asked before are strays */
    memset(c->flights, 0, sizeof c->flights);
    c->in_flight = c->free_cnt = 0;
    for (uint32_t f = c->window; f > 0; f--) c->free_flights[c->free_cnt++] = f - 1;
    while (t.left > 0 && err == KH_OK) {
        uint64_t wait = 0;
        if (c->lane.counter + WINDOW_MAX * KH_TRIES > KH_COUNTER_MAX) return KH_E_CLOSED;
        for (; next < w->job_cnt && c->in_flight < c->window; next++, c->in_flight++) {
            uint32_t f = c->free_flights[--c->free_cnt];
            c->flights[f] = (flight){.job = next};
            send_job(c, w, f, &o);
        }
        err = send_again(c, w, &o, &wait);
        send_all(c, &o);
        if (err != KH_OK) break;
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, (int)(wait / 1000000) + 1) > 0) (void)kh_runs_receive(c->fd, c->inbox, take_reply, &t);
    }
    return err;
}

/* ---- verify ---- */

static uint32_t job_queries(const work *w, uint32_t job)
{
    uint32_t first = job * w->per_job;
    return w->query_cnt - first < w->per_job ? w->query_cnt - first : w->per_job;
}

static uint32_t seal_queries(work *w, kh_channel *c, uint32_t job, uint8_t *buf, uint64_t *ret_counter)
{
    return kh_lane_seal(&c->lane, w->queries + (size_t)job * w->per_job, job_queries(w, job), w->is_long, buf, ret_counter);
}

static bool take_answers(work *w, kh_channel *c, uint32_t job, const uint8_t *body, uint32_t cnt, uint64_t as_of)
{
    uint32_t first = job * w->per_job;
    kh_query_answer answers[KH_QUERIES_MAX];
    (void)c;
    if (cnt != job_queries(w, job)) return false;
    for (uint32_t i = 0; i < cnt; i++)
        if (kh_query_answer_decode(body + i * (size_t)KH_ANSWER_SZ, &answers[i]) != KH_OK) return false;
    memcpy(w->answers + first, answers, cnt * sizeof *answers);
    for (uint32_t i = 0; i < cnt && w->as_of != NULL; i++) w->as_of[first + i] = as_of;
    w->answered += cnt;
    if (w->done != NULL) w->done(w->ctx, w->answered, w->query_cnt);
    return true;
}

kh_err kh_channel_verify(kh_channel *c, const kh_query queries[], uint32_t n, bool is_long, kh_query_answer ret_answers[],
                         uint64_t ret_as_of[], void (*done)(void *ctx, uint32_t answered, uint32_t of), void *ctx)
{
    uint32_t most = is_long ? KH_QUERIES_LONG_MAX : KH_QUERIES_MAX;
    work w = {.timeout_ns = c->timeout_ns,
              .seal = seal_queries,
              .take = take_answers,
              .queries = queries,
              .query_cnt = n,
              .per_job = c->max_queries < most ? c->max_queries : most,
              .is_long = is_long,
              .answers = ret_answers,
              .as_of = ret_as_of,
              .done = done,
              .ctx = ctx};
    w.job_cnt = n / w.per_job + (n % w.per_job != 0);
    for (uint32_t i = 0; i < n; i++) ret_answers[i] = (kh_query_answer){.code = KH_C_NOT_CHECKED, .free = KH_AMOUNT_NONE};
    return run(c, &w);
}

/* ---- operate ---- */

static uint32_t seal_frames(work *w, kh_channel *c, uint32_t job, uint8_t *buf, uint64_t *ret_counter)
{
    size_t from = job == 0 ? 0 : w->ends[job - 1];
    return kh_lane_seal_frames(&c->lane, w->frames + from, (uint32_t)(w->ends[job] - from), buf, ret_counter);
}

static bool take_receipts(work *w, kh_channel *c, uint32_t job, const uint8_t *body, uint32_t cnt, uint64_t as_of)
{
    uint32_t first = w->first_ops[job], ops = w->first_ops[job + 1] - first;
    kh_op_answer answers[KH_DATAGRAM_OPS_MAX];
    (void)c, (void)as_of;
    for (uint32_t i = 0; i < cnt; i++)
        if (kh_op_answer_decode(body + i * (size_t)KH_OP_ANSWER_SZ, &answers[i]) != KH_OK) return false;
    bool refused = cnt == 1 && answers[0].refused;
    if (!refused && cnt != ops) return false;
    for (uint32_t i = 0; i < ops; i++) w->op_answers[first + i] = answers[refused ? 0 : i];
    return true;
}

/* cut packs whole frames into datagrams; false: they are not op_cnt frames that fit. */
static bool cut(work *w, size_t n, uint32_t op_cnt)
{
    size_t at = 0, from = 0;
    uint32_t ops = 0;
    w->job_cnt = 0;
    w->first_ops[0] = 0;
    while (at < n) {
        uint32_t size = n - at >= 4 ? kh_load32(w->frames + at) : 0;
        if (size < 24 || size > KH_FRAMES_MAX_SZ || size > n - at || ops == op_cnt) return false;
        if (at > from && (at + size - from > KH_FRAMES_MAX_SZ || ops - w->first_ops[w->job_cnt] == KH_DATAGRAM_OPS_MAX)) {
            w->ends[w->job_cnt] = from = at;
            w->first_ops[++w->job_cnt] = ops;
        }
        at += size;
        ops++;
    }
    if (ops != op_cnt) return false;
    w->ends[w->job_cnt] = n;
    w->first_ops[++w->job_cnt] = ops;
    return true;
}

kh_err kh_channel_operate(kh_channel *c, const uint8_t *frames, size_t n, uint32_t op_cnt, kh_op_answer ret_answers[])
{
    work w = {
        .timeout_ns = c->op_timeout_ns, .seal = seal_frames, .take = take_receipts, .frames = frames, .op_answers = ret_answers};
    if (op_cnt == 0) return KH_E_ARG;
    w.ends = calloc(op_cnt, sizeof *w.ends);
    w.first_ops = calloc(op_cnt + 1u, sizeof *w.first_ops);
    kh_err err = w.ends != NULL && w.first_ops != NULL ? KH_OK : KH_E_NOMEM;
    if (err == KH_OK && !cut(&w, n, op_cnt)) err = KH_E_ARG;
    for (uint32_t i = 0; err == KH_OK && i < op_cnt; i++) ret_answers[i] = (kh_op_answer){.code = KH_C_NOT_CHECKED};
    if (err == KH_OK) err = run(c, &w);
    free(w.ends);
    free(w.first_ops);
    return err;
}
