/* snapshots: saved orders as CometBFT's state sync passes them on: those that a node gives, and one that it takes.
 *
 * A snapshot is a saved order (docs/CLUSTER.md) as of a block with transactions, cut into chunks of KH_SNAPSHOT_CHUNK_SZ, the
 * last being what is left. Format: KH_SNAPSHOT_FORMAT; metadata: SHA-256 of each chunk in turn; hash: SHA-256 of the metadata.
 * All nodes' of a height are the same bytes. The newest KH_SNAPSHOTS_KEPT stay in DIR/snapshots, a file each, named by its
 * height, and for each of KH_SNAPSHOTS_PINS heights the newest that is not above it: a hub begins at that with a sealed state. */
#ifndef KH_KEPT_SNAPSHOTS_H
#define KH_KEPT_SNAPSHOTS_H
#include "base/effects.h"
#include "order/order.h"

#define KH_SNAPSHOT_FORMAT 5u /* of the saved order: KHO5 */
#define KH_SNAPSHOT_CHUNK_SZ (1u << 20)
#define KH_SNAPSHOT_CHUNKS_MAX (KH_ORDER_SAVED_MAX_SZ / KH_SNAPSHOT_CHUNK_SZ)
#define KH_SNAPSHOTS_KEPT 4u
#define KH_SNAPSHOTS_PINS 3u
#define KH_SNAPSHOTS_MAX (KH_SNAPSHOTS_KEPT + KH_SNAPSHOTS_PINS)
#define KH_SNAPSHOT_BLOCKS 1000u /* between two, where nothing else is configured */

typedef struct kh_snapshot {
    uint64_t height;
    uint32_t chunks;
    uint8_t hash[32], metadata[KH_SNAPSHOT_CHUNKS_MAX][32];
} kh_snapshot;
/* kh_snapshot_of: how bytes are offered. KH_E_ARG: none, or more than KH_ORDER_SAVED_MAX_SZ. */
KH_MUST kh_err kh_snapshot_of(uint64_t height, const uint8_t *p, size_t n, kh_snapshot *ret);

/* ---- given. Threads: one adds, any look; the disk is called with a lock held ---- */
typedef struct kh_snapshots kh_snapshots;
/* kh_snapshots_open: DIR/snapshots, made where it is missing; what is not as it was written is taken away. */
KH_MUST kh_err kh_snapshots_open(const kh_disk *disk, const char *dir, char *why, size_t cap, kh_snapshots **ret);
void kh_snapshots_close(kh_snapshots *s);
/* kh_snapshots_pin: the heights for which one stays, 0: none, in place of those before; an opening takes none
   away but beyond one more than KH_SNAPSHOTS_MAX, which a crash may leave: those that stayed are there when this is called,
   before the first add. */
KH_MUST kh_err kh_snapshots_pin(kh_snapshots *s, const uint64_t heights[KH_SNAPSHOTS_PINS]);
/* kh_snapshots_add writes one durably and takes away what does not stay; one of a height that is there already is passed over. */
KH_MUST kh_err kh_snapshots_add(kh_snapshots *s, uint64_t height, const uint8_t *p, size_t n);
uint32_t kh_snapshots_list(kh_snapshots *s, kh_snapshot ret[KH_SNAPSHOTS_MAX]); /* the newest, ascending; returns how many */
/* kh_snapshots_chunk reads one, malloc'ed; KH_E_NOT_FOUND: no such snapshot, or no such chunk of it. */
KH_MUST kh_err kh_snapshots_chunk(kh_snapshots *s, uint64_t height, uint32_t chunk, uint8_t **ret, size_t *ret_n);

/* ---- taken: from peers that may lie. Memory: the chunks that came. Threads: one at a time ---- */
typedef struct kh_taking kh_taking;
/* kh_taking_begin: KH_E_VERSION: of another format; KH_E_FORMAT: not what kh_snapshot_of says of any bytes. */
KH_MUST kh_err kh_taking_begin(uint64_t height, uint32_t format, uint32_t chunks, const uint8_t *hash, size_t hash_n,
                               const uint8_t *metadata, size_t metadata_n, kh_taking **ret);
void kh_taking_free(kh_taking *t);
uint64_t kh_taking_height(const kh_taking *t);
/* kh_taking_chunk: chunks come in any order, again too. KH_E_FORMAT: it is not that one: whoever gave it lies, or did not send it
   whole. *ret_whole: all are there. */
KH_MUST kh_err kh_taking_chunk(kh_taking *t, uint32_t chunk, const uint8_t *p, size_t n, bool *ret_whole);
const uint8_t *kh_taking_bytes(const kh_taking *t, size_t *ret_n); /* once it is whole */
#endif
