/* admit: one datagram from the wire until it is questions, or gone to the desk, or dropped.
 *
 * What is cheap and needs no key comes first; the replay window is written only after the seal was found sound. */
#include "service/limits.h"
#include "service/parts.h"

enum { SHORTEST_SZ = KH_REQUEST_HEAD_SZ + 24 + KH_AEAD_TAG_SZ };

bool kh_drop(kh_poller *p, kh_packet *packet, kh_count why)
{
    kh_count_add(p, why, 1);
    packet->n = 0;
    return false;
}

void kh_admit_flush(kh_poller *p)
{
    if (p->run_cnt != 0) (void)atomic_fetch_add_explicit(&p->run->datagrams, p->run_cnt, memory_order_relaxed);
    p->run_cnt = 0;
    p->run = NULL;
}

/* The session, if it is known and alive; else NULL and why not. */
static kh_session *session_of(kh_poller *p, const kh_request_head *head, kh_count *ret_why)
{
    kh_session *s = kh_session_find(&p->service->sessions, kh_load64(head->session));
    *ret_why = KH_N_DROPPED_UNKNOWN;
    if (s == NULL) return NULL;
    *ret_why = KH_N_DROPPED_EXPIRED;
    if (p->now_ns >= s->expires_ns) return NULL;
    if (s != p->run) { /* once a run of datagrams: the counter's line is shared by all pollers */
        kh_admit_flush(p);
        if (atomic_load_explicit(&s->datagrams, memory_order_relaxed) >= KH_SESSION_DATAGRAMS_MAX - KH_POLLERS_MAX * KH_BURST_MAX)
            return NULL;
        p->run = s;
    }
    *ret_why = KH_N_DROPPED_FROZEN;
    if (KH_LIKELY(!kh_ledger_party_frozen(p->service->ledger, s->party_row)) &&
        KH_LIKELY(!atomic_load_explicit(&s->frozen, memory_order_relaxed)))
        return s;
    atomic_store_explicit(&s->frozen, true, memory_order_relaxed);
    return NULL;
}

static bool to_operations(kh_poller *p, kh_packet *packet, const kh_session *s, const kh_request_head *head)
{
    kh_late *late = kh_late_take(p, &s->who, KH_LATE_OPERATIONS);
    if (late == NULL) return kh_drop(p, packet, KH_N_DROPPED_BUSY);
    late->session = s->id;
    late->counter = head->counter;
    late->lane = head->lane;
    late->form = head->form;
    late->n = packet->n - KH_REQUEST_HEAD_SZ - KH_AEAD_TAG_SZ;
    memcpy(late->bytes, packet->p + KH_REQUEST_HEAD_SZ, late->n);
    memcpy(late->peer, packet->peer, sizeof late->peer);
    kh_late_send(p, late);
    kh_count_add(p, KH_N_OPERATIONS, 1);
    packet->n = 0;
    return true;
}

/* A look-up that must be written down, and cannot be, is not answered. */
static bool to_lookups(kh_poller *p, const kh_packet *packet, const kh_session *s, uint8_t form, uint32_t cnt)
{
    uint32_t step = form == KH_FORM_QUERY_LONG ? KH_QUERY_LONG_SZ : KH_QUERY_SZ;
    kh_late *late = kh_late_take(p, &s->who, KH_LATE_LOOKUP);
    if (late == NULL) return false;
    late->cnt = cnt;
    for (uint32_t i = 0; i < cnt; i++)
        memcpy(late->bytes + 16 * (size_t)i, packet->p + KH_REQUEST_HEAD_SZ + step * (size_t)i, 16);
    kh_late_send(p, late);
    return true;
}

bool kh_admit(kh_poller *p, kh_packet *packet, kh_pending *ret)
{
    kh_request_head head;
    kh_count why;
    uint32_t cnt;
    uint8_t nonce[KH_AEAD_NONCE_SZ], *body = packet->p + KH_REQUEST_HEAD_SZ;
    if (packet->n < SHORTEST_SZ) return kh_drop(p, packet, KH_N_DROPPED_SHORT);
    if (packet->n > KH_DATAGRAM_MAX_SZ) return kh_drop(p, packet, KH_N_DROPPED_LONG);
    if (kh_request_head_decode(packet->p, packet->n, &head, &cnt) != KH_OK) return kh_drop(p, packet, KH_N_DROPPED_SHAPE);
    kh_session *s = session_of(p, &head, &why);
    if (s == NULL) return kh_drop(p, packet, why);
    /* more than can be taken in costs as little as may be: it is not even opened */
    if (head.form == KH_FORM_OPERATIONS && !kh_late_room(p, &s->who, KH_LATE_OPERATIONS))
        return kh_drop(p, packet, KH_N_DROPPED_BUSY);
    uint32_t body_sz = packet->n - KH_REQUEST_HEAD_SZ - KH_AEAD_TAG_SZ;
    kh_request_nonce(head.counter, head.lane, nonce);
    if (!kh_aead_open(s->up, p->number, nonce, packet->p, KH_REQUEST_HEAD_SZ, body, body_sz, body + body_sz))
        return kh_drop(p, packet, KH_N_DROPPED_SEAL);
    kh_taken taken = kh_window_take(&s->windows[head.lane], head.counter);
    if (taken != KH_TAKEN) return kh_drop(p, packet, taken == KH_TAKEN_BEFORE ? KH_N_DROPPED_REPLAYED : KH_N_DROPPED_TOO_OLD);
    p->run_cnt++;
    *ret = (kh_pending){.session = s, .packet = packet, .counter = head.counter, .lane = head.lane, .form = head.form};
    if (head.form == KH_FORM_OPERATIONS) return to_operations(p, packet, s, &head);
    if (s->rights & KH_LOGGED && !to_lookups(p, packet, s, head.form, cnt)) return kh_drop(p, packet, KH_N_DROPPED_UNLOGGED);
    ret->cnt = (uint16_t)cnt;
    ret->allowed = (uint16_t)cnt;
    kh_limits *limits = p->service->options.limits;
    if (!s->limited) return true;
    uint32_t asked = kh_limits_take(limits, KH_LIMIT_QUERY, s->who.party, cnt, p->now_ns);
    ret->allowed = (uint16_t)kh_limits_take(limits, KH_LIMIT_PROBE, s->who.party, asked, p->now_ns);
    ret->limited = true;
    kh_count_add(p, KH_N_LIMITED, cnt - ret->allowed);
    return true;
}
