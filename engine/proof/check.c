/* check: the steps of docs/PROOFS.md, in their order, cheap ones first. */
#include "crypto/digest.h"
#include "crypto/merkle.h"
#include "crypto/suite.h"
#include "proof/form.h"
#include "proof/genesis.h"
#include "proof/proof.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ACK_HEAD_SZ = 104, /* of a certificate, before its signatures */
    ACK_SIGNATURE_SZ = 68,
    ACK_DIGEST_AT = 68,
    HUBS_HEAD_SZ = 84,
    HUB_SZ = 68,
    HUBS_MAX = 256,
    STATEMENT_SZ = 144,
    RECEIPT_AT = 8, /* in the payload */
    RECEIPT_SZ = 96,
    RECEIPT_LINE_SZ = 40,
    RECEIPT_LINES_MAX = 256,
    OP_APPLY = 6,
    OP_EVENT = 7,
    EVENTS = 8
};
static const char *const event_words[EVENTS] = {NULL, "accept", "approve", "reject", "withdraw", "disburse", "repay", "reverse"};

typedef struct checker {
    const kh_proof_genesis *genesis;
    const kh_proof_parts *parts;
    kh_proof_result *ret;
} checker;

const char *kh_proof_step_word(kh_proof_step step)
{
    static const char *const words[KH_PROOF_STEP_CNT] = {"proven",     "genesis", "form",          "chain",  "entry",
                                                         "app_hash",   "hubs",    "attestations",  "output", "payload",
                                                         "validators", "commit",  "hub_signatures"};
    return step < KH_PROOF_STEP_CNT ? words[step] : "unknown";
}

__attribute__((format(printf, 3, 4))) static bool fail(checker *c, kh_proof_step step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->ret->why, sizeof c->ret->why, format, args);
    va_end(args);
    c->ret->step = step;
    return false;
}

static void fold(const uint8_t *leaf, size_t n, const kh_proof_path *path, uint8_t ret[32])
{
    kh_merkle_leaf(leaf, n, ret);
    for (uint32_t i = 0; i < path->n; i++) {
        uint8_t up[32];
        if (path->left[i]) kh_merkle_node(path->node[i], ret, up);
        else kh_merkle_node(ret, path->node[i], up);
        memcpy(ret, up, 32);
    }
}

static bool zeros(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}

static bool chain(checker *c)
{
    const kh_proof_parts *p = c->parts;
    if (strcmp(p->chain_id, c->genesis->chain_id) != 0) return fail(c, KH_PROOF_CHAIN, "the receipt is of another chain");
    if (p->height < c->genesis->initial_height) return fail(c, KH_PROOF_CHAIN, "the height is before genesis");
    if (p->header.height != p->height + 1) return fail(c, KH_PROOF_CHAIN, "the header is not that of the next height");
    return true;
}

static bool entry(checker *c)
{
    static const uint8_t head[4] = {1, 1, 0, 0};
    const kh_proof_bytes *tx = &c->parts->transaction;
    if (tx->n < ACK_HEAD_SZ || memcmp(tx->p, head, sizeof head) != 0)
        return fail(c, KH_PROOF_ENTRY, "the entry is no certificate");
    if (memcmp(tx->p + 4, c->genesis->chain, 32) != 0) return fail(c, KH_PROOF_ENTRY, "the certificate is of another chain");
    uint32_t cnt = kh_load16(tx->p + ACK_HEAD_SZ - 4);
    bool sound = tx->n == ACK_HEAD_SZ + (size_t)cnt * ACK_SIGNATURE_SZ && zeros(tx->p + ACK_HEAD_SZ - 2, 2);
    for (uint32_t i = 0; sound && i < cnt; i++) sound = zeros(tx->p + ACK_HEAD_SZ + (size_t)i * ACK_SIGNATURE_SZ + 2, 2);
    return sound || fail(c, KH_PROOF_ENTRY, "the certificate is malformed");
}

static bool app_hash(checker *c)
{
    const kh_proof_parts *p = c->parts;
    uint8_t leaf[36] = {1}; /* type, 0, result code OK */
    uint8_t entries_root[32], height[8], hash[32];
    kh_sha256(p->transaction.p, p->transaction.n, leaf + 4);
    fold(leaf, sizeof leaf, &p->entry_path, entries_root);
    kh_store64(height, p->height);
    kh_sha256_state s;
    kh_sha256_init(&s);
    kh_sha256_update(&s, "kanhe/app", sizeof "kanhe/app");
    kh_sha256_update(&s, p->previous, 32);
    kh_sha256_update(&s, height, sizeof height);
    kh_sha256_update(&s, entries_root, 32);
    kh_sha256_update(&s, p->public_root, 32);
    kh_sha256_final(&s, hash);
    return memcmp(hash, p->header.app_hash, 32) == 0 ||
           fail(c, KH_PROOF_APP_HASH, "the header's app hash is not that of this entry and public state");
}

