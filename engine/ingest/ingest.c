/* ingest: the threads of the pollers, and the front end that they run. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "host/host.h"
#include "ingest/address.h"
#include "ingest/front.h"

typedef struct ingest_thread {
    kh_ingest *ingest;
    uint32_t number;
    pthread_t id;
} ingest_thread;

struct kh_ingest {
    kh_front_options o;
    kh_clock clock;
    kh_frame_address addresses[KH_INGEST_ADDRESSES_MAX];
    kh_poller *pollers[KH_INGEST_POLLERS_MAX];
    kh_front_counters *counters;
    const kh_front *front;
    void *opened;
    void (*drop)(kh_poller *poller);
    atomic_bool stopping;
    char dpdk[1024];
    uint32_t thread_cnt;
    ingest_thread threads[KH_INGEST_POLLERS_MAX];
};

static kh_err failed(kh_err err, const char *reason, char *why, size_t cap)
{
    (void)snprintf(why, cap, "%s", reason);
    return err;
}

static void *run(void *arg)
{
    ingest_thread *t = arg;
    char name[16];
    /* By the thread itself: another's name is a file, which a locked-down daemon cannot write. */
    (void)snprintf(name, sizeof name, "kh-poller-%u", t->number);
    (void)pthread_setname_np(pthread_self(), name);
    t->ingest->front->run(t->ingest->opened, t->number);
    return NULL;
}

/* The DPDK front end is looked for beside the program (as it is built and as it is installed together), then where meson
   installs. It is never unloaded: DPDK's own threads and libraries stay. */
static kh_err load_module(const char *named, const kh_front **ret, char *why, size_t cap)
{
    static const char *const beside[] = {"kanhe_dpdk.so", "../ingest/kanhe_dpdk.so"};
    char exe[512], path[600];
    void *module = NULL;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash != NULL) slash[1] = '\0';
    if (named != NULL) {
        module = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    } else {
        for (uint32_t i = 0; module == NULL && slash != NULL && i < sizeof beside / sizeof beside[0]; i++) {
            (void)snprintf(path, sizeof path, "%s%s", exe, beside[i]);
            if (access(path, R_OK) == 0) module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        }
        if (module == NULL) module = dlopen(KH_MODULE_DIR "/kanhe_dpdk.so", RTLD_NOW | RTLD_LOCAL);
    }
    if (module == NULL) {
        (void)snprintf(why, cap, "no front end for DPDK: %s", dlerror());
        return KH_E_NOT_FOUND;
    }
    const kh_front *front = dlsym(module, KH_FRONT_SYMBOL);
    if (front == NULL || front->version != KH_FRONT_VERSION)
        return failed(KH_E_VERSION, "the front end for DPDK is of another version", why, cap);
    *ret = front;
    return KH_OK;
}

static kh_err check(const kh_ingest_options *options, const kh_front_options *o, char *why, size_t cap)
{
    if (o->port == 0 && options->dpdk != NULL)
        return failed(KH_E_ARG, "with DPDK the datagram port is a number of yours", why, cap);
    for (uint32_t i = 0; options->dpdk != NULL && i < o->address_cnt; i++)
        if (kh_address_is_wildcard(&o->addresses[i]))
            return failed(KH_E_ARG, "with DPDK the datagram address is the port's own, not a wildcard", why, cap);
    return KH_OK;
}

