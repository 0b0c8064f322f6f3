/* args: what stands on the command line, taken apart by a list of the options that a command knows. */
#ifndef KANHE_ARGS_H
#define KANHE_ARGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct args_given {
    const char *name, *value;
} args_given;
typedef struct args {
    args_given *given; /* in order */
    size_t given_cnt;
    const char **words; /* what is no option */
    size_t word_cnt;
    char wrong[300]; /* why parsing failed */
} args;

/* args_parse takes argv apart. known: "--as= --json --doc=*": = takes a value, * may come again. false: see wrong. */
bool args_parse(int argc, char *argv[], const char *known, args *ret);
/* args_takes_value: is word one of the known options that take a value, without one in it? */
bool args_takes_value(const char *known, const char *word);
void args_free(args *a);
const char *args_get(const args *a, const char *name); /* NULL: not given */
bool args_has(const args *a, const char *name);
/* args_all gathers the values of an option that may come again: malloc, *ret_n of them. */
const char **args_all(const args *a, const char *name, uint32_t *ret_n);
bool args_number(const char *text, uint64_t *ret); /* decimal digits only */
#endif
