/* input: see input.h. */
#include "formats/input.h"
#include "doc/fold.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#define BLOCK_SZ (256u << 10)
#define NO_ICONV ((iconv_t)-1)

enum encoding { BYTES, UNDECIDED, UTF8, CONVERTED };

struct kh_input {
    kh_bytes_source source;
    enum encoding encoding;
    iconv_t converter;
    uint32_t unit; /* bytes to leave out where the converter finds nonsense */
    char *window;
    size_t at, end;  /* of what the window holds */
    uint64_t offset; /* of window[at] in the text */
    uint8_t *block;  /* bytes of the file, not yet handed on */
    size_t block_at, block_end;
    bool source_ended;
    kh_err err;
};

/* Reads until `want` bytes are in the block, or the file ends. */
static void read_block(kh_input *in, size_t want)
{
    if (in->block_at > 0) {
        memmove(in->block, in->block + in->block_at, in->block_end - in->block_at);
        in->block_end -= in->block_at;
        in->block_at = 0;
    }
    while (in->block_end < want && !in->source_ended && in->err == KH_OK) {
        size_t n = 0;
        kh_err err = in->source.read(in->source.self, in->block + in->block_end, BLOCK_SZ - in->block_end, &n);
        if (err != KH_OK) in->err = err;
        else if (n == 0) in->source_ended = true;
        else in->block_end += n;
    }
}

kh_err kh_input_open(const kh_bytes_source *source, kh_input **ret)
{
    kh_input *in = calloc(1, sizeof *in);
    if (in == NULL) return KH_E_NOMEM;
    in->source = *source;
    in->converter = NO_ICONV;
    in->window = malloc(KH_INPUT_WINDOW_SZ);
    in->block = malloc(BLOCK_SZ);
    kh_err err = in->window == NULL || in->block == NULL ? KH_E_NOMEM : KH_OK;
    if (err == KH_OK) {
        read_block(in, KH_INPUT_HEAD_SZ);
        err = in->err;
    }
    if (err != KH_OK) {
        kh_input_close(in);
        return err;
    }
    *ret = in;
    return KH_OK;
}

void kh_input_close(kh_input *in)
{
    if (in == NULL) return;
    if (in->converter != NO_ICONV) iconv_close(in->converter);
    free(in->window);
    free(in->block);
    free(in);
}

const uint8_t *kh_input_head(const kh_input *in, size_t *ret_n)
{
    size_t n = in->block_end - in->block_at;
    *ret_n = n < KH_INPUT_HEAD_SZ ? n : KH_INPUT_HEAD_SZ;
    return in->block + in->block_at;
}

static kh_err convert_from(kh_input *in, const char *name, uint32_t unit)
{
    in->converter = iconv_open("UTF-8", name);
    in->encoding = CONVERTED;
    in->unit = unit;
    return in->converter == NO_ICONV ? KH_E_NOMEM : KH_OK;
}

kh_err kh_input_begin_text(kh_input *in)
{
    size_t n;
    const uint8_t *p = kh_input_head(in, &n);
    in->encoding = UNDECIDED;
    if (n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        in->block_at += 3;
        in->encoding = UTF8;
    } else if (n >= 2 && p[0] == 0xFF && p[1] == 0xFE) {
        in->block_at += 2;
        return convert_from(in, "UTF-16LE", 2);
    } else if (n >= 2 && p[0] == 0xFE && p[1] == 0xFF) {
        in->block_at += 2;
        return convert_from(in, "UTF-16BE", 2);
    } else if (n >= 4 && memcmp(p, "\x84\x31\x95\x33", 4) == 0) {
        in->block_at += 4; /* the BOM of GB18030 */
        return convert_from(in, "GB18030", 1);
    }
    return KH_OK;
}

void kh_input_begin_bytes(kh_input *in) { in->encoding = BYTES; }

static bool has_high_byte(const uint8_t *p, size_t n)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++) all |= p[i];
    return all >= 0x80;
}

/* A line with characters beyond ASCII, all of them of the shape that GB18030 gives to two or four bytes, and one at least a usual
   one (of GB 2312, both bytes high): so a single accented letter of another set does not pass for Chinese. */
