/* money: exact decimals, rates, conversion, durations and dates as text. */
#include "doc/money.h"

static kh_text trim(kh_text t)
{
    while (t.n > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) t.p++, t.n--;
    while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) t.n--;
    return t;
}

kh_code kh_amount_parse(kh_text text, kh_currency currency, uint64_t *ret)
{
    kh_text t = trim(text);
    if (t.n == 0) {
        *ret = KH_AMOUNT_NONE;
        return KH_C_OK;
    }
    if (t.n > KH_AMOUNT_TEXT_MAX) return KH_C_FORMAT;
    int exponent = kh_currency_exponent(currency), after = -1;
    bool digits = false;
    uint64_t v = 0;
    for (uint32_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (c == '.' && after < 0) {
            after = 0;
            continue;
        }
        if (c < '0' || c > '9') return KH_C_FORMAT;
        digits = true;
        if (after >= 0 && ++after > exponent) return KH_C_FORMAT;
        v = v * 10 + (uint64_t)(c - '0');
        if (v > KH_AMOUNT_MAX) return KH_C_FORMAT;
    }
    if (!digits) return KH_C_FORMAT;
    for (int i = after < 0 ? 0 : after; i < exponent; i++) {
        v *= 10;
        if (v > KH_AMOUNT_MAX) return KH_C_FORMAT;
    }
    *ret = v;
    return KH_C_OK;
}

kh_code kh_amount_parse_signed(kh_text text, kh_currency currency, bool *ret_negative, uint64_t *ret)
{
    kh_text t = trim(text);
    bool negative = t.n > 1 && t.p[0] == '-';
    if (negative) t.p++, t.n--;
    if (negative && (t.p[0] == ' ' || t.p[0] == '\t')) return KH_C_FORMAT;
    uint64_t v;
    kh_code code = kh_amount_parse(t, currency, &v);
    if (code != KH_C_OK) return code;
    *ret_negative = negative && v != 0;
    *ret = v;
    return KH_C_OK;
}

/* decimal writes v with `exponent` digits behind the point. */
static uint32_t decimal(uint64_t v, int exponent, char *buf)
{
    char reversed[32];
    uint32_t n = 0;
    for (int i = 0; v != 0 || i <= exponent; i++, v /= 10) {
        if (i == exponent && exponent != 0) reversed[n++] = '.';
        reversed[n++] = (char)('0' + v % 10);
    }
    for (uint32_t i = 0; i < n; i++) buf[i] = reversed[n - 1 - i];
    buf[n] = '\0';
    return n;
}

uint32_t kh_amount_format(uint64_t amount, kh_currency currency, char *buf)
{
    if (amount == KH_AMOUNT_NONE) {
        buf[0] = '\0';
        return 0;
    }
    return decimal(amount, kh_currency_exponent(currency), buf);
}

bool kh_rate_parse(kh_text text, kh_rate *ret)
{
    kh_text t = trim(text);
    kh_rate rate = {0, 0};
    uint32_t digits = 0;
    bool point = false;
    for (uint32_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') return false;
        if ((digits > 0 || c != '0') && ++digits > 18) return false;
        rate.mantissa = rate.mantissa * 10 + (uint64_t)(c - '0');
        if (point && ++rate.scale > 12) return false;
    }
    if (rate.mantissa == 0) return false;
    while (rate.scale > 0 && rate.mantissa % 10 == 0) rate.mantissa /= 10, rate.scale--;
    *ret = rate;
    return true;
}

uint32_t kh_rate_format(kh_rate rate, char *buf) { return decimal(rate.mantissa, rate.scale, buf); }

