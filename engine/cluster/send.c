/* send: batches under way: sealed, stored, sent; acknowledgements gathered to a certificate; asked for again. */
#include <stdlib.h>
#include "cluster/parts.h"

#define PUT_AGAIN_NS (200 * KH_MS)
#define ASK_AGAIN_NS (250 * KH_MS) /* twice as long each time, */
#define ASK_AGAIN_MAX_NS (4 * KH_NS_PER_S)
#define EXPIRES_SPARE_NS (30 * KH_NS_PER_S) /* a validator's last block may be older than ours */

void kh_own_drop(kh_own *own)
{
    free(own->message);
    free(own->signatures);
    free(own->certificate);
    free(own->tags);
    free(own->op_cnts);
    memset(own, 0, sizeof *own);
}

void kh_own_stage(kh_node *n, kh_own *own, kh_node_stage stage)
{
    uint64_t now = kh_node_monotonic(n);
    if (own->since_ns != 0) n->counts.stage_ns[stage] += now - own->since_ns;
    own->since_ns = now;
}

static void forget_asked(kh_own *own)
{
    free(own->signatures);
    free(own->certificate);
    own->signatures = NULL;
    own->certificate = NULL;
    own->ack_cnt = 0;
    memset(own->acked, 0, sizeof own->acked);
}

kh_err kh_own_make(kh_node *n, kh_own *own, uint32_t incarnation, uint64_t sequence, const uint8_t *text, size_t sz)
{
    kh_envelope_head head = {n->suite, {0}, n->hubs.epoch, n->options.self, incarnation, sequence};
    memcpy(head.chain, n->chain_id, 32);
    uint8_t box[KH_PUBLIC_SZ], digest[32], *envelope = NULL;
    size_t envelope_n = 0;
    kh_box_public(n->options.box, box);
    const kh_entropy entropy = {n->fx->entropy, n->fx->self};
    kh_err err =
        kh_envelope_make(&head, n->options.sender, n->hubs.group, box, &entropy, text, sz, &envelope, &envelope_n, digest);
    uint8_t *message = err == KH_OK ? malloc(8 + envelope_n) : NULL;
    if (err == KH_OK && message == NULL) err = KH_E_NOMEM;
    if (err == KH_OK) {
        memset(message, 0, 8);
        memcpy(message + 8, envelope, envelope_n);
        free(own->message);
        forget_asked(own);
        own->message = message;
        own->message_n = 8 + envelope_n;
        own->incarnation = incarnation;
        own->sequence = sequence;
        own->expires_ns = own->other_after_ns = 0;
        own->state = KH_OWN_SEALED;
        memcpy(own->digest, digest, 32);
    }
    free(envelope);
    return err;
}

/* ---- stored before it is sent ---- */
void kh_own_put(kh_node *n, kh_own *own)
{
    /* Its own store keeps it until it is ordered, whatever expires with others. */
    kh_body_name name = {{0},  n->options.self, own->incarnation, own->sequence, UINT64_MAX, (uint32_t)(own->message_n - 8),
                         false};
    memcpy(name.digest, own->digest, 32);
    own->state = KH_OWN_STORING;
    own->token = kh_node_token(n, KH_TOKEN_OWN);
    own->at_ns = kh_node_monotonic(n);
    if (n->fx->body_put(n->fx->self, &name, own->message + 8, own->message_n - 8, own->token) != KH_OK)
        own->state = KH_OWN_SEALED;
}

void kh_own_stored(kh_node *n, uint64_t token, kh_err err)
{
    for (uint32_t i = 0; i < n->own.window_cnt; i++) {
        kh_own *own = &n->own.window[i];
        if (own->state != KH_OWN_STORING || own->token != token) continue;
        own->state = err == KH_OK ? KH_OWN_STORED : KH_OWN_SEALED;
        if (err == KH_OK) kh_own_stage(n, own, KH_STAGE_STORED);
        if (err == KH_OK) kh_own_ask_stored(n);
        return;
    }
}

/* ---- asking ---- */
/* A block's time may stand still while nothing happens; the next one's is near the wall clock. */
static uint64_t expires_now(kh_node *n)
{
    uint64_t block = kh_order_time(n->order), now = n->fx->now(n->fx->self);
    uint64_t most = block + KH_EXPIRES_MAX_NS - EXPIRES_SPARE_NS;
    return kh_min64(kh_max64(block, now) + n->options.expires_ns, most);
}

