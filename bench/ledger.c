/* bench_ledger: the ledger's own speed and memory, volatile: no log, no disk, one thread, batches of 256.
 *
 *   bench_ledger [--quick] [--documents N] [--financings N] [--small]      one JSON object a figure on stdout, the story on
 * stderr
 *
 * --small reserves little address space, so that it runs under `valgrind --tool=callgrind`, whose counts say what a change gave
 * while the machine is busy; take some 20,000 documents.
 *
 * Documents are six-column declarations, ten of one owner; holds go to documents in random order. Operations are encoded
 * beforehand and memory is backed beforehand, as the store does; applying is timed (the thread's own processor time). A rate is
 * of all operations of its kind; beside it stand the slowest tenth, the middle and the fastest tenth of slices of 16,384: a
 * virtual machine's neighbours take from its memory for seconds at a time. Memory is what the state's rows take. */
#include "ledger/ledger.h"
#include "clock.h"
#include "median.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, SLICE = 64 * BATCH, CHUNK = 4 * SLICE, OWNERS_FROM = 1000, BANK = 1, ROOM_SZ = 512, SLICES_MAX = 1 << 16 };

static kh_state state;
static kh_ledger *ledger;
static kh_index *ix;
static uint8_t *ops;
static size_t ends[CHUNK];
static uint64_t documents, refused, outcomes, sequence;
static bool small;
static double slices[SLICES_MAX]; /* of the last run: operations a second */
static uint32_t slice_cnt;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void emit(void *self, const kh_outcome *o)
{
    (void)self;
    outcomes++;
    if (!o->is_notice && o->receipt->code != KH_C_OK) refused++;
}

static double apply_slice(uint32_t from, uint32_t to)
{
    const kh_sink sink = {emit, NULL};
    double started = clock_of_thread();
    for (uint32_t at = from; at < to; at += BATCH) {
        uint32_t cnt = to - at < BATCH ? to - at : BATCH;
        size_t begin = at == 0 ? 0 : ends[at - 1];
        kh_ledger_apply(ledger, kh_ledger_height(ledger) + 1, UINT64_C(1790000000) * KH_NS_PER_S, ops + begin,
                        ends[at + cnt - 1] - begin, cnt, &sink);
    }
    double took = clock_of_thread() - started;
    if (to - from == SLICE && slice_cnt < SLICES_MAX) slices[slice_cnt++] = SLICE / took;
    return took;
}

static double apply(uint32_t n)
{
    double took = 0;
    uint64_t ahead[KH_REGION_MAX];
    kh_ledger_headroom(ledger, n, ends[n - 1], ahead);
    for (uint32_t r = 0; r < KH_REGION_MAX;
         r++) { /* the store's helper does this beside the applier; the worst case is far more */
        uint64_t sz = kh_min64(ahead[r], (uint64_t)n * ROOM_SZ);
        if (state.regions[r].row_sz != 0 && sz != 0 && kh_state_populate(&state, r, sz) != KH_OK) abort();
    }
    for (uint32_t at = 0; at < n; at += SLICE) took += apply_slice(at, n - at < SLICE ? n : at + SLICE);
    return took;
}

static void number_of(uint64_t doc, char *buf) { snprintf(buf, 32, "010120260%09llu", (unsigned long long)doc); }
static void owner_of(uint64_t owner, char *buf) { snprintf(buf, 32, "91350%012lluX", (unsigned long long)owner); }

typedef void (*make)(uint64_t i, kh_op *op);
static kh_op_line lines[8];
static char texts[2][32];
static uint64_t docs_a_financing = 1;

