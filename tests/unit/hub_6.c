/* hub, begun with the state of a checkpoint that another hub made: it signs nothing that it was given, and nothing of its own
 * before that is what other hubs say. */
#include "hub_state.h"

enum { OTHER = 91, THIRD = 92, LAST = FIRST_HEIGHT + BLOCKS - 1 };
static kh_attestation true_of[BLOCKS];

static void given_begin(void)
{
    state_begin();
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(post_of(FIRST_HEIGHT + i, &true_of[i]));
    not_own = true;
    lose_all();
}
TestSuite(hub_given, .init = given_begin, .fini = state_end);

static void say(uint32_t hub, uint64_t height, uint8_t lie)
{
    (void)pthread_mutex_lock(&node.lock);
    kh_attestation *word = &node.words[node.word_cnt++];
    *word = true_of[height - FIRST_HEIGHT];
    word->hub = hub;
    word->outputs_root[0] ^= lie;
    (void)pthread_mutex_unlock(&node.lock);
}

static void begin(uint32_t other_hubs)
{
    cr_assert(join(&made) == KH_OK, "%s", why);
    take_joined();
    node.other_hubs = other_hubs;
    world_open();
}

static void is_silent(void)
{
    kh_attestation a;
    wait_executed(LAST);
    usleep(350000); /* it has looked at what others said */
    cr_assert(!post_of(LAST, &a) && node.post_cnt == 0);
}

/* A bank asks for all: what was given it is given, unsigned. */
static uint32_t given_above(uint64_t above, uint32_t least)
{
    (void)pthread_mutex_lock(&node.lock);
    uint32_t before = parcel_cnt, again = node.again_cnt;
    (void)pthread_mutex_unlock(&node.lock);
    kh_hub_outputs_wanted(w.hub, BANK_A, above);
    for (uint32_t i = 0; i < 120000 && parcel_cnt < before + least; i++) usleep(500);
    usleep(300000); /* what should not come */
    cr_assert(again == node.again_cnt);
    return parcel_cnt - before;
}

/* Of three hubs a quorum of the others must say the same; then all of its own is said, and still nothing of what it was given. */
Test(hub_given, nothing_is_signed_that_was_given)
{
    kh_attestation a;
    uint32_t epoch;
    begin(2);
    is_silent();
    cr_assert(given_above(POINT, 0) == 0 && given_above(0, POINT - FIRST_HEIGHT + 1) == POINT - FIRST_HEIGHT + 1);
    say(OTHER, LAST, 0);
    is_silent(); /* one alone may lie, with whoever made the state */
    say(THIRD, LAST, 0);
    wait_said(LAST);
    for (uint32_t i = 0; i < BLOCKS; i++)
        if (FIRST_HEIGHT + i <= POINT) cr_assert(!post_of(FIRST_HEIGHT + i, &a));
        else cr_assert(post_of(FIRST_HEIGHT + i, &a) && kh_attestation_agree(&a, &true_of[i]));
    cr_assert(!checkpoint_of(POINT, &a) && kh_hub_state_is(w.hub, POINT, made.posted, &epoch) == KH_E_NOT_FOUND);
    say(OTHER, 102, 0);
    say(THIRD, 102, 0);
    say(OTHER, 103, 0);
    say(HUB, 101, 0);
    world_close();
    world_open(); /* what the order does not say to be attested is said again */
    wait_said(102);
    cr_assert(post_of(101, &a) && !post_of(103, &a) && !post_of(POINT, &a) && alert_cnt == 0);
    /* Nor does it hand that on in its own name. */
    block more = {0};
    state own = {0};
    const kh_checkpoint_sink to = {state_write, &own};
    uint32_t posts = 0;
    block_applies(&more, BANK_A, 5000, 3);
    uint64_t point = decide(&more);
    for (uint32_t i = 0; i < 120000 && !checkpoint_of(point, &a); i++) usleep(500);
    cr_assert(checkpoint_of(point, &a) && kh_hub_state_write(w.hub, point, a.posted, &to) == KH_OK);
    for (size_t at = KH_STATE_HEAD_SZ; kh_load32(own.p + at) != KH_STATE_ITEMS_END;
         at += KH_STATE_ITEM_SZ + kh_load32(own.p + at + KH_STATE_ITEM_AT_SIZE))
        if (kh_load32(own.p + at) == KH_STATE_POST)
            posts |= 1u << (kh_load64(own.p + at + KH_STATE_ITEM_AT_HEIGHT) - FIRST_HEIGHT);
    cr_assert(point == LAST + 1 && posts == (2u | 4u | 0x1e0u), "%x", posts);
    free(own.p);
}

