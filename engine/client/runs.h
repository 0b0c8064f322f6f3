/* runs: datagrams to and from one peer, many by one system call.
 *
 * Those of one length, and a shorter one at the end, go through the kernel's layers as one message that is cut into datagrams at
 * the end (UDP_SEGMENT, Linux 4.18): who reads them finds them together, and answers them together. What the kernel refuses so
 * goes one after another. What comes in runs is taken uncut and cut here (UDP_GRO, Linux 5.0); an older kernel cuts it before. */
#ifndef KH_CLIENT_RUNS_H
#define KH_CLIENT_RUNS_H
#include "base/base.h"
#include <sys/uio.h>

#define KH_RUNS_MAX 256u

/* kh_runs_length: how many of parts[0 .. n - 1], n >= 1, go as one run. */
uint32_t kh_runs_length(const struct iovec parts[], uint32_t n);
/* kh_runs_send sends parts[0 .. n - 1], n <= KH_RUNS_MAX, in their order through fd, a connected socket that blocks. What cannot
   be sent is lost, as any datagram may be. *apart, false at first and the caller's to keep: this way takes no runs. */
void kh_runs_send(int fd, struct iovec parts[], uint32_t n, bool *apart);

/* kh_inbox: memory for what comes, a few pages of it until runs come. kh_inbox_new also asks for runs on fd; NULL: no memory. */
typedef struct kh_inbox kh_inbox;
kh_inbox *kh_inbox_new(int fd);
void kh_inbox_free(kh_inbox *inbox); /* NULL is nothing */
/* kh_runs_receive takes what has come through fd, without waiting: take is called for each datagram, whose n bytes are lent until
   it returns and may be written to. Returns how many there were. */
uint32_t kh_runs_receive(int fd, kh_inbox *inbox, void (*take)(void *ctx, uint8_t *p, uint32_t n), void *ctx);
#endif
