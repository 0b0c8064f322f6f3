/* states_source: whose state is fetched, and of whom. */
#include "cluster/states_parts.h"

/* How long a node waits for the state of the hub that is its own by its place, before it takes another's. */
#define PREFER_NS (30 * KH_NS_PER_S)

static bool may_give(const kh_states_peer *p, uint64_t now) { return p->up && now >= p->rests_until_ns; }

/* A state of this height that a peer has; maker 0: any. Lock held. */
static const kh_state_head *offered(kh_states *s, uint64_t now, uint64_t height, uint32_t maker)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++) {
        const kh_states_peer *p = &s->peers[i];
        for (uint32_t k = 0; k < p->head_cnt && may_give(p, now); k++) {
            const kh_state_head *h = &p->heads[k];
            if (h->height != height || !p->signed_well[k] || kh_states_is_refused(s, h->id)) continue;
            if (maker == 0 || h->maker == maker) return h;
        }
    }
    return NULL;
}

bool kh_source_choose(kh_states *s, uint64_t now, kh_state_head *ret)
{
    const kh_states_people *people = &s->people;
    const kh_state_head *h = NULL;
    (void)pthread_mutex_lock(&s->lock);
    if (people->place != UINT32_MAX && people->hub_cnt != 0)
        h = offered(s, now, s->fetch.height, people->hubs[people->place % people->hub_cnt].id);
    bool waits = people->place != UINT32_MAX && now - s->fetch.since_ns < PREFER_NS;
    if (h == NULL && !waits) h = offered(s, now, s->fetch.height, 0);
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
