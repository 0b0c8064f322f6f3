/* datagram: the client's side of a session: one lane, used by one thread over one UDP socket.
 *
 * Requests are sealed with the next counter of the lane; replies are matched by the (lane, counter) that they name. What is not
 * answered in time is sent again under a new counter; after KH_TRIES silent tries the call ends with KH_E_CLOSED and the caller
 * opens another session. A late answer to an earlier try counts. Sending a question or an operation again is harmless.
 *
 * The half without a socket (seal, open_reply) is for load generators that bring their own packets. */
#ifndef KH_CLIENT_DATAGRAM_H
#define KH_CLIENT_DATAGRAM_H
#include "crypto/aead.h"
#include "wire/query.h"

#define KH_TRIES 3u

/* ---- sealing ---- */
typedef struct kh_lane {
    kh_aead_key *up, *down; /* to the server, to the client */
    uint8_t session[8];
    uint8_t lane;
    uint64_t counter; /* the next request's */
} kh_lane;
KH_MUST kh_err kh_lane_open(const uint8_t session[8], uint8_t lane, const uint8_t up[KH_AEAD_KEY_SZ],
                            const uint8_t down[KH_AEAD_KEY_SZ], kh_lane *ret);
void kh_lane_close(kh_lane *lane);
/* kh_lane_seal makes a request of n queries (of n <= KH_QUERIES_MAX or KH_QUERIES_LONG_MAX) in buf, KH_DATAGRAM_MAX_SZ bytes;
   returns its length and the counter it bears. kh_lane_seal_frames: of operation frames (n bytes, at most KH_FRAMES_MAX_SZ),
   which may lie in buf already, KH_REQUEST_HEAD_SZ from its begin. */
#define KH_FRAMES_MAX_SZ (KH_DATAGRAM_MAX_SZ - KH_REQUEST_HEAD_SZ - KH_AEAD_TAG_SZ)
uint32_t kh_lane_seal(kh_lane *lane, const kh_query queries[], uint32_t n, bool is_long, uint8_t *buf, uint64_t *ret_counter);
uint32_t kh_lane_seal_frames(kh_lane *lane, const uint8_t *frames, uint32_t n, uint8_t *buf, uint64_t *ret_counter);
/* kh_lane_open_reply opens a reply in place: false: not of this lane, or not sound. *ret_body: its answers, *ret_cnt how many. */
KH_MUST bool kh_lane_open_reply(const kh_lane *lane, uint8_t *p, uint32_t n, kh_reply_head *ret, uint64_t *ret_as_of,
                                const uint8_t **ret_body, uint32_t *ret_cnt);

/* ---- over a socket ---- */
typedef struct kh_channel kh_channel;
typedef struct kh_channel_options {
    const char *address; /* "127.0.0.1:8444", "[::1]:8444" */
    uint8_t session[8];
    uint8_t lane;
    uint8_t up[KH_AEAD_KEY_SZ], down[KH_AEAD_KEY_SZ];
    uint32_t max_queries;   /* as granted; 0: KH_QUERIES_MAX */
    uint32_t window;        /* datagrams in flight; 0: 64, at most 1,024 */
    uint32_t timeout_ms;    /* of one try; 0: 500 */
    uint32_t op_timeout_ms; /* of one try of operations, answered after their commit; 0: 2,000 */
} kh_channel_options;
KH_MUST kh_err kh_channel_open(const kh_channel_options *options, kh_channel **ret); /* KH_E_ARG, KH_E_IO, KH_E_NOMEM */
void kh_channel_close(kh_channel *channel);

typedef struct kh_channel_stats {
    uint64_t sent, again, answered, stray; /* stray: what came and was no answer to anything in flight */
} kh_channel_stats;
/* kh_channel_verify asks n queries, many datagrams in flight; ret_answers[i] belongs to queries[i], ret_as_of (may be NULL) the
   height that it stands for. is_long: the 64-byte form. done (may be NULL) is called as answers come, with how many of n.
   KH_E_CLOSED: three silent tries; what has no answer then has code KH_C_NOT_CHECKED. */
KH_MUST kh_err kh_channel_verify(kh_channel *channel, const kh_query queries[], uint32_t n, bool is_long,
                                 kh_query_answer ret_answers[], uint64_t ret_as_of[],
                                 void (*done)(void *ctx, uint32_t answered, uint32_t of), void *ctx);
/* kh_channel_operate sends frames of op_cnt operations (each <= KH_FRAMES_MAX_SZ), packed into datagrams in order, and waits for
   all answers. Datagrams of one call may be decided in another order: put what depends on each other into one, or wait between.
 */
KH_MUST kh_err kh_channel_operate(kh_channel *channel, const uint8_t *frames, size_t n, uint32_t op_cnt,
                                  kh_op_answer ret_answers[]);
/* kh_channel_stream sends n operations in batches of `batch`, `batches` of them (1 to 64) under way at once: the datagrams of one
   go together, and the next is begun when one is answered whole. KH_OK does not say that all have an answer: where one is refused
   no more are sent. KH_E_AGAIN: many got lost, so no more were sent. KH_E_ARG too where frame fails. */
typedef struct kh_stream {
    uint32_t n, batch, batches;
    /* frame makes the frame of operation i in p: KH_E_FULL where cap is too small. Sent again, it is made again. */
    kh_err (*frame)(void *ctx, uint32_t i, uint8_t *p, size_t cap, size_t *ret_n);
    void (*answer)(void *ctx, uint32_t i, const kh_op_answer *answer);
    void *ctx;
} kh_stream;
KH_MUST kh_err kh_channel_stream(kh_channel *channel, const kh_stream *stream);
void kh_channel_get_stats(const kh_channel *channel, kh_channel_stats *ret);
#endif
