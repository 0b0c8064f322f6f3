/* sim_cluster: whole clusters from seeds, with liars, crashes, partitions, losses (cluster_world.h).
 *
 * At the end of each: the same app hash and results at every height of every honest node (compared as it goes); every record of
 * every honest sender in the order, once and in the order of its making; everybody goes on within a bounded time; every honest
 * validator and hub has every ordered body, but for those that the order gave up, which nobody asks for; liars among hubs are
 * named, attested heights are told.
 *
 * sim_cluster [--seeds N] [--scenario NAME] [--seed S]     prints what failed with the line that repeats it. */
#include "cluster_world.h"

#define STEPS_MAX 12000u /* two minutes */

static const scenario scenarios[] = {
    {.name = "plain", .banks = 4, .hubs = 1, .records = 60, .big_percent = 30},
    {.name = "alone", .banks = 1, .hubs = 1, .records = 40},
    {.name = "lossy", .banks = 4, .hubs = 1, .records = 40, .drop_percent = 20, .big_percent = 20},
    {.name = "crashes", .banks = 4, .hubs = 1, .records = 60, .crashes = true, .drop_percent = 5, .big_percent = 10},
    {.name = "partitions", .banks = 4, .hubs = 1, .records = 60, .partitions = true},
    {.name = "expiring",
     .banks = 4,
     .hubs = 1,
     .records = 40,
     .partitions = true,
     .crashes = true,
     .drop_percent = 20,
     .expires_ns = 150 * MS},
    {.name = "one dead", .banks = 4, .hubs = 1, .records = 40, .lies = {[2] = LIE_SILENT}},
    {.name = "lost store", .banks = 4, .hubs = 1, .records = 60, .wipe = true},
    {.name = "new epochs", .banks = 4, .hubs = 1, .records = 60, .epochs = true, .partitions = true, .expires_ns = 300 * MS},
    {.name = "new validators", .banks = 5, .hubs = 1, .silent_votes = 1, .records = 80, .members = true, .drop_percent = 5},
    {.name = "expelled", .banks = 4, .hubs = 1, .records = 80, .expels = true, .drop_percent = 5, .big_percent = 10},
    {.name = "lost body", .banks = 4, .hubs = 3, .records = 120, .loses = true},
    {.name = "lost body, miscounted", .banks = 4, .hubs = 3, .records = 120, .loses = true, .lies = {[6] = LIE_HUB_LOSSES}},
    {.name = "lost body, two stories", .banks = 4, .hubs = 3, .records = 120, .loses = true, .lies = {[6] = LIE_HUB_TWO_STORIES}},
    {.name = "bodies go", .banks = 4, .hubs = 3, .records = 300, .holders = 4, .drop_percent = 5},
    {.name = "bodies go, crashes",
     .banks = 4,
     .hubs = 1,
     .records = 300,
     .holders = 4,
     .crashes = true,
     .partitions = true,
     .drop_percent = 5},
    {.name = "bodies go, one lies", .banks = 4, .hubs = 1, .records = 300, .holders = 3, .lies = {[3] = LIE_HOLDS | LIE_PROPOSE}},
    {.name = "bodies go, a stranger lies",
     .banks = 5,
     .hubs = 1,
     .silent_votes = 1,
     .records = 300,
     .holders = 3,
     .lies = {[4] = LIE_HOLDS}},
    {.name = "bodies go, new validators",
     .banks = 5,
     .hubs = 1,
     .silent_votes = 1,
     .records = 300,
     .holders = 5,
     .members = true},
    {.name = "held by too few", .banks = 4, .hubs = 1, .records = 200, .holders = 2, .drop_percent = 5},
    {.name = "held by too few, one lies",
     .banks = 4,
     .hubs = 1,
     .records = 200,
     .holders = 1,
     .lies = {[3] = LIE_HOLDS | LIE_PROPOSE}},
    {.name = "equivocates", .banks = 4, .hubs = 1, .records = 40, .lies = {[3] = LIE_EQUIVOCATE}},
    {.name = "withholds", .banks = 4, .hubs = 1, .records = 40, .lies = {[1] = LIE_WITHHOLD}},
    {.name = "forges", .banks = 4, .hubs = 1, .records = 40, .lies = {[0] = LIE_FORGE}},
    {.name = "replays", .banks = 4, .hubs = 1, .records = 40, .lies = {[1] = LIE_REPLAY}},
    {.name = "jumps", .banks = 4, .hubs = 1, .records = 40, .lies = {[2] = LIE_JUMP}},
    {.name = "garbage", .banks = 4, .hubs = 1, .records = 40, .lies = {[3] = LIE_GARBAGE}},
    {.name = "proposes badly", .banks = 4, .hubs = 1, .records = 40, .lies = {[0] = LIE_PROPOSE}},
    {.name = "stores nothing", .banks = 4, .hubs = 1, .records = 40, .lies = {[2] = LIE_NOT_STORED}, .drop_percent = 10},
    {.name = "all of it",
     .banks = 4,
     .hubs = 1,
     .records = 40,
     .crashes = true,
     .partitions = true,
     .lies = {[3] = LIE_EQUIVOCATE | LIE_WITHHOLD | LIE_FORGE | LIE_REPLAY | LIE_GARBAGE | LIE_PROPOSE | LIE_NOT_STORED}},
    {.name = "two of seven",
     .banks = 7,
     .hubs = 1,
     .records = 20,
     .lies = {[1] = LIE_WITHHOLD | LIE_PROPOSE | LIE_FORGE, [4] = LIE_NOT_STORED | LIE_EQUIVOCATE | LIE_GARBAGE}},
    {.name = "hub lies", .banks = 4, .hubs = 3, .records = 30, .lies = {[5] = LIE_HUB_POSTED}},
    {.name = "hub lies of the hash", .banks = 4, .hubs = 1, .records = 30, .lies = {[4] = LIE_HUB_HASH}},
    {.name = "hub of two stories", .banks = 4, .hubs = 3, .records = 30, .lies = {[6] = LIE_HUB_TWO_STORIES}},
    {.name = "hub lies of its state",
     .banks = 4,
     .hubs = 3,
     .records = 60,
     .drop_percent = 5,
     .lies = {[5] = LIE_HUB_CHECKPOINT}},
    {.name = "hub of another state", .banks = 4, .hubs = 2, .records = 60, .lies = {[5] = LIE_HUB_CHECKPOINT}},
};
#define SCENARIO_CNT (sizeof scenarios / sizeof scenarios[0])

