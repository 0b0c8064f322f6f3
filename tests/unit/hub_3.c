/* hub, its own clients: what they submit through the store is ordered, executed with everybody's, and answered when it is
 * attested. */
#include <stdatomic.h>
#include "hub_fixture.h"

static void setup(void)
{
    world_begin(true); /* the hub may speak for parties that sign nothing */
    (void)begin_with_papers();
}
TestSuite(hub_driver, .init = setup, .fini = world_end);

typedef struct answers {
    atomic_uint n, ended;
    uint64_t height;
    kh_code codes[64];
    uint64_t sequences[64];
} answers;

static void take(void *ctx, uint64_t height, uint64_t time_ns, const kh_receipt *receipt, uint32_t op_index)
{
    answers *a = ctx;
    (void)time_ns;
    a->height = height;
    if (op_index == UINT32_MAX) {
        atomic_fetch_add(&a->ended, 1);
        return;
    }
    a->codes[op_index] = receipt->code;
    a->sequences[op_index] = receipt->sequence;
    atomic_fetch_add(&a->n, 1);
}

static uint64_t submit(ops_buf *ops, answers *a)
{
    uint64_t ticket = 0;
    const kh_store_batch batch = {.ops = ops->p, .ops_sz = ops->n, .op_cnt = ops->cnt, .reply = take, .ctx = a};
    cr_assert(kh_store_submit(w.store, &batch, &ticket) == KH_OK);
    free(ops->p);
    *ops = (ops_buf){0};
    return ticket;
}

static void enterprise(ops_buf *ops, uint32_t party, uint32_t id, uint64_t sequence)
{
    char name[16], uscc[16];
    snprintf(name, sizeof name, "E%u", id);
    snprintf(uscc, sizeof uscc, "OWNER%u", id);
    ops_add(ops, &(kh_op){.type = KH_OP_PARTY_ADD,
                          .party = party,
                          .sequence = sequence,
                          .party_add = {id, KH_ROLE_ENTERPRISE, kh_text_of(name), kh_text_of(uscc)}});
}

/* What the node does: all that waits becomes one batch of the hub, ordered with the block. */
static uint64_t order_subs(uint32_t from)
{
    block b = {0};
    text t = {0};
    uint64_t tags[64];
    uint32_t cnts[64], n = 0;
    for (uint32_t i = from; i < node.sub_cnt; i++, n++) {
        ops_buf ops = {.p = malloc(node.subs[i].n), .n = node.subs[i].n};
        memcpy(ops.p, node.subs[i].p, ops.n);
        text_own(&t, &ops);
        tags[n] = node.subs[i].tag;
        cnts[n] = node.subs[i].op_cnt;
    }
    block_batch(&b, HUB, &t);
    kh_hub_ordered(w.hub, b.items[0].digest, w.height + 1, tags, cnts, n);
    return decide(&b);
}

Test(hub_driver, answered_when_attested)
{
    answers a = {0}, b = {0};
    ops_buf ops = {0};
    enterprise(&ops, REGULATOR, 300, 41);
    enterprise(&ops, BANK_A, 301, 42); /* not for banks, whatever the genesis says */
    enterprise(&ops, REGULATOR, 300, 43);
    uint64_t first = submit(&ops, &a);
    ops_add(&ops, &(kh_op){.type = KH_OP_GRANT,
                           .party = OPS_ENTERPRISE,
                           .sequence = 44,
                           .grant = {1, 0, UINT64_MAX, OPS_ENTERPRISE, BANK_A, KH_SCOPE_CREDIT}});
    uint64_t second = submit(&ops, &b);
    cr_assert(second > first);
    node.withhold = true;
    uint64_t height = order_subs(0);
    wait_executed(height);
    usleep(50000);
    cr_assert(a.ended == 0 && b.ended == 0); /* executed is not final */
    node.withhold = false;
    kh_attestation none = {0};
    kh_hub_attested(w.hub, &none);
    cr_assert(kh_store_wait(w.store, second) == KH_OK);
    cr_assert(a.n == 3 && a.ended == 1 && a.height == height && b.n == 1 && b.ended == 1 && b.height == height);
    cr_assert(a.codes[0] == KH_C_OK && a.codes[1] == KH_C_NOT_AUTHORISED && a.codes[2] == KH_C_OK && b.codes[0] == KH_C_OK);
    cr_assert(a.sequences[0] == 41 && a.sequences[1] == 42 && b.sequences[0] == 44);
    kh_party_view v;
    cr_assert(kh_ledger_party(kh_store_read_begin(w.store), 300, &v) && !kh_ledger_party(kh_store_ledger(w.store), 301, &v));
    kh_store_read_end(w.store);
}

