/* intake: a file of documents on its way into a log: read, made operations of, sent in batches with several under way, and every
 * line accounted for. Where batches go, and what becomes of a refusal, is the caller's.
 *
 * Order    batches are sent and settled in the order of the file.
 * Threads  one. Memory: a reader's, and a place of 64 bytes an operation under way.
 * Errors   the caller's and the reader's; what is wrong with a line is told as a refusal. */
#ifndef KH_FORMATS_INTAKE_H
#define KH_FORMATS_INTAKE_H
#include "formats/formats.h"

#define KH_INTAKE_BATCHES_MAX 8u

typedef struct kh_intake_refusal {
    uint64_t line, byte;
    kh_code code;
    const char *why, *raw; /* lent */
    uint32_t raw_n;
} kh_intake_refusal;
typedef struct kh_intake_counts {
    uint64_t read, stored, unchanged, amended, revoked, refused, waiting, warnings;
} kh_intake_counts;
typedef void kh_intake_receipt(void *ctx, uint32_t op_index, const kh_receipt *receipt);
typedef struct kh_intake_out {
    void *self;
    uint32_t batch_cnt; /* 1 .. KH_INTAKE_BATCHES_MAX: their numbers are 0 and up, in turn */
    uint32_t op_max;    /* operations of one */
    /* add: KH_E_FULL: the batch must be sent first; KH_E_ARG: the operation cannot be said. */
    kh_err (*add)(void *self, uint32_t batch, const kh_op *op);
    kh_err (*submit)(void *self, uint32_t batch);
    /* settle waits for a batch, gives the receipt of each of its operations, and empties it. */
    kh_err (*settle)(void *self, uint32_t batch, kh_intake_receipt *give, void *ctx);
    void (*refused)(void *self, const kh_intake_refusal *refusal);
    void (*progress)(void *self);
} kh_intake_out;
/* kh_intake_run reads to the end. party: who sends the operations; 0: each document's source. *ret_under_way, on an error:
   batches that were sent and are not settled, from number *ret_first on. */
KH_MUST kh_err kh_intake_run(kh_reader *reader, uint32_t party, bool force, const kh_intake_out *out, kh_intake_counts *ret,
                             uint32_t *ret_first, uint32_t *ret_under_way);
#endif
