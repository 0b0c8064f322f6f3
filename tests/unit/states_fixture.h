/* states_fixture: a town of nodes with a simulated disk each, a clock, and messages that wait until they are carried: some are
 * lost, some are made false. */
#ifndef KH_TESTS_STATES_FIXTURE_H
#define KH_TESTS_STATES_FIXTURE_H
#include "states/states.h"
#include "crypto/digest.h"
#include "host/host.h"
#include "sim_disk.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = 5, HUB_1 = 1, HUB_2 = 2, PIECE = 4096, NEVER = 99 };
#define STEP_NS (20 * UINT64_C(1000000))

typedef struct town_node {
    sim_disk *sd;
    kh_disk disk;
    kh_states *s;
    uint64_t held; /* the newest that was told */
    uint32_t held_cnt, place;
    uint64_t room, waits_height, dripped_ns;
    bool silent, away;             /* silent: what it sends is lost; away: others see that it is not there */
    bool lies, not_had, too_large; /* its pieces are false; empty */
    bool drips;                    /* one in 15 seconds comes */
    bool false_lists, stranger;
    uint32_t pieces_asked, lists_asked, pieces_sent;
    size_t bytes_sent;
    char alerts[8][32];
    uint32_t alert_of[8], alert_cnt;
} town_node;
typedef struct town_message {
    uint32_t from, to;
    uint8_t type, *p;
    size_t n;
    struct town_message *next;
} town_message;

static struct {
    kh_suite suite;
    town_node nodes[NODES + 1]; /* by member, from 1 */
    kh_signer *signs[NODES + 1];
    kh_box *box;
    uint8_t group[KH_PUBLIC_SZ];
    town_message *first, **last;
    uint64_t now;
    kh_entropy entropy;
    uint32_t hubs; /* 1 to this are hubs */
} town;

static uint64_t town_now(void *self) { return (void)self, town.now; }
static const kh_clock town_clock = {.now = town_now, .monotonic = town_now};

static void town_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    town_node *node = ctx;
    uint32_t from = (uint32_t)(node - town.nodes);
    node->pieces_asked += type == KH_MSG_PIECE_WANT;
    node->lists_asked += type == KH_MSG_LIST_WANT;
    node->bytes_sent += n;
    if (type == KH_MSG_PIECE_GIVE && n > 36) node->pieces_sent++;
    if (node->silent || to > NODES) return;
    if (node->drips && type == KH_MSG_PIECE_GIVE) {
        if (town.now - node->dripped_ns < 15 * KH_NS_PER_S) return;
        node->dripped_ns = town.now;
    }
    town_message *m = calloc(1, sizeof *m);
    *m = (town_message){.from = from, .to = to, .type = type, .p = calloc(1, n + 1 + PIECE + 97), .n = n};
    if (n != 0) memcpy(m->p, p, n);
    if (type == KH_MSG_PIECE_GIVE && node->lies && n > 36) m->p[36 + (n - 36) / 2] ^= 1;
    if (type == KH_MSG_PIECE_GIVE && node->not_had) m->n = 36;
    if ((type == KH_MSG_PIECE_GIVE || (type == KH_MSG_LIST_GIVE && node->false_lists)) && node->too_large) m->n += PIECE + 97;
    if (type == KH_MSG_LIST_GIVE && node->false_lists && n > 32) m->p[40] ^= 1;
    *town.last = m;
    town.last = &m->next;
}

static void town_look(void *ctx, kh_states_people *ret)
{
    const town_node *node = ctx;
    memset(ret, 0, sizeof *ret);
    for (uint32_t i = 1; i <= NODES; i++) {
        if (&town.nodes[i] != node && !town.nodes[i].away) ret->peers[ret->peer_cnt++] = i;
        if (!town.nodes[i].stranger) ret->members[ret->member_cnt++] = i;
        if (i > town.hubs) continue;
        ret->hubs[ret->hub_cnt].id = i;
        kh_signer_public(town.signs[i], ret->hubs[ret->hub_cnt++].attest);
    }
    ret->place = node->place;
    ret->waits_height = node->waits_height;
}

