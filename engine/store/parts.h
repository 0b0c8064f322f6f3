/* parts: what the files of the store share with each other, and nobody else includes.
 *
 *   home      where a directory is, its identity, its secret              home.c
 *   lock      the writer's flock                                          lock.c
 *   head      durable_upto as others see it                               head.c
 *   machine   one state + index + ledger, live or at work on the side     machine.c
 *   block     one entry's outcomes as bytes                               block.c
 *   journal   blocks in memory, then in files                             journal.c, journal_read.c
 *   image     a machine as a file                                         image.c, image_write.c, image_load.c
 *   replay    image + log = machine                                       replay.c
 *   engine    queue -> entry -> log -> decided -> applied -> answered     engine.c, queue.c
 *   driven    entries that are executed for a cluster, and its heights    driven.c
 *   start     the entry that a directory begins behind                    start.c
 *   leaf_tree a state's leaves as a tree, and its digest                  leaf_tree.c, digests.c
 *   pieces    a checkpoint as a stream of pieces                          pieces.c
 *   export    a checkpoint of a state and its journals                    export.c
 *   begin     a data directory made from a checkpoint                     begin.c
 *   vet       journals that are carried, held against chain and state     vet.c
 *   follow    the state beside the engine's that images are made of       follow.c
 *   checkpoint who makes images, and when                                 checkpoint.c */
#ifndef KH_STORE_PARTS_H
#define KH_STORE_PARTS_H
#include <pthread.h>
#include <stdatomic.h>
#include "crypto/digest.h"
#include "store/store.h"

#define KH_DIR_MAX 900u
#define KH_PATH_MAX 1024u

/* ---- start ---- */
typedef struct kh_start { /* the entry that a directory begins behind: its log has nothing up to it; number 0: none */
    uint64_t number, time_ns;
    uint8_t log_digest[32], chain[32], checkpoint[32];
} kh_start;
#define KH_START_SZ 256u
void kh_start_encode(const kh_start *start, uint8_t ret[KH_START_SZ]);
KH_MUST kh_err kh_start_decode(const uint8_t p[KH_START_SZ], kh_start *ret);

/* ---- home ---- */
typedef struct kh_home {
    const kh_disk *disk;
    const kh_clock *clock;
    bool private_disk;
    bool uncached; /* images are read past the file cache */
    char dir[KH_DIR_MAX];
    uint8_t id[16];
    uint8_t secret[16];
    kh_start start;
} kh_home;
/* kh_home_path writes DIR/name. */
const char *kh_home_path(const kh_home *home, const char *name, char ret[KH_PATH_MAX]);
/* kh_home_make makes the directory `dir`, which is not there or is empty, with its folders, a secret (NULL: random) and no log;
 * kh_home_seal makes it a data directory, durably, once all else is there: one that begins behind home->start. */
KH_MUST kh_err kh_home_make(const kh_store_options *options, const char *dir, const uint8_t *secret, kh_store_report *report,
                            kh_home *ret);
KH_MUST kh_err kh_home_sync(const kh_home *home); /* the names in its folders last */
KH_MUST kh_err kh_home_seal(const kh_home *home, kh_store_report *report);
/* kh_home_clear takes away what kh_home_make and its caller made in a directory that was not sealed. */
void kh_home_clear(const kh_home *home);
/* kh_home_log opens DIR/log, which must begin where the directory does; report may be NULL. */
KH_MUST kh_err kh_home_log(const kh_home *home, bool read_only, kh_log_open_report *opening, kh_store_report *report,
                           kh_log **ret);
KH_MUST kh_err kh_home_load(const kh_store_options *options, const char *dir, kh_store_report *report, kh_home *ret);
/* kh_say fills in the report's where and why (report may be NULL); the first sentence stays. */
__attribute__((format(printf, 3, 4))) void kh_say(kh_store_report *report, const char *where, const char *why, ...);

/* ---- lock ---- */
typedef struct kh_lock {
    int fd;
} kh_lock;
KH_MUST kh_err kh_lock_take(const kh_home *home, uint32_t wait_ms, kh_store_report *report, kh_lock *ret);
/* kh_lock_is_closed: this user may not write the lock file, or nothing on this file system: it reads, and cannot recover what a
   writer left; nor need it, but where that was to go back. */