static void make_document(uint64_t i, kh_op *op)
{
    op->type = KH_OP_DOCUMENT;
    number_of(i, texts[0]);
    owner_of(i / 10, texts[1]);
    op->document = (kh_op_document){.action = KH_DOC_PUT,
                                    .kind = KH_KIND_EXPORT_DECLARATION,
                                    .status = KH_STATUS_CLEARED,
                                    .date = 9700,
                                    .number = kh_text_of(texts[0]),
                                    .owner = kh_text_of(texts[1]),
                                    .balance_cnt = 1,
                                    .balances = {{840, 1000000}}};
}
static void make_party(uint64_t i, kh_op *op)
{
    op->type = KH_OP_PARTY_ADD;
    owner_of(i, texts[1]);
    snprintf(texts[0], 32, "E%llu", (unsigned long long)i);
    op->party_add =
        (kh_op_party_add){(uint32_t)(OWNERS_FROM + i), KH_ROLE_ENTERPRISE, kh_text_of(texts[0]), kh_text_of(texts[1])};
}
static void make_apply(uint64_t i, kh_op *op)
{
    uint64_t owner = mix(i) % (documents / 10);
    op->type = KH_OP_APPLY;
    op->party = BANK;
    op->apply = (kh_op_apply){.id = i,
                              .enterprise = (uint32_t)(OWNERS_FROM + owner),
                              .currency = 840,
                              .amount = 100 * docs_a_financing,
                              .product = kh_text_of("export_receivable"),
                              .line_cnt = (uint32_t)docs_a_financing,
                              .lines = lines};
    for (uint64_t k = 0; k < docs_a_financing; k++) {
        number_of(owner * 10 + (mix(i ^ 77) + k) % 10, texts[0]);
        lines[k] = (kh_op_line){kh_doc_key(KH_KIND_EXPORT_DECLARATION, kh_text_of(texts[0]), (kh_text){NULL, 0}), 0, 100,
                                KH_AMOUNT_NONE};
    }
}
static void make_event(uint64_t i, kh_op *op, kh_event event, uint64_t amount)
{
    op->type = KH_OP_EVENT;
    op->party = BANK;
    op->event = (kh_op_event){.id = i, .event = (uint8_t)event, .amount = amount, .source = KH_SRC_COLLECTION};
    if (event != KH_EV_REPAY) op->event.source = 0;
}
static void make_accept(uint64_t i, kh_op *op) { make_event(i, op, KH_EV_ACCEPT, KH_AMOUNT_NONE); }
static void make_approve(uint64_t i, kh_op *op) { make_event(i, op, KH_EV_APPROVE, KH_AMOUNT_NONE); }
static void make_disburse(uint64_t i, kh_op *op) { make_event(i, op, KH_EV_DISBURSE, KH_AMOUNT_NONE); }
static void make_repay(uint64_t i, kh_op *op) { make_event(i, op, KH_EV_REPAY, 40); }
static void make_mixed(uint64_t i, kh_op *op)
{
    if (i % 4 == 0) make_apply(UINT64_C(1) << 40 | i, op);
    else if (i % 4 == 1) make_repay(i / 4, op);
    else if (i % 4 == 2) make_document(documents + i, op);
    else make_apply(UINT64_C(1) << 41 | i, op);
}

static double run(make one, uint64_t from, uint64_t n)
{
    double spent = 0;
    slice_cnt = 0;
    for (uint64_t done = 0; done < n;) {
        uint32_t cnt = (uint32_t)(n - done < CHUNK ? n - done : CHUNK);
        size_t sz = 0, one_sz;
        for (uint32_t i = 0; i < cnt; i++) {
            kh_op op = {.sequence = ++sequence};
            one(from + done + i, &op);
            if (kh_op_encode(&op, ops + sz, KH_OP_MAX_SZ, &one_sz) != KH_OK) abort();
            ends[i] = sz += one_sz;
        }
        spent += apply(cnt);
        done += cnt;
    }
    return (double)n / spent;
}

/* By itself, so that callgrind can be told to count here: --toggle-collect=reserve_1. */
static __attribute__((noinline)) double reserve_1(uint64_t n) { return run(make_apply, 0, n); }

static void figure(const char *name, double value, const char *unit, const char *against, double ratio)
{
    printf("{\"name\":\"%s\",\"value\":%.4g,\"unit\":\"%s\",\"against\":\"%s\",\"ratio\":%.3g}\n", name, value, unit, against,
           ratio);
    fflush(stdout);
}

