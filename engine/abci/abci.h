/* abci: CometBFT's application interface (v0.40: ABCI 2.0 over sockets): messages to bytes and back, and the server's loop.
 *
 * Reading is zero-copy: spans point into the frame. Bounded: a frame is at most KH_ABCI_FRAME_MAX bytes, nothing recurses,
 * unknown fields are skipped, repeated fields are walked, not stored. Writing is canonical proto3 (zero fields left out). Source:
 * CometBFT v0.40.0, proto/tendermint/abci/types.proto. */
#ifndef KH_ABCI_ABCI_H
#define KH_ABCI_ABCI_H
#include "base/base.h"

#define KH_ABCI_FRAME_MAX (16u << 20)
typedef struct kh_span {
    const uint8_t *p;
    size_t n;
} kh_span;

typedef enum kh_abci_call { /* the request's field number in the oneof */
                            KH_ABCI_ECHO = 1,
                            KH_ABCI_FLUSH = 2,
                            KH_ABCI_INFO = 3,
                            KH_ABCI_INIT_CHAIN = 5,
                            KH_ABCI_QUERY = 6,
                            KH_ABCI_CHECK_TX = 8,
                            KH_ABCI_COMMIT = 11,
                            KH_ABCI_LIST_SNAPSHOTS = 12,
                            KH_ABCI_OFFER_SNAPSHOT = 13,
                            KH_ABCI_LOAD_CHUNK = 14,
                            KH_ABCI_APPLY_CHUNK = 15,
                            KH_ABCI_PREPARE = 16,
                            KH_ABCI_PROCESS = 17,
                            KH_ABCI_EXTEND_VOTE = 18,
                            KH_ABCI_VERIFY_VOTE = 19,
                            KH_ABCI_FINALIZE = 20,
                            KH_ABCI_INSERT_TX = 21,
                            KH_ABCI_REAP_TXS = 22
} kh_abci_call;

typedef struct kh_abci_validator { /* ed25519 only */
    uint8_t public_key[32];
    int64_t power;
} kh_abci_validator;
typedef struct kh_abci_snapshot { /* what a state sync is offered; format, hash and metadata are the application's */
    uint64_t height;
    uint32_t format, chunks;
    kh_span hash, metadata;
} kh_abci_snapshot;
typedef struct kh_abci_request {
    kh_abci_call call;
    int64_t height, max_tx_bytes, initial_height;
    uint64_t time_ns;
    kh_span txs; /* the bytes that hold the repeated field: walk with kh_abci_tx_next */
    uint32_t tx_cnt;
    uint32_t tx_field;                       /* its field number */
    kh_span hash, proposer;                  /* proposer: 20 bytes */
    kh_span chain_id, app_state, validators; /* INIT_CHAIN; validators: walk with kh_abci_validator_next */
    kh_span data, path;                      /* QUERY; ECHO, CHECK_TX, INSERT_TX, APPLY_CHUNK: data */
    kh_abci_snapshot snapshot;               /* OFFER_SNAPSHOT; LOAD_CHUNK: its height and format. hash: the app hash, verified */
    uint32_t chunk;                          /* LOAD_CHUNK, APPLY_CHUNK: which, from 0 */
    kh_span sender;                          /* APPLY_CHUNK: the peer that gave it */
} kh_abci_request;
/* kh_abci_frame: the length of the frame that begins at p, whole or not. KH_E_AGAIN: not even its length is; KH_E_FORMAT.
 *ret_head: bytes of the varint in front. */
KH_MUST kh_err kh_abci_frame(const uint8_t *p, size_t n, size_t *ret_head, size_t *ret_n);
/* kh_abci_read: the bytes behind the length. KH_E_FORMAT also for a call that is not known, two calls, keys that are not ed25519.
   A time before 1970 is 0. */
