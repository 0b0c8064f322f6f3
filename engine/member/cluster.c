/* cluster: a node's parts, started in order and stopped in reverse. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "member/parts.h"
#include "host/host.h"

#define BODIES_QUOTA (UINT64_C(256) << 20) /* bytes of one sender that were not ordered */

/* ---- what is on disk ---- */

static bool open_disk(kh_cluster *c, char *why, size_t cap)
{
    char path[KH_CONFIG_PATH_MAX + 16];
    const char *data = c->options.config->data;
    c->has_disk = kh_host_disk_open(true, &c->disk) == KH_OK;
    c->has_view_disk = kh_host_disk_open(true, &c->view_disk) == KH_OK;
    if (!c->has_disk || !c->has_view_disk) return kh_cluster_say(why, cap, "out of memory");
    (void)snprintf(path, sizeof path, "%s/bodies", data);
    kh_err err = c->disk.make_dir(c->disk.self, path);
    if (err != KH_OK && err != KH_E_EXISTS) return kh_cluster_say(why, cap, "%s: %s", path, kh_err_text(err));
    why[0] = '\0';
    err = kh_bodies_open(&c->disk, path, BODIES_QUOTA, false, why, cap, &c->bodies);
    if (err == KH_OK) err = kh_kept_open(&c->disk, data, why, cap, &c->kept);
    if (err == KH_OK) err = kh_snapshots_open(&c->disk, data, why, cap, &c->snapshots);
    if (err != KH_OK && why[0] == '\0') return kh_cluster_say(why, cap, "%s: %s", data, kh_err_text(err));
    return err == KH_OK;
}

kh_err kh_cluster_note(kh_cluster *c, uint64_t height, const uint8_t *types, const uint16_t *codes, uint32_t n)
{
    uint32_t i = 0;
    kh_err err = KH_OK;
    while (i < n && (types[i] != KH_TX_CHANGE || codes[i] != KH_R_OK)) i++;
    if (i == n) return KH_OK;
    (void)pthread_mutex_lock(&c->changes_lock);
    if (c->change_cnt == c->change_cap) {
        uint32_t cap = c->change_cap != 0 ? 2 * c->change_cap : 64;
        uint64_t *p = realloc(c->changes, cap * sizeof *p);
        if (p == NULL) err = KH_E_NOMEM;
        else c->changes = p, c->change_cap = cap;
    }
    if (err == KH_OK) c->changes[c->change_cnt++] = height;
    (void)pthread_mutex_unlock(&c->changes_lock);
    return err;
}

static void rekeyed(kh_cluster *c, uint32_t member)
{
    (void)pthread_mutex_lock(&c->changes_lock);
    uint32_t i = 0;
    while (i < c->rekeyed_cnt && c->rekeyed[i] != member) i++;
    uint32_t *more = i == c->rekeyed_cnt ? realloc(c->rekeyed, (i + (size_t)1) * sizeof *more) : NULL;
    if (more != NULL) {
        c->rekeyed = more;
        c->rekeyed[c->rekeyed_cnt++] = member;
    }
    (void)pthread_mutex_unlock(&c->changes_lock);
}

void kh_cluster_note_keys(kh_cluster *c, uint64_t height)
{
    kh_kept_member *before = NULL, *now = NULL;
    uint32_t before_cnt = 0, cnt = 0;
    if (kh_kept_members(c->kept, height - 1, &before, &before_cnt) == KH_OK &&
        kh_kept_members(c->kept, height, &now, &cnt) == KH_OK) {
        for (uint32_t i = 0, k = 0; i < cnt; i++) {
            while (k < before_cnt && before[k].id < now[i].id) k++;
            if (k == before_cnt || before[k].id != now[i].id) continue;
            if (memcmp(before[k].sender, now[i].sender, KH_PUBLIC_SZ) != 0 ||
                memcmp(before[k].box, now[i].box, KH_PUBLIC_SZ) != 0)
                rekeyed(c, now[i].id);
        }
    }
    free(before);
    free(now);
}

uint32_t kh_cluster_rekeyed(kh_cluster *c)
{
    (void)pthread_mutex_lock(&c->changes_lock);
    uint32_t member = c->rekeyed_cnt != 0 ? c->rekeyed[--c->rekeyed_cnt] : 0;
    (void)pthread_mutex_unlock(&c->changes_lock);
    return member;
}

