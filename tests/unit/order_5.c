/* Unit tests of order: what is remembered of the past under the public root, and a saved order from a giver who lies. */
#include "order_any.h"
#include <criterion/criterion.h>
#include "order/inside.h"

static chain c;
static uint8_t *saved, app_hash[32];
static size_t saved_n;

static void begin(void)
{
    any_told(&c, &saved, &saved_n);
    kh_order_app_hash(c.order, app_hash);
}

static void end(void)
{
    free(saved);
    fx_end(&c);
}

static kh_err given(const uint8_t *p, size_t n)
{
    kh_order *loaded = NULL;
    kh_err err = kh_order_load_given(c.genesis, c.genesis_n, p, n, kh_order_height(c.order), app_hash, &loaded);
    kh_order_free(loaded);
    return err;
}

/* The state as it stands now, whatever a test did to it, given under the hash of before. */
static kh_err given_now(void)
{
    uint8_t *p;
    size_t n;
    cr_assert(kh_order_save(c.order, &p, &n) == KH_OK);
    kh_err err = n == saved_n && memcmp(p, saved, n) == 0 ? KH_E_EXISTS : given(p, n);
    free(p);
    return err;
}

/* A field that is saved and neither under the root nor checked against what is would be seen here. */
Test(order_given, every_field_is_under_the_hash)
{
    begin();
    const kh_order *o = c.order;
    cr_assert(o->app_cnt > 20 && o->word_cnt > 5 && o->unattested_cnt > 5 && o->loss_cnt == 2 && o->validators_changed > 0);
    cr_assert(o->tree.cnt > 25 && o->version.from > 0 && o->before.cnt > 0 && !kh_all_zero(o->unattested_past.base, 32));
    cr_assert(given(saved, saved_n) == KH_OK);
    for (size_t at = 0; at < saved_n; at += at < 200 ? 1 : 5) {
        saved[at] ^= (uint8_t)(1 << at % 8);
        kh_err err = given(saved, saved_n);
        cr_assert(err == KH_E_FORMAT || (err == KH_E_VERSION && at == 3), "byte %zu: %d", at, (int)err);
        saved[at] ^= (uint8_t)(1 << at % 8);
    }
    for (size_t cut = 0; cut < saved_n; cut += 61) cr_assert(given(saved, cut) == KH_E_FORMAT);
    end();
}

#define LIES(does, undoes)                                                                                                       \
    do {                                                                                                                         \
        does;                                                                                                                    \
        cr_assert(given_now() == KH_E_FORMAT);                                                                                   \
        undoes;                                                                                                                  \
    } while (0)

/* Who lies keeps to the form: each list with an element less, more or another, its first one hidden in the digest of what was
 * forgotten, numbers that are possible. */
Test(order_given, a_giver_who_lies_well)
{
    begin();
    kh_order *o = c.order;
    uint64_t changed = o->validators_changed;
    LIES(o->validators_changed = 0, o->validators_changed = changed);
    LIES((o->time_ns++, o->entries_time_ns++), (o->time_ns--, o->entries_time_ns--));
    LIES(o->words[o->word_cnt - 1].statement[3] ^= 1, o->words[o->word_cnt - 1].statement[3] ^= 1);
    LIES(o->words[0].flags ^= KH_WORD_LIED | KH_WORD_SAID, o->words[0].flags ^= KH_WORD_LIED | KH_WORD_SAID);
    LIES(o->word_cnt--, o->word_cnt++);
    LIES(o->unattested[1].lost ^= true, o->unattested[1].lost ^= true);
    LIES(o->unattested_cnt--, o->unattested_cnt++);
    LIES(o->loss_cnt--, o->loss_cnt++);
    LIES(o->losses[0].height++, o->losses[0].height--);
    LIES(o->apps[2].app_hash[0] ^= 1, o->apps[2].app_hash[0] ^= 1);
    LIES(o->seats[3].next++, o->seats[3].next--);
    uint8_t base[32];
    memcpy(base, o->apps_past.base, 32);
    kh_sha256_state sha;
    uint8_t first[KH_APP_SZ];
    kh_app_bytes(&o->apps[0], first);
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, base, 32);
    kh_sha256_update(&sha, first, sizeof first);
    kh_sha256_final(&sha, o->apps_past.base);
    kh_app_at *all = o->apps;
    LIES((o->apps++, o->app_cnt--), (o->apps = all, o->app_cnt++)); /* the digest is right, their number is not */
    memcpy(o->apps_past.base, base, 32);
    cr_assert(given_now() == KH_E_EXISTS); /* all undone */
    cr_assert(given(saved, saved_n) == KH_OK);
    end();
}

