/* hub, restarts: whatever was written when it stopped, in a block's middle too, the same outputs come of the same order, at this
 * hub and at another one. */
#include <dirent.h>
#include <fcntl.h>
#include "hub_fixture.h"

enum { BLOCKS = 7, BIG = 2 };
static block blocks[BLOCKS];
static uint64_t gaps[BLOCKS];
static kh_attestation wanted[BLOCKS];

static void applies(block *b, uint32_t bank, uint64_t first, uint32_t n, uint32_t docs, uint64_t amount)
{
    ops_buf ops = {0};
    text t = {0};
    for (uint32_t i = 0; i < n; i++) ops_apply(&ops, bank, OPS_ENTERPRISE, first + i, i % docs, amount);
    text_own(&t, &ops);
    block_batch(b, bank, &t);
}

/* The order that all worlds of this file execute; the first block holds the papers. */
static void make_blocks(void)
{
    block *b = blocks;
    text t = {0};
    bundle_exporter(&t);
    bundle_papers(&t, 1, 0, 10, 100000);
    block_batch(&b[0], HUB, &t);
    applies(&b[1], BANK_A, 1, 5, 5, 100);
    applies(&b[1], BANK_B, 1, 5, 5, 100);
    for (uint32_t i = 0; i < 3; i++) applies(&b[BIG], BANK_A, 1000 + 4000 * i, 4000, 10, 100);
    bundle_papers(&t, 2, 100, 300, 100000); /* that no run has room for beside others */
    block_batch(&b[BIG], BANK_B, &t);
    applies(&b[BIG], BANK_B, 1000, 2000, 10, 100);
    applies(&b[3], BANK_A, 1, 5, 5, 100); /* again: their first answers */
    applies(&b[3], BANK_A, 5000, 5, 5, 100);
    block_batch(&b[4], HUB, (text_add(&t, "", 0), &t));
    gaps[4] = UINT64_C(4) * 86400 * KH_NS_PER_S; /* all lapses */
    applies(&b[5], BANK_B, 9000, 3, 3, 100);
    applies(&b[6], BANK_A, 99000, 3, 3, 100);
}

static void again(void) /* another machine, with nothing yet */
{
    char cmd[256];
    world_close();
    kh_kept_close(w.kept);
    w.kept = NULL;
    snprintf(cmd, sizeof cmd, "rm -rf %s/data %s/order %s/outputs", w.root, w.root, w.root);
    cr_assert(system(cmd) == 0);
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    cr_assert(kh_store_create(&options, w.store_dir, NULL, NULL) == KH_OK);
    w.height = FIRST_HEIGHT - 1;
    w.time_ns = GENESIS_NS;
    node.post_cnt = 0;
    world_open();
}

static void decide_nth(uint32_t i)
{
    w.time_ns += gaps[i];
    (void)decide(&blocks[i]);
}

/* What is executed is said a moment later. */
static void wait_said(void)
{
    kh_attestation last;
    wait_executed(w.height);
    for (uint32_t i = 0; i < 120000 && !post_of(w.height, &last); i++) usleep(500);
    cr_assert(post_of(w.height, &last));
}

static void setup(void)
{
    world_begin(false);
    memset(blocks, 0, sizeof blocks);
    make_blocks();
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    wait_said();
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(post_of(FIRST_HEIGHT + i, &wanted[i]));
    cr_assert(kh_store_block_of(w.store, kh_store_durable_upto(w.store)) == w.height);
    cr_assert(kh_store_durable_upto(w.store) > BLOCKS + 5); /* the big block is in parts */
}
TestSuite(hub_restart, .init = setup, .fini = world_end);

/* Every attestation that was made says what the first world's said, and the banks can be given all. */
static void all_the_same(void)
{
    bool seen[BLOCKS] = {0};
    kh_attestation posts[POSTS_MAX];
    for (uint32_t i = 0, cnt = posts_now(posts); i < cnt; i++) {
        uint32_t n = (uint32_t)(posts[i].height - FIRST_HEIGHT);
        cr_assert(n < BLOCKS && kh_attestation_agree(&posts[i], &wanted[n]), "height %u", FIRST_HEIGHT + n);
        seen[n] = true;
    }
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(seen[i], "%u", i);
    cr_assert(alert_cnt == 0);
    const uint32_t banks[2] = {BANK_A, BANK_B};
    for (uint32_t k = 0; k < 2; k++) {
        uint8_t head[32] = {0};
        uint64_t count = 0;
        uint32_t before = parcel_cnt;
        kh_hub_outputs_wanted(w.hub, banks[k], 0);
        for (uint32_t i = 0; i < 120000 && parcel_cnt < before + BLOCKS; i++) usleep(500);
        for (uint32_t i = 0; i < BLOCKS; i++) {
            static given g;
            given_to(banks[k], FIRST_HEIGHT + i, &g);
            cr_assert(g.package.count_before == count && memcmp(g.package.head_before, head, 32) == 0);
            count = g.package.count;
            memcpy(head, g.package.head, 32);
            given_free(&g);
        }
        cr_assert(count > 4000 || k == 1);
    }
}

