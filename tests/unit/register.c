/* register: members, rules and rates in the store of a node that executes nothing else. */
#include "kept/register.h"
#include "hub_fixture.h"
#include "order/inside.h"

static kh_register *members;

static void open_store(void)
{
    kh_store_report report;
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy, .driven = true};
    cr_assert(kh_store_open(&options, w.store_dir, &report, &w.store) == KH_OK, "%s", report.why);
    cr_assert(kh_register_open(w.store, w.kept, &w.genesis, NULL, &members) == KH_OK);
}
static void close_store(void)
{
    kh_register_close(members);
    kh_store_close(w.store);
    members = NULL;
    w.store = NULL;
}

/* The fixture's world, with the hub taken out and the store begun anew. */
static void setup(void)
{
    char command[400];
    world_begin(false);
    world_close();
    (void)snprintf(command, sizeof command, "rm -rf %s", w.store_dir);
    cr_assert(system(command) == 0);
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    cr_assert(kh_store_create(&options, w.store_dir, NULL, NULL) == KH_OK);
    open_store();
}
static void teardown(void)
{
    close_store();
    world_end();
}
TestSuite(members, .init = setup, .fini = teardown);

static bool party(uint32_t id, kh_party_view *ret)
{
    const kh_ledger *l = kh_store_read_begin(w.store);
    bool there = kh_ledger_party(l, id, ret);
    kh_store_read_end(w.store);
    return there;
}
static uint64_t entries(void)
{
    kh_store_stats stats;
    kh_store_get_stats(w.store, &stats);
    return stats.height;
}
static void wait_entries(uint64_t n)
{
    for (int i = 0; i < 60000 && entries() < n; i++) usleep(1000);
    cr_assert(entries() == n, "%llu", (unsigned long long)entries());
}

/* A block in which officers freeze (1), unfreeze (0) or expel (3) a party; 2: one without operations of theirs. */
static kh_order_block frozen_block(uint64_t height, uint32_t id, uint8_t status)
{
    static uint8_t ops[KH_OP_MAX_SZ];
    static kh_order_item items[2];
    static const uint16_t codes[1] = {KH_R_OK};
    static const uint8_t types[1] = {KH_TX_CHANGE}, digests[1][32];
    kh_op op = {.type = KH_OP_PARTY_STATUS, .party_status = {id, status}};
    if (status == 3) op = (kh_op){.type = KH_OP_EXPELLED, .expelled = {id}};
    size_t n = 0;
    items[0] = (kh_order_item){.kind = KH_ITEM_BATCH, .sender = BANK_A, .sequence = height};
    if (status != 2) cr_assert(kh_op_encode(&op, ops, sizeof ops, &n) == KH_OK);
    items[1] = (kh_order_item){.kind = KH_ITEM_OPS, .ops = ops, .ops_sz = (uint32_t)n, .op_cnt = 1};
    return (kh_order_block){.height = height,
                            .time_ns = GENESIS_NS + height,
                            .tx_cnt = 1,
                            .codes = codes,
                            .types = types,
                            .digests = digests,
                            .item_cnt = status != 2 ? 2 : 1,
                            .items = items};
}

typedef struct said {
    kh_op *ops;
    uint32_t cnt;
} said;
static kh_err note_op(void *ctx, const kh_op *op)
{
    said *s = ctx;
    s->ops[s->cnt++] = *op;
    return KH_OK;
}

Test(members, the_genesis_is_there_at_once)
{
    kh_party_view p;
    cr_assert(party(BANK_A, &p) && p.role == KH_ROLE_BANK && !p.frozen && strcmp(p.name, "Bank A") == 0);
    cr_assert(party(REGULATOR, &p) && party(SOURCE, &p) && !party(HUB, &p)); /* a hub is no party */
    cr_assert(entries() == 1 && kh_store_last_block(w.store) == FIRST_HEIGHT);
    close_store();
    open_store(); /* and once only */
    cr_assert(entries() == 1);
}

