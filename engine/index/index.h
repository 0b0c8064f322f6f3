/* index: the map from a 16-byte document key to its 64-byte record.
 *
 * Buckets of one cache line hold 16-bit tags and 32-bit record numbers; records lie in their own region and never move.
 * Placement is keyed by the data directory's secret: nobody can choose a bucket, and nothing outside may depend on it.
 * All memory lies in regions of kh_state, so that an image can be mapped again.
 *
 * Order    O1: a put (or swap) that returned before a get began is seen by it.
 *          O2: one thread's gets of one key never go back in time.
 *          O3: a record's quad is read whole: 16 bytes written by one store are never seen half.
 * Threads  [W] the one writer.  [R] a registered urcu-qsbr reader that is online.  [C] the reclaiming thread.
 *          Readers register, announce quiescent states and go offline by reader.h.
 * Memory   record 0 is the null record, all zero: it is never given, and a look-up that finds nothing points to it.
 *          A record number taken away is reused only after a grace period AND a fixed number of entries later, so that
 *          every replay gives the same numbers.
 * Errors   put: KH_E_FULL. Look-ups cannot fail.
 * Cost     bulk get: two overlapped cache misses a hit, one a miss. */
#ifndef KH_INDEX_INDEX_H
#define KH_INDEX_INDEX_H

#include "base/base.h"
#include "mem/state.h"

#define KH_BULK_MAX 64
#define KH_RECORD_NONE UINT32_MAX
#define KH_RECORD_REUSE_AFTER 64 /* entries (heights) between freeing a record number and its reuse */

/* The hot quad: everything of a balance that changes often; written by one 16-byte store. */
typedef struct kh_quad {
    _Alignas(16) uint64_t taken; /* held + used + consumed, minor units */
    uint32_t updates;            /* raised by one with each store */
    uint16_t version;            /* the document's, modulo 65,536; the cold row has all of it */
    uint8_t status;              /* kh_status */
    uint8_t flags;               /* KH_REC_* */
} kh_quad;

enum {
    KH_REC_OVER_LIMIT = 1, /* taken > cap, or the group's */
    KH_REC_GROUP = 2,      /* free needs the link group's row */
    KH_REC_SIMILAR = 4,
    KH_REC_FROZEN = 8,
    KH_REC_ALIAS = 16,  /* base and cap hold the 16 bytes of the key meant (low half in cap); see ledger */
    KH_REC_ACTIVE = 32, /* the cold row has holds or loans */
    KH_REC_MORE = 64    /* the document has further records (next) */
};

/* One record = one balance of one document = one cache line. All but the quad and `next` is written before the record is
   published and not changed while readers can reach it (rare changes: a new record, swapped in). */
typedef struct kh_record {
    kh_key key;
    kh_quad quad;
    uint64_t cap;         /* minor units */
    uint64_t base;        /* minor units */
    uint32_t owner_check; /* doc/key.h: kh_owner_check */
    kh_date date;
    uint16_t currency; /* ISO 4217 numeric, 0 = a document without any amount */
    uint32_t next;     /* record number of the document's next balance (not in the map itself), or KH_RECORD_NONE */
    uint32_t cold;     /* ledger's row */
} kh_record;
_Static_assert(sizeof(kh_record) == 64 && offsetof(kh_record, quad) == 16 && offsetof(kh_record, cap) == 32 &&
                   offsetof(kh_record, owner_check) == 48 && offsetof(kh_record, next) == 56,
               "layout is in docs/FORMAT.md");

typedef struct kh_index kh_index;

/* kh_index_regions writes the specs of the index's regions for up to `documents` records; returns their count. */
uint32_t kh_index_regions(uint64_t documents, kh_region_spec ret_specs[8]);
/* kh_index_open binds an index to a state whose regions were initialised, empty or loaded from an image. `mem` is
   kh_index_footprint() bytes lent by the caller, 64-byte aligned. */
size_t kh_index_footprint(void);
KH_MUST kh_err kh_index_open(kh_state *state, const uint8_t secret[16], void *mem, kh_index **ret_index);

/* kh_index_headroom writes, by region (KH_REGION_INDEX_HEAD to 7), the bytes that must be backed for n further allocations and
   puts at worst: each put may split another segment. [W] */
void kh_index_headroom(const kh_index *ix, uint64_t n, uint64_t ret_bytes[8]);

/* --- [W] --- */
/* kh_index_alloc gives a record number at the given height (1 and up, never falling), its 64 bytes zero, or KH_RECORD_NONE when
 * full. */