Test(hub_restart, another_hub_says_the_same)
{
    again();
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    wait_said();
    all_the_same();
    kh_audit_result audit;
    world_close();
    const kh_store_options options = {.clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy};
    cr_assert(kh_store_audit(&options, w.store_dir, NULL, NULL, &audit) == KH_OK && audit.ok, "%s", audit.why);
    world_open();
}

Test(hub_restart, after_each_block)
{
    again();
    for (uint32_t i = 0; i < BLOCKS; i++) {
        decide_nth(i);
        wait_executed(w.height);
        world_close();
        world_open();
    }
    wait_said();
    all_the_same();
}

Test(hub_restart, at_any_moment)
{
    for (uint32_t wait_us = 0; wait_us < 60000; wait_us = 1 + 6 * wait_us) {
        again();
        for (uint32_t i = 0; i < BLOCKS; i++) {
            decide_nth(i);
            usleep(wait_us / 4);
            world_close();
            world_open();
        }
        wait_said();
        all_the_same();
    }
}

/* The hub stands still inside the big block, some of whose parts are executed. */
Test(hub_restart, inside_a_block)
{
    for (uint32_t missing = 1; missing < 5; missing += 2) {
        again();
        uint32_t body = 0;
        while (memcmp(node.bodies[body].digest, blocks[BIG].items[missing].digest, 32) != 0) body++;
        node.bodies[body].hidden = true;
        for (uint32_t i = 0; i <= BIG; i++) decide_nth(i);
        uint64_t parts = 0;
        for (uint32_t i = 0; i < 60000 && (parts <= BIG || kh_store_last_block(w.store) != FIRST_HEIGHT + BIG); i++) {
            usleep(1000);
            parts = kh_store_durable_upto(w.store);
        }
        for (uint32_t i = 0; i < 500; i++) {
            usleep(1000);
            uint64_t now = kh_store_durable_upto(w.store);
            if (now != parts) parts = now, i = 0;
        }
        cr_assert(parts > BIG && kh_store_last_block(w.store) == FIRST_HEIGHT + BIG &&
                  kh_hub_executed_height(w.hub) < FIRST_HEIGHT + BIG);
        for (uint32_t i = 0; i < 2; i++) { /* still missing, then there */
            world_close();
            world_open();
            usleep(20000);
            cr_assert(kh_store_durable_upto(w.store) == parts || i == 1);
            node.bodies[body].hidden = false;
        }
        for (uint32_t i = BIG + 1; i < BLOCKS; i++) decide_nth(i);
        wait_said();
        all_the_same();
    }
}

/* ---- checkpoints: the first heights executed at or above each multiple of two ---- */

enum { POINTS = 4 };
static const uint64_t points[POINTS] = {100, 102, 105, 106}; /* 104 executes nothing */
static kh_attestation first[POINTS];

static void wait_checkpoint(uint64_t height, kh_attestation *ret)
{
    for (uint32_t i = 0; i < 120000 && !checkpoint_of(height, ret); i++) usleep(500);
    cr_assert(checkpoint_of(height, ret), "%lu", (unsigned long)height);
}

/* What is posted of a height whose last entry is the store's newest; digest NULL: no checkpoint. */
static void posted_now(uint64_t height, const uint8_t *digest, uint8_t ret[32])
{
    uint8_t chain[32], secret[32];
    cr_assert(kh_store_chain_at(w.store, kh_store_durable_upto(w.store), chain) == KH_OK);
    kh_attest_secret(w.group_secret[0], secret);
    kh_attest_posted(secret, height, chain, digest, ret);
}

