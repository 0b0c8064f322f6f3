/* fuzz_states: what peers may say to a node that holds, makes and fetches states: any bytes, heads that a hub signed whatever
 * they say, true and false answers to what it asks, in any order, with restarts and power cuts between. Nothing may crash; what
 * it sends is well formed; the true state, once it is held, is read as it was made; another is read or refused, not believed.
 *
 * Input: steps of two bytes each and what they take: see `step`. */
#include "../sim/sim_disk.h"
#include "states/states.h"
#include "crypto/digest.h"
#include <stdlib.h>

enum {
    SELF = 1,
    HUB = 2,
    PEERS = 4,
    PIECE = 1024,
    OVER = 96,
    HEAD = 160,
    TRUE_SZ = 3 * PIECE + 100,
    PIECES = 4,
    STEPS_MAX = 400
};
#define TRUE_HEIGHT 7u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sim_disk *sim;
static kh_disk disk;
static kh_states *states;
static kh_signer *signs[2];
static kh_box *box;
static uint8_t group[KH_PUBLIC_SZ], true_id[32], true_file[HEAD + TRUE_SZ + PIECES * (OVER + 32)];
static uint64_t now;

static kh_err same_bytes(void *self, void *p, size_t n)
{
    static uint8_t turn;
    (void)self;
    memset(p, ++turn, n);
    return KH_OK;
}
static const kh_entropy entropy = {.fill = same_bytes};
static uint64_t read_now(void *self) { return (void)self, now; }
static const kh_clock clock_of = {.now = read_now, .monotonic = read_now};
static const kh_box *box_of(void *ctx, uint32_t epoch) { return (void)ctx, epoch == 1 ? box : NULL; }
static uint8_t byte_at(size_t at) { return (uint8_t)(at * 7 + at / 256); }

/* ---- the node's world ---- */

static struct { /* what it asked last, in turn */
    uint32_t to, piece;
    uint8_t type, id[32];
} questions[8];
static uint32_t question_cnt;

static void on_send(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n)
{
    (void)ctx;
    KH_ASSERT(to >= 1 && to <= PEERS && to != SELF);
    if (type == KH_MSG_STATES_WHICH) KH_ASSERT(n == 0);
    else if (type == KH_MSG_STATES_HAVE) KH_ASSERT(n % HEAD == 0 && n <= KH_STATES_KEPT * HEAD);
    else if (type == KH_MSG_LIST_GIVE) KH_ASSERT(n >= 32 && n % 32 == 0);
    else if (type == KH_MSG_PIECE_GIVE) KH_ASSERT(n == 36 || (n >= 36 + OVER && n <= 36 + PIECE + OVER));
    else {
        KH_ASSERT((type == KH_MSG_LIST_WANT && n == 32) || (type == KH_MSG_PIECE_WANT && n == 36));
        uint32_t at = question_cnt++ % 8;
        questions[at].to = to;
        questions[at].type = type;
        questions[at].piece = n == 36 ? kh_load32(p + 32) : 0;
        memcpy(questions[at].id, p, 32);
    }
}
static void on_held(void *ctx, uint64_t height)
{
    (void)ctx;
    KH_ASSERT(kh_states_holds(states, height));
}
static void on_alert(void *ctx, const char *word, uint32_t member, uint64_t height)
{
    (void)ctx, (void)height;
    KH_ASSERT(strncmp(word, "STATE_", 6) == 0 && member <= PEERS);
}
static void look(void *ctx, kh_states_people *ret)
{
    (void)ctx;
    memset(ret, 0, sizeof *ret);
    ret->place = UINT32_MAX;
    for (uint32_t i = 1; i <= PEERS; i++) {
        if (i != SELF) ret->peers[ret->peer_cnt++] = i;
        if (i != PEERS) ret->members[ret->member_cnt++] = i;
    }
    ret->hub_cnt = 2;
    for (uint32_t i = 0; i < 2; i++) {
        ret->hubs[i].id = i + 1;
        kh_signer_public(signs[i], ret->hubs[i].attest);
    }
}

