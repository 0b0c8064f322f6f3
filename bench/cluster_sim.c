/* bench_cluster_sim: SIMULATED: what 4 to 25 validators and a hub on machines of their own would do over links of 10 and 50 ms. A
 * model, no measurement: this machine is too small for 25 nodes and its kernel cannot delay packets. One JSON line a figure.
 *
 *   bench_cluster_sim [--quick]
 *
 * What is in it: every message of a batch's way (docs/CLUSTER.md) and of CometBFT's three steps, each with a link's delay, and
 * some chance in it; bodies and blocks one after another through a node's uplink; forced writes; time between blocks; the hub's
 * execution one block after another. Validators are all peers of each other. What is not: lost packets, timeouts, a faulty node,
 * gossip of what a peer has already, processor time beyond the constants here.
 *
 * Two loads: light, each bank seals a batch twice a second, for latency; full, each bank always has a whole window under way, for
 * certificates a second. Blocks are computed one after another: a proposal takes the certificates that have reached its proposer.
 */
#include "median.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VALIDATORS_MAX = 25,
    WINDOW = 8,
    WAITING = 64,
    SAMPLES = 1 << 18,
    OPS = 256,
    OP_SZ = 130,
    VOTE_SZ = 300,
    BLOCK_MAX_SZ = 1 << 20
};

/* Milliseconds; of one machine a node. */
static const double force = 1.5, /* a forced write */
    work = 1.0,                  /* what a step costs a node besides: signatures, copies, two processes */
    seal = 1.0, execute = 1.0,   /* a batch sealed, checked and opened; a batch of OPS executed, its outputs made */
    gossip = 2.0,                /* CometBFT looks for what to send every 1 ms on each side: on average half of this */
    pace = 20.0,                 /* timeout_commit, as tools/cluster sets it */
    jitter = 0.1,                /* of a link's delay, exponentially distributed on top */
    uplink = 1e9 / 8 / 1e3;      /* bytes a millisecond: 1 Gbit/s */

typedef struct batch {
    double submitted, at[VALIDATORS_MAX]; /* when its certificate is at each */
} batch;
typedef struct bank {
    batch waiting[WAITING];
    uint32_t cnt;
    double next;               /* light load: its next submission */
    double at[VALIDATORS_MAX]; /* of the certificate before: they are proposed in order */
    double free_at;            /* its uplink */
} bank;

static struct {
    uint32_t n, quorum;
    double delay, now, hub_free_at, committed[VALIDATORS_MAX];
    bank banks[VALIDATORS_MAX];
} w;
static double samples[SAMPLES];
static uint32_t sample_cnt;
static uint64_t state;

