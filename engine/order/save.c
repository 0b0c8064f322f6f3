/* save: the whole state to bytes and back. Canonical: what is loaded is written again and must give the same bytes; its public
 * root must give the app hash that it claims, and every field is under that root or follows from what is, but for the height and
 * the time of blocks without transactions behind it (docs/CLUSTER.md has the bytes). */
#include <stdlib.h>
#include "order/inside.h"

static const uint8_t magic[4] = {'K', 'H', 'O', '5'};
#define LEAF_MIN_SZ 3u

/* ---- out ---- */

static void put_head(kh_writer *w, const kh_order *o)
{
    kh_put(w, magic, sizeof magic);
    kh_put(w, o->chain, 32);
    kh_put64(w, o->height);
    kh_put64(w, o->time_ns);
    kh_put(w, o->app_hash, 32);
    kh_put(w, o->previous, 32);
    kh_put(w, o->entries_root, 32);
    kh_put64(w, o->entries_height);
    kh_put64(w, o->entries_time_ns);
    kh_put64(w, o->validators_changed);
}

static void put_members(kh_writer *w, const kh_order *o)
{
    kh_put16(w, (uint16_t)o->seat_cnt);
    for (uint32_t i = 0; i < o->seat_cnt; i++) {
        kh_member_write(w, &o->seats[i].member);
        kh_put32(w, o->seats[i].incarnation);
        kh_put64(w, o->seats[i].next);
    }
    kh_put32(w, o->now.set_id);
    kh_put16(w, (uint16_t)o->before.cnt);
    kh_put64(w, o->before.until_ns);
    for (uint32_t i = 0; i < o->before.cnt; i++) {
        kh_put32(w, o->before.ids[i]);
        kh_put(w, o->before.ack[i], KH_PUBLIC_SZ);
        kh_put(w, o->before.consensus[i], 32);
    }
    kh_put32(w, o->hubs.epoch);
    kh_put32(w, o->hubs.before);
    kh_put64(w, o->hubs.before_until);
    kh_put(w, o->hubs.group, KH_PUBLIC_SZ);
    kh_put16(w, (uint16_t)o->hubs.cnt);
    for (uint32_t i = 0; i < o->hubs.cnt; i++) kh_put32(w, o->hubs.ids[i]);
    kh_put16(w, (uint16_t)o->officer_k);
    kh_put16(w, (uint16_t)o->officer_cnt);
    kh_put(w, o->officers, (size_t)o->officer_cnt * KH_PUBLIC_SZ);
    kh_put64(w, o->change_number);
    kh_put64(w, o->attested);
    kh_put(w, o->posted, 32);
    kh_put64(w, o->checkpoint);
    kh_put(w, o->checkpoint_posted, 32);
}

/* Leaves that no other part of the saved order says. */
static bool is_said_here(const struct kh_tree_leaf *l)
{
    return l->key[0] == 'r' || l->key[0] == 'x' || kh_version_is_leaf(l->key, l->key_n) || kh_states_is_leaf(l->key, l->key_n);
}

static void put_leaves(kh_writer *w, const kh_order *o)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < o->tree.cnt; i++) cnt += is_said_here(&o->tree.leaves[i]);
    kh_put32(w, cnt);
    for (uint32_t i = 0; i < o->tree.cnt; i++) {
        const struct kh_tree_leaf *l = &o->tree.leaves[i];
        if (!is_said_here(l)) continue;
        kh_put8(w, l->key_n);
        kh_put16(w, l->value_n);
        kh_put(w, l->key, l->key_n);
        kh_put(w, l->value, l->value_n);
    }
}

static void put_past(kh_writer *w, const kh_past *past, uint32_t cnt)
{
    kh_put(w, past->base, 32);
    kh_put32(w, cnt);
}

