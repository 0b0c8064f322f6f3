/* pieces: a file as bodies of requests.
 *
 * A file of at most KH_PIECE_SZ bytes is one piece, as it stands. A longer one with a header of columns (CSV) or of JSON Lines is
 * cut between its lines, each piece with the header, in UTF-8 whatever the file is written in; consecutive lines that agree in
 * the columns `together` are never parted (unless they alone are longer than KH_PIECE_MAX_SZ). XML and EDIFACT are one piece,
 * however long. Memory   one piece and the window of the text. Errors   open: KH_E_NOT_FOUND, KH_E_IO; next: *ret_err. */
#ifndef KH_CLIENT_PIECES_H
#define KH_CLIENT_PIECES_H
#include "base/base.h"

#define KH_PIECE_SZ (1u << 20)
#define KH_PIECE_MAX_SZ (6u << 20)
#define KH_PIECE_WHOLE_MAX_SZ (33u << 20) /* of XML and EDIFACT: what is longer the hub is told in part, and refuses */

typedef struct kh_pieces kh_pieces;
typedef struct kh_piece {
    char *p; /* malloc: the receiver's */
    size_t n;
    const char *content_type;
    uint64_t line_offset;  /* to add to the line numbers in its answer */
    uint64_t header_lines; /* of the file, up to its header's end; 0: it has none */
    int64_t byte_offset;   /* to add to places in bytes */
    uint64_t done, size;   /* bytes of the file up to its end; size 0: not known */
    bool first, last;
} kh_piece;

KH_MUST kh_err kh_pieces_open(const char *path, const char *together,
                              kh_pieces **ret); /* "-": standard input; NOT_FOUND: errno says why */
void kh_pieces_close(kh_pieces *pieces);
bool kh_pieces_next(kh_pieces *pieces, kh_piece *ret, kh_err *ret_err);
#endif
