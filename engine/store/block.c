/* block: the outcomes of one entry as bytes of the journal, and back. Byte by byte in docs/FORMAT.md. */
#include <stdlib.h>
#include "store/parts.h"

static const char magic[8] = {'K', 'H', 'B', 'L', 'O', 'C', 'K', '1'};

enum { FROM_BYTES = 0, FROM_LINE = 1, FROM_KEY = 2, FROM_PARTY = 3, FROM_FINANCING = 4 };
enum {
    AT_SIZE = 8,
    AT_HEIGHT = 16,
    AT_TIME = 24,
    AT_CNT = 32,
    AT_OFFSETS = 40,
    AT_ENTRY = 48,
    AT_CHAIN = KH_BLOCK_SEALED_AT,
    AT_ZERO = 112,
    AT_CHECK = 120
};

static bool more(kh_block *b, size_t n)
{
    if (b->cap - b->size >= n) return true;
    size_t cap = b->cap * 2 > b->size + n ? b->cap * 2 : b->size + n + 65536;
    uint8_t *p = realloc(b->bytes, cap);
    if (p == NULL) return !(b->failed = true);
    b->bytes = p;
    b->cap = cap;
    return true;
}

void kh_block_begin(kh_block *b, const kh_entry *entry)
{
    b->next = NULL;
    b->size = 0;
    b->item_cnt = 0;
    b->failed = b->sealed = false;
    b->height = entry->height;
    if (!more(b, KH_BLOCK_HEAD_SZ)) return;
    memset(b->bytes, 0, KH_BLOCK_HEAD_SZ);
    memcpy(b->bytes, magic, sizeof magic);
    kh_store64(b->bytes + AT_HEIGHT, entry->height);
    kh_store64(b->bytes + AT_TIME, entry->time_ns);
    memcpy(b->bytes + AT_ENTRY, entry->digest, 32);
    b->size = KH_BLOCK_HEAD_SZ;
}

/* The key that a touch has when it is one that the outcome itself tells. */
static bool key_from(const kh_receipt *receipt, const kh_notice *notice, uint8_t from, uint32_t line, kh_key *ret)
{
    uint32_t party = receipt != NULL ? receipt->party : notice->party;
    uint64_t financing = receipt != NULL ? receipt->financing : notice->financing;
    memset(ret, 0, sizeof *ret);
    switch (from) {
    case FROM_LINE:
        if (receipt == NULL || line >= receipt->line_cnt) return false;
        *ret = receipt->lines[line].key;
        return true;
    case FROM_KEY: *ret = receipt != NULL ? receipt->key : notice->key; return line == 0;
    case FROM_PARTY: kh_store32(ret->b, party); return line == 0;
    case FROM_FINANCING:
        kh_store32(ret->b, party);
        kh_store64(ret->b + 8, financing);
        return line == 0;
    default: return false;
    }
}

/* key_from backwards: where the outcome tells the key of a touch, looked for in the same order. */
static uint8_t find_from(const kh_outcome *o, const kh_touch *t, uint32_t *line)
{
    const kh_receipt *r = o->receipt;
    uint64_t low = kh_load64(t->key.b), high = kh_load64(t->key.b + 8);
    if (r != NULL && t->what == 1)
        for (uint32_t i = *line; i < r->line_cnt; i++)
            if (kh_key_equal(&r->lines[i].key, &t->key)) {
                *line = i;
                return FROM_LINE;
            }
    *line = 0;
    if (kh_key_equal(r != NULL ? &r->key : &o->notice->key, &t->key)) return FROM_KEY;
    if (low != (r != NULL ? r->party : o->notice->party)) return FROM_BYTES;
    if (high == 0) return FROM_PARTY;
    return high == (r != NULL ? r->financing : o->notice->financing) ? FROM_FINANCING : FROM_BYTES;
}

