/* Operations in datagrams that come together: one batch of the store, each answered for itself. */
#include "service/submit.h"
#include <poll.h>
#include <unistd.h>
#include "service_fixture.h"
#include "store/parts.h"

static service_fixture x;

enum { DATAGRAMS_MAX = KH_BURST_MAX };

/* What is sent, and what came back: by datagram. */
typedef struct sent {
    kh_lane *lane;
    uint32_t party, first, cnt;
    uint64_t counter, as_of;
    uint32_t answer_cnt;
    kh_op_answer answers[KH_DATAGRAM_OPS_MAX];
} sent;
static sent sents[DATAGRAMS_MAX];
static fx_packet packets[DATAGRAMS_MAX];
static uint32_t sent_cnt;

static void seal(kh_lane *lane, uint32_t party, uint32_t owner, uint32_t first, uint32_t cnt)
{
    ops_buf b = {0};
    sent *s = &sents[sent_cnt];
    fx_packet *p = &packets[sent_cnt++];
    *s = (sent){.lane = lane, .party = party, .first = first, .cnt = cnt};
    for (uint32_t i = 0; i < cnt; i++) ops_apply(&b, owner, FX_ENTERPRISE, first + i, (first + i) % FX_DOCS, 100 + first + i);
    p->packet = (kh_packet){.p = p->bytes, .cap = KH_DATAGRAM_MAX_SZ};
    p->packet.n = kh_lane_seal_frames(lane, b.p, (uint32_t)b.n, p->bytes, &s->counter);
    free(b.p);
}

static void burst(void)
{
    kh_packet *all[DATAGRAMS_MAX];
    for (uint32_t i = 0; i < sent_cnt; i++) all[i] = &packets[i].packet;
    kh_poller_burst(x.poller, all, sent_cnt, x.now);
    for (uint32_t i = 0; i < sent_cnt; i++) cr_assert(packets[i].packet.n == 0);
}

static kh_lane *lane_of(const fx_packet *p)
{
    uint32_t i = 0;
    while (i < sent_cnt && memcmp(p->bytes, sents[i].lane->session, 8) != 0) i++;
    cr_assert(i < sent_cnt);
    return sents[i].lane;
}

static sent *sent_of(const kh_lane *lane, uint64_t counter)
{
    uint32_t i = 0;
    while (i < sent_cnt && (sents[i].lane != lane || sents[i].counter != counter)) i++;
    cr_assert(i < sent_cnt, "an answer to nothing");
    return &sents[i];
}

/* Takes every reply in; returns how many there were. */
static uint32_t replies(uint32_t expected)
{
    uint32_t n = 0;
    for (fx_packet p; n < expected && fx_late(&x, &p); n++) {
        kh_reply_head head;
        const uint8_t *body;
        uint64_t as_of;
        uint32_t cnt;
        if (p.packet.n == 0) continue;
        kh_lane *lane = lane_of(&p);
        cr_assert(kh_lane_open_reply(lane, p.bytes, p.packet.n, &head, &as_of, &body, &cnt));
        sent *s = sent_of(lane, head.request_counter);
        cr_assert(s->answer_cnt == 0, "answered twice");
        s->as_of = as_of;
        s->answer_cnt = cnt;
        for (uint32_t i = 0; i < s->answer_cnt; i++)
            cr_assert(kh_op_answer_decode(body + i * KH_OP_ANSWER_SZ, &s->answers[i]) == KH_OK);
    }
    return n;
}

static void answered_well(const sent *s)
{
    cr_assert(s->answer_cnt == s->cnt, "%u answers to %u", s->answer_cnt, s->cnt);
    for (uint32_t i = 0; i < s->cnt; i++) {
        const kh_op_answer *a = &s->answers[i];
        cr_assert(a->code == KH_C_OK && !a->refused && a->financing == s->first + i && a->amount == 100 + s->first + i, "%u %lu",
                  a->code, a->financing);
        cr_assert(a->height == s->as_of);
    }
}

