/* datagram: sealing requests and opening replies of one lane. */
#include "client/datagram.h"

kh_err kh_lane_open(const uint8_t session[8], uint8_t lane, const uint8_t up[KH_AEAD_KEY_SZ], const uint8_t down[KH_AEAD_KEY_SZ],
                    kh_lane *ret)
{
    kh_lane l = {.lane = lane};
    if (lane >= KH_LANES_MAX) return KH_E_ARG;
    memcpy(l.session, session, 8);
    kh_err err = kh_aead_key_new(KH_AEAD_BEST, up, 1, &l.up);
    if (err == KH_OK) err = kh_aead_key_new(KH_AEAD_BEST, down, 1, &l.down);
    if (err == KH_OK) *ret = l;
    else kh_lane_close(&l);
    return err;
}

void kh_lane_close(kh_lane *lane)
{
    kh_aead_key_free(lane->up);
    kh_aead_key_free(lane->down);
    lane->up = lane->down = NULL;
}

/* What lies behind the header becomes a request. */
static uint32_t seal(kh_lane *lane, uint8_t form, uint8_t *buf, uint32_t body_sz, uint64_t *ret_counter)
{
    uint8_t nonce[KH_AEAD_NONCE_SZ], *body = buf + KH_REQUEST_HEAD_SZ;
    kh_request_head head = {.counter = lane->counter++, .lane = lane->lane, .form = form};
    KH_ASSERT(head.counter <= KH_COUNTER_MAX);
    memcpy(head.session, lane->session, 8);
    kh_request_head_encode(&head, buf);
    kh_request_nonce(head.counter, head.lane, nonce);
    kh_aead_seal(lane->up, 0, nonce, buf, KH_REQUEST_HEAD_SZ, body, body_sz, body + body_sz);
    *ret_counter = head.counter;
    return KH_REQUEST_HEAD_SZ + body_sz + KH_AEAD_TAG_SZ;
}

uint32_t kh_lane_seal(kh_lane *lane, const kh_query queries[], uint32_t n, bool is_long, uint8_t *buf, uint64_t *ret_counter)
{
    uint32_t sz = is_long ? KH_QUERY_LONG_SZ : KH_QUERY_SZ;
    KH_ASSERT(n > 0 && n <= (is_long ? KH_QUERIES_LONG_MAX : KH_QUERIES_MAX));
    for (uint32_t i = 0; i < n; i++) kh_query_encode(&queries[i], is_long, buf + KH_REQUEST_HEAD_SZ + i * (size_t)sz);
    return seal(lane, is_long ? KH_FORM_QUERY_LONG : KH_FORM_QUERY, buf, n * sz, ret_counter);
}

uint32_t kh_lane_seal_frames(kh_lane *lane, const uint8_t *frames, uint32_t n, uint8_t *buf, uint64_t *ret_counter)
{
    KH_ASSERT(n > 0 && n <= KH_FRAMES_MAX_SZ);
    if (frames != buf + KH_REQUEST_HEAD_SZ) memcpy(buf + KH_REQUEST_HEAD_SZ, frames, n);
    return seal(lane, KH_FORM_OPERATIONS, buf, n, ret_counter);
}

bool kh_lane_open_reply(const kh_lane *lane, uint8_t *p, uint32_t n, kh_reply_head *ret, uint64_t *ret_as_of,
                        const uint8_t **ret_body, uint32_t *ret_cnt)
{
    kh_reply_head head;
    uint32_t cnt;
    uint8_t nonce[KH_AEAD_NONCE_SZ], *body = p + KH_REPLY_HEAD_SZ;
    if (kh_reply_head_decode(p, n, &head, &cnt) != KH_OK || memcmp(head.session, lane->session, 8) != 0 ||
        head.request_lane != lane->lane)
        return false;
    uint32_t body_sz = n - KH_REPLY_HEAD_SZ - KH_AEAD_TAG_SZ;
    kh_reply_nonce(head.counter, head.poller, nonce);
    if (!kh_aead_open(lane->down, 0, nonce, p, KH_REPLY_HEAD_SZ, body, body_sz, body + body_sz)) return false;
    *ret = head;
    *ret_as_of = kh_load64(body);
    *ret_body = body + 8;
    *ret_cnt = cnt;
    return true;
}
