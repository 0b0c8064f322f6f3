/* parts: what the files of the node share with each other, and nobody else includes.
 *
 *   node      life cycle, the lock, what peers send, the beat                    node.c
 *   chain     CometBFT's side: blocks, results, what is durable                  chain.c
 *   own       operations that wait, batches under way and what became of them    queue.c, send.c, own.c
 *   acks      other senders' bodies: checked, stored, acknowledged               acks.c
 *   pending   transactions to offer, and the choice for a proposal               pending.c, prepare.c
 *   wants     ordered bodies that lack                                           bodies.c
 *   attest    attestations held by height, contradictions                        attest.c
 *   holds     the checkpoint's state that this node holds, told to the order     holds.c
 *
 * All of it with the node's lock held. */
#ifndef KH_CLUSTER_PARTS_H
#define KH_CLUSTER_PARTS_H
#include <pthread.h>
#include "cluster/node.h"
#include "crypto/digest.h"

#define KH_FIRST_SEQUENCE 1u /* of an incarnation */
#define KH_MS UINT64_C(1000000)

/* ---- own ---- */
typedef struct kh_queued { /* a submission that waits to be sealed */
    struct kh_queued *next;
    uint64_t tag, at_ns; /* monotonic */
    uint32_t n, op_cnt;
    bool signed_section;
    uint8_t bytes[];
} kh_queued;

typedef enum kh_own_state {
    KH_OWN_SEALED = 1, /* to be stored */
    KH_OWN_STORING,
    KH_OWN_STORED, /* to be asked for, once all before it are stored */
    KH_OWN_ASKED,  /* sent; acknowledgements are gathered */
    KH_OWN_CERTIFIED
} kh_own_state;
typedef struct kh_own { /* a batch under way */
    kh_own_state state;
    uint32_t incarnation, set, ack_cnt, tag_cnt;
    uint64_t sequence, token;
    uint64_t expires_ns;          /* that acknowledgements are asked for with */
    uint64_t other_after_ns;      /* another digest may be asked for once block time is above it */
    uint64_t at_ns, wait_ns;      /* monotonic: last put, sent; until it is done again */
    uint64_t since_ns;            /* monotonic: this stage began */
    uint8_t digest[32], *message; /* BODY: expires 8, envelope */
    size_t message_n;
    uint64_t acked[KH_MEMBERS_MAX / 64]; /* by place in the set */
    kh_tx_signature *signatures;         /* ascending */
    uint8_t *certificate;
    size_t certificate_n;
    uint64_t *tags;
    uint32_t *op_cnts;
} kh_own;
typedef struct kh_own_name { /* stored before the start, behind the window */
    uint8_t digest[32];
    uint64_t sequence;
} kh_own_name;
typedef struct kh_sender {
    kh_queued *first, *last;
    size_t waiting_sz;
    kh_own window[KH_NODE_WINDOW]; /* ascending sequences without a gap */
    uint32_t window_cnt;
    uint32_t incarnation; /* of what is in the window */
    kh_own_name *stored;  /* ascending */
    uint32_t stored_cnt, stored_at, stored_cap, stored_incarnation;
    bool lost; /* the store is not what was ordered: an INCARNATION comes first */
    uint64_t incarnation_at_ns;
} kh_sender;
KH_MUST kh_err kh_own_load(kh_node *n);
void kh_own_adopted(kh_node *n); /* the order is another one, further on */
void kh_own_free(kh_node *n);
void kh_own_tick(kh_node *n);
void kh_own_seal_waiting(kh_node *n);
void kh_own_stored(kh_node *n, uint64_t token, kh_err err);
void kh_own_acked(kh_node *n, uint32_t from, const uint8_t *p, size_t sz);
void kh_own_peer_up(kh_node *n, uint32_t peer);
void kh_own_committed(kh_node *n, const kh_order_block *block);
/* kh_own_make seals text as the batch {incarnation, sequence}; own's tags are left alone. */
KH_MUST kh_err kh_own_make(kh_node *n, kh_own *own, uint32_t incarnation, uint64_t sequence, const uint8_t *text, size_t sz);
void kh_own_put(kh_node *n, kh_own *own);
void kh_own_ask_stored(kh_node *n);
void kh_own_drop(kh_own *own);
void kh_own_stage(kh_node *n, kh_own *own, kh_node_stage stage); /* ended: its time is counted, and the next one's begins */
/* kh_own_make_again opens the sender's own wrap and seals the same text anew. */
KH_MUST kh_err kh_own_make_again(kh_node *n, kh_own *own, uint32_t incarnation, uint64_t sequence);
bool kh_own_is_signed(const kh_node *n, const kh_own *own); /* by the key that the register has of this member now */
void kh_own_send_tick(kh_node *n);
/* kh_own_refill takes what was stored before the start into the window. */
void kh_own_refill(kh_node *n);
/* kh_own_gather seals the submissions that wait up to *ret_end, KH_NODE_BATCH_SZ of text at most (or one), as a batch. */
KH_MUST kh_err kh_own_gather(kh_node *n, kh_own *own, const kh_queued **ret_end, uint32_t incarnation, uint64_t sequence);
void kh_own_waiting_drop(kh_sender *s, const kh_queued *end);

