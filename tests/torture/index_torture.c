/* index_torture: readers against a writer that grows, swaps, removes, reuses and stores quads, and a reclaiming thread.
 *
 *   index_torture [SECONDS [SEED]]        ends with "ok", or says what was wrong and exits 1
 *
 * Each id in [0, present) is in the map at every moment from the time `present` passed it (O1), except the ids the writer takes
 * out and puts back, every 16th. A record carries its id in key, base and cap; base changes with each swap and never goes back
 * for one reader (O2). A quad's two halves are functions of each other (O3). A record given back too early shows a foreign id,
 * or, under TSan, a race. The histogram is the age, in generations, of what readers saw of a hot set that the writer swaps all
 * the time. */
#include "index/index.h"
#include "index/reader.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { READERS = 2, HOT = 64, AGES = 6, DOCUMENTS = 4000000, BATCH = 32 };

static kh_index *ix;
static uint64_t present;         /* ids below are in the map */
static uint64_t generation[HOT]; /* of the hot ids: raised after the swap returned */
static uint64_t remembered[READERS][HOT];
static uint64_t ages[READERS][AGES], looked_up[READERS];
static bool stop, failed;

static void fail(const char *what, uint64_t id, uint64_t saw)
{
    if (!__atomic_exchange_n(&failed, true, __ATOMIC_RELAXED))
        fprintf(stderr, "torture: %s: id %llu, saw %llu\n", what, (unsigned long long)id, (unsigned long long)saw);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static kh_key key_of(uint64_t id)
{
    kh_key key;
    uint64_t words[2] = {id, ~id * 7};
    memcpy(key.b, words, sizeof words);
    return key;
}

/* What comes and goes is every 16th id behind the hot ones. */
static bool comes_and_goes(uint64_t id) { return id >= HOT && id % 16 == 5; }

static kh_quad quad_of(uint32_t updates, uint64_t id)
{
    return (kh_quad){.taken = updates * UINT64_C(0x9e3779b97f4a7c15) ^ id, .updates = updates, .version = (uint16_t)id};
}

static void check_record(const kh_record *r, uint64_t id)
{
    uint64_t words[2];
    memcpy(words, r->key.b, sizeof words);
    if (words[0] != id || words[1] != ~id * 7 || r->cap != (id ^ r->base)) fail("a foreign or half written record", id, words[0]);
    for (int i = 0; i < (id < HOT ? 16 : 1); i++) {
        kh_quad q = kh_quad_load(r), want = quad_of(q.updates, id);
        if (q.taken != want.taken || q.version != want.version) fail("a torn quad", id, q.taken);
    }
}

static void *reader(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg;
    uint64_t random = 88172645463325252u + me;
    const kh_record *recs[KH_BULK_MAX];
    kh_key keys[KH_BULK_MAX];
    uint64_t ids[KH_BULK_MAX], least[KH_BULK_MAX];
    kh_reader_register();
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        uint64_t below = __atomic_load_n(&present, __ATOMIC_ACQUIRE);
        uint32_t n = (uint32_t)(1 + next_random(&random) % KH_BULK_MAX);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t pick = next_random(&random);
            ids[i] = pick % 4 == 0                   ? pick / 4 % HOT
                     : pick % 4 == 1 && below > 4096 ? below - 1 - pick / 4 % 4096
                                                     : pick / 4 % below;
            least[i] = ids[i] < HOT ? __atomic_load_n(&generation[ids[i]], __ATOMIC_ACQUIRE) : 0;
            keys[i] = key_of(ids[i]);
        }
        uint64_t hits = kh_index_get_bulk(ix, keys, n, recs);
        for (uint32_t i = 0; i < n; i++) {
            if ((hits >> i & 1) == 0) {
                if (!comes_and_goes(ids[i])) fail("a present key was not found", ids[i], below);
                continue;
            }
            check_record(recs[i], ids[i]);
            if (ids[i] >= HOT) continue;
            uint64_t saw = recs[i]->base, now = __atomic_load_n(&generation[ids[i]], __ATOMIC_RELAXED);
            if (saw < least[i]) fail("older than what had returned before the look-up (O1)", ids[i], saw);
            if (saw < remembered[me][ids[i]]) fail("back in time (O2)", ids[i], saw);
            remembered[me][ids[i]] = saw;
            uint64_t age = now > saw ? now - saw : 0;
            ages[me][age < AGES ? age : AGES - 1]++;
        }
        /* The pointers are good until the quiescent state: look again after others had their time. */
        if (next_random(&random) % 16 == 0) {
            (void)sched_yield();
            for (uint32_t i = 0; i < n; i++)
                if ((hits >> i & 1) != 0) check_record(recs[i], ids[i]);
        }
        looked_up[me] += n;
        kh_reader_quiesce();
    }
    kh_reader_unregister();
    return NULL;
}