static bool is_gb18030(const uint8_t *p, size_t n)
{
    bool usual = false;
    for (size_t i = 0; i < n;) {
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        if (p[i] == 0x80 || p[i] == 0xFF || i + 1 >= n) return false;
        uint8_t second = p[i + 1];
        usual = usual || (p[i] >= 0xA1 && p[i] <= 0xF7 && second >= 0xA1);
        if (second >= 0x40 && second <= 0xFE && second != 0x7F) i += 2;
        else if (second >= 0x30 && second <= 0x39 && i + 3 < n && p[i + 2] >= 0x81 && p[i + 3] >= 0x30 && p[i + 3] <= 0x39)
            i += 4;
        else return false;
    }
    return usual;
}

/* Lines vote: those that are UTF-8 beyond ASCII for UTF-8, those that are only possible in GB18030 for it. */
static bool votes_for_gb18030(const uint8_t *p, size_t n)
{
    size_t utf8 = 0, gb = 0;
    while (n > 0) {
        const uint8_t *newline = memchr(p, '\n', n);
        size_t line_n = newline != NULL ? (size_t)(newline - p) : n;
        if (has_high_byte(p, line_n)) {
            if (kh_utf8_valid((kh_text){(const char *)p, (uint32_t)line_n})) utf8++;
            else if (newline != NULL || gb + utf8 == 0) gb += is_gb18030(p, line_n) ? 1 : 0; /* the last line may be cut */
        }
        p += line_n + (newline != NULL ? 1 : 0);
        n -= line_n + (newline != NULL ? 1 : 0);
    }
    return gb > utf8;
}

static void convert(kh_input *in)
{
    char *from = (char *)in->block + in->block_at, *to = in->window + in->end;
    size_t from_n = in->block_end - in->block_at, to_n = KH_INPUT_WINDOW_SZ - in->end;
    while (from_n > 0 && to_n > 0) {
        size_t done = iconv(in->converter, &from, &from_n, &to, &to_n);
        if (done != (size_t)-1 || errno == E2BIG) break;
        if (errno == EINVAL && !in->source_ended) break; /* the rest of the character is in the next block */
        size_t out = from_n < in->unit ? from_n : in->unit;
        from += out;
        from_n -= out;
        if (to_n > 0) {
            *to++ = (char)0xFF;
            to_n--;
        }
    }
    in->block_at = in->block_end - from_n;
    in->end = KH_INPUT_WINDOW_SZ - to_n;
}

bool kh_input_more(kh_input *in)
{
    if (in->err != KH_OK) return false;
    if (in->at > 0 && KH_INPUT_WINDOW_SZ - in->end < BLOCK_SZ) {
        memmove(in->window, in->window + in->at, in->end - in->at);
        in->end -= in->at;
        in->at = 0;
    }
    size_t before = in->end;
    while (in->end == before && in->end < KH_INPUT_WINDOW_SZ && in->err == KH_OK) {
        size_t have = in->block_end - in->block_at;
        if (have == 0 || (in->encoding == CONVERTED && have < 8)) {
            if (have == 0 && in->source_ended) break;
            read_block(in, have + 1);
            if (in->err != KH_OK) break;
            have = in->block_end - in->block_at;
            if (have == 0) break;
        }
        if (in->encoding == UNDECIDED && has_high_byte(in->block + in->block_at, have)) {
            in->encoding = UTF8;
            if (votes_for_gb18030(in->block + in->block_at, have)) in->err = convert_from(in, "GB18030", 1);
        }
        if (in->err != KH_OK) break;
        if (in->encoding == CONVERTED) {
            size_t was = in->block_at;
            convert(in);
            if (in->end == before && in->block_at == was && in->end < KH_INPUT_WINDOW_SZ - 8) read_block(in, have + 1);
            else if (in->end == before && in->block_at == was) break;
            continue;
        }
        size_t n = KH_INPUT_WINDOW_SZ - in->end < have ? KH_INPUT_WINDOW_SZ - in->end : have;
        memcpy(in->window + in->end, in->block + in->block_at, n);
        in->block_at += n;
        in->end += n;
    }
    return in->end > before;
}

const char *kh_input_at(const kh_input *in, size_t *ret_n)
{
    *ret_n = in->end - in->at;
    return in->window + in->at;
}

bool kh_input_ended(const kh_input *in) { return in->source_ended && in->block_at == in->block_end; }
kh_err kh_input_err(const kh_input *in) { return in->err; }

void kh_input_take(kh_input *in, size_t n)
{
    KH_ASSERT(n <= in->end - in->at);
    in->at += n;
    in->offset += n;
    if (in->at == in->end) in->at = in->end = 0;
}

uint64_t kh_input_offset(const kh_input *in) { return in->offset; }
