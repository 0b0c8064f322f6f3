/* parts: what the files of the view share with each other, and nobody else includes.
 *
 *   view        life cycle, its thread, what is asked                view.c
 *   take        packages: opened, held, judged, taken                take.c, judge.c
 *   answer      own submissions until their receipts are final       answer.c
 *   table       financings in compact form, by number and in order   table.c
 *   state       what an output changes                               state.c
 *   opening     what it begins with where a directory moved up       opening.c
 *   disk        segments of sealed records, snapshots, recovery      disk.c, snapshot.c, recover.c
 *
 * Lock: `lock` covers all of kh_view but what is marked. While it is held nothing of the node is called; the kept order may be.
 */
#ifndef KH_VIEW_PARTS_H
#define KH_VIEW_PARTS_H
#include <pthread.h>
#include "base/spool.h"
#include "view/view.h"

/* ---- financings ---- */
typedef struct kh_view_fin { /* one, with its texts and lines behind */
    uint64_t id, amount, repaid, height, hold_ns;
    uint64_t receipt_height; /* of the newest receipt that changed it, which is output `item` there; 0: none since the genesis */
    uint32_t item, enterprise, version, line_cnt, rest_sz;
    kh_currency currency;
    uint8_t state, product_n;
    uint8_t rest[]; /* product; a line each: KH_VIEW_LINE_SZ bytes, number, issuer */
} kh_view_fin;
#define KH_VIEW_LINE_SZ 40u /* key 16, amount 8, allocated 8, currency 2, code 2, kind 1, number_n 1, issuer_n 1, 0 */
typedef struct kh_view_slot {
    uint32_t row, hash; /* row + 1, 0: empty; the number's, so that another number's row is not looked at */
} kh_view_slot;
typedef struct kh_view_table {
    kh_view_fin **rows;
    kh_view_slot *slots;
    uint64_t *sorted; /* ids of the first sorted_cnt rows, ascending */
    uint32_t cnt, cap, slot_cnt, sorted_cnt, sorted_cap;
} kh_view_table;
void kh_view_table_free(kh_view_table *t);
kh_view_fin **kh_view_table_find(kh_view_table *t, uint64_t id);      /* NULL: none */
void kh_view_table_prefetch(const kh_view_table *t, uint64_t id);     /* of what find will touch first */
KH_MUST kh_err kh_view_table_add(kh_view_table *t, kh_view_fin *fin); /* its id is not there yet; takes it over */
/* kh_view_table_order makes `sorted` cover all rows. */
KH_MUST kh_err kh_view_table_order(kh_view_table *t);
/* kh_view_fin_lines gives lines one after the other: *at begins at NULL; false at the end. The line's place may be written to. */
bool kh_view_fin_line(kh_view_fin *fin, uint8_t **at);
bool kh_view_fin_sound(const kh_view_fin *fin); /* of bytes from the disk */

/* ---- alerts ---- */
typedef struct kh_view_told {
    uint64_t height, number, time_ns;
    kh_notice notice;
    uint8_t kind, number_n, issuer_n, has_paper;
    char texts[]; /* number, issuer */
} kh_view_told;

/* ---- packages on disk ---- */
typedef struct kh_view_place {
    uint64_t height, time_ns, offset, number; /* number: of the record in its segment */
    uint32_t segment, size;                   /* size: of the record's text; segment 0: not on disk yet */
    uint8_t *bytes;                           /* not on disk yet: the package */
} kh_view_place;
#define KH_VIEW_TEXT_HEAD_SZ 16u /* of a package's record: height, block time */
#define KH_VIEW_SEGMENT_SZ (64u << 20)
#define KH_VIEW_SEGMENTS_MAX (1u << 20) /* the highest name: 64 TiB, or so many starts; nothing is written above, nor opened */
#define KH_VIEW_UNSAVED_SZ (256u << 20) /* nothing more is taken before the disk has some of it */
#define KH_VIEW_ID_SZ 32u
typedef struct kh_view_segment {
    kh_file *file;
    uint32_t name;
    uint64_t end, next_number;
    uint8_t id[KH_VIEW_ID_SZ];
} kh_view_segment;

/* ---- packages that wait ---- */
typedef struct kh_view_parcel { /* as it came */
    struct kh_view_parcel *next;
    uint32_t hub;
    size_t n;
    uint8_t bytes[];
} kh_view_parcel;
typedef struct kh_view_held { /* opened and read */
    uint32_t hub, gap_ticks;
    bool gap; /* it does not go on where the view stands */
    size_t n;
    uint8_t *bytes;
    kh_package package;
} kh_view_held;

