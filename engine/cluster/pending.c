/* pending: transactions that wait to be ordered: what came from everybody, each checked once, one a place; dropped when seen
 * in a block, or when it cannot have an effect any more, and never because it was proposed. */
#include <stdlib.h>
#include "cluster/parts.h"

void kh_pending_free(kh_node *n)
{
    for (uint32_t i = 0; i < n->pending.cnt; i++) free(n->pending.txs[i].p);
    free(n->pending.txs);
    free(n->pending.proposal);
}

void kh_pending_drop(kh_node *n, uint32_t i)
{
    kh_pendings *w = &n->pending;
    free(w->txs[i].p);
    w->txs[i] = w->txs[--w->cnt];
}

/* What it is and whose, for the queue's own order; false: not a transaction of this chain. */
static bool describe(const kh_node *n, const uint8_t *tx, size_t sz, kh_pending *ret)
{
    kh_ack ack;
    kh_attestation a;
    kh_change change;
    memset(ret, 0, sizeof *ret);
    if (sz < 4 + 32 || sz > KH_TX_MAX_SZ || memcmp(tx + 4, n->chain_id, 32) != 0) return false;
    ret->type = tx[0];
    switch (tx[0]) {
    case KH_TX_CERTIFICATE:
        if (sz < 4 + KH_ACK_STATEMENT_SZ) return false;
        kh_ack_decode(tx + 4, &ack);
        ret->sender = ack.sender;
        ret->incarnation = ack.incarnation;
        ret->length = ack.length;
        ret->sequence = ack.sequence;
        ret->expires_ns = ack.expires_ns;
        return true;
    case KH_TX_ATTESTATION:
        if (kh_attestation_read(tx, sz, &a) != KH_OK) return false;
        ret->sender = a.hub;
        ret->sequence = a.height;
        ret->incarnation = a.flags; /* a height's word and its checkpoint's are two; before a loss and after it, too */
        return true;
    case KH_TX_CHANGE:
        if (kh_change_read(tx, sz, &change) != KH_OK) return false;
        ret->sequence = change.number;
        return true;
    case KH_TX_INCARNATION:
        if (sz != KH_INCARNATION_SZ) return false;
        ret->sender = kh_load32(tx + 36);
        ret->sequence = kh_load32(tx + 40);
        return true;
    case KH_TX_HOLDS:
        if (sz != KH_HOLDS_SZ) return false;
        ret->sequence = kh_load64(tx + 36);
        ret->sender = kh_load32(tx + 44);
        return true;
    default: return false;
    }
}

static bool same_place(const kh_pending *a, const kh_pending *b)
{
    return a->type == b->type && a->sender == b->sender && a->incarnation == b->incarnation && a->sequence == b->sequence;
}

/* How many a member has waiting: certificates on one account, attestations on another. */
static bool same_account(const kh_pending *a, const kh_pending *b) { return a->sender == b->sender && a->type == b->type; }

static uint32_t count_of(const kh_pendings *w, const kh_pending *like)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < w->cnt; i++) cnt += same_account(&w->txs[i], like);
    return cnt;
}

/* Full: the account with the most gives its highest sequence for one of an account with fewer. */
static bool make_room(kh_node *n, uint32_t cnt)
{
    kh_pendings *w = &n->pending;
    struct account {
        uint32_t highest, cnt;
    } accounts[5 * KH_MEMBERS_MAX], *most = NULL;
    uint32_t account_cnt = 0;
    for (uint32_t i = 0; i < w->cnt; i++) {
        uint32_t at = 0;
        while (at < account_cnt && !same_account(&w->txs[accounts[at].highest], &w->txs[i])) at++;
        if (at == 5 * KH_MEMBERS_MAX) continue;
        if (at == account_cnt) accounts[account_cnt++] = (struct account){i, 0};
        accounts[at].cnt++;
        if (w->txs[i].sequence > w->txs[accounts[at].highest].sequence) accounts[at].highest = i;
        if (most == NULL || accounts[at].cnt > most->cnt) most = &accounts[at];
    }
    if (most == NULL || most->cnt <= cnt + 1) return false;
    n->counts.dropped++;
    kh_pending_drop(n, most->highest);
    return true;
}

/* A full account: a lower sequence, which counts first, takes the place of the highest. Signatures of changes to come cannot be
 * looked at; so whoever tells many of them keeps the next one out of nothing. */
static bool displace(kh_node *n, const kh_pending *comes)
{
    kh_pendings *w = &n->pending;
    uint32_t highest = w->cnt;
    for (uint32_t i = 0; i < w->cnt; i++)
        if (same_account(&w->txs[i], comes) && (highest == w->cnt || w->txs[i].sequence > w->txs[highest].sequence)) highest = i;
    if (highest == w->cnt || w->txs[highest].sequence <= comes->sequence) return false;
    n->counts.dropped++;
    kh_pending_drop(n, highest);
    return true;
}

bool kh_pending_may_come(kh_order_code code) { return code == KH_R_OK || code == KH_R_BAD_SEQUENCE || code == KH_R_BUSY; }

