/* pieces: a checkpoint's head and the pieces of its body, to bytes and back. */
#include "store/pieces.h"
#include <stdlib.h>

#define VERSION 1u
enum {
    AT_VERSION = 8,
    AT_PIECE = 12,
    AT_NUMBER = 16,
    AT_TIME = 24,
    AT_LOG = 32,
    AT_CHAIN = 64,
    AT_CHECKPOINT = 96,
    AT_LEAVES = 128,
    AT_LEAVES_SZ = 136,
    AT_BLOCKS_SZ = 144,
    AT_DIGEST = KH_CHECKPOINT_HEAD_SZ - 32
};
enum { PIECE_AT_NUMBER = 8, PIECE_AT_SIZE = 16, PIECE_AT_DIGEST = 32 };
static const char magic[8] = {'K', 'H', 'C', 'H', 'K', 'P', 'T', '1'};
static const char piece_magic[8] = {'K', 'H', 'P', 'I', 'E', 'C', 'E', '1'};

void kh_checkpoint_head_encode(const kh_checkpoint *c, uint8_t ret[KH_CHECKPOINT_HEAD_SZ])
{
    memset(ret, 0, KH_CHECKPOINT_HEAD_SZ);
    memcpy(ret, magic, sizeof magic);
    kh_store32(ret + AT_VERSION, VERSION);
    kh_store32(ret + AT_PIECE, KH_PIECE_SZ);
    kh_store64(ret + AT_NUMBER, c->number);
    kh_store64(ret + AT_TIME, c->time_ns);
    memcpy(ret + AT_LOG, c->log_digest, 32);
    memcpy(ret + AT_CHAIN, c->chain, 32);
    memcpy(ret + AT_CHECKPOINT, c->digest, 32);
    kh_store64(ret + AT_LEAVES, c->leaf_cnt);
    kh_store64(ret + AT_LEAVES_SZ, c->leaves_sz);
    kh_store64(ret + AT_BLOCKS_SZ, c->blocks_sz);
    kh_sha256(ret, AT_DIGEST, ret + AT_DIGEST);
}

kh_err kh_checkpoint_head_decode(const uint8_t p[KH_CHECKPOINT_HEAD_SZ], kh_checkpoint *ret)
{
    uint8_t again[KH_CHECKPOINT_HEAD_SZ], digest[32];
    uint64_t sum;
    kh_checkpoint c = {.number = kh_load64(p + AT_NUMBER),
                       .time_ns = kh_load64(p + AT_TIME),
                       .leaf_cnt = kh_load64(p + AT_LEAVES),
                       .leaves_sz = kh_load64(p + AT_LEAVES_SZ),
                       .blocks_sz = kh_load64(p + AT_BLOCKS_SZ)};
    kh_sha256(p, AT_DIGEST, digest);
    if (memcmp(p, magic, sizeof magic) != 0 || memcmp(digest, p + AT_DIGEST, 32) != 0) return KH_E_DAMAGED;
    if (kh_load32(p + AT_VERSION) != VERSION) return KH_E_VERSION;
    memcpy(c.log_digest, p + AT_LOG, 32);
    memcpy(c.chain, p + AT_CHAIN, 32);
    memcpy(c.digest, p + AT_CHECKPOINT, 32);
    kh_checkpoint_head_encode(&c, again);
    bool sound = memcmp(again, p, KH_CHECKPOINT_HEAD_SZ) == 0 && c.number != 0 && c.leaf_cnt != 0 &&
                 c.leaf_cnt <= c.leaves_sz / 8 && kh_add64(c.leaves_sz, c.blocks_sz, &sum) && sum <= UINT64_MAX / 2;
    if (!sound) return KH_E_DAMAGED;
    *ret = c;
    return KH_OK;
}

/* ---- out ---- */

kh_err kh_pieces_out_begin(kh_pieces_out *o, const kh_checkpoint_sink *to, const kh_checkpoint *head)
{
    uint8_t bytes[KH_CHECKPOINT_HEAD_SZ];
    *o = (kh_pieces_out){.to = to, .piece = malloc(KH_PIECE_HEAD_SZ + KH_PIECE_SZ)};
    if (o->piece == NULL) return o->err = KH_E_NOMEM;
    kh_checkpoint_head_encode(head, bytes);
    return o->err = to->write(to->ctx, bytes, sizeof bytes);
}

static void give(kh_pieces_out *o)
{
    uint8_t *h = o->piece;
    memset(h, 0, KH_PIECE_HEAD_SZ);
    memcpy(h, piece_magic, sizeof piece_magic);
    kh_store64(h + PIECE_AT_NUMBER, o->number++);
    kh_store64(h + PIECE_AT_SIZE, o->used);
    kh_sha256(h + KH_PIECE_HEAD_SZ, o->used, h + PIECE_AT_DIGEST);
    o->err = o->to->write(o->to->ctx, h, KH_PIECE_HEAD_SZ + o->used);
    o->used = 0;
}

