/* session: the table: who opens and ends sessions waits here; who looks one up never does. */
#include "service/session.h"
#include "index/reader.h"
#include "service/limits.h"
#include "service/parts.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { DRAWS_MAX = 64, PLACES_EACH = 4 };

kh_err kh_sessions_init(kh_sessions *sessions, uint32_t max, uint32_t party_max)
{
    uint64_t places = 16;
    while (places < (uint64_t)max * PLACES_EACH) places *= 2;
    *sessions = (kh_sessions){.max = max, .party_max = party_max, .place_mask = places - 1};
    sessions->places = calloc(places, sizeof *sessions->places);
    if (sessions->places == NULL) return KH_E_NOMEM;
    (void)pthread_mutex_init(&sessions->lock, NULL);
    return KH_OK;
}

static void release(kh_session *s)
{
    kh_aead_key_free(s->up);
    kh_aead_key_free(s->down);
    (void)munmap(s, sizeof *s);
}

void kh_sessions_release(kh_sessions *sessions)
{
    if (sessions->places == NULL) return;
    for (uint64_t i = 0; i <= sessions->place_mask; i++) {
        kh_session *s = atomic_load_explicit(&sessions->places[i], memory_order_relaxed);
        if (s != NULL) release(s);
    }
    free(sessions->places);
    (void)pthread_mutex_destroy(&sessions->lock);
    sessions->places = NULL;
}

/* unpublish takes a session out of readers' reach; release_all frees a list of such after the grace period. */
static void unpublish(kh_sessions *sessions, kh_session *s, kh_session **list)
{
    atomic_store_explicit(&sessions->places[s->id & sessions->place_mask], NULL, memory_order_relaxed);
    s->next = *list;
    *list = s;
    sessions->cnt--;
}

static void release_all(kh_session *list)
{
    if (list == NULL) return;
    kh_reader_wait_grace();
    for (kh_session *next; list != NULL; list = next) {
        next = list->next;
        release(list);
    }
}

/* Those that have expired go, and of a party that has its fill the oldest. */
static void make_room(kh_sessions *sessions, uint32_t party, uint64_t now_ns, kh_session **list)
{
    kh_session *oldest = NULL;
    uint32_t mine = 0;
    for (uint64_t i = 0; i <= sessions->place_mask; i++) {
        kh_session *s = atomic_load_explicit(&sessions->places[i], memory_order_relaxed);
        if (s == NULL) continue;
        if (s->expires_ns <= now_ns) {
            unpublish(sessions, s, list);
            continue;
        }
        if (s->who.party != party) continue;
        mine++;
        if (oldest == NULL || s->opened_ns < oldest->opened_ns) oldest = s;
    }
    if (oldest != NULL && (mine >= sessions->party_max || sessions->cnt >= sessions->max)) unpublish(sessions, oldest, list);
}

void kh_session_context(const uint8_t id[KH_SESSION_ID_SZ], uint8_t suite, uint8_t direction, uint8_t ret[KH_SESSION_CONTEXT_SZ])
{
    memcpy(ret, id, KH_SESSION_ID_SZ);
    ret[8] = suite;
    ret[9] = direction;
}

static kh_err key_of(kh_service *service, const uint8_t id[8], uint8_t direction, kh_exporter exporter, void *ctx,
                     kh_aead_key **ret)
{
    uint8_t context[KH_SESSION_CONTEXT_SZ], key[KH_AEAD_KEY_SZ];
    kh_session_context(id, KH_SUITE_AES_256_GCM, direction, context);
    kh_err err = exporter(ctx, KH_SESSION_LABEL, context, sizeof context, key, sizeof key);
    if (err == KH_OK) err = kh_aead_key_new(service->options.aead, key, service->options.poller_cnt, ret);
    kh_aead_wipe(key, sizeof key);
    return err;
}

/* The principal as the ledger has it now; *ret_row is where its freezing will show. */
static kh_err look_up(kh_service *service, const kh_principal *who, uint32_t *ret_row)
{
    kh_party_view party;
    const kh_ledger *l = kh_store_read_begin(service->options.store);
    bool known = who->party != 0 && kh_ledger_party(l, who->party, &party) && party.role == who->role && !party.frozen;
    *ret_row = known ? kh_ledger_party_row(l, who->party) : 0;
    kh_store_read_end(service->options.store);
    return known ? KH_OK : KH_E_ARG;
}

/* make draws an id and makes the session of it, in nobody's reach yet. */
static kh_err make(kh_service *service, const kh_principal *who, uint32_t row, kh_exporter exporter, void *ctx, uint64_t now_ns,
                   kh_session **ret)
{
    uint8_t id[KH_SESSION_ID_SZ];
    kh_err err = service->options.entropy->fill(service->options.entropy->self, id, sizeof id);
    if (err != KH_OK) return err;
    kh_session *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s == MAP_FAILED) return KH_E_NOMEM;
    s->id = kh_load64(id);
    s->opened_ns = now_ns;
    s->expires_ns = now_ns + service->options.session_ns;
    s->who = *who;
    s->party_row = row;
    s->rights = kh_access_rights(who, KH_ASK_VERIFY);
    s->door = kh_access_ask(who, KH_ASK_VERIFY);
    s->limited = kh_limit_applies(service->options.limits, who);
    s->bank = who->role == KH_ROLE_BANK ? who->party : 0;
    err = key_of(service, id, KH_TO_SERVER, exporter, ctx, &s->up);
    if (err == KH_OK) err = key_of(service, id, KH_TO_CLIENT, exporter, ctx, &s->down);
    if (err != KH_OK) release(s);
    else *ret = s;
    return err;
}