/* A quorum of two cannot be without it: the other's word is enough, and were it another, it waits. */
Test(hub_given, of_two_hubs_the_other_is_enough)
{
    begin(1);
    is_silent();
    say(OTHER, 105, 0);
    wait_said(LAST);
    cr_assert(alert_cnt == 0);
}

Test(hub_given, where_others_differ_it_says_nothing)
{
    w.patience_ns = 1; /* not even then */
    say(OTHER, 106, 0);
    for (uint64_t height = 105; height <= LAST; height++) say(THIRD, height, 1);
    begin(2);
    is_silent();
    cr_assert(alert_cnt == 1 && given_above(POINT, 0) == 0);
}

/* All lost all at once: nobody says anything, and somebody must begin. */
Test(hub_given, nobody_waits_for_ever)
{
    w.patience_ns = KH_NS_PER_S;
    begin(2);
    is_silent();
    wait_said(LAST);
}

/* What it said itself, before it lost all, it had executed. */
Test(hub_given, its_own_word_is_one)
{
    say(HUB, 106, 0);
    begin(2);
    wait_said(LAST);
}

static void false_count(void)
{
    size_t last = 0;
    for (size_t at = KH_STATE_HEAD_SZ; kh_load32(made.p + at) != KH_STATE_ITEMS_END;
         at += KH_STATE_ITEM_SZ + kh_load32(made.p + at + 4))
        if (kh_load32(made.p + at) == KH_STATE_PACKAGE) last = at;
    uint8_t *count = made.p + last + KH_STATE_ITEM_SZ + 40;
    kh_store64(count, kh_load64(count) + 1);
}

static void found_out(void)
{
    for (uint32_t i = 0; i < 120000 && alert_cnt < 2; i++) usleep(500);
    cr_assert(alert_cnt >= 2 && parcel_cnt == 0 && node.post_cnt == 0, "%u %u %u", alert_cnt, parcel_cnt, node.post_cnt);
    kh_hub_stop(w.hub);
    w.hub = NULL;
    cr_assert(world_start() == KH_E_CLOSED);
}

/* What no digest covers: a bank's count. What comes then is not what the others attested: it stops, for good. */
Test(hub_given, a_false_count_is_found_out)
{
    false_count();
    for (uint64_t height = POINT + 1; height <= LAST; height++) say(OTHER, height, 0), say(THIRD, height, 0);
    begin(2);
    found_out();
}

Test(hub_given, a_false_count_is_found_out_later)
{
    false_count();
    begin(2);
    is_silent();
    cr_assert(alert_cnt == 0);
    say(OTHER, LAST, 0);
    say(THIRD, LAST, 0);
    found_out();
}

/* ---- in the state itself ---- */

static bool other_outcome(void *ctx, uint64_t height, const uint8_t *post, bool checkpoint)
{
    (void)ctx;
    return !checkpoint && height == 102 && memcmp(post + 64, true_of[2].outputs_root, 32) == 0;
}
static bool other_checkpoint(void *ctx, uint64_t height, const uint8_t *post, bool checkpoint)
{
    (void)ctx, (void)post;
    return checkpoint && height == POINT;
}

Test(hub_given, what_hubs_attested_otherwise_is_refused)
{
    hubs_differ = other_outcome;
    cr_assert(join(&made) == KH_E_FORMAT && strstr(why, "another outcome") != NULL, "%s", why);
    hubs_differ = other_checkpoint;
    cr_assert(join(&made) == KH_E_FORMAT && strstr(why, "another checkpoint") != NULL, "%s", why);
    hubs_differ = NULL;
    for (size_t at = KH_STATE_HEAD_SZ; kh_load32(made.p + at) != KH_STATE_ITEMS_END;
         at += KH_STATE_ITEM_SZ + kh_load32(made.p + at + 4))
        if (kh_load32(made.p + at + KH_STATE_ITEM_AT_BANK) == BANK_B) kh_store32(made.p + at + KH_STATE_ITEM_AT_BANK, SOURCE);
    cr_assert(join(&made) == KH_E_FORMAT && strstr(why, "no bank") != NULL, "%s", why);
    for (size_t at = KH_STATE_HEAD_SZ; kh_load32(made.p + at) != KH_STATE_ITEMS_END;
         at += KH_STATE_ITEM_SZ + kh_load32(made.p + at + 4))
        if (kh_load32(made.p + at + KH_STATE_ITEM_AT_BANK) == SOURCE) kh_store32(made.p + at + KH_STATE_ITEM_AT_BANK, BANK_B);
    begin(0);
    wait_said(LAST);
}