static uint32_t hub_cnt(const checker *c) { return kh_load16(c->parts->hubs.p + 4); }
static uint32_t hub_quorum(const checker *c) { return kh_load16(c->parts->hubs.p + 6); }

/* hub_key: the attestation key of a hub; NULL: it is none. */
static const uint8_t *hub_key(const checker *c, uint32_t id)
{
    const uint8_t *at = c->parts->hubs.p + HUBS_HEAD_SZ;
    for (uint32_t i = 0; i < hub_cnt(c); i++, at += HUB_SZ)
        if (kh_load32(at) == id) return at + 4;
    return NULL;
}

static bool hubs(checker *c)
{
    const kh_proof_bytes *value = &c->parts->hubs;
    uint32_t cnt = value->n >= HUBS_HEAD_SZ ? hub_cnt(c) : 0;
    bool sound = cnt >= 1 && cnt <= HUBS_MAX && value->n == HUBS_HEAD_SZ + cnt * HUB_SZ && hub_quorum(c) == cnt / 2 + 1;
    for (uint32_t i = 1; sound && i < cnt; i++) {
        const uint8_t *at = value->p + HUBS_HEAD_SZ + (size_t)i * HUB_SZ;
        sound = kh_load32(at - HUB_SZ) < kh_load32(at);
    }
    if (!sound) return fail(c, KH_PROOF_HUBS, "the hub set is malformed");
    static const uint8_t key[3] = {1, 0, 'h'}; /* its length, the key */
    uint8_t leaf[sizeof key + HUBS_HEAD_SZ + HUBS_MAX * HUB_SZ], root[32];
    memcpy(leaf, key, sizeof key);
    memcpy(leaf + sizeof key, value->p, value->n);
    fold(leaf, sizeof key + value->n, &c->parts->hubs_path, root);
    return memcmp(root, c->parts->public_root, 32) == 0 || fail(c, KH_PROOF_HUBS, "the hub set is not under the public state");
}

static bool attestations(checker *c)
{
    const kh_proof_parts *p = c->parts;
    static const uint8_t head[4] = {2, 1, 0, 0};
    if (p->attestation_cnt != hub_quorum(c))
        return fail(c, KH_PROOF_ATTESTATIONS, "%u attestations, a quorum is %u", p->attestation_cnt, hub_quorum(c));
    for (uint32_t i = 0; i < p->attestation_cnt; i++) {
        const uint8_t *a = p->attestations[i], *hub = a + 4 + STATEMENT_SZ;
        if (memcmp(a, head, sizeof head) != 0 || !zeros(hub + 4, 4))
            return fail(c, KH_PROOF_ATTESTATIONS, "number %u is malformed", i);
        if (memcmp(a + 4, p->attestations[0] + 4, STATEMENT_SZ) != 0)
            return fail(c, KH_PROOF_ATTESTATIONS, "number %u states something else", i);
        if (i > 0 && kh_load32(hub) <= kh_load32(p->attestations[i - 1] + 4 + STATEMENT_SZ))
            return fail(c, KH_PROOF_ATTESTATIONS, "hubs do not ascend");
        if (hub_key(c, kh_load32(hub)) == NULL) return fail(c, KH_PROOF_ATTESTATIONS, "%u is not in the hub set", kh_load32(hub));
    }
    const uint8_t *s = p->attestations[0] + 4;
    if (memcmp(s, c->genesis->chain, 32) != 0) return fail(c, KH_PROOF_ATTESTATIONS, "they are of another chain");
    if (kh_load64(s + 32) != p->height) return fail(c, KH_PROOF_ATTESTATIONS, "they are of another height");
    if (kh_load32(s + 40) < kh_load32(p->hubs.p))
        return fail(c, KH_PROOF_ATTESTATIONS, "they are of an epoch before the hub set");
    if (s[44] != 0) return fail(c, KH_PROOF_ATTESTATIONS, "they are of a checkpoint, or unknown flags");
    if (memcmp(s + 48, p->header.app_hash, 32) != 0) return fail(c, KH_PROOF_ATTESTATIONS, "they state another app hash");
    return true;
}

