/* attested: what hubs attested of a height, from the chain itself: the kept blocks say which ones above it have
 * attestations, CometBFT has their bytes. For heights that the node no longer holds: it holds those since its start. */
#include "member/attested.h"
#include "member/comet_rpc.h"
#include "attest/attest.h"
#include "proof/rpc.h"
#include <stdio.h>
#include <stdlib.h>

#define BLOCKS_MAX 4096u /* of those with attestations, asked for one height */

typedef struct looking {
    const kh_kept_block *of; /* the block that is attested */
    const kh_kept_block *in; /* the one that is looked into */
    kh_attestation *found;   /* ascending by hub */
    uint32_t cnt, max;
} looking;

static bool in_hubs(const kh_kept_block *b, uint32_t id)
{
    for (uint32_t at = 84; at + 68 <= b->hubs_n; at += 68)
        if (kh_load32(b->hubs_value + at) == id) return true;
    return false;
}

static bool take(void *ctx, uint32_t index, const uint8_t *tx, size_t n)
{
    looking *l = ctx;
    kh_attestation a;
    if (index >= l->in->tx_cnt) return false;
    if (l->in->types[index] != KH_TX_ATTESTATION || l->in->codes[index] != KH_R_OK || kh_attestation_read(tx, n, &a) != KH_OK ||
        a.height != l->of->height || (a.flags & KH_ATTEST_CHECKPOINT) != 0 || !in_hubs(l->of, a.hub) || l->cnt == l->max)
        return true;
    uint32_t at = l->cnt;
    for (; at > 0 && l->found[at - 1].hub >= a.hub; at--)
        if (l->found[at - 1].hub == a.hub) { /* a second one has an effect only where a loss made the first void */
            l->found[at - 1] = a;
            return true;
        }
    memmove(l->found + at + 1, l->found + at, (l->cnt++ - at) * sizeof *l->found);
    l->found[at] = a;
    return true;
}

/* Is there a quorum of those found? Then the others go. */
static bool agreed(looking *l)
{
    uint32_t quorum = l->of->hubs_n >= 8 ? kh_load16(l->of->hubs_value + 6) : UINT32_MAX;
    for (uint32_t i = 0; i < l->cnt; i++) {
        uint32_t cnt = 0;
        for (uint32_t j = 0; j < l->cnt; j++) cnt += kh_attestation_agree(&l->found[i], &l->found[j]);
        if (cnt < quorum) continue;
        kh_attestation chosen = l->found[i];
        for (uint32_t j = cnt = 0; j < l->cnt; j++)
            if (kh_attestation_agree(&chosen, &l->found[j])) l->found[cnt++] = l->found[j];
        l->cnt = cnt;
        return true;
    }
    return false;
}

static bool has_attestations(const kh_kept_block *b)
{
    for (uint32_t i = 0; i < b->tx_cnt; i++)
        if (b->types[i] == KH_TX_ATTESTATION && b->codes[i] == KH_R_OK) return true;
    return false;
}

static kh_err look_into(looking *l, const char *rpc)
{
    char path[48], *json = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "/block?height=%llu", (unsigned long long)l->in->height);
    kh_err err = kh_comet_get(rpc, path, &json, &n);
    if (err == KH_OK) err = kh_proof_rpc_block(json, n, take, l);
    free(json);
    return err;
}

kh_err kh_cluster_attestations(kh_kept *kept, const char *rpc, const kh_kept_block *of, kh_attestation *ret, uint32_t max,
                               uint32_t *ret_cnt)
{
    looking l = {.of = of, .found = ret, .max = max};
    uint64_t height = of->height;
    for (uint32_t blocks = 0; blocks < BLOCKS_MAX;) {
        kh_kept_block *block = NULL;
        kh_err err = kh_kept_after(kept, height, &block);
        if (err != KH_OK) return err;
        height = block->height;
        l.in = block;
        bool has = has_attestations(block);
        if (has) err = look_into(&l, rpc);
        kh_kept_block_free(block);
        if (err != KH_OK) return err;
        blocks += has;
        if (has && agreed(&l)) {
            *ret_cnt = l.cnt;
            return KH_OK;
        }
    }
    return KH_E_NOT_FOUND;
}
