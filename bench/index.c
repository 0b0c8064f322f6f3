/* bench_index: look-ups of the index against the machine's own random-read limit and against other tables, in one process.
 *
 *   bench_index [--quick] [--size N]...      one JSON object a figure on stdout, the story on stderr
 *
 * Each (size, peer) runs in a process of its own. All contenders read the same keys, in turn, ROUNDS times; the figure is the
 * median, and ratios are medians of the ratios within a round. Times are the thread's own processor time, so that neighbours on
 * the machine disturb less. The limit (raw2) is measured on the index's own memory; the better of prefetching to L1 and to L2
 * counts. */
#include "index/index.h"
#include "index/reader.h"
#include "index_limit.h"
#include "index_peer.h"
#include "clock.h"
#include "median.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 7, ROUNDS_QUICK = 5, QUERIES = 1 << 21, BATCH = 256, THREADS_MAX = 2 };
static int rounds = ROUNDS;

static kh_state state;
static kh_index *ix;
static uint64_t documents;
static char size_name[32];

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static kh_key key_of(uint64_t id)
{
    kh_key key;
    uint64_t words[2] = {mix(id + 1), mix(~id)};
    memcpy(key.b, words, sizeof words);
    return key;
}

static double middle(const double values[], int n)
{
    double sorted[ROUNDS * 4];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    return median(sorted, (size_t)n);
}

static double median_ratio(const double a[], const double b[], int n)
{
    double ratios[ROUNDS * 4];
    for (int i = 0; i < n; i++) ratios[i] = a[i] / b[i];
    return middle(ratios, n);
}

static void say(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"index_%s_%s\",\"value\":%.4g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.3f}\n", size_name, name,
           value, unit, against, ratio);
    fflush(stdout);
    fprintf(stderr, "  %-5s %-28s %10.2f %-10s", size_name, name, value, unit);
    if (against[0] != '\0') fprintf(stderr, " %5.2f of %s", ratio, against);
    fputc('\n', stderr);
}

/* Keys to ask for, of one thread: present, every second one present, none present. */
typedef enum mixture { HITS, HALF, MISSES, MIXTURES } mixture;
typedef struct queries {
    kh_key *keys[MIXTURES];
} queries;
static queries asked[THREADS_MAX];

static bool make_queries(queries *q, uint64_t seed)
{
    for (int m = 0; m < MIXTURES; m++) {
        q->keys[m] = aligned_alloc(2 << 20, QUERIES * sizeof(kh_key));
        if (q->keys[m] == NULL) return false;
        (void)madvise(q->keys[m], QUERIES * sizeof(kh_key), MADV_HUGEPAGE); /* as the index has them, and so the limit */
        for (uint64_t i = 0; i < QUERIES; i++) {
            uint64_t r = mix(seed ^ (i * 3 + (uint64_t)m)), id = (uint64_t)(((unsigned __int128)r * documents) >> 64);
            bool present = m == HITS || (m == HALF && (mix(r) & 1) != 0);
            q->keys[m][i] = key_of(present ? id : id + (UINT64_C(1) << 40));
        }
    }
    return true;
}

/* What one thread runs; each returns look-ups a second of its own processor time, in millions. */
typedef enum contender { INDEX_MANY, INDEX_BULK, LIMIT_1, LIMIT_2_L1, LIMIT_2_L2, PEER, INDEX_READ, PEER_READ } contender;

static const index_peer *peer;
static uint64_t sink;