static void *reclaimer(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        if (!kh_index_reclaim_step(ix)) (void)sched_yield();
    return NULL;
}

static uint32_t make_record(uint64_t id, uint64_t base, uint64_t height)
{
    uint32_t record = kh_index_alloc(ix, height);
    if (record == KH_RECORD_NONE) return record;
    kh_record *r = kh_index_record(ix, record);
    r->key = key_of(id);
    r->base = base;
    r->cap = id ^ base;
    kh_quad_store(r, quad_of(1, id));
    return record;
}

static bool put(uint64_t id, uint64_t height)
{
    uint32_t record = make_record(id, 0, height);
    return record != KH_RECORD_NONE && kh_index_put(ix, record) == KH_OK;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * KH_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void swap_hot(uint64_t id, uint64_t height)
{
    kh_key key = key_of(id);
    uint32_t old = kh_index_find(ix, &key), fresh = make_record(id, kh_index_at(ix, old)->base + 1, height);
    if (fresh == KH_RECORD_NONE) return;
    kh_index_swap(ix, old, fresh);
    __atomic_store_n(&generation[id], kh_index_at(ix, fresh)->base, __ATOMIC_RELEASE);
    kh_index_retire(ix, old, height);
}

/* One entry of the log: inserts, swaps, quad stores, and ids that go and come. */
static void one_entry(uint64_t height, uint64_t *random)
{
    uint64_t below = present, grow = below < DOCUMENTS * 3 / 4 ? BATCH : 0;
    for (uint64_t i = 0; i < grow; i++)
        if (put(below + i, height)) __atomic_store_n(&present, below + i + 1, __ATOMIC_RELEASE);
        else fail("put", below + i, 0);
    for (int i = 0; i < 8; i++) swap_hot(next_random(random) % HOT, height);
    for (int i = 0; i < BATCH; i++) {
        uint64_t id = i % 2 == 0 ? next_random(random) % HOT : next_random(random) % below;
        kh_key key = key_of(id);
        uint32_t record = kh_index_find(ix, &key);
        if (record == KH_RECORD_NONE) continue;
        kh_record *r = kh_index_record(ix, record);
        for (int k = 0; k < (id < HOT ? 32 : 1); k++) kh_quad_store(r, quad_of(kh_quad_load(r).updates + 1, id));
    }
    for (int i = 0; i < 4; i++) {
        uint64_t id = (next_random(random) % below & ~UINT64_C(15)) | 5;
        if (!comes_and_goes(id) || id >= below) continue;
        kh_key key = key_of(id);
        uint32_t record = kh_index_find(ix, &key);
        if (record == KH_RECORD_NONE) {
            if (!put(id, height)) fail("put back", id, 0);
        } else {
            kh_index_remove(ix, record);
            kh_index_retire(ix, record, height);
        }
    }
    kh_index_settle(ix, height);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 5;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20260101, random = seed | 1, height = 1;
    const uint8_t secret[16] = "torture's secret";
    static kh_state state;
    kh_region_spec specs[8];
    printf("index_torture %.1f %llu\n", seconds, (unsigned long long)seed);
    if (kh_state_init(&state, specs, kh_index_regions(DOCUMENTS, specs)) != KH_OK) return 1;
    void *mem = aligned_alloc(64, kh_index_footprint());
    if (mem == NULL || kh_index_open(&state, secret, mem, &ix) != KH_OK) return 1;
    for (; present < 1000; present++)
        if (!put(present, height)) return 1;
    pthread_t threads[READERS + 1];
    for (uint32_t i = 0; i < READERS; i++)
        if (pthread_create(&threads[i], NULL, reader, (void *)(uintptr_t)i) != 0) return 1;
    if (pthread_create(&threads[READERS], NULL, reclaimer, NULL) != 0) return 1;
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) one_entry(++height, &random);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i <= READERS; i++) pthread_join(threads[i], NULL);
    uint64_t total = 0;
    printf("age of what was seen, in generations:");
    for (uint32_t a = 0; a < AGES; a++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < READERS; i++) sum += ages[i][a];
        printf(" %u%s %llu", a, a == AGES - 1 ? "+" : "", (unsigned long long)sum);
    }
    for (uint32_t i = 0; i < READERS; i++) total += looked_up[i];
    printf("\n%llu documents, %llu entries, %llu look-ups: %s\n", (unsigned long long)kh_index_count(ix),
           (unsigned long long)height, (unsigned long long)total, failed ? "FAILED" : "ok");
    kh_state_release(&state);
    free(mem);
    return failed ? 1 : 0;
}
