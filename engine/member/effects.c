/* effects: the node's effects on this machine. They are called with the node's lock held (cluster/node.h). */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "member/parts.h"
#include "crypto/digest.h"

/* How long a body may lack before it is said, and until it is said again: others are asked all the while, and most answer in
 * moments. */
#define BODY_FIRST_NS UINT64_C(10000000000)
#define BODY_AGAIN_NS UINT64_C(600000000000)

void kh_cluster_fail(kh_cluster *c, const char *what, kh_err err)
{
    if (atomic_exchange(&c->failed, true)) return;
    KH_LOG(c->options.logging, KH_LEVEL_ERROR, "cluster_stopped", {"at", what, 0}, {"why", kh_err_text(err), 0},
           {"do", "look at the disk, then restart kanhed and CometBFT", 0});
}

/* Where it goes back, the store does when it is opened: whoever watches over kanhed starts it again. */
static void end_process(kh_cluster *c, const char *event, const char *why, const char *what)
{
    if (atomic_exchange(&c->failed, true)) return;
    KH_LOG(c->options.logging, KH_LEVEL_ERROR, event, {"why", why, 0}, {"do", what, 0});
    (void)syscall(SYS_tgkill, getpid(), getpid(), SIGTERM); /* the first thread waits for it */
}

void kh_cluster_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    kh_cluster *c = ctx;
    atomic_fetch_add_explicit(&c->alerts, 1, memory_order_relaxed);
    KH_LOG(c->options.logging, KH_LEVEL_WARNING, "cluster_alert", {"word", word, 0}, {"member", NULL, member},
           {"height", NULL, height});
    if (strcmp(word, "BODY_GIVEN_UP") == 0)
        KH_LOG(
            c->options.logging, KH_LEVEL_ERROR, "body_given_up", {"sender", NULL, member}, {"height", NULL, height},
            {"do",
             "this hub has not executed that height, and the cluster keeps no bodies of it any more: begin it anew from a state "
             "that validators hold",
             0});
    if (strcmp(word, "LOST_BEFORE_STATE") == 0)
        KH_LOG(c->options.logging, KH_LEVEL_ERROR, "lost_before_state", {"height", NULL, height},
               {"do",
                "officers ordered a body of that height lost, and this hub began with a state behind it: begin it anew, with all "
                "blocks or with a state of a checkpoint that hubs attested since",
                0});
    if (strcmp(word, "EXECUTION_GOES_BACK") == 0)
        end_process(c, "execution_goes_back", "officers ordered a body lost that this hub had executed",
                    "start kanhed again, where nobody does it for you");
    if (strcmp(word, "EXECUTION_DIFFERS") == 0)
        end_process(c, "execution_differs", "a quorum of hubs attested another outcome of the same order",
                    "keep this directory for those who look into it, and begin this node anew; nothing of it is served");
}

/* Best effort: who needs an answer asks again. */
void kh_cluster_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    kh_cluster *c = ctx;
    kh_link *link = atomic_load_explicit(&c->link, memory_order_acquire); /* of start_link */
    kh_err err = link != NULL ? kh_link_send(link, to, type, p, n) : KH_E_AGAIN;
    (void)err;
}

static uint64_t now(void *self)
{
    const kh_clock *clock = ((kh_cluster *)self)->options.clock;
    return clock->now(clock->self);
}

static uint64_t monotonic(void *self)
{
    const kh_clock *clock = ((kh_cluster *)self)->options.clock;
    return clock->monotonic(clock->self);
}

void kh_cluster_body_lacks(void *ctx, const uint8_t digest[32], uint32_t sender, uint64_t height)
{
    kh_cluster *c = ctx;
    uint64_t at = monotonic(c);
    char hex[65];
    if (memcmp(c->body_lacks.digest, digest, 32) != 0) {
        memcpy(c->body_lacks.digest, digest, 32);
        c->body_lacks.since_ns = at;
        c->body_lacks.told = false;
    }
    if (at - c->body_lacks.since_ns < (c->body_lacks.told ? BODY_AGAIN_NS : BODY_FIRST_NS)) return;
    c->body_lacks.told = true;
    c->body_lacks.since_ns = at;
    kh_hex(digest, 32, hex);
    KH_LOG(c->options.logging, KH_LEVEL_ERROR, "body_missing", {"digest", hex, 0}, {"sender", NULL, sender},
           {"height", NULL, height},
           {"do",
            "execution waits for this body: bring back a node that holds it; where nobody does, officers order it lost (change "
            "lost)",
            0});
}

static kh_err entropy(void *self, void *p, size_t n)
{
    const kh_entropy *e = ((kh_cluster *)self)->options.entropy;
    return e->fill(e->self, p, n);
}

/* ---- bodies ---- */

typedef struct putting {
    kh_cluster *cluster;
    uint64_t token;
} putting;

static void put_done(void *ctx, kh_err err)
{
    putting *p = ctx;
    kh_node_stored(p->cluster->node, p->token, err);
    free(p);
}

