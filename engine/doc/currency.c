/* currency: ISO 4217 (list one, 2024) alphabetic, numeric and exponent; the old Chinese customs numerics; common Chinese names.
 */
#include "doc/money.h"

typedef struct currency {
    char alpha[4];
    uint16_t numeric;
    uint8_t exponent;
} currency;

/* Ascending by numeric code. Left out are the codes without a minor unit (metals, SDR, units of account, XTS, XXX): no paper is
   paid in them. HRK, CUC, BGN and others that were withdrawn stay, for older papers; 532 was ANG until 2025. */
static const currency currencies[] = {
    {"ALL", 8, 2},   {"DZD", 12, 2},  {"ARS", 32, 2},  {"AUD", 36, 2},  {"BSD", 44, 2},  {"BHD", 48, 3},  {"BDT", 50, 2},
    {"AMD", 51, 2},  {"BBD", 52, 2},  {"BMD", 60, 2},  {"BTN", 64, 2},  {"BOB", 68, 2},  {"BWP", 72, 2},  {"BZD", 84, 2},
    {"SBD", 90, 2},  {"BND", 96, 2},  {"MMK", 104, 2}, {"BIF", 108, 0}, {"KHR", 116, 2}, {"CAD", 124, 2}, {"CVE", 132, 2},
    {"KYD", 136, 2}, {"LKR", 144, 2}, {"CLP", 152, 0}, {"CNY", 156, 2}, {"COP", 170, 2}, {"KMF", 174, 0}, {"CRC", 188, 2},
    {"HRK", 191, 2}, {"CUP", 192, 2}, {"CZK", 203, 2}, {"DKK", 208, 2}, {"DOP", 214, 2}, {"SVC", 222, 2}, {"ETB", 230, 2},
    {"ERN", 232, 2}, {"FKP", 238, 2}, {"FJD", 242, 2}, {"DJF", 262, 0}, {"GMD", 270, 2}, {"GIP", 292, 2}, {"GTQ", 320, 2},
    {"GNF", 324, 0}, {"GYD", 328, 2}, {"HTG", 332, 2}, {"HNL", 340, 2}, {"HKD", 344, 2}, {"HUF", 348, 2}, {"ISK", 352, 0},
    {"INR", 356, 2}, {"IDR", 360, 2}, {"IRR", 364, 2}, {"IQD", 368, 3}, {"ILS", 376, 2}, {"JMD", 388, 2}, {"JPY", 392, 0},
    {"KZT", 398, 2}, {"JOD", 400, 3}, {"KES", 404, 2}, {"KPW", 408, 2}, {"KRW", 410, 0}, {"KWD", 414, 3}, {"KGS", 417, 2},
    {"LAK", 418, 2}, {"LBP", 422, 2}, {"LSL", 426, 2}, {"LRD", 430, 2}, {"LYD", 434, 3}, {"MOP", 446, 2}, {"MWK", 454, 2},
    {"MYR", 458, 2}, {"MVR", 462, 2}, {"MUR", 480, 2}, {"MXN", 484, 2}, {"MNT", 496, 2}, {"MDL", 498, 2}, {"MAD", 504, 2},
    {"OMR", 512, 3}, {"NAD", 516, 2}, {"NPR", 524, 2}, {"XCG", 532, 2}, {"AWG", 533, 2}, {"VUV", 548, 0}, {"NZD", 554, 2},
    {"NIO", 558, 2}, {"NGN", 566, 2}, {"NOK", 578, 2}, {"PKR", 586, 2}, {"PAB", 590, 2}, {"PGK", 598, 2}, {"PYG", 600, 0},
    {"PEN", 604, 2}, {"PHP", 608, 2}, {"QAR", 634, 2}, {"RUB", 643, 2}, {"RWF", 646, 0}, {"SHP", 654, 2}, {"SAR", 682, 2},
    {"SCR", 690, 2}, {"SLL", 694, 2}, {"SGD", 702, 2}, {"VND", 704, 0}, {"SOS", 706, 2}, {"ZAR", 710, 2}, {"SSP", 728, 2},
    {"SZL", 748, 2}, {"SEK", 752, 2}, {"CHF", 756, 2}, {"SYP", 760, 2}, {"THB", 764, 2}, {"TOP", 776, 2}, {"TTD", 780, 2},
    {"AED", 784, 2}, {"TND", 788, 3}, {"UGX", 800, 0}, {"MKD", 807, 2}, {"EGP", 818, 2}, {"GBP", 826, 2}, {"TZS", 834, 2},
    {"USD", 840, 2}, {"UYU", 858, 2}, {"UZS", 860, 2}, {"WST", 882, 2}, {"YER", 886, 2}, {"TWD", 901, 2}, {"ZWG", 924, 2},
    {"SLE", 925, 2}, {"VED", 926, 2}, {"UYW", 927, 4}, {"VES", 928, 2}, {"MRU", 929, 2}, {"STN", 930, 2}, {"CUC", 931, 2},
    {"ZWL", 932, 2}, {"BYN", 933, 2}, {"TMT", 934, 2}, {"GHS", 936, 2}, {"SDG", 938, 2}, {"UYI", 940, 0}, {"RSD", 941, 2},
    {"MZN", 943, 2}, {"AZN", 944, 2}, {"RON", 946, 2}, {"CHE", 947, 2}, {"CHW", 948, 2}, {"TRY", 949, 2}, {"XAF", 950, 0},
    {"XCD", 951, 2}, {"XOF", 952, 0}, {"XPF", 953, 0}, {"ZMW", 967, 2}, {"SRD", 968, 2}, {"MGA", 969, 2}, {"COU", 970, 2},
    {"AFN", 971, 2}, {"TJS", 972, 2}, {"AOA", 973, 2}, {"BGN", 975, 2}, {"CDF", 976, 2}, {"BAM", 977, 2}, {"EUR", 978, 2},
    {"MXV", 979, 2}, {"UAH", 980, 2}, {"GEL", 981, 2}, {"BOV", 984, 2}, {"PLN", 985, 2}, {"BRL", 986, 2}, {"CLF", 990, 4},
    {"USN", 997, 2},
};
enum { CURRENCY_CNT = sizeof currencies / sizeof currencies[0] };

