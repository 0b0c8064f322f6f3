/* Unit tests of order: checkpoints whose states validators hold, and the bodies that may go behind them. */
#include "order_any.h"
#include <criterion/criterion.h>
#include "order/inside.h"

#define DAY_MS (UINT64_C(86400) * 1000)
#define EVERY_MS (30 * DAY_MS / 8) /* body_retention is 30d where no rule says it */

static chain c;
static kh_order_state wanted, held, before;

static void look(void)
{
    kh_order_state of[KH_STATES];
    kh_order_states(c.order, of);
    wanted = of[KH_STATE_WANTED];
    held = of[KH_STATE_HELD];
    before = of[KH_STATE_HELD_BEFORE];
}

static void next(uint64_t ms)
{
    fx_next(&c, ms);
    look();
}

/* Something happens ms later that changes nothing here. */
static void pass(uint64_t ms)
{
    fx_add(&c, (const uint8_t *)"garbage", 7);
    next(ms);
}

/* A checkpoint is attested ms later; its height. */
static uint64_t attested(uint64_t ms)
{
    pass(0);
    uint64_t height = kh_order_height(c.order);
    fx_checkpoint(&c);
    next(ms);
    cr_assert(c.block.codes[0] == KH_R_OK && c.block.codes[1] == KH_R_OK);
    return height;
}

/* What one that is alone in a block comes to: the same by all that judge it. */
static uint16_t judged(void)
{
    uint8_t *was, *is;
    size_t was_n, is_n;
    cr_assert(kh_order_save(c.order, &was, &was_n) == KH_OK);
    kh_order_code offered = kh_order_offerable(c.order, c.spans[0].p, c.spans[0].n, c.time);
    cr_assert(kh_order_save(c.order, &is, &is_n) == KH_OK && was_n == is_n && memcmp(was, is, was_n) == 0);
    free(was);
    free(is);
    kh_order_state old = wanted;
    next(50);
    cr_assert(c.block.codes[0] == offered);
    if (offered != KH_R_OK) cr_assert(memcmp(&old, &wanted, sizeof old) == 0);
    return c.block.codes[0];
}

static uint16_t says(uint32_t member, uint64_t height)
{
    fx_holds(&c, member, height, 0);
    return judged();
}

static uint64_t hold(uint64_t height)
{
    for (uint32_t id = 11; id <= 13; id++) cr_assert(says(id, height) == KH_R_OK);
    cr_assert(wanted.height == 0 && held.height == height);
    return height;
}

static uint64_t gone(void) { return kh_order_bodies_gone(c.order); }

Test(order_states, one_is_wanted_then_held_then_the_one_before)
{
    uint8_t posted[32];
    fx_begin(&c);
    uint64_t first = attested(50);
    cr_assert(wanted.height == first && wanted.time_ns == c.time && wanted.holder_cnt == 0 && held.height == 0);
    cr_assert(kh_order_checkpoint(c.order, posted) == first && memcmp(wanted.posted, posted, 32) == 0);
    uint64_t time = wanted.time_ns;
    cr_assert(attested(50) > first && wanted.height == first); /* one at a time */
    cr_assert(says(13, first) == KH_R_OK && wanted.holder_cnt == 1);
    cr_assert(says(11, first) == KH_R_OK && wanted.holder_cnt == 2 && held.height == 0); /* 2f */
    pass(50);
    cr_assert(wanted.height == first && held.height == 0);
    cr_assert(says(12, first) == KH_R_OK); /* 2f + 1 */
    cr_assert(wanted.height == 0 && held.height == first && held.holder_cnt == 3 && held.time_ns == time && before.height == 0);
    cr_assert(memcmp(held.posted, posted, 32) == 0);
    /* The next is one of a part of body_retention later, not the one that comes first. */
    cr_assert(attested(EVERY_MS - 1000) != 0 && wanted.height == 0);
    pass(1000);
    cr_assert(wanted.height == 0); /* nor one that was there before it was time */
    uint64_t second = attested(50);
    cr_assert(wanted.height == second && held.height == first);
    (void)hold(second);
    cr_assert(before.height == first && before.time_ns == time && before.holder_cnt == 3);
    fx_end(&c);
}

