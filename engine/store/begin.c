/* begin: a data directory made from a checkpoint. The state is built from its leaves under this directory's own secret and
 * written as the first image; the journals are vetted and written as they come; the log begins behind the entry. DIR/format comes
 * last, so that what power or a refusal cuts short is no directory. */
#include <stdio.h>
#include <stdlib.h>
#include "store/leaf_tree.h"
#include "store/parts.h"
#include "store/pieces.h"
#include "store/vet.h"

#define MEMORY_STEP_SZ (UINT64_C(16) << 20) /* of leaves, between looks at whether the machine has memory for the next */
#define BLOCK_STEP_SZ (UINT64_C(1) << 20)   /* a block's memory grows as its bytes come: its size is only a claim */

typedef struct beginning {
    kh_home home;
    kh_checkpoint head;
    kh_pieces_in in;
    kh_store_report *report;
    kh_machine m;
    /* the leaves */
    kh_leaf_tree tree;
    uint64_t leaf_cnt, leaf_left, leaves_left, looked_at;
    void *lent;
    /* the blocks */
    kh_vet vet;
    kh_file *blocks, *table;
    uint8_t *block;
    uint64_t block_cap;
} beginning;

/* Where in the stream it is. */
static kh_err refuse(beginning *b, const char *why)
{
    char where[48];
    (void)snprintf(where, sizeof where, "byte %llu", (unsigned long long)(b->in.piece_byte + KH_PIECE_HEAD_SZ + b->in.at));
    kh_say(b->report, where, "%s", why);
    return KH_E_DAMAGED;
}

static kh_err taken(beginning *b, kh_err err)
{
    char where[48];
    if (b->in.why == NULL) return err;
    (void)snprintf(where, sizeof where, "byte %llu", (unsigned long long)b->in.piece_byte);
    kh_say(b->report, where, "%s", b->in.why);
    return err;
}

/* ---- the leaves ---- */

static kh_err leaf_bytes(beginning *b, void *p, size_t n)
{
    kh_err err = kh_pieces_in_bytes(&b->in, p, n);
    if (err != KH_OK) return taken(b, err);
    kh_leaf_tree_bytes(&b->tree, p, n);
    b->leaf_left -= n;
    b->leaves_left -= n;
    return KH_OK;
}

static kh_err leaf_end(beginning *b)
{
    uint8_t rest[4096];
    kh_err err = KH_OK;
    while (b->leaf_left > 0 && err == KH_OK) err = leaf_bytes(b, rest, kh_min64(sizeof rest, b->leaf_left));
    if (err == KH_OK && b->leaf_cnt != 0) kh_leaf_tree_end(&b->tree);
    return err;
}

static kh_err leaf_next(void *ctx, uint64_t *ret_sz)
{
    beginning *b = ctx;
    uint8_t size[8];
    kh_err err = leaf_end(b);
    if (err != KH_OK) return err;
    if (b->leaf_cnt == b->head.leaf_cnt)
        return b->leaves_left == 0 ? KH_E_NOT_FOUND : refuse(b, "there are more leaves than the head says");
    if (b->leaves_left < sizeof size) return refuse(b, "there are fewer leaves than the head says");
    if (b->looked_at - b->leaves_left >= MEMORY_STEP_SZ) { /* a leaf's rows are about as many bytes as it has itself */
        b->looked_at = b->leaves_left;
        err = kh_machine_fits(8 * MEMORY_STEP_SZ);
        if (err != KH_OK) return err;
    }
    err = kh_pieces_in_bytes(&b->in, size, sizeof size);
    if (err != KH_OK) return taken(b, err);
    b->leaves_left -= sizeof size;
    if (kh_load64(size) > b->leaves_left) return refuse(b, "a leaf is longer than the leaves");
    *ret_sz = b->leaf_left = kh_load64(size);
    b->leaf_cnt++;
    return KH_OK;
}

static kh_err leaf_read(void *ctx, void *p, size_t n) { return leaf_bytes(ctx, p, n); }
static void *leaf_lend(void *ctx, size_t n) { return ((beginning *)ctx)->lent = malloc(n); }

