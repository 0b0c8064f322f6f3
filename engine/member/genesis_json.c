/* genesis_json: see genesis_json.h. */
#include "member/genesis_json.h"
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "crypto/digest.h"
#include "proof/comet.h"

typedef struct reading {
    bool bad;
    char *why;
    size_t cap;
} reading;

__attribute__((format(printf, 2, 3))) static void wrong(reading *r, const char *format, ...)
{
    if (r->bad) return;
    r->bad = true;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->why, r->cap, format, args);
    va_end(args);
}

/* ---- single values ---- */

static json_t *get(reading *r, json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (value == NULL) wrong(r, "\"%s\" is missing", name);
    return value;
}

/* Every field of the object is one of these. */
static void only(reading *r, json_t *object, const char *const *names, const char *what)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        wrong(r, "\"%s\" is no object", what);
        return;
    }
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], key) != 0) i++;
        if (names[i] == NULL) wrong(r, "\"%s\" has a field \"%.80s\" that is not known", what, key);
    }
}

static const char *text(reading *r, json_t *object, const char *name, size_t max)
{
    const json_t *value = get(r, object, name);
    if (!r->bad && (!json_is_string(value) || json_string_length(value) > max || strlen(json_string_value(value)) > max))
        wrong(r, "\"%s\" is no text of at most %zu bytes", name, max);
    return r->bad ? "" : json_string_value(value);
}

static uint64_t integer(reading *r, json_t *object, const char *name, uint64_t max)
{
    const json_t *value = get(r, object, name);
    if (!r->bad && (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max))
        wrong(r, "\"%s\" is no number up to %llu", name, (unsigned long long)max);
    return r->bad ? 0 : (uint64_t)json_integer_value(value);
}

static uint64_t decimal(reading *r, json_t *object, const char *name)
{
    const char *digits = text(r, object, name, 20);
    uint64_t sum = 0;
    bool good = digits[0] != '\0' && (digits[0] != '0' || digits[1] == '\0');
    for (const char *c = digits; *c != '\0' && good; c++) {
        good = *c >= '0' && *c <= '9' && !__builtin_mul_overflow(sum, UINT64_C(10), &sum) &&
               !__builtin_add_overflow(sum, (uint64_t)(*c - '0'), &sum);
    }
    if (!good) wrong(r, "\"%s\" is no decimal number of 64 bits", name);
    return sum;
}

/* Exactly n bytes of hex; where it may lack, "" leaves zeros. */
static void hex_text(reading *r, const char *name, const char *s, bool may_lack, uint8_t *ret, size_t n)
{
    if (may_lack && s[0] == '\0') return;
    if (!kh_hex_read(s, strlen(s), ret, n)) wrong(r, "\"%s\" is not %zu bytes of lower-case hex", name, n);
}

static void hex(reading *r, json_t *object, const char *name, bool may_lack, uint8_t *ret, size_t n)
{
    const char *s = text(r, object, name, 2 * n);
    if (!r->bad) hex_text(r, name, s, may_lack, ret, n);
}

static bool is_set(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return true;
    return false;
}

static json_t *list(reading *r, json_t *object, const char *name, size_t max)
{
    json_t *value = get(r, object, name);
    if (!r->bad && (!json_is_array(value) || json_array_size(value) > max))
        wrong(r, "\"%s\" is no list of at most %zu", name, max);
    return r->bad ? NULL : value;
}

/* ---- the parts ---- */

static const struct {
    const char *word;
    kh_member_role role;
} roles[] = {{"regulator", KH_MEMBER_REGULATOR}, {"bank", KH_MEMBER_BANK}, {"source", KH_MEMBER_SOURCE}, {"hub", KH_MEMBER_HUB}};
#define ROLES (sizeof roles / sizeof roles[0])

static uint8_t role(reading *r, json_t *object)
{
    const char *word = text(r, object, "role", 16);
    for (size_t i = 0; i < ROLES; i++)
        if (strcmp(roles[i].word, word) == 0) return (uint8_t)roles[i].role;
    wrong(r, "\"role\" is regulator, bank, source or hub");
    return 0;
}

static void member(reading *r, json_t *o, kh_member *m)
{
    static const char *const names[] = {"id",  "role",   "flags", "name",      "uscc", "sender",
                                        "ack", "attest", "box",   "consensus", NULL};
    only(r, o, names, "members");
    m->id = (uint32_t)integer(r, o, "id", UINT32_MAX);
    m->role = role(r, o);
    m->flags = (uint8_t)integer(r, o, "flags", UINT8_MAX);
    const char *name = text(r, o, "name", sizeof m->name), *uscc = text(r, o, "uscc", sizeof m->uscc);
    m->name_n = (uint8_t)strlen(name);
    m->uscc_n = (uint8_t)strlen(uscc);
    memcpy(m->name, name, m->name_n);
    memcpy(m->uscc, uscc, m->uscc_n);
    hex(r, o, "sender", true, m->sender, KH_PUBLIC_SZ);
    hex(r, o, "ack", true, m->ack, KH_PUBLIC_SZ);
    hex(r, o, "attest", true, m->attest, KH_PUBLIC_SZ);
    hex(r, o, "box", true, m->box, KH_PUBLIC_SZ);
    hex(r, o, "consensus", true, m->consensus, 32);
}

