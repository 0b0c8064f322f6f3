/* cluster_liars: what nodes do that do not keep the rules. */
#include "cluster_world.h"

/* ---- taking notes ---- */
static void record(sim_node *n, uint8_t type, const uint8_t *p, size_t sz)
{
    uint32_t at = n->recorded_cnt++ % 64;
    free(n->recorded[at]);
    n->recorded[at] = malloc(sz + 1);
    if (sz != 0) memcpy(n->recorded[at], p, sz);
    n->recorded_n[at] = sz;
    n->recorded_type[at] = type;
}

static void to_all(sim_node *n, uint8_t type, const uint8_t *p, size_t sz)
{
    for (uint32_t i = 0; i < n->w->node_cnt; i++)
        if (&n->w->nodes[i] != n) world_send(n->w, n, n->w->nodes[i].id, type, p, sz);
}

/* ---- another envelope at a sequence ---- */
static struct twin *twin_at(sim_node *n, uint64_t sequence, uint32_t incarnation, uint64_t expires_ns)
{
    for (uint32_t i = 0; i < n->twin_cnt; i++)
        if (n->twins[i].sequence == sequence) return &n->twins[i];
    if (n->twin_cnt == 64) return NULL;
    struct twin *t = &n->twins[n->twin_cnt];
    uint8_t record_[RECORD_SZ], text[KH_SECTION_HEAD_SZ + RECORD_SZ], box[KH_PUBLIC_SZ];
    kh_envelope_head head = {KH_SUITE_INTL, {0}, 1, n->id, incarnation, sequence};
    memcpy(head.chain, n->w->chain_id, 32);
    sim_record(record_, n->id, 1000000 + sequence);
    kh_section_own(RECORD_SZ, text);
    memcpy(text + KH_SECTION_HEAD_SZ, record_, RECORD_SZ);
    kh_box_public(n->box, box);
    const kh_entropy entropy = {sim_fill, n};
    *t = (struct twin){.sequence = sequence, .expires_ns = expires_ns};
    if (kh_envelope_make(&head, n->sender, n->w->genesis.group, box, &entropy, text, sizeof text, &t->p, &t->n, t->digest) !=
        KH_OK)
        return NULL;
    n->twin_cnt++;
    return t;
}

static void send_twin(sim_node *n, const struct twin *t, uint32_t to)
{
    uint8_t *m = malloc(8 + t->n);
    kh_store64(m, t->expires_ns);
    memcpy(m + 8, t->p, t->n);
    world_send(n->w, n, to, KH_MSG_BODY, m, 8 + t->n);
    free(m);
}

static kh_ack ack_of(const sim_node *n, const struct twin *t)
{
    kh_ack ack = {.set = 1,
                  .sender = n->id,
                  .incarnation = 1,
                  .length = (uint32_t)t->n,
                  .sequence = t->sequence,
                  .expires_ns = t->expires_ns};
    memcpy(ack.chain, n->w->chain_id, 32);
    memcpy(ack.digest, t->digest, 32);
    return ack;
}

/* With its own signature and those that it got: a certificate, once there are enough. */
static void twin_acked(sim_node *n, struct twin *t, uint32_t index, const uint8_t *signature)
{
    uint32_t quorum = 2 * ((n->w->validators - 1) / 3) + 1;
    for (uint32_t i = 0; i < t->signature_cnt; i++)
        if (t->signatures[i].index == index) return;
    if (t->signature_cnt == quorum) return;
    uint32_t at = t->signature_cnt++;
    for (; at > 0 && t->signatures[at - 1].index > index; at--) t->signatures[at] = t->signatures[at - 1];
    t->signatures[at].index = (uint16_t)index;
    memcpy(t->signatures[at].signature, signature, KH_SIGNATURE_SZ);
    if (t->signature_cnt < quorum) return;
    uint8_t tx[4096];
    kh_ack ack = ack_of(n, t);
    to_all(n, KH_MSG_TX, tx, kh_certificate_encode(&ack, t->signatures, quorum, tx, sizeof tx));
}

static void sign_twin(sim_node *n, struct twin *t)
{
    uint8_t signature[KH_SIGNATURE_SZ];
    kh_ack ack = ack_of(n, t);
    if (kh_ack_sign(n->ack, &ack, signature) == KH_OK) twin_acked(n, t, n->index, signature);
}

