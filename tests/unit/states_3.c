/* states_3: whose state is taken, and disks that forget, refuse or were filled by somebody else. */
#include "states_fixture.h"

static void setup(void) { town_begin(KH_SUITE_INTL, 2); }
TestSuite(states_whose, .init = setup, .fini = town_end);

enum { SZ = 20 * PIECE + 77, PIECES = 21 };

/* ---- whose ---- */

Test(states_whose, each_place_its_own_maker)
{
    for (uint32_t i = 3; i <= 5; i++) {
        town.nodes[i].place = i;
        town.nodes[i].waits_height = 7;
        kh_states_want(town.nodes[i].s, 7);
    }
    town_make(HUB_1, 7, SZ, 1);
    town_seconds(10);
    cr_assert(town.nodes[4].held == 7 && town.nodes[3].held_cnt == 0 && town.nodes[5].held_cnt == 0);
    town_make(HUB_2, 7, SZ, 2);
    town_seconds(10);
    for (uint32_t i = 3; i <= 5; i++) {
        cr_assert(town.nodes[i].held == 7 && town_maker(i, 7) == 1 + i % 2);
        town_same(i, 7, SZ, 1 + i % 2);
    }
}

Test(states_whose, anothers_where_its_own_makes_none)
{
    town.nodes[3].place = 3;
    town.nodes[3].waits_height = 7;
    kh_states_want(town.nodes[3].s, 7);
    town_make(HUB_1, 7, SZ, 1);
    town_seconds(1000);
    cr_assert(town.nodes[3].held_cnt == 0 && town.nodes[3].lists_asked == 0);
    town.nodes[3].waits_height = 8; /* that is over: the order wants another, or half of the time has passed */
    town_seconds(5);
    cr_assert(town.nodes[3].held == 7 && town_maker(3, 7) == HUB_1);
}

/* A hub that claims more than there is room for: another's is taken where that fits, and is said to lack room where none does. */
Test(states_whose, anothers_where_its_own_has_no_room)
{
    town_node *node = &town.nodes[4];
    node->place = 4; /* of hub 1 */
    node->waits_height = 7;
    node->room = KH_STATES_ROOM + 2 * SZ;
    town_make(HUB_1, 7, 10 * SZ, 1);
    town_make(HUB_2, 7, SZ, 2);
    kh_states_want(node->s, 7);
    town_seconds(100);
    cr_assert(node->held_cnt == 0 && node->alert_cnt == 1 && town_has_alert(4, "STATE_NO_ROOM", 0));
    node->waits_height = 0;
    town_seconds(100);
    cr_assert(node->held == 7 && town_maker(4, 7) == HUB_2 && node->alert_cnt == 1);
}

/* One that gives a piece now and then would be fetched for ever. */
Test(states_whose, anothers_where_it_only_drips)
{
    town_node *node = &town.nodes[5];
    town_make(HUB_1, 7, 4 * SZ, 1);
    town.nodes[HUB_1].drips = true;
    kh_states_want(node->s, 7);
    town_seconds(30);
    town_make(HUB_2, 7, SZ, 2);
    town_seconds(500);
    cr_assert(node->held_cnt == 0);
    town_seconds(100);
    cr_assert(node->held == 7 && town_maker(5, 7) == HUB_2);
}

/* Where both do, it is the line: one of them is fetched to its end. */
Test(states_whose, two_that_drip)
{
    town_node *node = &town.nodes[5];
    town_make(HUB_1, 7, SZ, 1);
    town_make(HUB_2, 7, SZ, 2);
    town.nodes[HUB_1].drips = town.nodes[HUB_2].drips = true;
    kh_states_want(node->s, 7);
    town_seconds(600 + 50 * (PIECES + 2));
    cr_assert(node->held == 7);
}

/* A hub that makes one false state after the other, and is asked first, does not keep who joins from another's. */
Test(states_whose, one_that_lies_again_and_again)
{
    uint32_t maker = 0;
    town_node *node = &town.nodes[3];
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(node->s, 7);
    town_seconds(4);
    cr_assert(kh_states_holds(node->s, 7));
    town_make(HUB_2, 7, SZ, 2);
    cr_assert(kh_states_refuse(town.nodes[HUB_1].s, 7, &maker) == KH_OK); /* it makes another */
    town_make(HUB_1, 7, SZ, 3);
    (void)kh_states_of_peers(node->s, NULL);
    town_seconds(12);
    cr_assert(kh_states_refuse(node->s, 7, &maker) == KH_OK && maker == HUB_1);
    town_seconds(10);
    cr_assert(kh_states_holds(node->s, 7) && town_maker(3, 7) == HUB_2);
    cr_assert(kh_states_refuse(node->s, 7, &maker) == KH_OK && maker == HUB_2);
    town_seconds(10); /* where nobody else has any, it is taken all the same */
    cr_assert(kh_states_holds(node->s, 7) && town_maker(3, 7) == HUB_1);
}

