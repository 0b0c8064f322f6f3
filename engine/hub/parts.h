/* parts: what the files of the hub share with each other, and nobody else includes.
 *
 *   hub          the thread: blocks in order, runs under way, restarts          hub.c
 *   feed         a block's batches opened, judged, laid into entries (runs)     feed.c, judge.c
 *   lost         what was ordered lost, and the way back where it was executed   lost.c
 *   run          one entry of the store: executed, or read from its journal     run.c
 *   outputs      outcomes to outputs, the block's tree, its attestation         outputs.c
 *   opening      what the banks' views begin with                               opening.c
 *   banks        each bank's packages on disk, and what it asks for             banks.c
 *   given        what came with a state, and was not executed here              given.c
 *   checkpoints  the state as of every so many heights, attested                checkpoint.c
 *   state        such a state written for others                                state.c
 *   driver       the hub's own submissions and their answers                    driver.c */
#ifndef KH_HUB_PARTS_H
#define KH_HUB_PARTS_H
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "kept/heights.h"
#include "hub/hub.h"
#include "states/state_form.h"

/* An entry takes operations until it has this many bytes or operations; all hubs cut alike (docs/CLUSTER.md). */
#define KH_RUN_SZ (256u << 10)
#define KH_RUN_OPS 8192u
#define KH_BUNDLE_MAX_SZ (2u << 20)    /* of a signed bundle's frames: it stands in one entry */
#define KH_SENDER_TEXT_MAX (16u << 20) /* of one sender in one block; a batch beyond is refused whole */
#define KH_RUNS_MAX 16u                /* entries under way */
#define KH_NO_BATCH UINT32_MAX
#define KH_LOSSES_UNSAID UINT32_MAX /* in it: executed without a loss that is known by now; it is executed anew */

/* ---- a block under way ---- */
typedef struct kh_work_batch {
    uint8_t digest[32];
    bool own; /* of this hub's clients, who wait for answers */
} kh_work_batch;
typedef struct kh_work {
    uint32_t refs; /* who makes it, and each of its runs */
    uint64_t height, time_ns;
    uint8_t app_hash[32];
    uint32_t epoch, epoch_before, member_cnt, batch_cnt, batch_cap;
    uint64_t before_until; /* the height until which batches of the epoch before are good */
    kh_kept_member *members;
    uint32_t *spent; /* bytes of text, by member */
    kh_work_batch *batches;
} kh_work;
const kh_kept_member *kh_work_member(const kh_work *w, uint32_t id); /* NULL: none */
KH_MUST kh_err kh_work_new(kh_hub *h, const kh_kept_block *block, kh_work **ret);
void kh_work_drop(kh_work *w);

/* ---- a run: one entry ---- */
typedef struct kh_origin { /* where an operation of the entry came from */
    uint32_t batch;        /* in kh_work.batches; KH_NO_BATCH: execution's own, or the officers' */
    uint32_t op_index, frame_at;
    uint8_t digest[32]; /* SHA-256 of the frame as it was sent; zeros where the batch as a whole is refused */
} kh_origin;
typedef struct kh_run {
    kh_hub *hub;
    kh_work *work;
    bool last; /* of its block */
    bool recorded;
    uint32_t part, op_cnt, op_cap;
    uint8_t *ops;
    size_t ops_sz, ops_cap;
    kh_origin *origins;
    /* what came of it */
    uint8_t *results; /* {op index 4, is notice 4, bytes 4, 0 4} and the bytes of the receipt, filled in, or notice */
    size_t results_sz, results_cap;
    uint64_t number;
    uint8_t chain[32];
    bool failed;
    atomic_bool done;
} kh_run;
kh_run *kh_run_new(kh_hub *h, kh_work *w, uint32_t part);
void kh_run_free(kh_run *r);
KH_MUST kh_err kh_run_add(kh_run *r, const uint8_t *op, size_t n, const kh_origin *origin);
/* kh_run_start gives it to the store, or takes its outcomes from the journal where the store executed it before. The run is the
   hub's from then on. */
