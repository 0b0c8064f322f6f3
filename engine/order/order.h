/* order: what every node of a cluster computes alike from the blocks, whatever it can read: who may send, what comes next, who
 * votes, which entries have an effect; and the app hash over it (docs/CLUSTER.md, byte by byte).
 *
 * Pure: no clock, no disk, no randomness; block bytes and the state as of the block before decide alone. Total: any bytes get a
 * result code each, garbage stops nobody. kh_order_process judges a proposal by the committed state and changes nothing;
 * kh_order_finalize judges every entry again. Verified signatures are remembered between the two (by the transaction's digest).
 * Memory   allocates; bounds: KH_MEMBERS_MAX members, KH_ORDER_TXS_MAX transactions a block, rules and rates as the ledger's.
 * Threads  one at a time. */
#ifndef KH_ORDER_ORDER_H
#define KH_ORDER_ORDER_H
#include "crypto/merkle.h"
#include "crypto/suite.h"
#include "order/tx.h"

#define KH_MEMBERS_MAX 256u
#define KH_OFFICERS_MAX 16u
#define KH_ORDER_TXS_MAX 4096u
#define KH_SEALED_AFTER_EPOCH 10000u /* blocks for which batches of the epoch before are still good */
#define KH_VERSION_NOTICE 10u        /* blocks at least from the order of another app version to its first block */
#define KH_ORDER_VERSION 1u          /* the newest app version that this software executes */
#define KH_EXPIRES_MAX_NS (600 * KH_NS_PER_S)

typedef enum kh_member_role {
    KH_MEMBER_REGULATOR = 1,
    KH_MEMBER_BANK = 2,
    KH_MEMBER_SOURCE = 4,
    KH_MEMBER_HUB = 16
} kh_member_role;
enum { KH_MEMBER_EXPELLED = 1, KH_MEMBER_FROZEN = 2, KH_MEMBER_VALIDATOR = 4 /* set by the validator set alone */ };
typedef struct kh_member {
    uint32_t id;
    uint8_t role, flags;
    uint8_t name_n, uscc_n;
    char name[128], uscc[36];
    uint8_t sender[KH_PUBLIC_SZ]; /* signs its batches (bank, hub), or its bundles (regulator, source); zeros: none */
    uint8_t ack[KH_PUBLIC_SZ];    /* signs that it has stored a body: of validators */
    uint8_t attest[KH_PUBLIC_SZ]; /* of hubs */
    uint8_t box[KH_PUBLIC_SZ];    /* what is sealed to it: its own wrap of a batch's key, its outputs */
    uint8_t consensus[32];        /* CometBFT's Ed25519 key: of validators */
} kh_member;

/* kh_member_encode writes a member's record, the body of KH_CHANGE_MEMBER; 0: no room. */
#define KH_MEMBER_RECORD_MAX_SZ 512u
size_t kh_member_encode(const kh_member *member, uint8_t *buf, size_t cap);

typedef struct kh_genesis {
    char chain_id[51];
    kh_suite suite;
    uint64_t initial_height, time_ns; /* first block's height; the time below which block time never goes */
    uint32_t officer_k, officer_cnt;
    uint8_t officers[KH_OFFICERS_MAX][KH_PUBLIC_SZ];
    uint8_t group[KH_PUBLIC_SZ]; /* the hubs' key of epoch 1 */
    uint8_t checkpoint[32];      /* digest of the state that the hubs begin with */
    uint8_t opening[32];         /* root of what banks' views begin with (hub/opening.h); zeros: not said, they begin empty */
    uint32_t member_cnt;         /* ascending ids; validators carry the flag */
    kh_member *members;
    uint32_t public_cnt; /* rules and rates at the beginning: public leaves, ascending keys */
    struct kh_public_leaf *publics;
    /* a trial: hubs may speak for regulator, sources and enterprises that sign nothing themselves */
    bool hubs_speak;
} kh_genesis;
/* kh_genesis_encode writes the canonical bytes (malloc'ed); the chain's digest is SHA-256("kanhe/genesis\0" || bytes). */
KH_MUST kh_err kh_genesis_encode(const kh_genesis *genesis, uint8_t **ret, size_t *ret_n);
KH_MUST kh_err kh_genesis_decode(const uint8_t *p, size_t n, kh_genesis *ret);
void kh_genesis_free(kh_genesis *genesis);
bool kh_genesis_opens(const kh_genesis *genesis); /* it says what banks' views begin with */

typedef struct kh_public_leaf { /* docs/CLUSTER.md lists the keys */
    uint8_t key_n;
    uint16_t value_n;
    uint8_t key[80];
    const uint8_t *value;
} kh_public_leaf;

typedef struct kh_order kh_order;
KH_MUST kh_err kh_order_new(const uint8_t *genesis_bytes, size_t n, kh_order **ret);
void kh_order_free(kh_order *o);
void kh_order_chain(const kh_order *o, uint8_t ret[32]);
kh_suite kh_order_suite(const kh_order *o);
uint64_t kh_order_height(const kh_order *o); /* of the last block; initial_height - 1 before the first */
uint64_t kh_order_time(const kh_order *o);
void kh_order_app_hash(const kh_order *o, uint8_t ret[32]);

