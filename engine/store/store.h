/* store: one data directory: log, journals, images, in commit order. The engine of one machine.
 *
 *   DIR/format        version of the layout and the id of this directory        DIR/secret   16 bytes, 0600: the index's
 * placement DIR/log/          the write-ahead log (log.h)                              DIR/lock     flock of the writer, with its
 * pid DIR/journal/      receipts and notices, one block an entry, and the       DIR/head     durable_upto, mapped shared, with
 * the boot id sparse table height -> block                             DIR/lookups/ the regulator's look-ups, append only
 *   DIR/image/        the newest image(s) of the state                    DIR/start    of a directory made from a checkpoint: the
 * entry that its log begins behind, whose image stays
 *
 * Threads  a writer store has its own engine thread(s): applier + log, digests, reclaiming, checkpointer. Any number of threads
 * may submit and look up. A reader store takes no lock and sees the state as of its opening. Order    a ticket is done only when
 * its entry is durable and applied. Submissions of one thread are ordered as they were made. Bounds   KH_STORE_QUEUE_SZ bytes
 * wait at most; submit blocks beyond that (back-pressure). */
#ifndef KH_STORE_STORE_H
#define KH_STORE_STORE_H
#include "base/effects.h"
#include "ledger/ledger.h"
#include "log/log.h"

#define KH_STORE_QUEUE_SZ (64u << 20)

#define KH_STORE_URL_MAX 256u
#define KH_STORE_KEEPS 4u

typedef struct kh_store kh_store;
/* With threads, the disk's synchronous functions are called from several of them; submit_write and poll from the engine's alone.
 */
typedef struct kh_store_options {
    const kh_clock *clock;
    const kh_disk *disk;
    const kh_entropy *entropy;
    bool read_only;
    bool long_running;     /* a daemon or an import: load the image into huge pages at once, make images in the background */
    bool accept_time;      /* --accept-time */
    uint32_t wait_lock_ms; /* how long to wait for the lock */
    bool inline_engine;    /* no threads: the engine runs inside submit/wait (short commands and simulations) */
    bool driven; /* entries come from a driver alone (kh_store_drive): no ticks, no look at the clock; without one nothing is
                    taken */
    bool private_disk; /* disk is not this machine's file system (simulations): no flock, no mapped head, no mapped image */
} kh_store_options;
typedef struct kh_store_report { /* what opening found; also on failure */
    char why[256];
    char where[160];
    uint32_t lock_pid;               /* KH_E_BUSY: who has the lock */
    char lock_url[KH_STORE_URL_MAX]; /* and where it answers, if it is a daemon */
    uint64_t cut_bytes;              /* of a torn tail */
    uint64_t image_height, tail_ops;
    uint64_t clock_ns, last_ns; /* KH_E_CLOCK */
} kh_store_report;

/* kh_store_create makes a data directory; KH_E_EXISTS if dir holds anything. secret may be NULL (random). */
KH_MUST kh_err kh_store_create(const kh_store_options *options, const char *dir, const uint8_t *secret, kh_store_report *report);
KH_MUST kh_err kh_store_open(const kh_store_options *options, const char *dir, kh_store_report *report, kh_store **ret);

/* ---- checkpoints: a directory without its log (docs/FORMAT.md, "Checkpoint") ---- */
typedef struct kh_checkpoint {                     /* its head */
    uint64_t number, time_ns;                      /* of the entry behind which it is the state */
    uint8_t log_digest[32], chain[32], digest[32]; /* of the log and the outcome chain after it; the checkpoint digest */
    uint64_t leaf_cnt, leaves_sz, blocks_sz;       /* the state's leaves, and the journals through it, in bytes of the body */
} kh_checkpoint;
typedef struct kh_checkpoint_sink { /* takes a checkpoint's bytes in order; its first error ends the writing */
    KH_MUST kh_err (*write)(void *ctx, const void *p, size_t n);
    void *ctx;
} kh_checkpoint_sink;
typedef struct kh_checkpoint_source {
    KH_MUST kh_err (*read)(void *ctx, void *p, size_t n, size_t *ret_n); /* *ret_n 0: there is no more */
    void *ctx;
} kh_checkpoint_source;
/* kh_store_export writes the checkpoint of an applied entry: of a reader and an inline engine, of the newest (0: that one);
   else of any that an image lies before, made beside by a replay: neither readers nor execution wait, the caller's thread does.
   Memory: a piece, the largest leaf and the largest block; with a replay, a second state. KH_E_NOT_FOUND: no such entry. */
