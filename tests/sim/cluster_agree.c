/* cluster_agree: the agreement, blocks applied and replayed, what clients do, and execution at a hub as far as a test needs it.
 */
#include "cluster_world.h"
#include "wire/wire.h"

#define BLOCK_SZ (64u << 10)
#define SAVE_EVERY 20u
#define CHECKPOINT_BLOCKS 8u

/* ---- agreement ---- */
static uint32_t copy_block(world *w, const kh_tx_span *txs, uint32_t n)
{
    if (w->block_cnt == w->block_cap) {
        w->block_cap = w->block_cap != 0 ? 2 * w->block_cap : 64;
        w->blocks = realloc(w->blocks, w->block_cap * sizeof *w->blocks);
    }
    decided *b = &w->blocks[w->block_cnt];
    *b = (decided){.time_ns = w->now, .txs = calloc(n + 1, sizeof *b->txs), .tx_n = calloc(n + 1, sizeof *b->tx_n), .tx_cnt = n};
    for (uint32_t i = 0; i < n; i++) {
        b->txs[i] = malloc(txs[i].n + 1);
        if (txs[i].n != 0) memcpy(b->txs[i], txs[i].p, txs[i].n);
        b->tx_n[i] = txs[i].n;
    }
    return w->block_cnt;
}

static sim_node *voter(world *w, uint64_t nth)
{
    for (uint32_t i = 0; i < w->node_cnt; i++)
        if (w->nodes[i].votes && nth-- == 0) return &w->nodes[i];
    abort();
}

void world_agree(world *w)
{
    if (w->now < w->next_block_at) return;
    uint64_t height = w->block_cnt + 1;
    sim_node *proposer = voter(w, (height + w->round) % w->validators);
    w->next_block_at = w->now + (30 + world_random(w, 40)) * MS;
    w->round++;
    if (proposer->node == NULL || proposer->height != height - 1) return;
    kh_tx_span lie[KH_ORDER_TXS_MAX];
    const kh_tx_span *txs = lie;
    uint32_t n, accepted = 0;
    if ((proposer->lies & LIE_PROPOSE) != 0) n = lie_propose(proposer, w->now, lie, KH_ORDER_TXS_MAX);
    else n = kh_node_prepare(proposer->node, height, w->now, BLOCK_SZ, &txs);
    size_t sz = 0;
    for (uint32_t i = 0; i < n; i++) sz += txs[i].n + 4;
    if (sz > BLOCK_SZ + 4096) world_wrong(w, "a proposal is too large", proposer, height);
    for (uint32_t i = 0; i < w->validators; i++) {
        sim_node *v = voter(w, i);
        if (v->node == NULL || v->side != proposer->side || v->height != height - 1) continue;
        bool good = kh_node_process(v->node, height, w->now, txs, n);
        accepted += good || v->lies != 0;
        if (!good && sim_honest(proposer) && sim_honest(v)) world_wrong(w, "an honest proposal was rejected", v, height);
    }
    if (accepted * 3 <= w->validators * 2) return;
    (void)copy_block(w, txs, n);
    w->block_cnt++;
    w->round = 0;
}

/* ---- applying ---- */
static void call_lost(world *w, const kh_order_item *item, uint64_t height)
{
    decided *d = &w->blocks[item->sequence - 1];
    for (uint32_t i = 0; i < d->item_cnt; i++)
        if (memcmp(d->items[i].digest, item->digest, 32) == 0) d->lost_at[i] = height;
}

bool sim_is_lost(const decided *d, uint32_t item, uint64_t upto) { return d->lost_at[item] != 0 && d->lost_at[item] <= upto; }

