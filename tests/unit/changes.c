/* changes: an officers' change from a client until a block holds it, over a node that the test plays. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>
#include "cluster/changes.h"
#include "crypto/digest.h"

static struct {
    pthread_mutex_t lock;
    uint8_t offered[4096];
    size_t offered_n;
    uint32_t offer_cnt;
    kh_err answer;
    kh_order_code judged;
} node = {.lock = PTHREAD_MUTEX_INITIALIZER};

kh_err kh_node_submit_tx(kh_node *n, const uint8_t *tx, size_t sz)
{
    (void)n;
    (void)pthread_mutex_lock(&node.lock);
    memcpy(node.offered, tx, sz);
    node.offered_n = sz;
    node.offer_cnt++;
    (void)pthread_mutex_unlock(&node.lock);
    return node.answer;
}
void kh_node_read(kh_node *n, void (*f)(void *ctx, kh_order *order), void *ctx)
{
    (void)n;
    f(ctx, NULL);
}
kh_order_code kh_order_offerable(kh_order *o, const uint8_t *tx, size_t n, uint64_t time_ns)
{
    (void)o, (void)tx, (void)n, (void)time_ns;
    return node.judged;
}
uint64_t kh_order_time(const kh_order *o)
{
    (void)o;
    return 0;
}

static size_t a_change(uint64_t number, uint8_t *ret, size_t cap)
{
    static const uint8_t body[8] = {9};
    kh_change c = {.number = number, .kind = KH_CHANGE_VALIDATOR, .body = body, .body_sz = 8, .signature_cnt = 1};
    size_t n = kh_change_encode(&c, ret, cap);
    cr_assert(n > 0);
    return n;
}

static void decide(kh_changes *c, uint64_t height, uint8_t type, kh_order_code code, const uint8_t *tx, size_t n)
{
    uint8_t digests[1][32];
    uint16_t codes[1] = {(uint16_t)code};
    kh_sha256(tx, n, digests[0]);
    kh_order_block b = {.height = height, .tx_cnt = 1, .codes = codes, .types = &type};
    b.digests = (const uint8_t(*)[32])digests;
    kh_changes_decided(c, &b);
}

typedef struct waiter {
    kh_changes *c;
    uint8_t tx[1024];
    size_t n;
    kh_err err;
    kh_order_code code;
    uint64_t height, timeout_ns;
} waiter;

static void *put(void *arg)
{
    waiter *w = arg;
    w->err = kh_changes_put(w->c, w->tx, w->n, w->timeout_ns, &w->code, &w->height);
    return NULL;
}

static void wait_offered(uint32_t cnt)
{
    uint32_t now = 0;
    for (int i = 0; i < 60000 && now < cnt; i++) {
        (void)pthread_mutex_lock(&node.lock);
        now = node.offer_cnt;
        (void)pthread_mutex_unlock(&node.lock);
        usleep(1000);
    }
    cr_assert(now == cnt);
}

Test(changes, answered_by_the_block_that_holds_it)
{
    waiter w = {.timeout_ns = 20 * KH_NS_PER_S};
    pthread_t t;
    uint8_t other[1024];
    size_t other_n = a_change(4, other, sizeof other);
    cr_assert(kh_changes_new(NULL, &w.c) == KH_OK);
    w.n = a_change(3, w.tx, sizeof w.tx);
    cr_assert(pthread_create(&t, NULL, put, &w) == 0);
    wait_offered(1);
    decide(w.c, 10, KH_TX_CHANGE, KH_R_OK, other, other_n);      /* another's */
    decide(w.c, 11, KH_TX_ATTESTATION, KH_R_OK, w.tx, w.n);      /* no change */
    decide(w.c, 12, KH_TX_CHANGE, KH_R_REFUSED, w.tx, w.n);      /* it */
    decide(w.c, 13, KH_TX_CHANGE, KH_R_BAD_SEQUENCE, w.tx, w.n); /* again: it is answered */
    (void)pthread_join(t, NULL);
    cr_assert(w.err == KH_OK && w.code == KH_R_REFUSED && w.height == 12);
    cr_assert(node.offered_n == w.n && memcmp(node.offered, w.tx, w.n) == 0);
    kh_changes_free(w.c);
}

Test(changes, what_has_no_effect_now_is_not_offered)
{
    waiter w = {.timeout_ns = KH_NS_PER_S, .height = 7};
    cr_assert(kh_changes_new(NULL, &w.c) == KH_OK);
    w.n = a_change(3, w.tx, sizeof w.tx);
    node.judged = KH_R_NOT_AUTHORISED;
    put(&w);
    cr_assert(w.err == KH_OK && w.code == KH_R_NOT_AUTHORISED && w.height == 0 && node.offer_cnt == 0);
    node.judged = KH_R_OK;
    w.tx[0] = KH_TX_CERTIFICATE;
    put(&w);
    cr_assert(w.err == KH_E_ARG && node.offer_cnt == 0);
    kh_changes_free(w.c);
}

Test(changes, nobody_waits_for_ever)
{
    waiter w = {.timeout_ns = 20000000}, stopped = {.timeout_ns = 60 * KH_NS_PER_S};
    pthread_t t;
    cr_assert(kh_changes_new(NULL, &w.c) == KH_OK);
    w.n = a_change(3, w.tx, sizeof w.tx);
    for (uint32_t i = 0; i < 2 * KH_CHANGES_WAITING_MAX; i++) { /* places are given back */
        put(&w);
        cr_assert(w.err == KH_E_AGAIN && node.offer_cnt == i + 1);
    }
    stopped.c = w.c;
    stopped.n = a_change(4, stopped.tx, sizeof stopped.tx);
    cr_assert(pthread_create(&t, NULL, put, &stopped) == 0);
    wait_offered(2 * KH_CHANGES_WAITING_MAX + 1);
    kh_changes_stop(w.c);
    (void)pthread_join(t, NULL);
    cr_assert(stopped.err == KH_E_CLOSED);
    kh_changes_free(w.c);
}
