/* fields: the bounded reader and writer, and the lines of financings. */
#include "wire/fields.h"
#include "doc/fold.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The top bit of each of eight bytes is set in the result if it is set in the byte, if the byte is below 0x20, or 0x7f (or, by
 * a borrow, if one beside it is): 0 exactly for printable ASCII. */
static uint64_t not_plain(uint64_t v)
{
    uint64_t low = (v - UINT64_C(0x2020202020202020)) & ~v, del = v ^ UINT64_C(0x7f7f7f7f7f7f7f7f);
    del = (del - UINT64_C(0x0101010101010101)) & ~del;
    return (v | low | del) & UINT64_C(0x8080808080808080);
}

#if defined(__SSE2__)
/* A bit for each of sixteen bytes that is printable ASCII; those above it are negative. */
static uint32_t plain_of_16(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return (uint32_t)_mm_movemask_epi8(_mm_andnot_si128(del, _mm_cmpgt_epi8(v, _mm_set1_epi8(0x1f))));
}

static bool plain_long(kh_text text)
{
    uint32_t good = plain_of_16(text.p + text.n - 16);
    for (uint32_t i = 0; i + 16 < text.n; i += 16) good &= plain_of_16(text.p + i);
    return good == 0xffff;
}
#endif

/* plain: printable ASCII, eight or sixteen bytes at a time, the last ones again where they are not a whole word. */
static bool plain(kh_text text)
{
    uint64_t bad = 0;
#if defined(__SSE2__)
    if (text.n >= 16) return plain_long(text);
#endif
    if (text.n < 8) {
        for (uint32_t i = 0; i < text.n; i++) bad |= (uint64_t)((uint8_t)(text.p[i] - 0x20) >= 0x5f);
        return bad == 0;
    }
    for (uint32_t i = 0; i + 8 < text.n; i += 8) bad |= not_plain(kh_load64(text.p + i));
    return (bad | not_plain(kh_load64(text.p + text.n - 8))) == 0;
}

/* UTF-8 without control characters. */
bool kh_wire_clean(kh_text text)
{
    if (KH_LIKELY(plain(text))) return true;
    for (uint32_t i = 0; i < text.n; i++)
        if ((uint8_t)text.p[i] < 0x20 || text.p[i] == 0x7f) return false;
    return kh_utf8_valid(text);
}

uint8_t *kh_out_zeroed(kh_fields_out *out, size_t n)
{
    if (out->full || out->cap - out->n < n) {
        out->full = true;
        return NULL;
    }
    uint8_t *p = out->base + out->n;
    memset(p, 0, n);
    out->n += n;
    return p;
}

void kh_out_text(kh_fields_out *out, kh_text text, uint32_t max)
{
    if (text.n == 0) return;
    if (text.n > max || !kh_wire_clean(text)) {
        out->bad = true;
        return;
    }
    uint8_t *p = kh_out_zeroed(out, text.n);
    if (p != NULL) memcpy(p, text.p, text.n);
}

kh_err kh_out_frame_end(kh_fields_out *out, size_t *ret_n)
{
    (void)kh_out_zeroed(out, (8 - out->n % 8) % 8);
    if (out->bad) return KH_E_ARG;
    if (out->full) return KH_E_FULL;
    if (out->n > KH_OP_MAX_SZ) return KH_E_ARG;
    kh_store32(out->base, (uint32_t)out->n);
    *ret_n = out->n;
    return KH_OK;
}

void kh_in_lines(kh_fields_in *in, uint32_t cnt, bool apply, kh_op_line *ret)
{
    const uint8_t *p = cnt <= KH_LINES_MAX ? kh_in_take(in, (size_t)cnt * KH_LINE_SZ) : NULL;
    if (p == NULL) {
        in->bad = true;
        return;
    }
    for (uint32_t i = 0; i < cnt; i++, p += KH_LINE_SZ) {
        kh_op_line *line = &ret[i];
        memcpy(line->key.b, p, 16);
        line->allocated = kh_load64(p + 16);
        line->total = kh_load64(p + 24);
        line->currency = kh_load16(p + 32);
        bool padded = kh_load16(p + 34) == 0 && kh_load32(p + 36) == 0;
        if (!padded || !kh_wire_currency(line->currency) || !kh_wire_amount(line->allocated, true) ||
            !kh_wire_amount(line->total, true) || (!apply && line->total != KH_AMOUNT_NONE) || line->key.b[0] == 0 ||
            line->key.b[0] >= KH_KIND_CNT)
            in->bad = true;
    }
}

void kh_out_lines(kh_fields_out *out, uint32_t cnt, bool apply, const kh_op_line *lines)
{
    if (cnt > KH_LINES_MAX) {
        out->bad = true;
        return;
    }
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t *p = kh_out_zeroed(out, KH_LINE_SZ);
        const kh_op_line *line = &lines[i];
        if (p == NULL) return;
        if (!kh_wire_currency(line->currency) || !kh_wire_amount(line->allocated, true) || !kh_wire_amount(line->total, true) ||
            (!apply && line->total != KH_AMOUNT_NONE) || line->key.b[0] == 0 || line->key.b[0] >= KH_KIND_CNT)
            out->bad = true;
        memcpy(p, line->key.b, 16);
        kh_store64(p + 16, line->allocated);
        kh_store64(p + 24, line->total);
        kh_store16(p + 32, line->currency);
    }
}