KH_MUST kh_err kh_store_export(kh_store *s, uint64_t number, const kh_checkpoint_sink *to, kh_checkpoint *ret);
/* kh_store_begin makes a data directory from a checkpoint: the same answers, journals and digests, under a secret of its own
   (NULL: random), its log beginning behind that entry. Nothing in the checkpoint is believed: KH_E_DAMAGED, with the place in
   report, where it is not whole, is no state, or has not the digests that its head says. chain, digest: what the outcome chain
   and the checkpoint digest must be, by who is trusted; NULL: as the head says. On failure nothing is left in dir. Memory: the
   state's, 24 bytes a financing, a piece and the largest block. */
KH_MUST kh_err kh_store_begin(const kh_store_options *options, const char *dir, const uint8_t *secret,
                              const kh_checkpoint_source *from, const uint8_t *chain, const uint8_t *digest, kh_checkpoint *ret,
                              kh_store_report *report);
/* kh_store_backup copies a data directory into `to`, which is not there or is empty: all that is needed to make the same of it
   again, as after a power cut at some moment of the copying, so with everything that was acknowledged before it began. The
   directory may be written meanwhile: no lock is taken, nothing in it is changed. Memory: 2 MiB. progress (or NULL) is told
   bytes. KH_E_EXISTS: `to` holds something; KH_E_BUSY: images came, or the log grew, faster than they could be copied. What a
   failure leaves in `to` is no data directory: it has no `format`. A copy is known to be good when it was audited. */
typedef struct kh_backup {
    uint64_t files, bytes;
} kh_backup;
KH_MUST kh_err kh_store_backup(const kh_store_options *options, const char *dir, const char *to,
                               void (*progress)(void *ctx, uint64_t done, uint64_t of), void *ctx, kh_store_report *report,
                               kh_backup *ret);
/* kh_store_prepare has memory for so many more documents and financings made ready beside the engine, by a helper thread: fresh
   pages, which the kernel clears and a virtual machine's host must find, then do not slow the applier down when they are wanted.
   KH_E_NOMEM: the machine has not so much and half a GiB beside it: nothing is made ready. An inline engine and a reader:
   KH_E_ARG. */
KH_MUST kh_err kh_store_prepare(kh_store *s, uint64_t documents, uint64_t financings);
/* kh_store_announce leaves the URL at which this writer answers beside its pid in DIR/lock, for who finds it locked. */
KH_MUST kh_err kh_store_announce(kh_store *s, const char *url);
/* kh_store_close: everything acknowledged stays; commit mark; an image if the tail is over 1 MiB and long_running. */
void kh_store_close(kh_store *s);

/* Outcomes of one submitted batch, in order, given from the engine's thread (or inside submit/wait when inline) when durable and
   applied. receipts with a ref are already filled in from the journal (ref_height and ref_index kept). A batch has its last call
   as soon as its own operations are applied, while others of its entry are not yet. Called while readers are kept out, so that
   who was answered sees no state before the whole entry: it copies what it needs and calls nothing of the store. Where the store
   stopped first, the last call has height 0: nothing is known of the batch. */
typedef void (*kh_store_reply)(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipts_in_order,
                               uint32_t op_index);
typedef struct kh_store_batch {
    const uint8_t *ops; /* wire frames; copied by submit */
    size_t ops_sz;      /* <= KH_ENTRY_MAX_SZ / 2 */
    uint32_t op_cnt;
    kh_store_reply reply; /* once an operation, then once with op_index == UINT32_MAX and receipt NULL: the batch is done */
    void *ctx;
    bool signed_section; /* ops is one SIGNED section of log/envelope.h with op_cnt whole frames in it; of a driven store */
} kh_store_batch;
/* kh_store_submit: KH_E_ARG also where ops is not op_cnt whole frames, or one is of a type that execution alone writes (sizes and
   types are looked at, nothing else); KH_E_CLOCK: see
   the report's clock_ns and last_ns through kh_store_clock_report; KH_E_CLOSED after a failed write. */
