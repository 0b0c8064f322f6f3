/* The two front ends with a poller that echoes: kernel sockets over loopback, DPDK over capture files. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "echo_poller.h"
#include "frames.h"
#include "host/host.h"
#include "ingest/udp.h"

static kh_poller *pollers[4];
static char why[400];

static kh_err start(kh_ingest_options o, kh_ingest **ret)
{
    for (uint32_t i = 0; i < o.poller_cnt; i++) pollers[i] = echo_new();
    kh_err err = kh_ingest_start_with(&o, &echo_work, pollers, why, sizeof why, ret);
    for (uint32_t i = 0; err != KH_OK && i < o.poller_cnt; i++) echo_free(pollers[i]);
    return err;
}

static void stop(kh_ingest *g, uint32_t poller_cnt)
{
    kh_ingest_stop(g);
    for (uint32_t i = 0; i < poller_cnt; i++) echo_free(pollers[i]);
}

typedef struct wanted {
    const char *name;
    uint64_t sum, pollers;
} wanted;
static void add_up(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    wanted *w = ctx;
    char key[200];
    snprintf(key, sizeof key, "%s{%s}", name, labels);
    cr_assert(strlen(help) > 0 && strncmp(labels, "poller=\"", 8) == 0);
    if (strncmp(name, w->name, strlen(w->name)) != 0 && strstr(key, w->name) == NULL) return;
    w->sum += value;
    w->pollers += value > 0;
}
static wanted metric(kh_ingest *g, const char *name)
{
    wanted w = {.name = name};
    kh_ingest_metrics(g, add_up, &w);
    return w;
}

static void wait_for(kh_ingest *g, const char *name, uint64_t least)
{
    for (int i = 0; i < 60000 && metric(g, name).sum < least; i++) usleep(1000);
    cr_assert(metric(g, name).sum >= least, "%s", name);
}

static int client(int family, const char *to, uint16_t port)
{
    int fd = socket(family, SOCK_DGRAM, 0);
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(family, to, family == AF_INET ? (void *)&four.sin_addr : (void *)&six.sin6_addr);
    cr_assert(connect(fd, family == AF_INET ? (void *)&four : (void *)&six, family == AF_INET ? sizeof four : sizeof six) == 0);
    return fd;
}

static ssize_t ask(int fd, const void *p, size_t n, void *ret, int wait_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    cr_assert(send(fd, p, n, 0) == (ssize_t)n);
    return poll(&ready, 1, wait_ms) == 1 ? recv(fd, ret, 2048, 0) : -1;
}

#define SOON 60000

/* connect() takes replies only from the address that was asked: that a wildcard answers from it is seen here. */
static void converse(kh_ingest *g, int family, const char *to)
{
    char in[2048], out[1453];
    int fd = client(family, to, kh_ingest_port(g));
    cr_assert(ask(fd, "hello", 5, in, SOON) == 5 && memcmp(in, "Hello", 5) == 0, "%s", to);
    cr_assert(ask(fd, "late", 4, in, SOON) == 4 && memcmp(in, "Late", 4) == 0, "%s", to);
    memset(out, 'x', sizeof out);
    cr_assert(ask(fd, out, 1452, in, SOON) == 1452);
    cr_assert(ask(fd, "drop", 4, in, 20) < 0);
    cr_assert(ask(fd, out, 1453, in, 20) < 0);
    cr_assert(ask(fd, "", 0, in, 20) < 0);
    cr_assert(ask(fd, "again", 5, in, SOON) == 5);
    close(fd);
}

Test(udp, loopback)
{
    kh_ingest *g;
    cr_assert(start((kh_ingest_options){.listen = "127.0.0.1:0", .poller_cnt = 1}, &g) == KH_OK, "%s", why);
    cr_assert(kh_ingest_port(g) != 0);
    converse(g, AF_INET, "127.0.0.1");
    wait_for(g, "kanhe_ingest_sleeps_total", 1);
    usleep(20000); /* asleep by now: wakes when something comes */
    converse(g, AF_INET, "127.0.0.1");
    wait_for(g, "kanhe_ingest_tx_total", 8); /* counted after it was sent */
    cr_assert(metric(g, "kanhe_ingest_rx_total").sum == 14);
    cr_assert(metric(g, "kanhe_ingest_tx_total").sum == 8);
    cr_assert(metric(g, "kanhe_ingest_late_total").sum == 2);
    cr_assert(metric(g, "kanhe_ingest_dropped_long_total").sum == 2);
    cr_assert(metric(g, "kanhe_ingest_sleeps_total").sum > 0);
    cr_assert(metric(g, "kanhe_ingest_bursts_total").sum > 0);
    cr_assert(metric(g, "kanhe_ingest_busy_nanoseconds_total").sum > 1000);
    stop(g, 1);
}