bool kh_lock_is_closed(const kh_home *home);
KH_MUST kh_err kh_lock_announce(const kh_lock *lock, const char *url);
void kh_lock_drop(kh_lock *lock);

/* ---- back ---- */
/* kh_back_begin: *ret: entries above *ret_number are to be taken away; their images are. kh_back_end: all of it is done. */
KH_MUST kh_err kh_back_begin(const kh_home *home, bool *ret, uint64_t *ret_number);
KH_MUST kh_err kh_back_end(const kh_home *home);

/* ---- head ---- */
typedef struct kh_head_file { /* docs/FORMAT.md */
    char magic[8];
    _Atomic uint64_t durable_upto;
    uint8_t boot_id[16];
    uint8_t zero[32];
} kh_head_file;
_Static_assert(sizeof(kh_head_file) == 64, "layout is in docs/FORMAT.md");
typedef struct kh_head {
    kh_head_file *file; /* mapped, or `own` */
    kh_head_file own;
    bool mapped;
    bool writable;
} kh_head;
/* kh_head_open: read_only: KH_E_NOT_FOUND where there is none. */
KH_MUST kh_err kh_head_open(const kh_home *home, bool read_only, kh_head *ret);
void kh_head_close(kh_head *head);
/* kh_boot_id: which run of the machine this is; false where the kernel does not tell. */
bool kh_boot_id(uint8_t ret[16]);
/* kh_head_known: whether the word is of this boot of the machine; then *ret_upto is its value. */
bool kh_head_known(const kh_head *head, uint64_t *ret_upto);
void kh_head_forget(kh_head *head);                         /* the word says nothing any more */
void kh_head_start(kh_head *head, uint64_t upto);           /* after recovery: word, then boot id */
void kh_head_publish(kh_head *head, uint64_t durable_upto); /* [engine], release; pairs with the acquire in kh_head_known */

/* ---- machine ---- */
typedef struct kh_machine {
    kh_state state;
    kh_index *index;
    kh_ledger *ledger;
    void *index_mem, *ledger_mem;
    _Atomic uint64_t backed[KH_REGION_MAX]; /* bytes of each region that are known to be backed by memory */
    _Atomic uint64_t ready[KH_REGION_MAX];  /* and those that shall be, by kh_machine_prepare; 0: as it grows */
    bool reserved;
} kh_machine;
KH_MUST kh_err kh_machine_reserve(kh_machine *m);
KH_MUST kh_err kh_machine_start(kh_machine *m, const uint8_t secret[16]);
/* kh_machine_back makes sure of the memory that op_cnt operations in ops_sz bytes can need: KH_E_NOMEM. */
KH_MUST kh_err kh_machine_back(kh_machine *m, uint32_t op_cnt, size_t ops_sz);
/* kh_machine_ahead keeps some memory ready before the rows in use, from a helper thread, so that the applier rarely touches fresh
 * pages. */
void kh_machine_ahead(kh_machine *m);
/* kh_machine_prepare asks for memory for so much more, KH_E_NOMEM where the machine has not so much;
 * kh_machine_prepare_step makes a piece of it ready, from a helper thread.
 * false: nothing is left, or the machine has not more to give: the rest is given up. _left: bytes. */
KH_MUST kh_err kh_machine_prepare(kh_machine *m, uint64_t documents, uint64_t financings);
bool kh_machine_prepare_step(kh_machine *m);
uint64_t kh_machine_prepare_left(const kh_machine *m);
KH_MUST kh_err kh_machine_fits(uint64_t bytes); /* whether the machine says that it has them: else KH_E_NOMEM */
KH_MUST kh_err kh_machine_apply(kh_machine *m, const kh_entry *entry, const kh_sink *sink);
void kh_machine_release(kh_machine *m);
KH_MUST kh_err kh_machine_content_digest(const kh_ledger *ledger, uint8_t ret[32]);
KH_MUST kh_err kh_machine_checkpoint_digest(const kh_ledger *ledger, uint8_t ret[32]);
extern const kh_sink kh_sink_none;