/* ---- peers: other members ---- */
typedef struct kh_acked { /* a body of another sender that this node stores or has stored, not ordered yet */
    uint32_t incarnation, size;
    uint64_t sequence, expires_ns, token; /* token: being stored */
    uint8_t digest[32];
} kh_acked;
#define KH_ACKED_MAX 64u          /* of a sender */
#define KH_ACKED_SZ (96u << 20)   /* bytes of a sender */
#define KH_GIVE_BURST (64u << 20) /* bytes that a peer is given at once */
#define KH_GIVE_A_SECOND (64u << 20)
typedef struct kh_peer {
    uint32_t id;
    kh_acked acked[KH_ACKED_MAX];
    uint32_t acked_cnt;
    uint64_t acked_sz;
    int64_t give_budget;
    uint64_t signature_alert_height;
} kh_peer;
kh_peer *kh_node_peer(kh_node *n, uint32_t id); /* NULL: no member, or no memory */
void kh_acks_load(kh_node *n);
void kh_acks_body(kh_node *n, uint32_t from, const uint8_t *p, size_t sz);
void kh_acks_stored(kh_node *n, uint64_t token, kh_err err);
void kh_acks_committed(kh_node *n);

/* ---- pending ---- */
#define KH_PENDING_MAX 4096u
#define KH_PENDING_OF_SENDER 256u
#define KH_BLOCK_BODIES_SZ (64u << 20) /* bytes of bodies that one proposal names at most */
typedef struct kh_pending {
    kh_tx_type type;
    uint32_t sender, incarnation, length, n; /* sender: the hub of an attestation, 0 of a change */
    uint64_t sequence; /* CERTIFICATE; height of an ATTESTATION or HOLDS, number of a CHANGE, incarnation of an INCARNATION */
    uint64_t expires_ns, arrival;
    uint8_t digest[32], *p;
    bool dead; /* found without an effect when it was to be proposed */
} kh_pending;
typedef struct kh_pendings {
    kh_pending *txs;
    uint32_t cnt;
    uint64_t arrivals, urgent;
    uint8_t *proposal; /* bytes of the spans that prepare gave */
    size_t proposal_cap;
    kh_tx_span spans[KH_ORDER_TXS_MAX];
} kh_pendings;
/* kh_pending_add checks a transaction that `from` told (0: this node itself), and keeps what may have an effect. */
void kh_pending_add(kh_node *n, uint32_t from, const uint8_t *tx, size_t sz);
bool kh_pending_may_come(kh_order_code code);
/* kh_pending_is_urgent: somebody waits for it to be ordered. */
static inline bool kh_pending_is_urgent(uint8_t type) { return type != KH_TX_ATTESTATION && type != KH_TX_HOLDS; }
void kh_pending_committed(kh_node *n, const kh_order_block *block);
void kh_pending_drop(kh_node *n, uint32_t i);
void kh_pending_free(kh_node *n);

