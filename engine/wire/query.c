/* query: bytes of datagrams; docs/PROTOCOL.md. */
#include "wire/query.h"

enum { FRAME_MIN_SZ = 24, TAG_SZ = 16 };

static void store48(uint8_t *p, uint64_t v)
{
    kh_store32(p, (uint32_t)v);
    kh_store16(p + 4, (uint16_t)(v >> 32));
}

static uint64_t load48(const uint8_t *p) { return kh_load32(p) | (uint64_t)kh_load16(p + 4) << 32; }

/* ---- headers ---- */

void kh_request_head_encode(const kh_request_head *head, uint8_t ret[KH_REQUEST_HEAD_SZ])
{
    memcpy(ret, head->session, 8);
    store48(ret + 8, head->counter);
    ret[14] = head->lane;
    ret[15] = head->form;
}

static inline __attribute__((always_inline)) bool whole(size_t n, uint32_t size, uint32_t max, uint32_t *ret_cnt)
{
    if (n == 0 || n % size != 0 || n / size > max) return false;
    *ret_cnt = (uint32_t)(n / size);
    return true;
}

/* How many items of a form lie in n bytes: false where they are no whole number, none or too many. Inline: sizes are constants.
 */
static inline __attribute__((always_inline)) bool count(uint8_t form, size_t n, uint32_t query_sz, uint32_t long_sz,
                                                        uint32_t op_sz, uint32_t *ret_cnt)
{
    if (KH_LIKELY(form == KH_FORM_QUERY)) return whole(n, query_sz, KH_QUERIES_MAX, ret_cnt);
    if (form == KH_FORM_QUERY_LONG) return whole(n, long_sz, KH_QUERIES_LONG_MAX, ret_cnt);
    return whole(n, op_sz, KH_DATAGRAM_OPS_MAX, ret_cnt);
}

kh_err kh_request_head_decode(const uint8_t *p, size_t n, kh_request_head *ret, uint32_t *ret_cnt)
{
    uint32_t cnt = 0;
    if (n < KH_REQUEST_HEAD_SZ + TAG_SZ || n > KH_DATAGRAM_MAX_SZ) return KH_E_FORMAT;
    size_t body = n - KH_REQUEST_HEAD_SZ - TAG_SZ;
    const kh_request_head head = kh_request_head_load(p);
    if (!kh_request_head_sound(&head)) return KH_E_FORMAT;
    if (head.form == KH_FORM_OPERATIONS) {
        if (body < FRAME_MIN_SZ || body % 8 != 0) return KH_E_FORMAT;
    } else if (head.form != KH_FORM_QUERY && head.form != KH_FORM_QUERY_LONG) return KH_E_FORMAT;
    else if (!count(head.form, body, KH_QUERY_SZ, KH_QUERY_LONG_SZ, KH_OP_ANSWER_SZ, &cnt)) return KH_E_FORMAT;
    *ret = head;
    *ret_cnt = cnt;
    return KH_OK;
}

void kh_request_nonce(uint64_t counter, uint8_t lane, uint8_t ret[12])
{
    kh_store32(ret, 0);
    store48(ret + 4, counter);
    ret[10] = lane;
    ret[11] = 0;
}

kh_err kh_reply_head_decode(const uint8_t *p, size_t n, kh_reply_head *ret, uint32_t *ret_cnt)
{
    kh_reply_head head;
    uint32_t cnt = 0;
    if (n < KH_REPLY_FIXED_SZ || n > KH_DATAGRAM_MAX_SZ) return KH_E_FORMAT;
    memcpy(head.session, p, 8);
    head.counter = load48(p + 8);
    head.poller = p[14];
    head.form = p[15];
    head.request_counter = load48(p + 16);
    head.request_lane = p[22];
    uint8_t form = head.form & (uint8_t)~KH_FORM_REPLY;
    if ((head.form & KH_FORM_REPLY) == 0 || form < KH_FORM_QUERY || form > KH_FORM_OPERATIONS || p[23] != 0) return KH_E_FORMAT;
    if (!count(form, n - KH_REPLY_FIXED_SZ, KH_ANSWER_SZ, KH_ANSWER_SZ, KH_OP_ANSWER_SZ, &cnt)) return KH_E_FORMAT;
    *ret = head;
    *ret_cnt = cnt;
    return KH_OK;
}

