/* state: the engine's whole state as regions addressed by number, never by pointer.
 *
 * A region is an array of fixed-size rows in reserved address space: it never moves, grows by its row count, and is
 * zero where nothing was written. All regions together are the state; an image (store) is these regions as a file, so
 * whatever must survive a restart lies in a region, row counts included.
 *
 * Threads  the writer grows rows; readers may read rows that were published to them (index).
 * Memory   address space is reserved at init (MAP_NORESERVE); pages come on first touch or by kh_state_populate.
 * Errors   init: KH_E_NOMEM. populate: KH_E_NOMEM when the machine cannot back what is asked. */
#ifndef KH_MEM_STATE_H
#define KH_MEM_STATE_H

#include "base/base.h"

/* Region numbers; the order is the image's and is append only. Index owns 1..7, ledger the rest. */
enum {
    KH_REGION_HEAD = 0, /* ledger: one row of counters */
    KH_REGION_INDEX_HEAD = 1,
    KH_REGION_INDEX_DIRECTORY = 2,
    KH_REGION_INDEX_SEGMENTS = 3,
    KH_REGION_INDEX_RECORDS = 4,
    KH_REGION_INDEX_FREED = 5,
    KH_REGION_LEDGER_FIRST = 8,
    KH_REGION_MAX = 48
};

typedef struct kh_region_spec {
    uint32_t region;  /* its number */
    uint32_t row_sz;  /* bytes */
    uint64_t row_max; /* capacity in rows, reserved as address space */
} kh_region_spec;

typedef struct kh_region {
    uint8_t *base;    /* 64 KiB aligned at least; 2 MiB where large */
    uint64_t row_cnt; /* rows in use: [0, row_cnt); image writes row_cnt * row_sz bytes */
    uint64_t row_max;
    uint32_t row_sz; /* 0: the region is not used */
    uint32_t flags;
} kh_region;

/* kh_region_grow puts `rows` more rows, which there is room for, into use, and returns the number of the first. [W] A helper
   thread reads row_cnt beside it (kh_state_populate): the relaxed store is its partner. */
static inline uint64_t kh_region_grow(kh_region *r, uint64_t rows)
{
    uint64_t was = r->row_cnt;
    __atomic_store_n(&r->row_cnt, was + rows, __ATOMIC_RELAXED);
    return was;
}

typedef struct kh_state {
    kh_region regions[KH_REGION_MAX];
} kh_state;

/* kh_state_init reserves address space for the given regions; rows are zero and counts 0. */
KH_MUST kh_err kh_state_init(kh_state *state, const kh_region_spec specs[], uint32_t n);
void kh_state_release(kh_state *state);

/* kh_state_map_file maps [offset, offset + row_cnt * row_sz) of fd privately as the rows of a region (writes stay in
   this process). offset is a multiple of 64 KiB. */
KH_MUST kh_err kh_state_map_file(kh_state *state, uint32_t region, int fd, uint64_t offset, uint64_t row_cnt);

/* kh_state_use_huge_pages asks for 2 MiB pages wherever a region can grow to 64 MiB or more: for processes that stay (a daemon,
   an import, a benchmark), before they touch or populate. Short commands do not call it: each page they touch would clear 2 MiB.
   Advice to the kernel; cannot fail. Pages of a mapped file stay as they are. */
void kh_state_use_huge_pages(kh_state *state);

/* kh_state_populate makes sure that `ahead` further bytes of the region are backed by memory now. May be called from
   a helper thread for rows not yet in use, while the writer grows row_cnt by relaxed atomic stores. Stops at the region's
   capacity. KH_E_NOMEM: the machine has not that much memory to give; nothing was taken from others to find out. */
KH_MUST kh_err kh_state_populate(kh_state *state, uint32_t region, uint64_t ahead_sz);

/* kh_state_bytes sums row_cnt * row_sz over all regions. */
uint64_t kh_state_bytes(const kh_state *state);

static inline void *kh_row(const kh_state *state, uint32_t region, uint64_t row)
{
    const kh_region *r = &state->regions[region];
    return r->base + row * r->row_sz;
}

#endif