Test(together, each_has_its_own_answers)
{
    fx_setup(&x);
    kh_lane bank = fx_lane(&x, FX_BANK), other = fx_lane(&x, FX_OTHER);
    uint32_t id = 1;
    uint64_t batches = x.store->next_ticket;
    for (uint32_t i = 0; i < 9; id += i % 3 + 1, i++) seal(&bank, FX_BANK, FX_BANK, id, i % 3 + 1);
    seal(&bank, FX_BANK, FX_OTHER, 500, 2); /* in another's name, in the middle: refused, and the others do not notice */
    for (uint32_t i = 0; i < 3; i++) seal(&bank, FX_BANK, FX_BANK, 600 + 4 * i, 4);
    for (uint32_t i = 0; i < 5; i++) seal(&other, FX_OTHER, FX_OTHER, 700 + i, 1);
    burst();
    cr_assert(replies(sent_cnt) == sent_cnt);
    cr_assert(x.store->next_ticket == batches + 2, "one batch a party, not %lu", x.store->next_ticket - batches);
    for (uint32_t i = 0; i < sent_cnt; i++) {
        if (sents[i].first != 500) answered_well(&sents[i]);
        else
            cr_assert(sents[i].answer_cnt == 1 && sents[i].answers[0].refused && sents[i].answers[0].code == KH_C_NOT_AUTHORISED);
    }
    for (uint32_t i = 1; i < sent_cnt; i++) /* what one party sent at once is one batch: decided in one entry */
        if (sents[i].first != 500 && sents[i].party == sents[0].party) cr_assert(sents[i].as_of == sents[0].as_of);
    kh_lane_close(&bank);
    kh_lane_close(&other);
    fx_teardown(&x);
}

/* More than one batch holds, over and over. */
Test(together, as_many_as_come)
{
    enum { EACH = 10, ROUNDS = 20 };
    fx_setup(&x);
    kh_lane bank = fx_lane(&x, FX_BANK);
    uint32_t id = 1, bytes = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        sent_cnt = bytes = 0;
        for (uint32_t i = 0; i < DATAGRAMS_MAX; i++, id += EACH) {
            seal(&bank, FX_BANK, FX_BANK, id, EACH);
            bytes += packets[i].packet.n;
        }
        cr_assert(bytes > KH_TOGETHER_SZ);
        burst();
        cr_assert(replies(sent_cnt) == sent_cnt);
        for (uint32_t i = 0; i < sent_cnt; i++) answered_well(&sents[i]);
    }
    cr_assert(fx_count(&x, KH_N_OPERATIONS) == DATAGRAMS_MAX * ROUNDS && fx_count(&x, KH_N_LATE) == DATAGRAMS_MAX * ROUNDS);
    kh_lane_close(&bank);
    fx_teardown(&x);
}

Test(together, none_is_answered_by_a_store_that_stopped)
{
    fx_setup(&x);
    kh_lane bank = fx_lane(&x, FX_BANK);
    kh_engine_stop_with(x.store, KH_E_IO);
    for (uint32_t i = 0; i < 5; i++) seal(&bank, FX_BANK, FX_BANK, 1 + i, 1);
    burst();
    cr_assert(replies(sent_cnt) == sent_cnt);
    for (uint32_t i = 0; i < sent_cnt; i++) cr_assert(sents[i].answer_cnt == 0);
    cr_assert(fx_count(&x, KH_N_DROPPED_STOPPED) == 5);
    kh_lane_close(&bank);
    fx_teardown(&x);
}

/* Beyond a party's share its operations are dropped unopened; questions go on. */
Test(together, beyond_the_share_is_not_opened)
{
    fx_setup(&x);
    kh_lane bank = fx_lane(&x, FX_BANK);
    const kh_principal who = fx_who(FX_BANK);
    kh_query q = fx_query(1);
    kh_query_answer a;
    while (kh_late_take(x.poller, &who, KH_LATE_OPERATIONS) != NULL) {}
    seal(&bank, FX_BANK, FX_BANK, 1, 1);
    packets[0].bytes[40] ^= 1; /* who cannot be served is not even looked at: the broken seal is not noticed */
    burst();
    cr_assert(fx_count(&x, KH_N_DROPPED_BUSY) == 1 && fx_count(&x, KH_N_DROPPED_SEAL) == 0);
    cr_assert(fx_ask(&x, &bank, &q, 1, false, &a) && a.code == KH_C_OK);
    kh_lane_close(&bank);
    fx_teardown(&x);
}