void kh_block_append(kh_block *b, const kh_outcome *o)
{
    KH_ASSERT(o->index == b->item_cnt && o->bytes_sz % 8 == 0);
    if (b->failed || !more(b, KH_ITEM_HEAD_SZ + o->bytes_sz + (size_t)o->touch_cnt * 32)) return;
    if (b->item_cnt == b->item_cap) {
        uint32_t cap = b->item_cap != 0 ? b->item_cap * 2 : 1024;
        uint32_t *p = realloc(b->offsets, (size_t)cap * sizeof *p);
        if (p == NULL) {
            b->failed = true;
            return;
        }
        b->offsets = p;
        b->item_cap = cap;
    }
    b->offsets[b->item_cnt++] = (uint32_t)(b->size / 8);
    uint8_t *start = b->bytes + b->size, *p = start + KH_ITEM_HEAD_SZ;
    memcpy(p, o->bytes, o->bytes_sz);
    p += o->bytes_sz;
    uint32_t next_line = 0;
    for (uint32_t i = 0; i < o->touch_cnt; i++) {
        const kh_touch *t = &o->touches[i];
        uint32_t line = next_line;
        uint8_t from = find_from(o, t, &line);
        if (from == FROM_LINE) next_line = line + 1;
        kh_store64(p, t->prev.height);
        kh_store32(p + 8, t->prev.index);
        p[12] = t->what;
        p[13] = from;
        kh_store16(p + 14, (uint16_t)line);
        p += 16;
        if (from != FROM_BYTES) continue;
        memcpy(p, t->key.b, 16);
        p += 16;
    }
    uint32_t size = (uint32_t)(p - start);
    kh_store32(start, size);
    kh_store32(start + 8, o->op_index);
    kh_store32(start + 12, o->bytes_sz);
    start[16] = o->is_notice;
    start[17] = 0;
    kh_store16(start + 18, (uint16_t)o->touch_cnt);
    kh_store32(start + 20, 0);
    kh_store32(start + 4, (uint32_t)kh_xxh3(start + 8, size - 8));
    b->size += size;
}

kh_err kh_block_end(kh_block *b)
{
    size_t n = ((size_t)b->item_cnt * 4 + 7) & ~(size_t)7;
    if (b->failed || !more(b, n)) return KH_E_NOMEM;
    memset(b->bytes + b->size, 0, n);
    if (b->item_cnt != 0) memcpy(b->bytes + b->size, b->offsets, (size_t)b->item_cnt * 4);
    kh_store64(b->bytes + AT_OFFSETS, b->size);
    kh_store32(b->bytes + AT_CNT, b->item_cnt);
    b->size += n;
    kh_store64(b->bytes + AT_SIZE, b->size);
    return KH_OK;
}

static uint64_t check_of(const uint8_t *p, size_t n)
{
    uint64_t parts[2] = {kh_xxh3(p, AT_CHECK), kh_xxh3(p + KH_BLOCK_HEAD_SZ, n - KH_BLOCK_HEAD_SZ)};
    return kh_xxh3(parts, sizeof parts);
}

void kh_block_seal(kh_block *b, uint8_t chain[32])
{
    kh_sha256_state sha;
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, chain, 32);
    kh_sha256_update(&sha, b->bytes + AT_ENTRY, 32);
    for (uint32_t i = 0; i < b->item_cnt; i++) {
        const uint8_t *item = b->bytes + (size_t)b->offsets[i] * 8;
        kh_sha256_update(&sha, item + KH_ITEM_HEAD_SZ, kh_load32(item + 12));
    }
    kh_sha256_final(&sha, chain);
    memcpy(b->bytes + AT_CHAIN, chain, 32);
    kh_store64(b->bytes + AT_CHECK, check_of(b->bytes, b->size));
    b->sealed = true;
}

void kh_block_free(kh_block *b)
{
    if (b == NULL) return;
    free(b->bytes);
    free(b->offsets);
    free(b);
}

