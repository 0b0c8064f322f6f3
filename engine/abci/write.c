/* write: answers. Each message is gone through twice: once to count, once to write. */
#include "abci/protobuf.h"
#include <stdlib.h>

enum { EXCEPTION_FIELD = 1 };
enum { ACCEPT = 1, PROPOSAL_REJECT = 2, VOTE_REJECT = 2 };

static kh_span text(const char *s) { return (kh_span){(const uint8_t *)s, s != NULL ? strlen(s) : 0}; }
static kh_span hash(const uint8_t *p) { return (kh_span){p, p != NULL ? 32 : 0}; }

static void out_txs(kh_proto_out *out, const kh_abci_answer *a)
{
    for (uint32_t i = 0; i < a->tx_cnt; i++) kh_proto_element(out, 1, a->txs[i]);
}

/* ExecTxResult {1: code}. */
static void out_results(kh_proto_out *out, const kh_abci_answer *a)
{
    for (uint32_t i = 0; i < a->code_cnt; i++) {
        kh_proto_out size = {0};
        kh_proto_number(&size, 1, a->codes[i]);
        kh_proto_head(out, 2, size.n);
        kh_proto_number(out, 1, a->codes[i]);
    }
}

/* ValidatorUpdate {1: {1: ed25519}, 2: power}. */
static void out_validator(kh_proto_out *out, const kh_abci_validator *v)
{
    const kh_span key = {v->public_key, sizeof v->public_key};
    kh_proto_out size = {0};
    kh_proto_bytes(&size, 1, key);
    kh_proto_head(out, 1, size.n);
    kh_proto_bytes(out, 1, key);
    kh_proto_number(out, 2, (uint64_t)v->power);
}

static void out_validators(kh_proto_out *out, const kh_abci_answer *a)
{
    for (uint32_t i = 0; i < a->validator_cnt; i++) {
        kh_proto_out size = {0};
        out_validator(&size, &a->validators[i]);
        kh_proto_head(out, 3, size.n);
        out_validator(out, &a->validators[i]);
    }
}

/* ConsensusParams {4: VersionParams {1: app}}: what is not said stays. */
static void out_version(kh_proto_out *out, const kh_abci_answer *a)
{
    kh_proto_out app = {0}, version = {0};
    if (a->app_version == 0) return;
    kh_proto_number(&app, 1, a->app_version);
    kh_proto_head(&version, 4, app.n);
    kh_proto_head(out, 4, version.n + app.n);
    kh_proto_head(out, 4, app.n);
    kh_proto_number(out, 1, a->app_version);
}

/* Snapshot {1: height, 2: format, 3: chunks, 4: hash, 5: metadata}. */
static void out_snapshot(kh_proto_out *out, const kh_abci_snapshot *s)
{
    kh_proto_number(out, 1, s->height);
    kh_proto_number(out, 2, s->format);
    kh_proto_number(out, 3, s->chunks);
    kh_proto_bytes(out, 4, s->hash);
    kh_proto_bytes(out, 5, s->metadata);
}

static void out_snapshots(kh_proto_out *out, const kh_abci_answer *a)
{
    for (uint32_t i = 0; i < a->snapshot_cnt; i++) {
        kh_proto_out size = {0};
        out_snapshot(&size, &a->snapshots[i]);
        kh_proto_head(out, 1, size.n);
        out_snapshot(out, &a->snapshots[i]);
    }
}

static void out_verdict(kh_proto_out *out, const kh_abci_answer *a)
{
    kh_proto_number(out, 1, a->verdict != 0 ? a->verdict : KH_ABCI_ABORT);
}

/* ApplySnapshotChunk {1: verdict, 2: chunks to fetch again, packed, 3: senders to be rejected}. */
static void out_applied(kh_proto_out *out, const kh_abci_answer *a)
{
    kh_proto_out size = {0};
    out_verdict(out, a);
    for (uint32_t i = 0; i < a->refetch_cnt; i++) kh_proto_varint(&size, a->refetch[i]);
    if (size.n != 0) kh_proto_head(out, 2, size.n);
    for (uint32_t i = 0; i < a->refetch_cnt; i++) kh_proto_varint(out, a->refetch[i]);
    for (uint32_t i = 0; i < a->reject_cnt; i++) kh_proto_element(out, 3, a->reject_senders[i]);
}

