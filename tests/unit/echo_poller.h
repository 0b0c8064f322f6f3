/* echo_poller: a poller that needs no service: it answers each datagram with its own bytes, the first one changed in case, so
 * that what moves datagrams is tested alone. A datagram that begins with 'd' is dropped; with 'l', answered late, from the next
 * round on. */
#ifndef KH_TESTS_ECHO_POLLER_H
#define KH_TESTS_ECHO_POLLER_H
#include "ingest/front.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ECHO_LATE_MAX 256u
typedef struct echo_poller {
    int event_fd;
    bool asleep, running;
    uint32_t first, cnt; /* of late */
    struct {
        uint8_t bytes[KH_DATAGRAM_MAX_SZ], peer[KH_PACKET_PEER_SZ];
        uint32_t n;
    } late[ECHO_LATE_MAX];
} echo_poller;

static inline echo_poller *echo_of(const kh_poller *p) { return (echo_poller *)(uintptr_t)p; }
static inline kh_poller *echo_new(void)
{
    echo_poller *e = calloc(1, sizeof *e);
    if (e != NULL) e->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return (kh_poller *)e;
}
static inline void echo_free(kh_poller *p)
{
    KH_ASSERT(!echo_of(p)->running);
    close(echo_of(p)->event_fd);
    free(p);
}
static inline void echo_begin(kh_poller *p) { echo_of(p)->running = true; }
static inline void echo_end(kh_poller *p) { echo_of(p)->running = false; }
static inline void echo_burst(kh_poller *p, kh_packet *const packets[], uint32_t n, uint64_t now_ns)
{
    echo_poller *e = echo_of(p);
    KH_ASSERT(e->running && !e->asleep && n <= KH_BURST_MAX && now_ns > 0);
    for (uint32_t i = 0; i < n; i++) {
        kh_packet *packet = packets[i];
        KH_ASSERT(packet->cap >= packet->n && packet->n <= KH_DATAGRAM_MAX_SZ);
        if (packet->n == 0) continue;
        if (packet->p[0] == 'l' && e->cnt < ECHO_LATE_MAX) {
            uint32_t at = (e->first + e->cnt++) % ECHO_LATE_MAX;
            memcpy(e->late[at].bytes, packet->p, packet->n);
            memcpy(e->late[at].peer, packet->peer, KH_PACKET_PEER_SZ);
            e->late[at].n = packet->n;
            packet->n = 0;
        } else if (packet->p[0] == 'd') {
            packet->n = 0;
        } else {
            packet->p[0] ^= 0x20;
        }
    }
}
static inline uint32_t echo_late_cnt(const kh_poller *p) { return echo_of(p)->cnt; }
static inline bool echo_late(kh_poller *p, kh_packet *ret)
{
    echo_poller *e = echo_of(p);
    if (e->cnt == 0) return false;
    memcpy(ret->p, e->late[e->first].bytes, e->late[e->first].n);
    memcpy(ret->peer, e->late[e->first].peer, KH_PACKET_PEER_SZ);
    ret->n = e->late[e->first].n;
    ret->p[0] = 'L';
    e->first = (e->first + 1) % ECHO_LATE_MAX;
    e->cnt--;
    return true;
}
static inline void echo_sleep(kh_poller *p) { echo_of(p)->asleep = true; }
static inline void echo_wake(kh_poller *p) { echo_of(p)->asleep = false; }
static inline int echo_event_fd(const kh_poller *p) { return echo_of(p)->event_fd; }

static const kh_front_work echo_work = {echo_begin, echo_end,   echo_burst, echo_late_cnt,
                                        echo_late,  echo_sleep, echo_wake,  echo_event_fd};
#endif
