/* log: the seam. Batches of operations go in, decided entries come out in one order; nothing above knows the backend.
 *
 * Here: the local write-ahead log (`wal`): segments DIR/log/%016x.wal written with zeros ahead, several durable writes in flight,
 * acknowledged in order. Each entry: length, height, time, sequence, epoch, durable_upto, previous digest, digest, checksum
 * (docs/FORMAT.md, byte by byte).
 *
 * Order    heights are dense and rise by one; poll_decided reports them in that order, each only when it and all before are
 * durable. Disk     while a log is open for writing, what is submitted to its disk and polled from it is the log's alone; others
 * use the synchronous calls, or a disk of their own. Threads  one thread owns a log; durable_upto may be read by any. Errors   a
 * failed write or sync is final: KH_E_CLOSED from then on. open: KH_E_DAMAGED with a place and a reason. */
#ifndef KH_LOG_LOG_H
#define KH_LOG_LOG_H
#include "base/base.h"
#include "base/effects.h"

#define KH_ENTRY_MAX_SZ (4u << 20)
#define KH_LOG_IN_FLIGHT_MAX 32

typedef struct kh_entry {
    uint64_t height;  /* from 1 */
    uint64_t time_ns; /* block time, never falls */
    uint32_t op_cnt;
    uint32_t body_sz;
    const uint8_t *body; /* operations, wire frames back to back */
    uint8_t digest[32];  /* the head of the hash chain after this entry: SHA-256(previous digest, header, body) */
} kh_entry;

typedef struct kh_log kh_log;
typedef struct kh_log_open_report {
    uint64_t height;        /* of the last entry */
    uint64_t time_ns;       /* its time */
    uint8_t digest[32];     /* head of the chain; zeros if empty */
    uint64_t durable_floor; /* in: recovery below this height is damage (0: unknown) */
    uint64_t begins;        /* in: the height that the log must begin behind; 0: its first entry is of height 1 */
    bool cuts;              /* in: what is above durable_floor is taken away, durable or not; for writing */
    bool uncached;          /* in: entries are replayed past the machine's file cache, where the disk can; for reading */
    bool reads_ahead;       /* in: a long replay has a thread that reads and checks ahead of the caller; the disk allows it */
    uint64_t cut_bytes;     /* a torn tail that was never acknowledged and was cut */
    uint32_t epoch;
    char why[200];   /* on KH_E_DAMAGED: what is wrong */
    char where[120]; /* file name and byte offset */
} kh_log_open_report;

/* kh_log_create makes an empty log in dir (which exists and is empty). */
KH_MUST kh_err kh_log_create(const kh_disk *disk, const char *dir);
/* kh_log_create_behind makes one that goes on behind an entry which is not in it: of this height (not 0), time and digest. Its
 * first record is that entry's mark, which tells it from a log that lost its beginning. */
KH_MUST kh_err kh_log_create_behind(const kh_disk *disk, const char *dir, uint64_t height, uint64_t time_ns,
                                    const uint8_t digest[32]);
/* kh_log_open recovers and opens for writing. read_only: nothing is cut, written or raised; entries above durable_floor are
 * ignored. */
KH_MUST kh_err kh_log_open(const kh_disk *disk, const char *dir, bool read_only, kh_log_open_report *report, kh_log **ret);
/* kh_log_advance makes entries that a writer made durable since then readable in a log that was opened read_only, through height
   upto, which is known to be durable. KH_E_DAMAGED: they are not there. */
KH_MUST kh_err kh_log_advance(kh_log *log, uint64_t upto);
/* kh_log_replay gives entries from height `from` on, or from the log's first, (through `upto` inclusive) in order; stops at the
   first error of each. Checks the chain as it goes: KH_E_DAMAGED fills report's why and where. Also while open for writing
   (before the first submit). */
KH_MUST kh_err kh_log_replay(kh_log *log, uint64_t from, uint64_t upto, kh_err (*each)(void *ctx, const kh_entry *entry),
                             void *ctx, kh_log_open_report *report);
/* kh_log_submit takes one entry: body is copied. KH_E_AGAIN when KH_LOG_IN_FLIGHT_MAX are in flight. *ret: height and digest. */
KH_MUST kh_err kh_log_submit(kh_log *log, uint64_t time_ns, const uint8_t *body, uint32_t body_sz, uint32_t op_cnt,
                             kh_entry *ret);
/* kh_log_poll_decided gives up to max entries that became durable, in order; bodies stay valid until the next call. */
KH_MUST kh_err kh_log_poll_decided(kh_log *log, kh_entry *ret, uint32_t max, uint64_t wait_ns, uint32_t *ret_n);
/* kh_log_begin_digest: the chain's head before the first entry: zeros, or what the log was made behind. */
const uint8_t *kh_log_begin_digest(const kh_log *log);
uint32_t kh_log_in_flight(const kh_log *log);
uint64_t kh_log_durable_upto(const kh_log *log);
/* kh_log_mark writes the commit mark of an idle or closing log. */
KH_MUST kh_err kh_log_mark(kh_log *log);
void kh_log_close(kh_log *log); /* waits for what is in flight, and marks if it can */
/* kh_log_bytes_since: bytes of entries with height > from, for the decision when to make an image: an estimate, as a
   rule to within 256 KiB. */
uint64_t kh_log_bytes_since(const kh_log *log, uint64_t from);
#endif
