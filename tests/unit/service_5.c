/* service: limits: how much is granted, refilled and given back, by one thread and by many. */
#include "service/limits.h"
#include <criterion/criterion.h>
#include <pthread.h>

enum { S = 1000000000, THREADS = 4, ROUNDS = 200000 };
static const kh_limit_rate none = {0, 0}, small = {100, 10};

static kh_limits *limits_of(kh_limit_rate probe, kh_limit_rate address)
{
    const kh_limit_rate rates[KH_LIMIT_CNT] = {[KH_LIMIT_PROBE] = probe, [KH_LIMIT_QUERY] = {7, 1}};
    kh_limits *limits;
    cr_assert(kh_limits_new(rates, address, &limits) == KH_OK);
    return limits;
}

Test(limits, burst_and_refill)
{
    kh_limits *l = limits_of(small, none);
    uint64_t now = 50 * (uint64_t)S;
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 64, now) == 64);
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 64, now) == 36); /* what there is */
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 1, now) == 0);
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 12, 100, now) == 100);                     /* another party has its own */
    cr_assert(kh_limits_take(l, KH_LIMIT_QUERY, 11, 100, now) == 7);                       /* and other kinds theirs */
    cr_assert(kh_limits_take(l, KH_LIMIT_OPERATION, 11, 4000000000u, now) == 4000000000u); /* no limit */
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 0, 5000, now) == 5000);                    /* the operator */
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 1, now + S / 10 - 1) == 0);
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 1, now + S / 10) == 1);
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 64, now + 3 * (uint64_t)S) == 29);
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 1000, now + 1000 * (uint64_t)S) == 100); /* never more than the burst */
    kh_limits_free(l);
}

Test(limits, given_back)
{
    kh_limits *l = limits_of(small, none);
    uint64_t now = S;
    for (int i = 0; i < 1000; i++) {
        cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 64, now) == 64, "round %d", i);
        kh_limits_give_back(l, KH_LIMIT_PROBE, 11, 64);
    }
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 100, now) == 100);
    kh_limits_give_back(l, KH_LIMIT_PROBE, 11, 3);
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 100, now) == 3);
    kh_limits_give_back(l, KH_LIMIT_PROBE, 11, 100);
    kh_limits_give_back(l, KH_LIMIT_PROBE, 11, 100); /* more than was taken: not more than the burst */
    cr_assert(kh_limits_take(l, KH_LIMIT_PROBE, 11, 1000, now) == 100);
    kh_limits_free(l);
}

Test(limits, addresses)
{
    kh_limits *l = limits_of(none, (kh_limit_rate){3, 1});
    uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}, v6[16] = {0x20, 0x01, 0x0d, 0xb8};
    for (int i = 0; i < 3; i++) cr_assert(kh_limits_address(l, v4, S));
    cr_assert(!kh_limits_address(l, v4, S));
    v4[15] = 2; /* the next machine */
    cr_assert(kh_limits_address(l, v4, S));
    for (int i = 0; i < 3; i++) {
        v6[15] = (uint8_t)i; /* one subscriber, many addresses */
        cr_assert(kh_limits_address(l, v6, S));
    }
    v6[15] = 99;
    cr_assert(!kh_limits_address(l, v6, S));
    cr_assert(kh_limits_address(l, v6, 2 * (uint64_t)S));
    kh_limits_free(l);
    l = limits_of(none, none);
    for (int i = 0; i < 1000; i++) cr_assert(kh_limits_address(l, v4, S));
    kh_limits_free(l);
}

Test(limits, more_askers_than_places)
{
    kh_limits *l = limits_of((kh_limit_rate){2, 1}, (kh_limit_rate){2, 1});
    uint64_t granted = 0, later = 0;
    for (uint32_t p = 1; p <= 4 * KH_LIMIT_PARTIES; p++) granted += kh_limits_take(l, KH_LIMIT_PROBE, p, 2, S);
    cr_assert(granted <= 2ull * KH_LIMIT_PARTIES && granted > KH_LIMIT_PARTIES); /* shared: sooner, never later */
    for (uint32_t p = 1; p <= 100; p++) later += kh_limits_take(l, KH_LIMIT_PROBE, p, 2, 10 * (uint64_t)S);
    cr_assert(later == 200); /* full buckets change hands */
    granted = 0;
    for (uint32_t i = 0; i < 4 * KH_LIMIT_ADDRESSES; i++) {
        uint8_t address[16] = {
            [10] = 0xff,      [11] = 0xff, [12] = (uint8_t)(i >> 24), [13] = (uint8_t)(i >> 16), [14] = (uint8_t)(i >> 8),
            [15] = (uint8_t)i};
        for (int k = 0; k < 2; k++) granted += kh_limits_address(l, address, S);
    }
    cr_assert(granted <= 2ull * KH_LIMIT_ADDRESSES);
    kh_limits_free(l);
}

