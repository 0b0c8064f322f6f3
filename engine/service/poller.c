/* poller: a burst from end to end.
 *
 * Datagrams are opened one after another; their questions go sixteen at a time into the index's flow, which fetches what they
 * need while the next datagrams are decrypted. What comes out is answered, and a datagram is sealed as soon as its last question
 * is. An answer takes half the room of its question and never reaches one that is still to be read: answer k lies over questions
 * k and before. */
#include "service/poller.h"
#include "index/reader.h"
#include "service/limits.h"
#include "service/parts.h"
#include "service/poller_plain.h"
#include <stdlib.h>

enum {
    GATE_QUESTIONS = 128, /* answered while the gate is held once: tens of microseconds that the applier may wait */
    FETCH_AHEAD = 4,
    PLAIN_AHEAD = 8,
    SPARSE = 4,
    PLAIN_SZ = KH_REQUEST_HEAD_SZ + KH_QUERY_SZ
};

kh_err kh_poller_new(kh_service *service, uint32_t number, kh_poller **ret)
{
    if (number >= service->options.poller_cnt) return KH_E_ARG;
    size_t sz = (sizeof(kh_poller) + 63) & ~(size_t)63;
    kh_poller *p = aligned_alloc(64, sz);
    if (p == NULL) return KH_E_NOMEM;
    memset(p, 0, sz);
    p->service = service;
    p->number = number;
    kh_err err = kh_lates_init(p);
    (void)pthread_mutex_lock(&service->pollers_lock);
    if (err == KH_OK && service->pollers[number] != NULL) err = KH_E_EXISTS;
    if (err == KH_OK) {
        p->counter = service->reply_counters[number];
        service->pollers[number] = p;
    }
    (void)pthread_mutex_unlock(&service->pollers_lock);
    if (err == KH_OK) *ret = p;
    else {
        kh_lates_release(p);
        free(p);
    }
    return err;
}

void kh_poller_free(kh_poller *p)
{
    if (p == NULL) return;
    kh_service *service = p->service;
    kh_lates_release(p);
    (void)pthread_mutex_lock(&service->pollers_lock);
    service->pollers[p->number] = NULL;
    service->reply_counters[p->number] = p->counter; /* a nonce is never used twice, whoever polls next */
    for (uint32_t k = 0; k < KH_N_CNT; k++) service->gone[k] += atomic_load_explicit(&p->counts[k], memory_order_relaxed);
    (void)pthread_mutex_unlock(&service->pollers_lock);
    free(p);
}

void kh_poller_begin(kh_poller *p)
{
    (void)p;
    kh_reader_register();
}

void kh_poller_end(kh_poller *p)
{
    (void)p;
    kh_reader_unregister();
}

/* ---- out ---- */

uint32_t kh_reply_seal(kh_poller *p, const kh_session *s, uint64_t counter, uint8_t lane, uint8_t form, uint64_t as_of,
                       uint8_t *bytes, uint32_t answers_sz)
{
    uint8_t nonce[KH_AEAD_NONCE_SZ], *body = bytes + KH_REPLY_HEAD_SZ;
    kh_reply_head head = {.counter = p->counter++,
                          .poller = (uint8_t)p->number,
                          .form = form | KH_FORM_REPLY,
                          .request_counter = counter,
                          .request_lane = lane};
    kh_store64(head.session, s != NULL ? s->id : 0);
    kh_reply_head_encode(&head, bytes);
    kh_store64(body, as_of);
    kh_count_add(p, KH_N_REPLIES, 1);
    if (s == NULL) return KH_REPLY_HEAD_SZ + 8 + answers_sz; /* plain */
    kh_reply_nonce(head.counter, head.poller, nonce);
    kh_aead_seal(s->down, p->number, nonce, bytes, KH_REPLY_HEAD_SZ, body, 8 + answers_sz, body + 8 + answers_sz);
    return KH_REPLY_FIXED_SZ + answers_sz;
}

static uint8_t *answer_at(const kh_pending *d, uint32_t query)
{
    return d->packet->p + KH_REPLY_HEAD_SZ + 8 + query * (size_t)KH_ANSWER_SZ;
}

static void finish(kh_poller *p, kh_pending *d)
{
    d->packet->n =
        kh_reply_seal(p, d->session, d->counter, d->lane, d->form, p->as_of, d->packet->p, d->cnt * (uint32_t)KH_ANSWER_SZ);
    if (d->limited && d->allowed > d->probes)
        kh_limits_give_back(p->service->options.limits, KH_LIMIT_PROBE, d->session->who.party, d->allowed - (uint32_t)d->probes);
}