KH_MUST kh_err kh_run_start(kh_run *r);

/* ---- feed ---- */
KH_MUST kh_err kh_feed_block(kh_hub *h, const kh_kept_block *block);
/* kh_judge: may what came in this batch be said by this sender? OK: it is given to the ledger. */
KH_MUST kh_code kh_judge_own(const kh_hub *h, const kh_work *w, const kh_kept_member *sender, const kh_op *op);
KH_MUST kh_code kh_judge_bundled(const kh_work *w, uint32_t party, const kh_op *op);
/* kh_judge_bundle: is it the party's own, and may that party sign any? */
KH_MUST kh_err kh_judge_bundle(kh_hub *h, const kh_work *w, const kh_section *section, bool *ret_good);
/* kh_judge_open opens a batch: *ret_text malloc'ed; false: UNOPENABLE. KH_E_NOT_FOUND: this hub lacks the group's key. */
KH_MUST kh_err kh_judge_open(const kh_hub *h, const kh_work *w, const kh_kept_item *item, const uint8_t *body, size_t n,
                             bool *ret_good, uint8_t **ret_text, size_t *ret_n);

/* ---- banks ---- */
typedef struct kh_bank {
    uint32_t id;
    uint64_t count, wanted; /* wanted: above this height; UINT64_MAX: nothing */
    uint64_t acked;         /* it has all at or below; 0: so much was dropped */
    uint64_t told;          /* the same, since the hub's start */
    int64_t left;           /* bytes that it may be sent again; below zero: not now */
    uint64_t left_at_ns;
    uint64_t drops_upto; /* while its file drops: at or below this height */
    uint8_t head[32];
    kh_heights *file;
} kh_bank;
typedef struct kh_banks {
    uint32_t cnt, cap;
    kh_bank *all;      /* ascending ids; those that ever were */
    kh_heights *posts; /* DIR/outputs/posts: {app hash, posted, outputs root, losses} of heights whose packages are all written */
    uint64_t dropped_at_ns; /* the last piece of a drop */
} kh_banks;
/* kh_banks_open takes away what lies above the newest height that all have; *ret_height: that. */
KH_MUST kh_err kh_banks_open(kh_hub *h, uint64_t *ret_height);
void kh_banks_close(kh_hub *h);
KH_MUST kh_err kh_banks_cut(kh_hub *h, uint64_t height); /* what is above it was never given; durable */
KH_MUST kh_err kh_banks_sync(kh_hub *h);
KH_MUST kh_err kh_bank_of(kh_hub *h, uint32_t id, kh_bank **ret); /* makes it where it is new */
/* kh_bank_keep writes what a bank gets of a height; count and head are what it had before, and move on. */
KH_MUST kh_err kh_bank_keep(kh_hub *h, kh_bank *bank, uint64_t height, const uint8_t box[KH_PUBLIC_SZ], uint64_t count,
                            const uint8_t head[32], const uint8_t *package, size_t n, uint8_t **ret_parcel, size_t *ret_n);
/* kh_differs_note takes down, durably, that a quorum attested something else than this hub executed; kh_differs: was it?
   KH_E_CLOSED: yes. */
KH_MUST kh_err kh_differs_note(kh_hub *h, uint64_t height);
KH_MUST kh_err kh_differs(kh_hub *h);
void kh_banks_answer(kh_hub *h); /* what was asked for since; takes away what was acknowledged */

/* ---- outputs ---- */
typedef struct kh_outputs {
    kh_maker *maker;
    kh_output output;  /* scratch */
    uint32_t *parties; /* the banks of the block, ascending */
    uint32_t bank_cnt;
    uint64_t height; /* of the block that is gathered; 0: none */
} kh_outputs;
KH_MUST kh_err kh_outputs_take(kh_hub *h, kh_run *r); /* a finished run, in order */
/* kh_outputs_paper names a paper, of a line that holds something: its bank knows it, and its texts never change. */
void kh_outputs_paper(const kh_ledger *l, const kh_key *key, kh_paper_text *ret);
void kh_outputs_again(kh_hub *h); /* at the start: attests again what the order does not say to be attested */

