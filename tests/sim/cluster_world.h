/* cluster_world: a whole cluster on one thread: node cores, a network, disks and an agreement that are made of a seed.
 *
 * network    every message waits 1-20 ms (some are lost), none crosses a partition
 * disk       a body is durable when its turn is over, in the order of puts; a crash forgets what was not
 * agreement  proposers in turn; a block is decided when more than two thirds of the validators that are up, on one side and at
 * the height before accept it; every node applies decided blocks at its own pace, also after a restart, from what it saved
 * clients    of each sender: numbered records; after a crash a client sends again what was neither answered nor stored
 * Liars      a node whose messages, disk or proposals lie (cluster_liars.c); its core is an honest one. */
#ifndef CLUSTER_WORLD_H
#define CLUSTER_WORLD_H
#include <stdio.h>
#include <stdlib.h>
#include "cluster/node.h"
#include "crypto/digest.h"

#define NODES_MAX 16u
#define MS UINT64_C(1000000)
#define RECORD_SZ 32u

enum lie { /* bits */
           LIE_EQUIVOCATE = 1,
           LIE_WITHHOLD = 2,
           LIE_FORGE = 4,
           LIE_REPLAY = 8,
           LIE_JUMP = 16,
           LIE_GARBAGE = 32,
           LIE_PROPOSE = 64,
           LIE_NOT_STORED = 128,
           LIE_HUB_POSTED = 256,
           LIE_HUB_HASH = 512,
           LIE_HUB_TWO_STORIES = 1024,
           LIE_SILENT = 2048,
           LIE_HUB_CHECKPOINT = 4096, /* of the state, and of nothing else */
           LIE_HOLDS = 16384,         /* states that it does not hold, in any name */
           LIE_HUB_LOSSES = 8192      /* that it counted others than are ordered, and whatever it likes with them */
};

typedef struct body {
    kh_body_name name;
    uint8_t *p;
    bool durable;
} body;
typedef struct alert_seen {
    char word[32];
    uint32_t member;
    uint64_t height;
} alert_seen;

typedef struct world world;
typedef struct sim_node {
    world *w;
    uint32_t id, index, lies, life;
    bool hub, votes, sends, expelled;
    kh_signer *sender, *ack, *attest;
    kh_box *box;
    kh_node *node; /* NULL: down */
    kh_node_effects fx;
    body *bodies;
    uint32_t body_cnt, body_cap;
    uint64_t disk_free_at;
    uint8_t *saved;
    size_t saved_n;
    uint64_t saved_height, height, apply_at, up_at;
    uint32_t side;
    /* client */
    uint64_t made, planned, next_at, answered; /* records: made so far, to be made */
    uint8_t *is_answered;
    bool wiped, went_back;
    /* execution at a hub */
    uint64_t executed, last, checkpoint, checkpoint_at_ns; /* last: the newest height with batches; checkpoint: being made */
    uint8_t chain[32];
    /* states of checkpoints, and the bodies that go behind them */
    uint64_t *states, fetches, fetched_at_ns, held, gone; /* held, gone: as its order says */
    uint32_t state_cnt, let_go;
    /* what it said */
    alert_seen *alerts;
    uint32_t alert_cnt;
    uint64_t *attested;
    uint32_t attested_cnt, checkpoint_cnt;
    /* lying */
    uint8_t *recorded[64];
    size_t recorded_n[64];
    uint8_t recorded_type[64];
    uint32_t recorded_cnt;
    struct twin { /* another envelope at the same sequence */
        uint64_t sequence, expires_ns;
        uint8_t digest[32], *p;
        size_t n;
        kh_tx_signature signatures[NODES_MAX];
        uint32_t signature_cnt, asked;
    } twins[64];
    uint32_t twin_cnt;
} sim_node;

typedef struct decided { /* a block as agreed */
    uint64_t time_ns;
    uint8_t **txs;
    size_t *tx_n;
    uint32_t tx_cnt;
    bool known; /* results, of the first honest node that applied it */
    uint8_t app_hash[32], codes[32];
    uint32_t item_cnt;
    kh_order_item *items;
    uint64_t *lost_at; /* of each: the block that calls it lost; 0: it is not */
} decided;

