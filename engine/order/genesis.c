/* genesis: what a chain begins with, to its canonical bytes and back. */
#include <stdlib.h>
#include "order/inside.h"

/* The second is of a genesis that says what banks' views begin with. */
static const uint8_t magic[2][4] = {{'K', 'H', 'G', '1'}, {'K', 'H', 'G', '2'}}, none[32];

static bool chain_id_sound(const char *id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0x21 || id[i] > 0x7e) return false;
    return n >= 1 && n <= 50;
}

static bool officers_sound(const kh_genesis *g)
{
    if (g->officer_k == 0 || g->officer_k > g->officer_cnt || g->officer_cnt > KH_OFFICERS_MAX) return false;
    for (uint32_t i = 0; i < g->officer_cnt; i++) {
        if (!kh_public_sound(g->suite, false, g->officers[i])) return false;
        for (uint32_t k = 0; k < i; k++)
            if (memcmp(g->officers[i], g->officers[k], KH_PUBLIC_SZ) == 0) return false;
    }
    return true;
}

static bool members_sound(const kh_genesis *g)
{
    uint32_t validators = 0;
    if (g->member_cnt == 0 || g->member_cnt > KH_MEMBERS_MAX) return false;
    for (uint32_t i = 0; i < g->member_cnt; i++) {
        const kh_member *m = &g->members[i];
        if (!kh_member_sound(g->suite, m) || (i > 0 && m->id <= m[-1].id)) return false;
        for (uint32_t k = 0; k < i; k++)
            if (kh_members_clash(m, &g->members[k])) return false;
        if ((m->flags & KH_MEMBER_VALIDATOR) != 0) {
            if ((m->flags & KH_MEMBER_EXPELLED) != 0) return false;
            validators++;
        }
    }
    return validators > 0;
}

static bool leaves_sound(const kh_genesis *g)
{
    if (g->public_cnt > UINT16_MAX) return false;
    for (uint32_t i = 0; i < g->public_cnt; i++) {
        const kh_public_leaf *l = &g->publics[i];
        if (l->key_n > sizeof l->key || !kh_public_key_sound(l->key, l->key_n, l->value, l->value_n)) return false;
        if (i > 0 && kh_keys_compare(l[-1].key, l[-1].key_n, l->key, l->key_n) >= 0) return false;
    }
    return true;
}

static bool is_said(const uint8_t digest[32]) { return memcmp(digest, none, sizeof none) != 0; }

bool kh_genesis_opens(const kh_genesis *g) { return is_said(g->opening); }

static bool sound(const kh_genesis *g)
{
    if (kh_genesis_opens(g) && !is_said(g->checkpoint)) return false; /* it is of that state */
    return kh_suite_word(g->suite) != NULL && g->initial_height >= 1 && g->initial_height <= INT64_MAX &&
           g->time_ns <= INT64_MAX && kh_public_sound(g->suite, true, g->group) && officers_sound(g) && members_sound(g) &&
           leaves_sound(g);
}

kh_err kh_genesis_encode(const kh_genesis *g, uint8_t **ret, size_t *ret_n)
{
    size_t id_n = strnlen(g->chain_id, sizeof g->chain_id);
    if (!chain_id_sound(g->chain_id, id_n) || !sound(g)) return KH_E_ARG;
    kh_writer w = {0};
    bool opens = kh_genesis_opens(g);
    kh_put(&w, magic[opens], sizeof magic[0]);
    kh_put8(&w, (uint8_t)g->suite);
    kh_put8(&w, g->hubs_speak);
    kh_put16(&w, 0);
    kh_put8(&w, (uint8_t)id_n);
    kh_put(&w, g->chain_id, id_n);
    kh_put64(&w, g->initial_height);
    kh_put64(&w, g->time_ns);
    kh_put(&w, g->group, KH_PUBLIC_SZ);
    kh_put(&w, g->checkpoint, 32);
    if (opens) kh_put(&w, g->opening, 32);
    kh_put16(&w, (uint16_t)g->officer_k);
    kh_put16(&w, (uint16_t)g->officer_cnt);
    kh_put(&w, g->officers, (size_t)g->officer_cnt * KH_PUBLIC_SZ);
    kh_put16(&w, (uint16_t)g->member_cnt);
    for (uint32_t i = 0; i < g->member_cnt; i++) kh_member_write(&w, &g->members[i]);
    kh_put16(&w, (uint16_t)g->public_cnt);
    for (uint32_t i = 0; i < g->public_cnt; i++) {
        kh_put8(&w, g->publics[i].key_n);
        kh_put16(&w, g->publics[i].value_n);
        kh_put(&w, g->publics[i].key, g->publics[i].key_n);
        kh_put(&w, g->publics[i].value, g->publics[i].value_n);
    }
    if (w.failed) {
        free(w.p);
        return KH_E_NOMEM;
    }
    *ret = w.p;
    *ret_n = w.n;
    return KH_OK;
}

