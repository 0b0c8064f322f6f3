/* journal, reading: one outcome at a place, a whole block, all outcomes from a height on. Any thread; what is not yet in the
 * files is read from memory under the journal's lock. */
#include <stdlib.h>
#include "store/parts.h"

static const kh_block *pending(const kh_journal *j, uint64_t height)
{
    if (j->first == NULL || height < j->first->height || height > j->built) return NULL;
    const kh_block *b = j->first;
    while (b != NULL && b->height != height) b = b->next;
    return b;
}

static kh_err read_exact(const kh_disk *d, kh_file *f, uint64_t at, void *p, size_t n)
{
    size_t got = 0;
    kh_err err = d->read(d->self, f, at, p, n, &got);
    return err == KH_OK && got != n ? KH_E_DAMAGED : err;
}

static kh_err item_in(const uint8_t *p, size_t size, const uint32_t *offsets, uint32_t index, kh_journal_item *ret)
{
    size_t at = (size_t)offsets[index] * 8;
    if (at < KH_BLOCK_HEAD_SZ || at >= size) return KH_E_DAMAGED;
    return kh_item_decode(p + at, size - at, kh_load64(p + 16), index, kh_load64(p + 24), ret);
}

static kh_err item_of_file(const kh_journal *j, kh_place place, kh_journal_item *ret)
{
    uint8_t row[KH_TABLE_ROW_SZ], bytes[KH_BLOCK_HEAD_SZ], number[4], first[1024];
    kh_block_head head;
    if (j->table == NULL) return KH_E_NOT_FOUND;
    kh_err err = read_exact(j->disk, j->table, (place.height - 1) * KH_TABLE_ROW_SZ, row, sizeof row);
    uint64_t at = kh_load64(row);
    if (err == KH_OK) err = read_exact(j->disk, j->blocks, at, bytes, sizeof bytes);
    if (err == KH_OK) err = kh_block_head_read(bytes, sizeof bytes, &head);
    if (err == KH_OK && (head.height != place.height || head.size != kh_load64(row + 8))) err = KH_E_DAMAGED;
    if (err != KH_OK) return err;
    if (place.index >= head.item_cnt) return KH_E_NOT_FOUND;
    err = read_exact(j->disk, j->blocks, at + head.offsets_at + (uint64_t)place.index * 4, number, sizeof number);
    if (err != KH_OK) return err;
    uint64_t offset = (uint64_t)kh_load32(number) * 8;
    if (offset < KH_BLOCK_HEAD_SZ || offset + KH_ITEM_HEAD_SZ > head.offsets_at) return KH_E_DAMAGED;
    size_t n = (size_t)kh_min64(sizeof first, head.offsets_at - offset);
    err = read_exact(j->disk, j->blocks, at + offset, first, n);
    if (err != KH_OK) return err;
    uint32_t size = kh_load32(first);
    if (size > KH_ITEM_MAX_SZ || size > head.offsets_at - offset) return KH_E_DAMAGED;
    if (size <= n) return kh_item_decode(first, n, place.height, place.index, head.time_ns, ret);
    uint8_t *whole = malloc(size);
    if (whole == NULL) return KH_E_NOMEM;
    err = read_exact(j->disk, j->blocks, at + offset, whole, size);
    if (err == KH_OK) err = kh_item_decode(whole, size, place.height, place.index, head.time_ns, ret);
    free(whole);
    return err;
}

kh_err kh_journal_read(kh_journal *j, kh_place place, kh_journal_item *ret)
{
    (void)pthread_mutex_lock(&j->lock);
    kh_err err = KH_E_NOT_FOUND;
    bool in_file = place.height != 0 && place.height <= j->written;
    const kh_block *b = in_file ? NULL : pending(j, place.height);
    if (b != NULL && place.index < b->item_cnt) err = item_in(b->bytes, b->size, b->offsets, place.index, ret);
    (void)pthread_mutex_unlock(&j->lock);
    return in_file ? item_of_file(j, place, ret) : err;
}

kh_err kh_journal_block_load(const kh_disk *disk, kh_file *blocks, kh_file *table, uint64_t height, uint8_t **ret, size_t *ret_n,
                             uint64_t *ret_at)
{
    uint8_t row[KH_TABLE_ROW_SZ];
    uint64_t file_sz;
    kh_err err = read_exact(disk, table, (height - 1) * KH_TABLE_ROW_SZ, row, sizeof row);
    if (err == KH_OK) err = disk->size(disk->self, blocks, &file_sz);
    if (err != KH_OK) return err;
    uint64_t at = kh_load64(row), size = kh_load64(row + 8);
    *ret_at = at;
    if (size < KH_BLOCK_HEAD_SZ || at > file_sz || size > file_sz - at) return KH_E_DAMAGED;
    uint8_t *p = malloc(size);
    if (p == NULL) return KH_E_NOMEM;
    err = read_exact(disk, blocks, at, p, size);
    if (err != KH_OK) {
        free(p);
        return err;
    }
    *ret = p;
    *ret_n = size;
    return KH_OK;
}

kh_err kh_journal_chain_at(kh_journal *j, uint64_t height, uint8_t ret[32])
{
    uint8_t row[KH_TABLE_ROW_SZ], bytes[KH_BLOCK_HEAD_SZ];
    kh_block_head head;
    if (height == 0) {
        memset(ret, 0, 32);
        return KH_OK;
    }
    kh_err err = read_exact(j->disk, j->table, (height - 1) * KH_TABLE_ROW_SZ, row, sizeof row);
    if (err == KH_OK) err = read_exact(j->disk, j->blocks, kh_load64(row), bytes, sizeof bytes);
    if (err == KH_OK) err = kh_block_head_read(bytes, sizeof bytes, &head);
    if (err == KH_OK && head.height != height) err = KH_E_DAMAGED;
    if (err == KH_OK) memcpy(ret, head.chain, 32);
    return err;
}

