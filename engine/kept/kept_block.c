/* kept_block: what execution, audit and proofs need of a block, and what execution needs of the members. */
#include "kept/kept_block.h"
#include <stdlib.h>

enum {
    FIXED_SZ = 8 + 4 * 32 + 4 * 6, /* time, four digests, counts */
    TX_SZ = 36,
    ITEM_SZ = 64,
    BLOCK_MAX_SZ = 64 << 20,
    MEMBER_SZ = 8 + 2 * (int)KH_PUBLIC_SZ
};

kh_err kh_kept_encode(const kh_order_block *b, kh_order *order, uint8_t **ret, size_t *ret_n)
{
    kh_public_leaf hubs;
    uint32_t index, cnt, path_n;
    uint8_t path[KH_MERKLE_PATH_MAX][32];
    if (!kh_order_public(order, "h", 1, &hubs, &index, &cnt, path, &path_n)) return KH_E_ARG;
    size_t n = FIXED_SZ + (size_t)b->tx_cnt * TX_SZ + (size_t)b->item_cnt * ITEM_SZ + hubs.value_n + (size_t)path_n * 32;
    for (uint32_t i = 0; i < b->item_cnt; i++) n += b->items[i].ops_sz;
    if (n > BLOCK_MAX_SZ) return KH_E_ARG;
    uint8_t *start = calloc(1, n), *p = start;
    if (start == NULL) return KH_E_NOMEM;
    kh_store64(p, b->time_ns);
    memcpy(p + 8, b->previous, 32);
    memcpy(p + 40, b->app_hash, 32);
    memcpy(p + 72, b->entries_root, 32);
    memcpy(p + 104, b->public_root, 32);
    kh_store32(p + 136, b->tx_cnt);
    kh_store32(p + 140, b->item_cnt);
    kh_store32(p + 144, hubs.value_n);
    kh_store32(p + 148, index);
    kh_store32(p + 152, cnt);
    kh_store32(p + 156, path_n);
    p += FIXED_SZ;
    for (uint32_t i = 0; i < b->tx_cnt; i++, p += TX_SZ) {
        p[0] = b->types[i];
        kh_store16(p + 2, b->codes[i]);
        memcpy(p + 4, b->digests[i], 32);
    }
    for (uint32_t i = 0; i < b->item_cnt; i++) {
        const kh_order_item *item = &b->items[i];
        kh_store32(p, (uint32_t)item->kind);
        kh_store32(p + 4, item->sender);
        kh_store32(p + 8, item->incarnation);
        kh_store32(p + 12, item->size);
        kh_store64(p + 16, item->sequence);
        memcpy(p + 24, item->digest, 32);
        kh_store32(p + 56, item->ops_sz);
        kh_store32(p + 60, item->op_cnt);
        if (item->ops_sz != 0) memcpy(p + ITEM_SZ, item->ops, item->ops_sz);
        p += ITEM_SZ + item->ops_sz;
    }
    if (hubs.value_n != 0) memcpy(p, hubs.value, hubs.value_n);
    memcpy(p + hubs.value_n, path, (size_t)path_n * 32);
    *ret = start;
    *ret_n = n;
    return KH_OK;
}

static bool decode_items(kh_kept_block *b, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    for (uint32_t i = 0; i < b->item_cnt; i++) {
        kh_kept_item *item = &b->items[i];
        if ((size_t)(end - p) < ITEM_SZ) return false;
        *item = (kh_kept_item){.kind = (kh_item_kind)kh_load32(p),
                               .sender = kh_load32(p + 4),
                               .incarnation = kh_load32(p + 8),
                               .size = kh_load32(p + 12),
                               .sequence = kh_load64(p + 16),
                               .ops_sz = kh_load32(p + 56),
                               .op_cnt = kh_load32(p + 60)};
        memcpy(item->digest, p + 24, 32);
        p += ITEM_SZ;
        if ((size_t)(end - p) < item->ops_sz) return false;
        item->ops = p;
        p += item->ops_sz;
    }
    *at = p;
    return true;
}