static void put_history(kh_writer *w, const kh_order *o)
{
    uint8_t bytes[KH_WORD_SZ]; /* the longest */
    put_past(w, &o->apps_past, o->app_cnt);
    for (uint32_t i = 0; i < o->app_cnt; i++) kh_app_bytes(&o->apps[i], bytes), kh_put(w, bytes, KH_APP_SZ);
    put_past(w, &o->words_past, o->word_cnt);
    for (uint32_t i = 0; i < o->word_cnt; i++) kh_word_bytes(&o->words[i], bytes), kh_put(w, bytes, KH_WORD_SZ);
    put_past(w, &o->unattested_past, o->unattested_cnt);
    for (uint32_t i = 0; i < o->unattested_cnt; i++)
        kh_unattested_bytes(&o->unattested[i], bytes), kh_put(w, bytes, KH_UNATTESTED_SZ);
    put_past(w, &o->losses_past, o->loss_cnt);
    for (uint32_t i = 0; i < o->loss_cnt; i++) kh_loss_bytes(&o->losses[i], bytes), kh_put(w, bytes, KH_LOSS_SZ);
}

kh_err kh_order_save(const kh_order *o, uint8_t **ret, size_t *ret_n)
{
    kh_writer w = {0};
    if (o->broken) return KH_E_CLOSED;
    put_head(&w, o);
    put_members(&w, o);
    put_leaves(&w, o);
    put_history(&w, o);
    if (w.failed) {
        free(w.p);
        return KH_E_NOMEM;
    }
    *ret = w.p;
    *ret_n = w.n;
    return KH_OK;
}

/* ---- in ---- */

static bool head_sound(const kh_order *o)
{
    if (o->height + 1 < o->initial_height || o->height >= INT64_MAX || o->validators_changed > o->height) return false;
    if (o->entries_height > o->height || o->entries_time_ns > o->time_ns) return false;
    if (o->entries_height == o->height && o->entries_time_ns != o->time_ns) return false;
    return o->entries_height != 0 || (kh_all_zero(o->previous, 32) && kh_all_zero(o->entries_root, 32));
}

static bool take_head(kh_reader *r, kh_order *o)
{
    const uint8_t *p = kh_take(r, 36);
    if (p == NULL || memcmp(p, magic, 4) != 0 || memcmp(p + 4, o->chain, 32) != 0) return false;
    o->height = kh_take64(r);
    o->time_ns = kh_take64(r);
    kh_take_copy(r, o->app_hash, 32);
    kh_take_copy(r, o->previous, 32);
    kh_take_copy(r, o->entries_root, 32);
    o->entries_height = kh_take64(r);
    o->entries_time_ns = kh_take64(r);
    o->validators_changed = kh_take64(r);
    return !r->bad && head_sound(o);
}

static bool take_seats(kh_reader *r, kh_order *o)
{
    uint32_t cnt = kh_take16(r);
    if (cnt == 0 || cnt > KH_MEMBERS_MAX) return false;
    for (uint32_t i = 0; i < cnt; i++) {
        kh_seat *s = &o->seats[i];
        if (!kh_member_read(r, &s->member)) return false;
        s->incarnation = kh_take32(r);
        s->next = kh_take64(r);
        if (r->bad || !kh_member_sound(o->suite, &s->member) || (i > 0 && s->member.id <= s[-1].member.id)) return false;
        if (kh_seat_sends(s) ? s->incarnation == 0 || s->next == 0 : s->incarnation != 0 || s->next != 0) return false;
    }
    o->seat_cnt = cnt;
    return true;
}

static bool take_sets(kh_reader *r, kh_order *o)
{
    kh_voters_make(o);
    o->now.set_id = kh_take32(r);
    o->before.cnt = kh_take16(r);
    o->before.until_ns = kh_take64(r);
    if (r->bad || o->now.cnt == 0 || o->now.set_id == 0 || o->before.cnt > KH_MEMBERS_MAX) return false;
    if ((o->before.cnt == 0) != (o->now.set_id == 1) || (o->before.cnt == 0 && o->before.until_ns != 0)) return false;
    o->before.set_id = o->now.set_id - 1;
    for (uint32_t i = 0; i < o->before.cnt; i++) {
        o->before.ids[i] = kh_take32(r);
        kh_take_copy(r, o->before.ack[i], KH_PUBLIC_SZ);
        kh_take_copy(r, o->before.consensus[i], 32);
    }
    o->hubs.epoch = kh_take32(r);
    o->hubs.before = kh_take32(r);
    o->hubs.before_until = kh_take64(r);
    kh_take_copy(r, o->hubs.group, KH_PUBLIC_SZ);
    o->hubs.cnt = kh_take16(r);
    if (r->bad || o->hubs.epoch == 0 || o->hubs.cnt > KH_MEMBERS_MAX) return false;
    for (uint32_t i = 0; i < o->hubs.cnt; i++) o->hubs.ids[i] = kh_take32(r);
    kh_hubs_make(o, false);
    o->officer_k = kh_take16(r);
    o->officer_cnt = kh_take16(r);
    if (r->bad || o->officer_cnt > KH_OFFICERS_MAX || o->officer_k == 0 || o->officer_k > o->officer_cnt) return false;
    kh_take_copy(r, o->officers, (size_t)o->officer_cnt * KH_PUBLIC_SZ);
    o->change_number = kh_take64(r);
    o->attested = kh_take64(r);
    kh_take_copy(r, o->posted, 32);
    o->checkpoint = kh_take64(r);
    kh_take_copy(r, o->checkpoint_posted, 32);
    if (o->checkpoint == 0 && !kh_all_zero(o->checkpoint_posted, 32)) return false;
    return !r->bad && o->attested <= o->height && o->checkpoint <= o->height;
}