uint32_t kh_cluster_changes(kh_cluster *c, uint64_t *ret, uint32_t max)
{
    (void)pthread_mutex_lock(&c->changes_lock);
    uint32_t n = c->change_cnt < max ? c->change_cnt : max;
    if (n != 0) memcpy(ret, c->changes, n * sizeof *ret);
    (void)pthread_mutex_unlock(&c->changes_lock);
    return n;
}

/* ---- the node ---- */

static bool start_node(kh_cluster *c, const kh_cluster_keys *k, char *why, size_t cap)
{
    uint8_t *saved = NULL;
    size_t n = 0;
    kh_cluster_effects_fill(c);
    const kh_node_options options = {.self = c->options.config->cluster.member,
                                     .genesis = c->options.genesis,
                                     .genesis_bytes = c->genesis,
                                     .genesis_sz = c->genesis_sz,
                                     .sender = k->sender,
                                     .ack = k->ack,
                                     .attest = k->attest,
                                     .box = k->box,
                                     .adopted = kh_kept_base(c->kept),
                                     .hub_adopts = true,
                                     .effects = &c->effects};
    kh_err err = kh_kept_saved(c->kept, &saved, &n);
    if (err == KH_OK) err = kh_node_new(&options, saved, n, &c->node);
    free(saved);
    if (err == KH_E_VERSION)
        return kh_cluster_say(why, cap, "%s/order was kept by another version: begin this node anew", c->options.config->data);
    if (err == KH_E_FORMAT || err == KH_E_DAMAGED || err == KH_E_ARG)
        return kh_cluster_say(why, cap, "%s/order is not of the chain that %s begins", c->options.config->data,
                              c->options.config->cluster.genesis);
    if (err != KH_OK) return kh_cluster_say(why, cap, "the node: %s", kh_err_text(err));
    c->saved_height = kh_node_kept_height(c->node, (uint8_t[32]){0});
    err = kh_changes_new(c->node, &c->officers);
    return err == KH_OK || kh_cluster_say(why, cap, "the node: %s", kh_err_text(err));
}

/* Keys that the order does not know yet are not used. */
static bool start_self(kh_cluster *c, char *why, size_t cap)
{
    static const kh_cluster_keys none;
    if (!start_node(c, c->options.keys, why, cap) || !kh_cluster_know_self(c, why, cap)) return false;
    if (!c->follows) return true;
    kh_cluster_note_why(c, why);
    c->follows_told_ns = c->options.clock->monotonic(c->options.clock->self);
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "follows", {"member", NULL, c->options.config->cluster.member}, {"why", why, 0},
           {"do", "nothing where it joins, or where its keys were changed: it begins by itself when the order comes to that", 0});
    kh_changes_free(c->officers);
    kh_node_free(c->node);
    c->officers = NULL;
    c->node = NULL;
    return start_node(c, &none, why, cap);
}

static bool is_of_genesis(const kh_cluster *c)
{
    const kh_genesis *g = c->options.genesis;
    uint32_t i = 0;
    while (i < g->member_cnt && g->members[i].id != c->self.id) i++;
    return i < g->member_cnt;
}

static bool start_view(kh_cluster *c, char *why, size_t cap)
{
    const kh_cluster_keys *k = c->options.keys;
    char opening[1024];
    (void)snprintf(opening, sizeof opening, "%s/opening", c->options.config->cluster.keys);
    const kh_view_options options = {.node = c->node,
                                     .kept = c->kept,
                                     .disk = &c->view_disk,
                                     .genesis = c->options.genesis,
                                     .opening = opening,
                                     .entropy = c->options.entropy,
                                     .dir = c->options.config->data,
                                     .party = c->self.id,
                                     .suite = c->options.genesis->suite,
                                     .box = k->box,
                                     .box_old = k->box_old,
                                     .disk_secret = k->disk,
                                     .alert = kh_cluster_alert,
                                     .send = kh_cluster_send,
                                     .ctx = c};
    why[0] = '\0';
    kh_err err = kh_view_open(&options, why, cap, &c->view);
    if (err != KH_OK) return why[0] != '\0' ? false : kh_cluster_say(why, cap, "the view: %s", kh_err_text(err));
    kh_store_drive(c->options.store, kh_view_driver(c->view));
    if (kh_view_opening_lacks(c->view) && is_of_genesis(c))
        KH_LOG(
            c->options.logging, KH_LEVEL_WARNING, "opening_missing", {"opening", opening, 0},
            {"do", "put this bank's there and restart, or let it be: what the bank had before the genesis is asked of hubs", 0});
    return true;
}

typedef struct opening {
    kh_cluster *cluster;
    kh_err err;
} opening;