/* ---- judging ---- */
/* kh_order_offerable: would this transaction have an effect now, if it stood first in a block? For the queue of what to propose;
   KH_R_BAD_SEQUENCE of a higher one may become good, KH_R_BUSY too. KH_R_OK also for an attestation whose lie is news. */
kh_order_code kh_order_offerable(kh_order *o, const uint8_t *tx, size_t n, uint64_t time_ns);
/* kh_order_acknowledged: is this the signature of the validator at this place of the set that ack names? Each is verified once:
   a certificate made of signatures that were asked for here costs nothing more. */
bool kh_order_acknowledged(kh_order *o, const kh_ack *ack, uint32_t place, const uint8_t signature[KH_SIGNATURE_SZ]);
/* kh_order_acknowledge_own: this node has just made it, with the key of that place. */
void kh_order_acknowledge_own(kh_order *o, const kh_ack *ack, uint32_t place, const uint8_t signature[KH_SIGNATURE_SZ]);
/* kh_order_process: may a block with these bytes be voted for? Malformed, forged or doubled entries: no; what merely has no
   effect: yes. A block of what kh_order_offerable calls OK, BAD_SEQUENCE or BUSY, each once, is always voted for. */
bool kh_order_process(kh_order *o, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n);

typedef enum kh_item_kind { KH_ITEM_BATCH = 1, KH_ITEM_OPS = 2, KH_ITEM_LOST = 3 } kh_item_kind;
typedef struct kh_order_item { /* what execution gets, in order */
    kh_item_kind kind;
    uint32_t sender, incarnation, size; /* BATCH */
    uint64_t sequence;                  /* LOST: the height of the batch's block */
    uint8_t digest[32];                 /* BATCH, LOST: of the envelope */
    const uint8_t *ops; /* OPS: wire frames of the register's, rules' and rates' operations, officers' (party 0) */
    uint32_t ops_sz, op_cnt;
    bool stale_epoch; /* BATCH: never; reserved */
} kh_order_item;
typedef struct kh_order_block {
    uint64_t height, time_ns;
    uint8_t previous[32], app_hash[32], entries_root[32], public_root[32];
    uint32_t tx_cnt;
    const uint16_t *codes;        /* kh_order_code, one a transaction */
    const uint8_t (*digests)[32]; /* of the transactions */
    const uint8_t *types;
    uint32_t item_cnt;
    const kh_order_item *items;
    uint32_t validator_cnt; /* updates for CometBFT */
    const struct kh_order_validator {
        uint8_t consensus[32];
        bool votes; /* from now on, or no more */
    } * validators;
    uint32_t next_version; /* app version of the next block, where it is another; 0: the same */
    bool attested_moved;   /* the highest height with a quorum of attestations rose */
    uint32_t liar_cnt;     /* hubs that contradicted others or themselves in this block */
    const struct kh_order_liar {
        uint32_t hub;
        bool
            proven; /* contradicts itself, this chain's app hash or a quorum; else another hub, and no quorum says yet who lies */
        uint64_t height;
    } * liars;
} kh_order_block;
/* kh_order_finalize executes a block. *ret lives until the next call. KH_E_ARG: not the next height, or time goes back;
   KH_E_VERSION: its app version is above KH_ORDER_VERSION: this software cannot go on, and nothing was changed; KH_E_NOMEM: from
   then on KH_E_CLOSED, the order must be loaded anew. */
KH_MUST kh_err kh_order_finalize(kh_order *o, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n,
                                 kh_order_block *ret);

/* ---- looking ---- */
const kh_member *kh_order_member(const kh_order *o, uint32_t id);
const kh_member *kh_order_member_at(const kh_order *o, uint32_t n); /* n-th by id; NULL behind the last */
typedef struct kh_order_validators {                                /* the acknowledging set */
    uint32_t set_id, cnt, quorum;                                   /* quorum: 2f + 1 */
    uint32_t ids[KH_MEMBERS_MAX];                                   /* ascending; a signature's index is a place in it */
} kh_order_validators;
void kh_order_validator_set(const kh_order *o, kh_order_validators *ret);
typedef struct kh_order_hubs {
    uint32_t epoch, cnt, quorum; /* quorum: floor(cnt / 2) + 1 */
    uint32_t ids[KH_MEMBERS_MAX];
    uint8_t group[KH_PUBLIC_SZ];
    uint32_t epoch_before; /* 0: none that is still good */
} kh_order_hubs;
void kh_order_hub_set(const kh_order *o, kh_order_hubs *ret);
/* kh_order_next: the incarnation and the next sequence of a sender. */
bool kh_order_next(const kh_order *o, uint32_t sender, uint32_t *ret_incarnation, uint64_t *ret_sequence);
/* kh_order_attested: the highest height that q hubs attested alike, with the posted digest; 0: none. */
uint64_t kh_order_attested(const kh_order *o, uint8_t ret_posted[32]);
/* kh_order_checkpoint: the same of checkpoints. */
uint64_t kh_order_checkpoint(const kh_order *o, uint8_t ret_posted[32]);
/* kh_order_said: what a hub said of a height (of the checkpoint there), as far as that is remembered: the digest of its statement
   (kh_attestation_digest), zeros where it lied. False: nothing. */
