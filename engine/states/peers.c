/* peers: messages: what peers have, what they ask and are given, what they answer. */
#include <stdlib.h>
#include "states/parts.h"

#define BURST_SZ ((int64_t)(2 * KH_STATES_A_SECOND)) /* what a peer may ask for at once */
#define LEAST_SZ (INT64_C(64) << 10)                 /* of one answer */
enum { PIECE_HEAD_SZ = 36 };

/* ---- who there is ---- */

kh_states_peer *kh_states_peer_of(kh_states *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++)
        if (s->peers[i].id == id) return &s->peers[i];
    return NULL;
}

/* One that is away keeps its place, and what is known of it, until another needs the place. */
static kh_states_peer *peer_place(kh_states *s, uint32_t id)
{
    kh_states_peer *p = kh_states_peer_of(s, id);
    for (uint32_t i = 0; p == NULL && s->peer_cnt == KH_STATES_PEERS_MAX && i < s->peer_cnt; i++)
        if (!s->peers[i].up) p = &s->peers[i];
    if (p == NULL && s->peer_cnt < KH_STATES_PEERS_MAX) {
        p = &s->peers[s->peer_cnt++];
        p->id = 0;
    }
    if (p != NULL && p->id != id) *p = (kh_states_peer){.id = id, .left = BURST_SZ};
    return p;
}

static bool is_member(const kh_states_people *people, uint32_t id)
{
    for (uint32_t i = 0; i < people->member_cnt; i++)
        if (people->members[i] == id) return true;
    return false;
}

void kh_states_look(kh_states *s)
{
    s->options.look(s->options.ctx, &s->people);
    (void)pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->peer_cnt; i++) s->peers[i].up = false;
    for (uint32_t i = 0; i < s->people.peer_cnt; i++) {
        kh_states_peer *p = kh_states_peer_of(s, s->people.peers[i]);
        if (p != NULL) p->up = true;
    }
    for (uint32_t i = 0; i < s->people.peer_cnt; i++) {
        kh_states_peer *p = peer_place(s, s->people.peers[i]);
        if (p != NULL) p->up = true;
    }
    for (uint32_t i = 0; i < s->peer_cnt; i++) s->peers[i].member = is_member(&s->people, s->peers[i].id);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- what they have ---- */

void kh_states_ask(kh_states *s, uint64_t now)
{
    s->asked_ns = now;
    for (uint32_t i = 0; i < s->people.peer_cnt; i++) {
        (void)pthread_mutex_lock(&s->lock);
        kh_states_peer *p = kh_states_peer_of(s, s->people.peers[i]);
        if (p != NULL) p->asked = true;
        (void)pthread_mutex_unlock(&s->lock);
        if (p != NULL) s->options.send(s->options.ctx, s->people.peers[i], KH_MSG_STATES_WHICH, NULL, 0);
    }
}

/* Taken once a question. */
static void have(kh_states *s, kh_states_peer *peer, const uint8_t *p, size_t n)
{
    if (!peer->asked || n % KH_STATE_SIGNED_SZ != 0 || n / KH_STATE_SIGNED_SZ > KH_STATES_KEPT) return;
    peer->asked = false;
    peer->answered = peer->news = true;
    peer->head_cnt = 0;
    for (size_t at = 0; at < n; at += KH_STATE_SIGNED_SZ) {
        kh_state_head *h = &peer->heads[peer->head_cnt];
        if (kh_state_head_of(s, p + at, h)) peer->signed_well[peer->head_cnt++] = false;
    }
}

/* The same bytes were found good at another peer, or before. */
static bool known_good(const kh_states *s, const kh_state_head *h)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++)
        for (uint32_t k = 0; k < s->peers[i].head_cnt; k++)
            if (s->peers[i].signed_well[k] && memcmp(s->peers[i].heads[k].bytes, h->bytes, KH_STATE_SIGNED_SZ) == 0) return true;
    return false;
}

static const uint8_t *key_of(const kh_states *s, uint32_t maker)
{
    for (uint32_t i = 0; i < s->people.hub_cnt; i++)
        if (s->people.hubs[i].id == maker) return s->people.hubs[i].attest;
    return NULL;
}

