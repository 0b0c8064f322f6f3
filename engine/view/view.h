/* view: what a bank node knows for itself: its own financings and alerts, made of its attested outputs and nothing else; and the
 * answers to its own submissions.
 *
 * A package that a hub sent is taken when q hubs attested its root for that height, its app hash is this node's own, the chain
 * goes on without a gap (but see kh_view_whole), and each own operation that was ordered at that height has its receipt: else an
 * alert names the hub and nothing is taken. In memory in the clear; on disk sealed under keys of its own, one a record
 * (DIR/view/, append only, a snapshot now and then; docs/CLUSTER.md). What was taken and is not on disk yet is asked of the hubs
 * again, who keep it until then.
 * Where a directory moved up, the view begins with the bank's financings of then: a file, a parcel to the bank's box, that is
 * held against the genesis' root once, at the first start; what was taken of it is in the first snapshot.
 *
 * Threads  any; a lock inside, and a thread of its own that opens, checks and takes packages and writes them. kh_view_outputs,
 * kh_view_attested, kh_view_ordered and kh_view_decided take no lock of the node: they may be called from its effects; the others
 * may not.
 * Answers are given from the view's thread (inline_work: from the one that brings the last piece), its lock held.
 * Bounds   packages that wait, as they came and opened: KH_VIEW_WAITING each, of KH_VIEW_WAITING_SZ bytes; statements that wait:
 * KH_VIEW_STATEMENTS. What is beyond is dropped and asked for again. */
#ifndef KH_VIEW_H
#define KH_VIEW_H
#include "kept/kept.h"
#include "cluster/node.h"
#include "store/store.h"

#define KH_VIEW_WAITING 256u
#define KH_VIEW_WAITING_SZ (128u << 20)
#define KH_VIEW_STATEMENTS 4096u

typedef struct kh_view kh_view;
typedef struct kh_view_options {
    kh_node *node;
    kh_kept *kept;             /* own app hashes, and what of this bank was ordered */
    const kh_disk *disk;       /* the view's alone: its thread uses it */
    const kh_genesis *genesis; /* whose opening, where it says one, the view begins with; NULL: it begins empty */
    const char *opening;       /* the file of it */
    const kh_entropy *entropy;
    const char *dir;
    uint32_t party; /* the bank */
    kh_suite suite;
    const kh_box *box, *box_old; /* box_old: tried for what box does not open; NULL: none */
    const uint8_t *disk_secret;  /* 32 bytes: seals what is on disk */
    bool inline_work;            /* no thread: tests and simulations */
    uint64_t snapshot_sz;        /* bytes of packages between two snapshots; 0: 256 MiB */
    /* alert: "DIFFERING_OUTPUTS" (a package that is not what was attested; not where a loss touches the height), "BAD_PACKAGE"
       (one that does not open or read), "MISSING_RECEIPT", "BROKEN_CHAIN", "DIFFERING_APP_HASH", "WITHHELD_OUTPUTS" (none fills
       the gap before the hub's). */
    void (*alert)(void *ctx, const char *word, uint32_t member, uint64_t height);
    void (*send)(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n); /* OUTPUTS_FROM */
    void *ctx;
} kh_view_options;
/* kh_view_open recovers what is in DIR/view; the node's order must be there (kh_node_new). KH_E_DAMAGED with the place;
   KH_E_FORMAT: the opening is not what the genesis says. */
KH_MUST kh_err kh_view_open(const kh_view_options *options, char *why, size_t cap, kh_view **ret);
/* kh_view_end: submissions that have no answer yet are told so (kh_store_reply's last call with height 0), new ones are
   KH_E_CLOSED; what is known can still be asked. kh_view_close does it too. */
void kh_view_end(kh_view *v);
void kh_view_close(kh_view *v);
/* ---- what comes ---- */
void kh_view_outputs(kh_view *v, uint32_t hub, const uint8_t *p, size_t n);
void kh_view_attested(kh_view *v, const kh_attestation *attestation);
void kh_view_ordered(kh_view *v, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                     uint32_t n);
void kh_view_decided(kh_view *v); /* one more block is kept */
/* kh_view_tick asks hubs for packages that lack, and tells them what is on disk here. Every 100 ms. */
void kh_view_tick(kh_view *v);
const kh_store_driver *kh_view_driver(kh_view *v); /* submissions of the bank: kh_store_drive */
/* ---- what is asked ---- */
uint32_t kh_view_party(const kh_view *v);
uint64_t kh_view_height(kh_view *v); /* the attested height that it stands for */
/* kh_view_whole: false: what the view does not hold may all the same have been: this node began with a given order, and not all
   that its bank was told up to there is here. coming: it may come yet: something that was ordered up to there and is not taken.
   lacking: so many outputs at the front are gone for good: no hub had them any more, and the view, which was empty, began behind
   them. */
typedef struct kh_view_gap {
    uint64_t base; /* height of the given order; 0: none */
    uint64_t lacking;
    bool coming;
} kh_view_gap;
bool kh_view_whole(kh_view *v, kh_view_gap *ret);
/* kh_view_opening_lacks: the genesis says what this view begins with, and it is not here, nor was: what the bank had before is
   asked of hubs. */
bool kh_view_opening_lacks(kh_view *v);
typedef struct kh_view_line {
    kh_paper_text paper; /* number_n 0: not told, the key names it */
    kh_receipt_line line;
} kh_view_line;
typedef struct kh_view_financing {
    uint64_t id, amount, repaid, height; /* height: final since; of the opening's: of its last change, before the genesis */
    uint64_t hold_ns;                    /* block time at which its hold began: of APPLIED, ACCEPTED, APPROVED; else 0 */
    uint32_t enterprise, version, line_cnt;
    kh_currency currency;
    uint8_t state;
    bool whole; /* false: it began before the genesis, and what it was then is not here */
    char product[KH_PRODUCT_MAX + 1];
    const kh_view_line *lines;
} kh_view_financing;
/* kh_view_find calls f with the lock held; false: there is none. */
bool kh_view_find(kh_view *v, uint64_t id, void (*f)(void *ctx, const kh_view_financing *financing), void *ctx);
/* kh_view_each: financings with an id above `after`, ascending, while f returns true; with the lock held. from_first: the one of
   id 0 too. */
void kh_view_each(kh_view *v, bool from_first, uint64_t after, bool (*f)(void *ctx, const kh_view_financing *financing),
                  void *ctx);
typedef struct kh_view_alert {
    uint64_t height, number, time_ns; /* number: of the output */
    kh_notice notice;
    kh_paper_text paper;
} kh_view_alert;
void kh_view_alerts(kh_view *v, uint64_t after_number, bool (*f)(void *ctx, const kh_view_alert *alert), void *ctx);
/* kh_view_proof: where the newest receipt that changed a financing stands, with the package (malloc'ed) that shows it. */
KH_MUST kh_err kh_view_proof(kh_view *v, uint64_t financing, uint64_t *ret_height, uint32_t *ret_item, uint8_t **ret_package,
                             size_t *ret_n);
typedef struct kh_view_counts {
    uint64_t height, durable_height, outputs, financings, alerts, waiting, taken, dropped, asked, answered,
        answer_ns,         /* own batches answered; from their block until then, summed */
        replied, reply_ns; /* submissions; from their coming until then */
} kh_view_counts;
void kh_view_count(kh_view *v, kh_view_counts *ret);
#endif
