/* join: a hub that begins with the state of a checkpoint (docs/CLUSTER.md), in place of all that was before it.
 *
 * Made beside what is there, from a stream that nobody is believed for: the store in DIR/joined.new/store, what a hub keeps
 * beside it in DIR/joined.new/outputs; durable, it is renamed to DIR/joined. That is the point from which on it will be: the next
 * start lets it take the place of the old store's files and outputs, in steps that a crash anywhere leaves to be gone on with.
 *
 *   DIR/joined.new    being made, or what a crash left of that: goes
 *   DIR/joined        whole; the old files are still there, all or some
 *   DIR/joined.moves  whole; the old files are gone, these take their names; DIR/format last, so that DIR is a data directory
 * again when all of it is there */
#ifndef KH_STATES_JOIN_H
#define KH_STATES_JOIN_H
#include "kept/kept.h"
#include "store/store.h"

typedef struct kh_join {
    const kh_store_options *store; /* its disk is used for all */
    const char *dir;
    kh_suite suite;
    const uint8_t *chain;
    uint64_t height;
    uint32_t epoch;                /* of the hubs as of height: the one that the state is sealed to */
    const uint8_t *posted;         /* what a quorum of hubs attested of the checkpoint there, as the order says */
    const uint8_t *app_hash;       /* of the order at height */
    const kh_kept_member *members; /* as of height: each bank's newest package must be of it */
    uint32_t member_cnt;
    bool own; /* this hub made the state itself, as its signed head says */
    /* differs: has a quorum of hubs attested another outcome of a height than this post of it (of the checkpoint there), as far
       as is known? May be NULL. */
    bool (*differs)(void *ctx, uint64_t height, const uint8_t *post, bool checkpoint);
    /* secret_of: the group's secret of an epoch; false: not had. */
    bool (*secret_of)(void *ctx, uint32_t epoch, uint8_t ret[KH_SECRET_SZ]);
    void *ctx;
} kh_join;
/* kh_join_make makes DIR/joined, durably. KH_E_FORMAT: it is not the state of that checkpoint, or not as it should be (why says
   where): whoever made it lies; KH_E_CLOSED: the secret of its epoch lacks; else the disk's, memory's, or the source's own. What
   the state holds of banks, their counts and heads, and of heights that nobody remembers words of, is under no digest here:
   outputs/given says up to which height (hub/given.c). On failure nothing stays. */
KH_MUST kh_err kh_join_make(const kh_join *join, const kh_checkpoint_source *from, char *why, size_t cap);
/* kh_join_take finishes what kh_join_make began, where it did: before the store is opened. *ret_taken: DIR is the joined one now.
 */
KH_MUST kh_err kh_join_take(const kh_disk *disk, const char *dir, bool *ret_taken);

/* ---- between its files ---- */
void kh_join_say(char *why, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));
typedef struct kh_join_head {
    uint32_t epoch;
    uint64_t number;
    uint8_t outcomes[32], digest[32];
} kh_join_head;
/* kh_join_read takes the head and all items, and writes them to the files of `outputs`, which is there and empty; durable. The
   source stands before the store's checkpoint then. */
KH_MUST kh_err kh_join_read(const kh_join *join, const kh_checkpoint_source *from, const char *outputs, kh_join_head *ret,
                            char *why, size_t cap);
/* kh_join_clear takes away a file, or a folder with all that is in it; what is not there is away. */
KH_MUST kh_err kh_join_clear(const kh_disk *disk, const char *path);
#endif