static void compare(sim_node *n, const kh_order_block *b)
{
    world *w = n->w;
    decided *d = &w->blocks[b->height - 1];
    uint8_t codes[32];
    kh_sha256(b->codes, b->tx_cnt * sizeof *b->codes, codes);
    if (!d->known) {
        d->known = true;
        memcpy(d->app_hash, b->app_hash, 32);
        memcpy(d->codes, codes, 32);
        d->items = calloc(b->item_cnt + 1, sizeof *d->items);
        d->lost_at = calloc(b->item_cnt + 1, sizeof *d->lost_at);
        for (uint32_t i = 0; i < b->validator_cnt; i++)
            for (uint32_t k = 0; k < w->node_cnt; k++) {
                if (memcmp(w->members[k].consensus, b->validators[i].consensus, 32) != 0) continue;
                w->validators += b->validators[i].votes - w->nodes[k].votes;
                w->nodes[k].votes = b->validators[i].votes;
            }
        for (uint32_t i = 0; i < b->item_cnt; i++) {
            const kh_order_item *item = &b->items[i];
            if (item->kind == KH_ITEM_BATCH && world_node(w, item->sender)->expelled && w->expelled_at != 0)
                world_wrong(w, "who was expelled has an effect", NULL, b->height);
            if (item->kind == KH_ITEM_BATCH) d->items[d->item_cnt++] = *item;
            if (item->kind == KH_ITEM_OPS && item->ops[4] == KH_OP_EXPELLED) w->expelled_at = b->height;
            if (item->kind == KH_ITEM_LOST) call_lost(w, item, b->height);
        }
    }
    if (memcmp(d->app_hash, b->app_hash, 32) != 0) world_wrong(w, "two app hashes at one height", n, b->height);
    if (memcmp(d->codes, codes, 32) != 0) world_wrong(w, "two results at one height", n, b->height);
}

void sim_decided(sim_node *n, const kh_order_block *b)
{
    if (b->height != n->height + 1) world_wrong(n->w, "a block was told out of order", n, b->height);
    for (uint32_t i = 0; i < b->item_cnt; i++) {
        const body *here = sim_body(n, b->items[i].digest);
        if (here != NULL && !here->name.ordered) world_wrong(n->w, "an ordered body is not marked", n, b->height);
    }
}

static void save(sim_node *n)
{
    uint8_t *p = NULL;
    size_t sz = 0;
    uint64_t height = 0;
    if (kh_node_save(n->node, &p, &sz, &height) != KH_OK || height != n->height) {
        world_wrong(n->w, "the order cannot be saved", n, n->height);
        return;
    }
    free(n->saved);
    n->saved = p;
    n->saved_n = sz;
    n->saved_height = height;
    kh_node_kept(n->node, height);
    uint8_t hash[32];
    if (kh_node_kept_height(n->node, hash) != height || memcmp(hash, n->w->blocks[height - 1].app_hash, 32) != 0)
        world_wrong(n->w, "Info does not say what is durable", n, height);
}

static bool finalize(sim_node *n, uint64_t height)
{
    decided *d = &n->w->blocks[height - 1];
    kh_tx_span *txs = calloc(d->tx_cnt + 1, sizeof *txs);
    uint8_t *bytes[KH_ORDER_TXS_MAX];
    const kh_order_block *b = NULL, *unused = NULL;
    for (uint32_t i = 0; i < d->tx_cnt; i++) { /* gone right after the call */
        bytes[i] = malloc(d->tx_n[i] + 1);
        memcpy(bytes[i], d->txs[i], d->tx_n[i]);
        txs[i] = (kh_tx_span){bytes[i], d->tx_n[i]};
    }
    kh_err err = kh_node_finalize(n->node, height, d->time_ns, txs, d->tx_cnt, &b);
    if (err == KH_OK && world_random(n->w, 8) == 0) err = kh_node_finalize(n->node, height, d->time_ns, txs, d->tx_cnt, &b);
    (void)unused;
    for (uint32_t i = 0; i < d->tx_cnt; i++) free(bytes[i]);
    free(txs);
    if (err != KH_OK || b->tx_cnt != d->tx_cnt) {
        world_wrong(n->w, "a block was not executed", n, height);
        return false;
    }
    compare(n, b);
    kh_node_commit(n->node);
    return true;
}

