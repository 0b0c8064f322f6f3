/* commands_change: what a cluster's officers order: a change is made by one, signed by several, and submitted by anybody. */
#include "commands.h"
#include "remote.h"
#include "remote_load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 40, TEXT_MAX = 64 << 10 };

/* Option and field; what a kind does not know it leaves alone. */
static const char *const options[][2] = {
    {"--id", "id"},         {"--role", "role"},   {"--name", "name"},     {"--uscc", "uscc"},     {"--status", "status"},
    {"--sender", "sender"}, {"--ack", "ack"},     {"--attest", "attest"}, {"--box", "box"},       {"--consensus", "consensus"},
    {"--member", "member"}, {"--power", "power"}, {"--group", "group"},   {"--value", "value"},   {"--from", "from"},
    {"--to", "to"},         {"--date", "date"},   {"--source", "source"}, {"--digest", "digest"}, {"--needed", "k"},
};

static kh_result load(command_context *c, remote_library *l)
{
    const char *missing = remote_load(l);
    if (missing == NULL) return KH_DONE;
    (void)snprintf(c->message, sizeof c->message, "the client library is not where the command was installed (%s): install both",
                   missing);
    return KH_FAILED;
}

static kh_result open_hub(command_context *c, remote_library *l, kh_client **ret)
{
    kh_client_options hub;
    char wrong[300];
    if (!remote_asked(c->given, &hub, wrong, sizeof wrong))
        return command_usage(c, "a node of the cluster must be asked: --connect URL");
    if (wrong[0] != '\0') return command_usage(c, "%s", wrong);
    kh_result result = load(c, l);
    return result == KH_DONE ? l->open(&hub, c->message, sizeof c->message, ret) : result;
}

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool well = f != NULL && fputs(text, f) >= 0 && fputc('\n', f) >= 0;
    if (f != NULL && fclose(f) != 0) well = false;
    return well;
}

static kh_result keep(command_context *c, const char *path, char *text)
{
    bool well = write_file(path, text);
    free(text);
    if (well) return KH_DONE;
    (void)snprintf(c->message, sizeof c->message, "%s cannot be written", path);
    return KH_FAILED;
}

/* The file of a change, NUL-terminated; NULL after saying why. */
static char *read_change(command_context *c)
{
    if (c->word_cnt != 1) {
        (void)command_usage(c, "which change? give its file");
        return NULL;
    }
    FILE *f = fopen(c->words[0], "r");
    int why = errno;
    char *text = f != NULL ? calloc(1, TEXT_MAX) : NULL;
    if (text != NULL) (void)fread(text, 1, TEXT_MAX - 1, f);
    else (void)command_usage(c, "%s cannot be read: %s", c->words[0], strerror(why));
    if (f != NULL) (void)fclose(f);
    return text;
}

/* The kind is the last word of the command's name. */
kh_result command_change_make(command_context *c)
{
    kh_client_param fields[FIELDS_MAX];
    uint32_t n = 0, key_cnt = 0;
    remote_library l;
    kh_client *client = NULL;
    char *text = NULL;
    const char *out = args_get(c->given, "-o");
    if (c->word_cnt != 0) return command_usage(c, "%s is too much: all is said by options", c->words[0]);
    if (out == NULL) return command_usage(c, "-o FILE is missing: where the change goes");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (args_get(c->given, options[i][0]) != NULL)
            fields[n++] = (kh_client_param){options[i][1], args_get(c->given, options[i][0])};
    const char **keys = args_all(c->given, "--officer-key", &key_cnt);
    for (uint32_t i = 0; i < key_cnt && n < FIELDS_MAX; i++) fields[n++] = (kh_client_param){"key", keys[i]};
    kh_result result = open_hub(c, &l, &client);
    if (result == KH_DONE) {
        result = l.change_make(client, c->words[-1], fields, n, &text);
        if (result != KH_DONE) (void)snprintf(c->message, sizeof c->message, "%s", l.message(client));
        l.close(client);
    }
    free(keys);
    return result == KH_DONE ? keep(c, out, text) : result;
}

kh_result command_change_sign(command_context *c)
{
    remote_library l;
    uint64_t officer = 0;
    char *text = NULL;
    const char *number = args_get(c->given, "--officer"), *key = args_get(c->given, "--key"), *out = args_get(c->given, "-o");
    if (number == NULL || !args_number(number, &officer) || officer > 16)
        return command_usage(c, "--officer N: the officer's place, from 1");
    if (key == NULL) return command_usage(c, "--key FILE: the officer's key");
    char *change = read_change(c);
    if (change == NULL) return KH_MISUSE;
    kh_result result = load(c, &l);
    if (result == KH_DONE) result = l.change_sign(change, (uint32_t)officer, key, c->message, sizeof c->message, &text);
    free(change);
    return result == KH_DONE ? keep(c, out != NULL ? out : c->words[0], text) : result;
}

/* What to do where the order did not take a change. */
static const char *advice(const char *said)
{
    static const char *const table[][2] = {
        {"NOT_AUTHORISED",
         ": as many officers as are needed sign it, neither more nor fewer, each at the place that the chain gives it"},
        {"BAD_SEQUENCE", ": another change took its number: make it again, and sign it"},
        {"REFUSED", ": the rules forbid it as things stand"},
        {"BUSY", ": the change of validators before it is not done: submit it once more"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(said, table[i][0]) == 0) return table[i][1];
    return "";
}

kh_result command_change_submit(command_context *c)
{
    remote_library l;
    kh_client *client = NULL;
    char *change = read_change(c);
    if (change == NULL) return KH_MISUSE;
    kh_result result = open_hub(c, &l, &client);
    if (result == KH_DONE) {
        result = l.change_submit(client, change, c->sink);
        if (result != KH_DONE)
            (void)snprintf(c->message, sizeof c->message, "%s%s", l.message(client), advice(l.message(client)));
        l.close(client);
    }
    free(change);
    return result;
}