Test(states_whose, what_is_false_inside_is_not_taken_again)
{
    uint32_t maker = 0;
    town_make(HUB_1, 7, SZ, 1);
    kh_states_want(town.nodes[3].s, 7);
    town_seconds(4);
    cr_assert(kh_states_refuse(town.nodes[3].s, 7, &maker) == KH_OK && maker == HUB_1);
    cr_assert(!kh_states_holds(town.nodes[3].s, 7) && !town_has_file(3, "7.state"));
    cr_assert(kh_states_refuse(town.nodes[3].s, 7, &maker) == KH_E_NOT_FOUND);
    town_seconds(100);
    cr_assert(!kh_states_holds(town.nodes[3].s, 7));
    town_make(HUB_2, 7, SZ, 2);
    town_seconds(10);
    cr_assert(town.nodes[3].held_cnt == 2 && town_maker(3, 7) == HUB_2);
}

Test(states_whose, the_newest_of_peers)
{
    uint32_t answers = 7;
    for (uint64_t h = 1; h <= 5; h++) town_make(HUB_1, h, 10, h); /* it tells of four */
    town_make(HUB_2, 3, 10, 3);
    cr_assert(kh_states_of_peers(town.nodes[3].s, &answers) == 0 && answers == 0);
    town_seconds(1);
    cr_assert(kh_states_of_peers(town.nodes[3].s, &answers) == 3 &&
              answers == 4); /* what one alone says to have is not believed */
    uint8_t head[160];
    town_head(4, HUB_1, 1000, PIECES, 500, head); /* what no hub has signed counts where there is nothing else */
    town_seconds(3);
    (void)kh_states_of_peers(town.nodes[3].s, NULL);
    town_steps(1);
    town_have(4, 3, head, 1);
    town_steps(3);
    cr_assert(kh_states_of_peers(town.nodes[3].s, NULL) == 3);
    town.nodes[4].room = UINT64_MAX;
    kh_states_want(town.nodes[4].s, 5);
    town_seconds(4);
    (void)kh_states_of_peers(town.nodes[3].s, NULL);
    town_seconds(3);
    cr_assert(kh_states_of_peers(town.nodes[3].s, NULL) == 5);
}

/* What is begun is gone on with where there is room alone. */
Test(states_whose, a_disk_that_others_filled_meanwhile)
{
    town_node *node = &town.nodes[3];
    kh_states_counts n;
    town_make(HUB_1, 7, 10 * SZ, 7);
    kh_states_want(node->s, 7);
    do town_steps(1), kh_states_count(node->s, &n);
    while (n.pieces_there < PIECES);
    town_close(3);
    town_drop_messages();
    node->room = KH_STATES_ROOM + 100;
    cr_assert(town_open(3) == KH_OK);
    kh_states_want(node->s, 7);
    town_seconds(100);
    cr_assert(node->held_cnt == 0 && node->alert_cnt == 1 && town_has_alert(3, "STATE_NO_ROOM", 0));
    node->room = UINT64_MAX;
    town_seconds(100);
    cr_assert(node->held == 7);
    town_same(3, 7, 10 * SZ, 7);
}

/* ---- a disk that forgets ---- */

Test(states_whose, a_piece_that_rots)
{
    town_three_hold(SZ);
    cr_assert(sim_disk_rot(town.nodes[3].sd, "data/states/7.state", 160 + 3 * (PIECE + 96) + 9, 4));
    town_seconds(10);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt == 0); /* it was not given */
    town_same(5, 7, SZ, 7);
    kh_state_reader *r = NULL;
    uint8_t part[777];
    size_t got = 1, all = 0;
    if (town.nodes[3].alert_cnt == 0) { /* nobody asked it for that piece: it is found by reading */
        cr_assert(kh_states_read(town.nodes[3].s, 7, town_box, NULL, NULL, &r) == KH_OK);
        kh_err err;
        while ((err = kh_state_reader_read(r, part, sizeof part, &got)) == KH_OK) all += got;
        cr_assert(err == KH_E_DAMAGED && all == 3 * PIECE && kh_state_reader_piece(r) == 3);
        kh_state_reader_close(r);
    }
    cr_assert(town_has_alert(3, "STATE_DAMAGED", 0));
    town_seconds(10);
    cr_assert(town.nodes[3].held_cnt == 2); /* and fetched again */
    town_same(3, 7, SZ, 7);
}

Test(states_whose, a_piece_that_its_maker_sealed_for_nobody)
{
    kh_state_maker *m = NULL;
    kh_state_reader *r = NULL;
    uint8_t other[KH_PUBLIC_SZ], secret[KH_SECRET_SZ] = {0, 8}, part[100];
    size_t got = 0;
    kh_box *box = NULL;
    cr_assert(kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK);
    kh_box_public(box, other);
    kh_box_free(box);
    cr_assert(kh_states_make(town.nodes[HUB_1].s, 7, 1, other, &m) == KH_OK && kh_state_maker_write(m, "abc", 3) == KH_OK);
    cr_assert(kh_state_maker_end(m) == KH_OK);
    cr_assert(kh_states_read(town.nodes[HUB_1].s, 7, town_box, NULL, NULL, &r) == KH_OK);
    cr_assert(kh_state_reader_read(r, part, sizeof part, &got) == KH_E_FORMAT && kh_state_reader_piece(r) == 0);
    kh_state_reader_close(r);
    cr_assert(kh_states_holds(town.nodes[HUB_1].s, 7)); /* whoever reads it refuses it */
}