static kh_err read_members(kh_reader *r, kh_genesis *g)
{
    g->member_cnt = kh_take16(r);
    if (r->bad || g->member_cnt > KH_MEMBERS_MAX) return KH_E_FORMAT;
    g->members = calloc(g->member_cnt > 0 ? g->member_cnt : 1, sizeof *g->members);
    if (g->members == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < g->member_cnt; i++)
        if (!kh_member_read(r, &g->members[i])) return KH_E_FORMAT;
    return KH_OK;
}

/* Leaves, with a copy of their values behind them in one piece of memory. */
static kh_err read_leaves(kh_reader *r, kh_genesis *g)
{
    g->public_cnt = kh_take16(r);
    size_t values = r->left, head = (size_t)g->public_cnt * sizeof(kh_public_leaf);
    if (r->bad || r->left < (size_t)g->public_cnt * 3) return KH_E_FORMAT;
    g->publics = calloc(1, head + values + 1);
    if (g->publics == NULL) return KH_E_NOMEM;
    uint8_t *value = (uint8_t *)g->publics + head;
    for (uint32_t i = 0; i < g->public_cnt; i++) {
        kh_public_leaf *l = &g->publics[i];
        l->key_n = kh_take8(r);
        l->value_n = kh_take16(r);
        l->value = value;
        if (l->key_n > sizeof l->key) return KH_E_FORMAT;
        kh_take_copy(r, l->key, l->key_n);
        if (r->bad || r->left < l->value_n) return KH_E_FORMAT;
        kh_take_copy(r, value, l->value_n);
        value += l->value_n;
    }
    return r->bad || r->left != 0 ? KH_E_FORMAT : KH_OK;
}

static kh_err read_all(kh_reader *r, kh_genesis *g)
{
    const uint8_t *head = kh_take(r, 8);
    bool opens = head != NULL && memcmp(head, magic[1], 4) == 0;
    if (head == NULL || memcmp(head, magic[opens], 4) != 0 || head[5] > 1 || head[6] != 0 || head[7] != 0) return KH_E_FORMAT;
    g->suite = (kh_suite)head[4];
    g->hubs_speak = head[5] != 0;
    uint8_t id_n = kh_take8(r);
    if (id_n >= sizeof g->chain_id) return KH_E_FORMAT;
    kh_take_copy(r, g->chain_id, id_n);
    if (!chain_id_sound(g->chain_id, id_n)) return KH_E_FORMAT;
    g->initial_height = kh_take64(r);
    g->time_ns = kh_take64(r);
    kh_take_copy(r, g->group, KH_PUBLIC_SZ);
    kh_take_copy(r, g->checkpoint, 32);
    if (opens) kh_take_copy(r, g->opening, 32);
    if (opens && !kh_genesis_opens(g)) return KH_E_FORMAT; /* one form alone */
    g->officer_k = kh_take16(r);
    g->officer_cnt = kh_take16(r);
    if (r->bad || g->officer_cnt > KH_OFFICERS_MAX) return KH_E_FORMAT;
    kh_take_copy(r, g->officers, (size_t)g->officer_cnt * KH_PUBLIC_SZ);
    kh_err err = read_members(r, g);
    if (err == KH_OK) err = read_leaves(r, g);
    if (err == KH_OK && !sound(g)) err = KH_E_FORMAT;
    return err;
}

kh_err kh_genesis_decode(const uint8_t *p, size_t n, kh_genesis *ret)
{
    kh_genesis g = {.member_cnt = 0};
    kh_reader r = {p, n, false};
    kh_err err = read_all(&r, &g);
    if (err != KH_OK) kh_genesis_free(&g);
    else *ret = g;
    return err;
}

void kh_genesis_free(kh_genesis *genesis)
{
    free(genesis->members);
    free(genesis->publics);
    genesis->members = NULL;
    genesis->publics = NULL;
    genesis->member_cnt = genesis->public_cnt = 0;
}