static bool output(checker *c)
{
    const kh_proof_parts *p = c->parts;
    uint8_t leaf[160] = {1}, bank[36], root[32];
    memcpy(leaf + 4, p->salt, 16);
    memcpy(leaf + 20, c->genesis->chain, 32);
    kh_store64(leaf + 52, p->height);
    memcpy(leaf + 60, p->transaction.p + ACK_DIGEST_AT, 32);
    kh_store32(leaf + 92, p->op_index);
    memcpy(leaf + 96, p->op_digest, 32);
    kh_sha256(p->payload.p, p->payload.n, leaf + 128);
    kh_store32(bank, p->bank);
    fold(leaf, sizeof leaf, &p->output_path, bank + 4);
    fold(bank, sizeof bank, &p->bank_path, root);
    return memcmp(root, p->attestations[0] + 4 + 112, 32) == 0 ||
           fail(c, KH_PROOF_OUTPUT, "the output is not under what the hubs attested");
}

static bool payload(checker *c)
{
    const kh_proof_bytes *b = &c->parts->payload;
    const uint8_t *r = b->p + RECEIPT_AT;
    if (b->n < RECEIPT_AT + RECEIPT_SZ || b->p[0] != 1 || !zeros(b->p + 1, 3))
        return fail(c, KH_PROOF_PAYLOAD, "it is no receipt");
    uint32_t lines = kh_load32(r + 44);
    if (lines > RECEIPT_LINES_MAX || kh_load32(r) != RECEIPT_SZ + lines * RECEIPT_LINE_SZ || kh_load32(r) > b->n - RECEIPT_AT)
        return fail(c, KH_PROOF_PAYLOAD, "the receipt is malformed");
    if (kh_load32(r + 16) != c->parts->bank) return fail(c, KH_PROOF_PAYLOAD, "it is another party's");
    const char *operation = r[4] == OP_APPLY ? "apply" : r[4] == OP_EVENT && r[11] < EVENTS ? event_words[r[11]] : NULL;
    if (operation == NULL) return fail(c, KH_PROOF_PAYLOAD, "it is of no operation on a financing");
    c->ret->bank = c->parts->bank;
    c->ret->operation = operation;
    c->ret->code = kh_load16(r + 6);
    c->ret->financing = kh_load64(r + 48);
    c->ret->height = c->parts->height;
    return true;
}

/* header_of: the header stands for the set whose hash this is, and the commit for the header. */
static bool header_of(checker *c, const kh_comet_header *header, const kh_comet_commit *commit, const uint8_t set_hash[32])
{
    uint8_t hash[32];
    if (memcmp(header->validators_hash, set_hash, 32) != 0)
        return fail(c, KH_PROOF_VALIDATORS, "height %llu: validators that genesis and the changes do not lead to",
                    (unsigned long long)header->height);
    kh_comet_header_hash(header, c->genesis->chain_id, hash);
    return memcmp(hash, commit->block_id.hash, 32) == 0 ||
           fail(c, KH_PROOF_VALIDATORS, "height %llu: the commit is not for this header", (unsigned long long)header->height);
}

static bool validators(checker *c)
{
    const kh_proof_parts *p = c->parts;
    uint8_t hashes[KH_PROOF_CHANGES_MAX + 1][32]; /* of the sets, genesis' first */
    uint64_t above = c->genesis->initial_height - 1;
    kh_comet_set_hash(&c->genesis->validators, hashes[0]);
    for (uint32_t i = 0; i < p->change_cnt; i++) {
        const kh_proof_change *change = &p->changes[i];
        if (change->header.height <= above || change->header.height >= p->header.height)
            return fail(c, KH_PROOF_VALIDATORS, "change %u: its height does not fit", i);
        above = change->header.height;
        if (!header_of(c, &change->header, &change->commit, hashes[i])) return false;
        if (!kh_comet_set_sorted(&change->next)) return fail(c, KH_PROOF_VALIDATORS, "change %u: keys not in order", i);
        kh_comet_set_hash(&change->next, hashes[i + 1]);
        if (memcmp(hashes[i + 1], change->header.next_validators_hash, 32) != 0)
            return fail(c, KH_PROOF_VALIDATORS, "change %u: not the set that its header announces", i);
        for (uint32_t k = 0; k <= i; k++)
            if (memcmp(hashes[i + 1], hashes[k], 32) == 0)
                return fail(c, KH_PROOF_VALIDATORS, "change %u: a set that was there before", i);
    }
    return header_of(c, &p->header, &p->commit, hashes[p->change_cnt]);
}