/* ---- wants ---- */
#define KH_WANTS_MAX (1u << 18)
#define KH_WANTS_ASKED 16u
typedef struct kh_want {
    uint8_t digest[32];
    uint32_t sender, tries, asked; /* asked: the peer; 0: none now */
    uint32_t chain;                /* next with the same bucket, from 1 */
    uint64_t height;               /* its block's; or one above it */
    uint64_t at_ns, token;         /* token: being stored */
    uint64_t signers[KH_MEMBERS_MAX / 64];
} kh_want;
#define KH_WANT_BUCKETS 16384u
typedef struct kh_wants {
    kh_want *of;
    uint32_t cnt, cap, next;               /* next: whose turn it is */
    uint64_t gone;                         /* what the order had given up when it was last looked at */
    uint8_t under_way[KH_WANTS_ASKED][32]; /* those that were asked for; zeros: free */
    uint32_t buckets[KH_WANT_BUCKETS];     /* by digest: place in `of`, from 1 */
} kh_wants;
void kh_wants_add(kh_node *n, const uint8_t digest[32], uint64_t height, uint32_t sender,
                  const uint64_t signers[KH_MEMBERS_MAX / 64]);
void kh_wants_tick(kh_node *n);
void kh_wants_asked_for(kh_node *n, uint32_t from, const uint8_t *p, size_t sz);
void kh_wants_given(kh_node *n, uint32_t from, const uint8_t *p, size_t sz);
void kh_wants_stored(kh_node *n, uint64_t token, kh_err err);
/* kh_bodies_committed says which bodies were ordered, and wants those that lack. */
void kh_bodies_committed(kh_node *n, const kh_order_block *block);

/* ---- attestations ---- */
#define KH_HELD_MAX 65536u
#define KH_HELD_AHEAD 64u /* heights above the own that are held */
#define KH_HASHES_MAX 65536u
typedef struct kh_held { /* of one height and flags: of the height, or of the checkpoint there; one attestation a hub */
    uint64_t height;
    uint32_t flags; /* of its attestations */
    kh_attestation *of;
    uint32_t cnt;
    bool attested;
    uint64_t differs_at; /* 0: none do; else the block at whose end those who differ are named, if no quorum spoke before */
    kh_attestation root; /* attested: what a quorum said */
} kh_held;
typedef struct kh_attests {
    kh_held *held; /* ascending heights, a checkpoint behind its height */
    uint32_t cnt, differ_cnt;
    uint64_t upto; /* blocks up to this one are committed */
    struct kh_hash_of {
        uint64_t height;
        uint8_t app_hash[32];
    } * hashes; /* of the newest blocks that changed it, ascending */
    uint32_t hash_cnt;
    struct kh_named {
        uint32_t hub;
        uint64_t height;
    } named[256]; /* the newest alerts: one a hub and height */
    uint32_t named_cnt;
    struct kh_own_word {
        uint64_t height;
        uint32_t flags;
    } own[16]; /* own attestations that were not seen ordered, the newest; height 0: none */
    uint64_t own_at_ns;
} kh_attests;
void kh_attests_take(kh_node *n, uint32_t from, const uint8_t *p, size_t sz);
void kh_attests_committed(kh_node *n, const kh_order_block *block);
void kh_attests_tick(kh_node *n);
void kh_attests_free(kh_node *n);
kh_held *kh_attests_at(const kh_attests *t, uint64_t height, uint32_t flags); /* NULL: nothing is held of it */
uint32_t kh_attests_epoch(kh_node *n, uint64_t height);                       /* which statements of it name */
/* kh_words_contradict: the order has another statement of this hub, about the same. */
bool kh_words_contradict(kh_node *n, const kh_attestation *a);
/* kh_attests_hash notes what this node's own app hash is from this height on. */
void kh_attests_hash(kh_node *n, uint64_t height, const uint8_t app_hash[32]);
/* kh_attests_order notes those of the order as of now, in place of what was noted. */
void kh_attests_order(kh_node *n);