/* ---- block ---- */
#define KH_BLOCK_HEAD_SZ 128u
#define KH_BLOCK_SEALED_AT 80u /* of the head: from here on written when the block is sealed */
#define KH_ITEM_HEAD_SZ 24u
#define KH_ITEM_MAX_SZ (KH_ITEM_HEAD_SZ + KH_RECEIPT_MAX_SZ + (8u + 2u * KH_LINES_MAX) * 32u)
typedef struct kh_block {
    struct kh_block *next;
    uint8_t *bytes;
    size_t size, cap;
    uint32_t *offsets; /* of the items, in units of 8 bytes from the block's start */
    uint32_t item_cnt, item_cap;
    uint64_t height;
    bool failed; /* memory ran out while it was built */
    bool sealed;
} kh_block;
typedef struct kh_block_head {
    uint64_t size, height, time_ns, offsets_at, check;
    uint32_t item_cnt;
    uint8_t entry_digest[32], chain[32];
} kh_block_head;
void kh_block_begin(kh_block *b, const kh_entry *entry);
void kh_block_append(kh_block *b, const kh_outcome *outcome); /* sets failed instead of returning an error */
KH_MUST kh_err kh_block_end(kh_block *b);
/* kh_block_seal carries the outcome chain on over this block and writes its head and checksum into the block. */
void kh_block_seal(kh_block *b, uint8_t chain[32]);
void kh_block_free(kh_block *b);
KH_MUST kh_err kh_block_head_read(const uint8_t *p, size_t n, kh_block_head *ret);
/* kh_block_check: whole block: NULL or what is wrong. */
const char *kh_block_check(const uint8_t *p, size_t n);
KH_MUST kh_err kh_item_decode(const uint8_t *p, size_t n, uint64_t height, uint32_t index, uint64_t time_ns,
                              kh_journal_item *ret);

/* ---- journal ---- */
#define KH_JOURNAL_PENDING_SZ (64u << 20) /* bytes of blocks in memory, not yet in the file, before the engine waits */
#define KH_TABLE_ROW_SZ 16u
typedef struct kh_journal {
    const kh_disk *disk;
    kh_file *blocks, *table;
    bool read_only;
    pthread_mutex_t lock;
    pthread_cond_t work, room; /* blocks to write; blocks written */
    kh_block *first, *last, *spare;
    size_t pending_sz;
    uint64_t written, built; /* heights: in the files; in memory too */
    uint64_t end;            /* bytes of the blocks file in use */
    uint64_t base;           /* heights up to this are not in memory: written when opened */
    uint8_t chain[32];       /* the outcome chain after the newest sealed block */
    uint8_t *gather;         /* what is written together */
    kh_err err;
    bool stop, running;
    pthread_t thread;
} kh_journal;
KH_MUST kh_err kh_journal_open(kh_journal *j, const kh_home *home, bool read_only, kh_store_report *report);
/* kh_journal_recover finds how far the files go above `trusted`, whose chain is given. whole: every block's checksum is looked
   at, which a power cut calls for; what only a process left behind is whole as far as the table lists it, and heads and places
   are compared. */
KH_MUST kh_err kh_journal_recover(kh_journal *j, uint64_t trusted, uint64_t upto, bool whole, const uint8_t chain[32]);
/* kh_journal_length: heights that the table lists (not yet checked). */
KH_MUST kh_err kh_journal_length(kh_journal *j, uint64_t *ret);
KH_MUST kh_err kh_journal_start_thread(kh_journal *j);
kh_block *kh_journal_take(kh_journal *j);                        /* an empty block to build in, or NULL */
void kh_journal_give(kh_journal *j, kh_block *b);                /* the next height, readable from now on; waits for no disk */
KH_MUST kh_err kh_journal_room(kh_journal *j);                   /* after it: waits while too much is pending */
KH_MUST kh_err kh_journal_flush(kh_journal *j, uint64_t height); /* written through this height (not synced) */
KH_MUST kh_err kh_journal_sync(kh_journal *j);
void kh_journal_close(kh_journal *j);
void kh_journal_chain(kh_journal *j, uint8_t ret[32]); /* after a flush of all */
KH_MUST kh_err kh_journal_read(kh_journal *j, kh_place place, kh_journal_item *ret);
/* kh_journal_count: how many outcomes a height has. */
KH_MUST kh_err kh_journal_count(kh_journal *j, uint64_t height, uint32_t *ret);
KH_MUST kh_err kh_journal_scan(kh_journal *j, uint64_t from, uint64_t upto,
                               kh_err (*each)(void *ctx, const kh_journal_item *item), void *ctx);
