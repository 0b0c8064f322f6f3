/* bench_network: the same pollers behind DPDK and behind kernel sockets: whole round trips between two processes, each on a core.
 *
 *   bench_network [--quick] [--documents N]      one JSON object a figure on stdout, the story on stderr
 *
 * 10 M declarations are stored; every query draws its document over all of them. The client seals each request as it goes, and
 * opens every 64th reply. vhost-user is shared memory between two processes of this machine: the packet path without a wire or a
 * card; kernel sockets go over loopback. Both front ends wait at once, and runs take turns; between them requests of the same
 * kind go through a third poller out of memory (ring.h): the packet path without a front end and another process. Volatile. */
#include "network.h"
#include "median.h"
#include "papers.h"
#include "ring.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host/host.h"
#include "ingest/front.h"
#include "service/limits.h"
#include "service/poller_plain.h"
#include "service/session.h"
#include "store/parts.h"

enum { RUNS_MAX = 9, RING_LANE = 63 /* of the session; clients have those below */ };

extern char **environ;
static struct kh_store store;
static uint64_t documents = 10000000;
static uint8_t keys[2][KH_AEAD_KEY_SZ];
static const kh_principal bank = {PAPERS_BANK, KH_ROLE_BANK, false};
static atomic_bool plain;

/* ---- one run ---- */

static void hex(const uint8_t *p, size_t n, char *ret)
{
    for (size_t i = 0; i < n; i++) (void)snprintf(ret + 2 * i, 3, "%02x", p[i]);
}
static void unhex(const char *text, uint8_t *ret, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned v = 0;
        (void)sscanf(text + 2 * i, "%2x", &v);
        ret[i] = (uint8_t)v;
    }
}

typedef struct outcome {
    double per_s, p50_us, p99_us, core_ns; /* core_ns: of the poller's core, a datagram */
} outcome;

static kh_ingest *fronts[2]; /* sockets, DPDK */

static void pick(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    uint64_t *rx_busy = ctx;
    (void)help, (void)labels;
    if (strcmp(name, "kanhe_ingest_rx_total") == 0) rx_busy[0] += value;
    if (strcmp(name, "kanhe_ingest_busy_nanoseconds_total") == 0) rx_busy[1] += value;
}

static ring packets;

/* Questions a second through a poller of this thread, which has the client's core meanwhile. */
static double from_memory(kh_poller *p)
{
    cpu_set_t before, one;
    CPU_ZERO(&one);
    CPU_SET(1, &one);
    (void)sched_getaffinity(0, sizeof before, &before);
    (void)sched_setaffinity(0, sizeof one, &one);
    kh_poller_begin(p);
    double per_s = ring_run(&packets, p, 32, false, 3) * 32;
    kh_poller_end(p);
    (void)sched_setaffinity(0, sizeof before, &before);
    return per_s;
}

/* The client is another process, made anew: what DPDK has mapped here must not be shared with a child. */
static outcome ride(network_run r)
{
    static uint32_t lanes;
    char args[6][128], session[17], up[65], down[65], line[256] = "";
    int out[2];
    pid_t pid;
    outcome o = {0};
    unsigned long long looked = 0, bad = 0;
    unsigned lost = 0;
    r.lane = lanes++ % RING_LANE;
    hex(r.session, 8, session);
    hex(keys[KH_TO_SERVER], 32, up);
    hex(keys[KH_TO_CLIENT], 32, down);
    (void)snprintf(args[0], sizeof args[0], "%u %u %u %u %d %g %llu", r.port, r.per, r.window, r.lane, r.plain, r.seconds,
                   (unsigned long long)documents);
    char *argv[] = {"bench_network", "--client", args[0], session, up, down, (char *)(uintptr_t)r.path, NULL};
    posix_spawn_file_actions_t actions;
    if (pipe(out) != 0 || posix_spawn_file_actions_init(&actions) != 0) abort();
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    (void)posix_spawn_file_actions_addclose(&actions, out[0]);
    atomic_store(&plain, r.plain);
    uint64_t before[2] = {0}, after[2] = {0};
    kh_ingest *front = fronts[r.path != NULL];
    kh_ingest_metrics(front, pick, before);
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ) != 0) abort();
    (void)close(out[1]);
    FILE *from = fdopen(out[0], "r");
    (void)fgets(line, sizeof line, from);
    (void)fclose(from);
    (void)waitpid(pid, NULL, 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (sscanf(line, "%lf %llu %llu %u %lf %lf", &o.per_s, &looked, &bad, &lost, &o.p50_us, &o.p99_us) != 6 || looked == 0 ||
        bad != 0) {
        fprintf(stderr, "bench_network: a client failed: %s\n", line);
        exit(1);
    }
    kh_ingest_metrics(front, pick, after);
    o.core_ns = (double)(after[1] - before[1]) / (double)(after[0] - before[0]);
    fprintf(stderr, "  %s %u a datagram%s, window %u: %.4g/s, core %.4g ns a datagram, %u lost\n",
            r.path != NULL ? "vhost-user" : "sockets", r.per, r.plain ? ", plain" : "", r.window, o.per_s, o.core_ns, lost);
    return o;
}