void kh_reply_nonce(uint64_t counter, uint8_t poller, uint8_t ret[12])
{
    kh_store32(ret, 0);
    store48(ret + 4, counter);
    ret[10] = poller;
    ret[11] = KH_FORM_REPLY;
}

/* ---- queries and answers ---- */

void kh_query_encode(const kh_query *query, bool is_long, uint8_t *ret)
{
    memcpy(ret, query->key.b, 16);
    kh_store64(ret + 16, query->amount);
    kh_store32(ret + 24, query->owner_check);
    kh_store16(ret + 28, query->currency);
    kh_store16(ret + 30, query->date);
    if (!is_long) return;
    kh_store64(ret + 32, query->contract);
    kh_store64(ret + 40, query->want);
    kh_store32(ret + 48, query->version);
    ret[52] = (uint8_t)query->direction;
    memset(ret + 53, 0, 11);
}

kh_err kh_query_answer_decode(const uint8_t *p, kh_query_answer *ret)
{
    bool mismatch = p[14] == KH_C_FIELD_MISMATCH, not_found = p[14] == KH_C_NOT_FOUND;
    if (!mismatch && p[15] >= KH_STATUS_CNT) return KH_E_FORMAT;
    *ret = (kh_query_answer){.code = p[14],
                             .mismatch = mismatch ? p[15] : 0,
                             .status = mismatch ? KH_STATUS_NONE : (kh_status)p[15],
                             .currency = kh_load16(p + 12),
                             .version = kh_load32(p + 8),
                             .free = not_found ? KH_AMOUNT_NONE : kh_load64(p),
                             .watermark = not_found ? kh_load64(p) : 0};
    return KH_OK;
}

/* ---- operations ---- */

void kh_op_answer_of_receipt(const kh_receipt *receipt, uint64_t height, kh_op_answer *ret)
{
    *ret = (kh_op_answer){.height = receipt->ref_height != 0 ? receipt->ref_height : height,
                          .sequence = receipt->sequence,
                          .financing = receipt->financing,
                          .amount = receipt->amount,
                          .version = receipt->version,
                          .code = receipt->code,
                          .warning = receipt->warning,
                          .mismatch = receipt->mismatch,
                          .currency = receipt->currency,
                          .type = receipt->type,
                          .effect = receipt->effect,
                          .state = receipt->state};
}

void kh_op_answer_encode(const kh_op_answer *answer, uint8_t ret[KH_OP_ANSWER_SZ])
{
    kh_store64(ret, answer->height);
    kh_store64(ret + 8, answer->sequence);
    kh_store64(ret + 16, answer->financing);
    kh_store64(ret + 24, answer->amount);
    kh_store32(ret + 32, answer->version);
    kh_store16(ret + 36, answer->code);
    kh_store16(ret + 38, answer->warning);
    kh_store16(ret + 40, answer->mismatch);
    kh_store16(ret + 42, answer->currency);
    ret[44] = answer->type;
    ret[45] = answer->effect;
    ret[46] = answer->state;
    ret[47] = answer->refused;
}

kh_err kh_op_answer_decode(const uint8_t *p, kh_op_answer *ret)
{
    if (p[47] > 1) return KH_E_FORMAT;
    *ret = (kh_op_answer){.height = kh_load64(p),
                          .sequence = kh_load64(p + 8),
                          .financing = kh_load64(p + 16),
                          .amount = kh_load64(p + 24),
                          .version = kh_load32(p + 32),
                          .code = kh_load16(p + 36),
                          .warning = kh_load16(p + 38),
                          .mismatch = kh_load16(p + 40),
                          .currency = kh_load16(p + 42),
                          .type = p[44],
                          .effect = p[45],
                          .state = p[46],
                          .refused = p[47]};
    return KH_OK;
}
