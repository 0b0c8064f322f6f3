/* submit: applications in bulk: frames of operations, several batches under way: in sealed datagrams where they get through,
 * which cost both sides less, else over HTTPS, on connections of their own. What datagrams leave without an answer goes over
 * HTTPS too: there a hub says why, or lets it wait for its turn. */
#include "client/session.h"
#include "wire/query.h"
#include "wire/wire.h"
#include <stdio.h>
#include <stdlib.h>

#define FIRST_WAIT_S 0.016
enum {
    FRAME_SZ = 256,        /* a one-document application is shorter */
    WORTH_A_SESSION = 1024 /* applications: a session is a request of its own */
};

typedef struct batch {
    kh_transfer transfer; /* kept from one to the next: a request made anew costs its settings and buffers again */
    bool under_way;
    uint32_t *which, cnt; /* of the call's */
    uint8_t *frames, *answer;
    size_t frames_n, answer_n, answer_cap;
    double since_s; /* when it was sent first */
    double wait_s;  /* before it is sent again, if this party has too much under way */
} batch;

static bool take_answer(void *ctx, const char *p, size_t n)
{
    batch *b = ctx;
    if (n > b->answer_cap - b->answer_n) return false;
    memcpy(b->answer + b->answer_n, p, n);
    b->answer_n += n;
    return true;
}

static kh_err encode(const kh_reserve *r, uint8_t *p, size_t cap, size_t *ret_n)
{
    kh_op_line line = {.allocated = KH_AMOUNT_NONE, .total = KH_AMOUNT_NONE};
    memcpy(line.key.b, r->document.bytes, 16);
    kh_op op = {.type = KH_OP_APPLY, .party = r->bank, .sequence = r->id};
    op.apply = (kh_op_apply){.id = r->id,
                             .enterprise = r->enterprise,
                             .currency = r->currency,
                             .amount = r->amount,
                             .product = kh_text_of(r->product),
                             .line_cnt = 1,
                             .lines = &line};
    return kh_op_encode(&op, p, cap, ret_n);
}

static kh_reserved reserved(const kh_op_answer *a)
{
    return (kh_reserved){.code = (uint16_t)a->code, .amount = a->amount, .height = a->height};
}

static kh_result wrong(kh_client *c, uint32_t i)
{
    return kh_client_say(c, KH_MISUSE, "application %u: a field is out of range", i);
}

/* ---- in datagrams ---- */

typedef struct submission {
    const kh_reserve *requests;
    kh_reserved *ret;
    uint32_t wrong; /* which one cannot be encoded */
} submission;

static kh_err frame(void *ctx, uint32_t i, uint8_t *p, size_t cap, size_t *ret_n)
{
    submission *s = ctx;
    kh_err err = encode(&s->requests[i], p, cap, ret_n);
    if (err != KH_OK) s->wrong = i;
    return err;
}

static void answer(void *ctx, uint32_t i, const kh_op_answer *a) { ((submission *)ctx)->ret[i] = reserved(a); }

/* submit_datagrams answers what it can. */
static kh_result submit_datagrams(kh_client *c, const kh_reserve requests[], uint32_t n, uint32_t ops, uint32_t in_flight,
                                  kh_reserved ret[])
{
    kh_channel *channel;
    submission s = {.requests = requests, .ret = ret};
    if (c->no_datagrams || (c->session == NULL && n < WORTH_A_SESSION)) return KH_DONE;
    if (kh_client_channel(c, false, &channel) != KH_DONE) {
        c->no_datagrams = true; /* a bank's node takes none */
        return KH_DONE;
    }
    kh_err err = kh_channel_stream(channel, &(kh_stream){n, ops, in_flight, frame, answer, &s});
    if (err == KH_E_ARG) return wrong(c, s.wrong);
    if (err == KH_OK) return KH_DONE;
    kh_channel_stats stats;
    kh_channel_get_stats(channel, &stats);
    c->no_datagrams = stats.answered == 0 || err == KH_E_AGAIN; /* else the session died with its daemon: another is opened */
    kh_session_kept_close(c->session);
    c->session = NULL;
    return KH_DONE;
}

/* ---- over HTTPS ---- */

static kh_result send_frames(kh_client *c, batch *b)
{
    b->answer_n = 0;
    if (b->transfer.easy != NULL) return kh_transfer_again(c, &b->transfer, b->frames, b->frames_n);
    b->transfer = (kh_transfer){.give = take_answer, .ctx = b};
    return kh_transfer_begin(c, &b->transfer, "POST", "/v1/operations?short=true", "application/octet-stream",
                             "application/octet-stream", b->frames, b->frames_n);
}

/* begin sends the next of those without an answer, from *next on; false in *ret_any: there is none. */
static kh_result begin(kh_client *c, batch *b, const kh_reserve requests[], const kh_reserved ret[], uint32_t n, uint32_t ops,
                       uint32_t *next, bool *ret_any)
{
    b->frames_n = 0;
    b->cnt = 0;
    b->since_s = kh_client_now_s();
    b->wait_s = FIRST_WAIT_S;
    for (; *next < n && b->cnt < ops; ++*next) {
        size_t size;
        if (ret[*next].height != 0) continue;
        if (encode(&requests[*next], b->frames + b->frames_n, (size_t)ops * FRAME_SZ - b->frames_n, &size) != KH_OK)
            return wrong(c, *next);
        b->frames_n += size;
        b->which[b->cnt++] = *next;
    }
    *ret_any = b->cnt > 0;
    return *ret_any ? send_frames(c, b) : KH_DONE;
}

