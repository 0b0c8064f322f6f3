/* poller: one core's datagrams: payloads come in, replies go out in their place. It moves no packets: ingest does.
 *
 * A burst is opened, decoded, looked up together, passed through access and limits, encoded and sealed in place. What a poller
 * must not wait for goes to the service's desk and is answered late: operations (after their commit), and questions that need the
 * settled state while the applier works on it. What is unknown, expired, replayed, cut, too long, altered, or of a frozen party
 * is dropped and counted, never answered.
 *
 * Threads  new, free: any thread, the poller not running. begin .. end and all between: the polling thread, which is an RCU
 * reader of the index meanwhile. event_fd: any. Memory   all taken by new. burst: no allocation, no waiting, no system call (but
 * a wake of the desk where it sleeps and has work, once a burst at most). Bounds   KH_LATE_MAX datagrams a poller wait at the
 * desk, three eighths of them one party's and three quarters operations; beyond that they are dropped and counted, and the client
 * sends again. */
#ifndef KH_SERVICE_POLLER_H
#define KH_SERVICE_POLLER_H
#include "service/service.h"
#include "wire/query.h"

#define KH_BURST_MAX 64u
#define KH_LATE_MAX 4096u
#define KH_PACKET_PEER_SZ 64u

typedef struct kh_packet {
    uint8_t *p;      /* the UDP payload; the reply is written here */
    uint32_t n, cap; /* bytes; after the burst n = 0: send nothing. No reply of a burst is longer than its request */
    uint8_t peer[KH_PACKET_PEER_SZ]; /* ingest's own: where the reply goes; carried along for late answers */
} kh_packet;

typedef struct kh_poller kh_poller;
KH_MUST kh_err kh_poller_new(kh_service *service, uint32_t number, kh_poller **ret); /* number < poller_cnt, each once */
void kh_poller_free(kh_poller *poller);                                              /* NULL is nothing; after kh_poller_end */
void kh_poller_begin(kh_poller *poller);
void kh_poller_end(kh_poller *poller);
/* kh_poller_burst: n <= KH_BURST_MAX; now_ns: the clock's monotonic time. Announces a quiescent state. */
void kh_poller_burst(kh_poller *poller, kh_packet *const packets[], uint32_t n, uint64_t now_ns);
/* kh_poller_late_cnt: late answers that wait. kh_poller_late gives the next in ret->p (cap >= KH_DATAGRAM_MAX_SZ), n and peer;
   false: none. One that is given may have n = 0: its session ended meanwhile. */
uint32_t kh_poller_late_cnt(const kh_poller *poller);
KH_MUST bool kh_poller_late(kh_poller *poller, kh_packet *ret);
/* Around blocking: between sleep and wake the event descriptor becomes readable when a late answer comes (or waits already). */
void kh_poller_sleep(kh_poller *poller);
void kh_poller_wake(kh_poller *poller);
int kh_poller_event_fd(const kh_poller *poller);
#endif
