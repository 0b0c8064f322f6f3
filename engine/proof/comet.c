/* comet: protobuf by hand, for the few messages that headers, sets and votes are hashed and signed as. */
#include "proof/comet.h"
#include "crypto/digest.h"
#include "crypto/merkle.h"
#include <stdlib.h>

typedef struct bytes {
    size_t n;
    uint8_t p[192];
} bytes;

static void put(bytes *b, const void *p, size_t n)
{
    KH_ASSERT(n <= sizeof b->p - b->n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}
static void put1(bytes *b, uint8_t byte) { put(b, &byte, 1); }
static void put_varint(bytes *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) put1(b, (uint8_t)(v | 0x80));
    put1(b, (uint8_t)v);
}
/* put_number: a varint field, left out where it is 0. */
static void put_number(bytes *b, uint8_t tag, uint64_t v)
{
    if (v == 0) return;
    put1(b, tag);
    put_varint(b, v);
}
static void put_field(bytes *b, uint8_t tag, const void *p, size_t n)
{
    put1(b, tag);
    put_varint(b, n);
    put(b, p, n);
}
static void put_block_id(bytes *b, const kh_comet_block_id *id)
{
    bytes parts = {.n = 0};
    put_number(&parts, 0x08, id->total);
    put_field(&parts, 0x12, id->part_hash, 32);
    put_field(b, 0x0a, id->hash, 32);
    put_field(b, 0x12, parts.p, parts.n);
}
static void put_time(bytes *b, uint64_t time_s, uint32_t time_ns)
{
    put_number(b, 0x08, time_s);
    put_number(b, 0x10, time_ns);
}

void kh_comet_header_hash(const kh_comet_header *h, const char *chain_id, uint8_t ret[32])
{
    uint8_t leaves[14][32];
    uint32_t n = 0;
    bytes version = {.n = 0}, id = {.n = 0}, height = {.n = 0}, time = {.n = 0}, last = {.n = 0}, proposer = {.n = 0};
    put_number(&version, 0x08, h->version_block);
    put_number(&version, 0x10, h->version_app);
    put_field(&id, 0x0a, chain_id, strlen(chain_id));
    put_number(&height, 0x08, h->height);
    put_time(&time, h->time_s, h->time_ns);
    put_block_id(&last, &h->last_block_id);
    put_field(&proposer, 0x0a, h->proposer, 20);
    const bytes *first[] = {&version, &id, &height, &time, &last};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) kh_merkle_leaf(first[i]->p, first[i]->n, leaves[n++]);
    const uint8_t *hashes[] = {h->last_commit_hash, h->data_hash, h->validators_hash,   h->next_validators_hash,
                               h->consensus_hash,   h->app_hash,  h->last_results_hash, h->evidence_hash};
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        bytes value = {.n = 0};
        put_field(&value, 0x0a, hashes[i], 32);
        kh_merkle_leaf(value.p, value.n, leaves[n++]);
    }
    kh_merkle_leaf(proposer.p, proposer.n, leaves[n++]);
    kh_merkle_root(leaves, n, ret);
}

static int by_address(const void *a, const void *b)
{
    uint8_t x[32], y[32];
    kh_sha256(a, 32, x);
    kh_sha256(b, 32, y);
    return memcmp(x, y, 20);
}

bool kh_comet_set_sorted(const kh_comet_set *set)
{
    for (uint32_t i = 1; i < set->cnt; i++)
        if (by_address(set->keys[i - 1], set->keys[i]) >= 0) return false;
    return true;
}

bool kh_comet_set_sort(kh_comet_set *set)
{
    qsort(set->keys, set->cnt, 32, by_address);
    return kh_comet_set_sorted(set);
}

void kh_comet_set_hash(const kh_comet_set *set, uint8_t ret[32])
{
    uint8_t leaves[KH_COMET_VALIDATORS_MAX][32];
    for (uint32_t i = 0; i < set->cnt; i++) {
        bytes key = {.n = 0}, validator = {.n = 0};
        put_field(&key, 0x0a, set->keys[i], 32);
        put_field(&validator, 0x0a, key.p, key.n);
        put_number(&validator, 0x10, KH_COMET_POWER);
        kh_merkle_leaf(validator.p, validator.n, leaves[i]);
    }
    kh_merkle_root(leaves, set->cnt, ret);
}

uint32_t kh_comet_quorum(uint32_t n) { return 2 * n / 3 + 1; }

static void put_fixed(bytes *b, uint8_t tag, uint64_t v)
{
    uint8_t word[8];
    kh_store64(word, v);
    put1(b, tag);
    put(b, word, sizeof word);
}

size_t kh_comet_sign_bytes(const char *chain_id, uint64_t height, const kh_comet_commit *commit,
                           const kh_comet_signature *signature, uint8_t ret[KH_COMET_SIGN_BYTES_MAX])
{
    bytes vote = {.n = 0}, id = {.n = 0}, time = {.n = 0};
    put_block_id(&id, &commit->block_id);
    put_time(&time, signature->time_s, signature->time_ns);
    put_number(&vote, 0x08, 2); /* a precommit */
    put_fixed(&vote, 0x11, height);
    if (commit->round > 0) put_fixed(&vote, 0x19, commit->round);
    put_field(&vote, 0x22, id.p, id.n);
    put_field(&vote, 0x2a, time.p, time.n);
    put_field(&vote, 0x32, chain_id, strlen(chain_id));
    bytes all = {.n = 0};
    put_varint(&all, vote.n);
    memcpy(ret, all.p, all.n);
    memcpy(ret + all.n, vote.p, vote.n);
    return all.n + vote.n;
}
