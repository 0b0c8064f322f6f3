/* world: a cluster made up on the spot, from seed: its genesis.json, headers, commits and attestations under keys of its own, and
 * one receipt. It hashes, encodes and writes by itself, sharing only digests and signatures with the engine.
 *
 * Each lie makes the whole world hold together around one thing that is wrong: everything is hashed and signed as if it were
 * right. */
#ifndef KH_TESTS_PROOFS_WORLD_H
#define KH_TESTS_PROOFS_WORLD_H
#include "crypto/digest.h"
#include "crypto/suite.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum pw_lie {
    PW_TRUTH,
    PW_RESULT_CODE,        /* the entry's result is not OK */
    PW_ENTRY_TYPE,         /* the entry is a change */
    PW_ENTRY_CHAIN,        /* the certificate is another chain's */
    PW_ENTRY_LONG,         /* a byte too many behind the certificate */
    PW_ENTRY_PADDING,      /* a byte that should be zero */
    PW_HEADER_HEIGHT,      /* the header is two heights above */
    PW_EARLY,              /* before the initial height */
    PW_CHAIN_ID,           /* another chain id, signed so */
    PW_HUBS_QUORUM,        /* a hub set that wants a hub fewer */
    PW_HUBS_ORDER,         /* hub ids do not ascend */
    PW_HUBS_LONG,          /* a byte too many */
    PW_HUBS_KEY,           /* the hub set stands under another key */
    PW_ATTEST_FEWER,       /* a hub fewer than a quorum */
    PW_ATTEST_MORE,        /* one more */
    PW_ATTEST_TWICE,       /* one hub's twice */
    PW_ATTEST_STRANGER,    /* signed by an id that is no hub */
    PW_ATTEST_FORGED,      /* a hub's, signed with another key */
    PW_ATTEST_HEIGHT,      /* of another height */
    PW_ATTEST_EPOCH,       /* of an epoch before */
    PW_ATTEST_FLAGS,       /* a checkpoint's, or unknown flags */
    PW_ATTEST_HASH,        /* over another app hash */
    PW_ATTEST_CHAIN,       /* of another chain */
    PW_ATTEST_DIFFER,      /* one states another digest */
    PW_ATTEST_PADDING,     /* a byte that should be zero */
    PW_OUTPUT_HEIGHT,      /* the output binds another height */
    PW_OUTPUT_BATCH,       /* the output binds another batch */
    PW_OUTPUT_CHAIN,       /* the output binds another chain */
    PW_OUTPUT_KIND,        /* a notice */
    PW_BANK,               /* the receipt says another bank than the tree */
    PW_PAYLOAD_PARTY,      /* the payload is another party's */
    PW_PAYLOAD_TYPE,       /* of an operation on a document */
    PW_PAYLOAD_EVENT,      /* of an event that nobody orders */
    PW_PAYLOAD_KIND,       /* a notice */
    PW_PAYLOAD_SHORT,      /* fewer bytes than a receipt has */
    PW_PAYLOAD_LINES,      /* lines that are not there */
    PW_VALIDATORS_OTHER,   /* the header is of a set that nothing announced */
    PW_COMMIT_OTHER,       /* signed for another header */
    PW_COMMIT_FEWER,       /* two thirds and no more */
    PW_COMMIT_MORE,        /* one signature that is not needed */
    PW_COMMIT_TWICE,       /* one validator's twice */
    PW_COMMIT_ORDER,       /* indexes swapped, with their signatures */
    PW_COMMIT_STRANGER,    /* signed by a key that is in no set */
    PW_COMMIT_INDEX,       /* an index behind the set */
    PW_COMMIT_PREVOTE,     /* prevotes */
    PW_COMMIT_CHAIN,       /* signed for another chain */
    PW_CHANGE_HEIGHT,      /* at the height of the one before it, or of genesis' past */
    PW_CHANGE_LATE,        /* above the receipt's header */
    PW_CHANGE_UNANNOUNCED, /* the header announces another set */
    PW_CHANGE_ORDER,       /* keys not in order of address */
    PW_CHANGE_NOTHING,     /* announces the set that is there */
    PW_CHANGE_BACK,        /* there and back again */
    PW_CHANGE_FORGED,      /* signed by the set that it brings */
    PW_CHANGE_MISSING,     /* left out */
    PW_LIE_CNT
} pw_lie;

