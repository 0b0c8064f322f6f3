/* connections: how many there may be, of whom, and for how long.
 *
 * A connection is proven once a request on it came from a party. One mutex guards the table; nothing waits inside it. A
 * connection is closed from outside by shutting its socket down: its polling thread sees that and ends it in the ordinary way,
 * and since the socket is closed only after kh_connections_end, the number cannot be another's by then. */
#include "http/inside.h"
#include "service/limits.h"
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

#define NOTHING_YET_S 10 /* until an unproven connection's next request is complete */
#define MOVING_S 10      /* body or answer: this long, and a second for each MOVING_BYTES */
#define MOVING_BYTES (64u << 10)
#define LOOKED_AT 16 /* of the longest idle, for one that has sent nothing */
#define SLACK 1024   /* connections on their way out, beside as many as there may be */
#define TICK_MS 250
#define PARTIES 4096u /* counters of parties' connections; two that fall together share a quarter */
#define PARTY_LEAST 16u

typedef struct address_entry {
    uint8_t bytes[16];
    uint32_t live, unproven, proven, next; /* next: in its bucket, or free */
} address_entry;

typedef struct list {
    kh_connection *first, *last; /* idle longest first */
} list;

struct kh_connections {
    pthread_mutex_t lock;
    pthread_cond_t ending;
    pthread_t sweeper;
    bool sweeping, end;
    uint32_t max, per_address, per_party, idle_s, slots, live, bucket_cnt;
    uint32_t of_party[PARTIES]; /* proven and not closing */
    kh_connection *table;
    uint32_t *free_slots, free_cnt;
    list unproven, proven;
    address_entry *addresses; /* [0] is none */
    uint32_t *buckets, free_address;
    uint8_t secret[16];
    kh_connection_counts counts;
};

static list *list_of(kh_connections *c, const kh_connection *conn) { return conn->proven ? &c->proven : &c->unproven; }

static void list_add(list *l, kh_connection *conn)
{
    conn->prev = l->last;
    conn->next = NULL;
    if (l->last != NULL) l->last->next = conn;
    else l->first = conn;
    l->last = conn;
}

static void list_remove(list *l, kh_connection *conn)
{
    if (conn->prev != NULL) conn->prev->next = conn->next;
    else l->first = conn->next;
    if (conn->next != NULL) conn->next->prev = conn->prev;
    else l->last = conn->prev;
    conn->prev = conn->next = NULL;
}

/* address_bytes: IPv4 as ::ffff:a.b.c.d, of IPv6 the network's half: who has one address there has them all. */
static void address_bytes(const struct sockaddr *address, uint8_t ret[16])
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    memset(ret, 0, 16);
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(in)) memcpy(ret, in->s6_addr, 16);
        else memcpy(ret, in->s6_addr, 8);
    } else if (address->sa_family == AF_INET) {
        memcpy(ret, v4, sizeof v4);
        memcpy(ret + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    }
}

bool kh_connections_limit(kh_limits *limits, const struct sockaddr *address)
{
    uint8_t bytes[16];
    address_bytes(address, bytes);
    return kh_limits_address(limits, bytes, kh_http_now_ns());
}

static uint32_t *bucket_of(kh_connections *c, const uint8_t bytes[16])
{
    uint8_t keyed[32];
    memcpy(keyed, bytes, 16);
    memcpy(keyed + 16, c->secret, 16);
    return &c->buckets[kh_xxh3(keyed, sizeof keyed) & (c->bucket_cnt - 1)];
}

static uint32_t address_find(kh_connections *c, const uint8_t bytes[16])
{
    uint32_t i = *bucket_of(c, bytes);
    while (i != 0 && memcmp(c->addresses[i].bytes, bytes, 16) != 0) i = c->addresses[i].next;
    return i;
}

static uint32_t address_hold(kh_connections *c, const uint8_t bytes[16])
{
    uint32_t i = address_find(c, bytes), *bucket = bucket_of(c, bytes);
    if (i == 0) {
        i = c->free_address; /* there are as many as connections */
        KH_ASSERT(i != 0);
        c->free_address = c->addresses[i].next;
        c->addresses[i] = (address_entry){.next = *bucket};
        memcpy(c->addresses[i].bytes, bytes, 16);
        *bucket = i;
    }
    c->addresses[i].live++;
    return i;
}

static void address_release(kh_connections *c, uint32_t i)
{
    if (--c->addresses[i].live > 0) return;
    uint32_t *at = bucket_of(c, c->addresses[i].bytes);
    while (*at != i) at = &c->addresses[*at].next;
    *at = c->addresses[i].next;
    c->addresses[i].next = c->free_address;
    c->free_address = i;
}