/* kh_journal_block_load reads a whole block from the files; *ret is malloc'ed. */
KH_MUST kh_err kh_journal_block_load(const kh_disk *disk, kh_file *blocks, kh_file *table, uint64_t height, uint8_t **ret,
                                     size_t *ret_n, uint64_t *ret_at);
KH_MUST kh_err kh_journal_chain_at(kh_journal *j, uint64_t height, uint8_t ret[32]);
/* kh_journal_whole: a copy of a height's block as the file has it or will have it, malloc'ed; after a flush through it. */
KH_MUST kh_err kh_journal_whole(kh_journal *j, uint64_t height, uint8_t **ret, size_t *ret_n);
KH_MUST kh_err kh_journal_bytes(kh_journal *j, uint64_t height, uint64_t *ret); /* of all blocks through a height; likewise */

/* ---- image ---- */
#define KH_CHUNK_SZ 65536u
#define KH_IMAGE_NAME_SZ 32u
typedef struct kh_image_region {
    uint32_t row_sz;
    uint64_t row_cnt, offset, bytes;
} kh_image_region;
typedef struct kh_manifest {
    uint64_t height, time_ns, ledger_check, chunk_cnt, table_offset, file_sz;
    uint8_t log_digest[32], chain[32], table_digest[32], home_id[16];
    kh_image_region regions[KH_REGION_MAX];
} kh_manifest;
typedef struct kh_image_stand { /* what an image stands for */
    uint64_t height, time_ns;
    uint8_t log_digest[32], chain[32];
} kh_image_stand;
void kh_manifest_encode(const kh_manifest *manifest, uint8_t ret[KH_CHUNK_SZ]);
KH_MUST kh_err kh_manifest_decode(const uint8_t p[KH_CHUNK_SZ], kh_manifest *ret);
/* kh_image_heights lists the heights of the images there are, newest first; at most max. */
KH_MUST kh_err kh_image_heights(const kh_home *home, uint64_t *ret, uint32_t max, uint32_t *ret_n);
const char *kh_image_path(const kh_home *home, uint64_t height, char ret[KH_PATH_MAX]);
/* kh_image_write writes a machine's regions as the image of stand->height, under a temporary name, durable. bytes_per_s 0: no
 * limit. */
KH_MUST kh_err kh_image_write(const kh_home *home, const kh_machine *m, const kh_image_stand *stand, uint64_t bytes_per_s);
typedef struct kh_image_keep { /* which stay beside the newest two and that of the directory's start: before each, the newest */
    bool all;                  /* nobody has said yet */
    uint32_t cnt;
    uint64_t numbers[KH_STORE_KEEPS];
} kh_image_keep;
/* kh_image_publish gives it its name, makes that durable, and removes those that need not stay. */
KH_MUST kh_err kh_image_publish(const kh_home *home, uint64_t height, const kh_image_keep *keep);
void kh_image_clean(const kh_home *home); /* a writer at opening: what an interrupted one left */
/* kh_image_load puts an image into a reserved, not yet started machine; every chunk is checked. map: a private map instead of a
 * copy. */
KH_MUST kh_err kh_image_load(const kh_home *home, uint64_t height, bool map, kh_machine *m, kh_manifest *ret,
                             kh_store_report *report);
/* kh_image_forget: the file cache need not keep this image. Advice: cannot fail. */
void kh_image_forget(const kh_home *home, uint64_t height);
/* kh_image_check reads all of an image and compares every digest; why and where on KH_E_DAMAGED. */
KH_MUST kh_err kh_image_check(const kh_home *home, uint64_t height, kh_manifest *ret, kh_store_report *report);