/* send_again: as for any other request, a hub that was too busy is asked again when it said. Where this party has too much under
   way (429), its own answers make room: that is soon, and if not, each wait is twice as long, up to a second. */
static bool send_again(kh_client *c, batch *b)
{
    bool too_many = b->transfer.ended && b->transfer.code == CURLE_OK && b->transfer.http_status == 429;
    double wait_s = too_many ? b->wait_s : kh_transfer_busy_s(&b->transfer),
           left_s = b->since_s + c->timeout_s - kh_client_now_s();
    if (wait_s <= 0 || left_s <= 0) return false;
    if (too_many) b->wait_s = wait_s < 0.5 ? wait_s * 2 : 1;
    kh_transfers_wait(c, wait_s < left_s ? wait_s : left_s);
    return send_frames(c, b) == KH_DONE;
}

/* refused says what the hub answered instead of receipts. */
static kh_result refused(kh_client *c, const batch *b)
{
    return kh_client_say(c, b->transfer.http_status == 400 ? KH_MISUSE : KH_FAILED,
                         "%s refused the batch (HTTP status %ld): %.*s", c->url, b->transfer.http_status,
                         (int)(b->answer_n < 400 ? b->answer_n : 400), (const char *)b->answer);
}

static kh_result finish(kh_client *c, batch *b, kh_reserved ret[])
{
    kh_result result = kh_transfer_say(c, &b->transfer);
    if (result != KH_DONE) return result;
    if (b->transfer.http_status != 200) return refused(c, b);
    bool sound = b->answer_n == (size_t)b->cnt * KH_OP_ANSWER_SZ;
    for (uint32_t i = 0; i < b->cnt && sound; i++) {
        kh_op_answer answer;
        sound = kh_op_answer_decode(b->answer + (size_t)i * KH_OP_ANSWER_SZ, &answer) == KH_OK && answer.refused == 0;
        if (sound) ret[b->which[i]] = reserved(&answer);
    }
    return sound ? KH_DONE : kh_client_say(c, KH_FAILED, "%s does not answer as a hub does: see the address", c->url);
}

static bool prepare(batch *b, uint32_t ops)
{
    b->frames = malloc((size_t)ops * FRAME_SZ);
    b->answer_cap = (size_t)ops * KH_OP_ANSWER_SZ + 4096;
    b->answer = malloc(b->answer_cap);
    b->which = malloc(ops * sizeof *b->which);
    return b->frames != NULL && b->answer != NULL && b->which != NULL;
}

static kh_result submit_https(kh_client *c, const kh_reserve requests[], uint32_t n, uint32_t ops, uint32_t in_flight,
                              kh_reserved ret[])
{
    batch *batches = calloc(in_flight, sizeof *batches);
    kh_result result = batches != NULL ? KH_DONE : kh_client_say(c, KH_FAILED, "out of memory");
    for (uint32_t i = 0; i < in_flight && result == KH_DONE; i++)
        if (!prepare(&batches[i], ops)) result = kh_client_say(c, KH_FAILED, "out of memory");
    uint32_t next = 0, under_way = 0;
    while (result == KH_DONE && (next < n || under_way > 0)) {
        for (uint32_t i = 0; i < in_flight && result == KH_DONE; i++) {
            batch *b = &batches[i];
            if (b->transfer.ended && !send_again(c, b)) {
                result = finish(c, b, ret);
                b->under_way = b->transfer.ended = false;
                under_way--;
            }
            if (result != KH_DONE || b->under_way || next == n) continue;
            result = begin(c, b, requests, ret, n, ops, &next, &b->under_way);
            under_way += b->under_way;
        }
        if (result == KH_DONE && under_way > 0) kh_transfers_step(c, 1.0);
    }
    for (uint32_t i = 0; batches != NULL && i < in_flight; i++) {
        kh_transfer_end(c, &batches[i].transfer);
        free(batches[i].frames);
        free(batches[i].answer);
        free(batches[i].which);
    }
    free(batches);
    return result;
}

static bool all_answered(const kh_reserved ret[], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ret[i].height == 0) return false;
    return true;
}

kh_result kh_client_submit(kh_client *client, const kh_reserve requests[], uint32_t n, uint32_t ops, uint32_t in_flight,
                           kh_reserved ret[])
{
    ops = ops == 0 ? 256 : ops;
    in_flight = in_flight == 0 ? 4 : in_flight;
    if (n == 0 || ops > 8192 || in_flight > KH_CLIENT_TRANSFERS)
        return kh_client_say(client, KH_MISUSE, "a batch has 1 to 8192 applications, and 1 to %u batches are under way",
                             KH_CLIENT_TRANSFERS);
    for (uint32_t i = 0; i < n; i++) ret[i] = (kh_reserved){0};
    kh_result result = submit_datagrams(client, requests, n, ops, in_flight, ret);
    if (result != KH_DONE) return result;
    client->message[0] = '\0';
    return all_answered(ret, n) ? KH_DONE : submit_https(client, requests, n, ops, in_flight, ret);
}