kh_err kh_connections_new(uint32_t max, uint32_t per_address, uint32_t idle_s, kh_connections **ret)
{
    kh_connections *c = calloc(1, sizeof *c);
    if (c == NULL) return KH_E_NOMEM;
    c->max = max;
    c->per_address = per_address;
    c->per_party = max / 4 > PARTY_LEAST ? max / 4 : PARTY_LEAST;
    c->idle_s = idle_s;
    c->slots = 2 * max + SLACK;
    for (c->bucket_cnt = 64; c->bucket_cnt < c->slots; c->bucket_cnt *= 2) continue;
    c->table = calloc(c->slots, sizeof *c->table);
    c->free_slots = calloc(c->slots, sizeof *c->free_slots);
    c->addresses = calloc(c->slots + 1, sizeof *c->addresses);
    c->buckets = calloc(c->bucket_cnt, sizeof *c->buckets);
    if (c->table == NULL || c->free_slots == NULL || c->addresses == NULL || c->buckets == NULL ||
        getrandom(c->secret, sizeof c->secret, 0) != sizeof c->secret) {
        kh_connections_free(c);
        return KH_E_NOMEM;
    }
    for (uint32_t i = 0; i < c->slots; i++) c->free_slots[i] = c->slots - 1 - i;
    c->free_cnt = c->slots;
    for (uint32_t i = 1; i <= c->slots; i++) c->addresses[i].next = i < c->slots ? i + 1 : 0;
    c->free_address = 1;
    (void)pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->ending, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *ret = c;
    return KH_OK;
}

/* uncount: it is no longer one of those that there may be. */
static void uncount(kh_connections *c, const kh_connection *conn)
{
    c->live--;
    if (conn->proven) c->of_party[conn->party % PARTIES]--;
    else c->addresses[conn->address].unproven--;
}

static void drop(kh_connections *c, kh_connection *conn, kh_dropped why)
{
    if (conn->closing) return;
    if (conn->phase == KH_PH_IDLE) list_remove(list_of(c, conn), conn);
    conn->closing = true;
    c->counts.dropped[why]++;
    uncount(c, conn);
    if (conn->fd >= 0) (void)shutdown(conn->fd, SHUT_RDWR);
}

static bool has_sent_nothing(const kh_connection *conn)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
           n >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received && info.tcpi_bytes_received == 0;
}

/* choose picks whom to close among the idle of one address (0: of all): the oldest of those who have sent nothing, else the
 * oldest. */
static kh_connection *choose(const list *l, uint32_t address)
{
    kh_connection *oldest = NULL;
    uint32_t seen = 0;
    for (kh_connection *conn = l->first; conn != NULL && seen < LOOKED_AT; conn = conn->next) {
        if (address != 0 && conn->address != address) continue;
        if (oldest == NULL) oldest = conn;
        if (has_sent_nothing(conn)) return conn;
        seen++;
    }
    return oldest;
}

static bool make_room(kh_connections *c, uint32_t address)
{
    if (address != 0 && c->addresses[address].proven == 0) {
        for (uint32_t i = 0; c->addresses[address].unproven >= c->per_address; i++) {
            kh_connection *victim = i < LOOKED_AT ? choose(&c->unproven, address) : NULL;
            if (victim == NULL) {
                c->counts.dropped[KH_DROP_ADDRESS]++;
                return false;
            }
            drop(c, victim, KH_DROP_EVICTED);
        }
    }
    if (c->live >= c->max) {
        kh_connection *victim = choose(&c->unproven, 0);
        if (victim == NULL) victim = c->proven.first;
        if (victim != NULL) drop(c, victim, KH_DROP_EVICTED);
    }
    if (c->live < c->max && c->free_cnt > 0) return true;
    c->counts.dropped[KH_DROP_FULL]++;
    return false;
}

/* What this polling thread has let in and not begun yet: libmicrohttpd asks first, then makes the connection, on one thread. */
static _Thread_local kh_connection *admitted;

void kh_connections_end_those(kh_connections *c, bool (*ends)(void *ctx, const kh_connection *conn), void *ctx)
{
    (void)pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->slots; i++) {
        kh_connection *conn = &c->table[i];
        if (conn->used && conn->proven && !conn->closing && ends(ctx, conn)) drop(c, conn, KH_DROP_REVOKED);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void kh_connections_end_unproven(kh_connections *c)
{
    (void)pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->slots; i++)
        if (c->table[i].used && !c->table[i].proven) drop(c, &c->table[i], KH_DROP_DEADLINE);
    (void)pthread_mutex_unlock(&c->lock);
}