/* publish: false: another session has the place. */
static bool publish(kh_sessions *sessions, kh_session *s)
{
    _Atomic(kh_session *) *place = &sessions->places[s->id & sessions->place_mask];
    if (s->id == 0 || atomic_load_explicit(place, memory_order_relaxed) != NULL) return false;
    atomic_store_explicit(place, s, memory_order_release); /* partner: kh_session_find */
    sessions->cnt++;
    return true;
}

kh_err kh_session_open(kh_service *service, const kh_principal *who, kh_exporter exporter, void *ctx, uint64_t now_ns,
                       kh_session_grant *ret)
{
    kh_sessions *sessions = &service->sessions;
    kh_session *gone = NULL, *s = NULL;
    uint32_t row;
    kh_err err = look_up(service, who, &row);
    bool published = false;
    for (uint32_t draw = 0; err == KH_OK && !published && draw < DRAWS_MAX; draw++) {
        err = make(service, who, row, exporter, ctx, now_ns, &s);
        if (err != KH_OK) break;
        (void)pthread_mutex_lock(&sessions->lock);
        make_room(sessions, who->party, now_ns, &gone);
        if (sessions->cnt >= sessions->max) err = KH_E_FULL;
        else published = publish(sessions, s);
        kh_session_grant grant = {.lanes = KH_LANES_MAX, .max_queries = KH_QUERIES_MAX, .expires_ns = s->expires_ns};
        kh_store64(grant.id, s->id);
        (void)pthread_mutex_unlock(&sessions->lock);
        memcpy(grant.suite, KH_AEAD_SUITE, sizeof KH_AEAD_SUITE);
        if (published) *ret = grant;
        else release(s);
    }
    release_all(gone);
    return err == KH_OK && !published ? KH_E_FULL : err;
}

void kh_session_close(kh_service *service, const uint8_t id[KH_SESSION_ID_SZ], uint32_t party)
{
    kh_sessions *sessions = &service->sessions;
    kh_session *gone = NULL;
    (void)pthread_mutex_lock(&sessions->lock);
    kh_session *s = kh_session_find(sessions, kh_load64(id));
    if (s != NULL && s->who.party == party) unpublish(sessions, s, &gone);
    (void)pthread_mutex_unlock(&sessions->lock);
    release_all(gone);
}

void kh_session_end_party(kh_service *service, uint32_t party)
{
    kh_sessions *sessions = &service->sessions;
    kh_session *gone = NULL;
    (void)pthread_mutex_lock(&sessions->lock);
    for (uint64_t i = 0; i <= sessions->place_mask; i++) {
        kh_session *s = atomic_load_explicit(&sessions->places[i], memory_order_relaxed);
        if (s != NULL && s->who.party == party) unpublish(sessions, s, &gone);
    }
    (void)pthread_mutex_unlock(&sessions->lock);
    release_all(gone);
}

void kh_session_certificate(kh_service *service, const uint8_t id[KH_SESSION_ID_SZ], const uint8_t certificate[32])
{
    (void)pthread_mutex_lock(&service->sessions.lock);
    kh_session *s = kh_session_find(&service->sessions, kh_load64(id));
    if (s != NULL) memcpy(s->certificate, certificate, sizeof s->certificate);
    (void)pthread_mutex_unlock(&service->sessions.lock);
}

void kh_session_end_certificates(kh_service *service, bool (*ends)(void *ctx, const uint8_t certificate[32]), void *ctx)
{
    kh_sessions *sessions = &service->sessions;
    kh_session *gone = NULL;
    (void)pthread_mutex_lock(&sessions->lock);
    for (uint64_t i = 0; sessions->cnt != 0 && i <= sessions->place_mask; i++) {
        kh_session *s = atomic_load_explicit(&sessions->places[i], memory_order_relaxed);
        if (s != NULL && ends(ctx, s->certificate)) unpublish(sessions, s, &gone);
    }
    (void)pthread_mutex_unlock(&sessions->lock);
    release_all(gone);
}

void kh_session_end_frozen(kh_service *service)
{
    kh_sessions *sessions = &service->sessions;
    const kh_ledger *l = kh_store_ledger(service->options.store);
    kh_session *gone = NULL;
    (void)pthread_mutex_lock(&sessions->lock);
    for (uint64_t i = 0; sessions->cnt != 0 && i <= sessions->place_mask; i++) {
        kh_session *s = atomic_load_explicit(&sessions->places[i], memory_order_relaxed);
        if (s != NULL && kh_ledger_party_frozen(l, s->party_row)) unpublish(sessions, s, &gone);
    }
    (void)pthread_mutex_unlock(&sessions->lock);
    release_all(gone);
}

uint32_t kh_session_count(kh_service *service)
{
    (void)pthread_mutex_lock(&service->sessions.lock);
    uint32_t cnt = service->sessions.cnt;
    (void)pthread_mutex_unlock(&service->sessions.lock);
    return cnt;
}
