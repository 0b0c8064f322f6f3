/* states: made, held, passed on and read, over power cuts at each call of the disk; what peers do that lie: states_2.c; whose is
 * taken: states_3.c. */
#include "states_fixture.h"

static void setup(void) { town_begin(KH_SUITE_INTL, 2); }
TestSuite(states, .init = setup, .fini = town_end);

enum { SZ = 5 * PIECE + 77 };

Test(states, streams_of_all_sizes)
{
    static const size_t sizes[] = {0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, SZ};
    for (uint32_t i = 0; i < 7; i++) {
        uint64_t height = 100 + i;
        town_make(HUB_1, height, sizes[i], i);
        cr_assert(kh_states_holds(town.nodes[HUB_1].s, height) && !kh_states_holds(town.nodes[HUB_1].s, height + 1));
        town_same(HUB_1, height, sizes[i], i);
        kh_states_want(town.nodes[3].s, height);
        town_seconds(4);
        cr_assert(town.nodes[3].held == height && town.nodes[3].held_cnt == i + 1);
        town_same(3, height, sizes[i], i);
    }
    town_close(HUB_1);
    cr_assert(town_open(HUB_1) == KH_OK);
    town_same(HUB_1, 106, SZ, 6);
}

Test(states, of_the_other_suite)
{
    town_end();
    town_begin(KH_SUITE_GM, 2);
    town_make(HUB_1, 7, SZ, 7);
    kh_states_want(town.nodes[4].s, 7);
    town_seconds(4);
    town_same(4, 7, SZ, 7);
}

/* The hub is gone; a node has it of a node; a hub that lost all but the group's key opens it. */
Test(states, passed_on)
{
    town_make(HUB_1, 7, SZ, 3);
    kh_states_want(town.nodes[3].s, 7);
    town_seconds(4);
    town_close(HUB_1);
    kh_states_want(town.nodes[4].s, 7);
    kh_states_want(town.nodes[HUB_2].s, 7);
    town_seconds(4);
    town_same(4, 7, SZ, 3);
    town_same(HUB_2, 7, SZ, 3);
    cr_assert(town_maker(HUB_2, 7) == HUB_1);
    cr_assert(town.nodes[3].alert_cnt == 0 && town.nodes[4].alert_cnt == 0);
}

Test(states, one_maker_and_its_ends)
{
    kh_states *s = town.nodes[HUB_1].s;
    kh_state_maker *m = NULL, *other = NULL;
    cr_assert(kh_states_make(town.nodes[3].s, 7, 1, town.group, &m) == KH_E_CLOSED);
    cr_assert(kh_states_make(s, 7, 1, town.group, &m) == KH_OK);
    cr_assert(kh_states_make(s, 7, 1, town.group, &other) == KH_E_EXISTS);
    cr_assert(kh_state_maker_write(m, "abc", 3) == KH_OK && town_has_file(HUB_1, "7.making"));
    kh_state_maker_abort(m);
    cr_assert(!town_has_file(HUB_1, "7.making") && !kh_states_holds(s, 7));
    town_make(HUB_1, 7, 10, 0);
    cr_assert(kh_states_make(s, 7, 1, town.group, &m) == KH_E_EXISTS);
    town.nodes[HUB_1].room = KH_STATES_ROOM + PIECE;
    cr_assert(town_try_make(HUB_1, 8, SZ, 0) == KH_E_NOSPACE && !town_has_file(HUB_1, "8.making"));
    sim_disk_fail_after(town.nodes[HUB_1].sd, 4, KH_E_NOSPACE, true);
    town.nodes[HUB_1].room = UINT64_MAX;
    cr_assert(town_try_make(HUB_1, 8, SZ, 0) == KH_E_NOSPACE && !town_has_file(HUB_1, "8.making"));
    town_make(HUB_1, 8, SZ, 0);
}

Test(states, who_has_no_key_of_its_epoch)
{
    kh_state_maker *m = NULL;
    kh_state_reader *r = NULL;
    kh_state_of of = {.epoch = 0};
    cr_assert(kh_states_make(town.nodes[HUB_1].s, 7, 2, town.group, &m) == KH_OK && kh_state_maker_end(m) == KH_OK);
    cr_assert(kh_states_read(town.nodes[HUB_1].s, 7, town_box, NULL, &of, &r) == KH_E_CLOSED && of.epoch == 2);
    cr_assert(kh_states_read(town.nodes[HUB_1].s, 8, town_box, NULL, &of, &r) == KH_E_NOT_FOUND);
}