void kh_answer_of(uint32_t rights, const kh_question *q, const kh_verdict *v, kh_query_answer *ret, bool *ret_probe)
{
    if ((rights & KH_NEEDS_PROOF) != 0 && kh_access_unproven(q, v)) {
        *ret = (kh_query_answer){.code = KH_C_FIELD_MISMATCH, .mismatch = KH_FIELD_AMOUNT, .free = KH_AMOUNT_NONE};
        *ret_probe = true;
        return;
    }
    *ret = (kh_query_answer){.code = v->code,
                             .mismatch = (uint8_t)v->mismatch,
                             .status = v->status,
                             .currency = v->currency,
                             .version = v->version,
                             .free = v->free,
                             .watermark = v->watermark};
    *ret_probe = kh_limit_is_probe(v->code);
}

/* One group came out of the flow. */
static void answer_group(kh_poller *p, const kh_record *const records[KH_FLOW_GROUP])
{
    uint32_t first = p->given % KH_RING_ITEMS, cnt = p->taken - p->given < KH_FLOW_GROUP ? p->taken - p->given : KH_FLOW_GROUP;
    kh_verdict verdicts[KH_FLOW_GROUP];
    uint64_t known = kh_ledger_verify_found(p->service->ledger, p->moment, p->questions + first, records, cnt, verdicts);
    p->given += cnt;
    for (uint32_t i = 0; i < cnt; i++) {
        kh_pending *d = &p->pending[p->items[first + i].pending];
        uint32_t query = p->items[first + i].query;
        if (KH_LIKELY((known >> i & 1) != 0)) {
            kh_query_answer answer;
            bool probe;
            kh_answer_of(d->rights, &p->questions[first + i], &verdicts[i], &answer, &probe);
            d->probes = (uint16_t)(d->probes + probe);
            kh_query_answer_encode(&answer, answer_at(d, query));
        } else {
            p->undecided_pending[p->undecided_cnt] = p->items[first + i].pending;
            p->undecided[p->undecided_cnt++] = (kh_undecided){query, p->questions[first + i]};
            d->undecided++;
        }
        if (++d->answered == d->cnt && d->undecided == 0) finish(p, d);
    }
}

static void step(kh_poller *p, const kh_key *keys)
{
    const kh_record *records[KH_FLOW_GROUP];
    if (kh_flow_step(&p->flow, keys, records)) answer_group(p, records);
    kh_flow_fetch(&p->flow);
}

/* ---- in ---- */

static bool answered_at_once(kh_pending *d, uint32_t query, kh_code code)
{
    kh_query_answer_encode(&(kh_query_answer){.code = code, .free = KH_AMOUNT_NONE}, answer_at(d, query));
    d->answered++;
    return true;
}

/* What access and limits refuse never reaches the index. */
static bool refused(kh_pending *d, uint32_t query, kh_err err, const kh_query *q)
{
    if (KH_UNLIKELY(query >= d->allowed)) return answered_at_once(d, query, KH_C_RATE_LIMITED);
    if (KH_UNLIKELY(d->door != KH_C_OK)) return answered_at_once(d, query, d->door);
    uint8_t kind = q->key.b[0];
    if (KH_UNLIKELY(err != KH_OK || kind == 0 || kind >= KH_KIND_CNT)) return answered_at_once(d, query, KH_C_FORMAT);
    if (KH_UNLIKELY((d->rights & KH_NEEDS_PROOF) != 0 && q->owner_check == 0)) return answered_at_once(d, query, KH_C_FORMAT);
    return false;
}

/* Inline: of each form, its length and what it does not state are constants. */
static inline __attribute__((always_inline)) void ask_each(kh_poller *p, uint32_t pending, bool is_long)
{
    kh_pending *d = &p->pending[pending];
    uint32_t query_sz = is_long ? KH_QUERY_LONG_SZ : KH_QUERY_SZ;
    const uint8_t *at = d->packet->p + KH_REQUEST_HEAD_SZ;
    kh_count_add(p, KH_N_QUERIES, d->cnt);
    for (uint32_t i = 0; i < d->cnt; i++, at += query_sz) {
        kh_query q;
        kh_err err = kh_query_decode(at, is_long, &q);
        if (refused(d, i, err, &q)) continue;
        uint32_t item = p->taken++ % KH_RING_ITEMS;
        p->items[item].pending = (uint8_t)pending;
        p->items[item].query = (uint8_t)i;
        p->keys[item % KH_FLOW_GROUP] = q.key;
        p->questions[item] = (kh_question){.key = q.key,
                                           .kind = kh_doc_key_kind(&q.key),
                                           .bank = d->bank,
                                           .owner_check = q.owner_check,
                                           .amount = q.amount,
                                           .currency = q.currency,
                                           .date = q.date,
                                           .direction = q.direction,
                                           .contract = q.contract,
                                           .want = q.want,
                                           .version = q.version};
        if (item % KH_FLOW_GROUP == KH_FLOW_GROUP - 1) step(p, p->keys);
    }
    if (d->answered == d->cnt && d->undecided == 0) finish(p, d);
}

