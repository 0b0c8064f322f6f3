/* consent: the words of scopes, and the days of a grant. */
#include "doc/consent.h"
#include "doc/money.h"

typedef struct scope_row {
    uint8_t bit;
    kh_text word, zh;
} scope_row;

static const scope_row rows[] = {
    {KH_SCOPE_DOCUMENTS, {"documents", 9}, {"单证", 6}},
    {KH_SCOPE_CREDIT, {"credit", 6}, {"信用", 6}},
};

static uint8_t bit_of(kh_text word)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (kh_text_equal(word, rows[i].word) || kh_text_equal(word, rows[i].zh)) return rows[i].bit;
    return 0;
}

bool kh_scope_of_words(kh_text words, uint8_t *ret)
{
    uint8_t scope = 0;
    for (uint32_t at = 0; at < words.n;) {
        uint32_t end = at;
        while (end < words.n && words.p[end] != ',' && words.p[end] != ' ') end++;
        if (end > at) {
            uint8_t bit = bit_of((kh_text){words.p + at, end - at});
            if (bit == 0) return false;
            scope |= bit;
        }
        at = end + 1;
    }
    if (scope != 0) *ret = scope;
    return scope != 0;
}

void kh_scope_words(uint8_t scope, char ret[KH_SCOPE_WORDS_MAX])
{
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if ((scope & rows[i].bit) == 0) continue;
        if (n > 0) ret[n++] = ' ';
        memcpy(ret + n, rows[i].word.p, rows[i].word.n);
        n += rows[i].word.n;
    }
    ret[n] = '\0';
}

#define DAY_NS (86400 * KH_NS_PER_S)
#define DAYS_BEFORE_2000 10957u /* since 1970 */

static uint64_t day_begins(kh_date date) { return (date + (uint64_t)DAYS_BEFORE_2000) * DAY_NS; }

const char *kh_grant_period(kh_text from, kh_text until, uint64_t *ret_from_ns, uint64_t *ret_until_ns)
{
    kh_date first = 0, last = 0;
    if (from.p != NULL && (!kh_date_parse(from, &first) || first == 0)) return "from is no date (2026-11-24)";
    if (until.p == NULL || !kh_date_parse(until, &last) || last == 0)
        return "until is no date (2026-11-24): until when may the bank look?";
    if (last < first) return "a grant that ends before it begins";
    *ret_from_ns = first == 0 ? 0 : day_begins(first);
    *ret_until_ns = day_begins(last) + DAY_NS - 1;
    return NULL;
}