static void open_states(void)
{
    char why[200];
    const kh_states_options o = {.self = SELF,
                                 .suite = KH_SUITE_INTL,
                                 .sign = signs[0],
                                 .disk = &disk,
                                 .dir = "d",
                                 .entropy = &entropy,
                                 .clock = &clock_of,
                                 .look = look,
                                 .send = on_send,
                                 .held = on_held,
                                 .alert = on_alert,
                                 .piece_sz = PIECE};
    if (kh_states_open(&o, why, sizeof why, &states) != KH_OK) abort();
}

static kh_err make(uint64_t height, size_t n)
{
    kh_state_maker *m = NULL;
    kh_err err = kh_states_make(states, height, 1, group, &m);
    for (size_t at = 0; at < n && err == KH_OK; at++) err = kh_state_maker_write(m, (uint8_t[]){byte_at(at)}, 1);
    if (m == NULL) return err;
    if (err == KH_OK) return kh_state_maker_end(m);
    kh_state_maker_abort(m);
    return err;
}

/* What is held of this height: another than the true one may not open, and then says so. */
static void read_all(uint64_t height)
{
    uint8_t part[700];
    size_t got = 1, at = 0;
    kh_state_of of;
    kh_state_reader *r = NULL;
    kh_err err = kh_states_read(states, height, box_of, NULL, &of, &r);
    if (err != KH_OK) return;
    while (err == KH_OK && got != 0) {
        err = kh_state_reader_read(r, part, sizeof part, &got);
        for (size_t i = 0; i < got && err == KH_OK && of.maker == SELF; i++) KH_ASSERT(part[i] == byte_at(at + i));
        if (err == KH_OK) at += got;
    }
    KH_ASSERT(err == KH_OK ? at == of.size : err == KH_E_FORMAT && of.maker == HUB);
    kh_state_reader_close(r);
}

/* ---- steps ---- */

static void sign(uint8_t head[HEAD])
{
    uint8_t statement[12 + 96] = "kanhe/state";
    memcpy(statement + 12, head, 96);
    if (kh_sign(signs[HUB - 1], statement, sizeof statement, head + 96) != KH_OK) abort();
}

static void head_of(uint32_t pieces, uint32_t last_sz, uint64_t height, uint8_t ret[HEAD])
{
    static const uint8_t zeros[8 * 32];
    memcpy(ret, true_file, HEAD);
    kh_store32(ret + 4, HUB);
    kh_store64(ret + 8, height);
    kh_store32(ret + 20, pieces);
    kh_store32(ret + 24, last_sz);
    kh_sha256(zeros, (pieces < 8 ? pieces : 8) * (size_t)32, ret + 64);
    sign(ret);
}

/* To one of its questions: true where it is of the true state, made false by `how`. */
static void answer(uint32_t which, uint8_t how)
{
    static uint8_t message[36 + PIECE + OVER + 64];
    if (question_cnt == 0) return;
    uint32_t at = which % (question_cnt < 8 ? question_cnt : 8);
    bool list = questions[at].type == KH_MSG_LIST_WANT, of_true = memcmp(questions[at].id, true_id, 32) == 0;
    size_t head_n = list ? 32 : 36, n = list ? PIECES * (size_t)32 : PIECE + OVER;
    uint32_t piece = questions[at].piece;
    if (!list && piece + 1 >= PIECES) n = 100 + OVER;
    memcpy(message, questions[at].id, 32);
    kh_store32(message + 32, piece);
    memset(message + head_n, 0, n);
    if (of_true && list) memcpy(message + 32, true_file + HEAD + TRUE_SZ + PIECES * OVER, n);
    if (of_true && !list && piece < PIECES) memcpy(message + 36, true_file + HEAD + piece * (size_t)(PIECE + OVER), n);
    if (how % 4 == 1) message[head_n + how % n] ^= 1;
    if (how % 4 == 2) n = how >= 128 ? 0 : n - 1;
    if (how % 4 == 3) n = 32 * (how / 4u % 8);
    kh_states_received(states, how >= 250 ? HUB : questions[at].to, list ? KH_MSG_LIST_GIVE : KH_MSG_PIECE_GIVE, message,
                       head_n + n);
}

static void restart(bool cut)
{
    kh_states_close(states);
    if (cut) sim_disk_restart(sim);
    open_states();
}