static void ask(kh_poller *p, uint32_t pending)
{
    if (KH_LIKELY(p->pending[pending].form == KH_FORM_QUERY)) ask_each(p, pending, false);
    else ask_each(p, pending, true);
}

/* ---- what the records alone do not decide ---- */

static void decide(kh_poller *p, const kh_ledger *l, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        const kh_undecided *u = &p->undecided[i];
        kh_pending *d = &p->pending[p->undecided_pending[i]];
        kh_verdict verdict;
        kh_query_answer answer;
        bool probe;
        kh_ledger_verify(l, &u->question, 1, &verdict);
        kh_answer_of(d->rights, &u->question, &verdict, &answer, &probe);
        d->probes = (uint16_t)(d->probes + probe);
        kh_query_answer_encode(&answer, answer_at(d, u->at));
        if (--d->undecided == 0) finish(p, d);
    }
}

/* The applier is at work: the datagram goes to the desk with what is answered already, and its reply comes late. */
static void hand_over(kh_poller *p, uint32_t pending, uint32_t from)
{
    kh_pending *d = &p->pending[pending];
    kh_late *late = d->session != NULL ? kh_late_take(p, &d->session->who, KH_LATE_QUESTIONS) : NULL;
    uint32_t sz = d->cnt * (uint32_t)KH_ANSWER_SZ;
    d->undecided = 0;
    if (late == NULL) {
        if (d->limited) kh_limits_give_back(p->service->options.limits, KH_LIMIT_PROBE, d->session->who.party, d->allowed);
        (void)kh_drop(p, d->packet, KH_N_DROPPED_BUSY);
        return;
    }
    late->session = d->session->id;
    late->counter = d->counter;
    late->as_of = p->as_of;
    late->lane = d->lane;
    late->form = d->form;
    late->cnt = d->cnt;
    late->granted = d->limited ? d->allowed : 0;
    late->probes = d->probes;
    memcpy(late->bytes, answer_at(d, 0), sz);
    memcpy(late->peer, d->packet->peer, sizeof late->peer);
    for (uint32_t i = from; i < p->undecided_cnt; i++)
        if (p->undecided_pending[i] == pending) late->undecided[late->undecided_cnt++] = p->undecided[i];
    kh_late_send(p, late);
    d->packet->n = 0;
}

static void settle(kh_poller *p)
{
    for (uint32_t at = 0; at < p->undecided_cnt;) {
        const kh_ledger *l = kh_store_read_try(p->service->options.store);
        uint32_t to = p->undecided_cnt - at < GATE_QUESTIONS ? p->undecided_cnt : at + GATE_QUESTIONS;
        if (l == NULL) {
            for (uint32_t i = at; i < p->undecided_cnt; i++)
                if (p->pending[p->undecided_pending[i]].undecided != 0) hand_over(p, p->undecided_pending[i], at);
            break;
        }
        decide(p, l, at, to);
        kh_store_read_end(p->service->options.store);
        at = to;
    }
    p->undecided_cnt = 0;
}

/* ---- the burst ---- */

static void start(kh_poller *p, uint64_t now_ns)
{
    p->now_ns = now_ns;
    p->moment = kh_ledger_moment(p->service->ledger);
    p->as_of = kh_store_block_of(p->service->options.store, p->moment.height);
    p->taken = p->given = p->pending_cnt = 0;
    kh_flow_begin(&p->flow, kh_ledger_index(p->service->ledger));
    p->flow.near = p->sparse;
}

static void end(kh_poller *p)
{
    p->sparse = p->taken < p->pending_cnt * SPARSE; /* the next burst is like this one */
    if (p->taken % KH_FLOW_GROUP != 0) {
        for (uint32_t i = p->taken % KH_FLOW_GROUP; i < KH_FLOW_GROUP; i++) p->keys[i] = p->keys[0];
        step(p, p->keys);
    }
    while (p->given != p->taken) step(p, NULL);
    if (KH_UNLIKELY(p->undecided_cnt != 0)) settle(p);
    kh_late_ring(p);
    kh_reader_quiesce();
}

