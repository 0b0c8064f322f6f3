/* past: what is remembered of blocks before and decides later results: app hashes, what hubs said, batches above the attested
 * height, losses; and a digest over each list, for the public root.
 *
 * A list's digest is a chain over its elements: H(digest up to it, element's bytes). What is forgotten at the front stays in it
 * as the digest that the rest begins with, so that appending and forgetting cost one hash each; with their number under the root
 * too, nobody finds other elements. A word that changes in the middle costs one for each behind it, once a block; most are at the
 * end. A batch that is called lost costs one for each that is there. */
#include "order/inside.h"

static void extend(uint8_t head[32], const uint8_t *element, size_t n)
{
    kh_sha256_state sha;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, head, 32);
    kh_sha256_update(&sha, element, n);
    kh_sha256_final(&sha, head);
}

/* ---- what this chain's hash was ---- */

void kh_app_bytes(const kh_app_at *app, uint8_t ret[KH_APP_SZ])
{
    kh_store64(ret, app->height);
    memcpy(ret + 8, app->app_hash, 32);
}

static void extend_app(uint8_t head[32], const kh_app_at *app)
{
    uint8_t bytes[KH_APP_SZ];
    kh_app_bytes(app, bytes);
    extend(head, bytes, sizeof bytes);
}

const uint8_t *kh_apps_find(const kh_order *o, uint64_t height)
{
    uint32_t low = 0, high = o->app_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (o->apps[middle].height <= height) low = middle + 1;
        else high = middle;
    }
    return low > 0 ? o->apps[low - 1].app_hash : NULL;
}

void kh_apps_turn(kh_order *o)
{
    kh_past *past = &o->apps_past;
    extend_app(past->head, &o->apps[o->app_cnt - 1]);
    if (o->app_cnt == KH_APP_HASHES) {
        extend_app(past->base, &o->apps[0]);
        memmove(o->apps, o->apps + 1, (size_t)--o->app_cnt * sizeof *o->apps);
    }
    past->cnt = o->app_cnt;
}

void kh_apps_add(kh_order *o, uint64_t height, const uint8_t app_hash[32])
{
    KH_ASSERT(o->app_cnt < KH_APP_HASHES);
    o->apps[o->app_cnt].height = height;
    memcpy(o->apps[o->app_cnt++].app_hash, app_hash, 32);
}

/* ---- what hubs said ---- */

void kh_word_bytes(const kh_word *w, uint8_t ret[KH_WORD_SZ])
{
    kh_store64(ret, w->height);
    kh_store32(ret + 8, w->hub);
    kh_store32(ret + 12, w->flags);
    memcpy(ret + 16, w->statement, 32);
}

static void extend_word(uint8_t head[32], const kh_word *w)
{
    uint8_t bytes[KH_WORD_SZ];
    kh_word_bytes(w, bytes);
    extend(head, bytes, sizeof bytes);
}

