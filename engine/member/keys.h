/* keys: the private keys of a node of a cluster: one file each in a folder, 32 bytes in hex and a line feed, of root or
 * of kanhed's user, readable by nobody else.
 *
 *   sender.key    signs its batches                              banks, hubs
 *   ack.key       signs that it has stored a body                validators
 *   attest.key    signs what it executed                         hubs
 *   box.key       opens what is sealed to it                     banks, hubs
 *   box.old.key   the one before, while parcels to it may come   banks; optional
 *   group.N.key   the hubs' common key of epoch N, from 1        hubs
 *   disk.key      seals its view on disk                         banks
 *
 * Read once, before root's rights are dropped; but for the key of an epoch that begins later, which is looked for when it is
 * wanted, and has to be kanhed's user's then. A file that is not there is a key that this node does not have; one that is there
 * must be what the cluster's register says of this member. */
#ifndef KH_MEMBER_KEYS_H
#define KH_MEMBER_KEYS_H
#include "crypto/suite.h"

#define KH_CLUSTER_EPOCHS_MAX 64u

typedef struct kh_cluster_keys {
    kh_signer *sender, *ack, *attest;      /* NULL: none */
    kh_box *box, *box_old;                 /* box_old: what it was before; opens what was sealed to that one */
    kh_box *groups[KH_CLUSTER_EPOCHS_MAX]; /* by epoch from 1 at [0]; NULL: not had */
    uint8_t group_secrets[KH_CLUSTER_EPOCHS_MAX][KH_SECRET_SZ];
    uint32_t epoch_cnt; /* the highest epoch whose key is there */
    bool has_disk;
    uint8_t disk[KH_SECRET_SZ];
} kh_cluster_keys;
/* kh_cluster_keys_read: uid: who we are going to be. False with a sentence in why: then nothing is held. */
KH_MUST bool kh_cluster_keys_read(kh_suite suite, const char *folder, uint32_t uid, kh_cluster_keys *ret, char *why, size_t cap);
/* kh_cluster_keys_group reads the key of one epoch that is not had yet, later than the others. False: it is not there, or (a
   sentence in why) none. */
KH_MUST bool kh_cluster_keys_group(kh_suite suite, const char *folder, uint32_t uid, uint32_t epoch, kh_cluster_keys *keys,
                                   char *why, size_t cap);
void kh_cluster_keys_group_drop(kh_cluster_keys *keys, uint32_t epoch);
/* kh_cluster_keys_drop frees and wipes. */
void kh_cluster_keys_drop(kh_cluster_keys *keys);
#endif
