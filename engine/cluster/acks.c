/* acks: other senders' batches: checked, stored durably, and only then acknowledged. */
#include "cluster/parts.h"

#define SEQUENCES_AHEAD 1024u /* of a sender, above the next one of this node's last block */

static void forget(kh_peer *peer, uint32_t i)
{
    peer->acked_sz -= peer->acked[i].size;
    peer->acked[i] = peer->acked[--peer->acked_cnt];
}

/* ---- from the store at the start ---- */
static void note(void *ctx, const kh_body_name *name)
{
    kh_node *n = ctx;
    uint32_t incarnation = 0;
    uint64_t next = 0;
    if (name->ordered || name->sender == n->options.self || name->expires_ns < kh_order_time(n->order)) return;
    if (!kh_order_next(n->order, name->sender, &incarnation, &next)) return;
    kh_peer *peer = kh_node_peer(n, name->sender);
    if (peer == NULL || peer->acked_cnt == KH_ACKED_MAX || name->incarnation != incarnation || name->sequence < next) return;
    kh_acked *a = &peer->acked[peer->acked_cnt++];
    *a = (kh_acked){name->incarnation, name->size, name->sequence, name->expires_ns, 0, {0}};
    memcpy(a->digest, name->digest, 32);
    peer->acked_sz += name->size;
}

void kh_acks_load(kh_node *n) { n->fx->body_each(n->fx->self, 0, note, n); }

/* ---- a body comes ---- */
static void acknowledge(kh_node *n, uint32_t sender, const kh_acked *a, uint64_t expires_ns)
{
    kh_ack ack = {.set = n->set.set_id,
                  .sender = sender,
                  .incarnation = a->incarnation,
                  .length = a->size,
                  .sequence = a->sequence,
                  .expires_ns = expires_ns};
    uint8_t message[KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ];
    memcpy(ack.chain, n->chain_id, 32);
    memcpy(ack.digest, a->digest, 32);
    if (!kh_node_is_validator(n) || kh_ack_sign(n->options.ack, &ack, message + KH_ACK_STATEMENT_SZ) != KH_OK) return;
    kh_order_acknowledge_own(n->order, &ack, (uint32_t)n->place, message + KH_ACK_STATEMENT_SZ);
    kh_ack_encode(&ack, message);
    n->fx->send(n->fx->self, sender, KH_MSG_ACK, message, sizeof message);
}

/* What can be judged without a digest or a signature. */
static bool head_good(kh_node *n, uint32_t from, const uint8_t *p, size_t sz, uint64_t expires_ns, kh_envelope_head *ret)
{
    uint32_t incarnation = 0;
    uint64_t next = 0, time = kh_order_time(n->order);
    if (sz > KH_ENVELOPE_MAX_SZ || kh_envelope_read(p, sz, ret) != KH_OK) return false;
    if (ret->suite != n->suite || memcmp(ret->chain, n->chain_id, 32) != 0 || ret->sender != from) return false;
    if (ret->epoch != n->hubs.epoch && (n->hubs.epoch_before == 0 || ret->epoch != n->hubs.epoch_before)) return false;
    if (!kh_order_next(n->order, from, &incarnation, &next) || ret->incarnation != incarnation) return false;
    if (ret->sequence < next || ret->sequence - next > SEQUENCES_AHEAD) return false;
    return expires_ns >= time && expires_ns - time <= KH_EXPIRES_MAX_NS;
}

static kh_acked *acked_at(kh_peer *peer, const kh_envelope_head *head)
{
    for (uint32_t i = 0; i < peer->acked_cnt; i++)
        if (peer->acked[i].sequence == head->sequence && peer->acked[i].incarnation == head->incarnation) return &peer->acked[i];
    return NULL;
}

/* The place of this body among those of its sender: a new one, its own, or that of another digest at its sequence whose time has
 * passed. NULL: no room, being stored, or another digest stands there. */
