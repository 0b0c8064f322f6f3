/* states: sealed states of checkpoints at this node: which of them it wants and keeps, as the order says, and the thread
 * that waits for the disk and the signatures that this takes. */
#include <sys/statvfs.h>
#include "member/parts.h"

#define TICK_MS 20u
#define STEER_TICKS 50u
#define OWN_NS (600 * KH_NS_PER_S) /* how long a hub waits for one that it may have made, before it asks others for theirs */

/* ---- what states ask ---- */

typedef struct looking {
    kh_states_people *people;
    uint32_t self;
    uint64_t now_ns;
} looking;

/* A hub's state takes its time, and who made a false one has it at once: each waits for its own hub's during half of the time
   until a newer one takes the place of what is wanted. Returns the height; 0: nothing to wait for, or not any more. */
static uint64_t waited_for(const kh_order *order, uint64_t now_ns)
{
    kh_order_state of[KH_STATES];
    kh_order_states(order, of);
    const kh_order_state *wanted = &of[KH_STATE_WANTED];
    return now_ns < wanted->time_ns + kh_order_states_interval(order) / 2 ? wanted->height : 0;
}

static void look_at(void *ctx, kh_order *order)
{
    kh_order_hubs hubs;
    kh_order_validators set;
    kh_states_people *people = ((looking *)ctx)->people;
    const kh_member *m;
    kh_order_hub_set(order, &hubs);
    kh_order_validator_set(order, &set);
    for (uint32_t i = 0; (m = kh_order_member_at(order, i)) != NULL; i++)
        if ((m->flags & KH_MEMBER_EXPELLED) == 0) people->members[people->member_cnt++] = m->id;
    bool is_hub = false;
    for (uint32_t i = 0; i < hubs.cnt; i++) {
        if ((m = kh_order_member(order, hubs.ids[i])) == NULL) continue;
        is_hub = is_hub || m->id == ((looking *)ctx)->self;
        people->hubs[people->hub_cnt].id = m->id;
        memcpy(people->hubs[people->hub_cnt++].attest, m->attest, KH_PUBLIC_SZ);
    }
    for (uint32_t i = 0; i < set.cnt && !is_hub; i++)
        if (set.ids[i] == ((looking *)ctx)->self) people->place = i;
    people->waits_height = waited_for(order, ((looking *)ctx)->now_ns);
}

static void look(void *ctx, kh_states_people *ret)
{
    kh_cluster *c = ctx;
    looking l = {ret, c->options.config->cluster.member, c->options.clock->now(c->options.clock->self)};
    kh_link *link = atomic_load_explicit(&c->link, memory_order_acquire); /* of kh_cluster_links */
    ret->peer_cnt = ret->member_cnt = ret->hub_cnt = 0;
    ret->place = UINT32_MAX;
    kh_node_read(c->node, look_at, &l);
    (void)pthread_mutex_lock(&c->peers_lock);
    for (uint32_t i = 0; link != NULL && i < c->peer_cnt && ret->peer_cnt < KH_STATES_PEERS_MAX; i++)
        if (kh_link_is_up(link, c->peers[i].member)) ret->peers[ret->peer_cnt++] = c->peers[i].member;
    (void)pthread_mutex_unlock(&c->peers_lock);
}

static void held(void *ctx, uint64_t height)
{
    const kh_cluster *c = ctx;
    KH_LOG(c->options.logging, KH_LEVEL_INFO, "state_held", {"height", NULL, height});
}

static void alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    kh_cluster *c = ctx;
    if (member != 0) {
        kh_cluster_alert(c, word, member, height);
        return;
    }
    const char *what = strcmp(word, "STATE_NO_ROOM") == 0 ? "make room on the disk of the data directory"
                       : strcmp(word, "STATE_DAMAGED") == 0
                           ? "nothing: it is fetched again; look at the disk where it comes often"
                           : "look at the disk; it is tried again";
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "state_not_held", {"height", NULL, height}, {"why", word, 0}, {"do", what, 0});
}

