/* bodies: bodies of the order that this node lacks: asked for in the background, of those who said that they have them
 * first; and what others ask of this node. */
#include <stdlib.h>
#include "cluster/parts.h"

#define ANSWER_NS (500 * KH_MS) /* how long one peer is waited for; a body may be large */
#define REST_NS (50 * KH_MS)    /* between two turns of one body */

/* ---- what lacks ---- */
static uint32_t *bucket_of(kh_wants *w, const uint8_t digest[32]) { return &w->buckets[kh_load32(digest) % KH_WANT_BUCKETS]; }

static kh_want *want_of(kh_wants *w, const uint8_t digest[32])
{
    for (uint32_t i = *bucket_of(w, digest); i != 0; i = w->of[i - 1].chain)
        if (memcmp(w->of[i - 1].digest, digest, 32) == 0) return &w->of[i - 1];
    return NULL;
}

static void link_want(kh_wants *w, uint32_t i)
{
    uint32_t *bucket = bucket_of(w, w->of[i].digest);
    w->of[i].chain = *bucket;
    *bucket = i + 1;
}

static void unlink_want(kh_wants *w, uint32_t i)
{
    uint32_t *at = bucket_of(w, w->of[i].digest);
    while (*at != i + 1) at = &w->of[*at - 1].chain;
    *at = w->of[i].chain;
}

void kh_wants_add(kh_node *n, const uint8_t digest[32], uint64_t height, uint32_t sender,
                  const uint64_t signers[KH_MEMBERS_MAX / 64])
{
    kh_wants *w = &n->wants;
    if (want_of(w, digest) != NULL) return;
    if (w->cnt == KH_WANTS_MAX) {
        n->counts.dropped++;
        return;
    }
    if (w->cnt == w->cap) {
        uint32_t cap = w->cap != 0 ? 2 * w->cap : 64;
        kh_want *more = realloc(w->of, cap * sizeof *more);
        if (more == NULL) return; /* who needs it asks again */
        w->of = more;
        w->cap = cap;
    }
    kh_want *want = &w->of[w->cnt++];
    *want = (kh_want){.height = height, .sender = sender};
    memcpy(want->digest, digest, 32);
    if (signers != NULL) memcpy(want->signers, signers, sizeof want->signers);
    link_want(w, w->cnt - 1);
}

static void forget(kh_wants *w, kh_want *want)
{
    uint32_t i = (uint32_t)(want - w->of), last = w->cnt - 1;
    unlink_want(w, i);
    if (i != last) {
        unlink_want(w, last);
        w->of[i] = w->of[last];
        link_want(w, i);
    }
    w->cnt--;
}

/* ---- whom to ask: the signers in turn, then everybody ---- */
static bool nth_signer(const kh_node *n, const kh_want *want, uint32_t nth, uint32_t *ret)
{
    for (uint32_t i = 0; i < n->set.cnt; i++) {
        if (!kh_bit(want->signers, i) || n->set.ids[i] == n->options.self) continue;
        if (nth-- == 0) {
            *ret = n->set.ids[i];
            return true;
        }
    }
    return false;
}

static uint32_t whom(const kh_node *n, const kh_want *want)
{
    uint32_t id = 0;
    if (nth_signer(n, want, want->tries, &id)) return id;
    return n->peer_cnt != 0 ? n->peers[(want->tries + want->digest[0]) % n->peer_cnt] : 0;
}

static void ask(kh_node *n, kh_want *want)
{
    want->asked = whom(n, want);
    want->tries++;
    want->at_ns = kh_node_monotonic(n);
    if (want->asked == 0) return;
    n->counts.wanted++;
    n->fx->send(n->fx->self, want->asked, KH_MSG_WANT, want->digest, 32);
}

/* One whose turn it is: nobody is asked for it, and it has rested. */
static kh_want *next_want(kh_wants *w, uint64_t now)
{
    for (uint32_t i = 0; i < w->cnt && i < 4 * KH_WANTS_ASKED; i++) {
        kh_want *want = &w->of[w->next++ % w->cnt];
        if (want->asked == 0 && want->token == 0 && (want->tries == 0 || now - want->at_ns >= REST_NS)) return want;
    }
    return NULL;
}

/* Whoever does not answer loses its turn to the next peer, and the body its place to the next body: one that nobody has must not
 * keep the others waiting. */
void kh_wants_tick(kh_node *n)
{
    kh_wants *w = &n->wants;
    uint64_t now = kh_node_monotonic(n);
    for (uint32_t i = 0; i < KH_WANTS_ASKED && w->cnt != 0; i++) {
        kh_want *want = want_of(w, w->under_way[i]);
        if (want != NULL && want->asked != 0 && now - want->at_ns < ANSWER_NS) continue;
        if (want != NULL) want->asked = 0;
        if ((want = next_want(w, now)) == NULL) {
            memset(w->under_way[i], 0, 32);
            continue;
        }
        memcpy(w->under_way[i], want->digest, 32);
        ask(n, want);
    }
}

