/* service: the handle, principals, and what is counted. */
#include "service/service.h"
#include "service/parts.h"
#include <stdio.h>
#include <stdlib.h>

enum { SESSIONS_USUAL = 4096, SESSIONS_MAX = 65536, PARTY_SESSIONS_USUAL = 16 };
#define SEEN_ROWS ((1u << 28) - 1)
#define SESSION_NS_MAX (UINT64_C(3600) * KH_NS_PER_S)

kh_err kh_service_new(const kh_service_options *options, kh_service **ret)
{
    if (options->poller_cnt == 0 || options->poller_cnt > KH_POLLERS_MAX || options->max_sessions > SESSIONS_MAX ||
        options->session_ns > SESSION_NS_MAX || (options->aead != KH_AEAD_BEST && !kh_aead_has(options->aead)))
        return KH_E_ARG;
    kh_service *s = calloc(1, sizeof *s);
    if (s == NULL) return KH_E_NOMEM;
    s->options = *options;
    if (s->options.max_sessions == 0) s->options.max_sessions = SESSIONS_USUAL;
    if (s->options.max_party_sessions == 0) s->options.max_party_sessions = PARTY_SESSIONS_USUAL;
    if (s->options.session_ns == 0) s->options.session_ns = SESSION_NS_MAX;
    if (s->options.aead == KH_AEAD_BEST) s->options.aead = kh_aead_best();
    s->ledger = kh_store_ledger(options->store);
    (void)pthread_mutex_init(&s->pollers_lock, NULL);
    (void)pthread_mutex_init(&s->together_lock, NULL);
    kh_err err = kh_sessions_init(&s->sessions, s->options.max_sessions, s->options.max_party_sessions);
    if (err == KH_OK) err = kh_desk_start(&s->questions, s, kh_desk_questions);
    if (err == KH_OK) err = kh_desk_start(&s->operations, s, kh_desk_operations);
    if (err != KH_OK) kh_service_free(s);
    else *ret = s;
    return err;
}

void kh_service_free(kh_service *service)
{
    if (service == NULL) return;
    kh_desk_stop(&service->operations);
    kh_desk_stop(&service->questions);
    kh_sessions_release(&service->sessions);
    (void)pthread_mutex_destroy(&service->together_lock);
    (void)pthread_mutex_destroy(&service->pollers_lock);
    free(service);
}

/* A party that is registered stays so, in its role and its row: once seen, only whether it is frozen is asked again. */
static uint64_t seen_as(uint32_t party, kh_role role, uint32_t row) { return (uint64_t)role << 60 | (uint64_t)row << 32 | party; }
static uint32_t row_of(uint64_t seen) { return (uint32_t)(seen >> 32) & SEEN_ROWS; }

static uint64_t look_up(kh_service *service, uint32_t party, kh_role role)
{
    kh_party_view view;
    const kh_ledger *l = kh_store_read_begin(service->options.store);
    bool known = kh_ledger_party(l, party, &view) && view.role == role;
    uint32_t row = known ? kh_ledger_party_row(l, party) : 0;
    kh_store_read_end(service->options.store);
    return row <= SEEN_ROWS && known ? seen_as(party, role, row) : 0;
}

bool kh_service_principal(kh_service *service, uint32_t party, kh_role role, kh_principal *ret)
{
    _Atomic uint64_t *place = &service->seen[party % KH_SEEN_PARTIES];
    uint64_t seen = atomic_load_explicit(place, memory_order_relaxed); /* whole in itself */
    if (party == 0 || service->options.no_parties) return false;
    if (row_of(seen) == 0 || seen != seen_as(party, role, row_of(seen))) {
        seen = look_up(service, party, role);
        if (seen == 0) return false;
        atomic_store_explicit(place, seen, memory_order_relaxed);
    }
    *ret = (kh_principal){party, role, kh_ledger_party_frozen(service->ledger, row_of(seen))};
    return true;
}

static const struct {
    const char *name, *help;
} words[KH_N_CNT] = {
    [KH_N_DATAGRAMS] = {"kanhe_datagrams_total", "Datagrams of live sessions that were taken in."},
    [KH_N_QUERIES] = {"kanhe_datagram_queries_total", "Questions asked in datagrams."},
    [KH_N_OPERATIONS] = {"kanhe_datagram_operations_total", "Datagrams with operations handed on."},
    [KH_N_REPLIES] = {"kanhe_datagram_replies_total", "Reply datagrams, late ones included."},
    [KH_N_LATE] = {"kanhe_datagram_replies_late_total", "Replies given after a commit or from the settled state."},
    [KH_N_LIMITED] = {"kanhe_datagram_queries_limited_total", "Questions answered RATE_LIMITED."},
    [KH_N_DROPPED_SHORT] = {"kanhe_datagrams_dropped_short_total", "Too short to be a request."},
    [KH_N_DROPPED_LONG] = {"kanhe_datagrams_dropped_long_total", "Longer than a request may be."},
    [KH_N_DROPPED_SHAPE] = {"kanhe_datagrams_dropped_shape_total",
                            "No whole number of questions, or no known form, lane or counter."},
    [KH_N_DROPPED_UNKNOWN] = {"kanhe_datagrams_dropped_unknown_total", "Of no session that is known."},
    [KH_N_DROPPED_EXPIRED] = {"kanhe_datagrams_dropped_expired_total", "Of a session whose time or number of datagrams is over."},
    [KH_N_DROPPED_FROZEN] = {"kanhe_datagrams_dropped_frozen_total", "Of a party that is or was frozen in that session."},
    [KH_N_DROPPED_SEAL] = {"kanhe_datagrams_dropped_seal_total", "Whose seal is not sound: altered, or of another key."},
    [KH_N_DROPPED_REPLAYED] = {"kanhe_datagrams_dropped_replayed_total", "Seen before."},
    [KH_N_DROPPED_TOO_OLD] = {"kanhe_datagrams_dropped_too_old_total", "Older than the replay window."},
    [KH_N_DROPPED_BUSY] = {"kanhe_datagrams_dropped_busy_total", "Too many waited for late answers."},
    [KH_N_DROPPED_UNLOGGED] = {"kanhe_datagrams_dropped_unlogged_total", "Look-ups that could not be written down in time."},
    [KH_N_DROPPED_ENDED] = {"kanhe_datagrams_dropped_ended_total", "Late answers whose session ended meanwhile."},
    [KH_N_DROPPED_STOPPED] = {"kanhe_datagrams_dropped_stopped_total", "Operations that the store did not take: it stopped."},
};

void kh_service_metrics(kh_service *service,
                        void (*each)(void *ctx, const char *name, const char *help, const char *labels, uint64_t value),
                        void *ctx)
{
    uint64_t sums[KH_N_CNT];
    (void)pthread_mutex_lock(&service->pollers_lock);
    memcpy(sums, service->gone, sizeof sums);
    for (uint32_t i = 0; i < KH_POLLERS_MAX; i++) {
        const kh_poller *p = service->pollers[i];
        for (uint32_t k = 0; p != NULL && k < KH_N_CNT; k++) sums[k] += atomic_load_explicit(&p->counts[k], memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&service->pollers_lock);
    for (uint32_t k = 0; k < KH_N_CNT; k++) each(ctx, words[k].name, words[k].help, "", sums[k]);
    each(ctx, "kanhe_sessions", "Datagram sessions that are open.", "", kh_session_count(service));
}
