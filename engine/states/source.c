/* source: whose state is fetched, and of whom. */
#include "states/parts.h"

static bool may_give(const kh_states_peer *p, uint64_t now) { return p->up && now >= p->rests_until_ns; }

/* What is asked of a state that is chosen, the best first: where there is none such, the next. Of whom one was refused may sign
   as many as it likes: others come first. */
typedef enum terms { FITS_AND_COMES, FITS, SOUND, ANY, TERMS } terms;

bool kh_source_passed(const kh_states *s, const uint8_t id[32])
{
    for (uint32_t i = 0; i < s->fetch.passed_cnt; i++)
        if (memcmp(s->fetch.passed[i], id, 32) == 0) return true;
    return false;
}

static bool meets(const kh_states *s, const kh_state_head *h, terms t, uint64_t room)
{
    return (t > SOUND || !kh_states_lied(s, h->maker)) && (t > FITS || kh_state_file_sz(s, h) <= room) &&
           (t > FITS_AND_COMES || !kh_source_passed(s, h->id));
}

/* A state of the wanted height that a peer has; maker 0: any. Lock held. */
static const kh_state_head *offered(kh_states *s, uint64_t now, uint32_t maker, terms t, uint64_t room)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++) {
        const kh_states_peer *p = &s->peers[i];
        for (uint32_t k = 0; k < p->head_cnt && may_give(p, now); k++) {
            const kh_state_head *h = &p->heads[k];
            if (h->height != s->fetch.height || !p->signed_well[k] || kh_states_is_refused(s, h->id)) continue;
            if ((maker == 0 || h->maker == maker) && meets(s, h, t, room)) return h;
        }
    }
    return NULL;
}

bool kh_source_choose(kh_states *s, uint64_t now, kh_state_head *ret)
{
    const kh_states_people *people = &s->people;
    const kh_state_head *h = NULL;
    bool placed = people->place != UINT32_MAX && people->hub_cnt != 0;
    bool waits = placed && people->waits_height == s->fetch.height;
    uint32_t own = placed ? people->hubs[people->place % people->hub_cnt].id : 0;
    uint64_t room = kh_states_room(s);
    (void)pthread_mutex_lock(&s->lock);
    for (int t = FITS_AND_COMES; t < TERMS && h == NULL; t++) {
        if (placed) h = offered(s, now, own, (terms)t, room);
        if (h == NULL && !waits) h = offered(s, now, 0, (terms)t, room);
    }
    if (h != NULL) *ret = *h;
    (void)pthread_mutex_unlock(&s->lock);
    return h != NULL;
}

static bool has(const kh_states_peer *p, const uint8_t id[32])
{
    for (uint32_t k = 0; k < p->head_cnt; k++)
        if (p->signed_well[k] && memcmp(p->heads[k].id, id, 32) == 0) return true;
    return false;
}

static uint32_t asked_of(const kh_states *s, uint32_t peer)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < KH_STATES_AHEAD; i++) n += s->slots[i].stage == KH_SLOT_ASKED && s->slots[i].peer == peer;
    return n;
}

/* The one with the fewest questions of ours. */
uint32_t kh_source_peer(kh_states *s, uint64_t now, const uint8_t id[32])
{
    uint32_t best = 0, fewest = UINT32_MAX;
    (void)pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->peer_cnt; i++) {
        const kh_states_peer *p = &s->peers[i];
        if (!may_give(p, now) || !has(p, id)) continue;
        uint32_t n = asked_of(s, p->id);
        if (n >= fewest) continue;
        fewest = n;
        best = p->id;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return best;
}

void kh_source_rests(kh_states *s, uint32_t peer, uint64_t until_ns)
{
    (void)pthread_mutex_lock(&s->lock);
    kh_states_peer *p = kh_states_peer_of(s, peer);
    if (p != NULL) p->rests_until_ns = kh_max64(p->rests_until_ns, until_ns);
    (void)pthread_mutex_unlock(&s->lock);
}
