/* hub_state: a world whose hub has made checkpoints, the state of one as bytes, and a directory made from it. */
#ifndef KH_TESTS_HUB_STATE_H
#define KH_TESTS_HUB_STATE_H
#include "states/join.h"
#include "states/state_form.h"
#include "hub_fixture.h"

enum { BLOCKS = 8, CHECKPOINT_BLOCKS = 4, POINT = 104 }; /* heights 100 to 107 */
static block blocks[BLOCKS];

typedef struct state {
    uint8_t *p, posted[32], app_hash[32];
    size_t n, cap, at, fail_at;
} state;
static state made;
static bool not_own; /* another hub made the state */
static bool (*hubs_differ)(void *ctx, uint64_t height, const uint8_t *post, bool checkpoint);

static inline kh_err state_write(void *ctx, const void *p, size_t n)
{
    state *s = ctx;
    if (s->cap - s->n < n) s->p = realloc(s->p, s->cap = 2 * (s->n + n));
    memcpy(s->p + s->n, p, n);
    s->n += n;
    return KH_OK;
}

static inline kh_err state_read(void *ctx, void *p, size_t n, size_t *ret_n)
{
    state *s = ctx;
    if (s->fail_at != 0 && s->at >= s->fail_at) return KH_E_AGAIN;
    *ret_n = kh_min64(n, kh_min64(s->n - s->at, 1000)); /* never all at once */
    memcpy(p, s->p + s->at, *ret_n);
    s->at += *ret_n;
    return KH_OK;
}

static inline void block_applies(block *b, uint32_t bank, uint64_t first, uint32_t n)
{
    ops_buf ops = {0};
    text t = {0};
    for (uint32_t i = 0; i < n; i++) ops_apply(&ops, bank, OPS_ENTERPRISE, first + i, i % 10, 10);
    text_own(&t, &ops);
    block_batch(b, bank, &t);
}

static inline void make_blocks(void)
{
    text t = {0};
    memset(blocks, 0, sizeof blocks);
    bundle_exporter(&t);
    bundle_papers(&t, 1, 0, 10, 100000);
    block_batch(&blocks[0], HUB, &t);
    for (uint32_t i = 1; i < BLOCKS; i++) {
        block_applies(&blocks[i], BANK_A, 100 * i, 5);
        if (i % 2 == 0) block_applies(&blocks[i], BANK_B, 100 * i, 3);
        if (i == 6) block_applies(&blocks[i], BANK_A, 100, 5); /* answered before, below the checkpoint */
    }
}

static inline void wait_point(kh_attestation *ret)
{
    for (uint32_t i = 0; i < 120000 && !checkpoint_of(POINT, ret); i++) usleep(500);
    cr_assert(checkpoint_of(POINT, ret));
}

static inline void wait_said(uint64_t height)
{
    kh_attestation a;
    for (uint32_t i = 0; i < 120000 && !post_of(height, &a); i++) usleep(500);
    cr_assert(post_of(height, &a), "%lu", (unsigned long)height);
}

static inline void state_of_point(state *ret)
{
    kh_attestation a;
    uint32_t epoch = 0;
    const kh_checkpoint_sink to = {state_write, ret};
    wait_point(&a);
    memcpy(ret->posted, a.posted, 32);
    memcpy(ret->app_hash, a.app_hash, 32);
    for (uint32_t i = 0; i < 120000 && kh_hub_state_is(w.hub, POINT, a.posted, &epoch) != KH_OK; i++) usleep(500);
    kh_err err = kh_hub_state_write(w.hub, POINT, a.posted, &to);
    cr_assert(err == KH_OK && epoch == 1, "%d", err);
}

static inline void state_begin(void)
{
    memset(&made, 0, sizeof made);
    not_own = false;
    hubs_differ = NULL;
    world_begin(false);
    world_close();
    w.checkpoint_blocks = CHECKPOINT_BLOCKS;
    world_open();
    make_blocks();
    for (uint32_t i = 0; i < BLOCKS; i++) (void)decide(&blocks[i]);
    wait_said(FIRST_HEIGHT + BLOCKS - 1);
    state_of_point(&made);
}

static inline void state_end(void)
{
    world_end();
    free(made.p);
}

static inline bool secret_at(void *ctx, uint32_t epoch, uint8_t ret[KH_SECRET_SZ])
{
    if (epoch != 1 || ctx != NULL) return false; /* ctx: of a hub without the key */
    memcpy(ret, w.group_secret[0], KH_SECRET_SZ);
    return true;
}

static inline kh_err join_in(const kh_store_options *options, const char *dir, state *s, bool has_key, char *why, size_t cap)
{
    kh_kept_member *members = NULL;
    const kh_checkpoint_source from = {state_read, s};
    kh_join j = {.store = options,
                 .dir = dir,
                 .suite = KH_SUITE_INTL,
                 .chain = w.chain,
                 .height = POINT,
                 .epoch = 1,
                 .posted = s->posted,
                 .app_hash = s->app_hash,
                 .own = !not_own,
                 .differs = hubs_differ,
                 .secret_of = secret_at,
                 .ctx = has_key ? NULL : &w};
    s->at = 0;
    cr_assert(kh_kept_members(w.kept, POINT, &members, &j.member_cnt) == KH_OK);
    j.members = members;
    kh_err err = kh_join_make(&j, &from, why, cap);
    free(members);
    return err;
}

static char why[300] __attribute__((unused));

static inline kh_err join(state *s)
{
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    return join_in(&options, w.store_dir, s, true, why, sizeof why);
}

/* All that the hub had is gone, but for the order. */
static inline void lose_all(void)
{
    char cmd[512];
    world_close();
    snprintf(cmd, sizeof cmd, "rm -rf %s/data %s/outputs && mkdir %s/data", w.root, w.root, w.root);
    cr_assert(system(cmd) == 0);
    node.post_cnt = node.word_cnt = 0;
    for (uint32_t i = 0; i < parcel_cnt; i++) free(parcels[i].p);
    parcel_cnt = alert_cnt = 0;
}

static inline void take_joined(void)
{
    char cmd[512];
    bool taken = false;
    cr_assert(kh_join_take(&w.disk, w.store_dir, &taken) == KH_OK && taken);
    snprintf(cmd, sizeof cmd, "mv %s/data/outputs %s/outputs && [ \"$(ls %s/data | grep -c joined)\" = 0 ]", w.root, w.root,
             w.root);
    cr_assert(system(cmd) == 0);
}
#endif