/* One peer's; the lock is not held while signatures are looked at, so its news may be others by then. */
static void judge(kh_states *s, uint32_t place)
{
    kh_state_head heads[KH_STATES_KEPT];
    bool good[KH_STATES_KEPT];
    (void)pthread_mutex_lock(&s->lock);
    kh_states_peer *p = &s->peers[place];
    uint32_t cnt = p->news ? p->head_cnt : 0, id = p->id;
    p->news = false;
    for (uint32_t i = 0; i < cnt; i++) {
        heads[i] = p->heads[i];
        good[i] = known_good(s, &heads[i]);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (cnt == 0) return;
    for (uint32_t i = 0; i < cnt; i++) { /* of who is a hub now */
        const uint8_t *key = key_of(s, heads[i].maker);
        good[i] = key != NULL && (good[i] || kh_state_head_signed(s, &heads[i], key));
    }
    (void)pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < cnt && p->id == id && !p->news && p->head_cnt == cnt; i++)
        p->signed_well[i] = good[i] && memcmp(p->heads[i].bytes, heads[i].bytes, KH_STATE_SIGNED_SZ) == 0;
    (void)pthread_mutex_unlock(&s->lock);
}

void kh_states_judge(kh_states *s)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++) judge(s, i); /* places change in this thread alone */
}

/* The newest that one peer has, among those of the others. */
typedef struct claims {
    uint64_t first, second;
} claims;

static void claim(claims *c, uint64_t height)
{
    if (height > c->first) c->second = c->first, c->first = height;
    else c->second = kh_max64(c->second, height);
}

static uint64_t believed(const claims *c) { return c->second != 0 ? c->second : c->first; }

