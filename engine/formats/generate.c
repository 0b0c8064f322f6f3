/* generate: see generate.h. */
#include "formats/generate.h"

typedef struct shape {
    const char *currency;
    uint32_t exponent;
} shape;

/* One paper, before it is written. */
typedef struct paper {
    bool import;
    char number[20], owner[18];
    uint32_t number_n;
    shape money;
    uint64_t amount;
    char date[10];
} paper;

static const char *const words[KH_GENERATE_CNT] = {"declarations", "invoices", "requests"};

bool kh_generate_of_word(kh_text word, kh_generate *ret)
{
    for (int i = 0; i < KH_GENERATE_CNT; i++) {
        if (!kh_text_equal(word, kh_text_of(words[i]))) continue;
        *ret = (kh_generate)i;
        return true;
    }
    return false;
}

const char *kh_generate_header(kh_generate what)
{
    return what == KH_GENERATE_REQUESTS ? "id,enterprise,product,amount,currency,kind,number,issuer,allocated\n"
                                        : "kind,number,owner_id,currency,amount,date\n";
}

/* splitmix64: each (seed, index, use) its own number. */
static uint64_t mixed(uint64_t seed, uint64_t index, uint64_t use)
{
    uint64_t z = seed * UINT64_C(0x9E3779B97F4A7C15) + index * UINT64_C(0xD1B54A32D192ED03) + use * UINT64_C(0x8CB92BA72F3D8DD7);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static void put_digits(char *to, uint64_t v, uint32_t n)
{
    for (uint32_t i = n; i > 0; i--, v /= 10) to[i - 1] = (char)('0' + v % 10);
}

/* A permutation of 0 .. 10^digits - 1: the factor has no divisor in common with ten. */
static uint64_t shuffled(uint64_t index, uint64_t seed, uint64_t modulus)
{
    return (uint64_t)(((unsigned __int128)index * UINT64_C(387420489) + mixed(seed, 0, 1) % modulus) % modulus);
}

/* An enterprise's code, both of its check digits right (GB 32100, GB 11714). */
static void owner_of(uint64_t owner, uint64_t seed, char to[18])
{
    static const char symbols[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    static const char regions[8][7] = {"310115", "440305", "350203", "330212", "320505", "370202", "440106", "500103"};
    static const uint8_t code_weights[8] = {3, 7, 9, 10, 5, 8, 4, 2};
    static const uint8_t weights[17] = {1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28};
    uint32_t sum = 0;
    memcpy(to, "91", 2);
    memcpy(to + 2, regions[mixed(seed, owner, 2) % 8], 6);
    put_digits(to + 8, shuffled(owner, seed, 100000000), 8);
    for (uint32_t i = 0; i < 8; i++) sum += (uint32_t)(to[8 + i] - '0') * code_weights[i];
    uint32_t check = 11 - sum % 11;
    to[16] = check == 10 ? 'X' : check == 11 ? '0' : (char)('0' + check);
    sum = 0;
    for (uint32_t i = 0; i < 17; i++) {
        uint32_t value = to[i] <= '9' ? (uint32_t)(to[i] - '0') : 29; /* X, the only letter there is */
        sum += value * weights[i];
    }
    to[17] = symbols[(31 - sum % 31) % 31];
}

/* A day from 2026-05-01 to 2026-10-31. */
static void date_of(uint64_t random, char to[10])
{
    static const uint8_t lengths[6] = {31, 30, 31, 31, 30, 31};
    uint32_t day = (uint32_t)(random % 184), month = 0;
    while (day >= lengths[month]) day -= lengths[month++];
    memcpy(to, "2026-00-00", 10);
    put_digits(to + 5, month + 5, 2);
    put_digits(to + 8, day + 1, 2);
}

static void paper_of(bool invoice, uint64_t count, uint64_t seed, uint64_t index, paper *ret)
{
    static const char offices[8][5] = {"2225", "5301", "3104", "0202", "4220", "2248", "5141", "3710"};
    static const char provinces[8][3] = {"31", "44", "35", "33", "32", "37", "11", "50"};
    static const shape monies[16] = {{"USD", 2}, {"USD", 2}, {"USD", 2}, {"USD", 2}, {"USD", 2}, {"USD", 2},
                                     {"USD", 2}, {"EUR", 2}, {"EUR", 2}, {"EUR", 2}, {"CNY", 2}, {"CNY", 2},
                                     {"CNY", 2}, {"HKD", 2}, {"JPY", 0}, {"GBP", 2}};
    uint64_t random = mixed(seed, index, 3), owners = count / 10 != 0 ? count / 10 : 1;
    ret->import = !invoice && (random & 7) == 0;
    owner_of((random >> 8) % owners, seed, ret->owner);
    date_of(random >> 40, ret->date);
    ret->money = invoice ? (shape){"CNY", 2} : monies[random >> 4 & 15];
    ret->amount = 100000 + mixed(seed, index, 4) % 49900001; /* 1,000.00 to 500,000.00 */
    if (invoice) {
        memcpy(ret->number, "26", 2);
        memcpy(ret->number + 2, provinces[random >> 3 & 7], 2);
        memcpy(ret->number + 4, "20", 2);
        put_digits(ret->number + 6, shuffled(index, seed, UINT64_C(100000000000000)), 14);
        ret->number_n = 20;
    } else {
        memcpy(ret->number, offices[random >> 3 & 7], 4);
        memcpy(ret->number + 4, "2026", 4);
        ret->number[8] = ret->import ? '1' : '0';
        put_digits(ret->number + 9, shuffled(index, seed, 1000000000), 9);
        ret->number_n = 18;
    }
}

static char *put(char *to, const char *from, uint32_t n)
{
    memcpy(to, from, n);
    return to + n;
}

static char *put_text(char *to, const char *text) { return put(to, text, (uint32_t)strlen(text)); }

static char *put_number(char *to, uint64_t v)
{
    char digits[20];
    uint32_t n = 0;
    do digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    while (n > 0) *to++ = digits[--n];
    return to;
}

static char *put_amount(char *to, uint64_t amount, shape money)
{
    if (money.exponent == 0) return put_number(to, amount);
    to = put_number(to, amount / 100);
    *to++ = '.';
    put_digits(to, amount % 100, 2);
    return to + 2;
}

static const char *kind_of(bool invoice, const paper *p)
{
    return kh_kind_word(invoice ? KH_KIND_INVOICE : p->import ? KH_KIND_IMPORT_DECLARATION : KH_KIND_EXPORT_DECLARATION);
}

uint32_t kh_generate_line(kh_generate what, uint64_t count, uint64_t seed, uint64_t index, char *buf)
{
    paper p;
    char *to = buf;
    bool invoice = what == KH_GENERATE_INVOICES;
    paper_of(invoice, count, seed, index, &p);
    if (what != KH_GENERATE_REQUESTS) {
        to = put_text(to, kind_of(invoice, &p));
        *to++ = ',';
        to = put(to, p.number, p.number_n);
        *to++ = ',';
        to = put(to, p.owner, 18);
        *to++ = ',';
        to = put(to, p.money.currency, 3);
        *to++ = ',';
        to = put_amount(to, p.amount, p.money);
        *to++ = ',';
        to = put(to, p.date, 10);
    } else { /* four fifths of the declaration, in its currency; ids of different seeds are apart */
        uint64_t wanted = p.amount / 5 * 4;
        to = put_number(to, (seed & 0xFFFF) * UINT64_C(1000000000) + index + 1);
        *to++ = ',';
        to = put(to, p.owner, 18);
        to = put_text(to, p.import ? ",import_payment," : ",export_receivable,");
        to = put_amount(to, wanted, p.money);
        *to++ = ',';
        to = put(to, p.money.currency, 3);
        *to++ = ',';
        to = put_text(to, kind_of(invoice, &p));
        *to++ = ',';
        to = put(to, p.number, p.number_n);
        to = put(to, ",,", 2);
        to = put_amount(to, wanted, p.money);
    }
    *to++ = '\n';
    return (uint32_t)(to - buf);
}