/* ---- what must be ---- */
typedef struct reading {
    world *w;
    sim_node *n;
    uint8_t *seen;
    uint64_t next;
    bool repeats; /* may come again: its store was lost */
} reading;

static void read_record(void *ctx, uint64_t number)
{
    reading *r = ctx;
    if (number >= r->n->made) {
        world_wrong(r->w, "a record that nobody made", r->n, number);
        return;
    }
    if (r->seen[number] && !r->repeats) world_wrong(r->w, "a record is ordered twice", r->n, number);
    if (!r->seen[number] && number != r->next) world_wrong(r->w, "a record is ordered out of order", r->n, number);
    if (!r->seen[number]) r->next++;
    r->seen[number] = 1;
}

static const body *find_body(world *w, const uint8_t digest[32])
{
    if (w->lost.p != NULL && memcmp(w->lost.name.digest, digest, 32) == 0) return &w->lost;
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        const body *b = sim_body(&w->nodes[i], digest);
        if (b != NULL && b->durable) return b;
    }
    for (uint32_t i = 0; i < w->archive_cnt; i++)
        if (memcmp(w->archive[i].name.digest, digest, 32) == 0) return &w->archive[i];
    return NULL;
}

static void check_order_of(world *w, sim_node *n)
{
    reading r = {w, n, calloc(n->made + 1, 1), 0, n->wiped};
    for (uint32_t i = 0; i < w->block_cnt; i++)
        for (uint32_t k = 0; k < w->blocks[i].item_cnt; k++) {
            const kh_order_item *item = &w->blocks[i].items[k];
            if (item->sender != n->id) continue;
            const body *b = find_body(w, item->digest);
            if (b == NULL) world_wrong(w, "an ordered body is nowhere", n, i + 1);
            else if (!sim_records(b->p, b->name.size, w->group, false, read_record, &r) &&
                     !sim_records(b->p, b->name.size, w->group_next, false, read_record, &r))
                world_wrong(w, "an ordered body cannot be opened", n, i + 1);
        }
    if (r.next != n->made) world_wrong(w, "a record is not in the order", n, r.next);
    free(r.seen);
}

