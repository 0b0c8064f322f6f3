/* abci: CometBFT's calls, answered by the node. One at a time: CometBFT makes those of consensus one after the other, and
 * what an answer points to stays until the next. */
#include <stdlib.h>
#include <time.h>
#include "member/parts.h"
#include "member/genesis_json.h"
#include "proof/comet.h"

#define WAIT_MS 100u        /* how long a proposal waits for something urgent; well below timeout_propose */
#define LAGS_NS KH_NS_PER_S /* blocks whose time is older than this are made again, not now */

static bool refuse(kh_abci_answer *ret, const char *why)
{
    ret->exception = why;
    return false;
}

typedef struct versions {
    uint64_t height, from;
    uint32_t next, ahead;
} versions;

static void look(void *ctx, kh_order *order)
{
    versions *v = ctx;
    v->next = kh_order_version(order, v->height + 1);
    v->ahead = kh_order_version_ahead(order, &v->from);
}

/* In time for who runs this node: it stops where blocks begin that it does not know. */
static void warn_of_version(kh_cluster *c, const versions *v)
{
    bool stops = v->next > KH_ORDER_VERSION;
    uint32_t version = stops ? UINT32_MAX : v->ahead;
    if (version == c->version_said) return;
    c->version_said = version;
    if (stops)
        KH_LOG(c->options.logging, KH_LEVEL_ERROR, "app_version_unknown", {"height", NULL, v->height + 1},
               {"version", NULL, v->next}, {"known", NULL, KH_ORDER_VERSION},
               {"do", "install a kanhed that knows it, and start both again: nothing is lost", 0});
    else if (version > KH_ORDER_VERSION)
        KH_LOG(c->options.logging, KH_LEVEL_WARNING, "app_version_ahead", {"version", NULL, version},
               {"from_height", NULL, v->from}, {"known", NULL, KH_ORDER_VERSION},
               {"do", "install a kanhed that knows it before that height", 0});
}

static bool info(kh_cluster *c, kh_abci_answer *ret)
{
    static _Thread_local uint8_t hash[32];
    uint64_t height = kh_node_kept_height(c->node, hash);
    versions v = {.height = height};
    kh_node_read(c->node, look, &v);
    warn_of_version(c, &v);
    *ret = (kh_abci_answer){.data = "kanhe", .app_version = v.next, .height = (int64_t)height};
    if (height != 0) ret->app_hash = hash;
    return true;
}

/* ---- the beginning: CometBFT's genesis.json must be ours ---- */

static bool same_state(const kh_cluster *c, const kh_abci_request *r)
{
    kh_genesis theirs;
    uint8_t *bytes = NULL;
    size_t n = 0;
    char why[200];
    if (!kh_genesis_state_read((const char *)r->app_state.p, r->app_state.n, &theirs, why, sizeof why)) return false;
    bool same = kh_genesis_encode(&theirs, &bytes, &n) == KH_OK && n == c->genesis_sz && memcmp(bytes, c->genesis, n) == 0;
    free(bytes);
    kh_genesis_free(&theirs);
    return same;
}

static bool validates(const kh_genesis *g, const uint8_t key[32])
{
    for (uint32_t i = 0; i < g->member_cnt; i++)
        if ((g->members[i].flags & KH_MEMBER_VALIDATOR) != 0 && memcmp(g->members[i].consensus, key, 32) == 0) return true;
    return false;
}

/* All of the register's validators, each with KH_COMET_POWER. CometBFT takes no key twice. */
static bool same_validators(const kh_genesis *g, const kh_abci_request *r)
{
    uint32_t want = 0, cnt = 0;
    size_t at = 0;
    for (kh_abci_validator v; kh_abci_validator_next(r, &at, &v); cnt++) {
        if (v.power != KH_COMET_POWER || !validates(g, v.public_key)) return false;
    }
    for (uint32_t i = 0; i < g->member_cnt; i++) want += (g->members[i].flags & KH_MEMBER_VALIDATOR) != 0;
    return cnt == want;
}

static bool init_chain(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    static uint8_t hash[32];
    const kh_genesis *g = c->options.genesis;
    const char *why = NULL;
    if (r->chain_id.n != strlen(g->chain_id) || memcmp(r->chain_id.p, g->chain_id, r->chain_id.n) != 0 ||
        r->initial_height != (int64_t)g->initial_height)
        why = "genesis.json of CometBFT: chain_id or initial_height is not what app_state.kanhe says";
    else if (!same_validators(g, r))
        why = "genesis.json of CometBFT: its validators are not those of app_state.kanhe, of power 3 each";
    else if (!same_state(c, r)) why = "genesis.json of CometBFT: app_state.kanhe is not the one of this node";
    if (why != NULL) {
        KH_LOG(c->options.logging, KH_LEVEL_ERROR, "genesis_differs", {"why", why, 0});
        return refuse(ret, why);
    }
    kh_node_init_hash(c->node, hash);
    ret->app_hash = hash;
    return true;
}

/* ---- blocks ---- */

/* The request's transactions as the node takes them; NULL: out of memory. */
static const kh_tx_span *spans(kh_cluster *c, const kh_abci_request *r)
{
    size_t at = 0;
    kh_span tx;
    if (r->tx_cnt >= c->span_cap) {
        kh_tx_span *p = realloc(c->spans, ((size_t)r->tx_cnt + 1) * sizeof *p);
        if (p == NULL) return NULL;
        c->spans = p;
        c->span_cap = r->tx_cnt + 1;
    }
    for (uint32_t i = 0; kh_abci_tx_next(r, &at, &tx); i++) c->spans[i] = (kh_tx_span){tx.p, tx.n};
    return c->spans;
}

