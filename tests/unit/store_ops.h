/* store_ops: batches of operations for the tests and benchmarks of the store: parties, declarations, reserves. */
#ifndef KH_TESTS_STORE_OPS_H
#define KH_TESTS_STORE_OPS_H
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { OPS_BANK = 10, OPS_ENTERPRISE = 20, OPS_USD = 840 };
static const char ops_owner[] = "91350100M0001TGQXM";

typedef struct ops_buf {
    uint8_t *p;
    size_t n, cap;
    uint32_t cnt;
} ops_buf;

static inline void ops_add(ops_buf *b, const kh_op *op)
{
    size_t n = 0;
    if (b->cap - b->n < KH_OP_MAX_SZ) b->p = realloc(b->p, b->cap = b->cap * 2 + 2 * KH_OP_MAX_SZ);
    if (b->p == NULL || kh_op_encode(op, b->p + b->n, b->cap - b->n, &n) != KH_OK) abort();
    b->n += n;
    b->cnt++;
}

static inline void ops_parties(ops_buf *b)
{
    ops_add(b, &(kh_op){.type = KH_OP_PARTY_ADD, .party_add = {1, KH_ROLE_REGULATOR, kh_text_of("SAFE"), {0}}});
    ops_add(b, &(kh_op){.type = KH_OP_PARTY_ADD, .party_add = {OPS_BANK, KH_ROLE_BANK, kh_text_of("Bank A"), {0}}});
    ops_add(b, &(kh_op){.type = KH_OP_PARTY_ADD,
                        .party_add = {OPS_ENTERPRISE, KH_ROLE_ENTERPRISE, kh_text_of("Exporter"), kh_text_of(ops_owner)}});
}

static inline kh_text ops_number(char buf[32], uint32_t i)
{
    return (kh_text){buf, (uint32_t)snprintf(buf, 32, "531620260%09u", i)};
}

/* Number i, as its source says it (party 0: the operator). */
static inline void ops_paper(ops_buf *b, uint32_t source, uint64_t sequence, uint32_t i, uint64_t base)
{
    char number[32];
    kh_op op = {.type = KH_OP_DOCUMENT, .party = source, .sequence = sequence};
    op.document = (kh_op_document){.action = KH_DOC_PUT,
                                   .kind = KH_KIND_EXPORT_DECLARATION,
                                   .status = KH_STATUS_CLEARED,
                                   .date = 9000,
                                   .source = source,
                                   .balance_cnt = 1,
                                   .number = ops_number(number, i),
                                   .owner = kh_text_of(ops_owner)};
    op.document.balances[0] = (kh_op_balance){OPS_USD, base};
    ops_add(b, &op);
}

static inline void ops_declaration(ops_buf *b, uint32_t i, uint64_t base) { ops_paper(b, 0, i, i, base); }

static inline kh_key ops_key(uint32_t i)
{
    char number[32];
    return kh_doc_key(KH_KIND_EXPORT_DECLARATION, ops_number(number, i), (kh_text){0});
}

static inline void ops_apply_key(ops_buf *b, uint32_t bank, uint32_t enterprise, uint64_t id, kh_key key, uint64_t amount)
{
    kh_op_line line = {.key = key, .allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    kh_op op = {.type = KH_OP_APPLY, .party = bank, .sequence = id};
    op.apply = (kh_op_apply){.id = id,
                             .enterprise = enterprise,
                             .currency = OPS_USD,
                             .amount = amount,
                             .product = kh_text_of("export_receivable"),
                             .line_cnt = 1,
                             .lines = &line};
    ops_add(b, &op);
}

static inline void ops_apply(ops_buf *b, uint32_t bank, uint32_t enterprise, uint64_t id, uint32_t doc, uint64_t amount)
{
    ops_apply_key(b, bank, enterprise, id, ops_key(doc), amount);
}

static inline void ops_reserve(ops_buf *b, uint64_t id, uint32_t doc, uint64_t amount)
{
    ops_apply(b, OPS_BANK, OPS_ENTERPRISE, id, doc, amount);
}
#endif
