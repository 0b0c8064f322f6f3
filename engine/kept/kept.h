/* kept: a node's own record of the order: the saved order state and, for each block with entries, what execution, audit and
 * proofs need of it, and the members each time that they changed. DIR/order/state, DIR/order/blocks and DIR/order/members (append
 * only), DIR/order/given where it did not begin at the first block (docs/CLUSTER.md). CometBFT replays what is above the saved
 * height. Threads: one that adds, one that saves; readers any. */
#ifndef KH_KEPT_H
#define KH_KEPT_H
#include "base/effects.h"
#include "order/order.h"

typedef struct kh_kept kh_kept;
typedef struct kh_kept_item {
    kh_item_kind kind;
    uint32_t sender, incarnation, size, ops_sz, op_cnt;
    uint64_t sequence;
    uint8_t digest[32];
    const uint8_t *ops;
} kh_kept_item;
typedef struct kh_kept_block { /* malloc'ed, freed by kh_kept_block_free */
    uint64_t height, time_ns;
    uint8_t previous[32], app_hash[32], entries_root[32], public_root[32];
    uint32_t tx_cnt, item_cnt;
    uint16_t *codes;
    uint8_t *types;
    uint8_t (*digests)[32];
    kh_kept_item *items;
    /* the hub set's public leaf as of this block, with its path: what proofs open under public_root */
    uint8_t hubs_value[KH_PUBLIC_SZ + 16 + 256 * 72];
    uint32_t hubs_n, hubs_index, hubs_cnt, hubs_path_n;
    uint8_t hubs_path[KH_MERKLE_PATH_MAX][32];
} kh_kept_block;
KH_MUST kh_err kh_kept_open(const kh_disk *disk, const char *dir, char *why, size_t cap, kh_kept **ret);
void kh_kept_close(kh_kept *k);
/* kh_kept_saved: the newest saved order, malloc'ed; *ret_n 0: none. Blocks above its height are cut. */
KH_MUST kh_err kh_kept_saved(kh_kept *k, uint8_t **ret, size_t *ret_n);
/* kh_kept_add appends a block (those without entries are passed over). order: as of after this block. Not yet durable. */
KH_MUST kh_err kh_kept_add(kh_kept *k, const kh_order_block *block, kh_order *order);
/* kh_kept_save makes everything added so far durable, then the saved order: as of after the block of that height; blocks above it
   may have been added meanwhile. */
KH_MUST kh_err kh_kept_save(kh_kept *k, const uint8_t *saved, size_t n, uint64_t height);
/* kh_kept_begin takes an order that was given (kh_order_load_given), and its bytes, for the beginning: nothing was kept before
   but another beginning, no later one, else KH_E_EXISTS. Durable when it returns; a crash within leaves what was before. */
KH_MUST kh_err kh_kept_begin(kh_kept *k, const kh_order *order, const uint8_t *saved, size_t n);
uint64_t kh_kept_base_changes(kh_kept *k); /* by it, the number of the officers' next change */
uint64_t kh_kept_base(kh_kept *k); /* the height of the order that was given: blocks are there from the next on; 0: all are */
typedef struct kh_kept_hash {
    uint64_t height, time_ns; /* of the block with entries that made it; its time, 0: not known */
    uint8_t app_hash[32];
    bool base; /* below the order that was given, which remembers it: no other block with entries is between */
} kh_kept_hash;
/* kh_kept_hash_at: the app hash as of a height, of kept blocks or, below these, of what the given order remembers. KH_E_AGAIN: no
   block is here yet; KH_E_NOT_FOUND: older than what is remembered. */
KH_MUST kh_err kh_kept_hash_at(kh_kept *k, uint64_t height, kh_kept_hash *ret);
/* kh_kept_at: the newest block with entries at or below height; KH_E_NOT_FOUND. */
KH_MUST kh_err kh_kept_at(kh_kept *k, uint64_t height, kh_kept_block **ret);
/* kh_kept_after: the first above height. */
KH_MUST kh_err kh_kept_after(kh_kept *k, uint64_t height, kh_kept_block **ret);
void kh_kept_block_free(kh_kept_block *b);

typedef struct kh_kept_member { /* what execution needs to know of a member */
    uint32_t id;
    uint8_t role, flags;
    uint8_t sender[KH_PUBLIC_SZ], box[KH_PUBLIC_SZ];
} kh_kept_member;
/* kh_kept_members: who were members as of after the block of a height, ascending; *ret malloc'ed. */
KH_MUST kh_err kh_kept_members(kh_kept *k, uint64_t height, kh_kept_member **ret, uint32_t *ret_cnt);
#endif
