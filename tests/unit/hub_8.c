/* hub, what the banks' views begin with: made of the state alone, and compared before anything is executed. */
#include "hub/opening.h"
#include "hub/parts.h"
#include "hub_state.h"
#include "wall_clock.h"

static const uint32_t banks[2] = {BANK_A, BANK_B};

static kh_err make(const uint8_t secret[32], const uint32_t *of, uint32_t n, kh_maker *maker, uint8_t ret[32])
{
    static const uint8_t checkpoint[32] = {7};
    return kh_opening_make(w.store, secret, checkpoint, of, n, maker, ret);
}

TestSuite(hub_opening, .init = state_begin, .fini = state_end);

Test(hub_opening, is_each_banks_financings)
{
    static const uint8_t checkpoint[32] = {7};
    static kh_output o;
    kh_fin_view f;
    uint8_t root[32], again[32], other[32] = {1};
    kh_maker *maker = NULL;
    uint64_t cursor = 0;
    uint32_t cnt = 0, told = 0;
    static const uint64_t ids[] = {90000, 80000}; /* the log's order is another than that of numbers */
    for (uint32_t i = 0; i < 2; i++) {
        block b = {0};
        block_applies(&b, BANK_A, ids[i], 1);
        wait_executed(decide(&b));
    }
    cr_assert(kh_maker_new(&maker) == KH_OK && make(w.group_secret[0], banks, 2, maker, root) == KH_OK);
    const kh_ledger *l = kh_store_read_begin(w.store);
    while (kh_ledger_financing_next(l, &cursor, &f)) cnt++;
    for (uint32_t nth = 0; nth < 2; nth++) {
        uint8_t *p;
        size_t n;
        kh_package package;
        uint64_t before = 0;
        cr_assert(kh_maker_package(maker, nth, &p, &n) == KH_OK && kh_package_read(p, n, checkpoint, &package) == KH_OK);
        cr_assert(package.party == banks[nth] && package.height == 0 && memcmp(package.root, root, 32) == 0);
        for (uint32_t i = 0; i < package.item_cnt; i++, told++) {
            cr_assert(kh_payload_decode(package.items[i].payload, package.items[i].payload_sz, &o) == KH_OK);
            const kh_receipt *r = &o.receipt;
            cr_assert(o.kind == KH_OUTPUT_OPENING && r->party == banks[nth]);
            cr_assert(i == 0 || r->financing > before); /* by number, whatever the order of the log */
            before = r->financing;
            cr_assert(kh_ledger_financing(l, banks[nth], r->financing, &f));
            cr_assert(r->amount == f.amount && r->moved == f.repaid && r->state == f.state && r->version == f.version);
            cr_assert(r->enterprise == f.enterprise && r->currency == f.currency && r->line_cnt == f.line_cnt);
            cr_assert(strcmp(o.product, f.product) == 0 && o.since == kh_store_block_of(w.store, f.last.height));
            cr_assert(o.hold_ns == (f.deadline_ns != 0 ? f.deadline_ns - 3 * 86400 * KH_NS_PER_S : 0)); /* hold_ttl_applied */
            for (uint32_t k = 0; k < f.line_cnt; k++) {
                cr_assert(kh_key_equal(&o.lines[k].key, &f.lines[k].key) && o.lines[k].allocated == f.lines[k].allocated);
                cr_assert(o.lines[k].amount == f.lines[k].amount && o.papers[k].number_n > 0);
            }
        }
        kh_package_free(&package);
        free(p);
    }
    kh_store_read_end(w.store);
    cr_assert(cnt > 0 && told == cnt);
    cr_assert(make(w.group_secret[0], banks, 2, maker, again) == KH_OK && memcmp(root, again, 32) == 0);
    cr_assert(make(other, banks, 2, maker, again) == KH_OK && memcmp(root, again, 32) != 0);
    cr_assert(make(w.group_secret[0], banks + 1, 1, maker, again) == KH_E_NOT_FOUND);
    kh_genesis g = w.genesis;
    memcpy(g.checkpoint, checkpoint, 32);
    cr_assert(kh_opening_check(w.store, &g, w.group_secret[0]) == KH_OK); /* none is said */
    memcpy(g.opening, root, 32);
    cr_assert(kh_opening_check(w.store, &g, w.group_secret[0]) == KH_OK);
    cr_assert(kh_opening_check(w.store, &g, other) == KH_E_FORMAT);
    g.opening[9] ^= 1;
    cr_assert(kh_opening_check(w.store, &g, w.group_secret[0]) == KH_E_FORMAT);
    kh_maker_free(maker);
}

TestSuite(hub_opening_start);

/* A hub that has executed nothing: the state is the genesis', and so is what banks begin with. */
Test(hub_opening_start, a_hub_compares_before_it_executes)
{
    kh_maker *maker = NULL;
    world_begin(false);
    kh_hub_stop(w.hub);
    w.hub = NULL;
    cr_assert(kh_store_checkpoint_digest(w.store, w.genesis.checkpoint) == KH_OK && kh_maker_new(&maker) == KH_OK);
    cr_assert(kh_opening_make(w.store, w.group_secret[0], w.genesis.checkpoint, banks, 2, maker, w.genesis.opening) == KH_OK);
    w.genesis.opening[0] ^= 1;
    cr_assert(world_start() == KH_E_FORMAT);
    w.genesis.opening[0] ^= 1;
    w.genesis.checkpoint[0] ^= 1;
    cr_assert(world_start() == KH_E_VERSION);
    w.genesis.checkpoint[0] ^= 1;
    w.groups[0] = NULL;
    cr_assert(world_start() == KH_E_NOT_FOUND);
    w.groups[0] = w.group;
    cr_assert(world_start() == KH_OK);
    kh_maker_free(maker);
    world_end();
}

/* A clock that is set back by an hour makes no wait an hour longer. */
Test(hub_opening, waits_are_not_the_wall_clocks, .timeout = 20)
{
    wall_ahead_s = 3600;
    for (int i = 0; i < 20; i++) kh_hub_sleep(w.hub, i);
    block b = {0};
    block_applies(&b, BANK_A, 90000, 1);
    wait_executed(decide(&b));
}
