/* wal: what the parts of the write-ahead log share.
 *
 *   wal_segment.c  the files: names, list, making the next one with zeros ahead
 *   wal_scan.c     walking records through a window on the segments
 *   wal_recover.c  opening: the longest valid chain, damage against a torn tail
 *   wal_replay.c   giving entries again
 *   wal_pipe.c     the same, with a thread that reads ahead
 *   wal.c          submitting, acknowledging, marks, closing */
#ifndef KH_LOG_WAL_H
#define KH_LOG_WAL_H
#include "log/wal_format.h"
#include <stdatomic.h>

#define KH_WAL_PATH_SZ 4096
#define KH_WAL_INDEX_STEP_SZ (UINT64_C(256) << 10)
#define KH_WAL_SLOT_CNT (2 * KH_LOG_IN_FLIGHT_MAX) /* in flight, and lent to the caller by the last poll */
#define KH_WAL_ZERO_STEP_SZ (UINT32_C(1) << 20)
#define KH_WAL_TAG_ZEROS UINT64_C(0x7a65726f73000000)

typedef struct kh_wal_segment {
    uint64_t size;
    uint64_t start;     /* bytes of all segments before it */
    kh_file *file;      /* open for durable writes, or NULL */
    uint32_t in_flight; /* writes on it */
} kh_wal_segment;

/* Where something is: segments are numbered from 0 without gaps, so a number is also the place in the array. */
typedef struct kh_wal_place {
    uint64_t segment;
    uint64_t offset;
} kh_wal_place;

/* The end of a chain: what the next record must continue. */
typedef struct kh_wal_cursor {
    kh_wal_place at; /* where the next record would be */
    uint64_t height, time_ns, sequence;
    uint32_t epoch;
    bool marked; /* the last record is a mark */
    uint8_t digest[32];
} kh_wal_cursor;

typedef enum kh_wal_slot_state { KH_WAL_FREE, KH_WAL_WRITING, KH_WAL_WRITTEN, KH_WAL_LENT } kh_wal_slot_state;
typedef struct kh_wal_slot {
    kh_wal_slot_state state;
    kh_err err;
    kh_entry entry;
    uint64_t segment;
    uint8_t *buf;
    size_t buf_sz;
} kh_wal_slot;

/* The segment being made ahead: its file has a temporary name until all of it is zero and durable. */
typedef struct kh_wal_ahead {
    kh_file *file; /* NULL: none */
    uint64_t size, written;
    bool writing;
    kh_err err;
} kh_wal_ahead;

struct kh_log {
    kh_disk disk;
    char *dir;
    bool read_only;
    bool uncached;    /* replays read past the file cache */
    bool reads_ahead; /* replays have a thread that reads */
    bool failed;
    kh_wal_segment *segments;
    uint64_t segment_cnt, segment_cap;
    kh_wal_cursor begin;  /* before the first record; of a log made behind an entry, after that entry's mark */
    kh_wal_cursor end;    /* of all that was submitted */
    kh_wal_cursor *index; /* sparse: the chain as it stood before some records, for finding a height without reading all */
    uint64_t index_cnt, index_cap;
    kh_wal_slot slots[KH_WAL_SLOT_CNT];
    uint32_t first, in_flight;     /* slots in order of submission: [first, first + in_flight) modulo KH_WAL_SLOT_CNT */
    uint32_t lent;                 /* those before first that the caller still reads */
    _Atomic uint64_t durable_upto; /* released by the owner, acquired by any reader */
    kh_wal_ahead ahead;
    uint8_t *zeros; /* one step of zeros, page aligned; NULL until needed */
};

/* --- segments --- */
/* kh_wal_path writes "DIR/<number>.wal", or ".new" for one that is being made. */
KH_MUST kh_err kh_wal_path(const char *dir, uint64_t number, bool making, char ret[KH_WAL_PATH_SZ]);
/* kh_wal_segments_load lists and checks the segments of log->dir that are not known yet. */
KH_MUST kh_err kh_wal_segments_load(kh_log *log, kh_log_open_report *report);
/* kh_wal_segment_make makes segment `number` now, all of it durable, and adds it. need_sz: the record it must hold. */
KH_MUST kh_err kh_wal_segment_make(kh_log *log, uint64_t need_sz);
/* kh_wal_ahead_step goes on making the next segment, never waiting. */
void kh_wal_ahead_step(kh_log *log);
void kh_wal_ahead_done(kh_log *log, kh_err err);
void kh_wal_ahead_drop(kh_log *log);
/* kh_wal_segment_open opens one for durable writes; kh_wal_segment_retire closes it when nothing is in flight on it. */
KH_MUST kh_err kh_wal_segment_open(kh_log *log, uint64_t number);
void kh_wal_segment_retire(kh_log *log, uint64_t number);

