/* relay: what stands between the nodes of a campaign: connections that are passed on, late or not at all.
 *
 * Orders come a line each on standard input: `listen PORT HOST PORT A B` (A reaches B's HOST:PORT by 127.0.0.1:PORT), `ready` (answered by
 * "ready"), `delay A B LOW HIGH` (milliseconds, whichever of the two sends; 0 0: none), `cut A B`, `join A B`. What is cut stands still:
 * nothing is read, accepted or written, and goes on when it is joined. Order within a connection stays. The end of the input ends all. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MAX = 4096, POLLS_MAX = 16384, NAME_SZ = 24, CHUNK_SZ = 64 << 10, QUEUE_SZ = 4 << 20 };

typedef struct chunk {
    struct chunk *next;
    uint64_t due;
    size_t n, sent;
    char bytes[];
} chunk;
typedef struct way { /* from one side to the other */
    chunk *first, *last;
    size_t queued;
    uint64_t last_due;
    bool ended, told; /* nothing more comes; the other side knows */
} way;
typedef struct pair { /* a listener: from reaches to */
    char from[NAME_SZ], to[NAME_SZ];
    int listener;
    struct sockaddr_in target;
    uint32_t low, high;
    bool cut;
} pair;
typedef struct connection {
    struct connection *next;
    pair *pair;
    int fd[2];
    bool connecting, broken;
    way ways[2]; /* ways[i]: what fd[i] says */
} connection;

static pair pairs[PAIRS_MAX];
static uint32_t pair_cnt;
static connection *connections;
static struct pollfd polls[POLLS_MAX];

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void give_up(const char *why)
{
    (void)fprintf(stderr, "relay: %s\n", why);
    exit(3);
}

static int prepared(int fd)
{
    int one = 1;
    if (fd < 0) return fd;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0) give_up("an address that is none");
    struct sockaddr_in address = *(struct sockaddr_in *)found->ai_addr;
    freeaddrinfo(found);
    return address;
}

/* ---- orders ---- */