static bool has_all_bodies(world *w, sim_node *n)
{
    for (uint64_t i = n->gone; i < w->block_cnt; i++)
        for (uint32_t k = 0; k < w->blocks[i].item_cnt; k++) {
            const body *b = sim_body(n, w->blocks[i].items[k].digest);
            if (sim_is_lost(&w->blocks[i], k, n->height)) continue;
            if (b == NULL || !b->durable) return false;
        }
    return true;
}

static bool done(world *w)
{
    if (!world_all_answered(w)) return false;
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        if (!sim_honest(n) || n->expelled) continue;
        if (n->node == NULL || n->height < w->block_cnt || !has_all_bodies(w, n)) return false;
        if (n->hub && n->executed + 2 < n->height) return false;
    }
    return true;
}

static void check_words(world *w)
{
    const uint32_t hub_lies = LIE_HUB_POSTED | LIE_HUB_HASH | LIE_HUB_TWO_STORIES | LIE_HUB_CHECKPOINT;
    bool all_honest = true;
    for (uint32_t i = 0; i < w->node_cnt; i++) all_honest &= (w->nodes[i].lies & hub_lies) == 0;
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        bool named[NODES_MAX] = {false};
        if (!sim_honest(n)) continue;
        for (uint32_t k = 0; k < n->alert_cnt; k++) {
            const sim_node *m = world_node(w, n->alerts[k].member);
            named[m->index] |= strcmp(n->alerts[k].word, "DIFFERING_ATTESTATION") == 0;
            if (sim_honest(m) && strcmp(n->alerts[k].word, "BAD_SIGNATURE") == 0)
                world_wrong(w, "an honest member is named for a bad signature", n, m->id);
            if (sim_honest(m) && strcmp(n->alerts[k].word, "DIFFERING_ATTESTATION") == 0 && (w->s->hubs == 1 || all_honest))
                world_wrong(w, "an honest hub is named", n, m->id);
        }
        for (uint32_t k = 0; k < w->node_cnt; k++)
            if ((w->nodes[k].lies & hub_lies) != 0 && !named[k]) world_wrong(w, "a lying hub is not named", n, w->nodes[k].id);
        uint64_t before = 0;
        for (uint32_t k = 0; k < n->attested_cnt; k++) before += n->attested[k] != 0;
        if (before == 0) world_wrong(w, "nothing is attested", n, 0);
    }
}

/* ---- checkpoints ---- */
typedef struct newest {
    uint64_t height;
    uint8_t posted[32];
} newest;
static void look(void *ctx, kh_order *order)
{
    newest *c = ctx;
    c->height = kh_order_checkpoint(order, c->posted);
}

/* What is replicated is the state that honest hubs have; where they are no quorum there is none. */
static void check_checkpoints(world *w)
{
    uint32_t honest = 0;
    for (uint32_t i = 0; i < w->node_cnt; i++) honest += w->nodes[i].hub && (w->nodes[i].lies & LIE_HUB_CHECKPOINT) == 0;
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        newest c;
        uint8_t posted[32];
        if (!sim_honest(n)) continue;
        kh_node_read(n->node, look, &c);
        if (honest < w->s->hubs / 2 + 1) {
            if (c.height != 0) world_wrong(w, "a checkpoint without a quorum", n, c.height);
            continue;
        }
        sim_checkpoint(w, c.height, posted);
        if (c.height == 0 && w->block_cnt > 60) world_wrong(w, "no checkpoint is attested", n, w->block_cnt);
        if (c.height != 0 && memcmp(c.posted, posted, 32) != 0) world_wrong(w, "another state is replicated", n, c.height);
    }
}

