/* cluster_world: members and their keys, the network, the disks, starting and crashing. */
#include "cluster_world.h"

/* ---- chance ---- */
uint64_t world_random(world *w, uint64_t below)
{
    uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return below == 0 ? z : z % below;
}

kh_err sim_fill(void *self, void *p, size_t n)
{
    sim_node *node = self;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)world_random(node->w, 256);
    return KH_OK;
}

void world_wrong(world *w, const char *what, const sim_node *n, uint64_t at)
{
    if (w->wrong != NULL || (n != NULL && !sim_honest(n))) return;
    w->wrong = what;
    snprintf(w->detail, sizeof w->detail, "node %u, %llu, %llu ms", n != NULL ? n->id : 0, (unsigned long long)at,
             (unsigned long long)(w->now / MS));
}

sim_node *world_node(world *w, uint32_t id)
{
    for (uint32_t i = 0; i < w->node_cnt; i++)
        if (w->nodes[i].id == id) return &w->nodes[i];
    return NULL;
}

bool sim_honest(const sim_node *n) { return n->lies == 0; }

/* ---- events ---- */
static bool sooner(const event *a, const event *b) { return a->at != b->at ? a->at < b->at : a->order < b->order; }

static void push(world *w, event e)
{
    if (w->event_cnt == w->event_cap) {
        w->event_cap = w->event_cap != 0 ? 2 * w->event_cap : 1024;
        w->events = realloc(w->events, w->event_cap * sizeof *w->events);
    }
    e.order = ++w->event_order;
    uint32_t i = w->event_cnt++;
    for (; i > 0 && sooner(&e, &w->events[(i - 1) / 2]); i = (i - 1) / 2) w->events[i] = w->events[(i - 1) / 2];
    w->events[i] = e;
}

static event pop(world *w)
{
    event first = w->events[0], last = w->events[--w->event_cnt];
    uint32_t i = 0;
    for (uint32_t c; (c = 2 * i + 1) < w->event_cnt; i = c) {
        if (c + 1 < w->event_cnt && sooner(&w->events[c + 1], &w->events[c])) c++;
        if (!sooner(&w->events[c], &last)) break;
        w->events[i] = w->events[c];
    }
    w->events[i] = last;
    return first;
}

void world_send(world *w, const sim_node *from, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    sim_node *peer = world_node(w, to);
    if (peer == NULL || world_random(w, 100) < w->s->drop_percent) return;
    event e = {.at = w->now + (1 + world_random(w, 20)) * MS,
               .kind = EVENT_MESSAGE,
               .from = from->id,
               .to = to,
               .type = type,
               .p = malloc(n + 1),
               .n = n};
    if (n != 0) memcpy(e.p, p, n);
    push(w, e);
}

static void happen(world *w, event *e)
{
    sim_node *to = world_node(w, e->to);
    if (to->node == NULL) return;
    if (e->kind == EVENT_STORED) {
        if (e->life != to->life) return;
        body *b = e->pretend ? NULL : sim_body(to, e->digest);
        if (b != NULL) b->durable = true;
        kh_node_stored(to->node, e->token, KH_OK);
        return;
    }
    if (world_node(w, e->from)->side != to->side) return;
    if (to->lies != 0 && lie_received(to, e->from, e->type, e->p, e->n)) return;
    kh_node_received(to->node, e->from, e->type, e->p, e->n);
}

/* ---- effects ---- */
static void fx_send(void *self, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    sim_node *node = self;
    if (node->lies != 0 && lie_send(node, to, type, p, n)) return;
    if (type == KH_MSG_WANT) sim_wants(node, p);
    world_send(node->w, node, to, type, p, n);
}
static uint64_t fx_now(void *self) { return ((sim_node *)self)->w->now; }

body *sim_body(sim_node *n, const uint8_t digest[32])
{
    for (uint32_t i = 0; i < n->body_cnt; i++)
        if (memcmp(n->bodies[i].name.digest, digest, 32) == 0) return &n->bodies[i];
    return NULL;
}