static kh_order_code judge(kh_node *n, const uint8_t *tx, size_t sz)
{
    return kh_order_offerable(n->order, tx, sz, kh_order_time(n->order));
}

/* Another one stands at its place: the later expiry counts, and one without an effect never. */
static bool gives_way(kh_node *n, const kh_pending *there, const kh_pending *comes)
{
    return comes->expires_ns > there->expires_ns || !kh_pending_may_come(judge(n, there->p, there->n));
}

static void keep(kh_node *n, kh_pending *comes, const uint8_t *tx, size_t sz)
{
    kh_pendings *w = &n->pending;
    if (w->txs == NULL && (w->txs = malloc(KH_PENDING_MAX * sizeof *w->txs)) == NULL) return;
    uint32_t cnt = count_of(w, comes);
    bool room = cnt >= KH_PENDING_OF_SENDER ? displace(n, comes) : w->cnt < KH_PENDING_MAX || make_room(n, cnt);
    if (!room || (comes->p = malloc(sz)) == NULL) {
        n->counts.dropped++;
        return;
    }
    memcpy(comes->p, tx, sz);
    comes->n = (uint32_t)sz;
    comes->arrival = ++w->arrivals;
    w->urgent += kh_pending_is_urgent((uint8_t)comes->type);
    w->txs[w->cnt++] = *comes;
}

/* One of now's validators that does not hold is forged; of another set, or of a member that is not known yet, who knows. */
static bool is_forged(const kh_node *n, const kh_pending *comes, const uint8_t *tx)
{
    const kh_member *m = kh_order_member(n->order, comes->sender);
    return comes->type == KH_TX_CERTIFICATE && kh_load32(tx + 4 + 32) == n->set.set_id && m != NULL &&
           (m->flags & KH_MEMBER_EXPELLED) == 0 && (m->role & (KH_MEMBER_BANK | KH_MEMBER_HUB)) != 0;
}

static bool over(kh_node *n, const kh_pending *tx);

void kh_pending_add(kh_node *n, uint32_t from, const uint8_t *tx, size_t sz)
{
    kh_pendings *w = &n->pending;
    kh_pending comes;
    if (!kh_node_is_validator(n)) return; /* it never proposes */
    if (!describe(n, tx, sz, &comes) || over(n, &comes)) {
        n->counts.dropped++;
        return;
    }
    kh_sha256(tx, sz, comes.digest);
    uint32_t at = 0;
    while (at < w->cnt && !same_place(&w->txs[at], &comes)) at++;
    if (at < w->cnt && memcmp(w->txs[at].digest, comes.digest, 32) == 0) return; /* known */
    kh_order_code code = judge(n, tx, sz);
    if (!kh_pending_may_come(code)) {
        n->counts.dropped++;
        if (code == KH_R_NOT_AUTHORISED && from != 0 && is_forged(n, &comes, tx)) kh_node_bad_signature(n, from);
        return;
    }
    if (at < w->cnt) {
        if (!gives_way(n, &w->txs[at], &comes)) return;
        kh_pending_drop(n, at);
    }
    keep(n, &comes, tx, sz);
}

/* ---- what a block changes ---- */
static bool in_block(const kh_order_block *block, const uint8_t digest[32])
{
    for (uint32_t i = 0; i < block->tx_cnt; i++)
        if (memcmp(block->digests[i], digest, 32) == 0)
            return block->codes[i] != KH_R_BAD_SEQUENCE && block->codes[i] != KH_R_BUSY;
    return false;
}

static bool over(kh_node *n, const kh_pending *tx)
{
    uint32_t incarnation = 0;
    uint64_t next = 0;
    const kh_member *m = kh_order_member(n->order, tx->sender);
    kh_order_state states[KH_STATES];
    switch (tx->type) {
    case KH_TX_CERTIFICATE:
        return !kh_order_next(n->order, tx->sender, &incarnation, &next) || tx->incarnation < incarnation ||
               (tx->incarnation == incarnation && tx->sequence < next) || tx->expires_ns < kh_order_time(n->order);
    case KH_TX_INCARNATION: return !kh_order_next(n->order, tx->sender, &incarnation, &next) || tx->sequence <= incarnation;
    case KH_TX_CHANGE: return tx->sequence < kh_order_change_number(n->order);
    case KH_TX_HOLDS:
        kh_order_states(n->order, states);
        if (tx->sequence < states[KH_STATE_WANTED].height || tx->sequence <= states[KH_STATE_HELD].height) return true;
        break;
    default: break;
    }
    return m == NULL || (m->flags & KH_MEMBER_EXPELLED) != 0;
}

void kh_pending_committed(kh_node *n, const kh_order_block *block)
{
    kh_pendings *w = &n->pending;
    for (uint32_t i = w->cnt; i-- > 0;)
        if (in_block(block, w->txs[i].digest) || over(n, &w->txs[i])) kh_pending_drop(n, i);
}
