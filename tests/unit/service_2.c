/* Sessions, replay windows, and everything that is dropped. */
#include "service_fixture.h"

static service_fixture x;

/* ---- the window ---- */

Test(window, each_counter_once)
{
    static kh_window w;
    for (uint64_t c = 0; c < 40000; c++) cr_assert(kh_window_take(&w, c) == KH_TAKEN);
    for (uint64_t c = 40000 - KH_WINDOW_LEAST; c < 40000; c++) cr_assert(kh_window_take(&w, c) == KH_TAKEN_BEFORE, "%lu", c);
    cr_assert(kh_window_take(&w, 0) == KH_TAKEN_TOO_OLD);
    cr_assert(kh_window_take(&w, KH_COUNTER_MAX) == KH_TAKEN && kh_window_take(&w, KH_COUNTER_MAX) == KH_TAKEN_BEFORE);
}

/* Against a plain set: nothing passes twice, and what is at most KH_WINDOW_LEAST behind always passes once. */
Test(window, against_a_set)
{
    enum { SPAN = 100000 };
    static kh_window w;
    static uint8_t seen[SPAN];
    uint64_t seed = 7, highest = 0;
    for (uint32_t i = 0; i < 400000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t base = (uint64_t)i * (SPAN - 20000) / 400000, c = base + (seed >> 33) % 20000;
        kh_taken t = kh_window_take(&w, c);
        if (seen[c]) cr_assert(t != KH_TAKEN, "%lu passed twice", c);
        else if (c + KH_WINDOW_LEAST > highest) cr_assert(t == KH_TAKEN, "%lu, highest %lu", c, highest);
        if (t == KH_TAKEN) seen[c] = 1;
        highest = kh_max64(highest, c);
    }
}

enum { RACERS = 4, RACE = 200000 };
static kh_window raced;
static uint32_t won[RACERS];
static void *race(void *ctx)
{
    for (uint64_t c = 0; c < RACE; c++) won[(uintptr_t)ctx] += kh_window_take(&raced, c) == KH_TAKEN;
    return NULL;
}

Test(window, of_copies_on_several_threads_one_passes)
{
    pthread_t threads[RACERS];
    uint32_t sum = 0;
    for (uintptr_t i = 0; i < RACERS; i++) cr_assert(pthread_create(&threads[i], NULL, race, (void *)i) == 0);
    for (uintptr_t i = 0; i < RACERS; i++) cr_assert(pthread_join(threads[i], NULL) == 0);
    for (uintptr_t i = 0; i < RACERS; i++) sum += won[i];
    cr_assert(sum <= RACE, "%u passed of %u", sum, RACE); /* a thread far behind finds some too old */
    cr_assert(sum > RACE / 2);
}

/* ---- sessions ---- */

Test(session, opens_answers_and_closes)
{
    fx_setup(&x);
    kh_session_grant grant;
    kh_query q = fx_query(3);
    kh_query_answer a;
    cr_assert(fx_session(&x, FX_BANK, &grant) == KH_OK);
    cr_assert(grant.lanes == 64 && grant.max_queries == 40 && strcmp(grant.suite, "AES-256-GCM") == 0);
    cr_assert(grant.expires_ns == x.now + 3600 * KH_NS_PER_S);
    kh_lane lane = fx_lane_of(FX_BANK, grant.id, 63);
    cr_assert(fx_ask(&x, &lane, &q, 1, false, &a) && a.code == KH_C_OK && a.free == FX_BASE && a.status == KH_STATUS_CLEARED);
    kh_session_close(x.service, grant.id, FX_OTHER); /* not theirs */
    cr_assert(fx_ask(&x, &lane, &q, 1, false, &a));
    kh_session_close(x.service, grant.id, FX_BANK);
    cr_assert(!fx_ask(&x, &lane, &q, 1, false, &a));
    cr_assert(fx_count(&x, KH_N_DROPPED_UNKNOWN) == 1 && kh_session_count(x.service) == 0);
    kh_lane_close(&lane);
    fx_teardown(&x);
}

static kh_err no_exporter(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    (void)ctx, (void)label, (void)context, (void)context_n, (void)ret, (void)n;
    return KH_E_IO;
}