/* ---- submissions ---- */
typedef struct kh_view_submission {
    struct kh_view_submission *next;
    uint64_t ticket, at_ns;
    uint32_t op_cnt, told;
    kh_store_reply reply;
    void *ctx;
} kh_view_submission;
typedef struct kh_view_batch { /* an own batch that was ordered and is not answered yet */
    struct kh_view_batch *next;
    uint8_t digest[32];
    uint64_t height, at_ns; /* at_ns: monotonic, when it was ordered */
    uint32_t n;
    struct kh_view_piece {
        uint64_t ticket;
        uint32_t op_cnt;
        bool own; /* a submission of the view's */
    } pieces[];
} kh_view_batch;

/* ---- what the node brings, until it is fetched ---- */
typedef struct kh_view_news {
    struct kh_view_news *next;
    kh_attestation said;
} kh_view_news;
typedef struct kh_view_inbox {
    pthread_mutex_t lock; /* may be taken with the view's held, not the other way round */
    pthread_cond_t stir;
    bool stirred, no_memory;
    kh_view_parcel *first, *last;
    uint32_t parcel_cnt, statement_cnt, dropped;
    size_t parcel_sz;
    kh_view_news *statements, **statements_end;
    kh_view_batch *ordered, **ordered_end;
} kh_view_inbox;

typedef struct kh_view_warning { /* gathered with the lock held, told without */
    const char *word;
    uint32_t member;
    uint64_t height;
} kh_view_warning;
#define KH_VIEW_WARNINGS 64u

struct kh_view {
    kh_view_options options;
    uint8_t chain[32], disk_secret[32];
    char dir[480];
    kh_store_driver driver;
    pthread_mutex_t lock;
    pthread_cond_t done;
    pthread_t thread;
    bool has_thread, closing, save_due, ask_now;
    bool opened; /* what it begins with is in it, or was */
    /* what is known */
    uint64_t height, count, highest; /* highest: of the statements told */
    uint64_t begins;                 /* so many outputs at the front lack for good */
    uint64_t owed, owed_base;        /* up to where outputs come of what a given order holds, whose height is owed_base */
    uint8_t head[32];
    kh_view_table fins;
    kh_view_told **alerts;
    uint32_t alert_cnt, alert_cap;
    kh_view_place *places; /* packages with outputs, ascending heights */
    uint32_t place_cnt, place_cap, saved_cnt;
    size_t unsaved_sz;
    /* what came */
    kh_view_inbox inbox;
    size_t waiting_sz; /* held */
    kh_view_held held[KH_VIEW_WAITING];
    uint32_t held_cnt;
    kh_attestation *statements; /* KH_VIEW_STATEMENTS, ascending heights */
    uint32_t statement_cnt;
    /* own submissions */
    kh_view_submission *submissions, **submissions_end;
    kh_view_batch *batches;
    uint64_t next_ticket;
    /* asking */
    uint32_t ticks, ticks_still, asked_nth, bad_hub;
    uint64_t told_durable;
    kh_view_warning warnings[KH_VIEW_WARNINGS];
    uint32_t warning_cnt;
    kh_view_counts counts;
    kh_output output;                 /* scratch */
    kh_view_line lines[KH_LINES_MAX]; /* scratch */
    /* the disk: of the thread that works alone */
    kh_view_segment segment;
    kh_spool out; /* what is written next */
    uint64_t since_snapshot;
    uint32_t last_segment; /* the highest name */
    kh_err failed;         /* not KH_OK: nothing more is taken */
};

void kh_view_warn(kh_view *v, const char *word, uint32_t member, uint64_t height);

/* ---- inbox ---- */
void kh_view_inbox_open(kh_view_inbox *in);
void kh_view_inbox_close(kh_view_inbox *in);
void kh_view_stir(kh_view *v); /* there is something to do; whatever else is held */
void kh_view_rest(kh_view *v); /* until there is */
kh_view_parcel *kh_view_parcel_next(kh_view *v);
void kh_view_fetch(kh_view *v); /* statements and ordered batches; lock held */

/* ---- take ---- */
/* kh_view_work opens what came and takes what can be taken; no lock held. */
void kh_view_work(kh_view *v);
void kh_view_held_drop(kh_view *v, uint32_t i);
const kh_attestation *kh_view_statement(const kh_view *v, uint64_t height);
void kh_view_statement_add(kh_view *v, const kh_attestation *a);
typedef enum kh_view_verdict { KH_VIEW_TAKE, KH_VIEW_WAIT, KH_VIEW_GAP, KH_VIEW_DROP } kh_view_verdict;
/* kh_view_judge: may this package be taken now? DROP: *ret_word says why; NULL: that names nobody. *ret_time: of its block. */
kh_view_verdict kh_view_judge(kh_view *v, const kh_view_held *held, const char **ret_word, uint64_t *ret_time_ns);

/* kh_view_may_begin: it is empty, behind an order that was given: outputs that no hub has any more need not come first.
   kh_view_begin begins with a package whose statement is there. */
