/* sync: CometBFT's state sync: snapshots of the order for nodes that begin, and one that this node begins with. It may be
 * asked by nobody but the CometBFT of this node, which passes on what peers say: those may lie. */
#include <stdio.h>
#include <stdlib.h>
#include "member/parts.h"

/* ---- making ---- */

static void save_due(void *ctx, kh_order *order)
{
    kh_cluster *c = ctx;
    uint32_t blocks = c->options.config->cluster.snapshot_blocks;
    uint8_t *saved = NULL;
    size_t n = 0;
    if (!kh_order_snapshot_due(order, blocks != 0 ? blocks : KH_SNAPSHOT_BLOCKS)) return;
    if (kh_order_save(order, &saved, &n) != KH_OK) return; /* others have it, and there is a next one */
    (void)pthread_mutex_lock(&c->due_lock);
    free(c->due);
    c->due = saved;
    c->due_n = n;
    c->due_height = kh_order_height(order);
    (void)pthread_mutex_unlock(&c->due_lock);
}

void kh_cluster_snapshot(kh_cluster *c) { kh_node_read(c->node, save_due, c); }

/* A hub begins with a state that is or was held, at the newest snapshot that is not above it. */
static void pins_of(void *ctx, kh_order *order)
{
    uint64_t *pins = ctx;
    kh_order_state states[KH_STATES];
    kh_order_states(order, states);
    for (int i = 0; i < KH_STATES; i++) pins[i] = states[i].height;
}
_Static_assert(KH_STATES == KH_SNAPSHOTS_PINS, "one each");

void kh_cluster_snapshot_write(kh_cluster *c)
{
    uint64_t pins[KH_SNAPSHOTS_PINS];
    (void)pthread_mutex_lock(&c->due_lock);
    uint8_t *saved = c->due;
    size_t n = c->due_n;
    uint64_t height = c->due_height;
    c->due = NULL;
    (void)pthread_mutex_unlock(&c->due_lock);
    if (saved == NULL) return;
    kh_node_read(c->node, pins_of, pins);
    kh_err err = kh_snapshots_pin(c->snapshots, pins);
    if (err == KH_OK) err = kh_snapshots_add(c->snapshots, height, saved, n);
    free(saved);
    if (err == KH_OK) KH_LOG(c->options.logging, KH_LEVEL_INFO, "snapshot_made", {"height", NULL, height}, {"bytes", NULL, n});
    else
        KH_LOG(c->options.logging, KH_LEVEL_WARNING, "snapshot_not_made", {"height", NULL, height}, {"why", kh_err_text(err), 0},
               {"do", "look at the disk; nodes that begin take a snapshot of others", 0});
}

/* ---- giving ---- */

static bool list(kh_cluster *c, kh_abci_answer *ret)
{
    struct kh_cluster_sync *s = &c->sync;
    uint32_t cnt = kh_snapshots_list(c->snapshots, s->listed);
    for (uint32_t i = 0; i < cnt; i++) {
        const kh_snapshot *one = &s->listed[i];
        s->shown[i] = (kh_abci_snapshot){.height = one->height,
                                         .format = KH_SNAPSHOT_FORMAT,
                                         .chunks = one->chunks,
                                         .hash = {one->hash, 32},
                                         .metadata = {one->metadata[0], one->chunks * (size_t)32}};
    }
    ret->snapshots = s->shown;
    ret->snapshot_cnt = cnt;
    return true;
}

static bool load(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    uint8_t *p = NULL;
    size_t n = 0;
    bool ours = r->snapshot.format == KH_SNAPSHOT_FORMAT;
    if (ours && kh_snapshots_chunk(c->snapshots, (uint64_t)r->height, r->chunk, &p, &n) != KH_OK) n = 0;
    free(c->sync.chunk);
    c->sync.chunk = p;
    ret->value = (kh_span){p, n};
    return true;
}

/* ---- taking ---- */

static bool end(kh_cluster *c, const char *why, const char *what)
{
    kh_taking_free(c->sync.taking);
    c->sync.taking = NULL;
    KH_LOG(c->options.logging, KH_LEVEL_ERROR, "snapshot_refused", {"why", why, 0}, {"do", what, 0});
    return true; /* the verdict is KH_ABCI_ABORT */
}

/* A hub, or one that is to be: it has a key of the group. */
static bool is_hubs(const kh_cluster *c) { return c->self.role == KH_MEMBER_HUB || c->options.keys->epoch_cnt != 0; }

/* The words of its peer, as a text for the log. */
static void note_sender(kh_cluster *c, kh_span sender)
{
    struct kh_cluster_sync *s = &c->sync;
    size_t n = sender.n < sizeof s->sender_text ? sender.n : sizeof s->sender_text - 1;
    for (size_t i = 0; i < n; i++) s->sender_text[i] = (char)(sender.p[i] > 32 && sender.p[i] < 127 ? sender.p[i] : '?');
    s->sender_text[n] = '\0';
    s->sender = (kh_span){(const uint8_t *)s->sender_text, n};
}

/* A hub begins where a state of the ledger is, too: at the newest snapshot that is not above what peers have of these. */
static bool fits_a_state(kh_cluster *c, uint64_t height, kh_abci_answer *ret)
{
    uint64_t newest = kh_cluster_join_upto(c);
    if (newest != 0 && height <= newest) return true;
    if (newest == 0) {
        (void)end(c, "no peer has a state of the ledger for a hub to begin with",
                  "see that their links are up (peer_up), and that hubs have attested a checkpoint; then start this node again");
        return false;
    }
    KH_LOG(c->options.logging, KH_LEVEL_INFO, "snapshot_passed_over", {"height", NULL, height},
           {"why", "newer than the states of the ledger that peers have", 0}, {"state", NULL, newest});
    ret->verdict = KH_ABCI_OFFER_REJECT;
    return false;
}

