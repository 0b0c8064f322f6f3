/* host: this machine's clock and entropy. */
#include "host/host.h"
#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;
    KH_ASSERT(clock_gettime(id, &ts) == 0);
    return ts.tv_sec < 0 ? 0 : (uint64_t)ts.tv_sec * KH_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t clock_now(void *self)
{
    (void)self;
    return read_clock(CLOCK_REALTIME);
}

static uint64_t clock_monotonic(void *self)
{
    (void)self;
    return read_clock(CLOCK_MONOTONIC);
}

kh_clock kh_host_clock(void) { return (kh_clock){.now = clock_now, .monotonic = clock_monotonic}; }

static kh_err entropy_fill(void *self, void *p, size_t n)
{
    (void)self;
    uint8_t *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return KH_E_IO;
        at += got;
        n -= (size_t)got;
    }
    return KH_OK;
}

kh_entropy kh_host_entropy(void) { return (kh_entropy){.fill = entropy_fill}; }