/* ---- one run ---- */
static void change(world *w, uint64_t number, uint32_t kind, const uint8_t *body_, uint32_t n)
{
    uint8_t statement[512], tx[1024];
    kh_change c = {.number = number, .kind = kind, .body_sz = n, .body = body_, .signature_cnt = 1};
    memcpy(c.chain, w->chain_id, 32);
    size_t sz = kh_change_statement(&c, statement, sizeof statement);
    if (kh_sign(w->officer, statement, sz, c.signatures[0].signature) != KH_OK) abort();
    sz = kh_change_encode(&c, tx, sizeof tx);
    bool taken = false;
    for (uint32_t i = 0; i < w->node_cnt; i++)
        taken |= w->nodes[i].node != NULL && kh_node_submit_tx(w->nodes[i].node, tx, sz) == KH_OK;
    if (!taken) world_wrong(w, "a change was refused by all", NULL, number);
}

static void change_epoch(world *w)
{
    uint8_t key[KH_PUBLIC_SZ];
    kh_box_public(w->group_next, key);
    change(w, 1, KH_CHANGE_EPOCH, key, sizeof key);
}

/* The third bank, which goes on making records. */
static void expel(world *w)
{
    uint8_t record[1024];
    kh_member m = w->members[2];
    m.flags = KH_MEMBER_EXPELLED;
    w->nodes[2].expelled = true;
    change(w, 1, KH_CHANGE_MEMBER, record, (uint32_t)kh_member_encode(&m, record, sizeof record));
}

/* The last bank comes in, the first goes, the first comes back. */
static void change_validators(world *w, uint32_t nth)
{
    uint8_t body_[8];
    kh_store32(body_, nth == 0 ? w->nodes[w->s->banks - 1].id : w->nodes[0].id);
    kh_store32(body_ + 4, nth == 0 || nth == 2);
    change(w, nth + 1, KH_CHANGE_VALIDATOR, body_, sizeof body_);
}

/* Two hubs of three are away while one goes on and executes; then it goes, and a body that it alone had executed is nowhere any
 * more: officers order it lost. The third comes back with another's state, and says other things of those heights. */
static void forget_body(world *w, const uint8_t digest[32])
{
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        body *b = sim_body(n, digest);
        if (b == NULL) continue;
        if (w->lost.p == NULL) w->lost = *b;
        else free(b->p);
        *b = n->bodies[--n->body_cnt];
    }
    w->lost.durable = true;
}

static bool lose(world *w)
{
    sim_node *hubs = &w->nodes[w->s->banks];
    for (uint64_t h = kh_max64(hubs[1].executed, hubs[2].executed) + 1; h <= hubs[0].executed; h++) {
        const decided *d = &w->blocks[h - 1];
        if (d->item_cnt == 0) continue;
        uint8_t digest[32];
        memcpy(digest, d->items[d->item_cnt - 1].digest, 32);
        w->lost_height = h;
        forget_body(w, digest);
        change(w, 1, KH_CHANGE_LOST, digest, sizeof digest);
        return true;
    }
    return false;
}

static void losing(world *w, uint32_t step)
{
    sim_node *hubs = &w->nodes[w->s->banks];
    if (step == 60) sim_crash(&hubs[1]), sim_crash(&hubs[2]);
    if (step == 120) sim_crash(&hubs[0]); /* what it said is ordered meanwhile */
    if (step == 180 && !lose(w)) world_wrong(w, "there was nothing to lose", NULL, w->block_cnt);
    for (uint32_t i = 0; i < 3 && step == 220; i++) hubs[i].up_at = w->now;
}

static void check_lost(world *w)
{
    bool lost = false;
    for (uint32_t i = 0; i < w->block_cnt; i++)
        for (uint32_t k = 0; k < w->blocks[i].item_cnt; k++) lost |= sim_is_lost(&w->blocks[i], k, w->block_cnt);
    if (!lost || !w->nodes[w->s->banks].went_back) world_wrong(w, "nothing was lost, or nobody went back", NULL, w->lost_height);
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        uint64_t highest = 0;
        for (uint32_t k = 0; k < w->nodes[i].attested_cnt; k++) highest = kh_max64(highest, w->nodes[i].attested[k]);
        if (highest < w->lost_height) world_wrong(w, "nothing above what was lost is attested", &w->nodes[i], highest);
    }
}

