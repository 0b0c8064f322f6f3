/* Runs: many datagrams by one call. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "client/runs.h"

enum { SOON = 2000, N = 200 };

static uint8_t bytes[N][1452];
static struct iovec parts[N];

static void pair(int *ret_from, int *ret_to)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int room = 4 << 20;
    *ret_to = socket(AF_INET, SOCK_DGRAM, 0);
    *ret_from = socket(AF_INET, SOCK_DGRAM, 0);
    (void)setsockopt(*ret_to, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    cr_assert(bind(*ret_to, (struct sockaddr *)&at, n) == 0 && getsockname(*ret_to, (struct sockaddr *)&at, &n) == 0);
    cr_assert(connect(*ret_from, (struct sockaddr *)&at, n) == 0);
}

/* Lengths that rise, fall and stay; small enough that all wait in the socket at once. */
static uint32_t size_of(uint32_t i) { return i < 70 ? 100 : i < 75 ? 1452 : 1 + i * 7 % 90; }

static void make(void)
{
    for (uint32_t i = 0; i < N; i++) {
        memset(bytes[i], (int)i, size_of(i));
        parts[i] = (struct iovec){bytes[i], size_of(i)};
    }
}

static void all_came(int fd)
{
    uint8_t in[2048];
    for (uint32_t i = 0; i < N; i++) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        cr_assert(poll(&ready, 1, SOON) == 1, "datagram %u of %u", i, N);
        ssize_t got = recv(fd, in, sizeof in, 0);
        cr_assert(got == (ssize_t)size_of(i), "datagram %u has %zd bytes of %u", i, got, size_of(i));
        for (ssize_t k = 0; k < got; k++) cr_assert(in[k] == (uint8_t)i);
    }
}

Test(runs, each_comes_as_it_was_given)
{
    int from, to;
    bool apart = false;
    pair(&from, &to);
    make();
    kh_runs_send(from, parts, 0, &apart);
    kh_runs_send(from, parts, N, &apart);
    all_came(to);
    cr_assert(!apart, "loopback takes runs");
    apart = true;
    kh_runs_send(from, parts, N, &apart);
    all_came(to);
    close(from);
    close(to);
}

static uint32_t taken;
static void take(void *ctx, uint8_t *p, uint32_t n)
{
    uint32_t i = taken++;
    (void)ctx;
    cr_assert(i < N && n == size_of(i), "datagram %u has %u bytes of %u", i, n, size_of(i));
    for (uint32_t k = 0; k < n; k++) cr_assert(p[k] == (uint8_t)i);
    memset(p, 0xee, n); /* lent: what follows must not be touched by that */
}

Test(runs, what_comes_in_runs_is_cut)
{
    int from, to;
    bool apart = false;
    pair(&from, &to);
    kh_inbox *inbox = kh_inbox_new(to);
    cr_assert(inbox != NULL);
    make();
    for (int round = 0; round < 3; round++) {
        apart = round == 2;
        taken = 0;
        kh_runs_send(from, parts, N, &apart);
        while (taken < N) {
            struct pollfd ready = {.fd = to, .events = POLLIN};
            cr_assert(poll(&ready, 1, SOON) == 1, "datagram %u of %u", taken, N);
            uint32_t before = taken, got = kh_runs_receive(to, inbox, take, NULL);
            cr_assert(got == taken - before);
        }
    }
    cr_assert(kh_runs_receive(to, inbox, take, NULL) == 0, "nothing has come");
    kh_inbox_free(inbox);
    close(from);
    close(to);
}

/* A socket without checksums takes no runs (the kernel computes them as it cuts). */
Test(runs, one_after_another_where_runs_are_refused)
{
    int from, to, on = 1;
    bool apart = false;
    pair(&from, &to);
    cr_assert(setsockopt(from, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0);
    make();
    kh_runs_send(from, parts, N, &apart);
    all_came(to);
    cr_assert(apart);
    close(from);
    close(to);
}

/* Nobody listens: that is told once, and takes nothing else along. */
Test(runs, a_refusal_by_the_other_side)
{
    int from, to, again;
    bool apart = false;
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    pair(&from, &to);
    make();
    cr_assert(getsockname(to, (struct sockaddr *)&at, &n) == 0);
    close(to);
    kh_runs_send(from, parts, 70, &apart);
    again = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert(bind(again, (struct sockaddr *)&at, n) == 0);
    kh_runs_send(from, parts, N, &apart); /* the first call is refused; what it was to send goes all the same */
    all_came(again);
    cr_assert(!apart);
    close(from);
    close(again);
}