static const currency *find(kh_currency numeric)
{
    uint32_t low = 0, high = CURRENCY_CNT;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (currencies[middle].numeric < numeric) low = middle + 1;
        else high = middle;
    }
    return low < CURRENCY_CNT && currencies[low].numeric == numeric ? &currencies[low] : NULL;
}

/* Customs' own three digits (海关币制代码, before ISO letters came in): never ISO numerics. */
static const currency customs[] = {
    {"HKD", 110, 0}, {"INR", 111, 0}, {"IDR", 112, 0}, {"IRR", 113, 0}, {"JPY", 116, 0}, {"KWD", 118, 0},
    {"MOP", 121, 0}, {"MYR", 122, 0}, {"PKR", 127, 0}, {"PHP", 129, 0}, {"SAR", 131, 0}, {"SGD", 132, 0},
    {"KRW", 133, 0}, {"THB", 136, 0}, {"AED", 138, 0}, {"CNY", 142, 0}, {"TWD", 143, 0}, {"VND", 141, 0},
    {"EUR", 300, 0}, {"DKK", 302, 0}, {"GBP", 303, 0}, {"NOK", 326, 0}, {"SEK", 330, 0}, {"CHF", 331, 0},
    {"RUB", 344, 0}, {"CAD", 501, 0}, {"USD", 502, 0}, {"AUD", 601, 0}, {"NZD", 609, 0},
};

static const struct {
    const char *name, *alpha;
} names[] = {
    {"人民币", "CNY"},     {"人民币元", "CNY"}, {"美元", "USD"},     {"欧元", "EUR"},     {"英镑", "GBP"},     {"日元", "JPY"},
    {"日圆", "JPY"},       {"港币", "HKD"},     {"港元", "HKD"},     {"韩元", "KRW"},     {"新加坡元", "SGD"}, {"澳元", "AUD"},
    {"澳大利亚元", "AUD"}, {"加元", "CAD"},     {"加拿大元", "CAD"}, {"瑞士法郎", "CHF"}, {"澳门元", "MOP"},   {"新台币", "TWD"},
    {"卢布", "RUB"},       {"泰铢", "THB"},     {"林吉特", "MYR"},   {"RMB", "CNY"},      {"ANG", "XCG"},
};

static kh_text trim(kh_text t)
{
    while (t.n > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) t.p++, t.n--;
    while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) t.n--;
    return t;
}

static bool by_alpha(const char *alpha, kh_currency *ret)
{
    for (uint32_t i = 0; i < CURRENCY_CNT; i++) {
        if (memcmp(currencies[i].alpha, alpha, 3) != 0) continue;
        *ret = currencies[i].numeric;
        return true;
    }
    return false;
}

bool kh_currency_of_text(kh_text alpha, kh_currency *ret)
{
    kh_text t = trim(alpha);
    if (t.n == 3 && (t.p[0] & 0x80) == 0) {
        char upper[3];
        for (int i = 0; i < 3; i++) upper[i] = t.p[i] >= 'a' && t.p[i] <= 'z' ? (char)(t.p[i] - 32) : t.p[i];
        if (upper[0] == 'U' && upper[1] == 'S' && upper[2] == 'D') return *ret = 840, true; /* by far the commonest */
        if (by_alpha(upper, ret)) return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t n = 0;
        while (n < t.n && names[i].name[n] != '\0' && names[i].name[n] == t.p[n]) n++;
        if (n == t.n && names[i].name[n] == '\0') return by_alpha(names[i].alpha, ret);
    }
    return false;
}

bool kh_currency_of_customs(kh_text code, kh_currency *ret)
{
    kh_text t = trim(code);
    if (t.n != 3 || t.p[0] < '0' || t.p[0] > '9') return kh_currency_of_text(t, ret);
    uint32_t v = 0;
    for (int i = 0; i < 3; i++) {
        if (t.p[i] < '0' || t.p[i] > '9') return false;
        v = v * 10 + (uint32_t)(t.p[i] - '0');
    }
    for (size_t i = 0; i < sizeof customs / sizeof customs[0]; i++)
        if (customs[i].numeric == v) return by_alpha(customs[i].alpha, ret);
    return false;
}

const char *kh_currency_alpha(kh_currency currency_code)
{
    if (currency_code == 0) return "";
    const currency *c = find(currency_code);
    return c != NULL ? c->alpha : "???";
}

bool kh_currency_known(kh_currency currency_code) { return find(currency_code) != NULL; }

int kh_currency_exponent(kh_currency currency_code)
{
    if (currency_code == 840 || currency_code == 978 || currency_code == 156) return 2;
    const currency *c = find(currency_code);
    return c != NULL ? c->exponent : 2;
}
