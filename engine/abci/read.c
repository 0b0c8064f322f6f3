/* read: requests: one table says which field of which call means what. */
#include "abci/protobuf.h"

/* What a field of a request is to us. */
typedef enum meaning {
    SKIPPED,
    HEIGHT,
    MAX_TX_BYTES,
    INITIAL_HEIGHT,
    TIME,
    TXS,
    HASH,
    PROPOSER,
    CHAIN_ID,
    APP_STATE,
    VALIDATORS,
    DATA,
    PATH,
    SNAPSHOT,
    FORMAT,
    CHUNK,
    SENDER
} meaning;

#define FIELDS_MAX 9u
typedef struct call_fields {
    bool known;
    uint8_t fields[FIELDS_MAX]; /* by field number, from 1 at [1] */
} call_fields;
#define BLOCK_FIELDS                                                                                                             \
    {                                                                                                                            \
        [1] = TXS, [4] = HASH, [5] = HEIGHT, [6] = TIME, [8] = PROPOSER                                                          \
    }

static const call_fields calls[] = {
    [KH_ABCI_ECHO] = {true, {[1] = DATA}},
    [KH_ABCI_FLUSH] = {true, {0}},
    [KH_ABCI_INFO] = {true, {0}},
    [KH_ABCI_INIT_CHAIN] = {true, {[1] = TIME, [2] = CHAIN_ID, [4] = VALIDATORS, [5] = APP_STATE, [6] = INITIAL_HEIGHT}},
    [KH_ABCI_QUERY] = {true, {[1] = DATA, [2] = PATH, [3] = HEIGHT}},
    [KH_ABCI_CHECK_TX] = {true, {[1] = DATA}},
    [KH_ABCI_COMMIT] = {true, {0}},
    [KH_ABCI_LIST_SNAPSHOTS] = {true, {0}},
    [KH_ABCI_OFFER_SNAPSHOT] = {true, {[1] = SNAPSHOT, [2] = HASH}},
    [KH_ABCI_LOAD_CHUNK] = {true, {[1] = HEIGHT, [2] = FORMAT, [3] = CHUNK}},
    [KH_ABCI_APPLY_CHUNK] = {true, {[1] = CHUNK, [2] = DATA, [3] = SENDER}},
    [KH_ABCI_PREPARE] = {true, {[1] = MAX_TX_BYTES, [2] = TXS, [5] = HEIGHT, [6] = TIME, [8] = PROPOSER}},
    [KH_ABCI_PROCESS] = {true, BLOCK_FIELDS},
    [KH_ABCI_EXTEND_VOTE] = {true, {[1] = HASH, [2] = HEIGHT, [3] = TIME, [4] = TXS, [8] = PROPOSER}},
    [KH_ABCI_VERIFY_VOTE] = {true, {[1] = HASH, [3] = HEIGHT}},
    [KH_ABCI_FINALIZE] = {true, BLOCK_FIELDS},
    [KH_ABCI_INSERT_TX] = {true, {[1] = DATA}},
    [KH_ABCI_REAP_TXS] = {true, {0}},
};

static bool is_number(meaning m) { return m == HEIGHT || m == MAX_TX_BYTES || m == INITIAL_HEIGHT || m == FORMAT || m == CHUNK; }

static kh_err number32(const kh_proto_field *field, uint32_t *ret)
{
    if (field->value > UINT32_MAX) return KH_E_FORMAT;
    *ret = (uint32_t)field->value;
    return KH_OK;
}

/* Timestamp {1: seconds, 2: nanoseconds}; what is before 1970 (Go's zero time) is 0. */
static kh_err read_time(kh_span message, uint64_t *ret)
{
    int64_t seconds = 0, ns = 0;
    size_t at = 0;
    kh_proto_field field;
    kh_err err;
    while ((err = kh_proto_next(message, &at, &field)) == KH_OK) {
        if (field.number > 2) continue;
        if (field.type != KH_PROTO_VARINT) return KH_E_FORMAT;
        if (field.number == 1) seconds = (int64_t)field.value;
        else ns = (int64_t)field.value;
    }
    if (err != KH_E_NOT_FOUND) return err;
    if (ns < 0 || ns >= (int64_t)KH_NS_PER_S) return KH_E_FORMAT;
    if (seconds > (int64_t)(UINT64_MAX / KH_NS_PER_S) - 1) return KH_E_FORMAT;
    *ret = seconds < 0 ? 0 : (uint64_t)seconds * KH_NS_PER_S + (uint64_t)ns;
    return KH_OK;
}

/* PublicKey {1: ed25519}. */
static kh_err read_key(kh_span message, uint8_t ret[32])
{
    size_t at = 0;
    kh_proto_field field;
    kh_err err;
    bool has = false;
    while ((err = kh_proto_next(message, &at, &field)) == KH_OK) {
        if (field.number != 1) continue;
        if (field.type != KH_PROTO_BYTES || field.bytes.n != 32) return KH_E_FORMAT;
        memcpy(ret, field.bytes.p, 32);
        has = true;
    }
    return err == KH_E_NOT_FOUND && has ? KH_OK : KH_E_FORMAT;
}

/* ValidatorUpdate {1: public key, 2: power}. */
static kh_err read_validator(kh_span message, kh_abci_validator *ret)
{
    kh_abci_validator v = {.power = 0};
    size_t at = 0;
    kh_proto_field field;
    kh_err err;
    bool has = false;
    while ((err = kh_proto_next(message, &at, &field)) == KH_OK) {
        if (field.number > 2) continue;
        if (field.type != (field.number == 1 ? KH_PROTO_BYTES : KH_PROTO_VARINT)) return KH_E_FORMAT;
        if (field.number == 2) v.power = (int64_t)field.value;
        else if (read_key(field.bytes, v.public_key) != KH_OK) return KH_E_FORMAT;
        else has = true;
    }
    if (err != KH_E_NOT_FOUND || !has) return KH_E_FORMAT;
    *ret = v;
    return KH_OK;
}