static void say(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.5g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.3f}\n", name, value, unit, against,
           ratio);
    (void)fflush(stdout);
}

static kh_err export_key(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    (void)ctx, (void)label, (void)context_n;
    for (size_t i = 0; i < n; i++) ret[i] = (uint8_t)(i * 7 + context[9] + 1);
    memcpy(keys[context[9]], ret, n);
    return KH_OK;
}

static void burst(kh_poller *p, kh_packet *const packets[], uint32_t n, uint64_t now_ns)
{
    if (n > 0 && atomic_load_explicit(&plain, memory_order_relaxed)) kh_poller_burst_plain(p, &bank, packets, n, now_ns);
    else kh_poller_burst(p, packets, n, now_ns);
}
static const kh_front_work work = {kh_poller_begin, kh_poller_end,   burst,          kh_poller_late_cnt,
                                   kh_poller_late,  kh_poller_sleep, kh_poller_wake, kh_poller_event_fd};

static kh_ingest *open_ingest(kh_ingest_options o, kh_poller **poller)
{
    static const int cpus[] = {0};
    char why[400] = "";
    kh_ingest *g;
    o.poller_cnt = 1;
    o.cpus = cpus;
    if (kh_ingest_start_with(&o, &work, poller, why, sizeof why, &g) == KH_OK) return g;
    fprintf(stderr, "bench_network: %s\n", why);
    exit(1);
}

static void measure(network_run sockets, network_run vhost, kh_poller *third, uint32_t runs)
{
    double by_vhost[RUNS_MAX], by_sockets[RUNS_MAX], core[RUNS_MAX], cores[RUNS_MAX], ratios[RUNS_MAX], single[RUNS_MAX],
        p50[RUNS_MAX], p99[RUNS_MAX], p99s[RUNS_MAX], by_ring[RUNS_MAX], rings[RUNS_MAX];
    for (uint32_t i = 0; i < runs; i++) {
        sockets.per = vhost.per = 32;
        sockets.window = vhost.window = 256;
        outcome s = ride(sockets), v = ride(vhost);
        by_sockets[i] = s.per_s * 32;
        by_vhost[i] = v.per_s * 32;
        core[i] = v.core_ns;
        cores[i] = s.core_ns / v.core_ns;
        ratios[i] = by_vhost[i] / by_sockets[i];
        by_ring[i] = from_memory(third);
        rings[i] = by_ring[i] / by_sockets[i];
        vhost.per = sockets.per = sockets.window = vhost.window = 1;
        outcome o = ride(vhost);
        p50[i] = o.p50_us;
        p99[i] = o.p99_us;
        p99s[i] = ride(sockets).p99_us;
        vhost.window = 512;
        vhost.plain = true;
        single[i] = ride(vhost).per_s;
        vhost.plain = false;
    }
    double best = median(by_vhost, runs), of_sockets = median(by_sockets, runs), trip = median(p99, runs);
    say("sealed datagrams 32 over vhost-user", best, "queries/s", "target 15,000,000; shared memory, no wire", best / 15e6);
    say("sealed datagrams 32 over kernel sockets", of_sockets, "queries/s", "over vhost-user", of_sockets / best);
    say("sealed datagrams 32, DPDK against kernel sockets", median(ratios, runs), "times", "target 2.5; over vhost-user",
        median(ratios, runs) / 2.5);
    say("sealed datagrams 32, ring", median(by_ring, runs), "queries/s", "target 20,000,000; in memory, no wire",
        median(by_ring, runs) / 20e6);
    say("sealed datagrams 32, ring against kernel sockets", median(rings, runs), "times", "target 2.5; in memory, no wire",
        median(rings, runs) / 2.5);
    say("sealed datagrams 32 over vhost-user, a datagram", median(core, runs), "ns of the poller's core", "sockets' core time",
        median(cores, runs));
    say("round trip of one sealed query, p50", median(p50, runs), "us", "vhost-user, both ends poll", 0);
    say("round trip of one sealed query", trip, "us p99", "target 30; vhost-user, both ends poll", 30 / trip);
    say("round trip of one sealed query over sockets", median(p99s, runs), "us p99", "over vhost-user",
        trip / median(p99s, runs));
    say("plain single-query datagrams over vhost-user", median(single, runs), "packets/s",
        "target 12,000,000; laboratory, no wire", median(single, runs) / 12e6);
}

