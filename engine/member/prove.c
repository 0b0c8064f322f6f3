/* prove: part by part, in the order of the receipt's text; checked before it is given. */
#include "member/prove.h"
#include "attest/attest.h"
#include "crypto/digest.h"
#include "proof/form.h"
#include "proof/genesis.h"
#include "proof/proof.h"
#include "proof/rpc.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct maker {
    const kh_prove_options *o;
    kh_proof_genesis *genesis;
    kh_proof_parts *parts;
    kh_package package;
    char *why;
    size_t cap;
    uint32_t entry; /* place of the certificate in the block */
    bool entry_found;
} maker;

static kh_err fail(const maker *m, kh_err err, const char *why)
{
    (void)snprintf(m->why, m->cap, "%s", why);
    return err;
}

/* sided turns a path by place into one by sides: on the way down from the root, at each fork the right part is gone into where
 * the place is not in the left. */
static kh_err sided(const maker *m, uint32_t index, uint32_t cnt, const uint8_t (*path)[32], uint32_t n, kh_proof_path *ret)
{
    bool left[KH_PROOF_PATH_MAX];
    uint32_t depth = 0;
    while (cnt > 1 && depth < KH_PROOF_PATH_MAX) {
        uint32_t half = 1;
        while (2 * half < cnt) half *= 2;
        left[depth] = index >= half;
        cnt = left[depth] ? cnt - half : half;
        if (left[depth++]) index -= half;
    }
    if (cnt != 1 || index != 0 || depth != n) return fail(m, KH_E_FORMAT, "a path does not fit its tree");
    for (uint32_t i = 0; i < n; i++) {
        ret->left[i] = left[n - 1 - i];
        memcpy(ret->node[i], path[i], 32);
    }
    ret->n = n;
    return KH_OK;
}

static kh_err bytes(const maker *m, const uint8_t *p, size_t n, kh_proof_bytes *ret)
{
    if (n > sizeof ret->p) return fail(m, KH_E_FORMAT, "more bytes than a receipt takes");
    memcpy(ret->p, p, n);
    ret->n = (uint32_t)n;
    return KH_OK;
}

/* ---- the entry ---- */
static bool is_entry(void *ctx, uint32_t index, const uint8_t *tx, size_t n)
{
    enum { DIGEST_AT = 4 + 64 };
    maker *m = ctx;
    const kh_kept_block *b = m->o->block;
    uint8_t digest[32];
    if (index >= b->tx_cnt || b->types[index] != KH_TX_CERTIFICATE || b->codes[index] != KH_R_OK || n < DIGEST_AT + 32 ||
        memcmp(tx + DIGEST_AT, m->package.items[m->o->item].batch, 32) != 0)
        return true;
    kh_sha256(tx, n, digest);
    if (memcmp(digest, b->digests[index], 32) != 0 || bytes(m, tx, n, &m->parts->transaction) != KH_OK) return true;
    m->entry = index;
    m->entry_found = true;
    return false;
}

static kh_err entry(maker *m)
{
    const kh_kept_block *b = m->o->block;
    uint8_t path[KH_MERKLE_PATH_MAX][32], (*leaves)[32];
    kh_err err = kh_proof_rpc_block(m->o->block_json, m->o->block_n, is_entry, m);
    if (err != KH_OK) return fail(m, err, "CometBFT's answer about the block is none");
    if (!m->entry_found) return fail(m, KH_E_NOT_FOUND, "the batch's certificate is not in the block");
    leaves = malloc((size_t)b->tx_cnt * sizeof *leaves);
    if (leaves == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < b->tx_cnt; i++) {
        uint8_t leaf[36] = {b->types[i]};
        kh_store16(leaf + 2, b->codes[i]);
        memcpy(leaf + 4, b->digests[i], 32);
        kh_merkle_leaf(leaf, sizeof leaf, leaves[i]);
    }
    uint32_t n = kh_merkle_path(leaves, b->tx_cnt, m->entry, path);
    free(leaves);
    memcpy(m->parts->previous, b->previous, 32);
    memcpy(m->parts->public_root, b->public_root, 32);
    return sided(m, m->entry, b->tx_cnt, path, n, &m->parts->entry_path);
}

