/* states_2: peers that lie, fall silent, claim too much or ask too much; whose state is taken. */
#include "states_fixture.h"

static void setup(void) { town_begin(KH_SUITE_INTL, 2); }
TestSuite(states_peers, .init = setup, .fini = town_end);

enum { SZ = 20 * PIECE + 77, PIECES = 21 };

Test(states_peers, a_false_piece)
{
    town_three_hold(SZ);
    town.nodes[3].lies = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt >= 1 && town_has_alert(5, "STATE_FALSE_PIECE", 3));
    town_same(5, 7, SZ, 7);
    cr_assert(town.nodes[3].pieces_sent <= KH_STATES_AHEAD); /* it is not asked again */
    kh_states_counts n;
    kh_states_count(town.nodes[5].s, &n);
    cr_assert(n.pieces_taken == PIECES && n.false_given >= 1);
}

Test(states_peers, nobody_but_a_liar)
{
    town_three_hold(SZ);
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
    town_three_hold(SZ);
    town.nodes[3].false_lists = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt == 1 && town_has_alert(5, "STATE_FALSE_LIST", 3));
    town_same(5, 7, SZ, 7);
}

Test(states_peers, more_than_was_asked_for)
{
    town_three_hold(SZ);
    town.nodes[3].too_large = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town_has_alert(5, "STATE_FALSE_PIECE", 3));
    town_same(5, 7, SZ, 7);
}

Test(states_peers, a_larger_list_than_was_asked_for)
{
    town_three_hold(SZ);
    town.nodes[3].too_large = town.nodes[3].false_lists = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town_has_alert(5, "STATE_FALSE_LIST", 3));
    town_same(5, 7, SZ, 7);
}

Test(states_peers, one_that_has_it_no_more)
{
    town_three_hold(SZ);
    town.nodes[3].not_had = true;
    town_seconds(6);
    cr_assert(town.nodes[5].held == 7 && town.nodes[5].alert_cnt == 0);
    town_same(5, 7, SZ, 7);
}

Test(states_peers, one_that_stops_answering)
{
    kh_states_counts n = {.pieces_there = 0};
    town_three_hold(SZ);
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
    town_three_hold(SZ);
    while (n.pieces_there == 0) town_steps(1), kh_states_count(town.nodes[5].s, &n);
    town_close(3);
    town_close(4);
    town_make(HUB_2, 7, SZ, 7);
    town_seconds(150);
    cr_assert(town.nodes[5].held == 7 && town_maker(5, 7) == HUB_2);
    town_same(5, 7, SZ, 7);
}

/* ---- claims ---- */

/* Node 5 wants 7, and is told this by 4 each time it asks. */
static void claim(const uint8_t *head, uint32_t cnt)
{
    for (uint32_t i = 1; i <= 4; i++) town_close(i);
    kh_states_want(town.nodes[5].s, 7);
    for (int i = 0; i < 100; i++) {
        town_have(4, 5, head, cnt);
        town_steps(5);
    }
}

Test(states_peers, a_head_that_hub_signed)
{
    uint8_t head[160];
    town_head(HUB_1, HUB_1, 7, PIECES, 500, head);
    claim(head, 1);
    cr_assert(town.nodes[5].lists_asked != 0); /* the claims below are refused for what they are */
    cr_assert(kh_states_of_peers(town.nodes[5].s, NULL) == 7);
}

Test(states_peers, a_head_that_no_hub_signed)
{
    uint8_t head[160];
    town_head(4, HUB_1, 7, PIECES, 500, head);
    claim(head, 1);
    town_head(4, 4, 7, PIECES, 500, head);
    claim(head, 1);
    town_head(HUB_1, HUB_1, 7, PIECES, 500, head);
    head[100] ^= 1;
    claim(head, 1);
    town_head(HUB_1, HUB_2, 7, PIECES, 500, head);
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
        town_head(HUB_1, HUB_1, 7, of[i].pieces, of[i].last_sz, head);
        if (of[i].at != 0) head[of[i].at] ^= 1; /* magic, piece size, chain */
        memcpy(statement + 12, head, 96);
        cr_assert(kh_sign(town.signs[HUB_1], statement, sizeof statement, head + 96) == KH_OK);
        claim(head, 1);
        cr_assert(town.nodes[5].lists_asked == 0 && kh_states_of_peers(town.nodes[5].s, NULL) == 0, "%u", i);
    }
    uint8_t head[160];
    town_head(HUB_1, HUB_1, 7, PIECES, 500, head);
    claim(head, 5); /* more than any has */
    cr_assert(town.nodes[5].lists_asked == 0);
}

/* The largest that may be claimed, by a hub: nothing is taken or written for which there is no room, and memory is the list's. */
Test(states_peers, a_huge_claim)
{
    uint8_t head[160];
    town.nodes[5].room = KH_STATES_ROOM + (UINT64_C(4) << 20);
    town_head(HUB_1, HUB_1, 7, KH_STATE_PIECES_MAX, 500, head);
    claim(head, 1);
    cr_assert(town.nodes[5].lists_asked == 0 && !town_has_file(5, "7.part"));
    cr_assert(town.nodes[5].alert_cnt == 1 && town_has_alert(5, "STATE_NO_ROOM", 0)); /* said once */
}

Test(states_peers, answers_that_nobody_asked_for)
{
    uint8_t head[160], big[36 + PIECE + 97] = {0};
    kh_states_counts n;
    town_head(HUB_1, HUB_1, 7, PIECES, 500, head);
    town_steps(1);
    town_have(3, 5, head, 1); /* 5 wants nothing and has not asked */
    town_steps(2);
    cr_assert(kh_states_of_peers(town.nodes[5].s, NULL) == 0);
    town_three_hold(SZ);
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
