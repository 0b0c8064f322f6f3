/* index_rte: DPDK's rte_hash, lock-free for readers, bulk look-ups. In 2 MiB pages where the machine lets us reserve them for the
 * length of the run (root), else in 4 KiB pages; which, is said on stderr. */
#include "index_peer.h"
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct rte_hash *table;
static long pages_before = -1;
static const char pages_file[] = "/proc/sys/vm/nr_hugepages";

static long read_pages(void)
{
    long n = -1;
    FILE *f = fopen(pages_file, "r");
    if (f == NULL) return -1;
    if (fscanf(f, "%ld", &n) != 1) n = -1;
    (void)fclose(f);
    return n;
}

static bool write_pages(long n)
{
    char text[24];
    int sz = snprintf(text, sizeof text, "%ld\n", n), fd = open(pages_file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = write(fd, text, (size_t)sz) == sz;
    (void)close(fd);
    return ok;
}

static void close_table(void)
{
    if (pages_before >= 0) (void)write_pages(pages_before);
    pages_before = -1;
}

static void give_back(int signal_number)
{
    close_table();
    _exit(128 + signal_number);
}

/* Pages that are reserved and kept would be lost to the machine: they are given back however the process ends. */
static bool reserve_pages(long more)
{
    static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGABRT, SIGSEGV};
    long before = read_pages();
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) (void)signal(endings[i], give_back);
    pages_before = before;
    if (before < 0 || !write_pages(before + more)) return false;
    if (read_pages() >= before + more) return true;
    close_table();
    return false;
}

static bool open_table(uint64_t entries)
{
    char memory[32], prefix[32];
    long megabytes = (long)(entries * 64 >> 20) + 256;
    cpu_set_t cpus;
    bool huge = reserve_pages(megabytes / 2 + 64);
    (void)snprintf(memory, sizeof memory, "%ld", megabytes);
    (void)snprintf(prefix, sizeof prefix, "kh%d", (int)getpid());
    char *with_huge[] = {"bench", "--in-memory", "--no-pci", "--no-telemetry", "--log-level=1", "-l", "0", NULL};
    char *without[] = {"bench",          "--no-huge",     "-m", memory, "--no-shconf", "--file-prefix", prefix, "--no-pci",
                       "--no-telemetry", "--log-level=1", "-l", "0",    NULL};
    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    int rc = huge ? rte_eal_init(7, with_huge) : rte_eal_init(12, without);
    (void)sched_setaffinity(0, sizeof cpus, &cpus);
    if (rc < 0) return false;
    (void)fprintf(stderr, "  rte_hash in %s pages\n", huge ? "2 MiB" : "4 KiB");
    struct rte_hash_parameters p = {.name = "peer",
                                    .entries = (uint32_t)(entries + entries / 8),
                                    .key_len = 16,
                                    .hash_func = rte_hash_crc,
                                    .socket_id = 0,
                                    .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF};
    table = rte_hash_create(&p);
    return table != NULL;
}

static bool add(const kh_key *key, void *value) { return rte_hash_add_key_data(table, key, value) == 0; }

static uint32_t bulk(const kh_key keys[], uint32_t n, void *ret_values[])
{
    const void *at[RTE_HASH_LOOKUP_BULK_MAX];
    uint64_t hits = 0;
    for (uint32_t i = 0; i < n; i++) at[i] = &keys[i];
    (void)rte_hash_lookup_bulk_data(table, at, n, &hits, ret_values);
    return (uint32_t)__builtin_popcountll(hits);
}

const index_peer index_peer_rte_hash = {"rte_hash", open_table, add, bulk, close_table};