/* ---- hubs and what they say ---- */
static bool in_hubs(const kh_kept_block *b, uint32_t id)
{
    for (uint32_t at = 84; at + 68 <= b->hubs_n; at += 68)
        if (kh_load32(b->hubs_value + at) == id) return true;
    return false;
}

static void put_attestation(const kh_attestation *a, uint8_t ret[KH_PROOF_ATTESTATION_SZ])
{
    uint8_t *s = ret + 4;
    memset(ret, 0, KH_PROOF_ATTESTATION_SZ);
    ret[0] = KH_TX_ATTESTATION;
    ret[1] = 1;
    memcpy(s, a->chain, 32);
    kh_store64(s + 32, a->height);
    kh_store32(s + 40, a->epoch);
    kh_store32(s + 44, a->flags);
    memcpy(s + 48, a->app_hash, 32);
    memcpy(s + 80, a->posted, 32);
    memcpy(s + 112, a->outputs_root, 32);
    kh_store32(s + KH_ATTEST_STATEMENT_SZ, a->hub);
    memcpy(s + KH_ATTEST_STATEMENT_SZ + 8, a->signature, KH_SIGNATURE_SZ);
}
_Static_assert(KH_PROOF_ATTESTATION_SZ == KH_ATTESTATION_SZ, "an attestation in a receipt is the transaction");

static kh_err hubs(maker *m)
{
    const kh_kept_block *b = m->o->block;
    kh_err err = bytes(m, b->hubs_value, b->hubs_n, &m->parts->hubs);
    if (err == KH_OK) err = sided(m, b->hubs_index, b->hubs_cnt, b->hubs_path, b->hubs_path_n, &m->parts->hubs_path);
    if (err != KH_OK) return err;
    uint32_t quorum = b->hubs_n >= 8 ? kh_load16(b->hubs_value + 6) : UINT32_MAX;
    const kh_attestation *first = NULL;
    m->parts->attestation_cnt = 0;
    for (uint32_t i = 0; i < m->o->attestation_cnt && m->parts->attestation_cnt < quorum; i++) {
        const kh_attestation *a = &m->o->attestations[i];
        if (!in_hubs(b, a->hub) || memcmp(a->outputs_root, m->package.root, 32) != 0 ||
            (first != NULL && !kh_attestation_agree(first, a)) || m->parts->attestation_cnt == KH_PROOF_ATTESTATIONS_MAX)
            continue;
        if (first == NULL) first = a;
        put_attestation(a, m->parts->attestations[m->parts->attestation_cnt++]);
    }
    return m->parts->attestation_cnt == quorum ? KH_OK : fail(m, KH_E_NOT_FOUND, "no quorum of the hubs attested it");
}

/* ---- the bank's output ---- */
static kh_err output(maker *m)
{
    const kh_package *package = &m->package;
    const kh_package_item *item = &package->items[m->o->item];
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    uint32_t n = 0, leaves = kh_attest_padded(package->item_cnt);
    kh_err err = kh_package_path(m->o->package, m->o->package_n, m->genesis->chain, m->o->item, path, &n);
    if (err != KH_OK) return fail(m, err, "the package has no path to this output");
    m->parts->bank = package->party;
    m->parts->op_index = item->op_index;
    memcpy(m->parts->op_digest, item->op_digest, 32);
    memcpy(m->parts->salt, item->salt, KH_SALT_SZ);
    err = sided(m, item->leaf, leaves, path, n, &m->parts->output_path);
    if (err == KH_OK)
        err = sided(m, package->top_index, package->top_cnt, package->top_path, package->top_path_n, &m->parts->bank_path);
    return err == KH_OK ? bytes(m, item->payload, item->payload_sz, &m->parts->payload) : err;
}

/* ---- validators ---- */
/* place_of: which set it is, genesis' 0, the i-th change's i + 1; UINT32_MAX: none of them. */
static uint32_t place_of(const maker *m, const kh_comet_set *set)
{
    uint8_t hash[32], other[32];
    kh_comet_set_hash(set, hash);
    for (uint32_t i = 0; i <= m->parts->change_cnt; i++) {
        kh_comet_set_hash(i == 0 ? &m->genesis->validators : &m->parts->changes[i - 1].next, other);
        if (memcmp(hash, other, 32) == 0) return i;
    }
    return UINT32_MAX;
}