static kh_err prepare(kh_ingest *g, const kh_ingest_options *options, char *why, size_t cap)
{
    bool dpdk = options->dpdk != NULL;
    uint32_t spin_us = options->spin_us != 0 ? options->spin_us : dpdk ? 1000 : 50;
    g->clock = options->clock != NULL ? *options->clock : kh_host_clock();
    g->o.clock = &g->clock;
    g->o.addresses = g->addresses;
    g->o.queue_cnt = options->poller_cnt;
    g->o.trust_peers = options->trust_peers;
    g->o.spin_ns = spin_us == UINT32_MAX ? UINT64_MAX : spin_us * UINT64_C(1000);
    g->o.pollers = g->pollers;
    g->o.stopping = &g->stopping;
    if (dpdk && strlen(options->dpdk) >= sizeof g->dpdk) return failed(KH_E_ARG, "DPDK's arguments are too long", why, cap);
    if (dpdk) g->o.dpdk = strcpy(g->dpdk, options->dpdk);
    if (!kh_address_parse_list(options->listen, g->addresses, &g->o.address_cnt, &g->o.port))
        return failed(KH_E_ARG, "the datagram address is not ADDRESS:PORT", why, cap);
    kh_err err = check(options, &g->o, why, cap);
    if (err != KH_OK) return err;
    g->counters = aligned_alloc(KH_CACHE_LINE, options->poller_cnt * sizeof *g->counters);
    if (g->counters == NULL) return failed(KH_E_NOMEM, "datagrams: no memory", why, cap);
    memset(g->counters, 0, options->poller_cnt * sizeof *g->counters);
    g->o.counters = g->counters;
    g->o.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (g->o.stop_fd < 0) return failed(KH_E_IO, "datagrams: no event descriptor", why, cap);
    g->front = &kh_front_udp;
    if (dpdk) err = load_module(options->dpdk_module, &g->front, why, cap);
    return err;
}

static kh_err start_thread(kh_ingest *g, const int *cpus, char *why, size_t cap)
{
    ingest_thread *t = &g->threads[g->thread_cnt];
    pthread_attr_t attr;
    *t = (ingest_thread){.ingest = g, .number = g->thread_cnt};
    if (pthread_attr_init(&attr) != 0) return failed(KH_E_NOMEM, "datagrams: no memory", why, cap);
    int rc = 0;
    if (cpus != NULL) {
        cpu_set_t one;
        CPU_ZERO(&one);
        if (cpus[t->number] >= 0 && cpus[t->number] < CPU_SETSIZE) CPU_SET(cpus[t->number], &one);
        rc = pthread_attr_setaffinity_np(&attr, sizeof one, &one);
    }
    if (rc == 0) rc = pthread_create(&t->id, &attr, run, t);
    (void)pthread_attr_destroy(&attr);
    if (rc != 0) {
        (void)snprintf(why, cap, "the thread of poller %u: %s", t->number, strerror(rc));
        return rc == EINVAL ? KH_E_ARG : KH_E_IO;
    }
    g->thread_cnt++;
    return KH_OK;
}

