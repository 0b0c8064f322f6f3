/* service_fixture: a store with two banks, an enterprise, a source and the regulator, a service on it, a poller, and lanes of
 * sessions that these parties open. */
#ifndef KH_TESTS_SERVICE_FIXTURE_H
#define KH_TESTS_SERVICE_FIXTURE_H
#include "client/datagram.h"
#include "crypto/digest.h"
#include "service/limits.h"
#include "service/parts.h"
#include "store_fixture.h"

enum { FX_REGULATOR = 1, FX_BANK = OPS_BANK, FX_OTHER = 12, FX_ENTERPRISE = OPS_ENTERPRISE, FX_SOURCE = 30, FX_DOCS = 200 };
#define FX_BASE UINT64_C(1000000)

typedef struct service_fixture {
    fixture f;
    kh_store *store;
    kh_service *service;
    kh_limits *limits;
    kh_poller *poller;
    uint64_t now; /* as bursts have it */
} service_fixture;

static inline void fx_setup_with(service_fixture *x, const kh_limit_rate rates[KH_LIMIT_CNT], kh_service_options more)
{
    fixture_setup(&x->f);
    fixture_create(&x->f);
    x->f.options.inline_engine = false;
    x->store = fixture_open(&x->f);
    fixture_documents(x->store, FX_DOCS);
    ops_buf b = {0};
    ops_add(&b, &(kh_op){.type = KH_OP_PARTY_ADD, .party_add = {FX_OTHER, KH_ROLE_BANK, kh_text_of("Bank B"), {0}}});
    ops_add(&b, &(kh_op){.type = KH_OP_PARTY_ADD, .party_add = {FX_SOURCE, KH_ROLE_SOURCE, kh_text_of("Customs"), {0}}});
    cr_assert(fixture_send(x->store, &b, NULL) == KH_OK);
    free(b.p);
    x->limits = NULL;
    if (rates != NULL) cr_assert(kh_limits_new(rates, (kh_limit_rate){0, 0}, &x->limits) == KH_OK);
    more.store = x->store;
    more.limits = x->limits;
    more.clock = &x->f.clock;
    more.entropy = &x->f.entropy;
    if (more.poller_cnt == 0) more.poller_cnt = 1;
    x->now = 1000;
    cr_assert(kh_service_new(&more, &x->service) == KH_OK);
    cr_assert(kh_poller_new(x->service, 0, &x->poller) == KH_OK);
    kh_poller_begin(x->poller);
}

static inline void fx_setup(service_fixture *x) { fx_setup_with(x, NULL, (kh_service_options){0}); }

static inline void fx_teardown(service_fixture *x)
{
    kh_poller_end(x->poller);
    kh_poller_free(x->poller);
    kh_service_free(x->service);
    kh_limits_free(x->limits);
    kh_store_close(x->store);
    fixture_teardown(&x->f);
}

/* The TLS exporter's part: both ends know `secret`. */
static inline kh_err fx_export(void *ctx, const char *label, const uint8_t *context, size_t context_n, uint8_t *ret, size_t n)
{
    kh_sha256_state sha;
    cr_assert(n == 32 && context_n == KH_SESSION_CONTEXT_SZ);
    kh_sha256_init(&sha);
    kh_sha256_update(&sha, ctx, 4);
    kh_sha256_update(&sha, label, strlen(label));
    kh_sha256_update(&sha, context, context_n);
    kh_sha256_final(&sha, ret);
    return KH_OK;
}

static inline kh_principal fx_who(uint32_t party)
{
    kh_role role = party == FX_REGULATOR    ? KH_ROLE_REGULATOR
                   : party == FX_ENTERPRISE ? KH_ROLE_ENTERPRISE
                   : party == FX_SOURCE     ? KH_ROLE_SOURCE
                                            : KH_ROLE_BANK;
    return (kh_principal){party, role, false};
}