bool lie_send(sim_node *n, uint32_t to, uint8_t type, const uint8_t *p, size_t sz)
{
    kh_envelope_head head;
    if (type == KH_MSG_BODY || type == KH_MSG_TX) record(n, type, p, sz);
    if ((n->lies & LIE_WITHHOLD) != 0 && (type == KH_MSG_GIVE || (type == KH_MSG_BODY && to == n->w->nodes[0].id))) return true;
    if ((n->lies & LIE_NOT_STORED) != 0 && type == KH_MSG_GIVE) { /* another body than was asked for, or a damaged one */
        uint8_t *other = malloc(sz + 400);
        memcpy(other, p, sz);
        sim_fill(n, other + 32, sz - 32 + (sz == 32 ? 400 : 0));
        world_send(n->w, n, to, type, other, sz + (sz == 32 ? 400 : 0));
        free(other);
        return true;
    }
    if ((n->lies & LIE_EQUIVOCATE) != 0 && type == KH_MSG_BODY && to % 2 == 0 &&
        kh_envelope_read(p + 8, sz - 8, &head) == KH_OK && head.sequence % 2 == 0) {
        struct twin *t = twin_at(n, head.sequence, head.incarnation, kh_load64(p));
        if (t == NULL) return false;
        sign_twin(n, t);
        send_twin(n, t, to);
        return true;
    }
    if ((n->lies & LIE_HUB_TWO_STORIES) != 0 && type == KH_MSG_ATTESTATION && to % 2 == 0) {
        kh_attestation a;
        uint8_t other[KH_ATTESTATION_SZ];
        if (kh_attestation_read(p, sz, &a) != KH_OK) return false;
        a.outputs_root[3] ^= 1;
        if (kh_attestation_make(n->attest, &a, other) != KH_OK) return false;
        world_send(n->w, n, to, type, other, sizeof other);
        return true;
    }
    return false;
}

/* Says at once that it has it, and signs badly. */
static void forge_ack(sim_node *n, uint32_t to, const uint8_t *p, size_t sz)
{
    kh_envelope_head head;
    uint8_t message[KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ];
    if (sz < 8 || kh_envelope_read(p + 8, sz - 8, &head) != KH_OK || n->ack == NULL) return;
    kh_ack ack = {.set = 1,
                  .sender = to,
                  .incarnation = head.incarnation,
                  .length = (uint32_t)(sz - 8),
                  .sequence = head.sequence,
                  .expires_ns = kh_load64(p)};
    memcpy(ack.chain, n->w->chain_id, 32);
    kh_sha256(p + 8, sz - 8, ack.digest);
    if (kh_ack_sign(n->ack, &ack, message + KH_ACK_STATEMENT_SZ) != KH_OK) return;
    kh_ack_encode(&ack, message);
    message[KH_ACK_STATEMENT_SZ + 40] ^= 1;
    world_send(n->w, n, to, KH_MSG_ACK, message, sizeof message);
}

bool lie_received(sim_node *n, uint32_t from, uint8_t type, const uint8_t *p, size_t sz)
{
    if (type == KH_MSG_BODY || type == KH_MSG_TX || type == KH_MSG_ATTESTATION) record(n, type, p, sz);
    if ((n->lies & LIE_FORGE) != 0 && type == KH_MSG_BODY) forge_ack(n, from, p, sz);
    if ((n->lies & (LIE_EQUIVOCATE | LIE_JUMP)) == 0 || type != KH_MSG_ACK || sz != KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ)
        return false;
    kh_ack ack;
    kh_ack_decode(p, &ack);
    for (uint32_t i = 0; i < n->twin_cnt; i++)
        if (memcmp(n->twins[i].digest, ack.digest, 32) == 0)
            twin_acked(n, &n->twins[i], world_node(n->w, from)->index, p + KH_ACK_STATEMENT_SZ);
    return false;
}

/* ---- forged certificates: of itself and of others ---- */
static size_t forge(sim_node *n, uint8_t *tx, size_t cap)
{
    world *w = n->w;
    uint64_t kind = world_random(w, 7);
    uint32_t quorum = 2 * ((w->validators - 1) / 3) + 1, cnt = quorum;
    sim_node *victim = &w->nodes[world_random(w, w->validators)];
    kh_ack ack = {.set = kind == 1 ? 7 : 1,
                  .sender = victim->id,
                  .incarnation = 1,
                  .length = 2000,
                  .sequence = 1 + world_random(w, 40),
                  .expires_ns = w->now + 5 * KH_NS_PER_S};
    if (kind == 2) ack.expires_ns = w->now - KH_NS_PER_S;
    if (kind == 3) ack.expires_ns = w->now + 7200 * KH_NS_PER_S;
    memcpy(ack.chain, w->chain_id, 32);
    sim_fill(n, ack.digest, 32);
    kh_tx_signature signatures[NODES_MAX];
    for (uint32_t i = 0; i < cnt; i++) { /* its own signature under other names */
        signatures[i].index = (uint16_t)(kind == 4 ? n->index : i);
        if (kh_ack_sign(n->ack, &ack, signatures[i].signature) != KH_OK) return 0;
    }
    if (kind == 5) cnt--;
    if (kind == 6) signatures[cnt - 1].index = 200;
    size_t sz = kh_certificate_encode(&ack, signatures, cnt, tx, cap);
    if (sz == 0) return 0;
    if (world_random(w, 4) == 0) tx[world_random(w, sz)] ^= (uint8_t)(1 + world_random(w, 255));
    return sz;
}

