/* order: the state's beginning and end, and what others may look at. */
#include <stdlib.h>
#include "order/inside.h"

static const char genesis_tag[] = "kanhe/genesis";

uint32_t kh_quorum_of(uint32_t validators) { return validators == 0 ? 0 : 2 * ((validators - 1) / 3) + 1; }

static uint32_t seat_place(const kh_order *o, uint32_t id)
{
    uint32_t low = 0, high = o->seat_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (o->seats[middle].member.id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

kh_seat *kh_seat_find(const kh_order *o, uint32_t id)
{
    uint32_t i = seat_place(o, id);
    return i < o->seat_cnt && o->seats[i].member.id == id ? &o->seats[i] : NULL;
}

kh_seat *kh_seat_add(kh_order *o, const kh_member *member)
{
    uint32_t i = seat_place(o, member->id);
    KH_ASSERT(o->seat_cnt < KH_MEMBERS_MAX);
    memmove(&o->seats[i + 1], &o->seats[i], (size_t)(o->seat_cnt - i) * sizeof *o->seats);
    o->seat_cnt++;
    o->seats[i] = (kh_seat){.member = *member};
    if (kh_seat_sends(&o->seats[i])) o->seats[i].incarnation = 1, o->seats[i].next = 1;
    return &o->seats[i];
}

void kh_voters_make(kh_order *o)
{
    kh_voters *v = &o->now;
    v->cnt = 0;
    for (uint32_t i = 0; i < o->seat_cnt; i++) {
        const kh_member *m = &o->seats[i].member;
        if ((m->flags & KH_MEMBER_VALIDATOR) == 0) continue;
        v->ids[v->cnt] = m->id;
        memcpy(v->ack[v->cnt], m->ack, KH_PUBLIC_SZ);
        memcpy(v->consensus[v->cnt], m->consensus, 32);
        v->cnt++;
    }
}

int kh_hub_place(const kh_order *o, uint32_t id)
{
    for (uint32_t i = 0; i < o->hubs.cnt; i++)
        if (o->hubs.ids[i] == id) return (int)i;
    return -1;
}

void kh_hubs_make(kh_order *o, bool joining)
{
    kh_hub_set *h = &o->hubs;
    uint32_t cnt = 0, ids[KH_MEMBERS_MAX];
    for (uint32_t i = 0; i < o->seat_cnt; i++) {
        const kh_member *m = &o->seats[i].member;
        if (!kh_member_attests(m) || (!joining && kh_hub_place(o, m->id) < 0)) continue;
        ids[cnt] = m->id;
        memcpy(h->attest[cnt++], m->attest, KH_PUBLIC_SZ); /* of a hub that stands here or further on: not looked at again */
    }
    memcpy(h->ids, ids, sizeof ids[0] * cnt);
    h->cnt = cnt;
}

/* ---- beginning and end ---- */

kh_err kh_order_blank(const uint8_t *genesis_bytes, size_t n, kh_genesis *ret_genesis, kh_order **ret)
{
    kh_genesis g;
    kh_err err = kh_genesis_decode(genesis_bytes, n, &g);
    if (err != KH_OK) return err;
    kh_order *o = calloc(1, sizeof *o);
    if (o != NULL) {
        o->seats = calloc(KH_MEMBERS_MAX, sizeof *o->seats);
        o->apps = calloc(KH_APP_HASHES, sizeof *o->apps);
        o->words = calloc(KH_WORDS_MAX, sizeof *o->words);
        o->seen = calloc(KH_SIGNATURES_SEEN, sizeof *o->seen);
    }
    if (o == NULL || o->seats == NULL || o->apps == NULL || o->words == NULL || o->seen == NULL) {
        kh_genesis_free(&g);
        kh_order_free(o);
        return KH_E_NOMEM;
    }
    kh_sha256_state sha;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, genesis_tag, sizeof genesis_tag);
    kh_sha256_update(&sha, genesis_bytes, n);
    kh_sha256_final(&sha, o->chain);
    o->suite = g.suite;
    o->initial_height = g.initial_height;
    o->version = (struct kh_version){.before = 1, .then = 1, .known = KH_ORDER_VERSION};
    *ret_genesis = g;
    *ret = o;
    return KH_OK;
}

static kh_err begin(kh_order *o, const kh_genesis *g)
{
    o->height = g->initial_height - 1;
    o->time_ns = o->entries_time_ns = g->time_ns;
    o->officer_k = g->officer_k;
    o->officer_cnt = g->officer_cnt;
    memcpy(o->officers, g->officers, sizeof o->officers);
    o->change_number = 1;
    for (uint32_t i = 0; i < g->member_cnt; i++) (void)kh_seat_add(o, &g->members[i]);
    o->now.set_id = 1;
    kh_voters_make(o);
    o->hubs.epoch = 1;
    memcpy(o->hubs.group, g->group, KH_PUBLIC_SZ);
    kh_hubs_make(o, true);
    kh_err err = kh_public_all(o);
    for (uint32_t i = 0; i < g->public_cnt && err == KH_OK; i++)
        err = kh_tree_set(&o->tree, g->publics[i].key, g->publics[i].key_n, g->publics[i].value, g->publics[i].value_n);
    if (err != KH_OK) return err;
    uint8_t root[32];
    kh_tree_root(&o->tree, root);
    kh_app_genesis(o, root, o->app_hash);
    kh_apps_add(o, o->height, o->app_hash);
    return KH_OK;
}

kh_err kh_order_new(const uint8_t *genesis_bytes, size_t n, kh_order **ret)
{
    kh_genesis g;
    kh_order *o;
    kh_err err = kh_order_blank(genesis_bytes, n, &g, &o);
    if (err != KH_OK) return err;
    err = begin(o, &g);
    kh_genesis_free(&g);
    if (err != KH_OK) kh_order_free(o);
    else *ret = o;
    return err;
}

void kh_order_free(kh_order *o)
{
    if (o == NULL) return;
    kh_tree_free(&o->tree);
    free(o->seats);
    free(o->apps);
    free(o->words);
    free(o->unattested);
    free(o->losses);
    free(o->seen);
    free(o->built.codes);
    free(o->built.digests);
    free(o->built.types);
    free(o->built.leaves);
    free(o->built.items);
    free(o->built.liars);
    free(o->built.ops.p);
    free(o);
}

/* ---- looking ---- */

void kh_order_chain(const kh_order *o, uint8_t ret[32]) { memcpy(ret, o->chain, 32); }
kh_suite kh_order_suite(const kh_order *o) { return o->suite; }
uint64_t kh_order_height(const kh_order *o) { return o->height; }
uint64_t kh_order_time(const kh_order *o) { return o->time_ns; }
void kh_order_app_hash(const kh_order *o, uint8_t ret[32]) { memcpy(ret, o->app_hash, 32); }
uint64_t kh_order_change_number(const kh_order *o) { return o->change_number; }

const kh_member *kh_order_member(const kh_order *o, uint32_t id)
{
    const kh_seat *seat = kh_seat_find(o, id);
    return seat != NULL ? &seat->member : NULL;
}

const kh_member *kh_order_member_at(const kh_order *o, uint32_t n) { return n < o->seat_cnt ? &o->seats[n].member : NULL; }

void kh_order_validator_set(const kh_order *o, kh_order_validators *ret)
{
    ret->set_id = o->now.set_id;
    ret->cnt = o->now.cnt;
    ret->quorum = kh_quorum_of(o->now.cnt);
    memcpy(ret->ids, o->now.ids, sizeof ret->ids);
}

void kh_order_hub_set(const kh_order *o, kh_order_hubs *ret)
{
    ret->epoch = o->hubs.epoch;
    ret->cnt = o->hubs.cnt;
    ret->quorum = o->hubs.cnt / 2 + 1;
    memcpy(ret->ids, o->hubs.ids, sizeof ret->ids);
    memcpy(ret->group, o->hubs.group, KH_PUBLIC_SZ);
    ret->epoch_before = o->height <= o->hubs.before_until ? o->hubs.before : 0;
}

bool kh_order_next(const kh_order *o, uint32_t sender, uint32_t *ret_incarnation, uint64_t *ret_sequence)
{
    const kh_seat *seat = kh_seat_find(o, sender);
    if (seat == NULL || !kh_seat_sends(seat)) return false;
    *ret_incarnation = seat->incarnation;
    *ret_sequence = seat->next;
    return true;
}

uint64_t kh_order_attested(const kh_order *o, uint8_t ret_posted[32])
{
    memcpy(ret_posted, o->posted, 32);
    return o->attested;
}

uint64_t kh_order_checkpoint(const kh_order *o, uint8_t ret_posted[32])
{
    memcpy(ret_posted, o->checkpoint_posted, 32);
    return o->checkpoint;
}
