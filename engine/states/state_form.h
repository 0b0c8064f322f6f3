/* state_form: what the state of a checkpoint is made of (docs/CLUSTER.md, "What is in a state"): a head, items of what a
 * hub keeps beside its store, and the store's own checkpoint (docs/FORMAT.md) to the end. */
#ifndef KH_STATES_STATE_FORM_H
#define KH_STATES_STATE_FORM_H
#include "base/base.h"

#define KH_STATE_MAGIC "KHSTATE1"
enum {                        /* of the head */
       KH_STATE_AT_EPOCH = 8, /* of the height */
       KH_STATE_AT_CHAIN = 16,
       KH_STATE_AT_HEIGHT = 48,
       KH_STATE_AT_NUMBER = 56, /* of the store's last entry of it */
       KH_STATE_AT_OUTCOMES = 64,
       KH_STATE_AT_DIGEST = 96,
       KH_STATE_HEAD_SZ = 128
};
enum { /* of an item's head; its bytes follow */
       KH_STATE_ITEM_AT_KIND = 0,
       KH_STATE_ITEM_AT_SIZE = 4,
       KH_STATE_ITEM_AT_HEIGHT = 8,
       KH_STATE_ITEM_AT_BANK = 16,
       KH_STATE_ITEM_SZ = 24
};
typedef enum kh_state_item {                          /* in this order */
                             KH_STATE_CHECKPOINT = 1, /* the record of DIR/outputs/checkpoints; one */
                             KH_STATE_POST = 2, /* a record of DIR/outputs/posts, ascending; the last is of the height itself */
                             KH_STATE_PACKAGE = 3,  /* a record of DIR/outputs/ID.packages, by bank and height, ascending */
                             KH_STATE_ITEMS_END = 4 /* no bytes */
} kh_state_item;
#define KH_STATE_ITEM_MAX_SZ (64u << 20)

/* The hub's own records, as hub/parts.h and its files write them. */
#define KH_POST_SZ 100u       /* of DIR/outputs/posts: {app hash, posted, outputs root, losses} */
#define KH_CHECKPOINT_SZ 140u /* of DIR/outputs/checkpoints: a post, the checkpoint's digest, the store's entry */
#define KH_PACKAGE_HEAD_SZ                                                                                                       \
    80u                     /* of DIR/outputs/ID.packages: {count before, head before, count, head}, in front of the parcel      \
                             */
enum {                      /* DIR/outputs/given of a hub that began with a state */
       KH_GIVEN_AT_OWN = 4, /* 1: this hub made that state itself */
       KH_GIVEN_AT_HEIGHT = 8,
       KH_GIVEN_SZ = 16
};
#define KH_GIVEN_MAGIC "KHG1"
#define KH_POSTS_MAGIC "KHA2"
#define KH_CHECKPOINTS_MAGIC "KHC2"
#define KH_PACKAGES_MAGIC "KHB1"
#endif