static void decide_with_a_gap(bool look)
{
    const block nothing = {0};
    uint32_t seen = 0;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        kh_attestation a;
        uint8_t digest[32], posted[32];
        if (i == 4) (void)decide(&nothing);
        decide_nth(i);
        wait_executed(w.height);
        if (!look || seen == POINTS || w.height != points[seen]) continue;
        wait_checkpoint(w.height, &first[seen]);
        cr_assert(post_of(w.height, &a));
        posted_now(w.height, NULL, posted); /* the height's own word is as ever, and did not wait */
        cr_assert(memcmp(a.posted, posted, 32) == 0);
        cr_assert(kh_store_checkpoint_digest(w.store, digest) == KH_OK);
        posted_now(w.height, digest, posted);
        cr_assert(memcmp(first[seen].posted, posted, 32) == 0);
        cr_assert(memcmp(a.app_hash, first[seen].app_hash, 32) == 0);
        cr_assert(memcmp(a.outputs_root, first[seen++].outputs_root, 32) == 0);
    }
}

static void only_the_same_checkpoints(bool all)
{
    kh_attestation a, posts[POSTS_MAX];
    wait_checkpoint(points[POINTS - 1], &a);
    for (uint32_t i = 0, cnt = posts_now(posts); i < cnt; i++) {
        uint32_t nth = 0;
        if (posts[i].flags == 0) continue;
        while (nth < POINTS && points[nth] != posts[i].height) nth++;
        cr_assert(nth < POINTS && kh_attestation_agree(&posts[i], &first[nth]), "%lu", (unsigned long)posts[i].height);
    }
    for (uint32_t i = 0; i < POINTS && all; i++) cr_assert(checkpoint_of(points[i], &a));
    cr_assert(alert_cnt == 0);
}

Test(hub_restart, checkpoints)
{
    char cmd[256];
    w.checkpoint_blocks = 2;
    again();
    decide_with_a_gap(true);
    only_the_same_checkpoints(true);
    /* Another hub, and one that begins anew behind the newest, with what it said and without. */
    again();
    decide_with_a_gap(false);
    only_the_same_checkpoints(false);
    const char *const gone[] = {"nothing", "checkpoints", "posts", "*"};
    for (uint32_t i = 0; i < 4; i++) {
        world_close();
        snprintf(cmd, sizeof cmd, "rm -rf %s/outputs/%s", w.root, gone[i]);
        cr_assert(system(cmd) == 0);
        node.post_cnt = 0;
        world_open();
        only_the_same_checkpoints(false);
        wait_executed(w.height);
    }
}

static void cut_file(const char *name, off_t by)
{
    char path[512];
    snprintf(path, sizeof path, "%s/outputs/%s", w.root, name);
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0, "%s", path);
    off_t size = lseek(fd, 0, SEEK_END);
    cr_assert(ftruncate(fd, size > by ? size - by : 0) == 0);
    close(fd);
}

/* What a power cut leaves of files that are not synced with each block. */
Test(hub_restart, outputs_are_made_again_from_the_journal)
{
    const char *const names[] = {"posts", "10.packages", "11.packages"};
    const off_t cuts[] = {1, 3000, 100000000};
    for (uint32_t n = 0; n < 3; n++)
        for (uint32_t c = 0; c < 3; c++) {
            world_close();
            cut_file(names[n], cuts[c]);
            node.post_cnt = 0;
            world_open();
            wait_said();
            all_the_same();
        }
    char cmd[128];
    world_close();
    snprintf(cmd, sizeof cmd, "rm -rf %s/outputs", w.root);
    cr_assert(system(cmd) == 0);
    node.post_cnt = 0;
    world_open();
    wait_said();
    all_the_same();
}

Test(hub_restart, a_store_that_executed_something_else_stops_it)
{
    world_close();
    kh_store_report report;
    const kh_store_options options = {
        .clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy, .accept_time = true, .driven = true, .inline_engine = true};
    cr_assert(kh_store_open(&options, w.store_dir, &report, &w.store) == KH_OK);
    kh_store_close(w.store);
    /* the last batch of the order is another one now: its outcomes are not what the journal has */
    char cmd[256];
    snprintf(cmd, sizeof cmd, "rm -rf %s/order %s/outputs", w.root, w.root);
    cr_assert(system(cmd) == 0);
    kh_kept_close(w.kept);
    w.kept = NULL;
    w.height = FIRST_HEIGHT - 1;
    w.time_ns = GENESIS_NS;
    world_open();
    blocks[1].cnt = 0; /* no entry where the store has one */
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    for (uint32_t i = 0; i < 120000 && alert_cnt == 0; i++) usleep(500);
    cr_assert(alert_cnt == 1);
    uint64_t ticket;
    ops_buf ops = {0};
    ops_apply(&ops, BANK_A, OPS_ENTERPRISE, 1, 1, 1);
    const kh_store_batch batch = {.ops = ops.p, .ops_sz = ops.n, .op_cnt = ops.cnt};
    cr_assert(kh_store_submit(w.store, &batch, &ticket) == KH_E_CLOSED);
    free(ops.p);
}