/* A hub that signs another's pieces in another order, of another height, or without the last: none of that can be opened. */
enum { SEALED = PIECE + 96 };
static void forge(uint8_t *file, uint32_t pieces, uint64_t height)
{
    uint8_t *list = file + 160 + (size_t)pieces * SEALED, statement[12 + 96] = "kanhe/state", path[64];
    kh_file *f = NULL;
    kh_disk *d = &town.nodes[HUB_2].disk;
    for (uint32_t i = 0; i < pieces; i++) kh_sha256(file + 160 + (size_t)i * SEALED, SEALED, list + (size_t)i * 32);
    kh_store32(file + 4, HUB_2);
    kh_store64(file + 8, height);
    kh_store32(file + 20, pieces);
    kh_store32(file + 24, SEALED);
    kh_sha256(list, (size_t)pieces * 32, file + 64);
    memcpy(statement + 12, file, 96);
    cr_assert(kh_sign(town.signs[HUB_2], statement, sizeof statement, file + 96) == KH_OK);
    (void)snprintf((char *)path, sizeof path, "data/states/%llu.state", (unsigned long long)height);
    cr_assert(d->open(d->self, (char *)path, KH_OPEN_WRITE | KH_OPEN_CREATE, &f) == KH_OK);
    cr_assert(d->write(d->self, f, 0, file, 160 + (size_t)pieces * (SEALED + 32)) == KH_OK);
    d->close(d->self, f);
}

static void opens_to(uint64_t height, size_t n, uint32_t piece)
{
    kh_state_reader *r = NULL;
    static uint8_t part[8 * PIECE];
    size_t got = 0;
    cr_assert(kh_states_read(town.nodes[HUB_2].s, height, town_box, NULL, NULL, &r) == KH_OK);
    kh_err err = n == 0 ? kh_state_reader_read(r, part, sizeof part, &got) : KH_OK;
    if (n != 0) {
        cr_assert(kh_state_reader_read(r, part, sizeof part, &got) == KH_OK && got == n);
        err = kh_state_reader_read(r, part, sizeof part, &got);
    }
    cr_assert(err == KH_E_FORMAT && kh_state_reader_piece(r) == piece);
    kh_state_reader_close(r);
}

Test(states_whose, pieces_stand_where_they_were_sealed_for)
{
    enum { FILE_SZ = 160 + 4 * (SEALED + 32) };
    static uint8_t file[FILE_SZ], other[FILE_SZ];
    size_t got = 0;
    kh_file *f = NULL;
    kh_disk *d = &town.nodes[HUB_1].disk;
    town_make(HUB_1, 7, 4 * PIECE, 7);
    cr_assert(d->open(d->self, "data/states/7.state", KH_OPEN_READ, &f) == KH_OK);
    cr_assert(d->read(d->self, f, 0, file, FILE_SZ, &got) == KH_OK && got == FILE_SZ);
    d->close(d->self, f);
    town_close(HUB_2);
    memcpy(other, file, FILE_SZ);
    memcpy(other + 160 + SEALED, file + 160 + 2 * SEALED, SEALED); /* the third in the second's place */
    forge(other, 4, 7);
    memcpy(other, file, FILE_SZ);
    forge(other, 4, 8);
    memcpy(other, file, FILE_SZ);
    town_close(HUB_2);
    cr_assert(town_open(HUB_2) == KH_OK);
    opens_to(7, PIECE, 1);
    opens_to(8, 0, 0);
    town_close(HUB_2);
    forge(other, 3, 7);
    kh_file *cut = NULL;
    d = &town.nodes[HUB_2].disk;
    cr_assert(d->open(d->self, "data/states/7.state", KH_OPEN_WRITE, &cut) == KH_OK);
    cr_assert(d->truncate(d->self, cut, 160 + 3 * (SEALED + 32)) == KH_OK);
    d->close(d->self, cut);
    cr_assert(town_open(HUB_2) == KH_OK);
    opens_to(7, 2 * PIECE, 2);
}

Test(states_whose, a_disk_that_refuses_for_a_while)
{
    town_make(HUB_1, 7, SZ, 7);
    for (uint64_t k = 0; k < 12; k++) {
        kh_err err = k % 2 != 0 ? KH_E_IO : KH_E_NOSPACE;
        town.nodes[3].alert_cnt = town.nodes[3].held_cnt = 0;
        kh_states_want(town.nodes[3].s, 7);
        sim_disk_fail_after(town.nodes[3].sd, k, err, true);
        town_seconds(200);
        cr_assert(town.nodes[3].held_cnt == 1, "%llu", (unsigned long long)k);
        town_same(3, 7, SZ, 7);
        kh_states_want(town.nodes[3].s, 0);
        kh_states_keep(town.nodes[3].s, NULL, 0);
        town_seconds(700);
    }
}
