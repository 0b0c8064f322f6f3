/* notify: tells systemd (or any supervisor that set NOTIFY_SOCKET) how we are: sd_notify's protocol, by hand. */
#ifndef KH_PROCESS_NOTIFY_H
#define KH_PROCESS_NOTIFY_H
#include "base/base.h"

typedef struct kh_notify {
    int fd; /* -1: nobody asked */
} kh_notify;
/* kh_notify_open connects to $NOTIFY_SOCKET and forgets the variable; before rights are dropped. */
kh_notify kh_notify_open(void);
void kh_notify_close(kh_notify *n);
/* kh_notify_say sends "READY=1", "STOPPING=1", "STATUS=…", "WATCHDOG=1"; lines are separated by a line feed. Any thread. */
void kh_notify_say(const kh_notify *n, const char *text);
/* kh_notify_watchdog_ns: how often WATCHDOG=1 is expected at the latest; 0: never. */
uint64_t kh_notify_watchdog_ns(void);
#endif