static void out_body(kh_proto_out *out, kh_abci_call call, const kh_abci_answer *a)
{
    if (a->exception != NULL) {
        kh_proto_bytes(out, 1, text(a->exception));
        return;
    }
    switch (call) {
    case KH_ABCI_ECHO: kh_proto_bytes(out, 1, a->value); break;
    case KH_ABCI_INFO:
        kh_proto_bytes(out, 1, text(a->data));
        kh_proto_bytes(out, 2, text(a->version));
        kh_proto_number(out, 3, a->app_version);
        kh_proto_number(out, 4, (uint64_t)a->height);
        kh_proto_bytes(out, 5, hash(a->app_hash));
        break;
    case KH_ABCI_INIT_CHAIN: kh_proto_bytes(out, 3, hash(a->app_hash)); break;
    case KH_ABCI_QUERY:
        kh_proto_number(out, 1, a->code);
        kh_proto_bytes(out, 7, a->value);
        kh_proto_number(out, 9, (uint64_t)a->height);
        break;
    case KH_ABCI_CHECK_TX:
    case KH_ABCI_INSERT_TX: kh_proto_number(out, 1, a->code); break;
    case KH_ABCI_COMMIT: kh_proto_number(out, 3, (uint64_t)a->height); break;
    case KH_ABCI_LIST_SNAPSHOTS: out_snapshots(out, a); break;
    case KH_ABCI_OFFER_SNAPSHOT: out_verdict(out, a); break;
    case KH_ABCI_LOAD_CHUNK: kh_proto_bytes(out, 1, a->value); break;
    case KH_ABCI_APPLY_CHUNK: out_applied(out, a); break;
    case KH_ABCI_PREPARE:
    case KH_ABCI_REAP_TXS: out_txs(out, a); break;
    case KH_ABCI_PROCESS: kh_proto_number(out, 1, a->accept ? ACCEPT : PROPOSAL_REJECT); break;
    case KH_ABCI_VERIFY_VOTE: kh_proto_number(out, 1, a->accept ? ACCEPT : VOTE_REJECT); break;
    case KH_ABCI_FINALIZE:
        out_results(out, a);
        out_validators(out, a);
        out_version(out, a);
        kh_proto_bytes(out, 5, hash(a->app_hash));
        break;
    case KH_ABCI_FLUSH:
    case KH_ABCI_EXTEND_VOTE: break;
    }
}

/* The answer's field is the request's and one more: in CometBFT's Response the exception stands in front. */
static void out_answer(kh_proto_out *out, kh_abci_call call, const kh_abci_answer *a, size_t body)
{
    kh_proto_head(out, a->exception != NULL ? EXCEPTION_FIELD : (uint32_t)call + 1, body);
    out_body(out, call, a);
}

static kh_err reserve(kh_abci_buffer *b, size_t more)
{
    if (more <= b->cap - b->n) return KH_OK;
    size_t cap = b->cap < 4096 ? 4096 : b->cap;
    while (cap - b->n < more) cap *= 2;
    uint8_t *p = realloc(b->p, cap);
    if (p == NULL) return KH_E_NOMEM;
    b->p = p;
    b->cap = cap;
    return KH_OK;
}

kh_err kh_abci_write(kh_abci_call call, const kh_abci_answer *answer, kh_abci_buffer *ret)
{
    kh_proto_out body = {0}, message = {0}, length = {0};
    out_body(&body, call, answer);
    if (body.n > KH_ABCI_FRAME_MAX - 2 * KH_PROTO_VARINT_SZ) return KH_E_FULL;
    out_answer(&message, call, answer, body.n);
    kh_proto_varint(&length, message.n);
    kh_err err = reserve(ret, length.n + message.n);
    if (err != KH_OK) return err;
    kh_proto_out out = {.p = ret->p + ret->n};
    kh_proto_varint(&out, message.n);
    out_answer(&out, call, answer, body.n);
    KH_ASSERT(out.n == length.n + message.n);
    ret->n += out.n;
    return KH_OK;
}