Test(udp, addresses)
{
    static const struct {
        const char *listen, *four, *six;
    } cases[] = {{"0.0.0.0:0", "127.0.0.5", NULL},
                 {"[::1]:0", NULL, "::1"},
                 {"[::]:0", "127.0.0.5", "::1"},
                 {"0.0.0.0:0,[::]:0", "127.0.0.5", "::1"},
                 {"127.0.0.7:0,[::1]:0,127.0.0.8:0", "127.0.0.8", "::1"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kh_ingest *g;
        cr_assert(start((kh_ingest_options){.listen = cases[i].listen, .poller_cnt = 1}, &g) == KH_OK, "%s", why);
        if (cases[i].four != NULL) converse(g, AF_INET, cases[i].four);
        if (cases[i].six != NULL) converse(g, AF_INET6, cases[i].six);
        stop(g, 1);
    }
}

/* Replies of one length to one peer leave together: each must still be a datagram of its own, whole, and at its own client. */
static void run_of(int fd, const uint32_t sizes[], uint32_t n, char first)
{
    static char out[32][KH_DATAGRAM_MAX_SZ];
    struct mmsghdr messages[32] = {0};
    struct iovec parts[32];
    for (uint32_t i = 0; i < n; i++) {
        memset(out[i], (char)(first + i), sizes[i]);
        out[i][0] = 'x';
        parts[i] = (struct iovec){out[i], sizes[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    cr_assert(sendmmsg(fd, messages, n, 0) == (int)n);
}

static void run_back(int fd, const uint32_t sizes[], uint32_t n, char first)
{
    for (uint32_t i = 0; i < n; i++) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char in[2048];
        cr_assert(poll(&ready, 1, SOON) == 1, "reply %u of %u", i, n);
        ssize_t got = recv(fd, in, sizeof in, 0);
        cr_assert(got == (ssize_t)sizes[i], "reply %u has %zd bytes of %u", i, got, sizes[i]);
        cr_assert(in[0] == 'X');
        for (ssize_t k = 1; k < got; k++) cr_assert(in[k] == (char)(first + i));
    }
}

Test(udp, runs)
{
    static const uint32_t sizes[] = {100, 100, 100, 60, 60,   100, 61, 1452, 1452, 1452, 1452, 1,
                                     1,   1,   2,   2,  1452, 9,   9,  9,    9,    9,    9,    9};
    enum { N = sizeof sizes / sizeof sizes[0] };
    static const char *const listens[] = {"127.0.0.1:0", "0.0.0.0:0", "[::]:0"};
    for (size_t i = 0; i < sizeof listens / sizeof listens[0]; i++) {
        kh_ingest *g;
        cr_assert(start((kh_ingest_options){.listen = listens[i], .poller_cnt = 1}, &g) == KH_OK, "%s", why);
        int a = client(AF_INET, "127.0.0.1", kh_ingest_port(g)), b = client(AF_INET, "127.0.0.1", kh_ingest_port(g));
        for (int round = 0; round < 50; round++) {
            run_of(a, sizes, N, 'a');
            run_of(b, sizes, N, 'A');
            run_back(a, sizes, N, 'a');
            run_back(b, sizes, N, 'A');
        }
        wait_for(g, "kanhe_ingest_tx_total", 2 * 50 * N);
        cr_assert(metric(g, "kanhe_ingest_tx_total").sum == 2 * 50 * N && metric(g, "kanhe_ingest_dropped_send_total").sum == 0);
        cr_assert(metric(g, "kanhe_ingest_tx_bytes_total").sum == metric(g, "kanhe_ingest_rx_bytes_total").sum);
        close(a);
        close(b);
        stop(g, 1);
    }
}

/* What a peer sends as one message comes as one: each of its datagrams is answered by itself. */
Test(udp, runs_that_come_uncut)
{
    static char out[63 * 100 + 37], in[2048];
    static const char *const listens[] = {"127.0.0.1:0", "0.0.0.0:0"};
    for (size_t i = 0; i < sizeof listens / sizeof listens[0]; i++) {
        kh_ingest *g;
        cr_assert(start((kh_ingest_options){.listen = listens[i], .poller_cnt = 1}, &g) == KH_OK, "%s", why);
        int fd = client(AF_INET, "127.0.0.1", kh_ingest_port(g)), each = 100;
        cr_assert(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof each) == 0);
        for (uint32_t k = 0; k < sizeof out; k++) out[k] = k % 100 == 0 ? (k / 100 == 7 ? 'd' : 'x') : (char)(k / 100 + 1);
        for (int round = 0; round < 20; round++) {
            cr_assert(send(fd, out, sizeof out, 0) == (ssize_t)sizeof out);
            for (uint32_t k = 0; k < 64; k++) {
                struct pollfd ready = {.fd = fd, .events = POLLIN};
                if (k == 7) continue; /* dropped, and nothing else with it */
                cr_assert(poll(&ready, 1, SOON) == 1, "reply %u", k);
                ssize_t got = recv(fd, in, sizeof in, 0);
                cr_assert(got == (k == 63 ? 37 : 100) && in[0] == 'X', "reply %u has %zd bytes", k, got);
                for (ssize_t m = 1; m < got; m++) cr_assert(in[m] == (char)(k + 1));
            }
        }
        each = KH_DATAGRAM_MAX_SZ + 1;
        cr_assert(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof each) == 0);
        cr_assert(send(fd, out, 2 * (size_t)each, 0) == 2 * each);
        wait_for(g, "kanhe_ingest_dropped_long_total", 2);
        cr_assert(metric(g, "kanhe_ingest_rx_total").sum == 20 * 64 + 2 && metric(g, "kanhe_ingest_tx_total").sum == 20 * 63);
        close(fd);
        stop(g, 1);
    }
}

/* Looking pays where sleeps are short; where they are not, others have the processor. */
Test(udp, looks_longer_where_sleeps_are_short)
{
    uint64_t spin = 50000;
    for (int i = 0; i < 20; i++) spin = kh_udp_spin(spin, 50000, 200000);
    cr_assert(spin == 0, "%lu", spin);
    for (int i = 0; i < 20; i++) spin = kh_udp_spin(spin, 50000, 30000);
    cr_assert(spin == 50000, "%lu", spin);
    cr_assert(kh_udp_spin(UINT64_MAX, UINT64_MAX, 1) == UINT64_MAX &&
              kh_udp_spin(UINT64_MAX, UINT64_MAX, KH_NS_PER_S) == UINT64_MAX);
}

Test(udp, pollers_share_clients)
{
    kh_ingest *g;
    int cpus[4] = {0, 0, 0, 0};
    char in[2048];
    cr_assert(start((kh_ingest_options){.listen = "127.0.0.1:0", .poller_cnt = 4, .cpus = cpus}, &g) == KH_OK, "%s", why);
    for (int i = 0; i < 64; i++) {
        int fd = client(AF_INET, "127.0.0.1", kh_ingest_port(g));
        cr_assert(ask(fd, "hello", 5, in, SOON) == 5);
        close(fd);
    }
    wanted rx = metric(g, "kanhe_ingest_rx_total");
    cr_assert(rx.sum == 64 && rx.pollers > 1);
    stop(g, 4);
}

/* A second daemon of the same user must not take a share of the first one's clients. */
Test(udp, port_is_taken)
{
    char listen[64];
    kh_ingest *first, *second = NULL;
    cr_assert(start((kh_ingest_options){.listen = "127.0.0.1:0", .poller_cnt = 2}, &first) == KH_OK);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", kh_ingest_port(first));
    kh_poller *others[2] = {echo_new(), echo_new()};
    kh_ingest_options o = {.listen = listen, .poller_cnt = 2};
    cr_assert(kh_ingest_start_with(&o, &echo_work, others, why, sizeof why, &second) == KH_E_IO);
    cr_assert(second == NULL && strstr(why, "cannot be bound") != NULL, "%s", why);
    stop(first, 2);
    cr_assert(kh_ingest_start_with(&o, &echo_work, others, why, sizeof why, &second) == KH_OK, "%s", why);
    kh_ingest_stop(second);
    echo_free(others[0]);
    echo_free(others[1]);
}

Test(udp, misuse)
{
    kh_ingest *g = NULL;
    int cpus[1] = {1000};
    cr_assert(start((kh_ingest_options){.listen = "localhost:1", .poller_cnt = 1}, &g) == KH_E_ARG && why[0] != '\0');
    cr_assert(start((kh_ingest_options){.listen = "127.0.0.1:0", .poller_cnt = 0}, &g) == KH_E_ARG);
    cr_assert(start((kh_ingest_options){.listen = "192.0.2.1:0", .poller_cnt = 1}, &g) == KH_E_IO);
    cr_assert(start((kh_ingest_options){.listen = "127.0.0.1:0", .poller_cnt = 1, .cpus = cpus}, &g) == KH_E_ARG);
    cr_assert(start((kh_ingest_options){.listen = "10.0.0.1:1", .poller_cnt = 1, .dpdk = "", .dpdk_module = "/nowhere"}, &g) ==
              KH_E_NOT_FOUND);
    cr_assert(start((kh_ingest_options){.listen = "0.0.0.0:1", .poller_cnt = 1, .dpdk = ""}, &g) == KH_E_ARG);
    cr_assert(start((kh_ingest_options){.listen = "10.0.0.1:0", .poller_cnt = 1, .dpdk = ""}, &g) == KH_E_ARG);
    cr_assert(g == NULL);
}

/* Signals are not the pollers' to take: one that the program blocks stays pending. */
static void take(int sig) { (void)sig; }
Test(udp, signals_stay_with_the_program)
{
    kh_ingest *g;
    sigset_t usr1, pending;
    cr_assert(start((kh_ingest_options){.listen = "127.0.0.1:0", .poller_cnt = 2}, &g) == KH_OK);
    signal(SIGUSR1, take);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    usleep(20000);
    sigpending(&pending);
    cr_assert(sigismember(&pending, SIGUSR1));
    stop(g, 2);
}

#ifdef KH_HAVE_DPDK
static void put32(FILE *to, uint32_t v) { cr_assert(fwrite(&v, 4, 1, to) == 1); }
static FILE *capture_begin(const char *path)
{
    FILE *to = fopen(path, "wb");
    put32(to, 0xa1b2c3d4);
    put32(to, 4 << 16 | 2);
    put32(to, 0);
    put32(to, 0);
    put32(to, 65535);
    put32(to, 1); /* Ethernet */
    return to;
}
static void capture_add(FILE *to, const uint8_t *frame, uint32_t n)
{
    put32(to, 0);
    put32(to, 0);
    put32(to, n);
    put32(to, n);
    cr_assert(fwrite(frame, 1, n, to) == n);
}
/* The next frame of a capture file; 0 at its end. */
static uint32_t capture_next(FILE *from, uint8_t *ret)
{
    uint32_t head[4];
    if (fread(head, 4, 4, from) != 4) return 0;
    return (uint32_t)fread(ret, 1, head[2], from);
}

static char in_path[64], out_path[64], eal[400];
static kh_err start_dpdk(const char *devices, const char *listen, uint32_t poller_cnt, kh_ingest **ret)
{
    snprintf(eal, sizeof eal, "--no-huge -m 64 --no-shconf --no-pci --no-telemetry --file-prefix=t%d %s", getpid(), devices);
    return start(
        (kh_ingest_options){.listen = listen, .poller_cnt = poller_cnt, .dpdk = eal, .dpdk_module = getenv("KH_DPDK_MODULE")},
        ret);
}

/* A capture device's hardware address, where the arguments say none, is a fixed one: frames are made for it. */
static const uint8_t capture_mac[6] = {2, 0x70, 0x63, 0x61, 0x70, 0};

Test(dpdk, capture_files)
{
    static uint8_t f[2048];
    kh_ingest *g;
    uint32_t n, cnt = 0;
    snprintf(in_path, sizeof in_path, "/tmp/kh_in_%d.pcap", getpid());
    snprintf(out_path, sizeof out_path, "/tmp/kh_out_%d.pcap", getpid());
    FILE *to = capture_begin(in_path);
    for (int i = 0; i < 100; i++) {
        n = udp4_frame(f, "four", 4);
        memcpy(f, capture_mac, 6);
        capture_add(to, f, n);
        n = udp6_frame(f, "six", 3);
        memcpy(f, capture_mac, 6);
        capture_add(to, f, n);
    }
    capture_add(to, f, udp4_frame(f, "stray", 5)); /* for another hardware address */
    capture_add(to, f, arp_frame(f));
    capture_add(to, f, neighbour_frame(f));
    n = udp4_frame(f, "late", 4);
    memcpy(f, capture_mac, 6);
    capture_add(to, f, n);
    uint8_t longest[1460];
    memset(longest, 'x', sizeof longest);
    n = udp4_frame(f, longest, 1453);
    memcpy(f, capture_mac, 6);
    capture_add(to, f, n);
    n = udp4_frame(f, longest, 1452);
    memcpy(f, capture_mac, 6);
    capture_add(to, f, n);
    n = echo4_frame(f, 99);
    memcpy(f, capture_mac, 6);
    capture_add(to, f, n);
    n = echo6_frame(f, 99);
    memcpy(f, capture_mac, 6);
    capture_add(to, f, n);
    fclose(to);
    char devices[300];
    snprintf(devices, sizeof devices, "--vdev=net_pcap0,rx_pcap=%s,tx_pcap=%s", in_path, out_path);
    cr_assert(start_dpdk(devices, "10.77.0.1:8444,[fd77::1]:8444", 1, &g) == KH_OK, "%s", why);
    wait_for(g, "kanhe_ingest_tx_total", 206);
    cr_assert(metric(g, "kanhe_ingest_rx_total").sum == 208);
    cr_assert(metric(g, "kanhe_ingest_dropped_").sum == 2);
    cr_assert(metric(g, "reason=\"not_ours\"").sum == 1);
    cr_assert(metric(g, "kanhe_ingest_dropped_long_total").sum == 1);
    cr_assert(metric(g, "kanhe_ingest_neighbours_total").sum == 4);
    cr_assert(metric(g, "kanhe_ingest_late_total").sum == 1);
    stop(g, 1);
    FILE *from = fopen(out_path, "rb");
    uint32_t kinds[8] = {0};
    cr_assert(fseek(from, 24, SEEK_SET) == 0);
    while ((n = capture_next(from, f)) > 0) {
        cnt++;
        cr_assert(n >= 60 && memcmp(f + 6, capture_mac, 6) == 0);
        if (f[12] == 8 && f[13] == 6) kinds[0]++;
        else if (f[12] == 0x86 && f[20] == 58) kinds[1]++;
        else if (f[12] == 8 && f[23] == 1) kinds[2]++;
        else if (f[12] == 8 && memcmp(f + 42, "Four", 4) == 0 && f[17] == 32) kinds[3]++;
        else if (f[12] == 0x86 && memcmp(f + 62, "Six", 3) == 0 && ip6_sum_of(f, 11, 17) == 0xffff) kinds[4]++;
        else if (f[12] == 8 && memcmp(f + 42, "Late", 4) == 0) kinds[5]++;
        else if (f[12] == 8 && memcmp(f + 42, "Xxxx", 4) == 0 && n == 42 + 1452) kinds[6]++;
        else kinds[7]++;
    }
    fclose(from);
    static const uint32_t want[8] = {1, 2, 1, 100, 100, 1, 1, 0};
    cr_assert(memcmp(kinds, want, sizeof want) == 0 && cnt == 206);
    remove(in_path);
    remove(out_path);
}

/* A ring's replies come back to it: for another hardware address, so they are dropped and there is no end to live through. */
Test(dpdk, rings_and_an_idle_poller)
{
    kh_ingest *g;
    cr_assert(start_dpdk("--vdev=net_ring0 --vdev=net_ring1", "10.77.0.1:8444", 1, &g) == KH_OK, "%s", why);
    wait_for(g, "kanhe_ingest_sleeps_total", 10);
    cr_assert(metric(g, "kanhe_ingest_rx_total").sum == 0);
    stop(g, 1);
    cr_assert(start_dpdk("--vdev=net_ring0", "10.77.0.1:8444", 1, &g) == KH_E_ARG && strstr(why, "once") != NULL, "%s", why);
}

Test(dpdk, two_queues)
{
    kh_ingest *g;
    cr_assert(start_dpdk("--vdev=net_null0,no-rx=1", "10.77.0.1:8444", 2, &g) == KH_OK, "%s", why);
    wait_for(g, "kanhe_ingest_sleeps_total", 2);
    stop(g, 2);
}

Test(dpdk, more_pollers_than_queues)
{
    kh_ingest *g = NULL;
    char devices[200];
    snprintf(in_path, sizeof in_path, "/tmp/kh_none_%d.pcap", getpid());
    fclose(capture_begin(in_path));
    snprintf(devices, sizeof devices, "--vdev=net_pcap0,rx_pcap=%s,tx_pcap=/dev/null", in_path);
    cr_assert(start_dpdk(devices, "10.77.0.1:8444", 2, &g) == KH_E_ARG && strstr(why, "pollers are 2") != NULL, "%s", why);
    remove(in_path);
}

#define REFUSED(name, devices, poller_cnt, err, word)                                                                            \
    Test(dpdk, name)                                                                                                             \
    {                                                                                                                            \
        kh_ingest *g = NULL;                                                                                                     \
        cr_assert(start_dpdk(devices, "10.77.0.1:8444", poller_cnt, &g) == (err) && g == NULL && strstr(why, word), "%s", why);  \
    }
REFUSED(no_port, "", 1, KH_E_ARG, "0 ports")
REFUSED(no_such_argument, "--nonsense", 1, KH_E_IO, "--nonsense")
REFUSED(memif_is_refused, "--vdev=net_memif0,role=client,id=0,socket-abstract=no,socket=/tmp/kh_no_memif", 1, KH_E_ARG,
        "net_vhost")
#endif
