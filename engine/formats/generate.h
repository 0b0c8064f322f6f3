/* generate: sound, distinct, usable lines for tests, demonstrations and benchmarks: declarations, invoices, and requests that
 * finance the declarations of the same count and seed. Each line is computed from (seed, count, index) alone, so that lines can
 * be made in any order and in parallel; numbers are distinct by construction. Pure; no allocation. */
#ifndef KH_FORMATS_GENERATE_H
#define KH_FORMATS_GENERATE_H
#include "doc/kind.h"

#define KH_GENERATE_MAX UINT64_C(900000000) /* lines of one set */
#define KH_GENERATE_LINE_MAX 256            /* bytes of one line with its newline */

typedef enum kh_generate {
    KH_GENERATE_DECLARATIONS = 0,
    KH_GENERATE_INVOICES = 1,
    KH_GENERATE_REQUESTS = 2,
    KH_GENERATE_CNT = 3
} kh_generate;
KH_MUST bool kh_generate_of_word(kh_text word, kh_generate *ret); /* "declarations" "invoices" "requests" */

/* kh_generate_header: the header with its newline. */
const char *kh_generate_header(kh_generate what);
/* kh_generate_line writes line `index` of `count` (index < count <= KH_GENERATE_MAX) into buf, KH_GENERATE_LINE_MAX bytes, ended
   by a newline, and returns its length. There are max(1, count / 10) owners; dates lie in the half year before November 2026. */
uint32_t kh_generate_line(kh_generate what, uint64_t count, uint64_t seed, uint64_t index, char *buf);
#endif
