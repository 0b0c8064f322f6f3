/* bodies: envelopes on disk, named by their digest: those that were seen and those that were ordered.
 *
 * DIR/%08x.bodies, append only, each record {magic, size, sender, incarnation, sequence, expires, check, digest} and the bytes
 * (docs/CLUSTER.md). Order: put's call-back comes when the body is durable (fdatasync), several puts share one sync. Recovery: a
 * torn record at the end of the newest file was never acknowledged and is cut; damage elsewhere is KH_E_DAMAGED with the place.
 * Threads  any. A writer thread of its own (none with inline_writer: then put writes and syncs itself).
 * Bounds   quota: bytes of a sender that were not ordered; put beyond it: KH_E_FULL. Space of what was never ordered is given
 * back file by file when nothing in it is needed. */
#ifndef KH_LOG_BODIES_H
#define KH_LOG_BODIES_H
#include "base/effects.h"

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
/* kh_bodies_put copies; done is called from the writer's thread (or inside put), also at once where it is there already. */
KH_MUST kh_err kh_bodies_put(kh_bodies *b, const kh_body_name *name, const uint8_t *p, size_t n, kh_body_done done, void *ctx);
bool kh_bodies_has(kh_bodies *b, const uint8_t digest[32]);
/* kh_bodies_get: *ret malloc'ed; checked against the digest: KH_E_DAMAGED, KH_E_NOT_FOUND. */
KH_MUST kh_err kh_bodies_get(kh_bodies *b, const uint8_t digest[32], uint8_t **ret, size_t *ret_n);
/* kh_bodies_ordered: it was ordered, so it is kept; may come before its body does. */
void kh_bodies_ordered(kh_bodies *b, const uint8_t digest[32], uint32_t sender);
/* kh_bodies_expire forgets what was not ordered and whose expires_ns is before block time now_ns. */
void kh_bodies_expire(kh_bodies *b, uint64_t now_ns);
/* kh_bodies_each: all of one sender (0: of all) that are stored, by sequence. */
void kh_bodies_each(kh_bodies *b, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx);
uint64_t kh_bodies_bytes(const kh_bodies *b);
#endif
