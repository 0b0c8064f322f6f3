/* states_torture: three nodes' states on real disks and real threads: each ticks, hears its peers, is told what it wants and
 * keeps; two make; readers read what is held, all at once. A stream that is read is the one that was made; nothing is held that
 * was not. The clock runs fifty times as fast. The argument is seconds. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "states/states.h"
#include "host/host.h"

enum { NODES = 3, HUBS = 2, PIECE = 16384, SZ = 12 * PIECE + 99, QUEUE = 256, FAST = 50 };

typedef struct message {
    uint32_t from;
    uint8_t type, *p;
    size_t n;
} message;
static struct node {
    kh_states *s;
    kh_disk disk;
    char dir[64];
    pthread_mutex_t lock;
    message queue[QUEUE];
    uint32_t first, cnt;
    _Atomic uint64_t held, read, made;
} nodes[NODES + 1];
static kh_signer *signs[NODES + 1];
static kh_box *box;
static uint8_t group[KH_PUBLIC_SZ];
static _Atomic uint64_t wanted = 1;
static atomic_bool ending;
static kh_entropy entropy;

static uint64_t fast_now(void *self)
{
    kh_clock clock = kh_host_clock();
    (void)self;
    return clock.monotonic(clock.self) * FAST;
}
static const kh_clock fast = {.now = fast_now, .monotonic = fast_now};
static void pause_us(long us) { (void)nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL); }
static uint8_t byte_at(uint64_t height, size_t at) { return (uint8_t)(at * 31 + at / 4096 * 7 + height); }
static const kh_box *box_of(void *ctx, uint32_t epoch) { return (void)ctx, (void)epoch, box; }
static uint64_t room(void *ctx) { return (void)ctx, UINT64_C(1) << 40; }

/* A queue that is full drops, as a link does. */
static void on_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    struct node *node = &nodes[to];
    uint8_t *copy = malloc(n + 1);
    if (copy == NULL) abort();
    if (n != 0) memcpy(copy, p, n);
    (void)pthread_mutex_lock(&node->lock);
    if (node->cnt < QUEUE) {
        node->queue[(node->first + node->cnt++) % QUEUE] = (message){(uint32_t)((struct node *)ctx - nodes), type, copy, n};
        copy = NULL;
    }
    (void)pthread_mutex_unlock(&node->lock);
    free(copy);
}

static void look(void *ctx, kh_states_people *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->place = UINT32_MAX;
    for (uint32_t i = 1; i <= NODES; i++) {
        if (&nodes[i] != ctx) ret->peers[ret->peer_cnt++] = i;
        ret->members[ret->member_cnt++] = i;
        if (i > HUBS) continue;
        ret->hubs[ret->hub_cnt].id = i;
        kh_signer_public(signs[i], ret->hubs[ret->hub_cnt++].attest);
    }
}
static void on_held(void *ctx, uint64_t height)
{
    struct node *node = ctx;
    (void)height; /* by the time it is told the height may have gone again */
    atomic_fetch_add(&node->held, 1);
}
static void on_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    (void)ctx;
    (void)printf("not ok: %s of %u at %llu\n", word, member, (unsigned long long)height);
    exit(1);
}

static void *tick(void *arg)
{
    for (; !atomic_load(&ending); pause_us(300)) kh_states_tick(((struct node *)arg)->s);
    return NULL;
}

static void *hear(void *arg)
{
    struct node *node = arg;
    while (!atomic_load(&ending)) {
        message m = {.p = NULL};
        (void)pthread_mutex_lock(&node->lock);
        if (node->cnt != 0) {
            m = node->queue[node->first];
            node->first = (node->first + 1) % QUEUE;
            node->cnt--;
        }
        (void)pthread_mutex_unlock(&node->lock);
        if (m.p == NULL) {
            pause_us(100);
            continue;
        }
        kh_states_received(node->s, m.from, m.type, m.p, m.n);
        free(m.p);
    }
    return NULL;
}

static void *steer(void *arg)
{
    struct node *node = arg;
    uint32_t answers, maker;
    kh_states_counts counts;
    for (uint64_t n = 1; !atomic_load(&ending); n++) {
        uint64_t height = atomic_load(&wanted), keep[KH_STATES_KEPT] = {height, height > 1 ? height - 1 : 0};
        kh_states_want(node->s, height);
        kh_states_keep(node->s, keep, KH_STATES_KEPT);
        (void)kh_states_of_peers(node->s, &answers);
        kh_states_count(node->s, &counts);
        if (n % 97 == 0 && node == &nodes[NODES] && height > 1 && kh_states_refuse(node->s, height - 1, &maker) == KH_OK &&
            maker > HUBS)
            abort();
        pause_us(2000);
    }
    return NULL;
}

