/* layout: how the index lies in its regions, for the index's own files only.
 *
 *   hash (64 bits) = | bucket filter 5 | bucket 10 |  ...  | tag 16, from bit 8 * window | directory, from bit 0 up |
 *
 * An extendible directory names segments; 2^(global depth - local depth) entries name one segment. A segment is 1024
 * buckets of one cache line. The bit that the next split goes by is kept in the tag (the tag begins at bit 8 * (depth / 8)
 * of the hash), so that a split reads the segment only; every eighth doubling the tags are made anew from the keys.
 *
 * Publishing   a slot: tag, then number (release); readers: tags, then number (acquire).
 *              a split: two new segments, then the directory's entries (release); the old segment stays as it is for a grace
 *              period. A reader that used a directory smaller than an entry's depth can miss: it compares the directory's
 *              size after its look-ups (acquire loads keep the order) and looks up its misses again.
 * Entries never move inside a segment that readers can reach. */
#ifndef KH_INDEX_LAYOUT_H
#define KH_INDEX_LAYOUT_H

#include "index/quad.h"

enum {
    KH_REGION_INDEX_SEGMENT_INFO = 6,
    KH_BUCKET_SLOTS = 10,
    KH_SEGMENT_BUCKETS = 1024,
    KH_SEGMENT_SLOTS = KH_BUCKET_SLOTS * KH_SEGMENT_BUCKETS,
    KH_FILTER_BITS = 22,
    KH_NEIGHBOURS = 7,   /* how far from its home bucket an entry may lie */
    KH_DEPTH_MAX = 24,   /* of the directory */
    KH_WINDOW_BITS = 8,  /* splits between two renewals of the tags */
    KH_WINDOW_SHIFT = 30 /* a directory entry: segment number, and above it the window */
};
#define KH_SEGMENT_MASK ((UINT32_C(1) << KH_WINDOW_SHIFT) - 1)
#define KH_SEGMENT_NONE UINT32_MAX
/* Heights between taking a segment out of use and giving its place again. */
#define KH_SEGMENT_REUSE_AFTER 16

/* Number 0 in a slot means empty: record 0 is the null record, all zero, and is never given away. */
typedef struct kh_bucket {
    _Alignas(64) uint16_t tag[KH_BUCKET_SLOTS];
    uint32_t overflow; /* low 22 bits: filter of the keys whose home this is and which lie in a neighbour; high 10: slot holds a
                          guest */
    uint32_t record[KH_BUCKET_SLOTS];
} kh_bucket;
_Static_assert(sizeof(kh_bucket) == 64 && offsetof(kh_bucket, overflow) == 20, "a bucket is one cache line");

typedef struct kh_segment {
    kh_bucket bucket[KH_SEGMENT_BUCKETS];
} kh_segment;
_Static_assert(sizeof(kh_segment) == 65536, "a segment is 64 KiB");

/* What the writer knows of a segment. */
typedef struct kh_segment_info {
    uint64_t freed_height;
    uint32_t entry_cnt;
    uint32_t entry_limit; /* it splits when a put finds this many */
    uint32_t depth;
    uint32_t next_freed; /* in the list of freed segments, oldest first */
    uint64_t zero;
} kh_segment_info;
_Static_assert(sizeof(kh_segment_info) == 32, "layout is in docs/FORMAT.md");

typedef struct kh_freed {
    uint64_t height;
    uint32_t record;
    uint32_t zero;
} kh_freed;
_Static_assert(sizeof(kh_freed) == 16, "layout is in docs/FORMAT.md");

/* The one row of KH_REGION_INDEX_HEAD. */
typedef struct kh_index_head {
    uint64_t version;      /* of this layout */
    uint64_t secret_check; /* the hash of the zero key: another secret does not fit */
    uint64_t entry_cnt;
    uint64_t height;      /* newest seen */
    uint64_t freed_begin; /* the ring of freed record numbers: position of the oldest, count, rows (a power of two) */
    uint64_t freed_cnt;
    uint64_t freed_rows;
    uint32_t depth;          /* the directory has 2^depth entries */
    uint32_t segment_oldest; /* freed segments, or KH_SEGMENT_NONE */
    uint32_t segment_newest;
    uint32_t zero;
    uint64_t zeros[23];
} kh_index_head;
_Static_assert(sizeof(kh_index_head) == 256, "layout is in docs/FORMAT.md");

