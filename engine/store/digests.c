/* digests: SHA-256 over the canonical bytes of a ledger: of its content, and of the whole state as a tree. */
#include <stdlib.h>
#include "crypto/digest.h"
#include "crypto/merkle.h"
#include "store/parts.h"

static void hash_bytes(void *ctx, const void *p, size_t n) { kh_sha256_update(ctx, p, n); }

kh_err kh_machine_content_digest(const kh_ledger *ledger, uint8_t ret[32])
{
    kh_sha256_state sha;
    void *scratch = malloc(kh_max64(kh_ledger_content_scratch(ledger), 1));
    if (scratch == NULL) return KH_E_NOMEM;
    kh_sha256_init(&sha);
    kh_ledger_content(ledger, scratch, hash_bytes, &sha);
    kh_sha256_final(&sha, ret);
    free(scratch);
    return KH_OK;
}

kh_err kh_store_content_digest(kh_store *s, uint8_t ret[32])
{
    kh_err err = kh_machine_content_digest(kh_store_read_begin(s), ret);
    kh_store_read_end(s);
    return err;
}

/* The tree of crypto/merkle.h over leaves that come one by one: of what is complete the roots are kept, the largest first; bit i
 * of the count says that one of 2^i leaves is there. */
typedef struct growing {
    kh_sha256_state leaf;
    uint64_t cnt;
    uint32_t root_cnt;
    uint8_t roots[64][32];
} growing;

static void begin_leaf(growing *g)
{
    kh_sha256_init(&g->leaf);
    kh_sha256_update(&g->leaf, "\0", 1);
}

static void leaf_bytes(void *ctx, const void *p, size_t n) { kh_sha256_update(&((growing *)ctx)->leaf, p, n); }

static void end_leaf(void *ctx)
{
    growing *g = ctx;
    kh_sha256_final(&g->leaf, g->roots[g->root_cnt++]);
    for (uint64_t full = g->cnt++; full & 1; full >>= 1, g->root_cnt--)
        kh_merkle_node(g->roots[g->root_cnt - 2], g->roots[g->root_cnt - 1], g->roots[g->root_cnt - 2]);
    begin_leaf(g);
}

static void root_of(growing *g, uint8_t ret[32])
{
    for (; g->root_cnt > 1; g->root_cnt--)
        kh_merkle_node(g->roots[g->root_cnt - 2], g->roots[g->root_cnt - 1], g->roots[g->root_cnt - 2]);
    memcpy(ret, g->roots[0], 32);
}

kh_err kh_machine_checkpoint_digest(const kh_ledger *ledger, uint8_t ret[32])
{
    growing *g = calloc(1, sizeof *g);
    void *scratch = malloc(kh_ledger_checkpoint_scratch(ledger));
    kh_err err = g == NULL || scratch == NULL ? KH_E_NOMEM : KH_OK;
    if (err == KH_OK) {
        const kh_leaves leaves = {leaf_bytes, end_leaf, g};
        begin_leaf(g);
        kh_ledger_checkpoint(ledger, scratch, &leaves);
        root_of(g, ret);
    }
    free(scratch);
    free(g);
    return err;
}

kh_err kh_store_checkpoint_digest(kh_store *s, uint8_t ret[32])
{
    kh_err err = kh_machine_checkpoint_digest(kh_store_read_begin(s), ret);
    kh_store_read_end(s);
    return err;
}