static void open_register(void *ctx, kh_order *order)
{
    opening *o = ctx;
    kh_cluster *c = o->cluster;
    o->err = kh_register_open(c->options.store, c->kept, c->options.genesis, order, &c->members);
}

static bool start_own(kh_cluster *c, char *why, size_t cap)
{
    opening o = {.cluster = c};
    if (c->follows) return true;
    if (c->self.role == KH_MEMBER_HUB) return kh_cluster_hub(c, why, cap);
    kh_node_read(c->node, open_register, &o);
    if (o.err != KH_OK) return kh_cluster_say(why, cap, "the members' register: %s", kh_err_text(o.err));
    return c->self.role != KH_MEMBER_BANK || start_view(c, why, cap);
}

/* ---- CometBFT ---- */

static bool start_abci(kh_cluster *c, char *why, size_t cap)
{
    const kh_abci_handler handler = {.call = kh_cluster_call, .lost = kh_cluster_lost, .self = c};
    c->txs = calloc(KH_ORDER_TXS_MAX, sizeof *c->txs);
    if (c->txs == NULL) return kh_cluster_say(why, cap, "out of memory");
    return kh_abci_listen(c->options.config->cluster.abci, &handler, why, cap, &c->abci) == KH_OK;
}

/* ---- all of it ---- */

static bool init(kh_cluster *c, char *why, size_t cap)
{
    pthread_condattr_t attr;
    (void)pthread_mutex_init(&c->calls, NULL);
    (void)pthread_mutex_init(&c->saving, NULL);
    (void)pthread_mutex_init(&c->due_lock, NULL);
    (void)pthread_mutex_init(&c->beat_lock, NULL);
    (void)pthread_mutex_init(&c->changes_lock, NULL);
    (void)pthread_mutex_init(&c->peers_lock, NULL);
    (void)pthread_mutex_init(&c->follows_lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->beat_end, &attr);
    (void)pthread_condattr_destroy(&attr);
    kh_err err = kh_genesis_encode(c->options.genesis, &c->genesis, &c->genesis_sz);
    if (err == KH_E_NOMEM) return kh_cluster_say(why, cap, "out of memory");
    return err == KH_OK || kh_cluster_say(why, cap,
                                          "%s: app_state.kanhe is not sound: a key, member, officer or public leaf is not as "
                                          "docs/CLUSTER.md says",
                                          c->options.config->cluster.genesis);
}

bool kh_cluster_start(const kh_cluster_options *options, char *why, size_t cap, kh_cluster **ret)
{
    kh_cluster *c = calloc(1, sizeof *c);
    if (c == NULL) return kh_cluster_say(why, cap, "out of memory");
    c->options = *options;
    bool good = init(c, why, cap) && open_disk(c, why, cap) && kh_cluster_bodies_mark(c, why, cap) && start_self(c, why, cap) &&
                kh_cluster_bodies_want(c, why, cap) && kh_cluster_states_open(c, why, cap) && start_own(c, why, cap) &&
                kh_cluster_links(c, why, cap) && kh_cluster_states_run(c, why, cap) && kh_cluster_beat(c, why, cap) &&
                kh_cluster_make_run(c, why, cap) && kh_cluster_join_run(c, why, cap) && start_abci(c, why, cap);
    if (good) *ret = c;
    else kh_cluster_stop(c);
    return good;
}

/* Called with the node's lock held: no effect uses them from now on. */
static void detach(void *ctx, kh_order *order)
{
    kh_cluster *c = ctx;
    (void)order;
    c->ended.hub = c->hub;
    c->ended.view = c->view;
    c->ended.members = c->members;
    c->hub = NULL;
    c->view = NULL;
    c->members = NULL;
}

void kh_cluster_end(kh_cluster *c)
{
    kh_cluster_still(c);
    kh_cluster_states_end(c);
    kh_cluster_make_end(c);
    kh_cluster_join_end(c);
    if (c->node != NULL && (c->hub != NULL || c->view != NULL || c->members != NULL)) kh_node_read(c->node, detach, c);
    if (c->officers != NULL) kh_changes_stop(c->officers);
    if (c->ended.hub != NULL) kh_hub_end(c->ended.hub);
    if (c->ended.view != NULL) kh_view_end(c->ended.view);
}

