/* states_2: peers that lie, fall silent, claim too much or ask too much; whose state is taken. */
#include "states_fixture.h"

static void setup(void) { town_begin(KH_SUITE_INTL, 2); }
TestSuite(states_peers, .init = setup, .fini = town_end);

enum { SZ = 20 * PIECE + 77, PIECES = 21 };

static bool has_alert(uint32_t id, const char *word, uint32_t of)
{
    const town_node *node = &town.nodes[id];
    for (uint32_t i = 0; i < node->alert_cnt; i++)
        if (strcmp(node->alerts[i], word) == 0 && node->alert_of[i] == of) return true;
    return false;
}

/* Hub 1's state at it, 3 and 4; then 5 wants it, with the hub away. */
static void three_hold(void)
{
    town_make(HUB_1, 7, SZ, 7);
    for (uint32_t i = 3; i <= 4; i++) kh_states_want(town.nodes[i].s, 7);
    town_seconds(4);
    cr_assert(town.nodes[3].held == 7 && town.nodes[4].held == 7);
    town_close(HUB_1);
    town.nodes[HUB_1].away = true;
    kh_states_want(town.nodes[5].s, 7);
}

Test(states_peers, a_false_piece)
{
    three_hold();
    town.nodes[3].lies = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt >= 1 && has_alert(5, "STATE_FALSE_PIECE", 3));
    town_same(5, 7, SZ, 7);
    cr_assert(town.nodes[3].pieces_sent <= KH_STATES_AHEAD); /* it is not asked again */
    kh_states_counts n;
    kh_states_count(town.nodes[5].s, &n);
    cr_assert(n.pieces_taken == PIECES && n.false_given >= 1);
}

Test(states_peers, nobody_but_a_liar)
{
    three_hold();
    town_close(4);
    town.nodes[3].lies = true;
    town_seconds(60);
    cr_assert(town.nodes[5].held_cnt == 0 && !kh_states_holds(town.nodes[5].s, 7));
    cr_assert(town.nodes[3].pieces_sent <= KH_STATES_AHEAD);
    cr_assert(town_open(4) == KH_OK);
    town_seconds(60);
    cr_assert(town.nodes[5].held == 7);
    town_same(5, 7, SZ, 7);
}

Test(states_peers, a_false_list)
{
    three_hold();
    town.nodes[3].false_lists = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt == 1 && has_alert(5, "STATE_FALSE_LIST", 3));
    town_same(5, 7, SZ, 7);
}

Test(states_peers, more_than_was_asked_for)
{
    three_hold();
    town.nodes[3].too_large = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && has_alert(5, "STATE_FALSE_PIECE", 3));
    town_same(5, 7, SZ, 7);
}

Test(states_peers, a_larger_list_than_was_asked_for)
{
    three_hold();
    town.nodes[3].too_large = town.nodes[3].false_lists = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && has_alert(5, "STATE_FALSE_LIST", 3));
    town_same(5, 7, SZ, 7);
}

Test(states_peers, one_that_has_it_no_more)
{
    three_hold();
    town.nodes[3].not_had = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt == 0);
    town_same(5, 7, SZ, 7);
}

Test(states_peers, one_that_stops_answering)
{
    kh_states_counts n = {.pieces_there = 0};
    three_hold();
    while (n.pieces_there == 0) town_steps(1), kh_states_count(town.nodes[5].s, &n);
    town.nodes[3].silent = true;
    uint64_t since = town.now;
    while (town.nodes[5].held_cnt == 0 && town.now - since < 100 * KH_NS_PER_S) town_steps(1);
    cr_assert(town.nodes[5].held == 7 && town.now - since < 60 * KH_NS_PER_S && town.nodes[5].alert_cnt == 0);
    town_same(5, 7, SZ, 7);
}

