/* query: datagrams of a session: their headers, queries, answers, and what answers operations. docs/PROTOCOL.md, byte by byte.
 *
 *   request  header 16 (clear, authenticated): session 8, counter 6, lane 1, form 1 | body (sealed) | tag 16
 *   reply    header 24 (clear, authenticated): session 8, counter 6, poller 1, form 1, the request's counter 6, its lane 1, zero
 * 1 | body (sealed): as_of 8, then 16 bytes a query or 48 an operation | tag 16
 *
 * The number of queries follows from the length. A reply to queries is never longer than its request. Pure; nothing is read
 * beyond n, nothing allocated. */
#ifndef KH_WIRE_QUERY_H
#define KH_WIRE_QUERY_H
#include "wire/wire.h"

#define KH_DATAGRAM_MAX_SZ 1452u /* UDP payload that fits an Ethernet frame under IPv6 too */
#define KH_REQUEST_HEAD_SZ 16u
#define KH_REPLY_HEAD_SZ 24u
#define KH_REPLY_FIXED_SZ (KH_REPLY_HEAD_SZ + 8u + 16u) /* header, as_of, tag */
#define KH_QUERY_SZ 32u
#define KH_QUERY_LONG_SZ 64u
#define KH_ANSWER_SZ 16u
#define KH_OP_ANSWER_SZ 48u
#define KH_QUERIES_MAX 40u      /* of one datagram, short form */
#define KH_QUERIES_LONG_MAX 20u /* long form */
#define KH_DATAGRAM_OPS_MAX 24u
#define KH_LANES_MAX 64u
#define KH_COUNTER_MAX ((UINT64_C(1) << 46) - 1) /* of 48 bits on the wire: a session ends long before */

typedef enum kh_form {
    KH_FORM_QUERY = 1,      /* queries of 32 bytes */
    KH_FORM_QUERY_LONG = 2, /* of 64 */
    KH_FORM_OPERATIONS = 3, /* frames of wire.h, 1 to KH_DATAGRAM_OPS_MAX */
    KH_FORM_REPLY = 0x80    /* set in what the server sends */
} kh_form;

typedef struct kh_request_head {
    uint8_t session[8];
    uint64_t counter; /* 0 .. KH_COUNTER_MAX */
    uint8_t lane;     /* 0 .. KH_LANES_MAX - 1 */
    uint8_t form;
} kh_request_head;
void kh_request_head_encode(const kh_request_head *head, uint8_t ret[KH_REQUEST_HEAD_SZ]);
/* kh_request_head_load reads the header's bytes, whatever they say; kh_request_head_sound: are counter and lane in bounds? */
static inline kh_request_head kh_request_head_load(const uint8_t p[KH_REQUEST_HEAD_SZ])
{
    kh_request_head head;
    uint64_t v = kh_load64(p + 8);
    memcpy(head.session, p, 8);
    head.counter = v & ((UINT64_C(1) << 48) - 1);
    head.lane = (uint8_t)(v >> 48);
    head.form = (uint8_t)(v >> 56);
    return head;
}
static inline bool kh_request_head_sound(const kh_request_head *head)
{
    return head->counter <= KH_COUNTER_MAX && head->lane < KH_LANES_MAX;
}
/* kh_request_head_decode: is it sound, and does a datagram of n bytes and this form hold a whole number of queries, in bounds?
 *ret_cnt: how many; operations: 0, their frames are counted later. */
KH_MUST kh_err kh_request_head_decode(const uint8_t *p, size_t n, kh_request_head *ret, uint32_t *ret_cnt);
/* kh_request_nonce: 4 zero bytes, counter 6, lane 1, zero. */
void kh_request_nonce(uint64_t counter, uint8_t lane, uint8_t ret[12]);

typedef struct kh_reply_head {
    uint8_t session[8];
    uint64_t counter; /* the poller's */
    uint8_t poller;
    uint8_t form; /* the request's | KH_FORM_REPLY */
    uint64_t request_counter;
    uint8_t request_lane;
} kh_reply_head;
static inline void kh_reply_head_encode(const kh_reply_head *head, uint8_t ret[KH_REPLY_HEAD_SZ])
{
    const uint64_t all = (UINT64_C(1) << 48) - 1; /* of a counter's 6 bytes */
    memcpy(ret, head->session, 8);
    kh_store64(ret + 8, (head->counter & all) | (uint64_t)head->poller << 48 | (uint64_t)head->form << 56);
    kh_store64(ret + 16, (head->request_counter & all) | (uint64_t)head->request_lane << 48);
}
KH_MUST kh_err kh_reply_head_decode(const uint8_t *p, size_t n, kh_reply_head *ret, uint32_t *ret_cnt);
void kh_reply_nonce(uint64_t counter, uint8_t poller, uint8_t ret[12]); /* 4 zero bytes, counter 6, poller 1, 0x80 */

