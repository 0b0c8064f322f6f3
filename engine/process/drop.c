/* drop: capabilities are each thread's own, and a thread drops nobody's but its own: all are told by a signal. */
#include "process/drop.h"
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "process/privilege.h"

#define TELLING SIGUSR2 /* nothing else uses it */
#define PATIENCE_MS 5000

static struct __user_cap_data_struct wanted[2]; /* written before any thread is told */
static atomic_uint good_cnt, bad_cnt;

static bool drop_own(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capset, &header, wanted) == 0;
}

static void on_told(int sig)
{
    int before = errno;
    (void)sig;
    atomic_fetch_add(drop_own() ? &good_cnt : &bad_cnt, 1);
    errno = before;
}

/* Tells every thread but this one; false: one did not answer. */
static bool tell_all(uint32_t *ret_cnt)
{
    uint32_t told = 0;
    DIR *threads = opendir("/proc/self/task");
    if (threads == NULL) return false;
    atomic_store(&good_cnt, 0);
    for (const struct dirent *e; (e = readdir(threads)) != NULL;) {
        long id = strtol(e->d_name, NULL, 10);
        if (id > 0 && id != syscall(SYS_gettid)) told += syscall(SYS_tgkill, getpid(), id, TELLING) == 0;
    }
    (void)closedir(threads);
    for (int ms = 0; atomic_load(&good_cnt) < told && atomic_load(&bad_cnt) == 0 && ms < PATIENCE_MS; ms++) (void)usleep(1000);
    *ret_cnt = told;
    return atomic_load(&good_cnt) >= told && atomic_load(&bad_cnt) == 0;
}

bool kh_privilege_drop(uint32_t keep, char *why, size_t cap)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct sigaction telling = {.sa_handler = on_told, .sa_flags = SA_RESTART}, before;
    uint64_t kept = kh_privilege_capabilities(keep);
    bool good = syscall(SYS_capget, &header, wanted) == 0;
    for (unsigned half = 0; half < 2; half++) {
        wanted[half].permitted &= (uint32_t)(kept >> (32 * half));
        wanted[half].effective = wanted[half].permitted;
        wanted[half].inheritable = 0;
    }
    for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
        if ((kept >> c & 1) == 0) (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    (void)sigemptyset(&telling.sa_mask);
    good = good && sigaction(TELLING, &telling, &before) == 0 && drop_own();
    /* Again while threads come: one that was made by another not yet told has what that one had. */
    for (uint32_t cnt = 0, last = UINT32_MAX; good && cnt != last;) {
        last = cnt;
        good = tell_all(&cnt);
    }
    if (!good) (void)snprintf(why, cap, "the capabilities of every thread cannot be dropped: %s", strerror(errno));
    else (void)sigaction(TELLING, &before, NULL);
    return good;
}
