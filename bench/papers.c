/* papers: see papers.h. */
#include "papers.h"
#include <stdio.h>
#include <stdlib.h>
#include "store/parts.h"

enum { BATCH = 512, OWNERS = 1000, USD = 840, DATE = 9000, BASE = 100000 };

static kh_text number_of(uint64_t i, char buf[32])
{
    int n = snprintf(buf, 32, "%04u20260%09u", (unsigned)(1000 + i / 1000000000), (unsigned)(i % 1000000000));
    return (kh_text){buf, (uint32_t)n};
}

static kh_text owner_of(uint64_t i, char buf[32])
{
    return (kh_text){buf, (uint32_t)snprintf(buf, 32, "91350211M%09u", (unsigned)(i % OWNERS))};
}

void papers_query(uint64_t i, kh_query *ret)
{
    char number[32], owner[32];
    *ret = (kh_query){.key = kh_doc_key(KH_KIND_EXPORT_DECLARATION, number_of(i, number), (kh_text){0}),
                      .amount = BASE + i,
                      .owner_check = kh_owner_check(owner_of(i, owner)),
                      .currency = USD,
                      .date = DATE,
                      .want = KH_AMOUNT_NONE};
}

static void apply(kh_machine *machine, const uint8_t *ops, size_t n, uint32_t cnt)
{
    kh_entry entry = {.height = kh_ledger_height(machine->ledger) + 1,
                      .time_ns = UINT64_C(1790000000) * KH_NS_PER_S,
                      .body = ops,
                      .body_sz = (uint32_t)n,
                      .op_cnt = cnt};
    if (kh_machine_apply(machine, &entry, &kh_sink_none) != KH_OK) abort();
}

void papers_store(struct kh_store *store, uint64_t documents)
{
    static uint8_t ops[BATCH * 512];
    kh_machine *machine = &store->machine;
    size_t n = 0, sz;
    uint32_t cnt = 0;
    char number[32], owner[32];
    if (kh_machine_reserve(machine) != KH_OK) abort();
    kh_state_use_huge_pages(&machine->state);
    if (kh_machine_start(machine, (const uint8_t *)"bench papers ...") != KH_OK) abort();
    (void)pthread_rwlock_init(&store->gate, NULL);
    kh_op op = {.type = KH_OP_PARTY_ADD, .party_add = {PAPERS_BANK, KH_ROLE_BANK, kh_text_of("Bank"), {0}}};
    if (kh_op_encode(&op, ops, sizeof ops, &n) != KH_OK) abort();
    apply(machine, ops, n, 1);
    n = 0;
    for (uint64_t i = 0; i < documents; i++) {
        op = (kh_op){.type = KH_OP_DOCUMENT, .sequence = i};
        op.document = (kh_op_document){.action = KH_DOC_PUT,
                                       .kind = KH_KIND_EXPORT_DECLARATION,
                                       .status = KH_STATUS_CLEARED,
                                       .date = DATE,
                                       .balance_cnt = 1,
                                       .number = number_of(i, number),
                                       .owner = owner_of(i, owner)};
        op.document.balances[0] = (kh_op_balance){USD, BASE + i};
        if (kh_op_encode(&op, ops + n, sizeof ops - n, &sz) != KH_OK) abort();
        n += sz;
        if (++cnt < BATCH && i + 1 < documents) continue;
        apply(machine, ops, n, cnt);
        n = cnt = 0;
    }
}