/* ---- asked ---- */
void kh_wants_asked_for(kh_node *n, uint32_t from, const uint8_t *p, size_t sz)
{
    kh_peer *peer = kh_node_peer(n, from);
    uint8_t *body = NULL, *message;
    size_t body_n = 0;
    if (sz != 32 || peer == NULL || peer->give_budget <= 0) {
        n->counts.dropped++;
        return;
    }
    if (n->fx->body_get(n->fx->self, p, &body, &body_n) != KH_OK) { /* without an envelope: not had */
        peer->give_budget -= 1024;
        n->fx->send(n->fx->self, from, KH_MSG_GIVE, p, 32);
        return;
    }
    peer->give_budget -= (int64_t)body_n;
    if ((message = malloc(32 + body_n)) != NULL) {
        memcpy(message, p, 32);
        memcpy(message + 32, body, body_n);
        n->counts.given++;
        n->fx->send(n->fx->self, from, KH_MSG_GIVE, message, 32 + body_n);
    }
    free(message);
    free(body);
}

/* ---- given ---- */
void kh_wants_given(kh_node *n, uint32_t from, const uint8_t *p, size_t sz)
{
    uint8_t digest[32];
    kh_want *want = sz >= 32 ? want_of(&n->wants, p) : NULL;
    if (want == NULL || want->asked != from || want->token != 0 || sz - 32 > KH_ENVELOPE_MAX_SZ) {
        n->counts.dropped++;
        return;
    }
    kh_sha256(p + 32, sz - 32, digest);
    if (memcmp(digest, p, 32) != 0) { /* not had, or not what was asked for */
        if (sz != 32) n->counts.dropped++;
        if (want->tries % (n->peer_cnt + 1) != 0) ask(n, want);
        else want->asked = 0; /* everybody was asked: it rests */
        return;
    }
    kh_body_name name = {{0}, want->sender, 0, 0, UINT64_MAX, (uint32_t)(sz - 32), true};
    kh_envelope_head head;
    memcpy(name.digest, digest, 32);
    if (kh_envelope_read(p + 32, sz - 32, &head) == KH_OK) {
        name.sender = head.sender;
        name.incarnation = head.incarnation;
        name.sequence = head.sequence;
    }
    uint64_t token = want->token = kh_node_token(n, KH_TOKEN_WANT);
    want->asked = 0;
    if (n->fx->body_put(n->fx->self, &name, p + 32, sz - 32, token) != KH_OK) want->token = 0;
}

void kh_wants_stored(kh_node *n, uint64_t token, kh_err err)
{
    for (uint32_t i = 0; i < n->wants.cnt; i++) {
        kh_want *want = &n->wants.of[i];
        if (want->token != token) continue;
        want->token = 0;
        if (err != KH_OK) return; /* the beat asks again */
        n->fx->body_ordered(n->fx->self, want->digest, want->sender);
        forget(&n->wants, want);
        return;
    }
}

/* ---- the order ---- */
static void signers_of(const kh_node *n, const uint8_t digest[32], uint64_t ret[KH_MEMBERS_MAX / 64])
{
    const kh_chain *c = &n->chain;
    memset(ret, 0, KH_MEMBERS_MAX / 8);
    for (uint32_t i = 0; i < c->block.tx_cnt; i++) {
        const kh_tx_span *tx = &c->txs[i];
        if (c->block.codes[i] != KH_R_OK || c->block.types[i] != KH_TX_CERTIFICATE) continue;
        kh_ack ack;
        kh_ack_decode(tx->p + 4, &ack);
        if (memcmp(ack.digest, digest, 32) != 0 || ack.set != n->set.set_id) continue;
        for (size_t at = 4 + KH_ACK_STATEMENT_SZ + 4; at + 4 + KH_SIGNATURE_SZ <= tx->n; at += 4 + KH_SIGNATURE_SZ)
            if (kh_load16(tx->p + at) < KH_MEMBERS_MAX) kh_bit_set(ret, kh_load16(tx->p + at));
        return;
    }
}

/* What everybody may have given up by now is not asked for any more. */
static void give_up(kh_node *n)
{
    kh_wants *w = &n->wants;
    uint64_t gone = kh_order_bodies_gone(n->order);
    if (gone == w->gone) return;
    w->gone = gone;
    for (uint32_t i = w->cnt; i-- > 0;)
        if (w->of[i].height <= gone && w->of[i].token == 0) forget(w, &w->of[i]);
}

void kh_bodies_committed(kh_node *n, const kh_order_block *block)
{
    give_up(n);
    for (uint32_t i = 0; i < block->item_cnt; i++) {
        const kh_order_item *item = &block->items[i];
        kh_want *lost = item->kind == KH_ITEM_LOST ? want_of(&n->wants, item->digest) : NULL;
        if (lost != NULL && lost->token == 0) forget(&n->wants, lost);
        if (item->kind != KH_ITEM_BATCH) continue;
        n->fx->body_ordered(n->fx->self, item->digest, item->sender);
        if (n->fx->body_has(n->fx->self, item->digest)) continue;
        uint64_t signers[KH_MEMBERS_MAX / 64];
        signers_of(n, item->digest, signers);
        kh_wants_add(n, item->digest, block->height, item->sender, signers);
    }
    kh_wants_tick(n);
}

kh_err kh_node_body(kh_node *n, const uint8_t digest[32], uint64_t height, uint8_t **ret, size_t *ret_n)
{
    kh_err err = n->fx->body_get(n->fx->self, digest, ret, ret_n); /* megabytes: agreement does not wait for them */
    if (err != KH_E_NOT_FOUND && err != KH_E_DAMAGED) return err;
    kh_node_enter(n);
    bool gone = height <= kh_order_bodies_gone(n->order);
    if (!gone) {
        kh_wants_add(n, digest, height, 0, NULL);
        kh_wants_tick(n);
    }
    kh_node_leave(n);
    return gone ? KH_E_NOT_FOUND : KH_E_AGAIN;
}