static void listen_for(char *word[])
{
    int one = 1;
    if (pair_cnt == PAIRS_MAX) give_up("too many listeners");
    pair *p = &pairs[pair_cnt++];
    struct sockaddr_in here = address_of("127.0.0.1", word[1]);
    p->target = address_of(word[2], word[3]);
    (void)snprintf(p->from, sizeof p->from, "%s", word[4]);
    (void)snprintf(p->to, sizeof p->to, "%s", word[5]);
    p->listener = prepared(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    (void)setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(p->listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(p->listener, 64) != 0) give_up("a port is taken");
}

static bool is_between(const pair *p, const char *a, const char *b)
{
    return (strcmp(p->from, a) == 0 && strcmp(p->to, b) == 0) || (strcmp(p->from, b) == 0 && strcmp(p->to, a) == 0);
}

static void obey(char *line)
{
    char *word[6] = {0}, *rest = NULL;
    uint32_t n = 0;
    for (char *w = strtok_r(line, " \n", &rest); w != NULL && n < 6; w = strtok_r(NULL, " \n", &rest)) word[n++] = w;
    if (n == 6 && strcmp(word[0], "listen") == 0) {
        listen_for(word);
    } else if (n == 1 && strcmp(word[0], "ready") == 0) {
        (void)puts("ready");
        (void)fflush(stdout);
    } else if (n >= 3) {
        for (uint32_t i = 0; i < pair_cnt; i++) {
            if (!is_between(&pairs[i], word[1], word[2])) continue;
            if (strcmp(word[0], "cut") == 0) pairs[i].cut = true;
            if (strcmp(word[0], "join") == 0) pairs[i].cut = false;
            if (strcmp(word[0], "delay") == 0 && n == 5) pairs[i].low = (uint32_t)atoi(word[3]), pairs[i].high = (uint32_t)atoi(word[4]);
        }
    }
}

static void take_orders(void)
{
    static char text[8192];
    static size_t n;
    ssize_t got = read(STDIN_FILENO, text + n, sizeof text - 1 - n);
    if (got == 0) exit(0);
    if (got < 0) return;
    n += (size_t)got;
    text[n] = '\0';
    for (char *end; (end = strchr(text, '\n')) != NULL;) {
        *end = '\0';
        size_t used = (size_t)(end + 1 - text);
        obey(text);
        memmove(text, text + used, n - used + 1);
        n -= used;
    }
}

/* ---- connections ---- */

static void accept_from(pair *p)
{
    int fd = prepared(accept(p->listener, NULL, NULL));
    if (fd < 0) return;
    connection *c = calloc(1, sizeof *c);
    if (c == NULL) give_up("out of memory");
    c->pair = p;
    c->fd[0] = fd;
    c->fd[1] = prepared(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    c->connecting = true;
    if (c->fd[1] < 0 || (connect(c->fd[1], (struct sockaddr *)&p->target, sizeof p->target) != 0 && errno != EINPROGRESS)) c->broken = true;
    c->next = connections;
    connections = c;
}

static void hear(connection *c, int side)
{
    way *w = &c->ways[side];
    chunk *k = malloc(sizeof *k + CHUNK_SZ);
    if (k == NULL) give_up("out of memory");
    ssize_t got = read(c->fd[side], k->bytes, CHUNK_SZ);
    if (got <= 0) {
        if (got == 0) w->ended = true;
        else if (errno != EAGAIN && errno != EINTR) c->broken = true;
        free(k);
        return;
    }
    chunk *fit = realloc(k, sizeof *k + (size_t)got);
    if (fit != NULL) k = fit;
    uint32_t spread = c->pair->high - c->pair->low;
    k->due = now_ms() + c->pair->low + (spread != 0 ? (uint32_t)rand() % (spread + 1) : 0);
    if (k->due < w->last_due) k->due = w->last_due;
    w->last_due = k->due;
    k->n = (size_t)got;
    k->sent = 0;
    k->next = NULL;
    if (w->last != NULL) w->last->next = k;
    else w->first = k;
    w->last = k;
    w->queued += k->n;
}

static void say(connection *c, int from, uint64_t now)
{
    way *w = &c->ways[from];
    while (w->first != NULL && w->first->due <= now) {
        chunk *k = w->first;
        ssize_t put = send(c->fd[1 - from], k->bytes + k->sent, k->n - k->sent, MSG_NOSIGNAL);
        if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (put < 0) {
            c->broken = true;
            return;
        }
        k->sent += (size_t)put;
        if (k->sent < k->n) return;
        w->queued -= k->n;
        w->first = k->next;
        if (w->first == NULL) w->last = NULL;
        free(k);
    }
    if (w->first == NULL && w->ended && !w->told) {
        w->told = true;
        (void)shutdown(c->fd[1 - from], SHUT_WR);
    }
}

static void serve(connection *c, const struct pollfd p[2], uint64_t now)
{
    if (c->connecting && p[1].revents != 0) {
        int error = 0;
        socklen_t n = sizeof error;
        (void)getsockopt(c->fd[1], SOL_SOCKET, SO_ERROR, &error, &n);
        if (error != 0) c->broken = true;
        c->connecting = false;
    }
    for (int side = 0; side < 2 && !c->broken; side++)
        if ((p[side].events & POLLIN) != 0 && (p[side].revents & (POLLIN | POLLHUP | POLLERR)) != 0) hear(c, side);
    if (c->connecting || c->pair->cut) return;
    for (int side = 0; side < 2 && !c->broken; side++) say(c, side, now);
}

static void sweep(void)
{
    for (connection **at = &connections; *at != NULL;) {
        connection *c = *at;
        if (!c->broken && !(c->ways[0].told && c->ways[1].told)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        for (int i = 0; i < 2; i++) {
            for (chunk *k = c->ways[i].first, *next; k != NULL; k = next) next = k->next, free(k);
            if (c->fd[i] >= 0) (void)close(c->fd[i]);
        }
        free(c);
    }
}

/* What a side is asked for; -1 where nothing: poll would tell its end again and again. */
static struct pollfd wish(const connection *c, int side, uint64_t now, uint64_t *ret_due)
{
    struct pollfd p = {.fd = c->fd[side]};
    const way *in = &c->ways[side], *out = &c->ways[1 - side];
    if (!c->pair->cut) {
        if (side == 1 && c->connecting) p.events |= POLLOUT;
        else if (!in->ended && in->queued < QUEUE_SZ) p.events |= POLLIN;
        if (!c->connecting && out->first != NULL) {
            if (out->first->due <= now) p.events |= POLLOUT;
            else if (out->first->due < *ret_due) *ret_due = out->first->due;
        }
    }
    if (p.events == 0) p.fd = -1;
    return p;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    for (;;) {
        uint64_t now = now_ms(), due = now + 1000;
        uint32_t n = 0, asked = pair_cnt;
        polls[n++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        for (uint32_t i = 0; i < asked; i++) polls[n++] = (struct pollfd){.fd = pairs[i].cut ? -1 : pairs[i].listener, .events = POLLIN};
        uint32_t first = n;
        for (connection *c = connections; c != NULL; c = c->next, n += 2) {
            if (n + 2 > POLLS_MAX) give_up("too many connections");
            for (int side = 0; side < 2; side++) polls[n + (uint32_t)side] = wish(c, side, now, &due);
        }
        if (poll(polls, n, (int)(due - now)) < 0 && errno != EINTR) give_up("poll");
        now = now_ms();
        n = first;
        for (connection *c = connections; c != NULL; c = c->next, n += 2) serve(c, &polls[n], now);
        for (uint32_t i = 0; i < asked; i++)
            if (polls[1 + i].revents != 0) accept_from(&pairs[i]);
        if (polls[0].revents != 0) take_orders();
        sweep();
    }
}