static double run(contender what, mixture m, uint32_t thread)
{
    const kh_record *recs[BATCH];
    void *values[KH_BULK_MAX];
    const kh_key *keys = asked[thread].keys[m];
    const limit_arrays arrays = {.first = state.regions[KH_REGION_INDEX_SEGMENTS].base,
                                 .second = state.regions[KH_REGION_INDEX_RECORDS].base,
                                 .first_cnt = state.regions[KH_REGION_INDEX_SEGMENTS].row_cnt * 1024,
                                 .second_cnt = state.regions[KH_REGION_INDEX_RECORDS].row_cnt};
    uint64_t sum = 0, seed = mix(thread + 77) ^ sink;
    double begin = clock_of_thread();
    switch (what) {
    case INDEX_MANY:
        for (uint32_t i = 0; i < QUERIES; i += BATCH) {
            sum += kh_index_get_many(ix, keys + i, BATCH, recs);
            kh_reader_quiesce();
        }
        break;
    case INDEX_BULK:
        for (uint32_t i = 0; i < QUERIES; i += KH_BULK_MAX) {
            sum += kh_index_get_bulk(ix, keys + i, KH_BULK_MAX, recs);
            kh_reader_quiesce();
        }
        break;
    case LIMIT_1: sum = limit_raw1(&arrays, QUERIES, seed, false); break;
    case LIMIT_2_L1: sum = limit_raw2(&arrays, QUERIES, seed, false); break;
    case LIMIT_2_L2: sum = limit_raw2(&arrays, QUERIES, seed, true); break;
    case PEER:
        for (uint32_t i = 0; i < QUERIES; i += KH_BULK_MAX) {
            sum += peer->bulk(keys + i, KH_BULK_MAX, values);
            kh_reader_quiesce();
        }
        break;
    case INDEX_READ:
        for (uint32_t i = 0; i < QUERIES; i += BATCH) {
            (void)kh_index_get_many(ix, keys + i, BATCH, recs);
            for (uint32_t k = 0; k < BATCH; k++) sum += recs[k]->cap - kh_quad_load(recs[k]).taken;
            kh_reader_quiesce();
        }
        break;
    case PEER_READ:
        for (uint32_t i = 0; i < QUERIES; i += KH_BULK_MAX) {
            (void)peer->bulk(keys + i, KH_BULK_MAX, values);
            for (uint32_t k = 0; k < KH_BULK_MAX; k++) __builtin_prefetch(values[k], 0, 3);
            for (uint32_t k = 0; k < KH_BULK_MAX; k++) sum += ((kh_record *)values[k])->cap - kh_quad_load(values[k]).taken;
            kh_reader_quiesce();
        }
        break;
    }
    double took = clock_of_thread() - begin;
    __atomic_fetch_add(&sink, sum, __ATOMIC_RELAXED);
    return QUERIES / took / 1e6;
}

typedef struct second_thread {
    pthread_barrier_t *start;
    contender what;
    mixture m;
    double rate;
} second_thread;