typedef struct event {
    uint64_t at, order;
    enum { EVENT_MESSAGE, EVENT_STORED } kind;
    uint32_t from, to, life;
    uint8_t type;
    uint8_t *p;
    size_t n;
    uint64_t token;
    uint8_t digest[32];
    bool pretend;
} event;

typedef struct scenario {
    const char *name;
    uint32_t banks, hubs, silent_votes; /* silent_votes: banks at the end that do not vote to begin with */
    uint32_t lies[NODES_MAX];           /* by index: banks, then hubs */
    uint32_t records;                   /* of each sender */
    uint32_t drop_percent;
    uint64_t expires_ns; /* 0: the node's own */
    bool crashes, partitions, wipe, epochs, members, expels, loses;
    uint32_t big_percent; /* of submissions */
    uint32_t holders;     /* so many of the first banks hold states of checkpoints, and bodies go a second later; 0: none do */
} scenario;

struct world {
    const scenario *s;
    uint64_t seed, random, now, event_order;
    sim_node nodes[NODES_MAX];
    uint32_t node_cnt, validators; /* validators: how many vote now */
    kh_genesis genesis;
    kh_member members[NODES_MAX];
    uint8_t *genesis_bytes, chain_id[32];
    size_t genesis_n;
    kh_box *group, *group_next;
    kh_signer *officer;
    event *events; /* a heap */
    uint32_t event_cnt, event_cap;
    decided *blocks; /* of height i + 1 */
    uint32_t block_cnt, block_cap, round;
    uint64_t next_block_at, trouble_until;
    uint64_t expelled_at; /* the block that expels; 0: none yet */
    body lost;            /* a copy of the one that everybody lost, for the test alone; p NULL: none yet */
    uint64_t lost_height; /* its block */
    body *archive;        /* copies of those that went, for the test alone */
    uint32_t archive_cnt;
    const char *wrong; /* the first thing that was */
    char detail[256];
};

/* ---- world ---- */
void world_start(world *w, const scenario *s, uint64_t seed);
void world_end(world *w);
uint64_t world_random(world *w, uint64_t below);
void world_wrong(world *w, const char *what, const sim_node *n, uint64_t at);
void world_step(world *w); /* 10 ms */
void world_send(world *w, const sim_node *from, uint32_t to, uint8_t type, const uint8_t *p, size_t n);
sim_node *world_node(world *w, uint32_t id);
bool sim_honest(const sim_node *n);
void sim_start(sim_node *n);
void sim_crash(sim_node *n);
body *sim_body(sim_node *n, const uint8_t digest[32]);
kh_err sim_fill(void *self, void *p, size_t n);
/* sim_records calls each with the numbers of the records in an envelope. */
bool sim_records(const uint8_t *p, size_t n, const kh_box *box, bool own, void (*each)(void *ctx, uint64_t number), void *ctx);
size_t sim_record(uint8_t *buf, uint32_t sender, uint64_t number);

/* ---- agreement, clients ---- */
void world_agree(world *w);
void world_apply(world *w);
void world_clients(world *w);
bool world_all_answered(const world *w);
void sim_decided(sim_node *n, const kh_order_block *b);
void sim_execute(sim_node *n);
bool sim_is_lost(const decided *d, uint32_t item, uint64_t upto);
/* sim_checkpoint: what an honest hub posts of the checkpoint at a height. */
void sim_checkpoint(const world *w, uint64_t height, uint8_t ret[32]);

/* ---- states ---- */
void sim_hold(sim_node *n);
void sim_wants(sim_node *n, const uint8_t digest[32]); /* it asks for it */
void world_check_holds(world *w);                      /* at the end */
size_t lie_holds(sim_node *n, uint8_t tx[KH_HOLDS_SZ]);

/* ---- liars ---- */
/* lie_send: what a liar does instead of sending; true: done. */
bool lie_send(sim_node *n, uint32_t to, uint8_t type, const uint8_t *p, size_t sz);
bool lie_received(sim_node *n, uint32_t from, uint8_t type, const uint8_t *p, size_t sz);
void lie_tick(sim_node *n);
uint32_t lie_propose(sim_node *n, uint64_t time_ns, kh_tx_span *spans, uint32_t max);
void lie_free(sim_node *n);
#endif
