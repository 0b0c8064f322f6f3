/* judge: what a transaction comes to on a state: certificates and incarnations here, the others in files of their own.
 *
 * One function judges and executes, so that what is offered, voted for and executed cannot come apart. The first rule that speaks
 * decides: form, who may, signatures, sequence, time (docs/CLUSTER.md). */
#include "order/inside.h"

/* ---- signatures that were found good: by transaction, and by the keys that they were held against ---- */

static kh_seen *slot_of(const kh_order *o, const uint8_t tx[32]) { return &o->seen[kh_load32(tx) % KH_SIGNATURES_SEEN]; }

bool kh_seen_before(const kh_order *o, const uint8_t tx[32], const uint8_t keys[32])
{
    const kh_seen *s = slot_of(o, tx);
    return memcmp(s->tx, tx, 32) == 0 && memcmp(s->keys, keys, 32) == 0;
}

void kh_seen_now(kh_order *o, const uint8_t tx[32], const uint8_t keys[32])
{
    kh_seen *s = slot_of(o, tx);
    memcpy(s->tx, tx, 32);
    memcpy(s->keys, keys, 32);
}

/* ---- certificates ---- */

/* A signature's own name among those seen. No transaction begins as it does, so neither stands for the other. */
static void signature_name(const kh_ack *ack, uint32_t place, const uint8_t signature[KH_SIGNATURE_SZ], uint8_t ret[32])
{
    static const char tag[] = "kanhe/acknowledged";
    uint8_t bytes[sizeof tag + KH_ACK_STATEMENT_SZ + 4 + KH_SIGNATURE_SZ];
    memcpy(bytes, tag, sizeof tag);
    kh_ack_encode(ack, bytes + sizeof tag);
    kh_store32(bytes + sizeof tag + KH_ACK_STATEMENT_SZ, place);
    memcpy(bytes + sizeof tag + KH_ACK_STATEMENT_SZ + 4, signature, KH_SIGNATURE_SZ);
    kh_sha256(bytes, sizeof bytes, ret);
}

static const uint8_t set_keys[32]; /* a set's keys never change: its number, which the digest covers, names them */

static const kh_voters *set_of(const kh_order *o, const kh_ack *ack)
{
    const kh_voters *set = ack->set == o->now.set_id ? &o->now : &o->before;
    return set->cnt == 0 || ack->set != set->set_id ? NULL : set;
}

bool kh_order_acknowledged(kh_order *o, const kh_ack *ack, uint32_t place, const uint8_t signature[KH_SIGNATURE_SZ])
{
    uint8_t name[32];
    const kh_voters *set = set_of(o, ack);
    if (set == NULL || place >= set->cnt) return false;
    signature_name(ack, place, signature, name);
    if (kh_seen_before(o, name, set_keys)) return true;
    if (!kh_ack_signed_by(o->suite, ack, set->ack[place], signature)) return false;
    kh_seen_now(o, name, set_keys);
    return true;
}

void kh_order_acknowledge_own(kh_order *o, const kh_ack *ack, uint32_t place, const uint8_t signature[KH_SIGNATURE_SZ])
{
    uint8_t name[32];
    signature_name(ack, place, signature, name);
    kh_seen_now(o, name, set_keys);
}

static bool acknowledged(kh_order *o, const kh_certificate *c, const kh_voters *set, const uint8_t digest[32])
{
    if (c->cnt != kh_quorum_of(set->cnt)) return false;
    for (uint32_t i = 0; i < c->cnt; i++)
        if (c->signatures[i].index >= set->cnt) return false;
    if (kh_seen_before(o, digest, set_keys)) return true;
    for (uint32_t i = 0; i < c->cnt; i++)
        if (!kh_order_acknowledged(o, &c->ack, c->signatures[i].index, c->signatures[i].signature)) return false;
    kh_seen_now(o, digest, set_keys);
    return true;
}

