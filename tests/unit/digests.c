/* digests: one fixed log gives one content digest, running check and outcome digest, whatever compiled it: run by gcc and clang
 * builds. */
#include "crypto/digest.h"
#include "ledger/ledger.h"
#include <stdio.h>
#include <stdlib.h>

static const char golden_content[] = "e3e26f3c33c5557289681b8e403a945d4205395c61191861a4e5d92631944f6c";
static const char golden_outcomes[] = "3d7982dddcc541420948d840e36dd03a0bfe4bcf4b5b4115e64a5f5ef541223d";

static uint64_t seed = 20261124;
static uint32_t random_below(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

static uint8_t ops[1 << 20];
static size_t ops_n;
static uint32_t op_cnt;

static void add(const kh_op *op)
{
    size_t n = 0;
    if (kh_op_encode(op, ops + ops_n, sizeof ops - ops_n, &n) != KH_OK) abort();
    ops_n += n;
    op_cnt++;
}

static void outcome(void *self, const kh_outcome *o) { kh_sha256_update(self, o->bytes, o->bytes_sz); }
static void content(void *ctx, const void *p, size_t n) { kh_sha256_update(ctx, p, n); }

static kh_text number(uint32_t i, char buf[32]) { return (kh_text){buf, (uint32_t)snprintf(buf, 32, "310120260%09u", i)}; }

static void some_operation(uint64_t step)
{
    static const char *const owners[2] = {"91350211M000100Y43", "91350100M0001TGQXM"};
    char buf[32];
    uint32_t doc = random_below(300);
    kh_op op = {.sequence = step};
    kh_op_line line = {.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, number(doc, buf), (kh_text){0}),
                       .allocated = KH_AMOUNT_NONE,
                       .total = KH_AMOUNT_NONE};
    if (random_below(3) == 0) {
        op.type = KH_OP_DOCUMENT;
        op.document = (kh_op_document){.action = random_below(20) == 0 ? KH_DOC_CANCEL : KH_DOC_PUT,
                                       .kind = KH_KIND_EXPORT_DECLARATION,
                                       .status = KH_STATUS_CLEARED,
                                       .date = 9700,
                                       .balance_cnt = 1,
                                       .number = number(doc, buf),
                                       .owner = kh_text_of(owners[doc % 2])};
        op.document.balances[0] = (kh_op_balance){840, 100000 + random_below(50000)};
        if (op.document.action == KH_DOC_CANCEL) op.document.balance_cnt = op.document.status = 0;
    } else if (random_below(2) == 0) {
        op.type = KH_OP_APPLY;
        op.party = 11 + random_below(3);
        op.apply = (kh_op_apply){.id = 1 + random_below(400),
                                 .enterprise = 101 + doc % 2,
                                 .currency = 840,
                                 .amount = 1 + random_below(90000),
                                 .product = kh_text_of("export_receivable"),
                                 .line_cnt = 1,
                                 .lines = &line};
    } else {
        op.type = KH_OP_EVENT;
        op.party = 11 + random_below(3);
        op.event = (kh_op_event){.id = 1 + random_below(400),
                                 .event = (uint8_t)(KH_EV_ACCEPT + random_below(7)),
                                 .source = (uint8_t)random_below(3),
                                 .amount = KH_AMOUNT_NONE,
                                 .lines = &line};
        if (op.event.event == KH_EV_REJECT || op.event.event == KH_EV_WITHDRAW) op.event.reason = KH_REASON_OTHER;
        if (op.event.event == KH_EV_REPAY && random_below(2) == 0) op.event.amount = 1 + random_below(1000);
    }
    add(&op);
}

int main(void)
{
    static const uint8_t secret[16] = {7};
    static kh_state state;
    kh_region_spec specs[KH_REGION_MAX];
    kh_index *index;
    kh_ledger *ledger;
    if (kh_state_init(&state, specs, kh_ledger_regions(specs)) != KH_OK) return 2;
    if (kh_index_open(&state, secret, aligned_alloc(64, (kh_index_footprint() + 63) & ~(size_t)63), &index) != KH_OK) return 2;
    kh_index_reclaim_none(index);
    if (kh_ledger_open(&state, index, secret, aligned_alloc(64, (kh_ledger_footprint() + 63) & ~(size_t)63), &ledger) != KH_OK)
        return 2;
    kh_sha256_state outcomes, contents;
    kh_sha256_init(&outcomes);
    kh_sha256_init(&contents);
    for (uint32_t i = 0; i < 3; i++)
        add(&(kh_op){.type = KH_OP_PARTY_ADD, .party_add = {11 + i, KH_ROLE_BANK, {(const char *[]){"A", "B", "C"}[i], 1}, {0}}});
    add(&(kh_op){.type = KH_OP_PARTY_ADD,
                 .party_add = {101, KH_ROLE_ENTERPRISE, kh_text_of("even"), kh_text_of("91350211M000100Y43")}});
    add(&(kh_op){.type = KH_OP_PARTY_ADD,
                 .party_add = {102, KH_ROLE_ENTERPRISE, kh_text_of("odd"), kh_text_of("91350100M0001TGQXM")}});
    kh_sink sink = {outcome, &outcomes};
    uint64_t time_ns = UINT64_C(1790000000) * KH_NS_PER_S;
    for (uint64_t height = 1; height <= 200; height++) {
        for (uint32_t i = 0; i < 40; i++) some_operation(height * 100 + i);
        time_ns += (uint64_t)random_below(86400) * KH_NS_PER_S; /* holds lapse on the way */
        kh_ledger_apply(ledger, height, time_ns, ops, ops_n, op_cnt, &sink);
        ops_n = op_cnt = 0;
    }
    const char *broken = kh_ledger_verify_invariants(ledger);
    kh_ledger_content(ledger, malloc(kh_ledger_content_scratch(ledger) + 1), content, &contents);
    uint8_t sum[32];
    char content_hex[65], outcomes_hex[65];
    kh_sha256_final(&contents, sum);
    kh_hex(sum, 32, content_hex);
    kh_sha256_final(&outcomes, sum);
    kh_hex(sum, 32, outcomes_hex);
    bool same = strcmp(content_hex, golden_content) == 0 && strcmp(outcomes_hex, golden_outcomes) == 0;
    printf("1..2\n%s 1 - invariants hold%s%s\n%s 2 - the log's digests are those of every build\n",
           broken == NULL ? "ok" : "not ok", broken != NULL ? ": " : "", broken != NULL ? broken : "", same ? "ok" : "not ok");
    if (!same) printf("# content %s\n# outcomes %s\n", content_hex, outcomes_hex);
    return broken == NULL && same ? 0 : 1;
}