uint32_t kh_words_place(const kh_order *o, const kh_word *like)
{
    uint32_t low = 0, high = o->word_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (kh_word_compare(&o->words[middle], like) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void changed_from(kh_order *o, uint32_t i)
{
    if (i < o->words_known) o->words_known = i;
}

/* Where there is no room the lowest height goes, or this one where it is the lowest. */
void kh_words_remember(kh_order *o, const kh_word *word)
{
    uint32_t i = kh_words_place(o, word);
    if (o->word_cnt == KH_WORDS_MAX) {
        if (i == 0) return;
        extend_word(o->words_past.base, &o->words[0]);
        memmove(o->words, o->words + 1, (size_t)--o->word_cnt * sizeof *o->words);
        if (o->words_known > 0) o->words_known--;
        i--;
    }
    memmove(&o->words[i + 1], &o->words[i], (size_t)(o->word_cnt - i) * sizeof *o->words);
    o->words[i] = *word;
    o->word_cnt++;
    changed_from(o, i);
}

void kh_words_lied(kh_order *o, kh_word *word)
{
    word->flags |= KH_WORD_LIED;
    changed_from(o, (uint32_t)(word - o->words));
}

void kh_words_forget(kh_order *o, uint64_t height)
{
    const kh_word like = {.height = height};
    o->word_cnt = kh_words_place(o, &like);
    changed_from(o, o->word_cnt);
}

static void words_digest(kh_order *o)
{
    kh_past *past = &o->words_past;
    for (uint32_t i = o->words_known; i < o->word_cnt; i++) {
        memcpy(o->words[i].head, i > 0 ? o->words[i - 1].head : past->base, 32);
        extend_word(o->words[i].head, &o->words[i]);
    }
    o->words_known = past->cnt = o->word_cnt;
    memcpy(past->head, o->word_cnt > 0 ? o->words[o->word_cnt - 1].head : past->base, 32);
}

/* ---- batches whose execution no quorum has attested ---- */

void kh_unattested_bytes(const kh_unattested *u, uint8_t ret[KH_UNATTESTED_SZ])
{
    kh_store64(ret, u->height);
    kh_store32(ret + 8, u->lost);
    memcpy(ret + 12, u->digest, 32);
}

static void extend_unattested(uint8_t head[32], const kh_unattested *u)
{
    uint8_t bytes[KH_UNATTESTED_SZ];
    kh_unattested_bytes(u, bytes);
    extend(head, bytes, sizeof bytes);
}

kh_err kh_unattested_add(kh_order *o, uint64_t height, const uint8_t digest[32])
{
    KH_ASSERT(o->unattested_cnt < KH_UNATTESTED_MAX);
    void *grown = kh_grow(o->unattested, o->unattested_cnt, &o->unattested_cap, sizeof *o->unattested);
    if (grown == NULL) return KH_E_NOMEM;
    o->unattested = grown;
    kh_unattested *u = &o->unattested[o->unattested_cnt++];
    *u = (kh_unattested){.height = height};
    memcpy(u->digest, digest, 32);
    extend_unattested(o->unattested_past.head, u);
    return KH_OK;
}

void kh_unattested_prune(kh_order *o)
{
    uint32_t n = 0;
    for (; n < o->unattested_cnt && o->unattested[n].height <= o->attested; n++)
        extend_unattested(o->unattested_past.base, &o->unattested[n]);
    o->unattested_cnt -= n;
    if (n > 0) memmove(o->unattested, o->unattested + n, (size_t)o->unattested_cnt * sizeof *o->unattested);
}

static void unattested_digest(kh_order *o)
{
    kh_past *past = &o->unattested_past;
    past->cnt = o->unattested_cnt;
    if (o->unattested_known) return;
    o->unattested_known = true;
    memcpy(past->head, past->base, 32);
    for (uint32_t i = 0; i < o->unattested_cnt; i++) extend_unattested(past->head, &o->unattested[i]);
}

/* ---- bodies ordered lost ---- */

void kh_loss_bytes(const kh_loss *l, uint8_t ret[KH_LOSS_SZ])
{
    kh_store64(ret, l->height);
    kh_store64(ret + 8, l->until);
}

static void extend_loss(uint8_t head[32], const kh_loss *l)
{
    uint8_t bytes[KH_LOSS_SZ];
    kh_loss_bytes(l, bytes);
    extend(head, bytes, sizeof bytes);
}

kh_err kh_losses_add(kh_order *o, uint64_t height, uint64_t until)
{
    if (o->loss_cnt == KH_LOSSES_MAX) {
        extend_loss(o->losses_past.base, &o->losses[0]);
        memmove(o->losses, o->losses + 1, (size_t)--o->loss_cnt * sizeof *o->losses);
    }
    void *grown = kh_grow(o->losses, o->loss_cnt, &o->loss_cap, sizeof *o->losses);
    if (grown == NULL) return KH_E_NOMEM;
    o->losses = grown;
    o->losses[o->loss_cnt] = (kh_loss){height, until};
    extend_loss(o->losses_past.head, &o->losses[o->loss_cnt++]);
    return KH_OK;
}

uint32_t kh_order_losses(const kh_order *o, uint64_t height)
{
    uint32_t cnt = 0;
    for (uint32_t i = o->loss_cnt; i-- > 0 && o->losses[i].until > height;) cnt += o->losses[i].height <= height;
    return cnt;
}

/* ---- all of it ---- */

void kh_past_all(kh_order *o)
{
    words_digest(o);
    unattested_digest(o);
    o->losses_past.cnt = o->loss_cnt;
}

void kh_past_loaded(kh_order *o)
{
    kh_past *apps = &o->apps_past;
    o->words_known = 0;
    o->unattested_known = false;
    apps->cnt = o->app_cnt - 1; /* the newest is the hash that this is under */
    for (uint32_t i = 0; i < apps->cnt; i++) extend_app(apps->head, &o->apps[i]);
}
