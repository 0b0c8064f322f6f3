/* session_torture: pollers answer while sessions are opened, renewed, closed, ended and looked up, the applier applies, and each
 * request is given to every poller: exactly one of the copies is answered. Plain, so that it runs under TSan. session_torture
 * [SECONDS] */
#include "../unit/store_ops.h"
#include "client/datagram.h"
#include "host/host.h"
#include "service/poller.h"
#include "service/session.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { POLLERS = 2, LIVE = 4, DOCS = 500, BURST = 8 };

static kh_service *service;
static kh_store *store;
static _Atomic bool stop;
static _Atomic uint64_t answered, ended, opened;

/* One session's requests at a time: every poller gets a copy of each. */
typedef struct round {
    pthread_barrier_t begin, end;
    uint8_t sealed[BURST][KH_DATAGRAM_MAX_SZ];
    uint32_t n[BURST];
    _Atomic uint32_t replies[BURST];
} round_;
static round_ shared;

static kh_err export_key(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    (void)ctx, (void)label, (void)context_n;
    for (size_t i = 0; i < n; i++) ret[i] = (uint8_t)(context[i % 8] + context[9] + i);
    return KH_OK;
}

static kh_lane lane_of(const uint8_t id[8])
{
    uint8_t keys[2][32], context[10] = {0};
    kh_lane lane;
    memcpy(context, id, 8);
    for (uint8_t d = 0; d < 2; d++) {
        context[9] = d;
        KH_ASSERT(export_key(NULL, "", context, 10, keys[d], 32) == KH_OK);
    }
    KH_ASSERT(kh_lane_open(id, (uint8_t)(id[0] % 64), keys[0], keys[1], &lane) == KH_OK);
    return lane;
}

static void *poll_loop(void *ctx)
{
    static uint8_t bytes[POLLERS][BURST][KH_DATAGRAM_MAX_SZ];
    uint32_t number = (uint32_t)(uintptr_t)ctx;
    kh_poller *p;
    kh_packet packets[BURST], *pointers[BURST];
    KH_ASSERT(kh_poller_new(service, number, &p) == KH_OK);
    kh_poller_begin(p);
    for (;;) {
        kh_poller_sleep(p);
        (void)pthread_barrier_wait(&shared.begin);
        kh_poller_wake(p);
        if (atomic_load(&stop)) break;
        for (uint32_t i = 0; i < BURST; i++) {
            packets[i] = (kh_packet){.p = bytes[number][i], .n = shared.n[i], .cap = KH_DATAGRAM_MAX_SZ};
            memcpy(packets[i].p, shared.sealed[i], shared.n[i]);
            packets[i].peer[0] = (uint8_t)i;
            pointers[i] = &packets[i];
        }
        kh_poller_burst(p, pointers, BURST, 1);
        for (uint32_t i = 0; i < BURST; i++)
            if (packets[i].n != 0) (void)atomic_fetch_add(&shared.replies[i], 1);
        kh_packet late = {.p = bytes[number][0], .cap = KH_DATAGRAM_MAX_SZ};
        while (kh_poller_late(p, &late)) (void)atomic_fetch_add(&answered, 1);
        kh_poller_sleep(p);
        (void)pthread_barrier_wait(&shared.end);
        kh_poller_wake(p);
    }
    kh_poller_end(p);
    kh_poller_free(p);
    return NULL;
}

/* Opens and ends sessions of another party all the time; the pollers look into the same table. */
static void *churn(void *ctx)
{
    const kh_principal who = {OPS_ENTERPRISE, KH_ROLE_ENTERPRISE, false};
    kh_session_grant grants[LIVE] = {0};
    (void)ctx;
    for (uint32_t i = 0; !atomic_load(&stop); i++) {
        kh_session_close(service, grants[i % LIVE].id, OPS_ENTERPRISE);
        KH_ASSERT(kh_session_open(service, &who, export_key, NULL, 0, &grants[i % LIVE]) == KH_OK);
        if (i % 16 == 0) kh_session_end_party(service, OPS_ENTERPRISE);
        (void)atomic_fetch_add(&ended, 1);
    }
    return NULL;
}