static void members(reading *r, json_t *o, kh_genesis *g)
{
    json_t *all = list(r, o, "members", KH_MEMBERS_MAX);
    size_t n = json_array_size(all);
    g->members = calloc(n + 1, sizeof *g->members);
    if (g->members == NULL) wrong(r, "out of memory");
    for (size_t i = 0; i < n && !r->bad; i++) member(r, json_array_get(all, i), &g->members[g->member_cnt++]);
}

static void officers(reading *r, json_t *o, kh_genesis *g)
{
    static const char *const names[] = {"k", "keys", NULL};
    json_t *all = get(r, o, "officers");
    if (all != NULL) only(r, all, names, "officers");
    g->officer_k = (uint32_t)integer(r, all, "k", KH_OFFICERS_MAX);
    json_t *keys = list(r, all, "keys", KH_OFFICERS_MAX);
    for (size_t i = 0; i < json_array_size(keys) && !r->bad; i++) {
        const char *s = json_string_value(json_array_get(keys, i));
        hex_text(r, "keys", s != NULL ? s : "", false, g->officers[g->officer_cnt++], KH_PUBLIC_SZ);
    }
}

/* The leaves, with their values behind them in one piece of memory. */
static void publics(reading *r, json_t *o, kh_genesis *g)
{
    static const char *const names[] = {"key", "value", NULL};
    json_t *all = list(r, o, "public", UINT16_MAX);
    size_t n = json_array_size(all), values = 0;
    for (size_t i = 0; i < n; i++) values += json_string_length(json_object_get(json_array_get(all, i), "value")) / 2;
    g->publics = calloc(1, n * sizeof *g->publics + values + 1);
    if (g->publics == NULL) wrong(r, "out of memory");
    uint8_t *value = g->publics != NULL ? (uint8_t *)(g->publics + n) : NULL;
    for (size_t i = 0; i < n && !r->bad; i++) {
        json_t *leaf = json_array_get(all, i);
        only(r, leaf, names, "public");
        kh_public_leaf *l = &g->publics[g->public_cnt++];
        const char *key = text(r, leaf, "key", 2 * sizeof l->key), *bytes = text(r, leaf, "value", 2 * (size_t)UINT16_MAX);
        l->key_n = (uint8_t)(strlen(key) / 2);
        l->value_n = (uint16_t)(strlen(bytes) / 2);
        l->value = value;
        hex_text(r, "key", key, false, l->key, l->key_n);
        hex_text(r, "value", bytes, false, value, l->value_n);
        value += l->value_n;
    }
}

static bool read_kanhe(json_t *kanhe, kh_genesis *ret, char *why, size_t cap)
{
    static const char *const names[] = {"suite",      "hubs_speak", "chain_id", "initial_height", "time_ns", "group",
                                        "checkpoint", "opening",    "officers", "members",        "public",  NULL};
    reading r = {.why = why, .cap = cap};
    kh_genesis g = {0};
    only(&r, kanhe, names, "app_state.kanhe");
    if (!kh_suite_of(text(&r, kanhe, "suite", 8), &g.suite)) wrong(&r, "\"suite\" is intl or gm");
    const json_t *speak = get(&r, kanhe, "hubs_speak");
    if (!json_is_boolean(speak)) wrong(&r, "\"hubs_speak\" is true or false");
    g.hubs_speak = json_is_true(speak);
    (void)snprintf(g.chain_id, sizeof g.chain_id, "%s", text(&r, kanhe, "chain_id", sizeof g.chain_id - 1));
    g.initial_height = decimal(&r, kanhe, "initial_height");
    g.time_ns = decimal(&r, kanhe, "time_ns");
    hex(&r, kanhe, "group", false, g.group, KH_PUBLIC_SZ);
    hex(&r, kanhe, "checkpoint", false, g.checkpoint, 32);
    if (json_object_get(kanhe, "opening") != NULL) {
        hex(&r, kanhe, "opening", false, g.opening, 32);
        if (!r.bad && !kh_genesis_opens(&g)) wrong(&r, "\"opening\" is zeros: leave it out");
    }
    officers(&r, kanhe, &g);
    members(&r, kanhe, &g);
    publics(&r, kanhe, &g);
    if (r.bad) kh_genesis_free(&g);
    else *ret = g;
    return !r.bad;
}

/* CometBFT's own list beside app_state: a cluster of other powers would make receipts that nobody can check. */
static bool of_our_power(json_t *root)
{
    char power[16];
    size_t i;
    json_t *one;
    (void)snprintf(power, sizeof power, "%d", KH_COMET_POWER);
    json_array_foreach(json_object_get(root, "validators"), i, one)
    {
        const char *has = json_string_value(json_object_get(one, "power"));
        if (has == NULL || strcmp(has, power) != 0) return false;
    }
    return true;
}

