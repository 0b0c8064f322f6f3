/* hub, begun with the state of a checkpoint: it goes on behind it, and says and gives what the one says that executed all. */
#include "hub_state.h"

TestSuite(hub_state, .init = state_begin, .fini = state_end);

static bool same_given(uint32_t bank, uint64_t height, const kh_attestation *a, uint64_t *count)
{
    static given g;
    given_to(bank, height, &g);
    bool same = memcmp(g.package.root, a->outputs_root, 32) == 0 && g.package.count_before == *count;
    *count = g.package.count;
    given_free(&g);
    return same;
}

Test(hub_state, goes_on_behind_it)
{
    kh_attestation wanted[BLOCKS], point, again, posts[POSTS_MAX];
    uint8_t content[2][32];
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(post_of(FIRST_HEIGHT + i, &wanted[i]));
    wait_point(&point);
    cr_assert(kh_store_checkpoint_digest(w.store, content[0]) == KH_OK);
    lose_all();
    cr_assert(join(&made) == KH_OK, "%s", why);
    take_joined();
    for (uint32_t i = 0; i < node.body_cnt; i++) node.bodies[i].hidden = true; /* none of before is asked for */
    for (uint32_t i = 5; i < BLOCKS; i++)
        for (uint32_t k = 0; k < blocks[i].cnt; k++)
            for (uint32_t b = 0; b < node.body_cnt; b++)
                if (memcmp(node.bodies[b].digest, blocks[i].items[k].digest, 32) == 0) node.bodies[b].hidden = false;
    world_open();
    cr_assert(kh_hub_executed_height(w.hub) >= POINT);
    wait_said(FIRST_HEIGHT + BLOCKS - 1);
    uint32_t cnt = posts_now(posts), above = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        if (posts[i].flags != 0) cr_assert(posts[i].height == POINT && kh_attestation_agree(&posts[i], &point));
        else cr_assert(kh_attestation_agree(&posts[i], &wanted[posts[i].height - FIRST_HEIGHT]));
        above |= 1u << (posts[i].height - FIRST_HEIGHT); /* some more than once: when it was sure */
    }
    cr_assert(above >> (POINT + 1 - FIRST_HEIGHT) == 7 && post_of(POINT, &again), "%u", above);
    cr_assert(kh_store_checkpoint_digest(w.store, content[1]) == KH_OK && memcmp(content[0], content[1], 32) == 0);
    for (uint32_t bank = BANK_A; bank <= BANK_B; bank++) { /* who has acknowledged nothing is given all */
        uint64_t count = 0;
        kh_hub_outputs_wanted(w.hub, bank, 0);
        for (uint32_t i = 0; i < 120000 && parcel_cnt < (bank - BANK_A + 1) * BLOCKS + 3 * (bank == BANK_A); i++) usleep(500);
        for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(same_given(bank, FIRST_HEIGHT + i, &wanted[i], &count), "%u %u", bank, i);
    }
    world_close(); /* and a restart of it */
    world_open();
    cr_assert(kh_hub_executed_height(w.hub) == FIRST_HEIGHT + BLOCKS - 1 && alert_cnt == 0);
    block more = {0};
    block_applies(&more, BANK_B, 5000, 3);
    wait_said(decide(&more));
    world_close();
    kh_audit_result audit;
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    cr_assert(kh_store_audit(&options, w.store_dir, NULL, NULL, &audit) == KH_OK && audit.ok, "%s", audit.why);
    cr_assert(audit.begins != 0 && audit.begins < audit.height);
    world_open();
}

static void count_items(const state *s, uint32_t packages[2], uint32_t *posts)
{
    uint32_t kind = 0;
    packages[0] = packages[1] = *posts = 0;
    for (size_t at = KH_STATE_HEAD_SZ; kind != KH_STATE_ITEMS_END; at += KH_STATE_ITEM_SZ + kh_load32(s->p + at + 4)) {
        kind = kh_load32(s->p + at);
        *posts += kind == KH_STATE_POST;
        if (kind == KH_STATE_PACKAGE) packages[kh_load32(s->p + at + KH_STATE_ITEM_AT_BANK) - BANK_A]++;
    }
}