Test(order_states, several_in_a_block)
{
    fx_begin(&c);
    uint64_t height = attested(50);
    for (uint32_t id = 11; id <= 14; id++) fx_holds(&c, id, height, 0);
    fx_holds(&c, 12, height, 0);
    cr_assert(!fx_process(&c)); /* the same bytes twice */
    next(50);
    for (uint32_t i = 0; i < 4; i++) cr_assert(c.block.codes[i] == KH_R_OK);
    cr_assert(c.block.codes[4] == KH_R_REPEATED && held.height == height && held.holder_cnt == 4);
    fx_end(&c);
}

Test(order_states, who_may_say_it_and_of_what)
{
    fx_begin(&c);
    cr_assert(says(11, 7) == KH_R_BAD_SEQUENCE); /* nothing is wanted yet; who is ahead says it again */
    cr_assert(says(11, 0) == KH_R_REPEATED);
    pass(0);
    uint64_t height = attested(50);
    cr_assert(says(15, height) == KH_R_NOT_AUTHORISED); /* a bank that is no validator, a hub, the regulator, nobody */
    cr_assert(says(51, height) == KH_R_NOT_AUTHORISED && says(1, height) == KH_R_NOT_AUTHORISED);
    cr_assert(says(99, height) == KH_R_NOT_AUTHORISED);
    cr_assert(says(11, height - 1) == KH_R_REPEATED && says(11, height + 1) == KH_R_BAD_SEQUENCE);
    cr_assert(says(11, UINT64_MAX) == KH_R_BAD_SEQUENCE);
    cr_assert(says(11, height) == KH_R_OK && says(11, height) == KH_R_REPEATED && wanted.holder_cnt == 1);
    /* Forged: with another key, in another's name, a bit altered, another chain's: no block with it is voted for. */
    fx_holds(&c, 12, height, 1);
    cr_assert(!fx_process(&c) && judged() == KH_R_NOT_AUTHORISED);
    fx_holds(&c, 11, height, 0);
    kh_store32(c.txs[0] + 44, 12);
    cr_assert(!fx_process(&c) && judged() == KH_R_NOT_AUTHORISED);
    fx_holds(&c, 12, height - 1, 0);
    kh_store64(c.txs[0] + 36, height);
    cr_assert(!fx_process(&c) && judged() == KH_R_NOT_AUTHORISED);
    fx_holds(&c, 12, height, 0);
    c.txs[0][5] ^= 1;
    cr_assert(!fx_process(&c) && judged() == KH_R_MALFORMED);
    fx_holds(&c, 12, height, 0);
    c.txs[0][48] = 1;
    cr_assert(!fx_process(&c) && judged() == KH_R_MALFORMED);
    fx_holds(&c, 12, height, 0);
    c.spans[0].n--;
    cr_assert(!fx_process(&c) && judged() == KH_R_MALFORMED);
    cr_assert(wanted.holder_cnt == 1);
    (void)says(12, height), (void)says(13, height);
    cr_assert(held.height == height);
    cr_assert(says(14, height) == KH_R_REPEATED && held.holder_cnt == 3);
    fx_end(&c);
}

