/* make: a hub makes the sealed state of the checkpoint that the order wants, beside what it executes: a thread of its
 * own, at the lowest priority. */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "member/parts.h"

#define LOOK_S 1u
#define AGAIN_LOOKS 60u /* after one that failed */

typedef struct making {
    kh_cluster *cluster;
    kh_state_maker *maker;
    uint64_t bytes;
} making;

void kh_cluster_yields(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19); /* this thread only; without it all goes as well */
}

static kh_err seal(void *ctx, const void *p, size_t n)
{
    making *m = ctx;
    if (!kh_cluster_pauses(m->cluster, 0)) return KH_E_CLOSED;
    m->bytes += n;
    return kh_state_maker_write(m->maker, p, n);
}

static void wanted(void *ctx, kh_order *order)
{
    kh_order_state of[KH_STATES];
    kh_order_states(order, of);
    *(kh_order_state *)ctx = of[KH_STATE_WANTED];
}

kh_err kh_cluster_group_at(kh_cluster *c, uint64_t height, uint32_t *ret_epoch, uint8_t ret[KH_PUBLIC_SZ])
{
    enum { GROUP_AT = 8 }; /* in leaf h (docs/CLUSTER.md) */
    kh_kept_block *b = NULL;
    kh_err err = kh_kept_at(c->kept, height, &b);
    if (err == KH_OK && b->hubs_n < GROUP_AT + KH_PUBLIC_SZ) err = KH_E_DAMAGED;
    if (err == KH_OK) *ret_epoch = kh_load32(b->hubs_value);
    if (err == KH_OK) memcpy(ret, b->hubs_value + GROUP_AT, KH_PUBLIC_SZ);
    kh_kept_block_free(b);
    return err;
}

/* KH_E_NOT_FOUND: there is nothing to make now. */
static kh_err make(kh_cluster *c, kh_order_state *ret, uint64_t *ret_bytes)
{
    making m = {.cluster = c};
    uint8_t public_key[KH_PUBLIC_SZ];
    uint32_t epoch = 0;
    const kh_checkpoint_sink to = {seal, &m};
    kh_node_read(c->node, wanted, ret);
    if (ret->height == 0 || kh_states_holds(c->states, ret->height)) return KH_E_NOT_FOUND;
    kh_err err = kh_hub_state_is(c->hub, ret->height, ret->posted, &epoch);
    if (err == KH_OK) err = kh_cluster_group_at(c, ret->height, &epoch, public_key); /* the private one is not needed for it */
    if (err == KH_OK) err = kh_states_make(c->states, ret->height, epoch, public_key, &m.maker);
    if (err == KH_OK) {
        err = kh_hub_state_write(c->hub, ret->height, ret->posted, &to);
        if (err != KH_OK) kh_state_maker_abort(m.maker);
        else err = kh_state_maker_end(m.maker);
    }
    *ret_bytes = m.bytes;
    return err == KH_E_EXISTS ? KH_E_NOT_FOUND : err;
}

static void *run(void *arg)
{
    kh_cluster *c = arg;
    uint32_t rests = 0;
    kh_cluster_yields();
    while (kh_cluster_pauses(c, LOOK_S * 1000)) {
        kh_order_state of;
        uint64_t bytes = 0;
        if (rests > 0 && --rests > 0) continue;
        kh_err err = make(c, &of, &bytes);
        if (err == KH_E_NOT_FOUND || err == KH_E_CLOSED) continue;
        if (err == KH_OK) {
            KH_LOG(c->options.logging, KH_LEVEL_INFO, "state_made", {"height", NULL, of.height}, {"bytes", NULL, bytes});
            continue;
        }
        rests = AGAIN_LOOKS;
        KH_LOG(c->options.logging, KH_LEVEL_WARNING, "state_not_made", {"height", NULL, of.height}, {"why", kh_err_text(err), 0},
               {"do", "look at memory and the disk; it is tried again, and other hubs make it too", 0});
    }
    return NULL;
}

bool kh_cluster_make_run(kh_cluster *c, char *why, size_t cap)
{
    if (c->hub == NULL) return true;
    c->makes = pthread_create(&c->maker, NULL, run, c) == 0;
    return c->makes || kh_cluster_say(why, cap, "no thread could be made");
}

void kh_cluster_make_end(kh_cluster *c)
{
    if (c->makes) (void)pthread_join(c->maker, NULL);
    c->makes = false;
}