static void rate(const char *name, double per_s)
{
    if (refused != 0) fprintf(stderr, "bench_ledger: %s: %llu operations were refused\n", name, (unsigned long long)refused);
    refused = 0;
    bool reserve = strcmp(name, "ledger_reserve_1") == 0;
    figure(name, per_s, "1/s", reserve ? "target 6,000,000" : "", reserve ? per_s / 6e6 : 0);
    static const char *const parts[] = {"slowest_tenth", "median", "fastest_tenth"};
    char part[64];
    sort_figures(slices, slice_cnt);
    for (uint32_t i = 0; i < 3 && slice_cnt >= 10; i++) {
        (void)snprintf(part, sizeof part, "%s_%s", name, parts[i]);
        figure(part, slices[i == 0 ? slice_cnt / 10 : i == 1 ? slice_cnt / 2 : slice_cnt - 1 - slice_cnt / 10], "1/s", "", 0);
    }
}

static void start(void)
{
    static uint8_t secret[16] = "bench";
    kh_region_spec specs[KH_REGION_MAX];
    void *index_mem = aligned_alloc(64, (kh_index_footprint() + 63) / 64 * 64),
         *mem = aligned_alloc(64, (kh_ledger_footprint() + 63) / 64 * 64);
    ops = malloc((size_t)CHUNK * 1024);
    uint32_t region_cnt = kh_ledger_regions(specs);
    for (uint32_t i = 0; small && i < region_cnt; i++)
        if (specs[i].row_max > (1u << 20)) specs[i].row_max = 1u << 20;
    if (ops == NULL || mem == NULL || index_mem == NULL || kh_state_init(&state, specs, region_cnt) != KH_OK ||
        kh_index_open(&state, secret, index_mem, &ix) != KH_OK || kh_ledger_open(&state, ix, secret, mem, &ledger) != KH_OK)
        abort();
    kh_index_reclaim_none(ix);
    kh_state_use_huge_pages(&state); /* as a daemon does */
}

static void bank_of_all(uint64_t i, kh_op *op)
{
    (void)i;
    op->type = KH_OP_PARTY_ADD;
    op->party_add = (kh_op_party_add){BANK, KH_ROLE_BANK, kh_text_of("Bank"), {NULL, 0}};
}

int main(int argc, char **argv)
{
    uint64_t n = 0;
    documents = 10000000;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) documents = 1000000;
        if (strcmp(argv[i], "--financings") == 0 && i + 1 < argc) n = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--small") == 0) small = true;
        if (strcmp(argv[i], "--documents") == 0 && i + 1 < argc) documents = strtoull(argv[++i], NULL, 10);
    }
    if (n == 0) n = 1000000;
    start();
    uint64_t empty = kh_state_bytes(&state);
    rate("ledger_insert", run(make_document, 0, documents));
    double document_sz = (double)(kh_state_bytes(&state) - empty) / (double)documents;
    figure("ledger_bytes_a_document", document_sz, "B", "125", document_sz / 125);
    run(bank_of_all, 0, 1);
    run(make_party, 0, documents / 10);
    uint64_t before = kh_state_bytes(&state);
    double reserve = reserve_1(n);
    rate("ledger_reserve_1", reserve);
    double fin_sz = (double)(kh_state_bytes(&state) - before) / (double)n;
    figure("ledger_bytes_an_open_financing", fin_sz, "B", "220", fin_sz / 220);
    rate("ledger_accept", run(make_accept, 0, n));
    rate("ledger_approve", run(make_approve, 0, n));
    rate("ledger_disburse", run(make_disburse, 0, n));
    rate("ledger_repay", run(make_repay, 0, n));
    docs_a_financing = 8;
    rate("ledger_reserve_8", run(make_apply, UINT64_C(1) << 32, n / 8));
    docs_a_financing = 1;
    rate("ledger_mixed", run(make_mixed, 0, n));
    fprintf(stderr, "bench_ledger: %llu documents, %llu outcomes\n", (unsigned long long)documents, (unsigned long long)outcomes);
    return 0;
}
