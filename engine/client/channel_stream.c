/* channel_stream: operations that are made as they go, in batches: the next is begun when one is answered whole. */
#include "client/channel_inside.h"

enum {
    WINDOW = 128,      /* datagrams: what a socket holds that nobody made larger */
    LOSSES = 8,        /* more than these, ... */
    LOSSES_SHARE = 64, /* and more than one of so many: the way is not for this */
    BATCHES_MAX = 64
};

typedef struct stream {
    kh_work work;
    const kh_stream *s;
    uint32_t next, open_cnt;
    bool stopped, lossy;
    struct {
        uint32_t number, left;
    } open[BATCHES_MAX]; /* batches under way */
    kh_channel_stats before;
    const kh_channel *channel;
} stream;

static bool loses(const stream *st)
{
    uint64_t again = st->channel->stats.again - st->before.again, sent = st->channel->stats.sent - st->before.sent;
    return again > LOSSES && again > sent / LOSSES_SHARE;
}

static void stop(stream *st)
{
    if (!st->stopped) st->work.left -= st->s->n - st->next;
    st->stopped = true;
}

static bool next_job(kh_work *work, uint32_t *ret_job)
{
    stream *st = (stream *)work;
    if (!st->stopped && loses(st)) {
        st->lossy = true;
        stop(st);
    }
    if (st->stopped || st->next == st->s->n) return false;
    if (st->next % st->s->batch == 0) {
        if (st->open_cnt == st->s->batches) return false;
        uint32_t rest = st->s->n - st->next;
        st->open[st->open_cnt].number = st->next / st->s->batch;
        st->open[st->open_cnt++].left = rest < st->s->batch ? rest : st->s->batch;
    }
    *ret_job = st->next;
    return true;
}

/* A datagram's operations are of one batch; sent again, they are the same. */
static uint32_t seal_ops(kh_work *work, kh_channel *c, kh_flight *flight, uint8_t *buf, uint64_t *ret_counter)
{
    stream *st = (stream *)work;
    uint8_t *frames = buf + KH_REQUEST_HEAD_SZ;
    uint32_t in_batch = st->s->batch - flight->job % st->s->batch, rest = st->s->n - flight->job, cnt = 0;
    uint32_t most = flight->tries > 0 ? flight->cnt : in_batch < rest ? in_batch : rest;
    size_t n = 0, size;
    kh_err err = KH_OK;
    if (most > KH_DATAGRAM_OPS_MAX) most = KH_DATAGRAM_OPS_MAX;
    for (; cnt < most && err == KH_OK; cnt++, n += size) {
        err = st->s->frame(st->s->ctx, flight->job + cnt, frames + n, KH_FRAMES_MAX_SZ - n, &size);
        if (err != KH_OK) break;
    }
    if (cnt == 0 || (err != KH_OK && err != KH_E_FULL)) return 0;
    if (flight->tries == 0) st->next += cnt;
    flight->cnt = cnt;
    return kh_lane_seal_frames(&c->lane, frames, (uint32_t)n, buf, ret_counter);
}

static void batch_answered(stream *st, uint32_t job, uint32_t cnt)
{
    uint32_t i = 0;
    while (st->open[i].number != job / st->s->batch) i++;
    st->open[i].left -= cnt;
    if (st->open[i].left == 0) st->open[i] = st->open[--st->open_cnt];
}

static uint32_t take_receipts(kh_work *work, const kh_flight *flight, const uint8_t *body, uint32_t cnt, uint64_t as_of)
{
    stream *st = (stream *)work;
    kh_op_answer answers[KH_DATAGRAM_OPS_MAX];
    bool refused;
    (void)as_of;
    if (!kh_channel_receipts(body, cnt, flight->cnt, answers, &refused)) return 0;
    if (refused) stop(st);
    for (uint32_t i = 0; i < flight->cnt && !refused; i++) st->s->answer(st->s->ctx, flight->job + i, &answers[i]);
    batch_answered(st, flight->job, flight->cnt);
    return flight->cnt;
}

kh_err kh_channel_stream(kh_channel *c, const kh_stream *s)
{
    stream st = {.work = {.window = WINDOW,
                          .left = s->n,
                          .timeout_ns = c->op_timeout_ns,
                          .next = next_job,
                          .seal = seal_ops,
                          .take = take_receipts},
                 .s = s,
                 .before = c->stats,
                 .channel = c};
    if (s->batch == 0 || s->batches == 0 || s->batches > BATCHES_MAX) return KH_E_ARG;
    kh_err err = kh_channel_run(c, &st.work);
    return err == KH_OK && st.lossy ? KH_E_AGAIN : err;
}
