/* quota: bytes and requests in memory. One party may have a quarter of the whole, so that it cannot be in another's way. Parties
   share their counters by a hash: two that fall together share a quarter. */
#include "http/inside.h"
#include <stdlib.h>

#define SHARES 4096u

struct kh_quota {
    uint64_t bytes_max, share_max;
    uint32_t requests_max, request_share_max;
    _Atomic uint64_t bytes, share[SHARES];
    _Atomic uint32_t requests, request_share[SHARES];
};

kh_err kh_quota_new(uint64_t bytes, uint32_t requests, kh_quota **ret)
{
    kh_quota *q = calloc(1, sizeof *q);
    if (q == NULL) return KH_E_NOMEM;
    q->bytes_max = bytes;
    q->share_max = bytes / 4;
    q->requests_max = requests;
    q->request_share_max = requests / 4 + 1;
    *ret = q;
    return KH_OK;
}

void kh_quota_free(kh_quota *q) { free(q); }

void kh_quota_grow(kh_quota *q, uint32_t party, uint64_t bytes)
{
    atomic_fetch_add_explicit(&q->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&q->share[party % SHARES], bytes, memory_order_relaxed);
}

static void shrink(kh_quota *q, uint32_t party, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&q->bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&q->share[party % SHARES], bytes, memory_order_relaxed);
}

bool kh_quota_take(kh_quota *q, uint32_t party, uint64_t bytes)
{
    uint32_t all = atomic_fetch_add_explicit(&q->requests, 1, memory_order_relaxed);
    uint32_t share = atomic_fetch_add_explicit(&q->request_share[party % SHARES], 1, memory_order_relaxed);
    kh_quota_grow(q, party, bytes);
    if (all < q->requests_max && share < q->request_share_max &&
        atomic_load_explicit(&q->bytes, memory_order_relaxed) <= q->bytes_max &&
        atomic_load_explicit(&q->share[party % SHARES], memory_order_relaxed) <= q->share_max)
        return true;
    kh_quota_give_back(q, party, bytes);
    return false;
}

void kh_quota_give_back(kh_quota *q, uint32_t party, uint64_t bytes)
{
    shrink(q, party, bytes);
    atomic_fetch_sub_explicit(&q->requests, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&q->request_share[party % SHARES], 1, memory_order_relaxed);
}