uint32_t kh_index_alloc(kh_index *ix, uint64_t height);
/* kh_index_retire frees a record number that no slot and no chain names any more. */
void kh_index_retire(kh_index *ix, uint32_t record, uint64_t height);
/* kh_index_put publishes record under its own key, which must not be present. */
KH_MUST kh_err kh_index_put(kh_index *ix, uint32_t record);
/* kh_index_swap replaces the record under key(old) == key(new); old stays readable until retired and grace is over. */
void kh_index_swap(kh_index *ix, uint32_t old_record, uint32_t new_record);
void kh_index_remove(kh_index *ix, uint32_t record);
/* kh_index_find gives the record number of key, or KH_RECORD_NONE. Also [R]. */
uint32_t kh_index_find(const kh_index *ix, const kh_key *key);
/* prefetch of what find will touch: first the bucket, then (later) the record. */
void kh_index_prefetch_bucket(const kh_index *ix, const kh_key *key);
void kh_index_prefetch_record(const kh_index *ix, const kh_key *key);
/* kh_index_find_bulk: any n, staged like get_bulk; ret_records[i] = number or KH_RECORD_NONE. */
void kh_index_find_bulk(const kh_index *ix, const kh_key keys[], uint32_t n, uint32_t ret_records[]);
/* A look-up in three steps, for a writer that has other work to do in between: begin fetches the keys' buckets, match the records
 * that these name, end compares. Within one entry the map may change between the steps: a key that came meanwhile may not be
 * found, one that went or was given another record may still be found with the one it had. */
typedef struct kh_search {
    const void *bucket;
    uint32_t record, filter;
    uint16_t tag;
    bool again; /* a second look is needed where the record is not the one sought */
} kh_search;
void kh_index_search_begin(const kh_index *ix, const kh_key keys[], uint32_t n, kh_search searches[]);
void kh_index_search_match(const kh_index *ix, uint32_t n, kh_search searches[]);
/* kh_index_search_end takes the keys that began; ret_records[i] = number or KH_RECORD_NONE. */
void kh_index_search_end(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_search searches[], uint32_t ret_records[]);
/* kh_index_settle ends an entry: waits (rarely) until the grace period covers what the next alloc may reuse. */
void kh_index_settle(kh_index *ix, uint64_t height);
kh_record *kh_index_record(const kh_index *ix, uint32_t record);
uint64_t kh_index_count(const kh_index *ix);

/* --- [C] kh_index_reclaim_step runs synchronize_rcu once if anything waits and publishes the height covered; returns
       whether there was anything. If no thread calls it the writer, when it must wait, runs the grace period itself. Where there
       will never be readers kh_index_reclaim_none() makes the writer never wait. --- */
bool kh_index_reclaim_step(kh_index *ix);
void kh_index_reclaim_none(kh_index *ix);

/* --- [R] kh_index_get_bulk looks up n keys, 1 <= n <= KH_BULK_MAX. Bit i of the result is set, and recs[i] points to
       the record, exactly when keys[i] is present; else recs[i] is a static null record. Valid until this thread's next
       quiescent state. --- */
uint64_t kh_index_get_bulk(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[]);
/* kh_index_get_many is get_bulk for any n: the longer, the less of the time goes into filling and draining the stages. Returns
   how many are present; ret_recs[i] is kh_index_null() where keys[i] is not. [R] */
uint64_t kh_index_get_many(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[]);
const kh_record *kh_index_null(const kh_index *ix);
/* kh_index_at is for readers that follow `next`: valid as long as the record it came from. */
const kh_record *kh_index_at(const kh_index *ix, uint32_t record);

/* kh_quad_load / kh_quad_store: one 16-byte access (AVX; Intel SDM vol. 3A 8.1.1, AMD APM vol. 2 7.3.2). */
kh_quad kh_quad_load(const kh_record *rec);
void kh_quad_store_words(kh_record *rec, uint64_t low, uint64_t high);
/* The words are put together in registers: read back from memory as one they would wait for all stores before them. */
static inline uint64_t kh_quad_high(kh_quad quad)
{
    return (uint64_t)quad.updates | (uint64_t)quad.version << 32 | (uint64_t)quad.status << 48 | (uint64_t)quad.flags << 56;
}
static inline void kh_quad_store(kh_record *rec, kh_quad quad) { kh_quad_store_words(rec, quad.taken, kh_quad_high(quad)); }

#endif
