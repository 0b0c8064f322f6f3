/* node: its life, the lock, what peers send, the beat. */
#include <stdlib.h>
#include "cluster/parts.h"

#define PEER_GIVE_MAX ((int64_t)KH_GIVE_BURST)

/* ---- the lock ---- */
void kh_node_enter(kh_node *n)
{
    (void)pthread_mutex_lock(&n->lock);
    n->depth++;
}

static bool next_done(kh_node *n, kh_done *ret)
{
    (void)pthread_mutex_lock(&n->done_lock);
    bool any = n->done_cnt > 0;
    if (any) {
        *ret = n->done[0];
        memmove(n->done, n->done + 1, --n->done_cnt * sizeof *n->done);
    }
    (void)pthread_mutex_unlock(&n->done_lock);
    return any;
}

/* What ended while an effect was called is looked at here, with nothing half done. */
void kh_node_leave(kh_node *n)
{
    kh_done done;
    while (n->depth == 1 && next_done(n, &done)) switch (done.token & 3) {
        case KH_TOKEN_OWN: kh_own_stored(n, done.token, done.err); break;
        case KH_TOKEN_ACK: kh_acks_stored(n, done.token, done.err); break;
        default: kh_wants_stored(n, done.token, done.err); break;
        }
    n->depth--;
    (void)pthread_mutex_unlock(&n->lock);
}

void kh_node_stored(kh_node *n, uint64_t token, kh_err err)
{
    (void)pthread_mutex_lock(&n->done_lock);
    if (n->done_cnt < n->done_cap) n->done[n->done_cnt++] = (kh_done){token, err};
    (void)pthread_mutex_unlock(&n->done_lock);
    kh_node_enter(n);
    kh_node_leave(n);
}

/* There is room for the end of everything that may be under way: own batches, bodies of every sender, wanted ones. */
static kh_err make_done_room(kh_node *n)
{
    n->done_cap = 2 * KH_NODE_WINDOW + KH_MEMBERS_MAX * KH_ACKED_MAX + KH_WANTS_ASKED;
    n->done = malloc(n->done_cap * sizeof *n->done);
    return n->done != NULL ? KH_OK : KH_E_NOMEM;
}

uint64_t kh_node_token(kh_node *n, uint32_t kind) { return ++n->next_token << 2 | kind; }

/* ---- who is there ---- */
static bool in_set(const kh_order_validators *set, uint32_t id, int32_t *ret_place)
{
    for (uint32_t i = 0; i < set->cnt; i++)
        if (set->ids[i] == id) {
            if (ret_place != NULL) *ret_place = (int32_t)i;
            return true;
        }
    return false;
}

void kh_node_look(kh_node *n)
{
    kh_order_validator_set(n->order, &n->set);
    kh_order_hub_set(n->order, &n->hubs);
    n->place = -1;
    (void)in_set(&n->set, n->options.self, &n->place);
    if (n->options.ack == NULL) n->place = -1;
    n->peer_cnt = n->storer_cnt = 0;
    const kh_member *m;
    for (uint32_t i = 0; (m = kh_order_member_at(n->order, i)) != NULL && n->peer_cnt < KH_MEMBERS_MAX; i++) {
        bool votes = in_set(&n->set, m->id, NULL), hub = (m->role & KH_MEMBER_HUB) != 0;
        if (m->id == n->options.self || (m->flags & KH_MEMBER_EXPELLED) != 0) continue;
        if (votes || hub || (m->role & KH_MEMBER_BANK) != 0) n->peers[n->peer_cnt++] = m->id;
        if (votes || hub) n->storers[n->storer_cnt++] = m->id;
    }
}

