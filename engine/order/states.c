/* states: which checkpoints' states validators are to hold, which a quorum of them holds, and up to where bodies may go for that.
 *
 * One is wanted at a time: the newest checkpoint, a part of body_retention after the one before, so that what has to be carried
 * is bounded however many checkpoints hubs make. What a quorum holds stands as HELD, the one before as HELD_BEFORE; what was that
 * before is remembered by height and time alone, until bodies up to it are given up. All of it moves at the end of a block, by
 * its time, and is one public leaf. */
#include "order/inside.h"
#include "doc/money.h"

enum { STATE_SZ = 52, PAST_SZ = 16, HEAD_SZ = 8 + KH_STATES * STATE_SZ };
#define RETENTION_PARTS 8u
#define RETENTION_USUAL_S (UINT64_C(30) * 86400) /* where no rule says it, or what it says is no duration */
static const char leaf_key[] = {'t'}, rule_key[] = "rbody_retention";

/* ---- the rule ---- */

/* 0: off. */
static uint64_t retention(const kh_order *o)
{
    const struct kh_tree_leaf *l = kh_tree_find(&o->tree, rule_key, sizeof rule_key - 1, NULL);
    uint64_t seconds = RETENTION_USUAL_S;
    if (l != NULL && !kh_duration_parse((kh_text){(const char *)l->value, l->value_n}, &seconds)) seconds = RETENTION_USUAL_S;
    return seconds * KH_NS_PER_S;
}

/* Who keeps all bodies wants states no less: hubs begin with them. */
static uint64_t interval(const kh_order *o)
{
    uint64_t kept = retention(o);
    return (kept != 0 ? kept : RETENTION_USUAL_S * KH_NS_PER_S) / RETENTION_PARTS;
}

/* ---- who holds it ---- */

static uint32_t place_of(const kh_states *s, uint32_t member)
{
    uint32_t i = 0;
    while (i < s->of[KH_STATE_WANTED].holder_cnt && s->holders[i] < member) i++;
    return i;
}

static bool says(const kh_states *s, uint32_t member)
{
    uint32_t i = place_of(s, member);
    return i < s->of[KH_STATE_WANTED].holder_cnt && s->holders[i] == member;
}

static int voter_place(const kh_order *o, uint32_t member)
{
    for (uint32_t i = 0; i < o->now.cnt; i++)
        if (o->now.ids[i] == member) return (int)i;
    return -1;
}

static bool may_hold(const kh_order *o, uint32_t member)
{
    const kh_seat *seat = kh_seat_find(o, member);
    return seat != NULL && (seat->member.flags & KH_MEMBER_EXPELLED) == 0 && voter_place(o, member) >= 0;
}

kh_err kh_states_leaves(kh_order *o, uint32_t member)
{
    kh_states *s = &o->states;
    if (!says(s, member)) return KH_OK;
    uint32_t i = place_of(s, member), cnt = --s->of[KH_STATE_WANTED].holder_cnt;
    memmove(&s->holders[i], &s->holders[i + 1], (cnt - i) * sizeof s->holders[0]);
    return kh_public_states(o);
}

static bool signed_by(kh_order *o, const kh_holds *h, const uint8_t key[KH_PUBLIC_SZ], const uint8_t digest[32])
{
    uint8_t keys[32];
    kh_sha256(key, KH_PUBLIC_SZ, keys);
    if (kh_seen_before(o, digest, keys)) return true;
    if (!kh_holds_signed_by(o->suite, h, key)) return false;
    kh_seen_now(o, digest, keys);
    return true;
}

kh_order_code kh_judge_holds(kh_order *o, kh_at *at, const kh_tx_span *tx, const uint8_t digest[32])
{
    kh_holds h;
    kh_states *s = &o->states;
    kh_order_state *wanted = &s->of[KH_STATE_WANTED];
    if (kh_holds_read(tx->p, tx->n, &h) != KH_OK || memcmp(h.chain, o->chain, 32) != 0) return KH_R_MALFORMED;
    if (!may_hold(o, h.member)) return KH_R_NOT_AUTHORISED;
    if (!signed_by(o, &h, o->now.ack[voter_place(o, h.member)], digest)) {
        at->forged = true;
        return KH_R_NOT_AUTHORISED;
    }
    if (h.height > kh_max64(wanted->height, s->of[KH_STATE_HELD].height)) return KH_R_BAD_SEQUENCE;
    if (h.height != wanted->height || wanted->height == 0 || says(s, h.member)) return KH_R_REPEATED;
    if (!at->apply) return KH_R_OK;
    uint32_t i = place_of(s, h.member);
    memmove(&s->holders[i + 1], &s->holders[i], (wanted->holder_cnt - i) * sizeof s->holders[0]);
    s->holders[i] = h.member;
    wanted->holder_cnt++;
    at->err = kh_public_states(o);
    return KH_R_OK;
}

/* ---- a block ends ---- */

static bool passed(uint64_t now_ns, uint64_t since_ns, uint64_t ns) { return now_ns >= since_ns && now_ns - since_ns >= ns; }

/* One more that bodies wait for. Where there is no room it is passed over: they wait for the next. */
static void remember(kh_states *s, const kh_order_state *old)
{
    if (old->height != 0 && s->past_cnt < KH_STATES_PAST) s->past[s->past_cnt++] = (kh_state_past){old->height, old->time_ns};
}

static void held(kh_order *o)
{
    kh_states *s = &o->states;
    kh_order_state *of = s->of;
    if (of[KH_STATE_WANTED].height == 0 || of[KH_STATE_WANTED].holder_cnt < kh_quorum_of(o->now.cnt)) return;
    of[KH_STATE_HELD_BEFORE] = of[KH_STATE_HELD];
    of[KH_STATE_HELD] = of[KH_STATE_WANTED];
    of[KH_STATE_WANTED] = (kh_order_state){.height = 0};
    remember(s, &of[KH_STATE_HELD_BEFORE]);
}