void kh_cluster_stop(kh_cluster *c)
{
    if (c == NULL) return;
    bool whole = c->abci != NULL;
    kh_cluster_tell_end(c); /* an answer to CometBFT may wait for peers */
    if (c->abci != NULL) kh_abci_stop(c->abci);
    kh_cluster_end(c);
    if (c->ended.view != NULL) kh_store_drive(c->options.store, NULL);
    kh_hub_stop(c->ended.hub);
    kh_view_close(c->ended.view);
    kh_register_close(c->ended.members);
    kh_cluster_unlink(c);
    kh_states_close(c->states);
    if (whole && !atomic_load(&c->failed)) kh_cluster_save(c, 0);
    if (c->bodies != NULL) kh_bodies_close(c->bodies); /* what is still written is told to the node */
    kh_changes_free(c->officers);
    kh_node_free(c->node);
    kh_kept_close(c->kept);
    kh_snapshots_close(c->snapshots);
    kh_taking_free(c->sync.taking);
    free(c->sync.chunk);
    free(c->due);
    if (c->has_view_disk) kh_host_disk_close(&c->view_disk);
    if (c->has_disk) kh_host_disk_close(&c->disk);
    (void)pthread_cond_destroy(&c->beat_end);
    (void)pthread_mutex_destroy(&c->beat_lock);
    (void)pthread_mutex_destroy(&c->changes_lock);
    (void)pthread_mutex_destroy(&c->peers_lock);
    (void)pthread_mutex_destroy(&c->follows_lock);
    free(c->rekeyed);
    free(c->changes);
    (void)pthread_mutex_destroy(&c->calls);
    (void)pthread_mutex_destroy(&c->saving);
    (void)pthread_mutex_destroy(&c->due_lock);
    free(c->genesis);
    free(c->txs);
    free(c->validators);
    free(c->spans);
    free(c);
}

/* ---- looking ---- */

kh_node *kh_cluster_node(kh_cluster *c) { return c->node; }
kh_kept *kh_cluster_kept(kh_cluster *c) { return c->kept; }
kh_changes *kh_cluster_officers(kh_cluster *c) { return c->officers; }
const kh_config *kh_cluster_config(const kh_cluster *c) { return c->options.config; }
kh_logging *kh_cluster_logging(const kh_cluster *c) { return c->options.logging; }
bool kh_cluster_follows(const kh_cluster *c) { return c->follows; }
bool kh_cluster_waits(const kh_cluster *c) { return c->waits; }
bool kh_cluster_joined(const kh_cluster *c) { return atomic_load(&c->joined); }
bool kh_cluster_sound(const kh_cluster *c) { return !atomic_load(&c->failed); }

static void count_order(kh_cluster_counts *n, kh_order *order)
{
    kh_order_state states[KH_STATES];
    uint8_t posted[32];
    n->attested_height = kh_order_attested(order, posted);
    n->checkpoint_height = kh_order_checkpoint(order, posted);
    kh_order_states(order, states);
    n->wanted_height = states[KH_STATE_WANTED].height;
    n->held_height = states[KH_STATE_HELD].height;
    n->bodies_gone = kh_order_bodies_gone(order);
}

typedef struct parts { /* as the node's lock has them: whoever ends the cluster takes them away under it */
    kh_cluster *cluster;
    kh_hub *hub;
    kh_view *view;
    kh_cluster_counts *counts; /* NULL: not asked for */
} parts;

static void look(void *ctx, kh_order *order)
{
    parts *p = ctx;
    p->hub = p->cluster->hub;
    p->view = p->cluster->view;
    if (p->counts != NULL) count_order(p->counts, order);
}

kh_view *kh_cluster_view(kh_cluster *c)
{
    parts p = {.cluster = c};
    kh_node_read(c->node, look, &p);
    return p.view;
}

void kh_cluster_count(kh_cluster *c, kh_cluster_counts *ret)
{
    kh_cluster_counts n = {.follows = c->follows};
    parts p = {.cluster = c, .counts = &n};
    uint8_t hash[32];
    kh_node_read(c->node, look, &p);
    n.is_hub = p.hub != NULL;
    n.is_bank = p.view != NULL;
    kh_node_count(c->node, &n.node);
    kh_link *link = atomic_load_explicit(&c->link, memory_order_acquire); /* of start_link */
    kh_link_count(link, &n.link);
    n.kept_height = kh_node_kept_height(c->node, hash);
    kh_states_count(c->states, &n.states);
    if (n.is_hub) n.executed_height = kh_hub_executed_height(p.hub);
    if (n.is_bank) kh_view_count(p.view, &n.view);
    n.body_bytes = kh_bodies_bytes(c->bodies);
    n.alerts = atomic_load_explicit(&c->alerts, memory_order_relaxed);
    kh_cluster_count_peers(c, &n);
    *ret = n;
}
