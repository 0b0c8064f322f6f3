/* pieces: a checkpoint as bytes (docs/FORMAT.md, "Checkpoint"): a head, then its body in pieces of KH_PIECE_SZ, each with its
 * number, length and digest in front: what is cut off, altered or out of its place is seen before anything in it is used, and a
 * piece can be asked for by itself.
 *
 * Memory   one piece. Errors   the first one stays: later calls do nothing and return it. Threads   one. */
#ifndef KH_STORE_PIECES_H
#define KH_STORE_PIECES_H
#include "crypto/digest.h"
#include "store/store.h"

#define KH_PIECE_SZ (1u << 20)
#define KH_PIECE_HEAD_SZ 64u
#define KH_CHECKPOINT_HEAD_SZ 256u

void kh_checkpoint_head_encode(const kh_checkpoint *head, uint8_t ret[KH_CHECKPOINT_HEAD_SZ]);
/* kh_checkpoint_head_decode: KH_E_VERSION: of a later version; KH_E_DAMAGED: no head, or one that says what cannot be. */
KH_MUST kh_err kh_checkpoint_head_decode(const uint8_t p[KH_CHECKPOINT_HEAD_SZ], kh_checkpoint *ret);

typedef struct kh_pieces_out {
    const kh_checkpoint_sink *to;
    uint8_t *piece; /* its head and what is gathered of it */
    size_t used;
    uint64_t number, written; /* pieces that are written; bytes of the body */
    kh_err err;
} kh_pieces_out;
KH_MUST kh_err kh_pieces_out_begin(kh_pieces_out *o, const kh_checkpoint_sink *to, const kh_checkpoint *head);
void kh_pieces_out_bytes(kh_pieces_out *o, const void *p, size_t n);
/* kh_pieces_out_end writes the last piece and gives the memory back. */
KH_MUST kh_err kh_pieces_out_end(kh_pieces_out *o);

typedef struct kh_pieces_in {
    const kh_checkpoint_source *from;
    uint8_t *piece;
    size_t size, at;           /* of the piece: its bytes, those that were taken */
    uint64_t number;           /* pieces that were read */
    uint64_t left, piece_byte; /* bytes of the body that are in no piece read yet; where this piece stands in the stream */
    kh_err err;
    const char *why; /* of KH_E_DAMAGED and KH_E_VERSION */
} kh_pieces_in;
/* kh_pieces_in_begin reads the head. Whatever it returns, kh_pieces_in_free gives the memory back. */
KH_MUST kh_err kh_pieces_in_begin(kh_pieces_in *in, const kh_checkpoint_source *from, kh_checkpoint *ret);
/* kh_pieces_in_bytes gives the next n bytes of the body; p NULL: they are passed over. */
KH_MUST kh_err kh_pieces_in_bytes(kh_pieces_in *in, void *p, uint64_t n);
KH_MUST kh_err kh_pieces_in_end(kh_pieces_in *in); /* nothing may be left, of the body and behind it */
void kh_pieces_in_free(kh_pieces_in *in);
#endif