KH_MUST kh_err kh_abci_read(const uint8_t *p, size_t n, kh_abci_request *ret);
/* kh_abci_tx_next: the next transaction; false at the end. *at begins at 0. */
bool kh_abci_tx_next(const kh_abci_request *request, size_t *at, kh_span *ret);
bool kh_abci_validator_next(const kh_abci_request *request, size_t *at, kh_abci_validator *ret);

typedef enum kh_abci_verdict { /* of OFFER_SNAPSHOT and APPLY_CHUNK, as on the wire; 0: KH_ABCI_ABORT */
                               KH_ABCI_ACCEPT = 1,
                               KH_ABCI_ABORT = 2, /* the state sync as a whole */
                               KH_ABCI_OFFER_REJECT = 3,
                               KH_ABCI_OFFER_REJECT_FORMAT = 4,
                               KH_ABCI_OFFER_REJECT_SENDER = 5,
                               KH_ABCI_CHUNK_RETRY = 3,
                               KH_ABCI_CHUNK_RETRY_SNAPSHOT = 4,
                               KH_ABCI_CHUNK_REJECT_SNAPSHOT = 5
} kh_abci_verdict;
typedef struct kh_abci_answer { /* what to write; unused fields zero */
    const char *data, *version; /* INFO */
    uint64_t app_version;       /* INFO; FINALIZE: of the blocks from the next on, 0: no change */
    int64_t height;             /* INFO: last block; COMMIT: retain height; QUERY */
    const uint8_t *app_hash;    /* 32 bytes or NULL: INFO, INIT_CHAIN, FINALIZE */
    const kh_span *txs;         /* PREPARE, REAP_TXS */
    uint32_t tx_cnt;
    bool accept;           /* PROCESS, VERIFY_VOTE */
    const uint16_t *codes; /* FINALIZE: one a transaction */
    uint32_t code_cnt;
    const kh_abci_validator *validators; /* FINALIZE: updates */
    uint32_t validator_cnt;
    kh_span value;                     /* QUERY, ECHO, LOAD_CHUNK: empty: there is none */
    kh_abci_verdict verdict;           /* OFFER_SNAPSHOT, APPLY_CHUNK */
    const kh_abci_snapshot *snapshots; /* LIST_SNAPSHOTS */
    uint32_t snapshot_cnt;
    const uint32_t *refetch;       /* APPLY_CHUNK: chunks to be fetched again */
    const kh_span *reject_senders; /* APPLY_CHUNK: peers that nothing more is taken from */
    uint32_t refetch_cnt, reject_cnt;
    uint32_t code;         /* QUERY, CHECK_TX, INSERT_TX */
    const char *exception; /* not NULL: this call is answered by an exception */
} kh_abci_answer;
/* kh_abci_write: frame with its length before it, appended to a buffer that grows by realloc. KH_E_FULL: beyond
   KH_ABCI_FRAME_MAX. */
typedef struct kh_abci_buffer {
    uint8_t *p;
    size_t n, cap;
} kh_abci_buffer;
KH_MUST kh_err kh_abci_write(kh_abci_call call, const kh_abci_answer *answer, kh_abci_buffer *ret);

/* ---- server: a thread a connection, strict order on each ---- */
typedef struct kh_abci_server kh_abci_server;
typedef struct kh_abci_handler {
    /* call is asked by several connections at once, but never ECHO and FLUSH, which the server answers. It fills *ret; what it
       points to stays good until the next call on this connection. false: the application cannot go on: an exception is answered
       and the connection closed. lost: a connection of CometBFT ended (it died or stopped); NULL: nobody asks. */
    bool (*call)(void *self, const kh_abci_request *request, kh_abci_answer *ret);
    void (*lost)(void *self);
    void *self;
} kh_abci_handler;
/* kh_abci_listen: a unix socket at path (0600; one that is there already is removed). At most 16 connections. */
KH_MUST kh_err kh_abci_listen(const char *path, const kh_abci_handler *handler, char *why, size_t cap, kh_abci_server **ret);
void kh_abci_stop(kh_abci_server *server);
#endif