kh_err kh_journal_count(kh_journal *j, uint64_t height, uint32_t *ret)
{
    uint8_t row[KH_TABLE_ROW_SZ], bytes[KH_BLOCK_HEAD_SZ];
    kh_block_head head;
    (void)pthread_mutex_lock(&j->lock);
    bool in_file = height != 0 && height <= j->written;
    const kh_block *b = in_file ? NULL : pending(j, height);
    if (b != NULL) *ret = b->item_cnt;
    (void)pthread_mutex_unlock(&j->lock);
    if (!in_file) return b != NULL ? KH_OK : KH_E_NOT_FOUND;
    kh_err err = read_exact(j->disk, j->table, (height - 1) * KH_TABLE_ROW_SZ, row, sizeof row);
    if (err == KH_OK) err = read_exact(j->disk, j->blocks, kh_load64(row), bytes, sizeof bytes);
    if (err == KH_OK) err = kh_block_head_read(bytes, sizeof bytes, &head);
    if (err == KH_OK && head.height != height) err = KH_E_DAMAGED;
    if (err == KH_OK) *ret = head.item_cnt;
    return err;
}

/* A copy of the block of one height, from memory or file. What is in memory may be sealed at this moment: chain and checksum,
 * which nobody reads here, are not copied. */
static kh_err block_copy(kh_journal *j, uint64_t height, uint8_t **ret, size_t *ret_n)
{
    uint64_t at;
    (void)pthread_mutex_lock(&j->lock);
    bool in_file = height <= j->written;
    const kh_block *b = in_file ? NULL : pending(j, height);
    uint8_t *p = b != NULL ? malloc(b->size) : NULL;
    if (p != NULL) {
        memset(p, 0, KH_BLOCK_HEAD_SZ);
        memcpy(p, b->bytes, KH_BLOCK_SEALED_AT);
        memcpy(p + KH_BLOCK_HEAD_SZ, b->bytes + KH_BLOCK_HEAD_SZ, b->size - KH_BLOCK_HEAD_SZ);
        *ret_n = b->size;
        *ret = p;
    }
    (void)pthread_mutex_unlock(&j->lock);
    if (p != NULL) return KH_OK;
    if (!in_file) return b != NULL ? KH_E_NOMEM : KH_E_NOT_FOUND;
    kh_err err = kh_journal_block_load(j->disk, j->blocks, j->table, height, ret, ret_n, &at);
    if (err != KH_OK || kh_block_check(*ret, *ret_n) == NULL) return err;
    free(*ret);
    return KH_E_DAMAGED;
}

kh_err kh_journal_whole(kh_journal *j, uint64_t height, uint8_t **ret, size_t *ret_n)
{
    uint64_t at;
    (void)pthread_mutex_lock(&j->lock);
    bool in_file = height != 0 && height <= j->written;
    const kh_block *b = in_file ? NULL : pending(j, height);
    uint8_t *p = b != NULL && b->sealed ? malloc(b->size) : NULL; /* sealed and pending: a reader's, whom nobody writes beside */
    if (p != NULL) memcpy(p, b->bytes, *ret_n = b->size);
    (void)pthread_mutex_unlock(&j->lock);
    if (!in_file) {
        if (p != NULL) *ret = p;
        return p != NULL ? KH_OK : b != NULL && b->sealed ? KH_E_NOMEM : KH_E_NOT_FOUND;
    }
    kh_err err = kh_journal_block_load(j->disk, j->blocks, j->table, height, ret, ret_n, &at);
    if (err != KH_OK || kh_block_check(*ret, *ret_n) == NULL) return err;
    free(*ret);
    return KH_E_DAMAGED;
}

kh_err kh_journal_bytes(kh_journal *j, uint64_t height, uint64_t *ret)
{
    uint8_t row[KH_TABLE_ROW_SZ] = {0};
    uint64_t pending_sz = 0;
    (void)pthread_mutex_lock(&j->lock);
    uint64_t in_file = kh_min64(height, j->written);
    for (const kh_block *b = j->first; b != NULL && b->height <= height; b = b->next)
        if (b->height > in_file) pending_sz += b->size;
    (void)pthread_mutex_unlock(&j->lock);
    kh_err err = in_file == 0 ? KH_OK : read_exact(j->disk, j->table, (in_file - 1) * KH_TABLE_ROW_SZ, row, sizeof row);
    if (err == KH_OK) *ret = kh_load64(row) + kh_load64(row + 8) + pending_sz;
    return err;
}

kh_err kh_journal_scan(kh_journal *j, uint64_t from, uint64_t upto, kh_err (*each)(void *ctx, const kh_journal_item *item),
                       void *ctx)
{
    kh_journal_item *item = malloc(sizeof *item);
    if (item == NULL) return KH_E_NOMEM;
    kh_err err = KH_OK;
    for (uint64_t height = from != 0 ? from : 1; height <= upto && err == KH_OK; height++) {
        uint8_t *p;
        size_t n;
        err = block_copy(j, height, &p, &n);
        if (err != KH_OK) break;
        uint64_t offsets_at = kh_load64(p + 40);
        uint32_t cnt = kh_load32(p + 32);
        for (uint32_t i = 0; i < cnt && err == KH_OK; i++) {
            size_t at = (size_t)kh_load32(p + offsets_at + (size_t)i * 4) * 8;
            err = at < offsets_at ? kh_item_decode(p + at, offsets_at - at, height, i, kh_load64(p + 24), item) : KH_E_DAMAGED;
            if (err == KH_OK) err = each(ctx, item);
        }
        free(p);
    }
    free(item);
    return err;
}