/* ---- given ---- */
typedef struct kh_given {
    uint64_t height;  /* at or below it nothing was executed here; 0: all was */
    bool own;         /* this hub had made that state */
    atomic_bool sure; /* what it executed above is what other hubs say */
    /* of the hub's thread */
    bool late, doubted, waited; /* late: it became sure since; waited: nobody goes on without it, for long */
    uint64_t looked_ns, since_ns, attested;
} kh_given;
KH_MUST kh_err kh_given_open(kh_hub *h);
bool kh_given_sure(const kh_hub *h); /* packages and states may be given */
/* kh_given_may_say: may this hub sign this of it? Any thread's, as the one before. */
bool kh_given_may_say(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ], uint32_t checkpoint);
/* kh_given_compare: what was executed, beside what other hubs said of it. KH_E_DAMAGED: a quorum says otherwise (noted, alerted).
 */
KH_MUST kh_err kh_given_compare(kh_hub *h, uint64_t height, const uint8_t post[KH_POST_SZ]);
KH_MUST kh_err kh_given_look(kh_hub *h); /* again, now and then: words come later than execution */
void kh_given_say_late(kh_hub *h);       /* what was kept back, where it became sure since */

/* ---- checkpoints ---- */
typedef struct kh_checkpoints {
    kh_heights *file; /* DIR/outputs/checkpoints: those that were attested */
    struct kh_checkpoint_wanted {
        uint64_t height, number; /* number: the last entry of the height */
    } wanted[2];                 /* whose digest is being made, and which is next; height 0: none */
} kh_checkpoints;
KH_MUST kh_err kh_checkpoints_open(kh_hub *h);                 /* after the banks */
KH_MUST kh_err kh_checkpoints_cut(kh_hub *h, uint64_t height); /* what is above is made anew: officers ordered a body lost */
void kh_checkpoints_close(kh_hub *h);
void kh_checkpoints_again(kh_hub *h); /* at the start: the newest one, where no quorum has attested it */
/* kh_checkpoints_executed: a height was executed, its post is written; before: the one before it, 0: none. */
void kh_checkpoints_executed(kh_hub *h, uint64_t before, uint64_t height, uint64_t number);
KH_MUST kh_err kh_hub_epoch_of(kh_hub *h, uint64_t height, uint32_t *ret); /* of the hubs, as of an executed height */
void kh_checkpoints_step(kh_hub *h);                                       /* attests what is made */
/* kh_checkpoints_keep: images that states may have to be made of stay: at the start, and with each checkpoint. */
void kh_checkpoints_keep(kh_hub *h);
/* kh_checkpoints_least: the lowest height whose state this hub may have to make yet; UINT64_MAX: of none that was executed. */
uint64_t kh_checkpoints_least(kh_hub *h);

/* ---- driver ---- */
typedef struct kh_sub kh_sub;
typedef struct kh_driver {
    kh_store_driver of_store;
    kh_sub *first, *last; /* in order of tickets */
    kh_sub *met;          /* the one that took a receipt last */
    uint64_t next_ticket;
    uint32_t cnt;
    bool closed;
    pthread_cond_t changed;
} kh_driver;
void kh_driver_init(kh_hub *h);
bool kh_driver_owns(kh_hub *h, const uint8_t batch[32]);
void kh_driver_receipt(kh_hub *h, const uint8_t batch[32], uint32_t op_index, const kh_receipt *receipt);
void kh_driver_whole(kh_hub *h, const uint8_t batch[32]); /* refused as a whole: nothing is known of its operations */
void kh_driver_executed(kh_hub *h, uint64_t height, uint64_t time_ns, const uint8_t posted[32], const uint8_t root[32]);
void kh_driver_answer(kh_hub *h); /* what is attested */
void kh_driver_close(kh_hub *h);  /* who waits is told that nothing is known */
bool kh_driver_idle(kh_hub *h);

