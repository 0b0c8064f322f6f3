/* echo_hub: ingest with a poller that echoes, as a program. echo_hub LISTEN POLLERS [EAL-ARGUMENTS]
 * Prints "ready PORT"; on SIGTERM stops, prints every counter that is not 0, and ends with 0. */
#include <signal.h>
#include <stdio.h>
#include "../unit/echo_poller.h"

static void print(void *ctx, const char *name, const char *help, const char *labels, uint64_t value)
{
    (void)ctx, (void)help;
    if (value != 0) printf("%s{%s} %llu\n", name, labels, (unsigned long long)value);
}

int main(int argc, char **argv)
{
    char why[400] = "";
    kh_ingest *g = NULL;
    kh_poller *pollers[4] = {NULL};
    sigset_t end;
    int sig;
    if (argc < 3) return 2;
    kh_ingest_options o = {.listen = argv[1],
                           .poller_cnt = (uint32_t)atoi(argv[2]),
                           .dpdk = argc > 3 ? argv[3] : NULL,
                           .dpdk_module = getenv("KH_DPDK_MODULE")};
    for (uint32_t i = 0; i < o.poller_cnt && i < 4; i++) pollers[i] = echo_new();
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL);
    if (kh_ingest_start_with(&o, &echo_work, pollers, why, sizeof why, &g) != KH_OK) {
        fprintf(stderr, "echo_hub: %s\n", why);
        return 3;
    }
    printf("ready %u\n", kh_ingest_port(g));
    fflush(stdout);
    sigwait(&end, &sig);
    kh_ingest_metrics(g, print, NULL);
    fflush(stdout);
    kh_ingest_stop(g);
    for (uint32_t i = 0; i < o.poller_cnt; i++) echo_free(pollers[i]);
    return 0;
}
