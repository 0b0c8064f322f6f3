/* hub: a hub's execution, started, with the group's keys as they come; or a hub that waits for a state. */
#include <stdio.h>
#include <unistd.h>
#include "member/parts.h"

static void hub_set_of(void *ctx, kh_order *order) { kh_order_hub_set(order, ctx); }

/* A key that is another than the one that officers named opens nothing, and is refused. */
static bool group_fits(kh_cluster *c, uint32_t epoch)
{
    uint8_t have[KH_PUBLIC_SZ];
    kh_order_hubs hubs;
    kh_node_read(c->node, hub_set_of, &hubs);
    kh_box_public(c->options.keys->groups[epoch - 1], have);
    return hubs.epoch != epoch || memcmp(have, hubs.group, sizeof have) == 0;
}

bool kh_cluster_group_wanted(void *ctx, uint32_t epoch)
{
    kh_cluster *c = ctx;
    kh_cluster_keys *k = c->options.keys;
    const char *folder = c->options.config->cluster.keys;
    char why[400] = "";
    bool there = kh_cluster_keys_group(c->options.genesis->suite, folder, (uint32_t)geteuid(), epoch, k, why, sizeof why);
    if (there && !group_fits(c, epoch)) {
        kh_cluster_keys_group_drop(k, epoch);
        there = kh_cluster_say(why, sizeof why, "it is not the key that the officers named");
    }
    if (there) KH_LOG(c->options.logging, KH_LEVEL_INFO, "group_key_read", {"epoch", NULL, epoch});
    else if (c->group_told != epoch)
        KH_LOG(c->options.logging, KH_LEVEL_ERROR, "group_key_missing", {"epoch", NULL, epoch}, {"keys", folder, 0},
               {"why", why[0] != '\0' ? why : "no such file", 0},
               {"do", "put group.EPOCH.key of another hub there: execution waits for it and goes on by itself", 0});
    c->group_told = epoch;
    return there;
}

static const char no_state[] =
    "this hub has no state to execute on: it begins with its peers', or from the directory that all hubs "
    "began with",
                  behind[] =
                      "this hub began with a snapshot of the order, and waits for its peers' state of a checkpoint behind it";

/* A data directory that kanhed has made itself, where there is another to begin with. */
static bool is_empty(kh_cluster *c)
{
    kh_store_stats stats;
    uint8_t hash[32];
    kh_store_get_stats(c->options.store, &stats);
    return stats.height == 0 && kh_node_kept_height(c->node, hash) == 0;
}

bool kh_cluster_hub(kh_cluster *c, char *why, size_t cap)
{
    const kh_cluster_keys *k = c->options.keys;
    const kh_hub_options options = {.node = c->node,
                                    .kept = c->kept,
                                    .store = c->options.store,
                                    .disk = &c->disk,
                                    .dir = c->options.config->data,
                                    .entropy = c->options.entropy,
                                    .genesis = c->options.genesis,
                                    .groups = (const kh_box *const *)k->groups,
                                    .group_secrets = k->group_secrets,
                                    .epoch_cnt = k->epoch_cnt,
                                    .group_wanted = kh_cluster_group_wanted,
                                    .body_lacks = kh_cluster_body_lacks,
                                    .checkpoint_blocks = c->options.config->cluster.checkpoint_blocks,
                                    .alert = kh_cluster_alert,
                                    .send = kh_cluster_send,
                                    .ctx = c};
    if (kh_store_last_block(c->options.store) < kh_kept_base(c->kept)) {
        kh_cluster_wait(c, behind);
        return true;
    }
    kh_err err = kh_hub_start(&options, &c->hub);
    if (err == KH_E_VERSION && is_empty(c)) {
        kh_cluster_wait(c, no_state);
        return true;
    }
    if (err == KH_E_VERSION)
        return kh_cluster_say(why, cap, "%s does not hold the state that %s begins with (its checkpoint): another directory",
                              options.dir, c->options.config->cluster.genesis);
    if (err == KH_E_FORMAT)
        return kh_cluster_say(why, cap,
                              "%s says what banks' views begin with (its opening), and it is not what %s and group.1.key come to",
                              c->options.config->cluster.genesis, options.dir);
    if (err == KH_E_NOT_FOUND)
        return kh_cluster_say(why, cap, "%s/group.1.key is missing: by it the genesis' opening is compared with %s",
                              c->options.config->cluster.keys, options.dir);
    if (err == KH_E_CLOSED)
        return kh_cluster_say(why, cap,
                              "%s: what this hub executed was not what a quorum of hubs attested (EXECUTION_DIFFERS in its log): "
                              "begin this node anew",
                              options.dir);
    return err == KH_OK || kh_cluster_say(why, cap, "execution: %s", kh_err_text(err));
}
