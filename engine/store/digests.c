/* digests: SHA-256 over the canonical bytes of a ledger: of its content, and of the whole state as a tree. */
#include <stdlib.h>
#include "crypto/digest.h"
#include "store/leaf_tree.h"
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

kh_err kh_machine_checkpoint_digest(const kh_ledger *ledger, uint8_t ret[32])
{
    kh_leaf_tree *t = calloc(1, sizeof *t);
    void *scratch = malloc(kh_ledger_checkpoint_scratch(ledger));
    kh_err err = t == NULL || scratch == NULL ? KH_E_NOMEM : KH_OK;
    if (err == KH_OK) {
        const kh_leaves leaves = {kh_leaf_tree_bytes, kh_leaf_tree_end, t};
        kh_leaf_tree_begin(t);
        kh_ledger_checkpoint(ledger, scratch, &leaves);
        kh_leaf_tree_root(t, ret);
    }
    free(scratch);
    free(t);
    return err;
}

kh_err kh_store_checkpoint_digest(kh_store *s, uint8_t ret[32])
{
    kh_err err = kh_machine_checkpoint_digest(kh_store_read_begin(s), ret);
    kh_store_read_end(s);
    return err;
}