static kh_err commit_of(const maker *m, const char *json, size_t n, kh_comet_header *ret_header, kh_comet_commit *ret_commit)
{
    uint32_t cnt = m->parts->change_cnt;
    const kh_comet_set *current = cnt == 0 ? &m->genesis->validators : &m->parts->changes[cnt - 1].next;
    kh_err err = kh_proof_rpc_commit(json, n, m->genesis->chain_id, current, ret_header, ret_commit);
    if (err == KH_E_NOT_FOUND) return fail(m, err, "a commit without good signatures of more than two thirds");
    return err == KH_OK ? err : fail(m, err, "CometBFT's answer about a commit is none");
}

/* Where a set comes back, what led away from it and back is left out. */
static kh_err validators(maker *m)
{
    kh_proof_change *made = calloc(KH_PROOF_CHANGES_MAX, sizeof *made);
    kh_err err = made == NULL ? KH_E_NOMEM : KH_OK;
    m->parts->changes = made;
    for (uint32_t i = 0; err == KH_OK && i < m->o->change_cnt; i++) {
        const kh_prove_change *given = &m->o->changes[i];
        uint32_t place = place_of(m, given->next);
        if (place != UINT32_MAX) {
            m->parts->change_cnt = place;
            continue;
        }
        if (m->parts->change_cnt == KH_PROOF_CHANGES_MAX)
            return fail(m, KH_E_FORMAT, "too many changes of validators since genesis");
        kh_proof_change *change = &made[m->parts->change_cnt];
        err = commit_of(m, given->commit, given->commit_n, &change->header, &change->commit);
        change->next = *given->next;
        if (err == KH_OK) m->parts->change_cnt++;
    }
    return err == KH_OK ? commit_of(m, m->o->commit, m->o->commit_n, &m->parts->header, &m->parts->commit) : err;
}

static kh_err begin(maker *m)
{
    char why[120];
    kh_err err = kh_proof_genesis_read(m->o->genesis, m->o->genesis_n, why, sizeof why, m->genesis);
    if (err != KH_OK) return fail(m, err, "the genesis file gives no chain");
    err = kh_package_read(m->o->package, m->o->package_n, m->genesis->chain, &m->package);
    if (err != KH_OK) return fail(m, err, "the package is damaged");
    m->parts->height = m->package.height;
    (void)snprintf(m->parts->chain_id, sizeof m->parts->chain_id, "%s", m->genesis->chain_id);
    if (m->package.height != m->o->block->height) return fail(m, KH_E_FORMAT, "the kept block is of another height");
    if (m->o->item >= m->package.item_cnt || m->package.items[m->o->item].kind != KH_OUTPUT_RECEIPT)
        return fail(m, KH_E_FORMAT, "the output is no receipt");
    return KH_OK;
}

static kh_err finish(maker *m, char **ret, size_t *ret_n)
{
    kh_proof_result result;
    char *text = NULL;
    size_t n = 0;
    kh_err err = kh_proof_write(m->parts, &text, &n);
    if (err == KH_OK) err = kh_proof_check(text, n, m->o->genesis, m->o->genesis_n, &result);
    if (err == KH_OK && result.step != KH_PROOF_PROVEN) err = fail(m, KH_E_FORMAT, result.why);
    if (err != KH_OK) {
        free(text);
        return err;
    }
    *ret = text;
    *ret_n = n;
    return KH_OK;
}

kh_err kh_prove_make(const kh_prove_options *options, char *why, size_t cap, char **ret, size_t *ret_n)
{
    maker m = {.o = options, .why = why, .cap = cap, .genesis = malloc(sizeof *m.genesis), .parts = calloc(1, sizeof *m.parts)};
    kh_err err = m.genesis == NULL || m.parts == NULL ? KH_E_NOMEM : KH_OK;
    static kh_err (*const steps[])(maker *) = {begin, entry, hubs, output, validators};
    for (size_t i = 0; err == KH_OK && i < sizeof steps / sizeof steps[0]; i++) err = steps[i](&m);
    if (err == KH_OK) err = finish(&m, ret, ret_n);
    if (m.parts != NULL) free(m.parts->changes);
    kh_package_free(&m.package);
    free(m.parts);
    free(m.genesis);
    return err;
}
