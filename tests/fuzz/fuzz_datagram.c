/* fuzz_datagram: any bytes as a datagram, in two ways: as they come off the wire (headers, and the reply's too), and as what an
 * authenticated client sealed (the queries and answers behind the headers). What decodes must encode to the same bytes. */
#include "service/submit.h"
#include "wire/query.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(const uint8_t *p, size_t n)
{
    kh_request_head head;
    uint8_t again[KH_REQUEST_HEAD_SZ], bytes[KH_QUERY_LONG_SZ];
    uint32_t cnt = 0;
    if (kh_request_head_decode(p, n, &head, &cnt) != KH_OK) return;
    kh_request_head_encode(&head, again);
    KH_ASSERT(memcmp(again, p, sizeof again) == 0 && n <= KH_DATAGRAM_MAX_SZ);
    bool is_long = head.form == KH_FORM_QUERY_LONG;
    uint32_t sz = is_long ? KH_QUERY_LONG_SZ : KH_QUERY_SZ;
    if (head.form != KH_FORM_OPERATIONS) KH_ASSERT(cnt > 0 && KH_REQUEST_HEAD_SZ + cnt * sz + 16 == n);
    for (uint32_t i = 0; i < cnt; i++) {
        kh_query q;
        const uint8_t *at = p + KH_REQUEST_HEAD_SZ + i * (size_t)sz;
        if (kh_query_decode(at, is_long, &q) != KH_OK) continue;
        kh_query_encode(&q, is_long, bytes);
        KH_ASSERT(memcmp(bytes, at, sz) == 0);
    }
    if (head.form != KH_FORM_OPERATIONS) return;
    static const kh_principal who[] = {{11, KH_ROLE_BANK, false}, {201, KH_ROLE_SOURCE, false}, {1, KH_ROLE_REGULATOR, false}};
    for (size_t i = 0; i < sizeof who / sizeof who[0]; i++) {
        uint32_t ops = 0;
        kh_code code = kh_submit_check(&who[i], p + KH_REQUEST_HEAD_SZ, n - KH_REQUEST_HEAD_SZ - 16, &ops);
        KH_ASSERT((code == KH_C_OK) == (ops > 0));
    }
}

static void reply(const uint8_t *p, size_t n)
{
    kh_reply_head head;
    uint8_t again[KH_OP_ANSWER_SZ];
    uint32_t cnt = 0;
    if (kh_reply_head_decode(p, n, &head, &cnt) != KH_OK) return;
    kh_reply_head_encode(&head, again);
    KH_ASSERT(memcmp(again, p, KH_REPLY_HEAD_SZ) == 0 && cnt > 0);
    for (uint32_t i = 0; i < cnt; i++) {
        kh_query_answer a;
        kh_op_answer o;
        bool operations = head.form == (KH_FORM_OPERATIONS | KH_FORM_REPLY);
        uint32_t sz = operations ? KH_OP_ANSWER_SZ : KH_ANSWER_SZ;
        const uint8_t *at = p + KH_REPLY_HEAD_SZ + 8 + i * (size_t)sz;
        if (operations && kh_op_answer_decode(at, &o) == KH_OK) kh_op_answer_encode(&o, again);
        else if (!operations && kh_query_answer_decode(at, &a) == KH_OK) kh_query_answer_encode(&a, again);
        else continue;
        KH_ASSERT(memcmp(again, at, sz) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    request(data, size);
    reply(data, size);
    return 0;
}
