/* wrong_clock: preloaded (LD_PRELOAD) into a program, a wall clock that is WRONG_CLOCK_S seconds ahead, or behind where that is
 * negative. Clocks that do not tell the day are left alone; so are programs that ask the kernel without the C library, as
 * CometBFT does. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#pragma GCC visibility push(default)

/* Looked up when first asked: libraries that are loaded before this one ask, too. */
int clock_gettime(clockid_t which, struct timespec *ret)
{
    static int (*real_clock)(clockid_t, struct timespec *);
    static long ahead_s;
    if (real_clock == NULL) {
        const char *said = getenv("WRONG_CLOCK_S");
        ahead_s = said != NULL ? atol(said) : 0;
        real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real_clock(which, ret);
    if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) ret->tv_sec += ahead_s;
    return result;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    if (ret != NULL) *ret = now.tv_sec;
    return now.tv_sec;
}
