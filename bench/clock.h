/* clock: what benchmarks measure time with, in seconds. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H
#include <sys/resource.h>
#include <time.h>

static inline double clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline double clock_now(void) { return clock_of(CLOCK_MONOTONIC); }
/* Of this thread; neighbours on the machine disturb it less. */
static inline double clock_of_thread(void) { return clock_of(CLOCK_THREAD_CPUTIME_ID); }

/* Processor time of this process so far: all threads, and the kernel's work for them. */
static inline double clock_of_process(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
#endif