static bool read_from(const char *json, size_t n, bool whole, kh_genesis *ret, char *why, size_t cap)
{
    json_error_t error = {.line = 0};
    json_t *root = n <= KH_GENESIS_FILE_MAX_SZ ? json_loadb(json, n, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (root == NULL) {
        (void)snprintf(why, cap, n > KH_GENESIS_FILE_MAX_SZ ? "larger than 16 MiB" : "line %d: no JSON: %s", error.line,
                       error.text);
        return false;
    }
    json_t *state = whole ? json_object_get(root, "app_state") : root;
    bool good = !whole || of_our_power(root);
    if (!good) (void)snprintf(why, cap, "\"validators\": each has the power \"%d\"", KH_COMET_POWER);
    good = good && read_kanhe(json_object_get(state, "kanhe"), ret, why, cap);
    json_decref(root);
    return good;
}

bool kh_genesis_json_read(const char *json, size_t n, kh_genesis *ret, char *why, size_t cap)
{
    return read_from(json, n, true, ret, why, cap);
}

bool kh_genesis_state_read(const char *json, size_t n, kh_genesis *ret, char *why, size_t cap)
{
    return read_from(json, n, false, ret, why, cap);
}

bool kh_genesis_json_load(const char *path, kh_genesis *ret, char *why, size_t cap)
{
    char said[300] = "";
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        (void)snprintf(why, cap, "%s: %s", path, strerror(errno));
        return false;
    }
    char *json = malloc(KH_GENESIS_FILE_MAX_SZ + 1);
    size_t n = json != NULL ? fread(json, 1, KH_GENESIS_FILE_MAX_SZ + 1, f) : 0;
    bool good = json != NULL && ferror(f) == 0;
    if (!good) (void)snprintf(said, sizeof said, "cannot be read");
    (void)fclose(f);
    good = good && kh_genesis_json_read(json, n, ret, said, sizeof said);
    if (!good) (void)snprintf(why, cap, "%s: %s", path, said);
    free(json);
    return good;
}

/* ---- writing ---- */

static json_t *hex_value(const uint8_t *p, size_t n)
{
    char *s = malloc(2 * n + 1);
    if (s == NULL) return NULL;
    kh_hex(p, n, s);
    json_t *value = json_string(s);
    free(s);
    return value;
}

static json_t *key_value(const uint8_t *p, size_t n) { return is_set(p, n) ? hex_value(p, n) : json_string(""); }

static json_t *decimal_value(uint64_t v) { return json_sprintf("%llu", (unsigned long long)v); }

static json_t *member_value(const kh_member *m)
{
    const char *word = "";
    for (size_t i = 0; i < ROLES; i++)
        if ((uint8_t)roles[i].role == m->role) word = roles[i].word;
    return json_pack("{sI ss si ss# ss# so so so so so}", "id", (json_int_t)m->id, "role", word, "flags", (int)m->flags, "name",
                     m->name, (int)m->name_n, "uscc", m->uscc, (int)m->uscc_n, "sender", key_value(m->sender, KH_PUBLIC_SZ),
                     "ack", key_value(m->ack, KH_PUBLIC_SZ), "attest", key_value(m->attest, KH_PUBLIC_SZ), "box",
                     key_value(m->box, KH_PUBLIC_SZ), "consensus", key_value(m->consensus, 32));
}

char *kh_genesis_state_write(const kh_genesis *g)
{
    json_t *keys = json_array(), *all = json_array(), *leaves = json_array();
    bool good = true;
    for (uint32_t i = 0; i < g->officer_cnt; i++)
        good = json_array_append_new(keys, hex_value(g->officers[i], KH_PUBLIC_SZ)) == 0 && good;
    for (uint32_t i = 0; i < g->member_cnt; i++) good = json_array_append_new(all, member_value(&g->members[i])) == 0 && good;
    for (uint32_t i = 0; i < g->public_cnt; i++) {
        const kh_public_leaf *l = &g->publics[i];
        json_t *leaf = json_pack("{so so}", "key", hex_value(l->key, l->key_n), "value", hex_value(l->value, l->value_n));
        good = json_array_append_new(leaves, leaf) == 0 && good;
    }
    json_t *root = json_pack("{s{ss sb ss so so so so s{si so} so so}}", "kanhe", "suite", kh_suite_word(g->suite), "hubs_speak",
                             (int)g->hubs_speak, "chain_id", g->chain_id, "initial_height", decimal_value(g->initial_height),
                             "time_ns", decimal_value(g->time_ns), "group", hex_value(g->group, KH_PUBLIC_SZ), "checkpoint",
                             hex_value(g->checkpoint, 32), "officers", "k", (int)g->officer_k, "keys", keys, "members", all,
                             "public", leaves);
    if (kh_genesis_opens(g)) /* not said: the field lacks */
        good =
            json_object_set_new(json_object_get(root, "kanhe"), "opening", hex_value(g->opening, sizeof g->opening)) == 0 && good;
    char *ret = good && root != NULL ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return ret;
}
