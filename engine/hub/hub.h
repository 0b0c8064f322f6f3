/* hub: execution at a hub: opens what was ordered, gives it to the store block by block, makes outputs, attests.
 *
 * One thread of its own: takes committed blocks in order (those above what the store has executed), waits for bodies that lack,
 * opens each batch with the group's box, checks who speaks for whom, and executes one store entry a block that has something to
 * execute. The entry begins with KH_OP_BLOCK {height}; an operation that its sender may not speak for becomes KH_OP_REFUSED
 * {sender, its sequence, code} (of a bundle's: the party that may sign it, or nobody), which the ledger answers with that code;
 * an UNOPENABLE or BODY_LOST batch is one such receipt. A store without an entry begins with the members, rules and rates of the
 * genesis. The store's log is the hub's own record of what it executed: a restart goes on behind its newest KH_OP_BLOCK. The
 * hub's own submissions (through kh_store's driver) are answered when q attestations of their height are held. */
#ifndef KH_HUB_H
#define KH_HUB_H
#include "kept/kept.h"
#include "cluster/node.h"
#include "store/store.h"

/* The first height executed at or above each multiple of this is a checkpoint: the hub attests the whole state as of it, as soon
 * as its digest is made beside execution (kh_store_checkpoint_at). */
#define KH_CHECKPOINT_BLOCKS 10000u

typedef struct kh_hub kh_hub;
typedef struct kh_hub_options {
    kh_node *node;
    kh_kept *kept;
    kh_store *store; /* opened with options.driven, for writing */
    const kh_disk *disk;
    const char *dir; /* DIR/outputs: each bank's packages, until the bank has acknowledged them */
    const kh_entropy *entropy;
    const kh_genesis *genesis;
    const kh_box *const *groups; /* the group's private keys, by epoch from 1; NULL: not had */
    const uint8_t (*group_secrets)[KH_SECRET_SZ];
    uint32_t epoch_cnt;
    /* group_wanted, from the hub's thread: is the key of an epoch that groups lack there by now, in groups and group_secrets?
       NULL: never. Execution waits for it. */
    bool (*group_wanted)(void *ctx, uint32_t epoch);
    /* body_lacks, from the hub's thread, again and again while execution waits for an ordered body that is not here; NULL: nobody
     * asks. */
    void (*body_lacks)(void *ctx, const uint8_t digest[32], uint32_t sender, uint64_t height);
    uint64_t checkpoint_blocks; /* 0: KH_CHECKPOINT_BLOCKS, and nothing else where there are other hubs that must say the same */
    uint64_t posts_sz;          /* bytes of DIR/outputs/posts from which on what no bank lacks goes; 0: 64 MiB */
    uint64_t packages_sz;       /* of a bank's DIR/outputs/ID.packages, from which on what it acknowledged goes; 0: 32 MiB */
    uint64_t patience_ns;       /* how long one that began with a state waits for words of other hubs; 0: five minutes */
    /* alert: "EXECUTION_STOPPED", "EXECUTION_GOES_BACK", "EXECUTION_DIFFERS", "EXECUTION_DOUBTED", "LOST_BEFORE_STATE",
     * "CHECKPOINT_FAILED", "BODY_GIVEN_UP" */
    void (*alert)(void *ctx, const char *word, uint32_t member, uint64_t height);
    void (*send)(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n);
    void *ctx;
} kh_hub_options;
/* kh_hub_start: KH_E_VERSION: nothing was executed yet, and the store holds another state than the genesis' checkpoint;
   KH_E_FORMAT: that state, and the genesis' opening is not its (hub/opening.h); KH_E_NOT_FOUND: the group's first key lacks,
   which that is compared by. KH_E_CLOSED: it executed something else before than a quorum of hubs attested ("EXECUTION_DIFFERS"):
   its state is not theirs.
 */
KH_MUST kh_err kh_hub_start(const kh_hub_options *options, kh_hub **ret);
/* kh_hub_end: nothing more is executed; submissions that have no answer yet are told that nothing is known, new ones are
   KH_E_CLOSED. kh_hub_stop does it too. */
void kh_hub_end(kh_hub *hub);
void kh_hub_stop(kh_hub *hub);
void kh_hub_decided(kh_hub *hub, uint64_t height); /* a block is kept in memory or on disk: look for work */
/* kh_hub_ordered: kh_node_effects.ordered, which comes before the block is decided. */
void kh_hub_ordered(kh_hub *hub, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                    uint32_t n);
void kh_hub_attested(kh_hub *hub, const kh_attestation *attestation);   /* answers what waited for it */
void kh_hub_outputs_wanted(kh_hub *hub, uint32_t bank, uint64_t above); /* sends packages again, and what is attested of them */
const kh_store_driver *kh_hub_driver(kh_hub *hub);                      /* which drives the store while the hub runs */
uint64_t kh_hub_executed_height(kh_hub *hub);
/* kh_hub_spares: the order has given up bodies up to this height. Returns up to which this hub needs them no more, whatever
   happens to its machine: executed, and what it made of them durable; makes it so meanwhile, so ask again. */
uint64_t kh_hub_spares(kh_hub *hub, uint64_t height);

/* ---- the state of a checkpoint, for who begins with it (docs/CLUSTER.md); from any thread, beside execution ---- */
/* kh_hub_state_is: has this hub posted that of a checkpoint at height? *ret_epoch: of the height. KH_E_NOT_FOUND: not (yet). */
KH_MUST kh_err kh_hub_state_is(kh_hub *hub, uint64_t height, const uint8_t posted[32], uint32_t *ret_epoch);
/* kh_hub_state_write writes it as a stream; the caller's thread waits, execution does not. KH_E_NOT_FOUND: see above;
   KH_E_DAMAGED: what a bank was given by then is here no more; what the sink says ends it. */
KH_MUST kh_err kh_hub_state_write(kh_hub *hub, uint64_t height, const uint8_t posted[32], const kh_checkpoint_sink *to);
#endif