typedef struct kh_lost {
    uint8_t digest[32];
    uint64_t height, until; /* of its block, 0: not said; of the block that calls it lost */
    bool executed;          /* as lost */
} kh_lost;

struct kh_hub {
    kh_hub_options options;
    kh_suite suite;
    uint8_t chain[32];
    pthread_t thread;
    bool runs_thread;
    pthread_mutex_t lock;
    pthread_mutex_t dropping; /* held by who takes away what banks were given, or writes it into a state; before lock */
    pthread_cond_t work;
    bool stopping, nudged;                    /* under the lock */
    atomic_bool stopped;                      /* the thread has ended, well or not */
    _Atomic uint64_t executed, state_written; /* state_written: the height of the newest state that was written here */
    _Atomic uint64_t given_up, spared;        /* bodies up to these heights: by the order; not needed here any more, durably */
    /* the thread's own */
    kh_run *runs[KH_RUNS_MAX];
    uint32_t run_first, run_cnt;
    uint64_t recorded, next_number; /* the newest entry that the store had at the start; the next entry's number */
    uint64_t key_block;             /* the newest block with a PARTY_KEY that may be under way; 0: none */
    uint64_t last_time, last_tick, last_spare;
    uint64_t lost_upto; /* kept blocks looked through for what was ordered lost */
    kh_lost *lost;
    uint32_t lost_cnt, lost_cap;
    bool goes_back; /* the store was told to */
    kh_banks banks;
    kh_outputs outputs;
    kh_checkpoints checkpoints;
    kh_given given;
    kh_driver driver;
    kh_journal_item *item;
};
bool kh_hub_stops(kh_hub *h);
/* kh_hub_settle takes finished runs off the front; wait: at least until there is room, or (all) nothing under way. */
KH_MUST kh_err kh_hub_settle(kh_hub *h, uint32_t leave);
void kh_hub_nudge(kh_hub *h);
uint64_t kh_hub_clock_ns(clockid_t clock);
/* kh_hub_sleep waits for a nudge, ms at most. */
void kh_hub_sleep(kh_hub *h, uint32_t ms);
/* kh_hub_group waits until the group's key of an epoch is there. KH_E_NOT_FOUND: it never will be; KH_E_CLOSED: the hub stops. */
KH_MUST kh_err kh_hub_group(kh_hub *h, uint32_t epoch);
/* kh_hub_first_above: the store's first entry of a block above height, of its entries up to that one; else the one behind it. */
uint64_t kh_hub_first_above(kh_hub *h, uint64_t height, uint64_t upto);
/* ---- lost ---- */
/* kh_hub_lost: what was ordered lost; NULL: it was not, as far as the order is kept. Until the next call. */
KH_MUST kh_err kh_hub_lost(kh_hub *h, const uint8_t digest[32], kh_lost **ret);
/* kh_lost_counted: the losses that touch a height (kh_order_losses) and were counted when it was executed, just now;
   KH_LOSSES_UNSAID: not all that are known were, and this hub will go back. */
uint32_t kh_lost_counted(const kh_hub *h, uint64_t height);
/* kh_lost_turn looks at a block that is next: where it calls lost what was executed, *ret_again is the height before, from which
   on all is fed again, out of the store's journal as far as that says the same; else UINT64_MAX. */
KH_MUST kh_err kh_lost_turn(kh_hub *h, const kh_kept_block *block, uint64_t fed, uint64_t *ret_again);
/* kh_lost_was: the op_index-th operation of the next entry, which the store executed before, must be this batch as lost. Where it
   is not, the store is told to go back to what is before this block: KH_E_CLOSED. */
KH_MUST kh_err kh_lost_was(kh_hub *h, uint64_t height, uint32_t op_index);
#endif
