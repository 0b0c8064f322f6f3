/* link_torture: four links, two senders each with messages of all sizes, while peers are removed and added again, and one node is
 * stopped and started: what arrives is whole, each sender's in order, and never more than was taken. Plain, so that it runs under
 * TSan. link_torture [SECONDS] [quiet]: quiet: nothing is disturbed, nothing may be lost, and the rate is told. */
#include "../unit/link_fixture.h"

enum { NODES = 4, SENDERS = 2, ECHO = 99 };
typedef struct member {
    node base;
    pthread_rwlock_t alive; /* write: its link is being changed */
    _Atomic uint64_t last[NODES][SENDERS], came, bytes, taken;
} member;
static member members[NODES];
static authority ca;
static _Atomic bool stop;
static bool quiet;

static void came(void *ctx, uint32_t from, uint8_t type, const uint8_t *p, size_t n)
{
    member *m = ctx;
    if (type == ECHO) return;
    KH_ASSERT(n >= 8 && from >= 11 && from < 11 + NODES && type >= 1 && type <= SENDERS);
    uint64_t number = kh_load64(p);
    _Atomic uint64_t *last = &m->last[from - 11][type - 1];
    KH_ASSERT(number > atomic_load(last));
    atomic_store(last, number);
    for (size_t i = 8; i < n; i += 1021) KH_ASSERT(p[i] == (uint8_t)(number + i));
    if (n > 8) KH_ASSERT(p[n - 1] == (uint8_t)(number + n - 1));
    atomic_fetch_add(&m->came, 1);
    atomic_fetch_add(&m->bytes, n);
    kh_err err = kh_link_send(m->base.link, from, ECHO, NULL, 0); /* calling back is allowed */
    KH_ASSERT(err != KH_E_ARG);
}

static void begin(member *m)
{
    char why[300];
    kh_link_options o = {.listen = m->base.address,
                         .ca = ca.pem,
                         .certificate = m->base.credentials.certificate,
                         .key = m->base.credentials.key,
                         .self = m->base.id,
                         .received = came,
                         .ctx = m};
    KH_ASSERT(kh_link_start(&o, why, sizeof why, &m->base.link) == KH_OK);
    for (uint32_t i = 0; i < NODES; i++)
        if (members[i].base.id != m->base.id)
            KH_ASSERT(kh_link_peer(m->base.link, members[i].base.id, members[i].base.address) == KH_OK);
}

typedef struct sending {
    member *m;
    uint8_t type;
    uint64_t seed;
} sending;

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void *send_loop(void *ctx)
{
    sending *s = ctx;
    static const size_t sizes[] = {8, 100, 200, 5000, 16376, 70000, 300000, 1 << 20};
    uint8_t *p = malloc(1 << 20);
    KH_ASSERT(p != NULL);
    for (uint64_t number = 1; !atomic_load(&stop); number++) {
        size_t n = quiet ? 1 << 20 : sizes[next(&s->seed) % 8];
        uint32_t to = 11 + (uint32_t)(next(&s->seed) % NODES);
        kh_store64(p, number);
        if (!quiet)
            for (size_t i = 8; i < n; i++) p[i] = (uint8_t)(number + i);
        for (size_t i = 8; quiet && i < n; i += 1021) p[i] = (uint8_t)(number + i);
        if (n > 8) p[n - 1] = (uint8_t)(number + n - 1);
        (void)pthread_rwlock_rdlock(&s->m->alive);
        kh_err err = kh_link_send(s->m->base.link, to, s->type, p, n);
        (void)pthread_rwlock_unlock(&s->m->alive);
        KH_ASSERT(err == KH_OK || err == KH_E_FULL || err == KH_E_AGAIN || err == KH_E_NOT_FOUND);
        KH_ASSERT(!quiet || err != KH_E_AGAIN);
        atomic_fetch_add(&s->m->taken, err == KH_OK);
        if (err == KH_E_FULL) sleep_ms(1);
    }
    free(p);
    return NULL;
}

static void disturb(uint64_t *seed)
{
    member *m = &members[next(seed) % NODES];
    uint32_t peer = 11 + (uint32_t)(next(seed) % NODES);
    sleep_ms(20 + (long)(next(seed) % 100));
    if (peer == m->base.id) {
        (void)pthread_rwlock_wrlock(&m->alive);
        kh_link_stop(m->base.link);
        begin(m);
        (void)pthread_rwlock_unlock(&m->alive);
        return;
    }
    KH_ASSERT(kh_link_peer(m->base.link, peer, NULL) != KH_E_ARG);
    sleep_ms((long)(next(seed) % 5));
    KH_ASSERT(kh_link_peer(m->base.link, peer, members[peer - 11].base.address) == KH_OK);
    kh_link_counts counts;
    kh_link_count(m->base.link, &counts);
    (void)kh_link_is_up(m->base.link, peer);
}

static bool all_up(void)
{
    bool up = true;
    for (uint32_t i = 0; i < NODES; i++)
        for (uint32_t j = 0; j < NODES; j++) up = up && (i == j || kh_link_is_up(members[i].base.link, 11 + j));
    return up;
}

static uint64_t sum(bool taken, bool bytes)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < NODES; i++)
        total += atomic_load(taken ? &members[i].taken : bytes ? &members[i].bytes : &members[i].came);
    return total;
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 5, seed = 88172645463325252u;
    pthread_t threads[NODES][SENDERS];
    sending sendings[NODES][SENDERS];
    quiet = argc > 2;
    fixture_begin();
    make_authority("ca", &ca);
    for (uint32_t i = 0; i < NODES; i++) {
        node_make(&members[i].base, 11 + i, &ca);
        (void)pthread_rwlock_init(&members[i].alive, NULL);
    }
    for (uint32_t i = 0; i < NODES; i++) begin(&members[i]);
    WAIT_FOR(all_up(), 20000);
    KH_ASSERT(all_up());
    uint64_t start = now_ms();
    for (uint32_t i = 0; i < NODES; i++)
        for (uint8_t k = 0; k < SENDERS; k++) {
            sendings[i][k] = (sending){&members[i], (uint8_t)(k + 1), seed + i * SENDERS + k};
            KH_ASSERT(pthread_create(&threads[i][k], NULL, send_loop, &sendings[i][k]) == 0);
        }
    while (now_ms() < start + seconds * 1000)
        if (quiet) sleep_ms(10);
        else disturb(&seed);
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < NODES; i++)
        for (uint32_t k = 0; k < SENDERS; k++) (void)pthread_join(threads[i][k], NULL);
    if (quiet) WAIT_FOR(sum(false, false) == sum(true, false), 30000);
    uint64_t took = now_ms() - start;
    WAIT_FOR(all_up(), 20000);
    KH_ASSERT(all_up());
    for (uint32_t i = 0; i < NODES; i++) kh_link_stop(members[i].base.link);
    KH_ASSERT(sum(false, false) != 0 && sum(false, false) <= sum(true, false));
    KH_ASSERT(!quiet || sum(false, false) == sum(true, false));
    (void)printf("%llu messages taken, %llu came, %llu MB/s\n", (unsigned long long)sum(true, false),
                 (unsigned long long)sum(false, false), (unsigned long long)(sum(false, true) / 1000 / took));
    free_authority(&ca);
    fixture_end();
    return 0;
}