static kh_err take_batch(kh_order *o, const kh_at *at, kh_seat *seat, const kh_ack *ack)
{
    kh_order_item item = {.kind = KH_ITEM_BATCH,
                          .sender = ack->sender,
                          .incarnation = ack->incarnation,
                          .sequence = ack->sequence,
                          .size = ack->length};
    memcpy(item.digest, ack->digest, 32);
    seat->next++;
    kh_err err = kh_public_sender(o, seat);
    if (err == KH_OK) err = kh_unattested_add(o, at->height, ack->digest);
    if (err == KH_OK) err = kh_built_item(o, &item);
    return err;
}

static kh_order_code certificate(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32])
{
    kh_certificate c;
    if (kh_certificate_read(tx->p, tx->n, &c) != KH_OK || memcmp(c.ack.chain, o->chain, 32) != 0) return KH_R_MALFORMED;
    if (c.ack.length == 0 || c.ack.length > KH_BODY_MAX_SZ) return KH_R_MALFORMED;
    if (c.ack.expires_ns > at->time_ns && c.ack.expires_ns - at->time_ns > KH_EXPIRES_MAX_NS) return KH_R_MALFORMED;
    kh_seat *seat = kh_seat_find(o, c.ack.sender);
    const kh_voters *set = set_of(o, &c.ack);
    if (set == NULL) return KH_R_NOT_AUTHORISED;
    if (!acknowledged(o, &c, set, digest)) {
        at->forged = true;
        return KH_R_NOT_AUTHORISED;
    }
    if (seat == NULL || !kh_seat_sends(seat) || (seat->member.flags & KH_MEMBER_EXPELLED) != 0) return KH_R_NOT_AUTHORISED;
    if (c.ack.incarnation != seat->incarnation || c.ack.sequence != seat->next || seat->next == UINT64_MAX)
        return KH_R_BAD_SEQUENCE;
    if (at->time_ns > c.ack.expires_ns) return KH_R_EXPIRED;
    if (set == &o->before && at->time_ns > set->until_ns) return KH_R_NOT_AUTHORISED;
    if (o->unattested_cnt >= KH_UNATTESTED_MAX) return KH_R_BUSY;
    if (at->apply) at->err = take_batch(o, at, seat, &c.ack);
    return KH_R_OK;
}

/* ---- incarnations ---- */

static kh_order_code incarnation(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32])
{
    kh_incarnation i;
    uint8_t keys[32];
    if (kh_incarnation_read(tx->p, tx->n, &i) != KH_OK || memcmp(i.chain, o->chain, 32) != 0) return KH_R_MALFORMED;
    kh_seat *seat = kh_seat_find(o, i.sender);
    if (seat == NULL || !kh_seat_sends(seat) || (seat->member.flags & KH_MEMBER_EXPELLED) != 0) return KH_R_NOT_AUTHORISED;
    kh_sha256(seat->member.sender, KH_PUBLIC_SZ, keys);
    if (!kh_seen_before(o, digest, keys)) {
        if (kh_all_zero(seat->member.sender, KH_PUBLIC_SZ) || !kh_incarnation_signed_by(o->suite, &i, seat->member.sender)) {
            at->forged = true;
            return KH_R_NOT_AUTHORISED;
        }
        kh_seen_now(o, digest, keys);
    }
    if (i.incarnation != seat->incarnation + 1 || i.incarnation == 0) return KH_R_BAD_SEQUENCE;
    if (at->apply) {
        seat->incarnation = i.incarnation;
        seat->next = 1;
        at->err = kh_public_sender(o, seat);
    }
    return KH_R_OK;
}

kh_order_code kh_judge(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32])
{
    if (tx->n == 0 || tx->n > KH_TX_MAX_SZ) return KH_R_MALFORMED;
    switch (tx->p[0]) {
    case KH_TX_CERTIFICATE: return certificate(o, at, tx, digest);
    case KH_TX_ATTESTATION: return kh_judge_attestation(o, at, tx, digest);
    case KH_TX_CHANGE: return kh_judge_change(o, at, tx, digest);
    case KH_TX_INCARNATION: return incarnation(o, at, tx, digest);
    case KH_TX_HOLDS: return kh_judge_holds(o, at, tx, digest);
    default: return KH_R_MALFORMED;
    }
}
