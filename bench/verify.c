/* bench verify: 500 questions answered in the engine, 100,000 documents stored: the settled answer and the wait-free one beside
 * the applier, and the library's bulk call from outside. Volatile: nothing is written. One JSON line a figure, medians and the
 * 99th percentile.
 *
 *   bench_verify [--quick] [--dir DIR] */
#include "../tests/unit/store_ops.h"
#include "host/host.h"
#include "index/reader.h"
#include "clock.h"
#include "median.h"
#include <unistd.h>

enum { DOCS = 100000, LINES = 500 };

static double now_us(void) { return clock_now() * 1e6; }

static void figures(const char *name, double *times, uint32_t n)
{
    sort_figures(times, n);
    printf("{\"name\":\"%s, median\",\"value\":%.4g,\"unit\":\"us\",\"against\":\"target 1000 us\",\"ratio\":%.4g}\n", name,
           times[n / 2], times[n / 2] / 1000);
    printf("{\"name\":\"%s, p99\",\"value\":%.4g,\"unit\":\"us\",\"against\":\"target 1000 us\",\"ratio\":%.4g}\n", name,
           times[n * 99 / 100], times[n * 99 / 100] / 1000);
}

int main(int argc, char **argv)
{
    uint32_t rounds = 4000;
    const char *base = "/var/tmp";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) rounds = 1000;
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) base = argv[++i];
        else return fprintf(stderr, "usage: bench_verify [--quick] [--dir DIR]\n"), 2;
    }
    char dir[300], data[400], command[400];
    kh_disk disk;
    kh_clock clock_ = kh_host_clock();
    kh_entropy entropy = kh_host_entropy();
    kh_store_options o = {.clock = &clock_, .disk = &disk, .entropy = &entropy, .long_running = true};
    kh_store_report r;
    kh_store *s;
    uint64_t ticket = 0;
    ops_buf b = {0};
    (void)snprintf(dir, sizeof dir, "%s/kanhe-verify-XXXXXX", base);
    if (mkdtemp(dir) == NULL) return 1;
    (void)snprintf(data, sizeof data, "%s/data", dir);
    if (kh_host_disk_open(false, &disk) != KH_OK || kh_store_create(&o, data, NULL, &r) != KH_OK ||
        kh_store_open(&o, data, &r, &s) != KH_OK)
        return 1;
    ops_parties(&b);
    for (uint32_t i = 0; i < DOCS; i++) {
        ops_declaration(&b, i, 1000000000);
        if (b.n < (1u << 19) && i + 1 < DOCS) continue;
        if (kh_store_submit(s, &(kh_store_batch){.ops = b.p, .ops_sz = b.n, .op_cnt = b.cnt}, &ticket) != KH_OK) return 1;
        b.n = b.cnt = 0;
    }
    if (kh_store_wait(s, ticket) != KH_OK) return 1;

    static kh_question questions[LINES];
    static kh_verdict verdicts[LINES];
    double *settled = malloc(rounds * sizeof *settled), *fast = malloc(rounds * sizeof *fast);
    uint64_t seed = 11, wrong = 0;
    kh_reader_register();
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < LINES; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            questions[i] = (kh_question){.key = ops_key((uint32_t)(seed >> 33) % DOCS),
                                         .kind = KH_KIND_EXPORT_DECLARATION,
                                         .bank = OPS_BANK,
                                         .owner_check = kh_owner_check(kh_text_of(ops_owner)),
                                         .amount = 1000000000,
                                         .currency = OPS_USD,
                                         .date = 9000,
                                         .want = KH_AMOUNT_NONE};
        }
        double began = now_us();
        for (uint32_t at = 0; at < LINES; at += KH_BULK_MAX) {
            uint32_t n = LINES - at < KH_BULK_MAX ? LINES - at : KH_BULK_MAX;
            uint64_t all = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
            if (kh_ledger_verify_fast(kh_store_ledger(s), questions + at, n, verdicts + at) != all) wrong++;
            kh_reader_quiesce();
        }
        fast[round] = now_us() - began;
        for (uint32_t i = 0; i < LINES; i++) wrong += verdicts[i].code != KH_C_OK;
        kh_reader_offline();
        began = now_us();
        const kh_ledger *l = kh_store_read_begin(s);
        kh_ledger_verify(l, questions, LINES, verdicts);
        kh_store_read_end(s);
        settled[round] = now_us() - began;
        for (uint32_t i = 0; i < LINES; i++) wrong += verdicts[i].code != KH_C_OK;
        kh_reader_online();
    }
    kh_reader_unregister();
    if (wrong != 0) return fprintf(stderr, "bench_verify: %llu answers are not OK\n", (unsigned long long)wrong), 1;
    figures("verify of 500 lines in the engine, beside the applier", fast, rounds);
    figures("verify of 500 lines in the engine, settled", settled, rounds);
    kh_store_close(s);
    kh_host_disk_close(&disk);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 ? 0 : 1;
}