void world_apply(world *w)
{
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        uint32_t sides = 0;
        for (uint32_t k = 0; k < w->validators; k++) sides += voter(w, k)->side == n->side;
        if (n->node == NULL || sides * 3 <= w->validators * 2) continue; /* blocks are on the other side */
        for (uint32_t k = 0; k < 4 && n->height < w->block_cnt && n->apply_at <= w->now; k++) {
            if (!finalize(n, n->height + 1)) return;
            n->height++;
            if (n->height == w->block_cnt) n->apply_at = w->now + world_random(w, 30) * MS;
            if (n->height % SAVE_EVERY == 0) save(n);
            if (world_random(w, 60) != 0) continue;
            /* CometBFT alone begins anew: the blocks above what is durable come again. */
            uint8_t hash[32];
            for (uint64_t h = kh_node_kept_height(n->node, hash) + 1; h <= n->height; h++)
                if (!finalize(n, h)) return;
        }
    }
}

/* ---- clients ---- */
size_t sim_record(uint8_t *buf, uint32_t sender, uint64_t number)
{
    memset(buf, 0, RECORD_SZ);
    kh_store32(buf, RECORD_SZ);
    kh_store32(buf + 8, sender);
    kh_store64(buf + 16, number);
    return RECORD_SZ;
}

bool sim_records(const uint8_t *p, size_t n, const kh_box *box, bool own, void (*each)(void *ctx, uint64_t number), void *ctx)
{
    uint8_t *text = NULL;
    size_t sz = 0, at = 0;
    kh_section section;
    if (!kh_envelope_open(p, n, box, own, &text, &sz)) return false;
    while (kh_section_next(text, sz, &at, &section) == KH_OK)
        for (uint32_t k = 0; k + RECORD_SZ <= section.frames_sz; k += kh_load32(section.frames + k))
            each(ctx, kh_load64(section.frames + k + 16));
    free(text);
    return true;
}

static void submit(sim_node *n, uint64_t number, uint32_t cnt, bool big)
{
    uint8_t frames[8 * RECORD_SZ + 4096];
    size_t sz = 0;
    for (uint32_t i = 0; i < cnt; i++) sz += sim_record(frames + sz, n->id, number + i);
    if (big) { /* the last record is a long one, of bytes that do not pack */
        uint32_t more = (uint32_t)(8 * world_random(n->w, 500));
        for (uint32_t i = 0; i < more; i++) frames[sz + i] = (uint8_t)world_random(n->w, 256);
        kh_store32(frames + sz - RECORD_SZ, RECORD_SZ + more);
        sz += more;
    }
    kh_err err = kh_node_submit(n->node, frames, sz, cnt, false, number);
    if (err != KH_OK && !n->expelled) world_wrong(n->w, "a submission was refused", n, number);
}

/* After a crash: what was neither answered nor is stored comes again. */
typedef struct resend {
    uint8_t *stored;
    uint64_t cap;
} resend;
static void is_stored(void *ctx, uint64_t number)
{
    resend *r = ctx;
    if (number < r->cap) r->stored[number] = 1;
}

static void send_again(sim_node *n)
{
    resend r = {calloc(n->made + 1, 1), n->made};
    for (uint32_t i = 0; i < n->body_cnt; i++)
        if (n->bodies[i].name.sender == n->id)
            (void)sim_records(n->bodies[i].p, n->bodies[i].name.size, n->box, true, is_stored, &r);
    for (uint64_t k = 0; k < n->made; k++) {
        if (!n->is_answered[k] && !r.stored[k]) submit(n, k, 1, false);
        if (r.stored[k] && !n->is_answered[k]) { /* nobody will tell: the order will hold it */
            n->is_answered[k] = 1;
            n->answered++;
        }
    }
    free(r.stored);
}

