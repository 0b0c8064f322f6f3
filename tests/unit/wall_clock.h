/* wall_clock: a program's wall clock that a test sets: wall_ahead_s ahead of the kernel's, as it is to one who asked just before
 * the clock was set back. For one file of a program. */
#ifndef KH_TESTS_WALL_CLOCK_H
#define KH_TESTS_WALL_CLOCK_H
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic long wall_ahead_s;

int clock_gettime(clockid_t which, struct timespec *ret)
{
    long rc = syscall(SYS_clock_gettime, which, ret);
    if (rc == 0 && which == CLOCK_REALTIME) ret->tv_sec += wall_ahead_s;
    return (int)rc;
}
#endif
