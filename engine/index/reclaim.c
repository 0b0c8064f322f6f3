/* reclaim: record numbers given and taken back, and the grace periods between.
 *
 * A number freed at height h is given again, oldest first, from height h + KH_RECORD_REUSE_AFTER on: this alone decides which
 * number an allocation gets, so every replay gives the same. That no reader still holds it is waited for, never assumed:
 *
 *   writer      unlinks, frees at h; when entry h is over: pending = h (release)
 *   reclaimer   p = pending (acquire); synchronize_rcu; covered = p (release)
 *   writer      before reuse: until covered >= h (acquire) */
#include "index/layout.h"
#include "index/reader.h"
#include <sched.h>
#include <urcu-qsbr.h>

enum { AWAIT_TURNS = 200 };

static kh_freed *freed_at(const kh_index *ix, uint64_t position) { return &ix->freed[position & (ix->head->freed_rows - 1)]; }

static void note_height(kh_index *ix, uint64_t height)
{
    KH_ASSERT(height > 0);
    if (height <= ix->head->height) return;
    /* What was freed at an earlier height has been unlinked: that entry is over. */
    if (ix->last_freed > ix->pending) __atomic_store_n(&ix->pending, ix->last_freed, __ATOMIC_RELEASE);
    ix->head->height = height;
}

static void cover(kh_index *ix, uint64_t height)
{
    synchronize_rcu();
    kh_reader_tsan_after_grace();
    uint64_t seen = __atomic_load_n(&ix->covered, __ATOMIC_RELAXED);
    while (seen < height &&
           !__atomic_compare_exchange_n(&ix->covered, &seen, height, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {}
}

void kh_index_await(kh_index *ix, uint64_t height)
{
    for (int i = 0; __atomic_load_n(&ix->covered, __ATOMIC_ACQUIRE) < height; i++) {
        if (i < AWAIT_TURNS) (void)sched_yield();
        else cover(ix, height); /* the reclaiming thread does not come: its work is ours */
    }
}

uint32_t kh_index_alloc(kh_index *ix, uint64_t height)
{
    kh_index_head *h = ix->head;
    note_height(ix, height);
    if (h->freed_cnt > 0 && freed_at(ix, h->freed_begin)->height + KH_RECORD_REUSE_AFTER <= height) {
        kh_freed *oldest = freed_at(ix, h->freed_begin);
        uint32_t record = oldest->record;
        kh_index_await(ix, oldest->height);
        *oldest = (kh_freed){0};
        h->freed_begin++;
        h->freed_cnt--;
        memset(&ix->records[record], 0, sizeof(kh_record));
        return record;
    }
    kh_region *r = &ix->state->regions[KH_REGION_INDEX_RECORDS];
    if (r->row_cnt == r->row_max) return KH_RECORD_NONE;
    return (uint32_t)kh_region_grow(r, 1);
}

void kh_index_retire(kh_index *ix, uint32_t record, uint64_t height)
{
    kh_index_head *h = ix->head;
    note_height(ix, height);
    KH_ASSERT(record != 0 && record < ix->state->regions[KH_REGION_INDEX_RECORDS].row_cnt);
    if (h->freed_cnt == h->freed_rows) {
        /* The ring doubles: what lies before its beginning moves behind its old end. */
        uint64_t wrapped = h->freed_begin & (h->freed_rows - 1);
        memcpy(ix->freed + h->freed_rows, ix->freed, wrapped * sizeof(kh_freed));
        memset(ix->freed, 0, wrapped * sizeof(kh_freed));
        h->freed_begin = wrapped;
        h->freed_rows *= 2;
        KH_ASSERT(h->freed_rows <= ix->state->regions[KH_REGION_INDEX_FREED].row_max);
        __atomic_store_n(&ix->state->regions[KH_REGION_INDEX_FREED].row_cnt, h->freed_rows, __ATOMIC_RELAXED);
    }
    *freed_at(ix, h->freed_begin + h->freed_cnt++) = (kh_freed){.height = height, .record = record};
    ix->last_freed = kh_max64(ix->last_freed, height);
}

void kh_index_settle(kh_index *ix, uint64_t height)
{
    const kh_index_head *h = ix->head;
    uint64_t next = height + 1, needed = 0;
    note_height(ix, height);
    if (ix->last_freed > ix->pending) __atomic_store_n(&ix->pending, ix->last_freed, __ATOMIC_RELEASE);
    if (h->freed_cnt > 0 && freed_at(ix, h->freed_begin)->height + KH_RECORD_REUSE_AFTER <= next)
        needed = kh_min64(next - KH_RECORD_REUSE_AFTER, ix->pending);
    if (needed > 0) kh_index_await(ix, needed);
}

bool kh_index_reclaim_step(kh_index *ix)
{
    uint64_t pending = __atomic_load_n(&ix->pending, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&ix->covered, __ATOMIC_RELAXED) >= pending) return false;
    cover(ix, pending);
    return true;
}

void kh_index_reclaim_none(kh_index *ix) { __atomic_store_n(&ix->covered, UINT64_MAX, __ATOMIC_RELEASE); }
