/* input: a source of bytes as one moving window of text, in bounded memory.
 *
 * The first bytes can be looked at before the encoding is chosen. Text is handed on as UTF-8: UTF-8 (with or without BOM) as it
 * is, GB18030 and UTF-16 converted block by block. A byte that the encoding does not have becomes 0xFF, which is no UTF-8, so
 * that the line that holds it is refused and no other. GB18030 is told from UTF-8 by content, at the first block that is not
 * plain ASCII.
 * Threads  one. Memory: the window and two blocks, all taken at open. */
#ifndef KH_FORMATS_INPUT_H
#define KH_FORMATS_INPUT_H
#include "formats/formats.h"

#define KH_INPUT_HEAD_SZ (64u << 10)             /* bytes looked at for detection */
#define KH_INPUT_WINDOW_SZ (4u * KH_LINE_MAX_SZ) /* the window: a line of the greatest size always fits */

typedef struct kh_input kh_input;

KH_MUST kh_err kh_input_open(const kh_bytes_source *source, kh_input **ret);
void kh_input_close(kh_input *in);
/* kh_input_head: the first bytes as they are in the file, at most KH_INPUT_HEAD_SZ; fewer only when the file is shorter. */
const uint8_t *kh_input_head(const kh_input *in, size_t *ret_n);

/* kh_input_begin_text: what follows is text in a detected encoding. kh_input_begin_bytes: no conversion. One of them, once. */
KH_MUST kh_err kh_input_begin_text(kh_input *in);
void kh_input_begin_bytes(kh_input *in);

/* kh_input_at: what the window holds now. */
const char *kh_input_at(const kh_input *in, size_t *ret_n);
/* kh_input_more reads on; true if the window grew. It may move what it holds. False: the end, a full window, or kh_input_err. */
bool kh_input_more(kh_input *in);
bool kh_input_ended(const kh_input *in);
kh_err kh_input_err(const kh_input *in);
void kh_input_take(kh_input *in, size_t n);
uint64_t kh_input_offset(const kh_input *in); /* of the window's begin, in the handed-on text */
#endif
