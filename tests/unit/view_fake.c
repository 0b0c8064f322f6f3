/* A node, a kept order and parcels for the unit tests of the view: what the test says, and no more. */
#include "view_fake.h"
#include <stdlib.h>
#include <string.h>

fake_world fake;

void fake_reset(void)
{
    for (uint32_t i = 0; i < fake.submitted_cnt; i++) free(fake.submitted[i].bytes);
    memset(&fake, 0, sizeof fake);
    fake.hub_cnt = 1;
    fake.hubs[0] = 21;
}

kh_kept_block *fake_block(uint64_t height)
{
    for (uint32_t i = 0; i < fake.block_cnt; i++)
        if (fake.blocks[i].height == height) return &fake.blocks[i];
    kh_kept_block *b = &fake.blocks[fake.block_cnt++];
    memset(b, 0, sizeof *b);
    b->height = height;
    b->time_ns = height * 1000;
    memset(b->app_hash, (int)height, 32);
    b->items = fake.items[fake.block_cnt - 1];
    return b;
}

/* ---- node ---- */
kh_err kh_node_submit(kh_node *node, const uint8_t *frames, size_t n, uint32_t op_cnt, bool signed_section, uint64_t tag)
{
    (void)node;
    if (fake.while_submitted != NULL) fake.while_submitted();
    if (fake.node_full) return KH_E_AGAIN;
    uint8_t *bytes = malloc(n);
    memcpy(bytes, frames, n);
    fake.submitted[fake.submitted_cnt++] = (fake_submitted){bytes, n, op_cnt, signed_section, tag};
    return KH_OK;
}
uint64_t kh_node_clock(kh_node *node)
{
    (void)node;
    return 0;
}
void kh_node_read(kh_node *node, void (*f)(void *ctx, kh_order *order), void *ctx)
{
    (void)node;
    f(ctx, NULL);
}
bool kh_node_attested_root(kh_node *node, uint64_t height, kh_attestation *ret)
{
    (void)node;
    for (uint32_t i = 0; i < fake.held_cnt; i++)
        if (fake.held[i].height == height) {
            *ret = fake.held[i];
            return true;
        }
    return false;
}
void kh_order_chain(const kh_order *o, uint8_t ret[32])
{
    (void)o;
    memset(ret, 0x11, 32);
}
void kh_order_hub_set(const kh_order *o, kh_order_hubs *ret)
{
    (void)o;
    memset(ret, 0, sizeof *ret);
    ret->cnt = fake.hub_cnt;
    ret->quorum = fake.hub_cnt / 2 + 1;
    memcpy(ret->ids, fake.hubs, sizeof fake.hubs);
}
uint64_t kh_order_attested(const kh_order *o, uint8_t ret_posted[32])
{
    (void)o;
    memset(ret_posted, 0, 32);
    return fake.attested;
}
uint64_t kh_order_unattested_upto(const kh_order *o, uint64_t height)
{
    (void)o;
    return kh_min64(fake.pending, height);
}

/* ---- kept ---- */
static kh_kept_block *copy_of(const kh_kept_block *b)
{
    kh_kept_block *c = malloc(sizeof *c);
    *c = *b;
    return c;
}
kh_err kh_kept_at(kh_kept *k, uint64_t height, kh_kept_block **ret)
{
    (void)k;
    const kh_kept_block *best = NULL;
    for (uint32_t i = 0; i < fake.block_cnt; i++)
        if (fake.blocks[i].height <= height && (best == NULL || fake.blocks[i].height > best->height)) best = &fake.blocks[i];
    if (best == NULL) return KH_E_NOT_FOUND;
    *ret = copy_of(best);
    return KH_OK;
}
kh_err kh_kept_after(kh_kept *k, uint64_t height, kh_kept_block **ret)
{
    (void)k;
    const kh_kept_block *best = NULL;
    for (uint32_t i = 0; i < fake.block_cnt; i++)
        if (fake.blocks[i].height > height && (best == NULL || fake.blocks[i].height < best->height)) best = &fake.blocks[i];
    if (best == NULL) return KH_E_NOT_FOUND;
    *ret = copy_of(best);
    return KH_OK;
}
uint64_t kh_kept_base(kh_kept *k)
{
    (void)k;
    return fake.given_cnt != 0 ? fake.given[fake.given_cnt - 1].height : 0;
}
kh_err kh_kept_hash_at(kh_kept *k, uint64_t height, kh_kept_hash *ret)
{
    kh_kept_block *b = NULL;
    uint32_t at = fake.given_cnt;
    if (kh_kept_at(k, height, &b) == KH_OK) {
        *ret = (kh_kept_hash){.height = b->height, .time_ns = b->time_ns};
        memcpy(ret->app_hash, b->app_hash, 32);
        free(b);
        return KH_OK;
    }
    while (at > 0 && fake.given[at - 1].height > height) at--;
    if (at == 0) return fake.given_cnt != 0 ? KH_E_NOT_FOUND : KH_E_AGAIN;
    *ret = fake.given[at - 1];
    ret->base = height < kh_kept_base(k);
    return KH_OK;
}
void kh_kept_block_free(kh_kept_block *b) { free(b); }

/* ---- parcels: {party, height, package, XXH3}, in the clear ---- */
kh_err kh_parcel_make(kh_suite suite, const uint8_t box_public[KH_PUBLIC_SZ], const kh_entropy *entropy, const uint8_t chain[32],
                      uint32_t party, uint64_t height, const uint8_t *package, size_t n, uint8_t **ret, size_t *ret_n)
{
    (void)suite, (void)box_public, (void)entropy, (void)chain;
    uint8_t *p = malloc(n + 20);
    kh_store32(p, party);
    kh_store64(p + 4, height);
    memcpy(p + 12, package, n);
    kh_store64(p + 12 + n, kh_xxh3(p, n + 12));
    *ret = p;
    *ret_n = n + 20;
    return KH_OK;
}
bool kh_parcel_open(kh_suite suite, const kh_box *box, const uint8_t chain[32], uint32_t party, const uint8_t *p, size_t n,
                    uint64_t *ret_height, uint8_t **ret, size_t *ret_n)
{
    (void)suite, (void)chain;
    if (fake.sealed_to != NULL && box != fake.sealed_to) return false;
    if (n < 20 || kh_load32(p) != party || kh_load64(p + n - 8) != kh_xxh3(p, n - 8)) return false;
    *ret_height = kh_load64(p + 4);
    *ret_n = n - 20;
    *ret = malloc(n);
    memcpy(*ret, p + 12, n - 20);
    return true;
}
