/* version: which app version the blocks of a height have, and how officers order another. What decides validity asks it for the
 * height that it judges; a software that does not know a block's version does not execute it. */
#include "order/inside.h"

enum { BODY_SZ = 16, LEAF_SZ = 16 };
static const char leaf_key[] = {'u'};

uint32_t kh_order_version(const kh_order *o, uint64_t height)
{
    return o->version.from != 0 && height >= o->version.from ? o->version.then : o->version.before;
}

uint32_t kh_order_version_ahead(const kh_order *o, uint64_t *ret_from)
{
    if (o->version.from <= o->height + 1) return 0;
    *ret_from = o->version.from;
    return o->version.then;
}

bool kh_order_version_known(const kh_order *o, uint64_t height) { return kh_order_version(o, height) <= o->version.known; }

/* ---- its public leaf ---- */

kh_err kh_public_version(kh_order *o)
{
    uint8_t leaf[LEAF_SZ];
    if (o->version.from == 0) return KH_OK;
    kh_store32(leaf, o->version.before);
    kh_store32(leaf + 4, o->version.then);
    kh_store64(leaf + 8, o->version.from);
    return kh_tree_set(&o->tree, leaf_key, sizeof leaf_key, leaf, sizeof leaf);
}

bool kh_version_is_leaf(const uint8_t *key, uint8_t key_n) { return key_n == sizeof leaf_key && key[0] == leaf_key[0]; }

bool kh_version_take(kh_order *o, const uint8_t *value, size_t value_n)
{
    if (value_n != LEAF_SZ || o->version.from != 0) return false;
    o->version.before = kh_load32(value);
    o->version.then = kh_load32(value + 4);
    o->version.from = kh_load64(value + 8);
    return o->version.before != 0 && o->version.then >= o->version.before && o->version.from > o->initial_height &&
           o->version.from <= INT64_MAX;
}

/* ---- the change ---- */

kh_order_code kh_change_version(kh_order *o, kh_at *at, const kh_change *c)
{
    if (c->body_sz != BODY_SZ || kh_load32(c->body + 4) != 0) return KH_R_MALFORMED;
    uint32_t version = kh_load32(c->body), current = kh_order_version(o, at->height);
    uint64_t from = kh_load64(c->body + 8);
    if (version == 0 || from > INT64_MAX) return KH_R_MALFORMED;
    bool withdraws = version == current && from == 0 && o->version.from > at->height;
    bool announces = version > current && from >= at->height + KH_VERSION_NOTICE;
    if (!withdraws && !announces) return KH_R_REFUSED;
    if (!at->apply) return KH_R_OK;
    o->version.before = current;
    o->version.then = version;
    o->version.from = withdraws ? at->height : from;
    at->err = kh_public_version(o);
    return KH_R_OK;
}