static void want(kh_order *o, uint64_t time_ns)
{
    kh_order_state *wanted = &o->states.of[KH_STATE_WANTED];
    const kh_order_state *before = wanted->height != 0 ? wanted : &o->states.of[KH_STATE_HELD];
    if (before->height != 0 && !passed(time_ns, before->time_ns, interval(o))) return;
    *wanted = (kh_order_state){.height = o->checkpoint, .time_ns = time_ns};
    memcpy(wanted->posted, o->checkpoint_posted, 32);
}

/* Two checkpoints that are held stand at or above whatever goes: a hub that goes back needs the one before. */
static void give_up(kh_order *o, uint64_t time_ns)
{
    kh_states *s = &o->states;
    uint64_t kept = retention(o);
    uint32_t n = 0;
    while (kept != 0 && n < s->past_cnt && passed(time_ns, s->past[n].time_ns, kept)) s->gone = s->past[n++].height;
    s->past_cnt -= n;
    memmove(s->past, s->past + n, s->past_cnt * sizeof s->past[0]);
}

kh_err kh_states_turn(kh_order *o, uint64_t time_ns, bool checkpoint_rose)
{
    held(o);
    if (checkpoint_rose) want(o, time_ns);
    give_up(o, time_ns);
    return kh_public_states(o);
}

/* ---- its public leaf ---- */

static void put_state(kh_writer *w, const kh_order_state *s)
{
    kh_put64(w, s->height);
    kh_put64(w, s->time_ns);
    kh_put(w, s->posted, 32);
    kh_put32(w, s->holder_cnt);
}

kh_err kh_public_states(kh_order *o)
{
    const kh_states *s = &o->states;
    uint8_t leaf[HEAD_SZ + 4 + 4 * KH_MEMBERS_MAX + KH_STATES_PAST * PAST_SZ];
    kh_writer w = {.p = leaf, .cap = sizeof leaf, .fixed = true};
    if (s->of[KH_STATE_WANTED].height == 0 && s->of[KH_STATE_HELD].height == 0) return KH_OK;
    kh_put64(&w, s->gone);
    for (uint32_t i = 0; i < KH_STATES; i++) put_state(&w, &s->of[i]);
    kh_put32(&w, s->past_cnt);
    for (uint32_t i = 0; i < s->of[KH_STATE_WANTED].holder_cnt; i++) kh_put32(&w, s->holders[i]);
    for (uint32_t i = 0; i < s->past_cnt; i++) kh_put64(&w, s->past[i].height), kh_put64(&w, s->past[i].time_ns);
    KH_ASSERT(!w.failed);
    return kh_tree_set(&o->tree, leaf_key, sizeof leaf_key, leaf, w.n);
}

bool kh_states_is_leaf(const uint8_t *key, uint8_t key_n) { return key_n == sizeof leaf_key && key[0] == leaf_key[0]; }

static bool take_state(kh_reader *r, const kh_order *o, kh_order_state *ret)
{
    ret->height = kh_take64(r);
    ret->time_ns = kh_take64(r);
    kh_take_copy(r, ret->posted, 32);
    ret->holder_cnt = kh_take32(r);
    if (ret->height == 0) return ret->time_ns == 0 && ret->holder_cnt == 0 && kh_all_zero(ret->posted, 32);
    return ret->height >= o->initial_height && ret->height <= o->checkpoint && ret->time_ns <= o->entries_time_ns &&
           ret->holder_cnt <= KH_MEMBERS_MAX;
}

static bool in_order(const kh_states *s)
{
    uint64_t above = UINT64_MAX; /* newest first; one that is not there lets the next stand anywhere below */
    for (uint32_t i = 0; i < KH_STATES; i++) {
        if (s->of[i].height >= above) return false;
        if (s->of[i].height != 0) above = s->of[i].height;
    }
    uint64_t least = s->gone;
    for (uint32_t i = 0; i < s->past_cnt; i++) {
        if (s->past[i].height <= least) return false;
        least = s->past[i].height;
    }
    return least <= s->of[KH_STATE_HELD_BEFORE].height;
}

bool kh_states_take(kh_order *o, const uint8_t *value, size_t value_n)
{
    kh_states *s = &o->states;
    kh_reader r = {value, value_n, false};
    s->gone = kh_take64(&r);
    for (uint32_t i = 0; i < KH_STATES; i++)
        if (!take_state(&r, o, &s->of[i])) return false;
    s->past_cnt = kh_take32(&r);
    if (r.bad || s->past_cnt > KH_STATES_PAST) return false;
    for (uint32_t i = 0; i < s->of[KH_STATE_WANTED].holder_cnt; i++) {
        s->holders[i] = kh_take32(&r);
        if (!may_hold(o, s->holders[i]) || (i > 0 && s->holders[i] <= s->holders[i - 1])) return false;
    }
    for (uint32_t i = 0; i < s->past_cnt; i++) s->past[i].height = kh_take64(&r), s->past[i].time_ns = kh_take64(&r);
    return !r.bad && r.left == 0 && in_order(s);
}

/* ---- looking ---- */

void kh_order_states(const kh_order *o, kh_order_state ret[KH_STATES]) { memcpy(ret, o->states.of, sizeof o->states.of); }

uint64_t kh_order_states_interval(const kh_order *o) { return interval(o); }

uint64_t kh_order_bodies_gone(const kh_order *o) { return o->states.gone; }
