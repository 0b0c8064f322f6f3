/* The world that the unit tests of the view put around it. */
#ifndef VIEW_FAKE_H
#define VIEW_FAKE_H
#include "kept/kept.h"
#include "cluster/node.h"

typedef struct fake_submitted {
    uint8_t *bytes;
    size_t n;
    uint32_t op_cnt;
    bool signed_section;
    uint64_t tag;
} fake_submitted;
typedef struct fake_world {
    bool node_full;
    void (*while_submitted)(void); /* called by the node, in the middle of a submission; NULL: nothing happens meanwhile */
    const kh_box *sealed_to;       /* what alone opens parcels; NULL: anything does */
    fake_submitted submitted[1024];
    uint32_t submitted_cnt;
    kh_kept_block blocks[512];
    kh_kept_item items[512][8];
    uint32_t block_cnt;
    kh_attestation held[512]; /* what the node holds */
    uint32_t held_cnt, hub_cnt, hubs[256];
    uint64_t attested, pending; /* pending: the highest batch that is not */
    kh_kept_hash given[16];     /* what the order that was given remembers, ascending; the last is its own */
    uint32_t given_cnt;         /* 0: none was given */
} fake_world;
extern fake_world fake;
void fake_reset(void);
kh_kept_block *fake_block(uint64_t height); /* made where there is none */
#endif
