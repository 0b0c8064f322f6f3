/* chain: CometBFT's side of the node: proposals judged, blocks executed, what is durable. */
#include <stdlib.h>
#include "cluster/parts.h"

static void result_free(kh_result *r)
{
    free(r->codes);
    free(r->digests);
    free(r->validators);
    free(r);
}

void kh_chain_free(kh_node *n)
{
    for (kh_result *r = n->chain.first, *next; r != NULL; r = next) {
        next = r->next;
        result_free(r);
    }
    free(n->chain.bytes);
    free(n->chain.txs);
}

uint64_t kh_node_kept_height(kh_node *n, uint8_t ret_app_hash[32])
{
    kh_node_enter(n);
    uint64_t height = n->chain.kept_height;
    memcpy(ret_app_hash, n->chain.kept_hash, 32);
    kh_node_leave(n);
    return height;
}

void kh_node_init_hash(kh_node *n, uint8_t ret[32])
{
    kh_order *fresh = NULL;
    memset(ret, 0, 32);
    if (kh_order_new(n->options.genesis_bytes, n->options.genesis_sz, &fresh) != KH_OK) return;
    kh_order_app_hash(fresh, ret);
    kh_order_free(fresh);
}

bool kh_node_process(kh_node *n, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t cnt)
{
    kh_node_enter(n);
    bool good = kh_order_process(n->order, height, time_ns, txs, cnt);
    kh_node_leave(n);
    return good;
}

/* The block's bytes are CometBFT's only until the answer: what commit needs of them is copied. */
static kh_err copy_txs(kh_chain *c, const kh_tx_span *txs, uint32_t cnt)
{
    size_t sz = 0;
    for (uint32_t i = 0; i < cnt; i++) sz += txs[i].n;
    uint8_t *bytes = malloc(sz + 1);
    kh_tx_span *spans = calloc((size_t)cnt + 1, sizeof *spans);
    if (bytes == NULL || spans == NULL) {
        free(bytes);
        free(spans);
        return KH_E_NOMEM;
    }
    free(c->bytes);
    free(c->txs);
    c->bytes = bytes;
    c->txs = spans;
    for (uint32_t i = 0; i < cnt; i++) {
        spans[i] = (kh_tx_span){bytes, txs[i].n};
        if (txs[i].n != 0) memcpy(bytes, txs[i].p, txs[i].n);
        bytes += txs[i].n;
    }
    return KH_OK;
}

static void *copy(const void *p, size_t n)
{
    void *q = malloc(n + 1);
    if (q != NULL && n != 0) memcpy(q, p, n);
    return q;
}

static kh_result *result_of(const kh_order_block *b)
{
    kh_result *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->height = b->height;
    memcpy(r->app_hash, b->app_hash, 32);
    r->tx_cnt = b->tx_cnt;
    r->validator_cnt = b->validator_cnt;
    r->next_version = b->next_version;
    r->codes = copy(b->codes, b->tx_cnt * sizeof *b->codes);
    r->digests = copy(b->digests, b->tx_cnt * sizeof *b->digests);
    r->validators = copy(b->validators, b->validator_cnt * sizeof *b->validators);
    if (r->codes == NULL || r->digests == NULL || r->validators == NULL) {
        result_free(r);
        return NULL;
    }
    return r;
}

/* CometBFT begins again above what is durable when it alone was started anew: the same blocks get the same answers. */
static kh_err finalize_again(kh_node *n, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t cnt,
                             const kh_order_block **ret)
{
    kh_chain *c = &n->chain;
    const kh_result *r = c->first;
    while (r != NULL && r->height != height) r = r->next;
    if (r == NULL || r->tx_cnt != cnt) return KH_E_ARG;
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t digest[32];
        kh_sha256(txs[i].p, txs[i].n, digest);
        if (memcmp(digest, r->digests[i], 32) != 0) return KH_E_ARG;
    }
    if (c->open && c->block.height == height) {
        c->again = false;
        *ret = &c->block;
        return KH_OK;
    }
    c->again = true;
    c->repeated = (kh_order_block){.height = height,
                                   .time_ns = time_ns,
                                   .tx_cnt = cnt,
                                   .codes = r->codes,
                                   .digests = r->digests,
                                   .validator_cnt = r->validator_cnt,
                                   .validators = r->validators,
                                   .next_version = r->next_version};
    memcpy(c->repeated.app_hash, r->app_hash, 32);
    *ret = &c->repeated;
    return KH_OK;
}

/* CometBFT asks for a new block behind all that it gives again: what is durable by now it asks for no more, nor does it still
 * read an answer that points there. */
static void forget_kept(kh_chain *c)
{
    while (c->first != NULL && c->first->height <= c->kept_height) {
        kh_result *r = c->first;
        c->first = r->next;
        if (c->first == NULL) c->last = NULL;
        result_free(r);
    }
}

