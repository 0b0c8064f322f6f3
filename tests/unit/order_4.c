/* Unit tests of order: any blocks on two instances, the saved state, genesis, the tree over public leaves. */
#include "order_any.h"
#include <criterion/criterion.h>
#include "order/inside.h"

static chain c;

/* Adds what transactions came to, and in how many blocks a loss touched the height before. */
static void any_blocks(kh_suite suite, uint64_t seed, uint32_t blocks, uint32_t codes[8], uint32_t *touched)
{
    choices x = {.pick = pick_random, .random = seed};
    kh_order *other;
    fx_begin_with(&c, suite, 3);
    cr_assert(kh_order_new(c.genesis, c.genesis_n, &other) == KH_OK);
    for (uint32_t i = 0; i < blocks; i++) {
        any_step(&c, &other, &x);
        for (uint32_t k = 0; k < c.block.tx_cnt; k++) codes[c.block.codes[k]]++;
        *touched += kh_order_losses(c.order, kh_order_height(c.order) - 1) != 0;
    }
    kh_order_free(other);
    fx_end(&c);
}

Test(order_any, random_blocks)
{
    uint32_t codes[8] = {0}, touched = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) any_blocks(KH_SUITE_INTL, seed * 0x9e3779b97f4a7c15, 300, codes, &touched);
    for (int code = 0; code < 7; code++) cr_assert(codes[code] > 0, "no transaction came to %d", code);
    cr_assert(touched > 0);
}

Test(order_any, random_blocks_gm)
{
    uint32_t codes[8] = {0}, touched = 0;
    any_blocks(KH_SUITE_GM, 77, 60, codes, &touched);
}

static uint8_t *saved_of(const kh_order *o, size_t *ret_n)
{
    uint8_t *p;
    cr_assert(kh_order_save(o, &p, ret_n) == KH_OK);
    return p;
}

Test(order_any, what_is_saved_is_checked)
{
    choices x = {.pick = pick_random, .random = 5};
    kh_order *other, *loaded;
    size_t n;
    fx_begin(&c);
    cr_assert(kh_order_new(c.genesis, c.genesis_n, &other) == KH_OK);
    for (int i = 0; i < 60; i++) any_step(&c, &other, &x);
    uint8_t *p = saved_of(c.order, &n), *genesis;
    size_t genesis_n, good = 0;
    cr_assert(kh_order_load(c.genesis, c.genesis_n, p, n, &loaded) == KH_OK);
    kh_order_free(loaded);
    for (size_t cut = 0; cut < n; cut += cut < 200 ? 1 : 97) {
        uint8_t *shorter = malloc(cut + 1);
        memcpy(shorter, p, cut);
        cr_assert(kh_order_load(c.genesis, c.genesis_n, shorter, cut, &loaded) == KH_E_FORMAT);
        free(shorter);
    }
    for (size_t at = 0; at < n; at += at < 300 ? 1 : 11) { /* a bit altered: seen, or a state of its own that is canonical too */
        p[at] ^= (uint8_t)(1 << at % 8);
        kh_err err = kh_order_load(c.genesis, c.genesis_n, p, n, &loaded);
        cr_assert(err == KH_OK || err == KH_E_FORMAT || (err == KH_E_VERSION && at == 3));
        if (err == KH_OK) {
            size_t again_n;
            uint8_t *again = saved_of(loaded, &again_n);
            cr_assert(again_n == n && memcmp(again, p, n) == 0);
            free(again);
            kh_order_free(loaded);
            good++;
        }
        p[at] ^= (uint8_t)(1 << at % 8);
    }
    cr_assert(good < n / 11);
    fx_genesis(KH_SUITE_INTL, 2, &genesis, &genesis_n); /* another chain's */
    cr_assert(kh_order_load(genesis, genesis_n, p, n, &loaded) == KH_E_FORMAT);
    free(genesis);
    free(p);
    kh_order_free(other);
    fx_end(&c);
}

/* One that says what banks' views begin with has 32 bytes more, and another magic; one that does not is what it ever was. */
Test(order_any, a_genesis_with_an_opening)
{
    static const uint8_t none[32];
    kh_genesis g, h;
    uint8_t *p;
    size_t n;
    fx_begin(&c);
    cr_assert(kh_genesis_decode(c.genesis, c.genesis_n, &g) == KH_OK && memcmp(g.opening, none, 32) == 0);
    cr_assert(memcmp(c.genesis, "KHG1", 4) == 0);
    memset(g.opening, 0x0a, 32);
    cr_assert(kh_genesis_encode(&g, &p, &n) == KH_OK && n == c.genesis_n + 32 && memcmp(p, "KHG2", 4) == 0);
    cr_assert(kh_genesis_decode(p, n, &h) == KH_OK && memcmp(g.opening, h.opening, 32) == 0 && h.member_cnt == g.member_cnt);
    kh_genesis_free(&h);
    uint8_t *at = memmem(p, n, g.opening, 32);
    memset(at, 0, 32);
    cr_assert(kh_genesis_decode(p, n, &h) == KH_E_FORMAT);
    free(p);
    memset(g.checkpoint, 0, 32); /* of which state? */
    cr_assert(kh_genesis_encode(&g, &p, &n) == KH_E_ARG);
    kh_genesis_free(&g);
    fx_end(&c);
}