static void trouble(world *w)
{
    if (w->now < w->trouble_until || world_random(w, 40) != 0) return;
    sim_node *n = &w->nodes[world_random(w, w->node_cnt)];
    w->trouble_until = w->now + (300 + world_random(w, 1500)) * MS;
    if (w->s->partitions && world_random(w, 2) == 0) {
        for (uint32_t i = 0; i < w->node_cnt; i++) w->nodes[i].side = 0;
        if (world_random(w, 3) != 0) n->side = 1;
        else
            for (uint32_t i = 0; i < w->node_cnt; i++) w->nodes[i].side = (uint32_t)world_random(w, 2);
    } else if (w->s->crashes && n->node != NULL && n->lies == 0) {
        sim_crash(n);
        n->up_at = w->now + (50 + world_random(w, 1500)) * MS;
    }
}

static void calm(world *w)
{
    for (uint32_t i = 0; i < w->node_cnt; i++) w->nodes[i].side = 0;
}

void world_clients(world *w)
{
    bool all_made = true;
    for (uint32_t i = 0; i < w->node_cnt; i++) {
        sim_node *n = &w->nodes[i];
        if (n->node == NULL && n->up_at != 0 && n->up_at <= w->now) {
            n->up_at = 0;
            sim_start(n);
            send_again(n);
        }
        if (sim_honest(n) && !n->expelled) all_made &= n->made == n->planned;
        if (n->node == NULL || n->made >= n->planned || n->next_at > w->now) continue;
        uint32_t cnt = 1 + (uint32_t)world_random(w, 4);
        cnt = (uint32_t)kh_min64(cnt, n->planned - n->made);
        submit(n, n->made, cnt, world_random(w, 100) < w->s->big_percent);
        n->made += cnt;
        n->next_at = w->now + world_random(w, 60) * MS;
        if (w->s->wipe && n->index == 0 && n->made > n->planned / 2 && !n->wiped) { /* its whole directory is gone */
            n->wiped = true;
            sim_crash(n);
            for (uint32_t k = 0; k < n->body_cnt; k++) free(n->bodies[k].p);
            n->body_cnt = 0;
            free(n->saved);
            n->saved = NULL;
            n->saved_n = 0;
            n->saved_height = n->height = n->executed = 0;
            n->up_at = w->now + 500 * MS;
        }
    }
    if (all_made) calm(w);
    else trouble(w);
}

bool world_all_answered(const world *w)
{
    for (uint32_t i = 0; i < w->node_cnt; i++)
        if (sim_honest(&w->nodes[i]) && !w->nodes[i].expelled &&
            (w->nodes[i].made < w->nodes[i].planned || w->nodes[i].answered < w->nodes[i].made))
            return false;
    return true;
}

/* What a block does to the chain of all batches, as it is known at a height: one that is lost counts otherwise. */
static void add_block(const decided *d, uint64_t upto, uint8_t chain[32])
{
    kh_sha256_state sha;
    if (d->item_cnt == 0) return;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, chain, 32);
    for (uint32_t i = 0; i < d->item_cnt; i++) {
        kh_sha256_update(&sha, d->items[i].digest, 32);
        if (sim_is_lost(d, i, upto)) kh_sha256_update(&sha, "lost", 4);
    }
    kh_sha256_final(&sha, chain);
}

/* How many losses a hub counts of a height: of bodies up to it, said by blocks behind it that this hub has. */
static uint32_t losses(const sim_node *n, uint64_t height)
{
    uint32_t cnt = 0;
    for (uint64_t h = 1; h <= height; h++) {
        const decided *d = &n->w->blocks[h - 1];
        for (uint32_t i = 0; i < d->item_cnt; i++) cnt += d->lost_at[i] > height && d->lost_at[i] <= n->height;
    }
    return cnt;
}