static void *write_loop(void *ctx)
{
    (void)ctx;
    for (uint64_t id = 1; !atomic_load(&stop); id += 8) {
        ops_buf b = {0};
        uint64_t ticket;
        for (uint32_t i = 0; i < 8; i++) ops_reserve(&b, id + i, (uint32_t)((id + i) % DOCS), 5000);
        KH_ASSERT(kh_store_submit(store, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) == KH_OK);
        KH_ASSERT(kh_store_wait(store, ticket) == KH_OK);
        free(b.p);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint32_t seconds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 5;
    char dir[] = "/tmp/kh-sessions-XXXXXX", data[64], command[64];
    kh_clock clock_ = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    kh_disk disk;
    kh_store_report report;
    kh_store_options o = {.clock = &clock_, .disk = &disk, .entropy = &entropy, .long_running = true};
    ops_buf b = {0};
    uint64_t ticket, once = 0, never = 0, rounds = 0;
    KH_ASSERT(mkdtemp(dir) != NULL && kh_host_disk_open(false, &disk) == KH_OK);
    (void)snprintf(data, sizeof data, "%s/data", dir);
    KH_ASSERT(kh_store_create(&o, data, NULL, &report) == KH_OK && kh_store_open(&o, data, &report, &store) == KH_OK);
    ops_parties(&b);
    for (uint32_t i = 0; i < DOCS; i++) ops_declaration(&b, i, 10000);
    KH_ASSERT(kh_store_submit(store, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) == KH_OK &&
              kh_store_wait(store, ticket) == KH_OK);
    free(b.p);
    const kh_service_options so = {.store = store,
                                   .clock = &clock_,
                                   .entropy = &entropy,
                                   .poller_cnt = POLLERS,
                                   .max_party_sessions = LIVE,
                                   .aead = KH_AEAD_OPENSSL};
    KH_ASSERT(kh_service_new(&so, &service) == KH_OK);
    pthread_barrier_init(&shared.begin, NULL, POLLERS + 1);
    pthread_barrier_init(&shared.end, NULL, POLLERS + 1);
    pthread_t pollers[POLLERS], churner, writer;
    for (uintptr_t i = 0; i < POLLERS; i++) KH_ASSERT(pthread_create(&pollers[i], NULL, poll_loop, (void *)i) == 0);
    KH_ASSERT(pthread_create(&churner, NULL, churn, NULL) == 0 && pthread_create(&writer, NULL, write_loop, NULL) == 0);
    const kh_principal bank = {OPS_BANK, KH_ROLE_BANK, false};
    time_t until = time(NULL) + seconds;
    while (time(NULL) < until) {
        kh_session_grant grant;
        KH_ASSERT(kh_session_open(service, &bank, export_key, NULL, 0, &grant) == KH_OK);
        kh_lane lane = lane_of(grant.id);
        for (uint32_t k = 0; k < 50; k++, rounds++) {
            for (uint32_t i = 0; i < BURST; i++) {
                kh_query q = {.key = ops_key((uint32_t)(rounds * 7 + i) % DOCS),
                              .amount = 10000,
                              .owner_check = kh_owner_check(kh_text_of(ops_owner)),
                              .currency = OPS_USD,
                              .date = 9000,
                              .want = KH_AMOUNT_NONE};
                uint64_t counter;
                shared.n[i] = kh_lane_seal(&lane, &q, 1, false, shared.sealed[i], &counter);
                atomic_store(&shared.replies[i], 0);
            }
            (void)pthread_barrier_wait(&shared.begin);
            (void)pthread_barrier_wait(&shared.end);
            for (uint32_t i = 0; i < BURST; i++) {
                uint32_t n = atomic_load(&shared.replies[i]);
                KH_ASSERT(n <= 1); /* of two copies at most one; none where its answer comes late */
                once += n;
                never += n == 0;
            }
        }
        kh_lane_close(&lane);
        (void)atomic_fetch_add(&opened, 1);
    }
    atomic_store(&stop, true);
    (void)pthread_barrier_wait(&shared.begin);
    for (uint32_t i = 0; i < POLLERS; i++) (void)pthread_join(pollers[i], NULL);
    (void)pthread_join(churner, NULL);
    (void)pthread_join(writer, NULL);
    kh_service_free(service);
    kh_store_close(store);
    kh_host_disk_close(&disk);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    printf("session_torture: %llu rounds, %llu answered at once, %llu late, %llu sessions ended beside\n",
           (unsigned long long)rounds, (unsigned long long)once, (unsigned long long)atomic_load(&answered),
           (unsigned long long)atomic_load(&ended));
    KH_ASSERT(once > 0 && atomic_load(&answered) <= never);
    return system(command) == 0 ? 0 : 1;
}
