/* attest: what hubs say of each height, held until a quorum agrees; and who contradicts this node's own hash, itself, or the
 * others: named at once where it is proven, and one block later where two differ and no quorum says whose lie it is. Only what
 * counts the losses that this node's order has is looked at: what was said before one, and of one that is not here yet, is told
 * again by whom it holds for. */
#include <stdlib.h>
#include "cluster/parts.h"

#define TELL_AGAIN_NS (1000 * KH_MS)

void kh_attests_free(kh_node *n)
{
    for (uint32_t i = 0; i < n->attests.cnt; i++) free(n->attests.held[i].of);
    free(n->attests.held);
    free(n->attests.hashes);
}

/* ---- this node's own hash ---- */
void kh_attests_hash(kh_node *n, uint64_t height, const uint8_t app_hash[32])
{
    kh_attests *t = &n->attests;
    t->upto = height;
    if (t->hashes == NULL && (t->hashes = malloc(KH_HASHES_MAX * sizeof *t->hashes)) == NULL) return;
    if (t->hash_cnt != 0 && memcmp(t->hashes[t->hash_cnt - 1].app_hash, app_hash, 32) == 0) return;
    if (t->hash_cnt == KH_HASHES_MAX) {
        t->hash_cnt /= 2;
        memmove(t->hashes, t->hashes + t->hash_cnt, t->hash_cnt * sizeof *t->hashes);
    }
    t->hashes[t->hash_cnt].height = height;
    memcpy(t->hashes[t->hash_cnt++].app_hash, app_hash, 32);
}

void kh_attests_order(kh_node *n)
{
    uint64_t height;
    uint8_t hash[32];
    n->attests.hash_cnt = 0;
    for (uint32_t i = 0; kh_order_app_at(n->order, i, &height, hash); i++) kh_attests_hash(n, height, hash);
    n->attests.upto = kh_order_height(n->order);
}

/* NULL: not known (any more). */
static const uint8_t *own_hash(const kh_attests *t, uint64_t height)
{
    uint32_t low = 0, high = t->hash_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (t->hashes[middle].height <= height) low = middle + 1;
        else high = middle;
    }
    return low != 0 && height <= t->upto ? t->hashes[low - 1].app_hash : NULL;
}

/* ---- naming ---- */
static void name(kh_node *n, uint32_t hub, uint64_t height)
{
    kh_attests *t = &n->attests;
    const uint32_t cap = sizeof t->named / sizeof t->named[0];
    for (uint32_t i = 0; i < t->named_cnt && i < cap; i++)
        if (t->named[i].hub == hub && t->named[i].height == height) return;
    t->named[t->named_cnt % cap].hub = hub;
    t->named[t->named_cnt++ % cap].height = height;
    n->counts.alerts++;
    n->fx->alert(n->fx->self, "DIFFERING_ATTESTATION", hub, height);
}

/* ---- heights ---- */
static uint32_t place_of(const kh_attests *t, uint64_t height, uint32_t flags)
{
    uint32_t low = 0, high = t->cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const kh_held *h = &t->held[middle];
        if (h->height < height || (h->height == height && h->flags < flags)) low = middle + 1;
        else high = middle;
    }
    return low;
}

kh_held *kh_attests_at(const kh_attests *t, uint64_t height, uint32_t flags)
{
    uint32_t i = place_of(t, height, flags);
    return i < t->cnt && t->held[i].height == height && t->held[i].flags == flags ? &t->held[i] : NULL;
}

static kh_held *held_for(kh_attests *t, uint64_t height, uint32_t flags)
{
    kh_held *there = kh_attests_at(t, height, flags);
    uint32_t i = place_of(t, height, flags);
    if (there != NULL) return there;
    if (t->held == NULL && (t->held = malloc(KH_HELD_MAX * sizeof *t->held)) == NULL) return NULL;
    if (t->cnt == KH_HELD_MAX) { /* the lowest goes, or this one */
        if (i == 0) return NULL;
        free(t->held[0].of);
        memmove(t->held, t->held + 1, --t->cnt * sizeof *t->held);
        i--;
    }
    memmove(t->held + i + 1, t->held + i, (t->cnt - i) * sizeof *t->held);
    t->held[i] = (kh_held){.height = height, .flags = flags};
    t->cnt++;
    return &t->held[i];
}

static bool in_hubs(const kh_node *n, uint32_t hub)
{
    for (uint32_t i = 0; i < n->hubs.cnt; i++)
        if (n->hubs.ids[i] == hub) return true;
    return false;
}

