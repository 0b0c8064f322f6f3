/* node: one member of a cluster between its CometBFT, its peers and its engine: sends sealed batches, stores and acknowledges
 * others', offers what is pending, follows the order, gives it to execution, holds attestations.
 *
 * No clock, socket, disk or thread of its own: everything comes through kh_node_effects, so a whole cluster of them, liars among
 * them, runs in one test on one thread (tests/sim/sim_cluster.c).
 * Threads  every function may be called by any thread; a lock inside. Effects are called with the lock held (body_get without it,
 * too) and must not call back, but for kh_bodies' `done`, which the node gets by kh_node_stored. Order    kh_node_finalize/commit
 * in block order; `decided` follows commit in that order. A submission's answers come in the order of submissions of one node,
 * unless its batch is refused. Bounds   KH_NODE_QUEUE_SZ bytes of operations wait for a batch: then KH_E_AGAIN; KH_NODE_WINDOW
 * batches under way; pending transactions: 4,096, of a sender 256. */
#ifndef KH_CLUSTER_NODE_H
#define KH_CLUSTER_NODE_H
#include "attest/attest.h"
#include "base/effects.h"
#include "log/bodies.h"
#include "log/envelope.h"
#include "order/order.h"

#define KH_NODE_QUEUE_SZ (32u << 20)
#define KH_NODE_WINDOW 8u
#define KH_NODE_BATCH_SZ (1u << 20)    /* of text that one batch gathers at most */
#define KH_NODE_GATHER_SZ (512u << 10) /* a batch beside others under way is worth its signatures from here, or after 5 ms */

typedef enum kh_message_type {                  /* types on the links; docs/CLUSTER.md has the bytes */
                               KH_MSG_BODY = 1, /* expires 8, envelope: store it and acknowledge */
                               KH_MSG_ACK = 2,  /* acknowledgement statement 96, signature 64 */
                               KH_MSG_TX = 3,   /* a transaction to offer: certificate, attestation, change, incarnation, holds */
                               KH_MSG_WANT = 4, /* digest 32: send me this body */
                               KH_MSG_GIVE = 5, /* digest 32, envelope */
                               KH_MSG_OUTPUTS = 6,      /* hub to bank: a package, sealed to the bank's box (kh_parcel) */
                               KH_MSG_OUTPUTS_FROM = 7, /* bank to hub: height 8: send all packages above it, in order */
                               KH_MSG_ATTESTATION = 8   /* a transaction's bytes; told at once, and offered too */
} kh_message_type;

typedef struct kh_node_effects {
    void *self;
    void (*send)(void *self, uint32_t to, uint8_t type, const uint8_t *p, size_t n); /* best effort, copies */
    uint64_t (*now)(void *self);                                                     /* wall clock, ns */
    uint64_t (*monotonic)(void *self);                                               /* ns */
    KH_MUST kh_err (*entropy)(void *self, void *p, size_t n);
    /* bodies: as bodies.h; put's end comes by kh_node_stored(node, token, err), at once or later. */
    KH_MUST kh_err (*body_put)(void *self, const kh_body_name *name, const uint8_t *p, size_t n, uint64_t token);
    bool (*body_has)(void *self, const uint8_t digest[32]);
    KH_MUST kh_err (*body_get)(void *self, const uint8_t digest[32], uint8_t **ret, size_t *ret_n);
    void (*body_ordered)(void *self, const uint8_t digest[32], uint32_t sender);
    void (*body_expire)(void *self, uint64_t now_ns);
    void (*body_each)(void *self, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx);
    /* decided: a committed block: keep it durably (kept_upto follows by kh_node_kept) and, where this is a hub, execute its
     * items. */
    void (*decided)(void *self, const kh_order_block *block);
    /* attested: q equal attestations of this height are held (a height is told once, ascending or not). */
    void (*attested)(void *self, const kh_attestation *attestation);
    /* checkpoint: the same of a checkpoint: q hubs hold the same state as of this height. */
    void (*checkpoint)(void *self, const kh_attestation *attestation);
    /* outputs: a parcel came from a hub. */
    void (*outputs)(void *self, uint32_t hub, const uint8_t *p, size_t n);
    void (*outputs_wanted)(void *self, uint32_t bank, uint64_t above_height);
    /* alert: a member that lies or breaks rules: a word ("DIFFERING_ATTESTATION", "BAD_SIGNATURE", "MISSING_RECEIPT"), who,
     * where. */
    void (*alert)(void *self, const char *word, uint32_t member, uint64_t height);
    /* answered: own submission `tag` ended without execution: code KH_C_EXPIRED never; KH_C_BAD_SEQUENCE where the sender lost
       its store; executed ones are answered by outputs (view.h) or by execution (hub.h). ordered: it stands in the order; n is 0
       where it was sent before a restart, height is 0 where it never will be: its incarnation ended and its text cannot be
       opened. */
    void (*ordered)(void *self, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                    uint32_t n);
} kh_node_effects;