/* All fall silent in the middle, and another hub has made its own: that is fetched in its place. */
Test(states_peers, anothers_where_nobody_gives_it_any_more)
{
    kh_states_counts n = {.pieces_there = 0};
    three_hold();
    while (n.pieces_there == 0) town_steps(1), kh_states_count(town.nodes[5].s, &n);
    town_close(3);
    town_close(4);
    town_make(HUB_2, 7, SZ, 7);
    town_seconds(150);
    cr_assert(town.nodes[5].held == 7 && town_maker(5, 7) == HUB_2);
    town_same(5, 7, SZ, 7);
}

/* ---- claims ---- */

static void have(uint32_t from, uint32_t to, const uint8_t *head, uint32_t cnt)
{
    uint8_t p[8 * 160];
    for (uint32_t i = 0; i < cnt; i++) memcpy(p + i * 160, head, 160);
    kh_states_received(town.nodes[to].s, from, KH_MSG_STATES_HAVE, p, cnt * (size_t)160);
}

/* A head, signed with a node's key, as any that is no hub may write one. */
static void head_of(uint32_t signer, uint32_t maker, uint64_t height, uint32_t pieces, uint32_t last_sz, uint8_t ret[160])
{
    uint8_t statement[12 + 96] = "kanhe/state";
    memset(ret, 0, 160);
    memcpy(ret, "KHZ1", 4);
    kh_store32(ret + 4, maker);
    kh_store64(ret + 8, height);
    kh_store32(ret + 16, 1);
    kh_store32(ret + 20, pieces);
    kh_store32(ret + 24, last_sz);
    kh_store32(ret + 28, PIECE);
    memset(ret + 32, 7, 3);
    memcpy(statement + 12, ret, 96);
    cr_assert(kh_sign(town.signs[signer], statement, sizeof statement, ret + 96) == KH_OK);
}

/* Node 5 wants 7, and is told this by 4 each time it asks. */
static void claim(const uint8_t *head, uint32_t cnt)
{
    for (uint32_t i = 1; i <= 4; i++) town_close(i);
    kh_states_want(town.nodes[5].s, 7);
    for (int i = 0; i < 100; i++) {
        have(4, 5, head, cnt);
        town_steps(5);
    }
}

Test(states_peers, a_head_that_hub_signed)
{
    uint8_t head[160];
    head_of(HUB_1, HUB_1, 7, PIECES, 500, head);
    claim(head, 1);
    cr_assert(town.nodes[5].lists_asked != 0); /* the claims below are refused for what they are */
    cr_assert(kh_states_of_peers(town.nodes[5].s, NULL) == 7);
}

Test(states_peers, a_head_that_no_hub_signed)
{
    uint8_t head[160];
    head_of(4, HUB_1, 7, PIECES, 500, head);
    claim(head, 1);
    head_of(4, 4, 7, PIECES, 500, head);
    claim(head, 1);
    head_of(HUB_1, HUB_1, 7, PIECES, 500, head);
    head[100] ^= 1;
    claim(head, 1);
    head_of(HUB_1, HUB_2, 7, PIECES, 500, head);
    claim(head, 1);
    cr_assert(town.nodes[5].lists_asked == 0 && !town_has_file(5, "7.part") && town.nodes[5].alert_cnt == 0);
}

Test(states_peers, heads_out_of_bounds)
{
    static const struct {
        uint32_t pieces, last_sz, at;
    } of[] = {{0, 500, 0},
              {KH_STATE_PIECES_MAX + 1, 500, 0},
              {UINT32_MAX, 500, 0},
              {PIECES, 95, 0},
              {PIECES, PIECE + 97, 0},
              {PIECES, 500, 1},
              {PIECES, 500, 29},
              {PIECES, 500, 33}};
    for (uint32_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        uint8_t head[160], statement[12 + 96] = "kanhe/state";
        head_of(HUB_1, HUB_1, 7, of[i].pieces, of[i].last_sz, head);
        if (of[i].at != 0) head[of[i].at] ^= 1; /* magic, piece size, chain */
        memcpy(statement + 12, head, 96);
        cr_assert(kh_sign(town.signs[HUB_1], statement, sizeof statement, head + 96) == KH_OK);
        claim(head, 1);
        cr_assert(town.nodes[5].lists_asked == 0 && kh_states_of_peers(town.nodes[5].s, NULL) == 0, "%u", i);
    }
    uint8_t head[160];
    head_of(HUB_1, HUB_1, 7, PIECES, 500, head);
    claim(head, 5); /* more than any has */
    cr_assert(town.nodes[5].lists_asked == 0);
}