static kh_ack statement_of(const kh_node *n, const kh_own *own)
{
    kh_ack ack = {.set = own->set,
                  .sender = n->options.self,
                  .incarnation = own->incarnation,
                  .length = (uint32_t)(own->message_n - 8),
                  .sequence = own->sequence,
                  .expires_ns = own->expires_ns};
    memcpy(ack.chain, n->chain_id, 32);
    memcpy(ack.digest, own->digest, 32);
    return ack;
}

static void certify(kh_node *n, kh_own *own)
{
    kh_ack ack = statement_of(n, own);
    size_t cap = 4 + KH_ACK_STATEMENT_SZ + 4 + own->ack_cnt * (4 + KH_SIGNATURE_SZ);
    uint8_t *tx = malloc(cap);
    if (tx == NULL) return;
    size_t sz = kh_certificate_encode(&ack, own->signatures, own->ack_cnt, tx, cap);
    KH_ASSERT(sz != 0);
    own->certificate = tx;
    own->certificate_n = sz;
    own->state = KH_OWN_CERTIFIED;
    own->at_ns = kh_node_monotonic(n);
    own->wait_ns = ASK_AGAIN_NS;
    n->counts.certificates++;
    kh_own_stage(n, own, KH_STAGE_CERTIFIED);
    kh_node_offer(n, tx, sz);
}

/* The signatures stay sorted by place; at exactly a quorum they are a certificate. */
static void add_signature(kh_node *n, kh_own *own, uint32_t place, const uint8_t signature[KH_SIGNATURE_SZ])
{
    if (own->signatures == NULL && (own->signatures = malloc(n->set.quorum * sizeof *own->signatures)) == NULL) return;
    if (own->ack_cnt == n->set.quorum) { /* there was no memory for it before */
        certify(n, own);
        return;
    }
    uint32_t at = own->ack_cnt++;
    for (; at > 0 && own->signatures[at - 1].index > place; at--) own->signatures[at] = own->signatures[at - 1];
    own->signatures[at].index = (uint16_t)place;
    memcpy(own->signatures[at].signature, signature, KH_SIGNATURE_SZ);
    kh_bit_set(own->acked, place);
    if (own->ack_cnt == n->set.quorum) certify(n, own);
}

static void acknowledge_own(kh_node *n, kh_own *own)
{
    uint8_t signature[KH_SIGNATURE_SZ];
    kh_ack ack = statement_of(n, own);
    if (!kh_node_is_validator(n) || kh_ack_sign(n->options.ack, &ack, signature) != KH_OK) return;
    kh_order_acknowledge_own(n->order, &ack, (uint32_t)n->place, signature);
    add_signature(n, own, (uint32_t)n->place, signature);
}

static void send_body(kh_node *n, const kh_own *own, uint32_t peer)
{
    n->fx->send(n->fx->self, peer, KH_MSG_BODY, own->message, own->message_n);
}

/* From the first: with an expiry that block time has not reached, by the set of now. */
static void ask(kh_node *n, kh_own *own)
{
    forget_asked(own);
    if (own->expires_ns <= kh_order_time(n->order)) own->expires_ns = expires_now(n);
    own->other_after_ns = kh_max64(own->other_after_ns, own->expires_ns);
    own->set = n->set.set_id;
    own->state = KH_OWN_ASKED;
    own->at_ns = kh_node_monotonic(n);
    own->wait_ns = ASK_AGAIN_NS;
    kh_store64(own->message, own->expires_ns);
    n->counts.sent_batches++;
    for (uint32_t i = 0; i < n->storer_cnt; i++) send_body(n, own, n->storers[i]);
    acknowledge_own(n, own);
}

/* Nothing is sent before all before it are stored: what is lost in a crash then is the end, which nobody has seen. */
void kh_own_ask_stored(kh_node *n)
{
    for (uint32_t i = 0; i < n->own.window_cnt && !n->own.lost; i++) {
        kh_own *own = &n->own.window[i];
        if (own->state < KH_OWN_STORED) return;
        if (own->state == KH_OWN_STORED) ask(n, own);
    }
}

static int32_t place_of(const kh_node *n, uint32_t id)
{
    for (uint32_t i = 0; i < n->set.cnt; i++)
        if (n->set.ids[i] == id) return (int32_t)i;
    return -1;
}

