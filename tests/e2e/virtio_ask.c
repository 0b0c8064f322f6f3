/* virtio_ask: a party's program on the other side of kanhed's vhost-user port: its session comes over HTTPS, its sealed datagrams
 * go through a virtio-user device.
 *   virtio_ask SOCKET SECONDS URL CA CERT KEY COUNT
 * Keeps 128 datagrams of 1 to 40 questions in flight. Prints "loaded" after the first 2,000 answers, "answers N" at the end; a
 * wrong answer ends it with 1. */
#include "client/session.h"
#include "questions.h"
#include "virtio_flight.h"

#define WINDOW 128u
#define KNOWN 4096u /* counters that are remembered: more than can be in flight */

static kh_lane lane;
static kh_query *queries; /* queries[i] is question i + 1 */
static uint32_t count;
static struct {
    uint64_t counter;
    uint32_t first, cnt; /* 0: answered */
} known[KNOWN];

static void open_lane(char **argv)
{
    char why[300];
    kh_session_opened session;
    kh_client *client;
    kh_client_options options = kh_client_options_default(argv[3]);
    options.ca = argv[4], options.cert = argv[5], options.key = argv[6];
    if (kh_client_open(&options, why, sizeof why, &client) != KH_DONE) virtio_fail(why);
    if (kh_client_session(client, &session) != KH_DONE) virtio_fail(kh_client_message(client));
    if (kh_lane_open(session.channel.session, 0, session.channel.up, session.channel.down, &lane) != KH_OK)
        virtio_fail("no lane");
    kh_client_close(client);
}

static struct rte_mbuf *make(void)
{
    static uint32_t turn;
    struct rte_mbuf *m = rte_pktmbuf_alloc(virtio_pool);
    if (m == NULL) return NULL;
    uint32_t cnt = 1 + turn % KH_QUERIES_MAX, first = turn * 31 % (count - KH_QUERIES_MAX);
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    uint64_t counter;
    uint32_t n = kh_lane_seal(&lane, queries + first, cnt, false, frame + HEAD_SZ, &counter);
    turn++;
    known[counter % KNOWN].counter = counter;
    known[counter % KNOWN].first = first;
    known[counter % KNOWN].cnt = cnt;
    virtio_head(frame, n);
    m->data_len = (uint16_t)(HEAD_SZ + n);
    m->pkt_len = HEAD_SZ + n;
    return m;
}

static void check(uint8_t *frame, uint32_t n)
{
    kh_reply_head head;
    uint64_t as_of;
    const uint8_t *body;
    uint32_t cnt, size = n < HEAD_SZ ? 0 : ((uint32_t)frame[38] << 8 | frame[39]) - 8; /* of UDP: short frames are padded */
    if (size + HEAD_SZ > n || memcmp(frame + 26, our_ip4, 4) != 0 || slow_sum(0, frame + 14, 20) != 0xffff)
        virtio_fail("no datagram of the hub");
    if (!kh_lane_open_reply(&lane, frame + HEAD_SZ, size, &head, &as_of, &body, &cnt)) virtio_fail("a reply does not open");
    if (known[head.request_counter % KNOWN].counter != head.request_counter || known[head.request_counter % KNOWN].cnt != cnt)
        virtio_fail("an answer to what was not asked, or answered before");
    for (uint32_t i = 0; i < cnt; i++) {
        kh_query_answer answer;
        if (kh_query_answer_decode(body + i * KH_ANSWER_SZ, &answer) != KH_OK ||
            !question_answered(known[head.request_counter % KNOWN].first + i + 1, (uint16_t)answer.code, answer.free))
            virtio_fail("a wrong answer");
    }
    known[head.request_counter % KNOWN].cnt = 0;
}

int main(int argc, char **argv)
{
    if (argc != 8) return 2;
    count = (uint32_t)atoi(argv[7]);
    if (count <= KH_QUERIES_MAX) return 2;
    queries = calloc(count, sizeof *queries);
    if (queries == NULL) virtio_fail("no memory");
    for (uint32_t i = 0; i < count; i++) queries[i] = question_query(i + 1);
    open_lane(argv);
    virtio_open(argv[1]);
    uint64_t got = virtio_load(WINDOW, atof(argv[2]), 2000);
    printf("answers %llu\n", (unsigned long long)got);
    free(queries);
    return got > 0 ? 0 : 1;
}