typedef struct kh_hash_key {
    _Alignas(16) uint8_t round[5][16];
} kh_hash_key;

typedef struct kh_flow kh_flow; /* flow.h */
/* What a variant of the look-up (lookup.c is compiled once for each kind of processor) offers. */
typedef struct kh_lookup {
    uint64_t (*hash)(const kh_hash_key *k, const kh_key *key);
    uint64_t (*bulk)(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_record *ret_recs[]);
    uint64_t (*find)(const kh_index *ix, const kh_key keys[], uint32_t n, uint32_t ret_records[]);
    void (*flow_begin)(const kh_index *ix, kh_flow *flow);
    bool (*flow_step)(kh_flow *flow, const kh_key keys[], const kh_record *ret_recs[]);
    void (*flow_fetch)(kh_flow *flow);
    void (*search_begin)(const kh_index *ix, const kh_key keys[], uint32_t n, kh_search searches[]);
    void (*search_match)(const kh_index *ix, uint32_t n, kh_search searches[]);
    void (*search_end)(const kh_index *ix, const kh_key keys[], uint32_t n, const kh_search searches[], uint32_t ret_records[]);
} kh_lookup;
extern const kh_lookup kh_lookup_portable;
#if defined(__x86_64__)
extern const kh_lookup kh_lookup_aes;
extern const kh_lookup kh_lookup_vaes;
extern const kh_lookup kh_lookup_avx512;
#endif

/* kh_lookup_choose gives the fastest variant that this processor can run. */
kh_lookup kh_lookup_choose(void);

struct kh_index {
    /* read by all, written at open; directory_mask also when the directory doubles */
    const uint32_t *directory;
    kh_segment *segments;
    kh_record *records;
    uint64_t directory_mask;
    kh_lookup lookup;
    kh_hash_key key;
    /* the writer's */
    _Alignas(64) kh_state *state;
    kh_index_head *head;
    kh_segment_info *info;
    kh_freed *freed;
    uint64_t last_freed; /* height of the newest freed thing */
    /* written by the writer, read by the reclaiming thread, and back */
    _Alignas(64) uint64_t pending; /* all that was freed up to this height is out of reach for new readers */
    _Alignas(64) uint64_t covered; /* ... and for all readers */
};

/* kh_hash_expand makes the round keys from the secret (hash.c). */
void kh_hash_expand(const uint8_t secret[16], kh_hash_key *ret_key);
/* kh_aes_round is one AES encryption round without the processor's help: what AESENC does. */
void kh_aes_round(uint8_t state[16], const uint8_t round[16]);
/* kh_index_segment_take gives an all-zero segment, or KH_SEGMENT_NONE when the region is full (segment.c). [W] */
uint32_t kh_index_segment_take(kh_index *ix);
/* kh_index_segment_limit is the fill at which a segment splits. */
uint32_t kh_index_segment_limit(uint64_t prefix, uint32_t depth);
/* kh_index_await waits until everything freed at `height` or before is out of every reader's reach (reclaim.c). [W] */
void kh_index_await(kh_index *ix, uint64_t height);

static inline kh_bucket *kh_bucket_at(const kh_index *ix, uint32_t segment, uint64_t bucket)
{
    return &ix->segments[segment].bucket[bucket & (KH_SEGMENT_BUCKETS - 1)];
}
static inline uint64_t kh_hash_bucket(uint64_t hash) { return (hash >> 48) & (KH_SEGMENT_BUCKETS - 1); }
static inline uint32_t kh_hash_filter(uint64_t hash) { return UINT32_C(1) << (((hash >> 58) * KH_FILTER_BITS) >> 6); }
static inline uint16_t kh_hash_tag(uint64_t hash, uint32_t window) { return (uint16_t)(hash >> (KH_WINDOW_BITS * window)); }
static inline uint32_t kh_directory_get(const kh_index *ix, uint64_t hash, uint64_t mask)
{
    return __atomic_load_n(&ix->directory[hash & mask], __ATOMIC_ACQUIRE);
}
static inline uint32_t kh_slot_get(const kh_bucket *b, uint32_t slot)
{
    return __atomic_load_n(&b->record[slot], __ATOMIC_ACQUIRE);
}

#endif
