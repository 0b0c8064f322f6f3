/* check_digits: the sums of USCC (GB 32100-2015, GB 11714-1997), MRN and the shapes of Chinese numbers (DOMAIN's section on
 * numbers). */
#include "doc/number.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

static bool all_digits(const char *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!is_digit(p[i])) return false;
    return true;
}

int kh_number_direction(kh_text canonical)
{
    if (canonical.n != 18 || !all_digits(canonical.p, 8) || !all_digits(canonical.p + 9, 9)) return 0;
    char c = canonical.p[8];
    if (is_digit(c)) return (c - '0') % 2 == 0 ? 1 : -1;
    if (c == 'A') return 1;
    return c == 'B' || c == 'D' || c == 'F' ? -1 : 0;
}

bool kh_number_is_chinese_invoice(kh_text canonical)
{
    return (canonical.n == 20 || canonical.n == 18) && all_digits(canonical.p, canonical.n);
}

bool kh_number_is_mrn(kh_text canonical)
{
    if (canonical.n != 18 || !all_digits(canonical.p, 2) || !is_upper(canonical.p[2]) || !is_upper(canonical.p[3])) return false;
    for (uint32_t i = 4; i < 17; i++)
        if (!is_digit(canonical.p[i]) && !is_upper(canonical.p[i])) return false;
    return is_digit(canonical.p[17]);
}

/* The letters' values as in ISO 6346: A=10, B=12 ..., skipping multiples of eleven. */
static uint32_t letter_value(char c)
{
    uint32_t v = 10 + (uint32_t)(c - 'A');
    if (v >= 11) v++;
    if (v >= 22) v++;
    if (v >= 33) v++;
    return v;
}

bool kh_mrn_check(kh_text mrn)
{
    if (!kh_number_is_mrn(mrn)) return false;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 17; i++) {
        char c = mrn.p[i];
        uint32_t v = is_digit(c) ? (uint32_t)(c - '0') : letter_value(c);
        sum = (sum + (v << i) % 11) % 11;
    }
    return sum % 10 == (uint32_t)(mrn.p[17] - '0');
}

/* uscc_values: a character's value in 0123456789ABCDEFGHJKLMNPQRTUWXY, and one more; 0: none of them. */
static const uint8_t uscc_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['L'] = 21, ['M'] = 22, ['N'] = 23, ['P'] = 24,
    ['Q'] = 25, ['R'] = 26, ['T'] = 27, ['U'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31};

static int uscc_value(char c) { return uscc_values[(unsigned char)c] - 1; }

bool kh_uscc_shape(kh_text uscc)
{
    if (uscc.n != 18 || !all_digits(uscc.p + 2, 6)) return false;
    for (uint32_t i = 0; i < 18; i++)
        if (uscc_value(uscc.p[i]) < 0) return false;
    return true;
}

static bool both_fit(kh_text uscc)
{
    static const int organisation_weights[8] = {3, 7, 9, 10, 5, 8, 4, 2};
    static const int weights[17] = {1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28}; /* 3^i mod 31 */
    int sum = 0;
    for (uint32_t i = 0; i < 17; i++) sum += uscc_value(uscc.p[i]) * weights[i];
    if ((31 - sum % 31) % 31 != uscc_value(uscc.p[17])) return false;
    sum = 0;
    for (uint32_t i = 0; i < 8; i++) {
        char c = uscc.p[8 + i];
        sum += (is_digit(c) ? c - '0' : 10 + (c - 'A')) * organisation_weights[i];
    }
    int check = (11 - sum % 11) % 11;
    return uscc.p[16] == (check == 10 ? 'X' : (char)('0' + check));
}

bool kh_uscc_check(kh_text uscc) { return kh_uscc_shape(uscc) && both_fit(uscc); }

bool kh_uscc_is_odd(kh_text id) { return kh_uscc_shape(id) && !both_fit(id); }