uint64_t kh_states_of_peers(kh_states *s, uint32_t *ret_answers)
{
    claims any = {0, 0}, good = {0, 0};
    uint32_t answers = 0;
    (void)pthread_mutex_lock(&s->lock);
    s->asks = true;
    for (uint32_t i = 0; i < s->peer_cnt; i++) {
        const kh_states_peer *p = &s->peers[i];
        uint64_t said = 0, was_signed = 0;
        answers += p->answered;
        for (uint32_t k = 0; k < p->head_cnt; k++) {
            if (kh_states_is_refused(s, p->heads[k].id)) continue;
            said = kh_max64(said, p->heads[k].height);
            if (p->signed_well[k]) was_signed = kh_max64(was_signed, p->heads[k].height);
        }
        claim(&any, said);
        claim(&good, was_signed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (ret_answers != NULL) *ret_answers = answers;
    return good.first != 0 ? believed(&good) : believed(&any);
}

/* ---- what they ask ---- */

static void question(kh_states_peer *peer, const uint8_t *p, size_t n)
{
    if (n != PIECE_HEAD_SZ) return;
    if (peer->question_cnt == KH_STATES_AHEAD) { /* who asks for more than it may goes without its oldest */
        memmove(peer->questions, peer->questions + 1, sizeof peer->questions - sizeof peer->questions[0]);
        peer->question_cnt--;
    }
    memcpy(peer->questions[peer->question_cnt].id, p, 32);
    peer->questions[peer->question_cnt++].piece = kh_load32(p + 32);
}

static void budget(kh_states_peer *peer, uint64_t now)
{
    uint64_t passed_ms = (now - peer->left_at_ns) / 1000000;
    if (passed_ms > 1000 * (uint64_t)BURST_SZ / KH_STATES_A_SECOND) {
        peer->left = BURST_SZ;
        peer->left_at_ns = now;
        return;
    }
    peer->left += (int64_t)passed_ms * (int64_t)(KH_STATES_A_SECOND / 1000);
    if (peer->left > BURST_SZ) peer->left = BURST_SZ;
    peer->left_at_ns += passed_ms * 1000000;
}

/* Of one peer: a question that is answered now, taken off. */
typedef struct answering {
    uint8_t type, id[32];
    uint32_t to, piece;
    kh_state_head head; /* of what is asked for */
    bool held;
    uint8_t heads[KH_STATES_KEPT * KH_STATE_SIGNED_SZ];
    size_t heads_n;
} answering;

/* Newest first. */
static size_t write_heads(const kh_states *s, uint8_t *ret)
{
    size_t n = 0;
    uint64_t below = UINT64_MAX;
    while (n < KH_STATES_KEPT * KH_STATE_SIGNED_SZ) {
        const kh_state_head *newest = NULL;
        for (uint32_t i = 0; i < s->held_cnt; i++)
            if (s->held[i].height < below && (newest == NULL || s->held[i].height > newest->height)) newest = &s->held[i];
        if (newest == NULL) break;
        memcpy(ret + n, newest->bytes, KH_STATE_SIGNED_SZ);
        n += KH_STATE_SIGNED_SZ;
        below = newest->height;
    }
    return n;
}

static bool take_question(kh_states *s, kh_states_peer *peer, uint64_t now, answering *ret)
{
    if (!peer->up || !peer->member) {
        peer->which = peer->list = false;
        peer->question_cnt = 0;
    }
    if (!peer->which && !peer->list && peer->question_cnt == 0) return false;
    budget(peer, now);
    if (peer->left <= 0) return false;
    ret->to = peer->id;
    if (peer->which) {
        peer->which = false;
        ret->type = KH_MSG_STATES_HAVE;
        ret->heads_n = write_heads(s, ret->heads);
    } else if (peer->list) {
        peer->list = false;
        ret->type = KH_MSG_LIST_GIVE;
        memcpy(ret->id, peer->list_id, 32);
    } else {
        ret->type = KH_MSG_PIECE_GIVE;
        memcpy(ret->id, peer->questions[0].id, 32);
        ret->piece = peer->questions[0].piece;
        memmove(peer->questions, peer->questions + 1, sizeof peer->questions - sizeof peer->questions[0]);
        peer->question_cnt--;
    }
    const kh_state_head *held = ret->type != KH_MSG_STATES_HAVE ? kh_states_held_id(s, ret->id) : NULL;
    if ((ret->held = held != NULL)) ret->head = *held;
    return true;
}

/* give_piece writes what a piece's answer has behind its head; 0: not had. */
static size_t give_piece(kh_states *s, const answering *a, uint8_t *p)
{
    kh_file *f = NULL;
    if (!a->held || a->piece >= a->head.pieces) return 0;
    kh_err err = kh_state_open_held(s, &a->head, &f);
    if (err == KH_OK) err = kh_state_read_piece(s, f, &a->head, NULL, a->piece, p);
    if (f != NULL) s->options.disk->close(s->options.disk->self, f);
    if (err == KH_E_DAMAGED) kh_states_lost(s, &a->head);
    return err == KH_OK ? kh_state_piece_sz(s, &a->head, a->piece) : 0;
}

static size_t give_list(kh_states *s, const answering *a, uint8_t (**ret)[32])
{
    kh_state_head h;
    kh_file *f = NULL;
    if (!a->held) return 0;
    (void)pthread_mutex_lock(&s->files);
    kh_err err = kh_state_open_file(s, a->head.height, ".state", &h, &f, ret);
    (void)pthread_mutex_unlock(&s->files);
    if (f != NULL) s->options.disk->close(s->options.disk->self, f);
    if (err == KH_E_DAMAGED) kh_states_lost(s, &a->head);
    return err == KH_OK && memcmp(h.id, a->id, 32) == 0 ? (size_t)h.pieces * 32 : 0;
}

/* Returns the bytes that went. */
static size_t answer(kh_states *s, const answering *a)
{
    uint8_t(*list)[32] = NULL;
    if (a->type == KH_MSG_STATES_HAVE) {
        s->options.send(s->options.ctx, a->to, a->type, a->heads, a->heads_n);
        return a->heads_n;
    }
    bool is_list = a->type == KH_MSG_LIST_GIVE;
    size_t n = is_list ? give_list(s, a, &list) : 0, head_n = is_list ? 32 : PIECE_HEAD_SZ;
    uint8_t *message = malloc(head_n + (is_list ? n : (size_t)s->piece_sz + s->over_sz));
    if (message != NULL) {
        memcpy(message, a->id, 32);
        if (is_list && n != 0) memcpy(message + 32, list, n);
        if (!is_list) {
            kh_store32(message + 32, a->piece);
            n = give_piece(s, a, message + PIECE_HEAD_SZ);
        }
        s->options.send(s->options.ctx, a->to, a->type, message, head_n + n);
    }
    free(message);
    free(list);
    return n;
}

/* Peers in turn, one answer each, so that nobody waits for another's whole state. */
void kh_states_give(kh_states *s, uint64_t now)
{
    bool more = true;
    for (uint32_t answers = 0; more && answers < KH_STATES_SOUGHT;) {
        more = false;
        for (uint32_t i = 0; i < s->peer_cnt; i++) {
            answering a = {.to = 0};
            (void)pthread_mutex_lock(&s->lock);
            bool has = take_question(s, &s->peers[i], now, &a);
            (void)pthread_mutex_unlock(&s->lock);
            if (!has) continue;
            int64_t n = (int64_t)answer(s, &a);
            (void)pthread_mutex_lock(&s->lock);
            s->peers[i].left -= n > LEAST_SZ ? n : LEAST_SZ;
            s->counts.pieces_given += a.type == KH_MSG_PIECE_GIVE && n != 0;
            (void)pthread_mutex_unlock(&s->lock);
            answers++;
            more = true;
        }
    }
}

/* ---- what they answer ---- */

/* Only what was asked of this peer is taken: so much memory do they get. */
static void given(kh_states_slot *slot, size_t head_n, size_t max, const uint8_t *p, size_t n)
{
    uint8_t *copy = NULL;
    bool fits = n - head_n <= max;
    if (n != head_n && fits) {
        if ((copy = malloc(n - head_n)) == NULL) return; /* asked again */
        memcpy(copy, p + head_n, n - head_n);
    }
    slot->bytes = copy;
    slot->n = fits ? n - head_n : max + 1; /* too large: false, and not held */
    slot->stage = KH_SLOT_CAME;
}

static void list_given(kh_states *s, uint32_t from, const uint8_t *p, size_t n)
{
    kh_states_slot *slot = &s->list;
    if (n < 32 || slot->stage != KH_SLOT_ASKED || slot->peer != from || memcmp(slot->id, p, 32) != 0) return;
    given(slot, 32, (size_t)slot->piece * 32, p, n);
}

static void piece_given(kh_states *s, uint32_t from, const uint8_t *p, size_t n)
{
    for (uint32_t i = 0; i < KH_STATES_AHEAD && n >= PIECE_HEAD_SZ; i++) {
        kh_states_slot *slot = &s->slots[i];
        if (slot->stage != KH_SLOT_ASKED || slot->peer != from || slot->piece != kh_load32(p + 32)) continue;
        if (memcmp(slot->id, p, 32) != 0) continue;
        given(slot, PIECE_HEAD_SZ, (size_t)s->piece_sz + s->over_sz, p, n);
        return;
    }
}

void kh_states_received(kh_states *s, uint32_t from, uint8_t type, const uint8_t *p, size_t n)
{
    (void)pthread_mutex_lock(&s->lock);
    kh_states_peer *peer = kh_states_peer_of(s, from);
    if (peer != NULL) {
        if (type == KH_MSG_STATES_WHICH) peer->which = true;
        else if (type == KH_MSG_STATES_HAVE) have(s, peer, p, n);
        else if (type == KH_MSG_LIST_WANT && n == 32) {
            peer->list = true;
            memcpy(peer->list_id, p, 32);
        } else if (type == KH_MSG_PIECE_WANT) question(peer, p, n);
        else if (type == KH_MSG_LIST_GIVE) list_given(s, from, p, n);
        else if (type == KH_MSG_PIECE_GIVE) piece_given(s, from, p, n);
    }
    (void)pthread_mutex_unlock(&s->lock);
}