typedef struct pw_shape {
    kh_suite suite;
    uint32_t validators, hubs, changes, entries, banks, outputs; /* outputs: leaves of the subtree, a power of two */
    uint64_t seed;
    pw_lie lie;
} pw_shape;
typedef struct pw_buffer {
    char *p;
    size_t n, cap;
} pw_buffer;
typedef struct pw_world { /* what the checker is to find */
    pw_buffer genesis, receipt;
    uint32_t bank;
    uint16_t code;
    uint64_t financing, height;
    const char *operation;
} pw_world;

/* ---- numbers, bytes, text ---- */
static inline uint64_t pw_next(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint32_t pw_below(uint64_t *seed, uint32_t n) { return (uint32_t)(pw_next(seed) % n); }
static inline void pw_random(uint64_t *seed, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)pw_next(seed);
}
static inline void pw_add(pw_buffer *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->cap + n) + 256;
        b->p = realloc(b->p, b->cap);
        if (b->p == NULL) abort();
    }
    if (n > 0) memcpy(b->p + b->n, p, n);
    b->n += n;
}
__attribute__((format(printf, 2, 3))) static inline void pw_text(pw_buffer *b, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pw_add(b, text, (size_t)n);
}
static inline void pw_hex(pw_buffer *b, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) pw_text(b, "%02x", ((const uint8_t *)p)[i]);
}
static inline void pw_hex_field(pw_buffer *b, const char *before, const void *p, size_t n)
{
    pw_text(b, "%s\"", before);
    pw_hex(b, p, n);
    pw_text(b, "\"");
}
static inline void pw_le(pw_buffer *b, uint64_t v, size_t n) { pw_add(b, &v, n); }

/* ---- trees, by the definition ---- */
typedef struct pw_path {
    uint32_t n;
    char side[32];
    uint8_t node[32][32];
} pw_path;
static inline void pw_hash2(uint8_t prefix, const void *a, size_t a_n, const void *b, size_t b_n, uint8_t ret[32])
{
    kh_sha256_state s;
    kh_sha256_init(&s);
    kh_sha256_update(&s, &prefix, 1);
    kh_sha256_update(&s, a, a_n);
    kh_sha256_update(&s, b, b_n);
    kh_sha256_final(&s, ret);
}
static inline void pw_leaf(const void *p, size_t n, uint8_t ret[32]) { pw_hash2(0, p, n, "", 0, ret); }
static inline uint32_t pw_split(uint32_t n)
{
    uint32_t k = 1;
    while (2 * k < n) k *= 2;
    return k;
}
static inline void pw_root(uint8_t (*leaves)[32], uint32_t n, uint8_t ret[32])
{
    if (n == 1) {
        memcpy(ret, leaves[0], 32);
        return;
    }
    uint8_t left[32], right[32];
    pw_root(leaves, pw_split(n), left);
    pw_root(leaves + pw_split(n), n - pw_split(n), right);
    pw_hash2(1, left, 32, right, 32, ret);
}
static inline void pw_path_of(uint8_t (*leaves)[32], uint32_t n, uint32_t index, pw_path *path)
{
    if (n == 1) return;
    uint32_t k = pw_split(n);
    bool right = index >= k;
    pw_path_of(right ? leaves + k : leaves, right ? n - k : k, right ? index - k : index, path);
    path->side[path->n] = right ? 'l' : 'r';
    pw_root(right ? leaves : leaves + k, right ? k : n - k, path->node[path->n++]);
}
/* pw_tree: the root over random leaves with `leaf` among them from `from` on, and the path to it. */
static inline void pw_tree(uint64_t *seed, const void *leaf, size_t leaf_n, uint32_t n, uint32_t from, pw_path *path,
                           uint8_t ret[32])
{
    uint8_t leaves[256][32];
    uint32_t index = from + pw_below(seed, n - from);
    pw_random(seed, leaves, sizeof leaves);
    pw_leaf(leaf, leaf_n, leaves[index]);
    path->n = 0;
    pw_path_of(leaves, n, index, path);
    pw_root(leaves, n, ret);
}
static inline void pw_path_text(pw_buffer *b, const char *before, const pw_path *path)
{
    pw_text(b, "%s[", before);
    for (uint32_t i = 0; i < path->n; i++) {
        pw_text(b, "%s\"%c", i > 0 ? "," : "", path->side[i]);
        pw_hex(b, path->node[i], 32);
        pw_text(b, "\"");
    }
    pw_text(b, "]");
}

