/* parts: what the files of a cluster's node share with each other, and nobody else includes.
 *
 *   cluster           life cycle                                        cluster.c
 *   self              who this node is, and its keys                    self.c
 *   links             to other nodes                                    links.c
 *   beat              ticks, saving                                     beat.c
 *   bodies            which are kept, wanted, let go                    bodies.c
 *   effects           what the node asks of bodies, link, hub, view     effects.c
 *   abci              what CometBFT asks                                abci.c
 *   sync              snapshots for others, and one for itself          sync.c
 *   states            sealed states of checkpoints                      states.c
 *   hub               a hub's execution                                 hub.c
 *   make, join        a hub makes one, or begins with one               make.c, join.c */
#ifndef KH_MEMBER_PARTS_H
#define KH_MEMBER_PARTS_H
#include <pthread.h>
#include <stdatomic.h>
#include "abci/abci.h"
#include "member/cluster.h"
#include "cluster/changes.h"
#include "kept/register.h"
#include "kept/snapshots.h"
#include "states/states.h"

struct kh_cluster {
    kh_cluster_options options;
    uint8_t *genesis;
    size_t genesis_sz;
    kh_member self;     /* as of the start */
    bool follows;       /* no member yet, or not with these keys: keeps the order, and nothing else */
    bool waits;         /* a hub without a state to execute on: it follows until it has its peers' */
    atomic_bool joined; /* the order came to where it is one */
    pthread_mutex_t follows_lock;
    char follows_why[400];    /* as of the newest block; under follows_lock */
    uint64_t follows_told_ns; /* monotonic; of the thread that decides blocks */
    bool follows_told;        /* since it has the newest blocks; the same thread's */
    kh_disk disk, view_disk;
    bool has_disk, has_view_disk;
    kh_bodies *bodies;
    kh_kept *kept;
    kh_node *node;
    kh_node_effects effects;
    /* Set before link and abci run; taken away with the node's lock held, which is held where they are used. */
    kh_hub *hub;
    kh_view *view;
    kh_register *members; /* where there is no hub */
    kh_changes *officers; /* what they signed, on its way */
    struct {              /* the same, taken away */
        kh_hub *hub;
        kh_view *view;
        kh_register *members;
    } ended;
    _Atomic(kh_link *) link; /* while it runs; effects, hub and view send by it, and it begins after them and ends before some */
    pthread_mutex_t peers_lock;
    kh_config_member peers[KH_CONFIG_PEERS_MAX]; /* as the configuration named them last; under peers_lock */
    uint32_t peer_cnt;
    kh_abci_server *abci;
    /* CometBFT's: of its consensus connection */
    kh_span *txs; /* answers */
    kh_abci_validator *validators;
    kh_tx_span *spans; /* requests */
    uint32_t span_cap;
    uint64_t seen_height;  /* a proposal of this height was made or judged */
    uint32_t version_said; /* of the app version ahead, last logged; UINT32_MAX: the next block is of one that is not known */
    pthread_mutex_t calls;
    kh_snapshots *snapshots;
    struct kh_cluster_sync { /* what CometBFT's snapshot connection is answered with, and what it brings */
        kh_snapshot listed[KH_SNAPSHOTS_MAX];
        kh_abci_snapshot shown[KH_SNAPSHOTS_MAX];
        uint8_t *chunk;
        kh_taking *taking;
        uint8_t app_hash[32]; /* that it must have */
        uint32_t refetch;
        kh_span sender;
        char sender_text[80];
    } sync;
    pthread_mutex_t saving; /* over kept's saving; taken before the node's lock */
    pthread_mutex_t due_lock;
    uint8_t *due; /* under due_lock: the order of a block that a snapshot is due of, not written yet */
    size_t due_n;
    uint64_t due_height;
    kh_states *states;
    atomic_ullong state_asked; /* the height of a state that is wanted whatever the order wants; 0: none */
    pthread_t states_thread;
    bool states_run, makes, joins;
    pthread_t maker, joiner;
    uint64_t state_told, own_height, own_since_ns; /* that thread's; told: to the order; own: that this hub makes, since when */
    /* the beat */
    pthread_t beat;
    bool beats, ending; /* ending: under beat_lock */
    pthread_mutex_t beat_lock;
    pthread_cond_t beat_end;
    uint64_t saved_height, saved_at_ns;
    atomic_bool entries; /* a block with entries was decided since the last save */
    atomic_bool failed;
    pthread_mutex_t changes_lock;
    uint64_t *changes; /* heights, ascending */
    uint32_t change_cnt, change_cap;
    uint32_t *rekeyed; /* members with other keys, not asked for yet; under changes_lock */
    uint32_t rekeyed_cnt;
    atomic_ullong alerts;
    uint32_t group_told; /* the epoch whose key was said to be missing; the hub's thread */
    struct {
        uint8_t digest[32];
        uint64_t since_ns; /* on the monotonic clock: when it began to lack, then when that was said last */
        bool told;
    } body_lacks;         /* the body that execution waits for; the hub's thread */
    uint64_t bodies_gone; /* bodies of blocks up to this height were let go; the beat */
};