Test(order_states, holders_are_validators_of_now)
{
    kh_member m;
    fx_begin(&c);
    uint64_t height = attested(50);
    cr_assert(says(11, height) == KH_R_OK && says(14, height) == KH_R_OK && wanted.holder_cnt == 2);
    fx_change_validator(&c, 15, 1); /* five: a quorum is three */
    next(50);
    cr_assert(c.order->now.cnt == 5 && wanted.holder_cnt == 2);
    pass(50);
    fx_change_validator(&c, 14, 0);
    next(50);
    cr_assert(c.order->now.cnt == 4 && wanted.holder_cnt == 1 && held.height == 0); /* what 14 said counts no more */
    cr_assert(says(14, height) == KH_R_NOT_AUTHORISED);
    cr_assert(says(15, height) == KH_R_OK && wanted.holder_cnt == 2);
    pass(50);
    /* Another key: what the one before signed may be anybody's. */
    m = fx_member_now(&c, 11);
    fx_public(c.suite, 11, USE_ACK, 1, m.ack);
    fx_change_member(&c, &m);
    next(50);
    cr_assert(c.block.codes[0] == KH_R_OK && wanted.holder_cnt == 1);
    cr_assert(says(11, height) == KH_R_NOT_AUTHORISED);
    fx_holds(&c, 11, height, 1);
    cr_assert(judged() == KH_R_OK && wanted.holder_cnt == 2);
    /* Expelled, and still in the set. */
    m = fx_member_now(&c, 15);
    m.flags |= KH_MEMBER_EXPELLED;
    fx_change_member(&c, &m);
    next(50);
    cr_assert(c.block.codes[0] == KH_R_OK && wanted.holder_cnt == 1 && says(15, height) == KH_R_NOT_AUTHORISED);
    cr_assert(says(12, height) == KH_R_OK && held.height == 0);
    cr_assert(says(13, height) == KH_R_OK && held.height == height && held.holder_cnt == 3);
    fx_end(&c);
}

Test(order_states, what_is_not_held_in_time_gives_way)
{
    fx_begin(&c);
    uint64_t first = attested(50);
    cr_assert(says(11, first) == KH_R_OK);
    cr_assert(attested(EVERY_MS - 1000) > first && wanted.height == first);
    uint64_t second = attested(1000);
    cr_assert(wanted.height == second && wanted.holder_cnt == 0 && wanted.time_ns == c.time);
    cr_assert(says(11, first) == KH_R_REPEATED && says(12, first) == KH_R_REPEATED);
    (void)hold(second);
    cr_assert(before.height == 0);
    fx_end(&c);
}

/* Held at 0, E and 2E: what the first and second stand for goes 30 days after each was wanted. */
Test(order_states, bodies_go_behind_two_that_are_held)
{
    fx_begin(&c);
    uint64_t first = hold(attested(50));
    pass(40 * DAY_MS);
    cr_assert(gone() == 0); /* one is held, however long */
    uint64_t second = attested(50);
    cr_assert(wanted.height == second && says(11, second) == KH_R_OK && says(12, second) == KH_R_OK);
    pass(DAY_MS);
    cr_assert(gone() == 0); /* 2f of the next */
    cr_assert(says(13, second) == KH_R_OK && held.height == second && before.height == first);
    cr_assert(gone() == first); /* the block in which two are held */
    uint64_t time = held.time_ns, third = hold(attested(EVERY_MS));
    cr_assert(before.height == second && gone() == first);
    uint64_t rest = (time + 30 * DAY_MS * 1000000 - c.time) / 1000000;
    pass(rest - 1);
    cr_assert(gone() == first && held.height == third); /* body_retention has not passed */
    pass(1);
    cr_assert(gone() == second);
    fx_end(&c);
}

/* In a cluster that goes on, states are held more often than bodies go: each of them counts in its turn. */
Test(order_states, bodies_go_while_states_come)
{
    uint64_t heights[30], times[30];
    fx_begin(&c);
    for (uint32_t i = 0; i < 30; i++) {
        heights[i] = attested(EVERY_MS);
        times[i] = c.time;
        (void)hold(heights[i]);
        uint64_t want = 0; /* the newest that is old enough and has one above it */
        for (uint32_t k = 0; k < i; k++)
            if (c.time >= times[k] + 30 * DAY_MS * 1000000) want = heights[k];
        cr_assert(gone() == want, "%u: %lu, not %lu", i, (unsigned long)gone(), (unsigned long)want);
        cr_assert((want != 0) == (i >= 8) && c.order->states.past_cnt <= 9);
    }
    fx_end(&c);
}

