/* rpc: CometBFT's JSON: 64-bit numbers as texts, hashes in upper-case hex, signatures, keys and transactions in base64, times as
 * RFC 3339 in UTC. */
#include "proof/rpc.h"
#include "crypto/suite.h"
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

typedef struct reader { /* the first wrong field makes all of it wrong */
    bool bad;
} reader;

static const char *text_of(reader *r, json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL) r->bad = true;
    return text != NULL ? text : "";
}

static uint64_t number_text(reader *r, const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || v > max) r->bad = true;
    return r->bad ? 0 : v;
}
static uint64_t number_of(reader *r, json_t *object, const char *name, uint64_t max)
{
    return number_text(r, text_of(r, object, name), max);
}

static uint32_t integer_of(reader *r, json_t *object, const char *name, uint32_t max)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max) r->bad = true;
    return r->bad ? 0 : (uint32_t)json_integer_value(value);
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
static void hex_of(reader *r, json_t *object, const char *name, uint8_t *p, size_t n)
{
    const char *text = text_of(r, object, name);
    if (strlen(text) != 2 * n) r->bad = true;
    for (size_t i = 0; i < n && !r->bad; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0) r->bad = true;
        else p[i] = (uint8_t)(high << 4 | low);
    }
}

/* base64 decodes text, with padding, into p; returns the bytes; more than cap, or no base64: SIZE_MAX. */
static size_t base64(const char *text, uint8_t *p, size_t cap)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t text_n = strlen(text), n = 0, used = text_n;
    if (text_n % 4 != 0) return SIZE_MAX;
    while (used > 0 && used + 2 > text_n && text[used - 1] == '=') used--;
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < used; i++) {
        const char *digit = memchr(digits, text[i], 64);
        if (digit == NULL) return SIZE_MAX;
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        if (n == cap) return SIZE_MAX;
        p[n++] = (uint8_t)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return bits == 0 ? n : SIZE_MAX;
}

static void base64_of(reader *r, json_t *object, const char *name, uint8_t *p, size_t n)
{
    if (base64(text_of(r, object, name), p, n) != n) r->bad = true;
}

static void time_of(reader *r, const char *text, uint64_t *ret_s, uint32_t *ret_ns)
{
    struct tm tm = {.tm_year = 0};
    const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint32_t ns = 0;
    if (at == NULL) {
        r->bad = true;
        return;
    }
    if (*at == '.') {
        uint32_t unit = 100000000;
        for (at++; *at >= '0' && *at <= '9' && unit > 0; at++, unit /= 10) ns += (uint32_t)(*at - '0') * unit;
    }
    time_t s = timegm(&tm);
    if (strcmp(at, "Z") != 0 || s < 0) r->bad = true;
    *ret_s = (uint64_t)s;
    *ret_ns = ns;
}

static void block_id_of(reader *r, json_t *object, const char *name, kh_comet_block_id *ret)
{
    json_t *id = json_object_get(object, name), *parts = json_object_get(id, "parts");
    hex_of(r, id, "hash", ret->hash, 32);
    ret->total = integer_of(r, parts, "total", UINT32_MAX);
    hex_of(r, parts, "hash", ret->part_hash, 32);
}

static void header_of(reader *r, json_t *o, kh_comet_header *h)
{
    json_t *version = json_object_get(o, "version");
    h->version_block = number_of(r, version, "block", UINT64_MAX);
    /* a number of 0 is left out by some versions */
    h->version_app = json_object_get(version, "app") == NULL ? 0 : number_of(r, version, "app", UINT64_MAX);
    h->height = number_of(r, o, "height", INT64_MAX);
    time_of(r, text_of(r, o, "time"), &h->time_s, &h->time_ns);
    block_id_of(r, o, "last_block_id", &h->last_block_id);
    const struct {
        const char *name;
        uint8_t *at;
    } hashes[] = {{"last_commit_hash", h->last_commit_hash},   {"data_hash", h->data_hash},
                  {"validators_hash", h->validators_hash},     {"next_validators_hash", h->next_validators_hash},
                  {"consensus_hash", h->consensus_hash},       {"app_hash", h->app_hash},
                  {"last_results_hash", h->last_results_hash}, {"evidence_hash", h->evidence_hash}};
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) hex_of(r, o, hashes[i].name, hashes[i].at, 32);
    hex_of(r, o, "proposer_address", h->proposer, 20);
}