static bool run(const scenario *s, uint64_t seed)
{
    static world w;
    world_start(&w, s, seed);
    uint32_t steps = 0, quiet = 0;
    bool changed = false;
    for (; steps < STEPS_MAX && quiet < 150 && w.wrong == NULL; steps++) {
        world_step(&w);
        if (s->epochs && !changed && steps > 60) {
            change_epoch(&w);
            changed = true;
        }
        if (s->expels && !changed && steps > 60) {
            expel(&w);
            changed = true;
        }
        if (s->members && steps % 80 == 60 && steps < 240) change_validators(&w, steps / 80);
        if (s->loses) losing(&w, steps);
        quiet = done(&w) && (!s->loses || steps > 220) ? quiet + 1 : 0;
    }
    if (quiet < 150) world_wrong(&w, "it does not go on", NULL, w.block_cnt);
    for (uint32_t i = 0; i < w.node_cnt && w.wrong == NULL; i++)
        if (sim_honest(&w.nodes[i]) && w.nodes[i].sends && !w.nodes[i].expelled) check_order_of(&w, &w.nodes[i]);
    if (w.wrong == NULL) check_words(&w);
    if (s->expels && w.wrong == NULL && (w.expelled_at == 0 || w.nodes[2].answered == w.nodes[2].planned))
        world_wrong(&w, "nobody was expelled before the end", NULL, w.block_cnt);
    if (s->loses && w.wrong == NULL) check_lost(&w);
    if (w.wrong == NULL) check_checkpoints(&w);
    if (s->holders != 0 && w.wrong == NULL) world_check_holds(&w);
    if (getenv("SIM_TELL") != NULL)
        for (uint32_t i = 0; i < w.node_cnt; i++) {
            kh_node_counts c = {0};
            if (w.nodes[i].node != NULL) kh_node_count(w.nodes[i].node, &c);
            printf("# node %u height %llu made %llu answered %llu batches %llu certificates %llu acks %llu resent %llu wanted "
                   "%llu given %llu "
                   "dropped %llu pending %llu bad %llu alerts %llu executed %llu attested %u\n",
                   w.nodes[i].id, (unsigned long long)w.nodes[i].height, (unsigned long long)w.nodes[i].made,
                   (unsigned long long)w.nodes[i].answered, (unsigned long long)c.sent_batches,
                   (unsigned long long)c.certificates, (unsigned long long)c.acks, (unsigned long long)c.resent,
                   (unsigned long long)c.wanted, (unsigned long long)c.given, (unsigned long long)c.dropped,
                   (unsigned long long)c.pending, (unsigned long long)c.bad_signatures, (unsigned long long)c.alerts,
                   (unsigned long long)w.nodes[i].executed, w.nodes[i].attested_cnt);
        }
    bool good = w.wrong == NULL;
    if (!good)
        printf("%s, seed %llu: %s (%s)\n  again: sim_cluster --scenario \"%s\" --seed %llu\n", s->name, (unsigned long long)seed,
               w.wrong, w.detail, s->name, (unsigned long long)seed);
    world_end(&w);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 3, first = 1, passed = 0, failed = 0;
    const char *only = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0) seeds = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--scenario") == 0) only = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0) first = strtoull(argv[i + 1], NULL, 10), seeds = 1;
    }
    printf("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + seeds - 1));
    for (size_t i = 0; i < SCENARIO_CNT; i++) {
        if (only != NULL && strcmp(only, scenarios[i].name) != 0) continue;
        for (uint64_t seed = first; seed < first + seeds; seed++) {
            if (run(&scenarios[i], seed)) passed++;
            else failed++;
            fflush(stdout);
        }
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed != 0 || passed == 0;
}
