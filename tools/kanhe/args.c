/* args: see args.h. */
#include "args.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* find looks an option up in the list of the known ones: 0 none, 1 a flag, 2 with a value, 3 with a value, again and again. */
static int find(const char *known, const char *name, size_t n)
{
    for (const char *p = known; *p != '\0';) {
        size_t length = strcspn(p, " "), end = length;
        bool many = p[end - 1] == '*';
        if (many) end--;
        bool value = p[end - 1] == '=';
        if (value) end--;
        if (end == n && memcmp(p, name, n) == 0) return many ? 3 : value ? 2 : 1;
        p += length;
        while (*p == ' ') p++;
    }
    return 0;
}

bool args_takes_value(const char *known, const char *word)
{
    return word[0] == '-' && word[1] != '\0' && find(known, word, strlen(word)) >= 2;
}

static bool wrong(args *a, const char *format, const char *what)
{
    (void)snprintf(a->wrong, sizeof a->wrong, format, what);
    return false;
}

bool args_parse(int argc, char *argv[], const char *known, args *ret)
{
    args *a = ret;
    *a = (args){.given = calloc((size_t)argc + 1, sizeof *a->given), .words = calloc((size_t)argc + 1, sizeof *a->words)};
    if (a->given == NULL || a->words == NULL) return wrong(a, "out of %s", "memory");
    bool words_only = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (words_only || word[0] != '-' || word[1] == '\0') {
            a->words[a->word_cnt++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            words_only = true;
            continue;
        }
        size_t n = strcspn(word, "=");
        int kind = find(known, word, n);
        if (kind == 0) return wrong(a, "%s is no option here", word);
        args_given *g = &a->given[a->given_cnt];
        g->name = word;
        if (kind == 1 && word[n] != '\0') return wrong(a, "%s takes no value", word);
        if (kind >= 2) {
            if (word[n] == '=') g->value = word + n + 1;
            else if (i + 1 < argc) g->value = argv[++i];
            else return wrong(a, "%s needs a value", word);
        }
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)n, word);
        if (kind < 3 && args_has(a, name)) return wrong(a, "%s is given twice", name);
        a->given_cnt++;
    }
    return true;
}

void args_free(args *a)
{
    free(a->given);
    free(a->words);
}

static bool is_named(const args_given *g, const char *name)
{
    size_t n = strlen(name);
    return strncmp(g->name, name, n) == 0 && (g->name[n] == '\0' || g->name[n] == '=');
}

bool args_has(const args *a, const char *name)
{
    for (size_t i = 0; i < a->given_cnt; i++)
        if (is_named(&a->given[i], name)) return true;
    return false;
}

const char *args_get(const args *a, const char *name)
{
    for (size_t i = 0; i < a->given_cnt; i++)
        if (is_named(&a->given[i], name)) return a->given[i].value;
    return NULL;
}

const char **args_all(const args *a, const char *name, uint32_t *ret_n)
{
    const char **all = calloc(a->given_cnt + 1, sizeof *all);
    uint32_t n = 0;
    for (size_t i = 0; all != NULL && i < a->given_cnt; i++)
        if (is_named(&a->given[i], name)) all[n++] = a->given[i].value;
    *ret_n = n;
    return all;
}

bool args_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text == NULL || *text == '\0') return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret = value;
    return true;
}