/* Snapshot {1: height, 2: format, 3: chunks, 4: hash, 5: metadata}. */
static kh_err read_snapshot(kh_span message, kh_abci_snapshot *ret)
{
    kh_abci_snapshot s = {0};
    size_t at = 0;
    kh_proto_field field;
    kh_err err;
    while ((err = kh_proto_next(message, &at, &field)) == KH_OK) {
        if (field.number > 5) continue;
        if (field.type != (field.number <= 3 ? KH_PROTO_VARINT : KH_PROTO_BYTES)) return KH_E_FORMAT;
        if (field.number == 1) s.height = field.value;
        else if (field.number == 4) s.hash = field.bytes;
        else if (field.number == 5) s.metadata = field.bytes;
        else if (number32(&field, field.number == 2 ? &s.format : &s.chunks) != KH_OK) return KH_E_FORMAT;
    }
    if (err != KH_E_NOT_FOUND) return err;
    *ret = s;
    return KH_OK;
}

static kh_err take(kh_abci_request *r, meaning m, const kh_proto_field *field)
{
    kh_abci_validator validator;
    if (m == SKIPPED) return KH_OK;
    if (field->type != (is_number(m) ? KH_PROTO_VARINT : KH_PROTO_BYTES)) return KH_E_FORMAT;
    switch (m) {
    case HEIGHT: r->height = (int64_t)field->value; break;
    case MAX_TX_BYTES: r->max_tx_bytes = (int64_t)field->value; break;
    case INITIAL_HEIGHT: r->initial_height = (int64_t)field->value; break;
    case TIME: return read_time(field->bytes, &r->time_ns);
    case TXS: r->tx_cnt++; break;
    case HASH: r->hash = field->bytes; return field->bytes.n == 0 || field->bytes.n == 32 ? KH_OK : KH_E_FORMAT;
    case PROPOSER: r->proposer = field->bytes; return field->bytes.n == 0 || field->bytes.n == 20 ? KH_OK : KH_E_FORMAT;
    case CHAIN_ID: r->chain_id = field->bytes; break;
    case APP_STATE: r->app_state = field->bytes; break;
    case VALIDATORS: return read_validator(field->bytes, &validator);
    case DATA: r->data = field->bytes; break;
    case PATH: r->path = field->bytes; break;
    case SNAPSHOT: return read_snapshot(field->bytes, &r->snapshot);
    case FORMAT: return number32(field, &r->snapshot.format);
    case CHUNK: return number32(field, &r->chunk);
    case SENDER: r->sender = field->bytes; break;
    default: break;
    }
    return KH_OK;
}

static kh_err read_call(kh_abci_call call, kh_span message, kh_abci_request *ret)
{
    const uint8_t *fields = calls[call].fields;
    kh_abci_request r = {.call = call};
    size_t at = 0;
    kh_proto_field field;
    kh_err err;
    while ((err = kh_proto_next(message, &at, &field)) == KH_OK) {
        meaning m = field.number < FIELDS_MAX ? (meaning)fields[field.number] : SKIPPED;
        kh_err taken = take(&r, m, &field);
        if (taken != KH_OK) return taken;
        if (m == TXS) r.txs = message, r.tx_field = field.number;
        if (m == VALIDATORS) r.validators = message;
    }
    if (err != KH_E_NOT_FOUND) return err;
    *ret = r;
    return KH_OK;
}

kh_err kh_abci_read(const uint8_t *p, size_t n, kh_abci_request *ret)
{
    const kh_span frame = {p, n};
    kh_abci_call call = (kh_abci_call)0;
    kh_span message = {NULL, 0};
    size_t at = 0;
    kh_proto_field field;
    kh_err err;
    while ((err = kh_proto_next(frame, &at, &field)) == KH_OK) {
        if (field.number >= sizeof calls / sizeof calls[0] || !calls[field.number].known) continue;
        if (field.type != KH_PROTO_BYTES || call != 0) return KH_E_FORMAT; /* one call a frame */
        call = (kh_abci_call)field.number;
        message = field.bytes;
    }
    if (err != KH_E_NOT_FOUND || call == 0) return KH_E_FORMAT;
    return read_call(call, message, ret);
}

kh_err kh_abci_frame(const uint8_t *p, size_t n, size_t *ret_head, size_t *ret_n)
{
    uint64_t sz;
    size_t head;
    kh_err err = kh_proto_varint_read(p, n, &sz, &head);
    if (err != KH_OK) return err;
    if (sz > KH_ABCI_FRAME_MAX) return KH_E_FORMAT;
    *ret_head = head;
    *ret_n = (size_t)sz;
    return KH_OK;
}

/* Walks what kh_abci_read has been through: it decodes. */
static bool element(kh_span message, uint32_t number, size_t *at, kh_span *ret)
{
    kh_proto_field field;
    while (message.n != 0 && kh_proto_next(message, at, &field) == KH_OK) {
        if (field.number != number) continue;
        *ret = field.bytes;
        return true;
    }
    return false;
}

bool kh_abci_tx_next(const kh_abci_request *request, size_t *at, kh_span *ret)
{
    return element(request->txs, request->tx_field, at, ret);
}

bool kh_abci_validator_next(const kh_abci_request *request, size_t *at, kh_abci_validator *ret)
{
    kh_span bytes;
    return element(request->validators, 4, at, &bytes) && read_validator(bytes, ret) == KH_OK;
}
