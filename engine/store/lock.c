/* lock: DIR/lock, flock'ed by the one writer, with its pid in it so that who waits can be told; a daemon adds a second line:
 * where it answers instead. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "store/parts.h"

#define POLL_NS 5000000L

/* owner_of reads who has the lock; what is no printable URL is none. */
static void owner_of(int fd, kh_store_report *report)
{
    char buf[16 + KH_STORE_URL_MAX] = {0}, *end;
    if (pread(fd, buf, sizeof buf - 1, 0) <= 0) return;
    report->lock_pid = (uint32_t)strtoul(buf, &end, 10);
    if (end[0] != '\n' || strncmp(end + 1, "https://", 8) != 0) return;
    size_t n = strcspn(end + 1, "\n");
    if (n >= sizeof report->lock_url) return;
    for (size_t i = 1; i <= n; i++)
        if (end[i] <= ' ' || end[i] > '~') return;
    memcpy(report->lock_url, end + 1, n);
    report->lock_url[n] = '\0';
}

kh_err kh_lock_take(const kh_home *home, uint32_t wait_ms, kh_store_report *report, kh_lock *ret)
{
    char path[KH_PATH_MAX], pid[32];
    struct timespec start, now, nap = {0, POLL_NS};
    if (home->private_disk) {
        ret->fd = -1;
        return KH_OK;
    }
    int fd = open(kh_home_path(home, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        kh_say(report, path, "the lock file cannot be opened: %s", strerror(errno));
        return KH_E_IO;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            kh_say(report, path, "the lock cannot be taken: %s", strerror(errno));
            (void)close(fd);
            return KH_E_IO;
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t waited_ms = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
        if (waited_ms >= (int64_t)wait_ms) {
            if (report != NULL) {
                owner_of(fd, report);
                kh_say(report, path, "process %u is writing to this directory", report->lock_pid);
            }
            (void)close(fd);
            return KH_E_BUSY;
        }
        (void)nanosleep(&nap, NULL);
    }
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
        kh_say(report, path, "the lock file cannot be written: %s", strerror(errno));
        (void)close(fd);
        return errno == ENOSPC ? KH_E_NOSPACE : KH_E_IO;
    }
    ret->fd = fd;
    return KH_OK;
}

bool kh_lock_is_closed(const kh_home *home)
{
    char path[KH_PATH_MAX];
    if (home->private_disk || access(kh_home_path(home, "back", path), F_OK) == 0) return false;
    bool there = access(kh_home_path(home, "lock", path), W_OK) == 0 || (errno == ENOENT && access(home->dir, W_OK) == 0);
    return !there && (errno == EACCES || errno == EROFS || errno == EPERM);
}

kh_err kh_lock_announce(const kh_lock *lock, const char *url)
{
    char text[16 + KH_STORE_URL_MAX];
    if (lock->fd < 0 || strlen(url) >= KH_STORE_URL_MAX) return KH_E_ARG;
    int n = snprintf(text, sizeof text, "%d\n%s\n", (int)getpid(), url);
    if (pwrite(lock->fd, text, (size_t)n, 0) != n || ftruncate(lock->fd, n) != 0) return errno == ENOSPC ? KH_E_NOSPACE : KH_E_IO;
    return KH_OK;
}

void kh_lock_drop(kh_lock *lock)
{
    if (lock->fd >= 0) (void)close(lock->fd);
    lock->fd = -1;
}
