/* fields: a bounded reader and a bounded writer of little-endian fields; inside wire. The reader remembers the first thing that
 * was wrong. */
#ifndef KH_WIRE_FIELDS_H
#define KH_WIRE_FIELDS_H
#include "wire/wire.h"

enum { KH_FRAME_HEADER_SZ = 24, KH_LINE_SZ = 40, KH_BALANCE_SZ = 16, KH_REF_SZ = 24 };

typedef struct kh_fields_in {
    const uint8_t *p, *end;
    bool bad;
} kh_fields_in;

static inline const uint8_t *kh_in_take(kh_fields_in *in, size_t n)
{
    if (KH_UNLIKELY((size_t)(in->end - in->p) < n)) {
        in->bad = true;
        return NULL;
    }
    const uint8_t *at = in->p;
    in->p += n;
    return at;
}

/* kh_in_text takes n bytes of UTF-8 without control characters, at most max. */
bool kh_wire_clean(kh_text text);
static inline kh_text kh_in_text(kh_fields_in *in, uint32_t n, uint32_t max)
{
    kh_text text = {NULL, 0};
    if (n == 0) return text;
    const uint8_t *p = n <= max ? kh_in_take(in, n) : NULL;
    if (p == NULL || !kh_wire_clean((kh_text){(const char *)p, n})) in->bad = true;
    else text = (kh_text){(const char *)p, n};
    return text;
}
/* kh_in_end: the frame ends here but for at most 7 zero bytes of padding. */
static inline bool kh_in_end(const kh_fields_in *in)
{
    size_t left = (size_t)(in->end - in->p); /* the last 8 bytes lie inside the frame, which has a header */
    if (in->bad || left > 7) return false;
    return left == 0 || kh_load64(in->end - 8) >> (64 - 8 * left) == 0;
}

/* The writer: every put beyond the end makes it bad and writes nothing. */
typedef struct kh_fields_out {
    uint8_t *base;
    size_t cap, n;
    bool full, bad;
} kh_fields_out;

uint8_t *kh_out_zeroed(kh_fields_out *out, size_t n); /* n zero bytes, or NULL */
void kh_out_text(kh_fields_out *out, kh_text text, uint32_t max);
/* kh_out_frame_end pads to 8 and writes the frame's size. */
kh_err kh_out_frame_end(kh_fields_out *out, size_t *ret_n);

/* The lines of APPLY (totals allowed) and EVENT, and bodies by type. */
void kh_in_lines(kh_fields_in *in, uint32_t cnt, bool apply, kh_op_line *ret);
void kh_out_lines(kh_fields_out *out, uint32_t cnt, bool apply, const kh_op_line *lines);
void kh_in_document(kh_fields_in *in, kh_op_document *ret);
void kh_out_document(kh_fields_out *out, const kh_op_document *d);
/* Grants, look-ups and the risk list; false: op's type is none of these. */
bool kh_in_consent(kh_fields_in *in, kh_op *ret);
bool kh_out_consent(kh_fields_out *out, const kh_op *op);
bool kh_in_execution(kh_fields_in *in, kh_op *ret);
bool kh_out_execution(kh_fields_out *out, const kh_op *op);

static inline bool kh_wire_amount(uint64_t amount, bool none_allowed)
{
    return amount <= KH_AMOUNT_MAX || (none_allowed && amount == KH_AMOUNT_NONE);
}
static inline bool kh_wire_currency(kh_currency currency) { return currency < 1000; }
#endif