static bool signed_by(checker *c, const kh_comet_set *set, uint64_t height, const kh_comet_commit *commit)
{
    uint32_t quorum = kh_comet_quorum(set->cnt);
    if (commit->signature_cnt != quorum)
        return fail(c, KH_PROOF_COMMIT, "height %llu: %u signatures, %u are just more than two thirds",
                    (unsigned long long)height, commit->signature_cnt, quorum);
    for (uint32_t i = 0; i < quorum; i++) {
        const kh_comet_signature *s = &commit->signatures[i];
        if (s->index >= set->cnt || (i > 0 && s->index <= commit->signatures[i - 1].index))
            return fail(c, KH_PROOF_COMMIT, "height %llu: indexes of signatures do not ascend within the set",
                        (unsigned long long)height);
    }
    for (uint32_t i = 0; i < quorum; i++) {
        const kh_comet_signature *s = &commit->signatures[i];
        uint8_t key[KH_PUBLIC_SZ] = {0}, message[KH_COMET_SIGN_BYTES_MAX];
        memcpy(key, set->keys[s->index], 32);
        size_t n = kh_comet_sign_bytes(c->genesis->chain_id, height, commit, s, message);
        if (!kh_verify_signature(KH_SUITE_INTL, key, message, n, s->signature))
            return fail(c, KH_PROOF_COMMIT, "height %llu: the signature of validator %u is not good", (unsigned long long)height,
                        s->index);
    }
    return true;
}

static bool commits(checker *c)
{
    const kh_comet_set *current = &c->genesis->validators;
    for (uint32_t i = 0; i < c->parts->change_cnt; i++) {
        const kh_proof_change *change = &c->parts->changes[i];
        if (!signed_by(c, current, change->header.height, &change->commit)) return false;
        current = &change->next;
    }
    return signed_by(c, current, c->parts->header.height, &c->parts->commit);
}

static bool hub_signatures(checker *c)
{
    static const char tag[] = "kanhe/attest"; /* with its NUL */
    uint8_t message[sizeof tag + STATEMENT_SZ + 4];
    memcpy(message, tag, sizeof tag);
    for (uint32_t i = 0; i < c->parts->attestation_cnt; i++) {
        const uint8_t *a = c->parts->attestations[i];
        uint32_t hub = kh_load32(a + 4 + STATEMENT_SZ);
        memcpy(message + sizeof tag, a + 4, STATEMENT_SZ + 4);
        if (!kh_verify_signature(c->genesis->suite, hub_key(c, hub), message, sizeof message, a + 4 + STATEMENT_SZ + 8))
            return fail(c, KH_PROOF_HUB_SIGNATURES, "the signature of hub %u is not good", hub);
    }
    return true;
}

static void steps(checker *c)
{
    static bool (*const all[])(checker *) = {chain,  entry,   app_hash,   hubs,    attestations,
                                             output, payload, validators, commits, hub_signatures};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!all[i](c)) return;
    c->ret->step = KH_PROOF_PROVEN;
}

kh_err kh_proof_check(const char *receipt, size_t receipt_n, const char *genesis, size_t genesis_n, kh_proof_result *ret)
{
    kh_proof_genesis *g = malloc(sizeof *g);
    kh_proof_parts *parts = malloc(sizeof *parts);
    kh_proof_result result = {.step = KH_PROOF_GENESIS};
    checker c = {g, parts, &result};
    kh_err err = g == NULL || parts == NULL ? KH_E_NOMEM : KH_OK;
    if (parts != NULL) parts->changes = NULL;
    if (err == KH_OK && genesis_n > KH_PROOF_GENESIS_MAX_SZ)
        (void)snprintf(result.why, sizeof result.why, "genesis.json is too long");
    else if (err == KH_OK) err = kh_proof_genesis_read(genesis, genesis_n, result.why, sizeof result.why, g);
    if (err == KH_OK && result.why[0] == '\0') {
        size_t at = 0;
        memcpy(result.chain, g->chain, 32);
        err = receipt_n > KH_PROOF_MAX_SZ ? KH_E_FORMAT : kh_proof_read(receipt, receipt_n, parts, &at);
        if (err == KH_E_FORMAT) (void)fail(&c, KH_PROOF_FORM, "not the one form that a receipt has, from byte %zu on", at);
        else if (err == KH_OK) steps(&c);
    }
    if (parts != NULL) free(parts->changes);
    free(parts);
    free(g);
    if (err == KH_E_NOMEM) return err;
    if (result.step != KH_PROOF_PROVEN) { /* what was read on the way is nobody's word */
        result.operation = NULL;
        result.financing = result.height = result.bank = result.code = 0;
    }
    *ret = result;
    return KH_OK;
}