typedef struct kh_node_options {
    uint32_t self; /* member */
    const kh_genesis *genesis;
    const uint8_t *genesis_bytes;
    size_t genesis_sz;
    const kh_signer *sender, *ack, *attest; /* NULL: this member has none */
    const kh_box *box;
    uint64_t expires_ns; /* 0: 60 s; <= KH_EXPIRES_MAX_NS */
    uint64_t adopted;    /* the height of the order that this node began with (kh_node_adopt); 0: the genesis */
    bool hub_adopts;     /* a hub may take an order that it was given: its state comes otherwise, and nothing executes before */
    const kh_node_effects *effects;
} kh_node_options;
typedef struct kh_node kh_node;
/* kh_node_new: from a saved order (kh_node_save), or the genesis where saved_n is 0. Own batches that are stored and not ordered
   are sent again. The store of bodies knows by then what was ordered up to the saved height (kh_bodies_ordered). Attestations
   that the caller kept may be given back by kh_node_received (of their hub, KH_MSG_ATTESTATION). */
KH_MUST kh_err kh_node_new(const kh_node_options *options, const uint8_t *saved, size_t saved_n, kh_node **ret);
void kh_node_free(kh_node *node);

/* ---- CometBFT's side ---- */
uint64_t kh_node_kept_height(kh_node *node, uint8_t ret_app_hash[32]); /* what Info answers; 0: nothing yet */
void kh_node_init_hash(kh_node *node, uint8_t ret[32]);
/* kh_node_prepare picks what to propose: oldest first, a fair share of bytes a sender, own sequence order; spans good until the
   next call of prepare. */
uint32_t kh_node_prepare(kh_node *node, uint64_t height, uint64_t time_ns, size_t max_bytes, const kh_tx_span **ret);
/* kh_node_urgent counts the transactions taken in so far that are worth a block of their own: all but attestations, which clients
   have before they are ordered, and HOLDS. While it stays as it was, another look finds nothing urgent that the last prepare did
   not. */
uint64_t kh_node_urgent(kh_node *node);
bool kh_node_is_urgent(const kh_tx_span *txs, uint32_t n); /* of a proposal: is there an urgent one in it? */
bool kh_node_process(kh_node *node, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n);
/* kh_node_finalize: result codes and hash for CometBFT; *ret lives until the next call, txs need not. A block above what
   kh_node_kept_height told before that was executed already gets the same answer again, whatever became durable since, and its
   commit does nothing. KH_E_ARG: not the next block, or other bytes than before. */
KH_MUST kh_err kh_node_finalize(kh_node *node, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t n,
                                const kh_order_block **ret);
void kh_node_commit(kh_node *node);
/* kh_node_kept: what `decided` gave up to this height is durable. */
void kh_node_kept(kh_node *node, uint64_t height);
KH_MUST kh_err
kh_node_save(kh_node *node, uint8_t **ret, size_t *ret_n,
             uint64_t *ret_height); /* the order as committed; KH_E_AGAIN: a block is finalized and not committed yet */

/* kh_node_adopt takes a saved order that anybody gave (kh_order_load_given) in place of this node's own, which has no block yet,
   or was given too and has none behind: then begin is called with it, with the lock held, to make it durable. Own submissions
   that wait are sealed anew behind it. KH_E_FORMAT: it is not the order of that height and app hash; KH_E_EXISTS: there are
   blocks, or it is older; KH_E_CLOSED: this member is a hub by it, and options.hub_adopts is not set; else what begin said. In
   all these cases nothing has changed. */
KH_MUST kh_err kh_node_adopt(kh_node *node, const uint8_t *saved, size_t n, uint64_t height, const uint8_t app_hash[32],
                             kh_err (*begin)(void *ctx, kh_order *order), void *ctx);

/* ---- peers ---- */
void kh_node_received(kh_node *node, uint32_t from, uint8_t type, const uint8_t *p, size_t n);
void kh_node_connected(kh_node *node, uint32_t peer, bool up);
void kh_node_stored(kh_node *node, uint64_t token, kh_err err);
/* kh_node_tick: sends again what has no answer, asks for bodies that lack, seals what waits. Every 5-20 ms. */
void kh_node_tick(kh_node *node);
uint64_t kh_node_clock(kh_node *node); /* monotonic, ns, of its effects; takes no lock */