bool kh_connections_accept(kh_connections *c, const struct sockaddr *address)
{
    uint8_t bytes[16];
    if (admitted != NULL) kh_connections_end(c, admitted); /* it could not be made */
    admitted = NULL;
    address_bytes(address, bytes);
    (void)pthread_mutex_lock(&c->lock);
    if (make_room(c, address_find(c, bytes))) {
        kh_connection *conn = &c->table[c->free_slots[--c->free_cnt]];
        *conn = (kh_connection){.fd = -1, .used = true, .phase = KH_PH_IDLE, .address = address_hold(c, bytes)};
        conn->deadline_ns = kh_http_now_ns() + NOTHING_YET_S * KH_NS_PER_S;
        c->addresses[conn->address].unproven++;
        c->live++;
        c->counts.accepted++;
        list_add(&c->unproven, conn);
        admitted = conn;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return admitted != NULL;
}

kh_connection *kh_connections_begin(kh_connections *c, int fd)
{
    kh_connection *conn = admitted;
    admitted = NULL;
    if (conn == NULL) return NULL;
    (void)pthread_mutex_lock(&c->lock);
    conn->fd = fd;
    if (conn->closing) (void)shutdown(fd, SHUT_RDWR); /* its place was needed meanwhile */
    (void)pthread_mutex_unlock(&c->lock);
    return conn;
}

void kh_connections_end(kh_connections *c, kh_connection *conn)
{
    (void)pthread_mutex_lock(&c->lock);
    if (!conn->closing) {
        if (conn->phase == KH_PH_IDLE) list_remove(list_of(c, conn), conn);
        uncount(c, conn);
    }
    if (conn->proven) c->addresses[conn->address].proven--;
    address_release(c, conn->address);
    conn->used = false;
    c->free_slots[c->free_cnt++] = (uint32_t)(conn - c->table);
    (void)pthread_mutex_unlock(&c->lock);
}

void kh_connections_phase(kh_connections *c, kh_connection *conn, kh_phase phase, uint64_t bytes)
{
    uint64_t now = kh_http_now_ns(), wait_s = 0;
    (void)pthread_mutex_lock(&c->lock);
    if (!conn->closing) {
        if (conn->phase == KH_PH_IDLE) list_remove(list_of(c, conn), conn);
        conn->phase = phase;
        if (phase == KH_PH_IDLE) {
            list_add(list_of(c, conn), conn);
            wait_s = conn->proven ? c->idle_s : NOTHING_YET_S;
        } else if (phase != KH_PH_WORK) {
            wait_s = MOVING_S + bytes / MOVING_BYTES;
        }
        conn->deadline_ns = wait_s > 0 ? now + wait_s * KH_NS_PER_S : 0;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

/* make_party_room: false: the party has its fill, and all of it is at work. */
static bool make_party_room(kh_connections *c, uint32_t party)
{
    if (c->of_party[party % PARTIES] < c->per_party) return true;
    kh_connection *victim = c->proven.first;
    while (victim != NULL && victim->party != party) victim = victim->next;
    if (victim != NULL) drop(c, victim, KH_DROP_PARTY);
    return victim != NULL;
}

void kh_connections_proven(kh_connections *c, kh_connection *conn)
{
    (void)pthread_mutex_lock(&c->lock);
    if (!conn->proven && !conn->closing && !make_party_room(c, conn->party)) drop(c, conn, KH_DROP_PARTY);
    if (!conn->proven && !conn->closing) {
        if (conn->phase == KH_PH_IDLE) list_remove(&c->unproven, conn);
        conn->proven = true;
        if (conn->phase == KH_PH_IDLE) list_add(&c->proven, conn);
        c->addresses[conn->address].unproven--;
        c->addresses[conn->address].proven++;
        c->of_party[conn->party % PARTIES]++;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void kh_connections_count(kh_connections *c, kh_connection_counts *ret)
{
    (void)pthread_mutex_lock(&c->lock);
    *ret = c->counts;
    for (uint32_t i = 0; i < c->slots; i++) {
        if (!c->table[i].used || c->table[i].closing) continue;
        if (c->table[i].proven) ret->proven++;
        else ret->unproven++;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static void *sweep(void *ctx)
{
    kh_connections *c = ctx;
    (void)pthread_mutex_lock(&c->lock);
    while (!c->end) {
        uint64_t now = kh_http_now_ns(), next = now + TICK_MS * UINT64_C(1000000);
        for (uint32_t i = 0; i < c->slots; i++) {
            kh_connection *conn = &c->table[i];
            if (conn->used && !conn->closing && conn->deadline_ns != 0 && conn->deadline_ns <= now)
                drop(c, conn, KH_DROP_DEADLINE);
        }
        struct timespec until = {.tv_sec = (time_t)(next / KH_NS_PER_S), .tv_nsec = (long)(next % KH_NS_PER_S)};
        (void)pthread_cond_timedwait(&c->ending, &c->lock, &until);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

kh_err kh_connections_sweep(kh_connections *c)
{
    c->sweeping = pthread_create(&c->sweeper, NULL, sweep, c) == 0;
    return c->sweeping ? KH_OK : KH_E_NOMEM;
}

void kh_connections_free(kh_connections *c)
{
    if (c == NULL) return;
    if (c->sweeping) {
        (void)pthread_mutex_lock(&c->lock);
        c->end = true;
        (void)pthread_cond_signal(&c->ending);
        (void)pthread_mutex_unlock(&c->lock);
        (void)pthread_join(c->sweeper, NULL);
    }
    free(c->table);
    free(c->free_slots);
    free(c->addresses);
    free(c->buckets);
    free(c);
}