/* signature_of takes the i-th signature where it is one for the block, and good; r->bad stays as it is. */
static bool signature_of(json_t *o, uint32_t i, const char *chain_id, uint64_t height, const kh_comet_set *set,
                         const kh_comet_commit *commit, kh_comet_signature *ret)
{
    reader r = {.bad = false};
    uint8_t key[KH_PUBLIC_SZ] = {0}, message[KH_COMET_SIGN_BYTES_MAX];
    if (integer_of(&r, o, "block_id_flag", 3) != 2 || i >= set->cnt) return false; /* 2: it signed this block */
    ret->index = i;
    time_of(&r, text_of(&r, o, "timestamp"), &ret->time_s, &ret->time_ns);
    base64_of(&r, o, "signature", ret->signature, 64);
    if (r.bad) return false;
    memcpy(key, set->keys[i], 32);
    size_t n = kh_comet_sign_bytes(chain_id, height, commit, ret, message);
    return kh_verify_signature(KH_SUITE_INTL, key, message, n, ret->signature);
}

/* parse gives the answer's object; NULL: *ret_err. */
static json_t *parse(const char *json, size_t n, json_t **ret_root, kh_err *ret_err)
{
    json_error_t error;
    *ret_root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &error);
    *ret_err = *ret_root == NULL && json_error_code(&error) == json_error_out_of_memory ? KH_E_NOMEM : KH_E_FORMAT;
    json_t *result = json_object_get(*ret_root, "result");
    return result != NULL ? result : *ret_root;
}

kh_err kh_proof_rpc_commit(const char *json, size_t n, const char *chain_id, const kh_comet_set *set, kh_comet_header *ret_header,
                           kh_comet_commit *ret_commit)
{
    reader r = {.bad = false};
    json_t *root;
    kh_err err;
    json_t *both = json_object_get(parse(json, n, &root, &err), "signed_header");
    json_t *header = json_object_get(both, "header"), *commit = json_object_get(both, "commit");
    json_t *signatures = json_object_get(commit, "signatures");
    uint8_t hash[32];
    header_of(&r, header, ret_header);
    ret_commit->round = integer_of(&r, commit, "round", INT32_MAX);
    ret_commit->signature_cnt = 0;
    block_id_of(&r, commit, "block_id", &ret_commit->block_id);
    if (strcmp(text_of(&r, header, "chain_id"), chain_id) != 0) r.bad = true;
    if (!r.bad) {
        kh_comet_header_hash(ret_header, chain_id, hash);
        err = memcmp(hash, ret_commit->block_id.hash, 32) == 0 ? KH_E_NOT_FOUND : KH_E_FORMAT;
    }
    uint32_t quorum = kh_comet_quorum(set->cnt);
    for (uint32_t i = 0; !r.bad && err == KH_E_NOT_FOUND && i < json_array_size(signatures); i++)
        if (signature_of(json_array_get(signatures, i), i, chain_id, ret_header->height, set, ret_commit,
                         &ret_commit->signatures[ret_commit->signature_cnt]) &&
            ++ret_commit->signature_cnt == quorum)
            err = KH_OK;
    json_decref(root);
    return err;
}

kh_err kh_proof_rpc_block(const char *json, size_t n, bool (*f)(void *ctx, uint32_t index, const uint8_t *tx, size_t tx_n),
                          void *ctx)
{
    json_t *root;
    kh_err err;
    json_t *data = json_object_get(json_object_get(parse(json, n, &root, &err), "block"), "data");
    json_t *txs = json_object_get(data, "txs");
    if (data != NULL) err = KH_OK; /* no transactions at all: null */
    bool go_on = true;
    for (uint32_t i = 0; err == KH_OK && go_on && i < json_array_size(txs); i++) {
        const char *text = json_string_value(json_array_get(txs, i));
        size_t cap = text != NULL ? strlen(text) : 0;
        uint8_t *tx = malloc(cap + 1);
        size_t tx_n = tx != NULL && text != NULL ? base64(text, tx, cap) : SIZE_MAX;
        if (tx == NULL) err = KH_E_NOMEM;
        else if (tx_n == SIZE_MAX) err = KH_E_FORMAT;
        else go_on = f(ctx, i, tx, tx_n);
        free(tx);
    }
    json_decref(root);
    return err;
}

kh_err kh_proof_rpc_validators(const char *json, size_t n, kh_comet_set *set)
{
    reader r = {.bad = false};
    json_t *root;
    kh_err err;
    json_t *list = json_object_get(parse(json, n, &root, &err), "validators");
    if (json_is_array(list)) err = KH_OK;
    for (uint32_t i = 0; err == KH_OK && i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i), *key = json_object_get(one, "pub_key");
        if (set->cnt == KH_COMET_VALIDATORS_MAX) {
            err = KH_E_FULL;
            break;
        }
        if (strcmp(text_of(&r, key, "type"), "tendermint/PubKeyEd25519") != 0) r.bad = true;
        base64_of(&r, key, "value", set->keys[set->cnt], 32);
        if (number_of(&r, one, "voting_power", INT64_MAX) != KH_COMET_POWER) r.bad = true;
        if (r.bad) err = KH_E_FORMAT;
        else set->cnt++;
    }
    json_decref(root);
    return err;
}