static kh_err finalize(kh_node *n, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t cnt,
                       const kh_order_block **ret)
{
    kh_chain *c = &n->chain;
    if (height <= kh_order_height(n->order)) return finalize_again(n, height, time_ns, txs, cnt, ret);
    if (height != kh_order_height(n->order) + 1 || c->open) return KH_E_ARG;
    kh_err err = copy_txs(c, txs, cnt);
    if (err == KH_OK) err = kh_order_finalize(n->order, height, time_ns, c->txs, cnt, &c->block);
    if (err != KH_OK) return err;
    c->open = true;
    c->again = false;
    forget_kept(c);
    kh_result *r = result_of(&c->block);
    if (r == NULL) return KH_E_NOMEM;
    if (c->last != NULL) c->last->next = r;
    else c->first = r;
    c->last = r;
    *ret = &c->block;
    return KH_OK;
}

kh_err kh_node_finalize(kh_node *n, uint64_t height, uint64_t time_ns, const kh_tx_span *txs, uint32_t cnt,
                        const kh_order_block **ret)
{
    kh_node_enter(n);
    kh_err err = finalize(n, height, time_ns, txs, cnt, ret);
    kh_node_leave(n);
    return err;
}

static void commit(kh_node *n)
{
    kh_chain *c = &n->chain;
    const kh_order_block *b = &c->block;
    c->open = false;
    kh_node_look(n);
    kh_attests_hash(n, b->height, b->app_hash);
    kh_bodies_committed(n, b);
    kh_own_committed(n, b);
    kh_acks_committed(n);
    kh_pending_committed(n, b);
    n->fx->decided(n->fx->self, b);
    kh_attests_committed(n, b);
    n->fx->body_expire(n->fx->self, b->time_ns);
    kh_own_seal_waiting(n);
}

void kh_node_commit(kh_node *n)
{
    kh_node_enter(n);
    if (n->chain.again) n->chain.again = false;
    else if (n->chain.open) commit(n);
    kh_node_leave(n);
}

void kh_node_kept(kh_node *n, uint64_t height)
{
    kh_node_enter(n);
    kh_chain *c = &n->chain;
    for (const kh_result *r = c->first; r != NULL && r->height <= height && !(c->open && r->height == c->block.height);
         r = r->next) {
        if (r->height <= c->kept_height) continue;
        c->kept_height = r->height;
        memcpy(c->kept_hash, r->app_hash, 32);
    }
    kh_node_leave(n);
}

kh_err kh_node_save(kh_node *n, uint8_t **ret, size_t *ret_n, uint64_t *ret_height)
{
    kh_node_enter(n);
    kh_err err = n->chain.open ? KH_E_AGAIN : kh_order_save(n->order, ret, ret_n);
    if (err == KH_OK) *ret_height = kh_order_height(n->order);
    kh_node_leave(n);
    return err;
}

/* ---- an order that was given ---- */

static bool may_adopt(const kh_node *n, const kh_order *given)
{
    const kh_chain *c = &n->chain;
    return !c->open && c->first == NULL && kh_order_height(n->order) == (n->adopted != 0 ? n->adopted : n->begins) &&
           kh_order_height(given) >= kh_order_height(n->order);
}

static bool executes(const kh_node *n, const kh_order *given)
{
    const kh_member *m = kh_order_member(given, n->options.self);
    return m != NULL && (m->role & KH_MEMBER_HUB) != 0 && !n->options.hub_adopts;
}

/* Bodies above the attested height are those that a hub may still ask for. */
static void want_unattested(kh_node *n)
{
    uint8_t digest[32];
    bool lost;
    for (uint32_t i = 0; kh_order_unattested_at(n->order, i, digest, &lost); i++)
        if (!lost && !n->fx->body_has(n->fx->self, digest)) kh_wants_add(n, digest, kh_order_height(n->order), 0, NULL);
}

static void take_order(kh_node *n, kh_order *given)
{
    kh_order_free(n->order);
    n->order = given;
    n->adopted = n->chain.kept_height = kh_order_height(given);
    kh_order_app_hash(given, n->chain.kept_hash);
    kh_node_look(n);
    kh_attests_order(n);
    for (uint32_t i = 0; i < n->member_cnt; i++) n->members[i]->acked_cnt = 0, n->members[i]->acked_sz = 0;
    kh_acks_load(n);
    kh_own_adopted(n);
    want_unattested(n);
}

kh_err kh_node_adopt(kh_node *n, const uint8_t *saved, size_t sz, uint64_t height, const uint8_t app_hash[32],
                     kh_err (*begin)(void *ctx, kh_order *order), void *ctx)
{
    kh_order *given = NULL;
    const kh_node_options *o = &n->options;
    kh_err err = kh_order_load_given(o->genesis_bytes, o->genesis_sz, saved, sz, height, app_hash, &given);
    if (err != KH_OK) return err == KH_E_VERSION ? KH_E_FORMAT : err;
    kh_node_enter(n);
    err = executes(n, given) ? KH_E_CLOSED : may_adopt(n, given) ? begin(ctx, given) : KH_E_EXISTS;
    if (err == KH_OK) take_order(n, given);
    kh_node_leave(n);
    if (err != KH_OK) kh_order_free(given);
    return err;
}