Test(hub_driver, a_quorum_that_says_otherwise_is_no_answer)
{
    answers a = {0};
    ops_buf ops = {0};
    enterprise(&ops, REGULATOR, 300, 1);
    uint64_t ticket = submit(&ops, &a);
    node.lie = true;
    (void)order_subs(0);
    cr_assert(kh_store_wait(w.store, ticket) == KH_OK);
    cr_assert(a.n == 0 && a.ended == 1 && a.height == 0);
}

Test(hub_driver, a_batch_that_ended_unordered_is_told)
{
    answers a = {0};
    ops_buf ops = {0};
    enterprise(&ops, REGULATOR, 300, 1);
    uint64_t ticket = submit(&ops, &a);
    const uint32_t cnt = 1;
    uint8_t digest[32] = {0};
    kh_hub_ordered(w.hub, digest, 0, &node.subs[0].tag, &cnt, 1);
    cr_assert(kh_store_wait(w.store, ticket) == KH_OK);
    cr_assert(a.n == 0 && a.ended == 1 && a.height == 0);
}

Test(hub_driver, who_waits_is_told_when_the_hub_stops)
{
    answers a = {0};
    ops_buf ops = {0};
    enterprise(&ops, REGULATOR, 300, 1);
    uint64_t ticket = submit(&ops, &a);
    kh_hub_stop(w.hub);
    cr_assert(a.n == 0 && a.ended == 1 && a.height == 0);
    w.hub = NULL;
    enterprise(&ops, REGULATOR, 301, 1);
    const kh_store_batch batch = {.ops = ops.p, .ops_sz = ops.n, .op_cnt = ops.cnt, .reply = take, .ctx = &a};
    cr_assert(kh_store_submit(w.store, &batch, &ticket) == KH_E_CLOSED);
    free(ops.p);
}

Test(hub_driver, many_threads_submissions_each_get_their_own)
{
    enum { N = 60 };
    static answers a[N];
    uint64_t ticket = 0;
    for (uint32_t i = 0; i < N; i++) {
        ops_buf ops = {0};
        for (uint32_t k = 0; k <= i % 3; k++) enterprise(&ops, REGULATOR, 1000 + 10 * i + k, 100 * i + k);
        ticket = submit(&ops, &a[i]);
        if (i % 20 == 19) (void)order_subs(i - 19);
    }
    cr_assert(kh_store_wait(w.store, ticket) == KH_OK);
    for (uint32_t i = 0; i < N; i++) {
        cr_assert(a[i].n == i % 3 + 1 && a[i].ended == 1);
        for (uint32_t k = 0; k <= i % 3; k++) cr_assert(a[i].codes[k] == KH_C_OK && a[i].sequences[k] == 100 * i + k);
    }
}

/* Each that was taken is told, once; of the others nothing is. */
enum { SENT = 15 }; /* by each of four */
typedef struct sending {
    pthread_t thread;
    answers a[SENT];
    uint32_t taken;
} sending;
static void *sends(void *ctx)
{
    sending *s = ctx;
    for (uint32_t i = 0; i < SENT; i++) {
        ops_buf ops = {0};
        enterprise(&ops, REGULATOR, 300, 1);
        const kh_store_batch batch = {.ops = ops.p, .ops_sz = ops.n, .op_cnt = ops.cnt, .reply = take, .ctx = &s->a[i]};
        uint64_t ticket = 0;
        if (kh_store_submit(w.store, &batch, &ticket) == KH_OK) s->taken = i + 1;
        free(ops.p);
    }
    return NULL;
}
Test(hub_driver, submissions_while_the_hub_ends)
{
    static sending s[4];
    uint64_t ticket = 0;
    answers first = {0};
    ops_buf ops = {0};
    enterprise(&ops, REGULATOR, 300, 1);
    ticket = submit(&ops, &first);
    for (uint32_t i = 0; i < 4; i++) cr_assert(pthread_create(&s[i].thread, NULL, sends, &s[i]) == 0);
    kh_hub_end(w.hub);
    for (uint32_t i = 0; i < 4; i++) cr_assert(pthread_join(s[i].thread, NULL) == 0);
    cr_assert(kh_store_wait(w.store, ticket) == KH_E_CLOSED && first.ended == 1);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t k = 0; k < SENT; k++) cr_assert(s[i].a[k].ended == (k < s[i].taken), "%u %u", i, k);
}