Test(order_any, genesis_is_canonical)
{
    kh_genesis g;
    uint8_t *again;
    size_t again_n;
    fx_begin(&c);
    cr_assert(kh_genesis_decode(c.genesis, c.genesis_n, &g) == KH_OK);
    cr_assert(strcmp(g.chain_id, "test-chain") == 0 && g.member_cnt == 10 && g.public_cnt == 1 && g.officer_k == 2);
    cr_assert(kh_genesis_encode(&g, &again, &again_n) == KH_OK);
    cr_assert(again_n == c.genesis_n && memcmp(again, c.genesis, again_n) == 0);
    free(again);
    for (size_t cut = 0; cut < c.genesis_n; cut++) {
        kh_genesis h;
        cr_assert(kh_genesis_decode(c.genesis, cut, &h) == KH_E_FORMAT);
    }
    for (size_t at = 0; at < c.genesis_n; at++) {
        kh_genesis h;
        c.genesis[at] ^= (uint8_t)(1 << at % 8);
        kh_err err = kh_genesis_decode(c.genesis, c.genesis_n, &h);
        cr_assert(err == KH_OK || err == KH_E_FORMAT);
        if (err == KH_OK) {
            cr_assert(kh_genesis_encode(&h, &again, &again_n) == KH_OK);
            cr_assert(again_n == c.genesis_n && memcmp(again, c.genesis, again_n) == 0);
            free(again);
            kh_genesis_free(&h);
        }
        c.genesis[at] ^= (uint8_t)(1 << at % 8);
    }
    /* What may not begin a chain. */
    kh_genesis bad = g;
    bad.officer_k = 4;
    cr_assert(kh_genesis_encode(&bad, &again, &again_n) == KH_E_ARG);
    bad = g;
    memcpy(bad.officers[1], bad.officers[0], KH_PUBLIC_SZ);
    cr_assert(kh_genesis_encode(&bad, &again, &again_n) == KH_E_ARG);
    bad = g;
    bad.member_cnt = 1; /* nobody who votes */
    cr_assert(kh_genesis_encode(&bad, &again, &again_n) == KH_E_ARG);
    bad = g;
    bad.chain_id[0] = 0;
    cr_assert(kh_genesis_encode(&bad, &again, &again_n) == KH_E_ARG);
    bad = g;
    bad.initial_height = 0;
    cr_assert(kh_genesis_encode(&bad, &again, &again_n) == KH_E_ARG);
    uint32_t id = g.members[2].id;
    g.members[2].id = 11; /* twice */
    cr_assert(kh_genesis_encode(&g, &again, &again_n) == KH_E_ARG);
    g.members[2].id = id;
    uint8_t key[KH_PUBLIC_SZ];
    memcpy(key, g.members[2].ack, KH_PUBLIC_SZ);
    memcpy(g.members[2].ack, g.members[1].ack, KH_PUBLIC_SZ); /* one key would count twice */
    cr_assert(kh_genesis_encode(&g, &again, &again_n) == KH_E_ARG);
    memcpy(g.members[2].ack, key, KH_PUBLIC_SZ);
    g.publics[0].key[0] = 'm'; /* not a rule, not a rate */
    cr_assert(kh_genesis_encode(&g, &again, &again_n) == KH_E_ARG);
    g.publics[0].key[0] = 'r';
    cr_assert(kh_genesis_encode(&g, &again, &again_n) == KH_OK);
    free(again);
    kh_genesis_free(&g);
    fx_end(&c);
}

/* The kept tree against one made from nothing, leaves coming in any order, many or few of them between two roots. */
Test(order_any, the_tree_is_rfc_6962)
{
    choices x = {.pick = pick_random, .random = 99};
    kh_tree t = {0};
    static uint8_t leaves[600][32];
    uint8_t root[32], fresh[32], path[KH_MERKLE_PATH_MAX][32];
    kh_tree_root(&t, root);
    kh_merkle_root(leaves, 0, fresh);
    cr_assert(memcmp(root, fresh, 32) == 0);
    for (int round = 0; round < 600; round++) {
        for (uint32_t n = round % 50 == 0 ? 100 : 1 + x.pick(&x, 4); n > 0; n--) {
            uint8_t key[3] = {'r', (uint8_t)x.pick(&x, 20), (uint8_t)x.pick(&x, 25)}, value[4];
            kh_store32(value, x.pick(&x, 1000));
            cr_assert(kh_tree_set(&t, key, (uint8_t)(2 + x.pick(&x, 2)), value, 1 + x.pick(&x, 4)) == KH_OK);
        }
        kh_tree_root(&t, root);
        for (uint32_t i = 0; i < t.cnt; i++) {
            uint8_t data[16];
            kh_store16(data, t.leaves[i].key_n);
            memcpy(data + 2, t.leaves[i].key, data[0]);
            memcpy(data + 2 + data[0], t.leaves[i].value, t.leaves[i].value_n);
            kh_merkle_leaf(data, 2u + data[0] + t.leaves[i].value_n, leaves[i]);
            cr_assert(i == 0 || kh_keys_compare(t.leaves[i - 1].key, t.leaves[i - 1].key_n, t.leaves[i].key, data[0]) < 0);
        }
        uint32_t index = x.pick(&x, t.cnt), n = kh_tree_path(&t, index, path);
        cr_assert(kh_merkle_fold(leaves[index], index, t.cnt, (const uint8_t(*)[32])path, n, fresh));
        cr_assert(memcmp(root, fresh, 32) == 0);
        kh_merkle_root(leaves, t.cnt, fresh);
        cr_assert(memcmp(root, fresh, 32) == 0);
    }
    kh_tree_free(&t);
}
