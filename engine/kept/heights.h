/* heights: a file of records by rising height, growing at its end: blocks of the order, outputs of a bank.
 *
 * A record: head {magic 4, size of all of it 4, check 8, height 8, 0 8}, then its bytes; check: XXH3-64 from byte 16 on. In
 * memory stands the place of every 64th or so; opening walks all heads. Threads  one writer; readers any. Errors  KH_E_DAMAGED
 * where a record is not as it was written. Not durable before sync. */
#ifndef KH_KEPT_HEIGHTS_H
#define KH_KEPT_HEIGHTS_H
#include "base/base.h"
#include "base/effects.h"

#define KH_HEIGHTS_HEAD_SZ 32u
#define KH_HEIGHTS_RECORD_MAX_SZ (1u << 30)
#define KH_HEIGHTS_SOUND UINT64_MAX

typedef struct kh_heights kh_heights;
/* kh_heights_open: the first `whole` bytes must be whole records; what is behind is cut. KH_HEIGHTS_SOUND: as many records as are
   sound. *ret_at: where it is damaged. */
KH_MUST kh_err kh_heights_open(const kh_disk *disk, const char *path, const char magic[4], uint64_t whole, uint64_t *ret_at,
                               kh_heights **ret);
void kh_heights_close(kh_heights *h);
/* kh_heights_add: the record's bytes are a, then b. height is above all before. */
KH_MUST kh_err kh_heights_add(kh_heights *h, uint64_t height, const void *a, size_t a_n, const void *b, size_t b_n);
KH_MUST kh_err kh_heights_sync(kh_heights *h);
uint64_t kh_heights_newest(kh_heights *h); /* 0: none */
uint64_t kh_heights_bytes(kh_heights *h);
KH_MUST kh_err kh_heights_bytes_upto(kh_heights *h, uint64_t height, uint64_t *ret); /* of the records at or below it */
/* kh_heights_at: the newest record at or below height; after: the first above. *ret: its bytes, malloc'ed. KH_E_NOT_FOUND. */
KH_MUST kh_err kh_heights_at(kh_heights *h, uint64_t height, uint64_t *ret_height, uint8_t **ret, size_t *ret_n);
KH_MUST kh_err kh_heights_after(kh_heights *h, uint64_t height, uint64_t *ret_height, uint8_t **ret, size_t *ret_n);
KH_MUST kh_err kh_heights_cut(kh_heights *h, uint64_t height);  /* takes away what is above it */
KH_MUST kh_err kh_heights_drop(kh_heights *h, uint64_t height); /* takes away what is at or below it: writes the rest anew */
/* The same piece by piece, by the writer, who adds meanwhile: what stays is written to a file beside (step: some MiB; *ret_left:
   bytes that lack), which takes the place of this one, synced, at the end. Cutting, closing and errors stop it: all is as before.
 */
KH_MUST kh_err kh_heights_drop_begin(kh_heights *h, uint64_t height);
KH_MUST kh_err kh_heights_drop_step(kh_heights *h, uint64_t *ret_left);
KH_MUST kh_err kh_heights_drop_end(kh_heights *h);
void kh_heights_drop_stop(kh_heights *h);
bool kh_heights_drops(const kh_heights *h); /* is one under way? */
#endif