uint64_t kh_cluster_room(void *ctx)
{
    struct statvfs fs;
    const kh_cluster *c = ctx;
    return statvfs(c->options.config->data, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

static void chain_of(void *ctx, kh_order *order) { kh_order_chain(order, ctx); }

bool kh_cluster_states_open(kh_cluster *c, char *why, size_t cap)
{
    kh_states_options options = {.self = c->options.config->cluster.member,
                                 .suite = c->options.genesis->suite,
                                 .sign = !c->follows && c->self.role == KH_MEMBER_HUB ? c->options.keys->attest : NULL,
                                 .disk = &c->disk,
                                 .dir = c->options.config->data,
                                 .entropy = c->options.entropy,
                                 .clock = c->options.clock,
                                 .look = look,
                                 .send = kh_cluster_send,
                                 .held = held,
                                 .alert = alert,
                                 .room = kh_cluster_room,
                                 .ctx = c};
    why[0] = '\0';
    kh_node_read(c->node, chain_of, options.chain);
    kh_err err = kh_states_open(&options, why, cap, &c->states);
    return err == KH_OK || (why[0] != '\0' ? false : kh_cluster_say(why, cap, "states: %s", kh_err_text(err)));
}

/* ---- which are wanted ---- */

typedef struct steering {
    uint32_t self;
    bool holds, is_hub; /* holds: it is to hold states */
    uint64_t now_ns, waits_height;
    kh_order_state of[KH_STATES];
} steering;

static void steer_by(void *ctx, kh_order *order)
{
    steering *s = ctx;
    const kh_member *m = kh_order_member(order, s->self);
    bool in = m != NULL && (m->flags & KH_MEMBER_EXPELLED) == 0;
    s->is_hub = in && m->role == KH_MEMBER_HUB;
    s->holds = in && (s->is_hub || (m->flags & KH_MEMBER_VALIDATOR) != 0);
    kh_order_states(order, s->of);
    s->waits_height = waited_for(order, s->now_ns);
}

/* A hub makes its own, and takes another's where that does not come. */
static bool waits_for_own(kh_cluster *c, uint64_t height)
{
    uint64_t now = c->options.clock->monotonic(c->options.clock->self);
    if (c->hub == NULL) return false;
    if (c->own_height != height) {
        c->own_height = height;
        c->own_since_ns = now;
    }
    return now - c->own_since_ns < OWN_NS;
}

static uint64_t wanted_of(kh_cluster *c, const steering *s)
{
    uint64_t first = s->of[KH_STATE_WANTED].height, second = s->of[KH_STATE_HELD].height;
    uint64_t asked = atomic_load_explicit(&c->state_asked, memory_order_relaxed);
    if (asked != 0) return asked;
    if (!s->holds) return 0;
    bool own = s->is_hub && c->hub != NULL && first == s->waits_height;
    if (first != 0 && !kh_states_holds(c->states, first)) return own ? 0 : first;
    if (second != 0 && !kh_states_holds(c->states, second)) return s->is_hub && waits_for_own(c, second) ? 0 : second;
    return first != 0 ? first : second;
}

static void steer(kh_cluster *c)
{
    steering s = {.self = c->options.config->cluster.member, .now_ns = c->options.clock->now(c->options.clock->self)};
    uint64_t keep[KH_STATES_KEPT] = {0};
    kh_node_read(c->node, steer_by, &s);
    uint64_t wanted = wanted_of(c, &s), newest = s.of[KH_STATE_WANTED].height;
    for (int i = 0; i < KH_STATES && s.holds; i++) keep[i] = s.of[i].height;
    kh_states_want(c->states, wanted);
    kh_states_keep(c->states, keep, s.holds ? KH_STATES_KEPT : 0);
    if (newest == 0 || newest == c->state_told || !kh_states_holds(c->states, newest)) return;
    c->state_told = newest;
    kh_node_holds(c->node, newest);
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    kh_cluster *c = arg;
    for (uint32_t n = 0; kh_cluster_pauses(c, n != 0 ? TICK_MS : 0); n++) {
        if (n % STEER_TICKS == 0) steer(c);
        kh_states_tick(c->states);
    }
    return NULL;
}

bool kh_cluster_states_run(kh_cluster *c, char *why, size_t cap)
{
    c->states_run = pthread_create(&c->states_thread, NULL, run, c) == 0;
    return c->states_run || kh_cluster_say(why, cap, "no thread could be made");
}

void kh_cluster_states_end(kh_cluster *c)
{
    if (!c->states_run) return;
    kh_cluster_tell_end(c);
    (void)pthread_join(c->states_thread, NULL);
    c->states_run = false;
}
