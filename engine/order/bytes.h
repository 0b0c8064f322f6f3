/* bytes: a bounded reader and a growing writer of little-endian fields; inside order. */
#ifndef KH_ORDER_BYTES_H
#define KH_ORDER_BYTES_H
#include <stdlib.h>
#include "base/base.h"

typedef struct kh_reader { /* the first thing that was wrong sticks */
    const uint8_t *p;
    size_t left;
    bool bad;
} kh_reader;

typedef struct kh_writer { /* bytes that grow; failed: no memory, or beyond a fixed room */
    uint8_t *p;
    size_t n, cap;
    bool fixed, failed;
} kh_writer;

/* kh_take: n bytes; where there are none, bad and NULL. Numbers are 0 and copies zeros there. */
static inline const uint8_t *kh_take(kh_reader *r, size_t n)
{
    if (r->bad || r->left < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    if (n > 0) r->p += n;
    r->left -= n;
    return p;
}

static inline uint8_t kh_take8(kh_reader *r)
{
    const uint8_t *p = kh_take(r, 1);
    return p != NULL ? *p : 0;
}

static inline uint16_t kh_take16(kh_reader *r)
{
    const uint8_t *p = kh_take(r, 2);
    return p != NULL ? kh_load16(p) : 0;
}

static inline uint32_t kh_take32(kh_reader *r)
{
    const uint8_t *p = kh_take(r, 4);
    return p != NULL ? kh_load32(p) : 0;
}

static inline uint64_t kh_take64(kh_reader *r)
{
    const uint8_t *p = kh_take(r, 8);
    return p != NULL ? kh_load64(p) : 0;
}

static inline void kh_take_copy(kh_reader *r, void *ret, size_t n)
{
    const uint8_t *p = kh_take(r, n);
    if (n == 0) return;
    if (p != NULL) memcpy(ret, p, n);
    else memset(ret, 0, n);
}

static inline bool kh_all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= p[i];
    return any == 0;
}

static inline void kh_put(kh_writer *w, const void *p, size_t n)
{
    if (w->failed || n == 0) return;
    if (w->cap - w->n < n) {
        size_t cap = w->cap < 256 ? 256 : w->cap;
        while (cap - w->n < n) cap *= 2;
        uint8_t *grown = w->fixed ? NULL : realloc(w->p, cap);
        if (grown == NULL) {
            w->failed = true;
            return;
        }
        w->p = grown;
        w->cap = cap;
    }
    memcpy(w->p + w->n, p, n);
    w->n += n;
}

static inline void kh_put8(kh_writer *w, uint8_t v) { kh_put(w, &v, sizeof v); }
static inline void kh_put16(kh_writer *w, uint16_t v) { kh_put(w, &v, sizeof v); }
static inline void kh_put32(kh_writer *w, uint32_t v) { kh_put(w, &v, sizeof v); }
static inline void kh_put64(kh_writer *w, uint64_t v) { kh_put(w, &v, sizeof v); }
#endif