Test(hub_state, holds_what_banks_have_not_acknowledged)
{
    state less = {0};
    uint32_t packages[2], posts;
    kh_hub_outputs_wanted(w.hub, BANK_A, 102);
    kh_hub_outputs_wanted(w.hub, BANK_B, 107);
    for (uint32_t i = 0; i < 600; i++) { /* one of both may be heard first */
        less.n = 0;
        state_of_point(&less);
        count_items(&less, packages, &posts);
        if (packages[0] <= 2 && packages[1] <= 1) break;
        usleep(100000);
    }
    cr_assert(packages[0] == 2 && packages[1] == 1 && posts == 2, "%u %u %u", packages[0], packages[1], posts);
    lose_all();
    cr_assert(join(&less) == KH_OK, "%s", why);
    take_joined();
    world_open();
    wait_said(FIRST_HEIGHT + BLOCKS - 1);
    cr_assert(alert_cnt == 0);
    free(less.p);
}

/* ---- what is not as it should be ---- */

static bool nothing_stays(void)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "[ \"$(ls %s/data)\" = '' ]", w.root);
    return system(cmd) == 0;
}

/* For the suite's end. */
static void world_again(void)
{
    cr_assert(join(&made) == KH_OK, "%s", why);
    take_joined();
    world_open();
}

static void refused(state *s, kh_err want)
{
    kh_err err = join(s);
    cr_assert(err == want, "%d %s", err, why);
    cr_assert(nothing_stays());
}

Test(hub_state, nobody_is_believed)
{
    lose_all();
    /* Of the head and the items nearly every byte counts; parcels are for their banks to look at, and the rest the store looks
     * at. */
    size_t ends = 0;
    for (size_t at = KH_STATE_HEAD_SZ; ends == 0; at += KH_STATE_ITEM_SZ + kh_load32(made.p + at + 4))
        if (kh_load32(made.p + at) == KH_STATE_ITEMS_END) ends = at + KH_STATE_ITEM_SZ;
    for (size_t at = KH_STATE_HEAD_SZ; at < ends; at += KH_STATE_ITEM_SZ + kh_load32(made.p + at + 4))
        for (size_t i = 0; i < KH_STATE_ITEM_SZ; i++) {
            if (i >= KH_STATE_ITEM_AT_HEIGHT && i < KH_STATE_ITEM_AT_BANK && kh_load32(made.p + at) != KH_STATE_CHECKPOINT)
                continue;
            if (i >= KH_STATE_ITEM_AT_BANK && kh_load32(made.p + at) == KH_STATE_ITEMS_END) continue;
            made.p[at + i] ^= 1;
            kh_err err = join(&made);
            cr_assert(err == KH_E_FORMAT, "byte %zu of the item at %zu: %d %s", i, at, err, why);
            made.p[at + i] ^= 1;
        }
    for (size_t i = 0; i < KH_STATE_HEAD_SZ + KH_STATE_ITEM_SZ + KH_CHECKPOINT_SZ; i++) {
        if (i >= KH_STATE_HEAD_SZ + KH_STATE_ITEM_SZ + 64 && i < KH_STATE_HEAD_SZ + KH_STATE_ITEM_SZ + KH_POST_SZ) continue;
        made.p[i] ^= 0x80;
        kh_err err = join(&made);
        cr_assert(err == KH_E_FORMAT, "byte %zu: %d %s", i, err, why);
        made.p[i] ^= 0x80;
    }
    for (size_t n = 0; n < made.n; n += n < 4000 ? 97 : 1009) {
        state cut = made;
        cut.n = n;
        refused(&cut, KH_E_FORMAT);
    }
    state more = {0};
    state_write(&more, made.p, made.n);
    state_write(&more, "x", 1);
    memcpy(more.posted, made.posted, 32);
    memcpy(more.app_hash, made.app_hash, 32);
    refused(&more, KH_E_FORMAT);
    more.n--;
    more.p[more.n - 100] ^= 1;
    refused(&more, KH_E_FORMAT);
    more.p[more.n - 100] ^= 1;
    more.posted[0] ^= 1;
    refused(&more, KH_E_FORMAT);
    more.posted[0] ^= 1;
    more.fail_at = more.n / 2; /* a source that fails is nobody's lie */
    refused(&more, KH_E_AGAIN);
    more.fail_at = 0;
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    cr_assert(join_in(&options, w.store_dir, &more, false, why, sizeof why) == KH_E_CLOSED && nothing_stays());
    cr_assert(join(&more) == KH_OK, "%s", why);
    take_joined();
    world_open();
    free(more.p);
}

static size_t next_item(const uint8_t *p, size_t at) { return at + KH_STATE_ITEM_SZ + kh_load32(p + at + KH_STATE_ITEM_AT_SIZE); }

