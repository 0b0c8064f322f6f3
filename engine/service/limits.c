/* limits: buckets as one number each: the time at which the bucket will be full again. A token is worth 1/per_s seconds; taking
 * moves that time away from now, at most `burst` tokens away; waiting does the refilling by itself. */
#include "service/limits.h"
#include <stdatomic.h>
#include <stdlib.h>

#define PLACES 8u /* buckets that a party or address may use, one behind the other */

typedef struct bucket_rate {
    uint64_t token_ns, whole_ns; /* whole_ns 0: no limit */
} bucket_rate;
typedef struct party_buckets {
    _Atomic uint64_t key; /* party; 0 nobody's yet */
    _Atomic uint64_t full_at[KH_LIMIT_CNT];
} party_buckets;
typedef struct address_bucket {
    _Atomic uint64_t key, full_at;
} address_bucket;
struct kh_limits {
    bucket_rate rates[KH_LIMIT_CNT], address;
    party_buckets *parties;
    address_bucket *addresses;
};

static bool rate_of(kh_limit_rate in, bucket_rate *ret)
{
    *ret = (bucket_rate){0};
    if (in.burst == 0) return true;
    if (in.burst > KH_LIMIT_BURST_MAX || in.per_s == 0 || in.per_s > KH_LIMIT_PER_S_MAX) return false;
    ret->token_ns = (KH_NS_PER_S + in.per_s - 1) / in.per_s;
    ret->whole_ns = ret->token_ns * in.burst;
    return true;
}

kh_err kh_limits_new(const kh_limit_rate rates[KH_LIMIT_CNT], kh_limit_rate address, kh_limits **ret)
{
    kh_limits *limits = calloc(1, sizeof *limits);
    if (limits == NULL) return KH_E_NOMEM;
    bool sound = rate_of(address, &limits->address);
    for (uint32_t i = 0; i < KH_LIMIT_CNT; i++) sound = rate_of(rates[i], &limits->rates[i]) && sound;
    limits->parties = calloc(KH_LIMIT_PARTIES, sizeof *limits->parties);
    limits->addresses = calloc(KH_LIMIT_ADDRESSES, sizeof *limits->addresses);
    if (!sound || limits->parties == NULL || limits->addresses == NULL) {
        kh_limits_free(limits);
        return sound ? KH_E_NOMEM : KH_E_ARG;
    }
    *ret = limits;
    return KH_OK;
}

void kh_limits_free(kh_limits *limits)
{
    if (limits == NULL) return;
    free(limits->parties);
    free(limits->addresses);
    free(limits);
}

/* take: up to n tokens of one bucket. Relaxed: a bucket orders nothing but itself. */
static uint32_t take(_Atomic uint64_t *full_at, bucket_rate rate, uint32_t n, uint64_t now_ns)
{
    uint64_t was = atomic_load_explicit(full_at, memory_order_relaxed);
    for (;;) {
        uint64_t from = was > now_ns ? was : now_ns, missing = from - now_ns;
        uint64_t there = missing < rate.whole_ns ? (rate.whole_ns - missing) / rate.token_ns : 0;
        uint32_t granted = there < n ? (uint32_t)there : n;
        if (granted == 0) return 0;
        if (atomic_compare_exchange_weak_explicit(full_at, &was, from + granted * rate.token_ns, memory_order_relaxed,
                                                  memory_order_relaxed))
            return granted;
    }
}

static bool is_full(const _Atomic uint64_t *full_at, uint64_t now_ns)
{
    return atomic_load_explicit(full_at, memory_order_relaxed) <= now_ns;
}

static bool all_full(const party_buckets *b, uint64_t now_ns)
{
    for (uint32_t i = 0; i < KH_LIMIT_CNT; i++)
        if (!is_full(&b->full_at[i], now_ns)) return false;
    return true;
}

static party_buckets *known_party(const kh_limits *limits, uint32_t party)
{
    uint64_t home = kh_xxh3(&party, sizeof party);
    for (uint32_t i = 0; i < PLACES; i++) {
        party_buckets *b = &limits->parties[(home + i) % KH_LIMIT_PARTIES];
        if (atomic_load_explicit(&b->key, memory_order_relaxed) == party) return b;
    }
    return &limits->parties[home % KH_LIMIT_PARTIES];
}

/* A bucket that is full says nothing about whose it was: it may change hands. Who still held the old name adds to the new one's
 * account at worst: it is limited sooner. */