KH_MUST kh_err kh_store_submit(kh_store *s, const kh_store_batch *batch, uint64_t *ret_ticket);
/* kh_store_try_submit never waits: KH_E_AGAIN where the queue is full. For threads that others wait for. */
KH_MUST kh_err kh_store_try_submit(kh_store *s, const kh_store_batch *batch, uint64_t *ret_ticket);
/* kh_store_offer waits not even for another thread that is at the queue: KH_E_AGAIN then, too, and from a store without an engine
   of its own (inline) or an order of its own (driven): nothing but the engine's thread is woken. */
KH_MUST kh_err kh_store_offer(kh_store *s, const kh_store_batch *batch);
/* kh_store_wait waits until a ticket (and all before) is done; KH_E_CLOSED when the log failed: then nothing more will be. In
   either case every reply to it has returned: what its ctx points to is the caller's again. */
KH_MUST kh_err kh_store_wait(kh_store *s, uint64_t ticket);
/* kh_store_tick writes the tick if something is due (and not sooner than a second after the last). */
KH_MUST kh_err kh_store_tick(kh_store *s);

/* ---- driven: the order comes from elsewhere (a cluster) ---- */
/* A driven store gives what is submitted to its driver, which answers it (reply, as above; height: the cluster's) when it is
   final; kh_store_wait waits by the driver. It writes no ticks of its own: where that must hold from its opening on, it is opened
   with options.driven. The driver, where this is a hub, has each decided entry executed: the same log, journals and images, the
   time given. Its own entries stay numbered without gaps; the cluster's height stands in KH_OP_BLOCK, each entry's first
   operation, and kh_store_block_of finds it again. */
typedef struct kh_store_driver {
    void *self;
    KH_MUST kh_err (*submit)(void *self, const kh_store_batch *batch, bool may_wait, uint64_t *ret_ticket);
    KH_MUST kh_err (*wait)(void *self, uint64_t ticket);
    uint32_t party; /* whose operations alone it takes; 0: anybody's */
} kh_store_driver;
void kh_store_drive(kh_store *s, const kh_store_driver *driver); /* before anything is submitted; NULL: not any more */
bool kh_store_is_driven(const kh_store *s);
uint32_t kh_store_party(const kh_store *s); /* the driver's party; 0 where there is none */
/* outcome: each outcome of the entry, in order (from the engine's thread, readers kept out: copy and return); the last call has
   outcome NULL and the outcome chain after the entry: it is durable and applied. first (number 0): the store stopped. */
typedef struct kh_store_execution {
    uint64_t time_ns; /* not below the last entry's */
    const uint8_t *ops;
    size_t ops_sz; /* <= KH_ENTRY_MAX_SZ */
    uint32_t op_cnt;
    void (*outcome)(void *ctx, uint64_t number, const kh_outcome *outcome, const uint8_t chain[32]);
    void *ctx;
} kh_store_execution;
/* kh_store_execute queues one entry; several may be under way. ops is copied. */
KH_MUST kh_err kh_store_execute(kh_store *s, const kh_store_execution *execution);
/* kh_store_go_back orders, durably, that the next opening for writing takes the entries above a number away, acknowledged or not:
   what was executed is executed anew, as the order now says. KH_E_ARG: the directory begins behind a later one. */
KH_MUST kh_err kh_store_go_back(kh_store *s, uint64_t number);
uint64_t kh_store_begins(const kh_store *s); /* the entry that the directory begins behind; 0: it has all */
/* kh_store_keep: entries whose state may be asked for later (kh_store_export, kh_store_checkpoint_at, kh_store_go_back), cnt <=
   KH_STORE_KEEPS: the newest image at or before each stays, else that may cost the replay of the whole log. Until a driven store
   (options.driven) is told, all images stay. */
void kh_store_keep(kh_store *s, const uint64_t *numbers, uint32_t cnt);
/* kh_store_block_of: the height that users are told for an entry: of its KH_OP_BLOCK, or its own number. */
uint64_t kh_store_block_of(kh_store *s, uint64_t number);
/* kh_store_chain_at: the outcome chain after an entry that is applied. */
KH_MUST kh_err kh_store_chain_at(kh_store *s, uint64_t number, uint8_t ret[32]);
/* kh_store_last_block: of the newest entry with a KH_OP_BLOCK; 0: none. */
uint64_t kh_store_last_block(kh_store *s);