static void *make(void *arg)
{
    struct node *node = arg;
    uint8_t part[5000];
    while (!atomic_load(&ending)) {
        kh_state_maker *m = NULL;
        uint64_t height = atomic_load(&wanted);
        kh_err err = kh_states_make(node->s, height, 1, group, &m);
        for (size_t at = 0; at < SZ && err == KH_OK; at += sizeof part) {
            size_t n = SZ - at < sizeof part ? SZ - at : sizeof part;
            for (size_t i = 0; i < n; i++) part[i] = byte_at(height, at + i);
            err = kh_state_maker_write(m, part, n);
        }
        if (m != NULL && err == KH_OK) err = kh_state_maker_end(m);
        else kh_state_maker_abort(m);
        if (err == KH_OK) atomic_fetch_add(&node->made, 1);
        else if (err != KH_E_EXISTS) abort();
        pause_us(3000);
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct node *node = arg;
    uint8_t part[7000];
    for (uint64_t n = 0; !atomic_load(&ending); n++) {
        size_t at = 0, got = 1;
        kh_state_reader *r = NULL;
        uint64_t height = atomic_load(&wanted);
        if (n % 2 != 0 && height > 1) height--;
        kh_err err = kh_states_read(node->s, height, box_of, NULL, NULL, &r);
        if (err != KH_OK && err != KH_E_NOT_FOUND) abort();
        while (r != NULL && got != 0) {
            if (kh_state_reader_read(r, part, sizeof part, &got) != KH_OK) abort();
            for (size_t i = 0; i < got; i++)
                if (part[i] != byte_at(height, at + i)) abort();
            at += got;
        }
        if (r != NULL && at != SZ) abort();
        if (r != NULL) atomic_fetch_add(&node->read, 1);
        kh_state_reader_close(r);
        pause_us(500);
    }
    return NULL;
}

static void open_node(uint32_t id)
{
    char why[256];
    struct node *node = &nodes[id];
    (void)pthread_mutex_init(&node->lock, NULL);
    (void)snprintf(node->dir, sizeof node->dir, "/tmp/kh_states_XXXXXX");
    if (mkdtemp(node->dir) == NULL || kh_host_disk_open(true, &node->disk) != KH_OK) abort();
    const kh_states_options o = {.self = id,
                                 .suite = KH_SUITE_INTL,
                                 .sign = id <= HUBS ? signs[id] : NULL,
                                 .disk = &node->disk,
                                 .dir = node->dir,
                                 .entropy = &entropy,
                                 .clock = &fast,
                                 .look = look,
                                 .send = on_send,
                                 .held = on_held,
                                 .alert = on_alert,
                                 .room = room,
                                 .ctx = node,
                                 .piece_sz = PIECE};
    if (kh_states_open(&o, why, sizeof why, &node->s) != KH_OK) abort();
}

static void close_node(uint32_t id)
{
    char command[128];
    struct node *node = &nodes[id];
    kh_states_close(node->s);
    kh_host_disk_close(&node->disk);
    for (; node->cnt != 0; node->cnt--) free(node->queue[(node->first + node->cnt - 1) % QUEUE].p);
    (void)snprintf(command, sizeof command, "rm -rf %s", node->dir);
    if (system(command) != 0) abort();
}

int main(int argc, char **argv)
{
    enum { EACH = 5 };
    pthread_t threads[NODES * EACH];
    uint32_t thread_cnt = 0;
    uint8_t secret[KH_SECRET_SZ] = {0, 9};
    int seconds = argc > 1 ? atoi(argv[1]) : 5;
    entropy = kh_host_entropy();
    if (kh_box_new(KH_SUITE_INTL, secret, &box) != KH_OK) return 1;
    kh_box_public(box, group);
    for (uint8_t i = 1; i <= NODES; i++) {
        secret[2] = i;
        if (kh_signer_new(KH_SUITE_INTL, secret, &signs[i]) != KH_OK) return 1;
    }
    for (uint32_t i = 1; i <= NODES; i++) open_node(i);
    for (uint32_t i = 1; i <= NODES; i++) {
        void *(*const run[])(void *) = {tick, hear, steer, read_all, make};
        for (uint32_t k = 0; k < (i <= HUBS ? EACH : EACH - 1); k++)
            if (pthread_create(&threads[thread_cnt++], NULL, run[k], &nodes[i]) != 0) return 1;
    }
    for (int i = 0; i < seconds * 4; i++) { /* a new one, whether or not all hold the one before */
        pause_us(250000);
        atomic_fetch_add(&wanted, 1);
    }
    atomic_store(&ending, true);
    for (uint32_t i = 0; i < thread_cnt; i++) (void)pthread_join(threads[i], NULL);
    bool good = true;
    for (uint32_t i = 1; i <= NODES; i++) {
        (void)printf("node %u: made %llu, held %llu, read %llu\n", i, (unsigned long long)nodes[i].made,
                     (unsigned long long)nodes[i].held, (unsigned long long)nodes[i].read);
        good = good && nodes[i].held != 0 && nodes[i].read != 0 && (i > HUBS || nodes[i].made != 0);
        close_node(i);
        kh_signer_free(signs[i]);
    }
    kh_box_free(box);
    (void)printf(good ? "ok\n" : "not ok: somebody made, held or read nothing\n");
    return good ? 0 : 1;
}