static kh_err fx_body_put(void *self, const kh_body_name *name, const uint8_t *p, size_t n, uint64_t token)
{
    sim_node *node = self;
    world *w = node->w;
    bool pretend = (node->lies & LIE_NOT_STORED) != 0 && name->sender != node->id;
    if (world_random(w, 200) == 0) return KH_E_FULL;
    body *b = pretend ? NULL : sim_body(node, name->digest);
    if (b != NULL) {
        b->name.expires_ns = kh_max64(b->name.expires_ns, name->expires_ns);
        b->name.ordered |= name->ordered;
    } else if (!pretend) {
        if (node->body_cnt == node->body_cap) {
            node->body_cap = node->body_cap != 0 ? 2 * node->body_cap : 64;
            node->bodies = realloc(node->bodies, node->body_cap * sizeof *node->bodies);
        }
        b = &node->bodies[node->body_cnt++];
        *b = (body){*name, malloc(n), false};
        memcpy(b->p, p, n);
    }
    node->disk_free_at = kh_max64(node->disk_free_at, w->now) + world_random(w, 4) * MS;
    event e = {
        .at = node->disk_free_at, .kind = EVENT_STORED, .to = node->id, .life = node->life, .token = token, .pretend = pretend};
    memcpy(e.digest, name->digest, 32);
    push(w, e);
    return KH_OK;
}

static bool fx_body_has(void *self, const uint8_t digest[32])
{
    const body *b = sim_body(self, digest);
    return b != NULL && b->durable;
}

static kh_err fx_body_get(void *self, const uint8_t digest[32], uint8_t **ret, size_t *ret_n)
{
    const body *b = sim_body(self, digest);
    if (b == NULL || !b->durable) return KH_E_NOT_FOUND;
    *ret = malloc(b->name.size);
    memcpy(*ret, b->p, b->name.size);
    *ret_n = b->name.size;
    return KH_OK;
}

static void fx_body_ordered(void *self, const uint8_t digest[32], uint32_t sender)
{
    (void)sender;
    body *b = sim_body(self, digest);
    if (b != NULL) b->name.ordered = true;
}

static void fx_body_expire(void *self, uint64_t now_ns)
{
    sim_node *n = self;
    for (uint32_t i = n->body_cnt; i-- > 0;) {
        body *b = &n->bodies[i];
        if (b->name.ordered || b->name.expires_ns >= now_ns || !b->durable) continue;
        free(b->p);
        *b = n->bodies[--n->body_cnt];
    }
}

static void fx_body_each(void *self, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx)
{
    sim_node *n = self;
    for (uint32_t i = 0; i < n->body_cnt; i++)
        if (n->bodies[i].durable && (sender == 0 || n->bodies[i].name.sender == sender)) each(ctx, &n->bodies[i].name);
}

static void fx_decided(void *self, const kh_order_block *b) { sim_decided(self, b); }

static void fx_attested(void *self, const kh_attestation *a)
{
    sim_node *n = self;
    if (a->height > n->w->block_cnt || memcmp(a->app_hash, n->w->blocks[a->height - 1].app_hash, 32) != 0)
        world_wrong(n->w, "another hash is called attested", n, a->height);
    n->attested = realloc(n->attested, (n->attested_cnt + 1) * sizeof *n->attested);
    n->attested[n->attested_cnt++] = a->height;
}

static void fx_checkpoint(void *self, const kh_attestation *a)
{
    sim_node *n = self;
    uint8_t posted[32];
    sim_checkpoint(n->w, a->height, posted);
    if (memcmp(a->posted, posted, 32) != 0) world_wrong(n->w, "another state is called attested", n, a->height);
    n->checkpoint_cnt++;
}

static void fx_outputs(void *self, uint32_t hub, const uint8_t *p, size_t n) { (void)self, (void)hub, (void)p, (void)n; }
static void fx_outputs_wanted(void *self, uint32_t bank, uint64_t above) { (void)self, (void)bank, (void)above; }

static void fx_alert(void *self, const char *word, uint32_t member, uint64_t height)
{
    sim_node *n = self;
    if (n->alert_cnt >= 4096) return;
    n->alerts = realloc(n->alerts, (n->alert_cnt + 1) * sizeof *n->alerts);
    alert_seen *a = &n->alerts[n->alert_cnt++];
    *a = (alert_seen){.member = member, .height = height};
    snprintf(a->word, sizeof a->word, "%s", word);
}

