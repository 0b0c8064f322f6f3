/* genesis: from the fields of app_state.kanhe to the canonical bytes G, and their digest. */
#include "proof/genesis.h"
#include "crypto/digest.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

enum { OFFICERS_MAX = 16, MEMBERS_MAX = 256, NAME_MAX_SZ = 128, USCC_MAX_SZ = 36, LEAF_KEY_MAX = 80, VALIDATOR = 4 };

typedef struct reader {
    kh_sha256_state g; /* G is only ever hashed */
    char *why;
    size_t cap;
    bool bad;
    kh_proof_genesis *ret;
} reader;

__attribute__((format(printf, 2, 3))) static void wrong(reader *r, const char *format, ...)
{
    if (r->bad) return;
    r->bad = true;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->why, r->cap, format, args);
    va_end(args);
}

static void put(reader *r, const void *p, size_t n) { kh_sha256_update(&r->g, p, n); }
static void put_number(reader *r, uint64_t v, size_t n) { put(r, &v, n); } /* little-endian */

static const char *text_of(reader *r, json_t *object, const char *name, size_t max)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value) || json_string_length(value) > max) wrong(r, "%s: no text, or too long", name);
    return r->bad ? "" : json_string_value(value);
}

static uint64_t integer_of(reader *r, json_t *object, const char *name, uint64_t max)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
        wrong(r, "%s: no number, or out of range", name);
    return r->bad ? 0 : (uint64_t)json_integer_value(value);
}

static uint64_t decimal_of(reader *r, json_t *object, const char *name, uint64_t max)
{
    const char *text = text_of(r, object, name, 20);
    uint64_t sum = 0;
    if (*text == '\0' || (text[0] == '0' && text[1] != '\0')) wrong(r, "%s: no decimal number", name);
    for (const char *c = text; *c != '\0' && !r->bad; c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        if (*c < '0' || *c > '9' || sum > (max - digit) / 10) wrong(r, "%s: no decimal number, or out of range", name);
        else sum = sum * 10 + digit;
    }
    return sum;
}

/* hex_text decodes n bytes of hex. */
static void hex_text(reader *r, const char *name, const char *text, uint8_t *p, size_t n)
{
    if (!kh_hex_read(text, strlen(text), p, n)) wrong(r, "%s: not the lower-case hex of %zu bytes", name, n);
}

static void put_hex(reader *r, json_t *object, const char *name, size_t n, bool may_lack, uint8_t ret[64])
{
    memset(ret, 0, 64);
    const char *text = text_of(r, object, name, 2 * n);
    if (!r->bad && !(may_lack && *text == '\0')) hex_text(r, name, text, ret, n);
    if (!r->bad) put(r, ret, n);
}

/* list_of: an array with at most max elements. */
static json_t *list_of(reader *r, json_t *object, const char *name, size_t max)
{
    json_t *list = json_object_get(object, name);
    if (!json_is_array(list) || json_array_size(list) > max) wrong(r, "%s: no list, or too long", name);
    return r->bad ? NULL : list;
}

static void officers(reader *r, json_t *kanhe)
{
    json_t *o = json_object_get(kanhe, "officers"), *keys = list_of(r, o, "keys", OFFICERS_MAX);
    put_number(r, integer_of(r, o, "k", UINT16_MAX), 2);
    put_number(r, json_array_size(keys), 2);
    for (size_t i = 0; i < json_array_size(keys) && !r->bad; i++) {
        uint8_t key[64];
        const char *text = json_string_value(json_array_get(keys, i));
        hex_text(r, "officers", text != NULL ? text : "", key, sizeof key);
        put(r, key, sizeof key);
    }
}

static uint8_t role_of(reader *r, json_t *member)
{
    static const struct {
        const char *word;
        uint8_t role;
    } roles[] = {{"regulator", 1}, {"bank", 2}, {"source", 4}, {"hub", 16}};
    const char *word = text_of(r, member, "role", 9);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(roles[i].word, word) == 0) return roles[i].role;
    wrong(r, "role: regulator, bank, source or hub");
    return 0;
}

static void member(reader *r, json_t *m, uint64_t *before)
{
    uint64_t id = integer_of(r, m, "id", UINT32_MAX), flags;
    if (*before != UINT64_MAX && id <= *before) wrong(r, "members: ids do not ascend");
    *before = id;
    put_number(r, id, 4);
    put_number(r, role_of(r, m), 1);
    put_number(r, flags = integer_of(r, m, "flags", UINT8_MAX), 1);
    const char *name = text_of(r, m, "name", NAME_MAX_SZ), *uscc = text_of(r, m, "uscc", USCC_MAX_SZ);
    put_number(r, strlen(name), 1);
    put_number(r, strlen(uscc), 1);
    put(r, name, strlen(name));
    put(r, uscc, strlen(uscc));
    static const char *const keys[] = {"sender", "ack", "attest", "box"};
    uint8_t key[64];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) put_hex(r, m, keys[i], 64, true, key);
    put_hex(r, m, "consensus", 32, true, key);
    if ((flags & VALIDATOR) == 0 || r->bad) return;
    static const uint8_t none[32];
    if (memcmp(key, none, 32) == 0) wrong(r, "members: a validator without a consensus key");
    else memcpy(r->ret->validators.keys[r->ret->validators.cnt++], key, 32);
}

