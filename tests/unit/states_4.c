/* states_4: what is refused: whose, for how long, after a restart, and what a mishap is told from a lie by. */
#include "states_fixture.h"

static void setup(void) { town_begin(KH_SUITE_INTL, 3); }
TestSuite(states_refused, .init = setup, .fini = town_end);

enum { SZ = 5 * PIECE + 77, HUB_3 = 3, JOINS = 4, DAY = 86400, FILE_HEAD = 16, ENTRY = 48 };

static kh_states *states(void) { return town.nodes[JOINS].s; }

static void restart(void)
{
    town_close(JOINS);
    town_drop_messages();
    cr_assert(town_open(JOINS) == KH_OK);
    kh_states_want(states(), 7);
}

static void is_refused(uint32_t whose)
{
    uint32_t maker = 0;
    cr_assert(kh_states_refuse(states(), 7, &maker) == KH_OK && maker == whose);
}

/* After so many seconds it holds this hub's; 0: nobody's. */
static void holds(uint32_t whose)
{
    town_seconds(20);
    cr_assert(kh_states_holds(states(), 7) == (whose != 0));
    cr_assert(whose == 0 || town_maker(JOINS, 7) == whose, "%u", town_maker(JOINS, 7));
}

static uint64_t file_sz(void)
{
    uint64_t size = 0;
    kh_file *f = NULL;
    kh_disk *d = &town.nodes[JOINS].disk;
    if (d->open(d->self, "data/states/refused", KH_OPEN_READ, &f) != KH_OK) return 0;
    cr_assert(d->size(d->self, f, &size) == KH_OK);
    d->close(d->self, f);
    return size;
}

/* ---- false ones ---- */

Test(states_refused, a_restart_does_not_take_it_again)
{
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(states(), 7);
    holds(HUB_1);
    is_refused(HUB_1);
    restart();
    holds(0);
    cr_assert(file_sz() == FILE_HEAD + ENTRY);
}

/* Its maker is asked first, makes another, and comes last all the same. */
Test(states_refused, after_a_restart_its_maker_comes_last)
{
    uint32_t maker = 0;
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(states(), 7);
    holds(HUB_1);
    is_refused(HUB_1);
    cr_assert(kh_states_refuse(town.nodes[HUB_1].s, 7, &maker) == KH_OK);
    town_make(HUB_1, 7, SZ, 2);
    town_make(HUB_2, 7, SZ, 3);
    restart();
    holds(HUB_2);
    is_refused(HUB_2);
    restart();
    holds(HUB_1); /* there is none of another */
}

Test(states_refused, not_for_ever)
{
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(states(), 7);
    holds(HUB_1);
    is_refused(HUB_1);
    town.now += (DAY - 60) * KH_NS_PER_S;
    holds(0);
    restart();
    holds(0);
    town.now += 60 * KH_NS_PER_S;
    holds(HUB_1);
    is_refused(HUB_1); /* a new day */
    cr_assert(file_sz() == FILE_HEAD + ENTRY);
    holds(0);
}

Test(states_refused, until_a_state_was_taken)
{
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(states(), 7);
    holds(HUB_1);
    is_refused(HUB_1);
    kh_states_forgive(states());
    cr_assert(file_sz() == 0);
    holds(HUB_1);
    restart();
    holds(HUB_1);
}

/* Of many that one hub makes some are forgotten, of another's none. */
Test(states_refused, one_that_makes_many_pushes_nobody_out)
{
    uint32_t maker = 0;
    town_make(HUB_2, 7, SZ, 1);
    kh_states_want(states(), 7);
    holds(HUB_2);
    is_refused(HUB_2);
    for (uint64_t i = 0; i < 30; i++) {
        town_make(HUB_1, 7, SZ, 2 + i);
        holds(HUB_1);
        is_refused(HUB_1);
        cr_assert(kh_states_refuse(town.nodes[HUB_1].s, 7, &maker) == KH_OK);
        if (i % 7 == 0) restart();
    }
    cr_assert(file_sz() == FILE_HEAD + 16 * ENTRY);
    restart();
    holds(0); /* hub 2's is there */
}