static kh_acked *place_for(kh_node *n, kh_peer *peer, const kh_envelope_head *head, const uint8_t digest[32], uint32_t size)
{
    kh_acked *a = acked_at(peer, head);
    bool same = a != NULL && memcmp(a->digest, digest, 32) == 0;
    if (a != NULL && (a->token != 0 || (!same && a->expires_ns >= kh_order_time(n->order)))) return NULL;
    if (a != NULL && !same) {
        forget(peer, (uint32_t)(a - peer->acked));
        a = NULL;
    }
    if (a != NULL) return a;
    if (peer->acked_cnt == KH_ACKED_MAX || peer->acked_sz + size > KH_ACKED_SZ) return NULL;
    a = &peer->acked[peer->acked_cnt++];
    *a = (kh_acked){head->incarnation, size, head->sequence, 0, 0, {0}};
    memcpy(a->digest, digest, 32);
    peer->acked_sz += size;
    return a;
}

void kh_acks_body(kh_node *n, uint32_t from, const uint8_t *p, size_t sz)
{
    kh_envelope_head head;
    uint8_t digest[32];
    const kh_member *m = kh_order_member(n->order, from);
    kh_peer *peer = kh_node_peer(n, from);
    if (sz < 8 || m == NULL || peer == NULL || !head_good(n, from, p + 8, sz - 8, kh_load64(p), &head)) {
        n->counts.dropped++;
        return;
    }
    uint64_t expires_ns = kh_load64(p);
    const kh_acked *had = acked_at(peer, &head);
    bool proven = false; /* its signature was looked at before */
    if (had != NULL) {
        kh_sha256(p + 8, sz - 8, digest);
        proven = memcmp(had->digest, digest, 32) == 0;
    }
    if (!proven && !kh_envelope_verify(p + 8, sz - 8, m->sender, digest)) {
        kh_node_bad_signature(n, from);
        return;
    }
    kh_acked *a = place_for(n, peer, &head, digest, (uint32_t)(sz - 8));
    if (a == NULL) {
        n->counts.dropped++;
        return;
    }
    if (a->expires_ns >= expires_ns) {
        acknowledge(n, from, a, expires_ns);
        return;
    }
    /* Stored, or its time moved on, before it is said. */
    kh_body_name name = {{0}, from, head.incarnation, head.sequence, expires_ns, a->size, false};
    memcpy(name.digest, digest, 32);
    a->expires_ns = expires_ns;
    uint64_t token = a->token = kh_node_token(n, KH_TOKEN_ACK);
    if (n->fx->body_put(n->fx->self, &name, p + 8, sz - 8, token) != KH_OK) kh_acks_stored(n, token, KH_E_FULL);
}

void kh_acks_stored(kh_node *n, uint64_t token, kh_err err)
{
    for (uint32_t m = 0; m < n->member_cnt; m++) {
        kh_peer *peer = n->members[m];
        for (uint32_t i = 0; i < peer->acked_cnt; i++) {
            if (peer->acked[i].token != token) continue;
            peer->acked[i].token = 0;
            if (err == KH_OK) acknowledge(n, peer->id, &peer->acked[i], peer->acked[i].expires_ns);
            else forget(peer, i);
            return;
        }
    }
}

/* What was ordered, is void, or whose time has passed is not counted any more. */
void kh_acks_committed(kh_node *n)
{
    uint64_t time = kh_order_time(n->order);
    for (uint32_t m = 0; m < n->member_cnt; m++) {
        kh_peer *peer = n->members[m];
        uint32_t incarnation = 0;
        uint64_t next = 0;
        bool sends = kh_order_next(n->order, peer->id, &incarnation, &next);
        for (uint32_t i = peer->acked_cnt; i-- > 0;) {
            const kh_acked *a = &peer->acked[i];
            bool over = !sends || a->incarnation != incarnation || a->sequence < next || a->expires_ns < time;
            if (over && a->token == 0) forget(peer, i);
        }
    }
}