/* ---- holds ---- */
typedef struct kh_held_state {
    uint64_t height; /* 0: nothing is to be told */
    uint64_t at_ns;  /* monotonic: it was last told; 0: not yet */
    uint8_t tx[KH_HOLDS_SZ];
} kh_held_state;
void kh_holds_tick(kh_node *n);

/* ---- chain ---- */
typedef struct kh_result { /* of a block above the height that was durable when the newest began: CometBFT may ask for it again */
    struct kh_result *next;
    uint64_t height;
    uint8_t app_hash[32];
    uint32_t tx_cnt, validator_cnt, next_version;
    uint16_t *codes;
    uint8_t (*digests)[32];
    struct kh_order_validator *validators;
} kh_result;
typedef struct kh_chain {
    uint64_t kept_height;
    uint8_t kept_hash[32];
    kh_result *first, *last;
    kh_order_block block; /* finalized; open: not committed yet */
    kh_order_block repeated;
    bool open, again; /* again: the last finalize repeated a result */
    uint8_t *bytes;   /* copies of that block's transactions */
    kh_tx_span *txs;
} kh_chain;
void kh_chain_free(kh_node *n);

/* ---- node ---- */
typedef struct kh_done {
    uint64_t token;
    kh_err err;
} kh_done;
enum { KH_TOKEN_OWN = 1, KH_TOKEN_ACK = 2, KH_TOKEN_WANT = 3 }; /* in a token's two lowest bits */
struct kh_node {
    pthread_mutex_t lock, done_lock;
    uint32_t depth;
    kh_node_options options;
    const kh_node_effects *fx;
    kh_order *order;
    kh_suite suite;
    uint8_t chain_id[32];
    uint64_t next_token, last_tick_ns;
    uint64_t begins, adopted; /* height of the genesis' order; of the one that was given instead, 0: none */
    kh_done *done;            /* under done_lock */
    uint32_t done_cnt, done_cap;
    /* what the order says, looked up anew after each block */
    kh_order_validators set;
    kh_order_hubs hubs;
    int32_t place;                                /* this node's in the set; -1: none */
    uint32_t peers[KH_MEMBERS_MAX], peer_cnt;     /* every member with a node, but this one */
    uint32_t storers[KH_MEMBERS_MAX], storer_cnt; /* of those: validators and hubs */
    kh_sender own;
    kh_peer **members;
    uint32_t member_cnt;
    kh_pendings pending;
    kh_wants wants;
    kh_attests attests;
    kh_held_state holds;
    kh_chain chain;
    kh_node_counts counts;
};
void kh_node_enter(kh_node *n);
void kh_node_leave(kh_node *n); /* with what was stored meanwhile */
uint64_t kh_node_token(kh_node *n, uint32_t kind);
void kh_node_tell(kh_node *n, const uint32_t *to, uint32_t cnt, uint8_t type, const uint8_t *p, size_t sz);
void kh_node_look(kh_node *n);
/* kh_node_offer puts an own transaction among the pending and tells the validators. */
void kh_node_offer(kh_node *n, const uint8_t *tx, size_t sz);
void kh_node_bad_signature(kh_node *n, uint32_t member);
static inline uint64_t kh_node_monotonic(kh_node *n) { return n->fx->monotonic(n->fx->self); }
static inline bool kh_node_is_validator(const kh_node *n) { return n->place >= 0; }
static inline bool kh_bit(const uint64_t *bits, uint32_t i) { return (bits[i / 64] >> (i % 64) & 1) != 0; }
static inline void kh_bit_set(uint64_t *bits, uint32_t i) { bits[i / 64] |= UINT64_C(1) << (i % 64); }
#endif