/* ---- replay ---- */
typedef struct kh_replay_each { /* called before and after each entry is applied; NULL = none */
    const kh_sink *(*before)(void *ctx, const kh_entry *entry);
    kh_err (*after)(void *ctx, const kh_entry *entry);
    void *ctx;
} kh_replay_each;
/* kh_replay_base starts a machine from the newest sound image of at most max_height, else empty; KH_E_DAMAGED where the directory
 * begins behind an entry. *ret: what it stands for. */
KH_MUST kh_err kh_replay_base(const kh_home *home, uint64_t max_height, bool map, kh_machine *m, kh_image_stand *ret,
                              uint64_t *ret_image_bytes, kh_store_report *report);
/* kh_replay_tail applies the log's entries above stand->height through upto; *stand moves along (its chain does not). */
KH_MUST kh_err kh_replay_tail(kh_log *log, kh_machine *m, kh_image_stand *stand, uint64_t upto, const kh_replay_each *each,
                              uint64_t *ret_ops, kh_store_report *report);
/* kh_replay_grow keeps memory ready before the rows that a long replay fills, from a thread of its own, until kh_replay_grown.
 * Without the thread the replay does it all. */
typedef struct kh_replay_growth {
    kh_machine *machine;
    pthread_t thread;
    _Atomic bool stop;
    bool runs;
} kh_replay_growth;
void kh_replay_grow(kh_replay_growth *growth, kh_machine *m);
void kh_replay_grown(kh_replay_growth *growth);

/* ---- the engine ---- */
#define KH_GATHER_SZ (1u << 20) /* bytes of operations that one entry gathers at most; a larger batch is an entry by itself */
typedef struct kh_batch_ref {
    uint32_t first_op, op_cnt;
    kh_store_reply reply;
    void *ctx;
} kh_batch_ref;
typedef struct kh_gather { /* batches that become one entry */
    struct kh_gather *next;
    uint8_t *bytes;
    size_t size, cap;
    uint32_t op_cnt, batch_cnt, batch_cap;
    kh_batch_ref *batches;
    uint32_t told;   /* of the batches, those that have had their last call */
    uint64_t ticket; /* of the last batch in it */
    uint64_t height;
    /* an execution (kh_store_execute): an entry by itself, without batches */
    bool executes;
    uint64_t time_ns;
    void (*outcome)(void *ctx, uint64_t number, const kh_outcome *outcome, const uint8_t chain[32]);
    void *ctx;
} kh_gather;

/* ---- driven ---- */
#define KH_BLOCKS_CACHED 1024u
typedef struct kh_blocks { /* heights of the cluster by entry */
    pthread_mutex_t lock;
    struct {
        uint64_t number, height;
    } cached[KH_BLOCKS_CACHED];
    _Atomic uint64_t first,
        last; /* the first entry with a KH_OP_BLOCK (0: none), all behind it have one; the newest one's height */
} kh_blocks;

struct kh_store {
    kh_home home;
    kh_store_options options;
    kh_lock lock;
    bool locked;
    kh_head head;
    kh_machine machine;
    kh_log *log;
    kh_journal journal;
    bool journal_open, same_boot; /* same_boot: whatever was left behind, the machine has not stopped since */
    pthread_rwlock_t gate;

    /* the queue: under queue_lock */
    pthread_mutex_t queue_lock;
    pthread_cond_t work, done; /* the engine sleeps on work; submitters and waiters on done */
    kh_gather *waiting, *waiting_last, *spare;
    size_t waiting_sz, spare_cnt;
    uint64_t next_ticket, done_ticket;
    uint64_t tick_asked, tick_served;
    bool engine_sleeps, stopping;
    kh_err stop_err; /* why nothing more will be done */
    bool told;       /* with it: all who submitted know */

    _Atomic(const kh_store_driver *) driver;
    kh_blocks blocks;
    uint64_t execute_time; /* of the newest execution queued; under queue_lock */

    /* the engine's own */
    uint8_t chain[32];               /* driven: the outcome chain after the newest applied entry */
    kh_gather *flying, *flying_last; /* submitted to the log, in order */
    kh_block *block;                 /* of the entry being applied */
    kh_gather *answering;
    uint64_t answering_time;
    kh_journal_item *first_answer; /* scratch to fill in what was answered before */
    uint64_t last_time;            /* of the newest entry submitted */
    uint64_t last_tick, marked_height, last_entry_at;
    _Atomic uint64_t clock_last, clock_step; /* for submit's own look at the clock */
    _Atomic uint64_t applied, applied_time, log_bytes;
    uint8_t log_digest[32]; /* after the newest applied entry */