/* A node that lags is asked for proposals too, which nobody waits for any more: its blocks' time is old. */
static bool is_new(const kh_cluster *c, uint64_t time_ns)
{
    return c->options.clock->now(c->options.clock->self) < time_ns + LAGS_NS;
}

/* An idle cluster is paced here: what is urgent finds a proposer that waits for it, and need not wait for a block of nothing. A
 * height that needs a second round waits for nothing. */
static uint32_t choose(kh_cluster *c, const kh_abci_request *r, const kh_tx_span **ret)
{
    const uint64_t height = (uint64_t)r->height;
    const size_t room = r->max_tx_bytes > 0 ? (size_t)r->max_tx_bytes : 0;
    const struct timespec ms = {.tv_nsec = 1000000};
    uint64_t seen = kh_node_urgent(c->node);
    uint32_t n = kh_node_prepare(c->node, height, r->time_ns, room, ret);
    bool waits = c->seen_height != height && is_new(c, r->time_ns);
    for (uint32_t left = waits ? WAIT_MS : 0; left > 0 && !kh_node_is_urgent(*ret, n); left--) {
        (void)nanosleep(&ms, NULL);
        uint64_t now = kh_node_urgent(c->node);
        if (now == seen && left > 1) continue;
        seen = now;
        n = kh_node_prepare(c->node, height, r->time_ns, room, ret);
    }
    c->seen_height = height;
    return n;
}

static bool prepare(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    const kh_tx_span *chosen = NULL;
    uint32_t n = choose(c, r, &chosen);
    KH_ASSERT(n <= KH_ORDER_TXS_MAX);
    for (uint32_t i = 0; i < n; i++) c->txs[i] = (kh_span){chosen[i].p, chosen[i].n};
    *ret = (kh_abci_answer){.txs = c->txs, .tx_cnt = n};
    return true;
}

static bool finalize(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    const kh_tx_span *txs = spans(c, r);
    const kh_order_block *block = NULL;
    kh_err err = txs != NULL ? kh_node_finalize(c->node, (uint64_t)r->height, r->time_ns, txs, r->tx_cnt, &block) : KH_E_NOMEM;
    if (err == KH_OK) {
        free(c->validators);
        c->validators = calloc((size_t)block->validator_cnt + 1, sizeof *c->validators);
        if (c->validators == NULL) err = KH_E_NOMEM;
    }
    if (err == KH_E_VERSION) return refuse(ret, "the block's app version is not known: a newer kanhed is wanted");
    if (err != KH_OK) {
        KH_LOG(c->options.logging, KH_LEVEL_ERROR, "block_not_executed", {"height", NULL, (uint64_t)r->height},
               {"why", kh_err_text(err), 0}, {"do", "restart CometBFT, then kanhed, if this stays", 0});
        return refuse(ret, "the block cannot be executed");
    }
    for (uint32_t i = 0; i < block->validator_cnt; i++) {
        memcpy(c->validators[i].public_key, block->validators[i].consensus, 32);
        c->validators[i].power = block->validators[i].votes ? KH_COMET_POWER : 0;
    }
    versions v = {.height = (uint64_t)r->height};
    kh_node_read(c->node, look, &v);
    warn_of_version(c, &v);
    *ret = (kh_abci_answer){.codes = block->codes,
                            .code_cnt = block->tx_cnt,
                            .validators = c->validators,
                            .validator_cnt = block->validator_cnt,
                            .app_version = block->next_version,
                            .app_hash = block->app_hash};
    return true;
}

static bool process(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    const kh_tx_span *txs = spans(c, r);
    if (txs == NULL) return refuse(ret, "out of memory");
    c->seen_height = (uint64_t)r->height;
    ret->accept = kh_node_process(c->node, (uint64_t)r->height, r->time_ns, txs, r->tx_cnt);
    return true;
}

static bool commit(kh_cluster *c, kh_abci_answer *ret)
{
    kh_node_commit(c->node);
    return !atomic_load(&c->failed) || refuse(ret, "the block cannot be kept");
}

static bool answer(kh_cluster *c, const kh_abci_request *r, kh_abci_answer *ret)
{
    if (atomic_load(&c->failed)) return refuse(ret, "this node has stopped: see kanhed's log");
    if (r->height < 0) return refuse(ret, "a height below 0");
    switch (r->call) {
    case KH_ABCI_INFO: return info(c, ret);
    case KH_ABCI_INIT_CHAIN: return init_chain(c, r, ret);
    case KH_ABCI_PREPARE: return prepare(c, r, ret);
    case KH_ABCI_PROCESS: return process(c, r, ret);
    case KH_ABCI_FINALIZE: return finalize(c, r, ret);
    case KH_ABCI_COMMIT: return commit(c, ret);
    case KH_ABCI_LIST_SNAPSHOTS:
    case KH_ABCI_OFFER_SNAPSHOT:
    case KH_ABCI_LOAD_CHUNK:
    case KH_ABCI_APPLY_CHUNK: return kh_cluster_snapshot_call(c, r, ret);
    case KH_ABCI_QUERY:
    case KH_ABCI_CHECK_TX:
    case KH_ABCI_INSERT_TX: ret->code = 1; return true; /* nothing comes in this way */
    default: return true;                               /* no vote extensions */
    }
}

bool kh_cluster_call(void *self, const kh_abci_request *request, kh_abci_answer *ret)
{
    kh_cluster *c = self;
    (void)pthread_mutex_lock(&c->calls);
    bool good = answer(c, request, ret);
    (void)pthread_mutex_unlock(&c->calls);
    return good;
}

void kh_cluster_lost(void *self)
{
    kh_cluster *c = self;
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "cometbft_gone", {"do", "restart it if it does not come back by itself", 0});
}