static uint32_t agreeing(const kh_node *n, const kh_held *h, const kh_attestation *with)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->cnt; i++) cnt += in_hubs(n, h->of[i].hub) && kh_attestation_agree(&h->of[i], with);
    return cnt;
}

/* What statements of a height say in their flags that count its losses. */
static uint32_t flags_now(const kh_node *n, uint64_t height, uint32_t checkpoint)
{
    return kh_attest_flags(kh_order_losses(n->order, height), checkpoint);
}

static bool counts_losses(const kh_node *n, uint64_t height, uint32_t flags)
{
    return kh_attest_losses(flags) == kh_order_losses(n->order, height);
}

/* What can be said of a height whose block this node has executed. */
static void check(kh_node *n, kh_held *h)
{
    const uint8_t *own = own_hash(&n->attests, h->height);
    if (h->height > n->attests.upto) return;
    for (uint32_t i = 0; i < h->cnt && own != NULL; i++)
        if (memcmp(h->of[i].app_hash, own, 32) != 0) name(n, h->of[i].hub, h->height);
    for (uint32_t i = 0; i < h->cnt && !h->attested; i++) {
        if ((own != NULL && memcmp(h->of[i].app_hash, own, 32) != 0) || agreeing(n, h, &h->of[i]) < n->hubs.quorum) continue;
        h->attested = true;
        h->root = h->of[i];
        if ((h->flags & KH_ATTEST_CHECKPOINT) == 0) n->fx->attested(n->fx->self, &h->root);
        else n->fx->checkpoint(n->fx->self, &h->root);
    }
    for (uint32_t i = 0; i < h->cnt; i++) {
        if (h->attested && !kh_attestation_agree(&h->of[i], &h->root)) name(n, h->of[i].hub, h->height);
        if (h->attested || h->differs_at != 0 || kh_attestation_agree(&h->of[i], &h->of[0])) continue;
        h->differs_at = n->attests.upto + 1;
        n->attests.differ_cnt++;
    }
}

/* ---- one comes ---- */
static void take(kh_node *n, uint32_t from, const kh_attestation *a)
{
    kh_attests *t = &n->attests;
    const kh_member *m = kh_order_member(n->order, a->hub);
    if (memcmp(a->chain, n->chain_id, 32) != 0 || m == NULL || !in_hubs(n, a->hub) || a->epoch > n->hubs.epoch ||
        a->height > t->upto + KH_HELD_AHEAD || !counts_losses(n, a->height, a->flags)) {
        n->counts.dropped++;
        return;
    }
    kh_held *h = kh_attests_at(t, a->height, a->flags);
    const kh_attestation *before = NULL;
    for (uint32_t i = 0; h != NULL && i < h->cnt; i++)
        if (h->of[i].hub == a->hub) before = &h->of[i];
    if (before != NULL && kh_attestation_agree(before, a)) return;
    if (!kh_attestation_signed_by(n->suite, a, m->attest)) {
        if (from != 0) kh_node_bad_signature(n, from);
        return;
    }
    if (before != NULL) {
        name(n, a->hub, a->height);
        return;
    }
    if ((h = held_for(t, a->height, a->flags)) == NULL) return;
    kh_attestation *more = realloc(h->of, (h->cnt + 1) * sizeof *more);
    if (more == NULL) return;
    h->of = more;
    h->of[h->cnt++] = *a;
    check(n, h);
}

void kh_attests_take(kh_node *n, uint32_t from, const uint8_t *p, size_t sz)
{
    kh_attestation a;
    if (kh_attestation_read(p, sz, &a) != KH_OK) {
        n->counts.dropped++;
        return;
    }
    take(n, from, &a);
    if (a.height <= n->attests.upto) kh_pending_add(n, from, p, sz);
}

/* ---- blocks ---- */
static void encode(const kh_attestation *a, uint8_t ret[KH_ATTESTATION_SZ])
{
    uint8_t *p = ret;
    memset(p, 0, KH_ATTESTATION_SZ);
    p[0] = KH_TX_ATTESTATION;
    p[1] = 1;
    memcpy(p + 4, a->chain, 32);
    kh_store64(p + 36, a->height);
    kh_store32(p + 44, a->epoch);
    kh_store32(p + 48, a->flags);
    memcpy(p + 52, a->app_hash, 32);
    memcpy(p + 84, a->posted, 32);
    memcpy(p + 116, a->outputs_root, 32);
    kh_store32(p + 148, a->hub);
    memcpy(p + 156, a->signature, KH_SIGNATURE_SZ);
}

