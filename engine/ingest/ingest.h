/* ingest: moves datagrams between the network and the service's pollers; it never looks inside them.
 *
 * One thread a poller runs one loop: receive a burst, kh_poller_burst, send what it left, send late answers; empty rounds spin
 * for a while, then the poller sleeps. Two front ends run that loop (front.h):
 *
 *   udp.c   kernel sockets: recvmmsg and sendmmsg, a socket a poller and address (SO_REUSEPORT)
 *   dpdk.c  any DPDK port; answers ARP, neighbour discovery and echo requests itself. A module that is loaded only where it is
 *           configured, so that nothing else needs libdpdk
 *
 * Peers   whatever a peer sends, or when it leaves, the process lives on: what does not parse is dropped and counted. DPDK's
 * memif driver cannot keep that promise (its polling side can crash when a peer leaves under load): a net_memif port is refused
 *         unless trust_peers says that its peer is known and leaves last. net_vhost keeps it.
 * Threads start, stop: one thread. metrics, port: any, between them. The pollers' threads block every signal.
 * Memory  all taken by start. Bounds: 64 pollers, 4 addresses, 8 DPDK ports.
 * DPDK    can be started once in a process, and no process may be forked off after it. */
#ifndef KH_INGEST_INGEST_H
#define KH_INGEST_INGEST_H
#include "service/poller.h"

#define KH_INGEST_POLLERS_MAX 64u
#define KH_INGEST_ADDRESSES_MAX 4u

typedef struct kh_ingest kh_ingest;
typedef struct kh_ingest_options {
    kh_service *service;
    const kh_clock *clock;   /* NULL: the machine's */
    const char *listen;      /* "127.0.0.1:8444", "[::1]:8444"; up to 4 with commas between, of one port. Port 0: any free one.
                                With DPDK: the port's own addresses, none of them a wildcard, the port not 0 */
    uint32_t poller_cnt;     /* 1 .. 64: threads, and queues a DPDK port */
    const int *cpus;         /* poller_cnt processors to be bound to; NULL: not bound */
    const char *dpdk;        /* arguments of DPDK's EAL with blanks between; NULL: kernel sockets. What it does not say is added:
                                --no-pci without -a, -l, --file-prefix, --no-telemetry, a log level, and --in-memory where huge
                                pages are free, else --no-huge */
    const char *dpdk_module; /* file of the DPDK front end; NULL: beside the program, or where it was installed */
    bool trust_peers;        /* lets net_memif ports pass */
    uint32_t spin_us;        /* empty rounds for so long before a poller sleeps; 0: 50 (kernel sockets, at most: udp.h), 1,000
                                (DPDK). UINT32_MAX: never sleeps */
    /* opened (may be NULL) is called once, when sockets or devices are open and before the pollers' threads exist, which
       inherit what it does to the process; false, with a sentence in why: the start fails. */
    bool (*opened)(void *ctx, char *why, size_t cap);
    void *opened_ctx;
} kh_ingest_options;

/* kh_ingest_start: KH_E_ARG, KH_E_IO, KH_E_NOMEM, KH_E_NOT_FOUND (no DPDK front end), what kh_poller_new said; why tells it in a
   sentence. */
KH_MUST kh_err kh_ingest_start(const kh_ingest_options *options, char *why, size_t cap, kh_ingest **ret);
uint16_t kh_ingest_port(const kh_ingest *ingest);
/* kh_ingest_stop ends the threads and frees everything; datagrams on their way are their senders' to send again. */
void kh_ingest_stop(kh_ingest *ingest);
/* kh_ingest_metrics gives every counter of every poller: Prometheus names, labels poller="0". */
void kh_ingest_metrics(kh_ingest *ingest,
                       void (*each)(void *ctx, const char *name, const char *help, const char *labels, uint64_t value),
                       void *ctx);
#endif