static party_buckets *party_of(const kh_limits *limits, uint32_t party, uint64_t now_ns)
{
    uint64_t home = kh_xxh3(&party, sizeof party);
    party_buckets *b = known_party(limits, party);
    if (atomic_load_explicit(&b->key, memory_order_relaxed) == party) return b;
    for (uint32_t i = 0; i < PLACES; i++) {
        b = &limits->parties[(home + i) % KH_LIMIT_PARTIES];
        uint64_t key = atomic_load_explicit(&b->key, memory_order_relaxed);
        if (key == party) return b;
        if (!all_full(b, now_ns)) continue;
        if (atomic_compare_exchange_strong_explicit(&b->key, &key, party, memory_order_relaxed, memory_order_relaxed)) return b;
        if (key == party) return b;
    }
    return &limits->parties[home % KH_LIMIT_PARTIES];
}

uint32_t kh_limits_take(kh_limits *limits, kh_limit what, uint32_t party, uint32_t n, uint64_t now_ns)
{
    bucket_rate rate = limits->rates[what];
    if (rate.whole_ns == 0 || party == 0 || n == 0) return n;
    return take(&party_of(limits, party, now_ns)->full_at[what], rate, n, now_ns);
}

void kh_limits_give_back(kh_limits *limits, kh_limit what, uint32_t party, uint32_t n)
{
    bucket_rate rate = limits->rates[what];
    if (rate.whole_ns == 0 || party == 0 || n == 0) return;
    _Atomic uint64_t *full_at = &known_party(limits, party)->full_at[what];
    uint64_t was = atomic_load_explicit(full_at, memory_order_relaxed), back = n * rate.token_ns;
    while (!atomic_compare_exchange_weak_explicit(full_at, &was, was > back ? was - back : 0, memory_order_relaxed,
                                                  memory_order_relaxed)) {}
}

bool kh_limits_address(kh_limits *limits, const uint8_t address[16], uint64_t now_ns)
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    if (limits->address.whole_ns == 0) return true;
    /* where the tables lie is not known outside: nobody can look for an address that shares another's bucket */
    struct {
        uint8_t address[16];
        const void *place;
    } named = {.place = limits};
    memcpy(named.address, address, memcmp(address, v4, sizeof v4) == 0 ? 16 : 8);
    uint64_t home = kh_xxh3(&named, sizeof named), mine = home | 1;
    address_bucket *b;
    for (uint32_t i = 0; i < PLACES; i++) {
        b = &limits->addresses[(home + i) % KH_LIMIT_ADDRESSES];
        if (atomic_load_explicit(&b->key, memory_order_relaxed) == mine)
            return take(&b->full_at, limits->address, 1, now_ns) == 1;
    }
    for (uint32_t i = 0; i < PLACES; i++) {
        b = &limits->addresses[(home + i) % KH_LIMIT_ADDRESSES];
        uint64_t key = atomic_load_explicit(&b->key, memory_order_relaxed);
        if (!is_full(&b->full_at, now_ns) && key != mine) continue;
        if (atomic_compare_exchange_strong_explicit(&b->key, &key, mine, memory_order_relaxed, memory_order_relaxed) ||
            key == mine)
            return take(&b->full_at, limits->address, 1, now_ns) == 1;
    }
    return take(&limits->addresses[home % KH_LIMIT_ADDRESSES].full_at, limits->address, 1, now_ns) == 1;
}

static bool number(const char **at, uint32_t max, uint32_t *ret)
{
    uint64_t n = 0;
    const char *p = *at;
    while (*p >= '0' && *p <= '9' && n <= max) n = n * 10 + (uint64_t)(*p++ - '0');
    if (p == *at || n == 0 || n > max) return false;
    *at = p;
    *ret = (uint32_t)n;
    return true;
}

bool kh_limit_rate_parse(const char *text, kh_limit_rate *ret)
{
    kh_limit_rate rate = {0};
    if (strcmp(text, "off") != 0) {
        if (!number(&text, KH_LIMIT_BURST_MAX, &rate.burst) || *text++ != '/' ||
            !number(&text, KH_LIMIT_PER_S_MAX, &rate.per_s) || *text != '\0')
            return false;
    }
    *ret = rate;
    return true;
}

bool kh_limit_applies(const kh_limits *limits, const kh_principal *who)
{
    return limits != NULL && who->party != 0 && who->role != KH_ROLE_REGULATOR;
}

uint32_t kh_limit_probes(const kh_receipt *receipt)
{
    uint32_t cnt = 0;
    if (receipt->type != KH_OP_APPLY) return 0;
    for (uint32_t i = 0; i < receipt->line_cnt; i++) cnt += kh_limit_is_probe(receipt->lines[i].code);
    return cnt == 0 && kh_limit_is_probe(receipt->code) ? 1 : cnt;
}