/* The largest that may be claimed, by a hub: nothing is taken or written for which there is no room, and memory is the list's. */
Test(states_peers, a_huge_claim)
{
    uint8_t head[160];
    town.nodes[5].room = KH_STATES_ROOM + (UINT64_C(4) << 20);
    head_of(HUB_1, HUB_1, 7, KH_STATE_PIECES_MAX, 500, head);
    claim(head, 1);
    cr_assert(town.nodes[5].lists_asked == 0 && !town_has_file(5, "7.part"));
    cr_assert(town.nodes[5].alert_cnt == 1 && has_alert(5, "STATE_NO_ROOM", 0)); /* said once */
}

Test(states_peers, answers_that_nobody_asked_for)
{
    uint8_t head[160], big[36 + PIECE + 97] = {0};
    kh_states_counts n;
    head_of(HUB_1, HUB_1, 7, PIECES, 500, head);
    town_steps(1);
    have(3, 5, head, 1); /* 5 wants nothing and has not asked */
    town_steps(2);
    cr_assert(kh_states_of_peers(town.nodes[5].s, NULL) == 0);
    three_hold();
    for (int i = 0; i < 200; i++) { /* pieces and lists of others than the one who was asked, and too large ones */
        for (uint32_t from = 1; from <= NODES + 1; from++) {
            kh_states_received(town.nodes[5].s, from, KH_MSG_PIECE_GIVE, big, from % 2 != 0 ? sizeof big : 36 + 500);
            kh_states_received(town.nodes[5].s, from, KH_MSG_LIST_GIVE, big, sizeof big);
            kh_states_received(town.nodes[5].s, from, KH_MSG_PIECE_GIVE, big, 3);
            kh_states_received(town.nodes[5].s, from, KH_MSG_LIST_GIVE, big, 3);
        }
        town_steps(1);
    }
    kh_states_count(town.nodes[5].s, &n);
    cr_assert(town.nodes[5].held == 7 && n.false_given == 0);
    town_same(5, 7, SZ, 7);
}

/* ---- who asks ---- */

static void ask_piece(uint32_t from, uint32_t to, const uint8_t id[32], uint32_t piece)
{
    uint8_t p[36];
    memcpy(p, id, 32);
    kh_store32(p + 32, piece);
    kh_states_received(town.nodes[to].s, from, KH_MSG_PIECE_WANT, p, sizeof p);
}

static void id_of(uint32_t node, uint64_t height, uint8_t ret[32])
{
    char path[64];
    uint8_t head[96];
    size_t got = 0;
    kh_file *f = NULL;
    kh_disk *d = &town.nodes[node].disk;
    (void)snprintf(path, sizeof path, "data/states/%llu.state", (unsigned long long)height);
    cr_assert(d->open(d->self, path, KH_OPEN_READ, &f) == KH_OK && d->read(d->self, f, 0, head, sizeof head, &got) == KH_OK);
    d->close(d->self, f);
    kh_sha256(head, sizeof head, ret);
}

Test(states_peers, who_is_no_member_gets_nothing)
{
    uint8_t id[32];
    town.nodes[5].stranger = true;
    town_make(HUB_1, 7, SZ, 7);
    id_of(HUB_1, 7, id);
    town_steps(60);
    size_t before = town.nodes[HUB_1].bytes_sent;
    kh_states_received(town.nodes[HUB_1].s, 5, KH_MSG_STATES_WHICH, NULL, 0);
    kh_states_received(town.nodes[HUB_1].s, 5, KH_MSG_LIST_WANT, id, 32);
    ask_piece(5, HUB_1, id, 0);
    town_steps(3);
    cr_assert(town.nodes[HUB_1].bytes_sent == before);
    town.nodes[5].stranger = false;
    town_seconds(2);
    ask_piece(5, HUB_1, id, 0);
    town_steps(3);
    cr_assert(town.nodes[HUB_1].bytes_sent == before + 36 + PIECE + 96);
    ask_piece(5, HUB_1, id, PIECES); /* no such piece; no such state */
    ask_piece(5, HUB_1, (uint8_t[32]){1}, 0);
    kh_states_received(town.nodes[HUB_1].s, 5, KH_MSG_LIST_WANT, (uint8_t[32]){1}, 32);
    town_steps(3);
    cr_assert(town.nodes[HUB_1].bytes_sent == before + 36 + PIECE + 96 + 36 + 36 + 32);
}