/* kh_cluster_know_self: true with `follows` set, and why it is so in why: it is not this member yet. */
KH_MUST bool kh_cluster_know_self(kh_cluster *c, char *why, size_t cap);
/* kh_cluster_look_again: after each block, where it follows. A node that has the newest blocks and is no member all the same says
   so, in its log, every few minutes: it may never be one. */
void kh_cluster_look_again(kh_cluster *c);
void kh_cluster_note_why(kh_cluster *c, const char *why);
/* kh_cluster_links begins the link, with the peers that the configuration names; kh_cluster_unlink ends it. */
KH_MUST bool kh_cluster_links(kh_cluster *c, char *why, size_t cap);
void kh_cluster_unlink(kh_cluster *c);
void kh_cluster_count_peers(kh_cluster *c, kh_cluster_counts *ret);
bool kh_cluster_pauses(kh_cluster *c, uint32_t ms); /* false: at once where the beat is to end */
KH_MUST bool kh_cluster_beat(kh_cluster *c, char *why, size_t cap);
void kh_cluster_tell_end(kh_cluster *c); /* nothing waits from now on; the threads end */
void kh_cluster_still(kh_cluster *c);    /* ends the beat */
/* kh_cluster_states_open: before whatever makes or reads states; _run: its thread; _end: that ends. */
KH_MUST bool kh_cluster_states_open(kh_cluster *c, char *why, size_t cap);
KH_MUST bool kh_cluster_states_run(kh_cluster *c, char *why, size_t cap);
void kh_cluster_states_end(kh_cluster *c);
/* kh_cluster_make_run: the thread of a hub that makes states; kh_cluster_join_run: of one that waits for one. _end: after the
   beat was told to end. */
KH_MUST bool kh_cluster_make_run(kh_cluster *c, char *why, size_t cap);
void kh_cluster_make_end(kh_cluster *c);
/* kh_cluster_group_at: the hubs' epoch and group key as of a height, by the kept order. kh_cluster_room: bytes free where the
   data directory is. */
KH_MUST kh_err kh_cluster_group_at(kh_cluster *c, uint64_t height, uint32_t *ret_epoch, uint8_t ret[KH_PUBLIC_SZ]);
uint64_t kh_cluster_room(void *ctx);
KH_MUST bool kh_cluster_join_run(kh_cluster *c, char *why, size_t cap);
void kh_cluster_join_end(kh_cluster *c);
void kh_cluster_wait(kh_cluster *c, const char *why); /* from the start on: it waits for a state */
/* kh_cluster_join_upto asks peers, for some seconds, for the newest height that they have a state of; 0: none has any. */
uint64_t kh_cluster_join_upto(kh_cluster *c);
/* kh_cluster_hub starts execution, or (true, too) has this hub wait. */
KH_MUST bool kh_cluster_hub(kh_cluster *c, char *why, size_t cap);
/* kh_cluster_group_wanted is kh_hub_options.group_wanted. */
bool kh_cluster_group_wanted(void *ctx, uint32_t epoch);
void kh_cluster_yields(void); /* this thread: lowest priority */
void kh_cluster_save(kh_cluster *c, uint64_t now);
/* kh_cluster_note takes down a block's height where it has a change by officers. */
KH_MUST kh_err kh_cluster_note(kh_cluster *c, uint64_t height, const uint8_t *types, const uint16_t *codes, uint32_t n);
/* kh_cluster_note_keys takes down whose keys a kept block of officers' changes has changed. */
void kh_cluster_note_keys(kh_cluster *c, uint64_t height);
void kh_cluster_effects_fill(kh_cluster *c);
/* kh_cluster_fail: once; nothing more is answered to CometBFT. */
void kh_cluster_fail(kh_cluster *c, const char *what, kh_err err);
void kh_cluster_alert(void *ctx, const char *word, uint32_t member, uint64_t height);
/* kh_cluster_body_lacks says so after 10 seconds with one body, then every 10 minutes. The hub's thread. */
void kh_cluster_body_lacks(void *ctx, const uint8_t digest[32], uint32_t sender, uint64_t height);
/* kh_cluster_bodies_mark tells the store of bodies, before the node begins, which are ordered, by the kept blocks, and notes
   their changes; _want asks for those that lack and were not given up; _tick, with each beat, lets those go that the order gave
   up. */
KH_MUST bool kh_cluster_bodies_mark(kh_cluster *c, char *why, size_t cap);
KH_MUST bool kh_cluster_bodies_want(kh_cluster *c, char *why, size_t cap);
void kh_cluster_bodies_tick(kh_cluster *c);
void kh_cluster_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n);
/* kh_cluster_snapshot looks, after each block, whether a snapshot is due, and kh_cluster_snapshot_write writes it: before the
   order is saved, so that CometBFT gives the block again where a crash came between. */
void kh_cluster_snapshot(kh_cluster *c);
void kh_cluster_snapshot_write(kh_cluster *c);
/* kh_cluster_snapshot_call: CometBFT's four calls of state sync. */
KH_MUST bool kh_cluster_snapshot_call(kh_cluster *c, const kh_abci_request *request, kh_abci_answer *ret);
bool kh_cluster_call(void *self, const kh_abci_request *request, kh_abci_answer *ret);
void kh_cluster_lost(void *self);
#endif