bool kh_convert_up(uint64_t amount, kh_currency from, kh_currency to, kh_rate rate, uint64_t *ret)
{
    if (amount > KH_AMOUNT_MAX || rate.mantissa == 0 || rate.mantissa > KH_AMOUNT_MAX || rate.scale > 12) return false;
    /* amount/10^f * mantissa/10^scale = ret/10^t: numerator below 10^36 * 10^4, which 128 bits may not hold: shift by the
     * difference. */
    int shift = kh_currency_exponent(to) - kh_currency_exponent(from) - rate.scale;
    unsigned __int128 v = (unsigned __int128)amount * rate.mantissa;
    for (; shift > 0; shift--) {
        if (v > KH_AMOUNT_MAX) return false;
        v *= 10;
    }
    unsigned __int128 divisor = 1;
    for (; shift < 0; shift++) divisor *= 10;
    v = v / divisor + (v % divisor != 0 ? 1 : 0);
    if (v > KH_AMOUNT_MAX) return false;
    *ret = (uint64_t)v;
    return true;
}

bool kh_duration_parse(kh_text text, uint64_t *ret_seconds)
{
    kh_text t = trim(text);
    if (t.n == 3 && memcmp(t.p, "off", 3) == 0) {
        *ret_seconds = 0;
        return true;
    }
    if (t.n < 2 || t.n > 12) return false;
    uint64_t v = 0, unit;
    for (uint32_t i = 0; i + 1 < t.n; i++) {
        if (t.p[i] < '0' || t.p[i] > '9') return false;
        v = v * 10 + (uint64_t)(t.p[i] - '0');
    }
    switch (t.p[t.n - 1]) {
    case 's': unit = 1; break;
    case 'm': unit = 60; break;
    case 'h': unit = 3600; break;
    case 'd': unit = 86400; break;
    default: return false;
    }
    if (v == 0 || v * unit > UINT64_C(10000) * 86400) return false;
    *ret_seconds = v * unit;
    return true;
}

/* take reads 1 or 2 (or exactly `exact`) digits. */
static bool take(kh_text *t, uint32_t least, uint32_t most, int *ret)
{
    int v = 0;
    uint32_t n = 0;
    while (n < most && n < t->n && t->p[n] >= '0' && t->p[n] <= '9') v = v * 10 + (t->p[n++] - '0');
    if (n < least) return false;
    t->p += n;
    t->n -= n;
    *ret = v;
    return true;
}

static bool skip(kh_text *t, const char *word)
{
    uint32_t n = 0;
    while (word[n] != '\0') {
        if (n >= t->n || t->p[n] != word[n]) return false;
        n++;
    }
    t->p += n;
    t->n -= n;
    return true;
}

bool kh_date_parse(kh_text text, kh_date *ret)
{
    kh_text t = trim(text);
    int year, month, day;
    if (t.n == 0) {
        *ret = 0;
        return true;
    }
    if (!take(&t, 4, 4, &year)) return false;
    if (t.n > 0 && t.p[0] >= '0' && t.p[0] <= '9') {
        if (!take(&t, 2, 2, &month) || !take(&t, 2, 2, &day)) return false;
    } else {
        static const char *const separators[3][3] = {{"-", "-", ""}, {"/", "/", ""}, {"年", "月", "日"}};
        uint32_t s = 0;
        while (s < 3 && !skip(&t, separators[s][0])) s++;
        if (s == 3 || !take(&t, 1, 2, &month) || !skip(&t, separators[s][1]) || !take(&t, 1, 2, &day) ||
            !skip(&t, separators[s][2]))
            return false;
    }
    return t.n == 0 && kh_date_make(year, month, day, ret);
}

uint32_t kh_date_format(kh_date date, char *buf)
{
    if (date == 0) {
        buf[0] = '\0';
        return 0;
    }
    int year, month, day;
    kh_date_split(date, &year, &month, &day);
    int digits[8] = {year / 1000, year / 100 % 10, year / 10 % 10, year % 10, month / 10, month % 10, day / 10, day % 10};
    uint32_t n = 0;
    for (int i = 0; i < 8; i++) {
        if (i == 4 || i == 6) buf[n++] = '-';
        buf[n++] = (char)('0' + digits[i]);
    }
    buf[n] = '\0';
    return n;
}
