/* public: which parts of the state are which public leaves. Numbers in keys are big-endian, so that leaves stand by rising id. */
#include <stdlib.h>
#include "order/inside.h"

static void key_of(char letter, uint32_t id, uint8_t ret[5])
{
    ret[0] = (uint8_t)letter;
    for (int i = 0; i < 4; i++) ret[1 + i] = (uint8_t)(id >> (24 - 8 * i));
}

static kh_err set(kh_order *o, const void *key, uint8_t key_n, kh_writer *w)
{
    kh_err err = w->failed ? KH_E_NOMEM : kh_tree_set(&o->tree, key, key_n, w->p, w->n);
    free(w->p);
    return err;
}

kh_err kh_public_attested(kh_order *o)
{
    kh_writer w = {0};
    kh_put64(&w, o->attested);
    kh_put(&w, o->posted, 32);
    return set(o, "a", 1, &w);
}

kh_err kh_public_checkpoint(kh_order *o)
{
    kh_writer w = {0};
    if (o->checkpoint == 0) return KH_OK;
    kh_put64(&w, o->checkpoint);
    kh_put(&w, o->checkpoint_posted, 32);
    return set(o, "k", 1, &w);
}

kh_err kh_public_change(kh_order *o)
{
    kh_writer w = {0};
    kh_put64(&w, o->change_number);
    return set(o, "c", 1, &w);
}

kh_err kh_public_hubs(kh_order *o)
{
    const kh_hub_set *h = &o->hubs;
    kh_writer w = {0};
    kh_put32(&w, h->epoch);
    kh_put16(&w, (uint16_t)h->cnt);
    kh_put16(&w, (uint16_t)(h->cnt / 2 + 1));
    kh_put(&w, h->group, KH_PUBLIC_SZ);
    kh_put32(&w, h->before);
    kh_put64(&w, h->before_until);
    for (uint32_t i = 0; i < h->cnt; i++) {
        kh_put32(&w, h->ids[i]);
        kh_put(&w, h->attest[i], KH_PUBLIC_SZ);
    }
    return set(o, "h", 1, &w);
}

kh_err kh_public_seat(kh_order *o, const kh_seat *seat)
{
    uint8_t key[5];
    kh_writer w = {0};
    key_of('m', seat->member.id, key);
    kh_member_write(&w, &seat->member);
    return set(o, key, sizeof key, &w);
}

kh_err kh_public_sender(kh_order *o, const kh_seat *seat)
{
    uint8_t key[5];
    kh_writer w = {0};
    if (!kh_seat_sends(seat)) return KH_OK;
    key_of('s', seat->member.id, key);
    kh_put32(&w, seat->incarnation);
    kh_put64(&w, seat->next);
    return set(o, key, sizeof key, &w);
}

kh_err kh_public_officers(kh_order *o)
{
    kh_writer w = {0};
    kh_put16(&w, (uint16_t)o->officer_k);
    kh_put16(&w, (uint16_t)o->officer_cnt);
    kh_put(&w, o->officers, (size_t)o->officer_cnt * KH_PUBLIC_SZ);
    return set(o, "o", 1, &w);
}

static void put_voters(kh_writer *w, const kh_voters *v)
{
    kh_put32(w, v->set_id);
    kh_put16(w, (uint16_t)v->cnt);
    kh_put16(w, (uint16_t)kh_quorum_of(v->cnt));
    for (uint32_t i = 0; i < v->cnt; i++) {
        kh_put32(w, v->ids[i]);
        kh_put(w, v->ack[i], KH_PUBLIC_SZ);
        kh_put(w, v->consensus[i], 32);
    }
}

kh_err kh_public_voters(kh_order *o)
{
    kh_writer w = {0};
    put_voters(&w, &o->now);
    kh_err err = set(o, "v", 1, &w);
    if (err != KH_OK || o->before.cnt == 0) return err;
    w = (kh_writer){0};
    kh_put64(&w, o->before.until_ns);
    put_voters(&w, &o->before);
    return set(o, "w", 1, &w);
}

kh_err kh_public_past(kh_order *o)
{
    const kh_past *const of[] = {&o->apps_past, &o->words_past, &o->unattested_past, &o->losses_past};
    kh_writer w = {0};
    kh_past_all(o);
    kh_put64(&w, o->entries_time_ns);
    kh_put64(&w, o->validators_changed);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        kh_put32(&w, of[i]->cnt);
        kh_put(&w, of[i]->head, 32);
    }
    return set(o, "b", 1, &w);
}

kh_err kh_public_all(kh_order *o)
{
    kh_err err = kh_public_attested(o);
    if (err == KH_OK) err = kh_public_past(o);
    if (err == KH_OK) err = kh_public_checkpoint(o);
    if (err == KH_OK) err = kh_public_change(o);
    if (err == KH_OK) err = kh_public_version(o);
    if (err == KH_OK) err = kh_public_states(o);
    if (err == KH_OK) err = kh_public_hubs(o);
    if (err == KH_OK) err = kh_public_officers(o);
    if (err == KH_OK) err = kh_public_voters(o);
    for (uint32_t i = 0; i < o->seat_cnt && err == KH_OK; i++) {
        err = kh_public_seat(o, &o->seats[i]);
        if (err == KH_OK) err = kh_public_sender(o, &o->seats[i]);
    }
    return err;
}

bool kh_order_public(kh_order *o, const void *key, uint8_t key_n, kh_public_leaf *ret, uint32_t *ret_index, uint32_t *ret_cnt,
                     uint8_t ret_path[KH_MERKLE_PATH_MAX][32], uint32_t *ret_path_n)
{
    uint8_t root[32];
    uint32_t index;
    const struct kh_tree_leaf *l = kh_tree_find(&o->tree, key, key_n, &index);
    if (l == NULL) return false;
    kh_tree_root(&o->tree, root);
    ret->key_n = l->key_n;
    ret->value_n = l->value_n;
    memcpy(ret->key, l->key, l->key_n);
    ret->value = l->value;
    *ret_index = index;
    *ret_cnt = o->tree.cnt;
    *ret_path_n = kh_tree_path(&o->tree, index, ret_path);
    return true;
}
