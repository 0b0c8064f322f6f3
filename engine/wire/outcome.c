/* outcome: the bytes of receipts and notices, which digests and journals cover. */
#include "wire/wire.h"

enum { RECEIPT_FIXED_SZ = 96, RECEIPT_LINE_SZ = 40 };
_Static_assert(RECEIPT_FIXED_SZ + RECEIPT_LINE_SZ * KH_LINES_MAX <= KH_RECEIPT_MAX_SZ, "a receipt fits its bound");

size_t kh_receipt_encode(const kh_receipt *receipt, uint8_t buf[KH_RECEIPT_MAX_SZ])
{
    const kh_receipt *r = receipt;
    KH_ASSERT(r->line_cnt <= KH_LINES_MAX);
    size_t size = RECEIPT_FIXED_SZ + (size_t)RECEIPT_LINE_SZ * r->line_cnt;
    kh_store32(buf, (uint32_t)size);
    buf[4] = r->type;
    buf[5] = r->effect;
    kh_store16(buf + 6, r->code);
    kh_store16(buf + 8, r->warning);
    buf[10] = r->state;
    buf[11] = r->event;
    buf[12] = r->reason;
    buf[13] = r->source;
    kh_store16(buf + 14, r->currency);
    kh_store32(buf + 16, r->party);
    kh_store32(buf + 20, r->ref_index);
    kh_store64(buf + 24, r->sequence);
    kh_store64(buf + 32, r->ref_height);
    kh_store32(buf + 40, r->version);
    kh_store32(buf + 44, r->line_cnt);
    kh_store64(buf + 48, r->financing);
    kh_store64(buf + 56, r->amount);
    kh_store64(buf + 64, r->moved);
    kh_store32(buf + 72, r->enterprise);
    kh_store16(buf + 76, r->mismatch);
    kh_store16(buf + 78, 0);
    memcpy(buf + 80, r->key.b, 16);
    uint8_t *p = buf + RECEIPT_FIXED_SZ;
    for (uint32_t i = 0; i < r->line_cnt; i++, p += RECEIPT_LINE_SZ) {
        const kh_receipt_line *line = &r->lines[i];
        memcpy(p, line->key.b, 16);
        kh_store64(p + 16, line->amount);
        kh_store64(p + 24, line->allocated);
        kh_store16(p + 32, line->currency);
        kh_store16(p + 34, line->code);
        kh_store32(p + 36, line->flags);
    }
    return size;
}

kh_err kh_receipt_decode(const uint8_t *p, size_t n, kh_receipt_line lines[KH_LINES_MAX], kh_receipt *ret, size_t *ret_n)
{
    if (n < RECEIPT_FIXED_SZ) return KH_E_FORMAT;
    size_t size = kh_load32(p);
    uint32_t cnt = kh_load32(p + 44);
    if (cnt > KH_LINES_MAX || size != RECEIPT_FIXED_SZ + (size_t)RECEIPT_LINE_SZ * cnt || size > n || kh_load16(p + 78) != 0)
        return KH_E_FORMAT;
    kh_receipt r = {.type = p[4],
                    .effect = p[5],
                    .code = kh_load16(p + 6),
                    .warning = kh_load16(p + 8),
                    .state = p[10],
                    .event = p[11],
                    .reason = p[12],
                    .source = p[13],
                    .currency = kh_load16(p + 14),
                    .party = kh_load32(p + 16),
                    .ref_index = kh_load32(p + 20),
                    .sequence = kh_load64(p + 24),
                    .ref_height = kh_load64(p + 32),
                    .version = kh_load32(p + 40),
                    .line_cnt = cnt,
                    .financing = kh_load64(p + 48),
                    .amount = kh_load64(p + 56),
                    .moved = kh_load64(p + 64),
                    .enterprise = kh_load32(p + 72),
                    .mismatch = kh_load16(p + 76),
                    .lines = lines};
    memcpy(r.key.b, p + 80, 16);
    if (r.type >= KH_OP_TYPE_CNT) return KH_E_FORMAT;
    const uint8_t *at = p + RECEIPT_FIXED_SZ;
    for (uint32_t i = 0; i < cnt; i++, at += RECEIPT_LINE_SZ) {
        memcpy(lines[i].key.b, at, 16);
        lines[i].amount = kh_load64(at + 16);
        lines[i].allocated = kh_load64(at + 24);
        lines[i].currency = kh_load16(at + 32);
        lines[i].code = kh_load16(at + 34);
        lines[i].flags = kh_load32(at + 36);
        if (lines[i].flags != 0) return KH_E_FORMAT;
    }
    *ret = r;
    *ret_n = size;
    return KH_OK;
}