typedef struct kh_query {
    kh_key key;
    uint64_t amount;      /* KH_AMOUNT_NONE: states none */
    uint32_t owner_check; /* doc/number.h: kh_owner_check; 0: states none */
    kh_currency currency; /* 0: states none */
    kh_date date;         /* 0: states none */
    /* the long form only */
    uint64_t contract; /* kh_contract_digest; 0: states none */
    uint64_t want;     /* KH_AMOUNT_NONE: any free above 0 */
    uint32_t version;  /* 0: states none */
    int8_t direction;  /* 0 not stated, +1 export, -1 import */
} kh_query;
void kh_query_encode(const kh_query *query, bool is_long, uint8_t *ret); /* KH_QUERY_SZ or KH_QUERY_LONG_SZ bytes */
/* kh_query_decode: KH_E_FORMAT where bytes that must be zero are not (long form); the short form always decodes. */
KH_MUST static inline kh_err kh_query_decode(const uint8_t *p, bool is_long, kh_query *ret)
{
    memcpy(ret->key.b, p, 16);
    ret->amount = kh_load64(p + 16);
    ret->owner_check = kh_load32(p + 24);
    ret->currency = kh_load16(p + 28);
    ret->date = kh_load16(p + 30);
    ret->contract = is_long ? kh_load64(p + 32) : 0;
    ret->want = is_long ? kh_load64(p + 40) : KH_AMOUNT_NONE;
    ret->version = is_long ? kh_load32(p + 48) : 0;
    ret->direction = is_long ? (int8_t)p[52] : 0;
    if (!is_long) return KH_OK;
    bool sound =
        (kh_load64(p + 56) | kh_load32(p + 53)) == 0 && ret->direction >= -1 && ret->direction <= 1; /* 53 to 63 are zero */
    return sound ? KH_OK : KH_E_FORMAT;
}

typedef struct kh_query_answer {
    kh_code code;
    uint8_t mismatch;     /* KH_FIELD_*; with FIELD_MISMATCH only */
    kh_status status;     /* NONE where it may not be told */
    kh_currency currency; /* of `free` */
    uint32_t version;
    uint64_t free;      /* KH_AMOUNT_NONE where it may not be told */
    uint64_t watermark; /* ns; with NOT_FOUND only */
} kh_query_answer;
/* {free or watermark 8, version 4, currency 2, code 1, status or mismatch 1} */
static inline void kh_query_answer_encode(const kh_query_answer *answer, uint8_t ret[KH_ANSWER_SZ])
{
    uint64_t last = answer->code == KH_C_FIELD_MISMATCH ? answer->mismatch : (uint8_t)answer->status;
    kh_store64(ret, answer->code == KH_C_NOT_FOUND ? answer->watermark : answer->free);
    kh_store64(ret + 8, answer->version | (uint64_t)answer->currency << 32 | (uint64_t)(uint8_t)answer->code << 48 | last << 56);
}
KH_MUST kh_err kh_query_answer_decode(const uint8_t *p, kh_query_answer *ret);

/* What a datagram says of an operation's receipt: without its lines. */
typedef struct kh_op_answer {
    uint64_t height; /* where its outcome stands: of this entry, or of the first time it was answered */
    uint64_t sequence, financing, amount;
    uint32_t version;
    kh_code code, warning;
    uint16_t mismatch;
    kh_currency currency;
    uint8_t type, effect, state;
    uint8_t refused; /* 1: the service refused the whole datagram with `code`, nothing was submitted */
} kh_op_answer;
void kh_op_answer_of_receipt(const kh_receipt *receipt, uint64_t height, kh_op_answer *ret);
void kh_op_answer_encode(const kh_op_answer *answer, uint8_t ret[KH_OP_ANSWER_SZ]);
KH_MUST kh_err kh_op_answer_decode(const uint8_t *p, kh_op_answer *ret);
#endif