/* Those that came before their block did. */
static void check_new(kh_node *n, uint64_t height, uint32_t checkpoint)
{
    kh_held *h = kh_attests_at(&n->attests, height, flags_now(n, height, checkpoint));
    if (h == NULL) return;
    check(n, h);
    for (uint32_t i = 0; i < h->cnt; i++) {
        uint8_t tx[KH_ATTESTATION_SZ];
        encode(&h->of[i], tx);
        kh_pending_add(n, 0, tx, sizeof tx);
    }
}

static void name_those_who_differ(kh_node *n, uint64_t height)
{
    kh_attests *t = &n->attests;
    for (uint32_t i = t->cnt; i-- > 0 && t->differ_cnt != 0;) {
        kh_held *h = &t->held[i];
        if (h->differs_at == 0 || h->differs_at > height) continue;
        for (uint32_t j = 0; j < h->cnt && !h->attested; j++) name(n, h->of[j].hub, h->height);
        h->differs_at = 0;
        t->differ_cnt--;
    }
}

static void seen_ordered(kh_node *n, const kh_attestation *a)
{
    for (uint32_t i = 0; i < sizeof n->attests.own / sizeof n->attests.own[0]; i++)
        if (a->hub == n->options.self && n->attests.own[i].height == a->height && n->attests.own[i].flags == a->flags)
            n->attests.own[i].height = 0;
}

/* Officers ordered lost what a hub may have executed: what was said without that of its height and of those above is void. */
static void forget(kh_node *n, uint64_t height)
{
    kh_attests *t = &n->attests;
    uint32_t left = place_of(t, height, 0);
    for (uint32_t i = left; i < t->cnt; i++) {
        kh_held *h = &t->held[i];
        if (counts_losses(n, h->height, h->flags)) {
            t->held[left++] = *h;
            continue;
        }
        t->differ_cnt -= h->differs_at != 0;
        free(h->of);
    }
    t->cnt = left;
    for (uint32_t i = 0; i < sizeof t->own / sizeof t->own[0]; i++)
        if (!counts_losses(n, t->own[i].height, t->own[i].flags)) t->own[i].height = 0;
}

void kh_attests_committed(kh_node *n, const kh_order_block *block)
{
    kh_attestation a;
    for (uint32_t i = 0; i < block->item_cnt; i++)
        if (block->items[i].kind == KH_ITEM_LOST) forget(n, block->items[i].sequence);
    check_new(n, block->height, 0);
    check_new(n, block->height, KH_ATTEST_CHECKPOINT);
    for (uint32_t i = 0; i < block->liar_cnt; i++)
        if (block->liars[i].proven) name(n, block->liars[i].hub, block->liars[i].height);
    for (uint32_t i = 0; i < block->tx_cnt; i++) {
        const kh_tx_span *tx = &n->chain.txs[i];
        if (block->types[i] != KH_TX_ATTESTATION || kh_attestation_read(tx->p, tx->n, &a) != KH_OK) continue;
        take(n, 0, &a);
        if (block->codes[i] == KH_R_OK || block->codes[i] == KH_R_REPEATED) seen_ordered(n, &a);
    }
    name_those_who_differ(n, block->height);
}

/* ---- this hub's own ---- */
static void tell(kh_node *n, const kh_attestation *a)
{
    uint8_t tx[KH_ATTESTATION_SZ];
    encode(a, tx);
    kh_pending_add(n, 0, tx, sizeof tx);
    kh_node_tell(n, n->peers, n->peer_cnt, KH_MSG_ATTESTATION, tx, sizeof tx);
}

static const kh_attestation *own_at(kh_node *n, uint64_t height, uint32_t flags)
{
    const kh_held *h = kh_attests_at(&n->attests, height, flags);
    for (uint32_t i = 0; h != NULL && i < h->cnt; i++)
        if (h->of[i].hub == n->options.self) return &h->of[i];
    return NULL;
}

/* The hubs' epoch as of a height: the same for every hub, whenever it says it. docs/CLUSTER.md has the leaf's bytes. */
uint32_t kh_attests_epoch(kh_node *n, uint64_t height)
{
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    kh_public_leaf leaf;
    uint32_t index, cnt, path_n;
    if (!kh_order_public(n->order, "h", 1, &leaf, &index, &cnt, path, &path_n) || leaf.value_n < 84) return n->hubs.epoch;
    uint32_t before = kh_load32(leaf.value + 72);
    uint64_t until = kh_load64(leaf.value + 76);
    return before != 0 && height + KH_SEALED_AFTER_EPOCH < until ? before : n->hubs.epoch;
}