/* A poller that sleeps is woken for what comes back, and not by each datagram of it. */
Test(together, wake_their_poller_once)
{
    fx_setup(&x);
    kh_lane bank = fx_lane(&x, FX_BANK);
    uint64_t wakes = 0;
    for (uint32_t i = 0; i < 40; i++) seal(&bank, FX_BANK, FX_BANK, 1 + i, 1);
    burst();
    kh_poller_sleep(x.poller);
    struct pollfd woken = {.fd = kh_poller_event_fd(x.poller), .events = POLLIN};
    cr_assert(poll(&woken, 1, 20000) == 1, "asleep for good");
    cr_assert(read(woken.fd, &wakes, sizeof wakes) == sizeof wakes);
    kh_poller_wake(x.poller);
    cr_assert(replies(sent_cnt) == sent_cnt);
    cr_assert(wakes <= 2, "%lu wakes", wakes); /* two: it fell asleep just as they came */
    for (uint32_t i = 0; i < sent_cnt; i++) answered_well(&sents[i]);
    kh_lane_close(&bank);
    fx_teardown(&x);
}

/* The poller hands them to the store itself where that takes no waiting: the desk need not be there. */
Test(together, need_no_desk)
{
    fx_setup(&x);
    kh_lane bank = fx_lane(&x, FX_BANK);
    kh_desk_stop(&x.service->operations);
    for (uint32_t i = 0; i < 40; i++) seal(&bank, FX_BANK, FX_BANK, 1 + i, 1);
    burst();
    cr_assert(replies(sent_cnt) == sent_cnt);
    for (uint32_t i = 0; i < sent_cnt; i++) answered_well(&sents[i]);
    kh_lane_close(&bank);
    fx_teardown(&x);
}

/* Where it would have to wait, for the queue or for the desk at work, the desk has them, all of them, and admits none twice. */
static void wait_for_no(bool queue)
{
    const kh_limit_rate rates[KH_LIMIT_CNT] = {[KH_LIMIT_OPERATION] = {40, 1}};
    fx_setup_with(&x, rates, (kh_service_options){0});
    kh_lane bank = fx_lane(&x, FX_BANK);
    pthread_mutex_t *lock = queue ? &x.store->queue_lock : &x.service->together_lock;
    for (uint32_t i = 0; i < 40; i++) seal(&bank, FX_BANK, FX_BANK, 1 + i, 1);
    (void)pthread_mutex_lock(lock);
    burst();
    (void)pthread_mutex_unlock(lock);
    cr_assert(replies(sent_cnt) == sent_cnt);
    for (uint32_t i = 0; i < sent_cnt; i++) answered_well(&sents[i]);
    kh_lane_close(&bank);
    fx_teardown(&x);
}
Test(together, go_to_the_desk_where_the_queue_is_busy) { wait_for_no(true); }
Test(together, go_to_the_desk_where_it_is_at_work) { wait_for_no(false); }

/* A bank's node takes that bank's operations alone, whoever else it knows. */
static kh_err nobody_submits(void *self, const kh_store_batch *batch, bool may_wait, uint64_t *ret_ticket)
{
    (void)self, (void)batch, (void)may_wait, (void)ret_ticket;
    return KH_E_BUSY;
}
static kh_err nobody_waits(void *self, uint64_t ticket)
{
    (void)self, (void)ticket;
    return KH_OK;
}

Test(service_submit, a_banks_node_is_that_banks)
{
    static const kh_store_driver driver = {.submit = nobody_submits, .wait = nobody_waits, .party = FX_BANK};
    service_fixture x;
    kh_code code;
    uint32_t tokens;
    fx_setup(&x);
    kh_store_drive(x.store, &driver);
    for (int own = 0; own < 2; own++) {
        const kh_principal who = {own ? FX_BANK : FX_OTHER, KH_ROLE_BANK, false};
        ops_buf ops = {0};
        ops_apply(&ops, who.party, OPS_ENTERPRISE, 1, 1, 10);
        code = KH_C_OK;
        kh_err err = kh_submit_frames(x.service, &who, ops.p, ops.n, 1, NULL, NULL, &tokens, &code);
        cr_assert(own ? err == KH_E_BUSY && code == KH_C_OK : err == KH_OK && code == KH_C_NOT_AUTHORISED, "%d %d", err, code);
        free(ops.p);
    }
    kh_store_drive(x.store, NULL);
    fx_teardown(&x);
}