static void town_held(void *ctx, uint64_t height)
{
    town_node *node = ctx;
    node->held = height;
    node->held_cnt++;
    cr_assert(kh_states_holds(node->s, height));
}

static void town_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    town_node *node = ctx;
    cr_assert(node->alert_cnt < 8, "%s of %u at %llu", word, member, (unsigned long long)height);
    (void)snprintf(node->alerts[node->alert_cnt], 32, "%s", word);
    node->alert_of[node->alert_cnt++] = member;
}

static uint64_t town_room(void *ctx) { return ((town_node *)ctx)->room; }

static const kh_box *town_box(void *ctx, uint32_t epoch) { return (void)ctx, epoch == 1 ? town.box : NULL; }

static kh_err town_open(uint32_t id)
{
    char why[256] = "";
    town_node *node = &town.nodes[id];
    const kh_states_options options = {.self = id,
                                       .suite = town.suite,
                                       .chain = {7, 7, 7},
                                       .sign = id <= town.hubs ? town.signs[id] : NULL,
                                       .disk = &node->disk,
                                       .dir = "data",
                                       .entropy = &town.entropy,
                                       .clock = &town_clock,
                                       .look = town_look,
                                       .send = town_send,
                                       .held = town_held,
                                       .alert = town_alert,
                                       .room = town_room,
                                       .ctx = node,
                                       .piece_sz = PIECE};
    node->s = NULL;
    kh_err err = kh_states_open(&options, why, sizeof why, &node->s);
    cr_assert(err == KH_OK || sim_disk_is_cut(node->sd), "%s", why);
    return err;
}

static inline void town_drop_messages(void)
{
    while (town.first != NULL) {
        town_message *m = town.first;
        town.first = m->next;
        free(m->p);
        free(m);
    }
    town.last = &town.first;
}

static void town_begin(kh_suite suite, uint32_t hubs)
{
    uint8_t secret[KH_SECRET_SZ] = {0, 9};
    town.suite = suite;
    town.hubs = hubs;
    town.now = KH_NS_PER_S;
    town.entropy = kh_host_entropy();
    town.last = &town.first;
    cr_assert(kh_box_new(suite, secret, &town.box) == KH_OK);
    kh_box_public(town.box, town.group);
    for (uint32_t i = 1; i <= NODES; i++) {
        town_node *node = &town.nodes[i];
        secret[2] = (uint8_t)i;
        cr_assert(kh_signer_new(suite, secret, &town.signs[i]) == KH_OK);
        *node = (town_node){.sd = sim_disk_new(i), .place = UINT32_MAX, .room = UINT64_C(1) << 40};
        node->disk = sim_disk_table(node->sd);
        cr_assert(node->disk.make_dir(node->sd, "data") == KH_OK && node->disk.sync_dir(node->sd, "") == KH_OK);
        cr_assert(town_open(i) == KH_OK);
    }
}

static void town_close(uint32_t id)
{
    kh_states_close(town.nodes[id].s);
    town.nodes[id].s = NULL;
}

static void town_end(void)
{
    town_drop_messages();
    for (uint32_t i = 1; i <= NODES; i++) {
        town_close(i);
        sim_disk_free(town.nodes[i].sd);
        kh_signer_free(town.signs[i]);
    }
    kh_box_free(town.box);
}

/* All that waits is carried; what comes of it waits for the next. */
static void town_carry(void)
{
    town_message *m = town.first;
    town.first = NULL;
    town.last = &town.first;
    while (m != NULL) {
        town_message *next = m->next;
        if (town.nodes[m->to].s != NULL) kh_states_received(town.nodes[m->to].s, m->from, m->type, m->p, m->n);
        free(m->p);
        free(m);
        m = next;
    }
}

static void town_steps(uint32_t n)
{
    for (; n != 0; n--) {
        town.now += STEP_NS;
        for (uint32_t i = 1; i <= NODES; i++)
            if (town.nodes[i].s != NULL) kh_states_tick(town.nodes[i].s);
        town_carry();
    }
}
static inline void town_seconds(uint32_t n) { town_steps((uint32_t)(n * KH_NS_PER_S / STEP_NS)); }