static kh_err build_state(beginning *b)
{
    uint8_t root[32];
    kh_leaf_fault fault = {0};
    const kh_leaf_source from = {leaf_next, leaf_read, leaf_lend, b};
    kh_err err = kh_machine_reserve(&b->m);
    if (err == KH_OK) err = kh_machine_start(&b->m, b->home.secret);
    if (err != KH_OK) return err;
    kh_index_reclaim_none(b->m.index); /* nobody else reads this state */
    kh_leaf_tree_begin(&b->tree);
    b->leaves_left = b->looked_at = b->head.leaves_sz;
    err = kh_ledger_rebuild(b->m.ledger, &from, &fault);
    free(b->lent);
    if (err == KH_E_DAMAGED && fault.why != NULL && b->in.why == NULL) {
        char why[160];
        (void)snprintf(why, sizeof why, "leaf %llu, byte %llu: %s", (unsigned long long)fault.leaf, (unsigned long long)fault.at,
                       fault.why);
        return refuse(b, why);
    }
    if (err == KH_E_FULL) kh_say(b->report, NULL, "the state is beyond the bounds of this build: %s", fault.why);
    if (err == KH_E_NOMEM) kh_say(b->report, NULL, "this machine has not enough memory for the state");
    if (err != KH_OK) return err;
    /* Of what a leaf says twice one is left out when the state is made: so the bytes themselves are held against the digest too.
     */
    kh_leaf_tree_root(&b->tree, root);
    if (memcmp(root, b->head.digest, 32) != 0) return refuse(b, "the leaves have not the checkpoint digest");
    err = kh_machine_checkpoint_digest(b->m.ledger, root);
    if (err == KH_OK && memcmp(root, b->head.digest, 32) != 0)
        return refuse(b, "the state made of the leaves has not the checkpoint digest");
    if (err == KH_OK && (kh_ledger_height(b->m.ledger) != b->head.number || kh_ledger_time(b->m.ledger) != b->head.time_ns))
        return refuse(b, "the state is not of the head's entry");
    const char *broken = err == KH_OK ? kh_ledger_verify_invariants(b->m.ledger) : NULL;
    return broken != NULL ? refuse(b, broken) : err;
}

/* ---- the journals ---- */

static kh_err block_room(beginning *b, uint64_t n)
{
    if (n <= b->block_cap) return KH_OK;
    uint64_t cap = kh_max64(n, 2 * b->block_cap);
    uint8_t *more = realloc(b->block, cap);
    if (more == NULL) return KH_E_NOMEM;
    b->block = more;
    b->block_cap = cap;
    return KH_OK;
}

/* The next block, whole, into b->block. */
static kh_err take_block(beginning *b, uint64_t left, uint64_t *ret_n)
{
    kh_block_head head;
    if (left < KH_BLOCK_HEAD_SZ) return refuse(b, "the journals end within a block");
    kh_err err = block_room(b, KH_BLOCK_HEAD_SZ);
    if (err == KH_OK) err = kh_pieces_in_bytes(&b->in, b->block, KH_BLOCK_HEAD_SZ);
    if (err != KH_OK) return taken(b, err);
    if (kh_block_head_read(b->block, KH_BLOCK_HEAD_SZ, &head) != KH_OK) return refuse(b, "no head of a block");
    if (head.size > left) return refuse(b, "a block is longer than the journals");
    for (uint64_t at = KH_BLOCK_HEAD_SZ, n; at < head.size; at += n) {
        n = kh_min64(head.size - at, BLOCK_STEP_SZ);
        err = block_room(b, at + n);
        if (err == KH_OK) err = kh_pieces_in_bytes(&b->in, b->block + at, n);
        if (err != KH_OK) return taken(b, err);
    }
    *ret_n = head.size;
    return KH_OK;
}

static kh_err write_block(beginning *b, uint64_t height, uint64_t at, uint64_t n)
{
    const kh_disk *d = b->home.disk;
    uint8_t row[KH_TABLE_ROW_SZ];
    kh_store64(row, at);
    kh_store64(row + 8, n);
    kh_err err = d->write(d->self, b->blocks, at, b->block, n);
    return err == KH_OK ? d->write(d->self, b->table, (height - 1) * KH_TABLE_ROW_SZ, row, sizeof row) : err;
}