kh_peer *kh_node_peer(kh_node *n, uint32_t id)
{
    for (uint32_t i = 0; i < n->member_cnt; i++)
        if (n->members[i]->id == id) return n->members[i];
    if (kh_order_member(n->order, id) == NULL || n->member_cnt == KH_MEMBERS_MAX) return NULL;
    kh_peer *peer = calloc(1, sizeof *peer), **more = realloc(n->members, (n->member_cnt + 1) * sizeof(kh_peer *));
    if (more != NULL) n->members = more;
    if (peer == NULL || more == NULL) {
        free(peer);
        return NULL;
    }
    peer->id = id;
    peer->give_budget = PEER_GIVE_MAX;
    return n->members[n->member_cnt++] = peer;
}

void kh_node_tell(kh_node *n, const uint32_t *to, uint32_t cnt, uint8_t type, const uint8_t *p, size_t sz)
{
    for (uint32_t i = 0; i < cnt; i++) n->fx->send(n->fx->self, to[i], type, p, sz);
}

void kh_node_offer(kh_node *n, const uint8_t *tx, size_t sz)
{
    kh_pending_add(n, 0, tx, sz);
    for (uint32_t i = 0; i < n->set.cnt; i++)
        if (n->set.ids[i] != n->options.self) n->fx->send(n->fx->self, n->set.ids[i], KH_MSG_TX, tx, sz);
}

/* One alert a member and block: a flood of them would say no more. */
void kh_node_bad_signature(kh_node *n, uint32_t member)
{
    n->counts.bad_signatures++;
    kh_peer *peer = kh_node_peer(n, member);
    uint64_t height = kh_order_height(n->order);
    if (peer == NULL || peer->signature_alert_height == height + 1) return;
    peer->signature_alert_height = height + 1;
    n->counts.alerts++;
    n->fx->alert(n->fx->self, "BAD_SIGNATURE", member, height);
}

/* ---- life ---- */
static kh_err make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t how;
    if (pthread_mutexattr_init(&how) != 0) return KH_E_NOMEM;
    (void)pthread_mutexattr_settype(&how, PTHREAD_MUTEX_RECURSIVE);
    int bad = pthread_mutex_init(lock, &how);
    (void)pthread_mutexattr_destroy(&how);
    return bad == 0 ? KH_OK : KH_E_NOMEM;
}

kh_err kh_node_new(const kh_node_options *options, const uint8_t *saved, size_t saved_n, kh_node **ret)
{
    if (options->expires_ns > KH_EXPIRES_MAX_NS) return KH_E_ARG;
    kh_node *n = calloc(1, sizeof *n);
    if (n == NULL) return KH_E_NOMEM;
    n->options = *options;
    n->fx = options->effects;
    if (n->options.expires_ns == 0) n->options.expires_ns = 60 * KH_NS_PER_S;
    kh_err err = make_lock(&n->lock);
    if (err == KH_OK && (err = make_lock(&n->done_lock)) != KH_OK) (void)pthread_mutex_destroy(&n->lock);
    if (err != KH_OK) {
        free(n);
        return err;
    }
    err = make_done_room(n);
    if (err == KH_OK && saved_n != 0) err = kh_order_load(options->genesis_bytes, options->genesis_sz, saved, saved_n, &n->order);
    else if (err == KH_OK) err = kh_order_new(options->genesis_bytes, options->genesis_sz, &n->order);
    if (err != KH_OK) {
        kh_node_free(n);
        return err;
    }
    n->suite = kh_order_suite(n->order);
    kh_order_chain(n->order, n->chain_id);
    kh_order_app_hash(n->order, n->chain.kept_hash);
    n->begins = options->genesis->initial_height - 1;
    n->adopted = options->adopted;
    if (saved_n != 0) n->chain.kept_height = kh_order_height(n->order);
    n->last_tick_ns = kh_node_monotonic(n);
    kh_node_look(n);
    kh_attests_hash(n, kh_order_height(n->order), n->chain.kept_hash);
    kh_node_enter(n);
    kh_acks_load(n);
    err = kh_own_load(n);
    kh_node_leave(n);
    if (err == KH_OK) *ret = n;
    else kh_node_free(n);
    return err;
}

