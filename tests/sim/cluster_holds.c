/* cluster_holds: states of checkpoints at the nodes, as far as a test needs them: each validator that can has the one that is
 * wanted a while later, and says so; bodies go when the order gives them up; who lies says what it does not hold, in any name. */
#include "cluster_world.h"

typedef struct looked {
    kh_order_state of[KH_STATES];
    uint64_t gone;
    uint32_t quorum;
} looked;

static void look(void *ctx, kh_order *order)
{
    looked *l = ctx;
    kh_order_validators set;
    kh_order_states(order, l->of);
    kh_order_validator_set(order, &set);
    l->gone = kh_order_bodies_gone(order);
    l->quorum = set.quorum;
}

static bool can(const sim_node *n) { return n->lies == 0 && n->index < n->w->s->holders; }

/* ---- a state comes, and stays over a crash ---- */
static void fetch(sim_node *n, uint64_t wanted)
{
    if (wanted == 0 || !can(n)) return;
    if (n->fetches != wanted) {
        n->fetches = wanted;
        n->fetched_at_ns = n->w->now + world_random(n->w, 300) * MS;
    }
    if (n->w->now < n->fetched_at_ns || n->node == NULL) return;
    if (n->state_cnt == 0 || n->states[n->state_cnt - 1] != wanted) {
        n->states = realloc(n->states, (n->state_cnt + 1) * sizeof *n->states);
        n->states[n->state_cnt++] = wanted;
    }
    kh_node_holds(n->node, wanted);
}

static bool has_state(const sim_node *n, uint64_t height)
{
    bool has = false;
    for (uint32_t i = 0; i < n->state_cnt; i++) has |= n->states[i] == height;
    return has;
}

/* What is called held is: at as many as a quorum, but for those of it that may lie. */
static void check_held(sim_node *n, const looked *l)
{
    world *w = n->w;
    const kh_order_state *held = &l->of[KH_STATE_HELD];
    uint32_t have = 0;
    uint8_t posted[32];
    if (held->height == n->held) return;
    n->held = held->height;
    for (uint32_t i = 0; i < w->node_cnt; i++)
        have += w->nodes[i].lies != 0 ? w->nodes[i].votes : has_state(&w->nodes[i], n->held);
    if (have < l->quorum) world_wrong(w, "a state is called held that too few hold", n, n->held);
    sim_checkpoint(w, n->held, posted);
    if (memcmp(held->posted, posted, 32) != 0) world_wrong(w, "another state is called held", n, n->held);
}

/* ---- bodies go ---- */
static void let_go(sim_node *n, const uint8_t digest[32])
{
    world *w = n->w;
    body *b = sim_body(n, digest);
    bool archived = false;
    if (b == NULL || !b->durable) return;
    for (uint32_t i = 0; i < w->archive_cnt; i++) archived |= memcmp(w->archive[i].name.digest, digest, 32) == 0;
    if (!archived) {
        w->archive = realloc(w->archive, (w->archive_cnt + 1) * sizeof *w->archive);
        w->archive[w->archive_cnt++] = *b;
    } else free(b->p);
    *b = n->bodies[--n->body_cnt];
    n->let_go++;
}

void sim_hold(sim_node *n)
{
    world *w = n->w;
    looked l;
    if (w->s->holders == 0 || n->node == NULL) return;
    kh_node_read(n->node, look, &l);
    fetch(n, l.of[KH_STATE_WANTED].height);
    check_held(n, &l);
    n->gone = l.gone;
    if (l.gone != 0 && l.gone > l.of[KH_STATE_HELD_BEFORE].height) world_wrong(w, "bodies go above two states", n, l.gone);
    for (uint64_t h = 1; h <= l.gone && (!n->hub || h <= n->executed); h++)
        for (uint32_t i = 0; i < w->blocks[h - 1].item_cnt; i++) let_go(n, w->blocks[h - 1].items[i].digest);
}

void sim_wants(sim_node *n, const uint8_t digest[32])
{
    for (uint64_t h = 1; h <= n->gone; h++)
        for (uint32_t i = 0; i < n->w->blocks[h - 1].item_cnt; i++)
            if (memcmp(n->w->blocks[h - 1].items[i].digest, digest, 32) == 0)
                world_wrong(n->w, "a body that was given up is asked for", n, h);
}

void world_check_holds(world *w)
{
    uint32_t able = 0;
    for (uint32_t i = 0; i < w->node_cnt; i++) able += w->nodes[i].votes && (w->nodes[i].lies != 0 || can(&w->nodes[i]));
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        looked l;
        if (!sim_honest(n) || n->node == NULL) continue;
        kh_node_read(n->node, look, &l);
        if (able < l.quorum && (l.of[KH_STATE_HELD].height != 0 || l.gone != 0 || n->let_go != 0))
            world_wrong(w, "what too few hold is held", n, l.gone);
        if (able < l.quorum && l.of[KH_STATE_WANTED].height < w->block_cnt / 2)
            world_wrong(w, "nothing newer is wanted", n, l.of[KH_STATE_WANTED].height);
        if (able >= l.quorum && (l.gone == 0 || n->let_go == 0)) world_wrong(w, "no body goes", n, l.gone);
    }
}

/* ---- lies ---- */
size_t lie_holds(sim_node *n, uint8_t tx[KH_HOLDS_SZ])
{
    world *w = n->w;
    looked l;
    kh_node_read(n->node, look, &l);
    uint64_t height = l.of[KH_STATE_WANTED].height, kind = world_random(w, 5);
    uint32_t member = n->id;
    if (kind == 1) height = world_random(w, w->block_cnt + 50);
    if (kind == 2) height = l.of[world_random(w, KH_STATES)].height;
    if (kind == 3) member = w->nodes[world_random(w, w->node_cnt)].id;
    if (kh_holds_make(n->ack, w->chain_id, height, member, tx) != KH_OK) return 0;
    if (kind == 4) tx[world_random(w, KH_HOLDS_SZ)] ^= (uint8_t)(1 + world_random(w, 255));
    return KH_HOLDS_SZ;
}