static void fx_ordered(void *self, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                       uint32_t n)
{
    sim_node *node = self;
    (void)digest;
    for (uint32_t i = 0; i < n; i++) {
        if (height == 0 && !node->expelled) world_wrong(node->w, "a submission was given up", node, tags[i]);
        for (uint32_t k = 0; k < op_cnts[i]; k++) {
            uint64_t number = tags[i] + k;
            if (node->is_answered[number]) world_wrong(node->w, "a submission was answered twice", node, number);
            else node->answered++;
            node->is_answered[number] = 1;
        }
    }
}

/* ---- starting and crashing ---- */
void sim_start(sim_node *n)
{
    world *w = n->w;
    n->fx =
        (kh_node_effects){n,           fx_send,           fx_now,         fx_now,       sim_fill,   fx_body_put, fx_body_has,
                          fx_body_get, fx_body_ordered,   fx_body_expire, fx_body_each, fx_decided, fx_attested, fx_checkpoint,
                          fx_outputs,  fx_outputs_wanted, fx_alert,       fx_ordered};
    kh_node_options o = {.self = n->id,
                         .genesis = &w->genesis,
                         .genesis_bytes = w->genesis_bytes,
                         .genesis_sz = w->genesis_n,
                         .sender = n->sender,
                         .ack = n->ack,
                         .attest = n->attest,
                         .box = n->box,
                         .expires_ns = w->s->expires_ns,
                         .effects = &n->fx};
    uint8_t hash[32];
    for (uint64_t h = 0; h < n->saved_height; h++) /* marks are not on the disk: what was kept says them again */
        for (uint32_t i = 0; i < w->blocks[h].item_cnt; i++) fx_body_ordered(n, w->blocks[h].items[i].digest, 0);
    if (kh_node_new(&o, n->saved, n->saved_n, &n->node) != KH_OK) abort();
    n->height = kh_node_kept_height(n->node, hash);
    if (n->height != n->saved_height) world_wrong(w, "Info says another height than was saved", n, n->height);
    for (uint32_t i = 0; i < w->node_cnt; i++)
        if (w->nodes[i].node != NULL && &w->nodes[i] != n) kh_node_connected(w->nodes[i].node, n->id, true);
}

void sim_crash(sim_node *n)
{
    kh_node_free(n->node);
    n->node = NULL;
    n->life++;
    n->disk_free_at = n->gone = n->held = 0;
    for (uint32_t i = n->body_cnt; i-- > 0;) {
        n->bodies[i].name.ordered = false;
        if (!n->bodies[i].durable) {
            free(n->bodies[i].p);
            memmove(&n->bodies[i], &n->bodies[i + 1], (--n->body_cnt - i) * sizeof *n->bodies);
        }
    }
}

/* ---- members ---- */
static kh_signer *signer_of(uint32_t id, uint8_t use)
{
    uint8_t secret[32];
    kh_signer *s = NULL;
    memset(secret, use, sizeof secret);
    kh_store32(secret + 8, id); /* X25519 leaves out bits of the first byte */
    if (kh_signer_new(KH_SUITE_INTL, secret, &s) != KH_OK) abort();
    return s;
}

static kh_box *box_of(uint32_t id, uint8_t use)
{
    uint8_t secret[32];
    kh_box *b = NULL;
    memset(secret, use, sizeof secret);
    kh_store32(secret + 8, id); /* X25519 leaves out bits of the first byte */
    if (kh_box_new(KH_SUITE_INTL, secret, &b) != KH_OK) abort();
    return b;
}

static void make_member(sim_node *n, kh_member *m)
{
    uint8_t key[KH_PUBLIC_SZ];
    n->sender = signer_of(n->id, 1);
    n->ack = signer_of(n->id, 2);
    n->attest = n->hub ? signer_of(n->id, 3) : NULL;
    n->box = box_of(n->id, 4);
    *m = (kh_member){.id = n->id, .role = n->hub ? KH_MEMBER_HUB : KH_MEMBER_BANK, .flags = n->votes ? KH_MEMBER_VALIDATOR : 0};
    m->name_n = (uint8_t)snprintf(m->name, sizeof m->name, "member %u", n->id);
    kh_signer_public(n->sender, m->sender);
    if (!n->hub) kh_signer_public(n->ack, m->ack);
    if (n->attest != NULL) kh_signer_public(n->attest, m->attest);
    kh_box_public(n->box, m->box);
    kh_signer *consensus = signer_of(n->id, 5);
    kh_signer_public(consensus, key);
    memcpy(m->consensus, key, 32);
    kh_signer_free(consensus);
}