Test(session, who_gets_none)
{
    fx_setup(&x);
    kh_session_grant grant;
    kh_principal wrong_role = {FX_BANK, KH_ROLE_REGULATOR, false}, nobody = {99, KH_ROLE_BANK, false},
                 operator_ = {0, KH_ROLE_REGULATOR, false}, bank = fx_who(FX_BANK), found;
    uint32_t secret = 1;
    cr_assert(kh_session_open(x.service, &wrong_role, fx_export, &secret, 0, &grant) == KH_E_ARG);
    cr_assert(kh_session_open(x.service, &nobody, fx_export, &secret, 0, &grant) == KH_E_ARG);
    cr_assert(kh_session_open(x.service, &operator_, fx_export, &secret, 0, &grant) == KH_E_ARG);
    cr_assert(kh_session_open(x.service, &bank, no_exporter, NULL, 0, &grant) == KH_E_IO);
    cr_assert(kh_session_count(x.service) == 0);
    cr_assert(kh_service_principal(x.service, FX_BANK, KH_ROLE_BANK, &found) && found.party == FX_BANK && !found.frozen);
    cr_assert(!kh_service_principal(x.service, FX_BANK, KH_ROLE_SOURCE, &found) &&
              !kh_service_principal(x.service, 99, KH_ROLE_BANK, &found));
    fx_teardown(&x);
}

Test(session, bounds)
{
    fx_setup_with(&x, NULL, (kh_service_options){.max_sessions = 6, .max_party_sessions = 4});
    kh_lane lanes[6];
    kh_query q = fx_query(1);
    kh_query_answer a;
    for (uint32_t i = 0; i < 5; i++) {
        lanes[i] = fx_lane(&x, FX_BANK);
        x.now++;
    }
    cr_assert(kh_session_count(x.service) == 4);
    cr_assert(!fx_ask(&x, &lanes[0], &q, 1, false, &a)); /* the oldest went */
    for (uint32_t i = 1; i < 5; i++) cr_assert(fx_ask(&x, &lanes[i], &q, 1, false, &a));
    kh_session_grant grant;
    cr_assert(fx_session(&x, FX_OTHER, &grant) == KH_OK && fx_session(&x, FX_OTHER, &grant) == KH_OK);
    cr_assert(kh_session_count(x.service) == 6);
    cr_assert(fx_session(&x, FX_REGULATOR, &grant) == KH_E_FULL);                             /* nobody else's goes for it */
    cr_assert(fx_session(&x, FX_OTHER, &grant) == KH_OK && kh_session_count(x.service) == 6); /* its own does */
    x.now += 3600 * KH_NS_PER_S;                                                              /* what has expired makes room */
    cr_assert(fx_session(&x, FX_REGULATOR, &grant) == KH_OK && kh_session_count(x.service) == 1);
    for (uint32_t i = 0; i < 5; i++) kh_lane_close(&lanes[i]);
    fx_teardown(&x);
}

Test(session, expires_and_is_renewed_without_a_gap)
{
    fx_setup(&x);
    kh_query q = fx_query(1);
    kh_query_answer a;
    kh_lane old = fx_lane(&x, FX_BANK);
    x.now += 3599 * KH_NS_PER_S;
    kh_lane new = fx_lane(&x, FX_BANK);
    cr_assert(fx_ask(&x, &old, &q, 1, false, &a) && fx_ask(&x, &new, &q, 1, false, &a) && fx_ask(&x, &old, &q, 1, false, &a));
    x.now += KH_NS_PER_S;
    cr_assert(!fx_ask(&x, &old, &q, 1, false, &a) && fx_ask(&x, &new, &q, 1, false, &a));
    cr_assert(fx_count(&x, KH_N_DROPPED_EXPIRED) == 1);
    /* and before 2^32 datagrams */
    kh_session *s = kh_session_find(&x.service->sessions, kh_load64(new.session));
    atomic_store(&s->datagrams, (UINT64_C(1) << 32) - 10);
    cr_assert(!fx_ask(&x, &new, &q, 1, false, &a));
    cr_assert(fx_count(&x, KH_N_DROPPED_EXPIRED) == 2);
    kh_lane_close(&old);
    kh_lane_close(&new);
    fx_teardown(&x);
}

