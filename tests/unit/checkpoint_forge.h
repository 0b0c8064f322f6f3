/* checkpoint_forge: a checkpoint in memory, and what a forger does to it: any bytes, with every digest and checksum that he can
 * make himself made right again. */
#ifndef CHECKPOINT_FORGE_H
#define CHECKPOINT_FORGE_H
#include <stdlib.h>
#include "store/leaf_tree.h"
#include "store/parts.h"
#include "store/pieces.h"

typedef struct forge_bytes {
    uint8_t *p;
    size_t n, cap, at;
} forge_bytes;

static inline kh_err forge_write(void *ctx, const void *p, size_t n)
{
    forge_bytes *b = ctx;
    if (b->p == NULL || b->cap - b->n < n) b->p = realloc(b->p, b->cap = 2 * (b->n + n) + 64);
    KH_ASSERT(b->p != NULL);
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return KH_OK;
}

static inline kh_err forge_read(void *ctx, void *p, size_t n, size_t *ret_n)
{
    forge_bytes *b = ctx;
    *ret_n = kh_min64(kh_min64(n, b->n - b->at), 4097); /* in parts, as a pipe gives it */
    if (*ret_n != 0) memcpy(p, b->p + b->at, *ret_n);
    b->at += *ret_n;
    return KH_OK;
}

/* forge_open takes a sound checkpoint apart: its head and the bytes of its body. */
static inline void forge_open(forge_bytes *stream, kh_checkpoint *ret, forge_bytes *body)
{
    kh_pieces_in in;
    const kh_checkpoint_source from = {forge_read, stream};
    stream->at = 0;
    KH_ASSERT(kh_pieces_in_begin(&in, &from, ret) == KH_OK);
    body->n = body->at = 0;
    uint8_t byte[1024];
    for (uint64_t left = ret->leaves_sz + ret->blocks_sz, n; left > 0; left -= n) {
        n = kh_min64(left, sizeof byte);
        KH_ASSERT(kh_pieces_in_bytes(&in, byte, n) == KH_OK && forge_write(body, byte, n) == KH_OK);
    }
    KH_ASSERT(kh_pieces_in_end(&in) == KH_OK);
    kh_pieces_in_free(&in);
}

/* forge_close makes the stream of a head and a body, whatever they are. */
static inline void forge_close(const kh_checkpoint *head, const forge_bytes *body, forge_bytes *stream)
{
    kh_pieces_out out;
    const kh_checkpoint_sink to = {forge_write, stream};
    stream->n = stream->at = 0;
    KH_ASSERT(kh_pieces_out_begin(&out, &to, head) == KH_OK);
    kh_pieces_out_bytes(&out, body->p, body->n);
    KH_ASSERT(kh_pieces_out_end(&out) == KH_OK);
}

/* forge_state makes the head's digest and count those of the leaves as they are. */
static inline void forge_state(kh_checkpoint *head, const forge_bytes *body)
{
    kh_leaf_tree *t = malloc(sizeof *t);
    KH_ASSERT(t != NULL);
    kh_leaf_tree_begin(t);
    for (uint64_t at = 0; at + 8 <= head->leaves_sz;) {
        uint64_t n = kh_load64(body->p + at);
        at += 8;
        if (n > head->leaves_sz - at) n = head->leaves_sz - at;
        kh_leaf_tree_bytes(t, body->p + at, n);
        kh_leaf_tree_end(t);
        at += n;
    }
    head->leaf_cnt = t->cnt;
    if (t->cnt != 0) kh_leaf_tree_root(t, head->digest);
    free(t);
}

/* forge_block makes the checksums of a block right, and its chain the one after `chain`; returns its size, or 0: it is none. */
static inline size_t forge_block(uint8_t *p, size_t n, uint8_t chain[32])
{
    kh_block_head h;
    kh_block b = {.bytes = p};
    if (kh_block_head_read(p, n, &h) != KH_OK || h.size > n || h.item_cnt > n / KH_ITEM_HEAD_SZ) return 0;
    b.size = h.size;
    b.offsets = malloc((h.item_cnt + 1) * sizeof *b.offsets);
    KH_ASSERT(b.offsets != NULL);
    for (size_t at = KH_BLOCK_HEAD_SZ; b.item_cnt < h.item_cnt && at + KH_ITEM_HEAD_SZ <= h.offsets_at; b.item_cnt++) {
        uint32_t size = kh_load32(p + at);
        if (size < KH_ITEM_HEAD_SZ || size % 8 != 0 || size > h.offsets_at - at ||
            kh_load32(p + at + 12) > size - KH_ITEM_HEAD_SZ)
            break;
        kh_store32(p + at + 4, (uint32_t)kh_xxh3(p + at + 8, size - 8));
        b.offsets[b.item_cnt] = (uint32_t)(at / 8);
        at += size;
    }
    kh_block_seal(&b, chain);
    free(b.offsets);
    return h.size;
}

/* forge_journals makes the blocks' checksums and chain right, and the head's entry that of the last of them. */
static inline void forge_journals(kh_checkpoint *head, forge_bytes *body)
{
    kh_block_head h;
    memset(head->chain, 0, 32);
    for (size_t at = head->leaves_sz, n; at < body->n; at += n) {
        if ((n = forge_block(body->p + at, body->n - at, head->chain)) == 0) break;
        if (kh_block_head_read(body->p + at, n, &h) != KH_OK) break;
        memcpy(head->log_digest, h.entry_digest, 32);
    }
}
#endif
