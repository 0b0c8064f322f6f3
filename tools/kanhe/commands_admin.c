/* commands_admin: the directory, parties, rules, rates, made-up data, and receipts that prove. */
#include "commands.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kh_result command_usage(command_context *c, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(c->message, sizeof c->message, format, list);
    va_end(list);
    return KH_MISUSE;
}

const char *command_need(command_context *c, const char *name)
{
    const char *value = args_get(c->given, name);
    if (value == NULL) (void)command_usage(c, "%s is missing", name);
    return value;
}

/* read_file reads a small file whole, NUL-terminated; NULL after saying why. */
static char *read_file(command_context *c, const char *path, size_t cap, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    int why = errno;
    char *text = f != NULL ? malloc(cap + 1) : NULL;
    if (text == NULL) {
        if (f != NULL) (void)fclose(f);
        (void)command_usage(c, "%s cannot be read: %s", path, strerror(why));
        return NULL;
    }
    *ret_n = fread(text, 1, cap, f);
    text[*ret_n] = '\0';
    (void)fclose(f);
    return text;
}

/* secret_of takes 16 bytes, or 32 hexadecimal digits. */
static bool secret_of(const char *text, size_t n, uint8_t ret[16])
{
    if (n == 16) {
        memcpy(ret, text, 16);
        return true;
    }
    if (n != 32 && !(n == 33 && text[32] == '\n')) return false;
    for (size_t i = 0; i < 16; i++) {
        char byte[3] = {text[2 * i], text[2 * i + 1], '\0'}, *end;
        ret[i] = (uint8_t)strtoul(byte, &end, 16);
        if (*end != '\0' || byte[0] == '-' || byte[0] == '+' || byte[0] == ' ') return false;
    }
    return true;
}

kh_result command_init(command_context *c)
{
    const char *rules_path = args_get(c->given, "--rules"), *secret_path = args_get(c->given, "--secret");
    const kh_origin origin = {.path = args_get(c->given, "--from"),
                              .digest = args_get(c->given, "--digest"),
                              .checkpoint_digest = args_get(c->given, "--checkpoint-digest")};
    char *rules = NULL, *secret_text = NULL;
    uint8_t secret[16];
    size_t n;
    if (origin.path != NULL && rules_path != NULL) return command_usage(c, "with --from the rules are the checkpoint's");
    if (origin.path == NULL && (origin.digest != NULL || origin.checkpoint_digest != NULL))
        return command_usage(c, "a digest to be held against goes with --from");
    if (rules_path != NULL && (rules = read_file(c, rules_path, 1u << 20, &n)) == NULL) return KH_MISUSE;
    if (secret_path != NULL) {
        secret_text = read_file(c, secret_path, 64, &n);
        bool sound = secret_text != NULL && secret_of(secret_text, n, secret);
        if (secret_text != NULL && !sound)
            (void)command_usage(c, "%s: a secret is 16 bytes, or 32 hexadecimal digits", secret_path);
        free(secret_text);
        if (!sound) {
            free(rules);
            return KH_MISUSE;
        }
    }
    const uint8_t *own = secret_path != NULL ? secret : NULL;
    kh_result result = origin.path != NULL ? kh_create_from(c->options, &origin, own, c->sink, c->message, sizeof c->message)
                                           : kh_create(c->options, rules, own, c->message, sizeof c->message);
    free(rules);
    return result;
}

kh_result command_party_add(command_context *c)
{
    const char *id_text = command_need(c, "--id"), *role, *name;
    uint64_t id;
    if (id_text == NULL || (role = command_need(c, "--role")) == NULL || (name = command_need(c, "--name")) == NULL)
        return KH_MISUSE;
    if (!args_number(id_text, &id) || id == 0 || id > UINT32_MAX)
        return command_usage(c, "--id %s: an id is a number from 1 to 4294967295", id_text);
    return kh_party_add(c->engine, (uint32_t)id, role, name, args_get(c->given, "--uscc"), c->sink);
}