void kh_own_acked(kh_node *n, uint32_t from, const uint8_t *p, size_t sz)
{
    int32_t place = place_of(n, from);
    if (sz != KH_ACK_STATEMENT_SZ + KH_SIGNATURE_SZ || place < 0) {
        n->counts.dropped++;
        return;
    }
    for (uint32_t i = 0; i < n->own.window_cnt; i++) {
        kh_own *own = &n->own.window[i];
        if (own->state != KH_OWN_ASKED || own->set != n->set.set_id || kh_bit(own->acked, (uint32_t)place)) continue;
        uint8_t mine[KH_ACK_STATEMENT_SZ];
        kh_ack ack = statement_of(n, own);
        kh_ack_encode(&ack, mine);
        if (memcmp(mine, p, sizeof mine) != 0) continue;
        if (kh_order_acknowledged(n->order, &ack, (uint32_t)place, p + KH_ACK_STATEMENT_SZ)) {
            n->counts.acks++;
            add_signature(n, own, (uint32_t)place, p + KH_ACK_STATEMENT_SZ);
        } else kh_node_bad_signature(n, from);
        return;
    }
}

/* ---- again ---- */
bool kh_own_is_signed(const kh_node *n, const kh_own *own)
{
    const kh_member *m = kh_order_member(n->order, n->options.self);
    return m != NULL && kh_envelope_signed_by(own->message + 8, own->message_n - 8, m->sender);
}

static bool sealed_for_now(kh_node *n, const kh_own *own)
{
    kh_envelope_head head;
    return kh_envelope_read(own->message + 8, own->message_n - 8, &head) == KH_OK && head.epoch == n->hubs.epoch &&
           kh_own_is_signed(n, own);
}

kh_err kh_own_make_again(kh_node *n, kh_own *own, uint32_t incarnation, uint64_t sequence)
{
    uint8_t *text = NULL;
    size_t sz = 0;
    if (!kh_envelope_open(own->message + 8, own->message_n - 8, n->options.box, true, &text, &sz)) return KH_E_FORMAT;
    kh_err err = kh_own_make(n, own, incarnation, sequence, text, sz);
    free(text);
    return err;
}

static void ask_again(kh_node *n, kh_own *own)
{
    n->counts.resent++;
    uint64_t time = kh_order_time(n->order);
    if (time > own->other_after_ns && !sealed_for_now(n, own) &&
        kh_own_make_again(n, own, own->incarnation, own->sequence) == KH_OK) {
        kh_own_put(n, own);
        return;
    }
    ask(n, own);
}

/* Those that have not answered get it again; a certificate goes to all validators again, or is made anew where it would have no
 * effect any more. */
static void send_again(kh_node *n, kh_own *own, uint64_t now)
{
    own->at_ns = now;
    own->wait_ns = kh_min64(own->wait_ns * 2, ASK_AGAIN_MAX_NS);
    if (own->state == KH_OWN_ASKED) {
        n->counts.resent++;
        for (uint32_t i = 0; i < n->set.cnt; i++)
            if (n->set.ids[i] != n->options.self && !kh_bit(own->acked, i)) send_body(n, own, n->set.ids[i]);
        return;
    }
    kh_order_code code = kh_order_offerable(n->order, own->certificate, own->certificate_n, kh_order_time(n->order));
    if (kh_pending_may_come(code)) kh_node_offer(n, own->certificate, own->certificate_n);
    else ask_again(n, own);
}

void kh_own_send_tick(kh_node *n)
{
    uint64_t now = kh_node_monotonic(n), time = kh_order_time(n->order);
    for (uint32_t i = 0; i < n->own.window_cnt && !n->own.lost; i++) {
        kh_own *own = &n->own.window[i];
        switch (own->state) {
        case KH_OWN_SEALED:
            if (now - own->at_ns >= PUT_AGAIN_NS) kh_own_put(n, own);
            break;
        case KH_OWN_ASKED:
        case KH_OWN_CERTIFIED:
            if (time > own->expires_ns || (own->state == KH_OWN_ASKED && own->set != n->set.set_id)) ask_again(n, own);
            else if (now - own->at_ns >= own->wait_ns) send_again(n, own, now);
            break;
        default: break;
        }
    }
    kh_own_ask_stored(n);
}

void kh_own_peer_up(kh_node *n, uint32_t peer)
{
    int32_t place = place_of(n, peer);
    for (uint32_t i = 0; i < n->own.window_cnt && place >= 0 && !n->own.lost; i++) {
        const kh_own *own = &n->own.window[i];
        if (own->state == KH_OWN_ASKED && !kh_bit(own->acked, (uint32_t)place)) send_body(n, own, peer);
        if (own->state == KH_OWN_CERTIFIED) n->fx->send(n->fx->self, peer, KH_MSG_TX, own->certificate, own->certificate_n);
    }
}