/* The same without the items that `leaves_out` names. */
static void copy_but(state *ret, bool (*leaves_out)(const uint8_t *item))
{
    *ret = (state){0};
    memcpy(ret->posted, made.posted, 32);
    memcpy(ret->app_hash, made.app_hash, 32);
    state_write(ret, made.p, KH_STATE_HEAD_SZ);
    size_t at = KH_STATE_HEAD_SZ, ends = 0;
    for (bool end = false; !end; at = ends) {
        end = kh_load32(made.p + at) == KH_STATE_ITEMS_END;
        ends = next_item(made.p, at);
        if (!leaves_out(made.p + at)) state_write(ret, made.p + at, ends - at);
    }
    state_write(ret, made.p + at, made.n - at);
}

static bool of_bank_b(const uint8_t *item) { return kh_load32(item + KH_STATE_ITEM_AT_BANK) == BANK_B; }
static bool one_between(const uint8_t *item)
{
    return kh_load32(item) == KH_STATE_PACKAGE && kh_load64(item + KH_STATE_ITEM_AT_HEIGHT) == 102;
}
static bool newest(const uint8_t *item)
{
    return kh_load32(item) == KH_STATE_PACKAGE && kh_load64(item + KH_STATE_ITEM_AT_HEIGHT) == POINT;
}
static bool own_post(const uint8_t *item)
{
    return kh_load32(item) == KH_STATE_POST && kh_load64(item + KH_STATE_ITEM_AT_HEIGHT) == POINT;
}
static bool record(const uint8_t *item) { return kh_load32(item) == KH_STATE_CHECKPOINT; }

Test(hub_state, what_lacks_is_missed)
{
    bool (*const without[])(const uint8_t *) = {of_bank_b, one_between, newest, own_post, record};
    lose_all();
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        state s;
        copy_but(&s, without[i]);
        refused(&s, KH_E_FORMAT);
        free(s.p);
    }
    world_again();
}

/* A hub that gives an older state, sound in itself, for the one that was posted. */
Test(hub_state, another_state_is_not_the_one_that_was_posted)
{
    kh_attestation old;
    state s = {0};
    uint8_t shared[32], *own = NULL;
    const kh_checkpoint_sink to = {state_write, &s};
    cr_assert(checkpoint_of(FIRST_HEIGHT, &old) && kh_hub_state_write(w.hub, FIRST_HEIGHT, old.posted, &to) == KH_OK);
    memcpy(s.posted, made.posted, 32);
    memcpy(s.app_hash, made.app_hash, 32);
    kh_store64(s.p + KH_STATE_AT_HEIGHT, POINT);
    for (size_t at = KH_STATE_HEAD_SZ; kh_load32(s.p + at) != KH_STATE_ITEMS_END; at = next_item(s.p, at)) {
        uint8_t *bytes = s.p + at + KH_STATE_ITEM_SZ;
        kh_store64(s.p + at + KH_STATE_ITEM_AT_HEIGHT, POINT);
        if (kh_load32(s.p + at) == KH_STATE_CHECKPOINT) memcpy(bytes + 32, made.posted, 32);
        if (kh_load32(s.p + at) == KH_STATE_POST) own = bytes;
        if (kh_load32(s.p + at) != KH_STATE_PACKAGE) memcpy(bytes, made.app_hash, 32);
    }
    kh_attest_secret(w.group_secret[0], shared);
    kh_attest_posted(shared, POINT, s.p + KH_STATE_AT_OUTCOMES, NULL, own + 32);
    lose_all();
    refused(&s, KH_E_FORMAT);
    cr_assert(strstr(why, "posted") != NULL, "%s", why);
    free(s.p);
    world_again();
}

/* It cannot go back behind its state, and takes nothing back. */
Test(hub_state, what_is_lost_before_it_stops_it)
{
    kh_attestation a;
    lose_all();
    cr_assert(join(&made) == KH_OK, "%s", why);
    take_joined();
    world_open();
    wait_said(FIRST_HEIGHT + BLOCKS - 1);
    block lost = {.cnt = 1, .items = {{.kind = KH_ITEM_LOST, .sequence = FIRST_HEIGHT + 2}}};
    memcpy(lost.items[0].digest, blocks[2].items[0].digest, 32);
    (void)decide(&lost);
    for (uint32_t i = 0; i < 120000 && alert_cnt < 2; i++) usleep(500);
    cr_assert(alert_cnt == 2 && kh_hub_executed_height(w.hub) == FIRST_HEIGHT + BLOCKS - 1);
    node.post_cnt = 0;
    world_close();
    world_open(); /* and again so */
    for (uint32_t i = 0; i < 120000 && alert_cnt < 4; i++) usleep(500);
    cr_assert(alert_cnt == 4 && post_of(FIRST_HEIGHT + BLOCKS - 1, &a));
}