    pthread_t engine_thread, reclaim_thread, checkpoint_thread;
    bool engine_runs, reclaim_runs, checkpoint_runs;
    pthread_mutex_t side_lock; /* reclaiming and checkpoints */
    pthread_cond_t side_work, side_done;
    bool side_stop;
    uint64_t reclaim_asked;
    uint64_t image_wanted, image_served; /* snapshot tickets */
    _Atomic bool image_due;
    kh_err image_err;
    uint64_t image_height;
    uint64_t digest_wanted, digest_made; /* entries whose checkpoint digest was asked for, and is made; 0: none */
    kh_err digest_err;
    uint8_t digest[32];
    _Atomic uint64_t image_at, image_bytes;
    kh_image_keep keep; /* under side_lock */
};
/* kh_engine_pump moves everything one step: gathers to the log, what is decided into the state. flush: entries however small.
   Waits for the disk up to wait_ns where something is in flight. [engine] */
KH_MUST kh_err kh_engine_pump(kh_store *s, bool flush, uint64_t wait_ns);
KH_MUST kh_err kh_engine_tick(kh_store *s);                     /* [engine] */
KH_MUST kh_err kh_engine_clock(kh_store *s, uint64_t *ret_now); /* the clock rules; *ret_now is the block time */
void kh_engine_stop_with(kh_store *s, kh_err err);              /* final: waiting batches are told */
KH_MUST kh_err kh_engine_replayed(kh_store *s, const kh_entry *entry);
const kh_sink *kh_engine_replay_sink(kh_store *s, const kh_entry *entry);
/* kh_store_until: when a wait of ns for `work` or `side_work` is over: by the clock that nobody sets. */
struct timespec kh_store_until(uint64_t ns);
KH_MUST kh_err kh_engine_start(kh_store *s);
void kh_engine_finish(kh_store *s); /* drains, joins */
/* kh_queue_gather: room for n bytes at the end of the queue, whose lock is held; alone: an entry of its own. NULL: no memory. */
kh_gather *kh_queue_gather(kh_store *s, size_t n, bool alone);
bool kh_queue_full(const kh_store *s, size_t more);
/* kh_queue_frames: p is cnt whole frames. outside: none of them is of a type that execution alone writes. */
bool kh_queue_frames(const uint8_t *p, size_t n, uint32_t cnt, bool outside);
kh_gather *kh_queue_take(kh_store *s, uint32_t in_flight, bool flush);
void kh_queue_recycle(kh_store *s, kh_gather *g, bool done);
void kh_queue_free(kh_store *s);
KH_MUST kh_err kh_driven_open(kh_store *s); /* once the state is rebuilt: which entries have heights of a cluster */
void kh_driven_block(kh_store *s, uint64_t number, uint64_t height); /* [engine] an entry's KH_OP_BLOCK is applied */
/* ---- following and checkpoints ---- */
typedef struct kh_follower { /* all zeros: none */
    kh_machine machine;
    kh_image_stand stand; /* where it is */
    kh_log *log;
    kh_block block; /* scratch: the entry being replayed */
    bool up;
} kh_follower;
/* kh_follow_to brings it to an applied height, which is not below where it is; one that is none begins with the newest image of
 * at most that height. After an error it must be dropped. One thread at a time. */
KH_MUST kh_err kh_follow_to(kh_store *s, kh_follower *f, uint64_t height);
void kh_follow_drop(kh_follower *f);     /* gives its memory back; none again */
uint64_t kh_checkpoint_due(kh_store *s); /* bytes of log that are worth the next image; any thread */
KH_MUST kh_err kh_checkpoint_start(kh_store *s);
void kh_checkpoint_finish(kh_store *s);
void kh_checkpoint_consider(kh_store *s, uint64_t tail_sz); /* [engine] */
KH_MUST kh_err kh_checkpoint_own(kh_store *s);              /* from the settled state of a stopped or inline engine */
void kh_reclaim_nudge(kh_store *s);
#endif
