/* money: ISO 4217 currencies and exact decimals. Amounts are minor units in uint64_t; no floating point anywhere. */
#ifndef KH_DOC_MONEY_H
#define KH_DOC_MONEY_H
#include "doc/code.h"

#define KH_AMOUNT_MAX UINT64_C(999999999999999999) /* 18 digits of minor units */
#define KH_AMOUNT_NONE UINT64_MAX
#define KH_AMOUNT_TEXT_MAX 64 /* characters; longer is FORMAT (DOMAIN §5) */

typedef uint16_t kh_currency;                                      /* ISO 4217 numeric; 0 = none */
KH_MUST bool kh_currency_of_text(kh_text alpha, kh_currency *ret); /* "USD" (any case, blanks around), also 美元, 人民币 … */
KH_MUST bool kh_currency_of_customs(kh_text code,
                                    kh_currency *ret); /* old Chinese customs numerics (110 HKD, 502 USD …) or alphabetic */
const char *kh_currency_alpha(kh_currency currency);   /* "USD"; "" for 0; "???" unknown */
bool kh_currency_known(kh_currency currency);
int kh_currency_exponent(kh_currency currency); /* 0, 2, 3, 4; 2 for unknown */

/* kh_amount_parse: digits with at most one point; exact; digits beyond the exponent are FORMAT unless zero is all they are NOT:
   "1.000" USD is FORMAT too. Empty -> KH_AMOUNT_NONE with KH_C_OK. A leading '-' is FORMAT here (kh_amount_parse_signed takes
   it). */
kh_code kh_amount_parse(kh_text text, kh_currency currency, uint64_t *ret);
kh_code kh_amount_parse_signed(kh_text text, kh_currency currency, bool *ret_negative, uint64_t *ret);
/* kh_amount_format writes "1234.50", NUL-terminated, into buf (32 bytes); returns the length. */
uint32_t kh_amount_format(uint64_t amount, kh_currency currency, char *buf);

/* Rates: value = mantissa / 10^scale, exact. */
typedef struct kh_rate {
    uint64_t mantissa;
    uint8_t scale;
} kh_rate;
KH_MUST bool kh_rate_parse(kh_text text, kh_rate *ret); /* up to 18 digits in all, scale <= 12, > 0 */
uint32_t kh_rate_format(kh_rate rate, char *buf);
/* kh_convert_up: amount of `from` into minor units of `to` at the rate, rounded up; false on overflow beyond KH_AMOUNT_MAX. */
KH_MUST bool kh_convert_up(uint64_t amount, kh_currency from, kh_currency to, kh_rate rate, uint64_t *ret);

/* Durations "90s", "15m", "36h", "10d" in seconds; "off" is 0. At most 10,000 days. */
KH_MUST bool kh_duration_parse(kh_text text, uint64_t *ret_seconds);
/* Dates: "2026-11-24", "20261124", "2026/11/24" and 2026年11月24日; empty is 0 (none) and true. */
KH_MUST bool kh_date_parse(kh_text text, kh_date *ret);
uint32_t kh_date_format(kh_date date, char *buf); /* "2026-11-24"; "" for 0 */
#endif
