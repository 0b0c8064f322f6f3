/* fold: compatibility forms and case, by ranges and small tables (Unicode 15, UnicodeData and CaseFolding). */
#include "doc/fold.h"

static bool decode(kh_text text, uint32_t *at, uint32_t *ret)
{
    const uint8_t *p = (const uint8_t *)text.p + *at;
    uint32_t left = text.n - *at, c = p[0], n;
    if (c < 0x80) n = 1;
    else if (c >= 0xc2 && c < 0xe0) n = 2, c &= 0x1f;
    else if (c >= 0xe0 && c < 0xf0) n = 3, c &= 0x0f;
    else if (c >= 0xf0 && c < 0xf5) n = 4, c &= 0x07;
    else return false;
    if (n > left) return false;
    for (uint32_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return false;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) return false;
    *at += n;
    *ret = c;
    return true;
}

bool kh_utf8_valid(kh_text text)
{
    uint32_t c;
    for (uint32_t at = 0; at < text.n;)
        if (!decode(text, &at, &c)) return false;
    return true;
}

void kh_utf8_whole(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        uint32_t n = 1;
        while ((from[0] & 0xC0) == 0xC0 && n < 4 && (from[n] & 0xC0) == 0x80) n++;
        if (kh_utf8_valid((kh_text){from, n})) {
            memmove(to, from, n);
            to += n;
        }
        from += n;
    }
    *to = '\0';
}

static const struct {
    uint32_t from;
    const char *to;
} forms[] = {
    {0xaa, "a"},           {0xb2, "2"},    {0xb3, "3"},     {0xb9, "1"},     {0xba, "o"},     {0x132, "IJ"},  {0x133, "ij"},
    {0x2024, "."},         {0x2025, ".."}, {0x2026, "..."}, {0x2070, "0"},   {0x2071, "i"},   {0x2074, "4"},  {0x2075, "5"},
    {0x2076, "6"},         {0x2077, "7"},  {0x2078, "8"},   {0x2079, "9"},   {0x2080, "0"},   {0x2081, "1"},  {0x2082, "2"},
    {0x2083, "3"},         {0x2084, "4"},  {0x2085, "5"},   {0x2086, "6"},   {0x2087, "7"},   {0x2088, "8"},  {0x2089, "9"},
    {0x2103, "\302\260C"}, {0x2116, "No"}, {0x2121, "TEL"}, {0x2122, "TM"},  {0x2460, "1"},   {0x2461, "2"},  {0x2462, "3"},
    {0x2463, "4"},         {0x2464, "5"},  {0x2465, "6"},   {0x2466, "7"},   {0x2467, "8"},   {0x2468, "9"},  {0x2469, "10"},
    {0xfb00, "ff"},        {0xfb01, "fi"}, {0xfb02, "fl"},  {0xfb03, "ffi"}, {0xfb04, "ffl"}, {0xfb05, "st"}, {0xfb06, "st"},
};

static uint32_t compatibility(uint32_t c, uint32_t ret[KH_FOLD_MAX])
{
    ret[0] = c;
    if (c < 0xa0) return 1;
    if (c >= 0xff01 && c <= 0xff5e) ret[0] = c - 0xfee0;
    else if (c == 0x3000 || c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f) ret[0] = ' ';
    else {
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            if (forms[i].from != c) continue;
            kh_text to = {forms[i].to, 0};
            while (to.p[to.n] != '\0') to.n++;
            uint32_t n = 0;
            for (uint32_t at = 0; at < to.n && n < KH_FOLD_MAX; n++)
                if (!decode(to, &at, &ret[n])) break;
            return n;
        }
    }
    return 1;
}