Test(order_states, the_rule_and_no_rule)
{
    fx_begin(&c);
    fx_rule(&c, "body_retention", "8s");
    next(50);
    cr_assert_eq(kh_order_states_interval(c.order), KH_NS_PER_S);
    uint64_t first = hold(attested(50));
    cr_assert(attested(700) && wanted.height == 0);
    uint64_t second = hold(attested(400));
    pass(7000);
    cr_assert(gone() == first && second > first);
    /* Off: all are kept, and states are wanted as usual. */
    fx_rule(&c, "body_retention", "off");
    next(50);
    pass(900 * DAY_MS);
    cr_assert(gone() == first);
    uint64_t third = hold(attested(50));
    cr_assert(attested(DAY_MS) && wanted.height == 0 && gone() == first && before.height == second);
    /* A longer one takes nothing back; a value that is no duration is the usual one. */
    fx_rule(&c, "body_retention", "1d");
    next(50);
    cr_assert(gone() == second);
    fx_rule(&c, "body_retention", "9000d");
    next(50);
    cr_assert(gone() == second);
    fx_rule(&c, "body_retention", "soon");
    next(50);
    uint64_t fourth = hold(attested(28 * DAY_MS));
    cr_assert(gone() == second && before.height == third);
    pass(DAY_MS);
    cr_assert(gone() == third && held.height == fourth);
    fx_end(&c);
}

/* Nothing moves in a block of no transactions, whose time no hash covers. */
Test(order_states, a_block_without_transactions_moves_nothing)
{
    fx_begin(&c);
    (void)hold(attested(50));
    uint64_t second = hold(attested(EVERY_MS));
    next(100 * DAY_MS);
    cr_assert(gone() == 0);
    pass(0);
    cr_assert(gone() != 0 && gone() < second);
    fx_end(&c);
}

/* A rule that is made longer again and again lets more wait than are remembered: the newest is passed over, and goes with one
 * that comes later. */
Test(order_states, what_waits_is_bounded)
{
    uint8_t *saved;
    size_t n;
    kh_order *loaded;
    fx_begin(&c);
    kh_states *s = &c.order->states;
    uint64_t first = hold(attested(50));
    for (uint32_t i = 0; i < KH_STATES_PAST; i++) pass(10);
    (void)hold(attested(EVERY_MS));
    cr_assert(s->past_cnt == 1 && s->past[0].height == first);
    for (uint64_t height = first + 1; s->past_cnt < KH_STATES_PAST; height++)
        s->past[s->past_cnt++] = (kh_state_past){height, c.time};
    uint64_t last = s->past[KH_STATES_PAST - 1].height, third = hold(attested(EVERY_MS));
    cr_assert(s->past_cnt == KH_STATES_PAST && s->past[KH_STATES_PAST - 1].height == last && before.height > last);
    cr_assert(kh_order_save(c.order, &saved, &n) == KH_OK);
    cr_assert(kh_order_load(c.genesis, c.genesis_n, saved, n, &loaded) == KH_OK);
    kh_order_free(loaded);
    free(saved);
    pass(30 * DAY_MS);
    cr_assert(gone() == last && s->past_cnt == 0);
    (void)hold(attested(50));
    cr_assert(gone() == third);
    fx_end(&c);
}

static kh_err given(const uint8_t *p, size_t n)
{
    uint8_t app_hash[32];
    kh_order *loaded = NULL;
    kh_order_app_hash(c.order, app_hash);
    kh_err err = kh_order_load_given(c.genesis, c.genesis_n, p, n, kh_order_height(c.order), app_hash, &loaded);
    kh_order_free(loaded);
    return err;
}