/* kh_store_clock_report: the clock and the newest entry's time, after KH_E_CLOCK. */
void kh_store_clock_report(kh_store *s, uint64_t *ret_clock_ns, uint64_t *ret_last_ns);

/* Reading: the gate keeps the applier out between begin and end (short!); [S] functions of the ledger may be called inside. */
const kh_ledger *kh_store_read_begin(kh_store *s);
void kh_store_read_end(kh_store *s);
/* kh_store_read_try: NULL where the applier is at work or waits to be: never blocks. */
const kh_ledger *kh_store_read_try(kh_store *s);
/* Fast readers: registered urcu-qsbr threads may use kh_ledger_verify_fast on this at any time. */
const kh_ledger *kh_store_ledger(const kh_store *s);

/* Journals: the outcome at a place; NULL-terminated chains by kh_touch. */
typedef struct kh_journal_item {
    kh_place place;
    uint64_t time_ns;
    uint32_t op_index; /* in its entry */
    bool is_notice;
    kh_receipt receipt; /* lines in `lines` */
    kh_notice notice;
    kh_receipt_line lines[KH_LINES_MAX];
    kh_touch touches[8 + 2 * KH_LINES_MAX];
    uint32_t touch_cnt;
} kh_journal_item;
KH_MUST kh_err kh_store_journal_read(kh_store *s, kh_place place, kh_journal_item *ret);
/* kh_store_journal_prev: the link of `item` in the chain of (what, key); height 0 = the end. */
kh_place kh_store_journal_prev(const kh_journal_item *item, uint8_t what, const kh_key *key);
/* kh_store_journal_scan walks all outcomes from a height on, ascending. */
KH_MUST kh_err kh_store_journal_scan(kh_store *s, uint64_t from_height, kh_err (*each)(void *ctx, const kh_journal_item *item),
                                     void *ctx);

typedef struct kh_audit_result {
    bool ok;
    uint64_t entries, height;
    uint64_t begins; /* the entry that the directory begins behind: up to it outcomes are vetted, not made anew; 0: none */
    uint8_t log_digest[32], digest[32], content_digest[32], checkpoint_digest[32]; /* digest: the outcome chain */
    char at[160], why[256];
} kh_audit_result;
/* kh_store_audit replays the whole log from nothing (or from the image that the directory begins with) into a fresh state,
   recomputes chain, outcomes and content, compares with journals, images and the live state. Takes no lock. */
KH_MUST kh_err kh_store_audit(const kh_store_options *options, const char *dir,
                              void (*progress)(void *ctx, uint64_t done, uint64_t of), void *ctx, kh_audit_result *ret);
/* kh_store_snapshot makes an image now and waits for it. */
KH_MUST kh_err kh_store_snapshot(kh_store *s, uint64_t *ret_height);
/* kh_store_content_digest of the state as read. */
KH_MUST kh_err kh_store_content_digest(kh_store *s, uint8_t ret[32]);
/* kh_store_checkpoint_digest: the tree over the whole state as read. Readers go on meanwhile; execution waits. */
KH_MUST kh_err kh_store_checkpoint_digest(kh_store *s, uint8_t ret[32]);
/* kh_store_checkpoint_at: the same of the state as it was after an entry, made beside by a replay that leaves its image behind;
   neither readers nor execution wait. KH_E_AGAIN: being made; ask again, one at a time. Inline engines make it at once. */
KH_MUST kh_err kh_store_checkpoint_at(kh_store *s, uint64_t number, uint8_t ret[32]);
uint64_t kh_store_durable_upto(const kh_store *s);
KH_MUST kh_err kh_store_lookup_log(kh_store *s, const char *line);

typedef struct kh_store_stats {
    uint64_t height, time_ns, log_bytes, journal_bytes, image_height, image_bytes, queue_bytes;
    uint64_t unprepared_bytes; /* of kh_store_prepare, that are not ready yet */
} kh_store_stats;
void kh_store_get_stats(kh_store *s, kh_store_stats *ret);
/* kh_store_condition: KH_OK, or why nothing more is written until the directory is opened anew. Does not wait for the disk. */
KH_MUST kh_err kh_store_condition(kh_store *s);
#endif