static void freeze(uint32_t party, uint8_t frozen)
{
    ops_buf b = {0};
    ops_add(&b, &(kh_op){.type = KH_OP_PARTY_STATUS, .party_status = {party, frozen}});
    cr_assert(fixture_send(x.store, &b, NULL) == KH_OK);
    free(b.p);
}

Test(session, freezing_ends_it)
{
    fx_setup(&x);
    kh_query q = fx_query(1);
    kh_query_answer a;
    kh_session_grant grant;
    kh_lane lane = fx_lane(&x, FX_BANK), other = fx_lane(&x, FX_OTHER);
    freeze(FX_BANK, 1);
    cr_assert(!fx_ask(&x, &lane, &q, 1, false, &a) && fx_count(&x, KH_N_DROPPED_FROZEN) == 1);
    cr_assert(fx_ask(&x, &other, &q, 1, false, &a) && a.code == KH_C_OK);
    cr_assert(fx_session(&x, FX_BANK, &grant) == KH_E_ARG);
    freeze(FX_BANK, 0);
    cr_assert(!fx_ask(&x, &lane, &q, 1, false, &a)); /* over for good */
    kh_lane again = fx_lane(&x, FX_BANK);
    cr_assert(fx_ask(&x, &again, &q, 1, false, &a));
    kh_session_end_party(x.service, FX_BANK); /* as when its key is changed */
    cr_assert(!fx_ask(&x, &again, &q, 1, false, &a) && fx_ask(&x, &other, &q, 1, false, &a));
    cr_assert(kh_session_count(x.service) == 1);
    kh_lane_close(&lane);
    kh_lane_close(&again);
    kh_lane_close(&other);
    fx_teardown(&x);
}

/* ---- what is dropped ---- */

static void dropped(fx_packet *p, kh_count why)
{
    uint64_t before = fx_count(&x, why), all = fx_count(&x, KH_N_REPLIES);
    fx_burst(&x, &p->packet);
    cr_assert(p->packet.n == 0 && fx_count(&x, why) == before + 1 && fx_count(&x, KH_N_REPLIES) == all, "reason %d", (int)why);
}

Test(drop, every_reason)
{
    fx_setup(&x);
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_query q[40];
    fx_packet p, copy;
    for (uint32_t i = 0; i < 40; i++) q[i] = fx_query(i);
    for (uint32_t n = 0; n < KH_REQUEST_HEAD_SZ + 24 + 16; n++) { /* cut: every length */
        fx_seal(&lane, &p, q, 1, false);
        p.packet.n = n;
        dropped(&p, KH_N_DROPPED_SHORT);
    }
    fx_seal(&lane, &p, q, 40, false);
    p.packet.n = KH_DATAGRAM_MAX_SZ + 1;
    dropped(&p, KH_N_DROPPED_LONG);
    for (uint32_t less = 1; less < 32; less++) { /* no whole number */
        fx_seal(&lane, &p, q, 3, false);
        p.packet.n -= less;
        dropped(&p, KH_N_DROPPED_SHAPE);
    }
    for (uint32_t form = 0; form < 256; form++) {
        if (form == KH_FORM_QUERY || form == KH_FORM_QUERY_LONG || form == KH_FORM_OPERATIONS) continue;
        fx_seal(&lane, &p, q, 2, false);
        p.bytes[15] = (uint8_t)form;
        dropped(&p, KH_N_DROPPED_SHAPE);
    }
    fx_seal(&lane, &p, q, 2, false);
    p.bytes[14] = 64; /* lane */
    dropped(&p, KH_N_DROPPED_SHAPE);
    fx_seal(&lane, &p, q, 2, false);
    p.bytes[13] = 0x40; /* counter */
    dropped(&p, KH_N_DROPPED_SHAPE);
    fx_seal(&lane, &p, q, 40, false);
    memset(p.bytes + p.packet.n, 0, 32); /* 41 queries */
    p.packet.n += 32;
    dropped(&p, KH_N_DROPPED_SHAPE);
    for (uint32_t i = 0; i < 8; i++) {
        fx_seal(&lane, &p, q, 2, false);
        p.bytes[i] ^= 1; /* session */
        dropped(&p, KH_N_DROPPED_UNKNOWN);
    }
    /* every bit of the counter, the lane, the form that stays one, the queries, the tag */
    fx_seal(&lane, &copy, q, 2, false);
    for (uint32_t bit = 8 * 8; bit < copy.packet.n * 8; bit++) {
        p = copy;
        p.packet.p = p.bytes;
        p.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (bit / 8 == 15 || bit == 13 * 8 + 6 || bit == 13 * 8 + 7 || (bit / 8 == 14 && bit % 8 >= 6))
            continue; /* shape, above */
        dropped(&p, KH_N_DROPPED_SEAL);
    }
    p = copy;
    p.packet.p = p.bytes;
    fx_burst(&x, &p.packet);
    cr_assert(p.packet.n != 0); /* what was altered did not use the counter up */
    p = copy;
    p.packet.p = p.bytes;
    dropped(&p, KH_N_DROPPED_REPLAYED);
    lane.counter = 7 + 8 * 16384;
    fx_seal(&lane, &p, q, 1, false);
    fx_burst(&x, &p.packet);
    cr_assert(p.packet.n != 0);
    lane.counter = 7;
    fx_seal(&lane, &p, q, 1, false);
    dropped(&p, KH_N_DROPPED_TOO_OLD);
    kh_lane_close(&lane);
    fx_teardown(&x);
}

