/* self: who this node is in the register, and whether its keys are that member's; until they are, it follows. */
#include <stdarg.h>
#include <stdio.h>
#include "member/parts.h"
#include "crypto/digest.h"

bool kh_cluster_say(char *why, size_t cap, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, cap, format, args);
    va_end(args);
    return false;
}

#define FOLLOWS_FIRST_NS (10 * KH_NS_PER_S) /* with all blocks there: officers may just be about to order it */
#define FOLLOWS_AGAIN_NS (600 * KH_NS_PER_S)
#define FOLLOWS_NEW_NS (30 * KH_NS_PER_S) /* a block of before is one that is caught up with */

typedef struct looking {
    kh_cluster *cluster;
    uint64_t height, time_ns;
    bool found;
    kh_member self;
    kh_order_hubs hubs;
} looking;

static void look(void *ctx, kh_order *order)
{
    looking *l = ctx;
    const kh_member *m = kh_order_member(order, l->cluster->options.config->cluster.member);
    l->found = m != NULL;
    if (m != NULL) l->self = *m;
    kh_order_hub_set(order, &l->hubs);
    l->height = kh_order_height(order);
    l->time_ns = kh_order_time(order);
}

/* A key that the register names is there, and is that one. */
static bool key_fits(const kh_cluster *c, const char *name, const uint8_t want[KH_PUBLIC_SZ], bool there,
                     const uint8_t have[KH_PUBLIC_SZ], char *why, size_t cap)
{
    static const uint8_t none[KH_PUBLIC_SZ];
    const kh_config *config = c->options.config;
    if (memcmp(want, none, KH_PUBLIC_SZ) == 0) return true;
    if (!there)
        return kh_cluster_say(why, cap, "%s/%s is missing: member %u has such a key", config->cluster.keys, name, c->self.id);
    if (memcmp(want, have, KH_PUBLIC_SZ) == 0) return true;
    char ours[2 * KH_PUBLIC_SZ + 1], theirs[2 * KH_PUBLIC_SZ + 1];
    kh_hex(have, KH_PUBLIC_SZ, ours);
    kh_hex(want, KH_PUBLIC_SZ, theirs);
    return kh_cluster_say(
        why, cap, "%s/%s is not the key that the register has of member %u: its public one begins %.16s, the register's %.16s",
        config->cluster.keys, name, c->self.id, ours, theirs);
}

static bool signer_fits(const kh_cluster *c, const char *name, const uint8_t want[KH_PUBLIC_SZ], const kh_signer *signer,
                        char *why, size_t cap)
{
    uint8_t have[KH_PUBLIC_SZ] = {0};
    if (signer != NULL) kh_signer_public(signer, have);
    return key_fits(c, name, want, signer != NULL, have, why, cap);
}

static bool box_fits(const kh_cluster *c, const char *name, const uint8_t want[KH_PUBLIC_SZ], const kh_box *box, char *why,
                     size_t cap)
{
    uint8_t have[KH_PUBLIC_SZ] = {0};
    if (box != NULL) kh_box_public(box, have);
    return key_fits(c, name, want, box != NULL, have, why, cap);
}

static bool member_fits(kh_cluster *c, looking *l, char *why, size_t cap)
{
    const kh_cluster_keys *k = c->options.keys;
    kh_node_read(c->node, look, l);
    if (!l->found) return kh_cluster_say(why, cap, "there is no member %u in this cluster", c->options.config->cluster.member);
    c->self = l->self;
    return signer_fits(c, "sender.key", c->self.sender, k->sender, why, cap) &&
           signer_fits(c, "ack.key", c->self.ack, k->ack, why, cap) &&
           signer_fits(c, "attest.key", c->self.attest, k->attest, why, cap) &&
           box_fits(c, "box.key", c->self.box, k->box, why, cap);
}

/* One whose keys are not this member's follows, whatever it executed before: the order that it saved may be of before the block
 * that names them, be it at the genesis or where its keys were changed while it was away. */
bool kh_cluster_know_self(kh_cluster *c, char *why, size_t cap)
{
    const kh_cluster_keys *k = c->options.keys;
    looking l = {.cluster = c};
    if (!member_fits(c, &l, why, cap)) return c->follows = true;
    if (c->self.role == KH_MEMBER_HUB) {
        char name[32];
        (void)snprintf(name, sizeof name, "group.%u.key", l.hubs.epoch);
        const kh_box *group = l.hubs.epoch >= 1 && l.hubs.epoch <= KH_CLUSTER_EPOCHS_MAX ? k->groups[l.hubs.epoch - 1] : NULL;
        return box_fits(c, name, l.hubs.group, group, why, cap);
    }
    if (c->self.role == KH_MEMBER_BANK && !k->has_disk)
        return kh_cluster_say(why, cap, "%s/disk.key is missing: it seals what this bank knows", c->options.config->cluster.keys);
    return true;
}

void kh_cluster_note_why(kh_cluster *c, const char *why)
{
    (void)pthread_mutex_lock(&c->follows_lock);
    (void)snprintf(c->follows_why, sizeof c->follows_why, "%s", why);
    (void)pthread_mutex_unlock(&c->follows_lock);
}

void kh_cluster_follows_why(kh_cluster *c, char *ret, size_t cap)
{
    (void)pthread_mutex_lock(&c->follows_lock);
    (void)snprintf(ret, cap, "%s", c->follows ? c->follows_why : "");
    (void)pthread_mutex_unlock(&c->follows_lock);
}

/* On its way from the genesis a node is no member at many blocks that are long past: those are nobody's fault. */
static void tell(kh_cluster *c, const looking *l, const char *why)
{
    const kh_clock *clock = c->options.clock;
    uint64_t now = clock->monotonic(clock->self);
    bool first = !c->follows_told;
    if (clock->now(clock->self) > l->time_ns + FOLLOWS_NEW_NS) c->follows_told_ns = now;
    if (now - c->follows_told_ns < (first ? FOLLOWS_FIRST_NS : FOLLOWS_AGAIN_NS)) return;
    c->follows_told = true;
    c->follows_told_ns = now;
    KH_LOG(
        c->options.logging, KH_LEVEL_ERROR, "still_follows", {"member", NULL, c->options.config->cluster.member},
        {"height", NULL, l->height}, {"why", why, 0},
        {"do",
         "it has the newest blocks and is no member by them: put the register's key in place and restart, or have officers order "
         "this one (change member); until then it follows",
         0});
}

void kh_cluster_look_again(kh_cluster *c)
{
    char why[400] = "";
    looking l = {.cluster = c};
    if (atomic_load(&c->joined)) return;
    if (member_fits(c, &l, why, sizeof why)) {
        atomic_store(&c->joined, true);
        return;
    }
    kh_cluster_note_why(c, why);
    tell(c, &l, why);
}