kh_err kh_block_head_read(const uint8_t *p, size_t n, kh_block_head *ret)
{
    if (n < KH_BLOCK_HEAD_SZ || memcmp(p, magic, sizeof magic) != 0) return KH_E_DAMAGED;
    kh_block_head head = {.size = kh_load64(p + AT_SIZE),
                          .height = kh_load64(p + AT_HEIGHT),
                          .time_ns = kh_load64(p + AT_TIME),
                          .offsets_at = kh_load64(p + AT_OFFSETS),
                          .check = kh_load64(p + AT_CHECK),
                          .item_cnt = kh_load32(p + AT_CNT)};
    memcpy(head.entry_digest, p + AT_ENTRY, 32);
    memcpy(head.chain, p + AT_CHAIN, 32);
    if (kh_load32(p + AT_CNT + 4) != 0 || kh_load64(p + AT_ZERO) != 0) return KH_E_DAMAGED;
    if (head.size % 8 != 0 || head.size < KH_BLOCK_HEAD_SZ || head.offsets_at < KH_BLOCK_HEAD_SZ || head.offsets_at > head.size)
        return KH_E_DAMAGED;
    if (head.size - head.offsets_at != (((uint64_t)head.item_cnt * 4 + 7) & ~UINT64_C(7))) return KH_E_DAMAGED;
    *ret = head;
    return KH_OK;
}

const char *kh_block_check(const uint8_t *p, size_t n)
{
    kh_block_head head;
    if (kh_block_head_read(p, n, &head) != KH_OK || head.size != n) return "the block's head is not as it was written";
    return check_of(p, n) == head.check ? NULL : "the block's checksum does not match";
}

kh_err kh_item_decode(const uint8_t *p, size_t n, uint64_t height, uint32_t index, uint64_t time_ns, kh_journal_item *ret)
{
    if (n < KH_ITEM_HEAD_SZ) return KH_E_DAMAGED;
    uint32_t size = kh_load32(p), bytes_sz = kh_load32(p + 12), touch_cnt = kh_load16(p + 18);
    if (size < KH_ITEM_HEAD_SZ || size > n || size > KH_ITEM_MAX_SZ || bytes_sz > size - KH_ITEM_HEAD_SZ) return KH_E_DAMAGED;
    if (kh_load32(p + 4) != (uint32_t)kh_xxh3(p + 8, size - 8)) return KH_E_DAMAGED;
    if (p[16] > 1 || touch_cnt > sizeof ret->touches / sizeof ret->touches[0]) return KH_E_DAMAGED;
    size_t used = 0;
    ret->place = (kh_place){height, index, 0};
    ret->time_ns = time_ns;
    ret->op_index = kh_load32(p + 8);
    ret->is_notice = p[16] == 1;
    kh_err err = ret->is_notice ? kh_notice_decode(p + KH_ITEM_HEAD_SZ, bytes_sz, &ret->notice, &used)
                                : kh_receipt_decode(p + KH_ITEM_HEAD_SZ, bytes_sz, ret->lines, &ret->receipt, &used);
    if (err != KH_OK || used != bytes_sz) return KH_E_DAMAGED;
    const uint8_t *at = p + KH_ITEM_HEAD_SZ + bytes_sz, *end = p + size;
    for (uint32_t i = 0; i < touch_cnt; i++, at += 16) {
        kh_touch *t = &ret->touches[i];
        if (end - at < 16) return KH_E_DAMAGED;
        *t = (kh_touch){.what = at[12], .prev = {kh_load64(at), kh_load32(at + 8), 0}};
        if (at[13] == FROM_BYTES) {
            if (end - at < 32) return KH_E_DAMAGED;
            memcpy(t->key.b, at + 16, 16);
            at += 16;
        } else if (!key_from(ret->is_notice ? NULL : &ret->receipt, ret->is_notice ? &ret->notice : NULL, at[13],
                             kh_load16(at + 14), &t->key))
            return KH_E_DAMAGED;
    }
    if (at != end) return KH_E_DAMAGED;
    ret->touch_cnt = touch_cnt;
    return KH_OK;
}