static void pin(uint32_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void *run_second(void *arg)
{
    second_thread *s = arg;
    pin(1);
    kh_reader_register();
    kh_reader_offline();
    pthread_barrier_wait(s->start);
    kh_reader_online();
    s->rate = run(s->what, s->m, 1);
    kh_reader_unregister();
    return NULL;
}

static double run_on(uint32_t threads, contender what, mixture m)
{
    if (threads == 1) return run(what, m, 0);
    pthread_barrier_t start;
    pthread_t t;
    second_thread s = {.start = &start, .what = what, .m = m};
    pthread_barrier_init(&start, NULL, 2);
    if (pthread_create(&t, NULL, run_second, &s) != 0) return 0;
    pthread_barrier_wait(&start);
    double rate = run(what, m, 0);
    kh_reader_offline();
    pthread_join(t, NULL);
    kh_reader_online();
    pthread_barrier_destroy(&start);
    return rate + s.rate;
}

static void against_limit(uint32_t threads)
{
    static const char *const names[] = {"hit", "half_hit", "miss"};
    double raw1[ROUNDS], raw2[ROUNDS], many[MIXTURES][ROUNDS], bulk[ROUNDS];
    char name[64];
    for (int r = -1; r < rounds; r++) { /* the first round warms up */
        int at = r < 0 ? 0 : r;
        double l1 = run_on(threads, LIMIT_2_L1, HITS);
        for (int m = 0; m < MIXTURES; m++) many[m][at] = run_on(threads, INDEX_MANY, (mixture)m);
        double l2 = run_on(threads, LIMIT_2_L2, HITS);
        bulk[at] = run_on(threads, INDEX_BULK, HITS);
        raw1[at] = run_on(threads, LIMIT_1, HITS);
        raw2[at] = l1 > l2 ? l1 : l2;
    }
    for (int m = 0; m < MIXTURES; m++) {
        (void)snprintf(name, sizeof name, "%s_%ut", names[m], threads);
        say(name, middle(many[m], rounds), "M/s", m == MISSES ? "raw1" : "raw2",
            median_ratio(many[m], m == MISSES ? raw1 : raw2, rounds));
    }
    (void)snprintf(name, sizeof name, "hit_by_64_%ut", threads);
    say(name, middle(bulk, rounds), "M/s", "raw2", median_ratio(bulk, raw2, rounds));
    (void)snprintf(name, sizeof name, "raw2_%ut", threads);
    say(name, middle(raw2, rounds), "M/s", "raw1", median_ratio(raw2, raw1, rounds));
}

static void against_peer(void)
{
    double begin = clock_now();
    if (!peer->open(documents)) {
        fprintf(stderr, "  %s cannot be had here\n", peer->name);
        peer->close();
        return;
    }
    bool added = true;
    for (uint64_t i = 0; i < documents && added; i++) {
        kh_key key = key_of(i);
        added = peer->add(&key, kh_index_record(ix, (uint32_t)i + 1)); /* records were given in order, from 1 */
    }
    fprintf(stderr, "  %s filled in %.1f s\n", peer->name, clock_now() - begin);
    static const char *const names[] = {"hit", "half_hit", "miss"};
    double ours[ROUNDS], theirs[ROUNDS];
    char name[64];
    for (int m = 0; m < MIXTURES && added; m++) {
        for (int r = -1; r < rounds; r++) {
            ours[r < 0 ? 0 : r] = run(INDEX_MANY, (mixture)m, 0);
            theirs[r < 0 ? 0 : r] = run(PEER, (mixture)m, 0);
        }
        (void)snprintf(name, sizeof name, "%s_1t_against_%s", names[m], peer->name);
        say(name, middle(ours, rounds), "M/s", peer->name, median_ratio(ours, theirs, rounds));
        (void)snprintf(name, sizeof name, "%s_%s_1t", peer->name, names[m]);
        say(name, middle(theirs, rounds), "M/s", "", 0);
    }
    /* What a verification needs: the balance. A peer gives a pointer to it; in the index it lies with the key. */
    for (int r = -1; r < rounds && added; r++) {
        ours[r < 0 ? 0 : r] = run(INDEX_READ, HITS, 0);
        theirs[r < 0 ? 0 : r] = run(PEER_READ, HITS, 0);
    }
    (void)snprintf(name, sizeof name, "hit_and_balance_1t_against_%s", peer->name);
    if (added) say(name, middle(ours, rounds), "M/s", peer->name, median_ratio(ours, theirs, rounds));
    else fprintf(stderr, "  %s is full before %llu entries\n", peer->name, (unsigned long long)documents);
    peer->close();
}

/* ---- readers beside a writer that changes a million records a second ---- */

enum { CHANGES_PER_S = 1000000, ENTRY_CHANGES = 256, SWAP_EACH = 16 };
static bool writing, ending;
static uint64_t changed;

static void change_entry(uint64_t height, uint64_t *random)
{
    kh_key keys[KH_BULK_MAX];
    uint32_t records[KH_BULK_MAX];
    for (uint32_t done = 0; done < ENTRY_CHANGES; done += KH_BULK_MAX) {
        for (uint32_t i = 0; i < KH_BULK_MAX; i++) keys[i] = key_of((*random = mix(*random + i)) % documents);
        kh_index_find_bulk(ix, keys, KH_BULK_MAX, records);
        for (uint32_t i = 0; i < KH_BULK_MAX; i++) {
            kh_record *r = kh_index_record(ix, records[i]);
            kh_quad q = kh_quad_load(r);
            q.taken++;
            q.updates++;
            if (i % SWAP_EACH == 0 && kh_index_find(ix, &keys[i]) == records[i]) {
                uint32_t fresh = kh_index_alloc(ix, height);
                if (fresh == KH_RECORD_NONE) continue;
                *kh_index_record(ix, fresh) = *r;
                kh_quad_store(kh_index_record(ix, fresh), q);
                kh_index_swap(ix, records[i], fresh);
                kh_index_retire(ix, records[i], height);
            } else kh_quad_store(r, q);
        }
    }
    kh_index_settle(ix, height);
    changed += ENTRY_CHANGES;
}

static void *write_paced(void *arg)
{
    uint64_t height = 1000000, random = 5;
    (void)arg;
    pin(1);
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE)) {
        if (!__atomic_load_n(&writing, __ATOMIC_ACQUIRE)) {
            usleep(200);
            continue;
        }
        double begin = clock_now();
        for (uint64_t done = 0; __atomic_load_n(&writing, __ATOMIC_ACQUIRE);) {
            double due = (clock_now() - begin) * CHANGES_PER_S;
            if ((double)done > due) continue;
            change_entry(++height, &random);
            done += ENTRY_CHANGES;
        }
    }
    return NULL;
}