bool kh_order_said(const kh_order *o, uint64_t height, bool checkpoint, uint32_t hub, uint8_t ret[32]);
/* kh_order_states: the checkpoints whose states (docs/CLUSTER.md) validators are to hold, by the order. A checkpoint that rises
   is WANTED where nothing is, and a part of rule body_retention after the one that is HELD; one that is not held by then gives
   its place to a newer one. It is HELD when a quorum of the acknowledging set said so (KH_TX_HOLDS), the one held until then
   HELD_BEFORE. Height 0: none. */
typedef struct kh_order_state {
    uint64_t height, time_ns; /* time_ns: of the block by which it was wanted */
    uint8_t posted[32];       /* what a quorum of hubs posted of that checkpoint */
    uint32_t holder_cnt;      /* validators that said that they hold it; of one that is held: when it came to be */
} kh_order_state;
enum { KH_STATE_WANTED, KH_STATE_HELD, KH_STATE_HELD_BEFORE, KH_STATES };
void kh_order_states(const kh_order *o, kh_order_state ret[KH_STATES]);
/* kh_order_states_interval: nanoseconds between two that are wanted, and until a newer one takes the place of one not held. */
uint64_t kh_order_states_interval(const kh_order *o);
/* kh_order_bodies_gone: bodies of blocks at or below this height are given up: two checkpoints at or above it are held, and rule
   body_retention has passed since the lower was wanted. Never falls; 0: none. */
uint64_t kh_order_bodies_gone(const kh_order *o);
/* kh_order_losses: how many bodies were ordered lost, so far, that stand at or below this height, by blocks above it: so many
   times what hubs say of it became void. 0 for most heights, and for good below and above what a loss touches. */
uint32_t kh_order_losses(const kh_order *o, uint64_t height);
/* kh_order_version: the app version of the block of a height, as far as it is ordered by now. _ahead: one that was ordered and is
   not in force in the next block yet, and the height from which on it will be; 0: none. */
uint32_t kh_order_version(const kh_order *o, uint64_t height);
uint32_t kh_order_version_ahead(const kh_order *o, uint64_t *ret_from);
uint64_t kh_order_change_number(const kh_order *o); /* of the officers' next change */
/* kh_order_public: the leaf of a key, and its path under public_root; false: there is none. */
bool kh_order_public(kh_order *o, const void *key, uint8_t key_n, kh_public_leaf *ret, uint32_t *ret_index, uint32_t *ret_cnt,
                     uint8_t ret_path[KH_MERKLE_PATH_MAX][32], uint32_t *ret_path_n);

/* kh_order_app_at: this chain's app hashes as of the last 4,096 blocks with transactions, ascending, and the height of each;
   false behind the last. kh_order_leaf_at: the n-th public leaf; false behind the last. kh_order_unattested_at: the n-th batch
   above the attested height, in order; lost: officers ordered its body lost. kh_order_unattested_upto: the highest height at or
   below `height` of such a batch; 0: none. */
bool kh_order_app_at(const kh_order *o, uint32_t n, uint64_t *ret_height, uint8_t ret_hash[32]);
bool kh_order_leaf_at(const kh_order *o, uint32_t n, kh_public_leaf *ret);
bool kh_order_unattested_at(const kh_order *o, uint32_t n, uint8_t ret_digest[32], bool *ret_lost);
uint64_t kh_order_unattested_upto(const kh_order *o, uint64_t height);
/* kh_order_snapshot_due: is the last block the first with transactions at or behind a multiple of `distance` blocks? The same for
   every node that begins with the same genesis, whichever order it was loaded from. */
bool kh_order_snapshot_due(const kh_order *o, uint64_t distance);

/* ---- keeping ---- */
KH_MUST kh_err kh_order_save(const kh_order *o, uint8_t **ret, size_t *ret_n); /* malloc'ed; canonical */
/* kh_order_load: what this node itself saved. KH_E_VERSION: bytes of another version. KH_E_FORMAT: not as it was written, or
   another chain's. */
#define KH_ORDER_SAVED_MAX_SZ (64u << 20)
KH_MUST kh_err kh_order_load(const uint8_t *genesis_bytes, size_t genesis_n, const uint8_t *p, size_t n, kh_order **ret);
/* kh_order_load_given: the same from anybody, however they lie: the app hash after the block of that height, which the caller
   knows to be this chain's (a light client), fixes every byte. Only as of a block with transactions: behind it height and time
   go on without a hash. */
KH_MUST kh_err kh_order_load_given(const uint8_t *genesis_bytes, size_t genesis_n, const uint8_t *p, size_t n, uint64_t height,
                                   const uint8_t app_hash[32], kh_order **ret);
#endif
