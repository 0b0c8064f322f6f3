/* maker: a height's outputs at a hub: gathered party by party in the bytes that packages hold, hashed as they come. */
#include "attest/inside.h"
#include <stdlib.h>

typedef struct party {
    uint32_t id, output_cnt, hashed_cnt, leaf_cap;
    uint64_t count, count_before;
    uint8_t seed[32], head[32], head_before[32];
    uint8_t (*leaves)[32];               /* 0: the head's, at the end */
    uint8_t *body;                       /* outputs as the package has them */
    size_t body_sz, body_cap, hashed_sz; /* hashed_sz: of the outputs that are hashed */
} party;

struct kh_maker {
    uint8_t chain[32];
    uint64_t height;
    uint32_t party_cnt, party_cap, top_cnt;
    party *parties;
    uint8_t (*top)[32]; /* the upper tree: its leaves, then each level above */
    kh_err err;         /* the first that begin or add met */
};

kh_err kh_maker_new(kh_maker **ret)
{
    kh_maker *m = calloc(1, sizeof *m);
    if (m == NULL) return KH_E_NOMEM;
    *ret = m;
    return KH_OK;
}

void kh_maker_free(kh_maker *m)
{
    if (m == NULL) return;
    for (uint32_t i = 0; i < m->party_cap; i++) {
        free(m->parties[i].leaves);
        free(m->parties[i].body);
    }
    free(m->parties);
    free(m->top);
    free(m);
}

static kh_err room_for_parties(kh_maker *m, uint32_t n)
{
    m->top_cnt = kh_attest_power(n);
    if (n <= m->party_cap) return KH_OK;
    uint8_t(*top)[32] = realloc(m->top, (size_t)2 * m->top_cnt * 32);
    if (top == NULL) return KH_E_NOMEM;
    m->top = top;
    party *parties = realloc(m->parties, n * sizeof *parties);
    if (parties == NULL) return KH_E_NOMEM;
    m->parties = parties;
    memset(parties + m->party_cap, 0, (n - m->party_cap) * sizeof *parties);
    m->party_cap = n;
    return KH_OK;
}

void kh_maker_begin(kh_maker *m, const uint8_t chain[32], const uint8_t secret[32], uint64_t height, const uint32_t *parties,
                    const uint64_t *counts, const uint8_t (*heads)[32], uint32_t n)
{
    memcpy(m->chain, chain, 32);
    m->height = height;
    m->party_cnt = 0;
    m->err = n <= 1u << KH_PACKAGE_TOP_PATH_MAX ? room_for_parties(m, n) : KH_E_ARG;
    if (m->err != KH_OK) return;
    m->party_cnt = n;
    for (uint32_t i = 0; i < n; i++) {
        party *p = &m->parties[i];
        p->id = parties[i];
        p->output_cnt = p->hashed_cnt = 0;
        p->body_sz = p->hashed_sz = 0;
        p->count = p->count_before = counts[i];
        memcpy(p->head, heads[i], 32);
        memcpy(p->head_before, heads[i], 32);
        kh_attest_salt_seed(secret, height, p->id, p->seed);
    }
}