/* ---- keys ---- */
typedef struct pw_key {
    kh_signer *signer;
    uint8_t public[KH_PUBLIC_SZ];
} pw_key;
static struct { /* that pw_key_new made */
    kh_signer *p[512];
    unsigned n;
} pw_signers;
static inline void pw_keys_drop(void)
{
    while (pw_signers.n > 0) kh_signer_free(pw_signers.p[--pw_signers.n]);
}
static inline pw_key pw_key_new(kh_suite suite, uint64_t *seed)
{
    pw_key key;
    uint8_t secret[32];
    pw_random(seed, secret, 32);
    secret[0] = 1; /* in range */
    if (kh_signer_new(suite, secret, &key.signer) != KH_OK) abort();
    kh_signer_public(key.signer, key.public);
    if (pw_signers.n == sizeof pw_signers.p / sizeof pw_signers.p[0]) abort();
    pw_signers.p[pw_signers.n++] = key.signer;
    return key;
}
static inline void pw_sign(const pw_key *key, const void *p, size_t n, uint8_t ret[64])
{
    if (kh_sign(key->signer, p, n, ret) != KH_OK) abort();
}

/* ---- CometBFT ---- */
static inline void pw_varint(pw_buffer *b, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)(v & 127);
        v >>= 7;
        if (v != 0) byte |= 128;
        pw_add(b, &byte, 1);
    } while (v != 0);
}
static inline void pw_number_field(pw_buffer *b, uint32_t field, uint64_t v)
{
    if (v == 0) return;
    pw_varint(b, field << 3);
    pw_varint(b, v);
}
static inline void pw_bytes_field(pw_buffer *b, uint32_t field, const void *p, size_t n)
{
    pw_varint(b, field << 3 | 2);
    pw_varint(b, n);
    pw_add(b, p, n);
}
static inline void pw_message_field(pw_buffer *b, uint32_t field, pw_buffer *inner)
{
    pw_bytes_field(b, field, inner->p, inner->n);
    free(inner->p);
    *inner = (pw_buffer){0};
}
typedef struct pw_block_id {
    uint8_t hash[32], part_hash[32];
    uint32_t total;
} pw_block_id;
typedef struct pw_header {
    uint64_t app, height, s;
    uint32_t ns;
    pw_block_id last;
    uint8_t hashes[8][32],
        proposer[20]; /* last commit, data, validators, next validators, consensus, app, last results, evidence */
} pw_header;
static const char *const pw_hash_names[8] = {"last_commit_hash", "data_hash", "validators_hash",   "next_validators_hash",
                                             "consensus_hash",   "app_hash",  "last_results_hash", "evidence_hash"};
