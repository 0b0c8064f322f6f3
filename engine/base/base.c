/* base: error texts, the assertion's end, xxh3, dates. */
#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

const char *kh_err_text(kh_err err)
{
    switch (err) {
    case KH_OK: return "no error";
    case KH_E_ARG: return "a call outside its documented range";
    case KH_E_NOMEM: return "not enough memory";
    case KH_E_FULL: return "a stated bound was reached";
    case KH_E_IO: return "the disk or the kernel refused";
    case KH_E_NOSPACE: return "the disk is full";
    case KH_E_DAMAGED: return "stored bytes are not what was written";
    case KH_E_FORMAT: return "bytes that do not decode";
    case KH_E_NOT_FOUND: return "not found";
    case KH_E_EXISTS: return "exists already";
    case KH_E_BUSY: return "another process holds the lock";
    case KH_E_CLOCK: return "the clock jumped";
    case KH_E_VERSION: return "written by another version of the format";
    case KH_E_CLOSED: return "closed after a failure";
    case KH_E_AGAIN: return "nothing yet, try later";
    }
    return "unknown error";
}

void kh_assert_failed(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "kanhe: broken invariant: %s (%s:%d, build %s)\n", expr, file, line, KH_BUILD_ID);
    abort();
}

uint64_t kh_xxh3(const void *p, size_t n) { return XXH3_64bits(p, n); }

/* Days from civil and back: H. Hinnant, "chrono-compatible low-level date algorithms", with 2000-03-01 as the turn of an era. */
static int64_t days_of_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468 - 10957; /* 10957 days from 1970 to 2000 */
}

bool kh_date_make(int year, int month, int day, kh_date *ret)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 2000 || year > 2170 || month < 1 || month > 12 || day < 1) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > lengths[month - 1] + (month == 2 && leap ? 1 : 0)) return false;
    int64_t days = days_of_civil(year, month, day);
    if (days < 1 || days > UINT16_MAX) return false;
    *ret = (kh_date)days;
    return true;
}

void kh_date_split(kh_date date, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = (int64_t)date + 10957 + 719468;
    int64_t era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = (int)(yoe + era * 400 + (*ret_month <= 2 ? 1 : 0));
}

kh_date kh_date_of_time(uint64_t time_ns)
{
    uint64_t days = time_ns / KH_NS_PER_S / 86400;
    if (days <= 10957) return 0;
    days -= 10957;
    return days > UINT16_MAX ? UINT16_MAX : (kh_date)days;
}