/* Whatever of the file is lost, the node starts; a state of it that is still there goes. */
Test(states_refused, a_damaged_file_is_none)
{
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(states(), 7);
    for (uint64_t at = 0; at < FILE_HEAD + ENTRY; at++) {
        holds(HUB_1);
        is_refused(HUB_1);
        town_close(JOINS);
        cr_assert(sim_disk_rot(town.nodes[JOINS].sd, "data/states/refused", at, 1));
        town_drop_messages();
        cr_assert(town_open(JOINS) == KH_OK && file_sz() == 0);
        kh_states_want(states(), 7);
    }
}

Test(states_refused, power_cuts)
{
    uint32_t maker = 0, refused = 0, held = 0;
    town_node *node = &town.nodes[JOINS];
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(node->s, 7);
    for (uint64_t k = 0;; k++) {
        holds(HUB_1);
        sim_disk_cut_after(node->sd, k);
        kh_err err = kh_states_refuse(node->s, 7, &maker);
        bool whole = !sim_disk_is_cut(node->sd);
        town_close(JOINS);
        town_drop_messages();
        sim_disk_restart(node->sd);
        cr_assert(town_open(JOINS) == KH_OK);
        bool still = kh_states_holds(node->s, 7); /* else its file is gone, and must be known */
        cr_assert(still == town_has_file(JOINS, "7.state") && (!still || file_sz() == 0), "%llu", (unsigned long long)k);
        kh_states_want(node->s, 7);
        holds(still ? HUB_1 : 0);
        held += still;
        refused += !still;
        kh_states_forgive(node->s);
        if (!whole) continue;
        cr_assert(err == KH_OK && !still);
        break;
    }
    cr_assert(held >= 4 && refused >= 3);
}

/* ---- what nobody can say is false ---- */

Test(states_refused, the_third_try_is_anothers)
{
    uint32_t maker = 0;
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(states(), 7);
    holds(HUB_1);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert(kh_states_leave(states(), 7, &maker) == KH_E_AGAIN); /* there is no other */
        holds(HUB_1);
    }
    cr_assert(kh_states_leave(states(), 8, &maker) == KH_E_NOT_FOUND && maker == 0);
    town_make(HUB_2, 7, SZ, 2);
    cr_assert(kh_states_leave(states(), 7, &maker) == KH_E_AGAIN); /* nobody has said so yet; this asks */
    holds(HUB_1);
    cr_assert(kh_states_leave(states(), 7, &maker) == KH_OK && maker == HUB_1);
    cr_assert(!town_has_file(JOINS, "7.state"));
    holds(HUB_2);
    town_make(HUB_3, 7, SZ, 3);
    for (uint32_t i = 0; i < 2; i++) { /* counted anew */
        maker = 0;
        cr_assert(kh_states_leave(states(), 7, &maker) == KH_E_AGAIN && maker == 0);
        holds(HUB_2);
    }
    cr_assert(kh_states_leave(states(), 7, &maker) == KH_OK && maker == HUB_2);
    holds(HUB_3);
    for (uint32_t i = 0; i < 5; i++) cr_assert(kh_states_leave(states(), 7, &maker) == KH_E_AGAIN); /* all were left */
    holds(HUB_3);
    cr_assert(file_sz() == 0 && town.nodes[JOINS].alert_cnt == 0);
}

/* A disk that failed, memory that lacked: after a restart it may go well. What was false stays refused. */
Test(states_refused, what_was_left_is_taken_after_a_restart)
{
    uint32_t maker = 0;
    town_make(HUB_2, 7, SZ, 2);
    kh_states_want(states(), 7);
    holds(HUB_2);
    town_make(HUB_1, 7, SZ, 1);
    kh_err err = KH_E_AGAIN;
    for (uint32_t i = 0; i < 4 && err == KH_E_AGAIN; i++) {
        err = kh_states_leave(states(), 7, &maker);
        town_seconds(20);
    }
    cr_assert(err == KH_OK && maker == HUB_2);
    holds(HUB_1);
    is_refused(HUB_1);
    holds(0);
    restart();
    holds(HUB_2);
}