/* Returns how many bytes it took behind its two. */
static size_t step(uint8_t op, uint8_t arg, const uint8_t *p, size_t n)
{
    static const uint64_t heights[] = {0, TRUE_HEIGHT, 9, 5};
    uint8_t head[HEAD];
    uint32_t maker;
    uint8_t more = n != 0 ? p[0] : 0;
    switch (op % 9) {
    case 0: {
        size_t sz = more < n ? more : n;
        kh_states_received(states, 1 + arg % (PEERS + 1), (uint8_t)(KH_STATES_MESSAGE_FIRST + arg / 8 % 6), p, sz);
        return sz;
    }
    case 1:
        now += arg < 200 ? arg * UINT64_C(10000000) : (arg - 199) * 5 * KH_NS_PER_S;
        kh_states_tick(states);
        return 0;
    case 2: kh_states_received(states, 2 + arg % 3, KH_MSG_STATES_HAVE, true_file, HEAD); return 0;
    case 3:
        head_of(arg % 8 == 7 ? KH_STATE_PIECES_MAX : arg % 8, more * 8u, heights[1 + arg / 8 % 3], head);
        kh_states_received(states, 2 + arg % 3, KH_MSG_STATES_HAVE, head, HEAD);
        return 1;
    case 4: answer(arg, more); return 1;
    case 5: restart(arg % 2 != 0); return 0;
    case 6:
        sim_disk_cut_after(sim, arg % 16);
        if (arg >= 128) {
            kh_err err = make(9, arg * 10u);
            (void)err;
        }
        kh_states_tick(states);
        restart(true);
        return 0;
    case 7:
        kh_states_want(states, heights[arg % 4]);
        if (arg >= 64) kh_states_keep(states, heights + 1, arg / 4 % 4);
        return 0;
    default:
        if (arg % 4 == 0) {
            kh_err err = kh_states_refuse(states, heights[arg / 4 % 4], &maker);
            KH_ASSERT(err == KH_OK || err == KH_E_NOT_FOUND);
        } else if (arg % 4 == 1) {
            kh_err err = make(5, arg * 20u);
            KH_ASSERT(err == KH_OK || err == KH_E_EXISTS);
        } else read_all(heights[arg / 4 % 4]);
        return 0;
    }
}

/* ---- the true state, made once ---- */

static void prepare(void)
{
    size_t got = 0;
    kh_file *f = NULL;
    uint8_t secret[KH_SECRET_SZ] = {0, 9};
    if (box != NULL) return;
    bool good = kh_box_new(KH_SUITE_INTL, secret, &box) == KH_OK;
    kh_box_public(box, group);
    for (uint8_t i = 0; i < 2; i++) {
        secret[2] = i + 1;
        good = good && kh_signer_new(KH_SUITE_INTL, secret, &signs[i]) == KH_OK;
    }
    sim = sim_disk_new(1);
    disk = sim_disk_table(sim);
    good = good && disk.make_dir(sim, "d") == KH_OK;
    open_states();
    good = good && make(TRUE_HEIGHT, TRUE_SZ) == KH_OK && disk.open(sim, "d/states/7.state", KH_OPEN_READ, &f) == KH_OK &&
           disk.read(sim, f, 0, true_file, sizeof true_file, &got) == KH_OK && got == sizeof true_file;
    if (!good) abort();
    kh_sha256(true_file, 96, true_id);
    disk.close(sim, f);
    kh_states_close(states);
    sim_disk_free(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    now = KH_NS_PER_S;
    question_cnt = 0;
    sim = sim_disk_new(1);
    disk = sim_disk_table(sim);
    if (disk.make_dir(sim, "d") != KH_OK || disk.sync_dir(sim, "") != KH_OK) abort();
    open_states();
    for (uint32_t i = 0; i < STEPS_MAX && size >= 2; i++) {
        size_t took = step(data[0], data[1], data + 2, size - 2);
        took = took < size - 2 ? took : size - 2;
        data += 2 + took;
        size -= 2 + took;
    }
    read_all(TRUE_HEIGHT);
    kh_states_close(states);
    sim_disk_free(sim);
    return 0;
}
