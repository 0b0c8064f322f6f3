/* prepare: what this node proposes when its turn comes: attestations and changes, then certificates: of each sender in the
 * order of its sequences, whoever has the fewest bytes of bodies in the block first, and among equals who waits longest. */
#include <stdlib.h>
#include "cluster/parts.h"

typedef struct share { /* of one sender */
    uint32_t at, end;  /* its certificates among the sorted ones */
    uint64_t bytes;
} share;

typedef struct choice {
    kh_node *n;
    uint64_t time_ns;
    size_t room;
    uint32_t cnt;
    const kh_pending *chosen[KH_ORDER_TXS_MAX];
} choice;

static size_t size_in_block(size_t n)
{
    size_t varint = 1;
    for (size_t v = n; v >= 128; v /= 128) varint++;
    return 1 + varint + n;
}

static bool choose(choice *c, const kh_pending *tx)
{
    size_t sz = size_in_block(tx->n);
    if (sz > c->room || c->cnt == KH_ORDER_TXS_MAX) return false;
    c->room -= sz;
    c->chosen[c->cnt++] = tx;
    return true;
}

static uint32_t rank(const kh_pending *tx)
{
    switch (tx->type) {
    case KH_TX_INCARNATION: return 0;
    case KH_TX_CHANGE: return 1;
    case KH_TX_CERTIFICATE: return 3;
    default: return 2;
    }
}

static int in_order(const void *a, const void *b)
{
    const kh_pending *x = *(const kh_pending *const *)a, *y = *(const kh_pending *const *)b;
    if (rank(x) != rank(y)) return rank(x) < rank(y) ? -1 : 1;
    if (x->type != KH_TX_CERTIFICATE) return x->arrival < y->arrival ? -1 : 1;
    if (x->sender != y->sender) return x->sender < y->sender ? -1 : 1;
    if (x->incarnation != y->incarnation) return x->incarnation < y->incarnation ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static kh_order_code now_good(choice *c, kh_pending *tx)
{
    kh_order_code code = kh_order_offerable(c->n->order, tx->p, tx->n, c->time_ns);
    tx->dead = !kh_pending_may_come(code);
    return code;
}

/* Of one sender: as many as follow each other from its next sequence and are good at this block's time. */
static share share_of(choice *c, kh_pending **txs, uint32_t at, uint32_t cnt)
{
    share s = {at, at, 0};
    uint32_t sender = txs[at]->sender, incarnation = 0;
    uint64_t next = 0;
    if (!kh_order_next(c->n->order, sender, &incarnation, &next)) return s;
    while (s.at < cnt && txs[s.at]->sender == sender && (txs[s.at]->incarnation != incarnation || txs[s.at]->sequence < next))
        s.at++;
    for (s.end = s.at; s.end < cnt && txs[s.end]->sender == sender; s.end++) {
        kh_pending *tx = txs[s.end];
        if (tx->incarnation != incarnation || tx->sequence != next++) break;
        kh_order_code code = now_good(c, tx);
        if (code != KH_R_OK && (s.end == s.at || code != KH_R_BAD_SEQUENCE || tx->expires_ns < c->time_ns)) break;
    }
    return s;
}

static void choose_certificates(choice *c, kh_pending **txs, uint32_t at, uint32_t cnt)
{
    share shares[KH_MEMBERS_MAX];
    uint32_t share_cnt = 0;
    uint64_t bodies = 0;
    while (at < cnt && share_cnt < KH_MEMBERS_MAX) {
        share s = share_of(c, txs, at, cnt);
        if (s.at < s.end) shares[share_cnt++] = s;
        uint32_t sender = txs[at]->sender;
        while (at < cnt && txs[at]->sender == sender) at++;
    }
    for (;;) {
        share *least = NULL;
        for (uint32_t i = 0; i < share_cnt; i++) {
            share *s = &shares[i];
            if (s->at == s->end) continue;
            if (least == NULL || s->bytes < least->bytes ||
                (s->bytes == least->bytes && txs[s->at]->arrival < txs[least->at]->arrival))
                least = s;
        }
        if (least == NULL || (bodies != 0 && bodies + txs[least->at]->length > KH_BLOCK_BODIES_SZ) || !choose(c, txs[least->at]))
            return;
        bodies += txs[least->at]->length;
        least->bytes += txs[least->at++]->length;
    }
}

/* The rest goes first and once a kind and place; a change only the next one. */
static uint32_t choose_rest(choice *c, kh_pending **txs, uint32_t cnt)
{
    bool change = false;
    uint32_t at = 0;
    for (; at < cnt && txs[at]->type != KH_TX_CERTIFICATE; at++) {
        if ((txs[at]->type == KH_TX_CHANGE && change) || now_good(c, txs[at]) != KH_R_OK) continue;
        if (choose(c, txs[at])) change |= txs[at]->type == KH_TX_CHANGE;
    }
    return at;
}

static bool lay(kh_node *n, const choice *c)
{
    kh_pendings *w = &n->pending;
    size_t sz = 0;
    for (uint32_t i = 0; i < c->cnt; i++) sz += c->chosen[i]->n;
    if (sz > w->proposal_cap) {
        uint8_t *more = realloc(w->proposal, sz);
        if (more == NULL) return false;
        w->proposal = more;
        w->proposal_cap = sz;
    }
    uint8_t *p = w->proposal;
    for (uint32_t i = 0; i < c->cnt; i++) {
        memcpy(p, c->chosen[i]->p, c->chosen[i]->n);
        w->spans[i] = (kh_tx_span){p, c->chosen[i]->n};
        p += c->chosen[i]->n;
    }
    return true;
}

static uint32_t prepare(kh_node *n, uint64_t height, uint64_t time_ns, size_t max_bytes)
{
    kh_pendings *w = &n->pending;
    if (w->cnt == 0) return 0;
    choice *c = calloc(1, sizeof *c);
    kh_pending **txs = malloc(w->cnt * sizeof *txs);
    uint32_t cnt = 0;
    if (c != NULL && txs != NULL) {
        *c = (choice){.n = n, .time_ns = time_ns, .room = max_bytes};
        for (uint32_t i = 0; i < w->cnt; i++) txs[i] = &w->txs[i];
        qsort(txs, w->cnt, sizeof(kh_pending *), in_order);
        choose_certificates(c, txs, choose_rest(c, txs, w->cnt), w->cnt);
        /* Whatever the others would not vote for is not worth a round. */
        if (lay(n, c) && kh_order_process(n->order, height, time_ns, w->spans, c->cnt)) cnt = c->cnt;
    }
    free(c);
    free(txs);
    for (uint32_t i = w->cnt; i-- > 0;)
        if (w->txs[i].dead) kh_pending_drop(n, i);
    return cnt;
}

uint32_t kh_node_prepare(kh_node *n, uint64_t height, uint64_t time_ns, size_t max_bytes, const kh_tx_span **ret)
{
    kh_node_enter(n);
    uint32_t cnt = prepare(n, height, time_ns, max_bytes);
    *ret = n->pending.spans;
    kh_node_leave(n);
    return cnt;
}

uint64_t kh_node_urgent(kh_node *n)
{
    kh_node_enter(n);
    uint64_t cnt = n->pending.urgent;
    kh_node_leave(n);
    return cnt;
}

bool kh_node_is_urgent(const kh_tx_span *txs, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && !kh_pending_is_urgent(txs[i].p[0])) i++;
    return i < n;
}
