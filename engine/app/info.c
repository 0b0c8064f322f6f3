/* info: what the engine is told of its cluster: heights and digests, receipts that prove. Any thread. */
#include "member/attested.h"
#include "member/comet_rpc.h"
#include "app/parts.h"
#include "member/prove.h"
#include "proof/proof.h"
#include "proof/rpc.h"
#include <stdio.h>
#include <stdlib.h>

#define PAGE 100u
#define CHANGES_MAX 256u /* of validators, since genesis */

static void look(void *ctx, kh_order *order)
{
    kh_cluster_state *s = ctx;
    s->height = kh_order_height(order);
    kh_order_app_hash(order, s->app_hash);
    s->attested_height = kh_order_attested(order, s->state_digest);
}

typedef struct past {
    uint64_t height; /* asked */
    bool found;
    uint8_t app_hash[32];
} past;

/* before_kept looks where no kept block reaches: until the first block with entries the hash is genesis's. */
static void before_kept(void *ctx, kh_order *order)
{
    past *p = ctx;
    uint64_t height;
    uint8_t hash[32];
    for (uint32_t n = 0; kh_order_app_at(order, n, &height, hash) && height <= p->height; n++) {
        p->found = true;
        memcpy(p->app_hash, hash, sizeof hash);
    }
}

static kh_err state(void *self, uint64_t height, kh_cluster_state *ret)
{
    kh_cluster_state s = {0};
    kh_kept_hash then;
    kh_cluster *c = ((kh_daemon *)self)->cluster;
    kh_node_read(kh_cluster_node(c), look, &s);
    if (height != 0 && height != s.height) {
        if (height > s.height) return KH_E_NOT_FOUND;
        kh_err err = kh_kept_hash_at(kh_cluster_kept(c), height, &then); /* blocks without entries leave the hash as it is */
        if (err == KH_E_AGAIN || err == KH_E_NOT_FOUND) {
            past p = {.height = height};
            kh_node_read(kh_cluster_node(c), before_kept, &p);
            if (!p.found) return KH_E_NOT_FOUND;
            memcpy(then.app_hash, p.app_hash, sizeof p.app_hash);
        } else if (err != KH_OK) return err;
        s.height = height;
        memcpy(s.app_hash, then.app_hash, 32);
    }
    *ret = s;
    return KH_OK;
}

/* ---- receipts that prove ---- */

typedef struct gathered { /* freed by drop */
    char *genesis, *block_json, *commit;
    size_t genesis_n, block_n, commit_n;
    uint8_t *package;
    kh_kept_block *block;
    uint32_t change_cnt;
    kh_prove_change changes[CHANGES_MAX];
    kh_comet_set *sets; /* change_cnt of them and one more */
} gathered;

static void drop(gathered *g)
{
    free(g->genesis);
    free(g->block_json);
    free(g->commit);
    free(g->package);
    kh_kept_block_free(g->block);
    for (uint32_t i = 0; i < g->change_cnt; i++) free((char *)(uintptr_t)g->changes[i].commit);
    free(g->sets);
}

static kh_err read_genesis(const char *path, gathered *g)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) return KH_E_IO;
    g->genesis = malloc(KH_PROOF_MAX_SZ + 1);
    g->genesis_n = g->genesis != NULL ? fread(g->genesis, 1, KH_PROOF_MAX_SZ + 1, f) : 0;
    bool good = g->genesis != NULL && ferror(f) == 0 && g->genesis_n <= KH_PROOF_MAX_SZ;
    (void)fclose(f);
    return good ? KH_OK : KH_E_IO;
}

static kh_err get(const char *rpc, const char *what, uint64_t height, const char *more, char **ret, size_t *ret_n)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/%s?height=%llu%s", what, (unsigned long long)height, more);
    return kh_comet_get(rpc, path, ret, ret_n);
}

static kh_err validators(const char *rpc, uint64_t height, kh_comet_set *ret)
{
    ret->cnt = 0;
    for (uint32_t page = 1, before = UINT32_MAX; ret->cnt != before && ret->cnt == (page - 1) * PAGE; page++) {
        char more[48], *json = NULL;
        size_t n = 0;
        before = ret->cnt;
        (void)snprintf(more, sizeof more, "&per_page=%u&page=%u", PAGE, page);
        kh_err err = get(rpc, "validators", height, more, &json, &n);
        if (err == KH_OK) err = kh_proof_rpc_validators(json, n, ret);
        free(json);
        if (err == KH_E_NOT_FOUND && page > 1) break; /* no such page: the one before was full, and the last */
        if (err != KH_OK) return err;
    }
    return kh_comet_set_sort(ret) ? KH_OK : KH_E_FORMAT;
}

/* A change that was ordered at a height stands in the header of the next as its next validators, who begin one later. Not every
   change is of validators: sets that stay the same are passed over. */