static inline void pw_block_id_bytes(pw_buffer *b, const pw_block_id *id)
{
    pw_buffer parts = {0};
    pw_number_field(&parts, 1, id->total);
    pw_bytes_field(&parts, 2, id->part_hash, 32);
    pw_bytes_field(b, 1, id->hash, 32);
    pw_message_field(b, 2, &parts);
}
static inline void pw_header_hash(const pw_header *h, const char *chain_id, uint8_t ret[32])
{
    pw_buffer fields[14] = {0};
    uint8_t leaves[14][32];
    pw_number_field(&fields[0], 1, 11);
    pw_number_field(&fields[0], 2, h->app);
    pw_bytes_field(&fields[1], 1, chain_id, strlen(chain_id));
    pw_number_field(&fields[2], 1, h->height);
    pw_number_field(&fields[3], 1, h->s);
    pw_number_field(&fields[3], 2, h->ns);
    pw_block_id_bytes(&fields[4], &h->last);
    for (int i = 0; i < 8; i++) pw_bytes_field(&fields[5 + i], 1, h->hashes[i], 32);
    pw_bytes_field(&fields[13], 1, h->proposer, 20);
    for (int i = 0; i < 14; i++) {
        pw_leaf(fields[i].p, fields[i].n, leaves[i]);
        free(fields[i].p);
    }
    pw_root(leaves, 14, ret);
}
typedef struct pw_set {
    uint32_t n;
    pw_key keys[64];
} pw_set;
static inline int pw_by_address(const void *a, const void *b)
{
    uint8_t x[32], y[32];
    kh_sha256(((const pw_key *)a)->public, 32, x);
    kh_sha256(((const pw_key *)b)->public, 32, y);
    return memcmp(x, y, 20);
}
static inline void pw_set_hash(pw_set *set, uint8_t ret[32])
{
    uint8_t leaves[64][32];
    for (uint32_t i = 0; i < set->n; i++) {
        pw_buffer key = {0}, validator = {0};
        pw_bytes_field(&key, 1, set->keys[i].public, 32);
        pw_message_field(&validator, 1, &key);
        pw_number_field(&validator, 2, 3);
        pw_leaf(validator.p, validator.n, leaves[i]);
        free(validator.p);
    }
    pw_root(leaves, set->n, ret);
}
static inline void pw_header_random(uint64_t *seed, uint64_t height, pw_header *ret)
{
    pw_random(seed, ret, sizeof *ret);
    ret->app = pw_below(seed, 3);
    ret->height = height;
    ret->s = 1700000000 + pw_below(seed, 100000000);
    ret->ns = pw_below(seed, 3) == 0 ? 0 : pw_below(seed, 1000000000);
    ret->last.total = 1 + pw_below(seed, 3);
}
static inline void pw_header_text(pw_buffer *b, const pw_header *h)
{
    pw_text(b,
            "\"header\":{\"version_block\":\"11\",\"version_app\":\"%llu\",\"height\":\"%llu\",\"time_s\":\"%llu\",\"time_ns\":"
            "\"%u\"",
            (unsigned long long)h->app, (unsigned long long)h->height, (unsigned long long)h->s, h->ns);
    pw_hex_field(b, ",\"last_block_id\":{\"hash\":", h->last.hash, 32);
    pw_text(b, ",\"total\":\"%u\"", h->last.total);
    pw_hex_field(b, ",\"part_hash\":", h->last.part_hash, 32);
    pw_text(b, "}");
    for (int i = 0; i < 8; i++) {
        pw_text(b, ",\"%s\":", pw_hash_names[i]);
        pw_hex_field(b, "", h->hashes[i], 32);
    }
    pw_hex_field(b, ",\"proposer\":", h->proposer, 20);
    pw_text(b, "}");
}
static inline void pw_vote_bytes(pw_buffer *b, int type, const char *chain_id, uint64_t height, uint64_t round,
                                 const pw_block_id *id, uint64_t s, uint32_t ns)
{
    pw_buffer vote = {0}, inner = {0};
    pw_number_field(&vote, 1, (uint64_t)type);
    pw_add(&vote, "\x11", 1);
    pw_le(&vote, height, 8);
    if (round > 0) {
        pw_add(&vote, "\x19", 1);
        pw_le(&vote, round, 8);
    }
    pw_block_id_bytes(&inner, id);
    pw_message_field(&vote, 4, &inner);
    pw_number_field(&inner, 1, s);
    pw_number_field(&inner, 2, ns);
    pw_message_field(&vote, 5, &inner);
    pw_bytes_field(&vote, 6, chain_id, strlen(chain_id));
    pw_varint(b, vote.n);
    pw_add(b, vote.p, vote.n);
    free(vote.p);
}
/* pw_commit_text signs a header by just more than two thirds of a set, drawn at random, and tells it. */
static inline void pw_commit_text(pw_buffer *b, uint64_t *seed, pw_set *set, const pw_header *h, const char *chain_id, pw_lie lie,
                                  const pw_key *stranger)
{
    pw_block_id id;
    uint32_t quorum = 2 * set->n / 3 + 1, want = quorum - (lie == PW_COMMIT_FEWER) + (lie == PW_COMMIT_MORE),
             round = pw_below(seed, 2);
    pw_random(seed, &id, sizeof id);
    id.total = 1 + pw_below(seed, 2);
    pw_header other = *h;
    other.s += lie == PW_COMMIT_OTHER;
    pw_header_hash(&other, chain_id, id.hash);
    pw_text(b, ",\"commit\":{\"round\":\"%u\"", round);
    pw_hex_field(b, ",\"block_id\":{\"hash\":", id.hash, 32);
    pw_text(b, ",\"total\":\"%u\"", id.total);
    pw_hex_field(b, ",\"part_hash\":", id.part_hash, 32);
    pw_text(b, "},\"signatures\":[");
    uint32_t indexes[65], cnt = 0;
    for (uint32_t i = 0; i < set->n && cnt < want; i++)
        if (pw_below(seed, set->n - i) < want - cnt) indexes[cnt++] = i;
    if (lie == PW_COMMIT_TWICE) indexes[1] = indexes[0];
    if (lie == PW_COMMIT_ORDER) {
        uint32_t first = indexes[0];
        indexes[0] = indexes[1];
        indexes[1] = first;
    }
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t s = h->s + i;
        uint32_t ns = pw_below(seed, 1000000000);
        uint8_t signature[64];
        pw_buffer vote = {0};
        pw_vote_bytes(&vote, lie == PW_COMMIT_PREVOTE ? 1 : 2, lie == PW_COMMIT_CHAIN ? "another" : chain_id, h->height, round,
                      &id, s, ns);
        bool strange = (lie == PW_COMMIT_STRANGER && i == 0) || lie == PW_COMMIT_INDEX;
        pw_sign(strange ? stranger : &set->keys[indexes[i]], vote.p, vote.n, signature);
        free(vote.p);
        pw_text(b, "%s{\"index\":\"%u\",\"time_s\":\"%llu\",\"time_ns\":\"%u\"", i > 0 ? "," : "",
                lie == PW_COMMIT_INDEX && i + 1 == cnt ? set->n : indexes[i], (unsigned long long)s, ns);
        pw_hex_field(b, ",\"signature\":", signature, 64);
        pw_text(b, "}");
    }
    pw_text(b, "]}");
}