static void *reclaim(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE))
        if (!kh_index_reclaim_step(ix)) usleep(500);
    return NULL;
}

static void beside_writer(void)
{
    double quiet[ROUNDS], busy[ROUNDS], rate[ROUNDS];
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, write_paced, NULL) != 0 || pthread_create(&threads[1], NULL, reclaim, NULL) != 0)
        return;
    for (int r = -1; r < rounds; r++) {
        int at = r < 0 ? 0 : r;
        quiet[at] = run(INDEX_MANY, HITS, 0);
        __atomic_store_n(&writing, true, __ATOMIC_RELEASE);
        uint64_t before = __atomic_load_n(&changed, __ATOMIC_RELAXED);
        double begin = clock_now();
        double sum = 0;
        for (int i = 0; i < 4; i++) sum += run(INDEX_MANY, HITS, 0);
        busy[at] = sum / 4;
        rate[at] = (double)(__atomic_load_n(&changed, __ATOMIC_RELAXED) - before) / (clock_now() - begin) / 1e6;
        __atomic_store_n(&writing, false, __ATOMIC_RELEASE);
        kh_reader_offline();
        usleep(2000);
        kh_reader_online();
    }
    __atomic_store_n(&ending, true, __ATOMIC_RELEASE);
    kh_reader_offline();
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    kh_reader_online();
    say("hit_beside_writer", middle(busy, rounds), "M/s", "undisturbed", median_ratio(busy, quiet, rounds));
    say("writer_changes", middle(rate, rounds), "M/s", "", 0);
}