void kh_node_free(kh_node *n)
{
    if (n == NULL) return;
    kh_own_free(n);
    kh_pending_free(n);
    kh_attests_free(n);
    kh_chain_free(n);
    for (uint32_t i = 0; i < n->member_cnt; i++) free(n->members[i]);
    free(n->members);
    free(n->wants.of);
    free(n->done);
    kh_order_free(n->order);
    (void)pthread_mutex_destroy(&n->done_lock);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
}

/* ---- peers ---- */
static void take(kh_node *n, uint32_t from, uint8_t type, const uint8_t *p, size_t sz)
{
    const kh_member *m = kh_order_member(n->order, from);
    if (m == NULL || (m->flags & KH_MEMBER_EXPELLED) != 0) {
        n->counts.dropped++;
        return;
    }
    switch (type) {
    case KH_MSG_BODY: kh_acks_body(n, from, p, sz); break;
    case KH_MSG_ACK: kh_own_acked(n, from, p, sz); break;
    case KH_MSG_TX: kh_pending_add(n, from, p, sz); break;
    case KH_MSG_WANT: kh_wants_asked_for(n, from, p, sz); break;
    case KH_MSG_GIVE: kh_wants_given(n, from, p, sz); break;
    case KH_MSG_ATTESTATION: kh_attests_take(n, from, p, sz); break;
    case KH_MSG_OUTPUTS:
        if ((m->role & KH_MEMBER_HUB) != 0) n->fx->outputs(n->fx->self, from, p, sz);
        else n->counts.dropped++;
        break;
    case KH_MSG_OUTPUTS_FROM:
        if (sz == 8) n->fx->outputs_wanted(n->fx->self, from, kh_load64(p));
        else n->counts.dropped++;
        break;
    default: n->counts.dropped++; break;
    }
}

void kh_node_received(kh_node *n, uint32_t from, uint8_t type, const uint8_t *p, size_t sz)
{
    kh_node_enter(n);
    if (from != n->options.self) take(n, from, type, p, sz);
    kh_node_leave(n);
}

void kh_node_connected(kh_node *n, uint32_t peer, bool up)
{
    kh_node_enter(n);
    if (up) kh_own_peer_up(n, peer);
    kh_node_leave(n);
}

/* ---- the beat ---- */
static void refill_budgets(kh_node *n, uint64_t now)
{
    uint64_t ms = (now - n->last_tick_ns) / KH_MS;
    if (ms == 0) return;
    n->last_tick_ns += ms * KH_MS;
    int64_t more = (int64_t)(kh_min64(ms, 1000) * (KH_GIVE_A_SECOND / 1000));
    for (uint32_t i = 0; i < n->member_cnt; i++) {
        kh_peer *peer = n->members[i];
        peer->give_budget = peer->give_budget + more > PEER_GIVE_MAX ? PEER_GIVE_MAX : peer->give_budget + more;
    }
}

void kh_node_tick(kh_node *n)
{
    kh_node_enter(n);
    refill_budgets(n, kh_node_monotonic(n));
    kh_own_tick(n);
    kh_wants_tick(n);
    kh_attests_tick(n);
    kh_holds_tick(n);
    kh_node_leave(n);
}

uint64_t kh_node_clock(kh_node *n) { return kh_node_monotonic(n); }

void kh_node_read(kh_node *n, void (*f)(void *ctx, kh_order *order), void *ctx)
{
    kh_node_enter(n);
    f(ctx, n->order);
    kh_node_leave(n);
}

void kh_node_count(kh_node *n, kh_node_counts *ret)
{
    kh_node_enter(n);
    n->counts.height = kh_order_height(n->order);
    n->counts.pending = n->pending.cnt;
    n->counts.queue_bytes = n->own.waiting_sz;
    *ret = n->counts;
    kh_node_leave(n);
}