static void garbage(sim_node *n)
{
    uint8_t bytes[700];
    size_t sz = world_random(n->w, sizeof bytes);
    sim_fill(n, bytes, sz);
    uint8_t type = (uint8_t)world_random(n->w, 12);
    if (type == KH_MSG_TX && sz > 40) { /* garbage that begins well */
        bytes[0] = (uint8_t)(1 + world_random(n->w, 5));
        bytes[1] = 1;
        bytes[2] = bytes[3] = 0;
        memcpy(bytes + 4, n->w->chain_id, 32);
    }
    to_all(n, type, bytes, sz);
    if (n->recorded_cnt == 0) return; /* and what was good, damaged */
    uint32_t at = (uint32_t)world_random(n->w, n->recorded_cnt < 64 ? n->recorded_cnt : 64);
    uint8_t *p = n->recorded[at];
    if (n->recorded_n[at] == 0) return;
    size_t where = world_random(n->w, n->recorded_n[at]);
    p[where] ^= 1;
    to_all(n, n->recorded_type[at], p, n->recorded_n[at] - world_random(n->w, 2));
    p[where] ^= 1;
}

/* Far ahead, with everybody's honest signatures. */
static void jump(sim_node *n)
{
    struct twin *t = twin_at(n, 20 + world_random(n->w, 2) * 900 + world_random(n->w, 60), 1, n->w->now + 20 * KH_NS_PER_S);
    if (t == NULL || t->asked++ > 2) return;
    sign_twin(n, t);
    for (uint32_t i = 0; i < n->w->node_cnt; i++)
        if (&n->w->nodes[i] != n) send_twin(n, t, n->w->nodes[i].id);
}

void lie_tick(sim_node *n)
{
    uint8_t tx[8192];
    if (world_random(n->w, 3) != 0) return;
    if ((n->lies & LIE_FORGE) != 0) {
        size_t sz = forge(n, tx, sizeof tx);
        to_all(n, KH_MSG_TX, tx, sz);
    }
    if ((n->lies & LIE_REPLAY) != 0 && n->recorded_cnt != 0) {
        uint32_t at = (uint32_t)world_random(n->w, n->recorded_cnt < 64 ? n->recorded_cnt : 64);
        to_all(n, n->recorded_type[at], n->recorded[at], n->recorded_n[at]);
    }
    if ((n->lies & LIE_HOLDS) != 0) to_all(n, KH_MSG_TX, tx, lie_holds(n, tx));
    if ((n->lies & LIE_GARBAGE) != 0) garbage(n);
    if ((n->lies & LIE_JUMP) != 0 && world_random(n->w, 5) == 0) jump(n);
}

/* ---- proposals: honest ones, damaged; what was ordered before; forged; the same twice; in the wrong order ---- */
uint32_t lie_propose(sim_node *n, uint64_t time_ns, kh_tx_span *spans, uint32_t max)
{
    static uint8_t bytes[65536];
    world *w = n->w;
    const kh_tx_span *good = NULL;
    uint32_t cnt = kh_node_prepare(n->node, w->block_cnt + 1, time_ns, 32768, &good), at = 0;
    uint64_t kind = world_random(w, 7);
    if (cnt > max - 8) cnt = max - 8;
    for (uint32_t i = 0; i < cnt; i++) spans[i] = kind == 1 ? good[cnt - 1 - i] : good[i]; /* 1: others' sequences backwards */
    if (kind == 2 && cnt != 0) spans[cnt++] = spans[0];
    if (kind == 3) {
        sim_fill(n, bytes, 200);
        spans[cnt++] = (kh_tx_span){bytes, world_random(w, 200)};
    }
    if (kind == 4)
        spans[cnt++] = (kh_tx_span){bytes, (n->lies & LIE_HOLDS) != 0 ? lie_holds(n, bytes) : forge(n, bytes, sizeof bytes)};
    if (kind == 5 && w->block_cnt > 2) { /* what was ordered before */
        const decided *d = &w->blocks[world_random(w, w->block_cnt)];
        for (uint32_t i = 0; i < d->tx_cnt && i < 4; i++) spans[cnt++] = (kh_tx_span){d->txs[i], d->tx_n[i]};
    }
    if (kind == 6 && cnt > 1) { /* leaves out the first */
        for (; at + 1 < cnt; at++) spans[at] = spans[at + 1];
        cnt--;
    }
    return cnt;
}

void lie_free(sim_node *n)
{
    for (uint32_t i = 0; i < 64; i++) free(n->recorded[i]);
    for (uint32_t i = 0; i < n->twin_cnt; i++) free(n->twins[i].p);
}