/* Power fails in each call of making: it is held whole after the restart, or there is nothing. */
Test(states, power_cut_while_making)
{
    town_node *node = &town.nodes[HUB_1];
    bool was_cut = true, was_held = false;
    for (uint64_t k = 0; was_cut; k++) {
        uint64_t height = 10 + k;
        sim_disk_cut_after(node->sd, k);
        kh_err err = town_try_make(HUB_1, height, SZ, k);
        was_cut = sim_disk_is_cut(node->sd);
        cr_assert(was_cut || err == KH_OK);
        town_close(HUB_1);
        sim_disk_restart(node->sd);
        cr_assert(town_open(HUB_1) == KH_OK);
        bool holds = kh_states_holds(node->s, height);
        cr_assert(holds || err != KH_OK);
        if (holds) town_same(HUB_1, height, SZ, k);
        was_held = was_held || holds;
        char name[32];
        (void)snprintf(name, sizeof name, "%llu.making", (unsigned long long)height);
        cr_assert(!town_has_file(HUB_1, name));
        if (!holds) town_make(HUB_1, height, SZ, k);
        kh_states_keep(node->s, NULL, 0);
        town_steps(1);
        cr_assert(!kh_states_holds(node->s, height));
    }
    cr_assert(was_held);
}

/* What was said to be held is there after the next power cut, whatever part of a directory's changes that loses. */
Test(states, held_is_durable)
{
    town_node *hub = &town.nodes[HUB_1], *node = &town.nodes[3];
    for (uint64_t height = 1; height <= 20; height++) {
        town_make(HUB_1, height, SZ, height);
        kh_states_want(node->s, height);
        town_seconds(4);
        cr_assert(node->held == height);
        for (uint32_t id = HUB_1; id <= 3; id += 2) {
            town_close(id);
            sim_disk_restart(town.nodes[id].sd);
            cr_assert(town_open(id) == KH_OK);
        }
        cr_assert(kh_states_holds(hub->s, height) && kh_states_holds(node->s, height));
        kh_states_keep(hub->s, NULL, 0);
        kh_states_keep(node->s, NULL, 0);
        town_steps(1);
    }
}

/* Power fails in each call of fetching; what was there is not asked for again, and in the end it is held. */
Test(states, power_cut_while_fetching)
{
    town_node *node = &town.nodes[3];
    bool was_cut = true;
    town_make(HUB_1, 7, SZ, 7);
    for (uint64_t k = 0; was_cut; k++) {
        node->held_cnt = node->alert_cnt = 0;
        kh_states_want(node->s, 7);
        sim_disk_cut_after(node->sd, k);
        for (uint32_t i = 0; i < 100 && !sim_disk_is_cut(node->sd) && node->held_cnt == 0; i++) town_steps(1);
        was_cut = sim_disk_is_cut(node->sd);
        cr_assert(was_cut || node->held_cnt == 1);
        bool said = node->held_cnt == 1;
        town_close(3);
        town_drop_messages();
        sim_disk_restart(node->sd);
        cr_assert(town_open(3) == KH_OK);
        cr_assert(!said || kh_states_holds(node->s, 7));
        kh_states_want(node->s, 7);
        node->held_cnt = node->alert_cnt = 0;
        town_seconds(4);
        cr_assert(node->held_cnt == 1 && node->alert_cnt == 0 && !town_has_file(3, "7.part"));
        town_same(3, 7, SZ, 7);
        kh_states_want(node->s, 0);
        kh_states_keep(node->s, NULL, 0);
        town_steps(1);
        cr_assert(!kh_states_holds(node->s, 7) && !town_has_file(3, "7.state"));
    }
}

Test(states, a_restart_goes_on_where_it_stopped)
{
    enum { MANY = 200 };
    town_node *node = &town.nodes[3];
    kh_states_counts n;
    town_make(HUB_1, 7, MANY * PIECE, 7);
    kh_states_want(node->s, 7);
    do town_steps(1), kh_states_count(node->s, &n);
    while (n.pieces_there < MANY / 2);
    cr_assert(n.pieces == MANY && n.wanted == 7 && node->held_cnt == 0);
    town_close(3);
    town_drop_messages();
    cr_assert(town_open(3) == KH_OK);
    node->pieces_asked = node->lists_asked = 0;
    kh_states_want(node->s, 7);
    town_seconds(10);
    cr_assert(node->held_cnt == 1 && node->lists_asked == 0);
    cr_assert(node->pieces_asked == MANY - n.pieces_there, "%u asked, %llu were there", node->pieces_asked,
              (unsigned long long)n.pieces_there);
    town_same(3, 7, MANY * PIECE, 7);
}