Test(members, changes_are_executed_once)
{
    kh_party_view p;
    kh_order_block b = frozen_block(FIRST_HEIGHT, BANK_A, 1); /* in the very first block */
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    wait_entries(2);
    cr_assert(party(BANK_A, &p) && p.frozen);
    b = frozen_block(FIRST_HEIGHT + 1, BANK_A, 2);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    b = frozen_block(FIRST_HEIGHT + 2, BANK_A, 0);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    wait_entries(3);
    cr_assert(party(BANK_A, &p) && !p.frozen && kh_store_last_block(w.store) == FIRST_HEIGHT + 2);
    close_store();
    open_store();
    b = frozen_block(FIRST_HEIGHT, BANK_A, 1); /* CometBFT gives it again */
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    b = frozen_block(FIRST_HEIGHT + 2, BANK_A, 1);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    usleep(20000);
    cr_assert(entries() == 3 && party(BANK_A, &p) && !p.frozen);
}

/* Of this store no state is made: its older images go. */
Test(members, images_do_not_pile_up)
{
    enum { IMAGES = 4 };
    char path[192];
    uint64_t heights[IMAGES];
    for (uint32_t i = 0; i < IMAGES; i++) {
        kh_order_block b = frozen_block(FIRST_HEIGHT + 1 + i, BANK_A, i % 2 == 0);
        cr_assert(kh_register_decided(members, &b) == KH_OK);
        wait_entries(2 + i);
        cr_assert(kh_store_snapshot(w.store, &heights[i]) == KH_OK);
    }
    for (uint32_t i = 0; i < IMAGES; i++) {
        (void)snprintf(path, sizeof path, "%s/image/%016llx.img", w.store_dir, (unsigned long long)heights[i]);
        cr_assert((access(path, F_OK) == 0) == (i >= IMAGES - 2));
    }
}

Test(members, what_was_kept_and_not_executed_is_made_up)
{
    kh_party_view p;
    close_store();
    kh_order_block b = frozen_block(FIRST_HEIGHT, BANK_B, 1);
    cr_assert(kh_kept_add(w.kept, &b, node.order) == KH_OK);
    b = frozen_block(FIRST_HEIGHT + 5, BANK_A, 1);
    cr_assert(kh_kept_add(w.kept, &b, node.order) == KH_OK);
    open_store();
    cr_assert(entries() == 3 && party(BANK_A, &p) && p.frozen && party(BANK_B, &p) && p.frozen);
}

Test(members, who_is_expelled_is_so_from_the_genesis_on)
{
    static kh_op seen[64];
    kh_party_view p;
    uint32_t expelled = 0;
    w.members[nth(BANK_B)].flags |= KH_MEMBER_EXPELLED;
    said all = {seen, 0};
    cr_assert(kh_genesis_ops(&w.genesis, note_op, &all) == KH_OK);
    for (uint32_t i = 0; i < all.cnt; i++) {
        expelled += seen[i].type == KH_OP_EXPELLED && seen[i].expelled.id == BANK_B;
        cr_assert(seen[i].type != KH_OP_PARTY_STATUS);
    }
    cr_assert(expelled == 1);
    kh_order_block b = frozen_block(FIRST_HEIGHT, BANK_A, 3);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    wait_entries(2);
    cr_assert(party(BANK_A, &p) && p.frozen);
    b = frozen_block(FIRST_HEIGHT + 1, BANK_A, 0);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    wait_entries(3);
    cr_assert(party(BANK_A, &p) && p.frozen);
}

Test(members, nothing_else_writes_there)
{
    uint64_t ticket;
    uint8_t ops[KH_OP_MAX_SZ];
    size_t n;
    const kh_op op = {.type = KH_OP_PARTY_STATUS, .party_status = {BANK_A, 1}};
    cr_assert(kh_op_encode(&op, ops, sizeof ops, &n) == KH_OK);
    const kh_store_batch batch = {.ops = ops, .ops_sz = n, .op_cnt = 1};
    cr_assert(kh_store_submit(w.store, &batch, &ticket) == KH_E_CLOSED);
    kh_register_close(members);
    kh_store_close(w.store);
    members = NULL;
    /* Opened as a machine's by itself, it is a cluster's all the same. */
    kh_store_report report;
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy, .accept_time = true};
    cr_assert(kh_store_open(&options, w.store_dir, &report, &w.store) == KH_OK);
    cr_assert(kh_store_submit(w.store, &batch, &ticket) == KH_E_CLOSED);
}