/* ---- execution at a hub: the chain of the batches that it could open; a lying one says something else ---- */
static bool execute_one(sim_node *n, const decided *d, uint64_t height)
{
    for (uint32_t i = 0; i < d->item_cnt; i++) {
        uint8_t *p = NULL;
        size_t sz = 0;
        if (sim_is_lost(d, i, n->height)) continue;
        kh_err err = kh_node_body(n->node, d->items[i].digest, height, &p, &sz);
        free(p);
        if (err != KH_OK) return false;
    }
    if (d->item_cnt == 0) return true;
    add_block(d, n->height, n->chain);
    uint8_t posted[32], hash[32];
    memcpy(posted, n->chain, 32);
    memcpy(hash, d->app_hash, 32);
    if ((n->lies & LIE_HUB_POSTED) != 0 && height % 3 == 0) posted[0] ^= 1;
    if ((n->lies & LIE_HUB_HASH) != 0 && height % 3 == 0) hash[0] ^= 1;
    uint32_t counted = losses(n, height);
    if ((n->lies & LIE_HUB_LOSSES) != 0) {
        posted[0] ^= (uint8_t)world_random(n->w, 256);
        counted += counted != 0 && height % 2 != 0 ? UINT32_MAX : 1;
    }
    kh_err err = kh_node_attest(n->node, height, hash, posted, posted, kh_attest_flags(counted, 0));
    if (err != KH_OK) world_wrong(n->w, "an attestation was refused", n, height);
    if (n->last / CHECKPOINT_BLOCKS < height / CHECKPOINT_BLOCKS) { /* its digest takes a while */
        n->checkpoint = height;
        n->checkpoint_at_ns = n->w->now + world_random(n->w, 400) * MS;
    }
    n->last = height;
    return true;
}

/* The chain of all batches up to a height, made from the order itself. */
void sim_checkpoint(const world *w, uint64_t height, uint8_t ret[32])
{
    uint8_t state[40] = {0};
    for (uint64_t h = 1; h <= height; h++) {
        const decided *d = &w->blocks[h - 1];
        add_block(d, UINT64_MAX, state);
    }
    memcpy(state + 32, "state", 5);
    kh_sha256(state, sizeof state, ret);
}

static void checkpoint(sim_node *n)
{
    uint8_t posted[32];
    const uint8_t *hash = n->checkpoint != 0 ? n->w->blocks[n->checkpoint - 1].app_hash : NULL;
    if (hash == NULL || n->checkpoint_at_ns > n->w->now) return;
    sim_checkpoint(n->w, n->checkpoint, posted);
    if ((n->lies & LIE_HUB_CHECKPOINT) != 0) posted[5] ^= 1;
    uint32_t flags = kh_attest_flags(losses(n, n->checkpoint), KH_ATTEST_CHECKPOINT);
    kh_err err = kh_node_attest(n->node, n->checkpoint, hash, posted, posted, flags);
    if (err != KH_OK) world_wrong(n->w, "a checkpoint was refused", n, n->checkpoint);
    n->checkpoint = 0;
}

/* Its order has come to where a body is called lost that it has executed: it begins anew with what was before that block. */
static void go_back(sim_node *n)
{
    for (uint64_t h = 1; h <= n->executed; h++)
        for (uint32_t i = 0; i < n->w->blocks[h - 1].item_cnt; i++) {
            const decided *d = &n->w->blocks[h - 1];
            if (n->went_back || !sim_is_lost(d, i, n->height)) continue;
            n->went_back = true;
            n->executed = h - 1;
            n->last = n->checkpoint = 0;
            memset(n->chain, 0, 32);
            for (uint64_t k = 1; k < h; k++) {
                add_block(&n->w->blocks[k - 1], n->height, n->chain);
                if (n->w->blocks[k - 1].item_cnt != 0) n->last = k;
            }
        }
}

void sim_execute(sim_node *n)
{
    if (n->hub && n->node != NULL && n->w->s->loses) go_back(n);
    while (n->hub && n->node != NULL && n->executed < n->height) {
        const decided *d = &n->w->blocks[n->executed];
        if (!d->known || !execute_one(n, d, n->executed + 1)) return;
        n->executed++;
    }
    if (n->hub && n->node != NULL) checkpoint(n);
}