Test(order_given, of_that_height_and_hash_alone)
{
    kh_order *loaded;
    uint8_t other[32], *p;
    size_t n;
    begin();
    uint64_t height = kh_order_height(c.order);
    memcpy(other, app_hash, 32);
    other[31] ^= 1;
    cr_assert(kh_order_load_given(c.genesis, c.genesis_n, saved, saved_n, height, other, &loaded) == KH_E_FORMAT);
    cr_assert(kh_order_load_given(c.genesis, c.genesis_n, saved, saved_n, height - 1, app_hash, &loaded) == KH_E_FORMAT);
    cr_assert(kh_order_load_given(c.genesis, c.genesis_n, saved, saved_n, height + 1, app_hash, &loaded) == KH_E_FORMAT);
    fx_next(&c, 10); /* of no transactions: the hash is the same, height and time are not under it */
    cr_assert(kh_order_save(c.order, &p, &n) == KH_OK);
    cr_assert(kh_order_load(c.genesis, c.genesis_n, p, n, &loaded) == KH_OK);
    kh_order_free(loaded);
    cr_assert(kh_order_load_given(c.genesis, c.genesis_n, p, n, height + 1, app_hash, &loaded) == KH_E_FORMAT);
    cr_assert(kh_order_load_given(c.genesis, c.genesis_n, p, n, height, app_hash, &loaded) == KH_E_FORMAT);
    free(p);
    p = calloc(1, KH_ORDER_SAVED_MAX_SZ + 1u);
    memcpy(p, saved, saved_n);
    cr_assert(given(p, KH_ORDER_SAVED_MAX_SZ + 1u) == KH_E_FORMAT);
    free(p);
    end();
}

/* Both go on alike from there, whatever comes. */
Test(order_given, goes_on_as_the_giver_does)
{
    choices x = {.pick = pick_random, .random = 77};
    kh_order *loaded;
    begin();
    cr_assert(kh_order_load_given(c.genesis, c.genesis_n, saved, saved_n, kh_order_height(c.order), app_hash, &loaded) == KH_OK);
    for (int i = 0; i < 100; i++) any_step(&c, &loaded, &x);
    kh_order_free(loaded);
    end();
}

/* The digest over each list is that of the list made anew, and what was forgotten is in it. */
static void digests_fit(kh_order *o, const uint8_t words_base[32])
{
    kh_past words = o->words_past, unattested = o->unattested_past;
    cr_assert(words.cnt == o->word_cnt && memcmp(words.base, words_base, 32) == 0);
    o->words_known = 0;
    o->unattested_known = false;
    kh_past_all(o);
    cr_assert(memcmp(&words, &o->words_past, sizeof words) == 0);
    cr_assert(memcmp(&unattested, &o->unattested_past, sizeof unattested) == 0);
}

Test(order_past, words_in_any_place)
{
    choices x = {.pick = pick_random, .random = 3};
    uint8_t base[32] = {0};
    fx_begin(&c);
    kh_order *o = c.order;
    for (uint32_t i = 0; i < KH_WORDS_MAX + 300; i++) {
        kh_word w = {.height = 10 + x.pick(&x, 1u << 20), .hub = 51 + x.pick(&x, 3), .flags = KH_WORD_SAID};
        w.statement[0] = (uint8_t)i;
        uint32_t at = kh_words_place(o, &w);
        if (at < o->word_cnt && kh_word_compare(&o->words[at], &w) == 0) continue;
        if (o->word_cnt == KH_WORDS_MAX && at > 0) {
            uint8_t bytes[32 + KH_WORD_SZ];
            memcpy(bytes, base, 32);
            kh_word_bytes(&o->words[0], bytes + 32);
            kh_sha256(bytes, sizeof bytes, base);
        }
        kh_words_remember(o, &w);
        if (i % 64 == 0) kh_words_lied(o, &o->words[x.pick(&x, o->word_cnt)]);
        if (i % 512 == 0 || i > KH_WORDS_MAX) kh_past_all(o);
        if (i % 2048 == 0 || i + 3 > KH_WORDS_MAX + 300) {
            kh_past_all(o);
            digests_fit(o, base);
        }
    }
    kh_words_forget(o, 1u << 19);
    kh_past_all(o);
    digests_fit(o, base);
    kh_words_forget(o, 0);
    kh_past_all(o);
    cr_assert(o->word_cnt == 0 && memcmp(o->words_past.head, base, 32) == 0);
    fx_end(&c);
}

/* More blocks than app hashes that are remembered: what is saved loads, and is the giver's. */
Test(order_past, app_hashes_are_forgotten)
{
    kh_order *loaded;
    fx_begin(&c);
    for (uint32_t i = 0; i < KH_APP_HASHES + 5; i++) {
        fx_add(&c, (const uint8_t *)&i, sizeof i);
        fx_next(&c, 10);
        if (i < KH_APP_HASHES - 3) continue;
        cr_assert(kh_order_save(c.order, &saved, &saved_n) == KH_OK);
        kh_order_app_hash(c.order, app_hash);
        cr_assert(given(saved, saved_n) == KH_OK, "%u", i);
        cr_assert(kh_order_load(c.genesis, c.genesis_n, saved, saved_n, &loaded) == KH_OK);
        kh_order_free(loaded);
        free(saved);
    }
    cr_assert(c.order->app_cnt == KH_APP_HASHES && !kh_all_zero(c.order->apps_past.base, 32));
    fx_end(&c);
}