static kh_err start_threads(kh_ingest *g, const int *cpus, char *why, size_t cap)
{
    sigset_t all, before;
    kh_err err = KH_OK;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (err == KH_OK && g->thread_cnt < g->o.queue_cnt) err = start_thread(g, cpus, why, cap);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

kh_err kh_ingest_start_with(const kh_ingest_options *options, const kh_front_work *work, kh_poller *const pollers[], char *why,
                            size_t cap, kh_ingest **ret)
{
    if (options->poller_cnt == 0 || options->poller_cnt > KH_INGEST_POLLERS_MAX)
        return failed(KH_E_ARG, "pollers: 1 to 64", why, cap);
    kh_ingest *g = calloc(1, sizeof *g);
    if (g == NULL) return failed(KH_E_NOMEM, "datagrams: no memory", why, cap);
    memcpy(g->pollers, pollers, options->poller_cnt * sizeof pollers[0]);
    g->o.work = work;
    g->o.stop_fd = -1;
    kh_err err = prepare(g, options, why, cap);
    if (err == KH_OK) err = g->front->open(&g->o, why, cap, &g->opened);
    if (err == KH_OK && options->opened != NULL && !options->opened(options->opened_ctx, why, cap)) err = KH_E_IO;
    if (err == KH_OK) err = start_threads(g, options->cpus, why, cap);
    if (err == KH_OK) *ret = g;
    else kh_ingest_stop(g);
    return err;
}

void kh_ingest_own(kh_ingest *ingest, void (*drop)(kh_poller *poller)) { ingest->drop = drop; }

uint16_t kh_ingest_port(const kh_ingest *ingest) { return ingest->front->port(ingest->opened); }

void kh_ingest_stop(kh_ingest *ingest)
{
    const uint64_t one = 1;
    atomic_store_explicit(&ingest->stopping, true, memory_order_relaxed); /* the threads are joined below */
    if (ingest->o.stop_fd >= 0 && write(ingest->o.stop_fd, &one, sizeof one) < 0) KH_ASSERT(errno == EAGAIN);
    for (uint32_t i = 0; i < ingest->thread_cnt; i++) KH_ASSERT(pthread_join(ingest->threads[i].id, NULL) == 0);
    if (ingest->opened != NULL) ingest->front->close(ingest->opened);
    for (uint32_t i = 0; ingest->drop != NULL && i < ingest->o.queue_cnt; i++) ingest->drop(ingest->pollers[i]);
    if (ingest->o.stop_fd >= 0) (void)close(ingest->o.stop_fd);
    free(ingest->counters);
    free(ingest);
}

static const struct {
    const char *name, *help;
} count_names[KH_COUNT_FRAME] = {
    [KH_COUNT_RX] = {"kanhe_ingest_rx_total", "datagrams received"},
    [KH_COUNT_RX_BYTES] = {"kanhe_ingest_rx_bytes_total", "their bytes"},
    [KH_COUNT_TX] = {"kanhe_ingest_tx_total", "datagrams sent"},
    [KH_COUNT_TX_BYTES] = {"kanhe_ingest_tx_bytes_total", "their bytes"},
    [KH_COUNT_LATE] = {"kanhe_ingest_late_total", "answers sent after their burst, as operations' are"},
    [KH_COUNT_BURSTS] = {"kanhe_ingest_bursts_total", "bursts that had datagrams"},
    [KH_COUNT_EMPTY] = {"kanhe_ingest_empty_polls_total", "rounds that found nothing"},
    [KH_COUNT_SLEEPS] = {"kanhe_ingest_sleeps_total", "times that a poller slept until something came"},
    [KH_COUNT_BUSY_NS] = {"kanhe_ingest_busy_nanoseconds_total",
                          "time that rounds with datagrams took; its rate is the poller's load"},
    [KH_COUNT_NEIGHBOURS] = {"kanhe_ingest_neighbours_total", "ARP, neighbour and echo requests answered"},
    [KH_COUNT_DROPPED_LONG] = {"kanhe_ingest_dropped_long_total", "datagrams dropped: longer than any request"},
    [KH_COUNT_DROPPED_SEND] = {"kanhe_ingest_dropped_send_total", "replies dropped: the kernel or device did not take them"},
    [KH_COUNT_DROPPED_DEVICE] = {"kanhe_ingest_dropped_device_total",
                                 "datagrams dropped by the kernel or device because the poller was behind"},
};

void kh_ingest_metrics(kh_ingest *ingest,
                       void (*each)(void *ctx, const char *name, const char *help, const char *labels, uint64_t value), void *ctx)
{
    char labels[64];
    for (uint32_t c = 0; c < KH_COUNT_CNT; c++) {
        for (uint32_t i = 0; i < ingest->o.queue_cnt; i++) {
            uint64_t v = atomic_load_explicit(&ingest->counters[i].v[c], memory_order_relaxed); /* each figure by itself */
            if (c == KH_COUNT_DROPPED_DEVICE) v = ingest->front->device_drops(ingest->opened, i);
            (void)snprintf(labels, sizeof labels, "poller=\"%u\"", i);
            if (c >= KH_COUNT_FRAME)
                (void)snprintf(labels, sizeof labels, "poller=\"%u\",reason=\"%s\"", i, kh_frame_reason_word(c - KH_COUNT_FRAME));
            const char *name = c < KH_COUNT_FRAME ? count_names[c].name : "kanhe_ingest_dropped_frames_total";
            const char *help = c < KH_COUNT_FRAME ? count_names[c].help : "frames dropped (DPDK)";
            each(ctx, name, help, labels, v);
        }
    }
}
