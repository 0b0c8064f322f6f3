/* tree: leaves by rising key, and the tree of RFC 6962 over them with its inner nodes kept: pairing neighbours level by level and
 * letting an odd one rise gives that tree, so a changed leaf costs one path. */
#include <stdlib.h>
#include "order/inside.h"

static uint32_t place_of(const kh_tree *t, const uint8_t *key, uint8_t key_n, bool *ret_there)
{
    uint32_t low = 0, high = t->cnt;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int sign = kh_keys_compare(t->leaves[middle].key, t->leaves[middle].key_n, key, key_n);
        if (sign == 0) {
            *ret_there = true;
            return middle;
        }
        if (sign < 0) low = middle + 1;
        else high = middle;
    }
    *ret_there = false;
    return low;
}

const struct kh_tree_leaf *kh_tree_find(const kh_tree *t, const void *key, uint8_t key_n, uint32_t *ret_index)
{
    bool there;
    uint32_t i = place_of(t, key, key_n, &there);
    if (!there) return NULL;
    if (ret_index != NULL) *ret_index = i;
    return &t->leaves[i];
}

/* Room for n more leaves at every level. */
static kh_err reserve(kh_tree *t, uint32_t cnt)
{
    if (cnt > t->cap) {
        uint32_t cap = t->cap < 64 ? 64 : t->cap * 2;
        void *grown = realloc(t->leaves, (size_t)cap * sizeof *t->leaves);
        if (grown == NULL) return KH_E_NOMEM;
        t->leaves = grown;
        t->cap = cap;
    }
    for (uint32_t level = 0, n = t->cap; level < KH_MERKLE_PATH_MAX; level++, n = (n + 1) / 2) {
        if (n > t->level_cap[level]) {
            void *grown = realloc(t->levels[level], (size_t)n * 32);
            if (grown == NULL) return KH_E_NOMEM;
            t->levels[level] = grown;
            t->level_cap[level] = n;
        }
        if (n <= 1) break;
    }
    return KH_OK;
}

static void mark(kh_tree *t, uint32_t i)
{
    if (i >= t->shifted) return;
    for (uint32_t k = 0; k < t->changed_cnt; k++)
        if (t->changed[k] == i) return;
    if (t->changed_cnt == sizeof t->changed / sizeof t->changed[0]) t->shifted = 0;
    else t->changed[t->changed_cnt++] = i;
}

kh_err kh_tree_set(kh_tree *t, const void *key, uint8_t key_n, const void *value, size_t value_n)
{
    bool there;
    uint32_t i = place_of(t, key, key_n, &there);
    if (value_n > UINT16_MAX || (!there && t->cnt >= KH_PUBLIC_MAX)) return KH_E_FULL;
    if (there && t->leaves[i].value_n == value_n && memcmp(t->leaves[i].value, value, value_n) == 0) return KH_OK;
    uint8_t *copy = malloc(value_n > 0 ? value_n : 1);
    if (copy == NULL) return KH_E_NOMEM;
    if (value_n > 0) memcpy(copy, value, value_n);
    if (there) {
        free(t->leaves[i].value);
        mark(t, i);
    } else {
        kh_err err = reserve(t, t->cnt + 1);
        if (err != KH_OK) {
            free(copy);
            return err;
        }
        memmove(&t->leaves[i + 1], &t->leaves[i], (size_t)(t->cnt - i) * sizeof *t->leaves);
        t->cnt++;
        if (i < t->shifted) t->shifted = i;
        t->leaves[i].key_n = key_n;
        memcpy(t->leaves[i].key, key, key_n);
    }
    t->leaves[i].value = copy;
    t->leaves[i].value_n = (uint16_t)value_n;
    return KH_OK;
}

static void hash_leaf(const kh_tree *t, uint32_t i)
{
    uint8_t data[2 + KH_PUBLIC_KEY_MAX + UINT16_MAX];
    const struct kh_tree_leaf *l = &t->leaves[i];
    kh_store16(data, l->key_n);
    memcpy(data + 2, l->key, l->key_n);
    memcpy(data + 2 + l->key_n, l->value, l->value_n);
    kh_merkle_leaf(data, 2u + l->key_n + l->value_n, t->levels[0][i]);
}

static void join(const kh_tree *t, uint32_t level, uint32_t n, uint32_t i)
{
    uint8_t(*below)[32] = t->levels[level];
    if (2 * i + 1 < n) kh_merkle_node(below[2 * i], below[2 * i + 1], t->levels[level + 1][i]);
    else memcpy(t->levels[level + 1][i], below[2 * i], 32);
}

void kh_tree_root(kh_tree *t, uint8_t ret[32])
{
    if (t->cnt == 0) {
        kh_merkle_root(NULL, 0, ret);
        return;
    }
    uint32_t from = t->shifted, level = 0;
    for (uint32_t k = 0; k < t->changed_cnt; k++)
        if (t->changed[k] < from && t->changed[k] < t->cnt) hash_leaf(t, t->changed[k]);
    for (uint32_t i = from; i < t->cnt; i++) hash_leaf(t, i);
    for (uint32_t n = t->cnt; n > 1; n = (n + 1) / 2, level++) {
        from /= 2;
        for (uint32_t k = 0; k < t->changed_cnt; k++) {
            t->changed[k] /= 2;
            if (t->changed[k] < from && (k == 0 || t->changed[k] != t->changed[k - 1])) join(t, level, n, t->changed[k]);
        }
        for (uint32_t i = from; i < (n + 1) / 2; i++) join(t, level, n, i);
    }
    t->shifted = t->cnt;
    t->changed_cnt = 0;
    memcpy(ret, t->levels[level][0], 32);
}

uint32_t kh_tree_path(const kh_tree *t, uint32_t index, uint8_t ret[KH_MERKLE_PATH_MAX][32])
{
    uint32_t cnt = 0;
    for (uint32_t level = 0, n = t->cnt; n > 1; n = (n + 1) / 2, level++, index /= 2)
        if ((index ^ 1) < n) memcpy(ret[cnt++], t->levels[level][index ^ 1], 32);
    return cnt;
}

void kh_tree_free(kh_tree *t)
{
    for (uint32_t i = 0; i < t->cnt; i++) free(t->leaves[i].value);
    free(t->leaves);
    for (uint32_t level = 0; level < KH_MERKLE_PATH_MAX; level++) free(t->levels[level]);
    memset(t, 0, sizeof *t);
}