/* ---- genesis ---- */
typedef struct pw_genesis {
    pw_buffer g, json; /* canonical bytes, and the same as JSON */
    uint8_t chain[32];
} pw_genesis;
static inline void pw_both(pw_genesis *w, const char *before, const void *p, size_t n)
{
    pw_add(&w->g, p, n);
    pw_hex_field(&w->json, before, p, n);
}
static inline void pw_member(pw_genesis *w, uint64_t *seed, bool first, uint32_t id, uint8_t role, const char *word,
                             const uint8_t *consensus)
{
    static const uint8_t none[64];
    char name[40];
    uint8_t key[64];
    (void)snprintf(name, sizeof name, "Member \xe5\x8b\x98 %u", id);
    const char *uscc = role == 2 ? "91350211M000100Y43" : "";
    pw_le(&w->g, id, 4);
    pw_le(&w->g, role, 1);
    pw_le(&w->g, consensus != NULL ? 4 : 0, 1);
    pw_le(&w->g, strlen(name), 1);
    pw_le(&w->g, strlen(uscc), 1);
    pw_add(&w->g, name, strlen(name));
    pw_add(&w->g, uscc, strlen(uscc));
    pw_text(&w->json, "%s{\"id\":%u,\"role\":\"%s\",\"flags\":%d,\"name\":\"Member \\u52d8 %u\",\"uscc\":\"%s\"",
            first ? "" : ",", id, word, consensus != NULL ? 4 : 0, id, uscc);
    pw_random(seed, key, 64);
    pw_both(w, ",\"sender\":", key, 64);
    if (consensus != NULL) {
        pw_both(w, ",\"ack\":", key, 64);
    } else {
        pw_add(&w->g, none, 64);
        pw_text(&w->json, ",\"ack\":\"\"");
    }
    pw_random(seed, key, 64);
    pw_both(w, ",\"attest\":", key, 64);
    pw_both(w, ",\"box\":", key, 64);
    if (consensus != NULL) {
        pw_both(w, ",\"consensus\":", consensus, 32);
    } else {
        pw_add(&w->g, none, 32);
        pw_text(&w->json, ",\"consensus\":\"\"");
    }
    pw_text(&w->json, "}");
}
static inline void pw_genesis_make(pw_genesis *w, uint64_t *seed, const pw_shape *shape, const char *chain_id, uint64_t initial,
                                   pw_set *first)
{
    uint8_t bytes[64];
    uint64_t time_ns = UINT64_C(1790000000000000000);
    pw_add(&w->g, "kanhe/genesis\0KHG1", 18);
    pw_le(&w->g, shape->suite, 1);
    pw_le(&w->g, 1, 1);
    pw_le(&w->g, 0, 2);
    pw_le(&w->g, strlen(chain_id), 1);
    pw_add(&w->g, chain_id, strlen(chain_id));
    pw_le(&w->g, initial, 8);
    pw_le(&w->g, time_ns, 8);
    pw_text(&w->json, "{\n \"chain_id\": \"%s\",\n \"app_hash\": \"\",\n \"app_state\": {\"kanhe\": {", chain_id);
    pw_text(&w->json,
            "\"hubs_speak\": true, \"suite\": \"%s\", \"chain_id\": \"%s\", \"initial_height\": \"%llu\", \"time_ns\": \"%llu\"",
            shape->suite == KH_SUITE_GM ? "gm" : "intl", chain_id, (unsigned long long)initial, (unsigned long long)time_ns);
    pw_random(seed, bytes, 64);
    pw_both(w, ",\"group\":", bytes, 64);
    pw_both(w, ",\"checkpoint\":", bytes + 7, 32);
    pw_le(&w->g, 2, 2);
    pw_le(&w->g, 3, 2);
    pw_text(&w->json, ",\"officers\":{\"k\":2,\"keys\":[");
    for (int i = 0; i < 3; i++) {
        pw_random(seed, bytes, 64);
        pw_both(w, i > 0 ? "," : "", bytes, 64);
    }
    pw_text(&w->json, "]},\"members\":[");
    pw_le(&w->g, 1 + shape->validators + shape->hubs, 2);
    pw_member(w, seed, true, 1, 1, "regulator", NULL);
    for (uint32_t i = 0; i < shape->validators; i++)
        pw_member(w, seed, false, 11 + i, 2, "bank", first->keys[(i + 1) % shape->validators].public);
    for (uint32_t i = 0; i < shape->hubs; i++) pw_member(w, seed, false, 201 + i, 16, "hub", NULL);
    pw_text(&w->json, "],\"public\":[");
    pw_le(&w->g, 3, 2);
    static const char *const keys[3] = {"raa", "raab", "rb"};
    static const char *const values[3] = {"24h", "", "8000"};
    for (int i = 0; i < 3; i++) {
        pw_le(&w->g, strlen(keys[i]), 1);
        pw_le(&w->g, strlen(values[i]), 2);
        pw_add(&w->g, keys[i], strlen(keys[i]));
        pw_add(&w->g, values[i], strlen(values[i]));
        pw_hex_field(&w->json, i > 0 ? ",{\"key\":" : "{\"key\":", keys[i], strlen(keys[i]));
        pw_hex_field(&w->json, ",\"value\":", values[i], strlen(values[i]));
        pw_text(&w->json, "}");
    }
    pw_text(&w->json, "]}}}\n");
    kh_sha256(w->g.p, w->g.n, w->chain);
}
#endif