static kh_err carry_journals(beginning *b)
{
    const kh_disk *d = b->home.disk;
    char path[KH_PATH_MAX];
    const int flags = KH_OPEN_WRITE | KH_OPEN_CREATE | KH_OPEN_EXCLUSIVE;
    uint64_t at = 0, n = 0;
    kh_err err = d->open(d->self, kh_home_path(&b->home, "journal/blocks", path), flags, &b->blocks);
    if (err == KH_OK) err = d->open(d->self, kh_home_path(&b->home, "journal/table", path), flags, &b->table);
    if (err == KH_OK) err = kh_vet_begin(&b->vet, b->home.secret);
    while (err == KH_OK && at < b->head.blocks_sz) {
        err = take_block(b, b->head.blocks_sz - at, &n);
        if (err == KH_OK) err = kh_vet_block(&b->vet, b->block, n);
        if (err == KH_OK) err = write_block(b, b->vet.height, at, n);
        at += n;
    }
    if (err == KH_OK) err = taken(b, kh_pieces_in_end(&b->in));
    if (err == KH_OK) err = kh_vet_end(&b->vet, &b->home.start, b->m.ledger);
    if (b->vet.why != NULL) return refuse(b, b->vet.why);
    if (err == KH_OK) err = d->sync(d->self, b->blocks);
    if (err == KH_OK) err = d->sync(d->self, b->table);
    return err == KH_OK ? d->sync_dir(d->self, kh_home_path(&b->home, "journal", path)) : err;
}

/* ---- the rest ---- */

static kh_err make_all(beginning *b)
{
    const kh_start *start = &b->home.start;
    char path[KH_PATH_MAX];
    kh_image_stand stand = {.height = start->number, .time_ns = start->time_ns};
    memcpy(stand.log_digest, start->log_digest, 32);
    memcpy(stand.chain, start->chain, 32);
    kh_err err = build_state(b);
    if (err == KH_OK) err = carry_journals(b);
    if (err == KH_OK) err = kh_image_write(&b->home, &b->m, &stand, 0);
    if (err == KH_OK) err = kh_image_publish(&b->home, stand.height, &(kh_image_keep){0});
    if (err == KH_OK)
        err = kh_log_create_behind(b->home.disk, kh_home_path(&b->home, "log", path), start->number, start->time_ns,
                                   start->log_digest);
    return err == KH_OK ? kh_home_seal(&b->home, b->report) : err;
}

static kh_err head_trusted(beginning *b, const uint8_t *chain, const uint8_t *digest)
{
    const char *why = NULL;
    if (chain != NULL && memcmp(chain, b->head.chain, 32) != 0) why = "byte 64: the outcome chain is not the one asked for";
    if (digest != NULL && memcmp(digest, b->head.digest, 32) != 0)
        why = "byte 96: the checkpoint digest is not the one asked for";
    if (why == NULL) return KH_OK;
    kh_say(b->report, "byte 0", "%s", why);
    return KH_E_DAMAGED;
}

kh_err kh_store_begin(const kh_store_options *options, const char *dir, const uint8_t *secret, const kh_checkpoint_source *from,
                      const uint8_t *chain, const uint8_t *digest, kh_checkpoint *ret, kh_store_report *report)
{
    kh_store_report own;
    beginning *b = calloc(1, sizeof *b);
    if (b == NULL) return KH_E_NOMEM;
    b->report = report != NULL ? report : &own;
    memset(b->report, 0, sizeof *b->report);
    bool made = false;
    kh_err err = taken(b, kh_pieces_in_begin(&b->in, from, &b->head));
    if (err == KH_OK) err = head_trusted(b, chain, digest);
    if (err == KH_OK) err = kh_home_make(options, dir, secret, b->report, &b->home);
    made = err == KH_OK;
    b->home.start = (kh_start){.number = b->head.number, .time_ns = b->head.time_ns};
    memcpy(b->home.start.log_digest, b->head.log_digest, 32);
    memcpy(b->home.start.chain, b->head.chain, 32);
    memcpy(b->home.start.checkpoint, b->head.digest, 32);
    if (err == KH_OK) err = make_all(b);
    if (b->blocks != NULL) options->disk->close(options->disk->self, b->blocks);
    if (b->table != NULL) options->disk->close(options->disk->self, b->table);
    if (err != KH_OK) kh_say(b->report, dir, "%s", kh_err_text(err));
    if (err != KH_OK && made) kh_home_clear(&b->home);
    if (err == KH_OK) *ret = b->head;
    kh_vet_free(&b->vet);
    kh_machine_release(&b->m);
    kh_pieces_in_free(&b->in);
    free(b->block);
    free(b);
    return err;
}
