/* kanhe-leaf: a rule or a rate as a leaf of a cluster's public state (docs/CLUSTER.md, public state), for its genesis.
 *
 * kanhe-leaf rule NAME VALUE | rate FROM TO DATE RATE SOURCE   prints the key and the value in hex.
 * Exit status: 0; 2 usage, or what is none. */
#include "doc/money.h"
#include <stdio.h>

static void print_hex(const uint8_t *p, size_t n, char behind)
{
    for (size_t i = 0; i < n; i++) (void)printf("%02x", p[i]);
    (void)putchar(behind);
}

static int rule(const char *name, const char *value)
{
    (void)printf("72"); /* 'r' */
    print_hex((const uint8_t *)name, strlen(name), ' ');
    print_hex((const uint8_t *)value, strlen(value), '\n');
    return 0;
}

static int rate(char *words[5])
{
    kh_currency from, to;
    kh_date date;
    kh_rate value;
    if (!kh_currency_of_text(kh_text_of(words[0]), &from) || !kh_currency_of_text(kh_text_of(words[1]), &to) ||
        !kh_date_parse(kh_text_of(words[2]), &date) || !kh_rate_parse(kh_text_of(words[3]), &value)) {
        (void)fputs("kanhe-leaf: FROM, TO, DATE or RATE is none\n", stderr);
        return 2;
    }
    uint8_t key[7] = {'x',         (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8),
                      (uint8_t)to, (uint8_t)(date >> 8), (uint8_t)date};
    uint8_t mantissa[8];
    kh_store64(mantissa, value.mantissa);
    print_hex(key, sizeof key, ' ');
    for (size_t i = 0; i < sizeof mantissa; i++) (void)printf("%02x", mantissa[i]);
    (void)printf("%02x", value.scale);
    print_hex((const uint8_t *)words[4], strlen(words[4]), '\n');
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "rule") == 0) return rule(argv[2], argv[3]);
    if (argc == 7 && strcmp(argv[1], "rate") == 0) return rate(argv + 2);
    (void)fputs("usage: kanhe-leaf rule NAME VALUE | rate FROM TO DATE RATE SOURCE\n", stderr);
    return 2;
}
