/* cluster: kanhed as a node of a cluster: everything behind the group "cluster" of its configuration.
 *
 *   bodies, kept order    DATA/bodies, DATA/order; opened and read first
 *   node                  between CometBFT, the peers and the engine (cluster/node.h)
 *   hub, or view          as the register's role of this member says: executes, or knows its own; both drive the store
 *   link                  peers' messages
 *   abci                  CometBFT's calls; last, so that no block comes before all stands
 *   states                sealed states of checkpoints (cluster/states.h), a thread
 *   beat                  a thread: each 10 ms kh_node_tick, each 100 ms kh_view_tick; saves the order where blocks came, at most
 *                         once a second and at the latest after KH_CLUSTER_SAVE_BLOCKS
 *
 * A node follows until the order comes to the block by which it is a member with its keys: one that joined later, or has other
 * keys than at the beginning, and starts with an empty directory. It keeps blocks and signs, executes and answers nothing; then
 * kanhed ends, and is itself from the next start on. A hub without a state to execute on waits for its peers' in the same way.
 *
 * Stopped in reverse. A block that cannot be kept ends the answers to CometBFT, which then ends itself: nothing is voted for that
 * would not be there after a restart. */
#ifndef KH_MEMBER_CLUSTER_H
#define KH_MEMBER_CLUSTER_H
#include "member/keys.h"
#include "process/config.h"
#include "process/logging.h"
#include "cluster/changes.h"
#include "hub/hub.h"
#include "states/states.h"
#include "view/view.h"
#include "link/link.h"

#define KH_CLUSTER_SAVE_BLOCKS 256u

typedef struct kh_cluster kh_cluster;
typedef struct kh_cluster_options {
    const kh_config *config; /* .cluster, .data */
    const kh_genesis *genesis;
    kh_cluster_keys *keys; /* what comes later is added */
    const char *link_key;  /* the file to read (app/held.h) */
    kh_store *store;
    const kh_clock *clock;
    const kh_entropy *entropy;
    kh_logging *logging;
} kh_cluster_options;
/* kh_cluster_start: what options point to stays until stop. False with a sentence in why. */
KH_MUST bool kh_cluster_start(const kh_cluster_options *options, char *why, size_t cap, kh_cluster **ret);
/* kh_cluster_end: whoever waits for the cluster is told that nothing is known, and nothing more is submitted: where stopping
   would wait for blocks that do not come. Once; from any thread. */
void kh_cluster_end(kh_cluster *c);
void kh_cluster_stop(kh_cluster *c); /* NULL: nothing */
/* kh_cluster_renew reads links.crl again and takes the peers that `now` names: new ones, at other addresses, not any more. False
   with a sentence in why: what could be done is done. From one thread, while it runs. */
KH_MUST bool kh_cluster_renew(kh_cluster *c, const kh_config *now, char *why, size_t cap);

/* kh_cluster_take_joined finishes what a hub that took its peers' state has begun (cluster/join.h): before the store is opened.
 */
KH_MUST bool kh_cluster_take_joined(const char *dir, kh_logging *logging, char *why, size_t cap);

/* kh_cluster_say writes a sentence; false. */
bool kh_cluster_say(char *why, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));

kh_node *kh_cluster_node(kh_cluster *c);
kh_kept *kh_cluster_kept(kh_cluster *c);
kh_view *kh_cluster_view(kh_cluster *c); /* there until kh_cluster_stop; NULL: this is no bank, or ended */
kh_changes *kh_cluster_officers(kh_cluster *c);
const kh_config *kh_cluster_config(const kh_cluster *c);
kh_logging *kh_cluster_logging(const kh_cluster *c);
/* kh_cluster_changes: heights of blocks with a change by officers, ascending; returns how many, at most max. */
uint32_t kh_cluster_changes(kh_cluster *c, uint64_t *ret, uint32_t max);
/* kh_cluster_rekeyed: a member whose sender's or box key officers have changed, each once; 0: none more. */
uint32_t kh_cluster_rekeyed(kh_cluster *c);
bool kh_cluster_follows(const kh_cluster *c); /* it is no member yet */
bool kh_cluster_waits(const kh_cluster *c);   /* it is a hub, and its store holds nothing that may be told: it follows */
/* kh_cluster_follows_why: what keeps it from being one, a sentence; "" where it does not follow. */
void kh_cluster_follows_why(kh_cluster *c, char *ret, size_t cap);
bool kh_cluster_joined(const kh_cluster *c); /* now it is: time to start again */
bool kh_cluster_sound(const kh_cluster *c);  /* false: a block could not be kept, nothing goes on */

typedef struct kh_cluster_counts {
    kh_node_counts node;
    kh_link_counts link;
    uint64_t kept_height, executed_height, attested_height, checkpoint_height, wanted_height, held_height, bodies_gone,
        body_bytes, alerts, peers, peers_up;
    kh_states_counts states;
    kh_view_counts view; /* of a bank */
    bool is_hub, is_bank, follows;
} kh_cluster_counts;
void kh_cluster_count(kh_cluster *c, kh_cluster_counts *ret);
#endif