static kh_err gather_changes(kh_cluster *c, const char *rpc, uint64_t below, gathered *g)
{
    uint64_t heights[CHANGES_MAX];
    uint32_t cnt = kh_cluster_changes(c, heights, CHANGES_MAX);
    g->sets = calloc((size_t)cnt + 2, sizeof *g->sets);
    if (g->sets == NULL) return KH_E_NOMEM;
    kh_err err = cnt != 0 ? validators(rpc, heights[0] + 1, &g->sets[0]) : KH_OK;
    for (uint32_t i = 0; i < cnt && err == KH_OK && heights[i] + 1 < below; i++) {
        kh_comet_set *next = &g->sets[g->change_cnt + 1];
        uint8_t before[32], after[32];
        char *commit = NULL;
        size_t n = 0;
        err = validators(rpc, heights[i] + 2, next);
        if (err != KH_OK) break;
        kh_comet_set_hash(next - 1, before);
        kh_comet_set_hash(next, after);
        if (memcmp(before, after, 32) == 0) continue;
        err = get(rpc, "commit", heights[i] + 1, "", &commit, &n);
        if (err == KH_OK) g->changes[g->change_cnt++] = (kh_prove_change){commit, n, next};
    }
    return err;
}

static kh_err gather(kh_cluster *c, kh_view *view, uint64_t financing, gathered *g, kh_prove_options *ret)
{
    const kh_config *config = kh_cluster_config(c);
    const char *rpc = config->cluster.cometbft_rpc;
    uint64_t height = 0;
    if (rpc[0] == '\0') return KH_E_CLOSED;
    kh_err err = kh_view_proof(view, financing, &height, &ret->item, &g->package, &ret->package_n);
    uint64_t base = kh_kept_base(kh_cluster_kept(c));
    kh_view_gap gap;
    if (err == KH_E_NOT_FOUND && !kh_view_whole(view, &gap)) err = gap.coming ? KH_E_AGAIN : KH_E_ARG;
    if (err == KH_OK && base != 0 && (height <= base || kh_kept_base_changes(kh_cluster_kept(c)) > 1)) err = KH_E_ARG;
    if (err == KH_OK) err = kh_kept_at(kh_cluster_kept(c), height, &g->block);
    if (err == KH_OK && g->block->height != height) err = KH_E_DAMAGED;
    if (err == KH_OK) err = read_genesis(config->cluster.genesis, g);
    if (err == KH_OK) err = get(rpc, "block", height, "", &g->block_json, &g->block_n);
    if (err == KH_OK) err = get(rpc, "commit", height + 1, "", &g->commit, &g->commit_n);
    if (err == KH_E_NOT_FOUND && g->block != NULL) err = KH_E_AGAIN; /* the financing is there, a header is not */
    if (err == KH_OK) err = gather_changes(c, rpc, height + 1, g);
    if (err != KH_OK) return err;
    ret->genesis = g->genesis, ret->genesis_n = g->genesis_n;
    ret->package = g->package;
    ret->block = g->block;
    ret->block_json = g->block_json, ret->block_n = g->block_n;
    ret->commit = g->commit, ret->commit_n = g->commit_n;
    ret->changes = g->changes, ret->change_cnt = g->change_cnt;
    return KH_OK;
}

/* What the node holds since its start, or else what the chain says. */
static kh_err attestations_of(kh_cluster *c, const kh_kept_block *block, kh_attestation *ret, uint32_t *ret_cnt)
{
    *ret_cnt = kh_node_attestations(kh_cluster_node(c), block->height, ret, KH_CONFIG_HUBS_MAX);
    if (*ret_cnt != 0) return KH_OK;
    return kh_cluster_attestations(kh_cluster_kept(c), kh_cluster_config(c)->cluster.cometbft_rpc, block, ret, KH_CONFIG_HUBS_MAX,
                                   ret_cnt);
}

static kh_err prove(void *self, uint32_t bank, uint64_t financing, void (*give)(void *ctx, const char *text, size_t n), void *ctx)
{
    kh_cluster *c = ((kh_daemon *)self)->cluster;
    kh_attestation attestations[KH_CONFIG_HUBS_MAX];
    kh_prove_options options = {.attestations = attestations};
    char why[300] = "", *text = NULL;
    size_t n = 0;
    kh_view *view = kh_cluster_view(c);
    if (view == NULL || bank != kh_cluster_config(c)->cluster.member) return KH_E_NOT_FOUND;
    gathered *g = calloc(1, sizeof *g);
    if (g == NULL) return KH_E_NOMEM;
    kh_err err = gather(c, view, financing, g, &options);
    if (err == KH_OK) {
        err = attestations_of(c, g->block, attestations, &options.attestation_cnt);
        if (err == KH_OK) err = kh_prove_make(&options, why, sizeof why, &text, &n);
        if (err == KH_E_NOT_FOUND) err = KH_E_AGAIN;
    }
    if (why[0] != '\0') KH_LOG(kh_cluster_logging(c), KH_LEVEL_WARNING, "not_proven", {"why", why, 0});
    if (err == KH_OK) give(ctx, text, n);
    free(text);
    drop(g);
    free(g);
    return err;
}

static kh_err enterprise(void *self, const char *uscc, uint32_t *ret)
{
    const kh_daemon *d = self;
    return d->forward != NULL ? kh_forward_enterprise(d->forward, uscc, ret) : KH_E_CLOSED;
}

kh_cluster_info kh_daemon_cluster_info(kh_daemon *d)
{
    bool bank = kh_cluster_view(d->cluster) != NULL;
    return (kh_cluster_info){.self = d, .state = state, .prove = prove, .enterprise = bank ? enterprise : NULL};
}