static int client_main(char **argv)
{
    network_run r = {.path = argv[6]};
    int is_plain = 0;
    unsigned long long all = 0;
    if (sscanf(argv[2], "%u %u %u %u %d %lf %llu", &r.port, &r.per, &r.window, &r.lane, &is_plain, &r.seconds, &all) != 7)
        return 2;
    r.plain = is_plain != 0;
    r.documents = all;
    unhex(argv[3], r.session, 8);
    unhex(argv[4], r.up, 32);
    unhex(argv[5], r.down, 32);
    return network_client(&r);
}

int main(int argc, char **argv)
{
    double seconds = 2;
    uint32_t runs = 5;
    if (argc >= 6 && strcmp(argv[1], "--client") == 0) return client_main(argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) seconds = 1, runs = 3;
        else if (strcmp(argv[i], "--documents") == 0 && i + 1 < argc) documents = strtoull(argv[++i], NULL, 10);
        else return fprintf(stderr, "usage: bench_network [--quick] [--documents N]\n"), 2;
    }
    fprintf(stderr, "network: storing %llu documents\n", (unsigned long long)documents);
    papers_store(&store, documents);
    kh_clock clock = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    kh_limits *limits;
    const kh_limit_rate rates[KH_LIMIT_CNT] = {{10000, 100}, {KH_LIMIT_BURST_MAX, KH_LIMIT_PER_S_MAX}, {10000, 10000}};
    kh_service *service;
    kh_session_grant grant;
    kh_poller *pollers[3];
    kh_lane lane;
    if (kh_limits_new(rates, (kh_limit_rate){100, 100}, &limits) != KH_OK) return 1;
    const kh_service_options options = {.store = &store, .limits = limits, .clock = &clock, .entropy = &entropy, .poller_cnt = 3};
    if (kh_service_new(&options, &service) != KH_OK ||
        kh_session_open(service, &bank, export_key, NULL, clock.monotonic(clock.self), &grant) != KH_OK ||
        kh_poller_new(service, 0, &pollers[0]) != KH_OK || kh_poller_new(service, 1, &pollers[1]) != KH_OK ||
        kh_poller_new(service, 2, &pollers[2]) != KH_OK ||
        kh_lane_open(grant.id, RING_LANE, keys[KH_TO_SERVER], keys[KH_TO_CLIENT], &lane) != KH_OK)
        return 1;
    char path[64], eal[256];
    (void)snprintf(path, sizeof path, "/tmp/kh-bench-network-%d", (int)getpid());
    (void)snprintf(eal, sizeof eal, "-l 0 --no-huge -m 256 --vdev=net_vhost0,iface=%s,queues=1", path);
    kh_ingest *sockets = open_ingest((kh_ingest_options){.listen = "127.0.0.1:0"}, &pollers[0]);
    kh_ingest *dpdk =
        open_ingest((kh_ingest_options){.listen = "10.77.0.1:8444", .dpdk = eal, .dpdk_module = KH_DPDK_MODULE}, &pollers[1]);
    fronts[0] = sockets;
    fronts[1] = dpdk;
    network_run r = {.seconds = seconds, .port = kh_ingest_port(sockets)};
    memcpy(r.session, grant.id, 8);
    network_run v = r;
    v.path = path;
    ring_open(&packets, service, &lane, documents);
    packets.now_ns = clock.monotonic(clock.self);
    packets.clock = CLOCK_MONOTONIC; /* as the clients' rates are */
    measure(r, v, pollers[2], runs);
    ring_close(&packets);
    kh_lane_close(&lane);
    kh_ingest_stop(dpdk);
    kh_ingest_stop(sockets);
    kh_poller_free(pollers[0]);
    kh_poller_free(pollers[1]);
    kh_poller_free(pollers[2]);
    kh_service_free(service);
    kh_limits_free(limits);
    kh_machine_release(&store.machine);
    (void)unlink(path);
    return 0;
}