static bool build_index(void)
{
    const uint8_t secret[16] = "a bench's secret";
    kh_region_spec specs[8];
    if (kh_state_init(&state, specs, kh_index_regions(documents + documents / 8 + 1000000, specs)) != KH_OK) return false;
    kh_state_use_huge_pages(&state);
    void *mem = aligned_alloc(64, kh_index_footprint());
    if (mem == NULL || kh_index_open(&state, secret, mem, &ix) != KH_OK) return false;
    /* As the store does it: memory is there before it is needed. */
    if (kh_state_populate(&state, KH_REGION_INDEX_RECORDS, documents * 64) != KH_OK ||
        kh_state_populate(&state, KH_REGION_INDEX_SEGMENTS, documents * 16) != KH_OK)
        return false;
    static uint32_t took[1 << 14]; /* batches by their time, in microseconds */
    double begin = clock_of_thread(), last = begin;
    for (uint64_t i = 0; i < documents;) {
        uint32_t fresh[KH_BULK_MAX];
        uint32_t n = (uint32_t)kh_min64(KH_BULK_MAX, documents - i);
        uint64_t height = 1 + i / 4096;
        for (uint32_t k = 0; k < n; k++) {
            fresh[k] = kh_index_alloc(ix, height);
            if (fresh[k] == KH_RECORD_NONE) return false;
            kh_record *r = kh_index_record(ix, fresh[k]);
            r->key = key_of(i + k);
            r->cap = i + k;
            kh_index_prefetch_bucket(ix, &r->key);
        }
        for (uint32_t k = 0; k < n; k++)
            if (kh_index_put(ix, fresh[k]) != KH_OK) return false;
        i += n;
        double now = clock_of_thread();
        took[(uint32_t)kh_min64((uint64_t)((now - last) * 1e6), (1 << 14) - 1)]++;
        last = now;
    }
    uint32_t slow = (1 << 14) - 1;
    for (uint64_t more = 0, batches = documents / KH_BULK_MAX; slow > 0 && (more += took[slow]) * 10000 <= batches; slow--) {}
    say("insert_64_p9999", slow, "us", "", 0);
    say("insert_growing", (double)documents / (clock_of_thread() - begin) / 1e6, "M/s", "", 0);
    say("bytes_a_document", (double)kh_state_bytes(&state) / (double)documents, "B", "", 0);
    return true;
}

static int one_size(const char *with)
{
    if (documents % 1000000 == 0) (void)snprintf(size_name, sizeof size_name, "%lluM", (unsigned long long)documents / 1000000);
    else (void)snprintf(size_name, sizeof size_name, "%llu", (unsigned long long)documents);
    pin(0);
    kh_reader_register();
    if (!build_index() || !make_queries(&asked[0], 1) || !make_queries(&asked[1], 2)) {
        fprintf(stderr, "  not enough memory for %s documents\n", size_name);
        return 1;
    }
    if (strcmp(with, "limit") == 0) {
        against_limit(1);
        if (sysconf(_SC_NPROCESSORS_ONLN) >= 2) {
            against_limit(2);
            beside_writer();
        }
    } else {
        peer = strcmp(with, "cds_lfht") == 0 ? &index_peer_cds_lfht : NULL;
#if defined(KH_BENCH_DPDK)
        if (strcmp(with, "rte_hash") == 0) peer = &index_peer_rte_hash;
#endif
        if (peer != NULL) against_peer();
        else fprintf(stderr, "  %s is not built in\n", with);
    }
    kh_reader_unregister();
    return 0;
}

/* Runs this program again, so that each table has a process of its own. */
static int again(const char *size, const char *with, bool quick)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "bench_index", "--size", size, "--with", with, quick ? "--quick" : (char *)NULL,
                    (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    static const char *const all_with[] = {"limit", "rte_hash", "cds_lfht"};
    const char *sizes[8] = {"1000000", "10000000", "100000000"}, *with = NULL;
    uint32_t size_cnt = 3, given = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            rounds = ROUNDS_QUICK;
            if (given == 0) sizes[0] = "10000000";
            size_cnt = 1;
        } else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc && given < 8) sizes[given++] = argv[++i];
        else if (strcmp(argv[i], "--with") == 0 && i + 1 < argc) with = argv[++i];
        else {
            fprintf(stderr, "usage: bench_index [--quick] [--size N]... [--with limit|rte_hash|cds_lfht]\n");
            return 2;
        }
    }
    if (given > 0) size_cnt = given;
    if (with != NULL && given == 1) {
        documents = strtoull(sizes[0], NULL, 10);
        return documents == 0 ? 2 : one_size(with);
    }
    int rc = 0;
    for (uint32_t s = 0; s < size_cnt; s++)
        for (uint32_t w = 0; w < 3; w++) {
            if (with != NULL && strcmp(with, all_with[w]) != 0) continue;
            fprintf(stderr, "%s documents, %s\n", sizes[s], all_with[w]);
            rc |= again(sizes[s], all_with[w], rounds == ROUNDS_QUICK);
        }
    return rc;
}
