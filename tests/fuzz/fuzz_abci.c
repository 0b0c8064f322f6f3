/* fuzz_abci: any bytes as what CometBFT sends: frames, then requests. What is read lies within the bytes, its counts hold, and an
 * answer made of it is a frame that the same reader of fields takes. */
#include "abci/abci.h"
#include "abci/protobuf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(kh_span part, const uint8_t *p, size_t n)
{
    if (part.n != 0) KH_ASSERT(part.p >= p && part.n <= n && (size_t)(part.p - p) <= n - part.n);
}

static void answers(const kh_abci_request *r, const kh_span *txs, const uint16_t *codes)
{
    static const kh_abci_call calls[] = {KH_ABCI_ECHO,           KH_ABCI_QUERY,          KH_ABCI_PREPARE,    KH_ABCI_FINALIZE,
                                         KH_ABCI_LIST_SNAPSHOTS, KH_ABCI_OFFER_SNAPSHOT, KH_ABCI_LOAD_CHUNK, KH_ABCI_APPLY_CHUNK};
    const kh_abci_answer a = {.txs = txs,
                              .tx_cnt = r->tx_cnt,
                              .codes = codes,
                              .code_cnt = r->tx_cnt,
                              .value = r->data,
                              .height = r->height,
                              .snapshots = &r->snapshot,
                              .snapshot_cnt = 1,
                              .refetch = &r->chunk,
                              .refetch_cnt = 1,
                              .reject_senders = &r->sender,
                              .reject_cnt = 1};
    kh_abci_buffer b = {0};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        size_t head = 0, n = 0, at = 0;
        kh_proto_field field;
        b.n = 0;
        KH_ASSERT(kh_abci_write(calls[i], &a, &b) == KH_OK);
        KH_ASSERT(kh_abci_frame(b.p, b.n, &head, &n) == KH_OK && head + n == b.n);
        const kh_span message = {b.p + head, n};
        KH_ASSERT(kh_proto_next(message, &at, &field) == KH_OK && at == n && field.number == (uint32_t)calls[i] + 1);
        uint32_t elements = 0;
        for (at = 0; kh_proto_next(field.bytes, &at, &(kh_proto_field){0}) == KH_OK;) elements++;
        if (calls[i] == KH_ABCI_PREPARE || calls[i] == KH_ABCI_FINALIZE) KH_ASSERT(elements == r->tx_cnt);
    }
    free(b.p);
}

static void request(const uint8_t *p, size_t n)
{
    kh_abci_request r;
    kh_abci_validator validator;
    kh_span tx;
    size_t at = 0;
    uint32_t cnt = 0;
    if (kh_abci_read(p, n, &r) != KH_OK) return;
    const kh_span parts[] = {r.txs,  r.hash, r.proposer,      r.chain_id,          r.app_state, r.validators,
                             r.data, r.path, r.snapshot.hash, r.snapshot.metadata, r.sender};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) within(parts[i], p, n);
    kh_span *txs = malloc((r.tx_cnt + 1) * sizeof *txs);
    uint16_t *codes = calloc(r.tx_cnt + 1, sizeof *codes);
    KH_ASSERT(txs != NULL && codes != NULL);
    while (kh_abci_tx_next(&r, &at, &tx)) {
        KH_ASSERT(cnt < r.tx_cnt);
        within(tx, p, n);
        codes[cnt] = (uint16_t)tx.n;
        txs[cnt++] = tx;
    }
    KH_ASSERT(cnt == r.tx_cnt);
    for (at = 0; kh_abci_validator_next(&r, &at, &validator);) {}
    answers(&r, txs, codes);
    free(txs);
    free(codes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t head = 0, n = 0;
    request(data, size);
    while (kh_abci_frame(data, size, &head, &n) == KH_OK && n <= size - head) {
        request(data + head, n);
        data += head + n;
        size -= head + n;
    }
    return 0;
}