/* compose joins a base letter with one combining mark that follows it, for Latin-1's letters (what a decomposed name has). */
static uint32_t compose(uint32_t base, uint32_t mark)
{
    static const struct {
        uint32_t mark;
        const char *base;
        uint16_t to[14];
    } marks[] = {
        {0x300, "AEIOUaeiou", {0xc0, 0xc8, 0xcc, 0xd2, 0xd9, 0xe0, 0xe8, 0xec, 0xf2, 0xf9}},
        {0x301, "AEIOUYaeiouy", {0xc1, 0xc9, 0xcd, 0xd3, 0xda, 0xdd, 0xe1, 0xe9, 0xed, 0xf3, 0xfa, 0xfd}},
        {0x302, "AEIOUaeiou", {0xc2, 0xca, 0xce, 0xd4, 0xdb, 0xe2, 0xea, 0xee, 0xf4, 0xfb}},
        {0x303, "ANOano", {0xc3, 0xd1, 0xd5, 0xe3, 0xf1, 0xf5}},
        {0x308, "AEIOUYaeiouy", {0xc4, 0xcb, 0xcf, 0xd6, 0xdc, 0x178, 0xe4, 0xeb, 0xef, 0xf6, 0xfc, 0xff}},
        {0x30a, "Aa", {0xc5, 0xe5}},
        {0x30c, "CSZcsz", {0x10c, 0x160, 0x17d, 0x10d, 0x161, 0x17e}},
        {0x327, "CSTcst", {0xc7, 0x15e, 0x162, 0xe7, 0x15f, 0x163}},
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        for (uint32_t j = 0; marks[i].mark == mark && marks[i].base[j] != '\0'; j++)
            if ((uint32_t)marks[i].base[j] == base) return marks[i].to[j];
    return 0;
}

bool kh_fold_next(kh_text text, uint32_t *at, uint32_t ret[KH_FOLD_MAX], uint32_t *ret_cnt)
{
    uint32_t c;
    if (!decode(text, at, &c)) return false;
    *ret_cnt = compatibility(c, ret);
    uint32_t ahead = *at, mark;
    if (*ret_cnt == 1 && ret[0] < 0x80 && ahead < text.n && decode(text, &ahead, &mark) && mark >= 0x300 && mark < 0x370) {
        uint32_t joined = compose(ret[0], mark);
        if (joined != 0) {
            ret[0] = joined;
            *at = ahead;
        }
    }
    return true;
}

bool kh_fold_put(uint32_t c, char *buf, uint32_t max, uint32_t *n)
{
    uint8_t out[4];
    uint32_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (*n + len > max) return false;
    for (uint32_t i = len - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (uint8_t)(lead[len] | c);
    memcpy(buf + *n, out, len);
    *n += len;
    return true;
}

uint32_t kh_fold_case(uint32_t c, uint32_t ret[KH_FOLD_MAX])
{
    ret[0] = c;
    if (c >= 'A' && c <= 'Z') ret[0] = c + 32;
    else if (c < 0x80) return 1;
    else if (c == 0xdf) return ret[0] = ret[1] = 's', 2;
    else if (c >= 0xc0 && c <= 0xde && c != 0xd7) ret[0] = c + 32;
    else if (c == 0x178) ret[0] = 0xff;
    else if (c == 0x17f) ret[0] = 's';
    else if ((c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14a && c <= 0x177)) ret[0] = c | 1;
    else if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e)) ret[0] = c + (c & 1);
    else if (c >= 0x391 && c <= 0x3a9) ret[0] = c + 32;
    else if (c == 0x3c2) ret[0] = 0x3c3;
    else if (c >= 0x410 && c <= 0x42f) ret[0] = c + 32;
    else if (c >= 0x400 && c <= 0x40f) ret[0] = c + 80;
    return 1;
}

bool kh_fold_is_blank(uint32_t c) { return c == ' ' || c == '\t' || c == 0x200b || c == 0xfeff || c == 0x3000; }

bool kh_fold_is_unseen(uint32_t c)
{
    return c == 0xad || c == 0x34f || c == 0x61c || c == 0x180e || (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0000 && c <= 0xe0fff);
}

bool kh_fold_is_letter(uint32_t c)
{
    if (c < 0xc0) return c == 0xaa || c == 0xb5 || c == 0xba;
    if (c == 0xd7 || c == 0xf7) return false;
    return !(c >= 0x2000 && c < 0x2c00) && !(c >= 0x3000 && c < 0x3005) && !(c >= 0x3008 && c < 0x3021) &&
           !(c >= 0xfe00 && c < 0xff00) && c != 0xfeff && !(c >= 0xff5f && c < 0xff66) && !(c >= 0xe000 && c < 0xf900);
}