/* ---- this node's own ---- */
/* kh_node_submit takes whole frames of this node's party (OWN), or a signed section (SIGNED, passed on whole), under a tag that
   `ordered` tells again. n 0: an empty batch. KH_E_AGAIN: the queue is full. KH_E_ARG: more than 7 MiB. KH_E_CLOSED: this member
   does not send, or was expelled. */
KH_MUST kh_err kh_node_submit(kh_node *node, const uint8_t *frames, size_t n, uint32_t op_cnt, bool signed_section, uint64_t tag);
KH_MUST kh_err kh_node_submit_tx(kh_node *node, const uint8_t *tx, size_t n); /* a change or incarnation from outside */
/* kh_node_attest: a hub posts and tells what it executed, again and again until it is ordered; under the hubs' epoch as of that
   height. flags (kh_attest_flags): the losses that its execution counted, and KH_ATTEST_CHECKPOINT: of the checkpoint there,
   another statement than the height's, which may come much later. KH_E_EXISTS: it said something else of it before, under the
   same flags, and that is known here or in the order. */
KH_MUST kh_err kh_node_attest(kh_node *node, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                              const uint8_t outputs_root[32], uint32_t flags);
/* kh_node_attest_again tells one peer what this hub said of a height that is attested: a restart forgets what was ordered of it.
 */
KH_MUST kh_err kh_node_attest_again(kh_node *node, uint32_t to, uint64_t height, const uint8_t app_hash[32],
                                    const uint8_t posted[32], const uint8_t outputs_root[32], uint32_t flags);
/* kh_node_holds: this node has the state of the checkpoint at that height, whole and durable. A validator tells the order, again
   and again until that is ordered or not wanted any more. Of several the highest counts. */
void kh_node_holds(kh_node *node, uint64_t height);
/* kh_node_body: the body of a batch that the block of that height ordered; KH_E_AGAIN: asked for, not here yet (`kh_node_tick`
   goes on asking); KH_E_NOT_FOUND: not here, and the order has given it up (kh_order_bodies_gone): nobody is asked. */
KH_MUST kh_err kh_node_body(kh_node *node, const uint8_t digest[32], uint64_t height, uint8_t **ret, size_t *ret_n);
/* kh_node_attested_root: what q hubs attested of a height; false: not (yet). Kept for the last 65,536 attested heights. */
bool kh_node_attested_root(kh_node *node, uint64_t height, kh_attestation *ret);
/* kh_node_words: what hubs of the set have said of a height, beside this statement of it: in the order, as far as that remembers
   it, or to this node. Nothing counts that was found to be a lie, or counts other losses than the order does. */
typedef struct kh_node_said {
    uint32_t others, quorum; /* hubs of the set but this one; of the set */
    uint32_t same, differ;   /* hubs that said this, this one among them; the most that said one other thing */
    bool own;                /* this hub is one of the same */
} kh_node_said;
void kh_node_words(kh_node *node, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                   const uint8_t outputs_root[32], uint32_t flags, kh_node_said *ret);
/* kh_node_attestations: the q attestations themselves, ascending by hub, for proofs. Returns their number, 0: not attested. */
uint32_t kh_node_attestations(kh_node *node, uint64_t height, kh_attestation *ret, uint32_t max);
/* kh_node_read calls f with the order as committed, lock held: short, and calls nothing of the node. */
void kh_node_read(kh_node *node, void (*f)(void *ctx, kh_order *order), void *ctx);
typedef enum kh_node_stage {                     /* of own batches, in this order */
                             KH_STAGE_WAITED,    /* its first submission was taken; it was sealed */
                             KH_STAGE_STORED,    /* durable here */
                             KH_STAGE_CERTIFIED, /* durable at enough validators */
                             KH_STAGE_ORDERED,   /* in a block */
                             KH_STAGES
} kh_node_stage;
typedef struct kh_node_counts {
    uint64_t height, sent_batches, certificates, acks, resent, wanted, given, dropped, pending, queue_bytes, bad_signatures,
        alerts, ordered;
    uint64_t stage_ns[KH_STAGES]; /* summed over own batches */
} kh_node_counts;
void kh_node_count(kh_node *node, kh_node_counts *ret);

/* ---- parcels: a package sealed to a bank's box ---- */
KH_MUST kh_err kh_parcel_make(kh_suite suite, const uint8_t box_public[KH_PUBLIC_SZ], const kh_entropy *entropy,
                              const uint8_t chain[32], uint32_t party, uint64_t height, const uint8_t *package, size_t n,
                              uint8_t **ret, size_t *ret_n);
KH_MUST bool kh_parcel_open(kh_suite suite, const kh_box *box, const uint8_t chain[32], uint32_t party, const uint8_t *p,
                            size_t n, uint64_t *ret_height, uint8_t **ret, size_t *ret_n);
#endif
