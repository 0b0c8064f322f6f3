/* fuzz_order: any bytes as blocks. The first byte says how: 0, the rest is a saved state to be loaded, of this node's own or
 * another's; 1, transactions as they
 * stand, each {size 2, bytes}, sixteen a block; else the bytes choose among good, odd and damaged ones, on two instances
 * (order_any.h). Every transaction gets a result, and what loads is written again to the same bytes. */
#include "../unit/order_any.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Against the app hash of a chain that went its way, nothing loads but what that chain saved. */
static void as_given(const uint8_t *p, size_t n)
{
    static chain told;
    static uint8_t *saved;
    static size_t saved_n;
    uint8_t app_hash[32];
    kh_order *loaded;
    if (saved == NULL) any_told(&told, &saved, &saved_n);
    kh_order_app_hash(told.order, app_hash);
    kh_err err = kh_order_load_given(told.genesis, told.genesis_n, p, n, kh_order_height(told.order), app_hash, &loaded);
    KH_ASSERT(err == (n == saved_n && memcmp(p, saved, n) == 0 ? KH_OK : err == KH_E_VERSION ? KH_E_VERSION : KH_E_FORMAT));
    if (err == KH_OK) kh_order_free(loaded);
}

static void as_saved(const chain *c, const uint8_t *p, size_t n)
{
    kh_order *loaded;
    uint8_t *again;
    size_t again_n;
    kh_err err = kh_order_load(c->genesis, c->genesis_n, p, n, &loaded);
    KH_ASSERT(err == KH_OK || err == KH_E_FORMAT || err == KH_E_VERSION);
    if (err != KH_OK) return;
    KH_ASSERT(kh_order_save(loaded, &again, &again_n) == KH_OK && again_n == n && memcmp(again, p, n) == 0);
    free(again);
    kh_order_free(loaded);
}

static void as_genesis(const uint8_t *p, size_t n)
{
    kh_genesis g;
    uint8_t *again;
    size_t again_n;
    if (kh_genesis_decode(p, n, &g) != KH_OK) return;
    KH_ASSERT(kh_genesis_encode(&g, &again, &again_n) == KH_OK && again_n == n && memcmp(again, p, n) == 0);
    free(again);
    kh_genesis_free(&g);
}

static void as_they_stand(chain *c, const uint8_t *p, size_t n)
{
    while (n >= 2) {
        size_t size = kh_load16(p);
        if (size > n - 2) size = n - 2;
        uint32_t at = fx_add(c, p + 2, size);
        p += 2 + size;
        n -= 2 + size;
        if (c->n < 16 && n >= 2) continue;
        bool voted = fx_process(c);
        kh_order_code offered = kh_order_offerable(c->order, c->spans[0].p, c->spans[0].n, c->time);
        KH_ASSERT(!voted || offered != KH_R_MALFORMED);
        KH_ASSERT(at < 16);
        fx_next(c, 10);
        for (uint32_t i = 0; i < c->block.tx_cnt; i++) KH_ASSERT(c->block.codes[i] <= KH_R_BUSY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static chain c;
    if (size < 1) return 0;
    fx_begin(&c);
    if (data[0] == 0) {
        as_saved(&c, data + 1, size - 1);
        as_given(data + 1, size - 1);
        as_genesis(data + 1, size - 1);
    } else if (data[0] == 1) {
        as_they_stand(&c, data + 1, size - 1);
    } else {
        choices x = {.pick = pick_bytes, .p = data + 1, .end = data + size};
        kh_order *other;
        KH_ASSERT(kh_order_new(c.genesis, c.genesis_n, &other) == KH_OK);
        while (x.p < x.end) any_step(&c, &other, &x);
        kh_order_free(other);
    }
    fx_end(&c);
    return 0;
}