static void make_genesis(world *w)
{
    kh_public_leaf retention = {.key_n = 15, .value_n = 2, .value = (const uint8_t *)"1s"};
    kh_genesis *g = &w->genesis;
    snprintf(g->chain_id, sizeof g->chain_id, "sim");
    g->suite = KH_SUITE_INTL;
    g->initial_height = 1;
    g->time_ns = w->now;
    g->officer_k = g->officer_cnt = 1;
    kh_signer_public(w->officer, g->officers[0]);
    kh_box_public(w->group, g->group);
    g->member_cnt = w->node_cnt;
    g->members = w->members;
    memcpy(retention.key, "rbody_retention", retention.key_n);
    g->public_cnt = w->s->holders != 0;
    g->publics = &retention;
    if (kh_genesis_encode(g, &w->genesis_bytes, &w->genesis_n) != KH_OK) abort();
    g->public_cnt = 0;
    g->publics = NULL;
}

void world_start(world *w, const scenario *s, uint64_t seed)
{
    *w = (world){.s = s, .seed = seed, .random = seed * 7919 + 1, .now = UINT64_C(1800000000) * KH_NS_PER_S};
    w->officer = signer_of(1, 9);
    w->group = box_of(1, 8);
    w->group_next = box_of(2, 8);
    w->node_cnt = s->banks + s->hubs;
    w->validators = s->banks - s->silent_votes;
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        *n = (sim_node){.w = w,
                        .index = i,
                        .id = 11 + i,
                        .hub = i >= s->banks,
                        .votes = i < w->validators,
                        .sends = i < s->banks,
                        .lies = s->lies[i]};
        make_member(n, &w->members[i]);
        n->planned = n->sends ? s->records : 0;
        n->is_answered = calloc(s->records + 64, 1);
    }
    make_genesis(w);
    kh_order *o = NULL;
    if (kh_order_new(w->genesis_bytes, w->genesis_n, &o) != KH_OK) abort();
    kh_order_chain(o, w->chain_id);
    kh_order_free(o);
    for (uint32_t i = 0; i < w->node_cnt; i++)
        if ((w->nodes[i].lies & LIE_SILENT) == 0) sim_start(&w->nodes[i]);
}

void world_end(world *w)
{
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        kh_node_free(n->node);
        for (uint32_t k = 0; k < n->body_cnt; k++) free(n->bodies[k].p);
        free(n->bodies);
        free(n->saved);
        free(n->is_answered);
        free(n->alerts);
        free(n->attested);
        free(n->states);
        lie_free(n);
        kh_signer_free(n->sender);
        kh_signer_free(n->ack);
        kh_signer_free(n->attest);
        kh_box_free(n->box);
    }
    for (uint32_t i = 0; i < w->block_cnt; i++) {
        for (uint32_t k = 0; k < w->blocks[i].tx_cnt; k++) free(w->blocks[i].txs[k]);
        free(w->blocks[i].txs);
        free(w->blocks[i].tx_n);
        free(w->blocks[i].items);
        free(w->blocks[i].lost_at);
    }
    for (uint32_t i = 0; i < w->event_cnt; i++) free(w->events[i].p);
    free(w->events);
    free(w->blocks);
    free(w->lost.p);
    for (uint32_t i = 0; i < w->archive_cnt; i++) free(w->archive[i].p);
    free(w->archive);
    free(w->genesis_bytes);
    kh_signer_free(w->officer);
    kh_box_free(w->group);
    kh_box_free(w->group_next);
}

void world_step(world *w)
{
    w->now += 10 * MS;
    while (w->event_cnt != 0 && w->events[0].at <= w->now) {
        event e = pop(w);
        happen(w, &e);
        free(e.p);
    }
    world_clients(w);
    world_agree(w);
    world_apply(w);
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        if (n->node == NULL) continue;
        kh_node_tick(n->node);
        sim_execute(n);
        sim_hold(n);
        if (n->lies != 0) lie_tick(n);
    }
}