/* Whoever gives a saved order cannot say that more hold it, that another is held, or that bodies are gone. */
Test(order_states, a_giver_lies_about_them)
{
    uint8_t *saved, *lie;
    size_t saved_n, n;
    any_told(&c, &saved, &saved_n);
    look();
    kh_states was = c.order->states, *s = &c.order->states;
    cr_assert(wanted.height != 0 && wanted.holder_cnt == 2 && held.height != 0 && before.height != 0 && was.past_cnt > 0);
    cr_assert(was.gone != 0);
    cr_assert(given(saved, saved_n) == KH_OK);
    for (uint32_t i = 0; i < 14; i++) {
        switch (i) {
        case 0: s->gone++; break;
        case 1: s->gone = 0; break;
        case 2: s->of[KH_STATE_WANTED].height--; break;
        case 3: s->of[KH_STATE_WANTED].time_ns--; break;
        case 4: s->of[KH_STATE_WANTED].posted[31] ^= 1; break;
        case 5: s->holders[s->of[KH_STATE_WANTED].holder_cnt++] = 14; break;
        case 6: s->of[KH_STATE_WANTED].holder_cnt--; break;
        case 7: s->holders[0] = 11; break;
        case 8: s->of[KH_STATE_HELD].height--; break;
        case 9: s->of[KH_STATE_HELD].holder_cnt++; break;
        case 10: s->of[KH_STATE_HELD_BEFORE].posted[0] ^= 1; break;
        case 11: s->past_cnt--; break;
        case 12: s->past[0].time_ns--; break;
        default: s->holders[s->of[KH_STATE_WANTED].holder_cnt++] = 99; /* a stranger */
        }
        cr_assert(kh_public_states(c.order) == KH_OK && kh_order_save(c.order, &lie, &n) == KH_OK);
        cr_assert(n != saved_n || memcmp(lie, saved, n) != 0, "lie %u is none", i);
        cr_assert(given(lie, n) == KH_E_FORMAT, "lie %u", i);
        free(lie);
        *s = was;
    }
    cr_assert(kh_public_states(c.order) == KH_OK && kh_order_save(c.order, &lie, &n) == KH_OK);
    cr_assert(given(lie, n) == KH_OK); /* all undone */
    free(lie);
    free(saved);
    fx_end(&c);
}

/* Form alone, of a node's own: strangers, doubled ones, heights that fall, numbers too large, bytes too few or many. */
Test(order_states, the_leaf_is_checked)
{
    uint8_t *saved, bytes[2048];
    size_t n;
    any_told(&c, &saved, &n);
    const struct kh_tree_leaf *leaf = kh_tree_find(&c.order->tree, "t", 1, NULL);
    cr_assert(leaf != NULL && leaf->value_n < sizeof bytes);
    enum { WANTED = 8, HELD = 60, PAST_CNT = 164, HOLDERS = 168 };
    for (uint32_t i = 0; i < 12; i++) {
        memcpy(bytes, leaf->value, leaf->value_n);
        size_t sz = leaf->value_n;
        switch (i) {
        case 0: kh_store32(bytes + HOLDERS, 99); break;
        case 1: kh_store32(bytes + HOLDERS, 51); break; /* a hub that does not vote */
        case 2: kh_store32(bytes + HOLDERS, kh_load32(bytes + HOLDERS + 4)); break;
        case 3: kh_store32(bytes + WANTED + 48, KH_MEMBERS_MAX + 1); break;
        case 4: kh_store32(bytes + PAST_CNT, KH_STATES_PAST + 1); break;
        case 5: kh_store64(bytes + WANTED, kh_load64(bytes + HELD)); break;
        case 6: kh_store64(bytes + WANTED, c.order->checkpoint + 1); break;
        case 7: kh_store64(bytes + WANTED + 8, c.order->time_ns + 1); break;
        case 8: kh_store64(bytes, kh_load64(bytes + HELD)); break; /* gone above what waits */
        case 9: sz--; break;
        case 10: bytes[sz++] = 0; break;
        default: kh_store64(bytes + WANTED, 0); /* none, and yet with a time */
        }
        cr_assert(!kh_states_take(c.order, bytes, sz), "%u", i);
    }
    cr_assert(kh_states_take(c.order, leaf->value, leaf->value_n));
    free(saved);
    fx_end(&c);
}

Test(order_states, gm)
{
    fx_begin_with(&c, KH_SUITE_GM, 3);
    uint64_t height = attested(50);
    fx_holds(&c, 12, height, 1);
    cr_assert(!fx_process(&c) && judged() == KH_R_NOT_AUTHORISED);
    (void)hold(height);
    fx_end(&c);
}