static double chance(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(state >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
}
static double link_ms(void) { return w.delay * (1 - jitter * log(chance())); }
static double step_ms(void) { return link_ms() + gossip * chance(); } /* a message of CometBFT's */
static double later(double a, double b) { return a > b ? a : b; }

/* When `nth` of them (from 1) have happened. */
static double nth_of(const double *times, uint32_t cnt, uint32_t nth)
{
    double sorted[VALIDATORS_MAX];
    memcpy(sorted, times, cnt * sizeof *times);
    sort_figures(sorted, cnt);
    return sorted[nth - 1];
}

/* Bytes leave one copy after another. */
static double sent(bank *b, double at, double bytes)
{
    b->free_at = later(b->free_at, at) + bytes / uplink;
    return b->free_at;
}

/* Sealed, stored, sent, acknowledged by a quorum, its certificate told. */
static void submit(uint32_t from, double at)
{
    bank *b = &w.banks[from];
    if (b->cnt == WAITING) abort();
    batch *p = &b->waiting[b->cnt++];
    double acked[VALIDATORS_MAX], stored = at + seal + force;
    for (uint32_t v = 0; v < w.n; v++)
        acked[v] = v == from ? stored : sent(b, stored, OPS * OP_SZ) + link_ms() + seal + force + link_ms();
    (void)sent(b, stored, OPS * OP_SZ); /* the hub's */
    double certified = nth_of(acked, w.n, w.quorum) + work;
    p->submitted = at;
    for (uint32_t v = 0; v < w.n; v++) {
        p->at[v] = later(b->at[v], v == from ? certified : certified + link_ms());
        b->at[v] = p->at[v];
    }
}

/* One step: each sends its vote when it is ready; who has a quorum of them goes on. The place w.n is the hub, which only hears.
 */
static void vote(const double ready[], double ret[])
{
    for (uint32_t v = 0; v <= w.n; v++) {
        double heard[VALIDATORS_MAX];
        for (uint32_t from = 0; from < w.n; from++) heard[from] = ready[from] + work + force + (from == v ? 0 : step_ms());
        ret[v] = nth_of(heard, w.n, w.quorum);
    }
}

static void block(uint64_t height, bool full, double warm)
{
    uint32_t proposer = height % w.n, chosen[VALIDATORS_MAX] = {0}, cnt = 0;
    double proposed = w.committed[proposer] + pace + work, ready[VALIDATORS_MAX + 1], next[VALIDATORS_MAX + 1];
    size_t certificate = 104 + 68 * (size_t)w.quorum, size = 0;
    for (uint32_t i = 0; i < w.n; i++) {
        bank *b = &w.banks[i];
        while (!full && b->next < proposed) {
            submit(i, b->next);
            b->next -= 500 * log(chance());
        }
        while (chosen[i] < b->cnt && b->waiting[chosen[i]].at[proposer] <= proposed && size + certificate <= BLOCK_MAX_SZ)
            chosen[i]++, cnt++, size += certificate;
    }
    for (uint32_t v = 0; v < w.n; v++)
        ready[v] = v == proposer
                       ? proposed
                       : later(w.committed[v] + pace, proposed + (double)(v + 1) * (double)(size + VOTE_SZ) / uplink + step_ms());
    vote(ready, next);
    vote(next, ready);
    for (uint32_t v = 0; v < w.n; v++) w.committed[v] = ready[v] + work + 2 * force;
    /* The hub: in the order of blocks; then the packages and what it attests go out together. */
    w.hub_free_at = later(w.hub_free_at, ready[w.n] + work + 2 * force) + execute * cnt + force;
    for (uint32_t i = 0; i < w.n; i++) {
        bank *b = &w.banks[i];
        if (chosen[i] == 0) continue;
        double final = later(w.hub_free_at + link_ms(), w.committed[i]) + work;
        uint32_t k = chosen[i];
        for (uint32_t m = 0; m < k; m++)
            if (b->waiting[m].submitted >= warm && sample_cnt < SAMPLES) samples[sample_cnt++] = final - b->waiting[m].submitted;
        b->cnt -= k;
        memmove(b->waiting, b->waiting + k, b->cnt * sizeof *b->waiting);
        for (uint32_t m = 0; full && m < k; m++) submit(i, final);
    }
    w.now = proposed;
}

typedef struct outcome {
    double p50, p99, certificates, blocks;
} outcome;

static outcome run(uint32_t n, double delay, bool full, double seconds)
{
    memset(&w, 0, sizeof w);
    w.n = n;
    w.quorum = 2 * n / 3 + 1;
    w.delay = delay;
    state = n * 1000 + (uint64_t)delay;
    sample_cnt = 0;
    for (uint32_t i = 0; i < n; i++) {
        w.banks[i].next = 500 * chance();
        for (uint32_t k = 0; full && k < WINDOW; k++) submit(i, 100 * chance());
    }
    const double warm = 5000;
    uint64_t height = 0, first = 0;
    double from = 0;
    for (; w.now < warm + seconds * 1000; height++) {
        if (from == 0 && w.now >= warm) first = height, from = w.now;
        block(height, full, warm);
    }
    sort_figures(samples, sample_cnt);
    return (outcome){samples[sample_cnt / 2], samples[(uint64_t)sample_cnt * 99 / 100], sample_cnt * 1000.0 / (w.now - from),
                     (double)(height - first) * 1000.0 / (w.now - from)};
}

static void figure(uint32_t n, double delay, const char *what, double value, const char *unit)
{
    printf("{\"name\":\"simulated: %u validators, %.0f ms links: %s\",\"value\":%.4g,\"unit\":\"%s\",\"against\":\"a model, no "
           "measurement\",\"ratio\":null}\n",
           n, delay, what, value, unit);
}

int main(int argc, char *argv[])
{
    static const uint32_t counts[] = {4, 7, 10, 25};
    static const double delays[] = {10, 50};
    double seconds = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 20 : 120;
    for (uint32_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (uint32_t k = 0; k < sizeof delays / sizeof *delays; k++) {
            outcome light = run(counts[i], delays[k], false, seconds), full = run(counts[i], delays[k], true, seconds);
            figure(counts[i], delays[k], "submit to final receipt, light load, p50", light.p50, "ms");
            figure(counts[i], delays[k], "submit to final receipt, light load, p99", light.p99, "ms");
            figure(counts[i], delays[k], "blocks", light.blocks, "1/s");
            figure(counts[i], delays[k], "certificates at full load", full.certificates, "1/s");
            figure(counts[i], delays[k], "submit to final receipt, full load, p50", full.p50, "ms");
        }
    return 0;
}