static void store_moves(const char *from, const char *to, const char *how)
{
    char cmd[256];
    (void)snprintf(cmd, sizeof cmd, "%s %s/%s %s/%s", how, w.root, from, w.root, to);
    cr_assert(system(cmd) == 0);
}

/* Of a backup, say: what it would execute again banks were given already. */
Test(hub_restart, a_store_older_than_what_was_given_does_not_start)
{
    again();
    for (uint32_t i = 0; i < BLOCKS; i++) {
        if (i == BLOCKS - 1) {
            wait_said();
            world_close();
            store_moves("data", "older", "cp -a");
            world_open();
        }
        decide_nth(i);
    }
    wait_said();
    world_close();
    store_moves("data", "newest", "mv");
    store_moves("older", "data", "mv");
    kh_store_report report;
    const kh_store_options options = {
        .clock = &w.clock, .disk = &w.disk, .entropy = &w.entropy, .accept_time = true, .driven = true};
    cr_assert(kh_store_open(&options, w.store_dir, &report, &w.store) == KH_OK);
    cr_assert(world_start() == KH_E_DAMAGED);
    kh_store_close(w.store);
    store_moves("data", "older", "mv");
    store_moves("newest", "data", "mv");
    world_open();
    all_the_same();
}

/* ---- ordered lost after it was executed ---- */

typedef struct said {
    kh_attestation of[BLOCKS];
    uint8_t checkpoint[32];
} said;

static void hear(said *ret)
{
    kh_attestation posts[POSTS_MAX];
    uint32_t cnt = posts_now(posts);
    for (uint32_t i = 0; i < cnt; i++) /* under the same flags it never said two things */
        for (uint32_t k = 0; k < i; k++)
            cr_assert(posts[i].height != posts[k].height || posts[i].flags != posts[k].flags ||
                      kh_attestation_agree(&posts[i], &posts[k]));
    for (uint32_t i = 0; i < BLOCKS; i++) {
        bool found = false;
        for (uint32_t k = 0; k < cnt; k++) /* the newest */
            if (posts[k].height == FIRST_HEIGHT + i) ret->of[i] = posts[k], found = true;
        cr_assert(found, "%u", i);
    }
    cr_assert(kh_store_checkpoint_digest(w.store, ret->checkpoint) == KH_OK);
}

static uint64_t order_lost(uint32_t at, uint32_t item)
{
    block lost = {.cnt = 1, .items = {{.kind = KH_ITEM_LOST, .sequence = FIRST_HEIGHT + at}}};
    memcpy(lost.items[0].digest, blocks[at].items[item].digest, 32);
    return decide(&lost);
}

static void same_words(const said *a, const said *b)
{
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(kh_attestation_agree(&a->of[i], &b->of[i]), "%u", i);
    cr_assert(memcmp(a->checkpoint, b->checkpoint, 32) == 0);
}

static void hide(uint32_t at, uint32_t item, bool hidden)
{
    for (uint32_t i = 0; i < node.body_cnt; i++)
        if (memcmp(node.bodies[i].digest, blocks[at].items[item].digest, 32) == 0) node.bodies[i].hidden = hidden;
}