bool kh_view_may_begin(const kh_view *v);
void kh_view_begin(kh_view *v, const kh_package *package);

/* ---- answer ---- */
void kh_view_answer_start(kh_view *v);
/* kh_view_answer answers the batches of the height out of its package. */
void kh_view_answer(kh_view *v, const kh_package *package, uint64_t time_ns);
/* kh_view_answer_late answers batches whose height was taken before they were told. */
void kh_view_answer_late(kh_view *v);
void kh_view_answer_none(kh_view *v);                       /* closing */
void kh_view_batches_add(kh_view *v, kh_view_batch *first); /* ordered ones, a list, taken over */
const kh_view_batch *kh_view_batch_of(const kh_view *v, const uint8_t digest[32]);
/* kh_view_for_all: a receipt that stands for all operations of its batch. */
bool kh_view_for_all(const kh_receipt *receipt);

/* ---- state ---- */
/* kh_view_apply takes a package over: all of its outputs decode, else KH_E_FORMAT and nothing is changed. After KH_E_NOMEM the
   view is good for nothing more. */
KH_MUST kh_err kh_view_apply(kh_view *v, const kh_package *package, uint64_t time_ns);
/* kh_view_opens takes a financing of the opening over. */
KH_MUST kh_err kh_view_opens(kh_view *v, const kh_output *o);
KH_MUST kh_err kh_view_told_add(kh_view *v, kh_view_told *told); /* takes it over */

/* ---- opening ---- */
bool kh_view_opening_said(const kh_view *v);  /* by the genesis */
bool kh_view_opening_there(const kh_view *v); /* there is a file of it */
/* kh_view_opening_take: into an empty view; KH_E_NOT_FOUND: there is no file; KH_E_FORMAT with a sentence in why: not what the
   genesis says. */
KH_MUST kh_err kh_view_opening_take(kh_view *v, char *why, size_t cap);

/* ---- disk: without the lock, or while nobody else is there ---- */
KH_MUST kh_err kh_view_recover(kh_view *v, char *why, size_t cap);
/* kh_view_save writes what is not on disk yet and syncs; a snapshot now and then, and at closing. */
void kh_view_save(kh_view *v);
/* kh_view_package_at: the package of a height (malloc'ed); KH_E_NOT_FOUND: it had no outputs. Lock held. */
KH_MUST kh_err kh_view_package_at(kh_view *v, uint64_t height, uint8_t **ret, size_t *ret_n, uint64_t *ret_time_ns);
KH_MUST kh_err kh_view_place_add(kh_view *v, const kh_view_place *place);

/* A file of sealed records: head {magic, 0, id}, then each {magic, text size, number, check of these}, tag, text. A record's key
   is of the file's id and its number; no number is used twice in a file, and a file is never opened for writing again. */
#define KH_VIEW_HEAD_SZ 64u
#define KH_VIEW_RECORD_SZ 24u
#define KH_VIEW_TEXT_MAX (256u << 20)
KH_MUST kh_err kh_view_file_new(kh_view *v, const char *name, kh_view_segment *ret);
KH_MUST kh_err kh_view_file_open(kh_view *v, const char *name, kh_view_segment *ret); /* for reading; end: its size */
void kh_view_file_close(kh_view *v, kh_view_segment *file);
/* kh_view_record_room: where the text of the file's next record is laid, up to n bytes; good until the next call. NULL: no
   memory. kh_view_record_write seals what lies there and writes it at the end; not durable yet. */
uint8_t *kh_view_record_room(kh_view *v, const kh_view_segment *file, size_t n);
KH_MUST kh_err kh_view_record_write(kh_view *v, kh_view_segment *file, uint8_t *text, size_t n);
/* kh_view_record_read: *ret malloc'ed; *ret_next: where the next begins. KH_E_NOT_FOUND: the file ends here; KH_E_AGAIN: in the
   middle of a record; KH_E_DAMAGED. */
KH_MUST kh_err kh_view_record_read(kh_view *v, const kh_view_segment *file, uint64_t offset, uint64_t number, uint8_t **ret,
                                   size_t *ret_n, uint64_t *ret_next);
char *kh_view_path(const kh_view *v, const char *name, char ret[512]);
void kh_view_segment_name(uint32_t segment, char ret[32]);
KH_MUST kh_err kh_view_snapshot_make(kh_view *v); /* lock held, everything saved */
/* kh_view_snapshot_load: KH_E_NOT_FOUND: none, or none that is whole, or one without the opening that is there by now; the view
   is as new then. *ret_covered: segments up to it. */
KH_MUST kh_err kh_view_snapshot_load(kh_view *v, uint32_t *ret_covered);
void kh_view_forget(kh_view *v); /* all that is known */
#endif