kh_result command_party_list(command_context *c) { return kh_party_list(c->engine, NULL, c->sink); }

static kh_result freeze(command_context *c, bool frozen)
{
    if (c->word_cnt != 1) return command_usage(c, "which party? give its id or name");
    return kh_party_freeze(c->engine, c->words[0], frozen, c->sink);
}

kh_result command_party_freeze(command_context *c) { return freeze(c, true); }
kh_result command_party_unfreeze(command_context *c) { return freeze(c, false); }

kh_result command_party_key(command_context *c)
{
    const char *key = command_need(c, "--public");
    if (key == NULL) return KH_MISUSE;
    if (c->word_cnt != 1) return command_usage(c, "which party? give its id or name");
    return kh_party_key(c->engine, c->words[0], key, c->sink);
}

kh_result command_rule_set(command_context *c)
{
    if (c->word_cnt != 2) return command_usage(c, "a rule is set by NAME VALUE");
    return kh_rule_set(c->engine, c->words[0], c->words[1], c->sink);
}

kh_result command_rule_list(command_context *c) { return kh_rule_list(c->engine, c->sink); }

kh_result command_rate_set(command_context *c)
{
    const char *date, *source;
    if (c->word_cnt != 3) return command_usage(c, "a rate is set by FROM TO VALUE: 1 FROM = VALUE TO");
    if ((date = command_need(c, "--date")) == NULL || (source = command_need(c, "--source")) == NULL) return KH_MISUSE;
    return kh_rate_set(c->engine, c->words[0], c->words[1], c->words[2], date, source, c->sink);
}

kh_result command_rate_list(command_context *c) { return kh_rate_list(c->engine, c->sink); }
kh_result command_stats(command_context *c) { return kh_stats(c->engine, c->sink); }
kh_result command_audit(command_context *c)
{
    const char *text = args_get(c->given, "--height");
    uint64_t height = 0;
    if (text != NULL && (!args_number(text, &height) || height == 0))
        return command_usage(c, "--height %s: a whole number is meant, from 1 on", text);
    return kh_audit_at(c->engine, height, c->sink);
}
kh_result command_prove(command_context *c)
{
    return command_usage(c, "receipts that prove are made by a cluster's node: ask it with --connect");
}
kh_result command_snapshot(command_context *c) { return kh_snapshot(c->engine, c->sink); }

kh_result command_checkpoint(command_context *c)
{
    const char *path = command_need(c, "-o");
    return path != NULL ? kh_checkpoint_to(c->engine, path, c->sink) : KH_MISUSE;
}

kh_result command_backup(command_context *c)
{
    if (c->word_cnt != 1) return command_usage(c, "backup to where? A directory that is not there, or is empty");
    return kh_backup_to(c->engine, c->words[0], !args_has(c->given, "--no-audit"), c->sink);
}

kh_result command_gen(command_context *c)
{
    const char *count_text = command_need(c, "--count"), *seed_text;
    uint64_t count, seed;
    if (c->word_cnt != 1) return command_usage(c, "gen what? declarations, invoices or requests");
    if (count_text == NULL || (seed_text = command_need(c, "--seed")) == NULL) return KH_MISUSE;
    if (!args_number(count_text, &count)) return command_usage(c, "--count %s is no number", count_text);
    if (!args_number(seed_text, &seed)) return command_usage(c, "--seed %s is no number", seed_text);
    return kh_gen(c->words[0], count, seed, args_get(c->given, "-o"), c->message, sizeof c->message);
}

kh_result command_check(command_context *c)
{
    const char *genesis = command_need(c, "--genesis");
    if (genesis == NULL) return KH_MISUSE;
    if (c->word_cnt != 1) return command_usage(c, "check which receipt? One file");
    return kh_check_receipt(c->words[0], genesis, c->sink, c->message, sizeof c->message);
}