static kh_err body_put(void *self, const kh_body_name *name, const uint8_t *p, size_t n, uint64_t token)
{
    kh_cluster *c = self;
    putting *ctx = malloc(sizeof *ctx);
    if (ctx == NULL) return KH_E_NOMEM;
    *ctx = (putting){c, token};
    kh_err err = kh_bodies_put(c->bodies, name, p, n, put_done, ctx);
    if (err != KH_OK) free(ctx);
    return err;
}

static bool body_has(void *self, const uint8_t digest[32]) { return kh_bodies_has(((kh_cluster *)self)->bodies, digest); }

static kh_err body_get(void *self, const uint8_t digest[32], uint8_t **ret, size_t *ret_n)
{
    return kh_bodies_get(((kh_cluster *)self)->bodies, digest, ret, ret_n);
}

static void body_ordered(void *self, const uint8_t digest[32], uint32_t sender)
{
    kh_bodies_ordered(((kh_cluster *)self)->bodies, digest, sender);
}

static void body_expire(void *self, uint64_t now_ns) { kh_bodies_expire(((kh_cluster *)self)->bodies, now_ns); }

static void body_each(void *self, uint32_t sender, void (*each)(void *ctx, const kh_body_name *name), void *ctx)
{
    kh_cluster *c = self;
    kh_err err = kh_bodies_each(c->bodies, sender, each, ctx);
    if (err != KH_OK) kh_cluster_fail(c, "bodies", err);
}

/* ---- what comes of the order ---- */

typedef struct keeping {
    kh_cluster *cluster;
    const kh_order_block *block;
} keeping;

static void keep(void *ctx, kh_order *order)
{
    const keeping *k = ctx;
    kh_err err = kh_kept_add(k->cluster->kept, k->block, order);
    if (err != KH_OK) kh_cluster_fail(k->cluster, "order", err);
}

static void decided(void *self, const kh_order_block *block)
{
    kh_cluster *c = self;
    keeping k = {c, block};
    if (atomic_load(&c->failed)) return;
    kh_node_read(c->node, keep, &k);
    kh_err err = kh_cluster_note(c, block->height, block->types, block->codes, block->tx_cnt);
    if (err == KH_OK && c->members != NULL) err = kh_register_decided(c->members, block);
    if (err != KH_OK) kh_cluster_fail(c, "register", err);
    for (uint32_t i = 0; i < block->tx_cnt; i++) {
        if (block->types[i] != KH_TX_CHANGE || block->codes[i] != KH_R_OK) continue;
        kh_cluster_note_keys(c, block->height);
        break;
    }
    if (block->tx_cnt != 0) atomic_store_explicit(&c->entries, true, memory_order_relaxed);
    if (block->tx_cnt != 0) kh_cluster_snapshot(c);
    if (c->officers != NULL) kh_changes_decided(c->officers, block);
    if (c->follows && !c->waits) kh_cluster_look_again(c);
    if (c->view != NULL && !atomic_load(&c->failed)) kh_view_decided(c->view);
    if (c->hub != NULL && !atomic_load(&c->failed)) kh_hub_decided(c->hub, block->height);
}

static void attested(void *self, const kh_attestation *attestation)
{
    kh_cluster *c = self;
    if (c->hub != NULL) kh_hub_attested(c->hub, attestation);
    if (c->view != NULL) kh_view_attested(c->view, attestation);
}

static void checkpoint(void *self, const kh_attestation *attestation)
{
    const kh_cluster *c = self;
    KH_LOG(c->options.logging, KH_LEVEL_INFO, "checkpoint_attested", {"height", NULL, attestation->height});
}

static void outputs(void *self, uint32_t hub, const uint8_t *p, size_t n)
{
    kh_cluster *c = self;
    if (c->view != NULL) kh_view_outputs(c->view, hub, p, n);
}

static void outputs_wanted(void *self, uint32_t bank, uint64_t above_height)
{
    kh_cluster *c = self;
    if (c->hub != NULL) kh_hub_outputs_wanted(c->hub, bank, above_height);
}

static void ordered(void *self, const uint8_t digest[32], uint64_t height, const uint64_t *tags, const uint32_t *op_cnts,
                    uint32_t n)
{
    kh_cluster *c = self;
    if (c->hub != NULL) kh_hub_ordered(c->hub, digest, height, tags, op_cnts, n);
    if (c->view != NULL) kh_view_ordered(c->view, digest, height, tags, op_cnts, n);
}

void kh_cluster_effects_fill(kh_cluster *c)
{
    c->effects = (kh_node_effects){.self = c,
                                   .send = kh_cluster_send,
                                   .now = now,
                                   .monotonic = monotonic,
                                   .entropy = entropy,
                                   .body_put = body_put,
                                   .body_has = body_has,
                                   .body_get = body_get,
                                   .body_ordered = body_ordered,
                                   .body_expire = body_expire,
                                   .body_each = body_each,
                                   .decided = decided,
                                   .attested = attested,
                                   .checkpoint = checkpoint,
                                   .outputs = outputs,
                                   .outputs_wanted = outputs_wanted,
                                   .alert = kh_cluster_alert,
                                   .ordered = ordered};
}