/* --- scanning --- */
typedef struct kh_wal_window {
    const kh_log *log;
    kh_file *file;
    uint64_t segment;
    uint64_t at; /* offset of buf[0] */
    size_t n, cap;
    size_t step_sz; /* bytes read at a time */
    bool uncached;
    uint8_t *buf;
} kh_wal_window;
typedef enum kh_wal_depth { KH_WAL_HEADERS, KH_WAL_BODIES, KH_WAL_CHAIN } kh_wal_depth; /* what is checked beside headers */
typedef struct kh_wal_record {
    kh_wal_header header;
    kh_wal_place at;
    const uint8_t *body; /* in the window until its next use; NULL when only headers are read */
} kh_wal_record;
/* What ended a chain, in words, and where. */
typedef struct kh_wal_break {
    const char *why;
    kh_wal_place at;
} kh_wal_break;

KH_MUST kh_err kh_wal_window_init(kh_wal_window *window, const kh_log *log, size_t step_sz);
void kh_wal_window_free(kh_wal_window *window);
/* kh_wal_window_get gives n bytes at a place that lies wholly in its segment; valid until the next call. */
KH_MUST kh_err kh_wal_window_get(kh_wal_window *window, kh_wal_place at, size_t n, const uint8_t **ret);
/* kh_wal_next reads the record that continues the chain and moves the cursor behind it. KH_E_NOT_FOUND: the chain ends here. */
KH_MUST kh_err kh_wal_next(kh_wal_window *window, kh_wal_depth depth, kh_wal_cursor *cursor, kh_wal_record *ret,
                           kh_wal_break *ret_break);
/* A replay's way through the log. */
typedef struct kh_wal_walk {
    kh_wal_window window;
    kh_wal_cursor cursor;
    uint64_t from, last; /* heights that are given */
    kh_wal_break end;    /* broken: the chain ended before `last`, here */
    bool broken;
} kh_wal_walk;
/* kh_wal_walk_next: the next entry, whose body stays until the call after; or *ret_end. KH_E_DAMAGED: broken is set. */
KH_MUST kh_err kh_wal_walk_next(kh_wal_walk *walk, kh_entry *ret, bool *ret_end);
/* kh_wal_pipe gives all of a walk's entries to `each`, in order and on the caller's thread, until its first error; a thread of
   its own reads and checks those to come. */
KH_MUST kh_err kh_wal_pipe(kh_wal_walk *walk, kh_err (*each)(void *ctx, const kh_entry *entry), void *ctx);
/* kh_wal_begin finds the cursor at which a log begins: its first record, or behind it where that is the mark of an entry that is
 * not there. */
KH_MUST kh_err kh_wal_begin(kh_wal_window *window, kh_wal_cursor *ret);
/* kh_wal_index_add remembers the chain before a record, if it is a step behind the last one. Running out of memory is no error.
 */
void kh_wal_index_add(kh_log *log, const kh_wal_cursor *before);
/* kh_wal_index_find gives the last remembered cursor whose height is below `height`. */
const kh_wal_cursor *kh_wal_index_find(const kh_log *log, uint64_t height);
static inline uint64_t kh_wal_bytes_upto(const kh_log *log, kh_wal_place at)
{
    return log->segments[at.segment].start + at.offset;
}
/* kh_wal_say fills in a report. */
void kh_wal_say(const kh_log *log, kh_log_open_report *report, const char *why, kh_wal_place at);

/* --- opening --- */
KH_MUST kh_err kh_wal_recover(kh_log *log, kh_log_open_report *report);
/* kh_wal_mark_write writes a mark at the log's end, durable when it returns. */
KH_MUST kh_err kh_wal_mark_write(kh_log *log);
/* kh_wal_make_room finds the place of a record of sz bytes at the log's end, in a new segment if need be. */
KH_MUST kh_err kh_wal_make_room(kh_log *log, uint64_t sz, kh_wal_place *ret);
void kh_wal_free(kh_log *log);
#endif