static void members(reader *r, json_t *kanhe)
{
    json_t *list = list_of(r, kanhe, "members", MEMBERS_MAX);
    uint64_t before = UINT64_MAX;
    put_number(r, json_array_size(list), 2);
    for (size_t i = 0; i < json_array_size(list) && !r->bad; i++) member(r, json_array_get(list, i), &before);
    if (!r->bad && r->ret->validators.cnt == 0) wrong(r, "members: no validator");
    if (!r->bad && !kh_comet_set_sort(&r->ret->validators)) wrong(r, "members: two validators with one consensus key");
}

static void publics(reader *r, json_t *kanhe)
{
    json_t *list = list_of(r, kanhe, "public", UINT16_MAX);
    uint8_t before[LEAF_KEY_MAX], key[LEAF_KEY_MAX];
    size_t before_n = 0;
    put_number(r, json_array_size(list), 2);
    for (size_t i = 0; i < json_array_size(list) && !r->bad; i++) {
        json_t *leaf = json_array_get(list, i);
        const char *key_text = text_of(r, leaf, "key", 2 * LEAF_KEY_MAX);
        const char *value = text_of(r, leaf, "value", 2 * (size_t)UINT16_MAX);
        size_t key_n = strlen(key_text) / 2, value_n = strlen(value) / 2;
        hex_text(r, "key", key_text, key, key_n);
        if (r->bad) return;
        int order = memcmp(before, key, key_n < before_n ? key_n : before_n);
        if (key_n == 0 || order > 0 || (order == 0 && before_n >= key_n)) wrong(r, "public: keys do not ascend");
        memcpy(before, key, key_n);
        before_n = key_n;
        put_number(r, key_n, 1);
        put_number(r, value_n, 2);
        put(r, key, key_n);
        if (strlen(value) % 2 != 0) wrong(r, "value: no hex");
        for (size_t k = 0; k < value_n && !r->bad; k++) {
            uint8_t byte;
            if (!kh_hex_read(value + 2 * k, 2, &byte, 1)) wrong(r, "value: no hex");
            else put(r, &byte, 1);
        }
    }
}

static void chain_id(reader *r, json_t *kanhe)
{
    const char *id = text_of(r, kanhe, "chain_id", KH_COMET_CHAIN_ID_MAX);
    if (*id == '\0') wrong(r, "chain_id: empty");
    for (const char *c = id; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\') wrong(r, "chain_id: a character that may not be");
    (void)snprintf(r->ret->chain_id, sizeof r->ret->chain_id, "%s", id);
    put_number(r, strlen(id), 1);
    put(r, id, strlen(id));
}

static void walk(reader *r, json_t *kanhe)
{
    uint8_t bytes[64];
    put(r, "kanhe/genesis", sizeof "kanhe/genesis");
    json_t *opening = json_object_get(kanhe, "opening");
    put(r, opening != NULL ? "KHG2" : "KHG1", 4);
    if (!kh_suite_of(text_of(r, kanhe, "suite", 8), &r->ret->suite)) wrong(r, "suite: intl or gm");
    const json_t *speak = json_object_get(kanhe, "hubs_speak");
    if (!json_is_boolean(speak)) wrong(r, "hubs_speak: true or false");
    put_number(r, r->ret->suite, 1);
    put_number(r, json_is_true(speak), 1);
    put_number(r, 0, 2);
    chain_id(r, kanhe);
    put_number(r, r->ret->initial_height = decimal_of(r, kanhe, "initial_height", INT64_MAX), 8);
    if (r->ret->initial_height == 0) wrong(r, "initial_height: 1 at least");
    put_number(r, decimal_of(r, kanhe, "time_ns", UINT64_MAX), 8);
    put_hex(r, kanhe, "group", 64, false, bytes);
    put_hex(r, kanhe, "checkpoint", 32, false, bytes);
    if (opening != NULL) {
        static const uint8_t none[32];
        put_hex(r, kanhe, "opening", 32, false, bytes);
        if (!r->bad && memcmp(bytes, none, sizeof none) == 0) wrong(r, "opening: zeros");
    }
    officers(r, kanhe);
    members(r, kanhe);
    publics(r, kanhe);
    kh_sha256_final(&r->g, r->ret->chain);
}

kh_err kh_proof_genesis_read(const char *json, size_t n, char *why, size_t cap, kh_proof_genesis *ret)
{
    json_error_t error;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL && json_error_code(&error) == json_error_out_of_memory) return KH_E_NOMEM;
    *ret = (kh_proof_genesis){.suite = KH_SUITE_INTL};
    reader r = {.why = why, .cap = cap, .ret = ret};
    kh_sha256_init(&r.g);
    json_t *kanhe = json_object_get(json_object_get(root, "app_state"), "kanhe");
    if (root == NULL) wrong(&r, "no JSON: line %d: %s", error.line, error.text);
    else if (!json_is_object(kanhe)) wrong(&r, "there is no app_state.kanhe in it");
    else walk(&r, kanhe);
    json_decref(root);
    return r.bad ? KH_E_FORMAT : KH_OK;
}