/* ---- an order that was given ---- */

static kh_register *opens_with(kh_order *order)
{
    kh_register_close(members);
    members = NULL;
    cr_assert(kh_register_open(w.store, w.kept, &w.genesis, order, &members) == KH_OK);
    return members;
}

/* The order says of bank A that it is frozen, whatever the store has heard. */
static void freeze_in_order(bool frozen)
{
    kh_member *m = (kh_member *)kh_order_member(node.order, BANK_A);
    m->flags = (uint8_t)(frozen ? m->flags | KH_MEMBER_FROZEN : m->flags & ~KH_MEMBER_FROZEN);
}

Test(members, an_order_that_was_given_is_executed_over_what_is_there)
{
    kh_party_view p;
    static const uint8_t saved[8] = {1};
    kh_order_block b = frozen_block(FIRST_HEIGHT, BANK_B, 1);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    wait_entries(2);
    cr_assert(party(BANK_B, &p) && p.frozen);
    freeze_in_order(true); /* and B thawed meanwhile */
    node.order->height = FIRST_HEIGHT + 50;
    node.order->time_ns = GENESIS_NS + FIRST_HEIGHT + 50;
    cr_assert(kh_register_given(members, node.order) == KH_OK);
    wait_entries(3);
    cr_assert(party(BANK_A, &p) && p.frozen && party(BANK_B, &p) && !p.frozen && party(SOURCE, &p));
    cr_assert(kh_store_last_block(w.store) == FIRST_HEIGHT + 50);
    cr_assert(kh_register_given(members, node.order) == KH_OK && entries() == 3); /* once */
    b = frozen_block(FIRST_HEIGHT + 51, BANK_A, 0);
    cr_assert(kh_register_decided(members, &b) == KH_OK);
    wait_entries(4);
    cr_assert(party(BANK_A, &p) && !p.frozen);
    /* Where the entry was lost in a crash a start makes up for it; where it is there nothing is done. */
    cr_assert(kh_kept_begin(w.kept, node.order, saved, sizeof saved) == KH_OK && opens_with(node.order) != NULL &&
              entries() == 4);
    freeze_in_order(false);
}

Test(members, an_empty_store_begins_with_the_order_that_was_given)
{
    char command[400];
    kh_party_view p;
    static const uint8_t saved[8] = {1};
    freeze_in_order(true);
    node.order->height = FIRST_HEIGHT + 50;
    node.order->time_ns = GENESIS_NS + FIRST_HEIGHT + 50;
    cr_assert(kh_kept_begin(w.kept, node.order, saved, sizeof saved) == KH_OK);
    for (int round = 0; round < 2; round++) { /* with the genesis in the store, then with nothing */
        opens_with(node.order);
        wait_entries(round == 0 ? 2 : 1);
        cr_assert(party(BANK_A, &p) && p.frozen && party(REGULATOR, &p) && !party(HUB, &p));
        cr_assert(kh_store_last_block(w.store) == FIRST_HEIGHT + 50);
        if (round == 1) break;
        close_store();
        (void)snprintf(command, sizeof command, "rm -rf %s", w.store_dir);
        cr_assert(system(command) == 0);
        const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
        cr_assert(kh_store_create(&options, w.store_dir, NULL, NULL) == KH_OK);
        kh_store_report report;
        const kh_store_options driven = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy, .driven = true};
        cr_assert(kh_store_open(&driven, w.store_dir, &report, &w.store) == KH_OK);
        cr_assert(kh_register_open(w.store, w.kept, &w.genesis, NULL, &members) == KH_E_ARG);
    }
}
