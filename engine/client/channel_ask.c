/* channel_ask: questions and operations that are all there when the call begins, cut into jobs. */
#include "client/channel_inside.h"
#include <stdlib.h>

typedef struct ask {
    kh_work work;
    uint32_t sent, job_cnt;
    /* verify */
    const kh_query *queries;
    uint32_t query_cnt, per_job;
    bool is_long;
    kh_query_answer *answers;
    uint64_t *as_of;
    uint32_t answered;
    void (*done)(void *ctx, uint32_t answered, uint32_t of);
    void *ctx;
    /* operate */
    const uint8_t *frames;
    size_t *ends;        /* bytes, by job */
    uint32_t *first_ops; /* by job, and the end */
    kh_op_answer *op_answers;
} ask;

static bool next_job(kh_work *work, uint32_t *ret_job)
{
    ask *a = (ask *)work;
    if (a->sent == a->job_cnt) return false;
    *ret_job = a->sent++;
    return true;
}

/* ---- verify ---- */

static uint32_t job_queries(const ask *a, uint32_t job)
{
    uint32_t first = job * a->per_job;
    return a->query_cnt - first < a->per_job ? a->query_cnt - first : a->per_job;
}

static uint32_t seal_queries(kh_work *work, kh_channel *c, kh_flight *flight, uint8_t *buf, uint64_t *ret_counter)
{
    const ask *a = (const ask *)work;
    return kh_lane_seal(&c->lane, a->queries + (size_t)flight->job * a->per_job, job_queries(a, flight->job), a->is_long, buf,
                        ret_counter);
}

static uint32_t take_answers(kh_work *work, const kh_flight *flight, const uint8_t *body, uint32_t cnt, uint64_t as_of)
{
    ask *a = (ask *)work;
    uint32_t first = flight->job * a->per_job;
    kh_query_answer answers[KH_QUERIES_MAX];
    if (cnt != job_queries(a, flight->job)) return 0;
    for (uint32_t i = 0; i < cnt; i++)
        if (kh_query_answer_decode(body + i * (size_t)KH_ANSWER_SZ, &answers[i]) != KH_OK) return 0;
    memcpy(a->answers + first, answers, cnt * sizeof *answers);
    for (uint32_t i = 0; i < cnt && a->as_of != NULL; i++) a->as_of[first + i] = as_of;
    a->answered += cnt;
    if (a->done != NULL) a->done(a->ctx, a->answered, a->query_cnt);
    return 1;
}

kh_err kh_channel_verify(kh_channel *c, const kh_query queries[], uint32_t n, bool is_long, kh_query_answer ret_answers[],
                         uint64_t ret_as_of[], void (*done)(void *ctx, uint32_t answered, uint32_t of), void *ctx)
{
    uint32_t most = is_long ? KH_QUERIES_LONG_MAX : KH_QUERIES_MAX;
    ask a = {
        .work = {.window = c->window, .timeout_ns = c->timeout_ns, .next = next_job, .seal = seal_queries, .take = take_answers},
        .queries = queries,
        .query_cnt = n,
        .per_job = c->max_queries < most ? c->max_queries : most,
        .is_long = is_long,
        .answers = ret_answers,
        .as_of = ret_as_of,
        .done = done,
        .ctx = ctx};
    a.work.left = a.job_cnt = n / a.per_job + (n % a.per_job != 0);
    for (uint32_t i = 0; i < n; i++) ret_answers[i] = (kh_query_answer){.code = KH_C_NOT_CHECKED, .free = KH_AMOUNT_NONE};
    return kh_channel_run(c, &a.work);
}

/* ---- operate ---- */

static uint32_t seal_frames(kh_work *work, kh_channel *c, kh_flight *flight, uint8_t *buf, uint64_t *ret_counter)
{
    const ask *a = (const ask *)work;
    size_t from = flight->job == 0 ? 0 : a->ends[flight->job - 1];
    return kh_lane_seal_frames(&c->lane, a->frames + from, (uint32_t)(a->ends[flight->job] - from), buf, ret_counter);
}

bool kh_channel_receipts(const uint8_t *body, uint32_t cnt, uint32_t ops, kh_op_answer ret[KH_DATAGRAM_OPS_MAX],
                         bool *ret_refused)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (kh_op_answer_decode(body + i * (size_t)KH_OP_ANSWER_SZ, &ret[i]) != KH_OK) return false;
    *ret_refused = cnt == 1 && ret[0].refused;
    return *ret_refused || cnt == ops;
}

static uint32_t take_receipts(kh_work *work, const kh_flight *flight, const uint8_t *body, uint32_t cnt, uint64_t as_of)
{
    ask *a = (ask *)work;
    uint32_t first = a->first_ops[flight->job], ops = a->first_ops[flight->job + 1] - first;
    kh_op_answer answers[KH_DATAGRAM_OPS_MAX];
    bool refused;
    (void)as_of;
    if (!kh_channel_receipts(body, cnt, ops, answers, &refused)) return 0;
    for (uint32_t i = 0; i < ops; i++) a->op_answers[first + i] = answers[refused ? 0 : i];
    return 1;
}

/* cut packs whole frames into datagrams; false: they are not op_cnt frames that fit. */
static bool cut(ask *a, size_t n, uint32_t op_cnt)
{
    size_t at = 0, from = 0;
    uint32_t ops = 0;
    a->job_cnt = 0;
    a->first_ops[0] = 0;
    while (at < n) {
        uint32_t size = n - at >= 4 ? kh_load32(a->frames + at) : 0;
        if (size < 24 || size > KH_FRAMES_MAX_SZ || size > n - at || ops == op_cnt) return false;
        if (at > from && (at + size - from > KH_FRAMES_MAX_SZ || ops - a->first_ops[a->job_cnt] == KH_DATAGRAM_OPS_MAX)) {
            a->ends[a->job_cnt] = from = at;
            a->first_ops[++a->job_cnt] = ops;
        }
        at += size;
        ops++;
    }
    if (ops != op_cnt) return false;
    a->ends[a->job_cnt] = n;
    a->first_ops[++a->job_cnt] = ops;
    return true;
}

kh_err kh_channel_operate(kh_channel *c, const uint8_t *frames, size_t n, uint32_t op_cnt, kh_op_answer ret_answers[])
{
    ask a = {.work = {.window = c->window,
                      .timeout_ns = c->op_timeout_ns,
                      .next = next_job,
                      .seal = seal_frames,
                      .take = take_receipts},
             .frames = frames,
             .op_answers = ret_answers};
    if (op_cnt == 0) return KH_E_ARG;
    a.ends = calloc(op_cnt, sizeof *a.ends);
    a.first_ops = calloc(op_cnt + 1u, sizeof *a.first_ops);
    kh_err err = a.ends != NULL && a.first_ops != NULL ? KH_OK : KH_E_NOMEM;
    if (err == KH_OK && !cut(&a, n, op_cnt)) err = KH_E_ARG;
    for (uint32_t i = 0; err == KH_OK && i < op_cnt; i++) ret_answers[i] = (kh_op_answer){.code = KH_C_NOT_CHECKED};
    a.work.left = a.job_cnt;
    if (err == KH_OK) err = kh_channel_run(c, &a.work);
    free(a.ends);
    free(a.first_ops);
    return err;
}