/* Two copies in one burst, and on two pollers: one answer. */
Test(drop, of_two_copies_one_is_answered)
{
    fx_setup_with(&x, NULL, (kh_service_options){.poller_cnt = 2});
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_query q = fx_query(5);
    kh_query_answer a;
    fx_packet p[2], again;
    fx_seal(&lane, &p[0], &q, 1, false);
    p[1] = again = p[0];
    p[1].packet.p = p[1].bytes;
    again.packet.p = again.bytes;
    kh_packet *both[2] = {&p[0].packet, &p[1].packet};
    kh_poller_burst(x.poller, both, 2, x.now);
    cr_assert(p[1].packet.n == 0 && fx_read(&lane, &p[0].packet, &a, 1) && a.code == KH_C_OK);
    kh_poller *second;
    cr_assert(kh_poller_new(x.service, 1, &second) == KH_OK && kh_poller_new(x.service, 1, &second) == KH_E_EXISTS &&
              kh_poller_new(x.service, 2, &second) == KH_E_ARG);
    kh_packet *one = &again.packet;
    kh_poller_burst(second, &one, 1, x.now);
    cr_assert(again.packet.n == 0);
    kh_poller_free(second);
    kh_lane_close(&lane);
    fx_teardown(&x);
}

/* Reply nonces of one key never come twice: not between pollers, and not when a poller is made anew. */
Test(drop, reply_counters_go_on)
{
    fx_setup(&x);
    kh_lane lane = fx_lane(&x, FX_BANK);
    kh_query q = fx_query(5);
    fx_packet p;
    kh_reply_head first, second;
    uint64_t as_of;
    const uint8_t *body;
    uint32_t cnt;
    fx_seal(&lane, &p, &q, 1, false);
    fx_burst(&x, &p.packet);
    cr_assert(kh_lane_open_reply(&lane, p.bytes, p.packet.n, &first, &as_of, &body, &cnt));
    cr_assert(first.request_counter == 0 && first.poller == 0);
    kh_poller_free(x.poller);
    cr_assert(kh_poller_new(x.service, 0, &x.poller) == KH_OK);
    fx_seal(&lane, &p, &q, 1, false);
    fx_burst(&x, &p.packet);
    cr_assert(kh_lane_open_reply(&lane, p.bytes, p.packet.n, &second, &as_of, &body, &cnt));
    cr_assert(second.counter == first.counter + 1 && second.request_counter == 1);
    kh_lane_close(&lane);
    fx_teardown(&x);
}