Test(states_peers, who_asks_for_more_than_its_share_waits)
{
    uint8_t id[32];
    town_make(HUB_1, 7, SZ, 7);
    id_of(HUB_1, 7, id);
    town_steps(2);
    /* An answer counts as 64 KiB at least. */
    enum { AT_ONCE = 2 * (int)(KH_STATES_A_SECOND >> 16), A_SECOND = (int)(KH_STATES_A_SECOND >> 16) };
    for (uint32_t second = 0; second < 3; second++) {
        for (uint32_t i = 0; i < 4000; i++) {
            ask_piece(5, HUB_1, id, i % PIECES);
            kh_states_tick(town.nodes[HUB_1].s);
        }
        cr_assert(town.nodes[HUB_1].pieces_sent <= AT_ONCE + second * A_SECOND + 1);
        cr_assert(town.nodes[HUB_1].pieces_sent >= AT_ONCE + second * A_SECOND - 1);
        town.now += KH_NS_PER_S;
    }
    town_drop_messages();
    kh_states_want(town.nodes[4].s, 7); /* and another is served all the while */
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t k = 0; k < 400; k++) ask_piece(5, HUB_1, id, k % PIECES);
        town_steps(10);
    }
    cr_assert(town.nodes[4].held == 7);
}

/* ---- whose ---- */

Test(states_peers, each_place_its_own_maker)
{
    for (uint32_t i = 3; i <= 5; i++) {
        town.nodes[i].place = i;
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

Test(states_peers, anothers_where_its_own_makes_none)
{
    town.nodes[3].place = 3;
    kh_states_want(town.nodes[3].s, 7);
    town_make(HUB_1, 7, SZ, 1);
    town_seconds(25);
    cr_assert(town.nodes[3].held_cnt == 0);
    town_seconds(15);
    cr_assert(town.nodes[3].held == 7 && town_maker(3, 7) == HUB_1);
}

Test(states_peers, what_is_false_inside_is_not_taken_again)
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

Test(states_peers, the_newest_of_peers)
{
    uint32_t answers = 7;
    for (uint64_t h = 1; h <= 5; h++) town_make(HUB_1, h, 10, h); /* it tells of four */
    town_make(HUB_2, 3, 10, 3);
    cr_assert(kh_states_of_peers(town.nodes[3].s, &answers) == 0 && answers == 0);
    town_seconds(1);
    cr_assert(kh_states_of_peers(town.nodes[3].s, &answers) == 5 && answers == 4);
    uint8_t head[160];
    head_of(4, HUB_1, 1000, PIECES, 500, head); /* what no hub has signed counts where there is nothing else */
    town_seconds(3);
    (void)kh_states_of_peers(town.nodes[3].s, NULL);
    town_steps(1);
    have(4, 3, head, 1);
    town_steps(3);
    cr_assert(kh_states_of_peers(town.nodes[3].s, NULL) == 5);
}

/* ---- a disk that forgets ---- */

Test(states_peers, a_piece_that_rots)
{
    three_hold();
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
    cr_assert(has_alert(3, "STATE_DAMAGED", 0));
    town_seconds(10);
    cr_assert(town.nodes[3].held_cnt == 2); /* and fetched again */
    town_same(3, 7, SZ, 7);
}

Test(states_peers, a_piece_that_its_maker_sealed_for_nobody)
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

Test(states_peers, pieces_stand_where_they_were_sealed_for)
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

Test(states_peers, a_disk_that_refuses_for_a_while)
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