/* A packet is fetched whole while those before it are decrypted: one half at a time, for flow.h's reason, and into the second
   cache, which has twice as many misses under way as the first. */
static inline __attribute__((always_inline)) void fetch(const kh_packet *packet, bool second)
{
    uint32_t n = packet->n < KH_DATAGRAM_MAX_SZ ? packet->n : KH_DATAGRAM_MAX_SZ, half = n / 2 & ~63u;
    for (uint32_t at = second ? half : 0, end = second ? n + 63 : half; at < end; at += 64) kh_fetch_far(packet->p + at);
}

/* Where a packet lies is known to what describes it alone: that is fetched twice as far ahead. */
static inline void fetch_description(kh_packet *const packets[], uint32_t n, uint32_t i)
{
    if (i < n) kh_fetch_near(packets[i]);
}

void kh_poller_burst(kh_poller *p, kh_packet *const packets[], uint32_t n, uint64_t now_ns)
{
    KH_ASSERT(n <= KH_BURST_MAX);
    start(p, now_ns);
    uint64_t datagrams = 0;
    for (uint32_t i = 0; i < 2 * FETCH_AHEAD; i++) fetch_description(packets, n, i);
    for (uint32_t i = 0; i < n && i < FETCH_AHEAD; i++) {
        fetch(packets[i], false);
        fetch(packets[i], true);
    }
    for (uint32_t i = 0; i < n; i++) {
        fetch_description(packets, n, i + 2 * FETCH_AHEAD);
        if (i + FETCH_AHEAD < n) fetch(packets[i + FETCH_AHEAD], false);
        kh_pending *d = &p->pending[p->pending_cnt];
        bool admitted = kh_admit(p, packets[i], d);
        if (i + FETCH_AHEAD < n) fetch(packets[i + FETCH_AHEAD], true);
        if (!admitted) continue;
        datagrams++;
        if (d->cnt == 0) continue;
        d->rights = d->session->rights;
        d->bank = d->session->bank;
        d->door = d->session->door;
        ask(p, p->pending_cnt++);
    }
    kh_count_add(p, KH_N_DATAGRAMS, datagrams);
    kh_admit_flush(p);
    end(p);
}

/* ---- plain, for measuring ---- */

/* Where a packet lies is known to what describes it alone: that is fetched twice as far ahead. Nothing but memory is waited for
   here, so all goes into the second cache. */
static inline __attribute__((always_inline)) void fetch_plain(kh_packet *const packets[], uint32_t n, uint32_t i)
{
    if (i + 2 * PLAIN_AHEAD < n) kh_fetch_far(packets[i + 2 * PLAIN_AHEAD]);
    if (i + PLAIN_AHEAD >= n) return;
    kh_fetch_far(packets[i + PLAIN_AHEAD]->p);
    kh_fetch_far(packets[i + PLAIN_AHEAD]->p + PLAIN_SZ - 1);
}

void kh_poller_burst_plain(kh_poller *p, const kh_principal *who, kh_packet *const packets[], uint32_t n, uint64_t now_ns)
{
    KH_ASSERT(n <= KH_BURST_MAX);
    const uint32_t rights = kh_access_rights(who, KH_ASK_VERIFY);
    const kh_code door = kh_access_ask(who, KH_ASK_VERIFY);
    start(p, now_ns);
    p->flow.near = false;
    for (uint32_t i = 0; i < 2 * PLAIN_AHEAD && i < n; i++) kh_fetch_far(packets[i]);
    for (uint32_t i = 0; i < PLAIN_AHEAD && i < n; i++) {
        kh_fetch_far(packets[i]->p);
        kh_fetch_far(packets[i]->p + PLAIN_SZ - 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        kh_packet *packet = packets[i];
        fetch_plain(packets, n, i);
        if (KH_UNLIKELY(packet->n != PLAIN_SZ)) {
            (void)kh_drop(p, packet, KH_N_DROPPED_SHAPE);
            continue;
        }
        const kh_request_head head = kh_request_head_load(packet->p);
        if (KH_UNLIKELY(!kh_request_head_sound(&head) || head.form != KH_FORM_QUERY)) {
            (void)kh_drop(p, packet, KH_N_DROPPED_SHAPE);
            continue;
        }
        p->pending[p->pending_cnt] = (kh_pending){.packet = packet,
                                                  .counter = head.counter,
                                                  .lane = head.lane,
                                                  .form = KH_FORM_QUERY,
                                                  .cnt = 1,
                                                  .allowed = 1,
                                                  .rights = rights,
                                                  .bank = who->party,
                                                  .door = door};
        ask_each(p, p->pending_cnt++, false);
    }
    end(p);
}