static bool leaf_sound(kh_order *o, const uint8_t *key, uint8_t key_n, const uint8_t *value, uint16_t value_n)
{
    if (kh_version_is_leaf(key, key_n)) return kh_version_take(o, value, value_n);
    if (kh_states_is_leaf(key, key_n)) return kh_states_take(o, value, value_n);
    return kh_public_key_sound(key, key_n, value, value_n);
}

static kh_err take_leaves(kh_reader *r, kh_order *o)
{
    uint32_t cnt = kh_take32(r);
    if (r->bad || cnt > KH_PUBLIC_MAX || r->left / LEAF_MIN_SZ < cnt) return KH_E_FORMAT;
    const uint8_t *before = NULL;
    uint8_t before_n = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t key_n = kh_take8(r);
        uint16_t value_n = kh_take16(r);
        const uint8_t *key = kh_take(r, key_n), *value = kh_take(r, value_n);
        if (key == NULL || value == NULL || key_n > KH_PUBLIC_KEY_MAX) return KH_E_FORMAT;
        if (!leaf_sound(o, key, key_n, value, value_n)) return KH_E_FORMAT;
        if (before != NULL && kh_keys_compare(before, before_n, key, key_n) >= 0) return KH_E_FORMAT; /* each goes to the end */
        before = key;
        before_n = key_n;
        kh_err err = kh_tree_set(&o->tree, key, key_n, value, value_n);
        if (err != KH_OK) return err == KH_E_FULL ? KH_E_FORMAT : err;
    }
    return KH_OK;
}

/* How many elements follow; more than max: bad. */
static uint32_t take_past(kh_reader *r, kh_past *past, uint32_t max, size_t size)
{
    kh_take_copy(r, past->base, 32);
    memcpy(past->head, past->base, 32);
    uint32_t cnt = kh_take32(r);
    if (cnt > max || r->left / size < cnt) r->bad = true;
    return r->bad ? 0 : cnt;
}

static bool take_apps(kh_reader *r, kh_order *o)
{
    uint32_t cnt = take_past(r, &o->apps_past, KH_APP_HASHES, KH_APP_SZ);
    for (uint32_t i = 0; i < cnt; i++) {
        o->apps[i].height = kh_take64(r);
        kh_take_copy(r, o->apps[i].app_hash, 32);
        if (i > 0 && o->apps[i].height <= o->apps[i - 1].height) return false;
    }
    o->app_cnt = cnt;
    return cnt > 0 && o->apps[cnt - 1].height == (o->entries_height != 0 ? o->entries_height : o->initial_height - 1) &&
           memcmp(o->apps[cnt - 1].app_hash, o->app_hash, 32) == 0;
}

static bool take_words(kh_reader *r, kh_order *o)
{
    uint32_t cnt = take_past(r, &o->words_past, KH_WORDS_MAX, KH_WORD_SZ);
    for (uint32_t i = 0; i < cnt; i++) {
        kh_word *w = &o->words[i];
        w->height = kh_take64(r);
        w->hub = kh_take32(r);
        w->flags = kh_take32(r);
        kh_take_copy(r, w->statement, 32);
        if ((w->flags & ~KH_WORD_CHECKPOINT) == 0 || w->flags > (KH_WORD_SAID | KH_WORD_LIED | KH_WORD_CHECKPOINT)) return false;
        if (w->height > o->height || (i > 0 && kh_word_compare(&w[-1], w) >= 0)) return false;
    }
    o->word_cnt = cnt;
    return !r->bad;
}