/* One hub that had executed it, and one that never had it. */
static void lost_at(uint32_t at, uint32_t item)
{
    static said back, waited;
    alert_cnt = 0;
    again();
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    wait_executed(w.height);
    uint64_t last = order_lost(at, item);
    for (uint32_t i = 0; i < 120000 && alert_cnt == 0; i++) usleep(500);
    cr_assert(alert_cnt == 1 && kh_hub_executed_height(w.hub) < FIRST_HEIGHT + at);
    world_close(); /* and it is opened again */
    world_open();
    wait_executed(last);
    cr_assert(alert_cnt == 1);
    hear(&back);
    for (uint32_t i = 0; i < BLOCKS; i++)
        cr_assert(kh_attestation_agree(&back.of[i], &wanted[i]) == (i < at) && kh_attest_losses(back.of[i].flags) == (i >= at) &&
                      (memcmp(back.of[i].posted, wanted[i].posted, 32) == 0) == (i < at), /* outcomes are chained */
                  "%u", i);
    world_close();
    world_open();
    wait_executed(last);
    hear(&waited);
    same_words(&back, &waited);
    again();
    hide(at, item, true);
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    last = order_lost(at, item);
    wait_executed(last);
    hear(&waited);
    same_words(&back, &waited);
    node.post_cnt = 0;
    world_close(); /* told again, before it is known to have been executed so */
    world_open();
    wait_executed(last);
    kh_attestation a;
    cr_assert(alert_cnt == 1 && post_in(&node, FIRST_HEIGHT + BLOCKS - 1, kh_attest_flags(1, 0), &a) &&
              kh_attestation_agree(&a, &back.of[BLOCKS - 1]));
    hide(at, item, false);
}

/* What waits for one lost body learns that another one is, which it has executed: of what it executes from there on until it goes
 * back it says nothing, since that counts the second loss and not the first. */
Test(hub_restart, nothing_is_said_between_two_losses)
{
    static said back, waited;
    kh_attestation a;
    alert_cnt = 0;
    again();
    hide(5, 0, true);
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    wait_executed(FIRST_HEIGHT + 4);
    (void)order_lost(1, 1);
    uint64_t last = order_lost(5, 0);
    for (uint32_t i = 0; i < 120000 && alert_cnt == 0; i++) usleep(500);
    cr_assert(alert_cnt == 1 && post_of(FIRST_HEIGHT + 4, &a) && !post_of(FIRST_HEIGHT + 5, &a));
    world_close();
    world_open();
    wait_executed(last);
    hear(&back);
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(kh_attest_losses(back.of[i].flags) == (uint32_t)(i >= 1) + (i >= 5), "%u", i);
    again();
    hide(1, 1, true);
    for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
    (void)order_lost(1, 1);
    last = order_lost(5, 0);
    wait_executed(last);
    hear(&waited);
    same_words(&back, &waited);
    hide(1, 1, false);
    hide(5, 0, false);
}

/* The block that calls it lost holds batches too: they are executed behind all that is executed anew, at a hub that goes back as
 * at one that had waited. */
Test(hub_restart, what_is_ordered_beside_a_loss)
{
    static said back, waited;
    static given g;
    block beside = {0};
    kh_attestation last_of[2];
    for (uint32_t waits = 0; waits < 2; waits++) {
        alert_cnt = 0;
        again();
        hide(1, 1, waits == 1);
        for (uint32_t i = 0; i < BLOCKS; i++) decide_nth(i);
        if (waits == 0) {
            wait_executed(w.height);
            applies(&beside, BANK_A, 200000, 3, 3, 100);
            beside.items[beside.cnt] = (kh_order_item){.kind = KH_ITEM_LOST, .sequence = FIRST_HEIGHT + 1};
            memcpy(beside.items[beside.cnt++].digest, blocks[1].items[1].digest, 32);
            applies(&beside, BANK_B, 200000, 2, 2, 100);
        }
        uint64_t last = decide(&beside);
        for (uint32_t i = 0; i < 120000 && waits == 0 && alert_cnt == 0; i++) usleep(500);
        cr_assert_eq(alert_cnt, waits == 0);
        if (waits == 0) {
            world_close();
            world_open();
        }
        wait_said();
        hear(waits == 0 ? &back : &waited);
        cr_assert(post_of(last, &last_of[waits]));
        given_to(BANK_A, last, &g);
        cr_assert(g.cnt == 3 && g.outputs[0].receipt.code == KH_C_OK && g.outputs[2].receipt.code == KH_C_OK);
        given_free(&g);
        given_to(BANK_B, last, &g);
        cr_assert_eq(g.cnt, 2);
        given_free(&g);
    }
    same_words(&back, &waited);
    for (uint32_t i = 0; i < BLOCKS; i++) cr_assert(kh_attest_losses(back.of[i].flags) == (i >= 1), "%u", i);
    cr_assert(kh_attestation_agree(&last_of[0], &last_of[1]));
    hide(1, 1, false);
}

Test(hub_restart, what_is_lost_is_taken_back) { lost_at(1, 1); }
Test(hub_restart, what_is_lost_inside_a_large_block_is_taken_back) { lost_at(BIG, 1); }
Test(hub_restart, what_is_lost_first_of_all_is_taken_back) { lost_at(0, 0); }