typedef struct taker {
    kh_limits *l;
    uint64_t granted;
    bool gives_back;
} taker;
static void *take(void *arg)
{
    taker *t = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t n = kh_limits_take(t->l, KH_LIMIT_PROBE, 11, 1 + i % 64, S + i);
        if (t->gives_back) kh_limits_give_back(t->l, KH_LIMIT_PROBE, 11, n);
        else t->granted += n;
    }
    return NULL;
}

Test(limits, many_threads_get_no_more_than_there_is)
{
    kh_limits *l = limits_of((kh_limit_rate){1000000, 1}, none);
    taker takers[2 * THREADS];
    pthread_t threads[2 * THREADS];
    uint64_t granted = 0;
    for (uint32_t i = 0; i < 2 * THREADS; i++) {
        takers[i] = (taker){.l = l, .gives_back = i % 2 != 0};
        cr_assert(pthread_create(&threads[i], NULL, take, &takers[i]) == 0);
    }
    for (uint32_t i = 0; i < 2 * THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        granted += takers[i].granted;
    }
    granted += kh_limits_take(l, KH_LIMIT_PROBE, 11, 1000000, S + ROUNDS); /* what is left */
    cr_assert(granted == 1000000, "%llu", (unsigned long long)granted);
    kh_limits_free(l);
}

Test(limits, parsed)
{
    kh_limit_rate r = {9, 9};
    cr_assert(kh_limit_rate_parse("10000/100", &r) && r.burst == 10000 && r.per_s == 100);
    cr_assert(kh_limit_rate_parse("off", &r) && r.burst == 0 && r.per_s == 0);
    static const char *const wrong[] = {"",
                                        "/",
                                        "1",
                                        "1/",
                                        "/1",
                                        "0/1",
                                        "1/0",
                                        "1/1 ",
                                        " 1/1",
                                        "-1/1",
                                        "1/1x",
                                        "1.5/10",
                                        "off ",
                                        "Off",
                                        "1000000001/1",
                                        "1/10000001",
                                        "99999999999999999999999/1"};
    r = (kh_limit_rate){5, 6};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) cr_assert(!kh_limit_rate_parse(wrong[i], &r), "%s", wrong[i]);
    cr_assert(r.burst == 5 && r.per_s == 6); /* untouched */
    kh_limits *l;
    kh_limit_rate rates[KH_LIMIT_CNT] = {{1, 0}};
    cr_assert(kh_limits_new(rates, none, &l) == KH_E_ARG);
}

Test(limits, whom_the_probe_rule_is_for)
{
    kh_limits *l = limits_of(small, none), *off = limits_of(none, none);
    const kh_principal operator_ = {0, KH_ROLE_REGULATOR, false}, regulator = {1, KH_ROLE_REGULATOR, false},
                       bank = {11, KH_ROLE_BANK, false};
    cr_assert(kh_limit_applies(l, &bank) && !kh_limit_applies(l, &operator_) && !kh_limit_applies(l, &regulator));
    cr_assert(!kh_limit_applies(NULL, &bank) && kh_limit_applies(off, &bank)); /* one kind may be off and another not */
    cr_assert(kh_limit_is_probe(KH_C_NOT_FOUND) && kh_limit_is_probe(KH_C_OWNER_MISMATCH) && kh_limit_is_probe(KH_C_DIRECTION) &&
              kh_limit_is_probe(KH_C_FIELD_MISMATCH));
    cr_assert(!kh_limit_is_probe(KH_C_OK) && !kh_limit_is_probe(KH_C_FORMAT) && !kh_limit_is_probe(KH_C_INSUFFICIENT));
    kh_limits_free(l);
    kh_limits_free(off);
}