static bool decode(const uint8_t *p, size_t n, kh_kept_block *b, uint8_t (*digests)[32])
{
    const uint8_t *end = p + n;
    b->time_ns = kh_load64(p);
    memcpy(b->previous, p + 8, 32);
    memcpy(b->app_hash, p + 40, 32);
    memcpy(b->entries_root, p + 72, 32);
    memcpy(b->public_root, p + 104, 32);
    b->hubs_n = kh_load32(p + 144);
    b->hubs_index = kh_load32(p + 148);
    b->hubs_cnt = kh_load32(p + 152);
    b->hubs_path_n = kh_load32(p + 156);
    if (b->hubs_n > sizeof b->hubs_value || b->hubs_path_n > KH_MERKLE_PATH_MAX) return false;
    p += FIXED_SZ;
    for (uint32_t i = 0; i < b->tx_cnt; i++, p += TX_SZ) {
        b->types[i] = p[0];
        b->codes[i] = kh_load16(p + 2);
        memcpy(digests[i], p + 4, 32);
    }
    if (!decode_items(b, &p, end) || (size_t)(end - p) != b->hubs_n + (size_t)b->hubs_path_n * 32) return false;
    memcpy(b->hubs_value, p, b->hubs_n);
    memcpy(b->hubs_path, p + b->hubs_n, (size_t)b->hubs_path_n * 32);
    return true;
}

/* One piece of memory: the block, its items, digests, codes and types, and the bytes that the items' operations lie in. */
kh_err kh_kept_decode(uint64_t height, const uint8_t *p, size_t n, kh_kept_block **ret)
{
    if (n < FIXED_SZ) return KH_E_DAMAGED;
    uint32_t txs = kh_load32(p + 136), items = kh_load32(p + 140);
    if ((uint64_t)txs * TX_SZ + (uint64_t)items * ITEM_SZ > n - FIXED_SZ) return KH_E_DAMAGED;
    uint8_t *memory = calloc(1, sizeof(kh_kept_block) + items * sizeof(kh_kept_item) + (size_t)txs * (32 + 2 + 1) + n + 16);
    if (memory == NULL) return KH_E_NOMEM;
    kh_kept_block *b = (void *)memory;
    b->items = (void *)(memory + sizeof *b);
    b->digests = (void *)(b->items + items);
    b->codes = (void *)(b->digests + txs);
    b->types = (void *)(b->codes + txs);
    uint8_t *bytes = b->types + txs;
    memcpy(bytes, p, n);
    b->height = height;
    b->tx_cnt = txs;
    b->item_cnt = items;
    if (!decode(bytes, n, b, b->digests)) {
        free(memory);
        return KH_E_DAMAGED;
    }
    *ret = b;
    return KH_OK;
}

void kh_kept_block_free(kh_kept_block *b) { free(b); }

kh_err kh_kept_members_encode(const kh_order *order, uint8_t **ret, size_t *ret_n)
{
    uint32_t cnt = 0;
    while (kh_order_member_at(order, cnt) != NULL) cnt++;
    uint8_t *start = calloc(1, (size_t)cnt * MEMBER_SZ + 1), *p = start;
    if (start == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < cnt; i++, p += MEMBER_SZ) {
        const kh_member *m = kh_order_member_at(order, i);
        kh_store32(p, m->id);
        p[4] = m->role;
        p[5] = m->flags;
        memcpy(p + 8, m->sender, KH_PUBLIC_SZ);
        memcpy(p + 8 + KH_PUBLIC_SZ, m->box, KH_PUBLIC_SZ);
    }
    *ret = start;
    *ret_n = (size_t)cnt * MEMBER_SZ;
    return KH_OK;
}

kh_err kh_kept_members_decode(const uint8_t *p, size_t n, kh_kept_member **ret, uint32_t *ret_cnt)
{
    uint32_t cnt = (uint32_t)(n / MEMBER_SZ);
    if (n % MEMBER_SZ != 0 || cnt > KH_MEMBERS_MAX) return KH_E_DAMAGED;
    kh_kept_member *members = calloc(cnt + 1, sizeof *members);
    if (members == NULL) return KH_E_NOMEM;
    for (uint32_t i = 0; i < cnt; i++, p += MEMBER_SZ) {
        members[i] = (kh_kept_member){.id = kh_load32(p), .role = p[4], .flags = p[5]};
        memcpy(members[i].sender, p + 8, KH_PUBLIC_SZ);
        memcpy(members[i].box, p + 8 + KH_PUBLIC_SZ, KH_PUBLIC_SZ);
    }
    *ret = members;
    *ret_cnt = cnt;
    return KH_OK;
}
