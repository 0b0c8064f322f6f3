/* notify: see notify.h. */
#include "process/notify.h"
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

kh_notify kh_notify_open(void)
{
    kh_notify n = {-1};
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) return n;
    size_t size = strlen(path);
    memcpy(to.sun_path, path, size);
    if (path[0] == '@') to.sun_path[0] = '\0'; /* the abstract name space */
    n.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n.fd >= 0 && connect(n.fd, (const struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) != 0)
        kh_notify_close(&n);
    (void)unsetenv("NOTIFY_SOCKET");
    return n;
}

void kh_notify_close(kh_notify *n)
{
    if (n->fd >= 0) (void)close(n->fd);
    n->fd = -1;
}

void kh_notify_say(const kh_notify *n, const char *text)
{
    /* Lost where the supervisor does not listen: it is the one who wants to know. */
    if (n->fd >= 0) (void)send(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

uint64_t kh_notify_watchdog_ns(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (us == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())) return 0;
    return strtoull(us, NULL, 10) * 1000;
}