/* say makes it, or finds what was said before: *ret_new. */
static kh_err say(kh_node *n, kh_attestation *a, bool *ret_new)
{
    uint8_t tx[KH_ATTESTATION_SZ];
    if (n->options.attest == NULL || !in_hubs(n, n->options.self)) return KH_E_ARG;
    a->epoch = kh_attests_epoch(n, a->height);
    a->hub = n->options.self;
    memcpy(a->chain, n->chain_id, 32);
    const kh_attestation *before = own_at(n, a->height, a->flags);
    if (before != NULL ? !kh_attestation_agree(before, a) : kh_words_contradict(n, a)) return KH_E_EXISTS;
    *ret_new = before == NULL;
    if (before != NULL) {
        *a = *before;
        return KH_OK;
    }
    kh_err err = kh_attestation_make(n->options.attest, a, tx);
    if (err == KH_OK) take(n, 0, a);
    return err;
}

static kh_attestation statement(uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                                const uint8_t outputs_root[32], uint32_t flags)
{
    kh_attestation a = {.height = height, .flags = flags};
    memcpy(a.app_hash, app_hash, 32);
    memcpy(a.posted, posted, 32);
    memcpy(a.outputs_root, outputs_root, 32);
    return a;
}

kh_err kh_node_attest(kh_node *n, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                      const uint8_t outputs_root[32], uint32_t flags)
{
    kh_attestation a = statement(height, app_hash, posted, outputs_root, flags);
    struct kh_own_word *own = n->attests.own;
    bool is_new = false;
    kh_node_enter(n);
    kh_err err = say(n, &a, &is_new);
    if (err == KH_OK && is_new) {
        memmove(own + 1, own, sizeof n->attests.own - sizeof *own);
        own[0] = (struct kh_own_word){height, flags};
    }
    if (err == KH_OK) tell(n, &a);
    kh_node_leave(n);
    return err;
}

kh_err kh_node_attest_again(kh_node *n, uint32_t to, uint64_t height, const uint8_t app_hash[32], const uint8_t posted[32],
                            const uint8_t outputs_root[32], uint32_t flags)
{
    kh_attestation a = statement(height, app_hash, posted, outputs_root, flags);
    uint8_t tx[KH_ATTESTATION_SZ];
    bool is_new;
    kh_node_enter(n);
    kh_err err = say(n, &a, &is_new);
    if (err == KH_OK) {
        encode(&a, tx);
        kh_node_tell(n, &to, 1, KH_MSG_ATTESTATION, tx, sizeof tx);
    }
    kh_node_leave(n);
    return err;
}

void kh_attests_tick(kh_node *n)
{
    kh_attests *t = &n->attests;
    uint64_t now = kh_node_monotonic(n);
    if (n->options.attest == NULL || now - t->own_at_ns < TELL_AGAIN_NS) return;
    t->own_at_ns = now;
    for (uint32_t i = sizeof t->own / sizeof t->own[0]; i-- > 0;) {
        const kh_attestation *a = t->own[i].height != 0 ? own_at(n, t->own[i].height, t->own[i].flags) : NULL;
        if (a != NULL) tell(n, a);
    }
}

/* ---- for proofs ---- */
bool kh_node_attested_root(kh_node *n, uint64_t height, kh_attestation *ret)
{
    kh_node_enter(n);
    const kh_held *h = kh_attests_at(&n->attests, height, flags_now(n, height, 0));
    bool attested = h != NULL && h->attested;
    if (attested) *ret = h->root;
    kh_node_leave(n);
    return attested;
}

static uint32_t collect(const kh_held *h, uint32_t quorum, kh_attestation *ret, uint32_t max)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->cnt && cnt < quorum && cnt < max; i++) {
        if (!kh_attestation_agree(&h->of[i], &h->root)) continue;
        uint32_t at = cnt++;
        for (; at > 0 && ret[at - 1].hub > h->of[i].hub; at--) ret[at] = ret[at - 1];
        ret[at] = h->of[i];
    }
    return cnt;
}

uint32_t kh_node_attestations(kh_node *n, uint64_t height, kh_attestation *ret, uint32_t max)
{
    kh_node_enter(n);
    const kh_held *h = kh_attests_at(&n->attests, height, flags_now(n, height, 0));
    uint32_t cnt = h != NULL && h->attested ? collect(h, n->hubs.quorum, ret, max) : 0;
    kh_node_leave(n);
    return cnt;
}