static bool offer(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    struct kh_cluster_sync *s = &c->sync;
    const kh_abci_snapshot *o = &r->snapshot;
    uint8_t hash[32];
    if (c->hub != NULL)
        return end(
            c, "this hub has a state to execute on, of the first block or of another snapshot",
            "put kanhed's and CometBFT's data aside together, but for priv_validator_state.json, or switch [statesync] off");
    if (kh_node_kept_height(c->node, hash) != kh_kept_base(c->kept))
        return end(c, "the data directory holds an order that goes on from the first block, or from another snapshot",
                   "put kanhed's and CometBFT's data aside together, but for priv_validator_state.json and the view, or switch "
                   "[statesync] off");
    kh_taking_free(s->taking);
    s->taking = NULL;
    if (is_hubs(c) && !fits_a_state(c, o->height, ret)) return true;
    kh_err err = r->hash.n == 32 ? kh_taking_begin(o->height, o->format, o->chunks, o->hash.p, o->hash.n, o->metadata.p,
                                                   o->metadata.n, &s->taking)
                                 : KH_E_ARG;
    if (err == KH_OK) memcpy(s->app_hash, r->hash.p, 32);
    else
        KH_LOG(c->options.logging, KH_LEVEL_WARNING, "snapshot_passed_over", {"height", NULL, o->height},
               {"why", err == KH_E_VERSION ? "of another format" : kh_err_text(err), 0});
    ret->verdict = err == KH_OK          ? KH_ABCI_ACCEPT
                   : err == KH_E_VERSION ? KH_ABCI_OFFER_REJECT_FORMAT
                   : err == KH_E_FORMAT  ? KH_ABCI_OFFER_REJECT_SENDER
                                         : KH_ABCI_OFFER_REJECT;
    return true;
}

/* Called with the node's lock held, before the order is another. */
static kh_err begin(void *ctx, kh_order *order)
{
    kh_cluster *c = ctx;
    size_t n = 0;
    const uint8_t *bytes = kh_taking_bytes(c->sync.taking, &n);
    kh_err err = kh_kept_begin(c->kept, order, bytes, n);
    if (err == KH_OK && c->members != NULL) err = kh_register_given(c->members, order);
    if (err != KH_OK && err != KH_E_EXISTS) kh_cluster_fail(c, "snapshot", err);
    if (err == KH_OK) c->saved_height = kh_order_height(order);
    return err;
}

static bool adopt(kh_cluster *c, kh_abci_answer *ret)
{
    struct kh_cluster_sync *s = &c->sync;
    size_t n = 0;
    uint64_t height = kh_taking_height(s->taking);
    const uint8_t *bytes = kh_taking_bytes(s->taking, &n);
    (void)pthread_mutex_lock(&c->saving);
    kh_err err = kh_node_adopt(c->node, bytes, n, height, s->app_hash, begin, c);
    (void)pthread_mutex_unlock(&c->saving);
    if (atomic_load(&c->failed)) return end(c, "it cannot be kept", "look at the disk, then restart kanhed and CometBFT");
    if (err == KH_E_EXISTS || err == KH_E_NOMEM) return end(c, kh_err_text(err), "restart kanhed and CometBFT");
    kh_taking_free(s->taking);
    s->taking = NULL;
    if (err == KH_OK) {
        ret->verdict = KH_ABCI_ACCEPT;
        KH_LOG(c->options.logging, KH_LEVEL_INFO, "snapshot_taken", {"height", NULL, height}, {"bytes", NULL, n});
        return true;
    }
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "snapshot_false", {"height", NULL, height}, {"peer", s->sender_text, 0},
           {"why", "it is not the order of that height and app hash: who gave it lies", 0});
    ret->verdict = KH_ABCI_CHUNK_REJECT_SNAPSHOT;
    ret->reject_senders = &s->sender;
    ret->reject_cnt = 1;
    return true;
}

static bool apply(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    struct kh_cluster_sync *s = &c->sync;
    bool whole = false;
    if (s->taking == NULL) return true;
    note_sender(c, r->sender);
    kh_err err = kh_taking_chunk(s->taking, r->chunk, r->data.p, r->data.n, &whole);
    if (err == KH_OK && whole) return adopt(c, ret);
    ret->verdict = KH_ABCI_ACCEPT;
    if (err == KH_OK) return true;
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "snapshot_chunk_false", {"chunk", NULL, r->chunk}, {"peer", s->sender_text, 0});
    s->refetch = r->chunk;
    ret->verdict = KH_ABCI_CHUNK_RETRY;
    ret->refetch = &s->refetch;
    ret->reject_senders = &s->sender;
    ret->refetch_cnt = ret->reject_cnt = 1;
    return true;
}

bool kh_cluster_snapshot_call(kh_cluster *c, const kh_abci_request *request, kh_abci_answer *ret)
{
    switch (request->call) {
    case KH_ABCI_LIST_SNAPSHOTS: return list(c, ret);
    case KH_ABCI_OFFER_SNAPSHOT: return offer(c, request, ret);
    case KH_ABCI_LOAD_CHUNK: return load(c, request, ret);
    default: return apply(c, request, ret);
    }
}