bool kh_receipt_first_key(const uint8_t *p, size_t n, kh_key *ret)
{
    if (n < RECEIPT_FIXED_SZ + RECEIPT_LINE_SZ || kh_load32(p + 44) == 0) return false;
    memcpy(ret->b, p + RECEIPT_FIXED_SZ, sizeof ret->b);
    return true;
}

size_t kh_notice_encode(const kh_notice *notice, uint8_t buf[KH_NOTICE_SZ])
{
    memset(buf, 0, KH_NOTICE_SZ);
    kh_store32(buf, KH_NOTICE_SZ);
    buf[4] = notice->type;
    buf[5] = notice->state;
    kh_store16(buf + 6, notice->currency);
    kh_store32(buf + 8, notice->party);
    buf[12] = notice->has_financing;
    buf[13] = notice->has_key;
    kh_store64(buf + 16, notice->financing);
    kh_store32(buf + 24, notice->version);
    kh_store64(buf + 32, notice->amount);
    kh_store64(buf + 40, notice->moved);
    memcpy(buf + 48, notice->key.b, 16);
    return KH_NOTICE_SZ;
}

kh_err kh_notice_decode(const uint8_t *p, size_t n, kh_notice *ret, size_t *ret_n)
{
    if (n < KH_NOTICE_SZ || kh_load32(p) != KH_NOTICE_SZ || p[4] == 0 || p[4] >= KH_NOTICE_TYPE_CNT || p[12] > 1 || p[13] > 1 ||
        kh_load16(p + 14) != 0 || kh_load32(p + 28) != 0)
        return KH_E_FORMAT;
    kh_notice r = {.type = p[4],
                   .state = p[5],
                   .currency = kh_load16(p + 6),
                   .party = kh_load32(p + 8),
                   .has_financing = p[12],
                   .has_key = p[13],
                   .financing = kh_load64(p + 16),
                   .version = kh_load32(p + 24),
                   .amount = kh_load64(p + 32),
                   .moved = kh_load64(p + 40)};
    memcpy(r.key.b, p + 48, 16);
    *ret = r;
    *ret_n = KH_NOTICE_SZ;
    return KH_OK;
}

const char *kh_notice_word(kh_notice_type type)
{
    switch (type) {
    case KH_NOTICE_LAPSED: return "LAPSED";
    case KH_NOTICE_LINE_CANCELLED: return "LINE_CANCELLED";
    case KH_NOTICE_OVER_LIMIT: return "OVER_LIMIT";
    case KH_NOTICE_REVOKED: return "REVOKED";
    case KH_NOTICE_FROZEN_DOCUMENT: return "FROZEN_DOCUMENT";
    case KH_NOTICE_SIMILAR: return "SIMILAR";
    case KH_NOTICE_LINKED: return "LINKED";
    case KH_NOTICE_WITHIN_LIMIT: return "WITHIN_LIMIT";
    case KH_NOTICE_MESSAGE_APPLIED: return "MESSAGE_APPLIED";
    case KH_NOTICE_LOOKUP: return "LOOKUP";
    default: return "UNKNOWN";
    }
}