/* A piece that is not what it was, in the file of before: it alone is asked for. */
Test(states, a_restart_looks_at_what_is_there)
{
    enum { MANY = 40 };
    town_node *node = &town.nodes[3];
    kh_states_counts n;
    town_make(HUB_1, 7, MANY * PIECE, 7);
    kh_states_want(node->s, 7);
    do town_steps(1), kh_states_count(node->s, &n);
    while (n.pieces_there < MANY - 4);
    town_close(3);
    town_drop_messages();
    cr_assert(sim_disk_rot(node->sd, "data/states/7.part", 160 + 3 * (PIECE + 96) + 9, 4));
    cr_assert(town_open(3) == KH_OK);
    node->pieces_asked = 0;
    kh_states_want(node->s, 7);
    town_seconds(10);
    cr_assert(node->held_cnt == 1 && node->pieces_asked == MANY - n.pieces_there + 1);
    town_same(3, 7, MANY * PIECE, 7);
}

Test(states, what_is_kept_and_what_goes)
{
    town_node *node = &town.nodes[HUB_1];
    for (uint64_t h = 1; h <= 5; h++) town_make(HUB_1, h, SZ, h);
    town_steps(1);
    cr_assert(kh_states_holds(node->s, 1)); /* nobody has said what stays */
    kh_states_keep(node->s, (uint64_t[]){2, 5}, 2);
    kh_states_want(node->s, 4);
    town_steps(1);
    for (uint64_t h = 1; h <= 5; h++) cr_assert(kh_states_holds(node->s, h) == (h == 2 || h == 4 || h == 5));
    cr_assert(!town_has_file(HUB_1, "1.state") && !town_has_file(HUB_1, "3.state") && node->held == 4);
    kh_states_counts n;
    kh_states_count(node->s, &n);
    cr_assert(n.held == 3 && n.newest == 5 && n.bytes == 3 * (160 + SZ + 6 * (96 + 32)));
    /* What an order that was cut back does not name yet stays. */
    kh_states_want(node->s, 0);
    kh_states_keep(node->s, (uint64_t[]){2, 4, 0}, 3);
    town_steps(1);
    for (uint64_t h = 2; h <= 5; h++) cr_assert(kh_states_holds(node->s, h) == (h != 3));
    kh_states_keep(node->s, (uint64_t[]){0, 0}, 2);
    town_steps(1);
    cr_assert(kh_states_holds(node->s, 2) && kh_states_holds(node->s, 5));
    /* One that is begun and wanted no more goes, too, also after a restart. */
    kh_states_want(town.nodes[3].s, 5);
    while (!town_has_file(3, "5.part")) town_steps(1);
    town_close(3);
    cr_assert(town_open(3) == KH_OK && town_has_file(3, "5.part"));
    kh_states_keep(town.nodes[3].s, (uint64_t[]){6}, 1);
    town_steps(1);
    cr_assert(!town_has_file(3, "5.part"));
}

Test(states, files_of_others_and_damaged_ones)
{
    kh_file *f = NULL;
    town_node *node = &town.nodes[HUB_1];
    for (uint64_t h = 1; h <= 3; h++) town_make(HUB_1, h, SZ, h);
    town_close(HUB_1);
    cr_assert(sim_disk_rot(node->sd, "data/states/1.state", 80, 1));                     /* its list's digest */
    cr_assert(sim_disk_rot(node->sd, "data/states/2.state", 160 + SZ + 6 * 96 + 40, 1)); /* its list */
    static const char *const names[] = {"data/states/notes", "data/states/04.state", "data/states/9.making"};
    for (int i = 0; i < 3; i++) {
        cr_assert(node->disk.open(node->sd, names[i], KH_OPEN_WRITE | KH_OPEN_CREATE, &f) == KH_OK);
        node->disk.close(node->sd, f);
    }
    cr_assert(town_open(HUB_1) == KH_OK);
    cr_assert(!kh_states_holds(node->s, 1) && !kh_states_holds(node->s, 2) && kh_states_holds(node->s, 3));
    cr_assert(town_has_file(HUB_1, "notes") && town_has_file(HUB_1, "04.state") && !town_has_file(HUB_1, "9.making"));
    cr_assert(!town_has_file(HUB_1, "1.state") && !town_has_file(HUB_1, "2.state"));
}
