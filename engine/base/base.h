/* base: what every module stands on: results, assertions, checked arithmetic, byte order, the 16-byte key, texts.
 *
 * Three kinds of "no", never mixed: kh_err (the environment failed, local), kh_code (doc/code.h: the engine worked and
 * the answer is no) and KH_ASSERT (our own bug).
 * Everything here is header-only or pure; nothing allocates, nothing keeps state. */
#ifndef KH_BASE_BASE_H
#define KH_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KH_MUST __attribute__((warn_unused_result))
#define KH_LIKELY(x) __builtin_expect(!!(x), 1)
#define KH_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define KH_CACHE_LINE 64

/* kh_fetch_* put the line at p on its way into the first or the second cache; p may be any address: nothing is read. Not
   __builtin_prefetch: gcc takes a function that does no more than that for one that does nothing, and leaves out its calls.
   Not prefetchw for lines that will be written: the index took new documents 8 % slower with it. */
#if defined(__x86_64__)
static inline void kh_fetch_near(const void *p) { __asm__ volatile("prefetcht0 %0" : : "m"(*(const char *)p)); }
static inline void kh_fetch_far(const void *p) { __asm__ volatile("prefetcht1 %0" : : "m"(*(const char *)p)); }
#else
static inline void kh_fetch_near(const void *p) { __builtin_prefetch(p, 0, 3); }
static inline void kh_fetch_far(const void *p) { __builtin_prefetch(p, 0, 2); }
#endif

/* kh_err: 0 or negative; local to this process, may be renumbered. kh_err_text gives an English sentence. */
typedef enum kh_err {
    KH_OK = 0,
    KH_E_ARG = -1,     /* a call outside its documented range */
    KH_E_NOMEM = -2,   /* memory could not be had */
    KH_E_FULL = -3,    /* a stated bound was reached */
    KH_E_IO = -4,      /* the disk or the kernel refused */
    KH_E_NOSPACE = -5, /* the disk is full */
    KH_E_DAMAGED = -6, /* stored bytes are not what was written */
    KH_E_FORMAT = -7,  /* bytes that do not decode */
    KH_E_NOT_FOUND = -8,
    KH_E_EXISTS = -9,
    KH_E_BUSY = -10,    /* another process holds the lock */
    KH_E_CLOCK = -11,   /* the clock jumped (rule clock_step) */
    KH_E_VERSION = -12, /* written by another version of the format */
    KH_E_CLOSED = -13,  /* after a failed write, or closing */
    KH_E_AGAIN = -14    /* nothing yet; try later */
} kh_err;

const char *kh_err_text(kh_err err);

/* KH_ASSERT guards our own invariants, in every build; it prints the expression, file, line and build, and aborts.
   It is never reachable from input. */
__attribute__((noreturn, cold)) void kh_assert_failed(const char *expr, const char *file, int line);
#define KH_ASSERT(x) (KH_LIKELY(x) ? (void)0 : kh_assert_failed(#x, __FILE__, __LINE__))

/* kh_key is a document's identity (doc/key.h) and the index's key. Aligned, so that it is compared as two words. */
typedef struct kh_key {
    _Alignas(16) uint8_t b[16];
} kh_key;

static inline bool kh_key_equal(const kh_key *a, const kh_key *b)
{
    uint64_t x[2], y[2];
    memcpy(x, a->b, 16);
    memcpy(y, b->b, 16);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* kh_text is bytes that someone else owns, UTF-8 where it is text, not NUL-terminated. {NULL, 0} is "none". */
typedef struct kh_text {
    const char *p;
    uint32_t n;
} kh_text;

static inline kh_text kh_text_of(const char *s) { return (kh_text){s, s != NULL ? (uint32_t)strlen(s) : 0}; }

/* Little-endian is the order of everything on disk and on the wire. */
static inline uint16_t kh_load16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
static inline uint32_t kh_load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t kh_load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline void kh_store16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void kh_store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void kh_store64(void *p, uint64_t v) { memcpy(p, &v, 8); }
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian and so is every supported machine");

/* Eight bytes at a time, the last ones again where they are not a whole word: most texts are too short for a call. */
static inline bool kh_text_equal(kh_text a, kh_text b)
{
    if (a.n != b.n) return false;
    if (a.n < 8) return a.n == 0 || memcmp(a.p, b.p, a.n) == 0;
    for (uint32_t i = 0; i + 8 < a.n; i += 8)
        if (kh_load64(a.p + i) != kh_load64(b.p + i)) return false;
    return kh_load64(a.p + a.n - 8) == kh_load64(b.p + b.n - 8);
}

/* Checked arithmetic: false, and *ret untouched, on overflow or when the result would be negative. */
KH_MUST static inline bool kh_add64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *ret = sum;
    return true;
}
KH_MUST static inline bool kh_sub64(uint64_t a, uint64_t b, uint64_t *ret)
{
    if (b > a) return false;
    *ret = a - b;
    return true;
}
static inline uint64_t kh_min64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t kh_max64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* kh_xxh3 is XXH3-64: for accidents, never against an adversary. */
uint64_t kh_xxh3(const void *p, size_t n);

/* Times are nanoseconds since 1970-01-01 UTC; dates are days since 2000-01-01 (1 = 2000-01-02), 0 = none. */
#define KH_NS_PER_S UINT64_C(1000000000)
typedef uint16_t kh_date;
kh_date kh_date_of_time(uint64_t time_ns); /* the UTC date; 0 before 2000-01-02 */
KH_MUST bool kh_date_make(int year, int month, int day, kh_date *ret);
void kh_date_split(kh_date date, int *ret_year, int *ret_month, int *ret_day);

#endif
