/* bodies: envelopes on disk, named by their digest: those that were seen and those that were ordered.
 *
 * DIR/%08x.bodies, append only, each record {magic, size, sender, incarnation, sequence, expires, digest, group, checks} and the
 * bytes (docs/CLUSTER.md). Order: put's call-back comes when the body is durable (fdatasync), several puts share one sync.
 * Recovery: a torn group at the end of the newest file was never acknowledged and is cut; damage elsewhere is KH_E_DAMAGED with
 * the place, when opening (heads; in the newest file bytes too) or in get. Marks of being ordered are not on disk: whoever opens
 * tells them again. Threads  any. A writer thread of its own (none with inline_writer: then put writes and syncs itself). The
 * disk's synchronous calls alone are used, from all of them. Bounds   quota: bytes of a sender that were not ordered; put beyond
 * it: KH_E_FULL. KH_BODIES_QUEUE_SZ bytes wait to be written: then KH_E_AGAIN. Space is given back file by file when nothing in
 * one is needed. Errors   after a failed write every put is KH_E_CLOSED; what is stored can still be read. */
#ifndef KH_LOG_BODIES_H
#define KH_LOG_BODIES_H
#include "base/effects.h"

#define KH_BODIES_QUEUE_SZ (64u << 20)
typedef struct kh_bodies kh_bodies;
typedef struct kh_body_name {
    uint8_t digest[32];
    uint32_t sender, incarnation;
    uint64_t sequence, expires_ns;
    uint32_t size;
    bool ordered;
} kh_body_name;
typedef void (*kh_body_done)(void *ctx, kh_err err);

KH_MUST kh_err kh_bodies_open(const kh_disk *disk, const char *dir, uint64_t quota_per_sender, bool inline_writer, char *why,
                              size_t cap, kh_bodies **ret);
void kh_bodies_close(kh_bodies *b);
/* kh_bodies_put copies; done is called once where put is KH_OK, from the writer's thread (or inside put), also at once where it
   is there already. A body that is there and was not ordered is written again where this one expires later. name->size is not
   looked at. The digest is the caller's word: get checks it. done may call anything here but close. */
KH_MUST kh_err kh_bodies_put(kh_bodies *b, const kh_body_name *name, const uint8_t *p, size_t n, kh_body_done done, void *ctx);
bool kh_bodies_has(kh_bodies *b, const uint8_t digest[32]); /* durable */
/* kh_bodies_get: *ret malloc'ed; checked against the digest: KH_E_DAMAGED (and it is forgotten: put it again), KH_E_NOT_FOUND. */
KH_MUST kh_err kh_bodies_get(kh_bodies *b, const uint8_t digest[32], uint8_t **ret, size_t *ret_n);
/* kh_bodies_ordered: it was ordered, so it is kept; may come before its body does. */
void kh_bodies_ordered(kh_bodies *b, const uint8_t digest[32], uint32_t sender);
/* kh_bodies_expire forgets what was not ordered and whose expires_ns is before block time now_ns. */
void kh_bodies_expire(kh_bodies *b, uint64_t now_ns);
/* kh_bodies_drop forgets one that was ordered and is not needed any more; one that is being written, when it is. */
void kh_bodies_drop(kh_bodies *b, const uint8_t digest[32]);
/* kh_bodies_each: all of one sender (0: of all, by sender) that are stored, by incarnation and sequence. Called without a lock,
   on what was there. KH_E_NOMEM: none were told. */
kh_err kh_bodies_each(kh_bodies *b, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx);
uint64_t kh_bodies_bytes(const kh_bodies *b); /* of the files */
#endif