static inline kh_err fx_session(service_fixture *x, uint32_t party, kh_session_grant *ret)
{
    uint32_t secret = party;
    const kh_principal who = fx_who(party);
    return kh_session_open(x->service, &who, fx_export, &secret, x->now, ret);
}

static inline kh_lane fx_lane_of(uint32_t party, const uint8_t id[8], uint8_t lane)
{
    uint8_t keys[2][32], context[KH_SESSION_CONTEXT_SZ];
    kh_lane l;
    for (uint8_t d = 0; d < 2; d++) {
        kh_session_context(id, KH_SUITE_AES_256_GCM, d, context);
        cr_assert(fx_export(&party, KH_SESSION_LABEL, context, sizeof context, keys[d], 32) == KH_OK);
    }
    cr_assert(kh_lane_open(id, lane, keys[KH_TO_SERVER], keys[KH_TO_CLIENT], &l) == KH_OK);
    return l;
}

static inline kh_lane fx_lane(service_fixture *x, uint32_t party)
{
    kh_session_grant grant;
    kh_err err = fx_session(x, party, &grant);
    cr_assert(err == KH_OK, "%d", err);
    return fx_lane_of(party, grant.id, 0);
}

static inline kh_query fx_query(uint32_t doc)
{
    return (kh_query){.key = ops_key(doc),
                      .amount = FX_BASE,
                      .owner_check = kh_owner_check(kh_text_of(ops_owner)),
                      .currency = OPS_USD,
                      .date = 9000,
                      .want = KH_AMOUNT_NONE};
}

typedef struct fx_packet {
    kh_packet packet;
    uint8_t bytes[KH_DATAGRAM_MAX_SZ + 64];
} fx_packet;

static inline void fx_seal(kh_lane *lane, fx_packet *p, const kh_query *q, uint32_t n, bool is_long)
{
    uint64_t counter;
    p->packet = (kh_packet){.p = p->bytes, .cap = KH_DATAGRAM_MAX_SZ};
    p->packet.n = kh_lane_seal(lane, q, n, is_long, p->bytes, &counter);
}

static inline void fx_burst(service_fixture *x, kh_packet *p) { kh_poller_burst(x->poller, &p, 1, x->now); }

/* The answers of a reply; false where there is none. */
static inline bool fx_read(const kh_lane *lane, kh_packet *p, kh_query_answer *ret, uint32_t n)
{
    kh_reply_head head;
    uint64_t as_of;
    const uint8_t *body;
    uint32_t cnt;
    if (p->n == 0) return false;
    cr_assert(kh_lane_open_reply(lane, p->p, p->n, &head, &as_of, &body, &cnt) && cnt == n && as_of > 0);
    for (uint32_t i = 0; i < n; i++) cr_assert(kh_query_answer_decode(body + i * KH_ANSWER_SZ, &ret[i]) == KH_OK);
    return true;
}

static inline bool fx_ask(service_fixture *x, kh_lane *lane, const kh_query *q, uint32_t n, bool is_long, kh_query_answer *ret)
{
    fx_packet p;
    fx_seal(lane, &p, q, n, is_long);
    fx_burst(x, &p.packet);
    return fx_read(lane, &p.packet, ret, n);
}

/* The next late packet, waited for; false: none came. */
static inline bool fx_late(service_fixture *x, fx_packet *p)
{
    p->packet = (kh_packet){.p = p->bytes, .cap = KH_DATAGRAM_MAX_SZ};
    for (uint32_t i = 0; i < 60000; i++) {
        if (kh_poller_late_cnt(x->poller) > 0) return kh_poller_late(x->poller, &p->packet);
        kh_poller_burst(x->poller, NULL, 0, x->now);
        usleep(1000);
    }
    return false;
}

static inline uint64_t fx_count(service_fixture *x, kh_count which)
{
    return atomic_load_explicit(&x->poller->counts[which], memory_order_relaxed);
}
#endif
