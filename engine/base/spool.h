/* spool: a buffer for what is written to a file opened with KH_OPEN_STREAM. Begins as zeros; one user at a time. It keeps its
 * memory from one piece to the next: fresh memory costs more than what is done with it. */
#ifndef KH_BASE_SPOOL_H
#define KH_BASE_SPOOL_H
#include <stdlib.h>
#include "base/effects.h"

#define KH_SPOOL_KEPT_SZ (4u << 20)

typedef struct kh_spool {
    uint8_t *base;
    size_t cap;
} kh_spool;

/* kh_spool_at: room for n bytes that go to the file at offset; what the buffer held before is gone. NULL: no memory. */
static inline uint8_t *kh_spool_at(kh_spool *s, uint64_t offset, size_t n)
{
    if (n > SIZE_MAX / 4) return NULL;
    size_t need = n + KH_STREAM_PAGE_SZ;
    if (need > s->cap) {
        size_t cap = (need + need / 4 + KH_STREAM_PAGE_SZ - 1) / KH_STREAM_PAGE_SZ * KH_STREAM_PAGE_SZ;
        uint8_t *base = aligned_alloc(KH_STREAM_PAGE_SZ, cap);
        if (base == NULL) return NULL;
        free(s->base);
        s->base = base;
        s->cap = cap;
    }
    return s->base + offset % KH_STREAM_PAGE_SZ;
}

static inline void kh_spool_free(kh_spool *s)
{
    free(s->base);
    s->base = NULL;
    s->cap = 0;
}

/* kh_spool_done: written; a buffer that a rare large piece made is not kept. */
static inline void kh_spool_done(kh_spool *s)
{
    if (s->cap > KH_SPOOL_KEPT_SZ) kh_spool_free(s);
}
#endif