void kh_pieces_out_bytes(kh_pieces_out *o, const void *p, size_t n)
{
    const uint8_t *from = p;
    o->written += n;
    while (n > 0 && o->err == KH_OK) {
        size_t part = kh_min64(n, KH_PIECE_SZ - o->used);
        memcpy(o->piece + KH_PIECE_HEAD_SZ + o->used, from, part);
        o->used += part;
        from += part;
        n -= part;
        if (o->used == KH_PIECE_SZ) give(o);
    }
}

kh_err kh_pieces_out_end(kh_pieces_out *o)
{
    if (o->err == KH_OK && o->used > 0) give(o);
    free(o->piece);
    o->piece = NULL;
    return o->err;
}

/* ---- in ---- */

static kh_err refuse(kh_pieces_in *in, kh_err err, const char *why)
{
    in->why = why;
    return in->err = err;
}

/* Exactly n bytes of the stream. */
static kh_err take(kh_pieces_in *in, void *p, size_t n)
{
    for (size_t got = 0, more; got < n; got += more) {
        in->err = in->from->read(in->from->ctx, (uint8_t *)p + got, n - got, &more);
        if (in->err != KH_OK) return in->err;
        if (more == 0) return refuse(in, KH_E_DAMAGED, "the checkpoint is cut off");
    }
    return KH_OK;
}

kh_err kh_pieces_in_begin(kh_pieces_in *in, const kh_checkpoint_source *from, kh_checkpoint *ret)
{
    uint8_t bytes[KH_CHECKPOINT_HEAD_SZ];
    *in = (kh_pieces_in){.from = from, .piece = malloc(KH_PIECE_SZ)};
    if (in->piece == NULL) return in->err = KH_E_NOMEM;
    kh_err err = take(in, bytes, sizeof bytes);
    if (err != KH_OK) return err;
    err = kh_checkpoint_head_decode(bytes, ret);
    if (err == KH_E_VERSION) return refuse(in, err, "a checkpoint of another version");
    if (err != KH_OK) return refuse(in, err, "not the head of a checkpoint");
    in->left = ret->leaves_sz + ret->blocks_sz;
    in->piece_byte = KH_CHECKPOINT_HEAD_SZ;
    return KH_OK;
}

static kh_err next_piece(kh_pieces_in *in)
{
    uint8_t head[KH_PIECE_HEAD_SZ], want[KH_PIECE_HEAD_SZ] = {0};
    size_t size = kh_min64(in->left, KH_PIECE_SZ);
    if (size == 0) return refuse(in, KH_E_DAMAGED, "the body ends within what it holds");
    if (in->number != 0) in->piece_byte += KH_PIECE_HEAD_SZ + in->size;
    kh_err err = take(in, head, sizeof head);
    if (err == KH_OK) err = take(in, in->piece, size);
    if (err != KH_OK) return err;
    memcpy(want, piece_magic, sizeof piece_magic);
    kh_store64(want + PIECE_AT_NUMBER, in->number);
    kh_store64(want + PIECE_AT_SIZE, size);
    kh_sha256(in->piece, size, want + PIECE_AT_DIGEST);
    if (memcmp(head, want, sizeof want) != 0) return refuse(in, KH_E_DAMAGED, "a piece is not what was written");
    in->number++;
    in->size = size;
    in->at = 0;
    in->left -= size;
    return KH_OK;
}

kh_err kh_pieces_in_bytes(kh_pieces_in *in, void *p, uint64_t n)
{
    uint8_t *to = p;
    while (n > 0 && in->err == KH_OK) {
        if (in->at == in->size && next_piece(in) != KH_OK) break;
        size_t part = kh_min64(n, in->size - in->at);
        if (to != NULL) memcpy(to, in->piece + in->at, part);
        if (to != NULL) to += part;
        in->at += part;
        n -= part;
    }
    return in->err;
}

kh_err kh_pieces_in_end(kh_pieces_in *in)
{
    uint8_t byte;
    size_t got = 0;
    if (in->err != KH_OK) return in->err;
    if (in->left != 0 || in->at != in->size) return refuse(in, KH_E_DAMAGED, "there is more than the head says");
    in->err = in->from->read(in->from->ctx, &byte, 1, &got);
    return in->err == KH_OK && got != 0 ? refuse(in, KH_E_DAMAGED, "there is something behind the last piece") : in->err;
}

void kh_pieces_in_free(kh_pieces_in *in)
{
    free(in->piece);
    in->piece = NULL;
}