static party *party_of(const kh_maker *m, uint32_t id)
{
    uint32_t low = 0, high = m->party_cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->parties[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low < m->party_cnt && m->parties[low].id == id ? &m->parties[low] : NULL;
}

bool kh_maker_has(const kh_maker *m, uint32_t party_id) { return party_of(m, party_id) != NULL; }

static kh_err room_for_leaves(party *p, uint32_t cnt)
{
    if (cnt <= p->leaf_cap) return KH_OK;
    uint32_t cap = kh_attest_power(cnt < 16 ? 16 : cnt);
    uint8_t(*leaves)[32] = realloc(p->leaves, (size_t)cap * 32);
    if (leaves == NULL) return KH_E_NOMEM;
    p->leaves = leaves;
    p->leaf_cap = cap;
    return KH_OK;
}

static kh_err room_for_body(party *p, size_t more)
{
    if (p->body_cap - p->body_sz >= more) return KH_OK;
    size_t cap = p->body_cap * 2 > p->body_sz + more ? p->body_cap * 2 : p->body_sz + more + 4096;
    uint8_t *body = realloc(p->body, cap);
    if (body == NULL) return KH_E_NOMEM;
    p->body = body;
    p->body_cap = cap;
    return KH_OK;
}

/* What is not hashed yet, which is KH_ATTEST_AT_ONCE outputs at most. */
static void hash_added(const kh_maker *m, party *p)
{
    kh_attest_item items[KH_ATTEST_AT_ONCE];
    uint32_t cnt = 0;
    for (; p->hashed_cnt < p->output_cnt; cnt++) {
        kh_attest_item *item = &items[cnt];
        kh_attest_item_at(p->body + p->hashed_sz, item);
        item->leaf = ++p->hashed_cnt;
        item->ret_leaf = p->leaves[item->leaf];
        p->hashed_sz += KH_PACKAGE_ITEM_SZ + item->payload_sz;
    }
    kh_attest_items(p->seed, m->chain, m->height, items, cnt, p->head);
}

kh_err kh_maker_add(kh_maker *m, uint32_t party_id, const kh_output *output)
{
    party *p = party_of(m, party_id);
    if (m->err != KH_OK || p == NULL) return m->err;
    if (p->output_cnt >= KH_OUTPUTS_MAX) return m->err = KH_E_FULL;
    static const uint8_t zeros[32];
    bool receipt = output->kind == KH_OUTPUT_RECEIPT;
    const uint8_t *batch = receipt ? output->batch : zeros, *op_digest = receipt ? output->op_digest : zeros;
    uint32_t op_index = receipt ? output->op_index : 0, leaf = p->output_cnt + 1;
    m->err = room_for_leaves(p, leaf + 1);
    if (m->err == KH_OK) m->err = room_for_body(p, KH_PACKAGE_ITEM_SZ + KH_PAYLOAD_MAX_SZ);
    if (m->err != KH_OK) return m->err;
    uint8_t *at = p->body + p->body_sz;
    size_t n = kh_payload_encode(output, at + KH_PACKAGE_ITEM_SZ);
    kh_store32(at, output->kind);
    kh_store32(at + 4, op_index);
    memcpy(at + 8, batch, 32);
    memcpy(at + 40, op_digest, 32);
    kh_store32(at + 72, (uint32_t)n);
    p->body_sz += KH_PACKAGE_ITEM_SZ + n;
    p->count++;
    p->output_cnt++;
    if (p->output_cnt - p->hashed_cnt == KH_ATTEST_AT_ONCE) hash_added(m, p);
    return KH_OK;
}

static kh_err end_party(const kh_maker *m, party *p, uint8_t ret_root[32])
{
    hash_added(m, p);
    uint32_t cnt = kh_attest_padded(p->output_cnt);
    kh_err err = room_for_leaves(p, cnt);
    if (err != KH_OK) return err;
    kh_attest_head_leaf(p->seed, p->id, p->count, p->head, p->leaves[0]);
    kh_attest_fill_leaves(p->seed, p->output_cnt + 1, cnt, p->leaves);
    kh_merkle_root(p->leaves, cnt, ret_root);
    return KH_OK;
}

kh_err kh_maker_end(kh_maker *m, uint8_t ret_root[32])
{
    if (m->err != KH_OK) return m->err;
    if (m->party_cnt == 0) {
        kh_merkle_root(NULL, 0, ret_root);
        return KH_OK;
    }
    for (uint32_t i = 0; i < m->party_cnt; i++) {
        uint8_t root[32];
        if ((m->err = end_party(m, &m->parties[i], root)) != KH_OK) return m->err;
        kh_attest_top_leaf(m->parties[i].id, root, m->top[i]);
    }
    for (uint32_t i = m->party_cnt; i < m->top_cnt; i++) kh_attest_top_leaf(0, NULL, m->top[i]);
    uint8_t(*level)[32] = m->top;
    for (uint32_t n = m->top_cnt; n > 1; level += n, n /= 2)
        for (uint32_t i = 0; i < n / 2; i++) kh_merkle_node(level[(size_t)2 * i], level[(size_t)2 * i + 1], level[n + i]);
    memcpy(ret_root, level[0], 32);
    return KH_OK;
}

void kh_maker_head(const kh_maker *m, uint32_t nth, uint64_t *ret_count, uint8_t ret_head[32])
{
    KH_ASSERT(nth < m->party_cnt);
    *ret_count = m->parties[nth].count;
    memcpy(ret_head, m->parties[nth].head, 32);
}

kh_err kh_maker_package(const kh_maker *m, uint32_t nth, uint8_t **ret, size_t *ret_n)
{
    KH_ASSERT(nth < m->party_cnt);
    if (m->err != KH_OK) return m->err;
    const party *p = &m->parties[nth];
    uint32_t path_n = (uint32_t)__builtin_ctz(m->top_cnt);
    size_t n = KH_PACKAGE_HEAD_SZ + (size_t)32 * path_n + 4 + p->body_sz;
    uint8_t *bytes = malloc(n);
    if (bytes == NULL) return KH_E_NOMEM;
    memcpy(bytes, "KHP1", 4);
    kh_store32(bytes + 4, p->id);
    kh_store64(bytes + 8, m->height);
    memcpy(bytes + 16, p->seed, 32);
    kh_store64(bytes + 48, p->count_before);
    memcpy(bytes + 56, p->head_before, 32);
    kh_store32(bytes + 88, nth);
    kh_store32(bytes + 92, m->top_cnt);
    kh_store32(bytes + 96, path_n);
    uint8_t *at = bytes + KH_PACKAGE_HEAD_SZ;
    uint8_t(*level)[32] = m->top;
    for (uint32_t cnt = m->top_cnt, i = nth; cnt > 1; level += cnt, cnt /= 2, i /= 2, at += 32) memcpy(at, level[i ^ 1], 32);
    kh_store32(at, p->output_cnt);
    if (p->body_sz > 0) memcpy(at + 4, p->body, p->body_sz);
    *ret = bytes;
    *ret_n = n;
    return KH_OK;
}