static kh_err take_unattested(kh_reader *r, kh_order *o)
{
    uint32_t cnt = take_past(r, &o->unattested_past, KH_UNATTESTED_MAX, KH_UNATTESTED_SZ);
    uint64_t height = o->attested + 1;
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t at = kh_take64(r);
        uint32_t gone = kh_take32(r);
        if (at < height || at > o->height || gone > 1) return KH_E_FORMAT;
        height = at;
        kh_err err = kh_unattested_add(o, at, kh_take(r, 32));
        if (err != KH_OK) return err;
        o->unattested[i].lost = gone == 1;
    }
    return r->bad ? KH_E_FORMAT : KH_OK;
}

static kh_err take_losses(kh_reader *r, kh_order *o)
{
    uint32_t cnt = take_past(r, &o->losses_past, KH_LOSSES_MAX, KH_LOSS_SZ);
    uint64_t least = o->initial_height;
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t height = kh_take64(r), until = kh_take64(r);
        if (height < o->initial_height || height > until || until < least || until > o->height) return KH_E_FORMAT;
        least = until;
        kh_err err = kh_losses_add(o, height, until);
        if (err != KH_OK) return err;
    }
    return r->bad || r->left != 0 ? KH_E_FORMAT : KH_OK;
}

static kh_err hash_fits(kh_order *o)
{
    uint8_t root[32], hash[32];
    kh_past_loaded(o);
    kh_err err = kh_public_all(o);
    if (err != KH_OK) return err;
    kh_tree_root(&o->tree, root);
    if (o->entries_height == 0) kh_app_genesis(o, root, hash);
    else kh_app_next(o->previous, o->entries_height, o->entries_root, root, hash);
    return memcmp(hash, o->app_hash, 32) == 0 ? KH_OK : KH_E_FORMAT;
}

static kh_err same_again(const kh_order *o, const uint8_t *p, size_t n)
{
    uint8_t *again;
    size_t again_n;
    kh_err err = kh_order_save(o, &again, &again_n);
    if (err != KH_OK) return err;
    if (again_n != n || memcmp(again, p, n) != 0) err = KH_E_FORMAT;
    free(again);
    return err;
}

static kh_err load(kh_order *o, const uint8_t *p, size_t n)
{
    kh_reader r = {p, n, false};
    if (!take_head(&r, o) || !take_seats(&r, o) || !take_sets(&r, o)) return KH_E_FORMAT;
    kh_err err = take_leaves(&r, o);
    if (err == KH_OK && (!take_apps(&r, o) || !take_words(&r, o))) err = KH_E_FORMAT;
    if (err == KH_OK) err = take_unattested(&r, o);
    if (err == KH_OK) err = take_losses(&r, o);
    if (err == KH_OK) err = hash_fits(o);
    return err == KH_OK ? same_again(o, p, n) : err;
}

kh_err kh_order_load(const uint8_t *genesis_bytes, size_t genesis_n, const uint8_t *p, size_t n, kh_order **ret)
{
    kh_genesis g;
    kh_order *o;
    if (n > KH_ORDER_SAVED_MAX_SZ) return KH_E_FORMAT;
    if (n >= 4 && memcmp(p, magic, 3) == 0 && p[3] != magic[3]) return KH_E_VERSION;
    kh_err err = kh_order_blank(genesis_bytes, genesis_n, &g, &o);
    if (err != KH_OK) return err;
    kh_genesis_free(&g);
    err = load(o, p, n);
    if (err != KH_OK) kh_order_free(o);
    else *ret = o;
    return err;
}

kh_err kh_order_load_given(const uint8_t *genesis_bytes, size_t genesis_n, const uint8_t *p, size_t n, uint64_t height,
                           const uint8_t app_hash[32], kh_order **ret)
{
    enum { HEIGHT_AT = 36, HASH_AT = 52, ENTRIES_AT = 148, ENTRIES_END = 156 };
    if (n < ENTRIES_END || kh_load64(p + HEIGHT_AT) != height || kh_load64(p + ENTRIES_AT) != height ||
        memcmp(p + HASH_AT, app_hash, 32) != 0)
        return KH_E_FORMAT;
    return kh_order_load(genesis_bytes, genesis_n, p, n, ret);
}