/* A stream's byte: another at each place, and for each seed. */
static uint8_t town_byte(uint64_t seed, size_t at) { return (uint8_t)(at * 31 + at / 4096 * 7 + seed); }

static inline kh_err town_try_make(uint32_t hub, uint64_t height, size_t n, uint64_t seed)
{
    kh_state_maker *m = NULL;
    uint8_t part[1000];
    kh_err err = kh_states_make(town.nodes[hub].s, height, 1, town.group, &m);
    for (size_t at = 0; at < n && err == KH_OK;) {
        size_t k = n - at < sizeof part ? n - at : sizeof part;
        for (size_t i = 0; i < k; i++) part[i] = town_byte(seed, at + i);
        err = kh_state_maker_write(m, part, k);
        at += k;
    }
    if (m == NULL) return err;
    if (err == KH_OK) return kh_state_maker_end(m);
    kh_state_maker_abort(m);
    return err;
}
static inline void town_make(uint32_t hub, uint64_t height, size_t n, uint64_t seed)
{
    cr_assert(town_try_make(hub, height, n, seed) == KH_OK);
}

/* The stream of what a node holds, read in parts, is this one. */
static inline void town_same(uint32_t id, uint64_t height, size_t n, uint64_t seed)
{
    kh_state_reader *r = NULL;
    kh_state_of of;
    uint8_t part[1500];
    size_t at = 0, got = 1;
    cr_assert(kh_states_read(town.nodes[id].s, height, town_box, NULL, &of, &r) == KH_OK);
    cr_assert(of.height == height && of.size == n && of.epoch == 1 && of.pieces == (n == 0 ? 1 : (n + PIECE - 1) / PIECE));
    while (got != 0) {
        cr_assert(kh_state_reader_read(r, part, sizeof part, &got) == KH_OK);
        for (size_t i = 0; i < got; i++) cr_assert(at + i < n && part[i] == town_byte(seed, at + i));
        at += got;
    }
    cr_assert(at == n);
    kh_state_reader_close(r);
}

static inline uint32_t town_maker(uint32_t id, uint64_t height)
{
    kh_state_reader *r = NULL;
    kh_state_of of;
    cr_assert(kh_states_read(town.nodes[id].s, height, town_box, NULL, &of, &r) == KH_OK);
    kh_state_reader_close(r);
    return of.maker;
}

static inline bool town_has_file(uint32_t id, const char *name)
{
    char path[64];
    kh_file *f = NULL;
    kh_disk *d = &town.nodes[id].disk;
    (void)snprintf(path, sizeof path, "data/states/%s", name);
    bool there = d->open(d->self, path, KH_OPEN_READ, &f) == KH_OK;
    if (there) d->close(d->self, f);
    return there;
}

static inline bool town_has_alert(uint32_t id, const char *word, uint32_t of)
{
    const town_node *node = &town.nodes[id];
    for (uint32_t i = 0; i < node->alert_cnt; i++)
        if (strcmp(node->alerts[i], word) == 0 && node->alert_of[i] == of) return true;
    return false;
}

/* Hub 1's state at it, 3 and 4; then 5 wants it, with the hub away. */
static inline void town_three_hold(size_t size)
{
    town_make(HUB_1, 7, size, 7);
    for (uint32_t i = 3; i <= 4; i++) kh_states_want(town.nodes[i].s, 7);
    town_seconds(4);
    cr_assert(town.nodes[3].held == 7 && town.nodes[4].held == 7);
    town_close(HUB_1);
    town.nodes[HUB_1].away = true;
    kh_states_want(town.nodes[5].s, 7);
}

static inline void town_have(uint32_t from, uint32_t to, const uint8_t *head, uint32_t cnt)
{
    uint8_t p[8 * 160];
    for (uint32_t i = 0; i < cnt; i++) memcpy(p + i * 160, head, 160);
    kh_states_received(town.nodes[to].s, from, KH_MSG_STATES_HAVE, p, cnt * (size_t)160);
}

/* A head, signed with a node's key, as any that is no hub may write one. */
static inline void town_head(uint32_t signer, uint32_t maker, uint64_t height, uint32_t pieces, uint32_t last_sz,
                             uint8_t ret[160])
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

#endif
