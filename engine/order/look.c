/* look: what else others look up in the order, one by one. */
#include "order/inside.h"

bool kh_order_app_at(const kh_order *o, uint32_t n, uint64_t *ret_height, uint8_t ret_hash[32])
{
    if (n >= o->app_cnt) return false;
    *ret_height = o->apps[n].height;
    memcpy(ret_hash, o->apps[n].app_hash, 32);
    return true;
}

bool kh_order_leaf_at(const kh_order *o, uint32_t n, kh_public_leaf *ret)
{
    if (n >= o->tree.cnt) return false;
    const struct kh_tree_leaf *leaf = &o->tree.leaves[n];
    *ret = (kh_public_leaf){.key_n = leaf->key_n, .value_n = leaf->value_n, .value = leaf->value};
    memcpy(ret->key, leaf->key, leaf->key_n);
    return true;
}

bool kh_order_unattested_at(const kh_order *o, uint32_t n, uint8_t ret_digest[32], bool *ret_lost)
{
    if (n >= o->unattested_cnt) return false;
    memcpy(ret_digest, o->unattested[n].digest, 32);
    *ret_lost = o->unattested[n].lost;
    return true;
}

uint64_t kh_order_unattested_upto(const kh_order *o, uint64_t height)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < o->unattested_cnt && o->unattested[i].height <= height; i++) newest = o->unattested[i].height;
    return newest;
}

bool kh_order_snapshot_due(const kh_order *o, uint64_t distance)
{
    if (distance == 0 || o->app_cnt < 2 || o->entries_height == 0 || o->entries_height != o->height) return false;
    return o->apps[o->app_cnt - 2].height / distance < o->height / distance;
}
