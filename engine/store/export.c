/* export: the checkpoint of an entry as a stream: the state's leaves, then the journals through it. */
#include <stdlib.h>
#include "store/leaf_tree.h"
#include "store/parts.h"
#include "store/pieces.h"

/* ---- the leaves, twice: for their digest and number, which stand in front, and for their bytes ---- */

typedef struct counting {
    kh_leaf_tree tree;
    uint64_t bytes;
} counting;

static void count_bytes(void *ctx, const void *p, size_t n)
{
    counting *c = ctx;
    kh_leaf_tree_bytes(&c->tree, p, n);
    c->bytes += n;
}

static void count_end(void *ctx)
{
    counting *c = ctx;
    kh_leaf_tree_end(&c->tree);
    c->bytes += 8; /* its size stands before it */
}

typedef struct writing {
    kh_pieces_out *out;
    uint8_t *leaf;
    size_t n, cap;
} writing;

static void write_bytes(void *ctx, const void *p, size_t n)
{
    writing *w = ctx;
    if (w->out->err != KH_OK) return;
    if (w->cap - w->n < n) {
        size_t cap = 2 * (w->n + n);
        uint8_t *more = realloc(w->leaf, cap);
        if (more == NULL) {
            w->out->err = KH_E_NOMEM;
            return;
        }
        w->leaf = more;
        w->cap = cap;
    }
    memcpy(w->leaf + w->n, p, n);
    w->n += n;
}

static void write_end(void *ctx)
{
    writing *w = ctx;
    uint8_t size[8];
    kh_store64(size, w->n);
    kh_pieces_out_bytes(w->out, size, sizeof size);
    kh_pieces_out_bytes(w->out, w->leaf, w->n);
    w->n = 0;
}

/* ---- all of it ---- */

static kh_err head_of(kh_store *s, const kh_ledger *l, void *scratch, kh_checkpoint *ret)
{
    uint8_t *p;
    size_t n;
    kh_block_head head;
    counting *c = malloc(sizeof *c);
    if (c == NULL) return KH_E_NOMEM;
    const kh_leaves leaves = {count_bytes, count_end, c};
    c->bytes = 0;
    kh_leaf_tree_begin(&c->tree);
    kh_ledger_checkpoint(l, scratch, &leaves);
    *ret = (kh_checkpoint){
        .number = kh_ledger_height(l), .time_ns = kh_ledger_time(l), .leaf_cnt = c->tree.cnt, .leaves_sz = c->bytes};
    kh_leaf_tree_root(&c->tree, ret->digest);
    free(c);
    kh_err err = kh_journal_whole(&s->journal, ret->number, &p, &n);
    if (err != KH_OK) return err;
    err = kh_block_head_read(p, n, &head);
    free(p);
    if (err != KH_OK) return err;
    memcpy(ret->log_digest, head.entry_digest, 32);
    memcpy(ret->chain, head.chain, 32);
    return kh_journal_bytes(&s->journal, ret->number, &ret->blocks_sz);
}

static kh_err write_blocks(kh_store *s, const kh_checkpoint *c, kh_pieces_out *out)
{
    kh_err err = out->err;
    for (uint64_t height = 1; height <= c->number && err == KH_OK; height++) {
        uint8_t *p;
        size_t n;
        err = kh_journal_whole(&s->journal, height, &p, &n);
        if (err != KH_OK) break;
        kh_pieces_out_bytes(out, p, n);
        free(p);
        err = out->err;
    }
    return err == KH_OK && out->written != c->leaves_sz + c->blocks_sz ? KH_E_DAMAGED : err;
}

static kh_err write_all(kh_store *s, const kh_ledger *l, const kh_checkpoint_sink *to, kh_checkpoint *ret)
{
    kh_checkpoint c;
    kh_pieces_out out = {0};
    writing w = {.out = &out};
    const kh_leaves leaves = {write_bytes, write_end, &w};
    void *scratch = malloc(kh_ledger_checkpoint_scratch(l));
    if (scratch == NULL) return KH_E_NOMEM;
    kh_err err = kh_journal_flush(&s->journal, kh_ledger_height(l));
    if (err == KH_OK) err = head_of(s, l, scratch, &c);
    if (err == KH_OK) err = kh_pieces_out_begin(&out, to, &c);
    if (err == KH_OK) kh_ledger_checkpoint(l, scratch, &leaves);
    free(scratch);
    free(w.leaf);
    if (err == KH_OK) err = write_blocks(s, &c, &out);
    kh_err end = kh_pieces_out_end(&out);
    if (err == KH_OK) err = end;
    if (err == KH_OK) *ret = c;
    return err;
}

kh_err kh_store_export(kh_store *s, uint64_t number, const kh_checkpoint_sink *to, kh_checkpoint *ret)
{
    uint64_t applied = atomic_load_explicit(&s->applied, memory_order_acquire);
    bool still = s->options.read_only || s->options.inline_engine; /* the state stays where it is meanwhile */
    if (number == 0) number = applied;
    if (number == 0 || number > applied || number < s->home.start.number) return KH_E_NOT_FOUND;
    if (still) return number == applied ? write_all(s, s->machine.ledger, to, ret) : KH_E_NOT_FOUND;
    kh_follower f = {0};
    kh_err err = kh_follow_to(s, &f, number);
    if (err == KH_OK) err = write_all(s, f.machine.ledger, to, ret);
    kh_follow_drop(&f);
    return err;
}
