/* reserve: the application that the load programs of a hub send: one of their enterprise's documents, for the smallest amount. */
#ifndef KH_BENCH_RESERVE_H
#define KH_BENCH_RESERVE_H
#include "wire/wire.h"
#include <stdlib.h>

/* reserve_encode writes the frame of application `id` by `party` on a document, whose key is 16 bytes; its bytes. */
static inline size_t reserve_encode(uint32_t party, uint32_t enterprise, uint64_t id, const void *key, uint8_t *frame, size_t cap)
{
    size_t n;
    kh_op_line line = {.allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    memcpy(line.key.b, key, 16);
    kh_op op = {.type = KH_OP_APPLY, .party = party, .sequence = id};
    op.apply = (kh_op_apply){.id = id,
                             .enterprise = enterprise,
                             .currency = 840,
                             .amount = 1,
                             .product = kh_text_of("export_receivable"),
                             .line_cnt = 1,
                             .lines = &line};
    if (kh_op_encode(&op, frame, cap, &n) != KH_OK) abort();
    return n;
}
#endif
